//! The forms a gene list comes in.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::GeneList;
use crate::stack::checkpoint::pickle::{Global, MAX_BYTES, Node, Pickle, PickleError, Ref};

/// What is wrong with a gene list.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Reading failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Too long to be a gene list.
    #[error("the file is too large to be a gene list")]
    TooLarge,
    /// No gene in it.
    #[error("the gene list is empty")]
    Empty,
    /// A gene without a name.
    #[error("gene {0} of the list has an empty name")]
    EmptyName(usize),
    /// The pickle cannot be read, or asks for more than reading.
    #[error("{0}")]
    Pickle(#[from] PickleError),
    /// The pickle is something other than a list of strings.
    #[error("the pickle does not hold a list of gene names: {0}")]
    NotNames(String),
    /// The JSON is something other than an array of strings.
    #[error("expected a JSON array of gene names: {0}")]
    Json(#[from] serde_json::Error),
    /// The text is not one name per line.
    #[error("line {line}: expected one gene name per line, found '{text}'")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// Neither a pickle nor text.
    #[error("expected a pickled list, a JSON array or one gene name per line; this is none of them")]
    Format,
}

pub(super) fn read(path: &Path) -> Result<GeneList, Problem> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return Err(Problem::TooLarge);
    }
    if path.extension().is_some_and(|extension| extension == "pkl" || extension == "pickle") {
        return GeneList::new(pickled(&Pickle::read(&bytes)?)?);
    }
    parse(&bytes)
}

pub(super) fn parse(bytes: &[u8]) -> Result<GeneList, Problem> {
    // Protocols 2 and later begin with 0x80, a list of protocol 0 with `(l`, one of protocol 1 with `]q`.
    if bytes.first() == Some(&0x80) || bytes.starts_with(b"(l") || bytes.starts_with(b"]q") {
        return GeneList::new(pickled(&Pickle::read(bytes)?)?);
    }
    let text = str::from_utf8(bytes).map_err(|_| Problem::Format)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('[') {
        return GeneList::new(serde_json::from_str(text)?);
    }
    let mut names = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let name = line.trim();
        if name.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | '"' | '{')) {
            let text = name.chars().take(40).flat_map(char::escape_debug).collect();
            return Err(Problem::Line { line: number + 1, text });
        }
        if !name.is_empty() {
            names.push(name.to_owned());
        }
    }
    GeneList::new(names)
}

/// A list of `str`, a list of `numpy.str_`, or a numpy array of strings.
fn pickled(pickle: &Pickle) -> Result<Vec<String>, Problem> {
    match pickle.node(pickle.root()) {
        Node::List(items) | Node::Tuple(items) => names(pickle, items),
        Node::Call { function: Global::NumpyReconstruct, state: Some(state), .. } => array(pickle, *state),
        _ => Err(Problem::NotNames("it is not a list".to_owned())),
    }
}

fn names(pickle: &Pickle, items: &[Ref]) -> Result<Vec<String>, Problem> {
    // Two bytes of a pickle may stand for a long name, as often as they are repeated.
    let mut left = MAX_BYTES;
    let mut room = |bytes: usize| {
        left = left.checked_sub(bytes).ok_or(Problem::TooLarge)?;
        Ok(())
    };
    let name = |(at, item): (usize, &Ref)| match pickle.node(*item) {
        Node::Text(name) => room(name.len()).map(|()| name.to_string()),
        Node::Call { function: Global::NumpyScalar, arguments, .. } => match scalar(pickle, *arguments) {
            Some((unicode, bytes)) => {
                room(unicode.bytes).and_then(|()| unicode.decode(bytes).ok_or_else(|| not_text(at)))
            }
            None => Err(not_text(at)),
        },
        _ => Err(Problem::NotNames(format!("item {} is not a string", at + 1))),
    };
    items.iter().enumerate().map(name).collect()
}

fn not_text(at: usize) -> Problem {
    Problem::NotNames(format!("item {} is a numpy value that is not a string", at + 1))
}

/// The state of an array: (version, shape, dtype, column-major, data).
fn array(pickle: &Pickle, state: Ref) -> Result<Vec<String>, Problem> {
    let wrong = || Problem::NotNames("it is a numpy array of something other than strings".to_owned());
    let &[_, shape, dtype, _, data] = pickle.sequence(state).ok_or_else(wrong)? else { return Err(wrong()) };
    if pickle.sequence(shape).is_none_or(|shape| shape.len() != 1) {
        return Err(Problem::NotNames("it is an array of more than one dimension".to_owned()));
    }
    match pickle.node(data) {
        // An array of Python objects.
        Node::List(items) => names(pickle, items),
        Node::Bytes(bytes) => {
            let unicode = unicode(pickle, dtype).ok_or_else(wrong)?;
            if unicode.bytes == 0 || !bytes.len().is_multiple_of(unicode.bytes) {
                return Err(wrong());
            }
            bytes.chunks_exact(unicode.bytes).map(|text| unicode.decode(text).ok_or_else(wrong)).collect()
        }
        _ => Err(wrong()),
    }
}

/// `scalar(dtype, bytes)`.
fn scalar(pickle: &Pickle, arguments: Ref) -> Option<(Unicode, &[u8])> {
    let &[dtype, data] = pickle.sequence(arguments)? else { return None };
    Some((unicode(pickle, dtype)?, pickle.bytes(data)?))
}

/// numpy's fixed-width strings: UTF-32, padded with zeros.
struct Unicode {
    bytes: usize,
    big_endian: bool,
}

/// `dtype('U<k>', …)` with the state (version, byte order, …); the byte order may also stand
/// before the `U`.
fn unicode(pickle: &Pickle, dtype: Ref) -> Option<Unicode> {
    let Node::Call { function: Global::NumpyDtype, arguments, state } = pickle.node(dtype) else { return None };
    let name = pickle.text(*pickle.sequence(*arguments)?.first()?)?;
    let characters: usize = name.trim_start_matches(['<', '>', '=', '|']).strip_prefix('U')?.parse().ok()?;
    let order = state.and_then(|state| pickle.text(*pickle.sequence(state)?.get(1)?)).unwrap_or(name);
    Some(Unicode { bytes: characters.checked_mul(4)?, big_endian: order.starts_with('>') })
}

impl Unicode {
    fn decode(&self, bytes: &[u8]) -> Option<String> {
        if bytes.len() != self.bytes {
            return None;
        }
        let codes = bytes.as_chunks::<4>().0.iter();
        let codes =
            codes.map(|&code| if self.big_endian { u32::from_be_bytes(code) } else { u32::from_le_bytes(code) });
        let text: String = codes.map(char::from_u32).collect::<Option<_>>()?;
        Some(text.trim_end_matches('\0').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> Vec<String> {
        parse(bytes).unwrap().names().to_vec()
    }

    fn error(bytes: &[u8]) -> String {
        parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn text_and_json_lists_are_read() {
        assert_eq!(parsed(b"IL6\r\nMX1\n\nHLA-A\n"), ["IL6", "MX1", "HLA-A"]);
        assert_eq!(parsed(b" [\"IL6\", \"MX1\"]\n"), ["IL6", "MX1"]);
    }

    // `pickle.dumps(np.array(['IL6', 'MX1'], dtype='>U3'), 2)`, the parts that differ from '<'.
    #[test]
    fn big_endian_strings_are_read() {
        let mut bytes =
            b"\x80\x02]cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n(X\x02\x00\x00\x00U3\x89\x88tR".to_vec();
        bytes.extend(b"(K\x03X\x01\x00\x00\x00>NNNK\x0cK\x04K\x08tbC\x0c\0\0\0I\0\0\0L\0\0\x006tRa.");
        assert_eq!(parsed(&bytes), ["IL6"]);
    }

    #[test]
    fn a_short_file_cannot_name_more_than_a_long_one_holds() {
        let mut bytes = b"\x80\x02X\x00\x00\x01\x00".to_vec();
        bytes.extend(vec![b'A'; 1 << 16]);
        bytes.extend(b"q\x000](");
        let list = |n: usize| [&bytes[..], &b"h\x00".repeat(n), b"e."].concat();
        assert_eq!(parsed(&list(256)).len(), 256);
        assert!(matches!(parse(&list(257)), Err(Problem::TooLarge)));
    }

    #[test]
    fn what_is_not_a_list_of_names_is_refused_by_place() {
        assert!(error(b"").contains("empty"));
        assert!(error(b"[]").contains("empty"));
        assert!(error(b"[\"IL6\", \"\"]").contains("gene 2"));
        assert!(error(b"[\"IL6\", 3]").contains("JSON array"));
        assert!(error(b"{\"genes\": [\"IL6\"]}").contains("line 1"));
        assert!(error(b"IL6\nMX1\tENSG00000157601\n").contains("line 2"));
        assert!(error(b"\xff\xfe\x00").contains("none of them"));
        assert!(error(b"\x80\x02}.").contains("not a list"));
        assert!(error(b"\x80\x02]K\x01a.").contains("item 1 is not a string"));
        assert!(error(b"\x80\x02cos\nsystem\n.").contains("os.system"));
    }
}
