//! For tests: builders, fakes in memory, and the contract suite that every store must pass.

pub mod build;
mod contract;
mod memory;

pub use contract::{contract_articles, contract_categories};
pub use memory::{MemoryArticles, MemoryCategories, PlainMarkup};
