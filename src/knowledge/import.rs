//! From a source file to the database: read, check, store all or nothing, and say what came of it.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::resolve::Resolution;
use super::{
    Error, Kind, Knowledge, Problem, Result, Source, cellxgene, gmt, interactions, markers, obo, perturbations,
    regulons,
};
use crate::database::{Database, FactKind, Facts, Stored};
use crate::domain::{Curie, Marker, Ontology};

/// What an import came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// `ontology`, `gene-sets`, `regulons`, `markers` or `perturbations`.
    pub kind: &'static str,
    /// What it is held under: prefix, collection, network or source.
    pub name: String,
    /// Release, of an ontology.
    pub version: Option<String>,
    /// The file.
    pub source: String,
    /// Whether anything changed.
    pub outcome: Stored,
    /// How many of what.
    pub counts: Vec<(&'static str, usize)>,
    /// Names of the file that stand for nothing we hold, with what they may have meant.
    pub unresolved: Vec<String>,
    /// What was passed over in the file.
    pub problems: Vec<Problem>,
}

/// Told how many of how many rows have been written.
pub type OnRows<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Imports a release of an ontology and puts it in use. `prefix` says which terms are its own, if the
/// file does not.
pub async fn ontology(
    database: &Database,
    source: &Source,
    prefix: Option<&str>,
    on_rows: OnRows<'_>,
) -> Result<Imported> {
    let (ontology, fingerprint, mut imported) = read_ontology(source, prefix)?;
    let total = imported.counts.iter().filter(|(what, _)| *what != OBSOLETE).map(|(_, n)| n).sum();
    imported.outcome =
        database.replace_ontology(&ontology, &source.name, &fingerprint, &|written| on_rows(written, total)).await?;
    Ok(imported)
}

/// The same, but keeps the release beside the one in use.
pub async fn ontology_beside(database: &Database, source: &Source, prefix: Option<&str>) -> Result<Imported> {
    let (ontology, fingerprint, mut imported) = read_ontology(source, prefix)?;
    imported.outcome = database.keep_ontology(&ontology, &source.name, &fingerprint).await?;
    Ok(imported)
}

const OBSOLETE: &str = "of them obsolete";

fn read_ontology(source: &Source, prefix: Option<&str>) -> Result<(Ontology, String, Imported)> {
    let document = match source.text.trim_start().starts_with('{') {
        true => cellxgene::parse(source)?,
        false => obo::parse(source)?,
    };
    let (ontology, problems) = document.into_ontology(prefix)?;
    let imported = Imported {
        kind: "ontology",
        name: ontology.prefix.clone(),
        version: Some(ontology.version.clone()),
        source: source.name.clone(),
        outcome: Stored::New,
        counts: vec![
            ("terms", ontology.terms.len()),
            (OBSOLETE, ontology.terms.iter().filter(|term| term.obsolete).count()),
            ("synonyms", ontology.terms.iter().map(|term| term.synonyms.len()).sum()),
            ("relations", ontology.terms.iter().map(|term| term.relations.len()).sum()),
        ],
        unresolved: Vec::new(),
        problems,
    };
    let fingerprint = fingerprint([source.fingerprint.as_str(), &ontology.prefix]);
    Ok((ontology, fingerprint, imported))
}

/// Imports a collection of gene sets.
pub async fn gene_sets(
    database: &Database,
    source: &Source,
    collection: &str,
    on_rows: OnRows<'_>,
) -> Result<Imported> {
    let (sets, problems) = gmt::parse(source, collection)?;
    let genes: BTreeSet<&String> = sets.iter().flat_map(|set| &set.genes).collect();
    let counts = vec![("gene sets", sets.len()), ("genes", genes.len())];
    let outcome = store(database, collection, &source.fingerprint, Facts::GeneSets(&sets), on_rows).await?;
    Ok(imported(FactKind::GeneSets, collection, source, outcome, counts, problems))
}

/// Imports a network of regulons; `confidence` keeps only rows with one of these letters.
pub async fn regulons(
    database: &Database,
    source: &Source,
    network: &str,
    confidence: &[char],
    on_rows: OnRows<'_>,
) -> Result<Imported> {
    let (regulations, problems) = regulons::parse(source, confidence)?;
    let factors: BTreeSet<&String> = regulations.iter().map(|regulation| &regulation.source).collect();
    let targets: BTreeSet<&String> = regulations.iter().map(|regulation| &regulation.target).collect();
    let counts = vec![
        ("transcription factors", factors.len()),
        ("target genes", targets.len()),
        ("relations", regulations.len()),
    ];
    let letters: String = confidence.iter().collect();
    let fingerprint = fingerprint([source.fingerprint.as_str(), &letters]);
    let outcome = store(database, network, &fingerprint, Facts::Regulons(&regulations), on_rows).await?;
    Ok(imported(FactKind::Regulons, network, source, outcome, counts, problems))
}

/// Imports a network of interactions.
pub async fn interactions(
    database: &Database,
    source: &Source,
    network: &str,
    on_rows: OnRows<'_>,
) -> Result<Imported> {
    let (found, problems) = interactions::parse(source)?;
    let genes: BTreeSet<&String> = found.iter().flat_map(|one| [&one.source, &one.target]).collect();
    let signed = found.iter().filter(|one| one.sign.is_some()).count();
    let counts = vec![("interactions", found.len()), ("of them signed", signed), ("genes", genes.len())];
    let outcome = store(database, network, &source.fingerprint, Facts::Interactions(&found), on_rows).await?;
    Ok(imported(FactKind::Interactions, network, source, outcome, counts, problems))
}

/// Imports markers. Cell types named in words are looked up among the terms held; those that stand
/// for none are listed and left out.
///
/// # Errors
/// Also if no Cell Ontology is held, so that nothing could be looked up.
pub async fn markers(database: &Database, source: &Source, name: &str, on_rows: OnRows<'_>) -> Result<Imported> {
    let (rows, problems) = markers::parse(source)?;
    let knowledge = Knowledge::load(database).await?;
    if !knowledge.has_ontology("CL") {
        let what =
            "no Cell Ontology is held to look up cell types in; run 'haystack import ontology' on a release of CL";
        return Err(Error::Missing(what.to_owned()));
    }
    // Each cell type of the table is looked up once: its id, or what to say of it.
    type Asked<'a> = (Option<&'a str>, Option<&'a str>);
    let mut found: BTreeMap<Asked<'_>, std::result::Result<Curie, String>> = BTreeMap::new();
    let mut resolved = BTreeSet::new();
    for row in &rows {
        let key = (row.id.as_ref().map(|id| id.as_str()), row.name.as_deref());
        let cell_type = found.entry(key).or_insert_with(|| cell_type_of(&knowledge, row));
        if let Ok(cell_type) = cell_type {
            resolved.extend(row.genes.iter().map(|gene| Marker { cell_type: cell_type.clone(), gene: gene.clone() }));
        }
    }
    let unresolved: Vec<String> = found.values().filter_map(|result| result.clone().err()).collect();
    let resolved: Vec<Marker> = resolved.into_iter().collect();
    if resolved.is_empty() {
        return Err(Error::Empty { name: source.name.clone(), what: "cell type that stands for a term".to_owned() });
    }
    let n_types = found.values().filter_map(|result| result.as_ref().ok()).collect::<BTreeSet<_>>().len();
    // With a newer ontology the same file says something else, so the terms are part of the content.
    let terms: Vec<String> = resolved.iter().map(|m| format!("{} {}", m.cell_type, m.gene)).collect();
    let fingerprint = fingerprint(terms.iter().map(String::as_str));
    let outcome = store(database, name, &fingerprint, Facts::Markers(&resolved), on_rows).await?;
    let counts = vec![("cell types", n_types), ("markers", resolved.len())];
    Ok(Imported { unresolved, ..imported(FactKind::Markers, name, source, outcome, counts, problems) })
}

/// Imports a table of perturbations in the format of [`super::perturbations`].
pub async fn perturbations(database: &Database, source: &Source, name: &str, on_rows: OnRows<'_>) -> Result<Imported> {
    let (found, problems) = perturbations::parse(source)?;
    let counts = vec![
        ("perturbations", found.len()),
        ("with an id", found.iter().filter(|p| !p.ids.is_empty()).count()),
        ("with targets", found.iter().filter(|p| !p.targets.is_empty()).count()),
    ];
    let outcome = store(database, name, &source.fingerprint, Facts::Perturbations(&found), on_rows).await?;
    Ok(imported(FactKind::Perturbations, name, source, outcome, counts, problems))
}

fn cell_type_of(knowledge: &Knowledge, row: &markers::Row) -> std::result::Result<Curie, String> {
    if let Some(id) = &row.id {
        return knowledge.term(id).map(|term| term.id).ok_or_else(|| {
            format!("{id} ({}): not a current term of the ontology held", row.name.as_deref().unwrap_or("no name"))
        });
    }
    let name = row.name.as_deref().unwrap_or_default();
    match knowledge.resolve(Kind::CellType, name) {
        Resolution::Resolved(candidate) => Ok(candidate.term.id),
        Resolution::Abstained { candidates } => {
            let near: Vec<_> = candidates.iter().take(3).map(|c| format!("{} {}", c.term.id, c.term.name)).collect();
            Err(if near.is_empty() { name.to_owned() } else { format!("{name} (perhaps {})", near.join(", ")) })
        }
    }
}

async fn store(
    database: &Database,
    name: &str,
    fingerprint: &str,
    facts: Facts<'_>,
    on_rows: OnRows<'_>,
) -> Result<Stored> {
    let total = facts.len();
    Ok(database.replace_facts(name, fingerprint, facts, &|written| on_rows(written, total)).await?)
}

fn imported(
    kind: FactKind,
    name: &str,
    source: &Source,
    outcome: Stored,
    counts: Vec<(&'static str, usize)>,
    problems: Vec<Problem>,
) -> Imported {
    Imported {
        kind: kind.as_str(),
        name: name.to_owned(),
        version: None,
        source: source.name.clone(),
        outcome,
        counts,
        unresolved: Vec::new(),
        problems,
    }
}

fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}
