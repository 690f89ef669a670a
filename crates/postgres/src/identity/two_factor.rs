//! Second factors, recovery codes and the challenges of logins.
//!
//! Whatever uses a code up locks the account, then the challenge, then the recovery code, and looks at each as it stands
//! once it is locked: of any number of statements that use the same one, one finds it unused.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types as types;
use diesel_async::RunQueryDsl as _;
use events::Event;
use identity::TokenHash;
use identity::ports::{
    CodesReplacement, Confirmation, Enrolment, FactorUse, LoginChallenge, RemovalProof, Sealed,
    SessionsAfter, TwoFactorCommitError, TwoFactorRecord, TwoFactorRemoval, TwoFactorStore,
};
use kernel::id::Uuid;
use kernel::{PortError, Receipt, UserId};

use super::CountRow;
use super::users::end_sessions;
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::sql::Sql;

const PORT: &str = "two-factor";
/// The kind of a login's challenge among `one_time_tokens`.
const KIND: &str = "login_challenge";

/// Second factors in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgTwoFactor {
    database: Database,
}

impl PgTwoFactor {
    /// The second factors of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Runs `WITH …, changed AS (…)`, which gives a row if the change was made, with what follows from that.
    async fn commit(
        &self,
        mut sql: Sql,
        events: &[Event],
        receipt: Option<&Receipt>,
    ) -> Result<(), TwoFactorCommitError> {
        if !events.is_empty() {
            let insert = insert_events(events, Some("changed"));
            let insert = insert.map_err(|error| Failure::from(error).at(PORT))?;
            sql = sql.push(", new_events AS (").append(insert).push(")");
        }
        if let Some(receipt) = receipt {
            let insert = insert_receipt(receipt, Some("changed"));
            sql = sql.push(", new_receipt AS (").append(insert).push(")");
        }
        let sql = sql.push(" SELECT count(*) AS changed FROM changed");
        let run = self
            .database
            .run(async |connection| (&sql).get_result::<CountRow>(connection).await)
            .await;
        let CountRow { changed } = run.map_err(|failure| {
            if is_repeated(&failure) {
                TwoFactorCommitError::Repeated
            } else {
                TwoFactorCommitError::Port(failure.at(PORT))
            }
        })?;
        if changed == 0 {
            return Err(TwoFactorCommitError::Stale);
        }
        if !events.is_empty() {
            self.database.wake_ups().committed();
        }
        Ok(())
    }
}

#[derive(QueryableByName)]
struct FactorRow {
    #[diesel(sql_type = types::Nullable<types::Text>)]
    two_factor_secret: Option<String>,
    #[diesel(sql_type = types::Bool)]
    two_factor_enabled: bool,
    #[diesel(sql_type = types::Nullable<types::BigInt>)]
    totp_last_step: Option<i64>,
    #[diesel(sql_type = types::BigInt)]
    codes_left: i64,
}

#[derive(QueryableByName)]
struct ChallengeRow {
    #[diesel(sql_type = types::Uuid)]
    user_id: Uuid,
    #[diesel(sql_type = types::Text)]
    sealed: String,
    #[diesel(sql_type = types::Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = types::Timestamptz)]
    expires_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct SecretRow {
    #[diesel(sql_type = types::Uuid)]
    id: Uuid,
    #[diesel(sql_type = types::Text)]
    two_factor_secret: String,
}

/// The parts that lock what a sign-in by a second factor uses up; `held` gives the account's row if all of it holds.
/// Goes after `WITH `.
pub(super) fn hold(user: UserId, factor: &FactorUse, challenge: Option<(&TokenHash, DateTime<Utc>)>) -> Sql {
    let sql = Sql::new("account AS MATERIALIZED (SELECT id FROM users WHERE two_factor_enabled AND id = ")
        .bind(user);
    let sql = match factor {
        FactorUse::Code { secret, step } => sql
            .push(" AND two_factor_secret = ")
            .bind(secret.as_str())
            .push(" AND coalesce(totp_last_step, -1) < ")
            .bind(*step),
        FactorUse::RecoveryCode(_) => sql,
    };
    let sql = sql.push(" FOR NO KEY UPDATE)");
    let sql = match challenge {
        Some((token, now)) => sql
            .push(
                ", challenge AS MATERIALIZED (SELECT t.user_id AS id FROM one_time_tokens t JOIN account \
                 ON account.id = t.user_id WHERE t.token_sha256 = ",
            )
            .bind(token.as_str())
            .push(" AND t.kind = ")
            .bind(KIND)
            .push(" AND t.used_at IS NULL AND t.expires_at > ")
            .bind(now)
            .push(" FOR UPDATE OF t)"),
        None => sql.push(", challenge AS MATERIALIZED (SELECT id FROM account)"),
    };
    match factor {
        FactorUse::Code { .. } => sql.push(", held AS MATERIALIZED (SELECT id FROM challenge)"),
        FactorUse::RecoveryCode(code) => sql
            .push(
                ", held AS MATERIALIZED (SELECT c.user_id AS id FROM recovery_codes c JOIN challenge \
                 ON challenge.id = c.user_id WHERE c.code_sha256 = ",
            )
            .bind(code.as_str())
            .push(" AND c.used_at IS NULL FOR UPDATE OF c)"),
    }
}

/// What an account's `UPDATE … SET` has more, where a code is used up.
pub(super) fn set_last_step(factor: &FactorUse) -> Sql {
    match factor {
        FactorUse::Code { secret: _, step } => Sql::new(", totp_last_step = ").bind(*step),
        FactorUse::RecoveryCode(_) => Sql::default(),
    }
}

/// The parts that use up what [`hold`] locked, once the part `by` gives a row.
pub(super) fn use_up(
    factor: &FactorUse,
    challenge: Option<&TokenHash>,
    at: DateTime<Utc>,
    by: &'static str,
) -> Sql {
    let sql = match factor {
        FactorUse::Code { .. } => Sql::default(),
        FactorUse::RecoveryCode(code) => Sql::new(", used_code AS (UPDATE recovery_codes c SET used_at = ")
            .bind(at)
            .push(" FROM ")
            .push(by)
            .push(" WHERE c.user_id = ")
            .push(by)
            .push(".id AND c.code_sha256 = ")
            .bind(code.as_str())
            .push(")"),
    };
    match challenge {
        // No use is left for it.
        Some(token) => sql
            .push(", spent AS (DELETE FROM one_time_tokens t USING ")
            .push(by)
            .push(" WHERE t.token_sha256 = ")
            .bind(token.as_str())
            .push(")"),
        None => sql,
    }
}

/// The parts that put codes in the place of those that are there.
fn put_codes(codes: Vec<TokenHash>, at: DateTime<Utc>) -> Sql {
    let codes: Vec<String> = codes.iter().map(|code| code.as_str().to_owned()).collect();
    // A statement cannot insert a row that it deletes; fresh codes are never among the old ones.
    Sql::new(", old_codes AS (DELETE FROM recovery_codes c USING changed WHERE c.user_id = changed.id)")
        .push(", new_codes AS (INSERT INTO recovery_codes (user_id, code_sha256, created_at) SELECT changed.id, code, ")
        .bind(at)
        .push(" FROM changed CROSS JOIN unnest(")
        .bind(codes)
        .push(") AS code)")
}

#[async_trait]
impl TwoFactorStore for PgTwoFactor {
    async fn two_factor(&self, user: UserId) -> Result<Option<TwoFactorRecord>, PortError> {
        let rows = self.database.rows::<FactorRow>(PORT, select_factor(user)).await?;
        Ok(rows.into_iter().next().map(|row| {
            let FactorRow {
                two_factor_secret,
                two_factor_enabled,
                totp_last_step,
                codes_left,
            } = row;
            TwoFactorRecord {
                secret: two_factor_secret.map(Sealed::from_stored),
                enabled: two_factor_enabled,
                last_step: totp_last_step,
                codes_left: u32::try_from(codes_left).unwrap_or(u32::MAX),
            }
        }))
    }

    async fn has_recovery_code(&self, user: UserId, code: &TokenHash) -> Result<bool, PortError> {
        let rows = self
            .database
            .rows::<CountRow>(PORT, select_code(user, code))
            .await?;
        Ok(rows.iter().any(|row| row.changed > 0))
    }

    async fn enroll(&self, enrolment: Enrolment) -> Result<(), TwoFactorCommitError> {
        let Enrolment {
            user,
            password,
            secret,
            at,
        } = enrolment;
        let sql = Sql::new("WITH changed AS (UPDATE users SET two_factor_secret = ")
            .bind(secret.as_str())
            .push(", totp_last_step = NULL, version = version + 1, updated_at = ")
            .bind(at)
            .push(" WHERE NOT two_factor_enabled AND deleted_at IS NULL AND password_hash = ")
            .bind(password.as_str())
            .push(" AND id = ")
            .bind(user)
            .push(" RETURNING id)");
        self.commit(sql, &[], None).await
    }

    async fn confirm(&self, confirmation: Confirmation) -> Result<(), TwoFactorCommitError> {
        let Confirmation {
            user,
            secret,
            step,
            codes,
            at,
            events,
        } = confirmation;
        let sql = Sql::new("WITH changed AS (UPDATE users SET two_factor_enabled = true, totp_last_step = ")
            .bind(step)
            .push(", version = version + 1, updated_at = ")
            .bind(at)
            .push(" WHERE NOT two_factor_enabled AND deleted_at IS NULL AND two_factor_secret = ")
            .bind(secret.as_str())
            .push(" AND coalesce(totp_last_step, -1) < ")
            .bind(step)
            .push(" AND id = ")
            .bind(user)
            .push(" RETURNING id)")
            .append(put_codes(codes, at));
        self.commit(sql, &events, None).await
    }

    async fn replace_codes(&self, replacement: CodesReplacement) -> Result<(), TwoFactorCommitError> {
        let CodesReplacement {
            user,
            password,
            factor,
            codes,
            at,
            events,
        } = replacement;
        // The code that pays for it is deleted with the others.
        let sql = Sql::new("WITH ")
            .append(hold(user, &factor, None))
            .push(", changed AS (UPDATE users u SET version = u.version + 1")
            .append(set_last_step(&factor))
            .push(" FROM held WHERE u.id = held.id AND u.deleted_at IS NULL AND u.password_hash = ")
            .bind(password.as_str())
            .push(" RETURNING u.id)")
            .append(put_codes(codes, at));
        self.commit(sql, &events, None).await
    }

    async fn remove(&self, removal: TwoFactorRemoval) -> Result<(), TwoFactorCommitError> {
        let TwoFactorRemoval {
            user,
            proof,
            sessions,
            at,
            events,
            receipt,
        } = removal;
        let held = match &proof {
            RemovalProof::Owner { password: _, factor } => hold(user, factor, None),
            RemovalProof::Admin => {
                Sql::new("held AS MATERIALIZED (SELECT id FROM users WHERE two_factor_enabled AND id = ")
                    .bind(user)
                    .push(" FOR NO KEY UPDATE)")
            }
        };
        let ends_sessions = sessions != SessionsAfter::Keep;
        let sql = Sql::new("WITH ")
            .append(held)
            .push(
                ", changed AS (UPDATE users u SET two_factor_enabled = false, two_factor_secret = NULL, \
                 totp_last_step = NULL, version = u.version + 1, updated_at = ",
            )
            .bind(at)
            .push(" FROM held WHERE u.id = held.id");
        let sql = match &proof {
            RemovalProof::Owner { password, factor: _ } => sql
                .push(" AND u.deleted_at IS NULL AND u.password_hash = ")
                .bind(password.as_str()),
            RemovalProof::Admin => sql,
        };
        let sql = if ends_sessions {
            // A session that began since this statement did is not seen by it; but its login has moved the version.
            sql.push(" AND u.version = (SELECT version FROM users WHERE id = ")
                .bind(user)
                .push(")")
        } else {
            sql
        };
        let sql = sql.push(
            " RETURNING u.id), old_codes AS (DELETE FROM recovery_codes c USING changed \
             WHERE c.user_id = changed.id)",
        );
        let sql = sql.append(end_sessions(sessions));
        self.commit(sql, &events, receipt.as_ref()).await
    }

    async fn challenge(&self, challenge: LoginChallenge) -> Result<(), PortError> {
        let LoginChallenge {
            token,
            user,
            password,
            created_at,
            expires_at,
        } = challenge;
        let sql = Sql::new(
            "INSERT INTO one_time_tokens (token_sha256, kind, user_id, sealed, created_at, expires_at) VALUES (",
        )
        .bind(token.as_str())
        .push(", ")
        .bind(KIND)
        .push(", ")
        .bind(user)
        .push(", ")
        .bind(password.as_str())
        .push(", ")
        .bind(created_at)
        .push(", ")
        .bind(expires_at)
        .push(")");
        self.database.affected(PORT, sql).await.map(|_| ())
    }

    async fn try_challenge(
        &self,
        token: &TokenHash,
        now: DateTime<Utc>,
        tries_max: u16,
    ) -> Result<Option<LoginChallenge>, PortError> {
        let sql = Sql::new("UPDATE one_time_tokens SET attempts = attempts + 1 WHERE token_sha256 = ")
            .bind(token.as_str())
            .push(" AND kind = ")
            .bind(KIND)
            .push(" AND used_at IS NULL AND user_id IS NOT NULL AND sealed IS NOT NULL AND expires_at > ")
            .bind(now)
            .push(" AND attempts < ")
            .bind(i32::from(tries_max))
            .push(" RETURNING user_id, sealed, created_at, expires_at");
        let rows = self.database.rows::<ChallengeRow>(PORT, sql).await?;
        Ok(rows.into_iter().next().map(|row| {
            let ChallengeRow {
                user_id,
                sealed,
                created_at,
                expires_at,
            } = row;
            LoginChallenge {
                token: token.clone(),
                user: UserId(user_id),
                password: Sealed::from_stored(sealed),
                created_at,
                expires_at,
            }
        }))
    }

    async fn forget_challenges(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let forgotten = self
            .database
            .affected(PORT, delete_challenges(before, rows_max))
            .await?;
        Ok(forgotten as u64)
    }

    async fn sealed_secrets(
        &self,
        after: Option<UserId>,
        rows_max: i64,
    ) -> Result<Vec<(UserId, Sealed)>, PortError> {
        let after = after.map_or_else(Uuid::nil, |user| user.0);
        let sql =
            Sql::new("SELECT id, two_factor_secret FROM users WHERE two_factor_secret IS NOT NULL AND id > ")
                .bind(after)
                .push(" ORDER BY id LIMIT ")
                .bind(rows_max);
        let rows = self.database.rows::<SecretRow>(PORT, sql).await?;
        let rows = rows.into_iter().map(|row| {
            let SecretRow {
                id,
                two_factor_secret,
            } = row;
            (UserId(id), Sealed::from_stored(two_factor_secret))
        });
        Ok(rows.collect())
    }

    async fn reseal(&self, user: UserId, from: &Sealed, to: &Sealed) -> Result<bool, PortError> {
        // The account does not change for anyone who looks at it; moving the version leaves `updated_at` alone.
        let sql = Sql::new("UPDATE users SET version = version + 1, two_factor_secret = ")
            .bind(to.as_str())
            .push(" WHERE two_factor_secret = ")
            .bind(from.as_str())
            .push(" AND id = ")
            .bind(user);
        Ok(self.database.affected(PORT, sql).await? > 0)
    }
}

/// An account's factor and how many recovery codes are unused.
pub(super) fn select_factor(user: UserId) -> Sql {
    Sql::new(
        "SELECT u.two_factor_secret, u.two_factor_enabled, u.totp_last_step, (SELECT count(*) FROM recovery_codes c \
         WHERE c.user_id = u.id AND c.used_at IS NULL) AS codes_left FROM users u WHERE u.id = ",
    )
    .bind(user)
}

/// Whether an unused code of the account has this hash.
pub(super) fn select_code(user: UserId, code: &TokenHash) -> Sql {
    Sql::new("SELECT count(*) AS changed FROM recovery_codes WHERE used_at IS NULL AND user_id = ")
        .bind(user)
        .push(" AND code_sha256 = ")
        .bind(code.as_str())
}

/// Removes challenges that are over.
pub(super) fn delete_challenges(before: DateTime<Utc>, rows_max: i64) -> Sql {
    Sql::new("WITH over AS MATERIALIZED (SELECT token_sha256 FROM one_time_tokens WHERE expires_at < ")
        .bind(before)
        .push(" AND kind = ")
        .bind(KIND)
        .push(" ORDER BY expires_at LIMIT ")
        .bind(rows_max)
        .push(
            " FOR UPDATE SKIP LOCKED) DELETE FROM one_time_tokens t USING over \
         WHERE t.token_sha256 = over.token_sha256",
        )
}
