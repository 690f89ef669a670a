//! Which pages of other origins may use the API from a browser: none, unless the configuration names them.
//!
//! An origin is admitted by equality alone: scheme, host and port, as browsers write them. No cookie is ever
//! asked for, so credentials are never allowed: a token travels in a header that the page sets itself. What
//! comes from any other origin is answered as ever, without the headers that would let its page read the
//! answer.

use std::fmt;
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

use crate::headers::vary_by;

/// What pages of other origins may do.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");

/// The headers of ours that a page may send.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id",
);

/// The headers of ours that a page may read.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "ETag, Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, Idempotency-Replayed",
);

/// How long a browser need not ask again, in seconds: an origin that is struck off is out soon.
const PREFLIGHT_AGE_SECS: HeaderValue = HeaderValue::from_static("600");

/// The most characters of an origin: its scheme, 253 for a host's name, a port.
const ORIGIN_CHARS_MAX: usize = 270;

/// An origin as browsers send it: `https://app.example.com`, with a port unless it is the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin(HeaderValue);

/// Why a text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin such as https://app.example.com")]
pub struct OriginError(String);

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = HeaderValue::from_str(text).ok().filter(|_| is_origin(text));
        value.map(Self).ok_or_else(|| OriginError(text.to_owned()))
    }
}

/// Whether a browser would write an origin so. Anything else would never match, which nobody wants to find
/// out later.
fn is_origin(text: &str) -> bool {
    let (authority, own_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, 443),
        (None, Some(rest)) => (rest, 80),
        (None, None) => return false,
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, rest)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (None, rest),
            _ => return false,
        },
        None => match authority.find(':') {
            Some(colon) => {
                let (host, port) = authority.split_at(colon);
                (Some(host), port)
            }
            None => (Some(authority), ""),
        },
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let host_fits = host.is_none_or(|host| host.split('.').all(is_label));
    let port_fits = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => digits
            .parse::<u16>()
            .is_ok_and(|port| port != 0 && port != own_port && digits == port.to_string()),
    };
    host_fits && port_fits && text.len() <= ORIGIN_CHARS_MAX
}

/// The origins whose pages may use the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<Origin>);

impl FromStr for AllowedOrigins {
    type Err = OriginError;

    /// Reads origins with commas between; nothing at all admits none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(Origin::from_str).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for AllowedOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Origin(value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{}", value.to_str().unwrap_or_default())?;
        }
        Ok(())
    }
}

/// What the origin of a request is entitled to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// No origin is admitted at all: nothing is said.
    Closed,
    /// Not from an admitted origin, but answers differ by it.
    Stranger,
    /// From this one.
    Admitted(HeaderValue),
}

impl AllowedOrigins {
    /// Finds out who is asking for an answer of the API.
    pub(crate) fn visitor(&self, head: &RequestHead) -> Visitor {
        if self.0.is_empty() || !head.uri.path().starts_with("/api/") {
            return Visitor::Closed;
        }
        let mut given = head.headers().get_all(header::ORIGIN);
        match (given.next(), given.next()) {
            (Some(value), None) if self.0.iter().any(|Origin(known)| known == value) => {
                Visitor::Admitted(value.clone())
            }
            _ => Visitor::Stranger,
        }
    }
}

impl Visitor {
    /// The answer to the question that a browser asks before it sends a request, if this is one.
    pub(crate) fn preflight(&self, head: &RequestHead) -> Option<HttpResponse> {
        let asks = head.method == Method::OPTIONS
            && head.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || !matches!(self, Self::Admitted(_)) {
            return None;
        }
        let mut response = HttpResponse::NoContent();
        response
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE_SECS));
        let mut response = response.finish();
        vary_by(response.headers_mut(), header::ACCESS_CONTROL_REQUEST_METHOD);
        vary_by(response.headers_mut(), header::ACCESS_CONTROL_REQUEST_HEADERS);
        Some(response)
    }

    /// Lets the page of an admitted origin read the answer.
    pub(crate) fn seal(&self, headers: &mut HeaderMap) {
        match self {
            Self::Closed => return,
            Self::Stranger => {}
            Self::Admitted(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
            }
        }
        vary_by(headers, header::ORIGIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them_or_refused() {
        for good in [
            "https://app.example.com",
            "http://localhost:5173",
            "https://[2001:db8::1]:8443",
            "https://10.0.0.7",
            "https://xn--bcher-kva.example",
        ] {
            assert_eq!(
                good.parse::<Origin>().map(|Origin(value)| value),
                Ok(HeaderValue::from_static(good))
            );
        }
        for bad in [
            "",
            "*",
            "null",
            "https://*",
            "https://*.example.com",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/desk",
            "https://App.example.com",
            "https://app..example.com",
            "https://user@app.example.com",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://app.example.com:0",
            "https://app.example.com:08443",
            "https://app.example.com:65536",
            "https://app.example.com:",
            "https://[::1",
            "https://a b.example",
            "https://app.example.com?x",
            "ftp://app.example.com",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_is_shown_as_it_is_read() {
        let list: AllowedOrigins = " https://a.example , http://localhost:3000,".parse().unwrap();
        assert_eq!(list.to_string(), "https://a.example,http://localhost:3000");
        assert_eq!(list.to_string().parse(), Ok(list));
        assert!("https://a.example, *".parse::<AllowedOrigins>().is_err());
        assert_eq!("".parse(), Ok(AllowedOrigins::default()));
    }
}
