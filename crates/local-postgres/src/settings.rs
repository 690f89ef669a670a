//! The server settings, given on the command line of `postgres`, so that a restart and a new release always use the
//! present ones. Anything not named here may be set in the cluster's own `postgresql.conf`.

use std::path::Path;

use crate::cluster::Durability;

/// The port that the socket's name carries; nothing listens on it.
pub(crate) const PORT: u16 = 5432;

/// The owner of the cluster, a superuser.
pub const OWNER: &str = "insightdesk";

/// The arguments of `postgres`.
pub(crate) fn arguments(durability: Durability, data: &Path, socket_dir: &Path) -> Vec<String> {
    let common = [
        ("listen_addresses", String::new()),
        ("unix_socket_directories", quoted(socket_dir)),
        ("unix_socket_permissions", "0700".to_owned()),
        ("port", PORT.to_string()),
        ("cluster_name", "insightdesk".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        ("log_line_prefix", "%m [%p] ".to_owned()),
        ("logging_collector", "off".to_owned()),
        ("log_checkpoints", "off".to_owned()),
        ("jit", "off".to_owned()),
        ("shared_buffers", "128MB".to_owned()),
    ];
    let own: &[(&str, &str)] = match durability {
        Durability::Durable => &[
            ("max_connections", "100"),
            ("fsync", "on"),
            ("full_page_writes", "on"),
        ],
        Durability::Throwaway => &[
            ("max_connections", "200"),
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
            ("autovacuum", "off"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
        ],
    };
    let own = own.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let settings = common
        .into_iter()
        .chain(own)
        .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
    ["-D".to_owned(), data.display().to_string()]
        .into_iter()
        .chain(settings)
        .collect()
}

/// The arguments of `initdb`, but for the locale.
pub(crate) fn initdb_arguments(durability: Durability, data: &Path) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
    arguments.extend(["-U", OWNER, "-A", "trust", "-E", "UTF8", "--no-instructions"].map(str::to_owned));
    arguments.push(
        match durability {
            Durability::Durable => "--data-checksums",
            Durability::Throwaway => "--no-sync",
        }
        .to_owned(),
    );
    arguments
}

/// The locales to try, best first: UTF-8 rules that do not change with the system's C library.
pub(crate) fn locale_arguments(major: u32) -> Vec<Vec<&'static str>> {
    const BUILTIN: [&str; 2] = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
    let mut choices = Vec::new();
    if major >= 17 {
        // The system's own part still classifies characters for full-text search, so it should know UTF-8 as well.
        choices.push([&BUILTIN[..], &["--locale=C.UTF-8"]].concat());
        choices.push([&BUILTIN[..], &["--locale=C"]].concat());
    }
    choices.push(vec!["--locale=C.UTF-8"]);
    choices.push(vec!["--locale=en_US.UTF-8"]);
    choices
}

/// A folder as one element of a list setting.
fn quoted(dir: &Path) -> String {
    format!("\"{}\"", dir.display().to_string().replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_comma_stays_one_folder() {
        assert_eq!(quoted(Path::new("/a,b \"c\"")), "\"/a,b \"\"c\"\"\"");
    }

    #[test]
    fn durable_data_is_never_run_without_sync() {
        let arguments = arguments(Durability::Durable, Path::new("/d"), Path::new("/r"));
        assert!(arguments.contains(&"fsync=on".to_owned()));
        assert!(!initdb_arguments(Durability::Durable, Path::new("/d")).contains(&"--no-sync".to_owned()));
    }
}
