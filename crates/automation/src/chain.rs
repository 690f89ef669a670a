//! The causal chain of an event: which rules led to it.
//!
//! What a rule does makes events, which can set off rules. Each such event carries the chain of the one before, with all
//! rules that this one set off. A rule runs once for a ticket in a chain, and a chain ends after [`CHAIN_DEPTH_MAX`] steps,
//! so that any set of rules comes to an end.

use kernel::TicketId;
use serde::{Deserialize, Serialize};

use crate::rule::RuleId;

/// How many steps of events a chain can have.
pub const CHAIN_DEPTH_MAX: u8 = 10;
/// How many runs a chain remembers; it ends when there are more.
pub const CHAIN_RUNS_MAX: usize = 200;

/// One run in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The rule.
    pub rule: RuleId,
    /// The ticket that it ran for; `None` for `user.created`.
    pub ticket: Option<TicketId>,
}

/// The rules that led to an event, the first ones first. Stored with the event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Chain {
    depth: u8,
    runs: Vec<Link>,
}

impl Chain {
    /// How many steps of rules lie before the event; 0 for what people do.
    #[must_use]
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// The runs before it.
    #[must_use]
    pub fn runs(&self) -> &[Link] {
        &self.runs
    }

    /// Whether a rule ran for this ticket already.
    #[must_use]
    pub fn has(&self, rule: RuleId, ticket: Option<TicketId>) -> bool {
        self.runs.contains(&Link { rule, ticket })
    }

    /// Whether no rule may run any more.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.depth >= CHAIN_DEPTH_MAX || self.runs.len() >= CHAIN_RUNS_MAX
    }

    /// The chain of the events that these runs make.
    #[must_use]
    pub fn after(&self, rules: impl IntoIterator<Item = RuleId>, ticket: Option<TicketId>) -> Self {
        let mut runs = self.runs.clone();
        for rule in rules {
            let link = Link { rule, ticket };
            if runs.len() < CHAIN_RUNS_MAX && !runs.contains(&link) {
                runs.push(link);
            }
        }
        Self {
            depth: self.depth.saturating_add(1),
            runs,
        }
    }
}
