//! Keys for programs: made, listed and taken back by people, through sessions alone.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder};
use identity::service::{CreateApiKey, CreateApiKeyError, NewApiKey};
use identity::{ApiKey, ApiKeyId, Scope};
use kernel::{UserId, Violations};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, Query};
use crate::routes::{Operation, operation};
use crate::wire::{Timestamp, time};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).session(),
        operation(__path_create, create).session(),
        operation(__path_get, get).session(),
        operation(__path_revoke, revoke).session(),
    ]
}

/// A part of the API that a key can be made good for.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Scope)]
enum ScopeName {
    /// Reads tickets with their conversations.
    #[serde(rename = "tickets:read")]
    TicketsRead,
    /// Makes and changes tickets, and writes in them.
    #[serde(rename = "tickets:write")]
    TicketsWrite,
    /// Reads accounts.
    #[serde(rename = "users:read")]
    UsersRead,
    /// Makes and changes accounts.
    #[serde(rename = "users:write")]
    UsersWrite,
    /// Reads teams.
    #[serde(rename = "teams:read")]
    TeamsRead,
    /// Makes and changes teams and their members.
    #[serde(rename = "teams:write")]
    TeamsWrite,
    /// Reads the owner's notifications.
    #[serde(rename = "notifications:read")]
    NotificationsRead,
    /// Marks the owner's notifications.
    #[serde(rename = "notifications:write")]
    NotificationsWrite,
    /// Reads articles that are not public.
    #[serde(rename = "kb:read")]
    KbRead,
    /// Writes articles.
    #[serde(rename = "kb:write")]
    KbWrite,
    /// Reads the audit log.
    #[serde(rename = "audit:read")]
    AuditRead,
}

impl From<Scope> for ScopeName {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::TicketsRead => Self::TicketsRead,
            Scope::TicketsWrite => Self::TicketsWrite,
            Scope::UsersRead => Self::UsersRead,
            Scope::UsersWrite => Self::UsersWrite,
            Scope::TeamsRead => Self::TeamsRead,
            Scope::TeamsWrite => Self::TeamsWrite,
            Scope::NotificationsRead => Self::NotificationsRead,
            Scope::NotificationsWrite => Self::NotificationsWrite,
            Scope::KbRead => Self::KbRead,
            Scope::KbWrite => Self::KbWrite,
            Scope::AuditRead => Self::AuditRead,
        }
    }
}

/// A program's key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
struct ApiKeyBody {
    /// The key's id.
    id: Uuid,
    /// For whom its programs speak.
    owner_id: Uuid,
    /// What its owner calls it.
    #[schema(examples("Nightly report"))]
    name: String,
    /// Its first characters, for recognition.
    #[schema(examples("idk_x7Qa"))]
    prefix: String,
    /// What it is good for.
    scopes: Vec<ScopeName>,
    /// When it ends.
    expires_at: Timestamp,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last used, to the minute.
    #[schema(required = true)]
    last_used_at: Option<Timestamp>,
    /// From where it was used when that was last noted.
    #[schema(required = true, examples("203.0.113.7"))]
    last_used_ip: Option<String>,
    /// When it was taken back, if it was.
    #[schema(required = true)]
    revoked_at: Option<Timestamp>,
}

impl From<ApiKey> for ApiKeyBody {
    fn from(key: ApiKey) -> Self {
        let ApiKey {
            id: ApiKeyId(id),
            user_id: UserId(owner_id),
            name,
            prefix,
            key_sha256: _,
            scopes,
            expires_at,
            created_at,
            last_used_at,
            last_used_ip,
            revoked_at,
        } = key;
        Self {
            id,
            owner_id,
            name: name.as_str().to_owned(),
            prefix,
            scopes: scopes.as_slice().iter().copied().map(ScopeName::from).collect(),
            expires_at: Timestamp(expires_at),
            created_at: Timestamp(created_at),
            last_used_at: last_used_at.map(Timestamp),
            last_used_ip: last_used_ip.map(|ip| ip.to_string()),
            revoked_at: revoked_at.map(Timestamp),
        }
    }
}

/// A new key, with the key itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewApiKey)]
struct NewApiKeyBody {
    /// What is kept of it.
    #[serde(flatten)]
    kept: ApiKeyBody,
    /// The key, for the header `Authorization: Bearer …`. It is shown this once and kept nowhere.
    #[schema(
        pattern = "^idk_[A-Za-z0-9_-]+$",
        examples("idk_x7Qa2vW0mJt5bLr8cYpZ1nKdE3fGhS4uTiOo6A9B_-0")
    )]
    key: String,
}

impl From<NewApiKey> for NewApiKeyBody {
    fn from(new: NewApiKey) -> Self {
        let NewApiKey { key, secret } = new;
        Self {
            kept: key.into(),
            key: secret.expose().to_owned(),
        }
    }
}

/// Whose keys to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct ApiKeyListParams {
    /// The keys of this person (administrators); your own when absent.
    owner_id: Option<Uuid>,
}

/// List API keys
///
/// Your own, or as an administrator anyone's, newest first: ended ones, too, unless the account was taken over or
/// anonymised, which removes them. The keys themselves are kept nowhere.
#[utoipa::path(
    get,
    path = "/api-keys",
    operation_id = "listApiKeys",
    tag = "api-keys",
    params(ApiKeyListParams, PageParams),
    responses((status = 200, description = "A page of keys.", body = ListBody<ApiKeyBody>))
)]
async fn list(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<impl Responder, Problem> {
    let owner = query.id::<UserId>("ownerId").unwrap_or(caller.id());
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let found = app
        .api_keys
        .list(&caller.actor(), owner, page.after()?, page.limit)
        .await?;
    page.answer(found, None, ApiKeyBody::from)
}

/// A key to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ApiKeyCreation)]
struct CreateBody {
    /// What you call it.
    #[schema(min_length = 1, max_length = 100, examples("Nightly report"))]
    name: String,
    /// What it is good for.
    #[schema(value_type = Vec<ScopeName>, min_items = 1)]
    scopes: Vec<String>,
    /// When it ends: at least an hour and at most 366 days ahead; in 90 days when absent.
    #[schema(format = DateTime, examples("2026-06-30T00:00:00Z"))]
    expires_at: Option<String>,
    /// Your present password. Leave it out where the account has none; then the session must have begun in the last ten
    /// minutes.
    #[serde(default)]
    #[schema(format = Password, examples("seven purple lanterns"))]
    current_password: Option<String>,
}

impl TryFrom<CreateBody> for CreateApiKey {
    type Error = CreateApiKeyError;

    fn try_from(body: CreateBody) -> Result<Self, CreateApiKeyError> {
        let CreateBody {
            name,
            scopes,
            expires_at,
            current_password,
        } = body;
        let expires_at = expires_at.map(|text| time("/expiresAt", &text)).transpose();
        Ok(Self {
            name,
            scopes,
            expires_at: expires_at.map_err(Violations::from)?,
            current_password,
        })
    }
}

/// Make an API key
///
/// The key lets programs do what you may, narrowed by its scopes, until it ends or you revoke it. It is shown in this
/// answer and never again. For that reason this operation takes no `Idempotency-Key`: its answer is not stored. If the
/// answer is lost, revoke the key and make another.
#[utoipa::path(
    post,
    path = "/api-keys",
    operation_id = "createApiKey",
    tag = "api-keys",
    request_body = CreateBody,
    responses(
        (status = 201, description = "The new key.", body = NewApiKeyBody,
            headers(("Location" = String, description = "Where it is."))),
        (status = 409, description = "You have 50 live keys already.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn create(
    app: Data<AppState>,
    Command(call, body): Command<CreateBody>,
) -> Result<HttpResponse, Problem> {
    call.refuse_key("The answer holds the new key and is not stored.")?;
    let new = app.api_keys.create(&call.caller.0, body.try_into()?).await?;
    let location = format!("/api/v1/api-keys/{}", new.key.id);
    Rendered::of(StatusCode::CREATED, &NewApiKeyBody::from(new))
        .at(location)
        .into_response()
}

/// Show an API key
///
/// What is kept of it: not the key itself.
#[utoipa::path(
    get,
    path = "/api-keys/{id}",
    operation_id = "getApiKey",
    tag = "api-keys",
    params(("id" = Uuid, Path, description = "The key's id.")),
    responses((status = 200, description = "The key.", body = ApiKeyBody))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<ApiKeyId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key = app.api_keys.get(&caller.actor(), id).await?;
    Rendered::of(StatusCode::OK, &ApiKeyBody::from(key)).to_get(&request)
}

/// Revoke an API key
///
/// Your own, or as an administrator anyone's, for good. Nothing happens to one that is revoked already.
#[utoipa::path(
    delete,
    path = "/api-keys/{id}",
    operation_id = "revokeApiKey",
    tag = "api-keys",
    params(("id" = Uuid, Path, description = "The key's id.")),
    responses((status = 204, description = "The key opens nothing any more."))
)]
async fn revoke(
    app: Data<AppState>,
    Path(id): Path<ApiKeyId>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    call.run(
        async |_| app.api_keys.revoke(&actor, id).await,
        |()| Rendered::no_content(),
    )
    .await
}
