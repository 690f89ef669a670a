//! The state machine of a ticket: open → pending, resolved, closed; pending → open, resolved, closed;
//! resolved → open (reopen), closed; closed → open (reopen, within a window).
//!
//! Each state carries its own facts, so that "closed without a time" cannot be said. Only this module makes a
//! [`Standing`] out of another.

use chrono::{DateTime, Duration, Utc};
use events::TicketStatus;

/// Where a ticket stands, with the times that belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Waits for the desk.
    Open,
    /// Waits for the customer or someone else.
    Pending,
    /// Answered for good, as the desk sees it.
    Resolved {
        /// When.
        at: DateTime<Utc>,
    },
    /// Done.
    Closed {
        /// When it was resolved; closing an unresolved ticket resolves it.
        resolved_at: DateTime<Utc>,
        /// When it was closed.
        at: DateTime<Utc>,
        /// By a person, or by the server after a silence.
        by: ClosedBy,
    },
}

/// Who closed a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// A person.
    Person,
    /// The server, after the configured silence (`autoClosedAt`).
    Silence,
}

/// A move that the machine does not make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {} ticket cannot become {}", .from.as_str(), .to.as_str())]
pub struct TransitionRefused {
    /// The status it is in.
    pub from: TicketStatus,
    /// The status that was asked for.
    pub to: TicketStatus,
    /// The statuses that it could take instead.
    pub allowed: Vec<TicketStatus>,
    /// Whether it was closed longer ago than tickets may be reopened.
    pub reopen_window_over: bool,
}

impl Standing {
    /// The status by name.
    #[must_use]
    pub fn status(self) -> TicketStatus {
        match self {
            Standing::Open => TicketStatus::Open,
            Standing::Pending => TicketStatus::Pending,
            Standing::Resolved { .. } => TicketStatus::Resolved,
            Standing::Closed { .. } => TicketStatus::Closed,
        }
    }

    /// The contract's `resolvedAt`: set while resolved or closed.
    #[must_use]
    pub fn resolved_at(self) -> Option<DateTime<Utc>> {
        match self {
            Standing::Open | Standing::Pending => None,
            Standing::Resolved { at } => Some(at),
            Standing::Closed { resolved_at, .. } => Some(resolved_at),
        }
    }

    /// The contract's `closedAt`: set while closed.
    #[must_use]
    pub fn closed_at(self) -> Option<DateTime<Utc>> {
        match self {
            Standing::Open | Standing::Pending | Standing::Resolved { .. } => None,
            Standing::Closed { at, .. } => Some(at),
        }
    }

    /// The contract's `autoClosedAt`: set while closed by silence.
    #[must_use]
    pub fn auto_closed_at(self) -> Option<DateTime<Utc>> {
        match self {
            Standing::Closed {
                at,
                by: ClosedBy::Silence,
                ..
            } => Some(at),
            Standing::Open | Standing::Pending | Standing::Resolved { .. } | Standing::Closed { .. } => None,
        }
    }

    /// Puts the contract's columns together again. Other writers may have left a time out; `fallback` stands for
    /// it (the ticket's last change).
    #[must_use]
    pub fn from_columns(
        status: TicketStatus,
        resolved_at: Option<DateTime<Utc>>,
        closed_at: Option<DateTime<Utc>>,
        auto_closed_at: Option<DateTime<Utc>>,
        fallback: DateTime<Utc>,
    ) -> Self {
        match status {
            TicketStatus::Open => Standing::Open,
            TicketStatus::Pending => Standing::Pending,
            TicketStatus::Resolved => Standing::Resolved {
                at: resolved_at.unwrap_or(fallback),
            },
            TicketStatus::Closed => {
                let at = closed_at.or(auto_closed_at).unwrap_or(fallback);
                let by = if auto_closed_at.is_some() {
                    ClosedBy::Silence
                } else {
                    ClosedBy::Person
                };
                Standing::Closed {
                    resolved_at: resolved_at.unwrap_or(at),
                    at,
                    by,
                }
            }
        }
    }

    /// The statuses that the ticket could take at `now`, itself not included.
    #[must_use]
    pub fn allowed(self, now: DateTime<Utc>, reopen_window: Duration) -> Vec<TicketStatus> {
        match self {
            Standing::Open => vec![
                TicketStatus::Pending,
                TicketStatus::Resolved,
                TicketStatus::Closed,
            ],
            Standing::Pending => vec![TicketStatus::Open, TicketStatus::Resolved, TicketStatus::Closed],
            Standing::Resolved { .. } => vec![TicketStatus::Open, TicketStatus::Closed],
            Standing::Closed { at, .. } if now - at <= reopen_window => vec![TicketStatus::Open],
            Standing::Closed { .. } => vec![],
        }
    }

    /// Moves to another status.
    ///
    /// # Errors
    /// [`TransitionRefused`] for every move that [`Standing::allowed`] does not list, staying included.
    pub fn to(
        self,
        status: TicketStatus,
        now: DateTime<Utc>,
        by: ClosedBy,
        reopen_window: Duration,
    ) -> Result<Standing, TransitionRefused> {
        let allowed = self.allowed(now, reopen_window);
        if !allowed.contains(&status) {
            let from = self.status();
            let reopen_window_over = from == TicketStatus::Closed && status == TicketStatus::Open;
            return Err(TransitionRefused {
                from,
                to: status,
                allowed,
                reopen_window_over,
            });
        }
        Ok(match status {
            TicketStatus::Open => Standing::Open,
            TicketStatus::Pending => Standing::Pending,
            TicketStatus::Resolved => Standing::Resolved { at: now },
            TicketStatus::Closed => Standing::Closed {
                resolved_at: self.resolved_at().unwrap_or(now),
                at: now,
                by,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::days(14);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn closing_an_open_ticket_resolves_it_too() {
        let closed = Standing::Open
            .to(TicketStatus::Closed, at(5), ClosedBy::Person, WINDOW)
            .unwrap();
        assert_eq!(
            (closed.resolved_at(), closed.closed_at()),
            (Some(at(5)), Some(at(5)))
        );
        assert_eq!(closed.auto_closed_at(), None);
    }

    #[test]
    fn closing_keeps_the_time_of_resolution_and_reopening_clears_all_times() {
        let resolved = Standing::Open
            .to(TicketStatus::Resolved, at(1), ClosedBy::Person, WINDOW)
            .unwrap();
        let closed = resolved
            .to(TicketStatus::Closed, at(9), ClosedBy::Silence, WINDOW)
            .unwrap();
        assert_eq!(
            (closed.resolved_at(), closed.auto_closed_at()),
            (Some(at(1)), Some(at(9)))
        );
        let open = closed
            .to(TicketStatus::Open, at(10), ClosedBy::Person, WINDOW)
            .unwrap();
        assert_eq!(
            (open.resolved_at(), open.closed_at(), open.auto_closed_at()),
            (None, None, None)
        );
    }

    #[test]
    fn a_refusal_names_what_would_be_allowed() {
        let resolved = Standing::Resolved { at: at(0) };
        let refused = resolved
            .to(TicketStatus::Pending, at(1), ClosedBy::Person, WINDOW)
            .unwrap_err();
        assert_eq!(refused.allowed, [TicketStatus::Open, TicketStatus::Closed]);
    }

    #[test]
    fn a_ticket_closed_too_long_ago_does_not_reopen() {
        let closed = Standing::Closed {
            resolved_at: at(0),
            at: at(0),
            by: ClosedBy::Person,
        };
        let late = at(WINDOW.num_seconds() + 1);
        let refused = closed
            .to(TicketStatus::Open, late, ClosedBy::Person, WINDOW)
            .unwrap_err();
        assert!(refused.reopen_window_over && refused.allowed.is_empty());
    }

    proptest! {
        #[test]
        fn times_belong_to_their_states_over_any_history(moves in proptest::collection::vec((0usize..4, 0i64..2_000_000), 1..30)) {
            let mut standing = Standing::Open;
            let mut now = 0;
            for (target, step) in moves {
                now += step;
                let target = TicketStatus::ALL[target];
                let before = standing;
                match standing.to(target, at(now), ClosedBy::Person, WINDOW) {
                    Ok(next) => {
                        prop_assert!(before.allowed(at(now), WINDOW).contains(&target));
                        standing = next;
                    }
                    Err(refused) => prop_assert!(!refused.allowed.contains(&target)),
                }
                let status = standing.status();
                let done = matches!(status, TicketStatus::Resolved | TicketStatus::Closed);
                prop_assert_eq!(standing.resolved_at().is_some(), done);
                prop_assert_eq!(standing.closed_at().is_some(), status == TicketStatus::Closed);
                let read = Standing::from_columns(status, standing.resolved_at(), standing.closed_at(), standing.auto_closed_at(), at(0));
                prop_assert_eq!(read, standing);
            }
        }
    }
}
