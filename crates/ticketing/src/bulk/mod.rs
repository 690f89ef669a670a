//! Many tickets changed by one request: what to do to each, the job that does it, and what came of each ticket.
//!
//! A job works off its items one by one as whoever asked for it, by the same decisions as single changes, so that rights,
//! history, events, and whoever listens to those see each of them. What is asked of a store is [`port`]; how a change is
//! taken back is [`undo`].

pub(crate) mod port;
pub(crate) mod undo;

use chrono::{DateTime, Duration, Utc};
use events::{TicketPriority, TicketStatus};
use kernel::{Patch, TicketId, UserId, Version, Violation};
use serde_json::Value;

use crate::query::Count;
use crate::ticket::Ticket;
use crate::value::Tags;
use undo::Undo;

/// The most tickets that a job can be about.
pub const BULK_TICKETS_MAX: usize = 10_000;
/// The most tickets that can be named one by one.
pub const BULK_IDS_MAX: usize = 1_000;
/// How many tickets a dry run looks at.
pub const BULK_SAMPLE_TICKETS: usize = 10;
/// The most jobs of one person that are not finished.
pub const JOBS_UNFINISHED_MAX: i64 = 5;

/// How long after its end a job can be undone.
pub const UNDO_WINDOW: Duration = Duration::hours(1);
/// How long a finished job is kept.
pub const JOBS_KEPT: Duration = Duration::days(7);

kernel::id_type! {
    /// A job.
    JobId
}

/// What to do to each ticket.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BulkChange {
    /// The status to be in.
    pub status: Option<TicketStatus>,
    /// The priority to have.
    pub priority: Option<TicketPriority>,
    /// Who is to answer it, or nobody.
    pub assignee: Patch<UserId>,
    /// Tags that it is to have too.
    pub add_tags: Tags,
    /// Tags that it is to lose.
    pub remove_tags: Tags,
}

impl BulkChange {
    /// Checks what no single member can tell; `pointer` names the change.
    ///
    /// # Errors
    /// `required` for a change of nothing, `conflict` for a tag that is to come and to go.
    pub fn checked(self, pointer: &str) -> Result<Self, Violation> {
        let both = self
            .add_tags
            .as_slice()
            .iter()
            .position(|tag| self.remove_tags.as_slice().contains(tag));
        if let Some(place) = both {
            let message = "must not be among removeTags too";
            return Err(Violation::new(
                format!("{pointer}/addTags/{place}"),
                "conflict",
                message,
            ));
        }
        if self == Self::default() {
            let message = "must name at least one of status, priority, assignedToId, addTags and removeTags";
            return Err(Violation::new(pointer, "required", message));
        }
        Ok(self)
    }
}

/// Which tickets to change.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// These, up to [`BULK_IDS_MAX`].
    Ids(Vec<TicketId>),
    /// Those of the caller's list that satisfy a condition of the [filter language](kernel::filter) when the job is
    /// accepted, up to [`BULK_TICKETS_MAX`].
    Filter(Value),
}

/// What a job does.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Changes its tickets.
    Change(BulkChange),
    /// Takes back what another job changed.
    Undo(JobId),
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// No node is at it yet.
    Waiting,
    /// It is being worked off.
    Running,
    /// It is to end, and a node may be at its last items.
    Cancelling,
    /// Every item has its result.
    Completed,
    /// It was ended before that.
    Cancelled,
    /// Whoever asked for it may no longer do so.
    Failed,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Running,
        Self::Cancelling,
        Self::Completed,
        Self::Cancelled,
        Self::Failed,
    ];

    /// The name in JSON and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Running => "running",
            JobState::Cancelling => "cancelling",
            JobState::Completed => "completed",
            JobState::Cancelled => "cancelled",
            JobState::Failed => "failed",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing more will be done.
    #[must_use]
    pub fn is_finished(self) -> bool {
        match self {
            JobState::Completed | JobState::Cancelled | JobState::Failed => true,
            JobState::Waiting | JobState::Running | JobState::Cancelling => false,
        }
    }
}

/// A job and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// Who asked for it.
    pub owner: UserId,
    /// What it does.
    pub task: Task,
    /// How far it is.
    pub state: JobState,
    /// How many items it has.
    pub total: i32,
    /// What came of those that are done.
    pub done: Tallied,
    /// Moves with every progress.
    pub version: Version,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a node first was at it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What came of items, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tallied {
    /// Tickets that are otherwise now.
    pub changed: i32,
    /// Tickets that were so already.
    pub unchanged: i32,
    /// Tickets that stayed as they were for a reason.
    pub refused: i32,
}

impl Tallied {
    /// All together.
    #[must_use]
    pub fn sum(self) -> i32 {
        self.changed + self.unchanged + self.refused
    }
}

impl Job {
    /// Until when it can be undone, if it can be at all.
    #[must_use]
    pub fn undoable_until(&self) -> Option<DateTime<Utc>> {
        match (&self.task, self.finished_at) {
            (Task::Change(_), Some(finished_at)) if self.done.changed > 0 => Some(finished_at + UNDO_WINDOW),
            (Task::Change(_) | Task::Undo(_), _) => None,
        }
    }
}

/// What came of one ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemOutcome {
    /// It is otherwise now.
    Changed,
    /// It was so already.
    Unchanged,
    /// It stayed as it was for a reason.
    Refused,
}

impl ItemOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Changed, Self::Unchanged, Self::Refused];

    /// The name in JSON and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ItemOutcome::Changed => "changed",
            ItemOutcome::Unchanged => "unchanged",
            ItemOutcome::Refused => "refused",
        }
    }

    /// The outcome of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// An item of a job, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobItem {
    /// Its number in the job, from 1.
    pub number: i32,
    /// The ticket, as it was asked for: there need not be one.
    pub ticket: TicketId,
    /// What came of it; `None` while it waits.
    pub result: Option<ItemResult>,
}

/// What came of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemResult {
    /// In a word.
    pub outcome: ItemOutcome,
    /// Why it was refused, by the code that the single change would be answered with.
    pub code: Option<String>,
    /// The same, or what else there is to say, in a sentence.
    pub detail: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What a job did to a ticket, to be stored with the ticket's own change.
#[derive(Debug, Clone, PartialEq)]
pub struct DoneItem {
    /// The job.
    pub job: JobId,
    /// The item's number.
    pub number: i32,
    /// What came of it.
    pub result: ItemResult,
    /// What the ticket was before, as far as it changed.
    pub undo: Undo,
}

/// A place among a job's items: the number of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemPosition(pub i32);

/// What a job would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// How many tickets it would be about; exact up to [`BULK_TICKETS_MAX`].
    pub count: Count,
    /// What it would do to the first of them.
    pub sample: Vec<Foreseen>,
}

/// What a job would do to a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    /// The ticket as it is.
    pub ticket: Ticket,
    /// What would come of it.
    pub result: ItemResult,
}

/// The tickets of a job, in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// These.
    Tickets(Vec<TicketId>),
    /// Those that another job changed, the last first, each with what to restore.
    ChangedBy(JobId),
}
