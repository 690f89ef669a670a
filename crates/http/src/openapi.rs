//! The OpenAPI 3.1 document, made from the table of operations, and the reference that shows it to people.
//!
//! A handler documents what is its own: summary, parameters, body, and its good answers. What holds for every
//! operation of the same shape is added here once, by [`complete`]: the problems that can really occur, the
//! request id, entity tags, and the header for idempotency keys. An operation that honours `If-Match` says so with
//! `params(IfMatchHeader)`.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, guard};
use identity::Requirement;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{HttpMethod, Operation as Document, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, Paths, RefOr, Required,
    ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::Config;

use crate::app::AppState;
use crate::etag;
use crate::headers::DOCS_BASE;
use crate::problem::{PROBLEM_JSON, Problem, ProblemBody};
use crate::routes::{API_BASE, Operation, RouteTable, method_not_allowed};

/// The name of the security scheme of a person's session.
pub const SESSION: &str = "session";
/// The name of the security scheme of a program's key.
pub const API_KEY: &str = "apiKey";

/// The files of the reference are the same for everyone; their names stay while a new version changes what is
/// in them.
const DOCS_CACHE: &str = "public, max-age=3600";

/// What each tag holds, in the order in which the reference shows them.
const TAGS: &[(&str, &str)] = &[
    ("auth", "Registration, login and sessions."),
    (
        "api-keys",
        "Keys with which programs speak for a person, narrowed by scopes.",
    ),
    ("users", "Accounts."),
    ("teams", "Teams and their members."),
    ("settings", "What administrators set for the whole desk."),
    ("tickets", "Tickets and their conversations."),
    (
        "jobs",
        "Many tickets changed by one request, with a result for each.",
    ),
    (
        "ticket-fields",
        "The custom fields of tickets, as administrators define them.",
    ),
    (
        "sla-policies",
        "What the desk promises, to which tickets, and what it would come to.",
    ),
    (
        "automation",
        "Rules that change tickets by themselves: what sets them off, what they did and why, and what they would do.",
    ),
    (
        "macros",
        "What staff apply to tickets by hand: the actions of rules, kept for oneself, a team or all.",
    ),
    (
        "knowledge-base",
        "Articles for customers and staff: written, reviewed, published; with their versions, and what readers say of them.",
    ),
    (
        "webhooks",
        "Endpoints that events are sent to, what they were sent, and sending it again.",
    ),
    ("views", "Saved views of tickets: one's own, a team's, shared."),
    ("notifications", "What the desk tells its people."),
    ("audit", "The record of who did what to whom from where."),
];

/// Documents that an operation honours `If-Match`.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its document is used")]
pub struct IfMatchHeader {
    /// Entity tags of the version that the change is meant for; 412 when the resource has another one.
    #[param(
        rename = "If-Match",
        required = false,
        example = "*",
        pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#
    )]
    if_match: String,
}

/// What the headers of preconditions hold: `*`, or entity tags with commas between.
const ENTITY_TAGS: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;

/// The problems that operations share: status, name of the component, description.
const PROBLEMS: &[(&str, &str, &str)] = &[
    (
        "400",
        "BadRequest",
        "The request cannot be read: a malformed body, parameter, header or cursor.",
    ),
    ("401", "Unauthorized", "No valid access token or API key."),
    (
        "403",
        "Forbidden",
        "The caller may see it and not do it, or speaks through a session or key that does not do.",
    ),
    (
        "404",
        "NotFound",
        "It does not exist, or the caller may not know that it does.",
    ),
    ("408", "RequestTimeout", "The body did not arrive in time."),
    (
        "409",
        "Conflict",
        "The present state does not allow it, or the same request is still running.",
    ),
    (
        "412",
        "PreconditionFailed",
        "It has another version than `If-Match` names; `ETag` shows the present one.",
    ),
    ("413", "ContentTooLarge", "The body is larger than 1 MiB."),
    ("415", "UnsupportedMediaType", "The body is not JSON in UTF-8."),
    (
        "422",
        "UnprocessableContent",
        "The input breaks a rule, or the idempotency key belongs to another request.",
    ),
    (
        "429",
        "TooManyRequests",
        "Too many requests; `Retry-After` says how long to wait.",
    ),
    (
        "500",
        "InternalServerError",
        "The server met an error of its own.",
    ),
    (
        "503",
        "ServiceUnavailable",
        "The server cannot answer just now; `Retry-After` says how long to wait.",
    ),
    (
        "504",
        "GatewayTimeout",
        "The server did not finish in time, and whether it still will is not known.",
    ),
];

/// The document and the settings of the page that shows it.
pub(crate) struct Reference {
    document: Bytes,
    etag: String,
    page: Arc<Config<'static>>,
}

impl Reference {
    /// The reference of a table of operations.
    pub(crate) fn of(table: &RouteTable) -> Self {
        let document = document(table.operations());
        // A document made of derives alone always serializes.
        let document = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
        let etag = etag::body_tag("openapi", kernel::Version::FIRST, &document);
        // The base layout shows the one document that `url` names; a list of named ones would need its top bar.
        let page = Config::from("/api/v1/openapi.json")
            .validator_url("none")
            .display_operation_id(true)
            .doc_expansion("list")
            .filter(true)
            .use_base_layout();
        Self {
            document,
            etag,
            page: Arc::new(page),
        }
    }
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let get = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    let only_get = || web::to(method_not_allowed);
    config
        .service(
            web::resource("/api/v1/openapi.json")
                .route(get().to(openapi_json))
                .default_service(only_get()),
        )
        .service(
            web::resource(DOCS_BASE)
                .route(get().to(to_docs))
                .default_service(only_get()),
        )
        .service(
            web::resource(format!("{DOCS_BASE}/{{file:.*}}"))
                .route(get().to(docs))
                .default_service(only_get()),
        );
}

async fn openapi_json(app: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let Reference { document, etag, .. } = &app.reference;
    let headers = [(header::ETAG, etag.as_str()), (header::CACHE_CONTROL, "no-cache")];
    let mut response = if etag::is_known(&request, etag)? {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    for header in headers {
        response.insert_header(header);
    }
    if etag::is_known(&request, etag)? {
        return Ok(response.finish());
    }
    Ok(response.content_type("application/json").body(document.clone()))
}

async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, format!("{DOCS_BASE}/")))
        .finish()
}

async fn docs(
    app: Data<AppState>,
    file: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let file = utoipa_swagger_ui::serve(&file, Arc::clone(&app.reference.page))
        .map_err(|error| Problem::internal(error.to_string()))?
        .ok_or_else(|| Problem::from_status(actix_web::http::StatusCode::NOT_FOUND))?;
    let etag = etag::body_tag("docs", kernel::Version::FIRST, &file.bytes);
    let known = etag::is_known(&request, &etag)?;
    let mut response = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, DOCS_CACHE));
    if known {
        return Ok(response.finish());
    }
    if file.gzpipped {
        response.insert_header(header::ContentEncoding::Gzip);
    }
    // A text without its charset is guessed at by some browsers.
    let content_type = match file.content_type {
        text if text.starts_with("text/") && !text.contains("charset") => format!("{text}; charset=utf-8"),
        other => other,
    };
    Ok(response.content_type(content_type).body(file.bytes.into_owned()))
}

/// The document of `operations`.
#[must_use]
pub fn document(operations: &[Operation]) -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    let mut add = |(name, schema): (String, RefOr<Schema>)| {
        schemas.entry(name).or_insert(schema);
    };
    let mut problem_schemas = Vec::new();
    ProblemBody::schemas(&mut problem_schemas);
    problem_schemas.into_iter().for_each(&mut add);
    add((ProblemBody::name().into_owned(), ProblemBody::schema()));
    for operation in operations {
        let mut named = Vec::new();
        (operation.schemas)(&mut named);
        named.into_iter().for_each(&mut add);
        let mut document = operation.document.clone();
        secure(operation.requirement, &mut document);
        complete(&operation.method, &mut document);
        let item = PathItem::from_http_methods([operation.method.clone()], document);
        match paths.paths.get_mut(&operation.path) {
            Some(present) => present.merge_operations(item),
            None => {
                paths.paths.insert(operation.path.clone(), item);
            }
        }
    }
    let problems = PROBLEMS
        .iter()
        .map(|(status, name, description)| (*name, problem_response(status, description)));
    let session = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A person's session: the access token of `POST /auth/login`.",
        ))
        .build();
    let api_key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("idk_…")
        .description(Some(
            "A program's key, of `POST /api-keys`: it opens the operations that name one of its scopes here, as far as \
             its owner may use them.",
        ))
        .build();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .responses_from_iter(problems)
        .security_scheme(SESSION, SecurityScheme::Http(session))
        .security_scheme(API_KEY, SecurityScheme::Http(api_key))
        .build();
    let info = InfoBuilder::new()
        .title("InsightDesk")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ))
        .build();
    let tags = TAGS
        .iter()
        .map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build());
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url(API_BASE).build()]))
        .paths(paths)
        .components(Some(components))
        .tags(Some(tags))
        .build()
}

const DESCRIPTION: &str = "The API of the InsightDesk help desk. Every failure is a problem document (RFC 9457) with a \
    stable `code`. Lists are `{ data, page }`; `page.nextCursor` begins the next page. `PATCH` is JSON merge patch: \
    absent keeps, null clears. Times are RFC 3339 in UTC.";

/// Whether an operation keeps no answers: ending sessions and marking as read can be repeated as they are; what gives
/// secrets is shown once and stored nowhere; and of a body with a password no quick digest is to lie anywhere.
fn keeps_no_answer(operation: &Document) -> bool {
    let by_name = operation.operation_id.as_deref().is_some_and(|id| {
        matches!(
            id,
            "logout"
                | "logoutAll"
                | "createApiKey"
                | "changePassword"
                | "changeEmail"
                | "anonymizeUser"
                | "enrollTwoFactor"
                | "confirmTwoFactor"
                | "disableTwoFactor"
                | "replaceRecoveryCodes"
        )
    });
    let of_notifications = operation.tags.iter().flatten().any(|tag| tag == "notifications");
    by_name || of_notifications
}

/// Writes down what an operation asks of its caller's access. The names beside a scheme are the scopes that it takes, as
/// OpenAPI 3.1 allows for every scheme.
fn secure(requirement: Option<Requirement>, operation: &mut Document) {
    let scheme = |name: &str, scopes: Vec<String>| SecurityRequirement::new(name, scopes);
    let session = || scheme(SESSION, Vec::new());
    let (schemes, line) = match requirement.unwrap_or(Requirement::Session) {
        Requirement::Open => (None, None),
        Requirement::SignedIn => (
            Some(vec![session(), scheme(API_KEY, Vec::new())]),
            Some("Any session or API key does.".to_owned()),
        ),
        Requirement::OwnAccount | Requirement::Session => (
            Some(vec![session()]),
            Some("API keys are not accepted.".to_owned()),
        ),
        Requirement::Scope(scope) => (
            Some(vec![session(), scheme(API_KEY, vec![scope.to_string()])]),
            Some(format!("Scope: `{scope}`.")),
        ),
    };
    operation.security = schemes;
    if let Some(line) = line {
        operation.description = Some(match operation.description.take() {
            Some(text) if !text.is_empty() => format!("{text}\n\n{line}"),
            Some(_) | None => line,
        });
    }
}

/// Adds to an operation what holds for every one of its shape.
fn complete(method: &HttpMethod, operation: &mut Document) {
    let secured = operation
        .security
        .as_ref()
        .is_some_and(|schemes| !schemes.is_empty());
    let changes = !matches!(method, HttpMethod::Get);
    let keeps_no_answer = keeps_no_answer(operation);
    let parameters = operation.parameters.get_or_insert_default();
    let has = |place: fn(&Parameter) -> bool| {
        parameters
            .iter()
            .any(|parameter| matches!(parameter, RefOr::T(parameter) if place(parameter)))
    };
    let in_path = has(|parameter| matches!(parameter.parameter_in, ParameterIn::Path));
    let conditional = has(|parameter| parameter.name == "If-Match");
    let repeatable = secured && matches!(method, HttpMethod::Post | HttpMethod::Patch) && !keeps_no_answer;
    if repeatable {
        parameters.push(RefOr::T(idempotency_key()));
    }
    let tagged = operation
        .responses
        .responses
        .values()
        .any(|response| match response {
            RefOr::T(response) => response.headers.contains_key("ETag"),
            RefOr::Ref(_) => false,
        });
    if tagged && !changes {
        parameters.push(RefOr::T(if_none_match()));
        let unchanged = ResponseBuilder::new()
            .description("The client has this very answer already.")
            .build();
        operation
            .responses
            .responses
            .entry("304".to_owned())
            .or_insert(RefOr::T(unchanged));
    }
    let occurs = |status: &str| match status {
        "400" | "429" | "500" | "503" => true,
        "401" | "403" => secured,
        "404" => in_path,
        "409" => repeatable || (changes && in_path),
        "412" => conditional,
        // Even an operation without a documented body reads one: it may be `{}` and nothing else.
        "408" | "413" | "415" | "422" => changes,
        "504" => changes,
        _ => false,
    };
    for (status, name, _) in PROBLEMS.iter().filter(|(status, ..)| occurs(status)) {
        let response = RefOr::Ref(Ref::from_response_name(*name));
        operation
            .responses
            .responses
            .entry((*status).to_owned())
            .or_insert(response);
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response
                .headers
                .entry("X-Request-Id".to_owned())
                .or_insert_with(|| RefOr::T(request_id_header()));
        }
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A key of the client's choice. The same request with the same key has its effect once, and gets the first \
             answer again for 24 hours.",
        ))
        .schema(Some(text().min_length(Some(1)).max_length(Some(255)).pattern(Some("^[!-~]+$"))))
        .build()
}

fn if_none_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Entity tags of answers that the client has; 304 when one of them is still the right one.",
        ))
        .schema(Some(text().pattern(Some(ENTITY_TAGS))))
        .build()
}

fn request_id_header() -> Header {
    HeaderBuilder::new()
        .schema(Some(text()))
        .description(Some(
            "Names the request in the server's log; the client's own `X-Request-Id` if it sent one.",
        ))
        .build()
}

fn problem_response(status: &str, description: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let response = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, content)
        .header("X-Request-Id", request_id_header());
    let header = |text_of: &str| {
        HeaderBuilder::new()
            .schema(Some(text()))
            .description(Some(text_of))
            .build()
    };
    match status {
        "401" => response.header("WWW-Authenticate", header("The scheme to use: `Bearer`.")),
        "412" => response.header("ETag", header("The tag of the present version.")),
        "429" | "503" | "504" => response.header("Retry-After", header("Seconds to wait.")),
        _ => response,
    }
    .build()
}
