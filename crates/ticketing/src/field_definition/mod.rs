//! What the custom fields of tickets are: their types, whether they must be there, and who may set them.
//!
//! A desk that defines none takes any custom field, as clients of the contract's tables do. One that defines some takes these
//! alone. What is in a ticket already stays readable whatever becomes of its definition.

pub(crate) mod port;

use chrono::{DateTime, NaiveDate, Utc};
use kernel::text::TextRule;
use kernel::{Version, Violation, Violations};
use regex_lite::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use crate::ticket::Audience;
use crate::value::{CUSTOM_FIELDS_MAX, CustomFields, text_value};

/// The most definitions of a desk: as many as a ticket can have fields.
pub const FIELDS_MAX: usize = CUSTOM_FIELDS_MAX;
/// The most characters of a field's name.
pub const FIELD_NAME_MAX_CHARS: usize = 50;
/// The most options of a select.
pub const FIELD_OPTIONS_MAX: usize = 100;
/// The most characters of an option.
pub const FIELD_OPTION_MAX_CHARS: usize = 100;
/// The most characters of a pattern.
pub const FIELD_PATTERN_MAX_CHARS: usize = 200;
/// The most characters of a text in a field that has a definition.
pub const FIELD_TEXT_MAX_CHARS: usize = 1_000;
/// The greatest place of a field among others; the least is 0.
pub const FIELD_PLACE_MAX: i16 = 9_999;

/// The most bytes that a compiled pattern takes: 64 KiB.
const PATTERN_SIZE_MAX: usize = 64 * 1024;

kernel::id_type! {
    /// The definition of a custom field.
    FieldId
}

/// The definition of a custom field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDefinition {
    /// Which.
    pub id: FieldId,
    /// The member's name in `customFields`; it never changes.
    pub name: FieldName,
    /// What forms call it.
    pub label: FieldLabel,
    /// What forms say about it.
    pub description: Option<FieldHelp>,
    /// What it can hold.
    pub values: FieldValues,
    /// Whether a new ticket must have it, and none may lose it.
    pub required: bool,
    /// Whether requesters may set it.
    pub user_editable: bool,
    /// Its place among the others.
    pub place: i16,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Moves with every change.
    pub version: Version,
}

/// The type of a field by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// A text.
    Text,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// A day, `2026-12-31`.
    Date,
    /// One of several texts.
    Select,
    /// Some of several texts.
    MultiSelect,
}

impl FieldType {
    /// Every type.
    pub const ALL: [Self; 6] = [
        Self::Text,
        Self::Number,
        Self::Boolean,
        Self::Date,
        Self::Select,
        Self::MultiSelect,
    ];

    /// The name in JSON and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::Text => "text",
            FieldType::Number => "number",
            FieldType::Boolean => "boolean",
            FieldType::Date => "date",
            FieldType::Select => "select",
            FieldType::MultiSelect => "multi_select",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What a field can hold.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValues {
    /// A text of up to [`FIELD_TEXT_MAX_CHARS`], that matches the pattern if there is one.
    Text(Option<Pattern>),
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// A day, `2026-12-31`.
    Date,
    /// One of these.
    Select(Options),
    /// Some of these, each once.
    MultiSelect(Options),
}

impl FieldValues {
    /// Puts a type together with what belongs to it.
    ///
    /// # Errors
    /// `required` at `/options` for a select without options, `not_allowed` for options or a pattern of another type.
    pub fn of(
        kind: FieldType,
        options: Option<Options>,
        pattern: Option<Pattern>,
    ) -> Result<Self, Violation> {
        if pattern.is_some() && kind != FieldType::Text {
            return Err(Violation::new(
                "/pattern",
                "not_allowed",
                "is for fields of the type text",
            ));
        }
        match (kind, options) {
            (FieldType::Select, Some(options)) => Ok(Self::Select(options)),
            (FieldType::MultiSelect, Some(options)) => Ok(Self::MultiSelect(options)),
            (FieldType::Select | FieldType::MultiSelect, None) => {
                let message = "must be given for the types select and multi_select";
                Err(Violation::new("/options", "required", message))
            }
            (_, Some(_)) => {
                let message = "are for fields of the types select and multi_select";
                Err(Violation::new("/options", "not_allowed", message))
            }
            (FieldType::Text, None) => Ok(Self::Text(pattern)),
            (FieldType::Number, None) => Ok(Self::Number),
            (FieldType::Boolean, None) => Ok(Self::Boolean),
            (FieldType::Date, None) => Ok(Self::Date),
        }
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> FieldType {
        match self {
            Self::Text(_) => FieldType::Text,
            Self::Number => FieldType::Number,
            Self::Boolean => FieldType::Boolean,
            Self::Date => FieldType::Date,
            Self::Select(_) => FieldType::Select,
            Self::MultiSelect(_) => FieldType::MultiSelect,
        }
    }

    /// The options of a select.
    #[must_use]
    pub fn options(&self) -> Option<&Options> {
        match self {
            Self::Select(options) | Self::MultiSelect(options) => Some(options),
            Self::Text(_) | Self::Number | Self::Boolean | Self::Date => None,
        }
    }

    /// The pattern of a text.
    #[must_use]
    pub fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::Text(pattern) => pattern.as_ref(),
            Self::Number | Self::Boolean | Self::Date | Self::Select(_) | Self::MultiSelect(_) => None,
        }
    }

    /// Checks a value at `pointer`.
    fn check(&self, pointer: &str, value: &Value) -> Result<(), Violation> {
        let wrong = |message: &str| Err(Violation::new(pointer, "wrong_type", message));
        match (self, value) {
            (Self::Text(pattern), Value::String(text)) => {
                let chars = text.chars().count();
                if chars > FIELD_TEXT_MAX_CHARS {
                    let message = format!("must have at most {FIELD_TEXT_MAX_CHARS} characters, has {chars}");
                    return Err(Violation::new(pointer, "too_long", message));
                }
                match pattern {
                    Some(pattern) if !pattern.fits(text) => {
                        let message = format!("must match {}", pattern.as_str());
                        Err(Violation::new(pointer, "no_match", message))
                    }
                    Some(_) | None => Ok(()),
                }
            }
            (Self::Text(_), _) => wrong("must be a text"),
            (Self::Number, Value::Number(_)) | (Self::Boolean, Value::Bool(_)) => Ok(()),
            (Self::Number, _) => wrong("must be a number"),
            (Self::Boolean, _) => wrong("must be true or false"),
            // Ten characters: chrono would also take "2026-1-1".
            (Self::Date, Value::String(text))
                if text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() =>
            {
                Ok(())
            }
            (Self::Date, _) => wrong("must be a day, such as 2026-12-31"),
            (Self::Select(options), Value::String(text)) => options.check(pointer, text),
            (Self::Select(_), _) => wrong("must be a text"),
            (Self::MultiSelect(options), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let at = format!("{pointer}/{index}");
                    let Value::String(text) = item else {
                        return Err(Violation::new(at, "wrong_type", "must be a text"));
                    };
                    options.check(&at, text)?;
                    if items.iter().take(index).any(|earlier| earlier == item) {
                        return Err(Violation::new(at, "duplicate", "must be given once"));
                    }
                }
                Ok(())
            }
            (Self::MultiSelect(_), _) => wrong("must be a list of texts"),
        }
    }
}

text_value! {
    /// What forms call a field: 1 to 100 characters on one line.
    FieldLabel, |pointer, raw| TextRule::line(1, 100).parse(pointer, raw)
}
text_value! {
    /// What forms say about a field: 1 to 500 characters.
    FieldHelp, |pointer, raw| TextRule::block(1, 500).parse(pointer, raw)
}

/// A member's name in `customFields`: 1 to 50 small letters, digits and `_`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldName(String);

impl FieldName {
    /// Checks a name that someone sent; `pointer` names its field.
    ///
    /// # Errors
    /// `bad_character`, `too_short` or `too_long`.
    pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
        let text = TextRule::line(1, FIELD_NAME_MAX_CHARS).parse(pointer, raw)?;
        let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
        let fits = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_';
        if begins && text.chars().all(fits) {
            return Ok(Self(text));
        }
        let message = "must be small letters, digits and _, and begin with a letter";
        Err(Violation::new(pointer, "bad_character", message))
    }

    /// Takes a name as a store read it.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The options of a select: 1 to [`FIELD_OPTIONS_MAX`] different texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options(Vec<String>);

impl Options {
    /// Checks options that someone sent; a bad one is named by its place.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(pointer: &str, raw: &[String]) -> Result<Self, Violation> {
        if raw.is_empty() || raw.len() > FIELD_OPTIONS_MAX {
            let message = format!("must have 1 to {FIELD_OPTIONS_MAX} options");
            let code = if raw.is_empty() { "too_few" } else { "too_many" };
            return Err(Violation::new(pointer, code, message));
        }
        let mut options: Vec<String> = Vec::new();
        for (index, option) in raw.iter().enumerate() {
            let at = format!("{pointer}/{index}");
            let option = TextRule::line(1, FIELD_OPTION_MAX_CHARS).parse(&at, option)?;
            if options.contains(&option) {
                return Err(Violation::new(at, "duplicate", "must be given once"));
            }
            options.push(option);
        }
        Ok(Self(options))
    }

    /// Takes options as a store read them.
    #[must_use]
    pub fn stored(options: Vec<String>) -> Self {
        Self(options)
    }

    /// The options, in the order given.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    fn check(&self, pointer: &str, text: &str) -> Result<(), Violation> {
        if self.0.iter().any(|option| option == text) {
            return Ok(());
        }
        let message = format!("must be one of: {}", self.0.join(", "));
        Err(Violation::new(pointer, "not_allowed", message))
    }
}

/// A regular expression that a text must match whole. Matching takes time in proportion to the text.
#[derive(Debug, Clone)]
pub struct Pattern {
    written: String,
    whole: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Pattern {
    /// Checks a pattern that someone sent; `pointer` names its field.
    ///
    /// # Errors
    /// When it is too long, or no regular expression.
    pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
        let written = TextRule::line(1, FIELD_PATTERN_MAX_CHARS).parse(pointer, raw)?;
        let whole = RegexBuilder::new(&format!(r"\A(?:{written})\z"))
            .size_limit(PATTERN_SIZE_MAX)
            .build();
        // By itself as well: a lone parenthesis could close ours.
        match (whole, Regex::new(&written)) {
            (Ok(whole), Ok(_)) => Ok(Self { written, whole }),
            (Err(error), _) | (_, Err(error)) => {
                let message = format!("must be a regular expression: {error}");
                Err(Violation::new(pointer, "bad_pattern", message))
            }
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    fn fits(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }
}

/// All definitions of a desk.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldSet(Vec<FieldDefinition>);

impl FieldSet {
    /// These definitions.
    #[must_use]
    pub fn new(definitions: Vec<FieldDefinition>) -> Self {
        Self(definitions)
    }

    fn find(&self, name: &str) -> Option<&FieldDefinition> {
        self.0.iter().find(|definition| definition.name.as_str() == name)
    }

    /// Checks the fields of a new ticket that someone of `audience` opens.
    ///
    /// # Errors
    /// All that is wrong with them, each at its pointer below `/customFields`.
    pub fn check_new(&self, fields: &CustomFields, audience: Audience) -> Result<(), Violations> {
        let mut faults = Violations::new();
        for (name, value) in fields.as_map() {
            faults.check(self.check_one(name, value, audience));
        }
        let missing = self.0.iter().filter(|definition| {
            let can_set = definition.user_editable || audience == Audience::Staff;
            definition.required && can_set && !fields.as_map().contains_key(definition.name.as_str())
        });
        for definition in missing {
            faults.push(Violation::new(
                at(definition.name.as_str()),
                "required",
                "must be given",
            ));
        }
        faults.into_result()
    }

    /// Checks a merge patch of custom fields that someone of `audience` sends; null takes a field away.
    ///
    /// # Errors
    /// All that is wrong with it, each at its pointer below `/customFields`.
    pub fn check_changes(&self, changes: &Map<String, Value>, audience: Audience) -> Result<(), Violations> {
        let mut faults = Violations::new();
        for (name, value) in changes {
            faults.check(self.check_one(name, value, audience));
        }
        faults.into_result()
    }

    fn check_one(&self, name: &str, value: &Value, audience: Audience) -> Result<(), Violation> {
        if self.0.is_empty() {
            return Ok(());
        }
        let Some(definition) = self.find(name) else {
            // What another writer put there, or an older definition, can go.
            if value.is_null() && audience == Audience::Staff {
                return Ok(());
            }
            let message = "is no custom field of this desk";
            return Err(Violation::new(at(name), "unknown_field", message));
        };
        if audience == Audience::Customer && !definition.user_editable {
            return Err(Violation::new(at(name), "not_allowed", "is set by staff"));
        }
        if value.is_null() {
            if definition.required {
                return Err(Violation::new(at(name), "required", "must not be taken away"));
            }
            return Ok(());
        }
        definition.values.check(&at(name), value)
    }
}

fn at(name: &str) -> String {
    kernel::member_pointer("/customFields", name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn definition(name: &str, values: FieldValues) -> FieldDefinition {
        FieldDefinition {
            id: FieldId(Uuid::from_u128(1)),
            name: FieldName::parse("/name", name).unwrap(),
            label: FieldLabel::stored(name.to_owned()),
            description: None,
            values,
            required: false,
            user_editable: true,
            place: 0,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            version: Version::FIRST,
        }
    }

    fn fault(set: &FieldSet, changes: &Value, audience: Audience) -> Option<(String, &'static str)> {
        let checked = set.check_changes(changes.as_object().unwrap(), audience);
        let violations = checked.err()?;
        let first = violations.as_slice().first()?;
        Some((first.pointer.clone(), first.code))
    }

    fn options() -> Options {
        Options::parse("/options", &["a".to_owned(), "b".to_owned()]).unwrap()
    }

    #[test]
    fn each_type_takes_its_values_and_no_others() {
        let pattern = Pattern::parse("/pattern", r"[A-Z]{2}-\d+|none").unwrap();
        let set = FieldSet::new(vec![
            definition("text", FieldValues::Text(None)),
            definition("code", FieldValues::Text(Some(pattern))),
            definition("number", FieldValues::Number),
            definition("flag", FieldValues::Boolean),
            definition("day", FieldValues::Date),
            definition("one", FieldValues::Select(options())),
            definition("some", FieldValues::MultiSelect(options())),
        ]);
        for good in [
            json!({ "text": "" }),
            json!({ "code": "AB-12" }),
            json!({ "code": "none" }),
            json!({ "number": -1.5 }),
            json!({ "flag": false }),
            json!({ "day": "2028-02-29" }),
            json!({ "one": "a" }),
            json!({ "some": [] }),
            json!({ "some": ["b", "a"] }),
            json!({ "text": null }),
        ] {
            assert_eq!(fault(&set, &good, Audience::Customer), None, "{good}");
        }
        for (bad, pointer, code) in [
            (json!({ "text": 1 }), "/customFields/text", "wrong_type"),
            (
                json!({ "text": "x".repeat(1_001) }),
                "/customFields/text",
                "too_long",
            ),
            (json!({ "code": "xAB-12" }), "/customFields/code", "no_match"),
            (json!({ "code": "AB-12\n" }), "/customFields/code", "no_match"),
            (json!({ "number": "1" }), "/customFields/number", "wrong_type"),
            (json!({ "flag": 1 }), "/customFields/flag", "wrong_type"),
            (json!({ "day": "2026-02-29" }), "/customFields/day", "wrong_type"),
            (json!({ "day": "2026-1-01" }), "/customFields/day", "wrong_type"),
            (json!({ "one": "c" }), "/customFields/one", "not_allowed"),
            (
                json!({ "some": ["a", "c"] }),
                "/customFields/some/1",
                "not_allowed",
            ),
            (json!({ "some": ["a", "a"] }), "/customFields/some/1", "duplicate"),
            (json!({ "else": 1 }), "/customFields/else", "unknown_field"),
        ] {
            let expected = Some((pointer.to_owned(), code));
            assert_eq!(fault(&set, &bad, Audience::Customer), expected, "{bad}");
        }
    }

    #[test]
    fn a_desk_without_definitions_takes_any() {
        let set = FieldSet::default();
        assert_eq!(
            fault(&set, &json!({ "x": [1], "y": null }), Audience::Customer),
            None
        );
        assert!(
            set.check_new(&CustomFields::default(), Audience::Customer)
                .is_ok()
        );
    }

    #[test]
    fn what_staff_alone_set_is_neither_taken_from_customers_nor_asked_of_them() {
        let mut internal = definition("cost", FieldValues::Number);
        internal.user_editable = false;
        internal.required = true;
        let set = FieldSet::new(vec![internal]);
        let expected = Some(("/customFields/cost".to_owned(), "not_allowed"));
        assert_eq!(fault(&set, &json!({ "cost": 1 }), Audience::Customer), expected);
        assert_eq!(fault(&set, &json!({ "cost": 1 }), Audience::Staff), None);
        assert!(
            set.check_new(&CustomFields::default(), Audience::Customer)
                .is_ok()
        );
        let missing = set
            .check_new(&CustomFields::default(), Audience::Staff)
            .unwrap_err();
        assert_eq!(missing.as_slice()[0].code, "required");
        let expected = Some(("/customFields/cost".to_owned(), "required"));
        assert_eq!(fault(&set, &json!({ "cost": null }), Audience::Staff), expected);
        // What has no definition any more can be cleared away by staff.
        assert_eq!(fault(&set, &json!({ "old": null }), Audience::Staff), None);
    }

    #[test]
    fn bad_definitions_are_refused() {
        for bad in ["", "Key", "1a", "a-b", "ä", "a b", &"x".repeat(51)] {
            assert!(FieldName::parse("/name", bad).is_err(), "{bad}");
        }
        for bad in ["(", "a)(b", "x{100000}", r"(?P<a>.", &"x".repeat(201)] {
            assert!(Pattern::parse("/pattern", bad).is_err(), "{bad}");
        }
        let of = |kind, options, pattern| FieldValues::of(kind, options, pattern).unwrap_err().pointer;
        assert_eq!(of(FieldType::Select, None, None), "/options");
        assert_eq!(of(FieldType::Number, Some(options()), None), "/options");
        let pattern = Pattern::parse("/pattern", "x").unwrap();
        assert_eq!(of(FieldType::Date, None, Some(pattern)), "/pattern");
        let twice = ["a".to_owned(), " a".to_owned()];
        assert_eq!(
            Options::parse("/options", &twice).unwrap_err().pointer,
            "/options/1"
        );
    }

    /// A pattern that takes others for ever takes no time here.
    #[test]
    fn matching_is_linear() {
        let pattern = Pattern::parse("/pattern", "(a+)+b").unwrap();
        let set = FieldSet::new(vec![definition("text", FieldValues::Text(Some(pattern)))]);
        let hostile = json!({ "text": "a".repeat(1_000) });
        let expected = Some(("/customFields/text".to_owned(), "no_match"));
        assert_eq!(fault(&set, &hostile, Audience::Customer), expected);
    }
}
