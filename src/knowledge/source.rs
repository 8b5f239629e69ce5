//! A source file: its text, unpacked if it was gzipped, and its fingerprint.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
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
    /// Reads a file. Whether it is gzipped is told by its content, not its name.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let cannot_read = |source| Error::Read { name: name.clone(), source };
        let mut head = [0; 2];
        let file = File::open(path).map_err(cannot_read)?;
        let n_head = (&file).take(2).read(&mut head).map_err(cannot_read)?;
        let whole = head[..n_head].chain(BufReader::new(file));
        let reader: Box<dyn Read> = match head {
            [0x1f, 0x8b] => Box::new(MultiGzDecoder::new(BufReader::new(whole))),
            _ => Box::new(whole),
        };
        let mut bytes = Vec::new();
        reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
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

    /// The file name without its folder and without `.gz` and the given ending.
    pub fn stem(&self, ending: &str) -> String {
        let name = Path::new(&self.name).file_name().map_or(self.name.clone(), |n| n.to_string_lossy().into_owned());
        let name = name.strip_suffix(".gz").unwrap_or(&name);
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
