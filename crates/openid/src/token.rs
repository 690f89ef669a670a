//! ID tokens: which are believed, and what they say (OpenID Connect Core 3.1.3.7, RFC 7515, RFC 8725).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use identity::ports::ProviderError;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::keys::{Keys, Verdict};

/// The most bytes of a token that is looked at. One with many groups may be large.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// How far the provider's clock and ours may lie apart, in seconds.
const SKEW_SECS_MAX: i64 = 60;

/// The algorithms of signatures that are believed: of public keys alone, so that nothing that this desk knows, and no
/// published key taken for a secret, can make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// RSA PKCS#1 1.5 with SHA-256.
    Rs256,
    /// RSA PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    const ALL: [Algorithm; 4] = [
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es256,
        Algorithm::EdDsa,
    ];

    /// The name in headers and keys.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Ps256 => "PS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }
}

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) now: DateTime<Utc>,
}

/// A token in its parts, of which nothing is believed yet.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    message: &'a str,
    signature: Vec<u8>,
    payload: Vec<u8>,
}

/// As much of a header as counts. Keys that a token brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) do not.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    pub(crate) fn read(token: &'a str) -> Result<Self, ProviderError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(rejected("the token is too long"));
        }
        let malformed = || rejected("the token is not made of three parts in base64url");
        let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = message.split_once('.').ok_or_else(malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| rejected("the token's header is not understood"))?;
        let Header { alg, kid, crit } = header;
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.as_str() == alg);
        if crit.is_some() {
            return Err(rejected("the token asks for extensions that are not known"));
        }
        Ok(Self {
            algorithm: algorithm.ok_or_else(|| rejected("the token's algorithm is none that is believed"))?,
            key_id: kid,
            message,
            signature: decode(signature)?,
            payload: decode(payload)?,
        })
    }

    /// Holds the signature against the provider's keys.
    pub(crate) fn held_against(&self, keys: &Keys) -> Verdict {
        keys.verify(
            self.algorithm,
            self.key_id.as_deref(),
            self.message.as_bytes(),
            &self.signature,
        )
    }

    /// The claims of a token whose signature is good, if they are what was wanted.
    pub(crate) fn claims(&self, wanted: Wanted<'_>) -> Result<Map<String, Value>, ProviderError> {
        let claims: Map<String, Value> = serde_json::from_slice(&self.payload)
            .map_err(|_| rejected("the token's claims are not an object"))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let time = |name: &str| -> Result<Option<i64>, ProviderError> {
            match claims.get(name) {
                None => Ok(None),
                Some(value) => secs(value)
                    .map(Some)
                    .ok_or_else(|| rejected("a time of the token is no number")),
            }
        };
        if text("iss") != Some(wanted.issuer) {
            return Err(rejected("the token is another issuer's"));
        }
        is_for(&claims, wanted.client_id)?;
        if text("nonce") != Some(wanted.nonce) {
            return Err(rejected("the token's nonce is another sign-on's"));
        }
        let now = wanted.now.timestamp();
        let expires = time("exp")?.ok_or_else(|| rejected("the token has no end"))?;
        let issued = time("iat")?.ok_or_else(|| rejected("the token has no time"))?;
        if expires.saturating_add(SKEW_SECS_MAX) <= now {
            return Err(rejected("the token has expired"));
        }
        if issued.max(time("nbf")?.unwrap_or(issued)) > now.saturating_add(SKEW_SECS_MAX) {
            return Err(rejected("the token is from the future"));
        }
        Ok(claims)
    }
}

/// Whether the token is for this client: the one audience, or one of several as the party it was made for.
fn is_for(claims: &Map<String, Value>, client_id: &str) -> Result<(), ProviderError> {
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    };
    if !audiences.contains(&client_id) {
        return Err(rejected("the token is for another audience"));
    }
    match claims.get("azp") {
        Some(party) if party.as_str() == Some(client_id) => Ok(()),
        None if audiences.len() == 1 => Ok(()),
        Some(_) | None => Err(rejected("the token was made for another party")),
    }
}

/// Seconds since 1970; some providers write them with a fraction.
fn secs(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let secs = value.as_f64().filter(|secs| (0.0..1e12).contains(secs))?;
        format!("{secs:.0}").parse().ok()
    })
}

pub(crate) fn rejected(why: &str) -> ProviderError {
    ProviderError::Rejected(why.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_767_603_600;

    fn judged(change: impl FnOnce(&mut Value)) -> Result<Map<String, Value>, ProviderError> {
        let mut claims = json!({
            "iss": "https://a.example", "aud": "desk", "nonce": "n", "sub": "1", "iat": NOW, "exp": NOW + 300,
        });
        change(&mut claims);
        let token = format!(
            "{}.{}.AA",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        Unverified::read(&token)?.claims(Wanted {
            issuer: "https://a.example",
            client_id: "desk",
            nonce: "n",
            now: DateTime::from_timestamp(NOW, 0).unwrap(),
        })
    }

    #[test]
    fn the_claims_must_be_of_this_issuer_audience_time_and_sign_on() {
        judged(|_| {}).unwrap();
        for (name, bad) in [
            ("iss", json!("https://a.example/")),
            ("iss", json!(null)),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("aud", json!(["desk", "other"])),
            ("aud", json!({"desk": true})),
            ("azp", json!("other")),
            ("azp", json!(1)),
            ("nonce", json!("m")),
            ("nonce", json!(null)),
            ("exp", json!(NOW - 60)),
            ("exp", json!(null)),
            ("exp", json!("later")),
            ("iat", json!(NOW + 61)),
            ("iat", json!(null)),
            ("nbf", json!(NOW + 61)),
        ] {
            assert!(
                judged(|claims| claims[name] = bad.clone()).is_err(),
                "{name} {bad}"
            );
        }
        judged(|claims| claims["aud"] = json!(["desk"])).unwrap();
        judged(|claims| claims["exp"] = json!(NOW as f64 + 1.5)).unwrap();
        judged(|claims| {
            claims["aud"] = json!(["desk", "other"]);
            claims["azp"] = json!("desk");
        })
        .unwrap();
    }

    #[test]
    fn a_header_without_a_believed_algorithm_is_refused() {
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "None"}),
            json!({"alg": "HS256"}),
            json!({"alg": "RS1"}),
            json!({"alg": "rs256"}),
            json!({"alg": ""}),
            json!({"alg": null}),
            json!({}),
            json!({"alg": "RS256", "crit": ["b64"], "b64": false}),
        ] {
            let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header.to_string()));
            assert!(Unverified::read(&token).is_err(), "{header}");
        }
        for token in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.!"] {
            assert!(Unverified::read(token).is_err(), "{token}");
        }
    }
}
