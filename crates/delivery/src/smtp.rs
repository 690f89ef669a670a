//! Letters to a mail server.
//!
//! lettre speaks SMTP; when to connect, what to keep and what an answer means is decided here. Its own pool
//! takes back connections whose send was cut short, in the middle of a letter, and does not say which command
//! was refused.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use identity::ports::MailError;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Category;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use url::Host;

use crate::desk::Desk;
use crate::letter::Letter;
use crate::settings::{Security, SettingsError, SmtpSettings};
use crate::transport::{Transport, unavailable};

const PORT: &str = "mail server";

/// The most bytes of a file of certificates.
const CA_FILE_BYTES_MAX: u64 = 1 << 20;

/// How a certificate begins in such a file.
const CERTIFICATE_BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// The most characters of a server's answer that are kept.
const ANSWER_CHARS_MAX: usize = 500;

/// Hands letters to a mail server.
///
/// Up to [`SmtpTransport::CONNECTIONS_MAX`] at once, each of which ends within the time that the settings
/// give; a connection serves another letter when one comes soon. What the server says of the recipient or the
/// letter for good (55x to `RCPT`, `DATA` or the letter) is [`MailError::Refused`]. All else may pass, also a
/// refused password or sender: an operator can mend that, and the letter waits.
pub struct SmtpTransport {
    host: String,
    port: u16,
    security: Ready,
    credentials: Option<Credentials>,
    hello: ClientId,
    timeout: Duration,
    /// Described without credentials, for `Debug`.
    described: String,
    turns: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

/// [`Security`] with what it needs.
enum Ready {
    StartTls(TlsParameters),
    Implicit(TlsParameters),
    None,
}

/// A connection that waits for the next letter.
struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl SmtpTransport {
    /// The most connections at once.
    pub const CONNECTIONS_MAX: usize = 4;
    /// The longest that an unused connection is used again, in seconds; servers end them soon after.
    pub const IDLE_SECS_MAX: u64 = 30;

    /// A transport to a mail server, which `desk` introduces itself to by its host. Connects to nothing yet.
    ///
    /// # Errors [`SettingsError::CaFile`] when the file of certificates cannot be read or holds none,
    /// [`SettingsError::Tls`] when TLS cannot be set up.
    pub fn new(settings: &SmtpSettings, desk: &Desk) -> Result<Self, SettingsError> {
        let host = settings.host_name();
        let security = match settings.security {
            Security::StartTls => Ready::StartTls(tls(&host, settings)?),
            Security::Implicit => Ready::Implicit(tls(&host, settings)?),
            Security::None => Ready::None,
        };
        let hello = match desk.host() {
            Host::Domain(name) => ClientId::Domain(name.clone()),
            Host::Ipv4(ip) => ClientId::Ipv4(*ip),
            Host::Ipv6(ip) => ClientId::Ipv6(*ip),
        };
        let credentials = settings.credentials.clone();
        Ok(Self {
            host,
            port: settings.port,
            security,
            credentials: credentials.map(|(user, password)| Credentials::new(user, password)),
            hello,
            timeout: settings.timeout,
            described: settings.to_string(),
            turns: Semaphore::new(Self::CONNECTIONS_MAX),
            idle: Mutex::default(),
        })
    }

    async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|error| unavailable(PORT, error))?;
        let mut connection = self.connection().await.map_err(failed)?;
        let (from, to) = letter.envelope();
        // On any failure, and when this is dropped in between, the connection goes with it: nobody knows what
        // the server would take the next command for.
        let mail = Mail::new(Some(from.clone()), Vec::new());
        connection.command(mail).await.map_err(failed)?;
        let recipient = Rcpt::new(to.clone(), Vec::new());
        connection.command(recipient).await.map_err(refused)?;
        connection.command(Data).await.map_err(refused)?;
        // lettre ends the last line itself.
        let bytes = letter.bytes();
        let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
        connection.message(bytes).await.map_err(refused)?;
        self.keep(connection);
        Ok(())
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, Error> {
        while let Some(mut idle) = self.take() {
            let fresh = idle.since.elapsed() < Duration::from_secs(Self::IDLE_SECS_MAX);
            if fresh && idle.connection.test_connected().await {
                return Ok(idle.connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let server = (self.host.as_str(), self.port);
        let implicit = match &self.security {
            Ready::Implicit(tls) => Some(tls.clone()),
            Ready::StartTls(_) | Ready::None => None,
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &self.hello, implicit, None)
                .await?;
        if let Ready::StartTls(tls) = &self.security {
            // Fails where the server offers none, so that nothing is ever said in the clear.
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, credentials).await?;
        }
        Ok(connection)
    }

    fn take(&self) -> Option<Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever keeps one has a turn, so that there are never more than turns.
        idle.push(Idle {
            connection,
            since: Instant::now(),
        });
    }
}

#[async_trait]
impl Transport for SmtpTransport {
    async fn deliver(&self, letter: &Letter) -> Result<(), MailError> {
        match timeout(self.timeout, self.send(letter)).await {
            Ok(outcome) => outcome,
            Err(late) => Err(unavailable(PORT, late)),
        }
    }
}

impl fmt::Debug for SmtpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SmtpTransport").field(&self.described).finish()
    }
}

/// What the server says of the recipient or the letter: for good, or for now.
fn refused(error: Error) -> MailError {
    let of_the_mail = error
        .status()
        .is_some_and(|code| code.category == Category::MailSystem);
    if error.is_permanent() && of_the_mail {
        return MailError::Refused(answer(&error));
    }
    failed(error)
}

/// What went wrong before the recipient was even named, or may pass.
fn failed(error: Error) -> MailError {
    unavailable(PORT, error)
}

/// A server's answer in one line of bounded length.
fn answer(error: &Error) -> String {
    let line = error.to_string().replace(char::is_control, " ");
    line.chars().take(ANSWER_CHARS_MAX).collect()
}

fn tls(host: &str, settings: &SmtpSettings) -> Result<TlsParameters, SettingsError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &settings.ca_file {
        builder = builder.add_root_certificate(authorities(path)?);
    }
    builder
        .build_rustls()
        .map_err(|error| SettingsError::Tls(error.to_string()))
}

/// The certificates in a file.
fn authorities(path: &Path) -> Result<Certificate, SettingsError> {
    let unusable = |detail: String| SettingsError::CaFile {
        path: path.to_owned(),
        detail,
    };
    let mut pem = String::new();
    let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
    file.take(CA_FILE_BYTES_MAX)
        .read_to_string(&mut pem)
        .map_err(|error| unusable(error.to_string()))?;
    if !pem.contains(CERTIFICATE_BEGIN) {
        return Err(unusable("it holds no PEM certificate".to_owned()));
    }
    Certificate::from_pem(pem.as_bytes()).map_err(|error| unusable(error.to_string()))
}
