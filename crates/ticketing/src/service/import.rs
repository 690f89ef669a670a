//! Bringing tickets in from elsewhere, so that it can be repeated: a row is known by its source and its id there.
//!
//! What was read of a row is a [`RawRow`]; [`ImportRow::parse`] holds it to every rule of a ticket and tells all that
//! it breaks; [`Import::import`] makes tickets of what passed. A new field of a row is added to all three.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use events::{Event, Fact, TicketChannel, TicketFact, TicketPriority, TicketStatus};
use kernel::clock::to_database_precision;
use kernel::text::TextRule;
use kernel::{Actor, Clock, IdSource, PortError, SystemActor, TicketId, UserId, Violation, Violations};
use serde_json::{Map, Value, json};

use super::import_past::Past;
use crate::machine::{ClosedBy, Standing};
use crate::port::Markup;
use crate::ticket::{Activity, ActivityId, Face, Message, Ticket, TicketNumber, action};
use crate::value::{CustomFields, Description, Subject, Tags};

/// The most characters of a row's id where it comes from.
const EXTERNAL_ID_MAX_CHARS: usize = 200;
/// The most characters of the name of a source.
const SOURCE_MAX_CHARS: usize = 100;
/// The most characters of a subject, to which a longer one is cut where that is allowed.
const SUBJECT_MAX_CHARS: usize = 200;

/// A row as it was read: each field a JSON value, null where the row has none. What comes from a text file is a JSON
/// string.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RawRow {
    /// Its id where it comes from; required.
    pub external_id: Value,
    /// What it is about; required.
    pub subject: Value,
    /// What the requester wrote; required.
    pub description: Value,
    /// The name of a priority; medium when not said.
    pub priority: Value,
    /// The name of a status; open when not said.
    pub status: Value,
    /// The name of a channel; web when not said.
    pub channel: Value,
    /// A list of texts, or one text with commas or semicolons between the tags, or with a JSON array.
    pub tags: Value,
    /// The custom fields by name; null and empty texts are left out.
    pub custom_fields: Map<String, Value>,
    /// When it was made: RFC 3339, or `YYYY-MM-DD HH:MM[:SS]` in UTC.
    pub created_at: Value,
    /// When it was resolved or closed, likewise.
    pub ended_at: Value,
}

/// What to do with a subject that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LongSubject {
    /// Refuse the row.
    #[default]
    Refuse,
    /// Keep the first 200 characters as the subject, and put the whole before the description.
    Truncate,
}

/// A row that satisfies every rule of a ticket. `R` is who asked: an account, or, until that is looked up, whatever
/// names one.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportRow<R = UserId> {
    /// Its id where it comes from, 1 to 200 characters.
    pub external_id: String,
    /// What it is about.
    pub subject: Subject,
    /// What the requester wrote.
    pub description: Description,
    /// Who asked.
    pub requester: R,
    /// How much it presses.
    pub priority: TicketPriority,
    /// Where it stands.
    pub status: TicketStatus,
    /// How it came in.
    pub channel: TicketChannel,
    /// Its tags.
    pub tags: Tags,
    /// Its custom fields.
    pub custom_fields: CustomFields,
    /// When it was made; `None` for the time of the import.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was resolved or closed, for one that is; `None` for the time of its making.
    pub ended_at: Option<DateTime<Utc>>,
    /// What happened to it where it comes from.
    pub past: Past,
}

impl<R> ImportRow<R> {
    /// Holds a row to every rule. What the caller found of the requester comes along, so that all that is wrong with a
    /// row is told at once.
    ///
    /// # Errors
    /// Every rule that the row breaks, times after `now` among them.
    pub fn parse(
        raw: RawRow,
        requester: Result<R, Violations>,
        long_subject: LongSubject,
        now: DateTime<Utc>,
    ) -> Result<Self, Violations> {
        let RawRow {
            external_id,
            subject,
            description,
            priority,
            status,
            channel,
            tags,
            custom_fields,
            created_at,
            ended_at,
        } = raw;
        let mut faults = Violations::new();
        let external_id = faults.check(
            required("/externalId", external_id)
                .and_then(|text| TextRule::line(1, EXTERNAL_ID_MAX_CHARS).parse("/externalId", &text)),
        );
        let texts = texts(subject, description, long_subject, &mut faults);
        let requester = match requester {
            Ok(requester) => Some(requester),
            Err(found) => {
                found
                    .as_slice()
                    .iter()
                    .for_each(|violation| faults.push(violation.clone()));
                None
            }
        };
        let priorities = (TicketPriority::ALL.as_slice(), TicketPriority::Medium);
        let priority = faults.check(choice("/priority", priority, priorities, TicketPriority::as_str));
        let statuses = (TicketStatus::ALL.as_slice(), TicketStatus::Open);
        let status = faults.check(choice("/status", status, statuses, TicketStatus::as_str));
        let channels = (TicketChannel::ALL.as_slice(), TicketChannel::Web);
        let channel = faults.check(choice("/channel", channel, channels, TicketChannel::as_str));
        let tags = faults.check(tag_list(tags).and_then(|tags| Tags::parse("/tags", &tags)));
        let custom_fields = faults.check(given_fields(custom_fields));
        let created_at = faults.check(time("/createdAt", created_at, now));
        let ended_at = faults.check(time("/endedAt", ended_at, now));
        if let (Some(Some(created_at)), Some(Some(ended_at))) = (created_at, ended_at)
            && ended_at < created_at
        {
            faults.push(Violation::new(
                "/endedAt",
                "too_early",
                "must not lie before createdAt",
            ));
        }
        let row = (|| {
            let (subject, description) = texts?;
            Some(Self {
                external_id: external_id?,
                subject,
                description,
                requester: requester?,
                priority: priority?,
                status: status?,
                channel: channel?,
                tags: tags?,
                custom_fields: custom_fields?,
                created_at: created_at?,
                ended_at: ended_at?,
                past: Past::default(),
            })
        })();
        faults.clone().into_result()?;
        row.ok_or(faults)
    }

    /// The same row, asked for by `requester`.
    #[must_use]
    pub fn requested_by<S>(self, requester: S) -> ImportRow<S> {
        let Self {
            external_id,
            subject,
            description,
            requester: _,
            priority,
            status,
            channel,
            tags,
            custom_fields,
            created_at,
            ended_at,
            past,
        } = self;
        ImportRow {
            external_id,
            subject,
            description,
            requester,
            priority,
            status,
            channel,
            tags,
            custom_fields,
            created_at,
            ended_at,
            past,
        }
    }
}

/// The text of a field, trimmed; `None` where the row has none.
fn text(pointer: &str, value: Value) -> Result<Option<String>, Violation> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => {
            let trimmed = text.trim();
            Ok((!trimmed.is_empty()).then(|| trimmed.to_owned()))
        }
        Value::Number(_) | Value::Bool(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(Violation::new(pointer, "wrong_type", "must be a text")),
    }
}

fn required(pointer: &str, value: Value) -> Result<String, Violation> {
    text(pointer, value)?.ok_or_else(|| Violation::new(pointer, "required", "must be given"))
}

fn texts(
    subject: Value,
    description: Value,
    long_subject: LongSubject,
    faults: &mut Violations,
) -> Option<(Subject, Description)> {
    let subject = faults.check(required("/subject", subject));
    let description = faults.check(required("/description", description));
    let is_long = |text: &str| text.len() > SUBJECT_MAX_CHARS && text.chars().count() > SUBJECT_MAX_CHARS;
    let (subject, description) = match (subject, description, long_subject) {
        (Some(whole), description, LongSubject::Truncate) if is_long(&whole) => {
            let subject: String = whole.chars().take(SUBJECT_MAX_CHARS).collect();
            (
                Some(subject),
                description.map(|rest| format!("{whole}\n\n{rest}")),
            )
        }
        (subject, description, LongSubject::Refuse | LongSubject::Truncate) => (subject, description),
    };
    let subject = subject.and_then(|text| faults.check(Subject::parse("/subject", &text)));
    let description = description.and_then(|text| faults.check(Description::parse("/description", &text)));
    Some((subject?, description?))
}

/// One of a field's names, in whatever case; the usual one when not said.
fn choice<T: Copy>(
    pointer: &str,
    value: Value,
    (all, usual): (&[T], T),
    name: fn(T) -> &'static str,
) -> Result<T, Violation> {
    let Some(text) = text(pointer, value)? else {
        return Ok(usual);
    };
    all.iter()
        .copied()
        .find(|choice| name(*choice).eq_ignore_ascii_case(&text))
        .ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|choice| name(*choice)).collect();
            Violation::new(
                pointer,
                "unknown_value",
                format!("must be one of {}", names.join(", ")),
            )
        })
}

fn tag_list(value: Value) -> Result<Vec<String>, Violation> {
    let items = match value {
        Value::Array(items) => items,
        Value::String(text) if text.trim_start().starts_with('[') => {
            serde_json::from_str(&text).map_err(|error| {
                Violation::new(
                    "/tags",
                    "bad_json",
                    format!("begins with [ and is no JSON array ({error})"),
                )
            })?
        }
        other => {
            let list = text("/tags", other)?.unwrap_or_default();
            let tags = list
                .split([',', ';'])
                .map(str::trim)
                .filter(|tag| !tag.is_empty());
            return Ok(tags.map(str::to_owned).collect());
        }
    };
    let mut tags = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        tags.extend(text(&format!("/tags/{index}"), item)?);
    }
    Ok(tags)
}

fn given_fields(mut fields: Map<String, Value>) -> Result<CustomFields, Violation> {
    fields.retain(|_, value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()));
    let fields = CustomFields::parse("/customFields", fields)?;
    // A store can keep any text but this one; a single such value must not take its whole batch with it.
    let has_nul = |value: &Value| match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items
            .iter()
            .any(|item| item.as_str().is_some_and(|text| text.contains('\0'))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    match fields.as_map().iter().find(|(_, value)| has_nul(value)) {
        Some((name, _)) => {
            let pointer = kernel::member_pointer("/customFields", name);
            Err(Violation::new(
                pointer,
                "bad_character",
                "must not contain the control character U+0000",
            ))
        }
        None => Ok(fields),
    }
}

/// A time between 1970 and `now`.
fn time(pointer: &str, value: Value, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Violation> {
    const FORMATS_WITHOUT_ZONE: [&str; 4] = [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
    ];
    let Some(text) = text(pointer, value)? else {
        return Ok(None);
    };
    let with_zone = DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc());
    let without_zone = || {
        let naive = |format| NaiveDateTime::parse_from_str(&text, format).ok();
        FORMATS_WITHOUT_ZONE
            .into_iter()
            .find_map(naive)
            .map(|time| time.and_utc())
    };
    let Some(time) = with_zone.or_else(without_zone) else {
        let message = "must be a time like 2026-01-31T09:30:00Z, or 2026-01-31 09:30 in UTC";
        return Err(Violation::new(pointer, "bad_time", message));
    };
    if time < DateTime::UNIX_EPOCH {
        return Err(Violation::new(pointer, "too_early", "must not lie before 1970"));
    }
    if time > now {
        return Err(Violation::new(pointer, "in_future", "must not lie in the future"));
    }
    Ok(Some(to_database_precision(time)))
}

/// A ticket that comes from elsewhere, with its traces.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedTicket {
    /// Its id where it comes from.
    pub external_id: String,
    /// The ticket.
    pub ticket: Ticket,
    /// What was written there.
    pub messages: Vec<Message>,
    /// The one entry of its history.
    pub activity: Activity,
    /// What other domains are told.
    pub event: Event,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is a ticket now.
    New,
    /// It was imported before, or by someone else just now.
    AlreadyThere,
}

/// Keeps what is imported.
#[async_trait]
pub trait ImportStore: Send + Sync {
    /// Which of these ids of a source were imported before.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn known(&self, source: &str, external_ids: &[String]) -> Result<HashSet<String>, PortError>;

    /// Of those that were imported before, what their tickets keep of where they come from: the member `import` of
    /// their metadata, null where that is gone.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn origins(
        &self,
        source: &str,
        external_ids: &[String],
    ) -> Result<HashMap<String, Value>, PortError>;

    /// So many fresh ticket numbers.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn numbers(&self, count: i64) -> Result<Vec<TicketNumber>, PortError>;

    /// Stores tickets whole, all of them or none, but for those whose id is known by now; gives the ids stored.
    ///
    /// # Errors
    /// When the store cannot be reached, or refuses one of them.
    async fn store(&self, source: &str, tickets: Vec<ImportedTicket>) -> Result<HashSet<String>, PortError>;
}

/// The import of one source.
pub struct Import {
    store: Arc<dyn ImportStore>,
    markup: Arc<dyn Markup>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Import {
    /// An import over these ports.
    #[must_use]
    pub fn new(
        store: Arc<dyn ImportStore>,
        markup: Arc<dyn Markup>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            store,
            markup,
            clock,
            ids,
        }
    }

    /// The name of a source: one line of 1 to 100 characters.
    ///
    /// # Errors
    /// The rule that `raw` breaks.
    pub fn parse_source(pointer: &str, raw: &str) -> Result<String, Violation> {
        TextRule::line(1, SOURCE_MAX_CHARS).parse(pointer, raw)
    }

    /// Which of these rows were imported before: nothing needs to be looked up for them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn known(&self, source: &str, external_ids: &[String]) -> Result<HashSet<String>, PortError> {
        self.store.known(source, external_ids).await
    }

    /// Of those that were imported before, what was kept of where they come from.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn origins(
        &self,
        source: &str,
        external_ids: &[String],
    ) -> Result<HashMap<String, Value>, PortError> {
        self.store.origins(source, external_ids).await
    }

    /// Imports a batch, all of it or nothing; the answer has one entry for each row, in order. Of rows with the same
    /// id the first counts.
    ///
    /// # Errors
    /// When the store fails; nothing of the batch is stored then, and it may be sent again.
    pub async fn import(&self, source: &str, rows: Vec<ImportRow>) -> Result<Vec<Imported>, PortError> {
        let external_ids: Vec<String> = rows.iter().map(|row| row.external_id.clone()).collect();
        let mut known = self.store.known(source, &external_ids).await?;
        let mut first_of_its_id = Vec::with_capacity(rows.len());
        for id in &external_ids {
            first_of_its_id.push(known.insert(id.clone()));
        }
        let fresh: Vec<ImportRow> = rows
            .into_iter()
            .zip(&first_of_its_id)
            .filter(|(_, first)| **first)
            .map(|(row, _)| row)
            .collect();
        if fresh.is_empty() {
            return Ok(vec![Imported::AlreadyThere; external_ids.len()]);
        }
        let count = i64::try_from(fresh.len()).unwrap_or(i64::MAX);
        let numbers = self.store.numbers(count).await?;
        let tickets = fresh
            .into_iter()
            .zip(numbers)
            .map(|(row, number)| self.ticket(source, row, number))
            .collect();
        let stored = self.store.store(source, tickets).await?;
        Ok(external_ids
            .iter()
            .zip(first_of_its_id)
            .map(|(id, first)| {
                if first && stored.contains(id) {
                    Imported::New
                } else {
                    Imported::AlreadyThere
                }
            })
            .collect())
    }

    fn ticket(&self, source: &str, row: ImportRow, number: TicketNumber) -> ImportedTicket {
        let actor = Actor::System(SystemActor::Import);
        let now = self.clock.now();
        let ids = self.ids.as_ref();
        let ImportRow {
            external_id,
            subject,
            description,
            requester,
            priority,
            status,
            channel,
            tags,
            custom_fields,
            created_at,
            ended_at,
            past,
        } = row;
        let created_at = created_at.unwrap_or(now);
        let ended_at = ended_at.unwrap_or(created_at).max(created_at);
        let standing = match status {
            TicketStatus::Open => Standing::Open,
            TicketStatus::Pending => Standing::Pending,
            TicketStatus::Resolved => Standing::Resolved { at: ended_at },
            TicketStatus::Closed => Standing::Closed {
                resolved_at: ended_at,
                at: ended_at,
                by: ClosedBy::Person,
            },
        };
        let mut metadata = Map::new();
        metadata.insert(
            "import".to_owned(),
            json!({ "source": source, "externalId": external_id }),
        );
        let mut face = Face::new(created_at);
        face.updated_at = standing.resolved_at().unwrap_or(created_at);
        let mut ticket = Ticket {
            id: TicketId::new(ids),
            number,
            subject,
            description,
            requester,
            assignee: None,
            team: None,
            priority,
            standing,
            channel,
            sla_policy: None,
            first_response_at: None,
            sla_due_at: None,
            sla_breached: false,
            tags,
            custom_fields,
            metadata,
            created_at,
            deleted_at: None,
            merged_into: None,
            satisfaction: None,
            cc: Vec::new(),
            followers: Vec::new(),
            staff_face: face,
            public_face: face,
        };
        let messages = past.befall(&mut ticket, ids, self.markup.as_ref(), now);
        let activity = Activity {
            id: ActivityId::new(ids),
            ticket: ticket.id,
            actor: None,
            action: action::CREATED.to_owned(),
            old_value: None,
            new_value: Some(json!({ "subject": ticket.subject.as_str(), "status": status })),
            metadata: json!({ "system": SystemActor::Import.as_str(), "source": source, "externalId": Value::from(external_id.as_str()) }),
            created_at: now,
        };
        let fact = Fact::Ticket {
            ticket: ticket.summary(),
            what: TicketFact::Created {},
        };
        let event = Event::new(ids, now, &actor, fact);
        ImportedTicket {
            external_id,
            ticket,
            messages,
            activity,
            event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).unwrap()
    }

    fn raw() -> RawRow {
        RawRow {
            external_id: json!(7),
            subject: json!(" Printer "),
            description: json!("on fire"),
            ..RawRow::default()
        }
    }

    fn parse(raw: RawRow) -> Result<ImportRow<()>, Violations> {
        ImportRow::parse(raw, Ok(()), LongSubject::Refuse, now())
    }

    #[test]
    fn a_row_needs_an_id_a_subject_and_a_description_and_the_rest_has_defaults() {
        let row = parse(raw()).unwrap();
        assert_eq!((row.external_id.as_str(), row.subject.as_str()), ("7", "Printer"));
        assert_eq!(
            (row.priority, row.status),
            (TicketPriority::Medium, TicketStatus::Open)
        );
        assert_eq!((row.created_at, row.ended_at), (None, None));
    }

    #[test]
    fn everything_that_is_wrong_with_a_row_is_told_at_once() {
        let bad = RawRow {
            external_id: json!("x".repeat(201)),
            subject: json!(" "),
            description: json!({}),
            priority: json!("asap"),
            tags: json!(["ok", ["nested"]]),
            custom_fields: json!({ "a": { "b": 1 } }).as_object().cloned().unwrap(),
            created_at: json!("yesterday"),
            ended_at: json!("2999-01-01T00:00:00Z"),
            ..RawRow::default()
        };
        let requester: Result<(), Violations> =
            Err(Violation::new("/requesterEmail", "bad_email", "").into());
        let faults = ImportRow::parse(bad, requester, LongSubject::Refuse, now()).unwrap_err();
        let faults: Vec<_> = faults
            .as_slice()
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.code))
            .collect();
        assert_eq!(
            faults,
            [
                ("/externalId", "too_long"),
                ("/subject", "required"),
                ("/description", "wrong_type"),
                ("/requesterEmail", "bad_email"),
                ("/priority", "unknown_value"),
                ("/tags/1", "wrong_type"),
                ("/customFields/a", "wrong_type"),
                ("/createdAt", "bad_time"),
                ("/endedAt", "in_future"),
            ]
        );
    }

    #[test]
    fn a_long_subject_is_refused_or_kept_whole_in_the_description() {
        let long = "ä".repeat(201);
        let row = RawRow {
            subject: json!(long),
            ..raw()
        };
        assert_eq!(parse(row.clone()).unwrap_err().as_slice()[0].code, "too_long");
        let cut = ImportRow::parse(row, Ok(()), LongSubject::Truncate, now()).unwrap();
        assert_eq!(cut.subject.as_str(), "ä".repeat(200));
        assert_eq!(cut.description.as_str(), format!("{long}\n\non fire"));
    }

    #[test]
    fn tags_come_as_a_list_or_as_a_text() {
        for tags in [
            json!(["VPN", null, 3]),
            json!("VPN; 3"),
            json!("vpn,3,"),
            json!(r#"["vpn", 3]"#),
        ] {
            let row = parse(RawRow {
                tags: tags.clone(),
                ..raw()
            })
            .unwrap();
            assert_eq!(row.tags.as_slice(), ["vpn", "3"], "{tags}");
        }
        assert_eq!(
            parse(RawRow {
                tags: json!("[vpn"),
                ..raw()
            })
            .unwrap_err()
            .as_slice()[0]
                .code,
            "bad_json"
        );
    }

    #[test]
    fn times_without_a_zone_are_utc() {
        for text in [
            "2025-03-01T11:30:00+02:00",
            "2025-03-01 09:30",
            "2025-03-01 09:30:00",
            "2025-03-01T09:30:00.0",
        ] {
            let row = parse(RawRow {
                created_at: json!(text),
                ..raw()
            })
            .unwrap();
            assert_eq!(
                row.created_at.unwrap().to_rfc3339(),
                "2025-03-01T09:30:00+00:00",
                "{text}"
            );
        }
    }

    #[test]
    fn a_ticket_does_not_end_before_it_was_made() {
        let row = RawRow {
            created_at: json!("2025-03-02 09:30"),
            ended_at: json!("2025-03-01 09:30"),
            ..raw()
        };
        assert_eq!(parse(row).unwrap_err().as_slice()[0].code, "too_early");
    }

    #[test]
    fn a_text_that_no_store_can_keep_is_refused_in_custom_fields_too() {
        let custom_fields = json!({ "a": ["x", "\0"] }).as_object().cloned().unwrap();
        let faults = parse(RawRow {
            custom_fields,
            ..raw()
        })
        .unwrap_err();
        assert_eq!(
            (faults.as_slice()[0].pointer.as_str(), faults.as_slice()[0].code),
            ("/customFields/a", "bad_character")
        );
    }
}
