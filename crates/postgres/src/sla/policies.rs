//! Policies in PostgreSQL. Every version of what one promised is kept by a trigger of `sla_policies`, so that other writers leave
//! theirs as well.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use events::{Cause, Event, Fact, IdentityFact};
use kernel::{PortError, Version};
use serde_json::{Value, json};
use sla::{
    POLICIES_MAX, PolicyCommit, PolicyCommitError, PolicyEvent, PolicyFact, PolicyFilter, PolicyId,
    PolicyRef, PolicyStore, PolicyWrite, SlaPolicy, StoredPolicy, Terms,
};
use uuid::Uuid;

use crate::Database;
use crate::error::Failure;
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::{sla_policies, sla_policy_terms};
use crate::sql::Sql;
use crate::ticketing::NumberRow;

const PORT: &str = "sla policies";
/// Counts of the tickets that use a policy stop here: whoever asks wants to know whether there are any.
const USAGE_COUNT_MAX: i64 = 10_000;
/// Commits come one after the other, and new rows of other writers between them. The same stands in the trigger that places those.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('sla policies', 0))";

/// Policies in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgPolicies {
    database: Database,
}

impl PgPolicies {
    /// Those of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// A row of `sla_policies`.
#[derive(QueryableByName)]
#[diesel(table_name = sla_policies)]
struct PolicyRow {
    id: Uuid,
    name: String,
    description: Option<String>,
    first_response_time: i32,
    next_response_time: Option<i32>,
    resolution_time: i32,
    business_hours_only: bool,
    business_hours: Option<Value>,
    escalation_rules: Value,
    priority_multipliers: Value,
    paused_while_pending: Option<Value>,
    filter: Option<Value>,
    place: i32,
    is_default: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i32,
    terms_version: i32,
    calendar_version: i32,
}

const POLICY_COLUMNS: &str = "id, name, description, first_response_time, next_response_time, resolution_time, \
    business_hours_only, business_hours, escalation_rules, priority_multipliers, paused_while_pending, filter, place, \
    is_default, created_at, updated_at, version, terms_version, calendar_version";

impl PolicyRow {
    fn into_policy(self) -> Result<SlaPolicy, PortError> {
        let Self {
            id,
            name,
            description,
            first_response_time,
            next_response_time,
            resolution_time,
            business_hours_only,
            business_hours,
            escalation_rules,
            priority_multipliers,
            paused_while_pending,
            filter,
            place,
            is_default,
            created_at,
            updated_at,
            version,
            terms_version,
            calendar_version,
        } = self;
        let stored = SlaPolicy::stored(StoredPolicy {
            id: PolicyId(id),
            name,
            description,
            first_response_time,
            next_response_time,
            resolution_time,
            business_hours_only,
            business_hours: business_hours.filter(|hours| !hours.is_null()),
            escalation_rules,
            priority_multipliers,
            paused_while_pending: paused_while_pending.filter(|pauses| !pauses.is_null()),
            filter: filter.filter(|filter| !filter.is_null()),
            place,
            is_default,
            created_at,
            updated_at,
            version: Version(version),
            terms_version: Version(terms_version),
            calendar_version: Version(calendar_version),
        });
        stored.map_err(|faults| PortError::Corrupt {
            table: "sla_policies",
            column: "id",
            id: id.to_string(),
            detail: faults.to_string(),
        })
    }
}

/// A row of `sla_policy_terms`.
#[derive(QueryableByName)]
#[diesel(table_name = sla_policy_terms)]
struct TermsRow {
    policy_id: Uuid,
    version: i32,
    calendar_version: i32,
    first_response_time: i32,
    next_response_time: Option<i32>,
    resolution_time: i32,
    business_hours_only: bool,
    business_hours: Option<Value>,
    escalation_rules: Value,
    priority_multipliers: Value,
    paused_while_pending: Option<Value>,
    created_at: DateTime<Utc>,
}

impl TermsRow {
    fn into_terms(self) -> Result<Arc<Terms>, PortError> {
        let Self {
            policy_id,
            version,
            calendar_version,
            first_response_time,
            next_response_time,
            resolution_time,
            business_hours_only,
            business_hours,
            escalation_rules,
            priority_multipliers,
            paused_while_pending,
            created_at,
        } = self;
        // What it promised; the rest of a policy is not kept.
        let row = PolicyRow {
            id: policy_id,
            name: String::new(),
            description: None,
            first_response_time,
            next_response_time,
            resolution_time,
            business_hours_only,
            business_hours,
            escalation_rules,
            priority_multipliers,
            paused_while_pending,
            filter: None,
            place: 0,
            is_default: false,
            created_at,
            updated_at: created_at,
            version,
            terms_version: version,
            calendar_version,
        };
        Ok(row.into_policy()?.terms())
    }
}

#[async_trait]
impl PolicyStore for PgPolicies {
    async fn policy(&self, id: PolicyId) -> Result<Option<SlaPolicy>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(POLICY_COLUMNS)
            .push(" FROM sla_policies WHERE id = ")
            .bind(id.0);
        let row: Option<PolicyRow> = self.database.row(PORT, sql).await?;
        row.map(PolicyRow::into_policy).transpose()
    }

    async fn policies(&self) -> Result<Vec<SlaPolicy>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(POLICY_COLUMNS)
            .push(" FROM sla_policies ORDER BY place LIMIT ")
            .bind(policies_max());
        let rows: Vec<PolicyRow> = self.database.rows(PORT, sql).await?;
        let policies = rows.into_iter().filter_map(|row| match row.into_policy() {
            Ok(policy) => Some(policy),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a policy cannot be read and promises nothing"
                );
                None
            }
        });
        Ok(policies.collect())
    }

    async fn terms(&self, policy: PolicyRef) -> Result<Option<Arc<Terms>>, PortError> {
        let sql = Sql::new("SELECT * FROM sla_policy_terms WHERE policy_id = ")
            .bind(policy.id.0)
            .push(" AND version = ")
            .bind(policy.version.0);
        let row: Option<TermsRow> = self.database.row(PORT, sql).await?;
        row.map(TermsRow::into_terms).transpose()
    }

    async fn usage(&self, id: PolicyId) -> Result<u64, PortError> {
        let row: Option<NumberRow> = self.database.row(PORT, usage(id)).await?;
        Ok(row.map_or(0, |row| u64::try_from(row.number).unwrap_or(0)))
    }

    async fn commit(&self, commit: PolicyCommit) -> Result<(), PolicyCommitError> {
        let PolicyCommit {
            writes,
            events,
            receipt,
        } = commit;
        let events: Vec<_> = events.into_iter().map(published).collect();
        let tells = !events.is_empty();
        let run = self
            .database
            .run(async |connection| {
                let tried = connection
                    .transaction(async |connection| {
                        Sql::new(LOCK).execute(connection).await?;
                        let before = Shape::read(connection).await?;
                        for write in &writes {
                            if let Some(refused) = refused(connection, write, &before).await? {
                                return Ok(refused);
                            }
                        }
                        for write in &writes {
                            write_one(connection, write).await?;
                        }
                        if !Shape::read(connection).await?.may_follow(&before) {
                            return Err(Error::RollbackTransaction);
                        }
                        insert_events(&events, None)?.execute(connection).await?;
                        if let Some(receipt) = &receipt {
                            insert_receipt(receipt, None).execute(connection).await?;
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
        match run.map_err(refusal)? {
            Outcome::Done => {
                if tells {
                    self.database.wake_ups().committed();
                }
                Ok(())
            }
            Outcome::Stale => Err(PolicyCommitError::Stale),
            Outcome::TooMany => Err(PolicyCommitError::TooMany),
            Outcome::InUse(tickets) => Err(PolicyCommitError::InUse(tickets)),
        }
    }
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Stale,
    TooMany,
    InUse(u64),
}

/// How many policies there are, and how many of them are the default.
#[derive(QueryableByName)]
struct Shape {
    #[diesel(sql_type = BigInt)]
    policies: i64,
    #[diesel(sql_type = BigInt)]
    defaults: i64,
}

impl Shape {
    async fn read(connection: &mut diesel_async::AsyncPgConnection) -> QueryResult<Self> {
        Sql::new(
            "SELECT count(*) AS policies, count(*) FILTER (WHERE is_default) AS defaults FROM sla_policies",
        )
        .get_result(connection)
        .await
    }

    /// Exactly one is the default; where another writer left none, none may go on being it.
    fn may_follow(&self, before: &Self) -> bool {
        let was_without = before.policies > 0 && before.defaults == 0;
        self.defaults == 1 || self.policies == 0 || was_without
    }
}

fn policies_max() -> i64 {
    i64::try_from(POLICIES_MAX).unwrap_or(i64::MAX)
}

/// So many tickets name the policy or run by it.
fn usage(id: PolicyId) -> Sql {
    Sql::new("SELECT count(*) AS number FROM (SELECT id FROM tickets WHERE sla_policy_id = ")
        .bind(id.0)
        .push(" UNION SELECT ticket_id FROM ticket_clocks WHERE policy_id = ")
        .bind(id.0)
        .push(" LIMIT ")
        .bind(USAGE_COUNT_MAX)
        .push(") used")
}

/// What refuses the commit for a write of it, if something does. Asked of all before any is done.
async fn refused(
    connection: &mut diesel_async::AsyncPgConnection,
    write: &PolicyWrite,
    before: &Shape,
) -> QueryResult<Option<Outcome>> {
    match write {
        PolicyWrite::Insert(_) => Ok((before.policies >= policies_max()).then_some(Outcome::TooMany)),
        PolicyWrite::Delete {
            id, successor: None, ..
        } => {
            let NumberRow { number } = usage(*id).get_result(connection).await?;
            let tickets = u64::try_from(number).unwrap_or(0);
            Ok((tickets > 0).then_some(Outcome::InUse(tickets)))
        }
        PolicyWrite::Update { .. } | PolicyWrite::Keep { .. } | PolicyWrite::Delete { .. } => Ok(None),
    }
}

/// Does one write.
async fn write_one(connection: &mut diesel_async::AsyncPgConnection, write: &PolicyWrite) -> QueryResult<()> {
    match write {
        PolicyWrite::Insert(policy) => {
            let sql = Sql::new("INSERT INTO sla_policies (")
                .push(POLICY_COLUMNS)
                .push(") SELECT ")
                .push(POLICY_COLUMNS)
                .push(" FROM jsonb_to_recordset(")
                .bind(Value::Array(vec![row_of(policy)]))
                .push(") AS r ")
                .push(RECORD);
            sql.execute(connection).await.map(drop)
        }
        PolicyWrite::Update { policy, expected } => {
            let sql = Sql::new("UPDATE sla_policies p SET ")
                .push(ASSIGNMENTS)
                .push(" FROM jsonb_to_recordset(")
                .bind(Value::Array(vec![row_of(policy)]))
                .push(") AS r ")
                .push(RECORD)
                .push(" WHERE p.id = r.id AND p.version = ")
                .bind(expected.0);
            one(sql.execute(connection).await?)
        }
        PolicyWrite::Keep { id, expected } => {
            let sql = Sql::new("SELECT 1::bigint AS number FROM sla_policies WHERE id = ")
                .bind(id.0)
                .push(" AND version = ")
                .bind(expected.0)
                .push(" FOR UPDATE");
            one(sql.load::<NumberRow>(connection).await?.len())
        }
        PolicyWrite::Delete {
            id,
            expected,
            successor,
        } => {
            // No change of the ticket itself: its times stay, its version moves.
            let sql = Sql::new("UPDATE tickets SET version = version + 1, sla_policy_id = ")
                .bind(successor.map(|successor| successor.0))
                .push(" WHERE sla_policy_id = ")
                .bind(id.0);
            sql.execute(connection).await?;
            let sql = Sql::new("DELETE FROM sla_policies WHERE id = ")
                .bind(id.0)
                .push(" AND version = ")
                .bind(expected.0);
            one(sql.execute(connection).await?)
        }
    }
}

/// Takes everything back where a write met no row: somebody was faster.
fn one(rows: usize) -> QueryResult<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(Error::RollbackTransaction)
    }
}

/// [`POLICY_COLUMNS`] as `jsonb_to_recordset` unpacks them.
const RECORD: &str = "(id uuid, name text, description text, first_response_time integer, next_response_time integer, \
    resolution_time integer, business_hours_only boolean, business_hours jsonb, escalation_rules jsonb, \
    priority_multipliers jsonb, paused_while_pending jsonb, filter jsonb, place integer, is_default boolean, \
    created_at timestamptz, updated_at timestamptz, version integer, terms_version integer, calendar_version integer)";

/// Every column that can change, from the record `r`.
const ASSIGNMENTS: &str = "name = r.name, description = r.description, first_response_time = r.first_response_time, \
    next_response_time = r.next_response_time, resolution_time = r.resolution_time, \
    business_hours_only = r.business_hours_only, business_hours = r.business_hours, escalation_rules = r.escalation_rules, \
    priority_multipliers = r.priority_multipliers, paused_while_pending = r.paused_while_pending, filter = r.filter, \
    place = r.place, is_default = r.is_default, updated_at = r.updated_at, version = r.version, \
    terms_version = r.terms_version, calendar_version = r.calendar_version";

fn row_of(policy: &SlaPolicy) -> Value {
    let document = sla::PolicyDraft::from(policy).to_json();
    let member = |name: &str| document.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "id": policy.id.0,
        "name": policy.name.as_str(),
        "description": policy.description,
        "first_response_time": member("firstResponseTime"),
        "next_response_time": member("nextResponseTime"),
        "resolution_time": member("resolutionTime"),
        "business_hours_only": member("businessHoursOnly"),
        "business_hours": member("businessHours"),
        "escalation_rules": member("escalationRules"),
        "priority_multipliers": member("priorityMultipliers"),
        "paused_while_pending": member("pausedWhilePending"),
        "filter": policy.filter.as_ref().map(PolicyFilter::as_json),
        "place": policy.place,
        "is_default": policy.is_default,
        "created_at": policy.created_at,
        "updated_at": policy.updated_at,
        "version": policy.version.0,
        "terms_version": policy.terms_version.0,
        "calendar_version": policy.calendar_version.0,
    })
}

fn published(event: PolicyEvent) -> Event {
    let PolicyEvent {
        id,
        at,
        by,
        policy,
        name,
        what,
    } = event;
    let change = match what {
        PolicyFact::Created => "created",
        PolicyFact::Changed => "changed",
        PolicyFact::PromiseChanged(_) => "promise_changed",
        PolicyFact::DefaultMoved { is_default: true } => "made_default",
        PolicyFact::DefaultMoved { is_default: false } => "no_longer_default",
        PolicyFact::Moved => "moved",
        PolicyFact::Deleted { .. } => "deleted",
    };
    Event {
        id,
        at,
        cause: by.map_or_else(|| Cause::System("sla".to_owned()), Cause::Person),
        origin: None,
        chain: None,
        fact: Fact::Identity(IdentityFact::SlaPolicyChanged {
            policy: policy.0,
            name: name.as_str().to_owned(),
            change: change.to_owned(),
        }),
    }
}

fn refusal(failure: Failure) -> PolicyCommitError {
    match failure.constraint() {
        Some("sla_policies_place_key" | "sla_policies_single_default_key") => PolicyCommitError::Stale,
        Some(_) if is_repeated(&failure) => PolicyCommitError::Repeated,
        Some(_) | None => PolicyCommitError::Port(failure.at(PORT)),
    }
}

#[cfg(test)]
mod tests {
    use kernel::SequentialIds;
    use sla::testing::contract::policy_store;

    use super::*;
    use crate::testing::own::test_database;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_policies_keep_their_contract() {
        let test = test_database().await;
        let store = Arc::new(PgPolicies::new(test.database().clone()));
        policy_store(store, Arc::new(SequentialIds::default())).await;
    }
}
