//! Sessions: logging in, staying in, leaving.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use events::{Cause, Event, Fact, IdentityFact};
use kernel::{Actor, Client, Clock, EventId, IdSource, Origin, Page, PageLimit, PortError, Position, UserId};

use crate::access::Principal;
use crate::policy;
use crate::ports::{
    AccessTokens, BeginError, PasswordHasher, Proof, Revocation, RotateError, Rotation, Secrets,
    SessionBegin, SessionStore, ShownToken, TokenPlace, UserStore, WhichSessions,
};
use crate::service::{DECISIONS_MAX, LoginError, PrincipalCache, RefreshError, SessionError};
use crate::session::{AccessClaims, AccessToken, SecretToken, Session, SessionId, SignInMethod, TokenHash};
use crate::user::{Profile, User};
use crate::value::{EmailAddress, PasswordAttempt};

/// What [`Sessions`] works with.
#[derive(Clone)]
pub struct SessionPorts {
    /// Keeps the accounts.
    pub users: Arc<dyn UserStore>,
    /// Keeps the sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Compares passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Signs access tokens.
    pub tokens: Arc<dyn AccessTokens>,
    /// Makes refresh tokens.
    pub secrets: Arc<dyn Secrets>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
    /// To be emptied with every change.
    pub cache: Arc<PrincipalCache>,
}

/// The bounds that an operator sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// For how long an access token is good.
    pub access_life: Duration,
    /// How long a session lasts without being used.
    pub idle: Duration,
    /// How long a session lasts at most, counted from the login.
    pub absolute: Duration,
    /// For how long after an exchange the same client may show the exchanged token again, because the answer was lost.
    pub grace: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            access_life: Duration::minutes(15),
            idle: Duration::days(30),
            absolute: Duration::days(90),
            grace: Duration::seconds(10),
        }
    }
}

impl SessionLimits {
    /// For how long ended sessions are kept before they are forgotten, in days.
    pub const ENDED_KEPT_DAYS: i64 = 30;

    /// When a session of a login at `began` ends if it is used at `now` and not again.
    fn expiry(&self, began: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.idle).min(began + self.absolute)
    }
}

/// What a person logs in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The address, as typed.
    pub email: String,
    /// The password, as typed.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

/// What a person has after logging in or refreshing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// For the `Authorization` header.
    pub access_token: AccessToken,
    /// For how long the access token is good.
    pub access_expires_in: Duration,
    /// To be exchanged for the next pair.
    pub refresh_token: SecretToken,
    /// The session.
    pub session_id: SessionId,
    /// The account.
    pub profile: Profile,
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The session.
    pub id: SessionId,
    /// How the person proved who they are.
    pub method: SignInMethod,
    /// The client that used it last.
    pub client: Client,
    /// When the person logged in.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed.
    pub last_used_at: DateTime<Utc>,
    /// When it ends unless it is refreshed before.
    pub expires_at: DateTime<Utc>,
}

/// What is to be done about a shown refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Exchange it.
    Exchange,
    /// Give the successor that it was exchanged for again: the answer was lost.
    GiveAgain(SecretToken),
    /// End the session: someone shows what its owner has exchanged already.
    Reused,
    /// The session is over.
    Expired,
    /// The session was ended, or its account cannot be used.
    Revoked,
}

/// The use cases of sessions.
pub struct Sessions {
    ports: SessionPorts,
    limits: SessionLimits,
}

impl Sessions {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(ports: SessionPorts, limits: SessionLimits) -> Self {
        Self { ports, limits }
    }

    /// Logs a person in. An unknown address, a wrong password and an account that cannot be used get the same answer
    /// at the same cost.
    ///
    /// # Errors
    /// [`LoginError::InvalidCredentials`] for all of these.
    pub async fn login(&self, credentials: Credentials, origin: Arc<Origin>) -> Result<SignedIn, LoginError> {
        let attempt = PasswordAttempt::new(&credentials.password);
        let user = match EmailAddress::parse("/email", &credentials.email) {
            Ok(email) => self.ports.users.user_by_email(&email).await?,
            Err(_) => None,
        };
        let (user, attempt) = match (user.filter(User::is_usable), attempt) {
            (Some(user), Some(attempt)) => (user, attempt),
            (_, attempt) => {
                let attempt = attempt.unwrap_or_else(PasswordAttempt::nothing);
                self.ports.hasher.verify_nothing(&attempt).await?;
                return Err(LoginError::InvalidCredentials);
            }
        };
        if !self.ports.hasher.verify(&user.password_hash, &attempt).await? {
            return Err(LoginError::InvalidCredentials);
        }
        let proof = Proof::Password(user.password_hash.clone());
        self.begin(user, proof, SignInMethod::Password, &origin).await
    }

    /// Begins a session of someone who proved who they are.
    pub(super) async fn begin(
        &self,
        user: User,
        proof: Proof,
        method: SignInMethod,
        origin: &Arc<Origin>,
    ) -> Result<SignedIn, LoginError> {
        let now = self.ports.clock.now();
        let token = self.ports.secrets.token()?;
        let session = Session {
            id: SessionId::new(self.ports.ids.as_ref()),
            user_id: user.id,
            method,
            refresh_token_sha256: self.ports.secrets.sha256(&token),
            client: origin.client.clone(),
            expires_at: self.limits.expiry(now, now),
            created_at: now,
            last_used_at: now,
            revoked_at: None,
        };
        let signed_in = self.sign_in(&session, session.expires_at, token, now, {
            let mut profile = user.profile();
            profile.last_login_at = Some(now);
            profile
        })?;
        let fact = IdentityFact::SignedIn {
            user: user.id,
            session: session.id.0,
            method: method.as_str().to_owned(),
        };
        let event = Event {
            id: EventId::new(self.ports.ids.as_ref()),
            at: now,
            cause: Cause::Person(user.id),
            origin: Some(Arc::clone(origin)),
            fact: Fact::Identity(fact),
        };
        let begin = SessionBegin {
            session,
            proof,
            events: vec![event],
        };
        self.ports
            .sessions
            .begin(begin)
            .await
            .map_err(|error| match error {
                BeginError::Refused => LoginError::InvalidCredentials,
                BeginError::Port(error) => error.into(),
            })?;
        Ok(signed_in)
    }

    /// Exchanges a refresh token for the next pair. A token that was exchanged already ends the session, unless its
    /// answer was lost: the same client, within the grace period, gets the same successor again.
    ///
    /// # Errors
    /// See [`RefreshError`].
    pub async fn refresh(&self, refresh_token: &str, origin: Arc<Origin>) -> Result<SignedIn, RefreshError> {
        let client = &origin.client;
        let presented = SecretToken::parse(refresh_token).ok_or(RefreshError::TokenInvalid)?;
        let presented_sha256 = self.ports.secrets.sha256(&presented);
        for _ in 0..DECISIONS_MAX {
            let now = self.ports.clock.now();
            let shown = self.ports.sessions.shown(&presented_sha256).await?;
            let shown = shown.ok_or(RefreshError::TokenInvalid)?;
            match self.judge(&shown, &presented, client, now) {
                Verdict::Exchange => {
                    match self
                        .exchange(shown, &presented, &presented_sha256, client.clone(), now)
                        .await
                    {
                        Ok(signed_in) => return Ok(signed_in),
                        // Another request with this token came first; looking again tells what that means.
                        Err(RotateError::Stale) => {}
                        Err(RotateError::Port(error)) => return Err(error.into()),
                    }
                }
                Verdict::GiveAgain(successor) => {
                    let ShownToken {
                        session,
                        user,
                        place: _,
                    } = shown;
                    let expires_at = session.expires_at;
                    return Ok(self.sign_in(&session, expires_at, successor, now, user.profile())?);
                }
                Verdict::Reused => {
                    self.end_reused(&shown.session, &origin, now).await?;
                    return Err(RefreshError::TokenReused);
                }
                Verdict::Expired => return Err(RefreshError::TokenExpired),
                Verdict::Revoked => return Err(RefreshError::SessionRevoked),
            }
        }
        Err(RefreshError::Busy)
    }

    fn judge(
        &self,
        shown: &ShownToken,
        presented: &SecretToken,
        client: &Client,
        now: DateTime<Utc>,
    ) -> Verdict {
        let ShownToken { session, user, place } = shown;
        if session.revoked_at.is_some() || !user.is_usable() {
            return Verdict::Revoked;
        }
        if !session.is_live(now) {
            return Verdict::Expired;
        }
        let (exchanged_at, salt) = match place {
            TokenPlace::Live => return Verdict::Exchange,
            TokenPlace::Exchanged { at, successor_salt } => (*at, successor_salt),
        };
        let answer_may_be_lost = now - exchanged_at <= self.limits.grace && session.client.resembles(client);
        if !answer_may_be_lost {
            return Verdict::Reused;
        }
        let successor = self.ports.secrets.successor(presented, salt);
        // Once the successor was used, its owner has it, and nobody can need it again.
        if self.ports.secrets.sha256(&successor) == session.refresh_token_sha256 {
            Verdict::GiveAgain(successor)
        } else {
            Verdict::Reused
        }
    }

    async fn exchange(
        &self,
        shown: ShownToken,
        presented: &SecretToken,
        presented_sha256: &TokenHash,
        client: Client,
        now: DateTime<Utc>,
    ) -> Result<SignedIn, RotateError> {
        let ShownToken {
            session,
            user,
            place: _,
        } = shown;
        let successor_salt = self.ports.secrets.salt()?;
        let successor = self.ports.secrets.successor(presented, &successor_salt);
        let expires_at = self.limits.expiry(session.created_at, now);
        let rotation = Rotation {
            session: session.id,
            presented: presented_sha256.clone(),
            successor: self.ports.secrets.sha256(&successor),
            successor_salt,
            at: now,
            expires_at,
            client,
        };
        let signed_in = self.sign_in(&session, expires_at, successor, now, user.profile())?;
        self.ports.sessions.rotate(rotation).await?;
        Ok(signed_in)
    }

    async fn end_reused(
        &self,
        session: &Session,
        origin: &Arc<Origin>,
        now: DateTime<Utc>,
    ) -> Result<(), PortError> {
        let fact = IdentityFact::SessionReuseDetected {
            user: session.user_id,
            session: session.id.0,
        };
        let event = Event {
            id: EventId::new(self.ports.ids.as_ref()),
            at: now,
            cause: Cause::System("session_guard".to_owned()),
            origin: Some(Arc::clone(origin)),
            fact: Fact::Identity(fact),
        };
        let revocation = Revocation {
            which: WhichSessions::One(session.id),
            at: now,
            events: vec![event],
        };
        self.revoke_and_forget(revocation).await.map(|_| ())
    }

    fn sign_in(
        &self,
        session: &Session,
        session_expires_at: DateTime<Utc>,
        refresh_token: SecretToken,
        now: DateTime<Utc>,
        profile: Profile,
    ) -> Result<SignedIn, PortError> {
        let expires_at = (now + self.limits.access_life).min(session_expires_at);
        let claims = AccessClaims {
            user_id: session.user_id,
            session_id: session.id,
            issued_at: now,
            expires_at,
        };
        Ok(SignedIn {
            access_token: self.ports.tokens.issue(&claims)?,
            access_expires_in: expires_at - now,
            refresh_token,
            session_id: session.id,
            profile,
        })
    }

    /// Ends the caller's session.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn logout(&self, principal: &Principal) -> Result<(), PortError> {
        let Some(session) = principal.session() else {
            return Ok(());
        };
        let which = WhichSessions::One(session);
        let revocation = Revocation {
            which,
            at: self.ports.clock.now(),
            events: Vec::new(),
        };
        self.revoke_and_forget(revocation).await.map(|_| ())
    }

    /// Ends every session of the caller.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn logout_all(&self, principal: &Principal) -> Result<(), PortError> {
        let which = WhichSessions::AllOf(principal.person.id);
        let revocation = Revocation {
            which,
            at: self.ports.clock.now(),
            events: Vec::new(),
        };
        self.revoke_and_forget(revocation).await.map(|_| ())
    }

    /// A page of a person's live sessions, newest first.
    ///
    /// # Errors
    /// [`SessionError::NotFound`] when the caller may not know of them.
    pub async fn list(
        &self,
        actor: &Actor,
        owner: UserId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<SessionInfo>, SessionError> {
        policy::manage_sessions(actor, owner)?;
        let page = self
            .ports
            .sessions
            .live_sessions(owner, self.ports.clock.now(), after, limit)
            .await?;
        Ok(page.map(|session| {
            let Session {
                id,
                user_id: _,
                method,
                refresh_token_sha256: _,
                client,
                expires_at,
                created_at,
                last_used_at,
                revoked_at: _,
            } = session;
            SessionInfo {
                id,
                method,
                client,
                created_at,
                last_used_at,
                expires_at,
            }
        }))
    }

    /// Ends one session: the caller's own, or anyone's for an administrator.
    ///
    /// # Errors
    /// [`SessionError::NotFound`] when there is no such live session that the caller may know of.
    pub async fn revoke(&self, actor: &Actor, id: SessionId) -> Result<(), SessionError> {
        let now = self.ports.clock.now();
        let session = self
            .ports
            .sessions
            .session(id)
            .await?
            .filter(|session| session.is_live(now));
        let session = session.ok_or(SessionError::NotFound)?;
        policy::manage_sessions(actor, session.user_id)?;
        let revocation = Revocation {
            which: WhichSessions::One(id),
            at: now,
            events: Vec::new(),
        };
        self.revoke_and_forget(revocation).await?;
        Ok(())
    }

    /// Forgets up to `rows_max` sessions that ended long ago; gives the number forgotten. Any number of nodes may call
    /// it at once.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn forget_ended(&self, rows_max: i64) -> Result<u64, PortError> {
        let before = self.ports.clock.now() - Duration::days(SessionLimits::ENDED_KEPT_DAYS);
        self.ports.sessions.forget_ended(before, rows_max).await
    }

    /// Revokes, and forgets who callers were: also after a failure, which may hide a success.
    async fn revoke_and_forget(&self, revocation: Revocation) -> Result<u64, PortError> {
        let outcome = self.ports.sessions.revoke(revocation).await;
        self.ports.cache.invalidate_all();
        outcome
    }
}
