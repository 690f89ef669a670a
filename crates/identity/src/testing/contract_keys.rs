//! The suites that every store of programs' keys, and whoever knows people, must pass. They make their own data, unlike
//! any other, and can run on a shared database.

use std::fmt::Debug;

use chrono::{DateTime, Duration, Utc};
use events::{Event, Fact, IdentityFact};
use kernel::{EventId, Membership, PageLimit, Role, SystemActor, TeamRole, UserId};

use super::builders::{api_key, member, start, team, token_hash, unique_id, user};
use crate::access::{ApiKeyId, Scope};
use crate::api_key::{ApiKey, Scopes};
use crate::ports::{
    AccountCommit, ApiKeyCommit, ApiKeyCommitError, ApiKeyRecord, ApiKeyRevocation, ApiKeyStore, Expected,
    MemberChange, MemberCommit, People, SignOfUse, TeamCommit, TeamStore, UserStore, WhichKey,
};
use crate::user::{User, UserStatus};
use crate::value::PasswordHash;

fn good<T, E: Debug>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

fn there<T>(what: &str, value: Option<T>) -> T {
    match value {
        Some(value) => value,
        None => panic!("{what}: not there"),
    }
}

fn event(fact: IdentityFact) -> Event {
    Event {
        id: EventId(unique_id()),
        at: start(),
        cause: (&kernel::Actor::System(SystemActor::Import)).into(),
        fact: Fact::Identity(fact),
        origin: None,
        chain: None,
    }
}

async fn put(users: &dyn UserStore, user: &User, expected: Expected) {
    let commit = AccountCommit::of(user.clone(), expected);
    good("an account is stored", users.commit(commit).await);
}

async fn made(users: &dyn UserStore) -> User {
    let user = user(Role::Agent);
    put(users, &user, Expected::Absent).await;
    user
}

fn creation(key: &ApiKey, owner: &User, live_max: u32) -> ApiKeyCommit {
    ApiKeyCommit {
        key: key.clone(),
        proof: owner.password_hash.clone(),
        live_max,
        events: vec![event(IdentityFact::ApiKeyCreated {
            user: owner.id,
            key: key.id.0,
            name: key.name.as_str().to_owned(),
        })],
    }
}

async fn stored(keys: &dyn ApiKeyStore, id: ApiKeyId) -> ApiKey {
    there("the key", good("a key is read", keys.key(id).await))
}

async fn bearer(keys: &dyn ApiKeyStore, key: &ApiKey) -> ApiKeyRecord {
    let record = good(
        "a bearer",
        keys.bearer(WhichKey::Shown(key.key_sha256.clone())).await,
    );
    let record = there("the bearer of a key", record);
    let known = good("a bearer by id", keys.bearer(WhichKey::Known(key.id)).await);
    assert_eq!(
        known.as_ref(),
        Some(&record),
        "a key is the same by its hash and its id"
    );
    record
}

/// What a store of keys must do on any database.
///
/// # Panics
/// When a promise is broken.
pub async fn api_key_store(users: &dyn UserStore, teams: &dyn TeamStore, keys: &dyn ApiKeyStore) {
    a_key_reads_back_as_it_was_stored(users, keys).await;
    keys_are_listed_newest_first_in_pages(users, keys).await;
    a_person_has_so_many_live_keys_and_no_more(users, keys).await;
    whoever_was_shut_out_meanwhile_gets_no_key(users, keys).await;
    a_key_is_taken_back_once(users, keys).await;
    a_bearer_is_the_owner_as_they_are_now(users, teams, keys).await;
    a_use_is_noted_forward_only(users, keys).await;
}

async fn a_key_reads_back_as_it_was_stored(users: &dyn UserStore, keys: &dyn ApiKeyStore) {
    let owner = made(users).await;
    let key = ApiKey {
        scopes: Scopes::of(vec![Scope::KbWrite, Scope::TicketsRead]),
        ..api_key(owner.id)
    };
    good("a key is stored", keys.create(creation(&key, &owner, 5)).await);
    assert_eq!(stored(keys, key.id).await, key);
    assert_eq!(
        good("an unknown key", keys.key(ApiKeyId(unique_id())).await),
        None
    );
}

async fn keys_are_listed_newest_first_in_pages(users: &dyn UserStore, keys: &dyn ApiKeyStore) {
    let owner = made(users).await;
    let mut expected = Vec::new();
    for minute in [3, 1, 2, 2] {
        let key = ApiKey {
            created_at: start() + Duration::minutes(minute),
            ..api_key(owner.id)
        };
        good("a key is stored", keys.create(creation(&key, &owner, 5)).await);
        expected.push(key);
    }
    expected.sort_by_key(|key| (key.created_at, key.id.0));
    expected.reverse();
    let limit = there("a limit", PageLimit::new(3));
    let first = good("a page of keys", keys.keys(owner.id, None, limit).await);
    let second = good("the next page", keys.keys(owner.id, first.next, limit).await);
    assert_eq!((first.items.len(), second.next), (3, None));
    assert_eq!([first.items, second.items].concat(), expected);
    let nobody = keys.keys(UserId(unique_id()), None, limit).await;
    assert_eq!(good("keys of nobody", nobody).items, []);
}

async fn a_person_has_so_many_live_keys_and_no_more(users: &dyn UserStore, keys: &dyn ApiKeyStore) {
    let (owner, other) = (made(users).await, made(users).await);
    let expired = ApiKey {
        expires_at: start(),
        created_at: start() - Duration::days(1),
        ..api_key(owner.id)
    };
    let revoked = api_key(owner.id);
    for key in [&expired, &revoked, &api_key(owner.id)] {
        good("a key is stored", keys.create(creation(key, &owner, 3)).await);
    }
    good(
        "a key is taken back",
        keys.revoke(revocation(&revoked, start())).await,
    );
    // One is live; the ended ones do not count, and neither do another's.
    good(
        "a key is stored",
        keys.create(creation(&api_key(other.id), &other, 2)).await,
    );
    good(
        "a key is stored",
        keys.create(creation(&api_key(owner.id), &owner, 2)).await,
    );
    let refused = keys.create(creation(&api_key(owner.id), &owner, 2)).await;
    assert!(matches!(refused, Err(ApiKeyCommitError::TooMany)), "{refused:?}");
}

async fn whoever_was_shut_out_meanwhile_gets_no_key(users: &dyn UserStore, keys: &dyn ApiKeyStore) {
    let shut_out: [fn(&mut User); 4] = [
        |user| user.status = UserStatus::Suspended,
        |user| user.status = UserStatus::Pending,
        |user| user.deleted_at = Some(start()),
        |user| user.password_hash = PasswordHash::from_phc("$other"),
    ];
    for shut_out in shut_out {
        let owner = made(users).await;
        let mut changed = owner.clone();
        shut_out(&mut changed);
        changed.version = owner.version.next();
        put(users, &changed, Expected::Version(owner.version)).await;
        let key = api_key(owner.id);
        let refused = keys.create(creation(&key, &owner, 5)).await;
        assert!(matches!(refused, Err(ApiKeyCommitError::Refused)), "{refused:?}");
        assert_eq!(good("a refused key", keys.key(key.id).await), None);
    }
}

fn revocation(key: &ApiKey, at: DateTime<Utc>) -> ApiKeyRevocation {
    ApiKeyRevocation {
        key: key.id,
        at,
        events: vec![event(IdentityFact::ApiKeyRevoked {
            user: key.user_id,
            key: key.id.0,
        })],
    }
}

async fn a_key_is_taken_back_once(users: &dyn UserStore, keys: &dyn ApiKeyStore) {
    let owner = made(users).await;
    let (key, bystander) = (api_key(owner.id), api_key(owner.id));
    for key in [&key, &bystander] {
        good("a key is stored", keys.create(creation(key, &owner, 5)).await);
    }
    let first = start() + Duration::minutes(1);
    assert!(good("taken back", keys.revoke(revocation(&key, first)).await));
    let later = revocation(&key, first + Duration::minutes(1));
    assert!(!good("taken back again", keys.revoke(later).await));
    assert_eq!(stored(keys, key.id).await.revoked_at, Some(first));
    assert_eq!(stored(keys, bystander.id).await.revoked_at, None);
    let unknown = api_key(owner.id);
    assert!(!good(
        "an unknown key",
        keys.revoke(revocation(&unknown, first)).await
    ));
}

async fn a_bearer_is_the_owner_as_they_are_now(
    users: &dyn UserStore,
    teams: &dyn TeamStore,
    keys: &dyn ApiKeyStore,
) {
    let owner = made(users).await;
    let key = api_key(owner.id);
    good("a key is stored", keys.create(creation(&key, &owner, 5)).await);
    let found = bearer(keys, &key).await;
    assert_eq!((found.key, &found.scopes), (key.id, &key.scopes));
    assert_eq!(
        (found.owner.person.id, found.owner.person.role, found.owner.status),
        (owner.id, Role::Agent, UserStatus::Active)
    );
    assert_eq!(found.owner.session_expires_at, key.expires_at);
    assert_eq!(found.owner.person.teams, []);

    let team = joined(teams, owner.id, TeamRole::Lead).await;
    assert_eq!(bearer(keys, &key).await.owner.person.teams, [team]);

    let mut changed = owner.clone();
    changed.role = Role::Admin;
    changed.status = UserStatus::Suspended;
    changed.deleted_at = Some(start());
    changed.version = owner.version.next();
    put(users, &changed, Expected::Version(owner.version)).await;
    good(
        "a key is taken back",
        keys.revoke(revocation(&key, start())).await,
    );
    let now = bearer(keys, &key).await.owner;
    assert_eq!(
        (now.person.role, now.status),
        (Role::Admin, UserStatus::Suspended)
    );
    assert_eq!(
        (now.deleted_at, now.session_revoked_at),
        (Some(start()), Some(start()))
    );
    let unknown = keys.bearer(WhichKey::Shown(token_hash())).await;
    assert_eq!(good("an unknown hash", unknown), None);
}

async fn joined(teams: &dyn TeamStore, user: UserId, rank: TeamRole) -> Membership {
    let team = team();
    let commit = TeamCommit {
        team: team.clone(),
        expected: Expected::Absent,
        events: Vec::new(),
        receipt: None,
    };
    good("a team is stored", teams.commit(commit).await);
    let commit = MemberCommit {
        team: team.id,
        user,
        before: None,
        change: MemberChange::Join(member(team.id, user, rank)),
        events: Vec::new(),
        receipt: None,
    };
    good("a member is stored", teams.commit_member(commit).await);
    Membership {
        team: team.id,
        role: rank,
    }
}

async fn a_use_is_noted_forward_only(users: &dyn UserStore, keys: &dyn ApiKeyStore) {
    let owner = made(users).await;
    let key = api_key(owner.id);
    good("a key is stored", keys.create(creation(&key, &owner, 5)).await);
    let sign = |minute: i64, ip: &str| SignOfUse {
        key: key.id,
        at: start() + Duration::minutes(minute),
        ip: ip.parse().ok(),
    };
    for (minute, ip, noted) in [
        (1, "203.0.113.7", true),
        (1, "203.0.113.8", false),
        (0, "203.0.113.9", false),
        (2, "2001:db8::7", true),
    ] {
        let outcome = good("a use is noted", keys.used(sign(minute, ip)).await);
        assert_eq!(outcome, noted, "{minute} {ip}");
    }
    let last = stored(keys, key.id).await;
    assert_eq!(last.last_used_at, Some(start() + Duration::minutes(2)));
    assert_eq!(last.last_used_ip, "2001:db8::7".parse().ok());
}

/// What whoever knows people must do.
///
/// # Panics
/// When a promise is broken.
pub async fn people(users: &dyn UserStore, teams: &dyn TeamStore, people: &dyn People) {
    let user = made(users).await;
    let membership = joined(teams, user.id, TeamRole::Supervisor).await;
    let person = there("a person", good("a person", people.person(user.id).await));
    assert_eq!(
        (person.id, person.role, person.teams),
        (user.id, Role::Agent, vec![membership])
    );
    let mut changed = user.clone();
    changed.status = UserStatus::Suspended;
    changed.version = user.version.next();
    put(users, &changed, Expected::Version(user.version)).await;
    there(
        "a suspended person",
        good("a person", people.person(user.id).await),
    );
    let mut deleted = changed.clone();
    deleted.deleted_at = Some(start());
    deleted.version = changed.version.next();
    put(users, &deleted, Expected::Version(changed.version)).await;
    assert_eq!(good("a deleted person", people.person(user.id).await), None);
    assert_eq!(good("nobody", people.person(UserId(unique_id())).await), None);
}
