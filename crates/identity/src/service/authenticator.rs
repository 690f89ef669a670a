//! Who a request comes from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Duration, Utc};
use kernel::{Clock, Origin, PortError};

use crate::access::{Access, Principal, Restriction};
use crate::ports::{AccessTokens, PrincipalRecord, SessionStore};
use crate::service::AuthError;
use crate::session::{SessionId, SignInMethod};
use crate::user::UserStatus;

/// Finds out who a bearer of an access token is. Fails closed: when the store does not answer, nobody is known.
pub struct Authenticator {
    tokens: Arc<dyn AccessTokens>,
    sessions: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    cache: Arc<PrincipalCache>,
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
        }
    }

    /// Who bears the token (the part of the `Authorization` header after `Bearer `). `origin` is where the request
    /// comes from; it goes with the person onto the record.
    ///
    /// # Errors
    /// When the token is not ours or expired, the session ended, or the account cannot be used.
    pub async fn authenticate(&self, bearer: &str, origin: Origin) -> Result<Principal, AuthError> {
        let now = self.clock.now();
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

    /// Whether a principal that was authenticated earlier still is what it was: for connections that stay open.
    /// Gives the person as they are now.
    ///
    /// # Errors
    /// When the session ended or the account cannot be used any more, or the store does not answer.
    pub async fn reauthenticate(&self, principal: &Principal) -> Result<Principal, AuthError> {
        let now = self.clock.now();
        let session = principal.session().ok_or(AuthError::SessionRevoked)?;
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

/// Remembers for a few seconds who stands behind a session, so that not every request reads it.
///
/// Every service that changes an account, a session, a team or a membership empties it, so that on the node that
/// did it the change holds at once; on others it holds when the entries' time is over.
#[derive(Debug, Default)]
pub struct PrincipalCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_session: HashMap<SessionId, (PrincipalRecord, DateTime<Utc>)>,
    generation: u64,
}

impl PrincipalCache {
    /// For how long an entry is good, in seconds.
    pub const TTL_SECS: i64 = 3;
    /// The most entries that are held.
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
        if entries.by_session.len() >= Self::ENTRIES_MAX {
            entries
                .by_session
                .retain(|_, (_, earlier)| is_fresh(*earlier, read_at));
        }
        if entries.by_session.len() >= Self::ENTRIES_MAX {
            entries.by_session.clear();
        }
        entries.by_session.insert(session, (record, read_at));
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
