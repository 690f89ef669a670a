//! Single sign-on by OpenID Connect, for the port [`identity::ports::SignOnProvider`].
//!
//! [`OpenIdProvider`] speaks the authorization code flow with PKCE to any provider that describes itself at
//! `{issuer}/.well-known/openid-configuration`. It promises:
//! - that it asks only addresses over HTTPS (over HTTP on this machine alone), follows no redirection, uses no proxy of
//!   the environment, waits seconds and reads at most a mebibyte (`fetch`);
//! - that it believes an ID token only by a signature of RS256, PS256, ES256 or EdDSA under a key that the provider
//!   publishes, never by what the token brings along, and only with the right issuer, audience, time and nonce
//!   (`token`). Signatures are ring's matter; nothing here computes any.
//!
//! `testing` (feature of that name) is a provider for tests, on this machine.
//!
//! To accept another algorithm, add it to `token::Algorithm`.

mod discovery;
mod fetch;
mod keys;
mod provider;
#[cfg(feature = "testing")]
pub mod testing;
mod token;

pub use fetch::is_safe_address;
pub use provider::{OpenIdProvider, OpenIdSettings, OpenIdSetupError};
