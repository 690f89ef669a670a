//! Who a request comes from.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Duration, DurationRound as _, Utc};
use kernel::{Clock, Origin, PortError};

use crate::access::{Access, ApiKeyId, Principal, Restriction};
use crate::api_key::API_KEY_MARK;
use crate::ports::{
    AccessTokens, ApiKeyRecord, ApiKeyStore, PrincipalRecord, Secrets, SessionStore, SignOfUse, WhichKey,
};
use crate::service::AuthError;
use crate::session::{SecretToken, SessionId, SignInMethod, TokenHash};
use crate::user::UserStatus;

/// Finds out who a bearer of an access token or a program's key is. Fails closed: when the store does not answer,
/// nobody is known.
pub struct Authenticator {
    tokens: Arc<dyn AccessTokens>,
    sessions: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    cache: Arc<PrincipalCache>,
    keys: Option<KeyReader>,
}

/// Reads programs' keys.
struct KeyReader {
    keys: Arc<dyn ApiKeyStore>,
    secrets: Arc<dyn Secrets>,
    /// In which minute this node noted a key's use last.
    noted: Mutex<HashMap<ApiKeyId, DateTime<Utc>>>,
}

impl Authenticator {
    /// An authenticator that shares `cache` with the services that change accounts, sessions and teams.
    #[must_use]
    pub fn new(
        tokens: Arc<dyn AccessTokens>,
        sessions: Arc<dyn SessionStore>,
        clock: Arc<dyn Clock>,
        cache: Arc<PrincipalCache>,
    ) -> Self {
        Self {
            tokens,
            sessions,
            clock,
            cache,
            keys: None,
        }
    }

    /// The same, which also accepts programs' keys. Without it every key is refused as an unknown one is.
    #[must_use]
    pub fn accepting_keys(self, keys: Arc<dyn ApiKeyStore>, secrets: Arc<dyn Secrets>) -> Self {
        let noted = Mutex::new(HashMap::new());
        let keys = Some(KeyReader { keys, secrets, noted });
        Self { keys, ..self }
    }

    /// Who bears the token or key (the part of the `Authorization` header after `Bearer `). `origin` is where the
    /// request comes from; it goes with the person onto the record.
    ///
    /// # Errors
    /// When the token is not ours or expired, the session ended, the key opens nothing, or the account cannot be used.
    pub async fn authenticate(&self, bearer: &str, origin: Origin) -> Result<Principal, AuthError> {
        let now = self.clock.now();
        if bearer.starts_with(API_KEY_MARK) {
            return self.bearer_of_key(bearer, origin, now).await;
        }
        let claims = self.tokens.verify(bearer, now)?;
        let record = self
            .record(claims.session_id, now)
            .await?
            .ok_or(AuthError::SessionRevoked)?;
        if record.person.id != claims.user_id {
            return Err(AuthError::TokenInvalid);
        }
        let restriction = record.admission(now)?;
        let mut person = record.person;
        person.origin = Some(Arc::new(Origin {
            credential: Some(claims.session_id.0),
            ..origin
        }));
        Ok(Principal {
            person,
            access: Access::Session(claims.session_id),
            restriction,
        })
    }

    /// Who bears a key. One that is unknown, malformed, expired or taken back, and one whose owner is shut out, get the
    /// same answer.
    async fn bearer_of_key(
        &self,
        bearer: &str,
        origin: Origin,
        now: DateTime<Utc>,
    ) -> Result<Principal, AuthError> {
        let reader = self.keys.as_ref().ok_or(AuthError::KeyInvalid)?;
        let shown = SecretToken::parse(bearer).ok_or(AuthError::KeyInvalid)?;
        let hash = reader.secrets.sha256(&shown);
        let record = match self.cache.key(&hash, now) {
            Some(record) => record,
            None => {
                let generation = self.cache.generation();
                let record = reader.keys.bearer(WhichKey::Shown(hash.clone())).await?;
                let record = record.ok_or(AuthError::KeyInvalid)?;
                self.cache.put_key(hash, record.clone(), now, generation);
                record
            }
        };
        let ip = origin.client.ip();
        let key = record.key;
        let mut principal = speaker_of(record, now)?;
        principal.person.origin = Some(Arc::new(Origin {
            credential: Some(key.0),
            ..origin
        }));
        reader.note_use(key, now, ip).await;
        Ok(principal)
    }

    /// Whether a principal that was authenticated earlier still is what it was: for connections that stay open.
    /// Gives the person as they are now.
    ///
    /// # Errors
    /// When the session or key ended or the account cannot be used any more, or the store does not answer.
    pub async fn reauthenticate(&self, principal: &Principal) -> Result<Principal, AuthError> {
        let now = self.clock.now();
        let session = match &principal.access {
            Access::Session(session) => *session,
            Access::ApiKey { key, .. } => {
                let reader = self.keys.as_ref().ok_or(AuthError::KeyInvalid)?;
                let record = reader.keys.bearer(WhichKey::Known(*key)).await?;
                let mut still = speaker_of(record.ok_or(AuthError::KeyInvalid)?, now)?;
                if still.person.id != principal.person.id {
                    return Err(AuthError::KeyInvalid);
                }
                still.person.origin = principal.person.origin.clone();
                return Ok(still);
            }
        };
        let record = self
            .record(session, now)
            .await?
            .ok_or(AuthError::SessionRevoked)?;
        if record.person.id != principal.person.id {
            return Err(AuthError::SessionRevoked);
        }
        let restriction = record.admission(now)?;
        let mut person = record.person;
        person.origin = principal.person.origin.clone();
        Ok(Principal {
            person,
            access: Access::Session(session),
            restriction,
        })
    }

    async fn record(
        &self,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Option<PrincipalRecord>, PortError> {
        if let Some(record) = self.cache.get(session, now) {
            return Ok(Some(record));
        }
        let generation = self.cache.generation();
        let record = self.sessions.principal(session).await?;
        if let Some(record) = &record {
            self.cache.put(session, record.clone(), now, generation);
        }
        Ok(record)
    }
}

/// For whom a key speaks at `now`, and what it is good for.
fn speaker_of(record: ApiKeyRecord, now: DateTime<Utc>) -> Result<Principal, AuthError> {
    let ApiKeyRecord { key, scopes, owner } = record;
    let restriction = owner.admission(now);
    let restriction = restriction.map_err(|error| match error {
        AuthError::Port(error) => AuthError::Port(error),
        AuthError::TokenInvalid
        | AuthError::TokenExpired
        | AuthError::SessionRevoked
        | AuthError::KeyInvalid => AuthError::KeyInvalid,
    })?;
    match restriction {
        // A program cannot show a second factor; its key was made by one who met what the desk asked then.
        None | Some(Restriction::TwoFactorMissing) => {}
        Some(Restriction::EmailUnverified) => return Err(AuthError::KeyInvalid),
    }
    Ok(Principal {
        person: owner.person,
        access: Access::ApiKey {
            key,
            scopes: scopes.as_slice().to_vec(),
        },
        restriction: None,
    })
}

impl KeyReader {
    /// Notes that a key was used, once a minute. That it cannot be noted is no reason to turn the request away, and is
    /// not tried again within the minute: a store in trouble is not to be asked by every request.
    async fn note_use(&self, key: ApiKeyId, now: DateTime<Utc>, ip: Option<std::net::IpAddr>) {
        let at = now.duration_trunc(Duration::minutes(1)).unwrap_or(now);
        if self.is_news(key, at) {
            let _ = self.keys.used(SignOfUse { key, at, ip }).await;
        }
    }

    fn is_news(&self, key: ApiKeyId, at: DateTime<Utc>) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(&key) == Some(&at) {
            return false;
        }
        make_room(&mut noted, PrincipalCache::ENTRIES_MAX, |earlier| *earlier == at);
        noted.insert(key, at);
        true
    }
}

/// Drops what is no longer needed from a map that is full, and everything if that is not enough.
fn make_room<K: Eq + Hash, V>(map: &mut HashMap<K, V>, entries_max: usize, needed: impl Fn(&V) -> bool) {
    if map.len() >= entries_max {
        map.retain(|_, value| needed(value));
    }
    if map.len() >= entries_max {
        map.clear();
    }
}

impl PrincipalRecord {
    /// Whether the session and the account let anyone act at `now`, and what they must do before they act freely.
    ///
    /// # Errors
    /// [`AuthError::SessionRevoked`] when they let nobody act.
    pub fn admission(&self, now: DateTime<Utc>) -> Result<Option<Restriction>, AuthError> {
        let lives = self.deleted_at.is_none() && self.session_revoked_at.is_none();
        if !lives || self.session_expires_at <= now {
            return Err(AuthError::SessionRevoked);
        }
        match self.status {
            UserStatus::Active => Ok(self.lacks_two_factor().then_some(Restriction::TwoFactorMissing)),
            UserStatus::Pending => Ok(Some(Restriction::EmailUnverified)),
            UserStatus::Suspended => Err(AuthError::SessionRevoked),
        }
    }

    /// Whether the desk asks the person for a second factor that they have not set up. Who came through a sign-on
    /// provider proved as much there as the provider asks.
    fn lacks_two_factor(&self) -> bool {
        let proved_elsewhere = match self.method {
            SignInMethod::SignOn => true,
            SignInMethod::Password
            | SignInMethod::PasswordAndCode
            | SignInMethod::PasswordAndRecoveryCode => false,
        };
        !self.two_factor_enabled && !proved_elsewhere && self.two_factor_rule.applies_to(self.person.role)
    }
}

/// Remembers for a few seconds who stands behind a session or a key, so that not every request reads it.
///
/// Every service that changes an account, a session, a key, a team or a membership empties it, so that on the node that
/// did it the change holds at once; on others it holds when the entries' time is over.
#[derive(Debug, Default)]
pub struct PrincipalCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_session: HashMap<SessionId, (PrincipalRecord, DateTime<Utc>)>,
    by_key: HashMap<TokenHash, (ApiKeyRecord, DateTime<Utc>)>,
    generation: u64,
}

impl PrincipalCache {
    /// For how long an entry is good, in seconds.
    pub const TTL_SECS: i64 = 3;
    /// The most entries that are held, of sessions and as many of keys.
    pub const ENTRIES_MAX: usize = 10_000;

    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everyone. What was read from the store before this and comes after it is not remembered either.
    pub fn invalidate_all(&self) {
        let mut entries = self.entries();
        entries.by_session.clear();
        entries.by_key.clear();
        entries.generation += 1;
    }

    fn get(&self, session: SessionId, now: DateTime<Utc>) -> Option<PrincipalRecord> {
        let entries = self.entries();
        let (record, read_at) = entries.by_session.get(&session)?;
        is_fresh(*read_at, now).then(|| record.clone())
    }

    /// To be asked before the store is read, and given back with what was read.
    fn generation(&self) -> u64 {
        self.entries().generation
    }

    fn put(&self, session: SessionId, record: PrincipalRecord, read_at: DateTime<Utc>, generation: u64) {
        let mut entries = self.entries();
        if entries.generation != generation {
            return;
        }
        make_room(&mut entries.by_session, Self::ENTRIES_MAX, |(_, earlier)| {
            is_fresh(*earlier, read_at)
        });
        entries.by_session.insert(session, (record, read_at));
    }

    fn key(&self, key: &TokenHash, now: DateTime<Utc>) -> Option<ApiKeyRecord> {
        let entries = self.entries();
        let (record, read_at) = entries.by_key.get(key)?;
        is_fresh(*read_at, now).then(|| record.clone())
    }

    fn put_key(&self, key: TokenHash, record: ApiKeyRecord, read_at: DateTime<Utc>, generation: u64) {
        let mut entries = self.entries();
        if entries.generation != generation {
            return;
        }
        make_room(&mut entries.by_key, Self::ENTRIES_MAX, |(_, earlier)| {
            is_fresh(*earlier, read_at)
        });
        entries.by_key.insert(key, (record, read_at));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries().by_session.len()
    }

    /// The lock guards plain data that is whole after every statement, so that a panic elsewhere does not spoil it.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(read_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let age = now - read_at;
    Duration::zero() <= age && age < Duration::seconds(PrincipalCache::TTL_SECS)
}
