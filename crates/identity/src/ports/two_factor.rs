//! Keeps second factors, recovery codes and the challenges of logins that wait for a code.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::Event;
use kernel::{PortError, Receipt, UserId};

use crate::ports::{Sealed, SessionsAfter};
use crate::session::TokenHash;
use crate::value::PasswordHash;

/// Keeps second factors. Each change says what it was decided on, and must be refused as
/// [stale](TwoFactorCommitError::Stale) when that no longer holds: of any number of changes at once that were decided on
/// the same, exactly one succeeds. A change of the factor must move the account's version.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait TwoFactorStore: Send + Sync {
    /// The second factor of an account, enabled or not; `None` when there is no such account.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn two_factor(&self, user: UserId) -> Result<Option<TwoFactorRecord>, PortError>;

    /// Whether an unused recovery code of the account has this hash.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn has_recovery_code(&self, user: UserId, code: &TokenHash) -> Result<bool, PortError>;

    /// Stores a secret that is yet to be confirmed, in place of an earlier one, and forgets the last step. Must be
    /// refused while a factor is enabled, or when the password is no longer the one that was compared.
    ///
    /// # Errors
    /// See [`TwoFactorCommitError`]; nothing is stored then.
    async fn enroll(&self, enrolment: Enrolment) -> Result<(), TwoFactorCommitError>;

    /// Enables a factor, remembers the step of its first code, and replaces the recovery codes. Must be refused unless
    /// the factor is not enabled, its secret is the one that was looked at, and the step is later than the last.
    ///
    /// # Errors
    /// See [`TwoFactorCommitError`]; nothing is stored then.
    async fn confirm(&self, confirmation: Confirmation) -> Result<(), TwoFactorCommitError>;

    /// Replaces the recovery codes. Must be refused unless the factor is enabled and the use and the password hold.
    ///
    /// # Errors
    /// See [`TwoFactorCommitError`]; nothing is stored then.
    async fn replace_codes(&self, replacement: CodesReplacement) -> Result<(), TwoFactorCommitError>;

    /// Takes a factor away that is enabled, with its recovery codes. Must be refused when there is none, or where the
    /// proof no longer holds. Where sessions end with it, must end also those that begin at the same time, or be refused.
    ///
    /// # Errors
    /// See [`TwoFactorCommitError`]; nothing is stored then.
    async fn remove(&self, removal: TwoFactorRemoval) -> Result<(), TwoFactorCommitError>;

    /// Remembers the challenge of a login.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is stored then.
    async fn challenge(&self, challenge: LoginChallenge) -> Result<(), PortError>;

    /// Counts a try at a challenge and gives it; `None` when it is not known, over at `now`, spent, or was tried
    /// `tries_max` times already. Of any number of tries at once must grant no more than that.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn try_challenge(
        &self,
        token: &TokenHash,
        now: DateTime<Utc>,
        tries_max: u16,
    ) -> Result<Option<LoginChallenge>, PortError>;

    /// Forgets up to `rows_max` challenges that were over before `before`; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn forget_challenges(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;

    /// Up to `rows_max` accounts with their sealed secrets, in the order of their ids, beginning after `after`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn sealed_secrets(
        &self,
        after: Option<UserId>,
        rows_max: i64,
    ) -> Result<Vec<(UserId, Sealed)>, PortError>;

    /// Puts a secret that was sealed anew in the place of `from`; gives whether `from` was still there.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is stored then.
    async fn reseal(&self, user: UserId, from: &Sealed, to: &Sealed) -> Result<bool, PortError>;
}

/// An account's second factor as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TwoFactorRecord {
    /// The sealed secret, if there is one: being enrolled, or confirmed.
    pub secret: Option<Sealed>,
    /// Whether a code is asked for.
    pub enabled: bool,
    /// The last step whose code was used.
    pub last_step: Option<i64>,
    /// How many recovery codes are unused.
    pub codes_left: u32,
}

/// What a code used up. The store must hold it against the account once more, and move it in the same statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactorUse {
    /// A code of the app: must be of a step later than the last one, of a factor that is enabled and has this secret.
    Code {
        /// The secret that it was computed from.
        secret: Sealed,
        /// Its step, which becomes the last one.
        step: i64,
    },
    /// A recovery code: must be unused, of a factor that is enabled; it is used from then on.
    RecoveryCode(TokenHash),
}

/// All that becomes durable when a person begins to set a second factor up.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Enrolment {
    /// Whose.
    pub user: UserId,
    /// The hash that the password was compared with.
    pub password: PasswordHash,
    /// The secret.
    pub secret: Sealed,
    /// When.
    pub at: DateTime<Utc>,
}

/// All that becomes durable when a person has proved that the app works.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Confirmation {
    /// Whose.
    pub user: UserId,
    /// The secret that the code was computed from.
    pub secret: Sealed,
    /// The code's step.
    pub step: i64,
    /// The hashes of the recovery codes.
    pub codes: Vec<TokenHash>,
    /// When.
    pub at: DateTime<Utc>,
    /// What to publish.
    pub events: Vec<Event>,
}

/// All that becomes durable when recovery codes are replaced.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct CodesReplacement {
    /// Whose.
    pub user: UserId,
    /// The hash that the password was compared with.
    pub password: PasswordHash,
    /// What was shown for it.
    pub factor: FactorUse,
    /// The hashes of the new codes.
    pub codes: Vec<TokenHash>,
    /// When.
    pub at: DateTime<Utc>,
    /// What to publish.
    pub events: Vec<Event>,
}

/// All that becomes durable when a second factor is taken away.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct TwoFactorRemoval {
    /// Whose.
    pub user: UserId,
    /// By what right.
    pub proof: RemovalProof,
    /// What happens to the account's sessions.
    pub sessions: SessionsAfter,
    /// When.
    pub at: DateTime<Utc>,
    /// What to publish.
    pub events: Vec<Event>,
    /// Proof that a request was carried out.
    pub receipt: Option<Receipt>,
}

/// By what right a second factor is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovalProof {
    /// The owner's: the password and a code.
    Owner {
        /// The hash that the password was compared with.
        password: PasswordHash,
        /// What was shown for it.
        factor: FactorUse,
    },
    /// An administrator's, of another's account.
    Admin,
}

/// A login whose password was right and that waits for its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginChallenge {
    /// The hash of the token that the client shows with the code.
    pub token: TokenHash,
    /// Who logs in.
    pub user: UserId,
    /// The hash that the password was compared with, sealed.
    pub password: Sealed,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it is over.
    pub expires_at: DateTime<Utc>,
}

/// Why a change of a second factor was not stored.
#[derive(Debug, thiserror::Error)]
pub enum TwoFactorCommitError {
    /// What it was decided on no longer holds.
    #[error("the second factor changed meanwhile")]
    Stale,
    /// The receipt is there already: the request was carried out before.
    #[error("the request was carried out before")]
    Repeated,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}
