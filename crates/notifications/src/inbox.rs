//! A person's own notifications. Nobody, administrators included, sees anyone else's.

use std::sync::Arc;

use kernel::{Actor, Classify, Clock, FailureKind, Page, PortError, Position, UserId};

use crate::notification::{Notification, NotificationId};
use crate::port::{InboxQuery, NotificationStore, Unread};

/// How many notifications one statement marks as read.
const MARK_BATCH_ROWS: i64 = 1_000;
/// How many such statements one request may take.
const MARK_BATCHES_MAX: u32 = 20;

/// Reads notifications, and marks them as read.
pub struct Inbox {
    store: Arc<dyn NotificationStore>,
    clock: Arc<dyn Clock>,
}

/// How many notifications were marked as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked(pub u64);

/// Why a use case of the inbox failed.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The caller has no such notification.
    #[error("no such notification for this caller")]
    NotFound,
    /// The caller is no person.
    #[error("the server itself has no notifications")]
    NoPerson,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for InboxError {
    fn kind(&self) -> FailureKind {
        match self {
            InboxError::NotFound => FailureKind::NotFound,
            InboxError::NoPerson => FailureKind::Forbidden,
            InboxError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            InboxError::NotFound => "notification.not_found",
            InboxError::NoPerson => "notification.no_person",
            InboxError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            InboxError::NotFound => "You have no such notification.".into(),
            InboxError::NoPerson => "Only people have notifications.".into(),
            InboxError::Port(error) => error.detail(),
        }
    }
}

impl Inbox {
    /// The inbox of everyone, kept here.
    pub fn new(store: Arc<dyn NotificationStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// One page of the caller's own notifications, latest first.
    ///
    /// # Errors
    /// As [`InboxError`] says.
    pub async fn list(&self, actor: &Actor, query: InboxQuery) -> Result<Page<Notification>, InboxError> {
        let rows = self.store.list(person(actor)?, query).await?;
        Ok(Page::from_rows(rows, query.limit, |row| Position {
            at: row.created_at,
            id: row.id.0,
        }))
    }

    /// How many of the caller's own notifications were not read.
    ///
    /// # Errors
    /// As [`InboxError`] says.
    pub async fn unread(&self, actor: &Actor) -> Result<Unread, InboxError> {
        Ok(self.store.unread(person(actor)?).await?)
    }

    /// Marks one of the caller's own notifications as read. Again it changes nothing: the first time stays.
    ///
    /// # Errors
    /// As [`InboxError`] says.
    pub async fn mark_read(&self, actor: &Actor, id: NotificationId) -> Result<Notification, InboxError> {
        let marked = self.store.mark_read(person(actor)?, id, self.clock.now()).await?;
        marked.ok_or(InboxError::NotFound)
    }

    /// Marks all of the caller's own notifications as read, up to 20 000 at a time.
    ///
    /// # Errors
    /// As [`InboxError`] says; what was marked until then stays marked.
    pub async fn mark_all_read(&self, actor: &Actor) -> Result<Marked, InboxError> {
        let (user, now) = (person(actor)?, self.clock.now());
        let mut marked = 0;
        for _ in 0..MARK_BATCHES_MAX {
            let rows = self.store.mark_all_read(user, now, MARK_BATCH_ROWS).await?;
            marked += rows;
            if rows < MARK_BATCH_ROWS.unsigned_abs() {
                break;
            }
        }
        Ok(Marked(marked))
    }
}

fn person(actor: &Actor) -> Result<UserId, InboxError> {
    actor.user_id().ok_or(InboxError::NoPerson)
}
