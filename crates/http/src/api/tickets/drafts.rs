//! What someone began to write in a ticket.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use identity::Scope;
use serde::{Deserialize, Serialize};
use ticketing::{Body, TicketError, TicketKey, Unsent, Visibility};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::path::Path;
use crate::problem::Problem;
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_show, show).scope(Scope::TicketsRead),
        operation(__path_keep, keep).scope(Scope::TicketsWrite),
        operation(__path_discard, discard).scope(Scope::TicketsWrite),
    ]
}

/// A message in the making.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Draft)]
struct DraftBody {
    /// The ticket.
    ticket_id: Uuid,
    /// The text so far, in Markdown.
    message: String,
    /// Whether it is to be for staff alone.
    is_internal: bool,
    /// When it was last saved.
    updated_at: Timestamp,
}

impl From<Unsent> for DraftBody {
    fn from(unsent: Unsent) -> Self {
        let Unsent {
            ticket,
            author: _,
            body,
            visibility,
            updated_at,
        } = unsent;
        Self {
            ticket_id: ticket.0,
            message: body.as_str().to_owned(),
            is_internal: visibility == Visibility::Internal,
            updated_at: Timestamp(updated_at),
        }
    }
}

/// Show your draft in a ticket
///
/// What you began to write and have not sent. Nobody else sees it. It is kept for 90 days after it was last saved.
#[utoipa::path(
    get,
    path = "/tickets/{id}/draft",
    operation_id = "getDraft",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number.")),
    responses((status = 200, description = "The draft.", body = DraftBody))
)]
async fn show(
    app: Data<AppState>,
    caller: Caller,
    Path(key): Path<TicketKey>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let unsent = app.drafts.show(&caller.actor(), &key).await?;
    Rendered::of(StatusCode::OK, &DraftBody::from(unsent)).to_get(&request)
}

/// What you wrote so far.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = DraftText)]
struct KeepBody {
    /// The text, in Markdown; at most 64 KiB.
    #[schema(min_length = 1, max_length = 65536, examples("Have you tried"))]
    message: String,
    /// Whether it is to be for staff alone; only staff may say so.
    #[serde(default)]
    is_internal: bool,
}

/// Save your draft in a ticket
///
/// In the place of the one before: the last save counts. A message that you send takes it away.
#[utoipa::path(
    put,
    path = "/tickets/{id}/draft",
    operation_id = "saveDraft",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number.")),
    request_body = KeepBody,
    responses((status = 200, description = "The draft as it is saved.", body = DraftBody))
)]
async fn keep(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(call, body): Command<KeepBody>,
) -> Result<HttpResponse, Problem> {
    call.refuse_key("Saving repeats harmlessly.")?;
    let KeepBody { message, is_internal } = body;
    let text = Body::parse("/message", &message).map_err(TicketError::from)?;
    let visibility = if is_internal {
        Visibility::Internal
    } else {
        Visibility::Public
    };
    let unsent = app.drafts.keep(&call.actor(), &key, &text, visibility).await?;
    Rendered::of(StatusCode::OK, &DraftBody::from(unsent)).into_response()
}

/// Throw your draft in a ticket away
#[utoipa::path(
    delete,
    path = "/tickets/{id}/draft",
    operation_id = "discardDraft",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number.")),
    responses((status = 204, description = "It is gone."))
)]
async fn discard(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    call.refuse_key("What is thrown away is gone; a second time there is nothing.")?;
    app.drafts.discard(&call.actor(), &key).await?;
    Rendered::no_content().into_response()
}
