//! Who is told of what happens in a ticket besides those whose it is: followers, and whoever a text for staff calls.

use kernel::{Actor, UserId, Violation, Violations};

use super::{Guard, Tickets};
use crate::error::TicketError;
use crate::port::{AssigneeFacts, PersonCard};
use crate::ruling::Action;
use crate::service::view::Written;
use crate::ticket::{MENTIONS_MAX, Ticket, TicketKey};

impl Tickets {
    /// Makes someone who works on the ticket its follower. Nothing changes where they are.
    ///
    /// # Errors
    /// [`TicketError::Invalid`] for people who do not work on it, [`TicketError::TooManyFollowers`].
    pub async fn follow(
        &self,
        actor: &Actor,
        key: &TicketKey,
        user: UserId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let load = move || async move {
            let (ticket, relation) = self.live(actor, key).await?;
            let works = works_on(&self.directory.assignees(&[user]).await?, user, &ticket);
            Ok((ticket, relation, works))
        };
        self.settle(actor, guard, load, |draft, works| {
            draft.allow(Action::Follow)?;
            if !works {
                return Err(not_working("/userId".to_owned()).into());
            }
            draft.follow(user)
        })
        .await
    }

    /// Makes someone no follower of the ticket any more. Nothing changes where they are none.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] for customers.
    pub async fn unfollow(
        &self,
        actor: &Actor,
        key: &TicketKey,
        user: UserId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        self.change(actor, key, guard, |draft| {
            draft.allow(Action::Follow)?;
            draft.unfollow(user);
            Ok(())
        })
        .await
    }

    /// The ticket's followers, in the order in which they came.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for all who do not work on the ticket.
    pub async fn followers(&self, actor: &Actor, key: &TicketKey) -> Result<Vec<PersonCard>, TicketError> {
        let (ticket, relation) = self.shown(actor, key).await?;
        Action::ReadNotes.judge(&self.case(actor, relation, &ticket))?;
        let mut people = self.people(ticket.followers.clone()).await?;
        people.sort_by_key(|card| ticket.followers.iter().position(|user| *user == card.id));
        Ok(people)
    }

    /// Those whom a text in the ticket calls, each once, or which of them it cannot call.
    pub(super) async fn mentioned(
        &self,
        ticket: &Ticket,
        mentions: &[UserId],
    ) -> Result<Result<Vec<UserId>, TicketError>, TicketError> {
        if mentions.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        if mentions.len() > MENTIONS_MAX {
            let message = format!("must have at most {MENTIONS_MAX} people");
            return Ok(Err(Violation::new("/mentionIds", "too_many", message).into()));
        }
        let known = self.directory.assignees(mentions).await?;
        let mut faults = Violations::new();
        let mut called: Vec<UserId> = Vec::new();
        for (index, user) in mentions.iter().enumerate() {
            if !works_on(&known, *user, ticket) {
                faults.push(not_working(format!("/mentionIds/{index}")));
            } else if !called.contains(user) {
                called.push(*user);
            }
        }
        Ok(faults.into_result().map(|()| called).map_err(TicketError::from))
    }
}

fn works_on(known: &[(UserId, AssigneeFacts)], user: UserId, ticket: &Ticket) -> bool {
    known
        .iter()
        .any(|(id, facts)| *id == user && (facts.works_on(ticket) || ticket.assignee == Some(user)))
}

/// The same for people who are unknown and who work elsewhere: who asks may not know of either.
fn not_working(pointer: String) -> Violation {
    Violation::new(
        pointer,
        "unknown",
        "must be an active agent who works on the ticket",
    )
}
