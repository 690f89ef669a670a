//! What sets a rule off: an event, or a schedule.
//!
//! To add a trigger, add it to [`TriggerKind`], say which published facts pull it in [`TriggerKind::of`], and what an event
//! of it has in [`Owner::is_at`](crate::field::Owner::is_at).

use events::{Fact, IdentityFact, TicketFact, TicketStatus};
use kernel::Violations;
use serde_json::Value;

use crate::field::Owner;
use crate::schedule::Schedule;

/// What sets rules off, by its name in the contract's column `trigger`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TriggerKind {
    /// A ticket was made.
    Created,
    /// Fields of a ticket that have no trigger of their own changed: subject, description, team, tags, custom fields, SLA
    /// policy.
    Updated,
    /// A ticket moved in the state machine.
    StatusChanged,
    /// A ticket became more or less pressing.
    PriorityChanged,
    /// Another person, or no one, is to answer a ticket.
    Assigned,
    /// A public or internal message was added.
    MessageAdded,
    /// A resolved or closed ticket is open again. It is a change of status too.
    Reopened,
    /// The requester rated a resolution.
    Rated,
    /// A clock comes near its end.
    SlaWarning,
    /// A clock was missed.
    SlaBreached,
    /// An account was made.
    UserCreated,
    /// The time has come, for each ticket that a filter selects.
    Schedule,
}

impl TriggerKind {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::Created,
        Self::Updated,
        Self::StatusChanged,
        Self::PriorityChanged,
        Self::Assigned,
        Self::MessageAdded,
        Self::Reopened,
        Self::Rated,
        Self::SlaWarning,
        Self::SlaBreached,
        Self::UserCreated,
        Self::Schedule,
    ];

    /// The name in JSON and in the contract's column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "ticket.created",
            Self::Updated => "ticket.updated",
            Self::StatusChanged => "ticket.status_changed",
            Self::PriorityChanged => "ticket.priority_changed",
            Self::Assigned => "ticket.assigned",
            Self::MessageAdded => "ticket.message_added",
            Self::Reopened => "ticket.reopened",
            Self::Rated => "ticket.rated",
            Self::SlaWarning => "ticket.sla_warning",
            Self::SlaBreached => "ticket.sla_breached",
            Self::UserCreated => "user.created",
            Self::Schedule => "schedule",
        }
    }

    /// The trigger of a name. What others wrote into the table without `ticket.` is taken too.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let is_meant = |kind: &Self| {
            let full = kind.as_str();
            full == name || full.strip_prefix("ticket.") == Some(name)
        };
        Self::ALL.into_iter().find(is_meant)
    }

    /// Whether its events are about a ticket.
    #[must_use]
    pub fn has_ticket(self) -> bool {
        match self {
            Self::UserCreated => false,
            Self::Created
            | Self::Updated
            | Self::StatusChanged
            | Self::PriorityChanged
            | Self::Assigned
            | Self::MessageAdded
            | Self::Reopened
            | Self::Rated
            | Self::SlaWarning
            | Self::SlaBreached
            | Self::Schedule => true,
        }
    }

    /// The triggers that a published fact pulls; none for what rules do not hear of.
    #[must_use]
    pub fn of(fact: &Fact) -> Vec<TriggerKind> {
        match fact {
            Fact::Ticket { ticket: _, what } => Self::of_ticket(what),
            Fact::Identity(IdentityFact::UserCreated { .. }) => vec![Self::UserCreated],
            Fact::Identity(_) | Fact::Knowledge(_) => Vec::new(),
        }
    }

    fn of_ticket(what: &TicketFact) -> Vec<TriggerKind> {
        match what {
            TicketFact::Created {} => vec![Self::Created],
            TicketFact::Updated { .. } | TicketFact::Transferred { .. } => vec![Self::Updated],
            TicketFact::StatusChanged { from, to } => match (from, to) {
                (TicketStatus::Resolved | TicketStatus::Closed, TicketStatus::Open) => {
                    vec![Self::StatusChanged, Self::Reopened]
                }
                _ => vec![Self::StatusChanged],
            },
            TicketFact::PriorityChanged { .. } => vec![Self::PriorityChanged],
            TicketFact::Assigned { .. } => vec![Self::Assigned],
            TicketFact::MessageAdded { .. } | TicketFact::InternalMessageAdded { .. } => {
                vec![Self::MessageAdded]
            }
            TicketFact::Rated { .. } => vec![Self::Rated],
            TicketFact::SlaWarning { .. } => vec![Self::SlaWarning],
            TicketFact::SlaBreached { .. } => vec![Self::SlaBreached],
            // The policy's own actions answer it.
            TicketFact::SlaEscalated { .. }
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
            | TicketFact::MergedInto { .. }
            | TicketFact::Unmerged { .. }
            | TicketFact::MessageMoved { .. }
            | TicketFact::Deleted {}
            | TicketFact::Restored {} => Vec::new(),
        }
    }
}

/// On what occasion actions are carried out, which decides what they can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An event of a kind.
    Event(TriggerKind),
    /// An agent applies a macro to a ticket.
    Macro,
}

impl Occasion {
    /// Whether it has that.
    #[must_use]
    pub fn has(self, owner: Owner) -> bool {
        match self {
            Occasion::Event(kind) => owner.is_at(kind),
            // A ticket with its people, and nothing that happened.
            Occasion::Macro => owner.is_at(TriggerKind::Schedule),
        }
    }
}

/// What sets a rule off.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// Events of a kind other than [`TriggerKind::Schedule`].
    Event(TriggerKind),
    /// The time.
    Schedule(Box<Schedule>),
}

impl Trigger {
    /// The kind of events that a rule with it runs for.
    #[must_use]
    pub fn kind(&self) -> TriggerKind {
        match self {
            Trigger::Event(kind) => *kind,
            Trigger::Schedule(_) => TriggerKind::Schedule,
        }
    }

    /// The schedule, where it is one.
    #[must_use]
    pub fn schedule(&self) -> Option<&Schedule> {
        match self {
            Trigger::Event(_) => None,
            Trigger::Schedule(schedule) => Some(schedule),
        }
    }

    /// Reads the members `trigger` and `schedule` of a rule.
    pub(crate) fn read(
        name: Option<&Value>,
        schedule: Option<&Value>,
        faults: &mut Violations,
    ) -> Option<Trigger> {
        let kind = name.and_then(Value::as_str).and_then(TriggerKind::parse);
        let Some(kind) = kind else {
            let names = TriggerKind::ALL.map(TriggerKind::as_str).join(", ");
            let code = if name.is_some() {
                "unknown_trigger"
            } else {
                "required"
            };
            faults.push(kernel::Violation::new(
                "/trigger",
                code,
                format!("must be one of {names}"),
            ));
            return None;
        };
        match (kind, schedule.filter(|json| !json.is_null())) {
            (TriggerKind::Schedule, Some(json)) => match Schedule::read(json, "/schedule") {
                Ok(schedule) => Some(Trigger::Schedule(Box::new(schedule))),
                Err(violations) => {
                    violations
                        .as_slice()
                        .iter()
                        .for_each(|one| faults.push(one.clone()));
                    None
                }
            },
            (TriggerKind::Schedule, None) => {
                let message = "must be given with the trigger schedule";
                faults.push(kernel::Violation::new("/schedule", "required", message));
                None
            }
            (kind, None) => Some(Trigger::Event(kind)),
            (kind, Some(_)) => {
                let message = "is for the trigger schedule alone";
                faults.push(kernel::Violation::new("/schedule", "not_allowed", message));
                Some(Trigger::Event(kind))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trigger_is_found_by_its_name() {
        for kind in TriggerKind::ALL {
            assert_eq!(TriggerKind::parse(kind.as_str()), Some(kind));
            // The contract's column has room for 50 characters.
            assert!(kind.as_str().len() <= 50);
        }
        assert_eq!(
            TriggerKind::parse("status_changed"),
            Some(TriggerKind::StatusChanged)
        );
        assert_eq!(TriggerKind::parse("ticket.exploded"), None);
        assert_eq!(TriggerKind::parse(""), None);
    }

    #[test]
    fn a_reopened_ticket_pulls_both_triggers() {
        let moved = |from, to| TriggerKind::of_ticket(&TicketFact::StatusChanged { from, to });
        use TicketStatus::{Closed, Open, Pending, Resolved};
        let both = [TriggerKind::StatusChanged, TriggerKind::Reopened];
        assert_eq!(moved(Resolved, Open), both);
        assert_eq!(moved(Closed, Open), both);
        assert_eq!(moved(Pending, Open), [TriggerKind::StatusChanged]);
        assert_eq!(moved(Open, Resolved), [TriggerKind::StatusChanged]);
    }
}
