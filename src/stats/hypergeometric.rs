//! The upper tail of the hypergeometric distribution, with its digits kept far out.

/// The probability of at least `overlap` hits: the value and its natural logarithm, which stays
/// finite where the value has become 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// The probability.
    pub p: f64,
    /// Its natural logarithm.
    pub ln_p: f64,
}

/// P(X ≥ `overlap`) when `drawn` genes are drawn without replacement from a population of which
/// `marked` are in the set. The same as scipy's `hypergeom.sf(overlap - 1, population, marked, drawn)`.
///
/// Weights of the distribution follow from one another by a ratio of small integers, starting with
/// 1 at the mode, so no factorial is formed and nothing cancels.
///
/// # Panics
/// If `marked` or `drawn` is above `population`.
pub fn upper_tail(overlap: u64, population: u64, marked: u64, drawn: u64) -> Tail {
    assert!(marked <= population && drawn <= population, "{marked} and {drawn} of {population}");
    let lowest = (marked + drawn).saturating_sub(population);
    let highest = marked.min(drawn);
    if overlap <= lowest {
        return Tail { p: 1.0, ln_p: 0.0 };
    }
    if overlap > highest {
        return Tail { p: 0.0, ln_p: f64::NEG_INFINITY };
    }

    // Weight of x + 1 over weight of x.
    let step = |x: u64| {
        let remaining = (population + x + 1 - marked - drawn) as f64;
        ((marked - x) as f64 * (drawn - x) as f64) / ((x + 1) as f64 * remaining)
    };
    let mode = mode(population, marked, drawn).clamp(lowest, highest);
    let above: f64 = weights_up(mode, highest, step).sum();
    let below: f64 = weights_down(mode, lowest, step).sum();
    let total = 1.0 + above + below;

    if overlap <= mode {
        let skipped: f64 = weights_down(mode, lowest, step).skip((mode - overlap) as usize).sum();
        let p = 1.0 - skipped / total;
        return Tail { p, ln_p: p.ln() };
    }
    let (weight, ln_scale) = weight_at(overlap, mode, step);
    let tail = 1.0 + weights_up(overlap, highest, step).sum::<f64>();
    let scaled = weight * tail / total;
    Tail { p: scaled * ln_scale.exp(), ln_p: scaled.ln() + ln_scale }
}

fn mode(population: u64, marked: u64, drawn: u64) -> u64 {
    ((u128::from(drawn) + 1) * (u128::from(marked) + 1) / (u128::from(population) + 2)) as u64
}

/// Weights of `from + 1`, `from + 2`, … relative to that of `from`, until they no longer count.
fn weights_up(from: u64, highest: u64, step: impl Fn(u64) -> f64) -> impl Iterator<Item = f64> {
    (from..highest)
        .scan(1.0_f64, move |weight, x| {
            *weight *= step(x);
            Some(*weight)
        })
        .take_while(|&weight| weight > f64::EPSILON * 1e-6)
}

/// Weights of `from - 1`, `from - 2`, … relative to that of `from`, until they no longer count.
fn weights_down(from: u64, lowest: u64, step: impl Fn(u64) -> f64) -> impl Iterator<Item = f64> {
    (lowest..from)
        .rev()
        .scan(1.0_f64, move |weight, x| {
            *weight /= step(x);
            Some(*weight)
        })
        .take_while(|&weight| weight > f64::EPSILON * 1e-6)
}

/// Weight of `x` relative to that of the mode below it, as a number and the logarithm of what it
/// has to be multiplied with.
fn weight_at(x: u64, mode: u64, step: impl Fn(u64) -> f64) -> (f64, f64) {
    const SMALL: f64 = 1e-200;
    (mode..x).fold((1.0, 0.0), |(weight, ln_scale), x| {
        let weight = weight * step(x);
        if weight < SMALL { (weight / SMALL, ln_scale + SMALL.ln()) } else { (weight, ln_scale) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_by_hand() {
        // 10 genes, 4 marked, 3 drawn: C(4,2) 6 + C(4,3) = 40 of C(10,3) = 120.
        assert!((upper_tail(2, 10, 4, 3).p - 40.0 / 120.0).abs() < 1e-15);
        assert!((upper_tail(1, 10, 4, 3).p - 100.0 / 120.0).abs() < 1e-15);
        assert!((upper_tail(3, 10, 4, 3).p - 4.0 / 120.0).abs() < 1e-15);
        assert_eq!(upper_tail(0, 10, 4, 3).p, 1.0);
        assert_eq!(upper_tail(4, 10, 4, 3).p, 0.0);
        // 8 of 10 marked, 5 drawn: at least 3 are marked.
        assert_eq!(upper_tail(3, 10, 8, 5).p, 1.0);
        assert_eq!(upper_tail(1, 10, 10, 10).p, 1.0);
        assert_eq!(upper_tail(1, 10, 0, 5).p, 0.0);
    }

    #[test]
    fn the_last_value_is_one_over_a_binomial() {
        // All 200 marked drawn by 200 of 20 000: 1 / C(20000, 200).
        let ln_binomial: f64 = (0..200).map(|i| f64::from(20_000 - i).ln() - f64::from(200 - i).ln()).sum();
        let tail = upper_tail(200, 20_000, 200, 200);
        assert_eq!(tail.p, 0.0);
        assert!((tail.ln_p / -ln_binomial - 1.0).abs() < 1e-12, "{}", tail.ln_p);
    }
}
