//! Definitions of custom fields in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use kernel::{PortError, Version};
use serde_json::Value;
use ticketing::{
    FIELDS_MAX, FieldCommit, FieldCommitError, FieldDefinition, FieldHelp, FieldId, FieldLabel, FieldName,
    FieldStore, FieldType, FieldValues, FieldWrite, Options, Pattern,
};
use uuid::Uuid;

use crate::Database;
use crate::error::Failure;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::ticket_fields;
use crate::sql::Sql;

const PORT: &str = "fields";

/// Definitions of custom fields in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgFields {
    database: Database,
}

impl PgFields {
    /// The definitions of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// A row of `ticket_fields`.
#[derive(QueryableByName)]
#[diesel(table_name = ticket_fields)]
struct FieldRow {
    id: Uuid,
    name: String,
    label: String,
    description: Option<String>,
    type_: String,
    options: Value,
    pattern: Option<String>,
    required: bool,
    user_editable: bool,
    position: i16,
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl FieldRow {
    const COLUMNS: &str = "id, name, label, description, type AS type_, options, pattern, required, user_editable, position, version, \
        created_at, updated_at";

    fn into_field(self) -> Result<FieldDefinition, PortError> {
        let Self {
            id,
            name,
            label,
            description,
            type_,
            options,
            pattern,
            required,
            user_editable,
            position,
            version,
            created_at,
            updated_at,
        } = self;
        let corrupt = |column, detail: String| PortError::Corrupt {
            table: "ticket_fields",
            column,
            id: id.to_string(),
            detail,
        };
        let kind = FieldType::parse(&type_).ok_or_else(|| corrupt("type", type_))?;
        let options: Vec<String> =
            serde_json::from_value(options).map_err(|error| corrupt("options", error.to_string()))?;
        let options = (!options.is_empty()).then(|| Options::stored(options));
        let pattern = pattern.map(|pattern| Pattern::parse("", &pattern)).transpose();
        let pattern = pattern.map_err(|violation| corrupt("pattern", violation.message))?;
        let values = FieldValues::of(kind, options, pattern);
        Ok(FieldDefinition {
            id: FieldId(id),
            name: FieldName::stored(name),
            label: FieldLabel::stored(label),
            description: description.map(FieldHelp::stored),
            values: values.map_err(|violation| corrupt("type", violation.message))?,
            required,
            user_editable,
            place: position,
            created_at,
            updated_at,
            version: Version(version),
        })
    }
}

/// What became of a commit: how many definitions it changed, and how many there were before.
#[derive(QueryableByName)]
struct Outcome {
    #[diesel(sql_type = BigInt)]
    changed: i64,
    #[diesel(sql_type = BigInt)]
    held: i64,
}

#[async_trait]
impl FieldStore for PgFields {
    async fn fields(&self) -> Result<Vec<FieldDefinition>, PortError> {
        // No more than the bound, which the lock in `commit` holds.
        let sql = Sql::new("SELECT ")
            .push(FieldRow::COLUMNS)
            .push(" FROM ticket_fields ORDER BY position, name COLLATE \"C\"");
        let rows = self.database.rows::<FieldRow>(PORT, sql).await?;
        rows.into_iter().map(FieldRow::into_field).collect()
    }

    async fn commit(&self, commit: FieldCommit) -> Result<(), FieldCommitError> {
        let FieldCommit { write, receipt } = commit;
        let adds = matches!(write, FieldWrite::Insert(_));
        let lock =
            adds.then(|| Sql::new("SELECT pg_advisory_xact_lock(hashtextextended('ticket fields', 0))"));
        let mut sql =
            Sql::new("WITH held AS MATERIALIZED (SELECT count(*) AS count FROM ticket_fields), changed AS (")
                .append(written(write))
                .push(" RETURNING id)");
        if let Some(receipt) = receipt {
            let insert = insert_receipt(&receipt, Some("changed"));
            sql = sql.push(", new_receipt AS (").append(insert).push(")");
        }
        let sql =
            sql.push(" SELECT (SELECT count(*) FROM changed) AS changed, (SELECT count FROM held) AS held");
        let run = self.database.row_behind::<Outcome>(lock.as_ref(), &sql).await;
        match run.map_err(refusal)? {
            Outcome { changed: 0, held } if adds && held >= fields_max() => Err(FieldCommitError::TooMany),
            Outcome { changed: 0, .. } => Err(FieldCommitError::Stale),
            Outcome { .. } => Ok(()),
        }
    }
}

fn fields_max() -> i64 {
    i64::try_from(FIELDS_MAX).unwrap_or(i64::MAX)
}

/// A definition's columns that can change, as values in the order of their names.
fn changeable(field: &FieldDefinition) -> [Sql; 9] {
    let FieldDefinition {
        id: _,
        name: _,
        label,
        description,
        values,
        required,
        user_editable,
        place,
        created_at: _,
        updated_at,
        version,
    } = field;
    let options = values.options().map_or(&[][..], Options::as_slice);
    let value = || Sql::new("");
    [
        value().bind(label.as_str()),
        value().bind(description.as_ref().map(FieldHelp::as_str)),
        value().bind(Value::from(options.to_vec())),
        value().bind(values.pattern().map(Pattern::as_str)),
        value().bind(*required),
        value().bind(*user_editable),
        value().bind(*place),
        value().bind(version.0),
        value().bind(*updated_at),
    ]
}

const CHANGEABLE: [&str; 9] = [
    "label",
    "description",
    "options",
    "pattern",
    "required",
    "user_editable",
    "position",
    "version",
    "updated_at",
];

fn written(write: FieldWrite) -> Sql {
    match write {
        FieldWrite::Insert(field) => {
            let mut sql = Sql::new("INSERT INTO ticket_fields (id, name, type, created_at");
            for column in CHANGEABLE {
                sql = sql.push(", ").push(column);
            }
            sql = sql
                .push(") SELECT ")
                .bind(field.id.0)
                .push(", ")
                .bind(field.name.as_str())
                .push(", ")
                .bind(field.values.kind().as_str())
                .push(", ")
                .bind(field.created_at);
            for value in changeable(&field) {
                sql = sql.push(", ").append(value);
            }
            sql.push(" FROM held WHERE held.count < ").bind(fields_max())
        }
        FieldWrite::Update { field, expected } => {
            let mut sql = Sql::new("UPDATE ticket_fields SET ");
            for (index, (column, value)) in CHANGEABLE.into_iter().zip(changeable(&field)).enumerate() {
                let between = if index == 0 { "" } else { ", " };
                sql = sql.push(between).push(column).push(" = ").append(value);
            }
            at(sql.push(" WHERE id = "), field.id, expected)
        }
        FieldWrite::Delete { id, expected } => {
            at(Sql::new("DELETE FROM ticket_fields WHERE id = "), id, expected)
        }
    }
}

fn at(sql: Sql, id: FieldId, expected: Version) -> Sql {
    sql.bind(id.0).push(" AND version = ").bind(expected.0)
}

fn refusal(failure: Failure) -> FieldCommitError {
    match failure.constraint() {
        Some("ticket_fields_name_key") => FieldCommitError::NameTaken,
        Some(_) if is_repeated(&failure) => FieldCommitError::Repeated,
        Some(_) | None => FieldCommitError::Port(failure.at(PORT)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kernel::SequentialIds;
    use ticketing::testing::contract_fields::field_store;

    use super::*;
    use crate::testing::own::test_database;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_definitions_keep_their_contract() {
        let test = test_database().await;
        let store = Arc::new(PgFields::new(test.database().clone()));
        field_store(store, Arc::new(SequentialIds::default())).await;
    }
}
