//! Welch's t-test from the moments of two groups of cells, as scanpy's `t-test` and
//! `t-test_overestim_var`.

use super::tails::student_two_sided;

/// What a t-test needs to know of a group of cells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Number of cells.
    pub n: f64,
    /// Mean.
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub squares: f64,
}

/// Whose number of cells the variance of the reference is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variance {
    /// The reference's own: Welch's t-test.
    #[default]
    Own,
    /// The group's: scanpy's `t-test_overestim_var`, which takes the variance of a small group's mean
    /// for larger than it is when it is held against many cells.
    Overestimated,
}

impl Moments {
    /// The moments of both groups together (Chan, Golub and LeVeque 1979).
    pub fn merge(self, other: Self) -> Self {
        let n = self.n + other.n;
        if self.n == 0.0 || other.n == 0.0 {
            return if self.n == 0.0 { other } else { self };
        }
        let difference = other.mean - self.mean;
        // Not from the sum of both, so that a group of zeros keeps its mean of 0.
        let mean = (self.n * self.mean + other.n * other.mean) / n;
        let squares = self.squares + other.squares + difference * difference * self.n * other.n / n;
        Self { n, mean, squares }
    }

    fn variance(self) -> f64 {
        self.squares / (self.n - 1.0)
    }
}

/// t and its two-sided p-value by the Welch–Satterthwaite degrees of freedom.
///
/// Where neither side varies, equal means are no evidence (0 and 1, as in scanpy) and different means
/// cannot be judged: both are NaN.
pub fn welch(group: Moments, reference: Moments, variance: Variance) -> (f64, f64) {
    let n = match variance {
        Variance::Own => reference.n,
        Variance::Overestimated => group.n,
    };
    let of_mean = [group.variance() / group.n, reference.variance() / n];
    let total = of_mean[0] + of_mean[1];
    let difference = group.mean - reference.mean;
    if total == 0.0 {
        return if difference == 0.0 { (0.0, 1.0) } else { (f64::NAN, f64::NAN) };
    }
    let t = difference / total.sqrt();
    let [a, b] = of_mean.map(|variance| variance / total);
    let df = 1.0 / (a * a / (group.n - 1.0) + b * b / (n - 1.0));
    (t, student_two_sided(t, df))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64]) -> Moments {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        Moments { n, mean, squares: values.iter().map(|v| (v - mean) * (v - mean)).sum() }
    }

    #[test]
    fn welch_agrees_with_scipy() {
        let (a, b) = (moments(&[1.0, 2.0, 4.0, 8.0]), moments(&[0.0, 0.5, 1.0, 0.25, 0.0, 2.0]));
        // scipy.stats.ttest_ind(a, b, equal_var=False)
        let (t, p) = welch(a, b, Variance::Own);
        assert!(
            (t / 1.9784855345537438 - 1.0).abs() < 1e-13 && (p / 0.13519130203713725 - 1.0).abs() < 1e-12,
            "{t} {p}"
        );
        // scipy.stats.ttest_ind_from_stats(mean(a), std(a), 4, mean(b), std(b), 4, equal_var=False)
        let (t, p) = welch(a, b, Variance::Overestimated);
        assert!(
            (t / 1.9591529930963123 - 1.0).abs() < 1e-13 && (p / 0.13481683350770018 - 1.0).abs() < 1e-12,
            "{t} {p}"
        );
    }

    #[test]
    fn merged_moments_are_those_of_all_values() {
        let (a, b) = ([1.0, 2.0, 4.5], [0.0, -3.0]);
        let (merged, all) = (moments(&a).merge(moments(&b)), moments(&[a.as_slice(), &b].concat()));
        assert!((merged.mean - all.mean).abs() < 1e-15 && (merged.squares - all.squares).abs() < 1e-13);
        assert_eq!(moments(&a).merge(Moments::default()), moments(&a));
    }

    #[test]
    fn what_does_not_vary_is_no_evidence_or_cannot_be_judged() {
        let (ones, twos) = (moments(&[1.0; 4]), moments(&[2.0; 4]));
        assert_eq!(welch(ones, ones, Variance::Own), (0.0, 1.0));
        let (t, p) = welch(ones, twos, Variance::Own);
        assert!(t.is_nan() && p.is_nan());
    }
}
