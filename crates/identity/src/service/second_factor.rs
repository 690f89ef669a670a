//! Whether what a person shows as the second factor is right.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kernel::{PortError, UserId};

use crate::ports::{FactorUse, SealPurpose, Sealed, Secrets, Totp, TwoFactorStore, Vault};
use crate::session::{SecretToken, SignInMethod};
use crate::two_factor::{FactorAttempt, RecoveryCode, TotpSecret, step_at};

/// What [`SecondFactor`] works with.
#[derive(Clone)]
pub struct SecondFactorPorts {
    /// Keeps the factors.
    pub store: Arc<dyn TwoFactorStore>,
    /// Opens the secrets.
    pub vault: Arc<dyn Vault>,
    /// Computes the codes.
    pub totp: Arc<dyn Totp>,
    /// Hashes recovery codes.
    pub secrets: Arc<dyn Secrets>,
}

/// How codes are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoFactorLimits {
    skew_steps: i64,
}

impl TwoFactorLimits {
    /// The most steps that a code may lie beside the present one.
    pub const SKEW_STEPS_MAX: i64 = 1;
    /// For how long a login waits for its code, in seconds.
    pub const CHALLENGE_SECS: i64 = 5 * 60;
    /// How many codes are tried with one challenge.
    pub const CHALLENGE_TRIES_MAX: u16 = 5;

    /// Codes may lie so many steps beside the present one, held within 0 and 1.
    #[must_use]
    pub fn with_skew(steps: i64) -> Self {
        Self {
            skew_steps: steps.clamp(0, Self::SKEW_STEPS_MAX),
        }
    }

    /// How many steps a code may lie beside the present one.
    #[must_use]
    pub fn skew_steps(self) -> i64 {
        self.skew_steps
    }
}

impl Default for TwoFactorLimits {
    fn default() -> Self {
        Self::with_skew(Self::SKEW_STEPS_MAX)
    }
}

/// A second factor that was right when it was looked at; the store looks once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) factor: FactorUse,
    pub(super) method: SignInMethod,
    /// For a recovery code, how many are left once it is used.
    pub(super) codes_left: Option<u32>,
}

/// Judges codes.
pub struct SecondFactor {
    pub(super) ports: SecondFactorPorts,
    limits: TwoFactorLimits,
}

impl SecondFactor {
    /// Judges with these ports.
    #[must_use]
    pub fn new(ports: SecondFactorPorts, limits: TwoFactorLimits) -> Self {
        Self { ports, limits }
    }

    /// What a typed code or recovery code uses up, if it is right.
    pub(super) async fn judge(
        &self,
        user: UserId,
        typed: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Judged>, PortError> {
        let record = self.ports.store.two_factor(user).await?.unwrap_or_default();
        let Some(sealed) = record.secret.filter(|_| record.enabled) else {
            return Ok(None);
        };
        match FactorAttempt::parse(typed) {
            FactorAttempt::Code(code) => {
                let step = self.step_of(user, &sealed, code, record.last_step, now)?;
                Ok(step.map(|step| Judged {
                    factor: FactorUse::Code { secret: sealed, step },
                    method: SignInMethod::PasswordAndCode,
                    codes_left: None,
                }))
            }
            FactorAttempt::Recovery(code) => {
                let hash = self.hash(&code);
                let is_known = self.ports.store.has_recovery_code(user, &hash).await?;
                Ok(is_known.then(|| Judged {
                    factor: FactorUse::RecoveryCode(hash),
                    method: SignInMethod::PasswordAndRecoveryCode,
                    codes_left: Some(record.codes_left.saturating_sub(1)),
                }))
            }
            FactorAttempt::Neither => Ok(None),
        }
    }

    /// The step that the code belongs to: the present one or one beside it, and later than `last`.
    pub(super) fn step_of(
        &self,
        user: UserId,
        sealed: &Sealed,
        code: u32,
        last: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<Option<i64>, PortError> {
        let secret = self.open(user, sealed)?;
        let (here, skew) = (step_at(now), self.limits.skew_steps);
        Ok((here - skew..=here + skew)
            .filter(|step| last.is_none_or(|last| *step > last))
            .find(|step| self.ports.totp.code(&secret, *step) == code))
    }

    fn open(&self, user: UserId, sealed: &Sealed) -> Result<TotpSecret, PortError> {
        let text = self.ports.vault.open(SealPurpose::TwoFactor, user.0, sealed)?;
        TotpSecret::parse(&text).ok_or_else(|| PortError::Corrupt {
            table: "users",
            column: "two_factor_secret",
            id: user.to_string(),
            detail: "opens to what is no secret".to_owned(),
        })
    }

    pub(super) fn hash(&self, code: &RecoveryCode) -> crate::session::TokenHash {
        self.ports
            .secrets
            .sha256(&SecretToken::fresh(code.expose().to_owned()))
    }
}
