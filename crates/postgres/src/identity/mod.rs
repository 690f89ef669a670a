//! The ports of identity: [`PgUsers`], [`PgSessions`], [`PgTeams`], [`PgSetup`] and [`PgSignOn`].
//!
//! A commit is one statement: its own row is written first, in a part named `changed` that gives a row only when the
//! decision still stands, and everything else follows from that row. Two things need more, because a statement sees
//! the tables as they were when it began:
//! - An account that leaves its teams is locked by a statement before, so that the one which removes the memberships
//!   also sees those that were committed meanwhile. Whoever joins a team holds the account's row, too.
//! - The first administrator is made behind a lock of its own, which every commit of an acting administrator shares.
//!
//! Rows are locked in this order: the lock for the first administrator, teams, accounts by id, sessions, memberships.
//! Locks are of the kinds that foreign keys do not wait for.
//!
//! To store another field, add it to its row in [`rows`] and to the statement beside the destructuring that no longer
//! compiles.

mod rows;
mod sessions;
mod setup;
mod sign_on;
mod teams;
mod users;

pub use sessions::PgSessions;
pub use setup::PgSetup;
pub use sign_on::PgSignOn;
pub use teams::PgTeams;
pub use users::PgUsers;

use diesel::QueryableByName;
use diesel::sql_types::BigInt;

/// True of the row of an administrator who can act: `identity::User::is_acting_admin`.
const IS_ACTING_ADMIN: &str = "role = 'admin' AND status = 'active' AND deleted_at IS NULL";
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
