//! Slow and simple answers to hold the engine against. Nothing here uses the tables of [`Calendar`]:
//! each moment is asked for by itself on the wall clock.

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};

use crate::calendar::Calendar;

/// How many random cases a property test tries: `usual`, or what the environment variable `SLA_CASES` says.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    std::env::var("SLA_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

/// Whether the calendar is open at a moment, read off the wall clock.
#[must_use]
pub fn is_open(calendar: &Calendar, at: DateTime<Utc>) -> bool {
    let local = at.with_timezone(&calendar.zone());
    let (date, second) = (local.date_naive(), local.num_seconds_from_midnight());
    let is_in = |from: u16, to: u16| (u32::from(from) * 60..u32::from(to) * 60).contains(&second);
    let day = usize::try_from(date.weekday().num_days_from_monday()).unwrap_or(0);
    let windows = calendar.weekly().days().get(day).copied().unwrap_or(&[]);
    let is_window = windows
        .iter()
        .any(|window| is_in(window.from().minutes(), window.to().minutes()));
    let is_holiday = calendar.holidays().iter().any(|holiday| {
        let is_day = if holiday.is_yearly() {
            (holiday.date().month(), holiday.date().day()) == (date.month(), date.day())
        } else {
            holiday.date() == date
        };
        is_day && is_in(holiday.hours().from().minutes(), holiday.hours().to().minutes())
    });
    is_window && !is_holiday
}

/// The open minutes from `a` to `b`, looked at one after the other. Offsets and windows are whole minutes since the zones
/// gave up mean solar time.
#[must_use]
pub fn minutes_between(calendar: &Calendar, a: DateTime<Utc>, b: DateTime<Utc>) -> i64 {
    let mut at = a;
    let mut open = 0;
    while at < b {
        open += i64::from(is_open(calendar, at));
        at += TimeDelta::minutes(1);
    }
    open
}

/// The earliest moment at which so many open minutes have passed since `start`, if that is not later than `bound`.
#[must_use]
pub fn minutes_after(
    calendar: &Calendar,
    start: DateTime<Utc>,
    minutes: i64,
    bound: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let (mut at, mut missing) = (start, minutes);
    while missing > 0 {
        if at >= bound {
            return None;
        }
        missing -= i64::from(is_open(calendar, at));
        at += TimeDelta::minutes(1);
    }
    Some(at)
}
