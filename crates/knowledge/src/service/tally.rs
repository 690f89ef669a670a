//! What is counted without a row that everyone waits for.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// The most things whose counts wait to be stored; others are not counted until then.
const WAITING_MAX: usize = 50_000;

/// How long counts wait for being stored, while something is counted.
const WAIT_MAX: TimeDelta = TimeDelta::seconds(10);

#[derive(Debug)]
struct Waiting<T> {
    counts: HashMap<T, u32>,
    /// When the first of them was noted.
    since: Option<DateTime<Utc>>,
}

/// Counts things, to be stored from time to time. What was counted since the last time is lost when a node is killed.
#[derive(Debug)]
pub(super) struct Tally<T>(Mutex<Waiting<T>>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            counts: HashMap::new(),
            since: None,
        }
    }
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Eq + Hash + Ord> Tally<T> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a thing; gives whether it is time to store what was counted.
    pub(super) fn note(&self, thing: T, now: DateTime<Utc>) -> bool {
        let mut waiting = self.lock();
        if waiting.counts.len() < WAITING_MAX || waiting.counts.contains_key(&thing) {
            let count = waiting.counts.entry(thing).or_default();
            *count = count.saturating_add(1);
        }
        now - *waiting.since.get_or_insert(now) >= WAIT_MAX
    }

    /// What was counted, in the things' order; from now on it is counted anew.
    pub(super) fn take(&self) -> Vec<(T, u32)> {
        let taken = std::mem::take(&mut *self.lock());
        let mut counts: Vec<(T, u32)> = taken.counts.into_iter().collect();
        counts.sort_unstable();
        counts
    }

    /// Counts what was taken and could not be stored, for the next time.
    pub(super) fn put_back(&self, counts: Vec<(T, u32)>) {
        let mut waiting = self.lock();
        for (thing, count) in counts {
            let kept = waiting.counts.entry(thing).or_default();
            *kept = kept.saturating_add(count);
        }
    }
}
