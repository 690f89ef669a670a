//! A ticket's messages, notes and history.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder};
use identity::Scope;
use kernel::{MessageId, UserId};
use serde::Deserialize;
use ticketing::{AttachmentId, Body, Guard, Reply, TicketError, TicketKey, Visibility};
use utoipa::ToSchema;
use uuid::Uuid;

use super::KIND;
use super::body::{ActivityBody, MessageBody, NoteBody};
use crate::api::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Rendered};
use crate::openapi::IfMatchHeader;
use crate::path::{Path, Path2};
use crate::problem::Problem;
use crate::query::{ListBody, Query};
use crate::routes::{Operation, operation};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_messages, messages).scope(Scope::TicketsRead),
        operation(__path_reply, reply).scope(Scope::TicketsWrite),
        operation(__path_message, message).scope(Scope::TicketsRead),
        operation(__path_edit, edit).scope(Scope::TicketsWrite),
        operation(__path_notes, notes).scope(Scope::TicketsRead),
        operation(__path_add_note, add_note).scope(Scope::TicketsWrite),
        operation(__path_activity, activity).scope(Scope::TicketsRead),
    ]
}

/// List a ticket's messages
///
/// Those that you may read, oldest first.
#[utoipa::path(
    get,
    path = "/tickets/{id}/messages",
    operation_id = "listMessages",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), PageParams),
    responses((status = 200, description = "A page of messages.", body = ListBody<MessageBody>))
)]
async fn messages(
    app: Data<AppState>,
    caller: Caller,
    Path(key): Path<TicketKey>,
    mut query: Query,
) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let found = app
        .tickets
        .messages(&caller.actor(), &key, page.after()?, page.limit)
        .await?;
    page.answer(found, None, MessageBody::from)
}

/// A message to write.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewMessage)]
struct ReplyBody {
    /// The text, in Markdown; at most 64 KiB.
    #[schema(
        min_length = 1,
        max_length = 65536,
        examples("Have you tried to turn it **off and on** again?")
    )]
    message: String,
    /// For staff alone; only staff may say so.
    is_internal: Option<bool>,
    /// Your uploads to hang on it, at most 10: see `POST /attachments`. Each can be used once.
    #[serde(default)]
    #[schema(max_items = 10, examples(json!([])))]
    attachment_ids: Vec<Uuid>,
    /// Staff whom an internal message calls, at most 20; each must work on the ticket, is told, and follows it from then on.
    #[serde(default)]
    #[schema(max_items = 20, examples(json!([])))]
    mention_ids: Vec<Uuid>,
}

/// Write a message
///
/// A customer's reply and an agent's are the same call: the requester's own opens a pending or resolved ticket again,
/// the desk's first public one is its first response.
#[utoipa::path(
    post,
    path = "/tickets/{id}/messages",
    operation_id = "createMessage",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = ReplyBody,
    responses((status = 201, description = "The new message.", body = MessageBody,
        headers(("Location" = String, description = "Where it is."))))
)]
async fn reply(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<ReplyBody>,
) -> Result<HttpResponse, Problem> {
    let ReplyBody {
        message,
        is_internal,
        attachment_ids,
        mention_ids,
    } = body;
    let body = Body::parse("/message", &message).map_err(TicketError::from)?;
    let visibility = if is_internal == Some(true) {
        Visibility::Internal
    } else {
        Visibility::Public
    };
    let reply = Reply {
        body,
        visibility,
        attachments: attachment_ids.into_iter().map(AttachmentId).collect(),
        mentions: mention_ids.into_iter().map(UserId).collect(),
    };
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.tickets
                .reply(&actor, &key, &reply, Guard { expected, receipt })
                .await
        },
        |written| {
            let message = written.detail.clone();
            let location = format!("/api/v1/tickets/{}/messages/{}", message.ticket, message.id);
            Rendered::of(StatusCode::CREATED, &MessageBody::from(message)).at(location)
        },
    )
    .await
}

/// Show a message
#[utoipa::path(
    get,
    path = "/tickets/{id}/messages/{messageId}",
    operation_id = "getMessage",
    tag = "tickets",
    params(
        ("id" = String, Path, description = "The ticket's id or number."),
        ("messageId" = Uuid, Path, description = "The message."),
    ),
    responses((status = 200, description = "The message.", body = MessageBody))
)]
async fn message(
    app: Data<AppState>,
    caller: Caller,
    Path2(key, id): Path2<TicketKey, MessageId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let found = app.tickets.message(&caller.actor(), &key, id).await?;
    Rendered::of(StatusCode::OK, &MessageBody::from(found)).to_get(&request)
}

/// A message's new text.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MessageUpdate)]
struct EditBody {
    /// The text, in Markdown; at most 64 KiB.
    #[schema(min_length = 1, max_length = 65536)]
    message: String,
}

/// Edit your message
///
/// Within five minutes; the old text stays in the history, for staff.
#[utoipa::path(
    patch,
    path = "/tickets/{id}/messages/{messageId}",
    operation_id = "updateMessage",
    tag = "tickets",
    params(
        ("id" = String, Path, description = "The ticket's id or number."),
        ("messageId" = Uuid, Path, description = "The message."),
        IfMatchHeader,
    ),
    request_body = EditBody,
    responses((status = 200, description = "The message after the change.", body = MessageBody))
)]
async fn edit(
    app: Data<AppState>,
    Path2(key, id): Path2<TicketKey, MessageId>,
    Command(mut call, body): Command<EditBody>,
) -> Result<HttpResponse, Problem> {
    let EditBody { message } = body;
    let text = Body::parse("/message", &message).map_err(TicketError::from)?;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.tickets
                .edit_message(&actor, &key, id, &text, Guard { expected, receipt })
                .await
        },
        |written| Rendered::of(StatusCode::OK, &MessageBody::from(written.detail.clone())),
    )
    .await
}

/// List a ticket's notes
///
/// For staff, oldest first.
#[utoipa::path(
    get,
    path = "/tickets/{id}/notes",
    operation_id = "listNotes",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), PageParams),
    responses((status = 200, description = "A page of notes.", body = ListBody<NoteBody>))
)]
async fn notes(
    app: Data<AppState>,
    caller: Caller,
    Path(key): Path<TicketKey>,
    mut query: Query,
) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let found = app
        .tickets
        .notes(&caller.actor(), &key, page.after()?, page.limit)
        .await?;
    page.answer(found, None, NoteBody::from)
}

/// A note to add.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewNote)]
struct AddNoteBody {
    /// The text; at most 64 KiB.
    #[schema(
        min_length = 1,
        max_length = 65536,
        examples("Asked the vendor, they call back tomorrow.")
    )]
    message: String,
    /// Staff whom it calls, at most 20; each must work on the ticket, is told, and follows it from then on.
    #[serde(default)]
    #[schema(max_items = 20, examples(json!([])))]
    mention_ids: Vec<Uuid>,
}

/// Add a note
///
/// For staff; the requester never learns of it.
#[utoipa::path(
    post,
    path = "/tickets/{id}/notes",
    operation_id = "createNote",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), IfMatchHeader),
    request_body = AddNoteBody,
    responses((status = 201, description = "The new note.", body = NoteBody))
)]
async fn add_note(
    app: Data<AppState>,
    Path(key): Path<TicketKey>,
    Command(mut call, body): Command<AddNoteBody>,
) -> Result<HttpResponse, Problem> {
    let AddNoteBody { message, mention_ids } = body;
    let mentions: Vec<UserId> = mention_ids.into_iter().map(UserId).collect();
    let text = Body::parse("/message", &message).map_err(TicketError::from)?;
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.tickets
                .add_note(&actor, &key, &text, &mentions, Guard { expected, receipt })
                .await
        },
        |written| Rendered::of(StatusCode::CREATED, &NoteBody::from(written.detail.clone())),
    )
    .await
}

/// Show a ticket's history
///
/// Oldest first. The requester sees that it was made, answered, and where it stood, and no more.
#[utoipa::path(
    get,
    path = "/tickets/{id}/activity",
    operation_id = "listActivity",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number."), PageParams),
    responses((status = 200, description = "A page of the history.", body = ListBody<ActivityBody>))
)]
async fn activity(
    app: Data<AppState>,
    caller: Caller,
    Path(key): Path<TicketKey>,
    mut query: Query,
) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let (audience, found) = app
        .tickets
        .activities(&caller.actor(), &key, page.after()?, page.limit)
        .await?;
    let actors = found.items.iter().filter_map(|activity| activity.actor).collect();
    let people = app.tickets.people(actors).await?;
    page.answer(found, None, |activity| {
        ActivityBody::new(activity, audience, &people)
    })
}
