//! Tests of InsightDesk as a whole, over HTTP and as a process.
//!
//! [`app::TestDesk`] is a whole desk in this process, on a database of its own, behind a real socket; [`database`] has
//! databases for tests. The tests themselves are in `it/`, a module for each promise.

pub mod app;
pub mod database;
