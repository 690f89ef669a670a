//! A running cluster, as its user sees it. The work is done in `supervisor.rs`.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::programs::{FindError, Programs, cache_dir, find};
use crate::settings::{OWNER, PORT};
use crate::supervisor::{self, Shared, StopRequest};

/// Asked for first by every connection that this crate makes.
pub(crate) const MAINTENANCE_DATABASE: &str = "postgres";

/// A scratch cluster lies in memory when at least this much of it is free.
const SCRATCH_MEMORY_BYTES_MIN: u64 = 1024 * 1024 * 1024;

/// How long one connection may take to come about.
const CONNECT_SECS_MAX: u64 = 10;

/// What a cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// For data that matters.
    Durable,
    /// For tests: nothing is synced to the disk, so the data does not outlive a crash of the machine.
    Throwaway,
}

/// How long the cluster's processes and files stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// The server stops at [`Cluster::stop`]; the data stays. A server whose parent is killed runs on, and the next
    /// [`Cluster::start`] takes it over.
    Kept,
    /// Server and data go when this process ends, however it ends.
    Tethered,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The data folder; made when absent. Paths above it must be open to the account that runs PostgreSQL.
    pub data_dir: PathBuf,
    /// The server programs, from [`find`].
    pub programs: Programs,
    /// What the cluster is for.
    pub durability: Durability,
    /// How long it stays.
    pub lifetime: Lifetime,
}

impl ClusterOptions {
    /// A cluster that keeps its data.
    #[must_use]
    pub fn durable(data_dir: PathBuf, programs: Programs) -> Self {
        Self {
            data_dir,
            programs,
            durability: Durability::Durable,
            lifetime: Lifetime::Kept,
        }
    }
}

/// Why a cluster could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process looks after this data folder.
    #[error(
        "the data folder {} is in use by another process{}",
        data_dir.display(),
        pid.map(|pid| format!(" ({pid})")).unwrap_or_default()
    )]
    InUse {
        /// The data folder.
        data_dir: PathBuf,
        /// The other process, as far as its lock file says.
        pid: Option<u32>,
    },
    /// No server programs, for [`Cluster::scratch`].
    #[error(transparent)]
    Programs(#[from] FindError),
    /// This process is root and there is nobody else to run PostgreSQL as.
    #[error(
        "PostgreSQL does not run as root, and this machine has no account postgres, _postgres or nobody to run it"
    )]
    NoAccount,
    /// The account that runs PostgreSQL cannot enter the data folder.
    #[error("{user}, who runs PostgreSQL, cannot enter {}: choose another data folder", dir.display())]
    Unreachable {
        /// The data folder.
        dir: PathBuf,
        /// The account.
        user: String,
    },
    /// The data was made by another major version.
    #[error(
        "the data in {} was made by PostgreSQL {made_by}, which {programs} cannot read: use PostgreSQL {made_by}, or \
         dump the data with it and restore it into a new data folder",
        data_dir.display()
    )]
    WrongMajor {
        /// The data folder.
        data_dir: PathBuf,
        /// The version that made the data.
        made_by: u32,
        /// The version at hand.
        programs: String,
    },
    /// `initdb` failed.
    #[error("PostgreSQL could not create a cluster in {}: {output}", data_dir.display())]
    Initdb {
        /// The data folder.
        data_dir: PathBuf,
        /// What the program said, on one line.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("PostgreSQL ended while starting ({status}); {} says: {log_tail}", log.display())]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The log's last lines, on one line.
        log_tail: String,
    },
    /// The server did not accept connections in time.
    #[error("PostgreSQL accepted no connection within {secs} s; see {}", log.display())]
    NotReady {
        /// How long it was given.
        secs: u64,
        /// Its log.
        log: PathBuf,
    },
    /// The system refused something.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The supervisor ended unexpectedly.
    #[error("the supervisor of the local PostgreSQL ended before it was ready")]
    Supervisor,
}

/// Why a database could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection within the time that one may take.
    #[error("the local PostgreSQL accepted no connection within {CONNECT_SECS_MAX} s")]
    TimedOut,
    /// The server refused.
    #[error("could not make the database {name} in the local PostgreSQL")]
    Refused {
        /// The database.
        name: String,
        /// What the server said.
        source: tokio_postgres::Error,
    },
}

/// A cluster that runs and is watched.
///
/// It does not depend on the async runtime that started it: the supervisor has a thread of its own, so a cluster may
/// be kept in a static and shared by tests with a runtime each.
///
/// Dropping it asks PostgreSQL to stop but does not wait; call [`Cluster::stop`] to be sure.
#[derive(Debug)]
#[must_use = "the cluster stops when this is dropped"]
pub struct Cluster {
    data_dir: PathBuf,
    socket_dir: PathBuf,
    log_file: PathBuf,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<StopRequest>>,
}

impl Cluster {
    /// Makes the cluster if it is absent, starts it, and waits until it accepts connections. A server that a killed
    /// process left running is taken over as it is.
    ///
    /// # Errors
    /// As [`StartError`] says. Nothing is left running then.
    pub async fn start(options: ClusterOptions) -> Result<Self, StartError> {
        let (ready, started) = oneshot::channel();
        let (stop, stop_requests) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        supervisor::spawn(options, Arc::clone(&shared), ready, stop_requests)?;
        let places = started.await.map_err(|_| StartError::Supervisor)??;
        Ok(Self {
            data_dir: places.data_dir,
            socket_dir: places.socket_dir,
            log_file: places.log_file,
            shared,
            stop: Some(stop),
        })
    }

    /// A throwaway cluster of the newest PostgreSQL, in a folder of its own: in memory (`/dev/shm`) when there is
    /// room, else in the system's folder for temporary files. It goes when this process ends, however it ends.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub async fn scratch() -> Result<Self, StartError> {
        let programs = find(None, cache_dir().as_deref())?;
        Self::scratch_of(programs).await
    }

    /// As [`Cluster::scratch`], with these programs.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub async fn scratch_of(programs: Programs) -> Result<Self, StartError> {
        let data_dir = scratch_dir()?;
        let cleanup = data_dir.clone();
        let options = ClusterOptions {
            data_dir,
            programs,
            durability: Durability::Throwaway,
            lifetime: Lifetime::Tethered,
        };
        let started = Self::start(options).await;
        if started.is_err() {
            let _ = std::fs::remove_dir_all(cleanup);
        }
        started
    }

    /// A URL of `database` in this cluster for its owner, for tokio-postgres and libpq alike.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_as(OWNER, database)
    }

    /// The same for another role, which must be there by the time that it is used. Whoever reaches the socket may be
    /// any role: the cluster asks for no password.
    #[must_use]
    pub fn url_as(&self, role: &str, database: &str) -> String {
        let host = percent_encoded(&self.socket_dir.to_string_lossy());
        format!(
            "postgresql://{}@{host}:{PORT}/{}",
            percent_encoded(role),
            percent_encoded(database)
        )
    }

    /// Makes `database` if it is absent: UTF-8, in UTC.
    ///
    /// # Errors
    /// As [`DatabaseError`] says.
    pub async fn ensure_database(&self, database: &str) -> Result<(), DatabaseError> {
        let refused = |source| DatabaseError::Refused {
            name: database.to_owned(),
            source,
        };
        let config = connection_config(&self.socket_dir);
        let (client, connection) = timeout(Duration::from_secs(CONNECT_SECS_MAX), config.connect(NoTls))
            .await
            .map_err(|_| DatabaseError::TimedOut)?
            .map_err(refused)?;
        // The client is moved in, so that it ends, and with it the connection.
        let work = async move { make_database(client, database).await };
        let (made, _) = tokio::join!(work, connection);
        made.map_err(refused)
    }

    /// Stops PostgreSQL and waits until it has ended: transactions are rolled back, connections closed. When that
    /// takes longer than 20 s, it is stopped the hard way, and the next start recovers from its log.
    pub async fn stop(mut self) {
        let Some(stop) = self.stop.take() else { return };
        let (done, stopped) = oneshot::channel();
        if stop.send(StopRequest { done }).is_ok() {
            let _ = stopped.await;
        }
    }

    /// The data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The folder of the socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The server's log.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// The process id of the server that runs now; none between a crash and the restart.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<u32> {
        self.shared
            .postmaster()
            .and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.stop.is_none() {
            return;
        }
        // The supervisor stops PostgreSQL when the channel closes. The process may end before it gets to that, so the
        // signal is sent from here as well.
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(pid) = self.shared.postmaster() {
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

/// How this crate itself connects.
pub(crate) fn connection_config(socket_dir: &Path) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(socket_dir)
        .port(PORT)
        .user(OWNER)
        .dbname(MAINTENANCE_DATABASE);
    config
}

async fn make_database(client: Client, database: &str) -> Result<(), tokio_postgres::Error> {
    let identifier = format!("\"{}\"", database.replace('"', "\"\""));
    let known = client
        .query_opt("SELECT FROM pg_database WHERE datname = $1", &[&database])
        .await?;
    if known.is_none() {
        let create = format!("CREATE DATABASE {identifier} TEMPLATE template0 ENCODING 'UTF8'");
        match client.batch_execute(&create).await {
            // Somebody else made it in the meantime.
            Err(error)
                if error.code() == Some(&SqlState::DUPLICATE_DATABASE)
                    || error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
            other => other?,
        }
    }
    client
        .batch_execute(&format!("ALTER DATABASE {identifier} SET timezone TO 'UTC'"))
        .await
}

/// A new empty folder that only its owner, and the account that runs PostgreSQL, may enter.
fn scratch_dir() -> Result<PathBuf, StartError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = if rustix::process::geteuid().is_root() {
        0o711
    } else {
        0o700
    };
    let make = |base: &Path| -> std::io::Result<PathBuf> {
        let dir = tempfile::Builder::new().prefix("insightdesk-").tempdir_in(base)?;
        // Set afterwards, since the umask takes its part while a folder is made.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode))?;
        Ok(dir.keep())
    };
    let memory = Path::new("/dev/shm");
    let free_bytes =
        rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    if free_bytes >= SCRATCH_MEMORY_BYTES_MIN
        && let Ok(dir) = make(memory)
    {
        return Ok(dir);
    }
    let base = std::env::temp_dir();
    make(&base).map_err(|source| StartError::Io {
        doing: "create a folder in",
        path: base,
        source,
    })
}

/// Everything but unreserved characters, as a URL wants it.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
