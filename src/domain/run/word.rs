//! Words that are stored and read again.

/// A stored word that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{word}' is not a {what}; expected one of {expected}")]
pub struct UnknownWord {
    word: String,
    what: &'static str,
    expected: String,
}

/// The one of `all` that is stored as this word; `what` names their kind in the error.
pub(super) fn find<T: Copy>(
    all: &[T],
    stored: fn(T) -> &'static str,
    what: &'static str,
    word: &str,
) -> Result<T, UnknownWord> {
    all.iter().copied().find(|value| stored(*value) == word).ok_or_else(|| {
        let expected: Vec<_> = all.iter().map(|value| stored(*value)).collect();
        UnknownWord { word: word.to_owned(), what, expected: expected.join(", ") }
    })
}
