//! A world in memory: every store over one lock, so that each commit is whole.

mod api_keys;
mod sign_on;
mod tokens;
mod two_factor;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{Event, Fact, IdentityFact};
use kernel::{Client, Membership, Page, PageLimit, Person, PortError, Position, Receipt, TeamId, UserId};
use uuid::Uuid;

use crate::access::ApiKeyId;
use crate::api_key::ApiKey;
use crate::ports::{
    AccountCommit, AccountCommitError, BeginError, CredentialsAfter, Deleted, Expected, LoginChallenge,
    MemberChange, MemberCommit, MemberCommitError, MemberRecord, MembershipsAfter, OneTimeToken,
    PendingSignOn, PrincipalRecord, Proof, Revocation, RotateError, Rotation, SearchFields, SessionBegin,
    SessionStore, SessionsAfter, SetupCommit, SetupCommitError, SetupOffer, SetupStore, ShownToken,
    TeamCommit, TeamCommitError, TeamDeletion, TeamStore, TokenPlace, UserFilter, UserStore, WhichSessions,
};
use crate::session::{Session, SessionId, TokenHash};
use crate::sign_on::ExternalIdentity;
use crate::team::{Team, TeamMember};
use crate::two_factor::SecuritySettings;
use crate::user::User;
use crate::value::EmailAddress;

/// Accounts, sessions, teams and set-up tokens in memory.
#[derive(Debug, Default)]
pub struct MemoryIdentity(Mutex<World>);

#[derive(Debug, Default)]
struct World {
    users: HashMap<UserId, User>,
    sessions: HashMap<SessionId, Session>,
    exchanged: HashMap<TokenHash, (SessionId, DateTime<Utc>, Vec<u8>)>,
    teams: HashMap<TeamId, Team>,
    members: HashMap<(TeamId, UserId), TeamMember>,
    setup: HashMap<TokenHash, SetupOffer>,
    tokens: Vec<OneTimeToken>,
    factors: HashMap<UserId, two_factor::Factor>,
    /// With how often each was tried.
    challenges: HashMap<TokenHash, (LoginChallenge, u16)>,
    security: SecuritySettings,
    api_keys: HashMap<ApiKeyId, ApiKey>,
    sign_ons: HashMap<TokenHash, PendingSignOn>,
    links: Vec<ExternalIdentity>,
    events: Vec<Event>,
    receipts: Vec<Receipt>,
}

impl MemoryIdentity {
    /// An empty world.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All that was published, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.world().events.clone()
    }

    /// All that was published of accounts and teams, in order.
    #[must_use]
    pub fn facts(&self) -> Vec<IdentityFact> {
        let identity = |event: Event| match event.fact {
            Fact::Identity(fact) => Some(fact),
            Fact::Ticket { .. } | Fact::Knowledge(_) => None,
        };
        self.events().into_iter().filter_map(identity).collect()
    }

    /// The receipts that were stored, in order.
    #[must_use]
    pub fn receipts(&self) -> Vec<Receipt> {
        self.world().receipts.clone()
    }

    /// Puts an account there, as it is and without any event.
    pub fn put_user(&self, user: User) {
        self.world().users.insert(user.id, user);
    }

    /// Puts a team there, as it is and without any event.
    pub fn put_team(&self, team: Team) {
        self.world().teams.insert(team.id, team);
    }

    /// Puts a membership there, as it is and without any event.
    pub fn put_member(&self, member: TeamMember) {
        self.world()
            .members
            .insert((member.team_id, member.user_id), member);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn has_acting_admin(&self) -> bool {
        self.users.values().any(User::is_acting_admin)
    }

    fn is_taken(&self, email: &EmailAddress, by_other_than: UserId) -> bool {
        self.users
            .values()
            .any(|user| user.email == *email && user.id != by_other_than)
    }

    fn is_repeated(&self, receipt: Option<&Receipt>) -> bool {
        receipt.is_some_and(|receipt| self.receipts.iter().any(|stored| same_key(stored, receipt)))
    }

    fn publish(&mut self, events: Vec<Event>, receipt: Option<Receipt>) {
        self.events.extend(events);
        self.receipts.extend(receipt);
    }

    fn end_sessions_after(&mut self, sessions: SessionsAfter, owner: UserId) {
        match sessions {
            SessionsAfter::Keep => {}
            SessionsAfter::RevokeAll { at } => {
                self.end_sessions(at, |session| session.user_id == owner);
            }
            SessionsAfter::RevokeOthers { keep, at } => {
                self.end_sessions(at, |session| session.user_id == owner && session.id != keep);
            }
            SessionsAfter::EraseAll { at } => {
                self.end_sessions(at, |session| session.user_id == owner);
                for session in self.sessions.values_mut().filter(|s| s.user_id == owner) {
                    session.client = Client::default();
                }
            }
        }
    }

    fn end_sessions(&mut self, at: DateTime<Utc>, which: impl Fn(&Session) -> bool) -> u64 {
        let mut ended = 0;
        for session in self.sessions.values_mut().filter(|session| which(session)) {
            if session.revoked_at.is_none() {
                session.revoked_at = Some(at);
                ended += 1;
            }
        }
        ended
    }

    fn memberships(&self, user: UserId) -> Vec<Membership> {
        let of_user = self.members.values().filter(|member| member.user_id == user);
        of_user
            .map(|member| Membership {
                team: member.team_id,
                role: member.role_in_team,
            })
            .collect()
    }

    fn record(&self, member: &TeamMember) -> Option<MemberRecord> {
        let person = self.users.get(&member.user_id)?.card();
        Some(MemberRecord {
            member: member.clone(),
            person,
        })
    }
}

fn same_key(one: &Receipt, other: &Receipt) -> bool {
    match (one, other) {
        (Receipt::Event(one), Receipt::Event(other)) => one == other,
        (Receipt::Request(one), Receipt::Request(other)) => {
            (one.key.principal, &one.key.key) == (other.key.principal, &other.key.key)
        }
        (Receipt::Event(_), Receipt::Request(_)) | (Receipt::Request(_), Receipt::Event(_)) => false,
    }
}

/// Which end of time a list begins at.
#[derive(Clone, Copy)]
enum Order {
    NewestFirst,
    OldestFirst,
}

fn page<T>(
    rows: Vec<T>,
    order: Order,
    after: Option<Position>,
    limit: PageLimit,
    position: impl Fn(&T) -> Position,
) -> Page<T> {
    let key = |position: &Position| (position.at, position.id);
    let mut rows: Vec<((DateTime<Utc>, Uuid), T)> =
        rows.into_iter().map(|row| (key(&position(&row)), row)).collect();
    rows.sort_by_key(|(key, _)| *key);
    if matches!(order, Order::NewestFirst) {
        rows.reverse();
    }
    let follows = |row: (DateTime<Utc>, Uuid)| match (after, order) {
        (None, Order::NewestFirst | Order::OldestFirst) => true,
        (Some(after), Order::NewestFirst) => row < key(&after),
        (Some(after), Order::OldestFirst) => row > key(&after),
    };
    let rows = rows
        .into_iter()
        .filter(|(key, _)| follows(*key))
        .map(|(_, row)| row);
    Page::from_rows(rows.take(limit.rows() + 1).collect(), limit, position)
}

#[async_trait]
impl UserStore for MemoryIdentity {
    async fn user(&self, id: UserId) -> Result<Option<User>, PortError> {
        Ok(self.world().users.get(&id).cloned())
    }

    async fn user_by_email(&self, email: &EmailAddress) -> Result<Option<User>, PortError> {
        Ok(self
            .world()
            .users
            .values()
            .find(|user| user.email == *email)
            .cloned())
    }

    async fn users(
        &self,
        filter: UserFilter,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<User>, PortError> {
        let UserFilter {
            role,
            status,
            search,
            deleted,
        } = filter;
        let matches = |user: &&User| {
            let found = search.as_ref().is_none_or(|search| {
                let text = search.text.to_lowercase();
                let in_name = user.name.as_str().to_lowercase().contains(&text);
                match search.fields {
                    SearchFields::Name => in_name,
                    SearchFields::NameAndEmail => in_name || user.email.as_str().contains(&text),
                }
            });
            let shown = match deleted {
                Deleted::Hidden => user.deleted_at.is_none(),
                Deleted::Included => true,
            };
            found
                && shown
                && role.is_none_or(|role| user.role == role)
                && status.is_none_or(|s| user.status == s)
        };
        let rows = self.world().users.values().filter(matches).cloned().collect();
        let position = |user: &User| Position {
            at: user.created_at,
            id: user.id.0,
        };
        Ok(page(rows, Order::NewestFirst, after, limit, position))
    }

    async fn commit(&self, commit: AccountCommit) -> Result<(), AccountCommitError> {
        let AccountCommit {
            mut user,
            expected,
            sessions,
            memberships,
            credentials,
            spends,
            issues,
            events,
            receipt,
        } = commit;
        let mut world = self.world();
        if world.is_repeated(receipt.as_ref()) {
            return Err(AccountCommitError::Repeated);
        }
        let stored = world.users.get(&user.id);
        match (expected, stored) {
            (Expected::Absent, None) => {}
            (Expected::Version(version), Some(stored)) if stored.version == version => {
                user.last_login_at = stored.last_login_at;
                user.created_at = stored.created_at;
            }
            (Expected::Absent, Some(_)) | (Expected::Version(_), Some(_) | None) => {
                return Err(AccountCommitError::Stale);
            }
        }
        if world.is_taken(&user.email, user.id) {
            return Err(AccountCommitError::EmailTaken);
        }
        let was_admin = world.users.get(&user.id).is_some_and(User::is_acting_admin);
        let others = world
            .users
            .values()
            .any(|other| other.id != user.id && other.is_acting_admin());
        if was_admin && !user.is_acting_admin() && !others {
            return Err(AccountCommitError::LastAdmin);
        }
        let id = user.id;
        if let Some(spend) = spends
            && !world.is_open(&spend, id)
        {
            return Err(AccountCommitError::TokenSpent);
        }
        world.users.insert(id, user);
        if let Some(spend) = spends {
            world.spend(&spend, id);
        }
        match credentials {
            CredentialsAfter::Keep => {}
            CredentialsAfter::RemoveAll => {
                world.tokens.retain(|token| token.user != Some(id));
                world.api_keys.retain(|_, key| key.user_id != id);
                world.links.retain(|link| link.user != id);
                world.factors.remove(&id);
                world.challenges.retain(|_, (challenge, _)| challenge.user != id);
            }
        }
        if let Some(token) = issues {
            world.supersede(id, token.kind, token.created_at);
            world.tokens.push(token);
        }
        world.end_sessions_after(sessions, id);
        match memberships {
            MembershipsAfter::Keep => {}
            MembershipsAfter::LeaveAll => world.members.retain(|(_, user), _| *user != id),
        }
        world.publish(events, receipt);
        Ok(())
    }
}

#[async_trait]
impl SessionStore for MemoryIdentity {
    async fn begin(&self, begin: SessionBegin) -> Result<(), BeginError> {
        let SessionBegin {
            session,
            proof,
            events,
        } = begin;
        let mut world = self.world();
        let id = session.user_id;
        let proves = |user: &&User| match &proof {
            Proof::Password(hash) => user.password_hash == *hash && !user.two_factor_enabled,
            Proof::PasswordAndFactor {
                password,
                factor,
                challenge,
            } => {
                let now = session.created_at;
                user.password_hash == *password
                    && world.factor_holds(id, factor)
                    && challenge
                        .as_ref()
                        .is_none_or(|token| world.challenge_holds(token, now))
            }
            Proof::SignOn => true,
        };
        let user = world.users.get(&id).filter(|user| user.may_sign_in());
        user.filter(proves).ok_or(BeginError::Refused)?;
        match proof {
            Proof::Password(_) | Proof::SignOn => {}
            Proof::PasswordAndFactor {
                password: _,
                factor,
                challenge,
            } => {
                world.use_up(id, factor);
                if let Some(token) = challenge {
                    world.challenges.remove(&token);
                }
            }
        }
        let user = world.users.get_mut(&id).ok_or(BeginError::Refused)?;
        user.last_login_at = Some(session.created_at);
        user.version = user.version.next();
        world.sessions.insert(session.id, session);
        world.events.extend(events);
        Ok(())
    }

    async fn refuse(&self, events: Vec<Event>) -> Result<(), PortError> {
        self.world().publish(events, None);
        Ok(())
    }

    async fn has_signed_in_from(
        &self,
        user: UserId,
        ip: IpAddr,
        since: DateTime<Utc>,
    ) -> Result<bool, PortError> {
        let network = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits() >> 64,
        };
        let world = self.world();
        Ok(world.sessions.values().any(|session| {
            let used_from = session.client.ip().map(|ip| ip.to_canonical());
            session.user_id == user
                && session.last_used_at >= since
                && used_from
                    .is_some_and(|from| from.is_ipv4() == ip.is_ipv4() && network(from) == network(ip))
        }))
    }

    async fn shown(&self, token: &TokenHash) -> Result<Option<ShownToken>, PortError> {
        let world = self.world();
        let live = world
            .sessions
            .values()
            .find(|session| session.refresh_token_sha256 == *token);
        let found = match (live, world.exchanged.get(token)) {
            (Some(session), _) => Some((session, TokenPlace::Live)),
            (None, Some((session, at, salt))) => world.sessions.get(session).map(|session| {
                (
                    session,
                    TokenPlace::Exchanged {
                        at: *at,
                        successor_salt: salt.clone(),
                    },
                )
            }),
            (None, None) => None,
        };
        Ok(found.and_then(|(session, place)| {
            let user = world.users.get(&session.user_id)?.clone();
            Some(ShownToken {
                session: session.clone(),
                user,
                place,
            })
        }))
    }

    async fn rotate(&self, rotation: Rotation) -> Result<(), RotateError> {
        let Rotation {
            session,
            presented,
            successor,
            successor_salt,
            at,
            expires_at,
            client,
        } = rotation;
        let mut world = self.world();
        let stored = world.sessions.get_mut(&session);
        let stored = stored.filter(|s| s.refresh_token_sha256 == presented && s.revoked_at.is_none());
        let stored = stored.ok_or(RotateError::Stale)?;
        stored.refresh_token_sha256 = successor;
        stored.last_used_at = at;
        stored.expires_at = expires_at;
        stored.client = client;
        world.exchanged.insert(presented, (session, at, successor_salt));
        Ok(())
    }

    async fn revoke(&self, revocation: Revocation) -> Result<u64, PortError> {
        let Revocation { which, at, events } = revocation;
        let mut world = self.world();
        let ended = world.end_sessions(at, |session| match which {
            WhichSessions::One(id) => session.id == id,
            WhichSessions::AllOf(user) => session.user_id == user,
        });
        if ended > 0 {
            world.publish(events, None);
        }
        Ok(ended)
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, PortError> {
        Ok(self.world().sessions.get(&id).cloned())
    }

    async fn live_sessions(
        &self,
        user: UserId,
        now: DateTime<Utc>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Session>, PortError> {
        let world = self.world();
        let live = world
            .sessions
            .values()
            .filter(|session| session.user_id == user && session.is_live(now));
        let position = |session: &Session| Position {
            at: session.created_at,
            id: session.id.0,
        };
        Ok(page(
            live.cloned().collect(),
            Order::NewestFirst,
            after,
            limit,
            position,
        ))
    }

    async fn principal(&self, session: SessionId) -> Result<Option<PrincipalRecord>, PortError> {
        let world = self.world();
        Ok(world.sessions.get(&session).and_then(|session| {
            let user = world.users.get(&session.user_id)?;
            Some(PrincipalRecord {
                person: Person {
                    id: user.id,
                    role: user.role,
                    teams: world.memberships(user.id),
                    origin: None,
                },
                status: user.status,
                deleted_at: user.deleted_at,
                session_expires_at: session.expires_at,
                session_revoked_at: session.revoked_at,
                method: session.method,
                two_factor_enabled: user.two_factor_enabled,
                two_factor_rule: world.security.require_two_factor,
            })
        }))
    }

    async fn forget_ended(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut world = self.world();
        let ended = |session: &&Session| {
            session.expires_at < before || session.revoked_at.is_some_and(|revoked_at| revoked_at < before)
        };
        let rows_max = usize::try_from(rows_max).unwrap_or(0);
        let ids: HashSet<SessionId> = world
            .sessions
            .values()
            .filter(ended)
            .map(|session| session.id)
            .take(rows_max)
            .collect();
        world.sessions.retain(|id, _| !ids.contains(id));
        world
            .exchanged
            .retain(|_, (session, _, _)| !ids.contains(session));
        Ok(ids.len() as u64)
    }
}

#[async_trait]
impl TeamStore for MemoryIdentity {
    async fn team(&self, id: TeamId) -> Result<Option<Team>, PortError> {
        Ok(self.world().teams.get(&id).cloned())
    }

    async fn teams(&self, after: Option<Position>, limit: PageLimit) -> Result<Page<Team>, PortError> {
        let rows = self.world().teams.values().cloned().collect();
        let position = |team: &Team| Position {
            at: team.created_at,
            id: team.id.0,
        };
        Ok(page(rows, Order::NewestFirst, after, limit, position))
    }

    async fn commit(&self, commit: TeamCommit) -> Result<(), TeamCommitError> {
        let TeamCommit {
            team,
            expected,
            events,
            receipt,
        } = commit;
        let mut world = self.world();
        if world.is_repeated(receipt.as_ref()) {
            return Err(TeamCommitError::Repeated);
        }
        match (expected, world.teams.get(&team.id)) {
            (Expected::Absent, None) => {}
            (Expected::Version(version), Some(stored)) if stored.version == version => {}
            (Expected::Absent, Some(_)) | (Expected::Version(_), Some(_) | None) => {
                return Err(TeamCommitError::Stale);
            }
        }
        if world
            .teams
            .values()
            .any(|other| other.name == team.name && other.id != team.id)
        {
            return Err(TeamCommitError::NameTaken);
        }
        world.teams.insert(team.id, team);
        world.publish(events, receipt);
        Ok(())
    }

    async fn delete(&self, deletion: TeamDeletion) -> Result<(), TeamCommitError> {
        let TeamDeletion {
            team,
            expected,
            events,
        } = deletion;
        let mut world = self.world();
        if world
            .teams
            .get(&team)
            .is_none_or(|stored| stored.version != expected)
        {
            return Err(TeamCommitError::Stale);
        }
        world.teams.remove(&team);
        world.members.retain(|(of, _), _| *of != team);
        world.publish(events, None);
        Ok(())
    }

    async fn members(
        &self,
        team: TeamId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<MemberRecord>, PortError> {
        let world = self.world();
        let of_team = world.members.values().filter(|member| member.team_id == team);
        let rows = of_team.filter_map(|member| world.record(member)).collect();
        let position = |record: &MemberRecord| Position {
            at: record.member.created_at,
            id: record.member.id.0,
        };
        Ok(page(rows, Order::OldestFirst, after, limit, position))
    }

    async fn member(&self, team: TeamId, user: UserId) -> Result<Option<MemberRecord>, PortError> {
        let world = self.world();
        Ok(world
            .members
            .get(&(team, user))
            .and_then(|member| world.record(member)))
    }

    async fn commit_member(&self, commit: MemberCommit) -> Result<(), MemberCommitError> {
        let MemberCommit {
            team,
            user,
            before,
            change,
            events,
            receipt,
        } = commit;
        let mut world = self.world();
        if world.is_repeated(receipt.as_ref()) {
            return Err(MemberCommitError::Repeated);
        }
        if !world.teams.contains_key(&team) {
            return Err(MemberCommitError::NoTeam);
        }
        if world.members.get(&(team, user)).map(|member| member.role_in_team) != before {
            return Err(MemberCommitError::Stale);
        }
        match change {
            MemberChange::Join(member) => {
                if !world.users.get(&user).is_some_and(User::is_live_staff) {
                    return Err(MemberCommitError::NotStaff);
                }
                world.members.insert((team, user), member);
            }
            MemberChange::Rank(role) => {
                let member = world
                    .members
                    .get_mut(&(team, user))
                    .ok_or(MemberCommitError::Stale)?;
                member.role_in_team = role;
            }
            MemberChange::Leave => {
                world
                    .members
                    .remove(&(team, user))
                    .ok_or(MemberCommitError::Stale)?;
            }
        }
        world.publish(events, receipt);
        Ok(())
    }
}

#[async_trait]
impl SetupStore for MemoryIdentity {
    async fn is_open(&self) -> Result<bool, PortError> {
        Ok(!self.world().has_acting_admin())
    }

    async fn offer(&self, offer: SetupOffer) -> Result<(), PortError> {
        self.world().setup.insert(offer.token.clone(), offer);
        Ok(())
    }

    async fn complete(&self, commit: SetupCommit) -> Result<(), SetupCommitError> {
        let SetupCommit {
            token,
            at,
            user,
            events,
        } = commit;
        let mut world = self.world();
        if world.has_acting_admin() {
            return Err(SetupCommitError::Closed);
        }
        if world.setup.get(&token).is_none_or(|offer| offer.expires_at <= at) {
            return Err(SetupCommitError::UnknownToken);
        }
        if world.is_taken(&user.email, user.id) {
            return Err(SetupCommitError::EmailTaken);
        }
        world.setup.clear();
        world.users.insert(user.id, user);
        world.publish(events, None);
        Ok(())
    }
}
