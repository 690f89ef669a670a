//! Webhooks over HTTP, into a receiver that listens on this machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::automation::webhook::{Network, Secret, Secrets, Signed};

use desk::app::{Caller, PASSWORD, TestDesk, lifted};
use desk::database::test_database;
use kernel::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const WEBHOOKS: &str = "/api/v1/webhooks";
const TICKETS: &str = "/api/v1/tickets";

/// A call as it arrived.
#[derive(Debug, Clone)]
struct Arrived {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Arrived {
    fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn signed(&self) -> Signed {
        Signed {
            id: self.id().to_owned(),
            timestamp: self.headers["webhook-timestamp"].clone(),
            signature: self.headers["webhook-signature"].clone(),
        }
    }
}

/// A receiver: notes what arrives, and answers with the next of its statuses, or 204.
struct Sink {
    port: u16,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    statuses: Arc<Mutex<Vec<u16>>>,
    _serving: JoinSet<()>,
}

impl Sink {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let statuses = Arc::new(Mutex::new(Vec::<u16>::new()));
        let (noted, next) = (Arc::clone(&arrived), Arc::clone(&statuses));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut bytes, mut part) = (Vec::new(), [0; 8_192]);
                let call = loop {
                    match stream.read(&mut part).await {
                        Ok(0) | Err(_) => break None,
                        Ok(read) => bytes.extend_from_slice(part.get(..read).unwrap_or_default()),
                    }
                    if let Some(call) = whole(&bytes) {
                        break Some(call);
                    }
                };
                let status = {
                    let mut next = next.lock().unwrap();
                    if next.is_empty() { 204 } else { next.remove(0) }
                };
                if let Some(call) = call {
                    noted.lock().unwrap().push(call);
                }
                let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            port,
            arrived,
            statuses,
            _serving: serving,
        }
    }

    fn answers(&self, statuses: &[u16]) {
        *self.statuses.lock().unwrap() = statuses.to_vec();
    }

    fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }
}

/// The call, once all of it is there.
fn whole(bytes: &[u8]) -> Option<Arrived> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let headers: BTreeMap<String, String> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    (body.len() >= length).then(|| Arrived {
        headers,
        body: body.to_owned(),
    })
}

struct World {
    desk: TestDesk,
    sink: Sink,
    admin: Caller,
    customer: Caller,
}

impl World {
    async fn new() -> Self {
        let sink = Sink::start().await;
        let mut config = lifted();
        config.webhooks.allowed = vec!["127.0.0.0/8".parse::<Network>().unwrap()];
        config.webhooks.ports = vec![sink.port];
        config.webhooks.allows_http = true;
        let desk = TestDesk::start_configured(test_database().await, config).await;
        Self {
            admin: desk.person("ada", Role::Admin).await,
            customer: desk.person("kim", Role::User).await,
            desk,
            sink,
        }
    }

    async fn webhook(&self, more: Value) -> Value {
        let mut body =
            json!({ "name": "CRM", "url": self.sink.url(), "events": ["*"], "currentPassword": PASSWORD });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = self.desk.post(&self.admin, WEBHOOKS, &body).await;
        made.expect(201).json()
    }

    async fn ticket(&self, subject: &str) -> Value {
        let body = json!({ "subject": subject, "description": "d" });
        let made = self.desk.post(&self.customer, TICKETS, &body).await;
        made.expect(201).json()
    }

    /// Delivers events and makes the calls that are due.
    async fn sends(&self) -> u64 {
        let _ = self.desk.mails().await;
        self.desk.desk.send_calls.drain().await.unwrap()
    }

    async fn deliveries(&self, webhook: &Value) -> Vec<Value> {
        let path = format!("{WEBHOOKS}/{}/deliveries", id(webhook));
        let list = self.desk.get(&self.admin, &path).await.expect(200).json();
        list["data"].as_array().unwrap().clone()
    }

    async fn due_now(&self) {
        let sql = "UPDATE webhook_calls SET next_at = now() - interval '1 minute' WHERE state = 'waiting'";
        self.desk.database.batch(sql).await;
    }
}

fn id(of: &Value) -> &str {
    of["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_signed_and_can_be_looked_up_and_sent_again() {
    let world = World::new().await;
    let made = world
        .webhook(json!({ "events": ["ticket.created", "ticket.message_added"], "audience": "staff" }))
        .await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let ticket = world.ticket("Größe").await;
    world.sends().await;
    let arrived = world.sink.arrived();
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    let body = arrived[0].json();
    assert_eq!(
        (&body["type"], &body["data"]["ticket"]["id"]),
        (&json!("ticket.created"), &ticket["id"])
    );
    assert_eq!(body["data"]["ticket"]["subject"], "Größe");
    let receiver = Secrets::one(Secret::parse(made["secret"].as_str().unwrap()).unwrap());
    assert_eq!(
        receiver.verify(
            &arrived[0].signed(),
            arrived[0].body.as_bytes(),
            world.desk.desk.clock.now()
        ),
        Ok(())
    );

    // The secret is shown once.
    let path = format!("{WEBHOOKS}/{}", id(&made));
    let shown = world.desk.get(&world.admin, &path).await.expect(200);
    assert!(!shown.text.contains("whsec_"));
    let stored = world
        .desk
        .database
        .rows("SELECT secret FROM webhook_endpoints")
        .await;
    assert!(!format!("{stored:?}").contains("whsec_"));

    let deliveries = world.deliveries(&made).await;
    assert_eq!(
        (deliveries.len(), &deliveries[0]["status"]),
        (1, &json!("delivered"))
    );
    assert_eq!(deliveries[0]["id"], arrived[0].id());
    assert_eq!(deliveries[0]["attempts"][0]["status"], 204);
    let one = format!("{path}/deliveries/{}", arrived[0].id());
    let whole = world.desk.get(&world.admin, &one).await.expect(200).json();
    assert_eq!(whole["payload"], body);

    // The same event once more is the same call.
    world
        .desk
        .database
        .batch("UPDATE outbox SET done_at = NULL, attempts = 0, leased_until = NULL")
        .await;
    assert_eq!(world.sends().await, 0);

    let again = json!({ "ids": [arrived[0].id()] });
    let replayed = world
        .desk
        .post(&world.admin, &format!("{path}/replay"), &again)
        .await;
    assert_eq!(replayed.expect(202).json()["replayed"], 1);
    assert_eq!(world.sends().await, 1);
    let arrived = world.sink.arrived();
    assert_eq!((arrived.len(), arrived[0].id()), (2, arrived[1].id()));
    assert_eq!(arrived[0].body, arrived[1].body);

    let ping = world
        .desk
        .post(&world.admin, &format!("{path}/ping"), &json!({}))
        .await;
    let ping = ping.expect(202).text_of("/deliveryId");
    assert_eq!(world.sends().await, 1);
    assert_eq!(world.sink.arrived()[2].id(), ping);
    let audit = world
        .desk
        .get(&world.admin, "/api/v1/audit-log?action=webhook.changed")
        .await;
    assert_eq!(audit.expect(200).json()["data"][0]["detail"]["change"], "created");
}

/// What is for staff alone is in no byte that an endpoint for customers is sent, and nothing is sent because of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_for_customers_is_sent_nothing_internal() {
    const CANARY: &str = "CANARY-INT-4711";
    let world = World::new().await;
    let made = world.webhook(json!({})).await;
    assert_eq!(made["audience"], "customer");
    let ticket = world.ticket("s").await;
    world.sends().await;
    let before = world.sink.arrived().len();
    let path = format!("{TICKETS}/{}", id(&ticket));
    let note = json!({ "message": CANARY });
    let _ = world
        .desk
        .post(&world.admin, &format!("{path}/notes"), &note)
        .await
        .expect(201);
    let internal = json!({ "message": CANARY, "isInternal": true });
    let _ = world
        .desk
        .post(&world.admin, &format!("{path}/messages"), &internal)
        .await
        .expect(201);
    let tags = json!({ "tags": ["canary-int-4711"], "priority": "urgent" });
    let _ = world.desk.patch(&world.admin, &path, &tags).await.expect(200);
    assert_eq!(world.sends().await, 0);
    let public = json!({ "message": "Hello" });
    let _ = world
        .desk
        .post(&world.admin, &format!("{path}/messages"), &public)
        .await
        .expect(201);
    assert!(world.sends().await > 0);
    let arrived = world.sink.arrived();
    let said = arrived
        .iter()
        .find(|call| call.json()["type"] == "ticket.message_added")
        .unwrap();
    assert_eq!(said.json()["data"]["message"]["message"], "Hello");
    assert!(arrived.len() > before);
    for call in arrived {
        assert!(!call.body.to_uppercase().contains(CANARY), "{call:?}");
        assert!(call.json()["data"]["ticket"].get("tags").is_none());
    }
}

/// A receiver that fails, and loses its answers: the same id again, and the next call about the ticket waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_in_order_under_its_id() {
    let world = World::new().await;
    let made = world
        .webhook(json!({ "events": ["ticket.created", "ticket.status_changed"], "audience": "staff" }))
        .await;
    world.sink.answers(&[500, 429]);
    let ticket = world.ticket("s").await;
    let body = json!({ "status": "pending" });
    let _ = world
        .desk
        .patch(&world.admin, &format!("{TICKETS}/{}", id(&ticket)), &body)
        .await
        .expect(200);
    assert_eq!(world.sends().await, 1, "the second one waits for the first");
    let waiting = world.deliveries(&made).await;
    assert!(waiting.iter().all(|one| one["status"] == "waiting"));
    assert_eq!(world.sends().await, 0, "not before its time");
    world.due_now().await;
    assert_eq!(world.sends().await, 1);
    world.due_now().await;
    assert_eq!(world.sends().await, 2);
    let types: Vec<_> = world
        .sink
        .arrived()
        .iter()
        .map(|call| call.json()["type"].clone())
        .collect();
    assert_eq!(
        types,
        [
            "ticket.created",
            "ticket.created",
            "ticket.created",
            "ticket.status_changed"
        ]
    );
    let ids: Vec<_> = world
        .sink
        .arrived()
        .iter()
        .map(|call| call.id().to_owned())
        .collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3]);
    let endpoint = world
        .desk
        .get(&world.admin, &format!("{WEBHOOKS}/{}", id(&made)))
        .await;
    assert_eq!(endpoint.expect(200).json()["failures"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_gone_is_disabled_and_its_owner_told() {
    let world = World::new().await;
    let made = world.webhook(json!({ "audience": "staff" })).await;
    world.sink.answers(&[410]);
    let _ = world.ticket("s").await;
    world.sends().await;
    let path = format!("{WEBHOOKS}/{}", id(&made));
    let shown = world.desk.get(&world.admin, &path).await.expect(200).json();
    assert_eq!(
        (&shown["enabled"], &shown["disabledBecause"]),
        (&json!(false), &json!("gone"))
    );
    let told = world.desk.told(&world.admin).await;
    assert!(told.contains(&"webhook_disabled".to_owned()), "{told:?}");
    // What happens meanwhile is recorded, and can be sent once it is there again.
    let from = world.desk.desk.clock.now() - chrono::TimeDelta::hours(1);
    let _ = world.ticket("t").await;
    assert_eq!(world.sends().await, 0);
    let range = json!({ "from": from.to_rfc3339() });
    let refused = world
        .desk
        .post(&world.admin, &format!("{path}/replay"), &range)
        .await;
    refused.problem(409, "webhook.disabled");
    let _ = world
        .desk
        .patch(&world.admin, &path, &json!({ "enabled": true }))
        .await
        .expect(200);
    let replayed = world
        .desk
        .post(&world.admin, &format!("{path}/replay"), &range)
        .await;
    assert!(replayed.expect(202).json()["replayed"].as_u64().unwrap() >= 2);
    world.sends().await;
    let left = world.deliveries(&made).await;
    assert!(left.iter().all(|one| one["status"] == "delivered"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_calls_an_endpoint_once_with_what_it_says() {
    let world = World::new().await;
    let made = world.webhook(json!({ "events": [], "audience": "staff" })).await;
    let rule = json!({ "name": "Call", "trigger": "ticket.created", "actions": [
        { "type": "add_tags", "value": ["called"] },
        { "type": "webhook", "value": id(&made), "payload": { "number": "{{ticket.number}}" } },
        { "type": "webhook", "value": id(&made) },
    ] });
    let rule = world
        .desk
        .post(&world.admin, "/api/v1/automation/rules", &rule)
        .await
        .expect(201)
        .json();
    let ticket = world.ticket("s").await;
    assert_eq!(world.sends().await, 2);
    let again = "UPDATE outbox SET done_at = NULL, attempts = 0, leased_until = NULL WHERE kind = 'ticket.created'; \
                 UPDATE automation_runs SET settled_at = NULL, results = NULL";
    world.desk.database.batch(again).await;
    assert_eq!(world.sends().await, 0);
    let arrived = world.sink.arrived();
    assert_eq!(
        arrived[0].json()["data"]["payload"]["number"],
        ticket["ticketNumber"]
    );
    assert_eq!(arrived[0].json()["type"], "automation.rule_ran");
    // As the rule left it.
    assert_eq!(arrived[1].json()["data"]["ticket"]["tags"], json!(["called"]));
    // An endpoint that is gone is refused, and the rest of the rule is not.
    let path = format!("{WEBHOOKS}/{}", id(&made));
    let _ = world
        .desk
        .request("DELETE", &path)
        .by(&world.admin)
        .send()
        .await
        .expect(204);
    let _ = world.ticket("t").await;
    world.sends().await;
    let runs = format!("/api/v1/automation/rules/{}/runs", id(&rule));
    let runs = world.desk.get(&world.admin, &runs).await.expect(200).json();
    let actions = &runs["data"][0]["actions"];
    assert_eq!(
        (&actions[0]["outcome"], &actions[1]["code"]),
        (&json!("done"), &json!("webhook.not_found"))
    );
}

/// Whatever an address looks like that leads inside, it is refused when it is saved.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_inside_are_refused_when_they_are_saved() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    for (url, code) in [
        ("https://127.0.0.1/", "inside_address"),
        ("https://0.0.0.0/", "inside_address"),
        ("https://10.1.2.3/", "inside_address"),
        ("https://172.16.0.1/", "inside_address"),
        ("https://192.168.1.1/", "inside_address"),
        ("https://169.254.169.254/latest/meta-data", "inside_address"),
        ("https://100.64.0.1/", "inside_address"),
        ("https://[::1]/", "inside_address"),
        ("https://[fc00::1]/", "inside_address"),
        ("https://[fe80::1]/", "inside_address"),
        ("https://[::ffff:127.0.0.1]/", "inside_address"),
        ("https://[64:ff9b::7f00:1]/", "inside_address"),
        ("https://2130706433/", "inside_address"),
        ("https://0177.0.0.1/", "inside_address"),
        ("https://0x7f.1/", "inside_address"),
        ("https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/", "inside_address"),
        ("https://localhost./", "inside_name"),
        ("https://user:pass@example.org/", "user_info_not_allowed"),
        ("https://example.org:5432/", "port_not_allowed"),
        ("http://example.org/", "scheme_not_allowed"),
        ("ftp://example.org/", "scheme_not_allowed"),
        ("file:///etc/passwd", "scheme_not_allowed"),
    ] {
        let body = json!({ "name": "x", "url": url, "currentPassword": PASSWORD });
        let refused = desk.post(&admin, WEBHOOKS, &body).await.expect(422).json();
        let fault = &refused["errors"][0];
        assert_eq!(
            (&fault["pointer"], &fault["code"]),
            (&json!("/url"), &json!(code)),
            "{url}"
        );
    }
}

/// The worker of a running server sends without being asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_sends_by_itself() {
    let world = World::new().await;
    let _made = world.webhook(json!({ "events": ["ticket.created"] })).await;
    let worker = world.desk.desk.worker();
    let _ = world.ticket("s").await;
    let arrived = async {
        while world.sink.arrived().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), worker.run(arrived))
        .await
        .unwrap();
    assert_eq!(world.sink.arrived()[0].json()["type"], "ticket.created");
}
