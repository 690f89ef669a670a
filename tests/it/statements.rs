//! What a request asks of the database does not grow with what it finds: no statement for each row.

use desk::app::{Caller, TestDesk};
use kernel::Role;
use serde_json::json;

/// How often a connection is lent for a request; the least of some tries, for now and then a session is looked up anew.
async fn asked(desk: &TestDesk, request: impl AsyncFn()) -> u64 {
    let database = desk.database.database();
    let mut least = u64::MAX;
    for _ in 0..4 {
        let before = database.lent();
        request().await;
        least = least.min(database.lent() - before);
    }
    least
}

async fn get(desk: &TestDesk, caller: &Caller, path: &str) -> u64 {
    let request = async || {
        let _ = desk.get(caller, path).await.expect(200);
    };
    asked(desk, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_asks_as_often_for_much_as_for_little() {
    let desk = TestDesk::start().await;
    let ada = desk.person("ada", Role::Admin).await;
    let people = [
        desk.person("kim", Role::User).await,
        desk.person("eve", Role::User).await,
    ];
    let ticket = desk.ticket(&people[0], None).await;
    for number in 0..30 {
        let path = desk.ticket(&people[number % 2], None).await;
        let _ = desk
            .post(&ada, &format!("{path}/claim"), &json!({}))
            .await
            .expect(200);
        let body = json!({ "message": format!("Message {number}") });
        let _ = desk
            .post(&ada, &format!("{ticket}/messages"), &body)
            .await
            .expect(201);
    }
    desk.take_up().await;
    let list = "/api/v1/tickets?include=createdBy,assignedTo";
    let search = "/api/v1/tickets/search?q=printer&include=createdBy,assignedTo";
    for (what, few, many, most) in [
        ("list", format!("{list}&limit=1"), format!("{list}&limit=30"), 2),
        (
            "messages",
            format!("{ticket}/messages?limit=1"),
            format!("{ticket}/messages?limit=30"),
            2,
        ),
        (
            "history",
            format!("{ticket}/activity?limit=1"),
            format!("{ticket}/activity?limit=30"),
            3,
        ),
        (
            "search",
            format!("{search}&limit=1"),
            format!("{search}&limit=30"),
            4,
        ),
        (
            "search by time",
            format!("{search}&limit=1&sort=-updatedAt"),
            format!("{search}&limit=30&sort=-updatedAt"),
            4,
        ),
        (
            "show",
            ticket.clone(),
            format!("{ticket}?include=createdBy,assignedTo,team"),
            2,
        ),
    ] {
        let (few, many) = (get(&desk, &ada, &few).await, get(&desk, &ada, &many).await);
        assert!(many <= most, "{what}: {many} statements");
        assert!(
            many == few || what == "show",
            "{what}: {few} statements for few rows, {many} for many"
        );
    }
    let create = async |body: serde_json::Value| {
        let request = async || {
            let _ = desk.post(&people[0], "/api/v1/tickets", &body).await.expect(201);
        };
        asked(&desk, request).await
    };
    let plain = json!({ "subject": "s", "description": "d" });
    let tags: Vec<String> = (0..20).map(|tag| format!("tag{tag}")).collect();
    let full =
        json!({ "subject": "s", "description": "d", "tags": tags, "customFields": { "a": 1, "b": "c" } });
    let (few, many) = (create(plain).await, create(full).await);
    assert_eq!(
        (few, many),
        (2, 2),
        "a number, and the ticket with all that goes with it"
    );
}
