//! Service levels over HTTP: what is promised, what follows each change of a ticket, what is told when, and why.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use credentials::SystemClock;
use desk::app::{Caller, TestDesk, encoded, lifted};
use desk::database::test_database;
use kernel::{Clock as _, ManualClock, Role};
use serde_json::{Value, json};

const POLICIES: &str = "/api/v1/sla-policies";
const TICKETS: &str = "/api/v1/tickets";

struct World {
    desk: TestDesk,
    admin: Caller,
    agent: Caller,
    customer: Caller,
}

/// Around the clock: an answer in an hour, a resolution in eight.
fn standard() -> Value {
    json!({ "name": "Standard", "firstResponseTime": 60, "resolutionTime": 480, "businessHoursOnly": false,
        "priorityMultipliers": { "urgent": 0.5 } })
}

fn at(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
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

    async fn policy(&self, body: Value) -> Value {
        self.desk
            .post(&self.admin, POLICIES, &body)
            .await
            .expect(201)
            .json()
    }

    /// A ticket of the customer, as staff see it.
    async fn ticket(&self, more: Value) -> Value {
        let mut body = json!({ "subject": "s", "description": "d" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.desk.post(&self.customer, TICKETS, &body).await;
        let id = made.expect(201).text_of("/id");
        self.shown(&id).await
    }

    async fn shown(&self, id: &str) -> Value {
        let path = format!("{TICKETS}/{id}");
        self.desk.get(&self.admin, &path).await.expect(200).json()
    }

    async fn act(&self, by: &Caller, ticket: &Value, action: &str, body: Value) -> Value {
        let path = format!("{TICKETS}/{}/{action}", ticket["id"].as_str().unwrap());
        let reply = self.desk.post(by, &path, &body).await;
        assert!(reply.status < 300, "{action}: {}", reply.text);
        self.shown(ticket["id"].as_str().unwrap()).await
    }

    async fn explained(&self, ticket: &Value) -> Value {
        let path = format!("{TICKETS}/{}/sla", ticket["id"].as_str().unwrap());
        let explained = self.desk.get(&self.agent, &path).await.expect(200).json();
        hold_the_law(&explained);
        explained
    }

    /// Lets everything that the clocks know have been so much earlier.
    async fn age_clocks(&self, time: TimeDelta) {
        let micros = time.num_microseconds().unwrap();
        let rows = "SELECT ticket_id::text, state::text FROM ticket_clocks";
        for row in self.desk.database.rows(rows).await {
            let [Some(ticket), Some(state)] = row.as_slice() else {
                panic!("a row has two columns: {row:?}");
            };
            let mut state: Value = serde_json::from_str(state).unwrap();
            shift(&mut state, micros);
            let update = format!(
                "UPDATE ticket_clocks SET wake_at = wake_at - interval '{micros} microseconds', state = '{state}' \
                 WHERE ticket_id = '{ticket}'"
            );
            self.desk.database.batch(&update).await;
        }
    }
}

/// Moves each moment of a document back.
fn shift(document: &mut Value, micros: i64) {
    match document {
        Value::Object(members) => {
            for (name, value) in members {
                let is_moment = ["at", "startedAt", "since", "dueAt", "breachedAt"].contains(&name.as_str());
                match value.as_i64() {
                    Some(at) if is_moment => *value = json!(at - micros),
                    Some(_) | None => shift(value, micros),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| shift(value, micros)),
        _ => {}
    }
}

/// Counted + paused + closed = elapsed, of each clock, and of the ledger's stretches, which lie side by side.
fn hold_the_law(explained: &Value) {
    let now = at(&explained["at"]);
    for clock in explained["clocks"].as_array().unwrap() {
        let until = if clock["stoppedAt"].is_null() {
            now
        } else {
            at(&clock["stoppedAt"])
        };
        let elapsed = until - at(&clock["startedAt"]);
        let sum: f64 = ["countedSeconds", "pausedSeconds", "closedSeconds"]
            .map(|name| clock[name].as_f64().unwrap())
            .iter()
            .sum();
        let micros = (sum * 1e6).round() as i64;
        assert_eq!(Some(micros), elapsed.num_microseconds(), "{clock:#}");
        let stretches = explained["ledger"].as_array().unwrap().iter();
        let mine: Vec<_> = stretches
            .filter(|stretch| stretch["metric"] == clock["metric"] && stretch["run"] == clock["run"])
            .collect();
        for pair in mine.windows(2) {
            assert_eq!(pair[0]["to"], pair[1]["from"], "{explained:#}");
        }
    }
}

fn clock<'a>(explained: &'a Value, metric: &str) -> &'a Value {
    let clocks = explained["clocks"].as_array().unwrap();
    clocks.iter().find(|clock| clock["metric"] == metric).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_shows_what_is_promised_from_its_first_moment_and_its_clocks_follow_each_change() {
    let world = World::new().await;
    let policy = world.policy(standard()).await;
    assert_eq!(policy["isDefault"], true);

    let ticket = world.ticket(json!({})).await;
    let created = at(&ticket["createdAt"]);
    assert_eq!(ticket["slaPolicyId"], policy["id"]);
    assert_eq!(ticket["slaBreached"], false);
    assert_eq!(at(&ticket["slaDueAt"]), created + TimeDelta::minutes(60));

    // A customer sees nothing of it.
    let path = format!("{TICKETS}/{}", ticket["id"].as_str().unwrap());
    let theirs = world.desk.get(&world.customer, &path).await.expect(200).json();
    assert!(theirs.get("slaDueAt").is_none());
    world
        .desk
        .get(&world.customer, &format!("{path}/sla"))
        .await
        .problem(404, "ticket.not_found");

    // Once answered, the resolution is next.
    let answered = world
        .act(
            &world.agent,
            &ticket,
            "messages",
            json!({ "message": "We look." }),
        )
        .await;
    assert_eq!(at(&answered["slaDueAt"]), created + TimeDelta::minutes(480));
    let explained = world.explained(&ticket).await;
    assert_eq!(clock(&explained, "first_response")["state"], "met");
    assert_eq!(clock(&explained, "resolution")["state"], "running");

    // Half the time from now on; the customer's next message begins another response.
    let path = format!("{TICKETS}/{}", ticket["id"].as_str().unwrap());
    let urgent = json!({ "priority": "urgent" });
    let _ = world.desk.patch(&world.agent, &path, &urgent).await.expect(200);
    let more = world
        .act(&world.customer, &ticket, "messages", json!({ "message": "And?" }))
        .await;
    let explained = world.explained(&ticket).await;
    let next = clock(&explained, "next_response");
    assert_eq!(next["targetSeconds"], 1800.0);
    assert_eq!(more["slaDueAt"], next["dueAt"]);
    let resolution = at(&clock(&explained, "resolution")["dueAt"]);
    assert_eq!(resolution, created + TimeDelta::minutes(240));

    // Pending: nothing is due. Resolved: it is stopped.
    let pending = json!({ "status": "pending" });
    let _ = world.desk.patch(&world.agent, &path, &pending).await.expect(200);
    let shown = world.shown(ticket["id"].as_str().unwrap()).await;
    assert_eq!(shown["slaDueAt"], Value::Null);
    let explained = world.explained(&ticket).await;
    assert_eq!(clock(&explained, "resolution")["state"], "paused");
    assert_eq!(clock(&explained, "resolution")["cause"], "pending");
    let _ = world.act(&world.agent, &ticket, "resolve", json!({})).await;
    let explained = world.explained(&ticket).await;
    assert_eq!(clock(&explained, "resolution")["state"], "met");
    let kinds: Vec<_> = explained["ledger"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|stretch| stretch["metric"] == "resolution")
        .map(|stretch| stretch["kind"].as_str().unwrap())
        .collect();
    // Medium, urgent, pending.
    assert_eq!(kinds, ["counted", "counted", "paused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_the_first_whose_filter_fits_and_is_asked_for_again_when_the_ticket_becomes_another() {
    let world = World::new().await;
    let default = world.policy(standard()).await;
    let mut body = standard();
    body["name"] = json!("Urgent");
    body["firstResponseTime"] = json!(10);
    body["filter"] = json!({ "field": "priority", "operator": "equals", "value": "urgent" });
    let urgent = world.policy(body).await;

    let ticket = world.ticket(json!({})).await;
    assert_eq!(ticket["slaPolicyId"], default["id"]);
    let other = world.ticket(json!({ "priority": "urgent" })).await;
    assert_eq!(other["slaPolicyId"], urgent["id"]);
    let due = at(&other["createdAt"]) + TimeDelta::minutes(5);
    assert_eq!(at(&other["slaDueAt"]), due);

    let path = format!("{TICKETS}/{}", ticket["id"].as_str().unwrap());
    let change = json!({ "priority": "urgent" });
    let _ = world.desk.patch(&world.agent, &path, &change).await.expect(200);
    let shown = world.shown(ticket["id"].as_str().unwrap()).await;
    assert_eq!(shown["slaPolicyId"], urgent["id"]);
    let due = at(&shown["createdAt"]) + TimeDelta::minutes(5);
    assert_eq!(at(&shown["slaDueAt"]), due);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_is_promised_reaches_the_tickets_and_a_deleted_policy_is_followed_by_another() {
    let world = World::new().await;
    let first = world.policy(standard()).await;
    let ticket = world.ticket(json!({})).await;
    let id = ticket["id"].as_str().unwrap();
    let created = at(&ticket["createdAt"]);

    let path = format!("{POLICIES}/{}", first["id"].as_str().unwrap());
    let change = json!({ "firstResponseTime": 30 });
    let changed = world
        .desk
        .patch(&world.admin, &path, &change)
        .await
        .expect(200)
        .json();
    assert_eq!(changed["termsVersion"], 2);
    assert_eq!(changed["calendarVersion"], 1);
    assert_eq!(world.desk.desk.ticket_sla.sweep().await.unwrap(), 1);
    assert_eq!(world.desk.desk.ticket_sla.sweep().await.unwrap(), 0);
    let shown = world.shown(id).await;
    assert_eq!(at(&shown["slaDueAt"]), created + TimeDelta::minutes(30));
    // Nobody changed the ticket itself.
    assert_eq!(shown["updatedAt"], ticket["updatedAt"]);
    let explained = world.explained(&ticket).await;
    assert_eq!(explained["policyVersion"], 2);
    let versions: Vec<_> = explained["ledger"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|stretch| stretch["metric"] == "resolution")
        .map(|stretch| stretch["policyVersion"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, [1, 2]);

    // It cannot go without a successor; with one, the ticket goes on by that.
    let refused = world.desk.request("DELETE", &path).by(&world.admin).send().await;
    refused.problem(409, "sla_policy.in_use");
    let mut body = standard();
    body["name"] = json!("Other");
    body["firstResponseTime"] = json!(90);
    let second = world.policy(body).await;
    let with = format!("{path}?successorId={}", second["id"].as_str().unwrap());
    let gone = world.desk.request("DELETE", &with).by(&world.admin).send().await;
    let _ = gone.expect(204);
    assert_eq!(world.shown(id).await["slaPolicyId"], second["id"]);
    assert_eq!(world.desk.desk.ticket_sla.sweep().await.unwrap(), 1);
    let shown = world.shown(id).await;
    assert_eq!(at(&shown["slaDueAt"]), created + TimeDelta::minutes(90));
    let list = world.desk.get(&world.agent, POLICIES).await.expect(200).json();
    assert_eq!(list["data"][0]["isDefault"], true);
    let _ = world.explained(&ticket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_breaches_and_steps_are_told_once_and_in_order_by_whichever_node_comes_first() {
    let world = World::new().await;
    let mut body = standard();
    body["escalationRules"] = json!([
        { "metric": "first_response", "at": "50%", "actions": [] },
        { "metric": "first_response", "at": "+10m", "actions": [] },
    ]);
    let _ = world.policy(body).await;
    let mut tickets = Vec::new();
    for _ in 0..8 {
        let ticket = world.ticket(json!({})).await;
        let _ = world
            .act(
                &world.admin,
                &ticket,
                "assign",
                json!({ "agentId": world.agent.id }),
            )
            .await;
        tickets.push(ticket);
    }
    let worker = &world.desk.desk.ticket_sla;
    assert_eq!(worker.sweep().await.unwrap(), 0);

    // A day passes while nobody looks; then several nodes look at once.
    world.age_clocks(TimeDelta::hours(2)).await;
    let swept = futures_util::future::join_all((0..4).map(|_| worker.sweep())).await;
    let swept: u64 = swept.into_iter().map(Result::unwrap).sum();
    assert_eq!(swept, 8);
    assert_eq!(worker.sweep().await.unwrap(), 0);
    for ticket in &tickets {
        let shown = world.shown(ticket["id"].as_str().unwrap()).await;
        assert_eq!(shown["slaBreached"], true);
        let id = ticket["id"].as_str().unwrap();
        let told =
            "SELECT kind FROM outbox WHERE aggregate_id = '{}' AND kind LIKE 'ticket.sla%' ORDER BY position";
        let told = world.desk.database.rows(&told.replace("{}", id)).await.concat();
        let told: Vec<_> = told.into_iter().flatten().collect();
        assert_eq!(
            told,
            [
                "ticket.sla_warning",
                "ticket.sla_breached",
                "ticket.sla_escalated"
            ]
        );
        let activity = format!("{TICKETS}/{id}/activity?limit=100");
        let activity = world.desk.get(&world.agent, &activity).await.expect(200).json();
        let breaches = activity["data"].as_array().unwrap().iter();
        let breaches = breaches.filter(|entry| entry["actionType"] == "sla_breached");
        assert_eq!(breaches.count(), 1);
        let theirs = format!("{TICKETS}/{id}/activity?limit=100");
        let theirs = world.desk.get(&world.customer, &theirs).await.expect(200);
        assert!(!theirs.text.contains("sla"), "{}", theirs.text);
    }

    // The assignee hears of each.
    let told = world.desk.told(&world.agent).await;
    let of = |kind: &str| told.iter().filter(|told| told.as_str() == kind).count();
    assert_eq!((of("sla_warning"), of("sla_breached")), (8, 8), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_deadlines_and_ledger_and_stores_nothing() {
    let world = World::new().await;
    let hours = |from: &str, to: &str| json!([{ "from": from, "to": to }]);
    let policy = json!({
        "firstResponseTime": 60, "resolutionTime": 600, "businessHoursOnly": true,
        "businessHours": { "timezone": "Europe/Berlin", "weekly": {
            "monday": hours("09:00", "17:00"), "tuesday": hours("09:00", "17:00"),
            "wednesday": hours("09:00", "17:00"), "thursday": hours("09:00", "17:00"),
            "friday": hours("09:00", "17:00") }, "holidays": [] },
    });
    // A Monday, half an hour before closing time.
    let wish = json!({
        "policy": policy, "priority": "medium", "startedAt": "2026-06-01T14:30:00Z",
        "pauses": [{ "from": "2026-06-02T08:00:00Z", "to": "2026-06-02T09:00:00Z" }], "at": "2026-06-02T08:30:00Z",
    });
    let path = format!("{POLICIES}/preview");
    let told = world
        .desk
        .post(&world.agent, &path, &wish)
        .await
        .expect(200)
        .json();
    assert_eq!(told["firstResponseDueAt"], "2026-06-02T07:30:00.000000Z");
    assert_eq!(told["resolutionDueAt"], "2026-06-03T09:30:00.000000Z");
    assert_eq!(told["countedMinutes"], 90);
    let ledger = told["ledger"].as_array().unwrap().iter();
    let resolution: Vec<_> = ledger
        .filter(|stretch| stretch["metric"] == "resolution")
        .map(|stretch| {
            (
                stretch["kind"].as_str().unwrap(),
                stretch["seconds"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        resolution,
        [
            ("counted", 1800.0),
            ("closed", 57_600.0),
            ("counted", 3600.0),
            ("paused", 1800.0)
        ]
    );
    let list = world.desk.get(&world.admin, POLICIES).await.expect(200).json();
    assert_eq!(list["data"], json!([]));
    // All that is wrong is told, with its place.
    let wrong = json!({ "policy": { "firstResponseTime": 0, "businessHours": { "timezone": "Mars/Olympus" } },
        "startedAt": "2026-06-01T14:30:00Z" });
    let refused = world
        .desk
        .post(&world.agent, &path, &wrong)
        .await
        .expect(422)
        .json();
    let places: Vec<_> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap())
        .collect();
    for place in [
        "/policy/firstResponseTime",
        "/policy/resolutionTime",
        "/policy/businessHours/timezone",
    ] {
        assert!(places.contains(&place), "{places:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_or_deleted_ticket_stands_and_what_another_client_wrote_breaks_no_ticket() {
    let world = World::new().await;
    let _ = world.policy(standard()).await;
    let (target, source) = (world.ticket(json!({})).await, world.ticket(json!({})).await);
    let merge = json!({ "sourceTicketId": source["id"] });
    let _ = world.act(&world.admin, &target, "merge", merge.clone()).await;
    let stands = "SELECT state #>> '{clocks,isMerged}' FROM ticket_clocks WHERE wake_at IS NULL";
    let stands = world.desk.database.rows(stands).await.concat();
    assert_eq!(stands, [Some("true".to_owned())]);
    let _ = world.act(&world.admin, &target, "unmerge", merge).await;
    let back = world.shown(source["id"].as_str().unwrap()).await;
    assert!(at(&back["slaDueAt"]) > at(&source["slaDueAt"]));
    let explained = world.explained(&source).await;
    let causes = explained["ledger"].as_array().unwrap().iter();
    assert!(causes.clone().any(|stretch| stretch["cause"] == "merged"));

    let path = format!("{TICKETS}/{}", source["id"].as_str().unwrap());
    let gone = world.desk.request("DELETE", &path).by(&world.admin).send().await;
    let _ = gone.expect(204);
    world.age_clocks(TimeDelta::days(3)).await;
    // Only the other one is told of.
    assert_eq!(world.desk.desk.ticket_sla.sweep().await.unwrap(), 1);

    // A client that knows only the contract's columns: its policy has its place and its terms.
    let insert = "INSERT INTO sla_policies (name, first_response_time, resolution_time, business_hours_only, updated_at) \
        VALUES ('Theirs', 5, 10, true, now()), ('Broken', -5, 10, false, now())";
    world.desk.database.batch(insert).await;
    world.desk.desk.ticket_sla.forget();
    let list = world.desk.get(&world.agent, POLICIES).await.expect(200).json();
    let names: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|policy| {
            (
                policy["name"].as_str().unwrap(),
                policy["place"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(names, [("Standard", 1), ("Theirs", 2)]);
    // The contract's own default: business hours only, and no word of when they are. All time counts until somebody says.
    let theirs = &list["data"][1];
    assert_eq!(
        (&theirs["businessHoursOnly"], &theirs["businessHours"]),
        (&json!(true), &Value::Null)
    );
    let path = format!("{POLICIES}/{}", theirs["id"].as_str().unwrap());
    let unsaid = world
        .desk
        .patch(&world.admin, &path, &json!({ "name": "Ours" }))
        .await
        .expect(422)
        .json();
    assert_eq!(unsaid["errors"][0]["pointer"], "/businessHours");
    let said = json!({ "name": "Ours", "businessHoursOnly": false });
    let said = world
        .desk
        .patch(&world.admin, &path, &said)
        .await
        .expect(200)
        .json();
    assert_eq!(said["businessHoursOnly"], false);
    let terms = "SELECT count(*)::text FROM sla_policy_terms";
    assert_eq!(
        world.desk.database.rows(terms).await.concat(),
        [Some("4".to_owned())]
    );
    let _ = world.ticket(json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_overdue_tickets_each_is_told_once_by_sweepers_on_two_nodes_of_which_some_die() {
    const TICKETS_DUE: u64 = 3_000;
    let world = World::new().await;
    let _ = world.policy(standard()).await;
    let ticket = world.ticket(json!({})).await;
    world.age_clocks(TimeDelta::minutes(61)).await;
    // As many like it as the sweep takes in several rounds.
    let (id, more) = (ticket["id"].as_str().unwrap(), TICKETS_DUE - 1);
    let copies = format!(
        "CREATE TEMP TABLE copies AS SELECT gen_random_uuid() AS id, 'COPY-' || n AS number \
           FROM generate_series(1, {more}) AS n; \
         INSERT INTO tickets (id, ticket_number, subject, description, created_by, sla_policy_id, updated_at) \
           SELECT c.id, c.number, t.subject, t.description, t.created_by, t.sla_policy_id, t.updated_at \
           FROM copies c, tickets t WHERE t.id = '{id}'; \
         INSERT INTO ticket_clocks SELECT c.id, k.policy_id, k.policy_version, k.is_explicit, k.is_live, k.wake_at, k.state \
           FROM copies c, ticket_clocks k WHERE k.ticket_id = '{id}'"
    );
    world.desk.database.batch(&copies).await;
    let other = TestDesk::start_on(std::sync::Arc::clone(&world.desk.database)).await;
    // Some of them die in the middle of a round.
    for pause in 0..12 {
        let life = std::time::Duration::from_millis(pause * 7);
        let _ = tokio::time::timeout(life, other.desk.ticket_sla.sweep()).await;
    }
    let left = "SELECT count(*)::text FROM ticket_clocks WHERE wake_at <= now()";
    let left: u64 = world.desk.database.rows(left).await.concat()[0]
        .as_ref()
        .unwrap()
        .parse()
        .unwrap();
    assert!(left > 0, "the dying did everything");
    let nodes = [&world.desk, &other, &world.desk, &other];
    let swept = nodes.map(|node| async move {
        let mut sum = 0;
        // A round that finds everything in others' hands stores nothing, and is not the last.
        for _ in 0..100 {
            sum += node.desk.ticket_sla.sweep().await.unwrap();
        }
        sum
    });
    let swept: u64 = futures_util::future::join_all(swept).await.into_iter().sum();
    // What one that died had sent to the database may have been done after the others were counted.
    assert!(swept <= left, "{swept} of {left}");
    let told = "SELECT count(*)::text, count(DISTINCT aggregate_id)::text FROM outbox WHERE kind = 'ticket.sla_breached'";
    let all = Some(TICKETS_DUE.to_string());
    assert_eq!(world.desk.database.rows(told).await, [[all.clone(), all.clone()]]);
    let marked = "SELECT count(*)::text FROM tickets t WHERE sla_breached AND 1 = (SELECT count(*) \
        FROM ticket_activities a WHERE a.ticket_id = t.id AND a.action_type = 'sla_breached')";
    assert_eq!(world.desk.database.rows(marked).await, [[all]]);
}

/// What a change would do is told before it is made, and is what it then does.
#[tokio::test(flavor = "multi_thread")]
async fn an_impact_says_what_a_change_would_move_and_stores_nothing() {
    let world = World::new().await;
    let policy = world.policy(standard()).await;
    let (first, second) = (world.ticket(json!({})).await, world.ticket(json!({})).await);
    let path = format!("{POLICIES}/{}", policy["id"].as_str().unwrap());
    let patch = json!({ "resolutionTime": 240 });
    let told = world
        .desk
        .post(&world.admin, &format!("{path}/impact"), &patch)
        .await
        .expect(200)
        .json();
    assert_eq!((&told["tickets"], &told["isCut"]), (&json!(2), &json!(false)));
    assert_eq!(
        (&told["earlier"]["deadlines"], &told["later"]["deadlines"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(
        (
            &told["earlier"]["farthestMinutes"],
            &told["earlier"]["averageMinutes"]
        ),
        (&json!(240), &json!(240))
    );
    assert_eq!(
        (&told["newBreaches"], &told["breachesGone"]),
        (&json!(0), &json!(0))
    );
    let same = world.desk.get(&world.admin, &path).await.expect(200).json();
    assert_eq!(same, policy);
    // The change does what was told.
    let _ = world.desk.patch(&world.admin, &path, &patch).await.expect(200);
    while world.desk.desk.ticket_sla.sweep().await.unwrap() > 0 {}
    for moved in told["moved"].as_array().unwrap() {
        assert_eq!(moved["metric"], "resolution");
        let ticket = [&first, &second]
            .into_iter()
            .find(|one| one["id"] == moved["ticketId"])
            .unwrap();
        let clocks = world.explained(ticket).await;
        let resolution = clocks["clocks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["metric"] == "resolution")
            .unwrap();
        assert_eq!(at(&resolution["dueAt"]), at(&moved["to"]));
    }
    // Half an hour for an answer that has been due for two.
    world.age_clocks(TimeDelta::hours(2)).await;
    let longer = json!({ "firstResponseTime": 600 });
    let told = world
        .desk
        .post(&world.admin, &format!("{path}/impact"), &longer)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&told["breachesGone"], &told["later"]["deadlines"]),
        (&json!(2), &json!(2))
    );
    let wrong = json!({ "resolutionTime": -1, "colour": "red" });
    let refused = world
        .desk
        .post(&world.admin, &format!("{path}/impact"), &wrong)
        .await;
    assert_eq!(refused.expect(422).json()["errors"][0]["code"], "unknown_member");
}

/// Whoever leads puts a ticket under another policy, whatever the filters say, and under the one that fits again.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_put_under_another_policy_and_back() {
    let world = World::new().await;
    let standard_policy = world.policy(standard()).await;
    let mut gold = standard();
    gold["name"] = json!("Gold");
    gold["resolutionTime"] = json!(60);
    let gold = world.policy(gold).await;
    let ticket = world.ticket(json!({})).await;
    assert_eq!(ticket["slaPolicyId"], standard_policy["id"]);
    let path = format!("{TICKETS}/{}", ticket["id"].as_str().unwrap());
    let to_gold = json!({ "slaPolicyId": gold["id"] });
    world
        .desk
        .patch(&world.agent, &path, &to_gold)
        .await
        .problem(403, "access.forbidden");
    let changed = world
        .desk
        .patch(&world.admin, &path, &to_gold)
        .await
        .expect(200)
        .json();
    assert_eq!(changed["slaPolicyId"], gold["id"]);
    assert!(at(&changed["slaDueAt"]) <= at(&ticket["slaDueAt"]));
    let explained = world.explained(&ticket).await;
    let resolution = explained["clocks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["metric"] == "resolution")
        .unwrap();
    assert!(at(&resolution["dueAt"]) - at(&ticket["createdAt"]) <= TimeDelta::minutes(61));
    // It stays there when the ticket changes.
    let body = json!({ "priority": "low" });
    let kept = world
        .desk
        .patch(&world.admin, &path, &body)
        .await
        .expect(200)
        .json();
    assert_eq!(kept["slaPolicyId"], gold["id"]);
    let nobody = json!({ "slaPolicyId": "01890a5d-ac96-774b-bcce-b302099a8057" });
    let refused = world
        .desk
        .patch(&world.admin, &path, &nobody)
        .await
        .expect(422)
        .json();
    assert_eq!(
        (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
        (&json!("/slaPolicyId"), &json!("unknown"))
    );
    let back = world
        .desk
        .patch(&world.admin, &path, &json!({ "slaPolicyId": null }))
        .await
        .expect(200)
        .json();
    assert_eq!(back["slaPolicyId"], standard_policy["id"]);
}

/// The actions of a step are done as it is told, once, and the history names the policy.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_does_what_it_says_once() {
    let world = World::new().await;
    let mut body = standard();
    body["escalationRules"] = json!([
        { "metric": "first_response", "at": "50%", "actions": [{ "type": "set_priority", "value": "high" }] },
        { "metric": "first_response", "at": "breach", "actions": [
            { "type": "add_tags", "value": ["escalated"] },
            { "type": "set_assignee", "value": world.agent.id },
            { "type": "notify", "to": ["assignee"], "value": "{{ticket.number}} is late: {{sla.metric}}" },
        ] },
    ]);
    let policy = world.policy(body).await;
    let ticket = world.ticket(json!({})).await;
    world.age_clocks(TimeDelta::hours(2)).await;
    while world.desk.desk.ticket_sla.sweep().await.unwrap() > 0 {}
    let told = world.desk.told(&world.agent).await;
    assert!(told.contains(&"rule".to_owned()), "{told:?}");
    let id = ticket["id"].as_str().unwrap();
    let after = world.shown(id).await;
    assert_eq!(
        (&after["priority"], &after["tags"]),
        (&json!("high"), &json!(["escalated"]))
    );
    assert_eq!(after["assignedToId"], world.agent.id.to_string());
    let activity = format!("{TICKETS}/{id}/activity?limit=100");
    let activity = world.desk.get(&world.admin, &activity).await.expect(200).json();
    let by_step = activity["data"].as_array().unwrap().iter();
    let by_step: Vec<_> = by_step
        .filter(|one| one["metadata"]["slaPolicy"] == "Standard")
        .collect();
    assert_eq!(by_step.len(), 3);
    assert_eq!(by_step[0]["metadata"]["slaPolicyId"], policy["id"]);

    // The same events again, as after a crash, do nothing twice.
    let again =
        "UPDATE outbox SET done_at = NULL, attempts = 0, leased_until = NULL WHERE kind LIKE 'ticket.sla%'";
    world.desk.database.batch(again).await;
    let undone = json!({ "tags": [], "priority": "low" });
    let _ = world
        .desk
        .patch(&world.admin, &format!("{TICKETS}/{id}"), &undone)
        .await
        .expect(200);
    let told_again = world.desk.told(&world.agent).await;
    let of_steps = |told: &[String]| told.iter().filter(|kind| *kind == "rule").count();
    assert_eq!(of_steps(&told_again), of_steps(&told));
    let same = world.shown(id).await;
    assert_eq!((&same["priority"], &same["tags"]), (&json!("low"), &json!([])));
}

/// What a step cannot do is told when the policy is saved, with its place.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_steps_actions_is_told_with_its_place() {
    let world = World::new().await;
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (action, place, code) in [
        (
            json!({ "type": "explode" }),
            "/escalationRules/0/actions/0/type",
            "unknown_action",
        ),
        (
            json!({ "type": "add_note", "value": "x" }),
            "/escalationRules/0/actions/0/type",
            "not_allowed",
        ),
        (
            json!({ "type": "set_team", "value": nobody }),
            "/escalationRules/0/actions/0/value",
            "unknown",
        ),
    ] {
        let mut body = standard();
        body["escalationRules"] = json!([{ "metric": "resolution", "at": "breach", "actions": [action] }]);
        let refused = world
            .desk
            .post(&world.admin, POLICIES, &body)
            .await
            .expect(422)
            .json();
        let fault = &refused["errors"][0];
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!(place), &json!(code)));
    }
    let policy = world.policy(standard()).await;
    let path = format!("{POLICIES}/{}", policy["id"].as_str().unwrap());
    let patch = json!({ "escalationRules": [{ "metric": "resolution", "at": "breach",
        "actions": [{ "type": "set_assignee", "value": nobody }] }] });
    let refused = world
        .desk
        .patch(&world.admin, &path, &patch)
        .await
        .expect(422)
        .json();
    assert_eq!(
        refused["errors"][0]["pointer"],
        "/escalationRules/0/actions/0/value"
    );
}

/// The holidays of a country's calendar file become those of a policy.
#[tokio::test(flavor = "multi_thread")]
async fn holidays_come_from_a_calendar_file() {
    let world = World::new().await;
    let file = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n\
        BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Christmas\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20270326\r\nSUMMARY:Good Friday\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nSUMMARY:No day\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let path = format!("{POLICIES}/holidays");
    let body = json!({ "file": file, "timezone": "Europe/Berlin" });
    let read = world
        .desk
        .post(&world.agent, &path, &body)
        .await
        .expect(200)
        .json();
    assert_eq!(
        read["holidays"],
        json!([{ "date": "2026-12-25", "name": "Christmas", "yearly": true }, { "date": "2027-03-26", "name": "Good Friday" }])
    );
    assert_eq!(
        (&read["notes"][0]["name"], read["notes"].as_array().unwrap().len()),
        (&json!("No day"), 1)
    );
    let mut policy = standard();
    policy["businessHoursOnly"] = json!(true);
    policy["businessHours"] = json!({ "timezone": "Europe/Berlin",
        "weekly": { "friday": [{ "from": "09:00", "to": "17:00" }] }, "holidays": read["holidays"] });
    let made = world.policy(policy).await;
    assert_eq!(made["businessHours"]["holidays"], read["holidays"]);
    for (body, pointer, code) in [
        (
            json!({ "file": file, "timezone": "Mars/Olympus" }),
            "/timezone",
            "unknown_timezone",
        ),
        (
            json!({ "file": "no", "timezone": "UTC" }),
            "/file",
            "not_a_calendar",
        ),
    ] {
        let refused = world
            .desk
            .post(&world.agent, &path, &body)
            .await
            .expect(422)
            .json();
        assert_eq!(
            (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
            (&json!(pointer), &json!(code))
        );
    }
}

/// A node's own clock decides nothing about deadlines: however far it jumps, it tells of none that is not missed, and once it is
/// back, all goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_jumps_tells_of_nothing_that_is_not_so() {
    let home = SystemClock.now();
    let clock = Arc::new(ManualClock::at(home));
    let desk = TestDesk::start_as(test_database().await, lifted(), clock.clone()).await;
    let world = World {
        admin: desk.person("ada", Role::Admin).await,
        agent: desk.person("age", Role::Agent).await,
        customer: desk.person("kim", Role::User).await,
        desk,
    };
    let _ = world.policy(standard()).await;
    let ticket = world.ticket(json!({})).await;
    let far = |date: &str| at(&json!(date)) - home;
    for jump in [
        TimeDelta::hours(1),
        -TimeDelta::hours(1),
        TimeDelta::days(1),
        -TimeDelta::days(1),
        far("2038-01-19T03:14:08Z"),
        far("1970-01-01T00:00:00Z"),
    ] {
        clock.advance(jump);
        assert_eq!(world.desk.desk.ticket_sla.sweep().await.unwrap(), 0, "{jump}");
        let _ = world.desk.desk.run_schedules.run_once().await.unwrap();
        let _ = world.desk.desk.send_calls.drain().await.unwrap();
        clock.advance(-jump);
    }
    let same = world.shown(ticket["id"].as_str().unwrap()).await;
    assert_eq!(
        (&same["slaBreached"], &same["slaDueAt"]),
        (&json!(false), &ticket["slaDueAt"])
    );
    let explained = world.explained(&ticket).await;
    assert_eq!(explained["clocks"].as_array().unwrap().len(), 2);
}

/// Two nodes whose clocks are ten minutes apart: what is due is told by the database's time, by one of them, and sessions hold on both.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_whose_clocks_differ_tell_nothing_early_and_nothing_twice() {
    let home = SystemClock.now();
    let skewed = |by: i64| Arc::new(ManualClock::at(home + TimeDelta::minutes(by)));
    let desk = TestDesk::start_as(test_database().await, lifted(), skewed(5)).await;
    let slow = TestDesk::start_as(Arc::clone(&desk.database), lifted(), skewed(-5)).await;
    let world = World {
        admin: desk.person("ada", Role::Admin).await,
        agent: slow.person("age", Role::Agent).await,
        customer: desk.person("kim", Role::User).await,
        desk,
    };
    let _ = world.policy(standard()).await;
    let ticket = world.ticket(json!({})).await;
    let sweep_both = async || {
        let nodes = [&world.desk, &slow, &world.desk, &slow];
        let swept = nodes.map(|node| async move { node.desk.ticket_sla.sweep().await.unwrap() });
        futures_util::future::join_all(swept)
            .await
            .into_iter()
            .sum::<u64>()
    };
    // The node that is ahead made it, five minutes late: it is due in four, which is past by that node's clock.
    world.age_clocks(TimeDelta::minutes(61)).await;
    let _ = sweep_both().await;
    let path = format!("{TICKETS}/{}", ticket["id"].as_str().unwrap());
    for (node, who) in [
        (&world.desk, &world.agent),
        (&slow, &world.agent),
        (&slow, &world.admin),
    ] {
        let shown = node.get(who, &path).await.expect(200).json();
        assert_eq!(shown["slaBreached"], false);
    }
    world.age_clocks(TimeDelta::minutes(5)).await;
    for _ in 0..3 {
        let _ = sweep_both().await;
    }
    let told = "SELECT count(*)::text FROM outbox WHERE kind = 'ticket.sla_breached'";
    assert_eq!(world.desk.database.rows(told).await, [[Some("1".to_owned())]]);
    assert_eq!(
        slow.get(&world.agent, &path).await.expect(200).json()["slaBreached"],
        true
    );
}

/// Leap seconds, leap days, the ends of time: folded or refused wherever a moment is taken, and shown wherever one is stored.
#[tokio::test(flavor = "multi_thread")]
async fn moments_at_the_edge_of_the_calendar_break_nothing() {
    let world = World::new().await;
    let policy = world.policy(standard()).await;
    let ticket = world.ticket(json!({})).await;
    let moments = [
        "2016-12-31T23:59:60Z",
        "2024-02-29T12:00:00Z",
        "2023-02-29T12:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:60Z",
        "+10000-01-01T00:00:00Z",
        "+262142-12-31T23:59:59Z",
        "-262143-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "infinity",
        "-infinity",
        "NaN",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00+99:99",
        "1970-01-01T00:00:00.999999999999Z",
    ];
    let tell = format!("{POLICIES}/preview");
    for moment in moments {
        let preview = json!({ "policy": standard(), "startedAt": moment });
        let until = json!({ "policy": standard(), "startedAt": "2026-01-01T00:00:00Z", "at": moment });
        let paused = json!({ "policy": standard(), "startedAt": "2026-01-01T00:00:00Z",
            "pauses": [{ "from": "2026-01-02T00:00:00Z", "to": moment }] });
        for body in [preview, until, paused] {
            let status = world.desk.post(&world.agent, &tell, &body).await.status;
            assert!([200, 400, 422].contains(&status), "{moment}: {status} to {body}");
        }
        let date = moment.split('T').next().unwrap();
        for holiday in [date, moment] {
            let mut body = standard();
            body["businessHours"] =
                json!({ "timezone": "UTC", "weekly": {}, "holidays": [{ "date": holiday }] });
            let status = world.desk.post(&world.admin, POLICIES, &body).await.status;
            assert!([201, 400, 409, 422].contains(&status), "{holiday}: {status}");
        }
        let moment = encoded(moment);
        for filter in ["createdAt[gte]", "updatedAt[lt]", "slaDueAt[lte]"] {
            let path = format!("{TICKETS}?{}={moment}", encoded(filter));
            let status = world.desk.get(&world.agent, &path).await.status;
            assert!([200, 400].contains(&status), "{filter}={moment}: {status}");
        }
    }
    // What another program wrote.
    let id = ticket["id"].as_str().unwrap();
    for moment in [
        "infinity",
        "-infinity",
        "9999-12-31 23:59:59+00",
        "4714-11-24 00:00:00+00 BC",
        "294276-12-31 23:59:59+00",
    ] {
        for column in [
            "created_at",
            "updated_at",
            "sla_due_at",
            "first_response_at",
            "resolved_at",
            "closed_at",
        ] {
            let write = format!("UPDATE tickets SET {column} = '{moment}' WHERE id = '{id}'");
            world.desk.database.batch(&write).await;
            for path in [
                format!("{TICKETS}/{id}"),
                format!("{TICKETS}/{id}/sla"),
                TICKETS.to_owned(),
                format!("{TICKETS}?sort=createdAt"),
                format!("{TICKETS}?sort=updatedAt"),
            ] {
                let status = world.desk.get(&world.agent, &path).await.status;
                assert!(status < 500, "{column} = {moment}: {status} of {path}");
            }
            let restore = format!("UPDATE tickets SET {column} = now() WHERE id = '{id}'");
            world.desk.database.batch(&restore).await;
        }
    }
    let shown = world
        .desk
        .get(
            &world.admin,
            &format!("{POLICIES}/{}", policy["id"].as_str().unwrap()),
        )
        .await;
    let _ = shown.expect(200);
}
