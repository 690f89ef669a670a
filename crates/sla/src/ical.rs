//! Holidays from an iCalendar file (RFC 5545), as countries, calendar programs and web services give them out.
//!
//! [`read_holidays`] takes the events of a file that are holidays as a [`Calendar`](crate::Calendar) knows them, and tells of each other one
//! why it was not taken. Content lines are read here: the libraries for it refuse a whole file for one bad line, and then
//! nobody could say which event it was.
//!
//! # What is taken
//! - `VEVENT` with `DTSTART` as a date or a date with time, and `DTEND` or `DURATION`; a date without either is one day. Events of
//!   several days become one holiday for each. Times of other zones are those of the calendar's; seconds widen to the minute.
//! - `RRULE:FREQ=YEARLY` on the event's own day becomes a yearly holiday. With `COUNT`, `UNTIL` or `EXDATE` it becomes a holiday for each year, for
//!   [`YEARS_EXPANDED_MAX`] years at most.
//! - `SUMMARY` becomes the name, cut where it is too long. Whether an event is shown as busy (`TRANSP`) says nothing of the desk.
//!
//! To take more, extend `event`; whatever is not understood must end in a [`NotTaken`].

mod lines;

use std::collections::HashSet;

use chrono::{
    DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _, Utc,
};
use chrono_tz::Tz;
use kernel::Violation;

use self::lines::{Event, Property, events};
use crate::calendar::{DayTime, HOLIDAYS_MAX, Holiday, Window, YEAR_LAST};

/// The most bytes of a file.
pub const ICAL_MAX_BYTES: usize = 2 * 1024 * 1024;
/// The most events of a file.
pub const ICAL_EVENTS_MAX: usize = 5_000;
/// The most days of an event.
pub const ICAL_EVENT_MAX_DAYS: i64 = 100;
/// The most years that a yearly event is written out for, where it is not simply yearly.
pub const YEARS_EXPANDED_MAX: usize = 30;

/// What a file gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IcalHolidays {
    /// The holidays, in the order of the file; each once.
    pub holidays: Vec<Holiday>,
    /// What was not taken, or not whole, in the order of the file.
    pub notes: Vec<IcalNote>,
}

/// An event that was not taken, or not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcalNote {
    /// The line of the file at which it begins, from 1.
    pub line: usize,
    /// What it is called.
    pub name: Option<String>,
    /// Why.
    pub why: NotTaken,
}

/// Why an event was not taken, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotTaken {
    /// It has no begin, or none that can be read.
    #[error("it has no DTSTART that can be read")]
    NoStart,
    /// Its end cannot be read, or is not behind its begin.
    #[error("it has no time: DTEND or DURATION is missing, cannot be read, or is not behind DTSTART")]
    NoTime,
    /// It names a time zone that nobody but its file knows.
    #[error("its time zone is not one of IANA's")]
    UnknownZone,
    /// It is longer than a holiday can be.
    #[error("it lasts longer than {ICAL_EVENT_MAX_DAYS} days")]
    TooLong,
    /// It is in years that calendars do not know.
    #[error("it is outside of the years that calendars know")]
    OutOfRange,
    /// It repeats otherwise than each year on its day.
    #[error("it repeats otherwise than each year on its own day")]
    Recurrence,
    /// It repeats on further dates, which were not taken; it itself was.
    #[error("its further dates (RDATE) were not taken")]
    FurtherDates,
    /// It has years in which it is not; it was taken for the years ahead only.
    #[error("it was taken for {YEARS_EXPANDED_MAX} years only")]
    Shortened,
    /// It changes a single one of an event that repeats.
    #[error("it changes one of an event that repeats")]
    Exception,
    /// It was cancelled.
    #[error("it is cancelled")]
    Cancelled,
    /// There are as many holidays as a calendar can have.
    #[error("there are {HOLIDAYS_MAX} holidays already")]
    TooMany,
    /// The file ends in the middle of it.
    #[error("the file ends in the middle of it")]
    Unfinished,
}

/// Why a file gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IcalError {
    /// It is no calendar file.
    #[error("the file has no BEGIN:VCALENDAR")]
    NoCalendar,
    /// It is too large.
    #[error("the file has more than {ICAL_MAX_BYTES} bytes")]
    TooLarge,
    /// It has too many events.
    #[error("the file has more than {ICAL_EVENTS_MAX} events")]
    TooManyEvents,
}

/// The same for a zone by its name, as a request asks for it: `file` and `timezone` are members of one document.
///
/// # Errors
/// `unknown_timezone`, `not_a_calendar` or `too_long`, with the member.
pub fn import_holidays(file: &str, timezone: &str) -> Result<IcalHolidays, Violation> {
    let zone = timezone.parse::<Tz>().map_err(|_| {
        let message = "must be a time zone of IANA's database, such as Europe/Berlin";
        Violation::new("/timezone", "unknown_timezone", message)
    })?;
    read_holidays(file, zone).map_err(|error| {
        let code = match error {
            IcalError::NoCalendar => "not_a_calendar",
            IcalError::TooLarge | IcalError::TooManyEvents => "too_long",
        };
        Violation::new("/file", code, error.to_string())
    })
}

/// The holidays of a file for a calendar in a time zone.
///
/// # Errors
/// See [`IcalError`]. Single events never make an error; see [`IcalHolidays::notes`].
pub fn read_holidays(file: &str, zone: Tz) -> Result<IcalHolidays, IcalError> {
    if file.len() > ICAL_MAX_BYTES {
        return Err(IcalError::TooLarge);
    }
    let events = events(file)?;
    if events.len() > ICAL_EVENTS_MAX {
        return Err(IcalError::TooManyEvents);
    }
    let mut found = IcalHolidays::default();
    let mut known = HashSet::new();
    for read in &events {
        let name = read.name();
        let note = |why| IcalNote {
            line: read.line,
            name: name.clone(),
            why,
        };
        match event(read, zone) {
            Ok(Taken { holidays, but }) => {
                found.notes.extend(but.map(note));
                for holiday in holidays {
                    let key = (holiday.date(), holiday.hours(), holiday.is_yearly());
                    if known.contains(&key) {
                        continue;
                    }
                    if found.holidays.len() >= HOLIDAYS_MAX {
                        found.notes.push(note(NotTaken::TooMany));
                        break;
                    }
                    known.insert(key);
                    // A name that is no line was made one.
                    let named = name
                        .as_ref()
                        .and_then(|name| holiday.clone().named("", name).ok());
                    found.holidays.push(named.unwrap_or(holiday));
                }
            }
            Err(why) => found.notes.push(note(why)),
        }
    }
    Ok(found)
}

/// The holidays of an event, and what is to be said of them.
struct Taken {
    holidays: Vec<Holiday>,
    but: Option<NotTaken>,
}

/// A begin or an end as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Date(NaiveDate),
    /// On the wall clock of the calendar's zone; whether that is so by the way it was written.
    Local(NaiveDateTime, Kept),
}

/// Whether a time is the same on the calendar's wall clock each year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    EachYear,
    ThisYear,
}

fn event(read: &Event, zone: Tz) -> Result<Taken, NotTaken> {
    if !read.is_finished {
        return Err(NotTaken::Unfinished);
    }
    let status = read
        .property("STATUS")
        .map(|status| status.value.trim().to_ascii_uppercase());
    if status.as_deref() == Some("CANCELLED") {
        return Err(NotTaken::Cancelled);
    }
    if read.property("RECURRENCE-ID").is_some() {
        return Err(NotTaken::Exception);
    }
    let start = when(
        read.property("DTSTART").ok_or(NotTaken::NoStart)?,
        zone,
        NotTaken::NoStart,
    )?;
    let (from, to, kept) = span(read, start, zone)?;
    if to - from > TimeDelta::days(ICAL_EVENT_MAX_DAYS) {
        return Err(NotTaken::TooLong);
    }
    let further = read.property("RDATE").map(|_| NotTaken::FurtherDates);
    let Some(rule) = read.property("RRULE") else {
        let holidays = days(from, to)?;
        return Ok(Taken {
            holidays,
            but: further,
        });
    };
    let rule = Yearly::read(&rule.value, from.date(), zone)?;
    if kept == Kept::ThisYear {
        return Err(NotTaken::Recurrence);
    }
    let mut except = HashSet::new();
    for property in read.all("EXDATE") {
        for value in property.value.split(',') {
            except.insert(match moment(property, value, zone, NotTaken::Recurrence)? {
                When::Date(date) => date,
                When::Local(time, _) => time.date(),
            });
        }
    }
    if except.is_empty() && rule.is_endless() {
        let holidays = days(from, to)?.into_iter().map(Holiday::yearly);
        return Ok(Taken {
            holidays: holidays.collect(),
            but: further,
        });
    }
    let (mut holidays, mut but) = (Vec::new(), further);
    let starts = (from.year()..=YEAR_LAST).filter_map(|year| from.date().with_year(year));
    for (index, date) in starts
        .enumerate()
        .take_while(|(index, date)| rule.has(*index, *date))
    {
        if index >= YEARS_EXPANDED_MAX {
            but = Some(NotTaken::Shortened);
            break;
        }
        if !except.contains(&date) {
            let shift = date - from.date();
            holidays.extend(days(from + shift, to + shift)?);
        }
    }
    Ok(Taken { holidays, but })
}

/// From when to when an event is, on the calendar's wall clock.
fn span(read: &Event, start: When, zone: Tz) -> Result<(NaiveDateTime, NaiveDateTime, Kept), NotTaken> {
    let (from, kept) = match start {
        When::Date(date) => (date.and_time(NaiveTime::MIN), Kept::EachYear),
        When::Local(time, kept) => (time, kept),
    };
    let to = match (read.property("DTEND"), read.property("DURATION"), start) {
        (Some(end), _, _) => match when(end, zone, NotTaken::NoTime)? {
            When::Date(date) => date.and_time(NaiveTime::MIN),
            When::Local(time, _) => time,
        },
        (None, Some(length), _) => {
            let length = duration(length.value.trim()).ok_or(NotTaken::NoTime)?;
            from.checked_add_signed(length).ok_or(NotTaken::OutOfRange)?
        }
        (None, None, When::Date(_)) => from.checked_add_days(Days::new(1)).ok_or(NotTaken::OutOfRange)?,
        (None, None, When::Local(..)) => return Err(NotTaken::NoTime),
    };
    if to <= from {
        return Err(NotTaken::NoTime);
    }
    Ok((from, to, kept))
}

/// A yearly rule.
struct Yearly {
    count: Option<usize>,
    until: Option<NaiveDate>,
}

impl Yearly {
    fn read(rule: &str, start: NaiveDate, zone: Tz) -> Result<Self, NotTaken> {
        let mut yearly = Self {
            count: None,
            until: None,
        };
        let mut is_yearly = false;
        for part in rule.trim().split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(NotTaken::Recurrence)?;
            let is = |number: u32| value.parse() == Ok(number);
            let fits = match name.to_ascii_uppercase().as_str() {
                "FREQ" => {
                    is_yearly = value.eq_ignore_ascii_case("YEARLY");
                    is_yearly
                }
                "INTERVAL" => is(1),
                "BYMONTH" => is(start.month()),
                "BYMONTHDAY" => is(start.day()),
                "WKST" => true,
                "COUNT" => {
                    yearly.count = value.parse().ok();
                    yearly.count.is_some()
                }
                "UNTIL" => {
                    yearly.until = match stamp(value, Some(zone), zone) {
                        Some(When::Date(date)) => Some(date),
                        Some(When::Local(time, _)) => Some(time.date()),
                        None => None,
                    };
                    yearly.until.is_some()
                }
                _ => false,
            };
            if !fits {
                return Err(NotTaken::Recurrence);
            }
        }
        if is_yearly {
            Ok(yearly)
        } else {
            Err(NotTaken::Recurrence)
        }
    }

    fn is_endless(&self) -> bool {
        self.count.is_none() && self.until.is_none()
    }

    fn has(&self, index: usize, date: NaiveDate) -> bool {
        self.count.is_none_or(|count| index < count) && self.until.is_none_or(|until| date <= until)
    }
}

fn when(property: &Property, zone: Tz, otherwise: NotTaken) -> Result<When, NotTaken> {
    moment(property, &property.value, zone, otherwise)
}

/// A date or a time of a property, on the wall clock of `zone`.
fn moment(property: &Property, value: &str, zone: Tz, otherwise: NotTaken) -> Result<When, NotTaken> {
    let theirs = match property.param("TZID") {
        // Some programs write a path before the name.
        Some(name) => {
            let known = name.trim_start_matches('/').parse::<Tz>().ok();
            let last = || name.rsplitn(3, '/').take(2).collect::<Vec<_>>();
            let known = known.or_else(|| match last().as_slice() {
                [city, region] => format!("{region}/{city}").parse().ok(),
                _ => None,
            });
            Some(known.ok_or(NotTaken::UnknownZone)?)
        }
        None => None,
    };
    stamp(value.trim(), theirs, zone).ok_or(otherwise)
}

/// `20261225`, `20261225T120000` (of the zone named, else of the calendar's) or `20261225T120000Z`.
fn stamp(value: &str, theirs: Option<Tz>, zone: Tz) -> Option<When> {
    if value.len() == 8 {
        return NaiveDate::parse_from_str(value, "%Y%m%d").ok().map(When::Date);
    }
    let (text, is_utc) = match value.strip_suffix('Z') {
        Some(text) => (text, true),
        None => (value, false),
    };
    if text.len() != 15 {
        return None;
    }
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok()?;
    let kept = |theirs| {
        if theirs == zone {
            Kept::EachYear
        } else {
            Kept::ThisYear
        }
    };
    if is_utc {
        let local = DateTime::<Utc>::from_naive_utc_and_offset(time, Utc).with_timezone(&zone);
        return Some(When::Local(local.naive_local(), kept(Tz::UTC)));
    }
    match theirs {
        Some(theirs) if theirs != zone => {
            let there = time.and_local_timezone(theirs).earliest()?;
            Some(When::Local(
                there.with_timezone(&zone).naive_local(),
                kept(theirs),
            ))
        }
        Some(_) | None => Some(When::Local(time, Kept::EachYear)),
    }
}

/// A length such as `P1D`, `PT12H30M` or `P2W`.
fn duration(text: &str) -> Option<TimeDelta> {
    let mut rest = text.strip_prefix('+').unwrap_or(text).strip_prefix('P')?;
    let (mut length, mut is_time) = (TimeDelta::zero(), false);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            (rest, is_time) = (time, true);
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = rest
            .get(..digits)
            .filter(|digits| digits.len() <= 8)?
            .parse()
            .ok()?;
        let unit = rest.get(digits..)?.chars().next()?;
        length += match (unit, is_time) {
            ('W', false) => TimeDelta::try_weeks(count)?,
            ('D', false) => TimeDelta::try_days(count)?,
            ('H', true) => TimeDelta::try_hours(count)?,
            ('M', true) => TimeDelta::try_minutes(count)?,
            ('S', true) => TimeDelta::try_seconds(count)?,
            _ => return None,
        };
        rest = rest.get(digits + 1..)?;
    }
    (length > TimeDelta::zero()).then_some(length)
}

/// A holiday for each day of a time on the wall clock.
fn days(from: NaiveDateTime, to: NaiveDateTime) -> Result<Vec<Holiday>, NotTaken> {
    let mut holidays = Vec::new();
    let mut date = from.date();
    while date.and_time(NaiveTime::MIN) < to {
        let begin = if date == from.date() {
            minute(from.time())
        } else {
            DayTime::START
        };
        let end = if date == to.date() {
            // Into the last minute.
            let second = u16::from(to.time().second() > 0);
            DayTime::from_minutes(minute(to.time()).minutes() + second).unwrap_or(DayTime::END)
        } else {
            DayTime::END
        };
        let holiday = Holiday::new(date).ok_or(NotTaken::OutOfRange)?;
        let hours = Window::new(begin, end).ok_or(NotTaken::NoTime)?;
        holidays.push(holiday.during(hours));
        date = date.succ_opt().ok_or(NotTaken::OutOfRange)?;
    }
    Ok(holidays)
}

fn minute(time: NaiveTime) -> DayTime {
    let minutes = time.hour() * 60 + time.minute();
    u16::try_from(minutes)
        .ok()
        .and_then(DayTime::from_minutes)
        .unwrap_or(DayTime::START)
}

#[cfg(test)]
mod tests;
