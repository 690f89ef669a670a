//! The use cases: authorise, load, decide, commit.
//!
//! Each module adds methods to [`Tickets`] for one kind of work. All changes of an existing ticket go through
//! [`Tickets::change`], which loads, checks the precondition, lets the decision be made on a draft, commits it, and
//! decides anew when someone else was faster.

mod attachments;
mod auto_close;
mod carry;
mod cc;
mod conversation;
mod create;
mod drafts;
mod edit;
mod explain;
mod field_definitions;
mod field_error;
mod followers;
mod import;
mod import_past;
mod job_error;
mod jobs;
mod joint;
mod ratings;
mod read;
mod routing;
mod routing_error;
mod saved_view_error;
mod saved_views;
mod search;
mod survey;
mod view;
mod workflow;

use std::sync::Arc;

use events::{Cause, Event, Fact, TicketFact};
pub use kernel::Guard;
use kernel::{Actor, Clock, IdSource, PortError, STALE_TRIES_MAX, Violation};
use serde_json::json;

use crate::Settings;
use crate::draft::{Circumstances, Draft};
use crate::error::TicketError;
use crate::field_definition::FieldSet;
use crate::policy::{Operation, Relation, permits};
use crate::port::{CommitError, Directory, Markup, Reference, TicketCommit, TicketStore, TicketWrite};
use crate::service_level::{NoServiceLevels, ServiceLevels, TicketChange, history_of};
use crate::ticket::{Activity, ActivityId, Ticket, TicketKey};

pub use attachments::{AttachmentError, AttachmentSettings, Attachments, Download, Upload, Uploaded};
pub use auto_close::AutoClose;
pub use carry::{Deed, DeedOrigin, DeedResult, Deeds};
pub use conversation::Reply;
pub use create::NewTicket;
pub use drafts::{DRAFTS_KEPT, Drafts, Unsent, UnsentStore};
pub use edit::Edit;
pub use explain::Explanation;
pub use field_definitions::{FieldChange, FieldDefinitions, NewField};
pub use field_error::FieldError;
pub use import::{Import, ImportRow, ImportStore, Imported, ImportedTicket, LongSubject, RawRow};
pub use import_past::{PAST_MESSAGES_MAX, Past, PastMessage};
pub use job_error::JobError;
pub use jobs::{JobAction, Jobs};
pub use joint::SPLIT_MAX_MESSAGES;
pub use ratings::{Ratable, Ratings};
pub use routing::{AvailabilityChange, Routing, RoutingChange};
pub use routing_error::RoutingError;
pub use saved_view_error::SavedViewError;
pub use saved_views::{
    NewView, SavedViews, VIEW_COUNT_MAX_TICKETS, VIEWS_COUNTED_MAX, ViewAction, ViewChange, ViewCount,
    ViewExplanation,
};
pub use search::{Found, Search};
pub use survey::SatisfactionSurvey;
pub use view::{Related, RelatedWish, TicketView, Written};

/// Who tells of clocks, in events and in the history.
const SLA: &str = "sla";
/// How often a new ticket takes the next number when another writer used one of ours.
const NUMBER_TRIES_MAX: u32 = 5;

/// The use cases on tickets.
pub struct Tickets {
    store: Arc<dyn TicketStore>,
    directory: Arc<dyn Directory>,
    markup: Arc<dyn Markup>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    settings: Settings,
    fields: Option<Arc<FieldDefinitions>>,
    levels: Arc<dyn ServiceLevels>,
}

impl Tickets {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(
        store: Arc<dyn TicketStore>,
        directory: Arc<dyn Directory>,
        markup: Arc<dyn Markup>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        settings: Settings,
    ) -> Self {
        Self {
            store,
            directory,
            markup,
            clock,
            ids,
            settings,
            fields: None,
            levels: Arc::new(NoServiceLevels),
        }
    }

    /// The same, with clocks that follow each change.
    #[must_use]
    pub fn promising(mut self, levels: Arc<dyn ServiceLevels>) -> Self {
        self.levels = levels;
        self
    }

    /// The same, with custom fields checked by these definitions.
    #[must_use]
    pub fn checking(mut self, fields: Arc<FieldDefinitions>) -> Self {
        self.fields = Some(fields);
        self
    }

    /// The desk's choices in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What custom fields are checked by.
    async fn field_set(&self) -> Result<Arc<FieldSet>, TicketError> {
        match &self.fields {
            Some(fields) => Ok(fields.known().await?),
            None => Ok(Arc::default()),
        }
    }

    /// Lets the clocks follow what was decided, which then is stored with it and shown by the ticket.
    async fn let_clocks_follow(
        &self,
        commit: &mut TicketCommit,
        ticket: &mut Ticket,
        circumstances: &Circumstances<'_>,
    ) -> Result<(), PortError> {
        let is_new = match &commit.ticket {
            TicketWrite::Insert(_) => true,
            TicketWrite::Update { .. } => false,
            TicketWrite::Unchanged => return Ok(()),
        };
        let facts: Vec<_> = commit.events.iter().filter_map(what).cloned().collect();
        let now = circumstances.now;
        let change = TicketChange {
            ticket,
            is_new,
            at: now,
            facts: &facts,
        };
        let Some(mut write) = self.levels.follow(&change).await? else {
            return Ok(());
        };
        ticket.sla_policy = write.policy;
        ticket.sla_due_at = write.due_at;
        ticket.sla_breached = write.is_breached;
        if let TicketWrite::Insert(stored) | TicketWrite::Update { ticket: stored, .. } = &mut commit.ticket {
            **stored = ticket.clone();
        }
        let said = std::mem::take(&mut write.said);
        for fact in &said {
            if let Some((kind, value)) = history_of(fact) {
                commit.activities.push(Activity {
                    id: ActivityId::new(circumstances.ids),
                    ticket: ticket.id,
                    actor: None,
                    action: kind.to_owned(),
                    old_value: None,
                    new_value: Some(value),
                    metadata: json!({ "system": SLA }),
                    created_at: now,
                });
            }
        }
        // It came due before what happened now.
        let earlier = said.into_iter().map(|what| {
            let ticket = ticket.summary();
            let fact = Fact::Ticket { ticket, what };
            Event::caused(circumstances.ids, now, Cause::System(SLA.to_owned()), None, fact)
        });
        let earlier: Vec<_> = earlier.collect();
        commit.events.splice(..0, earlier);
        commit.clocks = Some(write);
        Ok(())
    }

    /// Whether a refused commit is to be decided anew.
    fn is_overtaken(&self, error: &CommitError) -> bool {
        match error {
            CommitError::Stale => true,
            // It was known from before: another node deleted it.
            CommitError::Dangling(Reference::SlaPolicy) => {
                self.levels.forget();
                true
            }
            CommitError::Dangling(Reference::Requester | Reference::Assignee | Reference::Team)
            | CommitError::Repeated
            | CommitError::NumberTaken
            | CommitError::Port(_) => false,
        }
    }

    fn circumstances<'a>(&'a self, actor: &'a Actor) -> Circumstances<'a> {
        Circumstances {
            actor,
            now: self.clock.now(),
            ids: self.ids.as_ref(),
            settings: &self.settings,
            markup: self.markup.as_ref(),
        }
    }

    /// Loads a ticket that the actor may see, whatever became of it since.
    async fn visible(&self, actor: &Actor, key: &TicketKey) -> Result<(Ticket, Relation), TicketError> {
        let ticket = self.store.find(key).await?.ok_or(TicketError::NotFound)?;
        let relation = Relation::of(actor, &ticket);
        let restorable = permits(relation, Operation::Restore, &ticket, &self.settings);
        if relation == Relation::None || (ticket.deleted_at.is_some() && !restorable) {
            return Err(TicketError::NotFound);
        }
        Ok((ticket, relation))
    }

    /// Loads a ticket that the actor may see and that is not deleted. An administrator hears that it is.
    async fn live(&self, actor: &Actor, key: &TicketKey) -> Result<(Ticket, Relation), TicketError> {
        let (ticket, relation) = self.visible(actor, key).await?;
        match (ticket.deleted_at, relation) {
            (None, _) => Ok((ticket, relation)),
            (Some(_), Relation::Admin) => Err(TicketError::Deleted),
            (Some(_), _) => Err(TicketError::NotFound),
        }
    }

    /// Loads a ticket for showing what lies in it: a deleted one is there for nobody.
    async fn shown(&self, actor: &Actor, key: &TicketKey) -> Result<(Ticket, Relation), TicketError> {
        match self.live(actor, key).await {
            Err(TicketError::Deleted) => Err(TicketError::NotFound),
            other => other,
        }
    }

    /// Changes a live ticket by one decision.
    async fn change<T, D>(
        &self,
        actor: &Actor,
        key: &TicketKey,
        guard: Guard<'_, Written<T>>,
        decide: D,
    ) -> Result<Written<T>, TicketError>
    where
        D: Fn(&mut Draft<'_>) -> Result<T, TicketError> + Send + Sync,
        T: Send + Sync,
    {
        self.change_if(actor, key, guard, Existence::Live, decide).await
    }

    async fn change_if<T, D>(
        &self,
        actor: &Actor,
        key: &TicketKey,
        guard: Guard<'_, Written<T>>,
        existence: Existence,
        decide: D,
    ) -> Result<Written<T>, TicketError>
    where
        D: Fn(&mut Draft<'_>) -> Result<T, TicketError> + Send + Sync,
        T: Send + Sync,
    {
        let load = move || async move {
            let (ticket, relation) = match existence {
                Existence::Live => self.live(actor, key).await?,
                Existence::Any => self.visible(actor, key).await?,
            };
            Ok((ticket, relation, ()))
        };
        self.settle(actor, guard, load, |draft, ()| decide(draft)).await
    }

    /// Loads a ticket with what else the decision needs, decides and commits, again as often as somebody else was faster.
    /// What is read after the ticket may be relied upon: whoever changed it since moved the ticket's version, too.
    async fn settle<T, K, L>(
        &self,
        actor: &Actor,
        guard: Guard<'_, Written<T>>,
        load: impl Fn() -> L + Send,
        decide: impl Fn(&mut Draft<'_>, K) -> Result<T, TicketError> + Send + Sync,
    ) -> Result<Written<T>, TicketError>
    where
        T: Send + Sync,
        K: Send,
        L: Future<Output = Result<(Ticket, Relation, K), TicketError>> + Send,
    {
        for _ in 0..STALE_TRIES_MAX {
            let (ticket, relation, known) = load().await?;
            let decide = |draft: &mut Draft<'_>| decide(draft, known);
            if let Some(written) = self.attempt(actor, ticket, relation, guard, decide).await? {
                return Ok(written);
            }
        }
        Err(TicketError::Stale { current: None })
    }

    /// Decides and commits once, on a ticket as it was loaded; `None` when somebody else was faster.
    async fn attempt<T, D>(
        &self,
        actor: &Actor,
        ticket: Ticket,
        relation: Relation,
        guard: Guard<'_, Written<T>>,
        decide: D,
    ) -> Result<Option<Written<T>>, TicketError>
    where
        D: FnOnce(&mut Draft<'_>) -> Result<T, TicketError> + Send,
        T: Send + Sync,
    {
        let (commit, written) = self.decided(actor, ticket, relation, guard, decide).await?;
        if is_empty(&commit) {
            return Ok(Some(written));
        }
        match self.store.commit(commit).await {
            Ok(()) => Ok(Some(written)),
            Err(error) if self.is_overtaken(&error) => Ok(None),
            Err(error) => Err(refused(error)),
        }
    }

    /// Decides on a ticket as it was loaded: what is to be stored, with its receipt, and what came of it.
    async fn decided<T, D>(
        &self,
        actor: &Actor,
        ticket: Ticket,
        relation: Relation,
        guard: Guard<'_, Written<T>>,
        decide: D,
    ) -> Result<(TicketCommit, Written<T>), TicketError>
    where
        D: FnOnce(&mut Draft<'_>) -> Result<T, TicketError> + Send,
        T: Send + Sync,
    {
        let audience = relation.audience().ok_or(TicketError::NotFound)?;
        let current = ticket.face(audience).version;
        if guard.expected.is_some_and(|expected| expected != current) {
            return Err(TicketError::Stale {
                current: Some(current),
            });
        }
        let circumstances = self.circumstances(actor);
        let mut draft = Draft::change(&circumstances, ticket);
        let detail = decide(&mut draft)?;
        let (mut commit, mut ticket) = draft.finish();
        self.let_clocks_follow(&mut commit, &mut ticket, &circumstances)
            .await?;
        let view = TicketView::new(ticket, relation, actor, circumstances.now, &self.settings);
        let written = Written { view, detail };
        commit.receipt = (guard.receipt)(&written);
        Ok((commit, written))
    }
}

/// Whether there is nothing to store: no change, and no answer to keep.
fn is_empty(commit: &TicketCommit) -> bool {
    commit.ticket == TicketWrite::Unchanged && commit.receipt.is_none()
}

/// What an event says of a ticket.
fn what(event: &Event) -> Option<&TicketFact> {
    match &event.fact {
        Fact::Ticket { ticket: _, what } => Some(what),
        Fact::Identity(_) | Fact::Knowledge(_) => None,
    }
}

/// Whether a deleted ticket can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existence {
    Live,
    Any,
}

/// Gives a refused commit its meaning. Staleness and number clashes are settled before it comes to this.
fn refused(error: CommitError) -> TicketError {
    match error {
        CommitError::Stale | CommitError::NumberTaken => TicketError::Stale { current: None },
        CommitError::Repeated => TicketError::Repeated,
        CommitError::Dangling(reference) => dangling(reference).into(),
        CommitError::Port(error) => error.into(),
    }
}

fn dangling(reference: Reference) -> Violation {
    let pointer = match reference {
        Reference::Requester => "/createdById",
        Reference::Assignee => "/agentId",
        Reference::Team => "/teamId",
        Reference::SlaPolicy => "/slaPolicyId",
    };
    Violation::new(pointer, "unknown", format!("{reference} does not exist"))
}
