//! Keeps what administrators set about the desk's security.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::Event;
use kernel::{PortError, Receipt, Version};

use crate::two_factor::SecuritySettings;

/// Keeps the settings. What was never set is [`SecuritySettings::default`].
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait SecurityStore: Send + Sync {
    /// The settings.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn security(&self) -> Result<SecuritySettings, PortError>;

    /// Stores changed settings. From then on every [`PrincipalRecord`](crate::ports::PrincipalRecord) must have them.
    ///
    /// # Errors
    /// See [`SecurityCommitError`]; nothing is stored then.
    async fn commit(&self, commit: SecurityCommit) -> Result<(), SecurityCommitError>;
}

/// All that becomes durable when the settings change.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct SecurityCommit {
    /// The settings as they are to stand. Their version is the one after `expected`, or the same where nothing but the
    /// receipt is to be stored.
    pub settings: SecuritySettings,
    /// The version that the decision was made on.
    pub expected: Version,
    /// When.
    pub at: DateTime<Utc>,
    /// What to publish.
    pub events: Vec<Event>,
    /// Proof that a request was carried out.
    pub receipt: Option<Receipt>,
}

/// Why the settings were not stored.
#[derive(Debug, thiserror::Error)]
pub enum SecurityCommitError {
    /// The stored version is not the expected one.
    #[error("the settings changed meanwhile")]
    Stale,
    /// The receipt is there already: the request was carried out before.
    #[error("the request was carried out before")]
    Repeated,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}
