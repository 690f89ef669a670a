//! Rates that all nodes count together: `kernel::RateLimits` on the table `rate_buckets`.
//!
//! A take is one statement, an insertion that changes the row where there is one. Whoever comes at the same time waits
//! for the row and then decides by what the other one left, so that a bucket never gives more than it holds. Time is
//! the database's alone: nodes whose clocks differ still agree.
//!
//! The table is unlogged. A crash of PostgreSQL empties it, and every bucket is full then.

use std::time::Duration;

use async_trait::async_trait;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool};
use kernel::{Bucket, PortError, Rate, RateLimits, Taken};

use crate::pool::Database;
use crate::sql::Sql;

const PORT: &str = "rate limits";

/// Buckets in PostgreSQL, shared by every node.
#[derive(Debug, Clone)]
pub struct PgRateLimits {
    database: Database,
}

/// A rate in the database's precision.
#[derive(Debug, Clone, Copy)]
struct Micros {
    /// In which one token comes back.
    step: i64,
    /// In which an empty bucket fills.
    burst: i64,
}

impl Micros {
    fn of(rate: Rate) -> Self {
        let step = i64::try_from(rate.step().as_micros()).unwrap_or(i64::MAX).max(1);
        Self {
            step,
            burst: step.saturating_mul(i64::from(rate.requests.get())),
        }
    }

    fn of_tokens(self, count: u32) -> i64 {
        self.step.saturating_mul(i64::from(count))
    }
}

#[derive(QueryableByName)]
struct TakenRow {
    #[diesel(sql_type = Bool)]
    granted: bool,
    /// Granted: how much of the bucket is left. Refused: how long until there is enough.
    #[diesel(sql_type = BigInt)]
    micros: i64,
}

/// One row: what was granted, else what is missing. Refused is only who met a row that was there when the statement
/// began or was made while it waited; of the latter no time is known, and no row comes.
fn take_sql(bucket: Bucket, burst: i64, cost: i64) -> Sql {
    Sql::new(
        "WITH taken AS (\
           INSERT INTO rate_buckets AS b (name, key, full_at) SELECT ",
    )
    .bind(bucket.name)
    .push(", ")
    .bind(bucket.key.to_vec())
    .push(", clock_timestamp() + ")
    .bind(cost)
    .push(
        " * interval '1 microsecond' \
           ON CONFLICT (name, key) DO UPDATE SET full_at = greatest(b.full_at, clock_timestamp()) + ",
    )
    .bind(cost)
    .push(" * interval '1 microsecond' WHERE b.full_at <= clock_timestamp() + ")
    .bind(burst - cost)
    .push(
        " * interval '1 microsecond' RETURNING b.full_at) \
         SELECT true AS granted, \
           greatest(0, ",
    )
    .bind(burst)
    .push(
        " - (extract(epoch FROM full_at - clock_timestamp()) * 1000000)::bigint) AS micros FROM taken \
         UNION ALL \
         SELECT false, ((extract(epoch FROM full_at - clock_timestamp()) * 1000000)::bigint) - ",
    )
    .bind(burst - cost)
    .push(" FROM rate_buckets WHERE NOT EXISTS (SELECT FROM taken) AND name = ")
    .bind(bucket.name)
    .push(" AND key = ")
    .bind(bucket.key.to_vec())
}

impl PgRateLimits {
    /// The buckets kept in `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Forgets up to `rows_max` buckets that are full; gives the number forgotten.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn forget_full(&self, rows_max: i64) -> Result<u64, PortError> {
        let sql = Sql::new(
            "DELETE FROM rate_buckets WHERE (name, key) IN (\
               SELECT name, key FROM rate_buckets WHERE full_at < now() ORDER BY full_at LIMIT ",
        )
        .bind(rows_max)
        .push(" FOR UPDATE SKIP LOCKED)");
        self.database.affected(PORT, sql).await
    }
}

#[async_trait]
impl RateLimits for PgRateLimits {
    async fn take(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<Taken, PortError> {
        if count > rate.requests.get() {
            return Ok(Taken::Refused {
                retry_after: rate.per,
            });
        }
        let micros = Micros::of(rate);
        let sql = take_sql(bucket, micros.burst, micros.of_tokens(count));
        let row = self
            .database
            .rows::<TakenRow>(PORT, sql)
            .await?
            .into_iter()
            .next();
        Ok(match row {
            Some(TakenRow {
                granted: true,
                micros: left,
            }) => Taken::Granted {
                left: u32::try_from(left / micros.step).unwrap_or(u32::MAX),
            },
            // What the other one left was not seen: with one token's time the client is not far off.
            Some(TakenRow {
                granted: false,
                micros: wait,
            }) => Taken::Refused {
                retry_after: Duration::from_micros(u64::try_from(wait).unwrap_or(0).max(1)),
            },
            None => Taken::Refused {
                retry_after: rate.step(),
            },
        })
    }

    async fn give_back(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<(), PortError> {
        let sql = Sql::new("UPDATE rate_buckets SET full_at = full_at - ")
            .bind(Micros::of(rate).of_tokens(count.min(rate.requests.get())))
            .push(" * interval '1 microsecond' WHERE name = ")
            .bind(bucket.name)
            .push(" AND key = ")
            .bind(bucket.key.to_vec());
        self.database.affected(PORT, sql).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use futures_util::future::join_all;

    use super::*;
    use crate::testing::own::test_database;

    const BUCKET: Bucket = Bucket {
        name: "login",
        key: [1; 16],
    };

    fn hours(requests: u32) -> Rate {
        Rate {
            requests: NonZeroU32::new(requests).unwrap(),
            per: Duration::from_secs(3_600) * requests,
        }
    }

    #[tokio::test]
    async fn counting_in_postgresql_keeps_the_contract() {
        let test = test_database().await;
        let limits = PgRateLimits::new(test.database().clone());
        kernel::rate::rate_limits_contract(&limits, [7; 16]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_hundred_at_once_on_two_nodes_as_many_pass_as_the_bucket_holds() {
        let test = test_database().await;
        let other_node = Database::new(test.settings()).unwrap();
        let nodes = [
            PgRateLimits::new(test.database().clone()),
            PgRateLimits::new(other_node),
        ];
        let takes = (0..200).map(|n: usize| nodes[n % 2].take(BUCKET, hours(10), 1));
        let taken = join_all(takes).await;
        let granted = taken
            .iter()
            .filter(|taken| matches!(taken, Ok(Taken::Granted { .. })))
            .count();
        let refused = taken
            .iter()
            .filter(|taken| matches!(taken, Ok(Taken::Refused { retry_after }) if !retry_after.is_zero()))
            .count();
        assert_eq!((granted, refused), (10, 190));
    }

    #[tokio::test]
    async fn what_time_brings_back_can_be_taken_and_never_more_than_a_bucket() {
        let test = test_database().await;
        let limits = PgRateLimits::new(test.database().clone());
        let rate = hours(4);
        assert_eq!(
            limits.take(BUCKET, rate, 4).await.unwrap(),
            Taken::Granted { left: 0 }
        );
        // As if two hours, and then a year, went by.
        let pass = async |interval: &str| {
            let sql = format!("UPDATE rate_buckets SET full_at = full_at - interval '{interval}'");
            test.batch(&sql).await;
        };
        pass("2 hours").await;
        assert_eq!(
            limits.take(BUCKET, rate, 1).await.unwrap(),
            Taken::Granted { left: 1 }
        );
        pass("1 year").await;
        assert_eq!(
            limits.take(BUCKET, rate, 1).await.unwrap(),
            Taken::Granted { left: 3 }
        );
    }

    #[tokio::test]
    async fn full_buckets_are_forgotten_a_bounded_number_at_a_time_and_others_kept() {
        let test = test_database().await;
        let limits = PgRateLimits::new(test.database().clone());
        for key in 0..5 {
            let bucket = Bucket {
                name: "b",
                key: [key; 16],
            };
            limits.take(bucket, hours(1), 1).await.unwrap();
        }
        assert_eq!(limits.forget_full(10).await.unwrap(), 0);
        test.batch("UPDATE rate_buckets SET full_at = now() - interval '1 minute' WHERE key <> '\\x00000000000000000000000000000000'")
            .await;
        assert_eq!(limits.forget_full(3).await.unwrap(), 3);
        assert_eq!(limits.forget_full(3).await.unwrap(), 1);
        assert_eq!(test.number("SELECT count(*) FROM rate_buckets").await, 1);
    }
}
