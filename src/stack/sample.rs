//! Draws of counts.

use rand::Rng;
use rand_distr::{Distribution, Gamma, Poisson};

/// The largest Poisson rate, as in the reference.
const MAX_RATE: f64 = 1e8;

/// Up to which mean a count is found by walking up its distribution.
const WALKED_MEAN: f64 = 50.0;

/// A count from the negative binomial of this mean and inverse dispersion `theta`: variance
/// mean + mean²/theta.
///
/// A mean of 0 gives 0. So does a `theta` of 0, the limit, where the reference fails.
pub fn negative_binomial(mean: f32, theta: f32, generator: &mut impl Rng) -> f32 {
    let level = level(generator);
    if is_zero(mean, level) { 0.0 } else { negative_binomial_at(mean, theta, level, generator) }
}

/// The level, uniform in [0, 1), that decides whether a count is 0 and where it is walked to.
pub fn level(generator: &mut impl Rng) -> f64 {
    rand_distr::StandardUniform.sample(generator)
}

/// Whether the count of this level is 0 whatever its dispersion: none makes a 0 less likely than
/// the Poisson distribution, which has one with probability e^-mean.
pub fn is_zero(mean: f32, level: f64) -> bool {
    // Written so that a NaN gives 0 too; the model is checked for those before.
    !(mean > 0.0 && level >= (-f64::from(mean)).exp())
}

/// The count of a level that [`is_zero`] does not decide.
///
/// Counts of a small mean are found by walking up the distribution to the level; others are drawn as
/// Poisson(Gamma(theta, mean/theta)) until one is above 0. Where that takes many draws it is asked for as rarely.
pub fn negative_binomial_at(mean: f32, theta: f32, level: f64, generator: &mut impl Rng) -> f32 {
    let (mean, theta) = (f64::from(mean), f64::from(theta));
    if !(mean > 0.0 && theta > 0.0) {
        return 0.0;
    }
    let zero = (-theta * (mean / theta).ln_1p()).exp();
    if level < zero {
        return 0.0;
    }
    if mean <= WALKED_MEAN {
        return walk(mean, theta, zero, level) as f32;
    }
    let Ok(gamma) = Gamma::new(theta, mean / theta) else { return 0.0 };
    loop {
        let rate = gamma.sample(generator).clamp(f64::from(f32::MIN_POSITIVE), MAX_RATE);
        let count = Poisson::new(rate).map_or(0.0, |poisson| poisson.sample(generator) as f32);
        if count > 0.0 {
            return count;
        }
    }
}

/// The smallest count whose cumulative probability is above the level.
fn walk(mean: f64, theta: f64, zero: f64, level: f64) -> f64 {
    let ratio = mean / (mean + theta);
    let (mut count, mut probability, mut cumulative) = (0.0, zero, zero);
    while cumulative <= level && count < MAX_RATE {
        probability *= (count + theta) / (count + 1.0) * ratio;
        count += 1.0;
        if cumulative + probability == cumulative && count > mean {
            // What is left of the tail is below the resolution of the level.
            break;
        }
        cumulative += probability;
    }
    count
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
        for (mean, theta) in [(0.0, 1.0), (5.0, 0.0), (f32::NAN, 1.0), (5.0, f32::NAN), (5.0, 1e-30)] {
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

    // By hand: mean 1, theta 1 is geometric, P(k) = 1/2^(k+1), so the count of level 1 - 2^-k is k.
    #[test]
    fn a_level_is_walked_to() {
        let mut generator = CounterRng::new(0, 0, 0, 0);
        for k in 1..20 {
            let level = 1.0 - 0.5_f64.powi(k);
            assert!(!is_zero(1.0, level) || k == 1);
            assert_eq!(negative_binomial_at(1.0, 1.0, level + 1e-9, &mut generator), k as f32);
            assert_eq!(negative_binomial_at(1.0, 1.0, level - 1e-9, &mut generator), (k - 1) as f32);
        }
        assert!(negative_binomial_at(40.0, 1e-9, 1.0 - f64::EPSILON, &mut generator).is_finite());
        // Rarely above 0, then large: a walk there would be one of a hundred million steps.
        assert!(negative_binomial_at(1e6, 1e-3, 0.9999, &mut generator) > 0.0);
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
