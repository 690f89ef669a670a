//! Reading conditions: the groups and our own operators here, all else by the filter language.

use kernel::filter::{
    self, Circumstances, Condition as Filter, FieldKind, Literal, Scalar, Test, Vocabulary as _,
};
use kernel::{TeamId, UserId, Violation, Violations};
use regex_lite::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Check, Conditions, Node, Term};
use crate::field::{Field, Fields};
use crate::pointer;
use crate::reference::{Reference, Target};
use crate::trigger::TriggerKind;

/// The most terms of a rule's conditions.
pub const TERMS_MAX: usize = 50;
/// How deep groups may be nested.
pub const LEVELS_MAX: usize = 5;
/// The most characters of a pattern.
pub const PATTERN_MAX_CHARS: usize = 200;
/// How many bytes of a text a pattern is looked for in, from its beginning: 16 KiB. The engine takes time in proportion to
/// text times pattern, so both have a bound.
pub const REGEX_TEXT_MAX_BYTES: usize = 16 * 1024;
/// The most bytes that a compiled pattern may take: repetitions of repetitions are small to write.
const REGEX_SIZE_MAX_BYTES: usize = 32 * 1024;
/// The most bytes of the conditions, as JSON without blanks: 32 KiB.
pub const CONDITIONS_MAX_BYTES: usize = 32 * 1024;

/// The operators that the filter language does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    Changed,
    ChangedFrom,
    ChangedTo,
    MatchesRegex,
    WithinBusinessHours,
}

impl Special {
    const ALL: [Self; 5] = [
        Self::Changed,
        Self::ChangedFrom,
        Self::ChangedTo,
        Self::MatchesRegex,
        Self::WithinBusinessHours,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::ChangedFrom => "changed_from",
            Self::ChangedTo => "changed_to",
            Self::MatchesRegex => "matches_regex",
            Self::WithinBusinessHours => "within_business_hours",
        }
    }

    /// Why it cannot be asked of this field at this trigger.
    fn misfit(self, field: &Field, kind: FieldKind, trigger: TriggerKind) -> Option<&'static str> {
        match self {
            Self::Changed | Self::ChangedFrom | Self::ChangedTo if !changes(trigger) => {
                Some("an event of this trigger changes nothing")
            }
            Self::Changed | Self::ChangedFrom | Self::ChangedTo => {
                (!can_change(field)).then_some("this field does not change by an event")
            }
            Self::MatchesRegex => (!matches!(kind, FieldKind::Text | FieldKind::Tags | FieldKind::Json))
                .then_some("this field is no text"),
            Self::WithinBusinessHours => (kind != FieldKind::Time).then_some("this field is no moment"),
        }
    }
}

/// Whether events of this trigger tell what they changed.
fn changes(trigger: TriggerKind) -> bool {
    match trigger {
        TriggerKind::Updated
        | TriggerKind::StatusChanged
        | TriggerKind::PriorityChanged
        | TriggerKind::Assigned
        | TriggerKind::Reopened
        | TriggerKind::Rated => true,
        TriggerKind::Created
        | TriggerKind::MessageAdded
        | TriggerKind::SlaWarning
        | TriggerKind::SlaBreached
        | TriggerKind::UserCreated
        | TriggerKind::Schedule => false,
    }
}

/// Whether an event can tell that this field changed.
pub(crate) fn can_change(field: &Field) -> bool {
    matches!(
        field,
        Field::Subject
            | Field::Description
            | Field::Status
            | Field::Priority
            | Field::CreatedBy
            | Field::AssignedTo
            | Field::Team
            | Field::Tags
            | Field::Custom(_)
            | Field::SlaPolicy
            | Field::SatisfactionScore
    )
}

/// The names of all operators.
#[must_use]
pub fn operator_names() -> Vec<&'static str> {
    let own = Special::ALL.map(Special::name);
    filter::operator_names().into_iter().chain(own).collect()
}

impl Conditions {
    /// Reads the conditions of a rule with this trigger; `pointer` is where in the rule they stand.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its place.
    pub fn read(json: &Value, pointer: &str, trigger: TriggerKind) -> Result<Self, Violations> {
        let is_empty = match json {
            Value::Null => true,
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
        };
        if is_empty {
            return Ok(Self::always());
        }
        let bytes = json.to_string().len();
        if bytes > CONDITIONS_MAX_BYTES {
            let message = format!("must have at most {CONDITIONS_MAX_BYTES} bytes, has {bytes}");
            return Err(Violation::new(pointer, "too_long", message).into());
        }
        let mut reader = Reader {
            trigger,
            fields: Fields::At(trigger),
            faults: Violations::new(),
            terms: 0,
            references: Vec::new(),
        };
        let root = reader.node(json, pointer, 0);
        if reader.terms > TERMS_MAX {
            let message = format!("must have at most {TERMS_MAX} terms, has {}", reader.terms);
            reader.faults.push(Violation::new(pointer, "too_many", message));
        }
        reader.faults.into_result()?;
        Ok(Self {
            written: json.clone(),
            root,
            references: reader.references,
        })
    }
}

struct Reader {
    trigger: TriggerKind,
    fields: Fields,
    faults: Violations,
    terms: usize,
    references: Vec<Reference>,
}

impl Reader {
    fn refuse<T>(
        &mut self,
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Option<T> {
        self.faults.push(Violation::new(pointer, code, message));
        None
    }

    fn node(&mut self, json: &Value, pointer: &str, level: usize) -> Option<Node> {
        let Value::Object(members) = json else {
            return self.refuse(pointer, "wrong_type", "must be an object");
        };
        let group = ["all", "any", "none"]
            .into_iter()
            .find(|name| members.contains_key(*name));
        match group {
            Some(name) => self.group(name, members, pointer, level + 1),
            None => self.term(json, members, pointer),
        }
    }

    fn group(
        &mut self,
        name: &'static str,
        members: &Map<String, Value>,
        pointer: &str,
        level: usize,
    ) -> Option<Node> {
        if members.len() > 1 {
            let message = format!("must have no member beside {name}");
            self.refuse::<()>(pointer, "unknown_member", message);
        }
        let pointer = pointer::child(pointer, name);
        if level > LEVELS_MAX {
            let message = format!("must not lie deeper than {LEVELS_MAX} groups");
            return self.refuse(pointer, "too_deep", message);
        }
        let elements = match members.get(name) {
            Some(Value::Array(elements)) if !elements.is_empty() => elements,
            _ => return self.refuse(pointer, "wrong_type", "must be a list of at least one condition"),
        };
        let mut nodes = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            // What lies beyond the bound is counted and not read.
            if self.terms > TERMS_MAX {
                self.terms += 1;
                continue;
            }
            nodes.extend(self.node(element, &format!("{pointer}/{index}"), level));
        }
        Some(match name {
            "all" => Node::All(nodes),
            "any" => Node::Any(nodes),
            _ => Node::None(nodes),
        })
    }

    fn term(&mut self, json: &Value, members: &Map<String, Value>, pointer: &str) -> Option<Node> {
        self.terms += 1;
        let operator = members.get("operator").and_then(Value::as_str);
        let special = Special::ALL
            .into_iter()
            .find(|special| Some(special.name()) == operator);
        if let Some(special) = special {
            return self.special(special, members, pointer);
        }
        let known = filter::operator_names()
            .into_iter()
            .find(|known| Some(*known) == operator);
        let Some(name) = known else {
            let message = format!("must be one of {}", operator_names().join(", "));
            self.refuse::<()>(pointer::child(pointer, "operator"), "unknown_operator", message);
            self.field(members, pointer);
            return None;
        };
        let read = match Filter::read(json, pointer, &self.fields) {
            Ok(Filter::Term(term)) => term,
            Ok(_) => return None,
            Err(found) => {
                pointer::extend(&mut self.faults, &found);
                return None;
            }
        };
        let field = read.field.clone();
        self.refer(&field, &read.test, members.get("value"), pointer);
        let check = match (&read.test, field.kind()) {
            // Custom fields can be lists, in which it asks for an element.
            (Test::Contains(part), FieldKind::Text) => Check::Contains {
                part: filter::folded(part),
                negated: read.negated,
            },
            (test, _) if is_relative(test) => Check::Relative(Filter::Term(read)),
            _ => Check::Settled(settled(Filter::Term(read))),
        };
        Some(term(pointer, field, name, members, check))
    }

    fn field(&mut self, members: &Map<String, Value>, pointer: &str) -> Option<(Field, FieldKind)> {
        let found = members.get("field").and_then(Value::as_str);
        let found = found.and_then(|name| self.fields.find(name));
        if found.is_none() {
            let message = format!("must be one of {}", self.fields.names().join(", "));
            return self.refuse(pointer::child(pointer, "field"), "unknown_field", message);
        }
        found
    }

    fn special(&mut self, special: Special, members: &Map<String, Value>, pointer: &str) -> Option<Node> {
        for name in members.keys() {
            if !["field", "operator", "value"].contains(&name.as_str()) {
                let message = "must be all, any or none, or field, operator and value";
                self.refuse::<()>(pointer::child(pointer, name), "unknown_member", message);
            }
        }
        let (field, kind) = self.field(members, pointer)?;
        if let Some(why) = special.misfit(&field, kind, self.trigger) {
            return self.refuse(pointer::child(pointer, "operator"), "not_allowed", why);
        }
        let place = pointer::child(pointer, "value");
        let value = members.get("value");
        let check = match (special, value) {
            (Special::Changed, None) => Check::Changed,
            (Special::Changed, Some(_)) => {
                return self.refuse(place, "unknown_member", "must not be given with this operator");
            }
            (Special::WithinBusinessHours, None) => Check::Open(None),
            (Special::WithinBusinessHours, Some(json)) => {
                let Some(policy) = pointer::uuid(json) else {
                    return self.refuse(place, "not_a_uuid", "must be the id of an SLA policy");
                };
                self.references.push(Reference {
                    pointer: place,
                    target: Target::SlaPolicy(policy),
                });
                Check::Open(Some(policy))
            }
            (Special::ChangedFrom | Special::ChangedTo | Special::MatchesRegex, None) => {
                return self.refuse(place, "required", "must be given with this operator");
            }
            (Special::MatchesRegex, Some(json)) => Check::Matches(self.pattern(json, &place)?),
            (Special::ChangedFrom, Some(json)) => Check::ChangedFrom(self.one(kind, members, json, pointer)?),
            (Special::ChangedTo, Some(json)) => Check::ChangedTo(self.one(kind, members, json, pointer)?),
        };
        Some(term(pointer, field, special.name(), members, check))
    }

    /// That a field is one value; of tags, that it is among them.
    fn one(
        &mut self,
        kind: FieldKind,
        members: &Map<String, Value>,
        value: &Value,
        pointer: &str,
    ) -> Option<Filter<Field>> {
        let operator = match kind {
            FieldKind::Tags => "contains",
            FieldKind::Text
            | FieldKind::Choice(_)
            | FieldKind::Person
            | FieldKind::Id
            | FieldKind::Time
            | FieldKind::Number
            | FieldKind::Flag
            | FieldKind::Json => "equals",
        };
        let json = json!({ "field": members.get("field"), "operator": operator, "value": value });
        match Filter::read(&json, pointer, &self.fields) {
            Ok(Filter::Term(term)) => {
                self.refer(&term.field, &term.test, Some(value), pointer);
                Some(settled(Filter::Term(term)))
            }
            Ok(_) => None,
            Err(found) => {
                pointer::extend(&mut self.faults, &found);
                None
            }
        }
    }

    fn pattern(&mut self, json: &Value, pointer: &str) -> Option<Regex> {
        let Some(text) = json.as_str() else {
            return self.refuse(pointer, "wrong_type", "must be a text");
        };
        if !(1..=PATTERN_MAX_CHARS).contains(&text.chars().count()) {
            let message = format!("must have 1 to {PATTERN_MAX_CHARS} characters");
            return self.refuse(pointer, "invalid", message);
        }
        let built = RegexBuilder::new(text).size_limit(REGEX_SIZE_MAX_BYTES).build();
        match built {
            Ok(regex) => Some(regex),
            Err(error) => self.refuse(pointer, "invalid", format!("must be a pattern: {error}")),
        }
    }

    /// Notes the ids that a test compares with.
    fn refer(&mut self, field: &Field, test: &Test<Literal>, json: Option<&Value>, pointer: &str) {
        let target = |id: Uuid| match field {
            Field::CreatedBy
            | Field::RequesterId
            | Field::AssignedTo
            | Field::AssigneeId
            | Field::MessageAuthor
            | Field::UserId => Some(Target::User(UserId(id))),
            Field::Team => Some(Target::Team(TeamId(id))),
            Field::SlaPolicy => Some(Target::SlaPolicy(id)),
            _ => None,
        };
        let Test::OneOf(values) = test else {
            return;
        };
        let is_list = json.is_some_and(Value::is_array);
        for (index, value) in values.iter().enumerate() {
            let Literal::Scalar(Scalar::Id(id)) = value else {
                continue;
            };
            if let Some(target) = target(*id) {
                let place = pointer::child(pointer, "value");
                let pointer = if is_list {
                    format!("{place}/{index}")
                } else {
                    place
                };
                self.references.push(Reference { pointer, target });
            }
        }
    }
}

fn term(
    pointer: &str,
    field: Field,
    operator: &'static str,
    members: &Map<String, Value>,
    check: Check,
) -> Node {
    Node::Term(Box::new(Term {
        pointer: pointer.to_owned(),
        field,
        operator,
        wanted: members.get("value").cloned().unwrap_or(Value::Null),
        check,
    }))
}

/// What holds no distance from now is the same at any moment.
fn settled(filter: Filter<Field, Literal>) -> Filter<Field> {
    filter.settled(&Circumstances {
        now: chrono::DateTime::UNIX_EPOCH,
        me: None,
    })
}

fn is_relative(test: &Test<Literal>) -> bool {
    let from_now = |literal: &Literal| match literal {
        Literal::FromNow(_) => true,
        Literal::Scalar(_) | Literal::Me => false,
    };
    match test {
        Test::IsSet | Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => false,
        Test::OneOf(values) => values.iter().any(from_now),
        Test::Above(value) | Test::Below(value) => from_now(value),
        Test::Between(from, to) => from_now(from) || from_now(to),
    }
}
