//! Why nobody was logged in.

use std::time::Duration;

use kernel::{Classify, FailureKind, PortError};

use super::throttle::Throttled;
use super::two_factor_error::{too_many, whole_secs};
use crate::session::SecretToken;

/// Why nobody was logged in. It never tells an unknown address from a wrong password or a shut-out account, and of a
/// second factor only to one who has shown the right password.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Address and password do not belong to an account that may log in.
    #[error("address and password open no account")]
    InvalidCredentials,
    /// The password is right, and a code is asked for.
    #[error("a code of the second factor is asked for")]
    TwoFactorRequired {
        /// To be shown with the code.
        challenge: SecretToken,
        /// For how long it is good.
        expires_in: Duration,
    },
    /// The code is wrong, or used.
    #[error("the second factor is not right")]
    TwoFactorInvalid,
    /// The challenge is unknown, over, spent, or was tried too often.
    #[error("the challenge is no good")]
    ChallengeInvalid,
    /// The account was tried too often.
    #[error("the account was tried too often")]
    TooMany {
        /// When the next try is looked at.
        retry_after: Duration,
    },
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for LoginError {
    fn kind(&self) -> FailureKind {
        match self {
            LoginError::InvalidCredentials
            | LoginError::TwoFactorRequired { .. }
            | LoginError::TwoFactorInvalid
            | LoginError::ChallengeInvalid => FailureKind::Unauthenticated,
            LoginError::TooMany { .. } => FailureKind::TooMany,
            LoginError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            LoginError::InvalidCredentials => "auth.invalid_credentials",
            LoginError::TwoFactorRequired { .. } => "auth.two_factor_required",
            LoginError::TwoFactorInvalid => "auth.two_factor_invalid",
            LoginError::ChallengeInvalid => "auth.challenge_invalid",
            LoginError::TooMany { .. } => "request.rate_limited",
            LoginError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            LoginError::InvalidCredentials => "The address or the password is not right.".into(),
            LoginError::TwoFactorRequired { .. } => {
                "Send the code of your authenticator app, or a recovery code, with this challenge.".into()
            }
            LoginError::TwoFactorInvalid => "The code is not right, or was used before.".into(),
            LoginError::ChallengeInvalid => "The challenge is over; log in again.".into(),
            LoginError::TooMany { retry_after } => too_many(*retry_after),
            LoginError::Port(error) => error.detail(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            LoginError::TooMany { retry_after } => Some(whole_secs(*retry_after)),
            LoginError::Port(error) => error.retry_after(),
            LoginError::InvalidCredentials
            | LoginError::TwoFactorRequired { .. }
            | LoginError::TwoFactorInvalid
            | LoginError::ChallengeInvalid => None,
        }
    }
}

impl From<Throttled> for LoginError {
    fn from(throttled: Throttled) -> Self {
        match throttled {
            Throttled::TooMany { retry_after } => LoginError::TooMany { retry_after },
            Throttled::Port(error) => error.into(),
        }
    }
}
