//! The record of acts: written by what people do, read by administrators, and found out when it was tampered with.

use desk::app::{Caller, TestDesk};
use desk::database::test_database;
use events::{Claim, Outbox as _, Subscriber as _};
use identity::audit::{AuditActor, AuditTarget};
use identity::ports::AuditStore as _;
use identity::testing::audit_entry;
use kernel::{Role, UserId};
use postgres::PgAudit;
use postgres::testing::TestDatabase;
use serde_json::{Value, json};
use server::verify::audit::{Anchor, Fault, VerifyError, verify};
use uuid::Uuid;

/// Hands everything that was published to the record, as the relay does.
async fn deliver(desk: &TestDesk) {
    loop {
        let claim = Claim {
            now: desk.desk.clock.now(),
            lease: std::time::Duration::from_secs(60),
            batch_max: 100,
        };
        let claimed = desk.desk.outbox.claim(claim).await.unwrap();
        if claimed.is_empty() {
            return;
        }
        for event in claimed {
            desk.desk.audit_trail.handle(&event.event.unwrap()).await.unwrap();
            desk.desk.outbox.settle(&[event.id]).await.unwrap();
        }
    }
}

async fn read(desk: &TestDesk, admin: &Caller, query: &str) -> Vec<Value> {
    let reply = desk
        .get(admin, &format!("/api/v1/audit-log{query}"))
        .await
        .expect(200);
    reply.json()["data"].as_array().unwrap().clone()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_do_is_on_record_with_who_and_from_where() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("ann", Role::Agent).await;
    let path = format!("/api/v1/users/{}", agent.id);
    let changed = desk
        .request("PATCH", &path)
        .by(&admin)
        .header("user-agent", "desk-client/7")
        .header("x-request-id", "req-1")
        .json(&json!({ "status": "suspended" }))
        .send()
        .await;
    let _ = changed.expect(200);
    deliver(&desk).await;

    let query = format!("?targetId={}&action=user.updated", agent.id);
    let entries = read(&desk, &admin, &query).await;
    assert_eq!(entries.len(), 1, "{entries:#?}");
    let entry = &entries[0];
    assert_eq!(entry["actorId"], json!(admin.id));
    assert_eq!(
        (&entry["targetKind"], &entry["targetId"]),
        (&json!("user"), &json!(agent.id))
    );
    assert_eq!(entry["ipAddress"], "127.0.0.1");
    assert_eq!(entry["userAgent"], "desk-client/7");
    assert_eq!(entry["requestId"], "req-1");
    assert_eq!(
        entry["detail"],
        json!({ "fields": ["status"], "status": "suspended" })
    );
    let text = serde_json::to_string(&read(&desk, &admin, "").await).unwrap();
    assert!(!text.contains("example.org"), "no address is on record: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_read_it_page_by_page_and_by_filter_and_others_not_at_all() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let team = desk.team(&admin, "Front", &[]).await;
    for name in ["One", "Two", "Three"] {
        let path = format!("/api/v1/teams/{team}");
        let _ = desk
            .patch(&admin, &path, &json!({ "name": name }))
            .await
            .expect(200);
    }
    deliver(&desk).await;

    let all = read(&desk, &admin, "?limit=100").await;
    let numbers: Vec<i64> = all
        .iter()
        .map(|entry| entry["number"].as_i64().unwrap())
        .collect();
    let mut descending: Vec<i64> = (1..=i64::try_from(all.len()).unwrap()).collect();
    descending.reverse();
    assert_eq!(numbers, descending, "latest first, without a gap");

    let mut paged = Vec::new();
    let mut path = "/api/v1/audit-log?limit=2".to_owned();
    loop {
        let page = desk.get(&admin, &path).await.expect(200).json();
        paged.extend(page["data"].as_array().unwrap().clone());
        match page["page"]["nextCursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/audit-log?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, all);

    let of_team = read(&desk, &admin, &format!("?targetId={team}")).await;
    assert_eq!(
        actions(&of_team),
        ["team.updated", "team.updated", "team.updated", "team.created"]
    );
    assert_eq!(read(&desk, &admin, "?action=team.").await, of_team);
    assert_eq!(read(&desk, &admin, "?action=team.created").await.len(), 1);
    assert!(read(&desk, &admin, "?action=team").await.is_empty());
    let by_admin = read(&desk, &admin, &format!("?actorId={}", admin.id)).await;
    assert!(by_admin.iter().all(|entry| entry["actorId"] == json!(admin.id)));
    assert!(by_admin.len() >= 4);
    let middle = of_team[1]["occurredAt"].as_str().unwrap();
    assert_eq!(
        read(&desk, &admin, &format!("?action=team.&since={middle}"))
            .await
            .len(),
        2
    );
    assert_eq!(
        read(&desk, &admin, &format!("?action=team.&until={middle}"))
            .await
            .len(),
        2
    );

    for bad in [
        "?actorId=x",
        "?since=noon",
        "?action=",
        "?colour=red",
        "?limit=0",
        "?count=true",
    ] {
        let reply = desk.get(&admin, &format!("/api/v1/audit-log{bad}")).await;
        reply.problem(400, "request.invalid_parameter");
    }
    let foreign = desk.get(&admin, "/api/v1/audit-log?cursor=AAAA").await;
    foreign.problem(400, "request.invalid_cursor");
    for role in [Role::User, Role::Agent] {
        let caller = desk.person(role.as_str(), role).await;
        desk.get(&caller, "/api/v1/audit-log")
            .await
            .problem(403, "access.forbidden");
    }
    let stranger = desk.request("GET", "/api/v1/audit-log").send().await;
    stranger.problem(401, "auth.required");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_people_who_were_anonymised_the_api_shows_ids_alone() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let gone = UserId(desk.desk.ids.next());
    let audit = PgAudit::new(desk.desk.database.clone());
    let of =
        |action: &str, by: UserId| audit_entry(action, AuditActor::Person(by), AuditTarget::User(Some(gone)));
    audit.append(of("user.password_changed", gone)).await.unwrap();
    audit.append(of("user.anonymized", admin.id)).await.unwrap();
    let entries = read(&desk, &admin, &format!("?targetId={gone}")).await;
    assert_eq!(actions(&entries), ["user.anonymized", "user.password_changed"]);
    assert_eq!(entries[0]["ipAddress"], "2001:db8::7");
    assert_eq!(
        (&entries[1]["ipAddress"], &entries[1]["userAgent"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(entries[1]["actorId"], json!(gone));
}

// ----------------------------------------------------------------------------------------------- the chain

/// A record of ten acts of every form, and the head of its chain.
async fn record() -> (TestDatabase, PgAudit, Anchor) {
    let database = test_database().await;
    let audit = PgAudit::new(database.database().clone());
    assert_eq!(verify(&audit, None).await.unwrap().number, 0);
    let user = UserId(Uuid::from_u128(7));
    for n in 0..10 {
        let actor = match n % 3 {
            0 => AuditActor::Person(user),
            1 => AuditActor::System("import".to_owned()),
            _ => AuditActor::Stranger,
        };
        let mut entry = audit_entry("user.updated", actor, AuditTarget::User(Some(user)));
        if n % 2 == 1 {
            entry.client = identity::Client::default();
            entry.request_id = None;
            entry.credential = None;
            entry.target = AuditTarget::Settings;
        }
        entry.detail =
            json!({ "n": n, "ä": "ü:\",", "list": [1.5, null, true, {}], "nested": { "b": 1, "a": 2 } });
        audit.append(entry).await.unwrap();
    }
    let head = verify(&audit, None).await.unwrap();
    assert_eq!(head.number, 10);
    (database, audit, head)
}

/// Does as the owner what the trigger would refuse.
async fn tamper(database: &TestDatabase, sql: &str) {
    let sql =
        format!("ALTER TABLE audit_log DISABLE TRIGGER ALL; {sql}; ALTER TABLE audit_log ENABLE TRIGGER ALL");
    database.batch(&sql).await;
}

/// What the check finds after that.
async fn found(sql: &str, with_anchor: bool) -> Option<Fault> {
    let (database, audit, head) = record().await;
    tamper(&database, sql).await;
    match verify(&audit, with_anchor.then_some(&head)).await {
        Ok(_) => None,
        Err(VerifyError::Fault(fault)) => Some(fault),
        Err(VerifyError::Port(error)) => panic!("{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_as_it_was_written_is_found_to_be_so() {
    let (_database, audit, head) = record().await;
    assert_eq!(verify(&audit, Some(&head)).await.unwrap(), head);
    audit
        .append(audit_entry(
            "user.updated",
            AuditActor::Stranger,
            AuditTarget::Settings,
        ))
        .await
        .unwrap();
    assert_eq!(
        verify(&audit, Some(&head)).await.unwrap().number,
        11,
        "it goes on after the anchor"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_any_column_is_found() {
    let (database, audit, head) = record().await;
    for change in [
        "event_id = gen_random_uuid()",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "action = 'user.deleted'",
        "actor_id = gen_random_uuid()",
        "actor_system = 'x'",
        "target_kind = 'team'",
        "target_id = gen_random_uuid()",
        "ip_address = '203.0.113.9'",
        "user_agent = 'x'",
        "request_id = 'x'",
        "credential_id = gen_random_uuid()",
        "credential_id = NULL",
        "detail = '{}'",
        "previous_sha256 = sha256('x')",
        "sha256 = sha256('x')",
    ] {
        tamper(
            &database,
            &format!("CREATE TABLE kept AS TABLE audit_log; UPDATE audit_log SET {change} WHERE number = 5"),
        )
        .await;
        match verify(&audit, None).await {
            Err(VerifyError::Fault(Fault::Changed { number: 5 })) => {}
            other => panic!("{change}: {other:?}"),
        }
        tamper(
            &database,
            "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept; DROP TABLE kept",
        )
        .await;
        assert_eq!(verify(&audit, Some(&head)).await.unwrap(), head);
    }
}

/// A digest as the database takes it: what a forger would do, too.
const REDIGEST: &str = "sha256 = sha256(convert_to(audit_log_text(audit_log), 'UTF8'))";

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_taken_out_exchanged_or_forged_are_found() {
    let after = |after| Fault::Missing {
        number: after + 1,
        after,
        found: after + 2,
    };
    assert_eq!(
        found("DELETE FROM audit_log WHERE number = 5", false).await,
        Some(after(4))
    );
    assert_eq!(
        found("DELETE FROM audit_log WHERE number = 1", false).await,
        Some(after(0))
    );
    let exchange = "UPDATE audit_log SET number = -number WHERE number IN (4, 5); \
                    UPDATE audit_log SET number = 9 + number WHERE number < 0";
    assert_eq!(found(exchange, false).await, Some(Fault::Changed { number: 4 }));
    let close_the_gap = "DELETE FROM audit_log WHERE number = 5; \
                         UPDATE audit_log SET number = -number WHERE number > 5; \
                         UPDATE audit_log SET number = -number - 1 WHERE number < 0";
    assert_eq!(
        found(close_the_gap, false).await,
        Some(Fault::Changed { number: 5 })
    );
    let redigested = format!(
        "UPDATE audit_log SET action = 'x' WHERE number = 5; UPDATE audit_log SET {REDIGEST} WHERE number = 5"
    );
    assert_eq!(
        found(&redigested, false).await,
        Some(Fault::Unlinked { number: 6, after: 5 })
    );
    let put_in = "INSERT INTO audit_log SELECT 11, gen_random_uuid(), occurred_at, action, actor_id, actor_system, \
                  target_kind, target_id, ip_address, user_agent, request_id, credential_id, detail, sha256, sha256 \
                  FROM audit_log WHERE number = 10";
    assert_eq!(found(put_in, false).await, Some(Fault::Changed { number: 11 }));
    let restarted = format!(
        "UPDATE audit_log SET previous_sha256 = '' WHERE number = 5; UPDATE audit_log SET {REDIGEST} WHERE number = 5"
    );
    assert_eq!(
        found(&restarted, false).await,
        Some(Fault::Restarted { number: 5, after: 4 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_off_or_made_anew_is_found_by_an_anchor() {
    let cut = "DELETE FROM audit_log WHERE number > 7";
    assert_eq!(found(cut, false).await, None, "a chain alone cannot show it");
    assert_eq!(
        found(cut, true).await,
        Some(Fault::CutOff {
            expected: 10,
            head: 7
        })
    );
    assert_eq!(
        found("DELETE FROM audit_log", true).await,
        Some(Fault::CutOff {
            expected: 10,
            head: 0
        })
    );
    // All of it, by one who has the owner's rights and goes through the trigger.
    let anew = "CREATE TABLE kept AS TABLE audit_log; DELETE FROM audit_log; \
                ALTER TABLE audit_log ENABLE TRIGGER audit_log_append; \
                UPDATE kept SET action = 'x' WHERE number = 3; \
                INSERT INTO audit_log SELECT * FROM kept ORDER BY number";
    assert_eq!(found(anew, false).await, None, "a chain alone cannot show it");
    assert_eq!(found(anew, true).await, Some(Fault::Replaced { number: 10 }));
}
