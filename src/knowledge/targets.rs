//! Tables of drugs, their targets and ids, and of cytokines and the genes they move, as DGIdb, the Drug
//! Repurposing Hub, ChEMBL and CytoSig lay them out.
//!
//! Rows about one perturbation are joined under its name. Which way a target goes is read from the
//! words for the interaction or mechanism: `inhibitor` is down, `agonist` up, anything else unknown.

use std::collections::BTreeMap;

use super::source::Source;
use super::table::{Row, Table};
use super::{Problem, Result};
use crate::domain::terms::{Direction, GeneEffect, PerturbationKind};
use crate::domain::{Curie, Perturbation};

/// How many genes of a cytokine's signature are kept: those it moves most, either way.
const SIGNATURE: usize = 100;

/// The layouts known, told by their columns.
enum Layout {
    /// `gene_name`, `interaction_types`, `drug_name`, `drug_concept_id`.
    Dgidb { gene: usize, drug: usize, interaction: Option<usize>, id: Option<usize>, claim: Option<usize> },
    /// `pert_iname`, `moa`, `target`.
    Repurposing { drug: usize, mechanism: usize, target: usize },
    /// `pert_iname`, `pubchem_cid`, `vendor_name`.
    Samples { drug: usize, pubchem: usize, vendor: Option<usize> },
    /// `chembl_id`, `pref_name`, `chebi_id`.
    Chembl { id: usize, name: usize, chebi: Option<usize> },
    /// `cytokine`, `gene`, `weight`.
    Signatures { cytokine: usize, gene: usize, weight: usize },
    /// `gene`, and a column for each cytokine.
    SignatureMatrix { gene: usize },
}

/// Reads the table if it has one of the known layouts; `None` if not.
///
/// # Errors
/// None of its own: rows that cannot be read are reported.
pub(super) fn parse(source: &Source, table: &mut Table<'_>) -> Result<Option<(Vec<Perturbation>, Vec<Problem>)>> {
    let Some(layout) = layout(source, table) else { return Ok(None) };
    let mut problems = std::mem::take(&mut table.problems);
    let mut found = Found::default();
    for (line, row) in table.rows() {
        if let Err(what) = found.take(&layout, table, row) {
            problems.push(Problem { line, what });
        }
    }
    Ok(Some((found.finish(), problems)))
}

fn layout(source: &Source, table: &Table<'_>) -> Option<Layout> {
    let find = |names: &[&str]| table.find(names);
    if let (Some(gene), Some(drug)) = (find(&["gene_name"]), find(&["drug_name"])) {
        let (interaction, id) = (find(&["interaction_types", "interaction_type"]), find(&["drug_concept_id"]));
        return Some(Layout::Dgidb { gene, drug, interaction, id, claim: find(&["drug_claim_name"]) });
    }
    if let Some(drug) = find(&["pert_iname"]) {
        if let (Some(mechanism), Some(target)) = (find(&["moa"]), find(&["target"])) {
            return Some(Layout::Repurposing { drug, mechanism, target });
        }
        return find(&["pubchem_cid"]).map(|pubchem| Layout::Samples { drug, pubchem, vendor: find(&["vendor_name"]) });
    }
    if let (Some(id), Some(name)) = (find(&["chembl_id"]), find(&["pref_name"])) {
        return Some(Layout::Chembl { id, name, chebi: find(&["chebi_id"]) });
    }
    if let (Some(cytokine), Some(gene), Some(weight)) = (find(&["cytokine"]), find(&["gene"]), find(&["weight"])) {
        return Some(Layout::Signatures { cytokine, gene, weight });
    }
    // A matrix has no column that says what it is, but its file is named for CytoSig.
    let is_matrix = source.name.to_lowercase().contains("cytosig") && table.headers().len() > 2;
    find(&["gene"]).filter(|_| is_matrix).map(|gene| Layout::SignatureMatrix { gene })
}

#[derive(Default)]
struct Found {
    /// By lower-case name.
    perturbations: BTreeMap<String, Perturbation>,
    /// Weights of cytokines on genes, by lower-case name.
    weights: BTreeMap<String, Vec<(f64, String)>>,
}

impl Found {
    fn take(&mut self, layout: &Layout, table: &Table<'_>, row: Row<'_>) -> std::result::Result<(), String> {
        match *layout {
            Layout::Dgidb { gene, drug, interaction, id, claim } => {
                // DGIdb leaves empty what it could not match to a drug or gene it knows.
                let name = row.maybe(Some(drug)).ok_or("an interaction without a drug")?;
                let target = symbol(row.maybe(Some(gene)).ok_or("an interaction without a gene")?)?;
                let ids = row.maybe(id).map(curie).transpose()?;
                let direction = direction(row.maybe(interaction).unwrap_or_default());
                let drug = self.perturbation(name, PerturbationKind::Drug);
                join(&mut drug.ids, ids);
                join(&mut drug.synonyms, row.maybe(claim).filter(|c| !c.eq_ignore_ascii_case(name)).map(str::to_owned));
                aim(&mut drug.targets, target, direction);
            }
            Layout::Repurposing { drug, mechanism, target } => {
                let name = &unquoted(row.maybe(Some(drug)).ok_or("a drug without a name")?);
                let genes = row.maybe(Some(target)).unwrap_or_default().split('|').filter(|gene| !gene.is_empty());
                let genes = genes.map(symbol).collect::<std::result::Result<Vec<_>, _>>()?;
                let direction = direction(row.get(mechanism));
                let drug = self.perturbation(name, PerturbationKind::Drug);
                genes.into_iter().for_each(|gene| aim(&mut drug.targets, gene, direction));
            }
            Layout::Samples { drug, pubchem, vendor } => {
                let name = &unquoted(row.maybe(Some(drug)).ok_or("a drug without a name")?);
                let id = row.maybe(Some(pubchem)).map(|id| {
                    let number = id.split('.').next().unwrap_or(id);
                    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                    if is_number {
                        curie(&format!("pubchem.compound:{number}"))
                    } else {
                        Err(format!("'{id}' is not a PubChem id"))
                    }
                });
                let id = id.transpose()?;
                let drug = self.perturbation(name, PerturbationKind::Drug);
                join(&mut drug.ids, id);
                let vendor = row.maybe(vendor).map(unquoted);
                join(&mut drug.synonyms, vendor.filter(|vendor| !vendor.eq_ignore_ascii_case(name)));
            }
            Layout::Chembl { id, name, chebi } => {
                let name = row.maybe(Some(name)).ok_or("a molecule without a name")?;
                let id = curie(&format!("chembl:{}", row.get(id)))?;
                let chebi = row
                    .maybe(chebi)
                    .map(|id| curie(&if id.starts_with("CHEBI:") { id.to_owned() } else { format!("CHEBI:{id}") }));
                let chebi = chebi.transpose()?;
                let drug = self.perturbation(name, PerturbationKind::Drug);
                join(&mut drug.ids, Some(id));
                join(&mut drug.ids, chebi);
            }
            Layout::Signatures { cytokine, gene, weight } => {
                let name = row.maybe(Some(cytokine)).ok_or("a cytokine without a name")?;
                self.weigh(name, symbol(row.get(gene))?, row.get(weight))?;
            }
            Layout::SignatureMatrix { gene } => {
                let symbol = symbol(row.get(gene))?;
                for (column, name) in table.headers().iter().enumerate().filter(|(column, _)| *column != gene) {
                    if let Some(weight) = row.maybe(Some(column)) {
                        // R writes every hyphen and space of a column's name as a dot.
                        self.weigh(&name.replace('.', " "), symbol.clone(), weight)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn perturbation(&mut self, name: &str, kind: PerturbationKind) -> &mut Perturbation {
        self.perturbations.entry(name.to_lowercase()).or_insert_with(|| Perturbation::named(name, kind))
    }

    fn weigh(&mut self, name: &str, gene: String, weight: &str) -> std::result::Result<(), String> {
        let value = weight.parse::<f64>().ok().filter(|value| value.is_finite());
        let value = value.ok_or_else(|| format!("the weight '{weight}' is not a number"))?;
        self.perturbation(name, PerturbationKind::Cytokine);
        self.weights.entry(name.to_lowercase()).or_default().push((value, gene));
        Ok(())
    }

    fn finish(mut self) -> Vec<Perturbation> {
        for (name, mut weights) in self.weights {
            weights.retain(|(weight, _)| *weight != 0.0);
            weights.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()).then_with(|| a.1.cmp(&b.1)));
            if let Some(cytokine) = self.perturbations.get_mut(&name) {
                for (weight, gene) in weights.into_iter().take(SIGNATURE) {
                    aim(&mut cytokine.responses, gene, if weight > 0.0 { Direction::Up } else { Direction::Down });
                }
            }
        }
        self.perturbations.into_values().collect()
    }
}

/// The Repurposing Hub quotes what contains a comma, though tabs separate its columns.
fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) => text.replace("\"\"", "\""),
        None => text.to_owned(),
    }
}

/// Which way a target goes under the interactions or mechanisms in words, separated by commas or bars;
/// unknown where they disagree: of a `dopamine receptor antagonist|serotonin receptor agonist` nothing
/// tells which target is which.
fn direction(words: &str) -> Direction {
    let mut known = words.split([',', '|']).map(direction_of).filter(|direction| *direction != Direction::Unknown);
    match known.next() {
        Some(first) if known.all(|other| other == first) => first,
        _ => Direction::Unknown,
    }
}

/// Which way a target goes under one interaction or mechanism.
fn direction_of(words: &str) -> Direction {
    const DOWN: [&str; 8] = [
        "inhibitor",
        "antagonist",
        "inverse agonist",
        "blocker",
        "negative modulator",
        "suppressor",
        "degrader",
        "antisense",
    ];
    const UP: [&str; 7] =
        ["agonist", "activator", "positive modulator", "stimulator", "inducer", "potentiator", "opener"];
    let words = words.to_lowercase();
    let says = |list: &[&str]| list.iter().any(|word| words.contains(word));
    // First what lowers: `antagonist` contains `agonist`, and an `activator inhibitor` inhibits.
    if says(&DOWN) {
        Direction::Down
    } else if says(&UP) {
        Direction::Up
    } else {
        Direction::Unknown
    }
}

/// Adds a target; of two directions that contradict, neither is known.
fn aim(effects: &mut Vec<GeneEffect>, gene: String, direction: Direction) {
    match effects.iter_mut().find(|effect| effect.gene == gene) {
        None => effects.push(GeneEffect { gene, direction }),
        Some(before) if before.direction == Direction::Unknown => before.direction = direction,
        Some(before) if direction != Direction::Unknown && before.direction != direction => {
            before.direction = Direction::Unknown;
        }
        Some(_) => {}
    }
}

fn join<T: PartialEq>(into: &mut Vec<T>, item: Option<T>) {
    into.extend(item.filter(|item| !into.contains(item)));
}

fn symbol(text: &str) -> std::result::Result<String, String> {
    let gene = text.trim().to_uppercase();
    let is_symbol = !gene.is_empty() && gene.chars().all(|c| c.is_ascii_alphanumeric() || "-._@".contains(c));
    if is_symbol { Ok(gene) } else { Err(format!("'{text}' is not a gene symbol")) }
}

fn curie(text: &str) -> std::result::Result<Curie, String> {
    text.parse().map_err(|error: crate::domain::ids::CurieError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::perturbations;

    fn read(name: &str, text: &str) -> (Vec<Perturbation>, Vec<Problem>) {
        perturbations::parse(&Source::from_text(name, text)).unwrap()
    }

    fn targets(of: &Perturbation) -> Vec<(&str, Direction)> {
        of.targets.iter().map(|effect| (effect.gene.as_str(), effect.direction)).collect()
    }

    #[test]
    fn dgidb_rows_are_joined_by_drug() {
        let text = "gene_name\tinteraction_types\tdrug_claim_name\tdrug_name\tdrug_concept_id\n\
                    BTK\tinhibitor\tPCI-32765\tIBRUTINIB\tchembl:CHEMBL1873475\nITK\t\tIBRUTINIB\tIbrutinib\t\n\
                    \tinhibitor\tx\ty\t\nDRD2\tantagonist,agonist\tz\tz\tno id\n";
        let (found, problems) = read("interactions.tsv", text);
        assert_eq!(found.len(), 1);
        assert_eq!(targets(&found[0]), [("BTK", Direction::Down), ("ITK", Direction::Unknown)]);
        assert_eq!(
            (found[0].ids[0].as_str(), &found[0].synonyms[..]),
            ("chembl:CHEMBL1873475", &["PCI-32765".to_owned()][..])
        );
        assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn the_repurposing_hub_tells_direction_by_mechanism() {
        let header = "!a note\npert_iname\tclinical_phase\tmoa\ttarget\n";
        for (mechanism, expected) in [
            ("glucocorticoid receptor agonist", Direction::Up),
            ("tachykinin antagonist", Direction::Down),
            ("plasminogen activator inhibitor", Direction::Down),
            ("\"indoleamine 2,3-dioxygenase inhibitor\"", Direction::Down),
            ("serotonin receptor agonist|serotonin receptor antagonist", Direction::Unknown),
            ("vitamin B", Direction::Unknown),
        ] {
            let (found, _) = read("drugs.txt", &format!("{header}some-drug\tLaunched\t{mechanism}\tA|B\n"));
            assert_eq!(targets(&found[0]), [("A", expected), ("B", expected)], "{mechanism}");
        }
        let (found, problems) = read("drugs.txt", &format!("{header}\"a,b\"\tx\ty\tA\nbad\tx\ty\tA|? ?\n"));
        assert_eq!((found.len(), found[0].name.as_str(), problems[0].line), (1, "a,b", 4));
        let text =
            "broad_id\tpert_iname\tvendor_name\tpubchem_cid\nB\tdexamethasone\t\"(+)-Dexa,1\"\t5743.0\nB\tx\ty\tnone\n";
        let (found, problems) = read("samples.txt", text);
        assert_eq!(found[0].ids[0].as_str(), "pubchem.compound:5743");
        assert_eq!((&found[0].synonyms[..], problems[0].line), (&["(+)-Dexa,1".to_owned()][..], 3));
    }

    #[test]
    fn signatures_keep_their_sign() {
        let (found, problems) = read("w.tsv", "cytokine\tgene\tweight\nIL13\tCCL26\t8.8\nIL13\tX\t-1\nIL13\tY\tmany\n");
        let signs: Vec<_> = found[0].responses.iter().map(|e| (e.gene.as_str(), e.direction)).collect();
        assert_eq!(signs, [("CCL26", Direction::Up), ("X", Direction::Down)]);
        assert_eq!((found[0].kind, problems[0].line), (PerturbationKind::Cytokine, 4));
        let (found, _) = read("cytosig.tsv", "gene\tActivin.A\tIL6\nA\t1\t0\nB\t-2\t3\n");
        assert_eq!(found.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["Activin A", "IL6"]);
        assert_eq!(found[0].responses[0].gene, "B");
    }
}
