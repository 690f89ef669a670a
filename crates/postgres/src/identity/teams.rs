//! Teams and their members.

use async_trait::async_trait;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl as _;
use identity::ports::{
    Expected, MemberChange, MemberCommit, MemberCommitError, MemberRecord, TeamCommit, TeamCommitError,
    TeamDeletion, TeamStore,
};
use identity::{Team, TeamDescription, TeamMember};
use kernel::{Page, PageLimit, PortError, Position, TeamId, TeamRole, UserId, Version};

use super::CountRow;
use super::rows::{MemberRow, TeamRow};
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::sql::Sql;

const PORT: &str = "teams";

/// Teams in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgTeams {
    database: Database,
}

impl PgTeams {
    /// The teams of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Runs a statement that says how many teams it changed: one, unless the version moved on.
    async fn change(&self, sql: Sql, tells: bool) -> Result<(), TeamCommitError> {
        let run = self
            .database
            .run(async |connection| (&sql).get_result::<CountRow>(connection).await)
            .await;
        match run.map_err(team_refusal)? {
            CountRow { changed: ..0 } => Err(TeamCommitError::HasTickets),
            CountRow { changed: 0 } => Err(TeamCommitError::Stale),
            CountRow { .. } => {
                if tells {
                    self.database.wake_ups().committed();
                }
                Ok(())
            }
        }
    }
}

#[async_trait]
impl TeamStore for PgTeams {
    async fn team(&self, id: TeamId) -> Result<Option<Team>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(TeamRow::COLUMNS)
            .push(" FROM teams WHERE id = ")
            .bind(id);
        let row = self.database.rows::<TeamRow>(PORT, sql).await?.pop();
        row.map(TeamRow::into_team).transpose()
    }

    async fn teams(&self, after: Option<Position>, limit: PageLimit) -> Result<Page<Team>, PortError> {
        let sql = list(after, limit);
        let rows = self.database.rows::<TeamRow>(PORT, sql).await?;
        let teams = rows
            .into_iter()
            .map(TeamRow::into_team)
            .collect::<Result<_, _>>()?;
        Ok(Page::from_rows(teams, limit, |team: &Team| Position {
            at: team.created_at,
            id: team.id.0,
        }))
    }

    async fn commit(&self, commit: TeamCommit) -> Result<(), TeamCommitError> {
        let tells = !commit.events.is_empty();
        let sql = team_statement(commit).map_err(|failure| failure.at(PORT))?;
        self.change(sql, tells).await
    }

    async fn delete(&self, deletion: TeamDeletion) -> Result<(), TeamCommitError> {
        let TeamDeletion {
            team,
            expected,
            events,
        } = deletion;
        let mut sql = Sql::new("WITH changed AS (DELETE FROM teams WHERE id = ")
            .bind(team)
            .push(" AND version = ")
            .bind(expected.0)
            .push(" AND NOT EXISTS (SELECT FROM tickets WHERE team_id = ")
            .bind(team)
            .push(") RETURNING id)");
        if !events.is_empty() {
            sql = with_events(sql, &events).map_err(|failure| failure.at(PORT))?;
        }
        // Without their team the tickets would be every agent's, by the cascade and without a trace.
        let sql = sql
            .push(" SELECT CASE WHEN EXISTS (SELECT FROM tickets WHERE team_id = ")
            .bind(team)
            .push(") THEN -1 ELSE (SELECT count(*) FROM changed) END AS changed");
        self.change(sql, !events.is_empty()).await
    }

    async fn members(
        &self,
        team: TeamId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<MemberRecord>, PortError> {
        let sql = list_members(team, after, limit);
        let rows = self.database.rows::<MemberRow>(PORT, sql).await?;
        let records = rows
            .into_iter()
            .map(MemberRow::into_record)
            .collect::<Result<_, _>>()?;
        Ok(Page::from_rows(records, limit, |record: &MemberRecord| {
            Position {
                at: record.member.created_at,
                id: record.member.id.0,
            }
        }))
    }

    async fn member(&self, team: TeamId, user: UserId) -> Result<Option<MemberRecord>, PortError> {
        let sql = select_members().bind(team).push(" AND m.user_id = ").bind(user);
        let row = self.database.rows::<MemberRow>(PORT, sql).await?.pop();
        row.map(MemberRow::into_record).transpose()
    }

    async fn commit_member(&self, commit: MemberCommit) -> Result<(), MemberCommitError> {
        let tells = !commit.events.is_empty();
        let sql = member_statement(commit).map_err(|failure| failure.at(PORT))?;
        let run = self
            .database
            .run(async |connection| (&sql).get_result::<MemberOutcome>(connection).await)
            .await;
        let MemberOutcome {
            teams,
            people,
            changed,
        } = run.map_err(member_refusal)?;
        if teams == 0 {
            return Err(MemberCommitError::NoTeam);
        }
        if people == 0 {
            return Err(MemberCommitError::NotStaff);
        }
        if changed == 0 {
            return Err(MemberCommitError::Stale);
        }
        if tells {
            self.database.wake_ups().committed();
        }
        Ok(())
    }
}

fn select_members() -> Sql {
    Sql::new("SELECT ")
        .push(MemberRow::COLUMNS)
        .push(" FROM team_members m JOIN users u ON u.id = m.user_id WHERE m.team_id = ")
}

/// One page of teams and a row, newest first.
pub(super) fn list(after: Option<Position>, limit: PageLimit) -> Sql {
    let mut sql = Sql::new("SELECT ").push(TeamRow::COLUMNS).push(" FROM teams");
    if let Some(Position { at, id }) = after {
        sql = sql
            .push(" WHERE (created_at, id) < (")
            .bind(at)
            .push(", ")
            .bind(id)
            .push(")");
    }
    sql.push(" ORDER BY created_at DESC, id DESC LIMIT ")
        .bind(limit.rows_and_one())
}

/// One page of members and a row, in the order of joining.
pub(super) fn list_members(team: TeamId, after: Option<Position>, limit: PageLimit) -> Sql {
    let mut sql = select_members().bind(team);
    if let Some(Position { at, id }) = after {
        sql = sql
            .push(" AND (m.created_at, m.id) > (")
            .bind(at)
            .push(", ")
            .bind(id)
            .push(")");
    }
    sql.push(" ORDER BY m.created_at, m.id LIMIT ")
        .bind(limit.rows_and_one())
}

/// Adds the part that publishes, if `changed` gives a row.
fn with_events(sql: Sql, events: &[events::Event]) -> Result<Sql, Failure> {
    let insert = insert_events(events, Some("changed"))?;
    Ok(sql.push(", new_events AS (").append(insert).push(")"))
}

fn team_statement(commit: TeamCommit) -> Result<Sql, Failure> {
    let TeamCommit {
        team,
        expected,
        events,
        receipt,
    } = commit;
    let Team {
        id,
        name,
        description,
        created_at,
        updated_at,
        version: Version(version),
    } = team;
    let description = description.as_ref().map(TeamDescription::as_str);
    let mut sql = match expected {
        Expected::Absent => Sql::new(
            "WITH changed AS (\
             INSERT INTO teams (id, name, description, created_at, updated_at, version) VALUES (",
        )
        .bind(id)
        .push(", ")
        .bind(name.as_str())
        .push(", ")
        .bind(description)
        .push(", ")
        .bind(created_at)
        .push(", ")
        .bind(updated_at)
        .push(", ")
        .bind(version)
        .push(") RETURNING id)"),
        Expected::Version(expected) if expected.0 == version => {
            Sql::new("WITH changed AS MATERIALIZED (SELECT id FROM teams WHERE id = ")
                .bind(id)
                .push(" AND version = ")
                .bind(expected.0)
                .push(" FOR NO KEY UPDATE)")
        }
        Expected::Version(expected) => Sql::new("WITH changed AS (UPDATE teams SET name = ")
            .bind(name.as_str())
            .push(", description = ")
            .bind(description)
            .push(", updated_at = ")
            .bind(updated_at)
            .push(", version = ")
            .bind(version)
            .push(" WHERE id = ")
            .bind(id)
            .push(" AND version = ")
            .bind(expected.0)
            .push(" RETURNING id)"),
    };
    if !events.is_empty() {
        sql = with_events(sql, &events)?;
    }
    if let Some(receipt) = receipt {
        let insert = insert_receipt(&receipt, Some("changed"));
        sql = sql.push(", new_receipt AS (").append(insert).push(")");
    }
    Ok(sql.push(" SELECT count(*) AS changed FROM changed"))
}

/// What became of a membership's commit: how many teams and suitable people there were, and memberships it changed.
#[derive(QueryableByName)]
struct MemberOutcome {
    #[diesel(sql_type = BigInt)]
    teams: i64,
    #[diesel(sql_type = BigInt)]
    people: i64,
    #[diesel(sql_type = BigInt)]
    changed: i64,
}

fn member_statement(commit: MemberCommit) -> Result<Sql, Failure> {
    let MemberCommit {
        team,
        user,
        before,
        change,
        events,
        receipt,
    } = commit;
    // The events are the team's, and keep the order in which it is locked.
    let sql = Sql::new("WITH team AS MATERIALIZED (SELECT id FROM teams WHERE id = ")
        .bind(team)
        .push(" FOR NO KEY UPDATE), ");
    let stored = |sql: Sql| {
        sql.push(" m.team_id = team.id AND m.user_id = ")
            .bind(user)
            .push(" AND m.role_in_team = ")
            .bind(before.map(TeamRole::as_str))
            .push("::\"TeamRole\" RETURNING m.id)")
    };
    let mut sql = match change {
        MemberChange::Join(TeamMember {
            id,
            team_id: _,
            user_id: _,
            role_in_team,
            created_at,
        }) => sql
            // Held until the end, so that an account that leaves its teams sees this membership, or this its leaving.
            .push(
                "person AS MATERIALIZED (\
                 SELECT id FROM users WHERE deleted_at IS NULL AND role IN ('agent', 'admin') AND id = ",
            )
            .bind(user)
            .push(
                " FOR SHARE), changed AS (\
                 INSERT INTO team_members (id, team_id, user_id, role_in_team, created_at) SELECT ",
            )
            .bind(id.0)
            .push(", team.id, person.id, ")
            .bind(role_in_team.as_str())
            .push("::\"TeamRole\", ")
            .bind(created_at)
            .push(" FROM team CROSS JOIN person ON CONFLICT (team_id, user_id) DO NOTHING RETURNING id)"),
        MemberChange::Rank(role) => stored(
            sql.push("person AS (SELECT 1), changed AS (UPDATE team_members m SET role_in_team = ")
                .bind(role.as_str())
                .push("::\"TeamRole\" FROM team WHERE"),
        ),
        MemberChange::Leave => {
            stored(sql.push("person AS (SELECT 1), changed AS (DELETE FROM team_members m USING team WHERE"))
        }
    };
    if !events.is_empty() {
        sql = with_events(sql, &events)?;
    }
    if let Some(receipt) = receipt {
        let insert = insert_receipt(&receipt, Some("changed"));
        sql = sql.push(", new_receipt AS (").append(insert).push(")");
    }
    Ok(sql.push(
        " SELECT (SELECT count(*) FROM team) AS teams, (SELECT count(*) FROM person) AS people, \
         (SELECT count(*) FROM changed) AS changed",
    ))
}

fn team_refusal(failure: Failure) -> TeamCommitError {
    match failure.constraint() {
        Some("teams_name_key") => TeamCommitError::NameTaken,
        // A new team whose id is there already.
        Some("teams_pkey") => TeamCommitError::Stale,
        Some(_) if is_repeated(&failure) => TeamCommitError::Repeated,
        Some(_) | None => TeamCommitError::Port(failure.at(PORT)),
    }
}

fn member_refusal(failure: Failure) -> MemberCommitError {
    if is_repeated(&failure) {
        return MemberCommitError::Repeated;
    }
    MemberCommitError::Port(failure.at(PORT))
}
