//! The port of notifications.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl as _;
use kernel::id::Uuid;
use kernel::{PortError, Position, UserId};
use notifications::{
    CommitError, InboxQuery, Kind, Notification, NotificationCommit, NotificationId, NotificationStore,
    Unread,
};
use serde_json::{Value, json};

use crate::pool::Database;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::notifications as table;
use crate::sql::Sql;

const PORT: &str = "notifications";
const COLUMNS: &str =
    "id, user_id, type AS type_, title, message, data, read, read_at, created_at, dedupe_key";

/// Notifications in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgNotifications {
    database: Database,
}

impl PgNotifications {
    /// The notifications of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = table)]
struct Row {
    id: Uuid,
    user_id: Uuid,
    type_: String,
    title: String,
    message: String,
    data: Value,
    read: bool,
    read_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    dedupe_key: Option<String>,
}

impl TryFrom<Row> for Notification {
    type Error = PortError;

    fn try_from(row: Row) -> Result<Self, PortError> {
        let Row {
            id,
            user_id,
            type_,
            title,
            message,
            data,
            read,
            read_at,
            created_at,
            dedupe_key,
        } = row;
        let kind = Kind::parse(&type_).ok_or_else(|| PortError::Corrupt {
            table: "notifications",
            column: "type",
            id: id.to_string(),
            detail: format!("{type_:?} is no kind of notification"),
        })?;
        Ok(Notification {
            id: NotificationId(id),
            user: UserId(user_id),
            kind,
            title,
            message,
            data,
            // Another writer may have set the flag alone.
            read_at: if read { read_at.or(Some(created_at)) } else { None },
            created_at,
            dedupe_key,
        })
    }
}

/// Other writers, and newer nodes, have kinds of their own: those are not shown here, and break nothing.
fn known_kinds() -> Vec<String> {
    Kind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect()
}

fn new_rows(notifications: Vec<Notification>) -> Value {
    let row = |notification: Notification| {
        let Notification {
            id,
            user,
            kind,
            title,
            message,
            data,
            read_at,
            created_at,
            dedupe_key,
        } = notification;
        let ticket = data.get("ticketId").and_then(Value::as_str);
        let ticket = ticket.and_then(|id| Uuid::try_parse(id).ok());
        json!({
            "id": id, "user_id": user, "type": kind.as_str(), "title": title, "message": message, "data": data,
            "read": read_at.is_some(), "read_at": read_at, "created_at": created_at, "dedupe_key": dedupe_key,
            "for_staff": kind.is_for_staff(), "asks_for_sight": kind.asks_for_sight(), "ticket_id": ticket,
        })
    };
    Value::Array(notifications.into_iter().map(row).collect())
}

#[async_trait]
impl NotificationStore for PgNotifications {
    async fn commit(&self, commit: NotificationCommit) -> Result<(), CommitError> {
        let NotificationCommit {
            notifications,
            receipt,
        } = commit;
        let sql = Sql::new("WITH receipt AS (")
            .append(insert_receipt(&receipt, None))
            .push(
                ") INSERT INTO notifications \
                 (id, user_id, type, title, message, data, read, read_at, created_at, dedupe_key) \
                 SELECT n.id, n.user_id, n.type, n.title, n.message, n.data, n.read, n.read_at, n.created_at, \
                        n.dedupe_key \
                 FROM jsonb_to_recordset(",
            )
            .bind(new_rows(notifications))
            .push(
                ") AS n (id uuid, user_id uuid, type text, title text, message text, data jsonb, read boolean, \
                         read_at timestamptz, created_at timestamptz, dedupe_key text, for_staff boolean, asks_for_sight boolean, ticket_id uuid) \
                 JOIN users u ON u.id = n.user_id AND u.deleted_at IS NULL \
                   AND (NOT n.for_staff OR (u.role <> 'user' AND u.status = 'active')) \
                   AND (NOT n.asks_for_sight OR u.role = 'admin' OR EXISTS (SELECT FROM tickets t \
                     WHERE t.id = n.ticket_id AND (t.team_id IS NULL OR t.assigned_to = u.id \
                       OR EXISTS (SELECT FROM team_members m WHERE m.team_id = t.team_id AND m.user_id = u.id)))) \
                 ON CONFLICT (user_id, dedupe_key) DO NOTHING",
            );
        let stored = self
            .database
            .run(async |connection| (&sql).execute(connection).await)
            .await;
        match stored {
            Ok(_) => Ok(()),
            Err(failure) if is_repeated(&failure) => Err(CommitError::Repeated),
            Err(failure) => Err(failure.at(PORT).into()),
        }
    }

    async fn list(&self, user: UserId, query: InboxQuery) -> Result<Vec<Notification>, PortError> {
        let InboxQuery {
            unread_only,
            after,
            limit,
        } = query;
        let mut sql = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(" FROM notifications WHERE user_id = ")
            .bind(user)
            .push(" AND type = ANY(")
            .bind(known_kinds())
            .push(")");
        if unread_only {
            sql = sql.push(" AND NOT read");
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
            .bind(limit.rows_and_one());
        self.database
            .rows::<Row>(PORT, sql)
            .await?
            .into_iter()
            .map(Notification::try_from)
            .collect()
    }

    async fn unread(&self, user: UserId) -> Result<Unread, PortError> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let sql = Sql::new("SELECT count(*) AS count FROM (SELECT FROM notifications WHERE user_id = ")
            .bind(user)
            .push(" AND NOT read LIMIT ")
            .bind(Unread::COUNT_MAX)
            .push(") unread");
        let count = self
            .database
            .run(async |connection| (&sql).get_result::<Count>(connection).await)
            .await;
        count
            .map(|row| Unread(row.count))
            .map_err(|failure| failure.at(PORT))
    }

    async fn mark_read(
        &self,
        user: UserId,
        id: NotificationId,
        at: DateTime<Utc>,
    ) -> Result<Option<Notification>, PortError> {
        let sql =
            Sql::new("UPDATE notifications SET read = true, read_at = CASE WHEN read THEN read_at ELSE ")
                .bind(at)
                .push(" END WHERE id = ")
                .bind(id.0)
                .push(" AND user_id = ")
                .bind(user)
                .push(" RETURNING ")
                .push(COLUMNS);
        self.database
            .row::<Row>(PORT, sql)
            .await?
            .map(Notification::try_from)
            .transpose()
    }

    async fn mark_all_read(&self, user: UserId, at: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError> {
        let sql = Sql::new("UPDATE notifications SET read = true, read_at = ")
            .bind(at)
            .push(" WHERE id IN (SELECT id FROM notifications WHERE user_id = ")
            .bind(user)
            .push(" AND NOT read ORDER BY created_at DESC, id DESC LIMIT ")
            .bind(rows_max)
            .push(" FOR UPDATE)");
        self.database.affected(PORT, sql).await
    }
}

#[cfg(test)]
mod tests {
    use notifications::testing::contract::{World, notification_store};

    use super::*;
    use crate::testing::TestDatabase;
    use crate::testing::own::test_database;

    /// A store that keeps its database for as long as the suite needs it.
    struct Subject {
        store: PgNotifications,
        _test: TestDatabase,
    }

    #[async_trait]
    impl NotificationStore for Subject {
        async fn commit(&self, commit: NotificationCommit) -> Result<(), CommitError> {
            self.store.commit(commit).await
        }

        async fn list(&self, user: UserId, query: InboxQuery) -> Result<Vec<Notification>, PortError> {
            self.store.list(user, query).await
        }

        async fn unread(&self, user: UserId) -> Result<Unread, PortError> {
            self.store.unread(user).await
        }

        async fn mark_read(
            &self,
            user: UserId,
            id: NotificationId,
            at: DateTime<Utc>,
        ) -> Result<Option<Notification>, PortError> {
            self.store.mark_read(user, id, at).await
        }

        async fn mark_all_read(
            &self,
            user: UserId,
            at: DateTime<Utc>,
            rows_max: i64,
        ) -> Result<u64, PortError> {
            self.store.mark_all_read(user, at, rows_max).await
        }
    }

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn notifications_keep_the_contract() {
        let fresh = async || {
            let test = test_database().await;
            test.batch(
                "INSERT INTO users (id, email, name, password_hash, role)
                 SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, n || '@x', 'N', '', 'agent' FROM generate_series(1, 2) n",
            )
            .await;
            let store = PgNotifications::new(test.database().clone());
            let store = Box::new(Subject { store, _test: test });
            World {
                store,
                reader: user(1),
                stranger: user(2),
                absent: user(3),
            }
        };
        notification_store(fresh).await;
    }

    #[tokio::test]
    async fn a_kind_that_nobody_here_knows_breaks_no_inbox() {
        let test = test_database().await;
        test.batch(
            "INSERT INTO users (id, email, name, password_hash)
             VALUES ('00000000-0000-0000-0000-000000000001', 'a@x', 'N', '');
             INSERT INTO notifications (user_id, type, title, message)
             VALUES ('00000000-0000-0000-0000-000000000001', 'moon', 't', 'm'),
                    ('00000000-0000-0000-0000-000000000001', 'replied', 't', 'm')",
        )
        .await;
        let store = PgNotifications::new(test.database().clone());
        let shown = store.list(user(1), InboxQuery::default()).await.unwrap();
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].kind, Kind::Replied);
    }
}
