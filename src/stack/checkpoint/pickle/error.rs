//! Why bytes are not a pickle.

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
