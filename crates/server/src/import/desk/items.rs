//! What an export comes down to, whichever help desk wrote it: people, teams, memberships and tickets.
//!
//! The modules of the help desks make these out of records; [`engine`](super::engine) stores them. To take over another
//! thing, add it here, let the help desks' modules make it, and store it there.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use ticketing::RawRow;

/// What someone may do at the desk that they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Rank {
    /// Asks.
    #[default]
    Customer,
    /// Answers.
    Agent,
    /// Runs the desk.
    Admin,
}

/// A person. Also how a ticket names one: what it says of them counts where the export has no record of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DeskPerson {
    pub(super) id: String,
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
    pub(super) rank: Rank,
    /// Suspended or deleted there.
    pub(super) shut_out: bool,
}

impl DeskPerson {
    /// Someone of whom no more than the id is known.
    pub(super) fn known_as(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeskTeam {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
}

/// That someone is in a team: the ids of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeskMembership {
    pub(super) person: String,
    pub(super) team: String,
}

/// A ticket with everything that was written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct DeskTicket {
    /// What a ticket has in any import.
    pub(super) raw: RawRow,
    pub(super) requester: DeskPerson,
    pub(super) assignee: Option<String>,
    pub(super) team: Option<String>,
    pub(super) first_response_at: Option<DateTime<Utc>>,
    pub(super) resolved_at: Option<DateTime<Utc>>,
    pub(super) updated_at: Option<DateTime<Utc>>,
    /// What was written after the description.
    pub(super) comments: Vec<DeskComment>,
    /// How many comments the export has of it, one that became the description among them.
    pub(super) comments_read: u64,
    /// What else is kept of where it comes from.
    pub(super) origin: Map<String, Value>,
    /// Files that are not taken.
    pub(super) attachments: u64,
    /// What does not come over as it was.
    pub(super) remarks: Vec<Remark>,
}

impl DeskTicket {
    /// About how many bytes it holds.
    pub(super) fn size(&self) -> usize {
        let description = self.raw.description.as_str().map_or(0, str::len);
        let comments = self.comments.iter().map(|comment| comment.text.len() + 256);
        description + comments.sum::<usize>() + 1024
    }
}

/// Something that was written to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeskComment {
    pub(super) id: String,
    pub(super) author: DeskPerson,
    /// Whether the author spoke for the desk, where the export says so; else their rank says.
    pub(super) by_staff: Option<bool>,
    /// In Markdown.
    pub(super) text: String,
    pub(super) is_public: bool,
    pub(super) at: Option<DateTime<Utc>>,
    /// The files' names.
    pub(super) attachments: Vec<String>,
}

/// Why something is not, or not as it was, in the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) field: String,
    /// A stable name.
    pub(super) rule: String,
    pub(super) message: String,
}

impl Remark {
    pub(super) fn new(field: &str, rule: &str, message: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            rule: rule.to_owned(),
            message: message.into(),
        }
    }
}

/// What there is to store.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Team(DeskTeam),
    Person(DeskPerson),
    Membership(DeskMembership),
    Ticket(Box<DeskTicket>),
}
