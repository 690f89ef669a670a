//! What an operator sets about mail, parsed once. No error and no `Debug` shows a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use identity::EmailAddress;
use kernel::{Clock, PortError};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::desk::{Desk, is_plain};
use crate::file::FileTransport;
use crate::mailer::AccountMailer;
use crate::smtp::SmtpTransport;
use crate::transport::Transport;

/// Why a setting cannot be used. The texts go on from the setting's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The desk's name is no short line.
    #[error(
        "the desk's name must be one line of 1 to {} characters",
        Desk::NAME_CHARS_MAX
    )]
    DeskName,
    /// The public URL is none, or has more than host and port.
    #[error("the public URL must be one such as https://help.example.com, without a path")]
    PublicUrl,
    /// The sender is no address.
    #[error("the sender must be an address such as help@example.com or \"Help desk <help@example.com>\"")]
    Sender,
    /// The way is no URL that is known.
    #[error(
        "the way that mail goes must be a URL such as smtp://user:password@mail.example.com:587, \
         smtps://user:password@mail.example.com:465 or file:///var/lib/insightdesk/mail; \
         signs such as @ : / # ? % in a user or password are written as %40 %3A %2F %23 %3F %25"
    )]
    Way,
    /// The URL has a path, a fragment or parameters that mean nothing.
    #[error("the mail server's URL has more than user, password, host and port; only ?tls=none may follow")]
    Surplus,
    /// `tls=none` where the scheme asks for TLS.
    #[error("smtps:// is TLS from the first byte; ?tls=none goes with smtp:// only")]
    Contradiction,
    /// A user without a password, or the reverse, or signs that cannot be sent.
    #[error("the mail server's URL must have both user and password or neither, without control characters")]
    Credentials,
    /// Credentials that everyone on the way could read.
    #[error("with ?tls=none a user and password are sent to this machine only (127.0.0.1, [::1], localhost)")]
    PlainCredentials,
    /// The file of certificates cannot be used.
    #[error("the file of certificates {} cannot be used: {detail}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The folder for letters cannot be used.
    #[error("the mail folder {} cannot be used: {detail}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// TLS itself could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// A fault of the program.
    #[error("mail cannot be set up: {0}")]
    Internal(String),
}

impl From<PortError> for SettingsError {
    fn from(error: PortError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Self::Internal(cause.unwrap_or_else(|| error.to_string()))
    }
}

/// Who mail comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    name: Option<String>,
    address: EmailAddress,
}

impl Sender {
    /// The most characters of a sender's name.
    pub const NAME_CHARS_MAX: usize = 60;

    /// The sender in `help@example.com` or `Help desk <help@example.com>`. The domain may be an
    /// internationalised one.
    ///
    /// # Errors
    /// [`SettingsError::Sender`].
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>') {
            Some(rest) => rest.rsplit_once('<').ok_or(SettingsError::Sender)?,
            None => ("", text),
        };
        let name = name.trim().trim_matches('"').trim();
        if name.chars().count() > Self::NAME_CHARS_MAX || name.chars().any(|c| c.is_control() || c == '<') {
            return Err(SettingsError::Sender);
        }
        let (local, domain) = address.rsplit_once('@').ok_or(SettingsError::Sender)?;
        let domain = idna::domain_to_ascii(domain).map_err(|_| SettingsError::Sender)?;
        let address =
            EmailAddress::parse("", &format!("{local}@{domain}")).map_err(|_| SettingsError::Sender)?;
        Ok(Self {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            address,
        })
    }

    /// What it is called, where that was said.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address, its domain in ASCII.
    #[must_use]
    pub fn address(&self) -> &EmailAddress {
        &self.address
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => self.address.fmt(f),
        }
    }
}

/// How the connection to a mail server is kept from being read or changed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// `smtp://`: plain at first, and TLS before anything is said; a server that offers none gets no mail.
    StartTls,
    /// `smtps://`: TLS from the first byte.
    Implicit,
    /// `smtp://…?tls=none`: anyone on the way can read and change the mail, and use its links.
    None,
}

impl Security {
    fn usual_port(self) -> u16 {
        match self {
            Security::StartTls => 587,
            Security::Implicit => 465,
            Security::None => 25,
        }
    }
}

/// A mail server and how to speak with it.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpSettings {
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) timeout: Duration,
}

impl SmtpSettings {
    /// The longest that one delivery may take, in seconds: waiting for its turn, connecting and sending.
    pub const SEND_SECS_MAX: u64 = 20;

    /// The server in `smtp://user:password@host:587` (STARTTLS), `smtps://user:password@host:465` (TLS) or
    /// `smtp://host:25?tls=none` (neither). User and password may be left out, and so may the port.
    ///
    /// # Errors
    /// [`SettingsError::Way`], [`SettingsError::Surplus`], [`SettingsError::Contradiction`],
    /// [`SettingsError::Credentials`] or [`SettingsError::PlainCredentials`].
    pub fn parse(url: &str) -> Result<Self, SettingsError> {
        let url = Url::parse(url).map_err(|_| SettingsError::Way)?;
        if !url.has_host() {
            return Err(SettingsError::Way);
        }
        let security = match (url.scheme(), url.query()) {
            ("smtp", None) => Security::StartTls,
            ("smtp", Some("tls=none")) => Security::None,
            ("smtps", None) => Security::Implicit,
            ("smtps", Some("tls=none")) => return Err(SettingsError::Contradiction),
            ("smtp" | "smtps", Some(_)) => return Err(SettingsError::Surplus),
            _ => return Err(SettingsError::Way),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(SettingsError::Surplus);
        }
        // To the URL crate these schemes are foreign, and it leaves the host as it is written.
        let host = decoded(url.host_str().unwrap_or_default()).ok_or(SettingsError::Way)?;
        let host = Host::parse(&host)
            .ok()
            .filter(is_plain)
            .ok_or(SettingsError::Way)?;
        let port = url.port().unwrap_or(security.usual_port());
        if port == 0 {
            return Err(SettingsError::Way);
        }
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => return Err(SettingsError::Credentials),
            (user, Some(password)) => {
                let pair = decoded(user).zip(decoded(password));
                Some(pair.filter(sendable).ok_or(SettingsError::Credentials)?)
            }
        };
        if credentials.is_some() && security == Security::None && !is_loopback(&host) {
            return Err(SettingsError::PlainCredentials);
        }
        Ok(Self {
            host,
            port,
            security,
            credentials,
            ca_file: None,
            timeout: Duration::from_secs(Self::SEND_SECS_MAX),
        })
    }

    /// Also trusts the authorities in this file of PEM certificates, besides the public ones. Read when the
    /// transport is made.
    #[must_use]
    pub fn with_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Gives up on a delivery after this long, at most [`SmtpSettings::SEND_SECS_MAX`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(Duration::from_secs(Self::SEND_SECS_MAX));
        self
    }

    /// How the connection is kept from being read or changed.
    #[must_use]
    pub fn security(&self) -> Security {
        self.security
    }

    /// The host as it is connected to and as its certificate names it: an IPv6 address has no brackets.
    pub(crate) fn host_name(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        }
    }
}

/// A server and the way to it, without user and password.
impl fmt::Display for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, query) = match self.security {
            Security::StartTls => ("smtp", ""),
            Security::Implicit => ("smtps", ""),
            Security::None => ("smtp", "?tls=none"),
        };
        write!(f, "{scheme}://{}:{}{query}", self.host, self.port)
    }
}

impl fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.credentials.as_ref().map(|(user, _)| user);
        f.debug_struct("SmtpSettings")
            .field("server", &format_args!("{self}"))
            .field("user", &user)
            .field("ca_file", &self.ca_file)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// The way that mail goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To a mail server.
    Smtp(SmtpSettings),
    /// Into a folder, a file for each.
    Folder(PathBuf),
}

impl Way {
    /// The way in an `smtp://` or `smtps://` URL, see [`SmtpSettings::parse`], or the folder in a `file:///…`
    /// URL.
    ///
    /// # Errors
    /// As [`SmtpSettings::parse`], and [`SettingsError::Way`] for a folder that is not absolute.
    pub fn parse(url: &str) -> Result<Self, SettingsError> {
        if !url.starts_with("file:") {
            return SmtpSettings::parse(url).map(Self::Smtp);
        }
        let parsed = Url::parse(url).map_err(|_| SettingsError::Way)?;
        let bare = parsed.query().is_none() && parsed.fragment().is_none();
        let path = parsed.to_file_path().map_err(|()| SettingsError::Way)?;
        let absolute = url.starts_with("file:///") && path != Path::new("/");
        (bare && absolute)
            .then_some(Self::Folder(path))
            .ok_or(SettingsError::Way)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Smtp(server) => server.fmt(f),
            Way::Folder(path) => {
                f.write_str("file://")?;
                f.write_str(&path.to_string_lossy())
            }
        }
    }
}

/// All that is set about mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// Whose mail it is, and where its links lead.
    pub desk: Desk,
    /// Who it comes from.
    pub from: Sender,
    /// How it goes out.
    pub way: Way,
}

impl MailSettings {
    /// The transport of these settings. Reads the file of certificates or makes the folder; connects to
    /// nothing yet.
    ///
    /// # Errors
    /// [`SettingsError::CaFile`], [`SettingsError::Tls`] or [`SettingsError::Folder`].
    pub fn transport(&self) -> Result<Arc<dyn Transport>, SettingsError> {
        Ok(match &self.way {
            Way::Smtp(server) => Arc::new(SmtpTransport::new(server, &self.desk)?),
            Way::Folder(path) => Arc::new(FileTransport::open(path)?),
        })
    }

    /// The mailer of these settings.
    ///
    /// # Errors
    /// As [`MailSettings::transport`].
    pub fn mailer(&self, clock: Arc<dyn Clock>) -> Result<AccountMailer, SettingsError> {
        let (desk, from) = (self.desk.clone(), self.from.clone());
        Ok(AccountMailer::new(desk, from, clock, self.transport()?)?)
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned())
}

/// Control characters, NUL above all, mean something in the dialogue of SMTP.
fn sendable((user, password): &(String, String)) -> bool {
    let plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    plain(user) && plain(password)
}

fn is_loopback(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smtp(url: &str) -> Result<SmtpSettings, SettingsError> {
        SmtpSettings::parse(url)
    }

    #[test]
    fn a_url_says_server_port_and_security() {
        for (url, shown, security) in [
            (
                "smtp://mail.example.com",
                "smtp://mail.example.com:587",
                Security::StartTls,
            ),
            (
                "smtp://mail.example.com:2525/",
                "smtp://mail.example.com:2525",
                Security::StartTls,
            ),
            (
                "SMTPS://Mail.Example.COM",
                "smtps://mail.example.com:465",
                Security::Implicit,
            ),
            (
                "smtp://relay?tls=none",
                "smtp://relay:25?tls=none",
                Security::None,
            ),
            (
                "smtp://bücher.example",
                "smtp://xn--bcher-kva.example:587",
                Security::StartTls,
            ),
            (
                "smtp://[2001:db8::1]:25",
                "smtp://[2001:db8::1]:25",
                Security::StartTls,
            ),
            (
                "smtp://127.0.0.1:1025?tls=none",
                "smtp://127.0.0.1:1025?tls=none",
                Security::None,
            ),
        ] {
            let settings = smtp(url).unwrap();
            assert_eq!(
                (settings.to_string().as_str(), settings.security()),
                (shown, security)
            );
            assert_eq!(settings.credentials, None);
        }
        assert_eq!(smtp("smtp://[::1]").unwrap().host_name(), "::1");
    }

    #[test]
    fn credentials_may_hold_any_sign() {
        let settings = smtp("smtp://kim%40example.com:p%40ss%3A%2Fw%C3%B6rd%23@mail.example.com").unwrap();
        let expected = ("kim@example.com".to_owned(), "p@ss:/wörd#".to_owned());
        assert_eq!(settings.credentials, Some(expected));
    }

    #[test]
    fn a_url_that_says_less_or_more_is_refused_with_its_reason() {
        use SettingsError::*;
        for (url, reason) in [
            ("", Way),
            ("mail.example.com:587", Way),
            ("http://mail.example.com", Way),
            ("smtp:mail.example.com", Way),
            ("smtp://", Way),
            ("smtp://mail.example.com:0", Way),
            ("smtp://mail.example.com:99999", Way),
            ("smtp://a b", Way),
            ("smtp://a%22b.example", Way),
            ("smtp://mail%0d%0a.example.com", Way),
            ("smtp://mail.example.com/path", Surplus),
            ("smtp://mail.example.com#part", Surplus),
            ("smtp://mail.example.com?tls=maybe", Surplus),
            ("smtps://mail.example.com?verify=no", Surplus),
            ("smtps://mail.example.com?tls=none", Contradiction),
            ("smtp://user@mail.example.com", Credentials),
            ("smtp://:pass@mail.example.com", Credentials),
            ("smtp://us%0der:pass@mail.example.com", Credentials),
            ("smtp://user:pa%00ss@mail.example.com", Credentials),
            ("smtp://user:pa%ffss@mail.example.com", Credentials),
            ("smtp://user:pass@mail.example.com?tls=none", PlainCredentials),
            ("smtp://user:pass@10.0.0.1?tls=none", PlainCredentials),
            (
                "smtp://user:pass@localhost.example.com?tls=none",
                PlainCredentials,
            ),
        ] {
            assert_eq!(smtp(url), Err(reason), "{url}");
        }
    }

    #[test]
    fn credentials_go_in_the_clear_to_this_machine_only() {
        for host in ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"] {
            assert!(
                smtp(&format!("smtp://user:pass@{host}?tls=none")).is_ok(),
                "{host}"
            );
        }
    }

    #[test]
    fn no_text_shows_the_password() {
        let settings = smtp("smtps://user:hunter2hunter2@mail.example.com").unwrap();
        let way = super::Way::Smtp(settings.clone());
        let desk = Desk::new("Help", "https://help.example.com").unwrap();
        let transport = SmtpTransport::new(&settings, &desk).unwrap();
        let printed = format!("{settings:?} {settings} {way:?} {way} {transport:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
        for url in [
            "smtp://user:hunter2@mail.example.com?tls=none",
            "smtp://user:hunter2@mail.example.com:x",
            "smtp://hunter2@mail.example.com",
        ] {
            let error = smtp(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_time_out_is_held_within_its_bound() {
        let settings = smtp("smtp://mail.example.com").unwrap();
        assert_eq!(settings.timeout, Duration::from_secs(20));
        let long = settings.clone().with_timeout(Duration::from_secs(600));
        assert_eq!(long.timeout, Duration::from_secs(20));
        let short = settings.with_timeout(Duration::from_millis(50));
        assert_eq!(short.timeout, Duration::from_millis(50));
    }

    #[test]
    fn a_file_of_certificates_must_be_one() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("ca.pem");
        let desk = Desk::new("Help", "https://help.example.com").unwrap();
        let settings = smtp("smtp://mail.example.com").unwrap().with_ca_file(&path);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for content in [None, Some(""), Some("no certificate"), Some(broken)] {
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let error = SmtpTransport::new(&settings, &desk).unwrap_err();
            assert!(
                matches!(error, SettingsError::CaFile { .. } | SettingsError::Tls(_)),
                "{error}"
            );
        }
    }

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        let sender = |text: &str| Sender::parse(text).map(|sender| sender.to_string());
        for (text, shown) in [
            ("help@example.com", "help@example.com"),
            ("<help@example.com>", "help@example.com"),
            (" Help desk <Help@Example.com> ", "Help desk <help@example.com>"),
            (
                "\"Help, desk\" <help@example.com>",
                "Help, desk <help@example.com>",
            ),
            (
                "Hilfe <hilfe@bücher.example>",
                "Hilfe <hilfe@xn--bcher-kva.example>",
            ),
        ] {
            assert_eq!(sender(text).as_deref(), Ok(shown));
        }
        let long = format!("{} <help@example.com>", "a".repeat(61));
        for text in [
            "",
            "help",
            "help@",
            "@example.com",
            "hälp@example.com",
            "Help help@example.com",
            "Help <help@example.com",
            "Help help@example.com>",
            "a <b> <help@example.com>",
            "Help\r\nBcc: x <help@example.com>",
            "help@example.com\r\nBcc: x@example.com",
            &long,
        ] {
            assert_eq!(sender(text), Err(SettingsError::Sender), "{text:?}");
        }
    }

    #[test]
    fn a_way_is_a_mail_server_or_a_folder() {
        let folder = |path: &str| Ok(super::Way::Folder(PathBuf::from(path)));
        assert_eq!(super::Way::parse("file:///var/mail"), folder("/var/mail"));
        assert_eq!(super::Way::parse("file:///a%20b"), folder("/a b"));
        assert_eq!(
            super::Way::parse("file:///var/mail").unwrap().to_string(),
            "file:///var/mail"
        );
        for url in [
            "file:mail",
            "file://host/mail",
            "file:///",
            "file:///a?b",
            "file:///a#b",
        ] {
            assert_eq!(super::Way::parse(url), Err(SettingsError::Way), "{url}");
        }
        assert!(matches!(
            super::Way::parse("smtp://mail.example.com"),
            Ok(super::Way::Smtp(_))
        ));
        assert_eq!(super::Way::parse("/var/mail"), Err(SettingsError::Way));
    }
}
