//! The ledger: what every moment of a clock was, and why.
//!
//! A [`LedgerRow`] is a span in which a clock did one thing under one set of terms; it is stored once and never changed, be it a
//! minute long or a year. What lies within one that counted, the nights and holidays, is not stored: [`LedgerRow::parts`] derives
//! it from the calendar of those terms, which stay readable. So the sums are there at once, and the detail for who asks.

use chrono::{DateTime, TimeDelta, Utc};
use kernel::Version;

use crate::calendar::{Shut, Why};
use crate::clocks::ClockError;
use crate::policy::{Metric, PolicyRef, Priority, TermsBook};

/// A span of a clock's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerRow {
    /// Which clock.
    pub metric: Metric,
    /// Which of its runs, from 1.
    pub run: u32,
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The moment behind its last; later than `from`.
    pub to: DateTime<Utc>,
    /// What the clock did.
    pub span: Span,
    /// The terms in force.
    pub policy: Option<PolicyRef>,
    /// The version of the hours by which it counted; `None` around the clock.
    pub calendar_version: Option<Version>,
    /// The priority.
    pub priority: Priority,
    /// The target in force.
    pub target: Option<TimeDelta>,
}

/// What a clock did in a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// It counted while the desk was open.
    Counting {
        /// How much; the rest of the span the desk was closed.
        counted: TimeDelta,
    },
    /// It stood.
    Standing(Standstill),
}

/// Why a clock stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standstill {
    /// The ticket was pending.
    Pending,
    /// The ticket was resolved or closed.
    Resolved,
    /// The ticket was part of another.
    Merged,
    /// The ticket was deleted.
    Deleted,
    /// No policy was in force.
    NoPolicy,
}

impl Standstill {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Resolved,
        Self::Merged,
        Self::Deleted,
        Self::NoPolicy,
    ];

    /// Its name in stores and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Resolved => "resolved",
            Self::Merged => "merged",
            Self::Deleted => "deleted",
            Self::NoPolicy => "no_policy",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }
}

/// A part of a span: of one kind, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The moment behind its last.
    pub to: DateTime<Utc>,
    /// What it was.
    pub cause: PartCause,
}

/// What a part of a span was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartCause {
    /// It counted.
    Counted,
    /// The clock stood.
    Paused(Standstill),
    /// The desk was closed as in every week.
    OutOfHours,
    /// The desk was closed for a holiday, with its name if it has one.
    Holiday(Option<String>),
}

/// The three kinds that make up elapsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// It counted.
    Counted,
    /// The clock stood.
    Paused,
    /// The desk was closed.
    Closed,
}

impl PartKind {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Paused => "paused",
            Self::Closed => "closed",
        }
    }
}

impl PartCause {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> PartKind {
        match self {
            Self::Counted => PartKind::Counted,
            Self::Paused(_) => PartKind::Paused,
            Self::OutOfHours | Self::Holiday(_) => PartKind::Closed,
        }
    }
}

impl Part {
    /// How long it was, in real time.
    #[must_use]
    pub fn length(&self) -> TimeDelta {
        self.to - self.from
    }
}

impl LedgerRow {
    /// How long it was, in real time.
    #[must_use]
    pub fn length(&self) -> TimeDelta {
        self.to - self.from
    }

    /// How much of it counted.
    #[must_use]
    pub fn counted(&self) -> TimeDelta {
        match self.span {
            Span::Counting { counted } => counted,
            Span::Standing(_) => TimeDelta::zero(),
        }
    }

    /// How long the clock stood.
    #[must_use]
    pub fn paused(&self) -> TimeDelta {
        match self.span {
            Span::Counting { .. } => TimeDelta::zero(),
            Span::Standing(_) => self.length(),
        }
    }

    /// How long the desk was closed while the clock ran.
    #[must_use]
    pub fn closed(&self) -> TimeDelta {
        self.length() - self.counted() - self.paused()
    }

    /// What it is made of, in order and without gaps, by the terms that [`LedgerRow::policy`] names.
    ///
    /// # Errors
    /// [`ClockError::UnknownTerms`] where they are needed and not in the book.
    pub fn parts(&self, book: &(impl TermsBook + ?Sized)) -> Result<Vec<Part>, ClockError> {
        let whole = |cause| {
            vec![Part {
                from: self.from,
                to: self.to,
                cause,
            }]
        };
        let terms = self.policy.and_then(|policy| book.terms(policy));
        let calendar = terms.and_then(|terms| terms.promise.hours.in_force());
        match (self.span, calendar) {
            (Span::Standing(cause), _) => Ok(whole(PartCause::Paused(cause))),
            (Span::Counting { counted }, _) if counted == self.length() => Ok(whole(PartCause::Counted)),
            (Span::Counting { .. }, None) => match self.policy {
                Some(policy) => Err(ClockError::UnknownTerms(policy)),
                None => Ok(whole(PartCause::Paused(Standstill::NoPolicy))),
            },
            (Span::Counting { .. }, Some(calendar)) => {
                let stretches = calendar.stretches(self.from, self.to)?;
                let parts = stretches.map(|stretch| Part {
                    from: stretch.from,
                    to: stretch.to,
                    cause: match stretch.why {
                        Why::Open => PartCause::Counted,
                        Why::Shut(Shut::Hours) => PartCause::OutOfHours,
                        Why::Shut(Shut::Holiday(holiday)) => {
                            PartCause::Holiday(holiday.name().map(str::to_owned))
                        }
                    },
                });
                Ok(parts.collect())
            }
        }
    }
}
