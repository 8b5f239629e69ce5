//! Interactions of proteins: which gene's product acts on which, as tables of STRING, OmniPath, LIANA,
//! CellChat and interactomes lay them out by gene symbol.

use std::collections::BTreeMap;

use super::source::Source;
use super::table::Table;
use super::{Error, Problem, Result};
use crate::domain::Interaction;

/// Columns of the genes that act and of those acted on. A table may have several of these pairs: the
/// first it has both of counts, so that symbols come before ids, and NicheNet's `source` (of the facts)
/// is not taken for a gene.
const PAIRS: [(&str, &str); 8] = [
    ("source_genesymbol", "target_genesymbol"),
    ("ligand.symbol", "receptor.symbol"),
    ("ligand", "receptor"),
    ("from", "to"),
    ("source", "target"),
    ("Symbol A", "Symbol B"),
    ("protein1", "protein2"),
    ("a", "b"),
];

/// What the rows of a pair say of it.
#[derive(Default)]
struct Said {
    activates: bool,
    represses: bool,
    score: f64,
}

/// Reads a network. Scores out of 1000, as STRING gives them, become shares; a sign is read from
/// `interaction` (1, -1), or from OmniPath's `is_stimulation` and `is_inhibition`. Of a pair that comes
/// several times the highest score stays, and a sign only if all rows that have one agree.
///
/// # Errors
/// If a column is missing, or no row is left.
pub fn parse(source: &Source) -> Result<(Vec<Interaction>, Vec<Problem>)> {
    let mut table = Table::read(source)?;
    let (from, to) = table.need_pair(&PAIRS)?;
    let score = table.find(&["combined_score", "score"]);
    let sign = table.find(&["interaction", "sign"]);
    let (up, down) = (table.find(&["is_stimulation"]), table.find(&["is_inhibition"]));
    let mut problems = std::mem::take(&mut table.problems);
    let mut pairs: BTreeMap<(String, String), Said> = BTreeMap::new();
    for (line, row) in table.rows() {
        let mut read = || -> std::result::Result<(), String> {
            let pair = (symbol(row.get(from))?, symbol(row.get(to))?);
            let score = match row.maybe(score) {
                None => 1.0,
                Some(text) => {
                    let value = text.parse::<f64>().ok().filter(|value| (0.0..=1000.0).contains(value));
                    value.ok_or_else(|| format!("the score '{text}' is not a number from 0 to 1000"))?
                }
            };
            let sign = match row.maybe(sign) {
                Some(text) => sign_of(text),
                None => match (is_set(row.maybe(up)), is_set(row.maybe(down))) {
                    (true, false) => Some(1),
                    (false, true) => Some(-1),
                    _ => None,
                },
            };
            let said = pairs.entry(pair).or_default();
            said.activates |= sign == Some(1);
            said.represses |= sign == Some(-1);
            said.score = said.score.max(score);
            Ok(())
        };
        if let Err(what) = read() {
            problems.push(Problem { line, what });
        }
    }
    if pairs.is_empty() {
        return Err(Error::Empty { name: source.name.clone(), what: "interactions that can be used".to_owned() });
    }
    let out_of = if pairs.values().any(|said| said.score > 1.0) { 1000.0 } else { 1.0 };
    let interaction = |((source, target), said): ((String, String), Said)| {
        let sign = match (said.activates, said.represses) {
            (true, false) => Some(1),
            (false, true) => Some(-1),
            _ => None,
        };
        Interaction { source, target, sign, score: said.score / out_of }
    };
    Ok((pairs.into_iter().map(interaction).collect(), problems))
}

fn is_set(flag: Option<&str>) -> bool {
    flag.is_some_and(|flag| flag == "1" || flag.eq_ignore_ascii_case("true"))
}

fn sign_of(text: &str) -> Option<i8> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 => Some(1),
        Ok(value) if value < 0.0 => Some(-1),
        _ => None,
    }
}

/// A gene; or the genes of a complex, which OmniPath joins by `_` and CellChat by a comma, in the order
/// of the alphabet and joined by `_`.
fn symbol(text: &str) -> std::result::Result<String, String> {
    let listed = text.trim().strip_prefix("COMPLEX:").unwrap_or(text);
    let mut genes: Vec<String> = listed.split(['_', ',']).map(|gene| gene.trim().to_uppercase()).collect();
    genes.retain(|gene| !gene.is_empty());
    genes.sort();
    genes.dedup();
    let is_symbol = |gene: &String| gene.chars().all(|c| c.is_ascii_alphanumeric() || "-.@:".contains(c));
    // Files of STRING itself name proteins so: `9606.ENSP00000000233`.
    if genes.iter().any(|gene| gene.contains(".ENS")) {
        return Err(format!("'{text}' is an Ensembl id; a table of gene symbols is needed"));
    }
    if !genes.is_empty() && genes.iter().all(is_symbol) {
        Ok(genes.join("_"))
    } else {
        Err(format!("'{text}' is not a gene symbol"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Interaction>, Vec<Problem>) {
        parse(&Source::from_text("net.tsv", text)).unwrap()
    }

    #[test]
    fn the_layouts_of_string_and_omnipath_are_read() {
        let (found, problems) = read("a\tb\tcombined_score\nCYP2E1\tCES1\t905.0\nX\tY\tmuch\n\tZ\t1\n");
        let expected = Interaction { source: "CYP2E1".into(), target: "CES1".into(), sign: None, score: 0.905 };
        assert_eq!(found, [expected]);
        assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [3, 4]);

        let (found, _) = read("source\tinteraction\ttarget\nCALM3\t-1\tTRPC1\nA\t1\tB\nA\t-1\tB\nA\t1\tB\n");
        assert_eq!(found.iter().map(|i| i.sign).collect::<Vec<_>>(), [None, Some(-1)], "A and B contradict");

        let (found, _) =
            read("source_genesymbol,target_genesymbol,is_stimulation,is_inhibition\nTGFB1,TGFBR1_TGFBR2,1,0\n");
        assert_eq!((found[0].target.as_str(), found[0].sign), ("TGFBR1_TGFBR2", Some(1)));
    }

    #[test]
    fn genes_are_told_from_what_stands_beside_them() {
        let pair = |text: &str| read(text).0.into_iter().map(|one| (one.source, one.target)).collect::<Vec<_>>();
        let expected = |source: &str, target: &str| vec![(source.to_owned(), target.to_owned())];
        let nichenet = "from\tto\tsource\tdatabase\nNRP1\tKDR\tomnipath_directed_lr\tomnipath_lr\n";
        assert_eq!(pair(nichenet), expected("NRP1", "KDR"));
        let cellchat = "ligand\treceptor\tligand.symbol\treceptor.symbol\n\
                        TGFB1\tTGFbR1_R2\tTGFB1\tTGFBR2, TGFBR1\nNone\tX\t\tX\n";
        assert_eq!(pair(cellchat), expected("TGFB1", "TGFBR1_TGFBR2"));
        let of_string = "protein1\tprotein2\tcombined_score\n9606.ENSP00000000233\t9606.ENSP00000356607\t173\n";
        assert!(parse(&Source::from_text("links.tsv", of_string)).is_err());
    }

    #[test]
    fn another_separator_is_named() {
        let error = parse(&Source::from_text("net.txt", "a|b|score\nX|Y|1\n")).unwrap_err().to_string();
        assert!(error.contains("tabs, commas or semicolons"), "{error}");
    }
}
