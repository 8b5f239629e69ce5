//! Which of several names a label means, and how sure that is.
//!
//! A conditional logit: each candidate has a score, the weighted sum of [`FEATURES`] that say how its
//! name and the label agree; *none of them* has a score of its own from what is odd about the label. The
//! probability of a candidate is its share of `exp(score)`. The weights are fitted by maximum likelihood
//! on half of each gold source (`tests/bench/resolver_fit.py`) and kept in `assets/resolver.tsv`.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::index::{Asked, Index, contradict};
use super::normalize::Kind;
use super::vocabulary::{Class, Vocabulary};

const TABLE: &str = include_str!("../../assets/resolver.tsv");

/// Declares the features with their names in the table of weights.
macro_rules! features {
    ($($feature:ident $name:literal $says:literal)*) => {
        /// What is measured of a candidate and a label. Words count by what they are worth in [`Index`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Feature {
            $(#[doc = $says] $feature,)*
        }

        /// The names of all features, in the order of [`Features`].
        pub(super) const FEATURES: [&str; N] = [$($name),*];
        const N: usize = [$($name),*].len();
    };
}

features! {
    LabelAsSpelled "label_as_spelled" "the term's own name, letter for letter"
    SynonymAsSpelled "synonym_as_spelled" "an exact synonym, letter for letter"
    SameLabel "same_label" "all words of the term's own name and no other"
    SameSynonym "same_synonym" "all words of an exact synonym"
    SameCurated "same_curated" "all words of a name of our table"
    SameLoose "same_loose" "all words of a narrow, related or broad synonym"
    InOrder "in_order" "the shared words come in one order"
    LabelCovered "label_covered" "share of the label's words that the name has"
    NameCovered "name_covered" "share of the name's words that the label has"
    BothCovered "both_covered" "the product of the two"
    HeadOfLabel "head_of_label" "the name has the word that says what the label is"
    HeadOfName "head_of_name" "the label has the word that says what the name is"
    Synonym "synonym" "partly, by an exact synonym"
    Curated "curated" "partly, by a name of our table"
    Loose "loose" "partly, by a narrow, related or broad synonym"
    Expanded "expanded" "abbreviations spelled out"
    MeantHere "meant_here" "an abbreviation has this meaning in the organ of the context"
    Slips "slips" "spelling differences, 0 to 1 for each word"
    OverMarker "over_marker" "markers of the label that the name lacks"
    OverNumber "over_number" "numbers of the label that the name lacks"
    OverState "over_state" "states of the label that the name lacks"
    OverPlace "over_place" "places of the label that the name lacks"
    OverStage "over_stage" "stages of the label that the name lacks"
    OverSymbol "over_symbol" "gene symbols of the label that the name lacks"
    OverLater "over_later" "anything of the label's later parts that the name lacks"
    FirstPart "first_part" "the name is the label's first part"
    LaterPart "later_part" "the name is the label's later part"
    Partial "partial" "one of several things in the label was left out"
    OverAside "over_aside" "asides of the label that the name lacks"
    OverUnknown "over_unknown" "words of the label that no name has"
    OverOther "over_other" "other words of the label that the name lacks"
    LacksMarker "lacks_marker" "markers of the name that the label lacks"
    LacksNumber "lacks_number" "numbers of the name that the label lacks"
    LacksStage "lacks_stage" "stages of the name that the label lacks"
    LacksState "lacks_state" "states of the name that the label lacks"
    LacksPlace "lacks_place" "places of the name that neither label nor context has"
    LacksPlaceOfContext "lacks_place_of_context" "places of the name that only the context has"
    LacksAside "lacks_aside" "asides of the name that the label lacks"
    LacksOther "lacks_other" "other words of the name that the label lacks"
    Contradiction "contradiction" "CD16+ against CD16-, or `non` on one side only"
    PlaceOfContext "place_of_context" "the name speaks of an organ of the context"
    PlaceElsewhere "place_elsewhere" "the name speaks of organs, none of the context"
    OfMan "of_man" "the name says `human` and the label does not"
    OneWord "one_word" "a label of one word against part of a longer name"
    None "none" "always 1 for *none of them*"
    NoneCode "none_code" "the label is written like a code"
    NoneShort "none_short" "the label has three letters at most"
    NoneUnknown "none_unknown" "share of the label's words that no name has"
    NoneParts "none_parts" "the label joins several things"
    NoneLong "none_long" "number of words"
}

/// The values of [`FEATURES`].
pub(super) type Features = [f32; N];

/// The fitted weights for one kind of name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    weights: Features,
    /// The least probability at which a candidate is an answer.
    pub threshold: f64,
}

impl Model {
    /// The weights for this kind of name; without any fitted, those of cell types.
    pub fn of(kind: Kind) -> &'static Self {
        static ALL: [OnceLock<Model>; Kind::ALL.len()] = [const { OnceLock::new() }; Kind::ALL.len()];
        ALL[kind as usize].get_or_init(|| Self::read(kind, TABLE))
    }

    fn read(kind: Kind, table: &str) -> Self {
        let mut lines = table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t'));
        let column = lines.next().and_then(|mut heads| heads.position(|head| head == kind.as_str())).unwrap_or(1);
        let mut model = Self { weights: [0.0; N], threshold: 1.0 };
        for mut fields in lines {
            let name = fields.next().unwrap_or_default();
            let value = fields.nth(column - 1).and_then(|value| value.parse::<f32>().ok()).unwrap_or(0.0);
            match FEATURES.iter().position(|feature| *feature == name) {
                Some(at) => model.weights[at] = value,
                None if name == "threshold" => model.threshold = value.into(),
                None => {}
            }
        }
        model
    }

    /// The score of a candidate, or of *none of them*.
    pub fn score(&self, features: &Features) -> f64 {
        self.weights.iter().zip(features).map(|(weight, value)| f64::from(weight * value)).sum()
    }

    /// The probability of each score among all of them.
    pub fn probabilities(scores: &[f64]) -> Vec<f64> {
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let sum: f64 = shares.iter().sum();
        shares.into_iter().map(|share| share / sum).collect()
    }
}

/// How a name belongs to its term, as the features tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// The term's own name.
    Label,
    /// An exact synonym.
    Synonym,
    /// From our table.
    Curated,
    /// A narrow, related or broad synonym.
    Loose,
}

impl Belongs {
    /// The way back from `belongs as u8`.
    pub fn from_code(code: u8) -> Self {
        [Self::Label, Self::Synonym, Self::Curated].into_iter().find(|it| *it as u8 == code).unwrap_or(Self::Loose)
    }
}

/// Notes that the label is spelled as one of the term's names is.
pub(super) fn as_spelled(features: &mut Features, belongs: Option<Belongs>) {
    match belongs {
        Some(Belongs::Label) => features[Feature::LabelAsSpelled as usize] = 1.0,
        Some(Belongs::Synonym) => features[Feature::SynonymAsSpelled as usize] = 1.0,
        _ => {}
    }
}

/// Whether label and name have the same words.
pub(super) fn is_same(features: &Features) -> bool {
    use Feature::{SameCurated, SameLabel, SameLoose, SameSynonym};
    [SameLabel, SameSynonym, SameCurated, SameLoose].iter().any(|feature| features[*feature as usize] > 0.0)
}

/// One label against one name.
pub(super) struct Pair<'a> {
    pub vocabulary: &'a Vocabulary,
    pub index: &'a Index,
    /// The label's words as they are spelled and as they are held.
    pub words: &'a [String],
    pub asked: &'a [Asked],
    pub expanded: usize,
    /// Whether an abbreviation has this meaning in the organ of the context.
    pub meant_here: bool,
    /// Whether one of several things in the label was left out.
    pub partial: bool,
    /// The words of the label's first part, if it has several.
    pub first: &'a HashSet<String>,
    /// The label as it is written.
    pub label: &'a str,
    /// The organs the label is known to be about.
    pub context: &'a [String],
    pub name: u32,
    pub belongs: Belongs,
}

impl Pair<'_> {
    /// How the two agree.
    pub fn features(&self) -> Features {
        let name = self.index.words_of(self.name);
        let mut free: Vec<bool> = vec![true; name.len()];
        let mut met: Vec<Option<usize>> = Vec::with_capacity(self.asked.len());
        let mut slips = 0.0;
        let (mut shared, mut all) = (0.0, 0.0);
        for asked in self.asked {
            all += asked.weight;
            let pair = asked.like.iter().find_map(|&(id, similarity)| {
                let at = name.iter().zip(&free).position(|(word, free)| *free && *word == id)?;
                Some((at, similarity))
            });
            if let Some((at, similarity)) = pair {
                free[at] = false;
                shared += similarity * asked.weight;
                slips += 1.0 - similarity;
            }
            met.push(pair.map(|(at, _)| at));
        }
        let weight = self.index.name(self.name).weight.max(0.01);
        let all = all.max(0.01);
        let mut f = [0.0; N];
        let mut set = |feature: Feature, value: f32| f[feature as usize] = value;

        let complete = met.iter().all(Option::is_some) && !free.contains(&true) && slips == 0.0;
        let (same, part) = match self.belongs {
            Belongs::Label => (Feature::SameLabel, None),
            Belongs::Synonym => (Feature::SameSynonym, Some(Feature::Synonym)),
            Belongs::Curated => (Feature::SameCurated, Some(Feature::Curated)),
            Belongs::Loose => (Feature::SameLoose, Some(Feature::Loose)),
        };
        if let Some(feature) = if complete { Some(same) } else { part } {
            set(feature, 1.0);
        }
        let in_order = met.iter().flatten().is_sorted();
        set(Feature::InOrder, f32::from(in_order));
        let (of_label, of_name) = ((shared / all).min(1.0), (shared / weight).min(1.0));
        set(Feature::LabelCovered, of_label);
        set(Feature::NameCovered, of_name);
        set(Feature::BothCovered, of_label * of_name);
        set(Feature::Slips, slips);
        set(Feature::Expanded, self.expanded as f32);
        set(Feature::MeantHere, f32::from(self.meant_here));
        if let Some(head) = head(self.vocabulary, self.words) {
            set(Feature::HeadOfLabel, f32::from(met[head].is_some()));
        }
        let spelled: Vec<&str> = name.iter().map(|&word| self.index.spelling(word)).collect();
        if let Some(head) = head(self.vocabulary, &spelled) {
            set(Feature::HeadOfName, f32::from(!free[head]));
        }
        set(Feature::OneWord, f32::from(self.words.len() == 1 && spelled.len() > 2 && !complete));

        f[Feature::Partial as usize] = f32::from(self.partial);
        let mut symbol_before = false;
        let (mut in_first, mut in_later) = (false, false);
        let (mut over_first, mut over_later) = (false, false);
        for (at, (word, asked)) in self.words.iter().zip(self.asked).enumerate() {
            let class = self.vocabulary.class(word);
            let later = !self.first.is_empty() && !self.first.contains(word);
            let tells = class != Class::Aside;
            if met[at].is_some() {
                in_first |= !later && tells;
                in_later |= later && tells;
                symbol_before = false;
                continue;
            }
            over_first |= !later && tells;
            over_later |= later && tells;
            let is_symbol = asked.like.is_empty() && self.is_symbol(word) || symbol_before && class == Class::Number;
            symbol_before = is_symbol;
            let counted = at > 0 && COUNTED.contains(&self.words[at - 1].as_str());
            let feature = match class {
                _ if later => Feature::OverLater,
                _ if is_symbol => Feature::OverSymbol,
                Class::Marker => Feature::OverMarker,
                Class::Number if counted => Feature::OverOther,
                Class::Number => Feature::OverNumber,
                Class::State => Feature::OverState,
                Class::Stage => Feature::OverStage,
                Class::Place => Feature::OverPlace,
                Class::Aside => Feature::OverAside,
                Class::Other if asked.like.is_empty() => Feature::OverUnknown,
                Class::Other => Feature::OverOther,
            };
            f[feature as usize] += asked.weight;
            let against = name.iter().any(|&held| contradict(word, self.index.spelling(held)));
            f[Feature::Contradiction as usize] += f32::from(against);
        }
        let whole = free.iter().zip(name).all(|(free, word)| !free || self.is_aside(*word));
        f[Feature::FirstPart as usize] = f32::from(whole && in_first && !in_later && !over_first && over_later);
        f[Feature::LaterPart as usize] = f32::from(whole && in_later && !in_first && !over_later && over_first);
        let negates = |word: &str| matches!(word, "non" | "not");
        if self.words.iter().any(|word| negates(word)) != spelled.iter().any(|word| negates(word)) {
            f[Feature::Contradiction as usize] += 1.0;
        }
        for (place, &word) in name.iter().enumerate().filter(|(place, _)| free[*place]) {
            let feature = match self.vocabulary.class(spelled[place]) {
                Class::Marker => Feature::LacksMarker,
                Class::Number => Feature::LacksNumber,
                Class::State => Feature::LacksState,
                Class::Stage => Feature::LacksStage,
                Class::Place if self.in_context(spelled[place]) => Feature::LacksPlaceOfContext,
                Class::Place => Feature::LacksPlace,
                Class::Aside => Feature::LacksAside,
                Class::Other => Feature::LacksOther,
            };
            f[feature as usize] += self.index.weight(word);
        }
        if !self.context.is_empty() {
            let mut organs = spelled.iter().filter_map(|word| self.vocabulary.organ(word)).peekable();
            if organs.peek().is_some() {
                let here = organs.any(|organ| self.context.iter().any(|context| context == organ));
                let feature = if here { Feature::PlaceOfContext } else { Feature::PlaceElsewhere };
                f[feature as usize] = 1.0;
            }
        }
        f[Feature::OfMan as usize] =
            f32::from(spelled.contains(&"human") && !self.words.iter().any(|word| word == "human"));
        f
    }

    fn is_aside(&self, word: u32) -> bool {
        self.vocabulary.class(self.index.spelling(word)) == Class::Aside
    }

    /// Whether a word is written as gene symbols are.
    fn is_symbol(&self, word: &str) -> bool {
        word.len() > 2 && self.label.contains(&word.to_uppercase())
    }

    fn in_context(&self, word: &str) -> bool {
        let organ = self.vocabulary.organ(word);
        organ.is_some_and(|organ| self.context.iter().any(|context| context == organ))
    }
}

/// What is odd about a label, which speaks for *none of them*.
pub(super) fn none(label: &str, words: &[String], asked: &[Asked]) -> Features {
    let mut f = [0.0; N];
    f[Feature::None as usize] = 1.0;
    let letters = label.chars().filter(|c| c.is_alphabetic()).count();
    let capitals = label.chars().filter(|c| c.is_uppercase()).count();
    f[Feature::NoneCode as usize] = f32::from(capitals > 1 && capitals * 2 > letters && words.len() < 4);
    f[Feature::NoneShort as usize] = f32::from(letters <= 3);
    let all: f32 = asked.iter().map(|word| word.weight).sum();
    let unknown: f32 = asked.iter().filter(|word| word.like.is_empty()).map(|word| word.weight).sum();
    f[Feature::NoneUnknown as usize] = if all > 0.0 { unknown / all } else { 1.0 };
    f[Feature::NoneParts as usize] = f32::from(label.contains(['/', '&', ';']) || label.contains(" and "));
    f[Feature::NoneLong as usize] = (words.len() as f32 / 4.0).min(3.0);
    f
}

/// After these a number tells terms apart; elsewhere in a label it mostly counts clusters.
const COUNTED: [&str; 8] = ["type", "group", "class", "stage", "segment", "layer", "grade", "helper"];

/// The word that says what a thing is: the last before `of` and its like, places, states, markers,
/// numbers and asides apart.
fn head<S: AsRef<str>>(vocabulary: &Vocabulary, words: &[S]) -> Option<usize> {
    let joins = |word: &S| matches!(word.as_ref(), "of" | "in" | "from" | "with" | "for" | "due");
    let end = words.iter().position(joins).filter(|end| *end > 0).unwrap_or(words.len());
    let says = |class: Class| matches!(class, Class::Other);
    // What it is derived from is not what it is.
    let start = words[..end].iter().position(|word| word.as_ref() == "derived").map_or(0, |at| at + 1);
    (start..end).rev().find(|&at| says(vocabulary.class(words[at].as_ref())))
}
