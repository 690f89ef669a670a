//! Random waits, so that those who met once do not meet again at once.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

/// A random time from `least` to `most`.
pub(crate) fn between(least: Duration, most: Duration) -> Duration {
    let spread = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
    // Every `RandomState` has keys of its own.
    let random = RandomState::new().hash_one(spread);
    least + Duration::from_micros(random % spread.saturating_add(1).max(1))
}
