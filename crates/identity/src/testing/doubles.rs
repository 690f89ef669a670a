//! Quick stand-ins for hashing, tokens and randomness. They protect nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{PortError, UserId};
use uuid::Uuid;

use crate::ports::{AccessTokens, PasswordHasher, Seal, Secrets, TokenError};
use crate::session::{AccessClaims, AccessToken, SecretToken, SessionId, TokenHash};
use crate::value::{Password, PasswordAttempt, PasswordHash};

/// "Hashes" by writing the password behind a mark and a serial number as salt, and counts its comparisons.
#[derive(Debug, Default)]
pub struct FakeHasher {
    salts: AtomicU64,
    comparisons: AtomicU64,
}

impl FakeHasher {
    /// How often a password was compared, in earnest or not: what a login costs.
    #[must_use]
    pub fn comparisons(&self) -> u64 {
        self.comparisons.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl PasswordHasher for FakeHasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, PortError> {
        let salt = self.salts.fetch_add(1, Ordering::Relaxed);
        Ok(PasswordHash::from_phc(format!(
            "$fake${salt}${}",
            password.expose()
        )))
    }

    async fn verify(&self, hash: &PasswordHash, attempt: &PasswordAttempt) -> Result<bool, PortError> {
        self.comparisons.fetch_add(1, Ordering::Relaxed);
        Ok(hash.as_str().splitn(4, '$').nth(3) == Some(attempt.expose()))
    }

    async fn verify_nothing(&self, _: &PasswordAttempt) -> Result<(), PortError> {
        self.comparisons.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Writes the claims out in clear.
#[derive(Debug, Default)]
pub struct FakeAccessTokens;

impl AccessTokens for FakeAccessTokens {
    fn issue(&self, claims: &AccessClaims) -> Result<AccessToken, PortError> {
        let AccessClaims {
            user_id,
            session_id,
            issued_at,
            expires_at,
        } = claims;
        let (issued_at, expires_at) = (issued_at.timestamp(), expires_at.timestamp());
        Ok(AccessToken::new(format!(
            "{user_id}.{session_id}.{issued_at}.{expires_at}"
        )))
    }

    fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<AccessClaims, TokenError> {
        let claims = read(token).ok_or(TokenError::Invalid)?;
        if now < claims.expires_at {
            Ok(claims)
        } else {
            Err(TokenError::Expired)
        }
    }
}

fn read(token: &str) -> Option<AccessClaims> {
    let mut parts = token.split('.');
    let mut next = || parts.next();
    Some(AccessClaims {
        user_id: UserId(Uuid::parse_str(next()?).ok()?),
        session_id: SessionId(Uuid::parse_str(next()?).ok()?),
        issued_at: DateTime::from_timestamp(next()?.parse().ok()?, 0)?,
        expires_at: DateTime::from_timestamp(next()?.parse().ok()?, 0)?,
    })
}

/// Counts instead of throwing dice, and mixes instead of hashing.
#[derive(Debug, Default)]
pub struct FakeSecrets(AtomicU64);

impl Secrets for FakeSecrets {
    fn token(&self) -> Result<SecretToken, PortError> {
        Ok(token(format!("token-{}", self.0.fetch_add(1, Ordering::Relaxed))))
    }

    fn salt(&self) -> Result<Vec<u8>, PortError> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec())
    }

    fn sha256(&self, token: &SecretToken) -> TokenHash {
        TokenHash::from_bytes(mix(token.expose().as_bytes()))
    }

    fn successor(&self, presented: &SecretToken, salt: &[u8]) -> SecretToken {
        let both = [presented.expose().as_bytes(), b"|", salt].concat();
        token(format!("next-{}", TokenHash::from_bytes(mix(&both)).as_str()))
    }
}

/// Writes the purpose in front of the text.
#[derive(Debug, Default)]
pub struct FakeSeal;

impl Seal for FakeSeal {
    fn seal(&self, purpose: &str, text: &str) -> Result<String, PortError> {
        Ok(format!("{purpose}|{text}"))
    }

    fn open(&self, purpose: &str, sealed: &str) -> Option<String> {
        let text = sealed.strip_prefix(purpose)?.strip_prefix('|')?;
        Some(text.to_owned())
    }
}

fn token(text: String) -> SecretToken {
    match SecretToken::parse(&text) {
        Some(token) => token,
        None => panic!("not a token: {text}"),
    }
}

/// FNV-1a, four times with different beginnings: no two texts of a test collide.
fn mix(bytes: &[u8]) -> [u8; 32] {
    let mut mixed = [0; 32];
    for (lane, target) in mixed.chunks_exact_mut(8).enumerate() {
        let seed = 0xcbf2_9ce4_8422_2325_u64 ^ (lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = bytes.iter().fold(seed, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        target.copy_from_slice(&hash.to_be_bytes());
    }
    mixed
}
