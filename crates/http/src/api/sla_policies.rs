//! What the desk promises: SLA policies, and what they would come to.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use automation::AutomationError;
use chrono::{DateTime, Utc};
use identity::Scope;
use kernel::{Patch, PortError, Version, Violation, Violations};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sla::{
    Guard, NewPolicy, PolicyChange, PolicyDraft, PolicyError, PolicyId, PolicyRef, Preview, PreviewError,
    PreviewWish, Priority, SlaPolicy, Terms,
};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

use super::tickets::StretchPart;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::json::{Document, merged};
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo, Query};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

/// The kind that entity tags of policies carry.
const KIND: &str = "slaPolicy";
/// The member of the steps.
const STEPS: &str = "escalationRules";
/// How often a merge patch is applied anew when somebody else was faster.
const STALE_TRIES_MAX: usize = 4;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::TicketsRead),
        operation(__path_create, create).scope(Scope::TicketsWrite),
        operation(__path_reorder, reorder).scope(Scope::TicketsWrite),
        operation(__path_preview, preview).scope(Scope::TicketsRead),
        operation(__path_get, get).scope(Scope::TicketsRead),
        operation(__path_update, update).scope(Scope::TicketsWrite),
        operation(__path_delete, delete).scope(Scope::TicketsWrite),
        operation(__path_set_default, set_default).scope(Scope::TicketsWrite),
        operation(__path_impact, impact).scope(Scope::TicketsRead),
        operation(__path_read_holidays, read_holidays).scope(Scope::TicketsRead),
    ]
}

/// An SLA policy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlaPolicy)]
struct PolicyBody {
    /// The policy.
    id: Uuid,
    /// What it is called.
    #[schema(examples("Standard"))]
    name: String,
    /// What it is for.
    #[schema(required = true)]
    description: Option<String>,
    /// Minutes until the first public reply.
    #[schema(examples(60))]
    first_response_time: u32,
    /// Minutes until each further reply; `null` for the same as of the first.
    #[schema(required = true)]
    next_response_time: Option<u32>,
    /// Minutes until the resolution.
    #[schema(examples(480))]
    resolution_time: u32,
    /// By which number targets are multiplied at a priority; 1 for those that are not named.
    #[schema(value_type = Object, examples(json!({ "urgent": 0.5 })))]
    priority_multipliers: Value,
    /// Whether only business hours count.
    business_hours_only: bool,
    /// Time zone, weekly windows and holidays.
    #[schema(value_type = Object, required = true)]
    business_hours: Value,
    /// The clocks that stand while a ticket is pending.
    #[schema(value_type = Vec<String>, examples(json!(["first_response", "next_response", "resolution"])))]
    paused_while_pending: Value,
    /// What is told before and after deadlines.
    #[schema(value_type = Vec<Object>)]
    escalation_rules: Value,
    /// The tickets that it is for, in the filter language; `null` for none but those that name it, and all as the default.
    #[schema(value_type = Object, required = true)]
    filter: Value,
    /// Its place in the order in which policies are asked, from 1.
    place: i32,
    /// Whether it is for the tickets that no other is for.
    is_default: bool,
    /// The version of what it promises, which ledgers name.
    terms_version: i32,
    /// The version of its hours.
    calendar_version: i32,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<&SlaPolicy> for PolicyBody {
    fn from(policy: &SlaPolicy) -> Self {
        let SlaPolicy {
            id: PolicyId(id),
            name,
            description,
            promise,
            place,
            filter: _,
            is_default,
            created_at,
            updated_at,
            version: Version(_),
            terms_version,
            calendar_version,
        } = policy;
        let document = PolicyDraft::from(policy).to_json();
        let member = |name: &str| document.get(name).cloned().unwrap_or(Value::Null);
        Self {
            id: *id,
            name: name.as_str().to_owned(),
            description: description.clone(),
            first_response_time: promise.targets.first_response.get(),
            next_response_time: promise.targets.next_response.map(sla::Minutes::get),
            resolution_time: promise.targets.resolution.get(),
            priority_multipliers: member("priorityMultipliers"),
            business_hours_only: matches!(promise.hours, sla::Hours::Business(_) | sla::Hours::Unsaid),
            business_hours: member("businessHours"),
            paused_while_pending: member("pausedWhilePending"),
            escalation_rules: member("escalationRules"),
            filter: member("filter"),
            place: *place,
            is_default: *is_default,
            terms_version: terms_version.0,
            calendar_version: calendar_version.0,
            created_at: Timestamp(*created_at),
            updated_at: Timestamp(*updated_at),
        }
    }
}

fn rendered(policy: &SlaPolicy) -> Rendered {
    Rendered::resource(KIND, policy.version, &PolicyBody::from(policy))
}

/// A policy to make, or in a merge patch what to change of one.
#[derive(ToSchema)]
#[schema(as = SlaPolicyInput, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its document is used; the domain reads the JSON")]
struct PolicyInput {
    /// What it is called; must be given for a new one.
    #[schema(min_length = 1, max_length = 100, examples("Standard"))]
    name: Option<String>,
    /// What it is for.
    #[schema(max_length = 5000)]
    description: Option<String>,
    /// Minutes until the first public reply; must be given for a new one.
    #[schema(minimum = 1, maximum = 525_600, examples(60))]
    first_response_time: Option<u32>,
    /// Minutes until each further reply; null for the same as of the first.
    #[schema(minimum = 1, maximum = 525_600)]
    next_response_time: Option<u32>,
    /// Minutes until the resolution; must be given for a new one.
    #[schema(minimum = 1, maximum = 525_600, examples(480))]
    resolution_time: Option<u32>,
    /// By which number targets are multiplied at a priority, rounded up to whole minutes; 1 when absent.
    #[schema(value_type = Option<Object>, examples(json!({ "urgent": 0.5 })))]
    priority_multipliers: Option<Value>,
    /// Whether only business hours count; true when absent, and then `businessHours` must be given.
    business_hours_only: Option<bool>,
    /// `{ "timezone", "weekly": { "monday": [{ "from", "to" }] … }, "holidays": [{ "date", "from"?, "to"?, "name"?, "yearly"? }] }`.
    #[schema(value_type = Option<Object>, examples(json!({ "timezone": "Europe/Berlin",
        "weekly": { "monday": [{ "from": "09:00", "to": "17:00" }] }, "holidays": [] })))]
    business_hours: Option<Value>,
    /// The clocks that stand while a ticket is pending: `first_response`, `next_response`, `resolution`; all when absent.
    paused_while_pending: Option<Vec<String>>,
    /// `[{ "metric", "at": "80%" | "-30m" | "breach" | "+60m", "actions": [] }]`: when to warn before a deadline, and what to tell behind it.
    #[schema(value_type = Option<Vec<Object>>,
        examples(json!([{ "metric": "resolution", "at": "80%", "actions": [] }])))]
    escalation_rules: Option<Value>,
    /// The tickets that it is for, in the filter language.
    #[schema(value_type = Option<Object>,
        examples(json!({ "field": "priority", "operator": "equals", "value": "urgent" })))]
    filter: Option<Value>,
    /// Of a new one: whether it is to be the default, in the place of the one that is.
    is_default: Option<bool>,
}

/// List the SLA policies
///
/// All of them, 100 at the most, on one page, in the order in which they are asked. For staff.
#[utoipa::path(
    get,
    path = "/sla-policies",
    operation_id = "listSlaPolicies",
    tag = "sla-policies",
    responses((status = 200, description = "The policies.", body = ListBody<PolicyBody>))
)]
async fn list(
    app: Data<AppState>,
    caller: Caller,
    query: Query,
) -> Result<Json<ListBody<PolicyBody>>, Problem> {
    query.finish()?;
    let policies = app.sla_policies.list(&caller.actor()).await?;
    Ok(Json(ListBody {
        data: policies.iter().map(PolicyBody::from).collect(),
        page: PageInfo::whole(),
    }))
}

/// Make an SLA policy
///
/// It comes last in the order. The first one is the default. Tickets made or changed from then on are held against it, other nodes
/// know of it within three seconds. For administrators.
#[utoipa::path(
    post,
    path = "/sla-policies",
    operation_id = "createSlaPolicy",
    tag = "sla-policies",
    request_body = PolicyInput,
    responses((status = 201, description = "The new policy.", body = PolicyBody,
        headers(("ETag" = String, description = "The policy's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, Document(mut document)): Command<Document>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let is_default = match document.remove("isDefault") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_default)) => is_default,
        Some(_) => {
            let fault = Violation::new("/isDefault", "wrong_type", "must be true or false");
            return Err(PolicyError::from(fault).into());
        }
    };
    let draft = PolicyDraft::read(&Value::Object(document), "", app.policy_checks.as_ref())
        .map_err(PolicyError::Invalid)?;
    app.sla_policies.may_write(&actor)?;
    check_steps(&app, &draft.promise).await?;
    let new = NewPolicy { draft, is_default };
    call.run(
        async |receipt| app.sla_policies.create(&actor, &new, receipt).await,
        |policy| {
            let location = format!("/api/v1/sla-policies/{}", policy.id);
            Rendered::created(KIND, policy.version, location, &PolicyBody::from(policy))
        },
    )
    .await
}

/// Show an SLA policy
#[utoipa::path(
    get,
    path = "/sla-policies/{id}",
    operation_id = "getSlaPolicy",
    tag = "sla-policies",
    params(("id" = Uuid, Path, description = "The policy.")),
    responses((status = 200, description = "The policy.", body = PolicyBody,
        headers(("ETag" = String, description = "The policy's version."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<PolicyId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let policy = app.sla_policies.show(&caller.actor(), id).await?;
    rendered(&policy).to_get(&request)
}

/// Change an SLA policy
///
/// A JSON merge patch. Where what it promises changes, the clocks that run by it go on by the new terms from then on, within seconds,
/// with the time that they used; what was counted and missed stays so. For administrators.
#[utoipa::path(
    patch,
    path = "/sla-policies/{id}",
    operation_id = "updateSlaPolicy",
    tag = "sla-policies",
    params(("id" = Uuid, Path, description = "The policy."), IfMatchHeader),
    request_body = PolicyInput,
    responses((status = 200, description = "The policy after the change.", body = PolicyBody,
        headers(("ETag" = String, description = "The policy's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<PolicyId>,
    Command(mut call, Document(patch)): Command<Document>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let patch = Value::Object(patch);
    PolicyDraft::check_members(&patch, "").map_err(PolicyError::Invalid)?;
    call.run(
        async |receipt| {
            for _ in 0..STALE_TRIES_MAX {
                let policy = app.sla_policies.show(&actor, id).await?;
                let change = change_of(&policy, &patch, app.policy_checks.as_ref())?;
                if let Some(promise) = change.promise.as_ref().filter(|_| patch.get(STEPS).is_some()) {
                    check_steps(&app, promise).await?;
                }
                let guard = Guard {
                    expected: Some(expected.unwrap_or(policy.version)),
                    receipt,
                };
                match app.sla_policies.change(&actor, id, &change, guard).await {
                    Err(PolicyError::Stale { .. }) if expected.is_none() => {}
                    other => return other,
                }
            }
            Err(PolicyError::Stale { current: None })
        },
        rendered,
    )
    .await
}

/// Refuses steps whose actions name what is not there.
async fn check_steps(app: &AppState, promise: &sla::Promise) -> Result<(), PolicyError> {
    let mut faults = Violations::new();
    for (index, step) in promise.escalation.steps().iter().enumerate() {
        if step.actions.is_empty() {
            continue;
        }
        let pointer = format!("/{STEPS}/{index}/actions");
        let actions = Value::Array(step.actions.clone());
        match app.rules.check_step(&actions, &pointer).await {
            Ok(()) => {}
            Err(AutomationError::Invalid(found)) => {
                found.as_slice().iter().for_each(|one| faults.push(one.clone()));
            }
            Err(AutomationError::Port(error)) => return Err(error.into()),
            Err(error) => {
                return Err(PortError::Bug {
                    port: "automation",
                    source: error.into(),
                }
                .into());
            }
        }
    }
    faults.into_result().map_err(PolicyError::Invalid)
}

/// What a merge patch changes of a policy.
fn change_of(
    policy: &SlaPolicy,
    patch: &Value,
    checks: &dyn sla::DocumentChecks,
) -> Result<PolicyChange, PolicyError> {
    let document = merged(PolicyDraft::from(policy).to_json(), patch);
    let draft = PolicyDraft::read(&document, "", checks).map_err(PolicyError::Invalid)?;
    let PolicyDraft {
        name,
        description,
        promise,
        filter,
    } = draft;
    Ok(PolicyChange {
        name: Some(name),
        description: description.map_or(Patch::Clear, Patch::Set),
        promise: Some(promise),
        filter: filter.map_or(Patch::Clear, Patch::Set),
    })
}

/// Delete an SLA policy
///
/// Where tickets use it, or where it is the default and there are others, name the one that follows it: tickets that named the one
/// name the other, their clocks go on by its terms within seconds, and ledgers stay as they are. For administrators.
#[utoipa::path(
    delete,
    path = "/sla-policies/{id}",
    operation_id = "deleteSlaPolicy",
    tag = "sla-policies",
    params(("id" = Uuid, Path, description = "The policy."),
        ("successorId" = Option<Uuid>, Query, description = "The policy that follows it."), IfMatchHeader),
    responses((status = 204, description = "The policy is gone."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<PolicyId>,
    mut query: Query,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let successor = query.id::<PolicyId>("successorId");
    query.finish()?;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.sla_policies.delete(&actor, id, successor, guard).await
        },
        |()| Rendered::no_content(),
    )
    .await
}

/// Make an SLA policy the default
///
/// For the tickets that no other policy is for. For administrators.
#[utoipa::path(
    post,
    path = "/sla-policies/{id}/default",
    operation_id = "setDefaultSlaPolicy",
    tag = "sla-policies",
    params(("id" = Uuid, Path, description = "The policy."), IfMatchHeader),
    responses((status = 200, description = "The policy.", body = PolicyBody,
        headers(("ETag" = String, description = "The policy's version."))))
)]
async fn set_default(
    app: Data<AppState>,
    Path(id): Path<PolicyId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.sla_policies.set_default(&actor, id, guard).await
        },
        rendered,
    )
    .await
}

/// An order of all policies.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SlaPolicyOrder)]
struct OrderBody {
    /// Each policy once.
    #[schema(max_items = 100)]
    order: Vec<Uuid>,
}

/// Order the SLA policies
///
/// A ticket's policy is the first in the order whose filter it fits. For administrators.
#[utoipa::path(
    post,
    path = "/sla-policies/reorder",
    operation_id = "reorderSlaPolicies",
    tag = "sla-policies",
    request_body = OrderBody,
    responses((status = 200, description = "The policies in their order.", body = ListBody<PolicyBody>))
)]
async fn reorder(
    app: Data<AppState>,
    Command(call, OrderBody { order }): Command<OrderBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let order: Vec<_> = order.into_iter().map(PolicyId).collect();
    call.run(
        async |receipt| app.sla_policies.reorder(&actor, &order, receipt).await,
        |policies| {
            let body = ListBody {
                data: policies.iter().map(PolicyBody::from).collect(),
                page: PageInfo::whole(),
            };
            Rendered::of(StatusCode::OK, &body)
        },
    )
    .await
}

/// A time in which a ticket is pending.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SlaPause)]
struct PauseBody {
    /// Its first moment.
    from: DateTime<Utc>,
    /// The moment behind its last.
    to: DateTime<Utc>,
}

/// How much a ticket presses.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SlaPriority)]
enum PriorityName {
    Low,
    #[default]
    Medium,
    High,
    Urgent,
}

impl From<PriorityName> for Priority {
    fn from(name: PriorityName) -> Self {
        match name {
            PriorityName::Low => Self::Low,
            PriorityName::Medium => Self::Medium,
            PriorityName::High => Self::High,
            PriorityName::Urgent => Self::Urgent,
        }
    }
}

/// A ticket that is thought up.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SlaPreviewWish)]
struct PreviewBody {
    /// What is promised; its name may be left out.
    #[schema(value_type = PolicyInput)]
    policy: Document,
    /// How much it presses; `medium` when absent.
    #[serde(default)]
    #[schema(required = false)]
    priority: PriorityName,
    /// When it is made.
    started_at: DateTime<Utc>,
    /// When it is pending, in order and apart; at most 100.
    #[serde(default)]
    #[schema(max_items = 100)]
    pauses: Vec<PauseBody>,
    /// Up to when the ledger goes; now when absent.
    at: Option<DateTime<Utc>>,
}

/// What becomes of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlaPreview)]
struct PreviewAnswer {
    /// When the first response is due, after all pauses.
    #[schema(required = true)]
    first_response_due_at: Option<Timestamp>,
    /// When the resolution is due, after all pauses.
    #[schema(required = true)]
    resolution_due_at: Option<Timestamp>,
    /// The whole minutes that the resolution's clock has counted at the moment asked for.
    counted_minutes: i64,
    /// What each moment was until then, clock by clock and in order.
    ledger: Vec<StretchPart>,
}

/// Preview deadlines
///
/// Of a ticket that is thought up, by a policy that need not exist. Stores nothing. For staff.
#[utoipa::path(
    post,
    path = "/sla-policies/preview",
    operation_id = "previewSlaPolicy",
    tag = "sla-policies",
    request_body = PreviewBody,
    responses((status = 200, description = "Deadlines and ledger.", body = PreviewAnswer))
)]
async fn preview(
    app: Data<AppState>,
    Command(call, body): Command<PreviewBody>,
) -> Result<HttpResponse, Problem> {
    app.sla_policies.may_read(&call.actor())?;
    let PreviewBody {
        policy: Document(mut document),
        priority,
        started_at,
        pauses,
        at,
    } = body;
    document.entry("name").or_insert_with(|| Value::from("Preview"));
    document.remove("isDefault");
    let draft = PolicyDraft::read(&Value::Object(document), "/policy", app.policy_checks.as_ref());
    let draft = draft.map_err(PolicyError::Invalid)?;
    let reference = PolicyRef {
        id: PolicyId(Uuid::nil()),
        version: Version::FIRST,
    };
    let wish = PreviewWish {
        terms: Arc::new(Terms {
            policy: reference,
            calendar_version: Version::FIRST,
            promise: draft.promise,
        }),
        priority: priority.into(),
        started_at,
        pauses: pauses
            .into_iter()
            .map(|PauseBody { from, to }| (from, to))
            .collect(),
        at: at.unwrap_or_else(|| app.clock.now().max(started_at)),
    };
    let preview = sla::preview(&wish).map_err(|error| match error {
        PreviewError::Invalid(faults) => PolicyError::Invalid(faults),
        PreviewError::Clocks(error) => Violation::new("/startedAt", "out_of_range", error.to_string()).into(),
    })?;
    let Preview {
        first_response_due_at,
        resolution_due_at,
        counted_minutes,
        ledger,
    } = preview;
    let answer = PreviewAnswer {
        first_response_due_at: first_response_due_at.map(Timestamp),
        resolution_due_at: resolution_due_at.map(Timestamp),
        counted_minutes,
        ledger: ledger
            .into_iter()
            .map(|(metric, part)| StretchPart::new(metric, part))
            .collect(),
    };
    Rendered::of(StatusCode::OK, &answer).into_response()
}

/// How deadlines would move.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlaDeadlinesMoved)]
struct MovedBody {
    /// So many deadlines.
    deadlines: u64,
    /// The farthest move, in minutes of real time.
    farthest_minutes: i64,
    /// The average move, in minutes of real time, rounded down.
    average_minutes: i64,
}

impl From<sla::Moved> for MovedBody {
    fn from(moved: sla::Moved) -> Self {
        let count = i64::try_from(moved.deadlines).unwrap_or(i64::MAX);
        Self {
            deadlines: moved.deadlines,
            farthest_minutes: moved.farthest.num_minutes(),
            average_minutes: moved.seconds.checked_div(count).unwrap_or(0) / 60,
        }
    }
}

/// A deadline that would move.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlaDeadlineMoved)]
struct MovedDeadlineBody {
    /// Of which ticket.
    ticket_id: Uuid,
    /// Of which clock.
    #[schema(examples("resolution"))]
    metric: &'static str,
    /// When it is now.
    from: Timestamp,
    /// When it would be.
    to: Timestamp,
}

/// What a change of a policy would do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlaImpact)]
struct ImpactBody {
    /// Open tickets that run by the policy.
    tickets: u64,
    /// Whether there are more than were looked at, which are 10 000 and a little.
    is_cut: bool,
    /// Deadlines of running clocks that would come earlier.
    earlier: MovedBody,
    /// Deadlines of running clocks that would come later.
    later: MovedBody,
    /// Running clocks that would be missed at once.
    new_breaches: u64,
    /// Running clocks that are missed, and whose deadline would lie ahead; they keep their mark.
    breaches_gone: u64,
    /// The first 100 deadlines that would move.
    moved: Vec<MovedDeadlineBody>,
}

/// Say what a change of an SLA policy would do
///
/// To the open tickets that run by it, if it were changed by this merge patch now: which deadlines would move, and what would be
/// missed. A change of `filter` moves no ticket by itself and counts for nothing here. Stores nothing. For administrators.
#[utoipa::path(
    post,
    path = "/sla-policies/{id}/impact",
    operation_id = "simulateSlaPolicyChange",
    tag = "sla-policies",
    params(("id" = Uuid, Path, description = "The policy.")),
    request_body = PolicyInput,
    responses((status = 200, description = "What it would do.", body = ImpactBody))
)]
async fn impact(
    app: Data<AppState>,
    Path(id): Path<PolicyId>,
    Command(call, Document(patch)): Command<Document>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    app.sla_policies.may_write(&actor)?;
    let patch = Value::Object(patch);
    PolicyDraft::check_members(&patch, "").map_err(PolicyError::Invalid)?;
    let policy = app.sla_policies.show(&actor, id).await?;
    let change = change_of(&policy, &patch, app.policy_checks.as_ref())?;
    let promise = change.promise.unwrap_or_else(|| policy.promise.clone());
    let sla::Impact {
        tickets,
        earlier,
        later,
        new_breaches,
        breaches_gone,
        named,
        is_cut,
    } = app.ticket_sla.impact(&policy, promise).await?;
    let answer = ImpactBody {
        tickets,
        is_cut,
        earlier: earlier.into(),
        later: later.into(),
        new_breaches,
        breaches_gone,
        moved: named
            .into_iter()
            .map(|moved| MovedDeadlineBody {
                ticket_id: moved.ticket.0,
                metric: moved.metric.as_str(),
                from: Timestamp(moved.from),
                to: Timestamp(moved.to),
            })
            .collect(),
    };
    Rendered::of(StatusCode::OK, &answer).into_response()
}

/// A calendar file.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = HolidayFile)]
struct HolidayFileBody {
    /// The text of an iCalendar file (RFC 5545), 5 000 events at the most.
    #[schema(examples(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nSUMMARY:Christmas\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    ))]
    file: String,
    /// The time zone of the business hours.
    #[schema(examples("Europe/Berlin"))]
    timezone: String,
}

/// An event that is no holiday, or not whole.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HolidayNote)]
struct HolidayNoteBody {
    /// The line of the file at which it begins, from 1.
    line: usize,
    /// What it is called.
    #[schema(required = true)]
    name: Option<String>,
    /// Why it was not taken, or not whole.
    message: String,
}

/// The holidays of a file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Holidays)]
struct HolidaysBody {
    /// As `businessHours.holidays` of a policy takes them.
    #[schema(value_type = Vec<Object>)]
    holidays: Vec<Value>,
    /// What was not taken, or not whole.
    notes: Vec<HolidayNoteBody>,
}

/// Read holidays from a calendar file
///
/// Of iCalendar, as countries and calendar programs give them out: what a policy's `businessHours.holidays` can be, and which events were
/// not taken and why. Stores nothing. For staff.
#[utoipa::path(
    post,
    path = "/sla-policies/holidays",
    operation_id = "readHolidays",
    tag = "sla-policies",
    request_body = HolidayFileBody,
    responses((status = 200, description = "The holidays.", body = HolidaysBody))
)]
async fn read_holidays(
    app: Data<AppState>,
    Command(call, HolidayFileBody { file, timezone }): Command<HolidayFileBody>,
) -> Result<HttpResponse, Problem> {
    app.sla_policies.may_read(&call.actor())?;
    let found = sla::ical::import_holidays(&file, &timezone).map_err(PolicyError::from)?;
    let notes = found.notes.into_iter().map(|note| HolidayNoteBody {
        line: note.line,
        name: note.name,
        message: note.why.to_string(),
    });
    let answer = HolidaysBody {
        holidays: found
            .holidays
            .iter()
            .map(sla::calendar::Holiday::to_json)
            .collect(),
        notes: notes.collect(),
    };
    Rendered::of(StatusCode::OK, &answer).into_response()
}
