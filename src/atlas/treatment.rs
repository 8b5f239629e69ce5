//! What a label of the perturbation column says was done to the cells.

use super::control_labels::control_label;
use super::mapping::Source;

/// Reading of the labels of one cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Treatment {
    /// No label.
    Nothing,
    /// A control label, as the file spells it.
    Control(String),
    /// A perturbation, as the file spells it.
    Perturbed(String),
}

impl Treatment {
    /// Reads a label of the column. The mapping's control labels count if it names any, else the
    /// usual ones.
    pub fn read(source: &Source, label: Option<&str>) -> Self {
        Self::of(label, |label| match &source.control {
            Some(controls) => names(controls, label),
            None => control_label(label).is_some(),
        })
    }

    /// Reads a label of the second column, where the usual control labels always count too.
    pub fn read_second(source: &Source, label: Option<&str>) -> Self {
        let named = |label: &str| source.control.as_ref().is_some_and(|controls| names(controls, label));
        Self::of(label, |label| named(label) || control_label(label).is_some())
    }

    fn of(label: Option<&str>, is_control: impl Fn(&str) -> bool) -> Self {
        match label.filter(|label| !label.trim().is_empty()) {
            None => Self::Nothing,
            Some(label) if is_control(label) => Self::Control(label.to_owned()),
            Some(label) => Self::Perturbed(label.to_owned()),
        }
    }

    /// Both treatments together. Two perturbations become one combined label.
    pub fn with(&self, second: &Self) -> Self {
        match (self, second) {
            (Self::Perturbed(first), Self::Perturbed(second)) => Self::Perturbed(format!("{first} + {second}")),
            (Self::Perturbed(one), _) | (_, Self::Perturbed(one)) => Self::Perturbed(one.clone()),
            (Self::Control(label), _) | (_, Self::Control(label)) => Self::Control(label.clone()),
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// Whether the label is one of these, case and spaces at the ends aside.
fn names(labels: &[String], label: &str) -> bool {
    labels.iter().any(|known| known.trim().eq_ignore_ascii_case(label.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_controls_take_the_place_of_the_usual_ones() {
        let usual = Source::default();
        let named = Source { control: Some(vec!["baseline".into()]), ..Source::default() };
        assert_eq!(Treatment::read(&usual, Some("DMSO")), Treatment::Control("DMSO".into()));
        assert_eq!(Treatment::read(&named, Some("DMSO")), Treatment::Perturbed("DMSO".into()));
        assert_eq!(Treatment::read(&named, Some("Baseline ")), Treatment::Control("Baseline ".into()));
        assert_eq!(Treatment::read_second(&named, Some("DMSO")), Treatment::Control("DMSO".into()));
        assert_eq!(Treatment::read(&usual, Some(" ")), Treatment::Nothing);
    }

    #[test]
    fn two_perturbations_combine_and_controls_give_way() {
        let (a, b) = (Treatment::Perturbed("a".into()), Treatment::Perturbed("b".into()));
        let control = Treatment::Control("ctrl".into());
        assert_eq!(a.with(&b), Treatment::Perturbed("a + b".into()));
        assert_eq!(control.with(&b), b);
        assert_eq!(Treatment::Nothing.with(&control), control);
    }
}
