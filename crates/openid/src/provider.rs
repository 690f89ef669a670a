//! A provider of OpenID Connect.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use identity::ports::{CodeReceived, ProviderError, SignOnAsk, SignOnProvider, Vouched};
use identity::sign_on::Subject;
use kernel::Clock;
use openidconnect::core::{CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim};
use openidconnect::http::HeaderValue;
use openidconnect::{
    AccessToken, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    SubjectIdentifier, UserInfoClaims, UserInfoError,
};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

use crate::discovery::{Client, Refusal, Registration, discover};
use crate::fetch::{FetchError, Fetcher, is_safe_address, unavailable};
use crate::keys::Keys;
use crate::token::{Disbelief, MoreClaims, Tokens, Wanted, claims, object, readable, rejected};
use crate::words::{InTypes, is_true};

/// For how long a description and keys are used before they are fetched anew, in minutes.
const KNOWLEDGE_MINUTES: i64 = 60;
/// How often they are fetched before that, within `REFRESH_SECS`, because none of the keys made a signature.
const REFRESHES_MAX: u32 = 5;
/// See `REFRESHES_MAX`, in seconds.
const REFRESH_SECS: i64 = 60;
/// How long a code's exchange may take altogether, whatever it needs: less than a request to the desk may.
const IDENTIFY_SECS_MAX: u64 = 8;
/// The most bytes of a code.
const CODE_BYTES_MAX: usize = 8 << 10;
/// The letters that a verifier may have (RFC 7636, 4.1). The library takes no others.
const VERIFIER_LETTERS: std::ops::RangeInclusive<usize> = 43..=128;

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
    /// The address that browsers come back to is none.
    #[error("the redirect address is no address")]
    RedirectUri,
    /// There is no HTTP.
    #[error("the HTTP client cannot be made")]
    Http(#[from] reqwest::Error),
}

/// A provider of OpenID Connect, found by its issuer.
pub struct OpenIdProvider {
    settings: OpenIdSettings,
    us: Registration,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    /// Locked while it is fetched, so that it is fetched once.
    known: Mutex<Known>,
}

impl fmt::Debug for OpenIdProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenIdProvider").field(&self.settings).finish()
    }
}

/// What is known of the provider.
struct Knowledge {
    client: Client,
    keys: Keys,
    fetched_at: DateTime<Utc>,
}

/// What is known, and how often it was fetched before its time of late.
#[derive(Default)]
struct Known {
    knowledge: Option<Arc<Knowledge>>,
    refreshes: u32,
    refreshes_since: DateTime<Utc>,
}

impl Known {
    /// Takes leave to fetch before the time.
    fn may_refresh(&mut self, now: DateTime<Utc>) -> bool {
        let since = now - self.refreshes_since;
        if since < TimeDelta::zero() || TimeDelta::seconds(REFRESH_SECS) <= since {
            (self.refreshes, self.refreshes_since) = (0, now);
        }
        let may = self.refreshes < REFRESHES_MAX;
        self.refreshes += u32::from(may);
        may
    }
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
        let us = Registration {
            issuer: IssuerUrl::new(settings.issuer.clone()).map_err(|_| OpenIdSetupError::Issuer)?,
            client_id: ClientId::new(settings.client_id.clone()),
            client_secret: settings.client_secret.clone().map(ClientSecret::new),
            redirect_uri: RedirectUrl::new(settings.redirect_uri.clone())
                .map_err(|_| OpenIdSetupError::RedirectUri)?,
        };
        Ok(Self {
            settings,
            us,
            fetcher: Fetcher::new()?,
            clock,
            known: Mutex::default(),
        })
    }

    /// What is known of the provider, fetched where it is not known or old, and, as often as is good, when it is
    /// `stale`.
    async fn knowledge(&self, stale: Option<&Arc<Knowledge>>) -> Result<Arc<Knowledge>, ProviderError> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some(knowledge) = known.knowledge.clone() {
            let age = now - knowledge.fetched_at;
            let is_fresh = TimeDelta::zero() <= age && age < TimeDelta::minutes(KNOWLEDGE_MINUTES);
            // Someone else may have fetched it while this one waited.
            let is_stale = stale.is_some_and(|stale| Arc::ptr_eq(stale, &knowledge));
            if is_fresh && !(is_stale && known.may_refresh(now)) {
                return Ok(knowledge);
            }
        }
        let (client, keys) = discover(&self.fetcher, &self.us).await?;
        let fetched = Arc::new(Knowledge {
            client,
            keys,
            fetched_at: now,
        });
        known.knowledge = Some(Arc::clone(&fetched));
        Ok(fetched)
    }

    /// The claims of an ID token that is believed. Keys are fetched once more when none of them made its signature.
    async fn verified(
        &self,
        knowledge: &Arc<Knowledge>,
        tokens: &Tokens,
        nonce: &str,
    ) -> Result<Map<String, Value>, ProviderError> {
        let wanted = Wanted {
            issuer: &self.us.issuer,
            client_id: &self.us.client_id,
            nonce,
            now: self.clock.now(),
        };
        match claims(tokens, &knowledge.keys, wanted) {
            Err(Disbelief::Keys(_)) => {
                let fetched = self.knowledge(Some(knowledge)).await?;
                claims(tokens, &fetched.keys, wanted).map_err(ProviderError::from)
            }
            verdict => verdict.map_err(ProviderError::from),
        }
    }

    /// What the provider says of the person beside the token, of that same person alone.
    async fn more(
        &self,
        client: &Client,
        token: &AccessToken,
        subject: &Subject,
    ) -> Result<Map<String, Value>, ProviderError> {
        // The library takes it for granted.
        HeaderValue::from_str(token.secret()).map_err(|_| rejected("a token cannot stand in a header"))?;
        let subject = SubjectIdentifier::new(subject.as_str().to_owned());
        let Ok(request) = client.user_info(token.clone(), Some(subject)) else {
            return Ok(Map::new());
        };
        let http = InTypes(&self.fetcher);
        let claims: Result<UserInfoClaims<MoreClaims, CoreGenderClaim>, _> =
            request.request_async(&http).await;
        let claims = claims.map_err(|error| match error {
            UserInfoError::ClaimsVerification(why) => {
                rejected(&format!("the userinfo endpoint's word: {why}"))
            }
            error => unavailable(error),
        })?;
        object(&claims).ok_or_else(|| rejected("the userinfo endpoint's claims are not an object"))
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
        let tokens = knowledge
            .client
            .exchange_code(AuthorizationCode::new(callback.code.clone()))
            .set_pkce_verifier(PkceCodeVerifier::new(ask.verifier.expose().to_owned()))
            .request_async(&self.fetcher)
            .await
            .map_err(no_tokens)?;
        let mut claims = self.verified(&knowledge, &tokens, ask.nonce.expose()).await?;
        let subject = claims.get("sub").and_then(Value::as_str).and_then(Subject::parse);
        let subject = subject.ok_or_else(|| rejected("the token names nobody"))?;
        if !claims.contains_key("email") {
            let more = self
                .more(&knowledge.client, tokens.access_token(), &subject)
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
        if !VERIFIER_LETTERS.contains(&ask.verifier.expose().len()) {
            return Err(unavailable("a verifier has 43 to 128 letters"));
        }
        let knowledge = self.knowledge(None).await?;
        let verifier = PkceCodeVerifier::new(ask.verifier.expose().to_owned());
        let state = CsrfToken::new(ask.state.expose().to_owned());
        let nonce = Nonce::new(ask.nonce.expose().to_owned());
        // The library asks for `openid` by itself.
        let scopes = self.settings.scopes.iter().filter(|scope| *scope != "openid");
        let (address, _, _) = knowledge
            .client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce)
            .add_scopes(scopes.cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
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

/// Why nothing is had for a code.
fn no_tokens(error: RequestTokenError<FetchError, Refusal>) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(refusal) => match refusal.error() {
            CoreErrorResponseType::InvalidGrant => rejected("the provider does not know the code"),
            error => unavailable(readable(&format!("the token endpoint says {error}"))),
        },
        RequestTokenError::Request(error) => unavailable(error),
        // Not the answer itself: there may be tokens in it.
        RequestTokenError::Parse(error, _) => unavailable(readable(&format!(
            "the token endpoint's answer is not understood: {error}"
        ))),
        RequestTokenError::Other(why) => unavailable(readable(&why)),
    }
}
