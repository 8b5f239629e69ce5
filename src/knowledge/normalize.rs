//! Names made comparable: the many spellings of one name become one list of words.
//!
//! `CD8⁺ T-cells`, `CD8+ T cell` and `CD8-positive T cells` all become `cd 8 positive t cell`;
//! `IFN-β`, `IFNb` and `interferon-beta` become `ifn beta`. Applied alike to the names we hold and to
//! the names we look for.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// What a name names; some spellings mean different things in different places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A cell type.
    CellType,
    /// A tissue, organ or other part of the body.
    Tissue,
    /// A disease.
    Disease,
    /// A cytokine, drug or genetic change.
    Perturbation,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::CellType, Self::Tissue, Self::Disease, Self::Perturbation];

    /// As the command line spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CellType => "cell-type",
            Self::Tissue => "tissue",
            Self::Disease => "disease",
            Self::Perturbation => "perturbation",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::CellType => "cell type",
            other => other.as_str(),
        }
    }
}

/// The text in lower case with single spaces: what counts as the same spelling.
pub fn folded(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// The words of a name.
pub fn words(kind: Kind, text: &str) -> Vec<String> {
    let mut words = match text.is_ascii() {
        true => split(text),
        false => split(&text.nfkd().filter(|c| !is_combining_mark(*c)).collect::<String>()),
    };
    for word in &mut words {
        *word = american(&singular(word));
    }
    numerals(&mut words);
    if words.len() > 1 && matches!(words[0].as_str(), "the" | "a" | "an") {
        words.remove(0);
    }
    match kind {
        Kind::CellType => join_phrases(&mut words, &CELL_PHRASES),
        Kind::Perturbation => {
            join_phrases(&mut words, &CYTOKINE_PHRASES);
            greek_letters(&mut words);
        }
        Kind::Tissue | Kind::Disease => {}
    }
    words
}

/// The words in no order, without those that only join: `fibroblast of lung` is `lung fibroblast`.
pub fn bag(words: &[String]) -> Vec<String> {
    let mut bag: Vec<String> = words.iter().filter(|word| !only_joins(word)).cloned().collect();
    bag.sort();
    bag
}

/// Whether a word only joins others.
pub(super) fn only_joins(word: &str) -> bool {
    matches!(word, "of" | "the" | "in" | "from")
}

/// Cuts at whatever is neither letter nor digit and between letters and digits, and names signs:
/// a `+` or `-` after a marker, `hi`, `lo`, Greek letters.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(at + 1).copied();
        if let Some(name) = greek(c) {
            finish(&mut word, &mut words);
            words.push(name.to_owned());
        } else if c.is_alphanumeric() {
            let turns = word.chars().next_back().is_some_and(|last| last.is_ascii_digit() != c.is_ascii_digit());
            if turns {
                finish(&mut word, &mut words);
            }
            word.push(c);
        } else {
            let ends_word = !after.is_some_and(char::is_alphanumeric);
            let follows_word = before.is_some_and(|b| b.is_alphanumeric());
            // Apostrophes belong to the word: Kupffer's, Crohn's.
            if matches!(c, '\'' | '’') && follows_word {
                if after == Some('s') && !chars.get(at + 2).is_some_and(|c| c.is_alphanumeric()) {
                    continue;
                }
                if ends_word {
                    continue;
                }
            }
            finish(&mut word, &mut words);
            match c {
                '+' if follows_word => words.push("positive".to_owned()),
                // `CD56-` and the first sign of `CD16-CD56+`, but not the hyphen of `CD4-positive`.
                '-' | '−' | '–' | '‐' | '‑'
                    if follows_word && (ends_word || next_marker(&chars[at + 1..])) && is_marker(&words) =>
                {
                    words.push("negative".to_owned());
                }
                _ => {}
            }
        }
    }
    finish(&mut word, &mut words);
    signs(&mut words);
    words
}

fn finish(word: &mut String, words: &mut Vec<String>) {
    if !word.is_empty() {
        words.push(std::mem::take(word));
    }
}

/// Whether a surface marker such as `cd56` comes next.
fn next_marker(rest: &[char]) -> bool {
    matches!(rest, ['c', 'd', digit, ..] if digit.is_ascii_digit())
}

/// Whether the words end in the name of a surface marker, such as `cd 16`.
fn is_marker(words: &[String]) -> bool {
    match words {
        [.., name, number] => number.bytes().all(|b| b.is_ascii_digit()) && !name.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

/// `hi`, `bright`, `pos` and their like after a marker's number.
fn signs(words: &mut [String]) {
    for at in 1..words.len() {
        let after_number = words[at - 1].bytes().all(|b| b.is_ascii_digit());
        let sign = match words[at].as_str() {
            "pos" => "positive",
            "neg" => "negative",
            "hi" | "bright" | "br" if after_number => "high",
            "lo" | "dim" if after_number => "low",
            _ => continue,
        };
        words[at] = sign.to_owned();
    }
}

fn greek(c: char) -> Option<&'static str> {
    Some(match c {
        'α' => "alpha",
        'β' | 'ß' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' => "epsilon",
        'ζ' => "zeta",
        'η' => "eta",
        'θ' => "theta",
        'κ' => "kappa",
        'λ' => "lambda",
        'µ' | 'μ' => "mu",
        'ω' => "omega",
        _ => return None,
    })
}

/// A plural's singular, by the endings of English and of anatomists' Latin.
fn singular(word: &str) -> String {
    const SAME: [&str; 18] = [
        "pus", "gas", "lens", "pancreas", "series", "species", "herpes", "diabetes", "rabies", "mumps", "measles",
        "plus", "ans", "cns", "pns", "aids", "sars", "is",
    ];
    const LATIN: [(&str, &str); 20] = [
        ("nuclei", "nucleus"),
        ("bronchi", "bronchus"),
        ("villi", "villus"),
        ("glomeruli", "glomerulus"),
        ("alveoli", "alveolus"),
        ("thymi", "thymus"),
        ("fungi", "fungus"),
        ("bacteria", "bacterium"),
        ("ganglia", "ganglion"),
        ("mitochondria", "mitochondrion"),
        ("epithelia", "epithelium"),
        ("endothelia", "endothelium"),
        ("crania", "cranium"),
        ("septa", "septum"),
        ("ova", "ovum"),
        ("vertebrae", "vertebra"),
        ("trabeculae", "trabecula"),
        ("arteriae", "arteria"),
        ("gyri", "gyrus"),
        ("sulci", "sulcus"),
    ];
    const ODD: [(&str, &str); 9] = [
        ("mice", "mouse"),
        ("feet", "foot"),
        ("teeth", "tooth"),
        ("children", "child"),
        ("testes", "testis"),
        ("lice", "louse"),
        ("calves", "calf"),
        ("halves", "half"),
        ("biopsies", "biopsy"),
    ];
    if word.len() < 3 || SAME.contains(&word) {
        return word.to_owned();
    }
    if let Some((_, one)) = LATIN.iter().chain(&ODD).find(|(many, _)| *many == word) {
        return (*one).to_owned();
    }
    let ends = |ending: &str| word.strip_suffix(ending).filter(|stem| stem.len() >= 2);
    if let Some(stem) = ends("ies").filter(|stem| stem.len() >= 3) {
        return format!("{stem}y");
    }
    if ["sses", "xes", "ches", "shes"].iter().any(|ending| ends(ending).is_some()) {
        return word[..word.len() - 2].to_owned();
    }
    // Greek: metastases, diagnoses, fibroses; but not bases of cases, diseases, phases.
    if let Some(stem) = ends("oses").or_else(|| ends("yses")).filter(|stem| stem.len() >= 4) {
        return format!("{stem}{}sis", &word[stem.len()..stem.len() + 1]);
    }
    if ["ss", "us", "is", "ous", "ics"].iter().any(|ending| word.ends_with(ending)) {
        return word.to_owned();
    }
    ends("s").map_or_else(|| word.to_owned(), str::to_owned)
}

/// British spellings as Americans write them.
fn american(word: &str) -> String {
    const PARTS: [(&str, &str); 14] = [
        ("aemia", "emia"),
        ("haem", "hem"),
        ("oedema", "edema"),
        ("oesoph", "esoph"),
        ("oestro", "estro"),
        ("tumour", "tumor"),
        ("foet", "fet"),
        ("paed", "ped"),
        ("fibre", "fiber"),
        ("centre", "center"),
        ("colour", "color"),
        ("rrhoea", "rrhea"),
        ("caec", "cec"),
        ("leucocyt", "leukocyt"),
    ];
    let mut word = word.to_owned();
    let may_be_british = ["ae", "oe", "our", "bre", "tre", "leuco"].iter().any(|part| word.contains(part));
    if !may_be_british {
        return word;
    }
    for (british, american) in PARTS {
        if word.contains(british) {
            word = word.replace(british, american);
        }
    }
    word
}

/// `type II` as `type 2`; a lone i, v or x only where the word before says that it counts.
fn numerals(words: &mut [String]) {
    for at in 0..words.len() {
        let counts = at > 0
            && matches!(
                words[at - 1].as_str(),
                "type" | "class" | "group" | "stage" | "grade" | "layer" | "factor" | "phase" | "subtype" | "tier"
            );
        let digit = match words[at].as_str() {
            "ii" => "2",
            "iii" => "3",
            "iv" => "4",
            "vi" => "6",
            "vii" => "7",
            "viii" => "8",
            "ix" => "9",
            "i" if counts => "1",
            "v" if counts => "5",
            "x" if counts => "10",
            _ => continue,
        };
        words[at] = digit.to_owned();
    }
}

const CELL_PHRASES: [(&[&str], &[&str]); 14] = [
    (&["tcell"], &["t", "cell"]),
    (&["bcell"], &["b", "cell"]),
    (&["nkcell"], &["natural", "killer", "cell"]),
    (&["nk"], &["natural", "killer"]),
    (&["nkt"], &["natural", "killer", "t"]),
    (&["b", "lymphocyte"], &["b", "cell"]),
    (&["t", "lymphocyte"], &["t", "cell"]),
    (&["th"], &["t", "helper"]),
    (&["helper", "t", "cell"], &["t", "helper", "cell"]),
    (&["t", "reg"], &["regulatory", "t"]),
    (&["treg"], &["regulatory", "t"]),
    (&["t", "regulatory"], &["regulatory", "t"]),
    (&["mait"], &["mucosal", "associated", "invariant", "t"]),
    (&["mucosal", "invariant", "t"], &["mucosal", "associated", "invariant", "t"]),
];

const CYTOKINE_PHRASES: [(&[&str], &[&str]); 28] = [
    (&["interferon"], &["ifn"]),
    (&["interleukin"], &["il"]),
    (&["tumor", "necrosis", "factor"], &["tnf"]),
    (&["transforming", "growth", "factor"], &["tgf"]),
    (&["lymphotoxin"], &["lt"]),
    (&["ifna"], &["ifn", "alpha"]),
    (&["ifnb"], &["ifn", "beta"]),
    (&["ifng"], &["ifn", "gamma"]),
    (&["ifnl"], &["ifn", "lambda"]),
    (&["tnfa"], &["tnf", "alpha"]),
    (&["tgfa"], &["tgf", "alpha"]),
    (&["tgfb"], &["tgf", "beta"]),
    (&["lta"], &["lt", "alpha"]),
    (&["il", "1", "a"], &["il", "1", "alpha"]),
    (&["il", "1", "b"], &["il", "1", "beta"]),
    (&["gmcsf"], &["gm", "csf"]),
    (&["mcsf"], &["m", "csf"]),
    (&["gcsf"], &["g", "csf"]),
    (&["granulocyte", "macrophage", "colony", "stimulating", "factor"], &["gm", "csf"]),
    (&["macrophage", "colony", "stimulating", "factor"], &["m", "csf"]),
    (&["granulocyte", "colony", "stimulating", "factor"], &["g", "csf"]),
    (&["epidermal", "growth", "factor"], &["egf"]),
    (&["vascular", "endothelial", "growth", "factor"], &["vegf"]),
    (&["knock", "out"], &["knockout"]),
    (&["knock", "down"], &["knockdown"]),
    (&["ko"], &["knockout"]),
    (&["kd"], &["knockdown"]),
    (&["over", "expression"], &["overexpression"]),
];

/// Replaces each phrase by its one spelling.
fn join_phrases(words: &mut Vec<String>, phrases: &[(&[&str], &[&str])]) {
    for (from, to) in phrases {
        let mut at = 0;
        while at + from.len() <= words.len() {
            if words[at..at + from.len()].iter().zip(*from).all(|(word, part)| word == part) {
                words.splice(at..at + from.len(), to.iter().map(|&word| word.to_owned()));
                at += to.len();
            } else {
                at += 1;
            }
        }
    }
}

/// `ifn b` as `ifn beta`: single letters that stand for Greek ones after a cytokine's name.
fn greek_letters(words: &mut [String]) {
    for at in 1..words.len() {
        let follows = matches!(words[at - 1].as_str(), "ifn" | "tnf" | "tgf" | "lt");
        let letter = match words[at].as_str() {
            "a" if follows => "alpha",
            "b" if follows => "beta",
            "g" if follows => "gamma",
            "l" if follows => "lambda",
            _ => continue,
        };
        words[at] = letter.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(kind: Kind, spellings: &[&str], expected: &str) {
        for text in spellings {
            assert_eq!(words(kind, text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn cell_types() {
        let kind = Kind::CellType;
        same(
            kind,
            &["CD8⁺ T-cells", "CD8+ T cell", "CD8-positive T cells", "the CD8 positive T lymphocytes", "CD8pos Tcells"],
            "cd 8 positive t cell",
        );
        same(kind, &["CD56bright NK cells", "CD56hi NK cell"], "cd 56 high natural killer cell");
        same(kind, &["CD16- monocytes", "CD16neg monocyte", "CD16 negative monocytes"], "cd 16 negative monocyte");
        same(kind, &["CD16-CD56+ NK", "CD16- CD56+ NK"], "cd 16 negative cd 56 positive natural killer");
        same(kind, &["Th17 cells", "T helper 17 cell", "Th-17 cells"], "t helper 17 cell");
        same(kind, &["type II pneumocytes", "Type 2 pneumocyte"], "type 2 pneumocyte");
        same(kind, &["haematopoietic stem cells", "Hematopoietic_stem_cell"], "hematopoietic stem cell");
        same(kind, &["γδ T cells", "gamma-delta T cell"], "gamma delta t cell");
        same(kind, &["Kupffer's cells", "Kupffer cell"], "kupffer cell");
    }

    #[test]
    fn cytokines() {
        let kind = Kind::Perturbation;
        same(kind, &["IFN-β", "IFNb", "IFN-beta", "interferon-beta", "Interferon β", "ifn b"], "ifn beta");
        same(kind, &["IL-1β", "IL1B", "interleukin 1 beta", "IL-1b"], "il 1 beta");
        same(kind, &["TGF-β1", "TGFB1", "TGF-beta-1", "transforming growth factor beta 1"], "tgf beta 1");
        same(kind, &["TNF-α", "TNFa", "tumour necrosis factor alpha"], "tnf alpha");
        same(kind, &["IL-17A", "IL17A"], "il 17 a");
        same(kind, &["GM-CSF", "GMCSF"], "gm csf");
    }

    #[test]
    fn tissues_and_diseases() {
        same(Kind::Tissue, &["oesophagus", "Esophagus"], "esophagus");
        same(Kind::Tissue, &["lymph nodes", "lymph node"], "lymph node");
        same(Kind::Disease, &["Crohn's disease", "Crohn disease", "Crohn’s diseases"], "crohn disease");
        same(Kind::Disease, &["leukaemias", "leukemia"], "leukemia");
    }

    #[test]
    fn words_that_only_look_plural_stay() {
        for word in ["thymus", "pancreas", "plexus", "diabetes", "virus", "testis", "lens", "basis", "grass"] {
            assert_eq!(singular(word), word);
        }
        let pairs = [("biopsies", "biopsy"), ("metastases", "metastase"), ("fibroses", "fibrosis"), ("boxes", "box")];
        for (many, one) in pairs {
            assert_eq!(singular(many), one);
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        for text in ["", " ", "-", "+", "'", "é̂", "’s", "αβ", "CD", "1", "😀+", "\u{0}"] {
            for kind in Kind::ALL {
                words(kind, text);
            }
        }
    }
}
