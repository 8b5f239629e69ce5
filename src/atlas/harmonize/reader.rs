//! Reading the fields of a file, and noting in the summary what was taken.

use std::collections::HashMap;

use super::{Error, Found, Labels, MISSING, Resolve, listed};
use crate::atlas::coded::Coded;
use crate::atlas::mapping::{Mapping, Source};
use crate::atlas::treatment::Treatment;
use crate::atlas::tuples;
use crate::domain::Organism;
use crate::domain::cells::Condition;
use crate::domain::datasets::{ControlTaken, Field, FieldTaken, ImportSummary, LabelTaken};
use crate::domain::terms::{Label, Term};

/// Labels that say nothing, in any field but the cell type and the perturbation.
const NOTHING: [&str; 7] = ["", "na", "n/a", "nan", "none", "unknown", "<na>"];

/// The file, the mapping, and the summary so far.
pub(super) struct Reader<'a, E> {
    n_cells: usize,
    column: &'a dyn Fn(&str) -> Result<Labels, E>,
    mapping: &'a Mapping,
    pub(super) resolve: &'a Resolve<'a>,
    pub(super) summary: ImportSummary,
}

impl<'a, E: From<Error>> Reader<'a, E> {
    /// A reader that has noted where each field comes from.
    pub(super) fn new(
        n_cells: usize,
        column: &'a dyn Fn(&str) -> Result<Labels, E>,
        mapping: &'a Mapping,
        resolve: &'a Resolve<'a>,
    ) -> Self {
        let taken = mapping.fields.iter().filter(|(_, source)| !source.ignore);
        let fields = taken.map(|(field, source)| FieldTaken { field: *field, from: origin(source) }).collect();
        Self { n_cells, column, mapping, resolve, summary: ImportSummary { fields, ..ImportSummary::default() } }
    }

    /// A field that is kept as the file spells it, with its unit.
    pub(super) fn texts(&mut self, field: Field) -> Result<Labels, E> {
        let Some(source) = self.mapping.source(field) else { return Ok(Coded::constant(None, self.n_cells)) };
        let mut labels = self.labels(source)?.map(something);
        if source.tuples {
            labels = labels.map(|label| label.as_deref().map(|l| tuples::doses(l).unwrap_or_else(|| l.to_owned())));
        }
        let missing = cells_without(&labels);
        if field == Field::Donor && missing > 0 && missing < self.n_cells as u64 {
            self.summary.notes.push(format!("{missing} cells name no donor; they are paired with each other only"));
        }
        let unit = match (&source.unit, &source.unit_column) {
            (_, Some(column)) => (self.column)(column)?.map(something),
            (unit, None) => Coded::constant(unit.clone(), self.n_cells),
        };
        Ok(labels.zip(&unit).map(|(label, unit)| match (label, unit) {
            (Some(label), Some(unit)) => Some(format!("{label} {unit}")),
            (label, _) => label.clone(),
        }))
    }

    /// A field whose labels stand for ontology terms.
    pub(super) fn terms(&mut self, field: Field) -> Result<Coded<Option<Label>>, E> {
        let Some(source) = self.mapping.source(field) else { return Ok(Coded::constant(None, self.n_cells)) };
        let keep = |label: &Option<String>| if field == Field::CellType { label.clone() } else { something(label) };
        let labels = self.labels(source)?.map(keep);
        self.note_unused_values(field, source, &labels);
        let holds_ids = source.column.as_deref().is_some_and(|column| column.ends_with("_ontology_term_id"));
        let ids = match &source.id_column {
            Some(column) => (self.column)(column)?,
            None if holds_ids => self.own_labels(source)?,
            None => Coded::constant(None, self.n_cells),
        };
        let ids = ids.map(something);
        if field == Field::CellType {
            let column = source.id_column.as_ref().or(source.column.as_ref());
            check_cell_type_ids(column.map_or("", String::as_str), &ids)?;
        }
        let pairs = labels.zip(&ids);
        let mut found: HashMap<(Option<String>, Option<String>), Found> = HashMap::new();
        for pair in pairs.values() {
            if let Some(label) = pair.0.as_ref().or(pair.1.as_ref()) {
                found.insert(pair.clone(), self.meaning(field, source, label, pair.1.as_deref()));
            }
        }
        let counts = pairs.counts();
        let mut taken: Vec<LabelTaken> = Vec::new();
        for (pair, &n_cells) in pairs.values().iter().zip(&counts) {
            let original = pair.0.clone().or(pair.1.clone());
            let Found { term, how } = found
                .get(pair)
                .cloned()
                .unwrap_or_else(|| Found { term: None, how: "cells without a label".to_owned() });
            if original.is_some() || field == Field::CellType {
                taken.push(LabelTaken { field, original: original.unwrap_or(MISSING.into()), term, how, n_cells });
            }
        }
        self.add_labels(taken);
        Ok(pairs.map(|pair| {
            let original = pair.0.clone().or(pair.1.clone())?;
            Some(Label { original, term: found.get(pair).and_then(|found| found.term.clone()) })
        }))
    }

    /// Control or perturbed with what, dose and time.
    pub(super) fn conditions(&mut self) -> Result<Coded<Condition>, E> {
        let dose = self.texts(Field::Dose)?;
        let time = self.texts(Field::Time)?;
        let Some(source) = self.mapping.source(Field::Perturbation) else {
            self.summary.controls.push(ControlTaken { original: None, n_cells: self.n_cells as u64 });
            self.summary.notes.push("no column names a perturbation: every cell is taken as unperturbed".to_owned());
            return Ok(time.map(|time| Condition::Control { label: None, time: time.clone() }));
        };
        let first = self.first_perturbation(source)?;
        let second = match &source.second_column {
            Some(column) => (self.column)(column)?.map(|label| Treatment::read_second(source, label.as_deref())),
            None => Coded::constant(Treatment::Nothing, self.n_cells),
        };
        let treatments = first.zip(&second).map(|(first, second)| first.with(second));
        let labels = self.note_treatments(source, &treatments);
        Ok(treatments.zip(&dose.zip(&time)).map(|(treatment, (dose, time))| match treatment {
            Treatment::Perturbed(label) => Condition::Perturbed {
                perturbation: Label { original: label.clone(), term: labels.get(label).cloned().flatten() },
                dose: dose.clone(),
                time: time.clone(),
            },
            Treatment::Control(label) => Condition::Control { label: Some(label.clone()), time: time.clone() },
            Treatment::Nothing => Condition::Control { label: None, time: time.clone() },
        }))
    }

    fn first_perturbation(&self, source: &Source) -> Result<Coded<Treatment>, E> {
        let mut treatments = match (&source.column, &source.value) {
            (None, None) => Coded::constant(Treatment::Nothing, self.n_cells),
            _ => self.perturbation_labels(source)?.map(|label| match label {
                None if !source.missing_is_control => Treatment::Perturbed(MISSING.to_owned()),
                label => Treatment::read(source, label.as_deref()),
            }),
        };
        for (column, values) in &source.control_where {
            let unperturbed = (self.column)(column)?.map(|v| v.as_ref().is_some_and(|v| values.contains(v)));
            treatments = treatments.zip(&unperturbed).map(|(treatment, unperturbed)| match (treatment, unperturbed) {
                (Treatment::Perturbed(label), true) if label == MISSING => Treatment::Nothing,
                (Treatment::Perturbed(label), true) => Treatment::Control(label.clone()),
                (treatment, _) => treatment.clone(),
            });
        }
        Ok(treatments)
    }

    /// Resolves the perturbations and writes them and the controls into the summary.
    fn note_treatments(&mut self, source: &Source, treatments: &Coded<Treatment>) -> HashMap<String, Option<Term>> {
        let mut labels = HashMap::new();
        let mut taken = Vec::new();
        for (treatment, n_cells) in treatments.values().iter().zip(treatments.counts()) {
            match treatment {
                Treatment::Perturbed(label) => {
                    let found = if label == MISSING {
                        let how =
                            "cells without a label; missing_is_control = true in [perturbation] makes them controls";
                        Found { term: None, how: how.to_owned() }
                    } else {
                        self.meaning(Field::Perturbation, source, label, None)
                    };
                    let Found { term, how } = found;
                    labels.insert(label.clone(), term.clone());
                    taken.push(LabelTaken { field: Field::Perturbation, original: label.clone(), term, how, n_cells });
                }
                Treatment::Control(label) => {
                    self.summary.controls.push(ControlTaken { original: Some(label.clone()), n_cells });
                }
                Treatment::Nothing => self.summary.controls.push(ControlTaken { original: None, n_cells }),
            }
        }
        if self.summary.controls.is_empty() {
            self.summary.notes.push(
                "no label was recognised as control; without controls, predictions have nothing to be compared with. \
                 Name them in a mapping: [perturbation] control = [\"...\"]"
                    .to_owned(),
            );
        }
        self.summary.controls.sort_by(|a, b| b.n_cells.cmp(&a.n_cells).then(a.original.cmp(&b.original)));
        self.add_labels(taken);
        labels
    }

    pub(super) fn organism(&mut self) -> Result<(), E> {
        let Some(source) = self.mapping.source(Field::Organism) else { return Ok(()) };
        let labels = self.labels(source)?.map(something);
        let mut organisms: Vec<&String> = labels.values().iter().flatten().collect();
        organisms.sort();
        if organisms.len() > 1 {
            return Err(Error::Organisms(listed(organisms.into_iter().map(String::as_str))).into());
        }
        self.summary.organism = organisms.first().map(|organism| (*organism).clone());
        if let Some(organism) =
            organisms.first().filter(|organism| !Organism::named(organism).is_some_and(Organism::is_human))
        {
            self.summary
                .notes
                .push(format!("the organism is {organism}; genes are matched by upper-case symbol all the same"));
        }
        Ok(())
    }

    fn perturbation_labels(&self, source: &Source) -> Result<Labels, E> {
        let labels = self.labels(source)?;
        Ok(if source.tuples { labels.map(|label| label.as_deref().map(tuples::names)) } else { labels })
    }

    /// The column or constant of a field.
    fn labels(&self, source: &Source) -> Result<Labels, E> {
        let labels = self.own_labels(source)?;
        let Some(other) = &source.else_column else { return Ok(labels) };
        let has_one = |label: &Option<String>| label.as_ref().is_some_and(|label| !matches!(label.trim(), "" | "na"));
        if labels.values().iter().all(has_one) {
            return Ok(labels);
        }
        let other = (self.column)(other)?.map(something);
        Ok(labels.zip(&other).map(|(label, other)| match (has_one(label), other) {
            (false, Some(other)) => Some(other.clone()),
            _ => label.clone(),
        }))
    }

    /// The same without what another column gives where there is nothing.
    fn own_labels(&self, source: &Source) -> Result<Labels, E> {
        match &source.column {
            Some(column) => (self.column)(column),
            None => Ok(Coded::constant(source.value.clone(), self.n_cells)),
        }
    }

    fn note_unused_values(&mut self, field: Field, source: &Source, labels: &Labels) {
        for label in source.values.keys().filter(|label| !labels.values().contains(&Some((*label).clone()))) {
            self.summary.notes.push(format!("no cell has the label '{label}' of the mapping's [{field}.values]"));
        }
    }

    fn add_labels(&mut self, mut labels: Vec<LabelTaken>) {
        labels.sort_by(|a, b| b.n_cells.cmp(&a.n_cells).then(a.original.cmp(&b.original)));
        self.summary.labels.extend(labels);
    }
}

/// In words, where a field is taken from.
fn origin(source: &Source) -> String {
    let column = |name: &String| format!("obs['{name}']");
    let columns = [&source.column, &source.else_column, &source.second_column, &source.id_column, &source.unit_column];
    let mut parts: Vec<String> = columns.into_iter().flatten().map(column).collect();
    parts.extend(source.control_where.keys().map(column));
    let said_by = source.said_by.as_deref().unwrap_or("mapping");
    parts.extend(source.value.iter().map(|value| format!("'{value}' ({said_by})")));
    parts.join(", ")
}

/// The label, unless it says nothing.
fn something(label: &Option<String>) -> Option<String> {
    label.as_ref().filter(|label| !NOTHING.contains(&label.trim().to_lowercase().as_str())).cloned()
}

/// How many cells have no label.
fn cells_without(labels: &Labels) -> u64 {
    labels.values().iter().zip(labels.counts()).filter(|(label, _)| label.is_none()).map(|(_, n)| n).sum()
}

fn check_cell_type_ids(column: &str, ids: &Labels) -> Result<(), Error> {
    let is_cl =
        |id: &str| id.strip_prefix("CL:").is_some_and(|n| n.len() == 7 && n.bytes().all(|b| b.is_ascii_digit()));
    match ids.values().iter().find(|id| id.as_ref().is_some_and(|id| !is_cl(id))) {
        Some(wrong) => Err(Error::CellTypeId {
            column: column.to_owned(),
            value: wrong.clone().unwrap_or_default(),
            row: ids.first_cell(wrong).unwrap_or_default(),
        }),
        None => Ok(()),
    }
}
