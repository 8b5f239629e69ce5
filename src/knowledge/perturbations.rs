//! Tables of perturbations, in a format of our own: tab-separated with a header; or in one of those of
//! `targets`.
//!
//! | column | what |
//! |---|---|
//! | `name` | canonical name, such as `interferon beta` |
//! | `kind` | `drug`, `cytokine`, `genetic` or `unknown` |
//! | `ids` | identifiers, the preferred one first: `uniprot:P01574;CHEBI:…` |
//! | `synonyms` | other names |
//! | `targets` | what it binds or edits: `+IFNAR1;+IFNAR2`, `-BTK` |
//! | `effectors` | transcription factors it switches on or off: `+STAT1;+STAT2` |
//! | `responses` | genes that follow: `+ISG15;-…` |
//! | `pathways` | names of gene sets expected to be enriched |
//!
//! All but `name` and `kind` may be empty or missing; lists are separated by `;`. A gene is written
//! `+GENE` if it rises or is activated, `-GENE` if it falls or is inhibited, `GENE` if not known.
//! Lines that begin with `#` are comments.

use std::collections::HashSet;

use super::source::Source;
use super::table::Table;
use super::{Error, Problem, Result, targets};
use crate::domain::terms::{Direction, GeneEffect, PerturbationKind};
use crate::domain::{Curie, Perturbation};

/// Reads a table. Rows that cannot be read are reported and passed over.
///
/// # Errors
/// If a column is missing, or no row is left.
pub fn parse(source: &Source) -> Result<(Vec<Perturbation>, Vec<Problem>)> {
    let mut table = Table::read(source)?;
    if let Some((found, problems)) = targets::parse(source, &mut table)? {
        return some(source, found, problems);
    }
    let (name, kind) = (table.need(&["name"])?, table.need(&["kind"])?);
    let [ids, synonyms, targets, effectors, responses, pathways] =
        ["ids", "synonyms", "targets", "effectors", "responses", "pathways"].map(|column| table.find(&[column]));
    let mut problems = std::mem::take(&mut table.problems);
    let mut perturbations: Vec<Perturbation> = Vec::new();
    let mut names = HashSet::new();
    for (line, row) in table.rows() {
        let list = |column: Option<usize>| -> Vec<&str> {
            let items = row.maybe(column).unwrap_or_default().split(';').map(str::trim);
            items.filter(|item| !item.is_empty()).collect()
        };
        let read = || -> std::result::Result<Perturbation, String> {
            let name = row.get(name);
            if name.is_empty() {
                return Err("a perturbation without a name".to_owned());
            }
            Ok(Perturbation {
                name: name.to_owned(),
                kind: kind_of(row.get(kind))?,
                ids: list(ids)
                    .into_iter()
                    .map(|id| id.parse().map_err(|e: crate::domain::ids::CurieError| e.to_string()))
                    .collect::<std::result::Result<Vec<Curie>, _>>()?,
                synonyms: list(synonyms).into_iter().map(str::to_owned).collect(),
                targets: list(targets).into_iter().map(effect).collect::<std::result::Result<_, _>>()?,
                effectors: list(effectors).into_iter().map(effect).collect::<std::result::Result<_, _>>()?,
                responses: list(responses).into_iter().map(effect).collect::<std::result::Result<_, _>>()?,
                pathways: list(pathways).into_iter().map(str::to_owned).collect(),
            })
        };
        match read() {
            Ok(found) if !names.insert(found.name.to_lowercase()) => {
                problems.push(Problem { line, what: format!("'{}' a second time; the first stands", found.name) });
            }
            Ok(found) => perturbations.push(found),
            Err(what) => problems.push(Problem { line, what }),
        }
    }
    some(source, perturbations, problems)
}

/// What was found, or an error if that is nothing.
fn some(
    source: &Source,
    found: Vec<Perturbation>,
    problems: Vec<Problem>,
) -> Result<(Vec<Perturbation>, Vec<Problem>)> {
    if found.is_empty() {
        let example = problems.first().map_or(String::new(), |p| format!(" (line {}: {})", p.line, p.what));
        return Err(Error::Empty { name: source.name.clone(), what: format!("perturbations{example}") });
    }
    Ok((found, problems))
}

fn kind_of(word: &str) -> std::result::Result<PerturbationKind, String> {
    match word.to_ascii_lowercase().as_str() {
        "drug" => Ok(PerturbationKind::Drug),
        "cytokine" => Ok(PerturbationKind::Cytokine),
        "genetic" => Ok(PerturbationKind::Genetic),
        "unknown" | "" => Ok(PerturbationKind::Unknown),
        other => Err(format!("the kind '{other}' is none of drug, cytokine, genetic, unknown")),
    }
}

fn effect(text: &str) -> std::result::Result<GeneEffect, String> {
    let (direction, gene) = match text.strip_prefix('+').map(|gene| (Direction::Up, gene)) {
        Some(up) => up,
        None => text.strip_prefix('-').map_or((Direction::Unknown, text), |gene| (Direction::Down, gene)),
    };
    let gene = gene.trim().to_uppercase();
    let is_symbol = !gene.is_empty() && gene.chars().all(|c| c.is_ascii_alphanumeric() || "-._@".contains(c));
    if is_symbol { Ok(GeneEffect { gene, direction }) } else { Err(format!("'{text}' is not a gene symbol")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_whole() {
        let text = "# ours\nname\tkind\tids\tsynonyms\ttargets\teffectors\tresponses\tpathways\n\
                    ibrutinib\tdrug\tCHEBI:76612\tPCI-32765; Imbruvica\t-BTK;ITK\t\t-egr1;\tB cell receptor signalling\n";
        let (found, problems) = parse(&Source::from_text("p.tsv", text)).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        let ibrutinib = &found[0];
        assert_eq!(ibrutinib.kind, PerturbationKind::Drug);
        assert_eq!(ibrutinib.synonyms, ["PCI-32765", "Imbruvica"]);
        let directions: Vec<_> = ibrutinib.targets.iter().map(|t| (t.gene.as_str(), t.direction)).collect();
        assert_eq!(directions, [("BTK", Direction::Down), ("ITK", Direction::Unknown)]);
        assert_eq!(ibrutinib.responses[0].gene, "EGR1");
        assert!(ibrutinib.effectors.is_empty());
    }

    #[test]
    fn bad_rows_are_reported_by_line() {
        let text = "name\tkind\tids\ttargets\nx\tdrug\t\t\nX\tdrug\t\t\ny\tpotion\t\t\nz\tdrug\tno id\t\n\
                    w\tdrug\t\t+A B\n\tdrug\t\t\n";
        let (found, problems) = parse(&Source::from_text("p.tsv", text)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
        let error = parse(&Source::from_text("p.tsv", "name\tkind\ny\tpotion\n")).unwrap_err().to_string();
        assert!(error.contains("potion"), "{error}");
    }
}
