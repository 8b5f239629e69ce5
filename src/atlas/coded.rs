//! A column of cells as codes into its distinct values.
//!
//! Ten million cells have a few hundred distinct labels: everything that is looked up, parsed or
//! compared is done once per distinct value, and cells are grouped by their codes.

use std::collections::HashMap;
use std::hash::Hash;

/// Pairs of distinct values that are found in a table of all there could be (16 MiB) rather than by hashing.
const MOST_LOOKED_UP: usize = 1 << 22;

/// One value per cell, stored as codes into the distinct values, which all occur.
#[derive(Clone, Debug, PartialEq)]
pub struct Coded<T> {
    codes: Vec<u32>,
    values: Vec<T>,
}

impl<T: Eq + Hash + Clone> Coded<T> {
    /// The distinct values in the order of their first cell.
    pub fn new(cells: impl IntoIterator<Item = T>) -> Self {
        let mut known: HashMap<T, u32> = HashMap::new();
        let mut values = Vec::new();
        let code_of = |value: T| {
            *known.entry(value).or_insert_with_key(|value| {
                values.push(value.clone());
                (values.len() - 1) as u32
            })
        };
        let codes = cells.into_iter().map(code_of).collect();
        Self { codes, values }
    }

    /// The same value for every cell.
    pub fn constant(value: T, n_cells: usize) -> Self {
        let values = if n_cells == 0 { vec![] } else { vec![value] };
        Self { codes: vec![0; n_cells], values }
    }

    /// From codes into distinct values, which all occur.
    ///
    /// # Panics
    /// If a code is not the position of a value.
    pub fn from_codes(codes: Vec<u32>, values: Vec<T>) -> Self {
        assert!(codes.iter().all(|&code| (code as usize) < values.len()), "codes are positions of values");
        Self { codes, values }
    }

    /// Applies `f` to every distinct value; values that become equal become one.
    pub fn map<U: Eq + Hash + Clone>(&self, mut f: impl FnMut(&T) -> U) -> Coded<U> {
        let mapped = Coded::new(self.values.iter().map(&mut f));
        let codes = self.codes.iter().map(|&code| mapped.codes[code as usize]).collect();
        Coded { codes, values: mapped.values }
    }

    /// Pairs of values.
    ///
    /// # Panics
    /// If the two have different numbers of cells.
    pub fn zip<U: Eq + Hash + Clone>(&self, other: &Coded<U>) -> Coded<(T, U)> {
        assert_eq!(self.codes.len(), other.codes.len(), "columns of one file have one length");
        let pairs = match self.values.len().checked_mul(other.values.len()) {
            Some(n_pairs) if n_pairs <= MOST_LOOKED_UP => self.pairs_looked_up(other, n_pairs),
            _ => Coded::new(self.codes.iter().copied().zip(other.codes.iter().copied())),
        };
        let value = |&(a, b): &(u32, u32)| (self.values[a as usize].clone(), other.values[b as usize].clone());
        Coded { codes: pairs.codes, values: pairs.values.iter().map(value).collect() }
    }

    /// Pairs of codes, each found by its place in a table of all there could be.
    fn pairs_looked_up<U>(&self, other: &Coded<U>, n_pairs: usize) -> Coded<(u32, u32)> {
        const NEW: u32 = u32::MAX;
        let mut known = vec![NEW; n_pairs];
        let mut values = Vec::new();
        let code_of = |(&a, &b): (&u32, &u32)| {
            let known = &mut known[a as usize * other.values.len() + b as usize];
            if *known == NEW {
                *known = values.len() as u32;
                values.push((a, b));
            }
            *known
        };
        let codes = self.codes.iter().zip(&other.codes).map(code_of).collect();
        Coded { codes, values }
    }

    /// The distinct values.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The value of a cell.
    pub fn value(&self, cell: usize) -> &T {
        &self.values[self.codes[cell] as usize]
    }

    /// Code of every cell, an index into [`Coded::values`].
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// How many cells have each value.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.values.len()];
        for &code in &self.codes {
            counts[code as usize] += 1;
        }
        counts
    }

    /// The first cell with this value, from 0.
    pub fn first_cell(&self, value: &T) -> Option<usize> {
        let code = self.values.iter().position(|v| v == value)? as u32;
        self.codes.iter().position(|&c| c == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_by_first_cell_and_merge_when_mapped() {
        let column = Coded::new(["b", "a", "b", "c"]);
        assert_eq!((column.values(), column.counts()), (&["b", "a", "c"][..], vec![2, 1, 1]));
        let merged = column.map(|v| *v == "b");
        assert_eq!((merged.values(), merged.codes()), (&[true, false][..], &[0, 1, 0, 1][..]));
        let pairs = column.zip(&Coded::new([1, 1, 2, 1]));
        assert_eq!(pairs.values(), [("b", 1), ("a", 1), ("b", 2), ("c", 1)]);
        assert_eq!((column.first_cell(&"c"), column.first_cell(&"d")), (Some(3), None));
    }

    #[test]
    fn few_and_many_pairs_are_found_alike() {
        let column = |n: u32, step: u32| Coded::new((0..20_000).map(move |cell: u32| cell.wrapping_mul(step) % n));
        let (a, b) = (column(2_999, 7), column(3_001, 11));
        assert!(a.values().len() * b.values().len() > MOST_LOOKED_UP);
        let many = a.zip(&b);
        let looked_up = a.pairs_looked_up(&b, a.values().len() * b.values().len());
        assert_eq!(many.codes(), looked_up.codes());
        assert_eq!(Coded::constant("x", 0).values(), [] as [&str; 0]);
    }
}
