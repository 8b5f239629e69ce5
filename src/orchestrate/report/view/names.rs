//! Names and sentences as a reader wants them.

/// A set's name for reading: `HALLMARK_INTERFERON_ALPHA_RESPONSE` is `Interferon alpha response`.
/// Names that are not in capitals stay as they are.
pub fn readable(name: &str) -> String {
    if name.chars().any(char::is_lowercase) || !name.contains('_') {
        return name.to_owned();
    }
    let words = name.split_once('_').map_or(name, |(prefix, words)| match prefix {
        "HALLMARK" | "REACTOME" | "KEGG" | "WP" | "BIOCARTA" | "PID" | "GOBP" | "GOCC" | "GOMF" | "GO" => words,
        _ => name,
    });
    let mut words: Vec<String> = words.split('_').map(readable_word).collect();
    if let Some(first) = words.first_mut().filter(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
        && let Some(initial) = first.get_mut(..1)
    {
        initial.make_ascii_uppercase();
    }
    words.join(" ")
}

/// Capitals where the word is an abbreviation or a gene, small letters otherwise.
fn readable_word(word: &str) -> String {
    const ABBREVIATIONS: [&str; 40] = [
        "AKT", "ATP", "BCR", "DNA", "EGFR", "EJC", "ER", "ERK", "FGFR", "GPCR", "HDAC", "HIV", "HLA", "IFN", "JAK",
        "KRAS", "MAPK", "MHC", "MTOR", "MYC", "NADH", "NFKB", "NMD", "PCP", "PTEN", "RNA", "ROS", "RUNX", "SARS",
        "SRP", "STAT", "TCR", "TGF", "TLR", "TNF", "TNFA", "UPR", "UV", "VEGF", "WNT",
    ];
    match word {
        "RRNA" => "rRNA".into(),
        "MRNA" => "mRNA".into(),
        "TRNA" => "tRNA".into(),
        word if ABBREVIATIONS.contains(&word) => word.into(),
        word if word.bytes().any(|b| b.is_ascii_digit()) => word.into(),
        word => word.to_lowercase(),
    }
}

/// The plural of a cell type: `B cells`, `fibroblasts of lung`.
pub fn plural(cell_type: &str) -> String {
    let (head, tail) = cell_type.find(" of ").map_or((cell_type, ""), |at| cell_type.split_at(at));
    if head.ends_with('s') { cell_type.to_owned() } else { format!("{head}s{tail}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_readable() {
        assert_eq!(readable("HALLMARK_INTERFERON_ALPHA_RESPONSE"), "Interferon alpha response");
        assert_eq!(readable("Interferon alpha/beta signaling"), "Interferon alpha/beta signaling");
        assert_eq!(readable("MYC_TARGETS"), "MYC targets");
        assert_eq!(readable("REACTOME_RRNA_PROCESSING"), "rRNA processing");
        assert_eq!(readable("HALLMARK_IL6_JAK_STAT3_SIGNALING"), "IL6 JAK STAT3 signaling");
        assert_eq!(
            ["B cell", "fibroblast of lung", "NK cells"].map(plural),
            ["B cells", "fibroblasts of lung", "NK cells"]
        );
    }
}
