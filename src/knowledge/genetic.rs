//! Changes of a gene, as people write them: `knockout of STAT1`, `STAT1 KO`, `sgSTAT1`.

use crate::domain::terms::{Direction, GeneEffect, PerturbationKind};
use crate::domain::{Curie, Perturbation};

/// What is done to a gene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The gene is cut or deleted.
    Knockout,
    /// Its expression is lowered.
    Knockdown,
    /// Its expression is raised.
    Overexpression,
}

/// A change of one gene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneChange {
    /// Upper-case symbol; whether there is such a gene is for the caller to say.
    pub gene: String,
    /// What is done to it.
    pub change: Change,
}

impl Change {
    /// The word after the symbol in our names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Knockout => "knockout",
            Self::Knockdown => "knockdown",
            Self::Overexpression => "overexpression",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "knockout" | "ko" | "deletion" | "deleted" | "crispr" | "crisprko" => Self::Knockout,
            "knockdown" | "kd" | "silencing" | "silenced" | "crispri" | "sirna" | "shrna" | "rnai" => Self::Knockdown,
            "overexpression" | "overexpressed" | "oe" | "crispra" => Self::Overexpression,
            _ => return None,
        })
    }
}

impl GeneChange {
    /// The perturbation of this change, with the gene as its target.
    pub fn perturbation(&self) -> Perturbation {
        let direction = match self.change {
            Change::Knockout | Change::Knockdown => Direction::Down,
            Change::Overexpression => Direction::Up,
        };
        // Symbols with characters no id may have do not get past `parse`.
        let id: Option<Curie> = format!("hgnc.symbol:{}", self.gene).parse().ok();
        Perturbation {
            ids: id.into_iter().collect(),
            targets: vec![GeneEffect { gene: self.gene.clone(), direction }],
            ..Perturbation::named(&format!("{} {}", self.gene, self.change.as_str()), PerturbationKind::Genetic)
        }
    }
}

/// Reads a change of a gene: a symbol before or after the word for the change (`of` between is
/// fine), or a guide's prefix on the symbol (`sgSTAT1`, `siSTAT1`, `shSTAT1`).
pub fn parse(text: &str) -> Option<GeneChange> {
    let lower = text.trim().to_lowercase();
    let mut joined = lower;
    for (apart, together) in [
        ("knock-out", "knockout"),
        ("knock out", "knockout"),
        ("knock-down", "knockdown"),
        ("knock down", "knockdown"),
        ("over-expression", "overexpression"),
        ("knocking out", "knockout"),
        ("knocking down", "knockdown"),
        ("knocked out", "knockout"),
        ("knocked down", "knockdown"),
        ("overexpressing", "overexpression"),
    ] {
        joined = joined.replace(apart, together);
    }
    let words: Vec<&str> = joined
        .split(|c: char| c.is_whitespace() || "_()[],".contains(c))
        .filter(|word| !matches!(*word, "" | "of" | "the" | "gene" | "in" | "a" | "is" | "are"))
        .collect();
    let guide = |word: &str| {
        let prefixes = [("sg", Change::Knockout), ("si", Change::Knockdown), ("sh", Change::Knockdown)];
        prefixes.iter().find_map(|(prefix, change)| {
            // Only as people write it: the prefix small, the symbol large.
            let at = text.find(*prefix)?;
            let gene = &text[at + prefix.len()..];
            let is_large = gene.starts_with(|c: char| c.is_ascii_uppercase());
            (is_large && word.starts_with(prefix)).then(|| (symbol(&word[prefix.len()..]), *change))
        })
    };
    let (gene, change) = match words[..] {
        [gene, word] if Change::from_word(word).is_some() => (symbol(gene), Change::from_word(word)?),
        [word, gene] if Change::from_word(word).is_some() => (symbol(gene), Change::from_word(word)?),
        [word] => {
            // `STAT1-KO`: a symbol may have a hyphen of its own, so only the last one counts.
            match word.rsplit_once('-').or_else(|| word.rsplit_once(' ')) {
                Some((gene, word)) if Change::from_word(word).is_some() => (symbol(gene), Change::from_word(word)?),
                _ => guide(word)?,
            }
        }
        _ => return None,
    };
    Some(GeneChange { gene: gene?, change })
}

fn symbol(word: &str) -> Option<String> {
    let valid = word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.len() <= 20
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    valid.then(|| word.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_people_write_them() {
        let knockouts = [
            "STAT1 knockout",
            "knockout of STAT1",
            "STAT1 KO",
            "KO STAT1",
            "STAT1-KO",
            "stat1 knock-out",
            "sgSTAT1",
            "CRISPR STAT1",
            "deletion of the STAT1 gene",
            "STAT1 is knocked out",
        ];
        for text in knockouts {
            let change = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(change.perturbation().name, "STAT1 knockout", "{text}");
        }
        assert_eq!(parse("siRNA HLA-A").unwrap().perturbation().name, "HLA-A knockdown");
        assert_eq!(parse("MYC overexpression").unwrap().perturbation().targets[0].direction, Direction::Up);
    }

    #[test]
    fn other_texts_are_not_changes() {
        for text in [
            "",
            "STAT1",
            "knockout",
            "knockout of",
            "single cell",
            "shock",
            "side effects KO now",
            "1 KO",
            "loss of CD4",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
