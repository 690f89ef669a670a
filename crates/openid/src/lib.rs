//! Single sign-on by OpenID Connect, for the port [`identity::ports::SignOnProvider`].
//!
//! [`OpenIdProvider`] speaks the authorization code flow with PKCE to any provider that describes itself at
//! `{issuer}/.well-known/openid-configuration`. The protocol, its types and the verification of what a provider signs
//! are the library's (`openidconnect`). Beside the wiring, these are ours:
//! - the HTTP client that the library is given (`fetch`): it asks only addresses over HTTPS (over HTTP on this machine
//!   alone), follows no redirection, uses no proxy of the environment, waits seconds and reads at most a mebibyte;
//! - what a provider said of itself and its keys are kept for an hour, and fetched before that, a few times a minute,
//!   when none of the keys made a signature (`provider`);
//! - an ID token is believed only by a signature of RS256, PS256, ES256 or EdDSA, under an RSA key of 2048 bits or more
//!   (`keys`), for this desk as the party it was made for, and not from the future (`token`): on these the library has
//!   no opinion, or a weaker one;
//! - a provider may say in words of its own whether an address is verified (`words`); the library would refuse the
//!   whole token for them. The words are replaced before it reads the token, and the signature is held, by the library,
//!   against the token as it came.
//!
//! `testing` (feature of that name) is a provider for tests, on this machine.
//!
//! To accept another algorithm, add it to `token::ALGORITHMS`.

mod discovery;
mod fetch;
mod keys;
mod provider;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod words;

pub use fetch::is_safe_address;
pub use provider::{OpenIdProvider, OpenIdSettings, OpenIdSetupError};
