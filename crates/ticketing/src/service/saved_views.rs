//! Saved views: making, showing, changing and deleting them, and looking through them.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Page, PageLimit, Patch, PortError, TeamId, Version, Violation};

use super::read::{is_out_of_reach, scope};
use super::saved_view_error::SavedViewError;
use super::{Guard, STALE_TRIES_MAX, Tickets};
use crate::error::TicketError;
use crate::query::{Sort, TicketFilter, TicketQuery};
use crate::saved_view::port::{SavedViewStore, ViewCommit, ViewCommitError, ViewWrite};
use crate::saved_view::rights::{ViewReach, ViewRight};
use crate::saved_view::{
    SavedView, SavedViewId, ViewFilter, ViewHolder, ViewName, ViewPlace, ViewPosition, ViewVisibility,
};

/// The most views that one question for counts can be about.
pub const VIEWS_COUNTED_MAX: usize = 50;
/// The tickets of a view are counted so far, and beyond it called more.
pub const VIEW_COUNT_MAX_TICKETS: i64 = 1_000;

/// The use cases of saved views.
pub struct SavedViews {
    store: Arc<dyn SavedViewStore>,
    tickets: Arc<Tickets>,
}

/// A view to make.
#[derive(Debug, Clone, PartialEq)]
pub struct NewView {
    /// What it is to be called.
    pub name: ViewName,
    /// Which tickets it is to select; `None` for all.
    pub filter: Option<ViewFilter>,
    /// In which order.
    pub sort: Sort,
    /// Its place among the views of its kind.
    pub place: ViewPlace,
    /// Who it is to be there for.
    pub visibility: ViewVisibility,
    /// The team, where it is to be one's.
    pub team: Option<TeamId>,
}

/// What to change of a view; `None` keeps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ViewChange {
    /// Another name.
    pub name: Option<ViewName>,
    /// Another condition, whole, or none any more.
    pub filter: Patch<ViewFilter>,
    /// Another order.
    pub sort: Option<Sort>,
    /// Another place.
    pub place: Option<ViewPlace>,
    /// That it be there for others; `Own` makes it the caller's.
    pub visibility: Option<ViewVisibility>,
    /// Another team, or none any more.
    pub team: Patch<TeamId>,
}

/// How many tickets one sees through a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewCount {
    /// The view.
    pub view: SavedViewId,
    /// So many, up to [`VIEW_COUNT_MAX_TICKETS`].
    pub tickets: i64,
    /// Whether there are more.
    pub is_more: bool,
}

/// What can be done with a view that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewAction {
    /// See it, and look through it.
    Read,
    /// Change it.
    Change,
    /// Delete it.
    Delete,
}

/// What decides about an action of someone on a view.
#[derive(Debug)]
pub struct ViewExplanation {
    /// Who may, in a sentence.
    pub rule: &'static str,
    /// Why it would be refused; `None` when it would not.
    pub refusal: Option<SavedViewError>,
}

impl ViewAction {
    fn needs(self) -> ViewRight {
        match self {
            ViewAction::Read => ViewRight::Read,
            ViewAction::Change | ViewAction::Delete => ViewRight::Write,
        }
    }

    fn rule(self, holder: ViewHolder) -> &'static str {
        match (holder, self) {
            (ViewHolder::Person(_), _) => "Its owner alone may.",
            (ViewHolder::Team(_), ViewAction::Read) => "Members of its team and administrators may.",
            (ViewHolder::Team(_), ViewAction::Change | ViewAction::Delete) => {
                "Supervisors and leads of its team and administrators may."
            }
            (ViewHolder::Desk, ViewAction::Read) => "All staff may.",
            (ViewHolder::Desk, ViewAction::Change | ViewAction::Delete) => "Administrators may.",
        }
    }
}

impl SavedViews {
    /// The views of this store, looking at these tickets.
    #[must_use]
    pub fn new(store: Arc<dyn SavedViewStore>, tickets: Arc<Tickets>) -> Self {
        Self { store, tickets }
    }

    /// Makes a view.
    ///
    /// # Errors
    /// [`SavedViewError::Forbidden`] where the caller may not write the views of whoever is to have it,
    /// [`SavedViewError::TooMany`] where those are as many as there can be.
    pub async fn create(
        &self,
        actor: &Actor,
        new: NewView,
        receipt: ReceiptFor<'_, SavedView>,
    ) -> Result<SavedView, SavedViewError> {
        open(actor)?;
        let NewView {
            name,
            filter,
            sort,
            place,
            visibility,
            team,
        } = new;
        let team = team.map_or(Patch::Keep, Patch::Set);
        let holder = self.holder(actor, visibility, team, None).await?;
        let now = self.tickets.clock.now();
        let view = SavedView {
            id: SavedViewId::new(self.tickets.ids.as_ref()),
            name,
            filter,
            sort,
            place,
            holder,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
        };
        let commit = ViewCommit {
            receipt: receipt(&view),
            write: ViewWrite::Insert(Box::new(view.clone())),
        };
        self.store.commit(commit).await.map_err(refused)?;
        Ok(view)
    }

    /// One page of the views that the caller sees: one's own, the teams', the shared, each by their places.
    ///
    /// # Errors
    /// [`SavedViewError::Forbidden`] for customers.
    pub async fn list(
        &self,
        actor: &Actor,
        after: Option<ViewPosition>,
        limit: PageLimit,
    ) -> Result<Page<SavedView, ViewPosition>, SavedViewError> {
        let reach = open(actor)?;
        Ok(self.store.views(&reach, after, limit).await?)
    }

    /// One view.
    ///
    /// # Errors
    /// [`SavedViewError::NotFound`] for one that the caller may not see.
    pub async fn show(&self, actor: &Actor, id: SavedViewId) -> Result<SavedView, SavedViewError> {
        open(actor)?;
        let view = self.store.view(id).await?.ok_or(SavedViewError::NotFound)?;
        allow(actor, view.holder, ViewRight::Read)?;
        Ok(view)
    }

    /// Changes a view. Who gives it to others must be allowed to write their views, too.
    ///
    /// # Errors
    /// As for [`SavedViews::create`]; [`SavedViewError::Stale`] for a failed precondition.
    pub async fn change(
        &self,
        actor: &Actor,
        id: SavedViewId,
        change: &ViewChange,
        guard: Guard<'_, SavedView>,
    ) -> Result<SavedView, SavedViewError> {
        for _ in 0..STALE_TRIES_MAX {
            let view = self.writable(actor, id, guard.expected).await?;
            let holder = match (change.visibility, &change.team) {
                (None, Patch::Keep) => view.holder,
                (visibility, team) => {
                    let visibility = visibility.unwrap_or(view.holder.visibility());
                    self.holder(actor, visibility, team.clone(), Some(view.holder))
                        .await?
                }
            };
            let changed = changed(&view, change.clone(), holder, self.tickets.clock.now());
            let receipt = (guard.receipt)(&changed);
            let write = if changed != view {
                ViewWrite::Update {
                    is_moved: changed.holder != view.holder,
                    view: Box::new(changed.clone()),
                    expected: view.version,
                }
            } else if receipt.is_some() {
                ViewWrite::Keep {
                    id,
                    expected: view.version,
                }
            } else {
                return Ok(changed);
            };
            match self.store.commit(ViewCommit { write, receipt }).await {
                Ok(()) => return Ok(changed),
                Err(ViewCommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(SavedViewError::Stale { current: None })
    }

    /// Deletes a view.
    ///
    /// # Errors
    /// As for [`SavedViews::change`].
    pub async fn delete(
        &self,
        actor: &Actor,
        id: SavedViewId,
        guard: Guard<'_, ()>,
    ) -> Result<(), SavedViewError> {
        for _ in 0..STALE_TRIES_MAX {
            let view = self.writable(actor, id, guard.expected).await?;
            let commit = ViewCommit {
                write: ViewWrite::Delete {
                    id,
                    expected: view.version,
                },
                receipt: (guard.receipt)(&()),
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(ViewCommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(SavedViewError::Stale { current: None })
    }

    /// A view, and the question that the caller asks by looking through it now; its page is the first. Whoever asks it
    /// by [`Tickets::list`] gets what their own list gives, and nothing more.
    ///
    /// # Errors
    /// As for [`SavedViews::show`].
    pub async fn query(
        &self,
        actor: &Actor,
        id: SavedViewId,
    ) -> Result<(SavedView, TicketQuery), SavedViewError> {
        let view = self.show(actor, id).await?;
        let query = TicketQuery {
            filter: self.filter(actor, &view)?,
            sort: view.sort,
            ..TicketQuery::default()
        };
        Ok((view, query))
    }

    /// How many tickets the caller sees through each of these views, or through the first that they see; up to
    /// [`VIEWS_COUNTED_MAX`] views. Views that do not exist for the caller are left out.
    ///
    /// # Errors
    /// [`SavedViewError::Forbidden`] for customers.
    pub async fn counts(
        &self,
        actor: &Actor,
        ids: Option<&[SavedViewId]>,
    ) -> Result<Vec<ViewCount>, SavedViewError> {
        let reach = open(actor)?;
        let views = match ids {
            Some(ids) => self.named(&reach, ids).await?,
            None => self.store.views(&reach, None, counted_at_once()).await?.items,
        };
        let filters = views.iter().map(|view| self.filter(actor, view));
        let filters = filters.collect::<Result<Vec<_>, _>>()?;
        let counts = self
            .tickets
            .count_each(actor, filters, VIEW_COUNT_MAX_TICKETS + 1)
            .await?;
        let count = |(view, tickets): (&SavedView, i64)| ViewCount {
            view: view.id,
            tickets: tickets.min(VIEW_COUNT_MAX_TICKETS),
            is_more: tickets > VIEW_COUNT_MAX_TICKETS,
        };
        Ok(views.iter().zip(counts).map(count).collect())
    }

    /// Why `actor` can or cannot do something with a view: what they would hear if they tried.
    ///
    /// # Errors
    /// [`SavedViewError::NotFound`] where trying would say so.
    pub async fn explain(
        &self,
        actor: &Actor,
        id: SavedViewId,
        action: ViewAction,
    ) -> Result<ViewExplanation, SavedViewError> {
        if let Err(refusal) = open(actor) {
            return Ok(ViewExplanation {
                rule: "Staff may, each those views that are theirs.",
                refusal: Some(refusal),
            });
        }
        let view = self.show(actor, id).await?;
        Ok(ViewExplanation {
            rule: action.rule(view.holder),
            refusal: allow(actor, view.holder, action.needs()).err(),
        })
    }

    /// The views of these ids that the caller sees, each once, in the order of the ids.
    async fn named(&self, reach: &ViewReach, ids: &[SavedViewId]) -> Result<Vec<SavedView>, SavedViewError> {
        let mut seen = HashSet::new();
        let mut ids = ids.to_vec();
        ids.retain(|id| seen.insert(id.0));
        ids.truncate(VIEWS_COUNTED_MAX);
        let mut views = self.store.views_by_id(&ids).await?;
        views.retain(|view| reach.contains(view.holder));
        views.sort_by_key(|view| ids.iter().position(|id| *id == view.id));
        Ok(views)
    }

    /// A view that the caller may write, at the version that they saw.
    async fn writable(
        &self,
        actor: &Actor,
        id: SavedViewId,
        expected: Option<Version>,
    ) -> Result<SavedView, SavedViewError> {
        let view = self.show(actor, id).await?;
        allow(actor, view.holder, ViewRight::Write)?;
        if expected.is_some_and(|expected| expected != view.version) {
            return Err(SavedViewError::Stale {
                current: Some(view.version),
            });
        }
        Ok(view)
    }

    /// Whose a view is to be that is `present`'s, if it is there already.
    async fn holder(
        &self,
        actor: &Actor,
        visibility: ViewVisibility,
        team: Patch<TeamId>,
        present: Option<ViewHolder>,
    ) -> Result<ViewHolder, SavedViewError> {
        let holder = match (visibility, team) {
            (ViewVisibility::Team, Patch::Set(team)) => ViewHolder::Team(team),
            (ViewVisibility::Team, Patch::Keep) => match present {
                Some(ViewHolder::Team(team)) => ViewHolder::Team(team),
                Some(ViewHolder::Person(_) | ViewHolder::Desk) | None => return Err(team_missing()),
            },
            (ViewVisibility::Team, Patch::Clear) => return Err(team_missing()),
            (ViewVisibility::Own | ViewVisibility::Shared, Patch::Set(_)) => {
                let message = "is for views of the visibility team";
                return Err(Violation::new("/teamId", "not_allowed", message).into());
            }
            (ViewVisibility::Own, Patch::Keep | Patch::Clear) => {
                let owner = actor
                    .user_id()
                    .ok_or(SavedViewError::Forbidden("have views of your own"))?;
                ViewHolder::Person(owner)
            }
            (ViewVisibility::Shared, Patch::Keep | Patch::Clear) => ViewHolder::Desk,
        };
        if present == Some(holder) {
            return Ok(holder);
        }
        match allow(actor, holder, ViewRight::Write) {
            // The views are hidden; that there is the team is known to all staff.
            Err(SavedViewError::NotFound) => return Err(not_written(holder)),
            other => other?,
        }
        if let ViewHolder::Team(team) = holder
            && !self.tickets.directory.team_exists(team).await?
        {
            return Err(team_unknown());
        }
        Ok(holder)
    }

    /// A view's condition as the caller's own, now.
    fn filter(&self, actor: &Actor, view: &SavedView) -> Result<TicketFilter, SavedViewError> {
        let all = TicketFilter::default();
        let Some(filter) = &view.filter else {
            return Ok(all);
        };
        let settled = self.tickets.narrowed(actor, all, filter.as_json(), "");
        settled.map_err(|violations| {
            PortError::Corrupt {
                table: "ticket_views",
                column: "filter",
                id: view.id.to_string(),
                detail: violations.to_string(),
            }
            .into()
        })
    }
}

impl Tickets {
    /// How many tickets of the caller's own list each filter selects, none of them counted beyond `rows_max`. The filters
    /// are [narrowed](Tickets::narrowed) ones, which leave the caller's scope as it is.
    async fn count_each(
        &self,
        actor: &Actor,
        filters: Vec<TicketFilter>,
        rows_max: i64,
    ) -> Result<Vec<i64>, TicketError> {
        let scope = scope(actor, &TicketFilter::default());
        let is_reached: Vec<bool> = filters
            .iter()
            .map(|filter| !is_out_of_reach(&scope, filter))
            .collect();
        let mut reached = filters;
        let mut asked = is_reached.iter();
        reached.retain(|_| asked.next() == Some(&true));
        let counted = if reached.is_empty() {
            Vec::new()
        } else {
            self.store.count_each(&scope, &reached, rows_max).await?
        };
        let mut counted = counted.into_iter();
        let count = |is_reached: bool| {
            if is_reached {
                counted.next().unwrap_or(0)
            } else {
                0
            }
        };
        Ok(is_reached.into_iter().map(count).collect())
    }
}

/// What the caller sees of views at all.
fn open(actor: &Actor) -> Result<ViewReach, SavedViewError> {
    ViewReach::of(actor).ok_or(SavedViewError::Forbidden("use saved views; they are for staff"))
}

fn allow(actor: &Actor, holder: ViewHolder, needed: ViewRight) -> Result<(), SavedViewError> {
    match ViewRight::of(actor, holder) {
        right if right >= needed => Ok(()),
        ViewRight::Closed => open(actor).map(drop),
        ViewRight::Hidden => Err(SavedViewError::NotFound),
        ViewRight::Read | ViewRight::Write => Err(not_written(holder)),
    }
}

fn not_written(holder: ViewHolder) -> SavedViewError {
    SavedViewError::Forbidden(match holder {
        ViewHolder::Person(_) => "write the views of someone else",
        ViewHolder::Team(_) => "write the views of this team",
        ViewHolder::Desk => "write the views that all staff share",
    })
}

fn team_missing() -> SavedViewError {
    Violation::new("/teamId", "required", "must be given for the visibility team").into()
}

fn team_unknown() -> SavedViewError {
    Violation::new("/teamId", "unknown", "the team does not exist").into()
}

/// The view after the change; where nothing differs, it is as before.
fn changed(view: &SavedView, change: ViewChange, holder: ViewHolder, now: DateTime<Utc>) -> SavedView {
    let ViewChange {
        name,
        filter,
        sort,
        place,
        visibility: _,
        team: _,
    } = change;
    let mut changed = view.clone();
    changed.name = name.unwrap_or(changed.name);
    changed.filter = filter.apply(changed.filter);
    changed.sort = sort.unwrap_or(changed.sort);
    changed.place = place.unwrap_or(changed.place);
    changed.holder = holder;
    if changed != *view {
        changed.updated_at = now;
        changed.version = view.version.next();
    }
    changed
}

/// As many views as are counted at once, as a page.
fn counted_at_once() -> PageLimit {
    u8::try_from(VIEWS_COUNTED_MAX)
        .ok()
        .and_then(PageLimit::new)
        .unwrap_or_default()
}

fn refused(error: ViewCommitError) -> SavedViewError {
    match error {
        ViewCommitError::Stale => SavedViewError::Stale { current: None },
        ViewCommitError::Repeated => SavedViewError::Repeated,
        ViewCommitError::TooMany => SavedViewError::TooMany,
        ViewCommitError::NoTeam => team_unknown(),
        ViewCommitError::Port(error) => error.into(),
    }
}
