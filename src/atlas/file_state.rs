//! Telling whether a file is still the one that was imported.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Size and time of change of a file, by which a later change is noticed.
pub fn state_of(path: &Path) -> std::io::Result<(u64, String)> {
    let metadata = std::fs::metadata(path)?;
    let modified: chrono::DateTime<chrono::Utc> = metadata.modified()?.into();
    Ok((metadata.len(), modified.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)))
}

/// SHA-256 of a file, in hexadecimal.
pub fn sha256_of(path: &Path, mut progress: impl FnMut(u64)) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..n]);
        done += n as u64;
        progress(done);
    }
}
