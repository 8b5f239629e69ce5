//! Profiles: the column conventions files follow, recognised by the columns themselves.
//!
//! A profile turns the names of a file's columns into a [`Mapping`]. To add one: an arm in
//! [`Profile`], how it is recognised, and its columns in `published`.

mod common;
mod published;

use std::fmt;
use std::str::FromStr;

use super::mapping::{Mapping, Source};
use common::Columns;

/// A convention for the columns of `obs` and `var`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The column names people commonly use.
    Generic,
    /// Parse Biosciences' ten million PBMCs under 90 cytokines: `cytokine` with `PBS`, `donor`, 24 h.
    Parse,
    /// The OpenProblems (NeurIPS 2023) compounds on PBMCs: `sm_name` with `Dimethyl Sulfoxide`.
    OpenProblems,
    /// Tabula Sapiens, as its authors or as CELLxGENE spell its columns; every cell is unperturbed.
    TabulaSapiens,
    /// The CELLxGENE schema, versions 3 to 7: `*_ontology_term_id` columns beside the names.
    Cellxgene,
    /// scPerturb: `perturbation` with `control`, `nperts`, `celltype`, dose and unit apart.
    ScPerturb,
    /// Replogle 2022 and its successors: `gene` with `non-targeting`, `gem_group`.
    Replogle,
    /// The Virtual Cell Challenge: `target_gene` with `non-targeting`.
    Vcc,
    /// Tahoe-100M: drug and dose in `drugname_drugconc`, cell lines, plates.
    Tahoe,
}

/// A name that is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a profile; use {known}", known = Profile::ALL.map(Profile::as_str).join(", "))]
pub struct UnknownProfile(String);

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 9] = [
        Self::Generic,
        Self::Parse,
        Self::OpenProblems,
        Self::TabulaSapiens,
        Self::Cellxgene,
        Self::ScPerturb,
        Self::Replogle,
        Self::Vcc,
        Self::Tahoe,
    ];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Parse => "parse",
            Self::OpenProblems => "openproblems",
            Self::TabulaSapiens => "tabula-sapiens",
            Self::Cellxgene => "cellxgene",
            Self::ScPerturb => "scperturb",
            Self::Replogle => "replogle",
            Self::Vcc => "vcc",
            Self::Tahoe => "tahoe",
        }
    }

    /// The profile whose columns these are. Those that few other files have are asked for first.
    pub fn recognise(obs: &[String]) -> Self {
        let has = |name: &str| obs.iter().any(|column| column == name);
        let any = |names: &[&str]| names.iter().any(|name| has(name));
        if has("drugname_drugconc") {
            Self::Tahoe
        } else if has("cytokine") && any(&["bc1_well", "bc1_wind", "tscp_count", "treatment"]) {
            Self::Parse
        } else if has("sm_name") && any(&["dose_uM", "timepoint_hr", "plate_name", "hashtag_id", "sm_lincs_id"]) {
            Self::OpenProblems
        } else if has("compartment") && any(&["free_annotation", "cell_ontology_class"]) {
            Self::TabulaSapiens
        } else if has("cell_type_ontology_term_id") && any(&["assay_ontology_term_id", "is_primary_data"]) {
            Self::Cellxgene
        } else if has("perturbation") && has("nperts") {
            Self::ScPerturb
        } else if has("gene") && any(&["sgID_AB", "gem_group"]) {
            Self::Replogle
        } else if has("target_gene") && any(&["guide_id", "batch", "context"]) {
            Self::Vcc
        } else {
            Self::Generic
        }
    }

    /// Which of the file's columns the profile takes for what.
    ///
    /// `named` says that the user named the profile: then constants of the published set, which no
    /// column holds, count too. `var_index_is_ids` says that the index of `var` holds Ensembl ids, so
    /// that symbols must come from a column.
    pub fn mapping(self, named: bool, obs: &[String], var: &[String], var_index_is_ids: bool) -> Mapping {
        let columns = Columns(obs);
        let mut fields = match self {
            Self::Generic => common::generic(columns),
            Self::Parse => published::parse(columns),
            Self::OpenProblems => published::openproblems(columns),
            Self::TabulaSapiens => published::tabula_sapiens(columns),
            Self::Cellxgene => published::cellxgene(columns),
            Self::ScPerturb => published::scperturb(columns),
            Self::Replogle => published::replogle(columns),
            Self::Vcc => published::vcc(columns, named),
            Self::Tahoe => published::tahoe(columns),
        };
        fields.retain(|_, source| source.value.is_some() || source.columns().next().is_some());
        let gene_symbols = Columns(var).first(&common::GENE_SYMBOLS).filter(|_| var_index_is_ids).map(str::to_owned);
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

/// A value the profile knows of every cell, because the published set says so elsewhere.
fn constant(value: &str) -> Source {
    Source { value: Some(value.to_owned()), said_by: Some("profile".to_owned()), ..Source::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::datasets::Field;

    fn columns(names: &str) -> Vec<String> {
        names.split(' ').map(str::to_owned).collect()
    }

    fn column(mapping: &Mapping, field: Field) -> Option<&str> {
        mapping.source(field).and_then(|source| source.column.as_deref())
    }

    /// The columns of each published set, as `ANCHORS` of the field list them.
    const PUBLISHED: [(Profile, &str); 10] = [
        (Profile::Parse, "bc1_well bc1_wind sample donor cytokine treatment cell_type species gene_count tscp_count"),
        (
            Profile::OpenProblems,
            "dose_uM timepoint_hr raw_cell_id hashtag_id well container_format row col plate_name cell_id cell_type \
             split donor_id sm_name",
        ),
        (
            Profile::TabulaSapiens,
            "organ_tissue method donor anatomical_information n_counts_UMIs n_genes cell_ontology_class \
             free_annotation manually_annotated compartment gender",
        ),
        (
            Profile::TabulaSapiens,
            "cell_type_ontology_term_id assay_ontology_term_id cell_type assay tissue donor_id free_annotation \
             compartment is_primary_data",
        ),
        (Profile::Cellxgene, "cell_type_ontology_term_id assay_ontology_term_id donor_id"),
        (Profile::ScPerturb, "perturbation perturbation_type nperts ncounts organism celltype gene gem_group"),
        (Profile::Replogle, "gene sgID_AB gem_group mitopercent gene_id UMI_count"),
        (Profile::Vcc, "target_gene guide_id batch"),
        (
            Profile::Tahoe,
            "plate BARCODE_SUB_LIB_ID sample gene_count tscp_count drugname_drugconc drug cell_line cell_name \
             pass_filter",
        ),
        (Profile::Generic, "cluster_id group_id"),
    ];

    #[test]
    fn profiles_are_recognised_by_their_columns() {
        for (profile, names) in PUBLISHED {
            assert_eq!(Profile::recognise(&columns(names)), profile, "{names}");
        }
        let message = "scPerturb".parse::<Profile>().unwrap_err().to_string();
        assert!(message.contains("scperturb") && message.contains("tahoe"), "{message}");
        for profile in Profile::ALL {
            assert_eq!(profile.as_str().parse(), Ok(profile));
        }
    }

    #[test]
    fn published_sets_are_taken_as_their_authors_document_them() {
        let taken = |at: usize| {
            let (profile, names) = PUBLISHED[at];
            profile.mapping(false, &columns(names), &[], false)
        };
        let expected = [
            (0, Field::Perturbation, Some("cytokine")),
            (0, Field::Donor, Some("donor")),
            (0, Field::CellType, Some("cell_type")),
            (0, Field::Batch, None),
            (1, Field::Perturbation, Some("sm_name")),
            (1, Field::Donor, Some("donor_id")),
            (1, Field::Batch, Some("plate_name")),
            (1, Field::Dose, Some("dose_uM")),
            (2, Field::CellType, Some("cell_ontology_class")),
            (2, Field::Tissue, Some("organ_tissue")),
            (2, Field::Batch, Some("method")),
            (3, Field::CellType, Some("cell_type")),
            (3, Field::Tissue, Some("tissue")),
            (3, Field::Perturbation, None),
            (6, Field::Perturbation, Some("gene")),
            (6, Field::Batch, Some("gem_group")),
            (6, Field::CellType, None),
            (7, Field::Perturbation, Some("target_gene")),
            (7, Field::CellType, None),
            (8, Field::Perturbation, Some("drug")),
            (8, Field::Dose, Some("drugname_drugconc")),
            (8, Field::CellType, Some("cell_name")),
            (8, Field::Batch, Some("plate")),
        ];
        for (at, field, name) in expected {
            assert_eq!(column(&taken(at), field), name, "{:?} {field}", PUBLISHED[at].0);
        }
        let time = taken(0).fields[&Field::Time].clone();
        assert_eq!((time.value.as_deref(), time.unit.as_deref()), (Some("24"), Some("h")));
        assert!(taken(8).fields[&Field::Dose].tuples);
        // A file is not taken for H1 cells by its columns alone.
        let named = Profile::Vcc.mapping(true, &columns(PUBLISHED[7].1), &[], false);
        assert!(named.fields[&Field::CellType].value.is_some());
    }

    #[test]
    fn common_names_are_found_whatever_their_spelling() {
        let obs = columns("dose_uM timepoint_hr well plate_name Cell.Type donor_id sm_name split");
        let mapping = Profile::Generic.mapping(false, &obs, &columns("gene_name"), false);
        assert_eq!(column(&mapping, Field::CellType), Some("Cell.Type"));
        assert_eq!(column(&mapping, Field::Perturbation), Some("sm_name"));
        assert_eq!(column(&mapping, Field::Batch), Some("plate_name"));
        assert_eq!(mapping.source(Field::Dose).unwrap().unit.as_deref(), Some("uM"));
        assert_eq!(mapping.source(Field::Time).unwrap().unit.as_deref(), Some("h"));
        assert_eq!(column(&mapping, Field::Tissue), None);
        assert_eq!(mapping.gene_symbols, None);
        let mapping = Profile::Generic.mapping(false, &obs, &columns("gene_name"), true);
        assert_eq!(mapping.gene_symbols.as_deref(), Some("gene_name"));
    }

    #[test]
    fn scperturb_columns_are_taken_as_the_project_documents_them() {
        let obs =
            columns("perturbation nperts celltype cell_line dose_value dose_unit perturbation_2 organism disease");
        let mapping = Profile::ScPerturb.mapping(false, &obs, &[], false);
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
        let mapping = Profile::Cellxgene.mapping(false, &obs, &columns("feature_name"), true);
        let cell_type = mapping.source(Field::CellType).unwrap();
        assert_eq!(cell_type.column.as_deref(), Some("cell_type"));
        assert_eq!(cell_type.id_column.as_deref(), Some("cell_type_ontology_term_id"));
        assert_eq!(column(&mapping, Field::Disease), Some("disease_ontology_term_id"));
        let perturbation = mapping.source(Field::Perturbation).unwrap();
        assert_eq!(perturbation.control.as_deref(), Some(&["na".to_owned()][..]));
        assert_eq!(perturbation.separator.as_deref(), Some(" || "));
        assert_eq!(mapping.gene_symbols.as_deref(), Some("feature_name"));
    }
}
