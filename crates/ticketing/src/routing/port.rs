//! What routing asks of a store. The PostgreSQL adapter and the in-memory fake pass the same suite,
//! [`testing::contract_routing`](crate::testing::contract_routing).

use async_trait::async_trait;
use events::Event;
use kernel::{PortError, Receipt, TeamId, TicketId, UserId, Version};

use super::{Availability, Candidate, RoutingSettings, Turn};
use crate::port::{CommitError, TicketCommit};

/// Keeps how teams want their tickets to be given out, who wants to be given some, and whose turn it is.
#[async_trait]
pub trait TeamRouting: Send + Sync {
    /// How a team wants its tickets to be given out; of one that never said so, or does not exist,
    /// [`RoutingSettings::of`] it.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn settings(&self, team: TeamId) -> Result<RoutingSettings, PortError>;

    /// Whether someone wants to be given tickets; of one who never said so, [`Availability::of`] them.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn availability(&self, user: UserId) -> Result<Availability, PortError>;

    /// Stores a decision with its events and its receipt whole, or nothing of it.
    ///
    /// # Errors
    /// See [`RoutingCommitError`].
    async fn commit(&self, commit: RoutingCommit) -> Result<(), RoutingCommitError>;

    /// Up to `teams_max` teams behind `after`, in the order of their ids, that have tickets given out and some waiting.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn waiting_teams(&self, after: Option<TeamId>, teams_max: i64) -> Result<Vec<TeamId>, PortError>;

    /// Whose turn it is in a team, and up to `tickets_max` of its waiting tickets, the most pressing first and among
    /// equals the oldest: open ones that are live and nobody's. `None` for a team that has none given out. All of one
    /// moment; the candidates are active staff in the team.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn turn(&self, team: TeamId, tickets_max: i64) -> Result<Option<(Turn, Vec<TicketId>)>, PortError>;

    /// Whose turn it is in a team, also in one that hands its tickets out itself: from then on its turns are counted.
    /// `None` where there is no such team.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn opened(&self, team: TeamId) -> Result<Option<Turn>, PortError>;

    /// Stores the decision to give a ticket away, and moves the turn on. Must be [`CommitError::Stale`] when the team's
    /// turn or settings, or what is kept of the agent, moved on since they were read, when the agent no longer is
    /// active staff in the team, and whenever [`TicketStore::commit`](crate::TicketStore::commit) would be.
    ///
    /// # Errors
    /// See [`CommitError`].
    async fn assign(&self, commit: TicketCommit, taken: TurnTaken) -> Result<(), CommitError>;
}

/// What an assignment was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnTaken {
    /// How the team wanted it.
    pub settings: RoutingSettings,
    /// How many the team had given out.
    pub count: i64,
    /// Who gets the ticket, with what they were given before.
    pub agent: Candidate,
}

impl TurnTaken {
    /// Of a turn, by this candidate of it.
    #[must_use]
    pub fn of(turn: &Turn, agent: &Candidate) -> Self {
        Self {
            settings: turn.settings,
            count: turn.count,
            agent: agent.clone(),
        }
    }
}

/// Everything that one decision about settings makes durable.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that is not committed never happened"]
pub struct RoutingCommit {
    /// What is to be.
    pub write: RoutingWrite,
    /// The version that the decision was made on: the store must refuse another one.
    pub expected: Version,
    /// What other domains are told.
    pub events: Vec<Event>,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// What a commit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingWrite {
    /// A team's settings.
    Team(RoutingSettings),
    /// Someone's availability.
    Person(Availability),
}

/// Why a commit was not stored. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum RoutingCommitError {
    /// It moved on since it was read.
    #[error("it is at another version")]
    Stale,
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// The team or the account is gone.
    #[error("it does not exist")]
    Gone,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}
