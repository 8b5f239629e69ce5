//! Moderated t-tests: variances of many genes, each known from few samples, drawn towards what is
//! usual for genes of their expression.
//!
//! The empirical Bayes of limma (Smyth 2004, *Stat. Appl. Genet. Mol. Biol.* 3:3), with the prior
//! variance following the mean expression where asked (limma-trend; Law et al. 2014, *Genome Biol.*
//! 15:R29). Numbers agree with limma's `eBayes(fit, trend = …)`.

use super::polygamma::{digamma, trigamma, trigamma_inverse};
use super::tails::student_two_sided;

/// What is known of one gene before its variance is moderated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Difference of the two sides.
    pub effect: f64,
    /// Its standard deviation where the variance is 1.
    pub unscaled: f64,
    /// Variance of the residuals.
    pub variance: f64,
    /// Degrees of freedom of the residuals, above 0.
    pub df: f64,
    /// Mean expression over all samples.
    pub mean: f64,
}

/// Prior of the variances: a scaled inverse chi-squared distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// Its degrees of freedom; infinite where variances differ no more than chance makes them, 0 where
    /// there are too few genes to tell.
    pub df: f64,
    /// Its scale for each gene.
    pub variances: Vec<f64>,
}

/// Which genes share a prior variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// All.
    Constant,
    /// Those of the same mean expression, along a natural cubic spline.
    WithMean,
}

/// t and its two-sided p-value for each gene.
pub fn moderated_t(fits: &[Fit], trend: Trend) -> Vec<(f64, f64)> {
    let prior = fit_prior(fits, trend);
    // limma: no gene can know its variance better than all genes together do.
    let df_pooled: f64 = fits.iter().map(|fit| fit.df).sum();
    let test = |(fit, &usual): (&Fit, &f64)| {
        let variance = match prior.df.is_infinite() {
            true => usual,
            false => (fit.df * fit.variance + prior.df * usual) / (fit.df + prior.df),
        };
        let t = fit.effect / (fit.unscaled * variance.sqrt());
        (t, student_two_sided(t, (fit.df + prior.df).min(df_pooled)))
    };
    fits.iter().zip(&prior.variances).map(test).collect()
}

/// The prior that the variances of all genes speak for, by the moments of their logarithms.
pub fn fit_prior(fits: &[Fit], trend: Trend) -> Prior {
    let n = fits.len();
    let raised = raised_from_zero(fits.iter().map(|fit| fit.variance).collect());
    if n < 2 {
        return Prior { df: 0.0, variances: raised };
    }
    // What is left of a logarithm once chance is expected of it.
    let centred = |(variance, fit): (&f64, &Fit)| variance.ln() - digamma(fit.df / 2.0) + (fit.df / 2.0).ln();
    let logarithms: Vec<f64> = raised.iter().zip(fits).map(centred).collect();
    let by_chance = fits.iter().map(|fit| trigamma(fit.df / 2.0)).sum::<f64>() / n as f64;
    let means: Vec<f64> = fits.iter().map(|fit| fit.mean).collect();
    let basis = match trend {
        Trend::Constant => vec![vec![1.0; n]],
        Trend::WithMean => natural_spline(&means, 1 + usize::from(n >= 3) + usize::from(n >= 6) + usize::from(n >= 30)),
    };
    let constant = basis.len() == 1;
    let (fitted, spread) = regress(basis, &logarithms);
    let excess = spread - by_chance;
    if excess > 0.0 {
        let df = 2.0 * trigamma_inverse(excess);
        let shift = digamma(df / 2.0) - (df / 2.0).ln();
        return Prior { df, variances: fitted.iter().map(|mean| (mean + shift).exp()).collect() };
    }
    let variances = match constant {
        true => vec![raised.iter().sum::<f64>() / n as f64; n],
        false => fitted.into_iter().map(f64::exp).collect(),
    };
    Prior { df: f64::INFINITY, variances }
}

/// Variances of 0 have no logarithm: all are raised to a hundred-thousandth of the median.
fn raised_from_zero(variances: Vec<f64>) -> Vec<f64> {
    let median = median(variances.clone());
    let least = 1e-5 * if median > 0.0 { median } else { 1.0 };
    variances.into_iter().map(|variance| variance.max(least)).collect()
}

/// The middle value, or the mean of the two in the middle; NaN for none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// A quantile of ascending values, interpolated as R's and NumPy's default does; NaN for none.
fn quantile(ascending: &[f64], share: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return f64::NAN };
    let at = share * last as f64;
    let low = ascending[at as usize];
    low + (at - at.floor()) * (ascending[last.min(at as usize + 1)] - low)
}

/// Columns that span the natural cubic splines of so many dimensions: straight beyond the smallest and
/// largest value, with inner knots at evenly spaced quantiles (Hastie, Tibshirani and Friedman 2009,
/// eq. 5.4 and 5.5). The same space as R's `ns(x, df, intercept = TRUE)`.
fn natural_spline(x: &[f64], dimensions: usize) -> Vec<Vec<f64>> {
    let mut ascending = x.to_vec();
    ascending.sort_by(f64::total_cmp);
    ascending.dedup();
    let dimensions = dimensions.min(ascending.len());
    let mut columns = vec![vec![1.0; x.len()]];
    if dimensions < 2 {
        return columns;
    }
    ascending = x.to_vec();
    ascending.sort_by(f64::total_cmp);
    let (first, last) = (ascending[0], ascending[ascending.len() - 1]);
    let scaled = |x: f64| (x - first) / (last - first);
    columns.push(x.iter().map(|&x| scaled(x)).collect());
    let knots: Vec<f64> =
        (0..dimensions).map(|k| scaled(quantile(&ascending, k as f64 / (dimensions - 1) as f64))).collect();
    let above = |x: f64, knot: f64| (x - knot).max(0.0).powi(3);
    let bend = |x: f64, k: usize| (above(x, knots[k]) - above(x, 1.0)) / (1.0 - knots[k]);
    for k in 0..dimensions - 2 {
        let column = x.iter().map(|&x| bend(scaled(x), k) - bend(scaled(x), dimensions - 2));
        columns.push(column.collect());
    }
    columns
}

/// Least squares: the fitted values, and the variance of the residuals. Columns that add nothing to
/// those before them do not count.
fn regress(columns: Vec<Vec<f64>>, y: &[f64]) -> (Vec<f64>, f64) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for mut column in columns {
        let before = dot(&column, &column).sqrt();
        // Twice, as the first pass leaves what rounding hid.
        for _ in 0..2 {
            for axis in &axes {
                let share = dot(&column, axis);
                column.iter_mut().zip(axis).for_each(|(value, axis)| *value -= share * axis);
            }
        }
        let length = dot(&column, &column).sqrt();
        if length > 1e-7 * before {
            column.iter_mut().for_each(|value| *value /= length);
            axes.push(column);
        }
    }
    let mut fitted = vec![0.0; y.len()];
    for axis in &axes {
        let share = dot(y, axis);
        fitted.iter_mut().zip(axis).for_each(|(value, axis)| *value += share * axis);
    }
    let squares: f64 = y.iter().zip(&fitted).map(|(y, fitted)| (y - fitted) * (y - fitted)).sum();
    let free = y.len().saturating_sub(axes.len()).max(1);
    (fitted, squares / free as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        // numpy.quantile([1, 2, 4, 8], [0, 1/3, 0.5, 0.9, 1])
        let values = [1.0, 2.0, 4.0, 8.0];
        let found = [0.0, 1.0 / 3.0, 0.5, 0.9, 1.0].map(|share| quantile(&values, share));
        assert!(found.iter().zip([1.0, 2.0, 3.0, 6.8, 8.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn a_spline_is_straight_beyond_its_knots_and_follows_a_line() {
        let x: Vec<f64> = (0..40).map(|i| f64::from(i * i)).collect();
        let y: Vec<f64> = x.iter().map(|x| 3.0 - 0.25 * x).collect();
        let basis = natural_spline(&x, 4);
        assert_eq!(basis.len(), 4);
        let (fitted, spread) = regress(basis, &y);
        assert!(fitted.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-9) && spread < 1e-18);
        // One value: nothing to bend.
        assert_eq!(natural_spline(&[2.0; 5], 4).len(), 1);
    }

    #[test]
    fn variances_that_differ_only_by_chance_are_pooled() {
        let fit = |variance| Fit { effect: 1.0, unscaled: 1.0, variance, df: 4.0, mean: 0.0 };
        let fits = [1.0, 1.1, 0.9, 1.05, 0.95].map(fit);
        let prior = fit_prior(&fits, Trend::Constant);
        assert!(prior.df.is_infinite() && prior.variances.iter().all(|v| (v - 1.0).abs() < 1e-12));
        let tests = moderated_t(&fits, Trend::Constant);
        assert!(tests.iter().all(|(t, p)| (t - 1.0).abs() < 1e-12 && (p - student_two_sided(1.0, 20.0)).abs() < 1e-12));
    }
}
