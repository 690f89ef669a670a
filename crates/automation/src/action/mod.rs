//! What a rule or macro does: an ordered list of documents, each with its `type`.
//!
//! | `type` | other members |
//! |---|---|
//! | `set_priority` | `value`: low, medium, high, urgent |
//! | `set_status` | `value`: open, pending, resolved, closed |
//! | `set_assignee` | `value`: the id of one of the staff, or null for nobody |
//! | `set_team` | `value`: a team's id, or null for none |
//! | `add_tags`, `remove_tags`, `set_tags` | `value`: a list of tags; an empty one for `set_tags` alone |
//! | `set_custom_field` | `field`: its name; `value`: a text, number, boolean, list of texts, or null to empty it |
//! | `set_sla_policy` | `value`: a policy's id, or null for the one that fits |
//! | `assign_round_robin`, `assign_least_loaded` | `value`: a team's id; without it, the ticket's team |
//! | `add_note` | `value`: a text for staff, in Markdown |
//! | `send_reply` | `value`: a text for the customer, in Markdown |
//! | `notify` | `to`: a list of `assignee`, `team`, `followers` and ids of staff; `value`: a text for them |
//! | `send_email` | `to`: a list of `requester`, `assignee`, `user`, ids of accounts and addresses; `subject`; `value`: texts |
//! | `webhook` | `value`: an endpoint's id; `payload`: an object whose texts are filled in; without it, the event itself |
//! | `stop` | no rule after this one sees the event, whatever else it would do |
//!
//! Texts are [templates](crate::template). A mail whose every recipient is known to be of the staff may name what staff
//! know; any other is a text for customers. To add an action, add it to [`Action`], to the table in [`reading`](self), and
//! say in [`plan`](crate::plan) what it changes and in [`feed`](crate::feed) what events it makes.

mod reading;

use events::{TicketPriority, TicketStatus};
use kernel::{TeamId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::reference::EndpointId;
use crate::template::Template;

pub use reading::{
    ACTIONS_MAX, ACTIONS_MAX_BYTES, Actions, EMAIL_MAX_CHARS, PAYLOAD_LEVELS_MAX, PAYLOAD_MAX_BYTES,
    RECIPIENTS_MAX, TAG_MAX_CHARS, TAGS_MAX, VALUE_MAX_BYTES,
};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Makes the ticket press so much.
    SetPriority(TicketPriority),
    /// Moves it in the state machine, where that allows it.
    SetStatus(TicketStatus),
    /// Gives it to someone, or to nobody.
    SetAssignee(Option<UserId>),
    /// Gives it to a team, or to none.
    SetTeam(Option<TeamId>),
    /// Adds tags.
    AddTags(Vec<String>),
    /// Takes tags away.
    RemoveTags(Vec<String>),
    /// Makes these its tags.
    SetTags(Vec<String>),
    /// Fills a custom field, or empties it.
    SetCustomField {
        /// Its name.
        name: String,
        /// Its new value; `None` empties it.
        value: Option<Value>,
    },
    /// Puts it under an SLA policy, or under the one that fits.
    SetSlaPolicy(Option<Uuid>),
    /// Gives it to one of a team.
    AssignFrom {
        /// How that one is chosen.
        mode: AssignMode,
        /// Of which team; `None` for the ticket's.
        team: Option<TeamId>,
    },
    /// Writes a note for staff.
    AddNote(Template),
    /// Answers the customer.
    SendReply(Template),
    /// Tells staff in the application.
    Notify {
        /// Whom.
        to: Vec<NotifyRecipient>,
        /// What.
        text: Template,
    },
    /// Sends a mail.
    SendEmail {
        /// To whom.
        to: Vec<MailRecipient>,
        /// Its subject.
        subject: Template,
        /// Its text, plain.
        text: Template,
    },
    /// Calls an endpoint.
    Webhook {
        /// Which.
        endpoint: EndpointId,
        /// What it is sent; `None` for the event as the feed shows it.
        payload: Option<Payload>,
    },
    /// No rule after this one sees the event.
    Stop,
}

/// How someone of a team is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssignMode {
    /// Who has waited longest.
    RoundRobin,
    /// Who has the fewest open tickets.
    LeastLoaded,
}

/// Who is told in the application. Staff alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyRecipient {
    /// Who answers the ticket.
    Assignee,
    /// The members of its team.
    Team,
    /// The staff who follow it.
    Followers,
    /// One of the staff.
    Person(UserId),
}

/// Who gets a mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailRecipient {
    /// Who asked.
    Requester,
    /// Who answers.
    Assignee,
    /// The new account, for `user.created`.
    User,
    /// An account.
    Person(UserId),
    /// An address outside.
    Address(String),
}

/// What a webhook is sent: an object whose texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// Anything that is no text and has no parts.
    Plain(Value),
    /// A text.
    Text(Template),
    /// A text without anything to fill in.
    Literal(String),
    /// A list.
    List(Vec<Payload>),
    /// An object, by the names of its members.
    Object(Vec<(String, Payload)>),
}

impl Action {
    /// The name of its type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Action::SetPriority(_) => "set_priority",
            Action::SetStatus(_) => "set_status",
            Action::SetAssignee(_) => "set_assignee",
            Action::SetTeam(_) => "set_team",
            Action::AddTags(_) => "add_tags",
            Action::RemoveTags(_) => "remove_tags",
            Action::SetTags(_) => "set_tags",
            Action::SetCustomField { .. } => "set_custom_field",
            Action::SetSlaPolicy(_) => "set_sla_policy",
            Action::AssignFrom {
                mode: AssignMode::RoundRobin,
                ..
            } => "assign_round_robin",
            Action::AssignFrom {
                mode: AssignMode::LeastLoaded,
                ..
            } => "assign_least_loaded",
            Action::AddNote(_) => "add_note",
            Action::SendReply(_) => "send_reply",
            Action::Notify { .. } => "notify",
            Action::SendEmail { .. } => "send_email",
            Action::Webhook { .. } => "webhook",
            Action::Stop => "stop",
        }
    }

    /// Whether it needs a ticket to work on.
    #[must_use]
    pub fn needs_ticket(&self) -> bool {
        match self {
            Action::SetPriority(_)
            | Action::SetStatus(_)
            | Action::SetAssignee(_)
            | Action::SetTeam(_)
            | Action::AddTags(_)
            | Action::RemoveTags(_)
            | Action::SetTags(_)
            | Action::SetCustomField { .. }
            | Action::SetSlaPolicy(_)
            | Action::AssignFrom { .. }
            | Action::AddNote(_)
            | Action::SendReply(_) => true,
            Action::Notify { .. } | Action::SendEmail { .. } | Action::Webhook { .. } | Action::Stop => false,
        }
    }

    /// Whether it reaches beyond the desk's own people: only administrators may write it.
    #[must_use]
    pub fn reaches_outside(&self) -> bool {
        match self {
            Action::Webhook { .. } | Action::SendEmail { .. } => true,
            Action::SetPriority(_)
            | Action::SetStatus(_)
            | Action::SetAssignee(_)
            | Action::SetTeam(_)
            | Action::AddTags(_)
            | Action::RemoveTags(_)
            | Action::SetTags(_)
            | Action::SetCustomField { .. }
            | Action::SetSlaPolicy(_)
            | Action::AssignFrom { .. }
            | Action::AddNote(_)
            | Action::SendReply(_)
            | Action::Notify { .. }
            | Action::Stop => false,
        }
    }
}

#[cfg(test)]
mod tests;
