//! Who is asking: the bearer of a request, an access token or a program's key, turned into a person.
//!
//! A handler that takes a [`Caller`] runs for signed-in people alone; every other request gets 401 with
//! `WWW-Authenticate`. What the person may do is the domain's business, never this crate's.

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use identity::{AccessDenied, Principal, Requirement};
use kernel::{Actor, Classify, Client, FailureKind, Origin, Person, UserId};

use crate::address::client_address;
use crate::app::AppState;
use crate::context::RequestContext;
use crate::problem::Problem;
use crate::routes::RouteInfo;

/// A person, with the session or key through which they speak.
#[derive(Debug, Clone)]
pub struct Caller(pub Principal);

impl Caller {
    /// Who it is.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.0.person.id
    }

    /// The person.
    #[must_use]
    pub fn person(&self) -> &Person {
        &self.0.person
    }

    /// Turns programs' keys away from what a key must not be able to do whatever its scopes: to give more than it has.
    ///
    /// # Errors
    /// 403 for one who speaks through a key.
    pub fn require_session(&self) -> Result<(), Problem> {
        match self.0.session() {
            Some(_) => Ok(()),
            None => Err(AccessDenied::SessionRequired.into()),
        }
    }

    /// The person as the one who acts.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.0.actor()
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let token = bearer(&request)?;
            let caller = authenticate(&request, &token).await?;
            crate::query::refuse_unknown(&request)?;
            Ok(caller)
        }
        .boxed_local()
    }
}

/// The token of the header `Authorization`.
pub(crate) fn bearer(request: &HttpRequest) -> Result<String, Problem> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::unauthenticated());
    };
    let token = value.to_str().ok().and_then(|value| value.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(token.trim().to_owned())
        }
        _ => Err(Problem::unauthenticated()),
    }
}

/// Where a request comes from.
pub(crate) fn origin(app: &AppState, request: &HttpRequest) -> Origin {
    let user_agent = request
        .headers()
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let address = client_address(request, &app.settings.trusted_proxies);
    let context = RequestContext::of(request);
    Origin {
        client: Client::new(user_agent, Some(address)),
        request_id: Some(context.id().to_owned()),
        credential: None,
    }
}

/// Finds the person behind a token, notes them for the log, and holds their access against what the operation asks.
pub(crate) async fn authenticate(request: &HttpRequest, token: &str) -> Result<Caller, Problem> {
    let app = request
        .app_data::<Data<AppState>>()
        .ok_or_else(|| Problem::internal("the application has no state"))?;
    let authenticated = app.authenticator.authenticate(token, origin(app, request)).await;
    let principal = authenticated.map_err(|error| {
        // A client that showed a token learns that this one is no good (RFC 6750).
        let shown = matches!(error.kind(), FailureKind::Unauthenticated);
        let problem = Problem::from(error);
        let value = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        if shown {
            problem.with_header(header::WWW_AUTHENTICATE, value)
        } else {
            problem
        }
    })?;
    let caller = Caller(principal);
    let context = RequestContext::of(request);
    context.set_caller(caller.id().0);
    app.gates.caller.pass(&context, caller.id().0).await?;
    let requirement =
        RouteInfo::of(request).map_or(Requirement::Session, |route| route.requirement(request.method()));
    caller.0.meets(requirement).map_err(denied)?;
    Ok(caller)
}

/// An access that does not do. A program learns which scope its key would need (RFC 6750).
fn denied(denied: AccessDenied) -> Problem {
    let problem = Problem::from(denied);
    match denied {
        AccessDenied::ScopeMissing(scope) => {
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
            match HeaderValue::try_from(challenge) {
                Ok(challenge) => problem.with_header(header::WWW_AUTHENTICATE, challenge),
                Err(_) => problem,
            }
        }
        AccessDenied::SessionRequired | AccessDenied::EmailUnverified | AccessDenied::TwoFactorMissing => {
            problem
        }
    }
}
