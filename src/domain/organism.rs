//! Organisms that data and questions name.

/// An organism.
#[derive(Debug, PartialEq, Eq)]
pub struct Organism {
    /// As cells of it are called.
    pub name: &'static str,
    /// What data and questions call it, in lower case: words in common use, the species, its NCBI Taxonomy id,
    /// the assemblies that reads are aligned to.
    pub called: &'static [&'static str],
}

/// Those we know by name.
pub const ORGANISMS: [Organism; 6] = [
    Organism {
        name: "human",
        called: &["human", "humans", "homo sapiens", "hsapiens", "ncbitaxon:9606", "grch38", "grch37", "hg38", "hg19"],
    },
    Organism {
        name: "mouse",
        called: &[
            "mouse",
            "mice",
            "murine",
            "mus musculus",
            "mmusculus",
            "ncbitaxon:10090",
            "grcm39",
            "grcm38",
            "mm39",
            "mm10",
        ],
    },
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
    /// The organism of this name, however it is written; nothing for one we do not know.
    pub fn named(text: &str) -> Option<&'static Self> {
        let name = text.trim().to_lowercase().replace('_', " ");
        ORGANISMS.iter().find(|organism| organism.called.contains(&name.as_str()))
    }

    /// Whether it is the one whose genes models and gene sets name.
    pub fn is_human(&self) -> bool {
        self.name == "human"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisms_are_known_by_word_species_id_and_assembly() {
        for (text, name) in [
            ("Homo sapiens", "human"),
            ("homo_sapiens ", "human"),
            ("NCBITaxon:9606", "human"),
            ("GRCh38", "human"),
            ("hg19", "human"),
            ("mm10", "mouse"),
            ("GRCm39", "mouse"),
        ] {
            assert_eq!(Organism::named(text).map(|organism| organism.name), Some(name), "{text}");
        }
        assert_eq!(Organism::named("Ambystoma mexicanum"), None);
    }
}
