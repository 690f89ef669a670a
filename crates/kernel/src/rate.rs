//! How often something may be done: rates, and the port that counts for all nodes together.
//!
//! The count is that of the generic cell rate algorithm (GCRA): a bucket that holds [`Rate::requests`] tokens and
//! fills evenly, a whole bucket in [`Rate::per`]. Only one time is stored for each bucket.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

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
