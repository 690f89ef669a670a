//! How long the arithmetic takes: `cargo run --release -p insightdesk-sla --example deadline_timing`.
//!
//! The figures to hold are 5 µs for a target within a week and 50 µs for one of a year of working time.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
#![expect(clippy::unwrap_used, reason = "its calendar is written here")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use insightdesk_sla::clocks::{Fact, Status, TicketClocks, What};
use insightdesk_sla::{Calendar, PolicyDraft, PolicyId, PolicyRef, Priority, Terms, Unchecked};
use kernel::Version;
use serde_json::{Value, json};

const ROUNDS: u32 = 20_000;

fn measure<T>(what: &str, mut work: impl FnMut(u32) -> T) {
    let begin = Instant::now();
    for round in 0..ROUNDS {
        black_box(work(round));
    }
    let each = begin.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
    println!("{each:9.3} µs  {what}");
}

fn document() -> Value {
    let day = json!([{ "from": "09:00", "to": "12:30" }, { "from": "13:30", "to": "18:00" }]);
    let weekly = json!({ "monday": day, "tuesday": day, "wednesday": day, "thursday": day, "friday": day });
    let dates = [
        "01-01", "01-06", "05-01", "08-15", "10-03", "11-01", "12-24", "12-25", "12-26", "12-31",
    ];
    let holidays: Vec<_> = dates
        .iter()
        .map(|date| json!({ "date": format!("2026-{date}"), "yearly": true }))
        .collect();
    json!({ "timezone": "Europe/Berlin", "weekly": weekly, "holidays": holidays })
}

fn main() {
    let begin = Instant::now();
    let calendar = Calendar::read(&document(), "").unwrap();
    println!(
        "{:9.3} µs  the first calendar of a zone, with its table",
        begin.elapsed().as_secs_f64() * 1e6
    );
    let start: DateTime<Utc> = "2026-01-02T03:04:05Z".parse().unwrap();
    let at = |round: u32| start + TimeDelta::minutes(i64::from(round) * 97);
    measure("a further calendar, from JSON", |_| {
        Calendar::read(&document(), "").unwrap()
    });
    measure("is it open?", |round| calendar.is_open(at(round)));
    measure("when does it open next?", |round| calendar.next_open(at(round)));
    for (name, hours) in [
        ("4 hours ahead", 4),
        ("a week ahead (40 hours)", 40),
        ("a year ahead (2 000 hours)", 2_000),
        ("a year of working time ahead (8 760 hours)", 8_760),
    ] {
        measure(&format!("add: {name}"), |round| {
            calendar.add(at(round), TimeDelta::hours(hours))
        });
    }
    measure("between: a week", |round| {
        calendar.between(at(round), at(round) + TimeDelta::days(7))
    });
    measure("between: ten years", |round| {
        calendar.between(at(round), at(round) + TimeDelta::days(3_652))
    });
    measure("stretches: a week", |round| {
        calendar
            .stretches(at(round), at(round) + TimeDelta::days(7))
            .map(Iterator::count)
    });

    let policy = json!({
        "name": "x", "firstResponseTime": 60, "resolutionTime": 960, "businessHours": document(),
        "escalationRules": [
            { "metric": "first_response", "at": "80%", "actions": [] },
            { "metric": "resolution", "at": "-60m", "actions": [] },
            { "metric": "resolution", "at": "breach", "actions": [] },
        ],
    });
    let reference = PolicyRef {
        id: PolicyId(kernel::id::Uuid::nil()),
        version: Version::FIRST,
    };
    let terms = Terms {
        policy: reference,
        calendar_version: Version::FIRST,
        promise: PolicyDraft::read(&policy, "", &Unchecked).unwrap().promise,
    };
    let book = [Arc::new(terms)];
    let created =
        |round| TicketClocks::start(at(round), Status::Open, Priority::High, Some(reference), &book).unwrap();
    measure("clocks: a ticket is created", created);
    measure("clocks: created, and its next wake", |round| {
        created(round).next_wake(&book)
    });
    measure("clocks: created, and pending ten minutes later", |round| {
        let fact = Fact {
            at: at(round) + TimeDelta::minutes(10),
            what: What::Status(Status::Pending),
        };
        created(round).apply(&fact, &book)
    });
    measure(
        "clocks: created, and two warnings and two breaches told",
        |round| created(round).fire(at(round) + TimeDelta::days(30), &book),
    );
    let clocks = created(0);
    measure("clocks: to stored form and back", |_| {
        TicketClocks::read(&clocks.to_json())
    });
}
