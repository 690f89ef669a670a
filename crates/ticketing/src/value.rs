//! Texts and documents of a ticket that are valid because they exist.
//!
//! `parse` is for what people send and checks every rule; `stored` is for what a store read back, which other
//! writers of the database may have put there, and keeps it as it is.

use kernel::Violation;
use kernel::text::{Lines, TextRule};
use serde_json::{Map, Value};

/// The most bytes (UTF-8) of a description, a message or a note: 64 KiB.
pub const BODY_MAX_BYTES: usize = 64 * 1024;
/// The most tags on a ticket.
pub const TAGS_MAX: usize = 20;
/// The most characters of a tag.
pub const TAG_MAX_CHARS: usize = 50;
/// The most custom fields on a ticket.
pub const CUSTOM_FIELDS_MAX: usize = 50;
/// The most bytes of a ticket's custom fields, or of its metadata, as JSON text: 16 KiB.
pub const DOCUMENT_MAX_BYTES: usize = 16 * 1024;
/// The most characters of a reason, a resolution or a hand-over note.
pub const REMARK_MAX_CHARS: usize = 2_000;

/// A text that is valid because it exists: `parse` checks what someone sent, `stored` takes what a store read.
macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Checks a text that someone sent; `pointer` names its field.
            ///
            /// # Errors
            /// The rule that it breaks.
            pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
                let parse: fn(&str, &str) -> Result<String, Violation> = $parse;
                parse(pointer, raw).map(Self)
            }

            /// Takes a text as a store read it.
            #[must_use]
            pub fn stored(text: String) -> Self {
                Self(text)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use text_value;

fn body(pointer: &str, raw: &str) -> Result<String, Violation> {
    let text = TextRule {
        min_chars: 1,
        max_chars: usize::MAX,
        lines: Lines::Many,
    }
    .parse(pointer, raw)?;
    if text.len() > BODY_MAX_BYTES {
        let message = format!(
            "must have at most {BODY_MAX_BYTES} bytes (UTF-8), has {}",
            text.len()
        );
        return Err(Violation::new(pointer, "too_long", message));
    }
    Ok(text)
}

text_value! {
    /// What a ticket is about: one line of 1 to 200 characters.
    Subject, |pointer, raw| TextRule::line(1, 200).parse(pointer, raw)
}
text_value! {
    /// What the requester wrote: 1 byte to [`BODY_MAX_BYTES`].
    Description, body
}
text_value! {
    /// A message or note as written, in Markdown: 1 byte to [`BODY_MAX_BYTES`].
    Body, body
}
text_value! {
    /// Why something was done: 1 to [`REMARK_MAX_CHARS`] characters.
    Remark, |pointer, raw| TextRule::block(1, REMARK_MAX_CHARS).parse(pointer, raw)
}

/// A ticket's tags: at most [`TAGS_MAX`], each lower case and given once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(Vec<String>);

impl Tags {
    /// Normalises tags that someone sent: trimmed, in lower case, the first of equals kept. A bad tag is named by
    /// its place: `/tags/3`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(pointer: &str, raw: &[String]) -> Result<Self, Violation> {
        let mut tags = Vec::new();
        for (index, tag) in raw.iter().enumerate() {
            let tag = TextRule::line(1, TAG_MAX_CHARS)
                .parse(&format!("{pointer}/{index}"), tag)?
                .to_lowercase();
            if !tags.contains(&tag) {
                tags.push(tag);
            }
            if tags.len() > TAGS_MAX {
                return Err(Violation::new(
                    pointer,
                    "too_many",
                    format!("must have at most {TAGS_MAX} tags"),
                ));
            }
        }
        Ok(Self(tags))
    }

    /// These tags and `more` behind them, each once.
    ///
    /// # Errors
    /// `too_many` at `pointer`.
    pub fn with(&self, pointer: &str, more: &Self) -> Result<Self, Violation> {
        let mut tags = self.0.clone();
        let news = more.0.iter().filter(|tag| !self.0.contains(tag));
        tags.extend(news.cloned());
        if tags.len() > TAGS_MAX && tags.len() > self.0.len() {
            let message = format!(
                "must leave the ticket with at most {TAGS_MAX} tags, not {}",
                tags.len()
            );
            return Err(Violation::new(pointer, "too_many", message));
        }
        Ok(Self(tags))
    }

    /// These tags and as many of `more` as there is room for, and those that were added.
    #[must_use]
    pub fn joined(&self, more: &Self) -> (Self, Self) {
        let room = TAGS_MAX.saturating_sub(self.0.len());
        let news = more.0.iter().filter(|tag| !self.0.contains(tag));
        let added: Vec<String> = news.take(room).cloned().collect();
        (Self([self.0.as_slice(), &added].concat()), Self(added))
    }

    /// These tags but for those.
    #[must_use]
    pub fn without(&self, those: &Self) -> Self {
        let kept = self.0.iter().filter(|tag| !those.0.contains(tag));
        Self(kept.cloned().collect())
    }

    /// Takes tags as a store read them.
    #[must_use]
    pub fn stored(tags: Vec<String>) -> Self {
        Self(tags)
    }

    /// The tags, in the order given.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The tags as a JSON array.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::from(self.0.clone())
    }
}

/// A ticket's custom fields: an object of at most [`CUSTOM_FIELDS_MAX`] members whose values are texts, numbers,
/// booleans or lists of texts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CustomFields(Map<String, Value>);

impl CustomFields {
    /// Checks fields that someone sent. A null takes its field away.
    ///
    /// # Errors
    /// The first rule that is broken, at the field's own pointer.
    pub fn parse(pointer: &str, raw: Map<String, Value>) -> Result<Self, Violation> {
        if raw.len() > CUSTOM_FIELDS_MAX {
            let message = format!("must have at most {CUSTOM_FIELDS_MAX} fields");
            return Err(Violation::new(pointer, "too_many", message));
        }
        let mut fields = Map::new();
        for (name, value) in raw {
            let at = kernel::member_pointer(pointer, &name);
            TextRule::line(1, 50).parse(&at, &name)?;
            let fits = match &value {
                Value::Null => continue,
                Value::String(_) | Value::Number(_) | Value::Bool(_) => true,
                Value::Array(items) => items.iter().all(Value::is_string),
                Value::Object(_) => false,
            };
            if !fits {
                let message = "must be a text, a number, a boolean or a list of texts";
                return Err(Violation::new(at, "wrong_type", message));
            }
            fields.insert(name, value);
        }
        within_document_bound(pointer, &fields)?;
        Ok(Self(fields))
    }

    /// Takes fields as a store read them.
    #[must_use]
    pub fn stored(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// These fields with `changes` on top, as a JSON merge patch: null takes a field away.
    ///
    /// # Errors
    /// The first rule that the changes, or the result, breaks.
    pub fn merged(&self, pointer: &str, changes: Map<String, Value>) -> Result<Self, Violation> {
        let removed: Vec<String> = changes
            .iter()
            .filter(|(_, value)| value.is_null())
            .map(|(name, _)| name.clone())
            .collect();
        let Self(set) = Self::parse(pointer, changes)?;
        let mut fields = self.0.clone();
        fields.extend(set);
        for name in removed {
            fields.remove(&name);
        }
        if fields.len() > CUSTOM_FIELDS_MAX {
            let message = format!("must have at most {CUSTOM_FIELDS_MAX} fields");
            return Err(Violation::new(pointer, "too_many", message));
        }
        within_document_bound(pointer, &fields)?;
        Ok(Self(fields))
    }

    /// The fields.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The fields as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

/// Checks that a document has at most [`DOCUMENT_MAX_BYTES`] as JSON text.
///
/// # Errors
/// `too_long` at `pointer`.
pub fn within_document_bound(pointer: &str, document: &Map<String, Value>) -> Result<(), Violation> {
    let bytes = Value::Object(document.clone()).to_string().len();
    if bytes > DOCUMENT_MAX_BYTES {
        let message = format!("must have at most {DOCUMENT_MAX_BYTES} bytes as JSON, has {bytes}");
        return Err(Violation::new(pointer, "too_long", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn tags_are_lower_case_and_given_once() {
        let raw = ["VPN ".to_owned(), "vpn".to_owned(), "Größe".to_owned()];
        assert_eq!(Tags::parse("/tags", &raw).unwrap().as_slice(), ["vpn", "größe"]);
    }

    #[test]
    fn a_bad_tag_is_named_by_its_place() {
        let raw = ["ok".to_owned(), "x".repeat(51)];
        assert_eq!(Tags::parse("/tags", &raw).unwrap_err().pointer, "/tags/1");
        let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        assert_eq!(Tags::parse("/tags", &many).unwrap_err().code, "too_many");
    }

    #[test]
    fn tags_come_and_go_one_by_one() {
        let tags = |names: &[&str]| Tags::stored(names.iter().map(|name| (*name).to_owned()).collect());
        let present = tags(&["vpn", "home"]);
        let more = present.with("/tags", &tags(&["home", "printer"])).unwrap();
        assert_eq!(more.as_slice(), ["vpn", "home", "printer"]);
        assert_eq!(
            more.without(&tags(&["home", "absent"])).as_slice(),
            ["vpn", "printer"]
        );
        let full: Vec<String> = (0..TAGS_MAX).map(|n| n.to_string()).collect();
        let full = Tags::stored(full);
        assert_eq!(full.with("/tags", &tags(&["7"])).unwrap(), full);
        assert_eq!(full.with("/tags", &tags(&["x"])).unwrap_err().code, "too_many");
        // More than we would take, from another writer: what is there already is no fault.
        let over: Vec<String> = (0..=TAGS_MAX).map(|n| n.to_string()).collect();
        let over = Tags::stored(over);
        assert_eq!(over.with("/tags", &tags(&["7"])).unwrap(), over);
    }

    #[test]
    fn a_body_is_measured_in_bytes() {
        assert!(Body::parse("/message", &"x".repeat(BODY_MAX_BYTES)).is_ok());
        assert_eq!(
            Body::parse("/message", &"ä".repeat(BODY_MAX_BYTES / 2 + 1))
                .unwrap_err()
                .code,
            "too_long"
        );
    }

    #[test]
    fn custom_fields_merge_and_null_takes_away() {
        let fields = CustomFields::parse("/customFields", map(json!({"a": 1, "b": ["x"]}))).unwrap();
        let merged = fields
            .merged("/customFields", map(json!({"a": null, "c": true})))
            .unwrap();
        assert_eq!(merged.to_json(), json!({"b": ["x"], "c": true}));
    }

    #[test]
    fn a_nested_custom_field_is_refused_at_its_pointer() {
        let violation = CustomFields::parse("/customFields", map(json!({"a/b": {"deep": 1}}))).unwrap_err();
        assert_eq!(violation.pointer, "/customFields/a~1b");
    }
}
