//! Refresh and set-up tokens, and those of mailed links.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::ports::{OneTimeTokenId, Secrets};
use identity::{SecretToken, TokenHash};
use kernel::PortError;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

use crate::master::{KeyUse, MasterSecret, hmac_sha256};

/// Tokens of 256 random bits in base64url; successors by HMAC-SHA256 over salt and token, tokens of mails by
/// HMAC-SHA256 over their row's id.
pub struct RingSecrets {
    random: SystemRandom,
    successor_key: [u8; 32],
    mailed_key: [u8; 32],
}

impl RingSecrets {
    /// Secrets whose successors depend on `master`.
    #[must_use]
    pub fn new(master: &MasterSecret) -> Self {
        let successor_key = *master.derive(KeyUse::RefreshSuccessor).bytes();
        Self {
            random: SystemRandom::new(),
            successor_key,
            mailed_key: *master.derive(KeyUse::MailedToken).bytes(),
        }
    }

    fn random_bytes(&self) -> Result<[u8; 32], PortError> {
        let mut bytes = [0; 32];
        match self.random.fill(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(unspecified) => Err(PortError::Unavailable {
                port: "source of randomness",
                source: unspecified.to_string().into(),
            }),
        }
    }
}

impl Secrets for RingSecrets {
    fn token(&self) -> Result<SecretToken, PortError> {
        self.random_bytes().map(token)
    }

    fn salt(&self) -> Result<Vec<u8>, PortError> {
        self.random_bytes().map(Vec::from)
    }

    fn sha256(&self, token: &SecretToken) -> TokenHash {
        let mut bytes = [0; 32];
        let digest = digest::digest(&digest::SHA256, token.expose().as_bytes());
        for (target, source) in bytes.iter_mut().zip(digest.as_ref()) {
            *target = *source;
        }
        TokenHash::from_bytes(bytes)
    }

    fn successor(&self, presented: &SecretToken, salt: &[u8]) -> SecretToken {
        // The salt's length goes in front, so that no other division of the same bytes gives the same successor.
        let salt_len = (salt.len() as u64).to_be_bytes();
        token(hmac_sha256(
            &self.successor_key,
            &[&salt_len, salt, presented.expose().as_bytes()],
        ))
    }

    fn mailed(&self, id: OneTimeTokenId) -> SecretToken {
        token(hmac_sha256(&self.mailed_key, &[id.0.as_bytes()]))
    }
}

fn token(bytes: [u8; 32]) -> SecretToken {
    SecretToken::fresh(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn secrets(byte: u8) -> RingSecrets {
        RingSecrets::new(&MasterSecret::from_bytes([byte; 32]))
    }

    #[test]
    fn tokens_have_256_bits_and_never_repeat() {
        let secrets = secrets(1);
        let mut seen = HashSet::new();
        for _ in 0..100_000 {
            let token = secrets.token().unwrap();
            assert_eq!(token.expose().len(), 43);
            assert!(SecretToken::parse(token.expose()).is_some());
            assert!(seen.insert(token.expose().to_owned()), "a token repeats");
        }
        let ones: u32 = seen
            .iter()
            .flat_map(|text| URL_SAFE_NO_PAD.decode(text).unwrap())
            .map(u8::count_ones)
            .sum();
        let share = f64::from(ones) / (100_000.0 * 256.0);
        assert!((0.499..0.501).contains(&share), "{share} of the bits are set");
    }

    #[test]
    fn a_hash_is_sha_256_in_hexadecimal() {
        let abc = SecretToken::parse("abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(secrets(1).sha256(&abc).as_str(), expected);
    }

    #[test]
    fn a_successor_depends_on_token_salt_and_server_and_is_the_same_again() {
        let secrets = secrets(1);
        let (one, other) = (secrets.token().unwrap(), secrets.token().unwrap());
        let salt = secrets.salt().unwrap();
        let successor = secrets.successor(&one, &salt);
        assert_eq!(secrets.successor(&one, &salt), successor);
        assert_ne!(secrets.successor(&other, &salt), successor);
        assert_ne!(secrets.successor(&one, &secrets.salt().unwrap()), successor);
        assert_ne!(self::secrets(2).successor(&one, &salt), successor);
        assert_eq!(successor.expose().len(), 43);
    }

    #[test]
    fn a_mailed_token_depends_on_its_id_and_server_and_is_the_same_again() {
        let (one, other) = (
            OneTimeTokenId("00000000-0000-0000-0000-000000000001".parse().unwrap()),
            OneTimeTokenId("00000000-0000-0000-0000-000000000002".parse().unwrap()),
        );
        let token = secrets(1).mailed(one);
        assert_eq!(secrets(1).mailed(one), token);
        assert_ne!(secrets(1).mailed(other), token);
        assert_ne!(secrets(2).mailed(one), token);
        assert_eq!(SecretToken::parse(token.expose()).as_ref(), Some(&token));
        assert_eq!(token.expose().len(), 43);
    }

    #[test]
    fn salt_and_token_are_not_run_together() {
        let (ab, b) = (
            SecretToken::parse("ab").unwrap(),
            SecretToken::parse("b").unwrap(),
        );
        assert_ne!(secrets(1).successor(&ab, b"x"), secrets(1).successor(&b, b"xa"));
    }
}
