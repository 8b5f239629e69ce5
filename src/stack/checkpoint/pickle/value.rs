//! The values a pickle is read into, and the few functions it may name.

use super::super::element::Element;

/// Names one value of a [`Pickle`](super::Pickle).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ref(pub(super) u32);

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
