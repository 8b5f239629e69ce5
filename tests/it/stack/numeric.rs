//! Generators, rounding, schedules, quantiles and draws against numpy and scvi.

use haystack::domain::inference::{Mode, Sampling};
use haystack::stack::random::{CounterRng, Mersenne};
use haystack::stack::sample::negative_binomial;
use haystack::stack::schedule::{self, ContextRatio, Split};
use rayon::prelude::*;

use super::reference::{Tensors, json, rows};
use crate::support::fixture;

#[test]
fn the_legacy_generator_of_numpy() {
    let cases = json(&fixture("stack/numeric/numpy_legacy_rng.json"));
    let cases = cases.as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let (seed, n) = (case["seed"].as_u64().unwrap(), case["n"].as_u64().unwrap() as usize);
        assert_eq!(Mersenne::new(seed).permutation(n), rows(&case["permutation"]), "seed {seed}, n {n}");
        let choice = rows(&case["choice_replace_20"]);
        assert_eq!(Mersenne::new(seed).choice(n, choice.len()), choice, "seed {seed}, n {n}");
    }
    println!("{} generator cases exact", cases.len());
}

#[test]
fn thresholds_are_numpys_float32_quantiles() {
    let cases = json(&fixture("stack/numeric/quantile_cases.json"));
    let cases = cases.as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let values: Vec<f32> = case["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
        let n_total = case["n_total"].as_u64().unwrap() as usize;
        let mask_rate = case["mask_rate"].as_f64().unwrap() as f32;
        let threshold = schedule::threshold(&values, n_total, mask_rate).unwrap();
        assert_eq!(threshold, case["threshold"].as_f64().unwrap() as f32, "{n_total} {mask_rate}");
        let kept = values.iter().filter(|value| **value > threshold).count();
        assert_eq!(kept as u64, case["kept"].as_u64().unwrap());
    }
    println!("{} quantile cases exact", cases.len());
}

#[test]
fn ratios_round_to_the_same_cells() {
    let cases = json(&fixture("stack/numeric/ratio_rounding.json"));
    let cases = cases.as_array().unwrap();
    let (mut single, mut double) = (0, 0);
    for case in cases {
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let context = match case["context_ratio_f64"].as_f64() {
            Some(ratio) => {
                double += 1;
                ContextRatio::Double(ratio)
            }
            None => {
                single += 1;
                ContextRatio::Single(case["context_ratio_f32"].as_f64().unwrap() as f32)
            }
        };
        let split = Split::new(number("n_cells"), case["prompt"].as_f64().unwrap(), context).unwrap();
        let found = (split.n_query, split.n_base, split.n_prompt, split.n_context);
        let expected =
            (number("n_test_cells"), number("n_base_cells"), number("n_kept_cell"), number("n_context_cell"));
        assert_eq!(found, expected, "{case}");
    }
    assert!(single > 0 && double > 0);
    println!("{single} float32 and {double} float64 roundings exact");
}

#[test]
fn schedules_are_those_of_numpy() {
    let cases = json(&fixture("stack/numeric/schedules.json"));
    for case in cases.as_array().unwrap() {
        let diffusion_steps = case["num_steps"].as_u64().unwrap() as u32;
        let steps = schedule::steps(&Sampling { mode: Mode::Mdm, diffusion_steps, ..Sampling::default() }).unwrap();
        let floats = |key: &str| -> Vec<f32> {
            case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
        };
        assert_eq!(steps.iter().map(|s| s.mask_rate).collect::<Vec<_>>(), floats("mask_rate"));
        let ratios: Vec<ContextRatio> = floats("context_ratio").into_iter().map(ContextRatio::Single).collect();
        assert_eq!(steps.iter().map(|s| s.context_ratio).collect::<Vec<_>>(), ratios, "{diffusion_steps} steps");
    }
}

/// Mean and variance of our draws against the parameters, and the whole histogram against
/// draws of the reference.
///
/// With n draws of variance v and fourth central moment m4, the mean has standard error √(v/n) and
/// the variance √((m4 − v²)/n), where m4 = 3v² + v(1 + 6(mean/θ)(1 + mean/θ)) for a negative
/// binomial. Histograms are compared by a two-sample χ² over cells of at least 20 expected.
#[test]
fn draws_follow_the_negative_binomial() {
    let stored = Tensors::load(&fixture("stack/numeric/nb_draws.safetensors"));
    let (means, thetas) = (stored.values("mu"), stored.values("theta"));
    let histograms = stored.integers("hist_0_62_and_63plus");
    let n_bins = stored.shape("hist_0_62_and_63plus")[1];
    let n = 20_000_u32;
    let (mut worst_mean, mut worst_variance, mut worst_histogram) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (case, ((&mean, &theta), reference)) in means.iter().zip(&thetas).zip(histograms.chunks(n_bins)).enumerate() {
        let draw =
            |cell: u32| f64::from(negative_binomial(mean, theta, &mut CounterRng::new(20, 1, cell, case as u32)));
        let counts: Vec<f64> = (0..n).into_par_iter().map(draw).collect();
        assert!(counts.iter().all(|c| *c >= 0.0 && c.fract() == 0.0));
        let (mu, theta) = (f64::from(mean), f64::from(theta));
        let variance = mu + mu * mu / theta;
        if mu == 0.0 {
            assert!(counts.iter().all(|c| *c == 0.0));
            continue;
        }
        let n = f64::from(n);
        let sample_mean = counts.iter().sum::<f64>() / n;
        let sample_variance = counts.iter().map(|c| (c - mu).powi(2)).sum::<f64>() / n;
        let ratio = mu / theta;
        let fourth = 3.0 * variance.powi(2) + variance * (1.0 + 6.0 * ratio * (1.0 + ratio));
        let z_mean = (sample_mean - mu) / (variance / n).sqrt();
        let z_variance = (sample_variance - variance) / ((fourth - variance.powi(2)) / n).sqrt();
        // Where almost every draw is 0 neither statistic is near normal; the histogram judges those.
        if mu * theta.min(1.0) * n > 500.0 {
            worst_mean = worst_mean.max(z_mean.abs());
            worst_variance = worst_variance.max(z_variance.abs());
            assert!(z_mean.abs() < 5.0, "mean {mu} theta {theta}: mean {sample_mean}, z {z_mean}");
            assert!(z_variance.abs() < 6.0, "mean {mu} theta {theta}: variance {sample_variance}, z {z_variance}");
        }
        let mut ours = vec![0_i64; reference.len()];
        counts.iter().for_each(|&c| ours[(c as usize).min(63)] += 1);
        let (statistic, freedom) = chi_square(&ours, reference);
        let z = (statistic - freedom) / (2.0 * freedom).sqrt().max(1.0);
        worst_histogram = worst_histogram.max(z);
        assert!(z < 6.0, "mean {mu} theta {theta}: chi-square {statistic} on {freedom}");
    }
    println!(
        "worst of {} cases: mean {worst_mean:.2} se, variance {worst_variance:.2} se, histogram {worst_histogram:.2} se",
        means.len()
    );
}

/// Two-sample χ² of equally many draws; neighbouring bins are joined until they hold enough.
fn chi_square(a: &[i64], b: &[i64]) -> (f64, f64) {
    let (mut statistic, mut bins, mut left, mut right) = (0.0, 0, 0, 0);
    for (x, y) in a.iter().zip(b) {
        left += x;
        right += y;
        if left + right >= 40 {
            statistic += ((left - right) as f64).powi(2) / (left + right) as f64;
            bins += 1;
            (left, right) = (0, 0);
        }
    }
    (statistic, (bins - 1).max(0) as f64)
}
