//! What definitions of custom fields ask of a store. The PostgreSQL adapter and the in-memory fake pass the same suite,
//! [`testing::contract_fields`](crate::testing::contract_fields).

use async_trait::async_trait;
use kernel::{PortError, Receipt, Version};

use super::{FieldDefinition, FieldId};

/// Keeps definitions of custom fields.
#[async_trait]
pub trait FieldStore: Send + Sync {
    /// All definitions, by their places, those of one place by their names.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no definition.
    async fn fields(&self) -> Result<Vec<FieldDefinition>, PortError>;

    /// Stores a decision with its receipt whole, or nothing of it. Must never keep more than
    /// [`FIELDS_MAX`](super::FIELDS_MAX) definitions, nor two of one name, however many commits there are at once.
    ///
    /// # Errors
    /// See [`FieldCommitError`].
    async fn commit(&self, commit: FieldCommit) -> Result<(), FieldCommitError>;
}

/// Everything that one decision makes durable.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that is not committed never happened"]
pub struct FieldCommit {
    /// What becomes of the definition.
    pub write: FieldWrite,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// What a commit does to a definition. The store must refuse when the stored version is not `expected`.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldWrite {
    /// It is new.
    Insert(Box<FieldDefinition>),
    /// It changes, or stays as it is with only the receipt kept.
    Update {
        /// The definition as it is to be.
        field: Box<FieldDefinition>,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// It goes.
    Delete {
        /// Which.
        id: FieldId,
        /// The version that the decision was made on.
        expected: Version,
    },
}

/// Why a commit was not stored. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum FieldCommitError {
    /// The definition moved on since it was read, or is gone.
    #[error("the definition is at another version")]
    Stale,
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// Another definition has the name.
    #[error("another definition has the name")]
    NameTaken,
    /// There are as many as there can be.
    #[error("there are as many definitions as there can be")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}
