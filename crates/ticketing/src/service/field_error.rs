//! What can go wrong with the definition of a custom field.

use kernel::{Classify, FailureKind, PortError, Version, Violation, Violations};

use crate::field_definition::FIELDS_MAX;
use crate::field_definition::port::FieldCommitError;

/// Why a use case on the definition of a custom field failed.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// There is no such definition.
    #[error("no such field")]
    NotFound,
    /// Only administrators define fields.
    #[error("the caller may not define custom fields")]
    Forbidden,
    /// Another definition has the name.
    #[error("another field has the name")]
    NameTaken,
    /// There are as many as there can be.
    #[error("there are {FIELDS_MAX} fields already")]
    TooMany,
    /// It changed since the caller looked.
    #[error("the field is at another version")]
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

impl From<Violation> for FieldError {
    fn from(violation: Violation) -> Self {
        FieldError::Invalid(violation.into())
    }
}

impl From<Violations> for FieldError {
    fn from(violations: Violations) -> Self {
        FieldError::Invalid(violations)
    }
}

impl From<FieldCommitError> for FieldError {
    fn from(error: FieldCommitError) -> Self {
        match error {
            FieldCommitError::Stale => FieldError::Stale { current: None },
            FieldCommitError::Repeated => FieldError::Repeated,
            FieldCommitError::NameTaken => FieldError::NameTaken,
            FieldCommitError::TooMany => FieldError::TooMany,
            FieldCommitError::Port(error) => FieldError::Port(error),
        }
    }
}

impl Classify for FieldError {
    fn kind(&self) -> FailureKind {
        match self {
            FieldError::Invalid(_) => FailureKind::Invalid,
            FieldError::NotFound => FailureKind::NotFound,
            FieldError::Forbidden => FailureKind::Forbidden,
            FieldError::NameTaken | FieldError::TooMany | FieldError::Repeated => FailureKind::Conflict,
            FieldError::Stale { current: Some(_) } => FailureKind::Stale,
            // Nobody named a version: the field was too busy, and the request may be sent again.
            FieldError::Stale { current: None } => FailureKind::Unavailable,
            FieldError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            FieldError::Invalid(_) => "request.invalid",
            FieldError::NotFound => "ticket_field.not_found",
            FieldError::Forbidden => "access.forbidden",
            FieldError::NameTaken => "ticket_field.name_taken",
            FieldError::TooMany => "ticket_field.too_many",
            FieldError::Stale { current: Some(_) } => "request.stale",
            FieldError::Stale { current: None } => "server.busy",
            FieldError::Repeated => "request.repeated",
            FieldError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            FieldError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            FieldError::NotFound => "There is no such custom field.".into(),
            FieldError::Forbidden => "You may not define custom fields; administrators do.".into(),
            FieldError::NameTaken => "There is a custom field of this name.".into(),
            FieldError::TooMany => {
                format!("There are {FIELDS_MAX} custom fields already; delete one before you add another.")
            }
            FieldError::Stale { current: Some(_) } => {
                "The field has changed since the version named in If-Match; read it again.".into()
            }
            FieldError::Stale { current: None } => {
                "Too many changes of this field at once; send the request again.".into()
            }
            FieldError::Repeated => "The request was carried out before.".into(),
            FieldError::Port(error) => error.detail(),
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            FieldError::Stale { current } => *current,
            _ => None,
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            FieldError::Invalid(violations) => violations.as_slice(),
            _ => &[],
        }
    }
}
