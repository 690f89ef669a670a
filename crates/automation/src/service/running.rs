//! Running rules for events: decide, store what was decided, carry it out, settle.
//!
//! The decision is stored before anything is done, one row for each rule and event, unique. So whichever node hears of the
//! event again, and whenever, finds the decision and carries out what is not settled; it never decides anew, when the ticket
//! already looks different. Effects know their run (`RunKey`), so that the second time does nothing. An event that sets
//! nothing off leaves nothing behind.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use events::{Event, Fact};
use kernel::{Actor, Clock, IdSource, PageLimit, PortError, SystemActor, TeamId, TicketId, UserId};
use uuid::Uuid;

use super::STALE_TRIES_MAX;
use super::known::KnownRules;
use super::rules::RuleNews;
use crate::engine::{Detail, RuleSet, Skipped, TRIPS_WINDOW, Trip, must_disable};
use crate::error::AutomationError;
use crate::facts::{Happening, PersonFacts, Surroundings, TicketView};
use crate::port::{CommitError, Effects, RuleCommit, RuleStore, RuleWrite, Run, RunKey, RunState, RunStore};
use crate::rule::{Disabled, Rule, RuleId, RunCounts};
use crate::trigger::TriggerKind;

/// After so long a planned run is taken to be left over by a node that died.
pub const RESUME_AFTER: TimeDelta = TimeDelta::minutes(5);

/// Runs rules. Any number of nodes may, also for the same event.
pub struct Automation {
    rules: Arc<KnownRules>,
    runs: Arc<dyn RunStore>,
    effects: Arc<dyn Effects>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EventOutcome {
    /// The rules that ran, now or before.
    pub ran: Vec<RuleId>,
    /// Those that held and did not run.
    pub skipped: Vec<Skipped>,
    /// Those that were disabled because they kept setting themselves off: their owners are to be told.
    pub disabled: Vec<RuleId>,
}

/// The surroundings with the runs that were counted.
struct Counted<'a> {
    inner: &'a (dyn Surroundings + Sync),
    counts: HashMap<RuleId, RunCounts>,
}

impl Surroundings for Counted<'_> {
    fn is_open(&self, policy: Option<Uuid>, at: DateTime<Utc>) -> Option<bool> {
        self.inner.is_open(policy, at)
    }

    fn person(&self, id: UserId) -> Option<PersonFacts> {
        self.inner.person(id)
    }

    fn team_name(&self, id: TeamId) -> Option<String> {
        self.inner.team_name(id)
    }

    fn runs(&self, rule: RuleId, _ticket: Option<TicketId>) -> RunCounts {
        self.counts.get(&rule).copied().unwrap_or_default()
    }
}

impl Automation {
    /// Runs the rules of this store.
    #[must_use]
    pub fn new(
        rules: Arc<KnownRules>,
        runs: Arc<dyn RunStore>,
        effects: Arc<dyn Effects>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            rules,
            runs,
            effects,
            clock,
            ids,
        }
    }

    /// The rules as they run now; see [`KnownRules::present`].
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn rules(&self) -> Result<Arc<RuleSet>, PortError> {
        self.rules.present().await
    }

    /// Forgets what it knows of the rules, for a change that did not come through its store.
    pub fn forget(&self) {
        self.rules.forget();
    }

    /// Whether any rule listens to events of these kinds: if not, nobody needs to load the ticket.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn listens_to(&self, kinds: &[TriggerKind]) -> Result<bool, PortError> {
        Ok(self.rules().await?.listens_to(kinds))
    }

    /// Runs the rules that an event sets off. `view` is its ticket as it stands now.
    ///
    /// # Errors
    /// When a port failed: the event has to come again. Runs that could be carried out are, whatever became of the others.
    pub async fn on_event(
        &self,
        happening: &Happening,
        view: Option<&TicketView>,
        surroundings: &(dyn Surroundings + Sync),
    ) -> Result<EventOutcome, AutomationError> {
        let set = self.rules().await?;
        self.run(&set, happening, view, surroundings).await
    }

    /// Runs one rule, whose time has come, for a ticket; `happening` has the same id whenever that time comes again.
    ///
    /// # Errors
    /// As for [`Automation::on_event`].
    pub async fn on_schedule(
        &self,
        rule: &Rule,
        happening: &Happening,
        view: &TicketView,
        surroundings: &(dyn Surroundings + Sync),
    ) -> Result<EventOutcome, AutomationError> {
        let set = RuleSet::new([rule.clone()]);
        self.run(&set, happening, Some(view), surroundings).await
    }

    async fn run(
        &self,
        set: &RuleSet,
        happening: &Happening,
        view: Option<&TicketView>,
        surroundings: &(dyn Surroundings + Sync),
    ) -> Result<EventOutcome, AutomationError> {
        if !set.listens_to(&happening.kinds) {
            return Ok(EventOutcome::default());
        }
        let mut outcome = EventOutcome::default();
        let mut runs = self.runs.runs_of(happening.id).await?;
        if runs.is_empty() {
            let surroundings = self.counted(set, happening, view, surroundings).await?;
            let decided = decided(set, happening, view, &surroundings);
            outcome.skipped = decided.skipped;
            runs = self.begun(happening, decided.runs, &decided.trips).await?;
            outcome.disabled = self.tripped(&decided.trips).await?;
        }
        outcome.ran = runs.iter().map(|run| run.key.rule).collect();
        self.carry_out(&runs).await?;
        Ok(outcome)
    }

    /// Carries out runs that a node left over, [`RESUME_AFTER`] their event; how many there were. Idempotent; any number of
    /// nodes may.
    ///
    /// # Errors
    /// When a port failed.
    pub async fn resume(&self, limit: PageLimit) -> Result<usize, AutomationError> {
        let before = self.clock.now() - RESUME_AFTER;
        let runs = self.runs.unsettled(before, limit).await?;
        self.carry_out(&runs).await?;
        Ok(runs.len())
    }

    async fn counted<'a>(
        &self,
        set: &RuleSet,
        happening: &Happening,
        view: Option<&TicketView>,
        inner: &'a (dyn Surroundings + Sync),
    ) -> Result<Counted<'a>, PortError> {
        let limited = set.limited(&happening.kinds);
        let counts = if limited.is_empty() {
            HashMap::new()
        } else {
            let ticket = view.map(|view| view.ticket.id);
            let since = happening.at - TimeDelta::hours(1);
            self.runs.counts(&limited, ticket, since).await?
        };
        Ok(Counted { inner, counts })
    }

    /// Stores what was decided; what another node decided first counts instead.
    async fn begun(
        &self,
        happening: &Happening,
        runs: Vec<Run>,
        trips: &[Trip],
    ) -> Result<Vec<Run>, AutomationError> {
        if runs.is_empty() && trips.is_empty() {
            return Ok(runs);
        }
        match self.runs.begin(happening.id, &runs, trips).await {
            Ok(()) => Ok(runs),
            Err(CommitError::Repeated) => Ok(self.runs.runs_of(happening.id).await?),
            Err(CommitError::Stale | CommitError::TooMany) => Err(AutomationError::Stale { current: None }),
            Err(CommitError::Port(error)) => Err(error.into()),
        }
    }

    /// One failing run keeps no other from being carried out; the first failure is told.
    async fn carry_out(&self, runs: &[Run]) -> Result<(), PortError> {
        let mut failure = None;
        for run in runs {
            match run.state {
                RunState::Planned => {}
                RunState::Settled { .. } => continue,
            }
            let settled = match self.effects.apply(run).await {
                Ok(results) => self.runs.settle(run.key, self.clock.now(), &results).await,
                Err(error) => Err(error),
            };
            if let Err(error) = settled {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Disables the rules that tripped too often.
    async fn tripped(&self, trips: &[Trip]) -> Result<Vec<RuleId>, AutomationError> {
        let mut disabled = Vec::new();
        for trip in trips {
            let count = self.runs.trips(trip.rule, trip.at - TRIPS_WINDOW).await?;
            if must_disable(count) && self.disabled(trip.rule).await? {
                disabled.push(trip.rule);
            }
        }
        Ok(disabled)
    }

    /// Whether it was this that disabled it.
    async fn disabled(&self, id: RuleId) -> Result<bool, AutomationError> {
        for _ in 0..STALE_TRIES_MAX {
            let Some(rule) = self.rules.rule(id).await?.and_then(|row| Rule::read(&row).ok()) else {
                return Ok(false);
            };
            if !rule.content.enabled {
                return Ok(false);
            }
            let expected = rule.version;
            let mut off = rule;
            off.content.enabled = false;
            off.disabled = Some(Disabled::Loop);
            off.updated_at = self.clock.now();
            off.version = expected.next();
            let actor = Actor::System(SystemActor::Automation);
            let fact = Fact::Identity(RuleNews::DisabledAsLoop.of_rule(&off));
            let commit = RuleCommit {
                event: Some(Event::new(self.ids.as_ref(), off.updated_at, &actor, fact)),
                write: RuleWrite::Update {
                    rule: Box::new(off),
                    expected,
                },
                receipt: None,
            };
            match self.rules.commit(commit).await {
                Ok(()) => return Ok(true),
                Err(CommitError::Stale) => {}
                Err(CommitError::Port(error)) => return Err(error.into()),
                Err(CommitError::Repeated | CommitError::TooMany) => return Ok(false),
            }
        }
        Err(AutomationError::Stale { current: None })
    }
}

struct Decided {
    runs: Vec<Run>,
    skipped: Vec<Skipped>,
    trips: Vec<Trip>,
}

/// What is decided about an event, as it is stored.
fn decided(
    set: &RuleSet,
    happening: &Happening,
    view: Option<&TicketView>,
    surroundings: &dyn Surroundings,
) -> Decided {
    let decision = set.decide(happening, view, surroundings, Detail::Fired);
    let chain = decision.chain;
    let fired = decision.fired.into_iter().zip(0..);
    let runs = fired.map(|(fired, place)| Run {
        key: RunKey {
            rule: fired.rule,
            event: happening.id,
        },
        version: fired.version,
        name: fired.name,
        ticket: view.map(|view| view.ticket.id),
        at: happening.at,
        place,
        explanation: fired.explanation,
        steps: fired.steps,
        chain: chain.clone(),
        state: RunState::Planned,
    });
    Decided {
        runs: runs.collect(),
        skipped: decision.skipped,
        trips: decision.trips,
    }
}
