//! The configuration file: TOML, one key for each setting, no tables.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::ConfigError;
use super::table::{SETTINGS, Setting};

/// How many letters may differ between a key and the setting that was probably meant.
const SLIPS_MAX: usize = 3;

/// The values in the file, by the name of their setting.
pub(super) fn read(path: &Path) -> Result<BTreeMap<&'static str, String>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        file: path.to_owned(),
        source,
    })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        ConfigError::NotToml {
            file: path.to_owned(),
            line: before.map(|before| before.lines().count().max(1)),
            reason: error.message().replace('\n', ", "),
        }
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == key) else {
            let resembles = resembling(&key);
            let file = path.to_owned();
            return Err(ConfigError::UnknownKey { key, file, resembles });
        };
        values.insert(setting.name, as_text(value));
    }
    Ok(values)
}

/// A value as a flag or variable would give it. One of a shape that no setting has breaks every rule.
fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(values) => values.into_iter().map(as_text).collect::<Vec<_>>().join(","),
        other @ (Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Table(_)) => other.to_string(),
    }
}

/// The setting that was probably meant by `key`.
fn resembling(key: &str) -> Option<&'static str> {
    let key = key.to_lowercase().replace(['_', ' ', '.'], "-");
    let distance = |setting: &&Setting| slips(&key, setting.name);
    let nearest = SETTINGS.iter().min_by_key(distance)?;
    (distance(&nearest) <= SLIPS_MAX).then_some(nearest.name)
}

/// How many letters must be changed, added or left out to make one word of the other.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, theirs) in other.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let changed = diagonal + usize::from(letter != *theirs);
            diagonal = above;
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            left = changed.min(above + 1).min(left + 1);
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (one, other, count) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("lisen", "listen", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(slips(one, other), count, "{one} {other}");
            assert_eq!(slips(other, one), count, "{other} {one}");
        }
    }

    #[test]
    fn a_slip_is_told_and_nonsense_is_not() {
        assert_eq!(resembling("lisen"), Some("listen"));
        assert_eq!(resembling("DATABASE_URL"), Some("database-url"));
        assert_eq!(resembling("favourite-colour"), None);
    }
}
