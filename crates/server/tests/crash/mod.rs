//! Ten times `kill -9` under thirty-two writers, on two nodes: nothing that was acknowledged is lost, nothing that was
//! sent again happens twice, and every event has its effect once.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use local_postgres::Cluster;
use postgres::testing::TestDatabase;
use serde_json::{Value, json};

use super::{EMAIL, PASSWORD, PATIENCE, SECRET, Server, run};

const WRITERS: usize = 32;
const KILLS: usize = 10;
/// Between two requests of one writer.
const PAUSE: Duration = Duration::from_millis(100);

/// A request that may meet a dead server: none when no whole answer came.
fn attempt(url: &str, path: &str, token: &str, key: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(url.strip_prefix("http://")?).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(15))).ok()?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some((status, serde_json::from_str(body).ok()?))
}

struct Desk {
    urls: RwLock<[String; 2]>,
    stopping: AtomicBool,
    sent_again: AtomicUsize,
    /// The id that each key was answered with.
    acknowledged: Mutex<BTreeMap<String, String>>,
}

impl Desk {
    /// Sends a request until it is answered, on whichever node.
    fn insist(&self, path: &str, token: &str, key: &str, body: &str) {
        let deadline = Instant::now() + PATIENCE;
        for attempts in 0.. {
            assert!(Instant::now() < deadline, "{key} was never answered");
            let url = self.urls.read().unwrap()[attempts % 2].clone();
            match attempt(&url, path, token, key, body) {
                Some((201, body)) => {
                    let id = body["id"].as_str().unwrap().to_owned();
                    let before = self.acknowledged.lock().unwrap().insert(key.to_owned(), id);
                    assert_eq!(before, None);
                    return;
                }
                // Not there, busy, stopping, or still at it: the same key makes it safe to ask again.
                None | Some((409 | 503 | 504, _)) => {
                    self.sent_again.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                }
                Some((status, body)) => panic!("{key}: {status} {body}"),
            }
        }
    }

    fn write(&self, writer: usize, customer: &str, admin: &str, ticket: &str) {
        for number in 0.. {
            if self.stopping.load(Ordering::Relaxed) {
                return;
            }
            // Not as fast as they can: what they leave behind is to be delivered by the end.
            std::thread::sleep(PAUSE);
            let key = format!("w{writer}-{number}");
            if number % 2 == 0 {
                let body = json!({ "subject": key, "description": "written under fire" }).to_string();
                self.insist("/api/v1/tickets", customer, &format!("create-{key}"), &body);
            } else {
                let body = json!({ "message": key }).to_string();
                self.insist(
                    &format!("{ticket}/messages"),
                    admin,
                    &format!("reply-{key}"),
                    &body,
                );
            }
        }
    }
}

fn token_of(server: &Server, email: &str) -> String {
    let body = json!({ "email": email, "password": PASSWORD }).to_string();
    let (status, body) = server.request("POST", "/api/v1/auth/login", "", &body);
    assert_eq!(status, 200, "{body}");
    body["accessToken"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_under_thirty_two_writers_lose_nothing_and_repeat_nothing() {
    let own;
    let server_url = match std::env::var("INSIGHTDESK_TEST_POSTGRES") {
        Ok(url) => url,
        Err(_) => {
            own = Cluster::scratch().await.unwrap();
            own.url("postgres")
        }
    };
    let database = TestDatabase::create_for_server(&server_url).await;
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data").to_str().unwrap().to_owned();
    let settings = [
        "--database-url",
        database.url(),
        "--secret-key",
        SECRET,
        "--data-dir",
        &data_dir,
        "--rate-caller",
        "0",
        "--rate-register",
        "0",
        "--rate-login",
        "0",
        "--rate-tickets",
        "0",
    ];
    let serve = || Server::start(&settings, folder.path());
    let made = run(
        &[
            &[
                "admin",
                "create",
                "--email",
                EMAIL,
                "--name",
                "Ada",
                "--password-stdin",
            ][..],
            &settings,
        ]
        .concat(),
        &format!("{PASSWORD}\n"),
    );
    assert!(made.status.success(), "{made:?}");

    let mut nodes = [serve(), serve()];
    let admin = token_of(&nodes[0], EMAIL);
    let customers: Vec<String> = (0..WRITERS)
        .map(|writer| {
            let email = format!("w{writer}@example.com");
            let body = json!({ "email": email, "name": email, "password": PASSWORD }).to_string();
            let node = &nodes[writer % 2];
            assert_eq!(node.request("POST", "/api/v1/auth/register", "", &body).0, 202);
            token_of(node, &email)
        })
        .collect();
    // Each writer replies in a ticket of its own: it is kills that are tested here, not contention.
    let tickets: Vec<String> = customers
        .iter()
        .enumerate()
        .map(|(writer, customer)| {
            let body = json!({ "subject": format!("talk {writer}"), "description": "x" }).to_string();
            let (status, ticket) = nodes[0].request("POST", "/api/v1/tickets", customer, &body);
            assert_eq!(status, 201, "{ticket}");
            format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap())
        })
        .collect();

    let desk = Desk {
        urls: RwLock::new([nodes[0].url.clone(), nodes[1].url.clone()]),
        stopping: AtomicBool::new(false),
        sent_again: AtomicUsize::new(0),
        acknowledged: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for (writer, ticket) in tickets.iter().enumerate() {
            let (desk, admin, customer) = (&desk, &admin, &customers[writer]);
            scope.spawn(move || desk.write(writer, customer, admin, ticket));
        }
        for kill in 0..KILLS {
            let progress = desk.acknowledged.lock().unwrap().len() + 2 * WRITERS;
            let deadline = Instant::now() + PATIENCE;
            // In the middle of the writing, however fast the machine is.
            while desk.acknowledged.lock().unwrap().len() < progress && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(3));
            }
            let node = kill % 2;
            nodes[node].child.kill().unwrap();
            nodes[node].child.wait().unwrap();
            nodes[node] = serve();
            desk.urls.write().unwrap()[node].clone_from(&nodes[node].url);
        }
        desk.stopping.store(true, Ordering::Relaxed);
    });

    let acknowledged = desk.acknowledged.into_inner().unwrap();
    let of = |kind: &str| acknowledged.keys().filter(|key| key.starts_with(kind)).count();
    let (created, replied) = (of("create-"), of("reply-"));
    assert!(
        desk.sent_again.load(Ordering::Relaxed) > 0,
        "the kills hit nothing"
    );
    let number = async |sql: &str| usize::try_from(database.number(sql).await).unwrap();

    // Nothing lost, nothing twice.
    for (kind, table) in [("create-", "tickets"), ("reply-", "ticket_messages")] {
        let told = acknowledged.iter().filter(|(key, _)| key.starts_with(kind));
        let ids: Vec<&str> = told.map(|(_, id)| id.as_str()).collect();
        let there = format!(
            "SELECT count(*) FROM {table} WHERE id = ANY('{{{}}}'::uuid[])",
            ids.join(",")
        );
        assert_eq!(number(&there).await, ids.len(), "{kind}");
    }
    assert_eq!(number("SELECT count(*) FROM tickets").await, created + WRITERS);
    assert_eq!(number("SELECT count(*) FROM ticket_messages").await, replied);
    assert_eq!(
        number("SELECT count(DISTINCT ticket_number) FROM tickets").await,
        created + WRITERS
    );
    assert_eq!(
        number("SELECT count(*) FROM ticket_activities WHERE action_type = 'created'").await,
        created + WRITERS
    );
    assert_eq!(
        number("SELECT count(*) FROM ticket_activities WHERE action_type = 'message_added'").await,
        replied
    );
    // Each is its writer's, also those that were asked for again.
    let mistaken = "SELECT count(*) FROM tickets t JOIN users u ON u.id = t.created_by WHERE t.subject LIKE 'w%' \
        AND split_part(t.subject, '-', 1) || '@example.com' <> u.email";
    assert_eq!(number(mistaken).await, 0);
    let miscounted = "SELECT count(*) FROM tickets t WHERE message_count <> \
        (SELECT count(*) FROM ticket_messages m WHERE m.ticket_id = t.id)";
    assert_eq!(number(miscounted).await, 0);

    // The outbox drains, and each reply was told of once. Leases of the killed would end after two minutes: here all end at
    // once, those of the living too, so that some events come twice.
    database
        .batch("UPDATE outbox SET leased_until = now() WHERE leased_until > now()")
        .await;
    let deadline = Instant::now() + 2 * PATIENCE;
    while number("SELECT count(*) FROM outbox WHERE done_at IS NULL").await > 0 {
        assert!(Instant::now() < deadline, "the outbox does not drain");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        number("SELECT count(*) FROM outbox WHERE buried_at IS NOT NULL").await,
        0
    );
    assert_eq!(number("SELECT count(*) FROM notifications").await, replied);
    for node in nodes {
        node.stop();
    }
}
