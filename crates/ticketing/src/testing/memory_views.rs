//! Saved views in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kernel::{Page, PageLimit, PortError, Receipt};

use super::memory::same_request;
use crate::saved_view::port::{SavedViewStore, ViewCommit, ViewCommitError, ViewWrite};
use crate::saved_view::rights::ViewReach;
use crate::saved_view::{SavedView, SavedViewId, VIEWS_MAX, ViewHolder, ViewPosition};

#[derive(Default)]
struct State {
    views: HashMap<SavedViewId, SavedView>,
    receipts: Vec<Receipt>,
}

/// Saved views in memory.
#[derive(Default)]
pub struct MemoryViews(Mutex<State>);

impl MemoryViews {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, holder: ViewHolder) -> bool {
        let held = self.views.values().filter(|view| view.holder == holder).count();
        i64::try_from(held).is_ok_and(|held| held < VIEWS_MAX)
    }

    fn is_at(&self, id: SavedViewId, version: kernel::Version) -> bool {
        self.views.get(&id).is_some_and(|view| view.version == version)
    }
}

#[async_trait]
impl SavedViewStore for MemoryViews {
    async fn view(&self, id: SavedViewId) -> Result<Option<SavedView>, PortError> {
        Ok(self.state().views.get(&id).cloned())
    }

    async fn views_by_id(&self, ids: &[SavedViewId]) -> Result<Vec<SavedView>, PortError> {
        let state = self.state();
        Ok(ids.iter().filter_map(|id| state.views.get(id).cloned()).collect())
    }

    async fn views(
        &self,
        reach: &ViewReach,
        after: Option<ViewPosition>,
        limit: PageLimit,
    ) -> Result<Page<SavedView, ViewPosition>, PortError> {
        let state = self.state();
        let mut views: Vec<_> = state
            .views
            .values()
            .filter(|view| reach.contains(view.holder))
            .filter(|view| after.is_none_or(|after| view.position() > after))
            .cloned()
            .collect();
        views.sort_by_key(SavedView::position);
        views.truncate(limit.rows() + 1);
        Ok(Page::from_rows(views, limit, SavedView::position))
    }

    async fn commit(&self, commit: ViewCommit) -> Result<(), ViewCommitError> {
        let ViewCommit { write, receipt } = commit;
        let mut state = self.state();
        if let Some(receipt) = &receipt
            && state.receipts.iter().any(|stored| same_request(stored, receipt))
        {
            return Err(ViewCommitError::Repeated);
        }
        match write {
            ViewWrite::Insert(view) => {
                if !state.has_room(view.holder) {
                    return Err(ViewCommitError::TooMany);
                }
                state.views.insert(view.id, *view);
            }
            ViewWrite::Update {
                view,
                expected,
                is_moved,
            } => {
                if !state.is_at(view.id, expected) {
                    return Err(ViewCommitError::Stale);
                }
                if is_moved && !state.has_room(view.holder) {
                    return Err(ViewCommitError::TooMany);
                }
                state.views.insert(view.id, *view);
            }
            ViewWrite::Keep { id, expected } => {
                if !state.is_at(id, expected) {
                    return Err(ViewCommitError::Stale);
                }
            }
            ViewWrite::Delete { id, expected } => {
                if !state.is_at(id, expected) {
                    return Err(ViewCommitError::Stale);
                }
                state.views.remove(&id);
            }
        }
        state.receipts.extend(receipt);
        Ok(())
    }
}
