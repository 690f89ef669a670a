//! Finds, makes, starts, watches and stops a PostgreSQL cluster of one's own.
//!
//! A help desk that was given no `DATABASE_URL` still needs a real PostgreSQL. This crate looks after one: it finds
//! the server programs on the machine ([`find`]), creates a cluster once in a data folder, runs `postgres` as a child
//! process on a unix socket only, restarts it when it dies, and stops it at the end ([`Cluster`]). Tests get a fast
//! cluster that removes itself, even when the process that asked for it is killed ([`Cluster::scratch`]).
//!
//! ```no_run
//! use insightdesk_local_postgres::{Cluster, ClusterOptions, default_data_dir, find_for};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let data_dir = default_data_dir();
//! let programs = find_for(&data_dir)?;
//! let cluster = Cluster::start(ClusterOptions::durable(data_dir, programs)).await?;
//! cluster.ensure_database("insightdesk").await?;
//! println!("{}", cluster.url("insightdesk"));
//! cluster.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - Nothing listens on the network: there is a socket in a folder that only the cluster's account may enter, which
//!   is why the cluster trusts whoever reaches it.
//! - One process at a time looks after a data folder. A second one is refused ([`StartError::InUse`]).
//! - `postgres` refuses to run as root; a root process runs it as the owner of the existing data, else as
//!   `postgres`, `_postgres` or `nobody`.
//! - A half-made cluster is never taken for a whole one: `initdb` works beside it and the folder is renamed.
//! - A PostgreSQL that an earlier, killed process left running is taken over, not started a second time.
//! - Data is never upgraded in place: data of another major version is refused with both versions named.
//!
//! # What lies in a data folder
//! | name | what |
//! |---|---|
//! | `insightdesk.lock` | locked by the process that looks after the cluster; holds its process id |
//! | `postgres/data` | the cluster |
//! | `run` | the socket; a folder under `/tmp` instead when the path would be too long for a socket |
//! | `postgres.log`, `postgres.log.1` | the server's log, bounded in size |
//!
//! # How to extend it
//! A new place to look for programs goes into `programs.rs`; a server setting into `settings.rs`; how a crash or a
//! left-over process is treated into `supervisor.rs`. It is a crate of its own without any of InsightDesk's others,
//! so that the server, the tests and the development tasks can all use it.
//!
//! In a container, run the process below an init (`docker run --init`), so that orphans are reaped.

mod account;
mod cluster;
mod home;
mod programs;
mod settings;
mod supervisor;
mod tether;

pub use cluster::{Cluster, ClusterOptions, DatabaseError, Durability, Lifetime, StartError};
pub use home::{default_data_dir, recorded_major};
pub use programs::{FindError, MAJOR_MIN, Programs, Search, Source, cache_dir, find, find_for};
pub use settings::OWNER;
