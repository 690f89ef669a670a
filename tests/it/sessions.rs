//! Where people are signed in: shown to them and to administrators, and ended by them.

use desk::app::{Caller, PASSWORD, TestDesk};
use kernel::Role;
use serde_json::{Value, json};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn signed_in(desk: &TestDesk, who: &Caller, name: &str, user_agent: &str) -> (Caller, Value) {
    let body = json!({ "email": format!("{name}@example.org"), "password": PASSWORD });
    let login = desk
        .request("POST", "/api/v1/auth/login")
        .header("user-agent", user_agent)
        .json(&body);
    let reply = login.send().await.expect(200);
    let caller = Caller {
        token: reply.text_of("/accessToken"),
        ..who.clone()
    };
    (caller, reply.json())
}

fn data(json: &Value) -> &Vec<Value> {
    json["data"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_where_they_are_signed_in_and_ends_it() {
    let desk = TestDesk::start().await;
    let first = desk.person("kim", Role::User).await;
    let (second, tokens) = signed_in(&desk, &first, "kim", FIREFOX).await;
    let reply = desk.get(&second, "/api/v1/auth/sessions").await.expect(200);
    let list = reply.json();
    let sessions = data(&list);
    assert_eq!(sessions.len(), 2, "{list:#}");
    let newest = &sessions[0];
    assert_eq!(
        (&newest["device"], &newest["userAgent"]),
        (&json!("Firefox on Linux"), &json!(FIREFOX))
    );
    assert_eq!(
        (&newest["ipAddress"], &newest["method"]),
        (&json!("127.0.0.1"), &json!("password"))
    );
    assert_eq!(
        (&newest["current"], &sessions[1]["current"]),
        (&json!(true), &json!(false))
    );
    for name in ["accessToken", "refreshToken"] {
        let token = tokens[name].as_str().unwrap();
        assert!(!reply.text.contains(token), "{name}");
    }
    let mut names: Vec<_> = newest.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "createdAt",
            "current",
            "device",
            "expiresAt",
            "id",
            "ipAddress",
            "lastUsedAt",
            "method",
            "userAgent"
        ]
    );

    let path = format!("/api/v1/auth/sessions/{}", sessions[1]["id"].as_str().unwrap());
    let ended = desk.request("DELETE", &path).by(&second).send().await;
    assert_eq!(ended.status, 204, "{}", ended.text);
    desk.get(&first, "/api/v1/auth/me")
        .await
        .problem(401, "auth.session_revoked");
    let again = desk.request("DELETE", &path).by(&second).send().await;
    again.problem(404, "session.not_found");
    let left = desk
        .get(&second, "/api/v1/auth/sessions")
        .await
        .expect(200)
        .json();
    assert_eq!(data(&left).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_others_are_there_for_administrators_alone() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let kim = desk.person("kim", Role::User).await;
    let own = desk.get(&kim, "/api/v1/auth/sessions").await.expect(200).json();
    let session = format!("/api/v1/auth/sessions/{}", data(&own)[0]["id"].as_str().unwrap());
    let unknown = "/api/v1/auth/sessions/01890a5d-ac96-774b-bcce-b302099a8057";
    let of_kim = format!("/api/v1/users/{}/sessions", kim.id);
    let of_agent = format!("/api/v1/users/{}/sessions", agent.id);

    for path in [session.as_str(), unknown] {
        let refused = desk.request("DELETE", path).by(&agent).send().await;
        refused.problem(404, "session.not_found");
    }
    for (caller, path) in [(&agent, &of_kim), (&kim, &of_agent)] {
        desk.get(caller, path).await.problem(404, "user.not_found");
        let refused = desk.request("DELETE", path).by(caller).send().await;
        refused.problem(404, "user.not_found");
    }
    let nobody = "/api/v1/users/01890a5d-ac96-774b-bcce-b302099a8057/sessions";
    desk.get(&admin, nobody).await.problem(404, "user.not_found");

    assert_eq!(data(&desk.get(&kim, &of_kim).await.expect(200).json()).len(), 1);
    let seen = desk.get(&admin, &of_kim).await.expect(200).json();
    assert_eq!(data(&seen)[0]["current"], false);
    let _ = signed_in(&desk, &kim, "kim", FIREFOX).await;
    let ended = desk.request("DELETE", &of_kim).by(&admin).send().await;
    assert_eq!(ended.status, 204, "{}", ended.text);
    desk.get(&kim, "/api/v1/auth/me")
        .await
        .problem(401, "auth.session_revoked");
    assert_eq!(data(&desk.get(&admin, &of_kim).await.expect(200).json()).len(), 0);
    let told = "SELECT count(*)::text FROM outbox WHERE kind = 'session.ended'";
    let before = desk.database.rows(told).await;
    assert_eq!(before, [[Some("1".to_owned())]]);
    // Nothing left to end, nothing to tell.
    let _ = desk
        .request("DELETE", &of_kim)
        .by(&admin)
        .send()
        .await
        .expect(204);
    assert_eq!(desk.database.rows(told).await, before);
}
