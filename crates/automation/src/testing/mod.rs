//! Fakes, builders and contract suites, for the tests of this crate, of its adapters and of its users.

pub mod build;
