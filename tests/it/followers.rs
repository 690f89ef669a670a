//! Followers and mentions: whoever follows or is called is told, as long as they may see it.

use desk::app::{Caller, TestDesk};
use kernel::{Role, TeamRole};
use serde_json::{Value, json};

struct World {
    desk: TestDesk,
    admin: Caller,
    agent: Caller,
    colleague: Caller,
    customer: Caller,
    ticket: String,
    team: kernel::TeamId,
}

impl World {
    /// A ticket of a team of two.
    async fn new() -> Self {
        let desk = TestDesk::start().await;
        let admin = desk.person("ada", Role::Admin).await;
        let agent = desk.person("age", Role::Agent).await;
        let colleague = desk.person("col", Role::Agent).await;
        let customer = desk.person("kim", Role::User).await;
        let members = [(&agent, TeamRole::Agent), (&colleague, TeamRole::Agent)];
        let team = desk.team(&admin, "Front", &members).await;
        let ticket = desk.ticket(&customer, Some(team)).await;
        Self {
            desk,
            admin,
            agent,
            colleague,
            customer,
            ticket,
            team,
        }
    }

    async fn post(&self, by: &Caller, path: &str, body: Value) -> desk::app::Reply {
        self.desk
            .post(by, &format!("{}/{path}", self.ticket), &body)
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_are_told_as_long_as_they_work_on_the_ticket() {
    let world = World::new().await;
    let followed = world
        .post(&world.colleague, "followers", json!({}))
        .await
        .expect(200);
    assert_eq!(followed.json()["followerIds"], json!([world.colleague.id]));
    let list = world
        .desk
        .get(&world.agent, &format!("{}/followers", world.ticket))
        .await
        .expect(200)
        .json();
    assert_eq!(list["data"][0]["id"], json!(world.colleague.id));
    // Again: nothing changes.
    let again = world
        .post(&world.agent, "followers", json!({ "userId": world.colleague.id }))
        .await
        .expect(200);
    assert_eq!(again.header("etag"), followed.header("etag"));
    let _ = world
        .post(&world.customer, "messages", json!({ "message": "hello" }))
        .await
        .expect(201);
    let _ = world
        .post(&world.agent, "notes", json!({ "message": "hm" }))
        .await
        .expect(201);
    let _ = world.post(&world.agent, "resolve", json!({})).await.expect(200);
    assert_eq!(
        world.desk.told(&world.colleague).await,
        ["followed", "followed", "followed"]
    );
    // The customer sees nothing of it, in no figure.
    let seen = world.desk.get(&world.customer, &world.ticket).await.expect(200);
    assert!(
        !seen.text.contains(&world.colleague.id.to_string()),
        "{}",
        seen.text
    );
    // Whoever leaves the team hears no more, and no longer sees it.
    let member = format!("/api/v1/teams/{}/members/{}", world.team, world.colleague.id);
    let _ = world
        .desk
        .request("DELETE", &member)
        .by(&world.admin)
        .send()
        .await
        .expect(204);
    let _ = world
        .post(&world.customer, "messages", json!({ "message": "again" }))
        .await
        .expect(201);
    assert_eq!(world.desk.told(&world.colleague).await.len(), 3);
    let gone = world
        .desk
        .request("DELETE", &format!("{}/followers", world.ticket))
        .by(&world.agent);
    let gone = gone
        .json(&json!({ "userId": world.colleague.id }))
        .send()
        .await
        .expect(200);
    assert_eq!(gone.json()["followerIds"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_called_is_told_and_follows() {
    let world = World::new().await;
    let calls = json!({ "message": "please look", "mentionIds": [world.colleague.id, world.colleague.id] });
    let _ = world.post(&world.agent, "notes", calls).await.expect(201);
    assert_eq!(world.desk.told(&world.colleague).await, ["mentioned"]);
    let ticket = world.desk.get(&world.agent, &world.ticket).await.json();
    assert_eq!(ticket["followerIds"], json!([world.colleague.id]));
    let internal = json!({ "message": "and here", "isInternal": true, "mentionIds": [world.colleague.id] });
    let _ = world.post(&world.agent, "messages", internal).await.expect(201);
    assert_eq!(
        world.desk.told(&world.colleague).await,
        ["mentioned", "mentioned"]
    );
    for (body, pointer, code) in [
        (
            json!({ "message": "m", "mentionIds": [world.colleague.id] }),
            "/mentionIds",
            "not_allowed",
        ),
        (
            json!({ "message": "m", "isInternal": true, "mentionIds": [world.colleague.id, world.customer.id] }),
            "/mentionIds/1",
            "unknown",
        ),
        (
            json!({ "message": "m", "isInternal": true, "mentionIds": vec![world.colleague.id; 21] }),
            "/mentionIds",
            "too_many",
        ),
    ] {
        let fault = world
            .post(&world.agent, "messages", body)
            .await
            .expect(422)
            .json()["errors"][0]
            .clone();
        assert_eq!(
            (&fault["pointer"], &fault["code"]),
            (&json!(pointer), &json!(code))
        );
    }
    assert_eq!(world.desk.told(&world.customer).await, Vec::<String>::new());
}
