//! What the targets share: files in memory, archives around a pickle, and reading all there is.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::stack::checkpoint::{Checkpoint, parameters};

/// The configuration that the safetensors target finds beside its weights.
pub const CONFIG: &str =
    r#"{"n_genes": 2, "n_hidden": 1, "token_dim": 1, "n_layers": 1, "n_cells": 2, "n_heads": 1, "mlp_ratio": 1}"#;

/// Opens a file and reads every parameter it has; whatever is wrong must come back as an error.
pub fn read_all(path: &Path) {
    let size = fs::metadata(path).map_or(0, |data| data.len());
    let Ok(mut checkpoint) = Checkpoint::open(path) else { return };
    let mut values = 0;
    for (name, shape) in parameters(checkpoint.config(), checkpoint.kind()) {
        let Ok(read) = checkpoint.read(&name) else { return };
        assert_eq!(read.len(), shape.iter().product::<usize>(), "{name}");
        values += read.len() as u64;
    }
    // The narrowest element has two bytes, and no two parameters share theirs.
    assert!(values * 2 <= size, "{values} values from a file of {size} bytes");
}

/// Writes bytes to a file of this process in memory, `name` in a folder of its own.
pub fn in_memory(name: &str, bytes: &[u8]) -> PathBuf {
    thread_local! {
        static FOLDER: Folder = Folder::new();
    }
    let path = FOLDER.with(|folder| folder.0.join(name));
    fs::write(&path, bytes).expect("a file in memory");
    path
}

/// The folder of this process, gone when its thread ends. A crash leaves it behind until the next run.
struct Folder(PathBuf);

impl Folder {
    const NAME: &str = "haystack-fuzz-";

    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        Self::clear(&parent);
        let folder = parent.join(format!("{}{}", Self::NAME, std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the files under test");
        fs::write(folder.join("config.json"), CONFIG).expect("a small file");
        Self(folder)
    }

    /// Removes what processes that are no more left behind.
    fn clear(parent: &Path) {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let process = name.to_str().and_then(|name| name.strip_prefix(Self::NAME)?.parse::<u32>().ok());
            if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The archive that torch would write around a pickle, with as many storages of these bytes.
pub fn archive(pickle: &[u8], storages: &[&[u8]]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(name, options).expect("a name");
        zip.write_all(bytes).expect("memory");
    };
    add("archive/data.pkl", pickle);
    add("archive/byteorder", b"little");
    for (key, bytes) in storages.iter().enumerate() {
        add(&format!("archive/data/{key}"), bytes);
    }
    zip.finish().expect("memory").into_inner()
}
