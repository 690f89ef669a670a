//! A whole desk in this process: a database of its own, the API behind a real socket, people to act as.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use credentials::{KeyUse, MasterSecret, SystemClock, UuidIds};
use delivery::FilePlace;
use http::link::RatingKeys;
use http::rate::RateSettings;
use http::server::{Listeners, ServerSettings, serve};
use identity::ThrottleLimits;
use identity::ports::{Mail, Mailer};
use identity::service::{CreateUser, Registration};
use identity::testing::{SentMails, token_of};
use kernel::{Actor, Clock, Person, Role, TeamId, TeamRole, UserId};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use server::config::Config;
use server::desk::{Basis, Desk};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::database::{TestDatabase, test_database};

/// The password of everyone here.
pub const PASSWORD: &str = "nine yellow kettles";

/// So long may the head of a connection's first request take here: no test sends one in pieces but to be
/// refused.
const HEAD_DEADLINE: Duration = Duration::from_secs(2);
/// The secret of every desk here.
pub const SECRET: [u8; 32] = [7; 32];

/// What signs links to rate by on every desk here.
#[must_use]
pub fn rating_keys() -> RatingKeys {
    let secret = MasterSecret::from_bytes(SECRET).derive(KeyUse::RatingLink);
    RatingKeys::new([secret.sign(b"ratings")])
}

/// A configuration without limits on logins.
#[must_use]
pub fn lifted() -> Config {
    Config {
        rates: RateSettings::lifted(),
        throttle: ThrottleLimits::lifted(),
        ..Config::default()
    }
}

/// A running desk. Its API ends when it is dropped.
pub struct TestDesk {
    /// Its services.
    pub desk: Desk,
    /// Its database, which it may share with other nodes.
    pub database: Arc<TestDatabase>,
    /// Where its API is: `http://127.0.0.1:…`.
    pub url: String,
    /// The folder of its attachments, unless it was configured with another place.
    pub files: TempDir,
    sent: Arc<SentMails>,
    client: Client,
    _stop: oneshot::Sender<()>,
}

/// Someone who is signed in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub id: UserId,
    /// What the account may do in general.
    pub role: Role,
    /// The access token.
    pub token: String,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
}

/// A client that follows no redirection: where one leads is a part of what is tested.
#[expect(clippy::expect_used, reason = "a test ends where there is no client")]
fn client() -> Client {
    // Where single sign-on is built too, reqwest asks for the process' provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().redirect(Policy::none());
    client.build().expect("make a client")
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A member of the body as text.
    ///
    /// # Panics
    /// When there is no such member, or it is no text.
    #[must_use]
    pub fn text_of(&self, pointer: &str) -> String {
        let json = self.json();
        let value = json.pointer(pointer).and_then(Value::as_str);
        value
            .unwrap_or_else(|| panic!("no text at {pointer}: {json:#}"))
            .to_owned()
    }

    /// A header as text; empty when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    }

    /// The same answer, when it has this status.
    ///
    /// # Panics
    /// When it has another.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The same answer, when it is the problem with this status and code.
    ///
    /// # Panics
    /// When it is something else.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.text_of("/code").as_str()),
            (status, code),
            "{}",
            self.text
        );
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text
        );
        assert_eq!(self.json()["status"], status);
        assert_eq!(self.text_of("/requestId"), self.header("x-request-id"));
    }
}

/// A request in the making.
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a> {
    desk: &'a TestDesk,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl Request<'_> {
    /// With a header.
    ///
    /// # Panics
    /// When it cannot be one.
    #[expect(clippy::unwrap_used, reason = "a test's own header")]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// As someone.
    pub fn by(self, caller: &Caller) -> Self {
        let bearer = format!("Bearer {}", caller.token);
        self.header("authorization", &bearer)
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.raw(body.to_string())
    }

    /// With a body as it is, called JSON unless a header says otherwise.
    pub fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        if self.headers.contains_key("content-type") {
            self
        } else {
            self.header("content-type", "application/json")
        }
    }

    /// Sends it and reads the answer.
    ///
    /// # Panics
    /// When there is no answer.
    #[expect(clippy::unwrap_used, reason = "a test ends where there is no answer")]
    pub async fn send(self) -> Reply {
        let Self {
            desk,
            method,
            path,
            headers,
            body,
        } = self;
        let mut request = desk
            .client
            .request(method, format!("{}{path}", desk.url))
            .headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }
}

impl TestDesk {
    /// A desk with no one and nothing in it, and no limits on logins.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn start() -> Self {
        Self::start_on(test_database().await).await
    }

    /// A desk on this database.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn start_on(database: impl Into<Arc<TestDatabase>>) -> Self {
        Self::start_set(database, |_| ()).await
    }

    /// A desk with other settings than the usual ones.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn start_with(set: impl FnOnce(&mut Config)) -> Self {
        Self::start_set(test_database().await, set).await
    }

    async fn start_set(database: impl Into<Arc<TestDatabase>>, set: impl FnOnce(&mut Config)) -> Self {
        let mut config = lifted();
        set(&mut config);
        Self::start_configured(database, config).await
    }

    /// A desk on this database that is configured so; on the database of another it is another node of the same desk.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn start_configured(database: impl Into<Arc<TestDatabase>>, config: Config) -> Self {
        Self::start_as(database, config, Arc::new(SystemClock)).await
    }

    /// A desk on this database, of this configuration, in this time.
    ///
    /// # Panics
    /// When it cannot be had.
    #[expect(clippy::unwrap_used, reason = "a test ends where there is no desk")]
    #[expect(
        clippy::disallowed_methods,
        reason = "the API runs beside the test and ends with it"
    )]
    pub async fn start_as(
        database: impl Into<Arc<TestDatabase>>,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let database = database.into();
        let sent = Arc::new(SentMails::default());
        let files = TempDir::new().unwrap();
        let mut config = config;
        let place = FilePlace::Folder(files.path().join("attachments"));
        config.attachments_place.get_or_insert(place);
        let basis = Basis {
            database: database.database().clone(),
            secret: MasterSecret::from_bytes(SECRET).into(),
            clock,
            ids: Arc::new(UuidIds),
            mailer: Arc::clone(&sent) as Arc<dyn Mailer>,
            blobs: server::files::blobs(&config).unwrap(),
            caller: server::webhooks::caller(&config),
        };
        let desk = Desk::assemble(basis, &config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let settings = ServerSettings {
            workers: 1,
            drain_delay: Duration::ZERO,
            head_deadline: HEAD_DEADLINE,
            ..ServerSettings::default()
        };
        let state = desk.http_state(None);
        let listeners = Listeners {
            api: listener,
            metrics: None,
        };
        tokio::spawn(serve(settings, state.into(), listeners, async move {
            let _ = stopped.await;
        }));
        Self {
            desk,
            database,
            url,
            files,
            sent,
            client: client(),
            _stop: stop,
        }
    }

    /// Lets searches find what was written until now.
    ///
    /// # Panics
    /// When the index does not keep up.
    #[expect(clippy::unwrap_used, reason = "a test ends where there is no index")]
    pub async fn take_up(&self) {
        while self.desk.search.take_up().await.unwrap() > 0 {}
    }

    /// Opens a connection to the API.
    ///
    /// # Panics
    /// When there is none to be had.
    #[expect(clippy::unwrap_used, reason = "a test ends where nobody listens")]
    pub async fn connect(&self) -> TcpStream {
        let address = self.url.trim_start_matches("http://");
        TcpStream::connect(address).await.unwrap()
    }

    /// Sends bytes as they are and reads whatever comes until the server ends the connection.
    ///
    /// # Panics
    /// When there is no connection.
    pub async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may have hung up already, with its answer sent.
        let _ = stream.write_all(bytes).await;
        read_to_end(stream).await
    }

    /// Hands every event that waits to its subscribers, and gives the mails that were sent since this was asked last.
    ///
    /// # Panics
    /// When an event cannot be handed on.
    #[expect(clippy::unwrap_used, reason = "a test ends where events get stuck")]
    pub async fn mails(&self) -> Vec<Mail> {
        let delivery = self.desk.relay().drain().await.unwrap();
        assert_eq!((delivery.postponed, delivery.buried), (0, 0), "{delivery:?}");
        self.sent.take()
    }

    /// Hands every event that waits to its subscribers, and gives the types of someone's notifications, the newest first; their
    /// mails are gone then.
    ///
    /// # Panics
    /// When an event cannot be handed on, or they have no inbox.
    #[expect(clippy::unwrap_used, reason = "a test ends where there is no inbox")]
    pub async fn told(&self, who: &Caller) -> Vec<String> {
        let _ = self.mails().await;
        let list = self.get(who, "/api/v1/notifications").await.expect(200).json();
        let rows = list["data"].as_array().unwrap();
        rows.iter()
            .map(|row| row["type"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The token that the link of the one mail to `address` carries, among those that were sent since the last time.
    ///
    /// # Panics
    /// When there is not one such mail.
    pub async fn mailed_token(&self, address: &str) -> String {
        let mails = self.mails().await;
        let mut tokens = mails
            .iter()
            .filter(|mail| mail.to.as_str() == address)
            .filter_map(token_of);
        match (tokens.next(), tokens.next()) {
            (Some(token), None) => token,
            _ => panic!("not one link went to {address}: {mails:?}"),
        }
    }

    /// Begins a request.
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        Request {
            desk: self,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: None,
        }
    }

    /// Asks for something as someone.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn get(&self, caller: &Caller, path: &str) -> Reply {
        self.request("GET", path).by(caller).send().await
    }

    /// Posts something as someone.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(&self, caller: &Caller, path: &str, body: &Value) -> Reply {
        self.request("POST", path).by(caller).json(body).send().await
    }

    /// Patches something as someone.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn patch(&self, caller: &Caller, path: &str, body: &Value) -> Reply {
        self.request("PATCH", path).by(caller).json(body).send().await
    }

    /// Someone new, signed in. The first administrator is made as the command line does.
    ///
    /// # Panics
    /// When they cannot be made.
    #[expect(clippy::unwrap_used, reason = "a test ends where there is no one to act")]
    pub async fn person(&self, name: &str, role: Role) -> Caller {
        let email = format!("{name}@example.org");
        let profile = match role {
            Role::Admin => {
                let registration = Registration {
                    email: email.clone(),
                    name: name.to_owned(),
                    password: PASSWORD.to_owned(),
                };
                self.desk.accounts.create_admin(registration).await.unwrap()
            }
            Role::User | Role::Agent => {
                let root = UserId(self.desk.ids.next());
                let actor = Actor::Person(Person {
                    id: root,
                    role: Role::Admin,
                    teams: vec![],
                    origin: None,
                });
                let user = CreateUser {
                    email: email.clone(),
                    name: name.to_owned(),
                    role,
                    password: Some(PASSWORD.to_owned()),
                };
                self.desk
                    .accounts
                    .create_user(&actor, user, &kernel::receipt::no_receipt)
                    .await
                    .unwrap()
            }
        };
        let token = self.log_in(&email).await;
        Caller {
            id: profile.id,
            role,
            token,
        }
    }

    /// An access token for an address.
    ///
    /// # Panics
    /// When the login is refused.
    pub async fn log_in(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": PASSWORD });
        let reply = self
            .request("POST", "/api/v1/auth/login")
            .json(&body)
            .send()
            .await
            .expect(200);
        reply.text_of("/accessToken")
    }

    /// A team with members.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn team(&self, admin: &Caller, name: &str, members: &[(&Caller, TeamRole)]) -> TeamId {
        let made = self
            .post(admin, "/api/v1/teams", &json!({ "name": name }))
            .await
            .expect(201);
        let id = made.text_of("/id");
        for (member, role) in members {
            let body = json!({ "userId": member.id, "roleInTeam": role.as_str() });
            let _ = self
                .post(admin, &format!("/api/v1/teams/{id}/members"), &body)
                .await
                .expect(201);
        }
        TeamId(id.parse().unwrap_or_default())
    }

    /// A ticket of someone, its path: `/api/v1/tickets/…`.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn ticket(&self, requester: &Caller, team: Option<TeamId>) -> String {
        let body = json!({ "subject": "Printer on fire", "description": "It burns.", "teamId": team });
        let made = self.post(requester, "/api/v1/tickets", &body).await.expect(201);
        made.header("location")
    }
}

/// A text for a query: every byte but letters and digits percent-encoded.
#[must_use]
pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(byte).collect()
}

/// Reads whatever comes until the server ends the connection.
pub async fn read_to_end(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // An end that is not an orderly one is an end, too.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
