//! The ticket itself, and what a conversation is made of.

use chrono::{DateTime, Utc};
use events::{TicketChannel, TicketPriority, TicketStatus, TicketSummary};
use kernel::{MessageId, Position, TeamId, TicketId, UserId, Version};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::attachment::Attachment;
use crate::machine::Standing;
use crate::satisfaction::Satisfaction;
use crate::value::{Body, CustomFields, Description, Subject, Tags};

kernel::id_type! {
    /// A note for staff.
    NoteId
}
kernel::id_type! {
    /// An entry in a ticket's history.
    ActivityId
}

/// A ticket's number for people: `TKT-` and at least five digits, never reused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TicketNumber(String);

impl TicketNumber {
    /// The number made of the next value of the sequence.
    #[must_use]
    pub fn of(sequence: i64) -> Self {
        Self(format!("TKT-{sequence:05}"))
    }

    /// Takes a number as a store read it; other writers may number in their own way.
    #[must_use]
    pub fn stored(number: String) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a caller names a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketKey {
    /// By id.
    Id(TicketId),
    /// By number, in any case: `tkt-00001`.
    Number(TicketNumber),
}

impl TicketKey {
    /// Reads an id or a number; `None` when it can be neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(id) = Uuid::try_parse(text) {
            return Some(Self::Id(TicketId(id)));
        }
        let chars = text.chars().count();
        if !(1..=20).contains(&chars) || text.chars().any(char::is_control) {
            return None;
        }
        // Ours in any case; other writers may number in their own way.
        let ours = text
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("tkt-"));
        let number = if ours {
            text.to_ascii_uppercase()
        } else {
            text.to_owned()
        };
        Some(Self::Number(TicketNumber(number)))
    }
}

/// The most followers of a ticket.
pub const FOLLOWERS_MAX: usize = 50;
/// The most people whom a ticket is copied to.
pub const CC_MAX: usize = 20;
/// The most people that one text calls.
pub const MENTIONS_MAX: usize = 20;

/// A ticket with everything that decisions need.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Its id.
    pub id: TicketId,
    /// Its number.
    pub number: TicketNumber,
    /// What it is about.
    pub subject: Subject,
    /// What the requester wrote.
    pub description: Description,
    /// Who asks: the requester (contract: `createdById`).
    pub requester: UserId,
    /// Who answers.
    pub assignee: Option<UserId>,
    /// Which team it lies with; `None` is the triage queue of all agents.
    pub team: Option<TeamId>,
    /// How much it presses.
    pub priority: TicketPriority,
    /// Where it stands.
    pub standing: Standing,
    /// How it came in.
    pub channel: TicketChannel,
    /// Its SLA policy.
    pub sla_policy: Option<Uuid>,
    /// When the desk first answered in public.
    pub first_response_at: Option<DateTime<Utc>>,
    /// The earliest due time of its SLA clocks.
    pub sla_due_at: Option<DateTime<Utc>>,
    /// Whether an SLA clock was ever missed.
    pub sla_breached: bool,
    /// Its tags.
    pub tags: Tags,
    /// Its custom fields.
    pub custom_fields: CustomFields,
    /// Facts kept by programs; never shown to customers.
    pub metadata: Map<String, Value>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was deleted, if it is.
    pub deleted_at: Option<DateTime<Utc>>,
    /// The ticket in which its conversation lies, if it was merged into one.
    pub merged_into: Option<TicketId>,
    /// How content its requester said they are with its resolution, if they did.
    pub satisfaction: Option<Satisfaction>,
    /// Further people who have part in it as its requester has, up to [`CC_MAX`]; the requester is not among them.
    pub cc: Vec<UserId>,
    /// Staff who are told of what happens in it, up to [`FOLLOWERS_MAX`].
    pub followers: Vec<UserId>,
    /// How staff see its course.
    pub staff_face: Face,
    /// How the customer sees its course: internal text moves none of it.
    pub public_face: Face,
}

/// The figures that move with a ticket's changes, as one audience sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face {
    /// Counts the changes that this audience can see.
    pub version: Version,
    /// When the last of them happened.
    pub updated_at: DateTime<Utc>,
    /// How many messages this audience can read.
    pub message_count: i32,
    /// When the last of them was written.
    pub last_message_at: Option<DateTime<Utc>>,
}

impl Face {
    /// The face of a ticket that was made at `at`.
    #[must_use]
    pub fn new(at: DateTime<Utc>) -> Self {
        Self {
            version: Version::FIRST,
            updated_at: at,
            message_count: 0,
            last_message_at: None,
        }
    }
}

impl Ticket {
    /// The status by name.
    #[must_use]
    pub fn status(&self) -> TicketStatus {
        self.standing.status()
    }

    /// The version that commits compare: every change moves it.
    #[must_use]
    pub fn version(&self) -> Version {
        self.staff_face.version
    }

    /// The face that an audience sees.
    #[must_use]
    pub fn face(&self, audience: Audience) -> &Face {
        match audience {
            Audience::Customer => &self.public_face,
            Audience::Staff => &self.staff_face,
        }
    }

    /// What other domains are told of it.
    #[must_use]
    pub fn summary(&self) -> TicketSummary {
        TicketSummary {
            id: self.id,
            number: self.number.as_str().to_owned(),
            subject: self.subject.as_str().to_owned(),
            requester: self.requester,
            assignee: self.assignee,
            team: self.team,
            status: self.status(),
            priority: self.priority,
            version: self.version().0,
            cc: self.cc.clone(),
            followers: self.followers.clone(),
        }
    }
}

/// For whom something is shown: it decides which texts, counts and times there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// The requester's side: public messages only, and no trace of anything else.
    Customer,
    /// The desk: everything.
    Staff,
}

/// Who may read a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The requester and staff.
    Public,
    /// Staff alone.
    Internal,
}

/// A message in a ticket's conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The ticket.
    pub ticket: TicketId,
    /// Who wrote it.
    pub sender: UserId,
    /// The text as written, in Markdown.
    pub body: Body,
    /// The text as sanitised HTML; `None` where another writer made none.
    pub html: Option<String>,
    /// The contract's `attachmentUrls`.
    pub attachment_urls: Value,
    /// What hangs on it, in the order of its upload.
    pub attachments: Vec<Attachment>,
    /// Who may read it.
    pub visibility: Visibility,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When its text was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A note for staff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its id.
    pub id: NoteId,
    /// The ticket.
    pub ticket: TicketId,
    /// Who wrote it (contract: `agentId`).
    pub author: UserId,
    /// The text as written.
    pub body: Body,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// One entry of a ticket's history.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// Its id.
    pub id: ActivityId,
    /// The ticket.
    pub ticket: TicketId,
    /// Who did it; `None` for the server itself, which `metadata.system` then names.
    pub actor: Option<UserId>,
    /// What was done: one of [`action`], or another writer's word.
    pub action: String,
    /// The value before.
    pub old_value: Option<Value>,
    /// The value after.
    pub new_value: Option<Value>,
    /// Circumstances.
    pub metadata: Value,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// The kinds of activity (contract: `actionType`, at most 50 characters).
pub mod action {
    /// The ticket was made.
    pub const CREATED: &str = "created";
    /// Subject, description or metadata changed; the values are objects by field.
    pub const UPDATED: &str = "updated";
    /// The status changed.
    pub const STATUS_CHANGED: &str = "status_changed";
    /// The priority changed.
    pub const PRIORITY_CHANGED: &str = "priority_changed";
    /// The assignee changed.
    pub const ASSIGNED: &str = "assigned";
    /// The team changed.
    pub const TRANSFERRED: &str = "transferred";
    /// The tags changed.
    pub const TAGS_CHANGED: &str = "tags_changed";
    /// Custom fields changed.
    pub const CUSTOM_FIELDS_CHANGED: &str = "custom_fields_changed";
    /// A public message was added.
    pub const MESSAGE_ADDED: &str = "message_added";
    /// An internal message was added.
    pub const INTERNAL_MESSAGE_ADDED: &str = "internal_message_added";
    /// A message's text was changed; the old text is kept here.
    pub const MESSAGE_EDITED: &str = "message_edited";
    /// A message lost an attachment.
    pub const ATTACHMENT_REMOVED: &str = "attachment_removed";
    /// A note was added.
    pub const NOTE_ADDED: &str = "note_added";
    /// Someone follows it from now on.
    pub const FOLLOWED: &str = "followed";
    /// Someone follows it no longer.
    pub const UNFOLLOWED: &str = "unfollowed";
    /// Someone takes part in it from now on.
    pub const CC_ADDED: &str = "cc_added";
    /// Someone takes part in it no longer.
    pub const CC_REMOVED: &str = "cc_removed";
    /// Another ticket was linked to it.
    pub const LINKED: &str = "linked";
    /// A link was taken away.
    pub const UNLINKED: &str = "unlinked";
    /// Another ticket was merged into it.
    pub const MERGED: &str = "merged";
    /// It was merged into another ticket.
    pub const MERGED_INTO: &str = "merged_into";
    /// A merge was undone.
    pub const UNMERGED: &str = "unmerged";
    /// A message came from another ticket.
    pub const MESSAGE_RECEIVED: &str = "message_received";
    /// A message went to another ticket.
    pub const MESSAGE_MOVED: &str = "message_moved";
    /// The requester rated its resolution, or changed the rating.
    pub const RATED: &str = "rated";
    /// A clock came to a point before its deadline of which the policy warns.
    pub const SLA_WARNING: &str = "sla_warning";
    /// A clock missed its deadline.
    pub const SLA_BREACHED: &str = "sla_breached";
    /// A clock came to a point at or behind its deadline for which the policy has a step.
    pub const SLA_ESCALATED: &str = "sla_escalated";
    /// The ticket was deleted.
    pub const DELETED: &str = "deleted";
    /// The ticket was restored.
    pub const RESTORED: &str = "restored";

    /// The kinds that a customer may see of their ticket.
    pub const PUBLIC: [&str; 4] = [CREATED, STATUS_CHANGED, MESSAGE_ADDED, RATED];
}

impl Message {
    /// Its place in the conversation.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            at: self.created_at,
            id: self.id.0,
        }
    }
}

impl Note {
    /// Its place among the notes.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            at: self.created_at,
            id: self.id.0,
        }
    }
}

impl Activity {
    /// Its place in the history.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            at: self.created_at,
            id: self.id.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_at_least_five_digits() {
        assert_eq!(TicketNumber::of(7).as_str(), "TKT-00007");
        assert_eq!(TicketNumber::of(1_234_567).as_str(), "TKT-1234567");
    }

    #[test]
    fn a_ticket_is_named_by_id_or_by_number_in_any_case() {
        let id = Uuid::from_u128(5);
        assert_eq!(
            TicketKey::parse(&id.to_string()),
            Some(TicketKey::Id(TicketId(id)))
        );
        assert_eq!(
            TicketKey::parse("tkt-00007"),
            Some(TicketKey::Number(TicketNumber::of(7)))
        );
        assert_eq!(TicketKey::parse(""), None);
        assert_eq!(TicketKey::parse("TKT-\u{0}1"), None);
        let foreign = TicketNumber::stored("hd-7".to_owned());
        assert_eq!(TicketKey::parse("hd-7"), Some(TicketKey::Number(foreign)));
    }
}
