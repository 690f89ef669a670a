//! The second factor: setting it up, taking it away, and the codes for a day without the device.
//!
//! A secret is stored sealed and asks for nothing until its first code was right. Recovery codes are shown once and kept
//! as hashes. Nothing here is ever stored as the answer to a request.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use events::{Event, Fact, IdentityFact};
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Clock, IdSource, PortError, UserId};

use super::second_factor::{Judged, SecondFactor};
use super::throttle::{Guess, Target, Throttle, Throttled, Tokens};
use super::{
    DECISIONS_MAX, PrincipalCache, Reauthentication, ResetTwoFactorError, TwoFactorError, TwoFactorLimits,
};
use crate::access::Principal;
use crate::policy;
use crate::ports::{
    CodesReplacement, Confirmation, Enrolment, RemovalProof, SealPurpose, SecurityStore, SessionsAfter,
    TwoFactorCommitError, TwoFactorRecord, TwoFactorRemoval, UserStore,
};
use crate::two_factor::{FactorAttempt, RECOVERY_CODES, RecoveryCode, TotpSecret};
use crate::user::User;
use crate::value::EmailAddress;

/// What [`TwoFactor`] works with.
#[derive(Clone)]
pub struct TwoFactorPorts {
    /// Keeps the accounts.
    pub users: Arc<dyn UserStore>,
    /// Keeps the desk's rule.
    pub security: Arc<dyn SecurityStore>,
    /// Has people prove again who they are.
    pub reauthentication: Arc<Reauthentication>,
    /// Judges codes; keeps the factors.
    pub second_factor: Arc<SecondFactor>,
    /// Counts wrong codes.
    pub throttle: Arc<Throttle>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
    /// To be emptied with every change.
    pub cache: Arc<PrincipalCache>,
}

/// How a person's second factor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoFactorStatus {
    /// Whether a code is asked for.
    pub enabled: bool,
    /// How many recovery codes are unused.
    pub recovery_codes_left: u32,
    /// Whether the desk asks people in this role for a second factor.
    pub required: bool,
}

/// A secret for a person's app, shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct NewTwoFactor {
    /// The secret.
    pub secret: TotpSecret,
    /// Whose it is: the name under which the app lists it.
    pub account: EmailAddress,
}

impl fmt::Debug for NewTwoFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewTwoFactor(redacted)")
    }
}

/// What came of sealing a batch of secrets anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// How many were sealed anew.
    pub resealed: u64,
    /// How many were sealed under the present key already, or changed meanwhile.
    pub kept: u64,
    /// How many no known key opens.
    pub unreadable: u64,
    /// Where the next batch begins; `None` after the last one.
    pub next: Option<UserId>,
}

/// The use cases of second factors.
pub struct TwoFactor {
    ports: TwoFactorPorts,
}

impl TwoFactor {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(ports: TwoFactorPorts) -> Self {
        Self { ports }
    }

    /// How the caller's second factor stands.
    ///
    /// # Errors
    /// [`TwoFactorError::NoAccount`] when the account is gone.
    pub async fn status(&self, principal: &Principal) -> Result<TwoFactorStatus, TwoFactorError> {
        let record = self.record(principal.person.id).await?;
        let security = self.ports.security.security().await?;
        Ok(TwoFactorStatus {
            enabled: record.enabled,
            recovery_codes_left: if record.enabled { record.codes_left } else { 0 },
            required: security.require_two_factor.applies_to(principal.person.role),
        })
    }

    /// Begins to set a second factor up: a new secret, in place of one that was never confirmed.
    ///
    /// # Errors
    /// [`TwoFactorError::Reauthentication`] for a wrong password, [`TwoFactorError::AlreadyEnabled`] where a code
    /// is asked for already.
    pub async fn enroll(
        &self,
        principal: &Principal,
        current_password: Option<&str>,
    ) -> Result<NewTwoFactor, TwoFactorError> {
        let user = self
            .ports
            .reauthentication
            .prove(principal, current_password)
            .await?;
        if user.two_factor_enabled {
            return Err(TwoFactorError::AlreadyEnabled);
        }
        let factor = &self.ports.second_factor.ports;
        let random = factor.secrets.salt()?;
        let secret = TotpSecret::from_random(&random).ok_or_else(too_little_randomness)?;
        let enrolment = Enrolment {
            user: user.id,
            password: user.password_hash,
            secret: factor
                .vault
                .seal(SealPurpose::TwoFactor, user.id.0, &secret.to_base32())?,
            at: self.ports.clock.now(),
        };
        let committed = factor.store.enroll(enrolment).await;
        committed.map_err(|error| refused(error, TwoFactorError::AlreadyEnabled))?;
        Ok(NewTwoFactor {
            secret,
            account: user.email,
        })
    }

    /// Enables the second factor by its first code, and gives the recovery codes.
    ///
    /// # Errors
    /// [`TwoFactorError::CodeInvalid`] for a wrong code.
    pub async fn confirm(
        &self,
        principal: &Principal,
        code: &str,
    ) -> Result<Vec<RecoveryCode>, TwoFactorError> {
        let user = self.account(principal).await?;
        let record = self.record(user.id).await?;
        if record.enabled {
            return Err(TwoFactorError::AlreadyEnabled);
        }
        let sealed = record.secret.ok_or(TwoFactorError::NotEnrolled)?;
        let tokens = self.admit(&user, principal).await?;
        let now = self.ports.clock.now();
        let factor = &self.ports.second_factor;
        let step = match FactorAttempt::parse(code) {
            FactorAttempt::Code(code) => factor.step_of(user.id, &sealed, code, record.last_step, now)?,
            FactorAttempt::Recovery(_) | FactorAttempt::Neither => None,
        };
        let step = step.ok_or(TwoFactorError::CodeInvalid)?;
        let codes = self.new_codes()?;
        let fact = IdentityFact::TwoFactorEnabled { user: user.id };
        let confirmation = Confirmation {
            user: user.id,
            secret: sealed,
            step,
            codes: codes.iter().map(|code| factor.hash(code)).collect(),
            at: now,
            events: vec![self.event(&principal.actor(), now, fact)],
        };
        let committed = factor.ports.store.confirm(confirmation).await;
        self.ports.cache.invalidate_all();
        committed.map_err(|error| refused(error, TwoFactorError::CodeInvalid))?;
        self.ports.throttle.give_back(tokens).await;
        Ok(codes)
    }

    /// Takes the caller's second factor away.
    ///
    /// # Errors
    /// [`TwoFactorError::Reauthentication`] for a wrong password, [`TwoFactorError::CodeInvalid`] for a wrong code.
    pub async fn disable(
        &self,
        principal: &Principal,
        current_password: Option<&str>,
        code: &str,
    ) -> Result<(), TwoFactorError> {
        let (user, judged, tokens) = self.proved(principal, current_password, code).await?;
        let now = self.ports.clock.now();
        let mut events = self.used_up(&principal.actor(), now, user.id, &judged);
        let fact = IdentityFact::TwoFactorDisabled { user: user.id };
        events.push(self.event(&principal.actor(), now, fact));
        let removal = TwoFactorRemoval {
            user: user.id,
            proof: RemovalProof::Owner {
                password: user.password_hash,
                factor: judged.factor,
            },
            sessions: SessionsAfter::Keep,
            at: now,
            events,
            receipt: None,
        };
        let committed = self.ports.second_factor.ports.store.remove(removal).await;
        self.ports.cache.invalidate_all();
        committed.map_err(|error| refused(error, TwoFactorError::CodeInvalid))?;
        self.ports.throttle.give_back(tokens).await;
        Ok(())
    }

    /// Gives new recovery codes; the ones before are worthless then.
    ///
    /// # Errors
    /// [`TwoFactorError::Reauthentication`] for a wrong password, [`TwoFactorError::CodeInvalid`] for a wrong code.
    pub async fn replace_codes(
        &self,
        principal: &Principal,
        current_password: Option<&str>,
        code: &str,
    ) -> Result<Vec<RecoveryCode>, TwoFactorError> {
        let (user, judged, tokens) = self.proved(principal, current_password, code).await?;
        let now = self.ports.clock.now();
        let codes = self.new_codes()?;
        let mut events = self.used_up(&principal.actor(), now, user.id, &judged);
        let fact = IdentityFact::RecoveryCodesReplaced { user: user.id };
        events.push(self.event(&principal.actor(), now, fact));
        let factor = &self.ports.second_factor;
        let replacement = CodesReplacement {
            user: user.id,
            password: user.password_hash,
            factor: judged.factor,
            codes: codes.iter().map(|code| factor.hash(code)).collect(),
            at: now,
            events,
        };
        let committed = factor.ports.store.replace_codes(replacement).await;
        committed.map_err(|error| refused(error, TwoFactorError::CodeInvalid))?;
        self.ports.throttle.give_back(tokens).await;
        Ok(codes)
    }

    /// Takes another's second factor away, for one who has lost the device and the recovery codes, and ends all their
    /// sessions.
    ///
    /// # Errors
    /// See [`ResetTwoFactorError`].
    pub async fn reset(
        &self,
        actor: &Actor,
        id: UserId,
        receipt: ReceiptFor<'_, ()>,
    ) -> Result<(), ResetTwoFactorError> {
        for _ in 0..DECISIONS_MAX {
            let user = self.ports.users.user(id).await?;
            let user = user.ok_or(ResetTwoFactorError::NotFound)?;
            policy::reset_two_factor(actor, &user)?;
            if actor.user_id() == Some(id) {
                return Err(ResetTwoFactorError::OwnAccount);
            }
            if !user.two_factor_enabled {
                return Err(ResetTwoFactorError::NotEnabled);
            }
            let now = self.ports.clock.now();
            let ended = IdentityFact::SessionsEnded {
                user: id,
                session: None,
            };
            let removal = TwoFactorRemoval {
                user: id,
                proof: RemovalProof::Admin,
                sessions: SessionsAfter::RevokeAll { at: now },
                at: now,
                events: vec![
                    self.event(actor, now, IdentityFact::TwoFactorDisabled { user: id }),
                    self.event(actor, now, ended),
                ],
                receipt: receipt(&()),
            };
            let committed = self.ports.second_factor.ports.store.remove(removal).await;
            self.ports.cache.invalidate_all();
            match committed {
                Ok(()) => return Ok(()),
                Err(TwoFactorCommitError::Stale) => {}
                Err(TwoFactorCommitError::Repeated) => return Err(ResetTwoFactorError::Repeated),
                Err(TwoFactorCommitError::Port(error)) => return Err(error.into()),
            }
        }
        Err(ResetTwoFactorError::Busy)
    }

    /// Seals up to `rows_max` secrets anew that lie under an earlier key, beginning after `after`. Any number of
    /// processes may do it at once, and one that was broken off may begin anew.
    ///
    /// # Errors
    /// When the store cannot be reached; what was sealed before stays so.
    pub async fn reseal(&self, after: Option<UserId>, rows_max: i64) -> Result<Resealed, PortError> {
        let factor = &self.ports.second_factor.ports;
        let rows = factor.store.sealed_secrets(after, rows_max).await?;
        let mut done = Resealed::default();
        let is_last = i64::try_from(rows.len()).unwrap_or(i64::MAX) < rows_max;
        done.next = rows.last().map(|(user, _)| *user).filter(|_| !is_last);
        for (user, sealed) in rows {
            if factor.vault.is_present(&sealed) {
                done.kept += 1;
                continue;
            }
            let Ok(text) = factor.vault.open(SealPurpose::TwoFactor, user.0, &sealed) else {
                done.unreadable += 1;
                continue;
            };
            let anew = factor.vault.seal(SealPurpose::TwoFactor, user.0, &text)?;
            if factor.store.reseal(user, &sealed, &anew).await? {
                done.resealed += 1;
            } else {
                done.kept += 1;
            }
        }
        Ok(done)
    }

    /// Forgets up to `rows_max` challenges of logins that are over; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn forget_challenges(&self, rows_max: i64) -> Result<u64, PortError> {
        let before = self.ports.clock.now() - Duration::seconds(TwoFactorLimits::CHALLENGE_SECS);
        let store = &self.ports.second_factor.ports.store;
        store.forget_challenges(before, rows_max).await
    }

    /// The caller's account, whose password and code were right; the tokens go back once the change is stored.
    async fn proved(
        &self,
        principal: &Principal,
        current_password: Option<&str>,
        code: &str,
    ) -> Result<(User, Judged, Tokens), TwoFactorError> {
        let user = self
            .ports
            .reauthentication
            .prove(principal, current_password)
            .await?;
        if !user.two_factor_enabled {
            return Err(TwoFactorError::NotEnabled);
        }
        let tokens = self.admit(&user, principal).await?;
        let now = self.ports.clock.now();
        let judged = self.ports.second_factor.judge(user.id, code, now).await?;
        Ok((user, judged.ok_or(TwoFactorError::CodeInvalid)?, tokens))
    }

    async fn account(&self, principal: &Principal) -> Result<User, TwoFactorError> {
        let user = self.ports.users.user(principal.person.id).await?;
        user.filter(|user| user.deleted_at.is_none())
            .ok_or(TwoFactorError::NoAccount)
    }

    async fn record(&self, user: UserId) -> Result<TwoFactorRecord, TwoFactorError> {
        let record = self.ports.second_factor.ports.store.two_factor(user).await?;
        record.ok_or(TwoFactorError::NoAccount)
    }

    async fn admit(&self, user: &User, principal: &Principal) -> Result<Tokens, TwoFactorError> {
        let target = Target::of(&user.email, Some(user.id));
        let client = principal
            .person
            .origin
            .as_ref()
            .map(|origin| origin.client.clone());
        let admitted = self
            .ports
            .throttle
            .admit(Guess::Code, &target, &client.unwrap_or_default())
            .await;
        admitted.map_err(|throttled| match throttled {
            Throttled::TooMany { retry_after } => TwoFactorError::TooMany { retry_after },
            Throttled::Port(error) => error.into(),
        })
    }

    fn new_codes(&self) -> Result<Vec<RecoveryCode>, PortError> {
        let secrets = &self.ports.second_factor.ports.secrets;
        let code = || RecoveryCode::from_random(&secrets.salt()?).ok_or_else(too_little_randomness);
        (0..RECOVERY_CODES).map(|_| code()).collect()
    }

    fn used_up(&self, actor: &Actor, at: DateTime<Utc>, user: UserId, judged: &Judged) -> Vec<Event> {
        let used = judged
            .codes_left
            .map(|left| IdentityFact::RecoveryCodeUsed { user, left });
        used.into_iter().map(|fact| self.event(actor, at, fact)).collect()
    }

    fn event(&self, actor: &Actor, at: DateTime<Utc>, fact: IdentityFact) -> Event {
        Event::new(self.ports.ids.as_ref(), at, actor, Fact::Identity(fact))
    }
}

/// What a refused commit means where it is stale; no receipt is given here that could be repeated.
fn refused(error: TwoFactorCommitError, stale: TwoFactorError) -> TwoFactorError {
    match error {
        TwoFactorCommitError::Stale | TwoFactorCommitError::Repeated => stale,
        TwoFactorCommitError::Port(error) => error.into(),
    }
}

fn too_little_randomness() -> PortError {
    PortError::Bug {
        port: "source of randomness",
        source: "gives too few bytes".into(),
    }
}
