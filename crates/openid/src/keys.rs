//! The keys that a provider publishes: the library's, with two things that it leaves out.
//!
//! - The library takes RSA keys of any length up to 4096 bits. Short ones can be broken, so they are passed over.
//! - A token with claims in types of the provider's own (`words`) is read in other words than were signed. Its
//!   signature is held against those that were.
//!
//! Signatures are verified by the library; keys that it does not understand or that are for something else are passed
//! over by it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeyType, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm};
use openidconnect::{
    JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, JsonWebKeySet, SignatureVerificationError,
};
use serde::{Deserialize, Serialize};

/// The fewest bits of an RSA key (RFC 7518, 3.3).
const RSA_BITS_MIN: usize = 2048;

/// The keys of a provider.
pub(crate) type Keys = JsonWebKeySet<Key>;

/// A key of a provider.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "CoreJsonWebKey", into = "CoreJsonWebKey")]
pub(crate) struct Key {
    key: CoreJsonWebKey,
    /// What was signed, where it is not what the library reads.
    signed: Option<Arc<str>>,
}

/// A key is passed over.
#[derive(Debug, thiserror::Error)]
#[error("an RSA key has fewer than {RSA_BITS_MIN} bits")]
pub(crate) struct ShortKey;

impl TryFrom<CoreJsonWebKey> for Key {
    type Error = ShortKey;

    fn try_from(key: CoreJsonWebKey) -> Result<Self, ShortKey> {
        if *key.key_type() == CoreJsonWebKeyType::RSA && rsa_bits(&key) < RSA_BITS_MIN {
            return Err(ShortKey);
        }
        Ok(Self { key, signed: None })
    }
}

impl From<Key> for CoreJsonWebKey {
    fn from(key: Key) -> Self {
        key.key
    }
}

/// The length of an RSA key; none without one. The library tells it in writing alone.
fn rsa_bits(key: &CoreJsonWebKey) -> usize {
    let written = serde_json::to_value(key).unwrap_or_default();
    let modulus = written.get("n").and_then(serde_json::Value::as_str);
    let modulus = modulus.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let modulus = modulus.unwrap_or_default();
    let mut bytes = modulus.iter().skip_while(|byte| **byte == 0);
    let first = bytes.next().map_or(0, |byte| byte.ilog2() as usize + 1);
    first + 8 * bytes.count()
}

/// The keys, for a token of which other words were signed than are read.
pub(crate) fn of_signed(keys: &Keys, signed: &Arc<str>) -> Keys {
    let of_signed = |key: &Key| Key {
        key: key.key.clone(),
        signed: Some(Arc::clone(signed)),
    };
    JsonWebKeySet::new(keys.keys().iter().map(of_signed).collect())
}

impl JsonWebKey for Key {
    type KeyUse = CoreJsonWebKeyUse;
    type SigningAlgorithm = CoreJwsSigningAlgorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.key.key_id()
    }

    fn key_type(&self) -> &CoreJsonWebKeyType {
        self.key.key_type()
    }

    fn key_use(&self) -> Option<&CoreJsonWebKeyUse> {
        self.key.key_use()
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&CoreJwsSigningAlgorithm> {
        self.key.signing_alg()
    }

    fn new_symmetric(key: Vec<u8>) -> Self {
        Self {
            key: CoreJsonWebKey::new_symmetric(key),
            signed: None,
        }
    }

    fn verify_signature(
        &self,
        algorithm: &CoreJwsSigningAlgorithm,
        read: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureVerificationError> {
        let signed = self.signed.as_deref().map_or(read, str::as_bytes);
        self.key.verify_signature(algorithm, signed, signature)
    }

    fn hash_bytes(&self, bytes: &[u8], algorithm: &CoreJwsSigningAlgorithm) -> Result<Vec<u8>, String> {
        self.key.hash_bytes(bytes, algorithm)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn keys(keys: Value) -> Keys {
        serde_json::from_value(json!({ "keys": keys })).unwrap()
    }

    fn is_good(key: &Key, algorithm: CoreJwsSigningAlgorithm, message: &str, signature: &str) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        key.verify_signature(&algorithm, message.as_bytes(), &signature)
            .is_ok()
    }

    #[test]
    fn keys_that_are_not_understood_are_passed_over() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let good = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        let bad = [
            json!(1),
            json!(null),
            json!("x"),
            json!({"kid": "a"}),
            json!({"kty": "odd"}),
        ];
        assert_eq!(
            keys(json!([bad[0], bad[1], bad[2], good, bad[3], bad[4]]))
                .keys()
                .len(),
            1
        );
    }

    #[test]
    fn an_rsa_key_that_is_too_short_is_passed_over() {
        let count = |n: &[u8]| {
            let n = URL_SAFE_NO_PAD.encode(n);
            keys(json!([{"kty": "RSA", "n": n, "e": "AQAB"}])).keys().len()
        };
        assert_eq!(count(&[0xff; 256]), 1);
        assert_eq!(count(&[0x80; 256]), 1);
        assert_eq!(count(&[0x7f; 256]), 0);
        assert_eq!(count(&[0xff; 128]), 0);
        assert_eq!(count(&[&[0; 256][..], &[0xff; 128][..]].concat()), 0);
        assert_eq!(count(&[&[0][..], &[0xff; 256][..]].concat()), 1);
        assert_eq!(count(&[]), 0);
        assert_eq!(
            keys(json!([{"kty": "RSA", "n": "!", "e": "AQAB"}])).keys().len(),
            0
        );
    }

    /// RFC 8037, appendix A.4.
    #[test]
    fn the_signature_of_rfc_8037_is_good_under_its_key_alone() {
        let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let keys = keys(json!([
            {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        ]));
        let key = &keys.keys()[0];
        assert!(is_good(key, CoreJwsSigningAlgorithm::EdDsa, message, signature));
        assert!(!is_good(
            key,
            CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            message,
            signature
        ));
        assert!(!is_good(key, CoreJwsSigningAlgorithm::EdDsa, "other", signature));
        let of_message = of_signed(&keys, &message.into());
        assert!(is_good(
            &of_message.keys()[0],
            CoreJwsSigningAlgorithm::EdDsa,
            "other",
            signature
        ));
        let of_other = of_signed(&keys, &"other".into());
        assert!(!is_good(
            &of_other.keys()[0],
            CoreJwsSigningAlgorithm::EdDsa,
            message,
            signature
        ));
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
        use CoreJwsSigningAlgorithm::{EcdsaP256Sha256, RsaSsaPkcs1V15Sha256, RsaSsaPssSha256};

        let is_good = |alg: Value, algorithm, signature: &str| {
            let keys = keys(json!([{"kty": "RSA", "kid": "a", "n": RSA_N, "e": "AQAB", "alg": alg}]));
            is_good(&keys.keys()[0], algorithm, "header.payload", signature)
        };
        assert!(is_good(Value::Null, RsaSsaPkcs1V15Sha256, RS256));
        assert!(is_good(Value::Null, RsaSsaPssSha256, PS256));
        assert!(!is_good(Value::Null, RsaSsaPkcs1V15Sha256, PS256));
        assert!(!is_good(Value::Null, RsaSsaPssSha256, RS256));
        assert!(!is_good(Value::Null, EcdsaP256Sha256, RS256));
        assert!(is_good(json!("PS256"), RsaSsaPssSha256, PS256));
        assert!(!is_good(json!("PS256"), RsaSsaPkcs1V15Sha256, RS256));
    }
}
