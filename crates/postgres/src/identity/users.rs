//! Accounts.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use identity::ports::{
    AccountCommit, AccountCommitError, CredentialsAfter, Deleted, Expected, MembershipsAfter, OneTimeTokenId,
    OtherTokens, SearchFields, SessionsAfter, TokenKind, TokenSpend, UserFilter, UserSearch, UserStore,
};
use identity::{EmailAddress, User, UserStatus};
use kernel::{Page, PageLimit, PortError, Position, Role, UserId, Version};

use super::rows::UserRow;
use super::tokens::issued_with;
use super::{FIRST_ADMIN_LOCK, IS_ACTING_ADMIN};
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::sql::Sql;

const PORT: &str = "users";

/// Accounts in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgUsers {
    database: Database,
}

impl PgUsers {
    /// The accounts of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn one(&self, sql: Sql) -> Result<Option<User>, PortError> {
        let row = self.database.row::<UserRow>(PORT, sql).await?;
        row.map(UserRow::into_user).transpose()
    }
}

fn select() -> Sql {
    Sql::new("SELECT ")
        .push(UserRow::COLUMNS)
        .push(" FROM users u WHERE ")
}

#[async_trait]
impl UserStore for PgUsers {
    async fn user(&self, id: UserId) -> Result<Option<User>, PortError> {
        self.one(select().push("u.id = ").bind(id)).await
    }

    async fn user_by_email(&self, email: &EmailAddress) -> Result<Option<User>, PortError> {
        // Another writer may have kept capitals.
        self.one(select().push("lower(u.email) = ").bind(email.as_str()))
            .await
    }

    async fn users(
        &self,
        filter: UserFilter,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<User>, PortError> {
        let sql = list(filter, after, limit);
        let rows = self.database.rows::<UserRow>(PORT, sql).await?;
        let users = rows
            .into_iter()
            .map(UserRow::into_user)
            .collect::<Result<_, _>>()?;
        Ok(Page::from_rows(users, limit, |user: &User| Position {
            at: user.created_at,
            id: user.id.0,
        }))
    }

    async fn commit(&self, commit: AccountCommit) -> Result<(), AccountCommitError> {
        let tells = !commit.events.is_empty();
        let lock = lock_before(&commit);
        let sql = statement(commit).map_err(|failure| failure.at(PORT))?;
        let run = self.database.row_behind::<Outcome>(lock.as_ref(), &sql).await;
        match run.map_err(refusal)? {
            Outcome {
                changed: 0,
                token_open: false,
                ..
            } => Err(AccountCommitError::TokenSpent),
            Outcome {
                changed: 0,
                last_admin,
                ..
            } => Err(if last_admin {
                AccountCommitError::LastAdmin
            } else {
                AccountCommitError::Stale
            }),
            Outcome { .. } => {
                if tells {
                    self.database.wake_ups().committed();
                }
                Ok(())
            }
        }
    }
}

/// One page and a row, newest first. Role and status are a part of the text: the planner then knows how rare they are.
pub(super) fn list(filter: UserFilter, after: Option<Position>, limit: PageLimit) -> Sql {
    let UserFilter {
        role,
        status,
        search,
        deleted,
    } = filter;
    let mut sql = select().push(match deleted {
        Deleted::Hidden => "u.deleted_at IS NULL",
        Deleted::Included => "true",
    });
    if let Some(role) = role {
        sql = sql.push(match role {
            Role::User => " AND u.role = 'user'",
            Role::Agent => " AND u.role = 'agent'",
            Role::Admin => " AND u.role = 'admin'",
        });
    }
    if let Some(status) = status {
        sql = sql.push(match status {
            UserStatus::Active => " AND u.status = 'active'",
            UserStatus::Suspended => " AND u.status = 'suspended'",
            UserStatus::Pending => " AND u.status = 'pending'",
        });
    }
    if let Some(UserSearch { text, fields }) = search {
        sql = sql
            .push(" AND (strpos(lower(u.name), lower(")
            .bind(text.as_str())
            .push(")) > 0");
        sql = match fields {
            SearchFields::Name => sql,
            SearchFields::NameAndEmail => sql
                .push(" OR strpos(lower(u.email), lower(")
                .bind(text)
                .push(")) > 0"),
        };
        sql = sql.push(")");
    }
    if let Some(Position { at, id }) = after {
        sql = sql
            .push(" AND (u.created_at, u.id) < (")
            .bind(at)
            .push(", ")
            .bind(id)
            .push(")");
    }
    sql.push(" ORDER BY u.created_at DESC, u.id DESC LIMIT ")
        .bind(limit.rows_and_one())
}

/// What became of a commit.
#[derive(QueryableByName)]
pub(super) struct Outcome {
    #[diesel(sql_type = BigInt)]
    pub(super) changed: i64,
    #[diesel(sql_type = Bool)]
    pub(super) last_admin: bool,
    #[diesel(sql_type = Bool)]
    token_open: bool,
}

/// Gives the row of the account `id`, and the rows of all acting admins when the account is one of them. All are
/// locked in the order of their ids, and are as they stand once they are: whoever else takes an admin away waits here.
pub(super) fn lock_account(id: UserId) -> Sql {
    Sql::new("SELECT id, version, ")
        .push(IS_ACTING_ADMIN)
        .push(" AS is_acting FROM users WHERE id = ")
        .bind(id)
        .push(" OR (")
        .push(IS_ACTING_ADMIN)
        .push(" AND EXISTS (SELECT 1 FROM users WHERE id = ")
        .bind(id)
        .push(" AND ")
        .push(IS_ACTING_ADMIN)
        .push(")) ORDER BY id FOR NO KEY UPDATE")
}

/// What must be locked before the commit's statement begins, if anything.
fn lock_before(commit: &AccountCommit) -> Option<Sql> {
    match (commit.memberships, commit.credentials) {
        (MembershipsAfter::Keep, CredentialsAfter::Keep) => None,
        // What is removed includes what was committed until the lock is had.
        (MembershipsAfter::LeaveAll, _) | (_, CredentialsAfter::RemoveAll) => {
            Some(lock_account(commit.user.id))
        }
    }
}

fn statement(commit: AccountCommit) -> Result<Sql, Failure> {
    let AccountCommit {
        user,
        expected,
        sessions,
        memberships,
        credentials,
        spends,
        issues,
        events,
        receipt,
    } = commit;
    let shown = spends.and_then(|spend| spend.shown.map(|shown| (shown, spend.at)));
    let token_open = match shown {
        Some(_) => "EXISTS (SELECT 1 FROM shown_token)",
        None => "true",
    };
    let mut sql = Sql::new("WITH ");
    if let Some((token, at)) = shown {
        sql = sql.append(open_token(user.id, token, at)).push(", ");
    }
    sql = sql.append(verdict(&user, expected)).append(match expected {
        Expected::Absent => Sql::new(", changed AS (")
            .append(insert(&user))
            .push(" FROM verdict WHERE ")
            .push(token_open)
            .push(" RETURNING id)"),
        Expected::Version(version) if version == user.version => {
            Sql::new(", changed AS MATERIALIZED (SELECT id FROM users WHERE id = ")
                .bind(user.id)
                .push(" AND version = ")
                .bind(version.0)
                .push(" AND ")
                .push(token_open)
                .push(" FOR NO KEY UPDATE)")
        }
        Expected::Version(version) => Sql::new(", changed AS (")
            .append(update(&user, credentials))
            .push(" FROM verdict WHERE u.id = ")
            .bind(user.id)
            .push(" AND u.version = ")
            .bind(version.0)
            .push(" AND NOT verdict.last_admin AND ")
            .push(token_open)
            .push(" RETURNING u.id)"),
    });
    sql = match credentials {
        CredentialsAfter::Keep => sql.append(spent(spends)),
        // No token is left to be spent.
        CredentialsAfter::RemoveAll => sql.push(REMOVE_CREDENTIALS),
    };
    if let Some(token) = issues {
        sql = sql.append(issued_with(&token));
    }
    sql = sql.append(end_sessions(sessions));
    sql = match memberships {
        MembershipsAfter::Keep => sql,
        MembershipsAfter::LeaveAll => sql.push(LEAVE_ALL),
    };
    if !events.is_empty() {
        let insert = insert_events(&events, Some("changed"))?;
        sql = sql.push(", new_events AS (").append(insert).push(")");
    }
    if let Some(receipt) = receipt {
        let insert = insert_receipt(&receipt, Some("changed"));
        sql = sql.push(", new_receipt AS (").append(insert).push(")");
    }
    Ok(sql
        .push(" SELECT (SELECT count(*) FROM changed) AS changed, last_admin, ")
        .push(token_open)
        .push(" AS token_open FROM verdict"))
}

/// What goes with an account's place on the staff: its memberships, and the views that it alone saw.
pub(super) const LEAVE_ALL: &str = ", \
    left_teams AS (DELETE FROM team_members m USING changed WHERE m.user_id = changed.id), \
    left_views AS (DELETE FROM ticket_views v USING changed WHERE v.owner_id = changed.id)";

/// What goes of an account besides the columns of its row.
const REMOVE_CREDENTIALS: &str = ", \
    no_codes AS (DELETE FROM recovery_codes r USING changed WHERE r.user_id = changed.id), \
    no_keys AS (DELETE FROM api_keys k USING changed WHERE k.user_id = changed.id), \
    no_links AS (DELETE FROM external_identities e USING changed WHERE e.user_id = changed.id), \
    no_tokens AS (DELETE FROM one_time_tokens t USING changed WHERE t.user_id = changed.id)";

/// The part `shown_token`: a row if the account's token is open. It is not locked: see the module.
fn open_token(user: UserId, token: OneTimeTokenId, at: DateTime<Utc>) -> Sql {
    Sql::new("shown_token AS MATERIALIZED (SELECT 1 FROM one_time_tokens WHERE id = ")
        .bind(token.0)
        .push(" AND user_id = ")
        .bind(user)
        .push(" AND used_at IS NULL AND expires_at > ")
        .bind(at)
        .push(")")
}

/// The part that spends tokens of the changed account.
fn spent(spends: Option<TokenSpend>) -> Sql {
    let Some(TokenSpend { shown, others, at }) = spends else {
        return Sql::default();
    };
    let sql = Sql::new(", spent AS (UPDATE one_time_tokens t SET used_at = ")
        .bind(at)
        .push(" FROM changed WHERE t.user_id = changed.id AND t.used_at IS NULL");
    // Tokens of other parts of the program, such as a login's second step, end by themselves.
    let ours = || {
        let kinds = TokenKind::ALL.into_iter().map(|kind| kind.as_str().to_owned());
        kinds.collect::<Vec<String>>()
    };
    let kinds = match others {
        OtherTokens::OfKind(kind) => vec![kind.as_str().to_owned()],
        OtherTokens::All => ours(),
    };
    sql.push(" AND (t.kind = ANY (")
        .bind(kinds)
        .push(") OR t.id = ")
        .bind(shown.map(|shown| shown.0))
        .push("))")
}

/// The part `verdict`: one row that says whether the change would take the last acting admin away.
pub(super) fn verdict(user: &User, expected: Expected) -> Sql {
    if user.is_acting_admin() {
        return Sql::new(
            "verdict AS MATERIALIZED (SELECT false AS last_admin, pg_advisory_xact_lock_shared(",
        )
        .bind(FIRST_ADMIN_LOCK)
        .push("))");
    }
    match expected {
        Expected::Version(version) if version != user.version => Sql::new("locked AS MATERIALIZED (")
            .append(lock_account(user.id))
            .push("), verdict AS MATERIALIZED (SELECT coalesce(bool_or(is_acting AND id = ")
            .bind(user.id)
            .push(" AND version = ")
            .bind(version.0)
            .push("), false) AND NOT coalesce(bool_or(is_acting AND id <> ")
            .bind(user.id)
            .push("), false) AS last_admin FROM locked)"),
        Expected::Absent | Expected::Version(_) => {
            Sql::new("verdict AS MATERIALIZED (SELECT false AS last_admin)")
        }
    }
}

/// `INSERT INTO users … SELECT …`, to be followed by a `FROM`.
pub(super) fn insert(user: &User) -> Sql {
    let User {
        id,
        email,
        name,
        password_hash,
        role,
        status,
        avatar_url,
        email_verified_at,
        last_login_at,
        two_factor_enabled,
        created_at,
        updated_at,
        deleted_at,
        version: Version(version),
    } = user;
    Sql::new(
        "INSERT INTO users (id, email, name, password_hash, role, status, avatar_url, email_verified_at, \
         last_login_at, two_factor_enabled, created_at, updated_at, deleted_at, version) SELECT ",
    )
    .bind(*id)
    .push(", ")
    .bind(email.as_str())
    .push(", ")
    .bind(name.as_str())
    .push(", ")
    .bind(password_hash.as_str())
    .push(", ")
    .bind(role.as_str())
    .push("::\"UserRole\", ")
    .bind(status.as_str())
    .push("::\"UserStatus\", ")
    .bind(avatar_url.as_ref().map(identity::AvatarUrl::as_str))
    .push(", ")
    .bind(*email_verified_at)
    .push(", ")
    .bind(*last_login_at)
    .push(", ")
    .bind(*two_factor_enabled)
    .push(", ")
    .bind(*created_at)
    .push(", ")
    .bind(*updated_at)
    .push(", ")
    .bind(*deleted_at)
    .push(", ")
    .bind(*version)
}

/// `UPDATE users u SET …`, to be followed by a `FROM`.
pub(super) fn update(user: &User, credentials: CredentialsAfter) -> Sql {
    let User {
        id: _,
        email,
        name,
        password_hash,
        role,
        status,
        avatar_url,
        email_verified_at,
        // Moved by a login alone, which a change that was decided before it must not undo.
        last_login_at: _,
        two_factor_enabled,
        created_at: _,
        updated_at,
        deleted_at,
        version: Version(version),
    } = user;
    let second_factor = match credentials {
        CredentialsAfter::Keep => "",
        CredentialsAfter::RemoveAll => ", two_factor_secret = NULL, totp_last_step = NULL",
    };
    Sql::new("UPDATE users u SET email = ")
        .bind(email.as_str())
        .push(", name = ")
        .bind(name.as_str())
        .push(", password_hash = ")
        .bind(password_hash.as_str())
        .push(", role = ")
        .bind(role.as_str())
        .push("::\"UserRole\", status = ")
        .bind(status.as_str())
        .push("::\"UserStatus\", avatar_url = ")
        .bind(avatar_url.as_ref().map(identity::AvatarUrl::as_str))
        .push(", email_verified_at = ")
        .bind(*email_verified_at)
        .push(", two_factor_enabled = ")
        .bind(*two_factor_enabled)
        .push(", updated_at = ")
        .bind(*updated_at)
        .push(", deleted_at = ")
        .bind(*deleted_at)
        .push(", version = ")
        .bind(*version)
        .push(second_factor)
}

/// The part that ends the sessions of the changed account. One that began since this statement did cannot escape it: a
/// login moves the account's version.
pub(super) fn end_sessions(sessions: SessionsAfter) -> Sql {
    let revoke = |at: chrono::DateTime<chrono::Utc>| {
        Sql::new(", ended AS (UPDATE sessions s SET revoked_at = ")
            .bind(at)
            .push(" FROM changed WHERE s.user_id = changed.id AND s.revoked_at IS NULL")
    };
    match sessions {
        SessionsAfter::Keep => Sql::default(),
        SessionsAfter::RevokeAll { at } => revoke(at).push(")"),
        SessionsAfter::RevokeOthers { keep, at } => revoke(at).push(" AND s.id <> ").bind(keep.0).push(")"),
        SessionsAfter::EraseAll { at } => {
            Sql::new(", ended AS (UPDATE sessions s SET revoked_at = coalesce(s.revoked_at, ")
                .bind(at)
                .push("), user_agent = NULL, ip_address = NULL FROM changed WHERE s.user_id = changed.id)")
        }
    }
}

fn refusal(failure: Failure) -> AccountCommitError {
    match failure.constraint() {
        Some("users_email_key" | "users_email_lower_key") => AccountCommitError::EmailTaken,
        // A new account whose id is there already.
        Some("users_pkey") => AccountCommitError::Stale,
        Some(_) if is_repeated(&failure) => AccountCommitError::Repeated,
        Some(_) | None => AccountCommitError::Port(failure.at(PORT)),
    }
}
