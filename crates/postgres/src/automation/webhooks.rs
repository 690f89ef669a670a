//! Webhook endpoints and their calls in PostgreSQL. Secrets are sealed before they are written.

use std::sync::Arc;

use async_trait::async_trait;
use automation::webhook::{
    Broken, Call, CallState, Claimed, Dead, Delivery, DeliveryState, DeliveryStore, ENDPOINTS_MAX, Endpoint,
    EndpointCommit, EndpointContent, EndpointStore, EndpointWrite, Health, LOG_MAX, NewCall, Replay, Secret,
    Secrets, Settled, WAITING_MAX,
};
use automation::{Audience, CommitError, Conditions, EndpointId, TriggerKind};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::AsyncConnection as _;
use kernel::{Page, PageLimit, PortError, Position, TicketId, UserId, Version};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::{webhook_calls, webhook_endpoints};
use crate::sql::Sql;
use crate::ticketing::NumberRow;

const PORT: &str = "webhooks";
/// New endpoints come one after the other, so that there are never too many.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('webhook endpoints', 0))";

/// Seals the secrets of endpoints.
pub trait SealSecrets: Send + Sync {
    /// Seals a secret of this endpoint.
    ///
    /// # Errors
    /// When the system gives no randomness.
    fn seal(&self, endpoint: EndpointId, secret: &Secret) -> Result<String, PortError>;

    /// What was sealed.
    ///
    /// # Errors
    /// When no known key opens it, or it is no secret.
    fn open(&self, endpoint: EndpointId, sealed: String) -> Result<Secret, PortError>;
}

/// Endpoints and calls in PostgreSQL.
#[derive(Clone)]
pub struct PgWebhooks {
    database: Database,
    seal: Arc<dyn SealSecrets>,
}

impl PgWebhooks {
    /// Those of this database, whose secrets are sealed so.
    #[must_use]
    pub fn new(database: Database, seal: Arc<dyn SealSecrets>) -> Self {
        Self { database, seal }
    }

    /// Seals every secret anew, in one statement for each endpoint; gives how many endpoints there are. One that changes
    /// meanwhile has been sealed with the present key by that.
    ///
    /// # Errors
    /// When the store cannot be reached, or a secret does not open.
    pub async fn reseal(&self) -> Result<u64, PortError> {
        let endpoints = self.endpoints().await?;
        for endpoint in &endpoints {
            let (secret, older) = self.sealed(endpoint)?;
            let sql = Sql::new("UPDATE webhook_endpoints SET secret = ")
                .bind(secret)
                .push(", older_secret = ")
                .bind(older)
                .push(" WHERE id = ")
                .bind(endpoint.id.0)
                .push(" AND version = ")
                .bind(endpoint.version.0);
            self.database.affected(PORT, sql).await?;
        }
        Ok(u64::try_from(endpoints.len()).unwrap_or(u64::MAX))
    }

    fn sealed(&self, endpoint: &Endpoint) -> Result<(Option<String>, Option<String>), PortError> {
        let sealed = endpoint
            .secrets
            .live()
            .map(|secret| self.seal.seal(endpoint.id, secret));
        let mut sealed = sealed.collect::<Result<Vec<_>, _>>()?.into_iter();
        Ok((sealed.next(), sealed.next()))
    }

    fn read(&self, row: EndpointRow) -> Result<Endpoint, PortError> {
        let EndpointRow {
            id,
            name,
            url,
            events,
            filter,
            audience,
            enabled,
            secret,
            older_secret,
            failures,
            failing_since,
            disabled,
            owner,
            created_at,
            updated_at,
            version,
        } = row;
        let corrupt = |column, detail: String| PortError::Corrupt {
            table: "webhook_endpoints",
            column,
            id: id.to_string(),
            detail,
        };
        let sealed = [Some(secret), older_secret].into_iter().flatten();
        let secrets = sealed.map(|sealed| self.seal.open(EndpointId(id), sealed));
        let secrets = Secrets::stored(secrets.collect::<Result<_, _>>()?);
        let filter = Conditions::read(&filter, "/filter", TriggerKind::Schedule);
        let disabled = disabled
            .map(|why| Broken::parse(&why).ok_or_else(|| corrupt("disabled", format!("{why} is not known"))));
        Ok(Endpoint {
            id: EndpointId(id),
            content: EndpointContent {
                name,
                url,
                events,
                filter: filter.map_err(|faults| corrupt("filter", faults.to_string()))?,
                audience: match audience.as_str() {
                    "staff" => Audience::Staff,
                    _ => Audience::Customer,
                },
                enabled,
            },
            secrets: secrets.ok_or_else(|| corrupt("secret", "there is none".to_owned()))?,
            health: Health {
                failures: u32::try_from(failures).unwrap_or(0),
                failing_since,
            },
            disabled: disabled.transpose()?,
            owner: UserId(owner),
            created_at,
            updated_at,
            version: Version(version),
        })
    }

    fn record(&self, endpoint: &Endpoint) -> Result<Value, PortError> {
        let (secret, older_secret) = self.sealed(endpoint)?;
        let Endpoint {
            id,
            content,
            secrets: _,
            health,
            disabled,
            owner,
            created_at,
            updated_at,
            version,
        } = endpoint;
        let EndpointContent {
            name,
            url,
            events,
            filter,
            audience,
            enabled,
        } = content;
        Ok(json!([{
            "id": id,
            "name": name,
            "url": url,
            "events": events,
            "filter": filter.as_json(),
            "audience": match audience { Audience::Staff => "staff", Audience::Customer => "customer" },
            "enabled": enabled,
            "secret": secret,
            "older_secret": older_secret,
            "failures": health.failures,
            "failing_since": health.failing_since,
            "disabled": disabled.map(Broken::as_str),
            "owner": owner,
            "created_at": created_at,
            "updated_at": updated_at,
            "version": version.0,
        }]))
    }

    async fn read_calls(&self, sql: Sql) -> Result<Vec<Call>, PortError> {
        let rows: Vec<CallRow> = self.database.rows(PORT, sql).await?;
        rows.into_iter().map(CallRow::into_call).collect()
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = webhook_endpoints)]
struct EndpointRow {
    id: Uuid,
    name: String,
    url: String,
    #[diesel(sql_type = diesel::sql_types::Array<diesel::sql_types::Text>)]
    events: Vec<String>,
    filter: Value,
    audience: String,
    enabled: bool,
    secret: String,
    older_secret: Option<String>,
    failures: i32,
    failing_since: Option<DateTime<Utc>>,
    disabled: Option<String>,
    owner: Uuid,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i32,
}

const COLUMNS: &str = "id, name, url, events, filter, audience, enabled, secret, older_secret, failures, failing_since, \
    disabled, owner, created_at, updated_at, version";

/// [`COLUMNS`] as `jsonb_to_recordset` unpacks them.
const RECORD: &str = "(id uuid, name text, url text, events text[], filter jsonb, audience text, enabled boolean, \
    secret text, older_secret text, failures integer, failing_since timestamptz, disabled text, owner uuid, \
    created_at timestamptz, updated_at timestamptz, version integer)";

#[derive(QueryableByName)]
#[diesel(table_name = webhook_calls)]
struct CallRow {
    endpoint_id: Uuid,
    id: Uuid,
    sequence: i64,
    event: String,
    ticket_id: Option<Uuid>,
    body: String,
    created_at: DateTime<Utc>,
    tries: i32,
    began_at: DateTime<Utc>,
    next_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    dead_because: Option<String>,
    log: Value,
}

const CALL_COLUMNS: &str = "endpoint_id, id, sequence, event, ticket_id, created_at, tries, began_at, next_at, ended_at, dead_because, log";

impl CallRow {
    fn into_call(self) -> Result<Call, PortError> {
        let Self {
            endpoint_id,
            id,
            sequence,
            event,
            ticket_id,
            body,
            created_at,
            tries,
            began_at,
            next_at,
            ended_at,
            dead_because,
            log,
        } = self;
        let corrupt = |column, detail: String| PortError::Corrupt {
            table: "webhook_calls",
            column,
            id: format!("({endpoint_id}, {id})"),
            detail,
        };
        let state = match (next_at, ended_at, dead_because) {
            (Some(next_at), _, _) => DeliveryState::Waiting { next_at },
            (None, Some(at), None) => DeliveryState::Delivered { at },
            (None, Some(at), Some(why)) => DeliveryState::Dead {
                at,
                why: Dead::parse(&why)
                    .ok_or_else(|| corrupt("dead_because", format!("{why} is not known")))?,
            },
            (None, None, _) => return Err(corrupt("next_at", "neither waits nor ended".to_owned())),
        };
        Ok(Call {
            delivery: Delivery {
                id,
                endpoint: EndpointId(endpoint_id),
                ticket: ticket_id.map(TicketId),
                sequence,
                tries: u32::try_from(tries).unwrap_or(0),
                began_at,
                state,
            },
            event,
            created_at,
            body: Some(body).filter(|body| !body.is_empty()),
            log: serde_json::from_value(log).map_err(|error| corrupt("log", error.to_string()))?,
        })
    }
}

/// A call with where it goes.
#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(embed)]
    call: CallRow,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    is_ticket_deleted: bool,
}

#[derive(QueryableByName)]
#[diesel(table_name = webhook_endpoints)]
struct HealthRow {
    failures: i32,
    failing_since: Option<DateTime<Utc>>,
}

#[async_trait]
impl EndpointStore for PgWebhooks {
    async fn endpoint(&self, id: EndpointId) -> Result<Option<Endpoint>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(" FROM webhook_endpoints WHERE id = ")
            .bind(id.0);
        let row: Option<EndpointRow> = self.database.row(PORT, sql).await?;
        row.map(|row| self.read(row)).transpose()
    }

    async fn endpoints(&self) -> Result<Vec<Endpoint>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(" FROM webhook_endpoints ORDER BY name COLLATE \"C\", id LIMIT ")
            .bind(count(ENDPOINTS_MAX));
        let rows: Vec<EndpointRow> = self.database.rows(PORT, sql).await?;
        rows.into_iter().map(|row| self.read(row)).collect()
    }

    async fn commit(&self, commit: EndpointCommit) -> Result<(), CommitError> {
        let EndpointCommit {
            write,
            event,
            receipt,
        } = commit;
        let is_new = matches!(write, EndpointWrite::Insert(_));
        let mut sql = Sql::new("WITH changed AS (");
        sql = match &write {
            EndpointWrite::Insert(endpoint) => sql
                .push("INSERT INTO webhook_endpoints (")
                .push(COLUMNS)
                .push(") SELECT ")
                .push(COLUMNS)
                .push(" FROM jsonb_to_recordset(")
                .bind(self.record(endpoint)?)
                .push(") AS r ")
                .push(RECORD)
                .push(" WHERE (SELECT count(*) FROM webhook_endpoints) < ")
                .bind(count(ENDPOINTS_MAX))
                .push(" RETURNING id)"),
            EndpointWrite::Update { endpoint, expected } => {
                let changed = sql
                    .push(
                        "UPDATE webhook_endpoints t SET name = r.name, url = r.url, events = r.events, filter = r.filter, \
                         audience = r.audience, enabled = r.enabled, secret = r.secret, older_secret = r.older_secret, \
                         failures = r.failures, failing_since = r.failing_since, disabled = r.disabled, \
                         updated_at = r.updated_at, version = r.version FROM jsonb_to_recordset(",
                    )
                    .bind(self.record(endpoint)?)
                    .push(") AS r ")
                    .push(RECORD)
                    .push(" WHERE t.id = r.id AND t.version = ")
                    .bind(expected.0)
                    .push(" RETURNING t.id)");
                if endpoint.content.enabled {
                    changed
                } else {
                    changed
                        .push(", given_up AS (UPDATE webhook_calls c SET state = 'dead', next_at = NULL, leased_until = NULL, ended_at = ")
                        .bind(endpoint.updated_at)
                        .push(", dead_because = ")
                        .bind(Dead::Disabled.as_str())
                        .push(" FROM changed WHERE c.endpoint_id = changed.id AND c.state = 'waiting')")
                }
            }
            EndpointWrite::Delete { id, expected } => sql
                .push("DELETE FROM webhook_endpoints WHERE id = ")
                .bind(id.0)
                .push(" AND version = ")
                .bind(expected.0)
                .push(" RETURNING id)"),
        };
        let told = insert_events(&[event], Some("changed")).map_err(|error| Failure::from(error).at(PORT))?;
        sql = sql.push(", new_event AS (").append(told).push(")");
        if let Some(receipt) = receipt {
            sql = sql
                .push(", new_receipt AS (")
                .append(insert_receipt(&receipt, Some("changed")))
                .push(")");
        }
        let sql = sql.push(" SELECT count(*) AS number FROM changed");
        let lock = is_new.then(|| Sql::new(LOCK));
        match self.database.row_behind::<NumberRow>(lock.as_ref(), &sql).await {
            Ok(NumberRow { number: 0 }) if is_new => Err(CommitError::TooMany),
            Ok(NumberRow { number: 0 }) => Err(CommitError::Stale),
            Ok(NumberRow { .. }) => {
                self.database.wake_ups().committed();
                Ok(())
            }
            Err(failure) if is_repeated(&failure) => Err(CommitError::Repeated),
            Err(failure) => Err(CommitError::Port(failure.at(PORT))),
        }
    }
}

#[async_trait]
impl DeliveryStore for PgWebhooks {
    async fn queue(&self, calls: &[NewCall]) -> Result<(), PortError> {
        if calls.is_empty() {
            return Ok(());
        }
        let rows = calls.iter().zip(0..).map(|(call, place)| {
            let NewCall {
                id,
                endpoint,
                ticket,
                event,
                body,
                at,
            } = call;
            json!({ "place": place, "endpoint_id": endpoint, "id": id, "event": event, "ticket_id": ticket,
                "body": body, "at": at })
        });
        let sql = Sql::new(
            "INSERT INTO webhook_calls (endpoint_id, id, event, ticket_id, body, created_at, began_at, state, next_at, \
             ended_at, dead_because) SELECT r.endpoint_id, r.id, r.event, r.ticket_id, r.body, r.at, r.at, \
             CASE WHEN w.why IS NULL THEN 'waiting' ELSE 'dead' END, CASE WHEN w.why IS NULL THEN r.at END, \
             CASE WHEN w.why IS NOT NULL THEN r.at END, w.why FROM jsonb_to_recordset(",
        )
        .bind(Value::Array(rows.collect()))
        .push(
            ") AS r (place integer, endpoint_id uuid, id uuid, event text, ticket_id uuid, body text, at timestamptz) \
             JOIN webhook_endpoints e ON e.id = r.endpoint_id \
             CROSS JOIN LATERAL (SELECT CASE WHEN NOT e.enabled THEN ",
        )
        .bind(Dead::Disabled.as_str())
        .push(
            "::text WHEN (SELECT count(*) FROM (SELECT 1 FROM webhook_calls c WHERE c.endpoint_id = e.id \
             AND c.state = 'waiting' LIMIT ",
        )
        .bind(count(WAITING_MAX))
        .push(") AS waiting) >= ")
        .bind(count(WAITING_MAX))
        .push(" THEN ")
        .bind(Dead::Overflow.as_str())
        // A ticket that was purged meanwhile takes what is told of it along.
        .push(
            "::text END AS why) w WHERE r.ticket_id IS NULL OR EXISTS (SELECT 1 FROM tickets t WHERE t.id = r.ticket_id) \
             ORDER BY r.place ON CONFLICT (endpoint_id, id) DO NOTHING",
        );
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: TimeDelta,
        calls_max: usize,
        each_max: usize,
    ) -> Result<Vec<Claimed>, PortError> {
        let leased_until = now + lease;
        let sql = Sql::new(
            "WITH due AS MATERIALIZED (SELECT d.endpoint_id, d.id FROM webhook_endpoints e CROSS JOIN LATERAL \
             (SELECT w.endpoint_id, w.id FROM webhook_calls w WHERE w.endpoint_id = e.id AND w.state = 'waiting' \
             AND w.next_at <= ",
        )
        .bind(now)
        .push(" AND (w.leased_until IS NULL OR w.leased_until <= ")
        .bind(now)
        .push(
            ") AND NOT EXISTS (SELECT 1 FROM webhook_calls b WHERE b.endpoint_id = w.endpoint_id \
             AND b.ticket_id = w.ticket_id AND b.state = 'waiting' AND b.sequence < w.sequence) \
             ORDER BY w.next_at, w.sequence LIMIT greatest(0, ",
        )
        .bind(count(each_max))
        .push(
            " - (SELECT count(*) FROM webhook_calls l WHERE l.endpoint_id = e.id AND l.state = 'waiting' \
             AND l.leased_until > ",
        )
        .bind(now)
        .push(")) FOR UPDATE SKIP LOCKED) d WHERE e.enabled LIMIT ")
        .bind(count(calls_max))
        .push("), taken AS (UPDATE webhook_calls c SET leased_until = ")
        .bind(leased_until)
        .push(
            " FROM due WHERE c.endpoint_id = due.endpoint_id AND c.id = due.id RETURNING c.*) \
             SELECT t.endpoint_id, t.id, t.sequence, t.event, t.ticket_id, t.created_at, t.tries, t.began_at, t.next_at, \
             t.ended_at, t.dead_because, t.log, t.body, \
             (k.deleted_at IS NOT NULL AND t.event <> 'ticket.deleted') AS is_ticket_deleted \
             FROM taken t LEFT JOIN tickets k ON k.id = t.ticket_id ORDER BY t.next_at, t.sequence",
        );
        let rows: Vec<ClaimedRow> = self.database.rows(PORT, sql).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let endpoints = self.endpoints().await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let call = row.call.into_call()?;
            // One that was deleted since has taken its calls along.
            if let Some(endpoint) = endpoints.iter().find(|one| one.id == call.delivery.endpoint) {
                claimed.push(Claimed {
                    delivery: call.delivery,
                    endpoint: endpoint.clone(),
                    body: call.body.unwrap_or_default(),
                    leased_until,
                    is_ticket_deleted: row.is_ticket_deleted,
                });
            }
        }
        Ok(claimed)
    }

    async fn settle(&self, settled: &Settled) -> Result<Option<Broken>, PortError> {
        let Settled {
            delivery,
            leased_until,
            tried,
            at,
        } = settled;
        let (next_at, ended_at, why) = match delivery.state {
            DeliveryState::Waiting { next_at } => (Some(next_at), None, None),
            DeliveryState::Delivered { at } => (None, Some(at), None),
            DeliveryState::Dead { at, why } => (None, Some(at), Some(why.as_str())),
        };
        let entry = tried
            .as_ref()
            .map(|(_, tried)| serde_json::to_value(tried))
            .transpose();
        let entry = entry.map_err(|error| PortError::Bug {
            port: PORT,
            source: error.into(),
        })?;
        let store = Sql::new("UPDATE webhook_calls SET state = ")
            .bind(CallState::of(delivery.state).as_str())
            .push(", tries = ")
            .bind(i32::try_from(delivery.tries).unwrap_or(i32::MAX))
            .push(", next_at = ")
            .bind(next_at)
            .push(", ended_at = ")
            .bind(ended_at)
            .push(", dead_because = ")
            .bind(why.map(str::to_owned))
            .push(", leased_until = NULL, log = ")
            .append(logged(entry))
            .push(" WHERE endpoint_id = ")
            .bind(delivery.endpoint.0)
            .push(" AND id = ")
            .bind(delivery.id)
            .push(" AND leased_until = ")
            .bind(*leased_until);
        let Some((answer, _)) = tried else {
            self.database.affected(PORT, store).await?;
            return Ok(None);
        };
        let (answer, at, id) = (*answer, *at, delivery.endpoint.0);
        // Most endpoints are well, and their row is not touched for each call.
        let well = Sql::new(
            "UPDATE webhook_endpoints SET failures = 0, failing_since = NULL WHERE failures > 0 AND id = ",
        )
        .bind(id);
        let ill = Sql::new("SELECT failures, failing_since FROM webhook_endpoints WHERE id = ")
            .bind(id)
            .push(" FOR NO KEY UPDATE");
        let run = self
            .database
            .run(async |connection| {
                connection
                    .transaction(async |connection| {
                        if diesel_async::RunQueryDsl::execute(&store, connection).await? == 0 {
                            return Ok(None);
                        }
                        if answer.is_taken() {
                            diesel_async::RunQueryDsl::execute(&well, connection).await?;
                            return Ok(None);
                        }
                        let row: Option<HealthRow> = diesel_async::RunQueryDsl::get_result(&ill, connection)
                            .await
                            .optional()?;
                        let Some(HealthRow {
                            failures,
                            failing_since,
                        }) = row
                        else {
                            return Ok(None);
                        };
                        let health = Health {
                            failures: u32::try_from(failures).unwrap_or(0),
                            failing_since,
                        };
                        let (health, broken) = health.after(answer, at);
                        let moved = Sql::new("UPDATE webhook_endpoints SET failures = ")
                            .bind(i32::try_from(health.failures).unwrap_or(i32::MAX))
                            .push(", failing_since = ")
                            .bind(health.failing_since)
                            .push(" WHERE id = ")
                            .bind(id);
                        diesel_async::RunQueryDsl::execute(&moved, connection).await?;
                        Ok(broken)
                    })
                    .await
            })
            .await;
        run.map_err(|failure| failure.at(PORT))
    }

    async fn calls(
        &self,
        endpoint: EndpointId,
        state: Option<CallState>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Call>, PortError> {
        let mut sql = Sql::new("SELECT ")
            .push(CALL_COLUMNS)
            .push(", '' AS body FROM webhook_calls WHERE endpoint_id = ")
            .bind(endpoint.0);
        if let Some(state) = state {
            sql = sql.push(" AND state = ").bind(state.as_str());
        }
        if let Some(Position { at, id }) = after {
            sql = sql
                .push(" AND (created_at, id) < (")
                .bind(at)
                .push(", ")
                .bind(id)
                .push(")");
        }
        let sql = sql
            .push(" ORDER BY created_at DESC, id DESC LIMIT ")
            .bind(count(limit.rows() + 1));
        let calls = self.read_calls(sql).await?;
        let position = |call: &Call| Position {
            at: call.created_at,
            id: call.delivery.id,
        };
        Ok(Page::from_rows(calls, limit, position))
    }

    async fn call(&self, endpoint: EndpointId, id: Uuid) -> Result<Option<Call>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(CALL_COLUMNS)
            .push(", body FROM webhook_calls WHERE endpoint_id = ")
            .bind(endpoint.0)
            .push(" AND id = ")
            .bind(id);
        Ok(self.read_calls(sql).await?.pop())
    }

    async fn replay(
        &self,
        endpoint: EndpointId,
        which: &Replay,
        now: DateTime<Utc>,
    ) -> Result<u64, PortError> {
        let ended = Sql::new("SELECT id FROM webhook_calls WHERE endpoint_id = ")
            .bind(endpoint.0)
            .push(" AND state <> 'waiting' AND ");
        let meant = match which {
            Replay::Ids(ids) => ended.push("id = ANY(").bind(ids.clone()).push(")"),
            Replay::Range {
                from,
                to,
                with_delivered,
            } => {
                let ended = ended
                    .push("created_at >= ")
                    .bind(*from)
                    .push(" AND created_at < ")
                    .bind(*to);
                let ended = if *with_delivered {
                    ended
                } else {
                    ended.push(" AND state = 'dead'")
                };
                ended
                    .push(" ORDER BY created_at, id LIMIT ")
                    .bind(count(WAITING_MAX))
            }
        };
        let sql = Sql::new(
            "UPDATE webhook_calls SET state = 'waiting', tries = 0, ended_at = NULL, dead_because = NULL, began_at = ",
        )
        .bind(now)
        .push(", next_at = ")
        .bind(now)
        .push(" WHERE state <> 'waiting' AND endpoint_id = ")
        .bind(endpoint.0)
        .push(" AND id IN (")
        .append(meant)
        .push(")");
        self.database.affected(PORT, sql).await
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let sql = Sql::new(
            "DELETE FROM webhook_calls WHERE (endpoint_id, id) IN (SELECT endpoint_id, id FROM webhook_calls \
             WHERE ended_at < ",
        )
        .bind(before)
        .push(" ORDER BY ended_at LIMIT ")
        .bind(rows_max)
        .push(" FOR UPDATE SKIP LOCKED)");
        self.database.affected(PORT, sql).await
    }
}

/// The log with one more try, cut to its last ones.
fn logged(entry: Option<Value>) -> Sql {
    let Some(entry) = entry else {
        return Sql::new("log");
    };
    Sql::new("(SELECT coalesce(jsonb_agg(one ORDER BY place), '[]') FROM (SELECT one, place FROM jsonb_array_elements(log || ")
        .bind(Value::Array(vec![entry]))
        .push(") WITH ORDINALITY AS l (one, place) ORDER BY place DESC LIMIT ")
        .bind(count(LOG_MAX))
        .push(") AS last)")
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
