//! What can go wrong with a policy.

use kernel::{Classify, FailureKind, PortError, Version, Violation, Violations};

use crate::policy::POLICIES_MAX;

/// Why a use case on a policy failed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// There is no such policy.
    #[error("no such policy")]
    NotFound,
    /// The caller may not do this.
    #[error("the caller may not {0}")]
    Forbidden(&'static str),
    /// There are as many as there can be.
    #[error("there are {POLICIES_MAX} policies already")]
    TooMany,
    /// Tickets use it, and nothing was named to follow it.
    #[error("the policy is in use by {tickets} tickets")]
    InUse {
        /// So many.
        tickets: u64,
    },
    /// It is the default, and nothing was named to follow it.
    #[error("the policy is the default")]
    IsDefault,
    /// It changed since the caller looked.
    #[error("the policy is at another version")]
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

impl From<Violation> for PolicyError {
    fn from(violation: Violation) -> Self {
        PolicyError::Invalid(violation.into())
    }
}

impl Classify for PolicyError {
    fn kind(&self) -> FailureKind {
        match self {
            PolicyError::Invalid(_) => FailureKind::Invalid,
            PolicyError::NotFound => FailureKind::NotFound,
            PolicyError::Forbidden(_) => FailureKind::Forbidden,
            PolicyError::TooMany
            | PolicyError::InUse { .. }
            | PolicyError::IsDefault
            | PolicyError::Repeated => FailureKind::Conflict,
            PolicyError::Stale { current: Some(_) } => FailureKind::Stale,
            // Nobody named a version: the policies were too busy, and the request may be sent again.
            PolicyError::Stale { current: None } => FailureKind::Unavailable,
            PolicyError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            PolicyError::Invalid(_) => "request.invalid",
            PolicyError::NotFound => "sla_policy.not_found",
            PolicyError::Forbidden(_) => "access.forbidden",
            PolicyError::TooMany => "sla_policy.too_many",
            PolicyError::InUse { .. } => "sla_policy.in_use",
            PolicyError::IsDefault => "sla_policy.is_default",
            PolicyError::Stale { current: Some(_) } => "request.stale",
            PolicyError::Stale { current: None } => "server.busy",
            PolicyError::Repeated => "request.repeated",
            PolicyError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            PolicyError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            PolicyError::NotFound => "There is no such policy.".into(),
            PolicyError::Forbidden(what) => format!("You may not {what}."),
            PolicyError::TooMany => {
                format!("There are {POLICIES_MAX} policies already; delete one before you add another.")
            }
            PolicyError::InUse { tickets } => {
                format!("{tickets} tickets use this policy; name a successor for them.")
            }
            PolicyError::IsDefault => {
                "This policy is for all tickets that no other is for; name a successor, or make another the default."
                    .into()
            }
            PolicyError::Stale { current: Some(_) } => {
                "The policy has changed since the version named in If-Match; read it again.".into()
            }
            PolicyError::Stale { current: None } => {
                "Too many changes of the policies at once; send the request again.".into()
            }
            PolicyError::Repeated => "The request was carried out before.".into(),
            PolicyError::Port(error) => error.detail(),
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            PolicyError::Stale { current } => *current,
            PolicyError::Invalid(_)
            | PolicyError::NotFound
            | PolicyError::Forbidden(_)
            | PolicyError::TooMany
            | PolicyError::InUse { .. }
            | PolicyError::IsDefault
            | PolicyError::Repeated
            | PolicyError::Port(_) => None,
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            PolicyError::Invalid(violations) => violations.as_slice(),
            PolicyError::NotFound
            | PolicyError::Forbidden(_)
            | PolicyError::TooMany
            | PolicyError::InUse { .. }
            | PolicyError::IsDefault
            | PolicyError::Stale { .. }
            | PolicyError::Repeated
            | PolicyError::Port(_) => &[],
        }
    }
}
