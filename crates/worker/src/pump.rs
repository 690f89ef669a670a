//! Pumps: work that comes in pieces, each of which takes its time, such as calls to the outside.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kernel::failure::BoxError;
use tokio::task::{JoinError, JoinSet};

use crate::jitter;
use crate::relay::panic_text;

/// How long a claim may take.
const CLAIM_TIME_MAX: Duration = Duration::from_secs(30);
/// The pause after a claim failed.
const FAILED_PAUSE: Duration = Duration::from_secs(2);

/// A piece of work, which must end within a bound of its own.
pub type Piece = BoxFuture<'static, Result<(), BoxError>>;

type Claim = Box<dyn Fn(usize) -> BoxFuture<'static, Result<Vec<Piece>, BoxError>> + Send + Sync>;

/// Claims pieces of work and does as many of them at once as there is room for: a slow one holds up no other.
pub struct Pump {
    name: &'static str,
    every: Duration,
    at_once: usize,
    claim: Claim,
}

impl Pump {
    /// The pump `name`, which looks for work every `every`, give or take a fifth, and whenever a piece is done. `claim` takes
    /// up to so many pieces.
    pub fn new<W, F, E>(name: &'static str, every: Duration, at_once: usize, claim: W) -> Self
    where
        W: Fn(usize) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Vec<Piece>, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self {
            name,
            every,
            at_once,
            claim: Box::new(move |room| claim(room).map(|taken| taken.map_err(Into::into)).boxed()),
        }
    }

    /// Works for ever. Pieces that are under way when it is dropped are cut off.
    pub(crate) async fn run(self) {
        let mut under_way: JoinSet<Result<(), BoxError>> = JoinSet::new();
        loop {
            let room = self.at_once.saturating_sub(under_way.len());
            let pause = match self.claimed(room).await {
                Ok(pieces) if pieces.is_empty() => jitter::about(self.every),
                Ok(pieces) => {
                    for piece in pieces {
                        under_way.spawn(piece);
                    }
                    continue;
                }
                Err(error) => {
                    self.failed(&*error, "work could not be claimed");
                    jitter::about(FAILED_PAUSE)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(done) = under_way.join_next() => self.note(done),
            }
            while let Some(done) = under_way.try_join_next() {
                self.note(done);
            }
        }
    }

    async fn claimed(&self, room: usize) -> Result<Vec<Piece>, BoxError> {
        if room == 0 {
            return Ok(Vec::new());
        }
        let claim = AssertUnwindSafe((self.claim)(room)).catch_unwind();
        match tokio::time::timeout(CLAIM_TIME_MAX, claim).await {
            Ok(Ok(pieces)) => pieces,
            Ok(Err(panic)) => Err(format!("panicked: {}", panic_text(&*panic)).into()),
            Err(_) => Err(format!("took longer than {} s", CLAIM_TIME_MAX.as_secs()).into()),
        }
    }

    fn note(&self, done: Result<Result<(), BoxError>, JoinError>) {
        match done {
            Ok(Ok(())) => metrics::counter!("insightdesk_pump_done_total", "pump" => self.name).increment(1),
            Ok(Err(error)) => self.failed(&*error, "a piece of work failed"),
            Err(error) => self.failed(&error, "a piece of work failed"),
        }
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static), what: &'static str) {
        metrics::counter!("insightdesk_pump_errors_total", "pump" => self.name).increment(1);
        tracing::warn!(pump = self.name, error, "{what}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Default)]
    struct State {
        left: AtomicUsize,
        running: AtomicUsize,
        most: AtomicUsize,
        done: AtomicUsize,
        panics: Mutex<bool>,
    }

    /// A pump over `left` pieces of a second each, three at once; every fifth panics.
    fn pump(state: &Arc<State>) -> Pump {
        let state = Arc::clone(state);
        Pump::new("test", Duration::from_secs(60), 3, move |room| {
            let state = Arc::clone(&state);
            async move {
                if std::mem::take(&mut *state.panics.lock().unwrap()) {
                    panic!("oh");
                }
                let taken = state.left.load(Ordering::Relaxed).min(room);
                let left = state.left.fetch_sub(taken, Ordering::Relaxed);
                let piece = |number: usize| -> Piece {
                    let state = Arc::clone(&state);
                    Box::pin(async move {
                        let running = state.running.fetch_add(1, Ordering::Relaxed) + 1;
                        state.most.fetch_max(running, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        state.running.fetch_sub(1, Ordering::Relaxed);
                        state.done.fetch_add(1, Ordering::Relaxed);
                        assert!(!number.is_multiple_of(5), "a fifth");
                        Ok(())
                    })
                };
                Ok::<_, BoxError>((0..taken).map(|index| piece(left - index)).collect())
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_so_many_at_once_and_goes_on_as_there_is_room() {
        let state = Arc::new(State::default());
        state.left.store(10, Ordering::Relaxed);
        let watch = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(state.done.load(Ordering::Relaxed), 10);
            assert_eq!(state.most.load(Ordering::Relaxed), 3);
            // What comes later is found, also after a claim that panicked.
            *state.panics.lock().unwrap() = true;
            state.left.store(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(80)).await;
            assert_eq!(state.done.load(Ordering::Relaxed), 11);
        };
        tokio::select! {
            () = pump(&state).run() => {}
            () = watch => {}
        }
    }
}
