//! Tickets: showing and changing them ([`resource`]), finding them ([`listing`]), what happens to them ([`actions`]), to two of them ([`joint`])
//! and what is said in them ([`conversation`]).

mod actions;
mod body;
mod cc;
mod clocks;
mod conversation;
mod drafts;
mod followers;
mod joint;
mod listing;
mod resource;

use kernel::{Violation, Violations};
use ticketing::{TicketError, TicketKey};

use crate::command::Rendered;
use crate::path::PathKey;
use crate::problem::Problem;
use crate::routes::Operation;

pub(crate) use clocks::StretchPart;

use body::Shape;

pub(super) use body::{PriorityName, SatisfactionBody, StatusName, TicketBody};
pub(super) use listing::{Listed, answer, related, shape};

/// The kind that entity tags of tickets carry.
pub(super) const KIND: &str = "ticket";

pub(crate) fn operations() -> Vec<Operation> {
    [
        listing::operations(),
        resource::operations(),
        conversation::operations(),
        actions::operations(),
        cc::operations(),
        followers::operations(),
        clocks::operations(),
        drafts::operations(),
        joint::operations(),
    ]
    .concat()
}

impl PathKey for TicketKey {
    const NOT_FOUND: &'static str = "ticket.not_found";
    const NOT_FOUND_DETAIL: &'static str = "There is no such ticket.";

    fn parse(segment: &str) -> Option<Self> {
        TicketKey::parse(segment)
    }
}

/// The answer of an action: the ticket afterwards.
pub(super) fn rendered<T>(written: &ticketing::Written<T>) -> Rendered {
    let body = TicketBody::new(&written.view, &ticketing::Related::default(), &Shape::default());
    Rendered::resource(KIND, written.view.version(), &body)
}

/// All faults of a body as one answer.
fn accepted(violations: Violations) -> Result<(), Problem> {
    violations
        .into_result()
        .map_err(|violations| TicketError::from(violations).into())
}

/// A field that a patch may set and never empty.
pub(super) fn not_null<T>(violations: &mut Violations, pointer: &str, patch: kernel::Patch<T>) -> Option<T> {
    match patch {
        kernel::Patch::Keep => None,
        kernel::Patch::Set(value) => Some(value),
        kernel::Patch::Clear => {
            violations.push(Violation::new(pointer, "not_null", "must not be null"));
            None
        }
    }
}
