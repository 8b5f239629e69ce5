//! One prediction for each value of a column of the prompt file: `--split-column`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::anndata::{Column, File, Table};
use crate::cli::{Error, Result};
use crate::domain::inference::{Arm, Location, Split};

/// Name of the file that holds the cells of all splits.
const CONCATENATED: &str = "concatenated.h5ad";

/// Which values to split by, and where the outputs go.
pub struct Wanted {
    /// Column of the prompt's table of cells.
    pub column: String,
    /// Values in their order; all, sorted, if there are none.
    pub values: Vec<String>,
    /// Folder of the outputs.
    pub folder: Location,
    /// One output for all.
    pub concatenate: bool,
}

/// An arm for each value, made from one for the whole file. What was asked for and is not there is told.
pub fn arms(arm: &Arm, wanted: &Wanted, prompt: &Path) -> Result<(Vec<Arm>, Vec<String>)> {
    let present: BTreeSet<String> = values(prompt, &arm.prompt.to_string(), &wanted.column)?.into_iter().collect();
    let mut warnings = Vec::new();
    let mut splits: Vec<&String> = Vec::new();
    for value in
        if wanted.values.is_empty() { present.iter().collect() } else { wanted.values.iter().collect::<Vec<_>>() }
    {
        if !present.contains(value) {
            warnings.push(format!("no prompt cell has {} {value}; that split is left out", wanted.column));
        } else if splits.contains(&value) {
            warnings.push(format!("the split {value} was asked for twice"));
        } else {
            splits.push(value);
        }
    }
    if splits.is_empty() {
        let some = present.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        return Err(Error::failed(format!(
            "{}: none of the values asked for is in obs/{}, which has {some}",
            arm.prompt, wanted.column
        )));
    }
    let mut taken = BTreeSet::new();
    let mut arms = Vec::new();
    for value in splits {
        let file =
            if wanted.concatenate { CONCATENATED.to_owned() } else { free_name(value, &mut taken, &mut warnings) };
        arms.push(Arm {
            name: value.clone(),
            split: Some(Split { column: wanted.column.clone(), value: value.clone() }),
            output: wanted.folder.file(&file),
            ..arm.clone()
        });
    }
    Ok((arms, warnings))
}

/// The value of every cell as Python spells it; `nan` where it is missing, as in the reference.
pub fn values(file: &Path, shown: &str, column: &str) -> Result<Vec<String>> {
    let file = File::open(file).map_err(Error::failed)?;
    if !file.obs().has(column) {
        let columns = file.obs().columns().join(", ");
        return Err(Error::failed(format!("{shown} has no column obs/{column}; it has {columns}"))
            .hint("name one of them with --split-column"));
    }
    let values = file.obs().column(column).map_err(Error::failed)?.to_strings();
    Ok(values.into_iter().map(|value| value.unwrap_or_else(|| "nan".to_owned())).collect())
}

/// The cells of all splits, one split after the other, with their logits and split. Names of cells
/// repeat, as in the reference.
pub fn concatenated(obs: &Table, splits: &[(String, Option<Vec<f32>>)]) -> Table {
    let rows: Vec<usize> = splits.iter().flat_map(|_| 0..obs.index.len()).collect();
    let Table { index_name, index, mut columns } = obs.select(&rows);
    if let Some(logits) = splits.iter().map(|(_, logits)| logits.as_deref()).collect::<Option<Vec<_>>>() {
        columns.retain(|(name, _)| name != "gen_logit");
        let logits = logits.concat().into_iter().map(f64::from).collect();
        columns.push(("gen_logit".to_owned(), Column::Floats(logits)));
    }
    let mut categories: Vec<String> = splits.iter().map(|(value, _)| value.clone()).collect();
    categories.sort();
    let code = |value: &String| categories.partition_point(|other| other < value) as i32;
    let codes = splits.iter().flat_map(|(value, _)| vec![code(value); obs.index.len()]).collect();
    columns.retain(|(name, _)| name != "split_value");
    columns.push(("split_value".to_owned(), Column::Categorical { codes, categories, ordered: false }));
    Table { index_name, index, columns }
}

/// The reference's file name for a split. Where two splits come to one name the reference keeps the last;
/// here the later gets a number.
fn free_name(value: &str, taken: &mut BTreeSet<String>, warnings: &mut Vec<String>) -> String {
    let plain = sanitised(value);
    let mut name = plain.clone();
    let mut number = 2;
    // Some disks do not tell upper from lower case.
    while !taken.insert(name.to_lowercase()) {
        name = format!("{plain}_{number}");
        number += 1;
    }
    if name != plain {
        warnings.push(format!("the split {value} would be written over {plain}.h5ad; it is in {name}.h5ad instead"));
    }
    format!("{name}.h5ad")
}

/// Every run of other characters becomes one `_`; nothing becomes `split`.
fn sanitised(value: &str) -> String {
    let mut name = String::new();
    let mut in_run = false;
    for character in value.chars() {
        let kept = character.is_ascii_alphanumeric() || "_.-".contains(character);
        match (kept, in_run) {
            (true, _) => name.push(character),
            (false, false) => name.push('_'),
            (false, true) => {}
        }
        in_run = !kept;
    }
    if name.is_empty() { "split".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    // `re.sub(r"[^0-9A-Za-z_.-]+", "_", value) or "split"`.
    #[test]
    fn names_are_those_of_the_reference() {
        for (value, name) in
            [("Drug A/1", "Drug_A_1"), ("", "split"), ("a  /é b", "a_b"), ("x_-.9", "x_-.9"), ("µ", "_"), ("..", "..")]
        {
            assert_eq!(sanitised(value), name, "{value}");
        }
    }

    #[test]
    fn two_splits_of_one_name_are_both_kept_and_told() {
        let (mut taken, mut warnings) = (BTreeSet::new(), Vec::new());
        let names = ["a/b", "a b", "A_B", "c"].map(|value| free_name(value, &mut taken, &mut warnings));
        assert_eq!(names, ["a_b.h5ad", "a_b_2.h5ad", "A_B_3.h5ad", "c.h5ad"].map(str::to_owned));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }
}
