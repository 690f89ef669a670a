//! Rules in PostgreSQL. Triggers of `automation_rules` move versions and the revision, so that changes of other writers are seen
//! as well.

use async_trait::async_trait;
use automation::{
    CommitError, Place, RULES_MAX, Revision, Rule, RuleCommit, RuleId, RuleRow, RuleStore, RuleWrite,
};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use kernel::{PortError, Version};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::automation_rules;
use crate::sql::Sql;
use crate::ticketing::NumberRow;

const PORT: &str = "automation rules";
/// New rules come one after the other, so that there are never too many.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('automation rules', 0))";

/// Rules in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgRules {
    database: Database,
}

impl PgRules {
    /// Those of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn revision(&self) -> Result<Revision, PortError> {
        let sql = Sql::new("SELECT revision AS number FROM automation_revision");
        let row: Option<NumberRow> = self.database.row(PORT, sql).await?;
        Ok(Revision(row.map_or(0, |row| row.number)))
    }
}

/// A row of `automation_rules`.
#[derive(QueryableByName)]
#[diesel(table_name = automation_rules)]
struct StoredRow {
    id: Uuid,
    name: String,
    description: Option<String>,
    trigger: String,
    schedule: Option<Value>,
    conditions: Value,
    actions: Value,
    priority: i32,
    enabled: bool,
    stop_after_match: bool,
    rate_limit: Option<Value>,
    disabled: Option<String>,
    created_by: Uuid,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i32,
    trigger_count: i32,
    last_triggered_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, name, description, trigger, schedule, conditions, actions, priority, enabled, stop_after_match, \
    rate_limit, disabled, created_by, created_at, updated_at, version";
const COUNTS: &str = ", trigger_count, last_triggered_at";

/// [`COLUMNS`] as `jsonb_to_recordset` unpacks them.
const RECORD: &str = "(id uuid, name text, description text, trigger text, schedule jsonb, conditions jsonb, actions jsonb, \
    priority integer, enabled boolean, stop_after_match boolean, rate_limit jsonb, disabled text, created_by uuid, \
    created_at timestamptz, updated_at timestamptz, version integer)";

/// Every column that can change, from the record `r`.
const ASSIGNMENTS: &str = "name = r.name, description = r.description, trigger = r.trigger, schedule = r.schedule, \
    conditions = r.conditions, actions = r.actions, priority = r.priority, enabled = r.enabled, \
    stop_after_match = r.stop_after_match, rate_limit = r.rate_limit, disabled = r.disabled, updated_at = r.updated_at, \
    version = r.version";

impl From<StoredRow> for RuleRow {
    fn from(row: StoredRow) -> Self {
        let StoredRow {
            id,
            name,
            description,
            trigger,
            schedule,
            conditions,
            actions,
            priority,
            enabled,
            stop_after_match,
            rate_limit,
            disabled,
            created_by,
            created_at,
            updated_at,
            version,
            trigger_count,
            last_triggered_at,
        } = row;
        Self {
            id,
            name,
            description,
            trigger,
            schedule,
            conditions,
            actions,
            priority,
            enabled,
            stop_after_match,
            rate_limit,
            disabled,
            created_by,
            created_at,
            updated_at,
            version,
            trigger_count,
            last_triggered_at,
        }
    }
}

/// The row that a write gives; it has no say in the counts.
fn record(rule: &Rule) -> QueryResult<Value> {
    let row = serde_json::to_value(rule.to_row());
    let row = row.map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    Ok(Value::Array(vec![row]))
}

#[async_trait]
impl RuleStore for PgRules {
    async fn rule(&self, id: RuleId) -> Result<Option<RuleRow>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(COUNTS)
            .push(" FROM automation_rules WHERE id = ")
            .bind(id.0);
        let row: Option<StoredRow> = self.database.row(PORT, sql).await?;
        Ok(row.map(RuleRow::from))
    }

    async fn rules(&self) -> Result<Vec<RuleRow>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(COUNTS)
            .push(" FROM automation_rules ORDER BY priority, id LIMIT ")
            .bind(rules_max());
        let rows: Vec<StoredRow> = self.database.rows(PORT, sql).await?;
        Ok(rows.into_iter().map(RuleRow::from).collect())
    }

    async fn changed_since(
        &self,
        known: Option<Revision>,
    ) -> Result<Option<(Revision, Vec<RuleRow>)>, PortError> {
        // Before the rows: where one changes in between, they are read once more.
        let revision = self.revision().await?;
        if known == Some(revision) {
            return Ok(None);
        }
        Ok(Some((revision, self.rules().await?)))
    }

    async fn commit(&self, commit: RuleCommit) -> Result<(), CommitError> {
        let tells = commit.event.is_some();
        let is_new = matches!(commit.write, RuleWrite::Insert(_));
        let sql = statement(commit).map_err(|error| Failure::from(error).at(PORT))?;
        let lock = is_new.then(|| Sql::new(LOCK));
        let run = self.database.row_behind::<NumberRow>(lock.as_ref(), &sql).await;
        match run {
            Ok(NumberRow { number: 0 }) if is_new => Err(CommitError::TooMany),
            Ok(NumberRow { number: 0 }) => Err(CommitError::Stale),
            Ok(NumberRow { .. }) => {
                if tells {
                    self.database.wake_ups().committed();
                }
                Ok(())
            }
            Err(failure) if is_repeated(&failure) => Err(CommitError::Repeated),
            Err(failure) => Err(CommitError::Port(failure.at(PORT))),
        }
    }
}

fn rules_max() -> i64 {
    i64::try_from(RULES_MAX).unwrap_or(i64::MAX)
}

/// The statement that stores a decision; its `number` is 0 where it was made on something else.
fn statement(commit: RuleCommit) -> QueryResult<Sql> {
    let RuleCommit {
        write,
        event,
        receipt,
    } = commit;
    let at = |sql: Sql, id: RuleId, expected: Version| {
        sql.push(" WHERE id = ")
            .bind(id.0)
            .push(" AND version = ")
            .bind(expected.0)
    };
    let mut before = Sql::default();
    let changed = match write {
        RuleWrite::Insert(rule) => Sql::new("INSERT INTO automation_rules (")
            .push(COLUMNS)
            .push(") SELECT ")
            .push(COLUMNS)
            .push(" FROM jsonb_to_recordset(")
            .bind(record(&rule)?)
            .push(") AS r ")
            .push(RECORD)
            .push(" WHERE (SELECT count(*) FROM automation_rules) < ")
            .bind(rules_max())
            .push(" RETURNING id"),
        RuleWrite::Update { rule, expected } => Sql::new("UPDATE automation_rules t SET ")
            .push(ASSIGNMENTS)
            .push(" FROM jsonb_to_recordset(")
            .bind(record(&rule)?)
            .push(") AS r ")
            .push(RECORD)
            .push(" WHERE t.id = r.id AND t.version = ")
            .bind(expected.0)
            .push(" RETURNING t.id"),
        RuleWrite::Reorder { places, at } => {
            before = held(&places);
            moved(&places, at)
        }
        RuleWrite::Keep { id, expected } => {
            at(Sql::new("SELECT id FROM automation_rules"), id, expected).push(" FOR UPDATE")
        }
        RuleWrite::Delete { id, expected } => {
            at(Sql::new("DELETE FROM automation_rules"), id, expected).push(" RETURNING id")
        }
    };
    let mut sql = Sql::new("WITH ")
        .append(before)
        .push("changed AS (")
        .append(changed)
        .push("), done AS (SELECT id FROM changed LIMIT 1)");
    if let Some(event) = event {
        let insert = insert_events(&[event], Some("done"))?;
        sql = sql.push(", new_event AS (").append(insert).push(")");
    }
    if let Some(receipt) = receipt {
        sql = sql
            .push(", new_receipt AS (")
            .append(insert_receipt(&receipt, Some("done")))
            .push(")");
    }
    Ok(sql.push(" SELECT count(*) AS number FROM done"))
}

/// Rules that are to take places, as far as they are as they were read.
fn held(places: &[Place]) -> Sql {
    let rows = places.iter().map(|place| {
        json!({
            "id": place.id,
            "priority": place.priority,
            "expected": place.expected.0,
            "version": place.expected.next().0,
        })
    });
    Sql::new("wanted AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(")
        .bind(Value::Array(rows.collect()))
        .push(
            ") AS r (id uuid, priority integer, expected integer, version integer)), \
             held AS MATERIALIZED (SELECT t.id FROM automation_rules t \
             JOIN wanted w ON w.id = t.id AND w.expected = t.version ORDER BY t.id FOR UPDATE OF t), ",
        )
}

/// Moves all of them, or none where one is not as it was read.
fn moved(places: &[Place], at: DateTime<Utc>) -> Sql {
    Sql::new("UPDATE automation_rules t SET priority = w.priority, version = w.version, updated_at = ")
        .bind(at)
        .push(" FROM wanted w WHERE t.id = w.id AND (SELECT count(*) FROM held) = ")
        .bind(i64::try_from(places.len()).unwrap_or(i64::MAX))
        .push(" RETURNING t.id")
}
