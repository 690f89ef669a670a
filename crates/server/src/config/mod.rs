//! What an operator can set.
//!
//! Every setting is a flag (`--listen`), an environment variable (`INSIGHTDESK_LISTEN`) and a key of the
//! configuration file (`listen`), and the first of these that is given counts, before the default. [`table::SETTINGS`]
//! says it all once: the flags, the reading, the messages, `insightdesk config` and the README's table come from it.
//! To add a setting: a field in [`Config`] with its default, and a row in the table.
//!
//! What cannot be used is refused before anything is started, with the setting's name, where the value came from and
//! the rule that it breaks.

mod file;
pub mod flags;
pub mod show;
pub mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use automation::webhook::AddressRules;
use delivery::{FilePlace, ScannerAddress, Sender};
use http::address::{AddressBlock, AddressBlockError};
use http::app::REQUESTS_IN_FLIGHT_MAX;
use http::cors::AllowedOrigins;
use http::rate::RateSettings;
use identity::{AccountLimits, SessionLimits, ThrottleLimits, TwoFactorLimits};
use knowledge::Synonyms;
use ticketing::AttachmentSettings;

use table::{Kind, SETTINGS, Setting};

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "INSIGHTDESK_CONFIG";
/// The configuration file's name in the data folder and in the current folder.
pub const CONFIG_FILE: &str = "insightdesk.toml";
/// What our variables begin with.
const PREFIX: &str = "INSIGHTDESK_";

/// What kind of installation this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Anything that works is welcome.
    Standard,
    /// Only what carries a real desk: a PostgreSQL that someone looks after.
    Production,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Blocks of addresses, and how they were written.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    blocks: Vec<AddressBlock>,
    text: String,
}

impl TrustedProxies {
    /// The blocks.
    #[must_use]
    pub fn blocks(&self) -> &[AddressBlock] {
        &self.blocks
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for TrustedProxies {
    type Err = AddressBlockError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect();
        Ok(Self {
            blocks: parts.iter().map(|part| part.parse()).collect::<Result<_, _>>()?,
            text: parts.join(","),
        })
    }
}

/// A provider of single sign-on by OpenID Connect.
#[derive(Debug, Clone)]
pub struct OpenIdConfig {
    /// The provider's name of itself; without it there is no single sign-on.
    pub issuer: Option<String>,
    /// The desk's name there.
    pub client_id: Option<String>,
    /// The desk's secret there; none for a public client.
    pub client_secret: Option<Secret>,
    /// What people call it; by its host when unset.
    pub name: Option<String>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The claim that says whether an address is the person's.
    pub verified_claim: String,
    /// The claim that roles come from; without it roles are left alone.
    pub role_claim: Option<String>,
    /// Its values that make an administrator.
    pub admin_values: Vec<String>,
    /// Its values that make an agent.
    pub agent_values: Vec<String>,
    /// Whether people whom the desk does not know get an account.
    pub create_accounts: bool,
    /// Front ends to which a browser may be sent back.
    pub return_urls: Vec<String>,
}

impl Default for OpenIdConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret: None,
            name: None,
            scopes: ["openid", "email", "profile"].map(str::to_owned).to_vec(),
            verified_claim: "email_verified".to_owned(),
            role_claim: None,
            admin_values: Vec::new(),
            agent_values: Vec::new(),
            create_accounts: true,
            return_urls: Vec::new(),
        }
    }
}

/// Everything that is set.
#[derive(Debug, Clone)]
pub struct Config {
    /// What kind of installation this is.
    pub profile: Profile,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// How clients reach the desk; by the address that it listens on when unset.
    pub public_url: Option<String>,
    /// What the desk is called in mail and in authenticator apps.
    pub desk_name: String,
    /// Where the desk keeps its own files.
    pub data_dir: PathBuf,
    /// Threads that answer requests; one for each core when unset.
    pub workers: Option<usize>,
    /// How long `/readyz` says no before the server stops to listen.
    pub drain: Duration,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: TrustedProxies,
    /// Whether clients reach the desk by HTTPS alone.
    pub behind_tls: bool,
    /// The most requests that are worked on at once.
    pub requests_in_flight_max: usize,
    /// Whether the API's document and its reference are given out.
    pub api_docs: bool,
    /// Whether strangers read the knowledge base.
    pub public_knowledge_base: bool,
    /// Whether nobody publishes the articles that they began.
    pub knowledge_four_eyes: bool,
    /// Words that mean the same to those who search the knowledge base.
    pub knowledge_synonyms: Synonyms,
    /// Origins whose pages may use the API from a browser.
    pub cors_origins: AllowedOrigins,
    /// The PostgreSQL to use; one of its own when unset.
    pub database_url: Option<Secret>,
    /// The same PostgreSQL for the owner of its schema; when unset, `database_url` does both.
    pub database_owner_url: Option<Secret>,
    /// The most connections to it.
    pub database_connections: usize,
    /// The way mail goes out: a mail server, or a folder; the folder `mail` of the data folder when unset.
    pub mail_url: Option<Secret>,
    /// Who mail comes from; the desk at the public URL's host when unset.
    pub mail_from: Option<Sender>,
    /// Authorities beside the public ones that the mail server's certificate may come from.
    pub mail_ca_file: Option<PathBuf>,
    /// The secret that keys are derived from; in a file of the data folder when unset.
    pub secret_key: Option<Secret>,
    /// The secrets before it, with commas between: what they signed and sealed is still known.
    pub previous_secret_keys: Option<Secret>,
    /// What accounts must satisfy.
    pub accounts: AccountLimits,
    /// How long sessions last.
    pub sessions: SessionLimits,
    /// How often the API may be called.
    /// How codes of second factors are judged.
    pub two_factor: TwoFactorLimits,
    /// How often passwords and codes may be guessed.
    pub throttle: ThrottleLimits,
    /// Single sign-on.
    pub oidc: OpenIdConfig,
    /// How often strangers may call.
    pub rates: RateSettings,
    /// The desk's choices about tickets.
    pub tickets: ticketing::Settings,
    /// Whether customers are asked by mail how content they are when their ticket is resolved.
    pub satisfaction_survey: bool,
    /// The languages that tickets are searched in, by PostgreSQL's names.
    pub search_languages: Vec<String>,
    /// The desk's choices about attachments.
    pub attachments: AttachmentSettings,
    /// Where their files are kept; in the folder `attachments` of the data folder when unset.
    pub attachments_place: Option<FilePlace>,
    /// What looks whether they are infected; nothing when unset.
    pub virus_scanner: Option<ScannerAddress>,
    /// What webhooks may call.
    pub webhooks: AddressRules,
    /// What is logged; by the command when unset.
    pub log_level: Option<String>,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Where metrics are given out without a token.
    pub metrics_listen: Option<SocketAddr>,
    /// The token for `/metrics` beside the API.
    pub metrics_token: Option<Secret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: Profile::Standard,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            desk_name: "InsightDesk".to_owned(),
            data_dir: local_postgres::default_data_dir(),
            workers: None,
            drain: Duration::ZERO,
            trusted_proxies: TrustedProxies::default(),
            behind_tls: false,
            requests_in_flight_max: REQUESTS_IN_FLIGHT_MAX,
            api_docs: true,
            public_knowledge_base: true,
            knowledge_four_eyes: false,
            knowledge_synonyms: Synonyms::default(),
            cors_origins: AllowedOrigins::default(),
            database_url: None,
            database_owner_url: None,
            database_connections: 16,
            mail_url: None,
            mail_from: None,
            mail_ca_file: None,
            secret_key: None,
            previous_secret_keys: None,
            accounts: AccountLimits::default(),
            sessions: SessionLimits::default(),
            two_factor: TwoFactorLimits::default(),
            throttle: ThrottleLimits::default(),
            oidc: OpenIdConfig::default(),
            rates: RateSettings::default(),
            tickets: ticketing::Settings::default(),
            satisfaction_survey: false,
            search_languages: vec!["english".to_owned()],
            attachments: AttachmentSettings::default(),
            attachments_place: None,
            virus_scanner: None,
            webhooks: AddressRules::default(),
            log_level: None,
            log_format: LogFormat::Text,
            metrics_listen: None,
            metrics_token: None,
        }
    }
}

impl Config {
    /// The URL by which people reach a desk that listens at `address`. One who listens on every address reaches himself
    /// by the local one.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        if address.ip().is_unspecified() {
            return format!("http://localhost:{}", address.port());
        }
        format!("http://{address}")
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody gave one.
    Default,
    /// The command line.
    Flag,
    /// This environment variable.
    Variable(String),
    /// This file.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("the default"),
            Source::Flag => f.write_str("the command line"),
            Source::Variable(name) => write!(f, "the environment variable {name}"),
            Source::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value breaks its setting's rule.
    #[error("the setting {setting} from {origin} cannot be {value}: it must be {rule}")]
    BadValue {
        /// Which setting.
        setting: &'static str,
        /// The value; of a secret only that it is one.
        value: String,
        /// Where it came from.
        origin: Source,
        /// What it must be.
        rule: &'static str,
    },
    /// There is no such setting.
    #[error(
        "{} has the key {key:?}, which is no setting{}; `insightdesk config` lists them all",
        file.display(),
        resembles.map(|name| format!(" (perhaps {name}?)")).unwrap_or_default()
    )]
    UnknownKey {
        /// The key.
        key: String,
        /// The file that has it.
        file: PathBuf,
        /// A setting of a similar name.
        resembles: Option<&'static str>,
    },
    /// The file is not TOML.
    #[error("{}{} is not TOML: {reason}", file.display(), line.map(|line| format!(", line {line},")).unwrap_or_default())]
    NotToml {
        /// The file.
        file: PathBuf,
        /// Where in it.
        line: Option<usize>,
        /// What the parser says.
        reason: String,
    },
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Two settings do not go together.
    #[error("{0}")]
    Conflict(&'static str),
}

/// What a configuration is read from, besides its file.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The configuration file that the command line names.
    pub config_file: Option<PathBuf>,
    /// Flags by the name of their setting.
    pub flags: BTreeMap<&'static str, String>,
    /// The environment.
    pub variables: BTreeMap<String, String>,
}

impl Given {
    /// With the environment of this process.
    #[must_use]
    pub fn with_environment(config_file: Option<PathBuf>, flags: BTreeMap<&'static str, String>) -> Self {
        // What is not Unicode is read with a replacement character, and then refused by its setting's rule.
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        Self {
            config_file,
            flags,
            variables,
        }
    }

    /// A variable that has a value; an empty one is as good as none.
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of a setting outside of the file.
    fn value(&self, setting: &Setting) -> Option<(String, Source)> {
        if let Some(value) = self.flags.get(setting.name) {
            return Some((value.clone(), Source::Flag));
        }
        setting.variables().into_iter().find_map(|name| {
            let value = self.variable(&name)?.to_owned();
            Some((value, Source::Variable(name)))
        })
    }
}

/// A configuration, and where each of its values came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// By the name of their setting, for those that are set.
    pub sources: BTreeMap<&'static str, Source>,
    /// Variables that begin like ours and are none.
    pub unknown_variables: Vec<String>,
}

impl Loaded {
    /// Where a setting's value came from.
    #[must_use]
    pub fn source(&self, setting: &Setting) -> Source {
        self.sources.get(setting.name).cloned().unwrap_or(Source::Default)
    }
}

/// Reads the configuration.
///
/// # Errors
/// As [`ConfigError`] says, for the first fault that is found.
pub fn load(given: &Given) -> Result<Loaded, ConfigError> {
    let mut config = Config::default();
    let mut sources = BTreeMap::new();
    // The data folder says where the file is, unless that is said.
    for setting in SETTINGS.iter().filter(|setting| setting.name == table::DATA_DIR) {
        if let Some((value, origin)) = given.value(setting) {
            apply(&mut config, setting, &value, &origin)?;
        }
    }
    let file = config_file(given, &config.data_dir);
    let mut in_file = match &file {
        Some(path) => file::read(path)?,
        None => BTreeMap::new(),
    };
    for setting in SETTINGS {
        let from_file = in_file.remove(setting.name).zip(file.clone());
        let value = given
            .value(setting)
            .or_else(|| from_file.map(|(value, path)| (value, Source::File(path))));
        if let Some((value, origin)) = value {
            apply(&mut config, setting, &value, &origin)?;
            sources.insert(setting.name, origin);
        }
    }
    check(&config)?;
    Ok(Loaded {
        config,
        file,
        sources,
        unknown_variables: unknown_variables(given),
    })
}

fn apply(
    config: &mut Config,
    setting: &'static Setting,
    value: &str,
    origin: &Source,
) -> Result<(), ConfigError> {
    (setting.set)(config, value).ok_or_else(|| ConfigError::BadValue {
        setting: setting.name,
        value: match setting.kind {
            Kind::Secret => "what was given (not shown, as it is secret)".to_owned(),
            Kind::Text | Kind::Number | Kind::Switch | Kind::List => format!("{value:?}"),
        },
        origin: origin.clone(),
        rule: setting.rule,
    })
}

/// The file that is named, which must then be there; else the first of the usual ones that is there.
fn config_file(given: &Given, data_dir: &Path) -> Option<PathBuf> {
    let named = given.config_file.clone();
    named
        .or_else(|| given.variable(CONFIG_VARIABLE).map(PathBuf::from))
        .or_else(|| {
            [data_dir.join(CONFIG_FILE), PathBuf::from(CONFIG_FILE)]
                .into_iter()
                .find(|path| path.exists())
        })
}

/// What no single setting can tell.
fn check(config: &Config) -> Result<(), ConfigError> {
    if config.profile == Profile::Production && config.database_url.is_none() {
        return Err(ConfigError::Conflict(
            "the profile production needs the setting database-url: the PostgreSQL that insightdesk looks after itself \
             is meant for trying it out; set DATABASE_URL, or leave the profile standard",
        ));
    }
    if config.database_owner_url.is_some() && config.database_url.is_none() {
        return Err(ConfigError::Conflict(
            "database-owner-url goes with database-url, which is not set: the PostgreSQL that insightdesk looks after \
             itself has an owner of its own",
        ));
    }
    if config.sessions.idle > config.sessions.absolute {
        return Err(ConfigError::Conflict(
            "session-idle-days must not be more than session-absolute-days",
        ));
    }
    if config.oidc.issuer.is_some() && config.public_url.is_none() {
        return Err(ConfigError::Conflict(
            "oidc-issuer needs the setting public-url: the provider sends people back to an address below it",
        ));
    }
    if config.oidc.issuer.is_some() && config.oidc.client_id.is_none() {
        return Err(ConfigError::Conflict(
            "oidc-issuer needs the setting oidc-client-id: the name that the provider gave to the desk",
        ));
    }
    Ok(())
}

/// Variables that begin like ours and mean nothing: most likely a slip. They are told of and not refused, because some
/// systems set such of their own accord (`INSIGHTDESK_SERVICE_HOST` beside a Kubernetes service of that name).
fn unknown_variables(given: &Given) -> Vec<String> {
    let known: Vec<String> = SETTINGS.iter().flat_map(Setting::variables).collect();
    given
        .variables
        .keys()
        .filter(|name| name.starts_with(PREFIX) && *name != CONFIG_VARIABLE && !known.contains(name))
        .filter(|name| {
            !["INSIGHTDESK_PG_", "INSIGHTDESK_TEST_"]
                .iter()
                .any(|theirs| name.starts_with(theirs))
        })
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
