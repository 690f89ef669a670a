//! The PostgreSQL that the desk looks after itself, for whoever sets no `database-url`.
//!
//! One process looks after it. A command that runs beside the server (`admin create`, `import`) is a guest of the
//! server's PostgreSQL, as long as that runs.

use std::path::Path;
use std::time::Duration;

use local_postgres::{Cluster, ClusterOptions, DatabaseError, FindError, OWNER, StartError, find_for};
use tokio::time::Instant;

/// The database in the cluster.
const DATABASE: &str = "insightdesk";
/// The role as which the server works; the cluster's owner migrates.
pub const SERVER_ROLE: &str = "insightdesk_app";
/// How long a guest waits for a PostgreSQL that is being started.
const GUEST_PATIENCE: Duration = Duration::from_secs(20);
const GUEST_PAUSE: Duration = Duration::from_millis(100);

/// What to do when another process looks after the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// Refuse: there must not be two.
    Alone,
    /// Use what the other one runs.
    Guest,
}

/// Why there is no PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Its programs are not on this machine.
    #[error(transparent)]
    Programs(#[from] FindError),
    /// Another process has the data folder.
    #[error(
        "{0}: stop that one, or give this one another --data-dir; to run several servers for one desk, give them a \
         --database-url"
    )]
    InUse(StartError),
    /// It does not start.
    #[error(transparent)]
    Start(StartError),
    /// It has no database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The one who has the data folder runs none.
    #[error(
        "{0}, and that one runs no PostgreSQL that this command could use: try again when it does, or stop it"
    )]
    NoHost(StartError),
}

/// A PostgreSQL to work with.
#[derive(Debug)]
pub struct Embedded {
    /// The URL of its database, for the server. The role in it is made by whoever uses the other one.
    pub url: String,
    /// The URL of its database, for its owner.
    pub owner_url: String,
    /// Itself, when it is this process that looks after it.
    pub cluster: Option<Cluster>,
}

/// Starts the PostgreSQL in `data_dir`, or finds the one that runs there.
///
/// # Errors
/// As [`EmbeddedError`] says. Nothing is left running then.
pub async fn start(data_dir: &Path, company: Company) -> Result<Embedded, EmbeddedError> {
    let programs = find_for(data_dir)?;
    tracing::debug!(version = programs.version, bin_dir = %programs.bin_dir.display(), "found PostgreSQL");
    let cluster = match Cluster::start(ClusterOptions::durable(data_dir.to_owned(), programs)).await {
        Ok(cluster) => cluster,
        Err(error @ StartError::InUse { .. }) => {
            return match company {
                Company::Alone => Err(EmbeddedError::InUse(error)),
                Company::Guest => guest(data_dir, error).await,
            };
        }
        Err(error) => return Err(EmbeddedError::Start(error)),
    };
    if let Err(error) = cluster.ensure_database(DATABASE).await {
        cluster.stop().await;
        return Err(error.into());
    }
    Ok(Embedded {
        url: cluster.url_as(SERVER_ROLE, DATABASE),
        owner_url: cluster.url(DATABASE),
        cluster: Some(cluster),
    })
}

async fn guest(data_dir: &Path, in_use: StartError) -> Result<Embedded, EmbeddedError> {
    let deadline = Instant::now() + GUEST_PATIENCE;
    let postmaster_pid = data_dir.join("postgres/data/postmaster.pid");
    loop {
        let recorded = tokio::fs::read_to_string(&postmaster_pid)
            .await
            .unwrap_or_default();
        if let Some(owner_url) = url_by_pid_file(&recorded, OWNER)
            && let Some(url) = url_by_pid_file(&recorded, SERVER_ROLE)
        {
            return Ok(Embedded {
                url,
                owner_url,
                cluster: None,
            });
        }
        if Instant::now() > deadline {
            return Err(EmbeddedError::NoHost(in_use));
        }
        tokio::time::sleep(GUEST_PAUSE).await;
    }
}

/// The URL of the database of a running server, by what the server wrote into `postmaster.pid`: its process id, data
/// folder, start time, port, socket folder, address, shared memory and, once it is ready, its state.
fn url_by_pid_file(text: &str, role: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    let (port, socket_dir) = (lines.nth(3)?, lines.next()?);
    let ready = lines.nth(2)? == "ready";
    (ready && !socket_dir.is_empty()).then(|| {
        format!(
            "host='{}' port={port} user={role} dbname={DATABASE}",
            socket_dir.replace('\\', "\\\\").replace('\'', "\\'")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_server_is_found_by_its_pid_file() {
        let text = "21\n/d/postgres/data\n1700000000\n5432\n/d/run\n\n  5432001  98309\nready   \n";
        assert_eq!(
            url_by_pid_file(text, OWNER).unwrap(),
            "host='/d/run' port=5432 user=insightdesk dbname=insightdesk"
        );
        assert_eq!(
            url_by_pid_file(&text.replace("ready   ", "starting"), OWNER),
            None
        );
        assert_eq!(url_by_pid_file("21\n/d/postgres/data\n", OWNER), None);
        assert_eq!(url_by_pid_file("", OWNER), None);
    }
}
