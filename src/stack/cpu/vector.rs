//! Elementwise mathematics in `f32`, in the vectors of the processor at hand.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

use pulp::{Arch, Scalar, Simd, WithSimd};

use crate::stack::model::LAYER_NORM_EPSILON;

/// e^x for x ≤ 88, with an error of 1 unit in the last place or so; e^-87.3 for all that is smaller. Of what is
/// not a number nothing else comes.
///
/// x = n ln 2 + r, |r| ≤ ln 2 / 2; e^r is a polynomial of least relative error (3e-9, fitted by
/// weighted least squares on Chebyshev nodes).
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // A maximum would take the limit where x is not a number.
    let least = simd.splat_f32s(-87.3);
    let x = simd.select_f32s(simd.less_than_f32s(x, least), least, x);
    // Adding 1.5 · 2^23 rounds to a whole number, which then is in the low bits.
    let round = simd.splat_f32s(12_582_912.0);
    let shifted = simd.mul_add_e_f32s(x, simd.splat_f32s(LOG2_E), round);
    let n = simd.sub_f32s(shifted, round);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(2.121_944_4e-4), r);
    let p = [1.381_459_1e-3, 8.368_717_5e-3, 4.166_839e-2, 0.166_665_21, 0.499_999_94, 1.0, 1.0];
    let p = polynomial(simd, r, p);
    let power = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.mul_f32s(p, simd.transmute_f32s_u32s(simd.add_u32s(power, simd.splat_u32s(0x3f80_0000))))
}

/// The exact GELU, x Φ(x) = x (1 + erf(x / √2)) / 2.
///
/// erf(z) is z P(z²) / Q(z²) on |z| ≤ 3.925 and ±1 beyond, of relative error 2e-8 (fitted like
/// [`exp`]), 3e-7 as computed.
#[inline(always)]
pub fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let z = clamp(simd, simd.mul_f32s(x, simd.splat_f32s(FRAC_1_SQRT_2)), 3.925);
    let t = simd.mul_f32s(z, z);
    let p = [2.046_02e-6, 2.848_266e-4, 3.772_089_5e-3, 5.276_787e-2, 0.190_583_97, FRAC_2_SQRT_PI];
    let q = [3.804_68e-5, 1.163_733_4e-3, 1.498_228_6e-2, 0.114_178_55, 0.502_233_4, 1.0];
    let erf = simd.div_f32s(simd.mul_f32s(z, polynomial(simd, t, p)), polynomial(simd, t, q));
    let half = simd.mul_f32s(x, simd.splat_f32s(0.5));
    simd.mul_add_e_f32s(half, clamp(simd, erf, 1.0), half)
}

/// To ±limit.
#[inline(always)]
fn clamp<S: Simd>(simd: S, x: S::f32s, limit: f32) -> S::f32s {
    simd.min_f32s(simd.max_f32s(x, simd.splat_f32s(-limit)), simd.splat_f32s(limit))
}

/// By Horner's rule, the highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::f32s, coefficients: [f32; N]) -> S::f32s {
    let mut p = simd.splat_f32s(coefficients[0]);
    for coefficient in &coefficients[1..] {
        p = simd.mul_add_e_f32s(p, x, simd.splat_f32s(*coefficient));
    }
    p
}

/// Has the second-level cache fetch numbers that are needed soon.
#[inline]
pub fn fetch(x: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in x.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint, whatever the address.
        #[expect(unsafe_code, reason = "the instruction takes a pointer")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }
}

/// x ← x + y.
pub fn add(x: &mut [f32], y: &[f32]) {
    Arch::new().dispatch(|| x.iter_mut().zip(y).for_each(|(x, y)| *x += y));
}

/// x ← GELU(x + bias).
pub fn gelu_of_sum(x: &mut [f32], bias: &[f32]) {
    add(x, bias);
    Arch::new().dispatch(Gelu(x));
}

struct Gelu<'a>(&'a mut [f32]);

impl WithSimd for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (vectors, rest) = S::as_mut_simd_f32s(self.0);
        for x in vectors {
            *x = gelu(simd, *x);
        }
        for x in rest {
            *x = gelu(Scalar::new(), *x);
        }
    }
}

/// x ← softmax(scale x).
pub fn softmax(x: &mut [f32], scale: f32) {
    Arch::new().dispatch(Softmax { x, scale });
}

struct Softmax<'a> {
    x: &'a mut [f32],
    scale: f32,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (vectors, rest) = S::as_mut_simd_f32s(self.x);
        let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
        for x in vectors.iter() {
            largest = simd.max_f32s(largest, *x);
        }
        let largest = rest.iter().copied().fold(simd.reduce_max_f32s(largest), f32::max);
        let (shift, scale) = (simd.splat_f32s(largest), simd.splat_f32s(self.scale));
        let mut total = simd.splat_f32s(0.0);
        for x in vectors.iter_mut() {
            *x = exp(simd, simd.mul_f32s(simd.sub_f32s(*x, shift), scale));
            total = simd.add_f32s(total, *x);
        }
        for x in rest.iter_mut() {
            *x = exp(Scalar::new(), (*x - largest) * self.scale);
        }
        let share = 1.0 / (simd.reduce_sum_f32s(total) + rest.iter().sum::<f32>());
        self.x.iter_mut().for_each(|x| *x *= share);
    }
}

/// x ← LN(x + y), normalised over the slice, with weight and bias; the variance is the biased one.
pub fn add_and_normalise(x: &mut [f32], y: &[f32], weight: &[f32], bias: &[f32]) {
    Arch::new().dispatch(Normalise { x, y, weight, bias });
}

struct Normalise<'a> {
    x: &'a mut [f32],
    y: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, y, weight, bias } = self;
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        let n = x.len() as f32;
        let (vectors, rest) = S::as_simd_f32s(x);
        let mut total = simd.splat_f32s(0.0);
        for x in vectors {
            total = simd.add_f32s(total, *x);
        }
        let mean = (simd.reduce_sum_f32s(total) + rest.iter().sum::<f32>()) / n;
        let mut squares = simd.splat_f32s(0.0);
        for x in vectors {
            let off = simd.sub_f32s(*x, simd.splat_f32s(mean));
            squares = simd.mul_add_e_f32s(off, off, squares);
        }
        let squares = simd.reduce_sum_f32s(squares) + rest.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
        let scale = 1.0 / (squares / n + LAYER_NORM_EPSILON).sqrt();
        for ((x, weight), bias) in x.iter_mut().zip(weight).zip(bias) {
            *x = (*x - mean) * scale * weight + bias;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Each<'a>(&'a mut [f32], bool);

    impl WithSimd for Each<'_> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let f = |x| if self.1 { exp(simd, x) } else { gelu(simd, x) };
            S::as_mut_simd_f32s(self.0).0.iter_mut().for_each(|x| *x = f(*x));
        }
    }

    #[test]
    fn exponentials_are_those_of_the_library() {
        let x: Vec<f32> = (-87_000..87_000).map(|i| i as f32 * 1e-3).collect();
        let (mut wide, mut scalar) = (x.clone(), x.clone());
        Arch::new().dispatch(Each(&mut wide, true));
        scalar.iter_mut().for_each(|x| *x = exp(Scalar::new(), *x));
        for found in [wide, scalar] {
            for (found, x) in found.into_iter().zip(&x) {
                let expected = f64::from(*x).exp();
                let error = (f64::from(found) / expected - 1.0).abs();
                assert!(error < 2e-7, "exp({x}) = {found}, not {expected}");
            }
        }
        assert_eq!(exp(Scalar::new(), 0.0), 1.0);
        assert!(exp(Scalar::new(), f32::NEG_INFINITY) < 1.3e-38);
    }

    // libm's erf is that of FreeBSD, in double precision.
    #[test]
    fn gelu_is_the_exact_one() {
        let x: Vec<f32> = (-8_000..8_000).map(|i| i as f32 * 1e-3).collect();
        let mut found = x.clone();
        Arch::new().dispatch(Each(&mut found, false));
        for (found, x) in found.into_iter().zip(x) {
            let expected = 0.5 * f64::from(x) * (1.0 + libm::erf(f64::from(x) / 2.0_f64.sqrt()));
            let error = (f64::from(found) - expected).abs();
            assert!(error < 2.5e-7 * f64::from(x.abs()).max(1e-3), "gelu({x}) = {found}, not {expected}");
        }
    }

    // By hand: mean 2, variance 2/3; weights 1, 2, 3 and biases 0, 0, 1.
    #[test]
    fn a_row_is_normalised() {
        let mut x = [0.5, 1.0, 1.5];
        add_and_normalise(&mut x, &[0.5, 1.0, 1.5], &[1.0, 2.0, 3.0], &[0.0, 0.0, 1.0]);
        let s = (1.0_f32 / (2.0 / 3.0 + LAYER_NORM_EPSILON)).sqrt();
        for (found, expected) in x.iter().zip([-s, 0.0, 3.0 * s + 1.0]) {
            assert!((found - expected).abs() < 1e-6, "{x:?}");
        }
    }

    #[test]
    fn a_softmax_sums_to_one_whatever_its_length() {
        for n in [1, 15, 16, 17, 100] {
            let mut x: Vec<f32> = (0..n).map(|i| (i % 7) as f32).collect();
            let total: f64 = x.iter().map(|&x| f64::from(2.0 * x).exp()).sum();
            let expected: Vec<f64> = x.iter().map(|&x| f64::from(2.0 * x).exp() / total).collect();
            softmax(&mut x, 2.0);
            for (found, expected) in x.iter().zip(expected) {
                assert!((f64::from(*found) / expected - 1.0).abs() < 1e-6, "{n}: {found} {expected}");
            }
        }
    }
}
