//! What can go wrong with a saved view.

use kernel::{Classify, FailureKind, PortError, Version, Violation, Violations};

use crate::error::TicketError;
use crate::saved_view::VIEWS_MAX;

/// Why a use case on a saved view failed.
#[derive(Debug, thiserror::Error)]
pub enum SavedViewError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// There is no such view, or the caller may not know of it.
    #[error("no such view for this caller")]
    NotFound,
    /// The caller may not do this.
    #[error("the caller may not {0}")]
    Forbidden(&'static str),
    /// Whoever is to have it has as many as there can be.
    #[error("there are {VIEWS_MAX} views already")]
    TooMany,
    /// It changed since the caller looked.
    #[error("the view is at another version")]
    Stale {
        /// The version that it has now; `None` when writers kept overtaking each other.
        current: Option<Version>,
    },
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// Its tickets could not be had.
    #[error(transparent)]
    Tickets(#[from] TicketError),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<Violation> for SavedViewError {
    fn from(violation: Violation) -> Self {
        SavedViewError::Invalid(violation.into())
    }
}

impl From<Violations> for SavedViewError {
    fn from(violations: Violations) -> Self {
        SavedViewError::Invalid(violations)
    }
}

impl Classify for SavedViewError {
    fn kind(&self) -> FailureKind {
        match self {
            SavedViewError::Invalid(_) => FailureKind::Invalid,
            SavedViewError::NotFound => FailureKind::NotFound,
            SavedViewError::Forbidden(_) => FailureKind::Forbidden,
            SavedViewError::TooMany | SavedViewError::Repeated => FailureKind::Conflict,
            SavedViewError::Stale { current: Some(_) } => FailureKind::Stale,
            // Nobody named a version: the view was too busy, and the request may be sent again.
            SavedViewError::Stale { current: None } => FailureKind::Unavailable,
            SavedViewError::Tickets(error) => error.kind(),
            SavedViewError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            SavedViewError::Invalid(_) => "request.invalid",
            SavedViewError::NotFound => "view.not_found",
            SavedViewError::Forbidden(_) => "access.forbidden",
            SavedViewError::TooMany => "view.too_many",
            SavedViewError::Stale { current: Some(_) } => "request.stale",
            SavedViewError::Stale { current: None } => "server.busy",
            SavedViewError::Repeated => "request.repeated",
            SavedViewError::Tickets(error) => error.code(),
            SavedViewError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            SavedViewError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            SavedViewError::NotFound => "There is no such view.".into(),
            SavedViewError::Forbidden(what) => format!("You may not {what}."),
            SavedViewError::TooMany => {
                format!("There are {VIEWS_MAX} of these views already; delete one before you add another.")
            }
            SavedViewError::Stale { current: Some(_) } => {
                "The view has changed since the version named in If-Match; read it again.".into()
            }
            SavedViewError::Stale { current: None } => {
                "Too many changes of this view at once; send the request again.".into()
            }
            SavedViewError::Repeated => "The request was carried out before.".into(),
            SavedViewError::Tickets(error) => error.detail(),
            SavedViewError::Port(error) => error.detail(),
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            SavedViewError::Stale { current } => *current,
            SavedViewError::Tickets(error) => error.current_version(),
            _ => None,
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            SavedViewError::Invalid(violations) => violations.as_slice(),
            SavedViewError::Tickets(error) => error.violations(),
            _ => &[],
        }
    }
}
