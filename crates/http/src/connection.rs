//! The connection below the framework: even what is no request gets an answer that is ours.
//!
//! The framework answers a head that it cannot read (400), that is too large (431) or that comes too slowly
//! (408) by itself, before any code of ours runs: a bare status line. Each time it then ends the connection.
//! [`Connection`] lets all through but that last word, which it replaces by a problem document with the
//! headers that every answer has.
//!
//! The framework also goes on with what a client sent behind a request that ends the connection. [`Ended`]
//! lets the [edge](crate::edge) know better.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::MessageBody as _;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::web::Data;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::access::{Entry, UNKNOWN};
use crate::app::AppState;
use crate::edge::X_REQUEST_ID;
use crate::headers::protect;
use crate::problem::Problem;

/// The framework's bare answers are shorter than this many bytes.
const BARE_BYTES_MAX: usize = 192;

/// Whether a connection is to end with an answer that was given already: what comes behind is not to be run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ended(Rc<Cell<bool>>);

impl Ended {
    /// Notes that this answer is the last one.
    pub(crate) fn note(&self) {
        self.0.set(true);
    }

    /// Whether there was a last answer.
    pub(crate) fn is_noted(&self) -> bool {
        self.0.get()
    }
}

/// The client's side of a connection.
pub(crate) struct Connection {
    stream: TcpStream,
    app: Data<AppState>,
    client: Option<IpAddr>,
    last_word: Option<LastWord>,
    ended: Ended,
}

/// An answer of ours that takes the place of a bare one.
struct LastWord {
    text: Vec<u8>,
    sent: usize,
    /// So many bytes of the framework's are thereby done with.
    replaces: usize,
}

impl Connection {
    /// The connection that came in by `stream`.
    pub(crate) fn new(stream: TcpStream, app: Data<AppState>) -> Self {
        let client = stream.peer_addr().ok().map(|address| address.ip().to_canonical());
        Self {
            stream,
            app,
            client,
            last_word: None,
            ended: Ended::default(),
        }
    }

    /// Whether it is to end; for its requests.
    pub(crate) fn ended(&self) -> Ended {
        self.ended.clone()
    }

    fn poll_last_word(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(word) = &mut self.last_word else {
            return Poll::Ready(Ok(0));
        };
        while let Some(rest) = word.text.get(word.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => word.sent += count,
            }
        }
        let replaced = word.replaces;
        self.last_word = None;
        Poll::Ready(Ok(replaced))
    }

    /// The answer that takes the place of `bare`, noted in the log.
    fn answer(&self, bare: &BareAnswer<'_>) -> LastWord {
        let id = self.app.ids.next().to_string();
        let problem = Problem::from_status(bare.status);
        let _span = tracing::info_span!("request", id).entered();
        problem.log();
        let entry = Entry {
            method: UNKNOWN,
            route: UNKNOWN,
            status: bare.status,
            code: problem.code(),
            elapsed: Duration::ZERO,
            user: None,
            client: self.client,
        };
        entry.record();
        let mut response = problem.to_response(Some(&id), None);
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        protect(response.headers_mut(), "", self.app.settings.behind_tls);
        let (head, body) = response.into_parts();
        let body = body.try_into_bytes().unwrap_or_default();
        LastWord {
            text: written(bare, head.headers(), &body),
            sent: 0,
            replaces: bare.length,
        }
    }
}

/// The answer as it goes over the wire.
fn written(bare: &BareAnswer<'_>, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{}\r\n{}\r\n", bare.status_line, bare.date).into_bytes();
    let length = body.len().to_string();
    let framing: [(&str, &[u8]); 2] = [("connection", b"close"), ("content-length", length.as_bytes())];
    let others = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    for (name, value) in framing.into_iter().chain(others) {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(body);
    text
}

/// A status line that the framework sent by itself, at the end of what it has to say.
#[derive(Debug, PartialEq, Eq)]
struct BareAnswer<'a> {
    status: StatusCode,
    status_line: &'a str,
    date: &'a str,
    /// In bytes.
    length: usize,
}

impl<'a> BareAnswer<'a> {
    /// The one that ends `buffer`. It has no headers but those of framing, whereas every answer that passed
    /// the edge has a request id; and no body of ours can look so, as neither JSON nor our plain texts hold a
    /// carriage return.
    fn ending(buffer: &'a [u8]) -> Option<Self> {
        if !buffer.ends_with(b"\r\n\r\n") {
            return None;
        }
        let tail = buffer.get(buffer.len().saturating_sub(BARE_BYTES_MAX)..)?;
        let at = tail.windows(7).rposition(|window| window == b"HTTP/1.")?;
        let text = tail.get(at..).and_then(|text| std::str::from_utf8(text).ok())?;
        let (status_line, rest) = text.strip_suffix("\r\n\r\n")?.split_once("\r\n")?;
        let status = StatusCode::from_bytes(status_line.get(9..12)?.as_bytes()).ok()?;
        if !status.is_client_error() && !status.is_server_error() {
            return None;
        }
        let mut date = None;
        for line in rest.split("\r\n") {
            match line {
                "content-length: 0" | "connection: close" | "connection: keep-alive" => {}
                _ if line.starts_with("date: ") => date = Some(line),
                _ => return None,
            }
        }
        let length = text.len();
        date.map(|date| Self {
            status,
            status_line,
            date,
            length,
        })
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.last_word.is_none() {
            let Some(bare) = BareAnswer::ending(buffer) else {
                return Pin::new(&mut this.stream).poll_write(cx, buffer);
            };
            // What was to be said before goes first.
            match buffer.get(..buffer.len() - bare.length) {
                Some(before) if !before.is_empty() => {
                    return Pin::new(&mut this.stream).poll_write(cx, before);
                }
                _ => this.last_word = Some(this.answer(&bare)),
            }
        }
        this.poll_last_word(cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "date: Thu, 01 Jan 2026 00:00:00 GMT";

    #[test]
    fn a_bare_answer_is_told_from_all_others() {
        let bare = format!(
            "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\
             connection: close\r\n{DATE}\r\n\r\n"
        );
        let found = BareAnswer::ending(bare.as_bytes()).unwrap();
        assert_eq!(
            (found.status.as_u16(), found.length, found.date),
            (431, bare.len(), DATE)
        );
        let before = format!("HTTP/1.1 200 OK\r\nx-request-id: 1\r\n\r\nbody{bare}");
        assert_eq!(BareAnswer::ending(before.as_bytes()).unwrap().length, bare.len());
        for other in [
            "",
            "\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            &bare[..bare.len() - 2],
            &format!("HTTP/1.1 204 No Content\r\n{DATE}\r\n\r\n"),
            &format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n{DATE}\r\n\r\n"),
            &format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-request-id: 1\r\n{DATE}\r\n\r\n"),
            &format!("{bare}{{}}"),
        ] {
            assert_eq!(BareAnswer::ending(other.as_bytes()), None, "{other}");
        }
    }
}
