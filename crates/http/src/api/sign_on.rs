//! Single sign-on: to a provider, back, and on to a front end; and the links of the caller's own account.
//!
//! A browser is bound to its sign-on by a cookie that only this server reads: without it nobody can finish a sign-on
//! that somebody else began. It is named `__Host-…`, so that no other host and no unencrypted page can set it. Tokens
//! never stand in an address: a front end gets a code in the fragment, and exchanges it.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use identity::ports::CodeReceived;
use identity::service::{Callback, Finished, ProviderAnswer, SignOnError, SignOnLink, SignOnSettings};
use kernel::{Classify, Origin};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::SignedInBody;
use crate::app::AppState;
use crate::auth::{self, Caller};
use crate::command::{Command, Nothing, Rendered};
use crate::context::RequestContext;
use crate::json::Json;
use crate::path::{Path, PathKey};
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::{API_BASE, Operation, operation};

/// The cookie that binds a browser to its sign-on.
const COOKIE: &str = "__Host-insightdesk-sso";
/// The most characters of a parameter that a provider sends a browser back with.
const PARAMETER_CHARS_MAX: usize = 8_192;
/// The most characters of an address to return to.
const RETURN_TO_CHARS_MAX: usize = 2_000;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_providers, providers).open(),
        operation(__path_callback, callback).open(),
        operation(__path_exchange, exchange).open(),
        operation(__path_start, start).open(),
        operation(__path_links, links).own_account(),
        operation(__path_unlink, unlink).own_account(),
    ]
}

/// A provider, by its name in paths. What none can be called is one that is not there.
#[derive(Debug)]
struct ProviderKey(String);

impl PathKey for ProviderKey {
    const NOT_FOUND: &'static str = "auth.sign_on_unknown";
    const NOT_FOUND_DETAIL: &'static str = "There is no such provider.";

    fn parse(segment: &str) -> Option<Self> {
        identity::sign_on::ProviderId::parse(segment).map(|id| Self(id.as_str().to_owned()))
    }
}

/// The providers through which people can sign on.
#[derive(Serialize, ToSchema)]
#[schema(as = SignOnProviders)]
struct ProvidersBody {
    /// The providers, in the order in which they are to be shown; empty when there are none.
    data: Vec<ProviderBody>,
}

/// A provider of single sign-on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignOnProvider)]
struct ProviderBody {
    /// Its name in paths.
    #[schema(examples("login-example-com-5d41402a"))]
    id: String,
    /// What people call it.
    #[schema(examples("Example Inc."))]
    name: String,
    /// Where to send the browser, below this server's address. A front end adds `?returnTo=`.
    #[schema(examples("/api/v1/auth/sso/login-example-com-5d41402a/start"))]
    start_url: String,
}

/// List the providers of single sign-on
#[utoipa::path(
    get,
    path = "/auth/sso",
    operation_id = "listSignOnProviders",
    tag = "auth",
    responses((status = 200, description = "The providers.", body = ProvidersBody))
)]
async fn providers(app: Data<AppState>, query: Query) -> Result<HttpResponse, Problem> {
    query.finish()?;
    let entries = app.sign_on.providers().iter();
    let data = entries
        .map(|entry| ProviderBody {
            id: entry.id.as_str().to_owned(),
            name: entry.name.clone(),
            start_url: format!("{API_BASE}/auth/sso/{}/start", entry.id),
        })
        .collect();
    Rendered::of(StatusCode::OK, &ProvidersBody { data }).into_response()
}

/// Where a sign-on is to end.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "documents what the handler reads")]
struct StartParams {
    /// The front end's address that the browser is sent back to, exactly as the operator allows it
    /// (`oidc-return-urls`). Without it the callback answers with the tokens itself.
    return_to: Option<String>,
}

/// Sign on through a provider
///
/// To be opened in a browser: it is sent to the provider, and comes back to the callback.
#[utoipa::path(
    get,
    path = "/auth/sso/{provider}/start",
    operation_id = "startSignOn",
    tag = "auth",
    params(("provider" = String, Path, description = "The provider's name in paths."), StartParams),
    responses(
        (status = 302, description = "To the provider.",
            headers(("Location" = String, description = "The provider's address."),
                ("Set-Cookie" = String, description = "Binds the browser to this sign-on."))),
        (status = 404, description = "There is no such provider.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 422, description = "The address to return to is not allowed.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn start(
    app: Data<AppState>,
    request: HttpRequest,
    Path(ProviderKey(provider)): Path<ProviderKey>,
    mut query: Query,
) -> Result<HttpResponse, Problem> {
    let return_to = query.text("returnTo", RETURN_TO_CHARS_MAX);
    query.finish()?;
    pass_gate(&app, &request).await?;
    let started = app.sign_on.start(&provider, return_to.as_deref()).await?;
    let address = HeaderValue::try_from(started.address).map_err(Problem::internal)?;
    let seconds = SignOnSettings::STATE_LIFE.num_seconds();
    Ok(HttpResponse::Found()
        .insert_header((header::LOCATION, address))
        .insert_header((header::SET_COOKIE, cookie(started.binding.expose(), seconds)?))
        .insert_header(NO_REFERRER)
        .finish())
}

/// What a provider sends a browser back with.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what the handler reads")]
struct CallbackParams {
    /// Names the sign-on.
    state: String,
    /// The provider's code for the person; absent with `error`.
    code: Option<String>,
    /// Why the provider signs nobody in: `access_denied`.
    error: Option<String>,
    /// The same in words; not used.
    error_description: Option<String>,
    /// The same as a page; not used.
    error_uri: Option<String>,
    /// The provider's name of itself (RFC 9207); must be the provider's that was asked.
    iss: Option<String>,
    /// Sent by some providers; not used.
    session_state: Option<String>,
    /// Sent by some providers; not used.
    scope: Option<String>,
    /// Sent by some providers; not used.
    authuser: Option<String>,
    /// Sent by some providers; not used.
    prompt: Option<String>,
    /// Sent by some providers; not used.
    hd: Option<String>,
}

/// What providers add, and nobody here reads.
const EXTRAS: [&str; 7] = [
    "error_description",
    "error_uri",
    "session_state",
    "scope",
    "authuser",
    "prompt",
    "hd",
];

/// Come back from a provider
///
/// The provider sends the browser here. The answer is that of a login; or, when the sign-on began with `returnTo`, the
/// browser is sent there with `#code=…` behind the address, which the front end exchanges. Works once, and only in the
/// browser that began.
#[utoipa::path(
    get,
    path = "/auth/sso/callback",
    operation_id = "finishSignOn",
    tag = "auth",
    params(CallbackParams),
    responses(
        (status = 200, description = "A pair of tokens.", body = SignedInBody),
        (status = 303, description = "To the front end.",
            headers(("Location" = String, description = "The front end's address, with the code in its fragment."))),
        (status = 401, description = "The sign-on is over, another browser's, or the provider's answer cannot be trusted.",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The provider says no, does not vouch for an address, or the desk does not admit \
            the person.", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn callback(
    app: Data<AppState>,
    request: HttpRequest,
    mut query: Query,
) -> Result<HttpResponse, Problem> {
    let mut text = |name: &str| query.text(name, PARAMETER_CHARS_MAX);
    let (state, code, error, issuer) = (text("state"), text("code"), text("error"), text("iss"));
    for name in EXTRAS {
        query.ignore(name);
    }
    query.finish()?;
    pass_gate(&app, &request).await?;
    let answer = match (code, error) {
        (Some(code), None) => ProviderAnswer::Code(CodeReceived { code, issuer }),
        (_, Some(error)) => ProviderAnswer::Error(error),
        (None, None) => return Err(SignOnError::UnknownState.into()),
    };
    let callback = Callback {
        state: state.unwrap_or_default(),
        answer,
        binding: binding(&request),
    };
    let finished = app.sign_on.finish(callback, origin(&app, &request)).await;
    let mut response = match finished {
        Ok(Finished::SignedIn(signed_in)) => {
            RequestContext::of(&request).set_caller(signed_in.profile.id.0);
            Rendered::of(StatusCode::OK, &SignedInBody::from(*signed_in)).into_response()?
        }
        Ok(Finished::Handover { return_to, code }) => {
            let address = format!("{return_to}#code={}", code.expose());
            let address = HeaderValue::try_from(address).map_err(Problem::internal)?;
            HttpResponse::SeeOther()
                .insert_header((header::LOCATION, address))
                .finish()
        }
        // The cookie of a sign-on that is not this one's stays good for its own.
        Err(error) if error.code() == SignOnError::UnknownState.code() => return Err(error.into()),
        Err(error) => return Err(Problem::from(error).with_header(header::SET_COOKIE, cookie("", 0)?)),
    };
    let headers = response.headers_mut();
    headers.insert(header::SET_COOKIE, cookie("", 0)?);
    headers.insert(NO_REFERRER.0, NO_REFERRER.1);
    Ok(response)
}

/// The code of a finished sign-on.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SignOnExchange)]
struct ExchangeBody {
    /// What stood behind `#code=` in the address.
    code: String,
}

/// Exchange the code of a sign-on for tokens
///
/// For front ends that a sign-on returned to: once, within a minute.
#[utoipa::path(
    post,
    path = "/auth/sso/exchange",
    operation_id = "exchangeSignOn",
    tag = "auth",
    request_body = ExchangeBody,
    responses(
        (status = 200, description = "A pair of tokens.", body = SignedInBody),
        (status = 401, description = "The code is unknown, used or expired.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 403, description = "The account was shut out meanwhile.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn exchange(
    app: Data<AppState>,
    request: HttpRequest,
    Json(body): Json<ExchangeBody>,
) -> Result<HttpResponse, Problem> {
    pass_gate(&app, &request).await?;
    let signed_in = app.sign_on.exchange(&body.code, origin(&app, &request)).await?;
    RequestContext::of(&request).set_caller(signed_in.profile.id.0);
    Rendered::of(StatusCode::OK, &SignedInBody::from(signed_in)).into_response()
}

/// The providers that the caller's account is linked with.
#[derive(Serialize, ToSchema)]
#[schema(as = SignOnLinks)]
struct LinksBody {
    /// The links, oldest first.
    data: Vec<LinkBody>,
}

/// A link of an account with a provider.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignOnLink)]
struct LinkBody {
    /// The provider's name in paths.
    #[schema(examples("login-example-com-5d41402a"))]
    provider: String,
    /// What people call it; null for one that the desk no longer uses.
    #[schema(required = true)]
    name: Option<String>,
    /// The address that the provider gave last.
    #[schema(required = true)]
    email: Option<String>,
    /// When the account was linked.
    created_at: DateTime<Utc>,
    /// When it was last used to sign on.
    #[schema(required = true)]
    last_used_at: Option<DateTime<Utc>>,
}

impl From<SignOnLink> for LinkBody {
    fn from(link: SignOnLink) -> Self {
        let SignOnLink {
            provider,
            name,
            email,
            created_at,
            last_used_at,
        } = link;
        Self {
            provider: provider.as_str().to_owned(),
            name,
            email,
            created_at,
            last_used_at,
        }
    }
}

/// List the providers that your account is linked with
#[utoipa::path(
    get,
    path = "/auth/sign-ons",
    operation_id = "listSignOns",
    tag = "auth",
    responses((status = 200, description = "The links.", body = LinksBody)),
    security(("bearer" = []))
)]
async fn links(app: Data<AppState>, caller: Caller) -> Result<HttpResponse, Problem> {
    let links = app.sign_on.links(&caller.0).await?;
    let data = links.into_iter().map(LinkBody::from).collect();
    Rendered::of(StatusCode::OK, &LinksBody { data }).into_response()
}

/// End your account's link with a provider
///
/// Sessions go on. Refused when nothing else would open the account.
#[utoipa::path(
    delete,
    path = "/auth/sign-ons/{provider}",
    operation_id = "deleteSignOn",
    tag = "auth",
    params(("provider" = String, Path, description = "The provider's name in paths.")),
    responses(
        (status = 204, description = "The link has ended."),
        (status = 404, description = "There is no such link.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "The link is the only way into the account.", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
async fn unlink(
    app: Data<AppState>,
    Path(LinkKey(provider)): Path<LinkKey>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    app.sign_on.unlink(&call.caller.0, &provider).await?;
    Rendered::no_content().into_response()
}

/// A provider that an account is linked with.
#[derive(Debug)]
struct LinkKey(String);

impl PathKey for LinkKey {
    const NOT_FOUND: &'static str = "auth.sign_on_not_linked";
    const NOT_FOUND_DETAIL: &'static str = "Your account is not linked with this provider.";

    fn parse(segment: &str) -> Option<Self> {
        // Whatever it is, the caller is asked for first.
        Some(Self(segment.to_owned()))
    }
}

// -------------------------------------------------------------------------------------------------- helpers

/// Addresses with a state or a code are told to nobody.
const NO_REFERRER: (HeaderName, HeaderValue) =
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));

async fn pass_gate(app: &AppState, request: &HttpRequest) -> Result<(), Problem> {
    match auth::origin(app, request).client.ip() {
        Some(address) => {
            let context = RequestContext::of(request);
            app.gates.sign_on.pass_address(&context, address).await
        }
        None => Ok(()),
    }
}

fn origin(app: &AppState, request: &HttpRequest) -> Arc<Origin> {
    Arc::new(auth::origin(app, request))
}

/// Sets the cookie for so many seconds; 0 takes it away.
fn cookie(value: &str, seconds: i64) -> Result<HeaderValue, Problem> {
    let text = format!("{COOKIE}={value}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=Lax");
    HeaderValue::try_from(text).map_err(Problem::internal)
}

/// What the browser keeps. Of two cookies of the name neither counts: one of them was not set here.
fn binding(request: &HttpRequest) -> Option<String> {
    let headers = request
        .headers()
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok());
    let pairs = headers
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value);
    let value = found.next()?;
    found.next().is_none().then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_cookie_is_found_among_others_and_counts_when_it_is_there_once() {
        let of = |cookies: &[&str]| {
            let mut request = TestRequest::default();
            for cookie in cookies {
                request = request.append_header((header::COOKIE, *cookie));
            }
            binding(&request.to_http_request())
        };
        assert_eq!(of(&["a=1; __Host-insightdesk-sso=x; b=2"]).as_deref(), Some("x"));
        assert_eq!(of(&["a=1", "__Host-insightdesk-sso=x"]).as_deref(), Some("x"));
        assert_eq!(of(&["insightdesk-sso=x; __host-insightdesk-sso=x"]), None);
        assert_eq!(of(&["__Host-insightdesk-sso=x; __Host-insightdesk-sso=y"]), None);
        assert_eq!(of(&[]), None);
    }
}
