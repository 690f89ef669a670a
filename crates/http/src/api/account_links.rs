//! The caller's own account as far as it goes by mail: proving an address, changing it, getting a forgotten password
//! back, accepting an invitation. Also changing the password.
//!
//! Links carry the token and nothing else; the page behind them sends it here. What strangers ask for is answered with
//! one and the same [`AcceptedBody`], whether or not the address has an account.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use identity::service::{Acceptance, ChangeEmail, ChangePassword};
use kernel::Origin;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::auth::{self, Caller};
use crate::command::{Command, Rendered};
use crate::context::RequestContext;
use crate::even::evenly;
use crate::json::Json;
use crate::problem::{Fault, Place, Problem, ProblemBody};
use crate::routes::{Operation, operation};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_verify_email, verify_email).open(),
        operation(__path_resend_verification, resend_verification).open(),
        operation(__path_forgot_password, forgot_password).open(),
        operation(__path_reset_password, reset_password).open(),
        operation(__path_accept_invitation, accept_invitation).open(),
        operation(__path_change_password, change_password).own_account(),
        operation(__path_change_email, change_email).own_account(),
    ]
}

/// That a request was taken in; what comes of it is told by mail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Accepted)]
pub(crate) struct AcceptedBody {
    /// `accepted`, always.
    #[schema(examples("accepted"))]
    status: &'static str,
    /// The same in words.
    #[schema(examples("If the address can be used for this, a mail is on its way to it."))]
    detail: &'static str,
}

impl AcceptedBody {
    const THE_ONE: Self = Self {
        status: "accepted",
        detail: "If the address can be used for this, a mail is on its way to it.",
    };

    /// 202 with the one body that there is.
    pub(crate) fn rendered() -> Rendered {
        Rendered::of(StatusCode::ACCEPTED, &Self::THE_ONE)
    }

    /// The same as an answer.
    pub(crate) fn answer() -> Result<HttpResponse, Problem> {
        Self::rendered().into_response()
    }
}

/// Where the request comes from, once it passed the gate of what goes by mail.
async fn admitted(app: &AppState, request: &HttpRequest) -> Result<Arc<Origin>, Problem> {
    let origin = Arc::new(auth::origin(app, request));
    if let Some(address) = origin.client.ip() {
        let context = RequestContext::of(request);
        app.gates.mailed_links.pass_address(&context, address).await?;
    }
    Ok(origin)
}

/// The signed-in caller of an operation that strangers may call too.
async fn caller_if_any(request: &HttpRequest) -> Result<Option<Caller>, Problem> {
    if !request.headers().contains_key(header::AUTHORIZATION) {
        return Ok(None);
    }
    let token = auth::bearer(request)?;
    auth::authenticate(request, &token).await.map(Some)
}

/// A link's token.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MailedToken)]
struct TokenBody {
    /// What the link carries behind its `#`.
    #[schema(max_length = 200)]
    token: String,
}

/// Prove an address
///
/// By the token of the mail that went there: of the account's own address, or of a new one, which then becomes the
/// account's. An account that waited for it is active from then on. A new address ends the account's sessions, but for
/// the one through which this is called, if it is.
#[utoipa::path(
    post,
    path = "/auth/verify-email",
    operation_id = "verifyEmail",
    tag = "auth",
    request_body = TokenBody,
    responses(
        (status = 204, description = "The address is proved."),
        (status = 404, description = "There is no such token.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "The address went to another account meanwhile.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 410, description = "The token was used or has expired.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn verify_email(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<TokenBody>,
) -> Result<HttpResponse, Problem> {
    let origin = admitted(&app, &request).await?;
    // The link works also where the session has ended meanwhile.
    let caller = caller_if_any(&request).await.ok().flatten();
    let principal = caller.as_ref().map(|caller| &caller.0);
    app.accounts.verify_email(&body.token, principal, origin).await?;
    Rendered::no_content().into_response()
}

/// Whose address is to be proved.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ResendVerification)]
struct ResendBody {
    /// The account's address; needed unless you are signed in.
    #[serde(default)]
    #[schema(format = Email, max_length = 254, examples("ann@example.com"))]
    email: Option<String>,
}

/// Send the mail that proves an address again
///
/// Signed in, to your own address; else to the one given, if it has an account that waits for it. Three times an hour
/// at most; the answer does not tell.
#[utoipa::path(
    post,
    path = "/auth/resend-verification",
    operation_id = "resendVerification",
    tag = "auth",
    request_body = ResendBody,
    responses((status = 202, description = "The request is taken in.", body = AcceptedBody))
)]
async fn resend_verification(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<ResendBody>,
) -> Result<HttpResponse, Problem> {
    let origin = admitted(&app, &request).await?;
    match (caller_if_any(&request).await?, body.email) {
        (Some(caller), None) => app.accounts.resend_own_verification(&caller.0).await?,
        (_, Some(email)) => evenly(app.accounts.resend_verification(&email, origin)).await?,
        (None, None) => {
            let fault = Fault {
                place: Place::Body("/email".to_owned()),
                code: "required",
                message: "must be given unless you are signed in".to_owned(),
            };
            return Err(Problem::invalid_body(vec![fault]));
        }
    }
    AcceptedBody::answer()
}

/// Whose password is forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ForgotPassword)]
struct ForgotBody {
    /// The account's address.
    #[schema(format = Email, max_length = 254, examples("ann@example.com"))]
    email: String,
}

/// Ask for a link that sets a new password
///
/// It goes to the address, if that has an account that may be used, three times an hour at most; the answer does not
/// tell. The link is good for an hour and once.
#[utoipa::path(
    post,
    path = "/auth/forgot-password",
    operation_id = "forgotPassword",
    tag = "auth",
    request_body = ForgotBody,
    responses((status = 202, description = "The request is taken in.", body = AcceptedBody))
)]
async fn forgot_password(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<ForgotBody>,
) -> Result<HttpResponse, Problem> {
    let origin = admitted(&app, &request).await?;
    evenly(app.accounts.forgot_password(&body.email, origin)).await?;
    AcceptedBody::answer()
}

/// A new password, and the token that allows it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ResetPassword)]
struct ResetBody {
    /// What the link carries behind its `#`.
    #[schema(max_length = 200)]
    token: String,
    /// At least 8 characters, and none that everyone tries first.
    #[schema(format = Password, max_length = 128, examples("seven purple lanterns"))]
    password: String,
}

/// Set a new password
///
/// By the token of a mail, which also proves the address. Ends every session of the account. A second factor and API keys
/// stay, unless nobody had proved the address before: they may be of someone else who registered it.
#[utoipa::path(
    post,
    path = "/auth/reset-password",
    operation_id = "resetPassword",
    tag = "auth",
    request_body = ResetBody,
    responses(
        (status = 204, description = "The password is set."),
        (status = 404, description = "There is no such token.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 410, description = "The token was used or has expired.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn reset_password(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<ResetBody>,
) -> Result<HttpResponse, Problem> {
    let origin = admitted(&app, &request).await?;
    let ResetBody { token, password } = body;
    app.accounts.reset_password(&token, &password, origin).await?;
    Rendered::no_content().into_response()
}

/// What one who was invited gives to have their account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AcceptInvitation)]
struct AcceptBody {
    /// What the link carries behind its `#`.
    #[schema(max_length = 200)]
    token: String,
    /// At least 8 characters, and none that everyone tries first.
    #[schema(format = Password, max_length = 128, examples("seven purple lanterns"))]
    password: String,
    /// What you are called, if it is to be another than the invitation says.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, examples("Ann Lee"))]
    name: Option<String>,
}

impl From<AcceptBody> for Acceptance {
    fn from(body: AcceptBody) -> Self {
        let AcceptBody {
            token,
            password,
            name,
        } = body;
        Self {
            token,
            password,
            name,
        }
    }
}

/// Accept an invitation
///
/// Sets the account's first password; its address is proved thereby, and it is active.
#[utoipa::path(
    post,
    path = "/auth/accept-invitation",
    operation_id = "acceptInvitation",
    tag = "auth",
    request_body = AcceptBody,
    responses(
        (status = 204, description = "The account is ready."),
        (status = 404, description = "There is no such token.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 410, description = "The token was used or has expired.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn accept_invitation(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<AcceptBody>,
) -> Result<HttpResponse, Problem> {
    let origin = admitted(&app, &request).await?;
    app.accounts.accept_invitation(body.into(), origin).await?;
    Rendered::no_content().into_response()
}

/// A new password, and the present one.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ChangePassword)]
struct ChangePasswordBody {
    /// The present password. Leave it out where the account has none; then the session must have begun in the last ten
    /// minutes.
    #[serde(default)]
    #[schema(format = Password, examples("nine yellow kettles"))]
    current_password: Option<String>,
    /// At least 8 characters, and none that everyone tries first.
    #[schema(format = Password, max_length = 128, examples("seven purple lanterns"))]
    new_password: String,
}

/// Change your password
///
/// Ends all your other sessions, and every link that was mailed to you before.
#[utoipa::path(
    post,
    path = "/auth/change-password",
    operation_id = "changePassword",
    tag = "auth",
    request_body = ChangePasswordBody,
    responses(
        (status = 204, description = "The password is changed."),
        (status = 403, description = "The present password is not right.", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn change_password(
    app: Data<AppState>,
    Command(call, body): Command<ChangePasswordBody>,
) -> Result<HttpResponse, Problem> {
    let ChangePasswordBody {
        current_password,
        new_password,
    } = body;
    let change = ChangePassword {
        current: current_password,
        new: new_password,
    };
    app.accounts.change_password(&call.caller.0, change).await?;
    Rendered::no_content().into_response()
}

/// A new address, and the present password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ChangeEmail)]
struct ChangeEmailBody {
    /// The new address.
    #[schema(format = Email, max_length = 254, examples("ann@example.com"))]
    email: String,
    /// The present password. Leave it out where the account has none; then the session must have begun in the last ten
    /// minutes.
    #[serde(default)]
    #[schema(format = Password, examples("nine yellow kettles"))]
    current_password: Option<String>,
}

/// Change your address
///
/// A mail with a link goes to the new address, which becomes yours once you followed it; the one before is told. If
/// someone else has the address, they are told instead; the answer does not tell.
#[utoipa::path(
    post,
    path = "/auth/change-email",
    operation_id = "changeEmail",
    tag = "auth",
    request_body = ChangeEmailBody,
    responses(
        (status = 202, description = "The request is taken in.", body = AcceptedBody),
        (status = 403, description = "The present password is not right.", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn change_email(
    app: Data<AppState>,
    request: HttpRequest,
    Command(call, body): Command<ChangeEmailBody>,
) -> Result<HttpResponse, Problem> {
    let ChangeEmailBody {
        email,
        current_password,
    } = body;
    admitted(&app, &request).await?;
    let change = ChangeEmail {
        email,
        current: current_password,
    };
    evenly(app.accounts.change_email(&call.caller.0, change)).await?;
    AcceptedBody::answer()
}
