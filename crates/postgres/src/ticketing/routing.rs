//! Routing in PostgreSQL.
//!
//! `team_routing` has a row for each team that ever said how its tickets are given out, `staff_availability` one for each
//! person who ever said something or was given a ticket. A ticket is given away by one statement: it locks the person, their
//! membership, the team's turn and what is kept of the person, each only as it was read, and changes the ticket where all
//! four are. So no other node gives out on the same turn, nobody gets more than their bound through two teams at once, and who
//! was suspended or left meanwhile gets none.

use async_trait::async_trait;
use diesel::prelude::*;
use diesel::sql_types::{Array, Jsonb, Uuid as SqlUuid};
use diesel_async::RunQueryDsl as _;
use kernel::id::Uuid;
use kernel::{PortError, TeamId, TicketId, UserId, Version};
use serde::Deserialize;
use serde_json::Value;
use ticketing::{
    Availability, Candidate, CommitError, RoutingCommit, RoutingCommitError, RoutingMode, RoutingSettings,
    RoutingWrite, TeamRouting, TicketBound, TicketCommit, Turn, TurnTaken,
};

use super::commit::{Beside, refusal, statement_beside};
use super::rows::{IdRow, NumberRow};
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::{staff_availability, team_routing};
use crate::sql::Sql;

const PORT: &str = "routing";

/// The most open tickets of a person that are counted; more than any bound.
const LOAD_MAX: i64 = 10_000;
/// The most members of a team that are looked at.
const CANDIDATES_MAX: i64 = 1_000;

/// Which tickets wait, as the index `tickets_waiting_idx` has them.
const WAITING: &str =
    "assigned_to IS NULL AND status = 'open' AND deleted_at IS NULL AND merged_into_id IS NULL";

/// Routing in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgRouting {
    database: Database,
}

impl PgRouting {
    /// The routing of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// What a team said.
#[derive(QueryableByName)]
#[diesel(table_name = team_routing)]
struct SettingsRow {
    mode: String,
    capacity: Option<i32>,
    version: i32,
}

fn bound(capacity: Option<i32>) -> Option<TicketBound> {
    capacity
        .and_then(|capacity| u32::try_from(capacity).ok())
        .and_then(TicketBound::stored)
}

impl SettingsRow {
    fn into_settings(self, team: TeamId) -> Result<RoutingSettings, PortError> {
        let Self {
            mode,
            capacity,
            version,
        } = self;
        Ok(RoutingSettings {
            team,
            mode: RoutingMode::parse(&mode).ok_or_else(|| PortError::Corrupt {
                table: "team_routing",
                column: "mode",
                id: team.to_string(),
                detail: mode,
            })?,
            capacity: bound(capacity),
            version: Version(version),
        })
    }
}

/// What someone said.
#[derive(QueryableByName)]
#[diesel(table_name = staff_availability)]
struct AvailabilityRow {
    available: bool,
    capacity: Option<i32>,
    version: i32,
}

impl AvailabilityRow {
    fn into_availability(self, user: UserId) -> Availability {
        let Self {
            available,
            capacity,
            version,
        } = self;
        Availability {
            user,
            is_available: available,
            capacity: bound(capacity),
            version: Version(version),
        }
    }
}

/// Whose turn it is, with who could get a ticket and what waits.
#[derive(QueryableByName)]
#[diesel(table_name = team_routing)]
struct TurnRow {
    mode: String,
    capacity: Option<i32>,
    version: i32,
    turn: i64,
    last_assignee: Option<Uuid>,
    #[diesel(sql_type = Jsonb)]
    candidates: Value,
    #[diesel(sql_type = Array<SqlUuid>)]
    waiting: Vec<Uuid>,
}

/// A member of the team as `TurnRow::candidates` has them.
#[derive(Deserialize)]
struct CandidateRow {
    user_id: Uuid,
    available: Option<bool>,
    capacity: Option<i32>,
    version: Option<i32>,
    routed: Option<i64>,
    load: i64,
}

impl CandidateRow {
    fn into_candidate(self) -> Candidate {
        let Self {
            user_id,
            available,
            capacity,
            version,
            routed,
            load,
        } = self;
        let unsaid = Availability::of(UserId(user_id));
        Candidate {
            availability: Availability {
                is_available: available.unwrap_or(unsaid.is_available),
                capacity: bound(capacity),
                version: version.map_or(unsaid.version, Version),
                ..unsaid
            },
            load: u32::try_from(load).unwrap_or(u32::MAX),
            routed,
        }
    }
}

impl TurnRow {
    fn into_turn(self, team: TeamId) -> Result<(Turn, Vec<TicketId>), PortError> {
        let TurnRow {
            mode,
            capacity,
            version,
            turn,
            last_assignee,
            candidates,
            waiting,
        } = self;
        let settings = SettingsRow {
            mode,
            capacity,
            version,
        };
        let candidates: Vec<CandidateRow> =
            serde_json::from_value(candidates).map_err(|error| PortError::Bug {
                port: PORT,
                source: Box::new(error),
            })?;
        let turn = Turn {
            settings: settings.into_settings(team)?,
            count: turn,
            last: last_assignee.map(UserId),
            candidates: candidates.into_iter().map(CandidateRow::into_candidate).collect(),
        };
        Ok((turn, waiting.into_iter().map(TicketId).collect()))
    }
}

#[async_trait]
impl TeamRouting for PgRouting {
    async fn settings(&self, team: TeamId) -> Result<RoutingSettings, PortError> {
        let sql = Sql::new("SELECT mode, capacity, version FROM team_routing WHERE team_id = ").bind(team);
        let row = self.database.row::<SettingsRow>(PORT, sql).await?;
        row.map_or_else(|| Ok(RoutingSettings::of(team)), |row| row.into_settings(team))
    }

    async fn availability(&self, user: UserId) -> Result<Availability, PortError> {
        let sql = Sql::new("SELECT available, capacity, version FROM staff_availability WHERE user_id = ")
            .bind(user);
        let row = self.database.row::<AvailabilityRow>(PORT, sql).await?;
        Ok(row.map_or_else(|| Availability::of(user), |row| row.into_availability(user)))
    }

    async fn commit(&self, commit: RoutingCommit) -> Result<(), RoutingCommitError> {
        let tells = !commit.events.is_empty();
        let sql = settings_statement(commit)?;
        let run = self
            .database
            .run(async |connection| sql.clone().get_result::<NumberRow>(connection).await)
            .await;
        match run {
            Ok(NumberRow { number: 0 }) => Err(RoutingCommitError::Stale),
            Ok(NumberRow { .. }) => {
                if tells {
                    self.database.wake_ups().committed();
                }
                Ok(())
            }
            Err(failure) => Err(settings_refusal(failure)),
        }
    }

    async fn waiting_teams(&self, after: Option<TeamId>, teams_max: i64) -> Result<Vec<TeamId>, PortError> {
        let mut sql = Sql::new("SELECT r.team_id AS id FROM team_routing r WHERE r.mode <> 'manual'");
        if let Some(after) = after {
            sql = sql.push(" AND r.team_id > ").bind(after);
        }
        let sql = sql
            .push(" AND EXISTS (SELECT 1 FROM tickets WHERE team_id = r.team_id AND ")
            .push(WAITING)
            .push(") ORDER BY r.team_id LIMIT ")
            .bind(teams_max);
        let rows = self.database.rows::<IdRow>(PORT, sql).await?;
        Ok(rows.into_iter().map(|row| TeamId(row.id)).collect())
    }

    async fn turn(&self, team: TeamId, tickets_max: i64) -> Result<Option<(Turn, Vec<TicketId>)>, PortError> {
        let sql = turn_query(team, tickets_max);
        let row = self.database.row::<TurnRow>(PORT, sql).await?;
        row.map(|row| row.into_turn(team)).transpose()
    }

    async fn opened(&self, team: TeamId) -> Result<Option<Turn>, PortError> {
        if let Some(row) = self.database.row::<TurnRow>(PORT, any_turn_query(team)).await? {
            return Ok(Some(row.into_turn(team)?.0));
        }
        let opens = Sql::new("INSERT INTO team_routing (team_id) SELECT id FROM teams WHERE id = ")
            .bind(team)
            .push(" ON CONFLICT DO NOTHING");
        self.database.affected(PORT, opens).await?;
        let row = self.database.row::<TurnRow>(PORT, any_turn_query(team)).await?;
        let turn = row.map(|row| row.into_turn(team)).transpose()?;
        Ok(turn.map(|(turn, _)| turn))
    }

    async fn assign(&self, commit: TicketCommit, taken: TurnTaken) -> Result<(), CommitError> {
        let tells = !commit.events.is_empty();
        let sql = statement_beside(commit, Some(beside(&taken)))?;
        let run = self
            .database
            .run(async |connection| sql.clone().get_result::<NumberRow>(connection).await)
            .await;
        match run {
            Ok(NumberRow { number: 0 }) => Err(CommitError::Stale),
            Ok(NumberRow { .. }) => {
                if tells {
                    self.database.wake_ups().committed();
                }
                Ok(())
            }
            // Someone else kept the first thing of the same person.
            Err(failure) if failure.constraint() == Some("staff_availability_pkey") => {
                Err(CommitError::Stale)
            }
            Err(failure) => Err(refusal(failure)),
        }
    }
}

/// Of one moment: the turn, the members with what they have, and the first of what waits.
pub(super) fn turn_query(team: TeamId, tickets_max: i64) -> Sql {
    turns(tickets_max)
        .push("r.mode <> 'manual' AND r.team_id = ")
        .bind(team)
}

/// The same of a team that hands its tickets out itself as well, without what waits.
fn any_turn_query(team: TeamId) -> Sql {
    turns(0).push("r.team_id = ").bind(team)
}

fn turns(tickets_max: i64) -> Sql {
    Sql::new(
        "SELECT r.mode, r.capacity, r.version, r.turn, r.last_assignee, COALESCE((SELECT jsonb_agg(to_jsonb(c)) FROM \
         (SELECT m.user_id, a.available, a.capacity, a.version, a.routed, (SELECT count(*) FROM (SELECT FROM tickets t \
         WHERE t.assigned_to = m.user_id AND t.status IN ('open', 'pending') AND t.deleted_at IS NULL LIMIT ",
    )
    .bind(LOAD_MAX)
    .push(
        ") counted) AS load FROM team_members m JOIN users u ON u.id = m.user_id \
         LEFT JOIN staff_availability a ON a.user_id = m.user_id WHERE m.team_id = r.team_id AND u.status = 'active' \
         AND u.role <> 'user' AND u.deleted_at IS NULL ORDER BY m.user_id LIMIT ",
    )
    .bind(CANDIDATES_MAX)
    .push(") c), '[]') AS candidates, ARRAY(SELECT id FROM tickets WHERE team_id = r.team_id AND ")
    .push(WAITING)
    .push(" ORDER BY priority DESC, created_at, id LIMIT ")
    .bind(tickets_max)
    .push(") AS waiting FROM team_routing r WHERE ")
}

/// What an assignment locks and moves beside the ticket.
fn beside(taken: &TurnTaken) -> Beside {
    let TurnTaken {
        settings,
        count,
        agent,
    } = taken;
    let Candidate {
        availability,
        load: _,
        routed,
    } = agent;
    let who = availability.user;
    let mut held = Sql::new("able AS MATERIALIZED (SELECT u.id FROM users u WHERE u.id = ")
        .bind(who)
        .push(
            " AND u.status = 'active' AND u.role <> 'user' AND u.deleted_at IS NULL FOR SHARE), \
             member AS MATERIALIZED (SELECT m.user_id FROM team_members m WHERE m.team_id = ",
        )
        .bind(settings.team)
        .push(" AND m.user_id = ")
        .bind(who)
        .push(
            " AND EXISTS (SELECT 1 FROM able) FOR SHARE), \
             turn AS MATERIALIZED (SELECT r.team_id FROM team_routing r WHERE r.team_id = ",
        )
        .bind(settings.team)
        .push(" AND r.turn = ")
        .bind(*count)
        .push(" AND r.version = ")
        .bind(settings.version.0)
        .push(" AND EXISTS (SELECT 1 FROM member) FOR UPDATE)");
    let mut condition = Sql::new("EXISTS (SELECT 1 FROM turn)");
    let mut moves = Sql::new("moved AS (UPDATE team_routing SET turn = turn + 1, last_assignee = ")
        .bind(who)
        .push(" WHERE team_id = ")
        .bind(settings.team)
        .push(" AND EXISTS (SELECT 1 FROM changed)), ");
    match routed {
        Some(routed) => {
            held = held
                .push(", kept AS MATERIALIZED (SELECT a.user_id FROM staff_availability a WHERE a.user_id = ")
                .bind(who)
                .push(" AND a.routed = ")
                .bind(*routed)
                .push(" AND a.version = ")
                .bind(availability.version.0)
                .push(" AND a.available AND EXISTS (SELECT 1 FROM turn) FOR UPDATE)");
            condition = Sql::new("EXISTS (SELECT 1 FROM kept)");
            moves = moves
                .push("given AS (UPDATE staff_availability SET routed = routed + 1 WHERE user_id = ")
                .bind(who)
                .push(" AND EXISTS (SELECT 1 FROM changed))");
        }
        // Of two who keep the first thing of somebody the second breaks on the key.
        None => {
            moves = moves
                .push("given AS (INSERT INTO staff_availability (user_id, routed) SELECT ")
                .bind(who)
                .push(", 1 FROM changed)");
        }
    }
    Beside {
        held,
        condition,
        moves,
    }
}

fn settings_statement(commit: RoutingCommit) -> Result<Sql, PortError> {
    let RoutingCommit {
        write,
        expected,
        events,
        receipt,
    } = commit;
    let capacity =
        |bound: Option<TicketBound>| bound.map(|bound| i32::try_from(bound.get()).unwrap_or(i32::MAX));
    let sql = match write {
        RoutingWrite::Team(RoutingSettings {
            team,
            mode,
            capacity: bound,
            version,
        }) => Sql::new("WITH changed AS (INSERT INTO team_routing AS r (team_id, mode, capacity, version) VALUES (")
            .bind(team)
            .push(", ")
            .bind(mode.as_str())
            .push(", ")
            .bind(capacity(bound))
            .push(", ")
            .bind(version.0)
            .push(
                ") ON CONFLICT (team_id) DO UPDATE SET mode = excluded.mode, capacity = excluded.capacity, \
                 version = excluded.version WHERE r.version = ",
            )
            .bind(expected.0)
            .push(" RETURNING r.team_id)"),
        RoutingWrite::Person(Availability {
            user,
            is_available,
            capacity: bound,
            version,
        }) => Sql::new(
            "WITH changed AS (INSERT INTO staff_availability AS a (user_id, available, capacity, version) VALUES (",
        )
        .bind(user)
        .push(", ")
        .bind(is_available)
        .push(", ")
        .bind(capacity(bound))
        .push(", ")
        .bind(version.0)
        .push(
            ") ON CONFLICT (user_id) DO UPDATE SET available = excluded.available, capacity = excluded.capacity, \
             version = excluded.version WHERE a.version = ",
        )
        .bind(expected.0)
        .push(" RETURNING a.user_id)"),
    };
    let mut sql = sql;
    if !events.is_empty() {
        let insert =
            insert_events(&events, Some("changed")).map_err(|error| Failure::from(error).at(PORT))?;
        sql = sql.push(", new_events AS (").append(insert).push(")");
    }
    if let Some(receipt) = receipt {
        sql = sql
            .push(", new_receipt AS (")
            .append(insert_receipt(&receipt, Some("changed")))
            .push(")");
    }
    Ok(sql.push(" SELECT count(*) AS number FROM changed"))
}

fn settings_refusal(failure: Failure) -> RoutingCommitError {
    match failure.constraint() {
        Some("team_routing_team_id_fkey" | "staff_availability_user_id_fkey") => RoutingCommitError::Gone,
        Some(_) if is_repeated(&failure) => RoutingCommitError::Repeated,
        Some(_) | None => RoutingCommitError::Port(failure.at(PORT)),
    }
}
