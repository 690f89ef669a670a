//! Macros: the actions of rules, kept by staff and applied to a ticket by hand.

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use automation::{Guard, Macro, MacroContent, MacroHolder, MacroId};
use identity::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ticketing::TicketKey;
use utoipa::ToSchema;
use uuid::Uuid;

use super::tickets::{KIND as TICKET_KIND, TicketBody, rendered as rendered_ticket};
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::json::Document;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo, Query};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

/// The kind that entity tags of macros carry.
const KIND: &str = "macro";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::TicketsRead),
        operation(__path_create, create).scope(Scope::TicketsWrite),
        operation(__path_get, get).scope(Scope::TicketsRead),
        operation(__path_update, update).scope(Scope::TicketsWrite),
        operation(__path_delete, delete).scope(Scope::TicketsWrite),
        operation(__path_apply, apply).scope(Scope::TicketsWrite),
    ]
}

/// A macro.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Macro)]
struct MacroBody {
    /// The macro.
    id: Uuid,
    /// What it is called.
    #[schema(examples("Ask for the serial number"))]
    name: String,
    /// What it is for.
    #[schema(required = true)]
    description: Option<String>,
    /// What it does, in this order; see the actions of automation rules.
    #[schema(value_type = Vec<Object>)]
    actions: Value,
    /// For whom it is: `own`, `team` or `all` staff.
    #[schema(examples("team"))]
    visibility: &'static str,
    /// Whose it is, for one's own.
    #[schema(required = true)]
    owner_id: Option<Uuid>,
    /// Which team's it is, for a team's.
    #[schema(required = true)]
    team_id: Option<Uuid>,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<&Macro> for MacroBody {
    fn from(one: &Macro) -> Self {
        let Macro {
            id,
            content,
            created_at,
            updated_at,
            version: _,
        } = one;
        let MacroContent {
            name,
            description,
            actions,
            holder,
        } = content;
        let (visibility, owner_id, team_id) = match holder {
            MacroHolder::Person(owner) => ("own", Some(owner.0), None),
            MacroHolder::Team(team) => ("team", None, Some(team.0)),
            MacroHolder::Desk => ("all", None, None),
        };
        Self {
            id: id.0,
            name: name.clone(),
            description: description.clone(),
            actions: actions.as_json().clone(),
            visibility,
            owner_id,
            team_id,
            created_at: Timestamp(*created_at),
            updated_at: Timestamp(*updated_at),
        }
    }
}

fn rendered(one: &Macro) -> Rendered {
    Rendered::resource(KIND, one.version, &MacroBody::from(one))
}

/// A macro to make, or in a merge patch what to change of one.
#[derive(ToSchema)]
#[schema(as = MacroInput, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its document is used; the domain reads the JSON")]
struct MacroInput {
    /// What it is called; must be given for a new one.
    #[schema(min_length = 1, max_length = 100, examples("Ask for the serial number"))]
    name: Option<String>,
    /// What it is for.
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// What it does, in this order, 1 to 20 things, as the actions of automation rules; must be given for a new one. Calls of
    /// webhooks are for the visibility `all` alone.
    #[schema(value_type = Option<Vec<Object>>,
        examples(json!([{ "type": "send_reply", "value": "What is the serial number, {{requester.name}}?" },
            { "type": "set_status", "value": "pending" }])))]
    actions: Option<Value>,
    /// For whom it is: `own`, `team` (its supervisors and leads write it) or `all` staff (administrators write it); must be given for a
    /// new one.
    #[schema(examples("own"))]
    visibility: Option<String>,
    /// Which team, with the visibility `team`.
    team_id: Option<Uuid>,
}

/// List macros
///
/// Those that you can apply, 500 at the most, on one page: your own, those of your teams, those of all staff, each by name.
/// Administrators see those of every team. For staff.
#[utoipa::path(
    get,
    path = "/macros",
    operation_id = "listMacros",
    tag = "macros",
    responses((status = 200, description = "The macros.", body = ListBody<MacroBody>))
)]
async fn list(
    app: Data<AppState>,
    caller: Caller,
    query: Query,
) -> Result<Json<ListBody<MacroBody>>, Problem> {
    query.finish()?;
    let macros = app.macros.list(&caller.actor()).await?;
    Ok(Json(ListBody {
        data: macros.iter().map(MacroBody::from).collect(),
        page: PageInfo::whole(),
    }))
}

/// Make a macro
///
/// It is checked as a rule is: people, teams and policies that it names, and texts. A person, a team and all staff have 100 each at
/// the most. For staff.
#[utoipa::path(
    post,
    path = "/macros",
    operation_id = "createMacro",
    tag = "macros",
    request_body = MacroInput,
    responses((status = 201, description = "The new macro.", body = MacroBody,
        headers(("ETag" = String, description = "The macro's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, Document(document)): Command<Document>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let document = Value::Object(document);
    call.run(
        async |receipt| app.macros.create(&actor, &document, receipt).await,
        |one| {
            let location = format!("/api/v1/macros/{}", one.id);
            Rendered::created(KIND, one.version, location, &MacroBody::from(one))
        },
    )
    .await
}

/// Show a macro
#[utoipa::path(
    get,
    path = "/macros/{id}",
    operation_id = "getMacro",
    tag = "macros",
    params(("id" = Uuid, Path, description = "The macro.")),
    responses((status = 200, description = "The macro.", body = MacroBody,
        headers(("ETag" = String, description = "The macro's version."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<MacroId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    rendered(&app.macros.show(&caller.actor(), id).await?).to_get(&request)
}

/// Change a macro
///
/// A JSON merge patch of its members, each of which is taken whole. Who gives it to others must be one who writes theirs.
#[utoipa::path(
    patch,
    path = "/macros/{id}",
    operation_id = "updateMacro",
    tag = "macros",
    params(("id" = Uuid, Path, description = "The macro."), IfMatchHeader),
    request_body = MacroInput,
    responses((status = 200, description = "The macro after the change.", body = MacroBody,
        headers(("ETag" = String, description = "The macro's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<MacroId>,
    Command(mut call, Document(patch)): Command<Document>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let patch = Value::Object(patch);
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.macros.update(&actor, id, &patch, guard).await
        },
        rendered,
    )
    .await
}

/// Delete a macro
#[utoipa::path(
    delete,
    path = "/macros/{id}",
    operation_id = "deleteMacro",
    tag = "macros",
    params(("id" = Uuid, Path, description = "The macro."), IfMatchHeader),
    responses((status = 204, description = "The macro is gone."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<MacroId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.macros.delete(&actor, id, guard).await
        },
        |()| Rendered::no_content(),
    )
    .await
}

/// Which macro to apply.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MacroApplication)]
struct ApplyBody {
    /// The macro.
    macro_id: Uuid,
}

/// Apply a macro to a ticket
///
/// In your name: it does nothing that you could not do. All its changes of the ticket are made in one step, or none where one
/// cannot be, and you are the author of its notes and replies; what it tells and sends follows. For staff who work on the ticket.
#[utoipa::path(
    post,
    path = "/tickets/{id}/apply-macro",
    operation_id = "applyMacro",
    tag = "macros",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = ApplyBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn apply(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, ApplyBody { macro_id }): Command<ApplyBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(TICKET_KIND));
    call.run(
        async |receipt| {
            let guard = ticketing::Guard { expected, receipt };
            app.macro_effects
                .apply(&actor, &key, MacroId(macro_id), guard)
                .await
        },
        rendered_ticket,
    )
    .await
}
