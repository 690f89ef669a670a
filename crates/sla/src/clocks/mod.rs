//! The clocks of a ticket: a state machine over the facts of its life.
//!
//! [`TicketClocks`] holds three clocks, one for each [`Metric`]. It [starts](TicketClocks::start) with the ticket, takes one
//! [`Fact`] after the other by [`TicketClocks::apply`], and is looked after by [`TicketClocks::next_wake`] and
//! [`TicketClocks::fire`]. All of it is pure: each takes a state and gives another, with what became of it as values: ended spans for the
//! [ledger](crate::ledger) and [events](ClockEvent) to publish. Whoever stores them stores them with the state, at once.
//!
//! # When which clock runs
//! | | first response | next response | resolution |
//! |---|---|---|---|
//! | starts | with the ticket | with a customer's message, once there was a first response | with the ticket |
//! | stops | at the first public reply of an agent | at the next public reply | when resolved or closed |
//! | pending | stands, if the policy says so | stands, if the policy says so | stands, if the policy says so |
//! | resolved, closed | stands | stands | stopped; a reopened ticket goes on with the time used |
//! | merged, deleted, without policy | stands | stands | stands |
//!
//! Each message without an answer belongs to one run of the next response: further messages change nothing, and its reply
//! ends it. The next one begins a new run with all its time.
//!
//! # What it promises
//! - **The law.** For each run, counted + paused + closed = elapsed, to the microsecond: the ledger has every moment once.
//! - **The deadline is a moment.** What happens at [`Run::due_at`] itself is in time; the run is missed from the microsecond
//!   behind it. That is also so where the clock reaches its target at closing time and somebody answers on Sunday.
//! - **Changes** of priority, policy or calendar compute anew from the time used: remaining = target − used under the new
//!   terms. What was counted stays counted, by the calendar in force then. Where the new target is used up already, the run is due
//!   at the moment of the change.
//! - **What was missed stays missed**, whatever changes later: the run is stopped as missed, the ticket keeps its mark, and there are no more
//!   warnings in that run.
//! - **Time does not run back.** A fact counts from the latest moment that the clocks know of: one that comes late counts
//!   then, one that comes twice changes nothing.
//! - **The cost of a fact** does not depend on what was before: a span is one row, be it a year long, and only sums are kept.
//!
//! To add a metric, extend [`Metric`], its row in the table above and [`TicketClocks::apply`]; to add a reason to stand still,
//! [`Phase`] and `TicketClocks::phase`.

mod apply;
mod fact;
mod stored;
mod wake;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use fact::{Fact, Status, What};
pub use stored::StateError;
pub use wake::{ClockEvent, Fired, Wake, WakeFor};

use crate::calendar::TimeError;
use crate::ledger::LedgerRow;
use crate::policy::{Metric, PolicyId, PolicyRef, Priority, StepAt, Terms, TermsBook};

/// The clocks of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TicketClocks {
    #[serde(with = "chrono::serde::ts_microseconds")]
    at: DateTime<Utc>,
    status: Status,
    priority: Priority,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyRef>,
    #[serde(default, skip_serializing_if = "is_false")]
    is_merged: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    is_deleted: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    is_breached: bool,
    clocks: [Clock; 3],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// One clock: its present or last run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// How often it was started.
    runs: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
}

impl Clock {
    /// The number of its run, from 1; 0 where it never started.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.runs
    }

    /// Its present or last run; `None` where it never started.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }
}

/// A run of a clock. The sums are those of its ended spans: the present one lasts since [`Run::since`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    phase: Phase,
    /// Whether a reply ended it for good.
    #[serde(default, skip_serializing_if = "is_false")]
    is_answered: bool,
    #[serde(with = "chrono::serde::ts_microseconds")]
    started_at: DateTime<Utc>,
    #[serde(with = "chrono::serde::ts_microseconds")]
    since: DateTime<Utc>,
    #[serde(with = "stored::micros")]
    counted: TimeDelta,
    #[serde(with = "stored::micros")]
    paused: TimeDelta,
    #[serde(with = "stored::micros")]
    closed: TimeDelta,
    #[serde(
        default,
        with = "stored::micros_option",
        skip_serializing_if = "Option::is_none"
    )]
    target: Option<TimeDelta>,
    #[serde(
        default,
        with = "chrono::serde::ts_microseconds_option",
        skip_serializing_if = "Option::is_none"
    )]
    due_at: Option<DateTime<Utc>>,
    #[serde(
        default,
        with = "chrono::serde::ts_microseconds_option",
        skip_serializing_if = "Option::is_none"
    )]
    breached_at: Option<DateTime<Utc>>,
    /// The steps of policies that were taken in this run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fired: Vec<TakenStep>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TakenStep {
    policy: PolicyId,
    #[serde(with = "stored::step_at")]
    at: StepAt,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It counts, when the calendar is open.
    Running,
    /// It stands while the ticket waits.
    Paused(Pause),
    /// It was ended; a resolution can go on.
    Stopped(Outcome),
    /// There is nothing to measure for the time being.
    Cancelled(Cancel),
}

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// The ticket is pending.
    Pending,
    /// The ticket is resolved or closed without the answer.
    Resolved,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// In time.
    Met,
    /// Its deadline had passed.
    Missed,
}

/// Why there is nothing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancel {
    /// The ticket is part of another one.
    Merged,
    /// The ticket is deleted.
    Deleted,
    /// No policy promises anything.
    NoPolicy,
}

impl Run {
    /// What it does.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When it began.
    #[must_use]
    pub fn started_at(&self) -> DateTime<Utc> {
        self.started_at
    }

    /// Since when it does what it does.
    #[must_use]
    pub fn since(&self) -> DateTime<Utc> {
        self.since
    }

    /// What it may use; `None` without policy.
    #[must_use]
    pub fn target(&self) -> Option<TimeDelta> {
        self.target
    }

    /// When it is due if it goes on running; of one that was stopped, when it would have been due. `None` while it
    /// stands, and where that lies beyond the [horizon](crate::Calendar::horizon).
    #[must_use]
    pub fn due_at(&self) -> Option<DateTime<Utc>> {
        self.due_at
    }

    /// The deadline that it missed first, if it missed one.
    #[must_use]
    pub fn breached_at(&self) -> Option<DateTime<Utc>> {
        self.breached_at
    }

    /// The step of this policy at this point was taken.
    fn has_taken(&self, policy: PolicyId, at: StepAt) -> bool {
        self.fired
            .iter()
            .any(|taken| taken.policy == policy && taken.at == at)
    }

    fn outcome(&self) -> Outcome {
        match self.breached_at {
            Some(_) => Outcome::Missed,
            None => Outcome::Met,
        }
    }
}

/// A clock as somebody reads it at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Which.
    pub metric: Metric,
    /// The number of the run, from 1.
    pub run: u32,
    /// What it does.
    pub phase: Phase,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was stopped, where it is.
    pub stopped_at: Option<DateTime<Utc>>,
    /// What it may use.
    pub target: Option<TimeDelta>,
    /// What it has used.
    pub counted: TimeDelta,
    /// How long it stood.
    pub paused: TimeDelta,
    /// How long the desk was closed while it ran.
    pub closed: TimeDelta,
    /// What it may still use; negative where it used more.
    pub remaining: Option<TimeDelta>,
    /// When it is due.
    pub due_at: Option<DateTime<Utc>>,
    /// The deadline that it missed.
    pub breached_at: Option<DateTime<Utc>>,
}

/// Why clocks could not be moved on. Nothing of them changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The terms that they run by, or are to run by, were not handed in.
    #[error("the terms of policy {} in version {} are not at hand", .0.id, .0.version.0)]
    UnknownTerms(PolicyRef),
    /// A moment is outside of the years that calendars know.
    #[error(transparent)]
    Time(#[from] TimeError),
}

/// What became of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what is not stored never happened"]
pub struct Applied {
    /// The clocks from now on.
    pub clocks: TicketClocks,
    /// Spans that ended with it, for the ledger.
    pub rows: Vec<LedgerRow>,
    /// What was due before it and had not been fired yet, in order.
    pub events: Vec<ClockEvent>,
}

impl TicketClocks {
    /// The latest moment that they know of.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// Where the ticket stands, as far as they know.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The priority by which they run.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The terms by which they run.
    #[must_use]
    pub fn policy(&self) -> Option<PolicyRef> {
        self.policy
    }

    /// The terms that the book must have for a fact to be applied: those of now, and those that the fact brings.
    pub fn needs(&self, what: What) -> impl Iterator<Item = PolicyRef> {
        let brought = match what {
            What::Policy(policy) => policy.filter(|policy| self.policy != Some(*policy)),
            What::CustomerMessage
            | What::AgentReply
            | What::Status(_)
            | What::Priority(_)
            | What::Merged
            | What::Unmerged
            | What::Deleted
            | What::Restored => None,
        };
        self.policy.into_iter().chain(brought)
    }

    /// One of the clocks.
    #[must_use]
    pub fn clock(&self, metric: Metric) -> &Clock {
        let [first, next, resolution] = &self.clocks;
        match metric {
            Metric::FirstResponse => first,
            Metric::NextResponse => next,
            Metric::Resolution => resolution,
        }
    }

    fn clock_mut(&mut self, metric: Metric) -> &mut Clock {
        let [first, next, resolution] = &mut self.clocks;
        match metric {
            Metric::FirstResponse => first,
            Metric::NextResponse => next,
            Metric::Resolution => resolution,
        }
    }

    /// The earliest deadline of the running clocks (column `sla_due_at`).
    #[must_use]
    pub fn sla_due_at(&self) -> Option<DateTime<Utc>> {
        let runs = self.clocks.iter().filter_map(Clock::run);
        runs.filter(|run| run.phase == Phase::Running)
            .filter_map(|run| run.due_at)
            .min()
    }

    /// Whether any deadline was ever missed (column `sla_breached`).
    #[must_use]
    pub fn sla_breached(&self) -> bool {
        self.is_breached
    }

    /// The clocks that ever started, as they stand at `now` or at the latest moment that they know of.
    ///
    /// # Errors
    /// See [`ClockError`].
    pub fn readings(
        &self,
        now: DateTime<Utc>,
        book: &(impl TermsBook + ?Sized),
    ) -> Result<Vec<Reading>, ClockError> {
        let now = now.max(self.at);
        let rows = self.open_rows(now, book)?;
        let readings = Metric::ALL.into_iter().filter_map(|metric| {
            let clock = self.clock(metric);
            let run = clock.run.as_ref()?;
            let open = rows.iter().find(|row| row.metric == metric);
            let counted = run.counted + open.map_or(TimeDelta::zero(), LedgerRow::counted);
            Some(Reading {
                metric,
                run: clock.runs,
                phase: run.phase,
                started_at: run.started_at,
                stopped_at: matches!(run.phase, Phase::Stopped(_)).then_some(run.since),
                target: run.target,
                counted,
                paused: run.paused + open.map_or(TimeDelta::zero(), LedgerRow::paused),
                closed: run.closed + open.map_or(TimeDelta::zero(), LedgerRow::closed),
                remaining: run.target.map(|target| target - counted),
                due_at: run.due_at,
                breached_at: run.breached_at,
            })
        });
        Ok(readings.collect())
    }

    /// The spans that have not ended yet, as if they ended at `now`. A stopped clock has none.
    ///
    /// # Errors
    /// See [`ClockError`].
    pub fn open_rows(
        &self,
        now: DateTime<Utc>,
        book: &(impl TermsBook + ?Sized),
    ) -> Result<Vec<LedgerRow>, ClockError> {
        let now = now.max(self.at);
        let terms = self.terms(book)?;
        let mut rows = Vec::new();
        for metric in Metric::ALL {
            let clock = self.clock(metric);
            if let Some(run) = clock.run()
                && !matches!(run.phase, Phase::Stopped(_))
                && !run.is_answered
            {
                rows.extend(self.span(metric, clock.runs, run, now, terms)?);
            }
        }
        Ok(rows)
    }

    /// The terms by which they run.
    fn terms<'b>(&self, book: &'b (impl TermsBook + ?Sized)) -> Result<Option<&'b Terms>, ClockError> {
        match self.policy {
            Some(policy) => book
                .terms(policy)
                .map(Some)
                .ok_or(ClockError::UnknownTerms(policy)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
