//! Builders that show only what matters to a test.

use chrono::{DateTime, Duration, Utc};
use kernel::{Actor, Membership, Person, Role, TeamId, TeamRole, UserId, Version};
use uuid::Uuid;

use crate::access::{ApiKeyId, Scope};
use crate::api_key::{ApiKey, ApiKeyName, Scopes};
use crate::session::{Session, SessionId, SignInMethod, TokenHash};
use crate::team::{MemberId, Team, TeamMember};
use crate::user::{User, UserStatus};
use crate::value::{EmailAddress, PasswordHash, PersonName, TeamName};
use std::sync::Arc;

use kernel::{Client, Origin};

/// A time to start from: 2026-01-05 09:00 UTC, a Monday.
#[must_use]
pub fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_603_600, 0).unwrap_or_default()
}

/// An id that no one else has, whatever the world: the suites run on shared databases, too.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "test data must be new on a shared database, on every run"
)]
pub fn unique_id() -> Uuid {
    Uuid::new_v4()
}

/// An account of `role` that can be used, unlike any other.
#[must_use]
pub fn user(role: Role) -> User {
    let id = unique_id();
    User {
        id: UserId(id),
        email: email(&format!("{}@example.com", id.simple())),
        name: name("Robin Example"),
        password_hash: PasswordHash::from_phc("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$ZmFrZQ"),
        role,
        status: UserStatus::Active,
        avatar_url: None,
        email_verified_at: None,
        last_login_at: None,
        two_factor_enabled: false,
        created_at: start(),
        updated_at: start(),
        deleted_at: None,
        version: Version::FIRST,
    }
}

/// The address in `text`, which must be one.
#[must_use]
pub fn email(text: &str) -> EmailAddress {
    valid(EmailAddress::parse("/email", text))
}

/// The name in `text`, which must be one.
#[must_use]
pub fn name(text: &str) -> PersonName {
    valid(PersonName::parse("/name", text))
}

/// A team of a name unlike any other.
#[must_use]
pub fn team() -> Team {
    let id = unique_id();
    Team {
        id: TeamId(id),
        name: team_name(&format!("Team {}", id.simple())),
        description: None,
        created_at: start(),
        updated_at: start(),
        version: Version::FIRST,
    }
}

/// The team name in `text`, which must be one.
#[must_use]
pub fn team_name(text: &str) -> TeamName {
    valid(TeamName::parse("/name", text))
}

/// A membership.
#[must_use]
pub fn member(team: TeamId, user: UserId, role_in_team: TeamRole) -> TeamMember {
    TeamMember {
        id: MemberId(unique_id()),
        team_id: team,
        user_id: user,
        role_in_team,
        created_at: start(),
    }
}

/// A session of the account that began at [`start`] and lasts 30 days.
#[must_use]
pub fn session(user: &User) -> Session {
    Session {
        id: SessionId(unique_id()),
        user_id: user.id,
        method: SignInMethod::Password,
        refresh_token_sha256: token_hash(),
        client: Client::new(Some("Test/1.0"), None),
        expires_at: start() + Duration::days(30),
        created_at: start(),
        last_used_at: start(),
        revoked_at: None,
    }
}

/// A key of the account that reads tickets, was made at [`start`] and lasts 90 days.
#[must_use]
pub fn api_key(owner: UserId) -> ApiKey {
    ApiKey {
        id: ApiKeyId(unique_id()),
        user_id: owner,
        name: valid(ApiKeyName::parse("/name", "Nightly report")),
        prefix: "idk_abcd".to_owned(),
        key_sha256: token_hash(),
        scopes: Scopes::of(vec![Scope::TicketsRead]),
        expires_at: start() + Duration::days(90),
        created_at: start(),
        last_used_at: None,
        last_used_ip: None,
        revoked_at: None,
    }
}

/// A token's hash unlike any other.
#[must_use]
pub fn token_hash() -> TokenHash {
    let half = unique_id().into_bytes();
    let mut bytes = [0; 32];
    for (target, source) in bytes.iter_mut().zip(half.into_iter().cycle()) {
        *target = source;
    }
    TokenHash::from_bytes(bytes)
}

/// A person of `role` without teams, as one who acts.
#[must_use]
pub fn actor(role: Role) -> Actor {
    Actor::Person(Person {
        id: UserId(unique_id()),
        role,
        teams: Vec::new(),
        origin: None,
    })
}

/// An agent with a rank in one team, as one who acts.
#[must_use]
pub fn agent_in(team: TeamId, role: TeamRole) -> Actor {
    let teams = vec![Membership { team, role }];
    Actor::Person(Person {
        id: UserId(unique_id()),
        role: Role::Agent,
        teams,
        origin: None,
    })
}

/// The account as one who acts.
#[must_use]
pub fn acting(user: &User) -> Actor {
    Actor::Person(Person {
        id: user.id,
        role: user.role,
        teams: Vec::new(),
        origin: None,
    })
}

fn valid<T>(result: Result<T, kernel::Violation>) -> T {
    match result {
        Ok(value) => value,
        Err(violation) => panic!("not valid: {violation:?}"),
    }
}

/// Where a request of a test comes from.
#[must_use]
pub fn origin() -> Arc<Origin> {
    Arc::new(Origin::of(Client::new(Some("Test/1.0"), None)))
}
