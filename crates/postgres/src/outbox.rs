//! The outbox: written by every commit through [`insert_events`], read by the relay through [`PgOutbox`].
//!
//! How the order of an aggregate is kept. The first unfinished event of an aggregate is its head. A claim takes heads
//! alone, by their row locks, and the events behind a head only together with it. Whoever wants an aggregate's events
//! must therefore lock the same row, so that two claims cannot share an aggregate; and a head that is leased, or waits to
//! be tried again, holds back all that stand behind it. A head that was tried before is taken alone: those behind it
//! would only wait for it in vain.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryableByName;
use diesel::result::{Error, QueryResult};
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl as _;
use events::{Backlog, Claim, ClaimedEvent, Event, Fact, Outbox};
use kernel::id::Uuid;
use kernel::{Clock, EventId, EventReceipt, PortError, Receipt};
use serde_json::{Value, json};

use crate::error::Failure;
use crate::pool::Database;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::outbox;
use crate::sql::Sql;

const PORT: &str = "outbox";
/// The most letters of a reason that are kept.
const REASON_CHARS_MAX: usize = 2_000;
/// Counts of the backlog stop here: a reader is told "at least so many".
const BACKLOG_COUNT_MAX: i64 = 100_000;

/// The statement `INSERT INTO outbox …` that publishes `events` in their order, to stand alone or as a part of another.
/// With a `guard`, the name of another part that gives one row or none, they are published only when that gives one.
/// Whatever number of events, the text is the same, so that it is prepared once.
///
/// The commit that publishes must hold a lock on the events' aggregate before (a row that it updates will do), else
/// two commits may publish in another order than they commit. After the commit, call
/// [`WakeUps::committed`](crate::WakeUps::committed).
///
/// # Errors
/// None for any event there is; serde's signature has one.
pub(crate) fn insert_events(events: &[Event], guard: Option<&'static str>) -> QueryResult<Sql> {
    let sql = Sql::new(
        "INSERT INTO outbox (id, aggregate_id, kind, payload_version, payload, occurred_at, available_at) \
         SELECT e.id, e.aggregate_id, e.kind, e.payload_version, e.payload, e.occurred_at, e.occurred_at \
         FROM jsonb_to_recordset(",
    )
    .bind(rows(events)?)
    .push(
        ") AS e (ordinal integer, id uuid, aggregate_id uuid, kind text, payload_version smallint, payload jsonb, \
         occurred_at timestamptz)",
    );
    let sql = match guard {
        Some(guard) => sql.push(" CROSS JOIN ").push(guard),
        None => sql,
    };
    Ok(sql.push(" ORDER BY e.ordinal"))
}

fn rows(events: &[Event]) -> QueryResult<Value> {
    let rows = events.iter().enumerate().map(|(ordinal, event)| {
        let (kind, payload) = event
            .encode()
            .map_err(|error| Error::SerializationError(Box::new(error)))?;
        Ok(json!({
            "ordinal": ordinal,
            "id": event.id,
            "aggregate_id": event.fact.aggregate(),
            "kind": kind,
            "payload_version": Fact::PAYLOAD_VERSION,
            "payload": payload,
            "occurred_at": event.at,
        }))
    });
    rows.collect::<QueryResult<Vec<Value>>>().map(Value::Array)
}

impl PgOutbox {
    /// Publishes events that go with no other change, once for the receipt; false where that was done before.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn publish(&self, events: &[Event], receipt: EventReceipt) -> Result<bool, PortError> {
        let insert = insert_events(events, None).map_err(|error| Failure::from(error).at(PORT))?;
        let sql = Sql::new("WITH new_receipt AS (")
            .append(insert_receipt(&Receipt::Event(receipt), None))
            .push(") ")
            .append(insert);
        let stored = self
            .database
            .run(async |connection| diesel_async::RunQueryDsl::execute(&sql, connection).await)
            .await;
        match stored {
            Ok(_) => {
                self.database.wake_ups().committed();
                Ok(true)
            }
            Err(failure) if is_repeated(&failure) => Ok(false),
            Err(failure) => Err(failure.at(PORT)),
        }
    }
}

/// The outbox in PostgreSQL.
#[derive(Clone)]
pub struct PgOutbox {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for PgOutbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgOutbox")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl PgOutbox {
    /// The outbox in `database`.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = outbox)]
struct ClaimedRow {
    id: Uuid,
    aggregate_id: Uuid,
    position: i64,
    kind: String,
    payload_version: i16,
    payload: Value,
    occurred_at: DateTime<Utc>,
    attempts: i32,
}

impl From<ClaimedRow> for ClaimedEvent {
    fn from(row: ClaimedRow) -> Self {
        let ClaimedRow {
            id,
            aggregate_id,
            position: _,
            kind,
            payload_version,
            payload,
            occurred_at,
            attempts,
        } = row;
        let id = EventId(id);
        let event = Event::decode(id, occurred_at, &kind, payload_version, payload);
        ClaimedEvent {
            id,
            aggregate: aggregate_id,
            attempts,
            event,
        }
    }
}

fn claim_sql(claim: Claim) -> Sql {
    let Claim {
        now,
        lease,
        batch_max,
    } = claim;
    let leased_until = TimeDelta::from_std(lease)
        .ok()
        .and_then(|lease| now.checked_add_signed(lease));
    let leased_until = leased_until.unwrap_or(DateTime::<Utc>::MAX_UTC);
    // A column's own conditions come before the look for the head, which costs one probe of an index for each row. The
    // two ways of saying "unfinished" each mean one index, see the migration.
    Sql::new(
        "WITH head AS MATERIALIZED (\
           SELECT o.id, o.aggregate_id, o.position, o.attempts FROM outbox o \
           WHERE o.done_at IS NULL AND o.buried_at IS NULL \
             AND (o.leased_until IS NULL OR o.leased_until <= ",
    )
    .bind(now)
    .push(") AND (o.attempts = 0 OR o.available_at <= ")
    .bind(now)
    .push(
        ") AND o.position = (\
             SELECT first.position FROM outbox first \
             WHERE first.aggregate_id = o.aggregate_id AND coalesce(first.done_at, first.buried_at) IS NULL \
             ORDER BY first.position LIMIT 1) \
           ORDER BY o.position LIMIT ",
    )
    .bind(batch_max)
    .push(
        " FOR UPDATE SKIP LOCKED\
         ), taken AS (\
           SELECT head.id, head.position FROM head \
           UNION ALL \
           SELECT behind.id, behind.position FROM head CROSS JOIN LATERAL (\
             SELECT next.id, next.position, bool_and(next.attempts = 0) OVER (ORDER BY next.position) AS fresh FROM (\
               SELECT o.id, o.position, o.attempts FROM outbox o \
               WHERE o.aggregate_id = head.aggregate_id AND coalesce(o.done_at, o.buried_at) IS NULL \
                 AND o.position > head.position \
               ORDER BY o.position LIMIT ",
    )
    .bind(batch_max)
    .push(
        ") next) behind WHERE head.attempts = 0 AND behind.fresh \
           ORDER BY position LIMIT ",
    )
    .bind(batch_max)
    .push(") UPDATE outbox o SET attempts = o.attempts + 1, leased_until = ")
    .bind(leased_until)
    .push(
        " FROM taken WHERE o.id = taken.id \
         RETURNING o.id, o.aggregate_id, o.position, o.kind, o.payload_version, o.payload, o.occurred_at, o.attempts",
    )
}

/// A reason as the table can hold it.
fn kept(reason: &str) -> String {
    reason
        .chars()
        .filter(|letter| *letter != '\0')
        .take(REASON_CHARS_MAX)
        .collect()
}

#[async_trait]
impl Outbox for PgOutbox {
    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, PortError> {
        let sql = claim_sql(claim);
        let mut rows = self.database.rows::<ClaimedRow>(PORT, sql).await?;
        rows.sort_by_key(|row| row.position);
        Ok(rows.into_iter().map(ClaimedEvent::from).collect())
    }

    async fn settle(&self, delivered: &[EventId]) -> Result<(), PortError> {
        let ids: Vec<Uuid> = delivered.iter().map(|id| id.0).collect();
        let sql = Sql::new("UPDATE outbox SET done_at = ")
            .bind(self.clock.now())
            .push(", leased_until = NULL WHERE done_at IS NULL AND id = ANY(")
            .bind(ids)
            .push(")");
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn postpone(
        &self,
        event: EventId,
        not_before: DateTime<Utc>,
        reason: &str,
    ) -> Result<(), PortError> {
        let sql = Sql::new("UPDATE outbox SET leased_until = NULL, available_at = ")
            .bind(not_before)
            .push(", last_error = ")
            .bind(kept(reason))
            .push(" WHERE done_at IS NULL AND buried_at IS NULL AND id = ")
            .bind(event);
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn bury(&self, event: EventId, reason: &str) -> Result<(), PortError> {
        let sql = Sql::new("UPDATE outbox SET leased_until = NULL, buried_at = ")
            .bind(self.clock.now())
            .push(", last_error = ")
            .bind(kept(reason))
            .push(" WHERE done_at IS NULL AND buried_at IS NULL AND id = ")
            .bind(event);
        self.database.affected(PORT, sql).await.map(drop)
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        #[derive(QueryableByName)]
        struct Counts {
            #[diesel(sql_type = BigInt)]
            waiting: i64,
            #[diesel(sql_type = BigInt)]
            buried: i64,
        }
        let sql = Sql::new(
            "SELECT (SELECT count(*) FROM (\
               SELECT FROM outbox WHERE done_at IS NULL AND buried_at IS NULL LIMIT ",
        )
        .bind(BACKLOG_COUNT_MAX)
        .push(") w) AS waiting, (SELECT count(*) FROM (SELECT FROM outbox WHERE buried_at IS NOT NULL LIMIT ")
        .bind(BACKLOG_COUNT_MAX)
        .push(") b) AS buried");
        let counts = self
            .database
            .run(async |connection| (&sql).get_result::<Counts>(connection).await)
            .await;
        let Counts { waiting, buried } = counts.map_err(|failure: Failure| failure.at(PORT))?;
        Ok(Backlog { waiting, buried })
    }

    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let delivered = Sql::new(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE done_at IS NOT NULL AND done_at < ",
        )
        .bind(before)
        .push(" ORDER BY done_at LIMIT ")
        .bind(rows_max)
        .push(" FOR UPDATE SKIP LOCKED)");
        // The receipt of an event that may still come again, be it because an operator digs it up, must stay.
        let receipts = Sql::new(
            "DELETE FROM event_receipts WHERE (event_id, subscriber, step) IN (\
               SELECT r.event_id, r.subscriber, r.step FROM event_receipts r \
               WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.id = r.event_id AND o.done_at IS NULL) AND r.created_at < ",
        )
        .bind(before)
        .push(" ORDER BY r.created_at LIMIT ")
        .bind(rows_max)
        .push(" FOR UPDATE OF r SKIP LOCKED)");
        Ok(self.database.affected(PORT, delivered).await? + self.database.affected(PORT, receipts).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use events::TicketFact;
    use events::testing::{OutboxUnderTest, outbox_contract, ticket_event};
    use kernel::ManualClock;

    use super::*;
    use crate::testing::TestDatabase;
    use crate::testing::own::test_database;

    struct Subject {
        test: TestDatabase,
        clock: Arc<ManualClock>,
        outbox: PgOutbox,
    }

    impl Subject {
        async fn fresh() -> Self {
            let test = test_database().await;
            let clock = Arc::new(ManualClock::at(
                DateTime::from_timestamp(1_767_225_600, 0).unwrap(),
            ));
            let outbox = PgOutbox::new(test.database().clone(), Arc::<ManualClock>::clone(&clock));
            Self { test, clock, outbox }
        }

        fn claim(&self, batch_max: i64) -> Claim {
            Claim {
                now: self.clock.now(),
                lease: Duration::from_secs(60),
                batch_max,
            }
        }
    }

    #[async_trait]
    impl OutboxUnderTest for Subject {
        fn outbox(&self) -> &dyn Outbox {
            &self.outbox
        }

        fn clock(&self) -> &ManualClock {
            &self.clock
        }

        async fn commit(&self, events: &[Event]) {
            let sql = insert_events(events, None).unwrap();
            self.test
                .database()
                .run(async |connection| (&sql).execute(connection).await)
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn the_outbox_keeps_the_contract() {
        outbox_contract(async || Box::new(Subject::fresh().await) as Box<dyn OutboxUnderTest>).await;
    }

    fn updated(id: u128, ticket: u128) -> Event {
        ticket_event(
            id,
            ticket,
            TicketFact::Updated {
                fields: vec![],
                before: serde_json::Map::new(),
            },
        )
    }

    #[tokio::test]
    async fn events_whose_guard_gives_nothing_are_not_published() {
        let subject = Subject::fresh().await;
        let sql = Sql::new("WITH none AS (SELECT 1 WHERE false) ")
            .append(insert_events(&[updated(1, 1)], Some("none")).unwrap());
        subject
            .test
            .database()
            .run(async |connection| (&sql).execute(connection).await)
            .await
            .unwrap();
        assert_eq!(subject.outbox.backlog().await.unwrap().waiting, 0);
    }

    #[tokio::test]
    async fn an_event_that_cannot_be_read_is_given_out_as_such() {
        let subject = Subject::fresh().await;
        subject
            .test
            .batch(
                "INSERT INTO outbox (id, aggregate_id, kind, payload_version, payload, occurred_at)
                 VALUES (gen_random_uuid(), gen_random_uuid(), 'ticket.created', 1, '{}', '2026-01-01Z')",
            )
            .await;
        let claimed = subject.outbox.claim(subject.claim(1)).await.unwrap();
        assert!(claimed[0].event.is_err());
    }

    /// Four claimers at once, each of which settles what it gets: every event once, and each aggregate's in order.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn claimers_at_once_share_the_events_and_keep_each_aggregates_order() {
        const AGGREGATES: u128 = 7;
        const EVENTS: u128 = 600;
        let subject = Arc::new(Subject::fresh().await);
        let events: Vec<Event> = (0..EVENTS)
            .map(|number| updated(number + 1, number % AGGREGATES))
            .collect();
        subject.commit(&events).await;
        let seen: Arc<std::sync::Mutex<Vec<Event>>> = Arc::default();
        let claimers: Vec<_> = (0..4)
            .map(|_| {
                let (subject, seen) = (Arc::clone(&subject), Arc::clone(&seen));
                tokio::runtime::Handle::current().spawn(async move {
                    while subject.outbox.backlog().await.unwrap().waiting > 0 {
                        let claimed = subject.outbox.claim(subject.claim(20)).await.unwrap();
                        let ids: Vec<EventId> = claimed.iter().map(|event| event.id).collect();
                        seen.lock()
                            .unwrap()
                            .extend(claimed.into_iter().map(|event| event.event.unwrap()));
                        subject.outbox.settle(&ids).await.unwrap();
                    }
                })
            })
            .collect();
        for claimer in claimers {
            claimer.await.unwrap();
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), events.len());
        for aggregate in 0..AGGREGATES {
            let of = |events: &[Event]| -> Vec<EventId> {
                let own = events
                    .iter()
                    .filter(|event| event.fact.aggregate().as_u128() == aggregate);
                own.map(|event| event.id).collect()
            };
            assert_eq!(of(&seen), of(&events), "the order of aggregate {aggregate}");
        }
    }

    /// The statistics are from a time when nothing waited, as they usually are when a backlog builds up.
    #[tokio::test]
    async fn a_claim_is_cheap_however_much_waits() {
        let subject = Subject::fresh().await;
        let fill = "INSERT INTO outbox (id, aggregate_id, kind, payload_version, payload, occurred_at)
             SELECT gen_random_uuid(), ('00000000-0000-0000-0000-' || lpad((n % 25000)::text, 12, '0'))::uuid,
                    'ticket.created', 1, '{}', '2026-01-01Z'
             FROM generate_series(1, 100000) n";
        subject.test.batch(fill).await;
        subject
            .test
            .batch("UPDATE outbox SET done_at = occurred_at")
            .await;
        subject.test.batch("VACUUM ANALYZE outbox").await;
        subject.test.batch(fill).await;
        let start = Instant::now();
        for _ in 0..5 {
            assert_eq!(subject.outbox.claim(subject.claim(100)).await.unwrap().len(), 100);
        }
        let each = start.elapsed() / 5;
        assert!(
            each < Duration::from_secs(1),
            "a claim of 100 out of 100 000 took {each:?}"
        );
    }

    #[tokio::test]
    async fn a_receipt_is_kept_as_long_as_its_event_may_come_again() {
        let subject = Subject::fresh().await;
        subject.commit(&[updated(1, 1), updated(2, 2)]).await;
        subject
            .test
            .batch(
                "INSERT INTO event_receipts (subscriber, event_id, step, created_at)
                 SELECT 's', id, 'one', '2020-01-01Z' FROM outbox",
            )
            .await;
        subject
            .outbox
            .settle(&[EventId(Uuid::from_u128(1))])
            .await
            .unwrap();
        subject.clock.advance(TimeDelta::days(1));
        let forgotten = subject.outbox.forget(subject.clock.now(), 10).await.unwrap();
        assert_eq!(forgotten, 2, "the settled event and its receipt");
        assert_eq!(
            subject.test.number("SELECT count(*) FROM event_receipts").await,
            1
        );
    }
}
