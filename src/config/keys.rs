//! The keys that exist: those of the default file.

use std::path::Path;
use std::sync::LazyLock;

use toml::de::{DeTable, DeValue};

use super::{DEFAULTS, Error};

static DEFAULT_TABLE: LazyLock<toml::Table> =
    LazyLock::new(|| DEFAULTS.parse().expect("the default file is part of the program and tested"));

/// The default of `section.key`; nothing for a section or an unknown key.
pub(super) fn default_of(key: &str) -> Option<&'static toml::Value> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let mut value = DEFAULT_TABLE.get(first)?;
    for part in rest.iter().flat_map(|rest| rest.split('.')) {
        value = value.as_table()?.get(part)?;
    }
    (!value.is_table()).then_some(value)
}

/// The key most like this one, if one is alike at all.
pub(super) fn nearest(key: &str) -> Option<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let mut known = Vec::new();
    collect("", &DEFAULT_TABLE, &mut known);
    let likeness = |other: &str| {
        let whole = strsim::normalized_damerau_levenshtein(key, other);
        // The right key in the wrong section, or in none.
        let moved = 0.9 * strsim::normalized_damerau_levenshtein(&last(key), &last(other));
        whole.max(moved)
    };
    let best = known.into_iter().map(|other| (likeness(&other), other)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.6).then_some(best.1)
}

fn collect(prefix: &str, table: &toml::Table, found: &mut Vec<String>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        if let Some(inner) = value.as_table() {
            collect(&format!("{key}."), inner, found);
        }
        found.push(key);
    }
}

/// Fails on the first key of a configuration file that does not exist.
pub(super) fn check_file(path: &Path, text: &str) -> Result<(), Error> {
    let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| Error::Syntax {
        path: path.to_owned(),
        why: match error.span() {
            Some(span) => format!("line {}: {}", line_of(span.start), error.message()),
            None => error.message().to_owned(),
        },
    })?;
    check_table("", table.get_ref(), &|at, key| Error::UnknownKey {
        place: format!("{} line {}", path.display(), line_of(at)),
        nearest: nearest(&key),
        key,
    })
}

fn check_table(prefix: &str, table: &DeTable<'_>, unknown: &dyn Fn(usize, String) -> Error) -> Result<(), Error> {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if is_section(&key) => check_table(&format!("{key}."), inner, unknown)?,
            _ if default_of(&key).is_some() || is_section(&key) => {}
            _ => return Err(unknown(name.span().start, key)),
        }
    }
    Ok(())
}

fn is_section(key: &str) -> bool {
    let mut parts = key.split('.');
    let first = parts.next().and_then(|part| DEFAULT_TABLE.get(part));
    parts.try_fold(first, |value, part| Some(value?.as_table()?.get(part))).flatten().is_some_and(toml::Value::is_table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys_are_found_and_far_ones_are_not() {
        let cases = [
            ("server.prot", Some("server.port")),
            ("port", Some("server.port")),
            ("serve", Some("server")),
            ("iteration.max_iteration", Some("iteration.max_iterations")),
            ("objects.region", Some("objects.s3.region")),
            ("database.uri", Some("database.url")),
            ("completely.different", None),
        ];
        for (key, expected) in cases {
            assert_eq!(nearest(key).as_deref(), expected, "{key}");
        }
    }

    #[test]
    fn an_unknown_key_is_reported_with_its_line() {
        let check = |text| check_file(Path::new("c.toml"), text).map_err(|error| error.to_string());
        check("home = '/x'\n[objects.s3]\nregion = 'eu-west-1'\n").unwrap();
        let error = check("[server]\nport = 1\nprot = 2\n").unwrap_err();
        assert_eq!(error, "c.toml line 3 sets 'server.prot', which does not exist; did you mean 'server.port'?");
        let error = check("[sever]\nport = 1\n").unwrap_err();
        assert!(error.contains("'sever'") && error.contains("'server'"), "{error}");
        let error = check("[server\n").unwrap_err();
        assert!(error.contains("c.toml") && error.contains("line 1"), "{error}");
    }
}
