//! One call of an endpoint, from its first try to its end: delivered, or dead after a day. Dead ones are kept and can be
//! replayed, under the same id.
//!
//! Calls about one ticket to one endpoint go out in the order of their events: a call waits until the ones before it are
//! delivered or dead ([`ready`]). Different tickets do not wait for each other.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use kernel::TicketId;
use uuid::Uuid;

use crate::reference::EndpointId;

/// For how long after its first try a call is tried again.
pub const RETRY_FOR: TimeDelta = TimeDelta::hours(24);
/// How long to wait after the first try, after the second, and so on: nine tries within 24 hours.
pub const RETRY_DELAYS: [TimeDelta; 8] = [
    TimeDelta::seconds(5),
    TimeDelta::minutes(1),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(8),
    TimeDelta::hours(8),
];
/// How far a delay is moved by chance, either way, so that a receiver that comes back is not met by all at once.
pub const JITTER_PERCENT: i32 = 20;
/// The most calls that wait for one endpoint. Further ones are dead from the beginning, and can be replayed.
pub const WAITING_MAX: usize = 10_000;
/// The longest that a receiver can ask us to wait (`Retry-After`).
pub const RETRY_AFTER_MAX: TimeDelta = TimeDelta::hours(1);

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// `webhook-id`: the event's id, or that of the step of a run. The same for every try.
    pub id: Uuid,
    /// To where.
    pub endpoint: EndpointId,
    /// About which ticket; calls about none wait for no other.
    pub ticket: Option<TicketId>,
    /// Its place among the calls of its ticket: calls get theirs as they are queued.
    pub sequence: i64,
    /// How often it was tried since it began, or was replayed.
    pub tries: u32,
    /// When that was.
    pub began_at: DateTime<Utc>,
    /// How far it came.
    pub state: DeliveryState,
}

/// How far a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be tried from this moment on.
    Waiting {
        /// Not before.
        next_at: DateTime<Utc>,
    },
    /// The receiver took it.
    Delivered {
        /// When.
        at: DateTime<Utc>,
    },
    /// It is tried no more.
    Dead {
        /// When.
        at: DateTime<Utc>,
        /// Why.
        why: Dead,
    },
}

/// Why a call is tried no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// It failed for [`RETRY_FOR`].
    Exhausted,
    /// The receiver said that it is gone for good.
    Gone,
    /// Its endpoint was disabled, or is.
    Disabled,
    /// [`WAITING_MAX`] calls waited for the endpoint already.
    Overflow,
    /// Its ticket was deleted before it went out.
    TicketDeleted,
}

impl Dead {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Exhausted,
        Self::Gone,
        Self::Disabled,
        Self::Overflow,
        Self::TicketDeleted,
    ];

    /// The name in JSON and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Dead::Exhausted => "exhausted",
            Dead::Gone => "gone",
            Dead::Disabled => "disabled",
            Dead::Overflow => "overflow",
            Dead::TicketDeleted => "ticket_deleted",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == name)
    }
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Taken,
    /// 410: nobody is there any more.
    Gone,
    /// Anything else: another status (redirects too, which are never followed), no answer in time, no connection, a bad
    /// certificate, a forbidden address.
    Failed {
        /// How long the receiver asked us to wait.
        retry_after: Option<TimeDelta>,
    },
}

impl Answer {
    /// What a status means.
    #[must_use]
    pub fn of_status(status: u16, retry_after: Option<TimeDelta>) -> Self {
        match status {
            200..=299 => Answer::Taken,
            410 => Answer::Gone,
            _ => Answer::Failed { retry_after },
        }
    }

    /// Whether the receiver took it.
    #[must_use]
    pub fn is_taken(self) -> bool {
        self == Answer::Taken
    }
}

impl Delivery {
    /// A call to be made at once.
    #[must_use]
    pub fn new(
        id: Uuid,
        endpoint: EndpointId,
        ticket: Option<TicketId>,
        sequence: i64,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            endpoint,
            ticket,
            sequence,
            tries: 0,
            began_at: now,
            state: DeliveryState::Waiting { next_at: now },
        }
    }

    /// After a try that ended at `now`. `seed` moves the next one; give each try another.
    #[must_use]
    pub fn after(self, answer: Answer, now: DateTime<Utc>, seed: u64) -> Self {
        let tries = self.tries.saturating_add(1);
        let state = match answer {
            Answer::Taken => DeliveryState::Delivered { at: now },
            Answer::Gone => DeliveryState::Dead {
                at: now,
                why: Dead::Gone,
            },
            Answer::Failed { retry_after } => match next_try(self.began_at, tries, now, retry_after, seed) {
                Some(next_at) => DeliveryState::Waiting { next_at },
                None => DeliveryState::Dead {
                    at: now,
                    why: Dead::Exhausted,
                },
            },
        };
        Self { tries, state, ..self }
    }

    /// Given up without another try.
    #[must_use]
    pub fn given_up(self, why: Dead, now: DateTime<Utc>) -> Self {
        match self.state {
            DeliveryState::Waiting { .. } => Self {
                state: DeliveryState::Dead { at: now, why },
                ..self
            },
            DeliveryState::Delivered { .. } | DeliveryState::Dead { .. } => self,
        }
    }

    /// Begun anew, under its id and in its place.
    #[must_use]
    pub fn replayed(self, now: DateTime<Utc>) -> Self {
        Self {
            tries: 0,
            began_at: now,
            state: DeliveryState::Waiting { next_at: now },
            ..self
        }
    }
}

/// When to try again after so many tries; `None` to give up.
fn next_try(
    began_at: DateTime<Utc>,
    tries: u32,
    now: DateTime<Utc>,
    retry_after: Option<TimeDelta>,
    seed: u64,
) -> Option<DateTime<Utc>> {
    let index = usize::try_from(tries.checked_sub(1)?).ok()?;
    let delay = RETRY_DELAYS.get(index)?;
    let percent = i32::try_from(mixed(seed) % (2 * u64::from(JITTER_PERCENT.unsigned_abs()) + 1)).ok()?;
    let delay = *delay * (100 - JITTER_PERCENT + percent) / 100;
    let asked = retry_after.unwrap_or(delay).min(RETRY_AFTER_MAX);
    let end = began_at.checked_add_signed(RETRY_FOR)?;
    if now >= end {
        return None;
    }
    // The last try is not lost to chance or to a slow receiver.
    Some(now.checked_add_signed(delay.max(asked))?.min(end))
}

/// Spreads a seed over all bits (SplitMix64), so that neighbouring seeds give unlike delays.
fn mixed(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The calls that may go out now: of those that wait, the first of each ticket and endpoint, where its time has come. In
/// the order of their events.
#[must_use]
pub fn ready(deliveries: &[Delivery], now: DateTime<Utc>) -> Vec<&Delivery> {
    let waits = |one: &&Delivery| matches!(one.state, DeliveryState::Waiting { .. });
    let mut waiting: Vec<_> = deliveries.iter().filter(waits).collect();
    waiting.sort_by_key(|one| (one.sequence, one.id));
    let mut lanes = HashSet::new();
    waiting.retain(|one| {
        let is_first = match one.ticket {
            Some(ticket) => lanes.insert((one.endpoint, ticket)),
            None => true,
        };
        let is_due = match one.state {
            DeliveryState::Waiting { next_at } => next_at <= now,
            DeliveryState::Delivered { .. } | DeliveryState::Dead { .. } => false,
        };
        is_first && is_due
    });
    waiting
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::build;

    const FAILED: Answer = Answer::Failed { retry_after: None };

    fn delivery(sequence: i64, ticket: u128) -> Delivery {
        let id = Uuid::from_u128(u128::try_from(sequence).unwrap());
        Delivery::new(
            id,
            build::ENDPOINT,
            Some(TicketId(Uuid::from_u128(ticket))),
            sequence,
            build::noon(),
        )
    }

    fn next_at(delivery: &Delivery) -> Option<DateTime<Utc>> {
        match delivery.state {
            DeliveryState::Waiting { next_at } => Some(next_at),
            DeliveryState::Delivered { .. } | DeliveryState::Dead { .. } => None,
        }
    }

    #[test]
    fn statuses_mean_what_they_say() {
        for (status, expected) in [
            (200, Answer::Taken),
            (204, Answer::Taken),
            (301, FAILED),
            (307, FAILED),
            (400, FAILED),
            (404, FAILED),
            (410, Answer::Gone),
            (500, FAILED),
            (100, FAILED),
        ] {
            assert_eq!(Answer::of_status(status, None), expected, "{status}");
        }
    }

    #[test]
    fn a_receiver_can_ask_for_patience_but_not_for_ever() {
        let patient = |minutes| {
            let retry_after = Some(TimeDelta::minutes(minutes));
            next_at(&delivery(1, 1).after(Answer::Failed { retry_after }, build::noon(), 1)).unwrap()
        };
        assert_eq!(patient(10), build::noon() + TimeDelta::minutes(10));
        assert_eq!(patient(100_000), build::noon() + RETRY_AFTER_MAX);
        assert!(patient(-5) > build::noon());
    }

    #[test]
    fn what_is_gone_or_disabled_is_dead_and_can_be_replayed() {
        let gone = delivery(1, 1).after(Answer::Gone, build::noon(), 1);
        assert!(matches!(gone.state, DeliveryState::Dead { why: Dead::Gone, .. }));
        let disabled = delivery(2, 1).given_up(Dead::Disabled, build::noon());
        assert!(matches!(
            disabled.state,
            DeliveryState::Dead {
                why: Dead::Disabled,
                ..
            }
        ));
        let later = build::noon() + TimeDelta::days(3);
        let again = disabled.clone().replayed(later);
        assert_eq!(
            (again.id, again.tries, next_at(&again)),
            (disabled.id, 0, Some(later))
        );
        let done = delivery(3, 1).after(Answer::Taken, later, 1);
        assert_eq!(done.clone().given_up(Dead::Disabled, later), done);
    }

    #[test]
    fn calls_about_one_ticket_keep_their_order() {
        let (first, second, other) = (delivery(1, 1), delivery(2, 1), delivery(3, 2));
        let mut about_none = delivery(4, 1);
        about_none.ticket = None;
        let now = build::noon();
        let sequences =
            |all: &[Delivery], now| ready(all, now).iter().map(|one| one.sequence).collect::<Vec<_>>();
        let all = [other.clone(), second.clone(), about_none.clone(), first.clone()];
        assert_eq!(sequences(&all, now), [1, 3, 4]);
        // While the first one waits for its next try, the second does not overtake it.
        let failed = first.clone().after(FAILED, now, 1);
        let all = [failed, second.clone(), other];
        assert_eq!(sequences(&all, now), [3]);
        for ended in [
            first.clone().after(Answer::Taken, now, 1),
            first.after(Answer::Gone, now, 1),
        ] {
            assert_eq!(sequences(&[ended, second.clone()], now), [2]);
        }
    }

    proptest! {
        #[test]
        fn a_failing_call_is_tried_with_growing_patience_for_a_day(seeds in prop::collection::vec(any::<u64>(), 20), seconds in 0..10_i64) {
            let (mut one, mut now) = (delivery(1, 1), build::noon());
            let mut delays = Vec::new();
            for seed in seeds {
                // Each try takes its time.
                now += TimeDelta::seconds(seconds);
                one = one.after(FAILED, now, seed);
                let Some(next_at) = next_at(&one) else { break };
                delays.push(next_at - now);
                now = next_at;
            }
            let is_exhausted = matches!(one.state, DeliveryState::Dead { why: Dead::Exhausted, .. });
            prop_assert!(is_exhausted);
            prop_assert!((8..=9).contains(&one.tries), "{}", one.tries);
            let end = build::noon() + RETRY_FOR;
            prop_assert!(now <= end + TimeDelta::seconds(10), "{now}");
            // Even when chance makes all delays short, it goes on for most of the day.
            prop_assert!(now >= build::noon() + TimeDelta::hours(18), "{now}");
            for (delay, plain) in delays.iter().zip(RETRY_DELAYS) {
                prop_assert!(*delay <= plain * 12 / 10);
                prop_assert!(*delay >= plain * 8 / 10 || now >= end);
            }
        }
    }
}
