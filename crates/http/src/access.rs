//! The line that each request leaves in the log, and what is counted of it.
//!
//! It says who (`user`, once known, and `client`, the address), what (`method`, `route`: the pattern of the
//! path, never the path itself) and how it ended (`status`, the problem's `code`); the span around it names
//! the request's id. So a refusal (401, 403, 429) can be traced. No query, body, header or token is ever
//! logged.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use metrics::SharedString;
use uuid::Uuid;

/// What there is in place of a method or a route where none was understood.
pub(crate) const UNKNOWN: &str = "-";

/// One request, as it ended.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// Its [name](method_name).
    pub(crate) method: &'static str,
    /// The pattern of its path.
    pub(crate) route: &'a str,
    /// How it was answered.
    pub(crate) status: StatusCode,
    /// Which problem it met; empty for none.
    pub(crate) code: &'a str,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// Who sent it.
    pub(crate) user: Option<Uuid>,
    /// From where.
    pub(crate) client: Option<IpAddr>,
}

impl Entry<'_> {
    /// Writes the line of the log and counts.
    pub(crate) fn record(&self) {
        let Self {
            method,
            route,
            status,
            code,
            elapsed,
            user,
            client,
        } = *self;
        tracing::info!(
            target: "access",
            method,
            route,
            status = status.as_u16(),
            code,
            ms = elapsed.as_secs_f64() * 1000.0,
            user = user.map(tracing::field::display),
            client = client.map(tracing::field::display),
            "answered"
        );
        let labels = [
            ("method", SharedString::const_str(method)),
            ("route", SharedString::from_owned(route.to_owned())),
        ];
        metrics::histogram!("http_request_duration_seconds", &labels).record(elapsed);
        let [method, route] = labels;
        let status = ("status", SharedString::from_owned(status.as_str().to_owned()));
        metrics::counter!("http_requests_total", &[method, route, status]).increment(1);
    }
}

/// The method for a log or a label: a client's own inventions are one.
pub(crate) fn method_name(method: &Method) -> &'static str {
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
