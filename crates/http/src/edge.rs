//! What happens to every request before and after its handler, in one layer.
//!
//! It promises that every answer carries a request id and the security headers; that a request which takes too long,
//! a handler that panics and an error of the framework all end in a problem document; and that each request leaves
//! one line in the log and one count in the metrics, by the pattern of its path. No query, body, address or token is
//! logged.

use std::cell::RefCell;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::FutureExt;
use tracing::Instrument;

use crate::app::AppState;
use crate::context::RequestContext;
use crate::problem::{PROBLEM_JSON, Problem};
use crate::routes::RouteInfo;

/// The header that names a request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of a request id that a client may choose.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Nothing may be loaded from an answer of the API.
const CSP_API: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");

/// The API reference loads its own files and nothing else.
const CSP_DOCS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
);

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
    let span = tracing::info_span!("request", id = context.id());

    let call = AssertUnwindSafe(next.call(request)).catch_unwind();
    let outcome = within_deadline(&context, call).instrument(span.clone()).await;

    let _entered = span.enter();
    let ended = match outcome {
        Some(Ok(Ok(response))) => Ended::Answered(response.map_into_boxed_body()),
        Some(Ok(Err(error))) => Ended::Failed(problem_of(&error)),
        Some(Err(panic)) => Ended::Failed(Problem::internal(format!(
            "the handler panicked: {}",
            panic_text(&*panic)
        ))),
        None => Ended::Failed(too_late(&method)),
    };
    let finish = Finish {
        app: &app,
        context: &context,
        method: &method,
        path: &path,
    };
    match ended {
        Ended::Answered(response) => Ok(finish.answer(response).map_body(|_, body| finish.hold(body))),
        Ended::Failed(problem) => {
            problem.log();
            let mut response = problem.to_response(Some(context.id()), Some(&path));
            finish.seal(response.headers_mut());
            finish.record(
                app.table.pattern_of(&path).unwrap_or("-"),
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

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// The last hand on an answer.
struct Finish<'a> {
    app: &'a AppState,
    context: &'a RequestContext,
    method: &'a Method,
    path: &'a str,
}

impl Finish<'_> {
    fn answer(&self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let status = response.status();
        let (mut response, code) = if status.is_client_error() || status.is_server_error() {
            self.refusal(response)
        } else {
            (response, "")
        };
        self.seal(response.headers_mut());
        let route = RouteInfo::of(response.request()).map(|route| route.pattern.clone());
        self.record(route.as_deref().unwrap_or("-"), response.status(), code);
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
            None if is_problem(response.headers()) => return (response, ""),
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
        let docs = self.path.starts_with("/api/docs");
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            if docs { CSP_DOCS } else { CSP_API },
        );
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        if self.app.settings.behind_tls {
            let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
            headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        for (name, value) in self.context.take_headers() {
            headers.append(name, value);
        }
    }

    /// Writes the line of the log and counts.
    fn record(&self, route: &str, status: StatusCode, code: &str) {
        let elapsed = self.context.elapsed();
        let method = method_name(self.method);
        tracing::info!(
            target: "access",
            method,
            route,
            status = status.as_u16(),
            code,
            ms = elapsed.as_secs_f64() * 1000.0,
            user = self.context.caller().map(tracing::field::display),
            "answered"
        );
        let labels = [
            ("method", metrics::SharedString::const_str(method)),
            ("route", metrics::SharedString::from_owned(route.to_owned())),
        ];
        metrics::histogram!("http_request_duration_seconds", &labels).record(elapsed);
        let [method, route] = labels;
        let status = (
            "status",
            metrics::SharedString::from_owned(status.as_str().to_owned()),
        );
        metrics::counter!("http_requests_total", &[method, route, status]).increment(1);
    }
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(PROBLEM_JSON.as_bytes()))
}

/// The method for a log or a label: a client's own inventions are one.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
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
