//! The second factor, whole: set up, logged in with, asked for, taken away, sealed anew, and nowhere at rest.

use std::sync::Arc;

use chrono::Duration;
use credentials::{KeyRing, MasterSecret, RingTotp, SystemClock};
use desk::app::{Caller, PASSWORD, Reply, SECRET, TestDesk, lifted};
use desk::database::test_database;
use futures_util::future::join_all;
use identity::ports::Totp as _;
use identity::service::UpdateSecurity;
use identity::two_factor::step_at;
use identity::{TotpSecret, TwoFactorRule};
use kernel::receipt::no_receipt;
use kernel::{Clock, ManualClock, Patch, Role, UserId};
use serde_json::{Value, json};
use server::bridges::NoMail;
use server::config::Config;
use server::desk::Desk;

/// A desk whose time stands still until it is moved.
async fn still_desk() -> (TestDesk, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let desk = TestDesk::start_as(test_database().await, lifted(), clock.clone()).await;
    (desk, clock)
}

fn code_at(secret: &str, clock: &ManualClock) -> String {
    let secret = TotpSecret::parse(secret).unwrap();
    format!("{:06}", RingTotp.code(&secret, step_at(clock.now())))
}

/// Sets a second factor up: the secret and the recovery codes. Its first code is used up when this returns.
async fn protect(desk: &TestDesk, caller: &Caller, clock: &ManualClock) -> (String, Vec<String>) {
    let enroll = json!({ "currentPassword": PASSWORD });
    let secret = desk
        .post(caller, "/api/v1/auth/2fa/enroll", &enroll)
        .await
        .expect(200)
        .text_of("/secret");
    let confirm = json!({ "code": code_at(&secret, clock) });
    let confirmed = desk
        .post(caller, "/api/v1/auth/2fa/confirm", &confirm)
        .await
        .expect(200);
    let codes = confirmed.json()["recoveryCodes"].as_array().unwrap().clone();
    clock.advance(Duration::seconds(30));
    (
        secret,
        codes
            .iter()
            .map(|code| code.as_str().unwrap().to_owned())
            .collect(),
    )
}

async fn post(desk: &TestDesk, path: &str, body: &Value) -> Reply {
    desk.request("POST", path).json(body).send().await
}

async fn log_in(desk: &TestDesk, name: &str, totp: Option<&str>) -> Reply {
    let mut body = json!({ "email": format!("{name}@example.org"), "password": PASSWORD });
    if let Some(totp) = totp {
        body["totp"] = json!(totp);
    }
    post(desk, "/api/v1/auth/login", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_set_up_asked_for_and_disabled() {
    let (desk, clock) = still_desk().await;
    let kim = desk.person("kim", Role::Agent).await;
    let status = async || desk.get(&kim, "/api/v1/auth/2fa").await.expect(200).json();
    let off = json!({ "enabled": false, "recoveryCodesLeft": 0, "required": false });
    assert_eq!(status().await, off);
    let wrong = json!({ "currentPassword": "another password" });
    desk.post(&kim, "/api/v1/auth/2fa/enroll", &wrong)
        .await
        .problem(403, "auth.reauthentication_failed");
    let new = desk
        .post(
            &kim,
            "/api/v1/auth/2fa/enroll",
            &json!({ "currentPassword": PASSWORD }),
        )
        .await
        .expect(200);
    assert_eq!(new.header("cache-control"), "no-store");
    let (secret, uri, svg) = (
        new.text_of("/secret"),
        new.text_of("/otpauthUri"),
        new.text_of("/qrSvg"),
    );
    assert!(
        uri.starts_with("otpauth://totp/InsightDesk:kim%40example.org?secret="),
        "{uri}"
    );
    assert!(
        uri.contains(&secret) && svg.contains("<svg") && svg.contains("viewBox"),
        "{svg:.300}"
    );
    assert!(!svg.contains("script") && !svg.contains("href"));
    assert_eq!(status().await, off);

    let (secret, recovery) = protect(&desk, &kim, &clock).await;
    assert_eq!(
        status().await,
        json!({ "enabled": true, "recoveryCodesLeft": 10, "required": false })
    );
    let asked = log_in(&desk, "kim", None).await;
    asked.problem(401, "auth.two_factor_required");
    assert_eq!(asked.json()["expiresIn"], 300);
    assert_eq!(asked.header("cache-control"), "no-store");
    let challenge = asked.text_of("/challenge");
    let verify = async |code: &str| {
        let body = json!({ "challenge": challenge, "code": code });
        post(&desk, "/api/v1/auth/2fa/verify", &body).await
    };
    verify("000000a").await.problem(401, "auth.two_factor_invalid");
    let signed_in = verify(&code_at(&secret, &clock)).await.expect(200);
    assert_eq!(signed_in.json()["user"]["twoFactorEnabled"], true);
    verify(&recovery[0]).await.problem(401, "auth.challenge_invalid");
    let replayed = code_at(&secret, &clock);
    log_in(&desk, "kim", Some(&replayed))
        .await
        .problem(401, "auth.two_factor_invalid");
    let _ = log_in(&desk, "kim", Some(&recovery[0])).await.expect(200);
    log_in(&desk, "kim", Some(&recovery[0]))
        .await
        .problem(401, "auth.two_factor_invalid");
    let sessions = "SELECT DISTINCT method FROM sessions ORDER BY method";
    let methods: Vec<_> = desk
        .database
        .rows(sessions)
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert_eq!(methods, ["password", "password+recovery_code", "password+totp"]);

    let proof = |password: &str, code: &str| json!({ "currentPassword": password, "code": code });
    desk.post(
        &kim,
        "/api/v1/auth/2fa/disable",
        &proof("another password", &recovery[1]),
    )
    .await
    .problem(403, "auth.reauthentication_failed");
    desk.post(&kim, "/api/v1/auth/2fa/disable", &proof(PASSWORD, "123"))
        .await
        .problem(403, "auth.code_invalid");
    let fresh = desk
        .post(
            &kim,
            "/api/v1/auth/2fa/recovery-codes",
            &proof(PASSWORD, &recovery[1]),
        )
        .await
        .expect(200);
    let _ = desk
        .post(
            &kim,
            "/api/v1/auth/2fa/disable",
            &proof(PASSWORD, &fresh.text_of("/recoveryCodes/0")),
        )
        .await
        .expect(204);
    assert_eq!(status().await, off);
    let _ = log_in(&desk, "kim", None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_opens_nothing() {
    let (desk, clock) = still_desk().await;
    let ada = desk.person("ada", Role::Admin).await;
    protect(&desk, &ada, &clock).await;
    let challenge = log_in(&desk, "ada", None).await.text_of("/challenge");
    let bearer = format!("Bearer {challenge}");
    let document = desk
        .request("GET", "/api/v1/openapi.json")
        .send()
        .await
        .expect(200)
        .json();
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"].as_array().is_none_or(Vec::is_empty) {
                continue;
            }
            let path = path.replace("{number}", "1").replace(['{', '}'], "");
            let path = path.split('/').map(|part| match part {
                "id" | "userId" | "messageId" => ada.id.to_string(),
                other => other.to_owned(),
            });
            let path = format!("/api/v1{}", path.collect::<Vec<_>>().join("/"));
            let request = desk
                .request(&method.to_uppercase(), &path)
                .header("authorization", &bearer);
            request
                .json(&json!({}))
                .send()
                .await
                .problem(401, "auth.token_invalid");
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
    let refresh = json!({ "refreshToken": challenge });
    post(&desk, "/api/v1/auth/refresh", &refresh)
        .await
        .problem(401, "auth.token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_logins_at_once_with_one_code_one_is_let_in() {
    let (desk, clock) = still_desk().await;
    let kim = desk.person("kim", Role::Agent).await;
    let (secret, recovery) = protect(&desk, &kim, &clock).await;
    for code in [code_at(&secret, &clock), recovery[0].clone()] {
        let replies = join_all((0..50).map(|_| log_in(&desk, "kim", Some(&code)))).await;
        let let_in = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(let_in, 1);
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            assert_eq!(
                (reply.status, reply.text_of("/code").as_str()),
                (401, "auth.two_factor_invalid")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_lets_anyone_in_lies_in_the_database() {
    let (desk, clock) = still_desk().await;
    let kim = desk.person("kim", Role::Agent).await;
    let enroll = desk
        .request("POST", "/api/v1/auth/2fa/enroll")
        .by(&kim)
        .header("idempotency-key", "enroll-1")
        .json(&json!({ "currentPassword": PASSWORD }))
        .send()
        .await
        .expect(200);
    let secret = enroll.text_of("/secret");
    let confirmed = desk
        .request("POST", "/api/v1/auth/2fa/confirm")
        .by(&kim)
        .header("idempotency-key", "confirm-1")
        .json(&json!({ "code": code_at(&secret, &clock) }))
        .send()
        .await
        .expect(200);
    let challenge = log_in(&desk, "kim", None).await.text_of("/challenge");
    let mut canaries = vec![secret, challenge, PASSWORD.to_owned(), kim.token.clone()];
    for code in confirmed.json()["recoveryCodes"].as_array().unwrap() {
        let code = code.as_str().unwrap();
        canaries.extend([code.to_owned(), code.replace('-', "")]);
    }
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<String> = desk
        .database
        .rows(tables)
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert!(
        tables.len() > 20 && tables.contains(&"one_time_tokens".to_owned()),
        "{tables:?}"
    );
    for table in tables {
        let rows = desk
            .database
            .rows(&format!("SELECT t::text FROM \"{table}\" t"))
            .await;
        for text in rows.into_iter().flatten().flatten() {
            for canary in &canaries {
                assert!(!text.contains(canary.as_str()), "{table} holds {canary}");
            }
        }
    }
    let answers = desk
        .database
        .rows("SELECT count(*)::text FROM idempotency_keys")
        .await;
    assert_eq!(answers[0][0].as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_desk_asks_for_a_second_factor_sets_one_up_first() {
    let (desk, clock) = still_desk().await;
    let ada = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::Agent).await;
    let carl = desk.person("carl", Role::User).await;
    let path = "/api/v1/settings/security";
    for stranger in [&kim, &carl] {
        desk.get(stranger, path).await.problem(403, "access.forbidden");
        desk.patch(stranger, path, &json!({}))
            .await
            .problem(403, "access.forbidden");
    }
    let first = desk.get(&ada, path).await.expect(200);
    assert_eq!(first.json(), json!({ "requireTwoFactor": "none" }));
    let change = async |rule: &str, tag: &str| {
        let request = desk.request("PATCH", path).by(&ada).header("if-match", tag);
        request.json(&json!({ "requireTwoFactor": rule })).send().await
    };
    change("everyone", &first.header("etag"))
        .await
        .problem(422, "request.invalid");
    let set = change("admins", &first.header("etag")).await.expect(200);
    assert_eq!(set.json(), json!({ "requireTwoFactor": "admins" }));

    // Also the administrator who asked for it, at once.
    desk.get(&ada, "/api/v1/tickets")
        .await
        .problem(403, "auth.two_factor_missing");
    desk.get(&ada, path).await.problem(403, "auth.two_factor_missing");
    let _ = desk.get(&ada, "/api/v1/auth/me").await.expect(200);
    let _ = desk.get(&kim, "/api/v1/tickets").await.expect(200);
    protect(&desk, &ada, &clock).await;
    let _ = desk.get(&ada, "/api/v1/tickets").await.expect(200);
    change("staff", &first.header("etag"))
        .await
        .problem(412, "request.stale");

    // Set on another node, it holds here once the cache's time is over.
    let other = Desk::from_database(
        desk.database.database().clone(),
        MasterSecret::from_bytes(SECRET),
        &lifted(),
        Arc::new(NoMail),
        Arc::clone(&desk.desk.blobs),
    );
    let actor = kernel::Actor::Person(kernel::Person {
        id: ada.id,
        role: Role::Admin,
        teams: Vec::new(),
        origin: None,
    });
    let update = UpdateSecurity {
        require_two_factor: Patch::Set(TwoFactorRule::Staff),
    };
    other
        .unwrap()
        .security
        .update(&actor, update, None, &no_receipt)
        .await
        .unwrap();
    clock.advance(Duration::seconds(3));
    desk.get(&kim, "/api/v1/tickets")
        .await
        .problem(403, "auth.two_factor_missing");
    let _ = desk.get(&carl, "/api/v1/tickets").await.expect(200);
    assert_eq!(
        desk.get(&kim, "/api/v1/auth/2fa").await.expect(200).json()["required"],
        true
    );
    let facts = "SELECT count(*)::text FROM outbox WHERE kind = 'settings.security_changed'";
    assert_eq!(desk.database.rows(facts).await[0][0].as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_takes_a_lost_second_factor_away() {
    let (desk, clock) = still_desk().await;
    let ada = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::Agent).await;
    protect(&desk, &kim, &clock).await;
    let reset = |id: UserId| format!("/api/v1/users/{id}/reset-two-factor");
    desk.post(&kim, &reset(ada.id), &json!({}))
        .await
        .problem(403, "access.forbidden");
    desk.post(&ada, &reset(ada.id), &json!({}))
        .await
        .problem(409, "user.own_account");
    let request = || {
        desk.request("POST", &reset(kim.id))
            .by(&ada)
            .header("idempotency-key", "reset-1")
    };
    let _ = request().send().await.expect(204);
    let again = request().send().await.expect(204);
    assert_eq!(again.header("idempotency-replayed"), "true");
    desk.get(&kim, "/api/v1/auth/me")
        .await
        .problem(401, "auth.session_revoked");
    let _ = log_in(&desk, "kim", None).await.expect(200);
    desk.post(&ada, &reset(kim.id), &json!({}))
        .await
        .problem(409, "auth.two_factor_not_enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secret_key_opens_what_the_one_before_sealed_and_seals_it_anew() {
    let (desk, clock) = still_desk().await;
    let kim = desk.person("kim", Role::Agent).await;
    let (secret, _) = protect(&desk, &kim, &clock).await;
    let sealed = async || {
        let rows = desk
            .database
            .rows("SELECT two_factor_secret FROM users WHERE two_factor_enabled")
            .await;
        rows[0][0].clone().unwrap()
    };
    let before = sealed().await;
    let (old, new) = (
        MasterSecret::from_bytes(SECRET),
        MasterSecret::from_bytes([8; 32]),
    );
    let node = |ring: KeyRing| {
        let basis = server::desk::Basis {
            database: desk.database.database().clone(),
            secret: ring,
            clock: clock.clone(),
            ids: Arc::new(credentials::UuidIds),
            mailer: Arc::new(NoMail),
            blobs: Arc::clone(&desk.desk.blobs),
            caller: server::webhooks::caller(&Config::default()),
        };
        Desk::assemble(basis, &Config { ..lifted() }).unwrap()
    };
    let credentials = || identity::service::Credentials {
        email: "kim@example.org".to_owned(),
        password: PASSWORD.to_owned(),
        totp: Some(code_at(&secret, &clock)),
    };
    let both = node(KeyRing::new(new.clone(), vec![old]));
    let origin = Arc::<kernel::Origin>::default();
    both.sessions
        .login(credentials(), Arc::clone(&origin))
        .await
        .unwrap();
    // A token that the earlier key signed is good until it expires.
    let principal = both
        .authenticator
        .authenticate(&kim.token, kernel::Origin::default())
        .await
        .unwrap();
    assert_eq!(principal.person.id, kim.id);
    let alone = node(new.into());
    assert!(
        alone
            .authenticator
            .authenticate(&kim.token, kernel::Origin::default())
            .await
            .is_err()
    );
    assert_eq!(alone.two_factor.reseal(None, 10).await.unwrap().unreadable, 1);
    assert_eq!(both.two_factor.reseal(None, 10).await.unwrap().resealed, 1);
    assert_eq!(both.two_factor.reseal(None, 10).await.unwrap().kept, 1);
    assert_ne!(sealed().await, before);
    clock.advance(Duration::seconds(30));
    alone.sessions.login(credentials(), origin).await.unwrap();
}
