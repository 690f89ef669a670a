//! Texts that must not lie in the store as they are.

use kernel::PortError;
use uuid::Uuid;

/// A text that only the installation's key opens: `v1.<key id>.<base64url>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sealed(String);

impl Sealed {
    /// The most characters of a sealed second factor, which must fit its column.
    pub const COLUMN_CHARS_MAX: usize = 255;

    /// A sealed text as it is stored. Whether it opens is the vault's matter.
    #[must_use]
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a text is sealed for. One that was sealed for another purpose does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SealPurpose {
    /// The secret of a person's second factor (`users.two_factor_secret`).
    TwoFactor,
    /// The password's hash by which a login that waits for its code was decided (`one_time_tokens.sealed`).
    LoginChallenge,
    /// What an unfinished single sign-on must remember (`one_time_tokens.sealed`).
    SignOn,
    /// Whom a front end gets for its code at the end of a single sign-on (`one_time_tokens.sealed`).
    SignOnHandover,
    /// What calls of a webhook endpoint are signed with (`webhook_endpoints.secret` and `older_secret`).
    Webhook,
}

impl SealPurpose {
    /// Every purpose.
    pub const ALL: [SealPurpose; 5] = [
        SealPurpose::TwoFactor,
        SealPurpose::LoginChallenge,
        SealPurpose::SignOn,
        SealPurpose::SignOnHandover,
        SealPurpose::Webhook,
    ];

    /// The name that goes into the seal. One that changes makes everything sealed before worthless.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SealPurpose::TwoFactor => "two-factor",
            SealPurpose::LoginChallenge => "login-challenge",
            SealPurpose::SignOn => "sign-on",
            SealPurpose::SignOnHandover => "sign-on-handover",
            SealPurpose::Webhook => "webhook",
        }
    }

    /// The table and the column that hold it.
    #[must_use]
    pub fn place(self) -> (&'static str, &'static str) {
        match self {
            SealPurpose::TwoFactor => ("users", "two_factor_secret"),
            SealPurpose::LoginChallenge | SealPurpose::SignOn | SealPurpose::SignOnHandover => {
                ("one_time_tokens", "sealed")
            }
            SealPurpose::Webhook => ("webhook_endpoints", "secret"),
        }
    }
}

/// Seals small texts and opens them.
///
/// Must bind a text to its purpose and owner, so that one that was moved to another row does not open, and must give
/// another sealed text each time.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
pub trait Vault: Send + Sync {
    /// Seals `text` under the installation's present key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    fn seal(&self, purpose: SealPurpose, owner: Uuid, text: &str) -> Result<Sealed, PortError>;

    /// What was sealed, under the present key or an earlier one that is still known.
    ///
    /// # Errors
    /// [`PortError::Corrupt`] when no known key opens it for this purpose and owner.
    fn open(&self, purpose: SealPurpose, owner: Uuid, sealed: &Sealed) -> Result<String, PortError>;

    /// Whether it was sealed under the present key.
    fn is_present(&self, sealed: &Sealed) -> bool;
}
