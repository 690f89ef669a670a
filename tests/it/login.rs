//! Logging in and staying in: guesses are slowed where they come from, tokens change hands once, sessions end in time.

use std::sync::Arc;

use chrono::Duration;
use credentials::SystemClock;
use desk::app::{PASSWORD, Reply, TestDesk, lifted};
use desk::database::test_database;
use futures_util::future::{join, join_all};
use kernel::{Clock, ManualClock, Role};
use serde_json::{Value, json};
use server::config::Config;

/// How often two clients are made to refresh at once.
const RACES: usize = 100;

/// A desk that slows guesses down and believes a proxy on this machine.
async fn guarded_desk() -> TestDesk {
    let config = Config {
        throttle: Config::default().throttle,
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        ..lifted()
    };
    TestDesk::start_as(test_database().await, config, Arc::new(SystemClock)).await
}

async fn still_desk() -> (TestDesk, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let desk = TestDesk::start_as(test_database().await, lifted(), clock.clone()).await;
    (desk, clock)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_hears_within_three_seconds_that_an_access_is_lost() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let one = TestDesk::start_as(test_database().await, lifted(), clock.clone()).await;
    let other = TestDesk::start_as(one.database.clone(), lifted(), clock.clone()).await;
    let admin = one.person("ada", Role::Admin).await;
    let kim = one.person("kim", Role::Agent).await;
    let _ = other.get(&kim, "/api/v1/auth/me").await.expect(200);
    let body = json!({ "status": "suspended" });
    let _ = one
        .patch(&admin, &format!("/api/v1/users/{}", kim.id), &body)
        .await
        .expect(200);
    let here = one.get(&kim, "/api/v1/auth/me").await;
    here.problem(401, "auth.session_revoked");
    clock.advance(Duration::seconds(3));
    let there = other.get(&kim, "/api/v1/auth/me").await;
    there.problem(401, "auth.session_revoked");
}

async fn log_in(desk: &TestDesk, email: &str, password: &str, from: &str) -> Reply {
    desk.request("POST", "/api/v1/auth/login")
        .header("x-forwarded-for", from)
        .json(&json!({ "email": email, "password": password }))
        .send()
        .await
}

async fn refresh(desk: &TestDesk, token: &str) -> Reply {
    desk.request("POST", "/api/v1/auth/refresh")
        .json(&json!({ "refreshToken": token }))
        .send()
        .await
}

async fn signed_in(desk: &TestDesk, name: &str) -> Value {
    let email = format!("{name}@example.org");
    log_in(desk, &email, PASSWORD, "192.0.2.1")
        .await
        .expect(200)
        .json()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_guesses_at_once_are_ten_and_others_are_let_in() {
    let desk = guarded_desk().await;
    desk.person("robin", Role::User).await;
    desk.person("kim", Role::User).await;
    for email in ["robin@example.org", "nobody@example.org"] {
        let guesses = (0..50).map(|n| format!("guess number {n}"));
        let replies = join_all(guesses.map(|guess| {
            let desk = &desk;
            async move { log_in(desk, email, &guess, "203.0.113.1").await }
        }))
        .await;
        let looked_at = replies.iter().filter(|reply| reply.status == 401).count();
        // A slow machine grants a few more meanwhile: one for every six seconds.
        assert!((10..=15).contains(&looked_at), "{email}: {looked_at}");
        for reply in replies.iter().filter(|reply| reply.status != 401) {
            reply.problem(429, "request.rate_limited");
            let wait: u32 = reply.header("retry-after").parse().unwrap();
            assert!((1..=6).contains(&wait), "{wait}");
        }
    }
    let _ = log_in(&desk, "robin@example.org", PASSWORD, "203.0.113.2")
        .await
        .expect(200);
    let _ = log_in(&desk, "kim@example.org", PASSWORD, "203.0.113.1")
        .await
        .expect(200);
    let refused = "SELECT DISTINCT payload -> 'data' ->> 'reason' FROM outbox WHERE kind = 'session.refused' ORDER BY 1";
    let reasons: Vec<_> = desk
        .database
        .rows(refused)
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert_eq!(reasons, ["password", "rate", "unknown"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_and_a_wrong_password_are_answered_alike() {
    let desk = guarded_desk().await;
    desk.person("robin", Role::User).await;
    let answer = async |email: &str, from: &str| {
        let reply = log_in(&desk, email, "another password", from).await;
        let mut body = reply.json();
        body["requestId"] = Value::Null;
        let mut names: Vec<String> = reply
            .headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        names.sort();
        (reply.status, names, body)
    };
    for from in ["203.0.113.1", "203.0.113.2"] {
        for _ in 0..10 {
            assert_eq!(
                answer("robin@example.org", from).await,
                answer("nobody@example.org", from).await
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_login_and_refresh_gives_other_tokens_and_an_old_one_ends_the_session() {
    let (desk, clock) = still_desk().await;
    desk.person("robin", Role::User).await;
    let (first, other) = (signed_in(&desk, "robin").await, signed_in(&desk, "robin").await);
    for name in ["accessToken", "refreshToken"] {
        assert_ne!(first[name], other[name]);
    }
    clock.advance(Duration::seconds(1));
    let second = refresh(&desk, &text(&first, "refreshToken"))
        .await
        .expect(200)
        .json();
    for name in ["accessToken", "refreshToken"] {
        assert_ne!(first[name], second[name]);
    }
    clock.advance(Duration::seconds(11));
    refresh(&desk, &text(&first, "refreshToken"))
        .await
        .problem(401, "auth.session_revoked");
    refresh(&desk, &text(&second, "refreshToken"))
        .await
        .problem(401, "auth.session_revoked");
    let bearer = format!("Bearer {}", text(&second, "accessToken"));
    let me = desk
        .request("GET", "/api/v1/auth/me")
        .header("authorization", &bearer);
    me.send().await.problem(401, "auth.session_revoked");
    let _ = refresh(&desk, &text(&other, "refreshToken")).await.expect(200);
    let facts =
        "SELECT kind FROM outbox WHERE kind IN ('session.reuse_detected', 'session.ended') ORDER BY kind";
    let kinds: Vec<_> = desk
        .database
        .rows(facts)
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert_eq!(kinds, ["session.ended", "session.reuse_detected"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_that_refresh_at_once_are_not_logged_out() {
    let (desk, _clock) = still_desk().await;
    desk.person("robin", Role::User).await;
    let mut token = text(&signed_in(&desk, "robin").await, "refreshToken");
    for _ in 0..RACES {
        let (one, other) = join(refresh(&desk, &token), refresh(&desk, &token)).await;
        let (one, other) = (one.expect(200), other.expect(200));
        token = one.text_of("/refreshToken");
        assert_eq!(
            token,
            other.text_of("/refreshToken"),
            "both have the one successor"
        );
    }
    let _ = refresh(&desk, &token).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_is_idle_and_in_the_end_however_it_is_used() {
    let (desk, clock) = still_desk().await;
    desk.person("robin", Role::User).await;
    let idle = text(&signed_in(&desk, "robin").await, "refreshToken");
    let mut used = text(&signed_in(&desk, "robin").await, "refreshToken");
    for _ in 0..2 {
        clock.advance(Duration::days(15));
        used = refresh(&desk, &used).await.expect(200).text_of("/refreshToken");
    }
    refresh(&desk, &idle).await.problem(401, "auth.token_expired");
    for _ in 0..3 {
        clock.advance(Duration::days(15));
        used = refresh(&desk, &used).await.expect(200).text_of("/refreshToken");
    }
    clock.advance(Duration::days(15));
    refresh(&desk, &used).await.problem(401, "auth.token_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_is_told_of() {
    let (desk, _clock) = still_desk().await;
    let robin = desk.person("robin", Role::User).await;
    let other = signed_in(&desk, "robin").await;
    let _ = desk
        .post(&robin, "/api/v1/auth/logout", &json!({}))
        .await
        .expect(204);
    let bearer = format!("Bearer {}", text(&other, "accessToken"));
    let _ = desk
        .request("POST", "/api/v1/auth/logout-all")
        .header("authorization", &bearer)
        .send()
        .await
        .expect(204);
    let facts = "SELECT (payload -> 'data' -> 'session' = 'null')::text FROM outbox WHERE kind = 'session.ended' \
                 ORDER BY 1";
    let all: Vec<_> = desk
        .database
        .rows(facts)
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert_eq!(all, ["false", "true"]);
}
