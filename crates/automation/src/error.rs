//! What can go wrong with rules, macros and webhooks.

use kernel::{Classify, FailureKind, PortError, Version, Violation, Violations};

use crate::port::CommitError;

/// Why a use case on rules, macros or webhooks failed.
#[derive(Debug, thiserror::Error)]
pub enum AutomationError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// There is none, or the caller may not know of it.
    #[error("no such {} for this caller", .0.name())]
    NotFound(Thing),
    /// The caller may not do this.
    #[error("the caller may not {0}")]
    Forbidden(&'static str),
    /// There are as many as there can be.
    #[error("there are as many of these as there can be: {}", .0.name())]
    TooMany(Thing),
    /// The row is no rule: it has to be replaced whole, or deleted.
    #[error("the rule's row is no rule: {0}")]
    Faulty(Violations),
    /// The endpoint is disabled: nothing is sent there.
    #[error("the webhook endpoint is disabled")]
    EndpointDisabled,
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

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A rule.
    Rule,
    /// A macro.
    Macro,
    /// A webhook endpoint.
    Endpoint,
    /// A call of one.
    Call,
}

impl Thing {
    fn name(self) -> &'static str {
        match self {
            Thing::Rule => "rule",
            Thing::Macro => "macro",
            Thing::Endpoint => "webhook endpoint",
            Thing::Call => "delivery of this webhook endpoint",
        }
    }
}

impl AutomationError {
    /// What a refused commit is to the caller.
    pub(crate) fn refused(error: CommitError, thing: Thing) -> Self {
        match error {
            CommitError::Stale => AutomationError::Stale { current: None },
            CommitError::Repeated => AutomationError::Repeated,
            CommitError::TooMany => AutomationError::TooMany(thing),
            CommitError::Port(error) => error.into(),
        }
    }
}

impl From<Violation> for AutomationError {
    fn from(violation: Violation) -> Self {
        AutomationError::Invalid(violation.into())
    }
}

impl From<Violations> for AutomationError {
    fn from(violations: Violations) -> Self {
        AutomationError::Invalid(violations)
    }
}

impl Classify for AutomationError {
    fn kind(&self) -> FailureKind {
        match self {
            AutomationError::Invalid(_) => FailureKind::Invalid,
            AutomationError::NotFound(_) => FailureKind::NotFound,
            AutomationError::Forbidden(_) => FailureKind::Forbidden,
            AutomationError::TooMany(_)
            | AutomationError::Faulty(_)
            | AutomationError::EndpointDisabled
            | AutomationError::Repeated => FailureKind::Conflict,
            AutomationError::Stale { current: Some(_) } => FailureKind::Stale,
            // Nobody named a version: it was too busy, and the request may be sent again.
            AutomationError::Stale { current: None } => FailureKind::Unavailable,
            AutomationError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            AutomationError::Invalid(_) => "request.invalid",
            AutomationError::NotFound(Thing::Rule) => "rule.not_found",
            AutomationError::NotFound(Thing::Macro) => "macro.not_found",
            AutomationError::NotFound(Thing::Endpoint) => "webhook.not_found",
            AutomationError::NotFound(Thing::Call) => "webhook.delivery_not_found",
            AutomationError::Forbidden(_) => "access.forbidden",
            AutomationError::TooMany(Thing::Rule) => "rule.too_many",
            AutomationError::TooMany(Thing::Macro) => "macro.too_many",
            AutomationError::TooMany(Thing::Endpoint | Thing::Call) => "webhook.too_many",
            AutomationError::Faulty(_) => "rule.faulty",
            AutomationError::EndpointDisabled => "webhook.disabled",
            AutomationError::Stale { current: Some(_) } => "request.stale",
            AutomationError::Stale { current: None } => "server.busy",
            AutomationError::Repeated => "request.repeated",
            AutomationError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            AutomationError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            AutomationError::NotFound(thing) => format!("There is no such {}.", thing.name()),
            AutomationError::Forbidden(what) => format!("You may not {what}."),
            AutomationError::TooMany(thing) => {
                format!(
                    "There are as many {}s as there can be; delete one before you add another.",
                    thing.name()
                )
            }
            AutomationError::Faulty(_) => {
                "What is stored is no rule, and never runs; replace it whole or delete it.".into()
            }
            AutomationError::EndpointDisabled => {
                "The endpoint is disabled, so that nothing is sent there; enable it first.".into()
            }
            AutomationError::Stale { current: Some(_) } => {
                "It has changed since the version named in If-Match; read it again.".into()
            }
            AutomationError::Stale { current: None } => {
                "Too many changes at once; send the request again.".into()
            }
            AutomationError::Repeated => "The request was carried out before.".into(),
            AutomationError::Port(error) => error.detail(),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            AutomationError::Invalid(violations) | AutomationError::Faulty(violations) => {
                violations.as_slice()
            }
            AutomationError::NotFound(_)
            | AutomationError::Forbidden(_)
            | AutomationError::TooMany(_)
            | AutomationError::EndpointDisabled
            | AutomationError::Stale { .. }
            | AutomationError::Repeated
            | AutomationError::Port(_) => &[],
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            AutomationError::Stale { current } => *current,
            AutomationError::Invalid(_)
            | AutomationError::NotFound(_)
            | AutomationError::Forbidden(_)
            | AutomationError::TooMany(_)
            | AutomationError::Faulty(_)
            | AutomationError::EndpointDisabled
            | AutomationError::Repeated
            | AutomationError::Port(_) => None,
        }
    }
}
