//! Fakes, builders, oracles and contract suites, for the tests of this crate, of its adapters and of its users.

pub mod build;
pub mod contract;
mod memory;
pub mod oracle;

pub use crate::port::MockPolicyStore;
pub use memory::MemoryPolicies;
