//! Answers whose time does not tell what they keep back.
//!
//! The services do the same work whether or not an address has an account; what still differs (a row more, a page that
//! had to be read) is a fraction of a millisecond, and enough to be told by many tries. So such an answer waits for the
//! next of a row of fixed moments, counted from when its work began.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The time from one moment to the next: several times what hashing a password takes.
const STEP: Duration = Duration::from_millis(100);

/// Does the work and waits for the next moment, whatever came of it.
pub(crate) async fn evenly<T>(work: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let outcome = work.await;
    wait(begin).await;
    outcome
}

/// Does the work and, when it is refused, waits for the next moment.
pub(crate) async fn evenly_refused<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let begin = Instant::now();
    let outcome = work.await;
    if outcome.is_err() {
        wait(begin).await;
    }
    outcome
}

async fn wait(begin: Instant) {
    let steps = begin.elapsed().as_nanos() / STEP.as_nanos() + 1;
    sleep_until(begin + STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// How long it takes until the answer of a work that takes so long.
    async fn took(work: Duration, ok: bool, only_refused: bool) -> u128 {
        let begin = Instant::now();
        let work = async {
            sleep(work).await;
            if ok { Ok(()) } else { Err(()) }
        };
        let outcome = if only_refused {
            evenly_refused(work).await
        } else {
            evenly(work).await
        };
        assert_eq!(outcome.is_ok(), ok);
        begin.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn answers_leave_at_fixed_moments_whatever_their_work_took() {
        for (work_ms, answer_ms) in [(0, 100), (1, 100), (99, 100), (100, 200), (101, 200), (730, 800)] {
            for ok in [true, false] {
                assert_eq!(took(Duration::from_millis(work_ms), ok, false).await, answer_ms);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_only_a_refusal_must_not_tell_a_success_leaves_at_once() {
        assert_eq!(took(Duration::from_millis(7), true, true).await, 7);
        assert_eq!(took(Duration::from_millis(7), false, true).await, 100);
    }
}
