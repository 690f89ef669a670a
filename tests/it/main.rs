//! Tests of InsightDesk as a whole, a module for each promise.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod accounts;
mod attachments;
mod audit;
mod authorization;
mod automation;
mod canary;
mod cc;
mod concurrency;
mod contract;
mod docs;
mod drafts;
mod edge;
mod faults;
mod fields;
mod filters;
mod followers;
mod indexes;
mod jobs;
mod joint;
mod keys;
mod knowledge;
mod login;
mod macros;
mod matrix;
mod rates;
mod roles;
mod routing;
mod satisfaction;
mod search;
mod sessions;
mod sign_on;
mod sla;
mod smuggling;
mod statements;
mod strictness;
mod two_factor;
mod views;
mod walkthrough;
mod webhooks;
mod why_not;
