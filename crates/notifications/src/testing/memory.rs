//! Notifications in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{PortError, Receipt, UserId};

use crate::notification::{Notification, NotificationId};
use crate::port::{CommitError, InboxQuery, NotificationCommit, NotificationStore, Unread};

/// A store in memory, for which every account exists but those named in [`MemoryNotifications::without`].
#[derive(Debug, Default)]
pub struct MemoryNotifications {
    state: Mutex<State>,
    absent: Vec<UserId>,
}

#[derive(Debug, Default)]
struct State {
    notifications: Vec<Notification>,
    receipts: Vec<Receipt>,
}

impl MemoryNotifications {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store for which these accounts do not exist.
    #[must_use]
    pub fn without(absent: Vec<UserId>) -> Self {
        Self {
            absent,
            ..Self::default()
        }
    }

    /// Everything stored, in the order in which it came.
    #[must_use]
    pub fn all(&self) -> Vec<Notification> {
        self.state().notifications.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl NotificationStore for MemoryNotifications {
    async fn commit(&self, commit: NotificationCommit) -> Result<(), CommitError> {
        let NotificationCommit {
            notifications,
            receipt,
        } = commit;
        let mut state = self.state();
        if state.receipts.contains(&receipt) {
            return Err(CommitError::Repeated);
        }
        state.receipts.push(receipt);
        for new in notifications {
            let is_double = new.dedupe_key.is_some()
                && state
                    .notifications
                    .iter()
                    .any(|old| old.user == new.user && old.dedupe_key == new.dedupe_key);
            if !is_double && !self.absent.contains(&new.user) {
                state.notifications.push(new);
            }
        }
        Ok(())
    }

    async fn list(&self, user: UserId, query: InboxQuery) -> Result<Vec<Notification>, PortError> {
        let InboxQuery {
            unread_only,
            after,
            limit,
        } = query;
        let mut rows: Vec<Notification> = self.state().notifications.clone();
        rows.retain(|row| {
            row.user == user
                && !(unread_only && row.is_read())
                && after.is_none_or(|after| (row.created_at, row.id.0) < (after.at, after.id))
        });
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows.truncate(limit.rows() + 1);
        Ok(rows)
    }

    async fn unread(&self, user: UserId) -> Result<Unread, PortError> {
        let state = self.state();
        let unread = state
            .notifications
            .iter()
            .filter(|row| row.user == user && !row.is_read())
            .count();
        Ok(Unread(
            i64::try_from(unread).unwrap_or(i64::MAX).min(Unread::COUNT_MAX),
        ))
    }

    async fn mark_read(
        &self,
        user: UserId,
        id: NotificationId,
        at: DateTime<Utc>,
    ) -> Result<Option<Notification>, PortError> {
        let mut state = self.state();
        let row = state
            .notifications
            .iter_mut()
            .find(|row| row.id == id && row.user == user);
        Ok(row.map(|row| {
            row.read_at.get_or_insert(at);
            row.clone()
        }))
    }

    async fn mark_all_read(&self, user: UserId, at: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut state = self.state();
        let unread = state
            .notifications
            .iter_mut()
            .filter(|row| row.user == user && !row.is_read());
        let mut marked = 0;
        for row in unread.take(usize::try_from(rows_max).unwrap_or(0)) {
            row.read_at = Some(at);
            marked += 1;
        }
        Ok(marked)
    }
}
