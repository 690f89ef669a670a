//! Rules, macros and webhooks of the InsightDesk help desk: conditions, actions, texts, the engine that decides which rules
//! an event sets off, the use cases, and the ports that they need.
//!
//! The crate knows nothing of HTTP, of a database or of any other domain, so that another service can link it alone:
//! [`RuleContent::check`] reads a rule, [`RuleSet::decide`] runs a set of them over an event and a ticket, purely and with
//! its reasons (see `examples/evaluate.rs`), and [`webhook`] signs calls, spaces retries and says which addresses may be
//! called.

pub mod action;
mod chain;
pub mod condition;
mod engine;
mod error;
mod facts;
mod feed;
pub mod field;
mod heard;
mod macros;
mod plan;
mod pointer;
mod port;
mod reference;
mod rights;
pub mod rule;
mod schedule;
mod service;
pub mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trigger;
pub mod webhook;

pub use action::{Action, Actions};
pub use chain::{CHAIN_DEPTH_MAX, CHAIN_RUNS_MAX, Chain, Link};
pub use condition::{ConditionResult, Conditions, Explanation};
pub use engine::{
    Decision, Detail, EVENT_ACTIONS_MAX, Fired, Passed, RuleSet, Simulated, SkipReason, Skipped, TRIPS_MAX,
    TRIPS_WINDOW, Trip, must_disable,
};
pub use error::{AutomationError, Thing};
pub use facts::{
    AlwaysOpen, Change, Happening, Held, MessageFacts, PersonFacts, SlaMetric, Surroundings, TicketFacts,
    TicketView,
};
pub use feed::feeds;
pub use field::{Audience, Field};
pub use heard::Heard;
pub use macros::{Macro, MacroContent, MacroHolder, MacroId, MacroReach, MacroRight};
pub use plan::{Effect, Impossible, Outcome, PLAN_VERSION, Step};
pub use port::{
    Carried, CommitError, Directory, Effects, MACROS_LISTED_MAX, MACROS_MAX, MacroCommit, MacroStore,
    MacroWrite, Place, RULES_MAX, Revision, RuleCommit, RuleStore, RuleWrite, Run, RunKey, RunState,
    RunStore, SUBSCRIBER, Scenes, ScheduleLease, StepResult,
};
pub use reference::{EndpointId, Reference, Target, World};
pub use rights::RuleRight;
pub use rule::{
    Disabled, Ran, RateLimit, RowFault, Rule, RuleContent, RuleId, RuleReading, RuleRow, RunCounts,
};
pub use schedule::{CRON_MAX_CHARS, FILTER_MAX_BYTES, SILENCE_MAX_DAYS, Schedule};
pub use service::{
    Applied, Automation, CALLS_EACH_MAX, CALLS_KEPT_DAYS, EventOutcome, Guard, KnownEndpoints, KnownRules,
    Listed, Macros, NewSecret, QueueCalls, RECORDED_FOR, RESUME_AFTER, RULES_KNOWN_FOR, RUNS_KEPT_DAYS,
    Rules, RunRules, RunSchedules, SCHEDULED_MAX_TICKETS, SIMULATED_MAX_EVENTS, Saved, SendCalls, Trial,
    Webhooks, step_actions,
};
pub use trigger::{Occasion, Trigger, TriggerKind};
