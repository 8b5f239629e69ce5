//! The columns of published sets and of the schemas many sets share.

use std::collections::BTreeMap;

use super::common::Columns;
use super::constant;
use crate::atlas::mapping::Source;
use crate::domain::datasets::Field;

type Fields = BTreeMap<Field, Source>;

/// Cells were from blood and treated for 24 h, which no column says. The barcodes' wells are one per
/// condition and donor, so they are no batch.
pub(super) fn parse(obs: Columns<'_>) -> Fields {
    BTreeMap::from([
        (Field::CellType, obs.source(&["cell_type", "cell_type_clean"])),
        (Field::Perturbation, obs.source(&["cytokine"])),
        (Field::Time, Source { unit: Some("h".to_owned()), ..constant("24") }),
        (Field::Donor, obs.source(&["donor", "donor_id"])),
        (Field::Tissue, constant("blood")),
        (Field::Organism, obs.source(&["species", "organism"])),
    ])
}

/// `control` holds the positive controls too, so it is not asked.
pub(super) fn openproblems(obs: Columns<'_>) -> Fields {
    let unit = |unit: &str, source: Source| Source { unit: Some(unit.to_owned()), ..source };
    BTreeMap::from([
        (Field::CellType, obs.source(&["cell_type"])),
        (Field::Perturbation, obs.source(&["sm_name"])),
        (Field::Dose, unit("uM", obs.source(&["dose_uM"]))),
        (Field::Time, unit("h", obs.source(&["timepoint_hr"]))),
        (Field::Donor, obs.source(&["donor_id"])),
        (Field::Tissue, constant("blood")),
        (Field::Batch, obs.source(&["plate_name"])),
    ])
}

/// Droplets and plates (10x and Smart-seq2) are kept apart.
pub(super) fn tabula_sapiens(obs: Columns<'_>) -> Fields {
    let mut fields = cellxgene(obs);
    fields.remove(&Field::Perturbation);
    if obs.exactly("cell_type_ontology_term_id").is_none() {
        let ids = obs.first(&["cell_ontology_id"]).map(str::to_owned);
        let names = ["cell_ontology_class", "cell_type", "free_annotation"];
        fields.insert(Field::CellType, Source { id_column: ids, ..obs.source(&names) });
        fields.insert(Field::Tissue, obs.source(&["organ_tissue", "tissue", "organ"]));
        fields.insert(Field::Donor, obs.source(&["donor", "donor_id"]));
        fields.insert(Field::Batch, obs.source(&["method", "assay"]));
        fields.insert(Field::Organism, obs.source(&["organism", "species"]));
    }
    fields
}

pub(super) fn cellxgene(obs: Columns<'_>) -> Fields {
    let optional = |name: &str| obs.exactly(name).map(str::to_owned);
    let several = || Some(" || ".to_owned());
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
    // Cells of a line have no type (`na`); their line is in the place of the tissue.
    let tissue = with_ids("tissue");
    let line = optional("tissue_type").and(tissue.column.clone());
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
        separator: several(),
        control: control.then(|| vec!["na".to_owned()]),
        control_where: strategy.map(|column| (column, no_guide)).into_iter().collect(),
        ..Source::default()
    };
    BTreeMap::from([
        (Field::CellType, Source { else_column: line, ..with_ids("cell_type") }),
        (Field::Perturbation, perturbation),
        (Field::Donor, plain("donor_id")),
        (Field::Tissue, tissue),
        (Field::Disease, Source { separator: several(), ..with_ids("disease") }),
        (Field::Batch, with_ids("assay").into_column()),
        (Field::Organism, with_ids("organism")),
    ])
}

pub(super) fn scperturb(obs: Columns<'_>) -> Fields {
    let optional = |name: &str| obs.first(&[name]).map(str::to_owned);
    let nperts = optional("nperts").map(|column| (column, vec!["0".to_owned(), "0.0".to_owned()]));
    let perturbation = Source {
        second_column: optional("perturbation_2"),
        control_where: nperts.into_iter().collect(),
        ..obs.source(&["perturbation"])
    };
    BTreeMap::from([
        (Field::CellType, obs.source(&["celltype", "cell_type", "cell_line"])),
        (Field::Perturbation, perturbation),
        (Field::Dose, Source { unit_column: optional("dose_unit"), ..obs.source(&["dose_value"]) }),
        (Field::Time, Source { unit: Some("h".to_owned()), ..obs.source(&["time"]) }),
        (Field::Donor, obs.source(&["donor", "patient", "replicate", "sample"])),
        (Field::Tissue, obs.source(&["tissue", "tissue_type"])),
        (Field::Disease, obs.source(&["disease"])),
        (Field::Batch, obs.source(&["batch", "gem_group"])),
        (Field::Organism, obs.source(&["organism"])),
    ])
}

/// The releases hold one cell line a file and no column that names it.
pub(super) fn replogle(obs: Columns<'_>) -> Fields {
    BTreeMap::from([
        (Field::CellType, obs.source(&["cell_type", "cell_line"])),
        (Field::Perturbation, obs.source(&["gene"])),
        (Field::Donor, obs.source(&["donor", "donor_id"])),
        (Field::Batch, obs.source(&["gem_group"])),
        (Field::Organism, obs.source(&["organism", "species"])),
    ])
}

/// The cells of the 2025 challenge are H1 embryonic stem cells, which no column says; other files have
/// a `target_gene` too, so that counts only where the profile was named.
pub(super) fn vcc(obs: Columns<'_>, named: bool) -> Fields {
    let mut cell_type = obs.source(&["cell_type", "cell_line", "context"]);
    if cell_type.column.is_none() && named {
        cell_type = constant("embryonic stem cell");
    }
    BTreeMap::from([
        (Field::CellType, cell_type),
        (Field::Perturbation, obs.source(&["target_gene"])),
        (Field::Donor, obs.source(&["donor", "donor_id"])),
        (Field::Batch, obs.source(&["batch", "gem_group"])),
        (Field::Organism, obs.source(&["organism", "species"])),
    ])
}

/// Drug, dose and unit are one label, `[('DMSO_TF', 0.0, 'uM')]`; most releases have the drug apart too.
pub(super) fn tahoe(obs: Columns<'_>) -> Fields {
    let both = || Source { tuples: true, ..obs.source(&["drugname_drugconc"]) };
    let drug = obs.source(&["drug"]);
    BTreeMap::from([
        (Field::CellType, obs.source(&["cell_type", "cell_name", "cell_line"])),
        (Field::Perturbation, if drug.column.is_some() { drug } else { both() }),
        (Field::Dose, both()),
        (Field::Donor, obs.source(&["donor", "donor_id"])),
        (Field::Batch, obs.source(&["plate"])),
        (Field::Organism, obs.source(&["organism", "species"])),
    ])
}
