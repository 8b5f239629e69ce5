//! Corrections for many tests.

/// How p-values are corrected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Correction {
    /// False discovery rate by Benjamini and Hochberg (1995).
    #[default]
    BenjaminiHochberg,
    /// Family-wise error rate by Bonferroni.
    Bonferroni,
}

/// A p-value that is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("p-value {index} is {value}, not a number between 0 and 1")]
pub struct InvalidPValue {
    /// Which, from 0.
    pub index: usize,
    /// What it is.
    pub value: f64,
}

/// Adjusted p-values in the order of the given ones.
pub fn adjust(p_values: &[f64], correction: Correction) -> Result<Vec<f64>, InvalidPValue> {
    if let Some((index, &value)) = p_values.iter().enumerate().find(|(_, p)| !(0.0..=1.0).contains(*p)) {
        return Err(InvalidPValue { index, value });
    }
    let n = p_values.len() as f64;
    Ok(match correction {
        Correction::Bonferroni => p_values.iter().map(|p| (p * n).min(1.0)).collect(),
        Correction::BenjaminiHochberg => benjamini_hochberg(p_values),
    })
}

/// Adjusted p-values of the tests that could be made: NaN stands for one that could not, stays NaN, and
/// does not count in the correction.
pub(super) fn adjust_tested(p_values: &[f64], correction: Correction) -> Vec<f64> {
    let tested: Vec<f64> = p_values.iter().copied().filter(|p| !p.is_nan()).collect();
    let mut adjusted = adjust(&tested, correction).expect("a test gives a p-value in 0..=1, or none").into_iter();
    let each = p_values.iter().map(|p| if p.is_nan() { f64::NAN } else { adjusted.next().unwrap_or(f64::NAN) });
    each.collect()
}

/// The smallest `p · n / rank` among this and all larger p-values, at most 1.
fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let n = p_values.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; n];
    let mut smallest = 1.0_f64;
    for (rank, &index) in order.iter().enumerate().rev() {
        smallest = smallest.min(p_values[index] / ((rank + 1) as f64 / n as f64));
        adjusted[index] = smallest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_by_hand() {
        let p = [0.01, 0.04, 0.03, 0.5];
        let adjusted = adjust(&p, Correction::BenjaminiHochberg).unwrap();
        let expected = [0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5];
        assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{adjusted:?}");
        assert_eq!(adjust(&p, Correction::Bonferroni).unwrap(), [0.04, 0.16, 0.12, 1.0]);
        assert_eq!(adjust(&[], Correction::BenjaminiHochberg).unwrap(), [] as [f64; 0]);
    }

    #[test]
    fn a_nan_is_named_and_not_tidied() {
        let error = adjust(&[0.1, f64::NAN], Correction::BenjaminiHochberg).unwrap_err();
        assert_eq!(error.index, 1);
        assert!(adjust(&[1.1], Correction::Bonferroni).is_err());
    }
}
