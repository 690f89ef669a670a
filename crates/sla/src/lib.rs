//! Service levels of the InsightDesk help desk: what is promised to whom, when it is due, and why.
//!
//! The crate knows nothing of HTTP, of a database, or of tickets beyond what its [facts](clocks::Fact) say, so that another
//! service can link it alone. From the inside out:
//!
//! - [`calendar`]: working time, exact over any time zone: [`Calendar::add`] computes a deadline, [`Calendar::between`] measures. [`ical`] reads
//!   holidays from calendar files.
//! - [`SlaPolicy`] and its [`Promise`]: targets, multipliers, hours, pauses, escalation. [`PolicyDraft::read`] reads one from JSON
//!   and tells every fault at once, [`select`] finds the one of a ticket.
//! - [`clocks`]: the state machine of a ticket's three clocks; [`ledger`]: what each moment of them was.
//! - [`preview`] and [`impact`]: what would be.
//! - [`SlaPolicies`]: the use cases of policies, over whatever implements [`PolicyStore`] (with the feature `testing`,
//!   [`testing::MemoryPolicies`] does, in memory).
//! - [`TicketSla`]: keeps tickets' clocks in a [`ClockStore`]: they follow each change, speak when they are due, and are explained.
//!
//! Clocks and calendars are values and functions without ports: time comes in as an argument, and what is to be stored
//! comes out. `examples/deadline.rs` computes a deadline, `examples/deadline_timing.rs` says how long that takes.

pub mod calendar;
pub mod clocks;
pub mod ical;
pub mod ledger;
mod policy;
mod port;
mod preview;
mod reading;
mod service;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tracking;

pub use calendar::{Calendar, TimeError};
pub use clocks::TicketClocks;
pub use policy::{
    ACTIONS_PER_STEP_MAX, DocumentChecks, ESCALATION_MAX_BYTES, Escalation, Hours,
    MULTIPLIER_MAX_THOUSANDTHS, MULTIPLIER_MIN_THOUSANDTHS, Metric, Minutes, Multiplier, Multipliers,
    POLICIES_MAX, POLICY_DESCRIPTION_MAX_CHARS, POLICY_FILTER_MAX_BYTES, POLICY_NAME_MAX_CHARS, Pauses,
    PolicyDraft, PolicyFilter, PolicyId, PolicyName, PolicyRef, Priority, Promise, STEPS_MAX, SlaPolicy,
    Step, StepAt, StoredPolicy, TARGET_MAX_MINUTES, Targets, Terms, TermsBook, Timing, Unchecked, select,
};
pub use port::{
    ClockStore, PolicyCommit, PolicyCommitError, PolicyEvent, PolicyFact, PolicyStore, PolicyWrite,
};
pub use preview::{
    IMPACT_NAMED_MAX, IMPACT_TICKETS_MAX, Impact, Moved, MovedDeadline, PREVIEW_DAYS_MAX, PREVIEW_PAUSES_MAX,
    PREVIEW_STRETCHES_MAX, Preview, PreviewError, PreviewWish, impact, preview,
};
pub use service::{
    Change, Explained, FollowError, Followed, Guard, KnownPolicies, LEDGER_ROWS_MAX, NewPolicy, PolicyChange,
    PolicyError, PolicyRight, STRETCHES_MAX, SWEEP_TICKETS_MAX, SlaPolicies, Stretch, TicketSla,
};
pub use tracking::{Due, DueTicket, KeptClocks, KeptSpan, NotKept, Spoken, Tracked};
