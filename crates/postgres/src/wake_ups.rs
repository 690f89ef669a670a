//! Telling the outbox's reader that there is something to read, in this process and in others.
//!
//! A commit does not `NOTIFY` in its own transaction: PostgreSQL lets such transactions commit only one after another.
//! It says [`WakeUps::committed`] afterwards instead, which wakes the reader in this process at once, and a task of
//! its own ([`WakeUps::run`]) passes it on to other processes, many commits in one `NOTIFY`. A wake-up that is lost
//! costs time only: the reader also looks by itself.

use std::sync::Arc;

use tokio::sync::Notify;

/// The wake-ups of one database.
#[derive(Debug, Default)]
pub struct WakeUps {
    reader: Arc<Notify>,
    announce: Notify,
}

impl WakeUps {
    /// What the outbox's reader in this process waits for. It keeps one wake-up while nobody waits.
    #[must_use]
    pub fn reader(&self) -> Arc<Notify> {
        Arc::clone(&self.reader)
    }

    /// Events were committed by this process.
    pub(crate) fn committed(&self) {
        self.reader.notify_one();
        self.announce.notify_one();
    }
}
