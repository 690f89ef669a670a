//! What can go wrong with a job.

use kernel::{Classify, FailureKind, PortError, Version, Violation, Violations};

use crate::bulk::port::StartError;
use crate::bulk::{JOBS_UNFINISHED_MAX, UNDO_WINDOW};
use crate::error::TicketError;

/// Why a use case on a job failed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// There is no such job, or the caller may not know of it.
    #[error("no such job for this caller")]
    NotFound,
    /// The caller may not do this.
    #[error("the caller may not {0}")]
    Forbidden(&'static str),
    /// The caller has as many unfinished jobs as there can be.
    #[error("there are {JOBS_UNFINISHED_MAX} unfinished jobs already")]
    TooMany,
    /// It is finished: there is nothing left to cancel.
    #[error("the job is finished")]
    Finished,
    /// It is not finished yet, and must be before it is undone.
    #[error("the job is not finished")]
    Unfinished,
    /// It cannot be undone: it changed nothing, or undid another one itself, or ended too long ago.
    #[error("the job cannot be undone")]
    NotUndoable,
    /// Another job undoes it already.
    #[error("the job is undone already")]
    Undone,
    /// It went on since the caller looked.
    #[error("the job is at another version")]
    Stale {
        /// The version that it has now; `None` when it kept going on.
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

impl From<Violation> for JobError {
    fn from(violation: Violation) -> Self {
        JobError::Invalid(violation.into())
    }
}

impl From<Violations> for JobError {
    fn from(violations: Violations) -> Self {
        JobError::Invalid(violations)
    }
}

impl From<StartError> for JobError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Repeated => JobError::Repeated,
            StartError::TooMany => JobError::TooMany,
            StartError::Undone => JobError::Undone,
            StartError::Stale => JobError::Stale { current: None },
            StartError::Port(error) => JobError::Port(error),
        }
    }
}

impl Classify for JobError {
    fn kind(&self) -> FailureKind {
        match self {
            JobError::Invalid(_) => FailureKind::Invalid,
            JobError::NotFound => FailureKind::NotFound,
            JobError::Forbidden(_) => FailureKind::Forbidden,
            JobError::TooMany
            | JobError::Finished
            | JobError::Unfinished
            | JobError::NotUndoable
            | JobError::Undone
            | JobError::Repeated => FailureKind::Conflict,
            JobError::Stale { current: Some(_) } => FailureKind::Stale,
            // Nobody named a version: the job went on too fast, and the request may be sent again.
            JobError::Stale { current: None } => FailureKind::Unavailable,
            JobError::Tickets(error) => error.kind(),
            JobError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            JobError::Invalid(_) => "request.invalid",
            JobError::NotFound => "job.not_found",
            JobError::Forbidden(_) => "access.forbidden",
            JobError::TooMany => "job.too_many",
            JobError::Finished => "job.finished",
            JobError::Unfinished => "job.unfinished",
            JobError::NotUndoable => "job.not_undoable",
            JobError::Undone => "job.undone",
            JobError::Stale { current: Some(_) } => "request.stale",
            JobError::Stale { current: None } => "server.busy",
            JobError::Repeated => "request.repeated",
            JobError::Tickets(error) => error.code(),
            JobError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            JobError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            JobError::NotFound => "There is no such job.".into(),
            JobError::Forbidden(what) => format!("You may not {what}."),
            JobError::TooMany => {
                format!("You have {JOBS_UNFINISHED_MAX} unfinished jobs; wait for one of them, or cancel it.")
            }
            JobError::Finished => "The job is finished.".into(),
            JobError::Unfinished => "The job is not finished; wait for it, or cancel it first.".into(),
            JobError::NotUndoable => format!(
                "Only a job that changed tickets can be undone, for {} minutes after its end.",
                UNDO_WINDOW.num_minutes()
            ),
            JobError::Undone => "Another job undoes this one already.".into(),
            JobError::Stale { current: Some(_) } => {
                "The job has gone on since the version named in If-Match; read it again.".into()
            }
            JobError::Stale { current: None } => {
                "The job goes on too fast to be changed; send the request again.".into()
            }
            JobError::Repeated => "The request was carried out before.".into(),
            JobError::Tickets(error) => error.detail(),
            JobError::Port(error) => error.detail(),
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            JobError::Stale { current } => *current,
            JobError::Tickets(error) => error.current_version(),
            _ => None,
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            JobError::Invalid(violations) => violations.as_slice(),
            JobError::Tickets(error) => error.violations(),
            _ => &[],
        }
    }
}
