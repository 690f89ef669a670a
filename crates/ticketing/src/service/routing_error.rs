//! What can go wrong with how tickets are given out.

use kernel::{Classify, FailureKind, PortError, Version, Violation, Violations};

/// Why a use case of routing failed.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// There is no such team.
    #[error("no such team")]
    NoTeam,
    /// There is no such person among the active staff.
    #[error("no such person on the staff")]
    NoPerson,
    /// The caller may not do this.
    #[error("the caller may not {0}")]
    Forbidden(&'static str),
    /// It changed since the caller looked.
    #[error("it is at another version")]
    Stale {
        /// The version that it has now; `None` when writers kept overtaking each other.
        current: Option<Version>,
    },
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<Violations> for RoutingError {
    fn from(violations: Violations) -> Self {
        RoutingError::Invalid(violations)
    }
}

impl Classify for RoutingError {
    fn kind(&self) -> FailureKind {
        match self {
            RoutingError::Invalid(_) => FailureKind::Invalid,
            RoutingError::NoTeam | RoutingError::NoPerson => FailureKind::NotFound,
            RoutingError::Forbidden(_) => FailureKind::Forbidden,
            RoutingError::Stale { current: Some(_) } => FailureKind::Stale,
            // Nobody named a version: it was too busy, and the request may be sent again.
            RoutingError::Stale { current: None } => FailureKind::Unavailable,
            RoutingError::Repeated => FailureKind::Conflict,
            RoutingError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            RoutingError::Invalid(_) => "request.invalid",
            RoutingError::NoTeam => "team.not_found",
            RoutingError::NoPerson => "user.not_found",
            RoutingError::Forbidden(_) => "access.forbidden",
            RoutingError::Stale { current: Some(_) } => "request.stale",
            RoutingError::Stale { current: None } => "server.busy",
            RoutingError::Repeated => "request.repeated",
            RoutingError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            RoutingError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            RoutingError::NoTeam => "There is no such team.".into(),
            RoutingError::NoPerson => "There is no such person on the staff.".into(),
            RoutingError::Forbidden(what) => format!("You may not {what}."),
            RoutingError::Stale { current: Some(_) } => {
                "It has changed since the version named in If-Match; read it again.".into()
            }
            RoutingError::Stale { current: None } => {
                "Too many changes at once; send the request again.".into()
            }
            RoutingError::Repeated => "The request was carried out before.".into(),
            RoutingError::Port(error) => error.detail(),
        }
    }

    fn current_version(&self) -> Option<Version> {
        if let RoutingError::Stale { current } = self {
            *current
        } else {
            None
        }
    }

    fn violations(&self) -> &[Violation] {
        if let RoutingError::Invalid(violations) = self {
            violations.as_slice()
        } else {
            &[]
        }
    }
}
