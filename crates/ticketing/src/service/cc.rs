//! Who has part in a ticket beside its requester: those to whom it is copied, as mails are.

use kernel::{Actor, UserId, Violation};

use super::{Guard, Tickets};
use crate::error::TicketError;
use crate::port::PersonCard;
use crate::ruling::Action;
use crate::service::view::Written;
use crate::ticket::{Audience, TicketKey};

impl Tickets {
    /// Gives someone part in the ticket: they read and write in it as its requester does, and are told of replies.
    /// Nothing changes for its requester, and where they have part already.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] for customers, [`TicketError::Invalid`] for people who cannot ask for tickets,
    /// [`TicketError::TooManyCopies`].
    pub async fn copy_to(
        &self,
        actor: &Actor,
        key: &TicketKey,
        user: UserId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let load = move || async move {
            let (ticket, relation) = self.live(actor, key).await?;
            let asks = self.directory.is_requester(user).await?;
            Ok((ticket, relation, asks))
        };
        self.settle(actor, guard, load, |draft, asks| {
            draft.allow(Action::Copy)?;
            if !asks {
                let message = "must be a person with an active account";
                return Err(Violation::new("/userId", "unknown", message).into());
            }
            draft.copy_to(user)
        })
        .await
    }

    /// Takes someone's part in the ticket away. Nothing changes where they had none; its requester stays.
    ///
    /// # Errors
    /// [`TicketError::Forbidden`] for customers.
    pub async fn stop_copying_to(
        &self,
        actor: &Actor,
        key: &TicketKey,
        user: UserId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        self.change(actor, key, guard, |draft| {
            draft.allow(Action::Copy)?;
            draft.stop_copying_to(user);
            Ok(())
        })
        .await
    }

    /// Those to whom the ticket is copied, in the order in which they came, for whom it is shown to.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for all who do not see the ticket.
    pub async fn copied_to(
        &self,
        actor: &Actor,
        key: &TicketKey,
    ) -> Result<(Vec<PersonCard>, Audience), TicketError> {
        let (ticket, relation) = self.shown(actor, key).await?;
        let audience = relation.audience().ok_or(TicketError::NotFound)?;
        let mut people = self.people(ticket.cc.clone()).await?;
        people.sort_by_key(|card| ticket.cc.iter().position(|user| *user == card.id));
        Ok((people, audience))
    }
}
