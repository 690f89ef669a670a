//! Where the PostgreSQL server programs are.
//!
//! The order: the folder named in `INSIGHTDESK_PG_BIN`; then what is installed, the newest first; then what
//! `cargo xtask` once fetched into the cache. Data that exists decides on the major version. A program counts when it
//! runs: each candidate is asked for its version as the account that would run it later, so a folder which that
//! account cannot enter is passed over.
//!
//! `INSIGHTDESK_PG_HIDE=1` makes the installed programs invisible. It is a test aid: it shows what a machine without
//! PostgreSQL would do.
//!
//! To look in one more place, add it to [`Search::from_environment`].

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::account::{Account, RunAs, command};
use crate::home::recorded_major;

/// The oldest major version that InsightDesk supports.
pub const MAJOR_MIN: u32 = 15;

/// Names the folder of the server programs.
const VAR_BIN: &str = "INSIGHTDESK_PG_BIN";
/// Hides the installed programs; a test aid.
const VAR_HIDE: &str = "INSIGHTDESK_PG_HIDE";
/// Names the folder of fetched programs.
const VAR_CACHE: &str = "INSIGHTDESK_PG_CACHE";

/// PostgreSQL server programs that run on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The folder that holds `initdb` and `postgres`, links resolved.
    pub bin_dir: PathBuf,
    /// The major version.
    pub major: u32,
    /// The whole version, as the program says it: `15.18`.
    pub version: String,
    /// How they were found.
    pub source: Source,
}

/// How programs were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Named in `INSIGHTDESK_PG_BIN`.
    Named,
    /// Installed on the machine.
    Installed,
    /// Fetched into the cache by `cargo xtask`.
    Cached,
}

/// Why no programs were found. The text is one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// There is no PostgreSQL that can be used.
    #[error(
        "no PostgreSQL {MAJOR_MIN} or newer was found{}: install it (apt install postgresql, dnf install \
         postgresql-server, brew install postgresql@17), or name the folder of its programs in {VAR_BIN}, or \
         set DATABASE_URL to a database of yours",
        too_old.as_ref().map(|found| format!(", only {found}")).unwrap_or_default()
    )]
    NotFound {
        /// The newest one that is too old, if there is any.
        too_old: Option<Found>,
    },
    /// The data was made by a major version that is not here.
    #[error(
        "the data was made by PostgreSQL {required}, but this machine has {}: install PostgreSQL {required}, or dump \
         the data with it and restore it into a new data folder",
        list(found)
    )]
    WrongMajor {
        /// The version that made the data.
        required: u32,
        /// What is here instead; not empty.
        found: Vec<Found>,
    },
    /// `INSIGHTDESK_PG_BIN` names a folder that holds no usable programs.
    #[error("{VAR_BIN} names {}, but {reason}", dir.display())]
    Named {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// This process is root and there is nobody else to run PostgreSQL as.
    #[error(
        "PostgreSQL does not run as root, and this machine has no account postgres, _postgres or nobody to run it"
    )]
    NoAccount,
}

/// A version and its place, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    version: String,
    bin_dir: PathBuf,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.version, self.bin_dir.display())
    }
}

impl From<&Programs> for Found {
    fn from(programs: &Programs) -> Self {
        Self {
            version: programs.version.clone(),
            bin_dir: programs.bin_dir.clone(),
        }
    }
}

fn list(found: &[Found]) -> String {
    found.iter().map(Found::to_string).collect::<Vec<_>>().join(", ")
}

/// Finds programs of any supported version, or of `required_major` when data exists that needs it.
///
/// # Errors
/// As [`FindError`] says.
pub fn find(required_major: Option<u32>, cache_dir: Option<&Path>) -> Result<Programs, FindError> {
    Search::from_environment(cache_dir).find(required_major)
}

/// Finds programs that fit the data in `data_dir`, looking in the usual cache as well.
///
/// # Errors
/// As [`FindError`] says.
pub fn find_for(data_dir: &Path) -> Result<Programs, FindError> {
    find(recorded_major(data_dir), cache_dir().as_deref())
}

/// The folder that `cargo xtask` puts fetched programs into: `INSIGHTDESK_PG_CACHE`, else `/var/cache/insightdesk`
/// for root, else `insightdesk` in the user's cache folder. Each version lies in `postgres-<version>`, with its programs
/// in `bin` there.
#[must_use]
pub fn cache_dir() -> Option<PathBuf> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    var(VAR_CACHE).or_else(|| {
        if rustix::process::geteuid().is_root() {
            return Some(PathBuf::from("/var/cache/insightdesk"));
        }
        let base = var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")))?;
        Some(base.join("insightdesk"))
    })
}

/// The places to look in.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// A folder that someone named; nothing else counts then.
    pub named: Option<PathBuf>,
    /// Folders where programs may be installed; best first among equal versions.
    pub installed: Vec<PathBuf>,
    /// The folder with one `postgres-<version>` for each fetched version.
    pub cache_dir: Option<PathBuf>,
}

impl Search {
    /// The places that this machine and the environment of this process give.
    #[must_use]
    pub fn from_environment(cache_dir: Option<&Path>) -> Self {
        let hidden = std::env::var_os(VAR_HIDE).is_some_and(|value| value == "1");
        Self {
            named: std::env::var_os(VAR_BIN)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            installed: if hidden {
                Vec::new()
            } else {
                installed(std::env::var_os("PATH"))
            },
            cache_dir: cache_dir.map(Path::to_owned),
        }
    }

    /// Finds programs of any supported version, or of `required_major`.
    ///
    /// # Errors
    /// As [`FindError`] says.
    pub fn find(&self, required_major: Option<u32>) -> Result<Programs, FindError> {
        let run_as = RunAs::unprivileged();
        if run_as == RunAs::Nobody {
            return Err(FindError::NoAccount);
        }
        let account = run_as.account();
        if let Some(dir) = &self.named {
            return find_named(dir, required_major, account);
        }

        let mut found = probe_all(&self.installed, Source::Installed, account);
        let cached = self.cache_dir.as_deref().map(cached).unwrap_or_default();
        found.extend(probe_all(&cached, Source::Cached, account));
        let (usable, too_old): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|programs| programs.major >= MAJOR_MIN);
        if usable.is_empty() {
            return Err(FindError::NotFound {
                too_old: too_old.first().map(Found::from),
            });
        }
        let Some(required) = required_major else {
            return usable
                .into_iter()
                .next()
                .ok_or(FindError::NotFound { too_old: None });
        };
        let found = usable.iter().map(Found::from).collect();
        usable
            .into_iter()
            .find(|programs| programs.major == required)
            .ok_or(FindError::WrongMajor { required, found })
    }
}

fn find_named(
    dir: &Path,
    required_major: Option<u32>,
    account: Option<&Account>,
) -> Result<Programs, FindError> {
    let named = |reason| FindError::Named {
        dir: dir.to_owned(),
        reason,
    };
    let programs = probe(dir, Source::Named, account).map_err(named)?;
    if programs.major < MAJOR_MIN {
        return Err(named(format!(
            "PostgreSQL {} is older than {MAJOR_MIN}, the oldest supported",
            programs.version
        )));
    }
    match required_major {
        Some(required) if required != programs.major => Err(FindError::WrongMajor {
            required,
            found: vec![Found::from(&programs)],
        }),
        Some(_) | None => Ok(programs),
    }
}

fn installed(path: Option<OsString>) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = path.iter().flat_map(std::env::split_paths).collect();
    if let Ok(output) = command("pg_config", None).arg("--bindir").output() {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    dirs.extend(below("/usr/lib/postgresql", "", "bin"));
    dirs.extend(below("/usr", "pgsql-", "bin"));
    dirs.push(PathBuf::from("/usr/local/pgsql/bin"));
    for prefix in [
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/home/linuxbrew/.linuxbrew/opt",
    ] {
        dirs.extend(below(prefix, "postgresql", "bin"));
    }
    dirs.extend(below("/Applications/Postgres.app/Contents/Versions", "", "bin"));
    dirs
}

fn cached(cache_dir: &Path) -> Vec<PathBuf> {
    below(cache_dir, "postgres-", "bin")
}

/// `parent/<prefix…>/child` for every such folder.
fn below(parent: impl AsRef<Path>, prefix: &str, child: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut dirs: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(child))
        .collect();
    dirs.sort();
    dirs
}

/// What runs in `dirs`, the newest first, each place once.
fn probe_all(dirs: &[PathBuf], source: Source, account: Option<&Account>) -> Vec<Programs> {
    let mut found: Vec<Programs> = Vec::new();
    for dir in dirs
        .iter()
        .filter(|dir| dir.is_absolute() && dir.join("initdb").exists())
    {
        match probe(dir, source, account) {
            Ok(programs) if found.iter().all(|known| known.bin_dir != programs.bin_dir) => {
                found.push(programs)
            }
            Ok(_) => {}
            Err(reason) => {
                tracing::debug!(dir = %dir.display(), reason, "PostgreSQL programs are passed over")
            }
        }
    }
    found.sort_by_key(|programs| std::cmp::Reverse((programs.major, minor(&programs.version))));
    found
}

/// Asks the programs in `dir` for their version, as the account that would run them.
fn probe(dir: &Path, source: Source, account: Option<&Account>) -> Result<Programs, String> {
    let initdb =
        fs::canonicalize(dir.join("initdb")).map_err(|error| format!("its initdb is not there: {error}"))?;
    let bin_dir = initdb.parent().unwrap_or(dir).to_owned();
    let who = account
        .map(|account| format!(" as {}", account.name))
        .unwrap_or_default();
    let output = command(bin_dir.join("postgres"), account)
        .arg("--version")
        .output()
        .map_err(|error| format!("its postgres does not run{who}: {error}"))?;
    let text = String::from_utf8_lossy(if output.status.success() {
        &output.stdout
    } else {
        &output.stderr
    });
    parse_version(&text)
        .map(|(major, version)| Programs {
            bin_dir,
            major,
            version,
            source,
        })
        .ok_or_else(|| {
            format!(
                "its postgres does not run{who}: {}",
                text.lines().next().unwrap_or("no output")
            )
        })
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-1)`, `postgres (PostgreSQL) 19devel` and the like.
fn parse_version(text: &str) -> Option<(u32, String)> {
    let version = text.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((digits.parse().ok()?, version.to_owned()))
}

fn minor(version: &str) -> u32 {
    version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_vendors_write_them() {
        let read = |text| parse_version(text).unwrap();
        assert_eq!(
            read("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            (15, "15.18".into())
        );
        assert_eq!(read("postgres (PostgreSQL) 18beta2"), (18, "18beta2".into()));
        assert_eq!(parse_version("postgres: command not found"), None);
        assert!(minor("16.10") > minor("16.9"));
    }

    #[test]
    fn the_messages_are_one_line_that_says_what_to_do() {
        let old = Found {
            version: "14.2".into(),
            bin_dir: "/usr/lib/postgresql/14/bin".into(),
        };
        let messages = [
            FindError::NotFound { too_old: None }.to_string(),
            FindError::NotFound {
                too_old: Some(old.clone()),
            }
            .to_string(),
            FindError::WrongMajor {
                required: 15,
                found: vec![old],
            }
            .to_string(),
        ];
        for message in &messages {
            assert!(!message.contains('\n') && !message.contains("  "), "{message}");
            assert!(message.contains("install"), "{message}");
        }
        assert!(
            messages[1].contains("only 14.2 in /usr/lib/postgresql/14/bin"),
            "{}",
            messages[1]
        );
    }
}
