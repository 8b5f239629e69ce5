//! Groups, and opening what is in them by name.

use std::sync::Arc;

use hdf5::LocationType;

use super::raw::{self, Link};
use super::{Array, Attributes, Origin, join};
use crate::anndata::error::{Problem, Result};

/// Soft links followed before giving up, as HDF5 does by default.
const MOST_LINKS: usize = 16;

/// A group of an open file.
#[derive(Clone, Debug)]
pub(in crate::anndata) struct Group {
    pub(super) origin: Arc<Origin>,
    pub(super) path: String,
    pub(super) h5: hdf5::Group,
}

/// What a name in a group leads to.
#[derive(Clone, Debug)]
pub(in crate::anndata) enum Node {
    /// A group.
    Group(Group),
    /// A data set.
    Array(Array),
}

impl Node {
    /// The attributes.
    pub(in crate::anndata) fn attributes(&self) -> Attributes<'_> {
        match self {
            Self::Group(group) => group.attributes(),
            Self::Array(array) => array.attributes(),
        }
    }

    /// As a group, or an error that says what is expected here.
    pub(in crate::anndata) fn into_group(self, expected: &str) -> Result<Group> {
        match self {
            Self::Group(group) => Ok(group),
            Self::Array(array) => Err(array.unexpected(expected, "a data set")),
        }
    }

    /// As a data set, or an error that says what is expected here.
    pub(in crate::anndata) fn into_array(self, expected: &str) -> Result<Array> {
        match self {
            Self::Array(array) => Ok(array),
            Self::Group(group) => Err(group.unexpected(expected, "a group")),
        }
    }
}

impl Group {
    pub(super) fn root(origin: Arc<Origin>, h5: hdf5::Group) -> Self {
        Self { origin, path: String::new(), h5 }
    }

    /// An error about this group.
    pub(in crate::anndata) fn fail(&self, problem: Problem) -> super::Error {
        self.origin.error(&self.path, problem)
    }

    /// An error about something in this group.
    pub(in crate::anndata) fn fail_at(&self, name: &str, problem: Problem) -> super::Error {
        self.origin.error(&join(&self.path, name), problem)
    }

    pub(in crate::anndata) fn unexpected(&self, expected: &str, found: &str) -> super::Error {
        self.fail(Problem::Unexpected { expected: expected.to_owned(), found: found.to_owned() })
    }

    /// The attributes.
    pub(in crate::anndata) fn attributes(&self) -> Attributes<'_> {
        Attributes { origin: &self.origin, path: &self.path, location: &self.h5 }
    }

    /// Names of what is in it.
    pub(in crate::anndata) fn names(&self) -> Result<Vec<String>> {
        raw::names(&self.h5).map_err(|error| self.origin.hdf5(&self.path, error))
    }

    /// What `name` leads to, or `None` if there is no such name. `name` is one component, so names that
    /// hold a slash (which old writers took for a path) are found too.
    pub(in crate::anndata) fn get(&self, name: &str) -> Result<Option<Node>> {
        let mut hops = 0;
        self.walk(name, &join(&self.path, name), &mut hops)
    }

    /// What `name` leads to.
    pub(in crate::anndata) fn require(&self, name: &str, expected: &str) -> Result<Node> {
        self.get(name)?.ok_or_else(|| self.fail_at(name, Problem::Missing { expected: expected.to_owned() }))
    }

    /// The data set called `name`.
    pub(in crate::anndata) fn array(&self, name: &str, expected: &str) -> Result<Array> {
        self.require(name, expected)?.into_array(expected)
    }

    /// What an object reference held by something in this file leads to; `at` is for messages.
    pub(in crate::anndata) fn dereference(&self, reference: &hdf5::ObjectReference1, at: &str) -> Result<Node> {
        let object = self.h5.dereference(reference).map_err(|error| self.origin.hdf5(at, error))?;
        match object {
            hdf5::ReferencedObject::Group(h5) => {
                Ok(Node::Group(Self { origin: self.origin.clone(), path: at.to_owned(), h5 }))
            }
            hdf5::ReferencedObject::Dataset(h5) => Ok(Node::Array(Array::new(self.origin.clone(), at.to_owned(), h5)?)),
            hdf5::ReferencedObject::Datatype(_) => Err(self.origin.error(at, named_type())),
        }
    }

    /// Follows the components of a path, and the soft links on it, one link at a time; `at` is the path
    /// that was asked for.
    fn walk(&self, path: &str, at: &str, hops: &mut usize) -> Result<Option<Node>> {
        let mut group = self.clone();
        let mut components = path.split('/').filter(|component| !component.is_empty() && *component != ".").peekable();
        while let Some(component) = components.next() {
            let Some(node) = group.step(component, at, hops)? else { return Ok(None) };
            if components.peek().is_none() {
                return Ok(Some(node));
            }
            group = node.into_group("a group, as the path goes on")?;
        }
        Ok(Some(Node::Group(group)))
    }

    fn step(&self, name: &str, at: &str, hops: &mut usize) -> Result<Option<Node>> {
        let fail = |error| self.origin.hdf5(at, error);
        match raw::link(&self.h5, name).map_err(fail)? {
            None => Ok(None),
            Some(Link::Hard) => self.open(name, at).map(Some),
            Some(Link::External(target)) => Err(self.origin.error(at, Problem::External { target })),
            Some(Link::Unknown) => {
                Err(self.origin.error(at, Problem::External { target: "a user-defined link".to_owned() }))
            }
            Some(Link::Soft(target)) => {
                *hops += 1;
                if *hops > MOST_LINKS {
                    return Err(self.origin.error(at, Problem::LinkLoop));
                }
                let from = if target.starts_with('/') { self.top().map_err(fail)? } else { self.clone() };
                let node = from.walk(&target, at, hops)?;
                node.map(Some).ok_or_else(|| {
                    let expected = format!("what the soft link leads to, {target}");
                    self.origin.error(at, Problem::Missing { expected })
                })
            }
        }
    }

    fn open(&self, name: &str, at: &str) -> Result<Node> {
        let fail = |error| self.origin.hdf5(at, error);
        let path = join(&self.path, name);
        match self.h5.loc_type_by_name(name).map_err(fail)? {
            LocationType::Group => {
                let h5 = self.h5.group(name).map_err(fail)?;
                Ok(Node::Group(Self { origin: self.origin.clone(), path, h5 }))
            }
            LocationType::Dataset => {
                let h5 = self.h5.dataset(name).map_err(fail)?;
                Ok(Node::Array(Array::new(self.origin.clone(), path, h5)?))
            }
            _ => Err(self.origin.error(at, named_type())),
        }
    }

    fn top(&self) -> hdf5::Result<Self> {
        Ok(Self { origin: self.origin.clone(), path: String::new(), h5: self.h5.group("/")? })
    }
}

fn named_type() -> Problem {
    Problem::Unexpected { expected: "a group or a data set".to_owned(), found: "a named type".to_owned() }
}
