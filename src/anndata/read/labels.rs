//! The distinct values of a column: read a stretch of rows at a time, kept as a code for each row.
//!
//! Ten million rows of a column take 40 MB like this, whatever their values are.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::frame::{Frame, Source};
use super::values::read_categories;
use crate::anndata::column::{python_bool, python_float};
use crate::anndata::error::{Problem, Result};
use crate::anndata::store::{Array, Group, Kind, Node, blocks};

/// Rows read at once.
const ROWS_AT_ONCE: usize = 1 << 18;

/// A column as codes into its distinct values.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// Position in `values` of each row's value.
    pub codes: Vec<u32>,
    /// The values there are, as Python's `str` spells them, in the order of their first row; `None` where
    /// one is missing. Each occurs.
    pub values: Vec<Option<String>>,
}

impl Frame {
    /// The distinct values of a column. One that has more than `most` is refused.
    pub fn labels(&self, name: &str, most: usize) -> Result<Labels> {
        let mut distinct = Distinct::new(self.n_rows(), most);
        let streamed = match self.source() {
            Source::Group(group) if self.has(name) => self.stream(group, name, &mut distinct)?,
            _ => false,
        };
        if !streamed {
            for text in self.column(name)?.to_strings() {
                distinct.push(text);
            }
        }
        distinct.finish().ok_or_else(|| self.fail_at(name, Problem::TooVaried { most }))
    }

    /// The values of a column of numbers or booleans, NaN where they are missing; nothing for other columns.
    pub fn numbers(&self, name: &str) -> Result<Option<Vec<f64>>> {
        if let Source::Group(group) = self.source()
            && let Some(Node::Array(array)) = group.get(name)?
            && matches!(array.kind(), Kind::Integer { .. } | Kind::Float { .. } | Kind::Boolean)
            && !array.attributes().has("categories")?
            && array.length()? == self.n_rows()
        {
            return array.numbers(std::slice::from_ref(&(0..self.n_rows()))).map(Some);
        }
        Ok(None)
    }

    /// The first name that two rows have, with both rows.
    pub fn repeated_name(&self) -> Result<Option<(String, usize, usize)>> {
        let hash = |name: &str| {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hasher.finish()
        };
        let mut hashes: Vec<u64> = Vec::with_capacity(self.n_rows());
        self.for_each_name(&mut |_, name| hashes.push(hash(name)))?;
        hashes.sort_unstable();
        let mut twice: Vec<u64> = hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        drop(hashes);
        twice.dedup();
        if twice.is_empty() {
            return Ok(None);
        }
        // Equal hashes are hardly ever of different names, but they may be.
        let mut first: HashMap<String, usize> = HashMap::new();
        let mut found = None;
        self.for_each_name(&mut |row, name| {
            if found.is_none() && twice.binary_search(&hash(name)).is_ok() {
                match first.get(name) {
                    Some(&earlier) => found = Some((name.to_owned(), earlier, row)),
                    None => drop(first.insert(name.to_owned(), row)),
                }
            }
        })?;
        Ok(found)
    }

    /// Gives the names of the rows one after the other, in bounded memory where they are stored as text.
    fn for_each_name(&self, f: &mut dyn FnMut(usize, &str)) -> Result<()> {
        let array = match self.source() {
            Source::Group(group) => match group.require(self.index_column(), "the index of the table")? {
                Node::Array(array) => Some(array),
                Node::Group(nullable) => match nullable.get("values")? {
                    Some(Node::Array(array)) => Some(array),
                    _ => None,
                },
            },
            Source::Records(..) => None,
        };
        match array.filter(|array| matches!(array.kind(), Kind::Text { .. })) {
            Some(array) => {
                for rows in blocks(&(0..array.length()?), ROWS_AT_ONCE) {
                    let first = rows.start;
                    array.texts(None, rows)?.iter().enumerate().for_each(|(at, name)| f(first + at, name));
                }
            }
            None => self.index()?.iter().enumerate().for_each(|(row, name)| f(row, name)),
        }
        Ok(())
    }

    /// Reads a column a stretch at a time, if it is stored in one of the usual ways.
    fn stream(&self, group: &Group, name: &str, distinct: &mut Distinct) -> Result<bool> {
        match group.require(name, "a column of the table")? {
            Node::Array(array) if array.attributes().has("categories")? => Ok(false),
            Node::Array(array) => {
                self.check_length(name, array.length()?)?;
                plain(&array, distinct)
            }
            Node::Group(column) => {
                let encoding = column.attributes().text("encoding-type")?;
                if encoding.as_deref().is_some_and(|encoding| encoding != "categorical") {
                    return Ok(false);
                }
                let codes = column.array("codes", "the codes of a categorical")?;
                self.check_length(name, codes.length()?)?;
                if !matches!(codes.kind(), Kind::Integer { .. }) {
                    return Ok(false);
                }
                let categories = column.require("categories", "the categories of a categorical")?;
                if let Node::Array(array) = &categories
                    && array.length()? > distinct.most
                {
                    distinct.overflow = true;
                    return Ok(true);
                }
                let categories = read_categories(categories)?;
                categorical(&codes, &categories, distinct).map(|()| true)
            }
        }
    }
}

fn plain(array: &Array, distinct: &mut Distinct) -> Result<bool> {
    for rows in blocks(&(0..array.length()?), ROWS_AT_ONCE) {
        if distinct.overflow {
            break;
        }
        let part = std::slice::from_ref(&rows);
        match *array.kind() {
            Kind::Text { .. } => {
                array.texts(None, rows)?.into_iter().for_each(|text| distinct.push(Some(text)));
            }
            Kind::Integer { bytes: 8.., signed: false } => array
                .numbers::<u64>(part)?
                .into_iter()
                .for_each(|value| distinct.push_number(value, |value| Some(value.to_string()))),
            Kind::Integer { .. } => array
                .numbers::<i64>(part)?
                .into_iter()
                .for_each(|value| distinct.push_number(value as u64, |value| Some((value as i64).to_string()))),
            Kind::Float { .. } => array.numbers::<f64>(part)?.into_iter().for_each(|value| {
                let same = if value.is_nan() { f64::NAN } else { value };
                let spelt = |bits: u64| Some(f64::from_bits(bits)).filter(|v| !v.is_nan()).map(python_float);
                distinct.push_number(same.to_bits(), spelt);
            }),
            Kind::Boolean => array.numbers::<i32>(part)?.into_iter().for_each(|value| {
                distinct.push_number(u64::from(value != 0), |v| Some(python_bool(v != 0).to_owned()))
            }),
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn categorical(codes: &Array, categories: &[String], distinct: &mut Distinct) -> Result<()> {
    let n = categories.len();
    // The last is for missing values.
    let mut known = vec![u32::MAX; n + 1];
    for rows in blocks(&(0..codes.length()?), ROWS_AT_ONCE) {
        let block: Vec<i64> = codes.numbers(std::slice::from_ref(&rows))?;
        for (row, code) in rows.zip(block) {
            let category = match usize::try_from(code) {
                Ok(category) if category < n => category,
                _ if code == -1 => n,
                _ => {
                    let what = format!("code {code} of row {row} is not among the {n} categories");
                    return Err(codes.fail(Problem::Inconsistent { what }));
                }
            };
            if known[category] == u32::MAX {
                known[category] = distinct.value(categories.get(category).cloned());
            }
            distinct.codes.push(known[category]);
        }
    }
    Ok(())
}

/// Values on their way into [`Labels`].
struct Distinct {
    most: usize,
    overflow: bool,
    codes: Vec<u32>,
    values: Vec<Option<String>>,
    by_text: HashMap<Option<String>, u32>,
    by_number: HashMap<u64, u32>,
}

impl Distinct {
    fn new(n_rows: usize, most: usize) -> Self {
        let most = most.min(u32::MAX as usize - 1);
        let (codes, values) = (Vec::with_capacity(n_rows), Vec::new());
        Self { most, overflow: false, codes, values, by_text: HashMap::new(), by_number: HashMap::new() }
    }

    fn push(&mut self, text: Option<String>) {
        if !self.overflow {
            let code = self.value(text);
            self.codes.push(code);
        }
    }

    fn push_number(&mut self, number: u64, spelt: impl Fn(u64) -> Option<String>) {
        if self.overflow {
            return;
        }
        let code = match self.by_number.get(&number) {
            Some(&code) => code,
            None => {
                let code = self.value(spelt(number));
                self.by_number.insert(number, code);
                code
            }
        };
        self.codes.push(code);
    }

    /// The code of a value. Past the limit nothing is kept any more.
    fn value(&mut self, value: Option<String>) -> u32 {
        if let Some(&code) = self.by_text.get(&value) {
            return code;
        }
        let code = self.values.len() as u32;
        if self.values.len() >= self.most {
            self.overflow = true;
            return code;
        }
        self.values.push(value.clone());
        self.by_text.insert(value, code);
        code
    }

    fn finish(self) -> Option<Labels> {
        (!self.overflow).then_some(Labels { codes: self.codes, values: self.values })
    }
}
