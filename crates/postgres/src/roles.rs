//! Two roles: the owner of the schema, who migrates it, and the server's own, who works with what is in it.
//!
//! The server's role is granted what its statements need and nothing else, so that whoever gets at its connection can
//! neither change the schema nor reach the machine, and can add to the record of acts but not alter it. The grants are
//! made after every migration, over all that the owner has made by then; they are the same however often they are made.
//!
//! To give the server less of a table, or more than rows of it, say so in [`GRANTS`].

use diesel::QueryableByName;
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use kernel::PortError;

use crate::migrations::{MigrateError, take_turn, unhurried};
use crate::pool::{Database, establish};
use crate::sql::Sql;

/// What the server's role, whose name the setting `insightdesk.server_role` tells, may do with all that the present role
/// owns. What belongs to others (extensions, say) is left to them.
const GRANTS: &str = r"
DO $grants$
DECLARE
  server CONSTANT text := current_setting('insightdesk.server_role');
  place CONSTANT text := current_schema();
  thing record;
BEGIN
  EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %I', place, server);
  EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC, %I', current_database(), server);
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), server);
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', place, server);
  FOR thing IN
    SELECT c.oid::regclass AS name, c.relkind AS kind, c.relname AS bare
    FROM pg_class c
    WHERE c.relnamespace = place::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
      AND pg_has_role(c.relowner, 'USAGE')
    ORDER BY c.oid
  LOOP
    IF thing.kind = 'S' THEN
      EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM PUBLIC, %I', thing.name, server);
      EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', thing.name, server);
    ELSE
      EXECUTE format('REVOKE ALL ON TABLE %s FROM PUBLIC, %I', thing.name, server);
      EXECUTE format('GRANT %s ON TABLE %s TO %I',
        CASE
          WHEN thing.kind IN ('v', 'm') OR thing.bare = '__diesel_schema_migrations' THEN 'SELECT'
          WHEN thing.bare IN ('audit_log', 'sla_ledger', 'sla_policy_terms') THEN 'SELECT, INSERT'
          ELSE 'SELECT, INSERT, UPDATE, DELETE'
        END, thing.name, server);
    END IF;
  END LOOP;
  FOR thing IN
    SELECT p.oid::regprocedure AS name FROM pg_proc p
    WHERE p.pronamespace = place::regnamespace AND p.prokind IN ('f', 'w') AND pg_has_role(p.proowner, 'USAGE')
    ORDER BY p.oid
  LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', thing.name, server);
  END LOOP;
END
$grants$";

/// The role as which one is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it may do anything, on the machine too.
    pub is_superuser: bool,
    /// Whether it may change the schema: it owns a part of it, is a member of a role that does, or may add to it.
    pub changes_schema: bool,
}

/// Why the roles are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The two URLs name one user.
    #[error(
        "database-url and database-owner-url name the same user, {0}: give the server one of its own, or leave \
         database-owner-url out"
    )]
    Same(String),
    /// The server's role could not be asked for its name.
    #[error("the role of database-url could not be found out")]
    Unknown(#[from] PortError),
    /// The owner could not grant it what it needs.
    #[error("what the server needs could not be granted to {role}")]
    Grant {
        /// The server's role.
        role: String,
        /// Why not.
        source: MigrateError,
    },
    /// The role could not be made.
    #[error("the role {role} could not be made")]
    Make {
        /// The role.
        role: String,
        /// Why not.
        source: MigrateError,
    },
}

#[derive(QueryableByName)]
struct RoleRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    is_superuser: bool,
    #[diesel(sql_type = Bool)]
    changes_schema: bool,
}

impl Database {
    /// The role as which this database is used.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn role(&self) -> Result<Role, PortError> {
        let sql = Sql::new(
            "SELECT current_user::text AS name, rolsuper AS is_superuser, \
               coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) OR EXISTS (\
                 SELECT FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
                   AND pg_has_role(relowner, 'MEMBER')) AS changes_schema \
             FROM pg_roles WHERE rolname = current_user",
        );
        let row = self
            .run(async |connection| (&sql).get_result::<RoleRow>(connection).await)
            .await;
        let RoleRow {
            name,
            is_superuser,
            changes_schema,
        } = row.map_err(|failure| failure.at("database"))?;
        Ok(Role {
            name,
            is_superuser,
            changes_schema,
        })
    }

    /// Grants the role of `server` what the server needs of all that this one, the owner, has made, and takes away what
    /// is more. Any number of nodes may do it at once.
    ///
    /// # Errors
    /// When both are the same role, or the owner cannot grant.
    pub async fn grant_to(&self, server: &Database) -> Result<(), RolesError> {
        let role = server.role().await?.name;
        self.grant_to_role(&role).await
    }

    /// As [`Database::grant_to`], to the role of this name.
    ///
    /// # Errors
    /// As there.
    pub async fn grant_to_role(&self, role: &str) -> Result<(), RolesError> {
        if self.role().await?.name == role {
            return Err(RolesError::Same(role.to_owned()));
        }
        let granted = async {
            let mut connection = establish(&unhurried(&self.target)).await?;
            take_turn(&mut connection).await?;
            name_server(&mut connection, role).await?;
            Ok(connection.batch_execute(GRANTS).await?)
        };
        granted.await.map_err(|source| RolesError::Grant {
            role: role.to_owned(),
            source,
        })
    }

    /// Makes a role that can log in and nothing else, unless it is there. Asks for a role that may make roles.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn ensure_role(&self, role: &str) -> Result<(), RolesError> {
        let made = async {
            let mut connection = establish(&self.target).await?;
            take_turn(&mut connection).await?;
            name_server(&mut connection, role).await?;
            Ok(connection.batch_execute(MAKE_ROLE).await?)
        };
        made.await.map_err(|source| RolesError::Make {
            role: role.to_owned(),
            source,
        })
    }
}

/// Roles are the whole server's: another database's process may make the same at the same time.
const MAKE_ROLE: &str = r"
DO $make$
DECLARE
  server CONSTANT text := current_setting('insightdesk.server_role');
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = server) THEN
    EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', server);
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;
END
$make$";

async fn name_server(connection: &mut AsyncPgConnection, role: &str) -> Result<(), MigrateError> {
    diesel::sql_query("SELECT set_config('insightdesk.server_role', $1, false)")
        .bind::<Text, _>(role)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio_postgres::{Client, NoTls};

    use super::*;
    use crate::testing::own::{empty_database, server_url};
    use crate::testing::{SERVER_ROLE, TestDatabase};

    async fn client(url: &str) -> Client {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::runtime::Handle::current().spawn(connection);
        client
    }

    /// Statements that the server's role must be refused.
    const REFUSED: &[&str] = &[
        "DROP TABLE users",
        "CREATE TABLE mine (n integer)",
        "CREATE TEMPORARY TABLE mine (n integer)",
        "ALTER TABLE users ADD COLUMN mine text",
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_log_keep ON audit_log",
        "CREATE TRIGGER mine BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touch_updated_at()",
        "CREATE INDEX mine ON users (name)",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION audit_log_text(entry audit_log) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$",
        "CREATE EXTENSION file_fdw",
        "CREATE SCHEMA mine",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "COPY users FROM PROGRAM 'id'",
        "COPY users TO PROGRAM 'cat'",
        "COPY users TO '/tmp/users.copy'",
        "COPY (SELECT 1) TO '/tmp/one.copy'",
        "TRUNCATE users",
        "TRUNCATE audit_log",
        "UPDATE audit_log SET action = 'x'",
        "DELETE FROM audit_log",
        "UPDATE __diesel_schema_migrations SET version = '0'",
        "DELETE FROM __diesel_schema_migrations",
        "SELECT setval('ticket_number_seq', 1)",
        "UPDATE public_messages SET message = ''",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_shadow",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SET session_replication_role = replica",
        "ALTER SYSTEM SET fsync = off",
        "REASSIGN OWNED BY CURRENT_USER TO postgres",
        "DO LANGUAGE c 'x'",
    ];

    #[tokio::test]
    async fn the_servers_role_works_with_rows_and_changes_nothing_else() {
        let test = TestDatabase::create_for_server(&server_url().await).await;
        let server = client(test.url()).await;
        let superuser = test.rows("SELECT current_user").await[0][0].clone().unwrap();
        let set_role = format!("SET ROLE \"{superuser}\"");
        for sql in REFUSED.iter().copied().chain([set_role.as_str()]) {
            let Err(refused) = server.batch_execute(sql).await else {
                panic!("{sql} is not refused");
            };
            let refused = refused.as_db_error().unwrap();
            // Refused for want of a privilege (42501), or because such a thing is not to be had at all.
            let known = ["42501", "0A000", "42704", "55000"].contains(&refused.code().code());
            assert!(known, "{sql}: {refused:?}");
        }
        let role = test.database().role().await.unwrap();
        assert_eq!(
            role,
            Role {
                name: SERVER_ROLE.to_owned(),
                is_superuser: false,
                changes_schema: false,
            }
        );
        server
            .batch_execute(
                "INSERT INTO teams (name) VALUES ('T'); UPDATE teams SET name = 'U'; DELETE FROM teams; \
                 SELECT nextval('ticket_number_seq'); SELECT * FROM public_messages; LISTEN x; NOTIFY x",
            )
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn what_was_granted_too_much_is_taken_back_and_what_is_new_is_granted() {
        let test = empty_database().await;
        let owner = test.database();
        owner.migrate().await.unwrap();
        owner.ensure_role(SERVER_ROLE).await.unwrap();
        owner.ensure_role(SERVER_ROLE).await.unwrap();
        test.batch(&format!(
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO {SERVER_ROLE}; GRANT CREATE ON SCHEMA public TO PUBLIC"
        ))
        .await;
        let privileges = async || {
            test.rows(&format!(
                "SELECT c.relname, c.relacl FROM pg_class c WHERE relnamespace = 'public'::regnamespace \
                   AND array_to_string(relacl, ' ') LIKE '%{SERVER_ROLE}%' \
                 UNION ALL SELECT nspname, nspacl FROM pg_namespace WHERE nspname = 'public' ORDER BY 1"
            ))
            .await
        };
        let (one, other) = tokio::join!(owner.grant_to_role(SERVER_ROLE), owner.grant_to_role(SERVER_ROLE));
        one.unwrap();
        other.unwrap();
        let first = privileges().await;
        owner.grant_to_role(SERVER_ROLE).await.unwrap();
        assert_eq!(privileges().await, first);
        let excess = "SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a \
                      WHERE a.grantee = 'insightdesk_app'::regrole AND c.relnamespace = 'public'::regnamespace \
                        AND (a.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER') \
                          OR c.relname IN ('audit_log', 'sla_ledger', 'sla_policy_terms') AND a.privilege_type NOT IN ('SELECT', 'INSERT'))";
        assert_eq!(test.number(excess).await, 0);
        test.batch("CREATE TABLE later (n serial PRIMARY KEY)").await;
        owner.grant_to_role(SERVER_ROLE).await.unwrap();
        let granted = "SELECT (has_table_privilege('insightdesk_app', 'later', 'INSERT') \
                        AND has_sequence_privilege('insightdesk_app', 'later_n_seq', 'USAGE'))::int";
        assert_eq!(test.number(granted).await, 1);
    }

    #[tokio::test]
    async fn a_role_that_may_not_migrate_is_asked_to_only_when_there_is_something_to() {
        let test = TestDatabase::create_for_server(&server_url().await).await;
        assert_eq!(test.database().migrate().await.unwrap(), Vec::<String>::new());
        test.batch(
            "DELETE FROM __diesel_schema_migrations \
             WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
        )
        .await;
        let refused = test.database().migrate().await;
        assert!(matches!(refused, Err(MigrateError::NotAllowed)), "{refused:?}");
        let same = test.database().grant_to_role(SERVER_ROLE).await;
        assert!(matches!(same, Err(RolesError::Same(_))), "{same:?}");
    }
}
