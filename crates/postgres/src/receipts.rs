//! Receipts: the rows that make a repeated request or event harmless, and the answers kept in them.
//!
//! A commit adds [`insert_receipt`] to its own statement, so that effect and receipt are stored together or not at all;
//! a receipt that is there already breaks the statement with a constraint that [`is_repeated`] knows.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use kernel::id::Uuid;
use kernel::receipt::{AnswerStore, StoredAnswer};
use kernel::{Answer, EventReceipt, PortError, Receipt, RequestKey, RequestReceipt};

use crate::error::Failure;
use crate::pool::Database;
use crate::schema::idempotency_keys;
use crate::sql::Sql;

const PORT: &str = "receipts";

/// The statement `INSERT INTO …` that keeps `receipt`, to stand alone or as a part of another. With a `guard`, the
/// name of another part that gives one row or none, it is kept only when that gives one.
pub(crate) fn insert_receipt(receipt: &Receipt, guard: Option<&'static str>) -> Sql {
    let values = match receipt {
        Receipt::Event(EventReceipt {
            subscriber,
            event,
            step,
        }) => Sql::new("INSERT INTO event_receipts (subscriber, event_id, step) SELECT ")
            .bind(*subscriber)
            .push(", ")
            .bind(*event)
            .push(", ")
            .bind(*step),
        Receipt::Request(RequestReceipt { key, answer }) => {
            let RequestKey {
                principal,
                key,
                route,
                request_sha256,
            } = key;
            let Answer {
                status,
                etag,
                location,
                body,
            } = answer;
            Sql::new(
                "INSERT INTO idempotency_keys \
                 (principal, key, route, request_sha256, status, etag, location, body) SELECT ",
            )
            .bind(*principal)
            .push(", ")
            .bind(key.as_str())
            .push(", ")
            .bind(route.as_str())
            .push(", ")
            .bind(request_sha256.to_vec())
            .push(", ")
            .bind(i16::try_from(*status).unwrap_or(i16::MAX))
            .push(", ")
            .bind(etag.as_deref())
            .push(", ")
            .bind(location.as_deref())
            .push(", ")
            .bind(body.as_str())
        }
    };
    match guard {
        Some(guard) => values.push(" FROM ").push(guard),
        None => values,
    }
}

/// The statement that forgets an event's receipt.
pub(crate) fn delete_event_receipt(receipt: &EventReceipt) -> Sql {
    let EventReceipt {
        subscriber,
        event,
        step,
    } = receipt;
    Sql::new("DELETE FROM event_receipts WHERE subscriber = ")
        .bind(*subscriber)
        .push(" AND event_id = ")
        .bind(*event)
        .push(" AND step = ")
        .bind(*step)
}

/// Whether the work failed because its receipt was there already: it was done before.
pub(crate) fn is_repeated(failure: &Failure) -> bool {
    matches!(
        failure.constraint(),
        Some("event_receipts_pkey" | "idempotency_keys_pkey")
    )
}

/// The answers to requests with an idempotency key.
#[derive(Debug, Clone)]
pub struct PgAnswers {
    database: Database,
}

#[derive(QueryableByName)]
#[diesel(table_name = idempotency_keys)]
struct AnswerRow {
    route: String,
    request_sha256: Vec<u8>,
    status: i16,
    etag: Option<String>,
    location: Option<String>,
    body: String,
}

impl PgAnswers {
    /// The answers kept in `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Forgets up to `rows_max` answers from before `before`; gives the number forgotten.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let sql = Sql::new(
            "DELETE FROM idempotency_keys WHERE (principal, key) IN \
             (SELECT principal, key FROM idempotency_keys WHERE created_at < ",
        )
        .bind(before)
        .push(" ORDER BY created_at LIMIT ")
        .bind(rows_max)
        .push(" FOR UPDATE SKIP LOCKED)");
        self.database.affected(PORT, sql).await
    }
}

#[async_trait]
impl AnswerStore for PgAnswers {
    async fn find(&self, principal: Uuid, key: &str) -> Result<Option<StoredAnswer>, PortError> {
        let sql = Sql::new(
            "SELECT route, request_sha256, status, etag, location, body FROM idempotency_keys WHERE principal = ",
        )
        .bind(principal)
        .push(" AND key = ")
        .bind(key);
        let Some(row) = self.database.row::<AnswerRow>(PORT, sql).await? else {
            return Ok(None);
        };
        let AnswerRow {
            route,
            request_sha256,
            status,
            etag,
            location,
            body,
        } = row;
        let corrupt = |column, detail: String| PortError::Corrupt {
            table: "idempotency_keys",
            column,
            id: format!("({principal}, {key})"),
            detail,
        };
        let request_sha256 = request_sha256
            .try_into()
            .map_err(|bytes: Vec<u8>| corrupt("request_sha256", format!("{} bytes, not 32", bytes.len())))?;
        let status = u16::try_from(status).map_err(|error| corrupt("status", error.to_string()))?;
        Ok(Some(StoredAnswer {
            route,
            request_sha256,
            answer: Answer {
                status,
                etag,
                location,
                body,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use diesel_async::RunQueryDsl as _;
    use kernel::EventId;

    use super::*;
    use crate::testing::own::test_database;

    fn request(body: &str) -> Receipt {
        let key = RequestKey {
            principal: Uuid::from_u128(7),
            key: "k".into(),
            route: "POST /tickets".into(),
            request_sha256: [3; 32],
        };
        let answer = Answer {
            status: 201,
            etag: Some("\"1\"".into()),
            location: None,
            body: body.into(),
        };
        Receipt::Request(RequestReceipt { key, answer })
    }

    async fn store(
        database: &Database,
        receipt: &Receipt,
        guard: Option<&'static str>,
    ) -> Result<usize, Failure> {
        let sql = match guard {
            None => insert_receipt(receipt, None),
            Some(_) => {
                Sql::new("WITH none AS (SELECT 1 WHERE false) ").append(insert_receipt(receipt, guard))
            }
        };
        database
            .run(async |connection| (&sql).execute(connection).await)
            .await
    }

    #[tokio::test]
    async fn the_first_answer_is_kept_and_a_second_is_refused_by_name() {
        let test = test_database().await;
        let answers = PgAnswers::new(test.database().clone());
        assert_eq!(answers.find(Uuid::from_u128(7), "k").await.unwrap(), None);
        store(test.database(), &request("first"), None).await.unwrap();
        let again = store(test.database(), &request("second"), None)
            .await
            .unwrap_err();
        assert!(is_repeated(&again), "{again:?}");
        let found = answers.find(Uuid::from_u128(7), "k").await.unwrap().unwrap();
        assert_eq!(
            (found.route.as_str(), found.request_sha256),
            ("POST /tickets", [3; 32])
        );
        assert_eq!((found.answer.status, found.answer.body.as_str()), (201, "first"));
        assert_eq!(
            answers.find(Uuid::from_u128(8), "k").await.unwrap(),
            None,
            "another principal's key"
        );
    }

    #[tokio::test]
    async fn a_receipt_whose_guard_gives_nothing_is_not_kept() {
        let test = test_database().await;
        assert_eq!(
            store(test.database(), &request("x"), Some("none")).await.unwrap(),
            0
        );
        let event = EventReceipt {
            subscriber: "s",
            event: EventId(Uuid::from_u128(1)),
            step: "one",
        };
        store(test.database(), &Receipt::Event(event.clone()), None)
            .await
            .unwrap();
        assert!(is_repeated(
            &store(test.database(), &Receipt::Event(event), None)
                .await
                .unwrap_err()
        ));
    }

    #[tokio::test]
    async fn old_answers_are_forgotten_a_bounded_number_at_a_time() {
        let test = test_database().await;
        test.batch(
            "INSERT INTO idempotency_keys (principal, key, route, request_sha256, status, body, created_at)
             SELECT gen_random_uuid(), n::text, 'r', '', 200, '', '2020-01-01'::timestamptz + n * interval '1 day'
             FROM generate_series(0, 9) n",
        )
        .await;
        let answers = PgAnswers::new(test.database().clone());
        let before = "2020-01-06T00:00:00Z".parse().unwrap();
        assert_eq!(answers.forget(before, 3).await.unwrap(), 3);
        assert_eq!(answers.forget(before, 3).await.unwrap(), 2);
        assert_eq!(answers.forget(before, 3).await.unwrap(), 0);
    }
}
