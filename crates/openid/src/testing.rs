//! A provider of OpenID Connect for tests: on this machine, honest unless it is told otherwise.
//!
//! It signs on whoever [`TestProvider::be`] names, without asking, and holds codes, PKCE and the client's secret
//! against what it knows. [`TestProvider::set`] changes what it does, and [`TestProvider::asked`] tells what it was
//! asked for.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use ring::{digest, hmac};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use url::form_urlencoded;

/// What the provider calls the desk.
pub const CLIENT_ID: &str = "desk client";
/// The desk's secret there; the letters need encoding in a header.
pub const CLIENT_SECRET: &str = "s3cr3t:of+the desk/%";

/// The access token that the userinfo endpoint takes.
const ACCESS_TOKEN: &str = "an-access-token";
/// The name of the RSA key. It is the same in every test, since making one takes long.
const RSA_KEY_ID: &str = "rsa";
/// The name of the Ed25519 key.
const ED25519_KEY_ID: &str = "ed25519";

/// Made for tests; nothing else is signed with it.
static RSA_KEY: LazyLock<RsaKeyPair> =
    LazyLock::new(
        || match RsaKeyPair::from_pkcs8(include_bytes!("testing/rsa.pk8")) {
            Ok(key) => key,
            Err(error) => panic!("no RSA key: {error}"),
        },
    );
static ED25519_KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| match Ed25519KeyPair::from_seed_unchecked(&[7; 32]) {
        Ok(key) => key,
        Err(error) => panic!("no Ed25519 key: {error}"),
    });

/// How the provider signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// ES256 with its own key.
    Honest,
    /// RS256 with its own RSA key.
    Rs256,
    /// PS256 with its own RSA key.
    Ps256,
    /// `EdDSA` with its own Ed25519 key.
    EdDsa,
    /// Not at all: `alg` is `none`.
    None,
    /// HS256 with the client's secret.
    HmacOfSecret,
    /// HS256 with its own public key.
    HmacOfPublicKey,
    /// With its own key, but one bit is wrong.
    Tampered,
    /// With its own key, but a token that says of the address that it is verified.
    OtherWords,
    /// With a key that it does not publish, under the name of one that it does.
    ForeignKey,
}

/// Where the provider fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nowhere.
    None,
    /// The token endpoint answers with this error and 400.
    TokenError(&'static str),
    /// The token endpoint never answers.
    Silence,
    /// The token endpoint answers more than anyone should read.
    Flood,
    /// Everything answers 500.
    Down,
    /// The token endpoint redirects to another path.
    Redirect,
}

/// What the provider does.
pub struct Script {
    /// How it signs.
    pub signing: Signing,
    /// Where it fails.
    pub fault: Fault,
    /// Claims that stand in the ID token instead of the honest ones; null takes one out.
    pub claims: Value,
    /// Members that stand in the token's header beside the honest ones; null takes one out.
    pub header: Value,
    /// What the userinfo endpoint says.
    pub userinfo: Value,
    /// Members that stand in its description of itself instead of the honest ones; null takes one out.
    pub description: Value,
    /// What it publishes as keys before its own.
    pub keys: Vec<Value>,
    /// The access token that it gives.
    pub access_token: &'static str,
    /// The only way in which it takes the client's secret: `client_secret_basic` or `client_secret_post`.
    pub auth: &'static str,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            signing: Signing::Honest,
            fault: Fault::None,
            claims: json!({}),
            header: json!({}),
            userinfo: json!({}),
            description: json!({}),
            keys: vec![json!({"kty": "RSA", "kid": "another", "use": "enc", "n": "AQAB", "e": "AQAB"})],
            access_token: ACCESS_TOKEN,
            auth: "client_secret_basic",
        }
    }
}

/// A running provider. It ends when it is dropped.
pub struct TestProvider {
    /// Its name of itself.
    pub issuer: String,
    inner: Arc<Mutex<Inner>>,
    task: AbortHandle,
}

struct Inner {
    issuer: String,
    /// The secret in use, or none of a public client.
    secret: Option<String>,
    person: Value,
    now: i64,
    key: Key,
    script: Script,
    codes: HashMap<String, HashMap<String, String>>,
    serial: u32,
    asked: Vec<String>,
}

struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let pair = made.map_err(|error| error.to_string()).and_then(|document| {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
                .map_err(|error| error.to_string())
        });
        match pair {
            Ok(pair) => Self {
                id: id.to_owned(),
                pair,
            },
            Err(error) => panic!("no key: {error}"),
        }
    }

    fn published(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |from, to| point.get(from..to).map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": part(1, 33), "y": part(33, 65)})
    }

    fn sign(&self, message: &str) -> Vec<u8> {
        match self.pair.sign(&SystemRandom::new(), message.as_bytes()) {
            Ok(signature) => signature.as_ref().to_vec(),
            Err(error) => panic!("not signed: {error}"),
        }
    }
}

fn rsa_published() -> Value {
    let key = RsaPublicKeyComponents::<Vec<u8>>::from(RSA_KEY.public());
    let (n, e) = (URL_SAFE_NO_PAD.encode(key.n), URL_SAFE_NO_PAD.encode(key.e));
    json!({"kty": "RSA", "use": "sig", "kid": RSA_KEY_ID, "n": n, "e": e})
}

fn rsa_signed(padding: &'static dyn RsaEncoding, message: &str) -> Vec<u8> {
    let mut signature = vec![0; RSA_KEY.public().modulus_len()];
    match RSA_KEY.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature) {
        Ok(()) => signature,
        Err(error) => panic!("not signed: {error}"),
    }
}

fn ed25519_published() -> Value {
    let x = URL_SAFE_NO_PAD.encode(ED25519_KEY.public_key());
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": ED25519_KEY_ID, "x": x})
}

impl TestProvider {
    /// A provider whose clock stands at `now` (seconds since 1970) until it is moved. Without a secret the desk is a
    /// public client of it.
    ///
    /// # Panics
    /// When it cannot listen.
    #[expect(
        clippy::disallowed_methods,
        reason = "the provider runs beside the test and ends with it"
    )]
    pub async fn start(now: i64, secret: Option<&str>) -> Self {
        let listener = match TcpListener::bind("127.0.0.1:0").await {
            Ok(listener) => listener,
            Err(error) => panic!("the provider cannot listen: {error}"),
        };
        let port = listener
            .local_addr()
            .map(|address| address.port())
            .unwrap_or_default();
        let issuer = format!("http://127.0.0.1:{port}/realms/desk");
        let inner = Arc::new(Mutex::new(Inner {
            issuer: issuer.clone(),
            secret: secret.map(str::to_owned),
            person: json!({"sub": "1"}),
            now,
            key: Key::new("key-1"),
            script: Script::default(),
            codes: HashMap::new(),
            serial: 0,
            asked: Vec::new(),
        }));
        let shared = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&shared)));
            }
        });
        Self {
            issuer,
            inner,
            task: task.abort_handle(),
        }
    }

    /// Whom it signs on from now on: the claims of that person.
    pub fn be(&self, person: Value) {
        lock(&self.inner).person = person;
    }

    /// What it does from now on.
    pub fn set(&self, script: Script) {
        lock(&self.inner).script = script;
    }

    /// Signs with a new key of this name from now on, and publishes it alone.
    pub fn rotate(&self, id: &str) {
        lock(&self.inner).key = Key::new(id);
    }

    /// The paths that it was asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.inner).asked.clone()
    }

    /// The codes that it gave out and that were not exchanged.
    #[must_use]
    pub fn codes(&self) -> Vec<String> {
        lock(&self.inner).codes.keys().cloned().collect()
    }

    /// Goes to the address that a sign-on gave, as a browser would: the code, and the `state` that comes with it.
    ///
    /// # Panics
    /// When the address is not one of this provider.
    #[must_use]
    pub fn visit(&self, address: &str) -> (String, String) {
        let mut inner = lock(&self.inner);
        let Some(query) = address.strip_prefix(&format!("{}/authorize?", inner.issuer)) else {
            panic!("not this provider's: {address}")
        };
        let pairs: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(pairs.get("response_type").map(String::as_str), Some("code"));
        assert_eq!(pairs.get("client_id").map(String::as_str), Some(CLIENT_ID));
        assert_eq!(
            pairs.get("code_challenge_method").map(String::as_str),
            Some("S256")
        );
        let state = pairs.get("state").cloned().unwrap_or_default();
        inner.serial += 1;
        let code = format!("code-{}", inner.serial);
        inner.codes.insert(code.clone(), pairs);
        (code, state)
    }
}

impl Drop for TestProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What goes back to whoever asked.
enum Reply {
    Json(u16, Value),
    Redirect(String),
    Flood,
    Silence,
}

async fn answer(mut stream: TcpStream, inner: Arc<Mutex<Inner>>) {
    let mut read = Vec::new();
    let (head, body) = loop {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(length) => read.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").and_then(|length| length.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        }
    };
    let reply = lock(&inner).reply(&head, &body);
    let text = match reply {
        Reply::Json(status, value) => {
            let body = value.to_string();
            let length = body.len();
            format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            )
        }
        Reply::Redirect(to) => {
            format!("HTTP/1.1 307 X\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
        Reply::Flood => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\"";
            let _ = stream.write_all(head.as_bytes()).await;
            let chunk = vec![b'a'; 64 << 10];
            while stream.write_all(&chunk).await.is_ok() {}
            return;
        }
        Reply::Silence => {
            // Until the other side gives up.
            let _ = stream.read(&mut [0; 1]).await;
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

impl Inner {
    fn reply(&mut self, head: &str, body: &str) -> Reply {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        self.asked.push(path.to_owned());
        if self.script.fault == Fault::Down {
            return Reply::Json(500, json!({}));
        }
        let base = path.strip_prefix("/realms/desk").unwrap_or_default();
        match (method, base) {
            ("GET", "/.well-known/openid-configuration") => Reply::Json(200, self.description()),
            ("GET", "/keys") => {
                let mut keys = self.script.keys.clone();
                keys.extend([self.key.published(), rsa_published(), ed25519_published()]);
                Reply::Json(200, json!({ "keys": keys }))
            }
            ("POST", "/token") => self.token(head, body),
            ("GET", "/userinfo") => match header(head, "authorization") {
                Some(shown) if shown == format!("Bearer {ACCESS_TOKEN}") => {
                    Reply::Json(200, self.script.userinfo.clone())
                }
                Some(_) | None => Reply::Json(401, json!({})),
            },
            _ => Reply::Json(404, json!({})),
        }
    }

    fn description(&self) -> Value {
        let issuer = &self.issuer;
        let mut description = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "token_endpoint_auth_methods_supported": [self.script.auth],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "RS256", "PS256", "EdDSA"],
        });
        put(&mut description, &self.script.description);
        description
    }

    fn token(&mut self, head: &str, body: &str) -> Reply {
        match self.script.fault {
            Fault::None | Fault::Down => {}
            Fault::TokenError(error) => return Reply::Json(400, json!({ "error": error })),
            Fault::Silence => return Reply::Silence,
            Fault::Flood => return Reply::Flood,
            Fault::Redirect => return Reply::Redirect(format!("{}/elsewhere", self.issuer)),
        }
        let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let get = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if !self.is_client(head, &form) {
            return Reply::Json(401, json!({"error": "invalid_client"}));
        }
        let refused = || Reply::Json(400, json!({"error": "invalid_grant"}));
        let Some(asked) = self.codes.remove(get("code")) else {
            return refused();
        };
        let hashed = digest::digest(&digest::SHA256, get("code_verifier").as_bytes());
        let asked_for = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        if get("grant_type") != "authorization_code"
            || asked_for("code_challenge") != URL_SAFE_NO_PAD.encode(hashed)
            || asked_for("redirect_uri") != get("redirect_uri")
        {
            return refused();
        }
        let token = self.id_token(asked_for("nonce"));
        Reply::Json(
            200,
            json!({"id_token": token, "access_token": self.script.access_token, "token_type": "Bearer"}),
        )
    }

    fn is_client(&self, head: &str, form: &HashMap<String, String>) -> bool {
        let shown = form.get("client_secret");
        let Some(secret) = &self.secret else {
            return shown.is_none() && form.get("client_id").is_some_and(|id| id == CLIENT_ID);
        };
        if self.script.auth == "client_secret_post" {
            return shown == Some(secret) && form.get("client_id").is_some_and(|id| id == CLIENT_ID);
        }
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let expected = STANDARD.encode(format!("{}:{}", encode(CLIENT_ID), encode(secret)));
        header(head, "authorization") == Some(&format!("Basic {expected}")) && shown.is_none()
    }

    fn id_token(&self, nonce: &str) -> String {
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "nonce": nonce, "iat": self.now, "exp": self.now + 300,
        });
        put(&mut claims, &self.person);
        put(&mut claims, &self.script.claims);
        let algorithm = match self.script.signing {
            Signing::Honest | Signing::Tampered | Signing::OtherWords | Signing::ForeignKey => "ES256",
            Signing::Rs256 => "RS256",
            Signing::Ps256 => "PS256",
            Signing::EdDsa => "EdDSA",
            Signing::None => "none",
            Signing::HmacOfSecret | Signing::HmacOfPublicKey => "HS256",
        };
        let key_id = match self.script.signing {
            Signing::Rs256 | Signing::Ps256 => RSA_KEY_ID,
            Signing::EdDsa => ED25519_KEY_ID,
            Signing::Honest
            | Signing::None
            | Signing::HmacOfSecret
            | Signing::HmacOfPublicKey
            | Signing::Tampered
            | Signing::OtherWords
            | Signing::ForeignKey => &self.key.id,
        };
        let mut header = json!({"alg": algorithm, "kid": key_id, "typ": "JWT"});
        put(&mut header, &self.script.header);
        let message_of = |claims: &Value| {
            format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(header.to_string()),
                URL_SAFE_NO_PAD.encode(claims.to_string())
            )
        };
        let message = message_of(&claims);
        let hmac_of = |key: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        };
        let signature = match self.script.signing {
            Signing::Honest => self.key.sign(&message),
            Signing::Rs256 => rsa_signed(&RSA_PKCS1_SHA256, &message),
            Signing::Ps256 => rsa_signed(&RSA_PSS_SHA256, &message),
            Signing::EdDsa => ED25519_KEY.sign(message.as_bytes()).as_ref().to_vec(),
            Signing::OtherWords => {
                put(&mut claims, &json!({"email_verified": true}));
                self.key.sign(&message_of(&claims))
            }
            Signing::None => Vec::new(),
            Signing::HmacOfSecret => hmac_of(self.secret.as_deref().unwrap_or_default().as_bytes()),
            Signing::HmacOfPublicKey => hmac_of(self.key.pair.public_key().as_ref()),
            Signing::Tampered => {
                let mut signature = self.key.sign(&message);
                if let Some(byte) = signature.last_mut() {
                    *byte ^= 1;
                }
                signature
            }
            Signing::ForeignKey => Key::new("x").sign(&message),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Puts members into an object; null takes one out.
fn put(object: &mut Value, members: &Value) {
    let (Some(object), Some(members)) = (object.as_object_mut(), members.as_object()) else {
        return;
    };
    for (name, value) in members {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}
