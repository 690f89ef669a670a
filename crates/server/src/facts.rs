//! What all nodes of one desk must agree on.

use async_trait::async_trait;
use kernel::PortError;

/// Keeps facts about the whole desk. A fact is stated once, and changed only by who knows the one before.
#[async_trait]
pub trait DeskFacts: Send + Sync {
    /// The fact of that name.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn read(&self, name: &str) -> Result<Option<String>, PortError>;

    /// States a fact unless it is stated already; gives the one that holds. Of several nodes that do so at once, must
    /// give all the same.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn state(&self, name: &str, value: &str) -> Result<String, PortError>;

    /// Puts `to` in the place of the fact `from`; gives the one that holds then.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn replace(&self, name: &str, from: &str, to: &str) -> Result<Option<String>, PortError>;
}
