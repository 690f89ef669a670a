//! The one secret of an installation, and the keys that come from it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// 32 secret bytes that all nodes of an installation share. Who has them can be anyone.
#[derive(Clone)]
pub struct MasterSecret([u8; 32]);

/// What a derived key is for. Each has a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyUse {
    /// Signs access tokens.
    AccessToken,
    /// Derives the successor of a refresh token.
    RefreshSuccessor,
    /// Signs the cursors of pages.
    Cursor,
    /// Signs links to files.
    FileLink,
    /// Signs links to rate a ticket.
    RatingLink,
    /// Derives the tokens of mailed links.
    MailedToken,
    /// Seals what must not lie in the database as it is.
    Seal,
}

impl KeyUse {
    /// Every use.
    pub const ALL: [KeyUse; 7] = [
        KeyUse::AccessToken,
        KeyUse::RefreshSuccessor,
        KeyUse::Cursor,
        KeyUse::FileLink,
        KeyUse::RatingLink,
        KeyUse::MailedToken,
        KeyUse::Seal,
    ];

    /// What the key is derived with. A label that changes makes everything signed before worthless.
    fn label(self) -> &'static [u8] {
        match self {
            KeyUse::AccessToken => b"access-token",
            KeyUse::RefreshSuccessor => b"refresh-successor",
            KeyUse::Cursor => b"cursor",
            KeyUse::FileLink => b"file-link",
            KeyUse::RatingLink => b"rating-link",
            KeyUse::MailedToken => b"mailed-token",
            KeyUse::Seal => b"seal",
        }
    }
}

/// Why there is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MasterSecretError {
    /// The text is not the base64url form of 32 bytes.
    #[error("the secret must be 43 characters of base64url (32 bytes)")]
    Malformed,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

impl MasterSecret {
    /// A new secret.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, MasterSecretError> {
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| MasterSecretError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// A secret of these bytes, which must come from a source of randomness.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads what [`MasterSecret::to_text`] wrote; white space around it is ignored.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, MasterSecretError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim())
            .map_err(|_| MasterSecretError::Malformed)?;
        let bytes = bytes.try_into().map_err(|_| MasterSecretError::Malformed)?;
        Ok(Self(bytes))
    }

    /// The secret in base64url, to be kept where nobody else reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The key for one use.
    #[must_use]
    pub fn derive(&self, key_use: KeyUse) -> DerivedKey {
        DerivedKey(self.tag(key_use.label()))
    }

    /// Tells secrets apart and gives nothing of them away: so that nodes can find out that they do not share one.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.tag(b"fingerprint")
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn tag(&self, label: &[u8]) -> [u8; 32] {
        hmac_sha256(&self.0, &[label])
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret(redacted)")
    }
}

/// The secrets of an installation: the present one, with which everything is signed and sealed, and those before it, by
/// which what they signed and sealed is still known.
#[derive(Debug, Clone)]
pub struct KeyRing {
    present: MasterSecret,
    previous: Vec<MasterSecret>,
}

impl KeyRing {
    /// A ring of these secrets.
    #[must_use]
    pub fn new(present: MasterSecret, previous: Vec<MasterSecret>) -> Self {
        Self { present, previous }
    }

    /// The present secret.
    #[must_use]
    pub fn present(&self) -> &MasterSecret {
        &self.present
    }

    /// The secrets before it.
    #[must_use]
    pub fn previous(&self) -> &[MasterSecret] {
        &self.previous
    }

    /// All of them, the present one first.
    pub fn all(&self) -> impl Iterator<Item = &MasterSecret> {
        std::iter::once(&self.present).chain(&self.previous)
    }
}

impl From<MasterSecret> for KeyRing {
    fn from(present: MasterSecret) -> Self {
        Self::new(present, Vec::new())
    }
}

/// A key for one use.
#[derive(Clone)]
pub struct DerivedKey([u8; 32]);

impl DerivedKey {
    /// The tag of a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        hmac_sha256(&self.0, &[message])
    }

    /// Whether `tag` is the message's, compared in constant time.
    #[must_use]
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), message, tag).is_ok()
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(redacted)")
    }
}

/// HMAC-SHA256 over the parts, one after the other.
pub(crate) fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    for (target, source) in bytes.iter_mut().zip(context.sign().as_ref()) {
        *target = *source;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_use_has_a_key_of_its_own_that_stays_the_same() {
        let secret = MasterSecret::from_bytes([7; 32]);
        let keys: HashSet<[u8; 32]> = KeyUse::ALL
            .iter()
            .map(|key_use| *secret.derive(*key_use).bytes())
            .collect();
        assert_eq!(keys.len(), KeyUse::ALL.len());
        let again = MasterSecret::from_bytes([7; 32]).derive(KeyUse::Cursor);
        assert_eq!(again.bytes(), secret.derive(KeyUse::Cursor).bytes());
        assert_ne!(
            again.bytes(),
            MasterSecret::from_bytes([8; 32]).derive(KeyUse::Cursor).bytes()
        );
    }

    #[test]
    fn the_derivation_is_hmac_sha256_as_in_rfc_4231() {
        // Test case 2 has a key of 4 bytes; HMAC pads it with zeros as it would a block.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let tag = hmac_sha256(&key, &[b"what do ya want ", b"for nothing?"]);
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_secret_is_read_back_from_its_text_and_from_nothing_else() {
        let secret = MasterSecret::generate().unwrap();
        let read = MasterSecret::parse(&format!("{}\n", secret.to_text())).unwrap();
        assert_eq!(read.fingerprint(), secret.fingerprint());
        for text in ["", "short", &"A".repeat(42), &"A".repeat(44), &"!".repeat(43)] {
            assert!(
                matches!(MasterSecret::parse(text), Err(MasterSecretError::Malformed)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_fingerprint_and_debug_do_not_show_the_secret() {
        let secret = MasterSecret::from_bytes([0xab; 32]);
        assert_eq!(secret.fingerprint().len(), 16);
        assert!(!secret.fingerprint().contains("abab"));
        assert_eq!(
            format!("{secret:?} {:?}", secret.derive(KeyUse::Cursor)),
            "MasterSecret(redacted) DerivedKey(redacted)"
        );
    }

    #[test]
    fn a_tag_belongs_to_its_message_and_key() {
        let secret = MasterSecret::from_bytes([7; 32]);
        let key = secret.derive(KeyUse::Cursor);
        let tag = key.sign(b"page 2");
        assert!(key.verify(b"page 2", &tag));
        assert!(!key.verify(b"page 3", &tag));
        assert!(!key.verify(b"page 2", &tag[..31]));
        assert!(!key.verify(b"page 2", b""));
        assert!(!secret.derive(KeyUse::AccessToken).verify(b"page 2", &tag));
    }
}
