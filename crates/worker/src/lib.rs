//! Background work of InsightDesk: the [relay](Relay) that brings events from the outbox to their subscribers, and
//! [sweeps](Sweep) that do what time brings, and [pumps](Pump) for work whose pieces take their time.
//!
//! Any number of nodes may run a worker on one database. Nothing here knows which database that is: the ports come from
//! outside, and with them the wake-up that says that the outbox has something.
//!
//! To have something done in the background, write a subscriber in the domain that cares, or give [`Worker`] one more
//! sweep or pump; all must be idempotent and bounded, for they are run again after a crash and beside themselves on another
//! node.

mod jitter;
mod pump;
mod relay;
mod sweep;
mod worker;

pub use pump::{Piece, Pump};
pub use relay::{Delivery, Relay};
pub use sweep::Sweep;
pub use worker::Worker;
