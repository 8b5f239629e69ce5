//! Draws of counts.

use rand::Rng;
use rand_distr::{Distribution, Gamma, Poisson};

/// The largest Poisson rate, as in the reference.
const MAX_RATE: f64 = 1e8;

/// A count from the negative binomial of this mean and inverse dispersion `theta`: variance
/// mean + mean²/theta. Drawn as Poisson(Gamma(theta, mean/theta)).
///
/// A mean of 0 gives 0. So does a `theta` of 0, the limit, where the reference fails.
pub fn negative_binomial(mean: f32, theta: f32, generator: &mut impl Rng) -> f32 {
    let (mean, theta) = (f64::from(mean), f64::from(theta));
    // Written so that a NaN gives 0 too; the model is checked for those before.
    if !(mean > 0.0 && theta > 0.0) {
        return 0.0;
    }
    let Ok(gamma) = Gamma::new(theta, mean / theta) else { return 0.0 };
    let rate = gamma.sample(generator).clamp(f64::from(f32::MIN_POSITIVE), MAX_RATE);
    Poisson::new(rate).map_or(0.0, |poisson| poisson.sample(generator) as f32)
}

/// `value` rounded to one of the two whole numbers around it, at random so that the expectation is
/// `value`.
pub fn stochastic_round(value: f64, generator: &mut impl Rng) -> f32 {
    let below = value.floor();
    let up = rand_distr::StandardUniform.sample(generator);
    let up: f64 = up;
    (below + f64::from(u8::from(up < value - below))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::random::CounterRng;

    #[test]
    fn the_limits_give_no_count() {
        let mut generator = CounterRng::new(0, 0, 0, 0);
        for (mean, theta) in [(0.0, 1.0), (5.0, 0.0), (f32::NAN, 1.0), (5.0, 1e-30)] {
            assert_eq!(negative_binomial(mean, theta, &mut generator), 0.0, "mean {mean}, theta {theta}");
        }
    }

    #[test]
    fn counts_are_whole_and_large_rates_are_bounded() {
        let mut generator = CounterRng::new(1, 0, 0, 0);
        for _ in 0..100 {
            let count = negative_binomial(3.0e9, 1.0, &mut generator);
            assert!(count == count.trunc() && count <= 1.001e8, "{count}");
        }
    }

    // The share rounded up of n draws has a standard error of sqrt(.25 * .75 / n).
    #[test]
    fn rounding_keeps_the_expectation() {
        let n = 10_000;
        let draw = |cell| f64::from(stochastic_round(3.25, &mut CounterRng::new(2, 0, cell, 0)));
        let mean = (0..n).map(draw).sum::<f64>() / f64::from(n);
        assert!((mean - 3.25).abs() < 5.0 * (0.25 * 0.75 / f64::from(n)).sqrt(), "{mean}");
        assert_eq!(stochastic_round(4.0, &mut CounterRng::new(2, 0, 0, 0)), 4.0);
    }
}
