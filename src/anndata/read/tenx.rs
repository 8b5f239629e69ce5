//! 10x Genomics `.h5` files, as Cell Ranger writes them.
//!
//! From version 3 on there is one group `matrix` with `features` in a group of its own; before, one group
//! per genome with `genes` and `gene_names`. Both hold barcodes, and the counts compressed by barcode, which
//! for cells × features is compressed by rows.

use super::frame::Frame;
use super::sparse::Sparse;
use crate::anndata::error::{Problem, Result};
use crate::anndata::matrix::Storage;
use crate::anndata::store::{Group, Node};

/// Groups looked at for the genomes of an old file.
const MOST_GENOMES: usize = 100;

/// The tables and the matrix of such a file.
pub(super) struct Parts {
    pub(super) cells: Frame,
    pub(super) features: Frame,
    pub(super) matrix: Sparse,
}

/// Opens a file that is one of 10x Genomics; nothing if it is another.
pub(super) fn open(root: &Group) -> Result<Option<Parts>> {
    if root.get("obs")?.is_some() {
        return Ok(None);
    }
    let mut groups = Vec::new();
    for name in root.names()?.into_iter().take(MOST_GENOMES) {
        if let Ok(Some(Node::Group(group))) = root.get(&name)
            && ["barcodes", "indptr", "indices", "data"].iter().all(|part| matches!(group.get(part), Ok(Some(_))))
        {
            groups.push((name, group));
        }
    }
    let Some((_, group)) = groups.first() else { return Ok(None) };
    if groups.len() > 1 {
        let names: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
        let hint = format!(
            "it is a 10x Genomics file of several genomes ({}); take one out in Python: \
             scanpy.read_10x_h5(FILE, genome=NAME).write_h5ad(OUT)",
            names.join(", ")
        );
        return Err(root.fail(Problem::NotAnnData { hint }));
    }
    let cells = Frame::of_members(group.clone(), "barcodes", &[])?;
    let features = match group.get("features")? {
        Some(Node::Group(features)) => {
            let index = if features.get("id")?.is_some() { "id" } else { "name" };
            let columns: Vec<&str> =
                ["name", "feature_type", "genome"].into_iter().filter(|name| *name != index).collect();
            Frame::of_members(features, index, &columns)?
        }
        _ => Frame::of_members(group.clone(), "genes", &["gene_names"])?,
    };
    let matrix = Sparse::of_parts(group, Storage::Csr, (cells.n_rows(), features.n_rows()))?;
    Ok(Some(Parts { cells, features, matrix }))
}
