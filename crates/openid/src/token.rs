//! ID tokens: which are believed, and what they say (OpenID Connect Core 3.1.3.7, RFC 8725).
//!
//! The library verifies the signature and the issuer, audience, end and nonce. Its settings are here, and what it
//! leaves to its users: for which party a token was made (`azp`), and that it is not from the future (`iat`, `nbf`).

use std::str::FromStr as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use identity::ports::ProviderError;
use openidconnect::core::{
    CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, ClaimsVerificationError, ClientId, ExtraTokenFields, IdTokenVerifier, IssuerUrl, Nonce,
    SignatureVerificationError, StandardTokenResponse, TokenResponse,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::keys::{Keys, of_signed};
use crate::words::put_in_types;

/// The algorithms of signatures that are believed: of public keys alone, so that nothing that this desk knows, and no
/// published key taken for a secret, can make one.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 4] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];
/// The most bytes of a token that is looked at. One with many groups may be large.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// How far the provider's clock and ours may lie apart, in seconds.
const SKEW_SECS_MAX: i64 = 60;
/// The most characters of the library's or the provider's words in a log.
const WORDS_CHARS_MAX: usize = 300;

const FROM_THE_FUTURE: &str = "the token is from the future";

/// The claims that the standard does not name.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct MoreClaims(Map<String, Value>);

impl AdditionalClaims for MoreClaims {}

type IdToken = openidconnect::IdToken<
    MoreClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type IdTokenClaims = openidconnect::IdTokenClaims<MoreClaims, CoreGenderClaim>;

/// What is had for a code.
pub(crate) type Tokens = StandardTokenResponse<IdTokenField, CoreTokenType>;

/// What OpenID Connect adds to it. The library's own field would take a token that it does not understand for an
/// answer that is none.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct IdTokenField {
    #[serde(skip_serializing)]
    id_token: Option<Unverified>,
}

impl ExtraTokenFields for IdTokenField {}

impl TokenResponse<MoreClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>
    for Tokens
{
    fn id_token(&self) -> Option<&IdToken> {
        let Unverified(read) = self.extra_fields().id_token.as_ref()?;
        read.as_ref().ok().map(|read| &read.token)
    }
}

/// A token of which nothing is believed yet, or why it is none.
pub(crate) struct Unverified(Result<Read, String>);

struct Read {
    token: IdToken,
    /// What was signed, where `token` has other words.
    signed: Option<Arc<str>>,
}

impl std::fmt::Debug for Unverified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unverified(redacted)")
    }
}

impl<'de> Deserialize<'de> for Unverified {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Read::of(&text)))
    }
}

impl Read {
    fn of(text: &str) -> Result<Self, String> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err("it is too long".to_owned());
        }
        let reworded = reworded(text);
        let words = reworded.as_ref().map_or(text, |(words, _)| words);
        let token = IdToken::from_str(words).map_err(|error| error.to_string())?;
        Ok(Self {
            token,
            signed: reworded.map(|(_, signed)| signed),
        })
    }
}

/// A token with its claims in the library's types, and what of it was signed as it came; none where they are.
fn reworded(text: &str) -> Option<(String, Arc<str>)> {
    let (signed, signature) = text.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let mut claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    if !put_in_types(&mut claims) {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string());
    Some((format!("{header}.{payload}.{signature}"), signed.into()))
}

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) issuer: &'a IssuerUrl,
    pub(crate) client_id: &'a ClientId,
    pub(crate) nonce: &'a str,
    pub(crate) now: DateTime<Utc>,
}

/// Why a token is not believed.
#[derive(Debug)]
pub(crate) enum Disbelief {
    /// None of the keys made the signature: it may be by one that was published since.
    Keys(ProviderError),
    /// Something else.
    Final(ProviderError),
}

impl From<Disbelief> for ProviderError {
    fn from(disbelief: Disbelief) -> Self {
        match disbelief {
            Disbelief::Keys(error) | Disbelief::Final(error) => error,
        }
    }
}

/// The claims of the token among these, if it is signed with one of the keys and says what is wanted.
pub(crate) fn claims(
    tokens: &Tokens,
    keys: &Keys,
    wanted: Wanted<'_>,
) -> Result<Map<String, Value>, Disbelief> {
    let wrong = |why: &str| Disbelief::Final(rejected(why));
    let Read { token, signed } = match &tokens.extra_fields().id_token {
        Some(Unverified(Ok(read))) => read,
        Some(Unverified(Err(why))) => return Err(wrong(&format!("the ID token is not understood: {why}"))),
        None => return Err(wrong("the token endpoint's answer has no ID token")),
    };
    let keys = match signed {
        Some(signed) => of_signed(keys, signed),
        None => keys.clone(),
    };
    let (now, skew) = (wanted.now, TimeDelta::seconds(SKEW_SECS_MAX));
    // Without the client's secret, with which no signature is to be made.
    let verifier = IdTokenVerifier::new_public_client(wanted.client_id.clone(), wanted.issuer.clone(), keys)
        .set_allowed_algs(ALGORITHMS)
        // `is_for` looks at them.
        .set_other_audience_verifier_fn(|_| true)
        .set_time_fn(move || now - skew)
        .set_issue_time_verifier_fn(move |issued| {
            let is_past = issued <= now + skew;
            is_past.then_some(()).ok_or_else(|| FROM_THE_FUTURE.to_owned())
        });
    let nonce = Nonce::new(wanted.nonce.to_owned());
    let claims = token.claims(&verifier, &nonce).map_err(disbelief)?;
    is_for(claims, wanted.client_id)?;
    if let Some(begins) = claims.additional_claims().0.get("nbf")
        && begins
            .as_f64()
            .is_none_or(|begins| begins > (now + skew).timestamp() as f64)
    {
        return Err(wrong(FROM_THE_FUTURE));
    }
    object(claims).ok_or_else(|| wrong("the token's claims are not an object"))
}

/// Whether the token was made for this client. The library has seen that the client is among the audiences.
fn is_for(claims: &IdTokenClaims, client_id: &ClientId) -> Result<(), Disbelief> {
    match claims.authorized_party() {
        Some(party) if party == client_id => Ok(()),
        None if claims.audiences().len() == 1 => Ok(()),
        Some(_) | None => Err(Disbelief::Final(rejected("the token was made for another party"))),
    }
}

fn disbelief(error: ClaimsVerificationError) -> Disbelief {
    match error {
        ClaimsVerificationError::SignatureVerification(error) => {
            let why = rejected(&format!("the token's signature is not believed: {error}"));
            match error {
                // A provider that names no keys signs with a new one.
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_) => {
                    Disbelief::Keys(why)
                }
                _ => Disbelief::Final(why),
            }
        }
        error => Disbelief::Final(rejected(&error.to_string())),
    }
}

/// All that is claimed.
pub(crate) fn object(claims: &impl Serialize) -> Option<Map<String, Value>> {
    match serde_json::to_value(claims).ok()? {
        Value::Object(claims) => Some(claims),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// A refusal, in words that may hold some of the provider's.
pub(crate) fn rejected(why: &str) -> ProviderError {
    ProviderError::Rejected(readable(why))
}

/// Words as far as they may stand in a log.
pub(crate) fn readable(words: &str) -> String {
    words
        .chars()
        .filter(|c| !c.is_control())
        .take(WORDS_CHARS_MAX)
        .collect()
}
