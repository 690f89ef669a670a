//! Teams' tickets find who answers them: over HTTP, on a real database, with two nodes at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use desk::app::{Caller, TestDesk, lifted};
use desk::database::test_database;
use kernel::{Role, TeamId, TeamRole, UserId};
use serde_json::{Value, json};

async fn route(desk: &TestDesk) -> u64 {
    let mut given = 0;
    loop {
        match desk.desk.routing.run_once().await.unwrap() {
            0 => return given,
            round => given += round,
        }
    }
}

/// Goes on for as long as something waits, whatever others do.
async fn route_with_others(desk: &TestDesk, rounds_max: usize) -> u64 {
    let mut given = 0;
    for _ in 0..rounds_max {
        given += desk.desk.routing.run_once().await.unwrap();
        let waiting = "SELECT count(*) FROM tickets WHERE assigned_to IS NULL";
        if desk.database.number(waiting).await == 0 {
            break;
        }
    }
    given
}

async fn set(desk: &TestDesk, by: &Caller, team: TeamId, body: Value) {
    let path = format!("/api/v1/teams/{team}/routing");
    let _ = desk.patch(by, &path, &body).await.expect(200);
}

/// How many tickets everyone has, open or pending.
async fn loads(desk: &TestDesk) -> BTreeMap<UserId, i64> {
    let rows = desk
        .database
        .rows(
            "SELECT assigned_to::text, count(*)::text FROM tickets WHERE assigned_to IS NOT NULL \
             AND status IN ('open', 'pending') AND deleted_at IS NULL GROUP BY assigned_to",
        )
        .await;
    let cell = |cell: &Option<String>| cell.clone().unwrap_or_default();
    rows.iter()
        .map(|row| {
            (
                UserId(cell(&row[0]).parse().unwrap()),
                cell(&row[1]).parse().unwrap(),
            )
        })
        .collect()
}

/// How many tickets someone was ever given by routing.
async fn given_to(desk: &TestDesk, user: UserId) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM ticket_activities WHERE action_type = 'assigned' AND new_value = '\"{user}\"' \
         AND metadata ->> 'system' = 'routing'"
    );
    desk.database.number(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_goes_to_the_next_agent_as_soon_as_it_waits() {
    let desk = TestDesk::start().await;
    let ada = desk.person("ada", Role::Admin).await;
    let one = desk.person("one", Role::Agent).await;
    let two = desk.person("two", Role::Agent).await;
    let kim = desk.person("kim", Role::User).await;
    let members = [(&one, TeamRole::Lead), (&two, TeamRole::Agent)];
    let team = desk.team(&ada, "Front", &members).await;
    let path = format!("/api/v1/teams/{team}/routing");
    let unsaid = desk.get(&two, &path).await.expect(200);
    assert_eq!(
        unsaid.json(),
        json!({ "teamId": team, "mode": "manual", "capacity": null })
    );
    // Until somebody says so nothing is given out.
    let first = desk.ticket(&kim, Some(team)).await;
    let _ = desk.mails().await;
    assert_eq!(route(&desk).await, 0);

    for (body, pointer) in [
        (json!({ "mode": null }), "/mode"),
        (json!({ "mode": "random" }), "/mode"),
        (json!({ "capacity": 0 }), "/capacity"),
        (json!({ "capacity": 1_001 }), "/capacity"),
        (json!({ "capacity": 1.5 }), "/capacity"),
    ] {
        let refused = desk.patch(&one, &path, &body).await.expect(422);
        assert_eq!(refused.text_of("/errors/0/pointer"), pointer, "{body}");
    }
    let said = json!({ "mode": "round_robin", "capacity": 2 });
    let request = desk
        .request("PATCH", &path)
        .by(&one)
        .header("if-match", &unsaid.header("etag"));
    let changed = request.json(&said).send().await.expect(200);
    assert_eq!(
        changed.json(),
        json!({ "teamId": team, "mode": "round_robin", "capacity": 2 })
    );
    let request = desk
        .request("PATCH", &path)
        .by(&one)
        .header("if-match", &unsaid.header("etag"));
    request.json(&said).send().await.problem(412, "request.stale");
    // Said again, it is no news, and with a key it is the first answer.
    let request = || {
        desk.request("PATCH", &path)
            .by(&one)
            .header("idempotency-key", "k")
    };
    let again = request().json(&said).send().await.expect(200);
    assert_eq!(again.header("etag"), changed.header("etag"));
    assert_eq!(
        request().json(&said).send().await.header("idempotency-replayed"),
        "true"
    );

    // What waited before is found by a round, what comes now by its event.
    assert_eq!(route(&desk).await, 1);
    let second = desk.ticket(&kim, Some(team)).await;
    let _ = desk.mails().await;
    let assignee = async |ticket: &str| desk.get(&ada, ticket).await.json()["assignedToId"].clone();
    let mut order = [one.id, two.id];
    order.sort_unstable();
    assert_eq!(assignee(&first).await, json!(order[0]));
    assert_eq!(assignee(&second).await, json!(order[1]));
    let history = desk.get(&ada, &format!("{second}/activity")).await.json();
    let entry = history["data"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (
            &entry["actionType"],
            &entry["metadata"]["system"],
            &entry["actorId"]
        ),
        (&json!("assigned"), &json!("routing"), &Value::Null)
    );
    let _ = desk.mails().await;
    for agent in [&one, &two] {
        let told = desk.get(agent, "/api/v1/notifications").await.json();
        assert_eq!(told["data"][0]["type"], "assigned", "{told}");
    }

    // Given back on purpose it goes on to the next, transferred away it does not.
    let _ = desk
        .post(&ada, &format!("{first}/unassign"), &json!({}))
        .await
        .expect(200);
    let _ = desk.mails().await;
    assert_ne!(assignee(&first).await, Value::Null);
    let elsewhere = desk.team(&ada, "Back", &[]).await;
    let body = json!({ "teamId": elsewhere });
    let _ = desk
        .post(&ada, &format!("{first}/transfer"), &body)
        .await
        .expect(200);
    let _ = desk.mails().await;
    assert_eq!(route(&desk).await, 0);

    // Everyone has as many as they may, until something is done.
    for _ in 0..6 {
        let _ = desk.ticket(&kim, Some(team)).await;
    }
    let _ = desk.mails().await;
    route(&desk).await;
    assert!(loads(&desk).await.values().all(|load| *load == 2));
    let _ = desk
        .post(&ada, &format!("{second}/resolve"), &json!({}))
        .await
        .expect(200);
    assert_eq!(route(&desk).await, 1);
    // And who asks for fewer, or for none, is given none.
    let mine = json!({ "available": false, "capacity": 1 });
    let said = desk
        .patch(&two, "/api/v1/auth/me/availability", &mine)
        .await
        .expect(200);
    assert_eq!(
        said.json(),
        json!({ "userId": two.id, "available": false, "capacity": 1 })
    );
    let of_two = given_to(&desk, two.id).await;
    set(&desk, &one, team, json!({ "capacity": null })).await;
    assert!(route(&desk).await > 0);
    assert_eq!(given_to(&desk, two.id).await, of_two);
    let path = format!("/api/v1/users/{}/availability", two.id);
    assert_eq!(desk.get(&one, &path).await.json(), said.json());
    let _ = desk.mails().await;
    let audit = desk.get(&ada, "/api/v1/audit-log?limit=100").await.text;
    assert!(audit.contains("team.routing_changed") && audit.contains("user.availability_changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_pressing_comes_first_and_a_full_team_keeps_no_other_waiting() {
    let desk = TestDesk::start().await;
    let ada = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::User).await;
    let one = desk.person("one", Role::Agent).await;
    let team = desk.team(&ada, "Front", &[(&one, TeamRole::Agent)]).await;
    set(
        &desk,
        &ada,
        team,
        json!({ "mode": "least_loaded", "capacity": 1 }),
    )
    .await;
    let _ = desk.ticket(&kim, Some(team)).await;
    let urgent = desk.ticket(&kim, Some(team)).await;
    let _ = desk
        .patch(&ada, &urgent, &json!({ "priority": "urgent" }))
        .await
        .expect(200);
    assert_eq!(route(&desk).await, 1);
    assert_eq!(
        desk.get(&ada, &urgent).await.json()["assignedToId"],
        json!(one.id)
    );
    // More teams than a round looks at, each of them full but one.
    let mut free = team;
    for number in 0..45 {
        free = desk.team(&ada, &format!("Team {number}"), &[]).await;
        set(&desk, &ada, free, json!({ "mode": "round_robin" })).await;
        let _ = desk.ticket(&kim, Some(free)).await;
    }
    let two = desk.person("two", Role::Agent).await;
    let member = json!({ "userId": two.id, "roleInTeam": "agent" });
    let _ = desk
        .post(&ada, &format!("/api/v1/teams/{free}/members"), &member)
        .await
        .expect(201);
    let mut given = 0;
    for _ in 0..4 {
        given += route(&desk).await;
    }
    assert_eq!(given, 1);
    assert_eq!(given_to(&desk, two.id).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_give_each_of_two_hundred_tickets_out_once_and_fairly() {
    const TICKETS: usize = 200;
    let database = Arc::new(test_database().await);
    let desk = TestDesk::start_configured(Arc::clone(&database), lifted()).await;
    let other = TestDesk::start_configured(database, lifted()).await;
    let ada = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::User).await;
    let mut agents = Vec::new();
    for name in ["a", "b", "c", "bounded", "away", "suspended", "leaving"] {
        agents.push(desk.person(name, Role::Agent).await);
    }
    let members: Vec<_> = agents.iter().map(|agent| (agent, TeamRole::Agent)).collect();
    let team = desk.team(&ada, "Front", &members).await;
    set(&desk, &ada, team, json!({ "mode": "round_robin" })).await;
    let [a, b, c, bounded, away, suspended, leaving] = agents.as_slice() else {
        panic!()
    };
    let said = json!({ "capacity": 7 });
    let _ = desk
        .patch(bounded, "/api/v1/auth/me/availability", &said)
        .await
        .expect(200);
    let said = json!({ "available": false });
    let _ = desk
        .patch(away, "/api/v1/auth/me/availability", &said)
        .await
        .expect(200);
    for _ in 0..TICKETS {
        let _ = desk.ticket(&kim, Some(team)).await;
    }
    let shut_out = async {
        while given_to(&desk, suspended.id).await == 0 {
            tokio::task::yield_now().await;
        }
        let path = format!("/api/v1/users/{}/suspend", suspended.id);
        let _ = other.post(&ada, &path, &json!({})).await.expect(200);
        let then = given_to(&desk, suspended.id).await;
        let path = format!("/api/v1/teams/{team}/members/{}", leaving.id);
        let _ = desk.request("DELETE", &path).by(&ada).send().await.expect(204);
        (then, given_to(&desk, leaving.id).await)
    };
    let (here, there, (of_suspended, of_leaving)) = tokio::join!(
        route_with_others(&desk, 1_000),
        route_with_others(&other, 1_000),
        shut_out
    );
    let mut counts = Vec::new();
    for agent in [a, b, c, bounded, away, suspended, leaving] {
        counts.push(given_to(&desk, agent.id).await);
    }
    println!("{here} here, {there} there: {counts:?}");
    assert_eq!(usize::try_from(here + there).unwrap(), TICKETS);
    assert_eq!(counts[5], of_suspended, "who is suspended gets none from then on");
    assert_eq!(counts[6], of_leaving, "and neither does who left");
    assert_eq!((counts[3], counts[4]), (7, 0));
    let always = &counts[..3];
    let (most, least) = (always.iter().max().unwrap(), always.iter().min().unwrap());
    assert!(most - least <= 1, "{counts:?}");
    assert_eq!(counts.iter().sum::<i64>(), i64::try_from(TICKETS).unwrap());
    // Nobody was given a ticket that someone else had, and the turns are counted.
    let twice = "SELECT count(*) FROM (SELECT ticket_id FROM ticket_activities WHERE action_type = 'assigned' \
                 GROUP BY ticket_id HAVING count(*) > 1) t";
    assert_eq!(desk.database.number(twice).await, 0);
    let turns = desk.database.number("SELECT turn FROM team_routing").await;
    assert_eq!(turns, i64::try_from(TICKETS).unwrap());
    let has = loads(&desk).await;
    for (agent, count) in [a, b, c, bounded].into_iter().zip(&counts) {
        assert_eq!(has.get(&agent.id), Some(count));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_holds_through_two_teams_and_two_nodes_at_once() {
    const BOUND: i64 = 25;
    let database = Arc::new(test_database().await);
    let desk = TestDesk::start_configured(Arc::clone(&database), lifted()).await;
    let other = TestDesk::start_configured(database, lifted()).await;
    let ada = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::User).await;
    let both = desk.person("both", Role::Agent).await;
    for name in ["Front", "Back"] {
        let team = desk.team(&ada, name, &[(&both, TeamRole::Agent)]).await;
        set(
            &desk,
            &ada,
            team,
            json!({ "mode": "least_loaded", "capacity": BOUND }),
        )
        .await;
        for _ in 0..BOUND {
            let _ = desk.ticket(&kim, Some(team)).await;
        }
    }
    let (here, there) = tokio::join!(route_with_others(&desk, 40), route_with_others(&other, 40));
    assert_eq!(i64::try_from(here + there).unwrap(), BOUND, "{here} {there}");
    assert_eq!(loads(&desk).await.get(&both.id), Some(&BOUND));
}
