//! Search over HTTP: it finds what is there, shows where, tells what is wrong with a question, and gives no trace of what
//! its reader may not know.

use desk::app::{Caller, TestDesk, encoded};
use kernel::{Role, TeamRole};
use serde_json::{Value, json};

async fn search(desk: &TestDesk, caller: &Caller, q: &str, more: &str) -> Value {
    let path = format!("/api/v1/tickets/search?q={}{more}", encoded(q));
    desk.get(caller, &path).await.expect(200).json()
}

/// The subjects of what is found, in the order given.
fn subjects(list: &Value) -> Vec<&str> {
    let rows = list["data"].as_array().unwrap();
    rows.iter().map(|row| row["subject"].as_str().unwrap()).collect()
}

async fn opened(desk: &TestDesk, by: &Caller, subject: &str, description: &str) -> String {
    let body = json!({ "subject": subject, "description": description });
    let made = desk.post(by, "/api/v1/tickets", &body).await.expect(201);
    format!("/api/v1/tickets/{}", made.text_of("/id"))
}

async fn said(desk: &TestDesk, by: &Caller, ticket: &str, body: &Value) {
    let path = format!("{ticket}/messages");
    let _ = desk.post(by, &path, body).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_words_in_any_form_wherever_they_stand() {
    let desk = TestDesk::start().await;
    let ada = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::User).await;
    let printer = opened(&desk, &kim, "Printers are failing", "All of them, since Monday").await;
    said(
        &desk,
        &kim,
        &printer,
        &json!({ "message": "Error 0x80070043 on \\\\srv-01" }),
    )
    .await;
    let _ = opened(&desk, &kim, "The screen", "Next to the printer, flickering").await;
    let _ = opened(&desk, &kim, "Nothing", "else").await;
    desk.take_up().await;
    let list = search(&desk, &ada, "printer", "&count=true").await;
    // The subject weighs more than the description.
    assert_eq!(subjects(&list), ["Printers are failing", "The screen"]);
    assert_eq!(list["page"]["totalCount"], 2);
    let first = &list["data"][0]["highlights"][0];
    assert_eq!(
        first,
        &json!({ "part": "subject", "html": "<mark>Printers</mark> are failing" })
    );
    for (q, found) in [
        ("the printer is failing", vec!["Printers are failing"]),
        ("0x80070043", vec!["Printers are failing"]),
        ("srv-01", vec!["Printers are failing"]),
        ("message:error", vec!["Printers are failing"]),
        ("subject:error", vec![]),
        ("flick* -monday", vec!["The screen"]),
        ("\"the printer\"", vec!["The screen"]),
        ("the", vec!["The screen"]),
        ("status:closed printer", vec![]),
        ("requester:me printer", vec![]),
        ("assignee:none -status:closed screen", vec!["The screen"]),
        ("☃", vec![]),
    ] {
        if q == "☃" {
            let path = format!("/api/v1/tickets/search?q={}", encoded(q));
            desk.get(&ada, &path)
                .await
                .problem(400, "request.invalid_parameter");
            continue;
        }
        assert_eq!(subjects(&search(&desk, &ada, q, "").await), found, "{q}");
    }
    // What is said later is found later, and what was changed is found no more as it was.
    let _ = desk
        .patch(&ada, &printer, &json!({ "subject": "Scanners are failing" }))
        .await
        .expect(200);
    desk.take_up().await;
    assert_eq!(
        subjects(&search(&desk, &ada, "subject:printer", "").await),
        Vec::<&str>::new()
    );
    assert_eq!(
        subjects(&search(&desk, &kim, "scanner", "").await),
        ["Scanners are failing"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_gives_no_trace_of_what_its_reader_may_not_know() {
    let desk = TestDesk::start().await;
    let ada = desk.person("ada", Role::Admin).await;
    let (age, out) = (
        desk.person("age", Role::Agent).await,
        desk.person("out", Role::Agent).await,
    );
    let (kim, eve) = (
        desk.person("kim", Role::User).await,
        desk.person("eve", Role::User).await,
    );
    let team = desk.team(&ada, "Front", &[(&age, TeamRole::Agent)]).await;
    let _ = desk.team(&ada, "Back", &[(&out, TeamRole::Agent)]).await;
    let ticket = desk.ticket(&kim, Some(team)).await;
    let path = ticket;
    said(&desk, &age, &path, &json!({ "message": "We look at the wombat" })).await;
    desk.take_up().await;
    let before = search(&desk, &kim, "wombat", "&count=true").await;
    assert_eq!(before["page"]["totalCount"], 1);
    // Internal text in every place there is for it, with the very word that the customer looks for.
    let internal = json!({ "message": "CANARYINT wombat wombat", "isInternal": true });
    said(&desk, &age, &path, &internal).await;
    let note = json!({ "message": "CANARYNOTE wombat" });
    let _ = desk.post(&age, &format!("{path}/notes"), &note).await.expect(201);
    desk.take_up().await;
    assert_eq!(search(&desk, &kim, "wombat", "&count=true").await, before);
    for q in [
        "canaryint",
        "canarynote",
        "canary*",
        "wombat canaryint",
        "\"wombat wombat\"",
    ] {
        for caller in [&kim, &eve, &out] {
            let list = search(&desk, caller, q, "&count=true").await;
            assert_eq!(
                (subjects(&list).len(), &list["page"]["totalCount"]),
                (0, &json!(0)),
                "{q}"
            );
        }
        for caller in [&age, &ada] {
            assert_eq!(subjects(&search(&desk, caller, q, "").await).len(), 1, "{q}");
        }
    }
    // `note:` is no part to a customer: it is a word that nobody wrote.
    assert_eq!(
        subjects(&search(&desk, &kim, "note:canaryint", "").await).len(),
        0
    );
    assert_eq!(
        subjects(&search(&desk, &kim, "wombat -canaryint", "").await).len(),
        1
    );
    let shown = search(&desk, &age, "canarynote", "").await;
    assert_eq!(shown["data"][0]["highlights"][0]["part"], "note");
    for caller in [&eve, &out] {
        assert_eq!(subjects(&search(&desk, caller, "wombat", "").await).len(), 0);
    }
    // Neither does a deleted ticket leave any.
    let _ = desk.request("DELETE", &path).by(&ada).send().await.expect(204);
    assert_eq!(subjects(&search(&desk, &ada, "wombat", "").await).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn highlights_are_text_and_nothing_else() {
    let desk = TestDesk::start().await;
    let kim = desk.person("kim", Role::User).await;
    let subject = "<img src=x onerror=alert(1)> & \"wombat\" <mark>";
    let _ = opened(
        &desk,
        &kim,
        subject,
        "\u{E000}x\u{E001} < the wombat has a burrow",
    )
    .await;
    desk.take_up().await;
    let list = search(&desk, &kim, "wombat burrow", "").await;
    assert_eq!(
        list["data"][0]["highlights"],
        json!([
            {
                "part": "subject",
                "html": "&lt;img src=x onerror=alert(1)&gt; &amp; &quot;<mark>wombat</mark>&quot; &lt;mark&gt;"
            },
            { "part": "description", "html": "x &lt; the <mark>wombat</mark> has a <mark>burrow</mark>" }
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_question_is_told_what_is_wrong_with_it() {
    let desk = TestDesk::start().await;
    let kim = desk.person("kim", Role::User).await;
    for (query, code) in [
        ("", "required"),
        ("q=", "too_short"),
        ("q=status%3Aodd", "not_allowed"),
        ("q=a*", "too_short"),
        ("q=x&q=y", "repeated"),
        ("q=x&includeDeleted=true", "unknown_parameter"),
        ("q=x&sort=relevance", "not_allowed"),
    ] {
        let reply = desk
            .get(&kim, &format!("/api/v1/tickets/search?{query}"))
            .await
            .expect(400);
        assert_eq!(reply.json()["errors"][0]["code"], code, "{query}");
    }
    let long = "x".repeat(201);
    let reply = desk
        .get(&kim, &format!("/api/v1/tickets/search?q={long}"))
        .await
        .expect(400);
    assert_eq!(reply.json()["errors"][0]["code"], "too_long");
}

/// Whatever someone types, it is an answer or a clear refusal: no query language of the database shines through.
#[tokio::test(flavor = "multi_thread")]
async fn no_text_is_too_odd_to_search_for() {
    let desk = TestDesk::start().await;
    let kim = desk.person("kim", Role::User).await;
    let odd = opened(
        &desk,
        &kim,
        "O'Brien & Söhne: 100% \\ done | (maybe) !x <-> y",
        "a:b:c*",
    )
    .await;
    assert!(!odd.is_empty());
    desk.take_up().await;
    for q in [
        "o'brien",
        "'",
        "''",
        "\\",
        "a\\",
        "a\\'*",
        "o'br*",
        "'x'*",
        "a & b",
        "a | b",
        "!a",
        "a <-> b",
        "(a",
        "a:*",
        "a:A",
        "100%",
        "%",
        "_",
        "söhne",
        "Sö*",
        "\"",
        "\"\"",
        "\"a",
        "--",
        "-",
        "-\"x",
        "*",
        "**",
        "a**",
        "x'); DROP TABLE tickets; --",
        "::",
        ":x",
        "subject:",
        "subject:\"",
        "-subject:*",
        "\u{202e}abc",
        "ﬁre",
        "e\u{301}",
        "日本語",
        "日本*",
        "\u{200b}",
        "a\u{e000}b",
        "🔥",
        "<b>",
        "q=1&x=2",
        "\u{feff}x",
    ] {
        let reply = desk
            .get(&kim, &format!("/api/v1/tickets/search?q={}", encoded(q)))
            .await;
        assert!([200, 400].contains(&reply.status), "{q}: {}", reply.status);
    }
    for q in [
        "o'brien",
        "söhne",
        "o'br*",
        "100%",
        "\"brien & söhne\"",
        "-nothing maybe",
    ] {
        assert_eq!(subjects(&search(&desk, &kim, q, "").await).len(), 1, "{q}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_is_read_page_by_page() {
    let desk = TestDesk::start().await;
    let ada = desk.person("ada", Role::Admin).await;
    let kim = desk.person("kim", Role::User).await;
    for number in 0..7 {
        let _ = opened(&desk, &kim, &format!("Wombat {number}"), "here").await;
    }
    desk.take_up().await;
    for sort in ["", "&sort=-updatedAt", "&sort=createdAt"] {
        let mut seen: Vec<String> = Vec::new();
        let mut cursor = String::new();
        for _ in 0..5 {
            let list = search(&desk, &ada, "wombat", &format!("&limit=3{sort}{cursor}")).await;
            seen.extend(subjects(&list).into_iter().map(str::to_owned));
            let Some(next) = list["page"]["nextCursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), 7, "{sort}");
        if sort == "&sort=createdAt" {
            assert!(seen.is_sorted());
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 7, "{sort}");
        // A cursor of one search is none of another's, nor of another caller's.
        for (caller, q) in [(&ada, "here"), (&kim, "wombat")] {
            let path = format!("/api/v1/tickets/search?q={q}&limit=3{sort}{cursor}");
            desk.get(caller, &path)
                .await
                .problem(400, "request.invalid_cursor");
        }
    }
}

/// Whoever writes into the contract's tables is found, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_other_writers_say_is_found() {
    let desk = TestDesk::start().await;
    let kim = desk.person("kim", Role::User).await;
    let path = desk.ticket(&kim, None).await;
    let ticket = path.rsplit('/').next().unwrap().to_owned();
    desk.take_up().await;
    let batch = format!(
        "INSERT INTO ticket_messages (ticket_id, sender_id, message, updated_at) \
         VALUES ('{ticket}', '{kim}', 'A numbat was seen', now()), ('{ticket}', '{kim}', repeat('{noise}', 10000), now())",
        kim = kim.id,
        noise = "ab cd ",
    );
    desk.database.batch(&batch).await;
    desk.take_up().await;
    assert_eq!(subjects(&search(&desk, &kim, "numbat", "").await).len(), 1);
    desk.database
        .batch(&format!(
            "UPDATE ticket_messages SET is_internal = true WHERE ticket_id = '{ticket}'"
        ))
        .await;
    desk.take_up().await;
    assert_eq!(subjects(&search(&desk, &kim, "numbat", "").await).len(), 0);
    desk.database
        .batch(&format!(
            "DELETE FROM ticket_messages WHERE ticket_id = '{ticket}'"
        ))
        .await;
    desk.take_up().await;
    // A text of more different words than PostgreSQL can hold of one document.
    let words: Vec<String> = (0..180_000).map(|n| format!("{n:x}")).collect();
    let huge = words.join(" ");
    desk.database
        .batch(&format!(
            "INSERT INTO ticket_messages (ticket_id, sender_id, message, updated_at) VALUES ('{ticket}', '{}', '{huge}', now())",
            kim.id
        ))
        .await;
    desk.take_up().await;
    let printed = desk.get(&kim, &path).await.expect(200);
    let word = printed.text_of("/subject");
    assert_eq!(subjects(&search(&desk, &kim, &word, "").await).len(), 1);
}
