//! The arithmetic of working time agrees with cases that others wrote, and that were computed in two other ways. They are
//! restated in `shared/data` beside the repository; where that is absent, there is nothing to hold it against.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use insightdesk_sla::clocks::{Fact, Status, TicketClocks, What};
use insightdesk_sla::testing::build::{in_hours, promise, reference, terms};
use insightdesk_sla::{Calendar, Metric, Priority};
use serde_json::{Map, Value, json};

const DAYS: [(&str, &str); 7] = [
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("wed", "wednesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sat", "saturday"),
    ("sun", "sunday"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/business-time")
}

fn cases(name: &str) -> Vec<Value> {
    let Ok(text) = std::fs::read_to_string(folder().join(name)) else {
        return Vec::new();
    };
    serde_json::from_str(&text).unwrap()
}

fn calendar(case: &Value) -> Calendar {
    let theirs = &case["calendar"];
    let mut weekly = Map::new();
    for (short, name) in DAYS {
        let windows = theirs["hours"][short].as_array().cloned().unwrap_or_default();
        let windows: Vec<_> = windows
            .iter()
            .map(|window| json!({ "from": window[0], "to": window[1] }))
            .collect();
        weekly.insert(name.into(), windows.into());
    }
    let holidays: Vec<_> = theirs["holidays"]
        .as_array()
        .unwrap()
        .iter()
        .map(|date| json!({ "date": date }))
        .collect();
    let document = json!({ "timezone": theirs["timezone"], "weekly": weekly, "holidays": holidays });
    Calendar::read(&document, "").unwrap_or_else(|faults| panic!("{}: {faults}", case["id"]))
}

fn time(json: &Value) -> DateTime<Utc> {
    json.as_str().unwrap().parse().unwrap()
}

fn answer(case: &Value) -> Value {
    let calendar = calendar(case);
    let start = time(&case["start"]);
    let seconds = TimeDelta::seconds(case["seconds"].as_i64().unwrap_or(0));
    let moment = |time: DateTime<Utc>| json!(time.to_rfc3339());
    match case["op"].as_str().unwrap() {
        "add" => moment(calendar.add(start, seconds).unwrap()),
        "sub" => moment(calendar.back(start, seconds).unwrap()),
        "next_open_instant" => moment(calendar.next_open(start).unwrap()),
        "is_open" => json!(calendar.is_open(start).unwrap()),
        "between" => json!(calendar.between(start, time(&case["end"])).unwrap().num_seconds()),
        other => panic!("{other}"),
    }
}

fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours.as_str(), theirs.as_str()) {
        (Some(_), Some(_)) => time(ours) == time(theirs),
        _ => ours == theirs,
    }
}

#[test]
fn every_known_case_agrees() {
    for name in ["facts.json", "computed.json"] {
        for case in cases(name) {
            let ours = answer(&case);
            let accepted = case["also_accepted"].as_array().cloned().unwrap_or_default();
            let is_accepted =
                is_same(&ours, &case["expect"]) || accepted.iter().any(|theirs| is_same(&ours, theirs));
            assert!(
                is_accepted,
                "{}: ours {ours}, theirs {}",
                case["id"], case["expect"]
            );
        }
    }
}

/// What a desk does while it is closed for the public holidays of a country, over the years that the files have.
#[test]
fn the_public_holidays_of_a_country_are_closed_and_the_days_beside_them_are_not() {
    let Ok(files) = std::fs::read_dir(folder().join("holidays")) else {
        return;
    };
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let country: Value = serde_json::from_str(&text).unwrap();
        let days = country["days"].as_array().unwrap();
        let window = json!([{ "from": "00:00", "to": "24:00" }]);
        let weekly: Map<_, _> = DAYS
            .iter()
            .map(|(_, day)| ((*day).to_owned(), window.clone()))
            .collect();
        let document = json!({ "timezone": "UTC", "weekly": weekly, "holidays": days });
        let calendar = Calendar::read(&document, "").unwrap();
        let (from, to) = (
            time(&json!("2023-01-01T00:00:00Z")),
            time(&json!("2028-01-01T00:00:00Z")),
        );
        let mut dates: Vec<_> = days.iter().map(|day| day["date"].as_str().unwrap()).collect();
        dates.sort_unstable();
        dates.dedup();
        let open = calendar.between(from, to).unwrap().num_days();
        assert_eq!(
            usize::try_from(open).unwrap(),
            365 * 5 + 1 - dates.len(),
            "{}",
            country["country"]
        );
        assert_eq!(Calendar::read(&calendar.to_json(), "").unwrap(), calendar);
    }
}

/// Deadlines of tickets that waited for their customers.
#[test]
fn every_known_pause_agrees() {
    for case in cases("pauses.json") {
        let minutes = u32::try_from(case["target_minutes"].as_i64().unwrap()).unwrap();
        let promise = in_hours(promise(minutes, minutes), calendar(&case));
        let book = [terms(reference(1, 1), promise)];
        let created = time(&case["created"]);
        let policy = Some(reference(1, 1));
        let mut clocks = TicketClocks::start(created, Status::Open, Priority::Medium, policy, &book).unwrap();
        let ended = case["ended"].as_str().map(|_| time(&case["ended"]));
        let mut used = None;
        let mut facts = Vec::new();
        for pause in case["paused"].as_array().unwrap() {
            facts.push((time(&pause[0]), Status::Pending));
            facts.push((time(&pause[1]), Status::Open));
        }
        for (at, status) in facts {
            if let Some(ended) = ended.filter(|ended| *ended <= at && used.is_none()) {
                used = Some(clocks.readings(ended, &book).unwrap()[1].counted.num_minutes());
            }
            let what = What::Status(status);
            clocks = clocks.apply(&Fact { at, what }, &book).unwrap().clocks;
        }
        for metric in [Metric::FirstResponse, Metric::Resolution] {
            let due_at = clocks.clock(metric).run().unwrap().due_at();
            assert_eq!(due_at, Some(time(&case["expect_due"])), "{}", case["id"]);
        }
        if let Some(ended) = ended {
            let used =
                used.unwrap_or_else(|| clocks.readings(ended, &book).unwrap()[1].counted.num_minutes());
            assert_eq!(Some(used), case["expect_used_minutes"].as_i64(), "{}", case["id"]);
        }
    }
}
