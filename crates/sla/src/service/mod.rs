//! Policies: making, showing, changing, ordering and deleting them; and by [`TicketSla`], the clocks that run by them.
//!
//! Staff read policies, administrators write them; that is one function, [`PolicyRight::of`]. A decision is one
//! [`PolicyCommit`], stored whole. While there are policies, exactly one is the default: the first one becomes it, another takes
//! it over, and it goes only with a successor.
//!
//! To add a use case: find out by `allowed` whether the caller may, decide on what `PolicyStore::policies` gives, and commit within `settle`,
//! which tries again where somebody was faster.

mod error;
mod known;
mod tickets;

use std::sync::Arc;

use chrono::{DateTime, Utc};
pub use kernel::Guard;
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Clock, EventId, IdSource, Patch, Role, STALE_TRIES_MAX, Version, Violation};

pub use error::PolicyError;
pub use known::KnownPolicies;
pub use tickets::{
    Change, Explained, FollowError, Followed, LEDGER_ROWS_MAX, STRETCHES_MAX, SWEEP_TICKETS_MAX, Stretch,
    TicketSla,
};

use crate::policy::{
    POLICIES_MAX, PolicyDraft, PolicyFilter, PolicyId, PolicyName, PolicyRef, Promise, SlaPolicy, Terms,
};
use crate::port::{PolicyCommit, PolicyCommitError, PolicyEvent, PolicyFact, PolicyStore, PolicyWrite};

/// What someone may do with policies. The order is the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyRight {
    /// Nothing: policies are not for them.
    Closed,
    /// See them.
    Read,
    /// Also make, change and delete them.
    Write,
}

impl PolicyRight {
    /// What `actor` may do.
    #[must_use]
    pub fn of(actor: &Actor) -> Self {
        match actor {
            Actor::System(_) => PolicyRight::Write,
            Actor::Person(person) => match person.role {
                Role::User => PolicyRight::Closed,
                Role::Agent => PolicyRight::Read,
                Role::Admin => PolicyRight::Write,
            },
        }
    }
}

/// A policy to make.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPolicy {
    /// What it says.
    pub draft: PolicyDraft,
    /// Whether it is to be the default; the first policy is in any case.
    pub is_default: bool,
}

/// What to change of a policy; `None` keeps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PolicyChange {
    /// Another name.
    pub name: Option<PolicyName>,
    /// Another description, or none any more.
    pub description: Patch<String>,
    /// Another promise, whole.
    pub promise: Option<Promise>,
    /// Another filter, whole, or none any more.
    pub filter: Patch<PolicyFilter>,
}

/// The use cases of policies.
pub struct SlaPolicies {
    store: Arc<dyn PolicyStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// What was decided: what to store, and what to answer.
struct Decision<T> {
    writes: Vec<PolicyWrite>,
    events: Vec<PolicyEvent>,
    answer: T,
}

/// Who decides, and when.
struct Moment<'a> {
    actor: &'a Actor,
    now: DateTime<Utc>,
}

impl SlaPolicies {
    /// The policies of this store.
    #[must_use]
    pub fn new(store: Arc<dyn PolicyStore>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self { store, clock, ids }
    }

    /// Refuses who may not know what is promised.
    ///
    /// # Errors
    /// [`PolicyError::Forbidden`] for customers.
    pub fn may_read(&self, actor: &Actor) -> Result<(), PolicyError> {
        allowed(actor, PolicyRight::Read)
    }

    /// Whether someone may write policies, and see what a change would do.
    ///
    /// # Errors
    /// [`PolicyError::Forbidden`] for all but administrators.
    pub fn may_write(&self, actor: &Actor) -> Result<(), PolicyError> {
        allowed(actor, PolicyRight::Write)
    }

    /// All policies, in the order in which they are asked.
    ///
    /// # Errors
    /// [`PolicyError::Forbidden`] for customers.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<SlaPolicy>, PolicyError> {
        allowed(actor, PolicyRight::Read)?;
        Ok(self.store.policies().await?)
    }

    /// One policy.
    ///
    /// # Errors
    /// [`PolicyError::Forbidden`] for customers, [`PolicyError::NotFound`].
    pub async fn show(&self, actor: &Actor, id: PolicyId) -> Result<SlaPolicy, PolicyError> {
        allowed(actor, PolicyRight::Read)?;
        self.store.policy(id).await?.ok_or(PolicyError::NotFound)
    }

    /// What a policy promised in a version, also of one that is gone.
    ///
    /// # Errors
    /// [`PolicyError::Forbidden`] for customers, [`PolicyError::NotFound`].
    pub async fn terms(&self, actor: &Actor, policy: PolicyRef) -> Result<Arc<Terms>, PolicyError> {
        allowed(actor, PolicyRight::Read)?;
        self.store.terms(policy).await?.ok_or(PolicyError::NotFound)
    }

    /// Makes a policy; it comes last in the order.
    ///
    /// # Errors
    /// [`PolicyError::Forbidden`] for all but administrators, [`PolicyError::TooMany`].
    pub async fn create(
        &self,
        actor: &Actor,
        new: &NewPolicy,
        receipt: ReceiptFor<'_, SlaPolicy>,
    ) -> Result<SlaPolicy, PolicyError> {
        let id = PolicyId::new(self.ids.as_ref());
        let decide = |policies: &[SlaPolicy], moment: &Moment<'_>| {
            if policies.len() >= POLICIES_MAX {
                return Err(PolicyError::TooMany);
            }
            let PolicyDraft {
                name,
                description,
                promise,
                filter,
            } = new.draft.clone();
            let last = policies.iter().map(|policy| policy.place).max().unwrap_or(0);
            let policy = SlaPolicy {
                id,
                name,
                description,
                promise,
                place: last.saturating_add(1),
                filter,
                is_default: new.is_default || policies.is_empty(),
                created_at: moment.now,
                updated_at: moment.now,
                version: Version::FIRST,
                terms_version: Version::FIRST,
                calendar_version: Version::FIRST,
            };
            let mut decision = Decision::of(policy.clone());
            if policy.is_default {
                self.take_default(&mut decision, policies, moment);
            }
            decision
                .events
                .push(self.event(&policy, PolicyFact::Created, moment));
            decision.writes.push(PolicyWrite::Insert(Box::new(policy)));
            Ok(decision)
        };
        self.settle(actor, receipt, decide).await
    }

    /// Changes a policy.
    ///
    /// # Errors
    /// [`PolicyError::Forbidden`] for all but administrators, [`PolicyError::NotFound`]; [`PolicyError::Stale`] for a failed
    /// precondition.
    pub async fn change(
        &self,
        actor: &Actor,
        id: PolicyId,
        change: &PolicyChange,
        guard: Guard<'_, SlaPolicy>,
    ) -> Result<SlaPolicy, PolicyError> {
        let decide = |policies: &[SlaPolicy], moment: &Moment<'_>| {
            let policy = seen(policies, id, guard.expected)?;
            let changed = changed(policy, change.clone(), moment.now);
            let mut decision = Decision::of(changed.clone());
            if changed == *policy {
                decision.keep(policy);
            } else {
                let what = if changed.terms_version == policy.terms_version {
                    PolicyFact::Changed
                } else {
                    PolicyFact::PromiseChanged(changed.reference())
                };
                decision.events.push(self.event(&changed, what, moment));
                decision.update(changed, policy.version);
            }
            Ok(decision)
        };
        self.settle(actor, guard.receipt, decide).await
    }

    /// Makes a policy the default.
    ///
    /// # Errors
    /// As for [`SlaPolicies::change`].
    pub async fn set_default(
        &self,
        actor: &Actor,
        id: PolicyId,
        guard: Guard<'_, SlaPolicy>,
    ) -> Result<SlaPolicy, PolicyError> {
        let decide = |policies: &[SlaPolicy], moment: &Moment<'_>| {
            let policy = seen(policies, id, guard.expected)?;
            if policy.is_default {
                let mut decision = Decision::of(policy.clone());
                decision.keep(policy);
                return Ok(decision);
            }
            let mut decision = Decision::of(policy.clone());
            self.take_default(&mut decision, policies, moment);
            decision.answer = self.give_default(&mut decision, policy, moment);
            Ok(decision)
        };
        self.settle(actor, guard.receipt, decide).await
    }

    /// Puts all policies into an order; gives them in it.
    ///
    /// # Errors
    /// [`PolicyError::Forbidden`] for all but administrators; [`PolicyError::Invalid`] unless `order` names each policy once.
    pub async fn reorder(
        &self,
        actor: &Actor,
        order: &[PolicyId],
        receipt: ReceiptFor<'_, Vec<SlaPolicy>>,
    ) -> Result<Vec<SlaPolicy>, PolicyError> {
        let decide = |policies: &[SlaPolicy], moment: &Moment<'_>| {
            let mut named: Vec<_> = order.to_vec();
            named.sort_unstable();
            let mut known: Vec<_> = policies.iter().map(|policy| policy.id).collect();
            known.sort_unstable();
            if named != known {
                let message = format!("must name each of the {} policies once", known.len());
                return Err(Violation::new("/order", "not_all", message).into());
            }
            let mut decision = Decision::of(Vec::new());
            for (place, id) in (1..).zip(order) {
                let policy = seen(policies, *id, None)?;
                let mut moved = policy.clone();
                if policy.place != place {
                    moved.place = place;
                    moved.updated_at = moment.now;
                    moved.version = policy.version.next();
                    decision
                        .events
                        .push(self.event(&moved, PolicyFact::Moved, moment));
                    decision.update(moved.clone(), policy.version);
                }
                decision.answer.push(moved);
            }
            if decision.writes.is_empty()
                && let Some(first) = policies.first()
            {
                decision.keep(first);
            }
            Ok(decision)
        };
        self.settle(actor, receipt, decide).await
    }

    /// Deletes a policy. Where tickets use it, or where it is the default, another one must follow it; a default then is the
    /// default, and tickets that named the one name the other. The last policy of all may go when no ticket uses it.
    ///
    /// # Errors
    /// As for [`SlaPolicies::change`]; [`PolicyError::InUse`] and [`PolicyError::IsDefault`] without a successor, and
    /// [`PolicyError::Invalid`] for one that there is not.
    pub async fn delete(
        &self,
        actor: &Actor,
        id: PolicyId,
        successor: Option<PolicyId>,
        guard: Guard<'_, ()>,
    ) -> Result<(), PolicyError> {
        allowed(actor, PolicyRight::Write)?;
        let tickets = self.store.usage(id).await?;
        let decide = |policies: &[SlaPolicy], moment: &Moment<'_>| {
            let policy = seen(policies, id, guard.expected)?;
            let follower = successor.map(|successor| {
                let follower = policies
                    .iter()
                    .find(|policy| policy.id == successor && successor != id);
                let unknown = || Violation::new("/successorId", "unknown", "must be another policy");
                follower.ok_or_else(unknown)
            });
            let follower = follower.transpose()?;
            if follower.is_none() && tickets > 0 {
                return Err(PolicyError::InUse { tickets });
            }
            let mut decision = Decision::of(());
            // The flag is free before another takes it.
            decision.writes.push(PolicyWrite::Delete {
                id,
                expected: policy.version,
                successor,
            });
            match follower {
                Some(follower) if policy.is_default => {
                    self.give_default(&mut decision, follower, moment);
                }
                // It must still be there when the commit is stored.
                Some(follower) => decision.keep(follower),
                None if policy.is_default && policies.len() > 1 => return Err(PolicyError::IsDefault),
                None => {}
            }
            let what = PolicyFact::Deleted { successor };
            decision.events.push(self.event(policy, what, moment));
            Ok(decision)
        };
        self.settle(actor, guard.receipt, decide).await
    }

    /// Decides and commits, anew where somebody was faster.
    async fn settle<T, D>(
        &self,
        actor: &Actor,
        receipt: ReceiptFor<'_, T>,
        decide: D,
    ) -> Result<T, PolicyError>
    where
        D: Fn(&[SlaPolicy], &Moment<'_>) -> Result<Decision<T>, PolicyError> + Send + Sync,
        T: Send + Sync,
    {
        allowed(actor, PolicyRight::Write)?;
        for _ in 0..STALE_TRIES_MAX {
            let policies = self.store.policies().await?;
            let moment = Moment {
                actor,
                now: self.clock.now(),
            };
            let Decision {
                writes,
                events,
                answer,
            } = decide(&policies, &moment)?;
            let receipt = receipt(&answer);
            let only_kept = writes
                .iter()
                .all(|write| matches!(write, PolicyWrite::Keep { .. }));
            if only_kept && receipt.is_none() {
                return Ok(answer);
            }
            let commit = PolicyCommit {
                writes,
                events,
                receipt,
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(answer),
                Err(PolicyCommitError::Stale) => {}
                Err(PolicyCommitError::Repeated) => return Err(PolicyError::Repeated),
                Err(PolicyCommitError::TooMany) => return Err(PolicyError::TooMany),
                Err(PolicyCommitError::InUse(tickets)) => return Err(PolicyError::InUse { tickets }),
                Err(PolicyCommitError::Port(error)) => return Err(error.into()),
            }
        }
        Err(PolicyError::Stale { current: None })
    }

    /// Takes the flag from whoever has it.
    fn take_default<T>(&self, decision: &mut Decision<T>, policies: &[SlaPolicy], moment: &Moment<'_>) {
        for policy in policies.iter().filter(|policy| policy.is_default) {
            self.flag(decision, policy, false, moment);
        }
    }

    fn give_default<T>(
        &self,
        decision: &mut Decision<T>,
        policy: &SlaPolicy,
        moment: &Moment<'_>,
    ) -> SlaPolicy {
        self.flag(decision, policy, true, moment)
    }

    fn flag<T>(
        &self,
        decision: &mut Decision<T>,
        policy: &SlaPolicy,
        is_default: bool,
        moment: &Moment<'_>,
    ) -> SlaPolicy {
        let mut flagged = policy.clone();
        flagged.is_default = is_default;
        flagged.updated_at = moment.now;
        flagged.version = policy.version.next();
        let what = PolicyFact::DefaultMoved { is_default };
        decision.events.push(self.event(&flagged, what, moment));
        decision.update(flagged.clone(), policy.version);
        flagged
    }

    fn event(&self, policy: &SlaPolicy, what: PolicyFact, moment: &Moment<'_>) -> PolicyEvent {
        PolicyEvent {
            id: EventId::new(self.ids.as_ref()),
            at: moment.now,
            by: moment.actor.user_id(),
            policy: policy.id,
            name: policy.name.clone(),
            what,
        }
    }
}

impl<T> Decision<T> {
    fn of(answer: T) -> Self {
        Self {
            writes: Vec::new(),
            events: Vec::new(),
            answer,
        }
    }

    fn update(&mut self, policy: SlaPolicy, expected: Version) {
        self.writes.push(PolicyWrite::Update {
            policy: Box::new(policy),
            expected,
        });
    }

    fn keep(&mut self, policy: &SlaPolicy) {
        self.writes.push(PolicyWrite::Keep {
            id: policy.id,
            expected: policy.version,
        });
    }
}

fn allowed(actor: &Actor, needed: PolicyRight) -> Result<(), PolicyError> {
    match PolicyRight::of(actor) {
        right if right >= needed => Ok(()),
        PolicyRight::Closed => Err(PolicyError::Forbidden(
            "see service level policies; they are for staff",
        )),
        PolicyRight::Read | PolicyRight::Write => Err(PolicyError::Forbidden(
            "write service level policies; administrators do",
        )),
    }
}

/// A policy, at the version that the caller saw.
fn seen(policies: &[SlaPolicy], id: PolicyId, expected: Option<Version>) -> Result<&SlaPolicy, PolicyError> {
    let policy = policies.iter().find(|policy| policy.id == id);
    let policy = policy.ok_or(PolicyError::NotFound)?;
    if expected.is_some_and(|expected| expected != policy.version) {
        return Err(PolicyError::Stale {
            current: Some(policy.version),
        });
    }
    Ok(policy)
}

/// The policy after the change; where nothing differs, it is as before.
fn changed(policy: &SlaPolicy, change: PolicyChange, now: DateTime<Utc>) -> SlaPolicy {
    let PolicyChange {
        name,
        description,
        promise,
        filter,
    } = change;
    let mut changed = policy.clone();
    changed.name = name.unwrap_or(changed.name);
    changed.description = description.apply(changed.description);
    changed.promise = promise.unwrap_or(changed.promise);
    changed.filter = filter.apply(changed.filter);
    if changed == *policy {
        return changed;
    }
    changed.updated_at = now;
    changed.version = policy.version.next();
    if changed.promise != policy.promise {
        changed.terms_version = changed.version;
    }
    if changed.promise.hours != policy.promise.hours {
        changed.calendar_version = changed.version;
    }
    changed
}
