//! Tests of InsightDesk as a whole, a module for each promise.

mod concurrency;
