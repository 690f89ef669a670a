//! A provider of OpenID Connect.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use identity::ports::{CodeReceived, ProviderError, SignOnAsk, SignOnProvider, Vouched};
use identity::sign_on::Subject;
use kernel::Clock;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use ring::digest;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::discovery::{ClientAuth, Description, describe};
use crate::fetch::{Answer, Fetcher, document, is_safe_address, send, unavailable};
use crate::keys::{KeySet, Keys, Verdict};
use crate::token::{Unverified, Wanted, rejected};

/// For how long a description and keys are used before they are fetched anew, in minutes.
const KNOWLEDGE_MINUTES: i64 = 60;
/// How long a code's exchange may take altogether, whatever it needs: less than a request to the desk may.
const IDENTIFY_SECS_MAX: u64 = 8;
/// The most bytes of a code, and of an address that a browser is sent to.
const CODE_BYTES_MAX: usize = 8 << 10;

/// What an operator sets.
#[derive(Clone)]
pub struct OpenIdSettings {
    /// The provider's name of itself, written as it writes it: an `https` address.
    pub issuer: String,
    /// This desk's name there.
    pub client_id: String,
    /// This desk's secret there; none for a public client.
    pub client_secret: Option<String>,
    /// What is asked for: `openid`, `email`, …
    pub scopes: Vec<String>,
    /// The claim by which the provider says that the address is the person's; usually `email_verified`.
    pub verified_claim: String,
    /// Where the provider sends browsers back to.
    pub redirect_uri: String,
}

impl fmt::Debug for OpenIdSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenIdSettings")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Why there is no provider.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdSetupError {
    /// The issuer is no address that secrets may go to.
    #[error("the issuer must be an https address without a query, or one of this machine")]
    Issuer,
    /// There is no HTTP.
    #[error("the HTTP client cannot be made")]
    Http(#[from] reqwest::Error),
}

/// A provider of OpenID Connect, found by its issuer.
pub struct OpenIdProvider {
    settings: OpenIdSettings,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    /// Locked while it is fetched, so that it is fetched once.
    knowledge: Mutex<Option<Arc<Knowledge>>>,
}

impl fmt::Debug for OpenIdProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenIdProvider").field(&self.settings).finish()
    }
}

/// What is known of the provider.
struct Knowledge {
    description: Description,
    keys: Keys,
    fetched_at: DateTime<Utc>,
}

/// What is had for a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// How a provider says no to a code.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl OpenIdProvider {
    /// The provider with these settings. Nothing is asked of it yet.
    ///
    /// # Errors
    /// See [`OpenIdSetupError`].
    pub fn new(settings: OpenIdSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenIdSetupError> {
        let issuer = Url::parse(&settings.issuer).map_err(|_| OpenIdSetupError::Issuer)?;
        if !is_safe_address(&issuer) || issuer.query().is_some() {
            return Err(OpenIdSetupError::Issuer);
        }
        Ok(Self {
            settings,
            fetcher: Fetcher::new()?,
            clock,
            knowledge: Mutex::new(None),
        })
    }

    /// What is known of the provider, fetched where it is not known or old, and always when it is `stale`.
    async fn knowledge(&self, stale: Option<&Arc<Knowledge>>) -> Result<Arc<Knowledge>, ProviderError> {
        let mut knowledge = self.knowledge.lock().await;
        let now = self.clock.now();
        if let Some(known) = knowledge.as_ref() {
            let age = now - known.fetched_at;
            let is_fresh = TimeDelta::zero() <= age && age < TimeDelta::minutes(KNOWLEDGE_MINUTES);
            // Someone else may have fetched it while this one waited.
            let is_stale = stale.is_some_and(|stale| Arc::ptr_eq(stale, known));
            if is_fresh && !is_stale {
                return Ok(Arc::clone(known));
            }
        }
        let description = describe(&self.fetcher, &self.settings.issuer).await?;
        let request = self.fetcher.get(&description.keys);
        let keys: KeySet = document("the provider's key set", request).await?;
        let fetched = Arc::new(Knowledge {
            description,
            keys: keys.into(),
            fetched_at: now,
        });
        *knowledge = Some(Arc::clone(&fetched));
        Ok(fetched)
    }

    async fn exchange(
        &self,
        description: &Description,
        code: &str,
        verifier: &str,
    ) -> Result<Tokens, ProviderError> {
        let request = self.code_request(description, code, verifier)?;
        let Answer { status, body } = send(request).await?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body)
                .map_err(|_| rejected("the token endpoint's answer has no ID token"));
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal { error }) if error == "invalid_grant" => {
                Err(rejected("the provider does not know the code"))
            }
            Ok(Refusal { error }) => Err(unavailable(format!(
                "the token endpoint answers {status}: {}",
                plain(&error)
            ))),
            Err(_) => Err(unavailable(format!("the token endpoint answers {status}"))),
        }
    }

    /// The request that shows a code.
    fn code_request(
        &self,
        description: &Description,
        code: &str,
        verifier: &str,
    ) -> Result<RequestBuilder, ProviderError> {
        let OpenIdSettings {
            issuer: _,
            client_id,
            client_secret,
            scopes: _,
            verified_claim: _,
            redirect_uri,
        } = &self.settings;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier);
        let mut request = self.fetcher.post(&description.token).header(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        match (client_secret, description.auth) {
            (Some(secret), ClientAuth::Basic) => {
                request = request.header(AUTHORIZATION, basic(client_id, secret)?);
            }
            (Some(secret), ClientAuth::Post) => {
                form.append_pair("client_id", client_id)
                    .append_pair("client_secret", secret);
            }
            (None, ClientAuth::Basic | ClientAuth::Post) => {
                form.append_pair("client_id", client_id);
            }
        }
        Ok(request.body(form.finish()))
    }

    /// The claims of an ID token that is believed. Keys are fetched once more when it names one that is not known.
    async fn verified(
        &self,
        knowledge: &Arc<Knowledge>,
        token: &str,
        nonce: &str,
    ) -> Result<Map<String, Value>, ProviderError> {
        let unverified = Unverified::read(token)?;
        let verdict = match unverified.held_against(&knowledge.keys) {
            Verdict::NoSuchKey => {
                let fetched = self.knowledge(Some(knowledge)).await?;
                unverified.held_against(&fetched.keys)
            }
            verdict @ (Verdict::Good | Verdict::Bad) => verdict,
        };
        match verdict {
            Verdict::Good => unverified.claims(Wanted {
                issuer: &self.settings.issuer,
                client_id: &self.settings.client_id,
                nonce,
                now: self.clock.now(),
            }),
            Verdict::Bad => Err(rejected("the token's signature is not the provider's")),
            Verdict::NoSuchKey => Err(rejected("the token is signed with a key that is not published")),
        }
    }

    /// What the provider says of the person beside the token, of that same person alone.
    async fn more(
        &self,
        description: &Description,
        access_token: Option<&str>,
        subject: &Subject,
    ) -> Result<Map<String, Value>, ProviderError> {
        let (Some(address), Some(token)) = (&description.userinfo, access_token) else {
            return Ok(Map::new());
        };
        let bearer = secret_header(&format!("Bearer {token}"))?;
        let request = self.fetcher.get(address).header(AUTHORIZATION, bearer);
        let claims: Map<String, Value> = document("the userinfo endpoint", request).await?;
        if claims.get("sub").and_then(Value::as_str) == Some(subject.as_str()) {
            Ok(claims)
        } else {
            Err(rejected("the userinfo endpoint tells of another person"))
        }
    }

    async fn identified(&self, callback: &CodeReceived, ask: &SignOnAsk) -> Result<Vouched, ProviderError> {
        if callback.code.is_empty() || callback.code.len() > CODE_BYTES_MAX {
            return Err(rejected("the code is empty or too long"));
        }
        if callback
            .issuer
            .as_ref()
            .is_some_and(|issuer| *issuer != self.settings.issuer)
        {
            return Err(rejected("the answer is another issuer's"));
        }
        let knowledge = self.knowledge(None).await?;
        let tokens = self
            .exchange(&knowledge.description, &callback.code, ask.verifier.expose())
            .await?;
        let mut claims = self
            .verified(&knowledge, &tokens.id_token, ask.nonce.expose())
            .await?;
        let subject = claims.get("sub").and_then(Value::as_str).and_then(Subject::parse);
        let subject = subject.ok_or_else(|| rejected("the token names nobody"))?;
        if !claims.contains_key("email") {
            let more = self
                .more(&knowledge.description, tokens.access_token.as_deref(), &subject)
                .await?;
            // What is signed comes first, but an address and the word on it belong together.
            claims.remove(&self.settings.verified_claim);
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let full_name = || Some(format!("{} {}", text("given_name")?, text("family_name")?));
        Ok(Vouched {
            subject,
            email: text("email"),
            email_verified: claims.get(&self.settings.verified_claim).is_some_and(is_true),
            name: text("name")
                .or_else(full_name)
                .or_else(|| text("preferred_username")),
            claims,
        })
    }
}

#[async_trait]
impl SignOnProvider for OpenIdProvider {
    async fn address(&self, ask: &SignOnAsk) -> Result<String, ProviderError> {
        let knowledge = self.knowledge(None).await?;
        let mut address = knowledge.description.authorization.clone();
        let challenge = digest::digest(&digest::SHA256, ask.verifier.expose().as_bytes());
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.settings.redirect_uri)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", ask.state.expose())
            .append_pair("nonce", ask.nonce.expose())
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256");
        Ok(address.into())
    }

    async fn identify(&self, callback: &CodeReceived, ask: &SignOnAsk) -> Result<Vouched, ProviderError> {
        let bound = Duration::from_secs(IDENTIFY_SECS_MAX);
        tokio::time::timeout(bound, self.identified(callback, ask))
            .await
            .map_err(unavailable)?
    }

    async fn warm_up(&self) -> Result<(), ProviderError> {
        self.knowledge(None).await.map(|_| ())
    }
}

/// The header by which a client says who it is (RFC 6749, 2.3.1): both texts encoded as in forms.
fn basic(client_id: &str, secret: &str) -> Result<HeaderValue, ProviderError> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret));
    secret_header(&format!("Basic {}", STANDARD.encode(pair)))
}

fn secret_header(text: &str) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| rejected("a token cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Providers write it as a boolean, some as a text or a number.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(is_true) => *is_true,
        Value::String(text) => text == "true" || text == "1",
        Value::Number(number) => number.as_u64() == Some(1),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// A provider's word as far as it may stand in a log.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(64).collect()
}
