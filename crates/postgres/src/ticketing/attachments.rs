//! What is known of attachments: their rows, and how they come to hang on a message in the statement that stores it.

use std::collections::HashSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Bytea, Nullable, Timestamptz, Uuid as SqlUuid, Varchar};
use kernel::{MessageId, PortError, Receipt, TicketId, UserId};
use serde_json::json;
use ticketing::{
    AddError, Attachment, AttachmentId, AttachmentPlace, AttachmentStore, FileName, Message,
    PlacedAttachment, Unbound, Visibility,
};
use uuid::Uuid;

use super::PgTickets;
use super::rows::{IdRow, NumberRow};
use crate::Database;
use crate::receipts::{insert_receipt, is_repeated};
use crate::sql::Sql;

const PORT: &str = "attachments";

/// The columns of an attachment, from the table `a`.
const COLUMNS: &str = "a.id, a.uploader_id, a.message_id, a.file_name, a.content_type, a.size_bytes, a.sha256, \
    a.created_at";

/// A row of `attachments`.
#[derive(Debug, QueryableByName)]
struct AttachmentRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    uploader_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    message_id: Option<Uuid>,
    #[diesel(sql_type = Varchar)]
    file_name: String,
    #[diesel(sql_type = Varchar)]
    content_type: String,
    #[diesel(sql_type = BigInt)]
    size_bytes: i64,
    #[diesel(sql_type = Bytea)]
    sha256: Vec<u8>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

impl AttachmentRow {
    fn into_attachment(self) -> Result<Attachment, PortError> {
        let Self {
            id,
            uploader_id,
            message_id,
            file_name,
            content_type,
            size_bytes,
            sha256,
            created_at,
        } = self;
        let sha256 = sha256.try_into().map_err(|_| PortError::Corrupt {
            table: "attachments",
            column: "sha256",
            id: id.to_string(),
            detail: "a SHA-256 has 32 bytes".to_owned(),
        })?;
        Ok(Attachment {
            id: AttachmentId(id),
            uploader: UserId(uploader_id),
            message: message_id.map(MessageId),
            file_name: FileName::stored(file_name),
            content_type,
            size_bytes,
            sha256,
            created_at,
        })
    }
}

/// An attachment with its message's place.
#[derive(Debug, QueryableByName)]
struct PlacedRow {
    #[diesel(embed)]
    attachment: AttachmentRow,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    ticket_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Bool>)]
    is_internal: Option<bool>,
}

/// What somebody has that hangs on no message.
#[derive(Debug, QueryableByName)]
struct UnboundRow {
    #[diesel(sql_type = BigInt)]
    files: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

fn raw(ids: &[AttachmentId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

/// Adds to messages what hangs on them. Messages without links have nothing, and most have none.
pub(super) async fn hang_on(database: &Database, messages: &mut [Message]) -> Result<(), PortError> {
    let has_links = |message: &&mut Message| {
        let links = message.attachment_urls.as_array();
        links.is_none_or(|links| !links.is_empty())
    };
    let mut bearers: Vec<&mut Message> = messages.iter_mut().filter(has_links).collect();
    if bearers.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = bearers.iter().map(|message| message.id.0).collect();
    let sql = Sql::new("SELECT ")
        .push(COLUMNS)
        .push(" FROM attachments a WHERE a.message_id = ANY(")
        .bind(ids)
        .push(") ORDER BY a.created_at, a.id");
    for row in database.rows::<AttachmentRow>(PORT, sql).await? {
        let attachment = row.into_attachment()?;
        let bearer = bearers
            .iter_mut()
            .find(|message| attachment.message == Some(message.id));
        if let Some(bearer) = bearer {
            bearer.attachments.push(attachment);
        }
    }
    Ok(())
}

/// Those of `ids` that `uploader` uploaded and that hang on no message.
pub(super) async fn uploads(
    database: &Database,
    uploader: UserId,
    ids: &[AttachmentId],
) -> Result<Vec<Attachment>, PortError> {
    let sql = Sql::new("SELECT ")
        .push(COLUMNS)
        .push(" FROM attachments a WHERE a.message_id IS NULL AND a.uploader_id = ")
        .bind(uploader)
        .push(" AND a.id = ANY(")
        .bind(raw(ids))
        .push(")");
    let rows = database.rows::<AttachmentRow>(PORT, sql).await?;
    rows.into_iter().map(AttachmentRow::into_attachment).collect()
}

/// The uploads that new messages take, held for them.
pub(super) struct Held {
    /// The rows that can be had: named `held` in the statement.
    pub(super) rows: Sql,
    /// Whether these are all.
    pub(super) all_there: Sql,
}

/// Hangs what is `held` on its messages, once something was `changed`.
pub(super) const BIND_HELD: &str = ", bound_attachments AS (UPDATE attachments a SET message_id = h.message_id \
    FROM held h WHERE a.id = h.id AND EXISTS (SELECT 1 FROM changed))";

/// What holds the uploads of these messages; none where they have none. Whoever comes second waits for the first, and
/// finds them taken.
pub(super) fn held_for(messages: &[Message]) -> Result<Option<Held>, PortError> {
    let mut wanted = Vec::new();
    for message in messages {
        for attachment in &message.attachments {
            wanted.push(json!({
                "id": attachment.id, "uploader_id": message.sender, "message_id": message.id,
            }));
        }
    }
    if wanted.is_empty() {
        return Ok(None);
    }
    let count = i64::try_from(wanted.len()).map_err(|error| PortError::Bug {
        port: PORT,
        source: Box::new(error),
    })?;
    Ok(Some(Held {
        rows: Sql::new("SELECT a.id, w.message_id FROM jsonb_to_recordset(")
            .bind(serde_json::Value::Array(wanted))
            .push(
                ") AS w (id uuid, uploader_id uuid, message_id uuid) JOIN attachments a ON a.id = w.id \
                 AND a.uploader_id = w.uploader_id WHERE a.message_id IS NULL ORDER BY a.id FOR UPDATE OF a",
            ),
        all_there: Sql::new("(SELECT count(*) FROM held) = ").bind(count),
    }))
}

#[async_trait]
impl AttachmentStore for PgTickets {
    async fn unbound(&self, uploader: UserId) -> Result<Unbound, PortError> {
        let sql = Sql::new("SELECT files, bytes FROM (")
            .append(held_by(uploader))
            .push(") unbound");
        let row = self.database.row::<UnboundRow>(PORT, sql).await?;
        Ok(
            row.map_or_else(Unbound::default, |UnboundRow { files, bytes }| Unbound {
                files,
                bytes,
            }),
        )
    }

    async fn add(
        &self,
        attachment: &Attachment,
        at_most: Unbound,
        receipt: Option<Receipt>,
    ) -> Result<(), AddError> {
        // Held by a statement before, so that the one which counts sees what was committed meanwhile.
        let lock = Sql::new("SELECT FROM users WHERE id = ")
            .bind(attachment.uploader)
            .push(" FOR NO KEY UPDATE");
        let mut sql = Sql::new(
            "WITH changed AS (INSERT INTO attachments (id, uploader_id, file_name, content_type, size_bytes, sha256, \
             created_at) SELECT ",
        )
        .bind(attachment.id.0)
        .push(", ")
        .bind(attachment.uploader)
        .push(", ")
        .bind(attachment.file_name.as_str())
        .push(", ")
        .bind(attachment.content_type.as_str())
        .push(", ")
        .bind(attachment.size_bytes)
        .push(", ")
        .bind(attachment.sha256.to_vec())
        .push(", ")
        .bind(attachment.created_at)
        .push(" FROM (")
        .append(held_by(attachment.uploader))
        .push(") unbound WHERE unbound.files < ")
        .bind(at_most.files)
        .push(" AND unbound.bytes + ")
        .bind(attachment.size_bytes)
        .push(" <= ")
        .bind(at_most.bytes)
        .push(" RETURNING id)");
        if let Some(receipt) = receipt {
            sql = sql
                .push(", new_receipt AS (")
                .append(insert_receipt(&receipt, Some("changed")))
                .push(")");
        }
        let sql = sql.push(" SELECT count(*) AS number FROM changed");
        match self.database.row_behind::<NumberRow>(Some(&lock), &sql).await {
            Ok(NumberRow { number: 0 }) => Err(AddError::TooMuch),
            Ok(NumberRow { .. }) => Ok(()),
            Err(failure) if is_repeated(&failure) => Err(AddError::Repeated),
            Err(failure) => Err(AddError::Port(failure.at(PORT))),
        }
    }

    async fn attachment(&self, id: AttachmentId) -> Result<Option<PlacedAttachment>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(
                ", m.ticket_id, m.is_internal FROM attachments a LEFT JOIN ticket_messages m ON m.id = a.message_id \
                 WHERE a.id = ",
            )
            .bind(id.0);
        let Some(row) = self.database.row::<PlacedRow>(PORT, sql).await? else {
            return Ok(None);
        };
        let PlacedRow {
            attachment,
            ticket_id,
            is_internal,
        } = row;
        let attachment = attachment.into_attachment()?;
        let place = match (ticket_id, attachment.message, is_internal) {
            (Some(ticket), Some(message), Some(is_internal)) => Some(AttachmentPlace {
                ticket: TicketId(ticket),
                message,
                visibility: if is_internal {
                    Visibility::Internal
                } else {
                    Visibility::Public
                },
            }),
            _ => None,
        };
        Ok(Some(PlacedAttachment { attachment, place }))
    }

    async fn remove_unbound(&self, id: AttachmentId, uploader: UserId) -> Result<bool, PortError> {
        let sql = Sql::new("DELETE FROM attachments WHERE message_id IS NULL AND id = ")
            .bind(id.0)
            .push(" AND uploader_id = ")
            .bind(uploader);
        Ok(self.database.affected(PORT, sql).await? > 0)
    }

    async fn remove_unbound_before(
        &self,
        before: DateTime<Utc>,
        rows_max: i64,
    ) -> Result<Vec<AttachmentId>, PortError> {
        // One that is being hung on a message just now is left to that.
        let sql = Sql::new(
            "DELETE FROM attachments WHERE id IN (SELECT id FROM attachments WHERE message_id IS NULL AND created_at < ",
        )
        .bind(before)
        .push(" ORDER BY created_at LIMIT ")
        .bind(rows_max)
        .push(" FOR UPDATE SKIP LOCKED) RETURNING id");
        let rows = self.database.rows::<IdRow>(PORT, sql).await?;
        Ok(rows.into_iter().map(|row| AttachmentId(row.id)).collect())
    }

    async fn known(&self, ids: &[AttachmentId]) -> Result<HashSet<AttachmentId>, PortError> {
        let sql = Sql::new("SELECT id FROM attachments WHERE id = ANY(")
            .bind(raw(ids))
            .push(")");
        let rows = self.database.rows::<IdRow>(PORT, sql).await?;
        Ok(rows.into_iter().map(|row| AttachmentId(row.id)).collect())
    }
}

/// The statement that counts what `uploader` has that hangs on no message.
fn held_by(uploader: UserId) -> Sql {
    Sql::new(
        "SELECT count(*) AS files, coalesce(sum(size_bytes), 0)::bigint AS bytes FROM attachments \
         WHERE message_id IS NULL AND uploader_id = ",
    )
    .bind(uploader)
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use kernel::{IdSource as _, PageLimit, SequentialIds, Version};
    use ticketing::testing::attachments::{attachment_store, upload};
    use ticketing::testing::build;
    use ticketing::{Audience, Body, CommitError, TicketCommit, TicketStore as _, TicketWrite};

    use super::super::tests::world;
    use super::*;
    use crate::testing::own::test_database;

    const PLENTY: Unbound = Unbound {
        files: 1_000,
        bytes: 1_000_000,
    };

    #[tokio::test(flavor = "multi_thread")]
    async fn attachments_keep_their_contract() {
        let test = test_database().await;
        let ids = SequentialIds::default();
        let world = world(&test, &ids).await;
        let store = PgTickets::new(test.database().clone());
        attachment_store(&store, &ids, &world).await;
    }

    fn commit(ticket: TicketWrite, messages: Vec<Message>) -> TicketCommit {
        TicketCommit {
            ticket,
            messages,
            edited_messages: vec![],
            removed_attachments: vec![],
            notes: vec![],
            activities: vec![],
            events: vec![],
            receipt: None,
            item: None,
            assigns: None,
            clocks: None,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_messages_at_once_one_gets_the_upload() {
        let test = test_database().await;
        let ids = SequentialIds::default();
        let world = world(&test, &ids).await;
        let store = PgTickets::new(test.database().clone());
        let hung = upload(&ids, world.customer, build::noon());
        store.add(&hung, PLENTY, None).await.unwrap();
        let mut commits = Vec::new();
        for _ in 0..8 {
            let number = store.next_number().await.unwrap();
            let ticket = build::ticket()
                .identified(TicketId::new(&ids), number)
                .requested_by(world.customer)
                .build();
            let write = TicketWrite::Insert(Box::new(ticket.clone()));
            store.commit(commit(write, vec![])).await.unwrap();
            let mut after = ticket.clone();
            after.staff_face.version = Version(2);
            let id = MessageId(ids.next());
            let message = Message {
                id,
                ticket: ticket.id,
                sender: world.customer,
                body: Body::stored("see there".to_owned()),
                html: None,
                attachment_urls: json!([hung.url()]),
                attachments: vec![Attachment {
                    message: Some(id),
                    ..hung.clone()
                }],
                visibility: Visibility::Public,
                created_at: build::noon() + Duration::seconds(1),
                updated_at: build::noon() + Duration::seconds(1),
            };
            let write = TicketWrite::Update {
                ticket: Box::new(after),
                expected: ticket.version(),
            };
            commits.push((ticket.id, commit(write, vec![message])));
        }
        let tickets: Vec<_> = commits.iter().map(|(ticket, _)| *ticket).collect();
        let outcomes =
            futures_util::future::join_all(commits.into_iter().map(|(_, commit)| store.commit(commit))).await;
        let mut stored = 0;
        for (ticket, outcome) in tickets.into_iter().zip(outcomes) {
            let messages = store
                .messages(ticket, Audience::Staff, None, PageLimit::DEFAULT)
                .await
                .unwrap();
            match outcome {
                Ok(()) => {
                    stored += 1;
                    assert_eq!(messages.items[0].attachments[0].id, hung.id);
                }
                Err(error) => {
                    assert!(matches!(error, CommitError::Stale), "{error}");
                    assert!(messages.items.is_empty());
                }
            }
        }
        assert_eq!(stored, 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_uploads_at_once_no_more_are_kept_than_the_bound() {
        let test = test_database().await;
        let ids = SequentialIds::default();
        let world = world(&test, &ids).await;
        let store = PgTickets::new(test.database().clone());
        let at_most = Unbound {
            files: 3,
            bytes: 1_000_000,
        };
        let uploads: Vec<_> = (0..12)
            .map(|_| upload(&ids, world.customer, build::noon()))
            .collect();
        let adds = uploads.iter().map(|upload| store.add(upload, at_most, None));
        let outcomes = futures_util::future::join_all(adds).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
        assert_eq!(store.unbound(world.customer).await.unwrap().files, 3);
    }
}
