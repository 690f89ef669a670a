//! Reading what a person typed into a search.
//!
//! ```text
//! printer offline        both words, in any form
//! "paper jam"            these words side by side, as written
//! print*                 a word that begins so
//! -scanner               not this
//! subject:vpn            this in one part: subject, description, message, and for staff note
//! status:open,pending    a field: status, priority, channel, tag, assignee, requester, team
//! field.floor:2          a custom field that is this text, number or boolean, or has it in its list
//! ```
//! A name before a colon that is none of these is a word like any other, so that `http://host` and `error:42` are found as
//! they are.

use std::borrow::Cow;

use kernel::filter::Condition;
use kernel::{Violation, Violations};
use serde_json::{Value, json};

use super::{Part, SearchTerm, SearchText, Wanted};
use crate::fields::{TicketFields, UnsettledCondition};
use crate::ticket::Audience;

/// The most characters of a search.
pub const SEARCH_TEXT_MAX_CHARS: usize = 200;
/// The most terms of a search.
pub const SEARCH_TERMS_MAX: usize = 16;
/// The fewest characters before a `*`.
pub const PREFIX_MIN_CHARS: usize = 2;

/// The fields that a term can name, with the ticket's own.
const FIELDS: [(&str, &str, Values); 7] = [
    ("status", "status", Values::Names),
    ("priority", "priority", Values::Names),
    ("channel", "channel", Values::Names),
    ("tag", "tags", Values::Tags),
    ("assignee", "assignedToId", Values::Someone),
    ("requester", "createdById", Values::Someone),
    ("team", "teamId", Values::Someone),
];

#[derive(Clone, Copy)]
enum Values {
    /// One of several names, with commas between.
    Names,
    /// A tag.
    Tags,
    /// An id, `me` or `none`.
    Someone,
    /// What a custom field can be.
    Custom,
}

/// What stands before the key of a custom field.
const CUSTOM_PREFIX: &str = "field.";

/// The field that a term's name means: its name in the search, the ticket's own, and what it is compared with.
fn field_of(name: &str) -> Option<(&str, Cow<'static, str>, Values)> {
    if let Some(key) = name.strip_prefix(CUSTOM_PREFIX) {
        return (!key.is_empty()).then(|| (name, format!("customFields.{key}").into(), Values::Custom));
    }
    let (known, field, values) = FIELDS.iter().find(|(known, ..)| *known == name)?;
    Some((known, (*field).into(), *values))
}

/// A term as it stands in the text.
struct Raw {
    excluded: bool,
    name: Option<String>,
    value: String,
    quoted: bool,
}

impl SearchText {
    /// Reads a search: what to look for in texts, and the conditions on fields besides.
    ///
    /// # Errors
    /// All that is wrong with it; the pointers are empty, for the text is one value.
    pub fn read(text: &str, audience: Audience) -> Result<(Self, Vec<UnsettledCondition>), Violations> {
        let chars = text.chars().count();
        if chars > SEARCH_TEXT_MAX_CHARS {
            let message = format!("must have at most {SEARCH_TEXT_MAX_CHARS} characters, has {chars}");
            return Err(Violation::new("", "too_long", message).into());
        }
        if text.chars().any(char::is_control) {
            return Err(Violation::new("", "bad_character", "must not contain control characters").into());
        }
        let raw = terms(text);
        let mut faults = Violations::new();
        if raw.len() > SEARCH_TERMS_MAX {
            let message = format!("must have at most {SEARCH_TERMS_MAX} terms, has {}", raw.len());
            faults.push(Violation::new("", "too_many", message));
        }
        let (mut terms, mut conditions) = (Vec::new(), Vec::new());
        for term in raw.into_iter().take(SEARCH_TERMS_MAX) {
            let name = term.name.as_deref();
            if let Some((known, field, values)) = name.and_then(field_of) {
                match condition(&term, &field, values, audience) {
                    Ok(condition) => conditions.push(condition),
                    Err(violations) => {
                        for violation in violations.as_slice() {
                            let message = format!("{known}: {}", violation.message);
                            faults.push(Violation::new("", violation.code, message));
                        }
                    }
                }
                continue;
            }
            let part = Part::ALL.into_iter().find(|part| Some(part.as_str()) == name);
            match wanted(term.value, term.quoted) {
                Ok(Some(wanted)) => terms.push(SearchTerm {
                    wanted,
                    part,
                    excluded: term.excluded,
                }),
                Ok(None) => {}
                Err(violation) => faults.push(violation),
            }
        }
        if terms.is_empty() && conditions.is_empty() && faults.as_slice().is_empty() {
            faults.push(Violation::new("", "too_short", "must have something to look for"));
        }
        faults.into_result()?;
        Ok((Self { terms }, conditions))
    }
}

/// Cuts a text into terms; a quote that is never closed reaches to the end.
fn terms(text: &str) -> Vec<Raw> {
    let mut rest = text.trim_start();
    let mut terms = Vec::new();
    while !rest.is_empty() {
        let unsigned = rest.strip_prefix('-').filter(|after| starts_a_term(after));
        let excluded = unsigned.is_some();
        rest = unsigned.unwrap_or(rest);
        let name = name_of(rest);
        if let Some((_, after)) = name {
            rest = after;
        }
        let quoted = rest.strip_prefix('"');
        let (value, after) = match quoted {
            Some(inside) => inside.split_once('"').unwrap_or((inside, "")),
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        terms.push(Raw {
            excluded,
            name: name.map(|(name, _)| name.to_owned()),
            value: value.trim().to_owned(),
            quoted: quoted.is_some(),
        });
        rest = after.trim_start();
    }
    terms
}

fn starts_a_term(text: &str) -> bool {
    text.chars()
        .next()
        .is_some_and(|first| first.is_alphanumeric() || first == '"')
}

/// The name before a colon that this language knows, and what follows.
fn name_of(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(':')?;
    let is_one_word = !name.contains(|one: char| one.is_whitespace() || one == '"');
    let known =
        (is_one_word && field_of(name).is_some()) || Part::ALL.into_iter().any(|part| part.as_str() == name);
    let has_value = value.chars().next().is_some_and(|first| !first.is_whitespace());
    (known && has_value).then_some((name, value))
}

/// What a word is to find; `None` where it holds nothing that can be found.
fn wanted(value: String, quoted: bool) -> Result<Option<Wanted>, Violation> {
    if !value.chars().any(char::is_alphanumeric) {
        return Ok(None);
    }
    if quoted {
        return Ok(Some(Wanted::Phrase(value)));
    }
    let Some(beginning) = value.strip_suffix('*') else {
        return Ok(Some(Wanted::Word(value)));
    };
    let beginning = beginning.trim_end_matches('*');
    if beginning.chars().filter(|one| one.is_alphanumeric()).count() < PREFIX_MIN_CHARS {
        let message = format!("must have at least {PREFIX_MIN_CHARS} letters before a *");
        return Err(Violation::new("", "too_short", message));
    }
    Ok(Some(Wanted::Prefix(beginning.to_owned())))
}

fn condition(
    term: &Raw,
    field: &str,
    values: Values,
    audience: Audience,
) -> Result<UnsettledCondition, Violations> {
    let value = term.value.as_str();
    let (operator, value) = match values {
        Values::Someone if value == "none" => ("is_set", Value::Null),
        Values::Someone => ("equals", Value::from(value)),
        Values::Tags => ("contains", Value::from(value.to_lowercase())),
        Values::Names => ("in", value.split(',').map(Value::from).collect()),
        Values::Custom => {
            let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
            let whole = value.parse::<i64>().ok().map(Value::from);
            let number = whole.or(number.map(Value::from));
            let flag = value.parse::<bool>().ok().map(Value::from);
            let all = [Some(Value::from(value)), number, flag];
            ("in", all.into_iter().flatten().collect())
        }
    };
    // Nobody is assigned: the opposite of somebody is.
    let negated = term.excluded != (operator == "is_set");
    let operator = match (operator, negated) {
        ("is_set", true) => "is_not_set",
        ("equals", true) => "not_equals",
        ("contains", true) => "not_contains",
        ("in", true) => "not_in",
        (positive, _) => positive,
    };
    let mut json = json!({ "field": field, "operator": operator });
    if !value.is_null()
        && let Some(members) = json.as_object_mut()
    {
        members.insert("value".to_owned(), value);
    }
    Condition::read(&json, "", &TicketFields(audience))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<SearchTerm>, usize) {
        let (text, conditions) = SearchText::read(text, Audience::Staff).unwrap();
        (text.terms, conditions.len())
    }

    fn faults(text: &str) -> Vec<(&'static str, String)> {
        let faults = SearchText::read(text, Audience::Staff).unwrap_err();
        let told = faults.as_slice().iter();
        told.map(|fault| (fault.code, fault.message.clone())).collect()
    }

    fn term(wanted: Wanted) -> SearchTerm {
        SearchTerm {
            wanted,
            part: None,
            excluded: false,
        }
    }

    #[test]
    fn words_phrases_and_beginnings_are_told_apart() {
        let (terms, _) = read("  printer \"paper  jam\" print* * -- ");
        assert_eq!(
            terms,
            [
                term(Wanted::Word("printer".to_owned())),
                term(Wanted::Phrase("paper  jam".to_owned())),
                term(Wanted::Prefix("print".to_owned())),
            ]
        );
    }

    #[test]
    fn a_minus_excludes_and_a_hyphen_does_not() {
        let (terms, _) = read("-scanner wi-fi -\"on fire\" - x");
        assert_eq!(
            terms.iter().map(|term| term.excluded).collect::<Vec<_>>(),
            [true, false, true, false]
        );
        assert_eq!(terms[1].wanted, Wanted::Word("wi-fi".to_owned()));
    }

    #[test]
    fn a_part_is_named_before_a_colon_and_other_colons_are_text() {
        let (terms, conditions) =
            read("subject:vpn -note:\"call back\" http://host error:42 subject: message:pri*");
        assert_eq!(conditions, 0);
        assert_eq!(
            terms.iter().map(|term| term.part).collect::<Vec<_>>(),
            [
                Some(Part::Subject),
                Some(Part::Internal),
                None,
                None,
                None,
                Some(Part::Message)
            ]
        );
        assert!(terms[1].excluded);
        assert_eq!(terms[2].wanted, Wanted::Word("http://host".to_owned()));
    }

    #[test]
    fn fields_become_conditions() {
        let (terms, conditions) =
            read("status:open,pending -tag:VPN assignee:none -assignee:me team:none priority:high");
        assert_eq!((terms.len(), conditions), (0, 6));
    }

    #[test]
    fn every_fault_is_told() {
        assert_eq!(
            faults("status:odd a* priority:big"),
            [
                (
                    "not_allowed",
                    "status: must be one of open, pending, resolved, closed".to_owned()
                ),
                ("too_short", "must have at least 2 letters before a *".to_owned()),
                (
                    "not_allowed",
                    "priority: must be one of low, medium, high, urgent".to_owned()
                ),
            ]
        );
        assert_eq!(faults("-- \" ")[0].0, "too_short");
        assert_eq!(faults(&"x".repeat(201))[0].0, "too_long");
        assert_eq!(faults(&"x ".repeat(17))[0].0, "too_many");
        assert_eq!(faults("a\u{7}b")[0].0, "bad_character");
    }
}
