//! A source file: its text, unpacked if it was packed (gzip, Zstandard, zip), and its fingerprint.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use sha2::{Digest, Sha256};

use super::{Error, Result};

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
        let name = path.display().to_string();
        let cannot_read = |source| Error::Read { name: name.clone(), source };
        let mut head = [0; 4];
        let file = File::open(path).map_err(cannot_read)?;
        let n_head = read_head(&file, &mut head).map_err(cannot_read)?;
        if head == *b"PK\x03\x04" {
            let bytes = read_zip(path).map_err(cannot_read)?;
            return Self::from_bytes(name, bytes);
        }
        let whole = head[..n_head].chain(BufReader::new(file));
        let reader: Box<dyn Read> = match head {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(whole))),
            [0x28, 0xb5, 0x2f, 0xfd] => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(whole);
                Box::new(decoder.map_err(|error| cannot_read(std::io::Error::other(error)))?)
            }
            _ => Box::new(whole),
        };
        let mut bytes = Vec::new();
        reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
        Self::from_bytes(name, bytes)
    }

    fn from_bytes(name: String, bytes: Vec<u8>) -> Result<Self> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Error::TooLarge { name, limit: MAX_BYTES });
        }
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

/// The one file of a zip archive, checked against its checksum.
fn read_zip(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(File::open(path)?)?;
    if archive.len() != 1 {
        return Err(std::io::Error::other(format!("the archive has {} files; one is expected", archive.len())));
    }
    let file = archive.by_index_raw(0)?;
    let (expected, is_stored) = (file.crc32(), file.compression() == zip::CompressionMethod::Stored);
    let mut bytes = Vec::new();
    match is_stored {
        true => file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?,
        false => DeflateDecoder::new(BufReader::new(file)).take(MAX_BYTES + 1).read_to_end(&mut bytes)?,
    };
    let mut crc = flate2::Crc::new();
    crc.update(&bytes);
    match crc.sum() == expected {
        true => Ok(bytes),
        false => Err(std::io::Error::other("the archive is damaged: its checksum does not fit")),
    }
}

/// Fills the head as far as the file goes.
fn read_head(mut file: &File, head: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < head.len() {
        match file.read(&mut head[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
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

        // The Zstandard frame of 'two' as one raw block (RFC 8878): magic, header, block, content.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x03, 0x19, 0x00, 0x00, b't', b'w', b'o'];
        std::fs::write(&path, frame).unwrap();
        assert_eq!(Source::read(&path).unwrap().text, "two");
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
