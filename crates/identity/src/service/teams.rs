//! Teams and their members.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use events::{Event, Fact, IdentityFact};
use kernel::receipt::ReceiptFor;
use kernel::{
    Actor, Clock, IdSource, Page, PageLimit, Patch, PortError, Position, TeamId, TeamRole, UserId, Version,
    Violation, Violations,
};

use crate::policy;
use crate::ports::{
    Expected, MemberChange, MemberCommit, MemberCommitError, MemberRecord, TeamCommit, TeamCommitError,
    TeamDeletion, TeamStore, UserStore,
};
use crate::service::accounts::required;
use crate::service::{ChangeTeamError, DECISIONS_MAX, MemberError, PrincipalCache, ReadTeamError};
use crate::team::{MemberId, Team, TeamMember};
use crate::user::User;
use crate::value::{TeamDescription, TeamName};

/// What [`Teams`] works with.
#[derive(Clone)]
pub struct TeamPorts {
    /// Keeps the teams and their members.
    pub teams: Arc<dyn TeamStore>,
    /// Knows who can be a member.
    pub users: Arc<dyn UserStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
    /// To be emptied with every change.
    pub cache: Arc<PrincipalCache>,
}

/// The use cases of teams.
pub struct Teams {
    ports: TeamPorts,
}

/// A team to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTeam {
    /// The name, as typed.
    pub name: String,
    /// What it is for, as typed.
    pub description: Option<String>,
}

/// What to change of a team.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateTeam {
    /// The name, as typed. Cannot be cleared.
    pub name: Patch<String>,
    /// What it is for, as typed.
    pub description: Patch<String>,
}

/// What is wanted of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberWish {
    /// That the person be a member of this rank, whether one before or not.
    Join(TeamRole),
    /// That the person, a member, have this rank.
    Rank(TeamRole),
}

impl MemberWish {
    fn role(self) -> TeamRole {
        match self {
            MemberWish::Join(role) | MemberWish::Rank(role) => role,
        }
    }
}

/// A team's text fields, each valid.
struct TeamPatch {
    name: Option<TeamName>,
    description: Patch<TeamDescription>,
}

impl Teams {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(ports: TeamPorts) -> Self {
        Self { ports }
    }

    /// Makes a team.
    ///
    /// # Errors
    /// When the caller is no administrator, the input breaks a rule or the name is taken.
    pub async fn create(
        &self,
        actor: &Actor,
        command: CreateTeam,
        receipt: ReceiptFor<'_, Team>,
    ) -> Result<Team, ChangeTeamError> {
        policy::manage_teams(actor)?;
        let mut violations = Violations::new();
        let name = violations.check(TeamName::parse("/name", &command.name));
        let description = violations.check(
            command
                .description
                .map(|raw| TeamDescription::parse("/description", &raw))
                .transpose(),
        );
        let (Some(name), Some(description)) = (name, description) else {
            return Err(violations.into());
        };
        let now = self.ports.clock.now();
        let team = Team {
            id: TeamId::new(self.ports.ids.as_ref()),
            name,
            description,
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
        };
        let commit = TeamCommit {
            team: team.clone(),
            expected: Expected::Absent,
            events: vec![self.event(actor, now, IdentityFact::TeamCreated { team: team.id })],
            receipt: receipt(&team),
        };
        match self.ports.teams.commit(commit).await {
            Ok(()) => Ok(team),
            Err(error @ TeamCommitError::Stale) => Err(PortError::Bug {
                port: "team store",
                source: Box::new(error),
            }
            .into()),
            Err(error) => Err(change_refused(error)),
        }
    }

    /// A page of teams, newest first.
    ///
    /// # Errors
    /// When the caller is not staff.
    pub async fn list(
        &self,
        actor: &Actor,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Team>, ReadTeamError> {
        policy::read_teams(actor)?;
        Ok(self.ports.teams.teams(after, limit).await?)
    }

    /// One team.
    ///
    /// # Errors
    /// When the caller is not staff or there is no such team.
    pub async fn get(&self, actor: &Actor, id: TeamId) -> Result<Team, ReadTeamError> {
        policy::read_teams(actor)?;
        self.ports.teams.team(id).await?.ok_or(ReadTeamError::NotFound)
    }

    /// Changes a team's name or description.
    ///
    /// # Errors
    /// See [`ChangeTeamError`].
    pub async fn update(
        &self,
        actor: &Actor,
        id: TeamId,
        update: UpdateTeam,
        expected: Option<Version>,
        receipt: ReceiptFor<'_, Team>,
    ) -> Result<Team, ChangeTeamError> {
        policy::read_teams(actor)?;
        for _ in 0..DECISIONS_MAX {
            let team = self
                .ports
                .teams
                .team(id)
                .await?
                .ok_or(ChangeTeamError::NotFound)?;
            policy::change_team(actor, id)?;
            check_version(&team, expected)?;
            let now = self.ports.clock.now();
            let changed = decide_update(team.clone(), parse_update(&update)?, now);
            let receipt = receipt(&changed);
            let unchanged = changed == team;
            if unchanged && receipt.is_none() {
                return Ok(changed);
            }
            let events = if unchanged {
                Vec::new()
            } else {
                vec![self.event(actor, now, IdentityFact::TeamUpdated { team: id })]
            };
            let commit = TeamCommit {
                team: changed.clone(),
                expected: Expected::Version(team.version),
                events,
                receipt,
            };
            match self.ports.teams.commit(commit).await {
                Ok(()) => return Ok(changed),
                Err(TeamCommitError::Stale) => {}
                Err(error) => return Err(change_refused(error)),
            }
        }
        Err(ChangeTeamError::Busy)
    }

    /// Removes a team for good, once no ticket lies with it any more. Its members stay on the staff.
    ///
    /// # Errors
    /// See [`ChangeTeamError`].
    pub async fn delete(
        &self,
        actor: &Actor,
        id: TeamId,
        expected: Option<Version>,
    ) -> Result<(), ChangeTeamError> {
        policy::read_teams(actor)?;
        for _ in 0..DECISIONS_MAX {
            let team = self
                .ports
                .teams
                .team(id)
                .await?
                .ok_or(ChangeTeamError::NotFound)?;
            policy::manage_teams(actor)?;
            check_version(&team, expected)?;
            let now = self.ports.clock.now();
            let deletion = TeamDeletion {
                team: id,
                expected: team.version,
                events: vec![self.event(actor, now, IdentityFact::TeamDeleted { team: id })],
            };
            let outcome = self.ports.teams.delete(deletion).await;
            self.ports.cache.invalidate_all();
            match outcome {
                Ok(()) => return Ok(()),
                Err(TeamCommitError::Stale) => {}
                Err(error) => return Err(change_refused(error)),
            }
        }
        Err(ChangeTeamError::Busy)
    }

    /// A page of a team's members, in the order of joining.
    ///
    /// # Errors
    /// When the caller is neither of the team nor an administrator, or there is no such team.
    pub async fn members(
        &self,
        actor: &Actor,
        team: TeamId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<MemberRecord>, ReadTeamError> {
        self.get(actor, team).await?;
        policy::read_members(actor, team)?;
        Ok(self.ports.teams.members(team, after, limit).await?)
    }

    /// Lets a person join a team, or changes a member's rank.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub async fn set_member(
        &self,
        actor: &Actor,
        team: TeamId,
        user: UserId,
        wish: MemberWish,
        receipt: ReceiptFor<'_, MemberRecord>,
    ) -> Result<MemberRecord, MemberError> {
        let role = wish.role();
        self.check_lead(actor, team).await?;
        for _ in 0..DECISIONS_MAX {
            let before = self.ports.teams.member(team, user).await?;
            let rank_before = before.as_ref().map(|record| record.member.role_in_team);
            policy::manage_member(actor, team, rank_before, Some(role))?;
            let now = self.ports.clock.now();
            let record = match (before, wish) {
                (None, MemberWish::Rank(_)) => return Err(MemberError::MemberNotFound),
                (None, MemberWish::Join(_)) => self.newcomer(team, user, role, now).await?,
                (Some(MemberRecord { member, person }), MemberWish::Rank(_) | MemberWish::Join(_)) => {
                    MemberRecord {
                        member: TeamMember {
                            role_in_team: role,
                            ..member
                        },
                        person,
                    }
                }
            };
            let receipt = receipt(&record);
            let unchanged = rank_before == Some(role);
            if unchanged && receipt.is_none() {
                return Ok(record);
            }
            let fact = IdentityFact::TeamMemberSet {
                team,
                user,
                role_in_team: role.as_str().to_owned(),
            };
            let events = if unchanged {
                Vec::new()
            } else {
                vec![self.event(actor, now, fact)]
            };
            let change = match rank_before {
                Some(_) => MemberChange::Rank(role),
                None => MemberChange::Join(record.member.clone()),
            };
            let commit = MemberCommit {
                team,
                user,
                before: rank_before,
                change,
                events,
                receipt,
            };
            match self.commit_member(commit).await {
                Ok(()) => return Ok(record),
                Err(MemberCommitError::Stale) => {}
                Err(error) => return Err(member_refused(error)),
            }
        }
        Err(MemberError::Busy)
    }

    /// Takes a member out of a team.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub async fn remove_member(&self, actor: &Actor, team: TeamId, user: UserId) -> Result<(), MemberError> {
        self.check_lead(actor, team).await?;
        for _ in 0..DECISIONS_MAX {
            let record = self
                .ports
                .teams
                .member(team, user)
                .await?
                .ok_or(MemberError::MemberNotFound)?;
            let before = Some(record.member.role_in_team);
            policy::manage_member(actor, team, before, None)?;
            let now = self.ports.clock.now();
            let commit = MemberCommit {
                team,
                user,
                before,
                change: MemberChange::Leave,
                events: vec![self.event(actor, now, IdentityFact::TeamMemberRemoved { team, user })],
                receipt: None,
            };
            match self.commit_member(commit).await {
                Ok(()) => return Ok(()),
                Err(MemberCommitError::Stale) => {}
                Err(error) => return Err(member_refused(error)),
            }
        }
        Err(MemberError::Busy)
    }

    /// Turns away whoever does not manage the team, before anything is told of its members.
    async fn check_lead(&self, actor: &Actor, team: TeamId) -> Result<(), MemberError> {
        policy::read_teams(actor)?;
        self.ports.teams.team(team).await?.ok_or(MemberError::NotFound)?;
        policy::manage_members(actor, team)?;
        Ok(())
    }

    async fn newcomer(
        &self,
        team: TeamId,
        user: UserId,
        role: TeamRole,
        now: DateTime<Utc>,
    ) -> Result<MemberRecord, MemberError> {
        let person = self
            .ports
            .users
            .user(user)
            .await?
            .filter(User::is_live_staff)
            .ok_or_else(not_staff)?;
        let member = TeamMember {
            id: MemberId::new(self.ports.ids.as_ref()),
            team_id: team,
            user_id: user,
            role_in_team: role,
            created_at: now,
        };
        Ok(MemberRecord {
            member,
            person: person.card(),
        })
    }

    /// Commits, and forgets who callers were: also after a failure, which may hide a success.
    async fn commit_member(&self, commit: MemberCommit) -> Result<(), MemberCommitError> {
        let outcome = self.ports.teams.commit_member(commit).await;
        self.ports.cache.invalidate_all();
        outcome
    }

    fn event(&self, actor: &Actor, at: DateTime<Utc>, fact: IdentityFact) -> Event {
        Event::new(self.ports.ids.as_ref(), at, actor, Fact::Identity(fact))
    }
}

fn check_version(team: &Team, expected: Option<Version>) -> Result<(), ChangeTeamError> {
    match expected {
        Some(expected) if expected != team.version => Err(ChangeTeamError::Stale {
            current: team.version,
        }),
        Some(_) | None => Ok(()),
    }
}

fn parse_update(update: &UpdateTeam) -> Result<TeamPatch, Violations> {
    let UpdateTeam { name, description } = update.clone();
    let mut violations = Violations::new();
    let name = violations.check(
        required("/name", name).and_then(|name| name.map(|raw| TeamName::parse("/name", &raw)).transpose()),
    );
    let description =
        violations.check(description.try_map(|raw| TeamDescription::parse("/description", &raw)));
    match (name, description) {
        (Some(name), Some(description)) => Ok(TeamPatch { name, description }),
        _ => Err(violations),
    }
}

/// The team after the patch; where nothing differs, it is as before.
fn decide_update(team: Team, patch: TeamPatch, now: DateTime<Utc>) -> Team {
    let TeamPatch { name, description } = patch;
    let mut changed = team.clone();
    changed.name = name.unwrap_or(changed.name);
    changed.description = description.apply(changed.description);
    if changed != team {
        changed.updated_at = now;
        changed.version = team.version.next();
    }
    changed
}

fn change_refused(error: TeamCommitError) -> ChangeTeamError {
    match error {
        TeamCommitError::NameTaken => ChangeTeamError::NameTaken,
        TeamCommitError::HasTickets => ChangeTeamError::HasTickets,
        TeamCommitError::Repeated => ChangeTeamError::Repeated,
        TeamCommitError::Stale => ChangeTeamError::Busy,
        TeamCommitError::Port(error) => error.into(),
    }
}

fn member_refused(error: MemberCommitError) -> MemberError {
    match error {
        MemberCommitError::Repeated => MemberError::Repeated,
        MemberCommitError::NoTeam => MemberError::NotFound,
        MemberCommitError::NotStaff => not_staff(),
        MemberCommitError::Stale => MemberError::Busy,
        MemberCommitError::Port(error) => error.into(),
    }
}

fn not_staff() -> MemberError {
    let message = "must be an agent or an administrator of this desk";
    MemberError::Invalid(Violation::new("/userId", "not_staff", message).into())
}
