//! Tables and their columns.

use std::collections::{BTreeMap, BTreeSet};

use crate::anndata::column::Column;
use crate::anndata::data::Table;
use crate::anndata::error::Result;
use crate::anndata::store::{Target, is_name};

/// The name of the index where it has none of its own.
const INDEX: &str = "_index";

/// Whether a column can be called so.
pub fn is_column_name(name: &str) -> bool {
    is_name(name) && name != INDEX
}

impl Table {
    /// Takes out the columns that cannot be written, and an index name that cannot. Which columns, and
    /// why.
    pub fn drop_unwritable(&mut self) -> Vec<(String, String)> {
        let _ = self.index_name.take_if(|name| !is_name(name));
        let mut seen = BTreeSet::new();
        let mut dropped = Vec::new();
        for (name, column) in std::mem::take(&mut self.columns) {
            let why = match seen.insert(name.clone()) {
                true => refusal(self, &name, &column),
                false => Some("an earlier column has the same name".to_owned()),
            };
            match why {
                Some(why) => dropped.push((name, why)),
                None => self.columns.push((name, column)),
            }
        }
        dropped
    }
}

/// Writes a table.
pub(super) fn write(parent: &Target, name: &str, table: &Table) -> Result<()> {
    let group = parent.group(name, "dataframe", "0.2.0")?;
    let columns: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    group.check_unique(columns.iter().copied())?;
    let index = table.index_name.as_deref().unwrap_or(INDEX);
    group.attribute_text("_index", index)?;
    group.attribute_texts("column-order", &columns)?;
    group.texts(index, &table.index)?;
    for (name, column) in &table.columns {
        if column.len() != table.index.len() {
            let what = format!("it has {} values for {} rows", column.len(), table.index.len());
            return Err(group.unwritable(name, what));
        }
        if let Some(what) = refusal(table, name, column) {
            return Err(group.unwritable(name, what));
        }
        if name != index {
            write_column(&group, name, column)?;
        }
    }
    Ok(())
}

/// Why a column of a table cannot be written, if it cannot.
fn refusal(table: &Table, name: &str, column: &Column) -> Option<String> {
    if name == INDEX {
        return Some("this name is reserved for the index; rename the column".to_owned());
    }
    if !is_name(name) {
        return Some(format!("{name:?} cannot be a name in the file; rename it"));
    }
    if table.index_name.as_deref() == Some(name) && !repeats_index(column, &table.index) {
        return Some("the index has the same name but other values; rename one".to_owned());
    }
    let text = match column {
        Column::Strings(values) => values.iter().flatten().find(|text| text.contains('\0')),
        Column::Categorical { categories, .. } => {
            let mut seen = BTreeSet::new();
            if let Some(twice) = categories.iter().find(|category| !seen.insert(*category)) {
                return Some(format!("the category {twice:?} comes twice; rename one"));
            }
            categories.iter().find(|text| text.contains('\0'))
        }
        Column::Integers(_) | Column::Floats(_) | Column::Booleans(_) => None,
    };
    text.map(|text| format!("{text:?} contains a NUL, which text in HDF5 cannot"))
}

/// anndata stores a column that only repeats the index once.
fn repeats_index(column: &Column, index: &[String]) -> bool {
    matches!(column, Column::Strings(values) if values.iter().map(Option::as_ref).eq(index.iter().map(Some)))
}

fn write_column(group: &Target, name: &str, column: &Column) -> Result<()> {
    match column {
        Column::Categorical { codes, categories, ordered } => {
            write_categorical(group, name, codes, categories, *ordered)
        }
        Column::Strings(values) => match values.iter().map(Option::as_deref).collect::<Option<Vec<_>>>() {
            Some(texts) => group.texts(name, &texts),
            None => {
                let (codes, categories) = categories_of(values);
                write_categorical(group, name, &codes, &categories, false)
            }
        },
        Column::Integers(values) => write_nullable(group, name, values, "nullable-integer"),
        Column::Booleans(values) => write_nullable(group, name, values, "nullable-boolean"),
        Column::Floats(values) => group.array(name, values, vec![values.len()]),
    }
}

/// The distinct texts in their order, and for each value which it is, -1 where it is missing.
fn categories_of(values: &[Option<String>]) -> (Vec<i32>, Vec<String>) {
    let mut codes: BTreeMap<&str, i32> = values.iter().flatten().map(|text| (text.as_str(), 0)).collect();
    for (position, code) in codes.values_mut().enumerate() {
        *code = position as i32;
    }
    let of = |value: &Option<String>| value.as_deref().and_then(|text| codes.get(text).copied()).unwrap_or(-1);
    (values.iter().map(of).collect(), codes.keys().map(|&text| text.to_owned()).collect())
}

fn write_categorical(parent: &Target, name: &str, codes: &[i32], categories: &[String], ordered: bool) -> Result<()> {
    let group = parent.group(name, "categorical", "0.2.0")?;
    let n = categories.len();
    if let Some(code) = codes.iter().find(|&&code| code < -1 || i64::from(code) >= n as i64) {
        return Err(parent.unwritable(name, format!("the code {code} is not among the {n} categories")));
    }
    group.attribute_bool("ordered", ordered)?;
    group.texts("categories", categories)?;
    // The narrowest type that pandas would take.
    match n {
        0..0x7f => group.array("codes", &codes.iter().map(|&code| code as i8).collect::<Vec<_>>(), vec![codes.len()]),
        0x7f..0x7fff => {
            group.array("codes", &codes.iter().map(|&code| code as i16).collect::<Vec<_>>(), vec![codes.len()])
        }
        _ => group.array("codes", codes, vec![codes.len()]),
    }
}

/// A plain array where nothing is missing, otherwise values with a mask.
fn write_nullable<T: hdf5::H5Type + Copy + Default>(
    parent: &Target,
    name: &str,
    values: &[Option<T>],
    encoding: &str,
) -> Result<()> {
    if let Some(all) = values.iter().copied().collect::<Option<Vec<T>>>() {
        return parent.array(name, &all, vec![all.len()]);
    }
    let group = parent.group(name, encoding, "0.1.0")?;
    let present: Vec<T> = values.iter().map(|value| value.unwrap_or_default()).collect();
    let missing: Vec<bool> = values.iter().map(Option::is_none).collect();
    group.array("values", &present, vec![present.len()])?;
    group.array("mask", &missing, vec![missing.len()])
}
