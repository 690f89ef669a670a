//! What a failure of the database means.
//!
//! Adapters look at [`Failure::constraint`] first and give the constraints that they know their domain's meaning;
//! all else becomes a [`PortError`] by [`Failure::at`]: unavailable when trying again later may help, a bug of ours
//! otherwise, with the name of a constraint that nobody expected.
//!
//! diesel keeps SQLSTATEs to itself but for a few, so that some conditions are told by the server's English message.
//! A server that speaks another language still works: such a condition is then a bug in the log instead of
//! "unavailable". [`Database::connect`](crate::Database::connect) says so once, with the cure.

use diesel::result::{DatabaseErrorKind, Error};
use kernel::PortError;
use kernel::failure::BoxError;

/// Why a piece of work on the database came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection could be had.
    #[error("no connection to PostgreSQL")]
    NoConnection(#[source] BoxError),
    /// There was no answer in time.
    #[error("PostgreSQL did not answer within {secs} s")]
    TimedOut {
        /// The bound that was reached.
        secs: u64,
    },
    /// PostgreSQL, or the way to it, refused.
    #[error("{}", Described(.0))]
    Query(#[source] Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Query(error)
    }
}

impl Failure {
    /// The name of the constraint that the work would have broken.
    pub(crate) fn constraint(&self) -> Option<&str> {
        match self {
            Failure::Query(error) => constraint(error),
            Failure::NoConnection(_) | Failure::TimedOut { .. } => None,
        }
    }

    /// The failure as the port named `port` reports it, once no constraint in it has a meaning.
    pub(crate) fn at(self, port: &'static str) -> PortError {
        let unavailable = match &self {
            Failure::NoConnection(_) | Failure::TimedOut { .. } => true,
            Failure::Query(error) => match assess(error) {
                Verdict::RunAgain | Verdict::Reconnect | Verdict::Lost | Verdict::Busy => true,
                Verdict::Ours => false,
            },
        };
        let source = Box::new(self);
        if unavailable {
            PortError::Unavailable { port, source }
        } else {
            PortError::Bug { port, source }
        }
    }
}

/// The name of the constraint that `error` tells of.
pub(crate) fn constraint(error: &Error) -> Option<&str> {
    match error {
        Error::DatabaseError(_, information) => information.constraint_name(),
        Error::RollbackErrorOnCommit { commit_error, .. } => constraint(commit_error),
        _ => None,
    }
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Two transactions met; the same work can succeed at once (40001, 40P01).
    RunAgain,
    /// This connection's prepared plans are out of date; the same work can succeed on a new one (0A000).
    Reconnect,
    /// The connection is of no use any more (08…, 57P0x, 25006).
    Lost,
    /// The server has no room or time just now; the connection is good (55P03, 57014, 53…).
    Busy,
    /// Nothing that time would cure.
    Ours,
}

/// What `error` asks for.
pub(crate) fn assess(error: &Error) -> Verdict {
    match error {
        Error::DatabaseError(kind, information) => match kind {
            DatabaseErrorKind::SerializationFailure => Verdict::RunAgain,
            DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::ReadOnlyTransaction => Verdict::Lost,
            DatabaseErrorKind::Unknown => by_message(information.message()),
            _ => Verdict::Ours,
        },
        Error::RollbackErrorOnCommit { commit_error, .. } => match assess(commit_error) {
            // The connection could not even roll back.
            Verdict::RunAgain | Verdict::Reconnect | Verdict::Lost | Verdict::Busy => Verdict::Lost,
            Verdict::Ours => Verdict::Ours,
        },
        Error::BrokenTransactionManager => Verdict::Lost,
        _ => Verdict::Ours,
    }
}

fn by_message(message: &str) -> Verdict {
    const MEANINGS: &[(&str, Verdict)] = &[
        ("deadlock detected", Verdict::RunAgain),
        ("could not serialize access", Verdict::RunAgain),
        ("cached plan must not change result type", Verdict::Reconnect),
        ("terminating connection", Verdict::Lost),
        ("the database system is", Verdict::Lost),
        ("canceling statement due to", Verdict::Busy),
        ("could not obtain lock on", Verdict::Busy),
        ("too many connections", Verdict::Lost),
        ("too many clients", Verdict::Lost),
        ("remaining connection slots", Verdict::Lost),
        ("No space left on device", Verdict::Busy),
        ("out of memory", Verdict::Busy),
        ("out of shared memory", Verdict::Busy),
    ];
    MEANINGS
        .iter()
        .find(|(part, _)| message.contains(part))
        .map_or(Verdict::Ours, |(_, verdict)| *verdict)
}

/// An error with the constraint, table and details that diesel's own text leaves out, never a row's values.
struct Described<'a>(&'a Error);

impl std::fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Error::DatabaseError(kind, information) = self.0 else {
            return f.write_str("a statement failed");
        };
        write!(f, "a statement failed ({kind:?})")?;
        if let Some(constraint) = information.constraint_name() {
            write!(f, ", constraint {constraint}")?;
        }
        if let Some(table) = information.table_name() {
            write!(f, ", table {table}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> Error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned()))
    }

    #[test]
    fn what_passes_by_itself_is_unavailable_and_the_rest_is_a_bug() {
        let busy = Failure::Query(said("canceling statement due to lock timeout")).at("tickets");
        assert!(matches!(busy, PortError::Unavailable { port: "tickets", .. }));
        let bug = Failure::Query(said("column \"x\" does not exist")).at("tickets");
        assert!(matches!(bug, PortError::Bug { port: "tickets", .. }));
    }

    #[test]
    fn each_condition_gets_its_treatment() {
        assert_eq!(assess(&said("deadlock detected")), Verdict::RunAgain);
        assert_eq!(
            assess(&said("terminating connection due to administrator command")),
            Verdict::Lost
        );
        assert_eq!(
            assess(&said("cached plan must not change result type")),
            Verdict::Reconnect
        );
        assert_eq!(assess(&Error::BrokenTransactionManager), Verdict::Lost);
        assert_eq!(assess(&Error::NotFound), Verdict::Ours);
    }
}
