//! Where programs' keys are kept.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::Event;
use kernel::{Page, PageLimit, PortError, Position, UserId};
use std::net::IpAddr;

use crate::access::ApiKeyId;
use crate::api_key::{ApiKey, Scopes};
use crate::ports::PrincipalRecord;
use crate::session::TokenHash;
use crate::value::PasswordHash;

/// Keeps programs' keys.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// Stores a new key.
    ///
    /// Must refuse, in the same transaction, when the account is no longer usable ([`crate::User::is_usable`]) or its
    /// stored hash is no longer `proof`, and when `live_max` keys of the account are live at the key's `created_at`
    /// already, also when several such commits run at once.
    ///
    /// # Errors
    /// See [`ApiKeyCommitError`]; nothing is stored then.
    async fn create(&self, commit: ApiKeyCommit) -> Result<(), ApiKeyCommitError>;

    /// The key of that id, live or not.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, PortError>;

    /// A page of a person's keys, live or not, newest first by `created_at` and then `id`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn keys(
        &self,
        owner: UserId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<ApiKey>, PortError>;

    /// Takes a key back and says whether it was not taken back before. Must store the events only if so, and must
    /// leave the time of an earlier revocation alone.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is stored then.
    async fn revoke(&self, revocation: ApiKeyRevocation) -> Result<bool, PortError>;

    /// Who stands behind a key: all that authentication asks, in one read. Must find ended keys, too, and those of
    /// unusable accounts; `None` when there is no such key.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn bearer(&self, key: WhichKey) -> Result<Option<ApiKeyRecord>, PortError>;

    /// Notes that a key was used, unless a use at that time or later is noted already; says whether it was noted.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn used(&self, sign: SignOfUse) -> Result<bool, PortError>;
}

/// A key, by what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichKey {
    /// The one that was shown.
    Shown(TokenHash),
    /// The one of this id.
    Known(ApiKeyId),
}

/// All that becomes durable when a key is made.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct ApiKeyCommit {
    /// The new key.
    pub key: ApiKey,
    /// The hash that the owner's password was compared with.
    pub proof: PasswordHash,
    /// How many keys of a person can be live.
    pub live_max: u32,
    /// What to publish.
    pub events: Vec<Event>,
}

/// Why a key was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyCommitError {
    /// The account was shut out, or its password changed, meanwhile.
    #[error("the account no longer admits this")]
    Refused,
    /// The person has as many live keys as anyone can have.
    #[error("the account has too many keys")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// All that becomes durable when a key is taken back.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct ApiKeyRevocation {
    /// Which key.
    pub key: ApiKeyId,
    /// When.
    pub at: DateTime<Utc>,
    /// What to publish if it was not taken back before.
    pub events: Vec<Event>,
}

/// Who stands behind a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// The key.
    pub key: ApiKeyId,
    /// What it is good for.
    pub scopes: Scopes,
    /// The owner, as behind a session that ends and was revoked when the key does and was: the same rules admit both.
    pub owner: PrincipalRecord,
}

/// That a key was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignOfUse {
    /// The key.
    pub key: ApiKeyId,
    /// When, to the minute.
    pub at: DateTime<Utc>,
    /// From where, as far as it is known.
    pub ip: Option<IpAddr>,
}
