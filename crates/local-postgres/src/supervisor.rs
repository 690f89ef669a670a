//! The supervisor: a thread that makes, starts, watches, restarts and stops one `postgres`.
//!
//! It has a small async runtime of its own and talks with [`crate::Cluster`] through two channels: one says when the
//! cluster is ready, the other when it shall stop. Its state is the [`Postmaster`] that runs now.
//!
//! A server that ends unasked is started again, at once the first time, then after a pause that doubles up to
//! [`RESTART_PAUSE_MAX`]; that bounds the attempts without ever giving up. Before each start, whatever an earlier
//! server left is dealt with: one that still runs is waited for or taken over, orphaned backends are ended (they hold
//! the shared memory), stale files are removed.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::NoTls;

use crate::account::command;
use crate::cluster::{ClusterOptions, Lifetime, StartError, connection_config};
use crate::home::{Home, recorded_major};
use crate::settings::{arguments, initdb_arguments, locale_arguments};
use crate::tether::Tether;

/// Recovery after a crash is part of this.
const START_SECS_MAX: u64 = 300;
/// How often something is looked at that cannot be waited for.
const POLL: Duration = Duration::from_millis(20);
/// How often a server is looked at that is no child of this process.
const ATTACHED_POLL: Duration = Duration::from_millis(250);
/// How long one attempt to connect may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a fast shutdown may take.
const FAST_STOP_MAX: Duration = Duration::from_secs(20);
/// How long an immediate shutdown may take.
const IMMEDIATE_STOP_MAX: Duration = Duration::from_secs(10);
/// How long orphaned backends may take to notice that their postmaster is dead, before they are told.
const ORPHANS_NOTICE_MAX: Duration = Duration::from_secs(3);
/// The first pause between two restarts.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest pause between two restarts.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(15);
/// A server that ran this long counts as healthy: its next restart happens at once.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How often the size of the log is looked at.
const LOG_CHECK: Duration = Duration::from_secs(60);

/// What the supervisor and the cluster's handle both see.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Zero when no server runs.
    postmaster: AtomicI32,
    /// Set before a server is stopped on purpose.
    pub(crate) stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn postmaster(&self) -> Option<Pid> {
        Pid::from_raw(self.postmaster.load(Ordering::SeqCst))
    }

    fn set_postmaster(&self, pid: Option<Pid>) {
        self.postmaster
            .store(pid.map_or(0, |pid| pid.as_raw_nonzero().get()), Ordering::SeqCst);
    }
}

/// Asks the supervisor to stop; it answers when the server has ended.
#[derive(Debug)]
pub(crate) struct StopRequest {
    pub(crate) done: oneshot::Sender<()>,
}

/// Where the cluster turned out to be.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) data_dir: PathBuf,
    pub(crate) socket_dir: PathBuf,
    pub(crate) log_file: PathBuf,
}

type Ready = oneshot::Sender<Result<Places, StartError>>;
type StopRequests = oneshot::Receiver<StopRequest>;

/// Starts the supervisor's thread.
pub(crate) fn spawn(
    options: ClusterOptions,
    shared: Arc<Shared>,
    ready: Ready,
    stop_requests: StopRequests,
) -> Result<(), StartError> {
    let data_dir = options.data_dir.clone();
    let failed = move |source| StartError::Io {
        doing: "start the supervisor for",
        path: data_dir,
        source,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Err(failed(error)),
    };
    thread::Builder::new()
        .name("local-postgres".to_owned())
        .spawn(move || runtime.block_on(supervise(options, shared, ready, stop_requests)))
        .map(drop)
        .map_err(failed)
}

async fn supervise(
    options: ClusterOptions,
    shared: Arc<Shared>,
    ready: Ready,
    mut stop_requests: StopRequests,
) {
    let mut supervisor = match Supervisor::prepare(options, shared).await {
        Ok(supervisor) => supervisor,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    if let Err(error) = supervisor.launch().await {
        supervisor.end().await;
        let _ = ready.send(Err(error));
        return;
    }
    let places = Places {
        data_dir: supervisor.home.dir.clone(),
        socket_dir: supervisor.home.run.clone(),
        log_file: supervisor.home.log.clone(),
    };
    // When nobody waits for the answer any more, the other channel is closed as well, and that ends the watch.
    let _ = ready.send(Ok(places));

    let request = supervisor.watch(&mut stop_requests).await;
    supervisor.end().await;
    if let Some(request) = request {
        let _ = request.done.send(());
    }
}

/// The server process.
#[derive(Debug)]
enum Postmaster {
    None,
    /// A child of this process.
    Child(Child, Pid),
    /// Left running by a process that was killed.
    Attached(Pid),
}

#[derive(Debug)]
struct Supervisor {
    options: ClusterOptions,
    home: Home,
    shared: Arc<Shared>,
    postmaster: Postmaster,
    tether: Option<Tether>,
}

impl Supervisor {
    /// Takes the data folder and makes the cluster if it is absent.
    async fn prepare(options: ClusterOptions, shared: Arc<Shared>) -> Result<Self, StartError> {
        let home = Home::open(&options.data_dir)?;
        if let Some(made_by) = recorded_major(&home.dir).filter(|major| *major != options.programs.major) {
            let programs = options.programs.version.clone();
            return Err(StartError::WrongMajor {
                data_dir: home.dir.clone(),
                made_by,
                programs,
            });
        }
        let tether = match options.lifetime {
            Lifetime::Kept => None,
            Lifetime::Tethered => Some(Tether::tie(&home).map_err(|source| StartError::Io {
                doing: "start the watcher of",
                path: home.dir.clone(),
                source,
            })?),
        };
        let supervisor = Self {
            options,
            home,
            shared,
            postmaster: Postmaster::None,
            tether,
        };
        if recorded_major(&supervisor.home.dir).is_none() {
            supervisor.create().await?;
        }
        Ok(supervisor)
    }

    /// Makes a cluster beside its place and moves it there when it is whole. Whatever lies in its place stays: the
    /// move fails then.
    async fn create(&self) -> Result<(), StartError> {
        let (home, programs) = (&self.home, &self.options.programs);
        let io = |doing: &'static str| {
            let path = home.data.clone();
            move |source| StartError::Io { doing, path, source }
        };
        let mut output = String::new();
        for locale in locale_arguments(programs.major) {
            remove_dir_if_there(&home.data_new).map_err(io("clear the place of"))?;
            let initdb = command(programs.bin_dir.join("initdb"), home.account.as_ref())
                .args(initdb_arguments(self.options.durability, &home.data_new))
                .args(locale)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn_async()
                .map_err(io("run initdb for"))?;
            let ended = initdb.wait_with_output().await.map_err(io("run initdb for"))?;
            if ended.status.success() {
                return fs::rename(&home.data_new, &home.data)
                    .and_then(|()| fs::File::open(home.data.parent().unwrap_or(&home.dir))?.sync_all())
                    .map_err(io("put in place"));
            }
            let text = String::from_utf8_lossy(&ended.stderr);
            output = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join(" / ");
            tracing::debug!(output, "initdb failed");
        }
        Err(StartError::Initdb {
            data_dir: home.dir.clone(),
            output,
        })
    }

    /// Starts the server, or takes over the one that runs, and waits until it accepts connections.
    async fn launch(&mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + Duration::from_secs(START_SECS_MAX);
        loop {
            if let Some(pid) = self.home.running_postmaster() {
                tracing::info!(pid = %pid, "taking over the PostgreSQL that an earlier process left running");
                self.set(Postmaster::Attached(pid)).await;
            } else {
                self.clear_remains().await?;
                self.spawn().await?;
            }
            if self.until_ready(deadline).await? == Readiness::Ready {
                return Ok(());
            }
            // The server of an earlier process was shutting down. It is gone now, so one of our own can start.
        }
    }

    async fn spawn(&mut self) -> Result<(), StartError> {
        let home = &self.home;
        let failed = |source| StartError::Io {
            doing: "run PostgreSQL for",
            path: home.dir.clone(),
            source,
        };
        let log = home.open_log().map_err(failed)?;
        let program = self.options.programs.bin_dir.join("postgres");
        let child = command(program, home.account.as_ref())
            .args(arguments(self.options.durability, &home.data, &home.run))
            .current_dir(&home.data)
            // Ctrl-C in a terminal must not reach PostgreSQL before its users have finished.
            .process_group(0)
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .spawn_async()
            .map_err(failed)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let pid = pid.ok_or_else(|| failed(io::Error::other("it ended at once")))?;
        self.set(Postmaster::Child(child, pid)).await;
        Ok(())
    }

    async fn until_ready(&mut self, deadline: Instant) -> Result<Readiness, StartError> {
        loop {
            if can_connect(&self.home.run).await {
                return Ok(Readiness::Ready);
            }
            match &mut self.postmaster {
                Postmaster::Child(child, _) => {
                    if let Ok(Some(status)) = child.try_wait() {
                        self.set(Postmaster::None).await;
                        let (log, log_tail) = (self.home.log.clone(), self.home.log_tail());
                        return Err(StartError::Exited {
                            status,
                            log,
                            log_tail,
                        });
                    }
                }
                Postmaster::Attached(pid) => {
                    let pid = *pid;
                    if !self.home.is_postmaster(pid) {
                        self.set(Postmaster::None).await;
                        return Ok(Readiness::Gone);
                    }
                }
                Postmaster::None => return Ok(Readiness::Gone),
            }
            if Instant::now() >= deadline {
                return Err(StartError::NotReady {
                    secs: START_SECS_MAX,
                    log: self.home.log.clone(),
                });
            }
            sleep(POLL).await;
        }
    }

    /// Ends orphaned backends and removes stale files. No postmaster of this cluster runs.
    async fn clear_remains(&self) -> Result<(), StartError> {
        let told_after = Instant::now() + ORPHANS_NOTICE_MAX;
        let killed_after = told_after + ORPHANS_NOTICE_MAX;
        // Backends change nothing without a postmaster.pid, and looking for them costs a process.
        while self.home.data.join("postmaster.pid").exists() {
            let orphans = self.home.orphans();
            if orphans.is_empty() {
                break;
            }
            let now = Instant::now();
            let signal = if now >= killed_after {
                Some(Signal::KILL)
            } else {
                (now >= told_after).then_some(Signal::QUIT)
            };
            if let Some(signal) = signal {
                tracing::warn!(
                    orphans = orphans.len(),
                    ?signal,
                    "ending orphans of a dead PostgreSQL"
                );
                for orphan in orphans {
                    let _ = kill_process(orphan, signal);
                }
            }
            sleep(POLL * 5).await;
        }
        self.home.remove_stale_files().map_err(|source| StartError::Io {
            doing: "remove stale files from",
            path: self.home.dir.clone(),
            source,
        })
    }

    /// Keeps the server running until it shall stop. None when the handle was dropped.
    async fn watch(&mut self, stop_requests: &mut StopRequests) -> Option<StopRequest> {
        let mut log_check = interval(LOG_CHECK);
        log_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pause = Duration::ZERO;
        let mut started = Instant::now();
        loop {
            tokio::select! {
                biased;
                request = &mut *stop_requests => return request.ok(),
                _ = log_check.tick() => {
                    if let Err(error) = self.home.bound_log() {
                        tracing::warn!(%error, log = %self.home.log.display(), "could not shorten the log of PostgreSQL");
                    }
                }
                how = self.postmaster_end() => {
                    self.set(Postmaster::None).await;
                    if self.shared.stopping.load(Ordering::SeqCst) {
                        return stop_requests.await.ok();
                    }
                    if started.elapsed() >= HEALTHY_AFTER {
                        pause = Duration::ZERO;
                    }
                    tracing::error!(%how, ?pause, "the local PostgreSQL ended unasked and is started again");
                    let restart = self.restart(&mut pause);
                    tokio::select! {
                        biased;
                        request = &mut *stop_requests => return request.ok(),
                        () = restart => started = Instant::now(),
                    }
                }
            }
        }
    }

    /// Starts the server again, as often as it takes.
    async fn restart(&mut self, pause: &mut Duration) {
        loop {
            sleep(*pause).await;
            *pause = (*pause * 2).clamp(RESTART_PAUSE_MIN, RESTART_PAUSE_MAX);
            match self.launch().await {
                Ok(()) => return tracing::info!("the local PostgreSQL runs again"),
                Err(error) => {
                    tracing::error!(%error, next_try_in = ?*pause, "the local PostgreSQL could not be started again");
                    self.stop_postmaster().await;
                }
            }
        }
    }

    /// Waits until the server ends by itself, and says how.
    async fn postmaster_end(&mut self) -> String {
        match &mut self.postmaster {
            Postmaster::Child(child, _) => child
                .wait()
                .await
                .map_or_else(|error| error.to_string(), |status| status.to_string()),
            Postmaster::Attached(pid) => {
                while self.home.is_postmaster(*pid) {
                    sleep(ATTACHED_POLL).await;
                }
                "no child of this process".to_owned()
            }
            Postmaster::None => "it did not run".to_owned(),
        }
    }

    /// Fast shutdown; immediate shutdown when that takes too long.
    async fn stop_postmaster(&mut self) {
        for (signal, patience) in [(Signal::INT, FAST_STOP_MAX), (Signal::QUIT, IMMEDIATE_STOP_MAX)] {
            let pid = match &self.postmaster {
                Postmaster::None => return,
                Postmaster::Child(_, pid) | Postmaster::Attached(pid) => *pid,
            };
            let _ = kill_process(pid, signal);
            if timeout(patience, self.gone()).await.is_ok() {
                self.set(Postmaster::None).await;
                return;
            }
            tracing::warn!(%pid, ?signal, secs = patience.as_secs(), "the local PostgreSQL did not stop in time");
        }
    }

    async fn gone(&mut self) {
        match &mut self.postmaster {
            Postmaster::Child(child, _) => drop(child.wait().await),
            Postmaster::Attached(pid) => {
                while self.home.is_postmaster(*pid) {
                    sleep(POLL).await;
                }
            }
            Postmaster::None => {}
        }
    }

    /// Stops the server and lets go of the data folder.
    async fn end(mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.stop_postmaster().await;
        if let Some(dir) = self.home.outside_run() {
            let _ = fs::remove_dir(dir);
        }
        if let Some(tether) = self.tether.take() {
            tether.release().await;
        }
    }

    async fn set(&mut self, postmaster: Postmaster) {
        let pid = match &postmaster {
            Postmaster::None => None,
            Postmaster::Child(_, pid) | Postmaster::Attached(pid) => Some(*pid),
        };
        self.postmaster = postmaster;
        self.shared.set_postmaster(pid);
        if let Some(tether) = &mut self.tether {
            tether.name(pid).await;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Readiness {
    Ready,
    /// The server that was there has ended.
    Gone,
}

async fn can_connect(socket_dir: &Path) -> bool {
    let attempt = async {
        let (client, connection) = connection_config(socket_dir).connect(NoTls).await?;
        let ask = async move { client.simple_query("SELECT 1").await.map(drop) };
        tokio::join!(ask, connection).0
    };
    match timeout(CONNECT_MAX, attempt).await {
        Ok(Ok(())) => true,
        Ok(Err(_)) | Err(_) => false,
    }
}

fn remove_dir_if_there(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Starts a command so that its end can be awaited.
trait SpawnAsync {
    fn spawn_async(&mut self) -> io::Result<Child>;
}

impl SpawnAsync for std::process::Command {
    fn spawn_async(&mut self) -> io::Result<Child> {
        let command = std::mem::replace(self, Self::new(""));
        tokio::process::Command::from(command).spawn()
    }
}
