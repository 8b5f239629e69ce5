//! Activity of regulators from what happens to their targets: the univariate linear model of decoupler
//! (Badia-i-Mompel et al. 2022, *Bioinform. Adv.* 2:vbac016).
//!
//! For each source the values of all genes are regressed on the source's weights, genes that are none
//! of its targets having weight 0; the activity is the t of the slope. It is positive where targets with
//! positive weights have the larger values: a factor that is active, a cytokine that was felt.

use rayon::prelude::*;

use super::adjust::{Correction, adjust_tested};
use super::tails::student_two_sided;

/// Fewest targets with a value for a source to be judged, as in decoupler.
pub const MIN_TARGETS: usize = 5;

/// How active one source is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activity {
    /// Which source, in the order they were given.
    pub source: usize,
    /// Its targets with a value.
    pub n_targets: usize,
    /// t of the slope; NaN where all genes are targets of one weight.
    pub score: f64,
    /// Two-sided, with two degrees of freedom fewer than genes.
    pub p_value: f64,
    /// By Benjamini and Hochberg over the sources judged.
    pub adjusted_p_value: f64,
}

/// Why activities cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ActivityError {
    /// Fewer than three genes.
    #[error("a linear model needs the values of at least three genes; there are {0}")]
    TooFewGenes(usize),
    /// A value that is no number.
    #[error("gene {gene} (counted from 0) has the value {value}; only finite numbers can be used")]
    NotFinite {
        /// Its position.
        gene: usize,
        /// What is there.
        value: f64,
    },
    /// Nothing to explain.
    #[error("all genes have the same value, so nothing about regulators can be read from them")]
    Constant,
    /// A target that is not there.
    #[error("source {source_index} (counted from 0) has the target {gene}, but there are {n_genes} genes")]
    UnknownGene {
        /// The source.
        source_index: usize,
        /// The target.
        gene: u32,
        /// Number of genes.
        n_genes: usize,
    },
}

/// The activity of every source with at least `min_targets` targets, in the order of the sources.
/// A source is its targets, each once, as positions among the genes, with their weights.
pub fn linear_model(
    values: &[f64],
    sources: &[Vec<(u32, f64)>],
    min_targets: usize,
) -> Result<Vec<Activity>, ActivityError> {
    let n_genes = values.len();
    if n_genes < 3 {
        return Err(ActivityError::TooFewGenes(n_genes));
    }
    if let Some(gene) = values.iter().position(|value| !value.is_finite()) {
        return Err(ActivityError::NotFinite { gene, value: values[gene] });
    }
    for (source_index, targets) in sources.iter().enumerate() {
        if let Some(&(gene, _)) = targets.iter().find(|(gene, _)| *gene as usize >= n_genes) {
            return Err(ActivityError::UnknownGene { source_index, gene, n_genes });
        }
    }
    let n = n_genes as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    if squares == 0.0 {
        return Err(ActivityError::Constant);
    }
    let judge = |(source, targets): (usize, &Vec<(u32, f64)>)| {
        let (sum, of_weights, together) =
            targets.iter().fold((0.0, 0.0, 0.0), |(sum, squares, together), &(gene, w)| {
                (sum + w, squares + w * w, together + w * (values[gene as usize] - mean))
            });
        let mean_weight = sum / n;
        let of_targets: f64 = targets.iter().map(|(_, w)| (w - mean_weight) * (w - mean_weight)).sum();
        let spread = of_targets + (n - targets.len() as f64) * mean_weight * mean_weight;
        // Weights that are all the same differ from their mean by rounding alone.
        let varies = spread > 1e-12 * of_weights;
        let r = if varies { (together / (spread * squares).sqrt()).clamp(-1.0, 1.0) } else { f64::NAN };
        let df = n - 2.0;
        let score = r * (df / ((1.0 - r) * (1.0 + r))).sqrt();
        let p_value = student_two_sided(score, df);
        Activity { source, n_targets: targets.len(), score, p_value, adjusted_p_value: p_value }
    };
    let mut found: Vec<Activity> =
        sources.par_iter().enumerate().filter(|(_, targets)| targets.len() >= min_targets.max(1)).map(judge).collect();
    let p_values: Vec<f64> = found.iter().map(|activity| activity.p_value).collect();
    let adjusted = adjust_tested(&p_values, Correction::BenjaminiHochberg);
    found.iter_mut().zip(adjusted).for_each(|(activity, p)| activity.adjusted_p_value = p);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_a_regression() {
        // scipy.stats.linregress([1, 1, 0, 0, -1, 0], [3, 1, 0.5, 0, -2, 0.25]): slope / stderr, pvalue
        let values = [3.0, 1.0, 0.5, 0.0, -2.0, 0.25];
        let found = linear_model(&values, &[vec![(0, 1.0), (1, 1.0), (4, -1.0)], vec![(2, 1.0)]], 2).unwrap();
        assert_eq!(found.len(), 1, "one source has too few targets");
        assert!((found[0].score / 4.425962865504152 - 1.0).abs() < 1e-12, "{}", found[0].score);
        assert!((found[0].p_value / 0.011457793041993581 - 1.0).abs() < 1e-11, "{}", found[0].p_value);
    }

    #[test]
    fn what_cannot_be_judged_is_said() {
        let target = |gene| vec![vec![(gene, 1.0)]];
        assert_eq!(linear_model(&[1.0, 2.0], &target(0), 1), Err(ActivityError::TooFewGenes(2)));
        assert_eq!(linear_model(&[1.0; 4], &target(0), 1), Err(ActivityError::Constant));
        assert!(matches!(linear_model(&[1.0, f64::NAN, 2.0], &target(0), 1), Err(ActivityError::NotFinite { .. })));
        assert!(matches!(linear_model(&[1.0, 3.0, 2.0], &target(3), 1), Err(ActivityError::UnknownGene { .. })));
        // All genes are targets of one weight: the weights do not vary.
        for (weight, n_genes) in [(1.0, 3), (0.1, 3), (0.1, 7), (0.1, 1000), (1e9 / 3.0, 1000), (-1e-9, 20_000)] {
            let all = vec![(0..n_genes).map(|gene| (gene, weight)).collect::<Vec<(u32, f64)>>()];
            let values: Vec<f64> = (0..n_genes).map(|gene| f64::from(gene % 7)).collect();
            let found = linear_model(&values, &all, 1).unwrap();
            assert!(found[0].score.is_nan() && found[0].adjusted_p_value.is_nan(), "{weight} for {n_genes} genes");
        }
        // One gene that is no target is enough.
        let all_but_one = vec![(1..1000).map(|gene| (gene, 0.1)).collect::<Vec<(u32, f64)>>()];
        let values: Vec<f64> = (0..1000).map(|gene| f64::from(gene % 7)).collect();
        assert!(linear_model(&values, &all_but_one, 1).unwrap()[0].score.is_finite());
    }
}
