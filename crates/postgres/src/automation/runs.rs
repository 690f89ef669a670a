//! What rules did, in PostgreSQL.

use std::collections::HashMap;

use async_trait::async_trait;
use automation::{
    CommitError, PLAN_VERSION, RuleId, Run, RunCounts, RunKey, RunState, RunStore, ScheduleLease, StepResult,
    Trip,
};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use kernel::{EventId, Page, PageLimit, PortError, Position, TicketId, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Database;
use crate::error::Failure;
use crate::schema::{automation_runs, automation_schedules};
use crate::sql::Sql;
use crate::ticketing::NumberRow;

const PORT: &str = "automation runs";

/// Runs in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgRuns {
    database: Database,
}

impl PgRuns {
    /// Those of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn runs(&self, sql: Sql) -> Result<Vec<Run>, PortError> {
        let rows: Vec<RunRow> = self.database.rows(PORT, sql).await?;
        rows.into_iter().map(RunRow::into_run).collect()
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = automation_runs)]
struct RunRow {
    rule_id: Uuid,
    event_id: Uuid,
    rule_version: i32,
    name: String,
    ticket_id: Option<Uuid>,
    happened_at: DateTime<Utc>,
    place: i32,
    explanation: Value,
    plan_version: i16,
    steps: Value,
    chain: Value,
    settled_at: Option<DateTime<Utc>>,
    results: Option<Value>,
}

const SELECT: &str = "SELECT rule_id, event_id, rule_version, name, ticket_id, happened_at, place, explanation, plan_version, \
    steps, chain, settled_at, results FROM automation_runs";

impl RunRow {
    fn into_run(self) -> Result<Run, PortError> {
        let Self {
            rule_id,
            event_id,
            rule_version,
            name,
            ticket_id,
            happened_at,
            place,
            explanation,
            plan_version,
            steps,
            chain,
            settled_at,
            results,
        } = self;
        let corrupt = |column, detail| PortError::Corrupt {
            table: "automation_runs",
            column,
            id: format!("({rule_id}, {event_id})"),
            detail,
        };
        if plan_version != plan_version_now() {
            return Err(corrupt("plan_version", format!("{plan_version} is not known")));
        }
        let state = match (settled_at, results) {
            (Some(at), Some(results)) => RunState::Settled {
                at,
                results: read(results).map_err(|detail| corrupt("results", detail))?,
            },
            (Some(_) | None, _) => RunState::Planned,
        };
        Ok(Run {
            key: RunKey {
                rule: RuleId(rule_id),
                event: EventId(event_id),
            },
            version: Version(rule_version),
            name,
            ticket: ticket_id.map(TicketId),
            at: happened_at,
            place: u32::try_from(place).unwrap_or(0),
            explanation: read(explanation).map_err(|detail| corrupt("explanation", detail))?,
            steps: read(steps).map_err(|detail| corrupt("steps", detail))?,
            chain: read(chain).map_err(|detail| corrupt("chain", detail))?,
            state,
        })
    }
}

fn plan_version_now() -> i16 {
    i16::try_from(PLAN_VERSION).unwrap_or(i16::MAX)
}

fn read<T: DeserializeOwned>(json: Value) -> Result<T, String> {
    serde_json::from_value(json).map_err(|error| error.to_string())
}

fn written(value: &impl Serialize) -> Result<Value, PortError> {
    serde_json::to_value(value).map_err(|error| PortError::Bug {
        port: PORT,
        source: Box::new(error),
    })
}

fn record(run: &Run) -> Result<Value, PortError> {
    let Run {
        key,
        version,
        name,
        ticket,
        at,
        place,
        explanation,
        steps,
        chain,
        state,
    } = run;
    let (settled_at, results) = match state {
        RunState::Planned => (None, None),
        RunState::Settled { at, results } => (Some(at), Some(written(results)?)),
    };
    Ok(json!({
        "rule_id": key.rule,
        "event_id": key.event,
        "log_id": log_id(*key),
        "rule_version": version.0,
        "name": name,
        "ticket_id": ticket,
        "happened_at": at,
        "place": place,
        "explanation": written(explanation)?,
        "plan_version": PLAN_VERSION,
        "steps": written(steps)?,
        "chain": written(chain)?,
        "settled_at": settled_at,
        "results": results,
    }))
}

/// Where a run stands among those of one moment.
fn log_id(key: RunKey) -> Uuid {
    key.step_id(0)
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = SqlUuid)]
    rule_id: Uuid,
    #[diesel(sql_type = BigInt)]
    of_ticket: i64,
    #[diesel(sql_type = BigInt)]
    of_rule: i64,
}

#[derive(QueryableByName)]
#[diesel(table_name = automation_schedules)]
struct DoneRow {
    rule_id: Uuid,
    done_at: Option<DateTime<Utc>>,
}

#[async_trait]
impl RunStore for PgRuns {
    async fn runs_of(&self, event: EventId) -> Result<Vec<Run>, PortError> {
        let sql = Sql::new(SELECT)
            .push(" WHERE event_id = ")
            .bind(event)
            .push(" ORDER BY place");
        self.runs(sql).await
    }

    async fn begin(&self, event: EventId, runs: &[Run], trips: &[Trip]) -> Result<(), CommitError> {
        let runs = runs.iter().map(record).collect::<Result<_, _>>()?;
        let trips = trips
            .iter()
            .map(|trip| json!({ "rule_id": trip.rule, "tripped_at": trip.at }));
        let sql = Sql::new(
            "WITH new_trips AS (INSERT INTO automation_trips (rule_id, event_id, tripped_at) SELECT rule_id, ",
        )
        .bind(event)
        .push(", tripped_at FROM jsonb_to_recordset(")
        .bind(Value::Array(trips.collect()))
        .push(
            ") AS r (rule_id uuid, tripped_at timestamptz) ON CONFLICT DO NOTHING) \
             INSERT INTO automation_runs (rule_id, event_id, log_id, rule_version, name, ticket_id, happened_at, place, \
             explanation, plan_version, steps, chain, settled_at, results) SELECT rule_id, event_id, log_id, rule_version, \
             name, ticket_id, happened_at, place, explanation, plan_version, steps, chain, settled_at, results \
             FROM jsonb_to_recordset(",
        )
        .bind(Value::Array(runs))
        .push(
            ") AS r (rule_id uuid, event_id uuid, log_id uuid, rule_version integer, name text, ticket_id uuid, \
             happened_at timestamptz, place integer, explanation jsonb, plan_version smallint, steps jsonb, chain jsonb, \
             settled_at timestamptz, results jsonb)",
        );
        let run = self
            .database
            .run(async |connection| diesel_async::RunQueryDsl::execute(&sql, connection).await)
            .await;
        match run {
            Ok(_) => Ok(()),
            Err(failure) => Err(refusal(failure)),
        }
    }

    async fn settle(&self, key: RunKey, at: DateTime<Utc>, results: &[StepResult]) -> Result<(), PortError> {
        let sql = Sql::new("UPDATE automation_runs SET settled_at = ")
            .bind(at)
            .push(", results = ")
            .bind(written(&results)?)
            .push(" WHERE settled_at IS NULL AND rule_id = ")
            .bind(key.rule.0)
            .push(" AND event_id = ")
            .bind(key.event);
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn unsettled(&self, before: DateTime<Utc>, limit: PageLimit) -> Result<Vec<Run>, PortError> {
        let sql = Sql::new(SELECT)
            .push(" WHERE settled_at IS NULL AND happened_at < ")
            .bind(before)
            .push(" ORDER BY happened_at, event_id, place LIMIT ")
            .bind(rows(limit));
        self.runs(sql).await
    }

    async fn counts(
        &self,
        rules: &[RuleId],
        ticket: Option<TicketId>,
        since: DateTime<Utc>,
    ) -> Result<HashMap<RuleId, RunCounts>, PortError> {
        let rules: Vec<Uuid> = rules.iter().map(|rule| rule.0).collect();
        let sql = Sql::new("SELECT rule_id, count(*) FILTER (WHERE ticket_id = ")
            .bind(ticket)
            .push(") AS of_ticket, count(*) AS of_rule FROM automation_runs WHERE happened_at >= ")
            .bind(since)
            .push(" AND rule_id = ANY(")
            .bind(rules)
            .push(") GROUP BY rule_id");
        let rows: Vec<CountRow> = self.database.rows(PORT, sql).await?;
        let counts = rows.into_iter().map(|row| {
            let counts = RunCounts {
                ticket: u32::try_from(row.of_ticket).unwrap_or(u32::MAX),
                rule: u32::try_from(row.of_rule).unwrap_or(u32::MAX),
            };
            (RuleId(row.rule_id), counts)
        });
        Ok(counts.collect())
    }

    async fn trips(&self, rule: RuleId, since: DateTime<Utc>) -> Result<u32, PortError> {
        let sql = Sql::new("SELECT count(*) AS number FROM automation_trips WHERE rule_id = ")
            .bind(rule.0)
            .push(" AND tripped_at >= ")
            .bind(since);
        let row: Option<NumberRow> = self.database.row(PORT, sql).await?;
        Ok(row.map_or(0, |row| u32::try_from(row.number).unwrap_or(u32::MAX)))
    }

    async fn worked_off(&self, rules: &[RuleId]) -> Result<HashMap<RuleId, DateTime<Utc>>, PortError> {
        let rules: Vec<Uuid> = rules.iter().map(|rule| rule.0).collect();
        let sql = Sql::new("SELECT rule_id, done_at FROM automation_schedules WHERE rule_id = ANY(")
            .bind(rules)
            .push(")");
        let rows: Vec<DoneRow> = self.database.rows(PORT, sql).await?;
        let done = rows.into_iter();
        Ok(done
            .filter_map(|row| Some((RuleId(row.rule_id), row.done_at?)))
            .collect())
    }

    async fn lease(&self, lease: ScheduleLease) -> Result<bool, PortError> {
        let ScheduleLease {
            rule,
            due,
            now,
            until,
        } = lease;
        let sql = Sql::new("INSERT INTO automation_schedules AS s (rule_id, leased_until) SELECT id, ")
            .bind(until)
            .push(" FROM automation_rules WHERE id = ")
            .bind(rule.0)
            .push(
                " ON CONFLICT (rule_id) DO UPDATE SET leased_until = excluded.leased_until \
             WHERE (s.leased_until IS NULL OR s.leased_until <= ",
            )
            .bind(now)
            .push(") AND (s.done_at IS NULL OR s.done_at < ")
            .bind(due)
            .push(")");
        Ok(self.database.affected(PORT, sql).await? > 0)
    }

    async fn prolong(&self, rule: RuleId, until: DateTime<Utc>) -> Result<(), PortError> {
        let sql = Sql::new("UPDATE automation_schedules SET leased_until = ")
            .bind(until)
            .push(" WHERE rule_id = ")
            .bind(rule.0);
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn finish(&self, rule: RuleId, due: DateTime<Utc>) -> Result<(), PortError> {
        let sql =
            Sql::new("UPDATE automation_schedules SET leased_until = NULL, done_at = greatest(done_at, ")
                .bind(due)
                .push(") WHERE rule_id = ")
                .bind(rule.0);
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn count(&self, rows_max: i64) -> Result<u64, PortError> {
        let sql = Sql::new(
            "WITH taken AS MATERIALIZED (SELECT rule_id, event_id, happened_at FROM automation_runs WHERE NOT is_counted LIMIT ",
        )
        .bind(rows_max)
        .push(
            " FOR UPDATE SKIP LOCKED), marked AS (UPDATE automation_runs r SET is_counted = true FROM taken t \
             WHERE r.rule_id = t.rule_id AND r.event_id = t.event_id RETURNING r.rule_id, r.happened_at), \
             ran AS (SELECT rule_id, count(*) AS number, max(happened_at) AS last_at FROM marked GROUP BY rule_id), \
             held AS MATERIALIZED (SELECT id FROM automation_rules WHERE id IN (SELECT rule_id FROM ran) ORDER BY id \
             FOR NO KEY UPDATE), \
             told AS (UPDATE automation_rules a SET trigger_count = least(a.trigger_count::bigint + ran.number, 2147483647), \
             last_triggered_at = greatest(a.last_triggered_at, ran.last_at) FROM ran \
             WHERE a.id = ran.rule_id AND a.id IN (SELECT id FROM held)) \
             SELECT count(*) AS number FROM marked",
        );
        let row: Option<NumberRow> = self.database.row(PORT, sql).await?;
        Ok(row.map_or(0, |row| u64::try_from(row.number).unwrap_or(0)))
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let trips = Sql::new(
            "DELETE FROM automation_trips WHERE (rule_id, event_id) IN (SELECT rule_id, event_id FROM automation_trips \
             WHERE tripped_at < ",
        )
        .bind(before)
        .push(" ORDER BY tripped_at LIMIT ")
        .bind(rows_max)
        .push(" FOR UPDATE SKIP LOCKED)");
        self.database.affected(PORT, trips).await?;
        let runs = Sql::new(
            "DELETE FROM automation_runs WHERE (rule_id, event_id) IN (SELECT rule_id, event_id FROM automation_runs \
             WHERE settled_at IS NOT NULL AND happened_at < ",
        )
        .bind(before)
        .push(" ORDER BY happened_at LIMIT ")
        .bind(rows_max)
        .push(" FOR UPDATE SKIP LOCKED)");
        self.database.affected(PORT, runs).await
    }

    async fn log(
        &self,
        rule: Option<RuleId>,
        ticket: Option<TicketId>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Run>, PortError> {
        let mut sql = Sql::new(SELECT).push(" WHERE true");
        if let Some(rule) = rule {
            sql = sql.push(" AND rule_id = ").bind(rule.0);
        }
        if let Some(ticket) = ticket {
            sql = sql.push(" AND ticket_id = ").bind(ticket);
        }
        if let Some(Position { at, id }) = after {
            sql = sql
                .push(" AND (happened_at, log_id) < (")
                .bind(at)
                .push(", ")
                .bind(id)
                .push(")");
        }
        let sql = sql
            .push(" ORDER BY happened_at DESC, log_id DESC LIMIT ")
            .bind(rows(limit) + 1);
        let runs = self.runs(sql).await?;
        let position = |run: &Run| Position {
            at: run.at,
            id: log_id(run.key),
        };
        Ok(Page::from_rows(runs, limit, position))
    }
}

fn rows(limit: PageLimit) -> i64 {
    i64::try_from(limit.rows()).unwrap_or(i64::MAX)
}

fn refusal(failure: Failure) -> CommitError {
    match failure.constraint() {
        Some("automation_runs_pkey") => CommitError::Repeated,
        // The rule, or the ticket, went meanwhile: it is decided anew.
        Some(
            "automation_runs_rule_id_fkey"
            | "automation_runs_ticket_id_fkey"
            | "automation_trips_rule_id_fkey",
        ) => CommitError::Stale,
        Some(_) | None => CommitError::Port(failure.at(PORT)),
    }
}
