//! The wall clock and the source of ids: the only places that may ask the machine for either.

use chrono::{DateTime, Utc};
use kernel::clock::to_database_precision;
use kernel::{Clock, IdSource};
use uuid::Uuid;

/// Tells the machine's time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else asks"
    )]
    fn now(&self) -> DateTime<Utc> {
        to_database_precision(Utc::now())
    }
}

/// Gives UUIDs of version 7: sorted by time, and within a millisecond by a counter.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidIds;

impl IdSource for UuidIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the source that everything else asks"
    )]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_the_precision_of_the_database() {
        for _ in 0..100 {
            assert_eq!(SystemClock.now().timestamp_subsec_nanos() % 1_000, 0);
        }
    }

    #[test]
    fn ids_rise_and_never_repeat() {
        let ids: Vec<Uuid> = (0..10_000).map(|_| UuidIds.next()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
