//! When to stop: at SIGTERM or SIGINT, or when something of the server ends that should not. A second signal ends the
//! process at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Tells everyone who listens that it is time to stop.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Sender<bool>);

impl Stop {
    /// One that nobody has asked for yet.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// One that signals ask for, from now on.
    #[expect(clippy::disallowed_methods, reason = "it listens until the process ends")]
    pub(crate) fn at_signals() -> io::Result<Self> {
        let stop = Self::new();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(listen(stop.clone(), terminate, interrupt));
        Ok(stop)
    }

    /// Asks everyone to stop.
    pub(crate) fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Ends once it was asked for.
    pub(crate) fn asked(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut asked = self.0.subscribe();
        // The sender may go only after someone asked.
        async move {
            let _ = asked.wait_for(|asked| *asked).await;
        }
    }
}

async fn listen(stop: Stop, mut terminate: Signal, mut interrupt: Signal) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => SignalKind::terminate(),
            _ = interrupt.recv() => SignalKind::interrupt(),
        }
    };
    next().await;
    tracing::info!("stopping; another signal ends the process at once");
    stop.ask();
    let second = next().await;
    // The local PostgreSQL is left running; the next start takes it over.
    std::process::exit(128 + second.as_raw_value());
}
