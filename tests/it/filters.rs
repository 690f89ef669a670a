//! The filter language over HTTP: it finds what it says, tells what is wrong where, and neither hides nor shows
//! anything that it should not.

use desk::app::{Caller, Reply, TestDesk, encoded};
use kernel::{Role, TeamRole};
use serde_json::{Value, json};

use super::strictness::checksum;

async fn filtered(desk: &TestDesk, caller: &Caller, condition: &Value, more: &str) -> Reply {
    let filter = encoded(&condition.to_string());
    desk.get(caller, &format!("/api/v1/tickets?filter={filter}{more}"))
        .await
}

/// The subjects of the found tickets, in the order of the alphabet.
async fn found(desk: &TestDesk, caller: &Caller, condition: &Value) -> Vec<String> {
    let reply = filtered(desk, caller, condition, "&limit=100&count=true")
        .await
        .expect(200);
    let list = reply.json();
    let rows = list["data"].as_array().unwrap();
    assert_eq!(list["page"]["totalCount"], rows.len(), "{condition}");
    let mut subjects: Vec<String> = rows
        .iter()
        .map(|row| row["subject"].as_str().unwrap().to_owned())
        .collect();
    subjects.sort();
    subjects
}

async fn opened(desk: &TestDesk, by: &Caller, mut body: Value, subject: &str) -> String {
    body["subject"] = json!(subject);
    body["description"] = json!("It does not work.");
    let made = desk.post(by, "/api/v1/tickets", &body).await.expect(201);
    format!("/api/v1/tickets/{}", made.text_of("/id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_narrowed_to_what_a_condition_says() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let kim = desk.person("kim", Role::User).await;
    let team = desk.team(&admin, "Front", &[(&agent, TeamRole::Agent)]).await;
    let a = opened(
        &desk,
        &kim,
        json!({ "teamId": team, "priority": "urgent" }),
        "A printer",
    )
    .await;
    let b = opened(
        &desk,
        &kim,
        json!({ "teamId": team, "customFields": { "floor": 3 } }),
        "B screen",
    )
    .await;
    opened(
        &desk,
        &kim,
        json!({ "customFields": { "floor": 7 } }),
        "C 100% PRINTER",
    )
    .await;
    let _ = desk
        .post(&agent, &format!("{a}/claim"), &json!({}))
        .await
        .expect(200);
    let tags = json!({ "tags": ["VPN", "Home"] });
    let _ = desk.patch(&agent, &b, &tags).await.expect(200);

    let term = |field: &str, operator: &str, value: Value| json!({ "field": field, "operator": operator, "value": value });
    let mine = term("assignedToId", "equals", json!("me"));
    let printers = term("subject", "contains", json!("printer"));
    let cases: Vec<(Value, &[&str])> = vec![
        (mine.clone(), &["A printer"]),
        (json!({ "none": [mine] }), &["B screen", "C 100% PRINTER"]),
        (printers.clone(), &["A printer", "C 100% PRINTER"]),
        (
            json!({ "all": [printers, term("priority", "in", json!(["urgent", "high"]))] }),
            &["A printer"],
        ),
        (term("subject", "contains", json!("0% p")), &["C 100% PRINTER"]),
        (term("subject", "contains", json!("a%r")), &[]),
        (term("tags", "contains", json!("vpn")), &["B screen"]),
        (
            term("customFields.floor", "greater_than", json!(3)),
            &["C 100% PRINTER"],
        ),
        (
            json!({ "field": "customFields.floor", "operator": "is_not_set" }),
            &["A printer"],
        ),
        (
            json!({ "any": [term("teamId", "equals", json!(team)), { "field": "teamId", "operator": "is_not_set" }] }),
            &["A printer", "B screen", "C 100% PRINTER"],
        ),
        (term("createdAt", "less_than", json!("-1h")), &[]),
        (
            term("createdAt", "between", json!(["-1h", "+1h"])),
            &["A printer", "B screen", "C 100% PRINTER"],
        ),
    ];
    for caller in [&agent, &admin] {
        for (condition, expected) in &cases {
            let mut expected = expected.to_vec();
            // The administrator claimed nothing.
            if caller.id == admin.id && condition.to_string().contains("\"me\"") {
                expected = match condition.get("none") {
                    Some(_) => vec!["A printer", "B screen", "C 100% PRINTER"],
                    None => vec![],
                };
            }
            assert_eq!(found(&desk, caller, condition).await, expected, "{condition}");
        }
    }
    // Beside a parameter both hold; a page goes on under its own condition alone.
    let any = json!({ "field": "subject", "operator": "is_set" });
    let both = filtered(&desk, &agent, &any, "&assignedTo=me").await.expect(200);
    assert_eq!(both.json()["data"].as_array().unwrap().len(), 1);
    let first = filtered(&desk, &agent, &any, "&limit=1").await.expect(200);
    let cursor = format!("&limit=1&cursor={}", first.text_of("/page/nextCursor"));
    let second = filtered(&desk, &agent, &any, &cursor).await.expect(200);
    assert_ne!(first.text_of("/data/0/id"), second.text_of("/data/0/id"));
    let other = json!({ "field": "description", "operator": "is_set" });
    filtered(&desk, &agent, &other, &cursor)
        .await
        .problem(400, "request.invalid_cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_condition_is_told_with_its_places() {
    let desk = TestDesk::start().await;
    let agent = desk.person("age", Role::Agent).await;
    let wrong = json!({ "all": [
        { "field": "colour", "operator": "equals", "value": "red" },
        { "field": "status", "operator": "equals", "value": "new" },
    ] });
    let reply = filtered(&desk, &agent, &wrong, "&limit=0").await;
    reply.problem(400, "request.invalid_parameter");
    let errors = reply.json()["errors"].clone();
    let places: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            let text = |member: &str| fault[member].as_str().unwrap_or_default().to_owned();
            (text("parameter"), text("pointer"), text("code"))
        })
        .collect();
    let expected = [
        ("filter", "/all/0/field", "unknown_field"),
        ("filter", "/all/1/value", "not_allowed"),
        ("limit", "", "out_of_range"),
    ];
    let expected =
        expected.map(|(name, pointer, code)| (name.to_owned(), pointer.to_owned(), code.to_owned()));
    assert_eq!(places, expected, "{}", reply.text);
    assert!(
        reply.text.contains("open, pending, resolved, closed"),
        "{}",
        reply.text
    );

    let term = json!({ "field": "subject", "operator": "is_set" });
    let deep = json!({ "all": [{ "all": [{ "all": [{ "all": [term] }] }] }] }).to_string();
    let long = json!({ "field": "subject", "operator": "equals", "value": "x".repeat(9_000) }).to_string();
    let wide = json!({ "any": vec![term; 21] }).to_string();
    let cases = [
        ("", "malformed_json"),
        ("{", "malformed_json"),
        ("{\"all\":[],\"all\":[]}", "malformed_json"),
        ("[]", "wrong_type"),
        (&*deep, "too_deep"),
        (&*long, "too_long"),
        (&*wide, "too_many"),
    ];
    for (text, code) in cases {
        let reply = desk
            .get(&agent, &format!("/api/v1/tickets?filter={}", encoded(text)))
            .await;
        reply.problem(400, "request.invalid_parameter");
        assert_eq!(reply.text_of("/errors/0/code"), code, "{text}: {}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_learn_nothing_internal_by_filtering() {
    let desk = TestDesk::start().await;
    let agent = desk.person("age", Role::Agent).await;
    let kim = desk.person("kim", Role::User).await;
    let lee = desk.person("lee", Role::User).await;
    let ticket = opened(&desk, &kim, json!({}), "Kim's").await;
    opened(&desk, &lee, json!({}), "Lee's").await;
    let internal = json!({ "message": "secret", "isInternal": true });
    let _ = desk
        .post(&agent, &format!("{ticket}/messages"), &internal)
        .await
        .expect(201);
    // What is not shown is no field at all.
    for field in ["slaBreached", "slaDueAt", "slaPolicyId", "metadata", "deletedAt"] {
        let condition = json!({ "field": field, "operator": "is_set" });
        let reply = filtered(&desk, &kim, &condition, "").await;
        reply.problem(400, "request.invalid_parameter");
        assert_eq!(reply.text_of("/errors/0/code"), "unknown_field");
        assert!(
            !reply.text_of("/errors/0/message").contains(field),
            "{}",
            reply.text
        );
    }
    // An agent who reads as a customer is one.
    let hidden = json!({ "field": "slaBreached", "operator": "equals", "value": false });
    filtered(&desk, &agent, &hidden, "&createdBy=me")
        .await
        .problem(400, "request.invalid_parameter");
    let _ = filtered(&desk, &agent, &hidden, "").await.expect(200);
    // What moves by internal text stands still.
    let written = json!({ "field": "messageCount", "operator": "greater_than", "value": 0 });
    let heard = json!({ "field": "lastMessageAt", "operator": "is_set" });
    for condition in [&written, &heard] {
        assert_eq!(
            found(&desk, &kim, condition).await,
            Vec::<String>::new(),
            "{condition}"
        );
        assert_eq!(found(&desk, &agent, condition).await, ["Kim's"], "{condition}");
    }
    // Nobody reaches beyond their own by any condition.
    for condition in [
        json!({ "field": "createdById", "operator": "equals", "value": lee.id }),
        json!({ "any": [{ "field": "createdById", "operator": "equals", "value": lee.id }] }),
        json!({ "none": [{ "field": "createdById", "operator": "equals", "value": kim.id }] }),
        json!({ "field": "subject", "operator": "contains", "value": "Lee" }),
    ] {
        assert_eq!(
            found(&desk, &kim, &condition).await,
            Vec::<String>::new(),
            "{condition}"
        );
    }
    let all = json!({ "field": "subject", "operator": "is_set" });
    assert_eq!(found(&desk, &kim, &all).await, ["Kim's"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_writers_put_into_json_columns_breaks_no_list() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    opened(
        &desk,
        &admin,
        json!({ "tags": ["vpn"], "customFields": { "floor": 3 } }),
        "ours",
    )
    .await;
    let long = json!({ "floor": "x".repeat(1_000_000) }).to_string();
    let odd = [
        "null",
        "7",
        "\"vpn\"",
        "[]",
        "[1, null, {\"vpn\": 1}]",
        "{\"vpn\": 1}",
        "{\"floor\": {\"floor\": [[1]]}}",
        &*long,
    ];
    for value in odd {
        opened(&desk, &admin, json!({}), "theirs").await;
        desk.database
            .batch(&format!(
                "UPDATE tickets SET tags = '{value}', custom_fields = '{value}' \
                 WHERE id = (SELECT id FROM tickets WHERE subject = 'theirs' ORDER BY id DESC LIMIT 1)"
            ))
            .await;
    }
    // Each of them is read, found and changed like any other.
    desk.take_up().await;
    let rows = desk
        .database
        .rows("SELECT id::text FROM tickets WHERE subject = 'theirs'")
        .await;
    for row in rows {
        let path = format!("/api/v1/tickets/{}", row[0].clone().unwrap());
        for question in ["", "/activity", "/messages", "/links"] {
            let _ = desk.get(&admin, &format!("{path}{question}")).await.expect(200);
        }
        let _ = desk
            .patch(&admin, &path, &json!({ "priority": "high" }))
            .await
            .expect(200);
        let tagged = desk
            .post(&admin, &format!("{path}/tags"), &json!({ "tags": ["mail"] }))
            .await;
        assert!(matches!(tagged.status, 200 | 422), "{}", tagged.text);
        let large = json!({ "customFields": { "note": "x".repeat(17 * 1024) } });
        let refused = desk.patch(&admin, &path, &large).await.expect(422);
        assert!(
            refused.text_of("/errors/0/pointer").starts_with("/customFields"),
            "{}",
            refused.text
        );
    }
    let found_by_word = desk
        .get(&admin, "/api/v1/tickets/search?q=theirs&limit=100")
        .await
        .expect(200);
    assert_eq!(found_by_word.json()["data"].as_array().unwrap().len(), odd.len());
    let all = json!({ "field": "subject", "operator": "is_set" });
    assert_eq!(found(&desk, &admin, &all).await.len(), odd.len() + 1);
    let ours = [
        json!({ "field": "tags", "operator": "contains", "value": "vpn" }),
        json!({ "field": "tags", "operator": "in", "value": ["vpn", "x"] }),
        json!({ "field": "customFields.floor", "operator": "equals", "value": 3 }),
        json!({ "field": "customFields.floor", "operator": "between", "value": [2, 4] }),
    ];
    for condition in ours {
        assert_eq!(found(&desk, &admin, &condition).await, ["ours"], "{condition}");
    }
    let none = json!({ "field": "customFields.floor", "operator": "in", "value": ["3", true, false] });
    assert_eq!(found(&desk, &admin, &none).await, Vec::<String>::new());
    for (field, operator) in [
        ("tags", "is_set"),
        ("tags", "is_not_set"),
        ("customFields.floor", "is_set"),
        ("customFields.floor", "is_not_set"),
    ] {
        let condition = json!({ "field": field, "operator": operator });
        assert!(found(&desk, &admin, &condition).await.len() <= odd.len() + 1);
    }
}

/// Texts that break out of a statement, a pattern, a JSON path or a number where someone forgot to bind them.
const PAYLOADS: [&str; 60] = [
    "'",
    "''",
    "\"",
    "\\",
    "\\'",
    "';--",
    "' OR '1'='1",
    "' OR 1=1--",
    "1' OR '1'='1'/*",
    "') OR ('1'='1",
    "'; DROP TABLE tickets;--",
    "'; UPDATE users SET role='admin';--",
    "' UNION SELECT password_hash FROM users--",
    "1; SELECT pg_sleep(5)--",
    "' || pg_sleep(5) || '",
    "(SELECT pg_sleep(5))",
    "$1",
    "$$",
    "%",
    "_",
    "%%%%%%%%",
    "{}",
    "$.a ? (@ == 1)",
    "$[*]",
    "NULL",
    "NaN",
    "1e999",
    "0x41",
    "\u{202e}",
    "ʼ",
    "';SELECT 1;--",
    "'; COPY tickets TO PROGRAM 'id';--",
    "' AND 1=CAST((SELECT version()) AS int)--",
    "' AND (SELECT count(*) FROM users)>0--",
    "' UNION ALL SELECT NULL,NULL,NULL--",
    "' UNION SELECT string_agg(email, ',') FROM users--",
    "1 OR 1=1",
    "1) OR (1=1",
    "1/**/OR/**/1=1",
    "1;DELETE FROM tickets",
    "-1 UNION SELECT 1",
    "%27 OR %271%27=%271",
    "%2527",
    "&#39; OR 1=1",
    "\u{2019} OR 1=1--",
    "\u{ff07} OR 1=1--",
    "chr(39)||chr(39)",
    "E'\\x27'",
    "U&'\\0027'",
    "$tag$ OR 1=1 $tag$",
    "tickets\" WHERE \"a\"=\"a",
    "(CASE WHEN 1=1 THEN 1 ELSE 0 END)",
    "id,(SELECT 1)",
    "updated_at DESC; SELECT 1",
    "extract(epoch from now())",
    "::text",
    "$.** ? (@ like_regex \".*\")",
    "strict $.a.b",
    "' ORDER BY 1--",
    "';LISTEN x;--",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_question_is_taken_for_sql() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::User).await;
    opened(&desk, &kim, json!({ "customFields": { "floor": 3 } }), "plain").await;
    let before = checksum(&desk).await;
    for payload in PAYLOADS {
        let text = encoded(payload);
        for parameter in [
            "sort",
            "status",
            "assignedTo",
            "createdAt[gte]",
            "include",
            "cursor",
            "limit",
        ] {
            let reply = desk
                .get(&admin, &format!("/api/v1/tickets?{}={text}", encoded(parameter)))
                .await;
            assert_eq!(reply.status, 400, "{parameter} {payload}: {}", reply.text);
        }
        let tagged = desk.get(&admin, &format!("/api/v1/tickets?tags={text}")).await;
        assert_eq!(tagged.expect(200).json()["data"], json!([]), "{payload}");
        for operator in ["equals", "contains", "starts_with", "ends_with"] {
            for field in ["subject", "description", "ticketNumber", "customFields.floor"] {
                let condition = json!({ "field": field, "operator": operator, "value": payload });
                assert_eq!(
                    found(&desk, &admin, &condition).await,
                    Vec::<String>::new(),
                    "{condition}"
                );
            }
            let odd =
                json!({ "field": format!("customFields.{payload}"), "operator": operator, "value": "3" });
            assert_eq!(found(&desk, &admin, &odd).await, Vec::<String>::new(), "{odd}");
        }
        for (field, operator) in [
            (payload, "equals"),
            ("subject", payload),
            ("status", "equals"),
            ("createdAt", "less_than"),
        ] {
            let condition = json!({ "field": field, "operator": operator, "value": payload });
            let reply = filtered(&desk, &admin, &condition, "").await;
            reply.problem(400, "request.invalid_parameter");
        }
    }
    // Nor elsewhere where someone asks.
    for payload in PAYLOADS {
        let text = encoded(payload);
        for question in [
            "users?search=",
            "users?role=",
            "audit-log?kind=",
            "views?sort=",
            "tickets/search?q=",
        ] {
            let reply = desk.get(&admin, &format!("/api/v1/{question}{text}")).await;
            assert!(
                matches!(reply.status, 200 | 400),
                "{question}{payload}: {}",
                reply.text
            );
        }
    }
    assert_eq!(checksum(&desk).await, before);
}
