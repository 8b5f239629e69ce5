//! Telling whether a file is still the one that was imported.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Size and time of change of a file, by which a later change is noticed.
pub fn state_of(path: &Path) -> std::io::Result<(u64, String)> {
    let metadata = std::fs::metadata(path)?;
    let modified: chrono::DateTime<chrono::Utc> = metadata.modified()?.into();
    Ok((metadata.len(), modified.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)))
}

/// Files up to this size are read whole for their checksum.
const READ_WHOLE: u64 = 1 << 30;
/// Before the checksum of a file of which only parts were read.
const OF_PARTS: &str = "parts:";
/// Parts of a large file that are read, and the bytes of each.
const PARTS: u64 = 256;
const PART: u64 = 256 << 10;

/// What a file holds, as a checksum: its SHA-256 in hexadecimal; for a file of more than 1 GiB `parts:` and
/// the SHA-256 over its length and 256 parts of it, evenly spread, the first and last bytes among them.
pub fn digest_of(path: &Path, progress: impl FnMut(u64)) -> std::io::Result<String> {
    digest(path, READ_WHOLE, progress)
}

/// Whether a checksum is over every byte, so that the same checksum means the same file.
pub fn is_of_all(digest: &str) -> bool {
    !digest.starts_with(OF_PARTS)
}

fn digest(path: &Path, read_whole: u64, mut progress: impl FnMut(u64)) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PART as usize];
    if length > read_whole {
        hash.update(length.to_le_bytes());
        let last = length.saturating_sub(PART);
        for part in 0..PARTS {
            // In 128 bits, because the product may be more than 64 hold.
            let start = (u128::from(last) * u128::from(part) / u128::from(PARTS - 1)) as u64;
            file.seek(SeekFrom::Start(start))?;
            let n = (length - start).min(PART) as usize;
            file.read_exact(&mut buffer[..n])?;
            hash.update(&buffer[..n]);
            progress(start + n as u64);
        }
        return Ok(format!("{OF_PARTS}{}", hex::encode(hash.finalize())));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_tell_lengths_and_ends_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let of = |bytes: &[u8], read_whole: u64| {
            std::fs::write(&path, bytes).unwrap();
            digest(&path, read_whole, |_| ()).unwrap()
        };
        // From `printf abc | sha256sum`.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of(b"abc", 3), abc);
        let mut bytes = vec![7; 1_000_000];
        let parts = of(&bytes, 10);
        assert!(!is_of_all(&parts) && is_of_all(abc));
        bytes[999_999] = 8;
        assert_ne!(of(&bytes, 10), parts);
        bytes[999_999] = 7;
        assert_eq!(of(&bytes, 10), parts);
        bytes.push(7);
        assert_ne!(of(&bytes, 10), parts);
    }
}
