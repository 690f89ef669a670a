//! Second factors, recovery codes, challenges and the security settings in memory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kernel::{PortError, UserId};

use super::{MemoryIdentity, World};
use crate::ports::{
    CodesReplacement, Confirmation, Enrolment, FactorUse, LoginChallenge, RemovalProof, Sealed,
    SecurityCommit, SecurityCommitError, SecurityStore, TwoFactorCommitError, TwoFactorRecord,
    TwoFactorRemoval, TwoFactorStore,
};
use crate::session::TokenHash;
use crate::two_factor::SecuritySettings;
use crate::user::User;

/// What is stored of a second factor beside the account.
#[derive(Debug, Default)]
pub(super) struct Factor {
    secret: Option<Sealed>,
    last_step: Option<i64>,
    /// With whether each is used.
    codes: Vec<(TokenHash, bool)>,
}

impl Factor {
    fn replace_codes(&mut self, codes: Vec<TokenHash>) {
        self.codes = codes.into_iter().map(|code| (code, false)).collect();
    }
}

impl World {
    /// Whether the use holds; `use_up` moves it then.
    pub(super) fn factor_holds(&self, user: UserId, used: &FactorUse) -> bool {
        let enabled = self.users.get(&user).is_some_and(|user| user.two_factor_enabled);
        let Some(factor) = self.factors.get(&user).filter(|_| enabled) else {
            return false;
        };
        match used {
            FactorUse::Code { secret, step } => {
                factor.secret.as_ref() == Some(secret) && factor.last_step.is_none_or(|last| *step > last)
            }
            FactorUse::RecoveryCode(code) => factor.codes.contains(&(code.clone(), false)),
        }
    }

    pub(super) fn use_up(&mut self, user: UserId, used: FactorUse) {
        let factor = self.factors.entry(user).or_default();
        match used {
            FactorUse::Code { secret: _, step } => factor.last_step = Some(step),
            FactorUse::RecoveryCode(used) => {
                for (code, is_used) in &mut factor.codes {
                    *is_used |= *code == used;
                }
            }
        }
    }

    pub(super) fn challenge_holds(&self, token: &TokenHash, now: DateTime<Utc>) -> bool {
        self.challenges
            .get(token)
            .is_some_and(|(challenge, _)| now < challenge.expires_at)
    }

    fn live(&mut self, id: UserId) -> Result<&mut User, TwoFactorCommitError> {
        let user = self.users.get_mut(&id).filter(|user| user.deleted_at.is_none());
        user.ok_or(TwoFactorCommitError::Stale)
    }
}

#[async_trait]
impl TwoFactorStore for MemoryIdentity {
    async fn two_factor(&self, user: UserId) -> Result<Option<TwoFactorRecord>, PortError> {
        let world = self.world();
        let Some(account) = world.users.get(&user) else {
            return Ok(None);
        };
        let mut record = TwoFactorRecord {
            enabled: account.two_factor_enabled,
            ..TwoFactorRecord::default()
        };
        if let Some(factor) = world.factors.get(&user) {
            record.secret.clone_from(&factor.secret);
            record.last_step = factor.last_step;
            let left = factor.codes.iter().filter(|(_, used)| !used).count();
            record.codes_left = u32::try_from(left).unwrap_or(u32::MAX);
        }
        Ok(Some(record))
    }

    async fn has_recovery_code(&self, user: UserId, code: &TokenHash) -> Result<bool, PortError> {
        let world = self.world();
        let factor = world.factors.get(&user);
        Ok(factor.is_some_and(|factor| factor.codes.contains(&(code.clone(), false))))
    }

    async fn enroll(&self, enrolment: Enrolment) -> Result<(), TwoFactorCommitError> {
        let Enrolment {
            user,
            password,
            secret,
            at,
        } = enrolment;
        let mut world = self.world();
        let account = world.live(user)?;
        if account.two_factor_enabled || account.password_hash != password {
            return Err(TwoFactorCommitError::Stale);
        }
        account.version = account.version.next();
        account.updated_at = at;
        let factor = Factor {
            secret: Some(secret),
            ..Factor::default()
        };
        world.factors.insert(user, factor);
        Ok(())
    }

    async fn confirm(&self, confirmation: Confirmation) -> Result<(), TwoFactorCommitError> {
        let Confirmation {
            user,
            secret,
            step,
            codes,
            at,
            events,
        } = confirmation;
        let mut world = self.world();
        let factor = world.factors.get(&user).ok_or(TwoFactorCommitError::Stale)?;
        let is_later = factor.last_step.is_none_or(|last| step > last);
        if factor.secret.as_ref() != Some(&secret) || !is_later {
            return Err(TwoFactorCommitError::Stale);
        }
        let account = world.live(user)?;
        if account.two_factor_enabled {
            return Err(TwoFactorCommitError::Stale);
        }
        account.two_factor_enabled = true;
        account.version = account.version.next();
        account.updated_at = at;
        let factor = world.factors.entry(user).or_default();
        factor.last_step = Some(step);
        factor.replace_codes(codes);
        world.publish(events, None);
        Ok(())
    }

    async fn replace_codes(&self, replacement: CodesReplacement) -> Result<(), TwoFactorCommitError> {
        let CodesReplacement {
            user,
            password,
            factor,
            codes,
            at: _,
            events,
        } = replacement;
        let mut world = self.world();
        if world.live(user)?.password_hash != password || !world.factor_holds(user, &factor) {
            return Err(TwoFactorCommitError::Stale);
        }
        let account = world.live(user)?;
        account.version = account.version.next();
        world.use_up(user, factor);
        world.factors.entry(user).or_default().replace_codes(codes);
        world.publish(events, None);
        Ok(())
    }

    async fn remove(&self, removal: TwoFactorRemoval) -> Result<(), TwoFactorCommitError> {
        let TwoFactorRemoval {
            user,
            proof,
            sessions,
            at,
            events,
            receipt,
        } = removal;
        let mut world = self.world();
        if world.is_repeated(receipt.as_ref()) {
            return Err(TwoFactorCommitError::Repeated);
        }
        let account = world.users.get(&user).ok_or(TwoFactorCommitError::Stale)?;
        let proved = match &proof {
            RemovalProof::Owner { password, factor } => {
                account.deleted_at.is_none()
                    && account.password_hash == *password
                    && world.factor_holds(user, factor)
            }
            RemovalProof::Admin => true,
        };
        if !account.two_factor_enabled || !proved {
            return Err(TwoFactorCommitError::Stale);
        }
        world.factors.remove(&user);
        if let Some(account) = world.users.get_mut(&user) {
            account.two_factor_enabled = false;
            account.version = account.version.next();
            account.updated_at = at;
        }
        world.end_sessions_after(sessions, user);
        world.publish(events, receipt);
        Ok(())
    }

    async fn challenge(&self, challenge: LoginChallenge) -> Result<(), PortError> {
        let mut world = self.world();
        world.challenges.insert(challenge.token.clone(), (challenge, 0));
        Ok(())
    }

    async fn try_challenge(
        &self,
        token: &TokenHash,
        now: DateTime<Utc>,
        tries_max: u16,
    ) -> Result<Option<LoginChallenge>, PortError> {
        let mut world = self.world();
        if !world.challenge_holds(token, now) {
            return Ok(None);
        }
        let tried = world.challenges.get_mut(token);
        Ok(tried
            .filter(|(_, tries)| *tries < tries_max)
            .map(|(challenge, tries)| {
                *tries += 1;
                challenge.clone()
            }))
    }

    async fn forget_challenges(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let mut world = self.world();
        let over = world
            .challenges
            .values()
            .filter(|(challenge, _)| challenge.expires_at < before);
        let rows_max = usize::try_from(rows_max).unwrap_or(0);
        let over: Vec<TokenHash> = over
            .map(|(challenge, _)| challenge.token.clone())
            .take(rows_max)
            .collect();
        for token in &over {
            world.challenges.remove(token);
        }
        Ok(over.len() as u64)
    }

    async fn sealed_secrets(
        &self,
        after: Option<UserId>,
        rows_max: i64,
    ) -> Result<Vec<(UserId, Sealed)>, PortError> {
        let world = self.world();
        let sealed = world
            .factors
            .iter()
            .filter(|(user, _)| after.is_none_or(|after| user.0 > after.0))
            .filter_map(|(user, factor)| factor.secret.clone().map(|secret| (*user, secret)));
        let mut rows: Vec<(UserId, Sealed)> = sealed.collect();
        rows.sort_by_key(|(user, _)| user.0);
        rows.truncate(usize::try_from(rows_max).unwrap_or(0));
        Ok(rows)
    }

    async fn reseal(&self, user: UserId, from: &Sealed, to: &Sealed) -> Result<bool, PortError> {
        let mut world = self.world();
        let factor = world.factors.get_mut(&user);
        let Some(factor) = factor.filter(|factor| factor.secret.as_ref() == Some(from)) else {
            return Ok(false);
        };
        factor.secret = Some(to.clone());
        Ok(true)
    }
}

#[async_trait]
impl SecurityStore for MemoryIdentity {
    async fn security(&self) -> Result<SecuritySettings, PortError> {
        Ok(self.world().security)
    }

    async fn commit(&self, commit: SecurityCommit) -> Result<(), SecurityCommitError> {
        let SecurityCommit {
            settings,
            expected,
            at: _,
            events,
            receipt,
        } = commit;
        let mut world = self.world();
        if world.is_repeated(receipt.as_ref()) {
            return Err(SecurityCommitError::Repeated);
        }
        if world.security.version != expected {
            return Err(SecurityCommitError::Stale);
        }
        world.security = settings;
        world.publish(events, receipt);
        Ok(())
    }
}
