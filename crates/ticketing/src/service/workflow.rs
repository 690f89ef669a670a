//! The actions on a ticket: who answers it, which team has it, where it stands.

use events::TicketStatus;
use kernel::{Actor, TeamId, UserId, Violation};

use super::{Guard, Tickets, dangling};
use crate::bulk::undo::assigning;
use crate::draft::Draft;
use crate::error::TicketError;
use crate::machine::ClosedBy;
use crate::policy::Relation;
use crate::port::{AssigneeFacts, Reference};
use crate::ruling::Action;
use crate::service::view::Written;
use crate::ticket::{Audience, Ticket, TicketKey};
use crate::value::{Body, Remark};

impl Tickets {
    /// Takes an unassigned ticket for oneself. Of two at once one wins; claiming one's own ticket again changes
    /// nothing.
    ///
    /// # Errors
    /// [`TicketError::AlreadyClaimed`] when someone else has it.
    pub async fn claim(
        &self,
        actor: &Actor,
        key: &TicketKey,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        self.change(actor, key, guard, |draft| {
            draft.allow(Action::Claim)?;
            let claimer = actor
                .user_id()
                .ok_or(TicketError::Forbidden("claim this ticket"))?;
            draft.set_assignee(Some(claimer));
            Ok(())
        })
        .await
    }

    /// Gives a ticket to an agent of its team, whoever had it before.
    ///
    /// # Errors
    /// [`TicketError::Invalid`] when `assignee` is no active agent or works in another team.
    pub async fn assign(
        &self,
        actor: &Actor,
        key: &TicketKey,
        assignee: UserId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let load = move || async move {
            let (ticket, relation) = self.live(actor, key).await?;
            let facts = self.directory.assignee(assignee).await?;
            Ok((ticket, relation, facts))
        };
        self.settle(actor, guard, load, |draft, facts| {
            give_to(draft, actor, assignee, facts.as_ref(), "/agentId")
        })
        .await
    }

    /// Leaves a ticket without assignee. Nothing changes when it has none.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] when it is someone else's and the caller may not assign others.
    pub async fn unassign(
        &self,
        actor: &Actor,
        key: &TicketKey,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        self.change(actor, key, guard, |draft| {
            draft.allow(Action::Unassign)?;
            draft.set_assignee(None);
            Ok(())
        })
        .await
    }

    /// Hands a ticket to another team. An assignee who does not work there loses it; a note goes along for staff.
    ///
    /// # Errors
    /// [`TicketError::Invalid`] when the team does not exist.
    pub async fn transfer(
        &self,
        actor: &Actor,
        key: &TicketKey,
        team: TeamId,
        note: Option<&Body>,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let load = move || async move {
            // Rights come before any answer about the team.
            let (ticket, relation) = self.live(actor, key).await?;
            let team_exists = self.directory.team_exists(team).await?;
            let assignee = match ticket.assignee {
                Some(assignee) => self.directory.assignee(assignee).await?,
                None => None,
            };
            Ok((ticket, relation, (team_exists, assignee)))
        };
        self.settle(actor, guard, load, |draft, (team_exists, assignee)| {
            draft.allow(Action::Transfer)?;
            if !team_exists {
                return Err(dangling(Reference::Team).into());
            }
            hand_to(draft, Some(team), assignee.as_ref());
            if let (Some(note), Some(author)) = (note, actor.user_id()) {
                draft.add_note(author, note.clone(), &[]);
            }
            Ok(())
        })
        .await
    }

    /// Marks a ticket as resolved; the resolution is kept in its history, for staff.
    ///
    /// # Errors
    /// [`TicketError::Transition`] when it is resolved or closed.
    pub async fn resolve(
        &self,
        actor: &Actor,
        key: &TicketKey,
        resolution: Option<&Remark>,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let to = (Action::Resolve, TicketStatus::Resolved);
        self.move_to(actor, key, to, resolution, guard).await
    }

    /// Closes a ticket.
    ///
    /// # Errors
    /// [`TicketError::Transition`] when it is closed.
    pub async fn close(
        &self,
        actor: &Actor,
        key: &TicketKey,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let to = (Action::Close, TicketStatus::Closed);
        self.move_to(actor, key, to, None, guard).await
    }

    /// Opens a resolved or closed ticket again; the reason is kept in its history, for staff.
    ///
    /// # Errors
    /// [`TicketError::Transition`] when it is open, or was closed longer ago than the window.
    pub async fn reopen(
        &self,
        actor: &Actor,
        key: &TicketKey,
        reason: Option<&Remark>,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let to = (Action::Reopen, TicketStatus::Open);
        self.move_to(actor, key, to, reason, guard).await
    }

    async fn move_to(
        &self,
        actor: &Actor,
        key: &TicketKey,
        (action, to): (Action, TicketStatus),
        remark: Option<&Remark>,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let load = move || async move {
            let (ticket, relation) = self.live(actor, key).await?;
            let waits = self.waits(actor, &ticket, relation, to).await;
            Ok((ticket, relation, waits))
        };
        self.settle(actor, guard, load, |draft, waits| {
            draft.allow(action)?;
            waits?;
            draft.set_status(to, ClosedBy::Person, remark)
        })
        .await
    }

    /// Whether a ticket that staff want to resolve or close waits for others. Who asked for it may withdraw it at any time,
    /// and learns nothing of what it is linked to.
    pub(super) async fn waits(
        &self,
        actor: &Actor,
        ticket: &Ticket,
        relation: Relation,
        to: TicketStatus,
    ) -> Result<(), TicketError> {
        let ends = matches!(to, TicketStatus::Resolved | TicketStatus::Closed);
        if ends && relation.audience() == Some(Audience::Staff) {
            self.refuse_if_blocked(actor, ticket).await
        } else {
            Ok(())
        }
    }
}

/// Hands a ticket to a team, or to none. An assignee, of whom the directory says `facts`, loses it unless they can answer it there.
pub(super) fn hand_to(draft: &mut Draft<'_>, team: Option<TeamId>, facts: Option<&AssigneeFacts>) {
    if draft.ticket().team == team {
        return;
    }
    draft.set_team(team);
    if !facts.is_some_and(|facts| facts.works_on(draft.ticket())) {
        draft.set_assignee(None);
    }
}

/// Gives a ticket to someone of whom the directory says `facts`; `pointer` names the field that says whom.
pub(super) fn give_to(
    draft: &mut Draft<'_>,
    actor: &Actor,
    assignee: UserId,
    facts: Option<&AssigneeFacts>,
    pointer: &str,
) -> Result<(), TicketError> {
    draft.allow(assigning(actor, Some(assignee)))?;
    let facts = facts.ok_or_else(|| {
        let unknown = dangling(Reference::Assignee);
        Violation::new(pointer, unknown.code, unknown.message)
    })?;
    if !facts.works_on(draft.ticket()) {
        let message = "must be a member of the ticket's team";
        return Err(Violation::new(pointer, "not_in_team", message).into());
    }
    draft.set_assignee(Some(assignee));
    Ok(())
}
