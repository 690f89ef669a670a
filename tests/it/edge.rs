//! What the edge of the API promises to everyone, over a real socket: headers, origins, methods, paths, load.

use std::io::Read as _;

use desk::app::{Caller, Reply, TestDesk, read_to_end};
use flate2::read::GzDecoder;
use kernel::Role;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::strictness::checksum;

const APP: &str = "https://app.example.com";

/// The head of the answer to a request, in small letters, and its body.
async fn raw(desk: &TestDesk, method: &str, path: &str, headers: &str, body: &str) -> (String, String) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    );
    let text = desk.exchange(request.as_bytes()).await;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{method} {path}: {text}"));
    (head.to_lowercase(), body.to_owned())
}

fn bearer(caller: &Caller) -> String {
    format!("Authorization: Bearer {}\r\n", caller.token)
}

/// All operations of the API, by method and path, with an id that nothing has in the place of each
/// placeholder.
async fn operations(desk: &TestDesk) -> Vec<(String, String)> {
    let document = desk.request("GET", "/api/v1/openapi.json").send().await.json();
    let paths = document["paths"].as_object().unwrap().clone();
    let mut found = Vec::new();
    for (path, item) in paths {
        let parts = path.split('/').map(|part| match part.starts_with('{') {
            true => "01890a5d-ac96-774b-bcce-b302099a8057",
            false => part,
        });
        let path = format!("/api/v1{}", parts.collect::<Vec<_>>().join("/"));
        for method in item.as_object().unwrap().keys() {
            found.push((method.to_uppercase(), path.clone()));
        }
    }
    assert!(found.len() > 40, "{found:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_protects_its_reader_whatever_its_status() {
    let desk = TestDesk::start_with(|config| config.behind_tls = true).await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let ticket = desk.ticket(&customer, None).await;
    let tag = desk.get(&customer, &ticket).await.header("etag");
    let (of_admin, of_customer) = (bearer(&admin), bearer(&customer));
    let json = "Content-Type: application/json\r\n";
    let text = format!("{of_customer}Content-Type: text/plain\r\n");
    let changes = format!("{of_customer}{json}");
    let known = format!("{of_customer}If-None-Match: {tag}\r\n");
    let announced = format!("{of_customer}{json}Transfer-Encoding: chunked\r\n");
    let files = [
        "/api/docs/",
        "/api/docs/swagger-ui.css",
        "/api/docs/swagger-ui-bundle.js",
    ];
    let cases: Vec<(&str, &str, &str, &str, &str)> = vec![
        ("200", "GET", "/healthz", "", ""),
        ("200", "GET", "/readyz", "", ""),
        ("200", "HEAD", "/api/v1/auth/me", &of_customer, ""),
        ("200", "GET", &ticket, &of_customer, ""),
        ("200", "GET", "/api/v1/openapi.json", "", ""),
        ("200", "GET", "/problems", "", ""),
        (
            "201",
            "POST",
            "/api/v1/tickets",
            &changes,
            "{\"subject\":\"s\",\"description\":\"d\"}",
        ),
        ("308", "GET", "/api/docs", "", ""),
        ("304", "GET", &ticket, &known, ""),
        ("204", "DELETE", &ticket, &of_admin, ""),
        ("400", "POST", "/api/v1/tickets", &changes, "{"),
        ("400", "GET", "/api/v1/tickets?colour=red", &of_customer, ""),
        ("400", "POST", "/api/v1/tickets", &announced, "{}"),
        ("401", "GET", "/api/v1/auth/me", "", ""),
        ("403", "GET", "/api/v1/users", &of_customer, ""),
        ("404", "GET", "/nowhere", "", ""),
        ("404", "HEAD", "/nowhere", "", ""),
        ("404", "GET", "/api/docs/nothing.js", "", ""),
        ("405", "PUT", "/api/v1/tickets", &of_customer, ""),
        ("405", "OPTIONS", "/api/v1/tickets", "", ""),
        ("405", "POST", "/api/docs/", "", ""),
        ("415", "POST", "/api/v1/tickets", &text, "hello"),
        ("422", "POST", "/api/v1/tickets", &changes, "{}"),
        ("501", "BREW", "/nowhere", "", ""),
    ];
    let files = files.map(|path| ("200", "GET", path, "", ""));
    for (status, method, path, headers, body) in cases.into_iter().chain(files) {
        let (head, body) = raw(&desk, method, path, headers, body).await;
        assert!(
            head.starts_with(&format!("http/1.1 {status} ")),
            "{method} {path}: {head} {body}"
        );
        protects(&head, path);
        let told = head.lines().find_map(|line| line.strip_prefix("content-type: "));
        match (status, told) {
            ("204" | "304", told) => assert_eq!(told, None, "{method} {path}"),
            ("308", _) => {}
            (refused, told) if refused >= "400" => {
                assert_eq!(told, Some("application/problem+json"), "{method} {path}");
            }
            (_, told) if path.starts_with("/api/v1") => {
                assert_eq!(told, Some("application/json"), "{method} {path}");
            }
            (_, told) => {
                let told = told.unwrap_or_default();
                assert!(
                    told.starts_with("text/") && told.contains("charset=utf-8"),
                    "{method} {path}: {told}"
                );
            }
        }
        assert!(
            head.contains("\r\nstrict-transport-security: max-age=31536000; includesubdomains"),
            "{method} {path}: {head}"
        );
    }
    let plain = TestDesk::start().await;
    let (head, _) = raw(&plain, "GET", "/healthz", "", "").await;
    assert!(!head.contains("strict-transport-security"), "{head}");
}

/// Checks the headers of an answer to a request for `path`.
#[track_caller]
fn protects(head: &str, path: &str) {
    let policy = if path.starts_with("/api/docs") {
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
    };
    for (name, value) in [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "deny"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        let lines: Vec<_> = head
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .collect();
        assert_eq!(lines, [value], "{name} of {path}: {head}");
    }
    for name in ["permissions-policy", "x-request-id", "cache-control"] {
        assert!(
            head.contains(&format!("\r\n{name}: ")),
            "{name} of {path}: {head}"
        );
    }
    for said in ["\r\nserver:", "\r\nx-powered-by:", "actix"] {
        assert!(!head.contains(said), "{path}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_answered_and_cut_off() {
    let desk = TestDesk::start().await;
    let text = desk.exchange(b"GET /healthz HTTP/1.1\r\nHost: de").await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 408 "), "{text}");
    protects(&head.to_lowercase(), "");
    let document: Value = serde_json::from_str(body).unwrap();
    assert_eq!(document["code"], "request.timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_read_nothing_unless_they_are_named() {
    let closed = TestDesk::start().await;
    let open = TestDesk::start_with(|config| config.cors_origins = APP.parse().unwrap()).await;
    let preflight =
        "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
    let strangers = [
        "https://evil.example",
        "null",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "https://notapp.example.com",
        "https://sub.app.example.com",
        "https://example.com",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://APP.example.com",
        "https://app.example.com/",
        "https://app.example.com, https://evil.example",
        "*",
        "",
    ];
    for (desk, origins) in [
        (&closed, [&strangers[..], &[APP]].concat()),
        (&open, strangers.to_vec()),
    ] {
        for origin in origins {
            let headers = format!("Origin: {origin}\r\n");
            let (get, _) = raw(desk, "GET", "/api/v1/auth/me", &headers, "").await;
            assert!(get.starts_with("http/1.1 401 "), "{origin}: {get}");
            let (asked, _) = raw(
                desk,
                "OPTIONS",
                "/api/v1/tickets",
                &format!("{headers}{preflight}"),
                "",
            )
            .await;
            assert!(asked.starts_with("http/1.1 405 "), "{origin}: {asked}");
            for head in [get, asked] {
                assert!(!head.contains("access-control-"), "{origin}: {head}");
            }
        }
    }
    let two = format!("Origin: {APP}\r\nOrigin: https://evil.example\r\n");
    let (head, _) = raw(&open, "GET", "/api/v1/auth/me", &two, "").await;
    assert!(!head.contains("access-control-"), "{head}");
    assert!(head.contains("\r\nvary: origin"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_named_origin_may_use_the_api_with_a_token_and_never_with_a_cookie() {
    let desk = TestDesk::start_with(|config| config.cors_origins = APP.parse().unwrap()).await;
    let customer = desk.person("cus", Role::User).await;
    let origin = format!("Origin: {APP}\r\n");
    let asked = format!("{origin}Access-Control-Request-Method: PATCH\r\n");
    let (head, body) = raw(&desk, "OPTIONS", "/api/v1/tickets", &asked, "").await;
    assert!(head.starts_with("http/1.1 204 ") && body.is_empty(), "{head}");
    for line in [
        "access-control-allow-origin: https://app.example.com",
        "access-control-allow-methods: get, head, post, put, patch, delete",
        "access-control-allow-headers: authorization, content-type, idempotency-key, if-match, \
         if-none-match, x-request-id",
        "vary: origin",
    ] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
    // A refusal can be read as well as a success, also one that the edge makes itself.
    let with_token = format!("{origin}{}", bearer(&customer));
    for (status, path, headers) in [
        ("200", "/api/v1/tickets", &with_token),
        ("401", "/api/v1/tickets", &origin),
        ("404", "/api/v1/nowhere", &origin),
    ] {
        let (head, _) = raw(&desk, "GET", path, headers, "").await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        for line in [
            "access-control-allow-origin: https://app.example.com",
            "access-control-expose-headers: etag, location, retry-after, ratelimit, ratelimit-policy, \
             x-request-id, idempotency-replayed",
            "vary: origin",
        ] {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
        assert!(
            !head.contains("allow-credentials") && !head.contains("set-cookie"),
            "{head}"
        );
    }
    let (head, _) = raw(&desk, "GET", "/healthz", &origin, "").await;
    assert!(
        !head.contains("access-control-"),
        "only the API is for pages: {head}"
    );
    // Without the question of a browser, OPTIONS is a method like any other.
    let (head, _) = raw(&desk, "OPTIONS", "/api/v1/tickets", &origin, "").await;
    assert!(head.starts_with("http/1.1 405 "), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_changes_nothing_and_forms_change_nothing() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let customer = desk.person("cus", Role::User).await;
    let ticket = desk.ticket(&customer, None).await;
    let before = checksum(&desk).await;
    let operations = operations(&desk).await;
    for (_, path) in &operations {
        let path = path.replace("/api/v1/tickets/01890a5d-ac96-774b-bcce-b302099a8057", &ticket);
        for method in ["GET", "HEAD", "OPTIONS"] {
            let (head, _) = raw(&desk, method, &path, &bearer(&admin), "").await;
            assert!(!head.starts_with("http/1.1 5"), "{method} {path}: {head}");
        }
    }
    assert_eq!(checksum(&desk).await, before);
    for (method, path) in operations.iter().filter(|(method, _)| method != "GET") {
        for form in [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain",
            "text/plain; x=application/json",
            "application/jsonp",
        ] {
            let headers = format!("{}Content-Type: {form}\r\n", bearer(&admin));
            // Files come in a form of this one type. A page of another origin can send that too, but no token with it.
            if path == "/api/v1/attachments" && form.starts_with("multipart/form-data") {
                let type_alone = format!("Content-Type: {form}\r\n");
                let file = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\na\r\n--x--\r\n";
                let (head, _) = raw(&desk, method, path, &type_alone, file).await;
                assert!(head.starts_with("http/1.1 401 "), "{head}");
                let (head, _) = raw(&desk, method, path, &headers, "{\"a\":1}").await;
                assert!(head.starts_with("http/1.1 400 "), "{head}");
                continue;
            }
            let (head, body) = raw(&desk, method, path, &headers, "{\"a\":1}").await;
            assert!(
                head.starts_with("http/1.1 415 ") && body.contains("request.unsupported_media_type"),
                "{method} {path} {form}: {head}"
            );
        }
    }
    assert_eq!(checksum(&desk).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_a_path_does_not_have_are_told_which_it_has() {
    let desk = TestDesk::start().await;
    for (method, path, status, allow) in [
        ("TRACE", "/api/v1/tickets", "405", "allow: get, post, head"),
        ("PUT", "/api/v1/tickets", "405", "allow: get, post, head"),
        ("BREW", "/api/v1/tickets", "405", "allow: get, post, head"),
        ("get", "/api/v1/tickets", "405", "allow: get, post, head"),
        ("TRACE", "/healthz", "405", "allow: get, head"),
        ("POST", "/api/docs/", "405", "allow: get, head"),
        ("TRACE", "/nowhere", "501", ""),
        ("BREW", "/", "501", ""),
        ("CONNECT", "desk", "501", ""),
        ("POST", "/nowhere", "404", ""),
    ] {
        let (head, body) = raw(&desk, method, path, "X-Canary: canary-of-a-header\r\n", "").await;
        assert!(
            head.starts_with(&format!("http/1.1 {status} ")),
            "{method} {path}: {head}"
        );
        assert!(
            allow.is_empty() || head.lines().any(|line| line == allow),
            "{method} {path}: {head}"
        );
        assert!(!body.contains("canary"), "nothing is echoed: {body}");
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["status"].to_string(), status);
    }
}

/// The problem without what differs from request to request.
fn problem(reply: &Reply) -> (u16, Value) {
    let mut document = reply.json();
    for member in ["requestId", "instance"] {
        document.as_object_mut().unwrap().remove(member);
    }
    (reply.status, document)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_is_as_unknown_as_what_never_was() {
    let desk = TestDesk::start_with(|config| config.api_docs = false).await;
    let nothing = problem(&desk.request("GET", "/certainly-nothing").send().await);
    assert_eq!(nothing.0, 404);
    for path in [
        "/.git/config",
        "/.env",
        "/debug",
        "/debug/pprof",
        "/actuator",
        "/actuator/env",
        "/server-status",
        "/metrics",
        "/phpinfo.php",
        "/admin",
        "/",
        "/api",
        "/api/v2/tickets",
        "/api/v0",
        "/api/v1",
        "/api/v1/",
        "/api/v1/debug",
        "/api/v10/tickets",
        "/api/docs",
        "/api/docs/",
        "/api/docs/swagger-ui.css",
        "/api/v1/openapi.json",
        "/%2e%2e/etc/passwd",
        "//healthz",
    ] {
        let reply = desk.request("GET", path).header("authorization", "Bearer guess");
        assert_eq!(problem(&reply.send().await), nothing, "{path}");
    }
    let post = desk.request("POST", "/metrics").send().await;
    assert_eq!(problem(&post), nothing, "neither is its other methods");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_a_persons_is_kept_by_no_cache_and_what_is_everyones_may_be() {
    let desk = TestDesk::start().await;
    let admin = desk.person("ada", Role::Admin).await;
    let _ = desk.ticket(&admin, None).await;
    for (method, path) in operations(&desk).await {
        let (head, _) = raw(&desk, &method, &path, &bearer(&admin), "").await;
        assert!(
            head.lines().any(|line| line == "cache-control: no-store"),
            "{method} {path}: {head}"
        );
    }
    let (head, _) = raw(&desk, "GET", "/api/docs/swagger-ui.css", "", "").await;
    assert!(head.contains("\r\ncache-control: public, max-age=3600"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let known = format!("If-None-Match: {tag}\r\n");
    let (head, body) = raw(&desk, "GET", "/api/docs/swagger-ui.css", &known, "").await;
    assert!(head.starts_with("http/1.1 304 ") && body.is_empty(), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_bound_a_desk_turns_requests_away_at_once_and_still_says_that_it_lives() {
    let desk = TestDesk::start_with(|config| config.requests_in_flight_max = 1).await;
    let customer = desk.person("cus", Role::User).await;
    // A body that has begun and does not come takes no place.
    let mut slow = desk.connect().await;
    let body = json!({ "email": "cus@example.org", "password": "wrong password" }).to_string();
    let head = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let _ = desk.get(&customer, "/api/v1/tickets").await.expect(200);

    let (locker, connection) = tokio_postgres::connect(desk.database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let test = async {
        locker
            .batch_execute("BEGIN; LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tickets'::regclass";
        let others = async {
            while desk.database.number(waits).await == 0 {
                tokio::task::yield_now().await;
            }
            let shed = desk.get(&customer, "/api/v1/notifications").await;
            shed.problem(503, "server.overloaded");
            assert_eq!(shed.header("retry-after"), "1");
            for path in ["/healthz", "/readyz"] {
                assert_eq!(desk.request("GET", path).send().await.status, 200, "{path}");
            }
            // Whoever comes back from waiting for a body finds no place either.
            slow.write_all(body.as_bytes()).await.unwrap();
            let answer = read_to_end(slow).await;
            assert!(answer.contains("server.overloaded"), "{answer}");
            locker.batch_execute("ROLLBACK").await.unwrap();
        };
        let (held, ()) = tokio::join!(desk.get(&customer, "/api/v1/tickets"), others);
        assert_eq!(held.status, 200, "{}", held.text);
        let _ = desk.get(&customer, "/api/v1/notifications").await.expect(200);
    };
    tokio::select! {
        () = test => {}
        _ = connection => panic!("the test's own connection ended"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_compressed_for_who_takes_that_but_never_those_with_secrets() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let body = json!({ "subject": "s", "description": "It burns. ".repeat(400) });
    let made = desk.post(&customer, "/api/v1/tickets", &body).await.expect(201);
    let path = made.header("location");
    let get = |path: &str, accepted: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n{}Accept-Encoding: {accepted}\r\n\r\n",
            bearer(&customer)
        );
        let desk = &desk;
        async move {
            let mut stream = desk.connect().await;
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut bytes = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes)
                .await
                .unwrap();
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            (head, bytes.split_off(end + 4))
        }
    };
    let tag_of = |head: &str| {
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: "));
        tag.unwrap().to_owned()
    };
    let (head, plain) = get(&path, "identity").await;
    assert!(!head.contains("content-encoding"), "{head}");
    assert!(head.contains("\r\nvary: accept-encoding"), "{head}");
    let tag = tag_of(&head);
    for accepted in ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8, *;q=0.1"] {
        let (head, small) = get(&path, accepted).await;
        assert!(head.contains("\r\ncontent-encoding: gzip"), "{accepted}: {head}");
        assert!(head.contains("\r\nvary: accept-encoding"), "{accepted}: {head}");
        assert!(
            small.len() < plain.len() / 2,
            "{} of {}",
            small.len(),
            plain.len()
        );
        let mut text = Vec::new();
        GzDecoder::new(&small[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, plain);
        // Other bytes, another tag, and yet the same version and the same answer.
        let marked = tag_of(&head);
        assert_ne!(marked, tag);
        let again = desk
            .request("GET", &path)
            .by(&customer)
            .header("if-none-match", &marked);
        let again = again.header("accept-encoding", "gzip").send().await.expect(304);
        assert_eq!(again.header("etag"), marked);
        let change = desk
            .request("PATCH", &path)
            .by(&customer)
            .header("if-match", &marked);
        let refused = change.json(&json!({ "subject": "" })).send().await;
        refused.problem(422, "request.invalid");
    }
    for accepted in ["br", "gzip;q=0", "", "nonsense;;q=x"] {
        let (head, whole) = get(&path, accepted).await;
        assert!(
            !head.contains("content-encoding") && whole == plain,
            "{accepted}: {head}"
        );
    }
    // Too small, a problem, and what is below /auth.
    for path in ["/api/v1/auth/me", "/api/v1/teams", "/api/v1/nowhere"] {
        let (head, _) = get(path, "gzip").await;
        assert!(!head.contains("content-encoding"), "{path}: {head}");
    }
    let login = json!({ "email": "cus@example.org", "password": desk::app::PASSWORD }).to_string();
    let headers = "Content-Type: application/json\r\nAccept-Encoding: gzip\r\n";
    let (head, body) = raw(&desk, "POST", "/api/v1/auth/login", headers, &login).await;
    assert!(
        !head.contains("content-encoding") && body.contains("accessToken"),
        "{head}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_mailed_links_loads_its_own_files_and_nothing_else() {
    let desk = TestDesk::start().await;
    for step in ["verify-email", "confirm-email", "reset-password", "invitation"] {
        let page = desk
            .request("GET", &format!("/account/{step}"))
            .send()
            .await
            .expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("script-src 'self'") && !policy.contains("unsafe"),
            "{policy}"
        );
        // Nothing in the page itself would run under that policy, so nothing is lost by it.
        assert!(
            !page.text.contains("<style") && !page.text.contains("<script>"),
            "{}",
            page.text
        );
        for asset in ["/account/assets/page.js", "/account/assets/page.css"] {
            assert!(page.text.contains(asset), "{asset}");
            let file = desk.request("GET", asset).send().await.expect(200);
            assert_eq!(file.header("x-content-type-options"), "nosniff");
        }
    }
    desk.request("GET", "/account/other")
        .send()
        .await
        .problem(404, "request.unknown_path");
    let posted = desk.request("POST", "/account/verify-email").send().await;
    assert_eq!(
        (posted.status, posted.header("allow").as_str()),
        (405, "GET, HEAD")
    );
}
