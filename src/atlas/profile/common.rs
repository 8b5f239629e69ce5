//! The generic profile: column names people commonly use, whatever their spelling.

use std::collections::BTreeMap;

use crate::atlas::mapping::Source;
use crate::domain::datasets::Field;

/// Columns of `var` that hold gene symbols, most telling first.
pub(super) const GENE_SYMBOLS: [&str; 9] = [
    "feature_name",
    "gene_symbols",
    "gene_symbol",
    "symbol",
    "gene_name",
    "gene_names",
    "gene_short_name",
    "hgnc_symbol",
    "name",
];

/// Common names per field, most telling first. Case, dots, dashes and underscores do not count.
const COMMON: [(Field, &[&str]); 9] = [
    (
        Field::CellType,
        &["cell_type", "celltypes", "cell_ontology_class", "cell_label", "cell_annotation", "annotation"],
    ),
    (
        Field::Perturbation,
        &[
            "perturbation",
            "perturbation_name",
            "cytokine",
            "sm_name",
            "drug",
            "compound",
            "treatment",
            "stimulation",
            "stim",
            "stimulus",
            "target_gene",
            "condition",
        ],
    ),
    (
        Field::Donor,
        &["donor", "donor_id", "patient", "patient_id", "individual", "subject", "subject_id", "replicate", "bio_rep"],
    ),
    (Field::Tissue, &["tissue", "organ", "organ_tissue", "tissue_name"]),
    (Field::Disease, &["disease", "disease_state", "diagnosis"]),
    (Field::Batch, &["batch", "plate", "plate_name", "gem_group", "library", "lane"]),
    (Field::Dose, &["dose_uM", "dose", "dose_value", "concentration"]),
    (Field::Time, &["timepoint_hr", "time_hr", "time_h", "time", "timepoint"]),
    (Field::Organism, &["organism", "species"]),
];

pub(super) fn generic(obs: Columns<'_>) -> BTreeMap<Field, Source> {
    let mut fields = BTreeMap::new();
    for (field, names) in COMMON {
        let Some(column) = obs.first(names) else { continue };
        fields.insert(field, Source { unit: unit_in(column), ..Source::of_column(column) });
    }
    if let (Some(dose), Some(unit)) = (fields.get_mut(&Field::Dose), obs.first(&["dose_unit"]))
        && dose.unit.is_none()
    {
        dose.unit_column = Some(unit.to_owned());
    }
    if let (Some(cell_type), Some(ids)) =
        (fields.get_mut(&Field::CellType), obs.first(&["cell_type_ontology_term_id", "cell_ontology_id"]))
    {
        cell_type.id_column = Some(ids.to_owned());
    }
    fields
}

/// The unit a column's name ends in, as `dose_uM` and `timepoint_hr` do.
fn unit_in(column: &str) -> Option<String> {
    let (_, last) = column.rsplit_once(['_', '.', ' '])?;
    let unit = match last {
        "hr" | "h" | "hours" | "hrs" => "h",
        "uM" | "nM" | "mM" => last,
        "min" | "days" => last,
        _ => return None,
    };
    Some(unit.to_owned())
}

/// Names of columns.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a>(pub(super) &'a [String]);

impl<'a> Columns<'a> {
    pub(super) fn exactly(self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|column| *column == name).map(String::as_str)
    }

    /// The first of the names that a column has, spelling aside.
    pub(super) fn first(self, names: &[&str]) -> Option<&'a str> {
        let plain = |text: &str| text.to_lowercase().replace(['_', '-', '.', ' '], "");
        names.iter().find_map(|name| self.0.iter().find(|column| plain(column) == plain(name))).map(String::as_str)
    }

    /// A source that is the first of these columns; one without a column where there is none.
    pub(super) fn source(self, names: &[&str]) -> Source {
        Source { column: self.first(names).map(str::to_owned), ..Source::default() }
    }
}
