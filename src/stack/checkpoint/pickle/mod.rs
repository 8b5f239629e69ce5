//! A reader of Python pickles that executes nothing.
//!
//! A pickle is a program for a small stack machine. Python's own machine may import any module and
//! call anything in it; this one builds plain [`Node`]s. A name it is asked to import must be on the list
//! of [`Global::named`], and even then only *which* function was meant is recorded: what a call means
//! is up to the reader of a checkpoint or a gene list.
//!
//! Nodes live in one arena and refer to each other by index, so a pickle that contains itself is
//! as harmless as a deeply nested one: nothing here recurses. Memory is linear in the length of
//! the pickle, which is limited.

mod cursor;
mod error;
mod literal;
mod machine;
mod opcode;
mod value;

pub use error::PickleError;
pub use value::{Global, Node, Ref};

use machine::Machine;

/// The longest pickle that is read. A checkpoint's description or a gene list of 15 000 symbols
/// is under 2 MB.
pub const MAX_BYTES: usize = 16 << 20;

/// A pickle, read.
#[derive(Clone, Debug)]
pub struct Pickle {
    nodes: Vec<Node>,
    root: Ref,
}

impl Pickle {
    /// Reads a pickle of protocol 0 to 5. What follows its end is ignored, as Python does.
    pub fn read(bytes: &[u8]) -> Result<Self, PickleError> {
        if bytes.len() > MAX_BYTES {
            return Err(PickleError::TooLarge);
        }
        let (nodes, root) = Machine::new(bytes).run()?;
        Ok(Self { nodes, root })
    }

    /// The value the pickle stands for.
    pub fn root(&self) -> Ref {
        self.root
    }

    /// The value a reference names.
    pub fn node(&self, at: Ref) -> &Node {
        // Every reference was made with its node, so it is in range.
        &self.nodes[at.0 as usize]
    }

    /// The string at a reference.
    pub fn text(&self, at: Ref) -> Option<&str> {
        match self.node(at) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer at a reference.
    pub fn int(&self, at: Ref) -> Option<i64> {
        match self.node(at) {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The byte string at a reference.
    pub fn bytes(&self, at: Ref) -> Option<&[u8]> {
        match self.node(at) {
            Node::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements of the tuple or list at a reference.
    pub fn sequence(&self, at: Ref) -> Option<&[Ref]> {
        match self.node(at) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of the dictionary at a reference.
    pub fn entries(&self, at: Ref) -> Option<&[(Ref, Ref)]> {
        match self.node(at) {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value a dictionary holds for a key.
    pub fn get(&self, dict: Ref, key: &str) -> Option<Ref> {
        let entries = self.entries(dict)?;
        entries.iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn root(bytes: &[u8]) -> Node {
        let pickle = Pickle::read(bytes).unwrap();
        pickle.node(pickle.root()).clone()
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        let pickle = Pickle::read(bytes).unwrap();
        pickle.sequence(pickle.root()).unwrap().iter().map(|&at| pickle.text(at).unwrap().to_owned()).collect()
    }

    // Each literal is `pickle.dumps(value, protocol)` of CPython 3.11.
    #[test]
    fn plain_values_of_every_protocol_are_read() {
        assert_eq!(texts(b"(lp0\nVIL6\np1\naVa\\u03b2\np2\na."), ["IL6", "aβ"]);
        assert_eq!(texts(b"\x80\x02]q\x00(X\x03\x00\x00\x00IL6q\x01X\x03\x00\x00\x00a\xce\xb2q\x02e."), ["IL6", "aβ"]);
        assert_eq!(
            texts(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x03IL6\x94\x8c\x03a\xce\xb2\x94e."),
            ["IL6", "aβ"]
        );
        assert_eq!(root(b"I01\n."), Node::Bool(true));
        assert_eq!(root(b"L-12345678901L\n."), Node::Int(-12_345_678_901));
        assert_eq!(root(b"\x80\x02\x8a\x01\xff."), Node::Int(-1));
        assert_eq!(root(b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01."), Node::Huge);
        assert_eq!(root(b"\x80\x02G?\xf8\x00\x00\x00\x00\x00\x00."), Node::Float(1.5));
        assert_eq!(root(b"\x80\x02J\xff\xff\xff\xff."), Node::Int(-1));
        assert_eq!(root(b"c_codecs\nencode\n(Va\\u00ff\nVlatin1\ntR."), Node::Bytes(b"a\xff"[..].into()));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let pickle = Pickle::read(b"}(VA\nK\x01VA\nK\x02u.").unwrap();
        let value = pickle.get(pickle.root(), "A").unwrap();
        assert_eq!(pickle.int(value), Some(2));
    }

    #[test]
    fn any_import_beyond_the_list_is_refused_by_name() {
        let cases: [(&[u8], &str); 6] = [
            (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
            (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.", "posix.system"),
            (b"(S'true'\nios\nsystem\n.", "os.system"),
            (b"(cbuiltins\neval\nS'1'\no.", "builtins.eval"),
            (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
            (b"\x80\x02ctorch\nload\n.", "torch.load"),
        ];
        for (bytes, name) in cases {
            let error = Pickle::read(bytes).unwrap_err().to_string();
            assert!(error.contains(&format!("asks to import {name}; refused")), "{error}");
        }
        // An extension code stands for an import registered elsewhere.
        assert!(matches!(Pickle::read(b"\x82\x01."), Err(PickleError::Opcode { code: 0x82, .. })));
        // A hostile name cannot forge a message.
        let error = Pickle::read(b"cos\x1b[2J\nsystem\n.").unwrap_err().to_string();
        assert!(!error.contains('\x1b'), "{error:?}");
    }

    #[test]
    fn a_pickle_may_contain_itself_and_nest_without_end() {
        // A list whose only element is the list.
        let pickle = Pickle::read(b"]q\x00h\x00a.").unwrap();
        assert_eq!(pickle.sequence(pickle.root()), Some(&[pickle.root()][..]));
        let mut deep = vec![b']'; 1_000_000];
        deep.extend(vec![b'a'; 999_999]);
        deep.push(b'.');
        drop(Pickle::read(&deep).unwrap());
    }

    #[test]
    fn lengths_are_checked_before_anything_is_allocated() {
        for bytes in [
            &b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"[..],
            b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
            b"B\xff\xff\xff\xffx",
            b"X\xff\xff\xff\xff",
            b"\x8b\xff\xff\xff\x7f",
        ] {
            let error = Pickle::read(bytes).unwrap_err();
            assert!(matches!(error, PickleError::Truncated { .. } | PickleError::TooLarge), "{error}");
        }
        assert_eq!(Pickle::read(&vec![b'N'; MAX_BYTES + 1]).unwrap_err(), PickleError::TooLarge);
        assert_eq!(Pickle::read(&vec![b'N'; MAX_BYTES]).unwrap_err(), PickleError::TooLarge);
    }

    // 4.5 kB of such calls made 4 MB, 200 kB of them 7.5 GiB.
    #[test]
    fn what_is_copied_again_and_again_is_too_large() {
        let mut lists = b"](".to_vec();
        lists.extend(b"K\x01K\x01\x86".repeat(100));
        lists.extend(b"eq\x000ccollections\nOrderedDict\nq\x010]");
        let once = [&lists[..], b"h\x01h\x00\x85R."].concat();
        assert!(Pickle::read(&once).is_ok());
        lists.extend(b"h\x01h\x00\x85R".repeat(100));
        lists.push(b'.');
        assert_eq!(Pickle::read(&lists).unwrap_err(), PickleError::TooLarge);

        let mut texts = [b"X\x00\x02\x00\x00".to_vec(), vec![b'a'; 512], b"q\x000Vlatin1\nq\x010".to_vec()].concat();
        texts.extend(b"c_codecs\nencode\nq\x020");
        let once = [&texts[..], b"h\x02h\x00h\x01\x86R."].concat();
        assert!(Pickle::read(&once).is_ok());
        texts.extend(b"h\x02h\x00h\x01\x86R".repeat(10));
        texts.push(b'.');
        assert_eq!(Pickle::read(&texts).unwrap_err(), PickleError::TooLarge);
    }

    #[test]
    fn instructions_that_do_not_fit_together_are_damage() {
        for bytes in
            [&b"."[..], b"0.", b"t.", b"e.", b"Na.", b"]N}u.", b"(N}s.", b"h\x05.", b"Nb.", b"NNR.", b"(K\x01d."]
        {
            assert!(matches!(Pickle::read(bytes), Err(PickleError::Damaged { .. })), "{:?}", bytes.escape_ascii());
        }
        for bytes in [&b""[..], b"N", b"V", b"K", b"\x95\x00"] {
            assert!(matches!(Pickle::read(bytes), Err(PickleError::Truncated { .. })), "{:?}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Pickle::read(&bytes);
        }

        // Mostly valid programs reach deeper than random bytes do.
        #[test]
        fn no_program_makes_it_panic(codes in proptest::collection::vec(
            proptest::sample::select(b"(.012NRPQab)]}elstudioqhK\x85\x86\x87\x88\x89\x81\x8f\x90\x91\x93\x94".to_vec()), 0..120)
        ) {
            let mut bytes = b"\x80\x04ccollections\nOrderedDict\n)".to_vec();
            bytes.extend(codes);
            let _ = Pickle::read(&bytes);
        }
    }
}
