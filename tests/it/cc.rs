//! People to whom a ticket is copied: they have part in it as its requester has, for as long as it is copied to them.

use desk::app::{Caller, Reply, TestDesk};
use kernel::Role;
use serde_json::{Value, json};

struct World {
    desk: TestDesk,
    agent: Caller,
    customer: Caller,
    friend: Caller,
    ticket: String,
}

impl World {
    /// A customer's ticket in a team of one.
    async fn new() -> Self {
        let desk = TestDesk::start().await;
        let admin = desk.person("ada", Role::Admin).await;
        let agent = desk.person("age", Role::Agent).await;
        let customer = desk.person("kim", Role::User).await;
        let friend = desk.person("fay", Role::User).await;
        let team = desk
            .team(&admin, "Front", &[(&agent, kernel::TeamRole::Agent)])
            .await;
        let ticket = desk.ticket(&customer, Some(team)).await;
        Self {
            desk,
            agent,
            customer,
            friend,
            ticket,
        }
    }

    async fn post(&self, by: &Caller, path: &str, body: Value) -> Reply {
        self.desk
            .post(by, &format!("{}/{path}", self.ticket), &body)
            .await
    }

    async fn copy_to(&self, person: &Caller) -> Reply {
        self.post(&self.agent, "cc", json!({ "userId": person.id })).await
    }

    async fn stop_copying_to(&self, person: &Caller) -> Reply {
        let path = format!("{}/cc", self.ticket);
        let request = self.desk.request("DELETE", &path).by(&self.agent);
        request.json(&json!({ "userId": person.id })).send().await
    }

    /// The ids of the tickets in an answer.
    async fn ids(&self, by: &Caller, path: &str) -> Vec<String> {
        let list = self.desk.get(by, path).await.expect(200).json();
        let rows = list["data"].as_array().unwrap();
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    }

    fn id(&self) -> String {
        self.ticket.rsplit('/').next().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_a_ticket_is_copied_to_has_part_in_it_until_it_no_longer_is() {
    let world = World::new().await;
    let lists = [
        "/api/v1/tickets".to_owned(),
        "/api/v1/tickets?sort=createdAt&status=open".to_owned(),
        format!("/api/v1/tickets?createdBy={}", world.customer.id),
        "/api/v1/tickets/search?q=status:open".to_owned(),
    ];
    let _ = world.desk.get(&world.friend, &world.ticket).await.expect(404);
    for list in &lists {
        assert_eq!(
            world.ids(&world.friend, list).await,
            Vec::<String>::new(),
            "{list}"
        );
    }
    let copied = world.copy_to(&world.friend).await.expect(200);
    assert_eq!(copied.json()["ccIds"], json!([world.friend.id]));
    // Again, and to whoever asked for it: nothing changes.
    let again = world.copy_to(&world.friend).await.expect(200);
    assert_eq!(again.header("etag"), copied.header("etag"));
    let asked = world.copy_to(&world.customer).await.expect(200);
    assert_eq!(asked.header("etag"), copied.header("etag"));

    for list in &lists {
        assert_eq!(world.ids(&world.friend, list).await, [world.id()], "{list}");
        assert_eq!(world.ids(&world.customer, list).await, [world.id()], "{list}");
    }
    let counted = world
        .desk
        .get(&world.friend, "/api/v1/tickets?count=true")
        .await
        .expect(200);
    assert_eq!(counted.json()["page"]["totalCount"], json!(1));
    // Both sides see who is there; customers learn no addresses.
    for (reader, knows_addresses) in [
        (&world.customer, false),
        (&world.friend, false),
        (&world.agent, true),
    ] {
        let path = format!("{}/cc", world.ticket);
        let people = world.desk.get(reader, &path).await.expect(200).json();
        assert_eq!(people["data"][0]["id"], json!(world.friend.id));
        assert_eq!(people["data"][0]["email"].is_string(), knows_addresses);
    }

    let _ = world.stop_copying_to(&world.friend).await.expect(200);
    let _ = world.desk.get(&world.friend, &world.ticket).await.expect(404);
    for list in &lists {
        assert_eq!(
            world.ids(&world.friend, list).await,
            Vec::<String>::new(),
            "{list}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_write_as_customers_and_are_told_of_replies_but_do_not_rate() {
    let world = World::new().await;
    let _ = world.copy_to(&world.friend).await.expect(200);
    assert_eq!(world.desk.told(&world.friend).await, ["copied"]);
    let _ = world
        .post(&world.agent, "messages", json!({ "message": "one" }))
        .await
        .expect(201);
    let _ = world
        .post(&world.agent, "notes", json!({ "message": "inside" }))
        .await
        .expect(201);
    assert_eq!(world.desk.told(&world.friend).await, ["replied", "copied"]);
    assert_eq!(world.desk.told(&world.customer).await, ["replied"]);
    let shown = world
        .desk
        .get(&world.friend, &world.ticket)
        .await
        .expect(200)
        .json();
    assert_eq!(shown["messageCount"], json!(1), "notes are none of theirs");

    // Their reply opens it again as the requester's would, and is no answer of the desk.
    let _ = world.post(&world.agent, "resolve", json!({})).await.expect(200);
    let rated = world.post(&world.friend, "rate", json!({ "score": 1 })).await;
    assert_eq!(rated.expect(403).json()["code"], json!("access.forbidden"));
    let resolved = world
        .desk
        .get(&world.friend, &world.ticket)
        .await
        .expect(200)
        .json();
    let allowed = resolved["allowedActions"].as_array().unwrap();
    assert!(
        allowed.contains(&json!("reopen")) && !allowed.contains(&json!("rate")),
        "{allowed:?}"
    );
    let _ = world
        .post(&world.friend, "messages", json!({ "message": "not yet" }))
        .await
        .expect(201);
    let open = world
        .desk
        .get(&world.agent, &world.ticket)
        .await
        .expect(200)
        .json();
    assert_eq!(open["status"], json!("open"));
    assert_eq!(world.desk.told(&world.customer).await, ["replied", "replied"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_a_message_of_theirs_makes_no_answer_of_it() {
    let world = World::new().await;
    let _ = world.copy_to(&world.friend).await.expect(200);
    let theirs = world
        .post(&world.friend, "messages", json!({ "message": "theirs" }))
        .await
        .expect(201);
    let own = world
        .post(&world.customer, "messages", json!({ "message": "own" }))
        .await
        .expect(201);
    let split = json!({ "messageIds": [own.text_of("/id")], "subject": "Another matter" });
    let _ = world.post(&world.agent, "split", split).await.expect(201);
    let left = world
        .desk
        .get(&world.agent, &world.ticket)
        .await
        .expect(200)
        .json();
    assert_eq!(
        left["firstResponseAt"],
        Value::Null,
        "{theirs:?}",
        theirs = theirs.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_copied_to_twenty_active_people_at_the_most() {
    let world = World::new().await;
    let unknown = json!({ "userId": uuid::Uuid::from_u128(7) });
    let fault = world.post(&world.agent, "cc", unknown).await.expect(422).json();
    assert_eq!(fault["errors"][0]["pointer"], json!("/userId"));
    for number in 0..20 {
        let person = world.desk.person(&format!("p{number}"), Role::User).await;
        let _ = world.copy_to(&person).await.expect(200);
    }
    let full = world.copy_to(&world.friend).await.expect(409).json();
    assert_eq!(full["code"], json!("ticket.too_many_cc"));
    assert_eq!(full["detail"], json!("A ticket is copied to at most 20 people."));
}
