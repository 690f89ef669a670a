//! The relay: claims events, hands each to every subscriber, and settles, postpones or buries it.
//!
//! Delivery is at least once: after a crash, or when a lease ends too early, an event comes again, and it is the
//! subscribers' receipts that make its effects happen once. The events of one aggregate are handed over in their order,
//! those of several at the same time. A subscriber works outside of any transaction of the relay's, within a bound of
//! time, and may panic without harm to others.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use events::{Claim, ClaimedEvent, Event, HandleError, Outbox, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use kernel::id::Uuid;
use kernel::{Clock, EventId, PortError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::jitter;

/// The most events that one claim takes.
const BATCH_EVENTS_MAX: i64 = 100;
/// No further event of a batch is begun after this time; those left are given back.
const BATCH_TIME_MAX: Duration = Duration::from_secs(30);
/// How long one subscriber may take for one event.
const HANDLE_TIME_MAX: Duration = Duration::from_secs(20);
/// How many aggregates are worked on at the same time.
const AGGREGATES_AT_ONCE_MAX: usize = 8;
/// An event is given up when it failed this often.
const ATTEMPTS_MAX: i32 = 10;
/// The pause after the first failure; it doubles with each further one.
const BACK_OFF_MIN: Duration = Duration::from_secs(5);
/// The longest pause between two tries.
const BACK_OFF_MAX: Duration = Duration::from_secs(3_600);
/// Without a wake-up, the outbox is looked at this often, give or take a fifth.
const POLL_EVERY: Duration = Duration::from_secs(3);
/// The pause after the outbox itself failed.
const OUTBOX_DOWN_PAUSE: Duration = Duration::from_secs(1);

/// Brings events from the outbox to their subscribers.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    subscribers: Vec<Arc<dyn Subscriber>>,
    clock: Arc<dyn Clock>,
    wake_up: Arc<Notify>,
    stopping: AtomicBool,
}

/// What became of the events of one or more batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Handed to every subscriber.
    pub delivered: u64,
    /// Failed, and to be tried again.
    pub postponed: u64,
    /// Given up.
    pub buried: u64,
    /// Not begun: behind one that failed, or because the time was over.
    pub released: u64,
}

impl Delivery {
    fn add(&mut self, other: Delivery) {
        let Delivery {
            delivered,
            postponed,
            buried,
            released,
        } = other;
        self.delivered += delivered;
        self.postponed += postponed;
        self.buried += buried;
        self.released += released;
    }

    fn total(self) -> u64 {
        let Delivery {
            delivered,
            postponed,
            buried,
            released,
        } = self;
        delivered + postponed + buried + released
    }
}

/// What is to be done with an event.
#[derive(Debug)]
enum Verdict {
    Settle,
    Postpone(String),
    Bury(String),
}

impl Relay {
    /// A relay from `outbox` to `subscribers`, which looks whenever `wake_up` is notified, and from time to time.
    pub fn new(
        outbox: Arc<dyn Outbox>,
        subscribers: Vec<Arc<dyn Subscriber>>,
        clock: Arc<dyn Clock>,
        wake_up: Arc<Notify>,
    ) -> Self {
        Self {
            outbox,
            subscribers,
            clock,
            wake_up,
            stopping: AtomicBool::new(false),
        }
    }

    /// Works until [`Relay::stop`]. An event that was begun is finished first.
    pub async fn run(&self) {
        while !self.is_stopping() {
            // Registered before looking: what is committed after the look wakes, what was committed before is seen.
            let woken = self.wake_up.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let looked = AssertUnwindSafe(self.run_once()).catch_unwind().await;
            let pause = match looked {
                Ok(Ok(delivery)) if delivery.total() > 0 => continue,
                Ok(Ok(_)) => jitter::about(POLL_EVERY),
                Ok(Err(error)) => {
                    metrics::counter!("insightdesk_outbox_errors_total").increment(1);
                    tracing::warn!(error = &error as &dyn std::error::Error, "the outbox failed");
                    jitter::about(OUTBOX_DOWN_PAUSE)
                }
                Err(panic) => {
                    metrics::counter!("insightdesk_outbox_errors_total").increment(1);
                    tracing::error!(reason = panic_text(&*panic), "the outbox panicked");
                    jitter::about(OUTBOX_DOWN_PAUSE)
                }
            };
            if self.is_stopping() {
                break;
            }
            let _ = tokio::time::timeout(pause, woken).await;
        }
    }

    /// Makes [`Relay::run`] end after the events that it has begun. The others are given back.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.wake_up.notify_one();
    }

    /// Claims batches until there is nothing more to claim now; for tests, and before a planned end.
    ///
    /// # Errors
    /// When the outbox fails.
    pub async fn drain(&self) -> Result<Delivery, PortError> {
        let mut sum = Delivery::default();
        loop {
            let batch = self.run_once().await?;
            sum.add(batch);
            if batch.total() == 0 {
                return Ok(sum);
            }
        }
    }

    /// Claims one batch and deals with it.
    ///
    /// # Errors
    /// When the outbox fails; events already handed over may then come again.
    pub async fn run_once(&self) -> Result<Delivery, PortError> {
        let claim = Claim {
            now: self.clock.now(),
            lease: self.lease(),
            batch_max: BATCH_EVENTS_MAX,
        };
        let claimed = self.outbox.claim(claim).await?;
        if claimed.is_empty() {
            return Ok(Delivery::default());
        }
        let deadline = Instant::now() + BATCH_TIME_MAX;
        let groups = by_aggregate(claimed)
            .into_iter()
            .map(|group| self.deal_with_group(group, deadline));
        let mut groups = stream::iter(groups).buffer_unordered(AGGREGATES_AT_ONCE_MAX);
        let mut sum = Delivery::default();
        let mut failed = None;
        while let Some(outcome) = groups.next().await {
            match outcome {
                Ok(delivery) => sum.add(delivery),
                Err(error) => failed = Some(error),
            }
        }
        metrics::counter!("insightdesk_outbox_delivered_total").increment(sum.delivered);
        metrics::counter!("insightdesk_outbox_postponed_total").increment(sum.postponed);
        metrics::counter!("insightdesk_outbox_buried_total").increment(sum.buried);
        failed.map_or(Ok(sum), Err)
    }

    /// Deals with events of one aggregate, in their order; the first that has to wait holds back those behind it.
    async fn deal_with_group(
        &self,
        group: Vec<ClaimedEvent>,
        deadline: Instant,
    ) -> Result<Delivery, PortError> {
        let mut delivery = Delivery::default();
        let mut settled = Vec::new();
        let mut group = group.into_iter();
        let mut released_because = None;
        for claimed in group.by_ref() {
            if self.is_stopping() || Instant::now() >= deadline {
                self.release(claimed.id, "not begun in time").await?;
                delivery.released += 1;
                released_because = Some("not begun in time");
                break;
            }
            match self.hand_over(&claimed).await {
                Verdict::Settle => {
                    delivery.delivered += 1;
                    settled.push(claimed.id);
                }
                Verdict::Postpone(reason) => {
                    let not_before = self.clock.now() + back_off(claimed.attempts);
                    log_failure(&claimed, "postponed", &reason);
                    self.outbox.postpone(claimed.id, not_before, &reason).await?;
                    delivery.postponed += 1;
                    released_because = Some("behind an event that failed");
                    break;
                }
                Verdict::Bury(reason) => {
                    log_failure(&claimed, "given up", &reason);
                    self.outbox.bury(claimed.id, &reason).await?;
                    delivery.buried += 1;
                }
            }
        }
        if !settled.is_empty() {
            self.outbox.settle(&settled).await?;
        }
        if let Some(reason) = released_because {
            for behind in group {
                self.release(behind.id, reason).await?;
                delivery.released += 1;
            }
        }
        Ok(delivery)
    }

    /// Hands an event to every subscriber, also to those after one that failed: each has its own receipts.
    async fn hand_over(&self, claimed: &ClaimedEvent) -> Verdict {
        let last_try = claimed.attempts >= ATTEMPTS_MAX;
        let retry = |reason: String| {
            if last_try {
                Verdict::Bury(reason)
            } else {
                Verdict::Postpone(reason)
            }
        };
        let event = match &claimed.event {
            Ok(event) => event,
            // Perhaps a newer node wrote it, and reads it at the next try.
            Err(error) => return retry(format!("cannot be read: {}", chain(error))),
        };
        let mut verdict = Verdict::Settle;
        for subscriber in &self.subscribers {
            let reason = match handle(&**subscriber, event).await {
                Ok(()) => continue,
                Err(Failed::Passing(reason)) => {
                    verdict = retry(format!("{}: {reason}", subscriber.name()));
                    continue;
                }
                Err(Failed::ForGood(reason)) => format!("{}: {reason}", subscriber.name()),
            };
            // One that may still succeed comes first: giving up can wait.
            if !matches!(verdict, Verdict::Postpone(_)) {
                verdict = Verdict::Bury(reason);
            }
        }
        verdict
    }

    /// How long claimed events belong to this relay: longer than it can take to deal with them.
    fn lease(&self) -> Duration {
        let subscribers = u32::try_from(self.subscribers.len()).unwrap_or(u32::MAX);
        BATCH_TIME_MAX + HANDLE_TIME_MAX.saturating_mul(subscribers) + Duration::from_secs(10)
    }

    async fn release(&self, event: EventId, reason: &str) -> Result<(), PortError> {
        self.outbox.postpone(event, self.clock.now(), reason).await
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

enum Failed {
    Passing(String),
    ForGood(String),
}

async fn handle(subscriber: &dyn Subscriber, event: &Event) -> Result<(), Failed> {
    let work = AssertUnwindSafe(subscriber.handle(event)).catch_unwind();
    match tokio::time::timeout(HANDLE_TIME_MAX, work).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error @ HandleError::Retry(_)))) => Err(Failed::Passing(chain(&error))),
        Ok(Ok(Err(HandleError::GiveUp(reason)))) => Err(Failed::ForGood(reason)),
        Ok(Err(panic)) => Err(Failed::Passing(format!("panicked: {}", panic_text(&*panic)))),
        Err(_) => Err(Failed::Passing(format!(
            "took longer than {} s",
            HANDLE_TIME_MAX.as_secs()
        ))),
    }
}

/// Splits a batch by aggregate, each part in its order.
fn by_aggregate(claimed: Vec<ClaimedEvent>) -> Vec<Vec<ClaimedEvent>> {
    let mut groups: Vec<(Uuid, Vec<ClaimedEvent>)> = Vec::new();
    for claimed in claimed {
        match groups.iter_mut().find(|(known, _)| *known == claimed.aggregate) {
            Some((_, group)) => group.push(claimed),
            None => groups.push((claimed.aggregate, vec![claimed])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// The pause before the next try of an event that was tried `attempts` times.
fn back_off(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(20);
    let pause = BACK_OFF_MIN.saturating_mul(1 << doublings).min(BACK_OFF_MAX);
    TimeDelta::from_std(jitter::about(pause)).unwrap_or(TimeDelta::MAX)
}

fn log_failure(claimed: &ClaimedEvent, what: &str, reason: &str) {
    tracing::warn!(event = %claimed.id, attempts = claimed.attempts, reason, "an event is {what}");
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
