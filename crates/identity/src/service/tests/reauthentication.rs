//! Proving once more who one is.

use kernel::MemoryRateLimits;
use std::sync::Arc;

use chrono::Duration;
use events::{Event, Fact, IdentityFact};
use kernel::Role;

use crate::access::{Access, ApiKeyId, Principal, Scope};
use crate::service::{Reauthentication, ReauthenticationError, Throttle, ThrottleLimits};
use crate::testing::builders::unique_id;
use crate::testing::{Desk, FakeSecrets};
use crate::user::UserStatus;
use crate::value::PasswordHash;

fn throttle(desk: &Desk) -> Arc<Throttle> {
    Arc::new(Throttle::new(
        Arc::new(MemoryRateLimits::new(desk.clock.clone())),
        desk.world.clone(),
        Arc::new(FakeSecrets::default()),
        desk.clock.clone(),
        ThrottleLimits::default(),
    ))
}

fn guard(desk: &Desk) -> Reauthentication {
    Reauthentication::new(
        desk.world.clone(),
        desk.world.clone(),
        desk.hasher.clone(),
        throttle(desk),
        desk.clock.clone(),
        Arc::new(kernel::SequentialIds::default()),
    )
}

#[tokio::test]
async fn the_password_proves_who_one_is_and_nothing_else_does() {
    let desk = Desk::new();
    let ann = desk.person("ann", Role::User);
    let principal = desk.principal("ann").await;
    let guard = guard(&desk);
    let proved = guard.prove(&principal, Some(Desk::PASSWORD)).await.unwrap();
    assert_eq!(proved.id, ann.id);
    for wrong in [
        None,
        Some(""),
        Some("seven purple lantern"),
        Some(&*"x".repeat(600)),
    ] {
        let refused = guard.prove(&principal, wrong).await;
        assert!(matches!(refused, Err(ReauthenticationError::Failed)), "{wrong:?}");
    }
    let key = Principal {
        access: Access::ApiKey {
            key: ApiKeyId(unique_id()),
            scopes: Scope::ALL.to_vec(),
        },
        ..principal
    };
    let refused = guard.prove(&key, Some(Desk::PASSWORD)).await;
    assert!(matches!(refused, Err(ReauthenticationError::Failed)));
}

#[tokio::test]
async fn without_a_password_a_fresh_sign_in_proves_who_one_is() {
    let desk = Desk::new();
    let ann = desk.person("ann", Role::User);
    let principal = desk.principal("ann").await;
    let mut user = crate::ports::UserStore::user(&*desk.world, ann.id)
        .await
        .unwrap()
        .unwrap();
    user.password_hash = PasswordHash::unset();
    desk.world.put_user(user);
    let guard = guard(&desk);
    assert!(guard.prove(&principal, None).await.is_ok());
    desk.clock
        .advance(Duration::minutes(Reauthentication::FRESH_SIGN_IN_MINUTES));
    for password in [None, Some("!"), Some("")] {
        let refused = guard.prove(&principal, password).await;
        assert!(matches!(refused, Err(ReauthenticationError::Failed)));
    }
}

#[tokio::test]
async fn one_who_was_shut_out_proves_nothing() {
    let desk = Desk::new();
    let ann = desk.person("ann", Role::User);
    let principal = desk.principal("ann").await;
    let mut user = crate::ports::UserStore::user(&*desk.world, ann.id)
        .await
        .unwrap()
        .unwrap();
    user.status = UserStatus::Suspended;
    desk.world.put_user(user);
    let refused = guard(&desk).prove(&principal, Some(Desk::PASSWORD)).await;
    assert!(matches!(refused, Err(ReauthenticationError::NoAccount)));
}

#[tokio::test]
async fn who_stole_a_session_cannot_guess_the_password_by_it() {
    let desk = Desk::new();
    desk.person("ann", Role::User);
    let principal = desk.principal("ann").await;
    let guard = guard(&desk);
    for _ in 0..ThrottleLimits::LOGINS_PER_MINUTE {
        let refused = guard.prove(&principal, Some("a wrong one")).await;
        assert!(matches!(refused, Err(ReauthenticationError::Failed)));
    }
    let refused = guard.prove(&principal, Some(Desk::PASSWORD)).await;
    assert!(matches!(refused, Err(ReauthenticationError::TooMany { .. })));
    let failed = |event: &&Event| {
        matches!(
            event.fact,
            Fact::Identity(IdentityFact::ReauthenticationFailed { .. })
        )
    };
    let events = desk.world.events();
    let failures: Vec<_> = events.iter().filter(failed).collect();
    assert_eq!(failures.len(), ThrottleLimits::LOGINS_PER_MINUTE as usize + 1);
    assert!(
        failures
            .iter()
            .all(|event| event.origin == principal.person.origin)
    );
    desk.clock.advance(Duration::minutes(1));
    guard.prove(&principal, Some(Desk::PASSWORD)).await.unwrap();
}
