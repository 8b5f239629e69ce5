//! What is known about genes: gene sets, regulons, interactions and markers.

use serde::{Deserialize, Serialize};

use super::ids::Curie;

/// Genes that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneSet {
    /// What it was imported with, such as `hallmark`; names are unique within one.
    pub collection: String,
    /// Such as `HALLMARK_INTERFERON_ALPHA_RESPONSE`.
    pub name: String,
    /// A sentence or a link, as the source has it.
    pub description: String,
    /// Upper-case symbols in the order of the source, without repeats.
    pub genes: Vec<String>,
}

/// A transcription factor acting on a gene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regulation {
    /// Upper-case symbol of the factor.
    pub source: String,
    /// Upper-case symbol of the gene.
    pub target: String,
    /// Strength; above 0 activates, below 0 represses. Never 0, never NaN.
    pub weight: f64,
}

/// A protein acting on another, by the symbols of their genes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// Upper-case symbol; those of a complex are joined by `_`.
    pub source: String,
    /// Upper-case symbol; those of a complex are joined by `_`.
    pub target: String,
    /// 1 if it activates, -1 if it represses, if known.
    pub sign: Option<i8>,
    /// Confidence, 0 to 1; 1 where the source gives none.
    pub score: f64,
}

/// A gene by which a cell type is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Marker {
    /// A Cell Ontology id.
    pub cell_type: Curie,
    /// Upper-case symbol.
    pub gene: String,
}
