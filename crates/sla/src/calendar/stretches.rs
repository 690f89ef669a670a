//! What a time is made of: open and closed stretches, each with the reason.

use std::collections::VecDeque;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::plan::{Span, split, without};
use super::zone::Even;
use super::{Calendar, Holiday, MICROS_PER_DAY, moment};

/// A time in which a desk is open, or closed for one reason. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch<'a> {
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The moment behind its last.
    pub to: DateTime<Utc>,
    /// Open or not, and why not.
    pub why: Why<'a>,
}

impl Stretch<'_> {
    /// How long it is, in real time.
    #[must_use]
    pub fn length(&self) -> TimeDelta {
        self.to - self.from
    }
}

/// Whether a desk is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why<'a> {
    /// It is.
    Open,
    /// It is not.
    Shut(Shut<'a>),
}

/// Why a desk is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut<'a> {
    /// The week has no window there.
    Hours,
    /// The week has one, and a holiday took it; of several, the first of the document.
    Holiday(&'a Holiday),
}

/// The stretches of a time, in order. Goes from day to day.
#[derive(Debug)]
pub struct Stretches<'a> {
    calendar: &'a Calendar,
    evens: Vec<Even>,
    /// The even time that is looked at, and the next local moment in it.
    even: usize,
    local: Option<i64>,
    ready: VecDeque<Stretch<'a>>,
}

impl<'a> Stretches<'a> {
    pub(super) fn new(calendar: &'a Calendar, from: i64, to: i64) -> Self {
        Self {
            calendar,
            evens: calendar.offsets.between(from, to.max(from)).collect(),
            even: 0,
            local: None,
            ready: VecDeque::new(),
        }
    }

    /// Makes the stretches of one more day, or of the part of it with the same offset ready; false when there is none.
    fn next_day(&mut self) -> bool {
        let Some(even) = self.evens.get(self.even).copied() else {
            return false;
        };
        let from = self.local.unwrap_or(even.from + even.offset);
        let end = even.to + even.offset;
        let (day, _) = split(from);
        let midnight = i64::from(day) * MICROS_PER_DAY;
        let to = end.min(midnight + MICROS_PER_DAY);
        for (span, why) in self.of_day(day) {
            let begin = (midnight + span.from).max(from) - even.offset;
            let end = (midnight + span.to).min(to) - even.offset;
            if begin < end {
                self.put(begin, end, why);
            }
        }
        if to == end {
            self.even += 1;
            self.local = None;
        } else {
            self.local = Some(to);
        }
        true
    }

    /// The parts of a whole day, in order.
    fn of_day(&self, day: i32) -> Vec<(Span, Why<'a>)> {
        let calendar = self.calendar;
        let (usual, open) = (calendar.plan.usual(day), calendar.plan.open(day));
        let mut parts: Vec<(Span, Why<'a>)> = open.iter().map(|span| (*span, Why::Open)).collect();
        let mut taken = usual.to_vec();
        for span in open {
            taken = without(&taken, *span);
        }
        if !taken.is_empty() {
            let date =
                NaiveDate::from_num_days_from_ce_opt(day + super::EPOCH_DAY_FROM_CE).unwrap_or_default();
            for holiday in calendar.holidays.iter().filter(|holiday| holiday.is_on(date)) {
                let span = holiday.span();
                let left = without(&taken, span);
                for part in &taken {
                    let (from, to) = (part.from.max(span.from), part.to.min(span.to));
                    if from < to {
                        parts.push((Span { from, to }, Why::Shut(Shut::Holiday(holiday))));
                    }
                }
                taken = left;
            }
        }
        let mut rest = vec![Span {
            from: 0,
            to: MICROS_PER_DAY,
        }];
        for span in usual {
            rest = without(&rest, *span);
        }
        parts.extend(rest.into_iter().map(|span| (span, Why::Shut(Shut::Hours))));
        parts.sort_by_key(|(span, _)| span.from);
        parts
    }

    fn put(&mut self, from: i64, to: i64, why: Why<'a>) {
        match self.ready.back_mut() {
            Some(last) if last.why == why => last.to = moment(to),
            Some(_) | None => self.ready.push_back(Stretch {
                from: moment(from),
                to: moment(to),
                why,
            }),
        }
    }
}

impl<'a> Iterator for Stretches<'a> {
    type Item = Stretch<'a>;

    fn next(&mut self) -> Option<Stretch<'a>> {
        // The last one that is ready may go on the next day.
        while self.ready.len() < 2 && self.next_day() {}
        self.ready.pop_front()
    }
}
