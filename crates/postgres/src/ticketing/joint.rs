//! Decisions about two tickets: one transaction, in which the tickets are locked first, in the order of their ids. Links
//! are made one at a time on the whole desk (an advisory lock), since a circle can close anywhere.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl};
use events::TicketStatus;
use kernel::{MessageId, PortError, TicketId, UserId};
use serde_json::{Value, json};
use ticketing::{
    CommitError, Counted, JointCommit, JointError, LINKS_MAX, Later, Link, LinkKind, LinkWrite, LinkedTicket,
    Merge, MergeFacts, MergeId, MergeWrite, Move, Standing, Tags, Tally, TicketWrite,
};
use uuid::Uuid;

use crate::Database;
use crate::error::Failure;
use crate::receipts::insert_receipt;
use crate::sql::Sql;

use super::commit::{refusal, statement};
use super::rows::{NumberRow, TicketRow, texts};
use super::{PORT, list};

/// The advisory lock of who makes a link.
const LINK_LOCK: i64 = 7_120_338_492_865_127_044;

/// How a transaction ended that the database did not refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Stale,
    Exists,
    TooMany,
    SecondParent,
    Cycle,
}

/// Stores a decision about two tickets whole, or nothing of it.
pub(super) async fn store(database: &Database, commit: JointCommit) -> Result<(), JointError> {
    let JointCommit {
        parts,
        moves,
        link,
        merge,
        receipt,
    } = commit;
    let tells = parts.iter().any(|part| !part.events.is_empty());
    let versions: Vec<(Uuid, i32)> = parts
        .iter()
        .filter_map(|part| match &part.ticket {
            TicketWrite::Update { ticket, expected } => Some((ticket.id.0, expected.0)),
            TicketWrite::Insert(_) | TicketWrite::Unchanged => None,
        })
        .collect();
    let mut statements = Vec::new();
    for part in parts {
        statements.push((statement(part)?, Expect::One));
    }
    match &merge {
        Some(MergeWrite::Begin(merge)) => statements.extend(begin(merge)),
        Some(MergeWrite::End { merge, later, at }) => statements.extend(end(merge, *later, *at)),
        None => {}
    }
    statements.extend(moves.iter().map(moved));
    match &link {
        Some(LinkWrite::Add(link)) => statements.push((add(link), Expect::One)),
        Some(LinkWrite::Remove(link)) => statements.push((remove(link), Expect::One)),
        None => {}
    }
    if let Some(receipt) = &receipt {
        let insert = insert_receipt(receipt, None).push(" RETURNING 1::bigint AS number");
        statements.push((insert, Expect::Any));
    }
    let run = database
        .run(async |connection| {
            let tried = connection
                .transaction(async |connection| {
                    if let Some(LinkWrite::Add(link)) = &link {
                        let lock = Sql::new("SELECT pg_advisory_xact_lock(")
                            .bind(LINK_LOCK)
                            .push(")");
                        lock.execute(connection).await?;
                        if let Some(refused) = refused(connection, link).await? {
                            return Ok(refused);
                        }
                    }
                    if !are_present(connection, &versions).await? {
                        return Ok(Outcome::Stale);
                    }
                    for (sql, expected) in &statements {
                        let rows = sql.clone().load::<NumberRow>(connection).await?;
                        let done = rows.as_slice().first().map_or(0, |row| row.number);
                        if *expected == Expect::One && done == 0
                            || matches!(expected, Expect::Exactly(n) if *n != done)
                        {
                            // Undoes what was done until here.
                            return Err(Error::RollbackTransaction);
                        }
                    }
                    Ok(Outcome::Done)
                })
                .await;
            match tried {
                Err(Error::RollbackTransaction) => Ok(Outcome::Stale),
                other => other,
            }
        })
        .await;
    match run {
        Ok(Outcome::Done) => {
            if tells {
                database.wake_ups().committed();
            }
            Ok(())
        }
        Ok(Outcome::Stale) => Err(CommitError::Stale.into()),
        Ok(Outcome::Exists) => Err(JointError::LinkExists),
        Ok(Outcome::TooMany) => Err(JointError::TooManyLinks),
        Ok(Outcome::SecondParent) => Err(JointError::SecondParent),
        Ok(Outcome::Cycle) => Err(JointError::Cycle),
        Err(failure) => Err(refusal(failure).into()),
    }
}

/// What a statement's `number` must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Any,
    One,
    Exactly(i64),
}

/// Locks the tickets and tells whether they are still what they were.
async fn are_present(connection: &mut AsyncPgConnection, versions: &[(Uuid, i32)]) -> QueryResult<bool> {
    let ids: Vec<Uuid> = versions.iter().map(|(id, _)| *id).collect();
    let lock = Sql::new("SELECT id, version FROM tickets WHERE id = ANY(")
        .bind(ids)
        .push(") ORDER BY id FOR UPDATE");
    let locked = lock.load::<VersionRow>(connection).await?;
    Ok(versions
        .iter()
        .all(|(id, version)| locked.iter().any(|row| (row.id, row.version) == (*id, *version))))
}

/// Why a link cannot be made, as everything stands behind the lock.
async fn refused(connection: &mut AsyncPgConnection, link: &Link) -> QueryResult<Option<Outcome>> {
    let links_max = i64::try_from(LINKS_MAX).unwrap_or(i64::MAX);
    let kind = link.kind.as_str();
    let mut sql = Sql::new("SELECT CASE WHEN EXISTS (SELECT 1 FROM ticket_links WHERE from_id = ")
        .bind(link.from)
        .push(" AND to_id = ")
        .bind(link.to)
        .push(" AND kind = ")
        .bind(kind)
        .push(") THEN 1");
    for ticket in [link.from, link.to] {
        sql = sql
            .push(" WHEN (SELECT count(*) FROM ticket_links WHERE from_id = ")
            .bind(ticket)
            .push(") + (SELECT count(*) FROM ticket_links WHERE to_id = ")
            .bind(ticket)
            .push(") >= ")
            .bind(links_max)
            .push(" THEN 2");
    }
    if link.kind == LinkKind::Parent {
        sql = sql
            .push(" WHEN EXISTS (SELECT 1 FROM ticket_links WHERE kind = 'parent' AND to_id = ")
            .bind(link.to)
            .push(") THEN 3");
    }
    if link.kind != LinkKind::Relates {
        sql = sql
            .push(" WHEN ")
            .bind(link.from)
            .push(" IN (WITH RECURSIVE reached (id) AS (SELECT ")
            .bind(link.to)
            .push(" UNION SELECT l.to_id FROM ticket_links l JOIN reached r ON l.from_id = r.id WHERE l.kind = ")
            .bind(kind)
            .push(") SELECT id FROM reached) THEN 4");
    }
    let sql = sql.push(" ELSE 0 END::bigint AS number");
    let NumberRow { number } = sql.get_result(connection).await?;
    Ok(match number {
        0 => None,
        1 => Some(Outcome::Exists),
        2 => Some(Outcome::TooMany),
        3 => Some(Outcome::SecondParent),
        _ => Some(Outcome::Cycle),
    })
}

fn add(link: &Link) -> Sql {
    Sql::new("WITH made AS (INSERT INTO ticket_links (from_id, to_id, kind, created_by, created_at) VALUES (")
        .bind(link.from)
        .push(", ")
        .bind(link.to)
        .push(", ")
        .bind(link.kind.as_str())
        .push(", ")
        .bind(link.by)
        .push(", ")
        .bind(link.at)
        .push(") RETURNING 1) SELECT count(*) AS number FROM made")
}

fn remove(link: &Link) -> Sql {
    Sql::new("WITH gone AS (DELETE FROM ticket_links WHERE from_id = ")
        .bind(link.from)
        .push(" AND to_id = ")
        .bind(link.to)
        .push(" AND kind = ")
        .bind(link.kind.as_str())
        .push(" RETURNING 1) SELECT count(*) AS number FROM gone")
}

fn moved(change: &Move) -> (Sql, Expect) {
    let ids: Vec<Uuid> = change.messages.iter().map(|id| id.0).collect();
    let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let sql = Sql::new("WITH moved AS (UPDATE ticket_messages SET ticket_id = ")
        .bind(change.to)
        .push(" WHERE ticket_id = ")
        .bind(change.from)
        .push(" AND id = ANY(")
        .bind(ids)
        .push(") RETURNING 1) SELECT count(*) AS number FROM moved");
    (sql, Expect::Exactly(count))
}

/// The source's standing as the merge's row keeps it.
fn standing_json(standing: Standing) -> Value {
    json!({
        "status": standing.status(),
        "resolvedAt": standing.resolved_at(),
        "closedAt": standing.closed_at(),
        "autoClosedAt": standing.auto_closed_at(),
    })
}

fn begin(merge: &Merge) -> Vec<(Sql, Expect)> {
    let remember = Sql::new(
        "WITH made AS (INSERT INTO ticket_merges (id, target_id, source_id, description_message_id, source_standing, \
         tags_added, gave_first_response, merged_by, merged_at) VALUES (",
    )
    .bind(merge.id.0)
    .push(", ")
    .bind(merge.target)
    .push(", ")
    .bind(merge.source)
    .push(", ")
    .bind(merge.description_message)
    .push(", ")
    .bind(standing_json(merge.source_standing))
    .push(", ")
    .bind(merge.tags_added.to_json())
    .push(", ")
    .bind(merge.gave_first_response)
    .push(", ")
    .bind(merge.by)
    .push(", ")
    .bind(merge.at)
    .push(") RETURNING 1) SELECT count(*) AS number FROM made");
    let bring = |update: &'static str| {
        Sql::new("WITH moved AS (")
            .push(update)
            .bind(merge.target)
            .push(" WHERE ticket_id = ")
            .bind(merge.source)
            .push(" RETURNING id), kept AS (INSERT INTO ticket_merge_items (merge_id, item_id) SELECT ")
            .bind(merge.id.0)
            .push(", id FROM moved) SELECT count(*) AS number FROM moved")
    };
    vec![
        (remember, Expect::One),
        (bring("UPDATE ticket_messages SET ticket_id = "), Expect::Any),
        (bring("UPDATE ticket_notes SET ticket_id = "), Expect::Any),
    ]
}

/// Whether a row `i` of messages or notes in the merge's target was written since, and came with no other merge.
fn is_later(merge: &Merge) -> Sql {
    Sql::new("(i.created_at > ")
        .bind(merge.at)
        .push(
            " AND NOT EXISTS (SELECT 1 FROM ticket_merge_items o JOIN ticket_merges om ON om.id = o.merge_id \
             WHERE o.item_id = i.id AND om.undone_at IS NULL AND om.target_id = ",
        )
        .bind(merge.target)
        .push(") AND NOT EXISTS (SELECT 1 FROM ticket_merges d WHERE d.undone_at IS NULL AND d.target_id = ")
        .bind(merge.target)
        .push(" AND d.description_message_id = i.id))")
}

/// Whether a row `i` came with the merge.
fn is_moved(merge: &Merge) -> Sql {
    Sql::new("EXISTS (SELECT 1 FROM ticket_merge_items m WHERE m.item_id = i.id AND m.merge_id = ")
        .bind(merge.id.0)
        .push(")")
}

fn end(merge: &Merge, later: Later, at: DateTime<Utc>) -> Vec<(Sql, Expect)> {
    let remove = Sql::new("WITH gone AS (DELETE FROM ticket_messages WHERE id = ")
        .bind(merge.description_message)
        .push(" AND ticket_id = ")
        .bind(merge.target)
        .push(" RETURNING 1) SELECT count(*) AS number FROM gone");
    let back = |table: &'static str| {
        let mut sql = Sql::new("WITH moved AS (UPDATE ")
            .push(table)
            .push(" i SET ticket_id = ")
            .bind(merge.source)
            .push(" WHERE i.ticket_id = ")
            .bind(merge.target)
            .push(" AND (")
            .append(is_moved(merge));
        if later == Later::Source {
            sql = sql.push(" OR ").append(is_later(merge));
        }
        sql.push(") RETURNING 1) SELECT count(*) AS number FROM moved")
    };
    let undone = Sql::new("WITH undone AS (UPDATE ticket_merges SET undone_at = ")
        .bind(at)
        .push(" WHERE undone_at IS NULL AND id = ")
        .bind(merge.id.0)
        .push(" RETURNING 1) SELECT count(*) AS number FROM undone");
    vec![
        (remove, Expect::Any),
        (back("ticket_messages"), Expect::Any),
        (back("ticket_notes"), Expect::Any),
        (undone, Expect::One),
    ]
}

/// The tickets that a ticket is linked to.
pub(super) async fn links(database: &Database, ticket: TicketId) -> Result<Vec<LinkedTicket>, PortError> {
    let links_max = i64::try_from(LINKS_MAX).unwrap_or(i64::MAX);
    let sql = Sql::new(
        "SELECT l.from_id, l.to_id, l.kind, l.created_by AS linked_by, l.created_at AS linked_at, t.",
    )
    .push(list::columns_of_t())
    .push(" FROM (SELECT *, to_id AS other_id FROM ticket_links WHERE from_id = ")
    .bind(ticket)
    .push(" UNION ALL SELECT *, from_id AS other_id FROM ticket_links WHERE to_id = ")
    .bind(ticket)
    .push(") l JOIN tickets t ON t.id = l.other_id ORDER BY l.created_at, t.id LIMIT ")
    .bind(links_max);
    let rows = database
        .run(async |connection| sql.clone().load::<LinkRow>(connection).await)
        .await
        .map_err(|failure| failure.at(PORT))?;
    let mut linked = Vec::with_capacity(rows.len());
    for row in rows {
        let LinkRow {
            from_id,
            to_id,
            kind,
            linked_by,
            linked_at,
            other,
        } = row;
        let Some(kind) = LinkKind::ALL.into_iter().find(|known| known.as_str() == kind) else {
            continue;
        };
        linked.push(LinkedTicket {
            link: Link {
                from: TicketId(from_id),
                to: TicketId(to_id),
                kind,
                by: linked_by.map(UserId),
                at: linked_at,
            },
            other: other.into_ticket()?,
        });
    }
    Ok(linked)
}

/// The present merge of a ticket into another.
pub(super) async fn merge_of(database: &Database, source: TicketId) -> Result<Option<MergeFacts>, Failure> {
    let sql = Sql::new(
        "SELECT id, target_id, source_id, description_message_id, source_standing, tags_added, gave_first_response, \
         merged_by, merged_at FROM ticket_merges WHERE undone_at IS NULL AND source_id = ",
    )
    .bind(source);
    let row = database
        .run(async |connection| sql.clone().get_result::<MergeRow>(connection).await.optional())
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let merge = row.into_merge();
    let heap = Sql::new(
        "SELECT (i.sender_id <> t.created_by AND i.sender_id <> ALL(t.cc_ids)) AS answers, i.is_internal, i.created_at, \
         CASE WHEN ",
    )
    .append(is_moved(&merge))
    .push(" THEN 1 WHEN ")
    .append(is_later(&merge))
    .push(" THEN 2 ELSE 0 END AS heap FROM ticket_messages i JOIN tickets t ON t.id = i.ticket_id WHERE i.ticket_id = ")
    .bind(merge.target)
    .push(" AND i.id <> ")
    .bind(merge.description_message);
    let heaps = tallies(database, heap).await?;
    let of = |heap: i32| {
        heaps
            .iter()
            .find(|row| row.heap == heap)
            .map(TallyRow::tally)
            .unwrap_or_default()
    };
    Ok(Some(MergeFacts {
        moved: of(1),
        later: of(2),
        rest: of(0),
        merge,
    }))
}

/// A ticket's messages counted, without these.
pub(super) async fn tally(
    database: &Database,
    ticket: TicketId,
    without: &[MessageId],
) -> Result<Tally, Failure> {
    let without: Vec<Uuid> = without.iter().map(|id| id.0).collect();
    let rows = Sql::new(
        "SELECT (i.sender_id <> t.created_by AND i.sender_id <> ALL(t.cc_ids)) AS answers, i.is_internal, i.created_at, 0 AS heap \
         FROM ticket_messages i JOIN tickets t ON t.id = i.ticket_id WHERE i.ticket_id = ",
    )
    .bind(ticket)
    .push(" AND i.id <> ALL(")
    .bind(without)
    .push(")");
    let heaps = tallies(database, rows).await?;
    Ok(heaps.as_slice().first().map(TallyRow::tally).unwrap_or_default())
}

async fn tallies(database: &Database, rows: Sql) -> Result<Vec<TallyRow>, Failure> {
    let sql = Sql::new(
        "SELECT heap, count(*) AS staff, max(created_at) AS staff_last, count(*) FILTER (WHERE NOT is_internal) AS public, \
         max(created_at) FILTER (WHERE NOT is_internal) AS public_last, \
         min(created_at) FILTER (WHERE NOT is_internal AND answers) AS first_answer FROM (",
    )
    .append(rows)
    .push(") said GROUP BY heap");
    database
        .run(async |connection| sql.clone().load::<TallyRow>(connection).await)
        .await
}

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Integer)]
    version: i32,
}

#[derive(QueryableByName)]
struct LinkRow {
    #[diesel(sql_type = SqlUuid)]
    from_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    to_id: Uuid,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    linked_by: Option<Uuid>,
    #[diesel(sql_type = Timestamptz)]
    linked_at: DateTime<Utc>,
    #[diesel(embed)]
    other: TicketRow,
}

#[derive(QueryableByName)]
struct MergeRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    target_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    source_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    description_message_id: Uuid,
    #[diesel(sql_type = diesel::sql_types::Jsonb)]
    source_standing: Value,
    #[diesel(sql_type = diesel::sql_types::Jsonb)]
    tags_added: Value,
    #[diesel(sql_type = Bool)]
    gave_first_response: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    merged_by: Option<Uuid>,
    #[diesel(sql_type = Timestamptz)]
    merged_at: DateTime<Utc>,
}

impl MergeRow {
    fn into_merge(self) -> Merge {
        let Self {
            id,
            target_id,
            source_id,
            description_message_id,
            source_standing,
            tags_added,
            gave_first_response,
            merged_by,
            merged_at,
        } = self;
        let name = source_standing["status"].as_str().unwrap_or_default();
        let status = TicketStatus::ALL
            .into_iter()
            .find(|status| status.as_str() == name);
        let time = |field: &str| source_standing[field].as_str().and_then(|text| text.parse().ok());
        Merge {
            id: MergeId(id),
            target: TicketId(target_id),
            source: TicketId(source_id),
            description_message: MessageId(description_message_id),
            source_standing: Standing::from_columns(
                status.unwrap_or(TicketStatus::Open),
                time("resolvedAt"),
                time("closedAt"),
                time("autoClosedAt"),
                merged_at,
            ),
            tags_added: Tags::stored(texts(tags_added)),
            gave_first_response,
            by: merged_by.map(UserId),
            at: merged_at,
        }
    }
}

#[derive(QueryableByName)]
struct TallyRow {
    #[diesel(sql_type = Integer)]
    heap: i32,
    #[diesel(sql_type = BigInt)]
    staff: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    staff_last: Option<DateTime<Utc>>,
    #[diesel(sql_type = BigInt)]
    public: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    public_last: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_answer: Option<DateTime<Utc>>,
}

impl TallyRow {
    fn tally(&self) -> Tally {
        let counted = |messages: i64, last| Counted {
            messages: i32::try_from(messages).unwrap_or(i32::MAX),
            last,
        };
        Tally {
            staff: counted(self.staff, self.staff_last),
            public: counted(self.public, self.public_last),
            first_answer: self.first_answer,
        }
    }
}
