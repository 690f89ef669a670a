//! What happens to every request before and after its handler, in one layer.
//!
//! It promises that every answer carries a request id and the security headers; that a request which takes
//! too long, a handler that panics and an error of the framework all end in a problem document (but for what a page of
//! ours tells its reader); that a
//! request beyond what the process can do is turned away at once; and that each leaves one line in the log
//! and one count in the metrics. What is answered below it, to what is no request at all, is
//! [`connection`](crate::connection)'s matter.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, RequestHead, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::FutureExt;
use tracing::Instrument;

use crate::access::{Entry, UNKNOWN, method_name};
use crate::address::client_address;
use crate::app::AppState;
use crate::compress::compress;
use crate::connection;
use crate::context::RequestContext;
use crate::cors::Visitor;
use crate::headers::protect;
use crate::load::Place;
use crate::problem::{PROBLEM_JSON, Problem};
use crate::routes::RouteInfo;

/// The header that names a request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of a request id that a client may choose.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Where operators look, and must be able to look when nothing else is answered any more.
const PATHS_NEVER_SHED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Wraps the whole application; use it with `from_fn`.
///
/// # Errors
/// A finished answer, for requests that ended without their handler's: the framework sends it as it is.
pub async fn edge<B>(mut request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<BoxBody>, Error>
where
    B: MessageBody + 'static,
{
    let Some(app) = request.app_data::<Data<AppState>>().cloned() else {
        return Err(Problem::internal("the application has no state").into());
    };
    let id = request_id(&request).unwrap_or_else(|| app.ids.next().to_string());
    let context = RequestContext::new(id, app.settings.deadlines.request_deadline);
    context.keep_unread(request.take_payload());
    request.extensions_mut().insert(Rc::clone(&context));
    let method = request.method().clone();
    let path = request.path().to_owned();
    let client = client_address(request.request(), &app.settings.trusted_proxies);
    let connection = request
        .conn_data::<connection::Ended>()
        .cloned()
        .unwrap_or_default();
    let is_last = request.head().connection_type() == ConnectionType::Close;
    let visitor = app.settings.cors_origins.visitor(request.head());
    let span = tracing::info_span!("request", id = context.id());

    let ended = match admit(&app, &context, &connection, request.head()) {
        Err(problem) => Ended::Failed(problem),
        Ok(()) => match visitor.preflight(request.head()) {
            Some(answer) => Ended::Answered(request.into_response(answer)),
            None => {
                let call = AssertUnwindSafe(next.call(request)).catch_unwind();
                let outcome = within_deadline(&context, call).instrument(span.clone()).await;
                ending(outcome, &method)
            }
        },
    };
    context.leave();

    let _entered = span.enter();
    let finish = Finish {
        app: &app,
        context: &context,
        method: &method,
        path: &path,
        client,
        visitor: &visitor,
    };
    match ended {
        Ended::Answered(response) => {
            let response = finish.answer(response);
            if is_last || response.response().head().connection_type() == ConnectionType::Close {
                connection.note();
            }
            Ok(response.map_body(|_, body| finish.hold(body)))
        }
        Ended::Failed(problem) => {
            if is_last || problem.closes() {
                connection.note();
            }
            problem.log();
            let mut response = problem.to_response(Some(context.id()), Some(&path));
            finish.seal(response.headers_mut());
            finish.record(
                app.table.pattern_of(&path).unwrap_or(UNKNOWN),
                problem.status(),
                problem.code(),
            );
            let response = response.map_body(|_, body| finish.hold(body));
            Err(Finished {
                status: problem.status(),
                response: RefCell::new(Some(response)),
            }
            .into())
        }
    }
}

/// Lets a request in on a connection that goes on, that names one host, and for which there is a place.
fn admit(
    app: &AppState,
    context: &RequestContext,
    connection: &connection::Ended,
    head: &RequestHead,
) -> Result<(), Problem> {
    if connection.is_noted() {
        let detail = "The connection ended with the request before this one.";
        return Err(Problem::unreadable("request.bad_request", detail).closing());
    }
    if names_two_hosts(head) {
        let detail = "The request's target names another host than its header Host.";
        return Err(Problem::unreadable("request.bad_request", detail).closing());
    }
    if !PATHS_NEVER_SHED.contains(&head.uri.path()) {
        context.enter(Place::take(&app.load)?);
    }
    Ok(())
}

/// Whether the target (`GET http://one/…`) and the header `Host` differ: a proxy may have gone by either.
fn names_two_hosts(head: &RequestHead) -> bool {
    let host = head.headers().get(header::HOST).map(HeaderValue::as_bytes);
    let target = head
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    target.is_some_and(|target| host.is_none_or(|host| !host.eq_ignore_ascii_case(target)))
}

/// What came of the handler.
type Outcome<B> = Option<Result<Result<ServiceResponse<B>, Error>, Box<dyn std::any::Any + Send>>>;

fn ending<B: MessageBody + 'static>(outcome: Outcome<B>, method: &Method) -> Ended {
    match outcome {
        Some(Ok(Ok(response))) => Ended::Answered(response.map_into_boxed_body()),
        Some(Ok(Err(error))) => Ended::Failed(problem_of(&error)),
        // What it said was logged where it happened, with the id of this request.
        Some(Err(_)) => Ended::Failed(Problem::internal("the handler panicked")),
        None => Ended::Failed(too_late(method)),
    }
}

enum Ended {
    Answered(ServiceResponse<BoxBody>),
    Failed(Problem),
}

/// Waits for `work` until the request's deadline, which may move meanwhile.
async fn within_deadline<F: Future>(context: &RequestContext, work: F) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    // Most handlers end at their first or second poll and never need the timer.
    if let Some(output) = work.as_mut().now_or_never() {
        return Some(output);
    }
    loop {
        let deadline = context.deadline();
        match tokio::time::timeout_at(deadline.into(), work.as_mut()).await {
            Ok(output) => return Some(output),
            Err(_) if context.deadline() > Instant::now() => {}
            Err(_) => return None,
        }
    }
}

/// What a request that took too long answers. Of one that only reads it is known that nothing happened.
fn too_late(method: &Method) -> Problem {
    if matches!(*method, Method::GET | Method::HEAD) {
        let detail = "The server did not finish in time; try again shortly.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server.deadline", detail);
    }
    let detail = "The server did not finish in time, and whether it still will is not known. \
                  Send the request again with the same Idempotency-Key, or look first.";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "server.outcome_unknown", detail).with_retry_after(2)
}

/// The id that the client chose, if it can stand in a header and in a log.
fn request_id(request: &ServiceRequest) -> Option<String> {
    let value = request.headers().get(X_REQUEST_ID)?.to_str().ok()?;
    let valid = (1..=REQUEST_ID_CHARS_MAX).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_graphic());
    valid.then(|| value.to_owned())
}

/// An error that reached the edge, as a problem.
fn problem_of(error: &Error) -> Problem {
    let status = error.as_response_error().status_code();
    Problem::from_status(status).with_cause(error.to_string())
}

/// The last hand on an answer.
struct Finish<'a> {
    app: &'a AppState,
    context: &'a RequestContext,
    method: &'a Method,
    path: &'a str,
    client: IpAddr,
    visitor: &'a Visitor,
}

impl Finish<'_> {
    fn answer(&self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let status = response.status();
        let (mut response, code) = if status.is_client_error() || status.is_server_error() {
            self.refusal(response)
        } else {
            (compress(response), "")
        };
        self.seal(response.headers_mut());
        let route = RouteInfo::of(response.request()).map(|route| route.pattern.clone());
        self.record(route.as_deref().unwrap_or(UNKNOWN), response.status(), code);
        response
    }

    /// Puts the request's id and path into a problem document, and makes one where the framework made none.
    fn refusal(&self, response: ServiceResponse<BoxBody>) -> (ServiceResponse<BoxBody>, &'static str) {
        let made;
        let problem = match response
            .response()
            .error()
            .and_then(|error| error.as_error::<Problem>())
        {
            Some(problem) => problem,
            None if is_problem(response.headers()) || is_page(response.headers()) => return (response, ""),
            None => {
                made = match response.response().error() {
                    Some(error) => problem_of(error),
                    None => Problem::from_status(response.status()),
                };
                &made
            }
        };
        problem.log();
        let code = problem.code();
        let document = problem.to_response(Some(self.context.id()), Some(self.path));
        let request = response.request().clone();
        (ServiceResponse::new(request, document), code)
    }

    /// Ties a request's body that was not read to its end to the answer. The framework ends the connection after an
    /// answer that holds one; of one that was dropped it would read a chunked body for as long as the client likes.
    fn hold(&self, body: BoxBody) -> BoxBody {
        match self.context.take_unread() {
            None | Some(Payload::None) => body,
            Some(unread) => BoxBody::new(Holding {
                body,
                _unread: Box::new(unread),
            }),
        }
    }

    /// Puts the headers on that every answer has.
    fn seal(&self, headers: &mut HeaderMap) {
        if let Ok(id) = HeaderValue::from_str(self.context.id()) {
            headers.insert(X_REQUEST_ID, id);
        }
        protect(headers, self.path, self.app.settings.behind_tls);
        self.visitor.seal(headers);
        for (name, value) in self.context.take_headers() {
            headers.append(name, value);
        }
    }

    fn record(&self, route: &str, status: StatusCode, code: &str) {
        let entry = Entry {
            method: method_name(self.method),
            route,
            status,
            code,
            elapsed: self.context.elapsed(),
            user: self.context.caller(),
            client: Some(self.client),
        };
        entry.record();
    }
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(PROBLEM_JSON.as_bytes()))
}

/// A page of ours that tells a person what is wrong; the framework makes none.
fn is_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

/// The body of an answer, and that of its request.
struct Holding {
    body: BoxBody,
    _unread: Box<Payload>,
}

impl MessageBody for Holding {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

/// An answer that is complete, on the only way that is left to it.
struct Finished {
    status: StatusCode,
    response: RefCell<Option<HttpResponse>>,
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finished({})", self.status)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)
    }
}

impl ResponseError for Finished {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response
            .take()
            .unwrap_or_else(|| HttpResponse::new(self.status))
    }
}
