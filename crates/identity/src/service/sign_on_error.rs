//! What can go wrong when someone signs on through a provider.

use kernel::{Classify, FailureKind, PortError};

use crate::ports::ProviderError;

/// Why nobody was signed on.
#[derive(Debug, thiserror::Error)]
pub enum SignOnError {
    /// There is no such provider.
    #[error("there is no such provider")]
    UnknownProvider,
    /// The address to return to is none that the operator allows.
    #[error("the address to return to is not allowed")]
    ReturnToNotAllowed,
    /// The sign-on was not begun here in this browser, is over or was finished before.
    #[error("the sign-on is unknown, expired, finished or another browser's")]
    UnknownState,
    /// The provider says no.
    #[error("the provider answered {0:?}")]
    Declined(String),
    /// What the provider sent does not hold.
    #[error("the provider's word does not hold")]
    Unsound(#[source] ProviderError),
    /// The provider cannot be reached.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] ProviderError),
    /// The provider gives no address, or does not say that it is the person's.
    #[error("the provider vouches for no address")]
    EmailUnverified,
    /// The account does not admit it, or nobody may have a new one.
    #[error("the desk does not admit this person: {0}")]
    Refused(&'static str),
    /// Others kept changing the account.
    #[error("the account kept changing")]
    Busy,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<ProviderError> for SignOnError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Rejected(_) => SignOnError::Unsound(error),
            ProviderError::Unavailable(_) => SignOnError::Unreachable(error),
        }
    }
}

impl Classify for SignOnError {
    fn kind(&self) -> FailureKind {
        match self {
            SignOnError::UnknownProvider => FailureKind::NotFound,
            SignOnError::ReturnToNotAllowed => FailureKind::Invalid,
            SignOnError::UnknownState | SignOnError::Unsound(_) => FailureKind::Unauthenticated,
            SignOnError::Declined(_) | SignOnError::EmailUnverified | SignOnError::Refused(_) => {
                FailureKind::Forbidden
            }
            SignOnError::Unreachable(_) | SignOnError::Busy => FailureKind::Unavailable,
            SignOnError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            SignOnError::UnknownProvider => "auth.sign_on_unknown",
            SignOnError::ReturnToNotAllowed => "auth.return_to_not_allowed",
            SignOnError::UnknownState => "auth.sign_on_expired",
            SignOnError::Declined(_) => "auth.sign_on_declined",
            SignOnError::Unsound(_) => "auth.sign_on_failed",
            SignOnError::Unreachable(_) => "auth.sign_on_unavailable",
            SignOnError::EmailUnverified => "auth.sign_on_email_unverified",
            SignOnError::Refused(_) => "auth.sign_on_refused",
            SignOnError::Busy => "server.busy",
            SignOnError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            SignOnError::UnknownProvider => "There is no such provider.".into(),
            SignOnError::ReturnToNotAllowed => {
                "returnTo must be one of the addresses that the desk's operator allows.".into()
            }
            SignOnError::UnknownState => {
                "This sign-on is over, or was begun in another browser; begin again.".into()
            }
            SignOnError::Declined(_) => "The provider did not sign you in.".into(),
            SignOnError::Unsound(_) => "The provider's answer cannot be trusted; begin again.".into(),
            SignOnError::Unreachable(_) => "The provider cannot be reached just now.".into(),
            SignOnError::EmailUnverified => {
                "The provider does not say that your e-mail address is verified.".into()
            }
            SignOnError::Refused(_) => "You cannot sign in here.".into(),
            SignOnError::Busy => "Others are changing this just now; try again.".into(),
            SignOnError::Port(error) => error.detail(),
        }
    }
}

/// Why the links of an account were not shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum SignOnLinkError {
    /// The account is not linked with that provider.
    #[error("the account has no such link")]
    NotLinked,
    /// Without the link nobody could enter the account any more.
    #[error("the link is the only way into the account")]
    LastWayIn,
    /// Others kept changing the account.
    #[error("the account kept changing")]
    Busy,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for SignOnLinkError {
    fn kind(&self) -> FailureKind {
        match self {
            SignOnLinkError::NotLinked => FailureKind::NotFound,
            SignOnLinkError::LastWayIn => FailureKind::Conflict,
            SignOnLinkError::Busy => FailureKind::Unavailable,
            SignOnLinkError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            SignOnLinkError::NotLinked => "auth.sign_on_not_linked",
            SignOnLinkError::LastWayIn => "auth.sign_on_last_way_in",
            SignOnLinkError::Busy => "server.busy",
            SignOnLinkError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            SignOnLinkError::NotLinked => "Your account is not linked with this provider.".into(),
            SignOnLinkError::LastWayIn => {
                "This is the only way into your account; set a password or link another provider first."
                    .into()
            }
            SignOnLinkError::Busy => "Others are changing this just now; try again.".into(),
            SignOnLinkError::Port(error) => error.detail(),
        }
    }
}
