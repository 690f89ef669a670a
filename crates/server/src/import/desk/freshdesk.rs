//! Freshdesk: the objects of its API, versions 1 and 2.
//!
//! The functions here turn one record into one item and read nothing; [`read`] walks through an export in the order in
//! which things need each other.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use ticketing::RawRow;

use super::files::{Export, Found};
use super::items::{DeskComment, DeskMembership, DeskPerson, DeskTeam, DeskTicket, Item, Rank, Remark};
use super::record::Record;
use super::report::{Entry, Origin, Told};
use super::spool::Spool;
use super::stream::{Sink, Stop};
use super::terms::{
    Beginning, Meanings, Organizations, converse, custom_fields, keep, said, tags, told_apart,
};
use crate::import::mapping::Field;

/// The codes of statuses. Those above 5 are a desk's own, but for two that every desk begins with.
const STATUSES: [(&str, &str); 6] = [
    ("2", "open"),
    ("3", "pending"),
    ("4", "resolved"),
    ("5", "closed"),
    // Waiting on the customer, and on a third party.
    ("6", "pending"),
    ("7", "pending"),
];
const PRIORITIES: [(&str, &str); 4] = [("1", "low"), ("2", "medium"), ("3", "high"), ("4", "urgent")];
const SOURCES: [(&str, &str); 12] = [
    ("1", "email"),
    // Portal.
    ("2", "web"),
    // Phone.
    ("3", "web"),
    // Forum.
    ("4", "web"),
    // Twitter and Facebook.
    ("5", "chat"),
    ("6", "chat"),
    ("7", "chat"),
    // MobiHelp.
    ("8", "api"),
    // The feedback widget.
    ("9", "web"),
    // Mail that the desk began.
    ("10", "email"),
    // A shop.
    ("11", "api"),
    // WhatsApp.
    ("13", "chat"),
];

/// The one name of a type of records.
pub(super) fn canonical(name: &str) -> Option<&'static str> {
    Some(match name {
        "agent" | "agents" => "agents",
        "contact" | "contacts" | "user" | "users" | "requesters" => "contacts",
        "group" | "groups" => "groups",
        "company" | "companies" | "customer" | "customers" => "companies",
        "ticket" | "tickets" | "helpdesk_tickets" => "tickets",
        "conversation" | "conversations" | "notes" | "replies" => "conversations",
        _ => return None,
    })
}

/// The object itself, where version 1 put it into another: `{"user": {…}}`.
fn inner(record: Record<'_>) -> Record<'_> {
    const WRAPPERS: [&str; 9] = [
        "helpdesk_ticket",
        "ticket",
        "user",
        "contact",
        "agent",
        "group",
        "customer",
        "note",
        "helpdesk_note",
    ];
    let has_id = record.0.contains_key("id");
    let wrapped = WRAPPERS.into_iter().find_map(|name| record.object(name));
    wrapped.filter(|_| !has_id).unwrap_or(record)
}

/// An agent; tickets name one of version 1 by the id of the agent's user.
pub(super) fn agent(record: Record<'_>) -> Option<DeskPerson> {
    let record = inner(record);
    let account = record
        .object("contact")
        .or_else(|| record.object("user"))
        .unwrap_or(record);
    Some(DeskPerson {
        id: record.id("user_id").or_else(|| record.id("id"))?,
        email: account.text("email"),
        name: account.text("name"),
        rank: Rank::Agent,
        shut_out: record.flag("deleted") == Some(true) || account.flag("deleted") == Some(true),
    })
}

/// A contact.
pub(super) fn contact(record: Record<'_>) -> Option<DeskPerson> {
    let record = inner(record);
    let is_agent = record.flag("helpdesk_agent") == Some(true);
    Some(DeskPerson {
        id: record.id("id")?,
        email: record.text("email"),
        name: record.text("name"),
        rank: if is_agent { Rank::Agent } else { Rank::Customer },
        shut_out: record.flag("deleted") == Some(true) || record.flag("blocked") == Some(true),
    })
}

/// A group, and who is in it.
pub(super) fn team(record: Record<'_>) -> Option<(DeskTeam, Vec<DeskMembership>)> {
    let record = inner(record);
    let team = DeskTeam {
        id: record.id("id")?,
        name: record.text("name").unwrap_or_default(),
        description: record.text("description"),
    };
    let listed = record.list("agent_ids").iter().filter_map(|id| {
        id.as_i64()
            .map(|id| id.to_string())
            .or_else(|| id.as_str().map(str::to_owned))
    });
    let whole = record
        .records("agents")
        .filter_map(|agent| agent.id("user_id").or_else(|| agent.id("id")));
    let members = listed.chain(whole).map(|person| DeskMembership {
        person,
        team: team.id.clone(),
    });
    let members = members.collect();
    Some((team, members))
}

fn coded(codes: &[(&'static str, &'static str)], meanings: &Meanings, field: &Field, raw: &str) -> String {
    let meaning = meanings.meaning(field, raw);
    let found = codes.iter().find(|(code, _)| *code == meaning);
    found.map_or(meaning, |(_, ours)| (*ours).to_owned())
}

fn comment(record: Record<'_>) -> Option<DeskComment> {
    let record = inner(record);
    let html = record.text("body_html").or_else(|| {
        // Version 2 has the plain text beside it; version 1 calls the plain text the body.
        record.text("body_text").and_then(|_| record.text("body"))
    });
    let plain = record.first_text(&["body_text", "body"]);
    let body = html
        .map(|html| markdown::from_html(&html))
        .filter(|text| !text.is_empty())
        .or(plain)
        .unwrap_or_default();
    let attachments: Vec<String> = names(record);
    let is_incoming = record.flag("incoming");
    Some(DeskComment {
        id: record.id("id").unwrap_or_default(),
        author: record.id("user_id").map(DeskPerson::known_as).unwrap_or_default(),
        by_staff: is_incoming.map(|incoming| !incoming),
        text: said(&body, &attachments)?,
        // What does not say that customers may read it is kept from them.
        is_public: record.flag("private") == Some(false),
        at: record.time("created_at"),
        attachments,
    })
}

fn names(record: Record<'_>) -> Vec<String> {
    record
        .records("attachments")
        .map(|file| {
            file.first_text(&["name", "content_file_name"])
                .unwrap_or_else(|| "file".to_owned())
        })
        .collect()
}

/// A ticket of either version; a remark where it is not to be taken.
pub(super) fn ticket(
    record: Record<'_>,
    elsewhere: Vec<DeskComment>,
    meanings: &Meanings,
    companies: &Organizations,
) -> Result<DeskTicket, Remark> {
    let record = inner(record);
    for (flag, message) in [
        ("deleted", "was deleted where it comes from"),
        ("spam", "is spam where it comes from"),
    ] {
        if record.flag(flag) == Some(true) {
            return Err(Remark::new("", flag, message));
        }
    }
    let mut remarks = Vec::new();
    let raw_status = record.text("status").unwrap_or_default();
    let status = coded(&STATUSES, meanings, &Field::Status, &raw_status);
    let raw_source = record.text("source").unwrap_or_default();
    let channel = match coded(&SOURCES, meanings, &Field::Channel, &raw_source).as_str() {
        known @ ("web" | "email" | "chat" | "api") => known.to_owned(),
        _ => "web".to_owned(),
    };
    let mut comments = elsewhere;
    for name in ["conversations", "notes", "helpdesk_notes"] {
        comments.extend(record.records(name).filter_map(comment));
    }
    let mut seen = HashSet::new();
    comments.retain(|comment| comment.id.is_empty() || seen.insert(comment.id.clone()));
    let requester_id = record.id("requester_id").unwrap_or_default();
    let embedded = record.object("requester");
    let requester = DeskPerson {
        email: embedded
            .and_then(|person| person.text("email"))
            .or_else(|| record.text("email")),
        name: embedded
            .and_then(|person| person.text("name"))
            .or_else(|| record.first_text(&["requester_name", "name"])),
        ..DeskPerson::known_as(requester_id.clone())
    };
    for comment in &mut comments {
        if comment.author.id.is_empty() || comment.author.id == requester_id {
            comment.author = requester.clone();
        }
    }
    let created_at = record.time("created_at");
    let updated_at = record.time("updated_at");
    let stats = record.object("stats");
    let at = |name| stats.and_then(|stats| stats.time(name));
    let resolved_at = at("resolved_at");
    let ended_at = match status.as_str() {
        "resolved" => resolved_at.or(at("status_updated_at")).or(updated_at),
        "closed" => at("closed_at")
            .or(at("status_updated_at"))
            .or(resolved_at)
            .or(updated_at),
        _ => None,
    };
    let ended_at = ended_at.max(ended_at.and(created_at));
    let given_tags = record.list("tags").iter().filter_map(|tag| {
        tag.as_str()
            .map(str::to_owned)
            .or_else(|| Record(tag.as_object()?).text("name"))
    });
    let tags = tags(given_tags, &mut remarks);
    let custom = record
        .object("custom_fields")
        .or_else(|| record.object("custom_field"));
    let custom = custom.into_iter().flat_map(|fields| fields.0.clone());
    let custom_fields = custom_fields(custom, &mut remarks);
    let mut origin = Map::new();
    origin.insert("system".to_owned(), Value::from("freshdesk"));
    keep(
        &mut origin,
        "via",
        record.text("source_name").or(Some(raw_source)),
    );
    keep(
        &mut origin,
        "status",
        record.text("status_name").or(Some(raw_status)),
    );
    let kept = [
        ("type", &["type", "ticket_type"][..]),
        ("externalReference", &["external_id", "unique_external_id"]),
        ("productId", &["product_id"]),
        ("dueAt", &["due_by"]),
        ("assigneeId", &["responder_id"]),
        ("groupId", &["group_id"]),
        ("updatedAt", &["updated_at"]),
    ];
    for (name, sources) in kept {
        keep(&mut origin, name, record.first_text(sources));
    }
    keep(
        &mut origin,
        "organization",
        record.id("company_id").map(|id| companies.name(id)),
    );
    let copies: Vec<&str> = record
        .list("cc_emails")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    keep(&mut origin, "cc", (!copies.is_empty()).then(|| copies.join(", ")));
    let priority = record.text("priority").unwrap_or_default();
    let mut ticket = DeskTicket {
        raw: RawRow {
            external_id: record
                .first_text(&["id", "display_id"])
                .map(Value::from)
                .unwrap_or_default(),
            subject: record.text("subject").map(Value::from).unwrap_or_default(),
            description: Value::Null,
            priority: Value::from(coded(&PRIORITIES, meanings, &Field::Priority, &priority)),
            status: Value::from(status),
            channel: Value::from(channel),
            tags,
            custom_fields,
            created_at: record.time_value("created_at"),
            ended_at: ended_at
                .map(|at| Value::from(at.to_rfc3339()))
                .unwrap_or_default(),
        },
        requester,
        assignee: record.id("responder_id"),
        team: record.id("group_id"),
        first_response_at: at("first_responded_at"),
        resolved_at,
        updated_at,
        attachments: names(record).len() as u64,
        origin,
        remarks,
        ..DeskTicket::default()
    };
    let html = record.text("description_html").or_else(|| {
        record
            .text("description_text")
            .and_then(|_| record.text("description"))
    });
    let description = html
        .map(|html| markdown::from_html(&html))
        .filter(|text| !text.is_empty())
        .or_else(|| record.first_text(&["description_text", "description"]));
    converse(&mut ticket, description, comments, Beginning::default());
    Ok(ticket)
}

/// Walks through an export.
pub(super) fn read(export: &Export, meanings: &Meanings, sink: &mut Sink) -> Result<(), Stop> {
    let kinds = export.kinds();
    let mut companies = Organizations::default();
    export.records("companies", |found| {
        let tally = sink.tally(&found.origin.kind);
        tally.read += 1;
        tally.not_taken += 1;
        if let Ok(map) = &found.content {
            let record = inner(Record(map));
            if let (Some(id), Some(name)) = (record.id("id"), record.text("name")) {
                companies.add(id, &name);
            }
        }
        Ok::<_, Stop>(())
    })?;
    if let Some(count) = kinds.get("companies") {
        let message = "there are none here; their names are kept in the metadata of their tickets";
        sink.tell(Entry::of_all("companies", *count, "no_such_thing", message))?;
    }
    let (mut teams, mut members) = (Vec::new(), Vec::new());
    export.records("groups", |found| {
        let Some(record) = super::sound(&found, sink)? else {
            return Ok(());
        };
        match team(record) {
            Some((team, of_team)) => {
                members.extend(of_team.into_iter().map(|member| (found.origin.clone(), member)));
                teams.push((found.origin.clone(), team));
                Ok(())
            }
            None => super::refuse_nameless(&found.origin, sink),
        }
    })?;
    for (origin, team) in told_apart(teams) {
        sink.store(origin, Item::Team(team), 0)?;
    }
    for (kind, make) in [
        ("agents", agent as fn(Record<'_>) -> Option<DeskPerson>),
        ("contacts", contact),
    ] {
        export.records(kind, |found| {
            super::hand_on(found, sink, |record| make(record).map(Item::Person))
        })?;
    }
    for (origin, member) in members {
        let origin = Origin {
            kind: "group_memberships".into(),
            ..origin
        };
        sink.store(origin, Item::Membership(member), 0)?;
    }
    let mut spool = Spool::new(export.bytes)?;
    export.records("conversations", |found| put_aside(found, &mut spool, sink))?;
    export.records("tickets", |found| {
        read_ticket(found, meanings, &companies, &mut spool, sink)
    })?;
    tell_left(&mut spool, sink)?;
    for (kind, count) in &kinds {
        if canonical(kind).is_none() {
            super::pass_over_all(sink, kind, *count)?;
        }
    }
    Ok(())
}

fn put_aside(found: Found, spool: &mut Spool, sink: &mut Sink) -> Result<(), Stop> {
    let Some(record) = super::sound(&found, sink)? else {
        return Ok(());
    };
    let record = inner(record);
    match record.id("ticket_id") {
        Some(ticket) => {
            let content = Value::Object(record.0.clone()).to_string();
            Ok(spool.put(&ticket, content.as_bytes())?)
        }
        None => {
            let remark = Remark::new("ticket_id", "required", "does not say which ticket it belongs to");
            let id = record.id("id").unwrap_or_default();
            sink.pass_over(&found.origin, &id, Told::Refused, &remark)
        }
    }
}

fn read_ticket(
    found: Found,
    meanings: &Meanings,
    companies: &Organizations,
    spool: &mut Spool,
    sink: &mut Sink,
) -> Result<(), Stop> {
    let Some(record) = super::sound(&found, sink)? else {
        return Ok(());
    };
    let Some(id) = inner(record).first_text(&["id", "display_id"]) else {
        return super::refuse_nameless(&found.origin, sink);
    };
    let taken = spool.take(&id)?;
    let mut comments = Vec::new();
    for content in &taken.contents {
        if let Ok(Value::Object(map)) = serde_json::from_slice(content) {
            comments.extend(comment(Record(&map)));
        }
    }
    let elsewhere = comments.len() as u64;
    match ticket(record, comments, meanings, companies) {
        Ok(mut ticket) => {
            if taken.left > 0 {
                let message = format!(
                    "{} of the oldest entries are more than can be read of one ticket",
                    taken.left
                );
                ticket.remarks.push(Remark::new("messages", "too_much", message));
            }
            let size = ticket.size();
            sink.store(found.origin, Item::Ticket(Box::new(ticket)), size)
        }
        Err(remark) => {
            let tally = sink.tally(&Arc::from("comments"));
            tally.read += elsewhere;
            tally.skipped += elsewhere;
            sink.pass_over(&found.origin, &id, Told::Skipped, &remark)
        }
    }
}

fn tell_left(spool: &mut Spool, sink: &mut Sink) -> Result<(), Stop> {
    spool.left(|ticket, content| {
        let Ok(Value::Object(map)) = serde_json::from_slice(content) else {
            return Ok(());
        };
        let message = format!("belongs to ticket {ticket}, which the export does not have");
        let remark = Remark::new("ticket_id", "no_such_ticket", message);
        let origin = Origin {
            kind: "comments".into(),
            file: "".into(),
            record: 0,
        };
        let id = Record(&map).id("id").unwrap_or_default();
        sink.pass_over(&origin, &id, Told::NotTaken, &remark)
    })
}
