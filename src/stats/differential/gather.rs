//! The values of a block of genes, gathered by gene from the rows of cells.

use std::ops::Range;

use super::DifferentialError;
use crate::domain::Csr;
use crate::stats::t_test::Moments;
use crate::stats::wilcoxon::{key, of_key};

/// Values gathered at once: 4 MiB of keys stay close to the processor.
const ENTRIES_PER_BLOCK: usize = 1 << 19;

/// Fewest and most genes of a block.
const WIDTHS: [usize; 2] = [32, 1024];

/// How many genes make a block, from how many values the cells have.
pub fn block_width(values: &Csr, cells: &[(usize, u32)]) -> usize {
    let entries: usize = cells.iter().map(|&(row, _)| values.indptr()[row + 1] - values.indptr()[row]).sum();
    let per_gene = (entries / values.n_cols().max(1)).max(1);
    (ENTRIES_PER_BLOCK / per_gene).clamp(WIDTHS[0], WIDTHS[1])
}

/// The keys of the values that are not zero, gene by gene; within a gene in the order of the cells.
#[derive(Default)]
pub struct Gathered {
    /// Where each gene's keys begin.
    starts: Vec<usize>,
    /// Where the next key of each gene goes.
    next: Vec<usize>,
    keys: Vec<u64>,
    /// Where the block begins and ends in each cell's row.
    spans: Vec<Range<usize>>,
}

impl Gathered {
    /// Gathers the values of a block of genes.
    pub fn fill(
        &mut self,
        values: &Csr,
        cells: &[(usize, u32)],
        genes: Range<usize>,
    ) -> Result<(), DifferentialError> {
        let (columns, numbers) = (values.indices(), values.values());
        self.starts.clear();
        self.starts.resize(genes.len() + 1, 0);
        self.spans.clear();
        for &(row, _) in cells {
            let row = values.indptr()[row]..values.indptr()[row + 1];
            let before = |gene: usize| columns[row.clone()].partition_point(|&column| (column as usize) < gene);
            let span = row.start + before(genes.start)..row.start + before(genes.end);
            for at in span.clone() {
                self.starts[columns[at] as usize - genes.start + 1] += usize::from(numbers[at] != 0.0);
            }
            self.spans.push(span);
        }
        for gene in 0..genes.len() {
            self.starts[gene + 1] += self.starts[gene];
        }
        self.next.clone_from(&self.starts);
        self.keys.resize(self.starts[genes.len()], 0);
        for (span, &(_, slot)) in self.spans.iter().zip(cells) {
            for (&column, &value) in columns[span.clone()].iter().zip(&numbers[span.clone()]) {
                if !value.is_finite() {
                    return Err(DifferentialError::NotFinite { gene: column as usize, value });
                }
                if value != 0.0 {
                    let next = &mut self.next[column as usize - genes.start];
                    self.keys[*next] = key(value, slot);
                    *next += 1;
                }
            }
        }
        Ok(())
    }

    /// The keys of a gene of the block.
    pub fn gene_mut(&mut self, gene: usize) -> &mut [u64] {
        &mut self.keys[self.starts[gene]..self.starts[gene + 1]]
    }
}

/// By slot: how many values are not zero, and the moments of all; squares only where they are needed.
pub fn moments(keys: &[u64], sizes: &[usize], squares: bool, nonzero: &mut [usize], moments: &mut [Moments]) {
    nonzero.fill(0);
    moments.fill(Moments::default());
    for &key in keys {
        let (value, slot) = of_key(key);
        nonzero[slot as usize] += 1;
        moments[slot as usize].mean += f64::from(value);
    }
    for ((moments, &n), &nonzero) in moments.iter_mut().zip(sizes).zip(&*nonzero) {
        moments.n = n as f64;
        if n > 0 {
            moments.mean /= moments.n;
        }
        if squares {
            moments.squares = (n - nonzero) as f64 * moments.mean * moments.mean;
        }
    }
    if squares {
        for &key in keys {
            let (value, slot) = of_key(key);
            let moments = &mut moments[slot as usize];
            let deviation = f64::from(value) - moments.mean;
            moments.squares += deviation * deviation;
        }
    }
}
