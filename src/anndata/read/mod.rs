//! Reading: a file is opened for what it has, then gives what is asked for and no more.

mod dense;
mod entries;
mod frame;
mod labels;
mod rows;
mod sparse;
mod tenx;
mod uns;
mod values;

use std::ops::ControlFlow;
use std::path::Path;

use crate::domain::{Csr, Expression};

pub use frame::Frame;
pub use labels::Labels;

use self::dense::Dense;
use self::entries::Entries;
use self::sparse::Sparse;
use super::error::{Error, Problem, Result};
use super::matrix::{Matrix, MatrixInfo, Storage, Values};
use super::store::{self, Array, Group, Kind, Node};

/// Entries held at once where a matrix has to be read in larger pieces than the blocks asked for.
const ENTRIES_HELD: usize = 1 << 24;

/// An open `.h5ad` file, or a 10x Genomics `.h5`, whose barcodes are its cells and whose features are its
/// genes. Reading blocks on the disk and on HDF5's one lock.
#[derive(Debug)]
pub struct File {
    root: Group,
    obs: Frame,
    var: Frame,
    raw_var: Option<Frame>,
    infos: Vec<MatrixInfo>,
    sources: Vec<Source>,
    unreadable: Vec<(Matrix, Error)>,
}

/// A matrix of an open file.
#[derive(Debug)]
enum Source {
    Sparse(Box<Sparse>),
    Dense(Box<Dense>),
}

impl File {
    /// Opens a file: reads names and shapes, and checks that they agree.
    ///
    /// A matrix that cannot be read does not stop the others; see [`File::unreadable`].
    pub fn open(path: &Path) -> Result<Self> {
        let root = store::open(path)?;
        if let Some(parts) = tenx::open(&root)? {
            return Ok(Self::from_tenx(root, parts));
        }
        // Before 0.7 tables were records, and their categories were in uns.
        let uns = match root.get("obs")? {
            Some(Node::Array(_)) => root.get("uns")?.and_then(|node| node.into_group("uns").ok()),
            _ => None,
        };
        let table = |name: &str| match root.get(name)? {
            Some(node) => Frame::open(node, uns.as_ref()),
            None => {
                let known = recognise(&root)?.unwrap_or("write it with anndata's write_h5ad");
                Err(root.fail(Problem::NotAnnData { hint: format!("there is no {name}; {known}") }))
            }
        };
        if root.attributes().text("encoding-type")?.is_some_and(|encoding| encoding != "anndata")
            && let Some(known) = recognise(&root)?
        {
            return Err(root.fail(Problem::NotAnnData { hint: known.to_owned() }));
        }
        let (obs, var) = (table("obs")?, table("var")?);
        // Tables of raw/X that cannot be read are a fault of that matrix alone.
        let raw_var = open_raw_var(&root, uns.as_ref()).unwrap_or_default();
        let mut file = Self { root, obs, var, raw_var, infos: vec![], sources: vec![], unreadable: vec![] };
        for matrix in file.matrix_names()? {
            match file.open_matrix(&matrix) {
                Ok(Some((info, source))) => {
                    file.infos.push(info);
                    file.sources.push(source);
                }
                Ok(None) => {}
                Err(error) => file.unreadable.push((matrix, error)),
            }
        }
        Ok(file)
    }

    fn from_tenx(root: Group, parts: tenx::Parts) -> Self {
        let source = Source::Sparse(Box::new(parts.matrix));
        let (infos, sources) = (vec![source.describe(Matrix::X)], vec![source]);
        Self { root, obs: parts.cells, var: parts.features, raw_var: None, infos, sources, unreadable: vec![] }
    }

    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.obs.n_rows()
    }

    /// The matrices that can be read: `X`, `raw/X`, then the layers by name.
    pub fn matrices(&self) -> &[MatrixInfo] {
        &self.infos
    }

    /// Matrices that are in the file but cannot be read, and why.
    pub fn unreadable(&self) -> &[(Matrix, Error)] {
        &self.unreadable
    }

    /// The table of cells.
    pub fn obs(&self) -> &Frame {
        &self.obs
    }

    /// The table of genes of `X` and the layers.
    pub fn var(&self) -> &Frame {
        &self.var
    }

    /// The table of genes of `raw/X`.
    pub fn raw_var(&self) -> Option<&Frame> {
        self.raw_var.as_ref()
    }

    /// The table of genes of a matrix.
    pub fn genes_of(&self, matrix: &Matrix) -> &Frame {
        match (matrix, &self.raw_var) {
            (Matrix::RawX, Some(raw_var)) => raw_var,
            _ => &self.var,
        }
    }

    /// Reads rows of a matrix, all of them for `None`; otherwise in the order given, in which a row may be
    /// repeated. Whatever the storage, values become `f32`, repeated entries are added up and zeros left out.
    pub fn read_rows(&self, matrix: &Matrix, rows: Option<&[usize]>) -> Result<Csr> {
        let (info, source) = self.find(matrix)?;
        let Some(rows) = rows else {
            let all: Vec<usize> = (0..info.n_rows).collect();
            return self.read_ascending(info, source, &all);
        };
        if let Some(&row) = rows.iter().find(|&&row| row >= info.n_rows) {
            return Err(self.root.fail_at(&matrix.to_string(), Problem::NoSuchRow { row, n_rows: info.n_rows }));
        }
        let (unique, places) = rows::ascending(rows);
        let csr = self.read_ascending(info, source, &unique)?;
        Ok(match places {
            Some(places) => csr.select_rows(&places),
            None => csr,
        })
    }

    /// Reads rows of a matrix with the names of their cells and genes. Genes are named by `gene_column` of
    /// [`File::genes_of`] (by the index where that is missing a name), or by the index for `None`.
    pub fn read_expression(
        &self,
        matrix: &Matrix,
        rows: Option<&[usize]>,
        gene_column: Option<&str>,
    ) -> Result<Expression> {
        let counts = self.read_rows(matrix, rows)?;
        let cells = match rows {
            Some(rows) => self.obs.index_of(rows)?,
            None => self.obs.index()?,
        };
        Ok(Expression { cells, genes: self.gene_names(matrix, gene_column)?, counts })
    }

    /// Names of the genes of a matrix, by a column of [`File::genes_of`] (by the index where that is missing a
    /// name), or by the index for `None`.
    pub fn gene_names(&self, matrix: &Matrix, gene_column: Option<&str>) -> Result<Vec<String>> {
        let table = self.genes_of(matrix);
        let mut genes = table.index()?;
        if let Some(column) = gene_column {
            for (gene, name) in genes.iter_mut().zip(table.column(column)?.to_strings()) {
                if let Some(name) = name {
                    *gene = name;
                }
            }
        }
        Ok(genes)
    }

    /// How many entries are stored of each row, zeros and repeats among them; nothing unless the matrix is
    /// compressed by rows. Checks every row pointer on the way.
    pub fn stored_per_row(&self, matrix: &Matrix) -> Result<Option<Vec<u32>>> {
        match self.find(matrix)? {
            (_, Source::Sparse(sparse)) if sparse.by_rows() => sparse.stored_per_row().map(Some),
            _ => Ok(None),
        }
    }

    /// Goes through a matrix in blocks of rows until `f` breaks. `f` gets the number of the block's first
    /// row. At once in memory are the entries of one block, or 16 million where the file is laid out so
    /// that larger pieces are read faster. A matrix compressed by columns is gone through once for each
    /// such piece.
    pub fn for_each_block(
        &self,
        matrix: &Matrix,
        rows_per_block: usize,
        mut f: impl FnMut(usize, &Csr) -> ControlFlow<()>,
    ) -> Result<()> {
        let (info, source) = self.find(matrix)?;
        let per_block = rows_per_block.max(1);
        let at_once = rows_at_once(info, source, per_block);
        for start in (0..info.n_rows).step_by(at_once) {
            let end = info.n_rows.min(start.saturating_add(at_once));
            let all: Vec<usize> = (start..end).collect();
            let piece = self.read_ascending(info, source, &all)?;
            if at_once == per_block {
                if f(start, &piece).is_break() {
                    return Ok(());
                }
                continue;
            }
            for first in (start..end).step_by(per_block) {
                let rows: Vec<usize> = (first..end.min(first + per_block)).map(|row| row - start).collect();
                if f(first, &piece.select_rows(&rows)).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn read_ascending(&self, info: &MatrixInfo, source: &Source, rows: &[usize]) -> Result<Csr> {
        let entries: Entries = match source {
            Source::Sparse(sparse) => sparse.rows(rows)?,
            Source::Dense(dense) => dense.rows(rows)?,
        };
        entries.into_csr(info.n_cols).map_err(|error| {
            self.root.fail_at(&info.matrix.to_string(), Problem::Inconsistent { what: error.to_string() })
        })
    }

    fn find(&self, matrix: &Matrix) -> Result<(&MatrixInfo, &Source)> {
        let found = self.infos.iter().zip(&self.sources).find(|(info, _)| info.matrix == *matrix);
        if let Some(found) = found {
            return Ok(found);
        }
        // One that cannot be read says again why.
        self.open_matrix(matrix)?;
        let present = self.infos.iter().map(|info| info.matrix.to_string()).collect();
        Err(self.root.fail(Problem::NoSuch { what: format!("matrix {matrix}"), present }))
    }

    fn matrix_names(&self) -> Result<Vec<Matrix>> {
        let mut names = vec![Matrix::X, Matrix::RawX];
        if let Some(Node::Group(layers)) = self.root.get("layers")? {
            names.extend(layers.names()?.into_iter().map(Matrix::Layer));
        }
        Ok(names)
    }

    /// Opens a matrix, if there is one, and checks its shape against the tables.
    fn open_matrix(&self, matrix: &Matrix) -> Result<Option<(MatrixInfo, Source)>> {
        let node = match matrix {
            Matrix::X => self.root.get("X")?,
            Matrix::RawX => find_raw(&self.root, "X")?,
            Matrix::Layer(name) => match self.root.get("layers")? {
                Some(Node::Group(layers)) => layers.get(name)?,
                _ => None,
            },
        };
        let source = match node {
            None => return Ok(None),
            Some(Node::Array(array)) if array.is_null() => return Ok(None),
            Some(Node::Array(array)) => Source::Dense(Box::new(Dense::open(array)?)),
            Some(Node::Group(group)) => match Sparse::storage(&group)? {
                Some(storage) => Source::Sparse(Box::new(Sparse::open(&group, storage)?)),
                None => {
                    let encoding = group.attributes().text("encoding-type")?.unwrap_or_else(|| "none".to_owned());
                    return Err(group.fail(Problem::Encoding { encoding }));
                }
            },
        };
        let info = source.describe(matrix.clone());
        let genes = match (matrix, &self.raw_var) {
            (Matrix::RawX, None) => {
                open_raw_var(&self.root, None)?;
                let problem = Problem::Missing { expected: "the table of genes of raw/X".to_owned() };
                return Err(self.root.fail_at("raw/var", problem));
            }
            _ => self.genes_of(matrix).n_rows(),
        };
        let expected = (self.n_cells(), genes);
        if (info.n_rows, info.n_cols) != expected {
            let found = format!("{} × {}", info.n_rows, info.n_cols);
            let expected = format!("{} cells × {} genes, as the tables have", expected.0, expected.1);
            return Err(self.root.fail_at(&matrix.to_string(), Problem::Unexpected { expected, found }));
        }
        Ok(Some((info, source)))
    }
}

impl Source {
    fn describe(&self, matrix: Matrix) -> MatrixInfo {
        let (storage, (n_rows, n_cols), data, n_stored) = match self {
            Self::Sparse(sparse) => {
                let storage = if sparse.by_rows() { Storage::Csr } else { Storage::Csc };
                (storage, sparse.shape(), sparse.data(), sparse.n_stored() as u64)
            }
            Self::Dense(dense) => {
                let (rows, columns) = dense.shape();
                (Storage::Dense, (rows, columns), dense.array(), rows as u64 * columns as u64)
            }
        };
        MatrixInfo { matrix, storage, values: values_of(data), n_rows, n_cols, n_stored }
    }
}

fn values_of(data: &Array) -> Values {
    match data.kind() {
        Kind::Integer { .. } => Values::Integer,
        Kind::Boolean => Values::Boolean,
        _ => Values::Float,
    }
}

/// Rows to read at once so that every part of the file is read about once, and memory stays bounded: more
/// than a block where a matrix is compressed by columns, or its chunks span more rows.
fn rows_at_once(info: &MatrixInfo, source: &Source, per_block: usize) -> usize {
    let rows = match source {
        Source::Sparse(_) if info.storage == Storage::Csr => return per_block,
        Source::Sparse(_) => {
            let entries_per_row = (info.n_stored as usize / info.n_rows.max(1)).max(1);
            ENTRIES_HELD / entries_per_row
        }
        Source::Dense(dense) => dense.chunk_rows().min(ENTRIES_HELD / info.n_cols.max(1)),
    };
    per_block.saturating_mul((rows / per_block).max(1))
}

fn open_raw_var(root: &Group, uns: Option<&Group>) -> Result<Option<Frame>> {
    find_raw(root, "var")?.map(|node| Frame::open(node, uns)).transpose()
}

/// `raw/NAME`, or `raw.NAME` as anndata wrote it before 0.7.
fn find_raw(root: &Group, name: &str) -> Result<Option<Node>> {
    if let Some(Node::Group(raw)) = root.get("raw")?
        && let Some(node) = raw.get(name)?
    {
        return Ok(Some(node));
    }
    root.get(&format!("raw.{name}"))
}

/// What an HDF5 file that is not AnnData is, where it is something known, and what to do about it.
fn recognise(root: &Group) -> Result<Option<&'static str>> {
    let has = |name: &str| root.get(name).is_ok_and(|node| node.is_some());
    if has("mod") {
        return Ok(Some(
            "it is a MuData file; take one modality out in Python: mudata.read(FILE).mod[NAME].write_h5ad(OUT)",
        ));
    }
    if has("col_attrs") && has("row_attrs") {
        return Ok(Some("it is a loom file; convert it in Python: anndata.io.read_loom(FILE).write_h5ad(OUT)"));
    }
    Ok(None)
}
