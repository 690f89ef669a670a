//! Accounts, as staff sees and administrators change them.

use std::borrow::Cow;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder};
use identity::Scope;
use identity::ports::Deleted;
use identity::service::{CreateUser, ListUsers, UpdateUser};
use identity::{Profile, UserStatus, UserView};
use kernel::{Patch, Role, UserId, Version};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, Ref, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, Query};
use crate::routes::{Operation, operation};
use crate::wire::{PersonBody, RoleName, Timestamp};

/// The kind that entity tags of accounts carry.
pub(crate) const KIND: &str = "user";

/// The most characters that are searched for.
const SEARCH_CHARS_MAX: usize = 200;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::UsersRead),
        operation(__path_create, create).scope(Scope::UsersWrite),
        operation(__path_get, get).scope(Scope::UsersRead),
        operation(__path_update, update).scope(Scope::UsersWrite),
        operation(__path_delete, delete).scope(Scope::UsersWrite),
        operation(__path_restore, restore).scope(Scope::UsersWrite),
    ]
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = UserStatus)]
pub(crate) enum StatusName {
    /// In use.
    Active,
    /// Shut out by an administrator.
    Suspended,
    /// Waits to be confirmed.
    Pending,
}

impl From<UserStatus> for StatusName {
    fn from(status: UserStatus) -> Self {
        match status {
            UserStatus::Active => Self::Active,
            UserStatus::Suspended => Self::Suspended,
            UserStatus::Pending => Self::Pending,
        }
    }
}

impl From<StatusName> for UserStatus {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Active => Self::Active,
            StatusName::Suspended => Self::Suspended,
            StatusName::Pending => Self::Pending,
        }
    }
}

/// An account: everything but secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(crate) struct UserBody {
    /// The account.
    id: Uuid,
    /// The address that it logs in with.
    #[schema(format = Email, examples("ann@example.com"))]
    email: String,
    /// What the person is called.
    #[schema(examples("Ann Lee"))]
    name: String,
    /// What it may do in general.
    role: RoleName,
    /// Whether it may be used.
    status: StatusName,
    /// The person's picture.
    #[schema(required = true)]
    avatar_url: Option<String>,
    /// When the address was proved to be the person's.
    #[schema(required = true)]
    email_verified_at: Option<Timestamp>,
    /// When the person last logged in.
    #[schema(required = true)]
    last_login_at: Option<Timestamp>,
    /// Whether a second factor is asked for.
    two_factor_enabled: bool,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// When it was deleted, if it is.
    #[schema(required = true)]
    deleted_at: Option<Timestamp>,
}

impl From<Profile> for UserBody {
    fn from(profile: Profile) -> Self {
        let Profile {
            id: UserId(id),
            email,
            name,
            role,
            status,
            avatar_url,
            email_verified_at,
            last_login_at,
            two_factor_enabled,
            created_at,
            updated_at,
            deleted_at,
            version: Version(_),
        } = profile;
        Self {
            id,
            email: email.as_str().to_owned(),
            name: name.as_str().to_owned(),
            role: role.into(),
            status: status.into(),
            avatar_url: avatar_url.map(|url| url.as_str().to_owned()),
            email_verified_at: email_verified_at.map(Timestamp),
            last_login_at: last_login_at.map(Timestamp),
            two_factor_enabled,
            created_at: Timestamp(created_at),
            updated_at: Timestamp(updated_at),
            deleted_at: deleted_at.map(Timestamp),
        }
    }
}

/// An account, as far as the caller may see it: its owner and administrators see all of it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum UserViewBody {
    /// Everything but secrets.
    Full(UserBody),
    /// As much as working together needs.
    Person(PersonBody),
}

// By hand, because the derive says `oneOf`, and what fits `User` fits `Person` too.
impl PartialSchema for UserViewBody {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new()
            .description(Some(
                "An account, as far as the caller may see it: its owner and administrators see all of it.",
            ))
            .item(Ref::from_schema_name(UserBody::name()))
            .item(Ref::from_schema_name(PersonBody::name()))
            .into()
    }
}

impl ToSchema for UserViewBody {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("UserView")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((UserBody::name().into_owned(), UserBody::schema()));
        schemas.push((PersonBody::name().into_owned(), PersonBody::schema()));
        UserBody::schemas(schemas);
        PersonBody::schemas(schemas);
    }
}

impl From<UserView> for UserViewBody {
    fn from(view: UserView) -> Self {
        match view {
            UserView::Full(profile) => Self::Full((*profile).into()),
            UserView::Card(card) => Self::Person(card.into()),
        }
    }
}

/// What a list of accounts is narrowed to.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct UserListParams {
    /// Only accounts of this role.
    role: Option<RoleName>,
    /// Only accounts of this status (administrators).
    status: Option<StatusName>,
    /// Only accounts whose name holds this text; for administrators also the address.
    #[param(max_length = 200, example = "ann")]
    search: Option<String>,
    /// Deleted accounts too (administrators).
    include_deleted: Option<bool>,
}

/// Which page of a list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
pub(crate) struct PageParams {
    /// How many rows; 25 when absent.
    #[param(minimum = 1, maximum = 100, example = 25)]
    limit: Option<u8>,
    /// `page.nextCursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$", max_length = 512)]
    cursor: Option<String>,
}

/// List accounts
///
/// Newest first. Staff sees names; administrators see everything but secrets.
#[utoipa::path(
    get,
    path = "/users",
    operation_id = "listUsers",
    tag = "users",
    params(UserListParams, PageParams),
    responses((status = 200, description = "A page of accounts.", body = ListBody<UserViewBody>))
)]
async fn list(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<impl Responder, Problem> {
    let role = query.choice("role", &Role::ALL, Role::as_str);
    let status = query.choice("status", &UserStatus::ALL, UserStatus::as_str);
    let search = query.text("search", SEARCH_CHARS_MAX);
    let deleted = deleted_too(&mut query);
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let list = ListUsers {
        role,
        status,
        search,
        deleted,
        after: page.after()?,
        limit: page.limit,
    };
    let found = app.accounts.list(&caller.actor(), list).await?;
    page.answer(found, None, UserViewBody::from)
}

fn deleted_too(query: &mut Query) -> Deleted {
    if query.flag("includeDeleted") {
        Deleted::Included
    } else {
        Deleted::Hidden
    }
}

/// What an administrator gives to make an account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewUser)]
struct CreateUserBody {
    /// The address to log in with.
    #[schema(format = Email, max_length = 254, examples("ann@example.com"))]
    email: String,
    /// What the person is called.
    #[schema(min_length = 1, max_length = 100, examples("Ann Lee"))]
    name: String,
    /// What the account may do.
    role: RoleName,
    /// The first password. Without one the account waits until its owner chose one, by a link that is mailed to them.
    #[schema(format = Password, max_length = 128, examples("seven purple lanterns"))]
    password: Option<String>,
}

impl CreateUserBody {
    /// Whether someone who knows the body could work with the account as staff, or at once: no program's key may hand on
    /// more than it has.
    fn gives_access(&self) -> bool {
        self.password.is_some() || !matches!(self.role, RoleName::User)
    }
}

impl From<CreateUserBody> for CreateUser {
    fn from(body: CreateUserBody) -> Self {
        let CreateUserBody {
            email,
            name,
            role,
            password,
        } = body;
        Self {
            email,
            name,
            role: role.into(),
            password,
        }
    }
}

/// Make an account
#[utoipa::path(
    post,
    path = "/users",
    operation_id = "createUser",
    tag = "users",
    request_body = CreateUserBody,
    responses((status = 201, description = "The new account.", body = UserBody,
        headers(("ETag" = String, description = "The account's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, body): Command<CreateUserBody>,
) -> Result<HttpResponse, Problem> {
    if body.gives_access() {
        call.caller.require_session()?;
    }
    let actor = call.actor();
    call.run(
        async |receipt| app.accounts.create_user(&actor, body.into(), receipt).await,
        |profile| {
            let location = format!("/api/v1/users/{}", profile.id);
            Rendered::created(KIND, profile.version, location, &UserBody::from(profile.clone()))
        },
    )
    .await
}

/// Which state of an account.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct UserGetParams {
    /// Also if it is deleted (administrators).
    include_deleted: Option<bool>,
}

/// Show an account
#[utoipa::path(
    get,
    path = "/users/{id}",
    operation_id = "getUser",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), UserGetParams),
    responses((status = 200, description = "The account, as far as you may see it.", body = UserViewBody,
        headers(("ETag" = String, description = "The account's version."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<UserId>,
    mut query: Query,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let deleted = deleted_too(&mut query);
    query.finish()?;
    let view = app.accounts.get(&caller.actor(), id, deleted).await?;
    let version = match &view {
        UserView::Full(profile) => Some(profile.version),
        UserView::Card(_) => None,
    };
    let body = UserViewBody::from(view);
    match version {
        Some(version) => Rendered::resource(KIND, version, &body).to_get(&request),
        None => Rendered::of(actix_web::http::StatusCode::OK, &body).to_get(&request),
    }
}

/// What to change of an account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = UserUpdate)]
struct UpdateUserBody {
    /// What the person is called.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 100, examples("Ann Lee"))]
    name: Patch<String>,
    /// The person's picture; null takes it away.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, format = "uri", max_length = 500)]
    avatar_url: Patch<String>,
    /// What the account may do (administrators).
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<RoleName>, nullable = false)]
    role: Patch<RoleName>,
    /// Whether the account may be used (administrators).
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<StatusName>, nullable = false)]
    status: Patch<StatusName>,
}

impl From<UpdateUserBody> for UpdateUser {
    fn from(body: UpdateUserBody) -> Self {
        let UpdateUserBody {
            name,
            avatar_url,
            role,
            status,
        } = body;
        Self {
            name,
            avatar_url,
            role: convert(role),
            status: convert(status),
        }
    }
}

fn convert<T: Into<U>, U>(patch: Patch<T>) -> Patch<U> {
    match patch {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(value) => Patch::Set(value.into()),
    }
}

/// Change an account
///
/// Its owner changes name and picture, an administrator all of it. Suspending an account ends its sessions.
#[utoipa::path(
    patch,
    path = "/users/{id}",
    operation_id = "updateUser",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), IfMatchHeader),
    request_body = UpdateUserBody,
    responses((status = 200, description = "The account after the change.", body = UserBody,
        headers(("ETag" = String, description = "The account's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<UserId>,
    Command(mut call, body): Command<UpdateUserBody>,
) -> Result<HttpResponse, Problem> {
    if !body.role.is_keep() {
        call.caller.require_session()?;
    }
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.accounts
                .update(&actor, id, body.into(), expected, receipt)
                .await
        },
        |profile| Rendered::resource(KIND, profile.version, &UserBody::from(profile.clone())),
    )
    .await
}

/// Delete an account
///
/// It can be restored. Its sessions end, and it leaves its teams.
#[utoipa::path(
    delete,
    path = "/users/{id}",
    operation_id = "deleteUser",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), IfMatchHeader),
    responses((status = 204, description = "The account is deleted."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<UserId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |_| app.accounts.delete(&actor, id, expected).await,
        |()| Rendered::no_content(),
    )
    .await
}

/// Restore a deleted account
#[utoipa::path(
    post,
    path = "/users/{id}/restore",
    operation_id = "restoreUser",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), IfMatchHeader),
    responses((status = 200, description = "The restored account.", body = UserBody,
        headers(("ETag" = String, description = "The account's version."))))
)]
async fn restore(
    app: Data<AppState>,
    Path(id): Path<UserId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| app.accounts.restore(&actor, id, expected, receipt).await,
        |profile| Rendered::resource(KIND, profile.version, &UserBody::from(profile.clone())),
    )
    .await
}
