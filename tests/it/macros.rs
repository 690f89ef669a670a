//! Macros over HTTP: whose they are, and what applying one does.

use desk::app::{Caller, TestDesk};
use kernel::Role;
use serde_json::{Value, json};

const MACROS: &str = "/api/v1/macros";
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

    async fn made(&self, by: &Caller, visibility: &str, actions: Value) -> Value {
        let body =
            json!({ "name": format!("For {visibility}"), "visibility": visibility, "actions": actions });
        self.desk.post(by, MACROS, &body).await.expect(201).json()
    }

    async fn ticket(&self) -> Value {
        let body = json!({ "subject": "Printer", "description": "d" });
        self.desk
            .post(&self.customer, TICKETS, &body)
            .await
            .expect(201)
            .json()
    }

    async fn listed(&self, by: &Caller, path: &str) -> Vec<Value> {
        let list = self.desk.get(by, path).await.expect(200).json();
        list["data"].as_array().unwrap().clone()
    }
}

fn id(of: &Value) -> &str {
    of["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_macro_is_applied_in_ones_own_name_in_one_step() {
    let world = World::new().await;
    let one = world
        .made(
            &world.agent,
            "own",
            json!([
                { "type": "send_reply", "value": "What is the serial number, {{requester.name}}?" },
                { "type": "set_status", "value": "pending" },
                { "type": "add_tags", "value": ["serial"] },
                { "type": "add_note", "value": "Asked about {{ticket.number}}" },
                { "type": "notify", "to": ["followers"], "value": "asked" },
            ]),
        )
        .await;
    let ticket = world.ticket().await;
    let path = format!("{TICKETS}/{}", id(&ticket));
    let body = json!({ "macroId": id(&one) });
    let apply = || {
        let request = world.desk.request("POST", &format!("{path}/apply-macro"));
        request
            .by(&world.agent)
            .header("idempotency-key", "once")
            .json(&body)
    };
    let applied = apply().send().await.expect(200).json();
    assert_eq!(
        (&applied["status"], &applied["tags"]),
        (&json!("pending"), &json!(["serial"]))
    );
    // The same request again does nothing twice.
    let again = apply().send().await.expect(200).json();
    assert_eq!(again, applied);
    let messages = world.listed(&world.agent, &format!("{path}/messages")).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["message"], "What is the serial number, kim?");
    assert_eq!(messages[0]["senderId"], world.agent.id.to_string());
    let notes = world.listed(&world.agent, &format!("{path}/notes")).await;
    assert_eq!(notes[0]["agentId"], world.agent.id.to_string());
    let history = world.listed(&world.agent, &format!("{path}/activity")).await;
    let by_macro = history.iter().filter(|one| one["metadata"]["macro"] == "For own");
    assert_eq!(by_macro.count(), 4);
    let own = world.desk.get(&world.customer, &format!("{path}/activity")).await;
    assert!(!own.expect(200).text.contains("macro"));
}

/// It does nothing that whoever applies it may not do, and then nothing at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_macro_that_cannot_be_done_whole_does_nothing() {
    let world = World::new().await;
    let mut policy = Value::Null;
    // The first one is the default, under which the ticket comes.
    for name in ["Standard", "Gold"] {
        let body = json!({ "name": name, "firstResponseTime": 60, "resolutionTime": 480, "businessHoursOnly": false });
        let made = world.desk.post(&world.admin, "/api/v1/sla-policies", &body).await;
        policy = made.expect(201).json();
    }
    let one = world
        .made(
            &world.admin,
            "all",
            json!([
                { "type": "add_tags", "value": ["gold"] },
                { "type": "set_sla_policy", "value": id(&policy) },
            ]),
        )
        .await;
    let ticket = world.ticket().await;
    let path = format!("{TICKETS}/{}", id(&ticket));
    let apply = format!("{path}/apply-macro");
    let body = json!({ "macroId": id(&one) });
    let refused = world.desk.post(&world.agent, &apply, &body).await;
    refused.problem(403, "access.forbidden");
    let same = world.desk.get(&world.agent, &path).await.expect(200).json();
    assert_eq!(same["tags"], json!([]));
    let done = world
        .desk
        .post(&world.admin, &apply, &body)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&done["tags"], &done["slaPolicyId"]),
        (&json!(["gold"]), &policy["id"])
    );
    // One that changes nothing any more is no error.
    let _ = world.desk.post(&world.admin, &apply, &body).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn macros_are_ones_own_a_teams_or_everyones() {
    let world = World::new().await;
    let note = || json!([{ "type": "add_note", "value": "x" }]);
    let own = world.made(&world.agent, "own", note()).await;
    let all = world.made(&world.admin, "all", note()).await;
    assert_eq!(own["ownerId"], world.agent.id.to_string());
    let seen: Vec<_> = world.listed(&world.agent, MACROS).await;
    assert_eq!(seen.iter().map(id).collect::<Vec<_>>(), [id(&own), id(&all)]);
    let seen = world.listed(&world.admin, MACROS).await;
    assert_eq!(seen.iter().map(id).collect::<Vec<_>>(), [id(&all)]);
    let path = format!("{MACROS}/{}", id(&own));
    world
        .desk
        .get(&world.admin, &path)
        .await
        .problem(404, "macro.not_found");
    world
        .desk
        .get(&world.customer, &path)
        .await
        .problem(403, "access.forbidden");
    // Nobody gives to others what they may not write, nor lets it reach outside.
    let given = world
        .desk
        .patch(&world.agent, &path, &json!({ "visibility": "all" }))
        .await;
    given.problem(403, "access.forbidden");
    let renamed = world
        .desk
        .patch(&world.agent, &path, &json!({ "name": "New" }))
        .await;
    assert_eq!(renamed.expect(200).json()["name"], "New");
    let outside = json!({ "name": "x", "visibility": "own",
        "actions": [{ "type": "webhook", "value": "01890a5d-ac96-774b-bcce-b302099a8057" }] });
    let refused = world
        .desk
        .post(&world.agent, MACROS, &outside)
        .await
        .expect(422)
        .json();
    assert_eq!(refused["errors"][0]["pointer"], "/actions/0/type");
    let unknown = world
        .desk
        .patch(&world.agent, &path, &json!({ "colour": "red" }))
        .await
        .expect(422)
        .json();
    assert_eq!(unknown["errors"][0]["code"], "unknown_member");
    let gone = world.desk.request("DELETE", &path).by(&world.agent).send().await;
    let _ = gone.expect(204);
    world
        .desk
        .get(&world.agent, &path)
        .await
        .problem(404, "macro.not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_macro_calls_a_webhook_once_it_is_applied() {
    let world = World::new().await;
    let hook =
        json!({ "name": "CRM", "url": "https://example.org/hook", "currentPassword": desk::app::PASSWORD });
    let hook = world
        .desk
        .post(&world.admin, "/api/v1/webhooks", &hook)
        .await
        .expect(201)
        .json();
    let one = world
        .made(
            &world.admin,
            "all",
            json!([{ "type": "webhook", "value": id(&hook), "payload": { "n": "{{ticket.number}}" } }]),
        )
        .await;
    let ticket = world.ticket().await;
    let apply = format!("{TICKETS}/{}/apply-macro", id(&ticket));
    let _ = world
        .desk
        .post(&world.agent, &apply, &json!({ "macroId": id(&one) }))
        .await
        .expect(200);
    let deliveries = format!("/api/v1/webhooks/{}/deliveries", id(&hook));
    let queued = world.listed(&world.admin, &deliveries).await;
    assert_eq!(
        (queued.len(), &queued[0]["event"]),
        (1, &json!("automation.macro_applied"))
    );
    let whole = format!("{deliveries}/{}", id(&queued[0]));
    let whole = world.desk.get(&world.admin, &whole).await.expect(200).json();
    assert_eq!(whole["payload"]["data"]["payload"]["n"], ticket["ticketNumber"]);
    assert_eq!(whole["payload"]["data"]["macroId"], one["id"]);
}
