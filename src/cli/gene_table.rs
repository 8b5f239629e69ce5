//! Tables of genes to read: a list, a ranking, or what `haystack de` and scanpy write.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use super::{Error, Result};
use crate::domain::evaluation::gene_symbol;
use crate::knowledge::Source;

/// Columns that name genes.
const GENES: [&str; 6] = ["names", "gene", "gene_name", "gene_symbol", "symbol", "genes"];

/// Words that stand for a missing number.
const MISSING: [&str; 5] = ["", "nan", "na", "n/a", "null"];

/// A table with its header, if it has one.
#[derive(Clone)]
pub struct GeneTable {
    /// What to call it in messages.
    pub name: String,
    header: Vec<String>,
    /// Rows with their line numbers.
    rows: Vec<(usize, Vec<String>)>,
}

/// Genes in the order of the table, each once, with a number.
pub struct Ranking {
    /// Upper-case symbols.
    pub genes: Vec<String>,
    /// One for each gene.
    pub values: Vec<f64>,
    /// Rows without a number.
    pub n_missing: usize,
    /// Rows of genes that came before.
    pub n_repeated: usize,
}

impl GeneTable {
    /// Reads a file, gzipped or not, or standard input for `-`. Columns are separated by tabs, or by
    /// commas where the first line has no tab. A first line is a header if it names genes, or if its
    /// second field is no number while that of the second line is one.
    pub fn read(path: &Path) -> Result<Self> {
        let source = match path.to_str() {
            Some("-") => {
                let mut text = String::new();
                let read = std::io::stdin().lock().read_to_string(&mut text);
                read.map_err(|error| Error::failed(format!("cannot read standard input: {error}")))?;
                Source::from_text("standard input", text)
            }
            _ => Source::read(path)?,
        };
        Self::parse(&source)
    }

    fn parse(source: &Source) -> Result<Self> {
        let separator = if source.text.lines().next().is_some_and(|line| line.contains('\t')) { '\t' } else { ',' };
        let mut rows: Vec<(usize, Vec<String>)> = source
            .text
            .lines()
            .zip(1..)
            .filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|(line, at)| {
                let field = |field: &str| field.trim().trim_matches('"').to_owned();
                (at, line.split(separator).map(field).collect())
            })
            .collect();
        if rows.is_empty() {
            return Err(Error::failed(format!("{} is empty", source.name)));
        }
        let is_number = |row: &[String]| row.get(1).is_some_and(|field| number(field).is_ok());
        let first = &rows[0].1;
        let names_genes = first.iter().any(|field| GENES.contains(&field.to_lowercase().as_str()));
        let stands_above = first.len() > 1 && !is_number(first) && rows.get(1).is_some_and(|(_, row)| is_number(row));
        let header = if names_genes || stands_above { rows.remove(0).1 } else { Vec::new() };
        Ok(Self { name: source.name.clone(), header, rows })
    }

    /// Whether this is a table of differential expression.
    pub fn is_differential(&self) -> bool {
        ["logfoldchanges", "pvals_adj"].iter().all(|name| self.find(name).is_some())
    }

    /// The names of the columns; none where there is no header.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Whether all fields of the first row but the gene are numbers.
    pub fn first_row_is_numbers(&self) -> bool {
        self.rows.first().is_some_and(|(_, row)| row.len() > 1 && row[1..].iter().all(|field| number(field).is_ok()))
    }

    /// The groups, in the order of the table.
    pub fn groups(&self) -> Vec<String> {
        let mut groups: Vec<String> = Vec::new();
        if let Some(column) = self.find("group") {
            for (_, row) in &self.rows {
                if let Some(name) = row.get(column).filter(|name| groups.last() != Some(name) && !groups.contains(name))
                {
                    groups.push(name.clone());
                }
            }
        }
        groups
    }

    /// Keeps the rows of one group, where the table has several.
    pub fn keep_group(&mut self, group: Option<&str>) -> Result {
        let Some(column) = self.find("group") else {
            return match group {
                Some(group) => Err(Error::usage(format!("{} has no column 'group' to find '{group}' in", self.name))),
                None => Ok(()),
            };
        };
        let groups = self.groups();
        let listed = || groups.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        let group = match group {
            None if groups.len() > 1 => {
                let error = format!("{} has {} groups: {}", self.name, groups.len(), listed());
                return Err(Error::usage(error).hint("name one with --group"));
            }
            None => return Ok(()),
            Some(group) if groups.iter().any(|held| held == group) => group,
            Some(group) => {
                return Err(Error::usage(format!("{} has no group '{group}'; it has {}", self.name, listed())));
            }
        };
        self.rows.retain(|(_, row)| row.get(column).is_some_and(|name| name == group));
        Ok(())
    }

    /// The genes, as upper-case symbols in the order of the table, each once.
    pub fn genes(&self) -> Vec<String> {
        let column = self.gene_column();
        let mut seen = std::collections::HashSet::new();
        let genes = self.rows.iter().filter_map(|(_, row)| row.get(column)).map(|gene| symbol(gene));
        genes.filter(|gene| !gene.is_empty() && seen.insert(gene.clone())).collect()
    }

    /// The genes with a number each: from the column of this name, or the second.
    pub fn ranking(&self, column: Option<&str>) -> Result<Ranking> {
        let (genes, values) = (self.gene_column(), self.value_column(column)?);
        let mut ranking = Ranking { genes: Vec::new(), values: Vec::new(), n_missing: 0, n_repeated: 0 };
        let mut seen = HashMap::new();
        for (line, row) in &self.rows {
            let gene = row.get(genes).map(|gene| symbol(gene)).unwrap_or_default();
            let field = row.get(values).map_or("", String::as_str);
            let at = |what: String| Error::failed(format!("{}, line {line}: {what}", self.name));
            match number(field) {
                _ if gene.is_empty() => return Err(at("there is no gene".to_owned())),
                Ok(None) => ranking.n_missing += 1,
                Ok(Some(value)) if !value.is_finite() => {
                    return Err(at(format!("{gene} has the value '{field}', which has no place in a ranking"))
                        .hint("take out genes that could not be measured, or give them a finite value"));
                }
                Ok(Some(_)) if seen.insert(gene.clone(), ()).is_some() => ranking.n_repeated += 1,
                Ok(Some(value)) => {
                    ranking.genes.push(gene);
                    ranking.values.push(value);
                }
                Err(()) => return Err(at(format!("'{field}' is not a number"))),
            }
        }
        if ranking.genes.is_empty() {
            return Err(Error::failed(format!("{} has no gene with a value", self.name)));
        }
        Ok(ranking)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|header| header.eq_ignore_ascii_case(name))
    }

    fn gene_column(&self) -> usize {
        GENES.iter().find_map(|name| self.find(name)).unwrap_or(0)
    }

    fn value_column(&self, column: Option<&str>) -> Result<usize> {
        match column {
            Some(name) => self.find(name).ok_or_else(|| {
                Error::usage(format!("{} has no column '{name}'; it has {}", self.name, self.header.join(", ")))
            }),
            None => Ok(["scores", "score", "stat", "t"].iter().find_map(|name| self.find(name)).unwrap_or(1)),
        }
    }
}

/// The upper-case symbol that knowledge knows a gene by.
pub fn symbol(gene: &str) -> String {
    gene_symbol(gene.trim()).to_uppercase()
}

/// A number, `None` where the text says that there is none.
fn number(field: &str) -> std::result::Result<Option<f64>, ()> {
    match MISSING.contains(&field.to_lowercase().as_str()) {
        true => Ok(None),
        false => field.parse().map(Some).map_err(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> GeneTable {
        GeneTable::parse(&Source::from_text("t", text)).unwrap()
    }

    #[test]
    fn lists_rankings_and_tables_of_scanpy_are_told_apart() {
        assert_eq!(table("Isg15\nMX1\nisg15\n").genes(), ["ISG15", "MX1"]);
        assert_eq!(table("gene\nMX1\n").genes(), ["MX1"]);
        let ranking = table("ISG15\t3.5\nMX1\t-2e-3\nMX1\t1\nNEW\tNaN\n").ranking(None).unwrap();
        assert_eq!((ranking.genes.join(" "), ranking.values), ("ISG15 MX1".to_owned(), vec![3.5, -2e-3]));
        assert_eq!((ranking.n_missing, ranking.n_repeated), (1, 1));
        let mut scanpy = table("group,names,scores,logfoldchanges,pvals_adj\na,X,2,1,0.1\nb,Y,3,1,0.2\n");
        assert!(scanpy.is_differential() && scanpy.keep_group(None).is_err() && scanpy.keep_group(Some("c")).is_err());
        scanpy.keep_group(Some("b")).unwrap();
        assert_eq!(scanpy.ranking(None).unwrap().values, [3.0]);
        assert_eq!(scanpy.ranking(Some("logfoldchanges")).unwrap().values, [1.0]);
        assert!(scanpy.ranking(Some("nothing")).is_err());
    }

    #[test]
    fn what_is_no_number_is_named_with_its_line() {
        let error = |text: &str| table(text).ranking(None).err().unwrap().report();
        assert!(error("A\t1\nB\tmany\n").contains("line 2: 'many' is not a number"));
        assert!(error("A\t1\nB\tinf\n").contains("line 2: B has the value 'inf'"));
        assert!(error("A\tNaN\n").contains("no gene with a value"));
    }
}
