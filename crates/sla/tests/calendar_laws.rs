//! Laws of the arithmetic, over random calendars in every time zone, and a minute-by-minute oracle.
//!
//! The environment variable `SLA_CASES` raises the number of cases.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use insightdesk_sla::calendar::{DayTime, Holiday, TimeError, Weekly, Why, Window};
use insightdesk_sla::{Calendar, testing::oracle};
use proptest::prelude::*;

const HALF_HOURS: u16 = 48;

fn window() -> impl Strategy<Value = Window> {
    (0..HALF_HOURS, 0..HALF_HOURS).prop_map(|(from, length)| {
        let to = from + 1 + length % (HALF_HOURS - from);
        let time = |half_hours: u16| DayTime::from_minutes(half_hours * 30).unwrap();
        Window::new(time(from), time(to)).unwrap()
    })
}

/// Windows of a day that do not overlap: each begins where the one before has ended, or later.
fn day() -> impl Strategy<Value = Vec<Window>> {
    proptest::collection::vec(window(), 0..4).prop_map(|mut windows| {
        windows.sort_by_key(|window| window.from());
        let mut kept: Vec<Window> = Vec::new();
        for window in windows {
            if kept.last().is_none_or(|last| last.to() <= window.from()) {
                kept.push(window);
            }
        }
        kept
    })
}

fn weekly() -> impl Strategy<Value = Weekly> {
    proptest::array::uniform7(day()).prop_filter_map("no working time", |days| Weekly::new(days).ok())
}

fn holiday(years: std::ops::Range<i32>) -> impl Strategy<Value = Holiday> {
    // The day of the year, 29 February of leap years among them.
    (years, 0..366_u64, window(), any::<bool>(), any::<bool>()).prop_map(
        |(year, day, hours, is_part, is_yearly)| {
            let date = NaiveDate::from_ymd_opt(year, 1, 1).unwrap() + Days::new(day);
            let holiday = Holiday::new(date).unwrap();
            let holiday = if is_part { holiday.during(hours) } else { holiday };
            if is_yearly { holiday.yearly() } else { holiday }
        },
    )
}

fn calendar(zone: impl Strategy<Value = Tz>, years: std::ops::Range<i32>) -> impl Strategy<Value = Calendar> {
    (zone, weekly(), proptest::collection::vec(holiday(years), 0..12))
        .prop_map(|(zone, weekly, holidays)| Calendar::new(zone, weekly, holidays).unwrap())
}

fn any_zone() -> impl Strategy<Value = Tz> {
    (0..TZ_VARIANTS.len()).prop_map(|index| TZ_VARIANTS[index])
}

/// A moment, in microseconds, from 1971 to 2095.
fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (31_536_000_000_000_i64..3_944_000_000_000_000)
        .prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
}

/// A moment in whole minutes since zones keep offsets of whole minutes, about half of them close to a change of the clocks of
/// this zone.
fn minute_near_a_change(zone: Tz, minute: i64, is_near: bool) -> DateTime<Utc> {
    let at = DateTime::from_timestamp(minute * 60, 0).unwrap();
    if !is_near {
        return at;
    }
    let offset = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local() - at.naive_utc();
    (0..400)
        .map(|days| at + TimeDelta::days(days))
        .find(|day| offset(*day) != offset(*day + TimeDelta::days(1)))
        .unwrap_or(at)
}

/// Zones whose clocks do all that clocks do.
const ODD: [&str; 14] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Asia/Tehran",
    "America/St_Johns",
    "Pacific/Chatham",
    "Africa/Cairo",
    "Asia/Gaza",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "Europe/Dublin",
];

fn odd_zone() -> impl Strategy<Value = Tz> {
    (0..ODD.len()).prop_map(|index| ODD[index].parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(oracle::cases(600)))]

    #[test]
    fn what_was_added_is_what_is_measured(
        calendar in calendar(any_zone(), 1990..2060),
        start in moment(),
        micros in 1_i64..40_000_000_000_000,
    ) {
        let working = TimeDelta::microseconds(micros);
        match calendar.add(start, working) {
            Ok(end) => {
                prop_assert_eq!(calendar.between(start, end).unwrap(), working);
                // It is the earliest: a microsecond before there was less.
                let before = end - TimeDelta::microseconds(1);
                prop_assert!(calendar.between(start, before).unwrap() < working);
                prop_assert!(oracle::is_open(&calendar, before));
                // Back from there is the latest moment with as much.
                let back = calendar.back(end, working).unwrap();
                prop_assert!(back >= start);
                prop_assert_eq!(calendar.between(back, end).unwrap(), working);
                prop_assert_eq!(back, calendar.next_open(start).unwrap());
            }
            Err(error) => prop_assert!(matches!(error, TimeError::OutOfRange | TimeError::NeverOpens)),
        }
    }

    #[test]
    fn the_parts_of_a_time_are_the_whole(
        calendar in calendar(any_zone(), 1990..2060),
        from in moment(),
        lengths in proptest::collection::vec(0_i64..40 * 86_400_000_000, 2..5),
    ) {
        let mut times = vec![from];
        for length in lengths {
            times.push(times[times.len() - 1] + TimeDelta::microseconds(length));
        }
        let to = times[times.len() - 1];
        let parts: TimeDelta = times.windows(2).map(|pair| calendar.between(pair[0], pair[1]).unwrap()).sum();
        let whole = calendar.between(from, to).unwrap();
        prop_assert_eq!(parts, whole);
        // The stretches cover the time, each next to the other, and the open ones are the working time.
        let stretches: Vec<_> = calendar.stretches(from, to).unwrap().collect();
        let mut at = from;
        let mut open = TimeDelta::zero();
        for stretch in &stretches {
            prop_assert_eq!(stretch.from, at);
            prop_assert!(stretch.to > at);
            prop_assert_eq!(stretch.why == Why::Open, oracle::is_open(&calendar, stretch.from));
            prop_assert_eq!(
                stretch.why == Why::Open,
                oracle::is_open(&calendar, stretch.to - TimeDelta::microseconds(1))
            );
            if stretch.why == Why::Open {
                open += stretch.length();
            }
            at = stretch.to;
        }
        prop_assert_eq!(at, to);
        prop_assert_eq!(open, whole);
        prop_assert!(stretches.windows(2).all(|pair| pair[0].why != pair[1].why));
    }
}

proptest! {
    // Each of these walks through tens of thousands of minutes.
    #![proptest_config(ProptestConfig::with_cases(oracle::cases(60)))]

    #[test]
    fn an_oracle_that_looks_at_every_minute_agrees(
        calendar in calendar(odd_zone(), 1995..2040),
        // 1995 to 2037.
        minute in 13_150_000_i64..35_200_000,
        is_near in proptest::bool::weighted(0.7),
        lead in 0_i64..3 * 1_440,
        minutes in 1_i64..6 * 1_440,
    ) {
        let near = minute_near_a_change(calendar.zone(), minute, is_near);
        let start = near - TimeDelta::minutes(lead);
        let end = start + TimeDelta::minutes(minutes);
        let ours = calendar.between(start, end).unwrap();
        prop_assert_eq!(ours, TimeDelta::minutes(oracle::minutes_between(&calendar, start, end)));
        let wanted = minutes / 3 + 1;
        let bound = start + TimeDelta::days(20);
        if let Some(theirs) = oracle::minutes_after(&calendar, start, wanted, bound) {
            prop_assert_eq!(calendar.add(start, TimeDelta::minutes(wanted)).unwrap(), theirs);
        }
    }
}

#[test]
fn the_laws_hold_in_every_zone_around_every_change_of_a_few_years() {
    let window = Window::new(DayTime::parse("00:30").unwrap(), DayTime::parse("23:15").unwrap()).unwrap();
    let weekly = Weekly::new([(); 7].map(|()| vec![window])).unwrap();
    for zone in TZ_VARIANTS {
        let calendar = Calendar::new(zone, weekly.clone(), Vec::new()).unwrap();
        let mut at: DateTime<Utc> = "2025-01-05T11:00:00Z".parse().unwrap();
        while at < "2028-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() {
            let working = TimeDelta::hours(31);
            let end = calendar.add(at, working).unwrap();
            assert_eq!(calendar.between(at, end), Ok(working), "{zone} {at}");
            at += TimeDelta::days(17);
        }
    }
}
