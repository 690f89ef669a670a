//! `insightdesk serve` and `insightdesk work`: the desk, until it is told to stop.
//!
//! What happens at the end, in this order: `/readyz` says no for `drain-seconds`; the API stops to listen and answers
//! what it has begun, while the background work ends what it has begun; connections are closed; the local PostgreSQL
//! stops. After the drain this takes at most [`STOP_TIME_MAX`] altogether.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http::operator::MetricsText;
use http::server::{Listeners, ServerSettings};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpSocket;

use crate::cli::say;
use crate::config::Config;
use crate::desk::Desk;
use crate::embedded::Company;
use crate::failure::{Failure, Outcome};
use crate::stop::Stop;

/// After the drain, so long may everything but the closing of the database take.
const STOP_TIME_MAX: Duration = Duration::from_secs(9);
/// Connections that may wait to be accepted.
const BACKLOG_CONNECTIONS: u32 = 2_048;
/// Where the API's reference is.
const REFERENCE_PATH: &str = "/api/docs";
/// Bounds of the histograms of durations, in seconds.
const DURATION_BUCKETS_SECS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// How to serve.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct ServeArgs {
    /// Do not run the background work; another process must (`insightdesk work`).
    #[arg(long)]
    pub http_only: bool,
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
enum BindError {
    #[error(
        "{address} is in use by another program: stop that one, or choose another address with --{setting}"
    )]
    InUse {
        address: SocketAddr,
        setting: &'static str,
    },
    #[error("cannot listen on {address}: choose another address with --{setting}")]
    Refused {
        address: SocketAddr,
        setting: &'static str,
        source: io::Error,
    },
}

/// Serves until told to stop.
///
/// # Errors
/// When it cannot start, or something ends that should not.
pub async fn serve(config: Config, args: ServeArgs) -> Outcome {
    let stop = Stop::at_signals().map_err(no_signals)?;
    // Before the database: a port that is taken is found out about at once.
    let api = bind(config.listen, "listen")?;
    let metrics = config
        .metrics_listen
        .map(|address| bind(address, "metrics-listen"))
        .transpose()?;
    let address = api.local_addr()?;
    let Some(desk) = open(&config, Company::Alone, &stop).await? else {
        return Ok(());
    };
    let outcome = serve_desk(&desk, args, Listeners { api, metrics }, address, &stop).await;
    end(desk, outcome).await
}

/// Does the background work until told to stop.
///
/// # Errors
/// When it cannot start.
pub async fn work(config: Config) -> Outcome {
    let stop = Stop::at_signals().map_err(no_signals)?;
    let Some(desk) = open(&config, Company::Guest, &stop).await? else {
        return Ok(());
    };
    desk.warn_of_rights().await;
    say("InsightDesk does its background work.")?;
    desk.worker().run(stop.asked()).await;
    end(desk, Ok(())).await
}

/// The open desk; none when it is told to stop meanwhile.
pub(crate) async fn open(config: &Config, company: Company, stop: &Stop) -> Outcome<Option<Desk>> {
    tokio::select! {
        desk = Desk::open(config, company) => Ok(Some(desk?)),
        () = stop.asked() => Ok(None),
    }
}

async fn serve_desk(
    desk: &Desk,
    args: ServeArgs,
    listeners: Listeners,
    address: SocketAddr,
    stop: &Stop,
) -> Outcome {
    let config = &desk.config;
    desk.warn_of_rights().await;
    let metrics = record_metrics()?;
    let state = desk.http_state(Some(Arc::new(metrics) as Arc<dyn MetricsText>));
    let settings = ServerSettings {
        workers: config.workers.unwrap_or(ServerSettings::default().workers),
        drain_delay: config.drain,
        ..ServerSettings::default()
    };
    let url = config.url_at(address);
    let setup_token = desk.accounts.open_setup().await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %address, "serving");
    say(&ready(&url, config.api_docs))?;
    if let Some(token) = setup_token {
        say(&setup_hint(&url, token.expose()))?;
    }

    // Whether the provider answers is no condition: it is asked again when someone signs on.
    let sign_on = async {
        let failed = tokio::select! {
            failed = desk.sign_on.warm_up() => failed,
            () = stop.asked() => Vec::new(),
        };
        for (provider, error) in failed {
            let cause = std::error::Error::source(&error).and_then(|error| error.source());
            let cause = cause
                .map(ToString::to_string)
                .unwrap_or_else(|| error.to_string());
            tracing::warn!(%provider, cause, "the provider of single sign-on does not answer");
        }
    };
    let api = async {
        let served = http::server::serve(settings, state.into(), listeners, stop.asked()).await;
        // Whyever it ended, the rest must end too.
        stop.ask();
        served.map_err(|error| Failure::because("the API ended", error))
    };
    let work = async {
        if args.http_only {
            desk.pass_wake_ups_on(stop.asked()).await;
        } else {
            desk.worker().run(stop.asked()).await;
        }
    };
    let too_long = async {
        stop.asked().await;
        tokio::time::sleep(config.drain + STOP_TIME_MAX).await;
    };
    tokio::select! {
        (served, (), ()) = async { tokio::join!(api, work, sign_on) } => Ok(served?),
        () = too_long => Err(Failure::new("what was begun did not end in time and was cut off").into()),
    }
}

async fn end(desk: Desk, outcome: Outcome) -> Outcome {
    desk.close().await;
    if outcome.is_ok() {
        tracing::info!("stopped");
    }
    outcome
}

pub(crate) fn no_signals(error: io::Error) -> Failure {
    Failure::because("the system does not let signals be listened to", error)
}

fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, BindError> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // So that a restart need not wait for the connections of before; it does not let two listen at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG_CONNECTIONS)?.into_std()
    };
    listen().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address, setting },
        _ => BindError::Refused {
            address,
            setting,
            source,
        },
    })
}

fn record_metrics() -> Result<PrometheusHandle, Failure> {
    PrometheusBuilder::new()
        .set_buckets(DURATION_BUCKETS_SECS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Failure::because("metrics cannot be recorded", error))
}

/// The line that says that all is well. Scripts wait for it.
fn ready(url: &str, has_reference: bool) -> String {
    let reference = match has_reference {
        true => format!(" (API reference: {url}{REFERENCE_PATH})"),
        false => String::new(),
    };
    format!("InsightDesk is ready at {url}{reference}")
}

fn setup_hint(url: &str, token: &str) -> String {
    format!(
        "There is no administrator yet. Make one with `insightdesk admin create`, or with this token, which is good once: \
         curl {url}/api/v1/auth/setup --json \
         '{{\"token\":\"{token}\",\"email\":\"you@example.com\",\"name\":\"Your Name\",\"password\":\"…\"}}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_the_cure() {
        let first = bind("127.0.0.1:0".parse().unwrap(), "listen").unwrap();
        let message = bind(first.local_addr().unwrap(), "listen")
            .unwrap_err()
            .to_string();
        assert!(message.contains("is in use by another program"), "{message}");
        assert!(message.contains("--listen"), "{message}");
    }
}
