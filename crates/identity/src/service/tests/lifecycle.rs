//! What administrators do to an account as a whole.

use events::IdentityFact;
use kernel::receipt::no_receipt;
use kernel::{Actor, Classify, FailureKind, Role, TeamRole, Version};

use super::receipt;
use crate::ports::{MailContent, SessionStore, TeamStore, UserStore};
use crate::service::{ChangeAccountError, ChangePassword, UpdateUser};
use crate::testing::builders::{actor, email, member, origin, team};
use crate::testing::{Desk, token_of};
use crate::user::{User, UserStatus};

async fn stored(desk: &Desk, id: kernel::UserId) -> User {
    desk.world.user(id).await.unwrap().unwrap()
}

fn as_actor(user: &crate::user::Profile) -> Actor {
    Actor::Person(kernel::Person {
        id: user.id,
        role: user.role,
        teams: Vec::new(),
        origin: None,
    })
}

#[tokio::test]
async fn an_admin_suspends_and_activates_others_and_nobody_else_does() {
    let desk = Desk::new();
    let (ada, robin) = (desk.person("ada", Role::Admin), desk.person("robin", Role::User));
    let set = async |actor: &Actor, id, status, expected| {
        desk.accounts
            .set_status(actor, id, status, expected, &no_receipt)
            .await
    };
    let suspend = UserStatus::Suspended;
    let own = set(&as_actor(&robin), robin.id, suspend, None).await.unwrap_err();
    assert_eq!(own.kind(), FailureKind::Forbidden);
    let agent = set(&actor(Role::Agent), robin.id, suspend, None)
        .await
        .unwrap_err();
    assert_eq!(agent.kind(), FailureKind::Forbidden);
    let customer = set(&actor(Role::User), robin.id, suspend, None)
        .await
        .unwrap_err();
    assert_eq!(customer.kind(), FailureKind::NotFound);
    let stale = set(&as_actor(&ada), robin.id, suspend, Some(Version(9))).await;
    assert!(matches!(stale, Err(ChangeAccountError::Stale { .. })));
    let own = set(&as_actor(&ada), ada.id, suspend, None).await;
    assert!(matches!(own, Err(ChangeAccountError::OwnAccount)));
    assert_eq!(desk.world.facts(), []);

    let session = desk.principal("robin").await;
    let suspended = set(&as_actor(&ada), robin.id, suspend, None).await.unwrap();
    assert_eq!(suspended.status, suspend);
    assert!(desk.authenticator.reauthenticate(&session).await.is_err());
    assert_eq!(
        desk.world.facts().pop(),
        Some(IdentityFact::UserUpdated {
            user: robin.id,
            fields: vec!["status".to_owned()],
            role: None,
            status: Some("suspended".to_owned()),
        })
    );
    set(&as_actor(&ada), robin.id, UserStatus::Active, None)
        .await
        .unwrap();
    desk.log_in("robin").await;
}

#[tokio::test]
async fn an_update_tells_the_new_role() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let update = UpdateUser {
        role: kernel::Patch::Set(Role::Agent),
        ..UpdateUser::default()
    };
    let admin = actor(Role::Admin);
    desk.accounts
        .update(&admin, robin.id, update, None, &no_receipt)
        .await
        .unwrap();
    let told = desk.world.facts().pop();
    assert!(matches!(
        told,
        Some(IdentityFact::UserUpdated { role: Some(role), status: None, .. }) if role == "agent"
    ));
}

#[tokio::test]
async fn an_invitation_is_sent_again_only_while_it_is_waited_for() {
    let desk = Desk::new();
    let admin = actor(Role::Admin);
    let robin = desk.person("robin", Role::User);
    let mut command = Desk::create_user("kim@example.com", Role::Agent);
    command.password = None;
    let kim = desk
        .accounts
        .create_user(&admin, command, &no_receipt)
        .await
        .unwrap();
    let first = desk.mailed().await.remove(0);
    let answer = |_: &crate::user::Profile| Some(receipt("key"));
    let sent = desk
        .accounts
        .invite(&admin, kim.id, Some(kim.version), &answer)
        .await;
    assert_eq!(sent.unwrap().version, kim.version);
    let again = desk
        .accounts
        .invite(&admin, kim.id, None, &answer)
        .await
        .unwrap_err();
    assert_eq!(again.code(), "request.repeated");
    let second = desk.mailed().await.remove(0);
    assert!(matches!(second.content, MailContent::Invitation { .. }));
    assert_ne!(token_of(&first), token_of(&second));
    let refused = desk
        .accounts
        .invite(&admin, robin.id, None, &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Conflict, "user.not_invited")
    );
    let refused = desk
        .accounts
        .invite(&actor(Role::Agent), kim.id, None, &no_receipt)
        .await;
    assert!(matches!(refused, Err(ChangeAccountError::Forbidden)));
}

#[tokio::test]
async fn an_admin_has_a_link_for_a_new_password_sent_and_never_sees_it() {
    let desk = Desk::new();
    let admin = actor(Role::Admin);
    let robin = desk.person("robin", Role::User);
    desk.accounts
        .send_password_reset(&admin, robin.id, None, &no_receipt)
        .await
        .unwrap();
    let mail = desk.mailed().await.remove(0);
    assert_eq!(mail.to, robin.email);
    let token = token_of(&mail).unwrap();
    desk.accounts
        .reset_password(&token, "nine amber anchors", origin())
        .await
        .unwrap();
    let status = UserStatus::Suspended;
    desk.accounts
        .set_status(&admin, robin.id, status, None, &no_receipt)
        .await
        .unwrap();
    let refused = desk
        .accounts
        .send_password_reset(&admin, robin.id, None, &no_receipt)
        .await;
    assert_eq!(refused.unwrap_err().code(), "user.suspended");
    desk.accounts.delete(&admin, robin.id, None).await.unwrap();
    let refused = desk
        .accounts
        .send_password_reset(&admin, robin.id, None, &no_receipt)
        .await;
    assert_eq!(refused.unwrap_err().code(), "user.deleted");
}

#[tokio::test]
async fn an_anonymised_account_tells_nothing_of_its_owner_and_never_comes_back() {
    let desk = Desk::new();
    desk.person("ada", Role::Admin);
    let ada = desk.principal("ada").await;
    let kim = desk.person("kim", Role::Agent);
    let front = team();
    desk.world.put_team(front.clone());
    desk.world.put_member(member(front.id, kim.id, TeamRole::Agent));
    let session = desk.log_in("kim").await;
    desk.accounts
        .forgot_password("kim@example.com", origin())
        .await
        .unwrap();

    let wrong = desk
        .accounts
        .anonymize(&ada, kim.id, Some("wrong"), None)
        .await
        .unwrap_err();
    assert_eq!(
        (wrong.kind(), wrong.code()),
        (FailureKind::Forbidden, "auth.reauthentication_failed")
    );
    let stale = desk
        .accounts
        .anonymize(&ada, kim.id, Some(Desk::PASSWORD), Some(Version(99)))
        .await;
    assert_eq!(stale.unwrap_err().code(), "request.stale");
    desk.accounts
        .anonymize(&ada, kim.id, Some(Desk::PASSWORD), None)
        .await
        .unwrap();

    let user = stored(&desk, kim.id).await;
    assert!(user.is_anonymized() && user.deleted_at.is_some());
    assert_eq!(
        user.email.as_str(),
        format!("anonymous-{}@deleted.invalid", kim.id)
    );
    assert_eq!(
        (user.name.as_str(), user.avatar_url.clone()),
        ("Deleted user", None)
    );
    assert!(user.password_hash.is_unset() && !user.two_factor_enabled);
    assert!(user.email_verified_at.is_none());
    let ended = desk.world.session(session.session_id).await.unwrap().unwrap();
    assert!(ended.revoked_at.is_some());
    assert_eq!(ended.client, kernel::Client::default());
    assert_eq!(
        TeamStore::member(&*desk.world, front.id, kim.id).await.unwrap(),
        None
    );
    assert!(desk.world.tokens().iter().all(|token| token.user != Some(kim.id)));
    assert_eq!(
        desk.world.user_by_email(&email("kim@example.com")).await.unwrap(),
        None
    );
    assert_eq!(
        desk.world.facts().pop(),
        Some(IdentityFact::UserAnonymized { user: kim.id })
    );
    assert_eq!(desk.mailed().await, [], "nobody is left to be told");

    let again = desk
        .accounts
        .anonymize(&ada, kim.id, Some(Desk::PASSWORD), None)
        .await;
    assert_eq!(again.unwrap_err().code(), "user.anonymized");
    let restored = desk
        .accounts
        .restore(&ada.actor(), kim.id, None, &no_receipt)
        .await;
    let restored = restored.unwrap_err();
    assert_eq!(
        (restored.kind(), restored.code()),
        (FailureKind::Conflict, "user.anonymized")
    );
}

#[tokio::test]
async fn nobody_anonymises_themselves_or_an_admin_who_acts() {
    let desk = Desk::new();
    let (ada_profile, bob) = (desk.person("ada", Role::Admin), desk.person("bob", Role::Admin));
    let ada = desk.principal("ada").await;
    let anonymize = async |id| {
        let done = desk
            .accounts
            .anonymize(&ada, id, Some(Desk::PASSWORD), None)
            .await;
        done.map_err(|error| (error.kind(), error.code()))
    };
    assert_eq!(
        anonymize(ada_profile.id).await,
        Err((FailureKind::Conflict, "user.own_account"))
    );
    assert_eq!(
        anonymize(bob.id).await,
        Err((FailureKind::Conflict, "user.acting_admin"))
    );
    let update = UpdateUser {
        role: kernel::Patch::Set(Role::User),
        ..UpdateUser::default()
    };
    desk.accounts
        .update(&ada.actor(), bob.id, update, None, &no_receipt)
        .await
        .unwrap();
    assert_eq!(anonymize(bob.id).await, Ok(()));

    let robin = desk.person("robin", Role::User);
    desk.accounts.delete(&ada.actor(), robin.id, None).await.unwrap();
    assert_eq!(
        anonymize(robin.id).await,
        Ok(()),
        "also when it is deleted already"
    );

    desk.person("ann", Role::Agent);
    let ann = desk.principal("ann").await;
    let refused = desk
        .accounts
        .anonymize(&ann, ada_profile.id, Some(Desk::PASSWORD), None)
        .await;
    assert_eq!(refused.unwrap_err().code(), "access.forbidden");
}

#[tokio::test]
async fn one_without_a_password_sets_the_first_one_after_a_fresh_sign_in() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let principal = desk.principal("robin").await;
    let mut user = stored(&desk, robin.id).await;
    user.password_hash = crate::PasswordHash::unset();
    desk.world.put_user(user);
    let command = ChangePassword {
        current: None,
        new: "nine amber anchors".to_owned(),
    };
    desk.accounts
        .change_password(&principal, command.clone())
        .await
        .unwrap();
    // From now on it has one, which must be shown.
    let refused = desk
        .accounts
        .change_password(&principal, command)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "auth.reauthentication_failed");
}
