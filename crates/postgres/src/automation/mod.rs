//! The ports of automation: rules, what they did, macros, and webhooks.

mod macros;
mod rules;
mod runs;
#[cfg(test)]
mod tests;
mod webhooks;

pub use macros::PgMacros;
pub use rules::PgRules;
pub use runs::PgRuns;
pub use webhooks::{PgWebhooks, SealSecrets};
