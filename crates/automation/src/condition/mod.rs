//! Conditions of rules: the [filter language](kernel::filter) of lists and views, and five operators that only make sense
//! for an event.
//!
//! ```json
//! { "all": [ { "field": "priority", "operator": "changed_to", "value": "urgent" },
//!            { "field": "subject", "operator": "matches_regex", "value": "(?i)vpn|wi-?fi" },
//!            { "none": [ { "field": "now", "operator": "within_business_hours" } ] } ] }
//! ```
//!
//! | operator | fields | value | holds when |
//! |---|---|---|---|
//! | `changed` | those that can change | none | the event changed it |
//! | `changed_from`, `changed_to` | the same, but no moments | one of the field's | it was that before, is that after; of tags: lost it, has it since |
//! | `matches_regex` | texts, tags, custom fields | a pattern | the pattern is found in it; case counts, `(?i)` makes it not count |
//! | `within_business_hours` | moments | none, or an SLA policy's id | the moment lies in the hours of the desk, or of that policy |
//!
//! `changed…` is about the event alone. All other tests see the ticket as the rules before left it. Of a field without
//! value every test is false but the negative ones, as in the filter language. `{}` is the condition that always holds.
//!
//! A condition is read and checked once; then [`Conditions::holds`] stops at the first term that decides, and
//! [`Conditions::explain`] asks every term and tells what it saw. Both give the same answer.
//!
//! To add an operator, add it to `reading::Special` and its meaning to [`Check`].

mod reading;

use kernel::filter::{Circumstances, Condition as Filter, Literal, Operand};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::facts::{Held, Scene};
use crate::field::Field;
use crate::reference::Reference;

pub use reading::{
    CONDITIONS_MAX_BYTES, LEVELS_MAX, PATTERN_MAX_CHARS, REGEX_TEXT_MAX_BYTES, TERMS_MAX, operator_names,
};

/// The most characters of a value that an explanation shows.
pub const SHOWN_MAX_CHARS: usize = 200;

/// The conditions of a rule, checked.
#[derive(Debug, Clone)]
pub struct Conditions {
    written: Value,
    root: Option<Node>,
    references: Vec<Reference>,
}

impl PartialEq for Conditions {
    fn eq(&self, other: &Self) -> bool {
        // All else is made of it.
        self.written == other.written
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    None(Vec<Node>),
    Term(Box<Term>),
}

/// A test on a field, with what it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    pub(crate) pointer: String,
    pub(crate) field: Field,
    pub(crate) operator: &'static str,
    pub(crate) wanted: Value,
    pub(crate) check: Check,
}

#[derive(Debug, Clone)]
pub(crate) enum Check {
    /// One of the filter language that depends on nothing but the field.
    Settled(Filter<Field>),
    /// One with a distance from now.
    Relative(Filter<Field, Literal>),
    /// A text has this in it, both in the form that is compared.
    Contains { part: String, negated: bool },
    /// The event changed it.
    Changed,
    /// It was this before.
    ChangedFrom(Filter<Field>),
    /// It is this afterwards.
    ChangedTo(Filter<Field>),
    /// The pattern is found in it.
    Matches(Regex),
    /// The moment lies in these hours.
    Open(Option<Uuid>),
}

impl Conditions {
    /// Those that always hold.
    #[must_use]
    pub fn always() -> Self {
        Self {
            written: json!({}),
            root: None,
            references: Vec::new(),
        }
    }

    /// As they were written.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.written
    }

    /// The accounts, teams and policies that they name.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    pub(crate) fn holds(&self, scene: &Scene<'_>) -> bool {
        self.root.as_ref().is_none_or(|root| root.holds(scene))
    }

    pub(crate) fn explain(&self, scene: &Scene<'_>) -> Explanation {
        let mut conditions = Vec::new();
        let holds = self
            .root
            .as_ref()
            .is_none_or(|root| root.explain(scene, &mut conditions));
        Explanation { holds, conditions }
    }

    /// The terms that all must hold for the whole to hold.
    pub(crate) fn demands(&self) -> Vec<&Term> {
        let mut demands = Vec::new();
        if let Some(root) = &self.root {
            root.demands(&mut demands);
        }
        demands
    }
}

impl Node {
    fn holds(&self, scene: &Scene<'_>) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|node| node.holds(scene)),
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(scene)),
            Node::None(nodes) => !nodes.iter().any(|node| node.holds(scene)),
            Node::Term(term) => term.holds(scene),
        }
    }

    /// The same without stopping early.
    fn explain(&self, scene: &Scene<'_>, seen: &mut Vec<ConditionResult>) -> bool {
        let mut count = |nodes: &[Node]| {
            let held = nodes.iter().filter(|node| node.explain(scene, seen));
            (held.count(), nodes.len())
        };
        match self {
            Node::All(nodes) => {
                let (held, all) = count(nodes);
                held == all
            }
            Node::Any(nodes) => count(nodes).0 > 0,
            Node::None(nodes) => count(nodes).0 == 0,
            Node::Term(term) => {
                let result = term.explain(scene);
                let holds = result.holds;
                seen.push(result);
                holds
            }
        }
    }

    fn demands<'a>(&'a self, demands: &mut Vec<&'a Term>) {
        match self {
            Node::All(nodes) => nodes.iter().for_each(|node| node.demands(demands)),
            Node::Term(term) => demands.push(term),
            // One alternative is a demand.
            Node::Any(nodes) => {
                if let [node] = nodes.as_slice() {
                    node.demands(demands);
                }
            }
            Node::None(_) => {}
        }
    }
}

impl Term {
    fn holds(&self, scene: &Scene<'_>) -> bool {
        match &self.check {
            Check::Settled(filter) => filter.holds(&|field: &Field| field.value(scene)),
            Check::Relative(filter) => {
                let circumstances = Circumstances {
                    now: scene.happening.at,
                    me: None,
                };
                let settled = filter.clone().settled(&circumstances);
                settled.holds(&|field: &Field| field.value(scene))
            }
            Check::Contains { part, negated } => {
                let has = scene.folded(&self.field).is_some_and(|text| text.contains(part));
                has != *negated
            }
            Check::Changed => scene.happening.change_of(&self.field).is_some(),
            Check::ChangedFrom(filter) => {
                let change = scene.happening.change_of(&self.field);
                change.is_some_and(|change| was(filter, &change.from) && !was(filter, &change.to))
            }
            Check::ChangedTo(filter) => {
                let change = scene.happening.change_of(&self.field);
                change.is_some_and(|change| was(filter, &change.to) && !was(filter, &change.from))
            }
            Check::Matches(regex) => match self.field.value(scene) {
                Operand::Text(text) => regex.is_match(within_bound(text)),
                Operand::Tags(tags) => tags.iter().any(|tag| regex.is_match(tag)),
                Operand::Json(Value::Array(elements)) => {
                    let mut texts = elements.iter().filter_map(Value::as_str);
                    texts.any(|text| regex.is_match(within_bound(text)))
                }
                Operand::Json(json) => json
                    .as_str()
                    .is_some_and(|text| regex.is_match(within_bound(text))),
                Operand::Absent
                | Operand::Id(_)
                | Operand::Time(_)
                | Operand::Number(_)
                | Operand::Flag(_) => false,
            },
            Check::Open(policy) => match self.field.value(scene) {
                Operand::Time(at) => scene.surroundings.is_open(*policy, at) == Some(true),
                Operand::Absent
                | Operand::Text(_)
                | Operand::Tags(_)
                | Operand::Id(_)
                | Operand::Number(_)
                | Operand::Flag(_)
                | Operand::Json(_) => false,
            },
        }
    }

    fn explain(&self, scene: &Scene<'_>) -> ConditionResult {
        let actual = match &self.check {
            Check::Changed | Check::ChangedFrom(_) | Check::ChangedTo(_) => {
                let change = scene.happening.change_of(&self.field);
                change.map_or(Value::Null, |change| {
                    json!({ "from": shown(change.from.to_json()), "to": shown(change.to.to_json()) })
                })
            }
            Check::Settled(_)
            | Check::Relative(_)
            | Check::Contains { .. }
            | Check::Matches(_)
            | Check::Open(_) => shown(Held::of(self.field.value(scene)).to_json()),
        };
        ConditionResult {
            pointer: self.pointer.clone(),
            field: self.field.name(),
            operator: self.operator.to_owned(),
            wanted: shown(self.wanted.clone()),
            actual,
            holds: self.holds(scene),
        }
    }

    /// Whether the field would pass with this value; `None` where that depends on more than the value.
    pub(crate) fn passes(&self, value: Operand<'_>) -> Option<bool> {
        match &self.check {
            Check::Settled(filter) | Check::ChangedTo(filter) => Some(filter.holds(&|_: &Field| value)),
            Check::Relative(_)
            | Check::Contains { .. }
            | Check::Changed
            | Check::ChangedFrom(_)
            | Check::Matches(_)
            | Check::Open(_) => None,
        }
    }

    /// Whether it asks what the event changed.
    pub(crate) fn is_about_the_event(&self) -> bool {
        match &self.check {
            Check::Changed | Check::ChangedFrom(_) | Check::ChangedTo(_) => true,
            Check::Settled(_)
            | Check::Relative(_)
            | Check::Contains { .. }
            | Check::Matches(_)
            | Check::Open(_) => false,
        }
    }
}

fn was(filter: &Filter<Field>, value: &Held) -> bool {
    filter.holds(&|_: &Field| value.operand())
}

/// As much of a text as patterns are looked for in.
fn within_bound(text: &str) -> &str {
    let mut end = text.len().min(REGEX_TEXT_MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// A value as far as an explanation shows it.
fn shown(value: Value) -> Value {
    let clipped = |text: &str| -> Option<String> {
        let (end, _) = text.char_indices().nth(SHOWN_MAX_CHARS)?;
        Some(format!("{}…", text.get(..end)?))
    };
    match value {
        Value::String(text) => json!(clipped(&text).unwrap_or(text)),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            clipped(&text).map_or(value, Value::String)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// What a term saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionResult {
    /// Where it stands in the rule: `/conditions/all/0`.
    pub pointer: String,
    /// The field's name.
    pub field: String,
    /// The operator's name.
    pub operator: String,
    /// What was asked for; null where the operator takes no value.
    pub wanted: Value,
    /// What the field held, at most [`SHOWN_MAX_CHARS`] characters of it; null for nothing. Of a change, `from` and `to`.
    pub actual: Value,
    /// Whether it holds.
    pub holds: bool,
}

/// Why a rule's conditions hold, or do not. How the terms are nested, their pointers say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Whether the whole holds.
    pub holds: bool,
    /// Each term, in the order written.
    pub conditions: Vec<ConditionResult>,
}

#[cfg(test)]
mod tests;
