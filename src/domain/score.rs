//! Scores: what a component measured, what it is worth, and how components combine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value on the scale 1 to 10 in integer hundredths (845 is 8.45), so that sums are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Hundredths(u32);

/// A number of hundredths outside 100..=1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} hundredths is outside the scale of 1 to 10")]
pub struct OutOfScale(u32);

impl Hundredths {
    /// `1 + 9 x`, rounded half to even, for a share `x` in 0..=1.
    ///
    /// # Panics
    /// If the share is not in 0..=1; NaN is a mistake of the caller, never tidied into a score.
    pub fn from_share(share: f64) -> Self {
        assert!((0.0..=1.0).contains(&share), "a share of {share} is not between 0 and 1");
        Self((100.0 + 900.0 * share).round_ties_even() as u32)
    }

    /// The hundredths.
    pub fn get(self) -> u32 {
        self.0
    }

    /// Rounded to a whole number, half to even: 6.5 is 6, 7.5 is 8.
    pub fn rounded(self) -> u32 {
        divide_half_even(self.0, 100)
    }
}

impl TryFrom<u32> for Hundredths {
    type Error = OutOfScale;

    fn try_from(value: u32) -> Result<Self, OutOfScale> {
        if (100..=1000).contains(&value) { Ok(Self(value)) } else { Err(OutOfScale(value)) }
    }
}

impl From<Hundredths> for u32 {
    fn from(value: Hundredths) -> Self {
        value.0
    }
}

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// The components of a grounding score and their weights in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentName {
    /// Expected gene sets are enriched among the predicted changes.
    PathwayCoherence,
    /// Known targets change in the expected direction.
    TargetActivation,
    /// Papers support the predicted changes.
    LiteratureSupport,
    /// Changed genes are connected to the targets.
    NetworkCoherence,
}

impl ComponentName {
    /// The perturbational components in the order they are shown.
    pub const PERTURBATIONAL: [Self; 4] =
        [Self::PathwayCoherence, Self::TargetActivation, Self::LiteratureSupport, Self::NetworkCoherence];

    /// Weight in percent, before missing components are left out.
    pub fn weight(self) -> u32 {
        match self {
            Self::PathwayCoherence | Self::LiteratureSupport => 25,
            Self::TargetActivation => 30,
            Self::NetworkCoherence => 20,
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::PathwayCoherence => "Pathway coherence",
            Self::TargetActivation => "Target activation",
            Self::LiteratureSupport => "Literature support",
            Self::NetworkCoherence => "Network coherence",
        }
    }
}

/// What a statistic was held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Null {
    /// In words, such as `random genes, as many up and down`.
    pub kind: String,
    /// Number of draws.
    pub draws: u32,
    /// Seed of the draws.
    pub seed: u64,
    /// Share of draws below the statistic, ties counted half; 0.5 is chance.
    pub percentile: f64,
}

/// One thing a component looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Gene, gene set or transcription factor.
    pub item: String,
    /// What was found, in words with its numbers.
    pub finding: String,
    /// Its contribution, between 0 (none, or the wrong way) and 1 (as expected).
    pub credit: f64,
}

/// What a component came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Measured.
    Scored {
        /// 1 to 10.
        value: Hundredths,
        /// The raw statistic, between 0 and 1.
        statistic: f64,
        /// What it was held against.
        null: Null,
        /// Row by row.
        evidence: Vec<Evidence>,
    },
    /// The knowledge to measure it is missing; left out of the composite.
    Insufficient {
        /// What is missing and how to add it.
        why: String,
    },
}

/// One component of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Which.
    pub name: ComponentName,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Component {
    /// The value, if it was measured.
    pub fn value(&self) -> Option<Hundredths> {
        match self.outcome {
            Outcome::Scored { value, .. } => Some(value),
            Outcome::Insufficient { .. } => None,
        }
    }
}

/// How well a prediction stands on what is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grounding {
    /// All components, measured or not.
    pub components: Vec<Component>,
    /// Taken off, in hundredths: 50 when query cells as control were chosen, 100 when forced.
    pub penalty: u32,
    /// Weighted mean of the measured components less the penalty; absent if none was measured.
    pub composite: Option<Hundredths>,
}

impl Grounding {
    /// Combines components: weights of the measured ones are scaled up to 100 %, the penalty is
    /// taken off, the result is kept on the scale. All in integers, halves to even.
    pub fn combine(components: Vec<Component>, penalty: u32) -> Self {
        let measured = components.iter().filter_map(|c| Some((c.name.weight(), c.value()?.get())));
        let (weights, sum) = measured.fold((0, 0), |(w, s), (weight, value)| (w + weight, s + weight * value));
        let composite =
            (weights > 0).then(|| Hundredths(divide_half_even(sum, weights).saturating_sub(penalty).clamp(100, 1000)));
        Self { components, penalty, composite }
    }

    /// The score shown and compared with the threshold: the composite rounded half to even.
    pub fn score(&self) -> Option<u32> {
        self.composite.map(Hundredths::rounded)
    }
}

fn divide_half_even(dividend: u32, divisor: u32) -> u32 {
    let (quotient, remainder) = (dividend / divisor, dividend % divisor);
    match (2 * remainder).cmp(&divisor) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + quotient % 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: ComponentName, value: Option<u32>) -> Component {
        let outcome = match value {
            Some(value) => Outcome::Scored {
                value: value.try_into().unwrap(),
                statistic: 0.5,
                null: Null { kind: String::new(), draws: 200, seed: 1, percentile: 0.9 },
                evidence: vec![],
            },
            None => Outcome::Insufficient { why: "nothing imported".into() },
        };
        Component { name, outcome }
    }

    fn grounding(values: [Option<u32>; 4], penalty: u32) -> Grounding {
        let components = ComponentName::PERTURBATIONAL.into_iter().zip(values).map(|(n, v)| component(n, v));
        Grounding::combine(components.collect(), penalty)
    }

    #[test]
    fn weights_follow_the_specification() {
        // .25*9 + .30*8 + .25*9 + .20*7 = 8.3
        let all = grounding([Some(900), Some(800), Some(900), Some(700)], 0);
        assert_eq!((all.composite.unwrap().get(), all.score()), (830, Some(8)));
    }

    #[test]
    fn missing_components_are_left_out_and_never_a_silent_five() {
        // (25*900 + 30*500) / 55 = 681.8
        let two = grounding([Some(900), Some(500), None, None], 0);
        assert_eq!(two.composite.unwrap().get(), 682);
        assert_eq!(grounding([None; 4], 0).composite, None);
    }

    #[test]
    fn halves_go_to_even_and_penalties_come_before_rounding() {
        let rounded = |v: u32| Hundredths::try_from(v).unwrap().rounded();
        assert_eq!((rounded(650), rounded(750), rounded(651)), (6, 8, 7));
        let seven = [Some(700), Some(700), Some(700), Some(700)];
        assert_eq!(grounding(seven, 50).score(), Some(6));
        assert_eq!(grounding([Some(100); 4], 100).score(), Some(1));
    }

    #[test]
    fn shares_become_scores_on_the_scale() {
        assert_eq!(Hundredths::from_share(0.0).get(), 100);
        assert_eq!(Hundredths::from_share(1.0).get(), 1000);
        assert_eq!(Hundredths::from_share(0.775).to_string(), "7.98");
        assert!(Hundredths::try_from(99).is_err() && Hundredths::try_from(1001).is_err());
    }
}
