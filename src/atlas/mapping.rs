//! The mapping: which column of a file is which field, and what its labels stand for.
//!
//! A mapping file is TOML. Every section is optional; what it does not name, the profile decides.
//!
//! ```toml
//! counts_in = "layers/counts"       # X, raw/X or layers/NAME; found by itself if left out
//! gene_symbols = "feature_name"     # column of var; the index if left out
//! donor = "patient"                 # short for: [donor] column = "patient"
//!
//! [cell_type]
//! column = "cluster_id"
//! id_column = "cell_type_ontology_term_id"     # a second column with the ids, if there is one
//! else_column = "cell_line"         # what to take where the first has nothing, or `na`
//! [cell_type.values]                # labels the resolver should not guess
//! "CD14+ Monocytes" = "CL:0001054"
//!
//! [perturbation]
//! column = "group_id"
//! second_column = "perturbation_2"  # a perturbation applied together with the first
//! separator = " || "                # where one label names several perturbations
//! tuples = true                     # labels are Python's [('NAME', DOSE, 'UNIT')]; [dose] can read them too
//! control = ["ctrl"]                # if left out, the usual control labels are recognised
//! missing_is_control = true         # cells without a label are controls
//! [perturbation.control_where]      # or: 'column' holds no perturbation where another says so
//! nperts = ["0"]
//! [perturbation.values]
//! stim = { name = "interferon beta", id = "uniprot:P01574" }
//!
//! [dose]
//! column = "dose_value"
//! unit_column = "dose_unit"         # or unit = "uM"
//!
//! [tissue]
//! value = "blood"                   # the same for every cell
//!
//! [batch]
//! ignore = true                     # do not take the column the profile would take
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::datasets::Field;
use crate::domain::ids::Curie;

/// Which column is which field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    /// Where the raw counts are.
    pub counts_in: Option<String>,
    /// Column of `var` with gene symbols.
    pub gene_symbols: Option<String>,
    /// Where each field comes from.
    pub fields: BTreeMap<Field, Source>,
}

/// Where one field comes from. Exactly one of `column`, `value` and `ignore` is given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Column of `obs`.
    pub column: Option<String>,
    /// A constant for every cell.
    pub value: Option<String>,
    /// Leave the field empty.
    #[serde(default)]
    pub ignore: bool,
    /// Column of `obs` with the ontology ids of the labels.
    pub id_column: Option<String>,
    /// Column of `obs` whose label counts where `column` has none, or `na`.
    pub else_column: Option<String>,
    /// A second perturbation applied together with the first.
    pub second_column: Option<String>,
    /// What stands between the names in a label of several.
    pub separator: Option<String>,
    /// Whether labels are lists of name, dose and unit as Python prints them.
    #[serde(default)]
    pub tuples: bool,
    /// Unit of a dose or time.
    pub unit: Option<String>,
    /// Column of `obs` with the unit of each cell's dose or time.
    pub unit_column: Option<String>,
    /// Labels of controls; the usual ones where absent.
    pub control: Option<Vec<String>>,
    /// Where another column (the key) holds one of these values, the label of `column` does not count
    /// as a perturbation; that of `second_column` still does.
    #[serde(default)]
    pub control_where: BTreeMap<String, Vec<String>>,
    /// Whether cells without a label are controls.
    #[serde(default)]
    pub missing_is_control: bool,
    /// What labels stand for.
    #[serde(default)]
    pub values: BTreeMap<String, Meaning>,
    /// Who says so where it is not a mapping file: `profile`, or the place in the file.
    #[serde(skip)]
    pub said_by: Option<String>,
}

/// What a label stands for, in a mapping's own words.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Meaning {
    /// An id, or another name to resolve in its place.
    Text(String),
    /// A name with its id.
    Named(NamedMeaning),
}

/// A name with its id, where it has one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedMeaning {
    /// Canonical name.
    pub name: String,
    /// Id in a public database.
    pub id: Option<Curie>,
}

/// Why a text is not a mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not TOML, or a value of the wrong type.
    #[error("the mapping cannot be read: {0}")]
    Syntax(String),
    /// A key we do not have.
    #[error("{place} has no key '{key}'; {hint}")]
    UnknownKey {
        /// Section.
        place: String,
        /// As written.
        key: String,
        /// The key that was probably meant, or all keys.
        hint: String,
    },
    /// A section that says too little, too much, or something that does not go with its field.
    #[error("[{section}] {what}")]
    Section {
        /// Which.
        section: Field,
        /// In words.
        what: String,
    },
}

const TOP: [&str; 2] = ["counts_in", "gene_symbols"];
const SECTION: [&str; 14] = [
    "column",
    "value",
    "ignore",
    "id_column",
    "else_column",
    "second_column",
    "separator",
    "tuples",
    "unit",
    "unit_column",
    "control",
    "control_where",
    "missing_is_control",
    "values",
];
const MEANING: [&str; 2] = ["name", "id"];

impl Mapping {
    /// Reads a mapping file.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| Error::Syntax(error.to_string()))?;
        check_keys(&table)?;
        let mut text_of = |key: &str| match table.remove(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Error::Syntax(format!("'{key}' is a text, not {other}"))),
        };
        let (counts_in, gene_symbols) = (text_of("counts_in")?, text_of("gene_symbols")?);
        for (_, section) in table.iter_mut() {
            if let toml::Value::String(column) = section {
                let column = ("column".to_owned(), toml::Value::String(std::mem::take(column)));
                *section = toml::Value::Table([column].into_iter().collect());
            }
        }
        let fields = table.try_into().map_err(|error: toml::de::Error| Error::Syntax(error.to_string()))?;
        let mapping = Self { counts_in, gene_symbols, fields };
        mapping.fields.iter().try_for_each(|(field, source)| source.check(*field))?;
        Ok(mapping)
    }

    /// This mapping, with what it leaves open taken from `defaults`.
    pub fn over(mut self, defaults: Self) -> Self {
        for (field, source) in defaults.fields {
            self.fields.entry(field).or_insert(source);
        }
        self.counts_in = self.counts_in.or(defaults.counts_in);
        self.gene_symbols = self.gene_symbols.or(defaults.gene_symbols);
        self
    }

    /// Where a field comes from, unless it is ignored or not named.
    pub fn source(&self, field: Field) -> Option<&Source> {
        self.fields.get(&field).filter(|source| !source.ignore)
    }
}

impl Source {
    /// A source that is one column.
    pub fn of_column(column: &str) -> Self {
        Self { column: Some(column.to_owned()), ..Self::default() }
    }

    /// The same without the column of ids, for a field whose labels are kept as they are.
    pub(super) fn into_column(self) -> Self {
        Self { id_column: None, ..self }
    }

    /// Every column it needs.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let one = [&self.column, &self.else_column, &self.id_column, &self.second_column, &self.unit_column];
        one.into_iter().flatten().chain(self.control_where.keys()).map(String::as_str)
    }

    fn check(&self, section: Field) -> Result<(), Error> {
        let fail = |what: &str| Err(Error::Section { section, what: what.to_owned() });
        let given = [self.column.is_some(), self.value.is_some(), self.ignore].into_iter().filter(|&is| is).count();
        let only_control_where = given == 0 && section == Field::Perturbation && !self.control_where.is_empty();
        if given != 1 && !only_control_where {
            return fail("needs exactly one of 'column', 'value' and 'ignore'");
        }
        let of_perturbation = self.second_column.is_some()
            || self.control.is_some()
            || !self.control_where.is_empty()
            || self.missing_is_control;
        if of_perturbation && section != Field::Perturbation {
            return fail("takes no control labels and no second column; they belong in [perturbation]");
        }
        if self.tuples && !matches!(section, Field::Perturbation | Field::Dose) {
            return fail("takes no tuples; they belong in [perturbation] and [dose]");
        }
        if (self.unit.is_some() || self.unit_column.is_some()) && !matches!(section, Field::Dose | Field::Time) {
            return fail("takes no unit; units belong in [dose] and [time]");
        }
        if self.unit.is_some() && self.unit_column.is_some() {
            return fail("needs 'unit' or 'unit_column', not both");
        }
        if self.column.is_none()
            && [&self.id_column, &self.unit_column, &self.second_column, &self.else_column].iter().any(|c| c.is_some())
        {
            return fail("names a further column but no 'column'");
        }
        let resolved = matches!(section, Field::CellType | Field::Perturbation | Field::Tissue | Field::Disease);
        if !resolved && (!self.values.is_empty() || self.id_column.is_some() || self.separator.is_some()) {
            return fail("is kept as the file spells it; it takes no 'values', no 'id_column' and no 'separator'");
        }
        if self.separator.as_deref() == Some("") {
            return fail("has an empty 'separator'; leave it out where a label names one thing");
        }
        Ok(())
    }
}

fn check_keys(table: &toml::Table) -> Result<(), Error> {
    let top: Vec<&str> = TOP.into_iter().chain(Field::ALL.map(Field::as_str)).collect();
    for (key, value) in table {
        known(key, &top, "the mapping")?;
        let (toml::Value::Table(section), false) = (value, TOP.contains(&key.as_str())) else { continue };
        for (inner, value) in section {
            known(inner, &SECTION, &format!("section [{key}] of the mapping"))?;
            if let ("values", toml::Value::Table(values)) = (inner.as_str(), value) {
                for (label, meaning) in values {
                    let keys = meaning.as_table().into_iter().flat_map(toml::Table::keys);
                    for word in keys {
                        known(word, &MEANING, &format!("the value of '{label}' in [{key}.values]"))?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn known(key: &str, keys: &[&str], place: &str) -> Result<(), Error> {
    if keys.contains(&key) {
        return Ok(());
    }
    Err(Error::UnknownKey {
        place: place.to_owned(),
        key: key.to_owned(),
        hint: match nearest(key, keys.iter().copied()) {
            Some(name) => format!("did you mean '{name}'?"),
            None => format!("it has {}", keys.join(", ")),
        },
    })
}

/// The name most like `word`, if one is alike enough to be what was meant.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-', '.', ' '], "");
    let word = plain(word);
    let like = names.map(|name| (strsim::jaro_winkler(&word, &plain(name)), name));
    like.filter(|(score, _)| *score >= 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_says_where_each_field_comes_from() {
        let mapping = Mapping::parse(
            r#"
            gene_symbols = "symbol"
            donor = "patient"
            [cell_type]
            column = "cluster_id"
            [cell_type.values]
            "CD14+ Monocytes" = "CL:0001054"
            [perturbation]
            column = "group_id"
            control = ["ctrl"]
            [perturbation.values]
            stim = { name = "interferon beta", id = "uniprot:P01574" }
            [tissue]
            value = "blood"
            "#,
        )
        .unwrap();
        assert_eq!(mapping.source(Field::Donor), Some(&Source::of_column("patient")));
        assert_eq!(mapping.source(Field::Tissue).unwrap().value.as_deref(), Some("blood"));
        let perturbation = mapping.source(Field::Perturbation).unwrap();
        let id = Some("uniprot:P01574".parse().unwrap());
        assert_eq!(perturbation.values["stim"], Meaning::Named(NamedMeaning { name: "interferon beta".into(), id }));
        assert_eq!(mapping.fields[&Field::CellType].values["CD14+ Monocytes"], Meaning::Text("CL:0001054".into()));
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_name() {
        let message = |text: &str| Mapping::parse(text).unwrap_err().to_string();
        assert_eq!(message("cell_typ = 'x'"), "the mapping has no key 'cell_typ'; did you mean 'cell_type'?");
        let inner = message("[cell_type]\ncolunm = 'x'");
        assert_eq!(inner, "section [cell_type] of the mapping has no key 'colunm'; did you mean 'column'?");
        let meaning = message("[perturbation]\ncolumn = 'x'\n[perturbation.values]\nstim = { nam = 'y' }");
        assert!(meaning.contains("'nam'") && meaning.contains("'name'"), "{meaning}");
        assert!(message("zzz = 1").contains("it has counts_in"));
        assert!(
            message("[perturbation.values]\nstim = { id = 'no curie', name = 'x' }\n[perturbation]\ncolumn = 'a'")
                .contains("cannot be read")
        );
    }

    #[test]
    fn sections_that_contradict_themselves_are_refused() {
        for text in [
            "[donor]",
            "[donor]\ncolumn = 'a'\nvalue = 'b'",
            "[donor]\ncolumn = 'a'\ncontrol = ['x']",
            "[tissue]\ncolumn = 'a'\nunit = 'h'",
            "[dose]\ncolumn = 'a'\nunit = 'h'\nunit_column = 'b'",
            "[donor]\ncolumn = 'a'\n[donor.values]\nx = 'y'",
            "[tissue]\nvalue = 'a'\nid_column = 'b'",
            "[perturbation]\ncolumn = 'a'\nseparator = ''",
        ] {
            assert!(matches!(Mapping::parse(text), Err(Error::Section { .. })), "{text} was taken");
        }
    }

    #[test]
    fn a_mapping_goes_over_the_profile() {
        let mine = Mapping::parse("donor = 'mine'\n[batch]\nignore = true").unwrap();
        let profile = Mapping::parse("donor = 'theirs'\nbatch = 'plate'\ntissue = 'organ'").unwrap();
        let both = mine.over(profile);
        assert_eq!(both.source(Field::Donor), Some(&Source::of_column("mine")));
        assert_eq!(both.source(Field::Batch), None);
        assert_eq!(both.source(Field::Tissue), Some(&Source::of_column("organ")));
    }
}
