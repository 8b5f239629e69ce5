//! Ontologies: terms with their synonyms and the relations between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::Curie;

/// How close a synonym is to the term it belongs to, as OBO says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Scope {
    /// Means the same.
    Exact,
    /// Means something narrower.
    Narrow,
    /// Means something broader.
    Broad,
    /// Means something near.
    Related,
}

/// Another name of a term.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Synonym {
    /// The name.
    pub text: String,
    /// How close it is.
    pub scope: Scope,
}

/// A relation from a term to a more general, containing or earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Every instance of the subject is one of the object.
    IsA,
    /// The subject is a part of the object.
    PartOf,
    /// The subject develops from the object.
    DevelopsFrom,
}

/// A term of an ontology as its release file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OntologyTerm {
    /// Such as `CL:0000236`.
    pub id: Curie,
    /// Preferred name.
    pub name: String,
    /// In words.
    pub definition: Option<String>,
    /// Other names.
    pub synonyms: Vec<Synonym>,
    /// Relations to other terms, sorted, without repeats.
    pub relations: Vec<(Relation, Curie)>,
    /// Withdrawn; never an answer.
    pub obsolete: bool,
    /// What took its place, if exactly one term did.
    pub replaced_by: Option<Curie>,
}

/// One release of an ontology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ontology {
    /// Prefix of its own terms, such as `CL`.
    pub prefix: String,
    /// As the release calls itself.
    pub version: String,
    /// Its own terms; terms of other ontologies it mentions are not here.
    pub terms: Vec<OntologyTerm>,
}

/// A word that is not a [`Scope`] or [`Relation`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not known here")]
pub struct UnknownWord(String);

impl Scope {
    /// The OBO word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "EXACT",
            Self::Narrow => "NARROW",
            Self::Broad => "BROAD",
            Self::Related => "RELATED",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let all = [Self::Exact, Self::Narrow, Self::Broad, Self::Related];
        all.into_iter().find(|scope| scope.as_str() == word).ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

impl Relation {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IsA => "is_a",
            Self::PartOf => "part_of",
            Self::DevelopsFrom => "develops_from",
        }
    }
}

impl FromStr for Relation {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let all = [Self::IsA, Self::PartOf, Self::DevelopsFrom];
        all.into_iter().find(|relation| relation.as_str() == word).ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_words_go_both_ways() {
        for scope in [Scope::Exact, Scope::Narrow, Scope::Broad, Scope::Related] {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        for relation in [Relation::IsA, Relation::PartOf, Relation::DevelopsFrom] {
            assert_eq!(relation.as_str().parse(), Ok(relation));
        }
        assert!("exact".parse::<Scope>().is_err() && "has_part".parse::<Relation>().is_err());
    }
}
