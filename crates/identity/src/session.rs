//! Sessions and the tokens that prove them.
//!
//! A session is the family of all refresh tokens that came from one login. Only the SHA-256 of the live one is
//! stored. Each use exchanges it for a successor, and the store remembers the exchanged one with a salt, from which
//! the server alone can derive that same successor again.

use std::fmt;

use chrono::{DateTime, Utc};
use kernel::{Client, UserId};

kernel::id_type! {
    /// A session: one login and all that was refreshed from it.
    SessionId
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The session; access tokens name it.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// How the person proved who they are when it began.
    pub method: SignInMethod,
    /// The hash of the one refresh token that is live (`sessions.refresh_token`).
    pub refresh_token_sha256: TokenHash,
    /// The client that used it last.
    pub client: Client,
    /// When it ends unless it is refreshed before. Never beyond the absolute limit counted from `created_at`.
    pub expires_at: DateTime<Utc>,
    /// When the person logged in.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed; the login counts as the first time.
    pub last_used_at: DateTime<Utc>,
    /// When it was ended before its time, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Session {
    /// Whether it can still be used at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// How a person proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignInMethod {
    /// By the password alone.
    Password,
    /// By the password and a code of the second factor.
    PasswordAndCode,
    /// By the password and a recovery code.
    PasswordAndRecoveryCode,
    /// Through a single sign-on provider.
    SignOn,
}

impl SignInMethod {
    /// Every method.
    pub const ALL: [SignInMethod; 4] = [
        SignInMethod::Password,
        SignInMethod::PasswordAndCode,
        SignInMethod::PasswordAndRecoveryCode,
        SignInMethod::SignOn,
    ];

    /// The name in storage, in JSON and in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SignInMethod::Password => "password",
            SignInMethod::PasswordAndCode => "password+totp",
            SignInMethod::PasswordAndRecoveryCode => "password+recovery_code",
            SignInMethod::SignOn => "sso",
        }
    }

    /// The method of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<SignInMethod> {
        SignInMethod::ALL
            .into_iter()
            .find(|method| method.as_str() == name)
    }
}

/// A secret in the hands of a person's program: a refresh token or the set-up token.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretToken(String);

impl SecretToken {
    /// The most bytes of a token; ours have 43.
    pub const MAX_BYTES: usize = 200;

    /// A token as a client shows it; `None` for what cannot be one.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let fits = (1..=Self::MAX_BYTES).contains(&raw.len()) && raw.chars().all(allowed);
        fits.then(|| Self(raw.to_owned()))
    }

    /// A token that a port has just made; it must hold letters, digits, `-` and `_` only.
    #[must_use]
    pub fn fresh(text: String) -> Self {
        Self(text)
    }

    /// The token itself: for the answer to its owner, and for hashing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretToken(redacted)")
    }
}

/// The SHA-256 of a [`SecretToken`], in 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash(String);

impl TokenHash {
    /// A hash as it is stored; `None` for what is none.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        (text.len() == 64 && text.chars().all(is_hex)).then(|| Self(text.to_owned()))
    }

    /// The hash of 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A signed access token, for the `Authorization` header.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// A token that an issuer made.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The token itself, for the answer to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(redacted)")
    }
}

/// What an access token says. Issuer, audience and type are the issuer's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessClaims {
    /// Whose token it is (`sub`).
    pub user_id: UserId,
    /// The session that it belongs to (`sid`).
    pub session_id: SessionId,
    /// When it was made (`iat`), in whole seconds.
    pub issued_at: DateTime<Utc>,
    /// When it ends (`exp`), in whole seconds.
    pub expires_at: DateTime<Utc>,
}
