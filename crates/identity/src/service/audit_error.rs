//! Why the record of acts was not shown.

use kernel::{Classify, FailureKind, PortError};

use crate::policy::Denial;

/// Why the record was not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadAuditError {
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ReadAuditError {
    fn kind(&self) -> FailureKind {
        match self {
            ReadAuditError::Forbidden => FailureKind::Forbidden,
            ReadAuditError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ReadAuditError::Forbidden => "access.forbidden",
            ReadAuditError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ReadAuditError::Forbidden => "You may not do this.".into(),
            ReadAuditError::Port(error) => error.detail(),
        }
    }
}

impl From<Denial> for ReadAuditError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden | Denial::Forbidden => ReadAuditError::Forbidden,
        }
    }
}
