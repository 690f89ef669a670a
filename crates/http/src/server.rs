//! The server that listens: actix's workers, the deadlines of connections, and an orderly end.
//!
//! Runs in a multi-threaded tokio runtime; actix starts its worker threads itself. When `shutdown` comes true,
//! `/readyz` says no for [`ServerSettings::drain_delay`], so that balancers look elsewhere; then no connection is
//! taken any more, requests that run are answered, and after [`SHUTDOWN_TIMEOUT_SECS`] the rest is cut.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};

use crate::app::{self, AppState};
use crate::edge::edge;
use crate::operator;

/// How long running requests may go on once the server stops.
pub const SHUTDOWN_TIMEOUT_SECS: u64 = 8;

/// How long a client may take to send its headers.
const CLIENT_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection waits for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long a connection may take to end; so long is read and thrown away what a client still sends after its answer.
const CLIENT_DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How often recorded metrics are folded.
const METRICS_UPKEEP_PERIOD: Duration = Duration::from_secs(5);

/// How the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerSettings {
    /// Worker threads.
    pub workers: usize,
    /// The most connections of one worker.
    pub connections_per_worker_max: usize,
    /// How long `/readyz` says no before connections are refused.
    pub drain_delay: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            workers,
            connections_per_worker_max: 25_000,
            drain_delay: Duration::from_secs(2),
        }
    }
}

/// Where the server listens.
#[derive(Debug)]
pub struct Listeners {
    /// For the API.
    pub api: TcpListener,
    /// For `/metrics` alone, without a token.
    pub metrics: Option<TcpListener>,
}

/// Serves until `shutdown` ends, and then until the last request is answered.
///
/// # Errors
/// When a listener cannot be used.
pub async fn serve(
    settings: ServerSettings,
    state: Data<AppState>,
    listeners: Listeners,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let ServerSettings {
        workers,
        connections_per_worker_max,
        drain_delay,
    } = settings;
    let Listeners { api, metrics } = listeners;
    let api = {
        let state = Data::clone(&state);
        let factory = move || {
            let configure = |config: &mut web::ServiceConfig| app::configure(&state, config);
            App::new().configure(configure).wrap(from_fn(edge))
        };
        HttpServer::new(factory)
            .workers(workers)
            .max_connections(connections_per_worker_max)
            .client_request_timeout(CLIENT_HEADER_TIMEOUT)
            .client_disconnect_timeout(CLIENT_DISCONNECT_TIMEOUT)
            .keep_alive(KEEP_ALIVE)
            .shutdown_timeout(SHUTDOWN_TIMEOUT_SECS)
            .disable_signals()
            .listen(api)?
            .run()
    };
    let metrics = metrics
        .map(|listener| metrics_server(Data::clone(&state), listener))
        .transpose()?;
    let handles: Vec<ServerHandle> = [Some(&api), metrics.as_ref()]
        .into_iter()
        .flatten()
        .map(Server::handle)
        .collect();
    let servers = async {
        match metrics {
            Some(metrics) => tokio::try_join!(api, metrics).map(|_| ()),
            None => api.await,
        }
    };
    let stop = async {
        wait_with_upkeep(&state, shutdown).await;
        tracing::info!("draining");
        state.begin_draining();
        tokio::time::sleep(drain_delay).await;
        for handle in &handles {
            handle.stop(true).await;
        }
    };
    let (mut servers, mut stop) = (std::pin::pin!(servers), std::pin::pin!(stop));
    tokio::select! {
        ended = &mut servers => ended,
        () = &mut stop => servers.await,
    }
}

/// Waits for the shutdown, and folds the metrics meanwhile.
async fn wait_with_upkeep(state: &AppState, shutdown: impl Future<Output = ()>) {
    let mut shutdown = std::pin::pin!(shutdown);
    while tokio::time::timeout(METRICS_UPKEEP_PERIOD, &mut shutdown)
        .await
        .is_err()
    {
        if let Some(metrics) = &state.metrics {
            metrics.upkeep();
        }
    }
}

fn metrics_server(state: Data<AppState>, listener: TcpListener) -> io::Result<Server> {
    let factory = move || {
        let metrics = web::get().to(operator::metrics_without_token);
        App::new()
            .app_data(Data::clone(&state))
            .route("/metrics", metrics)
    };
    let server = HttpServer::new(factory)
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
