//! The facts that InsightDesk's domains publish to each other, and the ports through which they travel.
//!
//! A domain never calls another: it commits an [`Event`] with its change, the relay hands it to every
//! [`Subscriber`], and a subscriber stores its effect together with a receipt, so that the effect happens once
//! although the event may come several times.
//!
//! To publish something new, add a variant to [`Fact`] (or to an enum inside of it). A variant's fields may gain
//! optional members; anything else needs a new [`Fact::PAYLOAD_VERSION`] and a reader for the old rows, which stay in
//! the outbox over an upgrade.

mod fact;
mod outbox;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vocabulary;

pub use fact::{Cause, DecodeError, Event, Fact, IdentityFact, KnowledgeFact, TicketFact, TicketSummary};
pub use outbox::{Backlog, Claim, ClaimedEvent, HandleError, Outbox, Subscriber};
pub use vocabulary::{TicketChannel, TicketPriority, TicketStatus};
