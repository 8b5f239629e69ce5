//! The attributes of a group or data set.

use hdf5::{Attribute, ObjectReference1};

use super::Origin;
use super::raw::{self, Kind};
use super::text::Text;
use crate::anndata::error::{Problem, Result};

/// The attributes of one object.
#[derive(Clone, Copy, Debug)]
pub(in crate::anndata) struct Attributes<'a> {
    pub(super) origin: &'a Origin,
    pub(super) path: &'a str,
    pub(super) location: &'a hdf5::Location,
}

impl Attributes<'_> {
    /// The text of an attribute, if it is there.
    pub(in crate::anndata) fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.texts(name)?.and_then(|texts| texts.into_iter().next()))
    }

    /// The texts of an attribute, none of them where it is empty, if it is there.
    pub(in crate::anndata) fn texts(&self, name: &str) -> Result<Option<Vec<String>>> {
        let Some((attribute, kind)) = self.open(name)? else { return Ok(None) };
        if attribute.size() == 0 || attribute.space().is_ok_and(|space| space.is_null()) {
            return Ok(Some(Vec::new()));
        }
        let Kind::Text { fixed, utf8 } = kind else { return Err(self.unexpected(name, "text", &kind)) };
        let at = self.place(name);
        let text = Text { origin: self.origin, at: &at, source: &attribute, member: None, fixed, utf8 };
        text.read(None, 0, &mut text.budget()).map(Some)
    }

    /// The whole numbers of an attribute (booleans as 0 and 1), if it is there.
    pub(in crate::anndata) fn integers(&self, name: &str) -> Result<Option<Vec<i64>>> {
        let Some((attribute, kind)) = self.open(name)? else { return Ok(None) };
        match kind {
            Kind::Integer { .. } | Kind::Boolean => {
                raw::read_numbers(&attribute, None, None).map(Some).map_err(|error| self.hdf5(name, error))
            }
            other => Err(self.unexpected(name, "whole numbers", &other)),
        }
    }

    /// The object reference in an attribute; `None` also where it holds something else.
    pub(in crate::anndata) fn reference(&self, name: &str) -> Result<Option<ObjectReference1>> {
        let Some((attribute, kind)) = self.open(name)? else { return Ok(None) };
        if kind != Kind::Reference || attribute.size() != 1 {
            return Ok(None);
        }
        let references = attribute.read_raw::<ObjectReference1>().map_err(|error| self.hdf5(name, error))?;
        Ok(references.into_iter().next())
    }

    /// Whether there is such an attribute.
    pub(in crate::anndata) fn has(&self, name: &str) -> Result<bool> {
        raw::has_attribute(self.location, name).map_err(|error| self.hdf5(name, error))
    }

    fn open(&self, name: &str) -> Result<Option<(Attribute, Kind)>> {
        if !self.has(name)? {
            return Ok(None);
        }
        let attribute = self.location.attr(name).map_err(|error| self.hdf5(name, error))?;
        let kind = raw::kind(&attribute).map_err(|error| self.hdf5(name, error))?;
        let space = attribute.space().map_err(|error| self.hdf5(name, error))?;
        let elements = space.size() as u64;
        // An attribute is stored as it is, at least a byte for each element.
        if elements > self.origin.length {
            let problem = Problem::TooLong { elements, bytes: elements, held: self.origin.length };
            return Err(self.origin.error(&self.place(name), problem));
        }
        Ok(Some((attribute, kind)))
    }

    fn place(&self, name: &str) -> String {
        format!("{} attribute {name}", self.path).trim_start().to_owned()
    }

    fn hdf5(&self, name: &str, error: hdf5::Error) -> super::Error {
        self.origin.hdf5(&self.place(name), error)
    }

    fn unexpected(&self, name: &str, expected: &str, found: &Kind) -> super::Error {
        let problem = Problem::Unexpected { expected: expected.to_owned(), found: found.to_string() };
        self.origin.error(&self.place(name), problem)
    }
}
