//! Links, merges and moved messages over HTTP and on a real database: the rights of both tickets, what a customer sees, what
//! is left when many do it at once.

use std::collections::BTreeSet;

use desk::app::{Caller, TestDesk};
use kernel::{Role, TeamRole};
use serde_json::{Value, json};

struct Fixture {
    desk: TestDesk,
    ada: Caller,
    age: Caller,
    kim: Caller,
    team: kernel::TeamId,
}

async fn fixture() -> Fixture {
    let desk = TestDesk::start().await;
    let ada = desk.person("ada", Role::Admin).await;
    let age = desk.person("age", Role::Agent).await;
    let kim = desk.person("kim", Role::User).await;
    let team = desk.team(&ada, "Front", &[(&age, TeamRole::Agent)]).await;
    Fixture {
        desk,
        ada,
        age,
        kim,
        team,
    }
}

fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

impl Fixture {
    async fn open(&self, subject: &str) -> String {
        let body = json!({ "subject": subject, "description": format!("{subject} does not work"), "teamId": self.team });
        let made = self
            .desk
            .post(&self.kim, "/api/v1/tickets", &body)
            .await
            .expect(201);
        made.header("location")
    }

    async fn say(&self, by: &Caller, ticket: &str, text: &str, internal: bool) {
        let mut body = json!({ "message": text });
        if internal {
            body["isInternal"] = json!(true);
        }
        let path = format!("{ticket}/messages");
        let _ = self.desk.post(by, &path, &body).await.expect(201);
    }

    /// The ticket and all that lies in it, but for what every change moves.
    async fn seen(&self, by: &Caller, ticket: &str) -> Value {
        let mut shown = self
            .desk
            .get(by, &format!("{ticket}?merged=true"))
            .await
            .expect(200)
            .json();
        let members = shown.as_object_mut().unwrap();
        members.remove("updatedAt");
        let messages = self
            .desk
            .get(by, &format!("{ticket}/messages?limit=100"))
            .await
            .expect(200)
            .json();
        json!({ "ticket": shown, "messages": messages["data"] })
    }

    async fn notes(&self, ticket: &str) -> Value {
        self.desk
            .get(&self.ada, &format!("{ticket}/notes"))
            .await
            .expect(200)
            .json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_leads_to_the_other_ticket_and_is_undone_without_a_trace_of_it() {
    let f = fixture().await;
    let (target, source) = (f.open("Printer").await, f.open("Scanner").await);
    f.say(&f.kim, &target, "Hello?", false).await;
    f.say(&f.kim, &source, "Anyone?", false).await;
    f.say(&f.age, &source, "CANARY", true).await;
    f.say(&f.age, &source, "We look at it", false).await;
    let note = json!({ "message": "A note" });
    let _ = f
        .desk
        .post(&f.age, &format!("{source}/notes"), &note)
        .await
        .expect(201);
    let tags = json!({ "tags": ["scan"] });
    let _ = f
        .desk
        .post(&f.age, &format!("{source}/tags"), &tags)
        .await
        .expect(200);
    let _ = f
        .desk
        .post(&f.age, &format!("{source}/resolve"), &json!({}))
        .await
        .expect(200);
    let mut before = Vec::new();
    for ticket in [&target, &source] {
        before.push((
            f.seen(&f.age, ticket).await,
            f.seen(&f.kim, ticket).await,
            f.notes(ticket).await,
        ));
    }
    let body = json!({ "sourceTicketId": id(&source), "note": "The same thing" });
    let merged = f
        .desk
        .post(&f.age, &format!("{target}/merge"), &body)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&merged["messageCount"], &merged["tags"]),
        (&json!(5), &json!(["scan"]))
    );
    assert_ne!(merged["firstResponseAt"], Value::Null);
    // Kim reads one conversation, with what the other ticket's description said and without what is internal.
    let read = f.seen(&f.kim, &target).await;
    let texts: Vec<_> = read["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        texts.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from(["Hello?", "Anyone?", "We look at it", "Scanner does not work"])
    );
    assert!(!read.to_string().contains("CANARY"));
    let moved = f.desk.get(&f.kim, &source).await.expect(307);
    assert_eq!(moved.header("location"), target);
    let by_number = before[1].0["ticket"]["ticketNumber"].as_str().unwrap();
    let _ = f
        .desk
        .get(&f.kim, &format!("/api/v1/tickets/{by_number}"))
        .await
        .expect(307);
    let frozen = f
        .desk
        .post(&f.kim, &format!("{source}/messages"), &json!({ "message": "x" }))
        .await;
    frozen.problem(409, "ticket.merged");
    for path in ["resolve", "reopen", "claim"] {
        let reply = f.desk.post(&f.ada, &format!("{source}/{path}"), &json!({})).await;
        reply.problem(409, "ticket.merged");
    }
    f.desk
        .patch(&f.ada, &source, &json!({ "priority": "low" }))
        .await
        .problem(409, "ticket.merged");
    let again = json!({ "sourceTicketId": id(&source) });
    f.desk
        .post(&f.age, &format!("{target}/merge"), &again)
        .await
        .problem(409, "ticket.merged");
    let _ = f
        .desk
        .post(&f.age, &format!("{target}/unmerge"), &again)
        .await
        .expect(200);
    for (ticket, (staff, customer, notes)) in [&target, &source].into_iter().zip(before) {
        assert_eq!(f.seen(&f.age, ticket).await, staff);
        assert_eq!(f.seen(&f.kim, ticket).await, customer);
        let mut now = f.notes(ticket).await;
        // The note that went along stays where it was written.
        now["data"]
            .as_array_mut()
            .unwrap()
            .retain(|note| note["message"] != "The same thing");
        assert_eq!(now, notes);
    }
    f.desk
        .post(&f.age, &format!("{target}/unmerge"), &again)
        .await
        .problem(409, "ticket.not_merged");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_since_a_merge_goes_where_one_says() {
    let f = fixture().await;
    for later in ["target", "source"] {
        let (target, source) = (f.open("Printer").await, f.open("Scanner").await);
        f.say(&f.kim, &source, "early", false).await;
        let body = json!({ "sourceTicketId": id(&source) });
        let _ = f
            .desk
            .post(&f.age, &format!("{target}/merge"), &body)
            .await
            .expect(200);
        // A second merge, whose messages are not what was written since the first.
        let third = f.open("Fax").await;
        f.say(&f.kim, &third, "of the third", false).await;
        let other = json!({ "sourceTicketId": id(&third) });
        let _ = f
            .desk
            .post(&f.age, &format!("{target}/merge"), &other)
            .await
            .expect(200);
        f.say(&f.age, &target, "late", false).await;
        let body = json!({ "sourceTicketId": id(&source), "laterTo": later });
        let _ = f
            .desk
            .post(&f.age, &format!("{target}/unmerge"), &body)
            .await
            .expect(200);
        let texts = async |ticket: &str| -> Vec<String> {
            let seen = f.seen(&f.kim, ticket).await;
            assert_eq!(
                seen["ticket"]["messageCount"],
                seen["messages"].as_array().unwrap().len()
            );
            let messages = seen["messages"].as_array().unwrap().iter();
            messages
                .map(|message| message["message"].as_str().unwrap().to_owned())
                .collect()
        };
        let here = texts(&target).await;
        assert!(here.contains(&"of the third".to_owned()), "{here:?}");
        assert_eq!(here.contains(&"late".to_owned()), later == "target", "{here:?}");
        let there = texts(&source).await;
        assert_eq!(there.contains(&"late".to_owned()), later == "source", "{there:?}");
        assert!(
            there.contains(&"early".to_owned()) && there.len() <= 2,
            "{there:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_tickets_are_asked_for_their_rights() {
    let f = fixture().await;
    let out = f.desk.person("out", Role::Agent).await;
    let back = f.desk.team(&f.ada, "Back", &[(&out, TeamRole::Agent)]).await;
    let mine = f.open("Printer").await;
    let body = json!({ "subject": "Hidden", "description": "d", "teamId": back });
    let hidden = f
        .desk
        .post(&f.kim, "/api/v1/tickets", &body)
        .await
        .expect(201)
        .header("location");
    let unknown = "00000000-0000-7000-8000-00000000dead";
    f.say(&f.kim, &mine, "m", false).await;
    let message = f.seen(&f.age, &mine).await["messages"][0]["id"].clone();
    let mut answers = Vec::new();
    for other in [id(&hidden), unknown] {
        for (path, body) in [
            ("links", json!({ "ticketId": other, "kind": "relates" })),
            ("merge", json!({ "sourceTicketId": other })),
            ("unmerge", json!({ "sourceTicketId": other })),
            ("move-message", json!({ "messageId": message, "ticketId": other })),
        ] {
            let reply = f
                .desk
                .post(&f.age, &format!("{mine}/{path}"), &body)
                .await
                .expect(422);
            answers.push((path, reply.json()["errors"].clone()));
        }
    }
    let (hidden_ones, unknown_ones) = answers.split_at(4);
    assert_eq!(
        hidden_ones, unknown_ones,
        "a hidden ticket is answered like one that is not there"
    );
    // So are people and messages that are not of this ticket or desk.
    let (gone, shut) = (
        f.desk.person("gone", Role::Agent).await,
        f.desk.person("shut", Role::Agent).await,
    );
    let removed = f
        .desk
        .request("DELETE", &format!("/api/v1/users/{}", gone.id))
        .by(&f.ada);
    let _ = removed.send().await.expect(204);
    let suspend = format!("/api/v1/users/{}/suspend", shut.id);
    let _ = f.desk.post(&f.ada, &suspend, &json!({})).await.expect(200);
    f.say(&f.kim, &hidden, "elsewhere", false).await;
    let elsewhere = f.seen(&f.ada, &hidden).await["messages"][0]["id"].clone();
    let visible = f.open("Mine too").await;
    let people = [gone.id.to_string(), shut.id.to_string()];
    let cases = [
        ("assign", "agentId", &people[..]),
        ("followers", "userId", &people[..]),
        ("cc", "userId", &people[..]),
    ];
    for (path, member, others) in cases {
        let answer = async |other: &str| {
            let body = json!({ member: other });
            let reply = f
                .desk
                .post(&f.ada, &format!("{mine}/{path}"), &body)
                .await
                .expect(422);
            reply.json()["errors"].clone()
        };
        let absent = answer(unknown).await;
        for other in others {
            assert_eq!(answer(other).await, absent, "{path}");
        }
    }
    for (path, body) in [
        (
            "move-message",
            json!({ "messageId": null, "ticketId": id(&visible) }),
        ),
        ("split", json!({ "messageIds": [null], "subject": "s" })),
    ] {
        let answer = async |message: &serde_json::Value| {
            let mut body = body.clone();
            match body.get_mut("messageId") {
                Some(one) => *one = message.clone(),
                None => body["messageIds"] = json!([message]),
            }
            let reply = f.desk.post(&f.age, &format!("{mine}/{path}"), &body).await;
            (
                reply.status,
                reply.json()["code"].clone(),
                reply.json()["errors"].clone(),
            )
        };
        assert_eq!(answer(&elsewhere).await, answer(&json!(unknown)).await, "{path}");
    }
    // Who sees both may; who sees one sees no link, and hears that something blocks without hearing what.
    let link = json!({ "ticketId": id(&mine), "kind": "blocks" });
    let _ = f
        .desk
        .post(&f.ada, &format!("{hidden}/links"), &link)
        .await
        .expect(200);
    let seen = f
        .desk
        .get(&f.age, &format!("{mine}/links"))
        .await
        .expect(200)
        .json();
    assert_eq!(seen["data"], json!([]));
    let refused = f
        .desk
        .post(&f.age, &format!("{mine}/resolve"), &json!({}))
        .await
        .expect(409)
        .json();
    assert_eq!(refused["code"], "ticket.blocked");
    assert!(
        refused["detail"].as_str().unwrap().contains("do not see"),
        "{refused}"
    );
    // Another requester's ticket is not merged: one would read what the other wrote.
    let eve = f.desk.person("eve", Role::User).await;
    let foreign = f.desk.ticket(&eve, Some(f.team)).await;
    let body = json!({ "sourceTicketId": id(&foreign) });
    f.desk
        .post(&f.age, &format!("{mine}/merge"), &body)
        .await
        .problem(409, "ticket.requesters_differ");
    // A message that stands in the wrong ticket can be moved to the right one.
    let body = json!({ "messageId": message, "ticketId": id(&foreign) });
    let left = f
        .desk
        .post(&f.age, &format!("{mine}/move-message"), &body)
        .await
        .expect(200)
        .json();
    assert_eq!(left["messageCount"], 0);
    assert_eq!(f.seen(&eve, &foreign).await["messages"][0]["id"], message);
    f.desk
        .post(&f.age, &format!("{mine}/move-message"), &body)
        .await
        .problem(404, "message.not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_circle_closes_however_many_link_at_once() {
    let f = fixture().await;
    let mut tickets = Vec::new();
    for number in 0..5 {
        tickets.push(f.open(&format!("Ticket {number}")).await);
    }
    for _ in 0..6 {
        // Each tries to block the next one, all around at once.
        let tries = tickets
            .iter()
            .zip(tickets.iter().cycle().skip(1))
            .map(|(this, next)| {
                let body = json!({ "ticketId": id(next), "kind": "blocks" });
                let path = format!("{this}/links");
                let f = &f;
                async move { f.desk.post(&f.age, &path, &body).await.status }
            });
        let statuses = futures_util::future::join_all(tries).await;
        assert!(
            statuses.iter().all(|status| [200, 409, 503].contains(status)),
            "{statuses:?}"
        );
        let circles = "WITH RECURSIVE reached (start, here) AS (SELECT from_id, to_id FROM ticket_links \
             UNION SELECT r.start, l.to_id FROM reached r JOIN ticket_links l ON l.from_id = r.here) \
             SELECT count(*)::text FROM reached WHERE start = here";
        assert_eq!(
            f.desk.database.rows(circles).await.concat(),
            [Some("0".to_owned())]
        );
        f.desk.database.batch("DELETE FROM ticket_links").await;
    }
}

/// A thousand times two tickets try to block each other at once.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_links_that_would_close_a_circle_one_is_refused() {
    let f = fixture().await;
    let mut pairs = Vec::new();
    for number in 0..8 {
        pairs.push((
            f.open(&format!("A {number}")).await,
            f.open(&format!("B {number}")).await,
        ));
    }
    for _ in 0..125 {
        let races = pairs.iter().map(|(a, b)| async {
            let link = async |from: &str, to: &str| {
                let body = json!({ "ticketId": id(to), "kind": "blocks" });
                f.desk.post(&f.age, &format!("{from}/links"), &body).await.status
            };
            let (one, two) = futures_util::join!(link(a, b), link(b, a));
            assert!(
                [one, two].iter().all(|status| [200, 409, 503].contains(status)),
                "{one} {two}"
            );
            assert!(one != 200 || two != 200, "a circle");
        });
        futures_util::future::join_all(races).await;
        f.desk.database.batch("DELETE FROM ticket_links").await;
    }
}

/// A chain as long as nobody makes one is still looked through, and its end does not lead to its beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_chain_closes_no_circle_and_a_deleted_parent_harms_no_child() {
    let f = fixture().await;
    let (first, last) = (f.open("First").await, f.open("Last").await);
    f.desk
        .database
        .batch(&format!(
            "WITH made AS (INSERT INTO tickets (ticket_number, subject, description, created_by) \
               SELECT 'C-' || n, 'Chain', 'Text', '{by}' FROM generate_series(1, 1000) AS n RETURNING id), \
             chain AS (SELECT id, row_number() OVER () AS place FROM made \
               UNION ALL SELECT '{first}', 0 UNION ALL SELECT '{last}', 1001) \
             INSERT INTO ticket_links (from_id, to_id, kind, created_by, created_at) \
               SELECT a.id, b.id, 'blocks', '{by}', now() FROM chain a JOIN chain b ON b.place = a.place + 1",
            by = f.ada.id,
            first = id(&first),
            last = id(&last),
        ))
        .await;
    let body = json!({ "ticketId": id(&first), "kind": "blocks" });
    let refused = f.desk.post(&f.ada, &format!("{last}/links"), &body).await;
    refused.problem(409, "link.cycle");

    let (parent, child) = (f.open("Parent").await, f.open("Child").await);
    let body = json!({ "ticketId": id(&child), "kind": "parent" });
    let _ = f
        .desk
        .post(&f.ada, &format!("{parent}/links"), &body)
        .await
        .expect(200);
    let gone = f.desk.request("DELETE", &parent).by(&f.ada).send().await;
    let _ = gone.expect(204);
    let links = f.desk.get(&f.ada, &format!("{child}/links")).await.expect(200);
    assert_eq!(links.json()["data"], json!([]), "what is deleted is not told of");
    let _ = f
        .desk
        .post(&f.ada, &format!("{child}/resolve"), &json!({}))
        .await
        .expect(200);
}

/// One wins; nothing is merged twice or half.
#[tokio::test(flavor = "multi_thread")]
async fn of_merges_at_once_each_leaves_a_whole() {
    let f = fixture().await;
    for _ in 0..5 {
        let (a, b) = (f.open("A").await, f.open("B").await);
        f.say(&f.kim, &a, "in a", false).await;
        f.say(&f.kim, &b, "in b", false).await;
        let merge = async |into: &str, from: &str| {
            let body = json!({ "sourceTicketId": id(from) });
            f.desk.post(&f.age, &format!("{into}/merge"), &body).await.status
        };
        let replies = async {
            let body = json!({ "message": "meanwhile" });
            f.desk.post(&f.kim, &format!("{a}/messages"), &body).await.status
        };
        let (one, two, said) = futures_util::join!(merge(&a, &b), merge(&b, &a), replies);
        assert_eq!(
            [one, two].iter().filter(|status| **status == 200).count(),
            1,
            "{one} {two}"
        );
        assert!([201, 409].contains(&said), "{said}");
        let (target, source) = if one == 200 { (&a, &b) } else { (&b, &a) };
        let seen = f.seen(&f.ada, target).await;
        let count = 3 + usize::from(said == 201);
        assert_eq!(seen["ticket"]["messageCount"], count);
        assert_eq!(seen["messages"].as_array().unwrap().len(), count);
        assert_eq!(f.seen(&f.ada, source).await["messages"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_split_off_into_a_ticket_of_their_own() {
    let f = fixture().await;
    let ticket = f.open("Two things").await;
    for text in ["one", "two", "three"] {
        f.say(&f.kim, &ticket, text, false).await;
    }
    f.say(&f.age, &ticket, "CANARY", true).await;
    let seen = f.seen(&f.age, &ticket).await;
    let message = |place: usize| seen["messages"][place]["id"].clone();
    let body = json!({ "messageIds": [message(1), message(3)], "subject": "The second thing" });
    let path = format!("{ticket}/split");
    let made = f.desk.post(&f.age, &path, &body).await.expect(201);
    let new = made.header("location");
    let made = made.json();
    assert_eq!(
        (&made["messageCount"], &made["createdById"]),
        (&json!(2), &json!(f.kim.id))
    );
    assert_eq!(made["teamId"], json!(f.team));
    let (old, new_seen) = (f.seen(&f.kim, &ticket).await, f.seen(&f.kim, &new).await);
    let texts = |seen: &Value| -> Vec<String> {
        let messages = seen["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["message"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (texts(&old), texts(&new_seen)),
        (vec!["one".into(), "three".into()], vec!["two".into()])
    );
    assert_eq!(
        (
            &old["ticket"]["messageCount"],
            &new_seen["ticket"]["messageCount"]
        ),
        (&json!(2), &json!(1))
    );
    let links = f
        .desk
        .get(&f.age, &format!("{ticket}/links"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&links["data"][0]["kind"], &links["data"][0]["ticketId"]),
        (&json!("relates"), &made["id"])
    );
    // They are gone from here; each fault is told by its place.
    let body = json!({ "messageIds": [message(0), message(1), message(0)], "subject": "Again" });
    let refused = f.desk.post(&f.age, &path, &body).await.expect(422).json();
    let told = refused["errors"].as_array().unwrap().iter();
    let told: Vec<_> = told
        .map(|error| {
            (
                error["pointer"].as_str().unwrap(),
                error["code"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("/messageIds/1", "unknown"), ("/messageIds/2", "repeated")]
    );
    let none = json!({ "messageIds": [], "subject": "None" });
    let _ = f.desk.post(&f.age, &path, &none).await.expect(422);
}
