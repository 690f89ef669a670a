//! What a caller may not see is not there, and access that is lost is lost at once. Who may do what, operation by
//! operation, is the matrix.

use desk::app::{Reply, TestDesk};
use kernel::{Role, TeamRole};
use serde_json::json;

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
    // Whichever door one comes by, the tickets behind it are the same.
    desk.take_up().await;
    for (caller, expected) in [
        (&one, vec![&front]),
        (&two, vec![&triage]),
        (&agent, vec![&front, &triage]),
        (&outsider, vec![&triage, &own]),
        (&admin, vec![&front, &triage, &own]),
    ] {
        let all = json!({ "field": "subject", "operator": "is_set" });
        let encoded = desk::app::encoded(&all.to_string());
        let mut doors = vec![
            format!("/api/v1/tickets?filter={encoded}"),
            "/api/v1/tickets/search?q=burns".to_owned(),
            "/api/v1/tickets/search?q=burns&sort=-createdAt".to_owned(),
        ];
        if [&agent, &outsider, &admin]
            .iter()
            .any(|staff| staff.id == caller.id)
        {
            let view = json!({ "name": "All", "filter": all });
            let view = desk
                .post(caller, "/api/v1/views", &view)
                .await
                .expect(201)
                .text_of("/id");
            doors.push(format!("/api/v1/views/{view}/tickets"));
            let change = json!({ "filter": all, "change": { "priority": "high" }, "dryRun": true });
            let dry = desk
                .post(caller, "/api/v1/tickets/bulk", &change)
                .await
                .expect(200);
            let own_requests = usize::from(caller.id == agent.id);
            assert!(dry.json()["count"].as_u64().unwrap() as usize <= expected.len() + own_requests);
        }
        for door in doors {
            let reply = desk.get(caller, &door).await.expect(200);
            let rows = reply.json();
            let mut found: Vec<String> = rows["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].as_str().unwrap().to_owned())
                .collect();
            found.sort();
            assert_eq!(found, ids(&expected), "{door} by {}", caller.id);
        }
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

/// An answer without what differs between any two requests.
fn essence(reply: &Reply) -> (u16, Vec<String>, String) {
    let mut body = reply.json();
    for member in ["requestId", "instance"] {
        body.as_object_mut().unwrap().remove(member);
    }
    let volatile = ["x-request-id", "date", "content-length"];
    let headers = reply
        .headers
        .iter()
        .filter(|(name, _)| !volatile.contains(&name.as_str()));
    let mut headers: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    (reply.status, headers, body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_answered_like_what_does_not_exist() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let owner = desk.person("own", Role::User).await;
    let stranger = desk.person("str", Role::User).await;
    let outsider = desk.person("out", Role::Agent).await;
    let team = desk.team(&admin, "Front", &[]).await;
    let hidden = desk.ticket(&owner, Some(team)).await;
    let number = desk.get(&owner, &hidden).await.text_of("/ticketNumber");
    let message = desk
        .post(&owner, &format!("{hidden}/messages"), &json!({ "message": "m" }))
        .await
        .text_of("/id");
    let unknown = format!("/api/v1/tickets/{}", desk.desk.ids.next());
    let by_number = |number: &str| format!("/api/v1/tickets/{number}");
    let own = desk.ticket(&stranger, None).await;
    let pairs = [
        (hidden.clone(), unknown.clone()),
        (by_number(&number), by_number("TKT-99999")),
        (format!("{hidden}/messages"), format!("{unknown}/messages")),
        (
            format!("{hidden}/messages/{message}"),
            format!("{unknown}/messages/{message}"),
        ),
        (format!("{hidden}/notes"), format!("{unknown}/notes")),
        // A child under a parent that is not its own.
        (
            format!("{own}/messages/{message}"),
            format!("{own}/messages/{}", desk.desk.ids.next()),
        ),
    ];
    for (there, nowhere) in &pairs {
        for caller in [&stranger, &outsider] {
            let (there_reply, nowhere_reply) =
                (desk.get(caller, there).await, desk.get(caller, nowhere).await);
            assert_eq!(there_reply.status, 404, "{there}: {}", there_reply.text);
            assert_eq!(
                essence(&there_reply),
                essence(&nowhere_reply),
                "{there} and {nowhere}"
            );
        }
    }
    for action in ["claim", "resolve", "close", "reopen", "unassign", "restore"] {
        let act = async |path: &str| {
            desk.post(&stranger, &format!("{path}/{action}"), &json!({}))
                .await
        };
        assert_eq!(
            essence(&act(&hidden).await),
            essence(&act(&unknown).await),
            "{action}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_in_a_list_of_one_who_lost_access_shows_nothing_of_it() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::Agent).await;
    let customer = desk.person("cus", Role::User).await;
    let team = desk.team(&admin, "Front", &[(&kim, TeamRole::Agent)]).await;
    for _ in 0..4 {
        let _ = desk.ticket(&customer, Some(team)).await;
    }
    let list = "/api/v1/tickets?limit=2";
    let page = desk.get(&kim, list).await.expect(200);
    let next = format!("{list}&cursor={}", page.text_of("/page/nextCursor"));
    let shown = |reply: &Reply| reply.json()["data"].as_array().unwrap().len();
    assert_eq!(shown(&desk.get(&kim, &next).await.expect(200)), 2);
    let member = format!("/api/v1/teams/{team}/members/{}", kim.id);
    let _ = desk
        .request("DELETE", &member)
        .by(&admin)
        .send()
        .await
        .expect(204);
    for path in [list, next.as_str()] {
        assert_eq!(shown(&desk.get(&kim, path).await.expect(200)), 0, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_that_is_taken_away_beside_running_lists_shows_in_none_that_begins_afterwards() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::Agent).await;
    let customer = desk.person("cus", Role::User).await;
    let team = desk.team(&admin, "Front", &[(&kim, TeamRole::Agent)]).await;
    let _ = desk.ticket(&customer, Some(team)).await;
    let members = format!("/api/v1/teams/{team}/members");
    let shown = async || {
        let list = desk.get(&kim, "/api/v1/tickets").await.expect(200);
        list.json()["data"].as_array().unwrap().len()
    };
    let read = async || {
        for _ in 0..5 {
            shown().await;
        }
    };
    for round in 0..20 {
        assert_eq!(shown().await, 1, "{round}");
        let taken = async {
            let one = format!("{members}/{}", kim.id);
            let _ = desk.request("DELETE", &one).by(&admin).send().await.expect(204);
            assert_eq!(shown().await, 0, "{round}");
        };
        tokio::join!(read(), read(), read(), taken);
        let body = json!({ "userId": kim.id, "roleInTeam": "agent" });
        let _ = desk.post(&admin, &members, &body).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_one_team_is_none_of_another() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let member = desk.person("mem", Role::Agent).await;
    let front = desk.team(&admin, "Front", &[]).await;
    let back = desk.team(&admin, "Back", &[(&member, TeamRole::Agent)]).await;
    let elsewhere = format!("/api/v1/teams/{front}/members/{}", member.id);
    desk.patch(&admin, &elsewhere, &json!({ "roleInTeam": "lead" }))
        .await
        .problem(404, "team.member_not_found");
    let removed = desk.request("DELETE", &elsewhere).by(&admin).send().await;
    removed.problem(404, "team.member_not_found");
    let members = desk
        .get(&admin, &format!("/api/v1/teams/{back}/members"))
        .await
        .expect(200);
    assert_eq!(members.json()["data"][0]["roleInTeam"], "agent");
}

/// Places in lists, searches and views are worth nothing to one who is no longer staff.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_was_reached_as_an_agent_leads_a_customer_nowhere() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let agent = desk.person("age", Role::Agent).await;
    let team = desk.team(&admin, "Front", &[(&agent, TeamRole::Agent)]).await;
    for _ in 0..4 {
        let _ = desk.ticket(&customer, Some(team)).await;
    }
    desk.take_up().await;
    let view = json!({ "name": "All", "filter": null });
    let view = desk
        .post(&agent, "/api/v1/views", &view)
        .await
        .expect(201)
        .text_of("/id");
    let mut places = Vec::new();
    for path in [
        "/api/v1/tickets?limit=1".to_owned(),
        "/api/v1/tickets/search?q=burns&limit=1".to_owned(),
        format!("/api/v1/views/{view}/tickets?limit=1"),
    ] {
        let page = desk.get(&agent, &path).await.expect(200);
        places.push(format!("{path}&cursor={}", page.text_of("/page/nextCursor")));
    }
    let account = format!("/api/v1/users/{}", agent.id);
    let _ = desk
        .patch(&admin, &account, &json!({ "role": "user" }))
        .await
        .expect(200);
    for place in places {
        let reply = desk.get(&agent, &place).await;
        let rows = reply.json()["data"].as_array().map_or(0, Vec::len);
        assert!(
            rows == 0 && matches!(reply.status, 200 | 400 | 401 | 403 | 404),
            "{place}: {}",
            reply.text
        );
    }
}
