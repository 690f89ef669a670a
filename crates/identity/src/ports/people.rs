//! People as decisions know them, by their account alone.

use async_trait::async_trait;
use kernel::{Person, PortError, UserId};

/// Knows people with their memberships.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait People: Send + Sync {
    /// The person of that account with every membership, whatever the account's status; `None` when there is no such
    /// account or it is deleted.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn person(&self, id: UserId) -> Result<Option<Person>, PortError>;
}
