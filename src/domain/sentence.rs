//! Sentences made of the parts of messages.

/// The text with a capital at its beginning and, unless it has another mark there, a full stop at its
/// end. Nothing becomes nothing.
pub fn sentence(text: &str) -> String {
    let mut rest = text.trim().chars();
    let Some(first) = rest.next() else { return String::new() };
    let mut sentence: String = first.to_uppercase().chain(rest).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn only_what_is_missing_is_added() {
        for (text, expected) in [
            ("no cells", "No cells."),
            ("Did you mean it?", "Did you mean it?"),
            (" éclair ", "Éclair."),
            ("x", "X."),
            ("", ""),
        ] {
            assert_eq!(sentence(text), expected);
        }
    }
}
