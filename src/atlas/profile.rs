//! Profiles: the column conventions files follow, recognised by the columns themselves.
//!
//! A profile turns the names of a file's columns into a [`Mapping`]. To add one: an arm in
//! [`Profile`], how it is recognised, and its columns.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::mapping::{Mapping, Source};
use crate::domain::datasets::Field;

/// A convention for the columns of `obs` and `var`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The column names people commonly use.
    Generic,
    /// scPerturb: `perturbation` with `control`, `nperts`, `celltype`, dose and unit apart.
    ScPerturb,
    /// The CELLxGENE schema, versions 3 to 7: `*_ontology_term_id` columns beside the names.
    Cellxgene,
}

/// A name that is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a profile; use generic, scperturb or cellxgene")]
pub struct UnknownProfile(String);

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Generic, Self::ScPerturb, Self::Cellxgene];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::ScPerturb => "scperturb",
            Self::Cellxgene => "cellxgene",
        }
    }

    /// The profile whose columns these are.
    pub fn recognise(obs: &[String]) -> Self {
        let has = |name: &str| obs.iter().any(|column| column == name);
        if has("cell_type_ontology_term_id") && (has("assay_ontology_term_id") || has("is_primary_data")) {
            Self::Cellxgene
        } else if has("perturbation") && has("nperts") {
            Self::ScPerturb
        } else {
            Self::Generic
        }
    }

    /// Which of the file's columns the profile takes for what.
    ///
    /// `var_index_is_ids` says that the index of `var` holds Ensembl ids, so that symbols must come
    /// from a column.
    pub fn mapping(self, obs: &[String], var: &[String], var_index_is_ids: bool) -> Mapping {
        let obs = Columns(obs);
        let mut fields = match self {
            Self::Generic => generic(obs),
            Self::ScPerturb => scperturb(obs),
            Self::Cellxgene => cellxgene(obs),
        };
        fields.retain(|_, source| source.columns().next().is_some());
        let gene_symbols = Columns(var).first(&GENE_SYMBOLS).filter(|_| var_index_is_ids).map(str::to_owned);
        Mapping { counts_in: None, gene_symbols, fields }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == name).ok_or_else(|| UnknownProfile(name.to_owned()))
    }
}

/// Columns of `var` that hold gene symbols, most telling first.
const GENE_SYMBOLS: [&str; 7] =
    ["feature_name", "gene_symbols", "gene_symbol", "symbol", "gene_name", "gene_short_name", "hgnc_symbol"];

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
    (Field::Tissue, &["tissue", "organ", "tissue_name"]),
    (Field::Disease, &["disease", "disease_state", "diagnosis"]),
    (Field::Batch, &["batch", "plate", "plate_name", "gem_group", "library", "lane"]),
    (Field::Dose, &["dose_uM", "dose", "dose_value", "concentration"]),
    (Field::Time, &["timepoint_hr", "time_hr", "time_h", "time", "timepoint"]),
    (Field::Organism, &["organism", "species"]),
];

fn generic(obs: Columns<'_>) -> BTreeMap<Field, Source> {
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

fn scperturb(obs: Columns<'_>) -> BTreeMap<Field, Source> {
    let plain = |names: &[&str]| Source { column: obs.first(names).map(str::to_owned), ..Source::default() };
    let optional = |name: &str| obs.first(&[name]).map(str::to_owned);
    let nperts = optional("nperts").map(|column| (column, vec!["0".to_owned(), "0.0".to_owned()]));
    let perturbation = Source {
        second_column: optional("perturbation_2"),
        control_where: nperts.into_iter().collect(),
        ..plain(&["perturbation"])
    };
    BTreeMap::from([
        (Field::CellType, plain(&["celltype", "cell_type", "cell_line"])),
        (Field::Perturbation, perturbation),
        (Field::Dose, Source { unit_column: optional("dose_unit"), ..plain(&["dose_value"]) }),
        (Field::Time, Source { unit: Some("h".to_owned()), ..plain(&["time"]) }),
        (Field::Donor, plain(&["donor", "patient", "replicate", "sample"])),
        (Field::Tissue, plain(&["tissue", "tissue_type"])),
        (Field::Disease, plain(&["disease"])),
        (Field::Batch, plain(&["batch", "gem_group"])),
        (Field::Organism, plain(&["organism"])),
    ])
}

fn cellxgene(obs: Columns<'_>) -> BTreeMap<Field, Source> {
    let optional = |name: &str| obs.exactly(name).map(str::to_owned);
    // The readable column came before the id column was required and may be absent from a
    // submission; the ids alone are enough.
    let with_ids = |name: &str| {
        let ids = optional(&format!("{name}_ontology_term_id"));
        match optional(name) {
            Some(column) => Source { column: Some(column), id_column: ids, ..Source::default() },
            None => Source { column: ids, ..Source::default() },
        }
    };
    let plain = |name: &str| Source { column: optional(name), ..Source::default() };
    // Guides come first, because the strategy column speaks of them alone; `na` is no condition.
    let guides = optional("genetic_perturbation_id");
    let conditions = optional("experimental_condition_ontology_term_id");
    let strategy = optional("genetic_perturbation_strategy").filter(|_| guides.is_some());
    let no_guide = ["control", "no perturbations", "na"].map(str::to_owned).to_vec();
    let control = guides.is_some() || conditions.is_some();
    let second_column = conditions.clone().filter(|_| guides.is_some());
    let perturbation = Source {
        column: guides.or(conditions),
        second_column,
        control: control.then(|| vec!["na".to_owned()]),
        control_where: strategy.map(|column| (column, no_guide)).into_iter().collect(),
        ..Source::default()
    };
    BTreeMap::from([
        (Field::CellType, with_ids("cell_type")),
        (Field::Perturbation, perturbation),
        (Field::Donor, plain("donor_id")),
        (Field::Tissue, with_ids("tissue")),
        (Field::Disease, with_ids("disease")),
        (Field::Organism, with_ids("organism")),
    ])
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

#[derive(Clone, Copy)]
struct Columns<'a>(&'a [String]);

impl<'a> Columns<'a> {
    fn exactly(self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|column| *column == name).map(String::as_str)
    }

    /// The first of the names that a column has, spelling aside.
    fn first(self, names: &[&str]) -> Option<&'a str> {
        let plain = |text: &str| text.to_lowercase().replace(['_', '-', '.', ' '], "");
        names.iter().find_map(|name| self.0.iter().find(|column| plain(column) == plain(name))).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &str) -> Vec<String> {
        names.split(' ').map(str::to_owned).collect()
    }

    fn column(mapping: &Mapping, field: Field) -> Option<&str> {
        mapping.source(field).and_then(|source| source.column.as_deref())
    }

    #[test]
    fn profiles_are_recognised_by_their_columns() {
        let cellxgene = columns("cell_type_ontology_term_id assay_ontology_term_id donor_id");
        assert_eq!(Profile::recognise(&cellxgene), Profile::Cellxgene);
        assert_eq!(Profile::recognise(&columns("perturbation nperts celltype")), Profile::ScPerturb);
        assert_eq!(Profile::recognise(&columns("cluster_id group_id")), Profile::Generic);
        assert!("scPerturb".parse::<Profile>().unwrap_err().to_string().contains("scperturb"));
    }

    #[test]
    fn common_names_are_found_whatever_their_spelling() {
        // The obs columns of the OpenProblems 2023 perturbation set.
        let obs = columns("dose_uM timepoint_hr well plate_name Cell.Type donor_id sm_name split");
        let mapping = Profile::Generic.mapping(&obs, &columns("gene_name"), false);
        assert_eq!(column(&mapping, Field::CellType), Some("Cell.Type"));
        assert_eq!(column(&mapping, Field::Perturbation), Some("sm_name"));
        assert_eq!(column(&mapping, Field::Batch), Some("plate_name"));
        assert_eq!(mapping.source(Field::Dose).unwrap().unit.as_deref(), Some("uM"));
        assert_eq!(mapping.source(Field::Time).unwrap().unit.as_deref(), Some("h"));
        assert_eq!(column(&mapping, Field::Tissue), None);
        assert_eq!(mapping.gene_symbols, None);
        let mapping = Profile::Generic.mapping(&obs, &columns("gene_name"), true);
        assert_eq!(mapping.gene_symbols.as_deref(), Some("gene_name"));
    }

    #[test]
    fn scperturb_columns_are_taken_as_the_project_documents_them() {
        let obs =
            columns("perturbation nperts celltype cell_line dose_value dose_unit perturbation_2 organism disease");
        let mapping = Profile::ScPerturb.mapping(&obs, &[], false);
        let perturbation = mapping.source(Field::Perturbation).unwrap();
        assert_eq!(perturbation.second_column.as_deref(), Some("perturbation_2"));
        assert_eq!(perturbation.control_where["nperts"], ["0", "0.0"]);
        assert_eq!(mapping.source(Field::Dose).unwrap().unit_column.as_deref(), Some("dose_unit"));
        assert_eq!(column(&mapping, Field::CellType), Some("celltype"));
        assert_eq!(mapping.source(Field::Donor), None);
    }

    #[test]
    fn cellxgene_takes_ids_with_names_and_ids_alone() {
        let obs = columns(
            "cell_type cell_type_ontology_term_id disease_ontology_term_id donor_id assay_ontology_term_id \
             experimental_condition_ontology_term_id",
        );
        let mapping = Profile::Cellxgene.mapping(&obs, &columns("feature_name"), true);
        let cell_type = mapping.source(Field::CellType).unwrap();
        assert_eq!(cell_type.column.as_deref(), Some("cell_type"));
        assert_eq!(cell_type.id_column.as_deref(), Some("cell_type_ontology_term_id"));
        assert_eq!(column(&mapping, Field::Disease), Some("disease_ontology_term_id"));
        let perturbation = mapping.source(Field::Perturbation).unwrap();
        assert_eq!(perturbation.control.as_deref(), Some(&["na".to_owned()][..]));
        assert_eq!(mapping.gene_symbols.as_deref(), Some("feature_name"));
    }
}
