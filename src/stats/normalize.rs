//! Log-normalisation: counts per ten thousand, then the logarithm of one plus that.

use rayon::prelude::*;

use crate::domain::Csr;

/// Counts each cell is scaled to before the logarithm is taken.
pub const TARGET_SUM: f32 = 1e4;

/// A count that cannot be normalised.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("cell {cell}, gene {gene}: a count of {value} is not a finite number of at least 0")]
pub struct InvalidCount {
    /// Row, from 0.
    pub cell: usize,
    /// Column, from 0.
    pub gene: usize,
    /// What is there.
    pub value: f32,
}

/// `log1p(count / total × 10 000)` for every stored entry, the total taken over all genes of the
/// cell. A cell without counts stays empty.
///
/// Every step is done in `f32` and in the order of scanpy's `normalize_total(target_sum=1e4)` and
/// `log1p`, because the ranks of a later test hang on which values come out equal: the same share
/// of two different totals may or may not round to the same number.
pub fn log1p_cp10k(counts: &Csr) -> Result<Csr, InvalidCount> {
    let values: Vec<Vec<f32>> = (0..counts.n_rows())
        .into_par_iter()
        .map(|cell| {
            let (genes, entries) = counts.row(cell);
            if let Some(at) = entries.iter().position(|&v| !(v.is_finite() && v >= 0.0)) {
                return Err(InvalidCount { cell, gene: genes[at] as usize, value: entries[at] });
            }
            let total = entries.iter().map(|&v| f64::from(v)).sum::<f64>() as f32;
            let scale = if total == 0.0 { 1.0 } else { total / TARGET_SUM };
            Ok(entries.iter().map(|&v| log1p(v / scale)).collect())
        })
        .collect::<Result<_, _>>()?;
    let csr = Csr::new(counts.n_cols(), counts.indptr().to_vec(), counts.indices().to_vec(), values.concat());
    Ok(csr.expect("the structure is that of a valid matrix and each row kept its length"))
}

/// Natural logarithm of `1 + x` for `x ≥ 0`, within 2 units in the last place.
///
/// It has the same bits as NumPy's `float32` `log1p` on processors with AVX-512, where NumPy calls
/// Intel's short vector library (`svml_z0_log1p_s_la`, BSD-3-Clause): `1 + x` is split into
/// `2ⁿ · (1 + r)` with `1 + r` in [2/3, 4/3), and a polynomial of degree 8 gives `ln(1 + r)`. A
/// correctly rounded logarithm differs in one value in twenty; enough to make or break ties, and
/// with them to move a p-value in its third digit away from what scanpy prints.
pub fn log1p(x: f32) -> f32 {
    const TWO_THIRDS: u32 = 0x3f2a_aaab;
    const MANTISSA: u32 = 0x007f_ffff;
    const COEFFICIENTS: [f32; 8] = [
        f32::from_bits(0x3e0d_84ed),
        f32::from_bits(0xbe1a_d9e3),
        f32::from_bits(0x3e0f_cb12),
        f32::from_bits(0xbe28_ad37),
        f32::from_bits(0x3e4c_e190),
        f32::from_bits(0xbe80_058e),
        f32::from_bits(0x3eaa_aa94),
        f32::from_bits(0xbf00_0000),
    ];
    debug_assert!(x >= 0.0, "log1p is for normalised counts");
    let (large, small) = (x.max(1.0), x.min(1.0));
    let high = large + small;
    let low = (large - high) + small;
    let offset = high.to_bits().wrapping_sub(TWO_THIRDS);
    let exponent = (offset as i32) >> 23;
    let scale = f32::from_bits(1.0_f32.to_bits().wrapping_sub((exponent << 23) as u32));
    let mantissa = f32::from_bits((offset & MANTISSA) + TWO_THIRDS);
    let r = (mantissa - 1.0) + low * scale;
    let series = COEFFICIENTS.iter().skip(1).fold(COEFFICIENTS[0], |sum, &c| sum.mul_add(r, c));
    let logarithm = (series * r).mul_add(r, r);
    (exponent as f32).mul_add(std::f32::consts::LN_2, logarithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_is_scaled_to_ten_thousand() {
        let counts = Csr::from_rows(3, [vec![(0, 1.0), (2, 3.0)], vec![], vec![(1, 5.0)]]).unwrap();
        let normal = log1p_cp10k(&counts).unwrap();
        let expected = [2500.0_f64.ln_1p(), 7500.0_f64.ln_1p(), 1e4_f64.ln_1p()];
        for (found, expected) in normal.values().iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!(normal.row(1).0.len(), 0);
    }

    #[test]
    fn what_is_not_a_count_is_refused_with_its_place() {
        for bad in [f32::NAN, f32::INFINITY, -1.0] {
            let counts = Csr::from_rows(2, [vec![(0, 1.0)], vec![(0, 2.0), (1, bad)]]).unwrap();
            let error = log1p_cp10k(&counts).unwrap_err();
            assert_eq!((error.cell, error.gene), (1, 1));
        }
    }

    #[test]
    fn the_logarithm_has_the_bits_of_numpy() {
        // numpy 2.4, AVX-512: np.log1p(np.array([...], dtype=np.float32)).view(np.uint32)
        let cases: [(f32, u32); 11] = [
            (1e-3, 0x3a83_01ab),
            (0.25, 0x3e64_7fbf),
            (0.5, 0x3ecf_9920),
            (1.0, 0x3f31_7218),
            (3.7, 0x3fc6_1687),
            (42.0, 0x4070_b781),
            (2500.0, 0x40fa_61dc),
            (9999.5, 0x4113_5dc2),
            (0.085_016_25, 0x3da7_1b42),
            (0.460_097_52, 0x3ec1_cb2e),
            (2.560_552_6, 0x3fa2_8c9a),
        ];
        for (x, bits) in cases {
            assert_eq!(log1p(x).to_bits(), bits, "log1p({x})");
        }
    }

    #[test]
    fn the_logarithm_stays_within_two_units_in_the_last_place() {
        let mut x = 1e-7_f32;
        while x < 1e7 {
            let exact = f64::from(x).ln_1p() as f32;
            assert!(log1p(x).to_bits().abs_diff(exact.to_bits()) <= 2, "log1p({x})");
            x *= 1.000_37;
        }
        assert_eq!(log1p(0.0), 0.0);
    }
}
