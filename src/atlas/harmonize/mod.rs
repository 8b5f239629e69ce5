//! Harmonising: from the columns of a file to cell sets.
//!
//! Every distinct label is resolved once and kept with the file's own spelling, whether or not a
//! term was found; the labels without one are listed in the summary. Cells whose harmonised fields
//! are all equal form one set.

mod meaning;
mod reader;

use std::hash::Hash;
use std::sync::Arc;

use super::coded::Coded;
use super::mapping::Mapping;
use crate::domain::cells::{CellSetKey, SetRows};
use crate::domain::datasets::{Field, ImportSummary};
use crate::domain::ids::Curie;
use crate::domain::terms::{Label, Term};
use reader::Reader;

/// A column of labels; `None` where a cell has none.
pub type Labels = Coded<Option<String>>;

/// What is to be resolved.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// A label as the file or the mapping spells it.
    Text(&'a str),
    /// An id.
    Id(&'a Curie),
}

/// What it was found to be: a term, or in words why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The term.
    pub term: Option<Term>,
    /// How it was found, or the nearest candidates.
    pub how: String,
}

/// Resolves what stands in a field.
pub type Resolve<'a> = dyn Fn(Field, Asked<'_>) -> Found + 'a;

/// Cell sets with what the summary says of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Harmonised {
    /// What the cells of each set share, and which rows they are.
    pub sets: Vec<(CellSetKey, SetRows)>,
    /// Fields, labels, controls and organism; the rest is the caller's.
    pub summary: ImportSummary,
}

/// Why columns cannot be harmonised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Without cell types there is nothing to ask for.
    #[error("no column of obs holds cell types; it has {columns}. Name one in a mapping: [cell_type] column = \"...\"")]
    NoCellType {
        /// The columns.
        columns: String,
    },
    /// A value in a column of Cell Ontology ids is no such id.
    #[error("obs['{column}'] holds '{value}' (first in row {row}), which is not a Cell Ontology id such as CL:0000236")]
    CellTypeId {
        /// Column.
        column: String,
        /// As written.
        value: String,
        /// First row, from 0.
        row: usize,
    },
    /// Cells of more than one organism.
    #[error("the file mixes organisms ({0}); split it, one file for each")]
    Organisms(String),
}

/// Groups the cells of a file. `column` gives the labels of a column of `obs` the mapping names;
/// `columns` are the names of all, for messages.
pub fn harmonize<E: From<Error>>(
    dataset: &str,
    n_cells: usize,
    columns: &[String],
    column: &dyn Fn(&str) -> Result<Labels, E>,
    mapping: &Mapping,
    resolve: &Resolve<'_>,
) -> Result<Harmonised, E> {
    let mut reader = Reader::new(n_cells, column, mapping, resolve);
    if mapping.source(Field::CellType).is_none() {
        return Err(Error::NoCellType { columns: listed(columns.iter().map(String::as_str)) }.into());
    }
    let unnamed = || Label { original: MISSING.to_owned(), term: None };
    // Field by field, so that few columns of codes are in memory at once.
    let groups = reader.terms(Field::CellType)?.map(|label| label.clone().unwrap_or_else(unnamed));
    let groups = groups.zip(&reader.conditions()?);
    let groups = groups.zip(&reader.texts(Field::Donor)?);
    let groups = groups.zip(&reader.terms(Field::Tissue)?);
    let groups = groups.zip(&reader.terms(Field::Disease)?);
    let groups = groups.zip(&reader.texts(Field::Batch)?);
    let groups = groups.zip(&reader.texts(Field::SampleCondition)?);
    reader.organism()?;

    let rows = rows_of_groups(&groups);
    let keys = groups.values().iter().cloned().map(
        |((((((cell_type, condition), donor), tissue), disease), batch), sample_condition)| CellSetKey {
            dataset: dataset.to_owned(),
            cell_type,
            condition,
            donor,
            tissue,
            disease,
            batch,
            sample_condition,
        },
    );
    let mut sets: Vec<_> = keys.zip(rows).collect();
    sets.sort_by(|a, b| a.0.cmp(&b.0));
    let mut summary = reader.summary;
    summary.n_sets = sets.len() as u64;
    Ok(Harmonised { sets, summary })
}

/// The cells of each group.
fn rows_of_groups<T: Eq + Hash + Clone>(groups: &Coded<T>) -> Vec<SetRows> {
    let ends = groups.counts().into_iter().scan(0, |end, n| {
        *end += n as usize;
        Some(*end)
    });
    let starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
    let mut next = starts.clone();
    // Ascending within each group, because cells are gone through in their order.
    let mut ordered = vec![0u32; groups.codes().len()];
    for (row, &group) in groups.codes().iter().enumerate() {
        let next = &mut next[group as usize];
        ordered[*next] = row as u32;
        *next += 1;
    }
    let ordered = Arc::new(ordered);
    starts.windows(2).map(|pair| SetRows::new(ordered.clone(), pair[0]..pair[1])).collect()
}

/// Stands in place of a label where a cell type or perturbation has none.
pub const MISSING: &str = "(missing)";

/// The first few of a list, for a message.
pub(in crate::atlas) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let n = names.len();
    let shown = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    match n {
        0 => "none".to_owned(),
        n if n > SHOWN => format!("{shown} and {} more", n - SHOWN),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::domain::cells::Condition;
    use crate::domain::datasets::ControlTaken;

    fn column(text: &str) -> Labels {
        Coded::new(text.split(' ').map(|label| (label != "-").then(|| label.to_owned())))
    }

    /// Knows two cell types, one perturbation and nothing else.
    fn resolve(field: Field, asked: Asked<'_>) -> Found {
        let table = [
            (Field::CellType, "CL:0000236", "B cell", "B"),
            (Field::CellType, "CL:0000624", "CD4-positive, alpha-beta T cell", "T4"),
            (Field::Perturbation, "uniprot:P01574", "interferon beta", "IFNB1"),
        ];
        let fits = |(f, id, name, synonym): &(Field, &str, &str, &str)| {
            *f == field
                && match asked {
                    Asked::Text(text) => text == *name || text == *synonym,
                    Asked::Id(asked) => asked.as_str() == *id,
                }
        };
        match table.iter().find(|row| fits(row)) {
            Some((_, id, name, _)) => {
                let term = Term { id: id.parse().unwrap(), name: (*name).to_owned() };
                Found { term: Some(term), how: "exact".into() }
            }
            None => Found { term: None, how: "nothing like it".into() },
        }
    }

    fn run(columns: &[(&str, &str)], mapping: &str) -> Result<Harmonised, Error> {
        let columns: HashMap<String, Labels> =
            columns.iter().map(|(name, text)| ((*name).to_owned(), column(text))).collect();
        let n_cells = columns.values().next().unwrap().codes().len();
        let mut names: Vec<String> = columns.keys().cloned().collect();
        names.sort();
        let mapping = Mapping::parse(mapping).unwrap();
        harmonize("d", n_cells, &names, &|name| Ok(columns[name].clone()), &mapping, &resolve)
    }

    fn rows(set: &(CellSetKey, SetRows)) -> Vec<u32> {
        set.1.to_vec()
    }

    #[test]
    fn cells_with_equal_fields_form_a_set_and_none_is_lost() {
        let columns = [("type", "B B T4 B X B"), ("group", "stim ctrl stim stim stim -"), ("donor", "1 1 1 2 1 1")];
        let mapping = r#"
            donor = "donor"
            cell_type = "type"
            [perturbation]
            column = "group"
            [perturbation.values]
            stim = { name = "interferon beta" }
            never = "IFNB1"
        "#;
        let harmonised = run(&columns, mapping).unwrap();
        let mut all: Vec<u32> = harmonised.sets.iter().flat_map(rows).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5]);
        assert_eq!(harmonised.sets.len(), 6);
        let control = harmonised.sets.iter().find(|set| set.0.condition.is_control()).unwrap();
        assert_eq!(rows(control), [1]);
        let unresolved: Vec<_> = harmonised.summary.unresolved().map(|label| label.original.as_str()).collect();
        assert_eq!(unresolved, ["X", MISSING]);
        assert_eq!(harmonised.summary.controls, [ControlTaken { original: Some("ctrl".into()), n_cells: 1 }]);
    }

    #[test]
    fn a_missing_label_is_a_control_only_where_something_says_so() {
        let columns = [("type", "B B B"), ("group", "- ctrl IFNB1"), ("nperts", "0 0 1")];
        let controls = |mapping: &str| {
            let harmonised = run(&columns, mapping).unwrap();
            harmonised.sets.iter().filter(|s| s.0.condition.is_control()).map(|s| s.1.len()).sum::<usize>()
        };
        assert_eq!(
            controls(
                "cell_type = 'type'
perturbation = 'group'"
            ),
            1
        );
        assert_eq!(
            controls(
                "cell_type = 'type'
[perturbation]
column = 'group'
missing_is_control = true"
            ),
            2
        );
        let by_number = "cell_type = 'type'
[perturbation]
column = 'group'
control_where = { nperts = ['0'] }";
        assert_eq!(controls(by_number), 2);
    }

    #[test]
    fn doses_and_times_split_perturbed_cells_but_doses_not_controls() {
        let columns =
            [("type", "B B B B"), ("g", "IFNB1 IFNB1 PBS PBS"), ("dose", "1.0 10.0 0.0 1.0"), ("t", "6 6 6 6")];
        let mapping = "cell_type = 'type'
perturbation = 'g'
[dose]
column = 'dose'
unit = 'uM'
[time]
column = 't'
unit = 'h'";
        let harmonised = run(&columns, mapping).unwrap();
        let sizes: Vec<usize> = harmonised.sets.iter().map(|set| set.1.len()).collect();
        assert_eq!(sizes, [2, 1, 1]);
        let Condition::Perturbed { dose, time, perturbation } = &harmonised.sets[1].0.condition else { panic!() };
        assert_eq!((dose.as_deref(), time.as_deref()), (Some("1.0 uM"), Some("6 h")));
        assert_eq!(perturbation.name(), "interferon beta");
    }

    #[test]
    fn ids_in_the_file_are_used_and_wrong_ones_refused() {
        let columns = [("cell_type", "b t"), ("ids", "CL:0000236 CL:9999999"), ("bad", "CL:0000236 PATO:0000461")];
        let harmonised = run(
            &columns,
            "[cell_type]
column = 'cell_type'
id_column = 'ids'",
        )
        .unwrap();
        let names: Vec<&str> = harmonised.sets.iter().map(|set| set.0.cell_type.name()).collect();
        assert_eq!(names, ["B cell", "t"]);
        assert!(harmonised.summary.labels[1].how.contains("nothing like it"), "{:?}", harmonised.summary.labels);
        let error = run(
            &columns,
            "[cell_type]
column = 'cell_type'
id_column = 'bad'",
        )
        .unwrap_err();
        assert!(error.to_string().contains("'PATO:0000461' (first in row 1)"), "{error}");
    }

    #[test]
    fn a_file_needs_cell_types_and_one_organism() {
        let columns = [("x", "B B"), ("species", "human mouse")];
        let error = run(&columns, "donor = 'x'").unwrap_err().to_string();
        assert!(error.contains("it has species, x"), "{error}");
        let error = run(
            &columns,
            "cell_type = 'x'
organism = 'species'",
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("human, mouse"), "{error}");
    }
}
