//! Files as they arrive: the one part `file` of a form (`multipart/form-data`, RFC 7578), handed on piece by piece.
//!
//! It promises that no more of a file is in memory than a piece, that a request which is too large is refused before it
//! is read to its end (413), and that one which comes too slowly is given up (408). While a file arrives its request
//! holds none of the process' [places](crate::load).

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{StatusCode, header::Charset};
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt as _};
use kernel::Actor;
use ticketing::{AttachmentError, Attachments, Upload};

use crate::app::AppState;
use crate::context::RequestContext;
use crate::problem::{Fault, Place, Problem};

/// The name of the part.
const PART: &str = "file";
/// What a form may have besides its file: boundaries and the heads of parts.
const FORM_BYTES_MAX: u64 = 64 * 1024;
/// How long a file may take to arrive, however steadily it comes.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// How long it may take to be scanned and kept once it has arrived.
pub(crate) const KEEPING_TIME_MAX: Duration = Duration::from_secs(150);

/// An attachment's failure as a problem: some have a status that no other failure has.
pub(crate) fn problem(error: AttachmentError) -> Problem {
    match error {
        AttachmentError::TooLarge { bytes_max } => too_large(bytes_max),
        AttachmentError::Full(source) => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "attachment.no_room",
            "The server has no room for the file.",
        )
        .with_cause(source),
        error => error.into(),
    }
}

fn too_large(bytes_max: u64) -> Problem {
    let detail = format!("A file must have at most {bytes_max} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", detail).closing()
}

/// Reads the file of a form to its end, as an upload of `actor`. What is not read stays with the request, so that its
/// connection ends with the answer.
///
/// # Errors
/// 408, 413, 415, 422 and 400 for what cannot be read, and what the upload is refused with.
pub(crate) async fn receive<'a>(
    attachments: &'a Attachments,
    actor: &Actor,
    request: &HttpRequest,
    own: Payload,
) -> Result<Upload<'a>, Problem> {
    let context = RequestContext::of(request);
    let bytes_max = attachments.settings().bytes_max;
    let body = Body {
        payload: Rc::new(RefCell::new(context.take_unread().unwrap_or(own))),
        bytes_left: bytes_max.saturating_add(FORM_BYTES_MAX),
    };
    let payload = Rc::clone(&body.payload);
    let arrival = Arrival {
        ends: Instant::now() + ARRIVAL_TIME_MAX,
        pause_max: AppState::deadlines_of(request).body_deadline,
        bytes_max,
    };
    context.allow(ARRIVAL_TIME_MAX + Duration::from_secs(1));
    // Others may go on meanwhile.
    context.leave();
    let received = read_form(attachments, actor, request, body, arrival).await;
    match received.and_then(|upload| context.reenter().map(|()| upload)) {
        Ok(upload) => {
            context.allow(KEEPING_TIME_MAX);
            Ok(upload)
        }
        Err(problem) => {
            context.allow(AppState::deadlines_of(request).request_deadline);
            context.keep_unread(payload.replace(Payload::None));
            Err(problem.closing())
        }
    }
}

async fn read_form<'a>(
    attachments: &'a Attachments,
    actor: &Actor,
    request: &HttpRequest,
    body: Body,
    arrival: Arrival,
) -> Result<Upload<'a>, Problem> {
    media_type(request)?;
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > body.bytes_left) {
        return Err(too_large(arrival.bytes_max));
    }
    let mut form = Multipart::new(request.headers(), body);
    let mut received: Option<Upload<'a>> = None;
    while let Some(field) = arrival.next(&mut form).await? {
        let mut field = field.map_err(|error| arrival.unreadable(error))?;
        let name = field.name().unwrap_or_default().to_owned();
        if name != PART {
            return Err(refused(&name, "unknown", "is no part of this form"));
        }
        if received.is_some() {
            return Err(refused(
                PART,
                "repeated",
                "must be there once; send each file by itself",
            ));
        }
        let mut upload = attachments
            .begin(actor, &file_name(&field))
            .await
            .map_err(problem)?;
        while let Some(bytes) = arrival.next(&mut field).await? {
            let bytes = bytes.map_err(|error| arrival.unreadable(error))?;
            upload.write(&bytes).await.map_err(problem)?;
        }
        received = Some(upload);
    }
    received.ok_or_else(|| refused(PART, "required", "must be there"))
}

/// A fault of one part, which is named as a member of a JSON body would be.
fn refused(part: &str, code: &'static str, message: &str) -> Problem {
    let name: String = part.chars().filter(|c| !c.is_control()).take(100).collect();
    let pointer = name.replace('~', "~0").replace('/', "~1");
    let message = message.to_owned();
    Problem::invalid_body(vec![Fault {
        place: Place::Body(format!("/{pointer}")),
        code,
        message,
    }])
}

/// What the client calls the file; the form that says its character set counts.
fn file_name(field: &Field) -> String {
    let Some(disposition) = field.content_disposition() else {
        return String::new();
    };
    let extended = disposition.get_filename_ext().filter(
        |name| matches!(&name.charset, Charset::Ext(charset) if charset.eq_ignore_ascii_case("utf-8")),
    );
    match extended {
        Some(name) => String::from_utf8_lossy(&name.value).into_owned(),
        None => disposition.get_filename().unwrap_or_default().to_owned(),
    }
}

/// Refuses a body that is no form with files.
fn media_type(request: &HttpRequest) -> Result<(), Problem> {
    let value = request.headers().get(header::CONTENT_TYPE);
    let essence = value
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Ok(());
    }
    let detail = "The body must be a form with one file: Content-Type: multipart/form-data.";
    let problem = Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "request.unsupported_media_type",
        detail,
    );
    Err(problem.with_header(header::ACCEPT, HeaderValue::from_static("multipart/form-data")))
}

/// How a body may arrive.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    ends: Instant,
    pause_max: Duration,
    bytes_max: u64,
}

impl Arrival {
    /// The next of `stream`, which must come in time.
    async fn next<S: Stream + Unpin>(&self, stream: &mut S) -> Result<Option<S::Item>, Problem> {
        let by = self.ends.min(Instant::now() + self.pause_max);
        let next = tokio::time::timeout_at(by.into(), stream.next()).await;
        next.map_err(|_| {
            let detail = "The file did not arrive in time.";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "request.timeout", detail)
        })
    }

    fn unreadable(&self, error: MultipartError) -> Problem {
        match error {
            MultipartError::Payload(PayloadError::Overflow) => too_large(self.bytes_max),
            error => {
                let detail = "The form could not be read to its end.";
                Problem::unreadable("request.bad_request", detail).with_cause(error.to_string())
            }
        }
    }
}

/// A body that can be given back, and that ends with a failure when it is too long.
struct Body {
    payload: Rc<RefCell<Payload>>,
    bytes_left: u64,
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut *self.payload.borrow_mut()).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            match self.bytes_left.checked_sub(bytes.len() as u64) {
                Some(left) => self.bytes_left = left,
                None => return Poll::Ready(Some(Err(PayloadError::Overflow))),
            }
        }
        polled
    }
}
