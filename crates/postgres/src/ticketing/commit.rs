//! A ticketing decision as one statement.
//!
//! The ticket's own write comes first and gives a row only when the version is still the expected one; everything else
//! is inserted on the condition that it did. One statement is atomic by itself: no transaction block, one round trip.

use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use ticketing::{ClockWrite, CommitError, Reference, TicketCommit, TicketWrite};
use uuid::Uuid;

use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::sla::keep_clocks;
use crate::sql::Sql;

use super::PORT;
use super::attachments;
use super::drafts;
use super::jobs;
use super::rows::{ActivityRow, MessageRow, NoteRow, NumberRow, TicketRow};

const IF_CHANGED: &str = " WHERE EXISTS (SELECT 1 FROM changed))";

/// Stores a decision whole, or nothing of it.
pub(super) async fn store(database: &Database, commit: TicketCommit) -> Result<(), CommitError> {
    let tells = !commit.events.is_empty();
    let sql = statement(commit)?;
    let run = database
        .run(async |connection| sql.clone().get_result::<NumberRow>(connection).await)
        .await;
    match run {
        Ok(NumberRow { number: 0 }) => Err(CommitError::Stale),
        Ok(NumberRow { .. }) => {
            if tells {
                database.wake_ups().committed();
            }
            Ok(())
        }
        Err(failure) => Err(refusal(failure)),
    }
}

/// What a decision locks first and moves afterwards, beside the ticket.
pub(super) struct Beside {
    /// Parts of a `WITH` that come before everything else.
    pub(super) held: Sql,
    /// Under which the ticket changes.
    pub(super) condition: Sql,
    /// Parts that come after `changed`, each only where that gives a row.
    pub(super) moves: Sql,
}

/// The statement that stores a decision; its `number` is 0 where the ticket moved on.
pub(super) fn statement(commit: TicketCommit) -> Result<Sql, CommitError> {
    statement_beside(commit, None)
}

/// The same with something beside the ticket.
pub(super) fn statement_beside(commit: TicketCommit, beside: Option<Beside>) -> Result<Sql, CommitError> {
    let TicketCommit {
        ticket,
        messages,
        edited_messages,
        removed_attachments,
        notes,
        activities,
        events,
        receipt,
        item,
        assigns,
        clocks,
    } = commit;
    // Without a condition where no message has uploads, so that the usual statement stays as it was.
    let held = attachments::held_for(&messages)?;
    let (mut begin, mut conditions) = (Sql::new("WITH "), Vec::new());
    if let Some(held) = &held {
        begin = begin.push("held AS (").append(held.rows.clone()).push("), ");
        conditions.push(held.all_there.clone());
    }
    if let Some(assignee) = assigns {
        // Whoever shuts the person out waits for this, or this finds them shut out.
        begin = begin
            .push("assignable AS MATERIALIZED (SELECT id FROM users WHERE id = ")
            .bind(assignee)
            .push(" AND status = 'active' AND deleted_at IS NULL AND role <> 'user' FOR SHARE), ");
        conditions.push(Sql::new("EXISTS (SELECT 1 FROM assignable)"));
    }
    let mut moves = None;
    if let Some(beside) = beside {
        begin = begin.append(beside.held).push(", ");
        conditions.push(beside.condition);
        moves = Some(beside.moves);
    }
    let begin = begin.push("changed AS (");
    let clocks = clocks.and_then(|write| match &ticket {
        TicketWrite::Insert(ticket) | TicketWrite::Update { ticket, .. } => Some((ticket.id, write)),
        TicketWrite::Unchanged => None,
    });
    let on = |sql: Sql, word: &'static str| {
        let mut sql = sql;
        for (index, condition) in conditions.iter().enumerate() {
            let word = if index == 0 { word } else { " AND " };
            sql = sql.push(word).append(condition.clone());
        }
        sql
    };
    let mut sql = match ticket {
        TicketWrite::Insert(ticket) => {
            let row = rows_json(std::iter::once(TicketRow::of(&ticket)))?;
            on(insert_tickets(begin, row), " WHERE ").push(" RETURNING id)")
        }
        TicketWrite::Update { ticket, expected } => {
            let row = rows_json(std::iter::once(TicketRow::of(&ticket)))?;
            let update = begin
                .push("UPDATE tickets t SET ")
                .push(ASSIGNMENTS)
                .push(" FROM jsonb_to_recordset(")
                .bind(row)
                .push(") AS r ")
                .push(TicketRow::RECORD)
                .push(" WHERE t.id = ")
                .bind(ticket.id)
                .push(" AND t.version = ")
                .bind(expected.0);
            on(update, " AND ").push(" RETURNING t.id)")
        }
        TicketWrite::Unchanged => on(begin.push("SELECT 1"), " WHERE ").push(")"),
    };
    if !messages.is_empty() {
        let rows = rows_json(messages.iter().map(MessageRow::of))?;
        sql = insert_messages(sql.push(", new_messages AS ("), rows)
            .push(IF_CHANGED)
            .append(drafts::spent_by(&messages));
    }
    if !edited_messages.is_empty() {
        sql = sql
            .push(
                ", edited_messages AS (UPDATE ticket_messages m SET message = r.message, \
                 message_html = r.message_html, attachment_urls = r.attachment_urls, updated_at = r.updated_at FROM jsonb_to_recordset(",
            )
            .bind(rows_json(edited_messages.iter().map(MessageRow::of))?)
            .push(") AS r ")
            .push(MessageRow::RECORD)
            .push(" WHERE m.id = r.id AND EXISTS (SELECT 1 FROM changed))");
    }
    if held.is_some() {
        sql = sql.push(attachments::BIND_HELD);
    }
    if !removed_attachments.is_empty() {
        let removed: Vec<Uuid> = removed_attachments.into_iter().map(|id| id.0).collect();
        sql = sql
            .push(", removed_attachments AS (DELETE FROM attachments WHERE id = ANY(")
            .bind(removed)
            .push(") AND EXISTS (SELECT 1 FROM changed))");
    }
    if !notes.is_empty() {
        sql = sql
            .push(
                ", new_notes AS (INSERT INTO ticket_notes (id, ticket_id, agent_id, message, created_at) \
                 SELECT id, ticket_id, agent_id, message, created_at FROM jsonb_to_recordset(",
            )
            .bind(rows_json(notes.iter().map(NoteRow::of))?)
            .push(") AS r ")
            .push(NoteRow::RECORD)
            .push(IF_CHANGED);
    }
    if !activities.is_empty() {
        sql = insert_activities(
            sql.push(", new_activities AS ("),
            rows_json(activities.iter().map(ActivityRow::of))?,
        )
        .push(IF_CHANGED);
    }
    if !events.is_empty() {
        let insert =
            insert_events(&events, Some("changed")).map_err(|error| Failure::from(error).at(PORT))?;
        sql = sql.push(", new_events AS (").append(insert).push(")");
    }
    if let Some((ticket, write)) = clocks {
        let ClockWrite { clocks, spans, .. } = write;
        sql = sql.append(keep_clocks(
            [(ticket, clocks)],
            spans.into_iter().map(|span| (ticket, span)),
        ));
    }
    if let Some(moves) = moves {
        sql = sql.push(", ").append(moves);
    }
    if let Some(receipt) = receipt {
        sql = sql
            .push(", new_receipt AS (")
            .append(insert_receipt(&receipt, Some("changed")))
            .push(")");
    }
    if let Some(item) = item {
        sql = sql
            .push(", new_result AS (")
            .append(jobs::insert_result(&item)?)
            .push(" FROM changed)");
    }
    Ok(sql.push(" SELECT count(*) AS number FROM changed"))
}

/// Every column that can change, from the record `r`.
const ASSIGNMENTS: &str = "subject = r.subject, description = r.description, assigned_to = r.assigned_to, \
    team_id = r.team_id, priority = r.priority, status = r.status, sla_policy_id = r.sla_policy_id, \
    first_response_at = r.first_response_at, sla_due_at = r.sla_due_at, sla_breached = r.sla_breached, \
    resolved_at = r.resolved_at, closed_at = r.closed_at, auto_closed_at = r.auto_closed_at, tags = r.tags, \
    custom_fields = r.custom_fields, metadata = r.metadata, updated_at = r.updated_at, deleted_at = r.deleted_at, \
    version = r.version, public_version = r.public_version, public_updated_at = r.public_updated_at, \
    message_count = r.message_count, public_message_count = r.public_message_count, \
    last_message_at = r.last_message_at, public_last_message_at = r.public_last_message_at, merged_into_id = r.merged_into_id, \
    satisfaction_score = r.satisfaction_score, satisfaction_comment = r.satisfaction_comment, rated_at = r.rated_at, \
    cc_ids = r.cc_ids, follower_ids = r.follower_ids";

/// Adds the insertion of tickets; a condition on the record `r` may follow.
pub(super) fn insert_tickets(sql: Sql, rows: Value) -> Sql {
    sql.push("INSERT INTO tickets (")
        .push(TicketRow::COLUMNS)
        .push(") SELECT ")
        .push(TicketRow::COLUMNS)
        .push(" FROM jsonb_to_recordset(")
        .bind(rows)
        .push(") AS r ")
        .push(TicketRow::RECORD)
}

/// Adds the insertion of messages; a condition on the record `r` may follow.
pub(super) fn insert_messages(sql: Sql, rows: Value) -> Sql {
    sql.push(
        "INSERT INTO ticket_messages (id, ticket_id, sender_id, message, message_html, attachment_urls, is_internal, \
         created_at, updated_at) SELECT id, ticket_id, sender_id, message, message_html, attachment_urls, is_internal, \
         created_at, updated_at FROM jsonb_to_recordset(",
    )
    .bind(rows)
    .push(") AS r ")
    .push(MessageRow::RECORD)
}

/// Adds the insertion of activities; a condition on the record `r` may follow.
pub(crate) fn insert_activities(sql: Sql, rows: Value) -> Sql {
    sql.push(
        "INSERT INTO ticket_activities (id, ticket_id, actor_id, action_type, old_value, new_value, metadata, \
         created_at) SELECT id, ticket_id, actor_id, action_type, old_value, new_value, metadata, created_at \
         FROM jsonb_to_recordset(",
    )
    .bind(rows)
    .push(") AS r ")
    .push(ActivityRow::RECORD)
}

/// Rows as the JSON array that `jsonb_to_recordset` unpacks.
pub(super) fn rows_json<R: Serialize>(rows: impl Iterator<Item = R>) -> Result<Value, kernel::PortError> {
    rows.map(serde_json::to_value)
        .collect::<Result<Vec<_>, _>>()
        .map(Value::Array)
        .map_err(|error| kernel::PortError::Bug {
            port: PORT,
            source: Box::new(error),
        })
}

/// What the constraints mean that a decision can meet.
pub(super) fn refusal(failure: Failure) -> CommitError {
    match failure.constraint() {
        Some("tickets_ticket_number_key") => CommitError::NumberTaken,
        Some("tickets_created_by_fkey") => CommitError::Dangling(Reference::Requester),
        Some("tickets_assigned_to_fkey") => CommitError::Dangling(Reference::Assignee),
        Some("tickets_team_id_fkey") => CommitError::Dangling(Reference::Team),
        Some("tickets_sla_policy_id_fkey") => CommitError::Dangling(Reference::SlaPolicy),
        Some(jobs::RESULT_KEY) => CommitError::Repeated,
        Some(_) if is_repeated(&failure) => CommitError::Repeated,
        Some(_) | None => CommitError::Port(failure.at(PORT)),
    }
}
