//! A value that is read anew when it is too old.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use kernel::Clock;

/// What was read of a store, and when.
pub(crate) struct Fresh<T> {
    clock: Arc<dyn Clock>,
    life: TimeDelta,
    held: Mutex<Held<T>>,
}

struct Held<T> {
    read: Option<(DateTime<Utc>, T)>,
    /// How often it was forgotten: what was asked before is not kept after.
    forgotten: u64,
}

/// A look at what is held.
pub(crate) enum Look<T> {
    /// It is young enough.
    Fresh(T),
    /// It has to be read; what it was before, if it was not forgotten.
    Stale(Option<T>, Asked),
}

/// When a value was asked for.
pub(crate) struct Asked {
    at: DateTime<Utc>,
    forgotten: u64,
}

impl<T: Clone> Fresh<T> {
    /// Nothing yet; what is put in is fresh for `life`.
    pub(crate) fn new(clock: Arc<dyn Clock>, life: TimeDelta) -> Self {
        Self {
            clock,
            life,
            held: Mutex::new(Held {
                read: None,
                forgotten: 0,
            }),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is.
    pub(crate) fn look(&self) -> Look<T> {
        let now = self.clock.now();
        let held = self.held();
        let asked = Asked {
            at: now,
            forgotten: held.forgotten,
        };
        match &held.read {
            Some((at, value)) if (TimeDelta::zero()..self.life).contains(&(now - *at)) => {
                Look::Fresh(value.clone())
            }
            Some((_, value)) => Look::Stale(Some(value.clone()), asked),
            None => Look::Stale(None, asked),
        }
    }

    /// Keeps what was read, unless it was to be forgotten meanwhile.
    pub(crate) fn keep(&self, asked: &Asked, value: T) {
        let mut held = self.held();
        if held.forgotten == asked.forgotten {
            held.read = Some((asked.at, value));
        }
    }

    /// Forgets what was read, and what is being read.
    pub(crate) fn forget(&self) {
        let mut held = self.held();
        held.read = None;
        held.forgotten += 1;
    }
}
