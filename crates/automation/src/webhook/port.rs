//! What webhooks ask of the world outside.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use events::Event;
use kernel::{Page, PageLimit, PortError, Position, Receipt, TicketId, Version};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Endpoint;
use super::delivery::{Answer, Delivery, DeliveryState};
use super::health::Broken;
use super::signing::{Secret, Signed};
use crate::port::CommitError;
use crate::reference::EndpointId;

/// The most tries that a call's log keeps, the last ones.
pub const LOG_MAX: usize = 20;
/// The most calls that can be replayed by their ids at once.
pub const REPLAYED_IDS_MAX: usize = 1_000;

/// Keeps endpoints with their secrets, which lie sealed.
#[async_trait]
pub trait EndpointStore: Send + Sync {
    /// An endpoint.
    ///
    /// # Errors
    /// When the store cannot be reached, or a secret does not open.
    async fn endpoint(&self, id: EndpointId) -> Result<Option<Endpoint>, PortError>;

    /// All of them by the bytes of their names, then ids, the first [`ENDPOINTS_MAX`](super::ENDPOINTS_MAX).
    ///
    /// # Errors
    /// When the store cannot be reached, or a secret does not open.
    async fn endpoints(&self) -> Result<Vec<Endpoint>, PortError>;

    /// Stores a decision with its receipt whole, or nothing of it. Must never let there be more than [`ENDPOINTS_MAX`](super::ENDPOINTS_MAX), and
    /// must give the waiting calls of an endpoint up that is not enabled afterwards, as [`Dead::Disabled`](super::Dead).
    ///
    /// # Errors
    /// See [`CommitError`].
    async fn commit(&self, commit: EndpointCommit) -> Result<(), CommitError>;
}

/// Everything that one decision about an endpoint makes durable.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that is not committed never happened"]
pub struct EndpointCommit {
    /// What becomes of it.
    pub write: EndpointWrite,
    /// What others are told.
    pub event: Event,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// What a commit does to an endpoint. The store must refuse when the stored version is not `expected`.
#[derive(Debug, Clone, PartialEq)]
pub enum EndpointWrite {
    /// It is new.
    Insert(Box<Endpoint>),
    /// It changes.
    Update {
        /// The endpoint as it is to be.
        endpoint: Box<Endpoint>,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// It goes, with its calls.
    Delete {
        /// Which.
        id: EndpointId,
        /// The version that the decision was made on.
        expected: Version,
    },
}

/// A call to queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCall {
    /// `webhook-id`.
    pub id: Uuid,
    /// To where.
    pub endpoint: EndpointId,
    /// About which ticket.
    pub ticket: Option<TicketId>,
    /// The name of the event.
    pub event: String,
    /// What is sent, JSON: the same for every try.
    pub body: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// One try of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Try {
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// The status of the answer; `None` without one.
    pub status: Option<u16>,
    /// What went wrong, by a stable name: `timeout`, `connect`, `tls`, `status`, `inside_address`.
    pub error: Option<String>,
    /// How the answer begins; what is no text in it is replaced.
    pub answer: Option<String>,
}

/// A call as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// How far it came.
    pub delivery: Delivery,
    /// The name of the event.
    pub event: String,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
    /// What is sent; `None` in lists.
    pub body: Option<String>,
    /// Its last [`LOG_MAX`] tries, the oldest first.
    pub log: Vec<Try>,
}

/// Which calls are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallState {
    /// To be tried, or tried again.
    Waiting,
    /// Taken by the receiver.
    Delivered,
    /// Given up.
    Dead,
}

impl CallState {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];

    /// That of a call which came so far.
    #[must_use]
    pub fn of(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Waiting { .. } => CallState::Waiting,
            DeliveryState::Delivered { .. } => CallState::Delivered,
            DeliveryState::Dead { .. } => CallState::Dead,
        }
    }

    /// The name in JSON and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CallState::Waiting => "waiting",
            CallState::Delivered => "delivered",
            CallState::Dead => "dead",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A call in the hands of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// How far it came.
    pub delivery: Delivery,
    /// Where it goes.
    pub endpoint: Endpoint,
    /// What is sent.
    pub body: String,
    /// Until when no other node takes it.
    pub leased_until: DateTime<Utc>,
    /// Whether it tells of a ticket that was deleted since, and not of that.
    pub is_ticket_deleted: bool,
}

/// What became of a call that was claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The call afterwards.
    pub delivery: Delivery,
    /// The lease under which it was tried: where another node has it by now, nothing is stored.
    pub leased_until: DateTime<Utc>,
    /// What came of the try, and what the log says of it; `None` where it was given up untried.
    pub tried: Option<(Answer, Try)>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Which calls to make again. Those that wait already go on waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// These, at most [`REPLAYED_IDS_MAX`].
    Ids(Vec<Uuid>),
    /// Those queued in `from..to`, the first [`WAITING_MAX`](super::WAITING_MAX) of them in their order.
    Range {
        /// From when on.
        from: DateTime<Utc>,
        /// Until before when.
        to: DateTime<Utc>,
        /// Whether those that were delivered, too.
        with_delivered: bool,
    },
}

/// Keeps calls.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// Queues calls, in this order; one whose id its endpoint has already is left alone, and so is one to an endpoint that is
    /// not there. Must make those dead from the beginning that go to an endpoint that is not enabled, or for which
    /// [`WAITING_MAX`](super::WAITING_MAX) wait.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn queue(&self, calls: &[NewCall]) -> Result<(), PortError>;

    /// Takes up to `calls_max` calls of enabled endpoints whose time has come, at most `each_max` in the hands of all nodes
    /// for one endpoint, and never one while an earlier one about the same ticket waits for that endpoint.
    ///
    /// # Errors
    /// When the store cannot be reached, or a secret does not open.
    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: TimeDelta,
        calls_max: usize,
        each_max: usize,
    ) -> Result<Vec<Claimed>, PortError>;

    /// Stores what became of a call and moves its endpoint's [`Health`](super::Health); why the endpoint is to be disabled now,
    /// if it is.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn settle(&self, settled: &Settled) -> Result<Option<Broken>, PortError>;

    /// One page of an endpoint's calls, the newest first, without bodies.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no call.
    async fn calls(
        &self,
        endpoint: EndpointId,
        state: Option<CallState>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Call>, PortError>;

    /// A call, with its body.
    ///
    /// # Errors
    /// When the store cannot be reached, or the row is no call.
    async fn call(&self, endpoint: EndpointId, id: Uuid) -> Result<Option<Call>, PortError>;

    /// Makes ended calls wait again, each in its place, see [`Delivery::replayed`]; gives their number.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn replay(
        &self,
        endpoint: EndpointId,
        which: &Replay,
        now: DateTime<Utc>,
    ) -> Result<u64, PortError>;

    /// Forgets up to `rows_max` calls that ended before `before`; gives their number.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;
}

/// Makes secrets.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
pub trait SecretSource: Send + Sync {
    /// A new one, of random bytes.
    ///
    /// # Errors
    /// When the system gives no randomness.
    fn fresh(&self) -> Result<Secret, PortError>;
}

/// What goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// To where, as [`AddressRules::check_url`](super::AddressRules::check_url) just passed it.
    pub url: String,
    /// Its headers.
    pub signed: Signed,
    /// JSON.
    pub body: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// What it means.
    pub answer: Answer,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What went wrong, by a stable name.
    pub error: Option<String>,
    /// How the answer begins.
    pub excerpt: Option<String>,
}

/// Makes calls; see the [module](super) for what it must keep to.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Caller: Send + Sync {
    /// Makes a call. Whatever goes wrong is part of what came of it.
    async fn call(&self, outgoing: &Outgoing) -> Called;
}
