//! Many tickets changed by one request: what it would do, the job that does it, and what came of each ticket.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder};
use identity::Scope;
use kernel::{Patch, TicketId, UserId, Violation, Violations};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ticketing::{
    BulkChange, Count, Foreseen, Guard, ItemOutcome, ItemPosition, ItemResult, Job, JobError, JobId, JobItem,
    JobState, Preview, Tags, Tallied, Targets, Task, TicketPriority, TicketStatus,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::tickets::{PriorityName, StatusName, not_null};
use super::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::cursor::Seek;
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, Query};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

/// The kind that entity tags of jobs carry.
const KIND: &str = "job";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_bulk, bulk).scope(Scope::TicketsWrite),
        operation(__path_get, get).scope(Scope::TicketsRead),
        operation(__path_items, items).scope(Scope::TicketsRead),
        operation(__path_cancel, cancel).scope(Scope::TicketsWrite),
        operation(__path_undo, undo).scope(Scope::TicketsWrite),
    ]
}

/// Many tickets, and what to do to each.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = BulkChangeRequest)]
struct BulkBody {
    /// The tickets, 1 to 1000 of them; or else a `filter`.
    #[schema(min_items = 1, max_items = 1000, examples(json!(["01890a5d-ac96-774b-bcce-b302099a8057"])))]
    ids: Option<Vec<Uuid>>,
    /// A condition of the filter language, as `GET /tickets?filter=` takes it: those of your list that satisfy it now, 10 000
    /// at the most; or else `ids`.
    #[schema(
        value_type = Option<Object>,
        examples(json!({ "field": "tags", "operator": "contains", "value": "outage" }))
    )]
    filter: Option<Value>,
    /// What to do to each.
    change: ChangeBody,
    /// Whether only to say what would come of it.
    #[serde(default)]
    dry_run: bool,
}

/// What to do to each ticket: at least one thing.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = BulkChange)]
struct ChangeBody {
    /// The status to be in.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<StatusName>, nullable = false)]
    status: Patch<StatusName>,
    /// The priority to have.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<PriorityName>, nullable = false)]
    priority: Patch<PriorityName>,
    /// Who is to answer it; null for nobody.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Uuid>)]
    assigned_to_id: Patch<Uuid>,
    /// Tags to add.
    #[serde(default)]
    #[schema(max_items = 20, examples(json!(["outage-2026"])))]
    add_tags: Vec<String>,
    /// Tags to take away.
    #[serde(default)]
    #[schema(max_items = 20, examples(json!(["unsorted"])))]
    remove_tags: Vec<String>,
}

impl BulkBody {
    fn into_domain(self) -> Result<(Targets, BulkChange), Problem> {
        let Self {
            ids,
            filter,
            change,
            dry_run: _,
        } = self;
        let mut faults = Violations::new();
        let targets = match (ids, filter) {
            (Some(ids), None) => Some(Targets::Ids(ids.into_iter().map(TicketId).collect())),
            (None, Some(filter)) => Some(Targets::Filter(filter)),
            (Some(_), Some(_)) => {
                let message = "must not be given beside ids";
                faults.push(Violation::new("/filter", "conflict", message));
                None
            }
            (None, None) => {
                faults.push(Violation::new("/ids", "required", "must be given, or a filter"));
                None
            }
        };
        let ChangeBody {
            status,
            priority,
            assigned_to_id,
            add_tags,
            remove_tags,
        } = change;
        let status = not_null(&mut faults, "/change/status", status);
        let priority = not_null(&mut faults, "/change/priority", priority);
        let add_tags = faults.check(Tags::parse("/change/addTags", &add_tags));
        let remove_tags = faults.check(Tags::parse("/change/removeTags", &remove_tags));
        let change = BulkChange {
            status: status.map(TicketStatus::from),
            priority: priority.map(TicketPriority::from),
            assignee: match assigned_to_id {
                Patch::Keep => Patch::Keep,
                Patch::Clear => Patch::Clear,
                Patch::Set(user) => Patch::Set(UserId(user)),
            },
            add_tags: add_tags.unwrap_or_default(),
            remove_tags: remove_tags.unwrap_or_default(),
        };
        let change = if faults.as_slice().is_empty() {
            faults.check(change.checked("/change"))
        } else {
            None
        };
        faults.into_result().map_err(JobError::from)?;
        match (targets, change) {
            (Some(targets), Some(change)) => Ok((targets, change)),
            _ => Err(Problem::internal("a field is neither good nor bad")),
        }
    }
}

/// What came of a ticket, or would come of it.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ItemOutcome)]
enum OutcomeName {
    /// Nothing yet.
    Waiting,
    /// It is otherwise now.
    Changed,
    /// It was so already.
    Unchanged,
    /// It stayed as it was; `code` says why.
    Refused,
}

impl From<ItemOutcome> for OutcomeName {
    fn from(outcome: ItemOutcome) -> Self {
        match outcome {
            ItemOutcome::Changed => Self::Changed,
            ItemOutcome::Unchanged => Self::Unchanged,
            ItemOutcome::Refused => Self::Refused,
        }
    }
}

/// What a bulk change would do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BulkPreview)]
struct PreviewBody {
    /// How many tickets it would be about.
    #[schema(examples(1234))]
    count: i64,
    /// Whether the count is an estimate: beyond 10 000, where it would be refused.
    is_estimate: bool,
    /// What would come of the first of them, 10 at the most.
    sample: Vec<ForeseenBody>,
}

/// What would come of a ticket.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BulkPreviewItem)]
struct ForeseenBody {
    /// The ticket.
    ticket_id: Uuid,
    /// Its number.
    #[schema(examples("TKT-00001"))]
    ticket_number: String,
    /// What it is about.
    subject: String,
    /// What would come of it.
    outcome: OutcomeName,
    /// Why it would be refused: the code that the single change would be answered with.
    #[schema(required = true, examples("ticket.transition_not_allowed"))]
    code: Option<String>,
    /// The same in a sentence.
    #[schema(required = true)]
    detail: Option<String>,
}

impl From<&Foreseen> for ForeseenBody {
    fn from(Foreseen { ticket, result }: &Foreseen) -> Self {
        Self {
            ticket_id: ticket.id.0,
            ticket_number: ticket.number.as_str().to_owned(),
            subject: ticket.subject.as_str().to_owned(),
            outcome: result.outcome.into(),
            code: result.code.clone(),
            detail: result.detail.clone(),
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobState)]
enum StateName {
    /// It begins within a second or two.
    Waiting,
    /// It is being worked off.
    Running,
    /// It ends after the tickets that are being changed just now.
    Cancelling,
    /// Every ticket has its result.
    Completed,
    /// It was ended before that.
    Cancelled,
    /// Whoever asked for it may no longer use the desk.
    Failed,
}

impl From<JobState> for StateName {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Waiting => Self::Waiting,
            JobState::Running => Self::Running,
            JobState::Cancelling => Self::Cancelling,
            JobState::Completed => Self::Completed,
            JobState::Cancelled => Self::Cancelled,
            JobState::Failed => Self::Failed,
        }
    }
}

/// A job: tickets that are changed one by one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
struct JobBody {
    /// The job.
    id: Uuid,
    /// Who asked for it, and as whom it works.
    owner_id: Uuid,
    /// How far it is.
    state: StateName,
    /// How many tickets it is about.
    #[schema(examples(1234))]
    total: i32,
    /// How many of them have a result, as of the last progress; each hundred tickets make one.
    #[schema(examples(700))]
    done: i32,
    /// How many are otherwise now.
    changed: i32,
    /// How many were so already.
    unchanged: i32,
    /// How many stayed as they were for a reason.
    refused: i32,
    /// Which job it takes back; null where it changes tickets itself.
    #[schema(required = true)]
    undo_of: Option<Uuid>,
    /// Until when it can be undone, if it can be.
    #[schema(required = true)]
    undoable_until: Option<Timestamp>,
    /// When it was asked for.
    created_at: Timestamp,
    /// When it began.
    #[schema(required = true)]
    started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(required = true)]
    finished_at: Option<Timestamp>,
}

impl From<&Job> for JobBody {
    fn from(job: &Job) -> Self {
        let Job {
            id: JobId(id),
            owner: UserId(owner_id),
            task,
            state,
            total,
            done,
            version: _,
            created_at,
            started_at,
            finished_at,
        } = job;
        let Tallied {
            changed,
            unchanged,
            refused,
        } = *done;
        Self {
            id: *id,
            owner_id: *owner_id,
            state: (*state).into(),
            total: *total,
            done: done.sum(),
            changed,
            unchanged,
            refused,
            undo_of: match task {
                Task::Change(_) => None,
                Task::Undo(JobId(undone)) => Some(*undone),
            },
            undoable_until: job.undoable_until().map(Timestamp),
            created_at: Timestamp(*created_at),
            started_at: started_at.map(Timestamp),
            finished_at: finished_at.map(Timestamp),
        }
    }
}

fn rendered(job: &Job) -> Rendered {
    Rendered::resource(KIND, job.version, &JobBody::from(job))
}

fn begun(job: &Job) -> Rendered {
    let location = format!("/api/v1/jobs/{}", job.id);
    Rendered::begun(KIND, job.version, location, &JobBody::from(job))
}

/// Change many tickets
///
/// By a job, which changes one after the other as you would by itself: with your rights, with its history and events, all of the
/// change or none of it. `dryRun` says what it would do and does nothing. For staff; 5 unfinished jobs at the most.
#[utoipa::path(
    post,
    path = "/tickets/bulk",
    operation_id = "bulkChangeTickets",
    tag = "jobs",
    request_body = BulkBody,
    responses(
        (status = 200, description = "What it would do, with `dryRun`.", body = PreviewBody),
        (status = 202, description = "The job that does it.", body = JobBody,
            headers(("ETag" = String, description = "The job's version."),
                ("Location" = String, description = "Where it is."))))
)]
async fn bulk(app: Data<AppState>, Command(call, body): Command<BulkBody>) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let dry_run = body.dry_run;
    let (targets, change) = body.into_domain()?;
    if dry_run {
        let Preview { count, sample } = app.jobs.preview(&actor, &targets, &change).await?;
        let (count, is_estimate) = match count {
            Count::Exact(rows) => (rows, false),
            Count::Estimate(rows) => (rows, true),
        };
        let body = PreviewBody {
            count,
            is_estimate,
            sample: sample.iter().map(ForeseenBody::from).collect(),
        };
        return Rendered::of(StatusCode::OK, &body).into_response();
    }
    call.run(
        async |receipt| app.jobs.start(&actor, &targets, &change, receipt).await,
        begun,
    )
    .await
}

/// Show a job
///
/// For whoever asked for it and administrators, for 7 days after its end.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    operation_id = "getJob",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses((status = 200, description = "The job.", body = JobBody,
        headers(("ETag" = String, description = "The job's version: it moves with every progress."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<JobId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let job = app.jobs.show(&caller.actor(), id).await?;
    rendered(&job).to_get(&request)
}

/// Which items to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct ItemsParams {
    /// Those of this outcome alone: `changed`, `unchanged` or `refused`.
    #[param(example = "refused")]
    outcome: Option<String>,
}

/// A ticket of a job.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobItem)]
struct ItemBody {
    /// The ticket, as it was asked for.
    ticket_id: Uuid,
    /// What came of it.
    outcome: OutcomeName,
    /// Why it was refused: the code that the single change would be answered with.
    #[schema(required = true, examples("ticket.transition_not_allowed"))]
    code: Option<String>,
    /// The same, or what else there is to say, in a sentence.
    #[schema(required = true)]
    detail: Option<String>,
    /// When.
    #[schema(required = true)]
    done_at: Option<Timestamp>,
}

impl From<JobItem> for ItemBody {
    fn from(item: JobItem) -> Self {
        let JobItem {
            number: _,
            ticket: TicketId(ticket_id),
            result,
        } = item;
        let Some(result) = result else {
            return Self {
                ticket_id,
                outcome: OutcomeName::Waiting,
                code: None,
                detail: None,
                done_at: None,
            };
        };
        let ItemResult {
            outcome,
            code,
            detail,
            at,
        } = result;
        Self {
            ticket_id,
            outcome: outcome.into(),
            code,
            detail,
            done_at: Some(Timestamp(at)),
        }
    }
}

impl Seek for ItemPosition {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(i32::from_be_bytes(bytes.try_into().ok()?)))
    }
}

/// List the tickets of a job
///
/// Each with what came of it, in their order.
#[utoipa::path(
    get,
    path = "/jobs/{id}/items",
    operation_id = "listJobItems",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job."), ItemsParams, PageParams),
    responses((status = 200, description = "A page of tickets.", body = ListBody<ItemBody>))
)]
async fn items(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<JobId>,
    mut query: Query,
) -> Result<impl Responder, Problem> {
    let outcome = query.choice("outcome", &ItemOutcome::ALL, ItemOutcome::as_str);
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let after = page.after()?;
    let found = app
        .jobs
        .items(&caller.actor(), id, outcome, after, page.limit)
        .await?;
    page.answer(found, None, ItemBody::from)
}

/// Cancel a job
///
/// It ends after the tickets that are being changed just now, a hundred at the most. What is done stays done, and can be undone.
#[utoipa::path(
    post,
    path = "/jobs/{id}/cancel",
    operation_id = "cancelJob",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job."), IfMatchHeader),
    responses((status = 200, description = "The job, about to end.", body = JobBody,
        headers(("ETag" = String, description = "The job's version."))))
)]
async fn cancel(
    app: Data<AppState>,
    Path(id): Path<JobId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| app.jobs.cancel(&actor, id, Guard { expected, receipt }).await,
        rendered,
    )
    .await
}

/// Undo a job
///
/// By another job: gives each ticket back the status, priority, assignee and tags that it had, as far as nobody changed the same
/// since. Within an hour after its end, once.
#[utoipa::path(
    post,
    path = "/jobs/{id}/undo",
    operation_id = "undoJob",
    tag = "jobs",
    params(("id" = Uuid, Path, description = "The job.")),
    responses((status = 202, description = "The job that takes it back.", body = JobBody,
        headers(("ETag" = String, description = "The job's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn undo(
    app: Data<AppState>,
    Path(id): Path<JobId>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    call.run(async |receipt| app.jobs.undo(&actor, id, receipt).await, begun)
        .await
}
