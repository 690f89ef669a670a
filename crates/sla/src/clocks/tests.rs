use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::ledger::Standstill;
use crate::policy::Promise;
use crate::testing::build::{at, in_hours, office, promise, reference, terms, with_steps};

/// A ticket's life under some terms, the first of which are in force at its beginning.
struct Life {
    book: Vec<Arc<Terms>>,
    clocks: TicketClocks,
    rows: Vec<LedgerRow>,
    events: Vec<ClockEvent>,
}

impl Life {
    fn begins(moment: &str, promises: Vec<Promise>) -> Self {
        let book: Vec<_> = (1..)
            .zip(promises)
            .map(|(number, promise)| terms(reference(number, 1), promise))
            .collect();
        let policy = Some(book[0].policy);
        let clocks = TicketClocks::start(at(moment), Status::Open, Priority::Medium, policy, &book).unwrap();
        Self {
            book,
            clocks,
            rows: Vec::new(),
            events: Vec::new(),
        }
    }

    fn on(mut self, moment: &str, what: What) -> Self {
        let fact = Fact { at: at(moment), what };
        let applied = self.clocks.apply(&fact, &self.book).unwrap();
        self.clocks = applied.clocks;
        self.rows.extend(applied.rows);
        self.events.extend(applied.events);
        self
    }

    fn policy(self, moment: &str, number: usize) -> Self {
        let policy = self.book[number].policy;
        self.on(moment, What::Policy(Some(policy)))
    }

    fn fires(mut self, moment: &str) -> Self {
        let fired = self.clocks.fire(at(moment), &self.book).unwrap();
        self.clocks = fired.clocks;
        self.events.extend(fired.events);
        self
    }

    fn run(&self, metric: Metric) -> &Run {
        self.clocks.clock(metric).run().unwrap()
    }

    fn due(&self, metric: Metric) -> Option<DateTime<Utc>> {
        self.run(metric).due_at()
    }

    fn told(&self) -> Vec<String> {
        let told = self.events.iter().map(|event| {
            let what = match event.what {
                WakeFor::Breach => "missed".to_owned(),
                WakeFor::Step(at) => at.to_string(),
            };
            format!(
                "{} {} {what}",
                event.at.format("%H:%M:%S%.f"),
                event.metric.as_str()
            )
        });
        told.collect()
    }
}

const FIRST: Metric = Metric::FirstResponse;
const NEXT: Metric = Metric::NextResponse;
const RESOLUTION: Metric = Metric::Resolution;

#[test]
fn a_reply_in_time_meets_the_first_response_and_a_resolution_the_resolution() {
    let life = Life::begins("2026-06-01T08:00:00Z", vec![promise(60, 240)]);
    assert_eq!(life.clocks.sla_due_at(), Some(at("2026-06-01T09:00:00Z")));
    let life = life.on("2026-06-01T09:00:00Z", What::AgentReply);
    assert_eq!(
        life.run(FIRST).phase(),
        Phase::Stopped(Outcome::Met),
        "the deadline itself is in time"
    );
    assert_eq!(life.clocks.sla_due_at(), Some(at("2026-06-01T12:00:00Z")));
    let life = life.on("2026-06-01T11:00:00Z", What::Status(Status::Resolved));
    assert_eq!(life.run(RESOLUTION).phase(), Phase::Stopped(Outcome::Met));
    assert_eq!(life.clocks.sla_due_at(), None);
    assert!(!life.clocks.sla_breached());
}

#[test]
fn a_microsecond_too_late_is_missed_and_the_ticket_keeps_the_mark() {
    let life = Life::begins(
        "2026-06-01T08:00:00Z",
        vec![promise(60, 240), promise(600, 2_400)],
    )
    .on("2026-06-01T09:00:00.000001Z", What::AgentReply)
    .policy("2026-06-01T09:10:00Z", 1);
    assert_eq!(life.run(FIRST).phase(), Phase::Stopped(Outcome::Missed));
    assert_eq!(life.run(FIRST).breached_at(), Some(at("2026-06-01T09:00:00Z")));
    assert_eq!(life.told(), ["09:00:00.000001 first_response missed"]);
    assert!(life.clocks.sla_breached());
}

#[test]
fn the_next_response_counts_from_the_oldest_message_without_an_answer() {
    let life = Life::begins("2026-06-01T08:00:00Z", vec![promise(60, 2_400)])
        .on("2026-06-01T08:10:00Z", What::CustomerMessage);
    assert_eq!(
        life.clocks.clock(NEXT).run(),
        None,
        "the first response is still owed"
    );
    let life = life
        .on("2026-06-01T08:20:00Z", What::AgentReply)
        .on("2026-06-01T10:00:00Z", What::CustomerMessage)
        .on("2026-06-01T10:30:00Z", What::CustomerMessage);
    assert_eq!(life.due(NEXT), Some(at("2026-06-01T11:00:00Z")));
    let life = life
        .on("2026-06-01T10:50:00Z", What::AgentReply)
        .on("2026-06-01T10:55:00Z", What::AgentReply)
        .on("2026-06-01T12:00:00Z", What::CustomerMessage);
    assert_eq!(
        life.due(NEXT),
        Some(at("2026-06-01T13:00:00Z")),
        "with all its time"
    );
    assert_eq!(life.clocks.clock(NEXT).number(), 2);
}

#[test]
fn pending_pauses_what_the_policy_says_and_a_reopened_ticket_goes_on_with_the_time_used() {
    let mut all = promise(60, 240);
    all.pauses = crate::policy::Pauses::of(&[RESOLUTION]);
    let life = Life::begins("2026-06-01T08:00:00Z", vec![all])
        .on("2026-06-01T08:30:00Z", What::Status(Status::Pending));
    assert_eq!(life.run(RESOLUTION).phase(), Phase::Paused(Pause::Pending));
    assert_eq!(
        (life.run(FIRST).phase(), life.due(RESOLUTION)),
        (Phase::Running, None)
    );
    let life = life
        .on("2026-06-01T10:30:00Z", What::Status(Status::Open))
        .on("2026-06-01T11:00:00Z", What::Status(Status::Resolved))
        .on("2026-06-02T11:00:00Z", What::Status(Status::Closed))
        .on("2026-06-03T11:00:00Z", What::Status(Status::Open));
    assert_eq!(life.due(RESOLUTION), Some(at("2026-06-03T14:00:00Z")));
    let standing: Vec<_> = life
        .rows
        .iter()
        .filter(|row| row.metric == RESOLUTION)
        .map(|row| (row.span, row.length().num_minutes()))
        .collect();
    let counting = |minutes| Span::Counting {
        counted: TimeDelta::minutes(minutes),
    };
    use crate::ledger::Span;
    assert_eq!(
        standing,
        [
            (counting(30), 30),
            (Span::Standing(Standstill::Pending), 120),
            (counting(30), 30),
            (Span::Standing(Standstill::Resolved), 48 * 60),
        ]
    );
}

#[test]
fn a_change_of_priority_counts_what_was_used() {
    let mut four = promise(60, 240);
    four.multipliers = four.multipliers.with(
        Priority::Urgent,
        crate::policy::Multiplier::parse("", 0.5).unwrap(),
    );
    let life = Life::begins("2026-06-01T08:00:00Z", vec![four])
        .on("2026-06-01T08:20:00Z", What::Priority(Priority::Urgent));
    assert_eq!(life.due(FIRST), Some(at("2026-06-01T08:30:00Z")));
    assert_eq!(life.due(RESOLUTION), Some(at("2026-06-01T10:00:00Z")));
    // Used up by the change: due at the change, and missed behind it.
    let life = life
        .on("2026-06-01T08:25:00Z", What::Priority(Priority::Medium))
        .on("2026-06-01T08:40:00Z", What::Priority(Priority::Urgent));
    assert_eq!(life.due(FIRST), Some(at("2026-06-01T08:40:00Z")));
    let life = life.fires("2026-06-01T08:40:00Z").fires("2026-06-01T08:41:00Z");
    assert_eq!(life.told(), ["08:40:00.000001 first_response missed"]);
}

#[test]
fn a_change_of_calendar_counts_each_stretch_by_the_calendar_of_then() {
    let berlin = in_hours(promise(600, 960), office("Europe/Berlin"));
    let new_york = in_hours(promise(600, 960), office("America/New_York"));
    // 09:00 to 13:00 in Berlin, then from 09:00 in New York.
    let life = Life::begins("2026-06-01T07:00:00Z", vec![berlin, new_york]).policy("2026-06-01T11:00:00Z", 1);
    assert_eq!(life.due(FIRST), Some(at("2026-06-01T19:00:00Z")));
    let rows: Vec<_> = life.rows.iter().filter(|row| row.metric == FIRST).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].counted().num_minutes(), rows[0].policy),
        (240, Some(reference(1, 1)))
    );
    let reading = life
        .clocks
        .readings(at("2026-06-01T14:00:00Z"), &life.book)
        .unwrap()[0];
    assert_eq!(reading.counted, TimeDelta::minutes(240 + 60));
    assert_eq!(reading.closed, TimeDelta::minutes(120));
}

#[test]
fn steps_are_told_once_and_in_order_however_late() {
    let steps = [
        ("first_response", "50%"),
        ("first_response", "-10m"),
        ("first_response", "breach"),
        ("first_response", "+30m"),
        ("resolution", "80%"),
    ];
    let told = [
        "08:30:00 first_response 50%",
        "08:50:00 first_response -10m",
        "09:00:00.000001 first_response missed",
        "09:00:00.000001 first_response breach",
        "09:30:00 first_response +30m",
        "11:12:00 resolution 80%",
    ];
    let life = || Life::begins("2026-06-01T08:00:00Z", vec![with_steps(promise(60, 240), &steps)]);
    let at_once = life().fires("2026-06-01T11:30:00Z");
    assert_eq!(at_once.told(), told);
    let mut bit_by_bit = life();
    for minute in 0..210 {
        let now = at("2026-06-01T08:00:00Z") + TimeDelta::minutes(minute);
        bit_by_bit = bit_by_bit.fires(&now.to_rfc3339()).fires(&now.to_rfc3339());
    }
    assert_eq!(bit_by_bit.fires("2026-06-01T11:30:00Z").told(), told);
    // What is stopped says nothing any more.
    let met = life()
        .on("2026-06-01T08:35:00Z", What::AgentReply)
        .on("2026-06-01T08:36:00Z", What::Status(Status::Resolved))
        .fires("2026-07-01T00:00:00Z");
    assert_eq!(met.told(), ["08:30:00 first_response 50%"]);
    assert_eq!(met.clocks.next_wake(&met.book).unwrap(), None);
}

#[test]
fn a_pause_puts_off_warnings_too() {
    let life = Life::begins(
        "2026-06-01T08:00:00Z",
        vec![with_steps(promise(60, 240), &[("first_response", "50%")])],
    )
    .on("2026-06-01T08:20:00Z", What::Status(Status::Pending))
    .fires("2026-06-01T12:00:00Z")
    .on("2026-06-01T13:00:00Z", What::Status(Status::Open));
    assert_eq!(life.told(), [""; 0]);
    let wake = life.clocks.next_wake(&life.book).unwrap().unwrap();
    assert_eq!(wake.at, at("2026-06-01T13:10:00Z"));
}

#[test]
fn merged_and_deleted_tickets_stand_still_and_go_on_where_they_were() {
    let life = Life::begins("2026-06-01T08:00:00Z", vec![promise(60, 240)])
        .on("2026-06-01T08:10:00Z", What::Merged)
        .on("2026-06-01T08:11:00Z", What::Deleted)
        .fires("2026-06-09T00:00:00Z");
    assert_eq!(life.run(FIRST).phase(), Phase::Cancelled(Cancel::Deleted));
    assert_eq!((life.clocks.sla_due_at(), life.told().len()), (None, 0));
    let life = life
        .on("2026-06-10T08:00:00Z", What::Restored)
        .on("2026-06-10T09:00:00Z", What::Unmerged);
    assert_eq!(life.due(FIRST), Some(at("2026-06-10T09:50:00Z")));
}

#[test]
fn without_a_policy_nothing_is_due_until_there_is_one() {
    let book = [terms(reference(1, 1), promise(60, 240))];
    let start = at("2026-06-01T08:00:00Z");
    let clocks = TicketClocks::start(start, Status::Open, Priority::Low, None, &book).unwrap();
    assert_eq!(
        (clocks.sla_due_at(), clocks.next_wake(&book).unwrap()),
        (None, None)
    );
    let fact = Fact {
        at: at("2026-06-01T10:00:00Z"),
        what: What::Policy(Some(reference(1, 1))),
    };
    let applied = clocks.apply(&fact, &book).unwrap();
    assert_eq!(applied.clocks.sla_due_at(), Some(at("2026-06-01T11:00:00Z")));
    assert!(applied.rows.iter().all(|row| row.paused().num_minutes() == 120));
}

#[test]
fn what_comes_late_counts_when_it_comes_and_what_comes_twice_changes_nothing() {
    let life = Life::begins("2026-06-01T08:00:00Z", vec![promise(60, 240)])
        .on("2026-06-01T08:30:00Z", What::Status(Status::Pending));
    let before = life.clocks.clone();
    let life = life
        .on("2026-06-01T08:30:00Z", What::Status(Status::Pending))
        .on("2026-06-01T08:15:00Z", What::Status(Status::Pending));
    assert_eq!(life.clocks, before);
    assert_eq!(life.rows.len(), 2);
    let life = life.on("2026-06-01T08:10:00Z", What::Status(Status::Open));
    assert_eq!(life.due(FIRST), Some(at("2026-06-01T09:00:00Z")));
    // A reply from before the deadline that comes after its breach was told.
    let life = life
        .fires("2026-06-01T09:05:00Z")
        .on("2026-06-01T08:59:00Z", What::AgentReply);
    assert_eq!(life.run(FIRST).phase(), Phase::Stopped(Outcome::Missed));
}

#[test]
fn terms_that_are_not_at_hand_and_years_that_nobody_knows_are_errors() {
    let life = Life::begins("2026-06-01T08:00:00Z", vec![promise(60, 240)]);
    let fact = |moment, what| Fact { at: at(moment), what };
    let unknown = reference(9, 9);
    let refused = life.clocks.apply(
        &fact("2026-06-01T09:00:00Z", What::Policy(Some(unknown))),
        &life.book,
    );
    assert_eq!(refused.unwrap_err(), ClockError::UnknownTerms(unknown));
    let refused = life
        .clocks
        .apply(&fact("9999-12-31T23:59:59Z", What::AgentReply), &life.book);
    assert_eq!(refused.unwrap_err(), ClockError::Time(TimeError::OutOfRange));
    let no_terms: Vec<Arc<Terms>> = Vec::new();
    assert!(life.clocks.next_wake(&no_terms).is_err());
    // Far out, a deadline is unknown instead.
    let far = Life::begins("2099-12-31T23:30:00Z", vec![promise(60, 240)]);
    assert_eq!(
        (far.clocks.sla_due_at(), far.clocks.next_wake(&far.book).unwrap()),
        (None, None)
    );
}

#[test]
fn a_fact_needs_the_terms_of_now_and_those_that_it_brings() {
    let life = Life::begins("2026-06-01T08:00:00Z", vec![promise(60, 240)]);
    let (now, other) = (reference(1, 1), reference(2, 1));
    for (what, needed) in [
        (What::AgentReply, vec![now]),
        (What::Policy(None), vec![now]),
        (What::Policy(Some(now)), vec![now]),
        (What::Policy(Some(other)), vec![now, other]),
    ] {
        assert_eq!(life.clocks.needs(what).collect::<Vec<_>>(), needed, "{what:?}");
    }
}

#[test]
fn a_resolution_keeps_the_target_that_it_met_until_it_is_taken_back() {
    let life = Life::begins("2026-06-01T08:00:00Z", vec![promise(60, 240), promise(60, 480)])
        .on("2026-06-01T09:00:00Z", What::Status(Status::Resolved))
        .policy("2026-06-01T10:00:00Z", 1);
    assert_eq!(life.run(RESOLUTION).target(), Some(TimeDelta::minutes(240)));
    let life = life.on("2026-06-02T09:00:00Z", What::Status(Status::Open));
    assert_eq!(life.run(RESOLUTION).target(), Some(TimeDelta::minutes(480)));
    assert_eq!(life.due(RESOLUTION), Some(at("2026-06-02T16:00:00Z")));
}

#[test]
fn stored_clocks_are_small_and_come_back_the_same() {
    let life = Life::begins(
        "2026-06-01T08:00:00.123456Z",
        vec![with_steps(promise(60, 240), &[("first_response", "50%")])],
    )
    .on("2026-06-01T08:20:00Z", What::CustomerMessage)
    .fires("2026-06-01T10:00:00Z")
    .on("2026-06-01T10:00:00Z", What::AgentReply)
    .on("2026-06-01T10:01:00Z", What::CustomerMessage);
    let stored = life.clocks.to_json();
    assert_eq!(TicketClocks::read(&stored).unwrap(), life.clocks);
    assert!(
        stored.to_string().len() < 1_100,
        "{}: {stored}",
        stored.to_string().len()
    );
    let later = json!({ "form": 2, "clocks": stored["clocks"] });
    assert!(matches!(
        TicketClocks::read(&later),
        Err(StateError::UnknownForm(2))
    ));
    for nonsense in [
        json!(null),
        json!({}),
        json!([1]),
        json!({ "form": 1, "clocks": { "at": "x" } }),
    ] {
        assert!(
            matches!(TicketClocks::read(&nonsense), Err(StateError::Invalid(_))),
            "{nonsense}"
        );
    }
}
