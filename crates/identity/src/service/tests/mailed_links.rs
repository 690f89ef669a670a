//! What goes by mail, from the asking to the use of the link.

use chrono::Duration;
use events::{Cause, IdentityFact};
use kernel::receipt::no_receipt;
use kernel::{Classify, FailureKind, Origin, Patch, Role};

use crate::access::{Principal, Requirement, Restriction};
use crate::ports::{Mail, MailContent, OneTimeToken, TokenKind, UserStore};
use crate::service::{
    Acceptance, AccountLimits, AskError, ChangeEmail, ChangeEmailError, ChangePassword, Credentials,
    LoginError, Registration, TokenUseError, UpdateUser, VerifiedEmail,
};
use crate::testing::builders::{actor, email, origin};
use crate::testing::{Desk, token_of};
use crate::user::{Profile, User, UserStatus};

const NEW_PASSWORD: &str = "nine amber anchors";

fn strict() -> Desk {
    Desk::with(AccountLimits {
        verified_email: VerifiedEmail::Required,
        ..AccountLimits::default()
    })
}

fn registration(email: &str) -> Registration {
    Registration {
        email: email.to_owned(),
        name: " Robin ".to_owned(),
        password: Desk::PASSWORD.to_owned(),
    }
}

async fn stored(desk: &Desk, address: &str) -> User {
    desk.world
        .user_by_email(&email(address))
        .await
        .unwrap()
        .unwrap_or_else(|| panic!("nobody has {address}"))
}

/// The one mail that was sent.
async fn the_mail(desk: &Desk) -> Mail {
    let mut mails = desk.mailed().await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    mails.remove(0)
}

/// The address and the token of the one mail that was sent.
async fn the_link(desk: &Desk) -> (String, String) {
    let mail = the_mail(desk).await;
    (mail.to.as_str().to_owned(), token_of(&mail).unwrap())
}

async fn log_in(desk: &Desk, email: &str, password: &str) -> Option<Principal> {
    let credentials = Credentials {
        email: email.to_owned(),
        password: password.to_owned(),
        totp: None,
    };
    let signed_in = desk.sessions.login(credentials, origin()).await.ok()?;
    let token = signed_in.access_token;
    let principal = desk
        .authenticator
        .authenticate(token.expose(), Origin::default())
        .await;
    Some(principal.unwrap())
}

async fn still_in(desk: &Desk, principal: &Principal) -> bool {
    desk.authenticator.reauthenticate(principal).await.is_ok()
}

async fn shut_out(desk: &Desk, profile: &Profile) {
    let status = UserStatus::Suspended;
    desk.accounts
        .set_status(&actor(Role::Admin), profile.id, status, None, &no_receipt)
        .await
        .unwrap();
}

fn change_email(email: &str) -> ChangeEmail {
    ChangeEmail {
        email: email.to_owned(),
        current: Some(Desk::PASSWORD.to_owned()),
    }
}

// -------------------------------------------------------------------------------------------- registering

#[tokio::test]
async fn a_registration_makes_a_customer_and_asks_for_the_mail_that_proves_the_address() {
    for (desk, status) in [(Desk::new(), UserStatus::Active), (strict(), UserStatus::Pending)] {
        desk.accounts
            .register(registration(" Robin@Example.COM "), origin())
            .await
            .unwrap();
        let robin = stored(&desk, "robin@example.com").await;
        assert_eq!((robin.role, robin.status), (Role::User, status));
        assert_eq!((robin.name.as_str(), robin.email_verified_at), ("Robin", None));
        let token = desk.world.tokens()[0].clone();
        assert_eq!((token.kind, token.user), (TokenKind::VerifyEmail, Some(robin.id)));
        assert_eq!(token.expires_at - token.created_at, Duration::minutes(60));
        assert_eq!(
            desk.world.facts(),
            [
                IdentityFact::UserCreated { user: robin.id },
                IdentityFact::MailAsked { token: token.id.0 }
            ]
        );
        let event = desk.world.events().remove(0);
        assert_eq!(
            (event.cause, event.origin),
            (Cause::Person(robin.id), Some(origin()))
        );
        let mail = the_mail(&desk).await;
        assert_eq!(mail.to, robin.email);
        assert!(matches!(mail.content, MailContent::VerifyEmail { .. }));
    }
}

#[tokio::test]
async fn a_registration_learns_all_its_faults_at_once() {
    let desk = Desk::new();
    let registration = Registration {
        email: "robin".into(),
        name: "  ".into(),
        password: "short".into(),
    };
    let error = desk.accounts.register(registration, origin()).await.unwrap_err();
    let faults: Vec<_> = error
        .violations()
        .iter()
        .map(|v| (v.pointer.as_str(), v.code))
        .collect();
    assert_eq!(
        faults,
        [
            ("/email", "bad_email"),
            ("/name", "too_short"),
            ("/password", "too_short")
        ]
    );
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Invalid, "request.invalid")
    );
    assert_eq!(desk.world.events(), []);
}

#[tokio::test]
async fn a_taken_address_changes_nothing_and_its_owner_alone_hears_of_it() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    let before = stored(&desk, "robin@example.com").await;
    desk.accounts
        .register(registration("ROBIN@example.com"), origin())
        .await
        .unwrap();
    assert_eq!(stored(&desk, "robin@example.com").await, before);
    let repeated = IdentityFact::RegistrationRepeated { user: robin.id };
    assert_eq!(desk.world.facts()[0], repeated);
    let mail = the_mail(&desk).await;
    assert_eq!(
        (mail.to, mail.content),
        (robin.email.clone(), MailContent::AlreadyRegistered)
    );

    // However often it is done, the owner is not flooded.
    let mut sent = 0;
    for _ in 0..5 {
        let again = registration("robin@example.com");
        desk.accounts.register(again, origin()).await.unwrap();
        sent += desk.mailed().await.len();
    }
    assert_eq!(sent, 2);

    desk.accounts
        .delete(&actor(Role::Admin), robin.id, None)
        .await
        .unwrap();
    let facts = desk.world.facts().len();
    let again = registration("robin@example.com");
    desk.accounts.register(again, origin()).await.unwrap();
    assert_eq!(
        desk.world.facts().len() - facts,
        1,
        "one event, for the same work"
    );
    assert_eq!(desk.mailed().await, []);
}

// ---------------------------------------------------------------------------------------------- addresses

#[tokio::test]
async fn a_pending_account_reaches_itself_alone_until_its_address_is_proved() {
    let desk = strict();
    desk.accounts
        .register(registration("robin@example.com"), origin())
        .await
        .unwrap();
    let (_, token) = the_link(&desk).await;
    let robin = log_in(&desk, "robin@example.com", Desk::PASSWORD).await.unwrap();
    assert_eq!(robin.restriction, Some(Restriction::EmailUnverified));
    assert!(robin.meets(Requirement::OwnAccount).is_ok() && robin.meets(Requirement::Session).is_err());
    assert!(desk.accounts.me(&robin).await.is_ok());

    desk.accounts.verify_email(&token, None, origin()).await.unwrap();
    let again = desk.authenticator.reauthenticate(&robin).await.unwrap();
    assert_eq!(again.restriction, None, "at once, in the session that there is");
    let user = stored(&desk, "robin@example.com").await;
    assert_eq!(
        (user.status, user.email_verified_at.is_some()),
        (UserStatus::Active, true)
    );
    let facts = desk.world.facts();
    assert!(facts.contains(&IdentityFact::EmailVerified { user: user.id }));
    assert!(facts.contains(&IdentityFact::UserUpdated {
        user: user.id,
        fields: vec!["status".to_owned()],
        role: None,
        status: Some("active".to_owned()),
    }));
    let twice = desk
        .accounts
        .verify_email(&token, None, origin())
        .await
        .unwrap_err();
    assert_eq!(
        (twice.kind(), twice.code()),
        (FailureKind::Gone, "auth.token_spent")
    );
}

#[tokio::test]
async fn the_mail_that_proves_an_address_can_be_had_again_and_the_last_one_counts() {
    let desk = strict();
    desk.accounts
        .register(registration("robin@example.com"), origin())
        .await
        .unwrap();
    let (_, first) = the_link(&desk).await;
    desk.accounts
        .resend_verification("Robin@example.com", origin())
        .await
        .unwrap();
    let (_, second) = the_link(&desk).await;
    let robin = log_in(&desk, "robin@example.com", Desk::PASSWORD).await.unwrap();
    desk.accounts.resend_own_verification(&robin).await.unwrap();
    let (_, third) = the_link(&desk).await;
    for spent in [first, second] {
        let refused = desk.accounts.verify_email(&spent, None, origin()).await;
        assert!(matches!(refused, Err(TokenUseError::Spent)));
    }
    desk.accounts.verify_email(&third, None, origin()).await.unwrap();
    // Nothing is left to be proved.
    desk.accounts.resend_own_verification(&robin).await.unwrap();
    for address in ["robin@example.com", "nobody@example.com"] {
        desk.accounts
            .resend_verification(address, origin())
            .await
            .unwrap();
    }
    assert_eq!(desk.mailed().await, []);
    let bad = desk.accounts.resend_verification("nonsense", origin()).await;
    assert!(matches!(bad, Err(AskError::Invalid(_))));
}

#[tokio::test]
async fn a_new_address_is_the_accounts_once_it_is_proved_and_the_old_one_hears_of_it() {
    let desk = Desk::new();
    let profile = desk.person("robin", Role::User);
    let (robin, elsewhere) = (desk.principal("robin").await, desk.principal("robin").await);
    desk.accounts
        .change_email(&robin, change_email("New@example.com"))
        .await
        .unwrap();
    assert_eq!(stored(&desk, "robin@example.com").await.id, profile.id, "not yet");
    let (to, token) = the_link(&desk).await;
    assert_eq!(to, "new@example.com");
    desk.accounts
        .verify_email(&token, Some(&robin), origin())
        .await
        .unwrap();
    let user = stored(&desk, "new@example.com").await;
    assert_eq!((user.id, user.email_verified_at.is_some()), (profile.id, true));
    assert!(still_in(&desk, &robin).await && !still_in(&desk, &elsewhere).await);
    let mail = the_mail(&desk).await;
    assert_eq!(
        (mail.to.as_str(), mail.content),
        ("robin@example.com", MailContent::EmailChanged)
    );
    assert!(log_in(&desk, "robin@example.com", Desk::PASSWORD).await.is_none());
    assert!(log_in(&desk, "new@example.com", Desk::PASSWORD).await.is_some());
}

#[tokio::test]
async fn a_change_of_address_needs_the_password_and_says_nothing_of_others() {
    let desk = Desk::new();
    for name in ["robin", "kim", "gone"] {
        desk.person(name, Role::User);
    }
    let gone = stored(&desk, "gone@example.com").await;
    desk.accounts
        .delete(&actor(Role::Admin), gone.id, None)
        .await
        .unwrap();
    let robin = desk.principal("robin").await;
    for current in [None, Some("wrong".to_owned())] {
        let command = ChangeEmail {
            email: "new@example.com".to_owned(),
            current,
        };
        let refused = desk.accounts.change_email(&robin, command).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (FailureKind::Forbidden, "auth.reauthentication_failed")
        );
    }
    let bad = desk.accounts.change_email(&robin, change_email("nonsense")).await;
    assert!(matches!(bad, Err(ChangeEmailError::Invalid(_))));
    assert_eq!(desk.mailed().await, []);

    for address in ["gone@example.com", "robin@example.com"] {
        desk.accounts
            .change_email(&robin, change_email(address))
            .await
            .unwrap();
        assert_eq!(desk.mailed().await, [], "{address}");
    }
    desk.accounts
        .change_email(&robin, change_email("own@example.com"))
        .await
        .unwrap();
    let (_, own) = the_link(&desk).await;
    desk.accounts
        .change_email(&robin, change_email("kim@example.com"))
        .await
        .unwrap();
    let mail = the_mail(&desk).await;
    assert_eq!(
        (mail.to.as_str(), mail.content),
        ("kim@example.com", MailContent::AlreadyRegistered)
    );
    // An earlier link ends whatever the later address is: else it would tell that this one is taken.
    let earlier = desk.accounts.verify_email(&own, None, origin()).await;
    assert!(matches!(earlier, Err(TokenUseError::Spent)));
}

#[tokio::test]
async fn an_address_that_is_taken_meanwhile_is_refused_and_the_link_stays_good() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let robin = desk.principal("robin").await;
    desk.accounts
        .change_email(&robin, change_email("new@example.com"))
        .await
        .unwrap();
    let (_, token) = the_link(&desk).await;
    desk.person("new", Role::User);
    let refused = desk
        .accounts
        .verify_email(&token, None, origin())
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Conflict, "user.email_taken")
    );
    assert_eq!(stored(&desk, "robin@example.com").await.id, robin.person.id);
}

// ---------------------------------------------------------------------------------------------- passwords

#[tokio::test]
async fn a_reset_link_works_once_ends_every_session_and_proves_the_address() {
    let desk = Desk::new();
    let profile = desk.person("robin", Role::User);
    let session = desk.principal("robin").await;
    let mut user = stored(&desk, "robin@example.com").await;
    user.two_factor_enabled = true;
    desk.world.put_user(user);
    desk.accounts
        .forgot_password("robin@example.com", origin())
        .await
        .unwrap();
    let (_, token) = the_link(&desk).await;
    let bad = desk
        .accounts
        .reset_password(&token, "password1", origin())
        .await
        .unwrap_err();
    assert_eq!(
        (bad.kind(), bad.violations()[0].pointer.as_str()),
        (FailureKind::Invalid, "/password")
    );
    desk.accounts
        .reset_password(&token, NEW_PASSWORD, origin())
        .await
        .unwrap();
    let again = desk.accounts.reset_password(&token, NEW_PASSWORD, origin()).await;
    assert!(matches!(again, Err(TokenUseError::Spent)));
    let user = stored(&desk, "robin@example.com").await;
    assert!(user.two_factor_enabled && user.email_verified_at.is_some());
    assert!(!still_in(&desk, &session).await);
    assert!(log_in(&desk, "robin@example.com", Desk::PASSWORD).await.is_none());
    let credentials = Credentials {
        email: "robin@example.com".to_owned(),
        password: NEW_PASSWORD.to_owned(),
        totp: None,
    };
    let refused = desk.sessions.login(credentials, origin()).await;
    assert!(
        matches!(refused, Err(LoginError::TwoFactorRequired { .. })),
        "a reset does not stand for the second factor"
    );
    let reset = IdentityFact::PasswordReset { user: profile.id };
    assert!(desk.world.facts().contains(&reset));
    assert_eq!(the_mail(&desk).await.content, MailContent::PasswordChanged);
}

#[tokio::test]
async fn a_reset_of_an_address_that_nobody_had_proved_leaves_nothing_of_whoever_registered_it() {
    let desk = Desk::new();
    let profile = desk.person("robin", Role::User);
    let squatter = desk.principal("robin").await;
    let mut user = stored(&desk, "robin@example.com").await;
    user.email_verified_at = None;
    user.two_factor_enabled = true;
    desk.world.put_user(user);
    desk.accounts
        .forgot_password("robin@example.com", origin())
        .await
        .unwrap();
    let (_, token) = the_link(&desk).await;
    desk.accounts
        .reset_password(&token, NEW_PASSWORD, origin())
        .await
        .unwrap();
    let user = stored(&desk, "robin@example.com").await;
    assert!(!user.two_factor_enabled && user.email_verified_at.is_some());
    assert!(!still_in(&desk, &squatter).await);
    assert!(log_in(&desk, "robin@example.com", NEW_PASSWORD).await.is_some());
    for fact in [
        IdentityFact::TwoFactorDisabled { user: profile.id },
        IdentityFact::CredentialsRemoved { user: profile.id },
    ] {
        assert!(desk.world.facts().contains(&fact), "{fact:?}");
    }
}

#[tokio::test]
async fn one_who_was_shut_out_is_told_that_the_session_ended_and_changes_nothing() {
    let desk = Desk::new();
    let profile = desk.person("robin", Role::User);
    // As another node still takes it, for a moment.
    let before = desk.principal("robin").await;
    shut_out(&desk, &profile).await;
    let user = stored(&desk, "robin@example.com").await;
    let read = desk.accounts.me(&before).await.unwrap_err();
    assert_eq!(
        (read.kind(), read.code()),
        (FailureKind::Unauthenticated, "auth.session_revoked")
    );
    let update = UpdateUser {
        name: Patch::Set("Robin Hood".to_owned()),
        ..UpdateUser::default()
    };
    let changed = desk
        .accounts
        .update(&before.actor(), profile.id, update, None, &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(
        (changed.kind(), changed.code()),
        (FailureKind::Unauthenticated, "auth.session_revoked")
    );
    assert_eq!(stored(&desk, "robin@example.com").await, user);
}

#[tokio::test]
async fn a_forgotten_password_is_mailed_to_whoever_may_use_it_three_times_an_hour() {
    let desk = Desk::new();
    for name in ["robin", "suspended", "deleted"] {
        desk.person(name, Role::User);
    }
    shut_out(&desk, &stored(&desk, "suspended@example.com").await.profile()).await;
    let gone = stored(&desk, "deleted@example.com").await;
    desk.accounts
        .delete(&actor(Role::Admin), gone.id, None)
        .await
        .unwrap();
    for name in ["nobody", "suspended", "deleted"] {
        let before = desk.world.events().len();
        desk.accounts
            .forgot_password(&format!("{name}@example.com"), origin())
            .await
            .unwrap();
        assert_eq!(
            desk.world.events().len() - before,
            1,
            "{name}: the same is written"
        );
        let token = desk.world.tokens().pop().unwrap();
        assert_eq!(
            (token.kind, token.user, token.email),
            (TokenKind::ResetPassword, None, None)
        );
        assert_eq!(desk.mailed().await, [], "{name}");
    }
    let mut sent = 0;
    for _ in 0..6 {
        desk.accounts
            .forgot_password("robin@example.com", origin())
            .await
            .unwrap();
        sent += desk.mailed().await.len();
        desk.clock.advance(Duration::seconds(1));
    }
    assert_eq!(sent, 3);
    desk.clock.advance(Duration::hours(1));
    desk.accounts
        .forgot_password("robin@example.com", origin())
        .await
        .unwrap();
    let (_, token) = the_link(&desk).await;
    desk.accounts
        .reset_password(&token, NEW_PASSWORD, origin())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_link_ends_after_an_hour_and_an_invitation_after_three_days() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    desk.accounts
        .forgot_password("robin@example.com", origin())
        .await
        .unwrap();
    let (_, reset) = the_link(&desk).await;
    desk.clock
        .advance(Duration::minutes(TokenKind::ASKED_LIFE_MINUTES));
    let late = desk.accounts.reset_password(&reset, NEW_PASSWORD, origin()).await;
    assert!(matches!(late, Err(TokenUseError::Spent)));

    let invitation = invited(&desk, "kim@example.com").await;
    desk.clock
        .advance(Duration::hours(TokenKind::INVITATION_LIFE_HOURS));
    let late = desk
        .accounts
        .accept_invitation(acceptance(&invitation), origin())
        .await;
    assert!(matches!(late, Err(TokenUseError::Spent)));
    desk.clock
        .advance(Duration::days(OneTimeToken::EXPIRED_KEPT_DAYS) + Duration::seconds(1));
    assert_eq!(desk.accounts.forget_expired_tokens(100).await.unwrap(), 2);
    let unknown = desk.accounts.reset_password(&reset, NEW_PASSWORD, origin()).await;
    assert!(matches!(unknown, Err(TokenUseError::Unknown)));
}

#[tokio::test]
async fn what_is_no_token_or_one_of_another_kind_is_unknown() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    desk.accounts
        .forgot_password("robin@example.com", origin())
        .await
        .unwrap();
    let (_, reset) = the_link(&desk).await;
    for raw in [
        "",
        "%",
        "_",
        "*",
        "\0",
        "' OR 1=1 --",
        "mailed-",
        &reset.to_uppercase(),
        &"x".repeat(10_000),
    ] {
        let refused = desk.accounts.reset_password(raw, NEW_PASSWORD, origin()).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (FailureKind::NotFound, "auth.token_unknown")
        );
    }
    let other_kind = desk.accounts.verify_email(&reset, None, origin()).await;
    assert!(matches!(other_kind, Err(TokenUseError::Unknown)));
    let other_kind = desk
        .accounts
        .accept_invitation(acceptance(&reset), origin())
        .await;
    assert!(matches!(other_kind, Err(TokenUseError::Unknown)));
    desk.accounts
        .reset_password(&reset, NEW_PASSWORD, origin())
        .await
        .unwrap();
}

#[tokio::test]
async fn no_link_of_before_outlives_a_new_password_or_a_suspension() {
    let desk = Desk::new();
    let profile = desk.person("robin", Role::User);
    let robin = desk.principal("robin").await;
    desk.accounts
        .change_email(&robin, change_email("thief@example.com"))
        .await
        .unwrap();
    let (_, stolen) = the_link(&desk).await;
    let command = ChangePassword {
        current: Some(Desk::PASSWORD.to_owned()),
        new: NEW_PASSWORD.to_owned(),
    };
    desk.accounts.change_password(&robin, command).await.unwrap();
    let refused = desk.accounts.verify_email(&stolen, None, origin()).await;
    assert!(matches!(refused, Err(TokenUseError::Spent)));
    assert_eq!(the_mail(&desk).await.content, MailContent::PasswordChanged);

    desk.accounts
        .forgot_password("robin@example.com", origin())
        .await
        .unwrap();
    let (_, reset) = the_link(&desk).await;
    shut_out(&desk, &profile).await;
    let refused = desk.accounts.reset_password(&reset, NEW_PASSWORD, origin()).await;
    assert!(matches!(refused, Err(TokenUseError::Spent)));
    let admin = actor(Role::Admin);
    desk.accounts
        .set_status(&admin, profile.id, UserStatus::Active, None, &no_receipt)
        .await
        .unwrap();
    let refused = desk.accounts.reset_password(&reset, NEW_PASSWORD, origin()).await;
    assert!(matches!(refused, Err(TokenUseError::Spent)));
}

// --------------------------------------------------------------------------------------------- invitations

/// Has an administrator invite someone; gives the link's token.
async fn invited(desk: &Desk, email: &str) -> String {
    let mut command = Desk::create_user(email, Role::Agent);
    command.password = None;
    desk.accounts
        .create_user(&actor(Role::Admin), command, &no_receipt)
        .await
        .unwrap();
    the_link(desk).await.1
}

fn acceptance(token: &str) -> Acceptance {
    Acceptance {
        token: token.to_owned(),
        password: NEW_PASSWORD.to_owned(),
        name: None,
    }
}

#[tokio::test]
async fn one_who_is_invited_chooses_a_password_and_is_in() {
    let desk = Desk::new();
    let token = invited(&desk, "kim@example.com").await;
    let kim = stored(&desk, "kim@example.com").await;
    assert!(kim.awaits_invitation() && !kim.may_sign_in());
    assert!(log_in(&desk, "kim@example.com", "!").await.is_none());
    let bad = Acceptance {
        password: "short".to_owned(),
        name: Some(String::new()),
        ..acceptance(&token)
    };
    let bad = desk.accounts.accept_invitation(bad, origin()).await.unwrap_err();
    let pointers: Vec<&str> = bad.violations().iter().map(|v| v.pointer.as_str()).collect();
    assert_eq!(pointers, ["/password", "/name"]);
    let named = Acceptance {
        name: Some("Kim".to_owned()),
        ..acceptance(&token)
    };
    desk.accounts.accept_invitation(named, origin()).await.unwrap();
    let kim = stored(&desk, "kim@example.com").await;
    assert_eq!(
        (kim.name.as_str(), kim.status, kim.role),
        ("Kim", UserStatus::Active, Role::Agent)
    );
    assert!(kim.email_verified_at.is_some());
    assert!(log_in(&desk, "kim@example.com", NEW_PASSWORD).await.is_some());
    let again = desk
        .accounts
        .accept_invitation(acceptance(&token), origin())
        .await;
    assert!(matches!(again, Err(TokenUseError::Spent)));
    assert_eq!(desk.mailed().await, [], "a first password is no news");
}

#[tokio::test]
async fn one_who_is_invited_is_sent_no_other_proof_but_can_ask_for_a_password() {
    let desk = Desk::new();
    let invitation = invited(&desk, "kim@example.com").await;
    desk.accounts
        .resend_verification("kim@example.com", origin())
        .await
        .unwrap();
    assert_eq!(desk.mailed().await, []);
    desk.accounts
        .forgot_password("kim@example.com", origin())
        .await
        .unwrap();
    let (_, reset) = the_link(&desk).await;
    desk.accounts
        .reset_password(&reset, NEW_PASSWORD, origin())
        .await
        .unwrap();
    assert!(log_in(&desk, "kim@example.com", NEW_PASSWORD).await.is_some());
    let late = desk
        .accounts
        .accept_invitation(acceptance(&invitation), origin())
        .await;
    assert!(matches!(late, Err(TokenUseError::Spent)));
}

#[tokio::test]
async fn the_account_that_acts_on_a_link_is_on_the_record_with_its_origin() {
    let desk = Desk::new();
    let robin = desk.person("robin", Role::User);
    desk.accounts
        .forgot_password("robin@example.com", origin())
        .await
        .unwrap();
    let asked = desk.world.events().pop().unwrap();
    assert_eq!(
        (asked.cause, asked.origin),
        (Cause::System("stranger".into()), Some(origin()))
    );
    let (_, token) = the_link(&desk).await;
    desk.accounts
        .reset_password(&token, NEW_PASSWORD, origin())
        .await
        .unwrap();
    let reset = desk.world.events().pop().unwrap();
    assert_eq!(
        (reset.cause, reset.origin),
        (Cause::Person(robin.id), Some(origin()))
    );
}
