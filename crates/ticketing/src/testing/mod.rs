//! Fakes, builders and contract suites, for the tests of this crate, of its adapters and of its users.

pub mod attachments;
pub mod build;
pub mod contract;
mod memory;

pub use crate::port::MockMarkup;
pub use memory::{MemoryBlobs, MemoryDirectory, MemoryTickets, PlainMarkup};
