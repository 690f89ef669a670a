//! Sessions.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Bytea, Nullable, Timestamptz};
use diesel_async::RunQueryDsl as _;
use events::Event;
use identity::ports::{
    BeginError, PrincipalRecord, Proof, Revocation, RotateError, Rotation, SessionBegin, SessionStore,
    ShownToken, TokenPlace, WhichSessions,
};
use identity::{Session, SessionId, TokenHash};
use ipnetwork::IpNetwork;
use kernel::{Page, PageLimit, PortError, Position, UserId};

use super::rows::{PrincipalRow, SessionRow, UserRow};
use super::{CountRow, MAY_SIGN_IN, two_factor};
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::sql::Sql;

const PORT: &str = "sessions";

/// Sessions in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgSessions {
    database: Database,
}

impl PgSessions {
    /// The sessions of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// Whether an account was used from an address.
#[derive(QueryableByName)]
struct KnownRow {
    #[diesel(sql_type = Bool)]
    is_known: bool,
}

/// A refresh token's session, account and place. Without a time it is the live one.
#[derive(QueryableByName)]
struct ShownRow {
    #[diesel(embed)]
    session: SessionRow,
    #[diesel(embed)]
    user: UserRow,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    rotated_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Bytea>)]
    successor_salt: Option<Vec<u8>>,
}

#[async_trait]
impl SessionStore for PgSessions {
    async fn begin(&self, begin: SessionBegin) -> Result<(), BeginError> {
        let SessionBegin {
            session,
            proof,
            events,
        } = begin;
        let tells = !events.is_empty();
        let Session {
            id,
            user_id,
            method,
            refresh_token_sha256,
            client,
            expires_at,
            created_at,
            last_used_at,
            revoked_at,
        } = session;
        // `updated_at` stays: only who moves the version may leave it alone. See the triggers of the migration.
        let (held, last_step) = match &proof {
            Proof::Password(_) | Proof::SignOn => (Sql::default(), Sql::default()),
            Proof::PasswordAndFactor {
                password: _,
                factor,
                challenge,
            } => {
                let challenge = challenge.as_ref().map(|token| (token, created_at));
                let held = two_factor::hold(user_id, factor, challenge).push(", ");
                (held, two_factor::set_last_step(factor))
            }
        };
        let sql = Sql::new("WITH ")
            .append(held)
            .push("admitted AS (UPDATE users u SET last_login_at = ")
            .bind(created_at)
            .push(", version = u.version + 1")
            .append(last_step);
        let sql = match &proof {
            Proof::Password(hash) => sql
                .push(" WHERE NOT u.two_factor_enabled AND u.password_hash = ")
                .bind(hash.as_str()),
            Proof::PasswordAndFactor { password, .. } => sql
                .push(" FROM held WHERE u.id = held.id AND u.password_hash = ")
                .bind(password.as_str()),
            Proof::SignOn => sql.push(" WHERE true"),
        };
        let sql = sql
            .push(" AND ")
            .push(MAY_SIGN_IN)
            .push(" AND u.id = ")
            .bind(user_id)
            .push(
                " RETURNING u.id), began AS (INSERT INTO sessions (id, user_id, method, refresh_token, user_agent, \
                 ip_address, expires_at, created_at, last_used_at, revoked_at) SELECT ",
            )
            .bind(id.0)
            .push(", admitted.id, ")
            .bind(method.as_str())
            .push(", ")
            .bind(refresh_token_sha256.as_str())
            .push(", ")
            .bind(client.user_agent())
            .push(", ")
            .bind(client.ip().map(IpNetwork::from))
            .push(", ")
            .bind(expires_at)
            .push(", ")
            .bind(created_at)
            .push(", ")
            .bind(last_used_at)
            .push(", ")
            .bind(revoked_at)
            .push(" FROM admitted RETURNING id)");
        let sql = match &proof {
            Proof::Password(_) | Proof::SignOn => sql,
            Proof::PasswordAndFactor {
                password: _,
                factor,
                challenge,
            } => sql.append(two_factor::use_up(
                factor,
                challenge.as_ref(),
                created_at,
                "admitted",
            )),
        };
        let sql = if tells {
            let insert =
                insert_events(&events, Some("began")).map_err(|error| Failure::from(error).at(PORT))?;
            sql.push(", new_events AS (").append(insert).push(")")
        } else {
            sql
        };
        let sql = sql.push(" SELECT count(*) AS changed FROM began");
        let run = self
            .database
            .run(async |connection| (&sql).get_result::<CountRow>(connection).await)
            .await;
        let CountRow { changed } = run.map_err(|failure| failure.at(PORT))?;
        if changed == 0 {
            return Err(BeginError::Refused);
        }
        if tells {
            self.database.wake_ups().committed();
        }
        Ok(())
    }

    async fn refuse(&self, events: Vec<Event>) -> Result<(), PortError> {
        let insert = insert_events(&events, None).map_err(|error| Failure::from(error).at(PORT))?;
        self.database.affected(PORT, insert).await?;
        self.database.wake_ups().committed();
        Ok(())
    }

    async fn has_signed_in_from(
        &self,
        user: UserId,
        ip: IpAddr,
        since: DateTime<Utc>,
    ) -> Result<bool, PortError> {
        let row = self
            .database
            .row::<KnownRow>(PORT, select_known(user, ip, since))
            .await?;
        Ok(row.is_some_and(|row| row.is_known))
    }

    async fn shown(&self, token: &TokenHash) -> Result<Option<ShownToken>, PortError> {
        let sql = select_shown(token);
        let Some(row) = self.database.row::<ShownRow>(PORT, sql).await? else {
            return Ok(None);
        };
        let ShownRow {
            session,
            user,
            rotated_at,
            successor_salt,
        } = row;
        let place = match rotated_at {
            None => TokenPlace::Live,
            Some(at) => TokenPlace::Exchanged {
                at,
                successor_salt: successor_salt.unwrap_or_default(),
            },
        };
        Ok(Some(ShownToken {
            session: session.into_session()?,
            user: user.into_user()?,
            place,
        }))
    }

    async fn rotate(&self, rotation: Rotation) -> Result<(), RotateError> {
        let Rotation {
            session,
            presented,
            successor,
            successor_salt,
            at,
            expires_at,
            client,
        } = rotation;
        let sql = Sql::new("WITH changed AS (UPDATE sessions SET refresh_token = ")
            .bind(successor.as_str())
            .push(", user_agent = ")
            .bind(client.user_agent())
            .push(", ip_address = ")
            .bind(client.ip().map(IpNetwork::from))
            .push(", expires_at = ")
            .bind(expires_at)
            .push(", last_used_at = ")
            .bind(at)
            .push(" WHERE id = ")
            .bind(session.0)
            .push(" AND revoked_at IS NULL AND refresh_token = ")
            .bind(presented.as_str())
            .push(
                " RETURNING id) INSERT INTO session_rotated_tokens \
                 (token_sha256, session_id, successor_salt, rotated_at) SELECT ",
            )
            .bind(presented.as_str())
            .push(", changed.id, ")
            .bind(successor_salt)
            .push(", ")
            .bind(at)
            .push(" FROM changed");
        match self.database.affected(PORT, sql).await? {
            0 => Err(RotateError::Stale),
            _ => Ok(()),
        }
    }

    async fn revoke(&self, revocation: Revocation) -> Result<u64, PortError> {
        let tells = !revocation.events.is_empty();
        let sql = revoke_statement(revocation).map_err(|failure| failure.at(PORT))?;
        let run = self
            .database
            .run(async |connection| (&sql).get_result::<CountRow>(connection).await)
            .await;
        let CountRow { changed } = run.map_err(|failure| failure.at(PORT))?;
        if tells && changed > 0 {
            self.database.wake_ups().committed();
        }
        Ok(changed.unsigned_abs())
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(SessionRow::COLUMNS)
            .push(" FROM sessions s WHERE s.id = ")
            .bind(id.0);
        let row = self.database.row::<SessionRow>(PORT, sql).await?;
        row.map(SessionRow::into_session).transpose()
    }

    async fn live_sessions(
        &self,
        user: UserId,
        now: DateTime<Utc>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Session>, PortError> {
        let sql = select_live(user, now, after, limit);
        let rows = self.database.rows::<SessionRow>(PORT, sql).await?;
        let sessions = rows
            .into_iter()
            .map(SessionRow::into_session)
            .collect::<Result<_, _>>()?;
        Ok(Page::from_rows(sessions, limit, |session: &Session| Position {
            at: session.created_at,
            id: session.id.0,
        }))
    }

    async fn principal(&self, session: SessionId) -> Result<Option<PrincipalRecord>, PortError> {
        let sql = select_principal(session);
        let row = self.database.row::<PrincipalRow>(PORT, sql).await?;
        Ok(row.map(PrincipalRow::into_record))
    }

    async fn forget_ended(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let sql = delete_ended(before, rows_max);
        self.database.affected(PORT, sql).await
    }
}

/// Whether a session of the account was last used from there.
pub(super) fn select_known(user: UserId, ip: IpAddr, since: DateTime<Utc>) -> Sql {
    let sql = Sql::new("SELECT EXISTS (SELECT 1 FROM sessions WHERE user_id = ").bind(user);
    let sql = match ip {
        IpAddr::V4(_) => sql.push(" AND ip_address = ").bind(IpNetwork::from(ip)),
        IpAddr::V6(_) => sql
            .push(" AND ip_address <<= set_masklen(")
            .bind(IpNetwork::from(ip))
            .push(", 64)"),
    };
    sql.push(" AND coalesce(last_used_at, created_at) >= ")
        .bind(since)
        .push(") AS is_known")
}

/// The session that knows a refresh token, with its account.
pub(super) fn select_shown(token: &TokenHash) -> Sql {
    Sql::new("SELECT ")
        .push(SessionRow::COLUMNS)
        .push(", ")
        .push(UserRow::COLUMNS)
        .push(
            ", place.rotated_at, place.successor_salt FROM (\
               SELECT id, NULL::timestamptz AS rotated_at, NULL::bytea AS successor_salt \
               FROM sessions WHERE refresh_token = ",
        )
        .bind(token.as_str())
        .push(
            " UNION ALL SELECT session_id, rotated_at, successor_salt \
               FROM session_rotated_tokens WHERE token_sha256 = ",
        )
        .bind(token.as_str())
        .push(
            ") place JOIN sessions s ON s.id = place.id JOIN users u ON u.id = s.user_id \
             ORDER BY place.rotated_at NULLS FIRST LIMIT 1",
        )
}

/// All that authentication asks. Every request runs it: four walks of an index, and few columns.
pub(super) fn select_principal(session: SessionId) -> Sql {
    Sql::new("SELECT ")
        .push(PrincipalRow::COLUMNS)
        .push(", s.method FROM sessions s JOIN users u ON u.id = s.user_id ")
        .push(PrincipalRow::MEMBERSHIPS)
        .push(" WHERE s.id = ")
        .bind(session.0)
}

/// One page of live sessions and a row, newest first.
pub(super) fn select_live(
    user: UserId,
    now: DateTime<Utc>,
    after: Option<Position>,
    limit: PageLimit,
) -> Sql {
    let mut sql = Sql::new("SELECT ")
        .push(SessionRow::COLUMNS)
        .push(" FROM sessions s WHERE s.revoked_at IS NULL AND s.user_id = ")
        .bind(user)
        .push(" AND s.expires_at > ")
        .bind(now);
    if let Some(Position { at, id }) = after {
        sql = sql
            .push(" AND (s.created_at, s.id) < (")
            .bind(at)
            .push(", ")
            .bind(id)
            .push(")");
    }
    sql.push(" ORDER BY s.created_at DESC, s.id DESC LIMIT ")
        .bind(limit.rows_and_one())
}

/// Removes ended sessions, and with them the tokens that they exchanged.
pub(super) fn delete_ended(before: DateTime<Utc>, rows_max: i64) -> Sql {
    // Two walks, for no index is in the order of both times. A session may be in both.
    Sql::new("WITH expired AS MATERIALIZED (SELECT id FROM sessions WHERE expires_at < ")
        .bind(before)
        .push(" ORDER BY expires_at LIMIT ")
        .bind(rows_max)
        .push(
            " FOR UPDATE SKIP LOCKED), revoked AS MATERIALIZED (SELECT id FROM sessions WHERE revoked_at < ",
        )
        .bind(before)
        .push(" ORDER BY revoked_at LIMIT ")
        .bind(rows_max)
        .push(
            " FOR UPDATE SKIP LOCKED), ended AS MATERIALIZED (\
           SELECT id FROM expired UNION SELECT id FROM revoked LIMIT ",
        )
        .bind(rows_max)
        .push(") DELETE FROM sessions s USING ended WHERE s.id = ended.id")
}

fn revoke_statement(revocation: Revocation) -> Result<Sql, Failure> {
    let Revocation { which, at, events } = revocation;
    let mut sql = Sql::new("WITH ");
    // The events are the account's, and keep the order in which it is locked.
    if !events.is_empty() {
        sql = sql.push("owner AS MATERIALIZED (SELECT id FROM users WHERE id = ");
        sql = match which {
            WhichSessions::One(session) => sql
                .push("(SELECT user_id FROM sessions WHERE id = ")
                .bind(session.0)
                .push(")"),
            WhichSessions::AllOf(user) => sql.bind(user),
        };
        sql = sql.push(" FOR NO KEY UPDATE), ");
    }
    sql = sql.push("ended AS (UPDATE sessions s SET revoked_at = ").bind(at);
    if !events.is_empty() {
        sql = sql.push(" FROM owner");
    }
    sql = sql.push(" WHERE s.revoked_at IS NULL AND ");
    sql = match which {
        WhichSessions::One(session) => sql.push("s.id = ").bind(session.0),
        WhichSessions::AllOf(user) => sql.push("s.user_id = ").bind(user),
    };
    if !events.is_empty() {
        sql = sql.push(" AND s.user_id = owner.id");
    }
    sql = sql.push(" RETURNING s.id)");
    if !events.is_empty() {
        let insert = insert_events(&events, Some("any_ended"))?;
        sql = sql
            .push(", any_ended AS (SELECT 1 FROM ended LIMIT 1), new_events AS (")
            .append(insert)
            .push(")");
    }
    Ok(sql.push(" SELECT count(*) AS changed FROM ended"))
}
