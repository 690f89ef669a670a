use kernel::MemoryRateLimits;
use std::sync::Arc;

use chrono::Duration;
use events::IdentityFact;
use kernel::receipt::no_receipt;
use kernel::{
    Actor, Classify, Clock, FailureKind, ManualClock, PageLimit, Patch, Person, Role, SequentialIds,
};

use super::{Script, changes, unreachable_store};
use crate::ports::{
    BeginError, MockSessionStore, MockUserStore, RotateError, Secrets, SessionStore, ShownToken, TokenPlace,
};
use crate::service::{
    ChangePassword, Credentials, LoginError, PrincipalCache, RefreshError, SecondFactor, SecondFactorPorts,
    SessionError, SessionLimits, SessionPorts, Sessions, SignedIn, Throttle, ThrottleLimits, TwoFactorLimits,
    UpdateUser,
};
use crate::session::SessionId;
use crate::testing::builders::{actor, origin, session, start, unique_id, user};
use crate::testing::{Desk, FakeAccessTokens, FakeHasher, FakeSecrets, FakeTotp, FakeVault, MemoryIdentity};
use crate::user::UserStatus;
use kernel::Client;
use kernel::Origin;

fn credentials(email: &str, password: &str) -> Credentials {
    Credentials {
        email: email.to_owned(),
        password: password.to_owned(),
        totp: None,
    }
}

fn client() -> Client {
    Client::new(Some("Test/1.0"), None)
}

async fn refresh(desk: &Desk, token: &str) -> Result<SignedIn, RefreshError> {
    desk.sessions.refresh(token, origin()).await
}

fn reuse_events(desk: &Desk) -> usize {
    let is_reuse = |fact: &IdentityFact| matches!(fact, IdentityFact::SessionReuseDetected { .. });
    desk.world.facts().iter().filter(|fact| is_reuse(fact)).count()
}

// ------------------------------------------------------------------------------------------------- login

#[tokio::test]
async fn a_login_gives_a_pair_of_tokens_and_keeps_only_the_hash_of_one() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let client = Client::new(Some("Browser/1.0"), "192.0.2.7".parse().ok());
    let signed_in = desk
        .sessions
        .login(
            credentials(" ROBIN@example.com ", Desk::PASSWORD),
            Arc::new(Origin::of(client.clone())),
        )
        .await
        .unwrap();
    assert_eq!(
        (signed_in.profile.id, signed_in.profile.last_login_at),
        (robin.id, Some(start()))
    );
    assert_eq!(signed_in.access_expires_in, Duration::minutes(15));
    let stored = desk.world.session(signed_in.session_id).await.unwrap().unwrap();
    assert_ne!(
        stored.refresh_token_sha256.as_str(),
        signed_in.refresh_token.expose()
    );
    assert_eq!(
        (stored.client, stored.expires_at),
        (client, start() + Duration::days(30))
    );
}

#[tokio::test]
async fn every_login_begins_a_session_of_its_own() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let (one, other) = (desk.log_in("robin").await, desk.log_in("robin").await);
    assert_ne!(one.session_id, other.session_id);
    assert_ne!(one.refresh_token, other.refresh_token);
}

#[tokio::test]
async fn a_login_that_fails_answers_the_same_at_the_same_cost_whatever_the_reason() {
    let desk = Desk::new();
    let admin = actor(Role::Admin);
    for name in ["robin", "suspended", "deleted"] {
        desk.person(name, Role::User);
    }
    let id = desk.log_in("suspended").await.profile.id;
    let update = UpdateUser {
        status: Patch::Set(UserStatus::Suspended),
        ..UpdateUser::default()
    };
    desk.accounts
        .update(&admin, id, update, None, &no_receipt)
        .await
        .unwrap();
    let mut invited = Desk::create_user("invited@example.com", Role::User);
    invited.password = None;
    desk.accounts
        .create_user(&admin, invited, &no_receipt)
        .await
        .unwrap();
    let id = desk.log_in("deleted").await.profile.id;
    desk.accounts.delete(&admin, id, None).await.unwrap();

    let long = "x".repeat(10_000);
    for (email, password) in [
        ("robin@example.com", "wrong password"),
        ("robin@example.com", " seven purple lanterns"),
        ("robin@example.com", ""),
        ("robin@example.com", long.as_str()),
        ("nobody@example.com", Desk::PASSWORD),
        ("not an address", Desk::PASSWORD),
        ("", ""),
        ("suspended@example.com", Desk::PASSWORD),
        ("invited@example.com", Desk::PASSWORD),
        ("invited@example.com", "!"),
        ("deleted@example.com", Desk::PASSWORD),
    ] {
        let before = desk.hasher.comparisons();
        let error = desk
            .sessions
            .login(credentials(email, password), origin())
            .await
            .unwrap_err();
        assert_eq!(desk.hasher.comparisons() - before, 1, "{email}");
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::Unauthenticated, "auth.invalid_credentials")
        );
        assert_eq!(error.to_string(), LoginError::InvalidCredentials.to_string());
    }
}

#[tokio::test]
async fn a_login_overtaken_by_a_shut_out_is_refused() {
    let robin = user(Role::User);
    let mut users = MockUserStore::new();
    let found = crate::user::User {
        password_hash: crate::value::PasswordHash::from_phc(format!("$fake$0${}", Desk::PASSWORD)),
        ..robin
    };
    users
        .expect_user_by_email()
        .returning(move |_| Ok(Some(found.clone())));
    let mut store = MockSessionStore::new();
    store
        .expect_begin()
        .times(1)
        .returning(|_| Err(BeginError::Refused));
    store.expect_refuse().times(1).returning(|_| Ok(()));
    let refused = sessions(users, store)
        .login(credentials("robin@example.com", Desk::PASSWORD), origin())
        .await;
    assert!(matches!(refused, Err(LoginError::InvalidCredentials)));
}

#[tokio::test]
async fn a_login_says_when_the_store_is_out_of_reach() {
    let mut users = MockUserStore::new();
    users
        .expect_user_by_email()
        .returning(|_| Err(unreachable_store()));
    let login = sessions(users, MockSessionStore::new())
        .login(credentials("robin@example.com", "x"), origin())
        .await;
    assert_eq!(login.unwrap_err().kind(), FailureKind::Unavailable);
}

// ----------------------------------------------------------------------------------------------- refresh

#[tokio::test]
async fn a_refresh_gives_a_new_pair_for_the_same_session() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let first = desk.log_in("robin").await;
    desk.clock.advance(Duration::minutes(20));
    assert!(
        desk.authenticator
            .authenticate(first.access_token.expose(), Origin::default())
            .await
            .is_err()
    );
    let second = refresh(&desk, first.refresh_token.expose()).await.unwrap();
    assert_eq!(second.session_id, first.session_id);
    assert_ne!(second.refresh_token, first.refresh_token);
    assert!(
        desk.authenticator
            .authenticate(second.access_token.expose(), Origin::default())
            .await
            .is_ok()
    );
    let third = refresh(&desk, second.refresh_token.expose()).await.unwrap();
    assert_ne!(third.refresh_token, second.refresh_token);
}

#[tokio::test]
async fn a_lost_answer_is_given_again_to_the_same_client_within_ten_seconds() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let first = desk.log_in("robin").await;
    let second = refresh(&desk, first.refresh_token.expose()).await.unwrap();
    desk.clock.advance(Duration::seconds(10));
    let again = refresh(&desk, first.refresh_token.expose()).await.unwrap();
    assert_eq!(again.refresh_token, second.refresh_token);
    refresh(&desk, again.refresh_token.expose()).await.unwrap();
    assert_eq!(reuse_events(&desk), 0);
}

#[tokio::test]
async fn an_exchanged_token_shown_later_ends_the_session_and_is_told_of_once() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let other = desk.log_in("robin").await;
    let first = desk.log_in("robin").await;
    let second = refresh(&desk, first.refresh_token.expose()).await.unwrap();
    desk.clock.advance(Duration::milliseconds(10_001));
    let error = refresh(&desk, first.refresh_token.expose()).await.unwrap_err();
    assert!(matches!(error, RefreshError::TokenReused));
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Unauthenticated, "auth.session_revoked")
    );
    let fact = IdentityFact::SessionReuseDetected {
        user: robin.id,
        session: first.session_id.0,
    };
    let ended = IdentityFact::SessionsEnded {
        user: robin.id,
        session: Some(first.session_id.0),
    };
    assert_eq!(changes(&desk), [fact, ended]);

    assert!(
        desk.authenticator
            .authenticate(second.access_token.expose(), Origin::default())
            .await
            .is_err(),
        "at once"
    );
    for token in [&first, &second] {
        let error = refresh(&desk, token.refresh_token.expose()).await.unwrap_err();
        assert!(matches!(error, RefreshError::SessionRevoked));
    }
    assert_eq!(reuse_events(&desk), 1);
    refresh(&desk, other.refresh_token.expose())
        .await
        .expect("other sessions go on");
}

#[tokio::test]
async fn an_exchanged_token_of_another_client_ends_the_session_even_within_the_grace() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    for thief in [Client::new(Some("Thief/1.0"), None), Client::new(None, None)] {
        let first = desk.log_in("robin").await;
        refresh(&desk, first.refresh_token.expose()).await.unwrap();
        let error = desk
            .sessions
            .refresh(first.refresh_token.expose(), Arc::new(Origin::of(thief)))
            .await
            .unwrap_err();
        assert!(matches!(error, RefreshError::TokenReused));
    }
    assert_eq!(reuse_events(&desk), 2);
}

#[tokio::test]
async fn an_exchanged_token_whose_successor_was_used_ends_the_session_even_within_the_grace() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let first = desk.log_in("robin").await;
    let second = refresh(&desk, first.refresh_token.expose()).await.unwrap();
    let third = refresh(&desk, second.refresh_token.expose()).await.unwrap();
    let error = refresh(&desk, first.refresh_token.expose()).await.unwrap_err();
    assert!(matches!(error, RefreshError::TokenReused));
    assert!(matches!(
        refresh(&desk, third.refresh_token.expose()).await,
        Err(RefreshError::SessionRevoked)
    ));
}

#[tokio::test]
async fn a_client_that_was_updated_in_between_is_compared_with_itself() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let first = desk.log_in("robin").await;
    let updated = Client::new(Some("Test/2.0"), None);
    let second = desk
        .sessions
        .refresh(
            first.refresh_token.expose(),
            Arc::new(Origin::of(updated.clone())),
        )
        .await
        .unwrap();
    let again = desk
        .sessions
        .refresh(first.refresh_token.expose(), Arc::new(Origin::of(updated)))
        .await
        .unwrap();
    assert_eq!(again.refresh_token, second.refresh_token);
}

/// The one who loses the exchange looks again, and finds the winner's successor.
#[tokio::test]
async fn two_refreshes_at_once_get_the_same_successor() {
    let secrets = FakeSecrets::default();
    let presented = secrets.token().unwrap();
    let salt = vec![1, 2, 3];
    let successor = secrets.successor(&presented, &salt);
    let user = user(Role::User);
    let mut live = session(&user);
    live.client = client();
    live.refresh_token_sha256 = secrets.sha256(&presented);
    let mut after = live.clone();
    after.refresh_token_sha256 = secrets.sha256(&successor);
    let looks = Script::new(vec![
        ShownToken {
            session: live,
            user: user.clone(),
            place: TokenPlace::Live,
        },
        ShownToken {
            session: after,
            user,
            place: TokenPlace::Exchanged {
                at: start(),
                successor_salt: salt,
            },
        },
    ]);
    let mut store = MockSessionStore::new();
    store
        .expect_shown()
        .times(2)
        .returning(move |_| Ok(Some(looks.next())));
    store
        .expect_rotate()
        .times(1)
        .returning(|_| Err(RotateError::Stale));
    let loser = sessions(MockUserStore::new(), store)
        .refresh(presented.expose(), origin())
        .await
        .unwrap();
    assert_eq!(loser.refresh_token, successor);
}

#[tokio::test]
async fn an_unknown_token_ends_nothing() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let signed_in = desk.log_in("robin").await;
    let long = "a".repeat(201);
    for wrong in [
        "",
        "unknown",
        "%",
        "*",
        "a b",
        "\0",
        long.as_str(),
        signed_in.access_token.expose(),
    ] {
        let error = refresh(&desk, wrong).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::Unauthenticated, "auth.token_invalid"),
            "{wrong}"
        );
    }
    refresh(&desk, signed_in.refresh_token.expose()).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let signed_in = desk.log_in("robin").await;
    assert!(
        desk.authenticator
            .authenticate(signed_in.refresh_token.expose(), Origin::default())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_session_left_idle_for_thirty_days_is_over() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let signed_in = desk.log_in("robin").await;
    desk.clock.advance(Duration::days(30) - Duration::microseconds(1));
    let second = refresh(&desk, signed_in.refresh_token.expose()).await.unwrap();
    desk.clock.advance(Duration::days(30));
    let error = refresh(&desk, second.refresh_token.expose()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Unauthenticated, "auth.token_expired")
    );
}

#[tokio::test]
async fn a_session_is_over_after_ninety_days_however_often_it_is_used_and_its_access_token_with_it() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let mut signed_in = desk.log_in("robin").await;
    for _ in 0..8 {
        desk.clock.advance(Duration::days(10));
        signed_in = refresh(&desk, signed_in.refresh_token.expose()).await.unwrap();
    }
    desk.clock.advance(Duration::days(10) - Duration::minutes(5));
    signed_in = refresh(&desk, signed_in.refresh_token.expose()).await.unwrap();
    assert_eq!(signed_in.access_expires_in, Duration::minutes(5));
    desk.clock.advance(Duration::minutes(5));
    assert!(
        desk.authenticator
            .authenticate(signed_in.access_token.expose(), Origin::default())
            .await
            .is_err()
    );
    let error = refresh(&desk, signed_in.refresh_token.expose()).await;
    assert!(matches!(error, Err(RefreshError::TokenExpired)));
}

#[tokio::test]
async fn a_refresh_of_an_account_that_was_shut_out_is_refused() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let signed_in = desk.log_in("robin").await;
    let update = UpdateUser {
        status: Patch::Set(UserStatus::Suspended),
        ..UpdateUser::default()
    };
    desk.accounts
        .update(&actor(Role::Admin), robin.id, update, None, &no_receipt)
        .await
        .unwrap();
    let error = refresh(&desk, signed_in.refresh_token.expose()).await;
    assert!(matches!(error, Err(RefreshError::SessionRevoked)));
}

// ----------------------------------------------------------------------------------------- leaving, listing

#[tokio::test]
async fn a_logout_ends_one_session_and_a_logout_from_all_ends_every_one() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    desk.person("kim", Role::User);
    let (one, two, three) = (
        desk.log_in("robin").await,
        desk.log_in("robin").await,
        desk.log_in("robin").await,
    );
    let bystander = desk.log_in("kim").await;
    let principal = desk
        .authenticator
        .authenticate(one.access_token.expose(), Origin::default())
        .await
        .unwrap();
    desk.sessions.logout(&principal).await.unwrap();
    desk.sessions
        .logout(&principal)
        .await
        .expect("once more does no harm");
    assert!(
        desk.authenticator
            .authenticate(one.access_token.expose(), Origin::default())
            .await
            .is_err()
    );
    assert!(matches!(
        refresh(&desk, one.refresh_token.expose()).await,
        Err(RefreshError::SessionRevoked)
    ));
    let principal = desk
        .authenticator
        .authenticate(two.access_token.expose(), Origin::default())
        .await
        .unwrap();
    desk.sessions.logout_all(&principal).await.unwrap();
    for ended in [two, three] {
        assert!(
            desk.authenticator
                .authenticate(ended.access_token.expose(), Origin::default())
                .await
                .is_err()
        );
        assert!(refresh(&desk, ended.refresh_token.expose()).await.is_err());
    }
    assert!(
        desk.authenticator
            .authenticate(bystander.access_token.expose(), Origin::default())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_person_lists_and_ends_their_own_sessions_and_admins_anyones() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let own = Actor::Person(Person {
        id: robin.id,
        role: Role::User,
        teams: Vec::new(),
        origin: None,
    });
    let (one, two) = (desk.log_in("robin").await, desk.log_in("robin").await);
    let list = async |who: &Actor| {
        let page = desk
            .sessions
            .list(who, robin.id, None, PageLimit::DEFAULT)
            .await?;
        Ok::<usize, SessionError>(page.items.len())
    };
    for stranger in [actor(Role::User), actor(Role::Agent)] {
        assert!(matches!(list(&stranger).await, Err(SessionError::NoAccount)));
        let error = desk.sessions.revoke(&stranger, one.session_id).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::NotFound, "session.not_found")
        );
    }
    assert_eq!(list(&own).await.unwrap(), 2);
    desk.sessions.revoke(&own, one.session_id).await.unwrap();
    assert!(
        desk.authenticator
            .authenticate(one.access_token.expose(), Origin::default())
            .await
            .is_err()
    );
    assert!(matches!(
        desk.sessions.revoke(&own, one.session_id).await,
        Err(SessionError::NotFound)
    ));
    assert_eq!(list(&actor(Role::Admin)).await.unwrap(), 1);
    desk.sessions
        .revoke(&actor(Role::Admin), two.session_id)
        .await
        .unwrap();
    assert_eq!(list(&own).await.unwrap(), 0);
    let unknown = desk.sessions.revoke(&own, SessionId(unique_id())).await;
    assert!(matches!(unknown, Err(SessionError::NotFound)));
}

#[tokio::test]
async fn ended_sessions_are_forgotten_after_thirty_days() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let principal = desk.principal("robin").await;
    desk.sessions.logout(&principal).await.unwrap();
    desk.clock.advance(Duration::days(30));
    assert_eq!(desk.sessions.forget_ended(100).await.unwrap(), 0);
    desk.clock.advance(Duration::seconds(1));
    assert_eq!(desk.sessions.forget_ended(100).await.unwrap(), 1);
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let credentials = credentials("robin@example.com", "hush");
    let change = ChangePassword {
        current: Some("hush".into()),
        new: "hush".into(),
    };
    let token = crate::SecretToken::parse("hush").unwrap();
    let access = crate::AccessToken::new("hush");
    let hash = crate::PasswordHash::from_phc("hush");
    let attempt = crate::PasswordAttempt::new("hush").unwrap();
    let shown = format!("{credentials:?} {change:?} {token:?} {access:?} {hash:?} {attempt:?}");
    assert!(!shown.contains("hush") && !shown.contains("robin"), "{shown}");
}

// ------------------------------------------------------------------------------------------------ helpers

fn sessions(users: MockUserStore, store: MockSessionStore) -> Sessions {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(start()));
    let world = Arc::new(MemoryIdentity::new());
    let secrets = Arc::new(FakeSecrets::default());
    let second_factor = SecondFactorPorts {
        store: world.clone(),
        vault: Arc::new(FakeVault::default()),
        totp: Arc::new(FakeTotp),
        secrets: secrets.clone(),
    };
    let throttle = Throttle::new(
        Arc::new(MemoryRateLimits::new(clock.clone())),
        world,
        secrets.clone(),
        clock.clone(),
        ThrottleLimits::default(),
    );
    let ports = SessionPorts {
        users: Arc::new(users),
        sessions: Arc::new(store),
        second_factor: Arc::new(SecondFactor::new(second_factor, TwoFactorLimits::default())),
        throttle: Arc::new(throttle),
        hasher: Arc::new(FakeHasher::default()),
        tokens: Arc::new(FakeAccessTokens),
        secrets,
        clock,
        ids: Arc::new(SequentialIds::default()),
        cache: Arc::new(PrincipalCache::new()),
    };
    Sessions::new(ports, SessionLimits::default())
}
