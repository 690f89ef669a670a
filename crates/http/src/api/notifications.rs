//! What the desk tells the caller.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, Responder};
use identity::Scope;
use kernel::UserId;
use notifications::{InboxQuery, Kind, Marked, Notification, NotificationId, Unread};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::path::{Path, PathKey, parse_uuid};
use crate::problem::Problem;
use crate::query::{ListBody, Query, TotalCount};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::NotificationsRead),
        operation(__path_read_all, read_all).scope(Scope::NotificationsWrite),
        operation(__path_read, read).scope(Scope::NotificationsWrite),
    ]
}

impl PathKey for NotificationId {
    const NOT_FOUND: &'static str = "notification.not_found";
    const NOT_FOUND_DETAIL: &'static str = "You have no such notification.";

    fn parse(segment: &str) -> Option<Self> {
        parse_uuid(segment).map(Self)
    }
}

/// What a notification tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NotificationType)]
enum KindName {
    /// A ticket is now yours to answer.
    Assigned,
    /// Someone else wrote in a ticket of yours.
    Replied,
    /// Someone wrote something for staff alone in a ticket of yours.
    InternalNote,
    /// Something for staff alone calls you.
    Mentioned,
    /// Something happened in a ticket that you follow.
    Followed,
    /// A ticket is now copied to you.
    Copied,
    /// The requester rated a ticket of yours.
    Rated,
    /// A ticket that is yours to answer is soon due.
    SlaWarning,
    /// A ticket that is yours to answer, or that you follow, is overdue.
    SlaBreached,
    /// A rule says something of a ticket.
    Rule,
    /// A rule says something that is of no ticket.
    RuleNews,
    /// A rule of yours was disabled, since it kept setting itself off.
    RuleDisabled,
    /// A webhook endpoint of yours was disabled, since it did not answer.
    WebhookDisabled,
}

impl From<Kind> for KindName {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Assigned => Self::Assigned,
            Kind::Replied => Self::Replied,
            Kind::InternalNote => Self::InternalNote,
            Kind::Mentioned => Self::Mentioned,
            Kind::Followed => Self::Followed,
            Kind::Copied => Self::Copied,
            Kind::Rated => Self::Rated,
            Kind::SlaWarning => Self::SlaWarning,
            Kind::SlaBreached => Self::SlaBreached,
            Kind::Rule => Self::Rule,
            Kind::RuleNews => Self::RuleNews,
            Kind::RuleDisabled => Self::RuleDisabled,
            Kind::WebhookDisabled => Self::WebhookDisabled,
        }
    }
}

/// Something that you are told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Notification)]
struct NotificationBody {
    /// The notification.
    id: Uuid,
    /// What it tells of.
    r#type: KindName,
    /// In a few words.
    #[schema(examples("TKT-00001 is yours"))]
    title: String,
    /// In a sentence.
    message: String,
    /// What programs need to lead there.
    #[schema(value_type = Object)]
    data: Value,
    /// When you read it, if you did.
    #[schema(required = true)]
    read_at: Option<Timestamp>,
    /// When that happened of which it tells.
    created_at: Timestamp,
}

impl From<Notification> for NotificationBody {
    fn from(notification: Notification) -> Self {
        let Notification {
            id: NotificationId(id),
            user: UserId(_),
            kind,
            title,
            message,
            data,
            read_at,
            created_at,
            dedupe_key: _,
        } = notification;
        Self {
            id,
            r#type: kind.into(),
            title,
            message,
            data,
            read_at: read_at.map(Timestamp),
            created_at: Timestamp(created_at),
        }
    }
}

/// Which notifications to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct NotificationListParams {
    /// Only those that you have not read.
    unread: Option<bool>,
    /// With `unread=true`: how many there are in all pages, counted to 100.
    count: Option<bool>,
}

/// List your notifications
///
/// Latest first.
#[utoipa::path(
    get,
    path = "/notifications",
    operation_id = "listNotifications",
    tag = "notifications",
    params(NotificationListParams, PageParams),
    responses((status = 200, description = "A page of notifications.", body = ListBody<NotificationBody>))
)]
async fn list(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<impl Responder, Problem> {
    let unread_only = query.flag("unread");
    let page = query.page(caller.id());
    if page.counted && !unread_only {
        query.refuse("count", "not_allowed", "goes with unread=true alone".to_owned());
    }
    query.finish()?;
    let actor = caller.actor();
    let wanted = InboxQuery {
        unread_only,
        after: page.after()?,
        limit: page.limit,
    };
    let found = app.inbox.list(&actor, wanted).await?;
    let total = if page.counted {
        let Unread(rows) = app.inbox.unread(&actor).await?;
        Some(TotalCount {
            rows,
            is_estimate: rows >= Unread::COUNT_MAX,
        })
    } else {
        None
    };
    page.answer(found, total, NotificationBody::from)
}

/// Mark a notification as read
#[utoipa::path(
    post,
    path = "/notifications/{id}/read",
    operation_id = "readNotification",
    tag = "notifications",
    params(("id" = Uuid, Path, description = "The notification.")),
    responses((status = 200, description = "The notification, read.", body = NotificationBody))
)]
async fn read(
    app: Data<AppState>,
    Path(id): Path<NotificationId>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let read = app.inbox.mark_read(&call.actor(), id).await?;
    Rendered::of(StatusCode::OK, &NotificationBody::from(read)).into_response()
}

/// How many notifications are read now that were not.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NotificationsRead)]
struct ReadAllBody {
    /// The number of notifications.
    marked: u64,
}

/// Mark all your notifications as read
///
/// Up to 20 000 at a time.
#[utoipa::path(
    post,
    path = "/notifications/read-all",
    operation_id = "readAllNotifications",
    tag = "notifications",
    responses((status = 200, description = "How many were marked.", body = ReadAllBody))
)]
async fn read_all(app: Data<AppState>, Command(call, Nothing {}): Command) -> Result<HttpResponse, Problem> {
    let Marked(marked) = app.inbox.mark_all_read(&call.actor()).await?;
    Rendered::of(StatusCode::OK, &ReadAllBody { marked }).into_response()
}
