//! What other help desks document of their service levels, and what happens here: a table of lives of tickets with the deadline that
//! each has here. Where that is another one than theirs, the row says why.
//!
//! Sources: Zendesk, "Defining SLA policies" and the comments on it; Freshdesk, "Understanding SLA policies" and "Changes to
//! day-based SLAs in business hours"; Request Tracker 5, "Service Level Agreements" and the options of `%ServiceAgreements`.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use insightdesk_sla::clocks::{Fact, Phase, Status, TicketClocks, What};
use insightdesk_sla::testing::build::{at, in_hours, office, promise, reference, terms};
use insightdesk_sla::{Calendar, Metric, Multiplier, Pauses, Priority, Promise};
use serde_json::json;

/// How what happens here stands to what they document.
#[derive(Debug, PartialEq)]
enum Ours {
    /// It is the same.
    Same,
    /// It is another, for this reason.
    Differs(&'static str),
}

struct Row {
    desk: &'static str,
    says: &'static str,
    ours: Ours,
    promise: Promise,
    created: &'static str,
    facts: Vec<(&'static str, What)>,
    metric: Metric,
    /// When the clock is due here; `None` while it stands.
    due: Option<&'static str>,
}

fn hours(from: &str, to: &str, days: &[&str]) -> Calendar {
    let weekly: serde_json::Map<_, _> = days
        .iter()
        .map(|day| ((*day).to_owned(), json!([{ "from": from, "to": to }])))
        .collect();
    Calendar::read(&json!({ "timezone": "UTC", "weekly": weekly }), "").unwrap()
}

const WORKDAYS: [&str; 6] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

fn urgent_in_half(promise: Promise) -> Promise {
    let half = Multiplier::parse("", 0.5).unwrap();
    Promise {
        multipliers: promise.multipliers.with(Priority::Urgent, half),
        ..promise
    }
}

fn pausing(promise: Promise, metrics: &[Metric]) -> Promise {
    Promise {
        pauses: Pauses::of(metrics),
        ..promise
    }
}

// 1 June 2026 is a Monday.
fn rows() -> Vec<Row> {
    let (first, next, resolution) = (Metric::FirstResponse, Metric::NextResponse, Metric::Resolution);
    let pending = What::Status(Status::Pending);
    let (open, resolved) = (What::Status(Status::Open), What::Status(Status::Resolved));
    vec![
        Row {
            desk: "Zendesk",
            says: "The next reply is measured from the oldest customer comment without an answer.",
            ours: Ours::Same,
            promise: promise(60, 600),
            created: "2026-06-01T08:00:00Z",
            facts: vec![
                ("2026-06-01T08:10:00Z", What::AgentReply),
                ("2026-06-01T09:00:00Z", What::CustomerMessage),
                ("2026-06-01T09:40:00Z", What::CustomerMessage),
            ],
            metric: next,
            due: Some("2026-06-01T10:00:00Z"),
        },
        Row {
            desk: "Zendesk",
            says: "A comment before the first reply begins no next reply.",
            ours: Ours::Same,
            promise: promise(60, 600),
            created: "2026-06-01T08:00:00Z",
            facts: vec![("2026-06-01T08:30:00Z", What::CustomerMessage)],
            metric: first,
            due: Some("2026-06-01T09:00:00Z"),
        },
        Row {
            desk: "Zendesk",
            says: "Requester wait time stands while pending and goes on from where it was.",
            ours: Ours::Same,
            promise: promise(60, 600),
            created: "2026-06-01T08:00:00Z",
            facts: vec![("2026-06-01T10:00:00Z", pending), ("2026-06-01T13:00:00Z", open)],
            metric: resolution,
            due: Some("2026-06-01T21:00:00Z"),
        },
        Row {
            desk: "Zendesk",
            says: "Reply metrics run on while pending: only a public reply ends them.",
            ours: Ours::Differs(
                "by default whatever waits for the customer stands, so that nobody is blamed for waiting",
            ),
            promise: promise(60, 600),
            created: "2026-06-01T08:00:00Z",
            facts: vec![("2026-06-01T08:10:00Z", pending)],
            metric: first,
            due: None,
        },
        Row {
            desk: "Zendesk",
            says: "The same, where the policy names what pauses.",
            ours: Ours::Same,
            promise: pausing(promise(60, 600), &[resolution]),
            created: "2026-06-01T08:00:00Z",
            facts: vec![("2026-06-01T08:10:00Z", pending)],
            metric: first,
            due: Some("2026-06-01T09:00:00Z"),
        },
        Row {
            desk: "Zendesk",
            says: "Total resolution time never stands, not while pending either.",
            ours: Ours::Same,
            promise: pausing(promise(60, 600), &[]),
            created: "2026-06-01T08:00:00Z",
            facts: vec![("2026-06-01T08:10:00Z", pending)],
            metric: resolution,
            due: Some("2026-06-01T18:00:00Z"),
        },
        Row {
            desk: "Zendesk",
            says: "A change of priority takes the other target; the time since the beginning counts.",
            ours: Ours::Same,
            promise: urgent_in_half(promise(60, 600)),
            created: "2026-06-01T08:00:00Z",
            facts: vec![("2026-06-01T08:10:00Z", What::Priority(Priority::Urgent))],
            metric: first,
            due: Some("2026-06-01T08:30:00Z"),
        },
        Row {
            desk: "Zendesk",
            says: "A reopened ticket goes on with the time used.",
            ours: Ours::Same,
            promise: promise(60, 600),
            created: "2026-06-01T08:00:00Z",
            facts: vec![("2026-06-01T10:00:00Z", resolved), ("2026-06-03T10:00:00Z", open)],
            metric: resolution,
            due: Some("2026-06-03T18:00:00Z"),
        },
        Row {
            desk: "Freshdesk",
            says: "Eight business hours from Monday 8:00, an hour before opening, end at closing on Monday.",
            ours: Ours::Same,
            promise: in_hours(promise(480, 600), office("UTC")),
            created: "2026-06-01T08:00:00Z",
            facts: vec![],
            metric: first,
            due: Some("2026-06-01T17:00:00Z"),
        },
        Row {
            desk: "Freshdesk",
            says: "Eight business hours from Friday 18:00 end at closing on Monday.",
            ours: Ours::Same,
            promise: in_hours(promise(480, 600), office("UTC")),
            created: "2026-06-05T18:00:00Z",
            facts: vec![],
            metric: first,
            due: Some("2026-06-08T17:00:00Z"),
        },
        Row {
            desk: "Freshdesk",
            says: "Until 2026 a target of one day in business hours was one business day, whatever its length.",
            ours: Ours::Differs(
                "a target is minutes of working time and nothing else; so it is there, too, from 2026 on",
            ),
            promise: in_hours(promise(1_440, 1_440), hours("09:00", "21:00", &WORKDAYS)),
            created: "2026-06-01T09:00:00Z",
            facts: vec![],
            metric: resolution,
            due: Some("2026-06-02T21:00:00Z"),
        },
        Row {
            desk: "Freshdesk",
            says: "24 business hours from Monday 9:00 in a desk that is open four hours a day end on Saturday.",
            ours: Ours::Same,
            promise: in_hours(promise(1_440, 1_440), hours("09:00", "13:00", &WORKDAYS)),
            created: "2026-06-01T09:00:00Z",
            facts: vec![],
            metric: resolution,
            due: Some("2026-06-06T13:00:00Z"),
        },
        Row {
            desk: "Freshdesk",
            says: "Statuses such as pending can switch the timer off.",
            ours: Ours::Same,
            promise: promise(60, 600),
            created: "2026-06-01T08:00:00Z",
            facts: vec![("2026-06-01T08:10:00Z", pending)],
            metric: resolution,
            due: None,
        },
        Row {
            desk: "Request Tracker",
            says: "Eight hours of real time to resolve, from the creation.",
            ours: Ours::Same,
            promise: promise(480, 480),
            created: "2026-06-01T20:00:00Z",
            facts: vec![],
            metric: resolution,
            due: Some("2026-06-02T04:00:00Z"),
        },
        Row {
            desk: "Request Tracker",
            says: "A ticket from the night starts with the first business minute.",
            ours: Ours::Same,
            promise: in_hours(promise(240, 240), hours("09:00", "18:00", &WORKDAYS)),
            created: "2026-06-01T20:00:00Z",
            facts: vec![],
            metric: resolution,
            due: Some("2026-06-02T13:00:00Z"),
        },
        Row {
            desk: "Request Tracker",
            says: "A reply takes the response's deadline away, the requester's next message sets it anew.",
            ours: Ours::Same,
            promise: promise(120, 6_000),
            created: "2026-06-01T08:00:00Z",
            facts: vec![
                ("2026-06-01T09:00:00Z", What::AgentReply),
                ("2026-06-02T09:00:00Z", What::CustomerMessage),
            ],
            metric: next,
            due: Some("2026-06-02T11:00:00Z"),
        },
        Row {
            desk: "Request Tracker",
            says: "IgnoreOnStatuses takes the deadline away while stalled; the time passes nevertheless, unless another option excludes it.",
            ours: Ours::Differs(
                "what is paused does not pass: a deadline that is over on return would punish the agent for the customer's time",
            ),
            promise: promise(60, 600),
            created: "2026-06-01T08:00:00Z",
            facts: vec![("2026-06-01T09:00:00Z", pending), ("2026-06-02T09:00:00Z", open)],
            metric: resolution,
            due: Some("2026-06-02T18:00:00Z"),
        },
    ]
}

#[test]
fn what_others_document_happens_here_or_differs_for_a_reason() {
    for row in rows() {
        let book = [terms(reference(1, 1), row.promise)];
        let policy = Some(book[0].policy);
        let created = at(row.created);
        let mut clocks = TicketClocks::start(created, Status::Open, Priority::Medium, policy, &book).unwrap();
        for (moment, what) in row.facts {
            let fact = Fact { at: at(moment), what };
            clocks = clocks.apply(&fact, &book).unwrap().clocks;
        }
        let run = clocks.clock(row.metric).run().unwrap();
        assert_eq!(run.due_at(), row.due.map(at), "{}: {}", row.desk, row.says);
        assert_eq!(
            run.phase() == Phase::Running,
            row.due.is_some(),
            "{}: {}",
            row.desk,
            row.says
        );
        if let Ours::Differs(why) = row.ours {
            assert!(!why.is_empty());
        }
    }
}

/// Request Tracker has one due date for a ticket, the earlier of response and resolution; so has `slaDueAt` here, over three
/// clocks.
#[test]
fn a_ticket_is_due_when_its_first_clock_is() {
    let book = [terms(reference(1, 1), promise(120, 90))];
    let created = at("2026-06-01T08:00:00Z");
    let policy = Some(book[0].policy);
    let clocks = TicketClocks::start(created, Status::Open, Priority::Medium, policy, &book).unwrap();
    assert_eq!(clocks.sla_due_at(), Some(at("2026-06-01T09:30:00Z")));
}
