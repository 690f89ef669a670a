//! The first administrator and the tokens that make one.

use async_trait::async_trait;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl as _;
use identity::ports::{SetupCommit, SetupCommitError, SetupOffer, SetupStore};
use kernel::PortError;

use super::{FIRST_ADMIN_LOCK, IS_ACTING_ADMIN, users};
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::sql::Sql;

const PORT: &str = "setup";
/// The kind of a set-up token among `one_time_tokens`.
const KIND: &str = "setup";

/// The set-up tokens in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgSetup {
    database: Database,
}

impl PgSetup {
    /// The set-up tokens of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[derive(QueryableByName)]
struct OpenRow {
    #[diesel(sql_type = Bool)]
    is_open: bool,
}

/// What became of a completion.
#[derive(QueryableByName)]
struct Outcome {
    #[diesel(sql_type = Bool)]
    is_open: bool,
    #[diesel(sql_type = BigInt)]
    changed: i64,
}

/// `SELECT NOT EXISTS (…) AS is_open`
fn select_open() -> Sql {
    Sql::new("SELECT NOT EXISTS (SELECT 1 FROM users WHERE ")
        .push(IS_ACTING_ADMIN)
        .push(") AS is_open")
}

#[async_trait]
impl SetupStore for PgSetup {
    async fn is_open(&self) -> Result<bool, PortError> {
        let sql = select_open();
        let read = self
            .database
            .run(async |connection| (&sql).get_result::<OpenRow>(connection).await)
            .await;
        read.map(|row| row.is_open).map_err(|failure| failure.at(PORT))
    }

    async fn offer(&self, offer: SetupOffer) -> Result<(), PortError> {
        let SetupOffer {
            token,
            created_at,
            expires_at,
        } = offer;
        let sql =
            Sql::new("INSERT INTO one_time_tokens (token_sha256, kind, created_at, expires_at) VALUES (")
                .bind(token.as_str())
                .push(", ")
                .bind(KIND)
                .push(", ")
                .bind(created_at)
                .push(", ")
                .bind(expires_at)
                .push(")");
        let run = self
            .database
            .run(async |connection| (&sql).execute(connection).await)
            .await;
        run.map(|_| ()).map_err(|failure| failure.at(PORT))
    }

    async fn complete(&self, commit: SetupCommit) -> Result<(), SetupCommitError> {
        let tells = !commit.events.is_empty();
        let lock = Sql::new("SELECT pg_advisory_xact_lock(")
            .bind(FIRST_ADMIN_LOCK)
            .push(")");
        let sql = statement(commit).map_err(|failure| failure.at(PORT))?;
        let run = self.database.row_behind::<Outcome>(Some(&lock), &sql).await;
        match run.map_err(refusal)? {
            Outcome { is_open: false, .. } => Err(SetupCommitError::Closed),
            Outcome { changed: 0, .. } => Err(SetupCommitError::UnknownToken),
            Outcome { .. } => {
                if tells {
                    self.database.wake_ups().committed();
                }
                Ok(())
            }
        }
    }
}

fn statement(commit: SetupCommit) -> Result<Sql, Failure> {
    let SetupCommit {
        token,
        at,
        user,
        events,
    } = commit;
    let mut sql = Sql::new("WITH desk AS MATERIALIZED (")
        .append(select_open())
        .push("), token AS MATERIALIZED (SELECT token_sha256 FROM one_time_tokens WHERE token_sha256 = ")
        .bind(token.as_str())
        .push(" AND kind = ")
        .bind(KIND)
        .push(" AND used_at IS NULL AND expires_at > ")
        .bind(at)
        .push("), changed AS (")
        .append(users::insert(&user))
        .push(" FROM desk CROSS JOIN token WHERE desk.is_open RETURNING id)")
        // No use is left for any of them.
        .push(", used_up AS (DELETE FROM one_time_tokens t USING changed WHERE t.kind = ")
        .bind(KIND)
        .push(")");
    if !events.is_empty() {
        let insert = insert_events(&events, Some("changed"))?;
        sql = sql.push(", new_events AS (").append(insert).push(")");
    }
    Ok(sql.push(" SELECT is_open, (SELECT count(*) FROM changed) AS changed FROM desk"))
}

fn refusal(failure: Failure) -> SetupCommitError {
    match failure.constraint() {
        Some("users_email_key" | "users_email_lower_key") => SetupCommitError::EmailTaken,
        Some(_) | None => SetupCommitError::Port(failure.at(PORT)),
    }
}
