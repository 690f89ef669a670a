//! Ticketing's question what is promised about a ticket, answered by the clocks of `sla`.

use std::sync::Arc;

use async_trait::async_trait;
use events::{TicketFact, TicketPriority, TicketStatus};
use kernel::filter::{Circumstances, Condition, Literal};
use kernel::{PortError, Violations};
use serde_json::Value;
use sla::clocks::{Status, What};
use sla::{Change, DocumentChecks, FollowError, Followed, PolicyFilter, PolicyId, Priority, TicketSla};
use ticketing::{Audience, ClockWrite, ServiceLevels, Ticket, TicketChange, TicketFields};
use uuid::Uuid;

/// What is promised about tickets, by [`TicketSla`].
pub(crate) struct Promises(pub(crate) Arc<TicketSla>);

#[async_trait]
impl ServiceLevels for Promises {
    async fn follow(&self, change: &TicketChange<'_>) -> Result<Option<ClockWrite>, PortError> {
        let TicketChange {
            ticket,
            is_new,
            at,
            facts,
        } = *change;
        let what: Vec<_> = facts.iter().filter_map(what_of).collect();
        let circumstances = Circumstances { now: at, me: None };
        let matches = |filter: &PolicyFilter| fits(filter, ticket, &circumstances);
        let change = Change {
            ticket: ticket.id,
            is_new,
            at,
            status: status(ticket.status()),
            priority: priority(ticket.priority),
            is_answered: ticket.first_response_at.is_some(),
            named: ticket.sla_policy.map(PolicyId),
            what: &what,
            may_select: facts.iter().any(changes_selection),
            matches: &matches,
        };
        let followed = self.0.follow(&change).await.map_err(failed)?;
        followed.map(stored).transpose()
    }

    async fn has_policy(&self, policy: Uuid) -> Result<bool, PortError> {
        self.0.has_policy(PolicyId(policy)).await
    }

    fn forget(&self) {
        self.0.forget();
    }
}

/// What of policies others know: a filter is one of tickets, as staff see them, and steps have actions as rules do.
pub(crate) struct PolicyChecks;

impl DocumentChecks for PolicyChecks {
    fn filter(&self, filter: &Value, pointer: &str) -> Result<(), Violations> {
        let fields = TicketFields(Audience::Staff);
        Condition::<_, Literal>::read(filter, pointer, &fields).map(drop)
    }

    fn actions(&self, actions: &[Value], pointer: &str) -> Result<(), Violations> {
        if actions.is_empty() {
            return Ok(());
        }
        automation::step_actions(&Value::Array(actions.to_vec()), pointer).map(drop)
    }
}

fn failed(error: FollowError) -> PortError {
    match error {
        FollowError::Port(error) => error,
        FollowError::Clocks(error) => bug(error),
    }
}

fn bug(error: impl std::error::Error + Send + Sync + 'static) -> PortError {
    PortError::Bug {
        port: "ticket clocks",
        source: Box::new(error),
    }
}

fn stored(followed: Followed) -> Result<ClockWrite, PortError> {
    let Followed {
        kept,
        spans,
        policy,
        due_at,
        is_breached,
        said,
    } = followed;
    let spans = spans
        .into_iter()
        .map(|span| serde_json::to_value(span).map_err(bug));
    Ok(ClockWrite {
        policy: policy.map(|policy| policy.0),
        due_at,
        is_breached,
        clocks: serde_json::to_value(kept).map_err(bug)?,
        spans: spans.collect::<Result<_, _>>()?,
        said,
    })
}

/// A filter that cannot be read, since another writer left it or a field is gone, selects nothing.
fn fits(filter: &PolicyFilter, ticket: &Ticket, circumstances: &Circumstances) -> bool {
    let fields = TicketFields(Audience::Staff);
    let condition = Condition::<_, Literal>::read(filter.as_json(), "", &fields);
    condition.is_ok_and(|condition| {
        let condition = condition.settled(circumstances);
        condition.holds(&|field: &ticketing::TicketField| field.value(ticket, Audience::Staff))
    })
}

fn status(status: TicketStatus) -> Status {
    match status {
        TicketStatus::Open => Status::Open,
        TicketStatus::Pending => Status::Pending,
        TicketStatus::Resolved => Status::Resolved,
        TicketStatus::Closed => Status::Closed,
    }
}

fn priority(priority: TicketPriority) -> Priority {
    match priority {
        TicketPriority::Low => Priority::Low,
        TicketPriority::Medium => Priority::Medium,
        TicketPriority::High => Priority::High,
        TicketPriority::Urgent => Priority::Urgent,
    }
}

/// What a fact is to clocks.
fn what_of(fact: &TicketFact) -> Option<What> {
    match fact {
        TicketFact::MessageAdded { by_staff: true, .. } => Some(What::AgentReply),
        TicketFact::MessageAdded { by_staff: false, .. } => Some(What::CustomerMessage),
        TicketFact::StatusChanged { from: _, to } => Some(What::Status(status(*to))),
        TicketFact::PriorityChanged { from: _, to } => Some(What::Priority(priority(*to))),
        TicketFact::MergedInto { .. } => Some(What::Merged),
        // Of both tickets; to the one that was not part of the other it says nothing.
        TicketFact::Unmerged { .. } => Some(What::Unmerged),
        TicketFact::Deleted {} => Some(What::Deleted),
        TicketFact::Restored {} => Some(What::Restored),
        TicketFact::Created {}
        | TicketFact::Updated { .. }
        | TicketFact::Assigned { .. }
        | TicketFact::Transferred { .. }
        | TicketFact::InternalMessageAdded { .. }
        | TicketFact::MessageEdited { .. }
        | TicketFact::AttachmentRemoved { .. }
        | TicketFact::NoteAdded { .. }
        | TicketFact::Followed { .. }
        | TicketFact::Unfollowed { .. }
        | TicketFact::CcAdded { .. }
        | TicketFact::CcRemoved { .. }
        | TicketFact::Linked { .. }
        | TicketFact::Unlinked { .. }
        | TicketFact::Merged { .. }
        | TicketFact::MessageMoved { .. }
        | TicketFact::Rated { .. }
        | TicketFact::SlaWarning { .. }
        | TicketFact::SlaBreached { .. }
        | TicketFact::SlaEscalated { .. } => None,
    }
}

/// Whether the policy is asked for anew: when the ticket became another one, not when somebody works on it.
fn changes_selection(fact: &TicketFact) -> bool {
    matches!(
        fact,
        TicketFact::Created {}
            | TicketFact::Updated { .. }
            | TicketFact::PriorityChanged { .. }
            | TicketFact::Transferred { .. }
    )
}
