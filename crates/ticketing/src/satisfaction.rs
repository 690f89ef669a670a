//! How content a requester is with the resolution of their ticket.
//!
//! A rating belongs to one resolution: it can be changed for [`RATING_CHANGE_WINDOW`] after it was first given, and when the
//! ticket is resolved anew later, it can be given anew. [`due`] is the whole rule, without I/O.

use chrono::{DateTime, Duration, Utc};
use kernel::Violation;

use crate::machine::Standing;
use crate::value::Remark;

/// For how long a rating can be changed after it was first given.
pub const RATING_CHANGE_WINDOW: Duration = Duration::days(7);

/// How content: from 1, not at all, to 5, entirely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(u8);

impl Score {
    /// The least.
    pub const MIN: u8 = 1;
    /// The most.
    pub const MAX: u8 = 5;

    /// Reads a score.
    ///
    /// # Errors
    /// `out_of_range` at `pointer` for anything but 1 to 5.
    pub fn parse(pointer: &str, raw: i64) -> Result<Self, Violation> {
        let score = u8::try_from(raw).ok().and_then(Self::stored);
        score.ok_or_else(|| Violation::new(pointer, "out_of_range", "must be a whole number from 1 to 5"))
    }

    /// Takes a score as a store read it; `None` for what is none.
    #[must_use]
    pub fn stored(raw: u8) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&raw).then_some(Self(raw))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

/// What a requester says of a resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rating {
    /// How content.
    pub score: Score,
    /// Why, in their words.
    pub comment: Option<Remark>,
}

/// A rating that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Satisfaction {
    /// What was said.
    pub rating: Rating,
    /// When it was first said; a change does not move it.
    pub rated_at: DateTime<Utc>,
}

impl Satisfaction {
    /// Until when it can be changed.
    #[must_use]
    pub fn changeable_until(&self) -> DateTime<Utc> {
        self.rated_at + RATING_CHANGE_WINDOW
    }
}

/// How a ticket can be rated now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// There is no rating of this resolution yet.
    First,
    /// The rating of this moment can be changed.
    Change(DateTime<Utc>),
}

/// Why a ticket cannot be rated now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDue {
    /// It is not resolved.
    Unresolved,
    /// Its rating could be changed until this moment.
    Final(DateTime<Utc>),
}

/// Whether a ticket that stands so and has this rating can be rated at `now`.
///
/// # Errors
/// Why not.
pub fn due(
    standing: Standing,
    satisfaction: Option<&Satisfaction>,
    now: DateTime<Utc>,
) -> Result<Due, NotDue> {
    let resolved_at = standing.resolved_at().ok_or(NotDue::Unresolved)?;
    match satisfaction {
        // It was resolved anew since.
        Some(given) if given.rated_at < resolved_at => Ok(Due::First),
        Some(given) if now < given.changeable_until() => Ok(Due::Change(given.rated_at)),
        Some(given) => Err(NotDue::Final(given.changeable_until())),
        None => Ok(Due::First),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::machine::ClosedBy;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn given(seconds: i64) -> Satisfaction {
        Satisfaction {
            rating: Rating {
                score: Score(4),
                comment: None,
            },
            rated_at: at(seconds),
        }
    }

    fn closed(resolved_at: i64, closed_at: i64) -> Standing {
        Standing::Closed {
            resolved_at: at(resolved_at),
            at: at(closed_at),
            by: ClosedBy::Silence,
        }
    }

    const WEEK: i64 = 7 * 24 * 3600;

    #[test]
    fn a_score_is_one_to_five() {
        for good in 1..=5 {
            assert_eq!(i64::from(Score::parse("/score", good).unwrap().get()), good);
        }
        for bad in [i64::MIN, -1, 0, 6, 256 + 3, i64::MAX] {
            let refused = Score::parse("/score", bad).unwrap_err();
            assert_eq!(
                (refused.pointer.as_str(), refused.code),
                ("/score", "out_of_range")
            );
        }
    }

    #[test]
    fn what_is_not_resolved_is_not_rated_whatever_was_said_before() {
        for standing in [Standing::Open, Standing::Pending] {
            for satisfaction in [None, Some(&given(0))] {
                assert_eq!(due(standing, satisfaction, at(1)), Err(NotDue::Unresolved));
            }
        }
    }

    #[test]
    fn a_rating_changes_for_a_week_after_it_was_first_given() {
        for standing in [Standing::Resolved { at: at(0) }, closed(0, 50)] {
            assert_eq!(due(standing, None, at(10 * WEEK)), Ok(Due::First));
            let rated = given(100);
            assert_eq!(due(standing, Some(&rated), at(101)), Ok(Due::Change(at(100))));
            assert_eq!(
                due(standing, Some(&rated), at(99 + WEEK)),
                Ok(Due::Change(at(100)))
            );
            assert_eq!(
                due(standing, Some(&rated), at(100 + WEEK)),
                Err(NotDue::Final(at(100 + WEEK)))
            );
        }
    }

    #[test]
    fn a_later_resolution_is_rated_anew_and_a_later_closing_is_none() {
        let rated = given(100);
        let late = at(100 + 2 * WEEK);
        assert_eq!(
            due(Standing::Resolved { at: at(101) }, Some(&rated), late),
            Ok(Due::First)
        );
        assert_eq!(due(closed(101, 500), Some(&rated), late), Ok(Due::First));
        assert!(due(closed(50, 500), Some(&rated), late).is_err());
        // Rated in the moment of the resolution.
        assert!(due(Standing::Resolved { at: at(100) }, Some(&rated), late).is_err());
    }

    proptest! {
        #[test]
        fn over_any_history_a_resolution_has_one_first_rating_and_no_change_after_the_week(
            steps in proptest::collection::vec((0_u8..3, 1_i64..WEEK), 1..40),
        ) {
            let (mut now, mut standing, mut satisfaction) = (0, Standing::Open, None::<Satisfaction>);
            let mut firsts = 0;
            for (step, pause) in steps {
                now += pause;
                match step {
                    0 => {
                        standing = Standing::Resolved { at: at(now) };
                        firsts = 0;
                    }
                    1 => standing = Standing::Open,
                    _ => match due(standing, satisfaction.as_ref(), at(now)) {
                        Ok(Due::First) => {
                            firsts += 1;
                            prop_assert_eq!(firsts, 1);
                            satisfaction = Some(given(now));
                        }
                        Ok(Due::Change(first)) => prop_assert!(at(now) - first < RATING_CHANGE_WINDOW),
                        Err(NotDue::Unresolved) => prop_assert_eq!(standing, Standing::Open),
                        Err(NotDue::Final(until)) => prop_assert!(until <= at(now)),
                    },
                }
            }
        }
    }
}
