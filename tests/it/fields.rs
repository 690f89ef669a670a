//! Custom fields over HTTP: what administrators define is what tickets take, and what is found by it.

use desk::app::{Caller, TestDesk};
use kernel::Role;
use serde_json::{Value, json};

const FIELDS: &str = "/api/v1/ticket-fields";
const TICKETS: &str = "/api/v1/tickets";

struct World {
    desk: TestDesk,
    admin: Caller,
    agent: Caller,
    customer: Caller,
}

impl World {
    async fn new() -> Self {
        let desk = TestDesk::start().await;
        Self {
            admin: desk.person("ada", Role::Admin).await,
            agent: desk.person("age", Role::Agent).await,
            customer: desk.person("kim", Role::User).await,
            desk,
        }
    }

    /// A text with a pattern and a select that customers fill in, the select required, and a number of staff.
    async fn defined() -> Self {
        let world = Self::new().await;
        for body in [
            json!({ "name": "serial", "label": "Serial", "type": "text", "pattern": "[A-Z]{2}-\\d+", "userEditable": true }),
            json!({ "name": "site", "label": "Site", "type": "select", "options": ["Berlin", "Wien"],
                "required": true, "userEditable": true, "position": 1 }),
            json!({ "name": "cost", "label": "Cost", "type": "number", "position": 2 }),
        ] {
            let _ = world.desk.post(&world.admin, FIELDS, &body).await.expect(201);
        }
        world
    }

    async fn open(&self, by: &Caller, fields: &Value) -> desk::app::Reply {
        let body = json!({ "subject": "s", "description": "d", "customFields": fields });
        self.desk.post(by, TICKETS, &body).await
    }
}

/// The place and the code of each fault.
fn faults(reply: desk::app::Reply) -> Vec<(String, String)> {
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
    let problem = reply.expect(422).json();
    let faults = problem["errors"].as_array().unwrap();
    faults
        .iter()
        .map(|fault| (text(fault, "pointer"), text(fault, "code")))
        .collect()
}

fn fault(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_take_what_is_defined_and_all_faults_are_told_at_once() {
    let world = World::defined().await;
    let list = world.desk.get(&world.customer, FIELDS).await.expect(200).json();
    let names: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| &field["name"])
        .collect();
    assert_eq!(names, ["serial", "site", "cost"]);
    let bad = world
        .open(
            &world.customer,
            &json!({ "serial": "x", "cost": 3, "color": "red" }),
        )
        .await;
    let expected = [
        fault("/customFields/color", "unknown_field"),
        fault("/customFields/cost", "not_allowed"),
        fault("/customFields/serial", "no_match"),
        fault("/customFields/site", "required"),
    ];
    let mut told = faults(bad);
    told.sort();
    assert_eq!(told, expected);
    let good = world
        .open(&world.customer, &json!({ "serial": "AB-1", "site": "Wien" }))
        .await
        .expect(201);
    let path = format!("{TICKETS}/{}", good.text_of("/id"));
    let patch = async |by: &Caller, fields: Value| {
        let body = json!({ "customFields": fields });
        world.desk.patch(by, &path, &body).await
    };
    assert_eq!(
        faults(patch(&world.customer, json!({ "cost": 1 })).await),
        [fault("/customFields/cost", "not_allowed")]
    );
    assert_eq!(
        faults(patch(&world.agent, json!({ "site": null })).await),
        [fault("/customFields/site", "required")]
    );
    assert_eq!(
        faults(patch(&world.agent, json!({ "site": "Rom" })).await),
        [fault("/customFields/site", "not_allowed")]
    );
    let changed = patch(&world.agent, json!({ "cost": 12.5, "serial": null }))
        .await
        .expect(200)
        .json();
    assert_eq!(changed["customFields"], json!({ "site": "Wien", "cost": 12.5 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_without_definitions_takes_any_and_keeps_it_when_there_are_some() {
    let world = World::new().await;
    let made = world
        .open(&world.customer, &json!({ "color": "red" }))
        .await
        .expect(201);
    let path = format!("{TICKETS}/{}", made.text_of("/id"));
    let body = json!({ "name": "site", "label": "Site", "type": "text" });
    let field = world.desk.post(&world.admin, FIELDS, &body).await.expect(201);
    // On the node that defined it, at once.
    assert_eq!(
        faults(world.open(&world.customer, &json!({ "color": "red" })).await),
        [fault("/customFields/color", "unknown_field")]
    );
    let kept = world
        .desk
        .patch(&world.agent, &path, &json!({ "customFields": { "site": "x" } }))
        .await;
    assert_eq!(
        kept.expect(200).json()["customFields"],
        json!({ "color": "red", "site": "x" })
    );
    let cleared = world
        .desk
        .patch(&world.agent, &path, &json!({ "customFields": { "color": null } }))
        .await;
    assert_eq!(cleared.expect(200).json()["customFields"], json!({ "site": "x" }));
    let gone = format!("{FIELDS}/{}", field.text_of("/id"));
    let deleted = world.desk.request("DELETE", &gone).by(&world.admin).send().await;
    let _ = deleted.expect(204);
    let _ = world
        .open(&world.customer, &json!({ "color": "red" }))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_knows_within_three_seconds() {
    let database = std::sync::Arc::new(desk::database::test_database().await);
    let desk = TestDesk::start_on(std::sync::Arc::clone(&database)).await;
    let admin = desk.person("ada", Role::Admin).await;
    let other = TestDesk::start_configured(database, desk::app::lifted()).await;
    let body = json!({ "subject": "s", "description": "d", "customFields": { "color": "red" } });
    let _ = other.post(&admin, TICKETS, &body).await.expect(201);
    let field = json!({ "name": "site", "label": "Site", "type": "text" });
    let _ = desk.post(&admin, FIELDS, &field).await.expect(201);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while other.post(&admin, TICKETS, &body).await.status != 422 {
        assert!(
            std::time::Instant::now() < deadline,
            "the other node never learns of it"
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_definitions_are_refused_with_their_places() {
    let world = World::defined().await;
    for (body, pointer, code) in [
        (
            json!({ "name": "A", "label": "l", "type": "text" }),
            "/name",
            "bad_character",
        ),
        (
            json!({ "name": "a", "label": "", "type": "text" }),
            "/label",
            "too_short",
        ),
        (
            json!({ "name": "a", "label": "l", "type": "text", "pattern": "(" }),
            "/pattern",
            "bad_pattern",
        ),
        (
            json!({ "name": "a", "label": "l", "type": "date", "pattern": "x" }),
            "/pattern",
            "not_allowed",
        ),
        (
            json!({ "name": "a", "label": "l", "type": "select" }),
            "/options",
            "required",
        ),
        (
            json!({ "name": "a", "label": "l", "type": "select", "options": ["x", "x"] }),
            "/options/1",
            "duplicate",
        ),
        (
            json!({ "name": "a", "label": "l", "type": "text", "position": -1 }),
            "/position",
            "out_of_range",
        ),
    ] {
        let reply = world.desk.post(&world.admin, FIELDS, &body).await;
        assert_eq!(faults(reply), [fault(pointer, code)], "{body}");
    }
    let taken = json!({ "name": "site", "label": "l", "type": "text" });
    world
        .desk
        .post(&world.admin, FIELDS, &taken)
        .await
        .problem(409, "ticket_field.name_taken");
    let list = world.desk.get(&world.admin, FIELDS).await.json();
    let serial = format!("{FIELDS}/{}", list["data"][0]["id"].as_str().unwrap());
    let tag = world.desk.get(&world.admin, &serial).await.header("etag");
    let changed = world
        .desk
        .patch(&world.admin, &serial, &json!({ "pattern": null, "label": "No." }))
        .await;
    assert_eq!(changed.expect(200).json()["pattern"], Value::Null);
    let stale = world
        .desk
        .request("PATCH", &serial)
        .by(&world.admin)
        .header("if-match", &tag);
    stale
        .json(&json!({ "label": "x" }))
        .send()
        .await
        .problem(412, "request.stale");
    let options = world
        .desk
        .patch(&world.admin, &serial, &json!({ "options": ["x"] }))
        .await;
    assert_eq!(faults(options), [fault("/options", "not_allowed")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_found_by_their_custom_fields() {
    let world = World::new().await;
    for fields in [
        json!({ "floor": 2, "site": "Wien", "parts": ["fan", "psu"], "spare": true }),
        json!({ "floor": "2", "site": "Wien Mitte" }),
        json!({ "floor": 3 }),
    ] {
        let _ = world.open(&world.customer, &fields).await.expect(201);
    }
    world.desk.take_up().await;
    for (text, found) in [
        ("field.floor:2", 2),
        ("-field.floor:2", 1),
        ("field.site:Wien", 1),
        ("field.site:\"Wien Mitte\"", 1),
        ("field.parts:psu", 1),
        ("field.spare:true", 1),
        ("field.none:x", 0),
    ] {
        let path = format!("{TICKETS}/search?count=true&q={}", desk::app::encoded(text));
        let page = world.desk.get(&world.customer, &path).await.expect(200).json();
        assert_eq!(page["page"]["totalCount"], found, "{text}");
        assert_eq!(page["data"].as_array().unwrap().len(), found, "{text}");
    }
}
