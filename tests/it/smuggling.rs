//! A request means the same to the server as to any proxy before it, or it is refused and the connection
//! ends: nobody can hide a second request in the first.

use desk::app::TestDesk;

/// The request that is hidden in another: it would make an account, which can be looked for.
const HIDDEN: &str = "POST /api/v1/auth/register HTTP/1.1\r\nHost: desk\r\nContent-Type: application/json\r\n\
                      Content-Length: 74\r\n\r\n\
                      {\"email\":\"hidden@example.org\",\"name\":\"H\",\"password\":\"nine yellow kettles\"}";

/// A request with this line, these further headers and this body.
fn request(line: &str, headers: &str, body: &str) -> String {
    format!("{line}\r\nHost: desk\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
}

fn login(headers: &str, body: &str) -> String {
    request("POST /api/v1/auth/login HTTP/1.1", headers, body)
}

/// The statuses of all answers that came.
fn statuses(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|answer| answer.get(..3))
        .collect()
}

async fn hidden_accounts(desk: &TestDesk) -> i64 {
    desk.database
        .number("SELECT count(*) FROM users WHERE email = 'hidden@example.org'")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_readers_could_read_differently_is_refused_and_nothing_behind_it_is_run() {
    let desk = TestDesk::start().await;
    let chunked = format!("0\r\n\r\n{HIDDEN}");
    let long = HIDDEN.len();
    let length = format!("Content-Length: {long}\r\n");
    let cases: Vec<(&str, String)> = vec![
        (
            "a length and chunks",
            login(&format!("{length}Transfer-Encoding: chunked\r\n"), &chunked),
        ),
        (
            "chunks and a length",
            login(&format!("Transfer-Encoding: chunked\r\n{length}"), &chunked),
        ),
        (
            "chunks of an unknown sort",
            login("Transfer-Encoding: xchunked\r\n", &chunked),
        ),
        (
            "chunks, then as it is",
            login("Transfer-Encoding: chunked, identity\r\n", &chunked),
        ),
        (
            "compressed chunks",
            login("Transfer-Encoding: gzip, chunked\r\n", &chunked),
        ),
        (
            "chunks, said twice",
            login(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                &chunked,
            ),
        ),
        (
            "chunks, and as it is",
            login(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                &chunked,
            ),
        ),
        (
            "no coding with a length",
            login(&format!("Transfer-Encoding: identity\r\n{length}"), HIDDEN),
        ),
        (
            "a coding in quotes",
            login("Transfer-Encoding: \"chunked\"\r\n", &chunked),
        ),
        (
            "a coding after a vertical tab",
            login("Transfer-Encoding: \x0bchunked\r\n", &chunked),
        ),
        (
            "chunks in HTTP/1.0",
            request(
                "POST /api/v1/auth/login HTTP/1.0",
                "Transfer-Encoding: chunked\r\n",
                &chunked,
            ),
        ),
        (
            "two lengths",
            login(&format!("Content-Length: 0\r\n{length}"), HIDDEN),
        ),
        (
            "the same length twice",
            login("Content-Length: 0\r\nContent-Length: 0\r\n", HIDDEN),
        ),
        (
            "a list of lengths",
            login(&format!("Content-Length: 0, {long}\r\n"), HIDDEN),
        ),
        ("a length with a plus", login("Content-Length: +0\r\n", HIDDEN)),
        ("a length below nothing", login("Content-Length: -1\r\n", HIDDEN)),
        ("a length in base 16", login("Content-Length: 0x0\r\n", HIDDEN)),
        ("a length of no digits", login("Content-Length: \r\n", HIDDEN)),
        (
            "a length beyond all numbers",
            login("Content-Length: 99999999999999999999\r\n", HIDDEN),
        ),
        (
            "a header over two lines",
            login("X-Note: a\r\n Content-Length: 0\r\n", HIDDEN),
        ),
        ("a space before a colon", login("Content-Length : 0\r\n", HIDDEN)),
        ("a header without a colon", login("Content-Length\r\n", HIDDEN)),
        ("a NUL in a value", login("X-Note: a\0b\r\n", HIDDEN)),
        ("a NUL in a name", login("X-N\0te: a\r\n", HIDDEN)),
        (
            "a carriage return alone",
            login("X-Note: a\rContent-Length: 0\r\n", HIDDEN),
        ),
        ("two hosts", login("Host: other\r\n", HIDDEN)),
        ("no host", format!("GET /healthz HTTP/1.1\r\n\r\n{HIDDEN}")),
        (
            "another host in the target",
            request("GET http://other/healthz HTTP/1.1", "", HIDDEN),
        ),
        (
            "a user before the host of the target",
            request("GET http://desk@other/healthz HTTP/1.1", "", HIDDEN),
        ),
        (
            "a version that is none",
            request("GET /healthz HTTP/1.2", "", HIDDEN),
        ),
        (
            "a header beyond all measure",
            login(&format!("X-Note: {}\r\n", "a".repeat(140_000)), HIDDEN),
        ),
        (
            "more headers than anyone needs",
            login(&"X-Note: a\r\n".repeat(200), HIDDEN),
        ),
    ];
    for (name, bytes) in cases {
        let text = desk.exchange(bytes.as_bytes()).await;
        let statuses = statuses(&text);
        // The framework may answer what comes behind as well, but only by the same refusal.
        assert!(
            !statuses.is_empty() && statuses.iter().all(|status| ["400", "431"].contains(status)),
            "{name}: {statuses:?} {text}"
        );
        let (head, rest) = text.split_once("\r\n\r\n").unwrap();
        let body = rest.split("HTTP/1.1 ").next().unwrap();
        let head = head.to_lowercase();
        for header in [
            "content-type: application/problem+json",
            "connection: close",
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none'",
            "cache-control: no-store",
            "x-request-id: ",
        ] {
            assert!(head.contains(header), "{name}: {header}: {text}");
        }
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(document["status"].to_string(), statuses[0], "{name}: {text}");
        assert!(document["requestId"].is_string(), "{name}: {text}");
        assert_eq!(hidden_accounts(&desk).await, 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_belongs_to_its_request_whatever_becomes_of_that() {
    let desk = TestDesk::start().await;
    let long = HIDDEN.len();
    // Each begins a body that holds the other request, and none of them is read to its end by a handler.
    let cases: Vec<(&str, String)> = vec![
        (
            "a body where none is wanted",
            request(
                "GET /healthz HTTP/1.1",
                &format!("Content-Length: {long}\r\n"),
                HIDDEN,
            ),
        ),
        (
            "a body for a path that is none",
            request(
                "POST /nowhere HTTP/1.1",
                &format!("Content-Length: {long}\r\n"),
                HIDDEN,
            ),
        ),
        (
            "a body for a method that is none",
            request(
                "BREW /api/v1/tickets HTTP/1.1",
                &format!("Content-Length: {long}\r\n"),
                HIDDEN,
            ),
        ),
        (
            "a body of a stranger",
            request(
                "POST /api/v1/tickets HTTP/1.1",
                &format!("Content-Length: {long}\r\n"),
                HIDDEN,
            ),
        ),
        (
            "a body that is too large",
            login("Content-Length: 99999999\r\n", HIDDEN),
        ),
        (
            "chunks that are none",
            login("Transfer-Encoding: chunked\r\n", &format!("0x5\r\n{HIDDEN}")),
        ),
        (
            "a chunk longer than it says",
            login(
                "Transfer-Encoding: chunked\r\n",
                &format!("1\r\n{{}}\r\n0\r\n\r\n{HIDDEN}"),
            ),
        ),
        (
            "a chunk beyond all numbers",
            login(
                "Transfer-Encoding: chunked\r\n",
                &format!("fffffffffffffffff\r\n{HIDDEN}"),
            ),
        ),
        (
            "a chunk whose extension ends in a line feed alone",
            login("Transfer-Encoding: chunked\r\n", &format!("0;a\n\r\n{HIDDEN}")),
        ),
        (
            "an upgrade with a length",
            request(
                "GET /healthz HTTP/1.1",
                "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n",
                &format!("{{}}{HIDDEN}"),
            ),
        ),
        (
            "a tunnel",
            format!("CONNECT desk HTTP/1.1\r\nHost: desk\r\n\r\n{HIDDEN}"),
        ),
    ];
    for (name, bytes) in cases {
        let text = desk.exchange(bytes.as_bytes()).await;
        let statuses = statuses(&text);
        assert!(statuses.len() <= 1, "{name}: {text}");
        assert_eq!(hidden_accounts(&desk).await, 0, "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_run_behind_a_request_that_ends_the_connection() {
    let desk = TestDesk::start().await;
    for first in [
        "GET /healthz HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
    ] {
        let text = desk.exchange(format!("{first}{HIDDEN}").as_bytes()).await;
        assert_eq!(hidden_accounts(&desk).await, 0, "{first}: {text}");
    }
    // The hidden request is a good one.
    let alone = HIDDEN.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let text = desk.exchange(alone.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 202 "), "{text}");
    assert_eq!(hidden_accounts(&desk).await, 1);
}

/// What the framework reads leniently, and as the standard lets it: one request as before, and the next
/// begins where the first one ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_leniently_is_read_as_the_one_request_that_it_is() {
    let desk = TestDesk::start().await;
    let last = "GET /healthz HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\r\n";
    let body = "{\"email\":\"no@example.org\",\"password\":\"wrong password\"}";
    let long = body.len();
    for (name, first) in [
        (
            "chunks after a space",
            login(
                "Transfer-Encoding:  chunked\r\n",
                &format!("{long:x}\r\n{body}\r\n0\r\n\r\n"),
            ),
        ),
        (
            "chunks after a tab",
            login(
                "Transfer-Encoding:\tChunked\r\n",
                &format!("{long:x}\r\n{body}\r\n0\r\n\r\n"),
            ),
        ),
        (
            "a length between blanks",
            login(&format!("Content-Length:  {long} \r\n"), body),
        ),
        (
            "a length with a nought before",
            login(&format!("Content-Length: 0{long}\r\n"), body),
        ),
        (
            "a trailer",
            login(
                "Transfer-Encoding: chunked\r\n",
                &format!("{long:x}\r\n{body}\r\n0\r\nX-Note: a\r\n\r\n"),
            ),
        ),
        (
            "line feeds alone",
            login(&format!("Content-Length: {long}\r\n"), body).replace("\r\n", "\n"),
        ),
        (
            "its own host in the target",
            request(
                "POST http://desk/api/v1/auth/login HTTP/1.1",
                &format!("Content-Length: {long}\r\n"),
                body,
            ),
        ),
    ] {
        let text = desk.exchange(format!("{first}{last}").as_bytes()).await;
        assert_eq!(statuses(&text), ["401", "200"], "{name}: {text}");
        assert!(text.contains("auth.invalid_credentials"), "{name}: {text}");
    }
}
