//! Single sign-on, from the first address to the session, with a provider on this machine.

use std::collections::HashSet;

use credentials::SystemClock;
use desk::app::{Caller, PASSWORD, Reply, TestDesk};
use futures_util::future::join_all;
use kernel::{Clock as _, Role, TeamRole};
use openid::testing::{CLIENT_ID, CLIENT_SECRET, Script, Signing, TestProvider};
use serde_json::{Value, json};
use server::config::{OpenIdConfig, Secret};

const RETURN_TO: &str = "https://front.example.com/signed-on";

struct World {
    desk: TestDesk,
    provider: TestProvider,
    start: String,
}

/// A sign-on that went through the provider: what the browser kept, and where the provider sends it.
struct Visit {
    cookie: String,
    code: String,
    state: String,
}

async fn world_with(change: impl FnOnce(&mut OpenIdConfig)) -> World {
    let provider = TestProvider::start(SystemClock.now().timestamp(), Some(CLIENT_SECRET)).await;
    let mut oidc = OpenIdConfig {
        issuer: Some(provider.issuer.clone()),
        client_id: Some(CLIENT_ID.to_owned()),
        client_secret: Some(Secret::new(CLIENT_SECRET)),
        name: Some("Example Inc.".to_owned()),
        return_urls: vec![RETURN_TO.to_owned()],
        ..OpenIdConfig::default()
    };
    change(&mut oidc);
    let desk = TestDesk::start_with(|config| {
        config.public_url = Some("https://desk.example.com".to_owned());
        config.oidc = oidc;
    })
    .await;
    let listed = desk.request("GET", "/api/v1/auth/sso").send().await.expect(200);
    assert_eq!(listed.text_of("/data/0/name"), "Example Inc.");
    let start = listed.text_of("/data/0/startUrl");
    World {
        desk,
        provider,
        start,
    }
}

async fn world() -> World {
    world_with(|_| {}).await
}

async fn world_with_roles() -> World {
    world_with(|oidc| {
        oidc.role_claim = Some("realm_access.roles".to_owned());
        oidc.admin_values = vec!["desk-admins".to_owned()];
        oidc.agent_values = vec!["support".to_owned()];
    })
    .await
}

fn person(name: &str) -> Value {
    json!({"sub": name, "email": format!("{name}@example.org"), "email_verified": true, "name": name})
}

fn person_with(name: &str, roles: &[&str]) -> Value {
    let mut person = person(name);
    person["realm_access"] = json!({ "roles": roles });
    person
}

impl World {
    async fn visit(&self, return_to: Option<&str>) -> Visit {
        let query = return_to.map(|to| format!("?returnTo={to}")).unwrap_or_default();
        let path = format!("{}{query}", self.start);
        let sent = self.desk.request("GET", &path).send().await.expect(302);
        let cookie = sent.header("set-cookie");
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-insightdesk-sso="), "{cookie}");
        assert_eq!(attributes, "Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax");
        let (code, state) = self.provider.visit(&sent.header("location"));
        Visit {
            cookie: pair.to_owned(),
            code,
            state,
        }
    }

    async fn come_back(&self, query: &str, cookie: &str) -> Reply {
        let path = format!("/api/v1/auth/sso/callback?{query}");
        let request = self.desk.request("GET", &path);
        if cookie.is_empty() {
            request.send().await
        } else {
            request.header("cookie", cookie).send().await
        }
    }

    async fn finish(&self, visit: &Visit) -> Reply {
        let query = format!("code={}&state={}", visit.code, visit.state);
        self.come_back(&query, &visit.cookie).await
    }

    async fn sign_on(&self, person: Value) -> Reply {
        self.provider.be(person);
        let visit = self.visit(None).await;
        self.finish(&visit).await
    }

    async fn caller(&self, person: Value) -> Caller {
        let reply = self.sign_on(person).await.expect(200);
        caller(&reply)
    }

    async fn verify(&self, name: &str) {
        let sql = format!("UPDATE users SET email_verified_at = now() WHERE email = '{name}@example.org'");
        self.desk.database.batch(&sql).await;
    }

    async fn sessions(&self) -> i64 {
        self.desk.database.number("SELECT count(*) FROM sessions").await
    }
}

fn caller(reply: &Reply) -> Caller {
    Caller {
        id: reply.text_of("/user/id").parse().map(kernel::UserId).unwrap(),
        role: Role::parse(&reply.text_of("/user/role")).unwrap(),
        token: reply.text_of("/accessToken"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_new_signs_on_and_has_an_account_a_session_and_no_password() {
    let world = world().await;
    let reply = world.sign_on(person("ann")).await.expect(200);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(reply.text_of("/user/role"), "user");
    assert!(
        reply.json()["user"]["emailVerifiedAt"].is_string(),
        "{}",
        reply.text
    );
    let ann = caller(&reply);
    let me = world.desk.get(&ann, "/api/v1/auth/me").await.expect(200);
    assert_eq!(me.text_of("/email"), "ann@example.org");
    let refresh = json!({"refreshToken": reply.text_of("/refreshToken")});
    let _ = world
        .desk
        .request("POST", "/api/v1/auth/refresh")
        .json(&refresh)
        .send()
        .await
        .expect(200);
    for password in ["!", PASSWORD] {
        let body = json!({"email": "ann@example.org", "password": password});
        let login = world
            .desk
            .request("POST", "/api/v1/auth/login")
            .json(&body)
            .send()
            .await;
        login.problem(401, "auth.invalid_credentials");
    }
    let again = world
        .caller(json!({"sub": "ann", "email": "new@example.org"}))
        .await;
    assert_eq!(again.id, ann.id, "the subject counts, not the address");
    let facts = world
        .desk
        .database
        .rows("SELECT kind FROM outbox ORDER BY position")
        .await;
    let facts: Vec<_> = facts.into_iter().flatten().flatten().collect();
    assert_eq!(
        facts,
        [
            "user.created",
            "user.email_verified",
            "user.sign_on_linked",
            "session.began",
            "session.refused",
            "session.refused",
            "session.began",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_on_ends_once_and_in_the_browser_that_began_it() {
    let world = world().await;
    world.provider.be(person("ann"));
    let (visit, other) = (world.visit(None).await, world.visit(None).await);
    let query = format!("code={}&state={}", visit.code, visit.state);
    let reply = world.come_back(&query, &other.cookie).await;
    reply.problem(401, "auth.sign_on_expired");
    world.finish(&visit).await.problem(401, "auth.sign_on_expired");

    let visit = world.visit(None).await;
    let query = format!("code={}&state={}", visit.code, visit.state);
    world
        .come_back(&query, "")
        .await
        .problem(401, "auth.sign_on_expired");
    let visit = world.visit(None).await;
    let _ = world.finish(&visit).await.expect(200);
    world.finish(&visit).await.problem(401, "auth.sign_on_expired");
    for query in ["state=x&code=y", "code=y", "state=%00&code=y", "state=x"] {
        let status = world.come_back(query, &visit.cookie).await.status;
        assert!([400, 401].contains(&status), "{query}: {status}");
    }
    assert_eq!(world.sessions().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_callbacks_of_one_sign_on_make_one_session() {
    let world = world().await;
    world.provider.be(person("ann"));
    let visit = world.visit(None).await;
    let replies = join_all((0..50).map(|_| world.finish(&visit))).await;
    let good = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!((good, world.sessions().await), (1, 1));
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.problem(401, "auth.sign_on_expired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_sign_ons_of_one_person_make_one_account() {
    let world = world().await;
    for round in 0..10 {
        world.provider.be(person(&format!("p{round}")));
        let (one, other) = (world.visit(None).await, world.visit(None).await);
        let (one, other) = tokio::join!(world.finish(&one), world.finish(&other));
        let (one, other) = (caller(&one.expect(200)), caller(&other.expect(200)));
        assert_eq!(one.id, other.id);
    }
    let accounts = world.desk.database.number("SELECT count(*) FROM users").await;
    assert_eq!(accounts, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_the_same_proved_address_is_linked_and_keeps_its_password() {
    let world = world().await;
    let ann = world.desk.person("ann", Role::Agent).await;
    world.verify("ann").await;
    let mut upper = person("ann");
    upper["email"] = json!("ANN@Example.ORG");
    let linked = world.caller(upper).await;
    assert_eq!((linked.id, linked.role), (ann.id, Role::Agent));
    let _ = world.desk.log_in("ann@example.org").await;
    let _ = world.desk.get(&ann, "/api/v1/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_address_nobody_proved_is_taken_from_whoever_made_it() {
    let world = world().await;
    let squatter = world.desk.person("ann", Role::User).await;
    world
        .desk
        .database
        .batch(&format!(
            "UPDATE users SET two_factor_enabled = true, two_factor_secret = 'theirs', email_verified_at = NULL \
               WHERE id = '{id}'; \
             INSERT INTO recovery_codes (user_id, code_sha256) VALUES ('{id}', 'theirs'); \
             INSERT INTO one_time_tokens (token_sha256, kind, user_id, expires_at) \
               VALUES ('theirs', 'x', '{id}', now() + interval '1 day'); \
             INSERT INTO external_identities (provider, subject, user_id) VALUES ('elsewhere', 'theirs', '{id}'); \
             INSERT INTO api_keys (id, user_id, name, prefix, key_sha256, scopes, expires_at) \
               VALUES (gen_random_uuid(), '{id}', 'k', 'idk_', 'theirs', '{{}}', now() + interval '1 day')",
            id = squatter.id.0
        ))
        .await;
    let ann = world.caller(person("ann")).await;
    assert_eq!(ann.id, squatter.id);
    let old = world.desk.get(&squatter, "/api/v1/auth/me").await;
    old.problem(401, "auth.session_revoked");
    let body = json!({"email": "ann@example.org", "password": PASSWORD});
    let login = world
        .desk
        .request("POST", "/api/v1/auth/login")
        .json(&body)
        .send()
        .await;
    login.problem(401, "auth.invalid_credentials");
    for (what, sql) in [
        (
            "a second factor",
            "SELECT count(*) FROM users WHERE two_factor_enabled OR two_factor_secret IS NOT NULL",
        ),
        ("recovery codes", "SELECT count(*) FROM recovery_codes"),
        (
            "tokens",
            "SELECT count(*) FROM one_time_tokens WHERE user_id IS NOT NULL",
        ),
        (
            "other links",
            "SELECT count(*) FROM external_identities WHERE subject = 'theirs'",
        ),
        (
            "live keys",
            "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL",
        ),
    ] {
        assert_eq!(world.desk.database.number(sql).await, 0, "{what}");
    }
    let _ = world.desk.get(&ann, "/api/v1/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_says_of_its_host_leads_no_sign_on_elsewhere() {
    let world = world().await;
    let sent = world
        .desk
        .request("GET", &world.start)
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example")
        .send()
        .await
        .expect(302);
    let location = sent.header("location");
    assert!(location.starts_with(&world.provider.issuer), "{location}");
    assert!(
        location.contains("redirect_uri=https%3A%2F%2Fdesk.example.com%2F"),
        "{location}"
    );
    assert!(
        !format!("{:?}", sent.headers).contains("evil"),
        "{:?}",
        sent.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_verified_address_nobody_new_is_let_in() {
    let world = world().await;
    let bob = world.desk.person("bob", Role::User).await;
    for (what, change) in [
        ("not verified", json!({"email_verified": false})),
        ("not said", json!({"email_verified": null})),
        ("said in other words", json!({"email_verified": "yes"})),
        ("no address", json!({"email": null})),
        (
            "letters that look alike",
            json!({"email": "\u{212a}im@example.org"}),
        ),
        ("Cyrillic", json!({"email": "b\u{43e}b@example.org"})),
        (
            "two addresses",
            json!({"email": "bob@example.org,eve@example.org"}),
        ),
        ("a line more", json!({"email": "bob@example.org\r\nbcc: x@y.z"})),
    ] {
        world.provider.set(Script {
            claims: change,
            userinfo: json!({"sub": "bob"}),
            ..Script::default()
        });
        let reply = world.sign_on(person("bob")).await;
        assert_eq!((reply.status, what), (403, what));
        reply.problem(403, "auth.sign_on_email_unverified");
        assert!(reply.header("set-cookie").contains("Max-Age=0"));
    }
    let _ = world.desk.get(&bob, "/api/v1/auth/me").await.expect(200);
    assert_eq!(
        world
            .desk
            .database
            .number("SELECT count(*) FROM external_identities")
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_are_shut_out_are_refused_like_people_whom_nobody_knows() {
    let world = world_with(|oidc| oidc.create_accounts = false).await;
    for name in ["gone", "suspended", "linked"] {
        let _ = world.desk.person(name, Role::User).await;
        world.verify(name).await;
    }
    let _ = world.caller(person("linked")).await;
    world
        .desk
        .database
        .batch(
            "UPDATE users SET deleted_at = now() WHERE email = 'gone@example.org'; \
             UPDATE users SET status = 'suspended' WHERE email IN ('suspended@example.org', 'linked@example.org')",
        )
        .await;
    let mut answers = HashSet::new();
    for name in ["unknown", "gone", "suspended", "linked"] {
        let reply = world.sign_on(person(name)).await;
        reply.problem(403, "auth.sign_on_refused");
        let mut body = reply.json();
        body["requestId"] = Value::Null;
        answers.insert(body.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let told = "SELECT count(*) FROM outbox WHERE kind = 'session.refused'";
    assert_eq!(world.desk.database.number(told).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_provider_gave_to_another_person_does_not_carry_the_account() {
    let world = world().await;
    let ann = world.caller(person("ann")).await;
    let mut successor = person("ann");
    successor["sub"] = json!("ann-2");
    let reply = world.sign_on(successor).await;
    reply.problem(403, "auth.sign_on_refused");
    let _ = world.desk.get(&ann, "/api/v1/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_follow_the_provider_at_every_sign_on() {
    let world = world_with_roles().await;
    let admin = world.desk.person("root", Role::Admin).await;
    let ann = world.caller(person_with("ann", &["support"])).await;
    assert_eq!(ann.role, Role::Agent);
    let team = world.desk.team(&admin, "Front", &[(&ann, TeamRole::Lead)]).await;
    let ann = world
        .caller(person_with("ann", &["support", "desk-admins"]))
        .await;
    assert_eq!(ann.role, Role::Admin);
    let members = "SELECT count(*) FROM team_members";
    assert_eq!(world.desk.database.number(members).await, 1, "{team:?}");
    let ann = world.caller(person_with("ann", &["others"])).await;
    assert_eq!(ann.role, Role::User);
    assert_eq!(
        world.desk.database.number(members).await,
        0,
        "a customer is in no team"
    );
    let denied = world.desk.get(&ann, "/api/v1/teams").await;
    denied.problem(403, "access.forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_stays_one_whatever_the_provider_says() {
    let world = world_with_roles().await;
    let ann = world.caller(person_with("ann", &["desk-admins"])).await;
    assert_eq!(ann.role, Role::Admin);
    let ann = world.caller(person_with("ann", &[])).await;
    assert_eq!(ann.role, Role::Admin);
    let _ = world.desk.person("root", Role::Admin).await;
    let ann = world.caller(person_with("ann", &[])).await;
    assert_eq!(ann.role, Role::User);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_the_desk_gave_stay_when_no_claim_is_configured() {
    let world = world().await;
    let ann = world.desk.person("ann", Role::Agent).await;
    world.verify("ann").await;
    let linked = world.caller(person_with("ann", &["desk-admins"])).await;
    assert_eq!((linked.id, linked.role), (ann.id, Role::Agent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_gets_a_code_in_the_fragment_and_exchanges_it_once() {
    let world = world().await;
    world.provider.be(person("ann"));
    let visit = world.visit(Some(RETURN_TO)).await;
    let sent = world.finish(&visit).await.expect(303);
    let location = sent.header("location");
    let code = location.strip_prefix(&format!("{RETURN_TO}#code=")).unwrap();
    assert_eq!(sent.header("referrer-policy"), "no-referrer");
    assert!(!sent.text.contains("Token"), "{}", sent.text);
    assert_eq!(world.sessions().await, 0, "nobody is signed in yet");
    let exchange = async || {
        let request = world.desk.request("POST", "/api/v1/auth/sso/exchange");
        request.json(&json!({ "code": code })).send().await
    };
    let replies = join_all((0..20).map(|_| exchange())).await;
    let good: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!((good.len(), world.sessions().await), (1, 1));
    let _ = world
        .desk
        .get(&caller(good[0]), "/api/v1/auth/me")
        .await
        .expect(200);
    exchange().await.problem(401, "auth.sign_on_expired");
    let state = json!({"code": world.visit(Some(RETURN_TO)).await.state});
    let request = world.desk.request("POST", "/api/v1/auth/sso/exchange");
    request
        .json(&state)
        .send()
        .await
        .problem(401, "auth.sign_on_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_to_an_address_that_is_not_exactly_allowed() {
    let world = world().await;
    for bad in [
        "//evil.example",
        "/%5Cevil.example",
        "%2f%2fevil.example",
        "https://evil.example",
        "https://front.example.com",
        "https://front.example.com/signed-on/",
        "https://front.example.com/signed-on%3Fx=1",
        "https://front.example.com/signed-on%23x",
        "https://front.example.com.evil.example/signed-on",
        "https://front.example.com@evil.example/signed-on",
        "HTTPS://front.example.com/signed-on",
        "javascript:alert(1)",
    ] {
        let path = format!("{}?returnTo={bad}", world.start);
        let reply = world.desk.request("GET", &path).send().await;
        assert_eq!((reply.status, bad), (422, bad));
        reply.problem(422, "auth.return_to_not_allowed");
    }
    let unknown = world
        .desk
        .request("GET", "/api/v1/auth/sso/nobody/start")
        .send()
        .await;
    unknown.problem(404, "auth.sign_on_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_beside_is_let_through_and_its_no_is_a_no() {
    let world = world().await;
    world.provider.be(person("ann"));
    let visit = world.visit(None).await;
    let query = format!(
        "code={}&state={}&session_state=a.b&scope=openid%20email&authuser=0&prompt=&hd=example.org&iss={}",
        visit.code, visit.state, world.provider.issuer
    );
    let _ = world.come_back(&query, &visit.cookie).await.expect(200);
    let visit = world.visit(None).await;
    let query = format!(
        "error=access_denied&error_description=No%0Away&state={}",
        visit.state
    );
    let declined = world.come_back(&query, &visit.cookie).await;
    declined.problem(403, "auth.sign_on_declined");
    world.finish(&visit).await.problem(401, "auth.sign_on_expired");
    for query in ["state=a&state=b&code=c", "state=a&code=b&colour=red"] {
        let reply = world.come_back(query, &visit.cookie).await;
        reply.problem(400, "request.invalid_parameter");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_is_not_the_providers_signs_nobody_on() {
    let world = world().await;
    for signing in [Signing::None, Signing::HmacOfSecret, Signing::Tampered] {
        world.provider.set(Script {
            signing,
            ..Script::default()
        });
        let reply = world.sign_on(person("ann")).await;
        reply.problem(401, "auth.sign_on_failed");
    }
    assert_eq!(world.desk.database.number("SELECT count(*) FROM users").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_unless_it_is_the_only_way_in() {
    let world = world().await;
    let ann = world.caller(person("ann")).await;
    let links = world.desk.get(&ann, "/api/v1/auth/sign-ons").await.expect(200);
    let provider = links.text_of("/data/0/provider");
    assert_eq!(links.text_of("/data/0/email"), "ann@example.org");
    let unlink = async |caller: &Caller, provider: &str| {
        let path = format!("/api/v1/auth/sign-ons/{provider}");
        world.desk.request("DELETE", &path).by(caller).send().await
    };
    unlink(&ann, &provider)
        .await
        .problem(409, "auth.sign_on_last_way_in");
    unlink(&ann, "other")
        .await
        .problem(404, "auth.sign_on_not_linked");

    let bob = world.desk.person("bob", Role::User).await;
    unlink(&bob, &provider)
        .await
        .problem(404, "auth.sign_on_not_linked");
    world.verify("bob").await;
    let _ = world.caller(person("bob")).await;
    let _ = unlink(&bob, &provider).await.expect(204);
    unlink(&bob, &provider)
        .await
        .problem(404, "auth.sign_on_not_linked");
    let links = world.desk.get(&bob, "/api/v1/auth/sign-ons").await.expect(200);
    assert_eq!(links.json()["data"], json!([]));
    let anonymous = world.desk.request("GET", "/api/v1/auth/sign-ons").send().await;
    anonymous.problem(401, "auth.required");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_the_database_lets_anyone_sign_on() {
    let world = world().await;
    world.provider.be(person("ann"));
    let done = world.sign_on(person("ann")).await.expect(200);
    let handed = world.visit(Some(RETURN_TO)).await;
    let location = world.finish(&handed).await.expect(303).header("location");
    let open = world.visit(None).await;
    let tables = "SELECT string_agg(format('SELECT t::text FROM %I t', tablename), ' UNION ALL ') \
                  FROM pg_tables WHERE schemaname = 'public'";
    let all = world.desk.database.rows(tables).await;
    let all = all[0][0].clone().unwrap();
    let dump = world.desk.database.rows(&all).await;
    let dump: String = dump.into_iter().flatten().flatten().collect();
    assert!(dump.contains("ann@example.org"));
    let handover = location.split_once("#code=").unwrap().1;
    let cookie = open.cookie.split_once('=').unwrap().1;
    for (what, secret) in [
        ("the client's secret", CLIENT_SECRET),
        ("a state", &open.state),
        ("a cookie", cookie),
        ("a handover's code", handover),
        ("an access token", &done.text_of("/accessToken")),
        ("a refresh token", &done.text_of("/refreshToken")),
        ("the provider's access token", "an-access-token"),
        ("a verifier", "\"verifier\""),
    ] {
        assert!(!dump.contains(secret), "{what} lies in the database");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_without_a_provider_lists_none() {
    let desk = TestDesk::start().await;
    let listed = desk.request("GET", "/api/v1/auth/sso").send().await.expect(200);
    assert_eq!(listed.json(), json!({"data": []}));
    let start = desk.request("GET", "/api/v1/auth/sso/x/start").send().await;
    start.problem(404, "auth.sign_on_unknown");
}
