//! Bringing people and teams in from elsewhere, on behalf of whoever runs the server.
//!
//! An account that is made here has no password and waits: its owner chooses one by a forgotten password, an invitation
//! or single sign-on, each of which proves the address. An account that is there already is never changed: neither its
//! role nor anything else of it follows what another desk says.

use std::collections::HashMap;
use std::sync::Arc;

use events::{Event, Fact, IdentityFact};
use kernel::{
    Actor, Clock, IdSource, PageLimit, PortError, Role, SystemActor, TeamId, TeamRole, UserId, Version,
};

use super::{DECISIONS_MAX, PrincipalCache};
use crate::ports::{
    AccountCommit, AccountCommitError, Expected, MemberChange, MemberCommit, MemberCommitError, TeamCommit,
    TeamCommitError, TeamStore, UserStore,
};
use crate::team::{MemberId, Team, TeamMember};
use crate::user::{User, UserStatus};
use crate::value::{EmailAddress, PasswordHash, PersonName, TeamDescription, TeamName};

/// What [`Intake`] works with.
#[derive(Clone)]
pub struct IntakePorts {
    /// Keeps accounts.
    pub users: Arc<dyn UserStore>,
    /// Keeps the teams and their members.
    pub teams: Arc<dyn TeamStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
    /// To be emptied with every change of a membership.
    pub cache: Arc<PrincipalCache>,
}

/// The use cases of bringing people and teams in.
pub struct Intake {
    ports: IntakePorts,
}

/// A person who comes from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// The address.
    pub email: EmailAddress,
    /// The name.
    pub name: PersonName,
    /// What the account may do, where one is made.
    pub role: Role,
    /// Whether the account, where one is made, is shut out.
    pub shut_out: bool,
}

/// The account of a person who came from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The account.
    pub user: UserId,
    /// What it may do: of one that was there already, what it could do before.
    pub role: Role,
    /// How it came about.
    pub how: HowReceived,
}

/// How a person's account came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowReceived {
    /// It was made.
    Made,
    /// It was there, and is its owner's: the address was proved, or nobody could sign in with it so far.
    There,
    /// It was there, has a password, and nobody proved its address: whoever registered it may be somebody else.
    Unproved,
    /// It was there and is deleted.
    Deleted,
}

impl Received {
    fn there(user: &User) -> Self {
        let is_owners = user.email_verified_at.is_some() || user.password_hash.is_unset();
        let how = match user.deleted_at {
            Some(_) => HowReceived::Deleted,
            None if is_owners => HowReceived::There,
            None => HowReceived::Unproved,
        };
        Self {
            user: user.id,
            role: user.role,
            how,
        }
    }
}

/// What came of letting someone join a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// A member now.
    New,
    /// A member before.
    There,
    /// The account is no staff's, or gone.
    NotStaff,
}

impl Intake {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(ports: IntakePorts) -> Self {
        Self { ports }
    }

    /// The account of an address, if there is one.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn find(&self, email: &EmailAddress) -> Result<Option<Received>, PortError> {
        let user = self.ports.users.user_by_email(email).await?;
        Ok(user.as_ref().map(Received::there))
    }

    /// The account of a person, made where there is none. The same person can be received any number of times, also
    /// at once.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn receive(&self, newcomer: Newcomer) -> Result<Received, PortError> {
        if let Some(there) = self.find(&newcomer.email).await? {
            return Ok(there);
        }
        let Newcomer {
            email,
            name,
            role,
            shut_out,
        } = newcomer;
        let now = self.ports.clock.now();
        let id = UserId::new(self.ports.ids.as_ref());
        let user = User {
            id,
            email: email.clone(),
            name,
            password_hash: PasswordHash::unset(),
            role,
            status: if shut_out {
                UserStatus::Suspended
            } else {
                UserStatus::Pending
            },
            avatar_url: None,
            email_verified_at: None,
            last_login_at: None,
            two_factor_enabled: false,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            version: Version::FIRST,
        };
        let commit = AccountCommit {
            events: vec![self.event(IdentityFact::UserCreated { user: id })],
            ..AccountCommit::of(user, Expected::Absent)
        };
        match self.ports.users.commit(commit).await {
            Ok(()) => Ok(Received {
                user: id,
                role,
                how: HowReceived::Made,
            }),
            // Another import, or the person, was faster.
            Err(AccountCommitError::EmailTaken) => {
                let there = self.find(&email).await?;
                there.ok_or_else(|| bug("an address is taken by nobody"))
            }
            Err(AccountCommitError::Port(error)) => Err(error),
            Err(
                error @ (AccountCommitError::Stale
                | AccountCommitError::Repeated
                | AccountCommitError::LastAdmin
                | AccountCommitError::TokenSpent),
            ) => Err(bug(error)),
        }
    }

    /// The teams that there are, by name.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn teams(&self) -> Result<HashMap<String, TeamId>, PortError> {
        let (mut teams, mut after) = (HashMap::new(), None);
        loop {
            let page = self.ports.teams.teams(after, PageLimit::default()).await?;
            let named = |team: Team| (team.name.as_str().to_owned(), team.id);
            teams.extend(page.items.into_iter().map(named));
            after = page.next;
            if after.is_none() {
                return Ok(teams);
            }
        }
    }

    /// The team of that name, made where there is none, and whether it was made.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn team(
        &self,
        name: TeamName,
        description: Option<TeamDescription>,
    ) -> Result<(TeamId, bool), PortError> {
        let now = self.ports.clock.now();
        let id = TeamId::new(self.ports.ids.as_ref());
        let commit = TeamCommit {
            team: Team {
                id,
                name: name.clone(),
                description,
                created_at: now,
                updated_at: now,
                version: Version::FIRST,
            },
            expected: Expected::Absent,
            events: vec![self.event(IdentityFact::TeamCreated { team: id })],
            receipt: None,
        };
        match self.ports.teams.commit(commit).await {
            Ok(()) => Ok((id, true)),
            Err(TeamCommitError::NameTaken) => {
                let there = self.teams().await?.get(name.as_str()).copied();
                let there = there.ok_or_else(|| bug("a team's name is taken by none"))?;
                Ok((there, false))
            }
            Err(TeamCommitError::Port(error)) => Err(error),
            Err(
                error @ (TeamCommitError::Stale | TeamCommitError::Repeated | TeamCommitError::HasTickets),
            ) => Err(bug(error)),
        }
    }

    /// Lets someone join a team as an agent, who keeps the rank they have where they are a member.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn join(&self, team: TeamId, user: UserId) -> Result<Joined, PortError> {
        for _ in 0..DECISIONS_MAX {
            if self.ports.teams.member(team, user).await?.is_some() {
                return Ok(Joined::There);
            }
            let fact = IdentityFact::TeamMemberSet {
                team,
                user,
                role_in_team: TeamRole::Agent.as_str().to_owned(),
            };
            let commit = MemberCommit {
                team,
                user,
                before: None,
                change: MemberChange::Join(TeamMember {
                    id: MemberId::new(self.ports.ids.as_ref()),
                    team_id: team,
                    user_id: user,
                    role_in_team: TeamRole::Agent,
                    created_at: self.ports.clock.now(),
                }),
                events: vec![self.event(fact)],
                receipt: None,
            };
            let outcome = self.ports.teams.commit_member(commit).await;
            self.ports.cache.invalidate_all();
            match outcome {
                Ok(()) => return Ok(Joined::New),
                Err(MemberCommitError::Stale) => {}
                Err(MemberCommitError::NotStaff) => return Ok(Joined::NotStaff),
                Err(MemberCommitError::Port(error)) => return Err(error),
                Err(error @ (MemberCommitError::NoTeam | MemberCommitError::Repeated)) => {
                    return Err(bug(error));
                }
            }
        }
        Err(bug("a membership keeps changing"))
    }

    fn event(&self, fact: IdentityFact) -> Event {
        let actor = Actor::System(SystemActor::Import);
        let now = self.ports.clock.now();
        Event::new(self.ports.ids.as_ref(), now, &actor, Fact::Identity(fact))
    }
}

fn bug(source: impl Into<kernel::failure::BoxError>) -> PortError {
    PortError::Bug {
        port: "intake of people and teams",
        source: source.into(),
    }
}
