//! Taking back what a job did to a ticket: as far as the ticket still is as the job left it.

use events::TicketPriority;
use kernel::{Actor, UserId};

use crate::draft::Draft;
use crate::error::TicketError;
use crate::machine::Standing;
use crate::port::AssigneeFacts;
use crate::ruling::Action;
use crate::ticket::Ticket;
use crate::value::Tags;

/// What a ticket was before a change and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Was<T> {
    /// Before.
    pub before: T,
    /// After.
    pub after: T,
}

/// What a change did to a ticket, as far as it can be taken back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Undo {
    /// Where it stood.
    pub standing: Option<Was<Standing>>,
    /// How much it pressed.
    pub priority: Option<Was<TicketPriority>>,
    /// Who answered it.
    pub assignee: Option<Was<Option<UserId>>>,
    /// The tags that came.
    pub tags_added: Tags,
    /// The tags that went.
    pub tags_removed: Tags,
}

impl Undo {
    /// What lies between a ticket before and after.
    pub(crate) fn between(before: &Ticket, after: &Ticket) -> Self {
        fn was<T: PartialEq>(before: T, after: T) -> Option<Was<T>> {
            (before != after).then_some(Was { before, after })
        }
        Self {
            standing: was(before.standing, after.standing),
            priority: was(before.priority, after.priority),
            assignee: was(before.assignee, after.assignee),
            tags_added: after.tags.without(&before.tags),
            tags_removed: before.tags.without(&after.tags),
        }
    }

    /// Takes the change back on a draft, as far as nobody changed the same since; gives the names of what stays for that
    /// reason. `assignee` is what is known of who answered it before.
    ///
    /// # Errors
    /// [`TicketError::ChangedSince`] when all of it stays, [`TicketError::Forbidden`] when the caller may not change so.
    pub(crate) fn apply(
        &self,
        draft: &mut Draft<'_>,
        actor: &Actor,
        assignee: Option<&AssigneeFacts>,
    ) -> Result<Vec<&'static str>, TicketError> {
        let Self {
            standing,
            priority,
            assignee: answered,
            tags_added,
            tags_removed,
        } = self;
        if let Some(target) = draft.ticket().merged_into {
            return Err(TicketError::Merged(target));
        }
        let mut stays = Vec::new();
        let mut is_restored = false;
        if let Some(Was { before, after }) = *standing {
            if draft.ticket().standing == after {
                draft.require(Action::SetStatus(before.status()))?;
                draft.restore_standing(before);
                is_restored = true;
            } else {
                stays.push("status");
            }
        }
        if let Some(Was { before, after }) = *priority {
            if draft.ticket().priority == after {
                draft.require(Action::SetPriority)?;
                draft.set_priority(before);
                is_restored = true;
            } else {
                stays.push("priority");
            }
        }
        if let Some(Was { before, after }) = *answered {
            let can_answer = before.is_none() || assignee.is_some_and(|facts| facts.works_on(draft.ticket()));
            if draft.ticket().assignee == after && can_answer {
                draft.require(assigning(actor, before))?;
                draft.set_assignee(before);
                is_restored = true;
            } else {
                stays.push("assignedToId");
            }
        }
        if !(tags_added.as_slice().is_empty() && tags_removed.as_slice().is_empty()) {
            draft.require(Action::EditTags)?;
            let left = draft.ticket().tags.without(tags_added);
            let (tags, restored) = left.joined(tags_removed);
            let missing = tags_removed.without(&restored).without(&left);
            if tags == draft.ticket().tags || !missing.as_slice().is_empty() {
                stays.push("tags");
            }
            is_restored |= tags != draft.ticket().tags;
            draft.set_tags(tags);
        }
        if is_restored || stays.is_empty() {
            Ok(stays)
        } else {
            Err(TicketError::ChangedSince(stays))
        }
    }
}

/// The action that makes someone, or nobody, the assignee.
pub(crate) fn assigning(actor: &Actor, to: Option<UserId>) -> Action {
    match to {
        None => Action::Unassign,
        Some(to) if actor.user_id() == Some(to) => Action::AssignSelf,
        Some(_) => Action::Assign,
    }
}
