//! How tickets, messages, notes and activities look to clients.
//!
//! What a customer may see of a ticket is decided here field by field, from the audience that the domain gives with
//! it: a field for staff is absent in an answer for a customer, and the figures of its course are the customer's own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ticketing::{
    Activity, ActivityId, Audience, Excerpt, Message, Note, NoteId, PersonCard, Rating, Related,
    Satisfaction, TeamCard, Ticket, TicketChannel, TicketPriority, TicketStatus, TicketView, Visibility,
    action,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::attachments::AttachmentBody;
use crate::html::marked;
use crate::wire::Timestamp;

macro_rules! name_enum {
    ($(#[$doc:meta])* $name:ident as $schema:ident of $domain:ty { $($(#[$variant_doc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        #[schema(as = $schema)]
        pub(in crate::api) enum $name { $($(#[$variant_doc])* $variant),* }

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                match value { $(<$domain>::$variant => Self::$variant),* }
            }
        }

        impl From<$name> for $domain {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant),* }
            }
        }
    };
}

name_enum! {
    /// Where a ticket stands.
    StatusName as TicketStatus of TicketStatus {
        /// Waits for the desk.
        Open,
        /// Waits for the customer or someone else.
        Pending,
        /// Answered for good, as the desk sees it.
        Resolved,
        /// Done.
        Closed,
    }
}
name_enum! {
    /// How much a ticket presses.
    PriorityName as TicketPriority of TicketPriority {
        /// Can wait.
        Low,
        /// The usual.
        Medium,
        /// Soon.
        High,
        /// Now.
        Urgent,
    }
}
name_enum! {
    /// How a ticket came in.
    ChannelName as TicketChannel of TicketChannel {
        /// A web form.
        Web,
        /// E-mail.
        Email,
        /// A chat.
        Chat,
        /// A program.
        Api,
    }
}

/// What of a ticket a client asked to see.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Shape {
    /// The related things to show whole.
    pub(super) include: Vec<Include>,
    /// The only members to show; all when empty.
    pub(super) fields: Vec<&'static str>,
}

/// A related thing that an answer can show whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    CreatedBy,
    AssignedTo,
    Team,
}

impl Include {
    pub(super) const ALL: [Include; 3] = [Include::CreatedBy, Include::AssignedTo, Include::Team];

    pub(super) fn name(self) -> &'static str {
        match self {
            Include::CreatedBy => "createdBy",
            Include::AssignedTo => "assignedTo",
            Include::Team => "team",
        }
    }
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Ticket)]
pub(in crate::api) struct TicketBody {
    /// The ticket.
    id: Uuid,
    /// Its number for people; never used again.
    #[schema(required = false, examples("TKT-00001"))]
    ticket_number: String,
    /// What it is about.
    #[schema(required = false, examples("The printer on the second floor is on fire"))]
    subject: String,
    /// What the requester wrote.
    #[schema(required = false)]
    description: String,
    /// Who asked.
    #[schema(required = false)]
    created_by_id: Uuid,
    /// Who answers; null while nobody does.
    assigned_to_id: Option<Uuid>,
    /// The team that it lies with; null for the queue of all agents.
    team_id: Option<Uuid>,
    /// How much it presses.
    #[schema(required = false)]
    priority: PriorityName,
    /// Where it stands.
    #[schema(required = false)]
    status: StatusName,
    /// How it came in.
    #[schema(required = false)]
    channel: ChannelName,
    /// Its SLA policy; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    sla_policy_id: Option<Option<Uuid>>,
    /// When the desk first answered in public.
    first_response_at: Option<Timestamp>,
    /// When the next SLA clock runs out; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>)]
    sla_due_at: Option<Option<Timestamp>>,
    /// Whether an SLA clock was missed; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    sla_breached: Option<bool>,
    /// When it was resolved, if it is.
    resolved_at: Option<Timestamp>,
    /// When it was closed, if it is.
    closed_at: Option<Timestamp>,
    /// When it closed itself after a silence, if it did.
    auto_closed_at: Option<Timestamp>,
    /// Its tags.
    #[schema(required = false)]
    tags: Vec<String>,
    /// Its custom fields.
    #[schema(required = false, value_type = Object)]
    custom_fields: Map<String, Value>,
    /// Facts kept by programs; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Further people who have part in it as its requester has, at most 20.
    #[schema(required = false)]
    cc_ids: Vec<Uuid>,
    /// Staff who follow it; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    follower_ids: Option<Vec<Uuid>>,
    /// The ticket that it was merged into, if it was.
    merged_into_id: Option<Uuid>,
    /// How content its requester said they are with its resolution; null while they said nothing.
    satisfaction: Option<SatisfactionBody>,
    /// When it was made.
    #[schema(required = false)]
    created_at: Timestamp,
    /// When something of it last changed that you can see.
    #[schema(required = false)]
    updated_at: Timestamp,
    /// When it was deleted, if it is; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    /// How many messages you can read.
    #[schema(required = false)]
    message_count: i32,
    /// When the last of them was written.
    last_message_at: Option<Timestamp>,
    /// What you could do with it now.
    #[schema(required = false, examples(json!(["reply", "close"])))]
    allowed_actions: Vec<&'static str>,
    /// Who asked, with `include=createdBy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<TicketPersonBody>,
    /// Who answers, with `include=assignedTo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_to: Option<TicketPersonBody>,
    /// The team, with `include=team`.
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<TicketTeamBody>,
    /// Where what was searched for stands in it: in the subject, and where that does not say it all in the description and
    /// then in messages; up to 5 places. In searches alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    highlights: Option<Vec<HighlightBody>>,
}

/// How content the requester is with a ticket's resolution.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Satisfaction)]
pub(in crate::api) struct SatisfactionBody {
    /// From 1, not at all, to 5, entirely.
    #[schema(minimum = 1, maximum = 5, examples(4))]
    score: u8,
    /// Why, in their words.
    #[schema(required = true, examples("Quick and friendly."))]
    comment: Option<String>,
    /// When they first said so.
    rated_at: Timestamp,
    /// Until when they can change it.
    changeable_until: Timestamp,
}

impl From<&Satisfaction> for SatisfactionBody {
    fn from(satisfaction: &Satisfaction) -> Self {
        let Satisfaction {
            rating: Rating { score, comment },
            rated_at,
        } = satisfaction;
        Self {
            score: score.get(),
            comment: comment.as_ref().map(|comment| comment.as_str().to_owned()),
            rated_at: Timestamp(*rated_at),
            changeable_until: Timestamp(satisfaction.changeable_until()),
        }
    }
}

/// A piece of text with what was searched for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Highlight)]
pub(super) struct HighlightBody {
    /// Where it stands: `subject`, `description`, `message`, or for staff `note` (internal messages too).
    #[schema(examples("description"))]
    part: &'static str,
    /// Which message, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<Uuid>,
    /// The text as HTML that is safe to show: escaped, the matches in `<mark>` and no other element.
    #[schema(examples("The <mark>printer</mark> on the second floor"))]
    html: String,
}

impl HighlightBody {
    fn new(excerpt: &Excerpt) -> Self {
        let Excerpt { part, message, runs } = excerpt;
        let html = marked(runs.iter().map(|run| (run.text.as_str(), run.is_match)));
        Self {
            part: part.as_str(),
            message_id: message.map(|id| id.0),
            html,
        }
    }
}

/// A person as shown beside a ticket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TicketPerson)]
pub(super) struct TicketPersonBody {
    /// The account.
    id: Uuid,
    /// What the person is called.
    name: String,
    /// The person's picture.
    #[schema(required = true)]
    avatar_url: Option<String>,
    /// The person's address; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

impl TicketPersonBody {
    fn of(people: &[PersonCard], id: Uuid, audience: Audience) -> Option<Self> {
        let card = people.iter().find(|card| card.id.0 == id)?;
        Some(Self::new(card.clone(), audience))
    }

    pub(super) fn new(card: PersonCard, audience: Audience) -> Self {
        let PersonCard {
            id,
            name,
            avatar_url,
            email,
        } = card;
        let email = match audience {
            Audience::Staff => Some(email),
            Audience::Customer => None,
        };
        Self {
            id: id.0,
            name,
            avatar_url,
            email,
        }
    }
}

/// A team as shown beside a ticket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TicketTeam)]
pub(super) struct TicketTeamBody {
    /// The team.
    id: Uuid,
    /// What it is called.
    name: String,
}

/// A ticket's members that `fields=` can name, in the order in which they are shown.
pub(super) const FIELDS: [&str; 30] = [
    "id",
    "ticketNumber",
    "subject",
    "description",
    "createdById",
    "assignedToId",
    "teamId",
    "priority",
    "status",
    "channel",
    "slaPolicyId",
    "firstResponseAt",
    "slaDueAt",
    "slaBreached",
    "resolvedAt",
    "closedAt",
    "autoClosedAt",
    "tags",
    "customFields",
    "metadata",
    "ccIds",
    "followerIds",
    "mergedIntoId",
    "satisfaction",
    "createdAt",
    "updatedAt",
    "deletedAt",
    "messageCount",
    "lastMessageAt",
    "allowedActions",
];

impl TicketBody {
    pub(in crate::api) fn new(view: &TicketView, related: &Related, shape: &Shape) -> Self {
        let TicketView {
            ticket,
            audience,
            allowed_actions,
        } = view;
        let Ticket {
            id,
            number,
            subject,
            description,
            requester,
            assignee,
            team,
            priority,
            standing,
            channel,
            sla_policy,
            first_response_at,
            sla_due_at,
            sla_breached,
            tags,
            custom_fields,
            metadata,
            created_at,
            deleted_at,
            merged_into,
            satisfaction,
            cc,
            followers,
            staff_face: _,
            public_face: _,
        } = ticket;
        let face = view.face();
        let staff = *audience == Audience::Staff;
        let included = |what| shape.include.contains(&what);
        let person = |id: Uuid| TicketPersonBody::of(&related.people, id, *audience);
        let team_card = |id| related.teams.iter().find(|card| card.id == id).cloned();
        Self {
            id: id.0,
            ticket_number: number.as_str().to_owned(),
            subject: subject.as_str().to_owned(),
            description: description.as_str().to_owned(),
            created_by_id: requester.0,
            assigned_to_id: assignee.map(|user| user.0),
            team_id: team.map(|team| team.0),
            priority: (*priority).into(),
            status: standing.status().into(),
            channel: (*channel).into(),
            sla_policy_id: staff.then_some(*sla_policy),
            first_response_at: first_response_at.map(Timestamp),
            sla_due_at: staff.then(|| sla_due_at.map(Timestamp)),
            sla_breached: staff.then_some(*sla_breached),
            resolved_at: standing.resolved_at().map(Timestamp),
            closed_at: standing.closed_at().map(Timestamp),
            auto_closed_at: standing.auto_closed_at().map(Timestamp),
            tags: tags.as_slice().to_vec(),
            custom_fields: custom_fields.as_map().clone(),
            metadata: staff.then(|| metadata.clone()),
            cc_ids: cc.iter().map(|user| user.0).collect(),
            follower_ids: staff.then(|| followers.iter().map(|user| user.0).collect()),
            merged_into_id: merged_into.map(|ticket| ticket.0),
            satisfaction: satisfaction.as_ref().map(SatisfactionBody::from),
            created_at: Timestamp(*created_at),
            updated_at: Timestamp(face.updated_at),
            deleted_at: deleted_at.filter(|_| staff).map(Timestamp),
            message_count: face.message_count,
            last_message_at: face.last_message_at.map(Timestamp),
            allowed_actions: allowed_actions.clone(),
            created_by: included(Include::CreatedBy)
                .then(|| person(requester.0))
                .flatten(),
            assigned_to: assignee
                .filter(|_| included(Include::AssignedTo))
                .and_then(|user| person(user.0)),
            team: team
                .filter(|_| included(Include::Team))
                .and_then(team_card)
                .map(|TeamCard { id, name }| TicketTeamBody { id: id.0, name }),
            highlights: None,
        }
    }

    /// The same, with where the search's words stand.
    pub(super) fn found(mut self, excerpts: &[Excerpt]) -> Self {
        self.highlights = Some(excerpts.iter().map(HighlightBody::new).collect());
        self
    }

    /// The body as JSON, with the members that the client asked for.
    pub(super) fn shaped(self, shape: &Shape) -> Result<Value, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        if let (false, Some(members)) = (shape.fields.is_empty(), value.as_object_mut()) {
            members.retain(|name, _| {
                name == "id"
                    || name == "highlights"
                    || shape.fields.contains(&name.as_str())
                    || shape.include.iter().any(|included| included.name() == name)
            });
        }
        Ok(value)
    }
}

/// A message in a ticket's conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
pub(super) struct MessageBody {
    /// The message.
    id: Uuid,
    /// The ticket.
    ticket_id: Uuid,
    /// Who wrote it.
    sender_id: Uuid,
    /// The text as written, in Markdown.
    #[schema(examples("Have you tried to turn it **off and on** again?"))]
    message: String,
    /// The text as HTML that is safe to show; null where it was stored without.
    #[schema(
        required = true,
        examples("<p>Have you tried to turn it <strong>off and on</strong> again?</p>")
    )]
    message_html: Option<String>,
    /// Where its attachments are, from the desk's address on.
    #[schema(value_type = Vec<String>, examples(json!(["/api/v1/attachments/01890a5d-ac96-774b-bcce-b302099a8057"])))]
    attachment_urls: Value,
    /// Its attachments.
    attachments: Vec<AttachmentBody>,
    /// Whether it is for staff alone.
    is_internal: bool,
    /// When it was written.
    created_at: Timestamp,
    /// When its text was last changed.
    updated_at: Timestamp,
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        let Message {
            id,
            ticket,
            sender,
            body,
            html,
            attachment_urls,
            attachments,
            visibility,
            created_at,
            updated_at,
        } = message;
        Self {
            id: id.0,
            ticket_id: ticket.0,
            sender_id: sender.0,
            message: body.as_str().to_owned(),
            message_html: html,
            attachment_urls,
            attachments: attachments.iter().map(AttachmentBody::from).collect(),
            is_internal: visibility == Visibility::Internal,
            created_at: Timestamp(created_at),
            updated_at: Timestamp(updated_at),
        }
    }
}

/// A note for staff.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Note)]
pub(super) struct NoteBody {
    /// The note.
    id: Uuid,
    /// The ticket.
    ticket_id: Uuid,
    /// Who wrote it.
    agent_id: Uuid,
    /// The text.
    message: String,
    /// When it was written.
    created_at: Timestamp,
}

impl From<Note> for NoteBody {
    fn from(note: Note) -> Self {
        let Note {
            id: NoteId(id),
            ticket,
            author,
            body,
            created_at,
        } = note;
        Self {
            id,
            ticket_id: ticket.0,
            agent_id: author.0,
            message: body.as_str().to_owned(),
            created_at: Timestamp(created_at),
        }
    }
}

/// An entry of a ticket's history.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Activity)]
pub(super) struct ActivityBody {
    /// The entry.
    id: Uuid,
    /// The ticket.
    ticket_id: Uuid,
    /// Who did it; null for the server itself. For staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    actor_id: Option<Option<Uuid>>,
    /// What the one who did it is called; null for the server itself.
    #[schema(required = true)]
    actor_name: Option<String>,
    /// What was done.
    #[schema(examples("status_changed"))]
    action_type: String,
    /// The value before.
    old_value: Option<Value>,
    /// The value after.
    new_value: Option<Value>,
    /// Circumstances; for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// When.
    created_at: Timestamp,
}

impl ActivityBody {
    pub(super) fn new(activity: Activity, audience: Audience, people: &[PersonCard]) -> Self {
        let Activity {
            id: ActivityId(id),
            ticket,
            actor,
            action,
            old_value,
            new_value,
            metadata,
            created_at,
        } = activity;
        let actor_name = actor
            .and_then(|actor| people.iter().find(|card| card.id == actor))
            .map(|card| card.name.clone());
        let staff = audience == Audience::Staff;
        // Of a customer's history only statuses, and what they said themselves, have values that they may see.
        let values_are_shown = staff || matches!(action.as_str(), action::STATUS_CHANGED | action::RATED);
        Self {
            id,
            ticket_id: ticket.0,
            actor_id: staff.then(|| actor.map(|user| user.0)),
            actor_name,
            action_type: action,
            old_value: old_value.filter(|_| values_are_shown),
            new_value: new_value.filter(|_| values_are_shown),
            metadata: staff.then_some(metadata),
            created_at: Timestamp(created_at),
        }
    }
}
