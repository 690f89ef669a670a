//! Who runs the server programs: this process' own user, or an unprivileged account when this process is root.
//!
//! Every server program is started through [`command`], which also gives it an environment of its own: variables such
//! as `PGPORT` or a secret of the parent never reach it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Accounts to drop to, best first.
const UNPRIVILEGED: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The only variables a server program inherits.
const INHERITED: [&str; 4] = ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What to run server programs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunAs {
    /// This process' own user.
    Myself,
    /// This process is root and drops to this account.
    Account(Account),
    /// This process is root and the machine has no account to drop to.
    Nobody,
}

impl RunAs {
    /// An unprivileged account when this process is root.
    pub(crate) fn unprivileged() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Myself;
        }
        UNPRIVILEGED
            .iter()
            .find_map(|name| lookup(name))
            .map_or(Self::Nobody, Self::Account)
    }

    /// The owner of what already lies at `path` when this process is root, else as [`RunAs::unprivileged`].
    pub(crate) fn owner_of(path: &Path) -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Myself;
        }
        match fs::metadata(path) {
            Ok(meta) if meta.uid() != 0 => Self::Account(Account {
                name: name_of(meta.uid()).unwrap_or_else(|| meta.uid().to_string()),
                uid: meta.uid(),
                gid: meta.gid(),
            }),
            Ok(_) | Err(_) => Self::unprivileged(),
        }
    }

    pub(crate) fn account(&self) -> Option<&Account> {
        match self {
            Self::Account(account) => Some(account),
            Self::Myself | Self::Nobody => None,
        }
    }
}

/// A command that runs as `account` (or as this process' user), with a small environment and no standard input.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null());
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Whether `account` can enter the folder `dir`. Asked of the system itself, so that it also holds for access lists.
pub(crate) fn can_enter(account: Option<&Account>, dir: &Path) -> bool {
    command("/bin/sh", account)
        .args(["-c", "cd -- \"$1\"", "sh"])
        .arg(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `/etc/passwd` first, then the `id` program for systems that keep their accounts elsewhere.
fn lookup(name: &str) -> Option<Account> {
    if let Some(fields) = passwd(|fields| fields.first().is_some_and(|field| field == name)) {
        let uid = fields.get(2)?.parse().ok()?;
        let gid = fields.get(3)?.parse().ok()?;
        return Some(Account {
            name: name.to_owned(),
            uid,
            gid,
        });
    }
    let ask = |flag: &str| -> Option<u32> {
        let output = command("id", None).args([flag, name]).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().parse().ok())?
    };
    Some(Account {
        name: name.to_owned(),
        uid: ask("-u")?,
        gid: ask("-g")?,
    })
}

fn name_of(uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd(|fields| fields.get(2) == Some(&uid))?.into_iter().next()
}

fn passwd(wanted: impl Fn(&[String]) -> bool) -> Option<Vec<String>> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines()
        .map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>())
        .find(|fields| wanted(fields))
}
