//! The shape of a STACK model: the constructor arguments stored with every checkpoint.

use serde::{Deserialize, Serialize};

/// The longest window taken. No parameter has its length, so nothing else would stop a damaged file from
/// asking for any amount of memory. Published models have 256 and 512.
const MAX_CELLS: usize = 1 << 16;

/// Constructor arguments of the network (reference: arc-stack 0.1.3). A key a checkpoint leaves
/// out takes the reference's default; a key that is not one of these is an error.
///
/// The last five arguments matter only in training. They are read so that real files load, and
/// kept so that a converted model says how it was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Genes in the model's gene list.
    pub n_genes: usize,
    /// Gene tokens per cell.
    #[serde(default = "default::n_hidden")]
    pub n_hidden: usize,
    /// Width of a gene token.
    #[serde(default = "default::token_dim")]
    pub token_dim: usize,
    /// Cells in a window.
    #[serde(default = "default::n_cells")]
    pub n_cells: usize,
    /// Layers.
    #[serde(default = "default::n_layers")]
    pub n_layers: usize,
    /// Heads of the attention between cells, a divisor of `n_hidden * token_dim`.
    #[serde(default = "default::n_heads")]
    pub n_heads: usize,
    /// Hidden width of the token MLP, in units of `token_dim`.
    #[serde(default = "default::mlp_ratio")]
    pub mlp_ratio: usize,
    /// Training only.
    #[serde(default = "default::dropout")]
    pub dropout: f64,
    /// Training only.
    #[serde(default = "default::mask_rate_min")]
    pub mask_rate_min: f64,
    /// Training only.
    #[serde(default = "default::mask_rate_max")]
    pub mask_rate_max: f64,
    /// Training only.
    #[serde(default = "default::sw_weight")]
    pub sw_weight: f64,
    /// Training only.
    #[serde(default = "default::n_proj")]
    pub n_proj: usize,
}

/// Why a configuration is not that of a model.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not the JSON object expected: a key is unknown, missing or of the wrong type.
    #[error("model_config: {0}")]
    Json(#[from] serde_json::Error),
    /// A size that is zero.
    #[error("model_config: {0} must be at least 1")]
    Zero(&'static str),
    /// Heads do not share the width evenly.
    #[error("model_config: n_heads {n_heads} does not divide n_hidden * token_dim = {width}")]
    Heads {
        /// Heads asked for.
        n_heads: usize,
        /// Width of a cell.
        width: usize,
    },
    /// Sizes no memory could hold.
    #[error("model_config: the sizes are too large to be those of a model")]
    TooLarge,
}

impl ModelConfig {
    /// Reads and checks the JSON form.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, ConfigError> {
        let config = Self::deserialize(json)?;
        config.check()?;
        Ok(config)
    }

    /// Width of a cell: `n_hidden * token_dim`.
    pub fn width(&self) -> usize {
        self.n_hidden * self.token_dim
    }

    /// Heads of the attention between the gene tokens of one cell.
    ///
    /// The reference takes 8 heads whenever the token width is a multiple of 8, whatever
    /// `n_heads` says; else the largest divisor of the width that is at most `n_heads`.
    pub fn token_heads(&self) -> usize {
        if self.token_dim.is_multiple_of(8) {
            return 8;
        }
        let most = self.n_heads.min(self.token_dim);
        (1..=most).rev().find(|&heads| self.token_dim.is_multiple_of(heads)).unwrap_or(1)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("n_genes", self.n_genes),
            ("n_hidden", self.n_hidden),
            ("token_dim", self.token_dim),
            ("n_cells", self.n_cells),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("mlp_ratio", self.mlp_ratio),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(ConfigError::Zero(name));
        }
        // Every product of two of the sizes then fits in 64 bits with room to spare.
        let too_wide = self.n_hidden.saturating_mul(self.token_dim) > 1 << 24;
        if sizes.iter().any(|(_, size)| *size > 1 << 24) || too_wide || self.n_cells > MAX_CELLS {
            return Err(ConfigError::TooLarge);
        }
        if !self.width().is_multiple_of(self.n_heads) {
            return Err(ConfigError::Heads { n_heads: self.n_heads, width: self.width() });
        }
        Ok(())
    }
}

/// Defaults of the reference's constructor.
mod default {
    pub fn n_hidden() -> usize {
        100
    }
    pub fn token_dim() -> usize {
        8
    }
    pub fn n_cells() -> usize {
        128
    }
    pub fn n_layers() -> usize {
        6
    }
    pub fn n_heads() -> usize {
        8
    }
    pub fn mlp_ratio() -> usize {
        4
    }
    pub fn dropout() -> f64 {
        0.1
    }
    pub fn mask_rate_min() -> f64 {
        0.2
    }
    pub fn mask_rate_max() -> f64 {
        0.8
    }
    pub fn sw_weight() -> f64 {
        1.0
    }
    pub fn n_proj() -> usize {
        64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_left_out_take_the_reference_defaults() {
        let config = ModelConfig::from_json(&json!({"n_genes": 15012})).unwrap();
        let sizes = (config.n_hidden, config.token_dim, config.n_cells, config.n_layers, config.n_heads);
        assert_eq!(sizes, (100, 8, 128, 6, 8));
        assert_eq!(config.mlp_ratio, 4);
    }

    #[test]
    fn unknown_missing_and_impossible_values_are_named() {
        let error = |json| ModelConfig::from_json(&json).unwrap_err().to_string();
        assert!(error(json!({"n_genes": 5, "n_widgets": 1})).contains("n_widgets"));
        assert!(error(json!({})).contains("n_genes"));
        assert!(error(json!({"n_genes": 0})).contains("n_genes must be at least 1"));
        assert!(error(json!({"n_genes": -1})).contains("-1"));
        assert!(
            error(json!({"n_genes": 5, "n_hidden": 5, "token_dim": 3, "n_heads": 4})).contains("4 does not divide")
        );
        assert!(error(json!({"n_genes": 1_u64 << 40})).contains("too large"));
        assert!(error(json!({"n_genes": 5, "n_cells": 1 << 20})).contains("too large"));
    }

    // Pairs of (token_dim, n_heads) and heads seen in the reference package.
    #[test]
    fn heads_between_tokens_follow_the_reference() {
        for (token_dim, n_heads, heads) in [(16, 4, 8), (8, 2, 8), (12, 4, 4), (6, 8, 6), (5, 4, 1)] {
            let config = ModelConfig {
                token_dim,
                n_heads,
                ..ModelConfig::from_json(&json!({"n_genes": 1, "n_hidden": 8})).unwrap()
            };
            assert_eq!(config.token_heads(), heads, "token_dim {token_dim}, n_heads {n_heads}");
        }
    }
}
