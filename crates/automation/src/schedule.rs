//! Schedules: a cron line in a time zone, and a filter that says for which tickets.
//!
//! ```json
//! { "cron": "0 9 * * MON-FRI", "timezone": "Europe/Berlin",
//!   "filter": { "field": "status", "operator": "equals", "value": "pending" } }
//! ```
//!
//! The line has five fields (minute, hour, day, month, weekday), read by the crate `croner` as Vixie cron reads them. Where
//! clocks go forward, a time of day that is left out runs once, right after the gap; where they go back, one that comes
//! twice runs once, the first time. Lines with `*` or `*/n` in minute or hour follow the clock instead: nothing in the
//! gap, and both hours of the overlap.
//!
//! A run that was missed because nothing ran is caught up once, however many were missed: [`Schedule::due`].
//!
//! The filter is kept as it was written. It names only what ticket lists can filter by, so that whoever runs
//! schedules gives it to the list and asks the rule's conditions of what comes back.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use kernel::filter::{Condition, Literal};
use kernel::{Violation, Violations};
use serde_json::{Value, json};

use crate::field::Fields;
use crate::pointer;

/// The most characters of a cron line.
pub const CRON_MAX_CHARS: usize = 100;
/// The most bytes of a filter, as JSON without blanks.
pub const FILTER_MAX_BYTES: usize = 8_192;
/// The longest that a schedule may stay silent, in days: five years, so that 29 February is fine and 30 February is not.
pub const SILENCE_MAX_DAYS: i64 = 5 * 366;

/// When a rule runs, and for which tickets.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    line: String,
    cron: Cron,
    zone: Tz,
    filter: Option<Value>,
}

impl Schedule {
    /// Reads a schedule; `pointer` is where in the request it stands.
    ///
    /// # Errors
    /// Everything that is wrong with it: `invalid` for a line that is no cron line, `never` for one that does not come
    /// within [`SILENCE_MAX_DAYS`] of any moment, `unknown_zone`, and the filter's own faults.
    pub fn read(json: &Value, pointer: &str) -> Result<Self, Violations> {
        let mut faults = Violations::new();
        let members = pointer::members(json, pointer, &["cron", "timezone", "filter"], &mut faults);
        let Some(members) = members else {
            return Err(faults);
        };
        let cron = faults.check(cron(members.get("cron"), &pointer::child(pointer, "cron")));
        let zone = faults.check(zone(
            members.get("timezone"),
            &pointer::child(pointer, "timezone"),
        ));
        let filter = match members.get("filter") {
            None | Some(Value::Null) => None,
            Some(filter) => {
                let place = pointer::child(pointer, "filter");
                if filter.to_string().len() > FILTER_MAX_BYTES {
                    let message = format!("must have at most {FILTER_MAX_BYTES} bytes");
                    faults.push(Violation::new(place, "too_long", message));
                } else if let Err(found) = Condition::<_, Literal>::read(filter, &place, &Fields::Listed) {
                    found.as_slice().iter().for_each(|one| faults.push(one.clone()));
                }
                Some(filter.clone())
            }
        };
        faults.clone().into_result()?;
        let ((line, cron), zone) = cron.zip(zone).ok_or(faults)?;
        Ok(Self {
            line,
            cron,
            zone,
            filter,
        })
    }

    /// The first time after `after`; `None` beyond the years that calendars know, or when it never comes.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        next(&self.cron, self.zone, after)
    }

    /// Whether the schedule should run at `now`, given the last time that it ran or was made: the latest of the times that
    /// have come since, so that those missed in between are run as one.
    #[must_use]
    pub fn due(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let first = self.next_after(last).filter(|first| *first <= now)?;
        // Backward from now, so that a long downtime costs no more than a short one.
        let local = now.with_timezone(&self.zone);
        let latest = self.cron.find_previous_occurrence(&local, true).ok();
        let latest = latest.map(|latest| latest.with_timezone(&Utc));
        Some(
            latest
                .filter(|latest| (first..=now).contains(latest))
                .unwrap_or(first),
        )
    }

    /// The cron line as it was written.
    #[must_use]
    pub fn cron(&self) -> &str {
        &self.line
    }

    /// The zone whose clocks it follows.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Which tickets it is for, as a condition that ticket lists read; `None` for all.
    #[must_use]
    pub fn filter(&self) -> Option<&Value> {
        self.filter.as_ref()
    }

    /// The document that it was read from.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = json!({ "cron": self.line, "timezone": self.zone.name() });
        if let (Some(filter), Value::Object(members)) = (&self.filter, &mut json) {
            members.insert("filter".to_owned(), filter.clone());
        }
        json
    }
}

fn next(cron: &Cron, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let local = after.with_timezone(&zone);
    let found = cron.find_next_occurrence(&local, false).ok()?;
    Some(found.with_timezone(&Utc))
}

fn cron(json: Option<&Value>, pointer: &str) -> Result<(String, Cron), Violation> {
    let invalid = |message: String| Violation::new(pointer, "invalid", message);
    let Some(line) = json.and_then(Value::as_str).map(str::trim) else {
        let code = if json.is_some() { "wrong_type" } else { "required" };
        return Err(Violation::new(
            pointer,
            code,
            "must be a cron line: 0 9 * * MON-FRI",
        ));
    };
    if line.chars().count() > CRON_MAX_CHARS {
        let message = format!("must have at most {CRON_MAX_CHARS} characters");
        return Err(Violation::new(pointer, "too_long", message));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    let cron = parser
        .parse(line)
        .map_err(|error| invalid(format!("must be a cron line of five fields: {error}")))?;
    // Asked of a fixed moment: whether a line ever comes does not depend on when it is written.
    let asked = DateTime::from_timestamp(1_704_067_200, 0).unwrap_or_default();
    let bound = asked + TimeDelta::days(SILENCE_MAX_DAYS);
    match next(&cron, Tz::UTC, asked) {
        Some(first) if first <= bound => Ok((line.to_owned(), cron)),
        Some(_) | None => Err(Violation::new(
            pointer,
            "never",
            "must come at least once in five years",
        )),
    }
}

fn zone(json: Option<&Value>, pointer: &str) -> Result<Tz, Violation> {
    let Some(name) = json.and_then(Value::as_str) else {
        let code = if json.is_some() { "wrong_type" } else { "required" };
        return Err(Violation::new(
            pointer,
            code,
            "must be a time zone: Europe/Berlin",
        ));
    };
    name.parse().map_err(|_| {
        Violation::new(
            pointer,
            "unknown_zone",
            "must be a time zone of IANA's: Europe/Berlin",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(cron: &str, zone: &str) -> Schedule {
        Schedule::read(&json!({ "cron": cron, "timezone": zone }), "/schedule").unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn times(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
        let (mut at, mut times) = (at(after), Vec::new());
        for _ in 0..count {
            at = schedule.next_after(at).unwrap();
            times.push(at.format("%d %H:%M").to_string());
        }
        times
    }

    #[test]
    fn a_line_follows_the_clocks_of_its_zone() {
        let nine = schedule("0 9 * * MON-FRI", "Europe/Berlin");
        // A Friday in winter, then a Monday in summer.
        assert_eq!(times(&nine, "2026-03-27T00:00:00Z", 2), ["27 08:00", "30 07:00"]);
    }

    #[test]
    fn a_time_in_the_gap_runs_once_right_after_it() {
        // 02:30 does not exist in Berlin on 29 March 2026; 03:00 is 01:00 UTC.
        let gap = schedule("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            times(&gap, "2026-03-28T00:00:00Z", 4),
            ["28 01:30", "29 01:00", "30 00:30", "31 00:30"]
        );
    }

    #[test]
    fn a_time_in_the_overlap_runs_once() {
        // 02:30 comes twice in Berlin on 25 October 2026: at 00:30 and 01:30 UTC.
        let overlap = schedule("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            times(&overlap, "2026-10-24T00:00:00Z", 3),
            ["24 00:30", "25 00:30", "26 01:30"]
        );
        // Also when the next one is asked for between the two.
        assert_eq!(times(&overlap, "2026-10-25T00:45:00Z", 1), ["26 01:30"]);
    }

    #[test]
    fn a_line_with_steps_goes_on_through_the_overlap() {
        let often = schedule("*/30 * * * *", "Europe/Berlin");
        let expected = ["25 00:00", "25 00:30", "25 01:00", "25 01:30", "25 02:00"];
        assert_eq!(times(&often, "2026-10-24T23:30:00Z", 5), expected);
    }

    #[test]
    fn missed_runs_are_caught_up_once() {
        let hourly = schedule("0 * * * *", "UTC");
        let (last, now) = (at("2026-06-01T10:00:00Z"), at("2026-06-03T12:30:00Z"));
        assert_eq!(hourly.due(last, now), Some(at("2026-06-03T12:00:00Z")));
        assert_eq!(hourly.due(at("2026-06-03T12:00:00Z"), now), None);
        assert_eq!(hourly.due(last, at("2026-06-01T10:59:59Z")), None);
        assert_eq!(
            hourly.due(last, at("2026-06-01T11:00:00Z")),
            Some(at("2026-06-01T11:00:00Z"))
        );
        // A clock that was put back runs nothing twice.
        assert_eq!(hourly.due(now, last), None);
    }

    #[test]
    fn a_bad_schedule_is_refused_with_every_place() {
        let faults = |json: Value| -> Vec<(String, &'static str)> {
            let violations = Schedule::read(&json, "/schedule").unwrap_err();
            let faults = violations.as_slice().iter();
            faults.map(|fault| (fault.pointer.clone(), fault.code)).collect()
        };
        let one = |place: &str, code| vec![(format!("/schedule{place}"), code)];
        let line = |cron: &str| json!({ "cron": cron, "timezone": "UTC" });
        assert_eq!(faults(json!("daily")), one("", "wrong_type"));
        for bad in ["", "x", "* * * *", "0 0 9 * * *", "61 * * * *", "@reboot"] {
            assert_eq!(faults(line(bad)), one("/cron", "invalid"), "{bad}");
        }
        assert_eq!(faults(line("0 0 30 2 *")), one("/cron", "never"));
        assert!(Schedule::read(&line("0 0 29 2 *"), "").is_ok());
        assert_eq!(faults(line(&"1,".repeat(60))), one("/cron", "too_long"));
        assert_eq!(
            faults(json!({ "cron": 5, "timezone": "Mars/Phobos", "colour": 1,
                "filter": { "field": "hoursSinceCreated", "operator": "greater_than", "value": 4 } })),
            [
                ("/schedule/colour".to_owned(), "unknown_member"),
                ("/schedule/cron".to_owned(), "wrong_type"),
                ("/schedule/timezone".to_owned(), "unknown_zone"),
                ("/schedule/filter/field".to_owned(), "unknown_field"),
            ]
        );
        assert_eq!(
            faults(json!({})),
            [
                ("/schedule/cron".to_owned(), "required"),
                ("/schedule/timezone".to_owned(), "required")
            ]
        );
    }

    #[test]
    fn a_schedule_is_written_as_it_was_read() {
        let json = json!({ "cron": "15 10 * * *", "timezone": "Asia/Kathmandu",
            "filter": { "field": "tags", "operator": "contains", "value": "vpn" } });
        assert_eq!(Schedule::read(&json, "").unwrap().to_json(), json);
    }

    #[test]
    fn the_next_time_is_always_later_and_never_panics() {
        let lines = [
            "* * * * *",
            "0 0 29 2 *",
            "59 23 31 12 *",
            "0 0 L * *",
            "30 2 * * SUN",
            "0 0 1 1 *",
        ];
        let starts = [
            i64::from(i32::MIN),
            0,
            1_700_000_000,
            95_000_000_000,
            253_402_300_799,
            -62_135_596_800,
        ];
        for (line, zone) in lines.into_iter().zip(
            ["UTC", "Pacific/Apia", "Australia/Lord_Howe", "America/New_York"]
                .into_iter()
                .cycle(),
        ) {
            let schedule = schedule(line, zone);
            for start in starts {
                let start = DateTime::from_timestamp(start, 0).unwrap();
                let next = schedule.next_after(start);
                assert!(
                    next.is_none_or(|next| next > start),
                    "{line} {zone} {start} {next:?}"
                );
                let due = schedule.due(start, start + TimeDelta::days(3));
                assert!(due.is_none_or(|due| due > start), "{line} {zone} {start} {due:?}");
            }
        }
    }
}
