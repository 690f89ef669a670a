//! Webhook calls over HTTP.
//!
//! A name is resolved for each connection, and the connection made to an address that was checked and to no other: whatever
//! a name leads to at the next moment is never reached. Addresses written out are checked with the URL. Redirects are not
//! followed, certificates are verified by the system's roots, variables for proxies are ignored, nothing is decompressed, and
//! of an answer no more is read than is kept.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use automation::webhook::{
    ANSWER_MAX_BYTES, AddressRules, Answer, Called, Caller, Forbidden, Outgoing, SEND_MAX,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};
use rustls::crypto::CryptoProvider;

/// How long a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long is waited for the text of an answer: its status counts, the text is for the log alone.
const EXCERPT_TIME_MAX: Duration = Duration::from_secs(2);
/// How many characters of it the log keeps.
const EXCERPT_CHARS: usize = 1_000;

/// Looks names up.
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

type More = fn(ClientBuilder) -> ClientBuilder;

/// Makes webhook calls.
pub struct WebhookCaller {
    names: Arc<CheckedNames>,
    more: More,
    /// Made with the first call: most desks have no webhooks, and the system's certificates take a moment to read.
    client: OnceLock<Result<Client, reqwest::Error>>,
}

impl WebhookCaller {
    /// Calls addresses that these rules allow.
    #[must_use]
    pub fn new(addresses: AddressRules) -> Self {
        Self::with(addresses, Arc::new(|name| Box::pin(system(name))), |client| {
            client
        })
    }

    fn with(addresses: AddressRules, lookup: Lookup, more: More) -> Self {
        Self {
            names: Arc::new(CheckedNames { addresses, lookup }),
            more,
            client: OnceLock::new(),
        }
    }

    fn client(&self) -> Result<&Client, &reqwest::Error> {
        let made = self.client.get_or_init(|| {
            // reqwest takes the process' provider. Whoever comes first installs it; all of ours are ring.
            if CryptoProvider::get_default().is_none() {
                let _ = rustls::crypto::ring::default_provider().install_default();
            }
            let client = Client::builder()
                .dns_resolver(Arc::clone(&self.names))
                .connect_timeout(CONNECT_TIME_MAX)
                .timeout(SEND_MAX.to_std().unwrap_or(CONNECT_TIME_MAX))
                .redirect(Policy::none())
                .no_proxy()
                .http1_only()
                .user_agent(concat!("InsightDesk/", env!("CARGO_PKG_VERSION")));
            (self.more)(client).build()
        });
        made.as_ref()
    }
}

async fn answered(client: &Client, outgoing: &Outgoing) -> Result<Response, reqwest::Error> {
    client
        .post(&outgoing.url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &outgoing.signed.id)
        .header("webhook-timestamp", &outgoing.signed.timestamp)
        .header("webhook-signature", &outgoing.signed.signature)
        .body(outgoing.body.clone())
        .send()
        .await
}

fn failed(name: &str) -> Called {
    Called {
        answer: Answer::Failed { retry_after: None },
        status: None,
        error: Some(name.to_owned()),
        excerpt: None,
    }
}

impl fmt::Debug for WebhookCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookCaller").finish_non_exhaustive()
    }
}

#[async_trait]
impl Caller for WebhookCaller {
    async fn call(&self, outgoing: &Outgoing) -> Called {
        // Without its certificates the system trusts nobody.
        let Ok(client) = self.client() else {
            return failed("tls");
        };
        let response = match answered(client, outgoing).await {
            Ok(response) => response,
            Err(error) => return failed(name_of(&error)),
        };
        let status = response.status().as_u16();
        let answer = Answer::of_status(status, retry_after(response.headers()));
        Called {
            answer,
            status: Some(status),
            error: (!answer.is_taken()).then(|| "status".to_owned()),
            excerpt: excerpt(response).await,
        }
    }
}

async fn system(name: String) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Resolves names to addresses that may be called.
struct CheckedNames {
    addresses: AddressRules,
    lookup: Lookup,
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (addresses, found) = (self.addresses.clone(), (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = found.await?;
            let is_any = !found.is_empty();
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|ip| addresses.check_ip(*ip).is_ok())
                // The port is that of the URL.
                .map(|ip| SocketAddr::new(ip, 0))
                .collect();
            if is_any && allowed.is_empty() {
                return Err(Forbidden::InsideAddress.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// What went wrong, by a stable name.
fn name_of(error: &reqwest::Error) -> &'static str {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    // Far fewer are ever nested.
    for _ in 0..20 {
        let Some(present) = cause else { break };
        if let Some(forbidden) = present.downcast_ref::<Forbidden>() {
            return forbidden.code();
        }
        if present.is::<rustls::Error>() {
            return "tls";
        }
        // What an I/O error was made of is not its source, but that one's is.
        let wrapped = present.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match wrapped {
            Some(inner) => Some(inner),
            None => present.source(),
        };
    }
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "broken_answer"
    }
}

/// How long the receiver asks us to wait: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<TimeDelta> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    match text.parse::<u32>() {
        Ok(seconds) => Some(TimeDelta::seconds(seconds.into())),
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(text).ok()?;
            let date = date_of(headers)?;
            Some(until.to_utc() - date).filter(|wait| *wait > TimeDelta::zero())
        }
    }
}

/// The receiver's own time, by which its dates are meant.
fn date_of(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get(reqwest::header::DATE)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

/// How an answer begins, as far as it comes in time.
async fn excerpt(mut response: Response) -> Option<String> {
    let mut body: Vec<u8> = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ANSWER_MAX_BYTES - body.len();
            body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if body.len() >= ANSWER_MAX_BYTES || body.len() >= EXCERPT_CHARS * 4 {
                break;
            }
        }
    };
    // What came until then is kept.
    let _ = tokio::time::timeout(EXCERPT_TIME_MAX, read).await;
    let text: String = String::from_utf8_lossy(&body)
        .chars()
        .map(|c| if c == '\0' { '\u{fffd}' } else { c })
        .take(EXCERPT_CHARS)
        .collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use automation::webhook::{Network, Signed};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    /// The one certificate that a test trusts.
    static TRUSTED: OnceLock<Vec<u8>> = OnceLock::new();

    fn inside_allowed() -> AddressRules {
        AddressRules {
            allowed: vec!["127.0.0.0/8".parse::<Network>().unwrap()],
            ports: Vec::new(),
            allows_http: true,
        }
    }

    fn outgoing(url: &str) -> Outgoing {
        Outgoing {
            url: url.to_owned(),
            signed: Signed {
                id: "msg_1".into(),
                timestamp: "1".into(),
                signature: "v1,x".into(),
            },
            body: "{\"a\":1}".into(),
        }
    }

    /// A receiver that answers every connection with these bytes, and then does what the test wants.
    struct Receiver {
        port: u16,
        seen: Arc<Mutex<Vec<String>>>,
        connections: Arc<AtomicUsize>,
        _tasks: JoinSet<()>,
    }

    #[derive(Clone, Copy)]
    enum Then {
        Closes,
        /// One byte at a time, slowly, for ever.
        Drips,
        /// As much as is taken.
        Floods,
    }

    async fn receiver(answer: &'static [u8], then: Then) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (noted, counted) = (Arc::clone(&seen), Arc::clone(&connections));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let noted = Arc::clone(&noted);
                open.spawn(async move {
                    let mut request = vec![0; 8_192];
                    let mut read = 0;
                    while !request[..read].ends_with(b"{\"a\":1}") {
                        match stream.read(&mut request[read..]).await {
                            Ok(0) | Err(_) => break,
                            Ok(more) => read += more,
                        }
                    }
                    noted
                        .lock()
                        .unwrap()
                        .push(String::from_utf8_lossy(&request[..read]).into_owned());
                    let _ = stream.write_all(answer).await;
                    match then {
                        Then::Closes => {}
                        Then::Drips => loop {
                            if stream.write_all(b"x").await.is_err() {
                                break;
                            }
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        },
                        Then::Floods => while stream.write_all(&[b'x'; 65_536]).await.is_ok() {},
                    }
                });
            }
        });
        Receiver {
            port,
            seen,
            connections,
            _tasks: tasks,
        }
    }

    impl Receiver {
        fn url(&self) -> String {
            format!("http://127.0.0.1:{}/hook", self.port)
        }
    }

    fn caller() -> WebhookCaller {
        WebhookCaller::new(inside_allowed())
    }

    /// The names that lead to these addresses, one after the other, the last one for ever.
    fn leading_to(addresses: &'static [&'static [&'static str]]) -> Lookup {
        let asked = Arc::new(AtomicUsize::new(0));
        Arc::new(move |_| {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            let found = addresses
                .get(number)
                .or(addresses.last())
                .copied()
                .unwrap_or_default();
            let found = found.iter().map(|ip| ip.parse().unwrap()).collect();
            Box::pin(async move { Ok(found) })
        })
    }

    #[tokio::test]
    async fn a_call_says_what_it_is_and_gets_its_answer() {
        let receiver = receiver(b"HTTP/1.1 204 No Content\r\n\r\n", Then::Closes).await;
        let called = caller().call(&outgoing(&receiver.url())).await;
        assert_eq!(
            (called.answer, called.status, called.error),
            (Answer::Taken, Some(204), None)
        );
        let seen = receiver.seen.lock().unwrap()[0].to_lowercase();
        for part in [
            "post /hook http/1.1\r\n",
            "webhook-id: msg_1\r\n",
            "webhook-timestamp: 1\r\n",
            "webhook-signature: v1,x\r\n",
            "content-type: application/json\r\n",
            "user-agent: insightdesk/",
        ] {
            assert!(seen.contains(part), "{part} in {seen}");
        }
        assert!(!seen.contains("accept-encoding"), "{seen}");
    }

    /// A redirect is an answer like any that is no success: nobody follows it.
    #[tokio::test]
    async fn redirects_are_not_followed() {
        let inside = receiver(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Then::Closes).await;
        let location = format!(
            "HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            inside.url()
        );
        let receiver = receiver(Box::leak(location.into_boxed_str()).as_bytes(), Then::Closes).await;
        let called = caller().call(&outgoing(&receiver.url())).await;
        assert_eq!(called.status, Some(307));
        assert!(!called.answer.is_taken());
        assert_eq!(inside.connections.load(Ordering::Relaxed), 0);
    }

    /// The environment of a process is its own, so this test runs itself again in another that has proxies in it.
    #[tokio::test]
    async fn proxies_of_the_environment_are_not_asked() {
        const INNER: &str = "INSIGHTDESK_TEST_RECEIVER";
        if let Ok(url) = std::env::var(INNER) {
            assert!(caller().call(&outgoing(&url)).await.answer.is_taken());
            let lookup = leading_to(&[&["127.0.0.1"]]);
            let named = WebhookCaller::with(inside_allowed(), lookup, |client| client);
            let url = url.replace("127.0.0.1", "receiver.example");
            assert!(named.call(&outgoing(&url)).await.answer.is_taken());
            return;
        }
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let wanted = receiver(ok, Then::Closes).await;
        let proxy = receiver(ok, Then::Closes).await;
        let mut again = tokio::process::Command::new(std::env::current_exe().unwrap());
        let test = concat!(module_path!(), "::proxies_of_the_environment_are_not_asked");
        let (_, test) = test.split_once("::").unwrap();
        again.args([test, "--exact"]).env(INNER, wanted.url());
        for variable in [
            "http_proxy",
            "HTTP_PROXY",
            "https_proxy",
            "HTTPS_PROXY",
            "all_proxy",
            "ALL_PROXY",
        ] {
            again.env(variable, format!("http://127.0.0.1:{}", proxy.port));
        }
        for variable in ["no_proxy", "NO_PROXY"] {
            again.env_remove(variable);
        }
        let ended = again.output().await.unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stdout)
        );
        assert_eq!(wanted.seen.lock().unwrap().len(), 2);
        assert_eq!(proxy.connections.load(Ordering::Relaxed), 0);
    }

    /// A name that leads outside when it is checked and inside when it is called: only what is asked at the call counts, and it
    /// is never connected to what it forbids.
    #[tokio::test]
    async fn a_name_that_turns_inside_is_not_called() {
        let receiver = receiver(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Then::Closes).await;
        let url = format!("http://rebinding.example:{}/", receiver.port);
        let strict = AddressRules {
            allows_http: true,
            ..AddressRules::default()
        };
        let lookup = leading_to(&[&["127.0.0.1"]]);
        let caller = WebhookCaller::with(strict.clone(), lookup, |client| client);
        let called = caller.call(&outgoing(&url)).await;
        assert_eq!(called.error.as_deref(), Some("inside_address"));
        for mixed in [
            "::1",
            "10.0.0.1",
            "169.254.169.254",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(strict.check_ip(mixed.parse().unwrap()).is_err(), "{mixed}");
        }
        assert_eq!(receiver.connections.load(Ordering::Relaxed), 0);
        // Of several addresses those that are allowed are called: here the one inside is, by the operator.
        let lookup = leading_to(&[&["10.0.0.1", "127.0.0.1"], &["10.0.0.1"]]);
        let caller = WebhookCaller::with(inside_allowed(), lookup, |client| client);
        assert!(caller.call(&outgoing(&url)).await.answer.is_taken());
        let again = caller.call(&outgoing(&url)).await;
        assert!(
            again.answer.is_taken() || again.error.as_deref() == Some("inside_address"),
            "{again:?}"
        );
    }

    #[tokio::test]
    async fn hostile_answers_are_cut() {
        for (answer, then) in [
            (
                &b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n"[..],
                Then::Floods,
            ),
            (b"HTTP/1.1 200 OK\r\n\r\n", Then::Drips),
            (
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08",
                Then::Closes,
            ),
        ] {
            let receiver = receiver(answer, then).await;
            let called = caller().call(&outgoing(&receiver.url())).await;
            assert_eq!(called.status, Some(200));
            let excerpt = called.excerpt.unwrap_or_default();
            assert!(excerpt.chars().count() <= EXCERPT_CHARS);
        }
        // Headers that do not end.
        let receiver = receiver(b"HTTP/1.1 200 OK\r\nx: ", Then::Floods).await;
        let called = caller().call(&outgoing(&receiver.url())).await;
        assert_eq!(
            (called.status, called.error.as_deref()),
            (None, Some("broken_answer"))
        );
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_trusted_fails() {
        let gone = caller().call(&outgoing("http://127.0.0.1:9/")).await;
        assert_eq!(gone.error.as_deref(), Some("connect"));

        let issued = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key)
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        let server = Arc::new(server);
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};

            // The first caller turns away at the certificate, the second one trusts it.
            for stream in listener.incoming().take(2) {
                let stream = stream.unwrap();
                let session = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
                let mut stream = rustls::StreamOwned::new(session, stream);
                let mut request = [0; 4_096];
                if stream.read(&mut request).is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            }
        });
        let untrusted = caller().call(&outgoing(&url)).await;
        assert_eq!(
            (untrusted.status, untrusted.error.as_deref()),
            (None, Some("tls"))
        );
        TRUSTED.get_or_init(|| issued.cert.der().to_vec());
        let trusting = WebhookCaller::with(
            inside_allowed(),
            Arc::new(|name| Box::pin(system(name))),
            |client| {
                let root = reqwest::Certificate::from_der(TRUSTED.get().unwrap()).unwrap();
                client.tls_certs_only([root])
            },
        );
        assert!(trusting.call(&outgoing(&url)).await.answer.is_taken());
    }

    #[test]
    fn a_receiver_can_ask_for_patience_in_seconds_or_by_a_date() {
        let headers = |retry: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry.parse().unwrap());
            headers.insert("date", "Wed, 21 Oct 2015 07:28:00 GMT".parse().unwrap());
            headers
        };
        for (text, expected) in [
            ("120", Some(120)),
            ("Wed, 21 Oct 2015 07:29:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", None),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(
                retry_after(&headers(text)),
                expected.map(TimeDelta::seconds),
                "{text}"
            );
        }
    }
}
