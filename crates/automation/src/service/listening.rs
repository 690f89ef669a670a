//! What sets rules off: events as they are delivered, and times as they come.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use events::{Event, HandleError, Subscriber};
use kernel::{Classify as _, Clock, EventId, PageLimit, PortError, TicketId};

use super::running::Automation;
use crate::error::AutomationError;
use crate::facts::Happening;
use crate::heard::Heard;
use crate::port::{RunStore, SUBSCRIBER, Scenes, ScheduleLease, derived_id};
use crate::rule::{Rule, RuleId};
use crate::trigger::TriggerKind;

/// The most tickets that a schedule works off each time that it comes.
pub const SCHEDULED_MAX_TICKETS: usize = 10_000;
/// How long a node may take for them. One that dies holds the schedule up for so long.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// The lease is made longer whenever so many tickets are worked off.
const LEASED_TICKETS: usize = 100;
/// For how long runs are kept, in days.
pub const RUNS_KEPT_DAYS: i64 = 30;
/// How many runs are folded into the rules' counts at a time.
const COUNTED_AT_ONCE_MAX: i64 = 5_000;

/// Runs the rules that delivered events set off.
pub struct RunRules {
    automation: Arc<Automation>,
    scenes: Arc<dyn Scenes>,
}

impl RunRules {
    /// Runs these rules in these scenes.
    #[must_use]
    pub fn new(automation: Arc<Automation>, scenes: Arc<dyn Scenes>) -> Self {
        Self { automation, scenes }
    }

    async fn heard(&self, heard: Heard) -> Result<(), AutomationError> {
        if !self.automation.listens_to(&heard.happening.kinds).await? {
            return Ok(());
        }
        let view = match heard.ticket {
            Some(ticket) => match self.scenes.ticket(ticket).await? {
                Some(view) => Some(view),
                // It was deleted meanwhile.
                None => return Ok(()),
            },
            None => None,
        };
        let (message, user) = (heard.message, heard.user);
        let mut happening = heard.seen_with(view.as_ref());
        if let (Some(message), Some(view)) = (message, &view) {
            let Some(found) = self.scenes.message(view.ticket.id, message).await? else {
                return Ok(());
            };
            happening.message = Some(found);
        }
        if let Some(user) = user {
            let Some(person) = self.scenes.person(user).await? else {
                return Ok(());
            };
            happening.user = Some(person);
        }
        let surroundings = self.scenes.surroundings().await?;
        self.automation
            .on_event(&happening, view.as_ref(), surroundings.as_ref())
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Subscriber for RunRules {
    fn name(&self) -> &'static str {
        SUBSCRIBER
    }

    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let Some(heard) = Heard::of(event) else {
            return Ok(());
        };
        match self.heard(heard).await {
            Ok(()) => Ok(()),
            Err(AutomationError::Port(error)) => Err(HandleError::of_port(error)),
            // Rules changed while it was decided: it is decided anew.
            Err(error @ AutomationError::Stale { .. }) => Err(HandleError::Retry(PortError::Unavailable {
                port: SUBSCRIBER,
                source: error.into(),
            })),
            Err(error) => Err(HandleError::GiveUp(error.detail())),
        }
    }
}

/// Runs rules whose time has come. Any number of nodes may: one of them at a time works a schedule off, and where it dies
/// the next one goes on, without doing anything twice.
pub struct RunSchedules {
    automation: Arc<Automation>,
    runs: Arc<dyn RunStore>,
    scenes: Arc<dyn Scenes>,
    clock: Arc<dyn Clock>,
}

impl RunSchedules {
    /// Runs these rules in these scenes.
    #[must_use]
    pub fn new(
        automation: Arc<Automation>,
        runs: Arc<dyn RunStore>,
        scenes: Arc<dyn Scenes>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            automation,
            runs,
            scenes,
            clock,
        }
    }

    /// One round over all schedules; gives the number that were worked off.
    ///
    /// # Errors
    /// When a port failed. What was done stays done; the schedule goes on when its lease is over.
    pub async fn run_once(&self) -> Result<u64, AutomationError> {
        let set = self.automation.rules().await?;
        let rules = set.rules().iter();
        let scheduled: Vec<_> = rules
            .filter_map(|rule| Some((rule, rule.content.trigger.schedule()?)))
            .collect();
        if scheduled.is_empty() {
            return Ok(0);
        }
        let ids: Vec<_> = scheduled.iter().map(|(rule, _)| rule.id).collect();
        let worked_off = self.runs.worked_off(&ids).await?;
        let mut done = 0;
        for (rule, schedule) in scheduled {
            let now = self.clock.now();
            // What a rule left out before it was as it is now, it does not make up for.
            let last = worked_off.get(&rule.id).copied();
            let last = last.map_or(rule.updated_at, |last| last.max(rule.updated_at));
            let Some(due) = schedule.due(last, now) else {
                continue;
            };
            if self.lease(rule.id, due).await? {
                self.work_off(rule, due).await?;
                done += 1;
            }
        }
        Ok(done)
    }

    async fn lease(&self, rule: RuleId, due: DateTime<Utc>) -> Result<bool, PortError> {
        let now = self.clock.now();
        let until = now + LEASE;
        self.runs
            .lease(ScheduleLease {
                rule,
                due,
                now,
                until,
            })
            .await
    }

    async fn work_off(&self, rule: &Rule, due: DateTime<Utc>) -> Result<(), AutomationError> {
        let filter = rule
            .content
            .trigger
            .schedule()
            .and_then(|schedule| schedule.filter());
        let tickets = self.scenes.select(filter, SCHEDULED_MAX_TICKETS).await?;
        for (index, ticket) in tickets.into_iter().enumerate() {
            if index > 0 && index % LEASED_TICKETS == 0 {
                let now = self.clock.now();
                self.runs.prolong(rule.id, now + LEASE).await?;
            }
            let Some(view) = self.scenes.ticket(ticket).await? else {
                continue;
            };
            let id = scheduled_id(rule.id, due, ticket);
            let happening = Happening::new(id, TriggerKind::Schedule, due);
            let surroundings = self.scenes.surroundings().await?;
            self.automation
                .on_schedule(rule, &happening, &view, surroundings.as_ref())
                .await?;
        }
        Ok(self.runs.finish(rule.id, due).await?)
    }

    /// Carries out what nodes left over, and counts how often rules ran; gives the number of runs.
    ///
    /// # Errors
    /// When a port failed.
    pub async fn tidy(&self) -> Result<u64, AutomationError> {
        let resumed = self.automation.resume(PageLimit::default()).await?;
        let counted = self.runs.count(COUNTED_AT_ONCE_MAX).await?;
        Ok(counted + u64::try_from(resumed).unwrap_or(0))
    }

    /// Forgets up to `rows_max` runs that are older than [`RUNS_KEPT_DAYS`]; gives their number.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn forget(&self, rows_max: i64) -> Result<u64, PortError> {
        let before = self.clock.now() - TimeDelta::days(RUNS_KEPT_DAYS);
        self.runs.forget(before, rows_max).await
    }
}

/// The event that a schedule's time is for a ticket: the same whoever asks.
fn scheduled_id(rule: RuleId, due: DateTime<Utc>, ticket: TicketId) -> EventId {
    let due = due.timestamp_micros().to_be_bytes();
    EventId(derived_id(&[
        b"schedule",
        rule.0.as_bytes(),
        &due,
        ticket.0.as_bytes(),
    ]))
}
