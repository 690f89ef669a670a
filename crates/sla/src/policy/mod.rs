//! Policies: what a desk promises, to which tickets, and in which order they are asked.
//!
//! A [`SlaPolicy`] is the contract's model `SLAPolicy` with our additions: a target for further responses, what pauses, a
//! place, a filter, and versions. [`PolicyDraft::read`] reads one from JSON; [`SlaPolicy::stored`] takes a row as it lies in the
//! contract's table, where others write too. [`select`] finds the policy of a ticket.
//!
//! Of a policy, [`Promise`] is what clocks run by. Whenever it changes, the policy gets further [`Terms`]; old ones stay what they
//! were, so that the past can be explained.

mod document;
mod escalation;
mod terms;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::text::TextRule;
use kernel::{Version, Violation, Violations};
use serde_json::Value;

pub use document::{PolicyDraft, StoredPolicy};
pub use escalation::{
    ACTIONS_PER_STEP_MAX, ESCALATION_MAX_BYTES, Escalation, STEPS_MAX, Step, StepAt, Timing,
};
pub use terms::{
    Hours, MULTIPLIER_MAX_THOUSANDTHS, MULTIPLIER_MIN_THOUSANDTHS, Metric, Minutes, Multiplier, Multipliers,
    Pauses, PolicyRef, Priority, Promise, TARGET_MAX_MINUTES, Targets, Terms, TermsBook,
};

/// The most characters of a policy's name.
pub const POLICY_NAME_MAX_CHARS: usize = 100;
/// The most characters of a policy's description.
pub const POLICY_DESCRIPTION_MAX_CHARS: usize = 5_000;
/// The most bytes of a policy's filter, as JSON without blanks.
pub const POLICY_FILTER_MAX_BYTES: usize = 8_192;
/// The most policies of a desk.
pub const POLICIES_MAX: usize = 100;

kernel::id_type! {
    /// A policy.
    PolicyId
}

/// What a desk promises to some of its tickets.
#[derive(Debug, Clone, PartialEq)]
pub struct SlaPolicy {
    /// Which.
    pub id: PolicyId,
    /// What it is called.
    pub name: PolicyName,
    /// What it is for.
    pub description: Option<String>,
    /// What it promises.
    pub promise: Promise,
    /// Its place among all: the least is asked first. No two have the same.
    pub place: i32,
    /// Which tickets it is for; `None` where only for those that name it, or, of the default, for the rest.
    pub filter: Option<PolicyFilter>,
    /// Whether it is for all tickets that no other is for.
    pub is_default: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Moves with every change.
    pub version: Version,
    /// The version at which its promise last changed.
    pub terms_version: Version,
    /// The version at which its hours last changed.
    pub calendar_version: Version,
}

impl SlaPolicy {
    /// Names what it promises now.
    #[must_use]
    pub fn reference(&self) -> PolicyRef {
        PolicyRef {
            id: self.id,
            version: self.terms_version,
        }
    }

    /// What it promises now, under its name.
    #[must_use]
    pub fn terms(&self) -> Arc<Terms> {
        Arc::new(Terms {
            policy: self.reference(),
            calendar_version: self.calendar_version,
            promise: self.promise.clone(),
        })
    }
}

/// The policy of a ticket: the one that it names, else the first in order whose filter it matches, else the default. One
/// that is named and not there counts as not named.
pub fn select<'p>(
    policies: impl IntoIterator<Item = &'p SlaPolicy>,
    named: Option<PolicyId>,
    mut matches: impl FnMut(&PolicyFilter) -> bool,
) -> Option<&'p SlaPolicy> {
    let mut in_order: Vec<_> = policies.into_iter().collect();
    in_order.sort_by_key(|policy| (policy.place, policy.id));
    let explicit = in_order.iter().find(|policy| Some(policy.id) == named);
    if let Some(policy) = explicit {
        return Some(policy);
    }
    let matching = in_order
        .iter()
        .find(|policy| policy.filter.as_ref().is_some_and(&mut matches));
    let default = || in_order.iter().find(|policy| policy.is_default);
    matching.or_else(default).copied()
}

/// What others know of the parts of a policy's document that are theirs.
pub trait DocumentChecks: Send + Sync {
    /// What is wrong with a filter on tickets.
    ///
    /// # Errors
    /// All faults, below `pointer`.
    fn filter(&self, filter: &Value, pointer: &str) -> Result<(), Violations>;

    /// What is wrong with the actions of a step.
    ///
    /// # Errors
    /// All faults, below `pointer`.
    fn actions(&self, actions: &[Value], pointer: &str) -> Result<(), Violations>;
}

/// Finds nothing wrong: for documents that were checked before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unchecked;

impl DocumentChecks for Unchecked {
    fn filter(&self, _: &Value, _: &str) -> Result<(), Violations> {
        Ok(())
    }

    fn actions(&self, _: &[Value], _: &str) -> Result<(), Violations> {
        Ok(())
    }
}

/// What a policy is called: 1 to 100 characters on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyName(String);

impl PolicyName {
    const RULE: TextRule = TextRule::line(1, POLICY_NAME_MAX_CHARS);

    /// A name as someone typed it.
    ///
    /// # Errors
    /// When it is empty, too long, or no line.
    pub fn parse(pointer: &str, raw: &str) -> Result<Self, Violation> {
        Self::RULE.parse(pointer, raw).map(Self)
    }

    /// A name as a store holds it, whatever it is.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A policy's condition on tickets, as it was written in the filter language.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyFilter(Value);

impl PolicyFilter {
    /// A condition as someone wrote it; whoever knows the fields of tickets checks it.
    ///
    /// # Errors
    /// `too_long` at `pointer`, or all that is wrong with it below.
    pub fn parse(pointer: &str, written: Value, checks: &dyn DocumentChecks) -> Result<Self, Violations> {
        let bytes = written.to_string().len();
        if bytes > POLICY_FILTER_MAX_BYTES {
            let message = format!("must have at most {POLICY_FILTER_MAX_BYTES} bytes, has {bytes}");
            return Err(Violation::new(pointer, "too_long", message).into());
        }
        checks.filter(&written, pointer)?;
        Ok(Self(written))
    }

    /// A condition as a store holds it; it is read when it is used.
    #[must_use]
    pub fn stored(written: Value) -> Self {
        Self(written)
    }

    /// As it was written.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.0
    }
}

#[cfg(test)]
mod tests;
