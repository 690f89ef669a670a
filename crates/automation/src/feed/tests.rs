use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::testing::build;

fn rule(number: u128, trigger: &str, conditions: Value, actions: Value) -> Rule {
    build::rule(number, trigger, &conditions, &actions)
}

fn id(number: u128) -> RuleId {
    RuleId(Uuid::from_u128(number))
}

fn set(action: &str, value: &str) -> Value {
    json!([{ "type": action, "value": value }])
}

fn is(field: &str, operator: &str, value: Value) -> Value {
    json!({ "field": field, "operator": operator, "value": value })
}

#[test]
fn a_rule_feeds_those_that_its_events_set_off() {
    let raises = rule(1, "ticket.created", json!({}), set("set_priority", "high"));
    let cases = [
        ("ticket.priority_changed", json!({}), true),
        ("ticket.updated", json!({}), false),
        ("ticket.created", json!({}), false),
        (
            "ticket.priority_changed",
            is("priority", "equals", json!("high")),
            true,
        ),
        (
            "ticket.priority_changed",
            is("priority", "equals", json!("low")),
            false,
        ),
        (
            "ticket.priority_changed",
            is("priority", "changed_to", json!("high")),
            true,
        ),
        (
            "ticket.priority_changed",
            is("priority", "changed_to", json!("low")),
            false,
        ),
        (
            "ticket.priority_changed",
            is("priority", "changed_from", json!("low")),
            true,
        ),
        (
            "ticket.priority_changed",
            json!({ "field": "status", "operator": "changed" }),
            false,
        ),
        (
            "ticket.priority_changed",
            is("status", "equals", json!("open")),
            true,
        ),
        // One of several alternatives is no demand.
        (
            "ticket.priority_changed",
            json!({ "any": [is("priority", "equals", json!("low")), is("status", "equals", json!("open"))] }),
            true,
        ),
        (
            "ticket.priority_changed",
            json!({ "none": [is("priority", "equals", json!("high"))] }),
            true,
        ),
    ];
    for (trigger, conditions, expected) in cases {
        let second = rule(2, trigger, conditions.clone(), set("set_status", "pending"));
        assert_eq!(feeds(&raises, &second), expected, "{trigger} {conditions}");
    }
}

#[test]
fn the_events_of_each_action_are_known() {
    let fed = |actions: Value, trigger: &str, conditions: Value| {
        let first = rule(1, "ticket.created", json!({}), actions);
        feeds(&first, &rule(2, trigger, conditions, set("set_priority", "low")))
    };
    assert!(fed(set("set_status", "open"), "ticket.reopened", json!({})));
    assert!(!fed(set("set_status", "closed"), "ticket.reopened", json!({})));
    assert!(fed(
        json!([{ "type": "assign_round_robin" }]),
        "ticket.assigned",
        json!({})
    ));
    assert!(fed(
        json!([{ "type": "set_tags", "value": ["a"] }]),
        "ticket.updated",
        is("tags", "contains", json!("a"))
    ));
    assert!(!fed(
        json!([{ "type": "set_tags", "value": ["a"] }]),
        "ticket.updated",
        is("tags", "in", json!(["b"]))
    ));
    assert!(!fed(
        json!([{ "type": "add_note", "value": "x" }]),
        "ticket.message_added",
        json!({})
    ));
    assert!(fed(set("send_reply", "x"), "ticket.message_added", json!({})));
    assert!(!fed(
        set("send_reply", "x"),
        "ticket.message_added",
        is("message.byRequester", "equals", json!(true))
    ));
    assert!(!fed(
        set("send_reply", "x"),
        "ticket.message_added",
        is("message.visibility", "equals", json!("internal"))
    ));
    let empties = json!([{ "type": "set_custom_field", "field": "x", "value": null }]);
    assert!(!fed(
        empties.clone(),
        "ticket.updated",
        json!({ "field": "customFields.x", "operator": "is_set" })
    ));
    assert!(fed(
        empties,
        "ticket.updated",
        json!({ "field": "customFields.x", "operator": "changed" })
    ));
}

#[test]
fn a_rule_feeds_itself_where_its_work_is_never_done() {
    let loops = |trigger: &str, actions: Value| {
        let one = rule(1, trigger, json!({}), actions);
        feeds(&one, &one)
    };
    assert!(loops("ticket.message_added", set("send_reply", "Thanks")));
    assert!(loops(
        "ticket.assigned",
        json!([{ "type": "assign_least_loaded" }])
    ));
    // The second time it changes nothing, so that nothing follows.
    assert!(!loops("ticket.priority_changed", set("set_priority", "high")));
}

#[test]
fn circles_are_named() {
    let set_of = RuleSet::new([
        rule(1, "ticket.updated", json!({}), set("set_status", "pending")),
        rule(2, "ticket.status_changed", json!({}), set("set_priority", "high")),
        rule(
            3,
            "ticket.priority_changed",
            json!({}),
            json!([{ "type": "add_tags", "value": ["x"] }]),
        ),
        rule(4, "ticket.message_added", json!({}), set("send_reply", "Thanks")),
        rule(
            5,
            "ticket.priority_changed",
            json!({}),
            json!([{ "type": "add_note", "value": "x" }]),
        ),
        rule(6, "ticket.rated", json!({}), set("set_priority", "low")),
    ]);
    assert_eq!(set_of.cycles(), [vec![id(1), id(2), id(3)], vec![id(4)]]);
    assert_eq!(set_of.cycles_of(id(4)), [vec![id(4)]]);
    assert_eq!(set_of.cycles_of(id(6)), [[]; 0]);
}

#[test]
fn a_long_chain_of_rules_is_followed_to_its_end() {
    let rules = (1..=400_u128).map(|number| {
        let next = (number % 400) + 1;
        rule(
            number,
            "ticket.updated",
            is(&format!("customFields.f{number}"), "changed_to", json!(1)),
            json!([{ "type": "set_custom_field", "field": format!("f{next}"), "value": 1 }]),
        )
    });
    let cycles = RuleSet::new(rules).cycles();
    assert_eq!(cycles.len(), 1);
    assert_eq!(cycles[0].len(), 400);
}
