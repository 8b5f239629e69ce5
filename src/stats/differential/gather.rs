//! The values of a block of genes, gathered by gene from the rows of cells.

use std::ops::Range;

use super::DifferentialError;
use crate::domain::Csr;
use crate::stats::t_test::Moments;
use crate::stats::wilcoxon::{key, of_key};

/// Values gathered at once by one thread, about: 64 MiB of keys. The fewest genes of a block may have more,
/// 150 MiB where each of 32 has a value in 600 000 cells.
const ENTRIES_PER_BLOCK: usize = 1 << 23;

/// Fewest and most genes of a block. Many, as each block goes through all cells; not too many, as each
/// gene's keys are written at a place of their own.
const WIDTHS: [usize; 2] = [32, 512];

/// How many genes make a block, from how many values the cells have.
pub fn block_width(values: &Csr, cells: &[(usize, u32)]) -> usize {
    let entries: usize = cells.iter().map(|&(row, _)| values.indptr()[row + 1] - values.indptr()[row]).sum();
    let per_gene = (entries / values.n_cols().max(1)).max(1);
    (ENTRIES_PER_BLOCK / per_gene).clamp(WIDTHS[0], WIDTHS[1])
}

/// The keys of the values that are not zero, gene by gene; within a gene in the order of the cells.
#[derive(Default)]
pub struct Gathered {
    /// The first gene after the block.
    end: usize,
    /// Where that is, or the gene after it, in each cell's row.
    ends: Vec<usize>,
    /// Where each gene's keys begin.
    starts: Vec<usize>,
    /// Where the next key of each gene goes.
    next: Vec<usize>,
    keys: Vec<u64>,
}

impl Gathered {
    /// Gathers the values of a block of genes.
    pub fn fill(&mut self, values: &Csr, cells: &[(usize, u32)], genes: Range<usize>) -> Result<(), DifferentialError> {
        let (columns, numbers) = (values.indices(), values.values());
        if self.end != genes.start || self.ends.len() != cells.len() {
            self.find(values, cells, genes.start);
        }
        self.starts.clear();
        self.starts.resize(genes.len() + 1, 0);
        let end_of = |row: usize| values.indptr()[row + 1];
        let inside = |at: usize, row: usize| {
            let last = genes.end as u32;
            columns[at..end_of(row)].iter().take_while(move |&&column| column < last)
        };
        for (&(row, _), &begin) in cells.iter().zip(&self.ends) {
            inside(begin, row).for_each(|&column| self.starts[column as usize - genes.start + 1] += 1);
        }
        for gene in 0..genes.len() {
            self.starts[gene + 1] += self.starts[gene];
        }
        self.next.clone_from(&self.starts);
        self.keys.resize(self.starts[genes.len()], 0);
        for (&(row, slot), end) in cells.iter().zip(&mut self.ends) {
            let begin = *end;
            for (&column, &value) in inside(begin, row).zip(&numbers[begin..]) {
                if !value.is_finite() {
                    return Err(DifferentialError::NotFinite { gene: column as usize, value });
                }
                *end += 1;
                // A zero that is stored counts as one that is not.
                if value != 0.0 {
                    let next = &mut self.next[column as usize - genes.start];
                    self.keys[*next] = key(value, slot);
                    *next += 1;
                }
            }
        }
        self.end = genes.end;
        Ok(())
    }

    /// Finds a gene, or the one after it, in each row.
    fn find(&mut self, values: &Csr, cells: &[(usize, u32)], gene: usize) {
        let place = |&(row, _): &(usize, u32)| {
            let (begin, end) = (values.indptr()[row], values.indptr()[row + 1]);
            begin + values.indices()[begin..end].partition_point(|&column| (column as usize) < gene)
        };
        self.ends.clear();
        self.ends.extend(cells.iter().map(place));
    }

    /// The keys of a gene of the block.
    pub fn gene_mut(&mut self, gene: usize) -> &mut [u64] {
        &mut self.keys[self.starts[gene]..self.next[gene]]
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
