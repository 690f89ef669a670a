//! Who may do what with a ticket: one function over (who, what, which row), used by every use case, so that it
//! holds without HTTP too.
//!
//! | | cc | requester | agent | supervisor | lead | admin |
//! |---|---|---|---|---|---|---|
//! | read, reply, close, reopen | yes | yes | yes | yes | yes | yes |
//! | rate | no | yes | no | no | no | no |
//! | edit subject, description, custom fields | until the first answer | the same | yes | yes | yes | yes |
//! | internal texts, notes, priority, other statuses, tags, transfer, links, merges | no | no | yes | yes | yes | yes |
//! | say who has part in it or follows it | no | no | yes | yes | yes | yes |
//! | assign to oneself, unassign oneself | no | no | yes | yes | yes | yes |
//! | assign others | no | no | by setting | yes | yes | yes |
//! | remove attachments from messages | no | no | no | yes | yes | yes |
//! | choose the SLA policy | no | no | no | no | yes | yes |
//! | delete, restore | no | no | no | no | yes | yes |
//! | metadata | no | no | no | no | no | yes |
//!
//! A ticket without a team is every agent's. Staff who asked for a ticket, or to whom it is copied, and who have no part
//! in its team are that and nothing more. To everyone else the ticket does not exist.

use events::TicketStatus;
use kernel::{Actor, Person, Role, TeamRole, UserId};

use crate::Settings;
use crate::ticket::{Audience, Ticket};

/// What someone is to a ticket. The order is the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Nothing: the ticket does not exist for them.
    None,
    /// It is copied to them: they have part in it beside its requester.
    Participant,
    /// They asked for it.
    Requester,
    /// They may work on it.
    Agent,
    /// They also hand out the team's work.
    Supervisor,
    /// They also manage the team.
    Lead,
    /// They run the desk, or are the server itself.
    Admin,
}

impl Relation {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Relation::None => "none",
            Relation::Participant => "participant",
            Relation::Requester => "requester",
            Relation::Agent => "agent",
            Relation::Supervisor => "supervisor",
            Relation::Lead => "lead",
            Relation::Admin => "admin",
        }
    }

    /// What `actor` is to `ticket`.
    #[must_use]
    pub fn of(actor: &Actor, ticket: &Ticket) -> Self {
        match actor {
            Actor::System(_) => Relation::Admin,
            Actor::Person(person) => Self::of_person(person, ticket),
        }
    }

    fn of_person(person: &Person, ticket: &Ticket) -> Self {
        let working = match person.role {
            Role::Admin => Relation::Admin,
            Role::Agent => {
                let rank = ticket.team.and_then(|team| person.rank_in(team));
                match rank {
                    Some(TeamRole::Lead) => Relation::Lead,
                    Some(TeamRole::Supervisor) => Relation::Supervisor,
                    Some(TeamRole::Agent) => Relation::Agent,
                    None if ticket.team.is_none() || ticket.assignee == Some(person.id) => Relation::Agent,
                    None => Relation::None,
                }
            }
            Role::User => Relation::None,
        };
        if working == Relation::None {
            Self::of_customer(person.id, ticket)
        } else {
            working
        }
    }

    /// What someone is to `ticket` who does not work on it.
    pub(crate) fn of_customer(user: UserId, ticket: &Ticket) -> Self {
        if ticket.requester == user {
            Relation::Requester
        } else if ticket.cc.contains(&user) {
            Relation::Participant
        } else {
            Relation::None
        }
    }

    /// What this relation may be shown; `None` hides the ticket.
    #[must_use]
    pub fn audience(self) -> Option<Audience> {
        match self {
            Relation::None => None,
            Relation::Participant | Relation::Requester => Some(Audience::Customer),
            Relation::Agent | Relation::Supervisor | Relation::Lead | Relation::Admin => {
                Some(Audience::Staff)
            }
        }
    }
}

/// Something that can be done with a ticket, as the decision needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read it.
    Read,
    /// Write what the customer reads.
    Reply,
    /// Say how content one is with its resolution.
    Rate,
    /// Write or read internal messages and notes.
    Internal,
    /// Change subject or description.
    EditText,
    /// Change custom fields.
    EditCustomFields,
    /// Change metadata.
    EditMetadata,
    /// Move to a status.
    SetStatus(TicketStatus),
    /// Change the priority.
    SetPriority,
    /// Change the tags.
    EditTags,
    /// Become its assignee.
    AssignSelf,
    /// Make someone else its assignee, or take it from someone else.
    AssignOther,
    /// Stop being its assignee.
    UnassignSelf,
    /// Hand it to another team.
    Transfer,
    /// Link it, merge it, move its messages: of both tickets.
    Join,
    /// Take attachments off its messages.
    RemoveAttachment,
    /// Put it under another SLA policy than the one that fits.
    SetSlaPolicy,
    /// Delete it.
    Delete,
    /// Restore it.
    Restore,
}

/// Whether `relation` may carry out `operation` on `ticket`. What of it may be read follows from
/// [`Relation::audience`].
#[must_use]
pub fn permits(relation: Relation, operation: Operation, ticket: &Ticket, settings: &Settings) -> bool {
    // Who works on a ticket does not rate that work, not even one's own ticket.
    let is_exact = operation == Operation::Rate;
    let needed = needed(operation, ticket, settings);
    relation == needed || (relation > needed && !is_exact)
}

/// The least that one must be to `ticket` to carry out `operation`, and the most for [`Operation::Rate`]: the table above.
#[must_use]
pub fn needed(operation: Operation, ticket: &Ticket, settings: &Settings) -> Relation {
    match operation {
        Operation::Rate => Relation::Requester,
        Operation::Read | Operation::Reply => Relation::Participant,
        Operation::EditText | Operation::EditCustomFields => {
            if ticket.first_response_at.is_none() {
                Relation::Participant
            } else {
                Relation::Agent
            }
        }
        Operation::SetStatus(TicketStatus::Closed | TicketStatus::Open) => Relation::Participant,
        Operation::SetStatus(TicketStatus::Pending | TicketStatus::Resolved) => Relation::Agent,
        Operation::Internal
        | Operation::SetPriority
        | Operation::EditTags
        | Operation::AssignSelf
        | Operation::UnassignSelf
        | Operation::Transfer
        | Operation::Join => Relation::Agent,
        Operation::AssignOther if settings.agents_assign_others => Relation::Agent,
        Operation::AssignOther | Operation::RemoveAttachment => Relation::Supervisor,
        Operation::SetSlaPolicy | Operation::Delete | Operation::Restore => Relation::Lead,
        Operation::EditMetadata => Relation::Admin,
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Membership, TeamId};
    use uuid::Uuid;

    use super::*;
    use crate::testing::build;

    fn team() -> TeamId {
        TeamId(Uuid::from_u128(77))
    }

    fn agent(role: Option<TeamRole>) -> Actor {
        let teams = role
            .map(|role| Membership { team: team(), role })
            .into_iter()
            .collect();
        Actor::Person(Person {
            id: UserId(Uuid::from_u128(8)),
            role: Role::Agent,
            teams,
            origin: None,
        })
    }

    #[test]
    fn an_agent_of_another_team_does_not_see_the_ticket() {
        let ticket = build::ticket().in_team(team()).build();
        assert_eq!(Relation::of(&agent(None), &ticket), Relation::None);
        assert_eq!(
            Relation::of(&agent(Some(TeamRole::Agent)), &ticket),
            Relation::Agent
        );
    }

    #[test]
    fn a_ticket_without_team_is_every_agents() {
        let ticket = build::ticket().build();
        assert_eq!(Relation::of(&agent(None), &ticket), Relation::Agent);
    }

    #[test]
    fn staff_who_asked_and_are_not_in_the_team_are_requesters() {
        let mut ticket = build::ticket().in_team(team()).build();
        ticket.requester = UserId(Uuid::from_u128(8));
        assert_eq!(Relation::of(&agent(None), &ticket), Relation::Requester);
    }

    #[test]
    fn a_membership_means_nothing_once_the_role_is_user() {
        let ticket = build::ticket().in_team(team()).build();
        let Actor::Person(mut person) = agent(Some(TeamRole::Lead)) else {
            unreachable!()
        };
        person.role = Role::User;
        assert_eq!(Relation::of(&Actor::Person(person), &ticket), Relation::None);
    }

    /// The table of the module's documentation, cell by cell.
    #[test]
    fn the_matrix_holds() {
        use Operation as O;
        use Relation as R;
        let relations = [
            R::None,
            R::Participant,
            R::Requester,
            R::Agent,
            R::Supervisor,
            R::Lead,
            R::Admin,
        ];
        let rows: [(O, [bool; 7]); 18] = [
            (O::Reply, [false, true, true, true, true, true, true]),
            (O::Rate, [false, false, true, false, false, false, false]),
            (O::EditText, [false, true, true, true, true, true, true]),
            (O::EditCustomFields, [false, true, true, true, true, true, true]),
            (
                O::SetStatus(TicketStatus::Closed),
                [false, true, true, true, true, true, true],
            ),
            (
                O::SetStatus(TicketStatus::Open),
                [false, true, true, true, true, true, true],
            ),
            (
                O::SetStatus(TicketStatus::Resolved),
                [false, false, false, true, true, true, true],
            ),
            (
                O::SetStatus(TicketStatus::Pending),
                [false, false, false, true, true, true, true],
            ),
            (O::Internal, [false, false, false, true, true, true, true]),
            (O::SetPriority, [false, false, false, true, true, true, true]),
            (O::AssignSelf, [false, false, false, true, true, true, true]),
            (O::AssignOther, [false, false, false, false, true, true, true]),
            (O::Transfer, [false, false, false, true, true, true, true]),
            (
                O::RemoveAttachment,
                [false, false, false, false, true, true, true],
            ),
            (O::SetSlaPolicy, [false, false, false, false, false, true, true]),
            (O::Delete, [false, false, false, false, false, true, true]),
            (O::Restore, [false, false, false, false, false, true, true]),
            (O::EditMetadata, [false, false, false, false, false, false, true]),
        ];
        let ticket = build::ticket().build();
        for (operation, expected) in rows {
            for (relation, expected) in relations.into_iter().zip(expected) {
                let permitted = permits(relation, operation, &ticket, &Settings::default());
                assert_eq!(permitted, expected, "{relation:?} {operation:?}");
            }
        }
    }

    #[test]
    fn whoever_it_is_copied_to_has_part_and_does_not_outrank_the_requester() {
        let mut ticket = build::ticket().in_team(team()).build();
        ticket.cc = vec![UserId(Uuid::from_u128(8))];
        assert_eq!(Relation::of(&agent(None), &ticket), Relation::Participant);
        assert_eq!(
            Relation::of(&agent(Some(TeamRole::Agent)), &ticket),
            Relation::Agent
        );
        ticket.requester = UserId(Uuid::from_u128(8));
        assert_eq!(Relation::of(&agent(None), &ticket), Relation::Requester);
    }

    #[test]
    fn the_requester_edits_only_until_the_first_answer() {
        let mut ticket = build::ticket().build();
        ticket.first_response_at = Some(ticket.created_at);
        let settings = Settings::default();
        assert!(!permits(
            Relation::Requester,
            Operation::EditText,
            &ticket,
            &settings
        ));
        assert!(permits(Relation::Agent, Operation::EditText, &ticket, &settings));
    }
}
