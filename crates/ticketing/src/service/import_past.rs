//! The past of a ticket that comes from elsewhere: who worked on it, when, and everything that was written.
//!
//! The past is told as it was, so that it answers to other rules than a change of today: times are those of the source,
//! and nobody is told of a message. What customers may see of a ticket still moves by what they may see alone.

use std::cmp::max;

use chrono::{DateTime, Utc};
use kernel::clock::to_database_precision;
use kernel::{IdSource, MessageId, TeamId, UserId, Violation, Violations};
use serde_json::{Map, Value, json};

use crate::machine::Standing;
use crate::port::Markup;
use crate::ticket::{Message, Ticket, Visibility};
use crate::value::{Body, within_document_bound};

/// The most messages of a ticket that comes from elsewhere.
pub const PAST_MESSAGES_MAX: usize = 10_000;

/// What happened to a ticket before it came here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// Who answers it.
    pub assignee: Option<UserId>,
    /// The team that it lies with.
    pub team: Option<TeamId>,
    /// When the desk first answered in public; by the messages when not said.
    pub first_response_at: Option<DateTime<Utc>>,
    /// When it was resolved, of one that was closed later.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When it last changed, as staff saw it.
    pub updated_at: Option<DateTime<Utc>>,
    /// What was written, in any order.
    pub messages: Vec<PastMessage>,
    /// What else is kept of where it comes from: members of `metadata.import`.
    pub origin: Map<String, Value>,
}

/// A message that was written elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastMessage {
    /// Who wrote it.
    pub sender: UserId,
    /// Whether its author spoke for the desk.
    pub by_staff: bool,
    /// The text, in Markdown.
    pub body: Body,
    /// Who may read it.
    pub visibility: Visibility,
    /// When it was written.
    pub at: DateTime<Utc>,
}

impl Past {
    /// Holds the past to its bounds.
    ///
    /// # Errors
    /// Each bound that it exceeds.
    pub fn check(&self) -> Result<(), Violations> {
        let mut faults = Violations::new();
        if self.messages.len() > PAST_MESSAGES_MAX {
            faults.push(Violation::new(
                "/messages",
                "too_many",
                format!("must have at most {PAST_MESSAGES_MAX} messages"),
            ));
        }
        faults.check(within_document_bound("/metadata", &self.origin));
        faults.into_result()
    }

    /// Gives the ticket its past, and gives its messages, oldest first. Nothing of it lies before the ticket's making
    /// or after `now`.
    pub(super) fn befall(
        self,
        ticket: &mut Ticket,
        ids: &dyn IdSource,
        markup: &dyn Markup,
        now: DateTime<Utc>,
    ) -> Vec<Message> {
        let Self {
            assignee,
            team,
            first_response_at,
            resolved_at,
            updated_at,
            mut messages,
            origin,
        } = self;
        let begin = ticket.created_at;
        let within = |at: DateTime<Utc>| to_database_precision(at).min(now).max(begin);
        ticket.assignee = assignee;
        ticket.team = team;
        if let Standing::Closed { at, by, .. } = ticket.standing {
            let resolved_at = resolved_at.map_or(at, |resolved| within(resolved).min(at));
            ticket.standing = Standing::Closed { resolved_at, at, by };
        }
        if let Some(Value::Object(import)) = ticket.metadata.get_mut("import") {
            for (name, value) in origin {
                import.entry(name).or_insert(value);
            }
        }
        messages.sort_by_key(|message| message.at);
        let requester = ticket.requester;
        let answered = |message: &&PastMessage| {
            message.by_staff && message.visibility == Visibility::Public && message.sender != requester
        };
        let by_messages = messages.iter().find(answered).map(|message| message.at);
        ticket.first_response_at = first_response_at.or(by_messages).map(within);
        let messages: Vec<Message> = messages
            .into_iter()
            .map(|message| {
                let at = within(message.at);
                Message {
                    id: MessageId::new(ids),
                    ticket: ticket.id,
                    sender: message.sender,
                    html: Some(markup.to_html(message.body.as_str())),
                    body: message.body,
                    attachment_urls: json!([]),
                    attachments: Vec::new(),
                    visibility: message.visibility,
                    created_at: at,
                    updated_at: at,
                }
            })
            .collect();
        let ended_at = ticket.standing.closed_at().or(ticket.standing.resolved_at());
        for face in [&mut ticket.staff_face, &mut ticket.public_face] {
            face.updated_at = max(face.updated_at, ended_at.unwrap_or(begin));
        }
        for message in &messages {
            let faces = match message.visibility {
                Visibility::Public => vec![&mut ticket.staff_face, &mut ticket.public_face],
                Visibility::Internal => vec![&mut ticket.staff_face],
            };
            for face in faces {
                face.message_count += 1;
                face.last_message_at = face.last_message_at.max(Some(message.created_at));
                face.updated_at = max(face.updated_at, message.created_at);
            }
        }
        if let Some(updated_at) = updated_at {
            // Of the customer's face nothing moves that they could not see: what the source calls a change may be one
            // of text for staff.
            ticket.staff_face.updated_at = max(ticket.staff_face.updated_at, within(updated_at));
        }
        messages
    }
}
