//! The server on a real socket: slow bodies, large bodies, an orderly end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::Data;
use tokio::sync::oneshot;

use super::{World, settings};
use crate::app::{Deadlines, HttpSettings};
use crate::routes::{Operation, operation};
use crate::server::{Listeners, ServerSettings, serve};

/// Sends the pieces with nothing between them, and reads until the server ends the connection.
fn exchange(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for piece in pieces {
        // The server may have hung up already, with its answer sent.
        let _ = stream.write_all(piece);
    }
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

async fn with_server(settings: HttpSettings, test: impl FnOnce(SocketAddr) + Send + 'static) -> Duration {
    with_operations(settings, crate::api::operations(), test).await
}

async fn with_operations(
    settings: HttpSettings,
    operations: Vec<Operation>,
    test: impl FnOnce(SocketAddr) + Send + 'static,
) -> Duration {
    let world = World::with(settings, operations).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server_settings = ServerSettings {
        workers: 1,
        drain_delay: Duration::ZERO,
        ..ServerSettings::default()
    };
    let shutdown = async {
        let _ = stopped.await;
    };
    let listeners = Listeners {
        api: listener,
        metrics: None,
    };
    let server = serve(server_settings, Data::clone(&world.state), listeners, shutdown);
    let client = tokio::task::spawn_blocking(move || test(address));
    let stopping = async {
        client.await.unwrap();
        stop.send(()).unwrap();
        Instant::now()
    };
    let (served, stopping_at) = tokio::join!(server, stopping);
    served.unwrap();
    stopping_at.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_too_slowly_is_given_up() {
    let deadlines = Deadlines {
        body_deadline: Duration::from_millis(200),
        ..Deadlines::default()
    };
    with_server(HttpSettings { deadlines, ..settings() }, |address| {
        let head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
        let answer = exchange(address, &[head]);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("request.timeout") && answer.contains("x-request-id"), "{answer}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_refused_before_it_comes() {
    with_server(settings(), |address| {
        let head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n";
        let answer = exchange(address, &[head]);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");

        let head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        let mut pieces: Vec<&[u8]> = vec![head];
        pieces.extend(std::iter::repeat_n(chunk.as_slice(), 1600));
        let answer = exchange(address, &pieces);
        assert!(answer.starts_with("HTTP/1.1 413 ") || answer.is_empty(), "{answer}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_goes_on_after_a_refusal_and_the_server_ends_with_it_open() {
    let took = with_server(settings(), |address| {
        let me = b"GET /api/v1/auth/me HTTP/1.1\r\nHost: x\r\n\r\n";
        let bad = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{";
        let last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answers = exchange(address, &[me, bad, last]);
        for status in ["HTTP/1.1 401 ", "HTTP/1.1 400 ", "HTTP/1.1 200 "] {
            assert!(answers.contains(status), "{answers}");
        }
        // One that stays open and idle does not hold the server up.
        let mut idle = TcpStream::connect(address).unwrap();
        idle.write_all(me).unwrap();
        std::mem::forget(idle);
    })
    .await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_wants_does_not_hold_its_connection() {
    with_server(settings(), |address| {
        let started = Instant::now();
        // No token: refused before the body is read, which never ends.
        let head = b"POST /api/v1/teams HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";
        let answer = exchange(address, &[head]);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
    })
    .await;
}

#[utoipa::path(get, path = "/panics", responses((status = 200)))]
async fn panics() -> HttpResponse {
    panic!("the secret of the handler")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_ends_its_request_alone() {
    let operations = vec![operation(__path_panics, panics)];
    with_operations(settings(), operations, |address| {
        let panics = b"GET /api/v1/panics HTTP/1.1\r\nHost: x\r\n\r\n";
        let last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answers = exchange(address, &[panics, panics, last]);
        assert_eq!(answers.matches("HTTP/1.1 500 ").count(), 2, "{answers}");
        assert!(answers.contains("HTTP/1.1 200 "), "{answers}");
        assert!(answers.contains("\"code\":\"server.internal\""), "{answers}");
        for told in ["secret", "panic!", ".rs", "crates"] {
            assert!(!answers.contains(told), "{told}: {answers}");
        }
    })
    .await;
}
