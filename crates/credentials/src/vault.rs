//! Texts sealed under the installation's key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::ports::{SealPurpose, Sealed, Vault};
use kernel::PortError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use crate::master::{KeyRing, KeyUse, MasterSecret};

/// The form of sealed texts. Another form gets another name.
const FORM: &str = "v1";
/// The hexadecimal digits by which a seal names its key.
const KEY_ID_CHARS: usize = 8;

/// Seals with AES-256-GCM under random nonces of 96 bits. The purpose and the owner's id are authenticated with the text.
///
/// A sealed text is `v1.<key id>.<base64url of nonce, ciphertext and tag>`. One key would have to seal 2^32 texts
/// before nonces repeat with a chance worth a thought.
pub struct AesVault {
    random: SystemRandom,
    /// The present one first.
    keys: Vec<Key>,
}

struct Key {
    id: String,
    key: LessSafeKey,
}

impl AesVault {
    /// Seals under the present secret of `ring`, and opens what any of its secrets sealed.
    ///
    /// # Errors
    /// None for keys of this length; the library's signature has one.
    pub fn new(ring: &KeyRing) -> Result<Self, PortError> {
        Ok(Self {
            random: SystemRandom::new(),
            keys: ring.all().map(key_of).collect::<Result<_, _>>()?,
        })
    }
}

fn key_of(master: &MasterSecret) -> Result<Key, PortError> {
    let derived = master.derive(KeyUse::Seal);
    let key = UnboundKey::new(&AES_256_GCM, derived.bytes()).map_err(|error| bug(&error.to_string()))?;
    // Not of the key itself but of what only the key signs: it gives nothing of it away.
    let tag = derived.sign(b"key id");
    let id: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Key {
        id: id.chars().take(KEY_ID_CHARS).collect(),
        key: LessSafeKey::new(key),
    })
}

fn bug(detail: &str) -> PortError {
    PortError::Bug {
        port: "vault",
        source: detail.into(),
    }
}

/// What is authenticated with the text. The purpose ends where the id, of fixed length, begins.
fn context(purpose: SealPurpose, owner: Uuid) -> Aad<Vec<u8>> {
    Aad::from(
        [
            b"insightdesk/",
            purpose.as_str().as_bytes(),
            b"/",
            owner.as_bytes(),
        ]
        .concat(),
    )
}

impl Vault for AesVault {
    fn seal(&self, purpose: SealPurpose, owner: Uuid, text: &str) -> Result<Sealed, PortError> {
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|error| PortError::Unavailable {
                port: "source of randomness",
                source: error.to_string().into(),
            })?;
        let present = self.keys.first().ok_or_else(|| bug("has no key"))?;
        let mut body = text.as_bytes().to_vec();
        present
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                context(purpose, owner),
                &mut body,
            )
            .map_err(|error| bug(&error.to_string()))?;
        let body = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &body].concat());
        Ok(Sealed::from_stored(format!("{FORM}.{}.{body}", present.id)))
    }

    fn open(&self, purpose: SealPurpose, owner: Uuid, sealed: &Sealed) -> Result<String, PortError> {
        let corrupt = |detail: &str| {
            let (table, column) = purpose.place();
            PortError::Corrupt {
                table,
                column,
                id: owner.to_string(),
                detail: detail.to_owned(),
            }
        };
        let parts: Vec<&str> = sealed.as_str().split('.').collect();
        let [FORM, id, body] = parts.as_slice() else {
            return Err(corrupt("is not sealed"));
        };
        let known = self.keys.iter().find(|key| key.id == *id);
        let known = known.ok_or_else(|| corrupt("is sealed under a key that is not known here"))?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| corrupt("is cut"))?;
        let (nonce, body) = body
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(|| corrupt("is cut"))?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = known.key.open_in_place(nonce, context(purpose, owner), &mut body);
        let text = opened.map_err(|_| corrupt("was changed, or is of another row"))?;
        String::from_utf8(text.to_vec()).map_err(|_| corrupt("is no text"))
    }

    fn is_present(&self, sealed: &Sealed) -> bool {
        let id = sealed.as_str().split('.').nth(1);
        self.keys.first().is_some_and(|key| Some(key.id.as_str()) == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Uuid = Uuid::from_u128(1);
    const PURPOSE: SealPurpose = SealPurpose::TwoFactor;

    fn secret(byte: u8) -> MasterSecret {
        MasterSecret::from_bytes([byte; 32])
    }

    fn vault(present: u8, previous: &[u8]) -> AesVault {
        let previous = previous.iter().map(|byte| secret(*byte)).collect();
        AesVault::new(&KeyRing::new(secret(present), previous)).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_and_shows_nothing_of_itself() {
        let vault = vault(1, &[]);
        let text = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let sealed = vault.seal(PURPOSE, OWNER, text).unwrap();
        assert_eq!(vault.open(PURPOSE, OWNER, &sealed).unwrap(), text);
        assert!(sealed.as_str().starts_with("v1.") && !sealed.as_str().contains(text));
        assert!(sealed.as_str().len() <= Sealed::COLUMN_CHARS_MAX);
        assert_ne!(vault.seal(PURPOSE, OWNER, text).unwrap(), sealed);
        assert_eq!(
            vault
                .open(PURPOSE, OWNER, &vault.seal(PURPOSE, OWNER, "").unwrap())
                .unwrap(),
            ""
        );
    }

    #[test]
    fn what_was_moved_to_another_row_or_purpose_does_not_open() {
        let vault = vault(1, &[]);
        let sealed = vault.seal(PURPOSE, OWNER, "text").unwrap();
        assert!(vault.open(PURPOSE, Uuid::from_u128(2), &sealed).is_err());
        assert!(vault.open(SealPurpose::LoginChallenge, OWNER, &sealed).is_err());
    }

    #[test]
    fn not_one_bit_can_be_changed() {
        let vault = vault(1, &[]);
        let sealed = vault.seal(PURPOSE, OWNER, "text").unwrap();
        let (head, body) = sealed.as_str().rsplit_once('.').unwrap();
        let body = URL_SAFE_NO_PAD.decode(body).unwrap();
        for bit in 0..body.len() * 8 {
            let mut changed = body.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(changed));
            assert!(vault.open(PURPOSE, OWNER, &Sealed::from_stored(changed)).is_err());
        }
        for odd in [
            "",
            "text",
            "v1",
            "v1..",
            "v2.00000000.AAAA",
            head,
            &format!("{head}."),
            &format!("{head}.AAAA"),
        ] {
            assert!(
                vault.open(PURPOSE, OWNER, &Sealed::from_stored(odd)).is_err(),
                "{odd}"
            );
        }
    }

    #[test]
    fn an_earlier_key_opens_and_seals_no_more() {
        let before = vault(1, &[]).seal(PURPOSE, OWNER, "text").unwrap();
        let after = vault(2, &[1]);
        assert_eq!(after.open(PURPOSE, OWNER, &before).unwrap(), "text");
        assert!(!after.is_present(&before));
        let anew = after.seal(PURPOSE, OWNER, "text").unwrap();
        assert!(after.is_present(&anew));
        assert!(vault(1, &[]).open(PURPOSE, OWNER, &anew).is_err());
        assert_eq!(vault(2, &[]).open(PURPOSE, OWNER, &anew).unwrap(), "text");
        assert!(vault(2, &[]).open(PURPOSE, OWNER, &before).is_err());
    }
}
