//! Tables with a header, separated by tabs, commas or semicolons: what the other parsers stand on.

use super::source::Source;
use super::{Error, Problem, Result};

/// A table whose columns are found by any of several names.
pub(super) struct Table<'a> {
    source: &'a Source,
    headers: Vec<String>,
    rows: Vec<(usize, csv::StringRecord)>,
    /// Lines that are not rows.
    pub problems: Vec<Problem>,
}

impl<'a> Table<'a> {
    /// Reads the header and all rows. Empty lines and lines that begin with `#` are comments; which
    /// separator is used is told by the header.
    pub fn read(source: &'a Source) -> Result<Self> {
        // The Repurposing Hub begins its comments with an exclamation mark.
        let mark = if source.text.starts_with('!') { '!' } else { '#' };
        let is_comment = |line: &str| line.trim().is_empty() || line.starts_with(mark);
        let header = source.lines().find(|(_, line)| !is_comment(line));
        let Some((_, header)) = header else {
            return Err(Error::Empty { name: source.name.clone(), what: "lines".to_owned() });
        };
        let separator = [b'\t', b',', b';'].into_iter().find(|&s| header.as_bytes().contains(&s)).unwrap_or(b'\t');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .comment(Some(mark as u8))
            .flexible(true)
            .trim(csv::Trim::All)
            // Tab-separated files of the field do not quote: a lone quote is a prime (5").
            .quoting(separator != b'\t')
            .from_reader(source.text.as_bytes());
        let line_of = |record: &csv::StringRecord| record.position().map_or(0, |p| p.line() as usize);
        let headers = reader.headers().map_err(|error| source.error(1, error.to_string()))?;
        let headers: Vec<String> = headers.iter().map(|header| header.trim_matches('"').to_owned()).collect();
        let mut table = Self { source, headers, rows: Vec::new(), problems: Vec::new() };
        for record in reader.into_records() {
            match record {
                Ok(record) if record.iter().all(str::is_empty) => {}
                Ok(record) if record.len() > table.headers.len() => table.problems.push(Problem {
                    line: line_of(&record),
                    what: format!("{} fields, but the header has {}", record.len(), table.headers.len()),
                }),
                Ok(record) => table.rows.push((line_of(&record), record)),
                Err(error) => {
                    let line = error.position().map_or(0, |p| p.line() as usize);
                    table.problems.push(Problem { line, what: error.to_string() });
                }
            }
        }
        Ok(table)
    }

    /// The first column with one of these names, whatever their case.
    pub fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.headers.iter().position(|header| header.eq_ignore_ascii_case(name)))
    }

    /// The same, or an error that names the columns there are.
    pub fn need(&self, names: &[&str]) -> Result<usize> {
        self.find(names).ok_or_else(|| self.lacks(&format!("column '{}'", names.join("' or '"))))
    }

    /// The first pair of columns of which both are there, or an error that names the columns there are.
    pub fn need_pair(&self, names: &[(&str, &str)]) -> Result<(usize, usize)> {
        let both = |(a, b): &(&str, &str)| Some((self.find(&[a])?, self.find(&[b])?));
        names.iter().find_map(both).ok_or_else(|| {
            let wanted: Vec<String> = names.iter().map(|(a, b)| format!("'{a}' and '{b}'")).collect();
            self.lacks(&format!("columns {}", wanted.join(" or ")))
        })
    }

    fn lacks(&self, wanted: &str) -> Error {
        let there = self.headers.join("', '");
        let advice = if self.headers.len() == 1 { "; columns are separated by tabs, commas or semicolons" } else { "" };
        self.source.error(1, format!("no {wanted}; the header has '{there}'{advice}"))
    }

    /// The names of the columns.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// Rows with their lines.
    pub fn rows(&self) -> impl Iterator<Item = (usize, Row<'_>)> {
        self.rows.iter().map(|(line, record)| (*line, Row { record }))
    }
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    /// A field; empty where the row is short.
    pub fn get(self, column: usize) -> &'a str {
        self.record.get(column).unwrap_or_default()
    }

    /// A field of a column that may be absent; `None` also where it is empty or says it is missing.
    pub fn maybe(self, column: Option<usize>) -> Option<&'a str> {
        let text = self.get(column?);
        (!["", "NA", "N/A", "nan", "None", "null"].contains(&text)).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_the_separator_and_short_rows_are_padded() {
        for text in ["# note\na\tb\n1\t2\n\n3\n", "a,b\n1,2\n3\n", "a;b\n1;2\n3"] {
            let source = Source::from_text("t", text);
            let table = Table::read(&source).unwrap();
            let b = table.need(&["z", "B"]).unwrap();
            let values: Vec<_> = table.rows().map(|(_, row)| row.maybe(Some(b)).map(str::to_owned)).collect();
            assert_eq!(values, [Some("2".to_owned()), None], "{text}");
        }
    }

    #[test]
    fn missing_columns_and_long_rows_are_named() {
        let source = Source::from_text("t.csv", "a,b\n1,2,3\n");
        let table = Table::read(&source).unwrap();
        assert_eq!(table.problems[0].line, 2);
        let error = table.need(&["source", "tf"]).unwrap_err().to_string();
        assert!(error.contains("t.csv") && error.contains("'source' or 'tf'") && error.contains("'a', 'b'"), "{error}");
        assert!(Table::read(&Source::from_text("t", "#x\n\n")).is_err());
    }
}
