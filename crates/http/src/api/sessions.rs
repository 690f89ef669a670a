//! Sessions: where a person is signed in, and ending that. No token is ever shown.

use actix_web::web::Data;
use actix_web::{HttpResponse, Responder};
use identity::ports::Deleted;
use identity::service::SessionInfo;
use identity::{SessionId, SignInMethod};
use kernel::UserId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::device::device;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, Query};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_mine, mine).own_account(),
        operation(__path_end, end).session(),
        operation(__path_of_user, of_user).session(),
        operation(__path_end_all, end_all).session(),
    ]
}

/// How a person proved who they are.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = SignInMethod)]
enum MethodName {
    /// By the password alone.
    #[serde(rename = "password")]
    Password,
    /// By the password and a code of the second factor.
    #[serde(rename = "password+totp")]
    PasswordAndCode,
    /// By the password and a recovery code.
    #[serde(rename = "password+recovery_code")]
    PasswordAndRecoveryCode,
    /// Through a single sign-on provider.
    #[serde(rename = "sso")]
    SignOn,
}

impl From<SignInMethod> for MethodName {
    fn from(method: SignInMethod) -> Self {
        match method {
            SignInMethod::Password => Self::Password,
            SignInMethod::PasswordAndCode => Self::PasswordAndCode,
            SignInMethod::PasswordAndRecoveryCode => Self::PasswordAndRecoveryCode,
            SignInMethod::SignOn => Self::SignOn,
        }
    }
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
struct SessionBody {
    /// The session.
    id: Uuid,
    /// The program in a few words, by what it says of itself.
    #[schema(examples("Firefox on Linux"))]
    device: String,
    /// What the program says of itself.
    #[schema(required = true)]
    user_agent: Option<String>,
    /// From where it was last refreshed.
    #[schema(required = true, examples("203.0.113.7"))]
    ip_address: Option<String>,
    /// How the person proved who they are.
    method: MethodName,
    /// When the person signed in.
    created_at: Timestamp,
    /// When it was last refreshed; signing in counts as the first time. Requests in between do not move it.
    last_used_at: Timestamp,
    /// When it ends unless it is refreshed before.
    expires_at: Timestamp,
    /// Whether it is the one that asks.
    current: bool,
}

impl SessionBody {
    fn of(session: SessionInfo, asking: Option<SessionId>) -> Self {
        let SessionInfo {
            id,
            method,
            client,
            created_at,
            last_used_at,
            expires_at,
        } = session;
        Self {
            id: id.0,
            device: device(client.user_agent()),
            user_agent: client.user_agent().map(str::to_owned),
            ip_address: client.ip().map(|ip| ip.to_string()),
            method: method.into(),
            created_at: Timestamp(created_at),
            last_used_at: Timestamp(last_used_at),
            expires_at: Timestamp(expires_at),
            current: asking == Some(id),
        }
    }
}

/// List your sessions
///
/// Those that are live, newest first.
#[utoipa::path(
    get,
    path = "/auth/sessions",
    operation_id = "listMySessions",
    tag = "auth",
    params(PageParams),
    responses((status = 200, description = "A page of sessions.", body = ListBody<SessionBody>))
)]
async fn mine(app: Data<AppState>, caller: Caller, query: Query) -> Result<impl Responder, Problem> {
    let owner = caller.id();
    list(&app, &caller, owner, query).await
}

/// List a person's sessions
///
/// Those that are live, newest first: your own, or as an administrator anyone's.
#[utoipa::path(
    get,
    path = "/users/{id}/sessions",
    operation_id = "listUserSessions",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), PageParams),
    responses((status = 200, description = "A page of sessions.", body = ListBody<SessionBody>))
)]
async fn of_user(
    app: Data<AppState>,
    caller: Caller,
    Path(owner): Path<UserId>,
    query: Query,
) -> Result<impl Responder, Problem> {
    let _ = app
        .accounts
        .get(&caller.actor(), owner, Deleted::Included)
        .await?;
    list(&app, &caller, owner, query).await
}

async fn list(
    app: &AppState,
    caller: &Caller,
    owner: UserId,
    mut query: Query,
) -> Result<impl Responder + use<>, Problem> {
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let found = app
        .sessions
        .list(&caller.actor(), owner, page.after()?, page.limit)
        .await?;
    let asking = caller.0.session();
    page.answer(found, None, |session| SessionBody::of(session, asking))
}

/// End a session
///
/// Your own, or as an administrator anyone's. Its access token is refused at once, within 3 seconds on other nodes.
#[utoipa::path(
    delete,
    path = "/auth/sessions/{id}",
    operation_id = "endSession",
    tag = "auth",
    params(("id" = Uuid, Path, description = "The session.")),
    responses((status = 204, description = "The session has ended."))
)]
async fn end(
    app: Data<AppState>,
    Path(id): Path<SessionId>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    call.run(
        async |_| app.sessions.revoke(&actor, id).await,
        |()| Rendered::no_content(),
    )
    .await
}

/// End all of a person's sessions
///
/// Your own, or as an administrator anyone's. API keys stay good.
#[utoipa::path(
    delete,
    path = "/users/{id}/sessions",
    operation_id = "endUserSessions",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account.")),
    responses((status = 204, description = "All sessions have ended."))
)]
async fn end_all(
    app: Data<AppState>,
    Path(owner): Path<UserId>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let _ = app.accounts.get(&actor, owner, Deleted::Included).await?;
    call.run(
        async |_| app.session_control.end_all(&actor, owner).await,
        |()| Rendered::no_content(),
    )
    .await
}
