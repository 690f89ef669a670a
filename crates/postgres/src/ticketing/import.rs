//! The import's port: a batch is one statement.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use kernel::PortError;
use serde::Serialize;
use serde_json::Value;
use ticketing::{ImportStore, ImportedTicket, TicketNumber};
use uuid::Uuid;

use crate::error::Failure;
use crate::outbox::insert_events;
use crate::schema::{ticket_imports, tickets as tickets_table};
use crate::sql::Sql;

use super::commit::{insert_activities, insert_messages, insert_tickets, rows_json};
use super::rows::{ActivityRow, MessageRow, NumberRow, TicketRow};
use super::{PORT, PgTickets};

#[derive(Serialize)]
struct OriginRow<'a> {
    external_id: &'a str,
    ticket_id: Uuid,
}

#[derive(QueryableByName)]
struct StoredRow {
    #[diesel(sql_type = diesel::sql_types::Text)]
    external_id: String,
}

#[async_trait]
impl ImportStore for PgTickets {
    async fn known(&self, source: &str, external_ids: &[String]) -> Result<HashSet<String>, PortError> {
        let read = self
            .database
            .run(async |connection| {
                ticket_imports::table
                    .filter(ticket_imports::source.eq(source))
                    .filter(ticket_imports::external_id.eq_any(external_ids))
                    .select(ticket_imports::external_id)
                    .load::<String>(connection)
                    .await
            })
            .await;
        read.map(HashSet::from_iter).map_err(|failure| failure.at(PORT))
    }

    async fn origins(
        &self,
        source: &str,
        external_ids: &[String],
    ) -> Result<HashMap<String, Value>, PortError> {
        let read = self
            .database
            .run(async |connection| {
                ticket_imports::table
                    .inner_join(tickets_table::table)
                    .filter(ticket_imports::source.eq(source))
                    .filter(ticket_imports::external_id.eq_any(external_ids))
                    .select((ticket_imports::external_id, tickets_table::metadata))
                    .load::<(String, Value)>(connection)
                    .await
            })
            .await;
        let rows = read.map_err(|failure| failure.at(PORT))?;
        let origin = |mut metadata: Value| metadata.get_mut("import").map(Value::take).unwrap_or_default();
        Ok(rows
            .into_iter()
            .map(|(id, metadata)| (id, origin(metadata)))
            .collect())
    }

    async fn numbers(&self, count: i64) -> Result<Vec<TicketNumber>, PortError> {
        let sql = Sql::new("SELECT nextval('ticket_number_seq') AS number FROM generate_series(1, ")
            .bind(count)
            .push(")");
        let read = self
            .database
            .run(async |connection| sql.clone().load::<NumberRow>(connection).await)
            .await;
        let rows = read.map_err(|failure| failure.at(PORT))?;
        Ok(rows.into_iter().map(|row| TicketNumber::of(row.number)).collect())
    }

    async fn store(&self, source: &str, tickets: Vec<ImportedTicket>) -> Result<HashSet<String>, PortError> {
        let (mut origins, mut rows, mut written) = (vec![], vec![], vec![]);
        let (mut activities, mut events) = (vec![], vec![]);
        for ImportedTicket {
            external_id,
            ticket,
            messages,
            activity,
            event,
        } in &tickets
        {
            origins.push(OriginRow {
                external_id,
                ticket_id: ticket.id.0,
            });
            rows.push(TicketRow::of(ticket));
            written.extend(messages.iter().map(MessageRow::of));
            activities.push(ActivityRow::of(activity));
            events.push(event.clone());
        }
        // Two imports of the same rows lock them in the same order: one waits for the other, and neither for both.
        origins.sort_unstable_by_key(|origin| origin.external_id);
        let sql = Sql::new(
            "WITH fresh AS (INSERT INTO ticket_imports (source, external_id, ticket_id) SELECT ",
        )
        .bind(source)
        .push(", external_id, ticket_id FROM jsonb_to_recordset(")
        .bind(rows_json(origins.into_iter())?)
        .push(
            ") AS r (external_id text, ticket_id uuid) ON CONFLICT DO NOTHING RETURNING external_id, ticket_id), \
             new_tickets AS (",
        );
        let sql = insert_tickets(sql, rows_json(rows.into_iter())?)
            .push(" WHERE r.id IN (SELECT ticket_id FROM fresh)), new_messages AS (");
        let sql = insert_messages(sql, rows_json(written.into_iter())?)
            .push(" WHERE r.ticket_id IN (SELECT ticket_id FROM fresh)), new_activities AS (");
        let sql = insert_activities(sql, rows_json(activities.into_iter())?)
            .push(" WHERE r.ticket_id IN (SELECT ticket_id FROM fresh)), new_events AS (");
        let of_fresh = "LATERAL (SELECT 1 FROM fresh WHERE fresh.ticket_id = e.aggregate_id) AS known";
        let insert = insert_events(&events, Some(of_fresh)).map_err(|error| Failure::from(error).at(PORT))?;
        let sql = sql.append(insert).push(") SELECT external_id FROM fresh");
        let stored = self
            .database
            .run(async |connection| sql.clone().load::<StoredRow>(connection).await)
            .await;
        let rows = stored.map_err(|failure| failure.at(PORT))?;
        self.database.wake_ups().committed();
        Ok(rows.into_iter().map(|row| row.external_id).collect())
    }
}
