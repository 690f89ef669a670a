use serde_json::json;

use super::*;
use crate::testing::build;
use crate::trigger::TriggerKind;

fn faults(document: &Value) -> Vec<(String, &'static str)> {
    let violations = RuleContent::check(document, &build::world()).unwrap_err();
    let faults = violations.as_slice().iter();
    faults.map(|fault| (fault.pointer.clone(), fault.code)).collect()
}

fn whole() -> Value {
    json!({
        "name": "VPN", "description": "To the network team", "trigger": "schedule",
        "schedule": { "cron": "0 9 * * *", "timezone": "Europe/Berlin",
                      "filter": { "field": "status", "operator": "equals", "value": "open" } },
        "conditions": { "field": "teamId", "operator": "not_equals", "value": build::TEAM },
        "actions": [ { "type": "set_team", "value": build::TEAM }, { "type": "stop" } ],
        "priority": 10, "enabled": false, "stopAfterMatch": true,
        "rateLimit": { "perTicketPerHour": 3, "perRulePerHour": null },
    })
}

#[test]
fn a_document_is_written_as_it_was_read() {
    let content = RuleContent::check(&whole(), &build::world()).unwrap();
    assert_eq!(content.to_json(), whole());
    assert_eq!(
        RuleContent::check(&content.to_json(), &build::world()),
        Ok(content)
    );
}

#[test]
fn what_is_left_out_has_its_usual_value() {
    let document = json!({ "name": "x", "trigger": "ticket.created", "actions": [{ "type": "stop" }] });
    let content = RuleContent::check(&document, &build::world()).unwrap();
    assert_eq!(
        (content.priority, content.enabled, content.stop_after_match),
        (0, true, false)
    );
    assert_eq!(
        (content.conditions.as_json(), content.description),
        (&json!({}), None)
    );
    assert!(content.rate_limit.is_none());
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let document = json!({
        "name": "", "description": 7, "trigger": "ticket.updated", "colour": "red",
        "schedule": { "cron": "* * * * *", "timezone": "UTC" },
        "conditions": { "field": "x", "operator": "is_set" },
        "actions": [ { "type": "stop", "value": 1 } ],
        "priority": 10_001, "enabled": "yes", "stopAfterMatch": null,
        "rateLimit": { "perTicketPerHour": 0, "perYear": 1 },
    });
    let at = |place: &str, code| (place.to_owned(), code);
    assert_eq!(
        faults(&document),
        [
            at("/colour", "unknown_member"),
            at("/name", "too_short"),
            at("/description", "wrong_type"),
            at("/schedule", "not_allowed"),
            at("/conditions/field", "unknown_field"),
            at("/actions/0/value", "unknown_member"),
            at("/priority", "out_of_range"),
            at("/enabled", "wrong_type"),
            at("/stopAfterMatch", "wrong_type"),
            at("/rateLimit/perYear", "unknown_member"),
            at("/rateLimit/perTicketPerHour", "out_of_range"),
        ]
    );
    assert_eq!(faults(&json!([])), [at("", "wrong_type")]);
    assert_eq!(
        faults(&json!({})),
        [at("/name", "required"), at("/trigger", "required")]
    );
    let early = json!([{ "type": "stop" }, { "type": "set_priority", "value": "low" }]);
    assert_eq!(
        faults(&build::document("ticket.created", &json!({}), &early)),
        [at("/actions/0", "not_last")]
    );
    assert_eq!(
        faults(&json!({ "name": "x", "trigger": "schedule", "actions": [{ "type": "stop" }] })),
        [at("/schedule", "required")]
    );
}

#[test]
fn what_is_named_and_not_there_is_refused_with_its_place() {
    let gone = Uuid::from_u128(99);
    let document = build::document(
        "ticket.created",
        &json!({ "all": [ { "field": "teamId", "operator": "in", "value": [build::TEAM, gone] },
                          { "field": "createdById", "operator": "equals", "value": gone } ] }),
        &json!([
            { "type": "set_team", "value": gone },
            { "type": "set_assignee", "value": build::REQUESTER },
            { "type": "set_sla_policy", "value": gone },
            { "type": "webhook", "value": gone },
            { "type": "webhook", "value": build::CUSTOMERS_ENDPOINT, "payload": { "t": "{{ticket.tags}}" } },
        ]),
    );
    let at = |place: &str, code| (place.to_owned(), code);
    assert_eq!(
        faults(&document),
        [
            at("/conditions/all/0/value/1", "unknown"),
            at("/conditions/all/1/value", "unknown"),
            at("/actions/0/value", "unknown"),
            at("/actions/1/value", "not_staff"),
            at("/actions/2/value", "unknown"),
            at("/actions/3/value", "unknown"),
            at("/actions/4/value", "not_for_customers"),
        ]
    );
    assert_eq!(RuleReading::of(&document).references().len(), 8);
}

#[test]
fn a_rule_survives_its_row() {
    let rule = build::rule_of(7, &whole());
    assert_eq!(Rule::read(&rule.to_row()), Ok(rule.clone()));
    assert_eq!(rule.content.trigger.kind(), TriggerKind::Schedule);
}

#[test]
fn rows_that_others_wrote_are_read_or_named_and_never_panic() {
    let row = build::rule(1, "ticket.created", &json!({}), &json!([{ "type": "stop" }])).to_row();
    let huge = json!({ "any": vec![json!({ "field": "tags", "operator": "is_set" }); 10_000] });
    let poison: Vec<RuleRow> = vec![
        RuleRow {
            trigger: "on full moon".to_owned(),
            ..row.clone()
        },
        RuleRow {
            trigger: "schedule".to_owned(),
            ..row.clone()
        },
        RuleRow {
            schedule: Some(json!("daily")),
            trigger: "schedule".to_owned(),
            ..row.clone()
        },
        RuleRow {
            conditions: json!([1, 2]),
            ..row.clone()
        },
        RuleRow {
            conditions: json!("true"),
            ..row.clone()
        },
        RuleRow {
            conditions: huge,
            ..row.clone()
        },
        RuleRow {
            actions: json!({ "set": "x" }),
            ..row.clone()
        },
        RuleRow {
            actions: json!([{ "type": "launch_missiles" }]),
            ..row.clone()
        },
        RuleRow {
            actions: json!(null),
            ..row.clone()
        },
        RuleRow {
            rate_limit: Some(json!({ "perRulePerHour": -1 })),
            ..row.clone()
        },
    ];
    for row in &poison {
        let fault = Rule::read(row).unwrap_err();
        assert_eq!((fault.id, fault.version), (RuleId(row.id), Version(row.version)));
        assert!(!fault.faults.as_slice().is_empty());
    }
    // What the contract allows and we would not write is taken as it is.
    let odd = RuleRow {
        trigger: "created".to_owned(),
        name: String::new(),
        priority: i32::MIN,
        conditions: Value::Null,
        ..row
    };
    let rule = Rule::read(&odd).unwrap();
    assert_eq!(
        (rule.content.priority, rule.content.trigger.kind()),
        (i32::MIN, TriggerKind::Created)
    );
}

#[test]
fn a_patch_changes_what_it_has_and_keeps_the_rest() {
    let content = RuleContent::check(&whole(), &build::world()).unwrap();
    let patched = content.patched(&json!({ "enabled": true, "description": null, "priority": 3 }));
    let mut expected = whole();
    expected["enabled"] = json!(true);
    expected["description"] = Value::Null;
    expected["priority"] = json!(3);
    assert_eq!(patched, expected);
    // A schedule goes with its trigger.
    let event = content.patched(&json!({ "trigger": "ticket.created" }));
    assert!(RuleContent::check(&event, &build::world()).is_ok());
    assert_eq!(content.patched(&json!(7)), json!(7));
}
