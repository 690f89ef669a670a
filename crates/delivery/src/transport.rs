//! The ways that letters go out.

use async_trait::async_trait;
use identity::ports::MailError;
use kernel::PortError;
use kernel::failure::BoxError;

use crate::letter::Letter;

/// A way that letters go out.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Takes one letter. Whoever calls it does so again after a failure, with a letter of the same id; it
    /// must end within a bound of its own, and may be dropped at any point.
    ///
    /// # Errors
    /// [`MailError::Refused`] when no later try can succeed, [`MailError::Port`] when one may.
    async fn deliver(&self, letter: &Letter) -> Result<(), MailError>;
}

/// A failure that may pass.
pub(crate) fn unavailable(port: &'static str, source: impl Into<BoxError>) -> MailError {
    MailError::Port(PortError::Unavailable {
        port,
        source: source.into(),
    })
}

/// A failure that is our own fault.
pub(crate) fn bug(port: &'static str, source: impl Into<BoxError>) -> PortError {
    PortError::Bug {
        port,
        source: source.into(),
    }
}
