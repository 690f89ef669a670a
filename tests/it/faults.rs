//! When something of the server's own goes wrong, the client learns that and nothing of what, and the
//! operator finds it once in the log, by the request's id.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use desk::app::{Reply, TestDesk};
use kernel::{Rate, Role};
use serde_json::{Value, json};

/// What this process logged so far, as the program would: one JSON object a line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The log from now on; one for all tests of the process.
    fn begin() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let begin = || {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .json()
                .flatten_event(true)
                .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
                .with_writer(move || writer.clone());
            subscriber.try_init().unwrap();
            log
        };
        LOG.get_or_init(begin).clone()
    }

    /// The events of a request.
    fn of(&self, id: &str) -> Vec<Value> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lines = String::from_utf8(bytes).unwrap();
        let events = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["span"]["id"] == id).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What no client is to read: of SQL, of the schema, of the code.
const INTERNALS: [&str; 18] = [
    "select",
    "insert",
    "update ",
    "relation",
    "column",
    "constraint",
    "ticket_number",
    "postgres",
    "diesel",
    "tokio",
    "panicked",
    "unwrap",
    ".rs",
    "crates/",
    "src/",
    "pgtickets",
    "porterror",
    "gone_away",
];

/// Checks that the answer tells nothing, and the log once what was wrong.
#[track_caller]
fn is_told_to_the_operator_alone(log: &Log, reply: &Reply, cause: &str) {
    let said = reply.text.to_lowercase();
    for internal in INTERNALS {
        assert!(!said.contains(internal), "{internal}: {said}");
    }
    for header in reply.headers.values() {
        let value = String::from_utf8_lossy(header.as_bytes()).to_lowercase();
        assert!(!value.contains("gone_away") && !value.contains(".rs"), "{value}");
    }
    let events = log.of(&reply.header("x-request-id"));
    let causes: Vec<_> = events.iter().filter(|event| event["level"] == "ERROR").collect();
    assert_eq!(causes.len(), 1, "{events:#?}");
    assert!(
        causes[0]["cause"]
            .as_str()
            .is_some_and(|text| text.contains(cause)),
        "{events:#?}"
    );
    let lines: Vec<_> = events
        .iter()
        .filter(|event| event["target"] == "access")
        .collect();
    assert_eq!(lines.len(), 1, "{events:#?}");
    assert_eq!(lines[0]["status"], reply.status, "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_database_is_told_to_the_operator_alone() {
    let (log, desk) = (Log::begin(), TestDesk::start().await);
    let admin = desk.person("ada", Role::Admin).await;
    let ticket = desk.ticket(&admin, None).await;
    desk.database
        .batch(
            "ALTER TABLE ticket_activities RENAME TO gone_away; \
             ALTER TABLE teams RENAME COLUMN name TO gone_away",
        )
        .await;
    let body = json!({ "subject": "s", "description": "d" });
    for reply in [
        desk.get(&admin, "/api/v1/teams").await,
        desk.get(&admin, &format!("{ticket}/activity")).await,
        desk.post(&admin, "/api/v1/tickets", &body).await,
    ] {
        reply.problem(500, "server.internal");
        is_told_to_the_operator_alone(&log, &reply, "does not exist");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_ends_its_connections_is_unavailable_and_no_more() {
    let (log, desk) = (Log::begin(), TestDesk::start().await);
    let admin = desk.person("ada", Role::Admin).await;
    desk.database
        .batch(
            "CREATE FUNCTION gone_away() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END$$; \
             CREATE TRIGGER gone_away BEFORE INSERT ON teams FOR EACH ROW EXECUTE FUNCTION gone_away()",
        )
        .await;
    let reply = desk
        .post(&admin, "/api/v1/teams", &json!({ "name": "Front" }))
        .await;
    assert!([503, 504].contains(&reply.status), "{}", reply.text);
    assert!(!reply.header("retry-after").is_empty());
    is_told_to_the_operator_alone(&log, &reply, "");
    let _ = desk.get(&admin, "/api/v1/teams").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_holds_nonsense_is_named_to_the_operator_alone() {
    let (log, desk) = (Log::begin(), TestDesk::start().await);
    let customer = desk.person("cus", Role::User).await;
    let ticket = desk.ticket(&customer, None).await;
    let id = ticket.rsplit('/').next().unwrap_or_default();
    desk.database
        .batch("UPDATE tickets SET subject = 'gone_away', message_count = -1")
        .await;
    let reply = desk.get(&customer, &ticket).await;
    reply.problem(500, "server.internal");
    is_told_to_the_operator_alone(&log, &reply, &format!("row {id} of tickets: column version"));
    let _ = desk.get(&customer, "/api/v1/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_limit_refuses_is_a_line_of_the_log_too() {
    let log = Log::begin();
    let desk = TestDesk::start_with(|config| {
        config.rates.login_per_address = Rate::new(1, std::time::Duration::from_secs(3_600));
    })
    .await;
    let body = json!({ "email": "nobody@example.org", "password": "wrong wrong wrong" });
    for status in [401, 429] {
        let login = desk
            .request("POST", "/api/v1/auth/login")
            .json(&body)
            .send()
            .await;
        let login = login.expect(status);
        let events = log.of(&login.header("x-request-id"));
        let line = events.iter().find(|event| event["target"] == "access").unwrap();
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert!(!line.to_string().contains("wrong"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_says_who_wanted_what_from_where() {
    let log = Log::begin();
    let desk = TestDesk::start_with(|config| config.trusted_proxies = "127.0.0.1".parse().unwrap()).await;
    let customer = desk.person("cus", Role::User).await;
    let denied = desk
        .request(
            "GET",
            "/api/v1/users/01890a5d-ac96-774b-bcce-b302099a8057?secret=canary",
        )
        .by(&customer)
        .header("x-forwarded-for", "203.0.113.9, 198.51.100.7");
    let list = desk
        .request("GET", "/api/v1/users")
        .by(&customer)
        .header("x-forwarded-for", "198.51.100.7")
        .send()
        .await;
    list.problem(403, "access.forbidden");
    let unknown = desk
        .request("DELETE", "/api/v1/teams/01890a5d-ac96-774b-bcce-b302099a8057")
        .send()
        .await;
    unknown.problem(401, "auth.required");
    let denied = denied.send().await;
    for (reply, method, route, user, client) in [
        (&list, "GET", "/api/v1/users", Some(customer.id.0), "198.51.100.7"),
        (
            &denied,
            "GET",
            "/api/v1/users/{id}",
            Some(customer.id.0),
            "198.51.100.7",
        ),
        (&unknown, "DELETE", "/api/v1/teams/{id}", None, "127.0.0.1"),
    ] {
        let events = log.of(&reply.header("x-request-id"));
        let line = events.iter().find(|event| event["target"] == "access").unwrap();
        let code = reply.text_of("/code");
        let expected = json!({
            "method": method, "route": route, "user": user.map(|id| id.to_string()), "client": client,
            "status": reply.status, "code": code,
        });
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(
                line.get(member).unwrap_or(&Value::Null),
                value,
                "{member}: {line:#}"
            );
        }
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(!line.to_string().contains("canary"), "{line}");
    }
}
