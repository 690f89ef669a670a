//! What jobs ask of a store. The PostgreSQL adapter and the in-memory fake pass the same suite,
//! [`testing::contract_jobs`](crate::testing::contract_jobs).

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{Page, PageLimit, PortError, Receipt, TicketId, Version};

use super::undo::Undo;
use super::{DoneItem, ItemOutcome, ItemPosition, Items, Job, JobId, JobItem, JobState};
use crate::query::{Scope, TicketFilter};

/// Keeps jobs. The results of items that change their tickets come with those changes, in
/// [`TicketCommit::item`](crate::TicketCommit::item).
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Up to `rows_max` of the live tickets in `scope` that the filter selects, each once, in any order.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn select(
        &self,
        scope: &Scope,
        filter: &TicketFilter,
        rows_max: i64,
    ) -> Result<Vec<TicketId>, PortError>;

    /// Stores a new job with its items and its receipt whole, or nothing of it. Must never let a person have more than
    /// [`JOBS_UNFINISHED_MAX`](super::JOBS_UNFINISHED_MAX) unfinished jobs, nor a job be undone twice, however many
    /// commits there are at once.
    ///
    /// # Errors
    /// See [`StartError`].
    async fn start(&self, new: NewJob) -> Result<(), StartError>;

    /// A job, whoever may see it.
    ///
    /// # Errors
    /// When the store cannot be reached, or the row is no job.
    async fn job(&self, id: JobId) -> Result<Option<Job>, PortError>;

    /// One page of a job's items in their order: all, or those that came to `outcome`.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn items(
        &self,
        job: JobId,
        outcome: Option<ItemOutcome>,
        after: Option<ItemPosition>,
        limit: PageLimit,
    ) -> Result<Page<JobItem, ItemPosition>, PortError>;

    /// Makes an unfinished job one that is to end, with the receipt; refuses where it is not at the version `expected` any
    /// more.
    ///
    /// # Errors
    /// See [`StartError`]; [`StartError::Stale`].
    async fn cancel(&self, job: JobId, expected: Version, receipt: Option<Receipt>)
    -> Result<(), StartError>;

    /// Takes the job that waited longest for itself until `lease_until`, with up to `items_max` of its items that have no
    /// result. A job whose lease ran out is there to be taken again. Must not give a job to two at once.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no job.
    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
        items_max: i64,
    ) -> Result<Option<Claimed>, PortError>;

    /// Stores what came of an item whose ticket does not change. One that has a result keeps it.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn record(&self, item: DoneItem) -> Result<(), PortError>;

    /// Gives a job back after every item before `next` has its result, counts these, and ends it: as `end` says, or because
    /// it was to end, or because there are no more. Nothing happens where another one was faster.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn release(
        &self,
        claimed: &Claimed,
        next: i32,
        end: Option<JobState>,
        now: DateTime<Utc>,
    ) -> Result<(), PortError>;

    /// Forgets up to `rows_max` jobs that ended before `before`; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;
}

/// A job to begin.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a job that is not started does nothing"]
pub struct NewJob {
    /// The job.
    pub job: Job,
    /// Its items.
    pub items: Items,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// Why a job was not begun, or not ended. In every case nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// The person has as many unfinished jobs as there can be.
    #[error("there are too many unfinished jobs of this person")]
    TooMany,
    /// Another job undoes it already.
    #[error("the job is undone already")]
    Undone,
    /// The job moved on since it was read.
    #[error("the job is at another version")]
    Stale,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A job that was taken to be worked on.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The job.
    pub job: Job,
    /// Every item before it has its result.
    pub next: i32,
    /// What to do next, in order.
    pub items: Vec<ClaimedItem>,
}

/// An item to work on.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedItem {
    /// Its number.
    pub number: i32,
    /// The ticket.
    pub ticket: TicketId,
    /// What to restore, where a job is undone.
    pub undo: Undo,
}
