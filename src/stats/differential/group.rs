//! Who is compared with whom.

use super::Test;

/// What a group is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// All other cells.
    Rest,
    /// The cells of one group, by its number.
    Group(u32),
}

/// Labels that do not make a comparison.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesignError {
    /// As many labels as cells are needed.
    #[error("there are {labels} labels for {cells} cells")]
    Labels {
        /// Labels.
        labels: usize,
        /// Cells.
        cells: usize,
    },
    /// A group held against itself.
    #[error("group {0} is both tested and the reference")]
    Itself(u32),
    /// A side with too few cells for the test.
    #[error("group {group} has {found} cells against {reference}; the test needs at least {needed} on either side")]
    TooFew {
        /// The group's number.
        group: u32,
        /// Its cells.
        found: usize,
        /// Cells of the reference.
        reference: usize,
        /// Fewest.
        needed: usize,
    },
}

/// The groups to test, what they are held against, and the cells of all of these.
///
/// Inside, groups have slots: with a reference group that is slot 0 and the tested ones follow; against
/// the rest the tested ones come first, then all other cells together.
#[derive(Clone, Debug)]
pub struct Groups {
    n_labels: usize,
    reference: Reference,
    tested: Vec<u32>,
    /// Rows with their slots, ascending.
    cells: Vec<(usize, u32)>,
    /// Cells by slot.
    sizes: Vec<usize>,
}

impl Groups {
    /// Compares the `tested` groups with the reference. `labels` has the number of each cell's group;
    /// cells without one count only among the rest. A group asked for twice is tested once.
    pub fn new(labels: &[Option<u32>], tested: &[u32], reference: Reference) -> Result<Self, DesignError> {
        let mut kept: Vec<u32> = Vec::new();
        for &group in tested {
            if Reference::Group(group) == reference {
                return Err(DesignError::Itself(group));
            }
            if !kept.contains(&group) {
                kept.push(group);
            }
        }
        let n_numbers = labels.iter().flatten().chain(&kept).max().map_or(0, |&last| last as usize + 1);
        let first = u32::from(reference != Reference::Rest);
        let mut slots: Vec<Option<u32>> = vec![None; n_numbers];
        let others = match reference {
            Reference::Rest => Some(kept.len() as u32),
            Reference::Group(group) => {
                if let Some(slot) = slots.get_mut(group as usize) {
                    *slot = Some(0);
                }
                None
            }
        };
        kept.iter().zip(first..).for_each(|(&group, slot)| slots[group as usize] = Some(slot));
        let slot = |label: &Option<u32>| label.and_then(|group| slots[group as usize]).or(others);
        let cells: Vec<(usize, u32)> =
            labels.iter().enumerate().filter_map(|(row, label)| Some((row, slot(label)?))).collect();
        let mut sizes = vec![0; kept.len() + 1];
        cells.iter().for_each(|&(_, slot)| sizes[slot as usize] += 1);
        Ok(Self { n_labels: labels.len(), reference, tested: kept, cells, sizes })
    }

    /// What the groups are held against.
    pub fn reference(&self) -> Reference {
        self.reference
    }

    /// The tested groups, each with its number of cells and that of its reference.
    pub fn tested(&self) -> impl Iterator<Item = (u32, [usize; 2])> {
        self.tested.iter().copied().zip(self.slots().map(|(_, n_cells)| n_cells))
    }

    /// The slots of the tested groups, with the same numbers of cells.
    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, [usize; 2])> {
        let first = usize::from(self.reference != Reference::Rest);
        (first..first + self.tested.len()).map(|slot| {
            let reference = match self.reference {
                Reference::Rest => self.cells.len() - self.sizes[slot],
                Reference::Group(_) => self.sizes[0],
            };
            (slot, [self.sizes[slot], reference])
        })
    }

    /// Rows with their slots, ascending.
    pub(super) fn cells(&self) -> &[(usize, u32)] {
        &self.cells
    }

    /// Cells by slot.
    pub(super) fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Whether a test can be made of a matrix of so many rows.
    pub(super) fn check(&self, n_rows: usize, test: Test) -> Result<(), DesignError> {
        if self.n_labels != n_rows {
            return Err(DesignError::Labels { labels: self.n_labels, cells: n_rows });
        }
        let needed = match test {
            Test::Wilcoxon(_) => 1,
            Test::TTest(_) => 2,
        };
        match self.tested().find(|(_, n_cells)| n_cells.iter().any(|&n| n < needed)) {
            Some((group, [found, reference])) => Err(DesignError::TooFew { group, found, reference, needed }),
            None => Ok(()),
        }
    }
}
