//! Reading a condition from JSON, and telling everything that is wrong with it at once.

use chrono::{DateTime, Datelike as _, SubsecRound as _, TimeDelta};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Condition, FieldKind, Literal, Scalar, Term, Test, Vocabulary};
use crate::failure::{Violation, Violations, member_pointer};

/// The most terms of a condition.
pub const TERMS_MAX: usize = 20;
/// How deep groups may be nested: a group in a group in a group.
pub const LEVELS_MAX: usize = 3;
/// The most values of `in` and `not_in`.
pub const VALUES_MAX: usize = 50;
/// The most characters of a text to compare with.
pub const TEXT_CHARS_MAX: usize = 200;
/// The farthest that a relative time may lie from now, in days.
const DAYS_FROM_NOW_MAX: i64 = 36_525;

/// The names of all operators, for a language that adds some of its own.
#[must_use]
pub fn operator_names() -> [&'static str; 13] {
    Operator::ALL.map(Operator::name)
}

/// The operators, by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
    GreaterThan,
    LessThan,
    Between,
    IsSet,
    IsNotSet,
}

impl Operator {
    const ALL: [Self; 13] = [
        Self::Equals,
        Self::NotEquals,
        Self::In,
        Self::NotIn,
        Self::Contains,
        Self::NotContains,
        Self::StartsWith,
        Self::EndsWith,
        Self::GreaterThan,
        Self::LessThan,
        Self::Between,
        Self::IsSet,
        Self::IsNotSet,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "not_equals",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Contains => "contains",
            Self::NotContains => "not_contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::GreaterThan => "greater_than",
            Self::LessThan => "less_than",
            Self::Between => "between",
            Self::IsSet => "is_set",
            Self::IsNotSet => "is_not_set",
        }
    }

    fn negates(self) -> bool {
        matches!(
            self,
            Self::NotEquals | Self::NotIn | Self::NotContains | Self::IsNotSet
        )
    }

    /// Whether fields of this kind have it.
    fn fits(self, kind: FieldKind) -> bool {
        match self {
            Self::Equals | Self::NotEquals => !matches!(kind, FieldKind::Time | FieldKind::Tags),
            Self::In | Self::NotIn => !matches!(kind, FieldKind::Time | FieldKind::Flag),
            Self::Contains | Self::NotContains => {
                matches!(kind, FieldKind::Text | FieldKind::Tags | FieldKind::Json)
            }
            Self::StartsWith | Self::EndsWith => matches!(kind, FieldKind::Text | FieldKind::Json),
            Self::GreaterThan | Self::LessThan | Self::Between => {
                matches!(kind, FieldKind::Time | FieldKind::Number | FieldKind::Json)
            }
            Self::IsSet | Self::IsNotSet => true,
        }
    }
}

impl<F> Condition<F, Literal> {
    /// Reads a condition; `pointer` is where in the request it stands.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn read(
        json: &Value,
        pointer: &str,
        vocabulary: &impl Vocabulary<Field = F>,
    ) -> Result<Self, Violations> {
        let mut reader = Reader {
            vocabulary,
            faults: Violations::new(),
            terms: 0,
        };
        let condition = reader.condition(json, pointer, 0);
        if reader.terms > TERMS_MAX {
            let message = format!("must have at most {TERMS_MAX} terms, has {}", reader.terms);
            reader.faults.push(Violation::new(pointer, "too_many", message));
        }
        reader.faults.into_result()?;
        // Without a fault there is a condition.
        condition.ok_or_else(|| Violation::new(pointer, "invalid", "is no condition").into())
    }
}

struct Reader<'a, V> {
    vocabulary: &'a V,
    faults: Violations,
    terms: usize,
}

impl<V: Vocabulary> Reader<'_, V> {
    fn refuse<T>(
        &mut self,
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Option<T> {
        self.faults.push(Violation::new(pointer, code, message));
        None
    }

    /// A condition within so many groups.
    fn condition(
        &mut self,
        json: &Value,
        pointer: &str,
        level: usize,
    ) -> Option<Condition<V::Field, Literal>> {
        let Value::Object(members) = json else {
            return self.refuse(pointer, "wrong_type", "must be an object");
        };
        let group = ["all", "any", "none"]
            .into_iter()
            .find(|name| members.contains_key(*name));
        match group {
            Some(name) => self.group(name, members, pointer, level + 1),
            None => self.term(members, pointer).map(Condition::Term),
        }
    }

    fn group(
        &mut self,
        name: &'static str,
        members: &Map<String, Value>,
        pointer: &str,
        level: usize,
    ) -> Option<Condition<V::Field, Literal>> {
        if members.len() > 1 {
            self.refuse::<()>(
                pointer,
                "unknown_member",
                format!("must have no member beside {name}"),
            );
        }
        let pointer = format!("{pointer}/{name}");
        if level > LEVELS_MAX {
            let message = format!("must not lie deeper than {LEVELS_MAX} groups");
            return self.refuse(pointer, "too_deep", message);
        }
        let elements = match members.get(name) {
            Some(Value::Array(elements)) if !elements.is_empty() => elements,
            _ => {
                return self.refuse(pointer, "wrong_type", "must be a list of at least one condition");
            }
        };
        let mut conditions = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            // What lies beyond the bound is counted and not read.
            if self.terms > TERMS_MAX {
                self.terms += 1;
                continue;
            }
            conditions.extend(self.condition(element, &format!("{pointer}/{index}"), level));
        }
        Some(match name {
            "all" => Condition::All(conditions),
            "any" => Condition::Any(conditions),
            _ => Condition::None(conditions),
        })
    }

    fn term(&mut self, members: &Map<String, Value>, pointer: &str) -> Option<Term<V::Field, Literal>> {
        self.terms += 1;
        for name in members.keys() {
            if !["field", "operator", "value"].contains(&name.as_str()) {
                let name: String = name.chars().take(64).collect();
                self.refuse::<()>(
                    member_pointer(pointer, &name),
                    "unknown_member",
                    "must be all, any or none, or field, operator and value",
                );
            }
        }
        let field = self.field(members.get("field"), &format!("{pointer}/field"));
        let operator = self.operator(members.get("operator"), &format!("{pointer}/operator"));
        let ((field, kind), operator) = field.zip(operator)?;
        if !operator.fits(kind) {
            let fitting = Operator::ALL.into_iter().filter(|operator| operator.fits(kind));
            let names: Vec<_> = fitting.map(Operator::name).collect();
            let message = format!("must be one of {} for this field", names.join(", "));
            return self.refuse(format!("{pointer}/operator"), "not_allowed", message);
        }
        let test = self.test(operator, kind, members.get("value"), &format!("{pointer}/value"))?;
        Some(Term {
            field,
            negated: operator.negates(),
            test,
        })
    }

    fn field(&mut self, json: Option<&Value>, pointer: &str) -> Option<(V::Field, FieldKind)> {
        let found = json
            .and_then(Value::as_str)
            .and_then(|name| self.vocabulary.find(name));
        if found.is_none() {
            let message = format!("must be one of {}", self.vocabulary.names().join(", "));
            return self.refuse(pointer, "unknown_field", message);
        }
        found
    }

    fn operator(&mut self, json: Option<&Value>, pointer: &str) -> Option<Operator> {
        let found = json.and_then(Value::as_str);
        let found = found.and_then(|name| Operator::ALL.into_iter().find(|operator| operator.name() == name));
        if found.is_none() {
            let message = format!("must be one of {}", Operator::ALL.map(Operator::name).join(", "));
            return self.refuse(pointer, "unknown_operator", message);
        }
        found
    }

    fn test(
        &mut self,
        operator: Operator,
        kind: FieldKind,
        json: Option<&Value>,
        pointer: &str,
    ) -> Option<Test<Literal>> {
        if let Operator::IsSet | Operator::IsNotSet = operator {
            if json.is_some() {
                return self.refuse(pointer, "unknown_member", "must not be given with this operator");
            }
            return Some(Test::IsSet);
        }
        let Some(json) = json else {
            return self.refuse(pointer, "required", "must be given with this operator");
        };
        let test = match operator {
            Operator::Equals | Operator::NotEquals => Test::OneOf(vec![self.literal(kind, json, pointer)?]),
            Operator::In | Operator::NotIn => Test::OneOf(self.literals(kind, json, pointer)?),
            Operator::Contains | Operator::NotContains => Test::Contains(self.part(kind, json, pointer)?),
            Operator::StartsWith => Test::StartsWith(self.part(kind, json, pointer)?),
            Operator::EndsWith => Test::EndsWith(self.part(kind, json, pointer)?),
            Operator::GreaterThan => Test::Above(self.bound(kind, json, pointer)?),
            Operator::LessThan => Test::Below(self.bound(kind, json, pointer)?),
            Operator::Between => {
                let Some([from, to]) = json.as_array().map(Vec::as_slice) else {
                    return self.refuse(pointer, "wrong_type", "must be a list of two values");
                };
                let from = self.bound(kind, from, &format!("{pointer}/0"));
                let to = self.bound(kind, to, &format!("{pointer}/1"));
                let (from, to) = from.zip(to)?;
                Test::Between(from, to)
            }
            Operator::IsSet | Operator::IsNotSet => Test::IsSet,
        };
        Some(test)
    }

    fn literals(&mut self, kind: FieldKind, json: &Value, pointer: &str) -> Option<Vec<Literal>> {
        let elements = match json {
            Value::Array(elements) if (1..=VALUES_MAX).contains(&elements.len()) => elements,
            _ => {
                let message = format!("must be a list of 1 to {VALUES_MAX} values");
                return self.refuse(pointer, "wrong_type", message);
            }
        };
        let mut literals = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            literals.extend(self.literal(kind, element, &format!("{pointer}/{index}")));
        }
        (literals.len() == elements.len()).then_some(literals)
    }

    /// A text that a field may have as a part; of a set of texts, an element.
    fn part(&mut self, kind: FieldKind, json: &Value, pointer: &str) -> Option<String> {
        let text = self.text(json, pointer)?;
        Some(if kind == FieldKind::Tags {
            text.to_lowercase()
        } else {
            text
        })
    }

    /// What a field can be greater or less than: a number or, for JSON, a text too.
    fn bound(&mut self, kind: FieldKind, json: &Value, pointer: &str) -> Option<Literal> {
        if kind == FieldKind::Json && json.is_boolean() {
            return self.refuse(pointer, "wrong_type", "must be a text or a number");
        }
        self.literal(kind, json, pointer)
    }

    fn literal(&mut self, kind: FieldKind, json: &Value, pointer: &str) -> Option<Literal> {
        let scalar = match kind {
            FieldKind::Text => Scalar::Text(self.text(json, pointer)?),
            FieldKind::Tags => Scalar::Text(self.part(kind, json, pointer)?),
            FieldKind::Choice(names) => match json.as_str().filter(|name| names.contains(name)) {
                Some(name) => Scalar::Text(name.to_owned()),
                None => {
                    let message = format!("must be one of {}", names.join(", "));
                    return self.refuse(pointer, "not_allowed", message);
                }
            },
            FieldKind::Person if json.as_str() == Some("me") => return Some(Literal::Me),
            FieldKind::Person | FieldKind::Id => match json.as_str().and_then(id) {
                Some(id) => Scalar::Id(id),
                None if kind == FieldKind::Person => {
                    return self.refuse(pointer, "not_a_uuid", "must be me or a UUID");
                }
                None => return self.refuse(pointer, "not_a_uuid", "must be a UUID"),
            },
            FieldKind::Time => match json.as_str().and_then(moment) {
                Some(literal) => return Some(literal),
                None => {
                    return self.refuse(
                        pointer,
                        "not_a_time",
                        "must be a time as in RFC 3339, or one from now: -30m, +2h, -7d, -4w",
                    );
                }
            },
            FieldKind::Number => match json.as_f64() {
                Some(number) => Scalar::Number(number),
                None => return self.refuse(pointer, "wrong_type", "must be a number"),
            },
            FieldKind::Flag => match json.as_bool() {
                Some(flag) => Scalar::Flag(flag),
                None => return self.refuse(pointer, "wrong_type", "must be true or false"),
            },
            FieldKind::Json => match json {
                Value::Bool(flag) => Scalar::Flag(*flag),
                Value::Number(number) => Scalar::Number(number.as_f64()?),
                Value::String(_) => Scalar::Text(self.text(json, pointer)?),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    return self.refuse(pointer, "wrong_type", "must be a text, a number or a boolean");
                }
            },
        };
        Some(Literal::Scalar(scalar))
    }

    fn text(&mut self, json: &Value, pointer: &str) -> Option<String> {
        let Some(text) = json.as_str() else {
            return self.refuse(pointer, "wrong_type", "must be a text");
        };
        // U+0000 is in no stored text, and PostgreSQL takes none.
        if !(1..=TEXT_CHARS_MAX).contains(&text.chars().count()) || text.contains('\0') {
            let message = format!("must have 1 to {TEXT_CHARS_MAX} characters, none of them U+0000");
            return self.refuse(pointer, "invalid", message);
        }
        Some(text.to_owned())
    }
}

/// An id in its usual spelling, of 36 characters.
fn id(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// A moment of the years 1 to 9999, or a distance from now: a sign, a number and `m`, `h`, `d` or `w`.
fn moment(text: &str) -> Option<Literal> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        let time = time.to_utc().trunc_subsecs(6);
        return (1..=9999)
            .contains(&time.year())
            .then_some(Literal::Scalar(Scalar::Time(time)));
    }
    let (sign, rest) = if let Some(rest) = text.strip_prefix('-') {
        (-1, rest)
    } else {
        (1, text.strip_prefix('+')?)
    };
    let digits = rest.get(..rest.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse::<i64>().ok()? * sign;
    let delta = match rest.chars().next_back()? {
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        'w' => TimeDelta::try_weeks(count),
        _ => None,
    }?;
    (delta.abs() <= TimeDelta::days(DAYS_FROM_NOW_MAX)).then_some(Literal::FromNow(delta))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn a_moment_is_absolute_or_from_now() {
        let at = |text: &str| moment(text);
        assert_eq!(at("-30m"), Some(Literal::FromNow(TimeDelta::minutes(-30))));
        assert_eq!(at("+2h"), Some(Literal::FromNow(TimeDelta::hours(2))));
        assert_eq!(at("-7d"), Some(Literal::FromNow(TimeDelta::days(-7))));
        assert_eq!(at("+36525d"), Some(Literal::FromNow(TimeDelta::days(36_525))));
        let time: DateTime<Utc> = "2026-01-31T08:00:00.123456Z".parse().unwrap();
        assert_eq!(
            at("2026-01-31T09:00:00.1234569+01:00"),
            Some(Literal::Scalar(Scalar::Time(time)))
        );
        for text in [
            "",
            "-",
            "+",
            "7d",
            "-d",
            "-7",
            "-7y",
            "--7d",
            "-7.5h",
            "+36526d",
            "-99999999w",
            "-7ä",
            "2026-01-31",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
