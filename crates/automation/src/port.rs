//! What automation asks of the world outside. The adapters and the in-memory fakes pass the same suites, in
//! [`testing`](crate::testing); what carries effects out is mocked.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::Event;
use kernel::{
    EventId, EventReceipt, MessageId, Page, PageLimit, PortError, Position, Receipt, TicketId, UserId,
    Version,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::chain::Chain;
use crate::condition::Explanation;
use crate::engine::Trip;
use crate::facts::{MessageFacts, PersonFacts, Surroundings, TicketView};
use crate::macros::{Macro, MacroId, MacroReach};
use crate::plan::Step;
use crate::reference::{Target, World};
use crate::rule::{Rule, RuleId, RuleRow, RunCounts};

/// The most rules that a desk can have.
pub const RULES_MAX: usize = 1_000;
/// The most macros that a person, a team or the whole desk can have.
pub const MACROS_MAX: usize = 100;
/// The most macros that a list shows.
pub const MACROS_LISTED_MAX: usize = 500;
/// The subscriber's name in receipts of what rules do.
pub const SUBSCRIBER: &str = "automation";

/// Moves with every change of any rule, whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub i64);

/// Keeps rules.
#[async_trait]
pub trait RuleStore: Send + Sync {
    /// A rule's row, whatever is in it.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn rule(&self, id: RuleId) -> Result<Option<RuleRow>, PortError>;

    /// All rules in the order in which they run (priority, then id), the first [`RULES_MAX`] of them. Must give rows that are
    /// no rules, too.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn rules(&self) -> Result<Vec<RuleRow>, PortError>;

    /// The same with the revision that they have, or `None` where it is `known`. Must see the changes of clients that know
    /// nothing of revisions.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn changed_since(
        &self,
        known: Option<Revision>,
    ) -> Result<Option<(Revision, Vec<RuleRow>)>, PortError>;

    /// Stores a decision with its receipt whole, or nothing of it.
    ///
    /// # Errors
    /// See [`CommitError`].
    async fn commit(&self, commit: RuleCommit) -> Result<(), CommitError>;
}

/// Everything that one decision about rules makes durable.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that is not committed never happened"]
pub struct RuleCommit {
    /// What becomes of the rules.
    pub write: RuleWrite,
    /// What others are told; `None` for a write that changes nothing.
    pub event: Option<Event>,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// What a commit does. The store must refuse when a stored version is not `expected`.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleWrite {
    /// It is new.
    Insert(Box<Rule>),
    /// It changes.
    Update {
        /// The rule as it is to be.
        rule: Box<Rule>,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// They take these places: nothing of them changes but priority, version and time.
    Reorder {
        /// Each rule as it is to be, with the version that the decision was made on.
        places: Vec<Place>,
        /// When.
        at: DateTime<Utc>,
    },
    /// It stays as it is; only the receipt is kept.
    Keep {
        /// Which.
        id: RuleId,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// It goes, with its runs.
    Delete {
        /// Which.
        id: RuleId,
        /// The version that the decision was made on.
        expected: Version,
    },
}

/// A rule's new place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub id: RuleId,
    /// Its new priority.
    pub priority: i32,
    /// The version that the decision was made on; it moves by one.
    pub expected: Version,
}

/// Why a commit was not stored. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It moved on since it was read, or is gone.
    #[error("it is at another version")]
    Stale,
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// There are as many as there can be.
    #[error("there are as many as there can be")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// One rule's run for one event; unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    /// The rule.
    pub rule: RuleId,
    /// The event.
    pub event: EventId,
}

impl RunKey {
    /// An id of a step of this run, the same whenever it is asked for: whoever carries the step out uses it for the message,
    /// mail or call that it makes, so that a second time is known to be one.
    #[must_use]
    pub fn step_id(self, index: usize) -> Uuid {
        step_id(self.rule.0, self.event, index)
    }

    /// The receipt that goes with the one commit that changes the run's ticket.
    #[must_use]
    pub fn ticket_receipt(self) -> EventReceipt {
        EventReceipt {
            subscriber: SUBSCRIBER,
            event: EventId(self.step_id(usize::MAX)),
            step: "ticket",
        }
    }
}

/// An id of a step that a rule or a macro does for an event, the same whenever it is asked for.
pub(crate) fn step_id(doer: Uuid, event: EventId, index: usize) -> Uuid {
    let index = u64::try_from(index).unwrap_or(u64::MAX).to_be_bytes();
    derived_id(&[doer.as_bytes(), event.0.as_bytes(), &index])
}

/// An id that these parts have whenever it is asked for (UUIDv8 over SHA-256, RFC 9562 section 5.8).
pub(crate) fn derived_id(parts: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(digest.iter())
        .for_each(|(to, from)| *to = *from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// A run, as it was decided and as far as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Which.
    pub key: RunKey,
    /// The rule's version.
    pub version: Version,
    /// What the rule was called.
    pub name: String,
    /// For which ticket.
    pub ticket: Option<TicketId>,
    /// The event's moment.
    pub at: DateTime<Utc>,
    /// Its place among the runs of its event, from 0.
    pub place: u32,
    /// Why.
    pub explanation: Explanation,
    /// What is to be done.
    pub steps: Vec<Step>,
    /// The chain of the events that it makes.
    pub chain: Chain,
    /// What became of it.
    pub state: RunState,
}

/// How far a run came.
#[derive(Debug, Clone, PartialEq)]
pub enum RunState {
    /// Decided, and not known to be carried out.
    Planned,
    /// Carried out.
    Settled {
        /// When.
        at: DateTime<Utc>,
        /// What became of each step that was to be done.
        results: Vec<StepResult>,
    },
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepResult {
    /// Which action of the rule, from 0.
    pub index: usize,
    /// What became of it.
    pub result: Carried,
}

/// What became of what was to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "code")]
pub enum Carried {
    /// Done, now or before a crash.
    Done,
    /// Somebody did it meanwhile.
    Unchanged,
    /// The domain that it concerns refused it, with its own stable code: `ticket.transition_not_allowed`.
    Refused(String),
}

/// Keeps runs: what makes rules run once for an event, and tells what they did.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// The runs of an event, in their order.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no run.
    async fn runs_of(&self, event: EventId) -> Result<Vec<Run>, PortError>;

    /// Stores what was decided about an event, planned: all of it or none. Must refuse with [`CommitError::Repeated`] where a
    /// run of any of these keys is there, also of another node at this moment. Of trips, the one of a rule and event
    /// counts once.
    ///
    /// # Errors
    /// See [`CommitError`]; never [`CommitError::Stale`].
    async fn begin(&self, event: EventId, runs: &[Run], trips: &[Trip]) -> Result<(), CommitError>;

    /// Says what became of a run. The first time counts; one that is not there is no error, since its rule may be gone.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn settle(&self, key: RunKey, at: DateTime<Utc>, results: &[StepResult]) -> Result<(), PortError>;

    /// Runs planned for moments before `before` and not settled, the oldest first, at most `limit` of them.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no run.
    async fn unsettled(&self, before: DateTime<Utc>, limit: PageLimit) -> Result<Vec<Run>, PortError>;

    /// How often each of these rules ran at `since` or later, for the ticket and for all. Rules without a run may be
    /// left out.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn counts(
        &self,
        rules: &[RuleId],
        ticket: Option<TicketId>,
        since: DateTime<Utc>,
    ) -> Result<HashMap<RuleId, RunCounts>, PortError>;

    /// How often a rule tripped at `since` or later.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn trips(&self, rule: RuleId, since: DateTime<Utc>) -> Result<u32, PortError>;

    /// Up to when the schedules of these rules were worked off; those that never were are left out.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn worked_off(&self, rules: &[RuleId]) -> Result<HashMap<RuleId, DateTime<Utc>>, PortError>;

    /// Takes a time of a rule's schedule; false where another node has it, or it was worked off, or the rule is gone.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn lease(&self, lease: ScheduleLease) -> Result<bool, PortError>;

    /// Makes a lease last until `until`.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn prolong(&self, rule: RuleId, until: DateTime<Utc>) -> Result<(), PortError>;

    /// Says that a time of a rule's schedule was worked off, and ends the lease.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn finish(&self, rule: RuleId, due: DateTime<Utc>) -> Result<(), PortError>;

    /// Adds up to `rows_max` runs to what their rules show of how often and when they last ran, each once; gives their
    /// number.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn count(&self, rows_max: i64) -> Result<u64, PortError>;

    /// Forgets up to `rows_max` settled runs of events before `before`, and trips; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;

    /// One page of the run log, the newest first, of a rule, of a ticket, or of all.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no run.
    async fn log(
        &self,
        rule: Option<RuleId>,
        ticket: Option<TicketId>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Run>, PortError>;
}

/// A time of a schedule, in the hands of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleLease {
    /// Of which rule.
    pub rule: RuleId,
    /// The time.
    pub due: DateTime<Utc>,
    /// The moment at which it is taken.
    pub now: DateTime<Utc>,
    /// Until when no other node takes it.
    pub until: DateTime<Utc>,
}

/// Looks up what rules look at.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Scenes: Send + Sync {
    /// A live ticket as it stands now, as staff see it.
    ///
    /// # Errors
    /// When the store cannot be reached, or the row is no ticket.
    async fn ticket(&self, id: TicketId) -> Result<Option<TicketView>, PortError>;

    /// A message of a ticket.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn message(&self, ticket: TicketId, id: MessageId) -> Result<Option<MessageFacts>, PortError>;

    /// An account that is not deleted.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn person(&self, id: UserId) -> Result<Option<PersonFacts>, PortError>;

    /// The hours of the desk and of its policies.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn surroundings(&self) -> Result<Box<dyn Surroundings + Send + Sync>, PortError>;

    /// Up to `tickets_max` live tickets that a condition of ticket lists selects, each once; all without one.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn select<'a>(
        &self,
        filter: Option<&'a Value>,
        tickets_max: usize,
    ) -> Result<Vec<TicketId>, PortError>;
}

/// Carries out what rules decided.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Effects: Send + Sync {
    /// Carries out every step of a run that is to be done, in their order, and says what became of each. Changes of the
    /// ticket must be one commit with [`RunKey::ticket_receipt`], whose events carry the run's chain; what goes outside must
    /// be queued under [`RunKey::step_id`], so that the same run again does nothing. Whether people and teams are still
    /// there, whether the state machine allows it, and who may read what is asked now, not when it was decided: what may not
    /// be is [`Carried::Refused`], and the rest goes on.
    ///
    /// # Errors
    /// When it is not known whether it was done; the run will come again.
    async fn apply(&self, run: &Run) -> Result<Vec<StepResult>, PortError>;
}

/// Looks up what rules name.
#[async_trait]
pub trait Directory: Send + Sync {
    /// What there is of these. What is left out does not exist; more may be given.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn world(&self, targets: &[Target]) -> Result<World, PortError>;
}

/// Keeps macros.
#[async_trait]
pub trait MacroStore: Send + Sync {
    /// A macro, whoever may see it.
    ///
    /// # Errors
    /// When the store cannot be reached, or the row is no macro.
    async fn get(&self, id: MacroId) -> Result<Option<Macro>, PortError>;

    /// The macros in `reach`, by [`Macro::place`], the first [`MACROS_LISTED_MAX`] of them. Must not give one outside of it.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no macro.
    async fn list(&self, reach: &MacroReach) -> Result<Vec<Macro>, PortError>;

    /// Stores a decision with its receipt whole, or nothing of it. Must never let a holder have more than [`MACROS_MAX`].
    ///
    /// # Errors
    /// See [`CommitError`].
    async fn commit(&self, commit: MacroCommit) -> Result<(), CommitError>;
}

/// Everything that one decision about a macro makes durable.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that is not committed never happened"]
pub struct MacroCommit {
    /// What becomes of it.
    pub write: MacroWrite,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// What a commit does to a macro. The store must refuse when the stored version is not `expected`.
#[derive(Debug, Clone, PartialEq)]
pub enum MacroWrite {
    /// It is new.
    Insert(Box<Macro>),
    /// It changes.
    Update {
        /// The macro as it is to be.
        one: Box<Macro>,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// It goes.
    Delete {
        /// Which.
        id: MacroId,
        /// The version that the decision was made on.
        expected: Version,
    },
}
