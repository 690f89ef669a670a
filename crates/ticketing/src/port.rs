//! What ticketing asks of the world. The PostgreSQL adapter and the in-memory fake pass the same suite,
//! [`testing::contract`](crate::testing::contract).

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::Event;
use kernel::{
    EventReceipt, MessageId, Page, PageLimit, Person, PortError, Position, Receipt, TeamId, TicketId, UserId,
    Version,
};

use crate::attachment::{Attachment, AttachmentId};
use crate::bulk::DoneItem;
use crate::joint::{JointCommit, JointError, LinkedTicket, MergeFacts, Tally};
use crate::query::{Count, Scope, TicketFilter, TicketQuery};
use crate::service_level::ClockWrite;
use crate::ticket::{Activity, Audience, Message, Note, Ticket, TicketKey, TicketNumber};

/// Everything that one decision makes durable: stored whole or not at all.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that is not committed never happened"]
pub struct TicketCommit {
    /// The ticket itself.
    pub ticket: TicketWrite,
    /// New messages, with the uploads that come to hang on them: the store must call it [`CommitError::Stale`] when one
    /// of these is no longer an upload of the sender's that hangs on nothing.
    pub messages: Vec<Message>,
    /// Messages whose text changed.
    pub edited_messages: Vec<Message>,
    /// Attachments that messages lose.
    pub removed_attachments: Vec<AttachmentId>,
    /// New notes.
    pub notes: Vec<Note>,
    /// What the history gains.
    pub activities: Vec<Activity>,
    /// What other domains are told.
    pub events: Vec<Event>,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
    /// The item of a job that this does: the store must call it [`CommitError::Repeated`] when that has its result.
    pub item: Option<DoneItem>,
    /// Who becomes the assignee: the store must call it [`CommitError::Stale`] when that is no active agent or administrator
    /// at the moment of the commit.
    pub assigns: Option<UserId>,
    /// The clocks that follow the change.
    pub clocks: Option<ClockWrite>,
}

/// What a commit does to the ticket's own row.
#[derive(Debug, Clone, PartialEq)]
pub enum TicketWrite {
    /// It is new.
    Insert(Box<Ticket>),
    /// It changes; the store must refuse when the stored version is not `expected`.
    Update {
        /// The ticket as it is to be.
        ticket: Box<Ticket>,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// Nothing changed; only the receipt is kept.
    Unchanged,
}

/// Why a commit was not stored. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The ticket, or an upload that was to hang on a message, moved on since it was read.
    #[error("the ticket is at another version")]
    Stale,
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// The number is taken, by a writer that makes its own: take the next one.
    #[error("the ticket number is taken")]
    NumberTaken,
    /// A person or team that the ticket refers to is gone.
    #[error("{0} does not exist")]
    Dangling(Reference),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What a ticket refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reference {
    /// Its requester.
    #[error("the requester")]
    Requester,
    /// Its assignee.
    #[error("the assignee")]
    Assignee,
    /// Its team.
    #[error("the team")]
    Team,
    /// What is promised about it.
    #[error("the SLA policy")]
    SlaPolicy,
}

/// Keeps tickets and their conversations.
#[async_trait]
pub trait TicketStore: Send + Sync {
    /// The next number. Must never give one twice; gaps are fine.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn next_number(&self) -> Result<TicketNumber, PortError>;

    /// A ticket, deleted ones included: the caller decides who may know.
    ///
    /// # Errors
    /// When the store cannot be reached, or the row is no ticket.
    async fn find(&self, key: &TicketKey) -> Result<Option<Ticket>, PortError>;

    /// One page of the tickets in `scope` that `query` asks for. Must not give a ticket outside of the scope, must
    /// leave deleted ones out unless asked for, and must cost no more on page 10 000 than on page 1.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no ticket.
    async fn list(&self, scope: &Scope, query: &TicketQuery) -> Result<Page<Ticket>, PortError>;

    /// How many tickets in `scope` the query's filter selects; exact up to
    /// [`COUNT_EXACT_MAX_ROWS`](crate::query::COUNT_EXACT_MAX_ROWS).
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn count(&self, scope: &Scope, query: &TicketQuery) -> Result<Count, PortError>;

    /// How many live tickets in `scope` each of the filters selects, in their order; of each no more than `rows_max` are
    /// counted. Must take one question to the store however many filters there are.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn count_each(
        &self,
        scope: &Scope,
        filters: &[TicketFilter],
        rows_max: i64,
    ) -> Result<Vec<i64>, PortError>;

    /// Stores a decision whole, or nothing of it.
    ///
    /// # Errors
    /// See [`CommitError`].
    async fn commit(&self, commit: TicketCommit) -> Result<(), CommitError>;

    /// Stores a decision about two tickets whole, or nothing of it.
    ///
    /// # Errors
    /// See [`JointError`].
    async fn commit_together(&self, commit: JointCommit) -> Result<(), JointError>;

    /// The tickets that a ticket is linked to, up to [`LINKS_MAX`](crate::LINKS_MAX), the oldest link first.
    ///
    /// # Errors
    /// When the store cannot be reached, or a row is no ticket.
    async fn links(&self, ticket: TicketId) -> Result<Vec<LinkedTicket>, PortError>;

    /// The present merge of a ticket into another one, if there is one.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn merge_of(&self, source: TicketId) -> Result<Option<MergeFacts>, PortError>;

    /// A ticket's messages counted, without these.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn tally(&self, ticket: TicketId, without: &[MessageId]) -> Result<Tally, PortError>;

    /// One page of a ticket's messages, oldest first; for customers the public ones alone.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn messages(
        &self,
        ticket: TicketId,
        audience: Audience,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Message>, PortError>;

    /// One message of a ticket, whoever may read it.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn message(&self, ticket: TicketId, message: MessageId) -> Result<Option<Message>, PortError>;

    /// Those of these messages that lie in the ticket, whoever may read them, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn messages_among(
        &self,
        ticket: TicketId,
        messages: &[MessageId],
    ) -> Result<Vec<Message>, PortError>;

    /// Those of `ids` that `uploader` uploaded and that hang on no message, for them to be hung on one.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn uploads(&self, uploader: UserId, ids: &[AttachmentId]) -> Result<Vec<Attachment>, PortError>;

    /// One page of a ticket's notes, oldest first.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn notes(
        &self,
        ticket: TicketId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Note>, PortError>;

    /// One page of a ticket's history, oldest first; for customers only
    /// [`action::PUBLIC`](crate::ticket::action::PUBLIC).
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn activities(
        &self,
        ticket: TicketId,
        audience: Audience,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Activity>, PortError>;

    /// Forgets that an event was dealt with: for one who could not do after all what the receipt says was done. Nothing
    /// happens where it is not there.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn take_back(&self, receipt: &EventReceipt) -> Result<(), PortError>;

    /// Up to `rows_max` live tickets that were resolved before `before` and had no public message since, oldest
    /// first.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn silent_since(&self, before: DateTime<Utc>, rows_max: i64) -> Result<Vec<TicketId>, PortError>;
}

/// What ticketing needs to know of people and teams, which another domain keeps.
#[async_trait]
pub trait Directory: Send + Sync {
    /// What can be given work: an active agent or administrator that is not deleted.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn assignee(&self, user: UserId) -> Result<Option<AssigneeFacts>, PortError> {
        Ok(self.assignees(&[user]).await?.pop().map(|(_, facts)| facts))
    }

    /// The same of several people: those who can be given work, each once.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn assignees(&self, users: &[UserId]) -> Result<Vec<(UserId, AssigneeFacts)>, PortError>;

    /// Someone as they would act now; `None` for whom the desk is closed: suspended, pending or deleted.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn acting(&self, user: UserId) -> Result<Option<Person>, PortError>;

    /// Who may rate a ticket of theirs without signing in: an active customer that is not deleted and whose address is
    /// proved.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn rater(&self, user: UserId) -> Result<Option<RaterFacts>, PortError>;

    /// Whether an account can be named as a requester, or to take part as one: it exists, and is neither deleted nor suspended. Its
    /// address need not be proved yet.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn is_requester(&self, user: UserId) -> Result<bool, PortError>;

    /// Whether a team exists.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn team_exists(&self, team: TeamId) -> Result<bool, PortError>;

    /// People by id, those that exist, for showing: as many as a page names.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn people(&self, users: &[UserId]) -> Result<Vec<PersonCard>, PortError>;

    /// Teams by id, those that exist, for showing: as many as a page names.
    ///
    /// # Errors
    /// When the directory cannot be reached.
    async fn teams(&self, teams: &[TeamId]) -> Result<Vec<TeamCard>, PortError>;
}

/// What an assignment needs to know of the assignee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssigneeFacts {
    /// Administrators may be given tickets of any team.
    pub is_admin: bool,
    /// The teams that the person works in.
    pub teams: Vec<TeamId>,
}

impl AssigneeFacts {
    /// Whether the person can answer a ticket: administrators any, others those without team and of their teams.
    #[must_use]
    pub fn works_on(&self, ticket: &Ticket) -> bool {
        self.is_admin || ticket.team.is_none_or(|team| self.teams.contains(&team))
    }
}

/// Where to ask someone what they say of a resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaterFacts {
    /// What the person is called.
    pub name: String,
    /// The proved address.
    pub email: String,
}

/// A person as shown beside a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonCard {
    /// Who.
    pub id: UserId,
    /// The name; of a deleted account "Deleted user".
    pub name: String,
    /// A picture.
    pub avatar_url: Option<String>,
    /// The address; shown to staff alone.
    pub email: String,
}

/// A team as shown beside a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamCard {
    /// Which.
    pub id: TeamId,
    /// The name.
    pub name: String,
}

/// Turns what people write into what browsers show.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
pub trait Markup: Send + Sync {
    /// Markdown to HTML that is safe to show: must contain nothing that executes, loads or imitates.
    fn to_html(&self, markdown: &str) -> String;
}
