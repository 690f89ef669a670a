//! What administrators set about the desk's security.

use async_trait::async_trait;
use diesel::prelude::*;
use diesel::sql_types as types;
use diesel_async::RunQueryDsl as _;
use identity::ports::{SecurityCommit, SecurityCommitError, SecurityStore};
use identity::{SecuritySettings, TwoFactorRule};
use kernel::{PortError, Version};
use serde_json::{Value, json};

use super::CountRow;
use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::sql::Sql;

const PORT: &str = "security settings";
/// The name of the row of `desk_settings`.
const NAME: &str = "security";

/// The security settings in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgSecurity {
    database: Database,
}

impl PgSecurity {
    /// The settings of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[derive(QueryableByName)]
struct SettingsRow {
    #[diesel(sql_type = types::Jsonb)]
    value: Value,
    #[diesel(sql_type = types::Integer)]
    version: i32,
}

/// The rule of that name. A name that only a newer version of the program knows asks all staff for a second factor:
/// who does not know the rule must not be the one who lifts it.
pub(super) fn rule_of(stored: Option<&str>) -> TwoFactorRule {
    match stored {
        None => TwoFactorRule::default(),
        Some(name) => TwoFactorRule::parse(name).unwrap_or(TwoFactorRule::Staff),
    }
}

#[async_trait]
impl SecurityStore for PgSecurity {
    async fn security(&self) -> Result<SecuritySettings, PortError> {
        let sql = Sql::new("SELECT value, version FROM desk_settings WHERE name = ").bind(NAME);
        let row = self.database.row::<SettingsRow>(PORT, sql).await?;
        Ok(row.map_or_else(SecuritySettings::default, |row| {
            let SettingsRow { value, version } = row;
            SecuritySettings {
                require_two_factor: rule_of(value.get("requireTwoFactor").and_then(Value::as_str)),
                version: Version(version),
            }
        }))
    }

    async fn commit(&self, commit: SecurityCommit) -> Result<(), SecurityCommitError> {
        let tells = !commit.events.is_empty();
        let sql = statement(commit).map_err(|failure| failure.at(PORT))?;
        let run = self
            .database
            .run(async |connection| (&sql).get_result::<CountRow>(connection).await)
            .await;
        let CountRow { changed } = run.map_err(|failure| {
            if is_repeated(&failure) {
                SecurityCommitError::Repeated
            } else {
                SecurityCommitError::Port(failure.at(PORT))
            }
        })?;
        if changed == 0 {
            return Err(SecurityCommitError::Stale);
        }
        if tells {
            self.database.wake_ups().committed();
        }
        Ok(())
    }
}

fn statement(commit: SecurityCommit) -> Result<Sql, Failure> {
    let SecurityCommit {
        settings,
        expected: Version(expected),
        at,
        events,
        receipt,
    } = commit;
    let SecuritySettings {
        require_two_factor,
        version: Version(version),
    } = settings;
    let value = json!({ "requireTwoFactor": require_two_factor.as_str() });
    // What was never set is at the first version, and has no row.
    let mut sql = Sql::new(
        "WITH changed AS (INSERT INTO desk_settings AS s (name, value, version, updated_at) SELECT ",
    )
    .bind(NAME)
    .push(", ")
    .bind(value)
    .push(", ")
    .bind(version)
    .push(", ")
    .bind(at)
    .push(" WHERE ")
    .bind(expected)
    .push(" = ")
    .bind(Version::FIRST.0)
    .push(" OR EXISTS (SELECT 1 FROM desk_settings WHERE name = ")
    .bind(NAME)
    .push(
        ") ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = excluded.version, \
             updated_at = excluded.updated_at WHERE s.version = ",
    )
    .bind(expected)
    .push(" RETURNING s.name)");
    if !events.is_empty() {
        let insert = insert_events(&events, Some("changed"))?;
        sql = sql.push(", new_events AS (").append(insert).push(")");
    }
    if let Some(receipt) = receipt {
        let insert = insert_receipt(&receipt, Some("changed"));
        sql = sql.push(", new_receipt AS (").append(insert).push(")");
    }
    Ok(sql.push(" SELECT count(*) AS changed FROM changed"))
}
