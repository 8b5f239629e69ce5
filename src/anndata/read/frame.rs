//! Tables: `obs`, `var` and `raw/var`, read a column at a time.

use super::rows::{ascending, stretches};
use super::values::{column_length, integers, read_column, read_plain, texts, with_categories};
use crate::anndata::column::Column;
use crate::anndata::error::{Problem, Result};
use crate::anndata::store::{Array, Group, Kind, Node};

/// Names this far apart are read together rather than apart.
const NAME_GAP: usize = 1024;

/// A table of an open file. Opening it reads the names of its columns; values are read when asked for.
#[derive(Debug)]
pub struct Frame {
    source: Source,
    columns: Vec<String>,
    index: String,
    n_rows: usize,
}

#[derive(Debug)]
pub(super) enum Source {
    /// A group with a member for each column.
    Group(Group),
    /// Records, as anndata wrote tables before 0.7, with the group that may hold the categories.
    Records(Array, Option<Group>),
}

impl Frame {
    /// Opens a table; `uns` is where tables before 0.7 have their categories.
    pub(super) fn open(node: Node, uns: Option<&Group>) -> Result<Self> {
        match node {
            Node::Group(group) => Self::from_group(group),
            Node::Array(array) => Self::from_records(array, uns),
        }
    }

    fn from_group(group: Group) -> Result<Self> {
        let attributes = group.attributes();
        let index = match attributes.text("_index")? {
            Some(name) => name,
            None if group.get("_index")?.is_some() => "_index".to_owned(),
            None if group.get("index")?.is_some() => "index".to_owned(),
            None => {
                let expected = "an index: the attribute _index, or a column _index or index".to_owned();
                return Err(group.fail(Problem::Missing { expected }));
            }
        };
        let columns = match attributes.texts("column-order")? {
            Some(columns) => columns,
            None => group.names()?.into_iter().filter(|name| *name != index && name != "__categories").collect(),
        };
        let node = group.require(&index, "the index of the table")?;
        let n_rows = match column_length(&node)? {
            Some(n_rows) => n_rows,
            None => return Err(group.fail_at(&index, Problem::Encoding { encoding: "a group".to_owned() })),
        };
        Ok(Self { source: Source::Group(group), columns, index, n_rows })
    }

    /// A table that is only members of a group: `index` names its rows, and those of `columns` that are
    /// as long are its columns.
    pub(super) fn of_members(group: Group, index: &str, columns: &[&str]) -> Result<Self> {
        let n_rows = group.array(index, "the names of the rows")?.length()?;
        let mut present = Vec::new();
        for name in columns {
            if let Some(node) = group.get(name)?
                && column_length(&node)? == Some(n_rows)
            {
                present.push((*name).to_owned());
            }
        }
        Ok(Self { source: Source::Group(group), columns: present, index: index.to_owned(), n_rows })
    }

    fn from_records(array: Array, uns: Option<&Group>) -> Result<Self> {
        let n_rows = array.length()?;
        let Kind::Compound(members) = array.kind() else {
            return Err(array.unexpected("a table", &array.kind().to_string()));
        };
        let mut names = members.iter().map(|(name, _)| name.clone());
        let Some(index) = names.next() else {
            return Err(array.unexpected("a table with an index", "records without members"));
        };
        let columns = names.collect();
        Ok(Self { source: Source::Records(array, uns.cloned()), columns, index, n_rows })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Names of the columns, in their order; the index is not among them.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether there is a column called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column == name)
    }

    /// Name of the index, if it has one.
    pub fn index_name(&self) -> Option<&str> {
        (self.index != "_index").then_some(self.index.as_str())
    }

    /// Names of the rows. They are not necessarily unique.
    pub fn index(&self) -> Result<Vec<String>> {
        Ok(texts(self.read(&self.index)?))
    }

    /// Names of the given rows, in that order.
    pub fn index_of(&self, rows: &[usize]) -> Result<Vec<String>> {
        if let Some(&row) = rows.iter().find(|&&row| row >= self.n_rows) {
            return Err(self.fail(Problem::NoSuchRow { row, n_rows: self.n_rows }));
        }
        let (array, member) = match &self.source {
            Source::Group(group) => match group.require(&self.index, "the index of the table")? {
                Node::Array(array) if matches!(array.kind(), Kind::Text { .. }) => (array, None),
                _ => return self.index().map(|names| rows.iter().map(|&row| names[row].clone()).collect()),
            },
            Source::Records(array, _) => (array.clone(), Some(self.index.as_str())),
        };
        if !matches!(array.kind_of(member)?, Kind::Text { .. }) {
            return self.index().map(|names| rows.iter().map(|&row| names[row].clone()).collect());
        }
        let (unique, places) = ascending(rows);
        let mut names = Vec::with_capacity(unique.len());
        for (positions, span) in stretches(&unique, |&row| row..row + 1, NAME_GAP, usize::MAX) {
            let texts = array.texts(member, span.clone())?;
            names.extend(unique[positions].iter().map(|row| texts[row - span.start].clone()));
        }
        Ok(match places {
            Some(places) => places.into_iter().map(|place| names[place].clone()).collect(),
            None => names,
        })
    }

    /// Values of the column called `name`.
    pub fn column(&self, name: &str) -> Result<Column> {
        if !self.has(name) {
            let problem = Problem::NoSuch { what: format!("column {name}"), present: self.columns.clone() };
            return Err(self.fail(problem));
        }
        self.read(name)
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn index_column(&self) -> &str {
        &self.index
    }

    /// Refuses a column that is not as long as the table.
    pub(super) fn check_length(&self, name: &str, length: usize) -> Result<()> {
        let what = || format!("column {name} has {length} values for {} rows", self.n_rows);
        if length == self.n_rows { Ok(()) } else { Err(self.fail(Problem::Inconsistent { what: what() })) }
    }

    fn read(&self, name: &str) -> Result<Column> {
        let check = |length: usize| self.check_length(name, length);
        match &self.source {
            Source::Group(group) => {
                let node = group.require(name, "a column of the table")?;
                column_length(&node)?.map_or(Ok(()), check)?;
                let column = read_column(node, group)?;
                check(column.len()).map(|()| column)
            }
            Source::Records(array, uns) => read_member(array, name, uns.as_ref()),
        }
    }

    /// An error about a column.
    pub(super) fn fail_at(&self, name: &str, problem: Problem) -> super::Error {
        match &self.source {
            Source::Group(group) => group.fail_at(name, problem),
            Source::Records(array, _) => array.fail(problem),
        }
    }

    fn fail(&self, problem: Problem) -> super::Error {
        match &self.source {
            Source::Group(group) => group.fail(problem),
            Source::Records(array, _) => array.fail(problem),
        }
    }
}

/// A column of records. Whole numbers that fit the categories kept under the column's name in `uns` are
/// their codes; that is all such files say.
fn read_member(array: &Array, name: &str, uns: Option<&Group>) -> Result<Column> {
    let column = read_plain(array, Some(name))?;
    let (Column::Integers(_), Some(uns)) = (&column, uns) else { return Ok(column) };
    let categories = match uns.get(&format!("{name}_categories"))? {
        Some(Node::Array(categories)) if !categories.is_null() => categories,
        _ => return Ok(column),
    };
    let categories = match (categories.shape(), categories.kind()) {
        ([], Kind::Text { .. }) => vec![categories.scalar_text()?],
        ([], _) => return Ok(column),
        _ => texts(read_plain(&categories, None)?),
    };
    let codes = integers(array, column)?;
    if codes.iter().any(|&code| code >= categories.len() as i64) {
        return Ok(Column::Integers(codes.into_iter().map(Some).collect()));
    }
    with_categories(array, codes, categories, false)
}
