//! Proving once more who one is, before what a stolen session must not be enough for: a change of password, address or
//! second factor, a key for a program, the removal of someone's data.
//!
//! To guard a use case by it, call [`Reauthentication::prove`] first and decide on the account that it gives.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use chrono::Duration;
use events::{Event, Fact, IdentityFact};
use kernel::{Classify, Clock, FailureKind, IdSource, PortError};

use super::throttle::{Guess, Target, Throttle, Throttled};
use super::two_factor_error::{too_many, whole_secs};
use crate::access::Principal;
use crate::ports::{PasswordHasher, SessionStore, UserStore};
use crate::user::User;
use crate::value::PasswordAttempt;

/// Has signed-in people prove once more who they are.
pub struct Reauthentication {
    users: Arc<dyn UserStore>,
    sessions: Arc<dyn SessionStore>,
    hasher: Arc<dyn PasswordHasher>,
    throttle: Arc<Throttle>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Reauthentication {
    /// For how long after its beginning a session is proof enough of one whose account has no password, in minutes.
    pub const FRESH_SIGN_IN_MINUTES: i64 = 10;

    /// A guard over these ports.
    #[must_use]
    pub fn new(
        users: Arc<dyn UserStore>,
        sessions: Arc<dyn SessionStore>,
        hasher: Arc<dyn PasswordHasher>,
        throttle: Arc<Throttle>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            users,
            sessions,
            hasher,
            throttle,
            clock,
            ids,
        }
    }

    /// The caller's account as it is stored, once they have proved that it is theirs: by its password, or, if it has
    /// none, by a session that began a few minutes ago. A key of a program proves nothing.
    ///
    /// # Errors
    /// See [`ReauthenticationError`].
    pub async fn prove(
        &self,
        principal: &Principal,
        current_password: Option<&str>,
    ) -> Result<User, ReauthenticationError> {
        let session = principal.session().ok_or(ReauthenticationError::Failed)?;
        let user = self.users.user(principal.person.id).await?;
        let user = user
            .filter(User::may_sign_in)
            .ok_or(ReauthenticationError::NoAccount)?;
        let proved = if user.password_hash.is_unset() {
            let session = self.sessions.session(session).await?;
            let session = session.ok_or(ReauthenticationError::NoAccount)?;
            let fresh_until = session.created_at + Duration::minutes(Self::FRESH_SIGN_IN_MINUTES);
            session.user_id == user.id && self.clock.now() < fresh_until
        } else {
            match current_password.and_then(PasswordAttempt::new) {
                Some(attempt) => self.is_password(principal, &user, &attempt).await?,
                None => false,
            }
        };
        if proved {
            Ok(user)
        } else {
            Err(ReauthenticationError::Failed)
        }
    }

    /// Whether it is the account's password. Guesses are counted with those at logins, and wrong ones are on record: who
    /// stole a session is not to find the password out by it.
    async fn is_password(
        &self,
        principal: &Principal,
        user: &User,
        attempt: &PasswordAttempt,
    ) -> Result<bool, ReauthenticationError> {
        let target = Target::of(&user.email, Some(user.id));
        let client = principal
            .person
            .origin
            .as_ref()
            .map(|origin| origin.client.clone());
        let admitted = self
            .throttle
            .admit(Guess::Password, &target, &client.unwrap_or_default())
            .await;
        let tokens = match admitted {
            Ok(tokens) => tokens,
            Err(Throttled::TooMany { retry_after }) => {
                self.record_failure(principal, user).await?;
                return Err(ReauthenticationError::TooMany { retry_after });
            }
            Err(Throttled::Port(error)) => return Err(error.into()),
        };
        let is_right = self.hasher.verify(&user.password_hash, attempt).await?;
        if is_right {
            self.throttle.give_back(tokens).await;
        } else {
            self.record_failure(principal, user).await?;
        }
        Ok(is_right)
    }

    async fn record_failure(&self, principal: &Principal, user: &User) -> Result<(), PortError> {
        let fact = Fact::Identity(IdentityFact::ReauthenticationFailed { user: user.id });
        let event = Event::new(self.ids.as_ref(), self.clock.now(), &principal.actor(), fact);
        self.sessions.refuse(vec![event]).await
    }
}

/// Why someone did not prove who they are.
#[derive(Debug, thiserror::Error)]
pub enum ReauthenticationError {
    /// The password is another or was not given, or, of an account without one, the session began too long ago.
    #[error("the caller did not prove again who they are")]
    Failed,
    /// Too many wrong passwords were tried.
    #[error("too many passwords were tried")]
    TooMany {
        /// When the next one is looked at.
        retry_after: StdDuration,
    },
    /// The account was shut out meanwhile.
    #[error("the account can no longer be used")]
    NoAccount,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ReauthenticationError {
    fn kind(&self) -> FailureKind {
        match self {
            ReauthenticationError::Failed => FailureKind::Forbidden,
            ReauthenticationError::TooMany { .. } => FailureKind::TooMany,
            ReauthenticationError::NoAccount => FailureKind::Unauthenticated,
            ReauthenticationError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ReauthenticationError::Failed => "auth.reauthentication_failed",
            ReauthenticationError::TooMany { .. } => "request.rate_limited",
            ReauthenticationError::NoAccount => "auth.session_revoked",
            ReauthenticationError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ReauthenticationError::Failed => {
                "The current password is not right; an account without one needs a fresh sign-in.".into()
            }
            ReauthenticationError::TooMany { retry_after } => too_many(*retry_after),
            ReauthenticationError::NoAccount => "The session has ended; log in again.".into(),
            ReauthenticationError::Port(error) => error.detail(),
        }
    }

    fn retry_after(&self) -> Option<StdDuration> {
        match self {
            ReauthenticationError::TooMany { retry_after } => Some(whole_secs(*retry_after)),
            ReauthenticationError::Port(error) => error.retry_after(),
            ReauthenticationError::Failed | ReauthenticationError::NoAccount => None,
        }
    }
}
