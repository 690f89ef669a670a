//! Bad input gets the right problem document and changes nothing.

use desk::app::{TestDesk, encoded};
use kernel::{Role, TeamRole};
use serde_json::json;

/// The rows of everything that a request could change.
pub(super) async fn checksum(desk: &TestDesk) -> String {
    let tables = "tickets ticket_messages ticket_notes ticket_activities users teams team_members outbox idempotency_keys ticket_views";
    let parts: Vec<String> = tables
        .split(' ')
        .map(|table| {
            format!("(SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '-') FROM {table} t)")
        })
        .collect();
    let rows = desk
        .database
        .rows(&format!("SELECT concat_ws(' ', {})", parts.join(", ")))
        .await;
    rows[0][0].clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_by_name_and_change_nothing() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let ticket = desk.ticket(&customer, None).await;
    let before = checksum(&desk).await;
    let create = "/api/v1/tickets";
    let long = "x".repeat(201);
    let deep = format!(
        "{{\"subject\":\"s\",\"description\":\"d\",\"customFields\":{{\"a\":{}1{}}}}}",
        "[".repeat(40),
        "]".repeat(40)
    );
    let cases: Vec<(&str, String, u16, &str, &str)> = vec![
        (
            "malformed",
            "{\"subject\": ".into(),
            400,
            "request.malformed_json",
            "",
        ),
        ("no object", "[]".into(), 422, "request.invalid", ""),
        ("empty", String::new(), 422, "request.invalid", ""),
        (
            "unknown field",
            json!({ "subject": "s", "description": "d", "colour": 1 }).to_string(),
            422,
            "request.invalid",
            "/colour",
        ),
        (
            "a field for others",
            json!({ "subject": "s", "description": "d", "assignedToId": null }).to_string(),
            422,
            "request.invalid",
            "/assignedToId",
        ),
        (
            "wrong type",
            json!({ "subject": 7, "description": "d" }).to_string(),
            422,
            "request.invalid",
            "/subject",
        ),
        (
            "wrong word",
            json!({ "subject": "s", "description": "d", "priority": "asap" }).to_string(),
            422,
            "request.invalid",
            "/priority",
        ),
        (
            "too long",
            json!({ "subject": long, "description": "d" }).to_string(),
            422,
            "request.invalid",
            "/subject",
        ),
        (
            "empty text",
            json!({ "subject": "  ", "description": "d" }).to_string(),
            422,
            "request.invalid",
            "/subject",
        ),
        (
            "NUL",
            "{\"subject\":\"a\\u0000b\",\"description\":\"d\"}".into(),
            400,
            "",
            "",
        ),
        (
            "lone surrogate",
            "{\"subject\":\"\\ud800\",\"description\":\"d\"}".into(),
            400,
            "",
            "",
        ),
        (
            "control character",
            json!({ "subject": "a\u{7}b", "description": "d" }).to_string(),
            422,
            "request.invalid",
            "/subject",
        ),
        (
            "duplicate key",
            "{\"subject\":\"a\",\"subject\":\"b\",\"description\":\"d\"}".into(),
            400,
            "",
            "",
        ),
        ("too deep", deep, 400, "", ""),
        (
            "infinite",
            "{\"subject\":1e999,\"description\":\"d\"}".into(),
            400,
            "",
            "",
        ),
        (
            "unknown team",
            json!({ "subject": "s", "description": "d", "teamId": "01890a5d-ac96-774b-bcce-b302099a8057" })
                .to_string(),
            422,
            "request.invalid",
            "/teamId",
        ),
        (
            "nested custom field",
            json!({ "subject": "s", "description": "d", "customFields": { "a": { "b": 1 } } }).to_string(),
            422,
            "request.invalid",
            "/customFields/a",
        ),
    ];
    for (name, body, status, code, pointer) in cases {
        let reply = desk.request("POST", create).by(&customer).raw(body).send().await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text);
        let code = if code.is_empty() {
            reply.text_of("/code")
        } else {
            code.to_owned()
        };
        reply.problem(status, &code);
        if !pointer.is_empty() {
            assert_eq!(
                reply.text_of("/errors/0/pointer"),
                pointer,
                "{name}: {}",
                reply.text
            );
        }
    }
    let all = json!({ "subject": "", "description": "", "tags": ["x".repeat(60)] });
    let reply = desk.post(&customer, create, &all).await.expect(422);
    assert_eq!(
        reply.json()["errors"].as_array().unwrap().len(),
        3,
        "all faults at once: {}",
        reply.text
    );

    let huge = json!({ "subject": "s", "description": "x".repeat(1_100_000) }).to_string();
    desk.request("POST", create)
        .by(&customer)
        .raw(huge)
        .send()
        .await
        .problem(413, "request.too_large");
    let form = desk
        .request("POST", create)
        .by(&customer)
        .header("content-type", "text/plain")
        .raw("hello");
    form.send().await.problem(415, "request.unsupported_media_type");
    let nulled = desk
        .patch(&customer, &ticket, &json!({ "subject": null }))
        .await
        .expect(422);
    assert_eq!(nulled.text_of("/errors/0/code"), "not_null");
    let bad_key = desk
        .request("POST", create)
        .by(&customer)
        .header("idempotency-key", "a b")
        .json(&json!({}));
    bad_key.send().await.problem(400, "request.invalid_header");
    assert_eq!(checksum(&desk).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_are_refused_by_name() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let stranger = desk.person("str", Role::User).await;
    for _ in 0..3 {
        let _ = desk.ticket(&customer, None).await;
    }
    let first = desk.get(&customer, "/api/v1/tickets?limit=1").await.expect(200);
    let cursor = first.text_of("/page/nextCursor");
    let second = desk
        .get(&customer, &format!("/api/v1/tickets?limit=1&cursor={cursor}"))
        .await
        .expect(200);
    assert_ne!(first.text_of("/data/0/id"), second.text_of("/data/0/id"));

    let mut forged = cursor.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    for (who, query) in [
        (&customer, format!("limit=1&cursor={forged}")),
        (
            &customer,
            format!("limit=1&cursor={}", &cursor[..cursor.len() / 2]),
        ),
        (&customer, "cursor=".to_owned()),
        (&customer, format!("limit=1&sort=createdAt&cursor={cursor}")),
        (&customer, format!("limit=1&status=open&cursor={cursor}")),
        (&stranger, format!("limit=1&cursor={cursor}")),
    ] {
        let reply = desk.get(who, &format!("/api/v1/tickets?{query}")).await;
        reply.problem(400, "request.invalid_cursor");
    }
    for query in [
        "colour=red",
        "status=open&status=closed",
        "status=new",
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1000000000",
        "limit=9223372036854775808",
        "page=9223372036854775807",
        "offset=10",
        "sort=subject",
        "sort=createdAt;drop table tickets",
        "assignedTo=you",
        "createdAt[gte]=yesterday",
        "include=passwordHash",
        "fields=passwordHash",
        "count=yes",
        "tags=%00",
    ] {
        let reply = desk.get(&customer, &format!("/api/v1/tickets?{query}")).await;
        reply.problem(400, "request.invalid_parameter");
    }
    // What is allowed is named.
    for (query, allowed) in [
        ("sort=subject", "createdAt, updatedAt"),
        ("status=new", "open, pending, resolved, closed"),
        ("priority=extreme", "low, medium, high, urgent"),
    ] {
        let reply = desk.get(&customer, &format!("/api/v1/tickets?{query}")).await;
        let message = reply.text_of("/errors/0/message");
        assert!(message.contains(allowed), "{query}: {message}");
    }
    let condition = "%7B%22field%22:%22subject%22,%22operator%22:%22like%22,%22value%22:%22a%22%7D";
    let reply = desk
        .get(&customer, &format!("/api/v1/tickets?filter={condition}"))
        .await;
    let message = reply.text_of("/errors/0/message");
    assert!(
        message.contains("equals") && message.contains("starts_with"),
        "{message}"
    );
    desk.request("GET", "/api/v1/nothing")
        .send()
        .await
        .problem(404, "request.unknown_path");
    let put = desk.request("PUT", "/api/v1/tickets").by(&customer).send().await;
    put.problem(405, "request.method_not_allowed");
    assert!(put.header("allow").contains("POST"), "{}", put.header("allow"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_someone_elses_is_as_unknown_as_what_is_not() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let stranger = desk.person("str", Role::User).await;
    let outsider = desk.person("out", Role::Agent).await;
    let insider = desk.person("ins", Role::Agent).await;
    let team = desk.team(&admin, "Front", &[(&insider, TeamRole::Agent)]).await;
    let ticket = desk.ticket(&customer, Some(team)).await;
    let other = desk.ticket(&customer, Some(team)).await;
    let message = desk
        .post(
            &customer,
            &format!("{other}/messages"),
            &json!({ "message": "m" }),
        )
        .await
        .expect(201);
    let number = desk.get(&customer, &ticket).await.text_of("/ticketNumber");
    let before = checksum(&desk).await;
    let unknown = "/api/v1/tickets/01890a5d-ac96-774b-bcce-b302099a8057";
    let strip = |mut value: serde_json::Value| {
        for member in ["requestId", "instance"] {
            value.as_object_mut().unwrap().remove(member);
        }
        value
    };
    for caller in [&stranger, &outsider] {
        for rest in ["", "/messages", "/notes", "/activity"] {
            let hidden = desk.get(caller, &format!("{ticket}{rest}")).await;
            let absent = desk.get(caller, &format!("{unknown}{rest}")).await;
            assert_eq!(
                (hidden.status, strip(hidden.json())),
                (404, strip(absent.json())),
                "{rest}"
            );
        }
        desk.get(caller, &format!("/api/v1/tickets/{number}"))
            .await
            .problem(404, "ticket.not_found");
        for (rest, body) in [
            ("/messages", json!({ "message": "m" })),
            ("/notes", json!({ "message": "m" })),
            ("/claim", json!({})),
            ("/assign", json!({ "agentId": outsider.id })),
            ("/unassign", json!({})),
            ("/transfer", json!({ "teamId": team })),
            ("/resolve", json!({})),
            ("/close", json!({})),
            ("/reopen", json!({})),
            ("/restore", json!({})),
        ] {
            desk.post(caller, &format!("{ticket}{rest}"), &body)
                .await
                .problem(404, "ticket.not_found");
        }
        desk.patch(caller, &ticket, &json!({ "subject": "mine" }))
            .await
            .problem(404, "ticket.not_found");
        let delete = desk.request("DELETE", &ticket).by(caller).send().await;
        delete.problem(404, "ticket.not_found");
    }
    // A message is found in its own ticket alone.
    let path = format!("{ticket}/messages/{}", message.text_of("/id"));
    desk.get(&customer, &path).await.problem(404, "message.not_found");
    desk.patch(&customer, &path, &json!({ "message": "n" }))
        .await
        .problem(404, "message.not_found");
    // Without a token nothing is shown at all.
    let anonymous = desk.request("GET", &ticket).send().await;
    anonymous.problem(401, "auth.required");
    assert_eq!(anonymous.header("www-authenticate"), "Bearer");
    assert_eq!(checksum(&desk).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn illegal_transitions_and_stale_versions_change_nothing() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let ticket = desk.ticket(&customer, None).await;
    let old = desk.get(&admin, &ticket).await.header("etag");
    let _ = desk
        .post(
            &admin,
            &format!("{ticket}/resolve"),
            &json!({ "resolution": "done" }),
        )
        .await
        .expect(200);
    let before = checksum(&desk).await;
    let again = desk.post(&admin, &format!("{ticket}/resolve"), &json!({})).await;
    again.problem(409, "ticket.transition_not_allowed");
    assert!(
        again.text_of("/detail").contains("open, closed"),
        "{}",
        again.text
    );
    desk.patch(&admin, &ticket, &json!({ "status": "pending" }))
        .await
        .problem(409, "ticket.transition_not_allowed");
    desk.post(&customer, &format!("{ticket}/resolve"), &json!({}))
        .await
        .problem(403, "access.forbidden");
    for tag in [old.as_str(), "\"ticket-99\"", "\"team-2\"", "W/\"ticket-2\""] {
        let stale = desk
            .request("PATCH", &ticket)
            .by(&admin)
            .header("if-match", tag)
            .json(&json!({ "subject": "s" }));
        stale.send().await.problem(412, "request.stale");
        let stale = desk
            .request("POST", &format!("{ticket}/close"))
            .by(&admin)
            .header("if-match", tag);
        stale.send().await.problem(412, "request.stale");
    }
    assert_eq!(checksum(&desk).await, before);
    let _ = desk
        .post(&customer, &format!("{ticket}/close"), &json!({}))
        .await
        .expect(200);
    desk.post(
        &customer,
        &format!("{ticket}/messages"),
        &json!({ "message": "m" }),
    )
    .await
    .problem(409, "ticket.closed");
    // What is closed is opened first, whoever asks.
    let before = checksum(&desk).await;
    desk.post(&admin, &format!("{ticket}/resolve"), &json!({}))
        .await
        .problem(409, "ticket.transition_not_allowed");
    for status in ["resolved", "pending"] {
        desk.patch(&admin, &ticket, &json!({ "status": status }))
            .await
            .problem(409, "ticket.transition_not_allowed");
    }
    assert_eq!(checksum(&desk).await, before);
}

/// Pieces of which odd texts are made.
const ODD: [&str; 22] = [
    "a",
    "Z",
    " ",
    "e\u{301}",
    "\u{212b}",
    "\u{feff}",
    "\u{200b}",
    "\u{200d}",
    "\u{202e}",
    "\u{2066}",
    "\u{85}",
    "\u{9f}",
    "\u{1}",
    "\0",
    "\u{fffd}",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\u{10ffff}",
    "\u{e000}",
    "\n",
    "\t",
    "<b>",
    "\u{ad}",
];

/// Five hundred odd texts, the same in each run.
fn odd_texts() -> Vec<String> {
    let mut seed = 42_u64;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap()
    };
    let mut texts: Vec<String> = (0..498)
        .map(|_| (0..=next() % 12).map(|_| ODD[next() % ODD.len()]).collect())
        .collect();
    texts.push(format!("e{}", "\u{301}".repeat(10_000)));
    texts.push("\u{202e}".repeat(150));
    texts
}

/// What is kept of a text that is taken: composed, without white space at its ends.
fn kept(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    text.trim().nfc().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_is_refused_or_kept_as_it_is_shown_and_none_breaks_the_server() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let ticket = desk.ticket(&admin, None).await;
    let mut taken = 0;
    for text in odd_texts() {
        // Each field by itself: a text that one refuses may be fine in another.
        let cases = [
            (
                "POST",
                "/api/v1/tickets".to_owned(),
                json!({ "subject": text, "description": "d" }),
                "/subject",
            ),
            (
                "POST",
                "/api/v1/tickets".to_owned(),
                json!({ "subject": "s", "description": text }),
                "/description",
            ),
            (
                "POST",
                format!("{ticket}/messages"),
                json!({ "message": text }),
                "/message",
            ),
            (
                "POST",
                format!("{ticket}/notes"),
                json!({ "message": text }),
                "/message",
            ),
            (
                "PUT",
                format!("{ticket}/draft"),
                json!({ "message": text, "isInternal": false }),
                "",
            ),
            ("PATCH", ticket.clone(), json!({ "tags": [text] }), ""),
            (
                "PATCH",
                ticket.clone(),
                json!({ "customFields": { "odd": text } }),
                "",
            ),
            (
                "PATCH",
                ticket.clone(),
                json!({ "metadata": { "odd": text } }),
                "",
            ),
            ("PATCH", "/api/v1/auth/me".to_owned(), json!({ "name": text }), ""),
            (
                "POST",
                "/api/v1/views".to_owned(),
                json!({ "name": text, "filter": null }),
                "",
            ),
        ];
        for (method, path, body, shown) in cases {
            let reply = desk.request(method, &path).by(&admin).json(&body).send().await;
            assert!(
                matches!(reply.status, 200 | 201 | 400 | 409 | 422),
                "{method} {path} {text:?}: {} {}",
                reply.status,
                reply.text
            );
            if reply.status < 300 && !shown.is_empty() {
                assert_eq!(reply.text_of(shown), kept(&text), "{method} {path}");
                taken += 1;
            }
        }
    }
    assert!(taken > 200, "{taken}");
    // What looks the same is found as the same.
    let composed = json!({ "field": "subject", "operator": "equals", "value": "caf\u{e9}" });
    let made = json!({ "subject": "cafe\u{301}", "description": "d" });
    let _ = desk.post(&admin, "/api/v1/tickets", &made).await.expect(201);
    let filter = desk::app::encoded(&composed.to_string());
    let found = desk
        .get(&admin, &format!("/api/v1/tickets?filter={filter}"))
        .await
        .expect(200);
    assert_eq!(found.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_and_no_number_break_the_server() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let ticket = desk.ticket(&admin, None).await;
    let plain = r#"{"subject":"s","description":"d"}"#;
    let utf16 = |big: bool| -> Vec<u8> {
        let units = plain.encode_utf16();
        units
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    };
    let bodies = [
        utf16(true),
        utf16(false),
        [b"\xef\xbb\xbf".as_slice(), plain.as_bytes()].concat(),
        b"{\"subject\":\"\xff\",\"description\":\"d\"}".to_vec(),
        br#"{"subject":"\ud800","description":"d"}"#.to_vec(),
        br#"{"subject":"s","subject":"t","description":"d"}"#.to_vec(),
        b"[".repeat(10_000),
        b"{\"a\":".repeat(10_000),
    ];
    for body in bodies {
        for (method, path) in [("POST", "/api/v1/tickets"), ("PATCH", ticket.as_str())] {
            let request = desk.request(method, path).by(&admin);
            let request = request
                .header("content-type", "application/json")
                .raw(body.clone());
            let reply = request.send().await;
            assert!(
                matches!(reply.status, 400 | 413 | 415 | 422),
                "{path}: {}",
                reply.text
            );
        }
    }
    // Numbers at their ends are refused, or come back as they are.
    for number in [
        "-0",
        "0.1",
        "1e308",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1e999",
    ] {
        for member in ["customFields", "metadata"] {
            let body = format!("{{\"{member}\":{{\"n\":{number}}}}}");
            let request = desk.request("PATCH", &ticket).by(&admin);
            let reply = request
                .header("content-type", "application/json")
                .raw(body)
                .send()
                .await;
            assert!(
                matches!(reply.status, 200 | 400 | 422),
                "{number}: {}",
                reply.text
            );
            if reply.status == 200 {
                let shown = desk.get(&admin, &ticket).await.expect(200).json();
                let wanted: f64 = number.parse().unwrap();
                assert_eq!(shown[member]["n"].as_f64(), Some(wanted), "{number}");
            }
        }
        for field in ["messageCount", "satisfactionScore", "customFields.n"] {
            let filter = format!("{{\"field\":\"{field}\",\"operator\":\"equals\",\"value\":{number}}}");
            let path = format!("/api/v1/tickets?filter={}", desk::app::encoded(&filter));
            let reply = desk.get(&admin, &path).await;
            assert!(matches!(reply.status, 200 | 400), "{number}: {}", reply.text);
        }
    }
}

/// More links than any text holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_a_hundred_thousand_links_is_refused_by_its_length() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let ticket = desk.ticket(&admin, None).await;
    let body = json!({ "message": "[]()".repeat(100_000) });
    let refused = desk.post(&admin, &format!("{ticket}/messages"), &body).await;
    refused.problem(422, "request.invalid");
    assert_eq!(refused.text_of("/errors/0/pointer"), "/message");
}

/// Ten thousand texts that a cursor could be changed into: none of them is a place in the list, whatever list it is of.
#[tokio::test(flavor = "multi_thread")]
async fn no_changed_cursor_is_a_place_in_a_list() {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=%.";
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("kim", Role::User).await;
    for _ in 0..3 {
        let _ = desk.ticket(&customer, None).await;
    }
    let mut tried = 0;
    for (caller, list) in [
        (&customer, "/api/v1/tickets?limit=1"),
        (&admin, "/api/v1/users?limit=1"),
    ] {
        let cursor = desk
            .get(caller, list)
            .await
            .expect(200)
            .text_of("/page/nextCursor");
        let mut changed: Vec<String> = (0..cursor.len()).map(|end| cursor[..end].to_owned()).collect();
        for place in 0..=cursor.len() {
            for letter in LETTERS {
                let letter = char::from(*letter);
                changed.push(format!("{}{letter}{}", &cursor[..place], &cursor[place..]));
                if place < cursor.len() {
                    changed.push(format!("{}{letter}{}", &cursor[..place], &cursor[place + 1..]));
                }
            }
        }
        changed.retain(|text| *text != cursor);
        tried += changed.len();
        for some in changed.chunks(16) {
            let desk = &desk;
            let replies = some.iter().map(|text| async move {
                let path = format!("{list}&cursor={}", encoded(text));
                (text, desk.get(caller, &path).await)
            });
            for (text, reply) in futures_util::future::join_all(replies).await {
                assert_eq!(reply.status, 400, "{text}: {}", reply.text);
                assert_eq!(reply.json()["code"], "request.invalid_cursor", "{text}");
            }
        }
    }
    assert!(tried >= 10_000, "only {tried}");
}
