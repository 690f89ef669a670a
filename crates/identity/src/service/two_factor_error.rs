//! Why second factors and the desk's security settings are not changed.

use std::time::Duration;

use kernel::{Classify, FailureKind, PortError, Version};

use super::ReauthenticationError;
use crate::policy::Denial;

/// Why a person's own second factor was not shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum TwoFactorError {
    /// The caller did not prove again who they are.
    #[error(transparent)]
    Reauthentication(#[from] ReauthenticationError),
    /// The code is wrong, or used.
    #[error("the code is not right")]
    CodeInvalid,
    /// Too many wrong codes were shown.
    #[error("too many codes were tried")]
    TooMany {
        /// When the next one is looked at.
        retry_after: Duration,
    },
    /// There is nothing to confirm.
    #[error("no second factor is being set up")]
    NotEnrolled,
    /// A second factor is asked for already.
    #[error("the second factor is enabled already")]
    AlreadyEnabled,
    /// No second factor is asked for.
    #[error("no second factor is enabled")]
    NotEnabled,
    /// The account is no longer there, or shut out.
    #[error("the account can no longer be used")]
    NoAccount,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for TwoFactorError {
    fn kind(&self) -> FailureKind {
        match self {
            TwoFactorError::Reauthentication(error) => error.kind(),
            TwoFactorError::CodeInvalid => FailureKind::Forbidden,
            TwoFactorError::TooMany { .. } => FailureKind::TooMany,
            TwoFactorError::NotEnrolled | TwoFactorError::AlreadyEnabled | TwoFactorError::NotEnabled => {
                FailureKind::Conflict
            }
            TwoFactorError::NoAccount => FailureKind::Unauthenticated,
            TwoFactorError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            TwoFactorError::Reauthentication(error) => error.code(),
            TwoFactorError::CodeInvalid => "auth.code_invalid",
            TwoFactorError::TooMany { .. } => "request.rate_limited",
            TwoFactorError::NotEnrolled => "auth.two_factor_not_enrolled",
            TwoFactorError::AlreadyEnabled => "auth.two_factor_already_enabled",
            TwoFactorError::NotEnabled => "auth.two_factor_not_enabled",
            TwoFactorError::NoAccount => "auth.session_revoked",
            TwoFactorError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            TwoFactorError::Reauthentication(error) => error.detail(),
            TwoFactorError::CodeInvalid => "The code is not right, or was used before.".into(),
            TwoFactorError::TooMany { retry_after } => too_many(*retry_after),
            TwoFactorError::NotEnrolled => "Begin with POST /auth/2fa/enroll.".into(),
            TwoFactorError::AlreadyEnabled => {
                "A second factor is set up; disable it first to set up another.".into()
            }
            TwoFactorError::NotEnabled => "No second factor is set up.".into(),
            TwoFactorError::NoAccount => "The session has ended; log in again.".into(),
            TwoFactorError::Port(error) => error.detail(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            TwoFactorError::TooMany { retry_after } => Some(whole_secs(*retry_after)),
            TwoFactorError::Port(error) => error.retry_after(),
            TwoFactorError::Reauthentication(error) => error.retry_after(),
            TwoFactorError::CodeInvalid
            | TwoFactorError::NotEnrolled
            | TwoFactorError::AlreadyEnabled
            | TwoFactorError::NotEnabled
            | TwoFactorError::NoAccount => None,
        }
    }
}

/// Why an administrator did not take another's second factor away.
#[derive(Debug, thiserror::Error)]
pub enum ResetTwoFactorError {
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// There is no such account, or the caller may not know of it.
    #[error("no such account for this caller")]
    NotFound,
    /// It is the caller's own account, whose factor takes a password and a code to disable.
    #[error("it is the caller's own account")]
    OwnAccount,
    /// The account has none.
    #[error("no second factor is enabled")]
    NotEnabled,
    /// Other changes kept coming between, and nothing was stored.
    #[error("changes kept overtaking each other")]
    Busy,
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ResetTwoFactorError {
    fn kind(&self) -> FailureKind {
        match self {
            ResetTwoFactorError::Forbidden => FailureKind::Forbidden,
            ResetTwoFactorError::NotFound => FailureKind::NotFound,
            ResetTwoFactorError::OwnAccount
            | ResetTwoFactorError::NotEnabled
            | ResetTwoFactorError::Repeated => FailureKind::Conflict,
            ResetTwoFactorError::Busy => FailureKind::Unavailable,
            ResetTwoFactorError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ResetTwoFactorError::Forbidden => "access.forbidden",
            ResetTwoFactorError::NotFound => "user.not_found",
            ResetTwoFactorError::OwnAccount => "user.own_account",
            ResetTwoFactorError::NotEnabled => "auth.two_factor_not_enabled",
            ResetTwoFactorError::Busy => "server.busy",
            ResetTwoFactorError::Repeated => "request.repeated",
            ResetTwoFactorError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ResetTwoFactorError::Forbidden => "You may not do this.".into(),
            ResetTwoFactorError::NotFound => "There is no such user.".into(),
            ResetTwoFactorError::OwnAccount => {
                "Disable your own second factor with your password and a code.".into()
            }
            ResetTwoFactorError::NotEnabled => "The account has no second factor.".into(),
            ResetTwoFactorError::Busy => "Too many changes at once; send the request again.".into(),
            ResetTwoFactorError::Repeated => "The request was carried out before.".into(),
            ResetTwoFactorError::Port(error) => error.detail(),
        }
    }
}

impl From<Denial> for ResetTwoFactorError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden => ResetTwoFactorError::NotFound,
            Denial::Forbidden => ResetTwoFactorError::Forbidden,
        }
    }
}

/// Why the security settings were not shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// They changed since the caller looked.
    #[error("they are at version {}", current.0)]
    Stale {
        /// The version that they have now.
        current: Version,
    },
    /// Other changes kept coming between, and nothing was stored.
    #[error("changes kept overtaking each other")]
    Busy,
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for SecurityError {
    fn kind(&self) -> FailureKind {
        match self {
            SecurityError::Forbidden => FailureKind::Forbidden,
            SecurityError::Stale { .. } => FailureKind::Stale,
            SecurityError::Busy => FailureKind::Unavailable,
            SecurityError::Repeated => FailureKind::Conflict,
            SecurityError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            SecurityError::Forbidden => "access.forbidden",
            SecurityError::Stale { .. } => "request.stale",
            SecurityError::Busy => "server.busy",
            SecurityError::Repeated => "request.repeated",
            SecurityError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            SecurityError::Forbidden => "You may not do this.".into(),
            SecurityError::Stale { .. } => {
                "It has changed since the version named in If-Match; read it again.".into()
            }
            SecurityError::Busy => "Too many changes at once; send the request again.".into(),
            SecurityError::Repeated => "The request was carried out before.".into(),
            SecurityError::Port(error) => error.detail(),
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            SecurityError::Stale { current } => Some(*current),
            SecurityError::Forbidden
            | SecurityError::Busy
            | SecurityError::Repeated
            | SecurityError::Port(_) => None,
        }
    }
}

impl From<Denial> for SecurityError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden | Denial::Forbidden => SecurityError::Forbidden,
        }
    }
}

/// What one hears who tried too often.
pub(super) fn too_many(retry_after: Duration) -> String {
    format!(
        "Too many tries; wait {} seconds.",
        whole_secs(retry_after).as_secs()
    )
}

/// Never less than what is to be waited.
pub(super) fn whole_secs(wait: Duration) -> Duration {
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Duration::from_secs(secs.max(1))
}
