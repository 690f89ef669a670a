//! Letters to a real SMTP server, which each test starts for itself on the loopback interface: `mailin`
//! speaks the protocol and rustls the TLS, with certificates that `rcgen` makes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as the tests do")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use identity::ports::{Mail, MailContent, MailError, Mailer};
use identity::{EmailAddress, PersonName, SecretToken};
use insightdesk_delivery::{AccountMailer, Desk, Sender, SmtpSettings, SmtpTransport};
use kernel::{EventId, ManualClock, PortError};
use mail_parser::{HeaderName, Message, MessageParser};
use mailin::{Action, AuthMechanism, Handler, Response, Session, SessionBuilder, response};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;
use uuid::Uuid;

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ-_01234";
const USER: &str = "desk@example.com";
const PASSWORD: &str = "p@ss:/w\u{f6}rd";

/// So short that a test of silence ends soon, and long enough for nothing else.
const SHORT: Duration = Duration::from_millis(200);

/// How the server answers.
#[derive(Clone)]
struct Answers {
    /// Wants user and password first.
    locked: bool,
    sender: Response,
    recipient: Response,
    letter: Response,
    /// Never answers the first letter.
    stalls_once: bool,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            locked: false,
            sender: response::OK,
            recipient: response::OK,
            letter: response::OK,
            stalls_once: false,
        }
    }
}

impl Answers {
    fn locked() -> Self {
        Self {
            locked: true,
            ..Self::default()
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Offers {
    Nothing,
    StartTls,
    ImplicitTls,
}

/// What the server saw.
#[derive(Default)]
struct Seen {
    connections: usize,
    hellos: Vec<String>,
    users: Vec<(String, String)>,
    /// Whether the connection was encrypted, from, to and the letter's bytes.
    letters: Vec<(bool, String, String, Vec<u8>)>,
}

struct Server {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    fn start(offers: Offers, answers: Answers, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = Connection {
                    offers,
                    answers: answers.clone(),
                    tls: tls.clone(),
                    seen: shared.clone(),
                };
                thread::spawn(move || connection.serve(stream.unwrap()));
            }
        });
        Self { port, seen }
    }

    fn plain(answers: Answers) -> Self {
        Self::start(Offers::Nothing, answers, None)
    }

    fn settings(&self) -> SmtpSettings {
        SmtpSettings::parse(&format!("smtp://127.0.0.1:{}?tls=none", self.port)).unwrap()
    }

    fn letters(&self) -> Vec<(bool, String, String, Vec<u8>)> {
        self.seen.lock().unwrap().letters.clone()
    }
}

/// One connection's side of the server.
struct Connection {
    offers: Offers,
    answers: Answers,
    tls: Option<Arc<ServerConfig>>,
    seen: Arc<Mutex<Seen>>,
}

impl Connection {
    /// Ends with the client's side; what goes wrong there is the client's to tell.
    fn serve(self, stream: TcpStream) {
        let first = {
            let mut seen = self.seen.lock().unwrap();
            seen.connections += 1;
            seen.connections == 1
        };
        let mut builder = SessionBuilder::new("mx.example.org");
        if self.answers.locked {
            builder.enable_auth(AuthMechanism::Plain);
        }
        if self.offers == Offers::StartTls {
            builder.enable_start_tls();
        } else {
            builder.insecure_enable_plaintext_auth();
        }
        let desk = Mailbox {
            answers: self.answers,
            seen: self.seen,
            encrypted: self.offers != Offers::Nothing,
            stalls: first,
            from: String::new(),
            to: String::new(),
            bytes: Vec::new(),
        };
        let mut session = builder.build(IpAddr::V4(Ipv4Addr::LOCALHOST), desk);
        let encrypt = |stream| {
            let connection = ServerConnection::new(self.tls.clone().unwrap()).unwrap();
            BufReader::new(StreamOwned::new(connection, stream))
        };
        let _ended: io::Result<()> = (|| {
            if self.offers == Offers::ImplicitTls {
                let mut stream = encrypt(stream);
                session.greeting().write_to(stream.get_mut())?;
                converse(&mut session, &mut stream)?;
                return Ok(());
            }
            let mut plain = BufReader::new(stream);
            session.greeting().write_to(plain.get_mut())?;
            if converse(&mut session, &mut plain)? {
                session.tls_active();
                converse(&mut session, &mut encrypt(plain.into_inner()))?;
            }
            Ok(())
        })();
    }
}

/// Answers until the client leaves; true when it asks for TLS.
fn converse<S: Read + Write>(session: &mut Session<Mailbox>, stream: &mut BufReader<S>) -> io::Result<bool> {
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line)? > 0 {
        let answer = session.process(&line);
        line.clear();
        if answer.action != Action::NoReply {
            stream.get_mut().write_all(&answer.buffer()?)?;
            stream.get_mut().flush()?;
        }
        match answer.action {
            Action::UpgradeTls => return Ok(true),
            Action::Close => return Ok(false),
            Action::Reply | Action::NoReply => {}
        }
    }
    Ok(false)
}

struct Mailbox {
    answers: Answers,
    seen: Arc<Mutex<Seen>>,
    encrypted: bool,
    stalls: bool,
    from: String,
    to: String,
    bytes: Vec<u8>,
}

impl Handler for Mailbox {
    fn helo(&mut self, _ip: IpAddr, domain: &str) -> Response {
        self.seen.lock().unwrap().hellos.push(domain.to_owned());
        response::OK
    }

    fn mail(&mut self, _ip: IpAddr, _domain: &str, from: &str) -> Response {
        from.clone_into(&mut self.from);
        self.answers.sender.clone()
    }

    fn rcpt(&mut self, to: &str) -> Response {
        to.clone_into(&mut self.to);
        self.answers.recipient.clone()
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let bytes = std::mem::take(&mut self.bytes);
        if self.answers.stalls_once && self.stalls {
            loop {
                thread::park();
            }
        }
        let letter = (self.encrypted, self.from.clone(), self.to.clone(), bytes);
        self.seen.lock().unwrap().letters.push(letter);
        self.answers.letter.clone()
    }

    fn auth_plain(&mut self, _as_whom: &str, user: &str, password: &str) -> Response {
        let pair = (user.to_owned(), password.to_owned());
        self.seen.lock().unwrap().users.push(pair);
        if (user, password) == (USER, PASSWORD) {
            response::AUTH_OK
        } else {
            response::INVALID_CREDENTIALS
        }
    }
}

/// An authority of one's own, and a server's certificate by it.
struct Private {
    dir: TempDir,
    config: Arc<ServerConfig>,
}

impl Private {
    fn for_host(host: &str) -> Self {
        let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([host.to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        Self {
            dir,
            config: Arc::new(config),
        }
    }

    fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }
}

fn mailer_of(desk: &str, from: &str, settings: &SmtpSettings) -> AccountMailer {
    let desk = Desk::new(desk, "https://help.example.com").unwrap();
    let transport = Arc::new(SmtpTransport::new(settings, &desk).unwrap());
    let clock = Arc::new(ManualClock::at("2026-03-04T05:06:07Z".parse().unwrap()));
    AccountMailer::new(desk, Sender::parse(from).unwrap(), clock, transport).unwrap()
}

fn mailer(settings: &SmtpSettings) -> AccountMailer {
    mailer_of("Acme Help", "help@example.com", settings)
}

fn mail(name: &str, content: MailContent) -> Mail {
    Mail {
        id: EventId(Uuid::from_u128(7)),
        to: EmailAddress::parse("/email", "kim@example.org").unwrap(),
        name: PersonName::parse("/name", name).unwrap(),
        content,
    }
}

fn invitation() -> Mail {
    let content = MailContent::Invitation {
        token: SecretToken::parse(TOKEN).unwrap(),
        life: TimeDelta::days(7),
    };
    mail("Kim", content)
}

fn parsed(bytes: &[u8]) -> Message<'_> {
    MessageParser::default().parse(bytes).unwrap()
}

fn count(message: &Message<'_>, name: &str) -> usize {
    message
        .header_values(HeaderName::parse(name.to_owned()).unwrap())
        .count()
}

#[track_caller]
fn assert_unavailable(outcome: Result<(), MailError>) -> String {
    match outcome {
        Err(MailError::Port(PortError::Unavailable { source, .. })) => source.to_string(),
        other => panic!("{other:?} is no failure that may pass"),
    }
}

#[tokio::test]
async fn a_letter_arrives_with_both_parts_its_link_and_its_headers() {
    let server = Server::plain(Answers::default());
    mailer(&server.settings()).send(&invitation()).await.unwrap();

    let letters = server.letters();
    let [(_, from, to, bytes)] = letters.as_slice() else {
        panic!("{} letters", letters.len());
    };
    assert_eq!(
        (from.as_str(), to.as_str()),
        ("help@example.com", "kim@example.org")
    );
    assert!(bytes.is_ascii());
    assert_eq!(server.seen.lock().unwrap().hellos, ["help.example.com"]);

    let message = parsed(bytes);
    assert_eq!(message.subject(), Some("Your account at Acme Help"));
    assert_eq!(
        message.message_id(),
        Some("00000000-0000-0000-0000-000000000007@example.com")
    );
    let headers = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
    ];
    for name in headers {
        assert_eq!(count(&message, name), 1, "{name}");
    }
    assert_eq!(message.headers().len(), headers.len());
    assert_eq!((message.text_body_count(), message.html_body_count()), (1, 1));
    let link = format!("https://help.example.com/account/invitation#{TOKEN}");
    let (text, html) = (message.body_text(0).unwrap(), message.body_html(0).unwrap());
    assert!(text.starts_with("Hello Kim,") && text.contains(&link), "{text}");
    assert!(html.contains(&format!("href=\"{link}\"")), "{html}");
    assert!(text.contains("good for 7 days") && html.contains("good for 7 days"));
}

#[tokio::test]
async fn every_mail_arrives_as_it_was_written() {
    let server = Server::plain(Answers::default());
    let mailer = mailer_of("Bücher & Co.", "help@example.com", &server.settings());
    let contents = [
        invitation().content,
        MailContent::AlreadyRegistered,
        MailContent::RecoveryCodeUsed { left: 3 },
        MailContent::ApiKeyCreated {
            name: "Schlüssel <1>".to_owned(),
        },
    ];
    for content in contents {
        let mail = mail("Jürgen", content);
        mailer.send(&mail).await.unwrap();
        let letter = mailer.write(&mail).unwrap();
        let (_, _, _, bytes) = server.letters().pop().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            String::from_utf8_lossy(letter.bytes())
        );
        let message = parsed(&bytes);
        assert_eq!(message.subject(), Some(letter.subject()));
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&message.body_text(0).unwrap()), lines(letter.text()));
        assert_eq!(lines(&message.body_html(0).unwrap()), lines(letter.html()));
    }
}

#[tokio::test]
async fn letters_one_after_the_other_share_a_connection() {
    let server = Server::plain(Answers::default());
    let mailer = mailer(&server.settings());
    for _ in 0..3 {
        mailer.send(&invitation()).await.unwrap();
    }
    assert_eq!(server.letters().len(), 3);
    assert_eq!(server.seen.lock().unwrap().connections, 1);
}

#[tokio::test]
async fn letters_at_once_have_a_few_connections_at_most() {
    let server = Server::plain(Answers::default());
    let mailer = mailer(&server.settings());
    let mail = invitation();
    let four = || async {
        tokio::join!(
            mailer.send(&mail),
            mailer.send(&mail),
            mailer.send(&mail),
            mailer.send(&mail)
        )
    };
    let (a, b, c) = tokio::join!(four(), four(), four());
    for (one, two, three, four) in [a, b, c] {
        assert!(one.is_ok() && two.is_ok() && three.is_ok() && four.is_ok());
    }
    assert_eq!(server.letters().len(), 12);
    assert!(server.seen.lock().unwrap().connections <= SmtpTransport::CONNECTIONS_MAX);
}

#[tokio::test]
async fn starttls_with_a_private_authority_carries_password_and_letter() {
    let private = Private::for_host("localhost");
    let server = Server::start(Offers::StartTls, Answers::locked(), Some(private.config.clone()));
    let url = format!(
        "smtp://desk%40example.com:p%40ss%3A%2Fw%C3%B6rd@localhost:{}",
        server.port
    );
    let settings = SmtpSettings::parse(&url).unwrap().with_ca_file(private.ca_file());
    mailer(&settings).send(&invitation()).await.unwrap();
    assert_eq!(server.letters().len(), 1);
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.users, [(USER.to_owned(), PASSWORD.to_owned())]);
}

#[tokio::test]
async fn tls_from_the_first_byte_works_by_address_too() {
    let private = Private::for_host("127.0.0.1");
    let server = Server::start(
        Offers::ImplicitTls,
        Answers::default(),
        Some(private.config.clone()),
    );
    let url = format!("smtps://127.0.0.1:{}", server.port);
    let settings = SmtpSettings::parse(&url).unwrap().with_ca_file(private.ca_file());
    mailer(&settings).send(&invitation()).await.unwrap();
    assert!(server.letters()[0].0);
}

#[tokio::test]
async fn a_server_without_tls_gets_neither_password_nor_letter() {
    let server = Server::plain(Answers::default());
    let url = format!("smtp://user:pass@localhost:{}", server.port);
    let settings = SmtpSettings::parse(&url).unwrap();
    assert_unavailable(mailer(&settings).send(&invitation()).await);
    let seen = server.seen.lock().unwrap();
    assert!(seen.users.is_empty() && seen.letters.is_empty());
}

#[tokio::test]
async fn a_certificate_that_nobody_trusted_vouches_for_is_refused() {
    let private = Private::for_host("localhost");
    let stranger = Private::for_host("localhost");
    for scheme in ["smtp", "smtps"] {
        let offers = match scheme {
            "smtp" => Offers::StartTls,
            _ => Offers::ImplicitTls,
        };
        let server = Server::start(offers, Answers::default(), Some(private.config.clone()));
        let url = format!("{scheme}://user:pass@localhost:{}", server.port);
        let settings = SmtpSettings::parse(&url).unwrap();
        for settings in [settings.clone(), settings.with_ca_file(stranger.ca_file())] {
            let told = assert_unavailable(mailer(&settings).send(&invitation()).await);
            assert!(told.contains("certificate"), "{told}");
        }
        let seen = server.seen.lock().unwrap();
        assert!(seen.users.is_empty() && seen.letters.is_empty());
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let private = Private::for_host("mail.example.com");
    let server = Server::start(Offers::StartTls, Answers::default(), Some(private.config.clone()));
    let url = format!("smtp://user:pass@localhost:{}", server.port);
    let settings = SmtpSettings::parse(&url).unwrap().with_ca_file(private.ca_file());
    let told = assert_unavailable(mailer(&settings).send(&invitation()).await);
    assert!(told.contains("certificate"), "{told}");
    assert!(server.letters().is_empty());
}

#[tokio::test]
async fn a_refused_password_may_be_mended_and_is_shown_nowhere() {
    let server = Server::plain(Answers::locked());
    let url = format!("smtp://desk:hunter2hunter2@127.0.0.1:{}?tls=none", server.port);
    let settings = SmtpSettings::parse(&url).unwrap();
    let outcome = mailer(&settings).send(&invitation()).await;
    let printed = format!("{outcome:?}");
    let told = assert_unavailable(outcome);
    assert!(told.contains("535"), "{told}");
    assert!(!format!("{told} {printed}").contains("hunter2"), "{printed}");
    assert!(server.letters().is_empty());
}

#[tokio::test]
async fn a_recipient_or_letter_that_is_refused_for_good_is_refused() {
    let recipient = Answers {
        recipient: response::NO_MAILBOX,
        ..Answers::default()
    };
    let letter = Answers {
        letter: response::TRANSACTION_FAILED,
        ..Answers::default()
    };
    for (answers, code) in [(recipient, "550"), (letter, "554")] {
        let server = Server::plain(answers);
        let outcome = mailer(&server.settings()).send(&invitation()).await;
        let Err(MailError::Refused(told)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(told.contains(code), "{told}");
    }
}

#[tokio::test]
async fn what_is_refused_for_now_or_is_not_the_recipients_may_pass() {
    let recipient = Answers {
        recipient: response::INTERNAL_ERROR,
        ..Answers::default()
    };
    let letter = Answers {
        letter: response::OUT_OF_SPACE,
        ..Answers::default()
    };
    let closing = Answers {
        recipient: response::NO_SERVICE,
        ..Answers::default()
    };
    let sender = Answers {
        sender: response::BAD_MAILBOX,
        ..Answers::default()
    };
    let password = Answers {
        recipient: response::AUTHENTICATION_REQUIRED,
        ..Answers::default()
    };
    let cases = [
        (recipient, "451"),
        (letter, "452"),
        (closing, "421"),
        (sender, "553"),
        (password, "530"),
    ];
    for (answers, code) in cases {
        let server = Server::plain(answers);
        let told = assert_unavailable(mailer(&server.settings()).send(&invitation()).await);
        assert!(told.contains(code), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    // Takes the connection, in the kernel's queue, and says nothing.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    for url in [
        format!("smtp://127.0.0.1:{port}?tls=none"),
        format!("smtp://127.0.0.1:{port}"),
        format!("smtps://127.0.0.1:{port}"),
    ] {
        let settings = SmtpSettings::parse(&url).unwrap().with_timeout(SHORT);
        let began = Instant::now();
        assert_unavailable(mailer(&settings).send(&invitation()).await);
        assert!(began.elapsed() < Duration::from_secs(SmtpSettings::SEND_SECS_MAX));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failure_that_may_pass() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = SmtpSettings::parse(&format!("smtp://127.0.0.1:{port}?tls=none")).unwrap();
    assert_unavailable(mailer(&settings).send(&invitation()).await);
}

#[tokio::test]
async fn a_connection_that_was_given_up_in_the_middle_of_a_letter_serves_no_other() {
    let server = Server::plain(Answers {
        stalls_once: true,
        ..Answers::default()
    });
    let mailer = mailer(&server.settings().with_timeout(Duration::from_secs(2)));
    assert_unavailable(mailer.send(&invitation()).await);
    mailer.send(&invitation()).await.unwrap();
    assert_eq!(server.seen.lock().unwrap().connections, 2);
    assert_eq!(server.letters().len(), 1);
}

#[tokio::test]
async fn no_text_of_a_stranger_becomes_a_header() {
    let evil = "Eve\r\nBcc: victim@example.net\r\n\r\n<p>\0";
    let server = Server::plain(Answers::default());
    let mailer = mailer_of(
        "Hilfe für \"alle\" <a@b.example>, c",
        "help@example.com",
        &server.settings(),
    );
    let contents = [
        MailContent::ApiKeyCreated {
            name: evil.to_owned(),
        },
        MailContent::SignOnLinked {
            provider: evil.to_owned(),
        },
        MailContent::RateTicket {
            token: SecretToken::parse(TOKEN).unwrap(),
            life: chrono::TimeDelta::days(7),
            number: evil.to_owned(),
            subject: evil.to_owned(),
        },
    ];
    for content in contents {
        // A person's name with line breaks cannot be made; this one tries with signs that mean something in
        // headers.
        mailer
            .send(&mail("Jürgen =?utf-8?q?x?= <a@b.c>, d", content))
            .await
            .unwrap();
        let (_, _, to, bytes) = server.letters().pop().unwrap();
        assert_eq!(to, "kim@example.org");
        let message = parsed(&bytes);
        for name in ["From", "To", "Subject", "Message-ID", "Date"] {
            assert_eq!(count(&message, name), 1, "{name}");
        }
        assert_eq!(count(&message, "Bcc"), 0);
        assert_eq!(message.headers().len(), 9);
        let from = message.from().unwrap();
        assert_eq!(from.iter().count(), 1);
        assert_eq!(from.first().unwrap().address(), Some("help@example.com"));
        assert_eq!(
            from.first().unwrap().name(),
            Some("Hilfe für \"alle\" <a@b.example>, c")
        );
        assert_eq!(message.to().unwrap().iter().count(), 1);
        assert_eq!(
            message.to().unwrap().first().unwrap().address(),
            Some("kim@example.org")
        );
        assert!(bytes.is_ascii());
        assert!(message.subject().unwrap().contains("Hilfe für \"alle\""));
        assert!(!message.body_text(0).unwrap().contains("\nBcc"));
        assert!(!message.body_html(0).unwrap().contains("<p>\0"));
    }
}
