//! Kinds of failure, and the two texts each failure has: one for the client ([`Classify`]), one for the operator
//! (the error's own `Display` and `source`, logged once at the edge).
//!
//! Each use case has an error enum of its own that says what can really happen, and implements [`Classify`]; one
//! place in the HTTP crate maps kinds to statuses.

use std::fmt;
use std::time::Duration;

use crate::Version;

/// What sort of failure it is, as a client of any transport understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The input breaks a rule; the violations say which.
    Invalid,
    /// The caller is not, or no longer, known.
    Unauthenticated,
    /// The caller may see it and not do it.
    Forbidden,
    /// It does not exist, or the caller may not know that it does.
    NotFound,
    /// The present state does not allow it.
    Conflict,
    /// It changed since the caller looked (a failed precondition).
    Stale,
    /// It was valid once and is used up or expired.
    Gone,
    /// A bound on how often was reached.
    TooMany,
    /// Something the server needs is out of reach; trying again later may help.
    Unavailable,
    /// A fault of the server.
    Internal,
}

/// One rule that the input breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the field: `/subject`. Empty for the whole document.
    pub pointer: String,
    /// A stable name of the rule: `too_long`.
    pub code: &'static str,
    /// The rule in words, with its bound.
    pub message: String,
}

impl Violation {
    /// A violation of the rule `code` at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            message: message.into(),
        }
    }
}

/// The pointer to the member `name` of the object at `pointer`, with what means something in pointers escaped (RFC 6901).
#[must_use]
pub fn member_pointer(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Collects every fault of an input, so that a client learns them all at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// An empty collection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a violation.
    pub fn push(&mut self, violation: Violation) {
        self.0.push(violation);
    }

    /// Keeps the value of a good result and the violation of a bad one.
    pub fn check<T>(&mut self, result: Result<T, Violation>) -> Option<T> {
        result.map_err(|violation| self.push(violation)).ok()
    }

    /// All that was found.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.0
    }

    /// Nothing, or all that was found.
    ///
    /// # Errors
    /// The violations themselves, when there are any.
    pub fn into_result(self) -> Result<(), Violations> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Violation> for Violations {
    fn from(violation: Violation) -> Self {
        Self(vec![violation])
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} {}", violation.pointer, violation.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// The client's half of an error.
pub trait Classify: std::error::Error {
    /// The sort of failure.
    fn kind(&self) -> FailureKind;

    /// A stable code that programs may branch on: `ticket.transition_not_allowed`.
    fn code(&self) -> &'static str;

    /// What a client is told, in a sentence. Never a cause, SQL or a path.
    fn detail(&self) -> String;

    /// The broken rules, for [`FailureKind::Invalid`].
    fn violations(&self) -> &[Violation] {
        &[]
    }

    /// The version that the thing has now, for [`FailureKind::Stale`], where it is known.
    fn current_version(&self) -> Option<Version> {
        None
    }

    /// How long to wait before another try, for [`FailureKind::TooMany`] and [`FailureKind::Unavailable`], where it
    /// is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// Why a port could not do its work: the operator's half, the same for every port. A client hears only
/// "unavailable" or "internal".
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The other side is out of reach, or too slow. Nothing is known to have been stored.
    #[error("{port} is unavailable")]
    Unavailable {
        /// Which port.
        port: &'static str,
        /// What its driver says.
        #[source]
        source: BoxError,
    },
    /// A stored row is no valid domain value. Names the row for the operator.
    #[error("row {id} of {table}: column {column} holds no valid value ({detail})")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        id: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The port refused something that it should accept: a bug of ours.
    #[error("{port} failed unexpectedly")]
    Bug {
        /// Which port.
        port: &'static str,
        /// What its driver says.
        #[source]
        source: BoxError,
    },
}

/// Any error, as the source of another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Classify for PortError {
    fn kind(&self) -> FailureKind {
        match self {
            PortError::Unavailable { .. } => FailureKind::Unavailable,
            PortError::Corrupt { .. } | PortError::Bug { .. } => FailureKind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            PortError::Unavailable { .. } => "server.unavailable",
            PortError::Corrupt { .. } | PortError::Bug { .. } => "server.internal",
        }
    }

    fn detail(&self) -> String {
        match self {
            PortError::Unavailable { .. } => {
                "The server cannot reach its database just now; try again shortly.".into()
            }
            PortError::Corrupt { .. } | PortError::Bug { .. } => {
                "The server met an error of its own. The request id helps its operator to find it.".into()
            }
        }
    }
}
