use kernel::Violations;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::reference::Target;
use crate::testing::build;
use crate::trigger::{Occasion, TriggerKind};

fn read(json: &Value) -> Result<Actions, Violations> {
    Actions::read(json, "/actions", Occasion::Event(TriggerKind::Created))
}

fn faults_at(json: &Value, occasion: Occasion) -> Vec<(String, &'static str)> {
    let violations = Actions::read(json, "/actions", occasion).unwrap_err();
    let faults = violations.as_slice().iter();
    faults.map(|fault| (fault.pointer.clone(), fault.code)).collect()
}

fn faults(json: &Value) -> Vec<(String, &'static str)> {
    faults_at(json, Occasion::Event(TriggerKind::Created))
}

/// One of each type, as the documentation has them.
fn all() -> Value {
    json!([
        { "type": "set_priority", "value": "high" },
        { "type": "set_status", "value": "pending" },
        { "type": "set_assignee", "value": build::AGENT },
        { "type": "set_team", "value": null },
        { "type": "add_tags", "value": [" VPN ", "vpn", "b"] },
        { "type": "remove_tags", "value": ["old"] },
        { "type": "set_tags", "value": [] },
        { "type": "set_custom_field", "field": "region", "value": ["a", "b"] },
        { "type": "set_sla_policy", "value": build::POLICY },
        { "type": "assign_round_robin" },
        { "type": "assign_least_loaded", "value": build::TEAM },
        { "type": "add_note", "value": "Tags: {{ticket.tags}}" },
        { "type": "send_reply", "value": "We have {{ticket.number}}." },
        { "type": "notify", "to": ["assignee", "team", "followers", build::OTHER_AGENT], "value": "Look" },
        { "type": "send_email", "to": ["requester", "a.b+c@example.org"], "subject": "{{ticket.number}}", "value": "Hi" },
        { "type": "webhook", "value": build::ENDPOINT, "payload": { "n": 1, "t": ["{{ticket.subject}}", "plain", null] } },
        { "type": "stop" },
    ])
}

#[test]
fn every_type_is_read_and_told_by_its_name() {
    let json = all();
    let actions = read(&json).unwrap();
    assert_eq!(actions.as_json(), &json);
    let names: Vec<_> = actions.as_slice().iter().map(Action::type_name).collect();
    let written: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|action| action["type"].as_str())
        .collect();
    assert_eq!(names, written);
    assert_eq!(
        actions.as_slice()[4],
        Action::AddTags(vec!["vpn".to_owned(), "b".to_owned()])
    );
    assert!(actions.reach_outside());
}

#[test]
fn what_they_name_is_listed_with_its_place() {
    let actions = read(&all()).unwrap();
    let listed: Vec<_> = actions
        .references()
        .iter()
        .map(|reference| (reference.pointer.as_str(), reference.target))
        .collect();
    assert_eq!(
        listed,
        [
            ("/actions/2/value", Target::Staff(build::AGENT)),
            ("/actions/8/value", Target::SlaPolicy(build::POLICY)),
            ("/actions/10/value", Target::Team(build::TEAM)),
            ("/actions/13/to/3", Target::Staff(build::OTHER_AGENT)),
            ("/actions/14/type", Target::Mail),
            ("/actions/15/value", Target::Endpoint(build::ENDPOINT)),
        ]
    );
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let json = json!([
        { "type": "explode" },
        { "type": "set_priority", "value": "extreme", "colour": 1 },
        { "type": "set_status" },
        { "type": "set_assignee", "value": "me" },
        { "type": "add_tags", "value": [] },
        { "type": "add_tags", "value": ["x".repeat(51), 3, ""] },
        { "type": "set_custom_field", "field": "", "value": 1 },
        { "type": "set_custom_field", "field": "a", "value": { "b": 1 } },
        { "type": "send_reply", "value": "{{ticket.tags}} {{ticket.x}}" },
        { "type": "notify", "to": ["requester"], "value": "" },
        { "type": "send_email", "to": ["a b@c.d", "user", "x@localhost"], "subject": "s", "value": "v" },
        { "type": "webhook", "value": 7, "payload": ["x"] },
        { "type": "stop", "value": 1 },
        "stop",
        { "value": 1 },
    ]);
    let at = |place: &str, code| (format!("/actions/{place}"), code);
    assert_eq!(
        faults(&json),
        [
            at("0/type", "unknown_action"),
            at("1/colour", "unknown_member"),
            at("1/value", "not_allowed"),
            at("2/value", "required"),
            at("3/value", "not_a_uuid"),
            at("4/value", "wrong_type"),
            at("5/value/0", "too_long"),
            at("5/value/1", "wrong_type"),
            at("5/value/2", "too_short"),
            at("6/field", "unknown_field"),
            at("7/value", "wrong_type"),
            at("8/value", "not_for_customers"),
            at("8/value", "unknown_path"),
            at("9/to/0", "unknown_recipient"),
            at("9/value", "empty"),
            at("10/to/0", "unknown_recipient"),
            at("10/to/1", "not_allowed"),
            at("10/to/2", "unknown_recipient"),
            at("11/value", "not_a_uuid"),
            at("11/payload", "wrong_type"),
            at("12/value", "unknown_member"),
            at("13", "wrong_type"),
            at("14/type", "unknown_action"),
        ]
    );
    assert_eq!(faults(&json!([]))[0].1, "too_short");
    assert_eq!(faults(&json!({}))[0].1, "wrong_type");
    assert_eq!(
        faults(&json!(vec![json!({ "type": "stop" }); ACTIONS_MAX + 1]))[0].1,
        "too_many"
    );
}

#[test]
fn without_a_ticket_only_what_needs_none_is_there() {
    let occasion = Occasion::Event(TriggerKind::UserCreated);
    let json = json!([
        { "type": "set_priority", "value": "high" },
        { "type": "notify", "to": ["assignee", build::AGENT], "value": "New" },
        { "type": "send_email", "to": ["requester"], "subject": "s", "value": "v" },
    ]);
    assert_eq!(
        faults_at(&json, occasion),
        [
            ("/actions/0/type".to_owned(), "not_allowed"),
            ("/actions/1/to/0".to_owned(), "not_allowed"),
            ("/actions/2/to/0".to_owned(), "not_allowed"),
        ]
    );
    let well = json!([
        { "type": "send_email", "to": ["user"], "subject": "Welcome, {{user.name}}", "value": "Hello" },
        { "type": "notify", "to": [build::AGENT], "value": "{{user.email}} is here" },
        { "type": "webhook", "value": build::ENDPOINT },
    ]);
    assert!(Actions::read(&well, "", occasion).is_ok());
}

#[test]
fn a_mail_may_name_internal_things_where_every_reader_is_staff() {
    let mail =
        |to: Value| json!([{ "type": "send_email", "to": to, "subject": "{{ticket.tags}}", "value": "x" }]);
    assert!(read(&mail(json!(["assignee"]))).is_ok());
    let named = read(&mail(json!([build::AGENT]))).unwrap();
    assert_eq!(named.references()[0].target, Target::Staff(build::AGENT));
    for to in [
        json!(["requester"]),
        json!(["a@example.org"]),
        json!(["assignee", "requester"]),
    ] {
        assert_eq!(
            faults(&mail(to)),
            [("/actions/0/subject".to_owned(), "not_for_customers")]
        );
    }
    let plain = json!([{ "type": "send_email", "to": [build::REQUESTER], "subject": "s", "value": "{{ticket.number}}" }]);
    assert_eq!(
        read(&plain).unwrap().references()[0].target,
        Target::User(build::REQUESTER)
    );
}

#[test]
fn a_payload_with_internal_things_is_for_an_endpoint_of_staff() {
    let call = |text: &str| json!([{ "type": "webhook", "value": build::ENDPOINT, "payload": { "a": { "b": [text] } } }]);
    let target = |text: &str| read(&call(text)).unwrap().references()[0].target;
    assert_eq!(target("{{ticket.tags}}"), Target::StaffEndpoint(build::ENDPOINT));
    assert_eq!(target("{{ticket.number}}"), Target::Endpoint(build::ENDPOINT));
    assert_eq!(faults(&call("{{x}}"))[0].0, "/actions/0/payload/a/b/0");
    let mut deep = json!({});
    for _ in 0..PAYLOAD_LEVELS_MAX {
        deep = json!({ "a": deep });
    }
    let json = json!([{ "type": "webhook", "value": build::ENDPOINT, "payload": deep }]);
    assert_eq!(faults(&json)[0].1, "too_deep");
}

fn any_json() -> impl Strategy<Value = Value> {
    let words = vec![
        "set_priority",
        "set_tags",
        "set_custom_field",
        "notify",
        "send_email",
        "webhook",
        "stop",
        "send_reply",
        "assign_round_robin",
        "high",
        "assignee",
        "{{ticket.number}}",
        "00000000-0000-0000-0000-000000000001",
    ];
    let leaves = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(words).prop_map(Value::from),
    ];
    leaves.prop_recursive(4, 40, 5, |inner| {
        let names = prop_oneof!["type", "value", "to", "field", "subject", "payload", ".{0,4}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(names, inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn reading_never_panics(json in any_json()) {
        for kind in [TriggerKind::Created, TriggerKind::UserCreated] {
            let _ = Actions::read(&json, "", Occasion::Event(kind));
            let _ = Actions::read(&json!([json]), "", Occasion::Macro);
        }
    }
}
