//! The ways a biologist may have meant the words of a name.

use super::normalize::Kind;

/// A cell type's name without words that papers leave out: `CD4-positive, alpha-beta T cell` is
/// known as the CD4+ T cell.
pub fn relaxed(words: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(words.len());
    let mut rest = words;
    while let Some((first, tail)) = rest.split_first() {
        let followed_by = |next: &str| tail.first().is_some_and(|word| word == next);
        let left_out = match first.as_str() {
            "alpha" => followed_by("beta"),
            "thymus" => followed_by("derived"),
            "human" | "vertebrata" => tail.is_empty(),
            _ => false,
        };
        rest = match left_out {
            true if !tail.is_empty() => &tail[1..],
            true => tail,
            false => {
                kept.push(first.clone());
                tail
            }
        };
    }
    kept
}

/// The words in the ways a biologist may have meant them, surest first.
pub fn variants(kind: Kind, words: &[String]) -> Vec<Vec<String>> {
    let mut variants = vec![words.to_vec()];
    // `M` or `H` alone may be short for anything.
    if let [only] = words
        && only.len() < 3
    {
        return variants;
    }
    let mut add = |variant: Vec<String>| {
        if !variant.is_empty() && !variants.contains(&variant) {
            variants.push(variant);
        }
    };
    match kind {
        Kind::CellType => {
            let expanded = expanded(words);
            for words in [words.to_vec(), expanded] {
                for words in [words.clone(), with_signs(&words)] {
                    add(words.clone());
                    match words.split_last() {
                        Some((last, rest)) if last == "cell" => add(rest.to_vec()),
                        _ => add([words, vec!["cell".to_owned()]].concat()),
                    }
                }
            }
        }
        Kind::Perturbation => {
            const ASIDE: [&str; 14] = [
                "recombinant",
                "human",
                "rh",
                "rhu",
                "treatment",
                "stimulation",
                "stimulated",
                "treated",
                "protein",
                "cytokine",
                "exposure",
                "therapy",
                "drug",
                "compound",
            ];
            add(words.iter().filter(|word| !ASIDE.contains(&word.as_str())).cloned().collect());
        }
        Kind::Tissue => {
            if let Some((last, rest)) = words.split_last()
                && matches!(last.as_str(), "tissue" | "sample" | "biopsy")
            {
                add(rest.to_vec());
            }
        }
        Kind::Disease => {}
    }
    variants
}

/// Laboratory shorthand spelled out.
fn expanded(words: &[String]) -> Vec<String> {
    let spell = |word: &str| -> Option<&'static str> {
        Some(match word {
            "tcm" => "central memory t cell",
            "tem" => "effector memory t cell",
            "temra" => "effector memory t cell terminally differentiated",
            "tfh" => "t follicular helper cell",
            "dc" => "dendritic cell",
            "pdc" => "plasmacytoid dendritic cell",
            "cdc" => "conventional dendritic cell",
            "mdc" => "myeloid dendritic cell",
            "ec" => "endothelial cell",
            "lec" => "lymphatic endothelial cell",
            "smc" => "smooth muscle cell",
            "vsmc" => "vascular smooth muscle cell",
            "hsc" => "hematopoietic stem cell",
            "mono" => "monocyte",
            "mac" | "macs" => "macrophage",
            "neut" => "neutrophil",
            "fib" | "fibro" => "fibroblast",
            "epi" => "epithelial cell",
            "endo" => "endothelial cell",
            "oligo" => "oligodendrocyte",
            "opc" => "oligodendrocyte precursor cell",
            "astro" => "astrocyte",
            "ilc" => "innate lymphoid cell",
            _ => return None,
        })
    };
    words
        .iter()
        .flat_map(|word| match spell(word) {
            Some(spelled) => spelled.split(' ').map(str::to_owned).collect::<Vec<_>>(),
            None => vec![word.clone()],
        })
        .collect()
}

/// `cd 4` as `cd 4 positive` where no sign is given.
fn with_signs(words: &[String]) -> Vec<String> {
    let mut signed = Vec::with_capacity(words.len() + 1);
    for (at, word) in words.iter().enumerate() {
        signed.push(word.clone());
        let is_marker = at > 0 && words[at - 1] == "cd" && word.bytes().all(|b| b.is_ascii_digit());
        let has_sign = words.get(at + 1).is_some_and(|next| {
            matches!(next.as_str(), "positive" | "negative" | "high" | "low" | "single" | "double")
        });
        if is_marker && !has_sign {
            signed.push("positive".to_owned());
        }
    }
    signed
}
