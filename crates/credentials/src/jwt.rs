//! Access tokens: JWTs signed with HMAC-SHA256 (RFC 7519, RFC 9068), and nothing else.
//!
//! The verifier accepts exactly the header that the issuer writes: no other algorithm, no key that the token names or
//! brings along, no type but `at+jwt`. Claims are read strictly: a time is a whole number, issuer and audience are
//! one text each.

use std::fmt;

use chrono::{DateTime, Duration, Utc};
use identity::ports::{AccessTokens, TokenError};
use identity::{AccessClaims, AccessToken, SessionId};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, decode, encode,
};
use kernel::{PortError, UserId};
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::master::{KeyUse, MasterSecret};

/// The type that access tokens declare (RFC 9068), so that no other JWT passes for one.
const TYPE: &str = "at+jwt";

/// The most bytes of a token that is looked at; ours have fewer than 500.
const TOKEN_MAX_BYTES: usize = 4_096;

/// How far from the future a token may come that says when it begins (`nbf`; ours say nothing), in seconds. It never
/// lives longer for it.
const SKEW_MAX_SECS: i64 = 60;

/// Issues and verifies access tokens.
pub struct Hs256AccessTokens {
    issuer: String,
    audience: String,
    header: Header,
    validation: Validation,
    encoding_key: EncodingKey,
    /// The present one first; the others verify what was signed before the secret changed.
    decoding_keys: Vec<DecodingKey>,
}

impl fmt::Debug for Hs256AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hs256AccessTokens")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// What a token says, in the claims' own names.
#[derive(Serialize, Deserialize)]
struct Body {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
}

impl Hs256AccessTokens {
    /// Tokens of `issuer` for `audience`, signed with a key from `master`.
    #[must_use]
    pub fn new(master: &MasterSecret, issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        // Whoever comes first installs it; all of ours are the same.
        let _ = RING_HS256.install_default();
        let (issuer, audience) = (issuer.into(), audience.into());
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[&issuer]);
        validation.set_audience(&[&audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Times are judged below, by the clock that the caller gives.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let key = master.derive(KeyUse::AccessToken);
        Self {
            issuer,
            audience,
            header,
            validation,
            encoding_key: EncodingKey::from_secret(key.bytes()),
            decoding_keys: vec![DecodingKey::from_secret(key.bytes())],
        }
    }

    /// The same, accepting also what these secrets signed: tokens from before a change of the secret stay good until
    /// they expire.
    #[must_use]
    pub fn accepting(mut self, previous: &[MasterSecret]) -> Self {
        let keys = previous.iter().map(|master| {
            let key = master.derive(KeyUse::AccessToken);
            DecodingKey::from_secret(key.bytes())
        });
        self.decoding_keys.extend(keys);
        self
    }
}

impl AccessTokens for Hs256AccessTokens {
    fn issue(&self, claims: &AccessClaims) -> Result<AccessToken, PortError> {
        let body = Body {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: claims.user_id.0,
            sid: claims.session_id.0,
            iat: claims.issued_at.timestamp(),
            exp: claims.expires_at.timestamp(),
            nbf: None,
        };
        encode(&self.header, &body, &self.encoding_key)
            .map(AccessToken::new)
            .map_err(|error| PortError::Bug {
                port: "access tokens",
                source: Box::new(error),
            })
    }

    fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<AccessClaims, TokenError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(TokenError::Invalid);
        }
        // No token names its key: each of the few is tried.
        let mut keys = self.decoding_keys.iter();
        let data = keys.find_map(|key| decode::<Body>(token, key, &self.validation).ok());
        let data = data.ok_or(TokenError::Invalid)?;
        if data.header != self.header {
            return Err(TokenError::Invalid);
        }
        let Body {
            iss,
            aud,
            sub,
            sid,
            iat,
            exp,
            nbf,
        } = data.claims;
        if iss != self.issuer || aud != self.audience {
            return Err(TokenError::Invalid);
        }
        let time = |secs| DateTime::from_timestamp(secs, 0).ok_or(TokenError::Invalid);
        let (issued_at, expires_at) = (time(iat)?, time(exp)?);
        // When it was issued says nothing of that: the clock of the node that issued it may be ahead.
        let valid_from = nbf.map(time).transpose()?;
        if expires_at <= now {
            return Err(TokenError::Expired);
        }
        if valid_from.is_some_and(|from| from > now + Duration::seconds(SKEW_MAX_SECS)) {
            return Err(TokenError::Invalid);
        }
        Ok(AccessClaims {
            user_id: UserId(sub),
            session_id: SessionId(sid),
            issued_at,
            expires_at,
        })
    }
}

/// jsonwebtoken's cryptography, cut down to the one algorithm that is wanted, on ring.
static RING_HS256: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        check(*algorithm, key.family())?;
        Ok(Box::new(Hs256(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))))
    },
    verifier_factory: |algorithm, key| {
        check(*algorithm, key.family())?;
        Ok(Box::new(Hs256(hmac::Key::new(
            hmac::HMAC_SHA256,
            key.try_get_as_bytes()?,
        ))))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn check(algorithm: Algorithm, family: AlgorithmFamily) -> Result<(), Error> {
    if algorithm == Algorithm::HS256 && family == AlgorithmFamily::Hmac {
        Ok(())
    } else {
        Err(ErrorKind::InvalidAlgorithm.into())
    }
}

struct Hs256(hmac::Key);

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, tag).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const NOW_SECS: i64 = 1_767_603_600;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(NOW_SECS, 0).unwrap()
    }

    fn master() -> MasterSecret {
        MasterSecret::from_bytes([7; 32])
    }

    fn tokens() -> Hs256AccessTokens {
        Hs256AccessTokens::new(&master(), "https://desk.example.com", "insightdesk")
    }

    fn claims() -> AccessClaims {
        AccessClaims {
            user_id: UserId(Uuid::from_u128(1)),
            session_id: SessionId(Uuid::from_u128(2)),
            issued_at: now(),
            expires_at: now() + Duration::minutes(15),
        }
    }

    fn header() -> Value {
        json!({ "typ": "at+jwt", "alg": "HS256" })
    }

    fn body() -> Value {
        json!({
            "iss": "https://desk.example.com", "aud": "insightdesk",
            "sub": Uuid::from_u128(1), "sid": Uuid::from_u128(2), "iat": NOW_SECS, "exp": NOW_SECS + 900,
        })
    }

    /// The body with one claim replaced; `null` takes it out.
    fn with(claim: &str, value: Value) -> Value {
        let mut body = body();
        let claims = body.as_object_mut().unwrap();
        if value.is_null() {
            claims.remove(claim);
        } else {
            claims.insert(claim.to_owned(), value);
        }
        body
    }

    fn unsigned(header: &str, body: &str) -> String {
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(body)
        )
    }

    /// A token signed with our own key: only the server itself could make it.
    fn signed_text(header: &str, body: &str) -> String {
        let message = unsigned(header, body);
        let tag = master().derive(KeyUse::AccessToken).sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn signed(header: &Value, body: &Value) -> String {
        signed_text(&header.to_string(), &body.to_string())
    }

    #[track_caller]
    fn assert_invalid(token: &str) {
        assert_eq!(tokens().verify(token, now()), Err(TokenError::Invalid), "{token}");
    }

    #[test]
    fn a_token_says_what_it_was_issued_for() {
        let token = tokens().issue(&claims()).unwrap();
        assert_eq!(tokens().verify(token.expose(), now()), Ok(claims()));
        assert!(token.expose().len() < 500);
    }

    #[test]
    fn the_tests_own_tokens_are_accepted_unless_something_is_wrong_with_them() {
        assert_eq!(tokens().verify(&signed(&header(), &body()), now()), Ok(claims()));
    }

    #[test]
    fn a_token_expires_to_the_second() {
        let token = tokens().issue(&claims()).unwrap();
        let end = claims().expires_at;
        assert!(
            tokens()
                .verify(token.expose(), end - Duration::microseconds(1))
                .is_ok()
        );
        assert_eq!(tokens().verify(token.expose(), end), Err(TokenError::Expired));
        assert_eq!(
            tokens().verify(token.expose(), end + Duration::days(1)),
            Err(TokenError::Expired)
        );
    }

    #[test]
    fn a_token_from_the_future_is_refused_beyond_the_skew_of_clocks() {
        let judged = |claim, secs| tokens().verify(&signed(&header(), &with(claim, json!(secs))), now());
        assert!(judged("nbf", NOW_SECS + 60).is_ok());
        assert_eq!(judged("nbf", NOW_SECS + 61), Err(TokenError::Invalid));
        // A node that is ahead by any time issued it: that is no reason to send its user away.
        assert!(judged("iat", NOW_SECS + 600).is_ok());
    }

    #[test]
    fn an_algorithm_of_none_is_refused_with_and_without_a_signature() {
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let header = json!({ "typ": "at+jwt", "alg": alg });
            assert_invalid(&signed(&header, &body()));
            assert_invalid(&format!(
                "{}.",
                unsigned(&header.to_string(), &body().to_string())
            ));
            assert_invalid(&unsigned(&header.to_string(), &body().to_string()));
        }
    }

    #[test]
    fn every_other_algorithm_is_refused_even_with_our_signature() {
        for alg in ["HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA", "hs256"] {
            assert_invalid(&signed(&json!({ "typ": "at+jwt", "alg": alg }), &body()));
        }
        assert_invalid(&signed(&json!({ "typ": "at+jwt" }), &body()));
    }

    #[test]
    fn a_signature_that_is_missing_cut_changed_or_of_another_key_is_refused() {
        let token = tokens().issue(&claims()).unwrap().expose().to_owned();
        let (message, signature) = token.rsplit_once('.').unwrap();
        assert_invalid(message);
        assert_invalid(&format!("{message}."));
        assert_invalid(&format!("{message}.{}", &signature[..signature.len() - 2]));
        assert_invalid(&format!("{message}.{signature}AAAA"));
        let tag = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for bit in 0..tag.len() * 8 {
            let mut flipped = tag.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_invalid(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(flipped)));
        }
        for key_use in [KeyUse::Cursor, KeyUse::RefreshSuccessor] {
            let tag = master().derive(key_use).sign(message.as_bytes());
            assert_invalid(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag)));
        }
        let other = Hs256AccessTokens::new(
            &MasterSecret::from_bytes([8; 32]),
            "https://desk.example.com",
            "insightdesk",
        );
        assert_invalid(other.issue(&claims()).unwrap().expose());
    }

    #[test]
    fn a_token_of_an_earlier_secret_is_accepted_where_that_is_known() {
        let now_secret = MasterSecret::from_bytes([9; 32]);
        let rotated = Hs256AccessTokens::new(&now_secret, "https://desk.example.com", "insightdesk");
        let before = tokens().issue(&claims()).unwrap();
        assert_eq!(rotated.verify(before.expose(), now()), Err(TokenError::Invalid));
        let rotated = rotated.accepting(&[MasterSecret::from_bytes([8; 32]), master()]);
        assert_eq!(rotated.verify(before.expose(), now()), Ok(claims()));
        assert_eq!(
            rotated.verify(before.expose(), claims().expires_at),
            Err(TokenError::Expired)
        );
        // What is issued is signed by the present one alone, and nothing else of the header is let through.
        let after = rotated.issue(&claims()).unwrap();
        assert_invalid(after.expose());
        assert_eq!(rotated.verify(after.expose(), now()), Ok(claims()));
        for header in [
            json!({ "typ": "JWT", "alg": "HS256" }),
            json!({ "typ": "at+jwt", "alg": "HS256", "kid": "previous" }),
            json!({ "typ": "at+jwt", "alg": "none" }),
        ] {
            assert_eq!(
                rotated.verify(&signed(&header, &body()), now()),
                Err(TokenError::Invalid)
            );
        }
    }

    #[test]
    fn a_changed_claim_breaks_the_signature() {
        let token = tokens().issue(&claims()).unwrap().expose().to_owned();
        let parts: Vec<&str> = token.split('.').collect();
        let forged = with("sub", json!(Uuid::from_u128(9))).to_string();
        assert_invalid(&format!(
            "{}.{}.{}",
            parts[0],
            URL_SAFE_NO_PAD.encode(forged),
            parts[2]
        ));
    }

    #[test]
    fn a_key_that_the_token_names_or_brings_is_refused() {
        let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([1; 32]) });
        for (name, value) in [
            ("jku", json!("https://evil.example.com/keys")),
            ("x5u", json!("https://evil.example.com/cert")),
            ("jwk", jwk),
            ("kid", json!("../../../../dev/null")),
            ("kid", json!("' OR 1=1 --")),
            ("kid", json!("https://evil.example.com/key")),
            ("x5c", json!(["AAAA"])),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("cty", json!("JWT")),
        ] {
            let mut header = header();
            header.as_object_mut().unwrap().insert(name.to_owned(), value);
            assert_invalid(&signed(&header, &body()));
        }
    }

    #[test]
    fn every_other_type_of_token_is_refused() {
        for typ in [
            json!("JWT"),
            json!("at+JWT"),
            json!("application/at+jwt"),
            json!(""),
            json!(1),
        ] {
            assert_invalid(&signed(&json!({ "typ": typ, "alg": "HS256" }), &body()));
        }
        assert_invalid(&signed(&json!({ "alg": "HS256" }), &body()));
    }

    #[test]
    fn a_time_is_a_whole_number_in_range_or_nothing() {
        for claim in ["exp", "iat"] {
            assert_invalid(&signed(&header(), &with(claim, Value::Null)));
            assert_invalid(&signed(&header(), &with(claim, json!(i64::MAX))));
            assert_invalid(&signed(&header(), &with(claim, json!(u64::MAX))));
        }
        for claim in ["exp", "iat", "nbf"] {
            for odd in [
                json!(format!("{}", NOW_SECS + 9)),
                json!(NOW_SECS as f64 + 0.5),
                json!(1e308),
                json!([1]),
                json!(true),
            ] {
                assert_invalid(&signed(&header(), &with(claim, odd)));
            }
        }
        assert_eq!(
            tokens().verify(&signed(&header(), &with("exp", json!(0))), now()),
            Err(TokenError::Expired)
        );
        // Negative times are none that jsonwebtoken knows.
        assert!(
            tokens()
                .verify(&signed(&header(), &with("exp", json!(-5))), now())
                .is_err()
        );
    }

    #[test]
    fn another_issuer_or_audience_is_refused_in_any_shape() {
        for claim in ["iss", "aud"] {
            let own = body()[claim].clone();
            for odd in [
                Value::Null,
                json!("other"),
                json!(""),
                json!([own]),
                json!([own, "other"]),
                json!({}),
                json!(1),
            ] {
                assert_invalid(&signed(&header(), &with(claim, odd)));
            }
        }
    }

    #[test]
    fn a_subject_or_session_that_is_no_id_is_refused() {
        for claim in ["sub", "sid"] {
            for odd in [
                Value::Null,
                json!(""),
                json!("1"),
                json!("' OR 1=1 --"),
                json!(1),
                json!([Uuid::nil()]),
            ] {
                assert_invalid(&signed(&header(), &with(claim, odd)));
            }
        }
    }

    #[test]
    fn a_claim_given_twice_is_refused() {
        let twice = body()
            .to_string()
            .replacen('{', &format!("{{\"sub\":\"{}\",", Uuid::from_u128(9)), 1);
        assert_invalid(&signed_text(&header().to_string(), &twice));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let long = format!(
            "{}.{}.{}",
            "A".repeat(2_000),
            "B".repeat(2_000),
            "C".repeat(2_000)
        );
        for text in [
            "",
            ".",
            "..",
            "...",
            "a.b.c",
            "Bearer x",
            "token-of-43-characters-but-no-jwt-at-all-1234",
            "\0",
            &long,
        ] {
            assert_invalid(text);
        }
        let refresh = crate::RingSecrets::new(&master());
        let refresh = identity::ports::Secrets::token(&refresh).unwrap();
        assert_invalid(refresh.expose());
        assert_invalid(&format!(" {}", tokens().issue(&claims()).unwrap().expose()));
        assert_invalid(&format!("{}.x", tokens().issue(&claims()).unwrap().expose()));
    }
}
