//! How often the API can be called: counted by all nodes together, and by who really calls.

use std::time::Duration;

use desk::app::{Caller, Reply, TestDesk};
use desk::database::test_database;
use futures_util::future::join_all;
use http::rate::RateSettings;
use kernel::{Rate, Role};
use serde_json::json;
use server::config::Config;

fn configured(rates: RateSettings) -> Config {
    Config {
        rates,
        ..Config::default()
    }
}

/// Two nodes of one desk, with these rates and none else.
async fn two_nodes(rates: RateSettings) -> [TestDesk; 2] {
    let one = TestDesk::start_configured(test_database().await, configured(rates)).await;
    let other = TestDesk::start_configured(one.database.clone(), configured(rates)).await;
    [one, other]
}

async fn fail_to_log_in(desk: &TestDesk, forwarded: &str) -> Reply {
    let body = json!({ "email": "nobody@example.org", "password": "wrong wrong wrong" });
    desk.request("POST", "/api/v1/auth/login")
        .header("x-forwarded-for", forwarded)
        .json(&body)
        .send()
        .await
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

async fn show_me(desk: &TestDesk, caller: &Caller) -> Reply {
    desk.get(caller, "/api/v1/auth/me").await
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_the_limit_of_logins() {
    let rates = RateSettings {
        login_per_address: Rate::new(6, std::time::Duration::from_secs(3_600)),
        ..RateSettings::lifted()
    };
    let nodes = two_nodes(rates).await;
    let logins = (0..16).map(|n| fail_to_log_in(&nodes[n % 2], "203.0.113.1"));
    let replies = join_all(logins).await;
    assert_eq!((count(&replies, 401), count(&replies, 429)), (6, 10));
    let refused = fail_to_log_in(&nodes[0], "203.0.113.1").await;
    refused.problem(429, "request.rate_limited");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() <= 600);
    assert_eq!(refused.header("ratelimit-policy"), "\"login\";q=6;w=3600");
    assert!(refused.header("ratelimit").starts_with("\"login\";r=0;t="));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_address_resets_no_limit_unless_a_trusted_proxy_names_it() {
    let rates = RateSettings {
        login_per_address: Rate::new(2, std::time::Duration::from_secs(3_600)),
        ..RateSettings::lifted()
    };
    let direct = TestDesk::start_configured(test_database().await, configured(rates)).await;
    for n in 0..6 {
        let reply = fail_to_log_in(&direct, &format!("198.51.100.{n}")).await;
        assert_eq!(reply.status, if n < 2 { 401 } else { 429 }, "{n}");
    }

    // Behind a proxy that is trusted, its word counts, and nothing that the client put before it.
    let behind = Config {
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        ..configured(rates)
    };
    let behind = TestDesk::start_configured(test_database().await, behind).await;
    for n in 0..6 {
        let honest = fail_to_log_in(&behind, &format!("203.0.113.{n}")).await;
        assert_eq!(honest.status, 401, "each client has its own");
    }
    for n in 0..6 {
        let forged = fail_to_log_in(&behind, &format!("198.51.100.{n}, 203.0.113.200")).await;
        assert_eq!(forged.status, if n < 2 { 401 } else { 429 }, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_requests_are_counted_on_all_nodes_for_few_statements() {
    let rates = RateSettings {
        caller: Rate::new(200, std::time::Duration::from_secs(3_600)),
        ..RateSettings::lifted()
    };
    let [one, other] = two_nodes(rates).await;
    one.database
        .batch(
            "CREATE TABLE takes (n bigint); \
             CREATE FUNCTION count_take() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
               $$ BEGIN INSERT INTO public.takes VALUES (1); RETURN NULL; END $$; \
             CREATE TRIGGER count_take AFTER INSERT ON rate_buckets FOR EACH STATEMENT EXECUTE FUNCTION count_take()",
        )
        .await;
    let (ann, bob) = (
        one.person("ann", Role::User).await,
        one.person("bob", Role::User).await,
    );
    for _ in 0..100 {
        let _ = show_me(&one, &ann).await.expect(200);
    }
    let takes = one.database.number("SELECT count(*) FROM takes").await;
    // 1, 2, 4, 8 and then 10 tokens at a time, and again from 1 on if five seconds went by.
    assert!((1..=30).contains(&takes), "{takes} statements for 100 requests");

    let mut passed = 100;
    for n in 0..200 {
        let reply = show_me(if n % 2 == 0 { &one } else { &other }, &ann).await;
        match reply.status {
            200 => passed += 1,
            _ => reply.problem(429, "request.rate_limited"),
        }
    }
    assert!((180..=201).contains(&passed), "{passed} of 200 passed");
    let reply = show_me(&other, &bob).await.expect(200);
    assert_eq!(reply.header("ratelimit-policy"), "\"caller\";q=200;w=3600");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_opens_so_many_tickets_and_still_reads_them() {
    let rates = RateSettings {
        tickets_per_caller: Rate::new(3, std::time::Duration::from_secs(3_600)),
        ..RateSettings::lifted()
    };
    let desk = TestDesk::start_configured(test_database().await, configured(rates)).await;
    let customer = desk.person("cus", Role::User).await;
    let body = json!({ "subject": "Again", "description": "and again" });
    for n in 0..5 {
        let reply = desk.post(&customer, "/api/v1/tickets", &body).await;
        assert_eq!(reply.status, if n < 3 { 201 } else { 429 }, "{}", reply.text);
    }
    let listed = desk.get(&customer, "/api/v1/tickets").await.expect(200);
    assert_eq!(listed.json()["data"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_counted_is_shut_to_strangers_and_open_to_callers() {
    let rates = RateSettings {
        login_per_address: Rate::per_minute(100),
        caller: Rate::per_minute(100),
        ..RateSettings::lifted()
    };
    let desk = TestDesk::start_configured(test_database().await, configured(rates)).await;
    let customer = desk.person("cus", Role::User).await;
    desk.database
        .batch("ALTER TABLE rate_buckets RENAME TO rate_buckets_away")
        .await;
    fail_to_log_in(&desk, "203.0.113.1")
        .await
        .problem(503, "server.unavailable");
    let _ = show_me(&desk, &customer).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_gate_of_strangers_shuts_by_itself() {
    type Set = fn(&mut RateSettings, Option<Rate>);
    let gates: [(&str, Set, &str, &str, &str); 7] = [
        (
            "login",
            |rates, rate| rates.login_per_address = rate,
            "POST",
            "login",
            r#"{"email":"a@b.example","password":"x"}"#,
        ),
        (
            "register",
            |rates, rate| rates.register_per_address = rate,
            "POST",
            "register",
            r#"{"email":"a@b.example","name":"A","password":"seven purple lanterns"}"#,
        ),
        (
            "refresh",
            |rates, rate| rates.refresh_per_address = rate,
            "POST",
            "refresh",
            r#"{"refreshToken":"x"}"#,
        ),
        (
            "setup",
            |rates, rate| rates.setup_per_address = rate,
            "POST",
            "setup",
            r#"{"token":"x","email":"a@b.example","name":"A","password":"seven purple lanterns"}"#,
        ),
        (
            "mailed-links",
            |rates, rate| rates.mailed_links_per_address = rate,
            "POST",
            "forgot-password",
            r#"{"email":"a@b.example"}"#,
        ),
        (
            "verify-code",
            |rates, rate| rates.verify_code_per_address = rate,
            "POST",
            "2fa/verify",
            r#"{"challenge":"x","code":"123456"}"#,
        ),
        (
            "sign-on",
            |rates, rate| rates.sign_on_per_address = rate,
            "POST",
            "sso/exchange",
            r#"{"code":"x"}"#,
        ),
    ];
    for (name, set, method, path, body) in gates {
        let two_an_hour = Rate::new(2, Duration::from_secs(3_600));
        let desk = TestDesk::start_with(|config| set(&mut config.rates, two_an_hour)).await;
        for _ in 0..2 {
            let reply = desk
                .request(method, &format!("/api/v1/auth/{path}"))
                .raw(body)
                .send()
                .await;
            assert_ne!(reply.status, 429, "{name}: {}", reply.text);
            assert_eq!(reply.header("ratelimit-policy"), format!("\"{name}\";q=2;w=3600"));
        }
        let reply = desk
            .request(method, &format!("/api/v1/auth/{path}"))
            .raw(body)
            .send()
            .await;
        reply.problem(429, "request.rate_limited");
        assert!(
            reply
                .header("retry-after")
                .parse::<u32>()
                .is_ok_and(|secs| secs > 0),
            "{name}"
        );
    }
}

/// Ticket numbers are easily guessed: nothing is found so, and soon nobody is let guess on.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_numbers_finds_nothing_and_is_stopped() {
    let rates = RateSettings {
        caller: Rate::new(50, Duration::from_secs(3_600)),
        ..RateSettings::lifted()
    };
    let desk = TestDesk::start_configured(test_database().await, configured(rates)).await;
    let owner = desk.person("own", Role::User).await;
    let stranger = desk.person("str", Role::User).await;
    for _ in 0..10 {
        let _ = desk.ticket(&owner, None).await;
    }
    let mut replies = Vec::new();
    for number in 1..=80 {
        replies.push(
            desk.get(&stranger, &format!("/api/v1/tickets/TKT-{number:05}"))
                .await,
        );
    }
    let (guesses, stopped) = replies.split_at(replies.iter().position(|reply| reply.status == 429).unwrap());
    assert!(guesses.len() <= 50, "{}", guesses.len());
    guesses
        .iter()
        .for_each(|reply| reply.problem(404, "ticket.not_found"));
    for reply in stopped {
        reply.problem(429, "request.rate_limited");
        assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    }
}
