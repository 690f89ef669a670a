//! What can go wrong with a ticket, for its use cases.

use chrono::{DateTime, Utc};
use events::TicketStatus;
use kernel::{Classify, FailureKind, PortError, TicketId, UserId, Version, Violation, Violations};

use crate::machine::TransitionRefused;

/// Why a use case on a ticket failed.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// There is no such ticket, or the caller may not know of it.
    #[error("no such ticket for this caller")]
    NotFound,
    /// There is no such message in this ticket, or the caller may not know of it.
    #[error("no such message for this caller")]
    MessageNotFound,
    /// The caller sees the ticket and may not do this with it.
    #[error("the caller may not {0}")]
    Forbidden(&'static str),
    /// The state machine does not move so.
    #[error(transparent)]
    Transition(#[from] TransitionRefused),
    /// A closed ticket takes no more messages.
    #[error("the ticket is closed")]
    Closed,
    /// Someone else has it already.
    #[error("the ticket is assigned to {0}")]
    AlreadyClaimed(UserId),
    /// The ticket is deleted, and must be restored first.
    #[error("the ticket is deleted")]
    Deleted,
    /// It is not deleted, so that it cannot be restored.
    #[error("the ticket is not deleted")]
    NotDeleted,
    /// It was merged into this ticket, where it goes on.
    #[error("the ticket was merged into {0}")]
    Merged(TicketId),
    /// The other ticket is not merged into it.
    #[error("the other ticket is not merged into this one")]
    NotMerged,
    /// Someone else asked for the other ticket: one would read what the other wrote.
    #[error("the tickets have different requesters")]
    RequestersDiffer,
    /// It waits for these tickets; for hidden ones too.
    #[error("the ticket is blocked by {} others", .by.len())]
    Blocked {
        /// Those that the caller sees, by number.
        by: Vec<String>,
    },
    /// It is not resolved, and only a resolution is rated.
    #[error("the ticket is not resolved")]
    NotResolved,
    /// Its rating could be changed until then.
    #[error("the rating could be changed until {0}")]
    RatingFinal(DateTime<Utc>),
    /// The link to rate a ticket is none, or none any more.
    #[error("the link rates nothing")]
    RatingLinkUnknown,
    /// The link is there already.
    #[error("the link is there already")]
    LinkExists,
    /// There is no such link.
    #[error("there is no such link")]
    LinkNotFound,
    /// The link would close a circle.
    #[error("the link would close a circle")]
    LinkCycle,
    /// A child has one parent.
    #[error("the child has a parent already")]
    SecondParent,
    /// A ticket has so many links that it takes no more.
    #[error("a ticket has too many links")]
    TooManyLinks,
    /// A ticket has so many followers that it takes no more.
    #[error("a ticket has too many followers")]
    TooManyFollowers,
    /// A ticket is copied to so many people that it takes no more.
    #[error("a ticket is copied to too many people")]
    TooManyCopies,
    /// The caller has no draft in this ticket.
    #[error("no draft of the caller's")]
    NoDraft,
    /// All that was to be taken back was changed since: these.
    #[error("{} changed since", .0.join(", "))]
    ChangedSince(Vec<&'static str>),
    /// A message can no longer be changed.
    #[error("the time to edit the message is over")]
    EditWindowOver,
    /// It changed since the caller looked.
    #[error("the ticket is at another version")]
    Stale {
        /// The version that the caller would see now; `None` when writers kept overtaking each other.
        current: Option<Version>,
    },
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<Violation> for TicketError {
    fn from(violation: Violation) -> Self {
        TicketError::Invalid(violation.into())
    }
}

impl From<Violations> for TicketError {
    fn from(violations: Violations) -> Self {
        TicketError::Invalid(violations)
    }
}

fn names(statuses: &[TicketStatus]) -> String {
    let names: Vec<_> = statuses.iter().map(|status| status.as_str()).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

impl Classify for TicketError {
    fn kind(&self) -> FailureKind {
        match self {
            TicketError::Invalid(_) => FailureKind::Invalid,
            TicketError::NotFound
            | TicketError::NoDraft
            | TicketError::MessageNotFound
            | TicketError::RatingLinkUnknown
            | TicketError::LinkNotFound => FailureKind::NotFound,
            TicketError::Forbidden(_) => FailureKind::Forbidden,
            TicketError::Transition(_)
            | TicketError::Closed
            | TicketError::AlreadyClaimed(_)
            | TicketError::Deleted
            | TicketError::NotDeleted
            | TicketError::Merged(_)
            | TicketError::NotMerged
            | TicketError::RequestersDiffer
            | TicketError::Blocked { .. }
            | TicketError::NotResolved
            | TicketError::RatingFinal(_)
            | TicketError::LinkExists
            | TicketError::LinkCycle
            | TicketError::SecondParent
            | TicketError::TooManyLinks
            | TicketError::TooManyFollowers
            | TicketError::TooManyCopies
            | TicketError::ChangedSince(_)
            | TicketError::EditWindowOver
            | TicketError::Repeated => FailureKind::Conflict,
            TicketError::Stale { current: Some(_) } => FailureKind::Stale,
            // Nobody named a version: the ticket was too busy, and the request may be sent again.
            TicketError::Stale { current: None } => FailureKind::Unavailable,
            TicketError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            TicketError::Invalid(_) => "request.invalid",
            TicketError::NotFound => "ticket.not_found",
            TicketError::MessageNotFound => "message.not_found",
            TicketError::Forbidden(_) => "access.forbidden",
            TicketError::Transition(_) => "ticket.transition_not_allowed",
            TicketError::Closed => "ticket.closed",
            TicketError::AlreadyClaimed(_) => "ticket.already_claimed",
            TicketError::Deleted => "ticket.deleted",
            TicketError::NotDeleted => "ticket.not_deleted",
            TicketError::Merged(_) => "ticket.merged",
            TicketError::NotMerged => "ticket.not_merged",
            TicketError::RequestersDiffer => "ticket.requesters_differ",
            TicketError::Blocked { .. } => "ticket.blocked",
            TicketError::NotResolved => "ticket.not_resolved",
            TicketError::RatingFinal(_) => "ticket.rating_final",
            TicketError::RatingLinkUnknown => "rating.not_found",
            TicketError::LinkExists => "link.exists",
            TicketError::LinkNotFound => "link.not_found",
            TicketError::LinkCycle => "link.cycle",
            TicketError::SecondParent => "link.second_parent",
            TicketError::TooManyLinks => "link.too_many",
            TicketError::NoDraft => "draft.not_found",
            TicketError::TooManyFollowers => "ticket.too_many_followers",
            TicketError::TooManyCopies => "ticket.too_many_cc",
            TicketError::ChangedSince(_) => "ticket.changed_since",
            TicketError::EditWindowOver => "message.edit_window_over",
            TicketError::Stale { current: Some(_) } => "request.stale",
            TicketError::Stale { current: None } => "server.busy",
            TicketError::Repeated => "request.repeated",
            TicketError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            TicketError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            TicketError::NotFound => "There is no such ticket.".into(),
            TicketError::MessageNotFound => "There is no such message in this ticket.".into(),
            TicketError::Forbidden(what) => format!("You may not {what}."),
            TicketError::Transition(refused) => {
                let window = if refused.reopen_window_over {
                    " It was closed too long ago to be reopened; open a new ticket instead."
                } else {
                    ""
                };
                format!(
                    "A ticket that is {} cannot become {}. Allowed now: {}.{window}",
                    refused.from.as_str(),
                    refused.to.as_str(),
                    names(&refused.allowed),
                )
            }
            TicketError::Closed => "The ticket is closed; reopen it before you write.".into(),
            TicketError::AlreadyClaimed(_) => "Someone else has claimed the ticket already.".into(),
            TicketError::Deleted => "The ticket is deleted; restore it first.".into(),
            TicketError::NotDeleted => "The ticket is not deleted.".into(),
            TicketError::Merged(target) => {
                format!("The ticket was merged into {target}; go on there, or undo the merge.")
            }
            TicketError::NotMerged => "The other ticket is not merged into this one.".into(),
            TicketError::RequestersDiffer => {
                "Someone else asked for the other ticket, and would read what this one's \
                 requester wrote; link them instead."
                    .into()
            }
            TicketError::Blocked { by } if by.is_empty() => {
                "The ticket is blocked by one that you do not see; that must be resolved first.".into()
            }
            TicketError::Blocked { by } => {
                format!(
                    "The ticket is blocked by {}; that must be resolved first.",
                    by.join(", ")
                )
            }
            TicketError::NotResolved => "Only a ticket that is resolved or closed can be rated.".into(),
            TicketError::RatingFinal(until) => format!(
                "The rating could be changed until {}.",
                until.format("%Y-%m-%d %H:%M UTC")
            ),
            TicketError::RatingLinkUnknown => {
                "There is nothing to rate by this link, or not any more.".into()
            }
            TicketError::LinkExists => "The tickets are linked so already.".into(),
            TicketError::LinkNotFound => "The tickets are not linked so.".into(),
            TicketError::LinkCycle => {
                "The link would close a circle: each would come before the other.".into()
            }
            TicketError::SecondParent => "The child has a parent already.".into(),
            TicketError::TooManyLinks => format!("A ticket has at most {} links.", crate::joint::LINKS_MAX),
            TicketError::NoDraft => "You have no draft in this ticket.".into(),
            TicketError::TooManyCopies => {
                format!("A ticket is copied to at most {} people.", crate::ticket::CC_MAX)
            }
            TicketError::TooManyFollowers => {
                format!("A ticket has at most {} followers.", crate::ticket::FOLLOWERS_MAX)
            }
            TicketError::ChangedSince(fields) => {
                format!("Changed since, and left alone: {}.", fields.join(", "))
            }
            TicketError::EditWindowOver => "The time in which a message can be edited is over.".into(),
            TicketError::Stale { current: Some(_) } => {
                "The ticket has changed since the version named in If-Match; read it again.".into()
            }
            TicketError::Stale { current: None } => {
                "Too many changes of this ticket at once; send the request again.".into()
            }
            TicketError::Repeated => "The request was carried out before.".into(),
            TicketError::Port(error) => error.detail(),
        }
    }

    fn current_version(&self) -> Option<Version> {
        if let TicketError::Stale { current } = self {
            *current
        } else {
            None
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            TicketError::Invalid(violations) => violations.as_slice(),
            TicketError::NotFound
            | TicketError::MessageNotFound
            | TicketError::Forbidden(_)
            | TicketError::Transition(_)
            | TicketError::Closed
            | TicketError::AlreadyClaimed(_)
            | TicketError::Deleted
            | TicketError::NotDeleted
            | TicketError::Merged(_)
            | TicketError::NotMerged
            | TicketError::RequestersDiffer
            | TicketError::Blocked { .. }
            | TicketError::NotResolved
            | TicketError::RatingFinal(_)
            | TicketError::RatingLinkUnknown
            | TicketError::LinkExists
            | TicketError::LinkNotFound
            | TicketError::LinkCycle
            | TicketError::SecondParent
            | TicketError::TooManyLinks
            | TicketError::NoDraft
            | TicketError::TooManyFollowers
            | TicketError::TooManyCopies
            | TicketError::ChangedSince(_)
            | TicketError::EditWindowOver
            | TicketError::Stale { .. }
            | TicketError::Repeated
            | TicketError::Port(_) => &[],
        }
    }
}
