//! Many at once: one claim wins, one edit of a version wins, a key has its effect once, no number comes twice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use desk::app::{Reply, TestDesk};
use futures_util::future::join_all;
use kernel::{Role, TeamRole};
use serde_json::json;

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_claim_a_ticket_one_wins() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let mut agents = Vec::new();
    for n in 0..6 {
        agents.push(desk.person(&format!("agent{n}"), Role::Agent).await);
    }
    let members: Vec<_> = agents.iter().map(|agent| (agent, TeamRole::Agent)).collect();
    let team = desk.team(&admin, "Front", &members).await;
    for _ in 0..5 {
        let ticket = desk.ticket(&customer, Some(team)).await;
        let path = format!("{ticket}/claim");
        let nothing = json!({});
        let claims = agents.iter().map(|agent| desk.post(agent, &path, &nothing));
        let replies = join_all(claims).await;
        assert_eq!(count(&replies, 200), 1, "{replies:#?}");
        assert_eq!(count(&replies, 409), agents.len() - 1);
        replies
            .iter()
            .filter(|reply| reply.status == 409)
            .for_each(|reply| reply.problem(409, "ticket.already_claimed"));
        let winner = replies
            .iter()
            .find(|reply| reply.status == 200)
            .unwrap()
            .text_of("/assignedToId");
        assert_eq!(desk.get(&admin, &ticket).await.text_of("/assignedToId"), winner);
        let history = desk.get(&admin, &format!("{ticket}/activity")).await.json();
        let assigned = history["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["actionType"] == "assigned");
        assert_eq!(assigned.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_edits_of_one_version_one_wins_and_none_is_lost_silently() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let ticket = desk.ticket(&admin, None).await;
    let tag = desk.get(&admin, &ticket).await.expect(200).header("etag");
    let edits = (0..8).map(|n| {
        let body = json!({ "subject": format!("Edit {n}") });
        desk.request("PATCH", &ticket)
            .by(&admin)
            .header("if-match", &tag)
            .json(&body)
            .send()
    });
    let replies = join_all(edits).await;
    assert_eq!(count(&replies, 200), 1, "{replies:#?}");
    let won = replies.iter().find(|reply| reply.status == 200).unwrap();
    for lost in replies.iter().filter(|reply| reply.status != 200) {
        lost.problem(412, "request.stale");
        let current = lost.header("etag");
        assert!(
            won.header("etag").starts_with(current.trim_end_matches('"')),
            "412 shows the present version: {current}"
        );
    }
    assert_eq!(
        desk.get(&admin, &ticket).await.text_of("/subject"),
        won.text_of("/subject")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_effect_once_however_often_and_at_once_it_comes() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let body = json!({ "subject": "Once", "description": "only" });
    let send = || {
        desk.request("POST", "/api/v1/tickets")
            .by(&customer)
            .header("idempotency-key", "k-1")
            .json(&body)
            .send()
    };
    let replies = join_all((0..50).map(|_| send())).await;
    let answered: BTreeSet<_> = replies
        .iter()
        .filter(|reply| reply.status == 201)
        .map(|reply| reply.text_of("/id"))
        .collect();
    assert_eq!(answered.len(), 1, "{replies:#?}");
    assert!(
        replies.iter().all(|reply| matches!(reply.status, 201 | 409)),
        "{replies:#?}"
    );
    let first = replies
        .iter()
        .find(|reply| reply.header("idempotency-replayed").is_empty())
        .unwrap();
    let again = send().await.expect(201);
    assert_eq!(
        (again.header("idempotency-replayed").as_str(), &again.text),
        ("true", &first.text)
    );
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(desk.database.number("SELECT count(*) FROM tickets").await, 1);
    assert_eq!(
        desk.database.number("SELECT count(*) FROM outbox").await,
        3,
        "an account, its login and a ticket"
    );

    let other = json!({ "subject": "Other", "description": "body" });
    let reused = desk
        .request("POST", "/api/v1/tickets")
        .by(&customer)
        .header("idempotency-key", "k-1")
        .json(&other);
    reused.send().await.problem(422, "request.idempotency_key_reused");
    let stranger = desk.person("str", Role::User).await;
    let own = desk
        .request("POST", "/api/v1/tickets")
        .by(&stranger)
        .header("idempotency-key", "k-1")
        .json(&other);
    let _ = own.send().await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_never_given_twice() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let body = json!({ "subject": "Number", "description": "please" });
    let replies = join_all((0..64).map(|_| desk.post(&customer, "/api/v1/tickets", &body))).await;
    let numbers: BTreeSet<_> = replies
        .iter()
        .map(|reply| reply.text_of("/ticketNumber"))
        .collect();
    assert_eq!(numbers.len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_at_once_are_all_kept_and_counted() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let ticket = desk.ticket(&customer, None).await;
    let path = format!("{ticket}/messages");
    let replies = join_all((0..12).map(|n| {
        let author = if n % 2 == 0 { &customer } else { &admin };
        let body = json!({ "message": format!("reply {n}") });
        let path = &path;
        let desk = &desk;
        async move { desk.post(author, path, &body).await }
    }))
    .await;
    let kept = count(&replies, 201);
    assert!(
        replies.iter().all(|reply| matches!(reply.status, 201 | 503)),
        "{replies:#?}"
    );
    let shown = desk.get(&admin, &ticket).await.json();
    assert_eq!(shown["messageCount"], kept);
    let listed = desk.get(&customer, &format!("{path}?limit=100")).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), kept);
    let stored = "SELECT count(*) FROM ticket_activities WHERE action_type = 'message_added'";
    assert_eq!(usize::try_from(desk.database.number(stored).await).unwrap(), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_added_and_taken_away_at_once_are_none_of_them_lost() {
    let desk = TestDesk::start().await;
    let agent = desk.person("age", Role::Agent).await;
    let ticket = desk.ticket(&agent, None).await;
    let path = format!("{ticket}/tags");
    let (old, new) = (["a", "b", "c"], ["x", "y", "z"]);
    let added = desk
        .post(&agent, &path, &json!({ "tags": ["A", "b ", "c", "b", "kept"] }))
        .await;
    assert_eq!(added.expect(200).json()["tags"], json!(["a", "b", "c", "kept"]));
    let bodies: Vec<_> = new
        .iter()
        .map(|tag| ("POST", json!({ "tags": [tag] })))
        .chain(old.iter().map(|tag| ("DELETE", json!({ "tags": [tag] }))))
        .collect();
    let requests = bodies
        .iter()
        .map(|(method, body)| desk.request(method, &path).by(&agent).json(body).send());
    let replies = join_all(requests).await;
    assert_eq!(count(&replies, 200), bodies.len(), "{replies:#?}");
    let shown = desk.get(&agent, &ticket).await.json();
    let tags: BTreeSet<&str> = shown["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap())
        .collect();
    assert_eq!(tags, BTreeSet::from(["kept", "x", "y", "z"]));

    // What is so already changes nothing, and leaves no trace.
    let before = desk.get(&agent, &ticket).await.header("etag");
    let again = desk
        .post(&agent, &path, &json!({ "tags": ["X"] }))
        .await
        .expect(200);
    assert_eq!(again.header("etag"), before);
    let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    let refused = desk.post(&agent, &path, &json!({ "tags": many })).await;
    refused.problem(422, "request.invalid");
    assert_eq!(refused.text_of("/errors/0/pointer"), "/tags");
    let none = desk.post(&agent, &path, &json!({ "tags": [] })).await;
    none.problem(422, "request.invalid");
    let stale = desk
        .request("DELETE", &path)
        .by(&agent)
        .header("if-match", "\"ticket-1\"")
        .json(&json!({ "tags": ["x"] }));
    assert_eq!(stale.send().await.status, 412);
    assert_eq!(desk.get(&agent, &ticket).await.header("etag"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_changes_while_it_is_read_shows_each_ticket_once_and_misses_none_that_stood_still() {
    const STILL: usize = 5_000;
    const RESTLESS: usize = 5_000;
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    desk.database
        .batch(&format!(
            "INSERT INTO tickets (ticket_number, subject, description, created_by, created_at, updated_at, public_updated_at) \
             SELECT 'T-' || n, CASE n % 2 WHEN 0 THEN 'still' ELSE 'restless' END, 'Text', '{}', at, at, at \
             FROM generate_series(1, {}) AS n, LATERAL (SELECT now() - n / 3 * interval '1 second') AS t (at)",
            admin.id,
            STILL + RESTLESS
        ))
        .await;
    for sort in ["-updatedAt", "-createdAt"] {
        let done = AtomicBool::new(false);
        let (desk, admin, done) = (&desk, &admin, &done);
        let writers = (0..20).map(|writer| async move {
            let mut written = 0;
            while !done.load(Ordering::SeqCst) {
                let number = (writer * 249 + written * 17) % RESTLESS * 2 + 1;
                let body = json!({ "tags": [format!("w{writer}-{written}")] });
                let path = format!("/api/v1/tickets/T-{number}/tags");
                let changed = desk.post(admin, &path, &body).await;
                assert!(matches!(changed.status, 200 | 422 | 503), "{}", changed.text);
                let _ = desk.ticket(admin, None).await;
                written += 1;
            }
            written
        });
        let reader = async {
            let mut seen = Vec::new();
            let mut cursor = String::new();
            loop {
                let path = format!("/api/v1/tickets?sort={sort}&limit=100{cursor}");
                let page = desk.get(admin, &path).await.expect(200).json();
                let rows = page["data"].as_array().unwrap();
                let row = |row: &serde_json::Value| {
                    let text = |member: &str| row[member].as_str().unwrap().to_owned();
                    (text("id"), text("subject"))
                };
                seen.extend(rows.iter().map(row));
                match page["page"]["nextCursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            done.store(true, Ordering::SeqCst);
            seen
        };
        let (written, seen) = tokio::join!(join_all(writers), reader);
        assert!(written.iter().all(|count| *count > 0), "{written:?}");
        let distinct: BTreeSet<&String> = seen.iter().map(|(id, _)| id).collect();
        assert_eq!(distinct.len(), seen.len(), "{sort}: none twice");
        let still = seen.iter().filter(|(_, subject)| subject == "still");
        assert_eq!(still.count(), STILL, "{sort}");
        if sort == "-createdAt" {
            let restless = seen.iter().filter(|(_, subject)| subject == "restless");
            assert_eq!(restless.count(), RESTLESS, "what it is sorted by stood still");
        }
    }
}

/// What follows the moment at which someone is shut out never makes them an assignee.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_assigned_a_ticket_once_they_are_suspended() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let mut tickets = Vec::new();
    for _ in 0..12 {
        tickets.push(desk.ticket(&customer, None).await);
    }
    for round in 0..10 {
        let agent = desk.person(&format!("agent{round}"), Role::Agent).await;
        let body = json!({ "agentId": agent.id });
        let assigns = tickets.iter().map(|ticket| {
            let path = format!("{ticket}/assign");
            let (desk, admin, body) = (&desk, &admin, &body);
            async move { desk.post(admin, &path, body).await }
        });
        // Suspended, deleted, made a customer: in turns.
        let account = format!("/api/v1/users/{}", agent.id);
        let (suspend, demoted, nothing) =
            (format!("{account}/suspend"), json!({ "role": "user" }), json!({}));
        let shut_out = async {
            tokio::time::sleep(std::time::Duration::from_millis(round * 3)).await;
            match round % 3 {
                0 => desk.post(&admin, &suspend, &nothing).await.expect(200),
                1 => desk
                    .request("DELETE", &account)
                    .by(&admin)
                    .send()
                    .await
                    .expect(204),
                _ => desk.patch(&admin, &account, &demoted).await.expect(200),
            }
        };
        let (replies, _) = tokio::join!(join_all(assigns), shut_out);
        for reply in &replies {
            assert!(matches!(reply.status, 200 | 422), "{reply:?}");
        }
        // Both wait for the account's row, and the outbox numbers what happened behind it.
        let late = format!(
            "SELECT count(*) FROM outbox a JOIN outbox s ON s.kind IN ('user.updated', 'user.deleted') AND s.aggregate_id = '{id}' \
             WHERE a.kind = 'ticket.assigned' AND a.payload::text LIKE '%\"to\": \"{id}\"%' AND a.position > s.position",
            id = agent.id
        );
        assert_eq!(desk.database.number(&late).await, 0, "round {round}");
        let after = desk.post(&admin, &format!("{}/assign", tickets[0]), &body).await;
        assert_eq!(after.expect(422).json()["errors"][0]["pointer"], "/agentId");
    }
}

/// A reply comes before the deletion or not at all; what is restored has every reply that was answered with 201.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_into_a_deleted_ticket() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    for round in 0..50 {
        let ticket = desk.ticket(&customer, None).await;
        let messages = format!("{ticket}/messages");
        let body = json!({ "message": "hello" });
        // A thousand writes in all.
        let replies = join_all((0..20).map(|_| desk.post(&customer, &messages, &body)));
        let delete = async {
            tokio::time::sleep(std::time::Duration::from_millis(round)).await;
            // Many at once make it wait for its turn, and say so.
            loop {
                let deleted = desk.request("DELETE", &ticket).by(&admin).send().await;
                if deleted.status != 503 {
                    break deleted.expect(204);
                }
            }
        };
        let (replies, _) = tokio::join!(replies, delete);
        let written = count(&replies, 201);
        let turned_away = count(&replies, 404) + count(&replies, 503);
        assert_eq!(written + turned_away, replies.len(), "{replies:#?}");
        desk.post(&customer, &messages, &body)
            .await
            .problem(404, "ticket.not_found");
        let note = desk.post(&admin, &format!("{ticket}/notes"), &body).await;
        note.problem(409, "ticket.deleted");
        let id = ticket.rsplit('/').next().unwrap();
        let stored = format!("SELECT count(*) FROM ticket_messages WHERE ticket_id = '{id}'");
        assert_eq!(
            desk.database.number(&stored).await,
            i64::try_from(written).unwrap()
        );
        let restored = desk
            .post(&admin, &format!("{ticket}/restore"), &json!({}))
            .await
            .expect(200)
            .json();
        assert_eq!(restored["messageCount"], written);
        // Each change moved the version by one: made, written, deleted, restored.
        let version = format!("SELECT version FROM tickets WHERE id = '{id}'");
        assert_eq!(
            desk.database.number(&version).await,
            i64::try_from(written).unwrap() + 3
        );
    }
}

/// A ticket that is deleted and restored again and again, beside replies, notes, uploads that hang on replies and a rule: what was
/// answered with 201 is there, what was not is not, and in the order of the ticket's events nothing lies between a deletion
/// and the restoring.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_happens_to_a_ticket_between_its_deletion_and_its_restoring() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agent = desk.person("age", Role::Agent).await;
    let customer = desk.person("cus", Role::User).await;
    let rule = json!({ "name": "Echo", "trigger": "ticket.message_added",
        "conditions": { "field": "message.body", "operator": "starts_with", "value": "tell" },
        "actions": [{ "type": "add_note", "value": "told" }] });
    let _ = desk
        .post(&admin, "/api/v1/automation/rules", &rule)
        .await
        .expect(201);
    let ticket = desk.ticket(&customer, None).await;
    let id = ticket.rsplit('/').next().unwrap();
    let upload = async || {
        let body =
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n\r\nx\r\n--b--\r\n";
        let request = desk.request("POST", "/api/v1/attachments").by(&customer);
        let form = request
            .header("content-type", "multipart/form-data; boundary=b")
            .raw(body);
        form.send().await.expect(201).text_of("/id")
    };
    let (mut messages, mut notes, mut files) = (0, 0, 0);
    for round in 0..40_u64 {
        let file = upload().await;
        let (reply, note) = (json!({ "message": "tell me" }), json!({ "message": "n" }));
        let attached = json!({ "message": "see", "attachmentIds": [file] });
        let (to_messages, to_notes) = (format!("{ticket}/messages"), format!("{ticket}/notes"));
        // Fifteen writes of people in each round, and what the rule makes of them.
        let replies = join_all((0..8).map(|_| desk.post(&customer, &to_messages, &reply)));
        let noted = join_all((0..6).map(|_| desk.post(&agent, &to_notes, &note)));
        let hung = desk.post(&customer, &to_messages, &attached);
        let relay = desk.desk.relay();
        let toggled = async {
            for action in ["delete", "restore", "delete", "restore"] {
                tokio::time::sleep(std::time::Duration::from_millis(round % 9)).await;
                // Many at once make it wait for its turn, and say so.
                loop {
                    let reply = match action {
                        "delete" => desk.request("DELETE", &ticket).by(&admin).send().await,
                        _ => desk.post(&admin, &format!("{ticket}/restore"), &json!({})).await,
                    };
                    if reply.status != 503 {
                        assert!(reply.status < 300, "{action}: {}", reply.text);
                        break;
                    }
                }
            }
        };
        let (replies, noted, hung, (), ruled) = tokio::join!(replies, noted, hung, toggled, relay.drain());
        assert_eq!(ruled.unwrap().buried, 0);
        messages += count(&replies, 201) + usize::from(hung.status == 201);
        notes += count(&noted, 201);
        files += usize::from(hung.status == 201);
        for reply in replies.iter().chain(&noted).chain([&hung]) {
            assert!([201, 404, 409, 503].contains(&reply.status), "{}", reply.text);
        }
    }
    let _ = desk.desk.relay().drain().await.unwrap();
    let number = async |sql: &str| desk.database.number(&sql.replace("{id}", id)).await;
    let by_hand = format!(
        "SELECT count(*) FROM ticket_notes WHERE ticket_id = '{{id}}' AND agent_id = '{}'",
        agent.id
    );
    for (what, sql, answered) in [
        (
            "messages",
            "SELECT count(*) FROM ticket_messages WHERE ticket_id = '{id}'",
            messages,
        ),
        ("notes", by_hand.as_str(), notes),
        (
            "files",
            "SELECT count(*) FROM attachments WHERE message_id IS NOT NULL",
            files,
        ),
    ] {
        assert_eq!(number(sql).await, i64::try_from(answered).unwrap(), "{what}");
    }
    let order = format!("SELECT kind FROM outbox WHERE aggregate_id = '{id}' ORDER BY position");
    let mut is_deleted = false;
    for kind in desk.database.rows(&order).await.concat().into_iter().flatten() {
        match kind.as_str() {
            "ticket.deleted" => is_deleted = true,
            "ticket.restored" => is_deleted = false,
            _ => assert!(!is_deleted, "{kind} of a deleted ticket"),
        }
    }
    assert!(
        !is_deleted && messages > 0 && notes > 0 && messages < 40 * 9,
        "{messages} {notes}"
    );
}

/// Open or pending tickets of a customer's, by SQL: as many as a race needs. Their paths.
async fn many_tickets(
    desk: &TestDesk,
    requester: &desk::app::Caller,
    status: &str,
    count: usize,
) -> Vec<String> {
    let rows = desk
        .database
        .rows(&format!(
            "INSERT INTO tickets (ticket_number, subject, description, created_by, status) \
             SELECT 'R-' || n, 'Race', 'Text', '{}', '{status}' FROM generate_series(1, {count}) AS n RETURNING id::text",
            requester.id
        ))
        .await;
    rows.into_iter()
        .map(|row| format!("/api/v1/tickets/{}", row[0].clone().unwrap()))
        .collect()
}

/// How many races run beside each other.
const RACES_AT_ONCE: usize = 8;

/// Two change one field of one version: one of them wins, the other is told the present version, for each field.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_one_version_one_wins_whatever_they_change() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let agents = [
        desk.person("one", Role::Agent).await,
        desk.person("two", Role::Agent).await,
    ];
    let members: Vec<_> = agents.iter().map(|agent| (agent, TeamRole::Agent)).collect();
    let teams = [
        desk.team(&admin, "One", &members).await,
        desk.team(&admin, "Two", &members).await,
    ];
    let change = |field: usize, side: usize| -> (&str, &str, serde_json::Value) {
        match field {
            0 => ("PATCH", "", json!({ "subject": format!("s{side}") })),
            1 => ("PATCH", "", json!({ "description": format!("d{side}") })),
            2 => (
                "PATCH",
                "",
                json!({ "priority": if side == 0 { "low" } else { "urgent" } }),
            ),
            3 => ("PATCH", "", json!({ "tags": [format!("t{side}")] })),
            4 => ("PATCH", "", json!({ "customFields": { "floor": side } })),
            5 => ("PATCH", "", json!({ "metadata": { "side": side } })),
            6 => ("POST", "/transfer", json!({ "teamId": teams[side] })),
            7 => ("POST", "/assign", json!({ "agentId": agents[side].id })),
            8 => ("POST", "/tags", json!({ "tags": [format!("more{side}")] })),
            _ => (
                "PATCH",
                "",
                json!({ "status": if side == 0 { "pending" } else { "resolved" } }),
            ),
        }
    };
    let tickets = many_tickets(&desk, &admin, "open", 100).await;
    for race in tickets.chunks(RACES_AT_ONCE) {
        let (desk, admin, change) = (&desk, &admin, &change);
        let run = race.iter().map(|ticket| async move {
            for field in 0..10 {
                let tag = desk.get(admin, ticket).await.expect(200).header("etag");
                let sides = (0..2).map(|side| {
                    let (method, action, body) = change(field, side);
                    let path = format!("{ticket}{action}");
                    let request = desk.request(method, &path).by(admin).header("if-match", &tag);
                    request.json(&body).send()
                });
                let replies = join_all(sides).await;
                let won: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
                assert_eq!(won.len(), 1, "{field}: {replies:#?}");
                let lost = replies.iter().find(|reply| reply.status != 200).unwrap();
                lost.problem(412, "request.stale");
                let shown = desk.get(admin, ticket).await.expect(200);
                assert_eq!(shown.text, won[0].text, "{field}");
                assert_eq!(shown.header("etag"), won[0].header("etag"));
            }
        });
        join_all(run).await;
    }
    let moved = "SELECT count(*) FROM tickets WHERE version = 11";
    assert_eq!(
        desk.database.number(moved).await,
        100,
        "ten changes each, and none twice"
    );
}

/// A customer replies while the desk resolves or closes: whichever comes first, the ticket is in a state that could be, and
/// its history tells it in the order in which it was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_and_a_close_at_once_leave_a_state_that_could_be() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let tickets = many_tickets(&desk, &customer, "pending", 1_000).await;
    for (round, race) in tickets.chunks(RACES_AT_ONCE).enumerate() {
        let action = if round % 2 == 0 { "close" } else { "resolve" };
        let (desk, admin, customer) = (&desk, &admin, &customer);
        let run = race.iter().map(|ticket| async move {
            let (messages, end) = (format!("{ticket}/messages"), format!("{ticket}/{action}"));
            let (body, nothing) = (json!({ "message": "still broken" }), json!({}));
            let reply = desk.post(customer, &messages, &body);
            let ended = desk.post(admin, &end, &nothing);
            let (reply, ended) = futures_util::join!(reply, ended);
            assert!(matches!(reply.status, 201 | 409 | 503), "{}", reply.text);
            assert!(matches!(ended.status, 200 | 503), "{}", ended.text);
            u32::from(reply.status == 201)
        });
        join_all(run).await;
    }
    let impossible = "SELECT count(*) FROM tickets WHERE \
        (status IN ('open', 'pending') AND (resolved_at IS NOT NULL OR closed_at IS NOT NULL)) \
        OR (status = 'resolved' AND (resolved_at IS NULL OR closed_at IS NOT NULL)) \
        OR (status = 'closed' AND closed_at IS NULL)";
    assert_eq!(desk.database.number(impossible).await, 0);
    let miscounted = "SELECT count(*) FROM tickets t WHERE message_count <> \
        (SELECT count(*) FROM ticket_messages m WHERE m.ticket_id = t.id)";
    assert_eq!(desk.database.number(miscounted).await, 0);
    // Each change of the status begins where the one before it ended, and the last one where the ticket is.
    let broken = "SELECT count(*) FROM ( \
        SELECT a.old_value, a.new_value, to_jsonb(t.status::text) AS now, \
          lag(a.new_value, 1, '\"pending\"') OVER steps AS before, lead(a.new_value) OVER steps AS after \
        FROM ticket_activities a JOIN tickets t ON t.id = a.ticket_id WHERE a.action_type = 'status_changed' \
        WINDOW steps AS (PARTITION BY a.ticket_id ORDER BY a.created_at, a.id)) step \
        WHERE old_value::jsonb <> before::jsonb OR (after IS NULL AND new_value::jsonb <> now)";
    assert_eq!(desk.database.number(broken).await, 0);
    // What was told to others is in the order in which it became so.
    let told = "SELECT count(*) FROM ( \
        SELECT (payload::jsonb #>> '{fact,ticket,version}')::int AS version, \
          lag((payload::jsonb #>> '{fact,ticket,version}')::int) OVER (PARTITION BY aggregate_id ORDER BY position) AS before \
        FROM outbox WHERE kind LIKE 'ticket.%') step WHERE version < before";
    assert_eq!(desk.database.number(told).await, 0);
}
