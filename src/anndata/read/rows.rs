//! Which rows to read: asked for in any order and more than once, read ascending and once.

use std::ops::Range;

/// The rows asked for, ascending and without repeats, and for each asked-for row where it is among them
/// (`None` where that is the order asked for already).
pub(super) fn ascending(rows: &[usize]) -> (Vec<usize>, Option<Vec<usize>>) {
    if rows.windows(2).all(|pair| pair[0] < pair[1]) {
        return (rows.to_vec(), None);
    }
    let mut unique = rows.to_vec();
    unique.sort_unstable();
    unique.dedup();
    let places = rows.iter().map(|row| unique.partition_point(|present| present < row)).collect();
    (unique, Some(places))
}

/// Cuts ascending items into stretches to read at once: neighbours at most `gap` apart, together at most
/// `most` long (a single item may be longer). Gives the items' positions and what they span.
pub(super) fn stretches<T>(
    items: &[T],
    span: impl Fn(&T) -> Range<usize>,
    gap: usize,
    most: usize,
) -> Vec<(Range<usize>, Range<usize>)> {
    let mut stretches: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for (position, item) in items.iter().enumerate() {
        let next = span(item);
        match stretches.last_mut() {
            Some((positions, spanned))
                if next.start.saturating_sub(spanned.end) <= gap && next.end.saturating_sub(spanned.start) <= most =>
            {
                positions.end = position + 1;
                spanned.end = spanned.end.max(next.end);
            }
            _ => stretches.push((position..position + 1, next)),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_becomes_ascending_and_back() {
        let asked = [5, 2, 5, 9];
        let (unique, places) = ascending(&asked);
        assert_eq!(unique, [2, 5, 9]);
        let back: Vec<usize> = places.unwrap().into_iter().map(|place| unique[place]).collect();
        assert_eq!(back, asked);
        assert_eq!(ascending(&[1, 3]), (vec![1, 3], None));
    }

    #[test]
    fn near_neighbours_are_read_together() {
        let one = |row: &usize| *row..*row + 1;
        assert_eq!(stretches(&[1, 2, 4, 20], one, 1, 100), [(0..3, 1..5), (3..4, 20..21)]);
        assert_eq!(stretches(&[0, 1, 2, 3], one, 9, 2), [(0..2, 0..2), (2..4, 2..4)]);
    }
}
