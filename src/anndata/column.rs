//! A column of a table: its values as pandas holds them.

/// The values of a column, one per row.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// One of a few texts. Categories that are numbers or booleans in the file are spelt as Python spells them.
    Categorical {
        /// Position in `categories` of each row's value; -1 where it is missing.
        codes: Vec<i32>,
        /// The texts there may be; each may be unused.
        categories: Vec<String>,
        /// Whether the categories are in a meaningful order.
        ordered: bool,
    },
    /// Text, `None` where it is missing.
    Strings(Vec<Option<String>>),
    /// Whole numbers, `None` where they are missing.
    Integers(Vec<Option<i64>>),
    /// Decimal numbers, NaN where they are missing.
    Floats(Vec<f64>),
    /// Booleans, `None` where they are missing.
    Booleans(Vec<Option<bool>>),
}

impl Column {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Categorical { codes, .. } => codes.len(),
            Self::Strings(values) => values.len(),
            Self::Integers(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Booleans(values) => values.len(),
        }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values of the given rows, in the given order.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, rows: &[usize]) -> Self {
        fn of<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| values[row].clone()).collect()
        }
        match self {
            Self::Categorical { codes, categories, ordered } => {
                Self::Categorical { codes: of(codes, rows), categories: categories.clone(), ordered: *ordered }
            }
            Self::Strings(values) => Self::Strings(of(values, rows)),
            Self::Integers(values) => Self::Integers(of(values, rows)),
            Self::Floats(values) => Self::Floats(of(values, rows)),
            Self::Booleans(values) => Self::Booleans(of(values, rows)),
        }
    }

    /// Each value as Python's `str` spells it (`1.0`, `1e-05`, `True`), `None` where it is missing.
    pub fn to_strings(&self) -> Vec<Option<String>> {
        match self {
            Self::Categorical { codes, categories, .. } => {
                codes.iter().map(|&code| usize::try_from(code).ok().and_then(|c| categories.get(c).cloned())).collect()
            }
            Self::Strings(values) => values.clone(),
            Self::Integers(values) => values.iter().map(|value| value.map(|v| v.to_string())).collect(),
            Self::Floats(values) => values.iter().map(|&v| (!v.is_nan()).then(|| python_float(v))).collect(),
            Self::Booleans(values) => values.iter().map(|value| value.map(|v| python_bool(v).to_owned())).collect(),
        }
    }
}

/// `str(v)` of a Python boolean.
pub(super) fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// `str(v)` of a Python float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn python_float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "nan".to_owned() } else { format!("{value}") };
    }
    // Of several shortest spellings Python takes the nearest, halves to even; Rust's shortest does not, its
    // rounding to that many digits does.
    let shortest = format!("{value:e}");
    let n_digits = shortest.bytes().take_while(|&b| b != b'e').filter(u8::is_ascii_digit).count();
    let nearest = format!("{value:.*e}", n_digits - 1);
    let scientific = if nearest.parse() == Ok(value) { nearest } else { shortest };
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) && value != 0.0 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    let decimals = i32::try_from(n_digits).unwrap_or(0) - 1 - exponent;
    format!("{value:.*}", usize::try_from(decimals).unwrap_or(0).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelt_as_python_spells_them() {
        // Right-hand sides are what CPython's str() prints.
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (9999999999999998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1e22, "1e+22"),
            (-2.5e-300, "-2.5e-300"),
            (f64::from(0.1f32), "0.10000000149011612"),
            // Exactly between two shortest spellings.
            (-0.230_182_647_705_078_13, "-0.23018264770507812"),
            (1_020.823_303_222_656_3, "1020.8233032226562"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (5e-324, "5e-324"),
        ];
        for (value, text) in cases {
            assert_eq!(python_float(value), text);
        }
    }

    #[test]
    fn missing_values_have_no_text() {
        let column =
            Column::Categorical { codes: vec![1, -1, 0], categories: vec!["a".into(), "b".into()], ordered: false };
        assert_eq!(column.to_strings(), [Some("b".into()), None, Some("a".into())]);
        assert_eq!(Column::Floats(vec![f64::NAN, 2.0]).to_strings(), [None, Some("2.0".into())]);
        assert_eq!(Column::Booleans(vec![Some(true), None]).to_strings(), [Some("True".into()), None]);
        assert_eq!(Column::Integers(vec![None, Some(-3)]).len(), 2);
    }
}
