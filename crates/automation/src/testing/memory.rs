//! Rules, runs, macros and what they name, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::Event;
use kernel::{EventId, Page, PageLimit, PortError, Position, Receipt, TicketId, Version};

use crate::engine::Trip;
use crate::macros::{Macro, MacroHolder, MacroId, MacroReach};
use crate::port::{
    CommitError, Directory, MACROS_LISTED_MAX, MACROS_MAX, MacroCommit, MacroStore, MacroWrite, RULES_MAX,
    Revision, RuleCommit, RuleStore, RuleWrite, Run, RunKey, RunState, RunStore, ScheduleLease, StepResult,
};
use crate::reference::{Target, World};
use crate::rule::{RuleId, RuleRow, RunCounts};

fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether two receipts are of the same request or event.
pub(super) fn is_same(one: &Receipt, other: &Receipt) -> bool {
    match (one, other) {
        (Receipt::Event(one), Receipt::Event(other)) => one == other,
        (Receipt::Request(one), Receipt::Request(other)) => {
            (one.key.principal, &one.key.key) == (other.key.principal, &other.key.key)
        }
        (Receipt::Event(_), Receipt::Request(_)) | (Receipt::Request(_), Receipt::Event(_)) => false,
    }
}

#[derive(Default)]
struct RuleState {
    rows: BTreeMap<RuleId, RuleRow>,
    revision: i64,
    events: Vec<Event>,
    receipts: Vec<Receipt>,
}

/// Rules in memory.
#[derive(Default)]
pub struct MemoryRules(Mutex<RuleState>);

impl MemoryRules {
    /// Writes a row as another client of the table would.
    pub fn write(&self, row: RuleRow) {
        let mut state = locked(&self.0);
        state.revision += 1;
        state.rows.insert(RuleId(row.id), row);
    }

    /// What was told of changes, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        locked(&self.0).events.clone()
    }
}

impl RuleState {
    fn at(&self, id: RuleId, expected: Version) -> Result<(), CommitError> {
        let row = self.rows.get(&id).filter(|row| row.version == expected.0);
        row.map(|_| ()).ok_or(CommitError::Stale)
    }

    fn ordered(&self) -> Vec<RuleRow> {
        let mut rows: Vec<_> = self.rows.values().cloned().collect();
        rows.sort_by_key(|row| (row.priority, row.id));
        rows.truncate(RULES_MAX);
        rows
    }
}

#[async_trait]
impl RuleStore for MemoryRules {
    async fn rule(&self, id: RuleId) -> Result<Option<RuleRow>, PortError> {
        Ok(locked(&self.0).rows.get(&id).cloned())
    }

    async fn rules(&self) -> Result<Vec<RuleRow>, PortError> {
        Ok(locked(&self.0).ordered())
    }

    async fn changed_since(
        &self,
        known: Option<Revision>,
    ) -> Result<Option<(Revision, Vec<RuleRow>)>, PortError> {
        let state = locked(&self.0);
        let revision = Revision(state.revision);
        Ok((known != Some(revision)).then(|| (revision, state.ordered())))
    }

    async fn commit(&self, commit: RuleCommit) -> Result<(), CommitError> {
        let RuleCommit {
            write,
            event,
            receipt,
        } = commit;
        let mut state = locked(&self.0);
        if let Some(receipt) = &receipt
            && state.receipts.iter().any(|stored| is_same(stored, receipt))
        {
            return Err(CommitError::Repeated);
        }
        match write {
            RuleWrite::Insert(rule) => {
                if state.rows.len() >= RULES_MAX {
                    return Err(CommitError::TooMany);
                }
                state.rows.insert(rule.id, rule.to_row());
            }
            RuleWrite::Update { rule, expected } => {
                state.at(rule.id, expected)?;
                state.rows.insert(rule.id, rule.to_row());
            }
            RuleWrite::Reorder { places, at } => {
                for place in &places {
                    state.at(place.id, place.expected)?;
                }
                for place in places {
                    if let Some(row) = state.rows.get_mut(&place.id) {
                        row.priority = place.priority;
                        row.version = place.expected.next().0;
                        row.updated_at = at;
                    }
                }
            }
            RuleWrite::Keep { id, expected } => state.at(id, expected)?,
            RuleWrite::Delete { id, expected } => {
                state.at(id, expected)?;
                state.rows.remove(&id);
            }
        }
        state.revision += 1;
        state.events.extend(event);
        state.receipts.extend(receipt);
        Ok(())
    }
}

#[derive(Default)]
struct RunRows {
    runs: Vec<Run>,
    trips: BTreeSet<(RuleId, EventId, DateTime<Utc>)>,
    counted: BTreeSet<RunKey>,
    worked_off: HashMap<RuleId, DateTime<Utc>>,
    leases: HashMap<RuleId, DateTime<Utc>>,
}

/// Runs in memory.
#[derive(Default)]
pub struct MemoryRuns(Mutex<RunRows>);

#[async_trait]
impl RunStore for MemoryRuns {
    async fn runs_of(&self, event: EventId) -> Result<Vec<Run>, PortError> {
        let state = locked(&self.0);
        let mut runs: Vec<_> = state
            .runs
            .iter()
            .filter(|run| run.key.event == event)
            .cloned()
            .collect();
        runs.sort_by_key(|run| run.place);
        Ok(runs)
    }

    async fn begin(&self, event: EventId, runs: &[Run], trips: &[Trip]) -> Result<(), CommitError> {
        let mut state = locked(&self.0);
        let is_there = |key: RunKey| state.runs.iter().any(|run| run.key == key);
        if runs.iter().any(|run| is_there(run.key)) {
            return Err(CommitError::Repeated);
        }
        state.runs.extend(runs.iter().cloned());
        for trip in trips {
            if !state
                .trips
                .iter()
                .any(|(rule, of, _)| (*rule, *of) == (trip.rule, event))
            {
                state.trips.insert((trip.rule, event, trip.at));
            }
        }
        Ok(())
    }

    async fn settle(&self, key: RunKey, at: DateTime<Utc>, results: &[StepResult]) -> Result<(), PortError> {
        let mut state = locked(&self.0);
        let run = state.runs.iter_mut().find(|run| run.key == key);
        if let Some(run) = run.filter(|run| run.state == RunState::Planned) {
            run.state = RunState::Settled {
                at,
                results: results.to_vec(),
            };
        }
        Ok(())
    }

    async fn unsettled(&self, before: DateTime<Utc>, limit: PageLimit) -> Result<Vec<Run>, PortError> {
        let state = locked(&self.0);
        let left = |run: &&Run| run.state == RunState::Planned && run.at < before;
        let mut runs: Vec<_> = state.runs.iter().filter(left).cloned().collect();
        runs.sort_by_key(|run| (run.at, run.key.event, run.place));
        runs.truncate(limit.rows());
        Ok(runs)
    }

    async fn counts(
        &self,
        rules: &[RuleId],
        ticket: Option<TicketId>,
        since: DateTime<Utc>,
    ) -> Result<HashMap<RuleId, RunCounts>, PortError> {
        let state = locked(&self.0);
        let mut counts: HashMap<RuleId, RunCounts> = HashMap::new();
        for run in state
            .runs
            .iter()
            .filter(|run| run.at >= since && rules.contains(&run.key.rule))
        {
            let counted = counts.entry(run.key.rule).or_default();
            counted.rule += 1;
            counted.ticket += u32::from(ticket.is_some() && run.ticket == ticket);
        }
        Ok(counts)
    }

    async fn trips(&self, rule: RuleId, since: DateTime<Utc>) -> Result<u32, PortError> {
        let state = locked(&self.0);
        let trips = state
            .trips
            .iter()
            .filter(|(of, _, at)| *of == rule && *at >= since);
        Ok(u32::try_from(trips.count()).unwrap_or(u32::MAX))
    }

    async fn worked_off(&self, rules: &[RuleId]) -> Result<HashMap<RuleId, DateTime<Utc>>, PortError> {
        let mut worked_off = locked(&self.0).worked_off.clone();
        worked_off.retain(|rule, _| rules.contains(rule));
        Ok(worked_off)
    }

    async fn lease(&self, lease: ScheduleLease) -> Result<bool, PortError> {
        let ScheduleLease {
            rule,
            due,
            now,
            until,
        } = lease;
        let mut state = locked(&self.0);
        let is_done = state.worked_off.get(&rule).is_some_and(|done| *done >= due);
        let is_held = state.leases.get(&rule).is_some_and(|until| *until > now);
        if is_done || is_held {
            return Ok(false);
        }
        state.leases.insert(rule, until);
        Ok(true)
    }

    async fn prolong(&self, rule: RuleId, until: DateTime<Utc>) -> Result<(), PortError> {
        locked(&self.0).leases.insert(rule, until);
        Ok(())
    }

    async fn finish(&self, rule: RuleId, due: DateTime<Utc>) -> Result<(), PortError> {
        let mut state = locked(&self.0);
        state.leases.remove(&rule);
        let done = state.worked_off.entry(rule).or_insert(due);
        *done = (*done).max(due);
        Ok(())
    }

    async fn count(&self, rows_max: i64) -> Result<u64, PortError> {
        let mut state = locked(&self.0);
        let uncounted = state
            .runs
            .iter()
            .map(|run| run.key)
            .filter(|key| !state.counted.contains(key));
        let taken: Vec<_> = uncounted.take(usize::try_from(rows_max).unwrap_or(0)).collect();
        state.counted.extend(&taken);
        Ok(u64::try_from(taken.len()).unwrap_or(u64::MAX))
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut state = locked(&self.0);
        let mut left = usize::try_from(rows_max).unwrap_or(0);
        let present = state.runs.len();
        state.runs.retain(|run| {
            let goes = left > 0 && run.at < before && run.state != RunState::Planned;
            left -= usize::from(goes);
            !goes
        });
        state.trips.retain(|(_, _, at)| *at >= before);
        Ok(u64::try_from(present - state.runs.len()).unwrap_or(u64::MAX))
    }

    async fn log(
        &self,
        rule: Option<RuleId>,
        ticket: Option<TicketId>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Run>, PortError> {
        let position = |run: &Run| Position {
            at: run.at,
            id: run.key.step_id(0),
        };
        let key = |run: &Run| (position(run).at, position(run).id);
        let state = locked(&self.0);
        let mut runs: Vec<_> = state
            .runs
            .iter()
            .filter(|run| rule.is_none_or(|rule| run.key.rule == rule))
            .filter(|run| ticket.is_none() || run.ticket == ticket)
            .filter(|run| after.is_none_or(|after| key(run) < (after.at, after.id)))
            .cloned()
            .collect();
        runs.sort_by_key(|run| std::cmp::Reverse(key(run)));
        runs.truncate(limit.rows() + 1);
        Ok(Page::from_rows(runs, limit, position))
    }
}

/// A directory that knows one world.
#[derive(Default)]
pub struct MemoryDirectory(pub World);

#[async_trait]
impl Directory for MemoryDirectory {
    async fn world(&self, _targets: &[Target]) -> Result<World, PortError> {
        Ok(self.0.clone())
    }
}

#[derive(Default)]
struct MacroState {
    macros: HashMap<MacroId, Macro>,
    receipts: Vec<Receipt>,
}

/// Macros in memory.
#[derive(Default)]
pub struct MemoryMacros(Mutex<MacroState>);

impl MacroState {
    fn at(&self, id: MacroId, expected: Version) -> Result<&Macro, CommitError> {
        let one = self.macros.get(&id).filter(|one| one.version == expected);
        one.ok_or(CommitError::Stale)
    }

    fn has_room(&self, holder: MacroHolder) -> Result<(), CommitError> {
        let held = self.macros.values().filter(|one| one.content.holder == holder);
        if held.count() < MACROS_MAX {
            Ok(())
        } else {
            Err(CommitError::TooMany)
        }
    }
}

#[async_trait]
impl MacroStore for MemoryMacros {
    async fn get(&self, id: MacroId) -> Result<Option<Macro>, PortError> {
        Ok(locked(&self.0).macros.get(&id).cloned())
    }

    async fn list(&self, reach: &MacroReach) -> Result<Vec<Macro>, PortError> {
        let state = locked(&self.0);
        let seen = state
            .macros
            .values()
            .filter(|one| reach.contains(one.content.holder));
        let mut macros: Vec<_> = seen.cloned().collect();
        macros.sort_by(|one, other| one.place().cmp(&other.place()));
        macros.truncate(MACROS_LISTED_MAX);
        Ok(macros)
    }

    async fn commit(&self, commit: MacroCommit) -> Result<(), CommitError> {
        let MacroCommit { write, receipt } = commit;
        let mut state = locked(&self.0);
        if let Some(receipt) = &receipt
            && state.receipts.iter().any(|stored| is_same(stored, receipt))
        {
            return Err(CommitError::Repeated);
        }
        match write {
            MacroWrite::Insert(one) => {
                state.has_room(one.content.holder)?;
                state.macros.insert(one.id, *one);
            }
            MacroWrite::Update { one, expected } => {
                if state.at(one.id, expected)?.content.holder != one.content.holder {
                    state.has_room(one.content.holder)?;
                }
                state.macros.insert(one.id, *one);
            }
            MacroWrite::Delete { id, expected } => {
                state.at(id, expected)?;
                state.macros.remove(&id);
            }
        }
        state.receipts.extend(receipt);
        Ok(())
    }
}
