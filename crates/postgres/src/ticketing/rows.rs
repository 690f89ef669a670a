//! Tickets, messages, notes and activities as rows: one struct for each table, both ways.
//!
//! A row that is written goes as JSON under its columns' names and is unpacked by `jsonb_to_recordset`, so that one
//! statement's text serves any number of rows; [`TicketRow::RECORD`] and its like name the columns with their types.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use events::{TicketChannel, TicketPriority, TicketStatus};
use kernel::{MessageId, PortError, TeamId, TicketId, UserId, Version};
use serde::Serialize;
use serde_json::{Map, Value};
use ticketing::{
    Activity, ActivityId, Body, CustomFields, Description, Face, Message, Note, NoteId, Rating, Remark,
    Satisfaction, Score, Standing, Subject, Tags, Ticket, TicketNumber, Visibility,
};
use uuid::Uuid;

use crate::moment::{MaybeMoment, Moment};
use crate::schema::{ticket_activities, ticket_messages, ticket_notes, tickets};

/// A row of `tickets`.
#[derive(Debug, Clone, Queryable, Selectable, QueryableByName, Serialize)]
#[diesel(table_name = tickets, check_for_backend(diesel::pg::Pg))]
pub(super) struct TicketRow {
    id: Uuid,
    ticket_number: String,
    subject: String,
    description: String,
    created_by: Uuid,
    assigned_to: Option<Uuid>,
    team_id: Option<Uuid>,
    priority: TicketPriority,
    status: TicketStatus,
    channel: TicketChannel,
    sla_policy_id: Option<Uuid>,
    #[diesel(deserialize_as = MaybeMoment)]
    first_response_at: Option<DateTime<Utc>>,
    #[diesel(deserialize_as = MaybeMoment)]
    sla_due_at: Option<DateTime<Utc>>,
    sla_breached: bool,
    #[diesel(deserialize_as = MaybeMoment)]
    resolved_at: Option<DateTime<Utc>>,
    #[diesel(deserialize_as = MaybeMoment)]
    closed_at: Option<DateTime<Utc>>,
    #[diesel(deserialize_as = MaybeMoment)]
    auto_closed_at: Option<DateTime<Utc>>,
    tags: Value,
    custom_fields: Value,
    metadata: Value,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
    #[diesel(deserialize_as = Moment)]
    updated_at: DateTime<Utc>,
    #[diesel(deserialize_as = MaybeMoment)]
    deleted_at: Option<DateTime<Utc>>,
    version: i32,
    public_version: i32,
    #[diesel(deserialize_as = Moment)]
    public_updated_at: DateTime<Utc>,
    message_count: i32,
    public_message_count: i32,
    #[diesel(deserialize_as = MaybeMoment)]
    last_message_at: Option<DateTime<Utc>>,
    #[diesel(deserialize_as = MaybeMoment)]
    public_last_message_at: Option<DateTime<Utc>>,
    merged_into_id: Option<Uuid>,
    satisfaction_score: Option<i16>,
    satisfaction_comment: Option<String>,
    #[diesel(deserialize_as = MaybeMoment)]
    rated_at: Option<DateTime<Utc>>,
    /// PostgreSQL's arrays can hold nulls; nobody means anything by them here.
    cc_ids: Vec<Option<Uuid>>,
    follower_ids: Vec<Option<Uuid>>,
}

impl TicketRow {
    /// The columns.
    pub(super) const COLUMNS: &str = "id, ticket_number, subject, description, created_by, assigned_to, team_id, \
        priority, status, channel, sla_policy_id, first_response_at, sla_due_at, sla_breached, resolved_at, closed_at, \
        auto_closed_at, tags, custom_fields, metadata, created_at, updated_at, deleted_at, version, public_version, \
        public_updated_at, message_count, public_message_count, last_message_at, public_last_message_at, merged_into_id, \
        satisfaction_score, satisfaction_comment, rated_at, cc_ids, follower_ids";

    /// The columns as `jsonb_to_recordset` unpacks them.
    pub(super) const RECORD: &str = "(id uuid, ticket_number text, subject text, description text, created_by uuid, \
        assigned_to uuid, team_id uuid, priority \"TicketPriority\", status \"TicketStatus\", \
        channel \"TicketChannel\", sla_policy_id uuid, first_response_at timestamptz, sla_due_at timestamptz, \
        sla_breached boolean, resolved_at timestamptz, closed_at timestamptz, auto_closed_at timestamptz, tags jsonb, \
        custom_fields jsonb, metadata jsonb, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz, \
        version integer, public_version integer, public_updated_at timestamptz, message_count integer, \
        public_message_count integer, last_message_at timestamptz, public_last_message_at timestamptz, merged_into_id uuid, \
        satisfaction_score smallint, satisfaction_comment text, rated_at timestamptz, cc_ids uuid[], follower_ids uuid[])";

    pub(super) fn of(ticket: &Ticket) -> Self {
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
            staff_face,
            public_face,
        } = ticket;
        Self {
            id: id.0,
            ticket_number: number.as_str().to_owned(),
            subject: subject.as_str().to_owned(),
            description: description.as_str().to_owned(),
            created_by: requester.0,
            assigned_to: assignee.map(|user| user.0),
            team_id: team.map(|team| team.0),
            priority: *priority,
            status: standing.status(),
            channel: *channel,
            sla_policy_id: *sla_policy,
            first_response_at: *first_response_at,
            sla_due_at: *sla_due_at,
            sla_breached: *sla_breached,
            resolved_at: standing.resolved_at(),
            closed_at: standing.closed_at(),
            auto_closed_at: standing.auto_closed_at(),
            tags: tags.to_json(),
            custom_fields: custom_fields.to_json(),
            metadata: Value::Object(metadata.clone()),
            created_at: *created_at,
            updated_at: staff_face.updated_at,
            deleted_at: *deleted_at,
            version: staff_face.version.0,
            public_version: public_face.version.0,
            public_updated_at: public_face.updated_at,
            message_count: staff_face.message_count,
            public_message_count: public_face.message_count,
            last_message_at: staff_face.last_message_at,
            public_last_message_at: public_face.last_message_at,
            merged_into_id: merged_into.map(|ticket| ticket.0),
            satisfaction_score: satisfaction
                .as_ref()
                .map(|given| i16::from(given.rating.score.get())),
            satisfaction_comment: satisfaction
                .as_ref()
                .and_then(|given| given.rating.comment.as_ref())
                .map(|comment| comment.as_str().to_owned()),
            rated_at: satisfaction.as_ref().map(|given| given.rated_at),
            cc_ids: cc.iter().map(|user| Some(user.0)).collect(),
            follower_ids: followers.iter().map(|user| Some(user.0)).collect(),
        }
    }

    /// The ticket. JSON documents are free to other writers: what is no list of tags or no object reads as empty.
    pub(super) fn into_ticket(self) -> Result<Ticket, PortError> {
        let Self {
            id,
            ticket_number,
            subject,
            description,
            created_by,
            assigned_to,
            team_id,
            priority,
            status,
            channel,
            sla_policy_id,
            first_response_at,
            sla_due_at,
            sla_breached,
            resolved_at,
            closed_at,
            auto_closed_at,
            tags,
            custom_fields,
            metadata,
            created_at,
            updated_at,
            deleted_at,
            version,
            public_version,
            public_updated_at,
            message_count,
            public_message_count,
            last_message_at,
            public_last_message_at,
            merged_into_id,
            satisfaction_score,
            satisfaction_comment,
            rated_at,
            cc_ids,
            follower_ids,
        } = self;
        let counts_are_sane =
            version >= 1 && public_version >= 1 && message_count >= 0 && public_message_count >= 0;
        if !counts_are_sane {
            return Err(PortError::Corrupt {
                table: "tickets",
                column: "version",
                id: id.to_string(),
                detail: "versions start at 1 and counts at 0".to_owned(),
            });
        }
        // The table's constraints say that a rating is whole.
        let score = satisfaction_score
            .and_then(|score| u8::try_from(score).ok())
            .and_then(Score::stored);
        let satisfaction = score.zip(rated_at).map(|(score, rated_at)| Satisfaction {
            rating: Rating {
                score,
                comment: satisfaction_comment.map(Remark::stored),
            },
            rated_at,
        });
        Ok(Ticket {
            id: TicketId(id),
            number: TicketNumber::stored(ticket_number),
            subject: Subject::stored(subject),
            description: Description::stored(description),
            requester: UserId(created_by),
            assignee: assigned_to.map(UserId),
            team: team_id.map(TeamId),
            priority,
            standing: Standing::from_columns(status, resolved_at, closed_at, auto_closed_at, updated_at),
            channel,
            sla_policy: sla_policy_id,
            first_response_at,
            sla_due_at,
            sla_breached,
            tags: Tags::stored(texts(tags)),
            custom_fields: CustomFields::stored(object(custom_fields)),
            metadata: object(metadata),
            created_at,
            deleted_at,
            cc: cc_ids.into_iter().flatten().map(UserId).collect(),
            followers: follower_ids.into_iter().flatten().map(UserId).collect(),
            merged_into: merged_into_id.map(TicketId),
            satisfaction,
            staff_face: Face {
                version: Version(version),
                updated_at,
                message_count,
                last_message_at,
            },
            public_face: Face {
                version: Version(public_version),
                updated_at: public_updated_at,
                message_count: public_message_count,
                last_message_at: public_last_message_at,
            },
        })
    }
}

pub(super) fn texts(value: Value) -> Vec<String> {
    let Value::Array(items) = value else {
        return Vec::new();
    };
    let text = |item| {
        if let Value::String(text) = item {
            Some(text)
        } else {
            None
        }
    };
    items.into_iter().filter_map(text).collect()
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value {
        map
    } else {
        Map::new()
    }
}

/// A row of `ticket_messages`, or of the view `public_messages`.
#[derive(Debug, Clone, Queryable, Selectable, QueryableByName, Serialize)]
#[diesel(table_name = ticket_messages, check_for_backend(diesel::pg::Pg))]
pub(super) struct MessageRow {
    id: Uuid,
    ticket_id: Uuid,
    sender_id: Uuid,
    message: String,
    message_html: Option<String>,
    attachment_urls: Value,
    is_internal: bool,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
    #[diesel(deserialize_as = Moment)]
    updated_at: DateTime<Utc>,
}

impl MessageRow {
    /// The columns as `jsonb_to_recordset` unpacks them.
    pub(super) const RECORD: &str = "(id uuid, ticket_id uuid, sender_id uuid, message text, message_html text, \
        attachment_urls jsonb, is_internal boolean, created_at timestamptz, updated_at timestamptz)";

    pub(super) fn of(message: &Message) -> Self {
        let Message {
            id,
            ticket,
            sender,
            body,
            html,
            attachment_urls,
            attachments: _,
            visibility,
            created_at,
            updated_at,
        } = message;
        Self {
            id: id.0,
            ticket_id: ticket.0,
            sender_id: sender.0,
            message: body.as_str().to_owned(),
            message_html: html.clone(),
            attachment_urls: attachment_urls.clone(),
            is_internal: *visibility == Visibility::Internal,
            created_at: *created_at,
            updated_at: *updated_at,
        }
    }

    /// The message, its attachments yet to be added.
    pub(super) fn into_message(self) -> Message {
        let Self {
            id,
            ticket_id,
            sender_id,
            message,
            message_html,
            attachment_urls,
            is_internal,
            created_at,
            updated_at,
        } = self;
        Message {
            id: MessageId(id),
            ticket: TicketId(ticket_id),
            sender: UserId(sender_id),
            body: Body::stored(message),
            html: message_html,
            attachment_urls,
            attachments: Vec::new(),
            visibility: if is_internal {
                Visibility::Internal
            } else {
                Visibility::Public
            },
            created_at,
            updated_at,
        }
    }
}

/// A row of `ticket_notes`.
#[derive(Debug, Clone, QueryableByName, Serialize)]
#[diesel(table_name = ticket_notes, check_for_backend(diesel::pg::Pg))]
pub(super) struct NoteRow {
    id: Uuid,
    ticket_id: Uuid,
    agent_id: Uuid,
    message: String,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
}

impl NoteRow {
    /// The columns as `jsonb_to_recordset` unpacks them.
    pub(super) const RECORD: &str =
        "(id uuid, ticket_id uuid, agent_id uuid, message text, created_at timestamptz)";

    pub(super) fn of(note: &Note) -> Self {
        let Note {
            id,
            ticket,
            author,
            body,
            created_at,
        } = note;
        Self {
            id: id.0,
            ticket_id: ticket.0,
            agent_id: author.0,
            message: body.as_str().to_owned(),
            created_at: *created_at,
        }
    }

    pub(super) fn into_note(self) -> Note {
        let Self {
            id,
            ticket_id,
            agent_id,
            message,
            created_at,
        } = self;
        Note {
            id: NoteId(id),
            ticket: TicketId(ticket_id),
            author: UserId(agent_id),
            body: Body::stored(message),
            created_at,
        }
    }
}

/// A row of `ticket_activities`.
#[derive(Debug, Clone, QueryableByName, Serialize)]
#[diesel(table_name = ticket_activities, check_for_backend(diesel::pg::Pg))]
pub(super) struct ActivityRow {
    id: Uuid,
    ticket_id: Uuid,
    actor_id: Option<Uuid>,
    action_type: String,
    old_value: Option<Value>,
    new_value: Option<Value>,
    metadata: Value,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
}

impl ActivityRow {
    /// The columns as `jsonb_to_recordset` unpacks them.
    pub(super) const RECORD: &str = "(id uuid, ticket_id uuid, actor_id uuid, action_type text, old_value jsonb, \
        new_value jsonb, metadata jsonb, created_at timestamptz)";

    pub(super) fn of(activity: &Activity) -> Self {
        let Activity {
            id,
            ticket,
            actor,
            action,
            old_value,
            new_value,
            metadata,
            created_at,
        } = activity;
        Self {
            id: id.0,
            ticket_id: ticket.0,
            actor_id: actor.map(|user| user.0),
            action_type: action.clone(),
            old_value: old_value.clone(),
            new_value: new_value.clone(),
            metadata: metadata.clone(),
            created_at: *created_at,
        }
    }

    pub(super) fn into_activity(self) -> Activity {
        let Self {
            id,
            ticket_id,
            actor_id,
            action_type,
            old_value,
            new_value,
            metadata,
            created_at,
        } = self;
        Activity {
            id: ActivityId(id),
            ticket: TicketId(ticket_id),
            actor: actor_id.map(UserId),
            action: action_type,
            old_value,
            new_value,
            metadata,
            created_at,
        }
    }
}

/// An id alone.
#[derive(Debug, QueryableByName)]
pub(crate) struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) id: Uuid,
}

/// A number alone.
#[derive(Debug, QueryableByName)]
pub(crate) struct NumberRow {
    #[diesel(sql_type = BigInt)]
    pub(crate) number: i64,
}
