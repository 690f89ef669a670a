//! Password hashing, access tokens and random secrets for InsightDesk's identity ports.
//!
//! - [`MasterSecret`]: the one secret of an installation; every key comes from it, each for one [`KeyUse`].
//! - [`Argon2Hasher`]: Argon2id on the blocking pool, so many at once as there are cores.
//! - [`Hs256AccessTokens`]: access tokens as JWTs signed with HMAC-SHA256, and nothing else accepted.
//! - [`RingSecrets`]: refresh and set-up tokens, their hashes and successors.
//! - [`AesSeal`]: AES-256-GCM over what must not be read at rest.
//! - [`system`]: the wall clock and the source of ids.
//!
//! All cryptography is ring's and RustCrypto's Argon2; nothing here invents any. To sign or derive something new,
//! add a [`KeyUse`]: a key never serves two uses.

mod argon;
mod jwt;
mod master;
mod seal;
mod secrets;
pub mod system;

pub use argon::Argon2Hasher;
pub use jwt::Hs256AccessTokens;
pub use master::{DerivedKey, KeyUse, MasterSecret, MasterSecretError};
pub use seal::AesSeal;
pub use secrets::RingSecrets;
pub use system::{SystemClock, UuidIds};
