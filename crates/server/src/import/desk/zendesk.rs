//! Zendesk: the lists of its API as files, its incremental ticket export, and the tables of a data warehouse.
//!
//! The functions here turn one record into one item and read nothing; [`read`] walks through an export in the order in
//! which things need each other. To take over another field of a ticket, add it to [`ticket`].

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use ticketing::RawRow;

use super::files::{Export, Found};
use super::items::{DeskComment, DeskMembership, DeskPerson, DeskTeam, DeskTicket, Item, Rank, Remark};
use super::json::ENVELOPE;
use super::record::Record;
use super::report::{Entry, Origin, Told};
use super::spool::Spool;
use super::stream::{Sink, Stop};
use super::terms::{
    Beginning, Meanings, Organizations, converse, custom_fields, keep, said, tags, told_apart,
};
use super::text;
use crate::import::mapping::Field;

/// What belongs to a ticket but stands in lists of its own.
const OF_TICKETS: [&str; 6] = [
    "audits",
    "comments",
    "ticket_metrics",
    "satisfaction_ratings",
    "ticket_tags",
    "ticket_field_history",
];
/// The lists that hold tickets, the fullest first: of a ticket that is in several, the first counts.
const TICKETS: [&str; 3] = ["tickets", "results", "requests"];
/// The types that are read for what they say of others.
const NAMES: [(&str, &str); 2] = [
    (
        "organizations",
        "there are none here; their names are kept in the metadata of their tickets",
    ),
    (
        "ticket_fields",
        "their names are the names of the tickets' custom fields",
    ),
];
/// The most ids of deleted tickets that are remembered.
const DELETED_MAX: usize = 2_000_000;
/// Fields that a ticket has in any case.
const SYSTEM_FIELDS: [&str; 9] = [
    "subject",
    "description",
    "status",
    "custom_status",
    "tickettype",
    "priority",
    "basic_priority",
    "group",
    "assignee",
];

/// The one name of a type of records.
pub(super) fn canonical(name: &str) -> Option<&'static str> {
    Some(match name {
        "user" | "users" => "users",
        "group" | "groups" => "groups",
        "group_membership" | "group_memberships" | "group_member" => "group_memberships",
        "organization" | "organizations" => "organizations",
        "ticket" | "tickets" => "tickets",
        "result" | "results" | "incremental_ticket_export" => "results",
        "request" | "requests" => "requests",
        "audit" | "audits" | "ticket_audits" => "audits",
        "comment" | "comments" | "ticket_comment" | "ticket_comments" => "comments",
        "ticket_metric" | "ticket_metrics" | "metric_sets" => "ticket_metrics",
        "satisfaction_rating" | "satisfaction_ratings" => "satisfaction_ratings",
        "ticket_field" | "ticket_fields" => "ticket_fields",
        "ticket_tag" | "ticket_tags" => "ticket_tags",
        "ticket_field_history" => "ticket_field_history",
        _ => return None,
    })
}

/// What records of tickets refer to.
#[derive(Default)]
pub(super) struct Terms {
    fields: HashMap<String, FieldTerm>,
    /// How many fields have a title.
    titles: HashMap<String, u32>,
    organizations: Organizations,
    meanings: Meanings,
}

struct FieldTerm {
    title: String,
    options: HashMap<String, String>,
}

impl Terms {
    pub(super) fn new(meanings: Meanings) -> Self {
        Self {
            meanings,
            ..Self::default()
        }
    }

    fn add_field(&mut self, id: String, title: String, options: HashMap<String, String>) {
        if !self.fields.contains_key(&id) {
            *self.titles.entry(title.clone()).or_default() += 1;
            self.fields.insert(id, FieldTerm { title, options });
        }
    }

    /// Learns a ticket field.
    pub(super) fn learn_field(&mut self, record: Record<'_>) {
        let kind = record.text("type").unwrap_or_default();
        if SYSTEM_FIELDS.contains(&kind.as_str()) {
            return;
        }
        if let (Some(id), Some(title)) = (record.id("id"), record.first_text(&["title", "raw_title"])) {
            let options = record
                .records("custom_field_options")
                .filter_map(|option| Some((option.text("value")?, option.text("name")?)));
            let options = options.collect();
            self.add_field(id, title, options);
        }
    }

    /// Learns the columns of an incremental export: `field_7` is headed `Age [txt]`.
    pub(super) fn learn_headers(&mut self, envelope: Record<'_>) {
        let Some(headers) = envelope.object("field_headers") else {
            return;
        };
        for (column, header) in headers.0 {
            if let (Some(id), Some(header)) = (column.strip_prefix("field_"), header.as_str()) {
                let title = header.rsplit_once(" [").map_or(header, |(title, _)| title);
                self.add_field(id.to_owned(), title.to_owned(), HashMap::new());
            }
        }
    }

    /// A custom field as it is called and what a value of it is called.
    fn field(&self, id: &str, value: &Value) -> (String, Value) {
        let Some(FieldTerm { title, options }) = self.fields.get(id) else {
            return (format!("field {id}"), value.clone());
        };
        let named = |value: &Value| match value.as_str().and_then(|text| options.get(text)) {
            Some(name) => Value::from(name.as_str()),
            None => value.clone(),
        };
        let value = match value {
            Value::Array(items) => Value::Array(items.iter().map(named).collect()),
            value => named(value),
        };
        let is_shared = self.titles.get(title).is_some_and(|count| *count > 1);
        if is_shared {
            let room = 47_usize.saturating_sub(id.chars().count());
            (format!("{} ({id})", text::clip(title, room)), value)
        } else {
            (title.clone(), value)
        }
    }
}

/// A user.
pub(super) fn person(record: Record<'_>) -> Option<DeskPerson> {
    let rank = match record.text("role").unwrap_or_default().as_str() {
        "agent" => Rank::Agent,
        "admin" | "owner" => Rank::Admin,
        _ => Rank::Customer,
    };
    Some(DeskPerson {
        id: record.id("id")?,
        email: record.text("email"),
        name: record.text("name"),
        rank,
        shut_out: record.flag("suspended") == Some(true) || record.flag("active") == Some(false),
    })
}

/// A group; none for one that was deleted.
pub(super) fn team(record: Record<'_>) -> Option<DeskTeam> {
    let is_deleted = ["deleted", "_fivetran_deleted"]
        .into_iter()
        .any(|name| record.flag(name) == Some(true));
    (!is_deleted).then_some(())?;
    Some(DeskTeam {
        id: record.id("id")?,
        name: record.text("name").unwrap_or_default(),
        description: record.text("description"),
    })
}

/// That someone is in a group.
pub(super) fn membership(record: Record<'_>) -> Option<DeskMembership> {
    Some(DeskMembership {
        person: record.id("user_id")?,
        team: record.id("group_id")?,
    })
}

/// What was collected for a ticket from lists of their own.
#[derive(Debug, Default)]
pub(super) struct Side {
    comments: Vec<DeskComment>,
    /// Comments that were hidden from the customer later, or shown.
    visibilities: HashMap<String, bool>,
    tags: Vec<String>,
    /// To which status it went, and when.
    statuses: Vec<(String, DateTime<Utc>)>,
    solved_at: Option<DateTime<Utc>>,
    /// Minutes to the first reply.
    reply_minutes: Option<i64>,
    rating: Option<(String, Option<String>)>,
    /// Entries of this type were too many to be read.
    left: u64,
}

/// What a record says of which ticket, in the form that [`Side::absorb`] reads.
pub(super) fn side(kind: &str, record: Record<'_>) -> (Option<String>, Vec<Value>) {
    let notes = match kind {
        "audits" => audit(record),
        "comments" => vec![json!({ "of": kind, "comment": record.0 })],
        "ticket_metrics" => vec![json!({
            "of": kind, "solved_at": record.text("solved_at"),
            "reply": record.object("reply_time_in_minutes").and_then(|time| time.text("calendar")),
        })],
        "satisfaction_ratings" => vec![json!({
            "of": kind, "score": record.text("score"), "comment": record.text("comment"),
        })],
        "ticket_tags" => vec![json!({ "of": kind, "tag": record.text("tag") })],
        "ticket_field_history" if record.text("field_name").as_deref() == Some("status") => {
            vec![json!({ "of": kind, "status": record.text("value"), "at": record.text("updated") })]
        }
        _ => vec![json!({ "of": kind })],
    };
    (record.id("ticket_id"), notes)
}

fn audit(record: Record<'_>) -> Vec<Value> {
    let (author, at) = (record.id("author_id"), record.text("created_at"));
    let mut notes = vec![json!({ "of": "audits" })];
    for event in record.records("events") {
        let kind = event.text("type").unwrap_or_default();
        if kind == "CommentPrivacyChange" {
            notes.push(json!({
                "of": "privacy", "id": event.id("comment_id"), "public": event.flag("public"),
            }));
        } else if kind.ends_with("Comment") {
            let mut comment = event.0.clone();
            comment
                .entry("author_id")
                .or_insert_with(|| Value::from(author.clone()));
            comment.insert("created_at".to_owned(), Value::from(at.clone()));
            notes.push(json!({ "of": "comments", "comment": comment }));
        } else if matches!(kind.as_str(), "Change" | "Create")
            && event.text("field_name").as_deref() == Some("status")
        {
            notes.push(json!({ "of": "status", "status": event.text("value"), "at": at }));
        }
    }
    notes
}

impl Side {
    /// Takes in what [`side`] made.
    pub(super) fn absorb(&mut self, note: &Map<String, Value>) {
        let note = Record(note);
        match note.text("of").unwrap_or_default().as_str() {
            "comments" => self.comments.extend(note.object("comment").and_then(comment)),
            "privacy" => {
                if let (Some(id), Some(is_public)) = (note.text("id"), note.flag("public")) {
                    self.visibilities.insert(id, is_public);
                }
            }
            "status" | "ticket_field_history" => {
                if let (Some(status), Some(at)) = (note.text("status"), note.time("at")) {
                    self.statuses.push((status, at));
                }
            }
            "ticket_metrics" => {
                self.solved_at = note.time("solved_at");
                self.reply_minutes = note.text("reply").and_then(|text| text.parse().ok());
            }
            "satisfaction_ratings" => {
                if let Some(score) = note.text("score") {
                    self.rating = Some((score, note.text("comment")));
                }
            }
            "ticket_tags" => self.tags.extend(note.text("tag")),
            _ => {}
        }
    }
}

fn comment(record: Record<'_>) -> Option<DeskComment> {
    let body = record.first_text(&["body", "plain_body", "value"]);
    let body = body
        .or_else(|| record.text("html_body").map(|html| markdown::from_html(&html)))
        .unwrap_or_default();
    let files = record.records("attachments");
    let attachments: Vec<String> = files
        .map(|file| {
            file.first_text(&["file_name", "filename"])
                .unwrap_or_else(|| "file".to_owned())
        })
        .collect();
    let text = said(&body, &attachments)?;
    Some(DeskComment {
        id: record.id("id").unwrap_or_default(),
        author: record
            .first_text(&["author_id", "user_id"])
            .map(DeskPerson::known_as)
            .unwrap_or_default(),
        by_staff: None,
        text,
        // What does not say that customers may read it is kept from them.
        is_public: record.flag("public").unwrap_or(false),
        at: record.time("created_at").or_else(|| record.time("created")),
        attachments,
    })
}

/// A status of Zendesk as ours; none for a ticket that was deleted. A name that is no status stays as it is, for the
/// rules of tickets to refuse.
fn status(meanings: &Meanings, raw: &str) -> Option<String> {
    Some(match meanings.meaning(&Field::Status, raw).as_str() {
        "deleted" => return None,
        "" | "new" | "open" => "open".to_owned(),
        "pending" | "hold" | "on-hold" | "on hold" => "pending".to_owned(),
        "solved" | "resolved" => "resolved".to_owned(),
        other => other.to_owned(),
    })
}

fn priority(meanings: &Meanings, raw: &str) -> String {
    match meanings.meaning(&Field::Priority, raw).as_str() {
        "" | "-" | "normal" => "medium".to_owned(),
        other => other.to_owned(),
    }
}

fn channel(meanings: &Meanings, raw: &str) -> &'static str {
    match meanings.meaning(&Field::Channel, raw).as_str() {
        "email" | "mail" => "email",
        "chat"
        | "messaging"
        | "native_messaging"
        | "whatsapp"
        | "sms"
        | "line"
        | "telegram"
        | "wechat"
        | "twitter"
        | "twitter_dm"
        | "facebook"
        | "instagram_dm"
        | "any_channel"
        | "sunshine_conversations_api" => "chat",
        "api" | "web service" | "mobile_sdk" | "mobile" | "rule" => "api",
        _ => "web",
    }
}

/// A ticket of any of the lists; a remark where it is not to be taken.
pub(super) fn ticket(record: Record<'_>, side: Side, terms: &Terms) -> Result<DeskTicket, Remark> {
    let Side {
        mut comments,
        visibilities,
        tags: tags_elsewhere,
        mut statuses,
        solved_at,
        reply_minutes,
        rating,
        left,
    } = side;
    let mut remarks = Vec::new();
    let status_there = record.text("status").unwrap_or_default();
    let Some(status) = status(&terms.meanings, &status_there) else {
        return Err(Remark::new(
            "status",
            "deleted",
            "was deleted where it comes from",
        ));
    };
    if left > 0 {
        let message = format!("{left} of the oldest entries are more than can be read of one ticket");
        remarks.push(Remark::new("messages", "too_much", message));
    }
    comments.extend(record.records("comments").filter_map(comment));
    let mut seen = HashSet::new();
    comments.retain(|comment| comment.id.is_empty() || seen.insert(comment.id.clone()));
    for comment in &mut comments {
        comment.is_public = match visibilities.get(&comment.id) {
            // What was shown once and hidden later is hidden; never the other way round.
            Some(false) => false,
            Some(true) | None => comment.is_public,
        };
    }
    let via = record
        .object("via")
        .and_then(|via| via.text("channel"))
        .or_else(|| record.first_text(&["via_channel", "via"]))
        .unwrap_or_default();
    let created_at = record.time("created_at");
    let updated_at = record.time("updated_at");
    statuses.sort_by_key(|(_, at)| *at);
    let last = |name: &str| {
        let found = statuses.iter().rev().find(|(status, _)| status == name);
        found.map(|(_, at)| *at)
    };
    let solved_at = record.time("solved_at").or(solved_at).or_else(|| last("solved"));
    let ended_at = match status.as_str() {
        "resolved" => solved_at.or(updated_at),
        "closed" => last("closed").or(updated_at).or(solved_at),
        _ => None,
    };
    // Clocks of other desks are not all right: nothing ends before it begins.
    let ended_at = ended_at.max(ended_at.and(created_at));
    let first_response_at = reply_minutes
        .or_else(|| {
            let minutes = record.text("first_reply_time_in_minutes")?;
            minutes.parse().ok()
        })
        .and_then(|minutes| created_at?.checked_add_signed(chrono::Duration::try_minutes(minutes)?));
    let given_tags = record.list("tags").iter().filter_map(Value::as_str);
    let spaced = record.text("current_tags").unwrap_or_default();
    let all_tags = given_tags
        .chain(spaced.split_whitespace())
        .map(str::to_owned)
        .chain(tags_elsewhere);
    let tags = tags(all_tags, &mut remarks);
    let custom_fields = custom_fields(fields(record, terms), &mut remarks);
    let mut origin = Map::new();
    origin.insert("system".to_owned(), Value::from("zendesk"));
    keep(&mut origin, "via", Some(via.clone()));
    keep(&mut origin, "status", Some(status_there));
    let kept = [
        ("type", &["type", "ticket_type"][..]),
        ("url", &["url"]),
        ("externalReference", &["external_id"]),
        ("recipient", &["recipient"]),
        ("problemId", &["problem_id"]),
        ("brand", &["brand_name", "brand_id"]),
        ("formId", &["ticket_form_id"]),
        ("dueAt", &["due_at", "due_date"]),
        ("submitterId", &["submitter_id"]),
        ("assigneeId", &["assignee_id"]),
        ("groupId", &["group_id"]),
        ("updatedAt", &["updated_at"]),
    ];
    for (name, sources) in kept {
        keep(
            &mut origin,
            name,
            record.first_text(sources).filter(|text| text != "-"),
        );
    }
    let organization = record
        .id("organization_id")
        .map(|id| terms.organizations.name(id))
        .or_else(|| record.text("organization_name"));
    keep(&mut origin, "organization", organization);
    let rating = rating.or_else(|| {
        let rating = record.object("satisfaction_rating")?;
        Some((rating.text("score")?, rating.text("comment")))
    });
    if let Some((score, comment)) = rating.filter(|(score, _)| score != "unoffered") {
        keep(&mut origin, "satisfaction", Some(score));
        keep(&mut origin, "satisfactionComment", comment);
    }
    let submitter = record.id("submitter_id").map(DeskPerson::known_as);
    let mut ticket = DeskTicket {
        raw: RawRow {
            external_id: record.id("id").map(Value::from).unwrap_or_default(),
            subject: record
                .first_text(&["subject", "raw_subject"])
                .map(Value::from)
                .unwrap_or_default(),
            description: Value::Null,
            priority: Value::from(priority(
                &terms.meanings,
                &record.text("priority").unwrap_or_default(),
            )),
            status: Value::from(status),
            channel: Value::from(channel(&terms.meanings, &via)),
            tags,
            custom_fields,
            created_at: record.time_value("created_at"),
            ended_at: ended_at
                .map(|at| Value::from(at.to_rfc3339()))
                .unwrap_or_default(),
        },
        requester: DeskPerson {
            email: record.text("req_email"),
            name: record.text("req_name"),
            ..DeskPerson::known_as(
                record
                    .id("requester_id")
                    .or_else(|| record.id("req_id"))
                    .unwrap_or_default(),
            )
        },
        assignee: record.id("assignee_id"),
        team: record.id("group_id"),
        first_response_at: None,
        resolved_at: solved_at,
        updated_at,
        origin,
        remarks,
        ..DeskTicket::default()
    };
    let begins = Beginning {
        is_a_comment: true,
        author: submitter,
        is_for_staff: record.flag("is_public") == Some(false),
    };
    converse(&mut ticket, record.text("description"), comments, begins);
    // The conversation says to the second when the desk first answered; where there is none, its measure does.
    if ticket.comments.is_empty() {
        ticket.first_response_at = first_response_at;
    }
    Ok(ticket)
}

fn fields(record: Record<'_>, terms: &Terms) -> Vec<(String, Value)> {
    let listed = ["custom_fields", "fields"]
        .into_iter()
        .map(|name| record.list(name))
        .find(|list| !list.is_empty())
        .unwrap_or_default();
    let mut fields: Vec<(String, Value)> = listed
        .iter()
        .filter_map(Value::as_object)
        .filter_map(|field| Some((Record(field).id("id")?, field.get("value")?)))
        .filter(|(_, value)| !value.is_null())
        .map(|(id, value)| terms.field(&id, value))
        .collect();
    for (column, value) in record.0 {
        if value.is_null() {
            continue;
        }
        if let Some(id) = column
            .strip_prefix("field_")
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        {
            fields.push(terms.field(id, value));
        } else if let Some(name) = column
            .strip_prefix("custom_")
            .filter(|name| !matches!(*name, "fields" | "status_id"))
        {
            fields.push((name.to_owned(), value.clone()));
        }
    }
    fields
}

/// Walks through an export.
pub(super) fn read(export: &Export, meanings: Meanings, sink: &mut Sink) -> Result<(), Stop> {
    let mut terms = Terms::new(meanings);
    let kinds = export.kinds();
    export.records(ENVELOPE, |found| {
        found
            .content
            .into_iter()
            .for_each(|map| terms.learn_headers(Record(&map)));
        Ok::<_, Stop>(())
    })?;
    for (kind, message) in NAMES {
        export.records(kind, |found| {
            let tally = sink.tally(&found.origin.kind);
            tally.read += 1;
            tally.not_taken += 1;
            if let Ok(map) = &found.content {
                let record = Record(map);
                match (kind, record.id("id"), record.text("name")) {
                    ("ticket_fields", _, _) => terms.learn_field(record),
                    (_, Some(id), Some(name)) => terms.organizations.add(id, &name),
                    _ => {}
                }
            }
            Ok::<_, Stop>(())
        })?;
        if let Some(count) = kinds.get(kind) {
            sink.tell(Entry::of_all(kind, *count, "no_such_thing", message))?;
        }
    }
    read_people(export, sink)?;
    let mut spool = Spool::new(export.bytes)?;
    for kind in OF_TICKETS {
        export.records(kind, |found| put_aside(kind, found, &mut spool, sink))?;
    }
    let mut deleted = Deleted::default();
    for kind in TICKETS {
        export.records(kind, |found| {
            read_ticket(kind, found, &terms, &mut spool, &mut deleted, sink)
        })?;
    }
    tell_left(&mut spool, sink)?;
    for (kind, count) in &kinds {
        let is_read = canonical(kind).is_some();
        if !is_read {
            super::pass_over_all(sink, kind, *count)?;
        }
    }
    Ok(())
}

fn read_people(export: &Export, sink: &mut Sink) -> Result<(), Stop> {
    let mut teams = Vec::new();
    export.records("groups", |found| {
        let Some(record) = super::sound(&found, sink)? else {
            return Ok(());
        };
        match team(record) {
            Some(team) => teams.push((found.origin.clone(), team)),
            None => {
                let id = record.id("id").unwrap_or_default();
                let remark = Remark::new("", "deleted", "was deleted where it comes from");
                sink.pass_over(&found.origin, &id, Told::Skipped, &remark)?;
            }
        }
        Ok::<_, Stop>(())
    })?;
    for (origin, team) in told_apart(teams) {
        sink.store(origin, Item::Team(team), 0)?;
    }
    export.records("users", |found| {
        super::hand_on(found, sink, |record| person(record).map(Item::Person))
    })?;
    export.records("group_memberships", |found| {
        super::hand_on(found, sink, |record| membership(record).map(Item::Membership))
    })
}

/// Keeps what belongs to a ticket until that is read. It is counted when its ticket is, or as left over.
fn put_aside(kind: &str, found: Found, spool: &mut Spool, sink: &mut Sink) -> Result<(), Stop> {
    let Some(record) = super::sound(&found, sink)? else {
        return Ok(());
    };
    let (ticket, notes) = side(kind, record);
    let Some(ticket) = ticket else {
        let remark = Remark::new("ticket_id", "required", "does not say which ticket it belongs to");
        let id = record.id("id").unwrap_or_default();
        return sink.pass_over(&found.origin, &id, Told::Refused, &remark);
    };
    if kind != "comments" {
        sink.tally(&found.origin.kind).read += 1;
    }
    for note in notes {
        spool.put(&ticket, note.to_string().as_bytes())?;
    }
    Ok(())
}

/// Which tickets some list calls deleted.
#[derive(Default)]
struct Deleted {
    hasher: RandomState,
    ids: HashSet<u64>,
}

fn read_ticket(
    kind: &str,
    found: Found,
    terms: &Terms,
    spool: &mut Spool,
    deleted: &mut Deleted,
    sink: &mut Sink,
) -> Result<(), Stop> {
    let Some(record) = super::sound(&found, sink)? else {
        return Ok(());
    };
    let Some(id) = record.id("id") else {
        let remark = Remark::new("id", "required", "must be given");
        return sink.pass_over(&found.origin, "", Told::Refused, &remark);
    };
    let taken = spool.take(&id)?;
    let mut side = Side {
        left: taken.left,
        ..Side::default()
    };
    let mut kinds: Vec<Arc<str>> = Vec::new();
    for content in taken.contents {
        if let Ok(Value::Object(note)) = serde_json::from_slice(&content) {
            side.absorb(&note);
            kinds.extend(Record(&note).text("of").and_then(own_record));
        }
    }
    let comments_elsewhere = side.comments.len() as u64;
    let hash = deleted.hasher.hash_one(&id);
    let mapped = match ticket(record, side, terms) {
        Ok(_) if kind == "requests" && deleted.ids.contains(&hash) => Err(Remark::new(
            "status",
            "deleted",
            "was deleted, as another list of the export says",
        )),
        mapped => mapped,
    };
    match mapped {
        Ok(ticket) => {
            kinds.iter().for_each(|kind| sink.tally(kind).taken += 1);
            let size = ticket.size();
            sink.store(found.origin, Item::Ticket(Box::new(ticket)), size)
        }
        Err(remark) => {
            if deleted.ids.len() < DELETED_MAX {
                deleted.ids.insert(hash);
            }
            kinds.iter().for_each(|kind| sink.tally(kind).skipped += 1);
            let comments = sink.tally(&Arc::from("comments"));
            comments.read += comments_elsewhere;
            comments.skipped += comments_elsewhere;
            sink.pass_over(&found.origin, &id, Told::Skipped, &remark)
        }
    }
}

/// The type of the record that a note stands for; none for one that is a part of another.
fn own_record(of: String) -> Option<Arc<str>> {
    (!matches!(of.as_str(), "comments" | "privacy" | "status")).then(|| of.into())
}

/// Tells of comments, and of what else was put aside, whose ticket the export does not have.
fn tell_left(spool: &mut Spool, sink: &mut Sink) -> Result<(), Stop> {
    spool.left(|ticket, content| {
        let Ok(Value::Object(note)) = serde_json::from_slice(content) else {
            return Ok(());
        };
        let note = Record(&note);
        let of = note.text("of").unwrap_or_default();
        let comment = note.object("comment").filter(|_| of == "comments");
        let message = format!("belongs to ticket {ticket}, which the export does not have");
        let remark = Remark::new("ticket_id", "no_such_ticket", message);
        let origin = |kind| Origin {
            kind,
            file: "".into(),
            record: 0,
        };
        if let Some(comment) = comment {
            let id = comment.id("id").unwrap_or_default();
            return sink.pass_over(&origin("comments".into()), &id, Told::NotTaken, &remark);
        }
        match own_record(of) {
            Some(kind) => {
                sink.tally(&kind).not_taken += 1;
                sink.tell(Entry::of(&origin(kind), "", Told::NotTaken, &remark))
            }
            None => Ok(()),
        }
    })
}
