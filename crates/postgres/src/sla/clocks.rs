//! Tickets' clocks and their ledger, in PostgreSQL.
//!
//! Clocks change only together with their ticket's version: by a ticket's own commit, of which [`keep_clocks`] is a part, or by
//! [`PgClocks::save`], for which a sweep holds the ticket. So whoever decided on a version decided on its clocks, too, and what
//! two nodes say of one ticket is stored once.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Bool, Jsonb, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl as _;
use kernel::{PortError, TicketId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sla::ledger::LedgerRow;
use sla::{ClockStore, Due, DueTicket, KeptClocks, KeptSpan, PolicyId, PolicyRef, Spoken, Tracked};
use ticketing::history_of;
use uuid::Uuid;

use crate::Database;
use crate::outbox::insert_events;
use crate::sql::Sql;
use crate::ticketing::{NumberRow, insert_activities};

const PORT: &str = "ticket clocks";

/// Clocks in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgClocks {
    database: Database,
}

impl PgClocks {
    /// Those of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn found(&self, sql: Sql) -> Result<Due, PortError> {
        let rows: Vec<DueRow> = self.database.rows(PORT, sql).await?;
        // Where there is nothing, nothing is said at that time.
        let now = rows.iter().map(|row| row.now).next().unwrap_or_default();
        let tickets = rows.into_iter().map(DueRow::into_due).collect::<Result<_, _>>()?;
        Ok(Due { now, tickets })
    }
}

/// The parts of a statement that keep clocks and spans, each where the part `changed` gives its ticket's id.
pub(crate) fn keep_clocks(
    clocks: impl IntoIterator<Item = (TicketId, Value)>,
    spans: impl IntoIterator<Item = (TicketId, Value)>,
) -> Sql {
    let of_ticket = |(ticket, mut row): (TicketId, Value)| {
        if let Some(row) = row.as_object_mut() {
            row.insert("ticket_id".to_owned(), json!(ticket));
        }
        row
    };
    let clocks: Vec<_> = clocks.into_iter().map(of_ticket).collect();
    let spans: Vec<_> = spans.into_iter().map(of_ticket).collect();
    let mut sql = Sql::new(
        ", kept_clocks AS (INSERT INTO ticket_clocks \
         (ticket_id, policy_id, policy_version, is_explicit, is_live, wake_at, state) \
         SELECT k.ticket_id, k.policy_id, k.policy_version, k.is_explicit, k.is_live, k.wake_at, k.state \
         FROM jsonb_to_recordset(",
    )
    .bind(Value::Array(clocks))
    .push(
        ") AS k (ticket_id uuid, policy_id uuid, policy_version integer, is_explicit boolean, is_live boolean, \
         wake_at timestamptz, state jsonb) WHERE k.ticket_id IN (SELECT id FROM changed) \
         ON CONFLICT (ticket_id) DO UPDATE SET policy_id = EXCLUDED.policy_id, policy_version = EXCLUDED.policy_version, \
         is_explicit = EXCLUDED.is_explicit, is_live = EXCLUDED.is_live, wake_at = EXCLUDED.wake_at, \
         state = EXCLUDED.state)",
    );
    if !spans.is_empty() {
        sql = sql
            .push(
                ", new_spans AS (INSERT INTO sla_ledger (ticket_id, metric, run, from_at, to_at, counted_us, standstill, \
                 policy_id, policy_version, calendar_version, priority, target_us) SELECT s.ticket_id, s.metric, s.run, \
                 s.from_at, s.to_at, s.counted_us, s.standstill, s.policy_id, s.policy_version, s.calendar_version, \
                 s.priority, s.target_us FROM jsonb_to_recordset(",
            )
            .bind(Value::Array(spans))
            .push(
                ") AS s (ticket_id uuid, metric text, run integer, from_at timestamptz, to_at timestamptz, \
                 counted_us bigint, standstill text, policy_id uuid, policy_version integer, calendar_version integer, \
                 priority text, target_us bigint) WHERE s.ticket_id IN (SELECT id FROM changed))",
            );
    }
    sql
}

#[derive(QueryableByName)]
struct LiveRow {
    #[diesel(sql_type = SqlUuid)]
    ticket_id: Uuid,
    #[diesel(sql_type = Jsonb)]
    state: Value,
    #[diesel(sql_type = Bool)]
    is_explicit: bool,
}

#[derive(QueryableByName)]
struct ClocksRow {
    #[diesel(sql_type = Jsonb)]
    state: Value,
    #[diesel(sql_type = Bool)]
    is_explicit: bool,
}

#[derive(QueryableByName)]
struct SpanRow {
    #[diesel(sql_type = Jsonb)]
    span: Value,
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Jsonb)]
    ticket: Value,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    sla_policy_id: Option<Uuid>,
    #[diesel(sql_type = Jsonb)]
    state: Value,
    #[diesel(sql_type = Bool)]
    is_explicit: bool,
}

/// What a [`DueRow`] reads, of a ticket `t` with the clocks `c`.
const DUE_COLUMNS: &str = "now() AS now, t.id, jsonb_build_object('id', t.id, 'number', t.ticket_number, \
    'subject', t.subject, 'requester', t.created_by, 'assignee', t.assigned_to, 'team', t.team_id, 'status', t.status, \
    'priority', t.priority, 'version', t.version, 'cc', to_jsonb(t.cc_ids), 'followers', to_jsonb(t.follower_ids)) AS ticket, \
    t.sla_policy_id, c.state, c.is_explicit";

impl DueRow {
    fn into_due(self) -> Result<DueTicket, PortError> {
        let Self {
            now: _,
            id,
            ticket,
            sla_policy_id,
            state,
            is_explicit,
        } = self;
        let tracked = KeptClocks::tracked(&state, is_explicit);
        if let Err(error) = &tracked {
            tracing::error!(ticket = %id, error = error as &dyn std::error::Error, "a ticket's clocks cannot be read");
        }
        Ok(DueTicket {
            ticket: read("tickets", "id", id, ticket)?,
            named: sla_policy_id.map(PolicyId),
            tracked,
        })
    }
}

fn read<T: DeserializeOwned>(
    table: &'static str,
    column: &'static str,
    id: Uuid,
    value: Value,
) -> Result<T, PortError> {
    serde_json::from_value(value).map_err(|error| corrupt(table, column, id, &error))
}

fn corrupt(table: &'static str, column: &'static str, id: Uuid, error: &dyn std::error::Error) -> PortError {
    PortError::Corrupt {
        table,
        column,
        id: id.to_string(),
        detail: error.to_string(),
    }
}

fn written<T: Serialize>(row: T) -> Result<Value, PortError> {
    serde_json::to_value(row).map_err(|error| PortError::Bug {
        port: PORT,
        source: Box::new(error),
    })
}

#[async_trait]
impl ClockStore for PgClocks {
    async fn clocks(&self, ticket: TicketId) -> Result<Option<Tracked>, PortError> {
        let sql = Sql::new("SELECT state, is_explicit FROM ticket_clocks WHERE ticket_id = ").bind(ticket);
        let row: Option<ClocksRow> = self.database.row(PORT, sql).await?;
        row.map(|ClocksRow { state, is_explicit }| {
            let tracked = KeptClocks::tracked(&state, is_explicit);
            tracked.map_err(|error| corrupt("ticket_clocks", "state", ticket.0, &error))
        })
        .transpose()
    }

    async fn ledger(&self, ticket: TicketId, rows_max: i64) -> Result<Vec<LedgerRow>, PortError> {
        let sql = Sql::new("SELECT to_jsonb(l) - 'ticket_id' AS span FROM sla_ledger l WHERE l.ticket_id = ")
            .bind(ticket)
            .push(" ORDER BY l.to_at DESC, l.from_at DESC, l.metric LIMIT ")
            .bind(rows_max);
        let rows: Vec<SpanRow> = self.database.rows(PORT, sql).await?;
        rows.into_iter()
            .rev()
            .map(|SpanRow { span }| {
                let span: KeptSpan = read("sla_ledger", "ticket_id", ticket.0, span)?;
                LedgerRow::try_from(span)
                    .map_err(|error| corrupt("sla_ledger", "ticket_id", ticket.0, &error))
            })
            .collect()
    }

    async fn due(&self, rows_max: i64) -> Result<Due, PortError> {
        let sql = Sql::new("SELECT ")
            .push(DUE_COLUMNS)
            .push(
                " FROM ticket_clocks c JOIN tickets t ON t.id = c.ticket_id AND t.deleted_at IS NULL \
                 WHERE c.wake_at <= now() ORDER BY c.wake_at LIMIT ",
            )
            .bind(rows_max);
        self.found(sql).await
    }

    async fn behind(&self, present: &[PolicyRef], rows_max: i64) -> Result<Due, PortError> {
        let ids: Vec<Uuid> = present.iter().map(|policy| policy.id.0).collect();
        let versions: Vec<Value> = present.iter().map(|policy| json!(policy.version.0)).collect();
        // Of the policies that there are, those with an older version; of those that live clocks name, the ones that are gone. The
        // policies in use are found by skipping from one to the next in the index.
        let sql = Sql::new(
            "WITH RECURSIVE used AS ((SELECT policy_id FROM ticket_clocks WHERE is_live AND policy_id IS NOT NULL \
               ORDER BY policy_id LIMIT 1) \
             UNION ALL SELECT (SELECT c.policy_id FROM ticket_clocks c WHERE c.is_live AND c.policy_id > used.policy_id \
               ORDER BY c.policy_id LIMIT 1) FROM used WHERE used.policy_id IS NOT NULL), \
             found AS ((SELECT b.ticket_id FROM unnest(",
        )
        .bind(ids)
        .push(") WITH ORDINALITY AS p (id, place) JOIN jsonb_array_elements(")
        .bind(Value::Array(versions))
        .push(
            ") WITH ORDINALITY AS v (version, place) USING (place) CROSS JOIN LATERAL (SELECT c.ticket_id FROM ticket_clocks c \
             WHERE c.is_live AND c.policy_id = p.id AND c.policy_version < v.version::integer LIMIT ",
        )
        .bind(rows_max)
        .push(") b LIMIT ")
        .bind(rows_max)
        .push(
            ") UNION ALL (SELECT g.ticket_id FROM used CROSS JOIN LATERAL (SELECT c.ticket_id FROM ticket_clocks c \
             WHERE c.is_live AND c.policy_id = used.policy_id LIMIT ",
        )
        .bind(rows_max)
        .push(
            ") g WHERE used.policy_id IS NOT NULL \
             AND NOT EXISTS (SELECT FROM sla_policies p WHERE p.id = used.policy_id) LIMIT ",
        )
        .bind(rows_max)
        .push(")) SELECT ")
        .push(DUE_COLUMNS)
        .push(
            " FROM found JOIN ticket_clocks c USING (ticket_id) JOIN tickets t ON t.id = c.ticket_id \
             AND t.deleted_at IS NULL LIMIT ",
        )
        .bind(rows_max);
        self.found(sql).await
    }

    async fn live(
        &self,
        policy: PolicyId,
        after: Option<TicketId>,
        rows_max: i64,
    ) -> Result<Vec<(TicketId, Tracked)>, PortError> {
        let sql = Sql::new(
            "SELECT c.ticket_id, c.state, c.is_explicit FROM ticket_clocks c \
             JOIN tickets t ON t.id = c.ticket_id AND t.deleted_at IS NULL WHERE c.is_live AND c.policy_id = ",
        )
        .bind(policy.0)
        .push(" AND c.ticket_id > ")
        .bind(after.map_or(Uuid::nil(), |after| after.0))
        .push(" ORDER BY c.ticket_id LIMIT ")
        .bind(rows_max);
        let rows: Vec<LiveRow> = self.database.rows(PORT, sql).await?;
        rows.into_iter()
            .map(|row| {
                let LiveRow {
                    ticket_id,
                    state,
                    is_explicit,
                } = row;
                let tracked = KeptClocks::tracked(&state, is_explicit);
                let tracked =
                    tracked.map_err(|error| corrupt("ticket_clocks", "state", ticket_id, &error))?;
                Ok((TicketId(ticket_id), tracked))
            })
            .collect()
    }

    async fn save(&self, spoken: Vec<Spoken>) -> Result<u64, PortError> {
        let (mut rows, mut clocks, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        let (mut events, mut activities) = (Vec::new(), Vec::new());
        for said in spoken {
            let Spoken {
                ticket,
                kept,
                spans: ended,
                policy,
                due_at,
                is_breached,
                events: published,
            } = said;
            rows.push(json!({
                "ticket_id": ticket.id, "version": ticket.version, "policy_id": policy.map(|policy| policy.0),
                "due_at": due_at, "is_breached": is_breached,
            }));
            clocks.push((ticket.id, written(kept)?));
            for span in ended {
                spans.push((ticket.id, written(span)?));
            }
            for event in &published {
                if let events::Fact::Ticket { ticket, what } = &event.fact
                    && let Some((kind, value)) = history_of(what)
                {
                    activities.push(json!({
                        "id": event.id, "ticket_id": ticket.id, "actor_id": null, "action_type": kind, "old_value": null,
                        "new_value": value, "metadata": { "system": "sla" }, "created_at": event.at,
                    }));
                }
            }
            events.extend(published);
        }
        let tells = !events.is_empty();
        let published = insert_events(
            &events,
            Some("LATERAL (SELECT FROM changed WHERE changed.id = e.aggregate_id) AS held"),
        );
        let published = published.map_err(|error| PortError::Bug {
            port: PORT,
            source: Box::new(error),
        })?;
        // Who changes a ticket holds its row before its clocks; so does this, and waits for nobody.
        let sql = Sql::new("WITH r AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(")
            .bind(Value::Array(rows))
            .push(
                ") AS r (ticket_id uuid, version integer, policy_id uuid, due_at timestamptz, is_breached boolean)), \
                 held AS MATERIALIZED (SELECT t.id FROM tickets t JOIN r ON r.ticket_id = t.id \
                   WHERE t.version = r.version - 1 AND t.deleted_at IS NULL ORDER BY t.id FOR UPDATE OF t SKIP LOCKED), \
                 changed AS (UPDATE tickets t SET sla_due_at = r.due_at, sla_breached = r.is_breached, version = r.version, \
                   sla_policy_id = (SELECT p.id FROM sla_policies p WHERE p.id = r.policy_id) \
                   FROM r JOIN held ON held.id = r.ticket_id WHERE t.id = held.id RETURNING t.id)",
            )
            .append(keep_clocks(clocks, spans))
            .push(", told AS (")
            .append(insert_activities(Sql::new(""), Value::Array(activities)))
            .push(" WHERE r.ticket_id IN (SELECT id FROM changed)), published AS (")
            .append(published)
            .push(") SELECT count(*) AS number FROM changed");
        let stored = self
            .database
            .run(async |connection| sql.clone().get_result::<NumberRow>(connection).await)
            .await;
        let NumberRow { number } = stored.map_err(|failure| failure.at(PORT))?;
        if tells && number > 0 {
            self.database.wake_ups().committed();
        }
        Ok(u64::try_from(number).unwrap_or(0))
    }

    async fn put_off(&self, tickets: &[TicketId], seconds: i64) -> Result<(), PortError> {
        let ids: Vec<Uuid> = tickets.iter().map(|ticket| ticket.0).collect();
        tracing::error!(tickets = ?ids, "clocks cannot be moved on and are left alone for a while");
        let sql = Sql::new("UPDATE ticket_clocks SET is_live = false, wake_at = now() + ")
            .bind(seconds)
            .push(" * interval '1 second' WHERE ticket_id = ANY(")
            .bind(ids)
            .push(")");
        self.database.affected(PORT, sql).await.map(drop)
    }
}
