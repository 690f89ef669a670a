//! Making, showing, ordering, trying and deleting rules.

use std::collections::HashMap;
use std::sync::Arc;

use events::{Event, Fact, IdentityFact};
use kernel::receipt::ReceiptFor;
use kernel::{
    Actor, Clock, IdSource, Page, PageLimit, Position, TicketId, UserId, Version, Violation, Violations,
};
use serde_json::{Value, json};

use super::{Guard, STALE_TRIES_MAX, met};
use crate::action::{Action, Actions};
use crate::engine::{RuleSet, Simulated};
use crate::error::{AutomationError, Thing};
use crate::facts::{Happening, Surroundings, TicketView};
use crate::port::{
    CommitError, Directory, Place, RULES_MAX, RuleCommit, RuleStore, RuleWrite, Run, RunStore,
};
use crate::rights::RuleRight;
use crate::rule::{Ran, RowFault, Rule, RuleContent, RuleId, RuleReading, RuleRow};
use crate::trigger::{Occasion, TriggerKind};

/// The most events that one trial looks at.
pub const SIMULATED_MAX_EVENTS: usize = 1_000;
/// How far apart reordered rules lie, so that others fit in between.
const PRIORITY_STEP: i32 = 10;

/// The use cases of rules.
pub struct Rules {
    store: Arc<dyn RuleStore>,
    runs: Arc<dyn RunStore>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// A row of the table of rules, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Listed {
    /// A rule.
    Rule(Box<Rule>),
    /// A row that is none and never runs.
    Faulty(RowFault),
}

impl Listed {
    fn of(row: &RuleRow) -> Self {
        match Rule::read(row) {
            Ok(rule) => Listed::Rule(Box::new(rule)),
            Err(fault) => Listed::Faulty(fault),
        }
    }

    /// Which.
    #[must_use]
    pub fn id(&self) -> RuleId {
        match self {
            Listed::Rule(rule) => rule.id,
            Listed::Faulty(fault) => fault.id,
        }
    }

    /// In which version.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Listed::Rule(rule) => rule.version,
            Listed::Faulty(fault) => fault.version,
        }
    }
}

/// A rule that was saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The rule.
    pub rule: Rule,
    /// The circles of enabled rules that it is part of: rules that can set each other off.
    pub cycles: Vec<Vec<RuleId>>,
}

/// A rule that is tried and need not be stored.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What sets it off.
    pub kind: TriggerKind,
    set: RuleSet,
}

impl Trial {
    /// What it would do for each of these events, and why.
    #[must_use]
    pub fn simulate(
        &self,
        cases: &[(Happening, Option<TicketView>)],
        surroundings: &(dyn Surroundings + Sync),
    ) -> Vec<Simulated> {
        let cases = cases.iter().map(|(happening, view)| (happening, view.as_ref()));
        self.set.simulate(cases, surroundings).collect()
    }
}

/// The actions of a step of an escalation, which stand at `pointer`: those of a rule that a missed deadline sets off, but for what
/// needs an author, and `stop`.
///
/// # Errors
/// Everything that is wrong with them.
pub fn step_actions(json: &Value, pointer: &str) -> Result<Actions, Violations> {
    let actions = Actions::read(json, pointer, Occasion::Event(TriggerKind::SlaBreached))?;
    let mut faults = Violations::new();
    for (index, action) in actions.as_slice().iter().enumerate() {
        if matches!(action, Action::AddNote(_) | Action::SendReply(_) | Action::Stop) {
            let place = format!("{pointer}/{index}/type");
            let message = "is not for steps: nobody would be its author, and nothing comes after one";
            faults.push(Violation::new(place, "not_allowed", message));
        }
    }
    faults.into_result()?;
    Ok(actions)
}

impl Rules {
    /// The rules of this store.
    #[must_use]
    pub fn new(
        store: Arc<dyn RuleStore>,
        runs: Arc<dyn RunStore>,
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            store,
            runs,
            directory,
            clock,
            ids,
        }
    }

    /// Makes a rule of a document; see [`rule`](crate::rule).
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`] for all but administrators; [`AutomationError::Invalid`] with all that is wrong.
    pub async fn create(
        &self,
        actor: &Actor,
        document: &Value,
        receipt: ReceiptFor<'_, Saved>,
    ) -> Result<Saved, AutomationError> {
        RuleRight::Write.require(actor)?;
        let owner = writer(actor)?;
        let content = self.checked(document).await?;
        let now = self.clock.now();
        let rule = Rule {
            id: RuleId::new(self.ids.as_ref()),
            content,
            owner,
            disabled: None,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
            ran: Ran::default(),
        };
        let saved = self.with_cycles(rule).await?;
        let commit = RuleCommit {
            receipt: receipt(&saved),
            event: Some(self.told(actor, RuleNews::Created.of_rule(&saved.rule))),
            write: RuleWrite::Insert(Box::new(saved.rule.clone())),
        };
        self.store.commit(commit).await.map_err(refused)?;
        Ok(saved)
    }

    /// All rules in the order in which they run, also the rows that are none.
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`] for who may not see rules.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Listed>, AutomationError> {
        RuleRight::Read.require(actor)?;
        Ok(self.store.rules().await?.iter().map(Listed::of).collect())
    }

    /// One rule.
    ///
    /// # Errors
    /// [`AutomationError::NotFound`].
    pub async fn show(&self, actor: &Actor, id: RuleId) -> Result<Listed, AutomationError> {
        RuleRight::Read.require(actor)?;
        Ok(Listed::of(&self.row(id).await?))
    }

    /// Changes a rule by a merge patch of its document, or replaces it whole: what the patch leaves out stays. A row that is
    /// no rule takes a whole document alone.
    ///
    /// # Errors
    /// As for [`Rules::create`]; [`AutomationError::NotFound`], [`AutomationError::Stale`] for a failed precondition.
    pub async fn update(
        &self,
        actor: &Actor,
        id: RuleId,
        patch: &Value,
        guard: Guard<'_, Saved>,
    ) -> Result<Saved, AutomationError> {
        RuleRight::Write.require(actor)?;
        RuleReading::check_members(patch)?;
        for _ in 0..STALE_TRIES_MAX {
            let row = self.row(id).await?;
            let expected = Version(row.version);
            met(guard.expected, expected)?;
            let present = Rule::read(&row).ok();
            let content = match &present {
                // A rule that names what is gone by now can still be switched off.
                Some(rule) if *patch == json!({ "enabled": false }) => RuleContent {
                    enabled: false,
                    ..rule.content.clone()
                },
                Some(rule) => self.checked(&rule.content.patched(patch)).await?,
                None => self.checked(patch).await?,
            };
            let is_same = present.as_ref().is_some_and(|rule| rule.content == content);
            let mut rule = Rule {
                id,
                disabled: present.as_ref().and_then(|rule| rule.disabled),
                owner: UserId(row.created_by),
                created_at: row.created_at,
                updated_at: row.updated_at,
                version: expected,
                ran: row.ran(),
                content,
            };
            if rule.content.enabled {
                rule.disabled = None;
            }
            if !is_same {
                rule.updated_at = self.clock.now();
                rule.version = expected.next();
            }
            let saved = self.with_cycles(rule).await?;
            let receipt = (guard.receipt)(&saved);
            let news = RuleNews::between(present.as_ref().map(|rule| &rule.content), &saved.rule.content);
            let event = (!is_same).then(|| self.told(actor, news.of_rule(&saved.rule)));
            let write = if !is_same {
                RuleWrite::Update {
                    rule: Box::new(saved.rule.clone()),
                    expected,
                }
            } else if receipt.is_some() {
                RuleWrite::Keep { id, expected }
            } else {
                return Ok(saved);
            };
            match self
                .store
                .commit(RuleCommit {
                    write,
                    event,
                    receipt,
                })
                .await
            {
                Ok(()) => return Ok(saved),
                Err(CommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(AutomationError::Stale { current: None })
    }

    /// Lets a rule run, also one that the server disabled.
    ///
    /// # Errors
    /// As for [`Rules::update`]; [`AutomationError::Faulty`] for a row that is no rule.
    pub async fn enable(
        &self,
        actor: &Actor,
        id: RuleId,
        guard: Guard<'_, Saved>,
    ) -> Result<Saved, AutomationError> {
        self.switched(actor, id, true, guard).await
    }

    /// Keeps a rule from running.
    ///
    /// # Errors
    /// As for [`Rules::enable`].
    pub async fn disable(
        &self,
        actor: &Actor,
        id: RuleId,
        guard: Guard<'_, Saved>,
    ) -> Result<Saved, AutomationError> {
        self.switched(actor, id, false, guard).await
    }

    async fn switched(
        &self,
        actor: &Actor,
        id: RuleId,
        enabled: bool,
        guard: Guard<'_, Saved>,
    ) -> Result<Saved, AutomationError> {
        RuleRight::Write.require(actor)?;
        if let Err(fault) = Rule::read(&self.row(id).await?) {
            return Err(AutomationError::Faulty(fault.faults));
        }
        self.update(actor, id, &json!({ "enabled": enabled }), guard)
            .await
    }

    /// Lets all rules run in this order. Each has to be named once.
    ///
    /// # Errors
    /// [`AutomationError::Invalid`] where one is missing, unknown or named twice; [`AutomationError::Stale`] where rules
    /// change at the same time.
    pub async fn reorder(
        &self,
        actor: &Actor,
        order: &[RuleId],
        receipt: ReceiptFor<'_, ()>,
    ) -> Result<(), AutomationError> {
        RuleRight::Write.require(actor)?;
        let rows = self.store.rules().await?;
        let mut versions: HashMap<RuleId, Version> = rows
            .iter()
            .map(|row| (RuleId(row.id), Version(row.version)))
            .collect();
        let mut places = Vec::new();
        let mut priority = 0;
        for (index, id) in order.iter().enumerate().take(RULES_MAX + 1) {
            let Some(expected) = versions.remove(id) else {
                let message = "must be a rule, and named once";
                return Err(Violation::new(format!("/order/{index}"), "unknown", message).into());
            };
            priority += PRIORITY_STEP;
            places.push(Place {
                id: *id,
                priority,
                expected,
            });
        }
        if !versions.is_empty() {
            let message = format!("must name all rules; {} are missing", versions.len());
            return Err(Violation::new("/order", "incomplete", message).into());
        }
        if places.is_empty() {
            // There is none to move.
            return Ok(());
        }
        let write = RuleWrite::Reorder {
            places,
            at: self.clock.now(),
        };
        let receipt = receipt(&());
        let event = Some(self.told(actor, RuleNews::Reordered.of_all()));
        self.store
            .commit(RuleCommit {
                write,
                event,
                receipt,
            })
            .await
            .map_err(refused)
    }

    /// Deletes a rule, or a row that is none.
    ///
    /// # Errors
    /// [`AutomationError::NotFound`], [`AutomationError::Stale`] for a failed precondition.
    pub async fn delete(
        &self,
        actor: &Actor,
        id: RuleId,
        guard: Guard<'_, ()>,
    ) -> Result<(), AutomationError> {
        RuleRight::Write.require(actor)?;
        for _ in 0..STALE_TRIES_MAX {
            let row = self.row(id).await?;
            let expected = Version(row.version);
            met(guard.expected, expected)?;
            let fact = RuleNews::Deleted.of(id, row.name, UserId(row.created_by));
            let commit = RuleCommit {
                write: RuleWrite::Delete { id, expected },
                event: Some(self.told(actor, fact)),
                receipt: (guard.receipt)(&()),
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(AutomationError::Stale { current: None })
    }

    /// What a document would do as a rule for each of these events, and why; nothing is written. The caller brings events and
    /// tickets that the actor may see, at most [`SIMULATED_MAX_EVENTS`] of them.
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`] for who may not try rules; [`AutomationError::Invalid`] with all that is wrong.
    pub async fn simulate(
        &self,
        actor: &Actor,
        document: &Value,
        cases: &[(Happening, Option<TicketView>)],
        surroundings: &(dyn Surroundings + Sync),
    ) -> Result<Vec<Simulated>, AutomationError> {
        RuleRight::Try.require(actor)?;
        if cases.len() > SIMULATED_MAX_EVENTS {
            let message = format!("must be at most {SIMULATED_MAX_EVENTS} tickets");
            return Err(Violation::new("", "too_many", message).into());
        }
        let trial = self.trial(actor, document).await?;
        Ok(trial.simulate(cases, surroundings))
    }

    /// A document as a rule on trial.
    ///
    /// # Errors
    /// As for [`Rules::simulate`].
    pub async fn trial(&self, actor: &Actor, document: &Value) -> Result<Trial, AutomationError> {
        RuleRight::Try.require(actor)?;
        let content = self.checked(document).await?;
        let now = self.clock.now();
        let rule = Rule {
            id: RuleId::new(self.ids.as_ref()),
            content,
            owner: actor.user_id().unwrap_or(UserId(uuid::Uuid::nil())),
            disabled: None,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
            ran: Ran::default(),
        };
        Ok(Trial {
            kind: rule.content.trigger.kind(),
            set: RuleSet::on_trial([rule]),
        })
    }

    /// One page of what rules did, the newest first: of one rule, for one ticket, or all.
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`] for who may not see rules.
    pub async fn log(
        &self,
        actor: &Actor,
        rule: Option<RuleId>,
        ticket: Option<TicketId>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Run>, AutomationError> {
        RuleRight::Read.require(actor)?;
        Ok(self.runs.log(rule, ticket, after, limit).await?)
    }

    fn told(&self, actor: &Actor, fact: IdentityFact) -> Event {
        Event::new(self.ids.as_ref(), self.clock.now(), actor, Fact::Identity(fact))
    }

    async fn row(&self, id: RuleId) -> Result<RuleRow, AutomationError> {
        let row = self.store.rule(id).await?;
        row.ok_or(AutomationError::NotFound(Thing::Rule))
    }

    async fn checked(&self, document: &Value) -> Result<RuleContent, AutomationError> {
        let reading = RuleReading::of(document);
        let targets: Vec<_> = reading.references().iter().map(|one| one.target).collect();
        let world = self.directory.world(&targets).await?;
        Ok(reading.check(&world)?)
    }

    /// Whether actions of a step of an escalation, which stand at `pointer`, name only what there is. A step writes nothing: there
    /// is nobody who would be shown as the author.
    ///
    /// # Errors
    /// [`AutomationError::Invalid`] with all that is wrong; whatever the directory fails with.
    pub async fn check_step(&self, actions: &Value, pointer: &str) -> Result<(), AutomationError> {
        let actions = step_actions(actions, pointer)?;
        let targets: Vec<_> = actions.references().iter().map(|one| one.target).collect();
        let world = self.directory.world(&targets).await?;
        Ok(world.check_all(actions.references())?)
    }

    /// The circles that a rule makes with the enabled rules that there are.
    async fn with_cycles(&self, rule: Rule) -> Result<Saved, AutomationError> {
        let mut cycles = Vec::new();
        if rule.content.enabled {
            let rows = self.store.rules().await?;
            let others = rows.iter().filter(|row| row.id != rule.id.0);
            let others = others.filter_map(|row| Rule::read(row).ok());
            let set = RuleSet::new(others.chain([rule.clone()]));
            cycles = set.cycles_of(rule.id);
        }
        Ok(Saved { rule, cycles })
    }
}

/// What became of a rule, as others are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleNews {
    Created,
    Changed,
    Enabled,
    Disabled,
    DisabledAsLoop,
    Reordered,
    Deleted,
}

impl RuleNews {
    fn as_str(self) -> &'static str {
        match self {
            RuleNews::Created => "created",
            RuleNews::Changed => "changed",
            RuleNews::Enabled => "enabled",
            RuleNews::Disabled => "disabled",
            RuleNews::DisabledAsLoop => "disabled_as_loop",
            RuleNews::Reordered => "reordered",
            RuleNews::Deleted => "deleted",
        }
    }

    /// The fact, of a rule.
    pub(super) fn of(self, rule: RuleId, name: String, owner: UserId) -> IdentityFact {
        IdentityFact::AutomationRuleChanged {
            rule: Some(rule.0),
            name,
            owner: Some(owner),
            change: self.as_str().to_owned(),
        }
    }

    /// The fact, of a rule as it is now.
    pub(super) fn of_rule(self, rule: &Rule) -> IdentityFact {
        self.of(rule.id, rule.content.name.clone(), rule.owner)
    }

    /// The fact, of all rules.
    fn of_all(self) -> IdentityFact {
        IdentityFact::AutomationRuleChanged {
            rule: None,
            name: String::new(),
            owner: None,
            change: self.as_str().to_owned(),
        }
    }

    fn between(before: Option<&RuleContent>, after: &RuleContent) -> Self {
        let is_switch = before.is_some_and(|before| {
            let switched = RuleContent {
                enabled: after.enabled,
                ..before.clone()
            };
            switched == *after
        });
        match (is_switch, after.enabled) {
            (false, _) => RuleNews::Changed,
            (true, true) => RuleNews::Enabled,
            (true, false) => RuleNews::Disabled,
        }
    }
}

fn writer(actor: &Actor) -> Result<UserId, AutomationError> {
    actor
        .user_id()
        .ok_or(AutomationError::Forbidden("own automation rules"))
}

fn refused(error: CommitError) -> AutomationError {
    AutomationError::refused(error, Thing::Rule)
}
