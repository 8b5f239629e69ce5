//! Labels that are Python's lists of tuples: `[('Dabrafenib', 0.05, 'uM'), ('Trametinib', 0.5, 'uM')]`.
//!
//! Tahoe-100M keeps drug, dose and unit in one such label.

/// One substance of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dosed {
    /// Its name.
    pub name: String,
    /// The number, as the file spells it.
    pub dose: String,
    /// Its unit.
    pub unit: String,
}

/// The substances of a label, if it is such a list.
pub fn read(label: &str) -> Option<Vec<Dosed>> {
    let mut rest = label.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (dosed, after) = tuple(rest)?;
        all.push(dosed);
        rest = match after.trim_start() {
            "" => "",
            more => more.strip_prefix(',')?.trim_start(),
        };
    }
    (!all.is_empty()).then_some(all)
}

/// The names in a label, joined as the labels of combinations are; the label itself if it is no such list.
pub fn names(label: &str) -> String {
    joined(label, |dosed| dosed.name.clone()).unwrap_or_else(|| label.to_owned())
}

/// The doses with their units in a label.
pub fn doses(label: &str) -> Option<String> {
    joined(label, |dosed| format!("{} {}", dosed.dose, dosed.unit))
}

fn joined(label: &str, part: impl Fn(&Dosed) -> String) -> Option<String> {
    Some(read(label)?.iter().map(part).collect::<Vec<_>>().join(" + "))
}

fn tuple(text: &str) -> Option<(Dosed, &str)> {
    let rest = text.strip_prefix('(')?.trim_start();
    let (name, rest) = quoted(rest)?;
    let rest = rest.trim_start().strip_prefix(',')?.trim_start();
    let end = rest.find(',')?;
    let dose = rest[..end].trim();
    dose.parse::<f64>().ok()?;
    let (unit, rest) = quoted(rest[end + 1..].trim_start())?;
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(',').map_or(rest, str::trim_start).strip_prefix(')')?;
    Some((Dosed { name, dose: dose.to_owned(), unit }, rest))
}

/// A Python string at the start of a text, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            c if c == quote => return Some((value, &text[at + c.len_utf8()..])),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_one_and_of_several_substances_are_read() {
        assert_eq!(
            (names("[('DMSO_TF', 0.0, 'uM')]"), doses("[('DMSO_TF', 0.0, 'uM')]")),
            ("DMSO_TF".into(), Some("0.0 uM".into()))
        );
        let two = r#"[('Dabrafenib', 0.05, 'uM'), ("5'-azacytidine", 5e-1, 'uM')]"#;
        assert_eq!((names(two), doses(two)), ("Dabrafenib + 5'-azacytidine".into(), Some("0.05 uM + 5e-1 uM".into())));
        assert_eq!(names(r"[('a\'b', 1, 'nM',)]"), "a'b");
    }

    #[test]
    fn anything_else_is_left_alone() {
        for label in
            ["DMSO", "", "[]", "[('a')]", "[('a', x, 'uM')]", "[('a', 1.0, 'uM'", "[('a', 1.0, 'uM')('b', 1.0, 'uM')]"]
        {
            assert_eq!((names(label), doses(label)), (label.to_owned(), None), "{label}");
        }
    }
}
