//! Fold changes between two groups of log-normalised cells.

/// scanpy's `logfoldchanges`: log2 of the ratio of `expm1` of the two means of log-normalised
/// values, 1e-9 added to either. A gene seen on one side only comes out near ±30.
pub fn log2_fold_change(mean_treatment: f64, mean_control: f64) -> f64 {
    ((mean_treatment.exp_m1() + 1e-9) / (mean_control.exp_m1() + 1e-9)).log2()
}

/// Difference of the two means of log-normalised values, on the scale of log2.
///
/// Used wherever many genes are compared at once: unlike the ratio it stays small for genes that
/// are hardly seen, which would otherwise drown the rest.
pub fn mean_log2_difference(mean_treatment: f64, mean_control: f64) -> f64 {
    (mean_treatment - mean_control) / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_is_one() {
        let (three, seven) = (3.0_f64.ln_1p(), 7.0_f64.ln_1p());
        assert!((log2_fold_change(6.0_f64.ln_1p(), three) - 1.0).abs() < 1e-9);
        assert!((mean_log2_difference(seven, three) - 1.0).abs() < 1e-15);
        assert_eq!(log2_fold_change(0.0, 0.0), 0.0);
        assert!((log2_fold_change(1.0_f64.ln_1p(), 0.0) - 29.897).abs() < 1e-3);
    }
}
