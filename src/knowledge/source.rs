//! A source file: its text, unpacked if it was packed (gzip, Zstandard, zip), and its fingerprint.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Error, Result, unpack};

/// The largest text read, unpacked. The largest release in use (MONDO with all axioms) has 0.1 GiB.
const MAX_BYTES: u64 = 1 << 30;

/// The text of a file of knowledge.
#[derive(Clone, Debug)]
pub struct Source {
    /// What to call it in messages: the path as given.
    pub name: String,
    /// The text, without a byte order mark.
    pub text: String,
    /// SHA-256 of the text in hexadecimal; packing does not change it.
    pub fingerprint: String,
}

impl Source {
    /// Reads a file. How it is packed is told by its content, not its name.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_within(path, MAX_BYTES)
    }

    fn read_within(path: &Path, limit: u64) -> Result<Self> {
        let name = path.display().to_string();
        match unpack::read(path, limit) {
            Ok(bytes) if bytes.len() as u64 > limit => Err(Error::TooLarge { name, limit }),
            Ok(bytes) => Self::from_bytes(name, bytes),
            Err(source) => Err(Error::Read { name, source }),
        }
    }

    fn from_bytes(name: String, bytes: Vec<u8>) -> Result<Self> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
            Error::Line { name: name.clone(), line, what: "this is not UTF-8 text".to_owned() }
        })?;
        Ok(Self::from_text(name, text))
    }

    /// A source from text at hand, such as one built into the program.
    pub fn from_text(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let fingerprint = hex::encode(Sha256::digest(text.as_bytes()));
        Self { name: name.into(), text, fingerprint }
    }

    /// The file name without its folder and without `.gz`, `.zst`, `.zip` and the given ending.
    pub fn stem(&self, ending: &str) -> String {
        let name = Path::new(&self.name).file_name().map_or(self.name.clone(), |n| n.to_string_lossy().into_owned());
        let name = [".gz", ".zst", ".zip"].iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
        name.strip_suffix(ending).unwrap_or(name).to_owned()
    }

    /// Lines with their numbers from 1, without line ends.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// An error at a line of this source.
    pub(super) fn error(&self, line: usize, what: impl Into<String>) -> Error {
        Error::Line { name: self.name.clone(), line, what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn gzip_is_told_by_content_and_does_not_change_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("a.obo.gz"), folder.path().join("b.obo"));
        std::fs::write(&plain, "\u{feff}one\r\ntwo\n").unwrap();
        let mut encoder = GzEncoder::new(File::create(&packed).unwrap(), Compression::default());
        encoder.write_all("one\r\ntwo\n".as_bytes()).unwrap();
        encoder.finish().unwrap();
        let (plain, packed) = (Source::read(&plain).unwrap(), Source::read(&packed).unwrap());
        assert_eq!(plain.fingerprint, packed.fingerprint);
        assert_eq!(packed.lines().collect::<Vec<_>>(), [(1, "one"), (2, "two")]);
        assert_eq!(plain.stem(".obo"), "a");
    }

    #[test]
    fn other_packings_are_told_by_content_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.gmt.zip");
        let text = "one\ntwo\n".repeat(20);
        std::fs::write(&path, zipped(&text, &text)).unwrap();
        let source = Source::read(&path).unwrap();
        assert_eq!((source.text.as_str(), source.stem(".gmt").as_str()), (text.as_str(), "release"));
        std::fs::write(&path, zipped(&text, "another text")).unwrap();
        let error = Source::read(&path).unwrap_err();
        assert!(format!("{error:?}").contains("checksum"), "{error:?}");

        // The Zstandard frame of 'two' as one raw block (RFC 8878): magic, header, block, content; then one to
        // skip, and what `zstandard.ZstdCompressor(write_checksum=True)` of Python makes of 'three\n'.
        let two = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x03, 0x19, 0x00, 0x00, b't', b'w', b'o'];
        let skipped = [0x53, 0x2a, 0x4d, 0x18, 0x02, 0x00, 0x00, 0x00, b'?', b'?'];
        let three = hex::decode("28b52ffd240631000074687265650ad706fd28").unwrap();
        let read = |frames: &[&[u8]]| {
            std::fs::write(&path, frames.concat()).unwrap();
            Source::read(&path).map(|source| source.text)
        };
        assert_eq!(read(&[&two]).unwrap(), "two");
        assert_eq!(read(&[&two, &skipped, &three]).unwrap(), "twothree\n");
        assert_eq!(read(&[&skipped, &three]).unwrap(), "three\n");
        let mut other = three.clone();
        other[10] ^= 1;
        for damaged in [&[&two[..], &other][..], &[&two, &three[..17]], &[&two, b"rest"], &[&two, &skipped[..9]]] {
            assert!(matches!(read(damaged), Err(Error::Read { .. })), "{damaged:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_not_called_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let text = "one\ntwo\n".repeat(20);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 160, 0x01, 0x05, 0x00][..], text.as_bytes()].concat();
        for packed in [text.clone().into_bytes(), gzip.finish().unwrap(), zipped(&text, &text), frame] {
            std::fs::write(&path, packed).unwrap();
            assert_eq!(Source::read_within(&path, 160).unwrap().text, text);
            let error = Source::read_within(&path, 159).unwrap_err();
            assert!(matches!(error, Error::TooLarge { limit: 159, .. }), "{error}");
        }
    }

    /// A zip archive of one deflated file with the checksum of `checked`, laid out by hand (APPNOTE 4.3).
    fn zipped(text: &str, checked: &str) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        let packed = encoder.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(checked.as_bytes());
        let common = |out: &mut Vec<u8>| {
            out.extend([20, 0, 0, 0, 8, 0, 0, 0, 0, 0]);
            out.extend(crc.sum().to_le_bytes());
            out.extend((packed.len() as u32).to_le_bytes());
            out.extend((text.len() as u32).to_le_bytes());
            out.extend([1, 0, 0, 0]);
        };
        let mut archive = b"PK\x03\x04".to_vec();
        common(&mut archive);
        archive.push(b'a');
        archive.extend(&packed);
        let directory = archive.len() as u32;
        archive.extend(b"PK\x01\x02\x14\x00");
        common(&mut archive);
        archive.extend([0; 14]);
        archive.push(b'a');
        let size = archive.len() as u32 - directory;
        archive.extend(b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00");
        archive.extend(size.to_le_bytes());
        archive.extend(directory.to_le_bytes());
        archive.extend([0, 0]);
        archive
    }

    #[test]
    fn broken_files_are_refused_with_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad");
        let message = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = Source::read(&path).unwrap_err();
            assert!(error.to_string().contains("bad"), "{error}");
            error.to_string()
        };
        assert!(message(b"one\ntw\xff\n").contains("line 2"));
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&[b'a'; 1000]).unwrap();
        let packed = packed.finish().unwrap();
        message(&packed[..packed.len() - 9]);
        std::fs::remove_file(&path).unwrap();
        assert!(Source::read(&path).is_err());
    }

    #[test]
    fn empty_files_are_empty_texts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Source::read(file.path()).unwrap().text, "");
    }
}
