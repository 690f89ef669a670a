//! Which PostgreSQL, and on what terms.

use std::fmt;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls::{self, Trust};

/// Which PostgreSQL to use, and the bounds on using it.
#[derive(Clone)]
pub struct Settings {
    /// A URL (`postgresql://user:password@host/name?sslmode=verify-full`) or libpq's `key=value` words. Several hosts
    /// with `target_session_attrs=read-write` follow a failover. Never logged: it may hold a password.
    pub url: String,
    /// The most connections that requests and background work share. One more is kept for health checks, and one
    /// listens for wake-ups.
    pub connections_max: usize,
    /// PostgreSQL ends a statement that runs longer.
    pub statement_timeout: Duration,
    /// PostgreSQL gives up waiting for a lock after this time.
    pub lock_timeout: Duration,
    /// PostgreSQL ends a transaction in which nothing was asked for this long.
    pub idle_in_transaction_timeout: Duration,
    /// How long [`Database::connect`](crate::Database::connect) keeps trying.
    pub start_patience: Duration,
}

impl Settings {
    /// The usual terms for the database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections_max: 16,
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            idle_in_transaction_timeout: Duration::from_secs(10),
            start_patience: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url: _,
            connections_max,
            statement_timeout,
            lock_timeout,
            idle_in_transaction_timeout,
            start_patience,
        } = self;
        f.debug_struct("Settings")
            .field("connections_max", connections_max)
            .field("statement_timeout", statement_timeout)
            .field("lock_timeout", lock_timeout)
            .field("idle_in_transaction_timeout", idle_in_transaction_timeout)
            .field("start_patience", start_patience)
            .finish_non_exhaustive()
    }
}

/// Settings that cannot be followed. Says what is wrong without repeating the URL.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL is none.
    #[error("the database URL cannot be read")]
    Url(#[source] tokio_postgres::Error),
    /// `sslmode` has a value that there is not.
    #[error("sslmode={0} is none of disable, allow, prefer, require, verify-ca, verify-full")]
    SslMode(String),
    /// Encryption cannot be set up.
    #[error("TLS to the database cannot be set up: {0}")]
    Tls(String),
    /// There must be a connection to work with.
    #[error("connections_max must be at least 1")]
    NoConnections,
}

/// Settings made ready to connect by.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
}

impl Target {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        if settings.connections_max == 0 {
            return Err(SettingsError::NoConnections);
        }
        let (url, words) = take_tls_words(&settings.url);
        let mut config: Config = url.parse().map_err(SettingsError::Url)?;
        let (mode, trust) = words.meaning()?;
        // A socket of this machine is not encrypted; asking whether it might be would cost a round trip.
        let local = config.get_hosts().iter().all(|host| match host {
            Host::Tcp(_) => false,
            #[cfg(unix)]
            Host::Unix(_) => true,
        });
        config.ssl_mode(if local && mode == SslMode::Prefer {
            SslMode::Disable
        } else {
            mode
        });

        let given = config.get_options().unwrap_or_default();
        // Every statement here walks an index and is prepared once. Left to itself, the planner makes the plan of a
        // list anew each time, for its LIMIT is a parameter, and keeps a scan of the whole outbox that it chose while
        // that was empty: a claim then took seconds.
        let options = format!(
            "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} -c timezone=UTC \
             -c plan_cache_mode=force_generic_plan -c enable_seqscan=off {given}",
            settings.statement_timeout.as_millis(),
            settings.lock_timeout.as_millis(),
            settings.idle_in_transaction_timeout.as_millis(),
        );
        config.options(options.trim_end());
        if config.get_application_name().is_none() {
            config.application_name("insightdesk");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(2));
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(10));
        }
        config.keepalives_idle(config.get_keepalives_idle().min(Duration::from_secs(15)));
        Ok(Self {
            config,
            tls: tls::connector(&trust)?,
        })
    }
}

/// The words about TLS that the driver does not know.
#[derive(Debug, Default, PartialEq, Eq)]
struct TlsWords {
    mode: Option<String>,
    roots: Option<String>,
}

impl TlsWords {
    fn meaning(self) -> Result<(SslMode, Trust), SettingsError> {
        let verified = match self.roots {
            Some(path) if path != "system" => Trust::RootsIn(path),
            _ => Trust::PublicRoots,
        };
        match self.mode.as_deref() {
            Some("disable") => Ok((SslMode::Disable, Trust::Anything)),
            None | Some("allow" | "prefer") => Ok((SslMode::Prefer, Trust::Anything)),
            // As with libpq, a file of roots is there to be used.
            Some("require") if matches!(verified, Trust::RootsIn(_)) => Ok((SslMode::Require, verified)),
            Some("require") => Ok((SslMode::Require, Trust::Anything)),
            Some("verify-ca" | "verify-full") => Ok((SslMode::Require, verified)),
            Some(other) => Err(SettingsError::SslMode(other.to_owned())),
        }
    }
}

/// Takes `sslmode` and `sslrootcert` out of a URL or of `key=value` words.
fn take_tls_words(url: &str) -> (String, TlsWords) {
    let mut words = TlsWords::default();
    let mut take = |word: &str, decode: bool| {
        let Some((key, value)) = word.split_once('=') else {
            return false;
        };
        let value = if decode {
            percent_decoded(value)
        } else {
            value.trim_matches('\'').to_owned()
        };
        match key {
            "sslmode" => words.mode = Some(value),
            "sslrootcert" => words.roots = Some(value),
            _ => return false,
        }
        true
    };
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let rest = match (is_url, url.split_once('?')) {
        (true, None) => url.to_owned(),
        (true, Some((base, query))) => {
            let kept: Vec<&str> = query.split('&').filter(|word| !take(word, true)).collect();
            if kept.is_empty() {
                base.to_owned()
            } else {
                format!("{base}?{}", kept.join("&"))
            }
        }
        (false, _) => {
            let kept: Vec<&str> = url.split(' ').filter(|word| !take(word, false)).collect();
            kept.join(" ")
        }
    };
    (rest, words)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high)
                    .zip(digit(low))
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(mode: Option<&str>, roots: Option<&str>) -> TlsWords {
        TlsWords {
            mode: mode.map(str::to_owned),
            roots: roots.map(str::to_owned),
        }
    }

    #[test]
    fn the_words_about_tls_are_taken_out_of_a_url() {
        let (url, taken) =
            take_tls_words("postgresql://h/d?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&user=u");
        assert_eq!(url, "postgresql://h/d?user=u");
        assert_eq!(taken, words(Some("verify-full"), Some("/etc/ca.pem")));
        let (url, taken) = take_tls_words("host=h sslmode=require dbname=d");
        assert_eq!(url, "host=h dbname=d");
        assert_eq!(taken, words(Some("require"), None));
    }

    #[test]
    fn only_the_verifying_modes_ask_for_a_trusted_certificate() {
        let trust = |mode, roots| words(mode, roots).meaning().unwrap();
        assert_eq!(trust(None, None), (SslMode::Prefer, Trust::Anything));
        assert_eq!(trust(Some("require"), None), (SslMode::Require, Trust::Anything));
        assert_eq!(
            trust(Some("verify-full"), None),
            (SslMode::Require, Trust::PublicRoots)
        );
        let own = Trust::RootsIn("ca.pem".to_owned());
        assert_eq!(trust(Some("verify-ca"), Some("ca.pem")), (SslMode::Require, own));
        assert!(words(Some("verify"), None).meaning().is_err());
    }

    #[test]
    fn the_terms_go_along_when_connecting() {
        let settings = Settings::new("postgresql://u@h/d?options=-c%20work_mem%3D8MB");
        let target = Target::new(&settings).unwrap();
        let options = target.config.get_options().unwrap();
        assert!(
            options.starts_with("-c statement_timeout=5000 -c lock_timeout=2000"),
            "{options}"
        );
        assert!(
            options.ends_with("-c enable_seqscan=off -c work_mem=8MB"),
            "{options}"
        );
        assert_eq!(target.config.get_application_name(), Some("insightdesk"));
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings = Settings::new("postgresql://u:secret@h/d");
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
