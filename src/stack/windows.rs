//! Which cells make up each window.

use super::random::Mersenne;
use super::schedule::Split;

/// A window of an in-context pass: base cells, then query cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows of the prompt file; repeats are normal when it has few cells.
    pub base: Vec<usize>,
    /// Rows of the query file.
    pub query: Vec<usize>,
    /// How many of `query` are predicted; the rest only fill the window.
    pub n_real: usize,
}

/// The windows of one in-context pass.
///
/// Base cells are dealt in turn from one permutation of all of them, starting over when it is
/// used up. Query cells come in order; a short last window is filled with the first ones. Where
/// there are fewer query cells than a window takes they are repeated in turn, a case in which the
/// reference fails.
///
/// # Panics
/// If there are no base cells or no query cells.
pub fn in_context(n_base_total: usize, n_query_total: usize, split: &Split, seed: u64) -> Vec<Window> {
    assert!(n_base_total > 0 && n_query_total > 0, "windows need base and query cells");
    let order = Mersenne::new(seed).permutation(n_base_total);
    let mut dealt = order.iter().copied().cycle();
    let mut windows = Vec::with_capacity(n_query_total.div_ceil(split.n_query));
    for start in (0..n_query_total).step_by(split.n_query) {
        let end = n_query_total.min(start + split.n_query);
        let filler = (0..n_query_total).cycle().take(split.n_query - (end - start));
        windows.push(Window {
            base: dealt.by_ref().take(split.n_base).collect(),
            query: (start..end).chain(filler).collect(),
            n_real: end - start,
        });
    }
    windows
}

/// Rows of each window when all cells are taken in order, as for embeddings.
///
/// A short last window is filled with draws, with replacement, from its own rows. The fill is not
/// cosmetic: the real cells of the window attend to it.
pub fn in_order(n_rows: usize, n_cells: usize, seed: u64) -> Vec<Vec<usize>> {
    let rows: Vec<usize> = (0..n_rows).collect();
    let mut windows: Vec<Vec<usize>> = rows.chunks(n_cells).map(<[usize]>::to_vec).collect();
    if let Some(last) = windows.last_mut() {
        let real = last.clone();
        let fill = Mersenne::new(seed).choice(real.len(), n_cells - real.len());
        last.extend(fill.into_iter().map(|i| real[i]));
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(n_cells: usize, n_query: usize) -> Split {
        Split { n_cells, n_prompt: 1, n_context: 1, n_base: n_cells - n_query, n_query }
    }

    #[test]
    fn base_cells_are_dealt_in_turn_and_the_last_window_is_filled_from_the_start() {
        let windows = in_context(5, 7, &split(7, 3), 0);
        assert_eq!(windows.len(), 3);
        let order = Mersenne::new(0).permutation(5);
        let dealt: Vec<usize> = windows.iter().flat_map(|window| window.base.clone()).collect();
        assert_eq!(dealt, order.iter().copied().cycle().take(12).collect::<Vec<_>>());
        assert_eq!((&windows[2].query[..], windows[2].n_real), (&[6, 0, 1][..], 1));
    }

    #[test]
    fn fewer_query_cells_than_a_window_takes_are_repeated() {
        let windows = in_context(2, 2, &split(9, 7), 0);
        assert_eq!((&windows[0].query[..], windows[0].n_real), (&[0, 1, 0, 1, 0, 1, 0][..], 2));
    }

    #[test]
    fn the_last_window_is_filled_from_its_own_rows() {
        let windows = in_order(5, 4, 0);
        assert_eq!(windows, [vec![0, 1, 2, 3], vec![4, 4, 4, 4]]);
        assert_eq!(in_order(4, 4, 0).len(), 1);
        assert!(in_order(0, 4, 0).is_empty());
    }
}
