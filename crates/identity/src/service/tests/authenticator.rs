use std::sync::Arc;

use chrono::Duration;
use kernel::receipt::no_receipt;
use kernel::{Classify, Clock, FailureKind, ManualClock, Patch, Person, Role, TeamRole, UserId};

use super::unreachable_store;
use crate::access::{Access, Principal, Restriction};
use crate::ports::{AccessTokens, MockSessionStore, PrincipalRecord};
use crate::service::{AuthError, Authenticator, MemberWish, PrincipalCache, UpdateUser};
use crate::session::{AccessClaims, SessionId, SignInMethod};
use crate::testing::builders::{actor, start, team, unique_id};
use crate::testing::{Desk, FakeAccessTokens};
use crate::two_factor::TwoFactorRule;
use crate::user::UserStatus;
use kernel::Origin;

#[tokio::test]
async fn a_bearer_is_the_person_who_logged_in() {
    let desk = Desk::new();
    let kim = desk.person("kim", Role::Agent);
    let signed_in = desk.log_in("kim").await;
    let principal = desk
        .authenticator
        .authenticate(signed_in.access_token.expose(), Origin::default())
        .await
        .unwrap();
    assert_eq!(
        principal.person,
        Person {
            id: kim.id,
            role: Role::Agent,
            teams: Vec::new(),
            origin: Some(Arc::new(Origin {
                credential: Some(signed_in.session_id.0),
                ..Origin::default()
            })),
        }
    );
    assert_eq!(principal.session(), Some(signed_in.session_id));
    assert_eq!(principal.actor().user_id(), Some(kim.id));
}

#[tokio::test]
async fn a_foreign_or_expired_token_is_nobodys() {
    let desk = Desk::new();
    desk.person("kim", Role::Agent);
    let signed_in = desk.log_in("kim").await;
    let error = desk
        .authenticator
        .authenticate("nonsense", Origin::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Unauthenticated, "auth.token_invalid")
    );
    desk.clock.advance(Duration::minutes(15));
    let error = desk
        .authenticator
        .authenticate(signed_in.access_token.expose(), Origin::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Unauthenticated, "auth.token_expired")
    );
}

#[tokio::test]
async fn a_token_of_one_person_for_anothers_session_is_nobodys() {
    let desk = Desk::new();
    desk.person("kim", Role::Agent);
    let signed_in = desk.log_in("kim").await;
    let forged = AccessClaims {
        user_id: UserId(unique_id()),
        session_id: signed_in.session_id,
        issued_at: start(),
        expires_at: start() + Duration::minutes(15),
    };
    let forged = FakeAccessTokens.issue(&forged).unwrap();
    assert!(matches!(
        desk.authenticator
            .authenticate(forged.expose(), Origin::default())
            .await,
        Err(AuthError::TokenInvalid)
    ));
}

#[tokio::test]
async fn a_change_on_this_node_holds_at_once() {
    let desk = Desk::new();
    desk.person("ada", Role::Admin);
    let kim = desk.person("kim", Role::Agent);
    let team = team();
    desk.world.put_team(team.clone());
    let signed_in = desk.log_in("kim").await;
    let who = async || {
        desk.authenticator
            .authenticate(signed_in.access_token.expose(), Origin::default())
            .await
    };
    let admin = actor(Role::Admin);

    assert_eq!(who().await.unwrap().person.teams, []);
    let wish = MemberWish::Join(TeamRole::Lead);
    desk.teams
        .set_member(&admin, team.id, kim.id, wish, &no_receipt)
        .await
        .unwrap();
    assert_eq!(who().await.unwrap().person.rank_in(team.id), Some(TeamRole::Lead));
    desk.teams.delete(&admin, team.id, None).await.unwrap();
    assert_eq!(who().await.unwrap().person.teams, []);
    let promote = UpdateUser {
        role: Patch::Set(Role::Admin),
        ..UpdateUser::default()
    };
    desk.accounts
        .update(&admin, kim.id, promote, None, &no_receipt)
        .await
        .unwrap();
    let principal = who().await.unwrap();
    assert_eq!(principal.person.role, Role::Admin);
    desk.sessions.logout(&principal).await.unwrap();
    let error = who().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Unauthenticated, "auth.session_revoked")
    );
    assert!(matches!(
        desk.authenticator.reauthenticate(&principal).await,
        Err(AuthError::SessionRevoked)
    ));
}

// ------------------------------------------------------------------------------- over a store that counts

fn record(person: UserId) -> PrincipalRecord {
    PrincipalRecord {
        person: Person {
            id: person,
            role: Role::Agent,
            teams: Vec::new(),
            origin: None,
        },
        status: UserStatus::Active,
        deleted_at: None,
        session_expires_at: start() + Duration::days(30),
        session_revoked_at: None,
        method: SignInMethod::Password,
        two_factor_enabled: false,
        two_factor_rule: TwoFactorRule::Nobody,
    }
}

struct Node {
    authenticator: Authenticator,
    clock: Arc<ManualClock>,
    cache: Arc<PrincipalCache>,
    token: String,
    principal: Principal,
}

/// A node whose store answers `reads` times with `answer`.
fn node(reads: usize, answer: impl Fn(UserId) -> Option<PrincipalRecord> + Send + Sync + 'static) -> Node {
    let principal = Principal {
        person: record(UserId(unique_id())).person,
        access: Access::Session(SessionId(unique_id())),
        restriction: None,
    };
    let claims = AccessClaims {
        user_id: principal.person.id,
        session_id: principal.session().unwrap(),
        issued_at: start(),
        expires_at: start() + Duration::minutes(15),
    };
    let id = principal.person.id;
    let mut sessions = MockSessionStore::new();
    sessions
        .expect_principal()
        .times(reads)
        .returning(move |_| Ok(answer(id)));
    let clock = Arc::new(ManualClock::at(start()));
    let cache = Arc::new(PrincipalCache::new());
    let as_clock: Arc<dyn Clock> = clock.clone();
    Node {
        authenticator: Authenticator::new(
            Arc::new(FakeAccessTokens),
            Arc::new(sessions),
            as_clock,
            cache.clone(),
        ),
        clock,
        cache,
        token: FakeAccessTokens.issue(&claims).unwrap().expose().to_owned(),
        principal,
    }
}

#[tokio::test]
async fn the_store_is_asked_once_in_three_seconds() {
    let node = node(2, |id| Some(record(id)));
    for _ in 0..10 {
        node.authenticator
            .authenticate(&node.token, Origin::default())
            .await
            .unwrap();
        node.authenticator.reauthenticate(&node.principal).await.unwrap();
    }
    node.clock.advance(Duration::milliseconds(2_999));
    node.authenticator
        .authenticate(&node.token, Origin::default())
        .await
        .unwrap();
    node.clock.advance(Duration::milliseconds(1));
    node.authenticator
        .authenticate(&node.token, Origin::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_store_is_asked_again_after_a_change_or_when_the_clock_goes_back() {
    let node = node(3, |id| Some(record(id)));
    node.authenticator
        .authenticate(&node.token, Origin::default())
        .await
        .unwrap();
    node.cache.invalidate_all();
    node.authenticator
        .authenticate(&node.token, Origin::default())
        .await
        .unwrap();
    node.clock.advance(Duration::seconds(-1));
    node.authenticator
        .authenticate(&node.token, Origin::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_remembered_after_it() {
    let cache = Arc::new(PrincipalCache::new());
    let in_between = cache.clone();
    let mut sessions = MockSessionStore::new();
    let id = UserId(unique_id());
    // The change comes while the store's answer is under way.
    sessions.expect_principal().times(2).returning(move |_| {
        in_between.invalidate_all();
        Ok(Some(record(id)))
    });
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(start()));
    let authenticator = Authenticator::new(Arc::new(FakeAccessTokens), Arc::new(sessions), clock, cache);
    let principal = Principal {
        person: record(id).person,
        access: Access::Session(SessionId(unique_id())),
        restriction: None,
    };
    authenticator.reauthenticate(&principal).await.unwrap();
    authenticator.reauthenticate(&principal).await.unwrap();
}

#[tokio::test]
async fn whoever_may_not_act_is_nobody() {
    let shut_out: [fn(&mut PrincipalRecord); 4] = [
        |record| record.status = UserStatus::Suspended,
        |record| record.deleted_at = Some(start()),
        |record| record.session_revoked_at = Some(start()),
        |record| record.session_expires_at = start(),
    ];
    for shut_out in shut_out {
        let node = node(1, move |id| {
            let mut record = record(id);
            shut_out(&mut record);
            Some(record)
        });
        let refused = node
            .authenticator
            .authenticate(&node.token, Origin::default())
            .await;
        assert!(matches!(refused, Err(AuthError::SessionRevoked)), "{refused:?}");
    }
    let gone = node(1, |_| None);
    assert!(matches!(
        gone.authenticator
            .authenticate(&gone.token, Origin::default())
            .await,
        Err(AuthError::SessionRevoked)
    ));
}

#[tokio::test]
async fn one_whose_address_is_not_proved_is_restricted() {
    let node = node(1, |id| {
        Some(PrincipalRecord {
            status: UserStatus::Pending,
            ..record(id)
        })
    });
    let principal = node
        .authenticator
        .authenticate(&node.token, Origin::default())
        .await
        .unwrap();
    assert_eq!(principal.restriction, Some(crate::Restriction::EmailUnverified));
}

#[tokio::test]
async fn a_session_ends_to_the_moment_although_it_is_remembered() {
    let node = node(1, |id| {
        Some(PrincipalRecord {
            session_expires_at: start() + Duration::seconds(2),
            ..record(id)
        })
    });
    node.authenticator
        .authenticate(&node.token, Origin::default())
        .await
        .unwrap();
    node.clock.advance(Duration::seconds(2));
    assert!(matches!(
        node.authenticator
            .authenticate(&node.token, Origin::default())
            .await,
        Err(AuthError::SessionRevoked)
    ));
}

#[tokio::test]
async fn nobody_is_known_while_the_store_is_out_of_reach() {
    let mut sessions = MockSessionStore::new();
    sessions
        .expect_principal()
        .returning(|_| Err(unreachable_store()));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(start()));
    let cache = Arc::new(PrincipalCache::new());
    let authenticator = Authenticator::new(Arc::new(FakeAccessTokens), Arc::new(sessions), clock, cache);
    let principal = Principal {
        person: record(UserId(unique_id())).person,
        access: Access::Session(SessionId(unique_id())),
        restriction: None,
    };
    let error = authenticator.reauthenticate(&principal).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Unavailable, "server.unavailable")
    );
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let mut sessions = MockSessionStore::new();
    let id = UserId(unique_id());
    sessions
        .expect_principal()
        .returning(move |_| Ok(Some(record(id))));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(start()));
    let cache = Arc::new(PrincipalCache::new());
    let authenticator = Authenticator::new(
        Arc::new(FakeAccessTokens),
        Arc::new(sessions),
        clock,
        cache.clone(),
    );
    for session in 0..PrincipalCache::ENTRIES_MAX as u128 + 5 {
        let session_id = SessionId(uuid::Uuid::from_u128(session));
        authenticator
            .reauthenticate(&Principal {
                person: record(id).person,
                access: Access::Session(session_id),
                restriction: None,
            })
            .await
            .unwrap();
    }
    assert_eq!(cache.len(), 5);
}

#[test]
fn who_lacks_the_second_factor_that_the_desk_asks_for_is_restricted() {
    let restriction = |role, rule, enabled, method| {
        let mut record = record(UserId(unique_id()));
        record.person.role = role;
        (record.two_factor_rule, record.two_factor_enabled, record.method) = (rule, enabled, method);
        record.admission(start()).unwrap()
    };
    let missing = Some(Restriction::TwoFactorMissing);
    let password = SignInMethod::Password;
    for (role, rule, expected) in [
        (Role::User, TwoFactorRule::Staff, None),
        (Role::Agent, TwoFactorRule::Nobody, None),
        (Role::Agent, TwoFactorRule::Admins, None),
        (Role::Agent, TwoFactorRule::Staff, missing),
        (Role::Admin, TwoFactorRule::Admins, missing),
        (Role::Admin, TwoFactorRule::Staff, missing),
    ] {
        assert_eq!(
            restriction(role, rule, false, password),
            expected,
            "{role:?} {rule:?}"
        );
        assert_eq!(restriction(role, rule, true, password), None);
        assert_eq!(restriction(role, rule, false, SignInMethod::SignOn), None);
    }
}
