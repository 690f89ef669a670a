//! Drafts kept on the server: one's own alone, until the message is sent.

use desk::app::{Caller, TestDesk};
use kernel::Role;
use serde_json::{Value, json};

async fn save(desk: &TestDesk, by: &Caller, path: &str, body: &Value) -> desk::app::Reply {
    desk.request("PUT", path).by(by).json(body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_there_for_its_author_until_the_message_is_sent() {
    let desk = TestDesk::start().await;
    let agent = desk.person("age", Role::Agent).await;
    let customer = desk.person("kim", Role::User).await;
    let ticket = desk.ticket(&customer, None).await;
    let path = format!("{ticket}/draft");
    desk.get(&agent, &path).await.problem(404, "draft.not_found");
    let before = desk.get(&agent, &ticket).await.header("etag");
    let first = json!({ "message": "Have you", "isInternal": true });
    let _ = save(&desk, &agent, &path, &first).await.expect(200);
    let second = json!({ "message": "Have you tried" });
    let _ = save(&desk, &agent, &path, &second).await.expect(200);
    let kept = desk.get(&agent, &path).await.expect(200).json();
    assert_eq!(
        (&kept["message"], &kept["isInternal"]),
        (&json!("Have you tried"), &json!(false))
    );
    // Nobody else has it, and the ticket shows no trace.
    desk.get(&customer, &path).await.problem(404, "draft.not_found");
    assert_eq!(desk.get(&agent, &ticket).await.header("etag"), before);
    let _ = save(&desk, &customer, &path, &json!({ "message": "mine" }))
        .await
        .expect(200);
    let refused = save(
        &desk,
        &customer,
        &path,
        &json!({ "message": "m", "isInternal": true }),
    )
    .await;
    assert_eq!(refused.expect(422).json()["errors"][0]["pointer"], "/isInternal");
    let sent = desk
        .post(
            &agent,
            &format!("{ticket}/messages"),
            &json!({ "message": "Done" }),
        )
        .await;
    let _ = sent.expect(201);
    desk.get(&agent, &path).await.problem(404, "draft.not_found");
    assert_eq!(
        desk.get(&customer, &path).await.expect(200).json()["message"],
        "mine"
    );
    let _ = desk
        .request("DELETE", &path)
        .by(&customer)
        .send()
        .await
        .expect(204);
    let again = desk.request("DELETE", &path).by(&customer).send().await;
    again.problem(404, "draft.not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_has_the_bounds_of_a_message() {
    let desk = TestDesk::start().await;
    let customer = desk.person("kim", Role::User).await;
    let path = format!("{}/draft", desk.ticket(&customer, None).await);
    for (message, code) in [(String::new(), "too_short"), ("x".repeat(65_537), "too_long")] {
        let refused = save(&desk, &customer, &path, &json!({ "message": message })).await;
        assert_eq!(refused.expect(422).json()["errors"][0]["code"], code);
    }
    let long = "ä".repeat(32_768);
    let kept = save(&desk, &customer, &path, &json!({ "message": long }))
        .await
        .expect(200);
    assert_eq!(kept.text_of("/message"), long);
}
