//! Programs' keys: shown once, kept as a digest, good for what their owner may and their scopes name.

use desk::app::{Caller, PASSWORD, TestDesk};
use kernel::{Role, TeamRole};
use serde_json::{Value, json};

/// A key of someone, as someone who speaks through it, and the key's path.
async fn key(desk: &TestDesk, owner: &Caller, scopes: &[&str]) -> (Caller, String) {
    let body = json!({ "name": "Nightly report", "scopes": scopes, "currentPassword": PASSWORD });
    let made = desk.post(owner, "/api/v1/api-keys", &body).await.expect(201);
    let speaker = Caller {
        token: made.text_of("/key"),
        ..owner.clone()
    };
    (speaker, made.header("location"))
}

async fn facts(desk: &TestDesk, kind: &str) -> Vec<Vec<Option<String>>> {
    let sql = format!("SELECT payload::text FROM outbox WHERE kind = '{kind}' ORDER BY id");
    desk.database.rows(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_with_its_owners_rights_within_its_scopes() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let customer = desk.person("cus", Role::User).await;
    let team = desk.team(&admin, "Front", &[(&agent, TeamRole::Agent)]).await;
    let ticket = desk.ticket(&customer, Some(team)).await;
    let elsewhere = desk.team(&admin, "Back", &[]).await;
    let hidden = desk.ticket(&customer, Some(elsewhere)).await;

    let (reader, _) = key(&desk, &agent, &["tickets:read"]).await;
    let _ = desk.get(&reader, &ticket).await.expect(200);
    desk.get(&reader, &hidden).await.problem(404, "ticket.not_found");
    desk.post(&reader, &format!("{ticket}/claim"), &json!({}))
        .await
        .problem(403, "auth.scope_missing");
    desk.get(&reader, "/api/v1/auth/me")
        .await
        .problem(403, "auth.session_required");
    let (writer, path) = key(&desk, &agent, &["tickets:write"]).await;
    let claimed = desk.post(&writer, &format!("{ticket}/claim"), &json!({})).await;
    assert_eq!(claimed.expect(200).text_of("/assignedToId"), agent.id.to_string());
    desk.request("DELETE", &ticket)
        .by(&writer)
        .send()
        .await
        .problem(403, "access.forbidden");

    let shown = desk.get(&agent, &path).await.expect(200).json();
    assert_eq!(shown["scopes"], json!(["tickets:write"]));
    assert_eq!(shown["lastUsedIp"], "127.0.0.1");
    let last = shown["lastUsedAt"].as_str().unwrap();
    assert!(last.ends_with(":00.000000Z"), "to the minute: {last}");
    assert!(
        shown.get("key").is_none() && shown.get("keySha256").is_none(),
        "{shown}"
    );
    let created = facts(&desk, "api_key.created").await;
    assert_eq!(created.len(), 2, "{created:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lies_nowhere_in_the_database() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let (speaker, path) = key(&desk, &admin, &["teams:read", "teams:write"]).await;
    let made = desk
        .request("POST", "/api/v1/teams")
        .by(&speaker)
        .header("idempotency-key", "k-1")
        .json(&json!({ "name": "Front" }));
    let _ = made.send().await.expect(201);
    let _ = desk.get(&admin, &path).await.expect(200);
    let tables = desk
        .database
        .rows("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
        .await;
    assert!(tables.len() > 20, "{tables:?}");
    let secret = speaker.token.strip_prefix("idk_").unwrap();
    let mut rows = 0;
    for table in tables.iter().flatten().flatten() {
        let all = desk
            .database
            .rows(&format!("SELECT t::text FROM {table} t"))
            .await;
        for row in all.iter().flatten().flatten() {
            rows += 1;
            // The prefix holds four of the characters, and no more than that may lie anywhere.
            assert!(
                !row.contains(&secret[..12]) && !row.contains(&secret[4..]),
                "{table}"
            );
        }
    }
    assert!(rows > 5, "{rows}");
    let kept = desk
        .database
        .rows("SELECT prefix, length(key_sha256)::text FROM api_keys")
        .await;
    let prefix = speaker.token[..8].to_owned();
    assert_eq!(kept, [[Some(prefix), Some("64".to_owned())]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_with_its_owners_rights_its_time_and_its_revocation() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let (speaker, path) = key(&desk, &agent, &["users:read", "teams:read"]).await;
    let teams = "/api/v1/teams";
    let account = format!("/api/v1/users/{}", agent.id);
    let _ = desk.get(&speaker, teams).await.expect(200);

    let demoted = json!({ "role": "user" });
    let _ = desk.patch(&admin, &account, &demoted).await.expect(200);
    desk.get(&speaker, teams).await.problem(403, "access.forbidden");
    let suspended = json!({ "role": "agent", "status": "suspended" });
    let _ = desk.patch(&admin, &account, &suspended).await.expect(200);
    let refused = desk.get(&speaker, teams).await;
    refused.problem(401, "auth.key_invalid");
    assert_eq!(
        refused.header("www-authenticate"),
        "Bearer error=\"invalid_token\""
    );
    let _ = desk
        .patch(&admin, &account, &json!({ "status": "active" }))
        .await
        .expect(200);
    let _ = desk.get(&speaker, teams).await.expect(200);

    let stranger = desk.person("str", Role::Agent).await;
    let others = desk.request("DELETE", &path).by(&stranger).send().await;
    others.problem(404, "api_key.not_found");
    desk.get(&stranger, &path).await.problem(404, "api_key.not_found");
    for _ in 0..2 {
        let revoked = desk.request("DELETE", &path).by(&admin).send().await;
        assert_eq!(revoked.status, 204, "{}", revoked.text);
    }
    desk.get(&speaker, teams).await.problem(401, "auth.key_invalid");
    assert_eq!(facts(&desk, "api_key.revoked").await.len(), 1);

    let (speaker, _) = key(&desk, &stranger, &["teams:read"]).await;
    desk.database
        .batch("UPDATE api_keys SET expires_at = now() WHERE revoked_at IS NULL")
        .await;
    desk.get(&speaker, teams).await.problem(401, "auth.key_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_their_own_keys_and_administrators_anyones() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let (speaker, _) = key(&desk, &agent, &["tickets:read"]).await;
    let _ = key(&desk, &agent, &["tickets:write"]).await;
    let of_agent = format!("/api/v1/api-keys?ownerId={}", agent.id);
    let count = |json: Value| json["data"].as_array().unwrap().len();
    assert_eq!(
        count(desk.get(&agent, "/api/v1/api-keys").await.expect(200).json()),
        2
    );
    assert_eq!(count(desk.get(&agent, &of_agent).await.expect(200).json()), 2);
    assert_eq!(
        count(desk.get(&admin, "/api/v1/api-keys").await.expect(200).json()),
        0
    );
    assert_eq!(count(desk.get(&admin, &of_agent).await.expect(200).json()), 2);
    let of_admin = format!("/api/v1/api-keys?ownerId={}", admin.id);
    desk.get(&agent, &of_admin).await.problem(403, "access.forbidden");
    desk.get(&speaker, "/api/v1/api-keys")
        .await
        .problem(403, "auth.session_required");
    let body = json!({ "name": "k", "scopes": ["audit:read"], "currentPassword": PASSWORD });
    desk.post(&speaker, "/api/v1/api-keys", &body)
        .await
        .problem(403, "auth.session_required");
    let first = desk
        .get(&agent, "/api/v1/api-keys?limit=1")
        .await
        .expect(200)
        .json();
    let cursor = first["page"]["nextCursor"].as_str().unwrap();
    let next = format!("/api/v1/api-keys?limit=1&cursor={cursor}");
    let second = desk.get(&agent, &next).await.expect(200).json();
    assert_ne!(first["data"][0]["id"], second["data"][0]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_more_than_fifty_live_keys() {
    let desk = TestDesk::start().await;
    let agent = desk.person("age", Role::Agent).await;
    let sql = format!(
        "INSERT INTO api_keys (id, user_id, name, prefix, key_sha256, scopes, expires_at) \
         SELECT gen_random_uuid(), '{}', 'k', 'idk_', lpad(n::text, 64, '0'), '{{}}', now() + interval '1 day' \
         FROM generate_series(1, 49) AS n",
        agent.id
    );
    desk.database.batch(&sql).await;
    let (_, path) = key(&desk, &agent, &["tickets:read"]).await;
    let body = json!({ "name": "k", "scopes": ["tickets:read"], "currentPassword": PASSWORD });
    let refused = desk.post(&agent, "/api/v1/api-keys", &body).await;
    refused.problem(409, "api_key.too_many");
    let revoked = desk.request("DELETE", &path).by(&agent).send().await;
    assert_eq!(revoked.status, 204);
    let _ = desk.post(&agent, "/api/v1/api-keys", &body).await.expect(201);
}
