//! What saved views ask of a store. The PostgreSQL adapter and the in-memory fake pass the same suite,
//! [`testing::contract_views`](crate::testing::contract_views).

use async_trait::async_trait;
use kernel::{Page, PageLimit, PortError, Receipt, Version};

use super::rights::ViewReach;
use super::{SavedView, SavedViewId, ViewPosition};

/// Keeps saved views.
#[async_trait]
pub trait SavedViewStore: Send + Sync {
    /// A view, whoever may see it.
    ///
    /// # Errors
    /// When the store cannot be reached, or the row is no view.
    async fn view(&self, id: SavedViewId) -> Result<Option<SavedView>, PortError>;

    /// The views of these ids that there are, whoever may see them, in any order.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no view.
    async fn views_by_id(&self, ids: &[SavedViewId]) -> Result<Vec<SavedView>, PortError>;

    /// One page of the views in `reach`, in the order of [`ViewPosition`]. Must not give a view outside of it.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no view.
    async fn views(
        &self,
        reach: &ViewReach,
        after: Option<ViewPosition>,
        limit: PageLimit,
    ) -> Result<Page<SavedView, ViewPosition>, PortError>;

    /// Stores a decision with its receipt whole, or nothing of it. Must never let a holder have more than
    /// [`VIEWS_MAX`](super::VIEWS_MAX), however many commits there are at once.
    ///
    /// # Errors
    /// See [`ViewCommitError`].
    async fn commit(&self, commit: ViewCommit) -> Result<(), ViewCommitError>;
}

/// Everything that one decision makes durable.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that is not committed never happened"]
pub struct ViewCommit {
    /// What becomes of the view.
    pub write: ViewWrite,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// What a commit does to a view. The store must refuse when the stored version is not `expected`.
#[derive(Debug, Clone, PartialEq)]
pub enum ViewWrite {
    /// It is new.
    Insert(Box<SavedView>),
    /// It changes.
    Update {
        /// The view as it is to be.
        view: Box<SavedView>,
        /// The version that the decision was made on.
        expected: Version,
        /// Whether it has another holder from now on.
        is_moved: bool,
    },
    /// It stays as it is; only the receipt is kept.
    Keep {
        /// Which.
        id: SavedViewId,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// It goes.
    Delete {
        /// Which.
        id: SavedViewId,
        /// The version that the decision was made on.
        expected: Version,
    },
}

/// Why a commit was not stored. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ViewCommitError {
    /// The view moved on since it was read, or is gone.
    #[error("the view is at another version")]
    Stale,
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// Its holder has as many as there can be.
    #[error("the holder has as many views as there can be")]
    TooMany,
    /// The team is gone.
    #[error("the team does not exist")]
    NoTeam,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}
