//! What a prediction says: changed genes, enriched sets, active factors, and how it compares with
//! cells that were really measured. And the result of a run made of these.

use serde::{Deserialize, Serialize};

use super::run::{ControlStrategy, TerminationReason};
use super::score::{Grounding, Hundredths};
use super::terms::Direction;

/// What counts as a differentially expressed gene.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// Smallest absolute log2 fold change.
    pub min_log2_fold_change: f64,
    /// Largest adjusted p-value, of genes and of gene sets.
    pub max_adjusted_p_value: f64,
    /// Fewest cells on either side.
    pub min_cells: usize,
}

impl Default for Criteria {
    fn default() -> Self {
        Self { min_log2_fold_change: 0.5, max_adjusted_p_value: 0.05, min_cells: 10 }
    }
}

/// How one gene differs between treated and control cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneChange {
    /// As the matrix spells it.
    pub gene: String,
    /// Of mean log-normalised expression, as scanpy computes it.
    pub log2_fold_change: f64,
    /// Standard score of the rank sum; positive where treated cells have more.
    pub score: f64,
    /// Two-sided.
    pub p_value: f64,
    /// By Benjamini and Hochberg over all genes.
    pub adjusted_p_value: f64,
    /// Mean log-normalised expression of the treated cells.
    pub mean_treatment: f64,
    /// Mean log-normalised expression of the control cells.
    pub mean_control: f64,
    /// Share of treated cells with the gene, 0 to 1.
    pub share_treatment: f64,
    /// Share of control cells with the gene, 0 to 1.
    pub share_control: f64,
    /// The direction if the gene meets the criteria, else absent.
    pub differential: Option<Direction>,
}

impl GeneChange {
    /// The gene's symbol; see [`gene_symbol`].
    pub fn symbol(&self) -> &str {
        gene_symbol(&self.gene)
    }
}

/// A gene's symbol without the Ensembl id that some files add to it to tell twins apart:
/// `PSMB9_ENSG00000240065` is `PSMB9`.
pub fn gene_symbol(gene: &str) -> &str {
    let accession = |id: &str| {
        let digits = id.strip_prefix("ENSG").or_else(|| id.strip_prefix("ENSMUSG"));
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    gene.split_once('_').filter(|(_, id)| accession(id)).map_or(gene, |(symbol, _)| symbol)
}

/// A gene set that holds more of the changed genes than chance would put there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnrichedSet {
    /// Where the set is from, such as `Reactome`.
    pub collection: String,
    /// Its name as imported.
    pub name: String,
    /// Changed genes in the set.
    pub overlap: usize,
    /// Measured genes in the set.
    pub set_size: usize,
    /// Hypergeometric.
    pub p_value: f64,
    /// By Benjamini and Hochberg within the collection.
    pub adjusted_p_value: f64,
    /// Of the 2 × 2 table, 0.5 added to each cell.
    pub odds_ratio: f64,
    /// `-ln(p) × odds ratio`.
    pub combined_score: f64,
    /// The changed genes in the set, strongest change first.
    pub genes: Vec<String>,
}

/// A transcription factor whose targets changed together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegulonActivity {
    /// Symbol of the factor.
    pub factor: String,
    /// Up: targets change as if it were active. Down: as if it were shut off.
    pub direction: Direction,
    /// Targets that changed in that direction.
    pub overlap: usize,
    /// Measured targets.
    pub n_targets: usize,
    /// Hypergeometric, over genes with a direction.
    pub p_value: f64,
    /// By Benjamini and Hochberg over all factors and both directions.
    pub adjusted_p_value: f64,
    /// The targets that changed in that direction, strongest change first.
    pub genes: Vec<String>,
}

/// A prediction, evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What counted as differentially expressed.
    pub criteria: Criteria,
    /// Treated cells.
    pub n_treatment: usize,
    /// Control cells.
    pub n_control: usize,
    /// Every gene, largest score first.
    pub changes: Vec<GeneChange>,
    /// Sets with any of the genes that rise, smallest p-value first.
    pub enriched_up: Vec<EnrichedSet>,
    /// Sets with any of the genes that fall, smallest p-value first.
    pub enriched_down: Vec<EnrichedSet>,
    /// Factors with any target changed, each in its likelier direction, smallest p-value first.
    pub factors: Vec<RegulonActivity>,
    /// The score.
    pub grounding: Grounding,
}

impl Evaluation {
    /// Genes that rise, largest score first.
    pub fn up(&self) -> impl Iterator<Item = &GeneChange> {
        self.changes.iter().filter(|change| change.differential == Some(Direction::Up))
    }

    /// Genes that fall, most negative score first.
    pub fn down(&self) -> impl Iterator<Item = &GeneChange> {
        self.changes.iter().rev().filter(|change| change.differential == Some(Direction::Down))
    }

    /// Number of differentially expressed genes.
    pub fn n_differential(&self) -> usize {
        self.changes.iter().filter(|change| change.differential.is_some()).count()
    }

    /// Sets that meet the criteria in either direction, smallest p-value first. A set found in both
    /// directions is listed twice.
    pub fn enriched(&self) -> Vec<(Direction, &EnrichedSet)> {
        let limit = self.criteria.max_adjusted_p_value;
        let meets = move |set: &&EnrichedSet| set.adjusted_p_value < limit;
        let up = self.enriched_up.iter().filter(meets).map(|set| (Direction::Up, set));
        let down = self.enriched_down.iter().filter(meets).map(|set| (Direction::Down, set));
        let mut sets: Vec<_> = up.chain(down).collect();
        sets.sort_by(|(_, a), (_, b)| by_p_value(a, b));
        sets
    }

    /// Factors that meet the criteria as active, smallest p-value first.
    pub fn activated_factors(&self) -> impl Iterator<Item = &RegulonActivity> {
        let limit = self.criteria.max_adjusted_p_value;
        self.factors.iter().filter(move |f| f.direction == Direction::Up && f.adjusted_p_value < limit)
    }
}

/// Smallest p-value first; where they are equal (0 and 0), the larger combined score, then the name.
pub fn by_p_value(a: &EnrichedSet, b: &EnrichedSet) -> std::cmp::Ordering {
    a.p_value
        .total_cmp(&b.p_value)
        .then_with(|| b.combined_score.total_cmp(&a.combined_score))
        .then_with(|| a.name.cmp(&b.name))
}

/// How well a predicted response matches a measured one. Responses are differences of mean
/// log-normalised expression on the scale of log2, over the genes both have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Pearson correlation over all genes; absent where one side does not vary.
    pub pearson: Option<f64>,
    /// Spearman correlation over all genes.
    pub spearman: Option<f64>,
    /// Pearson correlation over the genes with the largest measured response.
    pub pearson_top: Option<f64>,
    /// Spearman correlation over the genes with the largest measured response.
    pub spearman_top: Option<f64>,
    /// Of the genes with the largest measured response, the share whose predicted sign is right.
    pub direction_top: f64,
    /// How many of the genes with the largest measured response are among as many with the largest
    /// predicted one.
    pub overlap_top: usize,
    /// Root mean square error over the genes with the largest measured response.
    pub rmse_top: f64,
}

/// The prediction held against cells that were kept out of the prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredComparison {
    /// Measured treated cells.
    pub n_treatment: usize,
    /// Measured control cells.
    pub n_control: usize,
    /// Genes that all of them have.
    pub n_genes: usize,
    /// How many genes count as those with the largest measured response: 50, or all if fewer.
    pub n_top: usize,
    /// The answer.
    pub answer: Agreement,
    /// The baseline.
    pub baseline: Agreement,
}

/// The figures shown of the answer and, beside it, of the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The score, 1 to 10; absent if no component could be measured.
    pub score: Option<u32>,
    /// The composite it was rounded from.
    pub composite: Option<Hundredths>,
    /// Differentially expressed genes.
    pub n_de_genes: usize,
    /// Up to twenty genes that rise, clearest first: those with the largest score of the rank sum.
    pub top_upregulated: Vec<GeneChange>,
    /// Up to twenty genes that fall, clearest first: those with the most negative score.
    pub top_downregulated: Vec<GeneChange>,
    /// Up to twenty enriched sets, with the direction of their genes.
    pub enriched_pathways: Vec<DirectedSet>,
    /// Up to twenty activated transcription factors.
    pub activated_tfs: Vec<RegulonActivity>,
}

/// An enriched set with the direction of the genes it was found for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectedSet {
    /// Up or down.
    pub direction: Direction,
    /// The set.
    #[serde(flatten)]
    pub set: EnrichedSet,
}

/// How many genes, sets and factors a result lists.
pub const N_LISTED: usize = 20;

impl From<&Evaluation> for Findings {
    fn from(evaluation: &Evaluation) -> Self {
        let directed = |(direction, set): (Direction, &EnrichedSet)| DirectedSet { direction, set: set.clone() };
        Self {
            score: evaluation.grounding.score(),
            composite: evaluation.grounding.composite,
            n_de_genes: evaluation.n_differential(),
            top_upregulated: evaluation.up().take(N_LISTED).cloned().collect(),
            top_downregulated: evaluation.down().take(N_LISTED).cloned().collect(),
            enriched_pathways: evaluation.enriched().into_iter().take(N_LISTED).map(directed).collect(),
            activated_tfs: evaluation.activated_factors().take(N_LISTED).cloned().collect(),
        }
    }
}

/// The model that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The name it was imported under.
    pub name: String,
    /// SHA-256 of the weights, in hexadecimal.
    pub sha256: Option<String>,
    /// Licence of the weights, as stored when they were imported.
    pub licence: Option<String>,
}

/// What a finished run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The iteration that is delivered, from 1.
    pub best_iteration: u32,
    /// Why the loop ended.
    pub termination_reason: TerminationReason,
    /// The answer.
    pub answer: Findings,
    /// The mean-shift baseline on the same cells.
    pub baseline: Findings,
    /// Against measured cells, where the atlas holds them.
    pub measured: Option<MeasuredComparison>,
    /// Control strategy of the delivered iteration.
    pub control_strategy_effective: ControlStrategy,
    /// The model, absent where the baseline itself was the answer.
    pub model: Option<ModelRecord>,
    /// Whether the atlas or the model is simulated: for trying the software, not for conclusions.
    pub simulated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(gene: &str, score: f64, differential: Option<Direction>) -> GeneChange {
        GeneChange {
            gene: gene.into(),
            // The clearest change is not the largest.
            log2_fold_change: 1.0 / score,
            score,
            p_value: 0.01,
            adjusted_p_value: 0.02,
            mean_treatment: 1.0,
            mean_control: 1.0,
            share_treatment: 0.5,
            share_control: 0.5,
            differential,
        }
    }

    fn set(name: &str, p_value: f64, adjusted_p_value: f64) -> EnrichedSet {
        EnrichedSet {
            collection: "Hallmark".into(),
            name: name.into(),
            overlap: 1,
            set_size: 5,
            p_value,
            adjusted_p_value,
            odds_ratio: 2.0,
            combined_score: 3.0,
            genes: vec!["A".into()],
        }
    }

    #[test]
    fn an_accession_behind_a_symbol_is_left_out() {
        assert_eq!(gene_symbol("PSMB9_ENSG00000240065"), "PSMB9");
        assert_eq!(gene_symbol("Ifit1_ENSMUSG00000034459"), "Ifit1");
        for kept in ["HLA_ENSG", "Y_RNA", "ENSG00000240065", "A_ENSGx1"] {
            assert_eq!(gene_symbol(kept), kept);
        }
    }

    #[test]
    fn the_clearest_come_first_on_either_side() {
        let up = Some(Direction::Up);
        let down = Some(Direction::Down);
        let evaluation = Evaluation {
            criteria: Criteria::default(),
            n_treatment: 20,
            n_control: 20,
            changes: vec![
                change("A", 9.0, up),
                change("B", 4.0, up),
                change("C", 0.1, None),
                change("D", -3.0, down),
                change("E", -8.0, down),
            ],
            enriched_up: vec![set("late", 1e-4, 1e-3), set("not", 0.4, 0.6)],
            enriched_down: vec![set("first", 1e-9, 1e-8)],
            factors: vec![],
            grounding: Grounding { components: vec![], penalty: 0, composite: None },
        };
        let findings = Findings::from(&evaluation);
        let genes = |changes: &[GeneChange]| changes.iter().map(|c| c.gene.clone()).collect::<Vec<_>>().concat();
        assert_eq!(genes(&findings.top_upregulated), "AB");
        assert_eq!(genes(&findings.top_downregulated), "ED");
        assert_eq!(findings.n_de_genes, 4);
        let sets: Vec<&str> = findings.enriched_pathways.iter().map(|s| s.set.name.as_str()).collect();
        assert_eq!(sets, ["first", "late"]);
        let json = serde_json::to_string(&evaluation).unwrap();
        assert_eq!(serde_json::from_str::<Evaluation>(&json).unwrap(), evaluation);
    }
}
