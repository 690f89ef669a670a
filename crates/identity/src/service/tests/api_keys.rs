use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::Duration;
use events::IdentityFact;
use kernel::receipt::no_receipt;
use kernel::{
    Classify, Client, Clock, FailureKind, ManualClock, Origin, PageLimit, Patch, Person, Role, UserId,
};

use super::unreachable_store;
use crate::access::{Access, AccessDenied, ApiKeyId, Principal, Requirement, Restriction, Scope};
use crate::api_key::{API_KEY_MARK, ApiKey, Scopes};
use crate::policy::Operation;
use crate::ports::{ApiKeyRecord, MockApiKeyStore, MockSessionStore, PrincipalRecord};
use crate::service::{
    ApiKeyError, AuthError, Authenticator, CreateApiKey, CreateApiKeyError, NewApiKey, PrincipalCache,
    Question, UpdateUser, WhyNotError,
};
use crate::session::SecretToken;
use crate::session::SignInMethod;
use crate::testing::builders::{actor, start, unique_id};
use crate::testing::{Desk, FakeAccessTokens, FakeSecrets};
use crate::two_factor::TwoFactorRule;
use crate::user::UserStatus;

fn wish(scopes: &[&str]) -> CreateApiKey {
    CreateApiKey {
        name: "Nightly report".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        expires_at: None,
        current_password: Some(Desk::PASSWORD.to_owned()),
    }
}

async fn made(desk: &Desk, owner: &Principal) -> NewApiKey {
    desk.api_keys
        .create(owner, wish(&["tickets:read"]))
        .await
        .unwrap()
}

fn from(ip: &str) -> Origin {
    Origin::of(Client::new(None, ip.parse().ok()))
}

async fn speaks(desk: &Desk, key: &SecretToken) -> Result<Principal, AuthError> {
    desk.authenticator
        .authenticate(key.expose(), from("203.0.113.7"))
        .await
}

fn is_invalid(outcome: &Result<Principal, AuthError>) -> bool {
    matches!(outcome, Err(AuthError::KeyInvalid))
}

#[tokio::test]
async fn a_key_speaks_for_its_owner_within_its_scopes() {
    let desk = Desk::new();
    desk.person("kim", Role::Agent);
    let kim = desk.principal("kim").await;
    let NewApiKey { key, secret } = made(&desk, &kim).await;
    assert!(secret.expose().starts_with(API_KEY_MARK));
    assert_eq!(key.prefix, secret.expose()[..8]);
    assert_eq!(key.expires_at, start() + Duration::days(90));
    let principal = speaks(&desk, &secret).await.unwrap();
    assert_eq!(
        principal.access,
        Access::ApiKey {
            key: key.id,
            scopes: vec![Scope::TicketsRead]
        }
    );
    assert_eq!(principal.person.id, kim.person.id);
    assert_eq!(
        principal.person.origin.as_ref().unwrap().credential,
        Some(key.id.0)
    );
    assert_eq!(principal.meets(Requirement::Scope(Scope::TicketsRead)), Ok(()));
    let still = desk.authenticator.reauthenticate(&principal).await.unwrap();
    assert_eq!(still, principal);
    let facts = desk.world.facts();
    let told = facts
        .iter()
        .any(|fact| matches!(fact, IdentityFact::ApiKeyCreated { key: told, .. } if *told == key.id.0));
    assert!(told, "{facts:?}");
    assert!(!format!("{:?}", made(&desk, &kim).await).contains("idk_token"));
}

#[tokio::test]
async fn a_key_is_made_by_its_owner_in_person_who_knows_the_password() {
    let desk = Desk::new();
    desk.person("kim", Role::Agent);
    let kim = desk.principal("kim").await;
    let NewApiKey { key: _, secret } = made(&desk, &kim).await;
    let program = speaks(&desk, &secret).await.unwrap();
    let refused = desk.api_keys.create(&program, wish(&["tickets:read"])).await;
    assert!(matches!(
        refused,
        Err(CreateApiKeyError::Access(AccessDenied::SessionRequired))
    ));
    for password in ["", "nonsense"] {
        let wrong = CreateApiKey {
            current_password: Some(password.to_owned()),
            ..wish(&["tickets:read"])
        };
        let refused = desk.api_keys.create(&kim, wrong).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (FailureKind::Forbidden, "auth.reauthentication_failed")
        );
    }
    for _ in 1..ApiKey::LIVE_MAX {
        made(&desk, &kim).await;
    }
    let refused = desk.api_keys.create(&kim, wish(&["tickets:read"])).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Conflict, "api_key.too_many")
    );
}

#[tokio::test]
async fn a_key_that_opens_nothing_is_refused_in_one_way() {
    let desk = Desk::new();
    desk.person("kim", Role::Agent);
    let kim = desk.principal("kim").await;
    let admin = actor(Role::Admin);
    for bad in ["idk_", "idk_unknown", "idk_%", &"idk_".repeat(60)] {
        let refused = desk.authenticator.authenticate(bad, Origin::default()).await;
        assert!(is_invalid(&refused), "{bad}: {refused:?}");
    }
    let revoked = made(&desk, &kim).await;
    let principal = speaks(&desk, &revoked.secret).await.unwrap();
    desk.api_keys.revoke(&kim.actor(), revoked.key.id).await.unwrap();
    assert!(is_invalid(&speaks(&desk, &revoked.secret).await));
    assert!(is_invalid(&desk.authenticator.reauthenticate(&principal).await));

    let living = made(&desk, &kim).await;
    for status in [UserStatus::Suspended, UserStatus::Pending] {
        let update = UpdateUser {
            status: Patch::Set(status),
            ..UpdateUser::default()
        };
        let id = kim.person.id;
        desk.accounts
            .update(&admin, id, update, None, &no_receipt)
            .await
            .unwrap();
        assert!(is_invalid(&speaks(&desk, &living.secret).await), "{status:?}");
    }
    let active = UpdateUser {
        status: Patch::Set(UserStatus::Active),
        ..UpdateUser::default()
    };
    desk.accounts
        .update(&admin, kim.person.id, active, None, &no_receipt)
        .await
        .unwrap();
    speaks(&desk, &living.secret).await.unwrap();
    desk.clock.advance(Duration::days(90));
    assert!(is_invalid(&speaks(&desk, &living.secret).await));
    desk.accounts.delete(&admin, kim.person.id, None).await.unwrap();
    assert!(is_invalid(&speaks(&desk, &living.secret).await));
}

#[tokio::test]
async fn keys_of_others_are_there_for_administrators_alone() {
    let desk = Desk::new();
    desk.person("kim", Role::Agent);
    let kim = desk.principal("kim").await;
    let NewApiKey { key, secret: _ } = made(&desk, &kim).await;
    let (other, admin) = (actor(Role::Agent), actor(Role::Admin));
    for id in [key.id, ApiKeyId(unique_id())] {
        assert!(matches!(
            desk.api_keys.get(&other, id).await,
            Err(ApiKeyError::NotFound)
        ));
        assert!(matches!(
            desk.api_keys.revoke(&other, id).await,
            Err(ApiKeyError::NotFound)
        ));
    }
    for owner in [kim.person.id, UserId(unique_id())] {
        let list = desk.api_keys.list(&other, owner, None, PageLimit::DEFAULT).await;
        assert!(matches!(list, Err(ApiKeyError::Forbidden)), "{list:?}");
    }
    let seen = desk
        .api_keys
        .list(&admin, kim.person.id, None, PageLimit::DEFAULT)
        .await;
    assert_eq!(seen.unwrap().items, std::slice::from_ref(&key));
    for _ in 0..2 {
        desk.api_keys.revoke(&admin, key.id).await.unwrap();
    }
    let revoked = desk.world.facts().into_iter();
    let revoked = revoked.filter(|fact| matches!(fact, IdentityFact::ApiKeyRevoked { .. }));
    assert_eq!(revoked.count(), 1);
}

#[tokio::test]
async fn a_use_is_noted_to_the_minute_and_from_where() {
    let desk = Desk::new();
    desk.person("kim", Role::Agent);
    let kim = desk.principal("kim").await;
    let NewApiKey { key, secret } = made(&desk, &kim).await;
    desk.clock.advance(Duration::seconds(95));
    speaks(&desk, &secret).await.unwrap();
    let shown = desk.api_keys.get(&kim.actor(), key.id).await.unwrap();
    assert_eq!(shown.last_used_at, Some(start() + Duration::minutes(1)));
    assert_eq!(shown.last_used_ip, "203.0.113.7".parse().ok());
}

// ------------------------------------------------------------------------------- over a store that counts

struct Node {
    authenticator: Authenticator,
    clock: Arc<ManualClock>,
    cache: Arc<PrincipalCache>,
    notes: Arc<AtomicU64>,
}

/// A node whose store gives a key `reads` times, counts the uses that are noted, and fails to note them.
fn node(reads: usize) -> Node {
    let record = ApiKeyRecord {
        key: ApiKeyId(unique_id()),
        scopes: Scopes::of(vec![Scope::TicketsRead]),
        owner: PrincipalRecord {
            person: Person {
                id: UserId(unique_id()),
                role: Role::Agent,
                teams: Vec::new(),
                origin: None,
            },
            status: UserStatus::Active,
            deleted_at: None,
            session_expires_at: start() + Duration::days(1),
            session_revoked_at: None,
            method: SignInMethod::Password,
            two_factor_enabled: false,
            two_factor_rule: TwoFactorRule::default(),
        },
    };
    let mut keys = MockApiKeyStore::new();
    keys.expect_bearer()
        .times(reads)
        .returning(move |_| Ok(Some(record.clone())));
    let notes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&notes);
    keys.expect_used().returning(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Err(unreachable_store())
    });
    let clock = Arc::new(ManualClock::at(start()));
    let cache = Arc::new(PrincipalCache::new());
    let as_clock: Arc<dyn Clock> = clock.clone();
    let authenticator = Authenticator::new(
        Arc::new(FakeAccessTokens),
        Arc::new(MockSessionStore::new()),
        as_clock,
        cache.clone(),
    );
    Node {
        authenticator: authenticator.accepting_keys(Arc::new(keys), Arc::new(FakeSecrets::default())),
        clock,
        cache,
        notes,
    }
}

#[tokio::test]
async fn a_key_is_read_once_in_three_seconds_and_its_use_noted_once_a_minute_though_that_fails() {
    let node = node(4);
    let speak = async || {
        let spoken = node
            .authenticator
            .authenticate("idk_abc", Origin::default())
            .await;
        spoken.unwrap();
    };
    for _ in 0..10 {
        speak().await;
    }
    assert_eq!(node.notes.load(Ordering::Relaxed), 1);
    node.clock.advance(Duration::seconds(3));
    speak().await;
    node.cache.invalidate_all();
    speak().await;
    assert_eq!(node.notes.load(Ordering::Relaxed), 1);
    node.clock.advance(Duration::seconds(57));
    speak().await;
    assert_eq!(node.notes.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn without_a_store_of_keys_every_key_is_unknown() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(start()));
    let authenticator = Authenticator::new(
        Arc::new(FakeAccessTokens),
        Arc::new(MockSessionStore::new()),
        clock,
        Arc::new(PrincipalCache::new()),
    );
    assert!(is_invalid(
        &authenticator.authenticate("idk_abc", Origin::default()).await
    ));
}

#[test]
fn a_key_of_a_restricted_person_is_restricted_too() {
    let principal = Principal {
        person: Person {
            id: UserId(unique_id()),
            role: Role::Agent,
            teams: Vec::new(),
            origin: None,
        },
        access: Access::ApiKey {
            key: ApiKeyId(unique_id()),
            scopes: vec![Scope::TicketsRead],
        },
        restriction: Some(Restriction::TwoFactorMissing),
    };
    assert_eq!(
        principal.meets(Requirement::Scope(Scope::TicketsRead)),
        Err(AccessDenied::TwoFactorMissing)
    );
}

// ---------------------------------------------------------------------------------- sessions, explanations

#[tokio::test]
async fn ending_all_sessions_is_told_once_and_keys_stay() {
    let desk = Desk::new();
    desk.person("kim", Role::Agent);
    let kim = desk.principal("kim").await;
    let NewApiKey { key: _, secret } = made(&desk, &kim).await;
    let refused = desk
        .session_control
        .end_all(&actor(Role::Agent), kim.person.id)
        .await;
    assert_eq!(refused.unwrap_err().code(), "user.not_found");
    for _ in 0..2 {
        desk.session_control
            .end_all(&actor(Role::Admin), kim.person.id)
            .await
            .unwrap();
    }
    assert!(desk.authenticator.reauthenticate(&kim).await.is_err());
    speaks(&desk, &secret).await.unwrap();
    let ended = desk.world.facts().into_iter();
    let ended = ended.filter(|fact| matches!(fact, IdentityFact::SessionsEnded { session: None, .. }));
    assert_eq!(ended.count(), 1);
}

#[tokio::test]
async fn what_is_hidden_is_explained_like_nothing() {
    let desk = Desk::new();
    let kim = desk.person("kim", Role::User);
    let (customer, admin) = (actor(Role::User), actor(Role::Admin));
    for id in [kim.id, UserId(unique_id())] {
        let asked = Question::Account(Operation::ChangeUser, id);
        let told = desk.why_not.explain(&customer, asked).await;
        assert!(matches!(told, Err(WhyNotError::UserNotFound)), "{told:?}");
        let behalf = desk.why_not.on_behalf_of(&customer, id).await;
        assert!(matches!(behalf, Err(WhyNotError::Forbidden)), "{behalf:?}");
    }
    let person = desk.why_not.on_behalf_of(&admin, kim.id).await.unwrap();
    assert_eq!((person.id, person.role), (kim.id, Role::User));
}
