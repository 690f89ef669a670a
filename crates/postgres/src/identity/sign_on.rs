//! Unfinished sign-ons, and who accounts are at providers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use events::Event;
use identity::ports::{
    CredentialsAfter, Expected, LinkChange, MembershipsAfter, PendingSignOn, Sealed, SessionsAfter,
    SignOnCommit, SignOnCommitError, SignOnStore, SignOnToken, WaysIn,
};
use identity::sign_on::{ExternalIdentity, ProviderId, Subject};
use identity::{TokenHash, User};
use kernel::id::Uuid;
use kernel::{PortError, UserId};

use super::rows::UserRow;
use super::users::{self, Outcome};
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::sql::Sql;

const PORT: &str = "sign-on";
/// The most links of an account that are read; it has one for each provider that the desk ever used.
const LINKS_MAX: i64 = 100;

/// Sign-ons and links in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgSignOn {
    database: Database,
}

impl PgSignOn {
    /// The sign-ons of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[derive(QueryableByName)]
struct SpentRow {
    #[diesel(sql_type = Nullable<Text>)]
    sealed: Option<String>,
    #[diesel(sql_type = Bool)]
    is_live: bool,
}

#[derive(QueryableByName)]
struct LinkRow {
    #[diesel(sql_type = Text)]
    provider: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_used_at: Option<DateTime<Utc>>,
}

impl LinkRow {
    fn into_identity(self) -> Result<ExternalIdentity, PortError> {
        let Self {
            provider,
            subject,
            user_id,
            email,
            created_at,
            last_used_at,
        } = self;
        let corrupt = |column, detail: &str| PortError::Corrupt {
            table: "external_identities",
            column,
            id: user_id.to_string(),
            detail: detail.to_owned(),
        };
        Ok(ExternalIdentity {
            provider: ProviderId::parse(&provider).ok_or_else(|| corrupt("provider", "no provider's id"))?,
            subject: Subject::parse(&subject).ok_or_else(|| corrupt("subject", "no subject"))?,
            user: UserId(user_id),
            email,
            created_at,
            last_used_at,
        })
    }
}

#[async_trait]
impl SignOnStore for PgSignOn {
    async fn remember(&self, pending: PendingSignOn) -> Result<(), PortError> {
        let PendingSignOn {
            kind,
            token,
            sealed,
            created_at,
            expires_at,
        } = pending;
        let sql = Sql::new(
            "INSERT INTO one_time_tokens (token_sha256, kind, sealed, created_at, expires_at) VALUES (",
        )
        .bind(token.as_str())
        .push(", ")
        .bind(kind.as_str())
        .push(", ")
        .bind(sealed.as_str())
        .push(", ")
        .bind(created_at)
        .push(", ")
        .bind(expires_at)
        .push(")");
        self.database.affected(PORT, sql).await.map(|_| ())
    }

    async fn spend(
        &self,
        kind: SignOnToken,
        token: &TokenHash,
        at: DateTime<Utc>,
    ) -> Result<Option<Sealed>, PortError> {
        // Of any number that want the row, the first removes it and the others find none.
        let sql = Sql::new("DELETE FROM one_time_tokens WHERE token_sha256 = ")
            .bind(token.as_str())
            .push(" AND kind = ")
            .bind(kind.as_str())
            .push(" RETURNING sealed, expires_at > ")
            .bind(at)
            .push(" AS is_live");
        let row = self.database.row::<SpentRow>(PORT, sql).await?;
        Ok(row
            .filter(|row| row.is_live)
            .and_then(|row| row.sealed)
            .map(Sealed::from_stored))
    }

    async fn linked(&self, provider: &ProviderId, subject: &Subject) -> Result<Option<User>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(UserRow::COLUMNS)
            .push(" FROM external_identities e JOIN users u ON u.id = e.user_id WHERE e.provider = ")
            .bind(provider.as_str())
            .push(" AND e.subject = ")
            .bind(subject.as_str());
        let row = self.database.row::<UserRow>(PORT, sql).await?;
        row.map(UserRow::into_user).transpose()
    }

    async fn links(&self, user: UserId) -> Result<Vec<ExternalIdentity>, PortError> {
        let sql = Sql::new(
            "SELECT provider, subject, user_id, email, created_at, last_used_at FROM external_identities \
             WHERE user_id = ",
        )
        .bind(user)
        .push(" ORDER BY created_at, provider, subject LIMIT ")
        .bind(LINKS_MAX);
        let rows = self.database.rows::<LinkRow>(PORT, sql).await?;
        rows.into_iter().map(LinkRow::into_identity).collect()
    }

    async fn commit(&self, commit: SignOnCommit) -> Result<(), SignOnCommitError> {
        let tells = !commit.events.is_empty();
        let lock = match (commit.memberships, commit.ways_in) {
            (MembershipsAfter::Keep, WaysIn::Keep) => None,
            // What is closed includes what was committed until the lock is had.
            (MembershipsAfter::LeaveAll, _) | (_, WaysIn::Close { .. }) => {
                Some(users::lock_account(commit.user.id))
            }
        };
        let sql = statement(commit).map_err(|failure| failure.at(PORT))?;
        let run = self.database.row_behind::<Outcome>(lock.as_ref(), &sql).await;
        match run.map_err(refusal)? {
            Outcome {
                changed: 0,
                last_admin: true,
                ..
            } => Err(SignOnCommitError::LastAdmin),
            Outcome {
                changed: 0,
                last_admin: false,
                ..
            } => Err(SignOnCommitError::Stale),
            Outcome { .. } => {
                if tells {
                    self.database.wake_ups().committed();
                }
                Ok(())
            }
        }
    }

    async fn publish(&self, events: Vec<Event>) -> Result<(), PortError> {
        let insert = insert_events(&events, None).map_err(|error| Failure::from(error).at(PORT))?;
        self.database.affected(PORT, insert).await?;
        self.database.wake_ups().committed();
        Ok(())
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let kinds: Vec<String> = SignOnToken::ALL
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect();
        let sql = Sql::new(
            "DELETE FROM one_time_tokens t USING (\
               SELECT token_sha256 FROM one_time_tokens WHERE expires_at < ",
        )
        .bind(before)
        .push(" AND kind = ANY(")
        .bind(kinds)
        .push(") ORDER BY expires_at LIMIT ")
        .bind(rows_max)
        .push(" FOR UPDATE SKIP LOCKED) over WHERE t.token_sha256 = over.token_sha256");
        self.database.affected(PORT, sql).await
    }
}

fn statement(commit: SignOnCommit) -> Result<Sql, Failure> {
    let SignOnCommit {
        user,
        expected,
        link,
        ways_in,
        memberships,
        events,
    } = commit;
    let mut sql = Sql::new("WITH ")
        .append(users::verdict(&user, expected))
        .append(match expected {
            Expected::Absent => Sql::new(", changed AS (")
                .append(users::insert(&user))
                .push(" FROM verdict RETURNING id)"),
            Expected::Version(version) if version == user.version => {
                Sql::new(", changed AS MATERIALIZED (SELECT id FROM users WHERE id = ")
                    .bind(user.id)
                    .push(" AND version = ")
                    .bind(version.0)
                    .push(" FOR NO KEY UPDATE)")
            }
            Expected::Version(version) => Sql::new(", changed AS (")
                .append(users::update(&user, CredentialsAfter::Keep))
                .push(match ways_in {
                    WaysIn::Keep => "",
                    WaysIn::Close { .. } => ", two_factor_secret = NULL, totp_last_step = NULL",
                })
                .push(" FROM verdict WHERE u.id = ")
                .bind(user.id)
                .push(" AND u.version = ")
                .bind(version.0)
                .push(" AND NOT verdict.last_admin RETURNING u.id)"),
        });
    sql = match ways_in {
        WaysIn::Keep => sql,
        WaysIn::Close { at } => sql
            .append(users::end_sessions(SessionsAfter::RevokeAll { at }))
            .push(", ended_keys AS (UPDATE api_keys k SET revoked_at = ")
            .bind(at)
            .push(" FROM changed WHERE k.user_id = changed.id AND k.revoked_at IS NULL)")
            .push(", gone_codes AS (DELETE FROM recovery_codes r USING changed WHERE r.user_id = changed.id)")
            .push(
                ", gone_tokens AS (DELETE FROM one_time_tokens t USING changed WHERE t.user_id = changed.id)",
            )
            .push(
                ", gone_links AS (\
                 DELETE FROM external_identities e USING changed WHERE e.user_id = changed.id)",
            ),
    };
    sql = match link {
        LinkChange::Add(link) => {
            let ExternalIdentity {
                provider,
                subject,
                user: _,
                email,
                created_at,
                last_used_at,
            } = link;
            sql.push(
                ", new_link AS (INSERT INTO external_identities \
                 (provider, subject, user_id, email, created_at, last_used_at) SELECT ",
            )
            .bind(provider.as_str())
            .push(", ")
            .bind(subject.as_str())
            .push(", changed.id, ")
            .bind(email)
            .push(", ")
            .bind(created_at)
            .push(", ")
            .bind(last_used_at)
            .push(" FROM changed)")
        }
        LinkChange::Used(link) => {
            let ExternalIdentity {
                provider,
                subject,
                user: _,
                email,
                created_at: _,
                last_used_at,
            } = link;
            sql.push(", used_link AS (UPDATE external_identities e SET email = ")
                .bind(email)
                .push(", last_used_at = ")
                .bind(last_used_at)
                .push(" FROM changed WHERE e.user_id = changed.id AND e.provider = ")
                .bind(provider.as_str())
                .push(" AND e.subject = ")
                .bind(subject.as_str())
                .push(")")
        }
        LinkChange::Remove(provider) => sql
            .push(
                ", gone_link AS (DELETE FROM external_identities e USING changed \
                 WHERE e.user_id = changed.id AND e.provider = ",
            )
            .bind(provider.as_str())
            .push(")"),
    };
    sql = match memberships {
        MembershipsAfter::Keep => sql,
        MembershipsAfter::LeaveAll => sql.push(users::LEAVE_ALL),
    };
    if !events.is_empty() {
        let insert = insert_events(&events, Some("changed"))?;
        sql = sql.push(", new_events AS (").append(insert).push(")");
    }
    Ok(sql.push(
        " SELECT (SELECT count(*) FROM changed) AS changed, last_admin, true AS token_open FROM verdict",
    ))
}

/// A new account, address or link that came between is found when the sign-on is decided again.
fn refusal(failure: Failure) -> SignOnCommitError {
    match failure.constraint() {
        Some("users_email_key" | "users_email_lower_key" | "users_pkey" | "external_identities_pkey") => {
            SignOnCommitError::Stale
        }
        Some(_) | None => SignOnCommitError::Port(failure.at(PORT)),
    }
}
