//! What notifications ask of the world. The PostgreSQL adapter and the in-memory fake pass the same suite,
//! `testing::contract`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{PageLimit, PortError, Position, Receipt, UserId};

use crate::notification::{Notification, NotificationId};

/// What one event leads to: stored whole or not at all.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that is not committed never happened"]
pub struct NotificationCommit {
    /// The new notifications.
    pub notifications: Vec<Notification>,
    /// Proof that the event was dealt with.
    pub receipt: Receipt,
}

/// Why a commit was not stored. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The receipt is there already: it was done before.
    #[error("done before")]
    Repeated,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Which of a person's notifications to list, latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InboxQuery {
    /// Only those that were not read.
    pub unread_only: bool,
    /// Where the page before ended.
    pub after: Option<Position>,
    /// How many.
    pub limit: PageLimit,
}

/// How many of a person's notifications were not read; counted up to [`Unread::COUNT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread(pub i64);

impl Unread {
    /// Counting stops here: "at least so many".
    pub const COUNT_MAX: i64 = 100;
}

/// Where notifications are kept.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait NotificationStore: Send + Sync {
    /// Stores notifications and receipt together. Must leave out a notification whose reader's account does not exist or
    /// is deleted, one [for staff](crate::Kind::is_for_staff) whose reader is no active agent or administrator, one that
    /// [asks for sight](crate::Kind::asks_for_sight) whose reader does not work on its ticket now, and one
    /// whose `dedupe_key` its reader has already, and store the rest.
    ///
    /// # Errors
    /// As [`CommitError`] says; nothing is stored then.
    async fn commit(&self, commit: NotificationCommit) -> Result<(), CommitError>;

    /// One page of `user`'s notifications and one more, latest first; equals by id, descending.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn list(&self, user: UserId, query: InboxQuery) -> Result<Vec<Notification>, PortError>;

    /// How many of `user`'s notifications were not read.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn unread(&self, user: UserId) -> Result<Unread, PortError>;

    /// Marks one of `user`'s notifications as read at `at`, unless it was before; gives it as it stands then, or
    /// `None` when `user` has no such notification.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn mark_read(
        &self,
        user: UserId,
        id: NotificationId,
        at: DateTime<Utc>,
    ) -> Result<Option<Notification>, PortError>;

    /// Marks up to `rows_max` of `user`'s unread notifications as read at `at`; gives the number marked.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn mark_all_read(&self, user: UserId, at: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;
}
