//! Teams and their members.

use chrono::{DateTime, Utc};
use kernel::{TeamId, TeamRole, UserId, Version};

use crate::value::{TeamDescription, TeamName};

kernel::id_type! {
    /// A person's membership in a team.
    MemberId
}

/// A team as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// The team.
    pub id: TeamId,
    /// What it is called; unique.
    pub name: TeamName,
    /// What it is for.
    pub description: Option<TeamDescription>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts its changes; its members are not part of it.
    pub version: Version,
}

/// A membership as it is stored; at most one for each team and person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamMember {
    /// The membership.
    pub id: MemberId,
    /// The team.
    pub team_id: TeamId,
    /// The member.
    pub user_id: UserId,
    /// The rank.
    pub role_in_team: TeamRole,
    /// When the person joined.
    pub created_at: DateTime<Utc>,
}
