//! GMT files: gene sets, one a line: name, description, genes, separated by tabs.

use std::collections::HashSet;

use super::source::Source;
use super::{Error, Problem, Result};
use crate::domain::GeneSet;

/// Reads the sets of a file into a collection. Symbols become upper case, repeats go; Enrichr's
/// weights (`GENE,1.0`) are cut off. Lines that hold no set are reported and passed over.
///
/// # Errors
/// If no line holds a set.
pub fn parse(source: &Source, collection: &str) -> Result<(Vec<GeneSet>, Vec<Problem>)> {
    let mut sets = Vec::new();
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    for (line, text) in source.lines() {
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        match parse_line(text, collection) {
            Ok(set) if !names.insert(set.name.clone()) => {
                problems.push(Problem { line, what: format!("a second set named '{}'; the first stands", set.name) });
            }
            Ok(set) => sets.push(set),
            Err(what) => problems.push(Problem { line, what }),
        }
    }
    if sets.is_empty() {
        let example = problems.first().map_or(String::new(), |p| format!(" (line {}: {})", p.line, p.what));
        let what = format!("gene sets; a GMT line is a name, a description and genes, separated by tabs{example}");
        return Err(Error::Empty { name: source.name.clone(), what });
    }
    Ok((sets, problems))
}

fn parse_line(text: &str, collection: &str) -> std::result::Result<GeneSet, String> {
    let mut fields = text.split('\t').map(str::trim);
    let name = fields.next().filter(|name| !name.is_empty()).ok_or("a set without a name")?;
    let description = fields.next().ok_or("no tab: a line is a name, a description and genes")?;
    let mut seen = HashSet::new();
    let genes: Vec<String> = fields
        .map(|gene| gene.split(',').next().unwrap_or_default().trim().to_uppercase())
        .filter(|gene| !gene.is_empty() && seen.insert(gene.clone()))
        .collect();
    if genes.is_empty() {
        return Err(format!("the set '{name}' has no genes"));
    }
    Ok(GeneSet { collection: collection.to_owned(), name: name.to_owned(), description: description.to_owned(), genes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_and_bad_lines_reported_by_number() {
        let text = "A\thttp://a\tStat1\tSTAT1\t IRF1 \t\nB\t\tMX1,1.0\tIFI6,0.5\r\n\n\
                    EMPTY\tnothing\t\t\nno tab here\n\tno name\tX\nA\tagain\tTNF\n";
        let (sets, problems) = parse(&Source::from_text("x.gmt", text), "mine").unwrap();
        let genes: Vec<_> = sets.iter().map(|set| set.genes.join(" ")).collect();
        assert_eq!(genes, ["STAT1 IRF1", "MX1 IFI6"]);
        assert!(sets.iter().all(|set| set.collection == "mine"));
        assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [4, 5, 6, 7]);
    }

    #[test]
    fn a_file_without_sets_is_refused() {
        let error = parse(&Source::from_text("x.gmt", "{\"a\": 1}\n"), "x").unwrap_err().to_string();
        assert!(error.contains("x.gmt") && error.contains("line 1"), "{error}");
    }
}
