//! COMPUTE: the statistics of a comparison. Pure, synchronous, the same whatever the thread count.
//!
//! Conventions are those of the tools people check against: scanpy for normalisation, the rank-sum
//! test and fold changes, statsmodels for adjusted p-values, GSEApy for over-representation.
//! A NaN in the input is an error that names its place; it is never turned into a number.

pub mod normalize;

pub mod columns;

pub mod tails;

pub mod wilcoxon;

pub mod t_test;

pub mod fold_change;

pub mod differential;

pub mod polygamma;

pub mod moderated;

pub mod pseudobulk;

pub mod adjust;

pub mod hypergeometric;

pub mod enrichment;

pub mod gsea;

pub mod activity;

pub mod network;

pub mod correlation;
