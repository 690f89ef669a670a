//! Offsets of a time zone as a table.
//!
//! `chrono-tz` answers what the offset is at a moment, not when it changes. The changes between [`EPOCH_SECONDS`] and
//! [`HORIZON_SECONDS`] are found once for each zone and process and then kept: between two of them local time runs evenly, which
//! is what makes the arithmetic of [`Calendar`](super::Calendar) independent of how many days it spans.

use std::sync::OnceLock;

use chrono::{DateTime, Offset as _, TimeZone as _};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::{EPOCH_SECONDS, HORIZON_SECONDS, MICROS_PER_SECOND};

/// How far apart a zone's offset is looked at, in seconds. The shortest time between two changes in the database of time
/// zones is a little under 7 days (Brazil in October 2000); a test holds it to more than this.
const PROBE_SECONDS: i64 = 4 * 86_400;

/// From when on an offset is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// The first moment, in microseconds since 1970.
    pub(super) at: i64,
    /// Local time less UTC, in microseconds.
    pub(super) offset: i64,
}

/// A time in which a zone's offset stays the same; in microseconds since 1970, UTC, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Even {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) offset: i64,
}

/// The changes of a zone, in order; the first is at the epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offsets(&'static [Change]);

static TABLES: [OnceLock<Box<[Change]>>; TZ_VARIANTS.len()] = [const { OnceLock::new() }; TZ_VARIANTS.len()];

impl Offsets {
    pub(super) fn of(zone: Tz) -> Self {
        // A zone's number is its place among all.
        Self(
            TABLES
                .get(zone as usize)
                .map_or(&[], |table| table.get_or_init(|| changes(zone))),
        )
    }

    fn place(self, at: i64) -> usize {
        self.0.partition_point(|change| change.at <= at).saturating_sub(1)
    }

    /// The offset at a moment.
    pub(super) fn at(self, at: i64) -> i64 {
        self.0.get(self.place(at)).map_or(0, |change| change.offset)
    }

    /// The even times that make up `from` to `to`, in order.
    pub(super) fn between(self, from: i64, to: i64) -> impl Iterator<Item = Even> {
        let changes = self.0.get(self.place(from)..).unwrap_or(&[]);
        changes.iter().enumerate().map_while(move |(index, change)| {
            let begin = change.at.max(from);
            let end = changes.get(index + 1).map_or(to, |next| next.at.min(to));
            (begin < end).then_some(Even {
                from: begin,
                to: end,
                offset: change.offset,
            })
        })
    }

    /// The same, the latest first.
    pub(super) fn back(self, from: i64, to: i64) -> impl Iterator<Item = Even> {
        let mut end = to;
        self.0
            .get(..=self.place(to))
            .unwrap_or(&[])
            .iter()
            .rev()
            .filter_map(move |change| {
                let begin = change.at.max(from);
                let even = Even {
                    from: begin,
                    to: end,
                    offset: change.offset,
                };
                let is_some = begin < end;
                end = end.min(begin);
                is_some.then_some(even)
            })
    }
}

fn offset_seconds(zone: Tz, at_seconds: i64) -> i64 {
    let utc = DateTime::from_timestamp(at_seconds, 0).unwrap_or_default();
    i64::from(
        zone.offset_from_utc_datetime(&utc.naive_utc())
            .fix()
            .local_minus_utc(),
    )
}

fn changes(zone: Tz) -> Box<[Change]> {
    let mut offset = offset_seconds(zone, EPOCH_SECONDS);
    let mut found = vec![(EPOCH_SECONDS, offset)];
    let mut at = EPOCH_SECONDS;
    while at < HORIZON_SECONDS {
        let next = (at + PROBE_SECONDS).min(HORIZON_SECONDS);
        let later = offset_seconds(zone, next);
        if later != offset {
            let (mut before, mut after) = (at, next);
            while after - before > 1 {
                let middle = before + (after - before) / 2;
                if offset_seconds(zone, middle) == offset {
                    before = middle;
                } else {
                    after = middle;
                }
            }
            found.push((after, later));
            offset = later;
        }
        at = next;
    }
    let change = |(at, offset)| Change {
        at: at * MICROS_PER_SECOND,
        offset: offset * MICROS_PER_SECOND,
    };
    found.into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zones_number_is_its_place_among_all() {
        for (index, zone) in TZ_VARIANTS.iter().enumerate() {
            assert_eq!(*zone as usize, index, "{zone}");
        }
    }

    #[test]
    fn changes_lie_farther_apart_than_they_are_looked_for() {
        for zone in TZ_VARIANTS {
            let table = Offsets::of(zone).0;
            for pair in table.windows(2) {
                let apart = (pair[1].at - pair[0].at) / MICROS_PER_SECOND;
                assert!(
                    apart > PROBE_SECONDS + 86_400 || pair[0].at == 0,
                    "{zone}: {apart}"
                );
            }
        }
    }

    #[test]
    fn the_table_says_what_the_database_of_zones_says() {
        for zone in TZ_VARIANTS {
            // 29 days and some hours: other hours and weekdays each time.
            let mut at = EPOCH_SECONDS;
            while at < HORIZON_SECONDS {
                let expected = offset_seconds(zone, at) * MICROS_PER_SECOND;
                assert_eq!(
                    Offsets::of(zone).at(at * MICROS_PER_SECOND),
                    expected,
                    "{zone} {at}"
                );
                at += 29 * 86_400 + 19 * 3_600 + 61;
            }
        }
    }

    #[test]
    fn even_times_are_the_same_forwards_and_backwards_and_leave_nothing_out() {
        let offsets = Offsets::of(chrono_tz::Africa::Casablanca);
        let (from, to) = (
            1_700_000_000 * MICROS_PER_SECOND,
            1_800_000_000 * MICROS_PER_SECOND,
        );
        let forwards: Vec<_> = offsets.between(from, to).collect();
        let mut backwards: Vec<_> = offsets.back(from, to).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        assert_eq!((forwards[0].from, forwards[forwards.len() - 1].to), (from, to));
        assert!(forwards.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert!(forwards.len() > 5, "{}", forwards.len());
    }
}
