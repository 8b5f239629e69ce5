//! The first derivatives of the logarithm of the gamma function, for positive arguments.
//!
//! Small arguments are raised by the recurrence, large ones taken from the asymptotic series
//! (DLMF 5.11.2 and 5.15.8); about 14 digits are right.

/// Above this the series are exact enough.
const LARGE: f64 = 15.0;

/// ψ, the derivative of ln Γ.
pub fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += 1.0 / x;
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = r * (1.0 / 12.0 - r * (1.0 / 120.0 - r * (1.0 / 252.0 - r * (1.0 / 240.0 - r * (1.0 / 132.0)))));
    x.ln() - 0.5 / x - series - below
}

/// ψ′, the derivative of ψ.
pub fn trigamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += 1.0 / (x * x);
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = 1.0 / 6.0 - r * (1.0 / 30.0 - r * (1.0 / 42.0 - r * (1.0 / 30.0 - r * (5.0 / 66.0))));
    below + (1.0 + 0.5 / x + r * series) / x
}

/// ψ″, the derivative of ψ′.
pub fn tetragamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below -= 2.0 / (x * x * x);
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = 1.0 / 2.0 - r * (1.0 / 6.0 - r * (1.0 / 6.0 - r * (3.0 / 10.0 - r * (5.0 / 6.0))));
    below - r * (1.0 + 1.0 / x + r * series)
}

/// The positive y with ψ′(y) = x, for x > 0, by Newton's method on 1/ψ′ (Smyth 2004, appendix).
pub fn trigamma_inverse(x: f64) -> f64 {
    if x > 1e7 {
        return 1.0 / x.sqrt();
    }
    if x < 1e-6 {
        return 1.0 / x;
    }
    let mut y = 0.5 + 1.0 / x;
    for _ in 0..50 {
        let value = trigamma(y);
        let step = value * (1.0 - value / x) / tetragamma(y);
        y += step;
        if -step / y < 1e-8 {
            break;
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_agree_with_mpmath() {
        // mpmath with 30 digits: psi(0, x), psi(1, x), psi(2, x)
        let cases = [
            (0.02, -50.54478931045618, 2501.598118191868, -250002.27905420522),
            (0.5, -1.9635100260214235, 4.934802200544679, -16.82879664423432),
            (1.0, -0.5772156649015329, 1.6449340668482264, -2.4041138063191885),
            (3.25, 1.016990911068179, 0.3597982903095799, -0.12815694713911513),
            (14.9, 2.6674289762160424, 0.06941658320709579, -0.004816732932829049),
            (51.0, 3.921989673427892, 0.019801333226697127, -0.0003920799893375969),
            (1000.5, 6.907755320648796, 0.0009999999166666958, -9.999997500001458e-07),
        ];
        for (x, first, second, third) in cases {
            let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-13;
            assert!(close(digamma(x), first), "digamma({x})");
            assert!(close(trigamma(x), second), "trigamma({x})");
            assert!(close(tetragamma(x), third), "tetragamma({x})");
            assert!((trigamma_inverse(second) / x - 1.0).abs() < 1e-7, "trigamma_inverse at {x}");
        }
    }
}
