//! The breaker: an endpoint that only fails is disabled, and its owner told, so that nothing is sent into the void for ever.

use chrono::{DateTime, TimeDelta, Utc};

use super::delivery::Answer;

/// After so many failures in a row an endpoint is disabled.
pub const BREAK_AFTER_FAILURES: u32 = 100;
/// After failing for so long, without one success, it is disabled.
pub const BREAK_AFTER: TimeDelta = TimeDelta::days(3);

/// How an endpoint's calls fared lately. Enabling it again begins with none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Failures in a row.
    pub failures: u32,
    /// When the first of them was.
    pub failing_since: Option<DateTime<Utc>>,
}

/// Why an endpoint was disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It failed [`BREAK_AFTER_FAILURES`] times in a row.
    TooManyFailures,
    /// It failed for [`BREAK_AFTER`].
    TooLong,
    /// It answered 410.
    Gone,
}

impl Broken {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::TooManyFailures, Self::TooLong, Self::Gone];

    /// The reason of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == name)
    }

    /// The name in JSON and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Broken::TooManyFailures => "too_many_failures",
            Broken::TooLong => "failing_too_long",
            Broken::Gone => "gone",
        }
    }
}

impl Health {
    /// After another try; why the endpoint is to be disabled now, if it is.
    #[must_use]
    pub fn after(self, answer: Answer, now: DateTime<Utc>) -> (Self, Option<Broken>) {
        match answer {
            Answer::Taken => return (Self::default(), None),
            Answer::Gone | Answer::Failed { .. } => {}
        }
        // A clock that was put back begins anew rather than waiting for it to catch up.
        let since = self.failing_since.filter(|since| *since <= now).unwrap_or(now);
        let after = Self {
            failures: self.failures.saturating_add(1),
            failing_since: Some(since),
        };
        let broken = if answer == Answer::Gone {
            Some(Broken::Gone)
        } else if after.failures >= BREAK_AFTER_FAILURES {
            Some(Broken::TooManyFailures)
        } else if now - since >= BREAK_AFTER {
            Some(Broken::TooLong)
        } else {
            None
        };
        (after, broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::build;

    const FAILED: Answer = Answer::Failed { retry_after: None };

    fn after(answers: impl IntoIterator<Item = (Answer, TimeDelta)>) -> (u32, Option<Broken>) {
        let mut health = Health::default();
        for (answer, at) in answers {
            let broken;
            (health, broken) = health.after(answer, build::noon() + at);
            if broken.is_some() {
                return (health.failures, broken);
            }
        }
        (health.failures, None)
    }

    #[test]
    fn a_hundred_failures_in_a_row_break() {
        let failures = (0..200).map(|index| (FAILED, TimeDelta::seconds(index)));
        assert_eq!(
            after(failures),
            (BREAK_AFTER_FAILURES, Some(Broken::TooManyFailures))
        );
        let one_success = (0..200).map(|index| {
            let answer = if index == 99 { Answer::Taken } else { FAILED };
            (answer, TimeDelta::seconds(index))
        });
        assert_eq!(after(one_success.take(150)), (50, None));
    }

    #[test]
    fn three_days_of_failures_break() {
        let hourly = |hours| (0..=hours).map(|hour| (FAILED, TimeDelta::hours(hour)));
        assert_eq!(after(hourly(71)), (72, None));
        assert_eq!(after(hourly(72)), (73, Some(Broken::TooLong)));
        let mended = hourly(71).chain([
            (Answer::Taken, TimeDelta::hours(72)),
            (FAILED, TimeDelta::hours(73)),
        ]);
        assert_eq!(after(mended), (1, None));
        // One failure is none of three days, however long ago the success before it was.
        assert_eq!(after([(FAILED, TimeDelta::days(30))]), (1, None));
    }

    #[test]
    fn who_is_gone_is_believed_at_once() {
        assert_eq!(
            after([(Answer::Gone, TimeDelta::zero())]),
            (1, Some(Broken::Gone))
        );
    }

    #[test]
    fn a_clock_put_back_breaks_nothing() {
        assert_eq!(
            after([(FAILED, TimeDelta::days(10)), (FAILED, TimeDelta::zero())]),
            (2, None)
        );
    }
}
