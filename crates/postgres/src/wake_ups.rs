//! Telling the outbox's reader that there is something to read, in this process and in others.
//!
//! A commit does not `NOTIFY` in its own transaction: PostgreSQL lets such transactions commit only one after another,
//! each waiting for the disk. It says [`WakeUps::committed`] afterwards instead, which wakes the reader in this process
//! at once, and a task of its own ([`Database::pass_wake_ups_on`]) tells other processes, many commits in one `NOTIFY`. A
//! wake-up that is lost costs time only: the reader also looks by itself.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;

use crate::jitter;
use crate::pool::{Database, chain};

const CHANNEL_LISTEN: &str = "LISTEN insightdesk_outbox";
const CHANNEL_NOTIFY: &str = "NOTIFY insightdesk_outbox";
/// Other processes are told no more often than this.
const NOTIFY_PAUSE: Duration = Duration::from_millis(50);
/// The first and the longest pause before the connection is made again.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(200);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);

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

impl Database {
    /// Passes wake-ups on between this process and the others on the same database, over a connection of its own that
    /// is made again whenever it is lost. Ends only by being dropped.
    pub async fn pass_wake_ups_on(&self) -> Infallible {
        let wake_ups = self.wake_ups();
        let mut pause = RECONNECT_PAUSE_MIN;
        loop {
            let lost = self.pass_on_until_lost(&wake_ups, &mut pause).await;
            tracing::warn!(
                error = lost,
                "the connection for wake-ups is lost; the outbox is polled until it is back"
            );
            tokio::time::sleep(jitter::between(pause / 2, pause)).await;
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }

    /// Gives the reason why it ended.
    async fn pass_on_until_lost(&self, wake_ups: &WakeUps, pause: &mut Duration) -> String {
        let (client, mut connection) = match self.target.config.connect(self.target.tls.clone()).await {
            Ok(made) => made,
            Err(error) => return chain(&error),
        };
        let own_pid = AtomicI32::new(0);
        let hear = async {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(heard))) => {
                        if heard.process_id() != own_pid.load(Ordering::Relaxed) {
                            wake_ups.reader.notify_one();
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return chain(&error),
                    None => return "closed".to_owned(),
                }
            }
        };
        let say = async {
            let work: Result<Infallible, tokio_postgres::Error> = async {
                client.batch_execute(CHANNEL_LISTEN).await?;
                let pid = client
                    .query_one("SELECT pg_backend_pid()", &[])
                    .await?
                    .try_get(0)?;
                own_pid.store(pid, Ordering::Relaxed);
                *pause = RECONNECT_PAUSE_MIN;
                // What was said while nobody listened is made up for by one look.
                wake_ups.reader.notify_one();
                loop {
                    wake_ups.announce.notified().await;
                    client.batch_execute(CHANNEL_NOTIFY).await?;
                    tokio::time::sleep(NOTIFY_PAUSE).await;
                }
            }
            .await;
            match work {
                Err(error) => chain(&error),
            }
        };
        tokio::select! {
            reason = hear => reason,
            reason = say => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::own::test_database;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_commit_in_one_process_wakes_the_reader_in_another() {
        let test = test_database().await;
        let (here, there) = (
            Database::new(test.settings()).unwrap(),
            Database::new(test.settings()).unwrap(),
        );
        let reader = there.wake_ups().reader();
        let passing = async { tokio::join!(here.pass_wake_ups_on(), there.pass_wake_ups_on()) };
        let work = async {
            // The first one is the look after connecting.
            for _ in 0..2 {
                here.wake_ups().committed();
                tokio::time::timeout(SOON, reader.notified()).await.unwrap();
            }
            let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                         WHERE datname = current_database() AND query LIKE 'LISTEN%'
                         OR datname = current_database() AND query LIKE '%pg_backend_pid()'";
            assert!(test.number(ended).await >= 1);
            // After the loss it connects again, and looks once for what it did not hear.
            tokio::time::timeout(SOON, reader.notified()).await.unwrap();
        };
        tokio::select! {
            _ = passing => unreachable!("it passes wake-ups on for ever"),
            () = work => {}
        }
    }

    #[tokio::test]
    async fn a_commit_wakes_the_reader_in_its_own_process_without_a_connection() {
        let wake_ups = WakeUps::default();
        wake_ups.committed();
        tokio::time::timeout(SOON, wake_ups.reader().notified())
            .await
            .unwrap();
    }
}
