//! Saved views in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use kernel::id::Uuid;
use kernel::{Page, PageLimit, PortError, TeamId, UserId, Version};
use serde_json::Value;
use ticketing::{
    SavedView, SavedViewId, SavedViewStore, Sort, TeamReach, VIEWS_MAX, ViewCommit, ViewCommitError,
    ViewFilter, ViewHolder, ViewName, ViewPlace, ViewPosition, ViewReach, ViewVisibility, ViewWrite,
};

use crate::Database;
use crate::error::Failure;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::ticket_views;
use crate::sql::Sql;

const PORT: &str = "views";

/// Saved views in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgViews {
    database: Database,
}

impl PgViews {
    /// The views of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// A row of `ticket_views`.
#[derive(QueryableByName)]
#[diesel(table_name = ticket_views)]
struct ViewRow {
    id: Uuid,
    name: String,
    filter: Option<Value>,
    sort: String,
    position: i16,
    owner_id: Option<Uuid>,
    team_id: Option<Uuid>,
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl ViewRow {
    const COLUMNS: &str =
        "id, name, filter, sort, position, owner_id, team_id, version, created_at, updated_at";

    fn into_view(self) -> Result<SavedView, PortError> {
        let Self {
            id,
            name,
            filter,
            sort,
            position,
            owner_id,
            team_id,
            version,
            created_at,
            updated_at,
        } = self;
        let corrupt = |column, detail: String| PortError::Corrupt {
            table: "ticket_views",
            column,
            id: id.to_string(),
            detail,
        };
        let holder = match (owner_id, team_id) {
            (None, None) => ViewHolder::Desk,
            (Some(owner), None) => ViewHolder::Person(UserId(owner)),
            (None, Some(team)) => ViewHolder::Team(TeamId(team)),
            (Some(_), Some(team)) => return Err(corrupt("team_id", format!("{team}, beside an owner"))),
        };
        Ok(SavedView {
            id: SavedViewId(id),
            name: ViewName::stored(name),
            filter: filter.map(ViewFilter::stored),
            sort: Sort::named(&sort).ok_or_else(|| corrupt("sort", sort))?,
            place: ViewPlace::stored(position),
            holder,
            created_at,
            updated_at,
            version: Version(version),
        })
    }
}

/// What became of a commit: how many views it changed, and how many the holder had before.
#[derive(QueryableByName)]
struct Outcome {
    #[diesel(sql_type = BigInt)]
    changed: i64,
    #[diesel(sql_type = BigInt)]
    held: i64,
}

#[async_trait]
impl SavedViewStore for PgViews {
    async fn view(&self, id: SavedViewId) -> Result<Option<SavedView>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(ViewRow::COLUMNS)
            .push(" FROM ticket_views WHERE id = ")
            .bind(id.0);
        let row = self.database.row::<ViewRow>(PORT, sql).await?;
        row.map(ViewRow::into_view).transpose()
    }

    async fn views_by_id(&self, ids: &[SavedViewId]) -> Result<Vec<SavedView>, PortError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let sql = Sql::new("SELECT ")
            .push(ViewRow::COLUMNS)
            .push(" FROM ticket_views WHERE id = ANY(")
            .bind(ids)
            .push(")");
        let rows = self.database.rows::<ViewRow>(PORT, sql).await?;
        rows.into_iter().map(ViewRow::into_view).collect()
    }

    async fn views(
        &self,
        reach: &ViewReach,
        after: Option<ViewPosition>,
        limit: PageLimit,
    ) -> Result<Page<SavedView, ViewPosition>, PortError> {
        let sql = page(reach, after, limit);
        let rows = self.database.rows::<ViewRow>(PORT, sql).await?;
        let views = rows
            .into_iter()
            .map(ViewRow::into_view)
            .collect::<Result<_, _>>()?;
        Ok(Page::from_rows(views, limit, SavedView::position))
    }

    async fn commit(&self, commit: ViewCommit) -> Result<(), ViewCommitError> {
        let gains = match &commit.write {
            ViewWrite::Insert(view)
            | ViewWrite::Update {
                view, is_moved: true, ..
            } => Some(view.holder),
            ViewWrite::Update { is_moved: false, .. } | ViewWrite::Keep { .. } | ViewWrite::Delete { .. } => {
                None
            }
        };
        let lock = gains.map(lock);
        let sql = statement(commit, gains);
        let run = self.database.row_behind::<Outcome>(lock.as_ref(), &sql).await;
        match run.map_err(refusal)? {
            Outcome { changed: 0, held } if gains.is_some() && held >= VIEWS_MAX => {
                Err(ViewCommitError::TooMany)
            }
            Outcome { changed: 0, .. } => Err(ViewCommitError::Stale),
            Outcome { .. } => Ok(()),
        }
    }
}

/// One page of views and a row: a merge of a walk of one's own, one of each team's, and one of the shared.
pub(super) fn page(reach: &ViewReach, after: Option<ViewPosition>, limit: PageLimit) -> Sql {
    let ViewReach { person, teams } = reach;
    let rows = limit.rows_and_one();
    let mut walks = Vec::new();
    for visibility in ViewVisibility::ALL {
        if after.is_some_and(|after| after.visibility > visibility) {
            continue;
        }
        let after = after.filter(|after| after.visibility == visibility);
        let walk = |from: Sql| in_order(beyond(from, after)).push(" LIMIT ").bind(rows);
        let select = |kind: &'static str| {
            Sql::new(kind)
                .push(ViewRow::COLUMNS)
                .push(" FROM ticket_views WHERE ")
        };
        walks.push(match (visibility, teams) {
            (ViewVisibility::Own, _) => {
                let Some(person) = person else { continue };
                walk(select("SELECT 0 AS kind, ").push("owner_id = ").bind(*person))
            }
            (ViewVisibility::Team, TeamReach::All) => {
                walk(select("SELECT 1 AS kind, ").push("team_id IS NOT NULL"))
            }
            (ViewVisibility::Team, TeamReach::These(teams)) => {
                let teams: Vec<Uuid> = teams.iter().map(|team| team.0).collect();
                Sql::new("SELECT of_team.* FROM unnest(")
                    .bind(teams)
                    .push("::uuid[]) AS m(reached) CROSS JOIN LATERAL (")
                    .append(walk(select("SELECT 1 AS kind, ").push("team_id = m.reached")))
                    .push(") of_team")
            }
            (ViewVisibility::Shared, _) => {
                walk(select("SELECT 2 AS kind, ").push("owner_id IS NULL AND team_id IS NULL"))
            }
        });
    }
    let mut sql = Sql::new("SELECT ").push(ViewRow::COLUMNS).push(" FROM (");
    for (index, walk) in walks.into_iter().enumerate() {
        sql = sql
            .push(if index == 0 { "(" } else { " UNION ALL (" })
            .append(walk)
            .push(")");
    }
    sql.push(") views ORDER BY kind, position, id LIMIT ").bind(rows)
}

fn beyond(sql: Sql, after: Option<ViewPosition>) -> Sql {
    let Some(ViewPosition { place, id, .. }) = after else {
        return sql;
    };
    sql.push(" AND (position, id) > (")
        .bind(place.number())
        .push(", ")
        .bind(id.0)
        .push(")")
}

fn in_order(sql: Sql) -> Sql {
    sql.push(" ORDER BY position, id")
}

/// Lets those who add to a holder's views do so one after the other, so that the count of them holds.
fn lock(holder: ViewHolder) -> Sql {
    let holder = match holder {
        ViewHolder::Person(owner) => format!("views of person {owner}"),
        ViewHolder::Team(team) => format!("views of team {team}"),
        ViewHolder::Desk => "views of the desk".to_owned(),
    };
    Sql::new("SELECT pg_advisory_xact_lock(hashtextextended(")
        .bind(holder.as_str())
        .push(", 0))")
}

/// The two columns that say whose a view is.
fn columns_of(holder: ViewHolder) -> (Option<UserId>, Option<TeamId>) {
    match holder {
        ViewHolder::Person(owner) => (Some(owner), None),
        ViewHolder::Team(team) => (None, Some(team)),
        ViewHolder::Desk => (None, None),
    }
}

/// The part `held`: how many views the holder has that is to get one more.
fn held(gains: Option<ViewHolder>) -> Sql {
    let count = "held AS MATERIALIZED (SELECT count(*) AS count FROM ticket_views WHERE ";
    match gains {
        None => Sql::new("held AS (SELECT 0::bigint AS count)"),
        Some(ViewHolder::Person(owner)) => Sql::new(count).push("owner_id = ").bind(owner).push(")"),
        Some(ViewHolder::Team(team)) => Sql::new(count).push("team_id = ").bind(team).push(")"),
        Some(ViewHolder::Desk) => Sql::new(count).push("owner_id IS NULL AND team_id IS NULL)"),
    }
}

fn statement(commit: ViewCommit, gains: Option<ViewHolder>) -> Sql {
    let ViewCommit { write, receipt } = commit;
    let sql = Sql::new("WITH ").append(held(gains)).push(", changed AS ");
    let at = |sql: Sql, id: SavedViewId, expected: Version| {
        sql.push("id = ")
            .bind(id.0)
            .push(" AND version = ")
            .bind(expected.0)
    };
    let mut sql = match write {
        ViewWrite::Insert(view) => {
            let SavedView {
                id,
                name,
                filter,
                sort,
                place,
                holder,
                created_at,
                updated_at,
                version,
            } = *view;
            let (owner, team) = columns_of(holder);
            sql.push("(INSERT INTO ticket_views (")
                .push(ViewRow::COLUMNS)
                .push(") SELECT ")
                .bind(id.0)
                .push(", ")
                .bind(name.as_str())
                .push(", ")
                .bind(filter.map(|filter| filter.as_json().clone()))
                .push(", ")
                .bind(sort.as_str())
                .push(", ")
                .bind(place.number())
                .push(", ")
                .bind(owner)
                .push(", ")
                .bind(team)
                .push(", ")
                .bind(version.0)
                .push(", ")
                .bind(created_at)
                .push(", ")
                .bind(updated_at)
                .push(" FROM held WHERE held.count < ")
                .bind(VIEWS_MAX)
                .push(" RETURNING id)")
        }
        ViewWrite::Update { view, expected, .. } => {
            let SavedView {
                id,
                name,
                filter,
                sort,
                place,
                holder,
                created_at: _,
                updated_at,
                version,
            } = *view;
            let (owner, team) = columns_of(holder);
            let sql = sql
                .push("(UPDATE ticket_views SET name = ")
                .bind(name.as_str())
                .push(", filter = ")
                .bind(filter.map(|filter| filter.as_json().clone()))
                .push(", sort = ")
                .bind(sort.as_str())
                .push(", position = ")
                .bind(place.number())
                .push(", owner_id = ")
                .bind(owner)
                .push(", team_id = ")
                .bind(team)
                .push(", version = ")
                .bind(version.0)
                .push(", updated_at = ")
                .bind(updated_at)
                .push(" FROM held WHERE held.count < ")
                .bind(VIEWS_MAX)
                .push(" AND ");
            at(sql, id, expected).push(" RETURNING id)")
        }
        ViewWrite::Keep { id, expected } => {
            let sql = sql.push("MATERIALIZED (SELECT id FROM ticket_views WHERE ");
            at(sql, id, expected).push(" FOR NO KEY UPDATE)")
        }
        ViewWrite::Delete { id, expected } => {
            at(sql.push("(DELETE FROM ticket_views WHERE "), id, expected).push(" RETURNING id)")
        }
    };
    if let Some(receipt) = receipt {
        let insert = insert_receipt(&receipt, Some("changed"));
        sql = sql.push(", new_receipt AS (").append(insert).push(")");
    }
    sql.push(" SELECT (SELECT count(*) FROM changed) AS changed, (SELECT count FROM held) AS held")
}

fn refusal(failure: Failure) -> ViewCommitError {
    match failure.constraint() {
        Some("ticket_views_team_id_fkey") => ViewCommitError::NoTeam,
        Some(_) if is_repeated(&failure) => ViewCommitError::Repeated,
        Some(_) | None => ViewCommitError::Port(failure.at(PORT)),
    }
}
