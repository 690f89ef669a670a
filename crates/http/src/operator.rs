//! What operators ask a server: is it alive, is it ready, what does it count; and what its problem codes mean.
//!
//! `/healthz` needs nothing but the process. `/readyz` asks the database, and says no while the server
//! drains. `/metrics` wants a token here, and without the right one is as unknown as any path that is none; a
//! listener of its own is [`serve`](crate::server::serve)'s matter.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, guard};

use crate::app::AppState;
use crate::auth::bearer;
use crate::problem::{CATALOGUE, Problem};
use crate::routes::{method_not_allowed, unknown_path};

/// How long the database may take to answer `/readyz`.
const PING_DEADLINE: Duration = Duration::from_secs(2);

/// Gives out what the process counted.
pub trait MetricsText: Send + Sync {
    /// All metrics in Prometheus' text format.
    fn render(&self) -> String;

    /// Folds what was recorded; to be called every few seconds.
    fn upkeep(&self);
}

impl MetricsText for metrics_exporter_prometheus::PrometheusHandle {
    fn render(&self) -> String {
        metrics_exporter_prometheus::PrometheusHandle::render(self)
    }

    fn upkeep(&self) {
        self.run_upkeep();
    }
}

pub(crate) fn configure(app: &AppState, config: &mut web::ServiceConfig) {
    let get = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    let only_get = || web::to(method_not_allowed);
    config
        .service(
            web::resource("/healthz")
                .route(get().to(alive))
                .default_service(only_get()),
        )
        .service(
            web::resource("/readyz")
                .route(get().to(ready))
                .default_service(only_get()),
        )
        .service(
            web::resource("/problems")
                .route(get().to(problems))
                .default_service(only_get()),
        )
        .service(
            web::resource("/problems/{code}")
                .route(get().to(problem))
                .default_service(only_get()),
        )
        .default_service(web::to(unknown_path));
    if app.metrics.is_some() && app.settings.metrics_token.is_some() {
        let metrics = web::resource("/metrics").route(get().to(metrics_with_token));
        config.service(metrics.default_service(web::to(unknown_path)));
    }
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

async fn ready(app: Data<AppState>) -> Result<HttpResponse, Problem> {
    if app.is_draining() {
        let detail = "The server is about to stop.";
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server.draining",
            detail,
        ));
    }
    match tokio::time::timeout(PING_DEADLINE, app.health.ping()).await {
        Ok(Ok(())) => Ok(HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body("ready\n")),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            Err(Problem::from_status(StatusCode::SERVICE_UNAVAILABLE)
                .with_cause("the database did not answer"))
        }
    }
}

async fn metrics_with_token(app: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    // Compares digests, so that the time tells nothing of the token.
    let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let given = bearer(&request).ok();
    match (&app.settings.metrics_token, given) {
        (Some(expected), Some(given)) if digest(&given).as_ref() == digest(expected).as_ref() => {
            Ok(metrics_text(&app))
        }
        _ => Err(Problem::from_status(StatusCode::NOT_FOUND)),
    }
}

/// `/metrics` on a listener of its own.
pub(crate) async fn metrics_without_token(app: Data<AppState>) -> HttpResponse {
    metrics_text(&app)
}

fn metrics_text(app: &AppState) -> HttpResponse {
    let text = app
        .metrics
        .as_ref()
        .map(|metrics| metrics.render())
        .unwrap_or_default();
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text)
}

async fn problems() -> HttpResponse {
    let mut text = String::from("The problems of this server by code, with their usual status.\n\n");
    for entry in CATALOGUE {
        text.push_str(&format!("{} {}  {}\n", entry.status, entry.code, entry.title));
    }
    let cache = (header::CACHE_CONTROL, "public, max-age=3600");
    HttpResponse::Ok()
        .insert_header(cache)
        .content_type("text/plain; charset=utf-8")
        .body(text)
}

async fn problem(code: web::Path<String>) -> Result<HttpResponse, Problem> {
    let entry = CATALOGUE.iter().find(|entry| entry.code == code.as_str());
    let entry = entry.ok_or_else(|| Problem::from_status(StatusCode::NOT_FOUND))?;
    let text = format!(
        "{}\n\n{}. It comes with status {}.\n",
        entry.code, entry.title, entry.status
    );
    let cache = (header::CACHE_CONTROL, "public, max-age=3600");
    Ok(HttpResponse::Ok()
        .insert_header(cache)
        .content_type("text/plain; charset=utf-8")
        .body(text))
}
