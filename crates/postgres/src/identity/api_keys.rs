//! Programs' keys, and people by their account.

use async_trait::async_trait;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl as _;
use identity::ports::{
    ApiKeyCommit, ApiKeyCommitError, ApiKeyRecord, ApiKeyRevocation, ApiKeyStore, People, PrincipalRecord,
    SignOfUse, WhichKey,
};
use identity::{ApiKey, ApiKeyId};
use ipnetwork::IpNetwork;
use kernel::id::Uuid;
use kernel::{Page, PageLimit, Person, PortError, Position, UserId};

use super::CountRow;
use super::rows::{ApiKeyRow, PrincipalRow, known_scopes};
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::sql::Sql;

const PORT: &str = "api keys";

/// Programs' keys in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgApiKeys {
    database: Database,
}

impl PgApiKeys {
    /// The keys of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// Whether the owner may have a key, and whether it was made.
#[derive(QueryableByName)]
struct CreationRow {
    #[diesel(sql_type = BigInt)]
    admitted: i64,
    #[diesel(sql_type = BigInt)]
    changed: i64,
}

/// A key's owner with the key.
#[derive(QueryableByName)]
struct BearerRow {
    #[diesel(embed)]
    owner: PrincipalRow,
    #[diesel(sql_type = SqlUuid)]
    key_id: Uuid,
    #[diesel(sql_type = Array<Text>)]
    scopes: Vec<String>,
}

#[async_trait]
impl ApiKeyStore for PgApiKeys {
    async fn create(&self, commit: ApiKeyCommit) -> Result<(), ApiKeyCommitError> {
        let tells = !commit.events.is_empty();
        // Held by a statement before, so that the one which counts sees the keys that were committed meanwhile.
        let lock = Sql::new("SELECT FROM users WHERE id = ")
            .bind(commit.key.user_id)
            .push(" FOR NO KEY UPDATE");
        let sql = insert(commit).map_err(|failure| failure.at(PORT))?;
        let run = self.database.row_behind::<CreationRow>(Some(&lock), &sql).await;
        match run.map_err(|failure| failure.at(PORT))? {
            CreationRow { admitted: 0, .. } => Err(ApiKeyCommitError::Refused),
            CreationRow { changed: 0, .. } => Err(ApiKeyCommitError::TooMany),
            CreationRow { .. } => {
                if tells {
                    self.database.wake_ups().committed();
                }
                Ok(())
            }
        }
    }

    async fn key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(ApiKeyRow::COLUMNS)
            .push(" FROM api_keys k WHERE k.id = ")
            .bind(id.0);
        let row = self.database.row::<ApiKeyRow>(PORT, sql).await?;
        row.map(ApiKeyRow::into_key).transpose()
    }

    async fn keys(
        &self,
        owner: UserId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<ApiKey>, PortError> {
        let sql = list(owner, after, limit);
        let rows = self.database.rows::<ApiKeyRow>(PORT, sql).await?;
        let keys = rows
            .into_iter()
            .map(ApiKeyRow::into_key)
            .collect::<Result<_, _>>()?;
        Ok(Page::from_rows(keys, limit, |key: &ApiKey| Position {
            at: key.created_at,
            id: key.id.0,
        }))
    }

    async fn revoke(&self, revocation: ApiKeyRevocation) -> Result<bool, PortError> {
        let ApiKeyRevocation { key, at, events } = revocation;
        let insert =
            insert_events(&events, Some("changed")).map_err(|error| Failure::from(error).at(PORT))?;
        // The events are the account's, and keep the order in which it is locked.
        let sql = Sql::new(
            "WITH owner AS MATERIALIZED (SELECT id FROM users WHERE id = (SELECT user_id FROM api_keys WHERE id = ",
        )
        .bind(key.0)
        .push(") FOR NO KEY UPDATE), changed AS (UPDATE api_keys k SET revoked_at = ")
        .bind(at)
        .push(" FROM owner WHERE k.user_id = owner.id AND k.revoked_at IS NULL AND k.id = ")
        .bind(key.0)
        .push(" RETURNING k.id), new_events AS (")
        .append(insert)
        .push(") SELECT count(*) AS changed FROM changed");
        let run = self
            .database
            .run(async |connection| (&sql).get_result::<CountRow>(connection).await)
            .await;
        let CountRow { changed } = run.map_err(|failure| failure.at(PORT))?;
        if changed > 0 {
            self.database.wake_ups().committed();
        }
        Ok(changed > 0)
    }

    async fn bearer(&self, which: WhichKey) -> Result<Option<ApiKeyRecord>, PortError> {
        let row = self
            .database
            .row::<BearerRow>(PORT, select_bearer(&which))
            .await?;
        Ok(row.map(|row| {
            let BearerRow {
                owner,
                key_id,
                scopes,
            } = row;
            ApiKeyRecord {
                key: ApiKeyId(key_id),
                scopes: known_scopes(&scopes),
                owner: owner.into_record(),
            }
        }))
    }

    async fn used(&self, sign: SignOfUse) -> Result<bool, PortError> {
        let SignOfUse { key, at, ip } = sign;
        let sql = Sql::new("UPDATE api_keys SET last_used_at = ")
            .bind(at)
            .push(", last_used_ip = ")
            .bind(ip.map(IpNetwork::from))
            .push(" WHERE id = ")
            .bind(key.0)
            .push(" AND (last_used_at IS NULL OR last_used_at < ")
            .bind(at)
            .push(")");
        let run = self
            .database
            .run(async |connection| (&sql).execute(connection).await)
            .await;
        run.map(|rows| rows > 0).map_err(|failure| failure.at(PORT))
    }
}

/// All that authentication asks of a key: the columns of a session's bearer, and the key's own.
pub(super) fn select_bearer(which: &WhichKey) -> Sql {
    let sql = Sql::new("SELECT ")
        .push(PrincipalRow::COLUMNS)
        .push(", 'password' AS method, s.id AS key_id, s.scopes FROM api_keys s JOIN users u ON u.id = s.user_id ")
        .push(PrincipalRow::MEMBERSHIPS);
    match which {
        WhichKey::Shown(hash) => sql.push(" WHERE s.key_sha256 = ").bind(hash.as_str()),
        WhichKey::Known(id) => sql.push(" WHERE s.id = ").bind(id.0),
    }
}

/// One page of a person's keys and a row, newest first.
pub(super) fn list(owner: UserId, after: Option<Position>, limit: PageLimit) -> Sql {
    let mut sql = Sql::new("SELECT ")
        .push(ApiKeyRow::COLUMNS)
        .push(" FROM api_keys k WHERE k.user_id = ")
        .bind(owner);
    if let Some(Position { at, id }) = after {
        sql = sql
            .push(" AND (k.created_at, k.id) < (")
            .bind(at)
            .push(", ")
            .bind(id)
            .push(")");
    }
    sql.push(" ORDER BY k.created_at DESC, k.id DESC LIMIT ")
        .bind(limit.rows_and_one())
}

fn insert(commit: ApiKeyCommit) -> Result<Sql, Failure> {
    let ApiKeyCommit {
        key,
        proof,
        live_max,
        events,
    } = commit;
    let ApiKey {
        id,
        user_id,
        name,
        prefix,
        key_sha256,
        scopes,
        expires_at,
        created_at,
        last_used_at,
        last_used_ip,
        revoked_at,
    } = key;
    let scopes: Vec<String> = scopes.as_slice().iter().map(ToString::to_string).collect();
    let insert = insert_events(&events, Some("changed"))?;
    Ok(Sql::new("WITH admitted AS (SELECT id FROM users WHERE id = ")
        .bind(user_id)
        .push(" AND status = 'active' AND deleted_at IS NULL AND password_hash = ")
        .bind(proof.as_str())
        .push("), live AS (SELECT count(*) AS keys FROM api_keys WHERE revoked_at IS NULL AND user_id = ")
        .bind(user_id)
        .push(" AND expires_at > ")
        .bind(created_at)
        .push(
            "), changed AS (INSERT INTO api_keys (id, user_id, name, prefix, key_sha256, scopes, expires_at, \
             created_at, last_used_at, last_used_ip, revoked_at) SELECT ",
        )
        .bind(id.0)
        .push(", admitted.id, ")
        .bind(name.as_str())
        .push(", ")
        .bind(prefix)
        .push(", ")
        .bind(key_sha256.as_str())
        .push(", ")
        .bind(scopes)
        .push(", ")
        .bind(expires_at)
        .push(", ")
        .bind(created_at)
        .push(", ")
        .bind(last_used_at)
        .push(", ")
        .bind(last_used_ip.map(IpNetwork::from))
        .push(", ")
        .bind(revoked_at)
        .push(" FROM admitted, live WHERE live.keys < ")
        .bind(i64::from(live_max))
        .push(" RETURNING id), new_events AS (")
        .append(insert)
        .push(
            ") SELECT (SELECT count(*) FROM admitted) AS admitted, (SELECT count(*) FROM changed) AS changed",
        ))
}

/// People in PostgreSQL, by their account.
#[derive(Debug, Clone)]
pub struct PgPeople {
    database: Database,
}

impl PgPeople {
    /// The people of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl People for PgPeople {
    async fn person(&self, id: UserId) -> Result<Option<Person>, PortError> {
        let record = principal(&self.database, id).await;
        Ok(record
            .map_err(|failure| failure.at("people"))?
            .map(|record| record.person))
    }
}

/// Who the account of `id` is that is not deleted. The account stands in for a session, whose times are to be asked by
/// nobody.
pub(crate) async fn principal(database: &Database, id: UserId) -> Result<Option<PrincipalRecord>, Failure> {
    let sql = Sql::new("SELECT ")
        .push(PrincipalRow::COLUMNS)
        .push(
            ", 'password' AS method FROM users u CROSS JOIN LATERAL (\
               SELECT u.id AS user_id, u.created_at AS expires_at, u.deleted_at AS revoked_at\
             ) s ",
        )
        .push(PrincipalRow::MEMBERSHIPS)
        .push(" WHERE u.deleted_at IS NULL AND u.id = ")
        .bind(id);
    let read = database
        .run(async |connection| (&sql).get_result::<PrincipalRow>(connection).await.optional())
        .await?;
    Ok(read.map(PrincipalRow::into_record))
}
