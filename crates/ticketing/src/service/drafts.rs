//! What someone began to write in a ticket and has not sent: kept on the server, so that it is there on the next machine.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use kernel::{Actor, PortError, TicketId, UserId, Violation};

use super::Tickets;
use crate::error::TicketError;
use crate::policy::Relation;
use crate::ticket::{Audience, TicketKey, Visibility};
use crate::value::Body;

/// How long a draft is kept that nobody touches.
pub const DRAFTS_KEPT: Duration = Duration::days(90);

/// A message in the making. One person has one in a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The ticket.
    pub ticket: TicketId,
    /// Whose it is; nobody else sees it.
    pub author: UserId,
    /// The text so far.
    pub body: Body,
    /// For whom it is to be.
    pub visibility: Visibility,
    /// When it was last saved.
    pub updated_at: DateTime<Utc>,
}

/// Keeps messages in the making. A message that is stored must take its author's one in the ticket away
/// ([`TicketCommit::messages`](crate::TicketCommit::messages)).
#[async_trait]
pub trait UnsentStore: Send + Sync {
    /// Someone's in a ticket.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn unsent(&self, ticket: TicketId, author: UserId) -> Result<Option<Unsent>, PortError>;

    /// Keeps one in the place of the one before.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn keep(&self, unsent: &Unsent) -> Result<(), PortError>;

    /// Throws someone's in a ticket away; gives whether there was one.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn discard(&self, ticket: TicketId, author: UserId) -> Result<bool, PortError>;

    /// Forgets up to `rows_max` that were last saved before `before`; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;
}

/// The use cases of messages in the making.
pub struct Drafts {
    store: Arc<dyn UnsentStore>,
    tickets: Arc<Tickets>,
}

impl Drafts {
    /// Those of this store, in these tickets.
    #[must_use]
    pub fn new(store: Arc<dyn UnsentStore>, tickets: Arc<Tickets>) -> Self {
        Self { store, tickets }
    }

    /// One's own in a ticket.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for a ticket that the caller does not see, [`TicketError::NoDraft`] where there is none.
    pub async fn show(&self, actor: &Actor, key: &TicketKey) -> Result<Unsent, TicketError> {
        let (ticket, author, relation) = self.place(actor, key).await?;
        let found = self.store.unsent(ticket, author).await?;
        // Whoever was staff when they wrote it has no internal text any more.
        found
            .filter(|unsent| {
                unsent.visibility == Visibility::Public || relation.audience() == Some(Audience::Staff)
            })
            .ok_or(TicketError::NoDraft)
    }

    /// Keeps what one wrote so far, in the place of what was there.
    ///
    /// # Errors
    /// As for [`Drafts::show`]; [`TicketError::Invalid`] for internal text by the requester.
    pub async fn keep(
        &self,
        actor: &Actor,
        key: &TicketKey,
        body: &Body,
        visibility: Visibility,
    ) -> Result<Unsent, TicketError> {
        let (ticket, author, relation) = self.place(actor, key).await?;
        if visibility == Visibility::Internal && relation.audience() != Some(Audience::Staff) {
            let message = "is for staff who work on the ticket";
            return Err(Violation::new("/isInternal", "not_allowed", message).into());
        }
        let unsent = Unsent {
            ticket,
            author,
            body: body.clone(),
            visibility,
            updated_at: self.tickets.clock.now(),
        };
        self.store.keep(&unsent).await?;
        Ok(unsent)
    }

    /// Throws one's own away.
    ///
    /// # Errors
    /// As for [`Drafts::show`].
    pub async fn discard(&self, actor: &Actor, key: &TicketKey) -> Result<(), TicketError> {
        let (ticket, author, _) = self.place(actor, key).await?;
        if self.store.discard(ticket, author).await? {
            Ok(())
        } else {
            Err(TicketError::NoDraft)
        }
    }

    /// Forgets those that nobody touched for [`DRAFTS_KEPT`], up to `rows_max`; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn forget(&self, rows_max: i64) -> Result<u64, PortError> {
        let before = self.tickets.clock.now() - DRAFTS_KEPT;
        self.store.forget(before, rows_max).await
    }

    /// Where, whose, and what they are to the ticket.
    async fn place(
        &self,
        actor: &Actor,
        key: &TicketKey,
    ) -> Result<(TicketId, UserId, Relation), TicketError> {
        let author = actor.user_id().ok_or(TicketError::Forbidden("write messages"))?;
        let (ticket, relation) = self.tickets.shown(actor, key).await?;
        Ok((ticket.id, author, relation))
    }
}
