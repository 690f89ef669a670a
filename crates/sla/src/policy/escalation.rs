//! Escalation rules: what is to be done at which point of a clock.
//!
//! `[{ "metric": "resolution", "at": "80%" | "-30m" | "breach" | "+60m", "actions": [ … ] }]`. Every point is one of the *used*
//! time: `80%` once so much of the target is used, `-30m` once only 30 counted minutes are left, `+60m` after 60 counted
//! minutes beyond it. So a pause puts off a warning as it puts off the deadline, and nights escalate nothing where they do
//! not count. Actions belong to automation; here they are JSON that whoever reads a policy has checked.

use chrono::TimeDelta;
use kernel::{Violation, Violations};
use serde_json::{Value, json};

use super::DocumentChecks;
use super::terms::{Metric, Minutes};
use crate::reading::{Reader, member};

/// The most steps of a policy.
pub const STEPS_MAX: usize = 20;
/// The most actions of a step.
pub const ACTIONS_PER_STEP_MAX: usize = 20;
/// The most bytes of all steps, as JSON without blanks.
pub const ESCALATION_MAX_BYTES: usize = 65_536;

/// The point of a clock at which a step is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepAt {
    /// When so many hundredths of the target are used: 1 to 99.
    Percent(u8),
    /// When only so much of the target is left; at once where the target is no longer.
    Before(Minutes),
    /// When the deadline has passed.
    Breach,
    /// When so much more has been used than the target.
    After(Minutes),
}

/// What a step is, seen from the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timing {
    /// Before it: a warning.
    Warning,
    /// With it.
    Breach,
    /// After it.
    After,
}

impl StepAt {
    /// Reads `80%`, `-30m`, `breach` or `+60m`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "breach" {
            return Some(Self::Breach);
        }
        let number = |digits: &str| {
            let is_number = (1..=6).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && !digits.starts_with('0');
            is_number.then(|| digits.parse::<u32>().ok()).flatten()
        };
        if let Some(digits) = text.strip_suffix('%') {
            let percent = u8::try_from(number(digits)?).ok()?;
            return (percent < 100).then_some(Self::Percent(percent));
        }
        let minutes = |digits| Minutes::new(number(digits)?);
        let distance = text.strip_suffix('m')?;
        match distance.strip_prefix('-') {
            Some(digits) => Some(Self::Before(minutes(digits)?)),
            None => Some(Self::After(minutes(distance.strip_prefix('+')?)?)),
        }
    }

    /// What it is, seen from the deadline.
    #[must_use]
    pub fn timing(self) -> Timing {
        match self {
            Self::Percent(_) | Self::Before(_) => Timing::Warning,
            Self::Breach => Timing::Breach,
            Self::After(_) => Timing::After,
        }
    }

    /// How much is used then of a clock with this target.
    #[must_use]
    pub fn threshold(self, target: TimeDelta) -> TimeDelta {
        match self {
            Self::Percent(percent) => {
                let micros = target.num_microseconds().unwrap_or(i64::MAX / 100);
                TimeDelta::microseconds((micros.saturating_mul(i64::from(percent)) + 99) / 100)
            }
            Self::Before(minutes) => (target - minutes.delta()).max(TimeDelta::zero()),
            Self::Breach => target,
            Self::After(minutes) => target + minutes.delta(),
        }
    }
}

impl std::fmt::Display for StepAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Before(minutes) => write!(f, "-{}m", minutes.get()),
            Self::Breach => write!(f, "breach"),
            Self::After(minutes) => write!(f, "+{}m", minutes.get()),
        }
    }
}

/// Something to do at a point of a clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Of which clock.
    pub metric: Metric,
    /// At which point.
    pub at: StepAt,
    /// What: actions as automation knows them, in order; none for a mere warning.
    pub actions: Vec<Value>,
}

/// The steps of a policy, as they were written; no two of one clock are at the same point.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Escalation(Vec<Step>);

impl Escalation {
    /// Reads `escalationRules`, which stands at `pointer`; `checks` says what is wrong with actions.
    ///
    /// # Errors
    /// Everything that is wrong with it: `wrong_type`, `required`, `unknown_member`, `too_many`, `too_long`, `unknown_metric`,
    /// `not_a_point`, `duplicate`, and what `checks` finds.
    pub fn read(json: &Value, pointer: &str, checks: &dyn DocumentChecks) -> Result<Self, Violations> {
        let mut reader = Reader::new();
        let bytes = json.to_string().len();
        if bytes > ESCALATION_MAX_BYTES {
            let message = format!("must have at most {ESCALATION_MAX_BYTES} bytes, has {bytes}");
            return Err(Violation::new(pointer, "too_long", message).into());
        }
        let mut steps: Vec<Step> = Vec::new();
        for (index, element) in reader
            .list(json, pointer, STEPS_MAX)
            .unwrap_or(&[])
            .iter()
            .enumerate()
        {
            let pointer = format!("{pointer}/{index}");
            let Some(step) = step(&mut reader, element, &pointer, checks) else {
                continue;
            };
            if steps
                .iter()
                .any(|other| (other.metric, other.at) == (step.metric, step.at))
            {
                let message = "must not stand at the same point of the same clock as another; give that one all actions";
                reader.refuse::<()>(member(&pointer, "at"), "duplicate", message);
            }
            steps.push(step);
        }
        reader.finish(Some(Self(steps)))
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let steps = self.0.iter().map(|step| {
            json!({ "metric": step.metric.as_str(), "at": step.at.to_string(), "actions": step.actions })
        });
        steps.collect::<Vec<_>>().into()
    }

    /// The steps, in the order written.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The step of a clock at a point.
    #[must_use]
    pub fn step(&self, metric: Metric, at: StepAt) -> Option<&Step> {
        self.0.iter().find(|step| (step.metric, step.at) == (metric, at))
    }
}

fn step(reader: &mut Reader, json: &Value, pointer: &str, checks: &dyn DocumentChecks) -> Option<Step> {
    let members = reader.object(json, pointer, &["metric", "at", "actions"])?;
    let metric = reader.required(members, pointer, "metric");
    let metric = metric.and_then(|json| metric_of(reader, json, &member(pointer, "metric")));
    let at = reader.required(members, pointer, "at").and_then(|json| {
        let pointer = member(pointer, "at");
        let at = json.as_str().and_then(StepAt::parse);
        at.or_else(|| {
            reader.refuse(
                &pointer,
                "not_a_point",
                "must be such as 80%, -30m, breach or +60m",
            )
        })
    });
    let actions = reader.required(members, pointer, "actions").and_then(|json| {
        let pointer = member(pointer, "actions");
        let actions = reader.list(json, &pointer, ACTIONS_PER_STEP_MAX)?;
        reader.take_all(checks.actions(actions, &pointer))?;
        Some(actions.to_vec())
    });
    Some(Step {
        metric: metric?,
        at: at?,
        actions: actions?,
    })
}

/// A metric by its name.
pub(super) fn metric_of(reader: &mut Reader, json: &Value, pointer: &str) -> Option<Metric> {
    let found = json.as_str().and_then(Metric::parse);
    if found.is_none() {
        let message = format!("must be one of {}", Metric::ALL.map(Metric::as_str).join(", "));
        return reader.refuse(pointer, "unknown_metric", message);
    }
    found
}
