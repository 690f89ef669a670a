//! What the mappings of all help desks have in common.

use std::collections::HashMap;

use serde_json::{Map, Value};
use ticketing::{CUSTOM_FIELDS_MAX, TAG_MAX_CHARS, TAGS_MAX};

use super::items::{DeskComment, DeskPerson, DeskTeam, DeskTicket, Remark};
use super::text;
use crate::import::Translation;
use crate::import::mapping::Field;

/// The most characters of a text that is kept in a ticket's metadata.
const KEPT_MAX_CHARS: usize = 300;
/// The most characters of a custom field's name.
const FIELD_NAME_MAX_CHARS: usize = 50;
/// The most bytes of a ticket's custom fields that are taken.
const FIELDS_MAX_BYTES: usize = 15 * 1024;
/// The most characters of a team's name.
const TEAM_NAME_MAX_CHARS: usize = 100;
/// The most names of organizations that are held.
const ORGANIZATIONS_MAX: usize = 500_000;

/// What the command line says that values of the export mean.
#[derive(Debug, Clone, Default)]
pub(super) struct Meanings(HashMap<(Field, String), String>);

impl Meanings {
    /// Reads the rules; they can be about status, priority and channel.
    ///
    /// # Errors
    /// What is wrong with a rule.
    pub(super) fn of(translations: &[Translation]) -> Result<Self, String> {
        let mut meanings = HashMap::new();
        for (field, from, to) in translations.iter().map(Translation::parts) {
            if !matches!(field, Field::Status | Field::Priority | Field::Channel) {
                return Err(format!(
                    "--value can be about status, priority and channel, not {field}"
                ));
            }
            let key = (field.clone(), from.to_lowercase());
            if meanings.insert(key, to.to_owned()).is_some() {
                return Err(format!("the meaning of {field}:{from} is given more than once"));
            }
        }
        Ok(Self(meanings))
    }

    /// What a value means, in lower case.
    pub(super) fn meaning(&self, field: &Field, value: &str) -> String {
        let value = value.trim().to_lowercase();
        let key = (field.clone(), value);
        self.0.get(&key).map_or(key.1, |to| to.to_lowercase())
    }
}

/// Names of organizations by id.
#[derive(Debug, Default)]
pub(super) struct Organizations(HashMap<String, String>);

impl Organizations {
    pub(super) fn add(&mut self, id: String, name: &str) {
        if self.0.len() < ORGANIZATIONS_MAX {
            self.0.insert(id, text::clip(&text::line(name), 100));
        }
    }

    /// The name, or the id where there is none.
    pub(super) fn name(&self, id: String) -> String {
        self.0.get(&id).cloned().unwrap_or(id)
    }
}

/// What a comment says: its text, or, where it has none, the names of its files.
pub(super) fn said(body: &str, attachments: &[String]) -> Option<String> {
    let body = text::block(body);
    if !body.is_empty() {
        return Some(body);
    }
    let files = text::clip(&text::line(&attachments.join(", ")), KEPT_MAX_CHARS);
    (!files.is_empty()).then(|| format!("(no text; files: {files})"))
}

/// Keeps a text in a ticket's metadata.
pub(super) fn keep(origin: &mut Map<String, Value>, name: &str, value: Option<String>) {
    if let Some(value) = value {
        origin.insert(
            name.to_owned(),
            Value::from(text::clip(&text::line(&value), KEPT_MAX_CHARS)),
        );
    }
}

/// As many tags as a ticket can have.
pub(super) fn tags(given: impl IntoIterator<Item = String>, remarks: &mut Vec<Remark>) -> Value {
    let (mut tags, mut lost): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for tag in given {
        let tag = text::line(&tag).to_lowercase();
        if tag.is_empty() || tags.contains(&tag) {
            continue;
        }
        if tags.len() < TAGS_MAX && tag.chars().count() <= TAG_MAX_CHARS {
            tags.push(tag);
        } else {
            lost.push(text::clip(&tag, TAG_MAX_CHARS * 2));
        }
    }
    if !lost.is_empty() {
        lost.truncate(100);
        remarks.push(Remark::new(
            "tags",
            "tags_left_out",
            format!(
                "a ticket has at most {TAGS_MAX} tags of {TAG_MAX_CHARS} characters; left out: {}",
                lost.join(", ")
            ),
        ));
    }
    Value::from(tags)
}

/// As many custom fields as a ticket can have, each as it can be stored.
pub(super) fn custom_fields(
    given: impl IntoIterator<Item = (String, Value)>,
    remarks: &mut Vec<Remark>,
) -> Map<String, Value> {
    let (mut fields, mut bytes, mut lost) = (Map::new(), 0, Vec::new());
    for (name, value) in given {
        let Some(value) = field_value(value) else { continue };
        let name = text::clip(&text::line(&name), FIELD_NAME_MAX_CHARS);
        let size = name.len() + value.to_string().len() + 4;
        let fits = fields.len() < CUSTOM_FIELDS_MAX && bytes + size <= FIELDS_MAX_BYTES;
        if !fits || name.is_empty() || fields.contains_key(&name) {
            lost.push(name);
            continue;
        }
        bytes += size;
        fields.insert(name, value);
    }
    if !lost.is_empty() {
        lost.truncate(100);
        remarks.push(Remark::new(
            "customFields",
            "fields_left_out",
            format!(
                "a ticket has at most {CUSTOM_FIELDS_MAX} custom fields of {FIELDS_MAX_BYTES} bytes in all; left out: {}",
                lost.join(", ")
            ),
        ));
    }
    fields
}

fn field_value(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) => {
            let text = text::block(&text);
            (!text.is_empty()).then(|| Value::from(text))
        }
        Value::Number(_) | Value::Bool(_) => Some(value),
        Value::Array(items) => {
            let texts = items.into_iter().filter_map(|item| match item {
                Value::String(text) => Some(text::block(&text)).filter(|text| !text.is_empty()),
                Value::Null => None,
                other => Some(other.to_string()),
            });
            let texts: Vec<String> = texts.collect();
            (!texts.is_empty()).then(|| Value::from(texts))
        }
        Value::Object(map) if map.is_empty() => None,
        object @ Value::Object(_) => Some(Value::from(text::block(&object.to_string()))),
    }
}

/// Teams with names that differ: of several with one name, all but the first are told apart by their ids.
pub(super) fn told_apart<T>(mut teams: Vec<(T, DeskTeam)>) -> Vec<(T, DeskTeam)> {
    teams.sort_by_key(|(_, team)| (team.id.parse::<u64>().unwrap_or(u64::MAX), team.id.clone()));
    let mut names = std::collections::HashSet::new();
    for (_, team) in &mut teams {
        team.name = text::clip(&text::line(&team.name), TEAM_NAME_MAX_CHARS);
        if team.name.is_empty() || !names.insert(team.name.clone()) {
            let sign = format!(" ({})", text::clip(&team.id, 40));
            let room = TEAM_NAME_MAX_CHARS - sign.chars().count();
            team.name = (text::clip(&team.name, room) + &sign).trim().to_owned();
            names.insert(team.name.clone());
        }
    }
    teams
}

/// How a ticket began.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginning {
    /// The description is the first comment once more; else it is a text of its own.
    pub(super) is_a_comment: bool,
    /// Who wrote it, where that is not the requester.
    pub(super) author: Option<DeskPerson>,
    /// The export says that the customer does not see the ticket.
    pub(super) is_for_staff: bool,
}

/// Gives a ticket its conversation: its description is the first comment, which `description` repeats where the export
/// has one. Text that was for staff alone becomes no description, which the customer reads.
pub(super) fn converse(
    ticket: &mut DeskTicket,
    description: Option<String>,
    mut comments: Vec<DeskComment>,
    begins: Beginning,
) {
    let Beginning {
        is_a_comment,
        author,
        is_for_staff,
    } = begins;
    comments.sort_by_key(|comment| comment.at);
    ticket.comments_read = comments.len() as u64;
    ticket.attachments += comments
        .iter()
        .map(|comment| comment.attachments.len() as u64)
        .sum::<u64>();
    let description = description
        .map(|text| text::block(&text))
        .filter(|text| !text.is_empty());
    let created_at = ticket.raw.created_at.as_str().and_then(super::record::time);
    let begins = |comment: &DeskComment| match (comment.at, created_at) {
        (Some(at), Some(created_at)) => (at - created_at).num_seconds().abs() <= 2,
        _ => false,
    };
    let repeats = |comment: &DeskComment| {
        description
            .as_deref()
            .is_some_and(|text| text::begins_with(&comment.text, text))
    };
    let first = comments
        .iter()
        .position(repeats)
        .or_else(|| (is_a_comment && comments.first().is_some_and(begins)).then_some(0));
    let (text, rest_is_public) = match first.map(|place| (place, comments[place].is_public)) {
        Some((place, true)) => {
            let first = comments.remove(place);
            let text = description.unwrap_or_default();
            // What the comment says is the whole; some exports cut descriptions.
            (Some(if first.text.is_empty() { text } else { first.text }), true)
        }
        Some((_, false)) => (None, false),
        None if is_for_staff && description.is_some() => {
            comments.insert(
                0,
                DeskComment {
                    id: String::new(),
                    author: author.unwrap_or_else(|| ticket.requester.clone()),
                    by_staff: None,
                    text: description.unwrap_or_default(),
                    is_public: false,
                    at: created_at,
                    attachments: Vec::new(),
                },
            );
            (None, false)
        }
        None => (description, true),
    };
    let (description, rest) = match text {
        Some(text) if !text.is_empty() => text::description(&text),
        _ if rest_is_public => (text::NO_TEXT.to_owned(), Vec::new()),
        _ => (text::FOR_STAFF.to_owned(), Vec::new()),
    };
    for part in rest.into_iter().rev() {
        comments.insert(
            0,
            DeskComment {
                id: String::new(),
                author: ticket.requester.clone(),
                by_staff: Some(false),
                text: part,
                is_public: true,
                at: created_at,
                attachments: Vec::new(),
            },
        );
    }
    let subject = ticket.raw.subject.as_str().map(str::to_owned);
    ticket.raw.subject = Value::from(text::subject(subject.as_deref(), &description));
    ticket.raw.description = Value::from(description);
    ticket
        .origin
        .insert("comments".to_owned(), Value::from(ticket.comments_read));
    ticket.comments = comments;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn comment(text: &str, is_public: bool, minute: u32) -> DeskComment {
        DeskComment {
            id: minute.to_string(),
            author: DeskPerson::known_as("1"),
            by_staff: None,
            text: text.to_owned(),
            is_public,
            at: crate::import::desk::record::time(&format!("2025-01-01T10:{minute:02}:00Z")),
            attachments: Vec::new(),
        }
    }

    fn conversed(
        description: Option<&str>,
        comments: Vec<DeskComment>,
        is_for_staff: bool,
    ) -> (String, Vec<(String, bool)>) {
        let mut ticket = DeskTicket::default();
        ticket.raw.created_at = json!("2025-01-01T10:00:00+00:00");
        let begins = Beginning {
            is_a_comment: true,
            author: None,
            is_for_staff,
        };
        converse(&mut ticket, description.map(str::to_owned), comments, begins);
        let said = ticket
            .comments
            .into_iter()
            .map(|comment| (comment.text, comment.is_public));
        (
            ticket.raw.description.as_str().unwrap().to_owned(),
            said.collect(),
        )
    }

    #[test]
    fn the_first_comment_is_the_description_and_comes_once() {
        let comments = vec![comment("reply", true, 5), comment("on  fire", true, 0)];
        let reply = vec![("reply".to_owned(), true)];
        assert_eq!(
            conversed(Some("on fire"), comments.clone(), false),
            ("on  fire".to_owned(), reply.clone())
        );
        assert_eq!(
            conversed(None, comments, false),
            ("on  fire".to_owned(), reply.clone())
        );
        assert_eq!(
            conversed(Some("on fire"), vec![comment("reply", true, 5)], false),
            ("on fire".to_owned(), reply)
        );
        assert_eq!(conversed(None, vec![], false), (text::NO_TEXT.to_owned(), vec![]));
    }

    #[test]
    fn text_for_staff_never_becomes_the_description() {
        let secret = ("he lies".to_owned(), false);
        let hidden = text::FOR_STAFF.to_owned();
        for comments in [vec![comment("he lies", false, 0)], vec![]] {
            assert_eq!(
                conversed(Some("he lies"), comments, true),
                (hidden.clone(), vec![secret.clone()])
            );
        }
        let late = vec![comment("hello", true, 0), comment("he lies", false, 9)];
        assert_eq!(
            conversed(Some("he lies"), late, false).0,
            hidden,
            "whatever else was written"
        );
    }

    #[test]
    fn a_description_that_is_too_long_goes_on_in_messages() {
        let long = "line\n".repeat(40_000);
        let (description, rest) = conversed(Some(&long), vec![], false);
        let whole: String = std::iter::once(description)
            .chain(rest.into_iter().map(|(text, is_public)| {
                assert!(is_public);
                text
            }))
            .collect();
        assert_eq!(whole.trim(), long.trim());
    }

    #[test]
    fn tags_and_fields_beyond_the_bounds_are_told() {
        let mut remarks = Vec::new();
        let many = (0..25)
            .map(|n| format!("T {n}"))
            .chain(["x".repeat(60), "t 1".to_owned()]);
        assert_eq!(tags(many, &mut remarks).as_array().unwrap().len(), TAGS_MAX);
        let many = (0..60).map(|n| (format!("f{n}"), json!({ "n": n })));
        assert_eq!(custom_fields(many, &mut remarks).len(), CUSTOM_FIELDS_MAX);
        let rules: Vec<_> = remarks.iter().map(|remark| remark.rule.as_str()).collect();
        assert_eq!(rules, ["tags_left_out", "fields_left_out"]);
        let large = [
            ("a".to_owned(), json!("x".repeat(FIELDS_MAX_BYTES))),
            ("b".to_owned(), json!("\u{0}y")),
            ("c".to_owned(), json!("")),
            ("d".to_owned(), json!([1, "z"])),
        ];
        assert_eq!(
            Value::Object(custom_fields(large, &mut Vec::new())),
            json!({ "b": "y", "d": ["1", "z"] })
        );
    }

    #[test]
    fn teams_of_one_name_are_told_apart_in_the_same_way_each_time() {
        let team = |id: &str, name: &str| {
            let (id, name) = (id.to_owned(), name.to_owned());
            let description = None;
            (
                (),
                DeskTeam {
                    id,
                    name,
                    description,
                },
            )
        };
        let names = |teams: Vec<((), DeskTeam)>| -> Vec<String> {
            told_apart(teams).into_iter().map(|(_, team)| team.name).collect()
        };
        let expected = ["My Group", "My Group (10)", "(11)"];
        assert_eq!(
            names(vec![
                team("10", "My Group"),
                team("9", "My Group "),
                team("11", "")
            ]),
            expected
        );
        let long = "x".repeat(120);
        let told = names(vec![team("1", &long), team("2", &long)]);
        assert!(told.iter().all(|name| name.chars().count() == 100) && told[1].ends_with(" (2)"));
    }

    #[test]
    fn a_rule_says_what_a_value_means() {
        let rule = |text: &str| vec![text.parse::<Translation>().unwrap()];
        let meanings = Meanings::of(&rule("status:Waiting on us=open")).unwrap();
        assert_eq!(meanings.meaning(&Field::Status, "waiting ON us"), "open");
        assert_eq!(meanings.meaning(&Field::Status, " New "), "new");
        assert!(Meanings::of(&rule("subject:a=b")).is_err());
    }
}
