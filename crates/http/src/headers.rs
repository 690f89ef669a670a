//! The headers by which every answer protects whoever reads it in a browser.
//!
//! An answer of the API shows nothing and loads nothing; a page of ours loads its own files and nothing
//! else. Both say so, on every status: what a browser must not do with a success it must not do with a
//! failure either.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::account::ACCOUNT_BASE;
use crate::rating_page::RATING_BASE;
use crate::routes::API_BASE;

/// Where the reference page and its files are.
pub(crate) const DOCS_BASE: &str = "/api/docs";

/// Nothing may be loaded from an answer of the API.
const CSP_API: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");

/// Of files that people uploaded nothing may run or be shown, whatever a browser takes them for.
const CSP_FILE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox",
);

/// Our pages (the API reference, that of mailed links) load their own files and nothing else; no script and no style
/// stands in a page itself.
const CSP_PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
);

/// The page to rate by has no script, and a form that goes back to it.
const CSP_FORM: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// What no page of ours needs, so that none can be made to use it.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), \
     microphone=(), midi=(), payment=(), usb=()",
);

/// One year, as browsers count it.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const DENY: HeaderValue = HeaderValue::from_static("DENY");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Puts them on the answer to a request for `path`. What may be kept says so itself; all else is a person's.
pub(crate) fn protect(headers: &mut HeaderMap, path: &str, behind_tls: bool) {
    let policy = if is_page(path) {
        CSP_PAGE
    } else if is_below(path, RATING_BASE) {
        CSP_FORM
    } else if is_file(path) {
        CSP_FILE
    } else {
        CSP_API
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, NOSNIFF),
        (header::X_FRAME_OPTIONS, DENY),
        (header::REFERRER_POLICY, NO_REFERRER),
        (header::PERMISSIONS_POLICY, PERMISSIONS),
        (header::CROSS_ORIGIN_RESOURCE_POLICY, SAME_ORIGIN),
        (header::CROSS_ORIGIN_OPENER_POLICY, SAME_ORIGIN),
    ] {
        headers.insert(name, value);
    }
    if behind_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
}

fn is_file(path: &str) -> bool {
    path.strip_prefix(API_BASE)
        .is_some_and(|rest| rest.starts_with("/attachments"))
}

fn is_page(path: &str) -> bool {
    [DOCS_BASE, ACCOUNT_BASE]
        .into_iter()
        .any(|base| is_below(path, base))
}

fn is_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Says that an answer depends on a header of the request, beside others that were named before.
pub(crate) fn vary_by(headers: &mut HeaderMap, name: HeaderName) {
    headers.append(header::VARY, HeaderValue::from(name));
}
