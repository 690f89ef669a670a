//! Tests of InsightDesk as a whole, a module for each promise.

mod authorization;
mod canary;
mod concurrency;
mod contract;
mod strictness;
mod walkthrough;
