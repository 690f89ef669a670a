//! Fakes, builders and contract suites, for the tests of this crate, of its adapters and of its users.

pub mod build;
pub mod contract;
mod memory;
pub mod webhooks;

pub use crate::port::{MockEffects, MockScenes};
pub use crate::webhook::{MockCaller, MockSecretSource};
pub use memory::{MemoryDirectory, MemoryMacros, MemoryRules, MemoryRuns};
pub use webhooks::MemoryWebhooks;
