//! Who follows a ticket.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use identity::Scope;
use kernel::UserId;
use serde::Deserialize;
use ticketing::{Audience, Guard, TicketKey};
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
        operation(__path_follow, follow).scope(Scope::TicketsWrite),
        operation(__path_unfollow, unfollow).scope(Scope::TicketsWrite),
    ]
}

/// List a ticket's followers
///
/// All of them, 50 at the most, on one page, in the order in which they came. For staff.
#[utoipa::path(
    get,
    path = "/tickets/{id}/followers",
    operation_id = "listFollowers",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number.")),
    responses((status = 200, description = "The followers.", body = ListBody<TicketPersonBody>))
)]
async fn list(
    app: Data<AppState>,
    caller: Caller,
    Path(key): Path<TicketKey>,
    query: Query,
) -> Result<Json<ListBody<TicketPersonBody>>, Problem> {
    query.finish()?;
    let people = app.tickets.followers(&caller.actor(), &key).await?;
    let data = people
        .iter()
        .map(|card| TicketPersonBody::new(card.clone(), Audience::Staff));
    Ok(Json(ListBody {
        data: data.collect(),
        page: PageInfo::whole(),
    }))
}

/// Who is to follow a ticket, or no longer.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Follower)]
struct FollowerBody {
    /// Someone who works on the ticket; you when absent.
    user_id: Option<Uuid>,
}

/// Follow a ticket
///
/// Followers are told of replies, internal texts and changes of the status, as long as they work on the ticket. For staff,
/// themselves or a colleague.
#[utoipa::path(
    post,
    path = "/tickets/{id}/followers",
    operation_id = "followTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = FollowerBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn follow(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<FollowerBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let user = body.user_id.map_or_else(|| call.caller.id(), UserId);
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets.follow(&actor, &key, user, guard).await
        },
        rendered,
    )
    .await
}

/// Follow a ticket no longer
///
/// Yourself or a colleague. Nothing changes where they did not.
#[utoipa::path(
    delete,
    path = "/tickets/{id}/followers",
    operation_id = "unfollowTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = FollowerBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn unfollow(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<FollowerBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let user = body.user_id.map_or_else(|| call.caller.id(), UserId);
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets.unfollow(&actor, &key, user, guard).await
        },
        rendered,
    )
    .await
}
