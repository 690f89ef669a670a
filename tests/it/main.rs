//! Tests of InsightDesk as a whole, a module for each promise.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod authorization;
mod canary;
mod concurrency;
mod contract;
mod sign_on;
mod strictness;
mod walkthrough;
