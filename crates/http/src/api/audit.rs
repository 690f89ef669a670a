//! The record of acts, for administrators.

use actix_web::Responder;
use actix_web::web::{self, Data};
use identity::audit::{AuditActor, AuditEntry, AuditNumber};
use identity::ports::{ActionFilter, AuditFilter, AuditPage, Recorded};
use identity::{Client, Scope};
use kernel::{EventId, UserId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::cursor::Seek;
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo, PageRequest, Query};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

/// The most characters of an action that is asked for.
const ACTION_CHARS_MAX: usize = 50;

pub(crate) fn operations() -> Vec<Operation> {
    vec![operation(__path_list, list).scope(Scope::AuditRead)]
}

impl Seek for AuditNumber {
    fn to_bytes(&self) -> Vec<u8> {
        let AuditNumber(number) = self;
        number.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(i64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

/// An act on record.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
struct AuditEntryBody {
    /// Its place in the record, from 1 on and without gaps.
    #[schema(examples(1024))]
    number: i64,
    /// The event that tells of it.
    event_id: Uuid,
    /// When it happened.
    occurred_at: Timestamp,
    /// What was done.
    #[schema(examples("user.updated"))]
    action: String,
    /// The person who did it; null for the server itself, and for strangers, such as who fails to log in.
    #[schema(required = true)]
    actor_id: Option<Uuid>,
    /// The part of the server that did it; null for people and strangers.
    #[schema(required = true, examples("import"))]
    actor_system: Option<String>,
    /// To what kind of thing: `user`, `team` or `settings`.
    #[schema(examples("user"))]
    target_kind: &'static str,
    /// To which one; null for what has no id.
    #[schema(required = true)]
    target_id: Option<Uuid>,
    /// The address that the request came from; null when it is not known, or its person was anonymised.
    #[schema(required = true, examples("203.0.113.7"))]
    ip_address: Option<String>,
    /// The program that sent the request; null when it is not known, or its person was anonymised.
    #[schema(required = true)]
    user_agent: Option<String>,
    /// The request, as the server's log names it.
    #[schema(required = true)]
    request_id: Option<String>,
    /// The session or API key through which it was done.
    #[schema(required = true)]
    credential_id: Option<Uuid>,
    /// More of it; which members there are depends on the action.
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<Recorded> for AuditEntryBody {
    fn from(recorded: Recorded) -> Self {
        let Recorded {
            number: AuditNumber(number),
            entry,
            anonymized: _,
        } = recorded;
        let AuditEntry {
            event: EventId(event_id),
            at,
            action,
            actor,
            target,
            client,
            request_id,
            credential,
            detail,
        } = entry;
        let (actor_id, actor_system) = match actor {
            AuditActor::Person(UserId(id)) => (Some(id), None),
            AuditActor::System(name) => (None, Some(name)),
            AuditActor::Stranger => (None, None),
        };
        Self {
            number,
            event_id,
            occurred_at: Timestamp(at),
            action,
            actor_id,
            actor_system,
            target_kind: target.kind(),
            target_id: target.id(),
            ip_address: Client::ip(&client).map(|ip| ip.to_string()),
            user_agent: client.user_agent().map(str::to_owned),
            request_id,
            credential_id: credential,
            detail,
        }
    }
}

/// Which acts to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct AuditListParams {
    /// Only acts of this person.
    actor_id: Option<Uuid>,
    /// Only acts on the account or team of this id.
    target_id: Option<Uuid>,
    /// Only acts of this kind; with a dot at the end all kinds that begin so: `user.`
    #[param(max_length = 50, example = "user.")]
    action: Option<String>,
    /// Only acts at this time or later.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-31T09:00:00Z")]
    since: Option<String>,
    /// Only acts before this time.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-02-01T00:00:00Z")]
    until: Option<String>,
}

/// List who did what to whom from where
///
/// Latest first, for administrators. Of people who were anonymised it shows ids alone.
#[utoipa::path(
    get,
    path = "/audit-log",
    operation_id = "listAuditLog",
    tag = "audit",
    params(AuditListParams, PageParams),
    responses((status = 200, description = "A page of the record.", body = ListBody<AuditEntryBody>)),
    security(("bearer" = []))
)]
async fn list(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<impl Responder, Problem> {
    let filter = AuditFilter {
        actor: query.id("actorId"),
        target: query.id("targetId"),
        action: query
            .text("action", ACTION_CHARS_MAX)
            .map(|text| ActionFilter::parse(&text)),
        since: query.time("since"),
        until: query.time("until"),
    };
    let page: PageRequest<AuditNumber> = query.page_uncounted(caller.id());
    query.finish()?;
    let before = page.after()?;
    let AuditPage { items, next } = app
        .audit_log
        .list(&caller.actor(), filter, before, page.limit)
        .await?;
    let next_cursor = next.map(|number| page.cursor_at(&number)).transpose()?;
    Ok(web::Json(ListBody {
        data: items.into_iter().map(AuditEntryBody::from).collect(),
        page: PageInfo {
            next_cursor,
            total_count: None,
            total_count_is_estimate: None,
        },
    }))
}
