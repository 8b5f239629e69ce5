//! Marker tables: a cell type and its genes a row, as PanglaoDB, Azimuth, CellMarker Accordion,
//! Cell Taxonomy, OpenScPCA and others lay them out.

use super::source::Source;
use super::table::Table;
use super::{Error, Problem, Result};
use crate::domain::Curie;

/// The markers a row names, before its cell type is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Line of the file.
    pub line: usize,
    /// The Cell Ontology id, where the table gives one.
    pub id: Option<Curie>,
    /// The name of the cell type, where the table gives one.
    pub name: Option<String>,
    /// Upper-case symbols.
    pub genes: Vec<String>,
}

const IDS: [&str; 7] = [
    "cell_type_id",
    "cl_id",
    "CellOntology",
    "consensus_ontology",
    "OBO Ontology ID",
    "cell_ontology_id",
    "ontology_id",
];
const NAMES: [&str; 9] = [
    "cell_type",
    "cell type",
    "CL_celltype",
    "consensus_annotation",
    "Expanded Label",
    "cellType",
    "cell_name",
    "Label",
    "cellName",
];
const GENES: [&str; 7] = ["gene", "gene_symbol", "official gene symbol", "symbol", "marker", "markers", "cell_marker"];

/// Reads a table. Rows about mouse only (PanglaoDB's `Mm`) and negative markers are left out.
///
/// # Errors
/// If there is no column of genes, or none of cell types by id or name.
pub fn parse(source: &Source) -> Result<(Vec<Row>, Vec<Problem>)> {
    let mut table = Table::read(source)?;
    let genes = table.need(&GENES)?;
    let id = table.find(&IDS);
    let name = table.find(&NAMES);
    if id.is_none() && name.is_none() {
        table.need(&["cell_type_id", "cell_type"])?;
    }
    let species = table.find(&["species"]);
    let sign = table.find(&["marker_type"]);
    let mut problems = std::mem::take(&mut table.problems);
    let mut rows = Vec::new();
    for (line, row) in table.rows() {
        let is_human = row.maybe(species).is_none_or(|s| s.contains("Hs") || s.to_lowercase().contains("human"));
        let is_positive = row.maybe(sign).is_none_or(|sign| sign.eq_ignore_ascii_case("positive"));
        if !is_human || !is_positive {
            continue;
        }
        let found = Row {
            line,
            id: row.maybe(id).and_then(cell_ontology_id),
            name: row.maybe(name).map(str::to_owned),
            genes: row
                .get(genes)
                .split([',', ';'])
                .map(|gene| gene.trim().to_uppercase())
                .filter(|gene| !gene.is_empty() && gene != "NA")
                .collect(),
        };
        if found.genes.is_empty() {
            problems.push(Problem { line, what: "no gene".to_owned() });
        } else if found.id.is_none() && found.name.is_none() {
            problems.push(Problem { line, what: "no cell type".to_owned() });
        } else {
            rows.push(found);
        }
    }
    if rows.is_empty() {
        return Err(Error::Empty { name: source.name.clone(), what: "markers that can be used".to_owned() });
    }
    Ok((rows, problems))
}

/// The id in `CL:0000236`, `CL_0000236` or a link that ends in one.
fn cell_ontology_id(text: &str) -> Option<Curie> {
    let at = text.rfind("CL:").or_else(|| text.rfind("CL_"))?;
    let digits: String = text[at + 3..].chars().take_while(char::is_ascii_digit).collect();
    (digits.len() == 7).then(|| format!("CL:{digits}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_layouts_are_read() {
        let read = |text: &str| {
            let (rows, problems) = parse(&Source::from_text("m", text)).unwrap();
            let show = |r: &Row| {
                let id = r.id.as_ref().map_or("-", |id| id.as_str());
                format!("{id} {} {}", r.name.as_deref().unwrap_or("-"), r.genes.join("+"))
            };
            (rows.iter().map(show).collect::<Vec<_>>(), problems.len())
        };
        let panglao = "species\tofficial gene symbol\tcell type\nMm Hs\tctrb1\tAcinar cells\nMm\tXyz\tB cells\n";
        assert_eq!(read(panglao), (vec!["- Acinar cells CTRB1".to_owned()], 0));
        let azimuth = "\"\",\"Label\",\"Expanded Label\",\"OBO Ontology ID\",\"Markers\"\n\
                       \"1\",\"Mono\",\"Monocyte\",\"[monocyte](http://x/obo/CL_0000576)\",\"CTSS, FCN1\"\n";
        assert_eq!(read(azimuth), (vec!["CL:0000576 Monocyte CTSS+FCN1".to_owned()], 0));
        let accordion = "CL_celltype\tCL_ID\tmarker\tmarker_type\nB cell\tCL:0000236\tCD19\tpositive\n\
                         B cell\tCL:0000236\tCD3E\tnegative\n\t\tX\tpositive\nB cell\tCL:0000236\t\tpositive\n";
        assert_eq!(read(accordion), (vec!["CL:0000236 B cell CD19".to_owned()], 2));
    }

    #[test]
    fn a_table_without_cell_types_is_refused() {
        let error = parse(&Source::from_text("g.tsv", "gene\tscore\nX\t1\n")).unwrap_err().to_string();
        assert!(error.contains("cell_type_id") && error.contains("score"), "{error}");
    }
}
