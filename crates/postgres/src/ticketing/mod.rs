//! The ports of ticketing.
//!
//! A decision is stored by one statement (`commit`), so that it takes one round trip and no transaction block; a list
//! is a merge of short index walks (`list`). [`rows`] has the one shape in which tickets and their conversations are
//! read and written.

mod attachments;
mod commit;
mod counts;
mod directory;
mod drafts;
mod fields;
mod filter;
mod import;
mod jobs;
mod joint;
mod list;
mod routing;
mod rows;
mod search;
mod views;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use kernel::{EventReceipt, MessageId, Page, PageLimit, PortError, Position, TicketId, UserId};
use ticketing::{
    Activity, Attachment, AttachmentId, Audience, CommitError, Count, JointCommit, JointError, LinkedTicket,
    MergeFacts, Message, Note, Scope, Tally, Ticket, TicketCommit, TicketFilter, TicketKey, TicketNumber,
    TicketQuery, TicketStore, action,
};

use crate::Database;
use crate::receipts::delete_event_receipt;
use crate::schema::{ticket_messages, tickets};
use crate::sql::Sql;
use rows::{ActivityRow, MessageRow, NoteRow, TicketRow};

pub(crate) use commit::insert_activities;
pub use directory::PgDirectory;
pub use drafts::PgDrafts;
pub use fields::PgFields;
pub use jobs::PgJobs;
#[cfg(test)]
pub(crate) use list::PlanRow;
pub use routing::PgRouting;
pub(crate) use rows::{IdRow, NumberRow};
pub use search::PgSearch;
pub use views::PgViews;

const PORT: &str = "tickets";

/// Tickets in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgTickets {
    database: Database,
}

impl PgTickets {
    /// The tickets of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// One page of a ticket's rows in the order of their making, from `select … WHERE ticket_id =`.
    async fn conversation<R>(
        &self,
        select: Sql,
        ticket: TicketId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Vec<R>, PortError>
    where
        R: QueryableByName<diesel::pg::Pg> + Send + 'static,
    {
        let mut sql = select.bind(ticket);
        if let Some(Position { at, id }) = after {
            sql = sql
                .push(" AND (created_at, id) > (")
                .bind(at)
                .push(", ")
                .bind(id)
                .push(")");
        }
        let sql = sql
            .push(" ORDER BY created_at, id LIMIT ")
            .bind(limit.rows_and_one());
        let read = self
            .database
            .run(async |connection| sql.clone().load::<R>(connection).await)
            .await;
        read.map_err(|failure| failure.at(PORT))
    }
}

#[async_trait]
impl TicketStore for PgTickets {
    async fn next_number(&self) -> Result<TicketNumber, PortError> {
        let sql = Sql::new("SELECT nextval('ticket_number_seq') AS number");
        let read = self
            .database
            .run(async |connection| sql.clone().get_result::<NumberRow>(connection).await)
            .await;
        read.map(|row| TicketNumber::of(row.number))
            .map_err(|failure| failure.at(PORT))
    }

    async fn find(&self, key: &TicketKey) -> Result<Option<Ticket>, PortError> {
        let read = self
            .database
            .run(async |connection| {
                let select = tickets::table.select(TicketRow::as_select());
                match key {
                    TicketKey::Id(id) => select.find(id.0).first(connection).await.optional(),
                    TicketKey::Number(number) => select
                        .filter(tickets::ticket_number.eq(number.as_str()))
                        .first(connection)
                        .await
                        .optional(),
                }
            })
            .await;
        read.map_err(|failure| failure.at(PORT))?
            .map(TicketRow::into_ticket)
            .transpose()
    }

    async fn list(&self, scope: &Scope, query: &TicketQuery) -> Result<Page<Ticket>, PortError> {
        let sql = list::page(scope, query);
        let read = self
            .database
            .run(async |connection| sql.clone().load::<TicketRow>(connection).await)
            .await;
        let rows = read.map_err(|failure| failure.at(PORT))?;
        let found = rows
            .into_iter()
            .map(TicketRow::into_ticket)
            .collect::<Result<Vec<_>, _>>()?;
        let position = |ticket: &Ticket| list::position(ticket, query.sort.key, scope.audience());
        Ok(Page::from_rows(found, query.limit, position))
    }

    async fn count(&self, scope: &Scope, query: &TicketQuery) -> Result<Count, PortError> {
        list::count(&self.database, scope, query)
            .await
            .map_err(|failure| failure.at(PORT))
    }

    async fn count_each(
        &self,
        scope: &Scope,
        filters: &[TicketFilter],
        rows_max: i64,
    ) -> Result<Vec<i64>, PortError> {
        counts::count_each(&self.database, scope, filters, rows_max)
            .await
            .map_err(|failure| failure.at(PORT))
    }

    async fn commit(&self, commit: TicketCommit) -> Result<(), CommitError> {
        commit::store(&self.database, commit).await
    }

    async fn commit_together(&self, commit: JointCommit) -> Result<(), JointError> {
        joint::store(&self.database, commit).await
    }

    async fn links(&self, ticket: TicketId) -> Result<Vec<LinkedTicket>, PortError> {
        joint::links(&self.database, ticket).await
    }

    async fn merge_of(&self, source: TicketId) -> Result<Option<MergeFacts>, PortError> {
        let read = joint::merge_of(&self.database, source).await;
        read.map_err(|failure| failure.at(PORT))
    }

    async fn tally(&self, ticket: TicketId, without: &[MessageId]) -> Result<Tally, PortError> {
        let read = joint::tally(&self.database, ticket, without).await;
        read.map_err(|failure| failure.at(PORT))
    }

    async fn messages(
        &self,
        ticket: TicketId,
        audience: Audience,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Message>, PortError> {
        let select = Sql::new(
            "SELECT id, ticket_id, sender_id, message, message_html, attachment_urls, is_internal, created_at, \
             updated_at FROM ",
        );
        let select = match audience {
            Audience::Customer => select.push("public_messages"),
            Audience::Staff => select.push("ticket_messages"),
        };
        let rows = self
            .conversation(select.push(" WHERE ticket_id = "), ticket, after, limit)
            .await?;
        let mut messages: Vec<_> = rows.into_iter().map(MessageRow::into_message).collect();
        attachments::hang_on(&self.database, &mut messages).await?;
        Ok(Page::from_rows(messages, limit, Message::position))
    }

    async fn message(&self, ticket: TicketId, message: MessageId) -> Result<Option<Message>, PortError> {
        let read = self
            .database
            .run(async |connection| {
                ticket_messages::table
                    .select(MessageRow::as_select())
                    .find(message.0)
                    .filter(ticket_messages::ticket_id.eq(ticket.0))
                    .first(connection)
                    .await
                    .optional()
            })
            .await;
        let row = read.map_err(|failure| failure.at(PORT))?;
        let mut found: Vec<_> = row.into_iter().map(MessageRow::into_message).collect();
        attachments::hang_on(&self.database, &mut found).await?;
        Ok(found.pop())
    }

    async fn uploads(&self, uploader: UserId, ids: &[AttachmentId]) -> Result<Vec<Attachment>, PortError> {
        attachments::uploads(&self.database, uploader, ids).await
    }

    async fn messages_among(
        &self,
        ticket: TicketId,
        messages: &[MessageId],
    ) -> Result<Vec<Message>, PortError> {
        let ids: Vec<uuid::Uuid> = messages.iter().map(|id| id.0).collect();
        let read = self
            .database
            .run(async |connection| {
                ticket_messages::table
                    .select(MessageRow::as_select())
                    .filter(ticket_messages::ticket_id.eq(ticket.0))
                    .filter(ticket_messages::id.eq_any(&ids))
                    .order((ticket_messages::created_at, ticket_messages::id))
                    .load(connection)
                    .await
            })
            .await;
        let rows = read.map_err(|failure| failure.at(PORT))?;
        let mut found: Vec<_> = rows.into_iter().map(MessageRow::into_message).collect();
        attachments::hang_on(&self.database, &mut found).await?;
        Ok(found)
    }

    async fn notes(
        &self,
        ticket: TicketId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Note>, PortError> {
        let select = Sql::new(
            "SELECT id, ticket_id, agent_id, message, created_at FROM ticket_notes WHERE ticket_id = ",
        );
        let rows = self.conversation(select, ticket, after, limit).await?;
        let notes = rows.into_iter().map(NoteRow::into_note).collect();
        Ok(Page::from_rows(notes, limit, Note::position))
    }

    async fn activities(
        &self,
        ticket: TicketId,
        audience: Audience,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Activity>, PortError> {
        let select = Sql::new(
            "SELECT id, ticket_id, actor_id, action_type, old_value, new_value, metadata, created_at \
             FROM ticket_activities WHERE ",
        );
        let select = match audience {
            Audience::Customer => {
                let public: Vec<String> = action::PUBLIC.iter().map(|kind| (*kind).to_owned()).collect();
                select
                    .push("action_type = ANY(")
                    .bind(public)
                    .push(") AND ticket_id = ")
            }
            Audience::Staff => select.push("ticket_id = "),
        };
        let rows = self.conversation(select, ticket, after, limit).await?;
        let activities = rows.into_iter().map(ActivityRow::into_activity).collect();
        Ok(Page::from_rows(activities, limit, Activity::position))
    }

    async fn take_back(&self, receipt: &EventReceipt) -> Result<(), PortError> {
        self.database
            .affected(PORT, delete_event_receipt(receipt))
            .await
            .map(drop)
    }

    async fn silent_since(&self, before: DateTime<Utc>, rows_max: i64) -> Result<Vec<TicketId>, PortError> {
        let sql = Sql::new(
            "SELECT id FROM tickets WHERE status = 'resolved' AND deleted_at IS NULL AND resolved_at <= ",
        )
        .bind(before)
        .push(" AND (public_last_message_at IS NULL OR public_last_message_at <= ")
        .bind(before)
        .push(") ORDER BY resolved_at LIMIT ")
        .bind(rows_max);
        let read = self
            .database
            .run(async |connection| sql.clone().load::<IdRow>(connection).await)
            .await;
        let rows = read.map_err(|failure| failure.at(PORT))?;
        Ok(rows.into_iter().map(|row| TicketId(row.id)).collect())
    }
}

#[cfg(test)]
mod filter_tests;
#[cfg(test)]
mod jobs_tests;
#[cfg(test)]
mod routing_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod views_tests;
