//! A ticket's clocks as a store keeps them, and what a sweep takes from it and gives back.
//!
//! [`KeptClocks`] and [`KeptSpan`] are rows with plain members, named as the columns of the tables `ticket_clocks` and `sla_ledger`. They are
//! made here and read here, so that whoever stores them need know no more of them.

use chrono::{DateTime, TimeDelta, Utc};
use events::{Event, TicketSummary};
use kernel::{Version, id::Uuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clocks::{ClockError, Phase, StateError, TicketClocks};
use crate::ledger::{LedgerRow, Span, Standstill};
use crate::policy::{Metric, PolicyId, PolicyRef, Priority, TermsBook};

/// A ticket's clocks, and how it came by its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// The clocks.
    pub clocks: TicketClocks,
    /// Whether somebody chose the policy for the ticket; else it was selected, and is again when the ticket changes.
    pub is_explicit: bool,
}

/// A row of clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptClocks {
    /// The policy by which they run.
    pub policy_id: Option<Uuid>,
    /// The version of its terms.
    pub policy_version: Option<i32>,
    /// See [`Tracked::is_explicit`].
    pub is_explicit: bool,
    /// Whether a change of what is promised moves any of them.
    pub is_live: bool,
    /// When they have something to say next.
    pub wake_at: Option<DateTime<Utc>>,
    /// The clocks themselves.
    pub state: Value,
}

/// Why a row is none.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The clocks cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A column of the ledger has no value of ours.
    #[error("the ledger's column {0} has no value of its kind")]
    Column(&'static str),
}

impl KeptClocks {
    /// The row of these clocks.
    ///
    /// # Errors
    /// [`ClockError::UnknownTerms`].
    pub fn of(tracked: &Tracked, book: &(impl TermsBook + ?Sized)) -> Result<Self, ClockError> {
        let Tracked { clocks, is_explicit } = tracked;
        let policy = clocks.policy();
        Ok(Self {
            policy_id: policy.map(|policy| policy.id.0),
            policy_version: policy.map(|policy| policy.version.0),
            is_explicit: *is_explicit,
            is_live: clocks.is_live(),
            wake_at: clocks.next_wake(book)?.map(|wake| wake.at),
            state: clocks.to_json(),
        })
    }

    /// The clocks of a row's state.
    ///
    /// # Errors
    /// [`NotKept::State`].
    pub fn tracked(state: &Value, is_explicit: bool) -> Result<Tracked, NotKept> {
        let clocks = TicketClocks::read(state)?;
        Ok(Tracked { clocks, is_explicit })
    }
}

impl TicketClocks {
    /// Whether a change of what is promised moves any of them.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let runs = Metric::ALL
            .into_iter()
            .filter_map(|metric| self.clock(metric).run());
        runs.into_iter()
            .any(|run| !matches!(run.phase(), Phase::Stopped(_)))
    }
}

/// A row of the ledger. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSpan {
    /// [`Metric::as_str`].
    pub metric: String,
    /// The number of the run.
    pub run: i32,
    /// Its first moment.
    pub from_at: DateTime<Utc>,
    /// The moment behind its last.
    pub to_at: DateTime<Utc>,
    /// What counted, where it ran.
    pub counted_us: Option<i64>,
    /// [`Standstill::as_str`], where it stood.
    pub standstill: Option<String>,
    /// The policy.
    pub policy_id: Option<Uuid>,
    /// The version of its terms.
    pub policy_version: Option<i32>,
    /// The version of its hours.
    pub calendar_version: Option<i32>,
    /// [`Priority::as_str`].
    pub priority: String,
    /// The target.
    pub target_us: Option<i64>,
}

impl From<&LedgerRow> for KeptSpan {
    fn from(row: &LedgerRow) -> Self {
        let LedgerRow {
            metric,
            run,
            from,
            to,
            span,
            policy,
            calendar_version,
            priority,
            target,
        } = row;
        let (counted_us, standstill) = match span {
            Span::Counting { counted } => (counted.num_microseconds(), None),
            Span::Standing(cause) => (None, Some(cause.as_str().to_owned())),
        };
        Self {
            metric: metric.as_str().to_owned(),
            run: i32::try_from(*run).unwrap_or(i32::MAX),
            from_at: *from,
            to_at: *to,
            counted_us,
            standstill,
            policy_id: policy.map(|policy| policy.id.0),
            policy_version: policy.map(|policy| policy.version.0),
            calendar_version: calendar_version.map(|version| version.0),
            priority: priority.as_str().to_owned(),
            target_us: target.and_then(|target| target.num_microseconds()),
        }
    }
}

impl TryFrom<KeptSpan> for LedgerRow {
    type Error = NotKept;

    fn try_from(kept: KeptSpan) -> Result<Self, NotKept> {
        let KeptSpan {
            metric,
            run,
            from_at,
            to_at,
            counted_us,
            standstill,
            policy_id,
            policy_version,
            calendar_version,
            priority,
            target_us,
        } = kept;
        let span = match (counted_us, standstill) {
            (Some(counted), None) => Span::Counting {
                counted: TimeDelta::microseconds(counted),
            },
            (None, Some(cause)) => {
                Span::Standing(Standstill::parse(&cause).ok_or(NotKept::Column("standstill"))?)
            }
            (Some(_), Some(_)) | (None, None) => return Err(NotKept::Column("counted_us")),
        };
        Ok(Self {
            metric: Metric::parse(&metric).ok_or(NotKept::Column("metric"))?,
            run: u32::try_from(run).map_err(|_| NotKept::Column("run"))?,
            from: from_at,
            to: to_at,
            span,
            policy: policy_id.zip(policy_version).map(|(id, version)| PolicyRef {
                id: PolicyId(id),
                version: Version(version),
            }),
            calendar_version: calendar_version.map(Version),
            priority: Priority::parse(&priority).ok_or(NotKept::Column("priority"))?,
            target: target_us.map(TimeDelta::microseconds),
        })
    }
}

/// What a sweep found.
#[derive(Debug)]
pub struct Due {
    /// The store's time.
    pub now: DateTime<Utc>,
    /// The tickets, those that wait longest first.
    pub tickets: Vec<DueTicket>,
}

/// A ticket that a sweep found.
#[derive(Debug)]
pub struct DueTicket {
    /// The ticket.
    pub ticket: TicketSummary,
    /// The policy that the ticket itself names.
    pub named: Option<PolicyId>,
    /// Its clocks, unless they cannot be read.
    pub tracked: Result<Tracked, NotKept>,
}

/// What a sweep made of a ticket.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "what is not stored is said again"]
pub struct Spoken {
    /// The ticket at the version that it gets; it must be at the one before.
    pub ticket: TicketSummary,
    /// Its clocks from now on.
    pub kept: KeptClocks,
    /// Spans that ended.
    pub spans: Vec<KeptSpan>,
    /// The policy that the ticket shows.
    pub policy: Option<PolicyId>,
    /// The deadline that the ticket shows.
    pub due_at: Option<DateTime<Utc>>,
    /// Whether a deadline was missed.
    pub is_breached: bool,
    /// What is published.
    pub events: Vec<Event>,
}
