//! Identifiers: ontology CURIEs and run ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A compact identifier such as `CL:0000236` or `uniprot:P01574`: a prefix, a colon, a local part.
///
/// The prefix is kept as written, because the field disagrees on case (`CL` but `uniprot`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Curie(String);

/// Why a text is not a [`Curie`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an identifier of the form PREFIX:LOCAL, such as CL:0000236")]
pub struct CurieError(String);

impl Curie {
    /// The part before the colon, as written.
    pub fn prefix(&self) -> &str {
        self.0.split_once(':').map_or("", |(prefix, _)| prefix)
    }

    /// The part after the colon.
    pub fn local(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, local)| local)
    }

    /// The whole identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Curie {
    type Err = CurieError;

    fn from_str(text: &str) -> Result<Self, CurieError> {
        let text = text.trim();
        let valid = text.split_once(':').is_some_and(|(prefix, local)| {
            prefix.starts_with(|c: char| c.is_ascii_alphabetic())
                && prefix.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
                && !local.is_empty()
                && !local.starts_with("//")
                && local.chars().all(|c| c.is_ascii_graphic())
        });
        if valid { Ok(Self(text.to_owned())) } else { Err(CurieError(text.to_owned())) }
    }
}

impl TryFrom<String> for Curie {
    type Error = CurieError;

    fn try_from(text: String) -> Result<Self, CurieError> {
        text.parse()
    }
}

impl From<Curie> for String {
    fn from(id: Curie) -> Self {
        id.0
    }
}

impl fmt::Display for Curie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a run: `run_` and twelve lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// Why a text is not a [`RunId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a run id: expected run_ and 12 hexadecimal digits, such as run_0123456789ab")]
pub struct RunIdError(String);

impl RunId {
    /// A new id from the system's random source.
    pub fn random() -> Self {
        let bits: u64 = rand::random();
        Self(format!("run_{:012x}", bits & 0xffff_ffff_ffff))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let valid = text.strip_prefix("run_").is_some_and(|hex| {
            hex.len() == 12 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        if valid { Ok(Self(text.to_owned())) } else { Err(RunIdError(text.to_owned())) }
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;

    fn try_from(text: String) -> Result<Self, RunIdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curies_keep_their_case_and_refuse_what_is_not_one() {
        let id: Curie = " uniprot:P01574 ".parse().unwrap();
        assert_eq!((id.prefix(), id.local()), ("uniprot", "P01574"));
        for bad in ["", "CL", "CL:", ":1", "CL: 1", "https://x", "1CL:2"] {
            assert!(bad.parse::<Curie>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn run_ids_have_one_form() {
        let id = RunId::random();
        assert_eq!(id.as_str().parse::<RunId>().unwrap(), id);
        for bad in ["run_", "run_0123456789AB", "run_0123456789abc", "0123456789ab", "run-0123456789ab"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?} was taken");
        }
    }
}
