//! Search: cell sets by what was done to them.

use std::collections::BTreeSet;

use super::controls::same_type;
use super::{Atlas, Error};
use crate::database::cells::Filter;
use crate::domain::cells::CellSet;
use crate::domain::query::StructuredQuery;
use crate::domain::terms::Perturbation;
use crate::knowledge::question::Holdings;

/// Control cells that could be paired with prompts for a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlsHeld {
    /// How many cells.
    pub n_cells: u64,
    /// Their donors, by name.
    pub donors: Vec<String>,
    /// Their labels in the data, by name.
    pub conditions: Vec<String>,
}

impl Atlas {
    /// Every cell set under a perturbation: by its name and ids where the label was resolved, else by
    /// its name or a synonym as the file spells it.
    pub async fn perturbed_by(&self, perturbation: &Perturbation) -> Result<Vec<CellSet>, Error> {
        let names = vec![perturbation.name.clone()];
        let resolved = Filter::Perturbation { names: names.clone(), ids: perturbation.ids.clone() };
        let spelled = names.into_iter().chain(perturbation.synonyms.iter().cloned()).collect();
        let mut sets = self.database.cell_sets(&[Filter::Perturbed, resolved]).await?;
        let spelled = [Filter::Perturbed, Filter::UnresolvedPerturbation(spelled)];
        sets.extend(self.database.cell_sets(&spelled).await?);
        sets.sort_by(|a, b| a.key.cmp(&b.key).then(a.id.cmp(&b.id)));
        sets.dedup_by_key(|set| set.id);
        Ok(sets)
    }

    /// Every control set of some data sets.
    pub async fn controls(&self, mut datasets: Vec<String>) -> Result<Vec<CellSet>, Error> {
        datasets.sort();
        datasets.dedup();
        Ok(self.database.cell_sets(&[Filter::Control, Filter::Datasets(datasets)]).await?)
    }

    /// Every control set there is.
    pub async fn all_controls(&self) -> Result<Vec<CellSet>, Error> {
        Ok(self.database.cell_sets(&[Filter::Control]).await?)
    }

    /// The perturbations cells are held under, by name; unresolved labels are not among them.
    pub async fn perturbations(&self) -> Result<Vec<String>, Error> {
        let sets = self.database.cell_sets(&[Filter::Perturbed]).await?;
        let names: BTreeSet<String> = sets
            .iter()
            .filter_map(|set| set.key.condition.perturbation()?.term.as_ref().map(|term| term.name.clone()))
            .collect();
        Ok(names.into_iter().collect())
    }

    /// Names that only the data know, for reading questions.
    pub async fn holdings(&self) -> Result<Holdings, Error> {
        let sets = self.database.cell_sets(&[]).await?;
        let distinct = |of: &dyn Fn(&CellSet) -> Option<String>| {
            sets.iter().filter_map(of).collect::<BTreeSet<_>>().into_iter().collect()
        };
        Ok(Holdings {
            donors: distinct(&|set| set.key.donor.clone()),
            perturbations: distinct(&|set| Some(set.key.condition.perturbation()?.name().to_owned())),
            datasets: distinct(&|set| Some(set.key.dataset.clone())),
            organisms: self.organisms().await?,
        })
    }

    /// The organisms of the data sets, each once.
    async fn organisms(&self) -> Result<Vec<String>, Error> {
        let datasets = self.database.datasets().await?;
        Ok(datasets
            .into_iter()
            .filter_map(|dataset| dataset.summary.organism)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect())
    }

    /// Controls of the data sets and cell types in which the perturbation of a question was measured,
    /// the asked cell type aside. Empty when the question names no perturbation.
    pub async fn controls_for(&self, query: &StructuredQuery) -> Result<ControlsHeld, Error> {
        let Some(perturbation) = &query.perturbation else { return Ok(ControlsHeld::default()) };
        let mut perturbed = self.perturbed_by(perturbation).await?;
        perturbed.retain(|set| set.key.cell_type_id() != Some(&query.cell_type.id));
        let controls = self.controls(perturbed.iter().map(|set| set.key.dataset.clone()).collect()).await?;
        let fits = |c: &&CellSet| perturbed.iter().any(|p| p.key.dataset == c.key.dataset && same_type(&p.key, &c.key));
        let fitting: Vec<&CellSet> = controls.iter().filter(fits).collect();
        let names = |of: &dyn Fn(&CellSet) -> Option<String>| {
            fitting.iter().filter_map(|set| of(set)).collect::<BTreeSet<_>>().into_iter().collect()
        };
        Ok(ControlsHeld {
            n_cells: fitting.iter().map(|set| set.n_cells).sum(),
            donors: names(&|set| set.key.donor.clone()),
            conditions: names(&|set| match &set.key.condition {
                crate::domain::Condition::Control { label, .. } => label.clone(),
                crate::domain::Condition::Perturbed { .. } => None,
            }),
        })
    }
}
