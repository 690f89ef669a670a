//! What a list of tickets can ask for.

use chrono::{DateTime, Utc};
use events::{TicketChannel, TicketPriority, TicketStatus};
use kernel::{PageLimit, Position, TeamId, UserId};

use crate::fields::TicketCondition;
use crate::policy::Relation;
use crate::ticket::{Audience, Ticket};

/// A list as a caller asks for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TicketQuery {
    /// Which tickets.
    pub filter: TicketFilter,
    /// In which order.
    pub sort: Sort,
    /// Where the page begins; `None` for the first.
    pub after: Option<Position>,
    /// How many.
    pub limit: PageLimit,
    /// Deleted ones too (administrators only).
    pub include_deleted: bool,
}

/// Conditions that must all hold. An empty list is no condition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TicketFilter {
    /// One of these statuses.
    pub status: Vec<TicketStatus>,
    /// One of these priorities.
    pub priority: Vec<TicketPriority>,
    /// One of these channels.
    pub channel: Vec<TicketChannel>,
    /// This assignee, or nobody.
    pub assignee: Option<Maybe<UserId>>,
    /// This team, or none.
    pub team: Option<Maybe<TeamId>>,
    /// This requester.
    pub requester: Option<UserId>,
    /// All of these tags, normalised.
    pub tags: Vec<String>,
    /// Made in this span.
    pub created: Span,
    /// Last changed in this span, as the caller sees changes.
    pub updated: Span,
    /// And this, about nothing that the caller is not shown.
    pub condition: Option<TicketCondition>,
}

/// A value, or its absence, as something to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maybe<T> {
    /// Tickets that have none.
    Nothing,
    /// Tickets that have this one.
    Is(T),
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// At this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub before: Option<DateTime<Utc>>,
}

impl Span {
    /// Whether `time` lies in it.
    #[must_use]
    pub fn contains(&self, time: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| time >= from) && self.before.is_none_or(|before| time < before)
    }
}

/// An offered order. Each has an index for every scope; offer none without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Which end first.
    pub direction: Direction,
}

impl Default for Sort {
    fn default() -> Self {
        Self {
            key: SortKey::UpdatedAt,
            direction: Direction::NewestFirst,
        }
    }
}

impl Sort {
    /// Every offered order.
    pub const ALL: [Self; 4] = [
        Self::by(SortKey::CreatedAt, Direction::OldestFirst),
        Self::by(SortKey::CreatedAt, Direction::NewestFirst),
        Self::by(SortKey::UpdatedAt, Direction::OldestFirst),
        Self::by(SortKey::UpdatedAt, Direction::NewestFirst),
    ];

    const fn by(key: SortKey, direction: Direction) -> Self {
        Self { key, direction }
    }

    /// The name, with `-` in front for newest first.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match (self.key, self.direction) {
            (SortKey::CreatedAt, Direction::OldestFirst) => "createdAt",
            (SortKey::CreatedAt, Direction::NewestFirst) => "-createdAt",
            (SortKey::UpdatedAt, Direction::OldestFirst) => "updatedAt",
            (SortKey::UpdatedAt, Direction::NewestFirst) => "-updatedAt",
        }
    }

    /// The order of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == name)
    }
}

/// What tickets can be sorted by; equals are told apart by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// `createdAt`.
    CreatedAt,
    /// `updatedAt`, as the caller sees it.
    UpdatedAt,
}

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending.
    OldestFirst,
    /// Descending.
    NewestFirst,
}

/// The tickets that a caller may have in a list at all. A store must never answer beyond it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those that this person asked for or that are copied to them, as customers see them.
    Customer(UserId),
    /// Those that an agent works on: of these teams, of no team, or assigned to them.
    WorkOf {
        /// The agent.
        agent: UserId,
        /// The agent's teams.
        teams: Vec<TeamId>,
    },
    /// All of the desk.
    Desk,
}

impl Scope {
    /// As whom the tickets of this scope are shown.
    #[must_use]
    pub fn audience(&self) -> Audience {
        match self {
            Scope::Customer(_) => Audience::Customer,
            Scope::WorkOf { .. } | Scope::Desk => Audience::Staff,
        }
    }

    /// Whether a ticket lies in the scope.
    #[must_use]
    pub fn contains(&self, ticket: &Ticket) -> bool {
        match self {
            Scope::Customer(user) => Relation::of_customer(*user, ticket) != Relation::None,
            Scope::WorkOf { agent, teams } => {
                ticket.assignee == Some(*agent) || ticket.team.is_none_or(|team| teams.contains(&team))
            }
            Scope::Desk => true,
        }
    }
}

impl TicketFilter {
    /// Whether a ticket satisfies every condition, as `audience` sees it. The in-memory reading of what the
    /// database adapter compiles to SQL; the contract suite holds the two equal.
    #[must_use]
    pub fn matches(&self, ticket: &Ticket, audience: Audience) -> bool {
        let Self {
            status,
            priority,
            channel,
            assignee,
            team,
            requester,
            tags,
            created,
            updated,
            condition,
        } = self;
        let one_of = |empty: bool, contained: bool| empty || contained;
        one_of(status.is_empty(), status.contains(&ticket.status()))
            && one_of(priority.is_empty(), priority.contains(&ticket.priority))
            && one_of(channel.is_empty(), channel.contains(&ticket.channel))
            && assignee.is_none_or(|wanted| wanted.fits(ticket.assignee))
            && team.is_none_or(|wanted| wanted.fits(ticket.team))
            && requester.is_none_or(|wanted| ticket.requester == wanted)
            && tags.iter().all(|tag| ticket.tags.as_slice().contains(tag))
            && created.contains(ticket.created_at)
            && updated.contains(ticket.face(audience).updated_at)
            && condition
                .as_ref()
                .is_none_or(|condition| condition.holds(&|field| field.value(ticket, audience)))
    }
}

impl<T: PartialEq + Copy> Maybe<T> {
    fn fits(self, value: Option<T>) -> bool {
        match self {
            Maybe::Nothing => value.is_none(),
            Maybe::Is(wanted) => value == Some(wanted),
        }
    }
}

/// How many rows a query has; exact up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Exactly so many.
    Exact(i64),
    /// More than the bound; about so many.
    Estimate(i64),
}

/// Counting stops here; beyond it the answer is an estimate.
pub const COUNT_EXACT_MAX_ROWS: i64 = 10_000;
