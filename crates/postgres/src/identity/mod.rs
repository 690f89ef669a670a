//! The ports of identity: [`PgUsers`], [`PgSessions`], [`PgTwoFactor`], [`PgSecurity`], [`PgApiKeys`], [`PgSignOn`],
//! [`PgTeams`], [`PgPeople`], [`PgTokens`], [`PgSetup`] and [`PgAudit`].
//!
//! A commit is one statement: its own row is written first, in a part named `changed` that gives a row only when the
//! decision still stands, and everything else follows from that row. Three things need more, because a statement sees
//! the tables as they were when it began:
//! - An account that leaves its teams is locked by a statement before, so that the one which removes the memberships
//!   also sees those that were committed meanwhile. Whoever joins a team holds the account's row, too.
//! - Whoever gets a key is locked by a statement before, so that the one which counts their keys sees all of them.
//! - The first administrator is made behind a lock of its own, which every commit of an acting administrator shares.
//!
//! A one-time token is only looked at, and spent by whoever changes its account: two who show the same one decided on
//! the same version of the account, and the second finds that moved on.
//!
//! Rows are locked in this order: the lock for the first administrator, teams, accounts by id, one-time tokens,
//! recovery codes, sessions, memberships.
//! Locks are of the kinds that foreign keys do not wait for.
//!
//! To store another field, add it to its row in [`rows`] and to the statement beside the destructuring that no longer
//! compiles.

mod api_keys;
mod audit;
mod rows;
mod security;
mod sessions;
mod setup;
mod sign_on;
mod teams;
mod tokens;
mod two_factor;
mod users;

pub(crate) use api_keys::principal;
pub use api_keys::{PgApiKeys, PgPeople};
pub use audit::{AuditRow, PgAudit};
pub use security::PgSecurity;
pub use sessions::PgSessions;
pub use setup::PgSetup;
pub use sign_on::PgSignOn;
pub use teams::PgTeams;
pub use tokens::PgTokens;
pub use two_factor::PgTwoFactor;
pub use users::PgUsers;

use diesel::QueryableByName;
use diesel::sql_types::BigInt;

/// True of the row of an administrator who can act: `identity::User::is_acting_admin`.
const IS_ACTING_ADMIN: &str = "role = 'admin' AND status = 'active' AND deleted_at IS NULL";
/// True of the row of an account that admits its owner: `identity::User::may_sign_in`.
const MAY_SIGN_IN: &str =
    "(status = 'active' OR status = 'pending' AND password_hash <> '!') AND deleted_at IS NULL";
/// The advisory lock of the first administrator: the one who makes the first has it alone, and whoever makes another
/// shares it.
const FIRST_ADMIN_LOCK: i64 = 0x1e51_9d7d_0003;

/// A count of rows that were changed.
#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    changed: i64,
}

#[cfg(test)]
mod tests;
