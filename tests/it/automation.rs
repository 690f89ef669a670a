//! Rules over HTTP: what they do to tickets, what they tell of it, and what they would do.

use desk::app::{Caller, TestDesk};
use kernel::Role;
use serde_json::{Value, json};

const RULES: &str = "/api/v1/automation/rules";
const TICKETS: &str = "/api/v1/tickets";

struct World {
    desk: TestDesk,
    admin: Caller,
    agent: Caller,
    customer: Caller,
}

impl World {
    async fn new() -> Self {
        let desk = TestDesk::start().await;
        Self {
            admin: desk.person("ada", Role::Admin).await,
            agent: desk.person("age", Role::Agent).await,
            customer: desk.person("kim", Role::User).await,
            desk,
        }
    }

    async fn rule(&self, body: Value) -> Value {
        let made = self.desk.post(&self.admin, RULES, &body).await;
        made.expect(201).json()
    }

    /// A ticket of the customer, as staff see it once its events are delivered.
    async fn ticket(&self, subject: &str) -> Value {
        let body = json!({ "subject": subject, "description": "d" });
        let made = self.desk.post(&self.customer, TICKETS, &body).await;
        let id = made.expect(201).text_of("/id");
        self.settled(&id).await
    }

    async fn settled(&self, id: &str) -> Value {
        let _ = self.desk.mails().await;
        let path = format!("{TICKETS}/{id}");
        self.desk.get(&self.admin, &path).await.expect(200).json()
    }

    async fn listed(&self, path: &str) -> Vec<Value> {
        let list = self.desk.get(&self.admin, path).await.expect(200).json();
        list["data"].as_array().unwrap().clone()
    }

    async fn runs(&self, rule: &Value) -> Vec<Value> {
        self.listed(&format!("{RULES}/{}/runs", id(rule))).await
    }
}

fn id(of: &Value) -> &str {
    of["id"].as_str().unwrap()
}

fn urgent_fire() -> Value {
    json!({ "name": "Fire", "trigger": "ticket.created",
        "conditions": { "field": "subject", "operator": "contains", "value": "fire" },
        "actions": [
            { "type": "set_priority", "value": "urgent" },
            { "type": "add_tags", "value": ["fire"] },
            { "type": "add_note", "value": "Seen: {{ticket.subject}}" },
            { "type": "send_reply", "value": "We come, {{requester.name}}." },
        ] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_does_its_work_once_and_says_why() {
    let world = World::new().await;
    let rule = world.rule(urgent_fire()).await;
    assert_eq!((&rule["cycles"], &rule["faults"]), (&json!([]), &json!([])));
    let calm = world.ticket("Printer").await;
    assert_eq!(calm["priority"], "medium");
    let ticket = world.ticket("Printer on fire").await;
    assert_eq!(
        (&ticket["priority"], &ticket["tags"]),
        (&json!("urgent"), &json!(["fire"]))
    );
    let path = format!("{TICKETS}/{}", id(&ticket));
    let notes = world.listed(&format!("{path}/notes")).await;
    assert_eq!(notes[0]["message"], "Seen: Printer on fire");
    let messages = world.listed(&format!("{path}/messages")).await;
    assert_eq!(messages[0]["message"], "We come, kim.");
    assert!(ticket["firstResponseAt"].is_string());

    // The history names the rule to staff, and to no one else.
    let history = world.listed(&format!("{path}/activity")).await;
    let by_rule = history.iter().filter(|one| one["metadata"]["rule"] == "Fire");
    assert_eq!(by_rule.count(), 4);
    let own = world.desk.get(&world.customer, &format!("{path}/activity")).await;
    assert!(!own.expect(200).text.contains("ruleId"));

    let runs = world.runs(&rule).await;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["ticketId"], ticket["id"]);
    assert_eq!(runs[0]["conditions"][0]["actual"], "Printer on fire");
    let outcomes: Vec<_> = runs[0]["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["outcome"])
        .collect();
    assert_eq!(outcomes, ["done"; 4]);
    assert!(runs[0]["settledAt"].is_string());

    // The same event again, as after a crash before it was settled: nothing happens twice.
    let again = "UPDATE outbox SET done_at = NULL, attempts = 0, leased_until = NULL WHERE kind = 'ticket.created'; \
                 UPDATE automation_runs SET settled_at = NULL, results = NULL";
    world.desk.database.batch(again).await;
    let same = world.settled(id(&ticket)).await;
    assert_eq!(same["messageCount"], ticket["messageCount"]);
    assert_eq!(world.listed(&format!("{path}/notes")).await.len(), 1);
    let runs = world.runs(&rule).await;
    assert_eq!(
        (runs.len(), &runs[0]["actions"][0]["outcome"]),
        (1, &json!("done"))
    );

    // And it is counted.
    assert_eq!(world.desk.desk.run_schedules.tidy().await.unwrap(), 1);
    let shown = world
        .desk
        .get(&world.admin, &format!("{RULES}/{}", id(&rule)))
        .await;
    assert_eq!(shown.expect(200).json()["triggerCount"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_feed_each_other_come_to_an_end() {
    let world = World::new().await;
    let first = world
        .rule(json!({ "name": "On", "trigger": "ticket.updated",
            "conditions": { "field": "tags", "operator": "not_contains", "value": "on" },
            "actions": [{ "type": "add_tags", "value": ["on"] }] }))
        .await;
    let second = world
        .rule(json!({ "name": "Off", "trigger": "ticket.updated",
            "conditions": { "field": "tags", "operator": "contains", "value": "on" },
            "actions": [{ "type": "remove_tags", "value": ["on"] }] }))
        .await;
    assert_eq!(second["cycles"].as_array().unwrap().len(), 1);
    // Each goes round once, is stopped by its chain, and is disabled when that happens too often.
    let ticket = world.ticket("s").await;
    let path = format!("{TICKETS}/{}", id(&ticket));
    for number in 0..12 {
        let body = json!({ "subject": format!("s {number}") });
        let _ = world.desk.patch(&world.admin, &path, &body).await.expect(200);
        let _ = world.settled(id(&ticket)).await;
    }
    let rules = world.listed(RULES).await;
    assert!(
        rules
            .iter()
            .any(|rule| rule["enabled"] == false && rule["disabledBecause"] == "loop")
    );
    assert!(world.runs(&first).await.len() <= 12 && world.runs(&second).await.len() <= 12);
    let told = world.desk.told(&world.admin).await;
    assert!(told.contains(&"rule_disabled".to_owned()), "{told:?}");
    let audit = world
        .listed("/api/v1/audit-log?action=automation_rule.changed")
        .await;
    assert!(
        audit
            .iter()
            .any(|one| one["detail"]["change"] == "disabled_as_loop")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_rule_is_told_with_its_place() {
    let world = World::new().await;
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    let body = json!({ "name": "x", "trigger": "ticket.created",
        "conditions": { "field": "subject", "operator": "contains", "value": "x" },
        "actions": [
            { "type": "set_team", "value": nobody },
            { "type": "webhook", "value": nobody },
            { "type": "send_email", "to": [nobody], "subject": "s", "value": "v" },
        ] });
    let refused = world.desk.post(&world.admin, RULES, &body).await;
    let problem = refused.expect(422).json();
    let faults: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            (
                fault["pointer"].as_str().unwrap(),
                fault["code"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        faults,
        [
            ("/actions/0/value", "unknown"),
            ("/actions/1/value", "unknown"),
            ("/actions/2/to/0", "unknown"),
        ]
    );
    // Nothing of it is there.
    assert_eq!(world.listed(RULES).await, Vec::<Value>::new());
}

/// Rows that other programs left never break a ticket: they are shown with what is wrong, and can be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_left_in_the_table_is_flagged_and_skipped() {
    let world = World::new().await;
    let owner = world.admin.id;
    for (trigger, conditions, actions) in [
        ("ticket.created", "\"nonsense\"", "[1, null]"),
        ("moon.rose", "{}", "{}"),
        (
            "ticket.created",
            "[[[[]]]]",
            "[{\"type\": \"set_priority\", \"value\": \"huge\"}]",
        ),
    ] {
        let row = format!(
            "INSERT INTO automation_rules (name, trigger, conditions, actions, created_by) \
             VALUES ('Other', '{trigger}', '{conditions}', '{actions}', '{owner}')"
        );
        world.desk.database.batch(&row).await;
    }
    let rule = world.rule(urgent_fire()).await;
    let ticket = world.ticket("fire").await;
    assert_eq!(ticket["priority"], "urgent");
    let rules = world.listed(RULES).await;
    let faulty: Vec<_> = rules.iter().filter(|rule| rule["faults"] != json!([])).collect();
    assert_eq!(faulty.len(), 3);
    for one in faulty {
        let path = format!("{RULES}/{}", id(one));
        let enabled = world
            .desk
            .post(&world.admin, &format!("{path}/enable"), &json!({}))
            .await;
        enabled.problem(409, "rule.faulty");
        let gone = world.desk.request("DELETE", &path).by(&world.admin).send().await;
        let _ = gone.expect(204);
    }
    let left = world.listed(RULES).await;
    assert_eq!((left.len(), id(&left[0])), (1, id(&rule)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_writes_nothing_and_says_why() {
    let world = World::new().await;
    let (calm, burning) = (world.ticket("calm").await, world.ticket("fire").await);
    let body = json!({ "rule": urgent_fire(), "days": 1 });
    let tried = world
        .desk
        .post(&world.admin, &format!("{RULES}/simulate"), &body)
        .await;
    let tried = tried.expect(200).json();
    assert_eq!((&tried["runs"], &tried["isCut"]), (&json!(1), &json!(false)));
    let of = |ticket: &Value| {
        let all = tried["tickets"].as_array().unwrap();
        all.iter()
            .find(|one| one["ticketId"] == ticket["id"])
            .unwrap()
            .clone()
    };
    assert_eq!(of(&calm)["conditions"][0]["holds"], false);
    let burning_now = of(&burning);
    assert_eq!(burning_now["actions"][0]["change"]["to"], "urgent");
    assert_eq!(burning_now["actions"][2]["change"]["text"], "Seen: fire");
    assert_eq!(world.settled(id(&burning)).await, burning);
    assert_eq!(world.listed(RULES).await, Vec::<Value>::new());
    // A stored one, on one ticket, although it is disabled.
    let mut off = urgent_fire();
    off["enabled"] = json!(false);
    let rule = world.rule(off).await;
    let path = format!("{RULES}/{}/simulate", id(&rule));
    let one = json!({ "ticketId": burning["id"] });
    let tried = world
        .desk
        .post(&world.admin, &path, &one)
        .await
        .expect(200)
        .json();
    assert_eq!(tried["runs"], 1);
    let agents = world.desk.post(&world.agent, &path, &one).await;
    agents.problem(403, "access.forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_works_its_tickets_off_once_for_each_time() {
    let world = World::new().await;
    let (pending, open) = (world.ticket("pending").await, world.ticket("open").await);
    let body = json!({ "status": "pending" });
    let path = format!("{TICKETS}/{}", id(&pending));
    let _ = world.desk.patch(&world.admin, &path, &body).await.expect(200);
    let rule = world
        .rule(json!({ "name": "Remind", "trigger": "schedule",
            "schedule": { "cron": "* * * * *", "timezone": "Europe/Berlin",
                "filter": { "field": "status", "operator": "equals", "value": "pending" } },
            "actions": [{ "type": "add_tags", "value": ["reminded"] }, { "type": "add_note", "value": "again" }] }))
        .await;
    let schedules = &world.desk.desk.run_schedules;
    // It does not make up for what was before it.
    let early = schedules.run_once().await.unwrap();
    let a_while_ago =
        "UPDATE automation_rules SET version = version + 1, updated_at = now() - interval '3 minutes'";
    world.desk.database.batch(a_while_ago).await;
    world.desk.desk.automation.forget();
    let (one, other) = tokio::join!(schedules.run_once(), schedules.run_once());
    assert_eq!(early + one.unwrap() + other.unwrap(), 1);
    assert_eq!(world.settled(id(&pending)).await["tags"], json!(["reminded"]));
    assert_eq!(world.settled(id(&open)).await["tags"], json!([]));
    let notes = world.listed(&format!("{path}/notes")).await;
    assert_eq!(notes.len(), 1);
    assert_eq!(world.runs(&rule).await.len(), 1);
}

/// An agent of the staff who is told by a rule must see the ticket; a rule can give it to whoever's turn it is.
#[tokio::test(flavor = "multi_thread")]
async fn rules_hand_tickets_out_and_tell_people() {
    use kernel::TeamRole;
    let world = World::new().await;
    let other = world.desk.person("bob", Role::Agent).await;
    let outsider = world.desk.person("out", Role::Agent).await;
    let members = [(&world.agent, TeamRole::Agent), (&other, TeamRole::Agent)];
    let team = world.desk.team(&world.admin, "net", &members).await;
    world
        .rule(json!({ "name": "Net", "trigger": "ticket.created", "actions": [
            { "type": "set_team", "value": team },
            { "type": "assign_round_robin" },
            { "type": "notify", "to": ["team", outsider.id], "value": "A {{ticket.priority}} one" },
        ] }))
        .await;
    let (first, second) = (world.ticket("a").await, world.ticket("b").await);
    assert_eq!(first["teamId"], json!(team));
    assert_ne!(first["assignedToId"], second["assignedToId"]);
    assert!(first["assignedToId"].is_string() && second["assignedToId"].is_string());
    let told = world.desk.told(&other).await;
    assert_eq!(told.iter().filter(|kind| *kind == "rule").count(), 2);
    assert!(!world.desk.told(&outsider).await.contains(&"rule".to_owned()));
}

/// A rule writes mails once, to proved addresses of accounts and to those that it names.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_writes_mails_once() {
    let world = World::new().await;
    let _ = world
        .rule(json!({ "name": "Mail", "trigger": "ticket.created", "actions": [
            { "type": "send_email", "to": ["requester", "assignee", "partner@example.net"],
                "subject": "{{ticket.number}}: {{ticket.subject}}", "value": "Hello {{requester.name}},\nwe have it." },
        ] }))
        .await;
    let unproved = "UPDATE users SET email_verified_at = NULL WHERE email = 'kim@example.org'";
    let proved = "UPDATE users SET email_verified_at = now() WHERE email = 'kim@example.org'";
    let written = async |subject: &str| {
        let body = json!({ "subject": subject, "description": "d" });
        let made = world.desk.post(&world.customer, TICKETS, &body).await;
        let _ = made.expect(201);
        let mails = world.desk.mails().await;
        let mut to: Vec<_> = mails
            .iter()
            .map(|mail| (mail.to.as_str().to_owned(), mail.content.clone()))
            .collect();
        to.sort_by(|one, other| one.0.cmp(&other.0));
        to
    };
    world.desk.database.batch(proved).await;
    let mails = written("Printer").await;
    assert_eq!(
        mails.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(),
        ["kim@example.org", "partner@example.net"]
    );
    let identity::ports::MailContent::Written { subject, text } = &mails[0].1 else {
        panic!("{mails:?}");
    };
    assert!(
        subject.ends_with(": Printer") && text == "Hello kim,\nwe have it.",
        "{mails:?}"
    );
    // The same event again writes nothing twice.
    let again = "UPDATE outbox SET done_at = NULL, attempts = 0, leased_until = NULL WHERE kind = 'ticket.created'; \
                 UPDATE automation_runs SET settled_at = NULL, results = NULL";
    world.desk.database.batch(again).await;
    assert!(world.desk.mails().await.is_empty());
    // Of an address that nobody proved it is not known whose it is.
    world.desk.database.batch(unproved).await;
    let mails = written("Again").await;
    assert_eq!(
        mails.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(),
        ["partner@example.net"]
    );
}

/// A text names what is known and calls nothing, and what is filled in stays text in the channel that carries it.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_calls_is_refused_and_what_is_filled_in_stays_text() {
    let world = World::new().await;
    let attacks = [
        "{{ ticket.subject.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ range(1000000000) }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ ticket.subject | upper }}",
        "{% for x in range(9) %}x{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{{ self.environment }}",
        "{{ config }}",
        "{{ env.HOME }}",
        "{{ requester.passwordHash }}",
    ];
    for attack in attacks {
        let rule = json!({ "name": "x", "trigger": "ticket.created", "actions": [
            { "type": "send_reply", "value": attack },
            { "type": "add_note", "value": attack },
            { "type": "send_email", "to": ["requester"], "subject": attack, "value": attack },
        ] });
        let refused = world
            .desk
            .post(&world.admin, RULES, &rule)
            .await
            .expect(422)
            .json();
        let mut places: Vec<_> = refused["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap())
            .collect();
        places.dedup();
        assert_eq!(
            places,
            [
                "/actions/0/value",
                "/actions/1/value",
                "/actions/2/subject",
                "/actions/2/value"
            ],
            "{attack}"
        );
        let r#macro = json!({ "name": "x", "visibility": "own", "actions": [{ "type": "send_reply", "value": attack }] });
        let refused = world.desk.post(&world.agent, "/api/v1/macros", &r#macro).await;
        assert_eq!(
            refused.expect(422).json()["errors"][0]["pointer"],
            "/actions/0/value",
            "{attack}"
        );
    }
    assert_eq!(world.listed(RULES).await, Vec::<Value>::new());

    let _ = world
        .rule(json!({ "name": "Echo", "trigger": "ticket.created", "actions": [
            { "type": "send_reply", "value": "**{{ticket.subject}}**" },
            { "type": "send_email", "to": ["a@example.net"], "subject": "{{ticket.subject}}", "value": "{{ticket.subject}}" },
        ] }))
        .await;
    let subject = "{{ticket.description}} <img src=x onerror=alert(1)> *b* [c](http://d.example)";
    let body = json!({ "subject": subject, "description": "deep" });
    let made = world
        .desk
        .post(&world.customer, TICKETS, &body)
        .await
        .expect(201)
        .json();
    let mails = world.desk.mails().await;
    let written = mails.iter().find_map(|mail| match &mail.content {
        identity::ports::MailContent::Written { subject, text } => Some((subject, text)),
        _ => None,
    });
    assert!(
        written.is_some_and(|(line, text)| line == subject && text == subject),
        "{mails:?}"
    );
    let messages = world.listed(&format!("{TICKETS}/{}/messages", id(&made))).await;
    let html = messages[0]["messageHtml"].as_str().unwrap();
    assert!(
        html.contains("<strong>") && html.contains("{{ticket.description}}"),
        "{html}"
    );
    for live in ["<img", "<em>", "<a ", "deep"] {
        assert!(!html.contains(live), "{live} in {html}");
    }
}

/// An event that nobody can read is put aside after its tries; what is about other tickets does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_can_read_is_put_aside_and_the_others_go_on() {
    let world = World::new().await;
    let _ = world.rule(urgent_fire()).await;
    let _ = world.desk.mails().await;
    for (kind, version, payload) in [
        ("ticket.created", 1, "\"nonsense\""),
        ("ticket.created", 32_767, "{}"),
        ("ticket.created", 1, "{\"ticket\": {\"subject\": 7}}"),
        ("moon.rose", 1, "[[[[]]]]"),
    ] {
        let row = format!(
            "INSERT INTO outbox (id, aggregate_id, kind, payload_version, payload, occurred_at) \
             VALUES (gen_random_uuid(), gen_random_uuid(), '{kind}', {version}, '{payload}', now())"
        );
        world.desk.database.batch(&row).await;
    }
    let body = json!({ "subject": "fire", "description": "d" });
    let made = world
        .desk
        .post(&world.customer, TICKETS, &body)
        .await
        .expect(201)
        .json();
    let relay = world.desk.desk.relay();
    let first = relay.drain().await.unwrap();
    assert_eq!((first.postponed, first.buried), (4, 0));
    let path = format!("{TICKETS}/{}", id(&made));
    let burning = world.desk.get(&world.admin, &path).await.expect(200).json();
    assert_eq!(burning["priority"], "urgent");
    let mut buried = 0;
    // One more than there are tries.
    for _ in 0..11 {
        let due = "UPDATE outbox SET available_at = now() - interval '1 hour' WHERE done_at IS NULL";
        world.desk.database.batch(due).await;
        buried += relay.drain().await.unwrap().buried;
    }
    assert_eq!(buried, 4);
    let why = "SELECT count(*)::text FROM outbox WHERE buried_at IS NOT NULL AND last_error LIKE 'cannot be read: %'";
    assert_eq!(world.desk.database.rows(why).await, [[Some("4".to_owned())]]);
}
