//! Databases for tests: each test gets one of its own, with the whole schema, in a few hundredths of a second.
//!
//! The first to come migrates a template, whose name carries a hash of the migrations; the others copy it. A database
//! goes when its [`TestDatabase`] does. Which server, is the caller's to say: a superuser's URL.
//!
//! A test of one adapter works as that superuser. A test of a whole desk works as [`SERVER_ROLE`], a role as the server
//! has it in earnest, so that each of them also proves that what is granted to that is enough.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::{Database, Settings};

/// The role of whole desks in tests: it has what [`Database::grant_to_role`] grants.
pub const SERVER_ROLE: &str = "insightdesk_app";

/// The advisory lock of the one who makes the template.
const TEMPLATE_LOCK: i64 = 0x1e51_9d7d_0002;

/// A migrated, empty database for one test.
#[derive(Debug)]
pub struct TestDatabase {
    server_url: String,
    name: String,
    /// The superuser's URL of the database.
    owner_url: String,
    settings: Settings,
    database: Database,
}

impl TestDatabase {
    /// Makes a database on the server at `server_url`, the URL of any database of a superuser there.
    ///
    /// # Panics
    /// When it cannot be made: the test cannot go on.
    pub async fn create(server_url: &str) -> Self {
        let server = connect(server_url).await;
        let template = ensure_template(&server, server_url).await;
        Self::copy_of(&template, &server, server_url, None).await
    }

    /// Makes a database on that server, to be used as [`SERVER_ROLE`]. [`batch`](Self::batch), [`rows`](Self::rows) and
    /// [`number`](Self::number) remain the superuser's.
    ///
    /// # Panics
    /// When it cannot be made: the test cannot go on.
    pub async fn create_for_server(server_url: &str) -> Self {
        let server = connect(server_url).await;
        let template = ensure_template(&server, server_url).await;
        Self::copy_of(&template, &server, server_url, Some(SERVER_ROLE)).await
    }

    /// Makes a database without a schema.
    ///
    /// # Panics
    /// When it cannot be made: the test cannot go on.
    pub async fn create_empty(server_url: &str) -> Self {
        Self::copy_of("template0", &connect(server_url).await, server_url, None).await
    }

    #[expect(clippy::expect_used, reason = "a test without its database ends here")]
    async fn copy_of(template: &str, server: &Client, server_url: &str, role: Option<&str>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "test_{}_{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY");
        // Left over when an earlier process of the same id was killed.
        server
            .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            .await
            .expect("drop a left-over");
        server.batch_execute(&sql).await.expect("copy the template");
        let owner_url = url_of(server_url, &name);
        let mut settings = settings(server_url, &name);
        if let Some(role) = role {
            settings.url = as_role(&owner_url, role);
            // Unlike what is granted within a database, this is not copied with it.
            let sql = format!("REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC");
            server.batch_execute(&sql).await.expect("close the database");
        }
        let database = Database::connect(&settings)
            .await
            .expect("connect to the test's database");
        Self {
            server_url: server_url.to_owned(),
            name,
            owner_url,
            settings,
            database,
        }
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// How to connect to it.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The database's URL, for the role as which it is used.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.settings.url
    }

    /// The database's URL for the superuser.
    #[must_use]
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// Runs SQL text of any number of statements as the superuser, without the time limits that are meant for requests.
    ///
    /// # Panics
    /// When it fails.
    #[expect(clippy::expect_used, reason = "a test whose SQL fails ends here")]
    pub async fn batch(&self, sql: &str) {
        let client = connect(self.owner_url()).await;
        client.batch_execute(sql).await.expect("the test's own SQL");
    }

    /// Reads rows as text, a null as none.
    ///
    /// # Panics
    /// When it fails.
    #[expect(clippy::expect_used, reason = "a test whose SQL fails ends here")]
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let client = connect(self.owner_url()).await;
        let messages = client.simple_query(sql).await.expect("the test's own SQL");
        let row = |row: &tokio_postgres::SimpleQueryRow| {
            (0..row.len())
                .map(|column| row.get(column).map(str::to_owned))
                .collect()
        };
        messages
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(found) => Some(row(found)),
                _ => None,
            })
            .collect()
    }

    /// The single number that `sql` selects.
    ///
    /// # Panics
    /// When it fails, or does not give a number.
    #[expect(clippy::expect_used, reason = "a test whose SQL fails ends here")]
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql).await;
        let value = rows
            .first()
            .and_then(|row| row.first())
            .and_then(Option::as_deref);
        value.and_then(|text| text.parse().ok()).expect("a number")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.database.close();
        let (url, name) = (self.server_url.clone(), self.name.clone());
        // A thread and a runtime of its own: the test's runtime may be ending.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await else {
                        return;
                    };
                    let work = async {
                        let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                        let dropped = client.batch_execute(&sql).await;
                        drop(client);
                        dropped
                    };
                    let _ = tokio::join!(work, connection);
                });
            }
        });
        let _ = dropper.join();
    }
}

/// The same server's URL for the database `name`.
fn url_of(server_url: &str, name: &str) -> String {
    let (base, query) = server_url
        .split_once('?')
        .map_or((server_url, None), |(base, query)| (base, Some(query)));
    let (scheme, rest) = base.split_once("://").unwrap_or(("postgresql", base));
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{authority}/{name}{query}")
}

/// The same database's URL for another role, whose password, if any, is the same.
fn as_role(url: &str, role: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgresql", url));
    let (login, rest) = rest.split_once('@').unwrap_or(("", rest));
    let password = login.split_once(':').map(|(_, password)| format!(":{password}"));
    format!("{scheme}://{role}{}@{rest}", password.unwrap_or_default())
}

fn password_of(url: &str) -> Option<String> {
    let config: tokio_postgres::Config = url.parse().ok()?;
    let password = String::from_utf8(config.get_password()?.to_vec());
    password.ok()
}

fn settings(server_url: &str, name: &str) -> Settings {
    let mut settings = Settings::new(url_of(server_url, name));
    settings.connections_max = 8;
    settings.start_patience = Duration::from_secs(10);
    settings
}

#[expect(clippy::expect_used, reason = "a test without its server ends here")]
async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("connect to the tests' PostgreSQL");
    // Ends with the client.
    tokio::runtime::Handle::current().spawn(connection);
    client
}

#[expect(clippy::expect_used, reason = "a test without its template ends here")]
async fn ensure_template(server: &Client, server_url: &str) -> String {
    let template = format!("insightdesk_template2_{}", env!("INSIGHTDESK_MIGRATIONS_HASH"));
    let exists = async || {
        let found = server
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&template])
            .await;
        found.expect("look for the template").is_some()
    };
    if exists().await {
        return template;
    }
    // Another process, or another test of this one, may be at it.
    server
        .batch_execute(&format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})"))
        .await
        .expect("lock the template");
    if !exists().await {
        let build = format!("{template}_build");
        let make = format!("CREATE DATABASE {build}");
        server
            .batch_execute(&format!("DROP DATABASE IF EXISTS {build} WITH (FORCE)"))
            .await
            .expect("drop a half");
        server.batch_execute(&make).await.expect("create the template");
        let database = Database::new(&settings(server_url, &build)).expect("settings of the template");
        database.migrate().await.expect("migrate the template");
        database
            .ensure_role(SERVER_ROLE)
            .await
            .expect("make the server's role");
        if let Some(password) = password_of(server_url) {
            let sql = format!(
                "ALTER ROLE {SERVER_ROLE} PASSWORD '{}'",
                password.replace('\'', "''")
            );
            server.batch_execute(&sql).await.expect("give it a password");
        }
        database
            .grant_to_role(SERVER_ROLE)
            .await
            .expect("grant what the server needs");
        database.close();
        drop(database);
        rename_once_unused(server, &build, &template).await;
    }
    server
        .batch_execute(&format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})"))
        .await
        .expect("unlock the template");
    template
}

/// The server notices that a connection has ended a moment after the client does.
#[expect(clippy::expect_used, reason = "a test without its template ends here")]
async fn rename_once_unused(server: &Client, from: &str, to: &str) {
    let end = "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = $1";
    server
        .query(end, &[&from])
        .await
        .expect("end the template's connections");
    server
        .batch_execute(&format!("ALTER DATABASE {from} RENAME TO {to}"))
        .await
        .expect("name the template");
}

#[cfg(test)]
pub(crate) mod own {
    //! The databases of this crate's own tests.

    use local_postgres::Cluster;
    use tokio::sync::OnceCell;

    use super::TestDatabase;

    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

    /// A database on the server that `INSIGHTDESK_TEST_POSTGRES` names, else on a throwaway one.
    pub(crate) async fn test_database() -> TestDatabase {
        TestDatabase::create(&server_url().await).await
    }

    /// The same without a schema.
    pub(crate) async fn empty_database() -> TestDatabase {
        TestDatabase::create_empty(&server_url().await).await
    }

    pub(crate) async fn server_url() -> String {
        if let Ok(url) = std::env::var("INSIGHTDESK_TEST_POSTGRES") {
            return url;
        }
        let cluster = CLUSTER
            .get_or_init(async || Cluster::scratch().await.unwrap())
            .await;
        cluster.url("postgres")
    }
}
