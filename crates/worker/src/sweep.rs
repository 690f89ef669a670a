//! Sweeps: what is to be done from time to time, on any number of nodes.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kernel::failure::BoxError;

use crate::jitter;
use crate::relay::panic_text;

/// How often a sweep is repeated at once while it finds something to do.
const ROUNDS_MAX: u32 = 100;
/// How long one round may take.
const ROUND_TIME_MAX: Duration = Duration::from_secs(60);

type Work = Box<dyn Fn() -> BoxFuture<'static, Result<u64, BoxError>> + Send + Sync>;

/// Work that is done again and again. A round does a bounded part of it and gives the number of things it did; while
/// that is not none, the next round follows at once. It must be idempotent: other nodes do the same.
pub struct Sweep {
    name: &'static str,
    every: Duration,
    work: Work,
}

impl Sweep {
    /// The sweep `name`, begun every `every`, give or take a fifth. `work` does one round.
    pub fn new<W, F, E>(name: &'static str, every: Duration, work: W) -> Self
    where
        W: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<u64, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self {
            name,
            every,
            work: Box::new(move || work().map(|done| done.map_err(Into::into)).boxed()),
        }
    }

    /// Works for ever, beginning after a random part of the interval.
    pub(crate) async fn run(&self) {
        let mut pause = jitter::about(self.every) / 4;
        loop {
            tokio::time::sleep(pause).await;
            self.run_once().await;
            pause = jitter::about(self.every);
        }
    }

    /// Does everything there is to do, within bounds; gives the number of things done. A failure ends it until the
    /// next time.
    pub async fn run_once(&self) -> u64 {
        let mut sum = 0;
        for _ in 0..ROUNDS_MAX {
            match self.round().await {
                Ok(0) => break,
                Ok(done) => sum += done,
                Err(error) => {
                    metrics::counter!("insightdesk_sweep_errors_total", "sweep" => self.name).increment(1);
                    tracing::warn!(
                        sweep = self.name,
                        error = &*error as &dyn std::error::Error,
                        "a sweep failed"
                    );
                    break;
                }
            }
        }
        metrics::counter!("insightdesk_sweep_done_total", "sweep" => self.name).increment(sum);
        sum
    }

    async fn round(&self) -> Result<u64, BoxError> {
        let work = AssertUnwindSafe((self.work)()).catch_unwind();
        match tokio::time::timeout(ROUND_TIME_MAX, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => Err(format!("panicked: {}", panic_text(&*panic)).into()),
            Err(_) => Err(format!("took longer than {} s", ROUND_TIME_MAX.as_secs()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A sweep over `left` things, three in a round.
    fn sweep(left: &Arc<AtomicU64>) -> Sweep {
        let left = Arc::clone(left);
        Sweep::new("test", Duration::from_secs(60), move || {
            let left = Arc::clone(&left);
            async move {
                let done = left.load(Ordering::Relaxed).min(3);
                left.fetch_sub(done, Ordering::Relaxed);
                Ok::<u64, BoxError>(done)
            }
        })
    }

    #[tokio::test]
    async fn it_goes_on_until_nothing_is_left() {
        let left = Arc::new(AtomicU64::new(10));
        assert_eq!(sweep(&left).run_once().await, 10);
        assert_eq!(sweep(&left).run_once().await, 0);
    }

    #[tokio::test]
    async fn it_never_goes_on_for_ever() {
        let left = Arc::new(AtomicU64::new(1_000_000));
        assert_eq!(sweep(&left).run_once().await, 3 * u64::from(ROUNDS_MAX));
    }

    #[tokio::test]
    async fn a_failure_or_a_panic_ends_it_until_the_next_time() {
        let failing = Sweep::new("test", Duration::ZERO, || async {
            Err::<u64, BoxError>("no".into())
        });
        assert_eq!(failing.run_once().await, 0);
        let panicking = Sweep::new("test", Duration::ZERO, || async {
            panic!("oh") as Result<u64, BoxError>
        });
        assert_eq!(panicking.run_once().await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_repeated_after_its_interval() {
        let left = Arc::new(AtomicU64::new(3));
        let sweep = sweep(&left);
        let watch = async {
            for _ in 0..3 {
                left.store(3, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(73)).await;
                assert_eq!(left.load(Ordering::Relaxed), 0);
            }
        };
        tokio::select! {
            () = sweep.run() => {}
            () = watch => {}
        }
    }
}
