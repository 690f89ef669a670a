//! Login, accounts and teams over HTTP. The rules have their tests in the domain; here it is that each operation
//! reaches them and says what came of it.

use actix_web::http::Method;
use serde_json::{Value, json};

use super::{World, request};

const PASSWORD: &str = "seven purple lanterns";

async fn log_in(world: &World, email: &str) -> Value {
    let login =
        request(Method::POST, "/auth/login").set_json(json!({ "email": email, "password": PASSWORD }));
    let answer = world.send(login).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn bearer(signed_in: &Value) -> (&'static str, String) {
    (
        "authorization",
        format!("Bearer {}", signed_in["accessToken"].as_str().unwrap()),
    )
}

#[actix_web::test]
async fn a_stranger_registers_logs_in_refreshes_and_logs_out() {
    let world = World::new().await;
    let registration = json!({ "email": "New@Example.com", "name": "New Person", "password": PASSWORD });
    let registered = world
        .send(request(Method::POST, "/auth/register").set_json(&registration))
        .await;
    assert_eq!(registered.status, 202, "{registered:?}");
    assert_eq!(registered.json()["status"], "accepted");
    let again = world
        .send(request(Method::POST, "/auth/register").set_json(&registration))
        .await;
    assert_eq!((again.status, &again.body), (registered.status, &registered.body));

    let signed_in = log_in(&world, "new@example.com").await;
    assert_eq!(signed_in["tokenType"], "Bearer");
    assert!(signed_in["expiresIn"].as_i64().unwrap() > 0);
    assert_eq!(signed_in["user"]["role"], "user");

    let refresh = json!({ "refreshToken": signed_in["refreshToken"] });
    let refreshed = world
        .send(request(Method::POST, "/auth/refresh").set_json(refresh))
        .await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let refreshed = refreshed.json();
    let me = || request(Method::GET, "/auth/me").insert_header(bearer(&refreshed));
    assert_eq!(world.send(me()).await.json()["name"], "New Person");

    let logout = request(Method::POST, "/auth/logout").insert_header(bearer(&refreshed));
    let ended = world.send(logout).await;
    assert_eq!((ended.status.as_u16(), ended.body.len()), (204, 0));
    assert_eq!(
        world.send(me()).await.problem(),
        (401, "auth.session_revoked".to_owned())
    );
}

#[actix_web::test]
async fn logging_out_everywhere_ends_every_session() {
    let world = World::new().await;
    let (one, two) = (
        log_in(&world, "carl@example.com").await,
        log_in(&world, "carl@example.com").await,
    );
    let everywhere = request(Method::POST, "/auth/logout-all")
        .insert_header(bearer(&one))
        .set_json(json!({}));
    assert_eq!(world.send(everywhere).await.status, 204);
    for session in [one, two] {
        let me = request(Method::GET, "/auth/me").insert_header(bearer(&session));
        assert_eq!(world.send(me).await.status, 401);
    }
}

#[actix_web::test]
async fn a_person_changes_their_own_name_and_nothing_that_is_not_theirs() {
    let world = World::new().await;
    let change = |body: Value| world.customer(Method::PATCH, "/auth/me").set_json(body);
    let renamed = world
        .send(change(
            json!({ "name": "Carl Two", "avatarUrl": "https://example.com/c.png" }),
        ))
        .await;
    assert_eq!(renamed.json()["avatarUrl"], "https://example.com/c.png");
    let cleared = world.send(change(json!({ "avatarUrl": null }))).await;
    assert_eq!(
        (&cleared.json()["avatarUrl"], &cleared.json()["name"]),
        (&Value::Null, &json!("Carl Two"))
    );
    let refused = world.send(change(json!({ "role": "admin" }))).await;
    assert_eq!(refused.problem(), (422, "request.invalid".to_owned()));
    assert_eq!(
        refused.json()["errors"][0],
        json!({
            "pointer": "/role", "code": "unknown_field", "message": "is not a field here; expected name or avatarUrl"
        })
    );
    let nameless = world.send(change(json!({ "name": null }))).await;
    assert_eq!(nameless.json()["errors"][0]["pointer"], "/name");
}

#[actix_web::test]
async fn every_fault_of_an_account_is_named_at_once() {
    let world = World::new().await;
    let body = json!({ "email": "nonsense", "name": "", "role": "user", "password": "short" });
    let refused = world
        .send(world.admin(Method::POST, "/users").set_json(body))
        .await;
    assert_eq!(refused.problem(), (422, "request.invalid".to_owned()));
    let document = refused.json();
    let pointers: Vec<_> = document["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/email", "/name", "/password"]);
}

#[actix_web::test]
async fn an_administrator_makes_changes_deletes_and_restores_an_account() {
    let world = World::new().await;
    let body = json!({ "email": "bo@example.com", "name": "Bo", "role": "agent", "password": PASSWORD });
    let made = world
        .send(world.admin(Method::POST, "/users").set_json(body))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = made
        .header("location")
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    assert_eq!(path, format!("/users/{}", made.json()["id"].as_str().unwrap()));
    let change = world
        .admin(Method::PATCH, &path)
        .set_json(json!({ "status": "suspended" }));
    assert_eq!(world.send(change).await.json()["status"], "suspended");
    assert_eq!(world.send(world.admin(Method::DELETE, &path)).await.status, 204);
    let gone = world.send(world.admin(Method::GET, &path)).await;
    assert_eq!(gone.problem(), (404, "user.not_found".to_owned()));
    let shown = world
        .send(world.admin(Method::GET, &format!("{path}?includeDeleted=true")))
        .await;
    assert!(shown.json()["deletedAt"].is_string(), "{shown:?}");
    let restored = world
        .send(world.admin(Method::POST, &format!("{path}/restore")))
        .await;
    assert_eq!(restored.json()["deletedAt"], Value::Null, "{restored:?}");
    let again = world
        .send(world.admin(Method::POST, &format!("{path}/restore")))
        .await;
    assert_eq!(again.problem(), (409, "user.not_deleted".to_owned()));
}

#[actix_web::test]
async fn accounts_show_to_each_what_their_work_needs() {
    let world = World::new().await;
    let all = world.send(world.admin(Method::GET, "/users")).await.json();
    assert_eq!(all["data"].as_array().unwrap().len(), 3);
    assert!(all["data"][0]["email"].is_string());
    let seen = world
        .send(world.agent(Method::GET, "/users?role=admin&search=ad"))
        .await
        .json();
    assert_eq!(seen["data"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(seen["data"][0]["email"], Value::Null);
    assert_eq!(
        world.send(world.customer(Method::GET, "/users")).await.status,
        403
    );
    assert_eq!(
        world.send(world.agent(Method::GET, "/users/7")).await.problem(),
        (404, "user.not_found".to_owned())
    );
    let wrong = world
        .send(world.admin(Method::GET, "/users?role=king&limit=0&color=red"))
        .await;
    assert_eq!(wrong.json()["errors"].as_array().unwrap().len(), 3, "{wrong:?}");
}

#[actix_web::test]
async fn a_list_goes_on_where_it_ended_and_for_its_reader_alone() {
    let world = World::new().await;
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let after = cursor
            .as_ref()
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
        let page = world
            .send(world.admin(Method::GET, &format!("/users?limit=1{after}")))
            .await
            .json();
        ids.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|user| user["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["page"]["nextCursor"].as_str() else {
            break;
        };
        for (who, path) in [
            (
                world.agent(Method::GET, ""),
                format!("/users?limit=1&cursor={next}"),
            ),
            (
                world.admin(Method::GET, ""),
                format!("/users?role=user&cursor={next}"),
            ),
            (world.admin(Method::GET, ""), format!("/teams?cursor={next}")),
            (world.admin(Method::GET, ""), format!("/users?cursor={next}x")),
        ] {
            let foreign = world.send(who.uri(&format!("/api/v1{path}"))).await;
            assert_eq!(
                foreign.problem(),
                (400, "request.invalid_cursor".to_owned()),
                "{path}"
            );
        }
        cursor = Some(next.to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[actix_web::test]
async fn a_team_gets_members_ranks_and_an_end() {
    let world = World::new().await;
    let body = json!({ "name": "First line", "description": "Answers" });
    let made = world
        .send(world.admin(Method::POST, "/teams").set_json(body))
        .await;
    let path = made
        .header("location")
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    let cleared = world
        .admin(Method::PATCH, &path)
        .insert_header(("content-type", "application/merge-patch+json"));
    let cleared = world.send(cleared.set_payload("{\"description\":null}")).await;
    assert_eq!(cleared.json()["description"], Value::Null, "{cleared:?}");

    let ann = world.send(world.agent(Method::GET, "/auth/me")).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let members = format!("{path}/members");
    let joined = world
        .send(
            world
                .admin(Method::POST, &members)
                .set_json(json!({ "userId": ann })),
        )
        .await;
    assert_eq!(
        (joined.status.as_u16(), &joined.json()["roleInTeam"]),
        (201, &json!("agent")),
        "{joined:?}"
    );
    let member = joined
        .header("location")
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    let lead = world
        .send(
            world
                .admin(Method::PATCH, &member)
                .set_json(json!({ "roleInTeam": "lead" })),
        )
        .await;
    assert_eq!(lead.json()["roleInTeam"], "lead");
    let list = world.send(world.agent(Method::GET, &members)).await.json();
    assert_eq!(list["data"][0]["user"]["name"], "ann");
    let customer = world.send(world.customer(Method::GET, "/auth/me")).await.json()["id"].clone();
    let refused = world
        .send(
            world
                .admin(Method::POST, &members)
                .set_json(json!({ "userId": customer })),
        )
        .await;
    assert_eq!(refused.problem(), (422, "request.invalid".to_owned()));
    assert_eq!(world.send(world.admin(Method::DELETE, &member)).await.status, 204);
    let gone = world.send(world.admin(Method::DELETE, &member)).await;
    assert_eq!(gone.problem(), (404, "team.member_not_found".to_owned()));
    assert_eq!(world.send(world.admin(Method::DELETE, &path)).await.status, 204);
    assert_eq!(
        world.send(world.admin(Method::GET, &path)).await.problem(),
        (404, "team.not_found".to_owned())
    );
}

#[actix_web::test]
async fn the_first_administrator_is_made_with_the_servers_token_alone() {
    let world = World::new().await;
    let body = json!({ "token": "guess", "email": "x@example.com", "name": "X", "password": PASSWORD });
    let answer = world
        .send(request(Method::POST, "/auth/setup").set_json(body))
        .await;
    assert_eq!(answer.problem(), (404, "setup.closed".to_owned()));
}
