//! Fakes, builders, oracles and contract suites, for the tests of this crate, of its adapters and of its users.

pub mod build;
mod clocks;
pub mod contract;
mod memory;
pub mod oracle;

pub use crate::port::{MockClockStore, MockPolicyStore};
pub use clocks::MemoryClocks;
pub use memory::MemoryPolicies;
