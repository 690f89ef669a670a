//! The use cases: [`Rules`], [`Macros`] and [`Webhooks`] for those who write them, [`Automation`] for the events that set
//! rules off, [`QueueCalls`] and [`SendCalls`] for what endpoints are sent.
//!
//! Each authorises, loads, decides and commits. What a rule does is first stored as decided, then carried out, then settled:
//! after a crash the same decision is carried out again, and every effect knows its run.

mod calling;
mod fresh;
mod known;
mod listening;
mod macros;
mod rules;
mod running;
mod webhooks;

pub use kernel::Guard;
use kernel::{STALE_TRIES_MAX, Version};

pub use calling::{CALLS_EACH_MAX, QueueCalls, RECORDED_FOR, SendCalls};
pub use known::{KnownEndpoints, KnownRules, RULES_KNOWN_FOR};
pub use listening::{RUNS_KEPT_DAYS, RunRules, RunSchedules, SCHEDULED_MAX_TICKETS};
pub use macros::{Applied, Macros};
pub use rules::{Listed, Rules, SIMULATED_MAX_EVENTS, Saved, Trial, step_actions};
pub use running::{Automation, EventOutcome, RESUME_AFTER};
pub use webhooks::{CALLS_KEPT_DAYS, NewSecret, Webhooks};

use crate::error::AutomationError;

fn met(expected: Option<Version>, current: Version) -> Result<(), AutomationError> {
    match expected {
        Some(expected) if expected != current => Err(AutomationError::Stale {
            current: Some(current),
        }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod webhook_tests;
