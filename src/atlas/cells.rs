//! Cells: reading the counts of the cells that were drawn.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::draw::{self, Rows};
use super::file_state::{digest_of, is_of_all, state_of};
use super::row_file::{self, RowFile};
use super::{Atlas, Error};
use crate::anndata::{File, Matrix};
use crate::domain::cells::{CellSet, CellSetKey};
use crate::domain::datasets::Dataset;
use crate::domain::inference::Location;
use crate::domain::{Csr, Expression};
use crate::objects::{KeyError, ObjectKey};

/// Cells that were drawn, with their counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Their counts. Names of cells are unique: those of the file, after the name of the data set where
    /// cells of several were drawn.
    pub expression: Expression,
    /// What is known of each, in the same order.
    pub cells: Vec<DrawnCell>,
    /// Which rows they are.
    pub rows: Rows,
    /// How many of them should have been avoided, but were needed to have enough.
    pub n_not_avoided: u64,
}

/// A cell that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnCell {
    /// Row in the file of its data set, from 0.
    pub row: u32,
    /// What it shares with the other cells of its set.
    pub key: CellSetKey,
}

impl Atlas {
    /// Draws up to `n` cells of some sets (see [`draw`] for how) and reads their counts.
    ///
    /// Rows to `avoid` are drawn only if fewer than `min_cells` are left without them. Genes are named
    /// by symbol; columns of one symbol are added up. Cells of several data sets are given the genes
    /// that all of them measured, in the order of the first: a gene that one of them did not measure
    /// is unknown there, not 0.
    pub async fn load(
        &self,
        sets: &[CellSet],
        n: u32,
        min_cells: u32,
        seed: u64,
        avoid: &Rows,
    ) -> Result<Drawn, Error> {
        let mut all = Vec::with_capacity(sets.len());
        for set in sets {
            all.push((&set.key, self.database.cell_set_rows(set.id).await?));
        }
        let mut open = all.clone();
        for (key, rows) in &mut open {
            if let Some(avoid) = avoid.0.get(&key.dataset) {
                *rows -= avoid;
            }
        }
        let n_open: u64 = open.iter().map(|(_, rows)| rows.len()).sum();
        let pool = if n_open >= min_cells.into() { open } else { all };
        let taken = draw::draw(&pool, n.into(), seed);

        let mut rows = Rows::default();
        let mut by_dataset: BTreeMap<&str, Vec<DrawnCell>> = BTreeMap::new();
        for ((key, _), taken) in pool.iter().zip(taken) {
            rows.0.entry(key.dataset.clone()).or_default().extend(&taken);
            let cells = taken.into_iter().map(|row| DrawnCell { row, key: (*key).clone() });
            by_dataset.entry(&key.dataset).or_default().extend(cells);
        }
        let mut parts = Vec::new();
        for (name, cells) in by_dataset {
            parts.push(self.read(name, cells).await?);
        }
        let n_not_avoided = rows.overlap(avoid);
        let (expression, cells) = join(parts)?;
        Ok(Drawn { expression, cells, rows, n_not_avoided })
    }

    /// Reads cells of one data set, in the order given.
    async fn read(&self, name: &str, cells: Vec<DrawnCell>) -> Result<Part, Error> {
        let dataset = self.database.dataset(name).await?.ok_or_else(|| Error::NoDataset(name.to_owned()))?;
        if let Some(rows) = self.row_file(&dataset).await? {
            let numbers: Vec<u32> = cells.iter().map(|cell| cell.row).collect();
            let expression = rows.read(&numbers, None).await?;
            return Ok(Part { expression: add_up_repeated(expression), cells });
        }
        let Location::Path(path) = dataset.location.clone() else {
            return Err(Error::NotLocal { dataset: dataset.name, location: dataset.location.to_string() });
        };
        let (checked, at) = (dataset.clone(), path.clone());
        let verified = blocking(move || verify(&checked, &at)).await?;
        if let Some(modified) = verified {
            self.database.set_dataset_modified(name, &modified).await?;
        }
        blocking(move || {
            let matrix: Matrix = dataset.counts_in.parse().map_err(|_| Error::CountsIn(dataset.counts_in.clone()))?;
            let rows: Vec<usize> = cells.iter().map(|cell| cell.row as usize).collect();
            let file = File::open(&path)?;
            let expression = file.read_expression(&matrix, Some(&rows), dataset.genes_in.as_deref())?;
            Ok(Part { expression: add_up_repeated(expression), cells })
        })
        .await
    }
}

impl Atlas {
    /// The row file of a data set; nothing where it has none, or where it was deleted while the imported
    /// file is on this machine.
    async fn row_file(&self, dataset: &Dataset) -> Result<Option<RowFile>, Error> {
        let (Some(objects), Some(key)) = (&self.objects, &dataset.rows_in) else { return Ok(None) };
        let key: ObjectKey = key.parse().map_err(|error: KeyError| row_file::Error::Objects(error.into()))?;
        if matches!(dataset.location, Location::Path(_))
            && !objects.exists(&key).await.map_err(row_file::Error::from)?
        {
            return Ok(None);
        }
        let source = row_file::Source::of(objects, key)?;
        Ok(Some(RowFile::open(source, row_file::fingerprint(&dataset.fingerprint)).await?))
    }
}

struct Part {
    expression: Expression,
    cells: Vec<DrawnCell>,
}

/// Checks that a file is the one that was imported. Where only its time of change differs, its contents
/// are compared, if all of them went into the checksum; the new time is returned so that this is done once.
fn verify(dataset: &Dataset, path: &Path) -> Result<Option<String>, Error> {
    let missing = |source| Error::Read { dataset: dataset.name.clone(), path: path.to_owned(), source };
    let changed = || Error::Changed { dataset: dataset.name.clone(), path: path.to_owned() };
    let (bytes, modified) = state_of(path).map_err(missing)?;
    if bytes != dataset.bytes {
        return Err(changed());
    }
    if modified == dataset.modified {
        return Ok(None);
    }
    if !is_of_all(&dataset.sha256) {
        return Err(changed());
    }
    let sha256 = digest_of(path, |_| ()).map_err(missing)?;
    if sha256 == dataset.sha256 { Ok(Some(modified)) } else { Err(changed()) }
}

/// Puts the cells of several data sets together, with the genes all of them measured.
fn join(parts: Vec<Part>) -> Result<(Expression, Vec<DrawnCell>), Error> {
    let Some(first) = parts.first() else { return Err(Error::NoCells) };
    if parts.len() == 1 {
        return parts.into_iter().map(|part| (part.expression, part.cells)).next().ok_or(Error::NoCells);
    }
    let places: Vec<HashMap<&str, usize>> = parts.iter().map(|part| places(&part.expression.genes)).collect();
    let shared = |gene: &&String| places.iter().all(|genes| genes.contains_key(gene.as_str()));
    let genes: Vec<String> = first.expression.genes.iter().filter(shared).cloned().collect();
    if genes.is_empty() {
        let datasets = parts.iter().filter_map(|part| part.cells.first().map(|cell| cell.key.dataset.clone()));
        return Err(Error::NoSharedGenes(datasets.collect::<Vec<_>>().join(", ")));
    }
    let (mut names, mut cells, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (part, places) in parts.iter().zip(&places) {
        let sources: Vec<Option<usize>> = genes.iter().map(|gene| places.get(gene.as_str()).copied()).collect();
        let counts = part.expression.counts.select_columns(&sources);
        for (row, (name, cell)) in part.expression.cells.iter().zip(&part.cells).enumerate() {
            names.push(format!("{}:{name}", cell.key.dataset));
            let (columns, values) = counts.row(row);
            rows.push(columns.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>());
            cells.push(cell.clone());
        }
    }
    let counts = Csr::from_rows(genes.len(), rows).map_err(|error| Error::Matrix(error.to_string()))?;
    Ok((Expression { cells: names, genes, counts }, cells))
}

fn places(genes: &[String]) -> HashMap<&str, usize> {
    genes.iter().enumerate().map(|(at, gene)| (gene.as_str(), at)).collect()
}

/// One column for each gene name: columns that share one are added up, at the place of the first.
fn add_up_repeated(expression: Expression) -> Expression {
    let mut genes: Vec<String> = Vec::new();
    let mut known: HashMap<&str, u32> = HashMap::new();
    let targets: Vec<u32> = expression
        .genes
        .iter()
        .map(|gene| {
            *known.entry(gene).or_insert_with(|| {
                genes.push(gene.clone());
                (genes.len() - 1) as u32
            })
        })
        .collect();
    if genes.len() == expression.genes.len() {
        return expression;
    }
    let rows = (0..expression.counts.n_rows()).map(|row| {
        let (columns, values) = expression.counts.row(row);
        let mut sums: BTreeMap<u32, f32> = BTreeMap::new();
        for (&column, &value) in columns.iter().zip(values) {
            *sums.entry(targets[column as usize]).or_default() += value;
        }
        sums
    });
    let counts = Csr::from_rows(genes.len(), rows).expect("columns come ascending out of a sorted map");
    Expression { cells: expression.cells.clone(), genes, counts }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Interrupted)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::testing::control;

    fn expression(genes: &[&str], rows: &[&[f32]]) -> Expression {
        let sparse =
            rows.iter().map(|row| row.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(i, v)| (i as u32, *v)));
        Expression {
            cells: (0..rows.len()).map(|i| format!("c{i}")).collect(),
            genes: genes.iter().map(|gene| (*gene).to_owned()).collect(),
            counts: Csr::from_rows(genes.len(), sparse).unwrap(),
        }
    }

    fn part(dataset: &str, expression: Expression) -> Part {
        let key = control(1, dataset, "CL:0000236", "1", 1).key;
        let cells = (0..expression.cells.len()).map(|row| DrawnCell { row: row as u32, key: key.clone() }).collect();
        Part { expression, cells }
    }

    #[test]
    fn columns_of_one_symbol_are_added_up() {
        let merged = add_up_repeated(expression(&["A", "B", "A"], &[&[1.0, 0.0, 2.0], &[0.0, 5.0, 4.0]]));
        assert_eq!(merged, expression(&["A", "B"], &[&[3.0, 0.0], &[4.0, 5.0]]));
    }

    #[test]
    fn several_data_sets_share_the_genes_all_of_them_measured() {
        let one = part("one", expression(&["A", "B", "C"], &[&[1.0, 2.0, 3.0]]));
        let two = part("two", expression(&["C", "X", "A"], &[&[4.0, 5.0, 6.0]]));
        let (joined, cells) = join(vec![one, two]).unwrap();
        assert_eq!(joined.genes, ["A", "C"]);
        assert_eq!(joined.cells, ["one:c0", "two:c0"]);
        assert_eq!(joined.counts, expression(&["A", "C"], &[&[1.0, 3.0], &[6.0, 4.0]]).counts);
        assert_eq!(cells[1].key.dataset, "two");
        let apart = join(vec![part("one", expression(&["A"], &[&[1.0]])), part("two", expression(&["B"], &[&[1.0]]))]);
        assert!(matches!(apart, Err(Error::NoSharedGenes(names)) if names == "one, two"));
    }
}
