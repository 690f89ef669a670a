//! What policies ask of a store. A PostgreSQL adapter and the in-memory fake pass the same suite,
//! [`testing::contract`](crate::testing::contract).

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{EventId, PortError, Receipt, TicketId, UserId, Version};

use crate::ledger::LedgerRow;
use crate::policy::{PolicyId, PolicyName, PolicyRef, SlaPolicy, Terms};
use crate::tracking::{Due, Spoken, Tracked};

/// Keeps policies, and every version of what they promised.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// A policy.
    ///
    /// # Errors
    /// When the store cannot be reached, or the row is no policy ([`PortError::Corrupt`]).
    async fn policy(&self, id: PolicyId) -> Result<Option<SlaPolicy>, PortError>;

    /// All policies, in the order of their places; at most [`POLICIES_MAX`](crate::POLICIES_MAX).
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no policy.
    async fn policies(&self) -> Result<Vec<SlaPolicy>, PortError>;

    /// What a policy promised in a version. Must find each version of each policy that was ever committed, also of one that
    /// is deleted: ledgers are explained by them.
    ///
    /// # Errors
    /// When the store cannot be reached, or the row promises nothing.
    async fn terms(&self, policy: PolicyRef) -> Result<Option<Arc<Terms>>, PortError>;

    /// How many tickets name the policy or run by it, deleted ones too.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn usage(&self, id: PolicyId) -> Result<u64, PortError>;

    /// Stores a decision with its events and its receipt whole, or nothing of it. Must never leave policies without
    /// exactly one default, more than [`POLICIES_MAX`](crate::POLICIES_MAX) of them, or two at one place, however many
    /// commits there are at once.
    ///
    /// # Errors
    /// See [`PolicyCommitError`].
    async fn commit(&self, commit: PolicyCommit) -> Result<(), PolicyCommitError>;
}

/// Everything that one decision makes durable.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that is not committed never happened"]
pub struct PolicyCommit {
    /// What becomes of the policies, each of another, to be done in this order: a default loses its flag, or goes, before
    /// another gets it. Places may meet on the way, and are apart in the end.
    pub writes: Vec<PolicyWrite>,
    /// What to publish.
    pub events: Vec<PolicyEvent>,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// What a commit does to a policy. The store must refuse when the stored version is not `expected`.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyWrite {
    /// It is new; its promise is kept as its first terms.
    Insert(Box<SlaPolicy>),
    /// It changes. Where its terms' version is the new version, its promise is kept as further terms.
    Update {
        /// The policy as it is to be.
        policy: Box<SlaPolicy>,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// It stays as it is; only the receipt is kept.
    Keep {
        /// Which.
        id: PolicyId,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// It goes. Its terms stay.
    Delete {
        /// Which.
        id: PolicyId,
        /// The version that the decision was made on.
        expected: Version,
        /// Which policy those tickets name from then on that named it. The clocks that ran by it go on by its terms until they are
        /// told of others.
        successor: Option<PolicyId>,
    },
}

/// Something that happened to a policy, to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyEvent {
    /// Its id in the outbox.
    pub id: EventId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who did it; `None` for the server.
    pub by: Option<UserId>,
    /// The policy.
    pub policy: PolicyId,
    /// Its name then.
    pub name: PolicyName,
    /// What happened.
    pub what: PolicyFact,
}

/// What happened to a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyFact {
    /// It was made.
    Created,
    /// Something of it changed, its promise not.
    Changed,
    /// It promises something else: the clocks that run by it are to be told of these terms.
    PromiseChanged(PolicyRef),
    /// It is the default now, or no longer.
    DefaultMoved {
        /// Whether it is.
        is_default: bool,
    },
    /// It has another place.
    Moved,
    /// It is gone; this one follows it, if one does.
    Deleted {
        /// Which.
        successor: Option<PolicyId>,
    },
}

/// Why a commit was not stored. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum PolicyCommitError {
    /// A policy moved on since it was read, or is gone, or there is another default or place by now.
    #[error("a policy is at another version")]
    Stale,
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// There are as many as there can be.
    #[error("there are as many policies as there can be")]
    TooMany,
    /// A policy that is to go without successor is in use by now.
    #[error("the policy is in use by {0} tickets")]
    InUse(u64),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Keeps tickets' clocks and their ledger. What follows a ticket's change is stored by whoever stores the change, in the same
/// step; the rest is asked of this port.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait ClockStore: Send + Sync {
    /// The clocks of a ticket, if it has any.
    ///
    /// # Errors
    /// When the store cannot be reached, or what is kept are no clocks ([`PortError::Corrupt`]).
    async fn clocks(&self, ticket: TicketId) -> Result<Option<Tracked>, PortError>;

    /// The latest `rows_max` rows of a ticket's ledger, the oldest of them first.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is none.
    async fn ledger(&self, ticket: TicketId, rows_max: i64) -> Result<Vec<LedgerRow>, PortError>;

    /// Up to `rows_max` tickets whose clocks had something to say when the store's own clock read [`Due::now`], those that wait
    /// longest first. Must not give deleted tickets, and must tell the time itself, so that nodes whose clocks differ agree.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn due(&self, rows_max: i64) -> Result<Due, PortError>;

    /// Up to `rows_max` tickets with a clock that is not stopped, whose terms are none of `present`: their policy promises something
    /// else by now, or is gone.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn behind(&self, present: &[PolicyRef], rows_max: i64) -> Result<Due, PortError>;

    /// Up to `rows_max` tickets that run by the policy with a clock that is not stopped, by their ids, those behind `after`. Must
    /// not give deleted tickets.
    ///
    /// # Errors
    /// When the store cannot be reached, or what is kept are no clocks.
    async fn live(
        &self,
        policy: PolicyId,
        after: Option<TicketId>,
        rows_max: i64,
    ) -> Result<Vec<(TicketId, Tracked)>, PortError>;

    /// Stores what clocks said, ticket by ticket, each whole or not at all: a ticket that moved on since it was read, or that
    /// somebody holds, is passed over. Gives the number of tickets stored.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is stored then.
    async fn save(&self, spoken: Vec<Spoken>) -> Result<u64, PortError>;

    /// Lets tickets be, whose clocks cannot be moved on, for so many seconds.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn put_off(&self, tickets: &[TicketId], seconds: i64) -> Result<(), PortError>;
}
