use kernel::MemoryRateLimits;
use std::sync::Arc;

use chrono::Duration;
use events::IdentityFact;
use kernel::receipt::no_receipt;
use kernel::{
    Actor, Classify, Clock, FailureKind, ManualClock, PageLimit, Patch, Role, SequentialIds, SystemActor,
    TeamRole, UserId, Version,
};

use super::{Script, changes, receipt};
use crate::ports::{
    AccountCommitError, Deleted, MockOneTimeTokens, MockPasswordHasher, MockSessionStore, MockSetupStore,
    MockUserStore, PasswordHasher, SessionStore, TeamStore, UserStore,
};
use crate::service::{
    AccountLimits, AccountPorts, Accounts, ChangeAccountError, ChangePassword, ChangePasswordError,
    CreateAccountError, ListUsers, PrincipalCache, ReadAccountError, Reauthentication, ReauthenticationError,
    Throttle, ThrottleLimits, UpdateUser,
};
use crate::testing::builders::{acting, actor, member, start, team, unique_id, user};
use crate::testing::{Desk, FakeSecrets};
use crate::user::{UserStatus, UserView};
use crate::value::PasswordHash;
use kernel::Origin;

fn as_actor(profile: &crate::user::Profile) -> Actor {
    Actor::Person(kernel::Person {
        id: profile.id,
        role: profile.role,
        teams: Vec::new(),
        origin: None,
    })
}

fn renamed(name: &str) -> UpdateUser {
    UpdateUser {
        name: Patch::Set(name.to_owned()),
        ..UpdateUser::default()
    }
}

fn with_role(role: Role) -> UpdateUser {
    UpdateUser {
        role: Patch::Set(role),
        ..UpdateUser::default()
    }
}

fn with_status(status: UserStatus) -> UpdateUser {
    UpdateUser {
        status: Patch::Set(status),
        ..UpdateUser::default()
    }
}

fn fields(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

// ------------------------------------------------------------------------------------------------- making

#[tokio::test]
async fn only_admins_make_accounts_for_others() {
    let desk = Desk::new();
    for role in [Role::User, Role::Agent] {
        let refused = desk
            .accounts
            .create_user(
                &actor(role),
                Desk::create_user("x@example.com", Role::Agent),
                &no_receipt,
            )
            .await;
        assert!(matches!(refused, Err(CreateAccountError::Forbidden)));
    }
    let system = Actor::System(SystemActor::Import);
    let refused = desk
        .accounts
        .create_user(
            &system,
            Desk::create_user("x@example.com", Role::Agent),
            &no_receipt,
        )
        .await;
    assert!(matches!(refused, Err(CreateAccountError::Forbidden)));

    let admin = as_actor(&desk.person("ada", Role::Admin));
    let made = desk
        .accounts
        .create_user(
            &admin,
            Desk::create_user("x@example.com", Role::Agent),
            &no_receipt,
        )
        .await
        .unwrap();
    assert_eq!(made.role, Role::Agent);
    assert_eq!(desk.world.events()[0].cause.person(), admin.user_id());
    desk.log_in("x").await;
}

#[tokio::test]
async fn a_request_sent_again_makes_no_second_account() {
    let desk = Desk::new();
    let admin = actor(Role::Admin);
    let make = async |email: &str| {
        let answer = |_: &crate::user::Profile| Some(receipt("key"));
        desk.accounts
            .create_user(&admin, Desk::create_user(email, Role::User), &answer)
            .await
    };
    make("one@example.com").await.unwrap();
    let again = make("two@example.com").await.unwrap_err();
    assert_eq!(
        (again.kind(), again.code()),
        (FailureKind::Conflict, "request.repeated")
    );
    assert_eq!(desk.world.facts().len(), 1);
    assert_eq!(desk.world.receipts(), [receipt("key")]);
}

// ------------------------------------------------------------------------------------------------ showing

#[tokio::test]
async fn a_person_is_shown_in_full_to_themselves_and_admins_as_a_card_to_staff_and_to_nobody_else() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let get = async |actor: &Actor| desk.accounts.get(actor, robin.id, Deleted::Hidden).await;
    for full in [as_actor(&robin), actor(Role::Admin)] {
        assert_eq!(get(&full).await.unwrap(), UserView::Full(Box::new(robin.clone())));
    }
    let UserView::Card(card) = get(&actor(Role::Agent)).await.unwrap() else {
        panic!("staff see a card")
    };
    assert_eq!((card.id, card.role), (robin.id, Role::User));
    for nobody in [actor(Role::User), Actor::System(SystemActor::AutoClose)] {
        let error = get(&nobody).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::NotFound, "user.not_found")
        );
    }
    let unknown = desk
        .accounts
        .get(&actor(Role::Admin), UserId(unique_id()), Deleted::Included)
        .await;
    assert!(matches!(unknown, Err(ReadAccountError::NotFound)));
}

#[tokio::test]
async fn a_deleted_account_is_shown_to_admins_who_ask_for_it() {
    let desk = Desk::new();
    let mut gone = user(Role::User);
    gone.deleted_at = Some(start());
    desk.world.put_user(gone.clone());
    let admin = actor(Role::Admin);
    assert!(
        desk.accounts
            .get(&admin, gone.id, Deleted::Included)
            .await
            .is_ok()
    );
    for (who, deleted) in [
        (admin, Deleted::Hidden),
        (actor(Role::Agent), Deleted::Included),
        (actor(Role::User), Deleted::Included),
        (acting(&gone), Deleted::Included),
    ] {
        let refused = desk.accounts.get(&who, gone.id, deleted).await;
        assert!(matches!(refused, Err(ReadAccountError::NotFound)), "{who:?}");
    }
}

#[tokio::test]
async fn staff_list_cards_and_admins_list_profiles_and_customers_nothing() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    desk.person("kim", Role::Agent);
    let list = async |actor: &Actor, query: ListUsers| desk.accounts.list(actor, query).await;
    let cards = list(&actor(Role::Agent), ListUsers::default()).await.unwrap();
    assert!(cards.items.len() == 2 && cards.items.iter().all(|view| matches!(view, UserView::Card(_))));
    let profiles = list(&actor(Role::Admin), ListUsers::default()).await.unwrap();
    assert!(
        profiles.items.len() == 2
            && profiles
                .items
                .iter()
                .all(|view| matches!(view, UserView::Full(_)))
    );
    let refused = list(&actor(Role::User), ListUsers::default()).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Forbidden, "access.forbidden")
    );
}

#[tokio::test]
async fn a_list_for_staff_gives_neither_status_nor_address_nor_deleted_accounts_away() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let agent = actor(Role::Agent);
    let by_status = ListUsers {
        status: Some(UserStatus::Suspended),
        ..ListUsers::default()
    };
    let deleted = ListUsers {
        deleted: Deleted::Included,
        ..ListUsers::default()
    };
    for query in [by_status, deleted] {
        assert!(matches!(
            desk.accounts.list(&agent, query).await,
            Err(ReadAccountError::Forbidden)
        ));
    }
    let by_address = ListUsers {
        search: Some("@example.com".into()),
        ..ListUsers::default()
    };
    assert!(
        desk.accounts
            .list(&agent, by_address.clone())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        desk.accounts
            .list(&actor(Role::Admin), by_address)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    let empty = ListUsers {
        search: Some("  ".into()),
        limit: PageLimit::DEFAULT,
        ..ListUsers::default()
    };
    assert!(matches!(
        desk.accounts.list(&agent, empty).await,
        Err(ReadAccountError::Invalid(_))
    ));
}

// ----------------------------------------------------------------------------------------------- changing

#[tokio::test]
async fn an_owner_changes_name_and_picture() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    desk.clock.advance(Duration::minutes(1));
    let update = UpdateUser {
        name: Patch::Set("Robin Doe".into()),
        avatar_url: Patch::Set("https://example.com/r.png".into()),
        ..UpdateUser::default()
    };
    let changed = desk
        .accounts
        .update(&as_actor(&robin), robin.id, update, None, &no_receipt)
        .await
        .unwrap();
    assert_eq!(changed.name.as_str(), "Robin Doe");
    assert_eq!(
        (changed.version, changed.updated_at),
        (Version(2), start() + Duration::minutes(1))
    );
    let fact = IdentityFact::UserUpdated {
        user: robin.id,
        fields: fields(&["name", "avatarUrl"]),
        role: None,
        status: None,
    };
    assert_eq!(desk.world.facts(), [fact]);
    let cleared = UpdateUser {
        avatar_url: Patch::Clear,
        ..UpdateUser::default()
    };
    let changed = desk
        .accounts
        .update(&as_actor(&robin), robin.id, cleared, None, &no_receipt)
        .await
        .unwrap();
    assert_eq!(changed.avatar_url, None);
}

#[tokio::test]
async fn an_owner_cannot_give_themselves_a_role_or_status_and_learns_every_fault_at_once() {
    let desk = Desk::new();
    for role in [Role::User, Role::Agent] {
        let robin = desk.person("robin", role);
        let update = UpdateUser {
            name: Patch::Clear,
            avatar_url: Patch::Set("javascript:alert(1)".into()),
            role: Patch::Set(Role::Admin),
            status: Patch::Set(UserStatus::Active),
        };
        let error = desk
            .accounts
            .update(&as_actor(&robin), robin.id, update, None, &no_receipt)
            .await
            .unwrap_err();
        let faults: Vec<_> = error
            .violations()
            .iter()
            .map(|v| (v.pointer.as_str(), v.code))
            .collect();
        let expected = [
            ("/role", "not_allowed"),
            ("/status", "not_allowed"),
            ("/name", "required"),
            ("/avatarUrl", "bad_url"),
        ];
        assert_eq!(faults, expected);
        assert_eq!(desk.world.user(robin.id).await.unwrap().unwrap().profile(), robin);
    }
}

#[tokio::test]
async fn another_account_is_hidden_from_customers_and_closed_to_staff() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    for (role, code) in [(Role::User, "user.not_found"), (Role::Agent, "access.forbidden")] {
        let who = actor(role);
        let update = desk
            .accounts
            .update(&who, robin.id, renamed("X"), None, &no_receipt)
            .await
            .unwrap_err();
        let delete = desk.accounts.delete(&who, robin.id, None).await.unwrap_err();
        let restore = desk
            .accounts
            .restore(&who, robin.id, None, &no_receipt)
            .await
            .unwrap_err();
        assert_eq!([update.code(), delete.code(), restore.code()], [code; 3]);
    }
    let own = desk
        .accounts
        .delete(&as_actor(&robin), robin.id, None)
        .await
        .unwrap_err();
    assert_eq!(own.code(), "access.forbidden");
    assert_eq!(desk.world.events(), []);
}

#[tokio::test]
async fn a_suspension_ends_the_accounts_sessions_in_the_same_commit() {
    let desk = Desk::new();
    let admin = as_actor(&desk.person("ada", Role::Admin));
    let kim = desk.person("kim", Role::Agent);
    let session = desk.log_in("kim").await;
    let at = start() + Duration::minutes(1);
    desk.clock.advance(Duration::minutes(1));
    let update = with_status(UserStatus::Suspended);
    desk.accounts
        .update(&admin, kim.id, update, None, &no_receipt)
        .await
        .unwrap();
    let stored = desk.world.session(session.session_id).await.unwrap().unwrap();
    assert_eq!(stored.revoked_at, Some(at));
    assert!(
        desk.authenticator
            .authenticate(session.access_token.expose(), Origin::default())
            .await
            .is_err()
    );
    let back = with_status(UserStatus::Active);
    desk.accounts
        .update(&admin, kim.id, back, None, &no_receipt)
        .await
        .unwrap();
    assert!(
        desk.authenticator
            .authenticate(session.access_token.expose(), Origin::default())
            .await
            .is_err(),
        "it stays ended"
    );
    desk.log_in("kim").await;
}

#[tokio::test]
async fn a_demotion_takes_effect_on_open_sessions_at_once_and_ends_memberships() {
    let desk = Desk::new();
    let admin = as_actor(&desk.person("ada", Role::Admin));
    let kim = desk.person("kim", Role::Agent);
    let team = team();
    desk.world.put_team(team.clone());
    desk.world.put_member(member(team.id, kim.id, TeamRole::Lead));
    let session = desk.log_in("kim").await;
    let before = desk
        .authenticator
        .authenticate(session.access_token.expose(), Origin::default())
        .await
        .unwrap();
    assert_eq!(before.person.rank_in(team.id), Some(TeamRole::Lead));
    desk.accounts
        .update(&admin, kim.id, with_role(Role::User), None, &no_receipt)
        .await
        .unwrap();
    let after = desk
        .authenticator
        .authenticate(session.access_token.expose(), Origin::default())
        .await
        .unwrap();
    assert_eq!((after.person.role, after.person.teams), (Role::User, vec![]));
    assert_eq!(desk.world.member(team.id, kim.id).await.unwrap(), None);
}

#[tokio::test]
async fn the_last_acting_admin_cannot_be_demoted() {
    let desk = Desk::new();
    let ada = desk.person("ada", Role::Admin);
    let demote = async |who: &Actor, id| {
        desk.accounts
            .update(who, id, with_role(Role::Agent), None, &no_receipt)
            .await
    };
    let error = demote(&as_actor(&ada), ada.id).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Conflict, "user.last_admin")
    );
    let bob = desk.person("bob", Role::Admin);
    demote(&as_actor(&ada), ada.id).await.unwrap();
    assert!(matches!(
        demote(&as_actor(&bob), bob.id).await,
        Err(ChangeAccountError::LastAdmin)
    ));
}

#[tokio::test]
async fn admins_do_not_shut_themselves_out() {
    let desk = Desk::new();
    let ada = desk.person("ada", Role::Admin);
    desk.person("bob", Role::Admin);
    for status in [UserStatus::Suspended, UserStatus::Pending] {
        let error = desk
            .accounts
            .update(&as_actor(&ada), ada.id, with_status(status), None, &no_receipt)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::Conflict, "user.own_account")
        );
    }
    let error = desk
        .accounts
        .delete(&as_actor(&ada), ada.id, None)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "user.own_account");
    desk.accounts
        .update(&as_actor(&ada), ada.id, renamed("Ada L."), None, &no_receipt)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deletion_ends_sessions_and_memberships_and_can_be_undone() {
    let desk = Desk::new();
    let admin = as_actor(&desk.person("ada", Role::Admin));
    let kim = desk.person("kim", Role::Agent);
    let team = team();
    desk.world.put_team(team.clone());
    desk.world.put_member(member(team.id, kim.id, TeamRole::Agent));
    let session = desk.log_in("kim").await;
    desk.accounts.delete(&admin, kim.id, None).await.unwrap();
    assert!(
        desk.authenticator
            .authenticate(session.access_token.expose(), Origin::default())
            .await
            .is_err()
    );
    assert_eq!(desk.world.member(team.id, kim.id).await.unwrap(), None);

    let update = desk
        .accounts
        .update(&admin, kim.id, renamed("X"), None, &no_receipt)
        .await
        .unwrap_err();
    let delete = desk.accounts.delete(&admin, kim.id, None).await.unwrap_err();
    assert_eq!((update.code(), delete.code()), ("user.deleted", "user.deleted"));

    let restored = desk
        .accounts
        .restore(&admin, kim.id, None, &no_receipt)
        .await
        .unwrap();
    assert_eq!((restored.deleted_at, restored.status), (None, UserStatus::Active));
    desk.log_in("kim").await;
    let again = desk
        .accounts
        .restore(&admin, kim.id, None, &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(again.code(), "user.not_deleted");
    let expected = [
        IdentityFact::UserDeleted { user: kim.id },
        IdentityFact::UserRestored { user: kim.id },
    ];
    assert_eq!(changes(&desk), expected);
}

#[tokio::test]
async fn a_change_of_another_version_than_the_callers_is_refused_with_the_present_one() {
    let desk = Desk::new();
    let admin = actor(Role::Admin);
    let robin = desk.person("robin", Role::User);
    let old = Some(robin.version);
    desk.accounts
        .update(&admin, robin.id, renamed("One"), old, &no_receipt)
        .await
        .unwrap();
    let update = desk
        .accounts
        .update(&admin, robin.id, renamed("Two"), old, &no_receipt)
        .await
        .unwrap_err();
    assert!(matches!(
        update,
        ChangeAccountError::Stale { current: Version(2) }
    ));
    assert_eq!(
        (update.kind(), update.code()),
        (FailureKind::Stale, "request.stale")
    );
    assert!(matches!(
        desk.accounts.delete(&admin, robin.id, old).await,
        Err(ChangeAccountError::Stale { .. })
    ));
    let hidden = desk
        .accounts
        .update(&actor(Role::User), robin.id, renamed("X"), old, &no_receipt)
        .await;
    assert!(
        matches!(hidden, Err(ChangeAccountError::NotFound)),
        "a stranger learns no version"
    );
}

#[tokio::test]
async fn a_change_of_nothing_stores_nothing_but_a_receipt() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let own = as_actor(&robin);
    let same = desk
        .accounts
        .update(&own, robin.id, renamed("robin"), None, &no_receipt)
        .await
        .unwrap();
    assert_eq!((same.version, desk.world.receipts().len()), (Version::FIRST, 0));
    let answer = |_: &crate::user::Profile| Some(receipt("key"));
    let same = desk
        .accounts
        .update(&own, robin.id, UpdateUser::default(), None, &answer)
        .await
        .unwrap();
    assert_eq!((same, desk.world.receipts().len()), (robin.clone(), 1));
    assert_eq!(desk.world.events(), []);
    let again = desk
        .accounts
        .update(&own, robin.id, renamed("Other"), None, &answer)
        .await;
    assert!(matches!(again, Err(ChangeAccountError::Repeated)));
}

#[tokio::test]
async fn a_change_that_others_overtake_is_decided_again_and_given_up_in_the_end() {
    let admin = actor(Role::Admin);
    let robin = user(Role::User);
    let overtaken = |times: usize| {
        let mut users = MockUserStore::new();
        let stored = robin.clone();
        users.expect_user().returning(move |_| Ok(Some(stored.clone())));
        let mut answers: Vec<Result<(), AccountCommitError>> = Vec::new();
        answers.resize_with(times, || Err(AccountCommitError::Stale));
        answers.push(Ok(()));
        let answers = Script::new(answers);
        users.expect_commit().returning(move |_| answers.next());
        accounts(users)
    };
    let update = async |accounts: Accounts| {
        accounts
            .update(&admin, robin.id, renamed("X"), None, &no_receipt)
            .await
    };
    assert!(update(overtaken(3)).await.is_ok());
    let busy = update(overtaken(4)).await.unwrap_err();
    assert_eq!(
        (busy.kind(), busy.code()),
        (FailureKind::Unavailable, "server.busy")
    );
}

// ---------------------------------------------------------------------------------------------- passwords

fn change(current: &str, new: &str) -> ChangePassword {
    ChangePassword {
        current: Some(current.to_owned()),
        new: new.to_owned(),
    }
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_but_the_one_that_set_it() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let other = desk.log_in("robin").await;
    let own = desk.log_in("robin").await;
    let principal = desk
        .authenticator
        .authenticate(own.access_token.expose(), Origin::default())
        .await
        .unwrap();
    desk.accounts
        .change_password(&principal, change(Desk::PASSWORD, "nine amber anchors"))
        .await
        .unwrap();
    assert!(
        desk.authenticator
            .authenticate(own.access_token.expose(), Origin::default())
            .await
            .is_ok()
    );
    assert!(
        desk.authenticator
            .authenticate(other.access_token.expose(), Origin::default())
            .await
            .is_err()
    );
    let user = principal.person.id;
    assert_eq!(changes(&desk), [IdentityFact::PasswordChanged { user }]);
}

#[tokio::test]
async fn a_password_is_not_changed_without_the_present_one_nor_to_a_bad_one() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let principal = desk.principal("robin").await;
    let before = desk.world.user(principal.person.id).await.unwrap();
    let wrong = desk
        .accounts
        .change_password(&principal, change("wrong", "nine amber anchors"))
        .await
        .unwrap_err();
    assert_eq!(
        (wrong.kind(), wrong.code()),
        (FailureKind::Forbidden, "auth.reauthentication_failed")
    );
    let long = "x".repeat(200);
    let long = desk
        .accounts
        .change_password(&principal, change(&long, "nine amber anchors"))
        .await;
    assert!(matches!(
        long,
        Err(ChangePasswordError::Reauthentication(
            ReauthenticationError::Failed
        ))
    ));
    let common = desk
        .accounts
        .change_password(&principal, change(Desk::PASSWORD, "Password123!"))
        .await
        .unwrap_err();
    assert_eq!(common.violations()[0].code, "common_password");
    assert_eq!(desk.world.user(principal.person.id).await.unwrap(), before);
}

#[tokio::test]
async fn a_new_password_is_hashed_once_however_often_it_is_decided() {
    let principal = crate::Principal {
        person: kernel::Person {
            id: UserId(unique_id()),
            role: Role::User,
            teams: Vec::new(),
            origin: None,
        },
        access: crate::Access::Session(crate::SessionId(unique_id())),
        restriction: None,
    };
    let mut hasher = MockPasswordHasher::new();
    hasher.expect_verify().times(2).returning(|_, _| Ok(true));
    hasher
        .expect_hash()
        .times(1)
        .returning(|_| Ok(PasswordHash::from_phc("$new")));
    let mut users = MockUserStore::new();
    users.expect_user().returning(|_| Ok(Some(user(Role::User))));
    let answers = Script::new(vec![Err(AccountCommitError::Stale), Ok(())]);
    users.expect_commit().returning(move |_| answers.next());
    let accounts = accounts_with(users, hasher);
    accounts
        .change_password(&principal, change("old", "nine amber anchors"))
        .await
        .unwrap();
}

// ------------------------------------------------------------------------------------------------ helpers

fn accounts(users: MockUserStore) -> Accounts {
    let mut hasher = MockPasswordHasher::new();
    hasher
        .expect_hash()
        .returning(|_| Ok(PasswordHash::from_phc("$hash")));
    accounts_with(users, hasher)
}

fn accounts_with(users: MockUserStore, hasher: MockPasswordHasher) -> Accounts {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(start()));
    let (users, hasher): (Arc<dyn UserStore>, Arc<dyn PasswordHasher>) = (Arc::new(users), Arc::new(hasher));
    let ports = AccountPorts {
        reauthentication: Arc::new(Reauthentication::new(
            users.clone(),
            Arc::new(MockSessionStore::new()),
            hasher.clone(),
            Arc::new(Throttle::new(
                Arc::new(MemoryRateLimits::new(clock.clone())),
                Arc::new(MockSessionStore::new()),
                Arc::new(FakeSecrets::default()),
                clock.clone(),
                ThrottleLimits::lifted(),
            )),
            clock.clone(),
            Arc::new(SequentialIds::default()),
        )),
        users,
        setup: Arc::new(MockSetupStore::new()),
        tokens: Arc::new(MockOneTimeTokens::new()),
        hasher,
        secrets: Arc::new(FakeSecrets::default()),
        clock,
        ids: Arc::new(SequentialIds::default()),
        cache: Arc::new(PrincipalCache::new()),
    };
    Accounts::new(ports, AccountLimits::default())
}
