//! A change while it is decided: the ticket as it is to be, together with every trace that the change must leave.
//!
//! Use cases call the methods here and never touch a ticket's fields themselves, so that no change can go without
//! its activity and its event. To add a kind of change, add a method that does all three.

use chrono::{DateTime, Utc};
use events::{Event, Fact, TicketFact, TicketPriority, TicketStatus};
use kernel::{Actor, IdSource, MessageId, TeamId, TicketId, UserId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::Settings;
use crate::attachment::{Attachment, AttachmentId, urls};
use crate::error::TicketError;
use crate::joint::{Counted, LinkKind, Merge, Tally};
use crate::machine::{ClosedBy, Standing};
use crate::policy::{Operation, Relation, permits};
use crate::port::{Markup, TicketCommit, TicketWrite};
use crate::ruling::{Action, Case};
use crate::satisfaction::{Due, NotDue, Rating, Satisfaction, due};
use crate::ticket::{
    Activity, ActivityId, Audience, CC_MAX, FOLLOWERS_MAX, Face, Message, Note, NoteId, Ticket, Visibility,
    action,
};
use crate::value::{Body, CustomFields, Description, Remark, Subject, Tags};

/// What a decision may consult: who acts, when, and by which rules.
pub(crate) struct Circumstances<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) now: DateTime<Utc>,
    pub(crate) ids: &'a dyn IdSource,
    pub(crate) settings: &'a Settings,
    pub(crate) markup: &'a dyn Markup,
}

/// Who notices a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Notice {
    Staff,
    Everyone,
}

/// How a requester came to rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RatingWay {
    /// As the one who is signed in.
    SignedIn,
    /// By the link of a mail.
    Link,
}

/// A ticket in the middle of a change.
pub(crate) struct Draft<'a> {
    circumstances: &'a Circumstances<'a>,
    before: Option<Ticket>,
    ticket: Ticket,
    relation: Relation,
    notice: Option<Notice>,
    messages: Vec<Message>,
    edited_messages: Vec<Message>,
    removed_attachments: Vec<AttachmentId>,
    notes: Vec<Note>,
    activities: Vec<Activity>,
    facts: Vec<TicketFact>,
    assigns: Option<UserId>,
}

fn set(face: &mut Face, counted: Counted) {
    face.message_count = counted.messages;
    face.last_message_at = counted.last;
}

fn add(face: &mut Face, counted: Counted) {
    let present = Counted {
        messages: face.message_count,
        last: face.last_message_at,
    };
    set(face, present.and(counted));
}

/// What each custom field that changed was before, by its full name.
fn changed_members(old: &Value, new: &Value) -> Map<String, Value> {
    let none = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&none), new.as_object().unwrap_or(&none));
    let names = old
        .keys()
        .chain(new.keys().filter(|name| !old.contains_key(*name)));
    let changed = names.filter(|name| old.get(*name) != new.get(*name));
    changed
        .map(|name| {
            let before = old.get(name).cloned().unwrap_or(Value::Null);
            (format!("customFields.{name}"), before)
        })
        .collect()
}

impl<'a> Draft<'a> {
    /// Begins to change a ticket that exists.
    pub(crate) fn change(circumstances: &'a Circumstances<'a>, ticket: Ticket) -> Self {
        let relation = Relation::of(circumstances.actor, &ticket);
        Self::new(circumstances, Some(ticket.clone()), ticket, relation)
    }

    /// Begins with a ticket that is new.
    pub(crate) fn create(circumstances: &'a Circumstances<'a>, ticket: Ticket) -> Self {
        let relation = Relation::of(circumstances.actor, &ticket);
        let mut draft = Self::new(circumstances, None, ticket, relation);
        let value = json!({
            "subject": draft.ticket.subject.as_str(),
            "priority": draft.ticket.priority,
            "status": draft.ticket.status(),
            "channel": draft.ticket.channel,
        });
        draft.trace(Notice::Everyone, action::CREATED, None, Some(value), json!({}));
        draft.facts.push(TicketFact::Created {});
        draft
    }

    fn new(
        circumstances: &'a Circumstances<'a>,
        before: Option<Ticket>,
        ticket: Ticket,
        relation: Relation,
    ) -> Self {
        Self {
            circumstances,
            before,
            ticket,
            relation,
            notice: None,
            messages: Vec::new(),
            edited_messages: Vec::new(),
            removed_attachments: Vec::new(),
            notes: Vec::new(),
            activities: Vec::new(),
            facts: Vec::new(),
            assigns: None,
        }
    }

    /// The ticket as decided so far.
    pub(crate) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// What the actor is to the ticket.
    pub(crate) fn relation(&self) -> Relation {
        self.relation
    }

    /// The time of the decision.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.circumstances.now
    }

    /// The ticket as it was, to be judged by: a change cannot grant the next one.
    fn case(&self) -> Case<'_> {
        Case {
            actor: self.circumstances.actor,
            relation: self.relation,
            ticket: self.before.as_ref().unwrap_or(&self.ticket),
            now: self.circumstances.now,
            settings: self.circumstances.settings,
        }
    }

    /// Refuses unless the actor has the right to the action and the ticket is in a state for it.
    pub(crate) fn allow(&self, action: Action) -> Result<(), TicketError> {
        Ok(action.judge(&self.case())?)
    }

    /// Refuses unless the actor has the right to the action, whatever state the ticket is in.
    pub(crate) fn require(&self, action: Action) -> Result<(), TicketError> {
        Ok(action.right(&self.case())?)
    }

    /// Refuses unless the actor has the right to what no action of its own asks for.
    pub(crate) fn permit(&self, operation: Operation, what: &'static str) -> Result<(), TicketError> {
        let Case {
            relation,
            ticket,
            settings,
            ..
        } = self.case();
        if permits(relation, operation, ticket, settings) {
            Ok(())
        } else {
            Err(TicketError::Forbidden(what))
        }
    }

    fn trace(
        &mut self,
        notice: Notice,
        action: &str,
        old_value: Option<Value>,
        new_value: Option<Value>,
        mut metadata: Value,
    ) {
        if let (Actor::System(system), Some(map)) = (self.circumstances.actor, metadata.as_object_mut()) {
            map.insert("system".to_owned(), Value::from(system.as_str()));
        }
        self.activities.push(Activity {
            id: ActivityId::new(self.circumstances.ids),
            ticket: self.ticket.id,
            actor: self.circumstances.actor.user_id(),
            action: action.to_owned(),
            old_value,
            new_value,
            metadata,
            created_at: self.circumstances.now,
        });
        self.notice = self.notice.max(Some(notice));
    }

    /// Changes subject, description and metadata, as far as they differ.
    pub(crate) fn edit(
        &mut self,
        subject: Option<Subject>,
        description: Option<Description>,
        metadata: Option<Map<String, Value>>,
    ) {
        let (mut old, mut new) = (Map::new(), Map::new());
        let mut notice = Notice::Staff;
        if let Some(subject) = subject.filter(|subject| *subject != self.ticket.subject) {
            old.insert("subject".to_owned(), Value::from(self.ticket.subject.as_str()));
            new.insert("subject".to_owned(), Value::from(subject.as_str()));
            self.ticket.subject = subject;
            notice = Notice::Everyone;
        }
        if let Some(description) = description.filter(|description| *description != self.ticket.description) {
            old.insert(
                "description".to_owned(),
                Value::from(self.ticket.description.as_str()),
            );
            new.insert("description".to_owned(), Value::from(description.as_str()));
            self.ticket.description = description;
            notice = Notice::Everyone;
        }
        if let Some(metadata) = metadata.filter(|metadata| *metadata != self.ticket.metadata) {
            old.insert("metadata".to_owned(), Value::Object(self.ticket.metadata.clone()));
            new.insert("metadata".to_owned(), Value::Object(metadata.clone()));
            self.ticket.metadata = metadata;
        }
        if new.is_empty() {
            return;
        }
        let before = old.get("subject").cloned();
        self.facts.push(TicketFact::Updated {
            fields: new.keys().cloned().collect(),
            before: before
                .map(|subject| ("subject".to_owned(), subject))
                .into_iter()
                .collect(),
        });
        self.trace(
            notice,
            action::UPDATED,
            Some(Value::Object(old)),
            Some(Value::Object(new)),
            json!({}),
        );
    }

    /// Replaces the custom fields.
    pub(crate) fn set_custom_fields(&mut self, fields: CustomFields) {
        if fields == self.ticket.custom_fields {
            return;
        }
        let (old, new) = (self.ticket.custom_fields.to_json(), fields.to_json());
        self.ticket.custom_fields = fields;
        self.facts.push(TicketFact::Updated {
            fields: vec!["customFields".to_owned()],
            before: changed_members(&old, &new),
        });
        self.trace(
            Notice::Everyone,
            action::CUSTOM_FIELDS_CHANGED,
            Some(old),
            Some(new),
            json!({}),
        );
    }

    /// Replaces the tags.
    pub(crate) fn set_tags(&mut self, tags: Tags) {
        if tags == self.ticket.tags {
            return;
        }
        let (old, new) = (self.ticket.tags.to_json(), tags.to_json());
        self.ticket.tags = tags;
        self.facts.push(TicketFact::Updated {
            fields: vec!["tags".to_owned()],
            before: [("tags".to_owned(), old.clone())].into_iter().collect(),
        });
        self.trace(
            Notice::Everyone,
            action::TAGS_CHANGED,
            Some(old),
            Some(new),
            json!({}),
        );
    }

    /// Changes the priority.
    pub(crate) fn set_priority(&mut self, priority: TicketPriority) {
        let from = self.ticket.priority;
        if priority == from {
            return;
        }
        self.ticket.priority = priority;
        self.facts
            .push(TicketFact::PriorityChanged { from, to: priority });
        let (old, new) = (Some(json!(from)), Some(json!(priority)));
        self.trace(Notice::Everyone, action::PRIORITY_CHANGED, old, new, json!({}));
    }

    /// Moves in the state machine; `remark` is kept in the history, for staff.
    pub(crate) fn set_status(
        &mut self,
        to: TicketStatus,
        by: ClosedBy,
        remark: Option<&Remark>,
    ) -> Result<(), TicketError> {
        let from = self.ticket.status();
        let window = self.circumstances.settings.reopen_window;
        self.ticket.standing = self.ticket.standing.to(to, self.circumstances.now, by, window)?;
        self.facts.push(TicketFact::StatusChanged { from, to });
        let mut metadata = Map::new();
        if let Some(remark) = remark {
            metadata.insert("remark".to_owned(), Value::from(remark.as_str()));
        }
        let (old, new) = (Some(json!(from)), Some(json!(to)));
        self.trace(
            Notice::Everyone,
            action::STATUS_CHANGED,
            old,
            new,
            Value::Object(metadata),
        );
        Ok(())
    }

    /// Puts the ticket back where it stood before, times and all: taking back is no move of the machine.
    pub(crate) fn restore_standing(&mut self, standing: Standing) {
        let (from, to) = (self.ticket.status(), standing.status());
        self.ticket.standing = standing;
        if from != to {
            self.facts.push(TicketFact::StatusChanged { from, to });
            let (old, new) = (Some(json!(from)), Some(json!(to)));
            self.trace(Notice::Everyone, action::STATUS_CHANGED, old, new, json!({}));
        }
    }

    /// Makes someone, or nobody, the assignee.
    pub(crate) fn set_assignee(&mut self, to: Option<UserId>) {
        let from = self.ticket.assignee;
        if to == from {
            return;
        }
        self.ticket.assignee = to;
        self.assigns = to;
        self.facts.push(TicketFact::Assigned { from, to });
        let (old, new) = (from.map(|id| json!(id)), to.map(|id| json!(id)));
        self.trace(Notice::Everyone, action::ASSIGNED, old, new, json!({}));
    }

    /// Moves the ticket to a team, or takes it out of any.
    pub(crate) fn set_team(&mut self, to: Option<TeamId>) {
        let from = self.ticket.team;
        if to == from {
            return;
        }
        self.ticket.team = to;
        self.facts.push(TicketFact::Transferred { from, to });
        self.trace(
            Notice::Everyone,
            action::TRANSFERRED,
            from.map(|id| json!(id)),
            to.map(|id| json!(id)),
            json!({}),
        );
    }

    /// Puts the ticket under an SLA policy, or under the one that fits.
    pub(crate) fn set_sla_policy(&mut self, to: Option<Uuid>) {
        let from = self.ticket.sla_policy;
        if to == from {
            return;
        }
        self.ticket.sla_policy = to;
        self.facts.push(TicketFact::Updated {
            fields: vec!["slaPolicyId".to_owned()],
            before: [("slaPolicyId".to_owned(), json!(from))].into_iter().collect(),
        });
        let value = |id| json!({ "slaPolicyId": id });
        self.trace(
            Notice::Staff,
            action::UPDATED,
            Some(value(from)),
            Some(value(to)),
            json!({}),
        );
    }

    /// How many traces the change leaves so far.
    pub(crate) fn traces(&self) -> usize {
        self.activities.len()
    }

    /// Adds a message. The requester's own opens a pending or resolved ticket again; the first public one of the
    /// desk is its first response.
    pub(crate) fn add_message(
        &mut self,
        sender: UserId,
        body: Body,
        visibility: Visibility,
        mentioned: &[UserId],
    ) -> Result<Message, TicketError> {
        let now = self.circumstances.now;
        let by_staff = self.relation.audience() == Some(Audience::Staff) && sender != self.ticket.requester;
        let message = Message {
            id: MessageId::new(self.circumstances.ids),
            ticket: self.ticket.id,
            sender,
            html: Some(self.circumstances.markup.to_html(body.as_str())),
            body,
            attachment_urls: json!([]),
            attachments: Vec::new(),
            visibility,
            created_at: now,
            updated_at: now,
        };
        let metadata = json!({ "messageId": message.id });
        self.ticket.staff_face.message_count += 1;
        self.ticket.staff_face.last_message_at = Some(now);
        match visibility {
            Visibility::Public => {
                self.ticket.public_face.message_count += 1;
                self.ticket.public_face.last_message_at = Some(now);
                if by_staff {
                    self.ticket.first_response_at = self.ticket.first_response_at.or(Some(now));
                }
                self.facts.push(TicketFact::MessageAdded {
                    message: message.id,
                    author: sender,
                    by_staff,
                });
                self.trace(Notice::Everyone, action::MESSAGE_ADDED, None, None, metadata);
                match self.ticket.status() {
                    TicketStatus::Pending | TicketStatus::Resolved if !by_staff => {
                        self.set_status(TicketStatus::Open, ClosedBy::Person, None)?;
                    }
                    TicketStatus::Open
                    | TicketStatus::Pending
                    | TicketStatus::Resolved
                    | TicketStatus::Closed => {}
                }
            }
            Visibility::Internal => {
                self.facts.push(TicketFact::InternalMessageAdded {
                    message: message.id,
                    author: sender,
                    mentioned: mentioned.to_vec(),
                });
                self.call(mentioned);
                self.trace(
                    Notice::Staff,
                    action::INTERNAL_MESSAGE_ADDED,
                    None,
                    None,
                    metadata,
                );
            }
        }
        self.messages.push(message.clone());
        Ok(message)
    }

    /// Hangs uploads on a message that was added.
    pub(crate) fn attach(&mut self, mut message: Message, uploads: &[Attachment]) -> Message {
        message.attachments = uploads.to_vec();
        for attachment in &mut message.attachments {
            attachment.message = Some(message.id);
        }
        message.attachment_urls = urls(&message.attachments);
        for added in self.messages.iter_mut().filter(|added| added.id == message.id) {
            added.clone_from(&message);
        }
        message
    }

    /// Takes an attachment off its message for good.
    pub(crate) fn remove_attachment(&mut self, mut message: Message, removed: &Attachment) {
        let internal = message.visibility == Visibility::Internal;
        let notice = if internal { Notice::Staff } else { Notice::Everyone };
        let url = removed.url();
        if let Value::Array(urls) = &mut message.attachment_urls {
            urls.retain(|known| *known != url);
        }
        message
            .attachments
            .retain(|attachment| attachment.id != removed.id);
        message.updated_at = self.circumstances.now;
        self.facts.push(TicketFact::AttachmentRemoved {
            message: message.id,
            attachment: removed.id.0,
            internal,
        });
        let metadata = json!({ "messageId": message.id, "attachmentId": removed.id });
        let old = json!({ "fileName": removed.file_name.as_str(), "sizeBytes": removed.size_bytes });
        self.trace(notice, action::ATTACHMENT_REMOVED, Some(old), None, metadata);
        self.edited_messages.push(message);
        self.removed_attachments.push(removed.id);
    }

    /// Changes a message's text; the old one stays in the history, for staff.
    pub(crate) fn edit_message(&mut self, mut message: Message, body: Body) -> Message {
        if body == message.body {
            return message;
        }
        let old = json!({ "message": message.body.as_str() });
        let new = json!({ "message": body.as_str() });
        message.html = Some(self.circumstances.markup.to_html(body.as_str()));
        message.body = body;
        message.updated_at = self.circumstances.now;
        let internal = message.visibility == Visibility::Internal;
        let notice = if internal { Notice::Staff } else { Notice::Everyone };
        self.facts.push(TicketFact::MessageEdited {
            message: message.id,
            internal,
        });
        let metadata = json!({ "messageId": message.id });
        self.trace(notice, action::MESSAGE_EDITED, Some(old), Some(new), metadata);
        self.edited_messages.push(message.clone());
        message
    }

    /// Adds a note for staff.
    pub(crate) fn add_note(&mut self, author: UserId, body: Body, mentioned: &[UserId]) -> Note {
        let note = Note {
            id: NoteId::new(self.circumstances.ids),
            ticket: self.ticket.id,
            author,
            body,
            created_at: self.circumstances.now,
        };
        self.facts.push(TicketFact::NoteAdded {
            note: note.id.0,
            author,
            mentioned: mentioned.to_vec(),
        });
        self.call(mentioned);
        self.trace(
            Notice::Staff,
            action::NOTE_ADDED,
            None,
            None,
            json!({ "noteId": note.id }),
        );
        self.notes.push(note.clone());
        note
    }

    /// Whoever is called follows from then on, as far as there is room.
    fn call(&mut self, mentioned: &[UserId]) {
        let news = mentioned
            .iter()
            .filter(|user| !self.ticket.followers.contains(user));
        let room = FOLLOWERS_MAX.saturating_sub(self.ticket.followers.len());
        let news: Vec<UserId> = news.take(room).copied().collect();
        self.ticket.followers.extend(news);
    }

    /// Makes someone a follower. Nothing changes where they are one.
    ///
    /// # Errors
    /// [`TicketError::TooManyFollowers`].
    pub(crate) fn follow(&mut self, user: UserId) -> Result<(), TicketError> {
        if self.ticket.followers.contains(&user) {
            return Ok(());
        }
        if self.ticket.followers.len() >= FOLLOWERS_MAX {
            return Err(TicketError::TooManyFollowers);
        }
        self.ticket.followers.push(user);
        self.facts.push(TicketFact::Followed { user });
        self.trace(
            Notice::Staff,
            action::FOLLOWED,
            None,
            Some(json!(user)),
            json!({}),
        );
        Ok(())
    }

    /// Makes someone no follower any more. Nothing changes where they are none.
    pub(crate) fn unfollow(&mut self, user: UserId) {
        if !self.ticket.followers.contains(&user) {
            return;
        }
        self.ticket.followers.retain(|follower| *follower != user);
        self.facts.push(TicketFact::Unfollowed { user });
        self.trace(
            Notice::Staff,
            action::UNFOLLOWED,
            Some(json!(user)),
            None,
            json!({}),
        );
    }

    /// Gives someone part in the ticket. Nothing changes where they have it: its requester always has.
    ///
    /// # Errors
    /// [`TicketError::TooManyCopies`].
    pub(crate) fn copy_to(&mut self, user: UserId) -> Result<(), TicketError> {
        if self.ticket.requester == user || self.ticket.cc.contains(&user) {
            return Ok(());
        }
        if self.ticket.cc.len() >= CC_MAX {
            return Err(TicketError::TooManyCopies);
        }
        self.ticket.cc.push(user);
        self.facts.push(TicketFact::CcAdded { user });
        self.trace(
            Notice::Everyone,
            action::CC_ADDED,
            None,
            Some(json!(user)),
            json!({}),
        );
        Ok(())
    }

    /// Takes someone's part in the ticket away. Nothing changes where they had none.
    pub(crate) fn stop_copying_to(&mut self, user: UserId) {
        if !self.ticket.cc.contains(&user) {
            return;
        }
        self.ticket.cc.retain(|copied| *copied != user);
        self.facts.push(TicketFact::CcRemoved { user });
        self.trace(
            Notice::Everyone,
            action::CC_REMOVED,
            Some(json!(user)),
            None,
            json!({}),
        );
    }

    /// Says that the ticket is `kind` to another one.
    pub(crate) fn link(&mut self, kind: LinkKind, other: &Ticket) {
        self.facts.push(TicketFact::Linked {
            other: other.id,
            link: kind.as_str().to_owned(),
        });
        let new =
            json!({ "kind": kind.as_str(), "ticketId": other.id, "ticketNumber": other.number.as_str() });
        self.trace(Notice::Staff, action::LINKED, None, Some(new), json!({}));
    }

    /// Says that the ticket is no longer `kind` to another one.
    pub(crate) fn unlink(&mut self, kind: LinkKind, other: &Ticket) {
        self.facts.push(TicketFact::Unlinked {
            other: other.id,
            link: kind.as_str().to_owned(),
        });
        let old =
            json!({ "kind": kind.as_str(), "ticketId": other.id, "ticketNumber": other.number.as_str() });
        self.trace(Notice::Staff, action::UNLINKED, Some(old), None, json!({}));
    }

    /// Takes another ticket's conversation in, its description as a message and its tags as far as there is room. Gives
    /// the description's message and the tags that were added.
    pub(crate) fn take_in(&mut self, source: &Ticket) -> (MessageId, Tags) {
        let description = Message {
            id: MessageId::new(self.circumstances.ids),
            ticket: self.ticket.id,
            sender: source.requester,
            html: Some(self.circumstances.markup.to_html(source.description.as_str())),
            body: Body::stored(source.description.as_str().to_owned()),
            attachment_urls: json!([]),
            attachments: Vec::new(),
            visibility: Visibility::Public,
            created_at: source.created_at,
            updated_at: source.created_at,
        };
        let arrived = |face: &Face| Counted {
            messages: face.message_count + 1,
            last: face.last_message_at.max(Some(source.created_at)),
        };
        let (staff, public) = (arrived(&source.staff_face), arrived(&source.public_face));
        add(&mut self.ticket.staff_face, staff);
        add(&mut self.ticket.public_face, public);
        self.ticket.first_response_at = self.ticket.first_response_at.or(source.first_response_at);
        let (tags, added) = self.ticket.tags.joined(&source.tags);
        self.ticket.tags = tags;
        self.facts.push(TicketFact::Merged { source: source.id });
        let new =
            json!({ "ticketId": source.id, "ticketNumber": source.number.as_str(), "tags": added.to_json() });
        self.trace(Notice::Everyone, action::MERGED, None, Some(new), json!({}));
        let id = description.id;
        self.messages.push(description);
        (id, added)
    }

    /// Goes into another ticket: closed, with nothing left in its conversation.
    pub(crate) fn go_into(&mut self, target: &Ticket) -> Result<(), TicketError> {
        if self.ticket.status() != TicketStatus::Closed {
            self.set_status(TicketStatus::Closed, ClosedBy::Person, None)?;
        }
        self.ticket.merged_into = Some(target.id);
        for face in [&mut self.ticket.staff_face, &mut self.ticket.public_face] {
            set(face, Counted::default());
        }
        self.facts.push(TicketFact::MergedInto { target: target.id });
        let new = json!({ "ticketId": target.id, "ticketNumber": target.number.as_str() });
        self.trace(Notice::Everyone, action::MERGED_INTO, None, Some(new), json!({}));
        Ok(())
    }

    /// Gives a ticket's conversation back and keeps `left` of the messages.
    pub(crate) fn give_back(&mut self, merge: &Merge, source: &Ticket, left: Tally) {
        set(&mut self.ticket.staff_face, left.staff);
        set(&mut self.ticket.public_face, left.public);
        if merge.gave_first_response {
            self.ticket.first_response_at = left.first_answer;
        }
        self.ticket.tags = self.ticket.tags.without(&merge.tags_added);
        self.facts.push(TicketFact::Unmerged { other: source.id });
        let old = json!({ "ticketId": source.id, "ticketNumber": source.number.as_str() });
        self.trace(Notice::Everyone, action::UNMERGED, Some(old), None, json!({}));
    }

    /// Comes back out of another ticket, as it stood before, with `messages` in its conversation.
    pub(crate) fn come_back(&mut self, merge: &Merge, target: &Ticket, messages: Tally) {
        self.ticket.merged_into = None;
        set(&mut self.ticket.staff_face, messages.staff);
        set(&mut self.ticket.public_face, messages.public);
        self.restore_standing(merge.source_standing);
        self.facts.push(TicketFact::Unmerged { other: target.id });
        let old = json!({ "ticketId": target.id, "ticketNumber": target.number.as_str() });
        self.trace(Notice::Everyone, action::UNMERGED, Some(old), None, json!({}));
    }

    /// Loses a message to another ticket; `left` are those that stay.
    pub(crate) fn lose(&mut self, message: &Message, to: &Ticket, left: Tally) {
        set(&mut self.ticket.staff_face, left.staff);
        set(&mut self.ticket.public_face, left.public);
        let new = json!({ "ticketId": to.id, "ticketNumber": to.number.as_str() });
        self.moved(message, action::MESSAGE_MOVED, (self.ticket.id, to.id), new);
    }

    /// Gains a message of another ticket.
    pub(crate) fn gain(&mut self, message: &Message, from: &Ticket) {
        let one = Counted {
            messages: 1,
            last: Some(message.created_at),
        };
        add(&mut self.ticket.staff_face, one);
        if message.visibility == Visibility::Public {
            add(&mut self.ticket.public_face, one);
        }
        let new = json!({ "ticketId": from.id, "ticketNumber": from.number.as_str() });
        self.moved(message, action::MESSAGE_RECEIVED, (from.id, self.ticket.id), new);
    }

    fn moved(&mut self, message: &Message, action: &str, (from, to): (TicketId, TicketId), value: Value) {
        let internal = message.visibility == Visibility::Internal;
        let notice = if internal { Notice::Staff } else { Notice::Everyone };
        self.facts.push(TicketFact::MessageMoved {
            message: message.id,
            from,
            to,
            internal,
        });
        let metadata = json!({ "messageId": message.id });
        self.trace(notice, action, None, Some(value), metadata);
    }

    /// Keeps what the requester says of the resolution. A change within its time does not move the time of the rating.
    pub(crate) fn rate(&mut self, rating: Rating, way: RatingWay) -> Result<(), TicketError> {
        let given = self.ticket.satisfaction.as_ref();
        let due = due(self.ticket.standing, given, self.circumstances.now);
        let rated_at = match due {
            Ok(Due::First) => self.circumstances.now,
            Ok(Due::Change(_)) if given.is_some_and(|given| given.rating == rating) => return Ok(()),
            Ok(Due::Change(first)) => first,
            Err(NotDue::Unresolved) => return Err(TicketError::NotResolved),
            Err(NotDue::Final(until)) => return Err(TicketError::RatingFinal(until)),
        };
        let shown = |rating: &Rating| {
            let comment = rating.comment.as_ref().map(Remark::as_str);
            json!({ "score": rating.score.get(), "comment": comment })
        };
        let old = given.map(|given| shown(&given.rating));
        let new = shown(&rating);
        self.facts.push(TicketFact::Rated {
            score: rating.score.get(),
        });
        self.ticket.satisfaction = Some(Satisfaction { rating, rated_at });
        let metadata = match way {
            RatingWay::SignedIn => json!({}),
            RatingWay::Link => json!({ "byLink": true }),
        };
        self.trace(Notice::Everyone, action::RATED, old, Some(new), metadata);
        Ok(())
    }

    /// Deletes the ticket, so that it can be restored.
    pub(crate) fn delete(&mut self) {
        self.ticket.deleted_at = Some(self.circumstances.now);
        self.facts.push(TicketFact::Deleted {});
        self.trace(Notice::Everyone, action::DELETED, None, None, json!({}));
    }

    /// Brings a deleted ticket back.
    pub(crate) fn restore(&mut self) {
        self.ticket.deleted_at = None;
        self.facts.push(TicketFact::Restored {});
        self.trace(Notice::Everyone, action::RESTORED, None, None, json!({}));
    }

    /// Ends the decision: the commit, without a receipt yet, and the ticket as it will stand.
    pub(crate) fn finish(self) -> (TicketCommit, Ticket) {
        let Self {
            circumstances,
            before,
            mut ticket,
            relation: _,
            notice,
            messages,
            edited_messages,
            removed_attachments,
            notes,
            activities,
            facts,
            assigns,
        } = self;
        let write = match (before, notice) {
            (None, _) => TicketWrite::Insert(Box::new(ticket.clone())),
            (Some(_), None) => TicketWrite::Unchanged,
            (Some(before), Some(notice)) => {
                ticket.staff_face.version = before.staff_face.version.next();
                ticket.staff_face.updated_at = circumstances.now;
                if notice == Notice::Everyone {
                    ticket.public_face.version = before.public_face.version.next();
                    ticket.public_face.updated_at = circumstances.now;
                }
                TicketWrite::Update {
                    ticket: Box::new(ticket.clone()),
                    expected: before.version(),
                }
            }
        };
        let summary = ticket.summary();
        let events = facts
            .into_iter()
            .map(|what| {
                let fact = Fact::Ticket {
                    ticket: summary.clone(),
                    what,
                };
                Event::new(circumstances.ids, circumstances.now, circumstances.actor, fact)
            })
            .collect();
        let commit = TicketCommit {
            ticket: write,
            messages,
            edited_messages,
            removed_attachments,
            notes,
            activities,
            events,
            receipt: None,
            item: None,
            assigns,
            clocks: None,
        };
        (commit, ticket)
    }
}
