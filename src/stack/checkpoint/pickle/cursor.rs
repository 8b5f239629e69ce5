//! The bytes of a pickle, taken one piece after the other.

use super::PickleError;

/// Where in the bytes the reading is.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| PickleError::Truncated { at })
    }

    pub(super) fn skip(&mut self, length: usize) -> Result<(), PickleError> {
        self.take(length).map(drop)
    }

    /// The next bytes. Nothing is allocated for a length that is not there.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], PickleError> {
        let end = self.at.checked_add(length).ok_or(PickleError::Truncated { at: self.at })?;
        let taken = self.bytes.get(self.at..end).ok_or(PickleError::Truncated { at: self.at })?;
        self.at = end;
        Ok(taken)
    }

    /// A little-endian unsigned number of `width` bytes.
    pub(super) fn length(&mut self, width: usize) -> Result<usize, PickleError> {
        let value = self.take(width)?.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value).map_err(|_| PickleError::TooLarge)
    }

    /// As many bytes as the number of `width` bytes before them says.
    pub(super) fn counted(&mut self, width: usize) -> Result<&'a [u8], PickleError> {
        let length = self.length(width)?;
        self.take(length)
    }

    /// The rest of a line, without its end.
    pub(super) fn line(&mut self) -> Result<&'a str, PickleError> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or(PickleError::Truncated { at: start })?;
        self.at += length + 1;
        let line = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
        str::from_utf8(line).map_err(|_| PickleError::Damaged { at: start, what: "a line that is not UTF-8" })
    }

    /// The place of the byte that was read last.
    pub(super) fn last(&self) -> usize {
        self.at.saturating_sub(1)
    }

    /// Damage at the byte that was read last.
    pub(super) fn damaged(&self, what: &'static str) -> PickleError {
        PickleError::Damaged { at: self.last(), what }
    }
}
