//! What is known of policies, so that not every change of a ticket asks the store for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use kernel::{Clock, PortError};

use crate::policy::{PolicyId, PolicyRef, SlaPolicy, Terms};
use crate::port::{PolicyCommit, PolicyCommitError, PolicyStore};

/// How old what is known may be. A change on another node is known here by then, one through this store at once.
const KNOWN_FOR: TimeDelta = TimeDelta::seconds(3);
/// The most terms that are kept at hand; beyond that all are asked for anew.
const TERMS_KEPT: usize = 1_000;

#[derive(Default)]
struct Known {
    policies: Option<(DateTime<Utc>, Arc<Vec<SlaPolicy>>)>,
    terms: HashMap<PolicyRef, Arc<Terms>>,
    /// How often it was forgotten: what was asked before is not kept after.
    forgotten: u64,
}

/// A store of policies that remembers what it read: the policies for three seconds, terms for good, since they never change.
/// Reading a calendar takes longer than computing a deadline by it.
pub struct KnownPolicies {
    store: Arc<dyn PolicyStore>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

impl KnownPolicies {
    /// Those of this store.
    #[must_use]
    pub fn new(store: Arc<dyn PolicyStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets which policies there are.
    pub fn forget(&self) {
        let mut known = self.known();
        known.policies = None;
        known.forgotten += 1;
    }

    /// All policies as they were at most three seconds ago.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no policy.
    pub async fn present(&self) -> Result<Arc<Vec<SlaPolicy>>, PortError> {
        let now = self.clock.now();
        let forgotten = {
            let known = self.known();
            if let Some((at, policies)) = &known.policies
                && (TimeDelta::zero()..KNOWN_FOR).contains(&(now - at))
            {
                return Ok(Arc::clone(policies));
            }
            known.forgotten
        };
        let policies = Arc::new(self.store.policies().await?);
        let mut known = self.known();
        if known.forgotten == forgotten {
            known.policies = Some((now, Arc::clone(&policies)));
        }
        Ok(policies)
    }
}

#[async_trait]
impl PolicyStore for KnownPolicies {
    async fn policy(&self, id: PolicyId) -> Result<Option<SlaPolicy>, PortError> {
        self.store.policy(id).await
    }

    async fn policies(&self) -> Result<Vec<SlaPolicy>, PortError> {
        self.store.policies().await
    }

    async fn terms(&self, policy: PolicyRef) -> Result<Option<Arc<Terms>>, PortError> {
        if let Some(terms) = self.known().terms.get(&policy) {
            return Ok(Some(Arc::clone(terms)));
        }
        let terms = self.store.terms(policy).await?;
        if let Some(terms) = &terms {
            let mut known = self.known();
            if known.terms.len() >= TERMS_KEPT {
                known.terms.clear();
            }
            known.terms.insert(policy, Arc::clone(terms));
        }
        Ok(terms)
    }

    async fn usage(&self, id: PolicyId) -> Result<u64, PortError> {
        self.store.usage(id).await
    }

    async fn commit(&self, commit: PolicyCommit) -> Result<(), PolicyCommitError> {
        let done = self.store.commit(commit).await;
        self.forget();
        done
    }
}
