//! The record of acts, `audit_log`.
//!
//! A trigger puts each row at the end of the chain: it numbers it, links it to the digest of the one before and takes its
//! own. What is inserted here is therefore only what the row tells. [`PgAudit::chain`] reads the rows as they are stored,
//! for whoever takes the digests anew.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl as _;
use identity::audit::{ANONYMIZED, AuditActor, AuditEntry, AuditNumber, AuditTarget};
use identity::ports::{ActionFilter, AuditFilter, AuditPage, AuditStore, Recorded};
use ipnetwork::IpNetwork;
use kernel::id::Uuid;
use kernel::{Client, EventId, PageLimit, PortError, UserId};
use serde_json::Value;

use crate::pool::Database;
use crate::schema::audit_log;
use crate::sql::Sql;

const PORT: &str = "audit log";

/// The record of acts in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgAudit {
    database: Database,
}

#[derive(QueryableByName)]
#[diesel(table_name = audit_log)]
struct EntryRow {
    number: i64,
    event_id: Uuid,
    occurred_at: DateTime<Utc>,
    action: String,
    actor_id: Option<Uuid>,
    actor_system: Option<String>,
    target_kind: String,
    target_id: Option<Uuid>,
    ip_address: Option<IpNetwork>,
    user_agent: Option<String>,
    request_id: Option<String>,
    credential_id: Option<Uuid>,
    detail: Value,
    #[diesel(sql_type = Bool)]
    anonymized: bool,
}

impl EntryRow {
    fn read(self) -> Result<Recorded, PortError> {
        let EntryRow {
            number,
            event_id,
            occurred_at,
            action,
            actor_id,
            actor_system,
            target_kind,
            target_id,
            ip_address,
            user_agent,
            request_id,
            credential_id,
            detail,
            anonymized,
        } = self;
        let target = AuditTarget::of(&target_kind, target_id).ok_or_else(|| PortError::Corrupt {
            table: "audit_log",
            column: "target_kind",
            id: number.to_string(),
            detail: format!("{target_kind:?} is no kind of target"),
        })?;
        let actor = match (actor_id, actor_system) {
            (Some(id), _) => AuditActor::Person(UserId(id)),
            (None, Some(system)) => AuditActor::System(system),
            (None, None) => AuditActor::Stranger,
        };
        Ok(Recorded {
            number: AuditNumber(number),
            entry: AuditEntry {
                event: EventId(event_id),
                at: occurred_at,
                action,
                actor,
                target,
                client: Client::new(user_agent.as_deref(), ip_address.map(|network| network.ip())),
                request_id,
                credential: credential_id,
                detail,
            },
            anonymized,
        })
    }
}

/// A row as it is stored, with what its digest is taken over in the form in which it is taken.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
#[diesel(table_name = audit_log)]
pub struct AuditRow {
    /// Its place, from 1 on.
    pub number: i64,
    /// The event.
    pub event_id: Uuid,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What was done.
    pub action: String,
    /// The person who did it.
    pub actor_id: Option<Uuid>,
    /// The part of the server that did it.
    pub actor_system: Option<String>,
    /// To what kind of thing.
    pub target_kind: String,
    /// To which one.
    pub target_id: Option<Uuid>,
    /// The client's address, as PostgreSQL writes it without a mask.
    #[diesel(sql_type = diesel::sql_types::Nullable<Text>)]
    pub ip_address: Option<String>,
    /// The client's name.
    pub user_agent: Option<String>,
    /// The request.
    pub request_id: Option<String>,
    /// The session or key.
    pub credential_id: Option<Uuid>,
    /// More of it, as PostgreSQL writes it.
    #[diesel(sql_type = Text)]
    pub detail: String,
    /// The digest of the row before; empty for the first.
    pub previous_sha256: Vec<u8>,
    /// The row's own digest.
    pub sha256: Vec<u8>,
}

fn append_sql(entry: &AuditEntry) -> Sql {
    let AuditEntry {
        event,
        at,
        action,
        actor,
        target,
        client,
        request_id,
        credential,
        detail,
    } = entry;
    let (person, system) = match actor {
        AuditActor::Person(id) => (Some(*id), None),
        AuditActor::System(name) => (None, Some(name.as_str())),
        AuditActor::Stranger => (None, None),
    };
    // An event that is on record already conflicts after the trigger numbered it, which takes no number away: numbers
    // are counted from the last row.
    Sql::new(
        "INSERT INTO audit_log (event_id, occurred_at, action, actor_id, actor_system, target_kind, target_id, \
         ip_address, user_agent, request_id, credential_id, detail) VALUES (",
    )
    .bind(*event)
    .push(", ")
    .bind(*at)
    .push(", ")
    .bind(action.as_str())
    .push(", ")
    .bind(person)
    .push(", ")
    .bind(system)
    .push(", ")
    .bind(target.kind())
    .push(", ")
    .bind(target.id())
    .push(", ")
    .bind(client.ip().map(IpNetwork::from))
    .push(", ")
    .bind(client.user_agent())
    .push(", ")
    .bind(request_id.as_deref())
    .push(", ")
    .bind(*credential)
    .push(", ")
    .bind(detail.clone())
    .push(") ON CONFLICT (event_id) DO NOTHING")
}

pub(super) fn list_sql(filter: &AuditFilter, before: Option<AuditNumber>, limit: PageLimit) -> Sql {
    let AuditFilter {
        actor,
        target,
        action,
        since,
        until,
    } = filter;
    let mut sql = Sql::new(
        "SELECT a.number, a.event_id, a.occurred_at, a.action, a.actor_id, a.actor_system, a.target_kind, a.target_id, \
         a.ip_address, a.user_agent, a.request_id, a.credential_id, a.detail, EXISTS (\
           SELECT FROM audit_log gone WHERE gone.action = ",
    )
    .bind(ANONYMIZED)
    .push(
        " AND gone.target_id = CASE WHEN a.actor_id IS NOT NULL THEN a.actor_id \
           WHEN a.target_kind = 'user' THEN a.target_id END) AS anonymized \
         FROM audit_log a WHERE a.number < ",
    )
    .bind(before.map_or(i64::MAX, |AuditNumber(number)| number));
    if let Some(actor) = actor {
        sql = sql.push(" AND a.actor_id = ").bind(*actor);
    }
    if let Some(target) = target {
        sql = sql.push(" AND a.target_id = ").bind(*target);
    }
    match action {
        Some(ActionFilter::Exactly(name)) => sql = sql.push(" AND a.action = ").bind(name.as_str()),
        Some(ActionFilter::Beginning(start)) => {
            sql = sql
                .push(" AND starts_with(a.action, ")
                .bind(start.as_str())
                .push(")");
        }
        None => {}
    }
    if let Some(since) = since {
        sql = sql.push(" AND a.occurred_at >= ").bind(*since);
    }
    if let Some(until) = until {
        sql = sql.push(" AND a.occurred_at < ").bind(*until);
    }
    sql.push(" ORDER BY a.number DESC LIMIT ")
        .bind(limit.rows_and_one())
}

impl PgAudit {
    /// The record kept in `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Up to `rows_max` rows after the number `after`, as they are stored, in the order of their numbers.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn chain(&self, after: i64, rows_max: i64) -> Result<Vec<AuditRow>, PortError> {
        let sql = Sql::new(
            "SELECT number, event_id, occurred_at, action, actor_id, actor_system, target_kind, target_id, \
             host(ip_address) AS ip_address, user_agent, request_id, credential_id, detail::text AS detail, \
             previous_sha256, sha256 FROM audit_log WHERE number > ",
        )
        .bind(after)
        .push(" ORDER BY number LIMIT ")
        .bind(rows_max);
        self.database.rows::<AuditRow>(PORT, sql).await
    }
}

#[async_trait]
impl AuditStore for PgAudit {
    async fn append(&self, entry: AuditEntry) -> Result<(), PortError> {
        let sql = append_sql(&entry);
        let appended = self
            .database
            .run(async |connection| (&sql).execute(connection).await)
            .await;
        appended.map(drop).map_err(|failure| failure.at(PORT))
    }

    async fn list(
        &self,
        filter: AuditFilter,
        before: Option<AuditNumber>,
        limit: PageLimit,
    ) -> Result<AuditPage, PortError> {
        let sql = list_sql(&filter, before, limit);
        let rows = self.database.rows::<EntryRow>(PORT, sql).await?;
        let rows: Vec<Recorded> = rows.into_iter().map(EntryRow::read).collect::<Result<_, _>>()?;
        Ok(AuditPage::from_rows(rows, limit))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use identity::testing::{audit_entry, audit_store};

    use super::*;
    use crate::testing::TestDatabase;
    use crate::testing::own::test_database;

    fn entry() -> AuditEntry {
        let user = UserId(kernel::id::Uuid::from_u128(7));
        audit_entry(
            "user.updated",
            AuditActor::Person(user),
            AuditTarget::User(Some(user)),
        )
    }

    /// Rows whose digest, or whose link to the row before, is not as it must be.
    async fn broken(test: &TestDatabase) -> i64 {
        test.number(
            "SELECT count(*) FROM (SELECT a, lag(a.sha256, 1, '') OVER w AS before, lag(a.number, 1, 0::bigint) OVER w AS n \
             FROM audit_log a WINDOW w AS (ORDER BY a.number)) s \
             WHERE (a).previous_sha256 <> before OR (a).number <> n + 1 \
               OR (a).sha256 <> sha256(convert_to(audit_log_text(a), 'UTF8'))",
        )
        .await
    }

    #[tokio::test]
    async fn the_record_of_acts_in_postgresql_keeps_its_contract() {
        let test = test_database().await;
        audit_store(&PgAudit::new(test.database().clone())).await;
        assert_eq!(broken(&test).await, 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn entries_that_come_at_once_make_one_chain_without_a_gap() {
        let test = test_database().await;
        let nodes = [
            PgAudit::new(test.database().clone()),
            PgAudit::new(Database::new(test.settings()).unwrap()),
        ];
        let entries: Vec<AuditEntry> = (0..400).map(|_| entry()).collect();
        let tasks = (0..8).map(|n: usize| {
            let node = nodes[n % 2].clone();
            let own = entries[n * 50..(n + 1) * 50].to_vec();
            // Some come a second time on the other node, as when a lease ended before its work did.
            let again = entries.iter().skip((n + 1) % 8 * 50).take(50).step_by(5);
            let again: Vec<_> = again.cloned().collect();
            tokio::runtime::Handle::current().spawn(async move {
                for entry in own.into_iter().chain(again) {
                    node.append(entry).await.unwrap();
                }
            })
        });
        for task in join_all(tasks).await {
            task.unwrap();
        }
        let kept = test
            .rows("SELECT count(*), min(number), max(number), count(DISTINCT event_id) FROM audit_log")
            .await;
        let kept: Vec<_> = kept[0].iter().map(|value| value.as_deref().unwrap()).collect();
        assert_eq!(kept, ["400", "1", "400", "400"]);
        assert_eq!(broken(&test).await, 0);
    }

    #[tokio::test]
    async fn nobody_changes_or_takes_out_a_row_and_none_chooses_its_place() {
        let test = test_database().await;
        let audit = PgAudit::new(test.database().clone());
        audit.append(entry()).await.unwrap();
        let (client, connection) = tokio_postgres::connect(test.url(), tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::runtime::Handle::current().spawn(connection);
        for sql in [
            "UPDATE audit_log SET action = 'x'",
            "DELETE FROM audit_log",
            "DELETE FROM audit_log WHERE false",
            "TRUNCATE audit_log",
        ] {
            let refused = client.batch_execute(sql).await.unwrap_err();
            let message = refused.as_db_error().unwrap().message();
            assert_eq!(message, "audit_log is append-only", "{sql}");
        }
        client
            .batch_execute(
                "INSERT INTO audit_log (number, event_id, occurred_at, action, target_kind, detail, previous_sha256, sha256) \
                 VALUES (900, gen_random_uuid(), now(), 'user.updated', 'user', '{}', '\\x01', '\\x02')",
            )
            .await
            .unwrap();
        assert_eq!(test.number("SELECT max(number) FROM audit_log").await, 2);
        assert_eq!(broken(&test).await, 0);
    }

    #[tokio::test]
    async fn a_page_of_the_record_is_walked_by_an_index() {
        let test = test_database().await;
        test.batch(
            "ALTER TABLE audit_log DISABLE TRIGGER audit_log_append; \
             INSERT INTO audit_log (number, event_id, occurred_at, action, actor_id, target_kind, target_id, detail, \
               previous_sha256, sha256) \
             SELECT n, gen_random_uuid(), now(), 'user.' || n % 40, md5((n % 90)::text)::uuid, 'user', \
               md5((n % 70)::text)::uuid, '{}', '', '' FROM generate_series(1, 20000) n; ANALYZE audit_log",
        )
        .await;
        let id = test.rows("SELECT md5('7')::uuid").await[0][0].clone().unwrap();
        let id: Uuid = id.parse().unwrap();
        let all = AuditFilter::default;
        let filters = [
            all(),
            AuditFilter {
                actor: Some(UserId(id)),
                ..all()
            },
            AuditFilter {
                target: Some(id),
                ..all()
            },
            AuditFilter {
                action: Some(ActionFilter::parse("user.7")),
                ..all()
            },
            AuditFilter {
                action: Some(ActionFilter::parse("user.")),
                ..all()
            },
        ];
        #[derive(QueryableByName)]
        struct Plan {
            #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
            line: String,
        }
        for filter in filters {
            let explain =
                Sql::new("EXPLAIN ").append(list_sql(&filter, Some(AuditNumber(9_000)), PageLimit::DEFAULT));
            let plan = test
                .database()
                .run(async |connection| (&explain).load::<Plan>(connection).await)
                .await
                .unwrap();
            let plan: Vec<_> = plan.into_iter().map(|plan| plan.line).collect();
            let text = plan.join("\n");
            assert!(
                !text.contains("Seq Scan") && !text.contains("Sort"),
                "{filter:?}\n{text}"
            );
        }
    }
}
