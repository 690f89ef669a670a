//! Jobs: many tickets changed by one request, worked off bit by bit.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use kernel::receipt::ReceiptFor;
use kernel::{
    Actor, Classify as _, Page, PageLimit, Patch, Person, PortError, Role, SystemActor, TicketId, UserId,
    Version, Violation,
};

use serde_json::Value;

use super::job_error::JobError;
use super::read::{admitted, is_out_of_reach};
use super::workflow::give_to;
use super::{Edit, Guard, STALE_TRIES_MAX, Tickets, edit, refused};
use crate::bulk::port::{Claimed, ClaimedItem, JobStore, NewJob, StartError};
use crate::bulk::undo::{Undo, Was};
use crate::bulk::{
    BULK_IDS_MAX, BULK_SAMPLE_TICKETS, BULK_TICKETS_MAX, BulkChange, DoneItem, Foreseen, ItemOutcome,
    ItemPosition, ItemResult, Items, JOBS_KEPT, Job, JobId, JobItem, JobState, Preview, Tallied, Targets,
    Task,
};
use crate::draft::Draft;
use crate::error::TicketError;
use crate::field_definition::FieldSet;
use crate::policy::Relation;
use crate::port::{AssigneeFacts, Reference};
use crate::query::{Count, Scope, TicketFilter, TicketQuery};
use crate::ruling::Action;
use crate::ticket::{Ticket, TicketKey};

/// How many items a node does before others can take the job over, and before a cancelled one ends.
const ITEMS_AT_ONCE_MAX: i64 = 100;
/// How long a node may take for them. One that dies holds its job up for so long.
const LEASE: Duration = Duration::seconds(60);

/// The use cases of jobs.
pub struct Jobs {
    store: Arc<dyn JobStore>,
    tickets: Arc<Tickets>,
}

/// What is to be done to a ticket.
enum Aim<'a> {
    Change(&'a BulkChange),
    Undo(&'a Undo),
}

impl Aim<'_> {
    /// Who is to answer the ticket afterwards, where that is somebody.
    fn assignee(&self) -> Option<UserId> {
        match self {
            Aim::Change(BulkChange {
                assignee: Patch::Set(assignee),
                ..
            }) => Some(*assignee),
            Aim::Undo(Undo {
                assignee: Some(Was { before, .. }),
                ..
            }) => *before,
            Aim::Change(_) | Aim::Undo(_) => None,
        }
    }
}

/// What came of an aim on a draft.
struct Reached {
    undo: Undo,
    stays: Vec<&'static str>,
    is_changed: bool,
}

/// What can be done with a job that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobAction {
    /// See it and its items.
    Read,
    /// End it.
    Cancel,
    /// Take back what it changed.
    Undo,
}

impl Jobs {
    /// The jobs of this store, on these tickets.
    #[must_use]
    pub fn new(store: Arc<dyn JobStore>, tickets: Arc<Tickets>) -> Self {
        Self { store, tickets }
    }

    /// What a job would do, without doing anything: how many tickets it would be about, and what would come of the first
    /// [`BULK_SAMPLE_TICKETS`] of them.
    ///
    /// # Errors
    /// As for [`Jobs::start`], but for bounds on jobs.
    pub async fn preview(
        &self,
        actor: &Actor,
        targets: &Targets,
        change: &BulkChange,
    ) -> Result<Preview, JobError> {
        staff(actor)?;
        let (count, sample) = match targets {
            Targets::Ids(ids) => {
                let ids = each_once(ids)?;
                let mut sample = Vec::new();
                for id in ids.iter().take(BULK_SAMPLE_TICKETS) {
                    match self.tickets.live(actor, &TicketKey::Id(*id)).await {
                        Ok((ticket, _)) => sample.push(ticket),
                        Err(TicketError::NotFound | TicketError::Deleted) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
                (Count::Exact(count), sample)
            }
            Targets::Filter(condition) => {
                let (scope, filter) = self.selection(actor, condition)?;
                let query = TicketQuery {
                    limit: u8::try_from(BULK_SAMPLE_TICKETS)
                        .ok()
                        .and_then(PageLimit::new)
                        .unwrap_or_default(),
                    filter,
                    ..TicketQuery::default()
                };
                if is_out_of_reach(&scope, &query.filter) {
                    (Count::Exact(0), Vec::new())
                } else {
                    let count = self.tickets.store.count(&scope, &query).await?;
                    (count, self.tickets.store.list(&scope, &query).await?.items)
                }
            }
        };
        let facts = self.known_assignee(change).await?;
        let mut foreseen = Vec::new();
        for ticket in sample {
            if Relation::of(actor, &ticket) <= Relation::Requester {
                continue;
            }
            let result = self.foresee(actor, &ticket, change, facts.as_ref()).await?;
            foreseen.push(Foreseen { ticket, result });
        }
        Ok(Preview {
            count,
            sample: foreseen,
        })
    }

    /// Begins a job that changes tickets. Tickets that the caller may not change are refused one by one, when it comes to
    /// them.
    ///
    /// # Errors
    /// [`JobError::Forbidden`] for customers, [`JobError::Invalid`] for too many tickets, a condition that breaks rules, or an
    /// assignee who can be given no work; [`JobError::TooMany`] for too many jobs at once.
    pub async fn start(
        &self,
        actor: &Actor,
        targets: &Targets,
        change: &BulkChange,
        receipt: ReceiptFor<'_, Job>,
    ) -> Result<Job, JobError> {
        let owner = staff(actor)?;
        self.known_assignee(change).await?;
        let ids = match targets {
            Targets::Ids(ids) => each_once(ids)?,
            Targets::Filter(condition) => self.select(actor, condition).await?,
        };
        let total = i32::try_from(ids.len()).unwrap_or(i32::MAX);
        let job = self.new_job(owner, Task::Change(change.clone()), total);
        self.begin(job, Items::Tickets(ids), receipt).await
    }

    /// A job.
    ///
    /// # Errors
    /// [`JobError::NotFound`] for anyone but who asked for it and administrators.
    pub async fn show(&self, actor: &Actor, id: JobId) -> Result<Job, JobError> {
        let job = self.store.job(id).await?.ok_or(JobError::NotFound)?;
        let is_theirs = match actor {
            Actor::System(_) => true,
            Actor::Person(person) => {
                person.role == Role::Admin || (person.is_staff() && person.id == job.owner)
            }
        };
        if is_theirs {
            Ok(job)
        } else {
            Err(JobError::NotFound)
        }
    }

    /// One page of a job's items, all or those of one outcome.
    ///
    /// # Errors
    /// As for [`Jobs::show`].
    pub async fn items(
        &self,
        actor: &Actor,
        id: JobId,
        outcome: Option<ItemOutcome>,
        after: Option<ItemPosition>,
        limit: PageLimit,
    ) -> Result<Page<JobItem, ItemPosition>, JobError> {
        let job = self.show(actor, id).await?;
        Ok(self.store.items(job.id, outcome, after, limit).await?)
    }

    /// Ends a job: the node that is at it stops after the items that it took, a hundred at the most. What is done stays
    /// done. A job that is to end already stays so.
    ///
    /// # Errors
    /// [`JobError::Finished`] when there is nothing left to do.
    pub async fn cancel(&self, actor: &Actor, id: JobId, guard: Guard<'_, Job>) -> Result<Job, JobError> {
        for _ in 0..STALE_TRIES_MAX {
            let mut job = self.show(actor, id).await?;
            if guard.expected.is_some_and(|expected| expected != job.version) {
                return Err(JobError::Stale {
                    current: Some(job.version),
                });
            }
            cancellable(&job)?;
            let expected = job.version;
            job.state = JobState::Cancelling;
            job.version = expected.next();
            let receipt = (guard.receipt)(&job);
            match self.store.cancel(id, expected, receipt).await {
                Ok(()) => return Ok(job),
                Err(StartError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(JobError::Stale { current: None })
    }

    /// Begins a job that takes back what another one changed: status, priority, assignee and tags, of each ticket as far as
    /// nobody changed the same since.
    ///
    /// # Errors
    /// [`JobError::Unfinished`], [`JobError::NotUndoable`] and [`JobError::Undone`], as they say.
    pub async fn undo(
        &self,
        actor: &Actor,
        id: JobId,
        receipt: ReceiptFor<'_, Job>,
    ) -> Result<Job, JobError> {
        let owner = staff(actor)?;
        let undone = self.show(actor, id).await?;
        self.undoable(&undone)?;
        let job = self.new_job(owner, Task::Undo(id), undone.done.changed);
        self.begin(job, Items::ChangedBy(id), receipt).await
    }

    /// Why `actor` can or cannot do something with a job: what they would hear if they tried.
    ///
    /// # Errors
    /// [`JobError::NotFound`] where trying would say so.
    pub async fn explain(
        &self,
        actor: &Actor,
        id: JobId,
        action: JobAction,
    ) -> Result<Option<JobError>, JobError> {
        let job = self.show(actor, id).await?;
        Ok(match action {
            JobAction::Read => None,
            JobAction::Cancel => cancellable(&job).err(),
            JobAction::Undo => self.undoable(&job).err(),
        })
    }

    /// Takes the job that waited longest and does up to 100 of its items; gives the number done. Call again at once while it
    /// does any. Any number of nodes may: a job is with one of them at a time, and an item is done once even where a node
    /// dies in the middle.
    ///
    /// # Errors
    /// When a port fails. What was done until then stays done; the job goes on when its lease is over.
    pub async fn run_once(&self) -> Result<u64, JobError> {
        let now = self.tickets.clock.now();
        let Some(claimed) = self.store.claim(now, now + LEASE, ITEMS_AT_ONCE_MAX).await? else {
            return Ok(0);
        };
        let mut next = claimed.next;
        let mut done = 0;
        let mut end = None;
        if claimed.job.state != JobState::Cancelling {
            match self.owner_of(&claimed).await? {
                None => end = Some(JobState::Failed),
                Some(owner) => {
                    for item in &claimed.items {
                        self.work(&owner, &claimed.job, item).await?;
                        next = item.number + 1;
                        done += 1;
                    }
                    if claimed.items.is_empty() {
                        next = claimed.job.total + 1;
                    }
                }
            }
        }
        let now = self.tickets.clock.now();
        self.store.release(&claimed, next, end, now).await?;
        // A job that ended is something done, too: another one may wait behind it.
        Ok(done.max(1))
    }

    /// Forgets jobs that ended longer than [`JOBS_KEPT`] ago, up to `rows_max`; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn forget(&self, rows_max: i64) -> Result<u64, JobError> {
        let before = self.tickets.clock.now() - JOBS_KEPT;
        Ok(self.store.forget(before, rows_max).await?)
    }

    fn new_job(&self, owner: UserId, task: Task, total: i32) -> Job {
        Job {
            id: JobId::new(self.tickets.ids.as_ref()),
            owner,
            task,
            state: JobState::Waiting,
            total,
            done: Tallied::default(),
            version: Version::FIRST,
            created_at: self.tickets.clock.now(),
            started_at: None,
            finished_at: None,
        }
    }

    async fn begin(&self, job: Job, items: Items, receipt: ReceiptFor<'_, Job>) -> Result<Job, JobError> {
        let new = NewJob {
            receipt: receipt(&job),
            job: job.clone(),
            items,
        };
        self.store.start(new).await?;
        Ok(job)
    }

    fn undoable(&self, job: &Job) -> Result<(), JobError> {
        if !job.state.is_finished() {
            return Err(JobError::Unfinished);
        }
        match job.undoable_until() {
            Some(until) if self.tickets.clock.now() <= until => Ok(()),
            Some(_) | None => Err(JobError::NotUndoable),
        }
    }

    /// What a condition selects for the caller now.
    fn selection(&self, actor: &Actor, condition: &Value) -> Result<(Scope, TicketFilter), JobError> {
        let all = TicketFilter::default();
        let filter = self.tickets.narrowed(actor, all, condition, "/filter")?;
        Ok((admitted(actor, &filter)?, filter))
    }

    /// Up to `tickets_max` live tickets of the desk that a condition of the [filter language](kernel::filter) selects now, in any
    /// order; all without one. For what the server does by itself.
    ///
    /// # Errors
    /// [`JobError::Invalid`] for a condition that breaks rules.
    pub async fn selected(
        &self,
        condition: Option<&Value>,
        tickets_max: usize,
    ) -> Result<Vec<TicketId>, JobError> {
        let actor = Actor::System(SystemActor::Automation);
        let (scope, filter) = match condition {
            Some(condition) => self.selection(&actor, condition)?,
            None => (Scope::Desk, TicketFilter::default()),
        };
        let rows_max = i64::try_from(tickets_max).unwrap_or(i64::MAX);
        Ok(self.store.select(&scope, &filter, rows_max).await?)
    }

    async fn select(&self, actor: &Actor, condition: &Value) -> Result<Vec<TicketId>, JobError> {
        let (scope, filter) = self.selection(actor, condition)?;
        if is_out_of_reach(&scope, &filter) {
            return Ok(Vec::new());
        }
        let rows_max = i64::try_from(BULK_TICKETS_MAX).unwrap_or(i64::MAX);
        let ids = self.store.select(&scope, &filter, rows_max + 1).await?;
        if ids.len() > BULK_TICKETS_MAX {
            let message = format!("must select at most {BULK_TICKETS_MAX} tickets");
            return Err(Violation::new("/filter", "too_many", message).into());
        }
        Ok(ids)
    }

    /// What is known of whom a change names as assignee, who must be one.
    async fn known_assignee(&self, change: &BulkChange) -> Result<Option<AssigneeFacts>, JobError> {
        let Some(assignee) = Aim::Change(change).assignee() else {
            return Ok(None);
        };
        match self.tickets.directory.assignee(assignee).await? {
            Some(facts) => Ok(Some(facts)),
            None => {
                let unknown = super::dangling(Reference::Assignee);
                let place = "/change/assignedToId";
                Err(Violation::new(place, unknown.code, unknown.message).into())
            }
        }
    }

    /// Who asked for a job, as they may act now; `None` when they may ask for none any more.
    async fn owner_of(&self, claimed: &Claimed) -> Result<Option<Actor>, JobError> {
        let owner = self.tickets.directory.acting(claimed.job.owner).await?;
        Ok(owner.filter(Person::is_staff).map(Actor::Person))
    }

    /// What would come of a ticket.
    async fn foresee(
        &self,
        actor: &Actor,
        ticket: &Ticket,
        change: &BulkChange,
        facts: Option<&AssigneeFacts>,
    ) -> Result<ItemResult, JobError> {
        let aim = Aim::Change(change);
        let relation = Relation::of(actor, ticket);
        let waits = self.waits(actor, ticket, relation, &aim).await;
        let circumstances = self.tickets.circumstances(actor);
        let mut draft = Draft::change(&circumstances, ticket.clone());
        match reach(&mut draft, actor, &aim, facts, waits) {
            Ok(reached) => Ok(reached.result(circumstances.now)),
            Err(TicketError::Port(error)) => Err(error.into()),
            Err(error) => Ok(refusal(&error, circumstances.now)),
        }
    }

    /// Does one item: changes its ticket with the item's result, or records why not.
    async fn work(&self, actor: &Actor, job: &Job, item: &ClaimedItem) -> Result<(), JobError> {
        let aim = match &job.task {
            Task::Change(change) => Aim::Change(change),
            Task::Undo(_) => Aim::Undo(&item.undo),
        };
        let error = match self.attempts(actor, job, item, &aim).await {
            Ok(()) | Err(TicketError::Repeated) => return Ok(()),
            // A ticket that cannot be read must not hold up the others.
            Err(TicketError::Port(error @ (PortError::Corrupt { .. } | PortError::Bug { .. }))) => {
                error.into()
            }
            Err(TicketError::Port(error)) => return Err(error.into()),
            Err(error) => error,
        };
        let done = DoneItem {
            job: job.id,
            number: item.number,
            result: refusal(&error, self.tickets.clock.now()),
            undo: Undo::default(),
        };
        Ok(self.store.record(done).await?)
    }

    async fn attempts(
        &self,
        actor: &Actor,
        job: &Job,
        item: &ClaimedItem,
        aim: &Aim<'_>,
    ) -> Result<(), TicketError> {
        for _ in 0..STALE_TRIES_MAX {
            let (ticket, relation) = self.tickets.live(actor, &TicketKey::Id(item.ticket)).await?;
            let facts = match aim.assignee() {
                Some(assignee) => self.tickets.directory.assignee(assignee).await?,
                None => None,
            };
            let waits = self.waits(actor, &ticket, relation, aim).await;
            let circumstances = self.tickets.circumstances(actor);
            let mut draft = Draft::change(&circumstances, ticket);
            let reached = reach(&mut draft, actor, aim, facts.as_ref(), waits)?;
            let (mut commit, mut ticket) = draft.finish();
            self.tickets
                .let_clocks_follow(&mut commit, &mut ticket, &circumstances)
                .await?;
            commit.item = Some(DoneItem {
                job: job.id,
                number: item.number,
                result: reached.result(circumstances.now),
                undo: reached.undo,
            });
            match self.tickets.store.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(error) if self.tickets.is_overtaken(&error) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(TicketError::Stale { current: None })
    }

    /// Whether a ticket waits for others with what is to become of it.
    async fn waits(
        &self,
        actor: &Actor,
        ticket: &Ticket,
        relation: Relation,
        aim: &Aim<'_>,
    ) -> Result<(), TicketError> {
        match aim {
            Aim::Change(BulkChange { status: Some(to), .. }) if *to != ticket.status() => {
                self.tickets.waits(actor, ticket, relation, *to).await
            }
            Aim::Change(_) | Aim::Undo(_) => Ok(()),
        }
    }
}

impl Reached {
    fn result(&self, at: DateTime<Utc>) -> ItemResult {
        let outcome = if self.is_changed {
            ItemOutcome::Changed
        } else {
            ItemOutcome::Unchanged
        };
        let detail = (!self.stays.is_empty())
            .then(|| format!("Changed since, and left alone: {}.", self.stays.join(", ")));
        ItemResult {
            outcome,
            code: None,
            detail,
            at,
        }
    }
}

fn refusal(error: &TicketError, at: DateTime<Utc>) -> ItemResult {
    let first = error.violations().first();
    let detail = first.map_or_else(
        || error.detail(),
        |fault| format!("{}: {}", fault.pointer, fault.message),
    );
    ItemResult {
        outcome: ItemOutcome::Refused,
        code: Some(error.code().to_owned()),
        detail: Some(detail),
        at,
    }
}

/// Carries an aim out on a draft, all of it or nothing.
fn reach(
    draft: &mut Draft<'_>,
    actor: &Actor,
    aim: &Aim<'_>,
    facts: Option<&AssigneeFacts>,
    waits: Result<(), TicketError>,
) -> Result<Reached, TicketError> {
    let before = draft.ticket().clone();
    let stays = match aim {
        Aim::Change(change) => {
            // Jobs are for the desk, also on tickets that its people asked for themselves.
            if draft.relation() <= Relation::Requester {
                return Err(TicketError::NotFound);
            }
            make(draft, actor, change, facts, waits)?;
            Vec::new()
        }
        Aim::Undo(undo) => undo.apply(draft, actor, facts)?,
    };
    let after = draft.ticket();
    Ok(Reached {
        undo: Undo::between(&before, after),
        stays,
        is_changed: *after != before,
    })
}

fn make(
    draft: &mut Draft<'_>,
    actor: &Actor,
    change: &BulkChange,
    facts: Option<&AssigneeFacts>,
    waits: Result<(), TicketError>,
) -> Result<(), TicketError> {
    let BulkChange {
        status,
        priority,
        assignee,
        add_tags,
        remove_tags,
    } = change;
    let tags = if add_tags.as_slice().is_empty() && remove_tags.as_slice().is_empty() {
        None
    } else {
        let left = draft.ticket().tags.without(remove_tags);
        Some(left.with("/change/addTags", add_tags)?)
    };
    let edit = Edit {
        priority: *priority,
        status: *status,
        tags,
        ..Edit::default()
    };
    edit::apply(draft, &edit, &FieldSet::default(), waits)?;
    match assignee {
        Patch::Keep => Ok(()),
        Patch::Clear => {
            draft.allow(Action::Unassign)?;
            draft.set_assignee(None);
            Ok(())
        }
        Patch::Set(assignee) => give_to(draft, actor, *assignee, facts, "/change/assignedToId"),
    }
}

/// Who asks, when they may ask for jobs.
fn staff(actor: &Actor) -> Result<UserId, JobError> {
    match actor {
        Actor::Person(person) if person.is_staff() => Ok(person.id),
        Actor::Person(_) | Actor::System(_) => Err(JobError::Forbidden(
            "change many tickets at once; that is for staff",
        )),
    }
}

fn cancellable(job: &Job) -> Result<(), JobError> {
    if job.state.is_finished() {
        Err(JobError::Finished)
    } else {
        Ok(())
    }
}

/// Ids that a caller named, each once.
fn each_once(ids: &[TicketId]) -> Result<Vec<TicketId>, JobError> {
    if ids.is_empty() || ids.len() > BULK_IDS_MAX {
        let message = format!("must have 1 to {BULK_IDS_MAX} ids");
        let code = if ids.is_empty() { "too_few" } else { "too_many" };
        return Err(Violation::new("/ids", code, message).into());
    }
    let mut seen = HashSet::new();
    let mut ids = ids.to_vec();
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}
