//! Policies in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kernel::{PortError, Receipt, Version};

use crate::policy::{POLICIES_MAX, PolicyId, PolicyRef, SlaPolicy, Terms};
use crate::port::{PolicyCommit, PolicyCommitError, PolicyEvent, PolicyStore, PolicyWrite};

#[derive(Default, Clone)]
struct State {
    policies: BTreeMap<PolicyId, SlaPolicy>,
    terms: HashMap<PolicyRef, Arc<Terms>>,
    usage: HashMap<PolicyId, u64>,
    events: Vec<PolicyEvent>,
    receipts: Vec<Receipt>,
}

/// Policies in memory.
#[derive(Default)]
pub struct MemoryPolicies(Mutex<State>);

impl MemoryPolicies {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets so many tickets use a policy.
    pub fn set_usage(&self, id: PolicyId, tickets: u64) {
        self.state().usage.insert(id, tickets);
    }

    /// Everything that was published.
    #[must_use]
    pub fn events(&self) -> Vec<PolicyEvent> {
        self.state().events.clone()
    }
}

impl State {
    fn check(&self, id: PolicyId, version: Version) -> Result<(), PolicyCommitError> {
        match self.policies.get(&id) {
            Some(policy) if policy.version == version => Ok(()),
            Some(_) | None => Err(PolicyCommitError::Stale),
        }
    }

    fn put(&mut self, policy: SlaPolicy) {
        self.terms
            .entry(policy.reference())
            .or_insert_with(|| policy.terms());
        self.policies.insert(policy.id, policy);
    }

    fn write(&mut self, write: PolicyWrite) -> Result<(), PolicyCommitError> {
        match write {
            PolicyWrite::Insert(policy) => {
                if self.policies.len() >= POLICIES_MAX {
                    return Err(PolicyCommitError::TooMany);
                }
                self.put(*policy);
            }
            PolicyWrite::Update { policy, expected } => {
                self.check(policy.id, expected)?;
                self.put(*policy);
            }
            PolicyWrite::Keep { id, expected } => self.check(id, expected)?,
            PolicyWrite::Delete {
                id,
                expected,
                successor,
            } => {
                self.check(id, expected)?;
                let tickets = self.usage.remove(&id).unwrap_or(0);
                match successor {
                    Some(successor) => *self.usage.entry(successor).or_default() += tickets,
                    None if tickets > 0 => return Err(PolicyCommitError::InUse(tickets)),
                    None => {}
                }
                self.policies.remove(&id);
            }
        }
        Ok(())
    }

    /// What the database's unique indexes hold.
    fn is_whole(&self) -> bool {
        let defaults = self.policies.values().filter(|policy| policy.is_default).count();
        let mut places = HashSet::new();
        let are_apart = self.policies.values().all(|policy| places.insert(policy.place));
        are_apart && defaults == usize::from(!self.policies.is_empty())
    }
}

fn same_request(a: &Receipt, b: &Receipt) -> bool {
    match (a, b) {
        (Receipt::Event(a), Receipt::Event(b)) => a == b,
        (Receipt::Request(a), Receipt::Request(b)) => {
            (a.key.principal, &a.key.key) == (b.key.principal, &b.key.key)
        }
        (Receipt::Event(_), Receipt::Request(_)) | (Receipt::Request(_), Receipt::Event(_)) => false,
    }
}

#[async_trait]
impl PolicyStore for MemoryPolicies {
    async fn policy(&self, id: PolicyId) -> Result<Option<SlaPolicy>, PortError> {
        Ok(self.state().policies.get(&id).cloned())
    }

    async fn policies(&self) -> Result<Vec<SlaPolicy>, PortError> {
        let mut policies: Vec<_> = self.state().policies.values().cloned().collect();
        policies.sort_by_key(|policy| policy.place);
        Ok(policies)
    }

    async fn terms(&self, policy: PolicyRef) -> Result<Option<Arc<Terms>>, PortError> {
        Ok(self.state().terms.get(&policy).cloned())
    }

    async fn usage(&self, id: PolicyId) -> Result<u64, PortError> {
        Ok(self.state().usage.get(&id).copied().unwrap_or(0))
    }

    async fn commit(&self, commit: PolicyCommit) -> Result<(), PolicyCommitError> {
        let PolicyCommit {
            writes,
            events,
            receipt,
        } = commit;
        let mut state = self.state();
        if let Some(receipt) = &receipt
            && state.receipts.iter().any(|stored| same_request(stored, receipt))
        {
            return Err(PolicyCommitError::Repeated);
        }
        let mut next = state.clone();
        for write in writes {
            next.write(write)?;
        }
        if !next.is_whole() {
            return Err(PolicyCommitError::Stale);
        }
        next.events.extend(events);
        next.receipts.extend(receipt);
        *state = next;
        Ok(())
    }
}
