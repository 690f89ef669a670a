//! How often something may be done: rates, and the port that counts for all nodes together.
//!
//! The count is that of the generic cell rate algorithm (GCRA): a bucket that holds [`Rate::requests`] tokens and
//! fills evenly, a whole bucket in [`Rate::per`]. Only one time is stored for each bucket.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;
use crate::failure::PortError;

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number of requests, all of which may come at once.
    pub requests: NonZeroU32,
    /// The time in which they are granted anew.
    pub per: Duration,
}

impl Rate {
    /// `requests` a minute; none at all for 0.
    #[must_use]
    pub fn per_minute(requests: u32) -> Option<Self> {
        Self::new(requests, Duration::from_secs(60))
    }

    /// `requests` in every stretch of `per`; none at all for 0 of either.
    #[must_use]
    pub fn new(requests: u32, per: Duration) -> Option<Self> {
        let requests = NonZeroU32::new(requests).filter(|_| !per.is_zero())?;
        Some(Self { requests, per })
    }

    /// The time in which one request is granted anew.
    #[must_use]
    pub fn step(&self) -> Duration {
        self.per / self.requests.get()
    }
}

/// Who or what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// What is counted, at most 40 characters: `login`, `login-account`.
    pub name: &'static str,
    /// For whom: an address, an account, or a hash of several.
    pub key: [u8; 16],
}

/// What became of a wish for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They were granted.
    Granted {
        /// How many more could be taken at once.
        left: u32,
    },
    /// There were too few, and none was taken.
    Refused {
        /// After so long there are enough.
        retry_after: Duration,
    },
}

/// Counts for every node together. A store may forget a bucket that is full.
#[async_trait]
pub trait RateLimits: Send + Sync {
    /// Takes `count` tokens from a bucket, all or none. Of any number of calls at once, on any nodes, must grant no
    /// more than the bucket holds. A `count` above [`Rate::requests`] is refused.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn take(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<Taken, PortError>;

    /// Gives tokens back that turned out not to be owed; never beyond a full bucket.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn give_back(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<(), PortError>;
}

/// Counts in this process alone: for tests, and for what runs without a database.
pub struct MemoryRateLimits {
    clock: Arc<dyn Clock>,
    full_at: Mutex<HashMap<Bucket, DateTime<Utc>>>,
}

impl MemoryRateLimits {
    /// Full buckets, which fill again by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            full_at: Mutex::default(),
        }
    }

    fn full_at(&self) -> MutexGuard<'_, HashMap<Bucket, DateTime<Utc>>> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryRateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryRateLimits(…)")
    }
}

/// `count` times the time of one token. Of rates that no calendar holds, the longest time there is.
fn time_of(rate: Rate, count: u32) -> TimeDelta {
    TimeDelta::from_std(rate.step().saturating_mul(count)).unwrap_or(TimeDelta::MAX)
}

#[async_trait]
impl RateLimits for MemoryRateLimits {
    async fn take(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<Taken, PortError> {
        if count > rate.requests.get() {
            return Ok(Taken::Refused {
                retry_after: rate.per,
            });
        }
        let now = self.clock.now();
        let mut buckets = self.full_at();
        let before = buckets.get(&bucket).copied().unwrap_or(now).max(now);
        let full_at = before + time_of(rate, count);
        let room = now + time_of(rate, rate.requests.get()) - full_at;
        if room < TimeDelta::zero() {
            let retry_after = (-room).to_std().unwrap_or_default();
            return Ok(Taken::Refused { retry_after });
        }
        buckets.insert(bucket, full_at);
        let steps = room.to_std().unwrap_or_default().as_nanos() / rate.step().as_nanos().max(1);
        let left = u32::try_from(steps).unwrap_or(u32::MAX);
        Ok(Taken::Granted { left })
    }

    async fn give_back(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<(), PortError> {
        if let Some(full_at) = self.full_at().get_mut(&bucket) {
            *full_at -= time_of(rate, count.min(rate.requests.get()));
        }
        Ok(())
    }
}

/// The suite that every [`RateLimits`] must pass. It makes buckets of its own, named by `key`, and asks nothing of how
/// fast time goes by.
///
/// # Panics
/// When a promise is broken.
#[cfg(any(test, feature = "testing"))]
pub async fn rate_limits_contract(limits: &dyn RateLimits, key: [u8; 16]) {
    // A token an hour: none comes back while the suite runs, unless it is given back.
    let hours = |requests: u32| Rate {
        requests: NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN),
        per: Duration::from_secs(3_600) * requests,
    };
    let bucket = |name: &'static str| Bucket { name, key };
    let take = async |bucket: Bucket, rate: Rate, count: u32| match limits.take(bucket, rate, count).await {
        Ok(taken) => taken,
        Err(error) => panic!("the store answers: {error:?}"),
    };
    let give_back = async |bucket: Bucket, rate: Rate, count: u32| {
        if let Err(error) = limits.give_back(bucket, rate, count).await {
            panic!("the store answers: {error:?}");
        }
    };
    let refused = |taken: Taken| matches!(taken, Taken::Refused { .. });

    // One after the other, down to none; then the time until the next.
    let (one_by_one, rate) = (bucket("one-by-one"), hours(3));
    for left in [2, 1, 0] {
        assert_eq!(take(one_by_one, rate, 1).await, Taken::Granted { left });
    }
    match take(one_by_one, rate, 1).await {
        Taken::Refused { retry_after } => {
            assert!(retry_after <= rate.step(), "{retry_after:?}");
            assert!(retry_after > Duration::ZERO, "there is a time to wait");
        }
        Taken::Granted { left } => panic!("a token too many was granted, {left} left"),
    }

    // All or none, and a refusal costs nothing.
    let (several, rate) = (bucket("several"), hours(5));
    assert_eq!(take(several, rate, 3).await, Taken::Granted { left: 2 });
    assert!(refused(take(several, rate, 3).await));
    assert_eq!(take(several, rate, 2).await, Taken::Granted { left: 0 });
    let (small, rate) = (bucket("small"), hours(2));
    assert_eq!(
        take(small, rate, 3).await,
        Taken::Refused {
            retry_after: rate.per
        }
    );
    assert_eq!(take(small, rate, 2).await, Taken::Granted { left: 0 });

    // What is given back can be taken again; a full bucket holds no more for it.
    let (returned, rate) = (bucket("returned"), hours(4));
    assert_eq!(take(returned, rate, 4).await, Taken::Granted { left: 0 });
    give_back(returned, rate, 2).await;
    assert_eq!(take(returned, rate, 1).await, Taken::Granted { left: 1 });
    give_back(returned, rate, 4).await;
    give_back(returned, rate, 4).await;
    assert_eq!(take(returned, rate, 4).await, Taken::Granted { left: 0 });
    give_back(bucket("never-seen"), rate, 4).await;
    assert_eq!(
        take(bucket("never-seen"), rate, 4).await,
        Taken::Granted { left: 0 }
    );

    // Buckets know nothing of one another: neither those of another name nor those of another key.
    let other_key = Bucket {
        name: "one-by-one",
        key: key.map(|byte| byte ^ 0xff),
    };
    assert_eq!(take(other_key, hours(3), 3).await, Taken::Granted { left: 0 });
    assert_eq!(
        take(bucket("another"), hours(3), 3).await,
        Taken::Granted { left: 0 }
    );
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::clock::ManualClock;

    /// What is in memory never makes anyone wait.
    fn done<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn counting_in_memory_keeps_the_contract() {
        let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
        done(rate_limits_contract(&MemoryRateLimits::new(clock), [7; 16]));
    }

    #[test]
    fn tokens_come_back_one_by_one_and_no_more_than_the_bucket_holds() {
        let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
        let limits = MemoryRateLimits::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let rate = Rate::per_minute(6).unwrap();
        let bucket = Bucket {
            name: "b",
            key: [0; 16],
        };
        let take = |count| done(limits.take(bucket, rate, count)).unwrap();
        assert_eq!(take(6), Taken::Granted { left: 0 });
        clock.advance(TimeDelta::seconds(9));
        let retry_after = Duration::from_secs(1);
        assert_eq!(take(1), Taken::Refused { retry_after });
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(take(1), Taken::Granted { left: 0 });
        clock.advance(TimeDelta::days(1));
        assert_eq!(take(1), Taken::Granted { left: 5 });
    }

    #[test]
    fn a_rate_of_nothing_is_none() {
        assert_eq!(Rate::per_minute(0), None);
        assert_eq!(Rate::new(1, Duration::ZERO), None);
    }
}
