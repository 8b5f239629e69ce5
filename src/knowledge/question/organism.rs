//! Organisms a question names.

use super::words::Words;

/// An organism.
#[derive(Debug, PartialEq, Eq)]
pub struct Organism {
    /// As cells of it are called.
    pub name: &'static str,
    /// What data and questions call it: words in common use, the species, its NCBI Taxonomy id.
    called: &'static [&'static str],
}

const ORGANISMS: [Organism; 6] = [
    Organism { name: "human", called: &["human", "humans", "homo sapiens", "hsapiens", "ncbitaxon:9606"] },
    Organism { name: "mouse", called: &["mouse", "mice", "murine", "mus musculus", "mmusculus", "ncbitaxon:10090"] },
    Organism { name: "rat", called: &["rat", "rats", "rattus norvegicus", "ncbitaxon:10116"] },
    Organism { name: "zebrafish", called: &["zebrafish", "danio rerio", "ncbitaxon:7955"] },
    Organism {
        name: "macaque",
        called: &[
            "macaque",
            "macaques",
            "monkey",
            "monkeys",
            "macaca mulatta",
            "macaca fascicularis",
            "ncbitaxon:9544",
        ],
    },
    Organism { name: "pig", called: &["pig", "pigs", "porcine", "sus scrofa", "ncbitaxon:9823"] },
];

impl Organism {
    /// Whether the text is one of its names.
    pub fn is_called(&self, text: &str) -> bool {
        self.called.contains(&text.trim().to_lowercase().as_str())
    }
}

/// The first organism that is named, with the word for it.
pub fn find<'a>(words: &Words<'a>) -> Option<(&'a str, &'static Organism)> {
    ORGANISMS.iter().find_map(|organism| Some((words.text(&words.find(0, organism.called)?), organism)))
}
