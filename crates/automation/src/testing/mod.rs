//! Fakes, builders and contract suites, for the tests of this crate, of its adapters and of its users.

pub mod build;
pub mod contract;
mod memory;

pub use crate::port::{MockEffects, MockScenes};
pub use memory::{MemoryDirectory, MemoryMacros, MemoryRules, MemoryRuns};
