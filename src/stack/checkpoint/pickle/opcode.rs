//! The instructions of the pickle machine by the names Python's `pickletools` gives them.
//!
//! Missing are those plain data never needs: extension codes, keyword arguments, buffers elsewhere.

/// Notes the height of the stack.
pub const MARK: u8 = b'(';
/// Ends the pickle; the value on top is what it stands for.
pub const STOP: u8 = b'.';
/// Removes the value on top, or a mark.
pub const POP: u8 = b'0';
/// Removes everything above the last mark, and the mark.
pub const POP_MARK: u8 = b'1';
/// Repeats the value on top.
pub const DUP: u8 = b'2';
/// A float in decimal, to the end of the line.
pub const FLOAT: u8 = b'F';
/// An integer in decimal, or a boolean as `00` or `01`.
pub const INT: u8 = b'I';
/// Four bytes, signed.
pub const BININT: u8 = b'J';
/// One byte.
pub const BININT1: u8 = b'K';
/// An integer in decimal with an `L` behind it.
pub const LONG: u8 = b'L';
/// Two bytes.
pub const BININT2: u8 = b'M';
pub const NONE: u8 = b'N';
/// Something outside the pickle, named on the rest of the line.
pub const PERSID: u8 = b'P';
/// The same, named by the value on top.
pub const BINPERSID: u8 = b'Q';
/// Calls a function with a tuple.
pub const REDUCE: u8 = b'R';
/// A Python 2 string in quotes.
pub const STRING: u8 = b'S';
/// A Python 2 string after its length in four bytes.
pub const BINSTRING: u8 = b'T';
/// The same, one byte.
pub const SHORT_BINSTRING: u8 = b'U';
/// Text to the end of the line, in raw-unicode-escape.
pub const UNICODE: u8 = b'V';
/// UTF-8 after its length in four bytes.
pub const BINUNICODE: u8 = b'X';
/// Gives a state to the object below it.
pub const BUILD: u8 = b'b';
/// Imports a name: module and name on two lines.
pub const GLOBAL: u8 = b'c';
pub const APPEND: u8 = b'a';
pub const DICT: u8 = b'd';
pub const EMPTY_DICT: u8 = b'}';
pub const APPENDS: u8 = b'e';
/// Recalls a value by a decimal number.
pub const GET: u8 = b'g';
/// One byte.
pub const BINGET: u8 = b'h';
/// Four bytes.
pub const LONG_BINGET: u8 = b'j';
/// Imports a class by name and calls it with what is above the mark.
pub const INST: u8 = b'i';
pub const LIST: u8 = b'l';
pub const EMPTY_LIST: u8 = b']';
/// Calls the class above the mark with what is above it.
pub const OBJ: u8 = b'o';
/// Remembers the value on top under a decimal number.
pub const PUT: u8 = b'p';
/// One byte.
pub const BINPUT: u8 = b'q';
/// Four bytes.
pub const LONG_BINPUT: u8 = b'r';
pub const SETITEM: u8 = b's';
pub const TUPLE: u8 = b't';
pub const EMPTY_TUPLE: u8 = b')';
pub const SETITEMS: u8 = b'u';
/// Eight bytes, big-endian.
pub const BINFLOAT: u8 = b'G';
/// Bytes after their length in four bytes.
pub const BINBYTES: u8 = b'B';
/// One byte.
pub const SHORT_BINBYTES: u8 = b'C';
/// The protocol's number, in one byte.
pub const PROTO: u8 = 0x80;
/// Calls the `__new__` of a class with a tuple.
pub const NEWOBJ: u8 = 0x81;
pub const TUPLE1: u8 = 0x85;
pub const TUPLE2: u8 = 0x86;
pub const TUPLE3: u8 = 0x87;
pub const NEWTRUE: u8 = 0x88;
pub const NEWFALSE: u8 = 0x89;
/// Two's complement after its length in one byte.
pub const LONG1: u8 = 0x8a;
/// Four bytes.
pub const LONG4: u8 = 0x8b;
/// UTF-8 after its length in one byte.
pub const SHORT_BINUNICODE: u8 = 0x8c;
/// Eight bytes.
pub const BINUNICODE8: u8 = 0x8d;
/// Bytes after their length in eight bytes.
pub const BINBYTES8: u8 = 0x8e;
pub const EMPTY_SET: u8 = 0x8f;
pub const ADDITEMS: u8 = 0x90;
pub const FROZENSET: u8 = 0x91;
/// Imports a name: module and name are on the stack.
pub const STACK_GLOBAL: u8 = 0x93;
/// Remembers the value on top under the next number.
pub const MEMOIZE: u8 = 0x94;
/// A length of eight bytes, a hint for buffering.
pub const FRAME: u8 = 0x95;
/// Bytes after their length in eight bytes.
pub const BYTEARRAY8: u8 = 0x96;
