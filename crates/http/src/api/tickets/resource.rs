//! Opening, listing, showing, changing, deleting and restoring tickets.

use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, Responder};
use identity::Scope;
use kernel::{Patch, TeamId, UserId, Violations};
use serde::Deserialize;
use serde_json::{Map, Value};
use ticketing::{
    Count, CustomFields, Description, Direction, Edit, Guard, Maybe, NewTicket, Related, RelatedWish, Sort,
    SortKey, Span, Subject, Tags, TicketChannel, TicketFilter, TicketKey, TicketPriority, TicketQuery,
    TicketStatus, TicketView,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{ChannelName, FIELDS, Include, PriorityName, Shape, StatusName, TicketBody};
use super::{KIND, accepted, not_null, rendered};
use crate::api::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::context::RequestContext;
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{self, ListBody, Query, TimeSpan, TotalCount, Whom};
use crate::routes::{Operation, operation};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::TicketsRead),
        operation(__path_create, create).scope(Scope::TicketsWrite),
        operation(__path_get, get).scope(Scope::TicketsRead),
        operation(__path_update, update).scope(Scope::TicketsWrite),
        operation(__path_delete, delete).scope(Scope::TicketsWrite),
        operation(__path_restore, restore).scope(Scope::TicketsWrite),
    ]
}

/// A ticket to open.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewTicket)]
struct CreateTicketBody {
    /// What it is about.
    #[schema(
        min_length = 1,
        max_length = 200,
        examples("The printer on the second floor is on fire")
    )]
    subject: String,
    /// What you have to say; at most 64 KiB.
    #[schema(
        min_length = 1,
        max_length = 65536,
        examples("It started this morning. Please send someone.")
    )]
    description: String,
    /// How much it presses; `medium` when absent.
    priority: Option<PriorityName>,
    /// How it came in; `web` when absent.
    channel: Option<ChannelName>,
    /// The team that it is for.
    team_id: Option<Uuid>,
    /// Its tags.
    #[serde(default)]
    #[schema(max_items = 20, examples(json!(["printer"])))]
    tags: Vec<String>,
    /// Its custom fields: texts, numbers, booleans or lists of texts.
    #[serde(default)]
    #[schema(value_type = Object, examples(json!({ "floor": 2 })))]
    custom_fields: Map<String, Value>,
    /// For whom staff open it; the caller when absent.
    created_by_id: Option<Uuid>,
}

impl CreateTicketBody {
    fn into_domain(self) -> Result<NewTicket, Problem> {
        let Self {
            subject,
            description,
            priority,
            channel,
            team_id,
            tags,
            custom_fields,
            created_by_id,
        } = self;
        let mut faults = Violations::new();
        let subject = faults.check(Subject::parse("/subject", &subject));
        let description = faults.check(Description::parse("/description", &description));
        let tags = faults.check(Tags::parse("/tags", &tags));
        let custom_fields = faults.check(CustomFields::parse("/customFields", custom_fields));
        accepted(faults)?;
        match (subject, description, tags, custom_fields) {
            (Some(subject), Some(description), Some(tags), Some(custom_fields)) => Ok(NewTicket {
                subject,
                description,
                priority: priority.map(TicketPriority::from),
                channel: channel.map(TicketChannel::from).unwrap_or_default(),
                team: team_id.map(TeamId),
                tags,
                custom_fields,
                requester: created_by_id.map(UserId),
            }),
            _ => Err(Problem::internal("a field is neither good nor bad")),
        }
    }
}

/// Open a ticket
///
/// For yourself, or as staff for someone else. You are told of it once even if you cannot see its team's tickets.
#[utoipa::path(
    post,
    path = "/tickets",
    operation_id = "createTicket",
    tag = "tickets",
    request_body = CreateTicketBody,
    responses((status = 201, description = "The new ticket.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    request: HttpRequest,
    Command(call, body): Command<CreateTicketBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let context = RequestContext::of(&request);
    app.gates.tickets.pass(&context, call.caller.id().0).await?;
    let new = body.into_domain()?;
    call.run(
        async |receipt| app.tickets.create(&actor, new, receipt).await,
        |written| {
            let location = format!("/api/v1/tickets/{}", written.view.ticket.id);
            let body = TicketBody::new(&written.view, &Related::default(), &Shape::default());
            Rendered::created(KIND, written.view.version(), location, &body)
        },
    )
    .await
}

/// What shapes the answer.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct ShapeParams {
    /// Related things to show whole, with commas between: `createdBy`, `assignedTo`, `team`.
    #[param(example = "createdBy,team")]
    include: Option<String>,
    /// The only members to show, with commas between; `id` is always there.
    #[param(example = "ticketNumber,subject,status")]
    fields: Option<String>,
    /// Deleted tickets too; for administrators.
    #[param(rename = "includeDeleted")]
    include_deleted: Option<bool>,
}

fn shape(query: &mut Query) -> Shape {
    let include = query.choices("include", &Include::ALL, Include::name);
    let fields = query.choices("fields", &FIELDS, |name| name);
    Shape { include, fields }
}

/// The most bytes of a condition, as JSON before it is percent-encoded.
const CONDITION_BYTES_MAX: usize = 8_192;

/// Which tickets to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct TicketListParams {
    /// One of these statuses, with commas between: `open`, `pending`, `resolved`, `closed`.
    #[param(example = "open,pending")]
    status: Option<String>,
    /// One of these priorities, with commas between: `low`, `medium`, `high`, `urgent`.
    #[param(example = "high,urgent")]
    priority: Option<String>,
    /// One of these channels, with commas between: `web`, `email`, `chat`, `api`.
    #[param(example = "web")]
    channel: Option<String>,
    /// Whose work: `me`, `none` or an account's id.
    #[param(rename = "assignedTo", example = "me")]
    assigned_to: Option<String>,
    /// Whose team: `none` or a team's id.
    #[param(rename = "teamId", example = "none")]
    team_id: Option<String>,
    /// Who asked: `me` or an account's id.
    #[param(rename = "createdBy", example = "me")]
    created_by: Option<String>,
    /// All of these tags, with commas between.
    #[param(example = "printer")]
    tags: Option<String>,
    /// Made at this time or later; also `[gt]`, `[lte]`, `[lt]`.
    #[param(rename = "createdAt[gte]", format = DateTime)]
    created_at_gte: Option<String>,
    /// Made after this time.
    #[param(rename = "createdAt[gt]", format = DateTime)]
    created_at_gt: Option<String>,
    /// Made at this time or earlier.
    #[param(rename = "createdAt[lte]", format = DateTime)]
    created_at_lte: Option<String>,
    /// Made before this time.
    #[param(rename = "createdAt[lt]", format = DateTime)]
    created_at_lt: Option<String>,
    /// Changed at this time or later; also `[gt]`, `[lte]`, `[lt]`.
    #[param(rename = "updatedAt[gte]", format = DateTime)]
    updated_at_gte: Option<String>,
    /// Changed after this time.
    #[param(rename = "updatedAt[gt]", format = DateTime)]
    updated_at_gt: Option<String>,
    /// Changed at this time or earlier.
    #[param(rename = "updatedAt[lte]", format = DateTime)]
    updated_at_lte: Option<String>,
    /// Changed before this time.
    #[param(rename = "updatedAt[lt]", format = DateTime)]
    updated_at_lt: Option<String>,
    /// Those alone for which this condition holds, as JSON of at most 8192 bytes: `field`, `operator` and `value`, or
    /// `all`, `any` or `none` with a list of conditions; 20 terms and 3 levels of groups at most. Fields:
    /// `ticketNumber`, `subject`, `description`, `status`, `priority`, `channel`, `createdById`, `assignedToId`, `teamId`,
    /// `tags`, `createdAt`, `updatedAt`, `firstResponseAt`, `resolvedAt`, `closedAt`, `autoClosedAt`, `messageCount`,
    /// `lastMessageAt`, `customFields.` and a name; for staff `slaPolicyId`, `slaDueAt`, `slaBreached`. Operators: `equals`,
    /// `not_equals`, `in`, `not_in`, `contains`, `not_contains`, `starts_with`, `ends_with`, `greater_than`, `less_than`,
    /// `between`, `is_set`, `is_not_set`. People may be `me`, times `-7d` or `+2h` from now (`m`, `h`, `d`, `w`).
    #[param(
        example = r#"{"all":[{"field":"status","operator":"in","value":["open","pending"]},{"field":"updatedAt","operator":"less_than","value":"-7d"}]}"#
    )]
    filter: Option<String>,
    /// The order: `createdAt` or `updatedAt`, with `-` in front for newest first; `-updatedAt` when absent.
    #[param(example = "-updatedAt")]
    sort: Option<String>,
    /// Whether to count the rows of all pages: exact to 10 000, then an estimate that says so.
    count: Option<bool>,
}

/// List tickets
///
/// Customers get those that they asked for, agents those that they work on (with `createdBy=me` their own),
/// administrators all. Newest change first unless asked otherwise.
#[utoipa::path(
    get,
    path = "/tickets",
    operation_id = "listTickets",
    tag = "tickets",
    params(TicketListParams, ShapeParams, PageParams),
    responses((status = 200, description = "A page of tickets.", body = ListBody<TicketBody>))
)]
async fn list(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<impl Responder, Problem> {
    let shape = shape(&mut query);
    let actor = caller.actor();
    let mut filter = filter(&mut query, caller.id());
    if let Some(condition) = query.json("filter", CONDITION_BYTES_MAX) {
        match app.tickets.narrowed(&actor, filter.clone(), &condition) {
            Ok(narrowed) => filter = narrowed,
            Err(violations) => query.refuse_within("filter", &violations),
        }
    }
    let sort = query.sort(&[
        ("createdAt", SortKey::CreatedAt),
        ("updatedAt", SortKey::UpdatedAt),
    ]);
    let include_deleted = query.flag("includeDeleted");
    let page = query.page(caller.id());
    query.finish()?;
    let wanted = TicketQuery {
        filter,
        sort: sort.map(order).unwrap_or_default(),
        after: page.after()?,
        limit: page.limit,
        include_deleted,
    };
    let found = app.tickets.list(&actor, &wanted).await?;
    let total = if page.counted {
        Some(app.tickets.count(&actor, &wanted).await?)
    } else {
        None
    };
    let related = related(&app, &shape, &found.items).await?;
    let total = total.map(|count| match count {
        Count::Exact(rows) => TotalCount {
            rows,
            is_estimate: false,
        },
        Count::Estimate(rows) => TotalCount {
            rows,
            is_estimate: true,
        },
    });
    let body = |view: TicketView| TicketBody::new(&view, &related, &shape);
    if shape.fields.is_empty() {
        return Ok(web::Either::Left(page.answer(found, total, body)?));
    }
    let mut unfit = None;
    let shaped = page.answer(found, total, |view| {
        body(view).shaped(&shape).unwrap_or_else(|error| {
            unfit = Some(error);
            Value::Null
        })
    })?;
    match unfit {
        Some(error) => Err(Problem::internal(error)),
        None => Ok(web::Either::Right(shaped)),
    }
}

fn filter(query: &mut Query, caller: UserId) -> TicketFilter {
    let status = query.choices("status", &TicketStatus::ALL, TicketStatus::as_str);
    let priority = query.choices("priority", &TicketPriority::ALL, TicketPriority::as_str);
    let channel = query.choices("channel", &TicketChannel::ALL, TicketChannel::as_str);
    let assignee = query.whom("assignedTo").map(|whom| match whom {
        Whom::Me => Maybe::Is(caller),
        Whom::Nobody => Maybe::Nothing,
        Whom::Id(id) => Maybe::Is(UserId(id)),
    });
    let team = query
        .id_or_none("teamId")
        .map(|team| team.map_or(Maybe::Nothing, Maybe::Is));
    let requester = query.me_or_id("createdBy", caller);
    let tags = query.texts("tags", ticketing::TAG_MAX_CHARS);
    let tags = tags.into_iter().map(|tag| tag.to_lowercase()).collect();
    let span = |TimeSpan { from, before }| Span { from, before };
    let created = span(query.span("createdAt"));
    let updated = span(query.span("updatedAt"));
    TicketFilter {
        status,
        priority,
        channel,
        assignee,
        team,
        requester,
        tags,
        created,
        updated,
        condition: None,
    }
}

fn order((key, direction): (SortKey, query::Direction)) -> Sort {
    let direction = match direction {
        query::Direction::Ascending => Direction::OldestFirst,
        query::Direction::Descending => Direction::NewestFirst,
    };
    Sort { key, direction }
}

async fn related(app: &AppState, shape: &Shape, views: &[TicketView]) -> Result<Related, Problem> {
    let included = |what| shape.include.contains(&what);
    let wanted = RelatedWish {
        requesters: included(Include::CreatedBy),
        assignees: included(Include::AssignedTo),
        teams: included(Include::Team),
    };
    Ok(app.tickets.related(views, wanted).await?)
}

/// Show a ticket
///
/// By id or by number.
#[utoipa::path(
    get,
    path = "/tickets/{id}",
    operation_id = "getTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number.", example = "TKT-00001"), ShapeParams),
    responses((status = 200, description = "The ticket.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(key): Path<TicketKey>,
    mut query: Query,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let shape = shape(&mut query);
    let include_deleted = query.flag("includeDeleted");
    query.finish()?;
    let view = app.tickets.show(&caller.actor(), &key, include_deleted).await?;
    let related = related(&app, &shape, std::slice::from_ref(&view)).await?;
    let body = TicketBody::new(&view, &related, &shape);
    if shape.fields.is_empty() {
        return Rendered::resource(KIND, view.version(), &body).to_get(&request);
    }
    let shaped = body.shaped(&shape).map_err(Problem::internal)?;
    Rendered::resource(KIND, view.version(), &shaped).to_get(&request)
}

/// What to change of a ticket.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TicketUpdate)]
struct UpdateTicketBody {
    /// What it is about.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 200)]
    subject: Patch<String>,
    /// What the requester has to say.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 65536)]
    description: Patch<String>,
    /// How much it presses; for staff.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<PriorityName>, nullable = false)]
    priority: Patch<PriorityName>,
    /// Where it stands.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<StatusName>, nullable = false)]
    status: Patch<StatusName>,
    /// All its tags; for staff.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, max_items = 20)]
    tags: Patch<Vec<String>>,
    /// Custom fields to set, or to take away by null.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Object>, nullable = false)]
    custom_fields: Patch<Map<String, Value>>,
    /// Metadata to set, or to take away by null; for administrators.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Patch<Map<String, Value>>,
}

impl UpdateTicketBody {
    fn into_domain(self) -> Result<Edit, Problem> {
        let Self {
            subject,
            description,
            priority,
            status,
            tags,
            custom_fields,
            metadata,
        } = self;
        let mut faults = Violations::new();
        let subject = not_null(&mut faults, "/subject", subject)
            .and_then(|text| faults.check(Subject::parse("/subject", &text)));
        let description = not_null(&mut faults, "/description", description)
            .and_then(|text| faults.check(Description::parse("/description", &text)));
        let tags =
            not_null(&mut faults, "/tags", tags).and_then(|tags| faults.check(Tags::parse("/tags", &tags)));
        let custom_fields = not_null(&mut faults, "/customFields", custom_fields);
        if let Some(fields) = &custom_fields {
            faults.check(CustomFields::parse("/customFields", fields.clone()));
        }
        let edit = Edit {
            subject,
            description,
            priority: not_null(&mut faults, "/priority", priority).map(TicketPriority::from),
            status: not_null(&mut faults, "/status", status).map(TicketStatus::from),
            tags,
            custom_fields,
            metadata: not_null(&mut faults, "/metadata", metadata),
        };
        accepted(faults)?;
        Ok(edit)
    }
}

/// Change a ticket
///
/// A JSON merge patch: what is absent stays. All of it is done or none. Who answers it and which team has it change
/// by the actions `assign`, `claim`, `unassign` and `transfer`.
#[utoipa::path(
    patch,
    path = "/tickets/{id}",
    operation_id = "updateTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = UpdateTicketBody,
    responses((status = 200, description = "The ticket after the change.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<UpdateTicketBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let edit = body.into_domain()?;
    call.run(
        async |receipt| {
            app.tickets
                .edit(&actor, &key, &edit, Guard { expected, receipt })
                .await
        },
        rendered,
    )
    .await
}

/// Delete a ticket
///
/// It can be restored. For leads of its team and administrators.
#[utoipa::path(
    delete,
    path = "/tickets/{id}",
    operation_id = "deleteTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    responses((status = 204, description = "The ticket is deleted."))
)]
async fn delete(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.tickets
                .delete(&actor, &key, Guard { expected, receipt })
                .await
        },
        |_| Rendered::no_content(),
    )
    .await
}

/// Restore a deleted ticket
///
/// For administrators, and for leads of its team within 30 days.
#[utoipa::path(
    post,
    path = "/tickets/{id}/restore",
    operation_id = "restoreTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    responses((status = 200, description = "The ticket, back again.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn restore(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.tickets
                .restore(&actor, &key, Guard { expected, receipt })
                .await
        },
        rendered,
    )
    .await
}
