//! A record of an export, read tolerantly: numbers may be texts, what is empty is not there.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value};

/// A JSON object, or a row of a table as one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Record<'a> {
    /// A text that is not blank, trimmed; numbers and booleans as they are written.
    pub(super) fn text(self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => {
                let text = text.trim();
                (!text.is_empty()).then(|| text.to_owned())
            }
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The first of these that has a text.
    pub(super) fn first_text(self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name))
    }

    /// An id. Numbers below 1 stand for nobody.
    pub(super) fn id(self, name: &str) -> Option<String> {
        self.text(name)
            .filter(|text| !text.parse::<i64>().is_ok_and(|number| number < 1))
    }

    /// Yes or no.
    pub(super) fn flag(self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "t" | "1" | "yes" => Some(true),
                "false" | "f" | "0" | "no" => Some(false),
                _ => None,
            },
            Value::Number(number) => number.as_i64().map(|number| number != 0),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// A time.
    pub(super) fn time(self, name: &str) -> Option<DateTime<Utc>> {
        time(&self.text(name)?)
    }

    /// A time as the rules of tickets read it; one that is no time stays as it is, for them to refuse.
    pub(super) fn time_value(self, name: &str) -> Value {
        match (self.time(name), self.text(name)) {
            (Some(time), _) => Value::from(time.to_rfc3339()),
            (None, Some(text)) => Value::from(text),
            (None, None) => Value::Null,
        }
    }

    pub(super) fn object(self, name: &str) -> Option<Record<'a>> {
        self.0.get(name)?.as_object().map(Record)
    }

    pub(super) fn list(self, name: &str) -> &'a [Value] {
        self.0
            .get(name)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// The objects of a list.
    pub(super) fn records(self, name: &str) -> impl Iterator<Item = Record<'a>> {
        self.list(name).iter().filter_map(Value::as_object).map(Record)
    }
}

/// A time as help desks write it: RFC 3339, with an offset behind a space, or without one, which is UTC.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    const WITH_OFFSET: [&str; 2] = ["%Y-%m-%d %H:%M:%S%.f %z", "%Y/%m/%d %H:%M:%S%.f %z"];
    const WITHOUT: [&str; 3] = [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f UTC",
    ];
    DateTime::parse_from_rfc3339(text)
        .ok()
        .or_else(|| {
            WITH_OFFSET
                .iter()
                .find_map(|format| DateTime::parse_from_str(text, format).ok())
        })
        .map(|time| time.to_utc())
        .or_else(|| {
            let naive = |format: &&str| NaiveDateTime::parse_from_str(text, format).ok();
            WITHOUT.iter().find_map(naive).map(|time| time.and_utc())
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_with_their_offset() {
        for text in [
            "2012-09-06T20:18:55Z",
            "2012-09-07T01:48:55+05:30",
            "2012-09-06 12:18:55 -0800",
            "2012/09/06 12:18:55 -0800",
            "2012-09-06 20:18:55",
            "2012-09-06 20:18:55.000",
        ] {
            let read = time(text).map(|time| time.to_rfc3339());
            assert_eq!(read.as_deref(), Some("2012-09-06T20:18:55+00:00"), "{text}");
        }
        assert_eq!(time("yesterday"), None);
    }

    #[test]
    fn a_field_is_there_whatever_it_is_written_as() {
        let map = json!({ "a": 7, "b": " 7 ", "c": "", "d": -1, "e": "TRUE", "f": null, "g": { "x": 1 }, "h": [{}] });
        let record = Record(map.as_object().unwrap());
        assert_eq!(
            (record.id("a"), record.id("b")),
            (record.text("b"), record.text("a"))
        );
        assert_eq!(
            (record.id("c"), record.id("d"), record.text("f")),
            (None, None, None)
        );
        assert_eq!((record.flag("e"), record.flag("c")), (Some(true), None));
        assert_eq!(record.object("g").unwrap().text("x").as_deref(), Some("1"));
        assert_eq!(record.records("h").count(), 1);
        assert_eq!(record.time_value("b"), json!("7"));
    }
}
