//! Commands that are sent again: one effect, one answer.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::json;

use super::World;

fn team(world: &World, key: &str, name: &str) -> TestRequest {
    world
        .admin(Method::POST, "/teams")
        .insert_header(("idempotency-key", key))
        .set_json(json!({ "name": name }))
}

#[actix_web::test]
async fn the_same_request_has_its_effect_once_and_the_same_answer() {
    let world = World::new().await;
    let first = world.send(team(&world, "k-1", "First line")).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.header("idempotency-replayed"), "");
    for _ in 0..3 {
        let again = world.send(team(&world, "k-1", "First line")).await;
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        for header in ["etag", "location", "content-type"] {
            assert_eq!(again.header(header), first.header(header), "{header}");
            assert_ne!(first.header(header), "", "{header}");
        }
    }
    let list = world.send(world.admin(Method::GET, "/teams")).await;
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_change_of_which_the_answer_was_lost_is_told_again_though_the_version_moved_on() {
    let world = World::new().await;
    let made = world.send(team(&world, "k-1", "First line")).await;
    let path = made
        .header("location")
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    let rename = || {
        world
            .admin(Method::PATCH, &path)
            .insert_header(("if-match", made.header("etag")))
            .insert_header(("idempotency-key", "k-2"))
            .set_json(json!({ "name": "Second line" }))
    };
    let first = world.send(rename()).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = world.send(rename()).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[actix_web::test]
async fn a_key_belongs_to_one_request_and_to_one_caller() {
    let world = World::new().await;
    assert_eq!(world.send(team(&world, "k-1", "First line")).await.status, 201);
    let other = world.send(team(&world, "k-1", "Second line")).await;
    assert_eq!(
        other.problem(),
        (422, "request.idempotency_key_reused".to_owned())
    );
    let elsewhere = world
        .admin(Method::POST, "/users")
        .insert_header(("idempotency-key", "k-1"))
        .set_json(json!({ "email": "x@example.com", "name": "X", "role": "user", "password": "seven purple lanterns" }));
    let elsewhere = world.send(elsewhere).await;
    assert_eq!(
        elsewhere.problem(),
        (422, "request.idempotency_key_reused".to_owned())
    );
    let agent = world
        .agent(Method::POST, "/teams")
        .insert_header(("idempotency-key", "k-1"))
        .set_json(json!({ "name": "First line" }));
    assert_eq!(
        world.send(agent).await.problem(),
        (403, "access.forbidden".to_owned())
    );
}

#[actix_web::test]
async fn a_refused_request_uses_up_no_key() {
    let world = World::new().await;
    let refused = world.send(team(&world, "k-1", "")).await;
    assert_eq!(refused.problem(), (422, "request.invalid".to_owned()));
    assert_eq!(refused.json()["errors"][0]["pointer"], "/name");
    assert_eq!(world.send(team(&world, "k-1", "First line")).await.status, 201);
}

#[actix_web::test]
async fn keys_are_visible_ascii() {
    let world = World::new().await;
    for bad in ["", "two words", &"k".repeat(256)] {
        let answer = world.send(team(&world, bad, "First line")).await;
        assert_eq!(
            answer.problem(),
            (400, "request.invalid_header".to_owned()),
            "{bad}"
        );
        assert_eq!(answer.json()["errors"][0]["header"], "Idempotency-Key");
    }
}

#[actix_web::test]
async fn a_stale_change_is_told_the_present_version() {
    let world = World::new().await;
    let made = world.send(team(&world, "k-1", "First line")).await;
    let path = made
        .header("location")
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    let rename = |tag: &str, name: &str| {
        world
            .admin(Method::PATCH, &path)
            .insert_header(("if-match", tag.to_owned()))
            .set_json(json!({ "name": name }))
    };
    let renamed = world.send(rename(made.header("etag"), "Second line")).await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    let stale = world.send(rename(made.header("etag"), "Third line")).await;
    assert_eq!(stale.problem(), (412, "request.stale".to_owned()));
    assert_eq!(stale.header("etag"), "\"team-2\"");
    assert_eq!(
        world
            .send(rename(stale.header("etag"), "Third line"))
            .await
            .status,
        200
    );
    assert_eq!(world.send(rename("\"user-3\"", "Fourth line")).await.status, 412);
    assert_eq!(world.send(rename("*", "Fourth line")).await.status, 200);
}

#[actix_web::test]
async fn an_answer_that_the_client_has_is_not_sent_again() {
    let world = World::new().await;
    let made = world.send(team(&world, "k-1", "First line")).await;
    let path = made
        .header("location")
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    let shown = world.send(world.admin(Method::GET, &path)).await;
    assert_eq!(shown.header("etag"), made.header("etag"));
    let known = world
        .admin(Method::GET, &path)
        .insert_header(("if-none-match", made.header("etag")));
    let unchanged = world.send(known).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
}
