//! Numbers as a reader wants them: no more digits than mean something.

/// A p-value: `0.034`, `3.2e-12`, `< 1e-300`.
pub fn p_value(p: f64) -> String {
    match p {
        p if p < 1e-300 => "< 1e-300".into(),
        p if p < 0.001 => format!("{p:.1e}"),
        p if p < 0.0995 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// A log2 fold change with its sign. Beyond ±10 a gene is hardly seen on one side, and the number
/// tells more of the pseudo-count than of the gene.
pub fn fold_change(value: f64) -> String {
    match value {
        v if v > 10.0 => "> +10".into(),
        v if v < -10.0 => "< -10".into(),
        v => format!("{v:+.2}"),
    }
}

/// A share as a percentage: `0 %`, `0.4 %`, `37 %`.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        p if p == 0.0 || p >= 9.95 => format!("{p:.0} %"),
        p if p < 0.1 => "< 0.1 %".into(),
        p => format!("{p:.1} %"),
    }
}

/// A correlation or another figure of two digits; a dash where there is none.
pub fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |v| format!("{v:.2}"))
}

/// A whole number with its thousands apart: `12 345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..].chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (first > 0).then(|| digits[..first].to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join("\u{202f}")
}

/// A count with its noun: `1 gene`, `262 genes`, `no genes`.
pub fn counted(n: usize, noun: &str) -> String {
    match n {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        n => format!("{} {noun}s", count(n as u64)),
    }
}

/// A duration: `4 s`, `2 min 5 s`, `1 h 20 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// `A`, `A and B`, `A, B and C`.
pub fn list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().into(),
        [head @ .., last] => {
            format!("{} and {}", head.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_sensible_digits() {
        let p_values = [0.0, 3.21e-12, 0.00099, 0.034, 0.099, 0.5, 1.0].map(p_value);
        assert_eq!(p_values, ["< 1e-300", "3.2e-12", "9.9e-4", "0.034", "0.099", "0.50", "1.00"]);
        assert_eq!([2.345, -0.5, 29.9, -25.0].map(fold_change), ["+2.35", "-0.50", "> +10", "< -10"]);
        assert_eq!(
            [0.0, 0.0004, 0.004, 0.0994, 0.0996, 1.0].map(percent),
            ["0 %", "< 0.1 %", "0.4 %", "9.9 %", "10 %", "100 %"]
        );
        assert_eq!([7, 1267, 18_533, 1_234_567].map(count), ["7", "1267", "18\u{202f}533", "1\u{202f}234\u{202f}567"]);
        assert_eq!([4.2, 125.0, 4800.0].map(duration), ["4 s", "2 min 5 s", "1 h 20 min"]);
        assert_eq!([list::<&str>(&[]), list(&["A"]), list(&["A", "B", "C"])], ["", "A", "A, B and C"]);
        assert_eq!([counted(0, "gene"), counted(1, "gene"), counted(262, "gene")], ["no genes", "1 gene", "262 genes"]);
    }
}
