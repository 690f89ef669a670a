//! The schema's changes over time, built into the program and run at its start.
//!
//! Any number of nodes may start at once: one migrates, the others wait for it and then find nothing to do. A database
//! with migrations that this program does not know is left as it is: that is an older node beside a newer one.

use std::time::Duration;

use diesel::QueryableByName;
use diesel::migration::{Migration as _, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use tokio::time::Instant;

use crate::jitter;
use crate::pool::{Database, establish};
use crate::settings::Target;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// The advisory lock of the one who migrates; the number itself means nothing.
const MIGRATION_LOCK: i64 = 0x1e51_9d7d_0001;
/// How long to wait for another node's migration.
const MIGRATION_WAIT_MAX: Duration = Duration::from_secs(300);

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The server could not be reached.
    #[error("no connection to migrate the database by")]
    Connection(#[from] diesel::ConnectionError),
    /// The lock could not be asked for.
    #[error("the lock of the migrations could not be asked for")]
    Lock(#[from] diesel::result::Error),
    /// Another node migrates, and does not end.
    #[error("another node has been migrating the database for more than {} s", MIGRATION_WAIT_MAX.as_secs())]
    Busy,
    /// The role cannot change the schema, which must be changed.
    #[error(
        "the schema must be brought up to date, and the user of database-url may not change it: set database-owner-url to \
         that of the one who may"
    )]
    NotAllowed,
    /// A migration failed; it left nothing behind, those before it stay.
    #[error("a migration failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    #[cfg(any(test, feature = "testing"))]
    Down,
}

impl Database {
    /// Runs the migrations that the database does not have yet; gives their versions. Where there are none, any role
    /// that reads the database will do.
    ///
    /// # Errors
    /// When the server cannot be reached, another node's migration does not end, a migration fails, or the role may not
    /// change the schema although it must be changed.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        if !self.lacks_migrations().await? {
            return Ok(Vec::new());
        }
        self.move_schema(Direction::Up).await
    }

    /// Whether a migration of this program has not been run.
    async fn lacks_migrations(&self) -> Result<bool, MigrateError> {
        #[derive(QueryableByName)]
        struct Done {
            #[diesel(sql_type = Text)]
            version: String,
        }
        #[derive(QueryableByName)]
        struct Allowed {
            #[diesel(sql_type = Bool)]
            kept: bool,
            #[diesel(sql_type = Bool)]
            may_create: bool,
        }
        let mut connection = establish(&self.target).await?;
        let Allowed { kept, may_create } = diesel::sql_query(
            "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS kept, \
             coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create",
        )
        .get_result(&mut connection)
        .await?;
        let mut lacking: Vec<String> = MigrationSource::<Pg>::migrations(&MIGRATIONS)
            .map_err(MigrateError::Failed)?
            .iter()
            .map(|migration| migration.name().version().to_string())
            .collect();
        if kept {
            let done: Vec<Done> = diesel::sql_query("SELECT version::text FROM __diesel_schema_migrations")
                .load(&mut connection)
                .await?;
            lacking.retain(|version| done.iter().all(|done| done.version != *version));
        }
        if !lacking.is_empty() && !may_create {
            return Err(MigrateError::NotAllowed);
        }
        Ok(!lacking.is_empty())
    }

    /// Reverts all migrations: everything is deleted.
    ///
    /// # Errors
    /// As [`Database::migrate`].
    #[cfg(any(test, feature = "testing"))]
    pub async fn revert_all(&self) -> Result<Vec<String>, MigrateError> {
        self.move_schema(Direction::Down).await
    }

    async fn move_schema(&self, direction: Direction) -> Result<Vec<String>, MigrateError> {
        let mut connection = establish(&unhurried(&self.target)).await?;
        take_turn(&mut connection).await?;
        // The lock is the session's and goes with the connection, also when this is dropped half way.
        let done = tokio::task::spawn_blocking(move || {
            let mut harness = AsyncMigrationHarness::new(connection);
            let versions = match direction {
                Direction::Up => harness.run_pending_migrations(MIGRATIONS),
                #[cfg(any(test, feature = "testing"))]
                Direction::Down => harness.revert_all_migrations(MIGRATIONS),
            }?;
            Ok(versions.iter().map(MigrationVersion::to_string).collect())
        });
        done.await
            .map_err(|error| MigrateError::Failed(Box::new(error)))?
            .map_err(MigrateError::Failed)
    }
}

/// The same database without the bounds that are meant for requests. A migration still gives up a lock that it does
/// not get: those who came after it would wait behind it.
pub(crate) fn unhurried(target: &Target) -> Target {
    let mut target = target.clone();
    let options = target.config.get_options().unwrap_or_default().to_owned();
    target.config.options(format!(
        "{options} -c statement_timeout=0 -c lock_timeout=10s -c idle_in_transaction_session_timeout=0"
    ));
    target
}

pub(crate) async fn take_turn(connection: &mut AsyncPgConnection) -> Result<(), MigrateError> {
    #[derive(QueryableByName)]
    struct Turn {
        #[diesel(sql_type = Bool)]
        mine: bool,
    }
    let deadline = Instant::now() + MIGRATION_WAIT_MAX;
    let ask = format!("SELECT pg_try_advisory_lock({MIGRATION_LOCK}) AS mine");
    // Asked for again and again instead of waited for: a waiting statement would hold back what other sessions clean up.
    while !diesel::sql_query(&ask).get_result::<Turn>(connection).await?.mine {
        if Instant::now() > deadline {
            return Err(MigrateError::Busy);
        }
        tokio::time::sleep(jitter::between(
            Duration::from_millis(50),
            Duration::from_millis(250),
        ))
        .await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::TestDatabase;
    use crate::testing::own::{empty_database, test_database};

    /// Every column, index, constraint, trigger, function, type, view and sequence.
    async fn catalogue(test: &TestDatabase) -> Vec<Vec<Option<String>>> {
        test.rows(
            "SELECT 'column', table_name || '.' || column_name, concat_ws(' ', data_type, udt_name, character_maximum_length,
                    is_nullable, column_default, is_identity, generation_expression)
             FROM information_schema.columns WHERE table_schema = 'public'
             UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
             UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace
             UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid)
             FROM pg_trigger WHERE NOT tgisinternal
             UNION ALL SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
             UNION ALL SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'public'
             UNION ALL SELECT 'sequence', sequencename, data_type::text FROM pg_sequences WHERE schemaname = 'public'
             UNION ALL SELECT 'enum', typname || '.' || enumlabel, enumsortorder::text
             FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid
             ORDER BY 1, 2, 3",
        )
        .await
    }

    #[tokio::test]
    async fn down_leaves_nothing_and_up_again_makes_the_same() {
        let test = test_database().await;
        let first = catalogue(&test).await;
        assert!(first.len() > 200);
        assert!(!test.database().revert_all().await.unwrap().is_empty());
        let mut left = catalogue(&test).await;
        left.retain(|row| {
            !row[1]
                .as_deref()
                .unwrap_or_default()
                .contains("__diesel_schema_migrations")
        });
        assert_eq!(left, Vec::<Vec<Option<String>>>::new());
        test.database().migrate().await.unwrap();
        assert_eq!(catalogue(&test).await, first);
    }

    #[tokio::test]
    async fn nodes_that_start_at_once_migrate_once() {
        let test = empty_database().await;
        let database = test.database();
        let (a, b, c) = tokio::join!(database.migrate(), database.migrate(), database.migrate());
        let done = [a.unwrap(), b.unwrap(), c.unwrap()];
        assert_eq!(
            done.iter().filter(|versions| !versions.is_empty()).count(),
            1,
            "{done:?}"
        );
        assert_eq!(database.migrate().await.unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn every_foreign_key_has_an_index() {
        let test = test_database().await;
        let without = test
            .rows(
                "SELECT conrelid::regclass || '.' || conname FROM pg_constraint f
                 WHERE f.contype = 'f' AND NOT EXISTS (
                   SELECT FROM pg_index i WHERE i.indrelid = f.conrelid AND i.indkey[0] = f.conkey[1])",
            )
            .await;
        assert_eq!(without, Vec::<Vec<Option<String>>>::new());
    }
}
