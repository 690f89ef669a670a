//! Writing and reading a ticket's messages, notes and history.

use kernel::{Actor, MessageId, Page, PageLimit, Position, UserId, Violation};

use super::{Guard, Tickets};
use crate::attachment::AttachmentId;
use crate::error::TicketError;
use crate::policy::Relation;
use crate::ruling::Action;
use crate::service::view::Written;
use crate::ticket::{Activity, Audience, Message, Note, TicketKey, Visibility};
use crate::value::Body;

/// A message to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The text.
    pub body: Body,
    /// Who may read it.
    pub visibility: Visibility,
    /// Uploads of the writer's to hang on it.
    pub attachments: Vec<AttachmentId>,
    /// Staff whom a text for staff alone calls, up to [`MENTIONS_MAX`](crate::MENTIONS_MAX).
    pub mentions: Vec<UserId>,
}

impl Tickets {
    /// Writes a message. Who the caller is decides what it does: see [`Relation`] and the crate's documentation.
    ///
    /// # Errors
    /// [`TicketError::Closed`] for a public message on a closed ticket, [`TicketError::Invalid`] for an internal one
    /// by the requester, for attachments that are no uploads of the writer's or hang on a message already, and for mentions in
    /// what the requester reads or of people who do not work on the ticket.
    pub async fn reply(
        &self,
        actor: &Actor,
        key: &TicketKey,
        reply: &Reply,
        guard: Guard<'_, Written<Message>>,
    ) -> Result<Written<Message>, TicketError> {
        let sender = actor.user_id().ok_or(TicketError::Forbidden("write messages"))?;
        let load = move || async move {
            let (ticket, relation) = self.live(actor, key).await?;
            // After the ticket: an upload that is hung on a message meanwhile makes the commit stale.
            let uploads = self.uploads(sender, &reply.attachments).await?;
            let mentioned = self.mentioned(&ticket, &reply.mentions).await?;
            Ok((ticket, relation, (uploads, mentioned)))
        };
        self.settle(actor, guard, load, |draft, (uploads, mentioned)| {
            draft.allow(match reply.visibility {
                Visibility::Internal => Action::MessageInternally,
                Visibility::Public => Action::Reply,
            })?;
            if reply.visibility == Visibility::Public && !reply.mentions.is_empty() {
                let message = "is for messages that are internal";
                return Err(Violation::new("/mentionIds", "not_allowed", message).into());
            }
            let (uploads, mentioned) = (uploads?, mentioned?);
            let message = draft.add_message(sender, reply.body.clone(), reply.visibility, &mentioned)?;
            Ok(draft.attach(message, &uploads))
        })
        .await
    }

    /// Changes the text of one's own message within the edit window; the old text stays in the history.
    ///
    /// # Errors
    /// [`TicketError::MessageNotFound`] for one the caller may not read, [`TicketError::Forbidden`] for someone
    /// else's, [`TicketError::EditWindowOver`] later.
    pub async fn edit_message(
        &self,
        actor: &Actor,
        key: &TicketKey,
        message: MessageId,
        body: &Body,
        guard: Guard<'_, Written<Message>>,
    ) -> Result<Written<Message>, TicketError> {
        let window = self.settings.message_edit_window;
        let load = move || async move {
            let (ticket, relation) = self.live(actor, key).await?;
            let found = self.store.message(ticket.id, message).await?;
            let found = found
                .filter(|found| readable(relation, found))
                .ok_or(TicketError::MessageNotFound)?;
            Ok((ticket, relation, found))
        };
        self.settle(actor, guard, load, |draft, found| {
            if actor.user_id() != Some(found.sender) {
                return Err(TicketError::Forbidden("edit someone else's message"));
            }
            if draft.now() - found.created_at > window {
                return Err(TicketError::EditWindowOver);
            }
            Ok(draft.edit_message(found, body.clone()))
        })
        .await
    }

    /// Adds a note for staff.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for the requester: notes do not exist for them. [`TicketError::Invalid`] for mentions of people
    /// who do not work on the ticket.
    pub async fn add_note(
        &self,
        actor: &Actor,
        key: &TicketKey,
        body: &Body,
        mentions: &[UserId],
        guard: Guard<'_, Written<Note>>,
    ) -> Result<Written<Note>, TicketError> {
        let author = actor.user_id().ok_or(TicketError::Forbidden("write notes"))?;
        let load = move || async move {
            let (ticket, relation) = self.live(actor, key).await?;
            let mentioned = self.mentioned(&ticket, mentions).await?;
            Ok((ticket, relation, mentioned))
        };
        self.settle(actor, guard, load, |draft, mentioned| {
            draft.allow(Action::AddNote)?;
            Ok(draft.add_note(author, body.clone(), &mentioned?))
        })
        .await
    }

    /// One page of the messages that the caller may read, oldest first.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for a ticket that the caller may not see.
    pub async fn messages(
        &self,
        actor: &Actor,
        key: &TicketKey,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Message>, TicketError> {
        let (ticket, relation) = self.shown(actor, key).await?;
        let audience = relation.audience().ok_or(TicketError::NotFound)?;
        Ok(self.store.messages(ticket.id, audience, after, limit).await?)
    }

    /// One message.
    ///
    /// # Errors
    /// [`TicketError::MessageNotFound`] for one the caller may not read.
    pub async fn message(
        &self,
        actor: &Actor,
        key: &TicketKey,
        message: MessageId,
    ) -> Result<Message, TicketError> {
        let (ticket, relation) = self.shown(actor, key).await?;
        let found = self.store.message(ticket.id, message).await?;
        found
            .filter(|found| readable(relation, found))
            .ok_or(TicketError::MessageNotFound)
    }

    /// One page of the notes, oldest first.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for the requester: notes do not exist for them.
    pub async fn notes(
        &self,
        actor: &Actor,
        key: &TicketKey,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Note>, TicketError> {
        let (ticket, relation) = self.shown(actor, key).await?;
        Action::ReadNotes.judge(&self.case(actor, relation, &ticket))?;
        Ok(self.store.notes(ticket.id, after, limit).await?)
    }

    /// One page of the history, oldest first; the requester gets the public kinds, without values of other fields.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for a ticket that the caller may not see.
    pub async fn activities(
        &self,
        actor: &Actor,
        key: &TicketKey,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<(Audience, Page<Activity>), TicketError> {
        let (ticket, relation) = self.shown(actor, key).await?;
        let audience = relation.audience().ok_or(TicketError::NotFound)?;
        Ok((
            audience,
            self.store.activities(ticket.id, audience, after, limit).await?,
        ))
    }
}

fn readable(relation: Relation, message: &Message) -> bool {
    reads(relation, message.visibility)
}

/// Whether one who is this to a ticket reads its messages of this visibility, and what hangs on them.
pub(super) fn reads(relation: Relation, visibility: Visibility) -> bool {
    match (relation.audience(), visibility) {
        (Some(Audience::Staff), _) | (Some(Audience::Customer), Visibility::Public) => true,
        (Some(Audience::Customer), Visibility::Internal) | (None, _) => false,
    }
}
