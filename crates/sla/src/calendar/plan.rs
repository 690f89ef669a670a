//! How much working time there is up to a moment of local time, as precomputed tables.
//!
//! Local time is taken as an even count of microseconds since 1970-01-01T00:00 on the wall clock. Weeks without holidays
//! are all the same, so the working time up to any moment is: whole weeks, the part of the week, less what holidays took.
//! Both directions, from moment to amount and back, are searches in sorted tables.

use chrono::{Datelike as _, NaiveDate};

use super::{Holiday, MICROS_PER_DAY, Weekly};

/// The first local day that any zone can show at the epoch, and the last one at the horizon; in days since 1970.
const DAYS: std::ops::RangeInclusive<i32> = -1..=super::HORIZON_DAY + 1;
/// 1970 began on a Thursday: so many days after a Monday.
const DAYS_SINCE_MONDAY: i32 = 3;

/// A part of a day, in microseconds since its midnight on the wall clock; without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Span {
    fn length(self) -> i64 {
        self.to - self.from
    }
}

/// A day that is not like the others of its name.
#[derive(Debug, Clone)]
struct Special {
    day: i32,
    open: Box<[Span]>,
    /// The working time that holidays took away up to the end of this day.
    lost: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    week: [Box<[Span]>; 7],
    /// The working time of a week up to the beginning of its days, and of the whole.
    before: [i64; 8],
    special: Box<[Special]>,
}

impl Plan {
    pub(super) fn new(weekly: &Weekly, holidays: &[Holiday]) -> Self {
        let week = weekly.days().map(|windows| {
            let spans = windows.iter().map(|window| Span {
                from: window.from().micros(),
                to: window.to().micros(),
            });
            spans.collect::<Box<[Span]>>()
        });
        let mut before = [0; 8];
        let mut sum = 0;
        for (spans, before) in week.iter().zip(before.iter_mut().skip(1)) {
            sum += total(spans);
            *before = sum;
        }
        let mut plan = Self {
            week,
            before,
            special: Box::default(),
        };
        plan.special = plan.specials(holidays);
        plan
    }

    fn specials(&self, holidays: &[Holiday]) -> Box<[Special]> {
        let mut closed: Vec<(i32, Span)> = Vec::new();
        for holiday in holidays {
            let span = holiday.span();
            if holiday.is_yearly() {
                let days = (super::YEAR_FIRST - 1..=super::YEAR_LAST + 1)
                    .filter_map(|year| holiday.date().with_year(year))
                    .map(|date| (day_number(date), span));
                closed.extend(days);
            } else {
                closed.push((day_number(holiday.date()), span));
            }
        }
        closed.retain(|(day, _)| DAYS.contains(day));
        closed.sort_by_key(|(day, span)| (*day, span.from));
        let mut lost = 0;
        let of_one_day = closed.chunk_by(|a, b| a.0 == b.0);
        of_one_day
            .filter_map(|closed| {
                let (day, _) = *closed.first()?;
                let usual = self.usual(day);
                let mut open = usual.to_vec();
                for (_, span) in closed {
                    open = without(&open, *span);
                }
                lost += total(usual) - total(&open);
                Some(Special {
                    day,
                    open: open.into(),
                    lost,
                })
            })
            .collect()
    }

    /// The working time of a week without holidays.
    pub(super) fn of_a_week(&self) -> i64 {
        let [.., whole] = self.before;
        whole
    }

    /// When a day of its name is open.
    pub(super) fn usual(&self, day: i32) -> &[Span] {
        let index = (day + DAYS_SINCE_MONDAY).rem_euclid(7);
        usize::try_from(index)
            .ok()
            .and_then(|index| self.week.get(index))
            .map_or(&[], |spans| spans)
    }

    /// When this very day is open.
    pub(super) fn open(&self, day: i32) -> &[Span] {
        match self.special.binary_search_by_key(&day, |special| special.day) {
            Ok(index) => self.special.get(index).map_or(&[], |special| &special.open),
            Err(_) => self.usual(day),
        }
    }

    /// The working time up to the beginning of a day, from some day on that is always the same.
    fn until_day(&self, day: i32) -> i64 {
        let days = day + DAYS_SINCE_MONDAY;
        let in_week = usize::try_from(days.rem_euclid(7)).unwrap_or(0);
        let usual =
            i64::from(days.div_euclid(7)) * self.of_a_week() + self.before.get(in_week).copied().unwrap_or(0);
        let holidays_before = self.special.partition_point(|special| special.day < day);
        let last = holidays_before
            .checked_sub(1)
            .and_then(|index| self.special.get(index));
        usual - last.map_or(0, |special| special.lost)
    }

    /// The working time up to a local moment, from some moment on that is always the same.
    pub(super) fn until(&self, local: i64) -> i64 {
        let (day, time) = split(local);
        let today = self
            .open(day)
            .iter()
            .map(|span| (time.min(span.to) - span.from).max(0));
        self.until_day(day) + today.sum::<i64>()
    }

    /// Whether a local moment is open.
    pub(super) fn is_open(&self, local: i64) -> bool {
        let (day, time) = split(local);
        self.open(day)
            .iter()
            .any(|span| span.from <= time && time < span.to)
    }

    /// The earliest local moment up to which there is `amount`; it lies behind `from` and not behind `to`.
    pub(super) fn first_with(&self, amount: i64, from: i64, to: i64) -> i64 {
        let day = self.last_day_with(|until| until < amount, from, to);
        let mut missing = amount - self.until_day(day);
        for span in self.open(day) {
            if missing <= span.length() {
                return i64::from(day) * MICROS_PER_DAY + span.from + missing;
            }
            missing -= span.length();
        }
        to
    }

    /// The latest local moment up to which there is only `amount`; it lies before `to` and not before `from`.
    pub(super) fn last_with(&self, amount: i64, from: i64, to: i64) -> i64 {
        let day = self.last_day_with(|until| until <= amount, from, to);
        let mut missing = amount - self.until_day(day);
        for span in self.open(day) {
            if missing < span.length() {
                return i64::from(day) * MICROS_PER_DAY + span.from + missing;
            }
            missing -= span.length();
        }
        to
    }

    /// The last day of those from `from` to `to` whose beginning is so; those before it are, too.
    fn last_day_with(&self, is_so: impl Fn(i64) -> bool, from: i64, to: i64) -> i32 {
        let (mut low, last) = (split(from).0, split(to).0);
        let mut step = 1;
        while low + step <= last && is_so(self.until_day(low + step)) {
            low += step;
            step *= 2;
        }
        let mut high = (low + step).min(last + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if is_so(self.until_day(middle)) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// The day and the time of day of a local moment.
pub(super) fn split(local: i64) -> (i32, i64) {
    let day = local.div_euclid(MICROS_PER_DAY);
    // Moments lie between the epoch and the horizon, give or take an offset.
    (
        i32::try_from(day).unwrap_or(i32::MAX),
        local.rem_euclid(MICROS_PER_DAY),
    )
}

/// Days since 1970.
pub(super) fn day_number(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - super::EPOCH_DAY_FROM_CE
}

fn total(spans: &[Span]) -> i64 {
    spans.iter().map(|span| span.length()).sum()
}

/// What is left of sorted spans.
pub(super) fn without(spans: &[Span], taken: Span) -> Vec<Span> {
    let left = |span: &Span| {
        [
            Span {
                from: span.from,
                to: span.to.min(taken.from),
            },
            Span {
                from: span.from.max(taken.to),
                to: span.to,
            },
        ]
    };
    spans
        .iter()
        .flat_map(left)
        .filter(|span| span.from < span.to)
        .collect()
}
