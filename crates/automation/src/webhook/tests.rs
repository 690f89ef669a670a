use serde_json::json;

use super::*;
use crate::facts::AlwaysOpen;
use crate::testing::build;

fn read(json: &Value) -> Result<EndpointContent, Violations> {
    EndpointContent::read(json, &AddressRules::default())
}

#[test]
fn an_endpoint_is_written_as_it_was_read() {
    let json = json!({ "name": "CRM", "url": "https://example.org/hook", "events": ["ticket.*", "user.created"],
        "filter": { "field": "priority", "operator": "equals", "value": "high" }, "audience": "staff", "enabled": true });
    assert_eq!(read(&json).unwrap().to_json(), json);
    let least = read(&json!({ "name": "CRM", "url": "https://example.org" })).unwrap();
    assert_eq!(
        (least.audience, least.enabled, least.events.len()),
        (Audience::Customer, true, 0)
    );
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let json = json!({ "name": "", "url": "https://127.1/", "events": ["ticket.created", "TICKET", "ticket.creatd", 1, "*.x"],
        "filter": { "field": "message.body", "operator": "is_set" }, "audience": "all", "enabled": 1, "x": 1 });
    let violations = read(&json).unwrap_err();
    let faults: Vec<_> = violations
        .as_slice()
        .iter()
        .map(|fault| (fault.pointer.as_str(), fault.code))
        .collect();
    assert_eq!(
        faults,
        [
            ("/x", "unknown_member"),
            ("/name", "too_short"),
            ("/url", "inside_address"),
            ("/events/1", "unknown_event"),
            ("/events/2", "unknown_event"),
            ("/events/3", "unknown_event"),
            ("/events/4", "unknown_event"),
            ("/filter/field", "unknown_field"),
            ("/audience", "not_allowed"),
            ("/enabled", "wrong_type"),
        ]
    );
}

#[test]
fn an_endpoint_gets_the_events_that_it_wants() {
    let wants = |more: Value, event: &str| {
        let mut json = json!({ "name": "x", "url": "https://example.org" });
        json.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let happening = build::event(TriggerKind::Created);
        read(&json)
            .unwrap()
            .wants(event, &happening, Some(&build::view()), &AlwaysOpen)
    };
    assert!(!wants(json!({}), "ticket.created"));
    assert!(wants(json!({ "events": ["*"] }), "user.created"));
    assert!(wants(json!({ "events": ["ticket.*"] }), "ticket.created"));
    assert!(!wants(json!({ "events": ["ticket.*"] }), "user.created"));
    assert!(!wants(
        json!({ "events": ["ticket.created"] }),
        "ticket.created_x"
    ));
    let filter = |priority: &str| {
        let filter = json!({ "field": "priority", "operator": "equals", "value": priority });
        wants(json!({ "events": ["*"], "filter": filter }), "ticket.created")
    };
    assert!(filter("medium") && !filter("high"));
}
