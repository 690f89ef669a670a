//! Files as they arrive, over services in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_http::BoxedPayloadStream;
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::web::Bytes;
use futures_util::{StreamExt as _, stream};
use ticketing::AttachmentSettings;

use super::{World, settings};
use crate::app::{Deadlines, HttpSettings};
use crate::json::BODY_BYTES_MAX;

const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=b");
const HEAD: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";

#[actix_web::test]
async fn a_file_that_comes_too_slowly_is_given_up() {
    let deadlines = Deadlines {
        body_deadline: Duration::from_millis(100),
        ..Deadlines::default()
    };
    let settings = HttpSettings {
        deadlines,
        ..settings()
    };
    let world = World::with(settings, crate::api::operations()).await;
    let begun = stream::iter([
        Ok(Bytes::from_static(HEAD.as_bytes())),
        Ok(Bytes::from_static(b"half")),
    ]);
    let body: BoxedPayloadStream = Box::pin(begun.chain(stream::pending()));
    let request = world.customer(Method::POST, "/attachments").insert_header(FORM);
    let (request, _) = request.to_request().replace_payload(Payload::from(body));
    let answer = world.call(request).await;
    assert_eq!(answer.problem(), (408, "request.timeout".to_owned()));
}

#[actix_web::test]
async fn a_file_that_comes_in_pieces_of_any_size_is_taken_as_one() {
    let world = World::new().await;
    let whole = format!("{HEAD}some\r\n--cytes\r\n-\r\n--b--\r\n");
    for size in [1, 2, 7, 60, whole.len()] {
        let pieces: Vec<_> = whole
            .as_bytes()
            .chunks(size)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let body: BoxedPayloadStream = Box::pin(stream::iter(pieces));
        let request = world.customer(Method::POST, "/attachments").insert_header(FORM);
        let (request, _) = request.to_request().replace_payload(Payload::from(body));
        let answer = world.call(request).await;
        assert_eq!(answer.status, 201, "{size}: {answer:?}");
        assert_eq!(answer.json()["size"], "some\r\n--cytes\r\n-".len(), "{size}");
    }
}

/// However much is sent, no more is taken in than the limit and what comes at once with its end.
#[actix_web::test]
async fn of_a_body_that_is_too_large_no_more_is_read_than_the_limit() {
    const PIECE: usize = 64 * 1024;
    const SENT: usize = 100 * 1024 * 1024;
    let world = World::new().await;
    let file_max = usize::try_from(AttachmentSettings::default().bytes_max).unwrap();
    let json = ("content-type", "application/json");
    for (what, path, form, head, length, limit) in [
        ("JSON", "/tickets", json, "{\"subject\": \"", None, BODY_BYTES_MAX),
        (
            "of a wrong length",
            "/tickets",
            json,
            "{\"subject\": \"",
            Some(10),
            BODY_BYTES_MAX,
        ),
        ("that says so", "/tickets", json, "{", Some(SENT), 0),
        ("a form", "/attachments", FORM, HEAD, None, file_max),
        (
            "a form of a wrong length",
            "/attachments",
            FORM,
            HEAD,
            Some(10),
            file_max,
        ),
    ] {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let head = stream::iter([Ok(Bytes::from_static(head.as_bytes()))]);
        let pieces = stream::iter((0..SENT / PIECE).map(|_| Ok(Bytes::from(vec![b'x'; PIECE]))));
        let body = head.chain(pieces).inspect(move |piece| {
            let bytes = piece.as_ref().map_or(0, Bytes::len);
            counted.fetch_add(bytes, Ordering::Relaxed);
        });
        let body: BoxedPayloadStream = Box::pin(body);
        let mut request = world.customer(Method::POST, path).insert_header(form);
        if let Some(length) = length {
            request = request.insert_header(("content-length", length));
        }
        let (request, _) = request.to_request().replace_payload(Payload::from(body));
        let answer = world.call(request).await;
        assert_eq!(answer.status, 413, "{what}: {answer:?}");
        let read = read.load(Ordering::Relaxed);
        assert!(
            read <= limit + 128 * 1024,
            "{what}: {read} bytes of {limit} were read"
        );
    }
}
