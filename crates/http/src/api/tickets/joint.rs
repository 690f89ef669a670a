//! What concerns two tickets: links, merges, and messages that go from one to the other. All but the list of links and
//! the split answer the ticket in the path.

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use identity::Scope;
use kernel::{MessageId, TicketId};
use serde::{Deserialize, Serialize};
use ticketing::{Body, Guard, Later, LinkKind, LinkedTicket, Related, Subject, TicketError, TicketKey};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{Shape, StatusName, TicketBody};
use super::{KIND, rendered};
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Rendered};
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_links, links).scope(Scope::TicketsRead),
        operation(__path_link, link).scope(Scope::TicketsWrite),
        operation(__path_unlink, unlink).scope(Scope::TicketsWrite),
        operation(__path_merge, merge).scope(Scope::TicketsWrite),
        operation(__path_unmerge, unmerge).scope(Scope::TicketsWrite),
        operation(__path_move_message, move_message).scope(Scope::TicketsWrite),
        operation(__path_split, split).scope(Scope::TicketsWrite),
    ]
}

/// What one ticket is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LinkKind)]
enum KindName {
    /// It has to do with it.
    Relates,
    /// It asks the same as it.
    Duplicates,
    /// It is asked again by it.
    DuplicatedBy,
    /// It is the parent of it.
    Parent,
    /// It is a child of it.
    Child,
    /// It must be resolved before it.
    Blocks,
    /// It cannot be resolved before it.
    BlockedBy,
}

impl From<KindName> for LinkKind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Relates => LinkKind::Relates,
            KindName::Duplicates => LinkKind::Duplicates,
            KindName::DuplicatedBy => LinkKind::DuplicatedBy,
            KindName::Parent => LinkKind::Parent,
            KindName::Child => LinkKind::Child,
            KindName::Blocks => LinkKind::Blocks,
            KindName::BlockedBy => LinkKind::BlockedBy,
        }
    }
}

impl From<LinkKind> for KindName {
    fn from(kind: LinkKind) -> Self {
        match kind {
            LinkKind::Relates => KindName::Relates,
            LinkKind::Duplicates => KindName::Duplicates,
            LinkKind::DuplicatedBy => KindName::DuplicatedBy,
            LinkKind::Parent => KindName::Parent,
            LinkKind::Child => KindName::Child,
            LinkKind::Blocks => KindName::Blocks,
            LinkKind::BlockedBy => KindName::BlockedBy,
        }
    }
}

/// A link as a ticket shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Link)]
struct LinkShownBody {
    /// What this ticket is to the other.
    kind: KindName,
    /// The other ticket.
    ticket_id: Uuid,
    /// Its number.
    #[schema(examples("TKT-00002"))]
    ticket_number: String,
    /// What it is about.
    subject: String,
    /// Where it stands.
    status: StatusName,
    /// Who linked them; null for an account that is gone.
    #[schema(required = true)]
    created_by_id: Option<Uuid>,
    /// When.
    created_at: Timestamp,
}

impl LinkShownBody {
    fn new((kind, linked): (LinkKind, LinkedTicket)) -> Self {
        let LinkedTicket { link, other } = linked;
        Self {
            kind: kind.into(),
            ticket_id: other.id.0,
            ticket_number: other.number.as_str().to_owned(),
            subject: other.subject.as_str().to_owned(),
            status: other.status().into(),
            created_by_id: link.by.map(|id| id.0),
            created_at: Timestamp(link.at),
        }
    }
}

/// List a ticket's links
///
/// To the tickets that you see, the oldest link first; at most 100. For staff.
#[utoipa::path(
    get,
    path = "/tickets/{id}/links",
    operation_id = "listTicketLinks",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number.")),
    responses((status = 200, description = "The links.", body = ListBody<LinkShownBody>))
)]
async fn links(
    app: Data<AppState>,
    caller: Caller,
    Path(key): Path<TicketKey>,
) -> Result<web::Json<ListBody<LinkShownBody>>, Problem> {
    let links = app.tickets.links(&caller.actor(), &key).await?;
    Ok(web::Json(ListBody {
        data: links.into_iter().map(LinkShownBody::new).collect(),
        page: PageInfo::whole(),
    }))
}

/// Which ticket, and what this one is to it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewLink)]
struct LinkBody {
    /// The other ticket.
    ticket_id: Uuid,
    /// What the ticket in the path is to it.
    kind: KindName,
}

/// Link a ticket to another
///
/// Says what the one in the path is to the other: it `blocks` the other, it is the `parent` of the other. A ticket that
/// another one blocks is not resolved or closed by staff before that one is. No circles; one parent; at most 100 links.
#[utoipa::path(
    post,
    path = "/tickets/{id}/links",
    operation_id = "linkTickets",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = LinkBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn link(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<LinkBody>,
) -> Result<HttpResponse, Problem> {
    let LinkBody { ticket_id, kind } = body;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets
                .link(&actor, &key, kind.into(), TicketId(ticket_id), guard)
                .await
        },
        rendered,
    )
    .await
}

/// Take a link away
#[utoipa::path(
    delete,
    path = "/tickets/{id}/links",
    operation_id = "unlinkTickets",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = LinkBody,
    responses((status = 200, description = "The ticket afterwards.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn unlink(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<LinkBody>,
) -> Result<HttpResponse, Problem> {
    let LinkBody { ticket_id, kind } = body;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets
                .unlink(&actor, &key, kind.into(), TicketId(ticket_id), guard)
                .await
        },
        rendered,
    )
    .await
}

/// Which ticket to take in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Merge)]
struct MergeBody {
    /// The ticket that goes into the one in the path.
    source_ticket_id: Uuid,
    /// A note for staff that goes along.
    #[schema(min_length = 1, max_length = 65536)]
    note: Option<String>,
}

/// Merge another ticket into one
///
/// Its messages and notes go over, its description becomes a message, its tags are added as far as there is room. It is
/// closed, and reading it leads to the one in the path. Both must have the same requester. It can be undone.
#[utoipa::path(
    post,
    path = "/tickets/{id}/merge",
    operation_id = "mergeTickets",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = MergeBody,
    responses((status = 200, description = "The ticket with both conversations.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn merge(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<MergeBody>,
) -> Result<HttpResponse, Problem> {
    let MergeBody {
        source_ticket_id,
        note,
    } = body;
    let note = note
        .map(|text| Body::parse("/note", &text))
        .transpose()
        .map_err(TicketError::from)?;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets
                .merge(&actor, &key, TicketId(source_ticket_id), note.as_ref(), guard)
                .await
        },
        rendered,
    )
    .await
}

/// Where what was written since the merge goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = LaterTo)]
enum LaterName {
    /// It stays in the ticket in the path.
    Target,
    /// It goes to the ticket that comes back.
    Source,
}

/// Which merge to undo.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Unmerge)]
struct UnmergeBody {
    /// The ticket that went into the one in the path.
    source_ticket_id: Uuid,
    /// Where messages and notes go that were written since; `target` when absent.
    later_to: Option<LaterName>,
}

/// Undo a merge
///
/// The other ticket is again what it was, with what it brought as far as that still lies here; this one is without it. What
/// else changed here since, stays.
#[utoipa::path(
    post,
    path = "/tickets/{id}/unmerge",
    operation_id = "unmergeTickets",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = UnmergeBody,
    responses((status = 200, description = "The ticket without the other.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn unmerge(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<UnmergeBody>,
) -> Result<HttpResponse, Problem> {
    let UnmergeBody {
        source_ticket_id,
        later_to,
    } = body;
    let later = match later_to {
        Some(LaterName::Source) => Later::Source,
        Some(LaterName::Target) | None => Later::Target,
    };
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets
                .unmerge(&actor, &key, TicketId(source_ticket_id), later, guard)
                .await
        },
        rendered,
    )
    .await
}

/// Which message goes where.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MoveMessage)]
struct MoveMessageBody {
    /// A message of the ticket in the path.
    message_id: Uuid,
    /// The ticket that it goes to; not a closed one.
    ticket_id: Uuid,
}

/// Move a message to another ticket
///
/// It stays what it is: its author, its time, whether it is internal. Whoever asked for the other ticket reads it, if it is
/// public.
#[utoipa::path(
    post,
    path = "/tickets/{id}/move-message",
    operation_id = "moveMessage",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = MoveMessageBody,
    responses((status = 200, description = "The ticket without the message.", body = TicketBody,
        headers(("ETag" = String, description = "The ticket's version."))))
)]
async fn move_message(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<MoveMessageBody>,
) -> Result<HttpResponse, Problem> {
    let MoveMessageBody {
        message_id,
        ticket_id,
    } = body;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets
                .move_message(&actor, &key, MessageId(message_id), TicketId(ticket_id), guard)
                .await
        },
        rendered,
    )
    .await
}

/// What to split off.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Split)]
struct SplitBody {
    /// Messages of the ticket in the path.
    #[schema(min_items = 1, max_items = 100)]
    message_ids: Vec<Uuid>,
    /// What the new ticket is about.
    #[schema(min_length = 1, max_length = 200, examples("The second printer"))]
    subject: String,
}

/// Split messages off into a new ticket
///
/// The new one has the same requester, assignee, team, priority, channel, tags and fields, is open, and is linked to the old
/// one. Answers the new one.
#[utoipa::path(
    post,
    path = "/tickets/{id}/split",
    operation_id = "splitTicket",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = SplitBody,
    responses((status = 201, description = "The new ticket.", body = TicketBody,
        headers(("ETag" = String, description = "The new ticket's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn split(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<SplitBody>,
) -> Result<HttpResponse, Problem> {
    let SplitBody { message_ids, subject } = body;
    let subject = Subject::parse("/subject", &subject).map_err(TicketError::from)?;
    let messages: Vec<MessageId> = message_ids.into_iter().map(MessageId).collect();
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.tickets.split(&actor, &key, &messages, &subject, guard).await
        },
        |written| {
            let location = format!("/api/v1/tickets/{}", written.view.ticket.id);
            let body = TicketBody::new(&written.view, &Related::default(), &Shape::default());
            Rendered::created(KIND, written.view.version(), location, &body)
        },
    )
    .await
}
