//! Registration, login, sessions, and the caller's own account.
//!
//! What a stranger can call passes a [gate](crate::rate) first.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use identity::SignedIn;
use identity::service::{Credentials, LoginError, Registration, UpdateUser};
use kernel::Patch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account_links::AcceptedBody;
use super::users::{self, UserBody};
use crate::app::AppState;
use crate::auth::{self, Caller};
use crate::command::{Command, Nothing, Rendered};
use crate::context::RequestContext;
use crate::even::{evenly, evenly_refused};
use crate::json::{self, Json};
use crate::openapi::IfMatchHeader;
use crate::problem::Problem;
use crate::routes::{Operation, operation};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_register, register).open(),
        operation(__path_login, login).open(),
        operation(__path_refresh, refresh).open(),
        operation(__path_logout, logout).own_account(),
        operation(__path_logout_all, logout_all).own_account(),
        operation(__path_setup, setup).open(),
        operation(__path_me, me).own_account(),
        operation(__path_update_me, update_me).own_account(),
    ]
}

/// What a person gives to have an account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Registration)]
struct RegisterBody {
    /// The address to log in with.
    #[schema(format = Email, max_length = 254, examples("ann@example.com"))]
    email: String,
    /// What the person is called.
    #[schema(min_length = 1, max_length = 100, examples("Ann Lee"))]
    name: String,
    /// At least 8 characters, and none that everyone tries first.
    #[schema(format = Password, max_length = 128, examples("seven purple lanterns"))]
    password: String,
}

impl From<RegisterBody> for Registration {
    fn from(body: RegisterBody) -> Self {
        let RegisterBody {
            email,
            name,
            password,
        } = body;
        Self {
            email,
            name,
            password,
        }
    }
}

/// Make an account for yourself
///
/// The account is a customer's. A mail goes to the address, with a link that proves it; the desk may ask for that before
/// anything but the account itself is open. If the address has an account already, its owner is told by mail; the answer
/// does not tell.
#[utoipa::path(
    post,
    path = "/auth/register",
    operation_id = "register",
    tag = "auth",
    request_body = RegisterBody,
    responses((status = 202, description = "The request is taken in.", body = AcceptedBody))
)]
async fn register(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<RegisterBody>,
) -> Result<HttpResponse, Problem> {
    let origin = Arc::new(auth::origin(&app, &request));
    if let Some(address) = origin.client.ip() {
        app.gates
            .register
            .pass_address(&RequestContext::of(&request), address)
            .await?;
    }
    evenly(app.accounts.register(body.into(), origin)).await?;
    AcceptedBody::answer()
}

/// What a person logs in with.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Credentials)]
struct LoginBody {
    /// The account's address.
    #[schema(format = Email, examples("ann@example.com"))]
    email: String,
    /// Its password.
    #[schema(format = Password, examples("seven purple lanterns"))]
    password: String,
    /// The six digits of the authenticator app, or a recovery code, where the account has a second factor and it is to
    /// come along.
    #[serde(default)]
    #[schema(nullable = false, examples("492039"))]
    totp: Option<String>,
}

/// A pair of tokens, and whose they are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignedIn)]
pub(super) struct SignedInBody {
    /// For the header `Authorization: Bearer …`.
    access_token: String,
    /// To be exchanged for the next pair, once.
    refresh_token: String,
    /// `Bearer`.
    #[schema(examples("Bearer"))]
    token_type: &'static str,
    /// For how many seconds the access token is good.
    #[schema(examples(900))]
    expires_in: i64,
    /// The account.
    user: UserBody,
}

impl From<SignedIn> for SignedInBody {
    fn from(signed_in: SignedIn) -> Self {
        let SignedIn {
            access_token,
            access_expires_in,
            refresh_token,
            session_id: _,
            profile,
        } = signed_in;
        Self {
            access_token: access_token.expose().to_owned(),
            refresh_token: refresh_token.expose().to_owned(),
            token_type: "Bearer",
            expires_in: access_expires_in.num_seconds(),
            user: profile.into(),
        }
    }
}

/// What a refused login is told; one that waits for its code gets the challenge along.
pub(super) fn refused(error: LoginError) -> Problem {
    let challenge = match &error {
        LoginError::TwoFactorRequired {
            challenge,
            expires_in,
        } => Some((challenge.expose().to_owned(), expires_in.as_secs())),
        LoginError::InvalidCredentials
        | LoginError::TwoFactorInvalid
        | LoginError::ChallengeInvalid
        | LoginError::TooMany { .. }
        | LoginError::Port(_) => None,
    };
    let problem = Problem::from(error);
    match challenge {
        Some((challenge, expires_in)) => problem
            .with_member("challenge", challenge.into())
            .with_member("expiresIn", expires_in.into()),
        None => problem,
    }
}

/// Log in
///
/// Where the account has a second factor and no code comes along, the answer is 401 `auth.two_factor_required` with the
/// members `challenge` and `expiresIn` (seconds): finish with `POST /auth/2fa/verify`.
#[utoipa::path(
    post,
    path = "/auth/login",
    operation_id = "login",
    tag = "auth",
    request_body = LoginBody,
    responses(
        (status = 200, description = "A pair of tokens.", body = SignedInBody),
        (status = 401, description = "The address or the password is not right, or a code is asked for.",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn login(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<LoginBody>,
) -> Result<HttpResponse, Problem> {
    let LoginBody {
        email,
        password,
        totp,
    } = body;
    let context = RequestContext::of(&request);
    let origin = Arc::new(auth::origin(&app, &request));
    if let Some(address) = origin.client.ip() {
        app.gates.login_address.pass_address(&context, address).await?;
    }
    let credentials = Credentials {
        email,
        password,
        totp,
    };
    let signed_in = evenly_refused(app.sessions.login(credentials, origin))
        .await
        .map_err(refused)?;
    context.set_caller(signed_in.profile.id.0);
    Rendered::of(StatusCode::OK, &SignedInBody::from(signed_in)).into_response()
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Refresh)]
struct RefreshBody {
    /// The refresh token of the last pair.
    refresh_token: String,
}

/// Exchange a refresh token for the next pair
///
/// A token works once. Should the answer be lost, the same client may send it again within a short time.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    operation_id = "refresh",
    tag = "auth",
    request_body = RefreshBody,
    responses(
        (status = 200, description = "The next pair of tokens.", body = SignedInBody),
        (status = 401, description = "The token is unknown, used or expired.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn refresh(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<RefreshBody>,
) -> Result<HttpResponse, Problem> {
    let context = RequestContext::of(&request);
    let origin = Arc::new(auth::origin(&app, &request));
    if let Some(address) = origin.client.ip() {
        app.gates.refresh.pass_address(&context, address).await?;
    }
    let signed_in = app.sessions.refresh(&body.refresh_token, origin).await?;
    context.set_caller(signed_in.profile.id.0);
    Rendered::of(StatusCode::OK, &SignedInBody::from(signed_in)).into_response()
}

/// End this session
#[utoipa::path(
    post,
    path = "/auth/logout",
    operation_id = "logout",
    tag = "auth",
    responses((status = 204, description = "The session has ended."))
)]
async fn logout(app: Data<AppState>, Command(call, Nothing {}): Command) -> Result<HttpResponse, Problem> {
    app.sessions.logout(&call.caller.0).await?;
    Rendered::no_content().into_response()
}

/// End all your sessions
#[utoipa::path(
    post,
    path = "/auth/logout-all",
    operation_id = "logoutAll",
    tag = "auth",
    responses((status = 204, description = "All sessions have ended."))
)]
async fn logout_all(
    app: Data<AppState>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    app.sessions.logout_all(&call.caller.0).await?;
    Rendered::no_content().into_response()
}

/// What makes the first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Setup)]
struct SetupBody {
    /// The token that the server showed when it started.
    token: String,
    /// The address to log in with.
    #[schema(format = Email, max_length = 254, examples("admin@example.com"))]
    email: String,
    /// What the person is called.
    #[schema(min_length = 1, max_length = 100, examples("Ada Min"))]
    name: String,
    /// At least 8 characters, and none that everyone tries first.
    #[schema(format = Password, max_length = 128, examples("seven purple lanterns"))]
    password: String,
}

/// Make the first administrator
///
/// Only while the desk has none, with the token that the server shows whoever starts it.
#[utoipa::path(
    post,
    path = "/auth/setup",
    operation_id = "setup",
    tag = "auth",
    request_body = SetupBody,
    responses(
        (status = 201, description = "The first administrator.", body = UserBody,
            headers(("ETag" = String, description = "The account's version."))),
        (status = 401, description = "The token is not valid.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "The desk has an administrator.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "There is an account with this address.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn setup(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<SetupBody>,
) -> Result<HttpResponse, Problem> {
    let SetupBody {
        token,
        email,
        name,
        password,
    } = body;
    let origin = Arc::new(auth::origin(&app, &request));
    if let Some(address) = origin.client.ip() {
        app.gates
            .setup
            .pass_address(&RequestContext::of(&request), address)
            .await?;
    }
    let profile = app
        .accounts
        .complete_setup(
            &token,
            Registration {
                email,
                name,
                password,
            },
            origin,
        )
        .await?;
    Rendered::created(
        users::KIND,
        profile.version,
        "/api/v1/auth/me".to_owned(),
        &UserBody::from(profile),
    )
    .into_response()
}

/// Show your own account
#[utoipa::path(
    get,
    path = "/auth/me",
    operation_id = "getMe",
    tag = "auth",
    responses((status = 200, description = "The account.", body = UserBody,
        headers(("ETag" = String, description = "The account's version."))))
)]
async fn me(app: Data<AppState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let profile = app.accounts.me(&caller.0).await?;
    Rendered::resource(users::KIND, profile.version, &UserBody::from(profile)).to_get(&request)
}

/// What a person changes of their own account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MyUpdate)]
struct UpdateMeBody {
    /// What you are called.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 100, examples("Ann Lee"))]
    name: Patch<String>,
    /// Your picture; null takes it away.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, format = "uri", max_length = 500, examples("https://example.com/ann.png"))]
    avatar_url: Patch<String>,
}

/// Change your own account
#[utoipa::path(
    patch,
    path = "/auth/me",
    operation_id = "updateMe",
    tag = "auth",
    params(IfMatchHeader),
    request_body = UpdateMeBody,
    responses((status = 200, description = "The account after the change.", body = UserBody,
        headers(("ETag" = String, description = "The account's version."))))
)]
async fn update_me(
    app: Data<AppState>,
    Command(mut call, body): Command<UpdateMeBody>,
) -> Result<HttpResponse, Problem> {
    let UpdateMeBody { name, avatar_url } = body;
    let update = UpdateUser {
        name,
        avatar_url,
        role: Patch::Keep,
        status: Patch::Keep,
    };
    let (actor, id, expected) = (call.actor(), call.caller.id(), call.expected(users::KIND));
    call.run(
        async |receipt| app.accounts.update(&actor, id, update, expected, receipt).await,
        |profile| Rendered::resource(users::KIND, profile.version, &UserBody::from(profile.clone())),
    )
    .await
}
