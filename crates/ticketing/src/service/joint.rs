//! What concerns two tickets at once: links, merges, and messages that go from one to the other. The rights of both are
//! asked for, and a ticket that the caller does not see is answered like one that does not exist.

use events::TicketStatus;
use kernel::{Actor, MessageId, TicketId, Violation, Violations};

use super::{Guard, STALE_TRIES_MAX, Tickets, refused};
use crate::draft::Draft;
use crate::error::TicketError;
use crate::joint::{
    JointCommit, JointError, Later, Link, LinkKind, LinkWrite, LinkedTicket, Merge, MergeId, MergeWrite, Move,
};
use crate::machine::Standing;
use crate::policy::Relation;
use crate::port::{CommitError, TicketCommit};
use crate::ruling::Action;
use crate::service::view::{TicketView, Written};
use crate::ticket::{Audience, Face, Message, Ticket, TicketKey};
use crate::value::{Body, Description, Subject};

/// The most messages that are split off at once.
pub const SPLIT_MAX_MESSAGES: usize = 100;

/// Two tickets that a use case has loaded.
struct Pair {
    /// The ticket that the caller named first, which the answer shows.
    this: (Ticket, Relation),
    /// The other one.
    other: (Ticket, Relation),
}

/// What a decision about two drafts makes durable besides them.
#[derive(Default)]
struct Besides {
    moves: Vec<Move>,
    link: Option<LinkWrite>,
    merge: Option<MergeWrite>,
}

impl Tickets {
    /// The tickets that a ticket is linked to, as far as the caller sees them, and what this one is to each.
    ///
    /// # Errors
    /// [`TicketError::NotFound`] for a customer's eyes: links are for staff.
    pub async fn links(
        &self,
        actor: &Actor,
        key: &TicketKey,
    ) -> Result<Vec<(LinkKind, LinkedTicket)>, TicketError> {
        let (ticket, relation) = self.shown(actor, key).await?;
        if relation.audience() != Some(Audience::Staff) {
            return Err(TicketError::NotFound);
        }
        let linked = self.store.links(ticket.id).await?;
        let seen = linked.into_iter().filter(|linked| is_seen(actor, &linked.other));
        Ok(seen
            .map(|linked| (linked.link.seen_from(ticket.id).0, linked))
            .collect())
    }

    /// Says that a ticket is `kind` to another one.
    ///
    /// # Errors
    /// [`TicketError::LinkExists`], [`TicketError::LinkCycle`], [`TicketError::SecondParent`],
    /// [`TicketError::TooManyLinks`]; [`TicketError::Invalid`] when the caller does not see the other ticket or it is the
    /// same.
    pub async fn link(
        &self,
        actor: &Actor,
        key: &TicketKey,
        kind: LinkKind,
        other: TicketId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let decide = |this: &mut Draft<'_>, that: &mut Draft<'_>| {
            this.allow(Action::Link)?;
            that.allow(Action::Link)?;
            let (one, two) = (this.ticket().clone(), that.ticket().clone());
            this.link(kind, &two);
            that.link(kind.opposite(), &one);
            let link = Link::new(one.id, kind, two.id, actor.user_id(), this.now());
            Ok(Besides {
                link: Some(LinkWrite::Add(link)),
                ..Besides::default()
            })
        };
        self.together(actor, key, ("/ticketId", other), guard, decide)
            .await
    }

    /// Takes a link away.
    ///
    /// # Errors
    /// [`TicketError::LinkNotFound`] when they are not linked so; otherwise as [`Tickets::link`].
    pub async fn unlink(
        &self,
        actor: &Actor,
        key: &TicketKey,
        kind: LinkKind,
        other: TicketId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        for _ in 0..STALE_TRIES_MAX {
            let pair = self.pair(actor, key, ("/ticketId", other)).await?;
            let present = self.store.links(pair.this.0.id).await?;
            let decide = |this: &mut Draft<'_>, that: &mut Draft<'_>| {
                this.allow(Action::Link)?;
                that.allow(Action::Link)?;
                let (one, two) = (this.ticket().clone(), that.ticket().clone());
                let link = Link::new(one.id, kind, two.id, None, this.now());
                if !present.iter().any(|linked| linked.link.is_same(&link)) {
                    return Err(TicketError::LinkNotFound);
                }
                this.unlink(kind, &two);
                that.unlink(kind.opposite(), &one);
                Ok(Besides {
                    link: Some(LinkWrite::Remove(link)),
                    ..Besides::default()
                })
            };
            if let Some(written) = self.attempt_together(actor, pair, guard, decide).await? {
                return Ok(written);
            }
        }
        Err(TicketError::Stale { current: None })
    }

    /// Refuses where the ticket waits for others that are neither resolved nor closed.
    pub(super) async fn refuse_if_blocked(&self, actor: &Actor, ticket: &Ticket) -> Result<(), TicketError> {
        let is_done =
            |ticket: &Ticket| matches!(ticket.status(), TicketStatus::Resolved | TicketStatus::Closed);
        if is_done(ticket) {
            return Ok(());
        }
        let blockers: Vec<_> = self
            .store
            .links(ticket.id)
            .await?
            .into_iter()
            .filter(|linked| linked.link.kind == LinkKind::Blocks && linked.link.to == ticket.id)
            .filter(|linked| linked.other.deleted_at.is_none() && !is_done(&linked.other))
            .collect();
        if blockers.is_empty() {
            return Ok(());
        }
        let seen = blockers.iter().filter(|linked| is_seen(actor, &linked.other));
        Err(TicketError::Blocked {
            by: seen
                .map(|linked| linked.other.number.as_str().to_owned())
                .collect(),
        })
    }

    /// Merges another ticket into one: its conversation goes over, its description becomes a message, its tags are added as
    /// far as there is room, and it is closed and answers from then on by where it went. A note goes along for staff.
    ///
    /// # Errors
    /// [`TicketError::RequestersDiffer`]; [`TicketError::Closed`] when the one that takes is closed;
    /// [`TicketError::Merged`] when one of them was merged; [`TicketError::Invalid`] when the caller does not see the other.
    pub async fn merge(
        &self,
        actor: &Actor,
        key: &TicketKey,
        source: TicketId,
        note: Option<&Body>,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        let decide = |target: &mut Draft<'_>, source: &mut Draft<'_>| {
            target.allow(Action::Merge)?;
            source.allow(Action::Merge)?;
            let (into, from) = (target.ticket().clone(), source.ticket().clone());
            if into.requester != from.requester {
                return Err(TicketError::RequestersDiffer);
            }
            if into.status() == TicketStatus::Closed {
                return Err(TicketError::Closed);
            }
            let (description_message, tags_added) = target.take_in(&from);
            source.go_into(&into)?;
            if let (Some(note), Some(author)) = (note, actor.user_id()) {
                target.add_note(author, note.clone(), &[]);
            }
            let merge = Merge {
                id: MergeId::new(self.ids.as_ref()),
                target: into.id,
                source: from.id,
                description_message,
                source_standing: from.standing,
                tags_added,
                gave_first_response: into.first_response_at.is_none() && from.first_response_at.is_some(),
                by: actor.user_id(),
                at: target.now(),
            };
            Ok(Besides {
                merge: Some(MergeWrite::Begin(merge)),
                ..Besides::default()
            })
        };
        self.together(actor, key, ("/sourceTicketId", source), guard, decide)
            .await
    }

    /// Undoes a merge: the source is again what it was, with what it brought as far as that still lies in the target, and
    /// the target is without it. What was written since goes where `later` says; other changes since stay.
    ///
    /// # Errors
    /// [`TicketError::NotMerged`] when the source is not merged into it.
    pub async fn unmerge(
        &self,
        actor: &Actor,
        key: &TicketKey,
        source: TicketId,
        later: Later,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        for _ in 0..STALE_TRIES_MAX {
            let pair = self.pair(actor, key, ("/sourceTicketId", source)).await?;
            let facts = self.store.merge_of(pair.other.0.id).await?;
            let decide = |target: &mut Draft<'_>, source: &mut Draft<'_>| {
                target.allow(Action::Merge)?;
                source.require(Action::Merge)?;
                let (into, from) = (target.ticket().clone(), source.ticket().clone());
                let facts = facts
                    .filter(|facts| facts.merge.target == into.id && from.merged_into == Some(into.id))
                    .ok_or(TicketError::NotMerged)?;
                let (left, back) = match later {
                    Later::Target => (facts.rest.and(facts.later), facts.moved),
                    Later::Source => (facts.rest, facts.moved.and(facts.later)),
                };
                target.give_back(&facts.merge, &from, left);
                source.come_back(&facts.merge, &into, back);
                let end = MergeWrite::End {
                    merge: Box::new(facts.merge),
                    later,
                    at: target.now(),
                };
                Ok(Besides {
                    merge: Some(end),
                    ..Besides::default()
                })
            };
            if let Some(written) = self.attempt_together(actor, pair, guard, decide).await? {
                return Ok(written);
            }
        }
        Err(TicketError::Stale { current: None })
    }

    /// Moves a message to another ticket.
    ///
    /// # Errors
    /// [`TicketError::MessageNotFound`] when it is not in this ticket; [`TicketError::Closed`] when the other one is closed;
    /// [`TicketError::Invalid`] when the caller does not see the other.
    pub async fn move_message(
        &self,
        actor: &Actor,
        key: &TicketKey,
        message: MessageId,
        to: TicketId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        for _ in 0..STALE_TRIES_MAX {
            let pair = self.pair(actor, key, ("/ticketId", to)).await?;
            let found = self.store.message(pair.this.0.id, message).await?;
            let left = self.store.tally(pair.this.0.id, &[message]).await?;
            let decide = |this: &mut Draft<'_>, that: &mut Draft<'_>| {
                this.allow(Action::MoveMessage)?;
                that.allow(Action::MoveMessage)?;
                let found = found.ok_or(TicketError::MessageNotFound)?;
                let (from, to) = (this.ticket().clone(), that.ticket().clone());
                if to.status() == TicketStatus::Closed {
                    return Err(TicketError::Closed);
                }
                this.lose(&found, &to, left);
                that.gain(&found, &from);
                Ok(Besides {
                    moves: vec![Move {
                        messages: vec![message],
                        from: from.id,
                        to: to.id,
                    }],
                    ..Besides::default()
                })
            };
            if let Some(written) = self.attempt_together(actor, pair, guard, decide).await? {
                return Ok(written);
            }
        }
        Err(TicketError::Stale { current: None })
    }

    /// Splits messages off into a new ticket of the same requester, beside the old one in all but its subject, and links the
    /// two. Gives the new one.
    ///
    /// # Errors
    /// [`TicketError::Invalid`] for messages that are not in the ticket, none, or more than [`SPLIT_MAX_MESSAGES`].
    pub async fn split(
        &self,
        actor: &Actor,
        key: &TicketKey,
        messages: &[MessageId],
        subject: &Subject,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        for _ in 0..STALE_TRIES_MAX {
            let (ticket, relation) = self.live(actor, key).await?;
            let found = self.store.messages_among(ticket.id, messages).await?;
            let left = self.store.tally(ticket.id, messages).await?;
            let number = self.store.next_number().await?;
            let audience = relation.audience().ok_or(TicketError::NotFound)?;
            let current = ticket.face(audience).version;
            if guard.expected.is_some_and(|expected| expected != current) {
                return Err(TicketError::Stale {
                    current: Some(current),
                });
            }
            let circumstances = self.circumstances(actor);
            let mut old = Draft::change(&circumstances, ticket);
            old.allow(Action::MoveMessage)?;
            refuse_unfit(messages, &found)?;
            let origin = old.ticket().clone();
            let now = circumstances.now;
            let mut new = Draft::create(
                &circumstances,
                Ticket {
                    id: TicketId::new(self.ids.as_ref()),
                    number,
                    subject: subject.clone(),
                    description: Description::stored(format!("Split off from {}.", origin.number.as_str())),
                    standing: Standing::Open,
                    sla_policy: None,
                    first_response_at: None,
                    sla_due_at: None,
                    sla_breached: false,
                    satisfaction: None,
                    // What programs know of the old ticket, such as its id elsewhere, is not true of this one.
                    metadata: serde_json::Map::new(),
                    created_at: now,
                    staff_face: Face::new(now),
                    public_face: Face::new(now),
                    ..origin.clone()
                },
            );
            let split_off = new.ticket().clone();
            for message in &found {
                old.lose(message, &split_off, left);
                new.gain(message, &origin);
            }
            old.link(LinkKind::Relates, &split_off);
            new.link(LinkKind::Relates, &origin);
            let link = Link::new(origin.id, LinkKind::Relates, split_off.id, actor.user_id(), now);
            let (mut old, mut left_behind) = old.finish();
            let (mut new, mut made) = new.finish();
            self.let_clocks_follow(&mut old, &mut left_behind, &circumstances)
                .await?;
            self.let_clocks_follow(&mut new, &mut made, &circumstances)
                .await?;
            let view = TicketView::new(made, relation, actor, now, &self.settings);
            let written = Written { view, detail: () };
            let commit = JointCommit {
                parts: vec![old, new],
                moves: vec![Move {
                    messages: messages.to_vec(),
                    from: origin.id,
                    to: split_off.id,
                }],
                link: Some(LinkWrite::Add(link)),
                merge: None,
                receipt: (guard.receipt)(&written),
            };
            match self.store.commit_together(commit).await {
                Ok(()) => return Ok(written),
                Err(JointError::Commit(CommitError::NumberTaken)) => {}
                Err(JointError::Commit(error)) if self.is_overtaken(&error) => {}
                Err(error) => return Err(refused_together(error)),
            }
        }
        Err(TicketError::Stale { current: None })
    }

    /// Loads two tickets that the actor sees and that are live.
    async fn pair(
        &self,
        actor: &Actor,
        key: &TicketKey,
        (pointer, other): (&'static str, TicketId),
    ) -> Result<Pair, TicketError> {
        let this = self.live(actor, key).await?;
        if this.0.id == other {
            return Err(Violation::new(pointer, "same_ticket", "must be another ticket").into());
        }
        let other = match self.live(actor, &TicketKey::Id(other)).await {
            Err(TicketError::NotFound | TicketError::Deleted) => {
                return Err(Violation::new(pointer, "unknown", "the ticket does not exist").into());
            }
            found => found?,
        };
        Ok(Pair { this, other })
    }

    /// Changes two tickets by one decision that needs nothing but them.
    async fn together<D>(
        &self,
        actor: &Actor,
        key: &TicketKey,
        other: (&'static str, TicketId),
        guard: Guard<'_, Written<()>>,
        decide: D,
    ) -> Result<Written<()>, TicketError>
    where
        D: Fn(&mut Draft<'_>, &mut Draft<'_>) -> Result<Besides, TicketError> + Send + Sync,
    {
        for _ in 0..STALE_TRIES_MAX {
            let pair = self.pair(actor, key, other).await?;
            if let Some(written) = self.attempt_together(actor, pair, guard, &decide).await? {
                return Ok(written);
            }
        }
        Err(TicketError::Stale { current: None })
    }

    /// Decides and commits once, on two tickets as they were loaded; `None` when somebody else was faster.
    async fn attempt_together<D>(
        &self,
        actor: &Actor,
        Pair { this, other }: Pair,
        guard: Guard<'_, Written<()>>,
        decide: D,
    ) -> Result<Option<Written<()>>, TicketError>
    where
        D: FnOnce(&mut Draft<'_>, &mut Draft<'_>) -> Result<Besides, TicketError> + Send,
    {
        let (this, relation) = this;
        let audience = relation.audience().ok_or(TicketError::NotFound)?;
        let current = this.face(audience).version;
        if guard.expected.is_some_and(|expected| expected != current) {
            return Err(TicketError::Stale {
                current: Some(current),
            });
        }
        let circumstances = self.circumstances(actor);
        let mut first = Draft::change(&circumstances, this);
        let mut second = Draft::change(&circumstances, other.0);
        let Besides { moves, link, merge } = decide(&mut first, &mut second)?;
        let (mut first, mut this): (TicketCommit, Ticket) = first.finish();
        let (mut second, mut that) = second.finish();
        self.let_clocks_follow(&mut first, &mut this, &circumstances)
            .await?;
        self.let_clocks_follow(&mut second, &mut that, &circumstances)
            .await?;
        let view = TicketView::new(this, relation, actor, circumstances.now, &self.settings);
        let written = Written { view, detail: () };
        let commit = JointCommit {
            parts: vec![first, second],
            moves,
            link,
            merge,
            receipt: (guard.receipt)(&written),
        };
        match self.store.commit_together(commit).await {
            Ok(()) => Ok(Some(written)),
            Err(JointError::Commit(error)) if self.is_overtaken(&error) => Ok(None),
            Err(error) => Err(refused_together(error)),
        }
    }
}

/// Gives a refused commit its meaning.
fn refused_together(error: JointError) -> TicketError {
    match error {
        JointError::Commit(error) => refused(error),
        JointError::Cycle => TicketError::LinkCycle,
        JointError::LinkExists => TicketError::LinkExists,
        JointError::SecondParent => TicketError::SecondParent,
        JointError::TooManyLinks => TicketError::TooManyLinks,
    }
}

/// All that is wrong with the messages to split off, by their places.
fn refuse_unfit(wanted: &[MessageId], found: &[Message]) -> Result<(), Violations> {
    let mut faults = Violations::new();
    if wanted.is_empty() {
        faults.push(Violation::new(
            "/messageIds",
            "too_few",
            "must name at least one message",
        ));
    }
    if wanted.len() > SPLIT_MAX_MESSAGES {
        let message = format!(
            "must name at most {SPLIT_MAX_MESSAGES} messages, names {}",
            wanted.len()
        );
        faults.push(Violation::new("/messageIds", "too_many", message));
        return faults.into_result();
    }
    for (index, id) in wanted.iter().enumerate() {
        let pointer = format!("/messageIds/{index}");
        if wanted.iter().take(index).any(|before| before == id) {
            faults.push(Violation::new(pointer, "repeated", "must be named once"));
        } else if found.iter().all(|message| message.id != *id) {
            faults.push(Violation::new(pointer, "unknown", "is no message of this ticket"));
        }
    }
    faults.into_result()
}

/// Whether someone who works with tickets may know of this one.
fn is_seen(actor: &Actor, ticket: &Ticket) -> bool {
    ticket.deleted_at.is_none() && Relation::of(actor, ticket) != Relation::None
}
