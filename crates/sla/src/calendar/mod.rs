//! Calendars of working time: when a desk is open, and exact arithmetic with it.
//!
//! A [`Calendar`] has a time zone, [weekly](Weekly) windows and [holidays](Holiday). It is [read](Calendar::read) from the JSON
//! document `businessHours` and [written](Calendar::to_json) as one.
//!
//! # What it promises
//! - A moment is open if and only if its local wall clock lies in a window, from its first moment on and without its
//!   end, and in no holiday. So a window that lies in an hour that is skipped is not open that day, and one in an hour
//!   that comes twice is open twice. A day that a zone skipped does not exist.
//! - Elapsed time is real time, in microseconds.
//! - [`Calendar::add`] gives the earliest moment at which so much working time has passed. Closing time itself is
//!   therefore a possible answer, the next opening is not.
//! - What is asked costs the same for a day and for ten years: see the modules `plan` and `zone`. Only [`Calendar::stretches`]
//!   goes from day to day, for who looks at each.
//! - Moments from [`EPOCH`](Calendar::epoch) to the [horizon](Calendar::horizon) are known, the years 1970 to 2099: that far the
//!   database of time zones goes. Beyond it is a [`TimeError`], never a guess and never a panic.
//!
//! # Rules that a reader may ask for
//! - Windows of a day may touch (they become one) and must not overlap. 24:00 ends a day.
//! - A yearly holiday is on that day of each year, also of the years before its date. One of 29 February is in leap years
//!   only, as RFC 5545 has it for yearly events.
//! - A holiday without `from` begins at 00:00, one without `to` ends at 24:00.
//! - A calendar whose week has no working time is refused. One whose holidays leave none cannot be told when it is made,
//!   since holidays end some day; [`Calendar::next_open`] looks [`NEXT_OPENING_YEARS_MAX`] years ahead and then says so.

mod document;
mod plan;
mod stretches;
mod zone;

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use kernel::text::TextRule;
use kernel::{Violation, Violations};

pub use stretches::{Shut, Stretch, Stretches, Why};

use plan::{Plan, Span};
use zone::Offsets;

/// The most windows of a day.
pub const WINDOWS_PER_DAY_MAX: usize = 20;
/// The most holidays of a calendar.
pub const HOLIDAYS_MAX: usize = 1_000;
/// The most characters of a holiday's name.
pub const HOLIDAY_NAME_MAX_CHARS: usize = 100;
/// How far ahead the next opening is looked for, in years of 366 days.
pub const NEXT_OPENING_YEARS_MAX: i64 = 10;
/// The first year that calendars know.
pub const YEAR_FIRST: i32 = 1970;
/// The last year that calendars know: behind it the database of time zones has no changes any more.
pub const YEAR_LAST: i32 = 2099;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 1970-01-01, in days since the year 1.
const EPOCH_DAY_FROM_CE: i32 = 719_163;
/// 2100-01-01, in days since 1970.
const HORIZON_DAY: i32 = 47_482;
const EPOCH_SECONDS: i64 = 0;
const HORIZON_SECONDS: i64 = HORIZON_DAY as i64 * 86_400;

/// When a desk is open.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: Tz,
    weekly: Weekly,
    holidays: Vec<Holiday>,
    offsets: Offsets,
    plan: Plan,
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        // The rest follows from these.
        (self.zone, &self.weekly, &self.holidays) == (other.zone, &other.weekly, &other.holidays)
    }
}

/// Why there is no answer about a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// It lies, or what follows from it would lie, outside of the years that calendars know.
    #[error("the moment lies outside of the years {YEAR_FIRST} to {YEAR_LAST}")]
    OutOfRange,
    /// The holidays leave no working time in the years ahead that are looked through.
    #[error("the calendar does not open within {NEXT_OPENING_YEARS_MAX} years")]
    NeverOpens,
}

/// A time of day in whole minutes, 00:00 to 24:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayTime(u16);

impl DayTime {
    /// 00:00.
    pub const START: DayTime = DayTime(0);
    /// 24:00.
    pub const END: DayTime = DayTime(24 * 60);

    /// The time so many minutes after midnight, 0 to 1440.
    #[must_use]
    pub fn from_minutes(minutes: u16) -> Option<Self> {
        (minutes <= Self::END.0).then_some(Self(minutes))
    }

    /// Reads `HH:MM`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let &[h1, h2, b':', m1, m2] = text.as_bytes() else {
            return None;
        };
        let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
        let hours = digit(h1)? * 10 + digit(h2)?;
        let minutes = digit(m1)? * 10 + digit(m2)?;
        (minutes < 60).then(|| Self::from_minutes(hours * 60 + minutes))?
    }

    /// Minutes since midnight.
    #[must_use]
    pub fn minutes(self) -> u16 {
        self.0
    }

    fn micros(self) -> i64 {
        i64::from(self.0) * MICROS_PER_MINUTE
    }
}

impl std::fmt::Display for DayTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A part of a day on the wall clock, without its end; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    from: DayTime,
    to: DayTime,
}

impl Window {
    /// The whole day.
    pub const DAY: Window = Window {
        from: DayTime::START,
        to: DayTime::END,
    };

    /// A window; `None` where it would be empty.
    #[must_use]
    pub fn new(from: DayTime, to: DayTime) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// Its first minute.
    #[must_use]
    pub fn from(self) -> DayTime {
        self.from
    }

    /// The minute behind its last.
    #[must_use]
    pub fn to(self) -> DayTime {
        self.to
    }
}

/// The windows of the days of a week: sorted, apart from each other, and at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weekly([Vec<Window>; 7]);

impl Weekly {
    /// The windows of Monday to Sunday. Those that touch become one.
    ///
    /// # Errors
    /// With pointers into the document's form (`/monday/1`): `overlap`, `too_many` or `no_working_time`.
    pub fn new(days: [Vec<Window>; 7]) -> Result<Self, Violations> {
        let mut faults = Violations::new();
        let mut merged = days.clone();
        for ((name, windows), merged) in document::DAYS.iter().zip(&days).zip(merged.iter_mut()) {
            if windows.len() > WINDOWS_PER_DAY_MAX {
                let message = format!("must have at most {WINDOWS_PER_DAY_MAX} elements");
                faults.push(Violation::new(format!("/{name}"), "too_many", message));
                continue;
            }
            let mut numbered: Vec<_> = windows.iter().copied().enumerate().collect();
            numbered.sort_by_key(|(_, window)| (window.from, window.to));
            merged.clear();
            for (index, window) in numbered {
                match merged.last_mut() {
                    Some(last) if window.from < last.to => {
                        let message = format!("must not overlap the window {}–{}", last.from, last.to);
                        faults.push(Violation::new(format!("/{name}/{index}"), "overlap", message));
                        last.to = last.to.max(window.to);
                    }
                    Some(last) if window.from == last.to => last.to = window.to,
                    Some(_) | None => merged.push(window),
                }
            }
        }
        if days.iter().all(Vec::is_empty) {
            let message = "must have at least one window: a calendar without working time has no deadlines";
            faults.push(Violation::new("", "no_working_time", message));
        }
        faults.into_result()?;
        Ok(Self(merged))
    }

    /// Monday to Sunday.
    #[must_use]
    pub fn days(&self) -> [&[Window]; 7] {
        self.0.each_ref().map(Vec::as_slice)
    }
}

/// A day, or a part of one, on which the desk is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holiday {
    date: NaiveDate,
    hours: Window,
    name: Option<String>,
    is_yearly: bool,
}

impl Holiday {
    const NAME_RULE: TextRule = TextRule::line(1, HOLIDAY_NAME_MAX_CHARS);

    /// A holiday on a whole day of the years that calendars know; `None` outside of them.
    #[must_use]
    pub fn new(date: NaiveDate) -> Option<Self> {
        (YEAR_FIRST..=YEAR_LAST).contains(&date.year()).then_some(Self {
            date,
            hours: Window::DAY,
            name: None,
            is_yearly: false,
        })
    }

    /// The same on a part of the day.
    #[must_use]
    pub fn during(mut self, hours: Window) -> Self {
        self.hours = hours;
        self
    }

    /// The same each year.
    #[must_use]
    pub fn yearly(mut self) -> Self {
        self.is_yearly = true;
        self
    }

    /// The same under a name; see [`HOLIDAY_NAME_MAX_CHARS`].
    ///
    /// # Errors
    /// When the name is empty, too long or no line.
    pub fn named(mut self, pointer: &str, name: &str) -> Result<Self, Violation> {
        self.name = Some(Self::NAME_RULE.parse(pointer, name)?);
        Ok(self)
    }

    /// The day, or one of those of a yearly one.
    #[must_use]
    pub fn date(&self) -> NaiveDate {
        self.date
    }

    /// When on the day.
    #[must_use]
    pub fn hours(&self) -> Window {
        self.hours
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it is on that day of each year.
    #[must_use]
    pub fn is_yearly(&self) -> bool {
        self.is_yearly
    }

    fn span(&self) -> Span {
        Span {
            from: self.hours.from.micros(),
            to: self.hours.to.micros(),
        }
    }

    fn is_on(&self, date: NaiveDate) -> bool {
        if self.is_yearly {
            (self.date.month(), self.date.day()) == (date.month(), date.day())
        } else {
            self.date == date
        }
    }
}

impl Calendar {
    /// A calendar of these parts.
    ///
    /// # Errors
    /// `too_many` at `/holidays` for more than [`HOLIDAYS_MAX`].
    pub fn new(zone: Tz, weekly: Weekly, holidays: Vec<Holiday>) -> Result<Self, Violation> {
        if holidays.len() > HOLIDAYS_MAX {
            let message = format!(
                "must have at most {HOLIDAYS_MAX} elements, has {}",
                holidays.len()
            );
            return Err(Violation::new("/holidays", "too_many", message));
        }
        Ok(Self {
            zone,
            plan: Plan::new(&weekly, &holidays),
            weekly,
            holidays,
            offsets: Offsets::of(zone),
        })
    }

    /// The first moment that calendars know: the beginning of 1970.
    #[must_use]
    pub fn epoch() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    /// The moment up to which calendars know their way: the end of 2099.
    #[must_use]
    pub fn horizon() -> DateTime<Utc> {
        moment(HORIZON_SECONDS * MICROS_PER_SECOND)
    }

    /// The time zone.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The windows of the week.
    #[must_use]
    pub fn weekly(&self) -> &Weekly {
        &self.weekly
    }

    /// The holidays, in the order of the document.
    #[must_use]
    pub fn holidays(&self) -> &[Holiday] {
        &self.holidays
    }

    /// The working time of a week without holidays.
    #[must_use]
    pub fn working_time_of_a_week(&self) -> TimeDelta {
        TimeDelta::microseconds(self.plan.of_a_week())
    }

    /// Whether the desk is open at a moment.
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`].
    pub fn is_open(&self, at: DateTime<Utc>) -> Result<bool, TimeError> {
        let at = micros(at)?;
        Ok(self.plan.is_open(at + self.offsets.at(at)))
    }

    /// The first moment from `at` on at which the desk is open; `at` itself where it is.
    ///
    /// # Errors
    /// [`TimeError::NeverOpens`] when there is none within [`NEXT_OPENING_YEARS_MAX`] years;
    /// [`TimeError::OutOfRange`] for a moment outside of the known years, or when they end before.
    pub fn next_open(&self, at: DateTime<Utc>) -> Result<DateTime<Utc>, TimeError> {
        let at = micros(at)?;
        let bound = at + NEXT_OPENING_YEARS_MAX * 366 * MICROS_PER_DAY;
        // What is open has passed a microsecond of working time right behind it.
        match self.advance(at, 1, bound.min(HORIZON)) {
            Some(behind) => Ok(moment(behind - 1)),
            None if bound < HORIZON => Err(TimeError::NeverOpens),
            None => Err(TimeError::OutOfRange),
        }
    }

    /// The earliest moment at which `working` has passed since `start`; `start` itself for none or less.
    ///
    /// # Errors
    /// [`TimeError::NeverOpens`] when holidays leave no opening, [`TimeError::OutOfRange`] when the known years end
    /// before.
    pub fn add(&self, start: DateTime<Utc>, working: TimeDelta) -> Result<DateTime<Utc>, TimeError> {
        let from = micros(start)?;
        let wanted = working.num_microseconds().ok_or(TimeError::OutOfRange)?;
        if wanted <= 0 {
            return Ok(moment(from));
        }
        match self.advance(from, wanted, HORIZON) {
            Some(at) => Ok(moment(at)),
            None => {
                self.next_open(start)?;
                Err(TimeError::OutOfRange)
            }
        }
    }

    /// The latest moment from which on `working` passes until `end`; `end` itself for none or less.
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`] when there was not so much since the epoch.
    pub fn back(&self, end: DateTime<Utc>, working: TimeDelta) -> Result<DateTime<Utc>, TimeError> {
        let to = micros(end)?;
        let mut wanted = working.num_microseconds().ok_or(TimeError::OutOfRange)?;
        if wanted <= 0 {
            return Ok(moment(to));
        }
        for even in self.offsets.back(0, to) {
            let (from, to) = (even.from + even.offset, even.to + even.offset);
            let until = self.plan.until(to);
            let there = until - self.plan.until(from);
            if wanted <= there {
                return Ok(moment(
                    self.plan.last_with(until - wanted, from, to) - even.offset,
                ));
            }
            wanted -= there;
        }
        Err(TimeError::OutOfRange)
    }

    /// The working time from `a` to `b`; negative where `b` is earlier.
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`].
    pub fn between(&self, a: DateTime<Utc>, b: DateTime<Utc>) -> Result<TimeDelta, TimeError> {
        if b < a {
            return self.between(b, a).map(|working| -working);
        }
        let evens = self.offsets.between(micros(a)?, micros(b)?);
        let there = evens
            .map(|even| self.plan.until(even.to + even.offset) - self.plan.until(even.from + even.offset));
        Ok(TimeDelta::microseconds(there.sum()))
    }

    /// What `a` to `b` is made of: open and closed stretches in turn, each with the reason. They touch each other and
    /// neighbours differ. Nothing where `b` is not later.
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`].
    pub fn stretches(&self, a: DateTime<Utc>, b: DateTime<Utc>) -> Result<Stretches<'_>, TimeError> {
        Ok(Stretches::new(self, micros(a)?, micros(b)?))
    }

    /// The earliest moment not behind `bound` at which `wanted` > 0 has passed.
    fn advance(&self, from: i64, wanted: i64, bound: i64) -> Option<i64> {
        let mut missing = wanted;
        for even in self.offsets.between(from, bound) {
            let (from, to) = (even.from + even.offset, even.to + even.offset);
            let until = self.plan.until(from);
            let there = self.plan.until(to) - until;
            if missing <= there {
                return Some(self.plan.first_with(until + missing, from, to) - even.offset);
            }
            missing -= there;
        }
        None
    }
}

const HORIZON: i64 = HORIZON_SECONDS * MICROS_PER_SECOND;

/// A moment in microseconds since 1970, if calendars know it. The horizon itself is one, as an end.
fn micros(at: DateTime<Utc>) -> Result<i64, TimeError> {
    let micros = at.timestamp_micros();
    if (0..=HORIZON).contains(&micros) {
        Ok(micros)
    } else {
        Err(TimeError::OutOfRange)
    }
}

/// The moment of microseconds between the epoch and the horizon, where there is always one.
fn moment(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

#[cfg(test)]
mod tests;
