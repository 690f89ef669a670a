//! How often articles are read, counted without a row that every reader waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use kernel::PortError;

use crate::article::ArticleId;
use crate::port::ArticleStore;

/// The most articles whose views wait to be stored; those of others are not counted until then.
const WAITING_MAX: usize = 50_000;

/// How long views wait for being stored, while articles are read.
const WAIT_MAX: TimeDelta = TimeDelta::seconds(10);

#[derive(Debug, Default)]
struct Waiting {
    counts: HashMap<ArticleId, u32>,
    /// When the first of them was noted.
    since: Option<DateTime<Utc>>,
}

/// Counts the views of articles, and stores them from time to time. What was counted since the last time is lost when a node is
/// killed.
#[derive(Debug, Default)]
pub struct ViewCounter(Mutex<Waiting>);

impl ViewCounter {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an article was read; gives whether it is time to store what was noted.
    pub fn note(&self, article: ArticleId, now: DateTime<Utc>) -> bool {
        let mut waiting = self.lock();
        if waiting.counts.len() < WAITING_MAX || waiting.counts.contains_key(&article) {
            let count = waiting.counts.entry(article).or_default();
            *count = count.saturating_add(1);
        }
        now - *waiting.since.get_or_insert(now) >= WAIT_MAX
    }

    /// Stores what was noted; gives the number of articles. What could not be stored is kept for the next time.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn flush(&self, store: &Arc<dyn ArticleStore>) -> Result<u64, PortError> {
        let Waiting { counts: taken, .. } = std::mem::take(&mut *self.lock());
        if taken.is_empty() {
            return Ok(0);
        }
        let mut views: Vec<(ArticleId, u32)> = taken.into_iter().collect();
        views.sort_unstable_by_key(|(article, _)| article.0);
        match store.add_views(&views).await {
            Ok(()) => Ok(views.len() as u64),
            Err(error) => {
                let mut waiting = self.lock();
                for (article, count) in views {
                    let kept = waiting.counts.entry(article).or_default();
                    *kept = kept.saturating_add(count);
                }
                Err(error)
            }
        }
    }
}
