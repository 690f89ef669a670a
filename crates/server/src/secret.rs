//! The secret of the installation: found, made at the first start, and told apart from another's.
//!
//! All nodes must share it: a token that one signs is verified by another. The fingerprint of the first node's secret
//! is a fact of the desk, and a node with another secret does not start. To change the secret, each node is given the new
//! one, and the one before among its previous ones: the first that starts so records the new fingerprint.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use credentials::{KeyRing, MasterSecret, MasterSecretError};
use kernel::PortError;

use crate::config::Config;
use crate::facts::DeskFacts;

/// The secret's file in the data folder.
pub const SECRET_FILE: &str = "secret.key";
/// The fact by which nodes find out that they do not share a secret.
const FACT: &str = "secret_key_fingerprint";

/// Why there is no secret to work with.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The setting, or the file, holds something else.
    #[error("{place} does not hold a secret key of 32 bytes in base64: put the right one back")]
    Unusable {
        /// Where it was looked for.
        place: String,
        /// What is wrong with it.
        source: MasterSecretError,
    },
    /// The file cannot be read or made.
    #[error("the secret key's file {} cannot be {doing}", file.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is none, though the desk has one.
    #[error(
        "this desk was set up with a secret key (fingerprint {recorded}) that is missing here: set secret-key to it, or \
         put its file back at {}",
        file.display()
    )]
    Missing {
        /// The fingerprint of the desk's.
        recorded: String,
        /// Where its file would be.
        file: PathBuf,
    },
    /// It is another than the desk's.
    #[error(
        "this node's secret key (from {place}, fingerprint {own}) is not the one that this desk was set up with \
         (fingerprint {recorded}): give every node the same secret-key"
    )]
    Foreign {
        /// Where this node's came from.
        place: String,
        /// The fingerprint of this node's.
        own: String,
        /// The fingerprint of the desk's.
        recorded: String,
    },
    /// The desk's fingerprint cannot be read.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The secret of this node, which is the desk's, with those before it. The first node states it, and makes one if it has
/// none. A node with another secret takes over if it knows the desk's among its previous ones.
///
/// # Errors
/// When there is none though the desk has one, or it is another than the desk's.
pub async fn agree(config: &Config, facts: &dyn DeskFacts) -> Result<KeyRing, SecretError> {
    let Located { secret, place } = match find(config)? {
        Some(located) => located,
        None => match facts.read(FACT).await? {
            None => make(&config.data_dir)?,
            Some(recorded) => {
                let file = config.data_dir.join(SECRET_FILE);
                return Err(SecretError::Missing { recorded, file });
            }
        },
    };
    let own = secret.fingerprint();
    let previous = previous(config)?;
    let mut recorded = facts.state(FACT, &own).await?;
    let knows = |recorded: &str| previous.iter().any(|secret| secret.fingerprint() == recorded);
    if recorded != own && knows(&recorded) {
        let replaced = facts.replace(FACT, &recorded, &own).await?;
        recorded = replaced.unwrap_or(recorded);
        if recorded == own {
            tracing::warn!(
                fingerprint = own,
                "this node has taken the desk over to another secret key; give it to all nodes, then run \
                 `insightdesk secret rotate`"
            );
        }
    }
    if recorded == own {
        Ok(KeyRing::new(secret, previous))
    } else {
        Err(SecretError::Foreign { place, own, recorded })
    }
}

/// The secrets before the present one, which still verify and open.
fn previous(config: &Config) -> Result<Vec<MasterSecret>, SecretError> {
    let texts = config
        .previous_secret_keys
        .as_ref()
        .map_or("", |keys| keys.expose());
    let unusable = |source| SecretError::Unusable {
        place: "the setting previous-secret-keys".to_owned(),
        source,
    };
    parse_list(texts).map_err(unusable)
}

/// Reads secrets with commas between.
///
/// # Errors
/// When one of them is none.
pub fn parse_list(text: &str) -> Result<Vec<MasterSecret>, MasterSecretError> {
    let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    texts.map(parse).collect()
}

/// Reads a secret as people have it: base64 of either alphabet, padded or not.
///
/// # Errors
/// When it is not that of 32 bytes.
pub fn parse(text: &str) -> Result<MasterSecret, MasterSecretError> {
    let plain = text
        .trim()
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    MasterSecret::parse(&plain)
}

/// A secret, and where it came from.
#[derive(Debug, Clone)]
pub struct Located {
    /// The secret.
    pub secret: MasterSecret,
    /// For messages.
    pub place: String,
}

/// The secret that is set, or that lies in the data folder, if any does.
///
/// # Errors
/// When there is one that cannot be used.
pub fn find(config: &Config) -> Result<Option<Located>, SecretError> {
    if let Some(text) = &config.secret_key {
        let place = "the setting secret-key".to_owned();
        return match parse(text.expose()) {
            Ok(secret) => Ok(Some(Located { secret, place })),
            Err(source) => Err(SecretError::Unusable { place, source }),
        };
    }
    read_file(&config.data_dir.join(SECRET_FILE))
}

fn read_file(file: &Path) -> Result<Option<Located>, SecretError> {
    let failed = |source| SecretError::File {
        doing: "read",
        file: file.to_owned(),
        source,
    };
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = fs::metadata(file).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(file = %file.display(), "others on this machine can read the secret key: chmod 600 it");
    }
    let place = file.display().to_string();
    match parse(&text) {
        Ok(secret) => Ok(Some(Located { secret, place })),
        Err(source) => Err(SecretError::Unusable { place, source }),
    }
}

/// Makes a secret and its file. When another process is faster, its secret is taken.
///
/// # Errors
/// When the system gives no randomness, or does not let the file be written.
pub fn make(data_dir: &Path) -> Result<Located, SecretError> {
    let file = data_dir.join(SECRET_FILE);
    let failed = |source| SecretError::File {
        doing: "made",
        file: file.clone(),
        source,
    };
    let secret = MasterSecret::generate().map_err(|source| SecretError::Unusable {
        place: "the system's source of randomness".to_owned(),
        source,
    })?;
    if !data_dir.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .map_err(failed)?;
    }
    // Written beside and then linked: a file that is there is whole, and one that is there is never replaced.
    let beside = data_dir.join(format!("{SECRET_FILE}.{}", std::process::id()));
    let written = write_private(&beside, &secret.to_text()).and_then(|()| fs::hard_link(&beside, &file));
    let _ = fs::remove_file(&beside);
    match written {
        Ok(()) => Ok(Located {
            secret,
            place: file.display().to_string(),
        }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read_file(&file)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
        }
        Err(error) => Err(failed(error)),
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::config::Secret;

    #[derive(Default)]
    struct MemoryFacts(Mutex<HashMap<String, String>>);

    #[async_trait]
    impl DeskFacts for MemoryFacts {
        async fn read(&self, name: &str) -> Result<Option<String>, PortError> {
            Ok(self.0.lock().unwrap().get(name).cloned())
        }

        async fn state(&self, name: &str, value: &str) -> Result<String, PortError> {
            let mut facts = self.0.lock().unwrap();
            Ok(facts
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned())
                .clone())
        }

        async fn replace(&self, name: &str, from: &str, to: &str) -> Result<Option<String>, PortError> {
            let mut facts = self.0.lock().unwrap();
            if let Some(value) = facts.get_mut(name).filter(|value| *value == from) {
                *value = to.to_owned();
            }
            Ok(facts.get(name).cloned())
        }
    }

    fn node(secret: Option<&MasterSecret>) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: dir.path().to_owned(),
            secret_key: secret.map(|secret| Secret::new(secret.to_text())),
            ..Config::default()
        };
        (dir, config)
    }

    #[tokio::test]
    async fn the_first_node_states_its_secret_and_others_must_have_the_same() {
        let facts = MemoryFacts::default();
        let (dir, first) = node(None);
        let stated = agree(&first, &facts).await.unwrap();
        assert!(dir.path().join(SECRET_FILE).exists());
        let again = agree(&first, &facts).await.unwrap();
        let fingerprint = |ring: &KeyRing| ring.present().fingerprint();
        assert_eq!(fingerprint(&stated), fingerprint(&again));
        let (_dir, same) = node(Some(stated.present()));
        agree(&same, &facts).await.unwrap();

        let (_dir, other) = node(Some(&MasterSecret::generate().unwrap()));
        let message = agree(&other, &facts).await.unwrap_err().to_string();
        assert!(
            message.contains("give every node the same secret-key"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn a_node_that_knows_the_secret_before_takes_over_and_others_must_follow() {
        let facts = MemoryFacts::default();
        let [before, after, foreign] = [(); 3].map(|()| MasterSecret::generate().unwrap());
        let with_previous = |secret: &MasterSecret, previous: &[&MasterSecret]| {
            let (dir, config) = node(Some(secret));
            let texts: Vec<String> = previous.iter().map(|secret| secret.to_text()).collect();
            let previous_secret_keys = Some(Secret::new(texts.join(", ")));
            (
                dir,
                Config {
                    previous_secret_keys,
                    ..config
                },
            )
        };
        let (_dir, first) = node(Some(&before));
        agree(&first, &facts).await.unwrap();
        let (_dir, unknowing) = with_previous(&after, &[&foreign]);
        assert!(matches!(
            agree(&unknowing, &facts).await,
            Err(SecretError::Foreign { .. })
        ));
        let (_dir, next) = with_previous(&after, &[&foreign, &before]);
        for _ in 0..2 {
            let ring = agree(&next, &facts).await.unwrap();
            assert_eq!(ring.present().fingerprint(), after.fingerprint());
            assert_eq!(ring.previous().len(), 2);
        }
        // A node that was not told does not start any more.
        assert!(matches!(
            agree(&first, &facts).await,
            Err(SecretError::Foreign { .. })
        ));
    }

    #[tokio::test]
    async fn a_node_that_lost_its_secret_does_not_make_another() {
        let facts = MemoryFacts::default();
        let (_dir, first) = node(None);
        agree(&first, &facts).await.unwrap();
        let (dir, bare) = node(None);
        let message = agree(&bare, &facts).await.unwrap_err().to_string();
        assert!(message.contains("is missing here"), "{message}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_secret_is_read_in_either_alphabet_padded_or_not() {
        // openssl rand -base64 32 writes this form.
        let standard = "+/9hY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MDEyMzQ=";
        let url_safe = "-_9hY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MDEyMzQ";
        let (one, other) = (parse(standard).unwrap(), parse(url_safe).unwrap());
        assert_eq!(one.fingerprint(), other.fingerprint());
        assert!(parse("c2hvcnQ=").is_err());
    }

    #[test]
    fn the_first_start_makes_a_private_file_and_later_ones_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: dir.path().join("new"),
            ..Config::default()
        };
        assert!(find(&config).unwrap().is_none());
        let made = make(&config.data_dir).unwrap();
        let found = find(&config).unwrap().unwrap();
        assert_eq!(made.secret.fingerprint(), found.secret.fingerprint());
        let again = make(&config.data_dir).unwrap();
        assert_eq!(made.secret.fingerprint(), again.secret.fingerprint());
        let file = config.data_dir.join(SECRET_FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&config.data_dir).unwrap().count(), 1);

        fs::write(&file, "half a sec").unwrap();
        let message = find(&config).unwrap_err().to_string();
        assert!(
            message.contains("secret.key does not hold a secret key"),
            "{message}"
        );
    }
}
