//! All background work of a process, begun and ended together.

use std::sync::Arc;
use std::time::Duration;

use events::Outbox;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use crate::pump::Pump;
use crate::relay::Relay;
use crate::sweep::Sweep;

/// How long the work that was begun may take to end.
const STOP_TIME_MAX: Duration = Duration::from_secs(8);
/// How often the outbox's backlog is measured.
const BACKLOG_EVERY: Duration = Duration::from_secs(15);

/// The background work of a process.
#[must_use = "a worker works when it is run"]
#[derive(Default)]
pub struct Worker {
    relay: Option<Arc<Relay>>,
    sweeps: Vec<Sweep>,
    companions: Vec<BoxFuture<'static, ()>>,
}

impl Worker {
    /// A worker with nothing to do.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also relays events.
    pub fn with_relay(mut self, relay: Relay) -> Self {
        self.relay = Some(Arc::new(relay));
        self
    }

    /// Also does `sweep`.
    pub fn with_sweep(mut self, sweep: Sweep) -> Self {
        self.sweeps.push(sweep);
        self
    }

    /// Also works `pump`.
    pub fn with_pump(self, pump: Pump) -> Self {
        self.with_companion(pump.run())
    }

    /// Also measures how much waits in `outbox`.
    pub fn with_backlog_of(self, outbox: Arc<dyn Outbox>) -> Self {
        self.with_sweep(Sweep::new("backlog", BACKLOG_EVERY, move || {
            let outbox = Arc::clone(&outbox);
            async move {
                let backlog = outbox.backlog().await?;
                metrics::gauge!("insightdesk_outbox_waiting").set(backlog.waiting as f64);
                metrics::gauge!("insightdesk_outbox_buried").set(backlog.buried as f64);
                Ok::<u64, kernel::PortError>(0)
            }
        }))
    }

    /// Also drives `companion` for as long as the worker runs, such as the task that passes wake-ups on.
    pub fn with_companion(mut self, companion: impl Future<Output = ()> + Send + 'static) -> Self {
        self.companions.push(Box::pin(companion));
        self
    }

    /// Works until `shutdown` is ready, then lets what was begun come to its end, within 8 seconds. What is not done by
    /// then is done again by another node, or after the next start.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            relay,
            sweeps,
            companions,
        } = self;
        let mut ends_by_itself = JoinSet::new();
        let mut runs_for_ever = JoinSet::new();
        if let Some(relay) = &relay {
            let relay = Arc::clone(relay);
            ends_by_itself.spawn(async move { relay.run().await });
        }
        for sweep in sweeps {
            // Each round is a statement or a commit of its own, so that a sweep can be cut off anywhere.
            runs_for_ever.spawn(async move { sweep.run().await });
        }
        for companion in companions {
            runs_for_ever.spawn(companion);
        }
        shutdown.await;
        if let Some(relay) = &relay {
            relay.stop();
        }
        let finished = tokio::time::timeout(STOP_TIME_MAX, async {
            while ends_by_itself.join_next().await.is_some() {}
        });
        if finished.await.is_err() {
            tracing::warn!("background work did not end in time; its leases run out by themselves");
        }
        runs_for_ever.shutdown().await;
        ends_by_itself.shutdown().await;
    }
}
