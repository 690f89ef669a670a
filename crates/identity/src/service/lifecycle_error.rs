//! What can go wrong with the removal of someone's data.

use kernel::{Classify, FailureKind, PortError, Version, Violation};

use crate::service::{ChangeAccountError, ReauthenticationError};

/// Why an account was not anonymised.
#[derive(Debug, thiserror::Error)]
pub enum AnonymizeError {
    /// As for any other change.
    #[error(transparent)]
    Change(#[from] ChangeAccountError),
    /// The caller did not prove again who they are.
    #[error(transparent)]
    Reauthentication(#[from] ReauthenticationError),
    /// The account is an administrator who can act, and must be demoted first.
    #[error("the account is an acting administrator")]
    ActingAdmin,
}

impl Classify for AnonymizeError {
    fn kind(&self) -> FailureKind {
        match self {
            AnonymizeError::Change(error) => error.kind(),
            AnonymizeError::Reauthentication(error) => error.kind(),
            AnonymizeError::ActingAdmin => FailureKind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            AnonymizeError::Change(error) => error.code(),
            AnonymizeError::Reauthentication(error) => error.code(),
            AnonymizeError::ActingAdmin => "user.acting_admin",
        }
    }

    fn detail(&self) -> String {
        match self {
            AnonymizeError::Change(error) => error.detail(),
            AnonymizeError::Reauthentication(error) => error.detail(),
            AnonymizeError::ActingAdmin => {
                "The user is an administrator; give them another role or suspend them first.".into()
            }
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            AnonymizeError::Reauthentication(error) => error.retry_after(),
            AnonymizeError::Change(_) | AnonymizeError::ActingAdmin => None,
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            AnonymizeError::Change(error) => error.violations(),
            AnonymizeError::Reauthentication(_) | AnonymizeError::ActingAdmin => &[],
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            AnonymizeError::Change(error) => error.current_version(),
            AnonymizeError::Reauthentication(_) | AnonymizeError::ActingAdmin => None,
        }
    }
}

impl From<PortError> for AnonymizeError {
    fn from(error: PortError) -> Self {
        AnonymizeError::Change(error.into())
    }
}
