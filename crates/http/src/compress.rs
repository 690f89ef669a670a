//! Smaller answers for clients that take them: JSON of a kibibyte and more, by gzip.
//!
//! Never where an answer hands out a secret, because the size of a compressed text tells of what is in it: so
//! answers to `GET` alone, since tokens are only ever handed out for a `POST`, and none below `/auth` at all.

use std::io::Write as _;

use actix_web::HttpRequest;
use actix_web::body::{BoxBody, MessageBody as _};
use actix_web::dev::{RequestHead, ServiceResponse};
use actix_web::http::header::{self, ContentEncoding, Encoding, Header as _, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::etag;
use crate::headers::vary_by;
use crate::routes::API_BASE;

/// Below this many bytes a packet is a packet.
const BODY_BYTES_MIN: usize = 1024;

/// Shrinks the answer to a request, if its client takes that and it is worth it.
pub(crate) fn compress(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let request = response.request();
    if !is_open(request.head()) {
        return response;
    }
    match response.status() {
        StatusCode::OK if is_json(&response) => {}
        StatusCode::NOT_MODIFIED => return unchanged(response),
        _ => return response,
    }
    let wanted = takes_gzip(request);
    let mut response = response;
    vary_by(response.headers_mut(), header::ACCEPT_ENCODING);
    if !wanted {
        return response;
    }
    response.map_body(|head, body| match body.try_into_bytes() {
        Err(body) => body,
        Ok(plain) => match gzip(&plain) {
            None => BoxBody::new(plain),
            Some(small) => {
                let headers = head.headers_mut();
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                if let Some(tag) = headers.get(header::ETAG).and_then(etag::compressed) {
                    headers.insert(header::ETAG, tag);
                }
                BoxBody::new(small)
            }
        },
    })
}

/// Whether nothing in the answer is a secret to its own reader's browser.
fn is_open(head: &RequestHead) -> bool {
    let below_auth = || {
        let rest = head.uri.path().strip_prefix(API_BASE);
        rest.is_some_and(|rest| rest.starts_with("/auth"))
    };
    matches!(head.method, Method::GET | Method::HEAD) && !below_auth()
}

fn is_json(response: &ServiceResponse<BoxBody>) -> bool {
    let headers = response.headers();
    !headers.contains_key(header::CONTENT_ENCODING)
        && headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

fn takes_gzip(request: &HttpRequest) -> bool {
    let Ok(accepted) = header::AcceptEncoding::parse(request) else {
        return false;
    };
    let gzip = Encoding::Known(ContentEncoding::Gzip);
    let offered = [Encoding::Known(ContentEncoding::Identity), gzip.clone()];
    accepted.negotiate(offered.iter()) == Some(gzip)
}

/// A 304 confirms the very tag that the client has, with its mark.
fn unchanged(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let known = response.request().headers().get_all(header::IF_NONE_MATCH);
    let marked = response.headers().get(header::ETAG).and_then(etag::compressed);
    let confirmed = marked.filter(|tag| {
        let mut texts = known.filter_map(|value| value.to_str().ok());
        tag.to_str().is_ok_and(|tag| texts.any(|text| text.contains(tag)))
    });
    if let Some(tag) = confirmed {
        response.headers_mut().insert(header::ETAG, tag);
    }
    vary_by(response.headers_mut(), header::ACCEPT_ENCODING);
    response
}

/// The text made smaller; nothing where that is not worth it.
fn gzip(plain: &Bytes) -> Option<Vec<u8>> {
    if plain.len() < BODY_BYTES_MIN {
        return None;
    }
    // The fastest level: most of what JSON repeats is found at once, and the others wait for this thread.
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().filter(|small| small.len() < plain.len())
}
