//! Jobs in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types as types;
use events::{TicketPriority, TicketStatus};
use kernel::{Page, PageLimit, Patch, PortError, Receipt, TicketId, UserId, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ticketing::{
    BulkChange, Claimed, ClaimedItem, DoneItem, ItemOutcome, ItemPosition, ItemResult, Items,
    JOBS_UNFINISHED_MAX, Job, JobId, JobItem, JobState, JobStore, NewJob, Scope, Standing, StartError, Tags,
    Tallied, Task, TicketFilter, Undo, Was,
};
use uuid::Uuid;

use super::counts;
use super::rows::IdRow;
use crate::Database;
use crate::error::Failure;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::jobs;
use crate::sql::Sql;

const PORT: &str = "jobs";

/// The constraint by which an item has one result.
pub(super) const RESULT_KEY: &str = "job_results_pkey";

/// Jobs in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgJobs {
    database: Database,
}

impl PgJobs {
    /// The jobs of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// A row of `jobs`.
#[derive(QueryableByName)]
#[diesel(table_name = jobs)]
struct JobRow {
    id: Uuid,
    owner_id: Uuid,
    change: Option<Value>,
    undo_of: Option<Uuid>,
    state: String,
    total: i32,
    changed: i32,
    unchanged: i32,
    refused: i32,
    next_item: i32,
    version: i32,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl JobRow {
    const COLUMNS: &str = "id, owner_id, change, undo_of, state, total, changed, unchanged, refused, next_item, version, \
        created_at, started_at, finished_at";

    fn into_job(self) -> Result<Job, PortError> {
        let Self {
            id,
            owner_id,
            change,
            undo_of,
            state,
            total,
            changed,
            unchanged,
            refused,
            next_item: _,
            version,
            created_at,
            started_at,
            finished_at,
        } = self;
        let corrupt = |column, detail: String| PortError::Corrupt {
            table: "jobs",
            column,
            id: id.to_string(),
            detail,
        };
        let task = match (change, undo_of) {
            (Some(change), None) => {
                let row: ChangeRow =
                    serde_json::from_value(change).map_err(|error| corrupt("change", error.to_string()))?;
                Task::Change(row.into_change())
            }
            (None, Some(undone)) => Task::Undo(JobId(undone)),
            (Some(_), Some(_)) | (None, None) => {
                return Err(corrupt("undo_of", "a job does one thing".to_owned()));
            }
        };
        Ok(Job {
            id: JobId(id),
            owner: UserId(owner_id),
            task,
            state: JobState::parse(&state).ok_or_else(|| corrupt("state", state))?,
            total,
            done: Tallied {
                changed,
                unchanged,
                refused,
            },
            version: Version(version),
            created_at,
            started_at,
            finished_at,
        })
    }
}

/// `jobs.change`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<TicketStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<TicketPriority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee: Option<AssigneeRow>,
    add_tags: Vec<String>,
    remove_tags: Vec<String>,
}

/// Who is to be the assignee, or nobody.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssigneeRow {
    to: Option<Uuid>,
}

impl ChangeRow {
    fn of(change: &BulkChange) -> Self {
        let BulkChange {
            status,
            priority,
            assignee,
            add_tags,
            remove_tags,
        } = change;
        Self {
            status: *status,
            priority: *priority,
            assignee: match assignee {
                Patch::Keep => None,
                Patch::Clear => Some(AssigneeRow { to: None }),
                Patch::Set(user) => Some(AssigneeRow { to: Some(user.0) }),
            },
            add_tags: add_tags.as_slice().to_vec(),
            remove_tags: remove_tags.as_slice().to_vec(),
        }
    }

    fn into_change(self) -> BulkChange {
        let Self {
            status,
            priority,
            assignee,
            add_tags,
            remove_tags,
        } = self;
        BulkChange {
            status,
            priority,
            assignee: match assignee {
                None => Patch::Keep,
                Some(AssigneeRow { to: None }) => Patch::Clear,
                Some(AssigneeRow { to: Some(user) }) => Patch::Set(UserId(user)),
            },
            add_tags: Tags::stored(add_tags),
            remove_tags: Tags::stored(remove_tags),
        }
    }
}

/// `job_results.undo` and `job_items.undo`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UndoRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<WasRow<StandingRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<WasRow<TicketPriority>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee: Option<WasRow<Option<Uuid>>>,
    tags_added: Vec<String>,
    tags_removed: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WasRow<T> {
    before: T,
    after: T,
}

impl<T> WasRow<T> {
    fn of<D>(was: &Was<D>, row: impl Fn(&D) -> T) -> Self {
        Self {
            before: row(&was.before),
            after: row(&was.after),
        }
    }

    fn into_was<D>(self, domain: impl Fn(T) -> D) -> Was<D> {
        Was {
            before: domain(self.before),
            after: domain(self.after),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StandingRow {
    status: TicketStatus,
    resolved_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    auto_closed_at: Option<DateTime<Utc>>,
}

impl StandingRow {
    fn of(standing: &Standing) -> Self {
        Self {
            status: standing.status(),
            resolved_at: standing.resolved_at(),
            closed_at: standing.closed_at(),
            auto_closed_at: standing.auto_closed_at(),
        }
    }

    fn into_standing(self) -> Standing {
        let Self {
            status,
            resolved_at,
            closed_at,
            auto_closed_at,
        } = self;
        Standing::from_columns(
            status,
            resolved_at,
            closed_at,
            auto_closed_at,
            DateTime::UNIX_EPOCH,
        )
    }
}

/// What is to be taken back; null where there is nothing.
fn undo_json(undo: &Undo) -> Result<Option<Value>, PortError> {
    if *undo == Undo::default() {
        return Ok(None);
    }
    let Undo {
        standing,
        priority,
        assignee,
        tags_added,
        tags_removed,
    } = undo;
    let row = UndoRow {
        standing: standing.as_ref().map(|was| WasRow::of(was, StandingRow::of)),
        priority: priority.as_ref().map(|was| WasRow::of(was, |priority| *priority)),
        assignee: assignee
            .as_ref()
            .map(|was| WasRow::of(was, |user| user.map(|user| user.0))),
        tags_added: tags_added.as_slice().to_vec(),
        tags_removed: tags_removed.as_slice().to_vec(),
    };
    json(&row).map(Some)
}

fn undo_of(json: Option<Value>, job: JobId) -> Result<Undo, PortError> {
    let Some(json) = json else {
        return Ok(Undo::default());
    };
    let row = serde_json::from_value(json).map_err(|error| PortError::Corrupt {
        table: "job_items",
        column: "undo",
        id: job.to_string(),
        detail: error.to_string(),
    })?;
    let UndoRow {
        standing,
        priority,
        assignee,
        tags_added,
        tags_removed,
    } = row;
    Ok(Undo {
        standing: standing.map(|was| was.into_was(StandingRow::into_standing)),
        priority: priority.map(|was| was.into_was(|priority| priority)),
        assignee: assignee.map(|was| was.into_was(|user| user.map(UserId))),
        tags_added: Tags::stored(tags_added),
        tags_removed: Tags::stored(tags_removed),
    })
}

fn json(row: &impl Serialize) -> Result<Value, PortError> {
    serde_json::to_value(row).map_err(|error| PortError::Bug {
        port: PORT,
        source: Box::new(error),
    })
}

/// The insertion of what came of an item; `FROM` and a condition may follow.
pub(super) fn insert_result(item: &DoneItem) -> Result<Sql, PortError> {
    let DoneItem {
        job,
        number,
        result:
            ItemResult {
                outcome,
                code,
                detail,
                at,
            },
        undo,
    } = item;
    let insert = "INSERT INTO job_results (job_id, item, outcome, code, detail, undo, created_at) SELECT ";
    Ok(Sql::new(insert)
        .bind(job.0)
        .push(", ")
        .bind(*number)
        .push(", ")
        .bind(outcome.as_str())
        .push(", ")
        .bind(code.as_deref())
        .push(", ")
        .bind(detail.as_deref())
        .push(", ")
        .bind(undo_json(undo)?)
        .push(", ")
        .bind(*at))
}

#[derive(QueryableByName)]
struct ItemRow {
    #[diesel(sql_type = types::Integer)]
    item: i32,
    #[diesel(sql_type = types::Uuid)]
    ticket_id: Uuid,
    #[diesel(sql_type = types::Nullable<types::Text>)]
    outcome: Option<String>,
    #[diesel(sql_type = types::Nullable<types::Text>)]
    code: Option<String>,
    #[diesel(sql_type = types::Nullable<types::Text>)]
    detail: Option<String>,
    #[diesel(sql_type = types::Nullable<types::Timestamptz>)]
    created_at: Option<DateTime<Utc>>,
}

impl ItemRow {
    fn into_item(self) -> JobItem {
        let Self {
            item,
            ticket_id,
            outcome,
            code,
            detail,
            created_at,
        } = self;
        let outcome = outcome.as_deref().and_then(ItemOutcome::parse);
        JobItem {
            number: item,
            ticket: TicketId(ticket_id),
            result: outcome.zip(created_at).map(|(outcome, at)| ItemResult {
                outcome,
                code,
                detail,
                at,
            }),
        }
    }
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = types::Integer)]
    item: i32,
    #[diesel(sql_type = types::Uuid)]
    ticket_id: Uuid,
    #[diesel(sql_type = types::Nullable<types::Jsonb>)]
    undo: Option<Value>,
}

/// What became of a start: how many jobs it stored, and how many unfinished ones its owner had before.
#[derive(QueryableByName)]
struct Outcome {
    #[diesel(sql_type = types::BigInt)]
    changed: i64,
    #[diesel(sql_type = types::BigInt)]
    held: i64,
}

#[async_trait]
impl JobStore for PgJobs {
    async fn select(
        &self,
        scope: &Scope,
        filter: &TicketFilter,
        rows_max: i64,
    ) -> Result<Vec<TicketId>, PortError> {
        let sql = counts::ids(scope, filter, rows_max);
        let rows = self.database.rows::<IdRow>(PORT, sql).await?;
        Ok(rows.into_iter().map(|row| TicketId(row.id)).collect())
    }

    async fn start(&self, new: NewJob) -> Result<(), StartError> {
        // Those who start jobs for one person do so one after the other, so that the count of them holds.
        let lock = Sql::new("SELECT pg_advisory_xact_lock(hashtextextended(")
            .bind(format!("jobs of {}", new.job.owner).as_str())
            .push(", 0))");
        let sql = starting(new)?;
        let run = self.database.row_behind::<Outcome>(Some(&lock), &sql).await;
        match run.map_err(refusal)? {
            Outcome { changed: 0, held } if held >= JOBS_UNFINISHED_MAX => Err(StartError::TooMany),
            Outcome { changed: 0, .. } => Err(StartError::Stale),
            Outcome { .. } => Ok(()),
        }
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(JobRow::COLUMNS)
            .push(" FROM jobs WHERE id = ")
            .bind(id.0);
        let row = self.database.row::<JobRow>(PORT, sql).await?;
        row.map(JobRow::into_job).transpose()
    }

    async fn items(
        &self,
        job: JobId,
        outcome: Option<ItemOutcome>,
        after: Option<ItemPosition>,
        limit: PageLimit,
    ) -> Result<Page<JobItem, ItemPosition>, PortError> {
        let select =
            "SELECT i.item, i.ticket_id, r.outcome, r.code, r.detail, r.created_at FROM job_items i ";
        let after = after.map_or(0, |after| after.0);
        let sql = match outcome {
            None => Sql::new(select)
                .push("LEFT JOIN job_results r ON r.job_id = i.job_id AND r.item = i.item WHERE i.job_id = ")
                .bind(job.0),
            Some(outcome) => Sql::new(select)
                .push("JOIN job_results r ON r.job_id = i.job_id AND r.item = i.item WHERE i.job_id = ")
                .bind(job.0)
                .push(" AND r.outcome = ")
                .bind(outcome.as_str()),
        };
        let sql = sql
            .push(" AND i.item > ")
            .bind(after)
            .push(" ORDER BY i.item LIMIT ")
            .bind(limit.rows_and_one());
        let rows = self.database.rows::<ItemRow>(PORT, sql).await?;
        let items = rows.into_iter().map(ItemRow::into_item).collect();
        Ok(Page::from_rows(items, limit, |item| ItemPosition(item.number)))
    }

    async fn cancel(
        &self,
        job: JobId,
        expected: Version,
        receipt: Option<Receipt>,
    ) -> Result<(), StartError> {
        let mut sql = Sql::new(
            "WITH changed AS (UPDATE jobs SET state = 'cancelling', version = version + 1 \
             WHERE finished_at IS NULL AND id = ",
        )
        .bind(job.0)
        .push(" AND version = ")
        .bind(expected.0)
        .push(" RETURNING id)");
        if let Some(receipt) = receipt {
            sql = sql
                .push(", new_receipt AS (")
                .append(insert_receipt(&receipt, Some("changed")))
                .push(")");
        }
        let sql = sql.push(" SELECT count(*) AS changed, 0::bigint AS held FROM changed");
        let run = self.database.row_behind::<Outcome>(None, &sql).await;
        match run.map_err(refusal)? {
            Outcome { changed: 0, .. } => Err(StartError::Stale),
            Outcome { .. } => Ok(()),
        }
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
        items_max: i64,
    ) -> Result<Option<Claimed>, PortError> {
        let sql = Sql::new("UPDATE jobs SET lease_until = ")
            .bind(lease_until)
            .push(", worked_at = ")
            .bind(now)
            .push(", started_at = COALESCE(started_at, ")
            .bind(now)
            .push(
                "), version = version + (state = 'waiting')::int, \
                 state = CASE state WHEN 'waiting' THEN 'running' ELSE state END WHERE id = (\
                 SELECT id FROM jobs WHERE finished_at IS NULL AND (lease_until IS NULL OR lease_until < ",
            )
            .bind(now)
            .push(") ORDER BY worked_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING ")
            .push(JobRow::COLUMNS);
        let Some(row) = self.database.row::<JobRow>(PORT, sql).await? else {
            return Ok(None);
        };
        let next = row.next_item;
        let job = row.into_job()?;
        let sql = Sql::new("SELECT item, ticket_id, undo FROM job_items i WHERE job_id = ")
            .bind(job.id.0)
            .push(" AND item >= ")
            .bind(next)
            .push(
                " AND NOT EXISTS (SELECT FROM job_results r WHERE r.job_id = i.job_id AND r.item = i.item) \
                 ORDER BY item LIMIT ",
            )
            .bind(items_max);
        let rows = self.database.rows::<ClaimedRow>(PORT, sql).await?;
        let items = rows.into_iter().map(
            |ClaimedRow {
                 item,
                 ticket_id,
                 undo,
             }| {
                Ok(ClaimedItem {
                    number: item,
                    ticket: TicketId(ticket_id),
                    undo: undo_of(undo, job.id)?,
                })
            },
        );
        Ok(Some(Claimed {
            items: items.collect::<Result<_, PortError>>()?,
            job,
            next,
        }))
    }

    async fn record(&self, item: DoneItem) -> Result<(), PortError> {
        let sql = insert_result(&item)?.push(" ON CONFLICT (job_id, item) DO NOTHING");
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn release(
        &self,
        claimed: &Claimed,
        next: i32,
        end: Option<JobState>,
        now: DateTime<Utc>,
    ) -> Result<(), PortError> {
        // A job that ends counts all that there is: a node that died may have been further.
        let sql = Sql::new("WITH ending AS MATERIALIZED (SELECT id, COALESCE(")
            .bind(end.map(JobState::as_str))
            .push(", CASE WHEN total < ")
            .bind(next)
            .push(" THEN 'completed' WHEN state = 'cancelling' THEN 'cancelled' END) AS state FROM jobs WHERE id = ")
            .bind(claimed.job.id.0)
            .push(" AND next_item = ")
            .bind(claimed.next)
            .push(
                " AND finished_at IS NULL FOR UPDATE), counted AS MATERIALIZED (SELECT \
                 count(*) FILTER (WHERE outcome = 'changed')::int AS changed, \
                 count(*) FILTER (WHERE outcome = 'unchanged')::int AS unchanged, \
                 count(*) FILTER (WHERE outcome = 'refused')::int AS refused \
                 FROM ending JOIN job_results ON job_id = ending.id WHERE item >= ",
            )
            .bind(claimed.next)
            .push(" AND (ending.state IS NOT NULL OR item < ")
            .bind(next)
            .push(
                ")) UPDATE jobs j SET lease_until = NULL, version = j.version + 1, \
                 changed = j.changed + counted.changed, unchanged = j.unchanged + counted.unchanged, \
                 refused = j.refused + counted.refused, state = COALESCE(ending.state, j.state), \
                 finished_at = CASE WHEN ending.state IS NOT NULL THEN ",
            )
            .bind(now)
            .push("::timestamptz END, worked_at = ")
            .bind(now)
            .push(", next_item = ")
            .bind(next)
            .push(" FROM ending, counted WHERE j.id = ending.id");
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let sql = Sql::new("DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE finished_at < ")
            .bind(before)
            .push(" ORDER BY finished_at LIMIT ")
            .bind(rows_max)
            .push(" FOR UPDATE SKIP LOCKED)");
        self.database.affected(PORT, sql).await
    }
}

/// The statement that stores a job with its items, where its owner may have one more.
fn starting(new: NewJob) -> Result<Sql, PortError> {
    let NewJob { job, items, receipt } = new;
    let Job {
        id,
        owner,
        task,
        state,
        total,
        done: _,
        version,
        created_at,
        started_at: _,
        finished_at: _,
    } = job;
    let (change, undone) = match task {
        Task::Change(change) => (Some(json(&ChangeRow::of(&change))?), None),
        Task::Undo(JobId(undone)) => (None, Some(undone)),
    };
    let sql = Sql::new(
        "WITH held AS MATERIALIZED (SELECT count(*) AS count FROM jobs WHERE finished_at IS NULL AND owner_id = ",
    )
    .bind(owner)
    .push(
        "), new_job AS (INSERT INTO jobs \
         (id, owner_id, change, undo_of, state, total, version, created_at, worked_at) SELECT ",
    )
    .bind(id.0)
    .push(", ")
    .bind(owner)
    .push(", ")
    .bind(change)
    .push(", ")
    .bind(undone)
    .push(", ")
    .bind(state.as_str())
    .push(", ")
    .bind(total)
    .push(", ")
    .bind(version.0)
    .push(", ")
    .bind(created_at)
    .push(", ")
    .bind(created_at)
    .push(" FROM held WHERE held.count < ")
    .bind(JOBS_UNFINISHED_MAX)
    .push(
        " RETURNING id), new_items AS (INSERT INTO job_items (job_id, item, ticket_id, undo) SELECT new_job.id, ",
    );
    let mut sql = match items {
        Items::Tickets(tickets) => sql
            .push("about.place::int, about.ticket, NULL FROM new_job CROSS JOIN unnest(")
            .bind(tickets.into_iter().map(|ticket| ticket.0).collect::<Vec<_>>())
            .push("::uuid[]) WITH ORDINALITY AS about(ticket, place))"),
        Items::ChangedBy(JobId(changed_by)) => sql
            .push(
                "row_number() OVER (ORDER BY i.item DESC), i.ticket_id, r.undo FROM new_job CROSS JOIN job_items i \
                 JOIN job_results r ON r.job_id = i.job_id AND r.item = i.item \
                 WHERE r.outcome = 'changed' AND i.job_id = ",
            )
            .bind(changed_by)
            .push(")"),
    };
    if let Some(receipt) = receipt {
        let insert = insert_receipt(&receipt, Some("new_job"));
        sql = sql.push(", new_receipt AS (").append(insert).push(")");
    }
    Ok(sql.push(" SELECT (SELECT count(*) FROM new_job) AS changed, (SELECT count FROM held) AS held"))
}

fn refusal(failure: Failure) -> StartError {
    match failure.constraint() {
        Some("jobs_undo_of_key") => StartError::Undone,
        Some(_) if is_repeated(&failure) => StartError::Repeated,
        Some(_) | None => StartError::Port(failure.at(PORT)),
    }
}
