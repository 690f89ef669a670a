//! The engine: which rules an event sets off, in which order, and what they do. Pure: the same event, ticket, rules and
//! surroundings give the same [`Decision`].
//!
//! # What it promises
//! - Rules run by priority, the lowest first; those with the same, by id.
//! - A rule sees the ticket as the rules before it leave it, in its conditions and in its texts. `changed…` and ages are
//!   about the event alone. Whom `assign_round_robin` and `assign_least_loaded` will choose is not known to later rules.
//! - A rule runs once for an event, and once for a ticket in a causal [chain](crate::chain); the rules that an event set off
//!   are all in the chain of what follows, whichever of them caused it.
//! - One event is worth at most [`EVENT_ACTIONS_MAX`] actions: a rule that would go beyond it does not run at all.
//! - A rule that would run again in its chain and *change the ticket* is a [`Trip`]: two rules fight. After
//!   [`TRIPS_MAX`] within an hour it is disabled ([`must_disable`]). One that would only do what is done is no trip.
//! - A rule whose run cannot be decided takes no other with it.
//!
//! Rules are sorted and grouped by trigger once, when a [`RuleSet`] is made; patterns, numbers and words to look for are
//! prepared when a rule is read. An event then asks only the rules of its triggers.

use chrono::{DateTime, TimeDelta, Utc};
use kernel::{EventId, TicketId, Version};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::chain::Chain;
use crate::condition::Explanation;
use crate::facts::{Happening, Scene, Surroundings, TicketView};
use crate::plan::{self, Effect, Step};
use crate::rule::{RowFault, Rule, RuleId, RuleRow};
use crate::trigger::TriggerKind;

/// The most actions that one event is worth.
pub const EVENT_ACTIONS_MAX: usize = 50;
/// After so many trips within [`TRIPS_WINDOW`] a rule is disabled.
pub const TRIPS_MAX: u32 = 10;
/// How long a trip counts.
pub const TRIPS_WINDOW: TimeDelta = TimeDelta::hours(1);

/// Whether a rule that tripped so often within [`TRIPS_WINDOW`], this time included, is to be disabled.
#[must_use]
pub fn must_disable(trips: u32) -> bool {
    trips >= TRIPS_MAX
}

/// Rules, ready to run.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// By their places.
    rules: Vec<Rule>,
    by_kind: Vec<Vec<usize>>,
    faults: Vec<RowFault>,
}

/// How much a decision tells of rules that did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nothing where their conditions do not hold: the fast way.
    Fired,
    /// What each condition of each saw.
    All,
}

/// What an event comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The rules that run, in their order.
    pub fired: Vec<Fired>,
    /// The rules whose conditions hold and that do not run, and those that were not asked any more.
    pub skipped: Vec<Skipped>,
    /// The rules whose conditions do not hold; with [`Detail::All`] alone.
    pub passed: Vec<Passed>,
    /// The rules that fight.
    pub trips: Vec<Trip>,
    /// The chain of all events that follow from this decision.
    pub chain: Chain,
}

/// A rule that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// Which.
    pub rule: RuleId,
    /// In which version.
    pub version: Version,
    /// What it is called.
    pub name: String,
    /// Why.
    pub explanation: Explanation,
    /// What each of its actions comes to.
    pub steps: Vec<Step>,
}

/// A rule that does not run although it might.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which.
    pub rule: RuleId,
    /// In which version.
    pub version: Version,
    /// Why not.
    pub reason: SkipReason,
}

/// Why a rule does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// It ran for this ticket in this chain.
    RanInChain,
    /// The chain has as many steps as it can have.
    ChainTooLong,
    /// The event is worth no more actions.
    TooManyActions,
    /// It ran as often as it may in an hour.
    RateLimited,
    /// A rule before it ended the event.
    Stopped,
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Passed {
    /// Which.
    pub rule: RuleId,
    /// In which version.
    pub version: Version,
    /// Why.
    pub explanation: Explanation,
}

/// A rule that would have gone round in a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trip {
    /// Which.
    pub rule: RuleId,
    /// When: the event's moment.
    pub at: DateTime<Utc>,
    /// What stopped it.
    pub reason: SkipReason,
}

impl RuleSet {
    /// The enabled ones of these rules.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self::made_of(
            rules.into_iter().filter(|rule| rule.content.enabled).collect(),
            Vec::new(),
        )
    }

    /// All of these rules, also those that are disabled: to see what they would do.
    #[must_use]
    pub fn on_trial(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self::made_of(rules.into_iter().collect(), Vec::new())
    }

    /// The enabled rules of these rows; rows that are none are [set aside](RuleSet::faults).
    #[must_use]
    pub fn read<'a>(rows: impl IntoIterator<Item = &'a RuleRow>) -> Self {
        let (mut rules, mut faults) = (Vec::new(), Vec::new());
        for row in rows.into_iter().filter(|row| row.enabled) {
            match Rule::read(row) {
                Ok(rule) => rules.push(rule),
                Err(fault) => faults.push(fault),
            }
        }
        Self::made_of(rules, faults)
    }

    fn made_of(mut rules: Vec<Rule>, faults: Vec<RowFault>) -> Self {
        rules.sort_by_key(Rule::place);
        let mut by_kind = vec![Vec::new(); TriggerKind::ALL.len()];
        for (index, rule) in rules.iter().enumerate() {
            if let Some(group) = by_kind.get_mut(slot(rule.content.trigger.kind())) {
                group.push(index);
            }
        }
        Self {
            rules,
            by_kind,
            faults,
        }
    }

    /// The rules, in the order in which they run.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rows that are no rules.
    #[must_use]
    pub fn faults(&self) -> &[RowFault] {
        &self.faults
    }

    /// Whether an event of these kinds can set off anything: if not, nobody needs to load its ticket.
    #[must_use]
    pub fn listens_to(&self, kinds: &[TriggerKind]) -> bool {
        kinds.iter().any(|kind| !self.group(*kind).is_empty())
    }

    /// The rules with a rate limit that an event can set off: their runs have to be counted before it is decided on.
    #[must_use]
    pub fn limited(&self, kinds: &[TriggerKind]) -> Vec<RuleId> {
        let rules = self.called(kinds);
        let limited = rules.filter(|rule| !rule.content.rate_limit.is_none());
        limited.map(|rule| rule.id).collect()
    }

    fn group(&self, kind: TriggerKind) -> &[usize] {
        self.by_kind.get(slot(kind)).map_or(&[], Vec::as_slice)
    }

    /// The rules of these triggers, each once, in their order.
    fn called(&self, kinds: &[TriggerKind]) -> impl Iterator<Item = &Rule> {
        let mut indices: Vec<usize> = match kinds {
            [kind] => self.group(*kind).to_vec(),
            kinds => kinds.iter().flat_map(|kind| self.group(*kind)).copied().collect(),
        };
        if kinds.len() > 1 {
            indices.sort_unstable();
            indices.dedup();
        }
        indices.into_iter().filter_map(|index| self.rules.get(index))
    }

    /// What an event comes to. `view` is the ticket as it stands now; `None` for `user.created`, and for a ticket that is gone.
    #[must_use]
    pub fn decide(
        &self,
        happening: &Happening,
        view: Option<&TicketView>,
        surroundings: &dyn Surroundings,
        detail: Detail,
    ) -> Decision {
        let ticket = view.map(|view| view.ticket.id);
        let mut scene = Scene::new(happening, view, surroundings);
        let mut decision = Decision {
            fired: Vec::new(),
            skipped: Vec::new(),
            passed: Vec::new(),
            trips: Vec::new(),
            chain: happening.chain.clone(),
        };
        let mut actions_left = EVENT_ACTIONS_MAX;
        let mut is_stopped = false;
        for rule in self.called(&happening.kinds) {
            let (id, version) = (rule.id, rule.version);
            let skipped = |reason| Skipped {
                rule: id,
                version,
                reason,
            };
            if is_stopped {
                decision.skipped.push(skipped(SkipReason::Stopped));
                continue;
            }
            // A ticket that is gone sets nothing off.
            let has_subject = scene.view.is_some() || !rule.content.trigger.kind().has_ticket();
            if !has_subject {
                continue;
            }
            let holds = rule.content.conditions.holds(&scene);
            if !holds {
                if detail == Detail::All {
                    let explanation = rule.content.conditions.explain(&scene);
                    decision.passed.push(Passed {
                        rule: id,
                        version,
                        explanation,
                    });
                }
                continue;
            }
            let circle = if happening.chain.has(id, ticket) {
                Some(SkipReason::RanInChain)
            } else if happening.chain.is_spent() {
                Some(SkipReason::ChainTooLong)
            } else {
                None
            };
            if let Some(reason) = circle {
                decision.skipped.push(skipped(reason));
                if would_change(rule, &scene) {
                    decision.trips.push(Trip {
                        rule: id,
                        at: happening.at,
                        reason,
                    });
                }
                continue;
            }
            let limit = rule.content.rate_limit;
            if !limit.is_none() && limit.is_reached(surroundings.runs(id, ticket)) {
                decision.skipped.push(skipped(SkipReason::RateLimited));
                continue;
            }
            let actions = rule.content.actions.as_slice();
            if actions.len() > actions_left {
                decision.skipped.push(skipped(SkipReason::TooManyActions));
                continue;
            }
            actions_left -= actions.len();
            // Before its own actions change what it saw.
            let explanation = rule.content.conditions.explain(&scene);
            let steps = plan::plan(actions, &mut scene);
            decision.fired.push(Fired {
                rule: id,
                version,
                name: rule.content.name.clone(),
                explanation,
                steps,
            });
            is_stopped = rule.content.stop_after_match || actions.last() == Some(&Action::Stop);
        }
        if !decision.fired.is_empty() {
            let fired = decision.fired.iter().map(|fired| fired.rule);
            decision.chain = happening.chain.after(fired, ticket);
        }
        decision
    }

    /// What the rules would do for each of these events, and why, writing nothing: every rule of the trigger is explained,
    /// whether it holds or not.
    pub fn simulate<'a>(
        &'a self,
        cases: impl IntoIterator<Item = (&'a Happening, Option<&'a TicketView>)> + 'a,
        surroundings: &'a dyn Surroundings,
    ) -> impl Iterator<Item = Simulated> + 'a {
        cases.into_iter().map(move |(happening, view)| Simulated {
            event: happening.id,
            ticket: view.map(|view| view.ticket.id),
            decision: self.decide(happening, view, surroundings, Detail::All),
        })
    }
}

/// What would come of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// The event.
    pub event: EventId,
    /// Its ticket.
    pub ticket: Option<TicketId>,
    /// What the rules would do, and why.
    pub decision: Decision,
}

impl Decision {
    /// All that would be done, in its order.
    pub fn effects(&self) -> impl Iterator<Item = &Effect> {
        let steps = self.fired.iter().flat_map(|fired| &fired.steps);
        steps.filter_map(Step::effect)
    }
}

/// Whether a rule would change the ticket as it stands.
fn would_change(rule: &Rule, scene: &Scene<'_>) -> bool {
    let mut scratch = Scene::new(scene.happening, scene.view.as_deref(), scene.surroundings);
    let steps = plan::plan(rule.content.actions.as_slice(), &mut scratch);
    steps.iter().filter_map(Step::effect).any(Effect::changes_ticket)
}

fn slot(kind: TriggerKind) -> usize {
    kind as usize
}

#[cfg(test)]
mod tests;
