//! How a fact changes clocks.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Applied, Cancel, Clock, ClockError, Fact, Fired, Pause, Phase, Run, Status, TicketClocks, What};
use crate::calendar::{Calendar, TimeError};
use crate::ledger::{LedgerRow, Span, Standstill};
use crate::policy::{Metric, PolicyRef, Priority, Terms, TermsBook};

impl TicketClocks {
    /// The clocks of a ticket that was created at `at`, standing there.
    ///
    /// # Errors
    /// See [`ClockError`].
    pub fn start(
        at: DateTime<Utc>,
        status: Status,
        priority: Priority,
        policy: Option<PolicyRef>,
        book: &(impl TermsBook + ?Sized),
    ) -> Result<Self, ClockError> {
        let at = known(at)?;
        let mut clocks = Self {
            at,
            status,
            priority,
            policy,
            is_merged: false,
            is_deleted: false,
            is_breached: false,
            clocks: [const { Clock { runs: 0, run: None } }; 3],
        };
        let terms = clocks.terms(book)?;
        for metric in [Metric::FirstResponse, Metric::Resolution] {
            clocks.begin(metric, at, terms);
        }
        Ok(clocks)
    }

    /// The clocks after a fact. What was due before it is fired first, under the terms of then. A fact that changes nothing
    /// gives no rows.
    ///
    /// # Errors
    /// See [`ClockError`].
    pub fn apply(&self, fact: &Fact, book: &(impl TermsBook + ?Sized)) -> Result<Applied, ClockError> {
        let at = known(fact.at.max(self.at))?;
        let Fired {
            clocks: before,
            events,
        } = self.fire(at, book)?;
        let mut clocks = before.clone();
        clocks.at = clocks.at.max(at);
        clocks.take(fact.what);
        let (old, new) = (before.terms(book)?, clocks.terms(book)?);
        let mut rows = Vec::new();
        for metric in Metric::ALL {
            rows.extend(clocks.turn(metric, &before, fact.what, old, new)?);
        }
        Ok(Applied { clocks, rows, events })
    }

    /// What the fact says of the ticket.
    fn take(&mut self, what: What) {
        match what {
            What::CustomerMessage | What::AgentReply => {}
            What::Status(status) => self.status = status,
            What::Priority(priority) => self.priority = priority,
            What::Policy(policy) => self.policy = policy,
            What::Merged => self.is_merged = true,
            What::Unmerged => self.is_merged = false,
            What::Deleted => self.is_deleted = true,
            What::Restored => self.is_deleted = false,
        }
    }

    /// Turns a clock to what it does now; the span that ends with that.
    fn turn(
        &mut self,
        metric: Metric,
        before: &Self,
        what: What,
        old: Option<&Terms>,
        new: Option<&Terms>,
    ) -> Result<Option<LedgerRow>, ClockError> {
        let at = self.at;
        if what == What::CustomerMessage && metric == Metric::NextResponse && before.awaits_message() {
            self.begin(metric, at, new);
            return Ok(None);
        }
        let clock = self.clock(metric);
        let Some(run) = clock.run().filter(|run| !run.is_answered) else {
            return Ok(None);
        };
        let is_answered = what == What::AgentReply && metric != Metric::Resolution;
        let phase = self.phase(metric, run, is_answered, new);
        let has_new_terms = before.policy != self.policy || before.priority != self.priority;
        if phase == run.phase && !(has_new_terms && phase == Phase::Running) && !is_answered {
            // What is stopped keeps the target that it met or missed.
            if !matches!(phase, Phase::Stopped(_)) {
                let target = new.map(|terms| terms.promise.target(metric, self.priority));
                if let Some(run) = &mut self.clock_mut(metric).run {
                    run.target = target;
                }
            }
            return Ok(None);
        }
        let row = before.span(metric, clock.runs, run, at, old)?;
        let mut run = run.clone();
        if let Some(row) = &row {
            run.counted += row.counted();
            run.paused += row.paused();
            run.closed += row.closed();
        }
        run.since = at;
        run.is_answered = is_answered;
        let was_running = run.phase == Phase::Running;
        run.phase = phase;
        run.target = new.map(|terms| terms.promise.target(metric, self.priority));
        match phase {
            Phase::Running => run.due_at = due_at(&run, new),
            Phase::Paused(_) | Phase::Cancelled(_) => run.due_at = None,
            // It is told when it would have been due.
            Phase::Stopped(_) if was_running => {}
            Phase::Stopped(_) => run.due_at = None,
        }
        self.clock_mut(metric).run = Some(run);
        Ok(row)
    }

    /// Whether the next customer message is one that begins a further response.
    fn awaits_message(&self) -> bool {
        let is_answered = |metric| self.clock(metric).run().is_some_and(|run| run.is_answered);
        let is_under_way = self
            .clock(Metric::NextResponse)
            .run()
            .is_some_and(|run| !run.is_answered);
        is_answered(Metric::FirstResponse) && !is_under_way
    }

    fn begin(&mut self, metric: Metric, at: DateTime<Utc>, terms: Option<&Terms>) {
        let mut run = Run {
            phase: Phase::Running,
            is_answered: false,
            started_at: at,
            since: at,
            counted: TimeDelta::zero(),
            paused: TimeDelta::zero(),
            closed: TimeDelta::zero(),
            target: terms.map(|terms| terms.promise.target(metric, self.priority)),
            due_at: None,
            breached_at: None,
            fired: Vec::new(),
        };
        run.phase = self.phase(metric, &run, false, terms);
        if run.phase == Phase::Running {
            run.due_at = due_at(&run, terms);
        }
        let clock = self.clock_mut(metric);
        clock.runs = clock.runs.saturating_add(1);
        clock.run = Some(run);
    }

    /// What a run does as the ticket stands.
    fn phase(&self, metric: Metric, run: &Run, is_answered: bool, terms: Option<&Terms>) -> Phase {
        let Some(terms) = terms else {
            return Phase::Cancelled(Cancel::NoPolicy);
        };
        if is_answered {
            return Phase::Stopped(run.outcome());
        }
        if self.is_deleted {
            return Phase::Cancelled(Cancel::Deleted);
        }
        if self.is_merged {
            return Phase::Cancelled(Cancel::Merged);
        }
        match (self.status, metric) {
            (Status::Resolved | Status::Closed, Metric::Resolution) => Phase::Stopped(run.outcome()),
            (Status::Resolved | Status::Closed, Metric::FirstResponse | Metric::NextResponse) => {
                Phase::Paused(Pause::Resolved)
            }
            (Status::Pending, _) if terms.promise.pauses.has(metric) => Phase::Paused(Pause::Pending),
            (Status::Open | Status::Pending, _) => Phase::Running,
        }
    }

    /// What a run did since it does what it does, until `to`; `None` where that is no time.
    pub(super) fn span(
        &self,
        metric: Metric,
        number: u32,
        run: &Run,
        to: DateTime<Utc>,
        terms: Option<&Terms>,
    ) -> Result<Option<LedgerRow>, ClockError> {
        if to <= run.since {
            return Ok(None);
        }
        let span = match run.phase {
            Phase::Running => Span::Counting {
                counted: counted(terms, run.since, to)?,
            },
            Phase::Paused(Pause::Pending) => Span::Standing(Standstill::Pending),
            Phase::Paused(Pause::Resolved) | Phase::Stopped(_) => Span::Standing(Standstill::Resolved),
            Phase::Cancelled(Cancel::Merged) => Span::Standing(Standstill::Merged),
            Phase::Cancelled(Cancel::Deleted) => Span::Standing(Standstill::Deleted),
            Phase::Cancelled(Cancel::NoPolicy) => Span::Standing(Standstill::NoPolicy),
        };
        Ok(Some(LedgerRow {
            metric,
            run: number,
            from: run.since,
            to,
            span,
            policy: self.policy,
            calendar_version: calendar(terms).and(terms).map(|terms| terms.calendar_version),
            priority: self.priority,
            target: run.target,
        }))
    }
}

fn calendar(terms: Option<&Terms>) -> Option<&Calendar> {
    terms.and_then(|terms| terms.promise.hours.in_force())
}

/// What counts of a time.
fn counted(terms: Option<&Terms>, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<TimeDelta, TimeError> {
    match calendar(terms) {
        Some(calendar) => calendar.between(from, to),
        None => Ok(known(to)? - from),
    }
}

/// When so much has counted since `from`; `None` where nobody knows.
pub(super) fn after(terms: &Terms, from: DateTime<Utc>, time: TimeDelta) -> Option<DateTime<Utc>> {
    match terms.promise.hours.in_force() {
        Some(calendar) => calendar.add(from, time).ok(),
        None => from
            .checked_add_signed(time.max(TimeDelta::zero()))
            .and_then(|at| known(at).ok()),
    }
}

/// When a run that runs since now is due.
fn due_at(run: &Run, terms: Option<&Terms>) -> Option<DateTime<Utc>> {
    let remaining = run.target? - run.counted;
    if remaining > TimeDelta::zero() {
        after(terms?, run.since, remaining)
    } else {
        // It was missed already, or is by a change of what was promised.
        Some(run.breached_at.unwrap_or(run.since))
    }
}

/// The moment, at the database's precision, if calendars know it.
fn known(at: DateTime<Utc>) -> Result<DateTime<Utc>, TimeError> {
    if at < Calendar::epoch() || at > Calendar::horizon() {
        return Err(TimeError::OutOfRange);
    }
    Ok(kernel::clock::to_database_precision(at))
}
