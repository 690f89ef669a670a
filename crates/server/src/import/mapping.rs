//! Which column of a file becomes which field of a ticket.
//!
//! The command line gives rules ([`Assignment`], [`Translation`]); [`Mapping::bind`] holds them against the columns that
//! the file has, once, before anything is imported; [`Mapping::raw`] then turns row after row into what ticketing
//! parses. To add a field: a variant of [`Field`], a name in [`Field::SIMPLE`], and its place in [`Mapping::raw`].

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use csv::ByteRecord;
use identity::{EmailAddress, PersonName};
use kernel::{Violation, Violations};
use serde_json::{Map, Value};
use ticketing::RawRow;

use super::rows::Content;

/// The prefix of a custom field's name.
const CUSTOM_FIELDS: &str = "customFields";

/// A field that a row can fill.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Field {
    ExternalId,
    Subject,
    Description,
    Priority,
    Status,
    Channel,
    Tags,
    RequesterEmail,
    RequesterName,
    CreatedAt,
    EndedAt,
    /// One custom field, by name.
    Custom(String),
}

impl Field {
    /// Every field but the custom ones.
    const SIMPLE: [(&'static str, Field); 11] = [
        ("externalId", Field::ExternalId),
        ("subject", Field::Subject),
        ("description", Field::Description),
        ("priority", Field::Priority),
        ("status", Field::Status),
        ("channel", Field::Channel),
        ("tags", Field::Tags),
        ("requesterEmail", Field::RequesterEmail),
        ("requesterName", Field::RequesterName),
        ("createdAt", Field::CreatedAt),
        ("endedAt", Field::EndedAt),
    ];

    fn named(name: &str) -> Option<Self> {
        let custom = name
            .strip_prefix(CUSTOM_FIELDS)
            .and_then(|rest| rest.strip_prefix('.'));
        match custom {
            Some("") => None,
            Some(custom) => Some(Self::Custom(custom.to_owned())),
            None => Self::SIMPLE
                .into_iter()
                .find(|(simple, _)| *simple == name)
                .map(|(_, field)| field),
        }
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::named(name.trim()).ok_or_else(|| {
            let names: Vec<_> = Self::SIMPLE.iter().map(|(name, _)| *name).collect();
            format!(
                "there is no field {name:?}; there are {} and {CUSTOM_FIELDS}.NAME",
                names.join(", ")
            )
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Custom(name) => write!(f, "{CUSTOM_FIELDS}.{name}"),
            simple => {
                let name = Self::SIMPLE
                    .iter()
                    .find(|(_, field)| field == simple)
                    .map_or("", |(name, _)| name);
                f.write_str(name)
            }
        }
    }
}

/// `field=text`: the column of a field, or its value where a row has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub(super) field: Field,
    pub(super) text: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(rule: &str) -> Result<Self, String> {
        let (field, text) = rule.split_once('=').ok_or("must have the form field=text")?;
        Ok(Self {
            field: field.parse()?,
            text: text.to_owned(),
        })
    }
}

/// `field:from=to`: what one value of the file means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    field: Field,
    from: String,
    to: String,
}

impl FromStr for Translation {
    type Err = String;

    fn from_str(rule: &str) -> Result<Self, String> {
        let form = "must have the form field:from=to";
        let (field, values) = rule.split_once(':').ok_or(form)?;
        let (from, to) = values.split_once('=').ok_or(form)?;
        Ok(Self {
            field: field.parse()?,
            from: from.trim().to_owned(),
            to: to.to_owned(),
        })
    }
}

impl Translation {
    /// The field, what the file says, and what that means.
    pub(super) fn parts(&self) -> (&Field, &str, &str) {
        (&self.field, &self.from, &self.to)
    }
}

/// A rule of the command line that does not fit the file, or another rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// A column that the file does not have.
    #[error("{field} is to come from the column {column:?}, which the file does not have; it has {columns}")]
    UnknownColumn {
        /// The field.
        field: String,
        /// The column that is missing.
        column: String,
        /// Those that there are.
        columns: String,
    },
    /// Two columns for one field.
    #[error("{0} is given more than once")]
    Twice(String),
    /// Nothing fills a field that every ticket needs.
    #[error("nothing fills {field}: name its column by --map {field}=COLUMN{or}; the file has {columns}")]
    Unfilled {
        /// The field.
        field: &'static str,
        /// What could be done instead.
        or: &'static str,
        /// The columns that there are.
        columns: String,
    },
    /// All rows would be the same ticket.
    #[error("externalId cannot be the same for every row")]
    OneId,
}

/// Where a field's value is in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    /// In this field of a CSV row.
    Index(usize),
    /// In this member of a JSON object.
    Member(String),
    /// Behind this JSON pointer.
    Pointer(String),
}

/// What the requester is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requester {
    pub(super) email: EmailAddress,
    pub(super) name: PersonName,
}

/// Each field's column, constant and translations.
#[derive(Debug)]
pub(super) struct Mapping {
    columns: Vec<(Field, Column)>,
    /// A JSON member that holds custom fields as an object.
    custom_fields: Option<Column>,
    constants: HashMap<Field, String>,
    translations: HashMap<Field, HashMap<String, String>>,
    id_is_line: bool,
}

impl Mapping {
    /// Holds the rules against the columns that a file has. A column with a field's own name fills it unless another
    /// one is named for it.
    pub(super) fn bind(
        maps: &[Assignment],
        sets: &[Assignment],
        values: &[Translation],
        columns: &[String],
        is_json: bool,
    ) -> Result<Self, MappingError> {
        let listed = || columns.join(", ");
        let find = |name: &str| match columns.iter().position(|column| column == name) {
            Some(_) if is_json => Some(Column::Member(name.to_owned())),
            Some(index) => Some(Column::Index(index)),
            None => {
                let first = name.strip_prefix('/').filter(|_| is_json)?.split('/').next()?;
                let first = first.replace("~1", "/").replace("~0", "~");
                columns.contains(&first).then(|| Column::Pointer(name.to_owned()))
            }
        };
        let mut bound: Vec<(Field, Column)> = Vec::new();
        for Assignment { field, text } in maps {
            if bound.iter().any(|(other, _)| other == field) {
                return Err(MappingError::Twice(format!("the column of {field}")));
            }
            let column = find(text.trim()).ok_or_else(|| MappingError::UnknownColumn {
                field: field.to_string(),
                column: text.clone(),
                columns: listed(),
            })?;
            bound.push((field.clone(), column));
        }
        for name in columns {
            if let Some(field) = Field::named(name)
                && !bound.iter().any(|(other, _)| *other == field)
                && let Some(column) = find(name)
            {
                bound.push((field, column));
            }
        }
        let mut constants = HashMap::new();
        for Assignment { field, text } in sets {
            if *field == Field::ExternalId {
                return Err(MappingError::OneId);
            }
            if constants.insert(field.clone(), text.clone()).is_some() {
                return Err(MappingError::Twice(format!("the value of {field}")));
            }
        }
        let mut translations: HashMap<Field, HashMap<String, String>> = HashMap::new();
        for Translation { field, from, to } in values {
            if translations
                .entry(field.clone())
                .or_default()
                .insert(from.clone(), to.clone())
                .is_some()
            {
                return Err(MappingError::Twice(format!("the meaning of {field}:{from}")));
            }
        }
        let is_filled =
            |field: &Field| bound.iter().any(|(other, _)| other == field) || constants.contains_key(field);
        let needed = [
            ("subject", Field::Subject, ""),
            ("description", Field::Description, ""),
            (
                "requesterEmail",
                Field::RequesterEmail,
                ", or give --requester EMAIL for all rows",
            ),
        ];
        for (name, field, or) in needed {
            if !is_filled(&field) {
                return Err(MappingError::Unfilled {
                    field: name,
                    or,
                    columns: listed(),
                });
            }
        }
        let id_is_line = !is_filled(&Field::ExternalId);
        let custom_fields = find(CUSTOM_FIELDS).filter(|_| is_json);
        Ok(Self {
            columns: bound,
            custom_fields,
            constants,
            translations,
            id_is_line,
        })
    }

    /// The row as ticketing parses it, and whom it is of.
    pub(super) fn raw(&self, line: u64, content: &Content) -> (RawRow, Result<Requester, Violations>) {
        let mut raw = RawRow::default();
        if self.id_is_line {
            raw.external_id = Value::from(line.to_string());
        }
        if let Some(Value::Object(fields)) = self.custom_fields.as_ref().map(|column| value(content, column))
        {
            raw.custom_fields = fields;
        }
        let (mut email, mut name) = (Value::Null, Value::Null);
        let mut put = |field: &Field, value: Value| match field {
            Field::ExternalId => raw.external_id = value,
            Field::Subject => raw.subject = value,
            Field::Description => raw.description = value,
            Field::Priority => raw.priority = value,
            Field::Status => raw.status = value,
            Field::Channel => raw.channel = value,
            Field::Tags => raw.tags = value,
            Field::RequesterEmail => email = value,
            Field::RequesterName => name = value,
            Field::CreatedAt => raw.created_at = value,
            Field::EndedAt => raw.ended_at = value,
            Field::Custom(custom) => insert(&mut raw.custom_fields, custom, value),
        };
        for (field, column) in &self.columns {
            let value = self.translated(field, value(content, column));
            if !is_blank(&value) {
                put(field, value);
            } else if let Some(constant) = self.constants.get(field) {
                put(field, Value::from(constant.as_str()));
            }
        }
        for (field, constant) in &self.constants {
            if !self.columns.iter().any(|(other, _)| other == field) {
                put(field, Value::from(constant.as_str()));
            }
        }
        (raw, requester(&email, &name))
    }

    fn translated(&self, field: &Field, value: Value) -> Value {
        let Some(meanings) = self.translations.get(field) else {
            return value;
        };
        let one = |value: Value| {
            let text = match &value {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Null => String::new(),
                Value::Array(_) | Value::Object(_) => return value,
            };
            meanings.get(&text).map_or(value, |to| Value::from(to.as_str()))
        };
        match value {
            Value::Array(items) => Value::Array(items.into_iter().map(one).collect()),
            value => one(value),
        }
    }
}

fn insert(fields: &mut Map<String, Value>, name: &str, value: Value) {
    fields.insert(name.to_owned(), value);
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

fn value(content: &Content, column: &Column) -> Value {
    match (content, column) {
        (Content::Fields(record), Column::Index(index)) => field(record, *index),
        (Content::Object(object), Column::Member(name)) => object.get(name).cloned().unwrap_or_default(),
        (Content::Object(object), Column::Pointer(pointer)) => {
            object.pointer(pointer).cloned().unwrap_or_default()
        }
        // The mapping is bound to the file's format.
        (Content::Fields(_), Column::Member(_) | Column::Pointer(_))
        | (Content::Object(_), Column::Index(_)) => Value::Null,
    }
}

fn field(record: &ByteRecord, index: usize) -> Value {
    let text = record
        .get(index)
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.map(Value::from).unwrap_or_default()
}

fn requester(email: &Value, name: &Value) -> Result<Requester, Violations> {
    let mut faults = Violations::new();
    let email = faults.check(match text("/requesterEmail", email) {
        Ok(Some(text)) => EmailAddress::parse("/requesterEmail", text),
        Ok(None) => Err(Violation::new("/requesterEmail", "required", "must be given")),
        Err(fault) => Err(fault),
    });
    let name = faults.check(text("/requesterName", name).and_then(|given| {
        // Who has no name is called by the first part of the address.
        let address = email.as_ref().map_or("", EmailAddress::as_str);
        let text = given
            .or_else(|| address.split('@').next())
            .filter(|text| !text.is_empty());
        text.map(|text| PersonName::parse("/requesterName", text))
            .transpose()
    }));
    match (email, name) {
        (Some(email), Some(Some(name))) => Ok(Requester { email, name }),
        _ => Err(faults),
    }
}

fn text<'a>(pointer: &str, value: &'a Value) -> Result<Option<&'a str>, Violation> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(Violation::new(pointer, "wrong_type", "must be a text"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn assignments(rules: &[&str]) -> Vec<Assignment> {
        rules.iter().map(|rule| rule.parse().unwrap()).collect()
    }

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn bind(
        maps: &[&str],
        sets: &[&str],
        values: &[&str],
        names: &[&str],
        is_json: bool,
    ) -> Result<Mapping, MappingError> {
        let values: Vec<Translation> = values.iter().map(|rule| rule.parse().unwrap()).collect();
        Mapping::bind(
            &assignments(maps),
            &assignments(sets),
            &values,
            &columns(names),
            is_json,
        )
    }

    #[test]
    fn a_rule_names_a_field_that_exists() {
        let refusal = "colour=x".parse::<Assignment>().unwrap_err();
        assert!(
            refusal.contains("colour") && refusal.contains("subject, description"),
            "{refusal}"
        );
        assert!("customFields.=x".parse::<Assignment>().is_err());
        assert!("priority".parse::<Assignment>().is_err());
        assert!("priority=high".parse::<Translation>().is_err());
    }

    #[test]
    fn a_column_that_is_not_there_is_told_with_those_that_are() {
        let error = bind(&["subject=titel"], &[], &[], &["row", "title"], false).unwrap_err();
        assert!(
            error.to_string().contains("\"titel\"") && error.to_string().contains("row, title"),
            "{error}"
        );
        let error = bind(&["subject=title"], &[], &[], &["title", "description"], false).unwrap_err();
        assert!(error.to_string().contains("--requester"), "{error}");
        let set = ["requesterEmail=a@b.example", "externalId=1"];
        assert_eq!(
            bind(&[], &set, &[], &["subject", "description"], false).unwrap_err(),
            MappingError::OneId
        );
    }

    #[test]
    fn values_are_mapped_translated_and_filled_in() {
        let maps = ["subject=title", "customFields.area=category"];
        let sets = [
            "requesterEmail=Desk@Example.org",
            "priority=low",
            "customFields.origin=old desk",
        ];
        let names = ["title", "description", "priority", "category"];
        let mapping = bind(&maps, &sets, &["priority:0=urgent", "priority:?="], &names, false).unwrap();
        let row = |fields: &[&str]| mapping.raw(9, &Content::Fields(ByteRecord::from(fields.to_vec())));
        let (raw, requester) = row(&["Printer", "on fire", " 0", "7"]);
        assert_eq!(
            (raw.external_id, raw.subject, raw.priority),
            (json!("9"), json!("Printer"), json!("urgent"))
        );
        assert_eq!(
            Value::Object(raw.custom_fields),
            json!({ "area": "7", "origin": "old desk" })
        );
        let requester = requester.unwrap();
        assert_eq!(
            (requester.email.as_str(), requester.name.as_str()),
            ("desk@example.org", "desk")
        );
        for priority in ["", "?"] {
            assert_eq!(
                row(&["Printer", "on fire", priority, ""]).0.priority,
                json!("low")
            );
        }
    }

    #[test]
    fn json_is_mapped_by_member_or_pointer_and_its_custom_fields_keep_their_types() {
        let maps = ["requesterEmail=/from/email", "externalId=id"];
        let names = ["id", "subject", "description", "from", "tags", "customFields"];
        let mapping = bind(&maps, &[], &["tags:b=c"], &names, true).unwrap();
        let object = json!({
            "id": 4, "subject": "s", "description": "d", "from": { "email": "a@b.example" },
            "tags": ["a", "b"], "customFields": { "vip": true },
        });
        let (raw, requester) = mapping.raw(1, &Content::Object(object));
        assert_eq!((raw.external_id, raw.tags), (json!(4), json!(["a", "c"])));
        assert_eq!(Value::Object(raw.custom_fields), json!({ "vip": true }));
        assert_eq!(requester.unwrap().email.as_str(), "a@b.example");
    }

    #[test]
    fn a_bad_address_and_a_bad_name_are_told_together() {
        let faults = requester(&json!("nobody"), &json!("x".repeat(101))).unwrap_err();
        let codes: Vec<_> = faults.as_slice().iter().map(|fault| fault.code).collect();
        assert_eq!(codes, ["bad_email", "too_long"]);
        assert_eq!(
            requester(&Value::Null, &Value::Null).unwrap_err().as_slice()[0].code,
            "required"
        );
    }
}
