//! Fakes, builders and contract suites, for the tests of this crate, of its adapters and of its users.

pub mod build;
pub mod contract;
pub mod contract_search;
mod memory;

pub use crate::port::MockMarkup;
pub use memory::{MemoryDirectory, MemoryTickets, PlainMarkup};
