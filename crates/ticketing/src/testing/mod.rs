//! Fakes, builders and contract suites, for the tests of this crate, of its adapters and of its users.

pub mod attachments;
pub mod build;
pub mod contract;
pub mod contract_drafts;
pub mod contract_fields;
pub mod contract_jobs;
pub mod contract_routing;
pub mod contract_search;
pub mod contract_views;
mod memory;
mod memory_fields;
mod memory_views;

pub use crate::port::MockMarkup;
pub use memory::{MemoryBlobs, MemoryDirectory, MemoryTickets, PlainMarkup};
pub use memory_fields::MemoryFields;
pub use memory_views::MemoryViews;
