//! Counting in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use kernel::{Bucket, Clock, PortError, Rate, RateLimits, Taken};

/// Buckets in memory, by a clock that a test moves.
pub struct MemoryRates {
    clock: Arc<dyn Clock>,
    full_at: Mutex<HashMap<Bucket, DateTime<Utc>>>,
}

impl MemoryRates {
    /// Full buckets.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            full_at: Mutex::default(),
        }
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[async_trait]
impl RateLimits for MemoryRates {
    async fn take(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<Taken, PortError> {
        let now = self.clock.now();
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.get(&bucket).copied().unwrap_or(now).max(now);
        let after = full_at + delta(rate.step() * count);
        let room = delta(rate.per) - (after - now);
        if room < TimeDelta::zero() {
            let retry_after = (-room).to_std().unwrap_or_default();
            return Ok(Taken::Refused { retry_after });
        }
        buckets.insert(bucket, after);
        let left = room.to_std().unwrap_or_default().as_nanos() / rate.step().as_nanos().max(1);
        Ok(Taken::Granted {
            left: u32::try_from(left).unwrap_or(u32::MAX),
        })
    }

    async fn give_back(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<(), PortError> {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = buckets.get_mut(&bucket) {
            *full_at -= delta(rate.step() * count);
        }
        Ok(())
    }
}
