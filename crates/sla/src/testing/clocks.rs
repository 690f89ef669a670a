//! Tickets' clocks in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use events::{Event, TicketSummary};
use kernel::{PortError, TicketId};

use crate::ledger::LedgerRow;
use crate::policy::{PolicyId, PolicyRef};
use crate::port::ClockStore;
use crate::service::Followed;
use crate::tracking::{Due, DueTicket, KeptClocks, KeptSpan, Spoken, Tracked};

struct Row {
    ticket: TicketSummary,
    kept: KeptClocks,
    spans: Vec<KeptSpan>,
}

#[derive(Default)]
struct State {
    now: DateTime<Utc>,
    rows: BTreeMap<TicketId, Row>,
    events: Vec<Event>,
}

/// Tickets' clocks in memory, with a time of its own.
#[derive(Default)]
pub struct MemoryClocks(Mutex<State>);

impl MemoryClocks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the store's time.
    pub fn set_now(&self, now: DateTime<Utc>) {
        self.state().now = now;
    }

    /// Stores what followed a change, with the ticket as it is then.
    pub fn store(&self, ticket: TicketSummary, followed: Followed) {
        let mut state = self.state();
        let mut spans = state.rows.remove(&ticket.id).map_or(Vec::new(), |row| row.spans);
        spans.extend(followed.spans);
        let kept = followed.kept;
        state.rows.insert(ticket.id, Row { ticket, kept, spans });
    }

    /// Everything that a sweep published.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }
}

impl State {
    fn due(&self, is_due: impl Fn(&KeptClocks) -> bool, rows_max: i64) -> Due {
        let mut rows: Vec<_> = self.rows.values().filter(|row| is_due(&row.kept)).collect();
        rows.sort_by_key(|row| row.kept.wake_at);
        let tickets = rows.into_iter().take(usize::try_from(rows_max).unwrap_or(0));
        let tickets = tickets.map(|row| DueTicket {
            ticket: row.ticket.clone(),
            named: None,
            tracked: KeptClocks::tracked(&row.kept.state, row.kept.is_explicit),
        });
        Due {
            now: self.now,
            tickets: tickets.collect(),
        }
    }
}

#[async_trait]
impl ClockStore for MemoryClocks {
    async fn clocks(&self, ticket: TicketId) -> Result<Option<Tracked>, PortError> {
        let state = self.state();
        let row = state.rows.get(&ticket).map(|row| &row.kept);
        Ok(row.and_then(|kept| KeptClocks::tracked(&kept.state, kept.is_explicit).ok()))
    }

    async fn ledger(&self, ticket: TicketId, rows_max: i64) -> Result<Vec<LedgerRow>, PortError> {
        let state = self.state();
        let spans = state.rows.get(&ticket).map_or(&[][..], |row| &row.spans);
        let skipped = spans.len().saturating_sub(usize::try_from(rows_max).unwrap_or(0));
        let rows = spans.iter().skip(skipped).cloned();
        Ok(rows.filter_map(|span| LedgerRow::try_from(span).ok()).collect())
    }

    async fn due(&self, rows_max: i64) -> Result<Due, PortError> {
        let state = self.state();
        Ok(state.due(|kept| kept.wake_at.is_some_and(|at| at <= state.now), rows_max))
    }

    async fn behind(&self, present: &[PolicyRef], rows_max: i64) -> Result<Due, PortError> {
        let is_behind = |kept: &KeptClocks| {
            let policy = kept.policy_id.zip(kept.policy_version);
            kept.is_live
                && policy.is_some_and(|(id, version)| {
                    let current = present.iter().find(|policy| policy.id.0 == id);
                    current.is_none_or(|policy| version < policy.version.0)
                })
        };
        Ok(self.state().due(is_behind, rows_max))
    }

    async fn live(
        &self,
        policy: PolicyId,
        after: Option<TicketId>,
        rows_max: i64,
    ) -> Result<Vec<(TicketId, Tracked)>, PortError> {
        let state = self.state();
        let rows = state.rows.iter();
        let live = rows
            .filter(|(_, row)| row.kept.is_live && row.kept.policy_id == Some(policy.0))
            .filter(|(ticket, _)| after.is_none_or(|after| **ticket > after));
        let live = live.filter_map(|(ticket, row)| {
            let tracked = KeptClocks::tracked(&row.kept.state, row.kept.is_explicit);
            Some((*ticket, tracked.ok()?))
        });
        Ok(live.take(usize::try_from(rows_max).unwrap_or(0)).collect())
    }

    async fn save(&self, spoken: Vec<Spoken>) -> Result<u64, PortError> {
        let mut state = self.state();
        let mut stored = 0;
        for said in spoken {
            let Some(row) = state.rows.get_mut(&said.ticket.id) else {
                continue;
            };
            if row.ticket.version + 1 != said.ticket.version {
                continue;
            }
            row.ticket = said.ticket;
            row.kept = said.kept;
            row.spans.extend(said.spans);
            state.events.extend(said.events);
            stored += 1;
        }
        Ok(stored)
    }

    async fn put_off(&self, tickets: &[TicketId], seconds: i64) -> Result<(), PortError> {
        let mut state = self.state();
        let until = state.now + TimeDelta::seconds(seconds);
        for ticket in tickets {
            if let Some(row) = state.rows.get_mut(ticket) {
                row.kept.is_live = false;
                row.kept.wake_at = Some(until);
            }
        }
        Ok(())
    }
}
