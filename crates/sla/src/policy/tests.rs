use serde_json::json;

use super::*;
use crate::testing::build;

/// Finds fault with every filter and every action.
struct Strict;

impl DocumentChecks for Strict {
    fn filter(&self, _: &Value, pointer: &str) -> Result<(), Violations> {
        Err(Violation::new(format!("{pointer}/field"), "unknown_field", "is none").into())
    }

    fn actions(&self, actions: &[Value], pointer: &str) -> Result<(), Violations> {
        let mut faults = Violations::new();
        for index in 0..actions.len() {
            faults.push(Violation::new(
                format!("{pointer}/{index}"),
                "unknown_action",
                "is none",
            ));
        }
        faults.into_result()
    }
}

fn faults(json: &Value, checks: &dyn DocumentChecks) -> Vec<(String, &'static str)> {
    let violations = PolicyDraft::read(json, "", checks).unwrap_err();
    let mut faults: Vec<_> = violations
        .as_slice()
        .iter()
        .map(|fault| (fault.pointer.clone(), fault.code))
        .collect();
    faults.sort();
    faults
}

#[test]
fn a_document_comes_back_as_it_was_written() {
    let document = build::document();
    let read = PolicyDraft::read(&document, "", &Unchecked).unwrap();
    assert_eq!(read.to_json(), document);
}

#[test]
fn every_fault_is_told_with_its_place_also_those_that_others_find() {
    let document = json!({
        "name": " ",
        "firstResponseTime": 0,
        "nextResponseTime": 1.5,
        "resolutionTime": 525_601,
        "priorityMultipliers": { "urgent": 0, "high": 0.0005, "low": "2", "medium": 1.0001, "extreme": 1 },
        "businessHours": { "timezone": "Europe/Berlin", "weekly": {} },
        "pausedWhilePending": ["resolution", "everything"],
        "escalationRules": [
            { "metric": "resolution", "at": "80%", "actions": [{}, {}] },
            { "metric": "resolution", "at": "80%", "actions": [] },
            { "metric": "speed", "at": "100%", "actions": {} },
            7,
        ],
        "filter": {},
        "isDefault": true,
    });
    let mut expected: Vec<(String, &'static str)> = [
        ("/businessHours/weekly", "no_working_time"),
        ("/escalationRules/0/actions/0", "unknown_action"),
        ("/escalationRules/0/actions/1", "unknown_action"),
        ("/escalationRules/2/actions", "wrong_type"),
        ("/escalationRules/2/at", "not_a_point"),
        ("/escalationRules/2/metric", "unknown_metric"),
        ("/escalationRules/3", "wrong_type"),
        ("/filter/field", "unknown_field"),
        ("/firstResponseTime", "out_of_range"),
        ("/isDefault", "unknown_member"),
        ("/name", "too_short"),
        ("/nextResponseTime", "out_of_range"),
        ("/pausedWhilePending/1", "unknown_metric"),
        ("/priorityMultipliers/extreme", "unknown_member"),
        ("/priorityMultipliers/high", "out_of_range"),
        ("/priorityMultipliers/low", "wrong_type"),
        ("/priorityMultipliers/medium", "too_precise"),
        ("/priorityMultipliers/urgent", "out_of_range"),
        ("/resolutionTime", "out_of_range"),
    ]
    .map(|(pointer, code)| (pointer.to_owned(), code))
    .into();
    expected.sort();
    assert_eq!(faults(&document, &Strict), expected);
    let twice = json!({
        "name": "x", "firstResponseTime": 1, "resolutionTime": 1, "businessHoursOnly": false,
        "escalationRules": [
            { "metric": "resolution", "at": "breach", "actions": [] },
            { "metric": "first_response", "at": "breach", "actions": [] },
            { "metric": "resolution", "at": "breach", "actions": [] },
        ],
    });
    assert_eq!(
        faults(&twice, &Unchecked),
        [("/escalationRules/2/at".to_owned(), "duplicate")]
    );
}

#[test]
fn business_hours_only_needs_business_hours() {
    let document = |more: Value| {
        let mut document = json!({ "name": "x", "firstResponseTime": 1, "resolutionTime": 1 });
        let members = document.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        document
    };
    let missing = [("/businessHours".to_owned(), "required")];
    assert_eq!(
        faults(&document(json!({})), &Unchecked),
        missing,
        "true when absent, as in the contract"
    );
    assert_eq!(
        faults(&document(json!({ "businessHours": null })), &Unchecked),
        missing
    );
    let clock = PolicyDraft::read(&document(json!({ "businessHoursOnly": false })), "", &Unchecked).unwrap();
    assert_eq!(clock.promise.hours, Hours::AroundTheClock(None));
    // Hours that do not count are kept.
    let hours = build::office("UTC").to_json();
    let kept = document(json!({ "businessHoursOnly": false, "businessHours": hours }));
    let kept = PolicyDraft::read(&kept, "", &Unchecked).unwrap();
    assert!(kept.promise.hours.calendar().is_some() && kept.promise.hours.in_force().is_none());
}

fn row() -> StoredPolicy {
    let at = build::at("2026-06-01T12:00:00Z");
    StoredPolicy {
        id: PolicyId(kernel::id::Uuid::nil()),
        name: String::new(),
        description: None,
        first_response_time: 60,
        next_response_time: None,
        resolution_time: 600,
        business_hours_only: false,
        business_hours: None,
        escalation_rules: json!([]),
        priority_multipliers: json!({}),
        paused_while_pending: None,
        filter: None,
        place: 1,
        is_default: true,
        created_at: at,
        updated_at: at,
        version: Version::FIRST,
        terms_version: Version::FIRST,
        calendar_version: Version::FIRST,
    }
}

#[test]
fn a_row_that_another_writer_left_is_a_policy_or_an_error_and_never_a_panic() {
    let policy = SlaPolicy::stored(row()).unwrap();
    assert_eq!(policy.promise, build::promise(60, 600));
    let anything = [
        json!(null),
        json!("9-5"),
        json!([1, 2]),
        json!({ "monday": {} }),
        json!({ "timezone": "Mars/Base", "weekly": { "monday": [{ "from": "09:00", "to": "17:00" }] } }),
    ];
    for json in anything {
        let mut row = row();
        row.business_hours = Some(json.clone());
        row.business_hours_only = true;
        assert!(SlaPolicy::stored(row).is_err(), "{json}");
        let mut row = self::row();
        row.escalation_rules = json.clone();
        assert_eq!(SlaPolicy::stored(row).is_ok(), json.is_null(), "{json}");
        let mut row = self::row();
        row.priority_multipliers = json.clone();
        assert_eq!(SlaPolicy::stored(row).is_ok(), json.is_null(), "{json}");
    }
    for (first, resolution) in [(0, 1), (1, 0), (-5, 1), (i32::MAX, 1)] {
        let mut row = row();
        (row.first_response_time, row.resolution_time) = (first, resolution);
        assert!(SlaPolicy::stored(row).is_err());
    }
}

#[test]
fn targets_are_multiplied_and_rounded_up_to_a_minute() {
    let minutes = |target: u32, multiplier: f64| {
        let mut promise = build::promise(target, 1);
        let multiplier = Multiplier::parse("", multiplier).unwrap();
        promise.multipliers = promise.multipliers.with(Priority::High, multiplier);
        promise
            .target(Metric::FirstResponse, Priority::High)
            .num_minutes()
    };
    assert_eq!(minutes(60, 1.1), 66, "and not 67, as floating point has it");
    assert_eq!(minutes(60, 0.5), 30);
    assert_eq!(minutes(61, 0.5), 31);
    assert_eq!(minutes(1, 0.01), 1);
    assert_eq!(minutes(TARGET_MAX_MINUTES, 10.0), 5_256_000);
    let promise = build::promise(60, 600);
    assert_eq!(
        promise.target(Metric::NextResponse, Priority::Low).num_minutes(),
        60,
        "as the first"
    );
}

#[test]
fn a_point_of_a_clock_is_a_part_a_distance_or_the_breach() {
    for text in ["1%", "80%", "99%", "-1m", "-525600m", "breach", "+60m"] {
        assert_eq!(StepAt::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "", "%", "0%", "100%", "080%", "8.5%", "-0m", "-525601m", "60m", "+m", "+-6m", "+60", "Breach",
        "٨٠%", "m", "-",
    ] {
        assert_eq!(StepAt::parse(text), None, "{text}");
    }
}

#[test]
fn a_ticket_has_the_policy_it_names_else_the_first_that_matches_else_the_default() {
    let policy = |number: u128, place, filter: Option<Value>, is_default| {
        let mut policy = SlaPolicy::stored(row()).unwrap();
        policy.id = PolicyId(kernel::id::Uuid::from_u128(number));
        policy.place = place;
        policy.filter = filter.map(PolicyFilter::stored);
        policy.is_default = is_default;
        policy
    };
    let policies = [
        policy(1, 9, Some(json!("vip")), false),
        policy(2, 1, None, false),
        policy(3, 4, Some(json!("vip")), false),
        policy(4, 5, None, true),
    ];
    let chosen = |named: Option<u128>, ticket: &str| {
        let named = named.map(|named| PolicyId(kernel::id::Uuid::from_u128(named)));
        let policy = select(&policies, named, |filter| filter.as_json() == ticket);
        policy.map(|policy| policy.id.0.as_u128())
    };
    assert_eq!(chosen(Some(2), "vip"), Some(2));
    assert_eq!(chosen(None, "vip"), Some(3));
    assert_eq!(chosen(None, "other"), Some(4));
    assert_eq!(chosen(Some(77), "other"), Some(4), "one that is gone");
    assert_eq!(select(&[], None, |_| true), None);
}
