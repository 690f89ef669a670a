//! Second factors, the throttle and the security settings.

use std::sync::Arc;

use chrono::Duration;
use events::IdentityFact;
use kernel::receipt::no_receipt;
use kernel::{Classify, Client, Clock as _, FailureKind, Origin, Patch, Role, Version};

use super::{changes, receipt};
use crate::access::{AccessDenied, Principal, Requirement};
use crate::ports::{Totp as _, TwoFactorStore as _};
use crate::service::{
    ChangePassword, Credentials, LoginError, ResetTwoFactorError, SecurityError, SignedIn, TwoFactorError,
    TwoFactorLimits, UpdateSecurity,
};
use crate::session::SignInMethod;
use crate::testing::builders::{actor, origin};
use crate::testing::{Desk, FakeTotp};
use crate::two_factor::{RecoveryCode, TotpSecret, TwoFactorRule, step_at};

const WRONG: &str = "another password";

/// Someone with a second factor.
struct Robin {
    principal: Principal,
    secret: TotpSecret,
    recovery: Vec<RecoveryCode>,
}

impl Robin {
    async fn at(desk: &Desk, role: Role) -> Self {
        desk.person("robin", role);
        let principal = desk.principal("robin").await;
        let new = desk
            .two_factor
            .enroll(&principal, Some(Desk::PASSWORD))
            .await
            .unwrap();
        let secret = new.secret;
        let code = code_of(desk, &secret, 0);
        let recovery = desk.two_factor.confirm(&principal, &code).await.unwrap();
        // The code that confirmed it is used up.
        desk.clock.advance(Duration::seconds(30));
        Self {
            principal,
            secret,
            recovery,
        }
    }

    /// The code of the step that lies so far from the present one.
    fn code(&self, desk: &Desk, offset: i64) -> String {
        code_of(desk, &self.secret, offset)
    }
}

fn code_of(desk: &Desk, secret: &TotpSecret, offset: i64) -> String {
    format!("{:06}", FakeTotp.code(secret, step_at(desk.clock.now()) + offset))
}

/// A code that is right in no step near the present one.
fn wrong_code(desk: &Desk, secret: &TotpSecret) -> String {
    let near: Vec<String> = (-2..=2).map(|offset| code_of(desk, secret, offset)).collect();
    let mut codes = (0..).map(|number| format!("{number:06}"));
    codes.find(|code| !near.contains(code)).unwrap()
}

fn from(ip: &str) -> Arc<Origin> {
    Arc::new(Origin::of(Client::new(Some("Test/1.0"), ip.parse().ok())))
}

async fn log_in(
    desk: &Desk,
    password: &str,
    totp: Option<&str>,
    origin: Arc<Origin>,
) -> Result<SignedIn, LoginError> {
    log_in_as(desk, "robin@example.com", password, totp, origin).await
}

async fn log_in_as(
    desk: &Desk,
    email: &str,
    password: &str,
    totp: Option<&str>,
    origin: Arc<Origin>,
) -> Result<SignedIn, LoginError> {
    let credentials = Credentials {
        email: email.to_owned(),
        password: password.to_owned(),
        totp: totp.map(str::to_owned),
    };
    desk.sessions.login(credentials, origin).await
}

async fn challenge(desk: &Desk) -> String {
    match log_in(desk, Desk::PASSWORD, None, origin()).await {
        Err(LoginError::TwoFactorRequired {
            challenge,
            expires_in,
        }) => {
            assert_eq!(expires_in.as_secs(), 300);
            challenge.expose().to_owned()
        }
        other => panic!("no code is asked for: {other:?}"),
    }
}

fn method_of(desk: &Desk) -> String {
    let began = desk.world.facts().into_iter().rev().find_map(|fact| match fact {
        IdentityFact::SignedIn { method, .. } => Some(method),
        _ => None,
    });
    began.unwrap()
}

fn refusals(desk: &Desk) -> Vec<String> {
    let refused = |fact| match fact {
        IdentityFact::SignInRefused { reason, .. } => Some(reason),
        _ => None,
    };
    desk.world.facts().into_iter().filter_map(refused).collect()
}

// --------------------------------------------------------------------------------------------- setting it up

#[tokio::test]
async fn a_second_factor_is_enrolled_confirmed_and_then_asked_for() {
    let desk = Desk::new();
    let profile = desk.person("robin", Role::User);
    let principal = desk.principal("robin").await;
    let first = desk
        .two_factor
        .enroll(&principal, Some(Desk::PASSWORD))
        .await
        .unwrap();
    assert_eq!(first.account, profile.email);
    let second = desk
        .two_factor
        .enroll(&principal, Some(Desk::PASSWORD))
        .await
        .unwrap();
    assert_ne!(first.secret, second.secret);
    log_in(&desk, Desk::PASSWORD, None, origin())
        .await
        .expect("nothing is asked for yet");
    let replaced = desk
        .two_factor
        .confirm(&principal, &code_of(&desk, &first.secret, 0))
        .await;
    assert!(
        matches!(replaced, Err(TwoFactorError::CodeInvalid)),
        "{replaced:?}"
    );
    let code = code_of(&desk, &second.secret, 0);
    let codes = desk.two_factor.confirm(&principal, &code).await.unwrap();
    assert_eq!(codes.len(), 10);
    assert_eq!(
        changes(&desk),
        [IdentityFact::TwoFactorEnabled { user: profile.id }]
    );
    let status = desk.two_factor.status(&principal).await.unwrap();
    assert_eq!(
        (status.enabled, status.recovery_codes_left, status.required),
        (true, 10, false)
    );
    let stored = desk.world.two_factor(profile.id).await.unwrap().unwrap();
    assert_ne!(stored.secret.unwrap().as_str(), second.secret.to_base32());

    for again in [
        desk.two_factor
            .enroll(&principal, Some(Desk::PASSWORD))
            .await
            .unwrap_err(),
        desk.two_factor.confirm(&principal, &code).await.unwrap_err(),
    ] {
        assert_eq!(
            (again.kind(), again.code()),
            (FailureKind::Conflict, "auth.two_factor_already_enabled")
        );
    }
    // The code that confirmed it does not also log in.
    let replayed = log_in(&desk, Desk::PASSWORD, Some(&code), origin()).await;
    assert!(
        matches!(replayed, Err(LoginError::TwoFactorInvalid)),
        "{replayed:?}"
    );
}

#[tokio::test]
async fn a_wrong_present_password_changes_nothing() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    let before = desk.world.two_factor(robin.principal.person.id).await.unwrap();
    let (facts, code) = (desk.world.facts(), robin.code(&desk, 0));
    for error in [
        desk.two_factor
            .enroll(&robin.principal, Some(WRONG))
            .await
            .unwrap_err(),
        desk.two_factor
            .disable(&robin.principal, Some(WRONG), &code)
            .await
            .unwrap_err(),
        desk.two_factor
            .replace_codes(&robin.principal, Some(WRONG), &code)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::Forbidden, "auth.reauthentication_failed")
        );
    }
    assert_eq!(
        desk.world.two_factor(robin.principal.person.id).await.unwrap(),
        before
    );
    let user = robin.principal.person.id;
    let failures = vec![IdentityFact::ReauthenticationFailed { user }; 3];
    assert_eq!(
        desk.world.facts(),
        [facts, failures].concat(),
        "only the tries are on record"
    );
    log_in(&desk, Desk::PASSWORD, Some(&code), origin())
        .await
        .expect("the code is still good");
}

#[tokio::test]
async fn what_is_not_there_can_be_neither_confirmed_nor_disabled() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    let principal = desk.principal("robin").await;
    let error = desk.two_factor.confirm(&principal, "123456").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Conflict, "auth.two_factor_not_enrolled")
    );
    desk.two_factor
        .enroll(&principal, Some(Desk::PASSWORD))
        .await
        .unwrap();
    for error in [
        desk.two_factor
            .disable(&principal, Some(Desk::PASSWORD), "123456")
            .await
            .unwrap_err(),
        desk.two_factor
            .replace_codes(&principal, Some(Desk::PASSWORD), "123456")
            .await
            .unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::Conflict, "auth.two_factor_not_enabled")
        );
    }
}

#[tokio::test]
async fn a_second_factor_is_disabled_by_password_and_code() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    let user = robin.principal.person.id;
    let wrong = wrong_code(&desk, &robin.secret);
    let error = desk
        .two_factor
        .disable(&robin.principal, Some(Desk::PASSWORD), &wrong)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::Forbidden, "auth.code_invalid")
    );
    let recovery = robin.recovery[0].grouped();
    desk.two_factor
        .disable(&robin.principal, Some(Desk::PASSWORD), &recovery)
        .await
        .unwrap();
    assert_eq!(
        changes(&desk)[1..],
        [
            IdentityFact::RecoveryCodeUsed { user, left: 9 },
            IdentityFact::TwoFactorDisabled { user },
        ]
    );
    log_in(&desk, Desk::PASSWORD, None, origin())
        .await
        .expect("nothing is asked for any more");
}

#[tokio::test]
async fn new_recovery_codes_take_the_place_of_the_old() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    let code = robin.code(&desk, 0);
    let fresh = desk
        .two_factor
        .replace_codes(&robin.principal, Some(Desk::PASSWORD), &code)
        .await
        .unwrap();
    assert_eq!(fresh.len(), 10);
    let replayed = desk
        .two_factor
        .replace_codes(&robin.principal, Some(Desk::PASSWORD), &code)
        .await;
    assert!(
        matches!(replayed, Err(TwoFactorError::CodeInvalid)),
        "{replayed:?}"
    );
    let old = log_in(
        &desk,
        Desk::PASSWORD,
        Some(&robin.recovery[0].grouped()),
        origin(),
    )
    .await;
    assert!(matches!(old, Err(LoginError::TwoFactorInvalid)), "{old:?}");
    log_in(&desk, Desk::PASSWORD, Some(&fresh[0].grouped()), origin())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_administrator_takes_anothers_factor_away_and_ends_their_sessions() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    let id = robin.principal.person.id;
    let login = log_in(&desk, Desk::PASSWORD, Some(&robin.code(&desk, 0)), origin())
        .await
        .unwrap();
    for (who, code) in [(Role::User, "user.not_found"), (Role::Agent, "access.forbidden")] {
        let error = desk
            .two_factor
            .reset(&actor(who), id, &no_receipt)
            .await
            .unwrap_err();
        assert_eq!(error.code(), code);
    }
    let admin = actor(Role::Admin);
    let answer = |(): &()| Some(receipt("reset"));
    desk.two_factor.reset(&admin, id, &answer).await.unwrap();
    assert_eq!(
        changes(&desk)[1..],
        [
            IdentityFact::TwoFactorDisabled { user: id },
            IdentityFact::SessionsEnded {
                user: id,
                session: None
            },
        ]
    );
    assert_eq!(desk.world.receipts(), [receipt("reset")]);
    assert!(
        desk.authenticator
            .authenticate(login.access_token.expose(), Origin::default())
            .await
            .is_err()
    );
    let again = desk.two_factor.reset(&admin, id, &answer).await;
    assert!(matches!(again, Err(ResetTwoFactorError::NotEnabled)), "{again:?}");
    log_in(&desk, Desk::PASSWORD, None, origin()).await.unwrap();
}

#[tokio::test]
async fn nobody_resets_their_own_factor() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::Admin).await;
    let own = desk
        .two_factor
        .reset(&robin.principal.actor(), robin.principal.person.id, &no_receipt)
        .await;
    assert!(matches!(own, Err(ResetTwoFactorError::OwnAccount)), "{own:?}");
}

// ------------------------------------------------------------------------------------------------- logging in

#[tokio::test]
async fn a_code_comes_with_the_password_or_answers_a_challenge() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    log_in(&desk, Desk::PASSWORD, Some(&robin.code(&desk, 0)), origin())
        .await
        .unwrap();
    assert_eq!(method_of(&desk), SignInMethod::PasswordAndCode.as_str());
    desk.clock.advance(Duration::seconds(30));
    let challenge = challenge(&desk).await;
    desk.sessions
        .verify(&challenge, &robin.code(&desk, 0), origin())
        .await
        .unwrap();
    assert_eq!(method_of(&desk), SignInMethod::PasswordAndCode.as_str());
    desk.clock.advance(Duration::seconds(30));
    let spent = desk
        .sessions
        .verify(&challenge, &robin.code(&desk, 0), origin())
        .await
        .unwrap_err();
    assert_eq!(
        (spent.kind(), spent.code()),
        (FailureKind::Unauthenticated, "auth.challenge_invalid")
    );
}

#[tokio::test]
async fn a_code_is_good_in_its_step_and_the_ones_beside_it_once() {
    for (offset, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        let desk = Desk::new();
        let robin = Robin::at(&desk, Role::User).await;
        desk.clock.advance(Duration::minutes(5));
        let code = robin.code(&desk, offset);
        let login = log_in(&desk, Desk::PASSWORD, Some(&code), origin()).await;
        assert_eq!(login.is_ok(), good, "{offset}: {login:?}");
        let again = log_in(&desk, Desk::PASSWORD, Some(&code), origin()).await;
        assert!(
            matches!(again, Err(LoginError::TwoFactorInvalid)),
            "{offset}: {again:?}"
        );
        let earlier = log_in(
            &desk,
            Desk::PASSWORD,
            Some(&robin.code(&desk, offset - 1)),
            origin(),
        )
        .await;
        assert_eq!(earlier.is_ok(), offset == 2, "a step before the last: {offset}");
    }
}

#[tokio::test]
async fn without_steps_beside_it_only_the_present_code_is_good() {
    for (offset, good) in [(-1, false), (0, true), (1, false)] {
        let desk = Desk::with_two_factor(TwoFactorLimits::with_skew(0));
        let robin = Robin::at(&desk, Role::User).await;
        desk.clock.advance(Duration::minutes(5));
        let login = log_in(&desk, Desk::PASSWORD, Some(&robin.code(&desk, offset)), origin()).await;
        assert_eq!(login.is_ok(), good, "{offset}: {login:?}");
    }
}

#[tokio::test]
async fn a_recovery_code_works_once_however_it_is_typed() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    let user = robin.principal.person.id;
    let typed = format!(
        " {} ",
        robin.recovery[0].grouped().to_uppercase().replace('-', " ")
    );
    log_in(&desk, Desk::PASSWORD, Some(&typed), origin())
        .await
        .unwrap();
    assert_eq!(method_of(&desk), SignInMethod::PasswordAndRecoveryCode.as_str());
    assert_eq!(
        changes(&desk)[1..],
        [IdentityFact::RecoveryCodeUsed { user, left: 9 }]
    );
    let again = log_in(&desk, Desk::PASSWORD, Some(&typed), origin()).await;
    assert!(matches!(again, Err(LoginError::TwoFactorInvalid)), "{again:?}");
    assert_eq!(
        desk.two_factor
            .status(&robin.principal)
            .await
            .unwrap()
            .recovery_codes_left,
        9
    );
}

#[tokio::test]
async fn a_challenge_dies_of_five_wrong_codes_of_age_and_of_a_new_password() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    let wrong = wrong_code(&desk, &robin.secret);
    let first = challenge(&desk).await;
    for _ in 0..5 {
        let error = desk.sessions.verify(&first, &wrong, origin()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::Unauthenticated, "auth.two_factor_invalid")
        );
    }
    let dead = async |challenge: &str| {
        let code = robin.code(&desk, 0);
        let error = desk
            .sessions
            .verify(challenge, &code, origin())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "auth.challenge_invalid");
    };
    dead(&first).await;

    let old = challenge(&desk).await;
    desk.clock.advance(Duration::minutes(5));
    dead(&old).await;
    for nonsense in ["", "unknown", "%", "\0", "a b"] {
        dead(nonsense).await;
    }

    let overtaken = challenge(&desk).await;
    let change = ChangePassword {
        current: Some(Desk::PASSWORD.to_owned()),
        new: "eleven orange candles".to_owned(),
    };
    desk.accounts
        .change_password(&robin.principal, change)
        .await
        .unwrap();
    dead(&overtaken).await;
}

#[tokio::test]
async fn a_code_is_asked_for_only_behind_the_right_password() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    let code = robin.code(&desk, 0);
    for totp in [None, Some(code.as_str()), Some("000000")] {
        let error = log_in(&desk, WRONG, totp, origin()).await.unwrap_err();
        assert!(matches!(error, LoginError::InvalidCredentials), "{error:?}");
    }
    assert_eq!(refusals(&desk), ["password"; 3]);
    log_in(&desk, Desk::PASSWORD, Some(&code), origin())
        .await
        .expect("the code is not used up");
}

// --------------------------------------------------------------------------------------------------- throttle

#[tokio::test]
async fn ten_wrong_passwords_a_minute_shut_one_address_out_of_one_account() {
    for email in ["robin@example.com", "nobody@example.com", "no address"] {
        let desk = Desk::new();
        desk.person("robin", Role::User);
        desk.person("kim", Role::User);
        for _ in 0..10 {
            let error = log_in_as(&desk, email, WRONG, None, from("192.0.2.1"))
                .await
                .unwrap_err();
            assert_eq!(error.code(), "auth.invalid_credentials");
        }
        let compared = desk.hasher.comparisons();
        let error = log_in_as(&desk, email, Desk::PASSWORD, None, from("192.0.2.1"))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (FailureKind::TooMany, "request.rate_limited"),
            "{email}"
        );
        assert_eq!(error.retry_after().unwrap().as_secs(), 6);
        assert_eq!(desk.hasher.comparisons(), compared, "nothing was compared");
        assert_eq!(refusals(&desk).last().unwrap(), "rate");
        // Others from there, and the same from elsewhere, are let in.
        log_in_as(&desk, "kim@example.com", Desk::PASSWORD, None, from("192.0.2.1"))
            .await
            .unwrap();
        log_in(&desk, Desk::PASSWORD, None, from("192.0.2.2"))
            .await
            .unwrap();
        desk.clock.advance(Duration::seconds(6));
        let later = log_in_as(&desk, email, WRONG, None, from("192.0.2.1"))
            .await
            .unwrap_err();
        assert_eq!(later.code(), "auth.invalid_credentials");
    }
}

#[tokio::test]
async fn right_passwords_are_never_counted() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    for _ in 0..150 {
        log_in(&desk, Desk::PASSWORD, None, from("192.0.2.1"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn many_addresses_shut_out_strangers_and_never_where_the_person_works() {
    let desk = Desk::new();
    desk.person("robin", Role::User);
    log_in(&desk, Desk::PASSWORD, None, from("198.51.100.9"))
        .await
        .unwrap();
    for host in 0..100 {
        let error = log_in(&desk, WRONG, None, from(&format!("192.0.2.{host}")))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "auth.invalid_credentials");
        let unknown = log_in_as(
            &desk,
            "nobody@example.com",
            WRONG,
            None,
            from(&format!("192.0.2.{host}")),
        )
        .await;
        assert_eq!(unknown.unwrap_err().code(), "auth.invalid_credentials");
    }
    for email in ["robin@example.com", "nobody@example.com"] {
        let error = log_in_as(&desk, email, Desk::PASSWORD, None, from("203.0.113.1"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), FailureKind::TooMany, "{email}");
    }
    log_in(&desk, Desk::PASSWORD, None, from("198.51.100.9"))
        .await
        .expect("known from before");
    // What was refused took nothing from the address' own bucket.
    desk.clock.advance(Duration::milliseconds(600));
    log_in(&desk, Desk::PASSWORD, None, from("203.0.113.1"))
        .await
        .unwrap();
}

#[tokio::test]
async fn ten_wrong_codes_in_a_quarter_of_an_hour_shut_one_address_out() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    let wrong = wrong_code(&desk, &robin.secret);
    for _ in 0..10 {
        let error = log_in(&desk, Desk::PASSWORD, Some(&wrong), from("192.0.2.1"))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "auth.two_factor_invalid");
    }
    let right = robin.code(&desk, 0);
    let error = log_in(&desk, Desk::PASSWORD, Some(&right), from("192.0.2.1"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after().unwrap().as_secs()),
        (FailureKind::TooMany, 90)
    );
    log_in(&desk, Desk::PASSWORD, Some(&right), from("192.0.2.2"))
        .await
        .unwrap();
    let reasons = refusals(&desk);
    assert_eq!(
        (reasons.len(), reasons[0].as_str(), reasons[10].as_str()),
        (11, "second_factor", "rate")
    );
}

// --------------------------------------------------------------------------------------------------- the rule

#[tokio::test]
async fn whom_the_desk_asks_for_a_second_factor_is_led_to_set_one_up() {
    let desk = Desk::new();
    desk.person("robin", Role::Admin);
    let principal = desk.principal("robin").await;
    let admin = principal.actor();
    let update = |rule| UpdateSecurity {
        require_two_factor: Patch::Set(rule),
    };
    for who in [Role::User, Role::Agent] {
        let refused = desk.security.get(&actor(who)).await;
        assert!(matches!(refused, Err(SecurityError::Forbidden)), "{refused:?}");
        let refused = desk
            .security
            .update(&actor(who), update(TwoFactorRule::Nobody), None, &no_receipt)
            .await;
        assert!(matches!(refused, Err(SecurityError::Forbidden)), "{refused:?}");
    }
    let first = desk.security.get(&admin).await.unwrap();
    assert_eq!(
        (first.require_two_factor, first.version),
        (TwoFactorRule::Nobody, Version::FIRST)
    );
    let set = desk
        .security
        .update(
            &admin,
            update(TwoFactorRule::Staff),
            Some(first.version),
            &no_receipt,
        )
        .await
        .unwrap();
    let stale = desk
        .security
        .update(
            &admin,
            update(TwoFactorRule::Nobody),
            Some(first.version),
            &no_receipt,
        )
        .await;
    assert!(
        matches!(stale, Err(SecurityError::Stale { current }) if current == set.version),
        "{stale:?}"
    );
    let same = desk
        .security
        .update(&admin, update(TwoFactorRule::Staff), None, &no_receipt)
        .await
        .unwrap();
    assert_eq!(same, set, "nothing changed");
    let settings = vec![("requireTwoFactor".to_owned(), "staff".to_owned())];
    assert_eq!(
        changes(&desk),
        [IdentityFact::SecuritySettingsChanged { settings }]
    );

    // The one who set it is held to it at once, and may do what leads out of it.
    let held = desk.authenticator.reauthenticate(&principal).await.unwrap();
    assert_eq!(
        held.meets(Requirement::Session),
        Err(AccessDenied::TwoFactorMissing)
    );
    assert_eq!(held.meets(Requirement::OwnAccount), Ok(()));
    assert!(desk.two_factor.status(&held).await.unwrap().required);
    let new = desk.two_factor.enroll(&held, Some(Desk::PASSWORD)).await.unwrap();
    desk.two_factor
        .confirm(&held, &code_of(&desk, &new.secret, 0))
        .await
        .unwrap();
    let free = desk.authenticator.reauthenticate(&principal).await.unwrap();
    assert_eq!(free.meets(Requirement::Session), Ok(()));
}

// ---------------------------------------------------------------------------------------------- another secret

#[tokio::test]
async fn secrets_are_sealed_anew_in_batches_and_their_codes_go_on() {
    let desk = Desk::new();
    let robin = Robin::at(&desk, Role::User).await;
    for name in ["kim", "sam"] {
        desk.person(name, Role::User);
        let principal = desk.principal(name).await;
        desk.two_factor
            .enroll(&principal, Some(Desk::PASSWORD))
            .await
            .unwrap();
    }
    desk.vault.rotate();
    let reseal = async |rows_max| {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let done = desk.two_factor.reseal(after, rows_max).await.unwrap();
            all.push((done.resealed, done.kept, done.unreadable));
            after = done.next;
            if after.is_none() {
                return all;
            }
        }
    };
    assert_eq!(reseal(2).await, [(2, 0, 0), (1, 0, 0)]);
    assert_eq!(reseal(10).await, [(0, 3, 0)], "once more changes nothing");
    log_in(&desk, Desk::PASSWORD, Some(&robin.code(&desk, 0)), origin())
        .await
        .unwrap();
}
