//! What calls say: `{ "type", "timestamp", "data" }`, as Standard Webhooks recommends.
//!
//! What an endpoint for customers is sent is made of what the requester sees in the API: it is not told of internal writing,
//! nor of who works on a ticket and how. Endpoints for staff get every event of tickets, and of accounts and teams those
//! that carry no secret.

use chrono::{DateTime, SecondsFormat, Utc};
use events::{Event, Fact, TicketFact, TicketSummary};
use kernel::{EventId, TicketId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::facts::{MessageFacts, PersonFacts, TicketView};
use crate::field::Audience;
use crate::macros::MacroId;
use crate::rule::RuleId;

/// The events that an endpoint can ask for.
pub const EVENT_NAMES: [&str; 39] = [
    "ticket.created",
    "ticket.updated",
    "ticket.status_changed",
    "ticket.priority_changed",
    "ticket.assigned",
    "ticket.transferred",
    "ticket.message_added",
    "ticket.internal_message_added",
    "ticket.message_edited",
    "ticket.attachment_removed",
    "ticket.note_added",
    "ticket.followed",
    "ticket.unfollowed",
    "ticket.cc_added",
    "ticket.cc_removed",
    "ticket.linked",
    "ticket.unlinked",
    "ticket.merged",
    "ticket.merged_into",
    "ticket.unmerged",
    "ticket.message_moved",
    "ticket.rated",
    "ticket.sla_warning",
    "ticket.sla_breached",
    "ticket.sla_escalated",
    "ticket.deleted",
    "ticket.restored",
    "user.created",
    "user.updated",
    "user.deleted",
    "user.restored",
    "user.anonymized",
    "team.created",
    "team.updated",
    "team.deleted",
    "team.member_set",
    "team.member_removed",
    "article.changed",
    "category.changed",
];
/// The name of the call that tries an endpoint.
pub const PING: &str = "webhook.ping";
/// The name of the call that a rule makes.
pub const RULE_CALL: &str = "automation.rule_ran";
/// The name of the call that a macro makes.
pub const MACRO_CALL: &str = "automation.macro_applied";
/// The name of the call that a step of an SLA policy makes.
pub const STEP_CALL: &str = "automation.sla_step_done";

/// What has something sent, told or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doer {
    /// A rule.
    Rule(RuleId),
    /// A macro that someone applied.
    Macro(MacroId),
    /// A step of this SLA policy.
    SlaStep(Uuid),
}

impl Doer {
    /// What kind of thing it is, as documents name it: `rule`, `macro`, `slaPolicy`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Doer::Rule(_) => "rule",
            Doer::Macro(_) => "macro",
            Doer::SlaStep(_) => "slaPolicy",
        }
    }

    /// Which.
    #[must_use]
    pub fn id(self) -> Uuid {
        match self {
            Doer::Rule(rule) => rule.0,
            Doer::Macro(one) => one.0,
            Doer::SlaStep(policy) => policy,
        }
    }

    /// The member that documents have for its id: `ruleId`, `macroId`, `slaPolicyId`.
    #[must_use]
    pub fn id_member(self) -> String {
        format!("{}Id", self.kind())
    }

    /// The name of the calls that it makes.
    #[must_use]
    pub fn call(self) -> &'static str {
        match self {
            Doer::Rule(_) => RULE_CALL,
            Doer::Macro(_) => MACRO_CALL,
            Doer::SlaStep(_) => STEP_CALL,
        }
    }
}

/// A step that sends something.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// The step; the id of what it sends.
    pub id: Uuid,
    /// Whose.
    pub doer: Doer,
    /// For which event.
    pub event: EventId,
    /// For which ticket.
    pub ticket: Option<TicketId>,
    /// When that happened.
    pub at: DateTime<Utc>,
}

/// What was looked up about an event.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Its ticket, as it stands now.
    pub(crate) view: Option<TicketView>,
    /// Its message.
    pub(crate) message: Option<MessageFacts>,
    /// Its account.
    pub(crate) person: Option<PersonFacts>,
}

/// Whether those behind an endpoint may know that this happened.
pub(crate) fn reaches(fact: &Fact, audience: Audience) -> bool {
    match (audience, fact) {
        (Audience::Staff, _) => true,
        (Audience::Customer, Fact::Identity(_) | Fact::Knowledge(_)) => false,
        (Audience::Customer, Fact::Ticket { what, .. }) => match what {
            TicketFact::Created {}
            | TicketFact::StatusChanged { .. }
            | TicketFact::MessageAdded { .. }
            | TicketFact::Rated { .. } => true,
            TicketFact::MessageEdited { internal, .. } | TicketFact::AttachmentRemoved { internal, .. } => {
                !internal
            }
            TicketFact::Updated { .. }
            | TicketFact::PriorityChanged { .. }
            | TicketFact::Assigned { .. }
            | TicketFact::Transferred { .. }
            | TicketFact::InternalMessageAdded { .. }
            | TicketFact::NoteAdded { .. }
            | TicketFact::Followed { .. }
            | TicketFact::Unfollowed { .. }
            | TicketFact::CcAdded { .. }
            | TicketFact::CcRemoved { .. }
            | TicketFact::Linked { .. }
            | TicketFact::Unlinked { .. }
            | TicketFact::Merged { .. }
            | TicketFact::MergedInto { .. }
            | TicketFact::Unmerged { .. }
            | TicketFact::MessageMoved { .. }
            | TicketFact::SlaWarning { .. }
            | TicketFact::SlaBreached { .. }
            | TicketFact::SlaEscalated { .. }
            | TicketFact::Deleted {}
            | TicketFact::Restored {} => false,
        },
    }
}

/// What is sent about an event of this name.
pub(crate) fn of_event(event: &Event, name: &str, change: &Value, seen: &Seen, audience: Audience) -> Value {
    let mut data = Map::new();
    data.insert("eventId".into(), json!(event.id));
    match (audience, &event.fact) {
        (Audience::Staff, _) => {
            data.insert("change".into(), change.clone());
            data.insert("actorId".into(), json!(event.cause.person()));
        }
        (
            Audience::Customer,
            Fact::Ticket {
                what: TicketFact::StatusChanged { from, to },
                ..
            },
        ) => {
            data.insert("change".into(), json!({ "from": from, "to": to }));
        }
        (Audience::Customer, _) => {}
    }
    if let Fact::Ticket { ticket, .. } = &event.fact {
        let now = seen.view.as_ref().map(|view| ticket_of(view, audience));
        let mut shown = now.unwrap_or_default();
        shown.extend(as_it_stood(ticket, audience));
        data.insert("ticket".into(), shown.into());
    }
    if let Some(message) = &seen.message {
        data.insert("message".into(), message_of(message, audience));
    }
    if let Some(person) = &seen.person {
        data.insert("user".into(), person_of(person));
    }
    envelope(name, event.at, data)
}

/// What is sent for a rule or a macro: its own payload, or the ticket.
pub(crate) fn of_step(
    step: &Sent,
    payload: Option<&Value>,
    view: Option<&TicketView>,
    audience: Audience,
) -> Value {
    let mut data = Map::new();
    data.insert("eventId".into(), json!(step.event));
    data.insert(step.doer.id_member(), json!(step.doer.id()));
    match (payload, view) {
        (Some(payload), _) => {
            data.insert("payload".into(), payload.clone());
        }
        (None, Some(view)) => {
            data.insert("ticket".into(), ticket_of(view, audience).into());
        }
        (None, None) => {}
    }
    envelope(step.doer.call(), step.at, data)
}

/// What tries an endpoint.
pub(crate) fn of_ping(id: EventId, at: DateTime<Utc>) -> Value {
    envelope(PING, at, Map::from_iter([("eventId".to_owned(), json!(id))]))
}

fn envelope(name: &str, at: DateTime<Utc>, data: Map<String, Value>) -> Value {
    json!({ "type": name, "timestamp": time(at), "data": data })
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn object(json: Value) -> Map<String, Value> {
    match json {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What an event itself knows of its ticket: right for its moment, whatever happened since.
fn as_it_stood(ticket: &TicketSummary, audience: Audience) -> Map<String, Value> {
    let mut shown = object(json!({
        "id": ticket.id, "ticketNumber": ticket.number, "subject": ticket.subject, "status": ticket.status,
        "priority": ticket.priority, "createdById": ticket.requester,
    }));
    if audience == Audience::Staff {
        shown.extend(object(json!({
            "assignedToId": ticket.assignee, "teamId": ticket.team, "version": ticket.version,
        })));
    }
    shown
}

fn ticket_of(view: &TicketView, audience: Audience) -> Map<String, Value> {
    let ticket = &view.ticket;
    let mut shown = object(json!({
        "id": ticket.id, "ticketNumber": ticket.number, "subject": ticket.subject, "description": ticket.description,
        "status": ticket.status, "priority": ticket.priority, "channel": ticket.channel,
        "createdById": ticket.requester, "createdAt": time(ticket.created_at), "url": view.url,
    }));
    if audience == Audience::Staff {
        shown.extend(object(json!({
            "assignedToId": ticket.assignee, "teamId": ticket.team, "tags": ticket.tags,
            "customFields": ticket.custom_fields, "slaPolicyId": ticket.sla_policy,
            "slaDueAt": ticket.sla_due_at.map(time), "slaBreached": ticket.sla_breached,
        })));
    }
    shown
}

fn message_of(message: &MessageFacts, audience: Audience) -> Value {
    let by_staff = message.author_role != kernel::Role::User;
    match audience {
        Audience::Customer => json!({ "id": message.id, "message": message.body, "byStaff": by_staff }),
        Audience::Staff => json!({
            "id": message.id, "message": message.body, "isInternal": message.is_internal,
            "senderId": message.author, "byStaff": by_staff,
        }),
    }
}

fn person_of(person: &PersonFacts) -> Value {
    json!({ "id": person.id, "name": person.name, "email": person.email, "role": person.role.as_str() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kernel::{MessageId, Role, UserId};

    use super::*;
    use crate::testing::build;

    fn event(what: TicketFact) -> Event {
        Event {
            id: EventId(Uuid::from_u128(1)),
            at: build::noon(),
            cause: events::Cause::Person(UserId(Uuid::from_u128(2))),
            origin: None,
            chain: None,
            fact: Fact::Ticket {
                ticket: TicketSummary {
                    id: TicketId(Uuid::from_u128(3)),
                    number: "TKT-00001".into(),
                    subject: "Then".into(),
                    requester: UserId(Uuid::from_u128(2)),
                    assignee: Some(UserId(Uuid::from_u128(4))),
                    team: None,
                    status: events::TicketStatus::Open,
                    priority: events::TicketPriority::Low,
                    version: 7,
                    cc: Vec::new(),
                    followers: Vec::new(),
                },
                what,
            },
        }
    }

    fn keys(of: &Value) -> BTreeSet<&str> {
        of.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn customers_are_sent_what_the_requester_sees_and_nothing_more() {
        let event = event(TicketFact::Created {});
        let message = MessageFacts {
            id: MessageId(Uuid::from_u128(5)),
            body: "Hi".into(),
            is_internal: false,
            author: UserId(Uuid::from_u128(4)),
            author_role: Role::Agent,
        };
        let seen = Seen {
            view: Some(build::view()),
            message: Some(message),
            person: None,
        };
        let body = of_event(&event, "ticket.created", &json!({}), &seen, Audience::Customer);
        assert_eq!(keys(&body), BTreeSet::from(["type", "timestamp", "data"]));
        assert_eq!(
            keys(&body["data"]),
            BTreeSet::from(["eventId", "ticket", "message"])
        );
        let ticket = [
            "id",
            "ticketNumber",
            "subject",
            "description",
            "status",
            "priority",
            "channel",
            "createdById",
            "createdAt",
            "url",
        ];
        assert_eq!(keys(&body["data"]["ticket"]), BTreeSet::from(ticket));
        assert_eq!(
            keys(&body["data"]["message"]),
            BTreeSet::from(["id", "message", "byStaff"])
        );
        // The ticket is as it was at the event.
        assert_eq!(body["data"]["ticket"]["subject"], "Then");
        let staff = of_event(&event, "ticket.created", &json!({}), &seen, Audience::Staff);
        assert_eq!(staff["data"]["ticket"]["version"], 7);
        assert_eq!(staff["data"]["message"]["isInternal"], false);
        assert!(staff["data"]["ticket"]["tags"].is_array());
    }

    #[test]
    fn customers_are_not_told_of_what_is_internal() {
        let (message, author) = (MessageId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let internal = |internal| TicketFact::MessageEdited { message, internal };
        for (what, expected) in [
            (TicketFact::Created {}, true),
            (internal(false), true),
            (internal(true), false),
            (
                TicketFact::InternalMessageAdded {
                    message,
                    author,
                    mentioned: Vec::new(),
                },
                false,
            ),
            (TicketFact::Deleted {}, false),
        ] {
            let fact = event(what).fact;
            assert_eq!(reaches(&fact, Audience::Customer), expected, "{fact:?}");
            assert!(reaches(&fact, Audience::Staff));
        }
    }

    #[test]
    fn every_offered_name_is_that_of_an_event() {
        for name in EVENT_NAMES {
            let (kind, data) = (name, json!({}));
            // A name that no fact has is told as such; one that has members asks for them.
            let read: Result<TicketFact, _> =
                serde_json::from_value(json!({ "kind": kind, "data": data.clone() }));
            let other: Result<events::IdentityFact, _> =
                serde_json::from_value(json!({ "kind": kind, "data": data.clone() }));
            let third: Result<events::KnowledgeFact, _> =
                serde_json::from_value(json!({ "kind": kind, "data": data }));
            let is_unknown = |error: String| error.contains("unknown variant");
            let ticket_knows = read.map_or_else(|error| !is_unknown(error.to_string()), |_| true);
            let identity_knows = other.map_or_else(|error| !is_unknown(error.to_string()), |_| true);
            let knowledge_knows = third.map_or_else(|error| !is_unknown(error.to_string()), |_| true);
            assert!(ticket_knows || identity_knows || knowledge_knows, "{name}");
        }
    }
}
