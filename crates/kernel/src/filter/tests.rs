use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::Violations;

/// A field is known by its first letter.
struct Letters;

impl Vocabulary for Letters {
    type Field = char;

    fn find(&self, name: &str) -> Option<(char, FieldKind)> {
        let kind = match name {
            "text" => FieldKind::Text,
            "colour" => FieldKind::Choice(&["red", "blue"]),
            "person" => FieldKind::Person,
            "id" => FieldKind::Id,
            "moment" => FieldKind::Time,
            "number" => FieldKind::Number,
            "flag" => FieldKind::Flag,
            "set" => FieldKind::Tags,
            "json" => FieldKind::Json,
            _ => return None,
        };
        name.chars().next().map(|letter| (letter, kind))
    }

    fn names(&self) -> Vec<&'static str> {
        vec![
            "text", "colour", "person", "id", "moment", "number", "flag", "set", "json",
        ]
    }
}

const ME: Uuid = Uuid::from_u128(7);

fn now() -> DateTime<Utc> {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn read(json: &Value) -> Result<Condition<char, Literal>, Violations> {
    Condition::read(json, "", &Letters)
}

fn settled(json: &Value) -> Condition<char> {
    let circumstances = Circumstances {
        now: now(),
        me: Some(ME),
    };
    read(json).unwrap().settled(&circumstances)
}

/// Whether a test on a field passes for this value.
fn passes(field: &str, operator: &str, value: &Value, operand: Operand<'_>) -> bool {
    let term = if value.is_null() {
        json!({ "field": field, "operator": operator })
    } else {
        json!({ "field": field, "operator": operator, "value": value })
    };
    settled(&term).holds(&|_| operand)
}

/// Every fault: its place and code.
fn faults(json: &Value) -> Vec<(String, &'static str)> {
    let violations = read(json).unwrap_err();
    let faults = violations.as_slice().iter();
    faults.map(|fault| (fault.pointer.clone(), fault.code)).collect()
}

#[test]
fn each_test_means_what_it_says() {
    let tags = ["vpn".to_owned(), "größe".to_owned()];
    let (list, word, seven) = (json!(["A", "b", 1]), json!("Alpha"), json!(7.0));
    let cases: Vec<(&str, &str, Value, Operand<'_>, bool)> = vec![
        ("text", "equals", json!("PRINTER"), Operand::Text("Printer"), true),
        ("text", "equals", json!("Ä"), Operand::Text("ä"), false),
        ("text", "in", json!(["a", "b"]), Operand::Text("B"), true),
        ("text", "contains", json!("%"), Operand::Text("100%"), true),
        ("text", "contains", json!("%"), Operand::Text("100"), false),
        (
            "text",
            "starts_with",
            json!("pRi"),
            Operand::Text("Printer"),
            true,
        ),
        ("text", "ends_with", json!("ER"), Operand::Text("Printer"), true),
        (
            "text",
            "ends_with",
            json!("prin"),
            Operand::Text("Printer"),
            false,
        ),
        ("colour", "equals", json!("red"), Operand::Text("red"), true),
        ("colour", "in", json!(["blue"]), Operand::Text("red"), false),
        ("person", "equals", json!("me"), Operand::Id(ME), true),
        (
            "person",
            "in",
            json!(["me", Uuid::nil()]),
            Operand::Id(Uuid::nil()),
            true,
        ),
        ("person", "equals", json!("me"), Operand::Absent, false),
        (
            "moment",
            "less_than",
            json!("-2h"),
            Operand::Time(now() - TimeDelta::hours(3)),
            true,
        ),
        (
            "moment",
            "less_than",
            json!("-2h"),
            Operand::Time(now() - TimeDelta::hours(2)),
            false,
        ),
        (
            "moment",
            "between",
            json!(["-1d", "+1d"]),
            Operand::Time(now() + TimeDelta::days(1)),
            true,
        ),
        (
            "moment",
            "greater_than",
            json!("2026-06-01T13:59:59+02:00"),
            Operand::Time(now()),
            true,
        ),
        ("number", "between", json!([1, 2]), Operand::Number(2.0), true),
        ("number", "greater_than", json!(2), Operand::Number(2.0), false),
        ("number", "in", json!([1, 2.0]), Operand::Number(2.0), true),
        ("flag", "equals", json!(false), Operand::Flag(false), true),
        ("set", "contains", json!("VPN"), Operand::Tags(&tags), true),
        ("set", "contains", json!("GRÖSSE"), Operand::Tags(&tags), false),
        ("set", "in", json!(["x", "Größe"]), Operand::Tags(&tags), true),
        ("set", "is_set", Value::Null, Operand::Tags(&[]), false),
        ("json", "equals", json!("ALPHA"), Operand::Json(&word), true),
        ("json", "equals", json!(7), Operand::Json(&seven), true),
        ("json", "equals", json!("7"), Operand::Json(&seven), false),
        ("json", "equals", json!("A"), Operand::Json(&list), true),
        ("json", "contains", json!("a"), Operand::Json(&list), false),
        ("json", "contains", json!("lph"), Operand::Json(&word), true),
        ("json", "greater_than", json!("Alpga"), Operand::Json(&word), true),
        ("json", "less_than", json!(8), Operand::Json(&word), false),
        ("json", "is_set", Value::Null, Operand::Json(&Value::Null), false),
        ("json", "is_set", Value::Null, Operand::Json(&seven), true),
        ("text", "is_set", Value::Null, Operand::Absent, false),
    ];
    for (field, operator, value, operand, expected) in cases {
        let told = format!("{field} {operator} {value} of {operand:?}");
        assert_eq!(passes(field, operator, &value, operand), expected, "{told}");
        let opposite = match operator {
            "equals" => "not_equals",
            "in" => "not_in",
            "contains" => "not_contains",
            "is_set" => "is_not_set",
            _ => continue,
        };
        assert_eq!(passes(field, opposite, &value, operand), !expected, "not: {told}");
    }
}

#[test]
fn without_a_value_every_test_fails_and_every_opposite_passes() {
    let tests = [
        ("text", "equals", json!("a")),
        ("text", "contains", json!("a")),
        ("number", "less_than", json!(1)),
        ("moment", "between", json!(["-1d", "+1d"])),
        ("json", "starts_with", json!("a")),
    ];
    for (field, operator, value) in tests {
        assert!(!passes(field, operator, &value, Operand::Absent), "{operator}");
    }
    for operator in ["not_equals", "not_contains"] {
        assert!(
            passes("text", operator, &json!("a"), Operand::Absent),
            "{operator}"
        );
    }
}

#[test]
fn groups_nest() {
    let is = |letter: &str| json!({ "field": "text", "operator": "equals", "value": letter });
    let cases = [
        (json!({ "all": [is("a"), is("a")] }), true),
        (json!({ "all": [is("a"), is("b")] }), false),
        (json!({ "any": [is("b"), is("a")] }), true),
        (json!({ "any": [is("b")] }), false),
        (json!({ "none": [is("b"), is("c")] }), true),
        (json!({ "none": [is("b"), is("a")] }), false),
        (
            json!({ "none": [{ "all": [is("a"), { "any": [is("b")] }] }] }),
            true,
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(settled(&json).holds(&|_| Operand::Text("A")), expected, "{json}");
    }
}

#[test]
fn nobody_is_nobody() {
    let mine = read(&json!({ "field": "person", "operator": "equals", "value": "me" })).unwrap();
    let nobodys = mine.settled(&Circumstances { now: now(), me: None });
    assert!(!nobodys.holds(&|_| Operand::Id(ME)));
    assert!(!nobodys.holds(&|_| Operand::Absent));
}

#[test]
fn terms_are_seen_in_order() {
    let is = |field: &str| json!({ "field": field, "operator": "is_set" });
    let condition = settled(&json!({ "all": [is("text"), { "none": [is("number")] }, is("flag")] }));
    let mut seen = String::new();
    condition.each_term(&mut |term| seen.push(term.field));
    assert_eq!(seen, "tnf");
}

#[test]
fn every_fault_is_told_with_its_place() {
    let json = json!({ "all": [
        { "field": "txet", "operator": "equals", "value": "a" },
        { "field": "text", "operator": "like", "value": "a" },
        { "any": [{ "field": "flag", "operator": "in", "value": [true] }, 7] },
        { "field": "number", "operator": "between", "value": [1, "x"] },
        { "field": "colour", "operator": "in", "value": ["red", "green"] },
        { "field": "text", "operator": "equals" },
        { "field": "text", "operator": "is_set", "value": 1 },
        { "field": "text", "operator": "is_set", "a/b": 1 },
        { "all": [], "any": [] },
    ] });
    let expected = [
        ("/all/0/field", "unknown_field"),
        ("/all/1/operator", "unknown_operator"),
        ("/all/2/any/0/operator", "not_allowed"),
        ("/all/2/any/1", "wrong_type"),
        ("/all/3/value/1", "wrong_type"),
        ("/all/4/value/1", "not_allowed"),
        ("/all/5/value", "required"),
        ("/all/6/value", "unknown_member"),
        ("/all/7/a~1b", "unknown_member"),
        ("/all/8", "unknown_member"),
        ("/all/8/all", "wrong_type"),
    ];
    let expected: Vec<_> = expected.map(|(place, code)| (place.to_owned(), code)).into();
    assert_eq!(faults(&json), expected);
}

#[test]
fn values_must_fit_their_fields() {
    let long = "x".repeat(TEXT_CHARS_MAX + 1);
    let many: Vec<_> = (0..=VALUES_MAX).collect();
    let cases = [
        ("text", "equals", json!(7), "wrong_type"),
        ("text", "equals", json!(""), "invalid"),
        ("text", "equals", json!(long), "invalid"),
        ("text", "equals", json!("a\u{0}b"), "invalid"),
        ("text", "in", json!([]), "wrong_type"),
        ("text", "in", json!("a"), "wrong_type"),
        ("number", "in", json!(many), "wrong_type"),
        ("id", "equals", json!("me"), "not_a_uuid"),
        ("person", "equals", json!("you"), "not_a_uuid"),
        (
            "id",
            "equals",
            json!("00000000000000000000000000000001"),
            "not_a_uuid",
        ),
        ("moment", "less_than", json!("yesterday"), "not_a_time"),
        ("moment", "less_than", json!(1), "not_a_time"),
        ("moment", "between", json!(["-1d"]), "wrong_type"),
        ("flag", "equals", json!("true"), "wrong_type"),
        ("json", "equals", json!({}), "wrong_type"),
        ("json", "less_than", json!(true), "wrong_type"),
    ];
    for (field, operator, value, code) in cases {
        let json = json!({ "field": field, "operator": operator, "value": value });
        assert_eq!(faults(&json), [("/value".to_owned(), code)], "{json}");
    }
    for json in [json!(null), json!([]), json!("all"), json!(1)] {
        assert_eq!(faults(&json), [(String::new(), "wrong_type")], "{json}");
    }
    assert_eq!(faults(&json!({})).len(), 2, "neither field nor operator");
}

#[test]
fn depth_and_terms_are_bounded() {
    let term = json!({ "field": "text", "operator": "is_set" });
    let nested = |levels: usize| (0..levels).fold(term.clone(), |inner, _| json!({ "all": [inner] }));
    assert!(read(&nested(LEVELS_MAX)).is_ok());
    assert_eq!(
        faults(&nested(LEVELS_MAX + 1)),
        [("/all/0/all/0/all/0/all".to_owned(), "too_deep")]
    );
    assert_eq!(faults(&nested(30)).len(), 1);
    let wide = |terms: usize| json!({ "any": vec![term.clone(); terms] });
    assert!(read(&wide(TERMS_MAX)).is_ok());
    assert_eq!(faults(&wide(TERMS_MAX + 1)), [(String::new(), "too_many")]);
    assert_eq!(faults(&wide(10_000)), [(String::new(), "too_many")]);
}

#[test]
fn a_language_on_top_knows_the_operators_by_their_names() {
    let names = operator_names();
    assert_eq!((names[0], names[12]), ("equals", "is_not_set"));
    let unknown = read(&json!({ "field": "text", "operator": "resembles", "value": "x" })).unwrap_err();
    assert!(unknown.as_slice()[0].message.ends_with(&names.join(", ")));
}
