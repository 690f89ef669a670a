//! What happens to a ticket, as far as its clocks care.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::policy::{PolicyRef, Priority};

/// Where a ticket stands (contract enum `TicketStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for the desk.
    Open,
    /// It waits for the customer, or for somebody else.
    Pending,
    /// It is solved.
    Resolved,
    /// It is done with.
    Closed,
}

impl Status {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Open, Self::Pending, Self::Resolved, Self::Closed];
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// The requester, or another customer, wrote a message.
    CustomerMessage,
    /// An agent wrote a public reply.
    AgentReply,
    /// The ticket stands there now: it became pending, was resolved, closed, or is (again) open.
    Status(Status),
    /// It presses so much now.
    Priority(Priority),
    /// These terms are in force now: another policy was chosen, or the policy or its calendar was edited. `None` where none
    /// is for the ticket any more.
    Policy(Option<PolicyRef>),
    /// It became part of another ticket.
    Merged,
    /// That was undone.
    Unmerged,
    /// It was deleted.
    Deleted,
    /// It was restored.
    Restored,
}
