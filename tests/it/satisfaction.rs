//! Requesters rate how their tickets were resolved: signed in, and by the link of a mail.

use std::sync::Arc;

use chrono::Duration;
use credentials::{MasterSecret, SystemClock};
use desk::app::{Caller, Reply, TestDesk, lifted, rating_keys};
use desk::database::test_database;
use http::link::RatingKeys;
use identity::ports::{Mail, MailContent};
use kernel::{Clock as _, ManualClock, Role, TeamRole, TicketId};
use serde_json::{Value, json};
use ticketing::{RatingClaim, RatingLinks as _};

const CANARY: &str = "CANARY-INT-8e21";

struct Fixture {
    desk: TestDesk,
    clock: Arc<ManualClock>,
    ada: Caller,
    age: Caller,
    kim: Caller,
    team: kernel::TeamId,
}

async fn fixture() -> Fixture {
    fixture_with(true).await
}

async fn fixture_with(survey: bool) -> Fixture {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let mut config = lifted();
    config.satisfaction_survey = survey;
    let desk = TestDesk::start_as(test_database().await, config, clock.clone()).await;
    let ada = desk.person("ada", Role::Admin).await;
    let age = desk.person("age", Role::Agent).await;
    let kim = desk.person("kim", Role::User).await;
    let team = desk.team(&ada, "Front", &[(&age, TeamRole::Agent)]).await;
    desk.database
        .batch("UPDATE users SET email_verified_at = now()")
        .await;
    let _ = desk.mails().await;
    Fixture {
        desk,
        clock,
        ada,
        age,
        kim,
        team,
    }
}

impl Fixture {
    /// A ticket of Kim's that an agent resolved.
    async fn resolved(&self) -> String {
        let ticket = self.desk.ticket(&self.kim, Some(self.team)).await;
        self.resolve(&ticket).await;
        ticket
    }

    async fn resolve(&self, ticket: &str) {
        let remark = json!({ "resolution": CANARY });
        let path = format!("{ticket}/resolve");
        let _ = self.desk.post(&self.age, &path, &remark).await.expect(200);
    }

    async fn rate(&self, ticket: &str, body: Value) -> Reply {
        self.desk.post(&self.kim, &format!("{ticket}/rate"), &body).await
    }

    /// The links of the mails that were sent since the last time.
    async fn links(&self) -> Vec<String> {
        self.desk.mails().await.iter().filter_map(link_of).collect()
    }

    async fn link(&self) -> String {
        let mut links = self.links().await;
        assert_eq!(links.len(), 1, "{links:?}");
        links.remove(0)
    }

    async fn by_link(&self, link: &str, body: Value) -> Reply {
        let request = self.desk.request("PUT", &format!("/api/v1/ratings/{link}"));
        request.json(&body).send().await
    }

    async fn shown(&self, link: &str) -> Reply {
        self.desk
            .request("GET", &format!("/api/v1/ratings/{link}"))
            .send()
            .await
    }

    async fn page(&self, link: &str, form: Option<&str>) -> Reply {
        let path = format!("/rate/{link}");
        match form {
            None => self.desk.request("GET", &path).send().await,
            Some(form) => {
                let request = self.desk.request("POST", &path);
                let request = request.header("content-type", "application/x-www-form-urlencoded");
                request.raw(form).send().await
            }
        }
    }

    async fn satisfaction(&self, by: &Caller, ticket: &str) -> Value {
        self.desk.get(by, ticket).await.expect(200).json()["satisfaction"].clone()
    }

    /// How often something of this kind stands in a ticket's history.
    async fn ratings(&self, ticket: &str) -> i64 {
        let id = ticket.rsplit('/').next().unwrap();
        let count = format!(
            "SELECT count(*) FROM ticket_activities WHERE ticket_id = '{id}' AND action_type = 'rated'"
        );
        self.desk.database.number(&count).await
    }

    /// Time passes, after which everyone signs in again.
    async fn later(&mut self, pause: Duration) {
        self.clock.advance(pause);
        self.kim.token = self.desk.log_in("kim@example.org").await;
        self.age.token = self.desk.log_in("age@example.org").await;
        self.ada.token = self.desk.log_in("ada@example.org").await;
    }
}

fn link_of(mail: &Mail) -> Option<String> {
    match &mail.content {
        MailContent::RateTicket { token, .. } => Some(token.expose().to_owned()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_rates_a_resolution_and_changes_the_rating_for_a_week() {
    let mut f = fixture().await;
    let ticket = f.desk.ticket(&f.kim, Some(f.team)).await;
    f.rate(&ticket, json!({ "score": 4 }))
        .await
        .problem(409, "ticket.not_resolved");
    let claim = f.desk.post(&f.age, &format!("{ticket}/claim"), &json!({})).await;
    let _ = claim.expect(200);
    f.resolve(&ticket).await;
    for (body, pointer) in [
        (json!({ "score": 0 }), "/score"),
        (json!({ "score": 6 }), "/score"),
        (json!({ "score": 4, "comment": "" }), "/comment"),
        (json!({ "score": 4, "comment": "x".repeat(2_001) }), "/comment"),
    ] {
        let refused = f.rate(&ticket, body).await.expect(422);
        assert_eq!(refused.text_of("/errors/0/pointer"), pointer);
    }
    let before = f.desk.get(&f.kim, &ticket).await.expect(200).json();
    assert_eq!(before["satisfaction"], Value::Null);
    assert!(
        before["allowedActions"]
            .as_array()
            .unwrap()
            .contains(&json!("rate"))
    );
    let rated = f
        .rate(&ticket, json!({ "score": 2, "comment": " Slow. " }))
        .await
        .expect(200);
    let given = rated.json()["satisfaction"].clone();
    assert_eq!((&given["score"], &given["comment"]), (&json!(2), &json!("Slow.")));
    for caller in [&f.kim, &f.age, &f.ada] {
        assert_eq!(f.satisfaction(caller, &ticket).await, given);
    }
    // Said again, it is no news.
    let again = f.rate(&ticket, json!({ "score": 2, "comment": "Slow." })).await;
    assert_eq!(again.expect(200).header("etag"), rated.header("etag"));
    assert_eq!(f.ratings(&ticket).await, 1);

    f.later(Duration::days(6)).await;
    let changed = f.rate(&ticket, json!({ "score": 5 })).await.expect(200).json();
    let expected = json!({
        "score": 5, "comment": null, "ratedAt": given["ratedAt"], "changeableUntil": given["changeableUntil"],
    });
    assert_eq!(changed["satisfaction"], expected);
    f.later(Duration::days(1)).await;
    f.rate(&ticket, json!({ "score": 1 }))
        .await
        .problem(409, "ticket.rating_final");
    assert_eq!(f.satisfaction(&f.kim, &ticket).await, expected);

    // Resolved anew, rated anew.
    let _ = f
        .desk
        .post(&f.kim, &format!("{ticket}/reopen"), &json!({}))
        .await
        .expect(200);
    f.rate(&ticket, json!({ "score": 1 }))
        .await
        .problem(409, "ticket.not_resolved");
    f.later(Duration::seconds(1)).await;
    f.resolve(&ticket).await;
    let anew = f.rate(&ticket, json!({ "score": 1 })).await.expect(200).json();
    assert_eq!(anew["satisfaction"]["score"], 1);
    assert_ne!(anew["satisfaction"]["ratedAt"], given["ratedAt"]);

    let history = f.desk.get(&f.kim, &format!("{ticket}/activity")).await.json();
    let ratings = history["data"].as_array().unwrap().iter();
    let values: Vec<_> = ratings
        .filter(|entry| entry["actionType"] == "rated")
        .map(|entry| {
            (
                entry["oldValue"]["score"].clone(),
                entry["newValue"]["score"].clone(),
            )
        })
        .collect();
    assert_eq!(
        values,
        [
            (Value::Null, json!(2)),
            (json!(2), json!(5)),
            (json!(5), json!(1))
        ]
    );
    let _ = f.desk.mails().await;
    let told = f.desk.get(&f.age, "/api/v1/notifications").await.json();
    let told = told["data"].as_array().unwrap().iter();
    assert_eq!(told.filter(|one| one["type"] == "rated").count(), 3);
    let told = f.desk.get(&f.kim, "/api/v1/notifications").await.text;
    assert!(!told.contains("rated"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_find_tickets_by_their_rating_and_customers_do_not() {
    let f = fixture().await;
    let (low, high) = (f.resolved().await, f.resolved().await);
    for (ticket, score) in [(&low, 1), (&high, 5)] {
        let _ = f.rate(ticket, json!({ "score": score })).await.expect(200);
    }
    let filter = json!({ "field": "satisfactionScore", "operator": "less_than", "value": 3 }).to_string();
    let list = format!("/api/v1/tickets?filter={}", desk::app::encoded(&filter));
    let found = f.desk.get(&f.age, &list).await.expect(200).json();
    let found = found["data"].as_array().unwrap();
    assert_eq!(found.len(), 1);
    assert!(low.ends_with(found[0]["id"].as_str().unwrap()));
    let _ = f.desk.get(&f.kim, &list).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_link_rates_once_and_changes_without_signing_in() {
    let mut f = fixture().await;
    let ticket = f.resolved().await;
    let mails = f.desk.mails().await;
    let links: Vec<_> = mails.iter().filter_map(link_of).collect();
    let [link] = links.as_slice() else {
        panic!("{mails:?}")
    };
    assert!(!format!("{mails:?}").contains(CANARY));
    // Whoever looks after mail follows its links: that changes nothing.
    let version = f.desk.get(&f.kim, &ticket).await.header("etag");
    for _ in 0..3 {
        let page = f.page(link, None).await.expect(200);
        assert!(page.text.contains("Printer on fire") && page.text.contains("<form method=\"post\">"));
        assert!(!page.text.contains(CANARY) && !page.text.contains("<script"));
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(
            page.header("content-security-policy")
                .contains("form-action 'self'")
        );
        assert!(
            page.header("content-security-policy")
                .starts_with("default-src 'none'; style-src 'self';")
        );
        assert_eq!(page.header("referrer-policy"), "no-referrer");
    }
    let head = f.desk.request("HEAD", &format!("/rate/{link}")).send().await;
    assert_eq!(head.status, 200);
    let shown = f.shown(link).await.expect(200).json();
    assert_eq!(shown["satisfaction"], Value::Null);
    assert_eq!(f.desk.get(&f.kim, &ticket).await.header("etag"), version);

    for (form, status) in [
        ("comment=x", 422),
        ("score=9", 422),
        ("score=x", 422),
        ("score=3&more=1", 400),
        ("score=%FF", 422),
    ] {
        let refused = f.page(link, Some(form)).await;
        assert_eq!(refused.status, status, "{form}: {}", refused.text);
        assert!(refused.header("content-type").starts_with("text/html"), "{form}");
    }
    assert_eq!(f.satisfaction(&f.kim, &ticket).await, Value::Null);
    let form = "score=3&comment=%3Cb%3Eso%3C%2Fb%3E%0D%0Aso+%26+so";
    let thanks = f.page(link, Some(form)).await.expect(200);
    assert!(thanks.text.contains("Thank you") && thanks.text.contains("&lt;b&gt;so&lt;/b&gt;\nso &amp; so"));
    let given = f.satisfaction(&f.age, &ticket).await;
    assert_eq!(
        (&given["score"], &given["comment"]),
        (&json!(3), &json!("<b>so</b>\nso & so"))
    );
    assert_eq!(f.ratings(&ticket).await, 1);

    f.later(Duration::days(2)).await;
    let changed = f.by_link(link, json!({ "score": 5 })).await.expect(200).json();
    assert_eq!(changed["satisfaction"]["ratedAt"], given["ratedAt"]);
    assert_eq!(changed["until"], given["changeableUntil"]);
    f.later(Duration::days(6)).await;
    f.by_link(link, json!({ "score": 1 }))
        .await
        .problem(409, "ticket.rating_final");
    let page = f.page(link, Some("score=1")).await.expect(409);
    assert!(page.text.contains("can no longer be changed"), "{}", page.text);
    let page = f.page(link, None).await.expect(200);
    assert!(page.text.contains("You rated it 5 of 5"), "{}", page.text);
    f.later(Duration::days(22)).await;
    f.shown(link).await.problem(404, "rating.not_found");
}

/// A link as the desk would make it.
fn claim(ticket: &str, requester: &Caller, resolved_at: &Value) -> RatingClaim {
    RatingClaim {
        ticket: TicketId(ticket.rsplit('/').next().unwrap().parse().unwrap()),
        requester: requester.id,
        resolved_at: resolved_at.as_str().unwrap().parse().unwrap(),
    }
}

/// An answer but for what is different every time.
fn essence(reply: &Reply) -> (u16, Value) {
    let mut body = reply.json();
    for member in ["requestId", "instance"] {
        body.as_object_mut().unwrap().remove(member);
    }
    (reply.status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_forged_spent_or_of_another_answers_one_and_the_same() {
    let f = fixture().await;
    let ticket = f.resolved().await;
    let link = f.link().await;
    let at = f.desk.get(&f.ada, &ticket).await.json()["resolvedAt"].clone();
    let good = claim(&ticket, &f.kim, &at);
    assert_eq!(rating_keys().link(&good), link, "a link says nothing else");
    let unknown = essence(&f.shown("none").await);
    assert_eq!(unknown.0, 404);
    assert_eq!(unknown.1["code"], "rating.not_found");

    let mut bad = vec![
        String::from("x"),
        "x".repeat(128),
        "x".repeat(5_000),
        format!("{link}A"),
        format!("{link}="),
        link[1..].to_owned(),
        link[..97].to_owned(),
        // Another's, of the same ticket.
        rating_keys().link(&claim(&ticket, &f.ada, &at)),
        rating_keys().link(&RatingClaim {
            resolved_at: good.resolved_at - Duration::microseconds(1),
            ..good
        }),
        rating_keys().link(&RatingClaim {
            ticket: TicketId(f.desk.desk.ids.next()),
            ..good
        }),
        // Under another secret, and under the key of another use.
        RatingKeys::new([[9_u8; 32]]).link(&good),
        RatingKeys::new([MasterSecret::from_bytes(desk::app::SECRET)
            .derive(credentials::KeyUse::FileLink)
            .sign(b"links")])
        .link(&good),
    ];
    for place in 0..link.len() {
        let other = if &link[place..=place] == "A" { "B" } else { "A" };
        let mut forged = link.clone();
        forged.replace_range(place..=place, other);
        bad.push(forged);
    }
    for link in &bad {
        assert_eq!(essence(&f.shown(link).await), unknown, "{link}");
        let put = f.by_link(link, json!({ "score": 1 })).await;
        assert_eq!(essence(&put), unknown, "{link}");
        let page = f.page(link, Some("score=1")).await;
        assert_eq!(page.status, 404, "{link}");
        assert!(!page.text.contains("Printer"), "{link}");
    }
    assert_eq!(f.ratings(&ticket).await, 0);

    // What happens to the account or the ticket ends the link, and what is undone brings it back.
    let account = format!("/api/v1/users/{}", f.kim.id);
    let patch = async |body: Value| f.desk.patch(&f.ada, &account, &body).await.expect(200);
    let dead = async |what: &str| {
        assert_eq!(essence(&f.shown(&link).await), unknown, "{what}");
        let put = f.by_link(&link, json!({ "score": 1 })).await;
        assert_eq!(essence(&put), unknown, "{what}");
    };
    let _ = patch(json!({ "status": "suspended" })).await;
    dead("suspended").await;
    let _ = patch(json!({ "status": "active" })).await;
    let _ = f.shown(&link).await.expect(200);
    let _ = patch(json!({ "role": "agent" })).await;
    dead("staff now").await;
    let _ = patch(json!({ "role": "user" })).await;
    let _ = f
        .desk
        .request("DELETE", &ticket)
        .by(&f.ada)
        .send()
        .await
        .expect(204);
    dead("deleted").await;
    let _ = f
        .desk
        .post(&f.ada, &format!("{ticket}/restore"), &json!({}))
        .await
        .expect(200);
    let _ = f.shown(&link).await.expect(200);
    let _ = f
        .desk
        .post(&f.ada, &format!("{ticket}/reopen"), &json!({}))
        .await
        .expect(200);
    dead("reopened").await;
    f.resolve(&ticket).await;
    let _ = f
        .desk
        .request("DELETE", &account)
        .by(&f.ada)
        .send()
        .await
        .expect(204);
    dead("gone").await;
    assert_eq!(f.ratings(&ticket).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_is_asked_about_once_and_only_customers_who_can_be_reached_are_asked() {
    let f = fixture().await;
    let ticket = f.resolved().await;
    let first = f.link().await;
    // The event comes again, as after a crash.
    f.desk
        .database
        .batch("UPDATE outbox SET done_at = NULL WHERE kind = 'ticket.status_changed'")
        .await;
    assert_eq!(f.links().await, [""; 0]);
    // Closing what is resolved is no resolution; one that comes later is another.
    let _ = f
        .desk
        .post(&f.age, &format!("{ticket}/close"), &json!({}))
        .await
        .expect(200);
    assert_eq!(f.links().await, [""; 0]);
    let _ = f
        .desk
        .post(&f.age, &format!("{ticket}/reopen"), &json!({}))
        .await
        .expect(200);
    f.clock.advance(Duration::seconds(1));
    f.resolve(&ticket).await;
    let second = f.link().await;
    f.shown(&first).await.problem(404, "rating.not_found");
    let _ = f.shown(&second).await.expect(200);
    // Closed at once by staff is a resolution, too; by the requester it is a withdrawal.
    let closed = f.desk.ticket(&f.kim, Some(f.team)).await;
    let _ = f
        .desk
        .post(&f.age, &format!("{closed}/close"), &json!({}))
        .await
        .expect(200);
    assert_eq!(f.links().await.len(), 1);
    let withdrawn = f.desk.ticket(&f.kim, Some(f.team)).await;
    let _ = f
        .desk
        .post(&f.kim, &format!("{withdrawn}/close"), &json!({}))
        .await
        .expect(200);
    assert_eq!(f.links().await, [""; 0]);
    // A ticket that was merged away is no resolution, and neither is one that staff asked for.
    let (target, source) = (
        f.desk.ticket(&f.kim, Some(f.team)).await,
        f.desk.ticket(&f.kim, Some(f.team)).await,
    );
    let body = json!({ "sourceTicketId": source.rsplit('/').next().unwrap() });
    let _ = f
        .desk
        .post(&f.age, &format!("{target}/merge"), &body)
        .await
        .expect(200);
    let own = f.desk.ticket(&f.age, Some(f.team)).await;
    let _ = f
        .desk
        .post(&f.ada, &format!("{own}/resolve"), &json!({}))
        .await
        .expect(200);
    assert_eq!(f.links().await, [""; 0]);
    for unreachable in [
        "email_verified_at = NULL",
        "status = 'suspended'",
        "deleted_at = now()",
    ] {
        let ticket = f.desk.ticket(&f.kim, Some(f.team)).await;
        f.desk
            .database
            .batch(&format!(
                "UPDATE users SET {unreachable} WHERE email = 'kim@example.org'"
            ))
            .await;
        f.resolve(&ticket).await;
        assert_eq!(f.links().await, [""; 0], "{unreachable}");
        let back = "UPDATE users SET email_verified_at = now(), status = 'active', deleted_at = NULL";
        f.desk.database.batch(back).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_unless_the_desk_wants_it() {
    let f = fixture_with(false).await;
    let ticket = f.resolved().await;
    assert_eq!(f.links().await, [""; 0]);
    let _ = f.rate(&ticket, json!({ "score": 3 })).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_ratings_at_once_one_is_the_first_and_one_the_change() {
    let f = fixture().await;
    for _ in 0..10 {
        let ticket = f.resolved().await;
        let link = f.link().await;
        let (signed_in, by_link, other) = tokio::join!(
            f.rate(&ticket, json!({ "score": 1 })),
            f.by_link(&link, json!({ "score": 5 })),
            f.by_link(&link, json!({ "score": 5 })),
        );
        for reply in [&signed_in, &by_link, &other] {
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
        let given = f.satisfaction(&f.kim, &ticket).await;
        let changes = f.ratings(&ticket).await;
        assert!((2..=3).contains(&changes), "{changes}");
        let history = f
            .desk
            .get(&f.age, &format!("{ticket}/activity?limit=100"))
            .await
            .json();
        let ratings = history["data"].as_array().unwrap().iter();
        let ratings: Vec<_> = ratings.filter(|entry| entry["actionType"] == "rated").collect();
        assert_eq!(ratings[0]["oldValue"], Value::Null);
        for pair in ratings.windows(2) {
            assert_eq!(pair[0]["newValue"], pair[1]["oldValue"], "no change is lost");
        }
        assert_eq!(ratings.last().unwrap()["newValue"]["score"], given["score"]);
    }
}
