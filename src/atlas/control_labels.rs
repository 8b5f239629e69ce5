//! Which labels mean "unperturbed".
//!
//! A label is a control when nothing but names of controls is left of it: `vehicle (DMSO)` and
//! `[('DMSO_TF', 0.0, 'uM')]` are, `0.2 uM panobinostat in DMSO`, `WT1` and `NTRK1` are not. The
//! longest name that fits is taken, numbers and units are passed over, case and punctuation do not
//! count.

/// Names of controls, as words in lower case. Sources: the published sets listed with their
/// control labels in the documentation of `haystack import atlas`.
const CONTROLS: [&[&str]; 39] = [
    &["pbs"],
    &["dmso"],
    &["dmso", "tf"],
    &["dimethyl", "sulfoxide"],
    &["dimethylsulfoxide"],
    &["vehicle"],
    &["control"],
    &["controls"],
    &["ctrl"],
    &["untreated"],
    &["unstim"],
    &["unstimulated"],
    &["unperturbed"],
    &["no", "perturbation"],
    &["no", "perturbations"],
    &["no", "treatment"],
    &["no", "stimulation"],
    &["mock"],
    &["non", "targeting"],
    &["non", "targeting", "control"],
    &["nontargeting"],
    &["ntc"],
    &["nt"],
    &["negative", "control"],
    &["negative", "ctrl"],
    &["negctrl"],
    &["neg", "ctrl"],
    &["neg", "control"],
    &["vehicle", "control"],
    &["safe", "targeting"],
    &["safe", "harbor"],
    &["scramble"],
    &["scrambled"],
    &["aavs1"],
    &["wt"],
    &["wild", "type"],
    &["wildtype"],
    &["intergenic"],
    &["saline"],
];

/// Units a control label may carry beside a number.
const UNITS: [&str; 14] = ["um", "nm", "mm", "m", "h", "hr", "hrs", "hour", "hours", "d", "min", "ug", "ng", "ml"];

/// The control's name in the table, if the label is one.
pub fn control_label(label: &str) -> Option<String> {
    let words: Vec<String> =
        label.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let mut found: Option<&[&str]> = None;
    let mut at = 0;
    while at < words.len() {
        let fits =
            |name: &&&[&str]| words[at..].len() >= name.len() && words[at..].iter().zip(**name).all(|(a, b)| a == b);
        match CONTROLS.iter().filter(fits).max_by_key(|name| name.len()) {
            Some(name) => {
                at += name.len();
                if found.is_none_or(|longest| longest.len() < name.len()) {
                    found = Some(name);
                }
            }
            None if is_number(&words[at]) || UNITS.contains(&words[at].as_str()) => at += 1,
            None => return None,
        }
    }
    found.map(|name| name.join(" "))
}

fn is_number(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_labels_of_published_sets_are_known() {
        let labels = [
            "PBS",
            "DMSO",
            "DMSO_TF",
            "Dimethyl Sulfoxide",
            "Vehicle",
            "control",
            "ctrl",
            "Untreated",
            "Unstim",
            "unstimulated",
            "mock",
            "non-targeting",
            "NTC",
            "NT",
            "negative control",
            "safe-targeting",
            "scramble",
            "AAVS1",
            "WT",
            "[('DMSO_TF', 0.0, 'uM')]",
            "vehicle (DMSO)",
            " non_targeting 2",
            "no perturbations",
        ];
        for label in labels {
            assert!(control_label(label).is_some(), "{label} was not taken for a control");
        }
    }

    #[test]
    fn treated_cells_are_never_controls() {
        let labels = [
            "stim",
            "0.2 uM panobinostat",
            "panobinostat in DMSO",
            "WT1",
            "NTRK1",
            "control + IFNB1",
            "IFN-beta",
            "",
            "24 h",
            "1.0",
            "STAT1",
            "mockingbird",
        ];
        for label in labels {
            assert_eq!(control_label(label), None, "{label} was taken for a control");
        }
    }

    #[test]
    fn the_longest_name_is_shown() {
        assert_eq!(control_label("Non-Targeting Control").as_deref(), Some("non targeting control"));
        assert_eq!(control_label("DMSO_TF").as_deref(), Some("dmso tf"));
    }
}
