//! What happens to a ticket: who answers it, which team has it, where it stands. Each answers the ticket.

use actix_web::HttpResponse;
use actix_web::web::Data;
use identity::Scope;
use kernel::{TeamId, UserId, Violation};
use serde::Deserialize;
use ticketing::{Body, Guard, Remark, Tags, TicketError, TicketKey};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::TicketBody;
use super::{KIND, rendered};
use crate::api::ratings::RatingBody;
use crate::app::AppState;
use crate::command::{Command, Nothing};
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::{Problem, ProblemBody};
use crate::routes::{Operation, operation};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_claim, claim).scope(Scope::TicketsWrite),
        operation(__path_assign, assign).scope(Scope::TicketsWrite),
        operation(__path_unassign, unassign).scope(Scope::TicketsWrite),
        operation(__path_add_tags, add_tags).scope(Scope::TicketsWrite),
        operation(__path_remove_tags, remove_tags).scope(Scope::TicketsWrite),
        operation(__path_transfer, transfer).scope(Scope::TicketsWrite),
        operation(__path_resolve, resolve).scope(Scope::TicketsWrite),
        operation(__path_close, close).scope(Scope::TicketsWrite),
        operation(__path_reopen, reopen).scope(Scope::TicketsWrite),
        operation(__path_rate, rate).scope(Scope::TicketsWrite),
    ]
}

/// Claim a ticket
///
/// Makes you its assignee when nobody is. Of two at once one wins and the other gets 409.
#[utoipa::path(
    post,
    path = "/tickets/{id}/claim",
    operation_id = "claimTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    responses((status = 200, description = "The ticket, yours.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn claim(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| app.tickets.claim(&actor, &key, Guard { expected, receipt }).await,
        rendered,
    )
    .await
}

/// To whom a ticket goes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Assignment)]
struct AssignBody {
    /// An active agent of the ticket's team, or an administrator.
    agent_id: Uuid,
}

/// Assign a ticket
///
/// Agents assign tickets to themselves; supervisors and leads of its team to others too.
#[utoipa::path(
    post,
    path = "/tickets/{id}/assign",
    operation_id = "assignTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = AssignBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn assign(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<AssignBody>,
) -> Result<HttpResponse, Problem> {
    let AssignBody { agent_id } = body;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.tickets
                .assign(&actor, &key, UserId(agent_id), Guard { expected, receipt })
                .await
        },
        rendered,
    )
    .await
}

/// Take a ticket from its assignee
#[utoipa::path(
    post,
    path = "/tickets/{id}/unassign",
    operation_id = "unassignTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    responses((status = 200, description = "The ticket, nobody's.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn unassign(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.tickets
                .unassign(&actor, &key, Guard { expected, receipt })
                .await
        },
        rendered,
    )
    .await
}

/// Tags.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TicketTags)]
struct TagsBody {
    /// 1 to 20 tags of at most 50 characters each; they are put in lower case.
    #[schema(min_items = 1, max_items = 20, examples(json!(["vpn", "printer"])))]
    tags: Vec<String>,
}

impl TagsBody {
    fn into_domain(self) -> Result<Tags, Problem> {
        let tags = Tags::parse("/tags", &self.tags).and_then(|tags| {
            if tags.as_slice().is_empty() {
                return Err(Violation::new("/tags", "too_few", "must have at least one tag"));
            }
            Ok(tags)
        });
        tags.map_err(|violation| TicketError::from(violation).into())
    }
}

/// Add tags to a ticket
///
/// Those that it has not yet; at most 20 in all. What others add or take away at the same time stays so, unlike by a
/// `PATCH` with all tags.
#[utoipa::path(
    post,
    path = "/tickets/{id}/tags",
    operation_id = "addTicketTags",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = TagsBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn add_tags(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<TagsBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let tags = body.into_domain()?;
    call.run(
        async |receipt| {
            app.tickets
                .add_tags(&actor, &key, &tags, Guard { expected, receipt })
                .await
        },
        rendered,
    )
    .await
}

/// Take tags from a ticket
///
/// Those of them that it has. What others add or take away at the same time stays so.
#[utoipa::path(
    delete,
    path = "/tickets/{id}/tags",
    operation_id = "removeTicketTags",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = TagsBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn remove_tags(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<TagsBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let tags = body.into_domain()?;
    call.run(
        async |receipt| {
            app.tickets
                .remove_tags(&actor, &key, &tags, Guard { expected, receipt })
                .await
        },
        rendered,
    )
    .await
}

/// Where a ticket goes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Transfer)]
struct TransferBody {
    /// The team.
    team_id: Uuid,
    /// A note for staff that goes along.
    #[schema(min_length = 1, max_length = 65536)]
    note: Option<String>,
}

/// Hand a ticket to another team
///
/// An assignee who does not work there loses it. You may lose sight of it too; the answer still shows it.
#[utoipa::path(
    post,
    path = "/tickets/{id}/transfer",
    operation_id = "transferTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = TransferBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn transfer(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<TransferBody>,
) -> Result<HttpResponse, Problem> {
    let TransferBody { team_id, note } = body;
    let note = note
        .map(|text| Body::parse("/note", &text))
        .transpose()
        .map_err(TicketError::from)?;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets
                .transfer(&actor, &key, TeamId(team_id), note.as_ref(), guard)
                .await
        },
        rendered,
    )
    .await
}

/// How a ticket was resolved.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Resolution)]
struct ResolveBody {
    /// Kept in the history, for staff.
    #[schema(min_length = 1, max_length = 2000, examples("Replaced the toner."))]
    resolution: Option<String>,
}

/// Resolve a ticket
///
/// It closes itself after a silence, and opens again when the requester replies.
#[utoipa::path(
    post,
    path = "/tickets/{id}/resolve",
    operation_id = "resolveTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = ResolveBody,
    responses((status = 200, description = "The ticket, resolved.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn resolve(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<ResolveBody>,
) -> Result<HttpResponse, Problem> {
    let ResolveBody { resolution } = body;
    let remark = remark("/resolution", resolution)?;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.tickets
                .resolve(&actor, &key, remark.as_ref(), Guard { expected, receipt })
                .await
        },
        rendered,
    )
    .await
}

/// Close a ticket
#[utoipa::path(
    post,
    path = "/tickets/{id}/close",
    operation_id = "closeTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    responses((status = 200, description = "The ticket, closed.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn close(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| app.tickets.close(&actor, &key, Guard { expected, receipt }).await,
        rendered,
    )
    .await
}

/// Why a ticket is opened again.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Reopening)]
struct ReopenBody {
    /// Kept in the history, for staff.
    #[schema(min_length = 1, max_length = 2000, examples("It burns again."))]
    reason: Option<String>,
}

/// Open a resolved or closed ticket again
///
/// A closed one within 14 days, unless the desk chose another window.
#[utoipa::path(
    post,
    path = "/tickets/{id}/reopen",
    operation_id = "reopenTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = ReopenBody,
    responses((status = 200, description = "The ticket, open.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn reopen(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<ReopenBody>,
) -> Result<HttpResponse, Problem> {
    let ReopenBody { reason } = body;
    let remark = remark("/reason", reason)?;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.tickets
                .reopen(&actor, &key, remark.as_ref(), Guard { expected, receipt })
                .await
        },
        rendered,
    )
    .await
}

/// Rate a ticket
///
/// Its requester says how content they are with its resolution, once it is resolved or closed. What they say can be changed
/// for a week; a ticket that is resolved anew later can be rated anew.
#[utoipa::path(
    post,
    path = "/tickets/{id}/rate",
    operation_id = "rateTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = RatingBody,
    responses(
        (status = 200, description = "The ticket, rated.", body = TicketBody,
            headers(("ETag" = String, description = "The ticket's version."))),
        (status = 409, description = "It is not resolved (`ticket.not_resolved`), or was rated more than a week ago \
            (`ticket.rating_final`).", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn rate(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<RatingBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let rating = body.into_domain()?;
    call.run(
        async |receipt| {
            app.tickets
                .rate(&actor, &key, &rating, Guard { expected, receipt })
                .await
        },
        rendered,
    )
    .await
}

fn remark(pointer: &str, text: Option<String>) -> Result<Option<Remark>, Problem> {
    Ok(text
        .map(|text| Remark::parse(pointer, &text))
        .transpose()
        .map_err(TicketError::from)?)
}
