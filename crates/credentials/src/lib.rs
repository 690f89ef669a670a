//! Password hashing, access tokens and random secrets for InsightDesk's identity ports.
//!
//! - [`MasterSecret`]: the one secret of an installation; every key comes from it, each for one [`KeyUse`].
//!   A [`KeyRing`] holds the present one and those before it.
//! - [`Argon2Hasher`]: Argon2id on threads of its own, so many at once as there are cores.
//! - [`AesVault`]: seals small texts; [`RingTotp`]: the codes of authenticator apps.
//! - [`Hs256AccessTokens`]: access tokens as JWTs signed with HMAC-SHA256, and nothing else accepted.
//! - [`RingSecrets`]: refresh and set-up tokens, their hashes and successors.
//! - [`system`]: the wall clock and the source of ids.
//!
//! All cryptography is ring's and RustCrypto's Argon2; nothing here invents any. To sign or derive something new,
//! add a [`KeyUse`]: a key never serves two uses.

mod argon;
mod jwt;
mod master;
mod pool;
mod secrets;
pub mod system;
mod totp;
mod vault;

pub use argon::Argon2Hasher;
pub use jwt::Hs256AccessTokens;
pub use master::{DerivedKey, KeyRing, KeyUse, MasterSecret, MasterSecretError};
pub use secrets::RingSecrets;
pub use system::{SystemClock, UuidIds};
pub use totp::RingTotp;
pub use vault::AesVault;
