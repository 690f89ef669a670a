//! What is known of rules and endpoints, so that not every event asks the store for them.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use kernel::{Clock, PortError};

use super::fresh::{Fresh, Look};
use crate::engine::RuleSet;
use crate::port::{CommitError, Revision, RuleCommit, RuleStore};
use crate::reference::EndpointId;
use crate::rule::{RuleId, RuleRow};
use crate::webhook::{Endpoint, EndpointCommit, EndpointStore};

/// For how long a node runs rules, and calls endpoints, before it asks whether they changed. A change through this store is
/// known at once.
pub const RULES_KNOWN_FOR: TimeDelta = TimeDelta::seconds(1);

/// A store of rules that remembers them, ready to run.
pub struct KnownRules {
    store: Arc<dyn RuleStore>,
    known: Fresh<(Revision, Arc<RuleSet>)>,
}

impl KnownRules {
    /// Those of this store.
    #[must_use]
    pub fn new(store: Arc<dyn RuleStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            known: Fresh::new(clock, RULES_KNOWN_FOR),
        }
    }

    /// Forgets which rules there are.
    pub fn forget(&self) {
        self.known.forget();
    }

    /// The rules as they run now; at most [`RULES_KNOWN_FOR`] old.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn present(&self) -> Result<Arc<RuleSet>, PortError> {
        let (read, asked) = match self.known.look() {
            Look::Fresh((_, set)) => return Ok(set),
            Look::Stale(read, asked) => (read, asked),
        };
        let revision = read.as_ref().map(|(revision, _)| *revision);
        let changed = self.store.changed_since(revision).await?;
        let (revision, set) = match (changed, read) {
            (Some((revision, rows)), _) => (revision, Arc::new(RuleSet::read(&rows))),
            (None, Some(read)) => read,
            (None, None) => (Revision::default(), Arc::default()),
        };
        self.known.keep(&asked, (revision, Arc::clone(&set)));
        Ok(set)
    }
}

/// A store of webhook endpoints that remembers them.
pub struct KnownEndpoints {
    store: Arc<dyn EndpointStore>,
    known: Fresh<Arc<Vec<Endpoint>>>,
}

impl KnownEndpoints {
    /// Those of this store.
    #[must_use]
    pub fn new(store: Arc<dyn EndpointStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            known: Fresh::new(clock, RULES_KNOWN_FOR),
        }
    }

    /// The endpoints; at most [`RULES_KNOWN_FOR`] old.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn present(&self) -> Result<Arc<Vec<Endpoint>>, PortError> {
        match self.known.look() {
            Look::Fresh(endpoints) => Ok(endpoints),
            Look::Stale(_, asked) => {
                let endpoints = Arc::new(self.store.endpoints().await?);
                self.known.keep(&asked, Arc::clone(&endpoints));
                Ok(endpoints)
            }
        }
    }
}

#[async_trait]
impl EndpointStore for KnownEndpoints {
    async fn endpoint(&self, id: EndpointId) -> Result<Option<Endpoint>, PortError> {
        self.store.endpoint(id).await
    }

    async fn endpoints(&self) -> Result<Vec<Endpoint>, PortError> {
        self.store.endpoints().await
    }

    async fn commit(&self, commit: EndpointCommit) -> Result<(), CommitError> {
        let done = self.store.commit(commit).await;
        self.known.forget();
        done
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
