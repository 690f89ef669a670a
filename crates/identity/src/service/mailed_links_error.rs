//! What can go wrong with what goes by mail.

use kernel::{Classify, FailureKind, PortError, Violation, Violations};

use crate::service::ReauthenticationError;

/// Why a mail was not asked for. Whether an address has an account is never a reason.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for AskError {
    fn kind(&self) -> FailureKind {
        match self {
            AskError::Invalid(_) => FailureKind::Invalid,
            AskError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            AskError::Invalid(_) => "request.invalid",
            AskError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            AskError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            AskError::Port(error) => error.detail(),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            AskError::Invalid(violations) => violations.as_slice(),
            AskError::Port(_) => &[],
        }
    }
}

impl From<Violations> for AskError {
    fn from(violations: Violations) -> Self {
        AskError::Invalid(violations)
    }
}

/// Why a new address was not sent its mail.
#[derive(Debug, thiserror::Error)]
pub enum ChangeEmailError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// The caller did not prove again who they are.
    #[error(transparent)]
    Reauthentication(#[from] ReauthenticationError),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ChangeEmailError {
    fn kind(&self) -> FailureKind {
        match self {
            ChangeEmailError::Invalid(_) => FailureKind::Invalid,
            ChangeEmailError::Reauthentication(error) => error.kind(),
            ChangeEmailError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ChangeEmailError::Invalid(_) => "request.invalid",
            ChangeEmailError::Reauthentication(error) => error.code(),
            ChangeEmailError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ChangeEmailError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            ChangeEmailError::Reauthentication(error) => error.detail(),
            ChangeEmailError::Port(error) => error.detail(),
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            ChangeEmailError::Reauthentication(error) => error.retry_after(),
            ChangeEmailError::Port(error) => error.retry_after(),
            ChangeEmailError::Invalid(_) => None,
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            ChangeEmailError::Invalid(violations) => violations.as_slice(),
            ChangeEmailError::Reauthentication(_) | ChangeEmailError::Port(_) => &[],
        }
    }
}

impl From<Violations> for ChangeEmailError {
    fn from(violations: Violations) -> Self {
        ChangeEmailError::Invalid(violations)
    }
}

/// Why the token of a mailed link did not do.
#[derive(Debug, thiserror::Error)]
pub enum TokenUseError {
    /// The input breaks rules. The token stays good.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// There is no such token.
    #[error("the token is not known")]
    Unknown,
    /// It was used, has expired, was replaced by a later one, or its account has changed since.
    #[error("the token is spent")]
    Spent,
    /// The new address went to another account meanwhile.
    #[error("the address is taken")]
    EmailTaken,
    /// Other changes kept coming between, and nothing was stored.
    #[error("changes kept overtaking each other")]
    Busy,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for TokenUseError {
    fn kind(&self) -> FailureKind {
        match self {
            TokenUseError::Invalid(_) => FailureKind::Invalid,
            TokenUseError::Unknown => FailureKind::NotFound,
            TokenUseError::Spent => FailureKind::Gone,
            TokenUseError::EmailTaken => FailureKind::Conflict,
            TokenUseError::Busy => FailureKind::Unavailable,
            TokenUseError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            TokenUseError::Invalid(_) => "request.invalid",
            TokenUseError::Unknown => "auth.token_unknown",
            TokenUseError::Spent => "auth.token_spent",
            TokenUseError::EmailTaken => "user.email_taken",
            TokenUseError::Busy => "server.busy",
            TokenUseError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            TokenUseError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            TokenUseError::Unknown => "There is no such link; take the one of the mail as it is.".into(),
            TokenUseError::Spent => "The link was used or has expired; ask for a new one.".into(),
            TokenUseError::EmailTaken => "There is an account with this address already.".into(),
            TokenUseError::Busy => "Too many changes at once; send the request again.".into(),
            TokenUseError::Port(error) => error.detail(),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            TokenUseError::Invalid(violations) => violations.as_slice(),
            TokenUseError::Unknown
            | TokenUseError::Spent
            | TokenUseError::EmailTaken
            | TokenUseError::Busy
            | TokenUseError::Port(_) => &[],
        }
    }
}

impl From<Violations> for TokenUseError {
    fn from(violations: Violations) -> Self {
        TokenUseError::Invalid(violations)
    }
}
