//! Sealed texts: AES-256-GCM with a random nonce in front, in base64url.
//!
//! The purpose is authenticated and not stored. A nonce of 96 random bits does for some billions of seals under one
//! key; what is sealed here lives for minutes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::ports::Seal;
use kernel::PortError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::master::{KeyUse, MasterSecret};

/// Seals under a key of one use.
pub struct AesSeal {
    random: SystemRandom,
    key: LessSafeKey,
}

impl AesSeal {
    /// A seal with the key of `key_use` from `master`.
    ///
    /// # Errors
    /// Never in fact: the key has the length that the cipher asks for.
    pub fn new(master: &MasterSecret, key_use: KeyUse) -> Result<Self, PortError> {
        let key = UnboundKey::new(&AES_256_GCM, master.derive(key_use).bytes()).map_err(bug)?;
        Ok(Self {
            random: SystemRandom::new(),
            key: LessSafeKey::new(key),
        })
    }
}

impl Seal for AesSeal {
    fn seal(&self, purpose: &str, text: &str) -> Result<String, PortError> {
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|unspecified| PortError::Unavailable {
                port: "source of randomness",
                source: unspecified.to_string().into(),
            })?;
        let mut sealed = text.as_bytes().to_vec();
        let (aad, unique) = (Aad::from(purpose), Nonce::assume_unique_for_key(nonce));
        self.key
            .seal_in_place_append_tag(unique, aad, &mut sealed)
            .map_err(bug)?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    fn open(&self, purpose: &str, sealed: &str) -> Option<String> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, content) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.key.open_in_place(nonce, Aad::from(purpose), content).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

fn bug(unspecified: ring::error::Unspecified) -> PortError {
    PortError::Bug {
        port: "seal",
        source: unspecified.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(byte: u8) -> AesSeal {
        AesSeal::new(&MasterSecret::from_bytes([byte; 32]), KeyUse::SignOn).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_alone() {
        let seal = seal(1);
        let sealed = seal.seal("a", "the text").unwrap();
        assert!(!sealed.contains("text"));
        assert_eq!(seal.open("a", &sealed).as_deref(), Some("the text"));
        assert_eq!(seal.open("b", &sealed), None);
        assert_eq!(self::seal(2).open("a", &sealed), None);
    }

    #[test]
    fn no_two_seals_are_alike() {
        let seal = seal(1);
        assert_ne!(seal.seal("a", "text").unwrap(), seal.seal("a", "text").unwrap());
    }

    #[test]
    fn what_was_tampered_with_does_not_open() {
        let seal = seal(1);
        let sealed = URL_SAFE_NO_PAD
            .decode(seal.seal("a", "the text").unwrap())
            .unwrap();
        for place in 0..sealed.len() {
            let mut bytes = sealed.clone();
            bytes[place] ^= 1;
            assert_eq!(
                seal.open("a", &URL_SAFE_NO_PAD.encode(bytes)),
                None,
                "byte {place}"
            );
        }
        for bad in ["", "!", "AAAA", &URL_SAFE_NO_PAD.encode(&sealed[..12])] {
            assert_eq!(seal.open("a", bad), None, "{bad}");
        }
    }
}
