//! One-time tokens of mails. An account's commit stores and spends them, too: see [`users`](super::users).

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl as _;
use identity::ports::{IssueBound, OneTimeToken, OneTimeTokenId, OneTimeTokens, TokenIssue, TokenKind};
use identity::{EmailAddress, TokenHash};
use kernel::id::Uuid;
use kernel::{PortError, UserId};

use super::CountRow;
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::schema::one_time_tokens;
use crate::sql::Sql;

const PORT: &str = "one-time tokens";

/// One-time tokens in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgTokens {
    database: Database,
}

impl PgTokens {
    /// The one-time tokens of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn one(&self, sql: Sql) -> Result<Option<OneTimeToken>, PortError> {
        let row = self.database.row::<TokenRow>(PORT, sql).await?;
        Ok(row.and_then(TokenRow::into_token))
    }
}

/// A row of `one_time_tokens`.
#[derive(QueryableByName)]
#[diesel(table_name = one_time_tokens)]
struct TokenRow {
    id: Uuid,
    token_sha256: String,
    kind: String,
    user_id: Option<Uuid>,
    email: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
}

impl TokenRow {
    const SELECT: &str = "SELECT id, token_sha256, kind, user_id, email, created_at, expires_at, used_at FROM one_time_tokens WHERE ";

    /// The token; `None` for one of a kind that is not ours.
    fn into_token(self) -> Option<OneTimeToken> {
        let Self {
            id,
            token_sha256,
            kind,
            user_id,
            email,
            created_at,
            expires_at,
            used_at,
        } = self;
        Some(OneTimeToken {
            id: OneTimeTokenId(id),
            kind: TokenKind::parse(&kind)?,
            user: user_id.map(UserId),
            email: email.map(EmailAddress::stored),
            sha256: TokenHash::from_hex(&token_sha256)?,
            created_at,
            expires_at,
            used_at,
        })
    }
}

#[async_trait]
impl OneTimeTokens for PgTokens {
    async fn token(&self, id: OneTimeTokenId) -> Result<Option<OneTimeToken>, PortError> {
        self.one(Sql::new(TokenRow::SELECT).push("id = ").bind(id.0))
            .await
    }

    async fn shown(&self, sha256: &TokenHash) -> Result<Option<OneTimeToken>, PortError> {
        self.one(select_shown(sha256)).await
    }

    async fn issue(&self, issue: TokenIssue) -> Result<(), PortError> {
        let tells = !issue.events.is_empty();
        let sql = issue_statement(issue).map_err(|failure| failure.at(PORT))?;
        let run = self
            .database
            .run(async |connection| (&sql).get_result::<CountRow>(connection).await)
            .await;
        run.map_err(|failure| failure.at(PORT))?;
        if tells {
            self.database.wake_ups().committed();
        }
        Ok(())
    }

    async fn forget_expired(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let sql = delete_expired(before, rows_max);
        self.database.affected(PORT, sql).await
    }
}

pub(super) fn select_shown(sha256: &TokenHash) -> Sql {
    Sql::new(TokenRow::SELECT)
        .push("token_sha256 = ")
        .bind(sha256.as_str())
}

/// Removes tokens of any kind that expired long ago.
pub(super) fn delete_expired(before: DateTime<Utc>, rows_max: i64) -> Sql {
    Sql::new(
        "DELETE FROM one_time_tokens WHERE token_sha256 IN \
         (SELECT token_sha256 FROM one_time_tokens WHERE expires_at < ",
    )
    .bind(before)
    .push(" ORDER BY expires_at LIMIT ")
    .bind(rows_max)
    .push(" FOR UPDATE SKIP LOCKED)")
}

/// `INSERT INTO one_time_tokens … SELECT …`, to be followed by a `FROM`. The account and the address are `owned` or
/// null, as that condition says.
fn insert(token: &OneTimeToken, owned: &'static str) -> Sql {
    let OneTimeToken {
        id,
        kind,
        user,
        email,
        sha256,
        created_at,
        expires_at,
        used_at,
    } = token;
    Sql::new(
        "INSERT INTO one_time_tokens (id, token_sha256, kind, user_id, email, created_at, expires_at, used_at) \
         SELECT ",
    )
    .bind(id.0)
    .push(", ")
    .bind(sha256.as_str())
    .push(", ")
    .bind(kind.as_str())
    .push(", CASE WHEN ")
    .push(owned)
    .push(" THEN ")
    .bind(*user)
    .push(" END, CASE WHEN ")
    .push(owned)
    .push(" THEN ")
    .bind(email.as_ref().map(EmailAddress::as_str))
    .push(" END, ")
    .bind(*created_at)
    .push(", ")
    .bind(*expires_at)
    .push(", ")
    .bind(*used_at)
}

/// The parts of an account's commit that store a token and spend those of its kind before it.
pub(super) fn issued_with(token: &OneTimeToken) -> Sql {
    Sql::new(", superseded AS (UPDATE one_time_tokens t SET used_at = ")
        .bind(token.created_at)
        .push(" FROM changed WHERE t.user_id = changed.id AND t.used_at IS NULL AND t.kind = ")
        .bind(token.kind.as_str())
        .push("), issued AS (")
        .append(insert(token, "true"))
        .push(" FROM changed)")
}

fn issue_statement(issue: TokenIssue) -> Result<Sql, Failure> {
    let TokenIssue {
        token,
        bound: IssueBound { issued_max, since },
        supersedes,
        events,
    } = issue;
    let (other, other_kind) = supersedes.unzip();
    let sql = Sql::new("WITH bound AS MATERIALIZED (SELECT count(*) < ")
        .bind(issued_max)
        .push(" AS keeps FROM one_time_tokens WHERE user_id = ")
        .bind(token.user)
        .push(" AND kind = ")
        .bind(token.kind.as_str())
        .push(" AND created_at > ")
        .bind(since)
        .push("), superseded AS (UPDATE one_time_tokens t SET used_at = ")
        .bind(token.created_at)
        .push(" FROM bound WHERE t.used_at IS NULL AND (bound.keeps AND t.user_id = ")
        .bind(token.user)
        .push(" AND t.kind = ")
        .bind(token.kind.as_str())
        .push(" OR t.user_id = ")
        .bind(other)
        .push(" AND t.kind = ")
        .bind(other_kind.map(TokenKind::as_str))
        .push(")), issued AS (")
        .append(insert(&token, "bound.keeps"))
        .push(" FROM bound RETURNING id)");
    let sql = if events.is_empty() {
        sql
    } else {
        let insert = insert_events(&events, Some("issued"))?;
        sql.push(", new_events AS (").append(insert).push(")")
    };
    Ok(sql.push(" SELECT count(*) AS changed FROM issued"))
}
