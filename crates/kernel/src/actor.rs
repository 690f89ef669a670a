//! On whose behalf something happens. Every use case takes an [`Actor`] and decides by it what may be seen and done.

use std::sync::Arc;

use crate::id::{TeamId, UserId};
use crate::origin::Origin;

/// What an account may do in general (contract enum `UserRole`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A customer.
    User,
    /// Answers tickets.
    Agent,
    /// Runs the desk.
    Admin,
}

impl Role {
    /// Every role, from least to most.
    pub const ALL: [Role; 3] = [Role::User, Role::Agent, Role::Admin];

    /// The name in the contract and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Agent => "agent",
            Role::Admin => "admin",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// What a member may do in a team (contract enum `TeamRole`). The order is the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TeamRole {
    /// Works on the team's tickets.
    Agent,
    /// Also hands out the team's work.
    Supervisor,
    /// Also manages the team's members.
    Lead,
}

impl TeamRole {
    /// Every team role, from least to most.
    pub const ALL: [TeamRole; 3] = [TeamRole::Agent, TeamRole::Supervisor, TeamRole::Lead];

    /// The name in the contract and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TeamRole::Agent => "agent",
            TeamRole::Supervisor => "supervisor",
            TeamRole::Lead => "lead",
        }
    }

    /// The team role of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<TeamRole> {
        TeamRole::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A person's place in one team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The team.
    pub team: TeamId,
    /// The rank in it.
    pub role: TeamRole,
}

/// A signed-in person, as far as decisions need to know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who it is.
    pub id: UserId,
    /// The account's role.
    pub role: Role,
    /// The teams that the person belongs to. Empty for customers.
    pub teams: Vec<Membership>,
    /// Where the person's request comes from: for the record, and no part of any decision.
    pub origin: Option<Arc<Origin>>,
}

impl Person {
    /// Whether the person answers tickets: an agent or an administrator.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        match self.role {
            Role::Agent | Role::Admin => true,
            Role::User => false,
        }
    }

    /// The rank in `team`; `None` for one who is no member, or whose account is no longer staff.
    #[must_use]
    pub fn rank_in(&self, team: TeamId) -> Option<TeamRole> {
        if !self.is_staff() {
            return None;
        }
        self.teams
            .iter()
            .find(|membership| membership.team == team)
            .map(|membership| membership.role)
    }
}

/// A part of the server that acts without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemActor {
    /// Closes resolved tickets that stayed silent.
    AutoClose,
    /// Brings tickets in from elsewhere.
    Import,
    /// Gives a team's waiting tickets to its agents.
    Routing,
    /// Carries out what rules decided.
    Automation,
    /// Publishes articles at their time.
    Publishing,
}

impl SystemActor {
    /// The name that activities carry in their metadata (`{"system": "auto_close"}`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SystemActor::AutoClose => "auto_close",
            SystemActor::Import => "import",
            SystemActor::Routing => "routing",
            SystemActor::Automation => "automation",
            SystemActor::Publishing => "publishing",
        }
    }
}

/// Who is acting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in person.
    Person(Person),
    /// The server itself.
    System(SystemActor),
}

impl Actor {
    /// Where the request comes from, if it is a person's and known.
    #[must_use]
    pub fn origin(&self) -> Option<&Arc<Origin>> {
        match self {
            Actor::Person(person) => person.origin.as_ref(),
            Actor::System(_) => None,
        }
    }

    /// The acting person's id; `None` for the server itself.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Actor::Person(person) => Some(person.id),
            Actor::System(_) => None,
        }
    }
}
