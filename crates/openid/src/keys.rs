//! The keys that a provider publishes (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

use crate::token::Algorithm;

/// The most keys that are looked at.
const KEYS_MAX: usize = 100;

/// The keys that can be used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    /// The one algorithm that the provider says it is for.
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A set as it is published. Keys of kinds that are not known are passed over.
#[derive(Deserialize)]
pub(crate) struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl From<KeySet> for Keys {
    fn from(set: KeySet) -> Self {
        let keys = set.keys.into_iter().take(KEYS_MAX);
        Self(
            keys.filter_map(|key| serde_json::from_value(key).ok())
                .filter_map(key)
                .collect(),
        )
    }
}

fn key(raw: RawKey) -> Option<Key> {
    let RawKey {
        kty,
        kid,
        usage,
        alg,
        crv,
        n,
        e,
        x,
        y,
    } = raw;
    if usage.is_some_and(|usage| usage != "sig") {
        return None;
    }
    let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
    let of_32 = |bytes: Vec<u8>| (bytes.len() == 32).then_some(bytes);
    let material = match (kty.as_str(), crv.as_deref()) {
        ("RSA", _) => Material::Rsa {
            n: bytes(n)?,
            e: bytes(e)?,
        },
        ("EC", Some("P-256")) => {
            let (x, y) = (of_32(bytes(x)?)?, of_32(bytes(y)?)?);
            // An uncompressed point (SEC 1, 2.3.3).
            Material::P256([vec![4], x, y].concat())
        }
        ("OKP", Some("Ed25519")) => Material::Ed25519(of_32(bytes(x)?)?),
        _ => return None,
    };
    Some(Key {
        id: kid,
        algorithm: alg,
        material,
    })
}

/// What a signature was held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is by one of the keys.
    Good,
    /// It is by none of them.
    Bad,
    /// The key that it names is not among them.
    NoSuchKey,
}

impl Keys {
    /// Whether one of the keys, the one named `id` if there is an id, signed the message.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Verdict {
        let named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let mut candidates = self.0.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Verdict::NoSuchKey;
        }
        let signed = candidates.any(|key| key.verifies(algorithm, message, signature));
        match (signed, id) {
            (true, _) => Verdict::Good,
            (false, Some(_)) => Verdict::Bad,
            // It names no key, so that it may be one that was published since.
            (false, None) => Verdict::NoSuchKey,
        }
    }
}

impl Key {
    /// A key serves the algorithms of its kind alone: what is no RSA key verifies no RSA signature.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if self
            .algorithm
            .as_deref()
            .is_some_and(|name| name != algorithm.as_str())
        {
            return false;
        }
        let verified = match (&self.material, algorithm) {
            (Material::Rsa { n, e }, Algorithm::Rs256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Material::Rsa { n, e }, Algorithm::Ps256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA256, message, signature)
            }
            (Material::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Material::Ed25519(point), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            (Material::Rsa { .. }, Algorithm::Es256 | Algorithm::EdDsa)
            | (Material::P256(_), Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::EdDsa)
            | (Material::Ed25519(_), Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256) => return false,
        };
        verified.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn count(keys: Value) -> usize {
        let set: KeySet = serde_json::from_value(json!({ "keys": keys })).unwrap();
        Keys::from(set).0.len()
    }

    #[test]
    fn keys_that_are_for_something_else_are_passed_over() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        assert_eq!(count(json!([{"kty": "OKP", "crv": "Ed25519", "x": x}])), 1);
        assert_eq!(
            count(json!([{"kty": "OKP", "crv": "Ed25519", "x": x, "use": "enc"}])),
            0
        );
        assert_eq!(count(json!([{"kty": "oct", "k": x}])), 0);
        assert_eq!(count(json!([{"kty": "OKP", "crv": "X25519", "x": x}])), 0);
        assert_eq!(
            count(json!([{"kty": "EC", "crv": "P-256", "x": x, "y": "AA"}])),
            0
        );
        assert_eq!(count(json!([{"kty": "RSA", "n": "!", "e": "AQAB"}])), 0);
        assert_eq!(count(json!([1, null, "x", {"kid": "a"}])), 0);
    }

    /// RFC 8037, appendix A.4.
    #[test]
    fn the_signature_of_rfc_8037_is_good_under_its_key_alone() {
        let header = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let set = json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        ]});
        let keys = Keys::from(serde_json::from_value::<KeySet>(set).unwrap());
        let verify =
            |algorithm, id, message: &str| keys.verify(algorithm, id, message.as_bytes(), &signature);
        assert_eq!(verify(Algorithm::EdDsa, Some("a"), header), Verdict::Good);
        assert_eq!(verify(Algorithm::EdDsa, None, header), Verdict::Good);
        assert_eq!(verify(Algorithm::EdDsa, Some("b"), header), Verdict::NoSuchKey);
        assert_eq!(verify(Algorithm::Es256, Some("a"), header), Verdict::Bad);
        assert_eq!(verify(Algorithm::EdDsa, Some("a"), "other"), Verdict::Bad);
    }

    /// A key of 2048 bits and its signatures of "header.payload", made with OpenSSL; the private key is gone.
    const RSA_N: &str = "1SubE56Tn96sPxZRoPBeWupe7o14O2K3cbtoUYPLLYMvwaxvztalpPnzOtprZ5HN8Nd8U8Xf6yWeqo97vlGoOg\
        Xt3esyA3NncXAs6FbGvWItBh9w-JYMs53PZyQoq4ybU0acvClyyo_IACFqHVBAjWH6LoKdonaYv2-p1baNXGP_\
        Rr6Q-5fWL0ugt8kRyse6kOhc4Sn-hOeFSMmw-zSIfpKdksQ9UTmfo1HzZv8OaqAkCxmJXSKI0bs5MP0JMPr6ja\
        gL_OpXOjS3AHeVjc7B9khukePylbt650x1IWt2iw-zDCdKIbXS7I8k4W8ASIB_pvQmMKVqMd8XH47uxJ22ow";
    const RS256: &str = "crWdJDkW9tJ3uxVeBwkU1FyrLukTLHJQnTfmG6D-9F3m5SK4wvCmVKtPuCdJBiUaxrICVV5nN4bouS6TkMmp6D\
        BZyPJw_3HtdXy6Z67OGldf4AaVeSRIY7QMw-WE4NpgCOCpz6WP6N5DTgKN9S30UTW8MqaO-LTQgvUEhkIA0dSH\
        w0IuYg-M_vNeSCV5_HLch4xoIT-OQw8YH4JN5xtxdts0ji1cgpLv2rSO6t9Hk7WYsLnZiMY8XYMASU24E9txbF\
        gYLwT7-Fo7sjb3HX6LU4DhP2taui36FZJ1sGdOoCqwPXNM5PwhlHLvKOzG4uHfgXpDzcJKFlR8Awc5B9y_VA";
    const PS256: &str = "nFSAZ73H89V2tgOJpwrf9M3EMnjxoSwWNY9UE9a6V7zxjo8h8Yuf4QexbCwaWzA8g5SUmYY8OSiHdu18P5RtOJ\
        2_6kEX8jHq45z5K7kY7-NJnmeUVY47GfjGq1TvsMNFyRf85p6rRBlXg26pAGIURWeWg2u_kjP0H_t4kO2d-qYp\
        R6JqkpDFWKpW0fiRR8fMV1r09deo3SiEBB82zEnjK_Uro5COaXrAqAyNCofQm7R0A9peBgOhg9jCPEZJE-9qT9\
        Xw1lFz-aTTlx5kEcj4nmyv0VD_S2Ghjjf0gPdvIX2K1EzgnbUSNIkjlcwXbLhGISmhppYJi-lctyNAQyVEFA";

    #[test]
    fn an_rsa_key_serves_the_padding_that_its_algorithm_names() {
        let keys = |alg: Value| {
            let set = json!({"keys": [{"kty": "RSA", "kid": "a", "n": RSA_N, "e": "AQAB", "alg": alg}]});
            Keys::from(serde_json::from_value::<KeySet>(set).unwrap())
        };
        let verify = |keys: &Keys, algorithm, signature: &str| {
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            keys.verify(algorithm, Some("a"), b"header.payload", &signature)
        };
        let any = keys(Value::Null);
        assert_eq!(verify(&any, Algorithm::Rs256, RS256), Verdict::Good);
        assert_eq!(verify(&any, Algorithm::Ps256, PS256), Verdict::Good);
        assert_eq!(verify(&any, Algorithm::Rs256, PS256), Verdict::Bad);
        assert_eq!(verify(&any, Algorithm::Ps256, RS256), Verdict::Bad);
        assert_eq!(verify(&any, Algorithm::Es256, RS256), Verdict::Bad);
        let only_ps = keys(json!("PS256"));
        assert_eq!(verify(&only_ps, Algorithm::Ps256, PS256), Verdict::Good);
        assert_eq!(verify(&only_ps, Algorithm::Rs256, RS256), Verdict::Bad);
    }
}
