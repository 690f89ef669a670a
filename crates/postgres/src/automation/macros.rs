//! Macros in PostgreSQL.

use async_trait::async_trait;
use automation::{
    Actions, CommitError, MACROS_LISTED_MAX, MACROS_MAX, Macro, MacroCommit, MacroContent, MacroHolder,
    MacroId, MacroReach, MacroStore, MacroWrite, Occasion,
};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use kernel::{PortError, TeamId, UserId, Version};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Database;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::macros;
use crate::sql::Sql;
use crate::ticketing::NumberRow;

const PORT: &str = "macros";
/// Macros are added and given away one after the other, so that no holder has too many.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('macros', 0))";

/// Macros in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgMacros {
    database: Database,
}

impl PgMacros {
    /// Those of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = macros)]
struct MacroRow {
    id: Uuid,
    name: String,
    description: Option<String>,
    actions: Value,
    user_id: Option<Uuid>,
    team_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i32,
}

const COLUMNS: &str = "id, name, description, actions, user_id, team_id, created_at, updated_at, version";

/// [`COLUMNS`] as `jsonb_to_recordset` unpacks them.
const RECORD: &str = "(id uuid, name text, description text, actions jsonb, user_id uuid, team_id uuid, \
    created_at timestamptz, updated_at timestamptz, version integer)";

impl MacroRow {
    fn into_macro(self) -> Result<Macro, PortError> {
        let Self {
            id,
            name,
            description,
            actions,
            user_id,
            team_id,
            created_at,
            updated_at,
            version,
        } = self;
        let actions =
            Actions::read(&actions, "/actions", Occasion::Macro).map_err(|faults| PortError::Corrupt {
                table: "macros",
                column: "actions",
                id: id.to_string(),
                detail: faults.to_string(),
            })?;
        let holder = match (user_id, team_id) {
            (Some(user), _) => MacroHolder::Person(UserId(user)),
            (None, Some(team)) => MacroHolder::Team(TeamId(team)),
            (None, None) => MacroHolder::Desk,
        };
        Ok(Macro {
            id: MacroId(id),
            content: MacroContent {
                name,
                description,
                actions,
                holder,
            },
            created_at,
            updated_at,
            version: Version(version),
        })
    }
}

fn columns_of(holder: MacroHolder) -> (Option<Uuid>, Option<Uuid>) {
    match holder {
        MacroHolder::Person(user) => (Some(user.0), None),
        MacroHolder::Team(team) => (None, Some(team.0)),
        MacroHolder::Desk => (None, None),
    }
}

fn record(one: &Macro) -> Value {
    let Macro {
        id,
        content,
        created_at,
        updated_at,
        version,
    } = one;
    let (user_id, team_id) = columns_of(content.holder);
    json!([{
        "id": id,
        "name": content.name,
        "description": content.description,
        "actions": content.actions.as_json(),
        "user_id": user_id,
        "team_id": team_id,
        "created_at": created_at,
        "updated_at": updated_at,
        "version": version.0,
    }])
}

/// Whether the holder has room for one more, beside `id`.
fn has_room(sql: Sql, holder: MacroHolder, id: MacroId) -> Sql {
    let held = sql
        .push("(SELECT count(*) FROM macros m WHERE m.id <> ")
        .bind(id.0);
    let held = match holder {
        MacroHolder::Person(user) => held.push(" AND m.user_id = ").bind(user),
        MacroHolder::Team(team) => held.push(" AND m.team_id = ").bind(team),
        MacroHolder::Desk => held.push(" AND m.user_id IS NULL AND m.team_id IS NULL"),
    };
    held.push(") < ")
        .bind(i64::try_from(MACROS_MAX).unwrap_or(i64::MAX))
}

#[async_trait]
impl MacroStore for PgMacros {
    async fn get(&self, id: MacroId) -> Result<Option<Macro>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(" FROM macros WHERE id = ")
            .bind(id.0);
        let row: Option<MacroRow> = self.database.row(PORT, sql).await?;
        row.map(MacroRow::into_macro).transpose()
    }

    async fn list(&self, reach: &MacroReach) -> Result<Vec<Macro>, PortError> {
        let mut sql = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(" FROM macros WHERE (user_id IS NULL AND team_id IS NULL)");
        if let Some(user) = reach.person {
            sql = sql.push(" OR user_id = ").bind(user);
        }
        sql = match &reach.teams {
            Some(teams) => {
                let teams: Vec<Uuid> = teams.iter().map(|team| team.0).collect();
                sql.push(" OR team_id = ANY(").bind(teams).push(")")
            }
            None => sql.push(" OR team_id IS NOT NULL"),
        };
        // By the bytes of names, as everywhere where no language is known.
        let sql = sql
            .push(
                " ORDER BY CASE WHEN user_id IS NOT NULL THEN 0 WHEN team_id IS NOT NULL THEN 1 ELSE 2 END, \
                 name COLLATE \"C\", id LIMIT ",
            )
            .bind(i64::try_from(MACROS_LISTED_MAX).unwrap_or(i64::MAX));
        let rows: Vec<MacroRow> = self.database.rows(PORT, sql).await?;
        rows.into_iter().map(MacroRow::into_macro).collect()
    }

    async fn commit(&self, commit: MacroCommit) -> Result<(), CommitError> {
        let MacroCommit { write, receipt } = commit;
        let lock = match &write {
            MacroWrite::Insert(_) | MacroWrite::Update { .. } => Some(Sql::new(LOCK)),
            MacroWrite::Delete { .. } => None,
        };
        let mut sql = Sql::new("WITH present AS (")
            .append(present(&write))
            .push("), changed AS (");
        sql = match &write {
            MacroWrite::Insert(one) => has_room(
                sql.push("INSERT INTO macros (")
                    .push(COLUMNS)
                    .push(") SELECT ")
                    .push(COLUMNS)
                    .push(" FROM jsonb_to_recordset(")
                    .bind(record(one))
                    .push(") AS r ")
                    .push(RECORD)
                    .push(" WHERE "),
                one.content.holder,
                one.id,
            )
            .push(" RETURNING id"),
            MacroWrite::Update { one, expected } => has_room(
                sql.push(
                    "UPDATE macros t SET name = r.name, description = r.description, actions = r.actions, \
                     user_id = r.user_id, team_id = r.team_id, updated_at = r.updated_at, version = r.version \
                     FROM jsonb_to_recordset(",
                )
                .bind(record(one))
                .push(") AS r ")
                .push(RECORD)
                .push(" WHERE t.id = r.id AND t.version = ")
                .bind(expected.0)
                .push(" AND "),
                one.content.holder,
                one.id,
            )
            .push(" RETURNING t.id"),
            MacroWrite::Delete { id, expected } => sql
                .push("DELETE FROM macros WHERE id = ")
                .bind(id.0)
                .push(" AND version = ")
                .bind(expected.0)
                .push(" RETURNING id"),
        };
        sql = sql.push(")");
        if let Some(receipt) = receipt {
            sql = sql
                .push(", new_receipt AS (")
                .append(insert_receipt(&receipt, Some("changed")))
                .push(")");
        }
        // 0 where it changed, 1 where it was not as it was read, 2 where there was no room.
        let sql = sql.push(
            " SELECT CASE WHEN EXISTS (SELECT 1 FROM changed) THEN 0 WHEN EXISTS (SELECT 1 FROM present) THEN 2 ELSE 1 END \
             ::bigint AS number",
        );
        match self.database.row_behind::<NumberRow>(lock.as_ref(), &sql).await {
            Ok(NumberRow { number: 0 }) => Ok(()),
            Ok(NumberRow { number: 2 }) => Err(CommitError::TooMany),
            Ok(NumberRow { .. }) => Err(CommitError::Stale),
            Err(failure) if is_repeated(&failure) => Err(CommitError::Repeated),
            // Its holder went meanwhile: who it is for is asked anew.
            Err(failure)
                if matches!(
                    failure.constraint(),
                    Some("macros_user_id_fkey" | "macros_team_id_fkey")
                ) =>
            {
                Err(CommitError::Stale)
            }
            Err(failure) => Err(CommitError::Port(failure.at(PORT))),
        }
    }
}

/// What a write was decided on.
fn present(write: &MacroWrite) -> Sql {
    let at = |id: &MacroId, expected: &Version| {
        Sql::new("SELECT id FROM macros WHERE id = ")
            .bind(id.0)
            .push(" AND version = ")
            .bind(expected.0)
    };
    match write {
        MacroWrite::Insert(_) => Sql::new("SELECT 1 AS id"),
        MacroWrite::Update { one, expected } => at(&one.id, expected),
        // There is always room for one less.
        MacroWrite::Delete { .. } => Sql::new("SELECT 1 AS id WHERE false"),
    }
}
