//! Words that are stored and read again.

/// A stored word that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{word}' is not a {what}; expected one of {expected}")]
pub struct UnknownWord {
    pub(super) word: String,
    pub(super) what: &'static str,
    pub(super) expected: String,
}
