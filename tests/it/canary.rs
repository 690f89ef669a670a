//! Internal messages, notes, their counts, times, order and entity tags never reach a customer.

use desk::app::{Caller, Reply, TestDesk};
use events::Event;
use kernel::{Role, TeamRole};
use serde_json::{Value, json};

const CANARY: &str = "CANARY-INT-7f3a";

/// What a customer can ask for about their own ticket, and about everything else they can reach.
fn questions(ticket: &str, number: &str, message: &str, secret_message: &str) -> Vec<String> {
    let mut paths: Vec<String> = [
        "",
        "?include=createdBy,assignedTo,team",
        "?fields=subject,metadata,messageCount,lastMessageAt,updatedAt",
        "/messages",
        "/messages?limit=1",
        "/notes",
        "/activity",
        "/activity?limit=1",
        "/links",
        "/cc",
        "/followers",
        "/draft",
    ]
    .iter()
    .map(|rest| format!("{ticket}{rest}"))
    .collect();
    paths.extend([
        format!("{ticket}/messages/{message}"),
        format!("{ticket}/messages/{secret_message}"),
        format!("/api/v1/tickets/{number}"),
        "/api/v1/tickets?count=true&include=createdBy,assignedTo,team".to_owned(),
        "/api/v1/tickets?sort=-updatedAt&limit=1".to_owned(),
        "/api/v1/tickets?sort=updatedAt".to_owned(),
        "/api/v1/tickets?includeDeleted=true".to_owned(),
        format!("/api/v1/tickets/search?q={CANARY}"),
        "/api/v1/tickets/search?q=status:open&count=true".to_owned(),
        "/api/v1/notifications".to_owned(),
        "/api/v1/auth/me".to_owned(),
        "/api/v1/users".to_owned(),
        "/api/v1/teams".to_owned(),
    ]);
    paths
}

fn assert_clean(what: &str, reply: &Reply) {
    assert!(!reply.text.contains(CANARY), "{what}: {}", reply.text);
    let headers = format!("{:?}", reply.headers);
    assert!(!headers.contains(CANARY), "{what}: {headers}");
}

/// An answer without what is different every time anyway.
fn essence(reply: &Reply) -> (u16, String, String) {
    let mut text = reply.text.clone();
    if let Ok(mut json) = serde_json::from_str::<Value>(&text) {
        if let Some(map) = json.as_object_mut() {
            map.remove("requestId");
        }
        text = json.to_string();
    }
    (reply.status, reply.header("etag"), text)
}

async fn answers(desk: &TestDesk, customer: &Caller, paths: &[String]) -> Vec<(u16, String, String)> {
    let mut seen = Vec::new();
    for path in paths {
        let reply = desk.get(customer, path).await;
        assert_clean(path, &reply);
        seen.push(essence(&reply));
    }
    seen
}

/// Hands every waiting event to its subscribers, as the worker does.
async fn deliver(desk: &TestDesk) {
    use events::{Claim, Outbox as _, Subscriber as _};
    let claim = Claim {
        now: desk.desk.clock.now(),
        lease: std::time::Duration::from_secs(30),
        batch_max: 100,
    };
    loop {
        let claimed = desk.desk.outbox.claim(claim).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        for event in &claimed {
            let event: &Event = event.event.as_ref().unwrap();
            desk.desk.notify_people.handle(event).await.unwrap();
        }
        let ids: Vec<_> = claimed.iter().map(|event| event.id).collect();
        desk.desk.outbox.settle(&ids).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staff_write_among_themselves_moves_nothing_that_a_customer_sees() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let agent = desk.person("age", Role::Agent).await;
    let team = desk.team(&admin, "Front", &[(&agent, TeamRole::Lead)]).await;
    let ticket = desk.ticket(&customer, Some(team)).await;
    let newer = desk.ticket(&customer, Some(team)).await;
    let number = desk.get(&customer, &ticket).await.text_of("/ticketNumber");
    let public = desk
        .post(
            &agent,
            &format!("{ticket}/messages"),
            &json!({ "message": "hello" }),
        )
        .await
        .expect(201);
    let internal = json!({ "message": CANARY, "isInternal": true });
    let secret = desk
        .post(&agent, &format!("{newer}/messages"), &internal)
        .await
        .expect(201)
        .text_of("/id");
    let friend = desk.person("fay", Role::User).await;
    for copied in [&ticket, &newer] {
        let body = json!({ "userId": friend.id });
        let _ = desk
            .post(&agent, &format!("{copied}/cc"), &body)
            .await
            .expect(200);
    }
    deliver(&desk).await;
    desk.take_up().await;

    let paths = questions(&ticket, &number, &public.text_of("/id"), &secret);
    let before = answers(&desk, &customer, &paths).await;
    let friends_before = answers(&desk, &friend, &paths).await;

    // Everything that staff can do on the ticket that is theirs alone.
    let _ = desk
        .post(&agent, &format!("{ticket}/messages"), &internal)
        .await
        .expect(201);
    let note = json!({ "message": CANARY });
    let _ = desk
        .post(&agent, &format!("{ticket}/notes"), &note)
        .await
        .expect(201);
    let metadata = json!({ "metadata": { "secret": CANARY } });
    let _ = desk.patch(&admin, &ticket, &metadata).await.expect(200);
    let written = desk
        .post(&agent, &format!("{ticket}/messages"), &internal)
        .await
        .expect(201)
        .text_of("/id");
    let edit = json!({ "message": format!("{CANARY} edited") });
    let _ = desk
        .patch(&agent, &format!("{ticket}/messages/{written}"), &edit)
        .await
        .expect(200);
    deliver(&desk).await;
    desk.take_up().await;

    assert_eq!(answers(&desk, &customer, &paths).await, before);
    assert_eq!(answers(&desk, &friend, &paths).await, friends_before);
    let tag = &before[0].1;
    let unchanged = desk
        .request("GET", &ticket)
        .by(&customer)
        .header("if-none-match", tag)
        .send()
        .await;
    assert_eq!(unchanged.status, 304);

    // The customer's own writes, and what is refused to them, tell nothing either.
    let writes = [
        desk.patch(&customer, &format!("{ticket}/messages/{written}"), &edit.clone())
            .await,
        desk.post(&customer, &format!("{ticket}/notes"), &json!({ "message": "x" }))
            .await,
        desk.post(
            &customer,
            &format!("{ticket}/messages"),
            &json!({ "message": "x", "isInternal": true }),
        )
        .await,
        desk.request("PATCH", &ticket)
            .by(&customer)
            .header("if-match", tag)
            .json(&json!({ "priority": "low" }))
            .send()
            .await,
        desk.request("POST", &format!("{ticket}/messages"))
            .by(&customer)
            .header("if-match", tag)
            .json(&json!({ "message": "public" }))
            .send()
            .await,
        desk.post(&customer, &format!("{ticket}/close"), &json!({})).await,
        desk.post(
            &customer,
            &format!("{ticket}/reopen"),
            &json!({ "reason": "again" }),
        )
        .await,
    ];
    let statuses: Vec<_> = writes.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [404, 404, 422, 403, 201, 200, 200], "{writes:#?}");
    writes.iter().for_each(|reply| assert_clean("a write", reply));

    let seen = desk.get(&agent, &format!("{ticket}/messages")).await;
    assert!(seen.text.contains(CANARY), "staff do read it");
    let hidden = desk
        .database
        .rows("SELECT title, message, data::text FROM notifications")
        .await;
    assert!(!format!("{hidden:?}").contains(CANARY), "{hidden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requester_hears_of_public_replies_alone() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let ticket = desk.ticket(&customer, None).await;
    let path = format!("{ticket}/messages");
    let _ = desk
        .post(&admin, &path, &json!({ "message": CANARY, "isInternal": true }))
        .await
        .expect(201);
    deliver(&desk).await;
    let count = format!(
        "SELECT count(*) FROM notifications WHERE user_id = '{}'",
        customer.id
    );
    assert_eq!(desk.database.number(&count).await, 0);
    let _ = desk
        .post(&admin, &path, &json!({ "message": "hello" }))
        .await
        .expect(201);
    deliver(&desk).await;
    assert_eq!(desk.database.number(&count).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_longer_staff_hears_nothing_of_internal_text() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let agent = desk.person("age", Role::Agent).await;
    let ticket = desk.ticket(&customer, None).await;
    let _ = desk
        .post(&agent, &format!("{ticket}/claim"), &json!({}))
        .await
        .expect(200);
    let internal = json!({ "message": CANARY, "isInternal": true });
    let count = format!(
        "SELECT count(*) FROM notifications WHERE user_id = '{}'",
        agent.id
    );
    let _ = desk
        .post(&admin, &format!("{ticket}/messages"), &internal)
        .await
        .expect(201);
    deliver(&desk).await;
    assert_eq!(desk.database.number(&count).await, 1);
    let account = format!("/api/v1/users/{}", agent.id);
    let _ = desk
        .patch(&admin, &account, &json!({ "role": "user" }))
        .await
        .expect(200);
    let _ = desk
        .post(&admin, &format!("{ticket}/messages"), &internal)
        .await
        .expect(201);
    deliver(&desk).await;
    assert_eq!(desk.database.number(&count).await, 1);
}
