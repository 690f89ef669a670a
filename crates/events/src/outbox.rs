//! The outbox as its reader sees it: claim, work, settle.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{EventId, PortError};
use uuid::Uuid;

use crate::fact::{DecodeError, Event};

/// Events that wait to be delivered. Writing them is part of each domain's commit port.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes up to `claim.batch_max` events for the duration of a lease; no other claim gives them out until it ends.
    ///
    /// Must give an aggregate's events in the order in which they were committed, and none of an aggregate while an
    /// earlier one of it is still unsettled in another claim.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is claimed then.
    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, PortError>;

    /// Marks events as delivered to every subscriber.
    ///
    /// # Errors
    /// When the store cannot be reached; the events come again once their lease ends.
    async fn settle(&self, delivered: &[EventId]) -> Result<(), PortError>;

    /// Gives an event back, to be claimed again at `not_before`, and remembers why.
    ///
    /// # Errors
    /// When the store cannot be reached; the event comes again once its lease ends.
    async fn postpone(
        &self,
        event: EventId,
        not_before: DateTime<Utc>,
        reason: &str,
    ) -> Result<(), PortError>;

    /// Gives an event up for an operator to look at; later events of its aggregate go on.
    ///
    /// # Errors
    /// When the store cannot be reached; the event comes again once its lease ends.
    async fn bury(&self, event: EventId, reason: &str) -> Result<(), PortError>;

    /// How much waits.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn backlog(&self) -> Result<Backlog, PortError>;

    /// Forgets up to `rows_max` delivered events, and receipts, from before `before`; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;
}

/// The terms of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The time of the claim.
    pub now: DateTime<Utc>,
    /// How long the claimed events belong to the claimer.
    pub lease: Duration,
    /// The most events to take.
    pub batch_max: i64,
}

/// An event in the hands of one claimer.
#[derive(Debug)]
pub struct ClaimedEvent {
    /// Which event.
    pub id: EventId,
    /// The thing whose events keep their order, see [`Fact::aggregate`](crate::Fact::aggregate).
    pub aggregate: Uuid,
    /// How often it was claimed, this time included.
    pub attempts: i32,
    /// The event, unless its stored form cannot be read.
    pub event: Result<Event, DecodeError>,
}

/// How much waits in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Events not yet delivered.
    pub waiting: i64,
    /// Events given up.
    pub buried: i64,
}

/// A consumer of events.
#[async_trait]
pub trait Subscriber: Send + Sync {
    /// A stable name, at most 50 characters: receipts carry it.
    fn name(&self) -> &'static str;

    /// Deals with one event. Must store its effects together with a receipt, because the event may come again.
    ///
    /// # Errors
    /// [`HandleError::Retry`] when a later try may succeed, [`HandleError::GiveUp`] otherwise.
    async fn handle(&self, event: &Event) -> Result<(), HandleError>;
}

/// Why a subscriber could not deal with an event.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// A passing fault: try again later.
    #[error("will be tried again")]
    Retry(#[source] PortError),
    /// No later try can succeed.
    #[error("cannot be handled: {0}")]
    GiveUp(String),
}

impl HandleError {
    /// What a port's failure is to a subscriber for which a row that cannot be read, or a mistake of ours, is none that passes.
    #[must_use]
    pub fn of_port(error: PortError) -> Self {
        match error {
            PortError::Corrupt { .. } | PortError::Bug { .. } => HandleError::GiveUp(error.to_string()),
            PortError::Unavailable { .. } => HandleError::Retry(error),
        }
    }
}

impl From<PortError> for HandleError {
    fn from(error: PortError) -> Self {
        HandleError::Retry(error)
    }
}
