//! What is promised about tickets. Another domain keeps promises and their clocks; here is what ticketing tells it of a change
//! ([`ServiceLevels::follow`]) and stores with the change for it ([`ClockWrite`]), without knowing what it says.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::TicketFact;
use kernel::PortError;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ticket::{Ticket, action};

/// Keeps what is promised about tickets.
#[async_trait]
pub trait ServiceLevels: Send + Sync {
    /// What becomes of a ticket's clocks by a change; `None` where it moves none. Must change nothing: what it gives is stored
    /// with the change, or nothing of both is.
    ///
    /// # Errors
    /// When what is promised, or the clocks, cannot be read.
    async fn follow(&self, change: &TicketChange<'_>) -> Result<Option<ClockWrite>, PortError>;

    /// Whether there is a policy of this id, as far as is known.
    ///
    /// # Errors
    /// When policies cannot be read.
    async fn has_policy(&self, policy: Uuid) -> Result<bool, PortError>;

    /// Forgets what is known of policies: one that it named is gone.
    fn forget(&self);
}

/// A change of a ticket, decided and not stored yet.
#[derive(Debug, Clone, Copy)]
pub struct TicketChange<'a> {
    /// The ticket as it is to be.
    pub ticket: &'a Ticket,
    /// Whether the change makes it.
    pub is_new: bool,
    /// When.
    pub at: DateTime<Utc>,
    /// What happens, in order.
    pub facts: &'a [TicketFact],
}

/// What a change does to the clocks of its ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockWrite {
    /// The policy that the ticket shows (`slaPolicyId`).
    pub policy: Option<Uuid>,
    /// The deadline that it shows (`slaDueAt`).
    pub due_at: Option<DateTime<Utc>>,
    /// Whether a deadline was missed (`slaBreached`).
    pub is_breached: bool,
    /// The row of its clocks, as whoever keeps them writes it.
    pub clocks: Value,
    /// Further rows of its ledger.
    pub spans: Vec<Value>,
    /// What came due before the change and was not told yet, in order.
    pub said: Vec<TicketFact>,
}

/// What a desk without promises has.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoServiceLevels;

#[async_trait]
impl ServiceLevels for NoServiceLevels {
    async fn follow(&self, _: &TicketChange<'_>) -> Result<Option<ClockWrite>, PortError> {
        Ok(None)
    }

    async fn has_policy(&self, _: Uuid) -> Result<bool, PortError> {
        Ok(false)
    }

    fn forget(&self) {}
}

/// How the history tells what clocks said: the kind, and the new value. `None` for other facts.
#[must_use]
pub fn history_of(fact: &TicketFact) -> Option<(&'static str, Value)> {
    match fact {
        TicketFact::SlaWarning {
            metric, at, due_at, ..
        } => {
            let value = json!({ "metric": metric, "at": at, "dueAt": due_at });
            Some((action::SLA_WARNING, value))
        }
        TicketFact::SlaBreached { metric, due_at, .. } => {
            let value = json!({ "metric": metric, "dueAt": due_at });
            Some((action::SLA_BREACHED, value))
        }
        TicketFact::SlaEscalated {
            metric, at, due_at, ..
        } => {
            let value = json!({ "metric": metric, "at": at, "dueAt": due_at });
            Some((action::SLA_ESCALATED, value))
        }
        _ => None,
    }
}
