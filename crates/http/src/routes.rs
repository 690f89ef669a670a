//! The table of operations: the one place from which both the router and the OpenAPI document are made, so that
//! neither can have what the other lacks.
//!
//! To add an operation, write a handler with `#[utoipa::path(…)]` and put
//! `operation(__path_handler, handler)` into its module's `operations()`, followed by what it asks of its caller's
//! access (`.scope(…)`, `.session()`, `.own_account()`, `.signed_in()` or `.open()`); to add a module, name it in
//! [`crate::api::operations`].

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard, web};
use identity::{Requirement, Scope};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{HttpMethod, Operation as Document, ParameterIn};
use utoipa::openapi::schema::Schema;

use crate::problem::Problem;

/// Where the API begins.
pub const API_BASE: &str = "/api/v1";

type NamedSchemas = Vec<(String, RefOr<Schema>)>;

/// An operation of the API: its place, its document and its handler.
#[derive(Clone)]
pub struct Operation {
    pub(crate) method: HttpMethod,
    /// Below [`API_BASE`].
    pub(crate) path: String,
    pub(crate) document: Document,
    pub(crate) schemas: fn(&mut NamedSchemas),
    route: Arc<dyn Fn() -> Route + Send + Sync>,
    pub(crate) requirement: Option<Requirement>,
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares the two"))]
    pub(crate) names: (&'static str, &'static str),
}

/// An operation out of what `#[utoipa::path]` made beside a handler, and the handler.
pub fn operation<P, H, Args>(_: P, handler: H) -> Operation
where
    P: utoipa::Path + utoipa::__dev::SchemaReferences + for<'t> utoipa::__dev::Tags<'t>,
    H: Handler<Args> + Send + Sync,
    H::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    let method = P::methods().into_iter().next().unwrap_or(HttpMethod::Get);
    let verb = method_of(&method);
    let route = move || {
        let route = if verb == Method::GET {
            web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            web::method(verb.clone())
        };
        route.to(handler.clone())
    };
    Operation {
        path: P::path(),
        document: tagged(P::operation(), P::tags()),
        schemas: P::schemas,
        route: Arc::new(route),
        requirement: None,
        names: (std::any::type_name::<P>(), std::any::type_name::<H>()),
        method,
    }
}

impl Operation {
    /// The same, open to strangers.
    #[must_use]
    pub fn open(self) -> Self {
        self.requiring(Requirement::Open)
    }

    /// The same, for anyone who is known, also before they verified their address or set up the second factor that is
    /// asked of them, and for every programs' key.
    #[must_use]
    pub fn signed_in(self) -> Self {
        self.requiring(Requirement::SignedIn)
    }

    /// The same, for people about their own account: also before they verified their address or set up the second
    /// factor that is asked of them, and never for programs' keys.
    #[must_use]
    pub fn own_account(self) -> Self {
        self.requiring(Requirement::OwnAccount)
    }

    /// The same, for people and never for programs' keys.
    #[must_use]
    pub fn session(self) -> Self {
        self.requiring(Requirement::Session)
    }

    /// The same, for people, and for programs whose key has the scope.
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        self.requiring(Requirement::Scope(scope))
    }

    fn requiring(self, requirement: Requirement) -> Self {
        Self {
            requirement: Some(requirement),
            ..self
        }
    }
}

fn tagged(mut document: Document, tags: Vec<&str>) -> Document {
    document.tags = Some(tags.into_iter().map(str::to_owned).collect());
    document
}

pub(crate) fn method_of(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Trace => Method::TRACE,
    }
}

/// What is known of a path beside its handlers; every request that was routed carries it.
#[derive(Debug)]
pub struct RouteInfo {
    /// The path with its placeholders: `/api/v1/users/{id}`. Logs and metrics name this, never the path itself.
    pub pattern: String,
    methods: Vec<RouteMethod>,
    allow: HeaderValue,
}

#[derive(Debug)]
struct RouteMethod {
    method: Method,
    query_names: Vec<String>,
    requirement: Requirement,
}

impl RouteInfo {
    /// The route that `request` took.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Option<&Self> {
        request.app_data::<Arc<Self>>().map(AsRef::as_ref)
    }

    fn parameters(&self, method: &Method) -> &[String] {
        self.of_method(method).map_or(&[], |route| &route.query_names)
    }

    fn of_method(&self, method: &Method) -> Option<&RouteMethod> {
        let method = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        self.methods.iter().find(|route| route.method == *method)
    }

    /// What the operation asks of the access through which it is called; of one that says nothing, a session.
    #[must_use]
    pub fn requirement(&self, method: &Method) -> Requirement {
        self.of_method(method)
            .map_or(Requirement::Session, |route| route.requirement)
    }

    /// Whether the operation has query parameters.
    #[must_use]
    pub fn takes_query(&self, method: &Method) -> bool {
        !self.parameters(method).is_empty()
    }

    /// Whether the operation's document has that query parameter.
    #[must_use]
    pub fn documents(&self, method: &Method, name: &str) -> bool {
        self.parameters(method).iter().any(|present| present == name)
    }
}

/// All operations, by path, ready to be registered in any number of workers.
pub struct RouteTable {
    operations: Vec<Operation>,
    /// Which operations a path has, in the order of their first mention.
    paths: Vec<(Arc<RouteInfo>, Vec<usize>)>,
}

impl RouteTable {
    /// The table of `operations`.
    #[must_use]
    pub fn new(operations: Vec<Operation>) -> Self {
        let mut order: Vec<String> = Vec::new();
        let mut by_path: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, operation) in operations.iter().enumerate() {
            if !by_path.contains_key(&operation.path) {
                order.push(operation.path.clone());
            }
            by_path.entry(operation.path.clone()).or_default().push(index);
        }
        // A fixed segment is tried before a placeholder at the same place: `/auth/me` before `/auth/{id}`.
        order.sort_by_key(|path| path.contains('{'));
        let paths = order.into_iter().filter_map(|path| {
            let indices = by_path.remove(&path)?;
            let methods = indices.iter().filter_map(|index| operations.get(*index));
            let methods: Vec<_> = methods
                .map(|op| RouteMethod {
                    method: method_of(&op.method),
                    query_names: query_names(&op.document),
                    requirement: op.requirement.unwrap_or(Requirement::Session),
                })
                .collect();
            let mut verbs: Vec<_> = methods.iter().map(|route| route.method.as_str()).collect();
            if verbs.contains(&"GET") {
                verbs.push("HEAD");
            }
            let allow = HeaderValue::try_from(verbs.join(", ")).unwrap_or(HeaderValue::from_static(""));
            let pattern = format!("{API_BASE}{path}");
            Some((
                Arc::new(RouteInfo {
                    pattern,
                    methods,
                    allow,
                }),
                indices,
            ))
        });
        let paths = paths.collect();
        Self { operations, paths }
    }

    /// All operations.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Registers every path below [`API_BASE`].
    pub(crate) fn configure(&self, config: &mut web::ServiceConfig) {
        let mut scope = web::scope(API_BASE);
        for (info, indices) in &self.paths {
            let path = info.pattern.strip_prefix(API_BASE).unwrap_or(&info.pattern);
            let mut resource: Resource = web::resource(path.to_owned()).app_data(Arc::clone(info));
            for operation in indices.iter().filter_map(|index| self.operations.get(*index)) {
                resource = resource.route((operation.route)());
            }
            scope = scope.service(resource.default_service(web::to(method_not_allowed)));
        }
        config.service(scope.default_service(web::to(unknown_path)));
    }

    /// The pattern of a path, for requests that ended before they could say it.
    pub(crate) fn pattern_of(&self, path: &str) -> Option<&str> {
        let matches = |pattern: &str| {
            let (mut have, mut want) = (path.split('/'), pattern.split('/'));
            loop {
                match (have.next(), want.next()) {
                    (None, None) => return true,
                    (Some(have), Some(want)) if have == want || want.starts_with('{') => {}
                    (Some(_) | None, _) => return false,
                }
            }
        };
        self.paths
            .iter()
            .map(|(info, _)| info.pattern.as_str())
            .find(|pattern| matches(pattern))
    }
}

fn query_names(document: &Document) -> Vec<String> {
    let parameters = document.parameters.iter().flatten();
    let parameters = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    let of_query = parameters.filter(|parameter| matches!(parameter.parameter_in, ParameterIn::Query));
    of_query.map(|parameter| parameter.name.clone()).collect()
}

/// 404 for every path that nothing is registered at; 501 where no path has the method either.
pub(crate) async fn unknown_path(method: Method) -> Result<HttpResponse, Problem> {
    let status = if is_known(&method) {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::NOT_IMPLEMENTED
    };
    Err(Problem::from_status(status))
}

/// Whether HTTP's own methods for resources have it. `CONNECT` and `TRACE` are none of ours.
fn is_known(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
    )
}

/// 405 with the methods that the path does have.
pub(crate) async fn method_not_allowed(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let problem = Problem::from_status(StatusCode::METHOD_NOT_ALLOWED);
    Err(match RouteInfo::of(&request) {
        Some(route) => problem.with_header(header::ALLOW, route.allow.clone()),
        None => problem.with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")),
    })
}
