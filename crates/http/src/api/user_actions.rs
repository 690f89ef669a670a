//! What administrators do to an account as a whole.

use actix_web::HttpResponse;
use actix_web::web::Data;
use identity::{Scope, UserStatus};
use kernel::UserId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::account_links::AcceptedBody;
use super::users::{KIND, UserBody};
use crate::app::AppState;
use crate::command::{Command, Nothing, Rendered};
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::{Problem, ProblemBody};
use crate::routes::{Operation, operation};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_suspend, suspend).scope(Scope::UsersWrite),
        operation(__path_activate, activate).scope(Scope::UsersWrite),
        operation(__path_invite, invite).scope(Scope::UsersWrite),
        operation(__path_send_password_reset, send_password_reset).scope(Scope::UsersWrite),
        operation(__path_anonymize, anonymize).session(),
    ]
}

/// Suspend an account
///
/// Its sessions end, and the links that were mailed to it with them. The last administrator stays.
#[utoipa::path(
    post,
    path = "/users/{id}/suspend",
    operation_id = "suspendUser",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), IfMatchHeader),
    responses(
        (status = 200, description = "The suspended account.", body = UserBody,
            headers(("ETag" = String, description = "The account's version."))),
        (status = 409, description = "It is your own, the last administrator's, or deleted.", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn suspend(
    app: Data<AppState>,
    Path(id): Path<UserId>,
    command: Command,
) -> Result<HttpResponse, Problem> {
    set_status(app, id, UserStatus::Suspended, command).await
}

/// Activate an account
///
/// That is suspended, or waits for its address to be proved.
#[utoipa::path(
    post,
    path = "/users/{id}/activate",
    operation_id = "activateUser",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), IfMatchHeader),
    responses(
        (status = 200, description = "The active account.", body = UserBody,
            headers(("ETag" = String, description = "The account's version."))),
        (status = 409, description = "It is deleted.", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn activate(
    app: Data<AppState>,
    Path(id): Path<UserId>,
    command: Command,
) -> Result<HttpResponse, Problem> {
    set_status(app, id, UserStatus::Active, command).await
}

async fn set_status(
    app: Data<AppState>,
    id: UserId,
    status: UserStatus,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.accounts
                .set_status(&actor, id, status, expected, receipt)
                .await
        },
        |profile| Rendered::resource(KIND, profile.version, &UserBody::from(profile.clone())),
    )
    .await
}

/// Send an invitation again
///
/// To the owner of an account that was made without a password and has none yet. The link is good for three days and
/// once, and the ones before it are no longer.
#[utoipa::path(
    post,
    path = "/users/{id}/invite",
    operation_id = "inviteUser",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), IfMatchHeader),
    responses(
        (status = 202, description = "A mail is on its way.", body = AcceptedBody),
        (status = 409, description = "The account does not wait for an invitation.", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn invite(
    app: Data<AppState>,
    Path(id): Path<UserId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| app.accounts.invite(&actor, id, expected, receipt).await,
        |_| AcceptedBody::rendered(),
    )
    .await
}

/// Send a link that sets a new password
///
/// To the account's owner. Nobody else sees it, and the present password stays until it is used.
#[utoipa::path(
    post,
    path = "/users/{id}/send-password-reset",
    operation_id = "sendPasswordReset",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), IfMatchHeader),
    responses(
        (status = 202, description = "A mail is on its way.", body = AcceptedBody),
        (status = 409, description = "The account is suspended or deleted.", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn send_password_reset(
    app: Data<AppState>,
    Path(id): Path<UserId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            app.accounts
                .send_password_reset(&actor, id, expected, receipt)
                .await
        },
        |_| AcceptedBody::rendered(),
    )
    .await
}

/// The administrator's own password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Anonymize)]
struct AnonymizeBody {
    /// Your present password. Leave it out where your account has none; then the session must have begun in the last
    /// ten minutes.
    #[serde(default)]
    #[schema(format = Password, examples("nine yellow kettles"))]
    current_password: Option<String>,
}

/// Remove someone's personal data
///
/// For good: name, address, picture, password and all that opens the account; it is deleted and cannot be restored. The
/// address is free again. Tickets and counts stay.
#[utoipa::path(
    post,
    path = "/users/{id}/anonymize",
    operation_id = "anonymizeUser",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), IfMatchHeader),
    request_body = AnonymizeBody,
    responses(
        (status = 204, description = "The data is removed."),
        (status = 403, description = "The present password is not right, or you may not.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "It is your own, that of an active administrator, or anonymised already.",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn anonymize(
    app: Data<AppState>,
    Path(id): Path<UserId>,
    Command(mut call, body): Command<AnonymizeBody>,
) -> Result<HttpResponse, Problem> {
    let (principal, expected) = (call.caller.0.clone(), call.expected(KIND));
    let password = body.current_password.as_deref();
    call.run(
        async |_| app.accounts.anonymize(&principal, id, password, expected).await,
        |()| Rendered::no_content(),
    )
    .await
}
