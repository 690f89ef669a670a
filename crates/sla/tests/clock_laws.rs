//! Laws of clocks over random lives of tickets, and a minute-by-minute oracle.
//!
//! The environment variable `SLA_CASES` raises the number of cases.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use insightdesk_sla::clocks::{
    Cancel, ClockEvent, Fact, Outcome, Pause, Phase, Reading, Status, TicketClocks, What,
};
use insightdesk_sla::ledger::{LedgerRow, PartKind};
use insightdesk_sla::testing::build::{at, in_hours, office, promise, reference, terms, with_steps};
use insightdesk_sla::testing::oracle;
use insightdesk_sla::{Calendar, Metric, Multiplier, Pauses, Priority, Terms, TermsBook};
use proptest::prelude::*;
use serde_json::json;

/// Terms of three policies, one of them edited twice: around the clock, in two calendars, with steps.
fn book() -> Vec<Arc<Terms>> {
    let mut everything = with_steps(
        promise(45, 300),
        &[
            ("first_response", "50%"),
            ("first_response", "breach"),
            ("next_response", "-10m"),
            ("resolution", "80%"),
            ("resolution", "+60m"),
            ("resolution", "breach"),
        ],
    );
    let half = Multiplier::parse("", 0.5).unwrap();
    everything.multipliers = everything.multipliers.with(Priority::Urgent, half);
    let shifts = Calendar::read(
        &json!({
            "timezone": "Australia/Lord_Howe",
            "weekly": {
                "saturday": [{ "from": "00:00", "to": "24:00" }],
                "sunday": [{ "from": "00:00", "to": "12:00" }, { "from": "12:30", "to": "24:00" }],
                "monday": [{ "from": "00:00", "to": "03:00" }],
            },
            "holidays": [{ "date": "2026-04-06", "from": "01:00", "to": "02:00", "yearly": true }],
        }),
        "",
    )
    .unwrap();
    let mut some_pause = in_hours(everything.clone(), shifts);
    some_pause.pauses = Pauses::of(&[Metric::Resolution]);
    let mut tripled = in_hours(promise(30, 200), office("Europe/Berlin"));
    tripled.multipliers = tripled
        .multipliers
        .with(Priority::Low, Multiplier::parse("", 3.0).unwrap());
    vec![
        terms(reference(1, 1), everything.clone()),
        terms(reference(2, 1), tripled),
        terms(
            reference(2, 2),
            in_hours(everything.clone(), office("America/New_York")),
        ),
        terms(reference(2, 3), in_hours(everything, office("Europe/Berlin"))),
        terms(reference(3, 1), some_pause),
    ]
}

const TERMS: usize = 5;

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        4 => Just(What::CustomerMessage),
        4 => Just(What::AgentReply),
        5 => (0..4_usize).prop_map(|index| What::Status(Status::ALL[index])),
        2 => (0..4_usize).prop_map(|index| What::Priority(Priority::ALL[index])),
        3 => (0..=TERMS).prop_map(|index| What::Policy(book().get(index).map(|terms| terms.policy))),
        1 => Just(What::Merged),
        1 => Just(What::Unmerged),
        1 => Just(What::Deleted),
        1 => Just(What::Restored),
    ]
}

/// What happens, each so long after what was before; sometimes at the same time, sometimes days later.
fn life(unit_micros: i64, longest: i64) -> impl Strategy<Value = Vec<(i64, What)>> {
    let pause = prop_oneof![1 => Just(0), 6 => 0..longest / 20, 2 => 0..longest];
    proptest::collection::vec((pause.prop_map(move |units| units * unit_micros), what()), 1..14)
}

const MINUTE_MICROS: i64 = 60_000_000;

fn start(policy: usize, begin: DateTime<Utc>, book: &[Arc<Terms>]) -> TicketClocks {
    let policy = book.get(policy).map(|terms| terms.policy);
    TicketClocks::start(begin, Status::Open, Priority::Medium, policy, book).unwrap()
}

fn facts(begin: DateTime<Utc>, life: &[(i64, What)]) -> Vec<Fact> {
    let mut at = begin;
    let facts = life.iter().map(|(pause, what)| {
        at += TimeDelta::microseconds(*pause);
        Fact { at, what: *what }
    });
    facts.collect()
}

fn reading(
    clocks: &TicketClocks,
    metric: Metric,
    now: DateTime<Utc>,
    book: &[Arc<Terms>],
) -> Option<Reading> {
    let readings = clocks.readings(now, book).unwrap();
    readings.into_iter().find(|reading| reading.metric == metric)
}

/// The law, for each run that the rows tell of, and for the sums that the clocks keep.
fn check_the_law(clocks: &TicketClocks, rows: &[LedgerRow], now: DateTime<Utc>, book: &[Arc<Terms>]) {
    for metric in Metric::ALL {
        let clock = clocks.clock(metric);
        for number in 1..=clock.number() {
            let rows: Vec<_> = rows
                .iter()
                .filter(|row| (row.metric, row.run) == (metric, number))
                .collect();
            for pair in rows.windows(2) {
                assert_eq!(pair[0].to, pair[1].from, "a gap or an overlap");
            }
            for row in &rows {
                assert!(row.from < row.to);
                assert!(row.counted() >= TimeDelta::zero() && row.closed() >= TimeDelta::zero());
                let parts = row.parts(book).unwrap();
                let of = |kind| -> TimeDelta {
                    let parts = parts.iter().filter(|part| part.cause.kind() == kind);
                    parts.map(insightdesk_sla::ledger::Part::length).sum()
                };
                assert_eq!(of(PartKind::Counted), row.counted());
                assert_eq!(of(PartKind::Paused), row.paused());
                assert_eq!(of(PartKind::Closed), row.closed());
            }
            if number == clock.number()
                && let Some(last) = rows.last()
            {
                assert_eq!(last.to, clock.run().unwrap().since());
            }
        }
        let Some(reading) = reading(clocks, metric, now, book) else {
            continue;
        };
        let end = reading.stopped_at.unwrap_or(now);
        let is_over = matches!(reading.phase, Phase::Cancelled(Cancel::NoPolicy));
        let elapsed = reading.counted + reading.paused + reading.closed;
        if !is_over {
            assert_eq!(elapsed, end - reading.started_at, "{metric:?}");
        }
        let of_run = rows
            .iter()
            .filter(|row| (row.metric, row.run) == (metric, reading.run));
        let open = clocks.open_rows(now, book).unwrap();
        let of_run = of_run.chain(open.iter().filter(|row| row.metric == metric));
        let counted: TimeDelta = of_run.map(LedgerRow::counted).sum();
        assert_eq!(counted, reading.counted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(oracle::cases(400)))]

    #[test]
    fn counted_and_paused_and_closed_are_what_elapsed(
        policy in 0..=TERMS,
        life in life(1, 4 * 86_400_000_000),
    ) {
        let book = book();
        let begin = at("2026-04-02T20:30:00.000007Z");
        let mut clocks = start(policy, begin, &book);
        let mut rows = Vec::new();
        for fact in facts(begin, &life) {
            let applied = clocks.apply(&fact, &book).unwrap();
            // What was used before is used after: only the target may be another.
            for metric in Metric::ALL {
                let before = reading(&clocks, metric, fact.at, &book);
                let after = reading(&applied.clocks, metric, fact.at, &book);
                if let (Some(before), Some(after)) = (before, after)
                    && before.run == after.run
                {
                    // A resolution that is taken back stood while it was there.
                    let resolved = match (before.stopped_at, after.stopped_at) {
                        (Some(stopped), None) if metric == Metric::Resolution => fact.at - stopped,
                        _ => TimeDelta::zero(),
                    };
                    prop_assert_eq!(
                        (before.counted, before.paused + resolved, before.closed),
                        (after.counted, after.paused, after.closed)
                    );
                    let promised = applied.clocks.policy().and_then(|policy| book.terms(policy));
                    let target = promised.map(|terms| terms.promise.target(metric, applied.clocks.priority()));
                    let is_over = matches!(after.phase, Phase::Stopped(_)) && metric != Metric::Resolution;
                    if !is_over && after.stopped_at.is_none() {
                        prop_assert!(after.target == target || after.phase == Phase::Cancelled(Cancel::NoPolicy));
                    }
                    // The remaining time is what lies between now and the deadline.
                    if let (Phase::Running, Some(due_at), Some(terms)) = (after.phase, after.due_at, promised)
                        && due_at > fact.at
                    {
                        let until = terms.promise.hours.in_force().map_or(due_at - fact.at, |calendar| {
                            calendar.between(fact.at, due_at).unwrap()
                        });
                        prop_assert_eq!(Some(until), after.remaining);
                    }
                }
            }
            prop_assert!(applied.clocks.sla_breached() || !clocks.sla_breached());
            rows.extend(applied.rows);
            // New terms may have a step that is due at once.
            clocks = applied.clocks.fire(fact.at, &book).unwrap().clocks;
            // Again, and a little late: nothing.
            for at in [fact.at, fact.at - TimeDelta::hours(1)] {
                let again = clocks.apply(&Fact { at, what: fact.what }, &book).unwrap();
                prop_assert_eq!((&again.clocks, again.rows.len(), again.events.len()), (&clocks, 0, 0));
            }
            prop_assert_eq!(&TicketClocks::read(&clocks.to_json()).unwrap(), &clocks);
        }
        let now = clocks.at() + TimeDelta::microseconds(90_000_000_001);
        check_the_law(&clocks, &rows, now, &book);
    }

    #[test]
    fn however_time_is_cut_each_point_is_told_once_and_in_order(
        policy in 0..TERMS,
        life in life(MINUTE_MICROS, 3 * 1_440),
        cuts in proptest::collection::vec(0_i64..20_000_000_000, 1..60),
    ) {
        let book = book();
        let begin = at("2026-04-03T07:00:00Z");
        let facts = facts(begin, &life);
        let end = facts.last().unwrap().at + TimeDelta::days(9);
        let mut seldom: Vec<ClockEvent> = Vec::new();
        let mut clocks = start(policy, begin, &book);
        for fact in &facts {
            let applied = clocks.apply(fact, &book).unwrap();
            seldom.extend(applied.events);
            clocks = applied.clocks;
        }
        let fired = clocks.fire(end, &book).unwrap();
        seldom.extend(fired.events);
        let last = fired.clocks;

        let mut often: Vec<ClockEvent> = Vec::new();
        let mut clocks = start(policy, begin, &book);
        let mut now = begin;
        let mut cuts = cuts.into_iter().cycle();
        for fact in facts.iter().map(Some).chain([None]) {
            let until = fact.map_or(end, |fact| fact.at);
            while now < until {
                let fired = clocks.fire(now, &book).unwrap();
                often.extend(fired.events);
                // Whoever looks when it is told to, finds something.
                if let Some(wake) = fired.clocks.next_wake(&book).unwrap() {
                    prop_assert!(wake.at > now);
                    if wake.at <= until {
                        let events = fired.clocks.fire(wake.at, &book).unwrap().events;
                        prop_assert_eq!(events.first().map(|event| (event.at, event.metric, event.what)),
                            Some((wake.at, wake.metric, wake.what)));
                    }
                }
                clocks = fired.clocks;
                now = (now + TimeDelta::microseconds(1 + cuts.next().unwrap() * 12)).min(until);
            }
            if let Some(fact) = fact {
                let applied = clocks.apply(fact, &book).unwrap();
                often.extend(applied.events);
                clocks = applied.clocks;
            }
        }
        let fired = clocks.fire(end, &book).unwrap();
        often.extend(fired.events);
        prop_assert_eq!(&seldom, &often);
        prop_assert_eq!(&last, &fired.clocks);
        prop_assert!(seldom.windows(2).all(|pair| pair[0].at <= pair[1].at));
        for (index, event) in seldom.iter().enumerate() {
            let name = |event: &ClockEvent| (event.metric, event.run, event.policy.id, event.what);
            prop_assert!(!seldom[..index].iter().any(|other| name(other) == name(event)));
        }
        prop_assert!(last.fire(end + TimeDelta::microseconds(0), &book).unwrap().events.is_empty());
    }
}

/// A clock as somebody would keep it with a wall clock and a tally, looking every minute.
#[derive(Debug, Default, Clone)]
struct Tally {
    run: u32,
    is_on: bool,
    mode: Option<Phase>,
    counted: i64,
    paused: i64,
    closed: i64,
    hit: Option<DateTime<Utc>>,
    breached_at: Option<DateTime<Utc>>,
    stopped_at: Option<DateTime<Utc>>,
}

struct Model<'a> {
    book: &'a [Arc<Terms>],
    status: Status,
    priority: Priority,
    policy: Option<insightdesk_sla::PolicyRef>,
    is_merged: bool,
    is_deleted: bool,
    has_first: bool,
    tallies: [Tally; 3],
}

impl Model<'_> {
    fn terms(&self) -> Option<&Terms> {
        self.policy.and_then(|policy| self.book.terms(policy))
    }

    fn mode(&self, index: usize) -> Phase {
        let metric = Metric::ALL[index];
        let Some(terms) = self.terms() else {
            return Phase::Cancelled(Cancel::NoPolicy);
        };
        let outcome = if self.tallies[index].breached_at.is_some() {
            Outcome::Missed
        } else {
            Outcome::Met
        };
        let is_done = matches!(self.status, Status::Resolved | Status::Closed);
        if self.is_deleted {
            Phase::Cancelled(Cancel::Deleted)
        } else if self.is_merged {
            Phase::Cancelled(Cancel::Merged)
        } else if is_done && metric == Metric::Resolution {
            Phase::Stopped(outcome)
        } else if is_done {
            Phase::Paused(Pause::Resolved)
        } else if self.status == Status::Pending && terms.promise.pauses.has(metric) {
            Phase::Paused(Pause::Pending)
        } else {
            Phase::Running
        }
    }

    fn begin(&mut self, index: usize) {
        let tally = &mut self.tallies[index];
        *tally = Tally {
            run: tally.run + 1,
            is_on: true,
            ..Tally::default()
        };
    }

    fn take(&mut self, fact: &Fact) {
        let before = (self.policy, self.priority);
        match fact.what {
            What::CustomerMessage if self.has_first && !self.tallies[1].is_on => self.begin(1),
            What::CustomerMessage => {}
            What::AgentReply => {
                self.has_first = true;
                for tally in &mut self.tallies[..2] {
                    if tally.is_on {
                        tally.is_on = false;
                        tally.stopped_at = Some(fact.at);
                    }
                }
            }
            What::Status(status) => self.status = status,
            What::Priority(priority) => self.priority = priority,
            What::Policy(policy) => self.policy = policy,
            What::Merged => self.is_merged = true,
            What::Unmerged => self.is_merged = false,
            What::Deleted => self.is_deleted = true,
            What::Restored => self.is_deleted = false,
        }
        for index in 0..3 {
            let mode = self.mode(index);
            let is_new = self.tallies[index].mode != Some(mode) || before != (self.policy, self.priority);
            if is_new {
                self.tallies[index].mode = Some(mode);
                self.tallies[index].hit = None;
            }
        }
    }

    /// A minute passes.
    fn pass(&mut self, at: DateTime<Utc>) {
        for index in 0..3 {
            if !self.tallies[index].is_on {
                continue;
            }
            let mode = self.mode(index);
            let target = self.terms().map(|terms| {
                terms
                    .promise
                    .target(Metric::ALL[index], self.priority)
                    .num_minutes()
            });
            let is_open = self
                .terms()
                .and_then(|terms| terms.promise.hours.in_force())
                .is_none_or(|calendar| oracle::is_open(calendar, at));
            let tally = &mut self.tallies[index];
            match mode {
                Phase::Running => {
                    if target.is_some_and(|target| tally.counted >= target) && tally.hit.is_none() {
                        tally.hit = Some(at);
                    }
                    tally.breached_at = tally.breached_at.or(tally.hit);
                    if is_open {
                        tally.counted += 1;
                        // The target is reached with the end of this minute.
                        if target == Some(tally.counted) && tally.hit.is_none() {
                            tally.hit = Some(at + TimeDelta::minutes(1));
                        }
                    } else {
                        tally.closed += 1;
                    }
                }
                Phase::Paused(_) | Phase::Cancelled(_) | Phase::Stopped(_) => tally.paused += 1,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(oracle::cases(40)))]

    #[test]
    fn an_oracle_that_looks_every_minute_agrees(
        policy in 0..=TERMS,
        life in life(MINUTE_MICROS, 2 * 1_440),
    ) {
        let book = book();
        // A day before the clocks change on Lord Howe Island, three weeks after they did in New York.
        let begin = at("2026-04-03T07:00:00Z");
        let facts = facts(begin, &life);
        let end = facts.last().unwrap().at + TimeDelta::minutes(3 * 1_440);
        let mut clocks = start(policy, begin, &book);
        for fact in &facts {
            clocks = clocks.apply(fact, &book).unwrap().clocks;
        }
        clocks = clocks.fire(end, &book).unwrap().clocks;

        let mut model = Model {
            book: &book,
            status: Status::Open,
            priority: Priority::Medium,
            policy: book.get(policy).map(|terms| terms.policy),
            is_merged: false,
            is_deleted: false,
            has_first: false,
            tallies: Default::default(),
        };
        model.begin(0);
        model.begin(2);
        let mut next = facts.iter().peekable();
        let mut now = begin;
        while now < end {
            while let Some(fact) = next.next_if(|fact| fact.at <= now) {
                model.take(fact);
            }
            model.pass(now);
            now += TimeDelta::minutes(1);
        }

        for (index, metric) in Metric::ALL.into_iter().enumerate() {
            let tally = &model.tallies[index];
            let Some(ours) = reading(&clocks, metric, end, &book) else {
                prop_assert_eq!(tally.run, 0);
                continue;
            };
            prop_assert_eq!(ours.run, tally.run);
            prop_assert_eq!(ours.counted, TimeDelta::minutes(tally.counted), "{:?} counted", metric);
            prop_assert_eq!(ours.closed, TimeDelta::minutes(tally.closed), "{:?} closed", metric);
            prop_assert_eq!(ours.breached_at, tally.breached_at, "{:?}", metric);
            if tally.is_on {
                // What lies behind a resolution is told once it is taken back.
                let paused = ours.paused + ours.stopped_at.map_or(TimeDelta::zero(), |stopped| end - stopped);
                prop_assert_eq!(paused, TimeDelta::minutes(tally.paused), "{:?} paused", metric);
                prop_assert_eq!(ours.phase, model.mode(index));
            } else {
                prop_assert_eq!(ours.paused, TimeDelta::minutes(tally.paused), "{:?} paused", metric);
            }
        }
    }
}
