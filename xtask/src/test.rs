//! `cargo xtask test`: all tests, on one throwaway PostgreSQL for the whole run.
//!
//! The tests find it in `INSIGHTDESK_TEST_POSTGRES`, a URL of a superuser, and make databases of their own in it. The
//! cluster lies in memory where there is room and goes with this process, even when it is killed.

use std::process::{ExitCode, ExitStatus};

use local_postgres::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};

use crate::postgres::made_sure;
use crate::{Outcome, cargo};

/// Names the cluster for the tests.
const VAR_TEST_POSTGRES: &str = "INSIGHTDESK_TEST_POSTGRES";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments of `cargo test`; with `-p` only those packages are tested.
    #[arg(last = true)]
    cargo_test: Vec<String>,
}

pub(crate) fn run(args: Args) -> Outcome<ExitCode> {
    let programs = made_sure(None)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no async runtime: {error}"))?;
    runtime.block_on(async {
        let cluster = Cluster::scratch_of(programs)
            .await
            .map_err(|error| error.to_string())?;
        let ended = test(&cluster, &args.cargo_test).await;
        cluster.stop().await;
        ended.map(exit_code)
    })
}

async fn test(cluster: &Cluster, args: &[String]) -> Outcome<ExitStatus> {
    let failed = |error| format!("cargo test does not run: {error}");
    // Listened to first: from here on no signal ends this process before the cluster is stopped. A terminal sends its
    // interrupt to cargo and the tests as well; other signals come to this process alone and are passed on.
    let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminations = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangups = signal(SignalKind::hangup()).map_err(failed)?;

    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]);
    if !names_packages(args) {
        command.arg("--workspace");
    }
    command.args(args).env(VAR_TEST_POSTGRES, cluster.url("postgres"));
    let mut child = tokio::process::Command::from(command).spawn().map_err(failed)?;
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(failed),
            _ = interrupts.recv() => {}
            _ = terminations.recv() => pass_on(&child, Signal::TERM),
            _ = hangups.recv() => pass_on(&child, Signal::HUP),
        }
    }
}

fn pass_on(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
        let _ = kill_process(pid, signal);
    }
}

fn names_packages(args: &[String]) -> bool {
    let own = args.iter().take_while(|arg| *arg != "--");
    own.into_iter()
        .any(|arg| arg.starts_with("-p") || arg == "--package" || arg.starts_with("--package="))
}

/// As a shell would say it.
fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or_else(|| Some(128 + status.signal()?))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
