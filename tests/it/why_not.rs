//! An explanation says what trying it would have answered.

use desk::app::{Caller, PASSWORD, Reply, TestDesk};
use kernel::{Role, TeamRole};
use serde_json::{Value, json};

async fn why_not(desk: &TestDesk, caller: &Caller, query: &str) -> Reply {
    desk.get(caller, &format!("/api/v1/auth/why-not?{query}")).await
}

/// Whether the explanation says what trying answered; tells what it said.
#[track_caller]
fn assert_agrees(what: &str, explained: &Reply, tried: &Reply) {
    if tried.status == 404 {
        assert_eq!(explained.status, 404, "{what}: {}", explained.text);
        assert_eq!(explained.text_of("/code"), tried.text_of("/code"), "{what}");
        assert_eq!(explained.text_of("/detail"), tried.text_of("/detail"), "{what}");
        return;
    }
    assert_eq!(explained.status, 200, "{what}: {}", explained.text);
    let json = explained.json();
    let went = tried.status < 400;
    assert_eq!(json["allowed"], went, "{what}: {json:#} {}", tried.text);
    assert_eq!(json["decision"]["ok"], went, "{what}");
    if !went {
        assert_eq!(json["decision"]["code"], tried.text_of("/code"), "{what}");
        assert_eq!(json["decision"]["reason"], tried.text_of("/detail"), "{what}");
    }
    assert!(!json["decision"]["rule"].as_str().unwrap().is_empty(), "{what}");
}

/// Each action on a ticket: the operation, the action's name, and how it is fired.
fn actions(
    agent: &Caller,
    lead: &Caller,
    other_team: &str,
) -> Vec<(&'static str, &'static str, &'static str, String, Value)> {
    let patch = |name: &str, value: Value| json!({ name: value });
    let status = |to: &str| patch("status", json!(to));
    vec![
        ("getTicket", "read", "GET", String::new(), Value::Null),
        ("listNotes", "read_notes", "GET", "/notes".into(), Value::Null),
        ("getTicketSla", "read_clocks", "GET", "/sla".into(), Value::Null),
        (
            "createMessage",
            "reply",
            "POST",
            "/messages".into(),
            json!({ "message": "m" }),
        ),
        (
            "createMessage",
            "message_internally",
            "POST",
            "/messages".into(),
            json!({ "message": "m", "isInternal": true }),
        ),
        (
            "createNote",
            "add_note",
            "POST",
            "/notes".into(),
            json!({ "message": "m" }),
        ),
        (
            "updateTicket",
            "edit",
            "PATCH",
            String::new(),
            patch("subject", json!("new")),
        ),
        (
            "updateTicket",
            "set_priority",
            "PATCH",
            String::new(),
            patch("priority", json!("low")),
        ),
        (
            "updateTicket",
            "edit_tags",
            "PATCH",
            String::new(),
            patch("tags", json!(["a"])),
        ),
        (
            "updateTicket",
            "edit_custom_fields",
            "PATCH",
            String::new(),
            patch("customFields", json!({ "a": 1 })),
        ),
        (
            "updateTicket",
            "edit_metadata",
            "PATCH",
            String::new(),
            patch("metadata", json!({ "a": 1 })),
        ),
        ("updateTicket", "set_open", "PATCH", String::new(), status("open")),
        (
            "updateTicket",
            "set_pending",
            "PATCH",
            String::new(),
            status("pending"),
        ),
        (
            "updateTicket",
            "set_resolved",
            "PATCH",
            String::new(),
            status("resolved"),
        ),
        (
            "updateTicket",
            "set_closed",
            "PATCH",
            String::new(),
            status("closed"),
        ),
        ("claimTicket", "claim", "POST", "/claim".into(), json!({})),
        (
            "assignTicket",
            "assign",
            "POST",
            "/assign".into(),
            json!({ "agentId": lead.id }),
        ),
        (
            "assignTicket",
            "assign_self",
            "POST",
            "/assign".into(),
            json!({ "agentId": agent.id }),
        ),
        (
            "unassignTicket",
            "unassign",
            "POST",
            "/unassign".into(),
            json!({}),
        ),
        (
            "transferTicket",
            "transfer",
            "POST",
            "/transfer".into(),
            json!({ "teamId": other_team }),
        ),
        ("resolveTicket", "resolve", "POST", "/resolve".into(), json!({})),
        ("closeTicket", "close", "POST", "/close".into(), json!({})),
        ("reopenTicket", "reopen", "POST", "/reopen".into(), json!({})),
        ("deleteTicket", "delete", "DELETE", String::new(), Value::Null),
        ("restoreTicket", "restore", "POST", "/restore".into(), json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn for_every_action_relation_and_state_the_explanation_says_what_trying_answers() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let owner = desk.person("own", Role::User).await;
    let stranger = desk.person("str", Role::User).await;
    let agent = desk.person("age", Role::Agent).await;
    let outsider = desk.person("out", Role::Agent).await;
    let supervisor = desk.person("sup", Role::Agent).await;
    let lead = desk.person("lea", Role::Agent).await;
    let members = [
        (&agent, TeamRole::Agent),
        (&supervisor, TeamRole::Supervisor),
        (&lead, TeamRole::Lead),
    ];
    let team = desk.team(&admin, "Front", &members).await;
    let other_team = desk.team(&admin, "Back", &[(&outsider, TeamRole::Lead)]).await;
    let other_team = other_team.to_string();

    for state in [
        "open",
        "answered",
        "pending",
        "closed",
        "long closed",
        "assigned",
        "deleted",
    ] {
        for (caller_name, caller) in [
            ("owner", &owner),
            ("stranger", &stranger),
            ("agent", &agent),
            ("outsider", &outsider),
            ("supervisor", &supervisor),
            ("lead", &lead),
            ("admin", &admin),
        ] {
            for (operation, action, method, rest, body) in actions(&agent, &lead, &other_team) {
                // Who assigns to themselves must be the one who is named.
                let body = match action {
                    "assign_self" => json!({ "agentId": caller.id }),
                    "assign" if caller.id == lead.id => json!({ "agentId": agent.id }),
                    _ => body,
                };
                let what = format!("{action} by {caller_name} on {state}");
                // A requester who names themselves is no agent: rights come first, and they lack them.
                let ticket = desk.ticket(&owner, Some(team)).await;
                put(&desk, &admin, &lead, &ticket, state).await;
                let query = format!("operation={operation}&action={action}&resource={ticket}");
                let explained = why_not(&desk, caller, &query).await;
                let mut request = desk.request(method, &format!("{ticket}{rest}")).by(caller);
                if !body.is_null() {
                    request = request.json(&body);
                }
                let tried = request.send().await;
                assert_agrees(&what, &explained, &tried);
            }
        }
    }
}

/// Brings a new ticket into a state.
async fn put(desk: &TestDesk, admin: &Caller, lead: &Caller, ticket: &str, state: &str) {
    let post = async |rest: &str, body: Value| {
        let _ = desk.post(admin, &format!("{ticket}{rest}"), &body).await;
    };
    match state {
        "answered" => post("/messages", json!({ "message": "hello" })).await,
        "pending" => {
            let _ = desk
                .patch(admin, ticket, &json!({ "status": "pending" }))
                .await
                .expect(200);
        }
        "closed" => post("/close", json!({})).await,
        "long closed" => {
            post("/close", json!({})).await;
            let id = ticket.rsplit('/').next().unwrap();
            let sql = format!("UPDATE tickets SET closed_at = now() - interval '15 days' WHERE id = '{id}'");
            desk.database.batch(&sql).await;
        }
        "assigned" => post("/assign", json!({ "agentId": lead.id })).await,
        "deleted" => {
            let _ = desk.request("DELETE", ticket).by(admin).send().await.expect(204);
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_teams_are_explained_as_they_answer() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let lead = desk.person("lea", Role::Agent).await;
    let customer = desk.person("cus", Role::User).await;
    let team = desk
        .team(
            &admin,
            "Front",
            &[(&lead, TeamRole::Lead), (&agent, TeamRole::Agent)],
        )
        .await;
    let (user, team) = (
        format!("/api/v1/users/{}", customer.id),
        format!("/api/v1/teams/{team}"),
    );
    let own = format!("/api/v1/users/{}", admin.id);
    let nobody = "/api/v1/users/01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    let no_team = "/api/v1/teams/01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    let name = json!({ "name": "Front" });
    let rename = json!({ "name": "Cus" });
    let tries = [
        ("listUsers", "GET", "/api/v1/users".to_owned(), "", Value::Null),
        ("getUser", "GET", user.clone(), "", Value::Null),
        ("getUser", "GET", nobody.clone(), "", Value::Null),
        ("updateUser", "PATCH", user.clone(), "", rename.clone()),
        ("restoreUser", "POST", user.clone(), "/restore", json!({})),
        ("deleteUser", "DELETE", own, "", Value::Null),
        ("deleteUser", "DELETE", nobody, "", Value::Null),
        ("listTeams", "GET", "/api/v1/teams".to_owned(), "", Value::Null),
        ("getTeam", "GET", team.clone(), "", Value::Null),
        ("getTeam", "GET", no_team.clone(), "", Value::Null),
        ("updateTeam", "PATCH", team.clone(), "", name.clone()),
        ("updateTeam", "PATCH", no_team, "", name),
        ("listTeamMembers", "GET", team.clone(), "/members", Value::Null),
        (
            "addTeamMember",
            "POST",
            team,
            "/members",
            json!({ "userId": agent.id }),
        ),
    ];
    for (operation, method, path, rest, body) in tries {
        for (name, caller) in [
            ("admin", &admin),
            ("lead", &lead),
            ("agent", &agent),
            ("customer", &customer),
        ] {
            let query = format!("operation={operation}&resource={path}");
            let explained = why_not(&desk, caller, &query).await;
            let mut request = desk.request(method, &format!("{path}{rest}")).by(caller);
            if !body.is_null() {
                request = request.json(&body);
            }
            let tried = request.send().await;
            assert_agrees(&format!("{operation} {path} by {name}"), &explained, &tried);
        }
    }
    // A deleted account is changed by nobody before it is restored.
    let _ = desk.request("DELETE", &user).by(&admin).send().await.expect(204);
    let explained = why_not(&desk, &admin, &format!("operation=updateUser&resource={user}")).await;
    let tried = desk.patch(&admin, &user, &rename).await;
    tried.problem(409, "user.deleted");
    assert_agrees("a deleted account", &explained, &tried);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_hears_which_scope_it_lacks_and_nothing_of_the_resource() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let ticket = desk.ticket(&admin, None).await;
    let body = json!({ "name": "k", "scopes": ["teams:read"], "currentPassword": PASSWORD });
    let made = desk.post(&admin, "/api/v1/api-keys", &body).await.expect(201);
    let key = Caller {
        token: made.text_of("/key"),
        ..admin.clone()
    };
    let unknown = "/api/v1/tickets/01890a5d-ac96-774b-bcce-b302099a8057";
    for resource in [ticket.as_str(), unknown] {
        let told = why_not(&desk, &key, &format!("operation=closeTicket&resource={resource}")).await;
        let json = told.expect(200).json();
        assert_eq!(
            (&json["allowed"], &json["decision"]),
            (&json!(false), &Value::Null)
        );
        assert_eq!(json["access"]["code"], "auth.scope_missing");
        assert!(
            json["access"]["reason"]
                .as_str()
                .unwrap()
                .contains("tickets:write")
        );
    }
    let told = why_not(&desk, &key, "operation=createApiKey")
        .await
        .expect(200)
        .json();
    assert_eq!(told["access"]["code"], "auth.session_required");
    let asked = format!("operation=listTeams&as={}", admin.id);
    why_not(&desk, &key, &asked)
        .await
        .problem(403, "auth.session_required");
    let told = why_not(&desk, &key, "operation=listTeams")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&told["allowed"], &told["decision"]["relation"]),
        (&json!(true), &json!("admin"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_ask_for_others_and_hear_what_those_may_not_know() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let customer = desk.person("cus", Role::User).await;
    let team = desk.team(&admin, "Front", &[(&agent, TeamRole::Agent)]).await;
    let own = desk.ticket(&customer, Some(team)).await;
    let hidden = desk.ticket(&admin, Some(team)).await;
    let ask = |ticket: &str, who: &Caller| format!("operation=deleteTicket&resource={ticket}&as={}", who.id);

    let told = why_not(&desk, &admin, &ask(&own, &agent))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&told["decision"]["relation"], &told["decision"]["code"]),
        (&json!("agent"), &json!("access.forbidden"))
    );
    assert_eq!(told["decision"]["roleInTeam"], "agent");
    let told = why_not(&desk, &admin, &ask(&own, &customer))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&told["decision"]["relation"], &told["decision"]["isRequester"]),
        (&json!("requester"), &json!(true))
    );
    let told = why_not(&desk, &admin, &ask(&hidden, &customer))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &told["allowed"],
            &told["decision"]["relation"],
            &told["decision"]["code"]
        ),
        (&json!(false), &json!("none"), &json!("ticket.not_found"))
    );
    let unknown = "/api/v1/tickets/TKT-09999";
    why_not(&desk, &admin, &ask(unknown, &customer))
        .await
        .problem(404, "ticket.not_found");
    why_not(&desk, &agent, &ask(&own, &customer))
        .await
        .problem(403, "access.forbidden");
    let nobody = Caller {
        id: kernel::UserId(desk.desk.ids.next()),
        ..customer.clone()
    };
    why_not(&desk, &admin, &ask(&own, &nobody))
        .await
        .problem(404, "user.not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_makes_no_sense_is_refused_by_name() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    for (query, parameter) in [
        ("", "operation"),
        ("operation=nonsense", "operation"),
        ("operation=closeTicket", "resource"),
        ("operation=closeTicket&action=claim&resource=TKT-00001", "action"),
        ("operation=listTeams&action=claim", "action"),
        ("operation=listTeams&as=me", "as"),
        ("operation=listTeams&why=not", "why"),
    ] {
        let refused = why_not(&desk, &admin, query).await;
        refused.problem(400, "request.invalid_parameter");
        assert_eq!(refused.json()["errors"][0]["parameter"], parameter, "{query}");
    }
    for resource in ["nonsense", "/api/v1/users/TKT-00001", "/tickets", "//"] {
        let query = format!("operation=closeTicket&resource={resource}");
        why_not(&desk, &admin, &query)
            .await
            .problem(404, "ticket.not_found");
    }
    let anonymous = desk
        .request("GET", "/api/v1/auth/why-not?operation=login")
        .send()
        .await;
    anonymous.problem(401, "auth.required");
}
