//! The program as an operator meets it: started, used, stopped, killed and started again.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

#[path = "crash/mod.rs"]
mod crash;

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use local_postgres::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// A server that is told to stop has gone by then.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "seven purple lanterns";
const SECRET: &str = "+/9hY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MDEyMzQ=";

/// The program, without any setting of this process' environment.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_insightdesk"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let setting = text.starts_with("INSIGHTDESK_") && !text.starts_with("INSIGHTDESK_PG_");
        if setting || text == "DATABASE_URL" {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end.
fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = program()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The one line by which a command says why it failed.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        text.starts_with("insightdesk: ") && text.ends_with('\n'),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// Waits until `ready` says so.
fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A data folder. Whatever runs in it ends with it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let dir = tempfile::Builder::new()
            .prefix("insightdesk-process-")
            .tempdir_in(base)
            .unwrap();
        // As root, PostgreSQL runs as another user, who must get through.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        Self(dir)
    }

    fn data_dir(&self) -> String {
        self.0.path().join("data").to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("data").join(name)
    }

    fn postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.path("postgres/data/postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    /// Starts a server on this folder.
    fn serve(&self, arguments: &[&str]) -> Server {
        let data_dir = self.data_dir();
        Server::start(
            &[&["--data-dir", &data_dir][..], arguments].concat(),
            self.0.path(),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(postmaster) = self.postmaster() {
            let _ = kill_process(postmaster, Signal::QUIT);
        }
    }
}

/// A process beside a server.
struct Companion(Child);

impl Companion {
    fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that runs.
struct Server {
    child: Child,
    lines: Receiver<String>,
    url: String,
    log: PathBuf,
}

impl Server {
    /// Starts one and waits until it says that it is ready.
    fn start(arguments: &[&str], log_dir: &Path) -> Self {
        let (log, file) = (0..)
            .map(|number| log_dir.join(format!("server-{number}.log")))
            .find_map(|path| Some((path.clone(), File::create_new(path).ok()?)))
            .unwrap();
        Self::start_logging_to(log, file, arguments)
    }

    /// Starts one that writes its log into `file`, which is at `log`.
    fn start_logging_to(log: PathBuf, file: File, arguments: &[&str]) -> Self {
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let mut server = Self {
            child,
            lines,
            url: String::new(),
            log,
        };
        let line = server.line();
        let url = line
            .strip_prefix("InsightDesk is ready at ")
            .and_then(|rest| rest.split(' ').next());
        server.url = url.unwrap_or_else(|| panic!("{line}")).to_owned();
        assert_eq!(
            line,
            format!(
                "InsightDesk is ready at {0} (API reference: {0}/api/docs)",
                server.url
            )
        );
        assert_eq!(server.get("/readyz", "").0, 200);
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The next line of its standard output.
    fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.unwrap_or_else(|error| panic!("{error}: {}", self.log()))
    }

    /// What it prints from now to its end.
    fn rest(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the server's end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Tells it to stop, as a service manager does.
    fn stop(mut self) -> Vec<String> {
        let asked = Instant::now();
        kill_process(self.pid(), Signal::TERM).unwrap();
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        assert!(asked.elapsed() < STOP_TIME_MAX, "it took {:?}", asked.elapsed());
        self.rest()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request; gives status and body.
    fn request(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
        let mut stream = self.connect();
        stream
            .write_all(head(method, path, token, body.len(), "close").as_bytes())
            .unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        answer(stream)
    }

    /// Sends bytes as they are and gives what comes until the connection ends.
    fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn get(&self, path: &str, token: &str) -> (u16, Value) {
        self.request("GET", path, token, "")
    }

    fn log_in(&self) -> String {
        let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
        let (status, body) = self.request("POST", "/api/v1/auth/login", "", &body);
        assert_eq!(status, 200, "{body}");
        body["accessToken"].as_str().unwrap().to_owned()
    }

    fn me(&self, token: &str) -> String {
        let (status, body) = self.get("/api/v1/auth/me", token);
        assert_eq!(status, 200, "{body}");
        body["email"].as_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn head(method: &str, path: &str, token: &str, length: usize, connection: &str) -> String {
    let bearer = if token.is_empty() {
        String::new()
    } else {
        format!("Authorization: Bearer {token}\r\n")
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: desk\r\nConnection: {connection}\r\n{bearer}\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Status and body of what comes until the connection ends. A body that is no JSON is null.
fn answer(mut stream: TcpStream) -> (u16, Value) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    let body = text
        .split_once("\r\n\r\n")
        .map(|(_, body)| body)
        .unwrap_or_default();
    let status = status.unwrap_or_else(|| panic!("no answer: {text:?}"));
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn create_admin(folder: &Folder) -> Output {
    let data_dir = folder.data_dir();
    let arguments = [
        "admin",
        "create",
        "--data-dir",
        &data_dir,
        "--email",
        EMAIL,
        "--name",
        "Ada",
        "--password-stdin",
    ];
    run(&arguments, &format!("{PASSWORD}\n"))
}

#[test]
fn a_desk_is_made_used_stopped_and_found_again() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let hint = server.line();
    assert!(
        hint.contains("/api/v1/auth/setup --json '{\"token\":\""),
        "{hint}"
    );
    // Beside the server, on its PostgreSQL.
    let made = create_admin(&folder);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(
        made.stdout,
        b"ada@example.com can log in as an administrator now.\n"
    );
    let token = server.log_in();
    assert_eq!(server.me(&token), EMAIL);
    the_audit_log_is_verified(&folder.data_dir());
    assert_eq!(server.stop(), [""; 0]);
    assert_eq!(folder.postmaster(), None, "its PostgreSQL stops with it");

    let server = folder.serve(&[]);
    assert_eq!(server.me(&token), EMAIL, "the secret is the same after a restart");
    server.log_in();
    assert_eq!(
        server.stop(),
        [""; 0],
        "one line is all it prints once there is an administrator"
    );

    // And without a server, on a PostgreSQL of the command's own.
    let again = refusal(&create_admin(&folder));
    assert_eq!(
        again,
        "insightdesk: no administrator was made: There is an account with this address already\n"
    );
    assert_eq!(folder.postmaster(), None);
}

/// Beside the server: what was done is on record before long, and the head that is printed is an anchor.
fn the_audit_log_is_verified(data_dir: &str) {
    let verify = |more: &[&str]| run(&[&["verify", "audit", "--data-dir", data_dir], more].concat(), "");
    let mut head = String::new();
    wait_until("an entry of the audit log", || {
        let output = verify(&[]);
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let found = said.lines().find_map(|line| line.strip_prefix("head "));
        head = found.unwrap_or_default().to_owned();
        !head.is_empty()
    });
    assert!(verify(&["--expect", &head]).status.success());
    let later = format!("9999:{}", "0a".repeat(32));
    let said = refusal(&verify(&["--expect", &later]));
    assert!(said.contains("entry 9999 is missing"), "{said}");
    assert_eq!(verify(&["--expect", "x"]).status.code(), Some(2));
}

#[test]
fn the_setup_token_that_is_printed_makes_the_first_administrator_once() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let hint = server.line();
    let (_, body) = hint.split_once("--json '").unwrap();
    let mut body: Value = serde_json::from_str(body.trim_end_matches('\'')).unwrap();
    body["email"] = EMAIL.into();
    body["password"] = PASSWORD.into();
    let body = body.to_string();
    assert_eq!(server.request("POST", "/api/v1/auth/setup", "", &body).0, 201);
    assert_eq!(server.request("POST", "/api/v1/auth/setup", "", &body).0, 404);
    server.log_in();
    server.stop();
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let data_dir = folder.data_dir();
    let second = refusal(&run(
        &["serve", "--listen", "127.0.0.1:0", "--data-dir", &data_dir],
        "",
    ));
    assert!(
        second.contains("is in use by another process") && second.contains("--data-dir"),
        "{second}"
    );
    assert_eq!(server.get("/readyz", "").0, 200);
    server.stop();
}

#[test]
fn a_killed_postgresql_is_started_again_and_a_killed_server_loses_nothing() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    assert!(create_admin(&folder).status.success());
    let token = server.log_in();

    let killed = folder.postmaster().unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    wait_until("the next PostgreSQL", || {
        folder.postmaster().is_some_and(|pid| pid != killed)
    });
    wait_until("readiness", || server.get("/readyz", "").0 == 200);
    assert_eq!(server.me(&token), EMAIL);

    let body = json!({ "subject": "Printer on fire", "description": "It burns." }).to_string();
    let (status, ticket) = server.request("POST", "/api/v1/tickets", &token, &body);
    assert_eq!(status, 201, "{ticket}");
    server.kill();
    let left_running = folder.postmaster();
    assert!(left_running.is_some());

    let server = folder.serve(&[]);
    let path = format!("/api/v1/tickets/{}", ticket["ticketNumber"].as_str().unwrap());
    let (status, found) = server.get(&path, &token);
    assert_eq!((status, &found["subject"]), (200, &json!("Printer on fire")));
    server.stop();
    assert_eq!(
        folder.postmaster(),
        None,
        "the one that was left running is stopped, too"
    );
}

#[test]
fn a_server_that_is_told_to_stop_says_so_and_answers_what_it_has_begun() {
    let folder = Folder::new();
    let server = folder.serve(&["--drain-seconds", "1"]);
    assert!(create_admin(&folder).status.success());
    let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let (first, rest) = body.as_bytes().split_at(10);
    let mut begun = server.connect();
    begun
        .write_all(head("POST", "/api/v1/auth/login", "", body.len(), "close").as_bytes())
        .unwrap();
    begun.write_all(first).unwrap();

    kill_process(server.pid(), Signal::TERM).unwrap();
    let mut status = 200;
    wait_until("a no at /readyz", || {
        status = server.get("/readyz", "").0;
        status != 200
    });
    assert_eq!(status, 503);
    wait_until("a refused connection", || {
        TcpStream::connect(server.address()).is_err()
    });
    begun.write_all(rest).unwrap();
    assert_eq!(answer(begun).0, 200);
    let mut server = server;
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

#[test]
fn background_work_is_done_by_a_process_of_its_own_when_the_server_leaves_it() {
    let folder = Folder::new();
    let server = folder.serve(&["--http-only"]);
    assert!(create_admin(&folder).status.success());
    let admin = server.log_in();
    let customer = json!({ "email": "carl@example.com", "name": "Carl", "password": PASSWORD });
    let (status, body) = server.request("POST", "/api/v1/auth/register", "", &customer.to_string());
    assert_eq!(status, 202, "{body}");
    let customer = json!({ "email": "carl@example.com", "password": PASSWORD }).to_string();
    let (_, signed_in) = server.request("POST", "/api/v1/auth/login", "", &customer);
    let customer = signed_in["accessToken"].as_str().unwrap();
    let ticket = json!({ "subject": "Printer on fire", "description": "It burns." }).to_string();
    let (status, ticket) = server.request("POST", "/api/v1/tickets", customer, &ticket);
    assert_eq!(status, 201, "{ticket}");
    let path = format!("/api/v1/tickets/{}/messages", ticket["id"].as_str().unwrap());
    let reply = json!({ "message": "Pull the plug." }).to_string();
    let (status, body) = server.request("POST", &path, &admin, &reply);
    assert_eq!(status, 201, "{body}");

    let notifications = || {
        server.get("/api/v1/notifications", customer).1["data"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!(notifications(), 0, "nobody works yet");
    let worker = program()
        .args(["work", "--data-dir", &folder.data_dir()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let worker = Companion(worker.unwrap());
    wait_until("the notification", || notifications() == 1);
    worker.stop();
    assert_eq!(server.stop().len(), 1, "the hint, which nobody read");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    let mut server = folder.serve(&["--drain-seconds", "60"]);
    kill_process(server.pid(), Signal::TERM).unwrap();
    wait_until("a no at /readyz", || server.get("/readyz", "").0 == 503);
    kill_process(server.pid(), Signal::INT).unwrap();
    assert_eq!(server.wait().code(), Some(130));
}

#[test]
fn nodes_share_a_database_and_a_secret_and_one_with_another_secret_is_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(Cluster::scratch()).unwrap();
    runtime.block_on(cluster.ensure_database("nodes")).unwrap();
    let url = cluster.url("nodes");
    let logs = tempfile::tempdir().unwrap();
    let missing = logs.path().join("no-data-folder");
    let files = logs.path().join("files-of-all-nodes");
    let settings = [
        "--data-dir",
        missing.to_str().unwrap(),
        "--attachments-place",
        files.to_str().unwrap(),
        "--database-url",
        &url,
        "--profile",
        "production",
        "--secret-key",
    ];
    let node = || Server::start(&[&settings[..], &[SECRET]].concat(), logs.path());
    let (one, other) = (node(), node());
    let create = [
        &[
            "admin",
            "create",
            "--email",
            EMAIL,
            "--name",
            "Ada",
            "--password-stdin",
        ][..],
        &settings,
        &[SECRET],
    ];
    let made = run(&create.concat(), PASSWORD);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(other.me(&one.log_in()), EMAIL);

    let foreign = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let serve = [&["serve", "--listen", "127.0.0.1:0"][..], &settings, &[foreign]].concat();
    let refused = refusal(&run(&serve, ""));
    assert!(
        refused.contains("give every node the same secret-key"),
        "{refused}"
    );
    one.stop();
    other.stop();
    assert!(
        !missing.exists(),
        "a node that has all it needs keeps nothing on its disk"
    );
    runtime.block_on(cluster.stop());
}

#[test]
fn what_cannot_work_is_said_in_one_line_before_anything_starts() {
    let folder = Folder::new();
    let data_dir = folder.data_dir();
    let serve = |arguments: &[&str]| {
        refusal(&run(
            &[&["serve", "--data-dir", &data_dir], arguments].concat(),
            "",
        ))
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: [(&[&str], &str); 4] = [
        (&["--listen", &taken], "is in use by another program"),
        (
            &["--workers", "0"],
            "the setting workers from the command line cannot be \"0\"",
        ),
        (&["--secret-key", "hunter2"], "32 random bytes in base64"),
        (&["--profile", "production"], "needs the setting database-url"),
    ];
    for (arguments, expected) in cases {
        let line = serve(arguments);
        assert!(line.contains(expected), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    assert!(!folder.path("postgres").exists());
    let usage = run(&["serve", "--no-such-flag"], "");
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn what_is_printed_needs_no_database() {
    let printed = |arguments: &[&str]| {
        let output = run(arguments, "");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        printed(&["version"]),
        format!("insightdesk {}\n", env!("CARGO_PKG_VERSION"))
    );
    let document: Value = serde_json::from_str(&printed(&["openapi"])).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(printed(&["config"]).contains("listen = \"127.0.0.1:8080\""));
    assert!(printed(&["config", "--markdown"]).contains("| `listen` |"));
}

/// What must never be in a log, each in a place where a client may put it.
const CANARIES: [&str; 8] = [
    "canary-password",
    "canary-token",
    "canary-basic",
    "canary-key",
    "canary-query",
    "canary-agent",
    "canary-path",
    "canary-text",
];

/// Requests with a canary in every place, some good and some bad.
fn canaries(server: &Server, token: &str) -> Vec<u8> {
    let login = json!({ "email": "eve@example.com", "password": "canary-password" }).to_string();
    let register =
        json!({ "email": "eve@example.com", "name": "Eve", "password": "canary-password" }).to_string();
    let ticket = json!({ "subject": "canary-text", "description": "canary-text" }).to_string();
    let wrong = json!({ "subject": 7, "canary-text": "canary-text" }).to_string();
    let agent = "User-Agent: canary-agent\r\n";
    let mut statuses = Vec::new();
    for (line, headers, body) in [
        ("POST /api/v1/auth/register", String::new(), &*register),
        ("POST /api/v1/auth/login", String::new(), &*login),
        (
            "POST /api/v1/auth/login",
            String::new(),
            "{\"email\":\"eve@example.com\",\"password\":\"canary-password",
        ),
        (
            "POST /api/v1/auth/refresh",
            String::new(),
            "{\"refreshToken\":\"canary-token\"}",
        ),
        (
            "GET /api/v1/auth/me",
            "Authorization: Bearer canary-token\r\n".to_owned(),
            "",
        ),
        (
            "GET /api/v1/auth/me",
            "Authorization: Basic canary-basic\r\n".to_owned(),
            "",
        ),
        (
            "GET /api/v1/tickets?search=canary-query&token=canary-query",
            format!("Authorization: Bearer {token}\r\n"),
            "",
        ),
        (
            "POST /api/v1/tickets",
            format!("Authorization: Bearer {token}\r\nIdempotency-Key: canary-key\r\n"),
            &*ticket,
        ),
        (
            "POST /api/v1/tickets",
            format!("Authorization: Bearer {token}\r\n"),
            &*wrong,
        ),
        (
            "GET /canary-path%0a2026-01-01T00:00:00Z%20%20INFO%20forged%1b[2J",
            String::new(),
            "",
        ),
        (
            "GET /api/v1/users",
            "X-Request-Id: canary-agent\tforged\r\n".to_owned(),
            "",
        ),
    ] {
        let length = body.len();
        let text = server.exchange(
            format!(
                "{line} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n{agent}{headers}\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        statuses.push(text.get(9..12).unwrap().parse::<u16>().unwrap());
    }
    // What is no request at all, with a canary where its header was to be.
    server
        .exchange(b"GET /canary-path HTTP/1.1\r\nHost: desk\r\nAuthorization : Bearer canary-token\r\n\r\n");
    statuses
        .into_iter()
        .map(|status| u8::try_from(status / 100).unwrap())
        .collect()
}

/// Has the server make and take what must stay between it and a person: a refresh token twice, the secret of a second
/// factor, a key, which is then used, and a note.
fn made_secrets(server: &Server, token: &str) -> Vec<String> {
    let post = |path: &str, token: &str, body: Value, status: u16| {
        let (found, answer) = server.request("POST", path, token, &body.to_string());
        assert_eq!(found, status, "{path}: {answer}");
        answer
    };
    let text = |answer: &Value, name: &str| answer[name].as_str().unwrap().to_owned();
    let login = post(
        "/api/v1/auth/login",
        "",
        json!({ "email": EMAIL, "password": PASSWORD }),
        200,
    );
    let first = text(&login, "refreshToken");
    let refreshed = post("/api/v1/auth/refresh", "", json!({ "refreshToken": first }), 200);
    let current = json!({ "currentPassword": PASSWORD });
    let factor = post("/api/v1/auth/2fa/enroll", token, current, 200);
    let key = json!({ "name": "ci", "scopes": ["tickets:read"], "currentPassword": PASSWORD });
    let key = text(&post("/api/v1/api-keys", token, key, 201), "key");
    assert_eq!(server.get("/api/v1/tickets", &key).0, 200);
    let ticket = json!({ "subject": "s", "description": "d" });
    let ticket = text(&post("/api/v1/tickets", token, ticket, 201), "id");
    let note = json!({ "message": "canary-note" });
    post(&format!("/api/v1/tickets/{ticket}/notes"), token, note, 201);
    vec![
        first,
        text(&refreshed, "refreshToken"),
        text(&refreshed, "accessToken"),
        text(&factor, "secret"),
        key,
        "canary-note".to_owned(),
    ]
}

#[test]
fn a_log_holds_no_secret_and_one_line_for_each_event_in_utc() {
    let folder = Folder::new();
    for (format, level) in [
        ("json", "debug"),
        ("text", "debug"),
        ("json", "trace"),
        ("text", "info"),
    ] {
        let server = folder.serve(&["--log-format", format, "--log-level", level]);
        // Made once, there ever after.
        let _ = create_admin(&folder);
        let token = server.log_in();
        let made = made_secrets(&server, &token);
        let statuses = canaries(&server, &token);
        assert_eq!(statuses[1..], [2, 4, 4, 4, 4, 4, 2, 4, 4, 4], "{format}");
        let (status, body) = server.get("/api/v1/nothing", "");
        assert_eq!(status, 404);
        let log_path = server.log.clone();
        server.stop();
        let log = fs::read_to_string(log_path).unwrap();
        for canary in CANARIES
            .into_iter()
            .chain([&*token, PASSWORD, "eve@example.com", "forged"])
            .chain(made.iter().map(String::as_str))
        {
            assert!(!log.contains(canary), "{format} {level}: {canary} in {log}");
        }
        let control = |letter: char| letter.is_control() && letter != '\n';
        assert!(!log.contains(control), "{log}");
        for line in log.lines() {
            let time = match format {
                "json" => {
                    let event: Value = serde_json::from_str(line).unwrap();
                    event["timestamp"].as_str().unwrap().to_owned()
                }
                _ => line.split(' ').next().unwrap().to_owned(),
            };
            assert!(
                time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T',
                "no time in UTC: {line}"
            );
        }
        let id = body["requestId"].as_str().unwrap();
        let lines = log
            .lines()
            .filter(|line| line.contains(id) && line.contains("request.unknown_path"));
        assert_eq!(lines.count(), 1, "{log}");
    }
}

#[test]
fn a_server_goes_on_when_nobody_takes_its_log_and_counts_the_lines() {
    let folder = Folder::new();
    let nowhere = PathBuf::from("/dev/full");
    let file = File::options().write(true).open(&nowhere).unwrap();
    let data_dir = folder.data_dir();
    let token = "sixteen-letters-and-more";
    let arguments = ["--data-dir", &data_dir, "--metrics-token", token];
    let server = Server::start_logging_to(nowhere, file, &arguments);
    assert!(create_admin(&folder).status.success());
    let bearer = server.log_in();
    assert_eq!(server.me(&bearer), EMAIL);
    assert_eq!(server.get("/api/v1/nothing", "").0, 404);
    let lost = || {
        let text = server.exchange(head("GET", "/metrics", token, 0, "close").as_bytes());
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("insightdesk_log_lines_lost_total "));
        line.unwrap_or_else(|| panic!("{text}")).parse::<u64>().unwrap()
    };
    let before = lost();
    assert!(before >= 4, "{before}");
    assert_eq!(server.get("/healthz", "").0, 200);
    assert!(lost() > before);
    // Without its token there is no such path.
    assert_eq!(server.get("/metrics", "").0, 404);
    assert_eq!(server.get("/metrics", "sixteen-letters-and-less").0, 404);
    let mut server = server;
    kill_process(server.pid(), Signal::TERM).unwrap();
    assert_eq!(server.wait().code(), Some(0));
}
