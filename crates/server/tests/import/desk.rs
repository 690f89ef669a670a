//! A desk on a database of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use credentials::{MasterSecret, SystemClock, UuidIds};
use identity::PasswordHash;
use identity::ports::PasswordHasher;
use identity::{Password, PasswordAttempt};
use kernel::PortError;
use local_postgres::Cluster;
use postgres::testing::TestDatabase;
use server::bridges::NoMail;
use server::desk::Basis;
use server::import::{ImportArgs, ImportError, ImportPorts, ImportWhat, Summary, TicketsArgs, Visibility};
use server::{Config, Desk};
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// A desk, its database and a folder for files.
pub(crate) struct TestDesk {
    pub(crate) test: TestDatabase,
    pub(crate) desk: Desk,
    pub(crate) folder: tempfile::TempDir,
}

impl TestDesk {
    /// On the server that `INSIGHTDESK_TEST_POSTGRES` names, else on a throwaway one.
    pub(crate) async fn new() -> Self {
        let test = match std::env::var("INSIGHTDESK_TEST_POSTGRES") {
            Ok(url) => TestDatabase::create_for_server(&url).await,
            Err(_) => {
                let cluster = CLUSTER
                    .get_or_init(async || Cluster::scratch().await.unwrap())
                    .await;
                TestDatabase::create_for_server(&cluster.url("postgres")).await
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().join("data"),
            ..Config::default()
        };
        let basis = Basis {
            database: test.database().clone(),
            secret: MasterSecret::generate().unwrap().into(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds),
            mailer: Arc::new(NoMail),
            blobs: server::files::blobs(&config).unwrap(),
        };
        let desk = Desk::assemble(basis, &config).unwrap();
        Self { test, desk, folder }
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Imports as `insightdesk import tickets FILE OPTIONS…` does.
    pub(crate) async fn import(&self, file: &Path, options: &[&str]) -> Result<Summary, ImportError> {
        server::import::tickets(self.args(file, options), self.ports(), Visibility::Hidden).await
    }

    pub(crate) fn args(&self, file: &Path, options: &[&str]) -> TicketsArgs {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: ImportArgs,
        }
        let report = self.report();
        let file = file.to_str().unwrap();
        let mut words = vec![
            "insightdesk",
            "tickets",
            file,
            "--report",
            report.to_str().unwrap(),
        ];
        words.extend(options);
        let Line {
            args: ImportArgs {
                what: ImportWhat::Tickets(args),
            },
        } = clap::Parser::try_parse_from(words).unwrap();
        args
    }

    pub(crate) fn ports(&self) -> ImportPorts {
        ImportPorts {
            import: Arc::clone(&self.desk.import),
            users: Arc::clone(&self.desk.users),
            hasher: Arc::new(NoHasher),
            clock: Arc::clone(&self.desk.clock),
            ids: Arc::clone(&self.desk.ids),
        }
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.folder.path().join("refused.csv")
    }

    /// The report's rows: line, externalId, field, rule.
    pub(crate) fn refusals(&self) -> Vec<(u64, String, String, String)> {
        let mut reader = csv::Reader::from_path(self.report()).unwrap();
        let text = |record: &csv::StringRecord, index: usize| record[index].to_owned();
        reader
            .records()
            .map(|record| {
                let record = record.unwrap();
                (
                    record[0].parse().unwrap(),
                    text(&record, 1),
                    text(&record, 2),
                    text(&record, 3),
                )
            })
            .collect()
    }

    pub(crate) async fn tickets(&self) -> i64 {
        self.test.number("SELECT count(*) FROM tickets").await
    }
}

/// Hashing is none of these tests' matters.
struct NoHasher;

#[async_trait::async_trait]
impl PasswordHasher for NoHasher {
    async fn hash(&self, _: &Password) -> Result<PasswordHash, PortError> {
        Ok(PasswordHash::from_phc("none"))
    }

    async fn verify(&self, _: &PasswordHash, _: &PasswordAttempt) -> Result<bool, PortError> {
        Ok(false)
    }

    async fn verify_nothing(&self, _: &PasswordAttempt) -> Result<(), PortError> {
        Ok(())
    }
}
