//! Files: taken within bounds, named and typed by what they are, given out as files and nothing else, to nobody who may
//! not see them, and gone when nobody wants them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Duration;
use delivery::ScannerAddress;
use desk::app::{Caller, Reply, TestDesk, lifted, read_to_end};
use desk::database::test_database;
use kernel::{Clock as _, ManualClock, Role, TeamId, TeamRole};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use uuid::Uuid;

const BOUNDARY: &str = "a-boundary";
const MIB: usize = 1 << 20;

/// A form with one part.
fn form(part: &str, file_name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{part}\"; filename=\"{file_name}\"\r\n\
         Content-Type: text/html\r\n\r\n"
    );
    [
        head.as_bytes(),
        content,
        format!("\r\n--{BOUNDARY}--\r\n").as_bytes(),
    ]
    .concat()
}

async fn send_form(desk: &TestDesk, caller: &Caller, body: Vec<u8>) -> Reply {
    let form = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = desk.request("POST", "/api/v1/attachments").by(caller);
    request.header("content-type", &form).raw(body).send().await
}

async fn upload(desk: &TestDesk, caller: &Caller, file_name: &str, content: &[u8]) -> Reply {
    send_form(desk, caller, form("file", file_name, content)).await
}

/// An upload that is taken; its id.
async fn uploaded(desk: &TestDesk, caller: &Caller, file_name: &str, content: &[u8]) -> String {
    upload(desk, caller, file_name, content)
        .await
        .expect(201)
        .text_of("/id")
}

/// A message with uploads on it.
async fn write(desk: &TestDesk, caller: &Caller, ticket: &str, internal: bool, ids: &[&str]) -> Reply {
    let mut body = json!({ "message": "see there", "attachmentIds": ids });
    if internal {
        body["isInternal"] = Value::Bool(true);
    }
    desk.post(caller, &format!("{ticket}/messages"), &body).await
}

/// The link to a file that somebody is given.
async fn link(desk: &TestDesk, caller: &Caller, id: &str) -> String {
    let shown = desk.get(caller, &format!("/api/v1/attachments/{id}")).await;
    shown.expect(200).text_of("/url")
}

async fn follow(desk: &TestDesk, link: &str) -> Reply {
    desk.request("GET", link).send().await
}

/// The files that are kept, by their names.
fn kept(desk: &TestDesk) -> Vec<String> {
    fn below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] })
            .collect()
    }
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<String> = below(desk.files.path()).into_iter().map(name).collect();
    names.sort();
    names
}

/// The attachments that are known of.
async fn known(desk: &TestDesk) -> Vec<String> {
    let rows = desk
        .database
        .rows("SELECT id::text FROM attachments ORDER BY id::text")
        .await;
    rows.concat().into_iter().flatten().collect()
}

/// A desk with a customer and their ticket in a team of an agent, a supervisor and a lead.
struct World {
    desk: TestDesk,
    admin: Caller,
    customer: Caller,
    stranger: Caller,
    agent: Caller,
    supervisor: Caller,
    team: TeamId,
    ticket: String,
}

impl World {
    async fn new() -> Self {
        Self::on(TestDesk::start().await).await
    }

    async fn on(desk: TestDesk) -> Self {
        let admin = desk.person("ada", Role::Admin).await;
        let customer = desk.person("cus", Role::User).await;
        let stranger = desk.person("str", Role::User).await;
        let agent = desk.person("age", Role::Agent).await;
        let supervisor = desk.person("sue", Role::Agent).await;
        let members = [(&agent, TeamRole::Agent), (&supervisor, TeamRole::Supervisor)];
        let team = desk.team(&admin, "Front", &members).await;
        let ticket = desk.ticket(&customer, Some(team)).await;
        Self {
            desk,
            admin,
            customer,
            stranger,
            agent,
            supervisor,
            team,
            ticket,
        }
    }
}

// ------------------------------------------------------------------------------------------------ F01, F02

/// The memory that this process has in use, in bytes.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Whether this is a process in which nothing but the test of this name runs, so that its memory tells of that alone. Where
/// it is not, the test is run in such a one, and must pass there.
fn runs_alone(test: &str) -> bool {
    const ALONE: &str = "INSIGHTDESK_TEST_RUNS_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let run = command.args([test, "--exact"]).env(ALONE, "1").output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
    false
}

/// The head of an upload and the beginning of its form.
fn streamed_head(caller: &Caller, length: Option<usize>) -> (String, String) {
    let part = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large.bin\"\r\n\r\n"
    );
    let length = match length {
        Some(bytes) => format!("Content-Length: {bytes}"),
        None => "Transfer-Encoding: chunked".to_owned(),
    };
    let head = format!(
        "POST /api/v1/attachments HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nConnection: close\r\n{length}\r\n\r\n",
        caller.token
    );
    (head, part)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_beyond_the_limit_is_refused_before_it_is_read_to_its_end() {
    let desk = TestDesk::start_with(|config| config.attachments.bytes_max = MIB as u64).await;
    let customer = desk.person("cus", Role::User).await;
    let limit = vec![7; MIB];
    let at_the_limit = upload(&desk, &customer, "a.bin", &limit).await.expect(201);
    assert_eq!(at_the_limit.json()["size"], MIB);
    let beyond = vec![7; MIB + 1];
    upload(&desk, &customer, "a.bin", &beyond)
        .await
        .problem(413, "request.too_large");

    // One that says how long it is gets its answer before it sends anything.
    let (head, _) = streamed_head(&customer, Some(100 * MIB));
    let answer = desk.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    // One that does not gets it soon after the limit, while it still has more to send.
    let (head, part) = streamed_head(&customer, None);
    let chunked = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let mut stream = desk.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&chunked(part.as_bytes())).await.unwrap();
    let piece = chunked(&vec![7; 64 * 1024]);
    for _ in 0..=MIB / (64 * 1024) {
        stream.write_all(&piece).await.unwrap();
    }
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413 ");
    drop(stream);
    assert_eq!(kept(&desk), known(&desk).await);
    assert_eq!(known(&desk).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_takes_no_more_memory_than_a_small_one() {
    if !runs_alone("attachments::a_large_file_takes_no_more_memory_than_a_small_one") {
        return;
    }
    const SIZE: usize = 100 * MIB;
    let desk = TestDesk::start_with(|config| config.attachments.bytes_max = SIZE as u64).await;
    let customer = desk.person("cus", Role::User).await;
    let warm = uploaded(&desk, &customer, "warm.bin", &vec![1; 4 * MIB]).await;
    let chunk = vec![1; 64 * 1024];
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let (_, part) = streamed_head(&customer, None);
    let (head, _) = streamed_head(&customer, Some(part.len() + SIZE + tail.len()));
    let before = resident_bytes();
    let mut most = before;
    let mut stream = desk.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(part.as_bytes()).await.unwrap();
    for _ in 0..SIZE / chunk.len() {
        stream.write_all(&chunk).await.unwrap();
        most = most.max(resident_bytes());
    }
    stream.write_all(tail.as_bytes()).await.unwrap();
    let answer = read_to_end(stream).await;
    most = most.max(resident_bytes());
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(most - before < 32 * MIB, "{} bytes more", most - before);

    let id = known(&desk).await.into_iter().find(|id| *id != warm).unwrap();
    let path = link(&desk, &customer, &id).await;
    let before = resident_bytes();
    let mut most = before;
    let mut stream = desk.connect().await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut piece = vec![0; 64 * 1024];
    let mut read = 0;
    loop {
        let bytes = stream.read(&mut piece).await.unwrap();
        if bytes == 0 {
            break;
        }
        read += bytes;
        most = most.max(resident_bytes());
    }
    assert!(read > SIZE, "{read} bytes");
    assert!(most - before < 32 * MIB, "{} bytes more", most - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_packed_is_kept_as_it_is_and_never_unpacked() {
    if !runs_alone("attachments::what_is_packed_is_kept_as_it_is_and_never_unpacked") {
        return;
    }
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1024 {
        bomb.write_all(&vec![0; MIB]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    // A picture that says of itself that it has 60,000 by 60,000 points.
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    picture.extend([0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60, 8, 6, 0, 0, 0]);
    // An archive in an archive: only its beginning is looked at.
    let nested = [b"PK\x03\x04".as_slice(), &[0; 26], b"PK\x03\x04", &bomb].concat();
    let before = resident_bytes();
    // Nor is a body that says of itself that it is packed.
    let packed = desk
        .request("POST", "/api/v1/tickets")
        .by(&customer)
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .raw(bomb.get(..1024 * 1024).unwrap_or(&bomb))
        .send()
        .await;
    assert!(matches!(packed.status, 400 | 413 | 415), "{}", packed.text);
    for (name, content, content_type) in [
        ("zeros.gz", &bomb, "application/gzip"),
        ("nested.zip", &nested, "application/zip"),
        ("huge.png", &picture, "image/png"),
    ] {
        let made = upload(&desk, &customer, name, content).await.expect(201);
        assert_eq!(made.json()["size"], content.len());
        assert_eq!(made.text_of("/contentType"), content_type);
        let path = link(&desk, &customer, &made.text_of("/id")).await;
        let got = follow(&desk, &path).await.expect(200);
        assert_eq!(got.header("content-length"), content.len().to_string());
        assert_eq!(got.header("content-encoding"), "");
        assert!(resident_bytes() - before < 32 * MIB, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_one_file_and_nothing_else() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let two = {
        let mut body = form("file", "a", b"1");
        body.truncate(body.len() - format!("--{BOUNDARY}--\r\n").len());
        [body, form("file", "b", b"2")].concat()
    };
    for (body, pointer) in [
        (form("upload", "a.txt", b"x"), "/upload"),
        (two, "/file"),
        (format!("--{BOUNDARY}--\r\n").into_bytes(), "/file"),
    ] {
        let reply = send_form(&desk, &customer, body).await;
        reply.problem(422, "request.invalid");
        assert_eq!(reply.text_of("/errors/0/pointer"), pointer, "{}", reply.text);
    }
    let mut cut = form("file", "a.txt", b"x");
    cut.truncate(cut.len() - 10);
    send_form(&desk, &customer, cut)
        .await
        .problem(400, "request.bad_request");
    let as_json = desk.post(&customer, "/api/v1/attachments", &json!({})).await;
    as_json.problem(415, "request.unsupported_media_type");
    assert_eq!(as_json.header("accept"), "multipart/form-data");
    assert_eq!((known(&desk).await, kept(&desk)), (vec![], vec![]));
    let _ = upload(&desk, &customer, "empty.txt", b"").await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_keeps_more_than_they_may_on_no_message() {
    let desk = TestDesk::start_with(|config| config.attachments.bytes_max = 1_000).await;
    let (customer, other) = (
        desk.person("cus", Role::User).await,
        desk.person("oth", Role::User).await,
    );
    let ticket = desk.ticket(&customer, None).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(uploaded(&desk, &customer, "a", &[1; 1_000]).await);
    }
    upload(&desk, &customer, "a", b"1")
        .await
        .problem(409, "attachment.too_many");
    let _ = upload(&desk, &other, "a", b"1").await.expect(201);
    let path = format!("/api/v1/attachments/{}", ids[0]);
    let _ = desk
        .request("DELETE", &path)
        .by(&customer)
        .send()
        .await
        .expect(204);
    ids[0] = uploaded(&desk, &customer, "a", &[1; 1_000]).await;
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    let _ = write(&desk, &customer, &ticket, false, &all).await.expect(201);
    for _ in 0..50 {
        let _ = upload(&desk, &customer, "a", b"").await.expect(201);
    }
    upload(&desk, &customer, "a", b"")
        .await
        .problem(409, "attachment.too_many");
    assert_eq!(kept(&desk), known(&desk).await);
}

// ------------------------------------------------------------------------------------------------ F03, F04, I04

#[tokio::test(flavor = "multi_thread")]
async fn a_files_name_is_shown_cleaned_and_names_nothing_on_the_server() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let long = format!("{}.pdf", "x".repeat(300));
    for (raw, shown) in [
        ("../../etc/cron.d/x", "x"),
        ("C:\\\\Users\\\\me\\\\x.txt", "x.txt"),
        ("invoice\u{202E}fdp.exe", "invoicefdp.exe"),
        ("größe 图.png", "größe 图.png"),
        (long.as_str(), &format!("{}.pdf", "x".repeat(251))),
        ("", "file"),
    ] {
        let made = upload(&desk, &customer, raw, b"content").await.expect(201);
        assert_eq!(made.text_of("/fileName"), shown, "{raw}");
        let path = link(&desk, &customer, &made.text_of("/id")).await;
        let got = follow(&desk, &path).await.expect(200);
        let disposition = got.header("content-disposition");
        assert!(
            disposition.starts_with("attachment; filename=\""),
            "{disposition}"
        );
        assert!(disposition.contains("; filename*=UTF-8''"), "{disposition}");
    }
    // A name with a line break in it comes as RFC 8187 writes it.
    let body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''a%0D%0ASet-Cookie:%20b.txt\r\n\r\nx\
         \r\n--{BOUNDARY}--\r\n"
    );
    let made = send_form(&desk, &customer, body.into_bytes()).await.expect(201);
    assert_eq!(made.text_of("/fileName"), "aSet-Cookie: b.txt");
    let path = link(&desk, &customer, &made.text_of("/id")).await;
    let got = follow(&desk, &path).await.expect(200);
    assert_eq!(got.header("set-cookie"), "");
    for name in kept(&desk) {
        assert!(
            Uuid::try_parse(&name).is_ok_and(|id| id.to_string() == name),
            "{name}"
        );
    }
    assert_eq!(kept(&desk), known(&desk).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_files_is_not_served() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let id = uploaded(&desk, &customer, "a.txt", b"MARK-OF-A-FILE").await;
    let shard = &id[id.len() - 2..];
    for path in [
        format!("/attachments/{shard}/{id}"),
        format!("/attachments/{id}"),
        format!("/api/v1/attachments/{shard}/{id}"),
        format!("/api/v1/attachments/{id}/file"),
        format!("/api/v1/attachments/{id}/file?link=x"),
        format!("/api/v1/attachments/..%2f{shard}%2f{id}"),
        format!("/api/docs/../../attachments/{shard}/{id}"),
        format!("/api/docs/..%2f..%2fattachments%2f{shard}%2f{id}"),
        format!("/account/..%2f..%2fattachments/{shard}/{id}"),
        "/attachments/".to_owned(),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            customer.token
        );
        let answer = desk.exchange(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert!(!answer.contains("MARK-OF-A-FILE"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_uploaded_comes_back_as_a_file_and_never_as_a_page() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let script = "<script>alert(1)</script>";
    for (name, content, content_type) in [
        ("page.html", format!("<!DOCTYPE html>{script}"), "text/html"),
        (
            "picture.svg",
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{script}</svg>"),
            "text/plain",
        ),
        (
            "data.xml",
            format!("<?xml version=\"1.0\"?><a>{script}</a>"),
            "text/xml",
        ),
        ("paper.pdf", "%PDF-1.7 /JS".to_owned(), "application/pdf"),
        ("innocent.png", format!("<html>{script}</html>"), "text/html"),
    ] {
        let made = upload(&desk, &customer, name, content.as_bytes())
            .await
            .expect(201);
        assert_eq!(made.text_of("/contentType"), content_type, "{name}");
        let path = link(&desk, &customer, &made.text_of("/id")).await;
        let got = follow(&desk, &path).await.expect(200);
        assert_eq!(got.text, content);
        assert_eq!(got.header("content-type"), content_type);
        assert_eq!(
            got.header("content-disposition"),
            format!("attachment; filename=\"{name}\"; filename*=UTF-8''{name}")
        );
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        let policy = got.header("content-security-policy");
        assert!(policy.split("; ").any(|rule| rule == "sandbox"), "{policy}");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert_eq!(got.header("etag"), format!("\"{}\"", made.text_of("/sha256")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_be_asked_about_and_for_in_parts() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let made = upload(&desk, &customer, "a.txt", b"0123456789").await.expect(201);
    // The SHA-256 of that.
    let sum = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";
    assert_eq!(made.text_of("/sha256"), sum);
    let path = link(&desk, &customer, &made.text_of("/id")).await;
    let head = desk.request("HEAD", &path).send().await.expect(200);
    assert_eq!(
        (head.header("content-length").as_str(), head.text.as_str()),
        ("10", "")
    );
    let part = desk
        .request("GET", &path)
        .header("range", "bytes=2-4")
        .send()
        .await
        .expect(206);
    assert_eq!(
        (part.text.as_str(), part.header("content-range").as_str()),
        ("234", "bytes 2-4/10")
    );
    let beyond = desk
        .request("GET", &path)
        .header("range", "bytes=10-")
        .send()
        .await;
    beyond.problem(416, "request.range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), "bytes */10");
    let tag = format!("\"{sum}\"");
    let same = desk
        .request("GET", &path)
        .header("if-none-match", &tag)
        .send()
        .await
        .expect(304);
    assert_eq!(same.header("etag"), tag);
}

// ------------------------------------------------------------------------------------------------ F05, F06

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_came_back_for_goes_after_a_day_and_nothing_else() {
    let clock = Arc::new(ManualClock::at(credentials::SystemClock.now()));
    let desk = TestDesk::start_as(test_database().await, lifted(), clock.clone()).await;
    let customer = desk.person("cus", Role::User).await;
    let ticket = desk.ticket(&customer, None).await;
    let bound = uploaded(&desk, &customer, "bound.txt", b"bound").await;
    let _ = write(&desk, &customer, &ticket, false, &[&bound])
        .await
        .expect(201);
    let unbound = uploaded(&desk, &customer, "unbound.txt", b"unbound").await;
    // As after a crash: a file without its row.
    let orphan = Uuid::from_u128(0x5c).to_string();
    let shard = desk.files.path().join("attachments/5c");
    std::fs::create_dir_all(&shard).unwrap();
    std::fs::write(shard.join(&orphan), "orphan").unwrap();
    std::fs::write(shard.join(format!("{orphan}#1")), "half an upload").unwrap();
    let sweep = async || {
        let mut removed = 0;
        // Four rounds go through all the files; they are begun anew as long as one finds something.
        for _ in 0..8 {
            removed += desk.desk.attachments.sweep().await.unwrap();
        }
        removed
    };
    clock.advance(Duration::hours(23));
    assert_eq!(sweep().await, 0);
    assert_eq!(known(&desk).await.len(), 2);
    assert_eq!(kept(&desk).len(), 4);
    clock.advance(Duration::minutes(61));
    assert_eq!(sweep().await, 3);
    assert_eq!(known(&desk).await, std::slice::from_ref(&bound));
    assert_eq!(kept(&desk), [bound]);
    assert_ne!(unbound, orphan);
    clock.advance(Duration::days(400));
    assert_eq!(sweep().await, 0);
    assert_eq!(kept(&desk).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_sweep_beside_each_other() {
    let clock = Arc::new(ManualClock::at(credentials::SystemClock.now()));
    let one = TestDesk::start_as(test_database().await, lifted(), clock.clone()).await;
    let config = server::config::Config {
        attachments_place: one.desk.config.attachments_place.clone(),
        ..lifted()
    };
    let two = TestDesk::start_as(Arc::clone(&one.database), config, clock.clone()).await;
    let customer = one.person("cus", Role::User).await;
    for _ in 0..20 {
        uploaded(&one, &customer, "a", b"a").await;
    }
    clock.advance(Duration::hours(25));
    let (first, second) = tokio::join!(one.desk.attachments.sweep(), two.desk.attachments.sweep());
    // The file of a row that one has removed may be found by the other.
    assert!(first.unwrap() + second.unwrap() >= 20);
    assert_eq!((known(&one).await, kept(&one)), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_file_and_row_leaves_no_row_without_a_file() {
    let clock = Arc::new(ManualClock::at(credentials::SystemClock.now()));
    let desk = TestDesk::start_as(test_database().await, lifted(), clock.clone()).await;
    let customer = desk.person("cus", Role::User).await;
    let actor = kernel::Actor::Person(kernel::Person {
        id: customer.id,
        role: Role::User,
        teams: Vec::new(),
        origin: None,
    });
    // The process ends while the file arrives: nothing is there.
    let mut upload_of = desk.desk.attachments.begin(&actor, "a.txt").await.unwrap();
    upload_of.write(b"half").await.unwrap();
    drop(upload_of);
    assert_eq!((known(&desk).await, kept(&desk)), (vec![], vec![]));
    // It ends between the file and the row: the file alone is there.
    let mut upload_of = desk.desk.attachments.begin(&actor, "a.txt").await.unwrap();
    upload_of.write(b"whole").await.unwrap();
    drop(upload_of.end().await.unwrap());
    assert_eq!((known(&desk).await.len(), kept(&desk).len()), (0, 1));
    // The database fails in between: the same.
    desk.database
        .batch("ALTER TABLE attachments ADD CONSTRAINT broken CHECK (file_name <> 'broken.txt')")
        .await;
    let reply = upload(&desk, &customer, "broken.txt", b"x").await;
    assert_eq!(reply.status, 500, "{}", reply.text);
    assert_eq!((known(&desk).await.len(), kept(&desk).len()), (0, 2));
    clock.advance(Duration::hours(25));
    for _ in 0..8 {
        desk.desk.attachments.sweep().await.unwrap();
    }
    assert_eq!(kept(&desk), Vec::<String>::new());
}

/// A clamd that finds something wherever `EICAR` stands; it answers until it is dropped.
#[expect(
    clippy::disallowed_methods,
    reason = "the scanner runs beside the test and ends with it"
)]
async fn clamd() -> (ScannerAddress, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let running = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut command = [0; 10];
            stream.read_exact(&mut command).await.unwrap();
            assert_eq!(&command, b"zINSTREAM\0");
            let mut content = Vec::new();
            loop {
                let length = stream.read_u32().await.unwrap() as usize;
                if length == 0 {
                    break;
                }
                let begin = content.len();
                content.resize(begin + length, 0);
                stream.read_exact(&mut content[begin..]).await.unwrap();
            }
            let found = content.windows(5).any(|bytes| bytes == b"EICAR");
            let answer: &[u8] = if found {
                b"stream: Eicar-Signature FOUND\0"
            } else {
                b"stream: OK\0"
            };
            stream.write_all(answer).await.unwrap();
        }
    });
    (ScannerAddress::parse(&address).unwrap(), running)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_which_the_scanner_finds_something_is_never_kept() {
    let (address, scanner) = clamd().await;
    let desk = TestDesk::start_with(|config| config.virus_scanner = Some(address)).await;
    let customer = desk.person("cus", Role::User).await;
    let clean = uploaded(&desk, &customer, "clean.txt", &vec![b'a'; 300_000]).await;
    let infected = upload(&desk, &customer, "bad.txt", b"...EICAR...").await;
    infected.problem(422, "attachment.infected");
    assert!(!infected.text.contains("Eicar-Signature"), "{}", infected.text);
    assert_eq!(known(&desk).await, std::slice::from_ref(&clean));
    assert_eq!(kept(&desk), std::slice::from_ref(&clean));
    let path = link(&desk, &customer, &clean).await;
    let _ = follow(&desk, &path).await.expect(200);

    scanner.abort();
    let _ = scanner.await;
    let unscanned = upload(&desk, &customer, "unknown.txt", b"x").await;
    unscanned.problem(503, "attachment.not_scanned");
    assert!(!unscanned.header("retry-after").is_empty());
    assert_eq!(known(&desk).await, std::slice::from_ref(&clean));
    assert_eq!(kept(&desk), [clean]);
}

// ------------------------------------------------------------------------------------------------ messages

#[tokio::test(flavor = "multi_thread")]
async fn uploads_hang_on_the_message_that_names_them() {
    let world = World::new().await;
    let World {
        desk,
        customer,
        agent,
        ticket,
        ..
    } = &world;
    let (one, two) = (
        uploaded(desk, customer, "one.txt", b"1").await,
        uploaded(desk, customer, "two.txt", b"22").await,
    );
    let sent = write(desk, customer, ticket, false, &[&one, &two])
        .await
        .expect(201);
    let urls = json!([
        format!("/api/v1/attachments/{one}"),
        format!("/api/v1/attachments/{two}")
    ]);
    let message = sent.text_of("/id");
    for reply in [
        sent,
        desk.get(agent, &format!("{ticket}/messages/{message}"))
            .await
            .expect(200),
    ] {
        let json = reply.json();
        assert_eq!(json["attachmentUrls"], urls);
        assert_eq!(json["attachments"][0]["fileName"], "one.txt");
        assert_eq!(json["attachments"][1]["id"], two.as_str());
        assert_eq!(json["attachments"][1]["size"], 2);
    }
    let listed = desk
        .get(agent, &format!("{ticket}/messages"))
        .await
        .expect(200)
        .json();
    assert_eq!(listed["data"][0]["attachments"][0]["id"], one.as_str());
    // What the contract's clients read.
    let rows = desk
        .database
        .rows("SELECT attachment_urls::text FROM ticket_messages")
        .await;
    let stored: Value = serde_json::from_str(rows[0][0].as_deref().unwrap()).unwrap();
    assert_eq!(stored, urls);
    let path = link(desk, agent, &one).await;
    assert_eq!(follow(desk, &path).await.expect(200).text, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_ones_own_uploads_that_hang_on_nothing_can_be_named() {
    let world = World::new().await;
    let World {
        desk,
        customer,
        stranger,
        ticket,
        ..
    } = &world;
    let (own, used) = (
        uploaded(desk, customer, "own", b"1").await,
        uploaded(desk, customer, "used", b"2").await,
    );
    let others = uploaded(desk, stranger, "others", b"3").await;
    let _ = write(desk, customer, ticket, false, &[&used]).await.expect(201);
    let unknown = Uuid::from_u128(1).to_string();
    let said = async |ids: &[&str]| {
        let reply = write(desk, customer, ticket, false, ids).await;
        reply.problem(422, "request.invalid");
        let fault = reply.json()["errors"][0].clone();
        (
            fault["pointer"].clone(),
            fault["code"].clone(),
            fault["message"].clone(),
        )
    };
    let absent = said(&[&own, &unknown]).await;
    assert_eq!(
        (&absent.0, &absent.1),
        (&json!("/attachmentIds/1"), &json!("unknown"))
    );
    // Someone else's and a used one are told of as one that is not there.
    assert_eq!(said(&[&own, &others]).await, absent);
    assert_eq!(said(&[&own, &used]).await, absent);
    assert_eq!(said(&[&own, &own]).await.1, "repeated");
    assert_eq!(said(&[own.as_str(); 11]).await.1, "too_many");
    let count = "SELECT count(*)::text FROM ticket_messages";
    assert_eq!(desk.database.rows(count).await[0][0].as_deref(), Some("1"));
    let _ = write(desk, customer, ticket, false, &[&own]).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_sent_again_is_there_once() {
    let desk = TestDesk::start().await;
    let customer = desk.person("cus", Role::User).await;
    let form_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let send = async |content: &[u8]| {
        let request = desk.request("POST", "/api/v1/attachments").by(&customer);
        let request = request
            .header("content-type", &form_type)
            .header("idempotency-key", "k-1");
        request.raw(form("file", "a.txt", content)).send().await
    };
    let first = send(b"same").await.expect(201);
    let again = send(b"same").await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(
        (again.text, again.headers.get("location")),
        (first.text, first.headers.get("location"))
    );
    send(b"other")
        .await
        .problem(422, "request.idempotency_key_reused");
    assert_eq!(known(&desk).await.len(), 1);
    assert_eq!(kept(&desk), known(&desk).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_of_internal_text_leaves_no_trace_for_the_customer() {
    const CANARY: &str = "CANARY-INT-9d1e";
    let world = World::new().await;
    let World {
        desk,
        customer,
        agent,
        supervisor,
        ticket,
        ..
    } = &world;
    let paths: Vec<String> = ["", "/messages", "/activity"]
        .iter()
        .map(|rest| format!("{ticket}{rest}"))
        .collect();
    let shown = async || {
        let mut shown = Vec::new();
        for path in &paths {
            let reply = desk.get(customer, path).await.expect(200);
            shown.push((reply.text.clone(), reply.header("etag")));
        }
        shown
    };
    let before = shown().await;
    let secret = uploaded(desk, agent, &format!("{CANARY}.txt"), CANARY.as_bytes()).await;
    let _ = write(desk, agent, ticket, true, &[&secret]).await.expect(201);
    let path = format!("/api/v1/attachments/{secret}");
    assert_eq!(shown().await, before);
    let nothing = desk
        .get(customer, &format!("/api/v1/attachments/{}", Uuid::nil()))
        .await;
    let hidden = desk.get(customer, &path).await;
    hidden.problem(404, "attachment.not_found");
    assert_eq!(hidden.json()["detail"], nothing.json()["detail"]);
    desk.request("DELETE", &path)
        .by(customer)
        .send()
        .await
        .problem(404, "attachment.not_found");
    let link_of_agent = link(desk, agent, &secret).await;
    assert_eq!(follow(desk, &link_of_agent).await.expect(200).text, CANARY);
    let _ = desk
        .request("DELETE", &path)
        .by(supervisor)
        .send()
        .await
        .expect(204);
    assert_eq!(shown().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_that_is_removed_stays_in_the_history_alone() {
    let world = World::new().await;
    let World {
        desk,
        customer,
        agent,
        supervisor,
        ticket,
        ..
    } = &world;
    let id = uploaded(desk, customer, "secret.txt", b"oops").await;
    let stays = uploaded(desk, customer, "fine.txt", b"fine").await;
    let message = write(desk, customer, ticket, false, &[&id, &stays])
        .await
        .expect(201)
        .text_of("/id");
    let path = format!("/api/v1/attachments/{id}");
    let link_of_customer = link(desk, customer, &id).await;
    for caller in [customer, agent] {
        desk.request("DELETE", &path)
            .by(caller)
            .send()
            .await
            .problem(403, "access.forbidden");
    }
    let _ = desk
        .request("DELETE", &path)
        .by(supervisor)
        .send()
        .await
        .expect(204);
    let json = desk
        .get(customer, &format!("{ticket}/messages/{message}"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        json["attachmentUrls"],
        json!([format!("/api/v1/attachments/{stays}")])
    );
    assert_eq!(json["attachments"].as_array().unwrap().len(), 1);
    follow(desk, &link_of_customer)
        .await
        .problem(404, "attachment.not_found");
    desk.request("DELETE", &path)
        .by(supervisor)
        .send()
        .await
        .problem(404, "attachment.not_found");
    assert_eq!(kept(desk), [stays]);
    let history = desk
        .get(agent, &format!("{ticket}/activity"))
        .await
        .expect(200)
        .json();
    let last = history["data"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["actionType"], "attachment_removed");
    assert_eq!(last["oldValue"]["fileName"], "secret.txt");
    let theirs = desk
        .get(customer, &format!("{ticket}/activity"))
        .await
        .expect(200);
    assert!(!theirs.text.contains("secret.txt"), "{}", theirs.text);
    let told = "SELECT count(*) FROM outbox o WHERE o::text LIKE '%ticket.attachment_removed%'";
    assert_eq!(desk.database.number(told).await, 1);
}

// ------------------------------------------------------------------------------------------------ Z10

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_only_while_its_owner_may_see_the_file() {
    let world = World::new().await;
    let World {
        desk,
        admin,
        customer,
        stranger,
        agent,
        supervisor,
        team,
        ticket,
    } = &world;
    let id = uploaded(desk, customer, "a.txt", b"mine").await;
    let own = link(desk, customer, &id).await;
    desk.get(stranger, &format!("/api/v1/attachments/{id}"))
        .await
        .problem(404, "attachment.not_found");
    assert_eq!(follow(desk, &own).await.expect(200).text, "mine");
    let _ = write(desk, customer, ticket, false, &[&id]).await.expect(201);
    let of_agent = link(desk, agent, &id).await;
    let of_supervisor = link(desk, supervisor, &id).await;
    let of_admin = link(desk, admin, &id).await;
    // A link to one file opens no other, and a changed one nothing.
    let other = uploaded(desk, customer, "b.txt", b"other").await;
    let swapped = own.replace(&id, &other);
    follow(desk, &swapped).await.problem(404, "attachment.not_found");
    follow(desk, &format!("{own}x"))
        .await
        .problem(404, "attachment.not_found");
    let signature = own.rsplit('=').next().unwrap();
    let bearing = format!("Bearer {signature}");
    let as_token = desk
        .request("GET", "/api/v1/auth/me")
        .header("authorization", &bearing);
    assert_eq!(as_token.send().await.status, 401);

    // Out of the team.
    let members = format!("/api/v1/teams/{team}/members/{}", agent.id);
    let _ = follow(desk, &of_agent).await.expect(200);
    let _ = desk
        .request("DELETE", &members)
        .by(admin)
        .send()
        .await
        .expect(204);
    follow(desk, &of_agent).await.problem(404, "attachment.not_found");
    // No longer staff.
    let _ = follow(desk, &of_supervisor).await.expect(200);
    let user = format!("/api/v1/users/{}", supervisor.id);
    let _ = desk
        .patch(admin, &user, &json!({ "role": "user" }))
        .await
        .expect(200);
    follow(desk, &of_supervisor)
        .await
        .problem(404, "attachment.not_found");
    // The ticket is deleted, and comes back.
    let _ = desk.request("DELETE", ticket).by(admin).send().await.expect(204);
    for link in [&own, &of_admin] {
        follow(desk, link).await.problem(404, "attachment.not_found");
    }
    desk.get(admin, &format!("/api/v1/attachments/{id}"))
        .await
        .problem(404, "attachment.not_found");
    let _ = desk
        .post(admin, &format!("{ticket}/restore"), &json!({}))
        .await
        .expect(200);
    let _ = follow(desk, &own).await.expect(200);
    // The session ends.
    let _ = desk
        .request("POST", "/api/v1/auth/logout")
        .by(customer)
        .send()
        .await
        .expect(204);
    follow(desk, &own).await.problem(404, "attachment.not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_five_minutes() {
    let clock = Arc::new(ManualClock::at(credentials::SystemClock.now()));
    let desk = TestDesk::start_as(test_database().await, lifted(), clock.clone()).await;
    let customer = desk.person("cus", Role::User).await;
    let id = uploaded(&desk, &customer, "a.txt", b"mine").await;
    let own = link(&desk, &customer, &id).await;
    clock.advance(Duration::seconds(299));
    let _ = follow(&desk, &own).await.expect(200);
    clock.advance(Duration::seconds(1));
    follow(&desk, &own).await.problem(404, "attachment.not_found");
}
