//! Regulons: which transcription factor acts on which gene, as tables such as CollecTRI's
//! (`source,target,weight`) or DoRothEA's (`tf,confidence,target,mor`).

use std::collections::BTreeMap;

use super::source::Source;
use super::table::Table;
use super::{Error, Problem, Result};
use crate::domain::Regulation;

/// Reads a network. Without a weight column every factor is taken to activate (weight 1), as
/// decoupler does. `confidence` keeps only rows with one of these letters.
///
/// A pair that comes twice must have one weight; if not, the first stands and the other is reported.
///
/// # Errors
/// If a column is missing, or no row is left.
pub fn parse(source: &Source, confidence: &[char]) -> Result<(Vec<Regulation>, Vec<Problem>)> {
    let mut table = Table::read(source)?;
    let factor = table.need(&["source", "tf", "source_genesymbol", "regulator"])?;
    let target = table.need(&["target", "target_genesymbol", "gene"])?;
    let weight = table.find(&["weight", "mor", "sign"]);
    let level = if confidence.is_empty() { None } else { Some(table.need(&["confidence", "dorothea_level"])?) };
    let mut problems = std::mem::take(&mut table.problems);
    let mut pairs: BTreeMap<(String, String), f64> = BTreeMap::new();
    for (line, row) in table.rows() {
        if level.is_some_and(|level| !row.get(level).chars().any(|c| confidence.contains(&c.to_ascii_uppercase()))) {
            continue;
        }
        let pair = (row.get(factor).to_uppercase(), row.get(target).to_uppercase());
        if pair.0.is_empty() || pair.1.is_empty() {
            problems.push(Problem { line, what: "a factor or a target is missing".to_owned() });
            continue;
        }
        let value = weight.map_or(Ok(1.0), |column| row.get(column).parse::<f64>());
        match value {
            Ok(value) if value.is_finite() && value != 0.0 => match pairs.get(&pair) {
                Some(&first) if first != value => problems.push(Problem {
                    line,
                    what: format!("{} → {} again, with weight {value}; the first, {first}, stands", pair.0, pair.1),
                }),
                Some(_) => {}
                None => _ = pairs.insert(pair, value),
            },
            _ => {
                let text = weight.map_or("", |column| row.get(column));
                problems.push(Problem { line, what: format!("the weight '{text}' is not a number other than 0") });
            }
        }
    }
    if pairs.is_empty() {
        return Err(Error::Empty { name: source.name.clone(), what: "regulations that can be used".to_owned() });
    }
    let regulations = pairs.into_iter().map(|((source, target), weight)| Regulation { source, target, weight });
    Ok((regulations.collect(), problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_read_and_contradictions_reported() {
        let collectri = "source,target,weight,PMID\nMYC,TERT,1,1;2\nspi1,BGLAP,-1,3\nMYC,TERT,1,4\nMYC,TERT,-1,5\n\
                         MYC,X,0,6\nMYC,Y,many,7\n,Z,1,8\n";
        let (found, problems) = parse(&Source::from_text("c.csv", collectri), &[]).unwrap();
        let found: Vec<_> = found.iter().map(|r| format!("{} {} {}", r.source, r.target, r.weight)).collect();
        assert_eq!(found, ["MYC TERT 1", "SPI1 BGLAP -1"]);
        assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [5, 6, 7, 8]);

        let dorothea = "tf\tconfidence\ttarget\tmor\nA\tA\tX\t1.0\nA\tD\tY\t-1.0\n";
        let (found, _) = parse(&Source::from_text("d.tsv", dorothea), &['A', 'B']).unwrap();
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_table_of_something_else_is_refused() {
        let error = parse(&Source::from_text("m.tsv", "cell type\tgene\nB cell\tCD19\n"), &[]).unwrap_err();
        assert!(error.to_string().contains("m.tsv, line 1: no column 'source'"), "{error}");
    }
}
