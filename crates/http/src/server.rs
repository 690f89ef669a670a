//! The server that listens: actix's workers, the deadlines of connections, and an orderly end.
//!
//! Runs in a multi-threaded tokio runtime; actix starts its worker threads itself. When `shutdown` comes true,
//! `/readyz` says no for [`ServerSettings::drain_delay`], so that balancers look elsewhere; then no connection is
//! taken any more, requests that run are answered, and after [`SHUTDOWN_TIMEOUT_SECS`] the rest is cut.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpServer};
use tokio::net::TcpStream;

use crate::app::{self, AppState};
use crate::connection::Connection;
use crate::edge::edge;
use crate::operator;
use crate::routes::unknown_path;

/// How long running requests may go on once the server stops.
pub const SHUTDOWN_TIMEOUT_SECS: u64 = 8;

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
    /// How long a client may take to send the head of a connection's first request.
    pub head_deadline: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            workers,
            connections_per_worker_max: 25_000,
            drain_delay: Duration::from_secs(2),
            head_deadline: Duration::from_secs(5),
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
    let drain_delay = settings.drain_delay;
    let Listeners { api, metrics } = listeners;
    let api = api_server(settings, Data::clone(&state), api)?;
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

/// Built by hand where `HttpServer` would do, for the sake of [`Connection`].
fn api_server(settings: ServerSettings, state: Data<AppState>, listener: TcpListener) -> io::Result<Server> {
    let ServerSettings {
        workers,
        connections_per_worker_max,
        drain_delay: _,
        head_deadline,
    } = settings;
    let address = listener.local_addr()?;
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(connections_per_worker_max)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_SECS)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let factory = move || {
        let (state, stopping) = (Data::clone(&state), stopping.clone());
        let configure = |config: &mut web::ServiceConfig| app::configure(&state, config);
        let app = App::new().configure(configure).wrap(from_fn(edge));
        let app = app.into_factory().map_err(|error: Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .client_request_timeout(head_deadline)
            .client_disconnect_timeout(CLIENT_DISCONNECT_TIMEOUT)
            .keep_alive(KEEP_ALIVE)
            .local_addr(address)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.ended());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        let accept = move |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            let connection = Connection::new(stream, Data::clone(&state));
            std::future::ready(Ok::<_, DispatchError>((connection, peer)))
        };
        fn_service(accept).and_then(http)
    };
    Ok(builder.listen("api", listener, factory)?.run())
}

fn metrics_server(state: Data<AppState>, listener: TcpListener) -> io::Result<Server> {
    let factory = move || {
        let metrics = web::get().to(operator::metrics_without_token);
        App::new()
            .app_data(Data::clone(&state))
            .route("/metrics", metrics)
            .default_service(web::to(unknown_path))
            .wrap(from_fn(edge))
    };
    let server = HttpServer::new(factory)
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
