//! Columns as they are stored: plain arrays, categoricals of two generations, arrays with missing values.

use crate::anndata::column::Column;
use crate::anndata::error::{Problem, Result};
use crate::anndata::store::{Array, Group, Kind, Node};

/// Encodings of columns in which values may be missing.
const NULLABLE: [&str; 3] = ["nullable-integer", "nullable-boolean", "nullable-string-array"];

/// Reads a column; `parent` is the table it is in.
pub(super) fn read_column(node: Node, parent: &Group) -> Result<Column> {
    let encoding = node.attributes().text("encoding-type")?;
    let group = match node {
        Node::Array(array) if array.attributes().has("categories")? => return legacy_categorical(&array, parent),
        Node::Array(array) => return read_plain(&array, None),
        Node::Group(group) => group,
    };
    match encoding.as_deref() {
        Some("categorical") => categorical(&group),
        Some(encoding) if NULLABLE.contains(&encoding) => nullable(&group),
        None if group.get("codes")?.is_some() && group.get("categories")?.is_some() => categorical(&group),
        other => {
            let version = group.attributes().text("encoding-version")?.unwrap_or_default();
            let encoding = format!("{} {version}", other.unwrap_or("none")).trim_end().to_owned();
            Err(group.fail(Problem::Encoding { encoding }))
        }
    }
}

/// Length of a column without reading it, where its encoding is one we read.
pub(super) fn column_length(node: &Node) -> Result<Option<usize>> {
    let group = match node {
        Node::Array(array) => return array.length().map(Some),
        Node::Group(group) => group,
    };
    for part in ["codes", "values"] {
        if let Some(Node::Array(array)) = group.get(part)? {
            return array.length().map(Some);
        }
    }
    Ok(None)
}

/// Reads a data set of one dimension, or one member of its records.
pub(super) fn read_plain(array: &Array, member: Option<&str>) -> Result<Column> {
    let length = array.length()?;
    match *array.kind_of(member)? {
        Kind::Integer { bytes: 8.., signed: false } => {
            let values: Vec<u64> = array.member_numbers(member, std::slice::from_ref(&(0..length)))?;
            let signed: Result<Vec<i64>, _> = values.iter().map(|&value| i64::try_from(value)).collect();
            Ok(match signed {
                Ok(values) => Column::Integers(values.into_iter().map(Some).collect()),
                // Larger than any signed number: hashes and the like, kept exactly as text.
                Err(_) => Column::Strings(values.iter().map(|value| Some(value.to_string())).collect()),
            })
        }
        Kind::Integer { .. } => {
            let values: Vec<i64> = array.member_numbers(member, std::slice::from_ref(&(0..length)))?;
            Ok(Column::Integers(values.into_iter().map(Some).collect()))
        }
        Kind::Float { .. } => Ok(Column::Floats(array.member_numbers(member, std::slice::from_ref(&(0..length)))?)),
        Kind::Boolean => {
            let values: Vec<i32> = array.member_numbers(member, std::slice::from_ref(&(0..length)))?;
            Ok(Column::Booleans(values.into_iter().map(|value| Some(value != 0)).collect()))
        }
        Kind::Text { .. } => Ok(Column::Strings(array.texts(member, 0..length)?.into_iter().map(Some).collect())),
        ref other => {
            let found = other.to_string();
            Err(array.unexpected("a column of numbers, booleans or text", &found))
        }
    }
}

/// A group of `codes` and `categories`.
fn categorical(group: &Group) -> Result<Column> {
    let codes = group.array("codes", "the codes of a categorical")?;
    let categories = group.require("categories", "the categories of a categorical")?;
    let ordered = group.attributes().integers("ordered")?.is_some_and(|ordered| ordered.first() == Some(&1));
    let categories = read_categories(categories)?;
    with_categories(&codes, integers(&codes, read_plain(&codes, None)?)?, categories, ordered)
}

/// Codes whose attribute `categories` refers to a data set beside them, as anndata 0.7 wrote them.
fn legacy_categorical(codes: &Array, parent: &Group) -> Result<Column> {
    let name = codes.path().rsplit('/').next().unwrap_or_default();
    let at = format!("{} attribute categories", codes.path());
    let categories = match codes.attributes().reference("categories")? {
        Some(reference) => parent.dereference(&reference, &at)?,
        None => match parent.get(&format!("__categories/{name}"))? {
            Some(node) => node,
            None => {
                return Err(
                    codes.fail(Problem::Missing { expected: format!("its categories, in __categories/{name}") })
                );
            }
        },
    };
    let ordered = categories.attributes().integers("ordered")?.is_some_and(|ordered| ordered.first() == Some(&1));
    let categories = match categories {
        // A lone category was written as a single value by the earliest versions.
        Node::Array(array) if array.shape().is_empty() && !array.is_null() => vec![array.scalar_text()?],
        node => read_categories(node)?,
    };
    with_categories(codes, integers(codes, read_plain(codes, None)?)?, categories, ordered)
}

/// The categories of a categorical. They are no categorical themselves: one could be its own.
pub(super) fn read_categories(node: Node) -> Result<Vec<String>> {
    let expected = "categories that are a plain column";
    let encoding = node.attributes().text("encoding-type")?;
    let column = match node {
        Node::Array(array) if array.attributes().has("categories")? => {
            return Err(array.unexpected(expected, "a categorical"));
        }
        Node::Array(array) => read_plain(&array, None)?,
        Node::Group(group) => match encoding.as_deref() {
            Some(encoding) if NULLABLE.contains(&encoding) => nullable(&group)?,
            other => return Err(group.unexpected(expected, other.unwrap_or("a group"))),
        },
    };
    Ok(texts(column))
}

/// Puts codes and categories together, checking each code.
pub(super) fn with_categories(
    array: &Array,
    codes: Vec<i64>,
    categories: Vec<String>,
    ordered: bool,
) -> Result<Column> {
    let n = categories.len();
    let check = |(row, code): (usize, i64)| match i32::try_from(code) {
        Ok(narrow) if narrow >= -1 && i64::from(narrow) < n as i64 => Ok(narrow),
        _ => {
            let what = format!("code {code} of row {row} is not among the {n} categories");
            Err(array.fail(Problem::Inconsistent { what }))
        }
    };
    let codes = codes.into_iter().enumerate().map(check).collect::<Result<_>>()?;
    Ok(Column::Categorical { codes, categories, ordered })
}

/// A group of `values` and a `mask` that is true where they are missing.
fn nullable(group: &Group) -> Result<Column> {
    let values = group.array("values", "the values of a column")?;
    let mask = group.array("mask", "which values of a column are missing")?;
    let Column::Booleans(missing) = read_plain(&mask, None)? else {
        return Err(mask.unexpected("booleans", &mask.kind().to_string()));
    };
    let column = read_plain(&values, None)?;
    if missing.len() != column.len() {
        let what = format!("{} values but a mask of {}", column.len(), missing.len());
        return Err(group.fail(Problem::Inconsistent { what }));
    }
    fn hide<T>(values: Vec<Option<T>>, missing: &[Option<bool>]) -> Vec<Option<T>> {
        values.into_iter().zip(missing).map(|(value, &hidden)| value.filter(|_| hidden != Some(true))).collect()
    }
    match column {
        Column::Integers(values) => Ok(Column::Integers(hide(values, &missing))),
        Column::Booleans(values) => Ok(Column::Booleans(hide(values, &missing))),
        Column::Strings(values) => Ok(Column::Strings(hide(values, &missing))),
        Column::Floats(values) => Ok(Column::Floats(
            values.into_iter().zip(&missing).map(|(v, &m)| if m == Some(true) { f64::NAN } else { v }).collect(),
        )),
        Column::Categorical { .. } => Err(values.unexpected("numbers, booleans or text", "a categorical")),
    }
}

/// Whole numbers out of a column that must have nothing else.
pub(super) fn integers(array: &Array, column: Column) -> Result<Vec<i64>> {
    match column {
        Column::Integers(values) => Ok(values.into_iter().flatten().collect()),
        _ => Err(array.unexpected("whole numbers", &array.kind().to_string())),
    }
}

/// Each value as text, a missing one as `nan`.
pub(super) fn texts(column: Column) -> Vec<String> {
    column.to_strings().into_iter().map(|text| text.unwrap_or_else(|| "nan".to_owned())).collect()
}
