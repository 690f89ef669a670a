//! Why something can or cannot be done with a ticket.

use kernel::{Actor, TeamRole};

use super::Tickets;
use crate::error::TicketError;
use crate::policy::Relation;
use crate::ruling::{Action, Case, Reason, Refusal};
use crate::ticket::{Ticket, TicketKey};

/// What decides about an action of someone on a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The action.
    pub action: Action,
    /// What they are to the ticket, as far as rights go.
    pub relation: Relation,
    /// Whether they asked for it.
    pub is_requester: bool,
    /// Whether they are to answer it.
    pub is_assignee: bool,
    /// Their rank in its team, if they are in it.
    pub rank: Option<TeamRole>,
    /// Who may, in a sentence.
    pub rule: &'static str,
    /// Why it would be refused; `None` when it would not.
    pub refusal: Option<Refusal>,
}

impl Tickets {
    /// Why `actor` can or cannot carry out `action` now: what they would hear if they tried, but for what the request's
    /// content decides.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] where the action itself would say so: for a ticket, or notes, that the actor may not
    /// know of.
    pub async fn explain(
        &self,
        actor: &Actor,
        key: &TicketKey,
        action: Action,
    ) -> Result<Explanation, TicketError> {
        let (ticket, relation) = match action {
            Action::Read | Action::ReadNotes | Action::ReadClocks => self.shown(actor, key).await?,
            Action::Restore => self.visible(actor, key).await?,
            Action::Reply
            | Action::MessageInternally
            | Action::AddNote
            | Action::Edit
            | Action::EditCustomFields
            | Action::EditMetadata
            | Action::SetPriority
            | Action::EditTags
            | Action::SetStatus(_)
            | Action::Resolve
            | Action::Close
            | Action::Reopen
            | Action::Claim
            | Action::AssignSelf
            | Action::Assign
            | Action::Unassign
            | Action::Transfer
            | Action::Follow
            | Action::Copy
            | Action::Link
            | Action::Merge
            | Action::MoveMessage
            | Action::Rate
            | Action::Delete => match self.live(actor, key).await {
                // Who may know that it is deleted hears that, before anything else.
                Err(TicketError::Deleted) => self.visible(actor, key).await?,
                other => other?,
            },
        };
        let case = self.case(actor, relation, &ticket);
        let refusal = match action.judge(&case) {
            Ok(()) => None,
            Err(Refusal {
                reason: Reason::Hidden,
                ..
            }) => return Err(TicketError::NotFound),
            Err(refusal) => Some(refusal),
        };
        let (is_requester, is_assignee, rank) = match actor {
            Actor::System(_) => (false, false, None),
            Actor::Person(person) => (
                ticket.requester == person.id,
                ticket.assignee == Some(person.id),
                ticket.team.and_then(|team| person.rank_in(team)),
            ),
        };
        Ok(Explanation {
            action,
            relation,
            is_requester,
            is_assignee,
            rank,
            rule: action.rule(&case),
            refusal,
        })
    }

    /// What an action on a ticket as it was loaded is judged by.
    pub(super) fn case<'a>(&'a self, actor: &'a Actor, relation: Relation, ticket: &'a Ticket) -> Case<'a> {
        Case {
            actor,
            relation,
            ticket,
            now: self.clock.now(),
            settings: &self.settings,
        }
    }
}
