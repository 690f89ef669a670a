//! The program under test: how it is built, told what to do, started and stopped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::client::{Connection, request};
use crate::{Outcome, cargo};

/// How long the server may take to be ready.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// How long it may take to end.
const STOP_TIME_MAX: Duration = Duration::from_secs(20);
/// How often a starting server is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(1);

const PASSWORD: &str = "seven purple lanterns";
const ADMIN: &str = "admin@bench.example";
pub(super) const AGENT: &str = "agent@bench.example";

/// Builds the program with optimisations, and says where it is.
pub(super) fn build() -> Outcome<PathBuf> {
    let output = cargo()
        .args([
            "build",
            "--release",
            "--package",
            "insightdesk",
            "--bin",
            "insightdesk",
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if !output.status.success() {
        return Err("the server cannot be built".to_owned());
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
        .ok_or_else(|| "cargo does not say where the server is".to_owned())
}

/// The program, and the database and folder that it is run on.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) binary: PathBuf,
    pub(super) database_url: String,
    /// For its own files and its log.
    pub(super) folder: PathBuf,
}

impl Program {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .kill_on_drop(true)
            .current_dir(&self.folder);
        // What is set for whoever runs the bench is not meant for this server.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("INSIGHTDESK_") {
                command.env_remove(name);
            }
        }
        command
            .env("DATABASE_URL", &self.database_url)
            .env("INSIGHTDESK_DATA_DIR", self.folder.join("desk"));
        command
    }

    /// Runs a command to its end, with `input` on its standard input, and gives what it wrote.
    pub(super) async fn run(&self, arguments: &[&str], input: &str) -> Outcome<String> {
        let name = format!("insightdesk {}", arguments.join(" "));
        let failed = |error: std::io::Error| format!("{name} does not run: {error}");
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read it is no worse for that.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{name} failed ({}): {}", output.status, one_line(&said)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(super) async fn migrate(&self) -> Outcome<()> {
        self.run(&["migrate"], "").await.map(drop)
    }

    pub(super) async fn create_admin(&self) -> Outcome<()> {
        let arguments = [
            "admin",
            "create",
            "--email",
            ADMIN,
            "--name",
            "Ada Min",
            "--password-stdin",
        ];
        self.run(&arguments, &format!("{PASSWORD}\n")).await.map(drop)
    }

    /// Starts the server.
    pub(super) async fn serve(&self, extent: Extent) -> Outcome<Desk> {
        let log_file = self.folder.join("desk.log");
        let failed = |error: std::io::Error| format!("the server does not start: {error}");
        let log = File::create(&log_file).map_err(failed)?;
        let address = free_address().map_err(failed)?;
        let listen = address.to_string();
        let mut arguments = vec!["serve", "--listen", &listen];
        match extent {
            Extent::Whole => {}
            Extent::HttpOnly => arguments.push("--http-only"),
        }
        // Nothing is to be measured but the work: no limits on logins, no token that ends meanwhile, no waiting
        // at the end.
        for setting in LIFTED {
            arguments.extend(setting);
        }
        let start = Instant::now();
        let child = self
            .command(&arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        let mut desk = Desk {
            pid: child.id().ok_or_else(|| "the server ended at once".to_owned())?,
            child,
            address,
            log_file,
            ready_after: Duration::ZERO,
        };
        loop {
            let answered = Connection::open(address)
                .and_then(|mut connection| Ok(connection.send(&request("GET", "/readyz", None, None))?.0));
            if matches!(answered, Ok(200)) {
                desk.ready_after = start.elapsed();
                return Ok(desk);
            }
            if let Some(status) = desk.child.try_wait().map_err(failed)? {
                return Err(format!(
                    "the server ended while it was starting ({status}): {}",
                    desk.last_words()
                ));
            }
            if start.elapsed() > START_TIME_MAX {
                return Err(format!(
                    "the server is not ready after {START_TIME_MAX:?}: {}",
                    desk.last_words()
                ));
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }
}

/// How much of the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Requests and background work, as most installations have it.
    Whole,
    /// Requests alone: nobody delivers the events that they publish.
    HttpOnly,
}

/// What is set otherwise than an operator would find it.
const LIFTED: [[&str; 2]; 10] = [
    ["--rate-login", "0"],
    ["--rate-login-account", "0"],
    ["--rate-register", "0"],
    ["--rate-refresh", "0"],
    ["--rate-setup", "0"],
    ["--rate-mailed-links", "0"],
    ["--rate-caller", "0"],
    ["--rate-tickets", "0"],
    ["--access-token-minutes", "60"],
    ["--drain-seconds", "0"],
];

/// An address on which nobody listens.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("; ")
}

/// A server that runs. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Desk {
    child: Child,
    pub(super) pid: u32,
    pub(super) address: SocketAddr,
    /// From the start of the process to its first ready answer.
    pub(super) ready_after: Duration,
    log_file: PathBuf,
}

impl Desk {
    /// Ends the server as an operator would.
    pub(super) async fn stop(mut self) -> Outcome<()> {
        self.signal(Signal::TERM);
        match tokio::time::timeout(STOP_TIME_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!(
                "the server ended badly ({status}): {}",
                self.last_words()
            )),
            Ok(Err(error)) => Err(format!("the server cannot be waited for: {error}")),
            Err(_) => Err(format!("the server did not end within {STOP_TIME_MAX:?}")),
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// The end of the server's log.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log_file).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        lines
            .iter()
            .rev()
            .take(5)
            .rev()
            .copied()
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Calls the API once.
    pub(super) fn call(
        &self,
        method: &str,
        target: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Outcome<Value> {
        let failed = |error| format!("no answer to {method} {target}: {error}");
        let body = body.map(Value::to_string);
        let mut connection = Connection::open(self.address).map_err(failed)?;
        let (status, answer) = connection
            .send(&request(method, target, token, body.as_deref()))
            .map_err(failed)?;
        if !(200..300).contains(&status) {
            let answer = String::from_utf8_lossy(answer);
            return Err(format!("{method} {target} answered {status}: {}", answer.trim()));
        }
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(answer).map_err(|error| format!("{method} {target} answered no JSON: {error}"))
    }

    fn login(&self, email: &str) -> Outcome<String> {
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = self.call("POST", "/api/v1/auth/login", None, Some(&body))?;
        text_of(&answer, "/accessToken")
    }

    /// The agent's login as bytes.
    pub(super) fn login_request(&self) -> Vec<u8> {
        let body = json!({ "email": AGENT, "password": PASSWORD }).to_string();
        request("POST", "/api/v1/auth/login", None, Some(&body))
    }

    pub(super) fn login_agent(&self) -> Outcome<String> {
        self.login(AGENT)
    }

    pub(super) fn login_admin(&self) -> Outcome<String> {
        self.login(ADMIN)
    }

    /// Makes the agent that sends the requests, a member of `team`, as an administrator does, and gives its id.
    pub(super) fn make_agent(&self, team: &str) -> Outcome<String> {
        let admin = self.login(ADMIN)?;
        let body = json!({ "email": AGENT, "name": "Bench Agent", "role": "agent", "password": PASSWORD });
        let agent = self.call("POST", "/api/v1/users", Some(&admin), Some(&body))?;
        let agent = text_of(&agent, "/id")?;
        let body = json!({ "userId": agent, "roleInTeam": "agent" });
        let members = format!("/api/v1/teams/{team}/members");
        self.call("POST", &members, Some(&admin), Some(&body))?;
        Ok(agent)
    }
}

pub(super) fn text_of(value: &Value, pointer: &str) -> Outcome<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned)
        .ok_or_else(|| format!("an answer has no text at {pointer}: {value}"))
}
