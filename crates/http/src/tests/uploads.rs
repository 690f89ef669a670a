//! Files as they arrive, over services in memory.

use std::time::Duration;

use actix_http::BoxedPayloadStream;
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::web::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{World, settings};
use crate::app::{Deadlines, HttpSettings};

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
