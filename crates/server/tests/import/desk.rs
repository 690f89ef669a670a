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
use server::import::{
    DeskArgs, DeskPorts, DeskSummary, ImportArgs, ImportError, ImportPorts, ImportWhat, Summary, System,
    TicketsArgs, Visibility,
};
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
            caller: server::webhooks::caller(&config),
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
        match self.what("tickets", file, options) {
            ImportWhat::Tickets(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn what(&self, command: &str, path: &Path, options: &[&str]) -> ImportWhat {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: ImportArgs,
        }
        let report = self.report();
        let path = path.to_str().unwrap();
        let mut words = vec!["insightdesk", command, path, "--report", report.to_str().unwrap()];
        words.extend(options);
        let Line { args } = clap::Parser::try_parse_from(words).unwrap();
        args.what
    }

    /// Takes a desk over as `insightdesk import zendesk PATH OPTIONS…` does.
    pub(crate) async fn take_over(
        &self,
        system: System,
        path: &Path,
        options: &[&str],
    ) -> Result<DeskSummary, ImportError> {
        let args = self.desk_args(system, path, options);
        server::import::take_over(system, args, self.desk_ports(), Visibility::Hidden).await
    }

    pub(crate) fn desk_args(&self, system: System, path: &Path, options: &[&str]) -> DeskArgs {
        let command = match system {
            System::Zendesk => "zendesk",
            System::Freshdesk => "freshdesk",
        };
        match self.what(command, path, options) {
            ImportWhat::Zendesk(args) | ImportWhat::Freshdesk(args) => args,
            ImportWhat::Tickets(args) => panic!("{args:?}"),
        }
    }

    pub(crate) fn desk_ports(&self) -> DeskPorts {
        DeskPorts {
            import: Arc::clone(&self.desk.import),
            intake: Arc::clone(&self.desk.intake),
            clock: Arc::clone(&self.desk.clock),
        }
    }

    /// The lines of the report of a desk that was taken over, without the figures at its end.
    pub(crate) fn entries(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.report()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|line: &serde_json::Value| line.get("summary").is_none())
            .collect()
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
