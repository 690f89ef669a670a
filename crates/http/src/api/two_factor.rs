//! The second factor: finishing a login with it, setting it up, taking it away.
//!
//! Answers with secrets are given once: an `Idempotency-Key` is not looked at here, so that nothing of them is stored.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use identity::RecoveryCode;
use identity::service::{NewTwoFactor, TwoFactorStatus};
use kernel::UserId;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{SignedInBody, refused};
use crate::app::AppState;
use crate::auth::{self, Caller};
use crate::command::{Command, Nothing, Rendered};
use crate::context::RequestContext;
use crate::json::Json;
use crate::path::Path;
use crate::problem::Problem;
use crate::routes::{Operation, operation};
use crate::wire::percent_encoded;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_verify, verify).open(),
        operation(__path_status, status).own_account(),
        operation(__path_enroll, enroll).own_account(),
        operation(__path_confirm, confirm).own_account(),
        operation(__path_disable, disable).own_account(),
        operation(__path_replace_codes, replace_codes).own_account(),
        operation(__path_reset, reset).session(),
    ]
}

/// What finishes a login that was asked for a code.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TwoFactorVerification)]
struct VerifyBody {
    /// The challenge that the login gave.
    #[schema(examples("mJ2c0QxYB0m0k3oZ1mVnWkq8f2cJm5pVY4o0q2l1ZzE"))]
    challenge: String,
    /// The six digits of the app, or a recovery code.
    #[schema(examples("492039"))]
    code: String,
}

/// Finish a login with a code
///
/// For a login that answered `auth.two_factor_required`. A challenge is good for five minutes and five codes, and begins
/// one session; a code is good once.
#[utoipa::path(
    post,
    path = "/auth/2fa/verify",
    operation_id = "verifyTwoFactor",
    tag = "auth",
    request_body = VerifyBody,
    responses(
        (status = 200, description = "A pair of tokens.", body = SignedInBody),
        (status = 401, description = "The code is not right (`auth.two_factor_invalid`), or the challenge is over \
            (`auth.challenge_invalid`).", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn verify(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<VerifyBody>,
) -> Result<HttpResponse, Problem> {
    let VerifyBody { challenge, code } = body;
    let context = RequestContext::of(&request);
    let origin = Arc::new(auth::origin(&app, &request));
    if let Some(address) = origin.client.ip() {
        app.gates.verify_code.pass_address(&context, address).await?;
    }
    let signed_in = app.sessions.verify(&challenge, &code, origin).await;
    let signed_in = signed_in.map_err(refused)?;
    context.set_caller(signed_in.profile.id.0);
    Rendered::of(StatusCode::OK, &SignedInBody::from(signed_in)).into_response()
}

/// How the second factor stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TwoFactorStatus)]
struct StatusBody {
    /// Whether a code is asked for at login.
    enabled: bool,
    /// How many recovery codes are unused.
    #[schema(examples(10))]
    recovery_codes_left: u32,
    /// Whether the desk asks people in your role for a second factor.
    required: bool,
}

impl From<TwoFactorStatus> for StatusBody {
    fn from(status: TwoFactorStatus) -> Self {
        let TwoFactorStatus {
            enabled,
            recovery_codes_left,
            required,
        } = status;
        Self {
            enabled,
            recovery_codes_left,
            required,
        }
    }
}

/// Show how your second factor stands
#[utoipa::path(
    get,
    path = "/auth/2fa",
    operation_id = "getTwoFactor",
    tag = "auth",
    responses((status = 200, description = "How it stands.", body = StatusBody)),
    security(("bearer" = []))
)]
async fn status(app: Data<AppState>, caller: Caller) -> Result<HttpResponse, Problem> {
    let status = app.two_factor.status(&caller.0).await?;
    Rendered::of(StatusCode::OK, &StatusBody::from(status)).into_response()
}

/// What begins the setting up.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TwoFactorEnrolment)]
struct EnrollBody {
    /// Your present password. Leave it out where the account has none; then the session must have begun in the last ten
    /// minutes.
    #[serde(default)]
    #[schema(format = Password, examples("seven purple lanterns"))]
    current_password: Option<String>,
}

/// A secret for your authenticator app. It is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewTwoFactor)]
struct NewTwoFactorBody {
    /// The secret in base32, to be typed in.
    #[schema(examples("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))]
    secret: String,
    /// The same for apps, with your name for it.
    #[schema(examples(
        "otpauth://totp/InsightDesk:ann%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=InsightDesk"
    ))]
    otpauth_uri: String,
    /// The same as a picture to scan (SVG).
    qr_svg: String,
}

impl NewTwoFactorBody {
    /// `desk` is the name under which apps list the account.
    fn of(new: &NewTwoFactor, desk: &str) -> Result<Self, Problem> {
        let secret = new.secret.to_base32();
        let (issuer, account) = (percent_encoded(desk), percent_encoded(new.account.as_str()));
        let otpauth_uri = format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
        );
        let qr = QrCode::new(otpauth_uri.as_bytes()).map_err(Problem::internal)?;
        let qr_svg = qr.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
        Ok(Self {
            secret,
            otpauth_uri,
            qr_svg,
        })
    }
}

/// Begin to set up a second factor
///
/// Nothing is asked for until the first code was confirmed. Beginning again replaces the secret.
#[utoipa::path(
    post,
    path = "/auth/2fa/enroll",
    operation_id = "enrollTwoFactor",
    tag = "auth",
    request_body = EnrollBody,
    responses(
        (status = 200, description = "The secret.", body = NewTwoFactorBody),
        (status = 403, description = "The present password is not right (`auth.reauthentication_failed`).",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "A second factor is set up already.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn enroll(
    app: Data<AppState>,
    Command(call, body): Command<EnrollBody>,
) -> Result<HttpResponse, Problem> {
    let new = app
        .two_factor
        .enroll(&call.caller.0, body.current_password.as_deref())
        .await?;
    Rendered::of(
        StatusCode::OK,
        &NewTwoFactorBody::of(&new, &app.settings.desk_name)?,
    )
    .into_response()
}

/// The first code.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TwoFactorConfirmation)]
struct ConfirmBody {
    /// The six digits of the app.
    #[schema(examples("492039"))]
    code: String,
}

/// Codes for a day without the device, each good once. They are shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecoveryCodes)]
struct RecoveryCodesBody {
    /// Ten codes. Case, spaces and dashes do not matter.
    #[schema(examples(json!(["7h2k-90vd-x3mm-c1qe"])))]
    recovery_codes: Vec<String>,
}

impl RecoveryCodesBody {
    fn of(codes: &[RecoveryCode]) -> Self {
        Self {
            recovery_codes: codes.iter().map(RecoveryCode::grouped).collect(),
        }
    }
}

/// Enable the second factor by its first code
#[utoipa::path(
    post,
    path = "/auth/2fa/confirm",
    operation_id = "confirmTwoFactor",
    tag = "auth",
    request_body = ConfirmBody,
    responses(
        (status = 200, description = "It is enabled; the recovery codes.", body = RecoveryCodesBody),
        (status = 403, description = "The code is not right (`auth.code_invalid`).",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "There is nothing to confirm.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many codes were tried.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn confirm(
    app: Data<AppState>,
    Command(call, body): Command<ConfirmBody>,
) -> Result<HttpResponse, Problem> {
    let codes = app.two_factor.confirm(&call.caller.0, &body.code).await?;
    Rendered::of(StatusCode::OK, &RecoveryCodesBody::of(&codes)).into_response()
}

/// The present password and a code.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TwoFactorProof)]
struct ProofBody {
    /// Your present password. Leave it out where the account has none; then the session must have begun in the last ten
    /// minutes.
    #[serde(default)]
    #[schema(format = Password, examples("seven purple lanterns"))]
    current_password: Option<String>,
    /// The six digits of the app, or a recovery code.
    #[schema(examples("492039"))]
    code: String,
}

/// Disable your second factor
#[utoipa::path(
    post,
    path = "/auth/2fa/disable",
    operation_id = "disableTwoFactor",
    tag = "auth",
    request_body = ProofBody,
    responses(
        (status = 204, description = "No code is asked for any more."),
        (status = 403, description = "The present password (`auth.reauthentication_failed`) or the code \
            (`auth.code_invalid`) is not right.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "No second factor is set up.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many codes were tried.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn disable(
    app: Data<AppState>,
    Command(call, body): Command<ProofBody>,
) -> Result<HttpResponse, Problem> {
    let ProofBody {
        current_password,
        code,
    } = body;
    app.two_factor
        .disable(&call.caller.0, current_password.as_deref(), &code)
        .await?;
    Rendered::no_content().into_response()
}

/// Replace your recovery codes
///
/// The ones before are worthless then.
#[utoipa::path(
    post,
    path = "/auth/2fa/recovery-codes",
    operation_id = "replaceRecoveryCodes",
    tag = "auth",
    request_body = ProofBody,
    responses(
        (status = 200, description = "The new codes.", body = RecoveryCodesBody),
        (status = 403, description = "The present password (`auth.reauthentication_failed`) or the code \
            (`auth.code_invalid`) is not right.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "No second factor is set up.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many codes were tried.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn replace_codes(
    app: Data<AppState>,
    Command(call, body): Command<ProofBody>,
) -> Result<HttpResponse, Problem> {
    let ProofBody {
        current_password,
        code,
    } = body;
    let codes = app
        .two_factor
        .replace_codes(&call.caller.0, current_password.as_deref(), &code)
        .await?;
    Rendered::of(StatusCode::OK, &RecoveryCodesBody::of(&codes)).into_response()
}

/// Take another's second factor away
///
/// For one who has lost the device and the recovery codes. Ends all their sessions. Administrators only.
#[utoipa::path(
    post,
    path = "/users/{id}/reset-two-factor",
    operation_id = "resetTwoFactor",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account.")),
    responses((status = 204, description = "No code is asked for any more.")),
    security(("bearer" = []))
)]
async fn reset(
    app: Data<AppState>,
    Path(id): Path<UserId>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    call.run(
        async |receipt| app.two_factor.reset(&actor, id, receipt).await,
        |()| Rendered::no_content(),
    )
    .await
}
