use std::sync::Arc;

use async_trait::async_trait;
use chrono::Duration;
use events::IdentityFact;
use kernel::{Classify, FailureKind, Role};
use serde_json::{Map, Value, json};

use crate::ports::{CodeReceived, ProviderError, SignOnAsk, SignOnProvider, Vouched};
use crate::service::{
    Callback, Finished, ProviderAnswer, ProviderEntry, SignOnError, SignOnSettings, SignedIn, Started,
};
use crate::sign_on::{ProviderId, RoleRules, Subject};
use crate::testing::Desk;
use crate::testing::builders::origin;
use crate::user::UserStatus;
use crate::value::PasswordHash;

const FRONT: &str = "https://front.example.com/";

/// Vouches for whoever the code names, and says so in its address.
struct Believing;

#[async_trait]
impl SignOnProvider for Believing {
    async fn address(&self, ask: &SignOnAsk) -> Result<String, ProviderError> {
        Ok(ask.state.expose().to_owned())
    }

    async fn identify(&self, callback: &CodeReceived, _: &SignOnAsk) -> Result<Vouched, ProviderError> {
        let claims: Map<String, Value> =
            serde_json::from_str(&callback.code).map_err(|_| ProviderError::Rejected("no claims".into()))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Vouched {
            subject: Subject::parse(&text("sub").unwrap()).unwrap(),
            email: text("email"),
            email_verified: claims.get("verified") == Some(&json!(true)),
            name: text("name"),
            claims,
        })
    }

    async fn warm_up(&self) -> Result<(), ProviderError> {
        Err(ProviderError::Unavailable("asleep".into()))
    }
}

fn desk() -> Desk {
    Desk::with_sign_on(SignOnSettings {
        providers: vec![ProviderEntry {
            id: ProviderId::parse("one").unwrap(),
            name: "One".to_owned(),
            provider: Arc::new(Believing),
            create_accounts: true,
            roles: Some(RoleRules {
                claim: "groups".to_owned(),
                admin: vec!["admins".to_owned()],
                agent: vec!["agents".to_owned()],
            }),
        }],
        return_urls: vec![FRONT.to_owned()],
    })
}

fn callback(started: &Started, claims: &Value) -> Callback {
    Callback {
        state: started.address.clone(),
        answer: ProviderAnswer::Code(CodeReceived {
            code: claims.to_string(),
            issuer: None,
        }),
        binding: Some(started.binding.expose().to_owned()),
    }
}

async fn sign_on(desk: &Desk, claims: Value) -> Result<Box<SignedIn>, SignOnError> {
    let started = desk.sign_on.start("one", None).await?;
    match desk.sign_on.finish(callback(&started, &claims), origin()).await? {
        Finished::SignedIn(signed_in) => Ok(signed_in),
        Finished::Handover { .. } => panic!("no front end asked"),
    }
}

fn ann() -> Value {
    json!({"sub": "1", "email": "Ann@Example.com", "verified": true, "name": "Ann\u{7} Lee"})
}

#[tokio::test]
async fn a_newcomer_is_verified_and_has_no_password() {
    let desk = desk();
    let signed_in = sign_on(&desk, ann()).await.unwrap();
    let profile = &signed_in.profile;
    assert_eq!(
        (profile.name.as_str(), profile.email.as_str(), profile.status),
        ("Ann Lee", "ann@example.com", UserStatus::Active)
    );
    assert!(profile.email_verified_at.is_some());
    let facts = desk.world.facts();
    let user = profile.id;
    let provider = "one".to_owned();
    assert_eq!(facts[0], IdentityFact::UserCreated { user });
    assert!(facts.contains(&IdentityFact::SignOnLinked { user, provider }));
    assert!(matches!(&facts[3], IdentityFact::SignedIn { method, .. } if method == "sso"));
}

#[tokio::test]
async fn a_name_that_is_none_gives_way_to_the_address() {
    let desk = desk();
    let claims = json!({"sub": "1", "email": "ann@example.com", "verified": true, "name": "\n"});
    let signed_in = sign_on(&desk, claims).await.unwrap();
    assert_eq!(signed_in.profile.name.as_str(), "ann");
}

#[tokio::test]
async fn a_sign_on_and_a_handover_end() {
    let desk = desk();
    let started = desk.sign_on.start("one", None).await.unwrap();
    desk.clock.advance(SignOnSettings::STATE_LIFE);
    let late = desk.sign_on.finish(callback(&started, &ann()), origin()).await;
    assert!(matches!(late, Err(SignOnError::UnknownState)), "{late:?}");

    let started = desk.sign_on.start("one", Some(FRONT)).await.unwrap();
    let finished = desk.sign_on.finish(callback(&started, &ann()), origin()).await;
    let Ok(Finished::Handover { return_to, code }) = finished else {
        panic!("a front end asked: {finished:?}")
    };
    assert_eq!(return_to, FRONT);
    desk.clock.advance(SignOnSettings::HANDOVER_LIFE);
    let late = desk.sign_on.exchange(code.expose(), origin()).await;
    assert!(matches!(late, Err(SignOnError::UnknownState)), "{late:?}");

    let _ = desk.sign_on.start("one", None).await.unwrap();
    desk.clock.advance(Duration::hours(1));
    assert_eq!(desk.sign_on.forget_unfinished(10).await.unwrap(), 1);
}

#[tokio::test]
async fn an_account_that_was_shut_out_meanwhile_gets_no_session() {
    let desk = desk();
    let started = desk.sign_on.start("one", Some(FRONT)).await.unwrap();
    let finished = desk.sign_on.finish(callback(&started, &ann()), origin()).await;
    let Ok(Finished::Handover { code, .. }) = finished else {
        panic!("a front end asked: {finished:?}")
    };
    let Some(IdentityFact::UserCreated { user }) = desk.world.facts().first().cloned() else {
        panic!("an account was made")
    };
    let mut shut_out = crate::testing::builders::user(Role::User);
    shut_out.id = user;
    shut_out.status = UserStatus::Suspended;
    desk.world.put_user(shut_out);
    let refused = desk.sign_on.exchange(code.expose(), origin()).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (FailureKind::Forbidden, "auth.sign_on_refused")
    );
}

#[tokio::test]
async fn an_account_that_waits_for_its_address_is_opened_and_one_that_waits_otherwise_is_not() {
    for (verified, opens) in [(false, true), (true, false)] {
        let desk = desk();
        let mut waiting = crate::testing::builders::user(Role::User);
        waiting.email = crate::testing::builders::email("ann@example.com");
        waiting.status = UserStatus::Pending;
        waiting.email_verified_at = verified.then(crate::testing::builders::start);
        let id = waiting.id;
        desk.world.put_user(waiting);
        let outcome = sign_on(&desk, ann()).await;
        assert_eq!(outcome.is_ok(), opens, "{outcome:?}");
        if let Ok(signed_in) = outcome {
            assert_eq!(
                (signed_in.profile.id, signed_in.profile.status),
                (id, UserStatus::Active)
            );
        }
    }
}

#[tokio::test]
async fn a_role_is_told_of_when_it_changes_and_the_last_admin_keeps_it() {
    let desk = desk();
    let with = |groups: Value| {
        let mut claims = ann();
        claims["groups"] = groups;
        claims
    };
    let role = async |groups: Value| sign_on(&desk, with(groups)).await.unwrap().profile.role;
    assert_eq!(role(json!(["admins"])).await, Role::Admin);
    let before = desk.world.facts().len();
    assert_eq!(role(json!(["agents"])).await, Role::Admin);
    assert_eq!(
        desk.world.facts().len(),
        before + 1,
        "nothing but the session is told of"
    );
    desk.person("root", Role::Admin);
    assert_eq!(role(json!(["agents"])).await, Role::Agent);
    let told = desk
        .world
        .facts()
        .iter()
        .filter(|fact| matches!(fact, IdentityFact::UserUpdated { fields, .. } if fields == &["role"]))
        .count();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn a_password_is_unset_and_nobody_logs_in_with_it() {
    let desk = desk();
    sign_on(&desk, ann()).await.unwrap();
    let user = desk.world.facts();
    assert!(!user.is_empty());
    assert_eq!(PasswordHash::unset().as_str(), "!");
    let credentials = crate::service::Credentials {
        email: "ann@example.com".to_owned(),
        password: "!".to_owned(),
        totp: None,
    };
    let refused = desk.sessions.login(credentials, origin()).await.unwrap_err();
    assert_eq!(refused.code(), "auth.invalid_credentials");
}

#[tokio::test]
async fn what_the_provider_sends_must_hold_and_it_may_be_away() {
    let desk = desk();
    let started = desk.sign_on.start("one", None).await.unwrap();
    let nonsense = Callback {
        answer: ProviderAnswer::Code(CodeReceived {
            code: "x".to_owned(),
            issuer: None,
        }),
        ..callback(&started, &json!({}))
    };
    let unsound = desk.sign_on.finish(nonsense, origin()).await.unwrap_err();
    assert_eq!(
        (unsound.kind(), unsound.code()),
        (FailureKind::Unauthenticated, "auth.sign_on_failed")
    );
    let failed = desk.sign_on.warm_up().await;
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (failed[0].1.kind(), failed[0].1.code()),
        (FailureKind::Unavailable, "auth.sign_on_unavailable")
    );
}
