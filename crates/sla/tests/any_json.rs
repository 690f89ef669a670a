//! Whatever JSON a document holds, reading it ends in a value or in faults with places, and never in a panic.

use insightdesk_sla::clocks::TicketClocks;
use insightdesk_sla::testing::build::{at, document, promise, reference, terms};
use insightdesk_sla::testing::oracle;
use insightdesk_sla::{Calendar, PolicyDraft, Priority, Unchecked, clocks::Status};
use proptest::prelude::*;
use serde_json::{Value, json};

/// JSON of any kind, with much that is nearly right.
fn json_of_any_kind() -> impl Strategy<Value = Value> {
    let nearly = prop_oneof![
        Just("24:00"),
        Just("00:00"),
        Just("9:00"),
        Just("2026-02-29"),
        Just("80%"),
        Just("-30m"),
        Just("UTC"),
        Just("resolution"),
        Just("breach"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        nearly.prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = prop_oneof![
            Just("from"),
            Just("to"),
            Just("date"),
            Just("at"),
            Just("metric"),
            Just("x/~")
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..4).prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect())
            }),
        ]
    })
}

/// The places of a document: pointers to all its values.
fn places(json: &Value, pointer: &str, found: &mut Vec<String>) {
    found.push(pointer.to_owned());
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                places(value, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                places(value, &format!("{pointer}/{index}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn with(mut document: Value, place: usize, value: Value) -> Value {
    let mut found = Vec::new();
    places(&document, "", &mut found);
    if let Some(there) = document.pointer_mut(&found[place % found.len()]) {
        *there = value;
    }
    document
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(oracle::cases(500)))]

    #[test]
    fn a_policy_is_read_or_refused(place in any::<usize>(), value in json_of_any_kind()) {
        let document = with(document(), place, value);
        match PolicyDraft::read(&document, "/policy", &Unchecked) {
            // What was read is written so that it is read the same.
            Ok(draft) => prop_assert_eq!(PolicyDraft::read(&draft.to_json(), "", &Unchecked), Ok(draft)),
            Err(faults) => {
                for fault in faults.as_slice() {
                    prop_assert!(fault.pointer.starts_with("/policy") && !fault.message.is_empty());
                }
            }
        }
        let hours = document.get("businessHours").cloned().unwrap_or_default();
        if let Ok(calendar) = Calendar::read(&hours, "") {
            prop_assert_eq!(Calendar::read(&calendar.to_json(), ""), Ok(calendar));
        }
    }

    #[test]
    fn stored_clocks_are_read_or_refused_and_run_without_panic(place in any::<usize>(), value in json_of_any_kind()) {
        let book = [terms(reference(1, 1), promise(60, 600))];
        let policy = Some(book[0].policy);
        let begin = at("2026-06-01T08:00:00Z");
        let clocks = TicketClocks::start(begin, Status::Open, Priority::Low, policy, &book)
            .map(|clocks| clocks.to_json())
            .unwrap_or(json!(null));
        if let Ok(clocks) = TicketClocks::read(&with(clocks, place, value)) {
            let _ = clocks.next_wake(&book);
            let _ = clocks.fire(at("2030-01-01T00:00:00Z"), &book);
            let _ = clocks.readings(at("2030-01-01T00:00:00Z"), &book);
        }
    }
}
