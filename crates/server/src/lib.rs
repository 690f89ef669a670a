//! The InsightDesk help desk server: wiring, configuration and command line.
//!
//! The outermost crate. [`config`] reads what an operator set, [`desk`] wires the services of the domains to their
//! adapters, [`bridges`] answers one crate's port by another, and [`serve`] runs it all until it is told to stop. The
//! commands are in [`cli`].

pub mod admin;
mod automation;
pub mod bridges;
pub mod cli;
pub mod config;
pub mod demo;
pub mod desk;
pub mod embedded;
pub mod facts;
pub mod failure;
pub mod files;
pub mod import;
pub mod logging;
pub mod mail;
mod promises;
pub mod rotate;
pub mod secret;
pub mod serve;
pub mod sign_on;
mod stop;
pub mod verify;
pub mod webhooks;

pub use config::Config;
pub use desk::Desk;
