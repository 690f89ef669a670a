//! When clocks have something to say, and what.
//!
//! [`TicketClocks::next_wake`] is what a store keeps beside the clocks, so that a sweep finds those that are due.
//! [`TicketClocks::fire`] then says what happened until now. What it said is part of the state that it gives: said again from there,
//! it is silent, and however time is cut, each point of each run is told once, in the order of their moments.

use chrono::{DateTime, TimeDelta, Utc};

use super::apply::after;
use super::{ClockError, Phase, Run, TakenStep, TicketClocks};
use crate::policy::{Metric, PolicyRef, StepAt, Terms, TermsBook, Timing};

/// The next moment at which clocks have something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// When: from then on [`TicketClocks::fire`] says it.
    pub at: DateTime<Utc>,
    /// Of which clock.
    pub metric: Metric,
    /// What.
    pub what: WakeFor,
}

/// What clocks have to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WakeFor {
    /// A deadline has passed.
    Breach,
    /// A step of the policy is due.
    Step(StepAt),
}

/// Something that clocks said; once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockEvent {
    /// When it was due to be said.
    pub at: DateTime<Utc>,
    /// Of which clock.
    pub metric: Metric,
    /// Of which of its runs. With metric, policy and what it names an event among all of the ticket.
    pub run: u32,
    /// By which terms; they have the actions of a step ([`Escalation::step`](crate::Escalation::step)).
    pub policy: PolicyRef,
    /// The deadline that it is about, if one is known.
    pub due_at: Option<DateTime<Utc>>,
    /// What.
    pub what: WakeFor,
}

impl ClockEvent {
    /// Whether it warns, tells a breach, or follows one.
    #[must_use]
    pub fn timing(&self) -> Timing {
        match self.what {
            WakeFor::Breach => Timing::Breach,
            WakeFor::Step(at) => at.timing(),
        }
    }
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what is not stored is said again"]
pub struct Fired {
    /// The clocks, which know that they said it.
    pub clocks: TicketClocks,
    /// What they said, in order.
    pub events: Vec<ClockEvent>,
}

/// Order among what is due at one moment: clock by clock, warnings before the breach, steps behind it.
fn order(wake: &Wake) -> (DateTime<Utc>, usize, u8, Option<StepAt>) {
    let (rank, step) = match wake.what {
        WakeFor::Breach => (1, None),
        WakeFor::Step(at) => match at.timing() {
            Timing::Warning => (0, Some(at)),
            Timing::Breach => (2, Some(at)),
            Timing::After => (3, Some(at)),
        },
    };
    (wake.at, wake.metric.index(), rank, step)
}

impl TicketClocks {
    /// The next warning, breach or step, if nothing happens before.
    ///
    /// # Errors
    /// [`ClockError::UnknownTerms`].
    pub fn next_wake(&self, book: &(impl TermsBook + ?Sized)) -> Result<Option<Wake>, ClockError> {
        Ok(self.terms(book)?.and_then(|terms| self.wake(terms)))
    }

    /// Everything that is due at `now` and was not said yet. No time passes on the clocks by it, but that they know of the
    /// latest moment that they spoke of: a fact from before it, which comes too late to be heard, counts from there.
    ///
    /// # Errors
    /// [`ClockError::UnknownTerms`].
    pub fn fire(&self, now: DateTime<Utc>, book: &(impl TermsBook + ?Sized)) -> Result<Fired, ClockError> {
        let mut clocks = self.clone();
        let mut events = Vec::new();
        // Each turn takes a step or breaches a run, of which there are few.
        if let Some(terms) = self.terms(book)? {
            while let Some(wake) = clocks.wake(terms).filter(|wake| wake.at <= now) {
                events.extend(clocks.say(&wake, terms));
            }
        }
        Ok(Fired { clocks, events })
    }

    fn wake(&self, terms: &Terms) -> Option<Wake> {
        let of_clock = |metric: Metric| {
            let run = self
                .clock(metric)
                .run()
                .filter(|run| run.phase == Phase::Running)?;
            wakes(metric, run, terms).min_by_key(order)
        };
        Metric::ALL.into_iter().filter_map(of_clock).min_by_key(order)
    }

    fn say(&mut self, wake: &Wake, terms: &Terms) -> Option<ClockEvent> {
        let clock = self.clock_mut(wake.metric);
        let number = clock.runs;
        let run = clock.run.as_mut()?;
        let due_at = run.due_at;
        match wake.what {
            WakeFor::Breach => run.breached_at = due_at,
            WakeFor::Step(at) => run.fired.push(TakenStep {
                policy: terms.policy.id,
                at,
            }),
        }
        self.is_breached |= wake.what == WakeFor::Breach;
        self.at = self.at.max(wake.at);
        Some(ClockEvent {
            at: wake.at,
            metric: wake.metric,
            run: number,
            policy: terms.policy,
            due_at,
            what: wake.what,
        })
    }
}

/// What a running clock has to say, in any order.
fn wakes<'a>(metric: Metric, run: &'a Run, terms: &'a Terms) -> impl Iterator<Item = Wake> + 'a {
    let wake = move |at: DateTime<Utc>, what| Wake {
        at: at.max(run.since),
        metric,
        what,
    };
    // The deadline itself is in time.
    let late_at = run
        .due_at
        .and_then(|due_at| due_at.checked_add_signed(TimeDelta::microseconds(1)));
    let breach = late_at
        .filter(|_| run.breached_at.is_none())
        .map(|at| wake(at, WakeFor::Breach));
    let steps = terms.promise.escalation.steps().iter();
    let steps = steps
        .filter(move |step| step.metric == metric && !run.has_taken(terms.policy.id, step.at))
        .filter_map(move |step| {
            let reached = || after(terms, run.since, step.at.threshold(run.target?) - run.counted);
            let at = match step.at.timing() {
                Timing::Warning if run.breached_at.is_some() => None,
                Timing::Warning | Timing::After => reached(),
                Timing::Breach => late_at,
            };
            Some(wake(at?, WakeFor::Step(step.at)))
        });
    breach.into_iter().chain(steps)
}
