//! What is known of rules, so that not every event asks the store for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use kernel::{Clock, PortError};

use crate::engine::RuleSet;
use crate::port::{CommitError, Revision, RuleCommit, RuleStore};
use crate::rule::{RuleId, RuleRow};

/// For how long a node runs rules before it asks whether they changed. A change through this store is known at once.
pub const RULES_KNOWN_FOR: TimeDelta = TimeDelta::seconds(1);

#[derive(Default)]
struct Known {
    read: Option<Read>,
    /// How often it was forgotten: what was asked before is not kept after.
    forgotten: u64,
}

#[derive(Clone)]
struct Read {
    revision: Revision,
    asked_at: DateTime<Utc>,
    set: Arc<RuleSet>,
}

/// A store of rules that remembers them, ready to run.
pub struct KnownRules {
    store: Arc<dyn RuleStore>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

impl KnownRules {
    /// Those of this store.
    #[must_use]
    pub fn new(store: Arc<dyn RuleStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets which rules there are.
    pub fn forget(&self) {
        let mut known = self.known();
        known.read = None;
        known.forgotten += 1;
    }

    /// The rules as they run now; at most [`RULES_KNOWN_FOR`] old.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn present(&self) -> Result<Arc<RuleSet>, PortError> {
        let now = self.clock.now();
        let (read, forgotten) = {
            let known = self.known();
            (known.read.clone(), known.forgotten)
        };
        if let Some(read) = &read
            && (TimeDelta::zero()..RULES_KNOWN_FOR).contains(&(now - read.asked_at))
        {
            return Ok(Arc::clone(&read.set));
        }
        let revision = read.as_ref().map(|read| read.revision);
        let changed = self.store.changed_since(revision).await?;
        let (revision, set) = match (changed, read) {
            (Some((revision, rows)), _) => (revision, Arc::new(RuleSet::read(&rows))),
            (None, Some(read)) => (read.revision, read.set),
            (None, None) => (Revision::default(), Arc::default()),
        };
        let mut known = self.known();
        if known.forgotten == forgotten {
            known.read = Some(Read {
                revision,
                asked_at: now,
                set: Arc::clone(&set),
            });
        }
        Ok(set)
    }
}

#[async_trait]
impl RuleStore for KnownRules {
    async fn rule(&self, id: RuleId) -> Result<Option<RuleRow>, PortError> {
        self.store.rule(id).await
    }

    async fn rules(&self) -> Result<Vec<RuleRow>, PortError> {
        self.store.rules().await
    }

    async fn changed_since(
        &self,
        known: Option<Revision>,
    ) -> Result<Option<(Revision, Vec<RuleRow>)>, PortError> {
        self.store.changed_since(known).await
    }

    async fn commit(&self, commit: RuleCommit) -> Result<(), CommitError> {
        let done = self.store.commit(commit).await;
        self.forget();
        done
    }
}
