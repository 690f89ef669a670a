//! Opening, showing, changing, deleting and restoring tickets.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use identity::Scope;
use kernel::{Patch, TeamId, UserId, Violations};
use serde::Deserialize;
use serde_json::{Map, Value};
use ticketing::{
    CustomFields, Description, Edit, Guard, NewTicket, Related, Subject, Tags, TicketChannel, TicketKey,
    TicketPriority, TicketStatus,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{ChannelName, PriorityName, Shape, StatusName, TicketBody};
use super::listing::{ShapeParams, related, shape};
use super::{KIND, accepted, not_null, rendered};
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::context::RequestContext;
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::{Operation, operation};

pub(super) fn operations() -> Vec<Operation> {
    vec![
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

/// What to show of a merged ticket.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct MergedParams {
    /// A merged ticket itself, instead of a redirect to the one that it was merged into.
    merged: Option<bool>,
}

/// Show a ticket
///
/// By id or by number. One that was merged into another leads there.
#[utoipa::path(
    get,
    path = "/tickets/{id}",
    operation_id = "getTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number.", example = "TKT-00001"), MergedParams,
        ShapeParams),
    responses(
        (status = 200, description = "The ticket.", body = TicketBody,
            headers(("ETag" = String, description = "The ticket's version."))),
        (status = 307, description = "It was merged into another ticket.",
            headers(("Location" = String, description = "Where that one is."))))
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
    let merged_too = query.flag("merged");
    query.finish()?;
    let view = app.tickets.show(&caller.actor(), &key, include_deleted).await?;
    if let (Some(target), false) = (view.ticket.merged_into, merged_too) {
        let location = format!("/api/v1/tickets/{target}");
        return Ok(HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, location))
            .finish());
    }
    let related = related(&app, &shape, std::iter::once(&view)).await?;
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
    /// The SLA policy that it is to be under, whatever the policies' filters say; null for the one that fits. For leads of its team
    /// and administrators.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Uuid>)]
    sla_policy_id: Patch<Uuid>,
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
            sla_policy_id,
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
            sla_policy: sla_policy_id,
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
