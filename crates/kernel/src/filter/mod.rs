//! The filter language: conditions on the fields of something, nested by `all`, `any` and `none`.
//!
//! ```json
//! { "all": [
//!     { "field": "status", "operator": "in", "value": ["open", "pending"] },
//!     { "any": [ { "field": "assignedToId", "operator": "equals", "value": "me" },
//!                { "field": "slaDueAt", "operator": "less_than", "value": "+2h" } ] } ] }
//! ```
//!
//! A domain says by a [`Vocabulary`] which fields there are. A condition is [read](Condition::read) and checked once, and
//! then knows only fields that exist with operators and values that fit them. What depends on the reader and the moment
//! ("me", "+2h") is [settled](Condition::settled) when it is used. A settled condition is evaluated
//! [in memory](Condition::holds) or compiled to SQL by an adapter, and both must agree.
//!
//! # What it means
//! Every test is true or false: of a field without value every test is false. The negative operators (`not_…`,
//! `is_not_set`) are exactly the opposite of the positive ones, so `not_equals` holds where there is no value. Texts are
//! compared without regard to the case of the letters A to Z; tags, elements of lists and choices exactly.
//!
//! To add an operator, give it a name in `reading`, a [`Test`], its meaning in [`Test::holds`], and its SQL in the
//! adapters.

mod reading;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

pub use reading::{LEVELS_MAX, TERMS_MAX, TEXT_CHARS_MAX, VALUES_MAX, operator_names};

/// The fields that a condition can be about.
pub trait Vocabulary {
    /// One of them.
    type Field;

    /// The field of a name, and what it holds; `None` when there is none, or none that this reader may know of.
    fn find(&self, name: &str) -> Option<(Self::Field, FieldKind)>;

    /// The names, for telling them to who mistook one.
    fn names(&self) -> Vec<&'static str>;
}

/// What a field holds, which decides its operators and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// A person's id; `me` is the reader's own.
    Person,
    /// Another id.
    Id,
    /// A moment.
    Time,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A set of texts.
    Tags,
    /// Any JSON: a text, a number, a boolean or a list of texts.
    Json,
}

/// A tree of conditions on fields `F` with values `V`: [`Literal`] as it was written, [`Scalar`] once settled.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition<F, V = Scalar> {
    /// Each of them holds.
    All(Vec<Condition<F, V>>),
    /// At least one of them holds.
    Any(Vec<Condition<F, V>>),
    /// None of them holds.
    None(Vec<Condition<F, V>>),
    /// A field passes a test.
    Term(Term<F, V>),
}

/// A test on a field.
#[derive(Debug, Clone, PartialEq)]
pub struct Term<F, V = Scalar> {
    /// What is tested.
    pub field: F,
    /// Whether it must fail the test.
    pub negated: bool,
    /// The test.
    pub test: Test<V>,
}

/// What a field is tested for.
#[derive(Debug, Clone, PartialEq)]
pub enum Test<V = Scalar> {
    /// It has a value; a set or list of texts has an element.
    IsSet,
    /// It is, or a set has, one of these.
    OneOf(Vec<V>),
    /// A text has this in it; a set has it as element.
    Contains(String),
    /// A text begins so.
    StartsWith(String),
    /// A text ends so.
    EndsWith(String),
    /// It is greater, or later.
    Above(V),
    /// It is less, or earlier.
    Below(V),
    /// It is one of both or between them.
    Between(V, V),
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// One that says itself what it is.
    Scalar(Scalar),
    /// The reader.
    Me,
    /// So long after now; before it where negative.
    FromNow(TimeDelta),
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// An id.
    Id(Uuid),
    /// A moment, in microseconds.
    Time(DateTime<Utc>),
    /// A finite number.
    Number(f64),
    /// True or false.
    Flag(bool),
}

/// Who reads, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The present moment.
    pub now: DateTime<Utc>,
    /// The reader; the server itself is nobody.
    pub me: Option<Uuid>,
}

/// The value of a field of something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operand<'a> {
    /// There is none.
    Absent,
    /// A text.
    Text(&'a str),
    /// A set of texts.
    Tags(&'a [String]),
    /// An id.
    Id(Uuid),
    /// A moment.
    Time(DateTime<Utc>),
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// Any JSON.
    Json(&'a Value),
}

impl<T: Into<Operand<'static>>> From<Option<T>> for Operand<'_> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Operand::Absent, Into::into)
    }
}

impl From<Uuid> for Operand<'static> {
    fn from(id: Uuid) -> Self {
        Operand::Id(id)
    }
}

impl From<DateTime<Utc>> for Operand<'static> {
    fn from(time: DateTime<Utc>) -> Self {
        Operand::Time(time)
    }
}

impl<F> Condition<F, Literal> {
    /// The condition under these circumstances.
    #[must_use]
    pub fn settled(self, circumstances: &Circumstances) -> Condition<F> {
        let each = |conditions: Vec<Self>| {
            let settled = conditions.into_iter();
            settled
                .map(|condition| condition.settled(circumstances))
                .collect()
        };
        match self {
            Condition::All(conditions) => Condition::All(each(conditions)),
            Condition::Any(conditions) => Condition::Any(each(conditions)),
            Condition::None(conditions) => Condition::None(each(conditions)),
            Condition::Term(Term { field, negated, test }) => Condition::Term(Term {
                field,
                negated,
                test: test.settled(circumstances),
            }),
        }
    }
}

impl Test<Literal> {
    fn settled(self, circumstances: &Circumstances) -> Test {
        let settle = |literal: Literal| literal.settled(circumstances);
        // What is compared with nobody is compared with nothing, and fails.
        let nothing = || Test::OneOf(Vec::new());
        match self {
            Test::IsSet => Test::IsSet,
            Test::OneOf(values) => Test::OneOf(values.into_iter().filter_map(settle).collect()),
            Test::Contains(text) => Test::Contains(text),
            Test::StartsWith(text) => Test::StartsWith(text),
            Test::EndsWith(text) => Test::EndsWith(text),
            Test::Above(value) => settle(value).map_or_else(nothing, Test::Above),
            Test::Below(value) => settle(value).map_or_else(nothing, Test::Below),
            Test::Between(from, to) => match (settle(from), settle(to)) {
                (Some(from), Some(to)) => Test::Between(from, to),
                _ => nothing(),
            },
        }
    }
}

impl Literal {
    fn settled(self, circumstances: &Circumstances) -> Option<Scalar> {
        match self {
            Literal::Scalar(scalar) => Some(scalar),
            Literal::Me => circumstances.me.map(Scalar::Id),
            // The reading bounds it to some years.
            Literal::FromNow(delta) => circumstances.now.checked_add_signed(delta).map(Scalar::Time),
        }
    }
}

impl<F, V> Condition<F, V> {
    /// Calls `see` with every term, in the order written.
    pub fn each_term<'a>(&'a self, see: &mut impl FnMut(&'a Term<F, V>)) {
        match self {
            Condition::All(conditions) | Condition::Any(conditions) | Condition::None(conditions) => {
                for condition in conditions {
                    condition.each_term(see);
                }
            }
            Condition::Term(term) => see(term),
        }
    }
}

impl<F> Condition<F> {
    /// Whether it holds for something whose fields have these values.
    pub fn holds<'a>(&self, value_of: &impl Fn(&F) -> Operand<'a>) -> bool {
        match self {
            Condition::All(conditions) => conditions.iter().all(|one| one.holds(value_of)),
            Condition::Any(conditions) => conditions.iter().any(|one| one.holds(value_of)),
            Condition::None(conditions) => !conditions.iter().any(|one| one.holds(value_of)),
            Condition::Term(Term { field, negated, test }) => test.holds(value_of(field)) != *negated,
        }
    }
}

impl Test {
    /// Whether a value passes.
    #[must_use]
    pub fn holds(&self, operand: Operand<'_>) -> bool {
        match self {
            Test::IsSet => match operand {
                Operand::Absent => false,
                Operand::Tags(tags) => !tags.is_empty(),
                Operand::Json(value) => match value {
                    Value::Null => false,
                    Value::Array(elements) => !elements.is_empty(),
                    _ => true,
                },
                _ => true,
            },
            Test::OneOf(values) => values.iter().any(|value| is(operand, value)),
            Test::Contains(part) => match operand {
                Operand::Tags(tags) => tags.contains(part),
                Operand::Json(Value::Array(elements)) => has(elements, part),
                _ => text(operand).is_some_and(|text| folded(text).contains(&folded(part))),
            },
            Test::StartsWith(part) => {
                text(operand).is_some_and(|text| folded(text).starts_with(&folded(part)))
            }
            Test::EndsWith(part) => text(operand).is_some_and(|text| folded(text).ends_with(&folded(part))),
            Test::Above(bound) => order(operand, bound).is_some_and(|order| order.is_gt()),
            Test::Below(bound) => order(operand, bound).is_some_and(|order| order.is_lt()),
            Test::Between(from, to) => {
                order(operand, from).is_some_and(|order| order.is_ge())
                    && order(operand, to).is_some_and(|order| order.is_le())
            }
        }
    }
}

/// A text as it is compared: PostgreSQL does the same by `lower(… COLLATE "C")`, whatever the database's locale.
#[must_use]
pub fn folded(text: &str) -> String {
    text.to_ascii_lowercase()
}

fn text(operand: Operand<'_>) -> Option<&str> {
    match operand {
        Operand::Text(text) => Some(text),
        Operand::Json(json) => json.as_str(),
        _ => None,
    }
}

fn has(elements: &[Value], text: &str) -> bool {
    elements.iter().any(|element| element.as_str() == Some(text))
}

fn is(operand: Operand<'_>, value: &Scalar) -> bool {
    match (operand, value) {
        (Operand::Tags(tags), Scalar::Text(wanted)) => tags.contains(wanted),
        (Operand::Json(Value::Array(elements)), Scalar::Text(wanted)) => has(elements, wanted),
        (operand, Scalar::Text(wanted)) => {
            text(operand).is_some_and(|text| text.eq_ignore_ascii_case(wanted))
        }
        (Operand::Id(id), Scalar::Id(wanted)) => id == *wanted,
        (Operand::Flag(flag) | Operand::Json(&Value::Bool(flag)), Scalar::Flag(wanted)) => flag == *wanted,
        (operand, wanted) => order(operand, wanted).is_some_and(|order| order.is_eq()),
    }
}

/// How a value stands to a bound of the same kind. Texts of JSON are ordered by their bytes, which is what dates need.
fn order(operand: Operand<'_>, bound: &Scalar) -> Option<std::cmp::Ordering> {
    match (operand, bound) {
        (Operand::Time(time), Scalar::Time(bound)) => Some(time.cmp(bound)),
        (Operand::Number(number), Scalar::Number(bound)) => number.partial_cmp(bound),
        (Operand::Json(Value::Number(number)), Scalar::Number(bound)) => number.as_f64()?.partial_cmp(bound),
        (Operand::Json(Value::String(text)), Scalar::Text(bound)) => {
            Some(text.as_bytes().cmp(bound.as_bytes()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
