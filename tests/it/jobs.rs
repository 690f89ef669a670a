//! Many tickets changed by one request, over HTTP: nothing before it is asked for, each once on any number of nodes, and back
//! again.

use std::sync::Arc;
use std::time::Duration;

use desk::app::{Caller, TestDesk, lifted};
use desk::database::test_database;
use futures_util::future::join_all;
use kernel::{Role, TeamId, TeamRole};
use serde_json::{Value, json};

const BULK: &str = "/api/v1/tickets/bulk";

struct World {
    desk: TestDesk,
    agent: Caller,
    customer: Caller,
    team: TeamId,
}

impl World {
    async fn new() -> Self {
        Self::on(TestDesk::start().await).await
    }

    async fn on(desk: TestDesk) -> Self {
        let admin = desk.person("ada", Role::Admin).await;
        let agent = desk.person("age", Role::Agent).await;
        let customer = desk.person("kim", Role::User).await;
        let team = desk.team(&admin, "Front", &[(&agent, TeamRole::Agent)]).await;
        Self {
            desk,
            agent,
            customer,
            team,
        }
    }

    async fn tickets(&self, many: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..many {
            let path = self.desk.ticket(&self.customer, Some(self.team)).await;
            ids.extend(path.rsplit('/').next().map(str::to_owned));
        }
        ids
    }

    /// Copies of a ticket, by one statement.
    async fn copies(&self, many: usize) {
        self.tickets(1).await;
        let columns = "subject, description, created_by, team_id, priority, status, channel, updated_at";
        let copy = format!(
            "INSERT INTO tickets (id, ticket_number, {columns}) SELECT gen_random_uuid(), 'C-' || n, {columns} \
             FROM tickets CROSS JOIN generate_series(2, {many}) n"
        );
        self.desk.database.batch(&copy).await;
    }

    async fn start(&self, body: &Value) -> Value {
        let begun = self.desk.post(&self.agent, BULK, body).await.expect(202);
        let path = format!("/api/v1/jobs/{}", begun.text_of("/id"));
        assert_eq!(begun.header("location"), path);
        begun.json()
    }

    async fn job(&self, job: &Value) -> Value {
        let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
        self.desk.get(&self.agent, &path).await.expect(200).json()
    }

    async fn work_off(&self) {
        while self.desk.desk.jobs.run_once().await.unwrap() > 0 {}
    }

    async fn number(&self, sql: &str) -> i64 {
        self.desk.database.number(sql).await
    }
}

fn all_open() -> Value {
    json!({ "field": "status", "operator": "equals", "value": "open" })
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_dry_run_to_the_undo() {
    let world = World::new().await;
    let ids = world.tickets(3).await;
    let mut body = json!({
        "filter": all_open(),
        "change": { "status": "resolved", "priority": "low", "assignedToId": world.agent.id, "addTags": ["Outage"] },
        "dryRun": true,
    });
    let preview = world
        .desk
        .post(&world.agent, BULK, &body)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&preview["count"], &preview["isEstimate"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(preview["sample"].as_array().unwrap().len(), 3);
    assert_eq!(preview["sample"][0]["outcome"], "changed");
    assert_eq!(world.number("SELECT count(*) FROM jobs").await, 0);
    assert_eq!(
        world
            .number("SELECT count(*) FROM tickets WHERE status <> 'open'")
            .await,
        0
    );

    body["dryRun"] = json!(false);
    let job = world.start(&body).await;
    assert_eq!(
        (&job["state"], &job["total"], &job["done"]),
        (&json!("waiting"), &json!(3), &json!(0))
    );
    world.work_off().await;
    let ended = world.job(&job).await;
    assert_eq!(
        (&ended["state"], &ended["changed"]),
        (&json!("completed"), &json!(3))
    );
    assert!(ended["undoableUntil"].is_string());
    let items = format!("/api/v1/jobs/{}/items", job["id"].as_str().unwrap());
    let page = world
        .desk
        .get(&world.agent, &format!("{items}?limit=2"))
        .await
        .expect(200)
        .json();
    assert_eq!(page["data"][1]["outcome"], "changed");
    let cursor = page["page"]["nextCursor"].as_str().unwrap();
    let rest = world
        .desk
        .get(&world.agent, &format!("{items}?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(rest.expect(200).json()["data"].as_array().unwrap().len(), 1);
    let none = world
        .desk
        .get(&world.agent, &format!("{items}?outcome=refused"))
        .await;
    assert_eq!(none.expect(200).json()["data"], json!([]));
    for id in &ids {
        let ticket = world
            .desk
            .get(&world.agent, &format!("/api/v1/tickets/{id}"))
            .await
            .json();
        let seen = (&ticket["status"], &ticket["priority"], &ticket["tags"]);
        assert_eq!(seen, (&json!("resolved"), &json!("low"), &json!(["outage"])));
    }

    let undo = format!("/api/v1/jobs/{}/undo", job["id"].as_str().unwrap());
    let undoing = world
        .desk
        .post(&world.agent, &undo, &json!({}))
        .await
        .expect(202)
        .json();
    assert_eq!(undoing["undoOf"], job["id"]);
    world
        .desk
        .post(&world.agent, &undo, &json!({}))
        .await
        .problem(409, "job.undone");
    world.work_off().await;
    assert_eq!(world.job(&undoing).await["changed"], json!(3));
    for id in &ids {
        let ticket = world
            .desk
            .get(&world.agent, &format!("/api/v1/tickets/{id}"))
            .await
            .json();
        let seen = (
            &ticket["status"],
            &ticket["priority"],
            &ticket["tags"],
            &ticket["assignedToId"],
        );
        assert_eq!(seen, (&json!("open"), &json!("medium"), &json!([]), &Value::Null));
        assert_eq!(ticket["resolvedAt"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_with_the_place_and_start_nothing() {
    let world = World::new().await;
    let id = &world.tickets(1).await[0];
    let close = json!({ "status": "closed" });
    for (body, pointer, code) in [
        (json!({ "change": close }), "/ids", "required"),
        (json!({ "ids": [], "change": close }), "/ids", "too_few"),
        (
            json!({ "ids": [id], "filter": all_open(), "change": close }),
            "/filter",
            "conflict",
        ),
        (json!({ "ids": [id], "change": {} }), "/change", "required"),
        (
            json!({ "ids": [id], "change": { "status": null } }),
            "/change/status",
            "not_null",
        ),
        (
            json!({ "ids": [id], "change": { "addTags": ["a"], "removeTags": ["A"] } }),
            "/change/addTags/0",
            "conflict",
        ),
        (
            json!({ "ids": [id], "change": { "assignedToId": world.customer.id } }),
            "/change/assignedToId",
            "unknown",
        ),
        (
            json!({ "filter": { "field": "slaBreach", "operator": "equals", "value": true }, "change": close }),
            "/filter/field",
            "unknown_field",
        ),
    ] {
        let reply = world.desk.post(&world.agent, BULK, &body).await;
        let fault = reply.expect(422).json()["errors"][0].clone();
        assert_eq!(
            (&fault["pointer"], &fault["code"]),
            (&json!(pointer), &json!(code)),
            "{body}"
        );
    }
    assert_eq!(world.number("SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_begins_no_second_job() {
    let world = World::new().await;
    let ids = world.tickets(1).await;
    let body = json!({ "ids": ids, "change": { "priority": "high" } });
    let send = async || {
        let request = world.desk.request("POST", BULK).by(&world.agent);
        request
            .header("idempotency-key", "bulk-1")
            .json(&body)
            .send()
            .await
    };
    let replies = join_all((0..6).map(|_| send())).await;
    let begun: Vec<_> = replies.iter().filter(|reply| reply.status == 202).collect();
    assert!(!begun.is_empty());
    assert!(begun.iter().all(|reply| reply.text == begun[0].text));
    assert_eq!(world.number("SELECT count(*) FROM jobs").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_selects_too_many_is_refused() {
    let world = World::new().await;
    world.copies(10_001).await;
    let body = json!({ "filter": all_open(), "change": { "priority": "high" } });
    let refused = world.desk.post(&world.agent, BULK, &body).await.expect(422);
    assert_eq!(refused.json()["errors"][0]["code"], "too_many");
    world
        .desk
        .database
        .batch("DELETE FROM tickets WHERE ticket_number = 'C-2'")
        .await;
    assert_eq!(world.start(&body).await["total"], 10_000);
}

/// Nodes are cut off in the middle again and again; what they had begun others take over once the lease is over.
#[tokio::test(flavor = "multi_thread")]
async fn every_ticket_is_changed_once_by_nodes_that_die_all_the_time() {
    let database = Arc::new(test_database().await);
    let world = World::on(TestDesk::start_on(Arc::clone(&database)).await).await;
    let other = TestDesk::start_configured(Arc::clone(&database), lifted()).await;
    world.copies(400).await;
    let body = json!({ "filter": all_open(), "change": { "priority": "urgent", "addTags": ["x"] } });
    let job = world.start(&body).await;
    let nodes = [&world.desk, &other];
    for round in 0..200_u64 {
        let runs = nodes.iter().zip([3, 7]).map(|(node, pace)| async move {
            let life = Duration::from_millis(5 + round * pace % 60);
            let _ = tokio::time::timeout(life, node.desk.jobs.run_once()).await;
        });
        join_all(runs).await;
        // Nobody waits a minute here for a dead node's lease.
        database
            .batch("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE finished_at IS NULL")
            .await;
        if world.job(&job).await["finishedAt"].is_string() {
            break;
        }
    }
    world.work_off().await;
    let ended = world.job(&job).await;
    let seen = (&ended["state"], &ended["done"], &ended["changed"]);
    assert_eq!(seen, (&json!("completed"), &json!(400), &json!(400)));
    for (what, expected) in [
        ("SELECT count(*) FROM job_results", 400),
        ("SELECT count(*) FROM tickets WHERE priority = 'urgent'", 400),
        (
            "SELECT count(*) FROM ticket_activities WHERE action_type = 'priority_changed'",
            400,
        ),
        (
            "SELECT count(*) FROM ticket_activities WHERE action_type = 'tags_changed'",
            400,
        ),
        (
            "SELECT count(*) FROM outbox WHERE kind = 'ticket.priority_changed'",
            400,
        ),
    ] {
        assert_eq!(world.number(what).await, expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_owners_job_stops() {
    let world = World::new().await;
    let ids = world.tickets(2).await;
    let job = world
        .start(&json!({ "ids": ids, "change": { "status": "closed" } }))
        .await;
    let suspend = format!(
        "UPDATE users SET status = 'suspended' WHERE id = '{}'",
        world.agent.id
    );
    world.desk.database.batch(&suspend).await;
    world.work_off().await;
    let state = format!(
        "SELECT count(*) FROM jobs WHERE state = 'failed' AND id = '{}'",
        job["id"].as_str().unwrap()
    );
    assert_eq!(world.number(&state).await, 1);
    assert_eq!(
        world
            .number("SELECT count(*) FROM tickets WHERE status <> 'open'")
            .await,
        0
    );
}
