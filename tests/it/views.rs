//! Saved views over HTTP: each sees those that are theirs, and through them what their own list has.

use desk::app::{Caller, Reply, TestDesk};
use kernel::{Role, TeamId, TeamRole};
use serde_json::{Value, json};

/// A desk with a team, those who work in it, and one who works elsewhere.
struct World {
    desk: TestDesk,
    admin: Caller,
    agent: Caller,
    lead: Caller,
    outsider: Caller,
    customer: Caller,
    team: TeamId,
}

impl World {
    async fn new() -> Self {
        let desk = TestDesk::start().await;
        let admin = desk.person("ada", Role::Admin).await;
        let agent = desk.person("age", Role::Agent).await;
        let lead = desk.person("lea", Role::Agent).await;
        let outsider = desk.person("out", Role::Agent).await;
        let customer = desk.person("kim", Role::User).await;
        let members = [(&agent, TeamRole::Agent), (&lead, TeamRole::Lead)];
        let team = desk.team(&admin, "Front", &members).await;
        let _ = desk.team(&admin, "Back", &[(&outsider, TeamRole::Lead)]).await;
        Self {
            desk,
            admin,
            agent,
            lead,
            outsider,
            customer,
            team,
        }
    }

    async fn saved(&self, by: &Caller, body: &Value) -> String {
        let made = self.desk.post(by, "/api/v1/views", body).await.expect(201);
        assert_eq!(
            made.header("location"),
            format!("/api/v1/views/{}", made.text_of("/id"))
        );
        made.text_of("/id")
    }

    /// The names of the views that someone sees, read in pages of two.
    async fn names(&self, by: &Caller) -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/views?limit=2{cursor}");
            let list = self.desk.get(by, &path).await.expect(200).json();
            let rows = list["data"].as_array().unwrap();
            names.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
            match list["page"]["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return names,
            }
        }
    }

    async fn tickets(&self, by: &Caller, view: &str, query: &str) -> Reply {
        self.desk
            .get(by, &format!("/api/v1/views/{view}/tickets{query}"))
            .await
    }

    /// How many tickets someone sees through a view, by its list and by its count, which must agree.
    async fn seen(&self, by: &Caller, view: &str) -> usize {
        let list = self
            .tickets(by, view, "?limit=100&count=true")
            .await
            .expect(200)
            .json();
        let length = list["data"].as_array().unwrap().len();
        assert_eq!(list["page"]["totalCount"], length);
        let path = format!("/api/v1/views/counts?ids={view}");
        let counts = self.desk.get(by, &path).await.expect(200).json();
        let expected = json!({ "data": [{ "viewId": view, "tickets": length, "isMore": false }] });
        assert_eq!(counts, expected);
        length
    }

    async fn claimed(&self, by: &Caller) {
        let ticket = self.desk.ticket(&self.customer, None).await;
        let _ = self
            .desk
            .post(by, &format!("{ticket}/claim"), &json!({}))
            .await
            .expect(200);
    }
}

fn mine() -> Value {
    json!({ "field": "assignedToId", "operator": "equals", "value": "me" })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_their_own_then_their_teams_then_the_shared() {
    let world = World::new().await;
    let team = world.team;
    for (by, name, position, visibility) in [
        (&world.admin, "shared 2", 2, "shared"),
        (&world.admin, "shared 1", 1, "shared"),
        (&world.lead, "team 5", 5, "team"),
        (&world.agent, "agent's 9", 9, "own"),
        (&world.agent, "agent's 0", 0, "own"),
        (&world.lead, "lead's", 0, "own"),
    ] {
        let team = (visibility == "team").then_some(team);
        let body = json!({ "name": name, "position": position, "visibility": visibility, "teamId": team });
        let _ = world.saved(by, &body).await;
    }
    let shared = ["shared 1", "shared 2"];
    let of_agent = world.names(&world.agent).await;
    assert_eq!(
        of_agent,
        ["agent's 0", "agent's 9", "team 5", shared[0], shared[1]]
    );
    assert_eq!(
        world.names(&world.lead).await,
        ["lead's", "team 5", shared[0], shared[1]]
    );
    assert_eq!(world.names(&world.admin).await, ["team 5", shared[0], shared[1]]);
    assert_eq!(world.names(&world.outsider).await, shared);
    let refused = world.desk.get(&world.customer, "/api/v1/views").await;
    refused.problem(403, "access.forbidden");
    // A cursor is good for its own list alone.
    let first = world
        .desk
        .get(&world.agent, "/api/v1/views?limit=1")
        .await
        .expect(200);
    let path = format!(
        "/api/v1/views?limit=1&cursor={}",
        first.text_of("/page/nextCursor")
    );
    world
        .desk
        .get(&world.lead, &path)
        .await
        .problem(400, "request.invalid_cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_ones_own_gives_each_reader_their_own() {
    let world = World::new().await;
    let body = json!({ "name": "Mine", "visibility": "shared", "filter": mine() });
    let view = world.saved(&world.admin, &body).await;
    world.claimed(&world.agent).await;
    world.claimed(&world.agent).await;
    world.claimed(&world.lead).await;
    assert_eq!(world.seen(&world.agent, &view).await, 2);
    assert_eq!(world.seen(&world.lead, &view).await, 1);
    assert_eq!(world.seen(&world.admin, &view).await, 0);
    // It is shown as it was written.
    let shown = world
        .desk
        .get(&world.agent, &format!("/api/v1/views/{view}"))
        .await
        .expect(200);
    assert_eq!(shown.json()["filter"], mine());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_never_widens_what_its_reader_sees() {
    let world = World::new().await;
    let all = world
        .saved(&world.admin, &json!({ "name": "All", "visibility": "shared" }))
        .await;
    let filter = json!({ "field": "teamId", "operator": "equals", "value": world.team });
    let body = json!({ "name": "Front's", "visibility": "shared", "filter": filter });
    let fronts = world.saved(&world.admin, &body).await;
    let filter = json!({ "field": "createdById", "operator": "equals", "value": world.customer.id });
    let body = json!({ "name": "Kim's", "visibility": "shared", "filter": filter });
    let kims = world.saved(&world.admin, &body).await;
    let _ = world.desk.ticket(&world.customer, Some(world.team)).await;
    let _ = world.desk.ticket(&world.customer, None).await;
    for (by, expected) in [
        (&world.admin, [2, 1, 2]),
        (&world.agent, [2, 1, 2]),
        (&world.outsider, [1, 0, 1]),
    ] {
        for (view, expected) in [&all, &fronts, &kims].into_iter().zip(expected) {
            assert_eq!(world.seen(by, view).await, expected, "{view} by {:?}", by.role);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tickets_of_a_view_are_as_the_list_gives_them() {
    let world = World::new().await;
    for _ in 0..3 {
        let _ = world.desk.ticket(&world.customer, Some(world.team)).await;
    }
    let filter = json!({ "field": "status", "operator": "equals", "value": "open" });
    let body = json!({ "name": "Open", "sort": "createdAt", "filter": filter });
    let view = world.saved(&world.agent, &body).await;
    for query in [
        "",
        "include=createdBy,team",
        "fields=ticketNumber,status",
        "count=true",
    ] {
        let through = world
            .tickets(&world.agent, &view, &format!("?{query}"))
            .await
            .expect(200);
        let path = format!("/api/v1/tickets?status=open&sort=createdAt&{query}");
        let list = world.desk.get(&world.agent, &path).await.expect(200);
        assert_eq!(through.json(), list.json(), "{query}");
    }
    let first = world.tickets(&world.agent, &view, "?limit=2").await.expect(200);
    let cursor = first.text_of("/page/nextCursor");
    let next = format!("?limit=2&cursor={cursor}");
    let second = world.tickets(&world.agent, &view, &next).await.expect(200);
    assert_eq!(second.json()["data"].as_array().unwrap().len(), 1);
    assert_ne!(first.json()["data"][1]["id"], second.json()["data"][0]["id"]);
    // Another order has other places.
    let path = format!("/api/v1/views/{view}");
    let _ = world
        .desk
        .patch(&world.agent, &path, &json!({ "sort": "-updatedAt" }))
        .await
        .expect(200);
    let stale = world.tickets(&world.agent, &view, &next).await;
    stale.problem(400, "request.invalid_cursor");
    for query in [
        "?status=open",
        "?includeDeleted=true",
        "?limit=0",
        "?fields=nothing",
    ] {
        let refused = world.tickets(&world.agent, &view, query).await;
        refused.problem(400, "request.invalid_parameter");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_the_team_loses_its_views_and_a_deleted_team_takes_them_along() {
    let world = World::new().await;
    let body = json!({ "name": "Ours", "visibility": "team", "teamId": world.team });
    let view = world.saved(&world.lead, &body).await;
    let path = format!("/api/v1/views/{view}");
    let _ = world.desk.get(&world.agent, &path).await.expect(200);
    let member = format!("/api/v1/teams/{}/members/{}", world.team, world.agent.id);
    let _ = world
        .desk
        .request("DELETE", &member)
        .by(&world.admin)
        .send()
        .await
        .expect(204);
    world
        .desk
        .get(&world.agent, &path)
        .await
        .problem(404, "view.not_found");
    assert_eq!(world.names(&world.agent).await, [""; 0]);
    let own = world.saved(&world.agent, &json!({ "name": "Own" })).await;
    let team = format!("/api/v1/teams/{}", world.team);
    let _ = world
        .desk
        .request("DELETE", &team)
        .by(&world.admin)
        .send()
        .await
        .expect(204);
    world
        .desk
        .get(&world.admin, &path)
        .await
        .problem(404, "view.not_found");
    // Who leaves the staff leaves nothing behind that none but they could see.
    let account = format!("/api/v1/users/{}", world.agent.id);
    let _ = world
        .desk
        .patch(&world.admin, &account, &json!({ "role": "user" }))
        .await
        .expect(200);
    let left = format!("SELECT count(*)::text FROM ticket_views WHERE id IN ('{own}', '{view}')");
    assert_eq!(world.desk.database.rows(&left).await[0][0].as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_changed_by_merge_patch_and_guarded_by_its_version() {
    let world = World::new().await;
    let body = json!({ "name": "Mine", "filter": mine(), "position": 3 });
    let made = world
        .desk
        .post(&world.lead, "/api/v1/views", &body)
        .await
        .expect(201);
    let path = made.header("location");
    let change = |tag: &str, body: &Value| {
        world
            .desk
            .request("PATCH", &path)
            .by(&world.lead)
            .header("if-match", tag)
            .json(body)
    };
    let first = made.header("etag");
    let changed = change(&first, &json!({ "name": " Ours ", "filter": null }))
        .send()
        .await
        .expect(200);
    assert_ne!(changed.header("etag"), first);
    let (before, after) = (made.json(), changed.json());
    assert_eq!((&after["name"], &after["filter"]), (&json!("Ours"), &Value::Null));
    for kept in [
        "id",
        "sort",
        "position",
        "visibility",
        "ownerId",
        "teamId",
        "createdAt",
    ] {
        assert_eq!(before[kept], after[kept], "{kept}");
    }
    let stale = change(&first, &json!({ "name": "Late" })).send().await;
    stale.problem(412, "request.stale");
    let given = json!({ "visibility": "team", "teamId": world.team });
    let given = change(&changed.header("etag"), &given)
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&given["ownerId"], &given["teamId"]),
        (&Value::Null, &json!(world.team))
    );
    let shared = world
        .desk
        .patch(&world.lead, &path, &json!({ "visibility": "shared" }))
        .await;
    shared.problem(403, "access.forbidden");
    let gone = world
        .desk
        .request("DELETE", &path)
        .by(&world.lead)
        .header("if-match", &first);
    gone.send().await.problem(412, "request.stale");
    let known = world
        .desk
        .get(&world.agent, &path)
        .await
        .expect(200)
        .header("etag");
    let again = world
        .desk
        .request("GET", &path)
        .by(&world.agent)
        .header("if-none-match", &known);
    let _ = again.send().await.expect(304);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_happens_once() {
    let world = World::new().await;
    let send = async |method: &str, path: &str, key: &str, body: &Value| {
        let request = world.desk.request(method, path).by(&world.agent);
        request.header("idempotency-key", key).json(body).send().await
    };
    let body = json!({ "name": "Once" });
    let first = send("POST", "/api/v1/views", "one", &body).await.expect(201);
    let again = send("POST", "/api/v1/views", "one", &body).await.expect(201);
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(world.names(&world.agent).await, ["Once"]);
    let path = first.header("location");
    // A change that changes nothing is one, too.
    for name in ["Once", "Twice"] {
        let body = json!({ "name": name });
        let changed = send("PATCH", &path, name, &body).await.expect(200);
        let _ = world
            .desk
            .patch(&world.agent, &path, &json!({ "name": "Between" }))
            .await
            .expect(200);
        let again = send("PATCH", &path, name, &body).await.expect(200);
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.text, changed.text);
    }
    assert_eq!(world.names(&world.agent).await, ["Between"]);
    for replayed in ["", "true"] {
        let gone = send("DELETE", &path, "gone", &json!({})).await.expect(204);
        assert_eq!(gone.header("idempotency-replayed"), replayed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_view_is_told_everything_that_is_wrong_with_it() {
    let world = World::new().await;
    let long = vec!["x".repeat(200); 41];
    let cases = [
        (json!({}), vec!["/name"]),
        (json!({ "name": "" }), vec!["/name"]),
        (json!({ "name": "a\nb" }), vec!["/name"]),
        (json!({ "name": "x".repeat(101) }), vec!["/name"]),
        (json!({ "name": "x", "colour": 1 }), vec!["/colour"]),
        (json!({ "name": "x", "visibility": "all" }), vec!["/visibility"]),
        (json!({ "name": "x", "visibility": "team" }), vec!["/teamId"]),
        (json!({ "name": "x", "teamId": world.team }), vec!["/teamId"]),
        (
            json!({ "name": "", "position": 10_000, "sort": "subject", "filter": { "all": [
                { "field": "nothing", "operator": "is_set" },
                { "field": "status", "operator": "in", "value": ["open", "odd"] },
            ] } }),
            vec![
                "/name",
                "/filter/all/0/field",
                "/filter/all/1/value/1",
                "/sort",
                "/position",
            ],
        ),
        (json!({ "name": "x", "filter": "open" }), vec!["/filter"]),
        (
            json!({ "name": "x", "filter": { "field": "subject", "operator": "in", "value": long } }),
            vec!["/filter"],
        ),
    ];
    let whole = world.saved(&world.lead, &json!({ "name": "Whole" })).await;
    let path = format!("/api/v1/views/{whole}");
    let pointers = |reply: &Reply| -> Vec<String> {
        let json = reply.json();
        let errors = json["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap().to_owned())
            .collect()
    };
    for (body, expected) in cases {
        let refused = world
            .desk
            .post(&world.lead, "/api/v1/views", &body)
            .await
            .expect(422);
        assert_eq!(pointers(&refused), expected, "{body}");
        if body != json!({}) {
            let refused = world.desk.patch(&world.lead, &path, &body).await.expect(422);
            assert_eq!(pointers(&refused), expected, "{body}");
        }
    }
    for member in ["name", "sort", "position", "visibility"] {
        let refused = world
            .desk
            .patch(&world.lead, &path, &json!({ member: null }))
            .await
            .expect(422);
        assert_eq!(refused.text_of("/errors/0/code"), "not_null", "{member}");
    }
    let unknown = json!({ "name": "x", "visibility": "team", "teamId": world.customer.id });
    let refused = world
        .desk
        .post(&world.admin, "/api/v1/views", &unknown)
        .await
        .expect(422);
    assert_eq!(refused.text_of("/errors/0/code"), "unknown");
    assert_eq!(world.names(&world.lead).await, ["Whole"]);
    let too_many = [whole.as_str(); 51].join(",");
    for (ids, code) in [
        ("x", "not_a_uuid"),
        ("", "not_a_uuid"),
        (too_many.as_str(), "too_many"),
    ] {
        let path = format!("/api/v1/views/counts?ids={ids}");
        let refused = world.desk.get(&world.lead, &path).await.expect(400);
        assert_eq!(refused.text_of("/errors/0/code"), code, "{ids}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_has_a_hundred_views_and_counts_are_of_fifty() {
    let world = World::new().await;
    let rows = format!(
        "INSERT INTO ticket_views (id, name, sort, position, owner_id) \
         SELECT gen_random_uuid(), 'View ' || n, '-updatedAt', n, '{}' FROM generate_series(0, 98) n",
        world.agent.id
    );
    world.desk.database.batch(&rows).await;
    let _ = world.desk.ticket(&world.customer, None).await;
    let _ = world
        .saved(&world.agent, &json!({ "name": "The last", "position": 9999 }))
        .await;
    let one_more = world
        .desk
        .post(&world.agent, "/api/v1/views", &json!({ "name": "More" }))
        .await;
    one_more.problem(409, "view.too_many");
    let counts = world
        .desk
        .get(&world.agent, "/api/v1/views/counts")
        .await
        .expect(200)
        .json();
    let counts = counts["data"].as_array().unwrap();
    assert_eq!(counts.len(), 50);
    assert!(
        counts
            .iter()
            .all(|count| count["tickets"] == 1 && count["isMore"] == false)
    );
    let list = world
        .desk
        .get(&world.agent, "/api/v1/views?limit=50")
        .await
        .expect(200)
        .json();
    for (count, view) in counts.iter().zip(list["data"].as_array().unwrap()) {
        assert_eq!(count["viewId"], view["id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_says_what_trying_a_view_would_answer() {
    let world = World::new().await;
    let own = world.saved(&world.agent, &json!({ "name": "Own" })).await;
    let body = json!({ "name": "Ours", "visibility": "team", "teamId": world.team });
    let of_team = world.saved(&world.lead, &body).await;
    let shared = world
        .saved(&world.admin, &json!({ "name": "All", "visibility": "shared" }))
        .await;
    let callers = [
        &world.admin,
        &world.agent,
        &world.lead,
        &world.outsider,
        &world.customer,
    ];
    for view in [&own, &of_team, &shared] {
        for caller in callers {
            for (operation, method) in [("getView", "GET"), ("updateView", "PATCH")] {
                let path = format!("/api/v1/views/{view}");
                let request = world.desk.request(method, &path).by(caller);
                let tried = match method {
                    "GET" => request.send().await,
                    _ => request.json(&json!({})).send().await,
                };
                let ask = format!("/api/v1/auth/why-not?operation={operation}&resource={path}");
                let explained = world.desk.get(caller, &ask).await;
                let what = format!("{operation} {view} by {:?}", caller.role);
                if tried.status == 404 {
                    explained.problem(404, "view.not_found");
                    continue;
                }
                let explained = explained.expect(200).json();
                assert_eq!(explained["allowed"], tried.status < 400, "{what}: {explained:#}");
                if tried.status >= 400 {
                    assert_eq!(explained["decision"]["code"], tried.text_of("/code"), "{what}");
                    assert_eq!(
                        explained["decision"]["reason"],
                        tried.text_of("/detail"),
                        "{what}"
                    );
                }
            }
        }
    }
}
