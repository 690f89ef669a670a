//! Messages in the making, in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use kernel::{PortError, TicketId, UserId};
use ticketing::{Body, Message, Unsent, UnsentStore, Visibility};
use uuid::Uuid;

use crate::Database;
use crate::schema::ticket_drafts;
use crate::sql::Sql;

const PORT: &str = "drafts";

/// Messages in the making, in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgDrafts {
    database: Database,
}

impl PgDrafts {
    /// Those of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = ticket_drafts)]
struct DraftRow {
    message: String,
    is_internal: bool,
    updated_at: DateTime<Utc>,
}

/// The part of a commit that takes away what its messages' authors had in the making.
pub(super) fn spent_by(messages: &[Message]) -> Sql {
    let tickets: Vec<Uuid> = messages.iter().map(|message| message.ticket.0).collect();
    let senders: Vec<Uuid> = messages.iter().map(|message| message.sender.0).collect();
    Sql::new(", spent_drafts AS (DELETE FROM ticket_drafts d USING unnest(")
        .bind(tickets)
        .push("::uuid[], ")
        .bind(senders)
        .push(
            "::uuid[]) AS r (ticket_id, sender_id) WHERE d.ticket_id = r.ticket_id AND d.user_id = r.sender_id \
             AND EXISTS (SELECT 1 FROM changed))",
        )
}

#[async_trait]
impl UnsentStore for PgDrafts {
    async fn unsent(&self, ticket: TicketId, author: UserId) -> Result<Option<Unsent>, PortError> {
        let sql = Sql::new("SELECT message, is_internal, updated_at FROM ticket_drafts WHERE ticket_id = ")
            .bind(ticket)
            .push(" AND user_id = ")
            .bind(author);
        let row = self.database.row::<DraftRow>(PORT, sql).await?;
        Ok(row.map(
            |DraftRow {
                 message,
                 is_internal,
                 updated_at,
             }| Unsent {
                ticket,
                author,
                body: Body::stored(message),
                visibility: if is_internal {
                    Visibility::Internal
                } else {
                    Visibility::Public
                },
                updated_at,
            },
        ))
    }

    async fn keep(&self, unsent: &Unsent) -> Result<(), PortError> {
        let Unsent {
            ticket,
            author,
            body,
            visibility,
            updated_at,
        } = unsent;
        let sql = Sql::new(
            "INSERT INTO ticket_drafts (ticket_id, user_id, message, is_internal, updated_at) VALUES (",
        )
        .bind(*ticket)
        .push(", ")
        .bind(*author)
        .push(", ")
        .bind(body.as_str())
        .push(", ")
        .bind(*visibility == Visibility::Internal)
        .push(", ")
        .bind(*updated_at)
        .push(
            ") ON CONFLICT (ticket_id, user_id) DO UPDATE SET message = EXCLUDED.message, \
                 is_internal = EXCLUDED.is_internal, updated_at = EXCLUDED.updated_at",
        );
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn discard(&self, ticket: TicketId, author: UserId) -> Result<bool, PortError> {
        let sql = Sql::new("DELETE FROM ticket_drafts WHERE ticket_id = ")
            .bind(ticket)
            .push(" AND user_id = ")
            .bind(author);
        Ok(self.database.affected(PORT, sql).await? > 0)
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let sql = Sql::new(
            "DELETE FROM ticket_drafts WHERE (ticket_id, user_id) IN \
             (SELECT ticket_id, user_id FROM ticket_drafts WHERE updated_at < ",
        )
        .bind(before)
        .push(" ORDER BY updated_at LIMIT ")
        .bind(rows_max)
        .push(" FOR UPDATE SKIP LOCKED)");
        self.database.affected(PORT, sql).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kernel::SequentialIds;
    use ticketing::testing::contract_drafts::unsent_store;

    use super::*;
    use crate::testing::own::test_database;
    use crate::ticketing::PgTickets;
    use crate::ticketing::tests::world;

    #[tokio::test(flavor = "multi_thread")]
    async fn drafts_keep_their_contract() {
        let test = test_database().await;
        let ids = Arc::new(SequentialIds::default());
        let world = world(&test, &ids).await;
        let tickets = Arc::new(PgTickets::new(test.database().clone()));
        unsent_store(
            Arc::new(PgDrafts::new(test.database().clone())),
            tickets,
            ids,
            world,
        )
        .await;
    }
}
