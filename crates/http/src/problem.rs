//! What a client is told when something fails: a problem document (RFC 9457), the same for our errors, for the
//! framework's and for panics.
//!
//! It promises that every answer from 400 on is `application/problem+json` with a stable `code`, and that no cause,
//! SQL, path or stack leaves the server: those are logged once, with the request id, where the document is made.
//!
//! Handlers only write `?`: any error that implements [`Classify`] turns into a [`Problem`], and [`status_of`] is the
//! one place that knows which kind has which status. To add a code, give it a title in [`CATALOGUE`]; a test there
//! and the page at `/problems/{code}` follow.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use kernel::failure::BoxError;
use kernel::{Classify, FailureKind, Version, Violation};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The media type of every problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// How long a client should wait before it asks a server again that could not answer.
const RETRY_AFTER_UNAVAILABLE_SECS: u32 = 2;

/// The one mapping from kinds of failure to statuses.
#[must_use]
pub fn status_of(kind: FailureKind) -> StatusCode {
    match kind {
        FailureKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        FailureKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        FailureKind::Forbidden => StatusCode::FORBIDDEN,
        FailureKind::NotFound => StatusCode::NOT_FOUND,
        FailureKind::Conflict => StatusCode::CONFLICT,
        FailureKind::Stale => StatusCode::PRECONDITION_FAILED,
        FailureKind::Gone => StatusCode::GONE,
        FailureKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        FailureKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A stable code with its usual status and its title.
#[derive(Debug, Clone, Copy)]
pub struct CatalogueEntry {
    /// The code that programs branch on.
    pub code: &'static str,
    /// The status that it comes with.
    pub status: u16,
    /// A few words for people; the same for every occurrence.
    pub title: &'static str,
}

/// A row of the catalogue.
const fn entry(code: &'static str, status: u16, title: &'static str) -> CatalogueEntry {
    CatalogueEntry { code, status, title }
}

/// Every code of the API: those that this crate gives out itself and those of the domains' errors.
pub const CATALOGUE: &[CatalogueEntry] = &[
    entry("request.bad_request", 400, "The request could not be read"),
    entry("request.malformed_json", 400, "The body is not valid JSON"),
    entry("request.invalid_parameter", 400, "A query parameter is wrong"),
    entry("request.invalid_header", 400, "A header is wrong"),
    entry("request.invalid_cursor", 400, "The cursor is not valid here"),
    entry("auth.required", 401, "Sign in first"),
    entry("resource.not_found", 404, "No such thing"),
    entry("request.unknown_path", 404, "No such path"),
    entry(
        "request.method_not_allowed",
        405,
        "The path does not have this method",
    ),
    entry(
        "request.method_unknown",
        501,
        "The server does not know this method",
    ),
    entry("request.timeout", 408, "The request came too slowly"),
    entry("request.in_progress", 409, "The same request is still running"),
    entry("request.too_large", 413, "The body is too large"),
    entry("request.range_not_satisfiable", 416, "The file has no such part"),
    entry("request.head_too_large", 431, "The request's head is too large"),
    entry(
        "request.unsupported_media_type",
        415,
        "The body has a type that is not understood",
    ),
    entry("request.invalid", 422, "The input breaks a rule"),
    entry(
        "request.idempotency_key_reused",
        422,
        "The idempotency key belongs to another request",
    ),
    entry("request.rate_limited", 429, "Too many requests"),
    entry("server.internal", 500, "The server met an error of its own"),
    entry("server.unavailable", 503, "The server cannot answer just now"),
    entry("server.draining", 503, "The server is about to stop"),
    entry("server.overloaded", 503, "The server has more to do than it can"),
    entry("server.deadline", 503, "The server did not finish in time"),
    entry("server.outcome_unknown", 504, "The server did not finish in time"),
    entry("access.forbidden", 403, "You may not do this"),
    entry("auth.challenge_invalid", 401, "The login has to begin anew"),
    entry("auth.code_invalid", 403, "The code is wrong"),
    entry("auth.email_unverified", 403, "The address must be verified first"),
    entry("auth.invalid_credentials", 401, "Address or password is wrong"),
    entry("auth.reauthentication_failed", 403, "Prove again that it is you"),
    entry("api_key.not_found", 404, "No such API key"),
    entry("api_key.too_many", 409, "No more API keys"),
    entry("attachment.busy", 429, "Too many files at once"),
    entry("attachment.infected", 422, "The file is infected"),
    entry("attachment.no_room", 507, "There is no room for the file"),
    entry("attachment.not_found", 404, "No such attachment"),
    entry("attachment.not_scanned", 503, "The file could not be scanned"),
    entry("attachment.too_many", 409, "Too many unused uploads"),
    entry("auth.key_invalid", 401, "The API key is not valid"),
    entry(
        "auth.return_to_not_allowed",
        422,
        "The address to return to is not allowed",
    ),
    entry("auth.scope_missing", 403, "The API key lacks a scope"),
    entry("auth.session_required", 403, "API keys are not accepted here"),
    entry("auth.session_revoked", 401, "The session has ended"),
    entry("auth.sign_on_declined", 403, "The provider did not sign you in"),
    entry(
        "auth.sign_on_email_unverified",
        403,
        "The provider does not vouch for the address",
    ),
    entry("auth.sign_on_expired", 401, "The sign-on is over"),
    entry(
        "auth.sign_on_failed",
        401,
        "The provider's answer cannot be trusted",
    ),
    entry("auth.sign_on_last_way_in", 409, "The account needs a way in"),
    entry(
        "auth.sign_on_not_linked",
        404,
        "The account is not linked with the provider",
    ),
    entry("auth.sign_on_refused", 403, "You cannot sign in here"),
    entry("auth.sign_on_unavailable", 503, "The provider cannot be reached"),
    entry("auth.sign_on_unknown", 404, "No such provider"),
    entry("auth.token_expired", 401, "The token has expired"),
    entry("auth.token_invalid", 401, "The token is not valid"),
    entry("auth.token_spent", 410, "The link was used or has expired"),
    entry("auth.token_unknown", 404, "There is no such link"),
    entry(
        "auth.two_factor_already_enabled",
        409,
        "A second factor is set up",
    ),
    entry("auth.two_factor_invalid", 401, "The code is wrong"),
    entry(
        "auth.two_factor_missing",
        403,
        "A second factor must be set up first",
    ),
    entry("auth.two_factor_not_enabled", 409, "No second factor is set up"),
    entry(
        "auth.two_factor_not_enrolled",
        409,
        "No second factor is being set up",
    ),
    entry("auth.two_factor_required", 401, "A code is asked for"),
    entry("draft.not_found", 404, "You have no draft"),
    entry("job.finished", 409, "The job is finished"),
    entry("job.not_found", 404, "No such job"),
    entry("job.not_undoable", 409, "The job cannot be undone"),
    entry("job.too_many", 409, "Too many unfinished jobs"),
    entry("job.undone", 409, "The job is undone already"),
    entry("job.unfinished", 409, "The job is not finished"),
    entry(
        "message.edit_window_over",
        409,
        "The message can no longer be edited",
    ),
    entry("message.not_found", 404, "No such message"),
    entry("notification.no_person", 403, "Only people have notifications"),
    entry("notification.not_found", 404, "No such notification"),
    entry("rating.not_found", 404, "There is nothing to rate"),
    entry("request.repeated", 409, "The request was carried out before"),
    entry("request.stale", 412, "It was changed in the meantime"),
    entry("server.busy", 503, "Too many changes at once"),
    entry("session.not_found", 404, "No such session"),
    entry("setup.closed", 404, "There is nothing to set up"),
    entry("setup.token_invalid", 401, "The set-up token is not valid"),
    entry("team.member_not_found", 404, "The team has no such member"),
    entry("team.has_tickets", 409, "Tickets lie with the team"),
    entry("team.name_taken", 409, "There is a team of this name"),
    entry("team.not_found", 404, "No such team"),
    entry("ticket.already_claimed", 409, "Someone else has the ticket"),
    entry(
        "ticket.too_many_cc",
        409,
        "The ticket is copied to too many people",
    ),
    entry(
        "ticket.too_many_followers",
        409,
        "The ticket has too many followers",
    ),
    entry("ticket.merged", 409, "The ticket was merged into another"),
    entry("ticket.not_merged", 409, "The ticket is not merged into this one"),
    entry(
        "ticket.requesters_differ",
        409,
        "The tickets have different requesters",
    ),
    entry("ticket.blocked", 409, "Another ticket must be resolved first"),
    entry("link.exists", 409, "The tickets are linked so already"),
    entry("link.not_found", 404, "No such link"),
    entry("link.cycle", 409, "The link would close a circle"),
    entry("link.second_parent", 409, "The child has a parent already"),
    entry("link.too_many", 409, "The ticket has too many links"),
    entry(
        "ticket.changed_since",
        409,
        "It was changed since and cannot be taken back",
    ),
    entry("ticket.closed", 409, "The ticket is closed"),
    entry("ticket.deleted", 409, "The ticket is deleted"),
    entry("ticket.not_deleted", 409, "The ticket is not deleted"),
    entry("ticket.not_found", 404, "No such ticket"),
    entry("ticket.not_resolved", 409, "The ticket is not resolved"),
    entry("ticket.rating_final", 409, "The rating can no longer be changed"),
    entry("macro.not_found", 404, "No such macro"),
    entry("macro.too_many", 409, "No more macros"),
    entry("webhook.delivery_not_found", 404, "No such delivery"),
    entry("webhook.disabled", 409, "The webhook endpoint is disabled"),
    entry("webhook.not_found", 404, "No such webhook endpoint"),
    entry("webhook.too_many", 409, "No more webhook endpoints"),
    entry("rule.faulty", 409, "The row is no rule"),
    entry("rule.not_found", 404, "No such rule"),
    entry("rule.too_many", 409, "No more rules"),
    entry("sla_policy.in_use", 409, "Tickets use the policy"),
    entry("sla_policy.is_default", 409, "The policy is the default"),
    entry("sla_policy.not_found", 404, "No such policy"),
    entry("sla_policy.too_many", 409, "No more policies"),
    entry(
        "ticket_field.name_taken",
        409,
        "There is a custom field of this name",
    ),
    entry("ticket_field.not_found", 404, "No such custom field"),
    entry("category.not_found", 404, "No such category"),
    entry("category.not_empty", 409, "Something lies in the category"),
    entry("category.too_many", 409, "As many categories as there can be"),
    entry("article.not_found", 404, "No such article"),
    entry("article.version_not_found", 404, "No such version"),
    entry(
        "article.transition_not_allowed",
        409,
        "The article cannot go there from where it stands",
    ),
    entry("slug.taken", 409, "The slug is taken"),
    entry("ticket_field.too_many", 409, "No more custom fields"),
    entry(
        "ticket.transition_not_allowed",
        409,
        "The ticket's status does not allow it",
    ),
    entry("user.acting_admin", 409, "The account is an administrator's"),
    entry("user.anonymized", 409, "The account's data was removed for good"),
    entry("user.deleted", 409, "The account is deleted"),
    entry("user.email_taken", 409, "There is an account with this address"),
    entry("user.last_admin", 409, "The desk needs an administrator"),
    entry("user.not_deleted", 409, "The account is not deleted"),
    entry("user.not_found", 404, "No such user"),
    entry("user.own_account", 409, "Nobody shuts themselves out"),
    entry(
        "user.not_invited",
        409,
        "The account does not wait for an invitation",
    ),
    entry("user.suspended", 409, "The account is suspended"),
    entry("view.not_found", 404, "No such view"),
    entry("view.too_many", 409, "No more views"),
];

/// The title of a code, or else of its status.
fn title_of(code: &str, status: StatusCode) -> &'static str {
    if let Some(entry) = CATALOGUE.iter().find(|entry| entry.code == code) {
        return entry.title;
    }
    match status.as_u16() {
        400 => "The request could not be read",
        401 => "Sign in first",
        403 => "Not allowed",
        404 => "No such thing",
        405 => "The path does not have this method",
        408 => "The request came too slowly",
        409 => "The present state does not allow it",
        410 => "It is no longer there",
        412 => "It was changed in the meantime",
        413 => "The body is too large",
        415 => "The body has a type that is not understood",
        422 => "The input breaks a rule",
        429 => "Too many requests",
        503 => "The server cannot answer just now",
        500..=599 => "The server met an error of its own",
        _ => "The request failed",
    }
}

/// Where in the request a fault lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the body, by JSON pointer.
    Body(String),
    /// In a query parameter.
    Parameter(String),
    /// In a query parameter that holds JSON: its name, and the pointer into it.
    Within(&'static str, String),
    /// In a header.
    Header(&'static str),
}

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it lies.
    pub place: Place,
    /// A stable name of the broken rule.
    pub code: &'static str,
    /// The rule in words.
    pub message: String,
}

impl From<&Violation> for Fault {
    fn from(violation: &Violation) -> Self {
        let Violation {
            pointer,
            code,
            message,
        } = violation;
        Self {
            place: Place::Body(pointer.clone()),
            code,
            message: message.clone(),
        }
    }
}

/// What a request failed with. One pointer wide, so that results stay small.
pub struct Problem(Box<Inner>);

/// The content of a [`Problem`].
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: String,
    faults: Vec<Fault>,
    headers: Vec<(HeaderName, HeaderValue)>,
    current: Option<Version>,
    cause: Option<BoxError>,
    closes: bool,
    members: serde_json::Map<String, Value>,
}

impl Problem {
    /// A problem of its own status, code and sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let mut problem = Self(Box::new(Inner {
            status,
            code,
            detail: detail.into(),
            faults: Vec::new(),
            headers: Vec::new(),
            current: None,
            cause: None,
            closes: false,
            members: serde_json::Map::new(),
        }));
        match status {
            StatusCode::UNAUTHORIZED => {
                problem.push_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => problem.push_retry_after(RETRY_AFTER_UNAVAILABLE_SECS),
            StatusCode::TOO_MANY_REQUESTS => problem.push_retry_after(1),
            _ => {}
        }
        problem
    }

    /// 400: the request itself cannot be read.
    pub fn unreadable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 400 `request.invalid_parameter`, with every fault of the query.
    #[must_use]
    pub fn invalid_parameters(faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [
                Fault {
                    place: Place::Parameter(name),
                    message,
                    ..
                },
            ] => format!("The parameter {name} {message}."),
            [
                Fault {
                    place: Place::Within(name, pointer),
                    message,
                    ..
                },
            ] if !pointer.is_empty() => format!("The parameter {name} at {pointer} {message}."),
            _ => "Some query parameters are wrong; errors lists them.".to_owned(),
        };
        Self::unreadable("request.invalid_parameter", detail).with_faults(faults)
    }

    /// 422 `request.invalid`, for a body whose shape is wrong.
    #[must_use]
    pub fn invalid_body(faults: Vec<Fault>) -> Self {
        let detail = "The body does not have the shape that this operation takes; errors says where.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid", detail).with_faults(faults)
    }

    /// 404 for something that does not exist, or that the caller may not know of.
    #[must_use]
    pub fn not_found(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 401 for a request that needs a signed-in caller.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "auth.required",
            "This needs a valid access token or API key (Authorization: Bearer …).",
        )
    }

    /// 500 with an operator's text, which only the log sees.
    #[must_use]
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server.internal",
            "The server met an error of its own. The request id helps its operator to find it.",
        );
        problem.0.cause = Some(cause.into());
        problem
    }

    /// The problem of a status that the framework gave without saying more.
    #[must_use]
    pub fn from_status(status: StatusCode) -> Self {
        let (code, detail) = match status.as_u16() {
            401 => return Self::unauthenticated(),
            404 => ("request.unknown_path", "There is nothing at this path."),
            405 => (
                "request.method_not_allowed",
                "This path does not have this method.",
            ),
            408 => ("request.timeout", "The request took too long to arrive."),
            413 => ("request.too_large", "The body is too large."),
            415 => (
                "request.unsupported_media_type",
                "The body has a type that this operation does not take.",
            ),
            431 => ("request.head_too_large", "The request's head is too large."),
            429 => ("request.rate_limited", "Too many requests; wait a little."),
            501 => ("request.method_unknown", "The server does not know this method."),
            503 => (
                "server.unavailable",
                "The server cannot answer just now; try again shortly.",
            ),
            400..=499 => ("request.bad_request", "The request could not be read."),
            _ => return Self::internal(format!("the framework answered {status}")),
        };
        Self::new(status, code, detail)
    }

    /// The same with the faults that the client is to mend.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.0.faults = faults;
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.push_header(name, value);
        self
    }

    /// The same with a member of its own (RFC 9457, 3.2). It must not have the name of one that every document has.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: Value) -> Self {
        self.0.members.insert(name.to_owned(), value);
        self
    }

    /// The same with `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, secs: u32) -> Self {
        self.push_retry_after(secs);
        self
    }

    /// The same with what the operator should read in the log.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<BoxError>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The same, ending the connection: for a request whose body will not be read.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The faults.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// For a failed precondition, the version that the resource has now.
    #[must_use]
    pub fn current_version(&self) -> Option<Version> {
        self.0.current
    }

    /// Whether the connection ends with this answer.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.0.closes
    }

    fn push_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.headers.retain(|(present, _)| *present != name);
        self.0.headers.push((name, value));
    }

    fn push_retry_after(&mut self, secs: u32) {
        self.push_header(header::RETRY_AFTER, HeaderValue::from(secs));
    }

    /// The document, and the headers that go with it. `instance` is the path of the request.
    pub(crate) fn to_response(&self, request_id: Option<&str>, instance: Option<&str>) -> HttpResponse {
        let inner = &self.0;
        let body = ProblemBody {
            r#type: format!("/problems/{}", inner.code),
            title: title_of(inner.code, inner.status).to_owned(),
            status: inner.status.as_u16(),
            detail: inner.detail.clone(),
            instance: instance.map(str::to_owned),
            code: inner.code.to_owned(),
            request_id: request_id.map(str::to_owned),
            errors: inner.faults.iter().map(FaultBody::from).collect(),
            members: inner.members.clone(),
        };
        let mut response = HttpResponse::build(inner.status);
        response.content_type(PROBLEM_JSON);
        for (name, value) in &inner.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        if inner.closes {
            response.force_close();
        }
        response.body(serde_json::to_string(&body).unwrap_or_default())
    }

    /// Writes what the operator needs: the chain of causes, once. What the client did wrong is no news.
    pub(crate) fn log(&self) {
        let inner = &self.0;
        let Some(cause) = &inner.cause else { return };
        let chain = Chain(cause.as_ref());
        if inner.status.is_server_error() {
            tracing::error!(code = inner.code, cause = %chain, "request failed");
        } else {
            tracing::debug!(code = inner.code, cause = %chain, "request refused");
        }
    }
}

/// An error with all that led to it, on one line.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

impl<E> From<E> for Problem
where
    E: Classify + Send + Sync + 'static,
{
    fn from(error: E) -> Self {
        let faults = error.violations().iter().map(Fault::from).collect();
        let mut problem =
            Self::new(status_of(error.kind()), error.code(), error.detail()).with_faults(faults);
        problem.0.current = error.current_version();
        if let Some(wait) = error.retry_after() {
            let secs = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
            problem.push_retry_after(secs);
        }
        problem.0.cause = Some(Box::new(error));
        problem
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("status", &self.0.status.as_u16())
            .field("code", &self.0.code)
            .field("detail", &self.0.detail)
            .field("faults", &self.0.faults)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.0.code)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        self.to_response(None, None)
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Names the sort of problem; a page at this address, relative to the server, explains it.
    #[schema(format = "uri-reference", examples("/problems/request.invalid"))]
    r#type: String,
    /// The sort of problem in a few words.
    #[schema(examples("The input breaks a rule"))]
    title: String,
    /// The HTTP status.
    #[schema(examples(422))]
    status: u16,
    /// This occurrence in a sentence.
    detail: String,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uri-reference", examples("/api/v1/users"))]
    instance: Option<String>,
    /// A stable code that programs may branch on.
    #[schema(examples("request.invalid"))]
    code: String,
    /// Names the request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Everything that is to be mended in the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FaultBody>,
    /// What some codes have more.
    #[serde(flatten)]
    #[schema(ignore)]
    members: serde_json::Map<String, Value>,
}

/// One fault of a request, and where it lies: in the body, in a query parameter or in a header.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fault)]
struct FaultBody {
    /// JSON pointer (RFC 6901) into the body, or into the query parameter if that is named too; empty for the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("/email"))]
    pointer: Option<String>,
    /// The query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// The header.
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    /// A stable name of the broken rule.
    #[schema(examples("too_long"))]
    code: String,
    /// The rule in words.
    #[schema(examples("must have at most 255 characters, has 300"))]
    message: String,
}

impl From<&Fault> for FaultBody {
    fn from(fault: &Fault) -> Self {
        let Fault { place, code, message } = fault;
        let (pointer, parameter, header) = match place {
            Place::Body(pointer) => (Some(pointer.clone()), None, None),
            Place::Parameter(name) => (None, Some(name.clone()), None),
            Place::Within(name, pointer) => (Some(pointer.clone()), Some((*name).to_owned()), None),
            Place::Header(name) => (None, None, Some((*name).to_owned())),
        };
        Self {
            pointer,
            parameter,
            header,
            code: (*code).to_owned(),
            message: message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use kernel::failure::PortError;

    use super::*;

    #[test]
    fn the_catalogue_names_each_code_once_with_a_status_that_fails() {
        for (index, entry) in CATALOGUE.iter().enumerate() {
            assert!(
                CATALOGUE[..index].iter().all(|other| other.code != entry.code),
                "{} twice",
                entry.code
            );
            assert!((400..600).contains(&entry.status), "{}", entry.code);
            assert!(entry.code.contains('.'), "{}", entry.code);
            assert!(!entry.title.ends_with('.'), "{}", entry.code);
        }
    }

    /// Codes as the domains' errors write them: `=> "ticket.closed"`.
    fn codes_in(source: &str) -> Vec<&str> {
        let literals = source
            .split("=> \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        literals
            .filter(|code| {
                code.split_once('.')
                    .is_some_and(|(a, b)| is_word(a) && is_word(b))
            })
            .collect()
    }

    #[test]
    fn every_code_of_the_domains_stands_in_the_catalogue() {
        let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = 0;
        for domain in ["kernel", "identity", "ticketing", "notifications"] {
            let mut folders = vec![crates.join(domain).join("src")];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    let source = std::fs::read_to_string(&path).unwrap();
                    for code in codes_in(&source) {
                        found += 1;
                        assert!(
                            CATALOGUE.iter().any(|entry| entry.code == code),
                            "{code} of {}",
                            path.display()
                        );
                    }
                }
            }
        }
        assert!(found > 40, "{found}");
    }

    #[actix_web::test]
    async fn the_cause_of_a_failure_never_reaches_the_client() {
        let cause = std::io::Error::other("password=hunter2 at db.internal:5432");
        let problem = Problem::from(PortError::Unavailable {
            port: "users",
            source: Box::new(cause),
        });
        let response = problem.to_response(Some("r-1"), Some("/api/v1/users"));
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(
            response.headers().get(header::CONTENT_TYPE).unwrap(),
            PROBLEM_JSON
        );
        let body = to_bytes(response.into_body()).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("5432"), "{text}");
        let document: Value = serde_json::from_str(text).unwrap();
        assert_eq!(document["code"], "server.unavailable");
        assert_eq!(document["type"], "/problems/server.unavailable");
        assert_eq!(document["requestId"], "r-1");
        assert_eq!(document["instance"], "/api/v1/users");
        assert_eq!(document["status"], 503);
    }

    #[test]
    fn a_401_says_how_to_sign_in() {
        let response = Problem::unauthenticated().to_response(None, None);
        assert_eq!(
            response.headers().get(header::WWW_AUTHENTICATE).unwrap(),
            "Bearer"
        );
    }
}
