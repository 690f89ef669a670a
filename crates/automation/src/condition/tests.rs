use chrono::TimeDelta;
use kernel::filter::Vocabulary as _;
use kernel::{Role, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::facts::{AlwaysOpen, Happening, Surroundings, TicketView};
use crate::field::Fields;
use crate::reference::Target;
use crate::testing::build;
use crate::trigger::TriggerKind;

fn holds(conditions: &Value, happening: &Happening, view: &TicketView) -> bool {
    let kind = happening.kinds[0];
    let conditions = Conditions::read(conditions, "/conditions", kind).unwrap();
    let scene = Scene::new(happening, Some(view), &AlwaysOpen);
    let explained = conditions.explain(&scene);
    assert_eq!(conditions.holds(&scene), explained.holds, "{explained:?}");
    explained.holds
}

fn faults(conditions: &Value, kind: TriggerKind) -> Vec<(String, &'static str)> {
    let violations = Conditions::read(conditions, "/conditions", kind).unwrap_err();
    let faults = violations.as_slice().iter();
    faults.map(|fault| (fault.pointer.clone(), fault.code)).collect()
}

fn term(field: &str, operator: &str, value: Value) -> Value {
    json!({ "field": field, "operator": operator, "value": value })
}

#[test]
fn every_operator_means_what_it_says() {
    let mut view = build::view();
    view.ticket.tags = vec!["vpn".to_owned(), "vip".to_owned()];
    view.ticket.custom_fields = json!({ "region": "EMEA", "seats": 12, "sites": ["Bonn", "Graz"] })
        .as_object()
        .cloned()
        .unwrap();
    let event = build::event(TriggerKind::Updated);
    let cases = [
        ("subject", "equals", json!("printer ON fire"), true),
        ("subject", "not_equals", json!("Printer"), true),
        ("priority", "in", json!(["medium", "high"]), true),
        ("priority", "not_in", json!(["medium"]), false),
        ("subject", "contains", json!("ON F"), true),
        ("subject", "not_contains", json!("water"), true),
        ("subject", "starts_with", json!("print"), true),
        ("subject", "ends_with", json!("FIRE"), true),
        (
            "subject",
            "matches_regex",
            json!("^Printer .*(fire|smoke)$"),
            true,
        ),
        ("subject", "matches_regex", json!("PRINTER"), false),
        ("subject", "matches_regex", json!("(?i)PRINTER"), true),
        ("tags", "matches_regex", json!("^v.p$"), true),
        ("tags", "contains", json!("vpn"), true),
        ("tags", "not_contains", json!("vpn"), false),
        ("tags", "in", json!(["x", "vip"]), true),
        ("customFields.region", "equals", json!("emea"), true),
        ("customFields.region", "matches_regex", json!("^EM"), true),
        ("customFields.sites", "contains", json!("Graz"), true),
        ("customFields.sites", "matches_regex", json!("^Gr"), true),
        ("customFields.seats", "greater_than", json!(11), true),
        ("customFields.seats", "between", json!([1, 12]), true),
        ("customFields.none", "equals", json!(1), false),
        ("hoursSinceCreated", "equals", json!(2), true),
        ("hoursSinceCreated", "less_than", json!(2), false),
        ("tagCount", "equals", json!(2), true),
        ("messageCount", "less_than", json!(1), true),
        ("createdAt", "less_than", json!("-1h"), true),
        ("createdAt", "less_than", json!("-3h"), false),
        ("createdAt", "between", json!(["-3h", "-1h"]), true),
        ("requester.email", "ends_with", json!("@EXAMPLE.org"), true),
        ("requester.role", "equals", json!("user"), true),
        ("assignee.name", "equals", json!("Ada"), false),
        ("slaBreached", "equals", json!(false), true),
    ];
    for (field, operator, value, expected) in cases {
        let one = term(field, operator, value);
        assert_eq!(holds(&one, &event, &view), expected, "{one}");
        let none = json!({ "none": [one] });
        assert_eq!(holds(&none, &event, &view), !expected, "{none}");
    }
    let set =
        |field: &str, operator: &str| holds(&json!({ "field": field, "operator": operator }), &event, &view);
    assert!(set("assignedToId", "is_not_set") && !set("assignedToId", "is_set"));
    assert!(set("tags", "is_set") && set("requester.id", "is_set"));
    assert!(set("now", "within_business_hours"));
}

#[test]
fn changes_are_the_events_own() {
    let mut event = build::event(TriggerKind::PriorityChanged);
    event.changes = vec![build::change(Field::Priority, "low", "high")];
    // The ticket has moved on since: what the event did stays what it did.
    let view = build::view();
    let held = |operator: &str, value: Value| holds(&term("priority", operator, value), &event, &view);
    assert!(held("changed_from", json!("low")) && held("changed_to", json!("high")));
    assert!(!held("changed_from", json!("high")) && !held("changed_to", json!("medium")));
    assert!(holds(
        &json!({ "field": "priority", "operator": "changed" }),
        &event,
        &view
    ));
    assert!(!holds(
        &json!({ "field": "status", "operator": "changed" }),
        &event,
        &view
    ));
    assert!(held("equals", json!("medium")));
}

#[test]
fn a_tag_that_stays_did_not_change() {
    let mut event = build::event(TriggerKind::Updated);
    let tags = |tags: &[&str]| Held::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect());
    event.changes = vec![crate::facts::Change {
        field: Field::Tags,
        from: tags(&["a", "b"]),
        to: tags(&["b", "c"]),
    }];
    let held = |operator: &str, tag: &str| holds(&term("tags", operator, json!(tag)), &event, &build::view());
    assert!(held("changed_to", "c") && held("changed_from", "a"));
    assert!(!held("changed_to", "b") && !held("changed_from", "b") && !held("changed_to", "a"));
}

#[test]
fn business_hours_are_asked_for_the_moment_and_the_policy() {
    struct Nine;
    impl Surroundings for Nine {
        fn is_open(&self, policy: Option<Uuid>, at: chrono::DateTime<chrono::Utc>) -> Option<bool> {
            match policy {
                None => Some(at < build::noon()),
                Some(build::POLICY) => Some(true),
                Some(_) => None,
            }
        }
    }
    let event = build::event(TriggerKind::Created);
    let view = build::view();
    let held = |json: Value| {
        let conditions = Conditions::read(&json, "", TriggerKind::Created).unwrap();
        conditions.holds(&Scene::new(&event, Some(&view), &Nine))
    };
    assert!(held(
        json!({ "field": "createdAt", "operator": "within_business_hours" })
    ));
    assert!(!held(
        json!({ "field": "now", "operator": "within_business_hours" })
    ));
    assert!(held(term("now", "within_business_hours", json!(build::POLICY))));
    assert!(!held(term("now", "within_business_hours", json!(Uuid::nil()))));
    assert!(!held(
        json!({ "field": "slaDueAt", "operator": "within_business_hours" })
    ));
}

#[test]
fn messages_and_accounts_are_there_at_their_own_triggers() {
    let mut event = build::event(TriggerKind::MessageAdded);
    event.message = Some(build::message(build::REQUESTER, Role::User, "Still BROKEN"));
    let view = build::view();
    for (field, operator, value) in [
        ("message.body", "contains", json!("broken")),
        ("message.visibility", "equals", json!("public")),
        ("message.authorRole", "equals", json!("user")),
        ("message.byRequester", "equals", json!(true)),
        ("message.authorId", "equals", json!(build::REQUESTER)),
    ] {
        assert!(holds(&term(field, operator, value), &event, &view), "{field}");
    }
    let code = |field: &str, kind| faults(&json!({ "field": field, "operator": "is_set" }), kind)[0].1;
    assert_eq!(code("message.body", TriggerKind::Created), "unknown_field");
    assert_eq!(code("user.email", TriggerKind::Created), "unknown_field");
    assert_eq!(code("subject", TriggerKind::UserCreated), "unknown_field");
    assert_eq!(code("customFields.x", TriggerKind::UserCreated), "unknown_field");
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let conditions = json!({ "all": [
        { "field": "colour", "operator": "equals", "value": "red" },
        { "field": "subject", "operator": "resembles", "value": "x" },
        { "field": "priority", "operator": "equals", "value": "extreme" },
        { "any": [ { "field": "subject", "operator": "matches_regex", "value": "(" },
                   { "field": "tags", "operator": "changed", "value": "x" },
                   { "field": "createdAt", "operator": "changed" },
                   { "field": "subject", "operator": "within_business_hours" },
                   { "field": "messageCount", "operator": "matches_regex", "value": "1" },
                   { "field": "priority", "operator": "changed_to", "value": 3 },
                   { "field": "priority", "operator": "changed_to" },
                   { "field": "assignedToId", "operator": "equals", "value": "me" },
                   { "field": "priority", "operator": "changed", "a/b": 1 } ] },
        { "none": [] },
        { "all": [ { "field": "tags", "operator": "is_set" } ], "extra": 1 },
        7,
    ] });
    let at = |place: &str, code| (format!("/conditions/all/{place}"), code);
    assert_eq!(
        faults(&conditions, TriggerKind::Updated),
        [
            at("0/field", "unknown_field"),
            at("1/operator", "unknown_operator"),
            at("2/value", "not_allowed"),
            at("3/any/0/value", "invalid"),
            at("3/any/1/value", "unknown_member"),
            at("3/any/2/operator", "not_allowed"),
            at("3/any/3/operator", "not_allowed"),
            at("3/any/4/operator", "not_allowed"),
            at("3/any/5/value", "not_allowed"),
            at("3/any/6/value", "required"),
            at("3/any/7/value", "not_a_uuid"),
            at("3/any/8/a~1b", "unknown_member"),
            at("4/none", "wrong_type"),
            at("5", "unknown_member"),
            at("6", "wrong_type"),
        ]
    );
    let changed = json!({ "field": "priority", "operator": "changed" });
    assert_eq!(
        faults(&changed, TriggerKind::Created),
        [("/conditions/operator".to_owned(), "not_allowed")]
    );
}

#[test]
fn what_is_too_large_is_refused_and_not_read() {
    let one = json!({ "field": "tags", "operator": "is_set" });
    let kind = TriggerKind::Created;
    let many = json!({ "any": vec![one.clone(); TERMS_MAX + 1] });
    assert_eq!(faults(&many, kind), [("/conditions".to_owned(), "too_many")]);
    assert!(Conditions::read(&json!({ "any": vec![one.clone(); TERMS_MAX] }), "", kind).is_ok());
    let mut deep = one.clone();
    for _ in 0..LEVELS_MAX {
        deep = json!({ "all": [deep] });
    }
    assert!(Conditions::read(&deep, "", kind).is_ok());
    assert_eq!(faults(&json!({ "all": [deep] }), kind)[0].1, "too_deep");
    let huge = json!({ "any": vec![one; 10_000] });
    assert_eq!(faults(&huge, kind), [("/conditions".to_owned(), "too_long")]);
    for pattern in [
        "a{1000}{1000}".to_owned(),
        "x".repeat(PATTERN_MAX_CHARS + 1),
        String::new(),
    ] {
        let json = term("subject", "matches_regex", json!(pattern));
        assert_eq!(faults(&json, kind)[0].1, "invalid");
    }
}

#[test]
fn a_pattern_takes_bounded_time_on_any_text() {
    let mut view = build::view();
    view.ticket.description = "a".repeat(64 * 1024);
    let event = build::event(TriggerKind::Created);
    // Exponential for an engine that backtracks.
    let evil = term("description", "matches_regex", json!("(a|a)*(a|a)*$b"));
    assert!(!holds(&evil, &event, &view));
    // The bound may fall into a character.
    view.ticket.description = "ä".repeat(64 * 1024);
    assert!(holds(
        &term("description", "matches_regex", json!("ä$")),
        &event,
        &view
    ));
}

#[test]
fn ids_are_listed_with_their_places() {
    let json = json!({ "all": [
        term("teamId", "in", json!([build::TEAM, build::OTHER_TEAM])),
        term("assignedToId", "changed_to", json!(build::AGENT)),
        term("slaPolicyId", "equals", json!(build::POLICY)),
        term("now", "within_business_hours", json!(build::POLICY)),
    ] });
    let conditions = Conditions::read(&json, "/conditions", TriggerKind::Updated).unwrap();
    let listed: Vec<_> = conditions
        .references()
        .iter()
        .map(|reference| (reference.pointer.as_str(), reference.target))
        .collect();
    assert_eq!(
        listed,
        [
            ("/conditions/all/0/value/0", Target::Team(build::TEAM)),
            ("/conditions/all/0/value/1", Target::Team(build::OTHER_TEAM)),
            ("/conditions/all/1/value", Target::User(build::AGENT)),
            ("/conditions/all/2/value", Target::SlaPolicy(build::POLICY)),
            ("/conditions/all/3/value", Target::SlaPolicy(build::POLICY)),
        ]
    );
}

#[test]
fn an_explanation_says_what_each_term_saw() {
    let mut view = build::view();
    view.ticket.description = "x".repeat(300);
    let mut event = build::event(TriggerKind::PriorityChanged);
    event.changes = vec![build::change(Field::Priority, "low", "high")];
    let json = json!({ "any": [
        term("priority", "changed_to", json!("high")),
        { "none": [ term("subject", "contains", json!("water")) ] },
        { "field": "assignedToId", "operator": "is_set" },
        { "field": "description", "operator": "is_set" },
    ] });
    let conditions = Conditions::read(&json, "/conditions", TriggerKind::PriorityChanged).unwrap();
    let explained = conditions.explain(&Scene::new(&event, Some(&view), &AlwaysOpen));
    assert!(explained.holds);
    let seen = serde_json::to_value(&explained.conditions).unwrap();
    assert_eq!(
        seen,
        json!([
            { "pointer": "/conditions/any/0", "field": "priority", "operator": "changed_to",
              "wanted": "high", "actual": { "from": "low", "to": "high" }, "holds": true },
            { "pointer": "/conditions/any/1/none/0", "field": "subject", "operator": "contains",
              "wanted": "water", "actual": "Printer on fire", "holds": false },
            { "pointer": "/conditions/any/2", "field": "assignedToId", "operator": "is_set",
              "wanted": null, "actual": null, "holds": false },
            { "pointer": "/conditions/any/3", "field": "description", "operator": "is_set",
              "wanted": null, "actual": format!("{}…", "x".repeat(200)), "holds": true },
        ])
    );
    assert!(
        Conditions::always()
            .explain(&Scene::new(&event, None, &AlwaysOpen))
            .holds
    );
}

/// Trees of terms over a few fields.
fn trees() -> impl Strategy<Value = Value> {
    let terms = prop_oneof![
        prop_oneof!["low", "medium", "high"].prop_map(|priority| term("priority", "equals", json!(priority))),
        prop_oneof!["[a-c]{1,3}", "fire"].prop_map(|part| term("subject", "contains", json!(part))),
        Just(json!({ "field": "assignedToId", "operator": "is_set" })),
        (0..200_u32).prop_map(|hours| term("hoursSinceCreated", "greater_than", json!(hours))),
        "[a-c]{1,2}".prop_map(|tag| term("tags", "contains", json!(tag))),
        "[a-c.]{1,4}".prop_map(|pattern| term("subject", "matches_regex", json!(pattern))),
        Just(term("createdAt", "less_than", json!("-1d"))),
    ];
    terms.prop_recursive(3, 20, 4, |inner| {
        (
            prop_oneof!["all", "any", "none"],
            prop::collection::vec(inner, 1..4),
        )
            .prop_map(|(name, nodes)| json!({ name: nodes }))
    })
}

/// The same in the filter language, where it can say it.
fn in_filters(json: &Value, scene: &Scene<'_>) -> Option<bool> {
    let read = Filter::<_, Literal>::read(json, "", &Fields::At(TriggerKind::Created)).ok()?;
    let settled = read.settled(&Circumstances {
        now: scene.happening.at,
        me: None,
    });
    Some(settled.holds(&|field: &Field| field.value(scene)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_fast_and_the_explained_way_and_the_filter_language_agree(
        json in trees(),
        subject in "[a-c ]{0,6}|on fire",
        tags in prop::collection::vec("[a-c]{1,2}", 0..3),
        age in 0..300_i64,
        has_assignee in any::<bool>(),
    ) {
        let mut view = build::view();
        view.ticket.subject = subject;
        view.ticket.tags = tags;
        view.ticket.created_at = build::noon() - TimeDelta::hours(age);
        view.ticket.assignee = has_assignee.then_some(UserId(Uuid::nil()));
        let event = build::event(TriggerKind::Created);
        let scene = Scene::new(&event, Some(&view), &AlwaysOpen);
        let conditions = Conditions::read(&json, "", TriggerKind::Created).unwrap();
        let holds = conditions.holds(&scene);
        prop_assert_eq!(holds, conditions.explain(&scene).holds);
        if let Some(expected) = in_filters(&json, &scene) {
            prop_assert_eq!(holds, expected);
        }
    }

    #[test]
    fn reading_never_panics(json in any_json()) {
        for kind in [TriggerKind::Created, TriggerKind::Updated, TriggerKind::UserCreated] {
            let _ = Conditions::read(&json, "", kind);
            let _ = Fields::At(kind).find(&json.to_string());
        }
    }
}

/// JSON that resembles conditions.
fn any_json() -> impl Strategy<Value = Value> {
    let leaves = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(operator_names()).prop_map(Value::from),
        prop::sample::select(Fields::At(TriggerKind::Updated).names()).prop_map(Value::from),
    ];
    leaves.prop_recursive(5, 40, 5, |inner| {
        let names = prop_oneof!["field", "operator", "value", "all", "any", "none", ".{0,4}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(names, inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
