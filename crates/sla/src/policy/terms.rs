//! What a policy promises: targets, their multipliers, whether they count in business hours, what pauses them.

use std::sync::Arc;

use chrono::TimeDelta;
use kernel::{Version, Violation};
use serde::{Deserialize, Serialize};

use super::PolicyId;
use super::escalation::Escalation;
use crate::calendar::Calendar;

/// The longest target, in minutes: a year of 365 days.
pub const TARGET_MAX_MINUTES: u32 = 525_600;
/// The least multiplier, in thousandths: a hundredth.
pub const MULTIPLIER_MIN_THOUSANDTHS: u32 = 10;
/// The greatest multiplier, in thousandths: ten.
pub const MULTIPLIER_MAX_THOUSANDTHS: u32 = 10_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Until the first public reply of an agent.
    FirstResponse,
    /// From the oldest customer message without an answer, once there was a first response, to the next public reply.
    NextResponse,
    /// Until the ticket is resolved.
    Resolution,
}

impl Metric {
    /// Every one, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::FirstResponse, Self::NextResponse, Self::Resolution];

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstResponse => "first_response",
            Self::NextResponse => "next_response",
            Self::Resolution => "resolution",
        }
    }

    /// The metric of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    /// Its place in [`Metric::ALL`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::FirstResponse => 0,
            Self::NextResponse => 1,
            Self::Resolution => 2,
        }
    }
}

/// How much a ticket presses (contract enum `TicketPriority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// It can wait.
    Low,
    /// As usual.
    Medium,
    /// It presses.
    High,
    /// Now.
    Urgent,
}

impl Priority {
    /// Every one, from least to most.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Urgent];

    /// The name in the contract and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    /// The priority of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == name)
    }
}

/// A target, or a distance from one, in minutes: 1 to [`TARGET_MAX_MINUTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minutes(u32);

impl Minutes {
    /// Reads a number of minutes.
    ///
    /// # Errors
    /// `out_of_range` at `pointer`.
    pub fn parse(pointer: &str, raw: i64) -> Result<Self, Violation> {
        let minutes = u32::try_from(raw).ok().and_then(Self::new);
        minutes.ok_or_else(|| {
            let message = format!("must be a whole number of minutes from 1 to {TARGET_MAX_MINUTES}");
            Violation::new(pointer, "out_of_range", message)
        })
    }

    /// So many minutes; `None` out of bounds.
    #[must_use]
    pub fn new(minutes: u32) -> Option<Self> {
        (1..=TARGET_MAX_MINUTES)
            .contains(&minutes)
            .then_some(Self(minutes))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// As a time.
    #[must_use]
    pub fn delta(self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.0))
    }
}

/// What a target is multiplied with, in thousandths so that 1.1 times 60 minutes is 66 and not 67.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiplier(u32);

impl Multiplier {
    /// One.
    pub const ONE: Multiplier = Multiplier(1_000);

    /// Reads a multiplier: 0.01 to 10, with three decimals at most.
    ///
    /// # Errors
    /// `out_of_range` or `too_precise` at `pointer`.
    pub fn parse(pointer: &str, raw: f64) -> Result<Self, Violation> {
        let (min, max) = (
            f64::from(MULTIPLIER_MIN_THOUSANDTHS),
            f64::from(MULTIPLIER_MAX_THOUSANDTHS),
        );
        let thousandths = (raw * 1_000.0).round();
        if !(min..=max).contains(&thousandths) {
            let message = format!("must be a number from {} to {}", min / 1_000.0, max / 1_000.0);
            return Err(Violation::new(pointer, "out_of_range", message));
        }
        if (raw * 1_000.0 - thousandths).abs() > 1e-6 {
            return Err(Violation::new(
                pointer,
                "too_precise",
                "must have at most three decimals",
            ));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a whole number within the bounds above"
        )]
        Ok(Self(thousandths as u32))
    }

    /// A multiplier of so many thousandths; `None` out of bounds.
    #[must_use]
    pub fn from_thousandths(thousandths: u32) -> Option<Self> {
        (MULTIPLIER_MIN_THOUSANDTHS..=MULTIPLIER_MAX_THOUSANDTHS)
            .contains(&thousandths)
            .then_some(Self(thousandths))
    }

    /// The number, as JSON has it.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    /// A target times this, rounded up to a whole minute.
    fn times(self, minutes: Minutes) -> TimeDelta {
        let thousandths = u64::from(minutes.0) * u64::from(self.0);
        // At most ten years.
        TimeDelta::minutes(i64::try_from(thousandths.div_ceil(1_000)).unwrap_or(i64::MAX / 1_000_000_000))
    }
}

/// The multiplier of each priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multipliers([Multiplier; 4]);

impl Default for Multipliers {
    fn default() -> Self {
        Self([Multiplier::ONE; 4])
    }
}

impl Multipliers {
    /// The same with another multiplier of a priority.
    #[must_use]
    pub fn with(mut self, priority: Priority, multiplier: Multiplier) -> Self {
        let [low, medium, high, urgent] = &mut self.0;
        *match priority {
            Priority::Low => low,
            Priority::Medium => medium,
            Priority::High => high,
            Priority::Urgent => urgent,
        } = multiplier;
        self
    }

    /// The multiplier of a priority.
    #[must_use]
    pub fn of(self, priority: Priority) -> Multiplier {
        let [low, medium, high, urgent] = self.0;
        match priority {
            Priority::Low => low,
            Priority::Medium => medium,
            Priority::High => high,
            Priority::Urgent => urgent,
        }
    }
}

/// The targets, before they are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// Of the first response.
    pub first_response: Minutes,
    /// Of every further response; `None` for the same as of the first. The contract's table has no column for it, and
    /// a desk that promises a first answer in an hour does not mean the second to take a year.
    pub next_response: Option<Minutes>,
    /// Of the resolution.
    pub resolution: Minutes,
}

/// Which clocks stand still while the ticket is pending; all, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses([bool; 3]);

impl Pauses {
    /// All clocks stand still.
    pub const ALL: Pauses = Pauses([true; 3]);

    /// These clocks stand still.
    #[must_use]
    pub fn of(metrics: &[Metric]) -> Self {
        Self(Metric::ALL.map(|metric| metrics.contains(&metric)))
    }

    /// Whether this clock stands still.
    #[must_use]
    pub fn has(self, metric: Metric) -> bool {
        let [first, next, resolution] = self.0;
        match metric {
            Metric::FirstResponse => first,
            Metric::NextResponse => next,
            Metric::Resolution => resolution,
        }
    }

    /// The clocks that stand still.
    pub fn metrics(self) -> impl Iterator<Item = Metric> {
        Metric::ALL.into_iter().filter(move |metric| self.has(*metric))
    }
}

/// What time counts. A calendar is kept also where it does not count, so that it is there when it is turned on again.
#[derive(Debug, Clone, PartialEq)]
pub enum Hours {
    /// All of it.
    AroundTheClock(Option<Arc<Calendar>>),
    /// What this calendar has open.
    Business(Arc<Calendar>),
    /// Business hours, of which nobody said when they are: all of it, until somebody does. The contract's defaults come to this.
    Unsaid,
}

impl Hours {
    /// The calendar that counts.
    #[must_use]
    pub fn in_force(&self) -> Option<&Calendar> {
        match self {
            Hours::AroundTheClock(_) | Hours::Unsaid => None,
            Hours::Business(calendar) => Some(calendar),
        }
    }

    /// The calendar, whether it counts or not.
    #[must_use]
    pub fn calendar(&self) -> Option<&Arc<Calendar>> {
        match self {
            Hours::AroundTheClock(calendar) => calendar.as_ref(),
            Hours::Business(calendar) => Some(calendar),
            Hours::Unsaid => None,
        }
    }
}

/// What a policy promises.
#[derive(Debug, Clone, PartialEq)]
pub struct Promise {
    /// How long things may take.
    pub targets: Targets,
    /// How that depends on the priority.
    pub multipliers: Multipliers,
    /// What time counts.
    pub hours: Hours,
    /// Which clocks stand still while the ticket is pending.
    pub pauses: Pauses,
    /// What is to be done before and after a deadline.
    pub escalation: Escalation,
}

impl Promise {
    /// The target of a metric at a priority, a whole number of minutes.
    #[must_use]
    pub fn target(&self, metric: Metric, priority: Priority) -> TimeDelta {
        let minutes = match metric {
            Metric::FirstResponse => self.targets.first_response,
            Metric::NextResponse => self.targets.next_response.unwrap_or(self.targets.first_response),
            Metric::Resolution => self.targets.resolution,
        };
        self.multipliers.of(priority).times(minutes)
    }
}

/// Names what a policy promised at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "StoredRef", into = "StoredRef")]
pub struct PolicyRef {
    /// The policy.
    pub id: PolicyId,
    /// The version of its promise; see [`SlaPolicy::terms_version`](super::SlaPolicy::terms_version).
    pub version: Version,
}

/// The name as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredRef {
    id: PolicyId,
    version: i32,
}

impl From<StoredRef> for PolicyRef {
    fn from(StoredRef { id, version }: StoredRef) -> Self {
        Self {
            id,
            version: Version(version),
        }
    }
}

impl From<PolicyRef> for StoredRef {
    fn from(PolicyRef { id, version }: PolicyRef) -> Self {
        Self {
            id,
            version: version.0,
        }
    }
}

/// A promise under its name: what clocks run by. Never changes once it was in force; a change of the policy makes further
/// terms.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Which policy, and which version of its promise.
    pub policy: PolicyRef,
    /// The version of its promise at which its hours last changed: equal numbers are equal hours.
    pub calendar_version: Version,
    /// What is promised.
    pub promise: Promise,
}

/// Finds terms by their name: those that a ticket's clocks run by, and those that a fact brings into force.
pub trait TermsBook {
    /// The terms of that name.
    fn terms(&self, policy: PolicyRef) -> Option<&Terms>;
}

impl TermsBook for [Arc<Terms>] {
    fn terms(&self, policy: PolicyRef) -> Option<&Terms> {
        self.iter().find(|terms| terms.policy == policy).map(Arc::as_ref)
    }
}

impl<const N: usize> TermsBook for [Arc<Terms>; N] {
    fn terms(&self, policy: PolicyRef) -> Option<&Terms> {
        self.as_slice().terms(policy)
    }
}

impl TermsBook for Vec<Arc<Terms>> {
    fn terms(&self, policy: PolicyRef) -> Option<&Terms> {
        self.as_slice().terms(policy)
    }
}

impl TermsBook for std::collections::HashMap<PolicyRef, Arc<Terms>> {
    fn terms(&self, policy: PolicyRef) -> Option<&Terms> {
        self.get(&policy).map(Arc::as_ref)
    }
}
