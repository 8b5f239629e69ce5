//! Two-sided tails of the normal distribution and of Student's t, with their digits kept far out.

use libm::{erfc, lgamma};

/// Probability of a standard normal value at least as far from zero as `z`.
pub fn normal_two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// Probability of a value of Student's t with `df` degrees of freedom at least as far from zero as
/// `t`. Infinitely many degrees give the normal distribution. NaN in, NaN out.
pub fn student_two_sided(t: f64, df: f64) -> f64 {
    if t.is_nan() || df.is_nan() {
        return f64::NAN;
    }
    if df.is_infinite() {
        return normal_two_sided(t);
    }
    if t.is_infinite() {
        return 0.0;
    }
    // The regularised incomplete beta function at a = df/2, b = 1/2, x = df / (df + t²); 1 - x is
    // formed from t², as nothing is left of it where x rounds to 1.
    let square = t * t;
    let (a, b) = (df / 2.0, 0.5);
    let (x, y) = (df / (df + square), square / (df + square));
    if x == 0.0 || y == 0.0 {
        return if x == 0.0 { 0.0 } else { 1.0 };
    }
    let ln_x = if y < 0.5 { (-y).ln_1p() } else { x.ln() };
    let ln_y = if x < 0.5 { (-x).ln_1p() } else { y.ln() };
    let front = (a * ln_x + b * ln_y - ln_beta_half(a)).exp();
    match x < (a + 1.0) / (a + b + 2.0) {
        true => front * fraction(a, b, x) / a,
        false => 1.0 - front * fraction(b, a, y) / b,
    }
}

/// Logarithm of the beta function of `a` and 1/2. For large `a` by the asymptotic series of
/// Γ(a + 1/2) / Γ(a) (DLMF 5.11.13): the difference of two logarithms of gamma would lose digits.
fn ln_beta_half(a: f64) -> f64 {
    let ln_gamma_half = 0.5 * std::f64::consts::PI.ln();
    if a < 20.0 {
        return ln_gamma_half + lgamma(a) - lgamma(a + 0.5);
    }
    let r = 1.0 / a;
    let square = r * r;
    let series = r * (-1.0 / 8.0 + square * (1.0 / 192.0 + square * (-1.0 / 640.0 + square * (17.0 / 14336.0))));
    ln_gamma_half - 0.5 * a.ln() - series
}

/// Lentz's evaluation of the continued fraction of the incomplete beta function (DLMF 8.17.22).
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let step = d * c;
        h *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    h
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(found: f64, expected: f64, what: &str) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{what}: {found:e}, expected {expected:e}");
    }

    #[test]
    fn normal_tails_keep_their_digits() {
        // mpmath with 40 digits: erfc(z / sqrt(2))
        let cases = [(1.0, 0.317310507862914), (10.0, 1.523970604832105e-23), (37.0, 1.145114244504915e-299)];
        cases.iter().for_each(|&(z, p)| agree(normal_two_sided(z), p, "normal"));
        assert_eq!(normal_two_sided(f64::INFINITY), 0.0);
    }

    #[test]
    fn student_tails_keep_their_digits() {
        // mpmath with 50 digits: betainc(df/2, 1/2, 0, df/(df+t²), regularized=True)
        let cases = [
            (0.5, 3.0, 0.651447964848151),
            (2.0, 1.0, 0.2951672353008665),
            (2.5, 4.7, 0.057592159346867296),
            (12.0, 2.0, 0.00687293367715846),
            (30.0, 15.25, 5.586060298666674e-15),
            (3.0, 40.0, 0.004630139784156138),
            (5.0, 398.2, 8.609955160412484e-07),
            (36.0, 4321.5, 1.880629650535224e-248),
            (0.001, 1998.0, 0.9992022154013834),
            (8.0, 1500000.0, 1.2450681253628368e-15),
            (1000000.0, 3.0, 2.2053155816792292e-18),
            (0.01, 39.9, 0.9920711211295662),
        ];
        for (t, df, p) in cases {
            agree(student_two_sided(t, df), p, &format!("t {t} df {df}"));
            assert_eq!(student_two_sided(-t, df), student_two_sided(t, df));
        }
        // One degree is Cauchy's distribution, none the certainty of the point.
        agree(student_two_sided(1.0, 1.0), 0.5, "Cauchy");
        agree(student_two_sided(2.0, f64::INFINITY), normal_two_sided(2.0), "infinite");
        assert_eq!(student_two_sided(0.0, 7.0), 1.0);
        assert_eq!(student_two_sided(f64::INFINITY, 7.0), 0.0);
        assert!(student_two_sided(f64::NAN, 7.0).is_nan() && student_two_sided(1.0, f64::NAN).is_nan());
    }
}
