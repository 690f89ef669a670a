//! Sessions: logging in, staying in, leaving.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use events::{Cause, Event, Fact, IdentityFact};
use kernel::{Actor, Client, Clock, IdSource, Origin, Page, PageLimit, PortError, Position, UserId};

use crate::access::Principal;
use crate::policy;
use crate::ports::{
    AccessTokens, BeginError, LoginChallenge, PasswordHasher, Proof, Revocation, RotateError, Rotation,
    SealPurpose, Secrets, SessionBegin, SessionStore, ShownToken, TokenPlace, UserStore, WhichSessions,
};
use crate::service::second_factor::{Judged, SecondFactor, TwoFactorLimits};
use crate::service::throttle::{Guess, Target, Throttle, Throttled, Tokens};
use crate::service::{DECISIONS_MAX, LoginError, PrincipalCache, RefreshError, SessionError};
use crate::session::{AccessClaims, AccessToken, SecretToken, Session, SessionId, SignInMethod, TokenHash};
use crate::user::{Profile, User};
use crate::value::{EmailAddress, PasswordAttempt, PasswordHash};

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
    /// Judges codes; keeps the challenges of logins that wait for one.
    pub second_factor: Arc<SecondFactor>,
    /// Counts guesses.
    pub throttle: Arc<Throttle>,
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
    /// A code of the second factor or a recovery code, as typed, where it comes along.
    pub totp: Option<String>,
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
    /// The session was ended, or its account does not admit its owner.
    Revoked,
}

/// Why nobody was signed in, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Password,
    Unknown,
    ShutOut,
    SecondFactor,
    Rate,
}

impl Refusal {
    fn as_str(self) -> &'static str {
        match self {
            Refusal::Password => "password",
            Refusal::Unknown => "unknown",
            Refusal::ShutOut => "shut_out",
            Refusal::SecondFactor => "second_factor",
            Refusal::Rate => "rate",
        }
    }
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
    /// at the same cost. Where the account has a second factor, its code may come along; else it is asked for.
    ///
    /// # Errors
    /// [`LoginError::InvalidCredentials`] for all of these, [`LoginError::TwoFactorRequired`] with what
    /// [`Sessions::verify`] takes, and as [`LoginError`] says.
    pub async fn login(&self, credentials: Credentials, origin: Arc<Origin>) -> Result<SignedIn, LoginError> {
        let Credentials {
            email,
            password,
            totp,
        } = credentials;
        let attempt = PasswordAttempt::new(&password);
        let (user, target) = match EmailAddress::parse("/email", &email) {
            Ok(email) => {
                let user = self.ports.users.user_by_email(&email).await?;
                let target = Target::of(&email, user.as_ref().map(|user| user.id));
                (user, target)
            }
            Err(_) => (None, Target::nobody(&email)),
        };
        let tried = user.as_ref().map(|user| user.id);
        let tokens = self.admit(Guess::Password, &target, &origin).await?;
        let (user, attempt) = match (user.filter(User::may_sign_in), attempt) {
            (Some(user), Some(attempt)) => (user, attempt),
            (usable, attempt) => {
                let attempt = attempt.unwrap_or_else(PasswordAttempt::nothing);
                self.ports.hasher.verify_nothing(&attempt).await?;
                let reason = match (tried, usable) {
                    (None, _) => Refusal::Unknown,
                    (Some(_), None) => Refusal::ShutOut,
                    (Some(_), Some(_)) => Refusal::Password,
                };
                self.refuse(tried, reason, &origin).await?;
                return Err(LoginError::InvalidCredentials);
            }
        };
        if !self.ports.hasher.verify(&user.password_hash, &attempt).await? {
            self.refuse(tried, Refusal::Password, &origin).await?;
            return Err(LoginError::InvalidCredentials);
        }
        self.ports.throttle.give_back(tokens).await;
        let password = user.password_hash.clone();
        if !user.two_factor_enabled {
            let begun = self
                .begin(
                    user,
                    Proof::Password(password),
                    SignInMethod::Password,
                    None,
                    &origin,
                )
                .await;
            return match begun {
                Err(BeginError::Refused) => {
                    self.refuse(tried, Refusal::ShutOut, &origin).await?;
                    Err(LoginError::InvalidCredentials)
                }
                Err(BeginError::Port(error)) => Err(error.into()),
                Ok(signed_in) => Ok(signed_in),
            };
        }
        match totp {
            Some(code) => self.login_by_code(user, password, None, &code, &origin).await,
            None => Err(self.challenge(&user, &password).await?),
        }
    }

    /// Finishes a login that was asked for a code. A challenge begins one session, and is over after
    /// [`TwoFactorLimits::CHALLENGE_TRIES_MAX`] tries.
    ///
    /// # Errors
    /// [`LoginError::ChallengeInvalid`], [`LoginError::TwoFactorInvalid`], and as [`LoginError`] says.
    pub async fn verify(
        &self,
        challenge: &str,
        code: &str,
        origin: Arc<Origin>,
    ) -> Result<SignedIn, LoginError> {
        let token = SecretToken::parse(challenge).ok_or(LoginError::ChallengeInvalid)?;
        let token = self.ports.secrets.sha256(&token);
        let factor = &self.ports.second_factor.ports;
        let tries_max = TwoFactorLimits::CHALLENGE_TRIES_MAX;
        let challenge = factor
            .store
            .try_challenge(&token, self.ports.clock.now(), tries_max)
            .await?;
        let challenge = challenge.ok_or(LoginError::ChallengeInvalid)?;
        let user = self.ports.users.user(challenge.user).await?;
        let user = user.filter(|user| user.may_sign_in() && user.two_factor_enabled);
        let user = user.ok_or(LoginError::ChallengeInvalid)?;
        let password = factor
            .vault
            .open(SealPurpose::LoginChallenge, user.id.0, &challenge.password)?;
        let password = PasswordHash::from_phc(password);
        if password != user.password_hash {
            return Err(LoginError::ChallengeInvalid);
        }
        self.login_by_code(user, password, Some(token), code, &origin)
            .await
    }

    /// Logs one in whose password was right, if the code is.
    async fn login_by_code(
        &self,
        user: User,
        password: PasswordHash,
        challenge: Option<TokenHash>,
        code: &str,
        origin: &Arc<Origin>,
    ) -> Result<SignedIn, LoginError> {
        let id = user.id;
        let target = Target::of(&user.email, Some(id));
        let tokens = self.admit(Guess::Code, &target, origin).await?;
        let now = self.ports.clock.now();
        let Some(judged) = self.ports.second_factor.judge(id, code, now).await? else {
            self.refuse(Some(id), Refusal::SecondFactor, origin).await?;
            return Err(LoginError::TwoFactorInvalid);
        };
        let Judged {
            factor,
            method,
            codes_left,
        } = judged;
        let proof = Proof::PasswordAndFactor {
            password,
            factor,
            challenge,
        };
        match self.begin(user, proof, method, codes_left, origin).await {
            Ok(signed_in) => {
                self.ports.throttle.give_back(tokens).await;
                Ok(signed_in)
            }
            Err(BeginError::Refused) => {
                self.refuse(Some(id), Refusal::SecondFactor, origin).await?;
                Err(LoginError::TwoFactorInvalid)
            }
            Err(BeginError::Port(error)) => Err(error.into()),
        }
    }

    /// Remembers a login whose password was right, and asks for its code.
    async fn challenge(&self, user: &User, password: &PasswordHash) -> Result<LoginError, PortError> {
        let now = self.ports.clock.now();
        let challenge = self.ports.secrets.token()?;
        let factor = &self.ports.second_factor.ports;
        let sealed = factor
            .vault
            .seal(SealPurpose::LoginChallenge, user.id.0, password.as_str())?;
        let stored = LoginChallenge {
            token: self.ports.secrets.sha256(&challenge),
            user: user.id,
            password: sealed,
            created_at: now,
            expires_at: now + Duration::seconds(TwoFactorLimits::CHALLENGE_SECS),
        };
        factor.store.challenge(stored).await?;
        Ok(LoginError::TwoFactorRequired {
            challenge,
            expires_in: std::time::Duration::from_secs(TwoFactorLimits::CHALLENGE_SECS.unsigned_abs()),
        })
    }

    /// Takes what a guess costs; one that is turned away is recorded.
    async fn admit(&self, guess: Guess, target: &Target, origin: &Arc<Origin>) -> Result<Tokens, LoginError> {
        let admitted = self.ports.throttle.admit(guess, target, &origin.client).await;
        if let Err(Throttled::TooMany { .. }) = &admitted {
            self.refuse(target.user(), Refusal::Rate, origin).await?;
        }
        Ok(admitted?)
    }

    /// Records that nobody was signed in.
    async fn refuse(
        &self,
        user: Option<UserId>,
        reason: Refusal,
        origin: &Arc<Origin>,
    ) -> Result<(), PortError> {
        let fact = IdentityFact::SignInRefused {
            user,
            reason: reason.as_str().to_owned(),
        };
        let cause = Cause::System("sign_in".to_owned());
        let event = self.event(cause, Some(origin), self.ports.clock.now(), fact);
        self.ports.sessions.refuse(vec![event]).await
    }

    fn event(
        &self,
        cause: Cause,
        origin: Option<&Arc<Origin>>,
        at: DateTime<Utc>,
        fact: IdentityFact,
    ) -> Event {
        Event::caused(
            self.ports.ids.as_ref(),
            at,
            cause,
            origin.cloned(),
            Fact::Identity(fact),
        )
    }

    /// Begins a session of someone who proved who they are. `codes_left` is of the recovery code that was used for it.
    pub(super) async fn begin(
        &self,
        user: User,
        proof: Proof,
        method: SignInMethod,
        codes_left: Option<u32>,
        origin: &Arc<Origin>,
    ) -> Result<SignedIn, BeginError> {
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
        let used = codes_left.map(|left| IdentityFact::RecoveryCodeUsed { user: user.id, left });
        let began = IdentityFact::SignedIn {
            user: user.id,
            session: session.id.0,
            method: method.as_str().to_owned(),
        };
        let facts = used.into_iter().chain([began]);
        let events = facts.map(|fact| self.event(Cause::Person(user.id), Some(origin), now, fact));
        let begin = SessionBegin {
            session,
            proof,
            events: events.collect(),
        };
        self.ports.sessions.begin(begin).await?;
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
        if session.revoked_at.is_some() || !user.may_sign_in() {
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
        let ended = IdentityFact::SessionsEnded {
            user: session.user_id,
            session: Some(session.id.0),
        };
        let cause = || Cause::System("session_guard".to_owned());
        let revocation = Revocation {
            which: WhichSessions::One(session.id),
            at: now,
            events: vec![
                self.event(cause(), Some(origin), now, fact),
                self.event(cause(), Some(origin), now, ended),
            ],
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
        let revocation = self.revocation(&principal.actor(), principal.person.id, which);
        self.revoke_and_forget(revocation).await.map(|_| ())
    }

    /// Ends every session of the caller.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn logout_all(&self, principal: &Principal) -> Result<(), PortError> {
        let which = WhichSessions::AllOf(principal.person.id);
        let revocation = self.revocation(&principal.actor(), principal.person.id, which);
        self.revoke_and_forget(revocation).await.map(|_| ())
    }

    /// A page of a person's live sessions, newest first.
    ///
    /// # Errors
    /// [`SessionError::NoAccount`] when the caller may not know of them.
    pub async fn list(
        &self,
        actor: &Actor,
        owner: UserId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<SessionInfo>, SessionError> {
        policy::manage_sessions(actor, owner).map_err(|_| SessionError::NoAccount)?;
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
        let revocation = self.revocation(actor, session.user_id, WhichSessions::One(id));
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

    /// Ends sessions of `user` now, and tells of it.
    fn revocation(&self, actor: &Actor, user: UserId, which: WhichSessions) -> Revocation {
        let at = self.ports.clock.now();
        let session = match which {
            WhichSessions::One(session) => Some(session.0),
            WhichSessions::AllOf(_) => None,
        };
        let fact = IdentityFact::SessionsEnded { user, session };
        Revocation {
            which,
            at,
            events: vec![self.event(Cause::from(actor), actor.origin(), at, fact)],
        }
    }

    /// Revokes, and forgets who callers were: also after a failure, which may hide a success.
    async fn revoke_and_forget(&self, revocation: Revocation) -> Result<u64, PortError> {
        let outcome = self.ports.sessions.revoke(revocation).await;
        self.ports.cache.invalidate_all();
        outcome
    }
}
