//! The stack machine: carries out a pickle's instructions, and calls nothing.

use std::collections::HashMap;

use super::PickleError;
use super::cursor::Cursor;
use super::literal::{decimal, long, quoted, raw_unicode};
use super::opcode as op;
use super::value::{Global, Node, Ref};

/// The most values one pickle may hold.
const MAX_NODES: usize = 4 << 20;

/// What a pickle is while it is read.
pub(super) struct Machine<'a> {
    input: Cursor<'a>,
    nodes: Vec<Node>,
    stack: Vec<Ref>,
    /// Heights of the stack where a mark was set.
    marks: Vec<usize>,
    memo: HashMap<u64, Ref>,
    /// Elements and bytes that calls may still copy.
    copies_left: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let input = Cursor::new(bytes);
        Self {
            input,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            copies_left: bytes.len(),
        }
    }

    /// Every value, and which of them the pickle stands for.
    pub(super) fn run(mut self) -> Result<(Vec<Node>, Ref), PickleError> {
        loop {
            let code = self.input.byte()?;
            match code {
                op::STOP => {
                    let root = self.pop()?;
                    return Ok((self.nodes, root));
                }
                op::PROTO => self.input.skip(1)?,
                op::FRAME => self.input.skip(8)?,
                op::MARK => self.marks.push(self.stack.len()),
                op::POP => self.discard()?,
                op::POP_MARK => drop(self.since_mark()?),
                op::DUP => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                op::PUT | op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => self.remember(code)?,
                op::GET | op::BINGET | op::LONG_BINGET => self.recall(code)?,
                op::EMPTY_LIST | op::EMPTY_TUPLE | op::EMPTY_DICT | op::EMPTY_SET => self.collection(code)?,
                op::LIST | op::TUPLE | op::DICT | op::FROZENSET => self.collection(code)?,
                op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => self.collection(code)?,
                op::APPEND | op::APPENDS | op::SETITEM | op::SETITEMS | op::ADDITEMS => self.fill(code)?,
                op::GLOBAL | op::STACK_GLOBAL => self.global(code)?,
                op::REDUCE | op::NEWOBJ | op::INST | op::OBJ => self.object(code)?,
                op::BUILD => self.build()?,
                op::PERSID | op::BINPERSID => self.persistent(code)?,
                _ => {
                    let node = self.plain(code)?;
                    self.push(node)?;
                }
            }
        }
    }

    /// Numbers, strings, bytes, `None` and booleans.
    fn plain(&mut self, code: u8) -> Result<Node, PickleError> {
        let at = self.input.last();
        let damaged = |what| PickleError::Damaged { at, what };
        let utf8 = |bytes| match str::from_utf8(bytes) {
            Ok(text) => Ok(Node::Text(text.into())),
            Err(_) => Err(damaged("a string that is not UTF-8")),
        };
        let input = &mut self.input;
        Ok(match code {
            op::NONE => Node::None,
            op::NEWTRUE => Node::Bool(true),
            op::NEWFALSE => Node::Bool(false),
            op::BININT1 => Node::Int(i64::from(input.byte()?)),
            op::BININT2 => Node::Int(i64::from(u16::from_le_bytes(input.array()?))),
            op::BININT => Node::Int(i64::from(i32::from_le_bytes(input.array()?))),
            op::INT => match input.line()? {
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                digits => decimal(digits).ok_or_else(|| damaged("not an integer"))?,
            },
            op::LONG => decimal(input.line()?.trim_end_matches('L')).ok_or_else(|| damaged("not an integer"))?,
            op::LONG1 => long(input.counted(1)?),
            op::LONG4 => long(input.counted(4)?),
            op::BINFLOAT => Node::Float(f64::from_be_bytes(input.array()?)),
            op::FLOAT => Node::Float(input.line()?.parse().map_err(|_| damaged("not a number"))?),
            op::SHORT_BINUNICODE => utf8(input.counted(1)?)?,
            op::BINUNICODE => utf8(input.counted(4)?)?,
            op::BINUNICODE8 => utf8(input.counted(8)?)?,
            // Strings of Python 2; Python 3 reads them as ASCII text.
            op::SHORT_BINSTRING => utf8(input.counted(1)?)?,
            op::BINSTRING => utf8(input.counted(4)?)?,
            op::UNICODE => Node::Text(raw_unicode(input.line()?).ok_or_else(|| damaged("not a string"))?.into()),
            op::STRING => Node::Text(quoted(input.line()?).ok_or_else(|| damaged("not a plain string"))?.into()),
            op::SHORT_BINBYTES => Node::Bytes(input.counted(1)?.into()),
            op::BINBYTES => Node::Bytes(input.counted(4)?.into()),
            op::BINBYTES8 | op::BYTEARRAY8 => Node::Bytes(input.counted(8)?.into()),
            code => return Err(PickleError::Opcode { at, code }),
        })
    }

    /// New lists, tuples, dictionaries and sets.
    fn collection(&mut self, code: u8) -> Result<(), PickleError> {
        let node = match code {
            op::EMPTY_LIST => Node::List(Vec::new()),
            op::EMPTY_TUPLE => Node::Tuple(Vec::new()),
            op::EMPTY_DICT => Node::Dict(Vec::new()),
            op::EMPTY_SET => Node::Set(Vec::new()),
            op::LIST => Node::List(self.since_mark()?),
            op::TUPLE => Node::Tuple(self.since_mark()?),
            op::FROZENSET => Node::Set(self.since_mark()?),
            op::DICT => {
                let items = self.since_mark()?;
                Node::Dict(self.pairs(&items)?)
            }
            _ => {
                let mut items = Vec::new();
                for _ in op::TUPLE1..=code {
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
            op::APPEND => vec![self.pop()?],
            op::SETITEM => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.since_mark()?,
        };
        let target = self.top()?;
        let pairs = if matches!(code, op::SETITEM | op::SETITEMS) { self.pairs(&items)? } else { Vec::new() };
        match (code, &mut self.nodes[target.0 as usize]) {
            (op::APPEND | op::APPENDS, Node::List(list)) => list.extend(items),
            (op::ADDITEMS, Node::Set(set)) => set.extend(items),
            (op::SETITEM | op::SETITEMS, Node::Dict(entries)) => entries.extend(pairs),
            _ => return Err(self.damaged("elements for something that does not hold any")),
        }
        Ok(())
    }

    /// The name of a function or class.
    fn global(&mut self, code: u8) -> Result<(), PickleError> {
        let global = if code == op::GLOBAL {
            self.named_on_two_lines()?
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (self.node(module), self.node(name)) {
                (Node::Text(module), Node::Text(name)) => import(module, name)?,
                _ => return Err(self.damaged("the name of an import is not a string")),
            }
        };
        self.push(Node::Global(global))
    }

    /// A function or class and the arguments it is called with.
    fn object(&mut self, code: u8) -> Result<(), PickleError> {
        match code {
            op::INST => {
                let class = self.named_on_two_lines()?;
                let arguments = self.since_mark()?;
                let arguments = self.new_node(Node::Tuple(arguments))?;
                self.call(class, arguments)
            }
            op::OBJ => {
                let mut items = self.since_mark()?.into_iter();
                let class = items.next().ok_or_else(|| self.damaged("an object without a class"))?;
                let arguments = self.new_node(Node::Tuple(items.collect()))?;
                self.call_of(class, arguments)
            }
            _ => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call_of(function, arguments)
            }
        }
    }

    fn named_on_two_lines(&mut self) -> Result<Global, PickleError> {
        let module = self.input.line()?;
        import(module, self.input.line()?)
    }

    fn call_of(&mut self, function: Ref, arguments: Ref) -> Result<(), PickleError> {
        match *self.node(function) {
            Node::Global(function) => self.call(function, arguments),
            _ => Err(self.damaged("a call of something that is not a function")),
        }
    }

    /// Notes a call. The two whose results other instructions build on are worked out at once.
    fn call(&mut self, function: Global, arguments: Ref) -> Result<(), PickleError> {
        let Node::Tuple(given) = self.node(arguments) else {
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
    fn ordered(&mut self, entries: Ref) -> Result<Node, PickleError> {
        if let Node::List(entries) = self.node(entries) {
            self.copy(entries.len())?;
        }
        let wrong = || self.damaged("an OrderedDict of something other than pairs");
        let Node::List(entries) = self.node(entries) else { return Err(wrong()) };
        let pair = |entry: &Ref| match self.node(*entry) {
            Node::Tuple(pair) | Node::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err(wrong()),
        };
        Ok(Node::Dict(entries.iter().map(pair).collect::<Result<_, _>>()?))
    }

    /// `_codecs.encode(text, 'latin1')`: one byte for each character.
    fn latin1(&mut self, text: Ref, encoding: Ref) -> Result<Node, PickleError> {
        if let Node::Text(text) = self.node(text) {
            self.copy(text.len())?;
        }
        match (self.node(text), self.node(encoding)) {
            (Node::Text(text), Node::Text(encoding)) if matches!(&**encoding, "latin1" | "latin-1") => {
                let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
                let bytes = bytes.ok_or_else(|| self.damaged("bytes with a character above 255"))?;
                Ok(Node::Bytes(bytes.into()))
            }
            _ => Err(self.damaged("bytes in another encoding than latin1")),
        }
    }

    /// Makes room for a copy. Whatever is copied was written in the pickle, and is called for once: copies are
    /// not longer than the pickle, unless it calls for one again and again to fill the memory.
    fn copy(&mut self, length: usize) -> Result<(), PickleError> {
        self.copies_left = self.copies_left.checked_sub(length).ok_or(PickleError::TooLarge)?;
        Ok(())
    }

    /// The state that an object is given.
    fn build(&mut self) -> Result<(), PickleError> {
        let given = self.pop()?;
        let target = self.top()?;
        match &mut self.nodes[target.0 as usize] {
            Node::Call { state, .. } => *state = Some(given),
            // Attributes of an OrderedDict, such as the versions torch notes: nothing we need.
            Node::Dict(_) => {}
            _ => return Err(self.damaged("a state for something that has none")),
        }
        Ok(())
    }

    /// Something outside the pickle.
    fn persistent(&mut self, code: u8) -> Result<(), PickleError> {
        let id = if code == op::PERSID {
            let id = self.input.line()?.into();
            self.new_node(Node::Text(id))?
        } else {
            self.pop()?
        };
        self.push(Node::Persistent(id))
    }

    fn remember(&mut self, code: u8) -> Result<(), PickleError> {
        let key = match code {
            op::MEMOIZE => self.memo.len() as u64,
            op::PUT => self.memo_number()?,
            op::BINPUT => self.input.length(1)? as u64,
            _ => self.input.length(4)? as u64,
        };
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, code: u8) -> Result<(), PickleError> {
        let key = match code {
            op::GET => self.memo_number()?,
            op::BINGET => self.input.length(1)? as u64,
            _ => self.input.length(4)? as u64,
        };
        let known = *self.memo.get(&key).ok_or_else(|| self.damaged("recalls a value never remembered"))?;
        self.stack.push(known);
        Ok(())
    }

    fn memo_number(&mut self) -> Result<u64, PickleError> {
        let digits = self.input.line()?;
        digits.parse().map_err(|_| self.damaged("not a memo number"))
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

    fn node(&self, at: Ref) -> &Node {
        &self.nodes[at.0 as usize]
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

    /// Removes a value, or a mark where one is on top.
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

    fn damaged(&self, what: &'static str) -> PickleError {
        self.input.damaged(what)
    }
}

fn import(module: &str, name: &str) -> Result<Global, PickleError> {
    // The message is for a person: what a hostile name may add to it is limited.
    let shown = |text: &str| text.chars().take(80).flat_map(char::escape_debug).collect::<String>();
    Global::named(module, name).ok_or_else(|| PickleError::Import { module: shown(module), name: shown(name) })
}
