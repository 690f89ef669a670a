//! Who has part in a ticket beside its requester.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use identity::Scope;
use kernel::UserId;
use serde::Deserialize;
use ticketing::{Guard, TicketKey};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{TicketBody, TicketPersonBody};
use super::{KIND, rendered};
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::Command;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo, Query};
use crate::routes::{Operation, operation};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::TicketsRead),
        operation(__path_add, add).scope(Scope::TicketsWrite),
        operation(__path_remove, remove).scope(Scope::TicketsWrite),
    ]
}

/// List to whom a ticket is copied
///
/// All of them, 20 at the most, on one page, in the order in which they came: people who have part in it as its requester
/// has, but who do not rate it. For everyone who sees the ticket.
#[utoipa::path(
    get,
    path = "/tickets/{id}/cc",
    operation_id = "listCc",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number.")),
    responses((status = 200, description = "Those to whom it is copied.", body = ListBody<TicketPersonBody>))
)]
async fn list(
    app: Data<AppState>,
    caller: Caller,
    Path(key): Path<TicketKey>,
    query: Query,
) -> Result<Json<ListBody<TicketPersonBody>>, Problem> {
    query.finish()?;
    let (people, audience) = app.tickets.copied_to(&caller.actor(), &key).await?;
    let data = people
        .into_iter()
        .map(|card| TicketPersonBody::new(card, audience));
    Ok(Json(ListBody {
        data: data.collect(),
        page: PageInfo::whole(),
    }))
}

/// To whom a ticket is to be copied, or no longer.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Cc)]
struct CcBody {
    /// Someone with an active account.
    user_id: Uuid,
}

/// Copy a ticket to someone
///
/// They read its public side, reply, close and reopen it as its requester does, find it in their lists and searches, and are
/// told of replies. For staff; a ticket is copied to 20 people at the most. Nothing changes for its requester.
#[utoipa::path(
    post,
    path = "/tickets/{id}/cc",
    operation_id = "addCc",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = CcBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn add(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<CcBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets
                .copy_to(&actor, &key, UserId(body.user_id), guard)
                .await
        },
        rendered,
    )
    .await
}

/// Copy a ticket to someone no longer
///
/// From then on they do not see it; what they wrote stays. For staff. Nothing changes where it was not copied to them.
#[utoipa::path(
    delete,
    path = "/tickets/{id}/cc",
    operation_id = "removeCc",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = CcBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn remove(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<CcBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets
                .stop_copying_to(&actor, &key, UserId(body.user_id), guard)
                .await
        },
        rendered,
    )
    .await
}
