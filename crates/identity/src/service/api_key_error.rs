//! What can go wrong with programs' keys.

use kernel::{Classify, FailureKind, PortError, Violation, Violations};

use super::ReauthenticationError;
use crate::access::AccessDenied;
use crate::policy::Denial;

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateApiKeyError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// Keys are made through sessions alone.
    #[error(transparent)]
    Access(#[from] AccessDenied),
    /// The caller did not prove again who they are.
    #[error(transparent)]
    Reauthentication(#[from] ReauthenticationError),
    /// The account cannot be used any more.
    #[error("the account cannot be used")]
    NoAccount,
    /// The person has as many live keys as anyone can have.
    #[error("the account has too many keys")]
    TooMany,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for CreateApiKeyError {
    fn kind(&self) -> FailureKind {
        match self {
            CreateApiKeyError::Invalid(_) => FailureKind::Invalid,
            CreateApiKeyError::Access(error) => error.kind(),
            CreateApiKeyError::Reauthentication(error) => error.kind(),
            CreateApiKeyError::NoAccount => FailureKind::Unauthenticated,
            CreateApiKeyError::TooMany => FailureKind::Conflict,
            CreateApiKeyError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            CreateApiKeyError::Invalid(_) => "request.invalid",
            CreateApiKeyError::Access(error) => error.code(),
            CreateApiKeyError::Reauthentication(error) => error.code(),
            CreateApiKeyError::NoAccount => "auth.session_revoked",
            CreateApiKeyError::TooMany => "api_key.too_many",
            CreateApiKeyError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            CreateApiKeyError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            CreateApiKeyError::Access(error) => error.detail(),
            CreateApiKeyError::Reauthentication(error) => error.detail(),
            CreateApiKeyError::NoAccount => "The session has ended; log in again.".into(),
            CreateApiKeyError::TooMany => {
                "You have as many API keys as anyone can have; revoke one first.".into()
            }
            CreateApiKeyError::Port(error) => error.detail(),
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            CreateApiKeyError::Reauthentication(error) => error.retry_after(),
            CreateApiKeyError::Port(error) => error.retry_after(),
            CreateApiKeyError::Invalid(_)
            | CreateApiKeyError::Access(_)
            | CreateApiKeyError::NoAccount
            | CreateApiKeyError::TooMany => None,
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            CreateApiKeyError::Invalid(violations) => violations.as_slice(),
            CreateApiKeyError::Access(_)
            | CreateApiKeyError::Reauthentication(_)
            | CreateApiKeyError::NoAccount
            | CreateApiKeyError::TooMany
            | CreateApiKeyError::Port(_) => &[],
        }
    }
}

impl From<Violations> for CreateApiKeyError {
    fn from(violations: Violations) -> Self {
        CreateApiKeyError::Invalid(violations)
    }
}

/// Why keys were not shown or taken back.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// There is no such key, or the caller may not know of it.
    #[error("no such key for this caller")]
    NotFound,
    /// The caller asked for keys of others.
    #[error("the caller may not do this")]
    Forbidden,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ApiKeyError {
    fn kind(&self) -> FailureKind {
        match self {
            ApiKeyError::NotFound => FailureKind::NotFound,
            ApiKeyError::Forbidden => FailureKind::Forbidden,
            ApiKeyError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ApiKeyError::NotFound => "api_key.not_found",
            ApiKeyError::Forbidden => "access.forbidden",
            ApiKeyError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ApiKeyError::NotFound => "There is no such API key.".into(),
            ApiKeyError::Forbidden => "You may not do this.".into(),
            ApiKeyError::Port(error) => error.detail(),
        }
    }
}

impl From<Denial> for ApiKeyError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden | Denial::Forbidden => ApiKeyError::NotFound,
        }
    }
}
