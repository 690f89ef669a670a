//! Who may do what with a ticket, every operation by every kind of caller: the table of `ticketing::policy` as answers.

use desk::app::{Caller, TestDesk};
use kernel::{Role, TeamRole};
use serde_json::{Value, json};

/// The columns of the table, in its order.
const CALLERS: [&str; 8] = [
    "anonymous",
    "owner",
    "stranger",
    "agent",
    "outsider",
    "supervisor",
    "lead",
    "admin",
];

struct Cast {
    owner: Caller,
    stranger: Caller,
    agent: Caller,
    outsider: Caller,
    supervisor: Caller,
    lead: Caller,
    admin: Caller,
}

impl Cast {
    fn get(&self, name: &str) -> Option<&Caller> {
        match name {
            "owner" => Some(&self.owner),
            "stranger" => Some(&self.stranger),
            "agent" => Some(&self.agent),
            "outsider" => Some(&self.outsider),
            "supervisor" => Some(&self.supervisor),
            "lead" => Some(&self.lead),
            "admin" => Some(&self.admin),
            _ => None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_matrix_of_tickets_holds_cell_by_cell() {
    let desk = TestDesk::start().await;
    let cast = Cast {
        admin: desk.person("ada", Role::Admin).await,
        owner: desk.person("own", Role::User).await,
        stranger: desk.person("str", Role::User).await,
        agent: desk.person("age", Role::Agent).await,
        outsider: desk.person("out", Role::Agent).await,
        supervisor: desk.person("sup", Role::Agent).await,
        lead: desk.person("lea", Role::Agent).await,
    };
    let members = [
        (&cast.agent, TeamRole::Agent),
        (&cast.supervisor, TeamRole::Supervisor),
        (&cast.lead, TeamRole::Lead),
    ];
    let team = desk.team(&cast.admin, "Front", &members).await;
    let other_team = desk
        .team(&cast.admin, "Back", &[(&cast.outsider, TeamRole::Lead)])
        .await;

    let to_agent = json!({ "agentId": cast.agent.id });
    let patch = |name: &str, value: Value| json!({ name: value });
    // method, what follows the ticket's path, body, and the statuses in the order of CALLERS
    let table: Vec<(&str, &str, Value, [u16; 8])> = vec![
        ("GET", "", Value::Null, [401, 200, 404, 200, 404, 200, 200, 200]),
        (
            "GET",
            "/messages",
            Value::Null,
            [401, 200, 404, 200, 404, 200, 200, 200],
        ),
        (
            "GET",
            "/notes",
            Value::Null,
            [401, 404, 404, 200, 404, 200, 200, 200],
        ),
        (
            "GET",
            "/activity",
            Value::Null,
            [401, 200, 404, 200, 404, 200, 200, 200],
        ),
        (
            "PATCH",
            "",
            patch("subject", json!("new")),
            [401, 200, 404, 200, 404, 200, 200, 200],
        ),
        (
            "PATCH",
            "",
            patch("description", json!("new")),
            [401, 200, 404, 200, 404, 200, 200, 200],
        ),
        (
            "PATCH",
            "",
            patch("customFields", json!({ "a": 1 })),
            [401, 200, 404, 200, 404, 200, 200, 200],
        ),
        (
            "PATCH",
            "",
            patch("priority", json!("low")),
            [401, 403, 404, 200, 404, 200, 200, 200],
        ),
        (
            "PATCH",
            "",
            patch("tags", json!(["a"])),
            [401, 403, 404, 200, 404, 200, 200, 200],
        ),
        (
            "PATCH",
            "",
            patch("status", json!("pending")),
            [401, 403, 404, 200, 404, 200, 200, 200],
        ),
        (
            "PATCH",
            "",
            patch("status", json!("closed")),
            [401, 200, 404, 200, 404, 200, 200, 200],
        ),
        (
            "PATCH",
            "",
            patch("metadata", json!({ "a": 1 })),
            [401, 403, 404, 403, 404, 403, 403, 200],
        ),
        (
            "POST",
            "/messages",
            json!({ "message": "m" }),
            [401, 201, 404, 201, 404, 201, 201, 201],
        ),
        (
            "POST",
            "/messages",
            json!({ "message": "m", "isInternal": true }),
            [401, 422, 404, 201, 404, 201, 201, 201],
        ),
        (
            "POST",
            "/notes",
            json!({ "message": "m" }),
            [401, 404, 404, 201, 404, 201, 201, 201],
        ),
        (
            "POST",
            "/claim",
            json!({}),
            [401, 403, 404, 200, 404, 200, 200, 200],
        ),
        (
            "POST",
            "/assign",
            to_agent,
            [401, 403, 404, 200, 404, 200, 200, 200],
        ),
        (
            "POST",
            "/assign",
            json!({ "agentId": cast.lead.id }),
            [401, 403, 404, 403, 404, 200, 200, 200],
        ),
        (
            "POST",
            "/unassign",
            json!({}),
            [401, 403, 404, 200, 404, 200, 200, 200],
        ),
        (
            "POST",
            "/transfer",
            json!({ "teamId": other_team }),
            [401, 403, 404, 200, 404, 200, 200, 200],
        ),
        (
            "POST",
            "/resolve",
            json!({}),
            [401, 403, 404, 200, 404, 200, 200, 200],
        ),
        (
            "POST",
            "/close",
            json!({}),
            [401, 200, 404, 200, 404, 200, 200, 200],
        ),
        (
            "DELETE",
            "",
            Value::Null,
            [401, 403, 404, 403, 404, 403, 204, 204],
        ),
        (
            "PUT",
            "/activity",
            json!({}),
            [405, 405, 405, 405, 405, 405, 405, 405],
        ),
    ];
    for (method, rest, body, statuses) in table {
        for (name, status) in CALLERS.into_iter().zip(statuses) {
            let ticket = desk.ticket(&cast.owner, Some(team)).await;
            let mut request = desk.request(method, &format!("{ticket}{rest}"));
            if let Some(caller) = cast.get(name) {
                request = request.by(caller);
            }
            if !body.is_null() {
                request = request.json(&body);
            }
            let reply = request.send().await;
            assert_eq!(
                reply.status, status,
                "{method} {rest} {body} by {name}: {}",
                reply.text
            );
        }
    }

    // Restoring: a lead of the team and administrators; for all others there is nothing to restore.
    for (name, status) in CALLERS.into_iter().zip([401, 404, 404, 404, 404, 404, 200, 200]) {
        let ticket = desk.ticket(&cast.owner, Some(team)).await;
        let _ = desk
            .request("DELETE", &ticket)
            .by(&cast.admin)
            .send()
            .await
            .expect(204);
        let mut request = desk.request("POST", &format!("{ticket}/restore"));
        if let Some(caller) = cast.get(name) {
            request = request.by(caller);
        }
        assert_eq!(request.send().await.status, status, "restore by {name}");
        let read = match cast.get(name) {
            Some(caller) => {
                desk.get(caller, &format!("{ticket}?includeDeleted=true"))
                    .await
                    .status
            }
            None => 401,
        };
        // Restored, it is there again for whoever worked on it.
        let shown = if status == 200 {
            200
        } else if name == "anonymous" {
            401
        } else {
            404
        };
        assert_eq!(read, shown, "read of a deleted one by {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_the_caller_may_see_and_no_more() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let one = desk.person("one", Role::User).await;
    let two = desk.person("two", Role::User).await;
    let agent = desk.person("age", Role::Agent).await;
    let outsider = desk.person("out", Role::Agent).await;
    let team = desk.team(&admin, "Front", &[(&agent, TeamRole::Agent)]).await;
    let back = desk.team(&admin, "Back", &[(&outsider, TeamRole::Agent)]).await;
    let front = desk.ticket(&one, Some(team)).await;
    let triage = desk.ticket(&two, None).await;
    let own = desk.ticket(&agent, Some(back)).await;
    let deleted = desk.ticket(&one, Some(team)).await;
    let _ = desk
        .request("DELETE", &deleted)
        .by(&admin)
        .send()
        .await
        .expect(204);
    let ids = |paths: &[&String]| {
        let mut ids: Vec<String> = paths
            .iter()
            .map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        ids.sort();
        ids
    };
    for (caller, query, expected) in [
        (&one, "", vec![&front]),
        (&two, "", vec![&triage]),
        (&agent, "", vec![&front, &triage]),
        (&agent, "createdBy=me", vec![&own]),
        (&outsider, "", vec![&triage, &own]),
        (&admin, "", vec![&front, &triage, &own]),
        (&admin, "teamId=none", vec![&triage]),
        (
            &admin,
            "includeDeleted=true",
            vec![&front, &triage, &own, &deleted],
        ),
        (&one, "teamId=none", vec![]),
    ] {
        let reply = desk
            .get(caller, &format!("/api/v1/tickets?count=true&{query}"))
            .await
            .expect(200);
        let json = reply.json();
        let mut found: Vec<String> = json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect();
        found.sort();
        assert_eq!(found, ids(&expected), "{query} by {}", caller.id);
        assert_eq!(
            json["page"]["totalCount"],
            expected.len(),
            "{query} by {}",
            caller.id
        );
    }
    for caller in [&one, &agent] {
        desk.get(caller, "/api/v1/tickets?includeDeleted=true")
            .await
            .problem(403, "access.forbidden");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_access_loses_it_at_once() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let customer = desk.person("cus", Role::User).await;
    let team = desk.team(&admin, "Front", &[(&agent, TeamRole::Agent)]).await;
    let ticket = desk.ticket(&customer, Some(team)).await;
    let _ = desk.get(&agent, &ticket).await.expect(200);
    let member = format!("/api/v1/teams/{team}/members/{}", agent.id);
    let _ = desk
        .request("DELETE", &member)
        .by(&admin)
        .send()
        .await
        .expect(204);
    desk.get(&agent, &ticket).await.problem(404, "ticket.not_found");

    let account = format!("/api/v1/users/{}", agent.id);
    let _ = desk
        .patch(&admin, &account, &json!({ "status": "suspended" }))
        .await
        .expect(200);
    let refused = desk.get(&agent, "/api/v1/auth/me").await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let body = json!({ "email": "age@example.org", "password": desk::app::PASSWORD });
    let login = desk
        .request("POST", "/api/v1/auth/login")
        .json(&body)
        .send()
        .await;
    login.problem(401, "auth.invalid_credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_is_deleted_only_once_no_ticket_lies_with_it() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let outsider = desk.person("out", Role::Agent).await;
    let team = desk.team(&admin, "People", &[]).await;
    let other = desk.team(&admin, "Front", &[]).await;
    let ticket = desk.ticket(&customer, Some(team)).await;
    let path = format!("/api/v1/teams/{team}");
    let refused = desk.request("DELETE", &path).by(&admin).send().await;
    refused.problem(409, "team.has_tickets");
    desk.get(&outsider, &ticket)
        .await
        .problem(404, "ticket.not_found");
    let moved = json!({ "teamId": other });
    let _ = desk
        .post(&admin, &format!("{ticket}/transfer"), &moved)
        .await
        .expect(200);
    let _ = desk.request("DELETE", &path).by(&admin).send().await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_a_deleted_ticket_is_there_for_nobody_and_writing_says_why() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let ticket = desk.ticket(&admin, None).await;
    let _ = desk
        .request("DELETE", &ticket)
        .by(&admin)
        .send()
        .await
        .expect(204);
    for rest in ["/messages", "/notes", "/activity"] {
        desk.get(&admin, &format!("{ticket}{rest}"))
            .await
            .problem(404, "ticket.not_found");
    }
    let message = json!({ "message": "m" });
    desk.post(&admin, &format!("{ticket}/messages"), &message)
        .await
        .problem(409, "ticket.deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_includes_what_was_asked_for_and_nothing_else() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let team = desk.team(&admin, "Front", &[]).await;
    let ticket = desk.ticket(&customer, Some(team)).await;
    let _ = desk
        .post(&admin, &format!("{ticket}/claim"), &json!({}))
        .await
        .expect(200);
    let all = [("createdBy", "cus"), ("assignedTo", "ada"), ("team", "Front")];
    for (included, name) in all {
        let shown = desk
            .get(&admin, &format!("{ticket}?include={included}"))
            .await
            .json();
        let listed = desk
            .get(&admin, &format!("/api/v1/tickets?include={included}"))
            .await
            .json();
        for answer in [&shown, &listed["data"][0]] {
            assert_eq!(answer[included]["name"], name, "{answer:#}");
            let others = all.iter().filter(|(other, _)| *other != included);
            others.for_each(|(other, _)| assert!(answer.get(other).is_none(), "{other}: {answer:#}"));
        }
    }
}
