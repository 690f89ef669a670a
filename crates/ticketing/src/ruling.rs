//! Whether an action may be carried out on a ticket as it stands, and if not, why: the right that it needs and the
//! state that it needs, in one place.
//!
//! Use cases ask here before they change anything, lists of allowed actions are made here, and whoever asks why
//! something is refused gets the same [`Refusal`]. To add an action, add it to [`Action`] with its name, its right
//! ([`Action::operation`]) and, where the ticket's state can stand in its way, to [`Action::judge`].

use chrono::{DateTime, Utc};
use events::TicketStatus;
use kernel::{Actor, TicketId, UserId, Violation};

use crate::Settings;
use crate::error::TicketError;
use crate::machine::{ClosedBy, TransitionRefused};
use crate::policy::{Operation, Relation, needed, permits};
use crate::satisfaction::{NotDue, due};
use crate::ticket::Ticket;

/// Something that a person asks to do with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read it with what lies in it for the reader.
    Read,
    /// Read its notes.
    ReadNotes,
    /// Read why it is due when it is due.
    ReadClocks,
    /// Write what the customer reads.
    Reply,
    /// Write an internal message.
    MessageInternally,
    /// Write a note.
    AddNote,
    /// Change subject or description.
    Edit,
    /// Change custom fields.
    EditCustomFields,
    /// Change metadata.
    EditMetadata,
    /// Change the priority.
    SetPriority,
    /// Change the tags.
    EditTags,
    /// Be in a status: nothing happens where it is in it already.
    SetStatus(TicketStatus),
    /// Become resolved.
    Resolve,
    /// Become closed.
    Close,
    /// Become open again.
    Reopen,
    /// Take it, where nobody has it.
    Claim,
    /// Take it, whoever has it.
    AssignSelf,
    /// Give it to someone else.
    Assign,
    /// Leave it without assignee.
    Unassign,
    /// Hand it to another team.
    Transfer,
    /// Make someone follow it, or no longer.
    Follow,
    /// Give someone part in it beside its requester, or take that away.
    Copy,
    /// Link it to another ticket, or take a link away.
    Link,
    /// Merge another ticket into it, or it into another; undo that.
    Merge,
    /// Move a message of it to another ticket, or one here.
    MoveMessage,
    /// Rate its resolution, or change the rating.
    Rate,
    /// Delete it.
    Delete,
    /// Restore it.
    Restore,
}

/// What an action is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Who asks.
    pub actor: &'a Actor,
    /// What they are to the ticket.
    pub relation: Relation,
    /// The ticket as it stands.
    pub ticket: &'a Ticket,
    /// When.
    pub now: DateTime<Utc>,
    /// The desk's choices.
    pub settings: &'a Settings,
}

/// Why an action is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The action.
    pub action: Action,
    /// What stands in its way.
    pub reason: Reason,
}

/// What stands in an action's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It takes more than the caller is to the ticket.
    Right,
    /// For the caller there is nothing to do it with: it is answered like an unknown ticket.
    Hidden,
    /// Internal texts are for those who work on the ticket.
    StaffOnly,
    /// A closed ticket takes no more messages.
    Closed,
    /// Someone else has it.
    Claimed(UserId),
    /// The state machine does not move so.
    Transition(TransitionRefused),
    /// It is deleted, and must be restored first.
    Deleted,
    /// It is not deleted, so that it cannot be restored.
    NotDeleted,
    /// It was merged into this ticket.
    Merged(TicketId),
    /// Only a resolution is rated, and it has none.
    NotResolved,
    /// Its rating could be changed until this moment.
    RatingFinal(DateTime<Utc>),
}

impl Action {
    /// Every action, each status by itself.
    pub const ALL: [Action; 31] = [
        Action::Read,
        Action::ReadNotes,
        Action::ReadClocks,
        Action::Reply,
        Action::Edit,
        Action::EditCustomFields,
        Action::EditMetadata,
        Action::MessageInternally,
        Action::AddNote,
        Action::SetPriority,
        Action::EditTags,
        Action::Claim,
        Action::AssignSelf,
        Action::Assign,
        Action::Unassign,
        Action::Transfer,
        Action::Follow,
        Action::Copy,
        Action::Link,
        Action::Merge,
        Action::MoveMessage,
        Action::SetStatus(TicketStatus::Pending),
        Action::Resolve,
        Action::Close,
        Action::Reopen,
        Action::SetStatus(TicketStatus::Open),
        Action::SetStatus(TicketStatus::Resolved),
        Action::SetStatus(TicketStatus::Closed),
        Action::Rate,
        Action::Delete,
        Action::Restore,
    ];

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::ReadNotes => "read_notes",
            Action::ReadClocks => "read_clocks",
            Action::Reply => "reply",
            Action::MessageInternally => "message_internally",
            Action::AddNote => "add_note",
            Action::Edit => "edit",
            Action::EditCustomFields => "edit_custom_fields",
            Action::EditMetadata => "edit_metadata",
            Action::SetPriority => "set_priority",
            Action::EditTags => "edit_tags",
            Action::SetStatus(TicketStatus::Open) => "set_open",
            Action::SetStatus(TicketStatus::Pending) => "set_pending",
            Action::SetStatus(TicketStatus::Resolved) => "set_resolved",
            Action::SetStatus(TicketStatus::Closed) => "set_closed",
            Action::Resolve => "resolve",
            Action::Close => "close",
            Action::Reopen => "reopen",
            Action::Claim => "claim",
            Action::AssignSelf => "assign_self",
            Action::Assign => "assign",
            Action::Unassign => "unassign",
            Action::Transfer => "transfer",
            Action::Follow => "follow",
            Action::Copy => "cc",
            Action::Link => "link",
            Action::Merge => "merge",
            Action::MoveMessage => "move_message",
            Action::Rate => "rate",
            Action::Delete => "delete",
            Action::Restore => "restore",
        }
    }

    /// What completes "you may not …".
    fn phrase(self) -> &'static str {
        match self {
            Action::Read => "read this ticket",
            Action::ReadNotes => "read the notes of this ticket",
            Action::ReadClocks => "read the clocks of this ticket",
            Action::Reply => "reply to this ticket",
            Action::MessageInternally | Action::AddNote => "write for staff alone in this ticket",
            Action::Edit => "edit the subject or description of this ticket",
            Action::EditCustomFields => "edit the custom fields of this ticket",
            Action::EditMetadata => "edit the metadata of this ticket",
            Action::SetPriority => "set the priority of this ticket",
            Action::EditTags => "edit the tags of this ticket",
            Action::SetStatus(_) => "give this ticket that status",
            Action::Resolve => "resolve this ticket",
            Action::Close => "close this ticket",
            Action::Reopen => "reopen this ticket",
            Action::Claim => "claim this ticket",
            Action::AssignSelf => "assign this ticket to yourself",
            Action::Assign => "assign this ticket to someone else",
            Action::Unassign => "take this ticket from its assignee",
            Action::Transfer => "transfer this ticket",
            Action::Follow => "say who follows this ticket",
            Action::Copy => "say to whom this ticket is copied",
            Action::Link => "link this ticket",
            Action::Merge => "merge this ticket",
            Action::MoveMessage => "move messages of this ticket",
            Action::Rate => "rate this ticket: its requester does, unless they work on it",
            Action::Delete => "delete this ticket",
            Action::Restore => "restore this ticket",
        }
    }

    /// The right that it takes.
    #[must_use]
    pub fn operation(self, case: &Case<'_>) -> Operation {
        match self {
            Action::Read => Operation::Read,
            Action::ReadNotes
            | Action::ReadClocks
            | Action::MessageInternally
            | Action::AddNote
            | Action::Follow
            | Action::Copy => Operation::Internal,
            Action::Reply => Operation::Reply,
            Action::Edit => Operation::EditText,
            Action::EditCustomFields => Operation::EditCustomFields,
            Action::EditMetadata => Operation::EditMetadata,
            Action::SetPriority => Operation::SetPriority,
            Action::EditTags => Operation::EditTags,
            Action::SetStatus(status) => Operation::SetStatus(status),
            Action::Resolve => Operation::SetStatus(TicketStatus::Resolved),
            Action::Close => Operation::SetStatus(TicketStatus::Closed),
            Action::Reopen => Operation::SetStatus(TicketStatus::Open),
            Action::Claim | Action::AssignSelf => Operation::AssignSelf,
            Action::Assign => Operation::AssignOther,
            Action::Unassign => {
                let others = case
                    .ticket
                    .assignee
                    .is_some_and(|assignee| case.actor.user_id() != Some(assignee));
                if others {
                    Operation::AssignOther
                } else {
                    Operation::UnassignSelf
                }
            }
            Action::Transfer => Operation::Transfer,
            Action::Link | Action::Merge | Action::MoveMessage => Operation::Join,
            Action::Rate => Operation::Rate,
            Action::Delete => Operation::Delete,
            Action::Restore => Operation::Restore,
        }
    }

    /// Whether the caller has the right, whatever state the ticket is in.
    ///
    /// # Errors
    /// [`Reason::Right`], [`Reason::Hidden`] or [`Reason::StaffOnly`].
    pub fn right(self, case: &Case<'_>) -> Result<(), Refusal> {
        if permits(case.relation, self.operation(case), case.ticket, case.settings) {
            return Ok(());
        }
        let reason = match self {
            // Notes and clocks do not exist for the requester.
            Action::Read | Action::ReadNotes | Action::ReadClocks | Action::AddNote => Reason::Hidden,
            Action::MessageInternally => Reason::StaffOnly,
            Action::Reply
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
            | Action::Delete
            | Action::Restore => Reason::Right,
        };
        Err(self.refused(reason))
    }

    /// Whether the caller has the right and the ticket is in a state for it. What only the request's content can tell
    /// is not judged: whether an assignee works in the team, or a team exists.
    ///
    /// # Errors
    /// The first thing that stands in its way: the right, before the state.
    pub fn judge(self, case: &Case<'_>) -> Result<(), Refusal> {
        self.right(case)?;
        let ticket = case.ticket;
        let to = |status| {
            let window = case.settings.reopen_window;
            let moved = ticket.standing.to(status, case.now, ClosedBy::Person, window);
            moved
                .map(drop)
                .map_err(|refused| self.refused(Reason::Transition(refused)))
        };
        match (self, ticket.deleted_at) {
            (Action::Restore, None) => Err(self.refused(Reason::NotDeleted)),
            (Action::Restore, Some(deleted_at)) => {
                let over = case.now - deleted_at > case.settings.restore_window;
                if over && case.relation != Relation::Admin {
                    Err(self.refused(Reason::Hidden))
                } else {
                    Ok(())
                }
            }
            (_, Some(_)) => Err(self.refused(Reason::Deleted)),
            (
                Action::Read | Action::ReadNotes | Action::ReadClocks | Action::EditMetadata | Action::Delete,
                None,
            ) => Ok(()),
            (_, None) if ticket.merged_into.is_some() => {
                let target = ticket.merged_into.unwrap_or(ticket.id);
                Err(self.refused(Reason::Merged(target)))
            }
            (Action::Reply, None) if ticket.status() == TicketStatus::Closed => {
                Err(self.refused(Reason::Closed))
            }
            (Action::Claim, None) => match ticket.assignee {
                Some(other) if case.actor.user_id() != Some(other) => {
                    Err(self.refused(Reason::Claimed(other)))
                }
                Some(_) | None => Ok(()),
            },
            (Action::Rate, None) => match due(ticket.standing, ticket.satisfaction.as_ref(), case.now) {
                Ok(_) => Ok(()),
                Err(NotDue::Unresolved) => Err(self.refused(Reason::NotResolved)),
                Err(NotDue::Final(until)) => Err(self.refused(Reason::RatingFinal(until))),
            },
            (Action::Resolve, None) => to(TicketStatus::Resolved),
            (Action::Close, None) => to(TicketStatus::Closed),
            (Action::Reopen, None) => to(TicketStatus::Open),
            (Action::SetStatus(status), None) if status != ticket.status() => to(status),
            (
                Action::Reply
                | Action::MessageInternally
                | Action::AddNote
                | Action::Edit
                | Action::EditCustomFields
                | Action::SetPriority
                | Action::EditTags
                | Action::SetStatus(_)
                | Action::AssignSelf
                | Action::Assign
                | Action::Unassign
                | Action::Transfer
                | Action::Follow
                | Action::Copy
                | Action::Link
                | Action::Merge
                | Action::MoveMessage,
                None,
            ) => Ok(()),
        }
    }

    /// Whether the list of allowed actions offers it: it is a thing to do by itself, and would change something.
    #[must_use]
    pub fn is_offered(self, ticket: &Ticket) -> bool {
        let status = ticket.status();
        match self {
            Action::Claim => ticket.assignee.is_none(),
            Action::Unassign => ticket.assignee.is_some(),
            Action::SetStatus(TicketStatus::Pending) => status != TicketStatus::Pending,
            // Otherwise it is reopened.
            Action::SetStatus(TicketStatus::Open) => status == TicketStatus::Pending,
            Action::Reopen => status != TicketStatus::Pending,
            Action::Read
            | Action::ReadNotes
            | Action::ReadClocks
            | Action::EditCustomFields
            | Action::EditMetadata
            | Action::AssignSelf
            | Action::SetStatus(TicketStatus::Resolved | TicketStatus::Closed) => false,
            Action::Reply
            | Action::MessageInternally
            | Action::AddNote
            | Action::Edit
            | Action::SetPriority
            | Action::EditTags
            | Action::Resolve
            | Action::Close
            | Action::Assign
            | Action::Transfer
            | Action::Follow
            | Action::Copy
            | Action::Link
            | Action::Merge
            | Action::MoveMessage
            | Action::Rate
            | Action::Delete
            | Action::Restore => true,
        }
    }

    /// The rule in a sentence: who may.
    #[must_use]
    pub fn rule(self, case: &Case<'_>) -> &'static str {
        match (self, needed(self.operation(case), case.ticket, case.settings)) {
            (Action::Edit | Action::EditCustomFields, Relation::Participant | Relation::Agent) => {
                "The requester and those it is copied to may until the first answer; those who work on the ticket always may."
            }
            (Action::Restore, _) => "A lead of its team may within the window, an administrator always.",
            (Action::Rate, _) => "Its requester may, unless they work on it.",
            (_, Relation::None | Relation::Participant | Relation::Requester) => {
                "Whoever sees the ticket may."
            }
            (_, Relation::Agent) => {
                "Those who work on the ticket may: members of its team, its assignee, every agent where it has no \
                 team, and administrators."
            }
            (_, Relation::Supervisor) => "Supervisors and leads of its team and administrators may.",
            (_, Relation::Lead) => "Leads of its team and administrators may.",
            (_, Relation::Admin) => "Administrators may.",
        }
    }

    fn refused(self, reason: Reason) -> Refusal {
        Refusal { action: self, reason }
    }
}

/// What the caller of the action hears.
impl From<Refusal> for TicketError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { action, reason } = refusal;
        match reason {
            Reason::Right => TicketError::Forbidden(action.phrase()),
            Reason::Hidden => TicketError::NotFound,
            Reason::StaffOnly => {
                let message = "is for staff who work on the ticket";
                Violation::new("/isInternal", "not_allowed", message).into()
            }
            Reason::Closed => TicketError::Closed,
            Reason::Claimed(other) => TicketError::AlreadyClaimed(other),
            Reason::Transition(refused) => TicketError::Transition(refused),
            Reason::Deleted => TicketError::Deleted,
            Reason::NotDeleted => TicketError::NotDeleted,
            Reason::Merged(target) => TicketError::Merged(target),
            Reason::NotResolved => TicketError::NotResolved,
            Reason::RatingFinal(until) => TicketError::RatingFinal(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use kernel::{Person, Role};

    use super::*;
    use crate::testing::build;

    fn admin() -> Actor {
        Actor::Person(Person {
            id: UserId(uuid::Uuid::from_u128(5)),
            role: Role::Admin,
            teams: Vec::new(),
            origin: None,
        })
    }

    fn judged(action: Action, ticket: &Ticket, relation: Relation, after: Duration) -> Option<Reason> {
        let actor = admin();
        let settings = Settings::default();
        let case = Case {
            actor: &actor,
            relation,
            ticket,
            now: ticket.created_at + after,
            settings: &settings,
        };
        action.judge(&case).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn every_action_has_a_name_of_its_own() {
        let mut names: Vec<_> = Action::ALL.map(Action::as_str).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Action::ALL.len());
    }

    #[test]
    fn the_right_is_missed_before_the_state() {
        let mut ticket = build::ticket().build();
        ticket.deleted_at = Some(ticket.created_at);
        let now = Duration::zero();
        assert_eq!(
            judged(Action::Transfer, &ticket, Relation::Requester, now),
            Some(Reason::Right)
        );
        assert_eq!(
            judged(Action::Transfer, &ticket, Relation::Agent, now),
            Some(Reason::Deleted)
        );
        assert_eq!(
            judged(Action::AddNote, &ticket, Relation::Requester, now),
            Some(Reason::Hidden)
        );
    }

    #[test]
    fn a_lead_restores_within_the_window_and_an_administrator_always() {
        let mut ticket = build::ticket().build();
        assert_eq!(
            judged(Action::Restore, &ticket, Relation::Lead, Duration::zero()),
            Some(Reason::NotDeleted)
        );
        ticket.deleted_at = Some(ticket.created_at);
        let (within, late) = (Duration::days(30), Duration::days(31));
        assert_eq!(judged(Action::Restore, &ticket, Relation::Lead, within), None);
        assert_eq!(
            judged(Action::Restore, &ticket, Relation::Lead, late),
            Some(Reason::Hidden)
        );
        assert_eq!(judged(Action::Restore, &ticket, Relation::Admin, late), None);
    }

    #[test]
    fn a_resolution_is_rated_by_who_asked_and_by_nobody_who_works_on_it() {
        use crate::machine::Standing;
        let mut ticket = build::ticket().build();
        let at = ticket.created_at;
        let now = Duration::hours(1);
        let rate = |ticket: &Ticket, relation, after| judged(Action::Rate, ticket, relation, after);
        assert_eq!(rate(&ticket, Relation::Requester, now), Some(Reason::NotResolved));
        ticket.standing = Standing::Resolved { at };
        assert_eq!(rate(&ticket, Relation::Requester, now), None);
        for relation in [
            Relation::None,
            Relation::Agent,
            Relation::Supervisor,
            Relation::Lead,
            Relation::Admin,
        ] {
            assert_eq!(rate(&ticket, relation, now), Some(Reason::Right), "{relation:?}");
        }
        ticket.merged_into = Some(TicketId(uuid::Uuid::from_u128(9)));
        assert!(matches!(
            rate(&ticket, Relation::Requester, now),
            Some(Reason::Merged(_))
        ));
        ticket.deleted_at = Some(at);
        assert_eq!(rate(&ticket, Relation::Requester, now), Some(Reason::Deleted));
    }

    #[test]
    fn being_in_a_status_already_is_no_refusal_but_becoming_it_is() {
        let ticket = build::ticket().build();
        let now = Duration::zero();
        let open = TicketStatus::Open;
        assert_eq!(
            judged(Action::SetStatus(open), &ticket, Relation::Requester, now),
            None
        );
        assert!(matches!(
            judged(Action::Reopen, &ticket, Relation::Requester, now),
            Some(Reason::Transition(_))
        ));
    }
}
