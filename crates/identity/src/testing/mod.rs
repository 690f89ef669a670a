//! For tests, here and in other crates: a world in memory that implements every store ([`MemoryIdentity`]), quick
//! stand-ins for hashing, tokens and randomness, [`builders`], a [`Desk`] of services over all of these, and
//! the [suites](contract) that every store must pass.
//!
//! The mocks of the ports (`MockPasswordHasher` and so on) are beside their traits, in [`crate::ports`].

mod audit;
pub mod builders;
pub mod contract;
pub mod contract_keys;
pub mod contract_sign_on;
mod desk;
mod doubles;
mod mails;
mod memory;
#[cfg(test)]
mod tests;

pub use audit::{MemoryAudit, audit_entry, audit_store};
pub use desk::Desk;
pub use doubles::{FakeAccessTokens, FakeHasher, FakeSecrets, FakeTotp, FakeVault};
pub use mails::{SentMails, token_of};
pub use memory::MemoryIdentity;
