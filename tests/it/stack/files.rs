//! Checkpoints and gene lists in every form, sound and damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use haystack::stack::checkpoint::{Checkpoint, Kind, parameters};
use haystack::stack::config::ModelConfig;
use haystack::stack::folder;
use haystack::stack::genes::GeneList;
use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::reference::models;
use crate::support::{fixture, shared};

#[test]
fn every_form_of_checkpoint_holds_the_same_parameters() {
    let mut forms = 0;
    for folder in models() {
        let reference = values(&folder.join("icl.safetensors"));
        for file in ["icl.ckpt", "icl_saved_on_cuda.ckpt", "base.ckpt", "base_minimal.ckpt"].map(|f| folder.join(f)) {
            if !file.is_file() {
                continue;
            }
            forms += 1;
            let kind = if file.to_string_lossy().contains("icl") { Kind::Aligned } else { Kind::Base };
            let checkpoint = Checkpoint::open(&file).unwrap();
            assert_eq!(checkpoint.kind(), kind, "{file:?}");
            let expected = Checkpoint::open(&folder.join("icl.safetensors")).unwrap();
            let shape = |config: &ModelConfig| (config.n_genes, config.n_cells, config.n_layers, config.n_heads);
            // base_minimal leaves n_heads out where it is 8, the default.
            assert_eq!(shape(checkpoint.config()), shape(expected.config()), "{file:?}");
            let found = values(&file);
            assert_eq!(found.len(), parameters(checkpoint.config(), kind).len());
            for (name, values) in &found {
                assert_eq!(values, &reference[name], "{file:?}: {name}");
            }
        }
    }
    // Only in the shared data.
    if let Some(file) = shared("stack/fixtures/public/tiny/base.ckpt") {
        assert_eq!(values(&file).len(), values(&fixture("stack/tiny/base_minimal.ckpt")).len());
    }
    assert!(forms >= 3);
}

#[test]
fn every_form_of_gene_list_holds_the_same_genes() {
    let mut lists = 0;
    for folder in models() {
        let expected = GeneList::read(&folder.join("genes.json")).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "pkl") {
                assert_eq!(GeneList::read(&path).unwrap(), expected, "{path:?}");
                lists += 1;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("genes.txt");
        fs::write(&text, expected.names().join("\n")).unwrap();
        assert_eq!(GeneList::read(&text).unwrap(), expected);
    }
    assert!(lists >= 6);
    if let Some(folder) = shared("stack/fixtures/public/formats") {
        let mixed = GeneList::read(&folder.join("genes_mixedcase.pkl")).unwrap();
        assert_eq!(mixed, GeneList::read(&folder.join("genes_mixedcase.json")).unwrap());
        assert!(mixed.is_upper().contains(&false));
    }
}

#[test]
fn an_imported_model_is_the_checkpoint() {
    let genes = GeneList::read(&fixture("stack/tiny/genes.pkl")).unwrap();
    let convert = || {
        let to = tempfile::tempdir().unwrap();
        let mut checkpoint = Checkpoint::open(&fixture("stack/tiny/icl.ckpt")).unwrap();
        let about = folder::convert(&mut checkpoint, &genes, "tiny", Some("CC0"), to.path()).unwrap();
        (to, about)
    };
    let (to, about) = convert();
    assert_eq!((about.kind, about.n_genes, about.n_cells), (Kind::Aligned, 64, 16));
    assert_eq!((about.source.as_str(), about.licence.as_deref()), ("icl.ckpt", Some("CC0")));
    assert_eq!(folder::about(to.path()).unwrap(), Some(about.clone()));
    assert_eq!(folder::sha256(&to.path().join("model.safetensors")).unwrap(), about.sha256);
    assert_eq!(values(to.path()), values(&fixture("stack/tiny/icl.safetensors")));
    assert_eq!(GeneList::read(&to.path().join(folder::GENES_FILE)).unwrap(), genes);
    let (again, _) = convert();
    for file in folder::FILES {
        assert_eq!(fs::read(to.path().join(file)).unwrap(), fs::read(again.path().join(file)).unwrap(), "{file}");
    }
}

/// Weights whose size and time are as they were are not read again; any others are.
#[test]
fn weights_are_hashed_when_they_look_different() {
    let genes = GeneList::read(&fixture("stack/tiny/genes.pkl")).unwrap();
    let to = tempfile::tempdir().unwrap();
    let mut checkpoint = Checkpoint::open(&fixture("stack/tiny/icl.ckpt")).unwrap();
    let about = folder::convert(&mut checkpoint, &genes, "tiny", None, to.path()).unwrap();
    folder::note_checked(to.path(), &about.sha256);
    assert_eq!(folder::checked_sha256(to.path()).unwrap(), about.sha256);

    let weights = to.path().join("model.safetensors");
    let time = fs::metadata(&weights).unwrap().modified().unwrap();
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, &bytes).unwrap();
    let at = |time| fs::File::options().write(true).open(&weights).unwrap().set_modified(time).unwrap();
    at(time);
    assert_eq!(folder::checked_sha256(to.path()).unwrap(), about.sha256, "it looks the same and is not read");
    at(time + std::time::Duration::from_secs(1));
    let changed = folder::sha256(&weights).unwrap();
    assert_ne!(changed, about.sha256);
    assert_eq!(folder::checked_sha256(to.path()).unwrap(), changed);
    // A note that is no note is written anew.
    fs::write(to.path().join("checked.json"), "{}").unwrap();
    assert_eq!(folder::checked_sha256(to.path()).unwrap(), changed);
}

#[test]
fn a_gene_list_of_another_model_is_refused() {
    let to = tempfile::tempdir().unwrap();
    let mut checkpoint = Checkpoint::open(&fixture("stack/tiny/icl.ckpt")).unwrap();
    let genes = GeneList::parse(b"IL6\nMX1\n").unwrap();
    let error = folder::convert(&mut checkpoint, &genes, "tiny", None, to.path()).unwrap_err().to_string();
    assert!(error.contains("icl.ckpt was trained on 64 genes and the list has 2"), "{error}");
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn halves_doubles_offsets_and_strides_become_the_same_numbers() {
    let numbers: Vec<f32> = (0..6).map(|i| i as f32 - 2.5).collect();
    let bytes = |encode: &dyn Fn(f32) -> Vec<u8>| -> Vec<u8> { numbers.iter().flat_map(|&x| encode(x)).collect() };
    let forms: [(&str, Vec<u8>); 4] = [
        ("FloatStorage", bytes(&|x| x.to_le_bytes().to_vec())),
        ("DoubleStorage", bytes(&|x| f64::from(x).to_le_bytes().to_vec())),
        ("HalfStorage", bytes(&|x| half::f16::from_f32(x).to_le_bytes().to_vec())),
        ("BFloat16Storage", bytes(&|x| half::bf16::from_f32(x).to_le_bytes().to_vec())),
    ];
    for (storage, data) in forms {
        // cls.0.weight of a model with one token: [1, 2]; taken from elements 5 and 3 of the storage.
        let mut model = Crafted::smallest();
        model.tensor("cls.0.weight", storage, 3, &[1, 2], &[9, 2], &data);
        let path = model.write();
        let mut checkpoint = Checkpoint::open(path.path()).unwrap();
        assert_eq!(checkpoint.read("cls.0.weight").unwrap(), [numbers[3], numbers[5]], "{storage}");
    }
}

#[test]
fn wrong_checkpoints_are_refused_by_name() {
    let error = |model: Crafted| Checkpoint::open(model.write().path()).unwrap_err().to_string();
    assert!(Checkpoint::open(Crafted::smallest().write().path()).is_ok(), "the crafted checkpoint itself is sound");

    let mut model = Crafted::smallest();
    model.tensors.remove("cls.2.bias");
    assert!(error(model).contains("parameter cls.2.bias is missing"));

    let mut model = Crafted::smallest();
    model.tensor("layers.7.extra", "FloatStorage", 0, &[1], &[1], &[0; 4]);
    assert!(error(model).contains("layers.7.extra"));

    let mut model = Crafted::smallest();
    model.tensor("cls.2.bias", "FloatStorage", 0, &[2], &[1], &[0; 8]);
    assert!(error(model).contains("cls.2.bias has shape [2], the configuration asks for [1]"));

    let mut model = Crafted::smallest();
    model.tensor("cls.2.bias", "LongStorage", 0, &[1], &[1], &[0; 8]);
    assert!(error(model).contains("cls.2.bias does not hold floating-point numbers"));

    let mut model = Crafted::smallest();
    model.tensor("cls.2.bias", "FloatStorage", 1, &[1], &[1], &[0; 4]);
    assert!(error(model).contains("does not fit its storage of 1 elements"));

    // A storage of one element passed off as a large tensor.
    let mut model = Crafted::smallest();
    model.tensor("cls.2.bias", "FloatStorage", 0, &[1 << 40], &[0], &[0; 4]);
    assert!(error(model).contains("does not fit its storage"));

    let mut model = Crafted::smallest();
    model.config = "Vsideload\nL1L\ns".to_owned();
    assert!(error(model).contains("sideload"), "unknown keys of the configuration are named");

    let mut model = Crafted::smallest();
    model.before = b"cos\nsystem\n(S'touch /tmp/haystack-was-here'\ntR0".to_vec();
    assert!(error(model).contains("asks to import os.system; refused"));
    assert!(!Path::new("/tmp/haystack-was-here").exists());
}

#[test]
fn archives_that_unpack_to_more_than_they_are_are_refused() {
    let sound = Crafted::smallest().bytes();
    let directory = find(&sound, b"PK\x01\x02");
    // Method "deflated" in the directory and in the entry's own header.
    let mut deflated = sound.clone();
    deflated[directory + 10] = 8;
    deflated[8] = 8;
    assert!(open(&deflated).unwrap_err().contains("compressed"), "{:?}", open(&deflated));
    // An entry larger than the file.
    let mut large = sound.clone();
    large[directory + 20..directory + 28].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    let error = open(&large).unwrap_err();
    assert!(error.contains("larger than the file"), "{error}");
}

#[test]
fn other_files_are_said_not_to_be_models() {
    for bytes in [&b""[..], b"PK", b"\x89HDF\r\n\x1a\n", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"<html>"] {
        let error = open(bytes).unwrap_err();
        assert!(error.contains("this is not a model"), "{error}");
    }
    let empty_zip = ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
    assert!(open(&empty_zip).is_err());
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("icl.safetensors");
    fs::copy(fixture("stack/tiny/icl.safetensors"), &weights).unwrap();
    let error = Checkpoint::open(&weights).unwrap_err().to_string();
    assert!(error.contains("config.json is needed beside the weights"), "{error}");
    assert!(
        Checkpoint::open(Path::new("/nowhere/model.ckpt")).unwrap_err().to_string().contains("/nowhere/model.ckpt")
    );
}

/// The hyper-parameters of a `.ckpt` are enough; a gene list in the place of a model is named.
#[test]
fn a_training_checkpoint_without_hyper_parameters_is_refused() {
    let mut model = Crafted::smallest();
    model.hyper_parameters = "other".to_owned();
    let error = Checkpoint::open(model.write().path()).unwrap_err().to_string();
    assert!(error.contains("it has no 'hyper_parameters'"), "{error}");
}

/// Dictionaries that hold themselves, where the state, the configuration and a tensor are looked for.
#[test]
fn a_checkpoint_that_contains_itself_is_refused() {
    let cyclic: [(&[u8], &str); 3] = [
        (b"}q\x00Vstate_dict\nh\x00sVhyper_parameters\n}Vmodel_config\n}ss.", "tensor state_dict: it is not a tensor"),
        (b"}Vstate_dict\n}sVhyper_parameters\n}q\x00Vmodel_config\nh\x00ss.", "a value for model_config"),
        (
            b"}Vstate_dict\n}Vmodel.cls.2.bias\n]q\x00h\x00assVhyper_parameters\n}Vmodel_config\n}ss.",
            "tensor cls.2.bias: it is not a tensor",
        ),
    ];
    for (pickle, what) in cyclic {
        let error = open(&Crafted::smallest().archive(pickle)).unwrap_err();
        assert!(error.contains("model.ckpt") && error.contains(what), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// A damaged checkpoint is refused, or the damage hit nothing that counts: never other numbers.
    #[test]
    fn a_flipped_bit_never_changes_a_number(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = Crafted::smallest().bytes();
        let sound = read(&bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok(values) = read(&bytes) {
            prop_assert_eq!(values, sound, "byte {} bit {}", at, bit);
        }
    }

    #[test]
    fn a_truncated_checkpoint_is_refused(length in any::<prop::sample::Index>()) {
        let bytes = Crafted::smallest().bytes();
        prop_assert!(read(&bytes[..length.index(bytes.len())]).is_err());
    }

    #[test]
    fn damage_to_a_real_checkpoint_is_refused_or_harmless(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(), cuts in any::<bool>()
    ) {
        static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(fixture("stack/tiny/base_minimal.ckpt")).unwrap());
        static VALUES: LazyLock<Values> = LazyLock::new(|| values(&fixture("stack/tiny/base_minimal.ckpt")));
        let mut bytes = FILE.clone();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(found) = read(&bytes) {
            prop_assert!(found == *VALUES, "other numbers");
        }
    }

    /// Damage behind the checksums, where an attacker puts it.
    #[test]
    fn no_program_in_a_sound_archive_does_harm(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8)
    ) {
        let mut pickle = Crafted::smallest().pickle();
        for (at, byte, edit) in edits {
            let at = at.index(pickle.len());
            match edit {
                0 => pickle[at] = byte,
                1 => pickle.insert(at, byte),
                _ => drop(pickle.remove(at)),
            }
        }
        let archive = Crafted::smallest().archive(&pickle);
        if let Ok(found) = read(&archive) {
            // Two bytes of the file for every number, or more.
            prop_assert!(2 * found.values().map(Vec::len).sum::<usize>() <= archive.len());
        }
    }

    #[test]
    fn no_bytes_as_a_gene_list_do_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..200), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let _ = GeneList::parse(&bytes);
        for name in ["genes.pkl", "genes_ndarray.pkl", "genes_pystr.pkl", "genes.json"] {
            let mut bytes = fs::read(fixture("stack/tiny").join(name)).unwrap();
            for (at, value) in &flips {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            if let Ok(genes) = GeneList::parse(&bytes) {
                prop_assert!(genes.names().iter().all(|name| !name.is_empty()));
            }
        }
    }

    #[test]
    fn damage_to_a_safetensors_header_is_refused_or_harmless(at in 0_usize..4000, value in any::<u8>()) {
        static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(fixture("stack/tiny/icl.safetensors")).unwrap());
        let folder = tempfile::tempdir().unwrap();
        fs::copy(fixture("stack/tiny/config.json"), folder.path().join("config.json")).unwrap();
        let mut bytes = FILE.clone();
        bytes[at] = value;
        let path = folder.path().join("icl.safetensors");
        fs::write(&path, bytes).unwrap();
        if let Ok(found) = try_values(&path) {
            // A safetensors file has no checksums, but its size says how many numbers it can hold.
            prop_assert!(4 * found.values().map(Vec::len).sum::<usize>() <= FILE.len());
        }
    }
}

struct CraftedTensor {
    storage: String,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
    bytes: Vec<u8>,
}

/// A checkpoint made by hand.
struct Crafted {
    tensors: BTreeMap<String, CraftedTensor>,
    /// Instructions that add to the model's configuration.
    config: String,
    hyper_parameters: String,
    /// Instructions before everything else.
    before: Vec<u8>,
}

impl Crafted {
    /// Two genes, one token of width 1, one layer, two cells.
    fn smallest() -> Self {
        let config = serde_json::json!({
            "n_genes": 2, "n_hidden": 1, "token_dim": 1, "n_layers": 1, "n_cells": 2, "n_heads": 1, "mlp_ratio": 1
        });
        let config = haystack::stack::config::ModelConfig::from_json(&config).unwrap();
        let mut crafted = Self {
            tensors: BTreeMap::new(),
            config: String::new(),
            hyper_parameters: "hyper_parameters".to_owned(),
            before: Vec::new(),
        };
        for (at, (name, shape)) in parameters(&config, Kind::Aligned).into_iter().enumerate() {
            let count: usize = shape.iter().product();
            let bytes: Vec<u8> = (0..count).flat_map(|i| ((at * 100 + i) as f32).to_le_bytes()).collect();
            let mut strides = vec![1; shape.len()];
            for i in (1..shape.len()).rev() {
                strides[i - 1] = strides[i] * shape[i];
            }
            crafted.tensor(&name, "FloatStorage", 0, &shape, &strides, &bytes);
        }
        crafted
    }

    fn tensor(&mut self, name: &str, storage: &str, offset: usize, shape: &[usize], strides: &[usize], bytes: &[u8]) {
        let (storage, shape, strides) = (storage.to_owned(), shape.to_vec(), strides.to_vec());
        let tensor = CraftedTensor { storage, offset, shape, strides, bytes: bytes.to_vec() };
        self.tensors.insert(name.to_owned(), tensor);
    }

    fn bytes(&self) -> Vec<u8> {
        self.archive(&self.pickle())
    }

    fn pickle(&self) -> Vec<u8> {
        let tuple = |sizes: &[usize]| -> String {
            format!("({}t", sizes.iter().map(|size| format!("L{size}L\n")).collect::<String>())
        };
        let mut pickle = self.before.clone();
        pickle.extend(b"}Vstate_dict\n}");
        for (key, (name, tensor)) in self.tensors.iter().enumerate() {
            let CraftedTensor { storage, offset, shape, strides, bytes } = tensor;
            let (shape, strides) = (tuple(shape), tuple(strides));
            pickle.extend(
                format!(
                    "Vmodel.{name}\nctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\n{storage}\nV{key}\nVcpu\nL{}L\ntQL{offset}L\n{shape}{strides}I00\nccollections\nOrderedDict\n)RtRs",
                    bytes.len()
                )
                .into_bytes(),
            );
        }
        pickle.extend(format!("sV{}\n}}Vmodel_config\n}}", self.hyper_parameters).bytes());
        for (key, value) in [
            ("n_genes", 2),
            ("n_hidden", 1),
            ("token_dim", 1),
            ("n_layers", 1),
            ("n_cells", 2),
            ("n_heads", 1),
            ("mlp_ratio", 1),
        ] {
            pickle.extend(format!("V{key}\nL{value}L\ns").bytes());
        }
        pickle.extend(self.config.bytes());
        pickle.extend(b"ss.");
        pickle
    }

    /// An archive of this checkpoint's values around a pickle.
    fn archive(&self, pickle: &[u8]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut add = |name: String, content: &[u8]| {
            zip.start_file(name, stored).unwrap();
            zip.write_all(content).unwrap();
        };
        add("archive/data.pkl".to_owned(), pickle);
        for (key, tensor) in self.tensors.values().enumerate() {
            add(format!("archive/data/{key}"), &tensor.bytes);
        }
        zip.finish().unwrap().into_inner()
    }

    fn write(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), self.bytes()).unwrap();
        file
    }
}

type Values = BTreeMap<String, Vec<f32>>;

fn values(path: &Path) -> Values {
    try_values(path).unwrap()
}

fn try_values(path: &Path) -> Result<Values, String> {
    let mut checkpoint = Checkpoint::open(path).map_err(|error| error.to_string())?;
    let names: Vec<String> =
        parameters(checkpoint.config(), checkpoint.kind()).into_iter().map(|(name, _)| name).collect();
    names
        .into_iter()
        .map(|name| {
            let read = checkpoint.read(&name).map_err(|error| error.to_string());
            let in_place = checkpoint.values(&name).map_err(|error| error.to_string());
            // Both ways to the same numbers, or to the same refusal.
            assert_eq!(read.as_deref().ok(), in_place.as_deref().ok(), "{name}");
            Ok((name, read?))
        })
        .collect()
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.ckpt");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn read(bytes: &[u8]) -> Result<Values, String> {
    let (_folder, path) = written(bytes);
    try_values(&path)
}

fn open(bytes: &[u8]) -> Result<(), String> {
    let (_folder, path) = written(bytes);
    Checkpoint::open(&path).map(drop).map_err(|error| error.to_string())
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}
