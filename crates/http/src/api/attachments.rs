//! Attachments: uploading files, what is known of them, their bytes, and removing them.

use std::ops::Range;
use std::str::FromStr as _;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    self, ByteRangeSpec, Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue,
    HeaderValue,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use identity::service::AuthError;
use identity::{Requirement, Scope};
use kernel::PortError;
use serde::Serialize;
use ticketing::{Attachment, AttachmentError, AttachmentId, BlobReader, OCTET_STREAM};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Call, Command, Nothing, Rendered};
use crate::context::RequestContext;
use crate::etag;
use crate::link::{LINK_CHARS_MAX, Link};
use crate::path::Path;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::{API_BASE, Operation, operation};
use crate::upload::{problem, receive};
use crate::wire::Timestamp;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_upload, upload).scope(Scope::TicketsWrite),
        operation(__path_show, show).scope(Scope::TicketsRead),
        operation(__path_download, download).open(),
        operation(__path_delete, delete).scope(Scope::TicketsWrite),
    ]
}

/// A file that was uploaded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attachment)]
pub(super) struct AttachmentBody {
    /// The attachment.
    id: Uuid,
    /// What it is called.
    #[schema(examples("screenshot.png"))]
    file_name: String,
    /// What it is, by its content; `application/octet-stream` where that does not tell.
    #[schema(examples("image/png"))]
    content_type: String,
    /// How many bytes it has.
    #[schema(examples(48213))]
    size: i64,
    /// The SHA-256 of its bytes, in hexadecimal.
    #[schema(examples("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"))]
    sha256: String,
    /// When it was uploaded.
    created_at: Timestamp,
}

impl From<&Attachment> for AttachmentBody {
    fn from(attachment: &Attachment) -> Self {
        let Attachment {
            id,
            uploader: _,
            message: _,
            file_name,
            content_type,
            size_bytes,
            sha256: _,
            created_at,
        } = attachment;
        Self {
            id: id.0,
            file_name: file_name.as_str().to_owned(),
            content_type: content_type.clone(),
            size: *size_bytes,
            sha256: attachment.sha256_hex(),
            created_at: Timestamp(*created_at),
        }
    }
}

/// A file that was uploaded, and where its bytes are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LinkedAttachment)]
struct LinkedBody {
    #[serde(flatten)]
    attachment: AttachmentBody,
    /// Where its bytes are, from the desk's address on. Needs no signing in, is good for five minutes and for nobody
    /// who may no longer see the file.
    #[schema(examples("/api/v1/attachments/01890a5d-ac96-774b-bcce-b302099a8057/file?link=AAGJCl2sl…"))]
    url: String,
    /// Until when.
    expires_at: Timestamp,
}

/// A form with a file.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "only its document is used; the form is read as it arrives"
)]
#[schema(as = FileForm)]
struct FileForm {
    /// The file.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Upload a file
///
/// One file, as the part `file` of a form. It is yours alone until you write a message with it (`attachmentIds`), and
/// goes by itself when you do not within 24 hours. What it is called is cleaned of paths and of characters that cannot be
/// seen; what it is follows from its content. Where the desk has a virus scanner, a file in which that finds something
/// is refused, and none is taken while the scanner does not answer.
#[utoipa::path(
    post,
    path = "/attachments",
    operation_id = "uploadAttachment",
    tag = "tickets",
    request_body(content = FileForm, content_type = "multipart/form-data",
        description = "The form. The file has at most 25 MiB, unless the desk is set otherwise."),
    responses(
        (status = 201, description = "What is known of the file.", body = AttachmentBody,
            headers(("Location" = String, description = "Where it is."))),
        (status = 507, description = "The server has no room for the file.",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn upload(
    app: Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    // A header that cannot be read is refused before the file is.
    Call::of_stream(&app, &request, caller.clone(), b"")?;
    let received = receive(&app.attachments, &caller.actor(), &request, payload.into_inner()).await?;
    let file = received.end().await.map_err(problem)?;
    let content = [
        file.attachment().sha256.as_slice(),
        file.attachment().file_name.as_str().as_bytes(),
    ]
    .concat();
    let call = Call::of_stream(&app, &request, caller, &content)?;
    call.run(
        async |receipt| file.keep(receipt).await.map_err(problem),
        |attachment| {
            Rendered::of(StatusCode::CREATED, &AttachmentBody::from(attachment)).at(attachment.url())
        },
    )
    .await
}

/// Show an attachment
///
/// What is known of it, with a link to its bytes: for those who may read the message that it hangs on, and for its
/// uploader while it hangs on none.
#[utoipa::path(
    get,
    path = "/attachments/{id}",
    operation_id = "getAttachment",
    tag = "tickets",
    params(("id" = Uuid, Path, description = "The attachment.")),
    responses((status = 200, description = "The attachment.", body = LinkedBody))
)]
async fn show(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<AttachmentId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let attachment = app.attachments.show(&caller.actor(), id).await.map_err(problem)?;
    let Link { text, expires_at } = app.links.link(id, &caller.0, app.clock.now());
    let body = LinkedBody {
        attachment: AttachmentBody::from(&attachment),
        url: format!("{API_BASE}/attachments/{id}/file?link={text}"),
        expires_at: Timestamp(expires_at),
    };
    Rendered::of(StatusCode::OK, &body).to_get(&request)
}

/// By what a file is asked for.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct DownloadParams {
    /// The signature of the `url` that showing the attachment gave.
    #[param(max_length = 128)]
    link: String,
}

/// Download a file
///
/// By the `url` that showing the attachment gave, without signing in. It is always a file to be saved, never a page to be
/// shown; parts of it can be asked for (`Range`). The link is good for five minutes, as long as the session or key that
/// asked for it is, and while its owner may see the file.
#[utoipa::path(
    get,
    path = "/attachments/{id}/file",
    operation_id = "downloadAttachment",
    tag = "tickets",
    params(("id" = Uuid, Path, description = "The attachment."), DownloadParams),
    responses(
        (status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "The part that was asked for.", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 404, description = "There is no such file by this link, or not any more.",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 416, description = "The file has no such part.",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn download(
    app: Data<AppState>,
    Path(id): Path<AttachmentId>,
    mut query: Query,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let link = query.text("link", LINK_CHARS_MAX);
    query.finish()?;
    let holder = link.and_then(|link| app.links.holder(id, &link, app.clock.now()));
    let holder = holder.ok_or_else(|| problem(AttachmentError::NotFound))?;
    let principal = match app.authenticator.reauthenticate(&holder).await {
        Ok(principal) => principal,
        Err(AuthError::Port(error)) => return Err(error.into()),
        Err(_) => return Err(problem(AttachmentError::NotFound)),
    };
    principal
        .meets(Requirement::Scope(Scope::TicketsRead))
        .map_err(|_| problem(AttachmentError::NotFound))?;
    let context = RequestContext::of(&request);
    let reader = principal.person.id.0;
    context.set_caller(reader);
    app.gates.caller.pass(&context, reader).await?;
    let download = app
        .attachments
        .download(&principal.actor(), id)
        .await
        .map_err(problem)?;
    let attachment = download.attachment().clone();

    let tag = format!("\"{}\"", attachment.sha256_hex());
    if etag::is_known(&request, &tag)? {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, tag))
            .finish());
    }
    let size = attachment.size_bytes.unsigned_abs();
    let (status, range) = match wanted_part(&request, &tag, size)? {
        None => (StatusCode::OK, 0..size),
        Some(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let mut response = HttpResponse::build(status);
    if status == StatusCode::PARTIAL_CONTENT {
        let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        response.insert_header((header::CONTENT_RANGE, told));
    }
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CONTENT_TYPE, content_type(&attachment)))
        .insert_header((
            header::CONTENT_DISPOSITION,
            disposition(attachment.file_name.as_str()),
        ));
    let length = range.end - range.start;
    let bytes = if *request.method() == Method::HEAD {
        stream::empty().boxed()
    } else {
        pieces(download.bytes(range).await.map_err(problem)?)
    };
    Ok(response.body(SizedStream::new(length, bytes)))
}

/// What other writers of the database may have put there may be no header.
fn content_type(attachment: &Attachment) -> HeaderValue {
    HeaderValue::from_str(&attachment.content_type).unwrap_or(HeaderValue::from_static(OCTET_STREAM))
}

/// A file to be saved under this name, in both of the forms that RFC 6266 has.
fn disposition(name: &str) -> String {
    let plain = |c: char| match c {
        '"' | '\\' | '%' => '_',
        c if c.is_ascii_graphic() || c == ' ' => c,
        _ => '_',
    };
    let disposition = ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: vec![
            DispositionParam::Filename(name.chars().map(plain).collect()),
            DispositionParam::FilenameExt(ExtendedValue {
                charset: Charset::Ext("UTF-8".to_owned()),
                language_tag: None,
                value: name.as_bytes().to_vec(),
            }),
        ],
    };
    disposition.to_string()
}

/// The one part that a request asks for of a file with this tag and so many bytes; `None` for all of it, as for what is
/// no header of ours or asks for several parts.
fn wanted_part(request: &HttpRequest, tag: &str, size: u64) -> Result<Option<Range<u64>>, Problem> {
    let text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let Some(Ok(header::Range::Bytes(parts))) = text(header::RANGE).map(header::Range::from_str) else {
        return Ok(None);
    };
    let is_other = text(header::IF_RANGE).is_some_and(|known| known != tag);
    let [part] = parts.as_slice() else {
        return Ok(None);
    };
    if is_other || matches!(part, ByteRangeSpec::FromTo(from, to) if from > to) {
        return Ok(None);
    }
    match part.to_satisfiable_range(size) {
        Some((first, last)) => Ok(Some(first..last + 1)),
        None => {
            let detail = format!("The file has {size} bytes and no such part.");
            let problem = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "request.range_not_satisfiable",
                detail,
            );
            let told = HeaderValue::try_from(format!("bytes */{size}")).map_err(Problem::internal)?;
            Err(problem.with_header(header::CONTENT_RANGE, told))
        }
    }
}

/// The bytes of a file as a body. Where they end too early the connection does, so that the client knows.
fn pieces(reader: Box<dyn BlobReader>) -> BoxStream<'static, Result<Bytes, PortError>> {
    let next = async |mut reader: Box<dyn BlobReader>| match reader.next().await {
        Ok(piece) => Ok(piece.map(|piece| (Bytes::from(piece), reader))),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a file could not be read to its end"
            );
            Err(error)
        }
    };
    stream::try_unfold(reader, next).boxed()
}

/// Delete an attachment
///
/// Your own upload while it hangs on no message. From a message, supervisors and leads of the ticket's team and
/// administrators may; that stays in the ticket's history. The file is gone for good.
#[utoipa::path(
    delete,
    path = "/attachments/{id}",
    operation_id = "deleteAttachment",
    tag = "tickets",
    params(("id" = Uuid, Path, description = "The attachment.")),
    responses((status = 204, description = "Deleted."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<AttachmentId>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    call.run(
        async |_| app.attachments.delete(&actor, id).await.map_err(problem),
        |()| Rendered::no_content(),
    )
    .await
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_name_is_told_in_both_forms_and_breaks_out_of_neither() {
        for (name, told) in [
            (
                "a b.txt",
                "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt",
            ),
            (
                "größe \"1\".txt",
                "attachment; filename=\"gr__e _1_.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%221%22.txt",
            ),
            (
                "50%.txt",
                "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt",
            ),
        ] {
            assert_eq!(disposition(name), told);
            assert!(HeaderValue::try_from(disposition(name)).is_ok());
        }
    }

    #[test]
    fn one_part_of_a_file_can_be_asked_for() {
        let part = |range: &str, if_range: &str| {
            let mut request = TestRequest::default().insert_header(("range", range));
            if !if_range.is_empty() {
                request = request.insert_header(("if-range", if_range));
            }
            wanted_part(&request.to_http_request(), "\"t\"", 100)
        };
        for (range, expected) in [
            ("bytes=0-9", Some(0..10)),
            ("bytes=90-", Some(90..100)),
            ("bytes=-10", Some(90..100)),
            ("bytes=-1000", Some(0..100)),
            ("bytes=50-5000", Some(50..100)),
            // What is not understood, or asks for more than one, gets the whole.
            ("bytes=9-0", None),
            ("bytes=0-1,5-6", None),
            ("lines=0-1", None),
            ("bytes=x", None),
        ] {
            assert_eq!(part(range, "").unwrap(), expected, "{range}");
        }
        assert_eq!(part("bytes=0-9", "\"t\"").unwrap(), Some(0..10));
        assert_eq!(part("bytes=0-9", "\"other\"").unwrap(), None);
        let refused = part("bytes=100-", "").unwrap_err();
        assert_eq!(refused.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    }
}
