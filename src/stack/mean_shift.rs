//! The baseline: query cells moved by the mean difference between the prompt and its control.
//!
//! With L the counts of a cell and x its count of a gene, let ℓ(x) = ln(1 + 10 000 x / L). The shift of gene g is
//!
//! ```text
//! δ_g = mean over prompt cells of ℓ_g − mean over control cells of ℓ_g
//! ```
//!
//! and 0 for a gene that the prompt or the control does not have. A query cell becomes
//!
//! ```text
//! y_g = max(0, ℓ_g + δ_g)        z_g = L (e^{y_g} − 1) / Σ_h (e^{y_h} − 1)
//! ```
//!
//! so its library size L is kept, and z is rounded at random to a whole number with expectation z.
//! A cell without counts stays empty.

use std::collections::HashMap;
use std::io;

use rayon::prelude::*;

use super::generate::Counts;
use super::random::CounterRng;
use super::sample::stochastic_round;
use super::spool::{Budget, Spool, Spooler};

/// Counts per cell after normalisation.
const TARGET_SUM: f64 = 1e4;

/// Cells read at once.
const BLOCK: usize = 1024;

/// Cells with the names of their genes.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'a> {
    /// Names, as many as columns.
    pub genes: &'a [String],
    /// Counts.
    pub counts: &'a Spool,
}

/// Predicted cells.
#[derive(Debug)]
pub struct Shifted {
    /// Query cells × query genes.
    pub counts: Spool,
    /// Query genes that the prompt and the control have too.
    pub n_matched: usize,
}

/// Why there is no shift.
#[derive(Debug, thiserror::Error)]
pub enum ShiftError {
    /// No cells.
    #[error("there are no {0} cells")]
    NoCells(&'static str),
    /// Nothing to shift.
    #[error(
        "no gene of the query is in both the prompt and its control (query: {0}, …); are these gene symbols of the same species?"
    )]
    NoGenes(String),
    /// Cells that do not fit in memory go through scratch files.
    #[error("cells could not be kept in a scratch file: {0}")]
    Scratch(#[from] io::Error),
}

/// Predicts every query cell. Genes are matched by upper-cased symbol; of two columns with one
/// symbol the last counts.
pub fn predict(
    query: Cells,
    prompt: Cells,
    control: Cells,
    counts: Counts,
    seed: u64,
    budget: &Budget,
) -> Result<Shifted, ShiftError> {
    for (cells, what) in [(query, "query"), (prompt, "prompt"), (control, "control")] {
        if cells.counts.n_rows() == 0 {
            return Err(ShiftError::NoCells(what));
        }
    }
    let (prompt, control) = (means(prompt)?, means(control)?);
    let shift = |gene: &String| {
        let symbol = gene.to_uppercase();
        Some(prompt.get(&symbol)? - control.get(&symbol)?)
    };
    let shifts: Vec<Option<f64>> = query.genes.iter().map(shift).collect();
    let n_matched = shifts.iter().flatten().count();
    if n_matched == 0 {
        return Err(ShiftError::NoGenes(query.genes.iter().take(3).cloned().collect::<Vec<_>>().join(", ")));
    }
    let shifts: Vec<f64> = shifts.into_iter().map(Option::unwrap_or_default).collect();
    let mut predicted = Spooler::new(query.counts.n_cols(), budget);
    for start in (0..query.counts.n_rows()).step_by(BLOCK) {
        let block = query.counts.block(start..query.counts.n_rows().min(start + BLOCK))?;
        let library = block.row_sums();
        let row = |row: usize| -> Vec<(u32, f32)> {
            let shifted = shifted(block.row(row), library[row], &shifts);
            let cell = (start + row) as u32;
            let entries = shifted.into_iter().enumerate().map(|(gene, value)| {
                let value = match counts {
                    Counts::Mean => value as f32,
                    // Step 0, which no step of the model uses.
                    Counts::Sampled => stochastic_round(value, &mut CounterRng::new(seed, 0, cell, gene as u32)),
                };
                (gene as u32, value)
            });
            entries.filter(|(_, value)| *value > 0.0).collect()
        };
        let rows: Vec<_> = (0..block.n_rows()).into_par_iter().map(row).collect();
        rows.into_iter().try_for_each(|row| predicted.push(row))?;
    }
    Ok(Shifted { counts: predicted.finish()?, n_matched })
}

/// Mean of ln(1 + CP10k) per upper-cased gene.
fn means(cells: Cells) -> io::Result<HashMap<String, f64>> {
    let n = cells.counts.n_rows();
    let mut sums = vec![0.0; cells.counts.n_cols()];
    for start in (0..n).step_by(BLOCK) {
        let block = cells.counts.block(start..n.min(start + BLOCK))?;
        for (cell, library) in block.row_sums().into_iter().enumerate() {
            let (columns, values) = block.row(cell);
            for (&column, &value) in columns.iter().zip(values) {
                sums[column as usize] += normalised(value, library);
            }
        }
    }
    Ok(cells.genes.iter().zip(sums).map(|(gene, sum)| (gene.to_uppercase(), sum / n as f64)).collect())
}

/// The expected counts of one cell.
fn shifted((columns, values): (&[u32], &[f32]), library: f64, shifts: &[f64]) -> Vec<f64> {
    if library <= 0.0 {
        return vec![0.0; shifts.len()];
    }
    let mut cell = shifts.to_vec();
    for (&column, &value) in columns.iter().zip(values) {
        cell[column as usize] += normalised(value, library);
    }
    cell.iter_mut().for_each(|value| *value = value.max(0.0).exp_m1());
    let sum: f64 = cell.iter().sum();
    if sum > 0.0 {
        cell.iter_mut().for_each(|value| *value *= library / sum);
    }
    cell
}

fn normalised(count: f32, library: f64) -> f64 {
    (f64::from(count) * TARGET_SUM / library).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Csr;

    struct Data(Vec<String>, Spool);

    fn data(genes: &[&str], rows: &[&[f32]]) -> Data {
        let entries = |row: &&[f32]| -> Vec<(u32, f32)> {
            row.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(gene, v)| (gene as u32, *v)).collect()
        };
        let counts = Csr::from_rows(genes.len(), rows.iter().map(entries)).unwrap();
        Data(genes.iter().map(|gene| (*gene).to_owned()).collect(), counts.into())
    }

    fn predicted(
        query: &Data,
        prompt: &Data,
        control: &Data,
        counts: Counts,
        seed: u64,
    ) -> Result<(Csr, usize), ShiftError> {
        fn of(data: &Data) -> Cells<'_> {
            Cells { genes: &data.0, counts: &data.1 }
        }
        let shifted = |budget| predict(of(query), of(prompt), of(control), counts, seed, &budget);
        let (held, spilled) = (shifted(Budget::unlimited())?, shifted(Budget { bytes: 0, ..Budget::unlimited() })?);
        let (held, n_matched) = (held.counts.into_csr()?, held.n_matched);
        assert_eq!(spilled.counts.into_csr()?, held, "files hold what memory does");
        Ok((held, n_matched))
    }

    // By hand. Prompt: one cell (A 3, B 1), ℓ = ln 7501, ln 2501. Control: (A 1, B 1), ℓ = ln 5001 twice.
    // δ_A = ln(7501/5001), δ_B = ln(2501/5001); C is unknown to both, δ_C = 0.
    // Query: (A 2, B 2, C 4), L = 8: e^ℓ = 2501, 2501, 5001, so
    // e^y - 1 = 2501 · 7501/5001 - 1, 2501 · 2501/5001 - 1, 5000.
    #[test]
    fn a_cell_worked_out_by_hand() {
        let query = data(&["A", "b", "C"], &[&[2.0, 2.0, 4.0], &[0.0; 3]]);
        let prompt = data(&["B", "a"], &[&[1.0, 3.0]]);
        let control = data(&["A", "B"], &[&[1.0, 1.0]]);
        let (shifted, n_matched) = predicted(&query, &prompt, &control, Counts::Mean, 0).unwrap();
        assert_eq!(n_matched, 2);
        let odds = [2501.0 * 7501.0 / 5001.0 - 1.0, 2501.0 * 2501.0 / 5001.0 - 1.0, 5000.0];
        let sum: f64 = odds.iter().sum();
        let (genes, values) = shifted.row(0);
        assert_eq!(genes, [0, 1, 2]);
        for (value, odds) in values.iter().zip(odds) {
            assert!((f64::from(*value) - 8.0 * odds / sum).abs() < 1e-6, "{value}");
        }
        assert_eq!(shifted.row(1), (&[][..], &[][..]), "an empty cell stays empty");
    }

    #[test]
    fn without_a_difference_nothing_moves_but_by_rounding() {
        let query = data(&["A", "B"], &[&[5.0, 2.0], &[0.0, 9.0]]);
        let same = data(&["A", "B"], &[&[1.0, 1.0]]);
        let (shifted, _) = predicted(&query, &same, &same, Counts::Mean, 0).unwrap();
        for row in 0..2 {
            let (found, expected) = (shifted.row(row), query.1.in_memory().unwrap().row(row));
            assert_eq!(found.0, expected.0);
            assert!(found.1.iter().zip(expected.1).all(|(f, e)| (f - e).abs() < 1e-5), "{found:?}");
        }
    }

    #[test]
    fn counts_are_whole_and_depend_on_the_seed_only() {
        let query = data(&["A", "B", "C"], &[&[5.0, 2.0, 1.0][..]; 50]);
        let prompt = data(&["A", "B", "C"], &[&[3.0, 1.0, 0.0]]);
        let control = data(&["A", "B", "C"], &[&[1.0, 1.0, 1.0]]);
        let run = |seed| predicted(&query, &prompt, &control, Counts::Sampled, seed).unwrap().0;
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert!(run(1).values().iter().all(|value| value.fract() == 0.0));
    }

    #[test]
    fn nothing_in_common_is_an_error() {
        let query = data(&["A"], &[&[1.0]]);
        let other = data(&["Z"], &[&[1.0]]);
        assert!(matches!(predicted(&query, &query, &other, Counts::Mean, 0), Err(ShiftError::NoGenes(_))));
        let none = data(&["A"], &[]);
        let error = predicted(&query, &query, &none, Counts::Mean, 0);
        assert!(matches!(error, Err(ShiftError::NoCells("control"))));
    }
}
