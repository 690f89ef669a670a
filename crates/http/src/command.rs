//! Requests that change something: the caller, the body, the precondition and the idempotency key, taken together.
//!
//! It promises that a request with an `Idempotency-Key` has its effect once. The answer is rendered from the outcome
//! before the commit and stored with the effect, so what is sent is what was stored, and the same request again gets
//! it from any node (`Idempotency-Replayed: true`). Nothing is asked of the store when a request comes for the first
//! time: that it came before shows when its receipt cannot be stored a second time, or when the state that the first
//! one left behind refuses it; only then the stored answer is looked for.
//!
//! ```text
//! async fn create(
//!     app: Data<AppState>,
//!     Command(call, body): Command<CreateTeam>,
//! ) -> Result<HttpResponse, Problem> {
//!     let actor = call.actor();
//!     call.run(
//!         async |receipt| app.teams.create(&actor, body.into(), receipt).await,
//!         |team| Rendered::created("team", team.version, format!("/api/v1/teams/{}", team.id), &TeamBody::from(team)),
//!     )
//!     .await
//! }
//! ```

use std::sync::{Mutex, PoisonError};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Answer, Receipt, RequestKey, RequestReceipt, StoredAnswer, Version};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::AppState;
use crate::auth::{self, Caller};
use crate::etag::{self, IfMatch};
use crate::json::read_body;
use crate::problem::{Fault, Place, Problem};

/// The header of a key under which a client may send a request again.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells that an answer is the first one given again.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The code by which every domain says that a receipt is there already.
pub const REPEATED: &str = "request.repeated";

/// The most characters of an idempotency key.
const KEY_CHARS_MAX: usize = 255;

/// A request that changes something, from a signed-in caller: how to run it, and its body as a DTO.
#[derive(Debug)]
pub struct Command<B = Nothing>(pub Call, pub B);

/// The body of a command that takes none: absent, or `{}`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A request that changes something, but for its body.
#[derive(Debug)]
pub struct Call {
    /// Who sent it.
    pub caller: Caller,
    if_match: IfMatch,
    kind: Option<&'static str>,
    key: Option<RequestKey>,
    app: Data<AppState>,
}

impl<B: DeserializeOwned + 'static> FromRequest for Command<B> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        async move {
            let app = request.app_data::<Data<AppState>>().cloned();
            let app = app.ok_or_else(|| Problem::internal("the application has no state"))?;
            let token = auth::bearer(&request)?;
            // The body comes first: who sends it slowly holds nothing else meanwhile.
            let raw = read_body(&request, payload).await?;
            let caller = auth::authenticate(&request, &token).await?;
            crate::query::refuse_unknown(&request)?;
            let if_match = IfMatch::of(&request)?;
            let key = request_key(&app, &request, &caller, raw.bytes())?;
            let body = raw.parse()?;
            Ok(Self(
                Call {
                    caller,
                    if_match,
                    kind: None,
                    key,
                    app,
                },
                body,
            ))
        }
        .boxed_local()
    }
}

fn request_key(
    app: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    body: &[u8],
) -> Result<Option<RequestKey>, Problem> {
    let mut values = request.headers().get_all(&IDEMPOTENCY_KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let valid = |key: &&str| {
        (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let key = value
        .to_str()
        .ok()
        .filter(valid)
        .filter(|_| values.next().is_none());
    let Some(key) = key else {
        let message = format!("must be given once, as 1 to {KEY_CHARS_MAX} visible ASCII characters");
        let detail = format!("The header Idempotency-Key {message}.");
        let fault = Fault {
            place: Place::Header("Idempotency-Key"),
            code: "invalid",
            message,
        };
        return Err(Problem::unreadable("request.invalid_header", detail).with_faults(vec![fault]));
    };
    let mut hash = app.cursors.digest();
    let mut add = |part: &[u8]| {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(request.method().as_str().as_bytes());
    add(request.path().as_bytes());
    add(request.query_string().as_bytes());
    for value in request.headers().get_all(header::IF_MATCH) {
        add(value.as_bytes());
    }
    add(body);
    let mut request_sha256 = [0; 32];
    request_sha256.copy_from_slice(hash.sign().as_ref());
    Ok(Some(RequestKey {
        principal: caller.id().0,
        key: key.to_owned(),
        route: format!("{} {}", request.method(), request.path()),
        request_sha256,
    }))
}

impl Call {
    /// A request whose body is not JSON and was read by its handler; `content` tells such bodies apart.
    ///
    /// # Errors
    /// 400 for an `Idempotency-Key` that cannot be one.
    pub(crate) fn of_stream(
        app: &Data<AppState>,
        request: &HttpRequest,
        caller: Caller,
        content: &[u8],
    ) -> Result<Self, Problem> {
        Ok(Self {
            key: request_key(app, request, &caller, content)?,
            caller,
            if_match: IfMatch::Absent,
            kind: None,
            app: Data::clone(app),
        })
    }

    /// The caller as the one who acts.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.caller.actor()
    }

    /// The version that the command is to find, by `If-Match`; `None` where any will do. `kind` is the one that the
    /// resource's entity tags carry.
    #[must_use]
    pub fn expected(&mut self, kind: &'static str) -> Option<Version> {
        self.kind = Some(kind);
        self.if_match.expected(kind)
    }

    /// Refuses an `Idempotency-Key`, for an operation whose answer must not be stored; `why` is a sentence.
    ///
    /// # Errors
    /// 400 `request.invalid_header` when the request has one.
    pub fn refuse_key(&self, why: &str) -> Result<(), Problem> {
        if self.key.is_none() {
            return Ok(());
        }
        let detail = format!("The header Idempotency-Key is not taken here. {why}");
        let fault = Fault {
            place: Place::Header("Idempotency-Key"),
            code: "not_allowed",
            message: "must not be given for this operation".to_owned(),
        };
        Err(Problem::unreadable("request.invalid_header", detail).with_faults(vec![fault]))
    }

    /// Runs a command and answers with what came of it.
    ///
    /// `command` hands the receipt on to its service, which must store it with the effect. `render` makes the answer;
    /// it is called once for a decision, before that is committed.
    ///
    /// # Errors
    /// The command's own failure, 422 for a key of another request, 409 while the first one still runs.
    pub async fn run<T, E>(
        self,
        command: impl AsyncFnOnce(ReceiptFor<'_, T>) -> Result<T, E>,
        render: impl Fn(&T) -> Rendered + Send + Sync,
    ) -> Result<HttpResponse, Problem>
    where
        E: Into<Problem>,
    {
        let Self {
            caller: _,
            if_match: _,
            kind,
            key,
            app,
        } = self;
        let rendered = Mutex::new(None::<Rendered>);
        let receipt_for = |outcome: &T| {
            let key = key.as_ref()?;
            let answer = render(outcome);
            let receipt = answer.0.as_ref().ok().map(|answer| {
                Receipt::Request(RequestReceipt {
                    key: key.clone(),
                    answer: answer.clone(),
                })
            });
            *rendered.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            receipt
        };
        match command(&receipt_for).await {
            Ok(outcome) => {
                let stored = rendered.lock().unwrap_or_else(PoisonError::into_inner).take();
                stored.unwrap_or_else(|| render(&outcome)).into_response()
            }
            Err(error) => {
                let problem: Problem = error.into();
                match &key {
                    Some(key) if !problem.status().is_server_error() => {
                        replay(&app, key, problem, kind).await
                    }
                    _ => Err(with_current_tag(problem, kind)),
                }
            }
        }
    }
}

/// What a command that failed answers: if it was carried out before, as it was then.
async fn replay(
    app: &AppState,
    key: &RequestKey,
    problem: Problem,
    kind: Option<&'static str>,
) -> Result<HttpResponse, Problem> {
    let stored = app
        .answers
        .find(key.principal, &key.key)
        .await
        .map_err(Problem::from)?;
    match stored {
        Some(StoredAnswer {
            route,
            request_sha256,
            answer,
        }) => {
            if route == key.route && request_sha256 == key.request_sha256 {
                let mut response = Rendered(Ok(answer)).into_response()?;
                response
                    .headers_mut()
                    .insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
                return Ok(response);
            }
            let message = "was used for another request; take a new one".to_owned();
            let fault = Fault {
                place: Place::Header("Idempotency-Key"),
                code: "reused",
                message,
            };
            Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "request.idempotency_key_reused",
                "The Idempotency-Key was used for another request; take a new one for each.",
            )
            .with_faults(vec![fault]))
        }
        None if problem.code() == REPEATED => {
            let detail =
                "The first request with this Idempotency-Key is still running; send it again shortly.";
            Err(Problem::new(StatusCode::CONFLICT, "request.in_progress", detail).with_retry_after(1))
        }
        None => Err(with_current_tag(problem, kind)),
    }
}

/// A failed precondition shows the tag that would have done.
fn with_current_tag(problem: Problem, kind: Option<&'static str>) -> Problem {
    let (Some(kind), Some(version)) = (kind, problem.current_version()) else {
        return problem;
    };
    match HeaderValue::try_from(etag::version_tag(kind, version)) {
        Ok(tag) => problem.with_header(header::ETAG, tag),
        Err(_) => problem,
    }
}

/// An answer as it is stored and sent.
#[derive(Debug)]
pub struct Rendered(Result<Answer, serde_json::Error>);

impl Rendered {
    /// 201 with the new resource, its tag and its address.
    pub fn created(kind: &str, version: Version, location: String, body: &impl Serialize) -> Self {
        Self::of(StatusCode::CREATED, body)
            .with_tag(kind, version)
            .at(location)
    }

    /// 202 with the resource that goes on by itself, its tag and its address.
    pub fn begun(kind: &str, version: Version, location: String, body: &impl Serialize) -> Self {
        Self::of(StatusCode::ACCEPTED, body)
            .with_tag(kind, version)
            .at(location)
    }

    /// 200 with the resource and its tag.
    pub fn resource(kind: &str, version: Version, body: &impl Serialize) -> Self {
        Self::of(StatusCode::OK, body).with_tag(kind, version)
    }

    /// `status` with a body that has no version.
    pub fn of(status: StatusCode, body: &impl Serialize) -> Self {
        Self(serde_json::to_string(body).map(|body| Answer {
            status: status.as_u16(),
            etag: None,
            location: None,
            body,
        }))
    }

    /// 204.
    #[must_use]
    pub fn no_content() -> Self {
        let status = StatusCode::NO_CONTENT.as_u16();
        Self(Ok(Answer {
            status,
            etag: None,
            location: None,
            body: String::new(),
        }))
    }

    fn with_tag(self, kind: &str, version: Version) -> Self {
        Self(self.0.map(|answer| Answer {
            etag: Some(etag::body_tag(kind, version, answer.body.as_bytes())),
            ..answer
        }))
    }

    /// The same with the address of what was made.
    #[must_use]
    pub fn at(self, location: String) -> Self {
        Self(self.0.map(|answer| Answer {
            location: Some(location),
            ..answer
        }))
    }

    /// The answer to a question: 304 if the client has this very one, else the whole.
    ///
    /// # Errors
    /// 400 for an `If-None-Match` that cannot be read.
    pub fn to_get(self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        let answer = self.0.map_err(Problem::internal)?;
        if let Some(tag) = &answer.etag
            && etag::is_known(request, tag)?
        {
            return Ok(HttpResponse::NotModified()
                .insert_header((header::ETAG, tag.as_str()))
                .finish());
        }
        Self(Ok(answer)).into_response()
    }

    /// The answer on its way out.
    ///
    /// # Errors
    /// Only by a fault of the server.
    pub fn into_response(self) -> Result<HttpResponse, Problem> {
        let Answer {
            status,
            etag,
            location,
            body,
        } = self.0.map_err(Problem::internal)?;
        let status = StatusCode::from_u16(status).map_err(Problem::internal)?;
        let mut response = HttpResponse::build(status);
        if let Some(etag) = etag {
            response.insert_header((header::ETAG, etag));
        }
        if let Some(location) = location {
            response.insert_header((header::LOCATION, location));
        }
        if body.is_empty() {
            return Ok(response.finish());
        }
        Ok(response.content_type("application/json").body(body))
    }
}
