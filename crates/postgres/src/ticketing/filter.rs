//! Conditions of the filter language as SQL on `tickets`.
//!
//! Only the choice of the pieces is the user's; every word is bound. A test on no value is null here, which counts as
//! false like everything that is not true: hence `IS NOT TRUE` where something is negated. No piece can fail on any
//! stored value, whatever other writers put into the JSON columns.
//!
//! `ticketing::TicketFilter::matches` is the same in memory; a property test holds the two equal.

use kernel::filter::{Condition, Scalar, Term, Test, folded};
use serde_json::Value;
use ticketing::{Audience, TicketCondition, TicketField};
use uuid::Uuid;

use crate::sql::Sql;

/// The condition in brackets.
pub(super) fn compiled(condition: &TicketCondition, audience: Audience) -> Sql {
    match condition {
        Condition::All(conditions) => joined(conditions, " AND ", audience),
        Condition::Any(conditions) => joined(conditions, " OR ", audience),
        Condition::None(conditions) => joined(conditions, " OR ", audience).push(" IS NOT TRUE"),
        Condition::Term(Term { field, negated, test }) => {
            let sql = Sql::new("(").append(term(field, test, audience));
            sql.push(if *negated { ") IS NOT TRUE" } else { ")" })
        }
    }
}

fn joined(conditions: &[TicketCondition], between: &'static str, audience: Audience) -> Sql {
    let mut sql = Sql::new("(");
    for (index, condition) in conditions.iter().enumerate() {
        if index > 0 {
            sql = sql.push(between);
        }
        // In brackets: `a IS NOT TRUE` binds less than what may stand beside it.
        sql = sql.push("(").append(compiled(condition, audience)).push(")");
    }
    sql.push(")")
}

fn term(field: &TicketField, test: &Test, audience: Audience) -> Sql {
    let staff = audience == Audience::Staff;
    match field {
        TicketField::Number => text("ticket_number", test),
        TicketField::Subject => text("subject", test),
        TicketField::Description => text("description", test),
        TicketField::Status => choice("status", " = ANY(", "::\"TicketStatus\"[])", test),
        TicketField::Priority => choice("priority", " = ANY(", "::\"TicketPriority\"[])", test),
        TicketField::Channel => choice("channel", " = ANY(", "::\"TicketChannel\"[])", test),
        TicketField::Requester => id("created_by", test),
        TicketField::Assignee => id("assigned_to", test),
        TicketField::Team => id("team_id", test),
        TicketField::SlaPolicy => id("sla_policy_id", test),
        TicketField::Tags => tags(test),
        TicketField::Custom(name) => custom(name, test),
        TicketField::CreatedAt => ordered("created_at", test),
        TicketField::UpdatedAt if staff => ordered("updated_at", test),
        TicketField::UpdatedAt => ordered("public_updated_at", test),
        TicketField::FirstResponseAt => ordered("first_response_at", test),
        TicketField::ResolvedAt => ordered("resolved_at", test),
        TicketField::ClosedAt => ordered("closed_at", test),
        TicketField::AutoClosedAt => ordered("auto_closed_at", test),
        TicketField::MessageCount if staff => ordered("message_count", test),
        TicketField::MessageCount => ordered("public_message_count", test),
        TicketField::LastMessageAt if staff => ordered("last_message_at", test),
        TicketField::LastMessageAt => ordered("public_last_message_at", test),
        TicketField::SatisfactionScore => ordered("satisfaction_score", test),
        TicketField::RatedAt => ordered("rated_at", test),
        TicketField::SlaDueAt => ordered("sla_due_at", test),
        TicketField::SlaBreached => flag("sla_breached", test),
    }
}

/// What no test of this kind of field can be; reading refuses it.
fn never() -> Sql {
    Sql::new("false")
}

fn text(column: &'static str, test: &Test) -> Sql {
    let value = || Sql::new("lower(").push(column).push(" COLLATE \"C\")");
    match test {
        Test::IsSet => Sql::new(column).push(" IS NOT NULL"),
        Test::OneOf(values) => value().push(" = ANY(").bind(folded_texts(values)).push(")"),
        Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => part(&value, test),
        Test::Above(_) | Test::Below(_) | Test::Between(..) => never(),
    }
}

/// What a text has in it, at its beginning, at its end. No patterns, so that `%` and `_` are themselves.
fn part(value: &impl Fn() -> Sql, test: &Test) -> Sql {
    match test {
        Test::Contains(part) => Sql::new("strpos(")
            .append(value())
            .push(", ")
            .bind(folded(part))
            .push(") > 0"),
        Test::StartsWith(part) => Sql::new("starts_with(")
            .append(value())
            .push(", ")
            .bind(folded(part))
            .push(")"),
        Test::EndsWith(part) => Sql::new("right(")
            .append(value())
            .push(", ")
            .bind(i32::try_from(part.chars().count()).unwrap_or(i32::MAX))
            .push(") = ")
            .bind(folded(part)),
        Test::IsSet | Test::OneOf(_) | Test::Above(_) | Test::Below(_) | Test::Between(..) => never(),
    }
}

fn choice(column: &'static str, is_one_of: &'static str, names: &'static str, test: &Test) -> Sql {
    match test {
        Test::IsSet => Sql::new(column).push(" IS NOT NULL"),
        Test::OneOf(values) => Sql::new(column).push(is_one_of).bind(texts(values)).push(names),
        Test::Contains(_)
        | Test::StartsWith(_)
        | Test::EndsWith(_)
        | Test::Above(_)
        | Test::Below(_)
        | Test::Between(..) => never(),
    }
}

fn id(column: &'static str, test: &Test) -> Sql {
    match test {
        Test::IsSet => Sql::new(column).push(" IS NOT NULL"),
        Test::OneOf(values) => {
            let ids: Vec<Uuid> = values
                .iter()
                .filter_map(|value| match value {
                    Scalar::Id(id) => Some(*id),
                    _ => None,
                })
                .collect();
            Sql::new(column).push(" = ANY(").bind(ids).push(")")
        }
        Test::Contains(_)
        | Test::StartsWith(_)
        | Test::EndsWith(_)
        | Test::Above(_)
        | Test::Below(_)
        | Test::Between(..) => never(),
    }
}

/// A column of times or numbers.
fn ordered(column: &'static str, test: &Test) -> Sql {
    let compared = |operator: &'static str, bound: &Scalar| match bound {
        Scalar::Time(time) => Sql::new(column).push(operator).bind(*time),
        Scalar::Number(number) => Sql::new(column)
            .push("::double precision")
            .push(operator)
            .bind(*number),
        Scalar::Text(_) | Scalar::Id(_) | Scalar::Flag(_) => never(),
    };
    match test {
        Test::IsSet => Sql::new(column).push(" IS NOT NULL"),
        Test::OneOf(values) => any(values, |value| compared(" = ", value)),
        Test::Above(bound) => compared(" > ", bound),
        Test::Below(bound) => compared(" < ", bound),
        Test::Between(from, to) => compared(" >= ", from).push(" AND ").append(compared(" <= ", to)),
        Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => never(),
    }
}

fn flag(column: &'static str, test: &Test) -> Sql {
    match test {
        Test::IsSet => Sql::new(column).push(" IS NOT NULL"),
        Test::OneOf(values) => any(values, |value| match value {
            Scalar::Flag(flag) => Sql::new(column).push(" = ").bind(*flag),
            Scalar::Text(_) | Scalar::Id(_) | Scalar::Time(_) | Scalar::Number(_) => never(),
        }),
        Test::Contains(_)
        | Test::StartsWith(_)
        | Test::EndsWith(_)
        | Test::Above(_)
        | Test::Below(_)
        | Test::Between(..) => never(),
    }
}

fn tags(test: &Test) -> Sql {
    // What other writers put there and is no list reads as none; see the row.
    let list = || Sql::new("jsonb_typeof(tags) = 'array' AND ");
    match test {
        Test::IsSet => list().push("jsonb_path_exists(tags, '$[*] ? (@.type() == \"string\")')"),
        Test::OneOf(values) => list().push("tags ?| ").bind(texts(values)),
        Test::Contains(tag) => list().push("tags @> ").bind(Value::from(vec![tag.clone()])),
        Test::StartsWith(_) | Test::EndsWith(_) | Test::Above(_) | Test::Below(_) | Test::Between(..) => {
            never()
        }
    }
}

fn custom(name: &str, test: &Test) -> Sql {
    let value = || Sql::new("(custom_fields -> ").bind(name).push("::text)");
    let typed = |name: &'static str| {
        Sql::new("jsonb_typeof(")
            .append(value())
            .push(") = '")
            .push(name)
            .push("'")
    };
    let words = || Sql::new("(custom_fields ->> ").bind(name).push("::text)");
    let folded_words = || Sql::new("lower(").append(words()).push(" COLLATE \"C\")");
    let is_text = || typed("string").push(" AND ");
    let compared = |operator: &'static str, bound: &Scalar| match bound {
        Scalar::Number(number) => typed("number")
            .push(" AND ")
            .append(value())
            .push(operator)
            .push("to_jsonb(")
            .bind(*number)
            .push("::double precision)"),
        Scalar::Text(text) => is_text()
            .append(words())
            .push(" COLLATE \"C\"")
            .push(operator)
            .bind(text.as_str()),
        Scalar::Id(_) | Scalar::Time(_) | Scalar::Flag(_) => never(),
    };
    match test {
        Test::IsSet => value().push(" NOT IN ('null'::jsonb, '[]'::jsonb)"),
        Test::OneOf(values) => any(values, |wanted| match wanted {
            Scalar::Text(text) => is_text()
                .append(folded_words())
                .push(" = ")
                .bind(folded(text))
                .push(" OR ")
                .append(typed("array"))
                .push(" AND ")
                .append(value())
                .push(" ? ")
                .bind(text.as_str()),
            Scalar::Flag(flag) => value().push(" = to_jsonb(").bind(*flag).push("::boolean)"),
            Scalar::Number(_) => compared(" = ", wanted),
            Scalar::Id(_) | Scalar::Time(_) => never(),
        }),
        Test::Contains(text) => is_text()
            .append(part(&folded_words, test))
            .push(" OR ")
            .append(typed("array"))
            .push(" AND ")
            .append(value())
            .push(" ? ")
            .bind(text.as_str()),
        Test::StartsWith(_) | Test::EndsWith(_) => is_text().append(part(&folded_words, test)),
        Test::Above(bound) => compared(" > ", bound),
        Test::Below(bound) => compared(" < ", bound),
        Test::Between(from, to) => compared(" >= ", from).push(" AND ").append(compared(" <= ", to)),
    }
}

/// One of the tests that the values make; none for none.
fn any(values: &[Scalar], test: impl Fn(&Scalar) -> Sql) -> Sql {
    let mut sql = Sql::new("false");
    for value in values {
        sql = sql.push(" OR (").append(test(value)).push(")");
    }
    sql
}

fn texts(values: &[Scalar]) -> Vec<String> {
    let text = |value: &Scalar| match value {
        Scalar::Text(text) => Some(text.clone()),
        Scalar::Id(_) | Scalar::Time(_) | Scalar::Number(_) | Scalar::Flag(_) => None,
    };
    values.iter().filter_map(text).collect()
}

fn folded_texts(values: &[Scalar]) -> Vec<String> {
    texts(values).iter().map(|text| folded(text)).collect()
}
