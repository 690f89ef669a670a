//! Where one crate's port is answered by another crate, neither of which knows the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use http::app::Health;
use kernel::{Bucket, Clock, PortError, Rate, RateLimits, Taken};
use postgres::{Database, PgFacts};
use ticketing::Markup;

use crate::facts::DeskFacts;

/// Ticketing's Markdown, by the markdown crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Markdown;

impl Markup for Markdown {
    fn to_html(&self, markdown: &str) -> String {
        markdown::render(markdown)
    }
}

/// The API's question whether the database answers.
#[derive(Debug, Clone)]
pub struct DatabaseHealth(pub Database);

#[async_trait]
impl Health for DatabaseHealth {
    async fn ping(&self) -> Result<(), PortError> {
        self.0.ping().await
    }
}

#[async_trait]
impl DeskFacts for PgFacts {
    async fn read(&self, name: &str) -> Result<Option<String>, PortError> {
        PgFacts::read(self, name).await
    }

    async fn state(&self, name: &str, value: &str) -> Result<String, PortError> {
        PgFacts::state(self, name, value).await
    }

    async fn replace(&self, name: &str, from: &str, to: &str) -> Result<Option<String>, PortError> {
        PgFacts::replace(self, name, from, to).await
    }
}

/// Counts for this process alone.
pub struct LocalRates {
    clock: Arc<dyn Clock>,
    full_at: Mutex<HashMap<Bucket, DateTime<Utc>>>,
}

impl LocalRates {
    /// The most buckets that are held before full ones are forgotten.
    const BUCKETS_MAX: usize = 100_000;

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
impl RateLimits for LocalRates {
    async fn take(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<Taken, PortError> {
        let now = self.clock.now();
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= Self::BUCKETS_MAX {
            buckets.retain(|_, full_at| *full_at > now);
        }
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
