//! Numbers and strings in the forms that older protocols write as text.

use super::value::Node;

/// A decimal integer of any length.
pub(super) fn decimal(digits: &str) -> Option<Node> {
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
pub(super) fn long(bytes: &[u8]) -> Node {
    if bytes.len() > 8 {
        return Node::Huge;
    }
    let negative = bytes.last().is_some_and(|&top| top & 0x80 != 0);
    let mut whole = if negative { [0xff; 8] } else { [0; 8] };
    whole[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(whole))
}

/// A Python 2 string in quotes, without escapes.
pub(super) fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains('\\')).then_some(inner)
}

/// Text in which `\uXXXX` and `\UXXXXXXXX` stand for characters.
pub(super) fn raw_unicode(text: &str) -> Option<String> {
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
