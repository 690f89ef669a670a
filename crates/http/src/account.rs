//! The page behind the links of mails about an account: verify an address, choose a password, accept an invitation.
//!
//! It is one static page with a script and a style of its own, in the binary. The token of a link stands behind its `#`:
//! no request carries it but the one that the script sends to the API, so that it is in no log, history or `Referer`.
//! To add a step, name it in `STEPS` of `assets/account/page.js` and in [`STEPS`].

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, guard, web};

use crate::routes::{method_not_allowed, unknown_path};

/// Where the page and its files are.
pub(crate) const ACCOUNT_BASE: &str = "/account";

/// The last part of the links' paths.
const STEPS: [&str; 4] = ["verify-email", "confirm-email", "reset-password", "invitation"];

const PAGE: &str = include_str!("../assets/account/page.html");
const SCRIPT: &str = include_str!("../assets/account/page.js");
const STYLE: &str = include_str!("../assets/account/page.css");

/// Registers the page for each of its steps, and its files.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let mut scope = web::scope(ACCOUNT_BASE);
    for step in STEPS {
        scope = scope.service(file(step, "text/html; charset=utf-8", PAGE));
    }
    scope = scope
        .service(file("assets/page.js", "text/javascript; charset=utf-8", SCRIPT))
        .service(file("assets/page.css", "text/css; charset=utf-8", STYLE));
    config.service(scope.default_service(web::to(unknown_path)));
}

fn file(path: &str, media_type: &'static str, text: &'static str) -> actix_web::Resource {
    let answer = move || async move {
        HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(media_type)))
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")))
            .body(text)
    };
    web::resource(format!("/{path}"))
        .route(web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(answer))
        .default_service(web::to(method_not_allowed))
}
