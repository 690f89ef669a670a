//! The ports of automation: rules, what they did, and macros.

mod macros;
mod rules;
mod runs;
#[cfg(test)]
mod tests;

pub use macros::PgMacros;
pub use rules::PgRules;
pub use runs::PgRuns;
