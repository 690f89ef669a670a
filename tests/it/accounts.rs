//! Accounts by mail over HTTP: each flow, each refusal, that strangers learn nothing, and that nothing usable is at rest.

use std::collections::BTreeMap;

use desk::app::{Caller, PASSWORD, Reply, TestDesk};
use desk::database::test_database;
use futures_util::future::join_all;
use identity::ports::MailContent;
use identity::{AccountLimits, UserStatus, VerifiedEmail};
use kernel::{Role, UserId};
use serde_json::{Value, json};
use server::config::Config;

const NEW_PASSWORD: &str = "eleven green ladders";

/// A desk that asks for proved addresses.
async fn strict() -> TestDesk {
    let config = Config {
        rates: http::rate::RateSettings::lifted(),
        accounts: AccountLimits {
            verified_email: VerifiedEmail::Required,
            ..AccountLimits::default()
        },
        ..Config::default()
    };
    TestDesk::start_configured(test_database().await, config).await
}

async fn ask(desk: &TestDesk, operation: &str, body: &Value) -> Reply {
    let path = format!("/api/v1/auth/{operation}");
    desk.request("POST", &path).json(body).send().await
}

async fn as_caller(desk: &TestDesk, caller: &Caller, operation: &str, body: &Value) -> Reply {
    desk.post(caller, &format!("/api/v1/auth/{operation}"), body)
        .await
}

/// Logs in, as someone whose role does not matter.
async fn log_in(desk: &TestDesk, email: &str, password: &str) -> Result<Caller, Reply> {
    let reply = ask(desk, "login", &json!({ "email": email, "password": password })).await;
    if reply.status != 200 {
        return Err(reply);
    }
    Ok(Caller {
        id: UserId(reply.text_of("/user/id").parse().unwrap()),
        role: Role::User,
        token: reply.text_of("/accessToken"),
    })
}

fn registration(email: &str) -> Value {
    json!({ "email": email, "name": "Kim", "password": PASSWORD })
}

/// What of an answer may differ from one to the next: its time and its request.
fn comparable(reply: &Reply) -> (u16, String, BTreeMap<String, String>) {
    let headers = reply
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (reply.status, reply.text.clone(), headers.collect())
}

/// Someone of each standing, by address; `nobody@` has no account.
async fn cast(desk: &TestDesk) -> [String; 5] {
    let admin = desk.person("ada", Role::Admin).await;
    for name in ["known", "suspended", "deleted"] {
        desk.person(name, Role::User).await;
    }
    let invited = json!({ "email": "invited@example.org", "name": "I", "role": "user" });
    let _ = desk.post(&admin, "/api/v1/users", &invited).await.expect(201);
    let ids = desk
        .database
        .rows("SELECT email, id::text FROM users WHERE email ~ '^(suspended|deleted)@'")
        .await;
    for row in ids {
        let [Some(email), Some(id)] = row.as_slice() else {
            panic!("{row:?}")
        };
        let path = format!("/api/v1/users/{id}");
        let done = if email.starts_with("deleted") {
            desk.request("DELETE", &path).by(&admin).send().await
        } else {
            desk.post(&admin, &format!("{path}/suspend"), &json!({})).await
        };
        assert!(done.status < 300, "{}", done.text);
    }
    desk.mails().await;
    ["known", "nobody", "suspended", "deleted", "invited"].map(|name| format!("{name}@example.org"))
}

// ------------------------------------------------------------------------------------------------ the flows

#[tokio::test(flavor = "multi_thread")]
async fn one_who_registers_proves_the_address_and_then_acts() {
    let desk = strict().await;
    let taken_in = ask(&desk, "register", &registration("Kim@Example.org"))
        .await
        .expect(202);
    assert_eq!(taken_in.text_of("/status"), "accepted");
    let first = desk.mailed_token("kim@example.org").await;

    let kim = log_in(&desk, "kim@example.org", PASSWORD).await.unwrap();
    let me = desk.get(&kim, "/api/v1/auth/me").await.expect(200);
    assert_eq!(
        (me.text_of("/status"), &me.json()["emailVerifiedAt"]),
        ("pending".into(), &Value::Null)
    );
    let ticket = json!({ "subject": "s", "description": "d" });
    desk.post(&kim, "/api/v1/tickets", &ticket)
        .await
        .problem(403, "auth.email_unverified");

    let again = as_caller(&desk, &kim, "resend-verification", &json!({}))
        .await
        .expect(202);
    assert_eq!(again.text, taken_in.text);
    let second = desk.mailed_token("kim@example.org").await;
    let verify = async |token: &str| ask(&desk, "verify-email", &json!({ "token": token })).await;
    verify(&first).await.problem(410, "auth.token_spent");
    assert_eq!(verify(&second).await.expect(204).text, "");
    verify(&second).await.problem(410, "auth.token_spent");

    // At once, in the session that there is.
    let _ = desk.post(&kim, "/api/v1/tickets", &ticket).await.expect(201);
    let me = desk.get(&kim, "/api/v1/auth/me").await;
    assert_eq!(me.text_of("/status"), "active");
    assert!(me.json()["emailVerifiedAt"].is_string());
    // Nothing is left to be proved.
    let _ = as_caller(&desk, &kim, "resend-verification", &json!({}))
        .await
        .expect(202);
    assert!(desk.mails().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_does_not_ask_for_proof_lets_people_act_at_once_and_mails_all_the_same() {
    let desk = TestDesk::start().await;
    let _ = ask(&desk, "register", &registration("kim@example.org"))
        .await
        .expect(202);
    let kim = log_in(&desk, "kim@example.org", PASSWORD).await.unwrap();
    desk.ticket(&kim, None).await;
    let token = desk.mailed_token("kim@example.org").await;
    let _ = ask(&desk, "verify-email", &json!({ "token": token }))
        .await
        .expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_got_back_by_mail_once() {
    let desk = TestDesk::start().await;
    let kim = desk.person("kim", Role::User).await;
    desk.database
        .batch("UPDATE users SET two_factor_enabled = true, two_factor_secret = 'sealed', totp_last_step = 7")
        .await;
    let _ = ask(&desk, "forgot-password", &json!({ "email": "Kim@example.org" }))
        .await
        .expect(202);
    let token = desk.mailed_token("kim@example.org").await;
    let reset = async |password: &str| {
        ask(
            &desk,
            "reset-password",
            &json!({ "token": token, "password": password }),
        )
        .await
    };
    let bad = reset("password123").await.expect(422);
    assert_eq!(bad.text_of("/errors/0/pointer"), "/password");
    assert_eq!(reset(NEW_PASSWORD).await.expect(204).text, "");
    reset(NEW_PASSWORD).await.problem(410, "auth.token_spent");
    desk.get(&kim, "/api/v1/auth/me")
        .await
        .problem(401, "auth.session_revoked");
    assert!(log_in(&desk, "kim@example.org", PASSWORD).await.is_err());
    let mails = desk.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].content, MailContent::PasswordChanged);
    let kept = desk
        .database
        .rows("SELECT two_factor_enabled::text, two_factor_secret, totp_last_step::text FROM users")
        .await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        kept,
        [[text("true"), text("sealed"), text("7")]],
        "the second factor stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_confirmed_and_the_old_one_told() {
    let desk = TestDesk::start().await;
    let kim = desk.person("kim", Role::User).await;
    let elsewhere = log_in(&desk, "kim@example.org", PASSWORD).await.unwrap();
    let before = desk.database.rows("SELECT users::text FROM users").await;
    for current in [json!(null), json!("wrong")] {
        let body = json!({ "email": "new@example.org", "currentPassword": current });
        as_caller(&desk, &kim, "change-email", &body)
            .await
            .problem(403, "auth.reauthentication_failed");
    }
    assert_eq!(desk.database.rows("SELECT users::text FROM users").await, before);
    let body = json!({ "email": "new@example.org", "currentPassword": PASSWORD });
    let _ = as_caller(&desk, &kim, "change-email", &body).await.expect(202);
    let token = desk.mailed_token("new@example.org").await;
    let _ = as_caller(&desk, &kim, "verify-email", &json!({ "token": token }))
        .await
        .expect(204);
    assert_eq!(
        desk.get(&kim, "/api/v1/auth/me").await.text_of("/email"),
        "new@example.org"
    );
    desk.get(&elsewhere, "/api/v1/auth/me")
        .await
        .problem(401, "auth.session_revoked");
    let mails = desk.mails().await;
    assert_eq!(
        (mails[0].to.as_str(), &mails[0].content),
        ("kim@example.org", &MailContent::EmailChanged)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_while_its_mail_is_under_way_is_refused_at_the_end() {
    let desk = TestDesk::start().await;
    let kim = desk.person("kim", Role::User).await;
    let body = json!({ "email": "new@example.org", "currentPassword": PASSWORD });
    let _ = as_caller(&desk, &kim, "change-email", &body).await.expect(202);
    let token = desk.mailed_token("new@example.org").await;
    desk.person("new", Role::User).await;
    ask(&desk, "verify-email", &json!({ "token": token }))
        .await
        .problem(409, "user.email_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed_by_one_who_knows_the_present_one() {
    let desk = TestDesk::start().await;
    let kim = desk.person("kim", Role::User).await;
    let elsewhere = log_in(&desk, "kim@example.org", PASSWORD).await.unwrap();
    let before = desk.database.rows("SELECT users::text FROM users").await;
    let change = async |current: Value, new: &str| {
        let body = json!({ "currentPassword": current, "newPassword": new });
        as_caller(&desk, &kim, "change-password", &body).await
    };
    for wrong in [json!(null), json!(""), json!("wrong"), json!("x".repeat(600))] {
        change(wrong, NEW_PASSWORD)
            .await
            .problem(403, "auth.reauthentication_failed");
    }
    let short = change(json!(PASSWORD), "short").await.expect(422);
    assert_eq!(short.text_of("/errors/0/pointer"), "/newPassword");
    assert_eq!(desk.database.rows("SELECT users::text FROM users").await, before);
    let _ = change(json!(PASSWORD), NEW_PASSWORD).await.expect(204);
    let _ = desk.get(&kim, "/api/v1/auth/me").await.expect(200);
    desk.get(&elsewhere, "/api/v1/auth/me")
        .await
        .problem(401, "auth.session_revoked");
    assert!(log_in(&desk, "kim@example.org", NEW_PASSWORD).await.is_ok());
    assert_eq!(desk.mails().await[0].content, MailContent::PasswordChanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_invited_chooses_a_password() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let body = json!({ "email": "kim@example.org", "name": "K", "role": "agent" });
    let made = desk.post(&admin, "/api/v1/users", &body).await.expect(201);
    assert_eq!(made.text_of("/status"), "pending");
    let first = desk.mailed_token("kim@example.org").await;
    for password in ["!", "", PASSWORD] {
        let refused = log_in(&desk, "kim@example.org", password).await.unwrap_err();
        refused.problem(401, "auth.invalid_credentials");
    }
    let path = format!("/api/v1/users/{}", made.text_of("/id"));
    let invite = format!("{path}/invite");
    let _ = desk.post(&admin, &invite, &json!({})).await.expect(202);
    let second = desk.mailed_token("kim@example.org").await;
    let accept = async |token: &str, password: &str| {
        let body = json!({ "token": token, "password": password, "name": "Kim" });
        ask(&desk, "accept-invitation", &body).await
    };
    accept(&first, NEW_PASSWORD)
        .await
        .problem(410, "auth.token_spent");
    let _ = accept(&second, "short").await.expect(422);
    let _ = accept(&second, NEW_PASSWORD).await.expect(204);
    let kim = log_in(&desk, "kim@example.org", NEW_PASSWORD).await.unwrap();
    let me = desk.get(&kim, "/api/v1/auth/me").await.expect(200);
    assert_eq!(
        (me.text_of("/name"), me.text_of("/status")),
        ("Kim".into(), "active".into())
    );
    assert!(me.json()["emailVerifiedAt"].is_string());
    desk.post(&admin, &invite, &json!({}))
        .await
        .problem(409, "user.not_invited");
    let _ = desk
        .post(&admin, &format!("{path}/send-password-reset"), &json!({}))
        .await
        .expect(202);
    desk.mailed_token("kim@example.org").await;
}

// ---------------------------------------------------------------------------------------- what strangers learn

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_tells_a_stranger_who_has_an_account() {
    let desk = TestDesk::start().await;
    let addresses = cast(&desk).await;
    let kim = desk.person("kim", Role::User).await;
    let rows = async || {
        let (tokens, events) = (
            "SELECT count(*) FROM one_time_tokens",
            "SELECT count(*) FROM outbox",
        );
        (
            desk.database.number(tokens).await,
            desk.database.number(events).await,
        )
    };
    for operation in [
        "forgot-password",
        "resend-verification",
        "change-email",
        "register",
    ] {
        let mut answers = Vec::new();
        let mut written = Vec::new();
        for address in &addresses {
            let before = rows().await;
            let reply = match operation {
                "register" => ask(&desk, operation, &registration(address)).await,
                "change-email" => {
                    let body = json!({ "email": address, "currentPassword": PASSWORD });
                    as_caller(&desk, &kim, operation, &body).await
                }
                _ => ask(&desk, operation, &json!({ "email": address })).await,
            };
            let after = rows().await;
            answers.push(comparable(&reply));
            written.push(after.0 - before.0);
            assert!(after.1 > before.1, "{operation} {address}: an event in any case");
        }
        assert_eq!(answers[0].0, 202, "{:?}", answers[0]);
        for (address, answer) in addresses.iter().zip(&answers) {
            assert_eq!(*answer, answers[0], "{operation} {address}");
        }
        assert_eq!(written, [1; 5], "{operation}: one token in any case");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_to_those_alone_whom_it_concerns() {
    let desk = TestDesk::start().await;
    let addresses = cast(&desk).await;
    for address in &addresses {
        let _ = ask(&desk, "forgot-password", &json!({ "email": address }))
            .await
            .expect(202);
    }
    let mut to: Vec<String> = desk
        .mails()
        .await
        .into_iter()
        .map(|mail| mail.to.to_string())
        .collect();
    to.sort();
    assert_eq!(to, ["invited@example.org", "known@example.org"]);
    for address in &addresses {
        let _ = ask(&desk, "register", &registration(address)).await.expect(202);
    }
    let mails = desk.mails().await;
    let of = |address: &str| {
        mails
            .iter()
            .find(|mail| mail.to.as_str() == address)
            .map(|mail| &mail.content)
    };
    assert_eq!(of("known@example.org"), Some(&MailContent::AlreadyRegistered));
    assert!(matches!(
        of("nobody@example.org"),
        Some(MailContent::VerifyEmail { .. })
    ));
    assert_eq!(of("deleted@example.org"), None);
    // However often they are asked for.
    let mut sent = 0;
    for _ in 0..6 {
        let _ = ask(&desk, "forgot-password", &json!({ "email": "known@example.org" }))
            .await
            .expect(202);
        sent += desk.mails().await.len();
    }
    assert_eq!(sent, 2, "three in an hour, with the one before");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_says_of_its_host_gets_into_no_mail() {
    let desk = TestDesk::start().await;
    desk.person("kim", Role::User).await;
    let body = json!({ "email": "kim@example.org" });
    let forged = desk
        .request("POST", "/api/v1/auth/forgot-password")
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example")
        .header("origin", "https://evil.example")
        .json(&body)
        .send()
        .await
        .expect(202);
    assert!(!forged.text.contains("evil"));
    let mails = desk.mails().await;
    assert!(matches!(mails[0].content, MailContent::ResetPassword { .. }));
    assert!(!format!("{mails:?}").contains("evil"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_is_refused_and_never_matches() {
    let desk = TestDesk::start().await;
    desk.person("kim", Role::User).await;
    let _ = ask(&desk, "forgot-password", &json!({ "email": "kim@example.org" }))
        .await
        .expect(202);
    let token = desk.mailed_token("kim@example.org").await;
    let sha256 = desk
        .database
        .rows("SELECT token_sha256, id::text FROM one_time_tokens")
        .await;
    let at_rest: Vec<String> = sha256.concat().into_iter().flatten().collect();
    let mut odd = vec!["%", "_", "*", "", " ", "\0", "' OR ''='", "%25", "*%_"];
    odd.extend(at_rest.iter().map(String::as_str));
    for odd in odd {
        for (operation, body) in [
            ("verify-email", json!({ "token": odd })),
            (
                "reset-password",
                json!({ "token": odd, "password": NEW_PASSWORD }),
            ),
            (
                "accept-invitation",
                json!({ "token": odd, "password": NEW_PASSWORD }),
            ),
        ] {
            let reply = ask(&desk, operation, &body).await;
            assert!(
                [400, 404, 422].contains(&reply.status),
                "{operation} {odd:?}: {}",
                reply.text
            );
        }
    }
    for odd in [
        json!([token]),
        json!({ "eq": token }),
        json!(null),
        json!(true),
        json!(["%"]),
    ] {
        let body = json!({ "token": odd, "password": NEW_PASSWORD });
        let reply = ask(&desk, "reset-password", &body).await;
        assert_eq!(reply.status, 422, "{}", reply.text);
    }
    // Of another kind than the operation's.
    ask(&desk, "verify-email", &json!({ "token": token }))
        .await
        .problem(404, "auth.token_unknown");
    let body = json!({ "token": token, "password": NEW_PASSWORD });
    ask(&desk, "accept-invitation", &body)
        .await
        .problem(404, "auth.token_unknown");
    let _ = ask(&desk, "reset-password", &body).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_who_use_a_link_at_once_one_succeeds() {
    let desk = strict().await;
    let _ = ask(&desk, "register", &registration("kim@example.org"))
        .await
        .expect(202);
    let token = desk.mailed_token("kim@example.org").await;
    let body = json!({ "token": token });
    let mut replies = Vec::new();
    for _ in 0..10 {
        replies.extend(join_all((0..100).map(|_| ask(&desk, "verify-email", &body))).await);
    }
    let succeeded = replies.iter().filter(|reply| reply.status == 204).count();
    let refused = replies.iter().filter(|reply| reply.status == 410).count();
    let busy = replies.iter().filter(|reply| reply.status == 503).count();
    assert_eq!((succeeded, refused + busy), (1, 999));
    assert_eq!(
        desk.database
            .number("SELECT count(*) FROM outbox WHERE kind = 'user.email_verified'")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_could_be_used_lies_in_the_database() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let mut secrets = vec![PASSWORD.to_owned(), NEW_PASSWORD.to_owned()];
    let _ = ask(&desk, "register", &registration("kim@example.org"))
        .await
        .expect(202);
    secrets.push(desk.mailed_token("kim@example.org").await);
    let _ = ask(&desk, "forgot-password", &json!({ "email": "kim@example.org" }))
        .await
        .expect(202);
    let reset = desk.mailed_token("kim@example.org").await;
    let body = json!({ "token": reset, "password": NEW_PASSWORD });
    let _ = ask(&desk, "reset-password", &body).await.expect(204);
    secrets.push(reset);
    let invitation = json!({ "email": "ann@example.org", "name": "A", "role": "agent" });
    let made = desk
        .request("POST", "/api/v1/users")
        .by(&admin)
        .header("idempotency-key", "invite-ann")
        .json(&invitation)
        .send()
        .await;
    let _ = made.expect(201);
    secrets.push(desk.mailed_token("ann@example.org").await);
    let body = json!({ "email": "new@example.org", "currentPassword": PASSWORD });
    let _ = as_caller(&desk, &admin, "change-email", &body).await.expect(202);
    secrets.push(desk.mailed_token("new@example.org").await);

    let tables = desk
        .database
        .rows("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
        .await;
    let mut rows = 0;
    for table in tables.concat().into_iter().flatten() {
        for row in desk
            .database
            .rows(&format!("SELECT t::text FROM {table} t"))
            .await
        {
            let text = row.concat_text();
            rows += 1;
            for secret in &secrets {
                assert!(!text.contains(secret), "{table} has {secret}: {text}");
            }
        }
    }
    assert!(rows > 10, "there was something to look at: {rows}");
}

/// The texts of a row.
trait RowText {
    fn concat_text(&self) -> String;
}

impl RowText for Vec<Option<String>> {
    fn concat_text(&self) -> String {
        self.iter().flatten().cloned().collect()
    }
}

// -------------------------------------------------------------------------------------------- administrators

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_suspends_and_activates_with_a_key_and_a_version() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::User).await;
    let path = format!("/api/v1/users/{}", kim.id);
    let tag = desk.get(&admin, &path).await.expect(200).header("etag");
    let suspend = async |key: &'static str, tag: &str| {
        desk.request("POST", &format!("{path}/suspend"))
            .by(&admin)
            .header("idempotency-key", key)
            .header("if-match", tag)
            .json(&json!({}))
            .send()
            .await
    };
    let suspended = suspend("one", &tag).await.expect(200);
    assert_eq!(suspended.text_of("/status"), "suspended");
    let again = suspend("one", &tag).await.expect(200);
    assert_eq!(
        (again.text, again.headers.get("idempotency-replayed").is_some()),
        (suspended.text, true)
    );
    suspend("two", &tag).await.problem(412, "request.stale");
    desk.get(&kim, "/api/v1/auth/me")
        .await
        .problem(401, "auth.session_revoked");
    let active = desk
        .post(&admin, &format!("{path}/activate"), &json!({}))
        .await
        .expect(200);
    assert_eq!(active.text_of("/status"), "active");
    desk.log_in("kim@example.org").await;
    let own = format!("/api/v1/users/{}/suspend", admin.id);
    desk.post(&admin, &own, &json!({}))
        .await
        .problem(409, "user.own_account");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_suspend_each_other_at_once_never_leave_the_desk_without_one() {
    let desk = TestDesk::start().await;
    let (ada, bob) = (
        desk.person("ada", Role::Admin).await,
        desk.person("bob", Role::Admin).await,
    );
    let root = kernel::Actor::Person(kernel::Person {
        id: UserId(uuid::Uuid::nil()),
        role: Role::Admin,
        teams: vec![],
        origin: None,
    });
    let set = async |id, status| {
        let accounts = &desk.desk.accounts;
        accounts
            .set_status(&root, id, status, None, &kernel::receipt::no_receipt)
            .await
    };
    let acting =
        "SELECT count(*) FROM users WHERE role = 'admin' AND status = 'active' AND deleted_at IS NULL";
    for _ in 0..200 {
        let suspended = UserStatus::Suspended;
        let (one, two) = tokio::join!(set(ada.id, suspended), set(bob.id, suspended));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        assert_eq!(desk.database.number(acting).await, 1);
        for id in [ada.id, bob.id] {
            set(id, UserStatus::Active).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymised_account_leaves_its_tickets_and_nothing_of_its_owner() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kimberley", Role::User).await;
    let ticket = desk.ticket(&kim, None).await;
    let _ = ask(
        &desk,
        "forgot-password",
        &json!({ "email": "kimberley@example.org" }),
    )
    .await
    .expect(202);
    let token = desk.mailed_token("kimberley@example.org").await;
    let path = format!("/api/v1/users/{}", kim.id);
    let anonymize = async |path: &str, password: &str| {
        let body = json!({ "currentPassword": password });
        desk.post(&admin, &format!("{path}/anonymize"), &body).await
    };
    anonymize(&path, "wrong")
        .await
        .problem(403, "auth.reauthentication_failed");
    let _ = desk.get(&kim, "/api/v1/auth/me").await.expect(200);
    let _ = anonymize(&path, PASSWORD).await.expect(204);

    let shown = desk
        .get(&admin, &format!("{path}?includeDeleted=true"))
        .await
        .expect(200);
    assert_eq!(shown.text_of("/name"), "Deleted user");
    assert_eq!(
        shown.text_of("/email"),
        format!("anonymous-{}@deleted.invalid", kim.id)
    );
    assert!(shown.json()["deletedAt"].is_string());
    for table in ["users", "sessions", "one_time_tokens", "team_members"] {
        for row in desk
            .database
            .rows(&format!("SELECT t::text FROM {table} t"))
            .await
        {
            assert!(!row.concat_text().contains("kimberley"), "{table}: {row:?}");
        }
    }
    let clients = "SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.deleted_at IS NOT NULL \
                   AND (s.ip_address IS NOT NULL OR s.user_agent IS NOT NULL OR s.revoked_at IS NULL)";
    assert_eq!(desk.database.number(clients).await, 0);
    desk.get(&kim, "/api/v1/auth/me")
        .await
        .problem(401, "auth.session_revoked");
    let body = json!({ "token": token, "password": NEW_PASSWORD });
    ask(&desk, "reset-password", &body)
        .await
        .problem(404, "auth.token_unknown");

    let kept = desk.get(&admin, &ticket).await.expect(200);
    assert_eq!(kept.text_of("/createdById"), kim.id.to_string());
    anonymize(&path, PASSWORD).await.problem(409, "user.anonymized");
    desk.post(&admin, &format!("{path}/restore"), &json!({}))
        .await
        .problem(409, "user.anonymized");
    let _ = ask(&desk, "register", &registration("kimberley@example.org"))
        .await
        .expect(202);
    assert!(
        log_in(&desk, "kimberley@example.org", PASSWORD).await.is_ok(),
        "the address is free"
    );

    let bob = desk.person("bob", Role::Admin).await;
    let of = |id: UserId| format!("/api/v1/users/{id}");
    anonymize(&of(bob.id), PASSWORD)
        .await
        .problem(409, "user.acting_admin");
    anonymize(&of(admin.id), PASSWORD)
        .await
        .problem(409, "user.own_account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_person_gets_no_link_from_an_admin_either() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::User).await;
    let path = format!("/api/v1/users/{}", kim.id);
    let _ = desk
        .post(&admin, &format!("{path}/suspend"), &json!({}))
        .await
        .expect(200);
    desk.post(&admin, &format!("{path}/send-password-reset"), &json!({}))
        .await
        .problem(409, "user.suspended");
}
