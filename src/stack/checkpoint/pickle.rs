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

use std::collections::HashMap;

use super::element::Element;

/// The longest pickle that is read. A checkpoint's description or a gene list of 15 000 symbols
/// is under 2 MB.
pub const MAX_BYTES: usize = 16 << 20;

/// The most values one pickle may hold.
const MAX_NODES: usize = 4 << 20;

/// Names one value of a [`Pickle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ref(u32);

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A larger integer; its value is not kept.
    Huge,
    /// A float.
    Float(f64),
    /// A string.
    Text(Box<str>),
    /// A byte string.
    Bytes(Box<[u8]>),
    /// A tuple.
    Tuple(Vec<Ref>),
    /// A list.
    List(Vec<Ref>),
    /// A set or frozen set.
    Set(Vec<Ref>),
    /// A dictionary, ordered or not; a later entry replaces an earlier one of the same key.
    Dict(Vec<(Ref, Ref)>),
    /// A function or class by name.
    Global(Global),
    /// Something stored outside the pickle.
    Persistent(Ref),
    /// A call that was asked for and not made.
    Call {
        /// The function or class.
        function: Global,
        /// Its arguments, a tuple.
        arguments: Ref,
        /// The state the result was to be given, if any.
        state: Option<Ref>,
    },
}

/// The only functions and classes a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `_codecs.encode`, with which old protocols write bytes.
    Encode,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch.FloatStorage` and its kin.
    Storage(Element),
    /// `numpy.core.multiarray.scalar`.
    NumpyScalar,
    /// `numpy.dtype`.
    NumpyDtype,
    /// `numpy.core.multiarray._reconstruct`.
    NumpyReconstruct,
    /// `numpy.ndarray`.
    NumpyArray,
}

impl Global {
    /// The global of this name, if it is one of the few that are known.
    pub fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("_codecs", "encode") => Self::Encode,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch", "DoubleStorage") => Self::Storage(Element::F64),
            ("torch", "FloatStorage") => Self::Storage(Element::F32),
            ("torch", "HalfStorage") => Self::Storage(Element::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Element::BF16),
            ("torch", "LongStorage") => Self::Storage(Element::Integer(8)),
            ("torch", "IntStorage") => Self::Storage(Element::Integer(4)),
            ("torch", "ShortStorage") => Self::Storage(Element::Integer(2)),
            ("torch", "CharStorage" | "ByteStorage" | "BoolStorage") => Self::Storage(Element::Integer(1)),
            // numpy 2 moved its internals; both paths name the same function.
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::NumpyScalar,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::NumpyReconstruct,
            ("numpy", "dtype") => Self::NumpyDtype,
            ("numpy", "ndarray") => Self::NumpyArray,
            _ => return None,
        })
    }
}

/// Why bytes are not a pickle this reader takes. `at` is the byte of the pickle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// The pickle names code that is none of the few functions that are known.
    #[error(
        "the pickle asks to import {module}.{name}; refused, because a pickle that imports code can run it. \
         Export the values with Python instead (tensors as safetensors, a gene list as JSON)"
    )]
    Import {
        /// Python module.
        module: String,
        /// Name in it.
        name: String,
    },
    /// The bytes end too early.
    #[error("the pickle ends in the middle of a value (byte {at})")]
    Truncated {
        /// Where.
        at: usize,
    },
    /// An instruction that does not exist or that plain data never needs.
    #[error("the pickle holds the instruction 0x{code:02x} at byte {at}, which plain data never needs")]
    Opcode {
        /// Where.
        at: usize,
        /// The instruction.
        code: u8,
    },
    /// The instructions do not fit together.
    #[error("the pickle is damaged at byte {at}: {what}")]
    Damaged {
        /// Where.
        at: usize,
        /// In words.
        what: &'static str,
    },
    /// More bytes or values than are ever needed.
    #[error("the pickle is too large to be a gene list or the description of a model")]
    TooLarge,
}

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
        let mut machine = Machine { bytes, ..Machine::default() };
        let root = machine.run()?;
        Ok(Self { nodes: machine.nodes, root })
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

/// The stack machine.
#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Ref>,
    /// Heights of the stack where a `MARK` was set.
    marks: Vec<usize>,
    memo: HashMap<u64, Ref>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Ref, PickleError> {
        loop {
            let code = self.byte()?;
            match code {
                b'.' => return self.pop(),
                // PROTO and FRAME: the version, and a hint for buffering.
                0x80 => self.skip(1)?,
                0x95 => self.skip(8)?,
                b'(' => self.marks.push(self.stack.len()),
                b'0' => self.discard()?,
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                b'c' | b'i' | 0x93 | b'R' | b'o' | 0x81 | 0x92 | b'b' | b'P' | b'Q' => self.object(code)?,
                b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.memo(code)?,
                b']' | b')' | b'}' | 0x8f | b'l' | b't' | 0x85..=0x87 | b'd' | 0x91 => self.collection(code)?,
                b'a' | b'e' | b's' | b'u' | 0x90 => self.fill(code)?,
                _ => {
                    let node = self.plain(code)?;
                    self.push(node)?;
                }
            }
        }
    }

    /// Numbers, strings, bytes, `None` and booleans.
    fn plain(&mut self, code: u8) -> Result<Node, PickleError> {
        let start = self.at - 1;
        Ok(match code {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'K' => Node::Int(i64::from(self.byte()?)),
            b'M' => Node::Int(self.length(2)? as i64),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'I' => match self.line()? {
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                digits => decimal(digits).ok_or(PickleError::Damaged { at: start, what: "not an integer" })?,
            },
            b'L' => {
                let digits = self.line()?.trim_end_matches('L');
                decimal(digits).ok_or(PickleError::Damaged { at: start, what: "not an integer" })?
            }
            0x8a => {
                let length = self.length(1)?;
                long(self.take(length)?)
            }
            0x8b => {
                let length = self.length(4)?;
                long(self.take(length)?)
            }
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            b'F' => {
                let text = self.line()?;
                let value = text.parse().map_err(|_| PickleError::Damaged { at: start, what: "not a number" })?;
                Node::Float(value)
            }
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            // Strings of Python 2; Python 3 reads them as ASCII text.
            b'T' => self.text(4)?,
            b'U' => self.text(1)?,
            b'V' => Node::Text(
                raw_unicode(self.line()?).ok_or(PickleError::Damaged { at: start, what: "not a string" })?.into(),
            ),
            b'S' => Node::Text(
                quoted(self.line()?).ok_or(PickleError::Damaged { at: start, what: "not a plain string" })?.into(),
            ),
            b'B' => self.byte_string(4)?,
            b'C' => self.byte_string(1)?,
            0x8e | 0x96 => self.byte_string(8)?,
            code => return Err(PickleError::Opcode { at: start, code }),
        })
    }

    /// New lists, tuples, dictionaries and sets.
    fn collection(&mut self, code: u8) -> Result<(), PickleError> {
        let node = match code {
            b']' => Node::List(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            0x8f => Node::Set(Vec::new()),
            b'l' => Node::List(self.since_mark()?),
            b't' => Node::Tuple(self.since_mark()?),
            0x91 => Node::Set(self.since_mark()?),
            b'd' => {
                let items = self.since_mark()?;
                Node::Dict(self.pairs(&items)?)
            }
            _ => {
                let mut items = Vec::new();
                for _ in 0x84..code {
                    items.push(self.pop()?);
                }
                items.reverse();
                Node::Tuple(items)
            }
        };
        self.push(node)
    }

    /// More elements for a list, dictionary or set that lies below them on the stack.
    fn fill(&mut self, code: u8) -> Result<(), PickleError> {
        let items = match code {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.since_mark()?,
        };
        let target = self.top()?.0 as usize;
        let pairs = if matches!(code, b's' | b'u') { self.pairs(&items)? } else { Vec::new() };
        match (code, &mut self.nodes[target]) {
            (b'a' | b'e', Node::List(list)) => list.extend(items),
            (0x90, Node::Set(set)) => set.extend(items),
            (b's' | b'u', Node::Dict(entries)) => entries.extend(pairs),
            _ => return Err(self.damaged("elements for something that does not hold any")),
        }
        Ok(())
    }

    /// Names of functions, calls to them, and the state of what they return.
    fn object(&mut self, code: u8) -> Result<(), PickleError> {
        match code {
            b'c' => {
                let module = self.line()?.to_owned();
                let name = self.line()?.to_owned();
                let global = import(&module, &name)?;
                self.push(Node::Global(global))
            }
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                match (&self.nodes[module.0 as usize], &self.nodes[name.0 as usize]) {
                    (Node::Text(module), Node::Text(name)) => {
                        let global = import(module, name)?;
                        self.push(Node::Global(global))
                    }
                    _ => Err(self.damaged("the name of an import is not a string")),
                }
            }
            b'i' => {
                let module = self.line()?.to_owned();
                let name = self.line()?.to_owned();
                let function = import(&module, &name)?;
                let arguments = self.since_mark()?;
                let arguments = self.new_node(Node::Tuple(arguments))?;
                self.call(function, arguments)
            }
            b'o' => {
                let mut items = self.since_mark()?.into_iter();
                let class = items.next().ok_or_else(|| self.damaged("an object without a class"))?;
                let arguments = self.new_node(Node::Tuple(items.collect()))?;
                self.call_of(class, arguments)
            }
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call_of(function, arguments)
            }
            b'b' => {
                let given = self.pop()?;
                let target = self.top()?.0 as usize;
                match &mut self.nodes[target] {
                    Node::Call { state, .. } => *state = Some(given),
                    // Attributes of an OrderedDict, such as the versions torch notes: nothing we need.
                    Node::Dict(_) => {}
                    _ => return Err(self.damaged("a state for something that has none")),
                }
                Ok(())
            }
            b'P' => {
                let id = self.line()?.into();
                let id = self.new_node(Node::Text(id))?;
                self.push(Node::Persistent(id))
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
            code => Err(PickleError::Opcode { at: self.at - 1, code }),
        }
    }

    fn call_of(&mut self, function: Ref, arguments: Ref) -> Result<(), PickleError> {
        match self.nodes[function.0 as usize] {
            Node::Global(function) => self.call(function, arguments),
            _ => Err(self.damaged("a call of something that is not a function")),
        }
    }

    /// Notes a call. The two whose results other instructions build on are worked out at once.
    fn call(&mut self, function: Global, arguments: Ref) -> Result<(), PickleError> {
        let Node::Tuple(given) = &self.nodes[arguments.0 as usize] else {
            return Err(self.damaged("the arguments of a call are not a tuple"));
        };
        let node = match (function, given.as_slice()) {
            (Global::OrderedDict, []) => Node::Dict(Vec::new()),
            (Global::OrderedDict, &[entries]) => self.ordered(entries)?,
            (Global::Encode, &[text, encoding]) => self.latin1(text, encoding)?,
            _ => Node::Call { function, arguments, state: None },
        };
        self.push(node)
    }

    /// `OrderedDict([(key, value), …])`.
    fn ordered(&self, entries: Ref) -> Result<Node, PickleError> {
        let wrong = || self.damaged("an OrderedDict of something other than pairs");
        let Node::List(entries) = &self.nodes[entries.0 as usize] else { return Err(wrong()) };
        let pair = |entry: &Ref| match &self.nodes[entry.0 as usize] {
            Node::Tuple(pair) | Node::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err(wrong()),
        };
        Ok(Node::Dict(entries.iter().map(pair).collect::<Result<_, _>>()?))
    }

    /// `_codecs.encode(text, 'latin1')`: one byte for each character.
    fn latin1(&self, text: Ref, encoding: Ref) -> Result<Node, PickleError> {
        match (&self.nodes[text.0 as usize], &self.nodes[encoding.0 as usize]) {
            (Node::Text(text), Node::Text(encoding)) if matches!(&**encoding, "latin1" | "latin-1") => {
                let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
                let bytes = bytes.ok_or_else(|| self.damaged("bytes with a character above 255"))?;
                Ok(Node::Bytes(bytes.into()))
            }
            _ => Err(self.damaged("bytes in another encoding than latin1")),
        }
    }

    /// Remembers the top of the stack, or recalls what was remembered.
    fn memo(&mut self, code: u8) -> Result<(), PickleError> {
        let key = match code {
            0x94 => self.memo.len() as u64,
            b'p' | b'g' => {
                let digits = self.line()?;
                digits.parse().map_err(|_| self.damaged("not a memo number"))?
            }
            b'q' | b'h' => u64::from(self.byte()?),
            _ => self.length(4)? as u64,
        };
        if matches!(code, b'p' | b'q' | b'r' | 0x94) {
            let top = self.top()?;
            self.memo.insert(key, top);
        } else {
            let known = *self.memo.get(&key).ok_or_else(|| self.damaged("recalls a value never remembered"))?;
            self.stack.push(known);
        }
        Ok(())
    }

    fn pairs(&self, items: &[Ref]) -> Result<Vec<(Ref, Ref)>, PickleError> {
        if !items.len().is_multiple_of(2) {
            return Err(self.damaged("a key without a value"));
        }
        Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }

    fn push(&mut self, node: Node) -> Result<(), PickleError> {
        let at = self.new_node(node)?;
        self.stack.push(at);
        Ok(())
    }

    fn new_node(&mut self, node: Node) -> Result<Ref, PickleError> {
        if self.nodes.len() == MAX_NODES {
            return Err(PickleError::TooLarge);
        }
        self.nodes.push(node);
        Ok(Ref(self.nodes.len() as u32 - 1))
    }

    /// The lowest height of the stack the current instruction may reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Ref, PickleError> {
        match self.stack.last() {
            Some(&top) if self.stack.len() > self.floor() => Ok(top),
            _ => Err(self.damaged("takes a value where there is none")),
        }
    }

    fn pop(&mut self) -> Result<Ref, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// `POP` removes a value, or a mark where one is on top.
    fn discard(&mut self) -> Result<(), PickleError> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn since_mark(&mut self) -> Result<Vec<Ref>, PickleError> {
        let height = self.marks.pop().ok_or_else(|| self.damaged("needs a mark that was never set"))?;
        // The stack never falls below the last mark, see `floor`.
        Ok(self.stack.split_off(height))
    }

    fn text(&mut self, width: usize) -> Result<Node, PickleError> {
        let start = self.at - 1;
        let length = self.length(width)?;
        let text = str::from_utf8(self.take(length)?);
        Ok(Node::Text(text.map_err(|_| PickleError::Damaged { at: start, what: "a string that is not UTF-8" })?.into()))
    }

    fn byte_string(&mut self, width: usize) -> Result<Node, PickleError> {
        let length = self.length(width)?;
        Ok(Node::Bytes(self.take(length)?.into()))
    }

    /// A little-endian unsigned number of `width` bytes.
    fn length(&mut self, width: usize) -> Result<usize, PickleError> {
        let value = self.take(width)?.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value).map_err(|_| PickleError::TooLarge)
    }

    fn skip(&mut self, length: usize) -> Result<(), PickleError> {
        self.take(length).map(drop)
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| PickleError::Truncated { at })
    }

    fn take(&mut self, length: usize) -> Result<&[u8], PickleError> {
        let end = self.at.checked_add(length).ok_or(PickleError::Truncated { at: self.at })?;
        let taken = self.bytes.get(self.at..end).ok_or(PickleError::Truncated { at: self.at })?;
        self.at = end;
        Ok(taken)
    }

    /// The rest of a line, without its end.
    fn line(&mut self) -> Result<&str, PickleError> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or(PickleError::Truncated { at: start })?;
        self.at += length + 1;
        let line = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
        str::from_utf8(line).map_err(|_| PickleError::Damaged { at: start, what: "a line that is not UTF-8" })
    }

    fn damaged(&self, what: &'static str) -> PickleError {
        PickleError::Damaged { at: self.at.saturating_sub(1), what }
    }
}

fn import(module: &str, name: &str) -> Result<Global, PickleError> {
    // The message is for a person: what a hostile name may add to it is limited.
    let shown = |text: &str| text.chars().take(80).flat_map(char::escape_debug).collect::<String>();
    Global::named(module, name).ok_or_else(|| PickleError::Import { module: shown(module), name: shown(name) })
}

fn decimal(digits: &str) -> Option<Node> {
    match digits.parse() {
        Ok(value) => Some(Node::Int(value)),
        Err(_) => {
            let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
            let number = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
            number.then_some(Node::Huge)
        }
    }
}

/// A two's complement little-endian integer of any length.
fn long(bytes: &[u8]) -> Node {
    if bytes.len() > 8 {
        return Node::Huge;
    }
    let negative = bytes.last().is_some_and(|&top| top & 0x80 != 0);
    let mut whole = if negative { [0xff; 8] } else { [0; 8] };
    whole[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(whole))
}

/// A Python 2 string in quotes, without escapes.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains('\\')).then_some(inner)
}

/// Text in which `\uXXXX` and `\UXXXXXXXX` stand for characters.
fn raw_unicode(text: &str) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u").into_iter().chain(rest.find("\\U")).min() {
        result.push_str(&rest[..at]);
        let digits = if rest[at..].starts_with("\\u") { 4 } else { 8 };
        let code = rest.get(at + 2..at + 2 + digits)?;
        result.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        rest = &rest[at + 2 + digits..];
    }
    result.push_str(rest);
    Some(result)
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
