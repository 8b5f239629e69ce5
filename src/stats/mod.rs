//! COMPUTE: the statistics of a comparison. Pure, synchronous, the same whatever the thread count.
//!
//! Conventions are those of the tools people check against: scanpy for normalisation, tests of cells and
//! fold changes, limma and DESeq2 for tests of donors, statsmodels for adjusted p-values, GSEApy for
//! over-representation, fgsea for ranked gene sets, decoupler for activities.
//! A NaN in the input is an error that names its place; it is never turned into a number. A NaN in a
//! result says that there is none.

pub mod normalize;

pub mod columns;

pub mod tails;

pub mod polygamma;

pub mod wilcoxon;

pub mod t_test;

pub mod fold_change;

pub mod adjust;

pub mod differential;

pub mod moderated;

pub mod pseudobulk;

pub mod hypergeometric;

pub mod enrichment;

pub mod gsea;

pub mod activity;

pub mod network;

pub mod correlation;
