//! The data folder: its layout, its owner, its lock, and what a killed process may have left in it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, test_kill_process};

use crate::account::{Account, RunAs, can_enter, command};
use crate::cluster::StartError;
use crate::settings::PORT;

/// Below this a path fits into a socket address everywhere.
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// The log is put aside and begun anew beyond this size.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;

const DEFAULT_NAME: &str = "insightdesk-data";
const DEFAULT_FOR_ROOT: &str = "/var/lib/insightdesk";

/// Where the help desk keeps its data when nobody says: `insightdesk-data` in the current folder, or
/// `/var/lib/insightdesk` for root when the account that runs PostgreSQL cannot enter the current folder.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    match RunAs::unprivileged() {
        RunAs::Account(account) if !can_enter(Some(&account), &here) => PathBuf::from(DEFAULT_FOR_ROOT),
        RunAs::Account(_) | RunAs::Myself | RunAs::Nobody => here.join(DEFAULT_NAME),
    }
}

/// The major version of PostgreSQL that made the data in `data_dir`, if there is any.
#[must_use]
pub fn recorded_major(data_dir: &Path) -> Option<u32> {
    fs::read_to_string(data_path(data_dir).join("PG_VERSION"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn data_path(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres/data")
}

/// A data folder that this process holds the lock of.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    /// The cluster itself.
    pub(crate) data: PathBuf,
    /// A cluster in the making.
    pub(crate) data_new: PathBuf,
    /// The folder of the socket.
    pub(crate) run: PathBuf,
    pub(crate) log: PathBuf,
    /// Who runs the programs, when not this process' own user.
    pub(crate) account: Option<Account>,
    _lock: File,
}

impl Home {
    /// Makes the folders as far as they are absent, and takes the lock.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StartError> {
        let io = |doing: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Io { doing, path, source }
        };
        let run_as = RunAs::owner_of(&data_path(data_dir));
        if run_as == RunAs::Nobody {
            return Err(StartError::NoAccount);
        }
        let account = run_as.account().cloned();

        let mode = if account.is_some() { 0o711 } else { 0o700 };
        create_with_parents(data_dir, mode).map_err(io("create", data_dir))?;
        let dir = fs::canonicalize(data_dir).map_err(io("find", data_dir))?;
        if dir.to_str().is_none() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8");
            return Err(io("use", &dir)(source));
        }
        let lock = lock(&dir)?;

        let postgres = dir.join("postgres");
        private_dir(&postgres, account.as_ref()).map_err(io("prepare", &postgres))?;
        if !can_enter(account.as_ref(), &postgres) {
            let user = account.map_or_else(|| "this user".to_owned(), |account| account.name);
            return Err(StartError::Unreachable { dir, user });
        }
        let run = socket_dir(&dir, account.as_ref());
        private_dir(&run, account.as_ref()).map_err(io("prepare", &run))?;
        Ok(Self {
            data: data_path(&dir),
            data_new: postgres.join("data.new"),
            log: dir.join("postgres.log"),
            run,
            dir,
            account,
            _lock: lock,
        })
    }

    /// Opens the log for a new server process.
    pub(crate) fn open_log(&self) -> io::Result<File> {
        self.bound_log()?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.log)
    }

    /// Puts the log aside when it is long. The server appends to the file, so emptying it under the server is safe.
    pub(crate) fn bound_log(&self) -> io::Result<()> {
        if fs::metadata(&self.log).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX) {
            fs::copy(&self.log, self.dir.join("postgres.log.1"))?;
            OpenOptions::new().write(true).open(&self.log)?.set_len(0)?;
        }
        Ok(())
    }

    /// The last lines of the log, on one line.
    pub(crate) fn log_tail(&self) -> String {
        const TAIL_BYTES: u64 = 2_000;
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.log)?;
            let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(3).map(str::trim).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    /// The postmaster of this cluster that runs now, whoever started it.
    pub(crate) fn running_postmaster(&self) -> Option<Pid> {
        self.recorded_postmaster().filter(|pid| self.is_postmaster(*pid))
    }

    /// The process that `postmaster.pid` names. It may be dead, or another program by now.
    fn recorded_postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
    }

    /// Whether `pid` is a PostgreSQL server of this very cluster. Its command line says so, which everyone may read:
    /// the current folder of another user's process is closed even to root in many containers. A zombie has none.
    pub(crate) fn is_postmaster(&self, pid: Pid) -> bool {
        let raw = pid.as_raw_nonzero();
        if Path::new("/proc/self/cmdline").exists() {
            return fs::read(format!("/proc/{raw}/cmdline")).is_ok_and(|line| {
                line.split(|byte| *byte == 0)
                    .any(|word| word == self.data.as_os_str().as_encoded_bytes())
            });
        }
        command("ps", None)
            .args(["-ww", "-o", "command=", "-p", &raw.to_string()])
            .output()
            .is_ok_and(|output| {
                String::from_utf8_lossy(&output.stdout).contains(&*self.data.to_string_lossy())
            })
    }

    /// PostgreSQL processes whose current folder is the cluster: after a postmaster's death these are its orphans. Empty on
    /// systems without `/proc`; there `postgres` itself refuses to start until they are gone.
    pub(crate) fn orphans(&self) -> Vec<Pid> {
        const SCRIPT: &str = r#"
            for p in /proc/[0-9]*; do
                [ "$p/cwd" -ef "$1" ] && read -r name < "$p/comm" && [ "$name" = postgres ] && echo "${p#/proc/}"
            done"#;
        command("/bin/sh", self.account.as_ref())
            .args(["-c", SCRIPT, "sh"])
            .arg(&self.data)
            .stderr(Stdio::null())
            .output()
            .map(|output| {
                String::from_utf8_lossy(&output.stdout)
                    .lines()
                    .filter_map(|line| Pid::from_raw(line.parse().ok()?))
                    .collect()
            })
            .unwrap_or_default()
    }

    /// Removes what a dead server left and a new one would stumble over. Call it only when no postmaster and no orphan
    /// of this cluster runs.
    ///
    /// A `postmaster.pid` of a dead process is left alone: `postgres` examines and replaces it. One whose number now
    /// belongs to another program would stop it, and so would the lock of the socket.
    pub(crate) fn remove_stale_files(&self) -> io::Result<()> {
        if self
            .recorded_postmaster()
            .is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
        {
            tracing::info!("removing a postmaster.pid whose process number belongs to another program now");
            remove_if_there(&self.data.join("postmaster.pid"))?;
        }
        let socket = self.run.join(format!(".s.PGSQL.{PORT}"));
        remove_if_there(&socket)?;
        remove_if_there(&socket.with_file_name(format!(".s.PGSQL.{PORT}.lock")))
    }

    /// The folder of the socket when it lies outside the data folder.
    pub(crate) fn outside_run(&self) -> Option<&Path> {
        (!self.run.starts_with(&self.dir)).then_some(&*self.run)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn lock(dir: &Path) -> Result<File, StartError> {
    let path = dir.join("insightdesk.lock");
    let io = |doing| {
        let path = path.clone();
        move |source| StartError::Io { doing, path, source }
    };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io("open"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(StartError::InUse {
                data_dir: dir.to_owned(),
                pid: text.trim().parse().ok(),
            });
        }
        Err(error) => return Err(io("lock")(error.into())),
    }
    file.set_len(0)
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
        .map_err(io("write"))?;
    Ok(file)
}

/// Makes `dir` and what is absent above it, with these permissions whatever the umask says. What exists stays as it is.
fn create_with_parents(dir: &Path, mode: u32) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_with_parents(parent, mode)?;
    }
    DirBuilder::new().mode(mode).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(mode))
}

/// Makes `dir` a folder that only `account` (or this process' user) may enter. One that belongs to somebody else or is
/// a link is refused.
fn private_dir(dir: &Path, account: Option<&Account>) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let meta = fs::symlink_metadata(dir)?;
    let me = rustix::process::geteuid().as_raw();
    if !meta.is_dir() || (meta.uid() != me && account.is_none_or(|account| account.uid != meta.uid())) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it belongs to somebody else",
        ));
    }
    if let Some(account) = account {
        chown(dir, Some(account.uid), Some(account.gid))?;
    }
    fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// `run` in the data folder, or a folder with a short name that is always the same for this data folder.
fn socket_dir(dir: &Path, account: Option<&Account>) -> PathBuf {
    let run = dir.join("run");
    let socket_bytes = run.as_os_str().len() + format!("/.s.PGSQL.{PORT}").len();
    if socket_bytes <= SOCKET_PATH_BYTES_MAX {
        return run;
    }
    let uid = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    PathBuf::from(format!(
        "/tmp/insightdesk-{uid}-{:016x}",
        fnv1a(dir.as_os_str().as_encoded_bytes())
    ))
}

/// The FNV-1a hash: the same in every release, unlike the standard library's.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_and_stable_socket_folder() {
        let short = Path::new("/srv/desk");
        assert_eq!(socket_dir(short, None), short.join("run"));
        let long = PathBuf::from(format!("/srv/{}", "x".repeat(100)));
        let dir = socket_dir(&long, None);
        assert!(
            dir.starts_with("/tmp") && dir.as_os_str().len() < 60,
            "{}",
            dir.display()
        );
        assert_eq!(dir, socket_dir(&long, None));
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
