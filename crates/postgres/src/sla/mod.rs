//! The ports of service levels: policies with everything that they ever promised, and tickets' clocks.

mod clocks;
mod policies;

pub use clocks::PgClocks;
pub(crate) use clocks::keep_clocks;
pub use policies::PgPolicies;
