//! Webhook endpoints: where events are sent, what was sent there, and sending it again.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, Responder};
use automation::webhook::{
    Broken, Call, CallState, Dead, DeliveryState, Endpoint, EndpointContent, REPLAYED_IDS_MAX, Replay, Try,
};
use automation::{Audience, AutomationError, EndpointId, Guard, NewSecret, Webhooks};
use chrono::{DateTime, Utc};
use kernel::Violation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Call as Request, Command, Nothing, Rendered};
use crate::json::Document;
use crate::openapi::IfMatchHeader;
use crate::path::{DeliveryId, Path, Path2};
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo, Query};
use crate::routes::{Operation, operation};
use crate::wire::{Timestamp, time};

/// The kind that entity tags of endpoints carry.
const KIND: &str = "webhook";
/// The member that proves once more who the caller is.
const PASSWORD: &str = "currentPassword";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).session(),
        operation(__path_create, create).session(),
        operation(__path_get, get).session(),
        operation(__path_update, update).session(),
        operation(__path_delete, delete).session(),
        operation(__path_rotate, rotate).session(),
        operation(__path_retire, retire).session(),
        operation(__path_ping, ping).session(),
        operation(__path_deliveries, deliveries).session(),
        operation(__path_delivery, delivery).session(),
        operation(__path_replay, replay).session(),
    ]
}

/// A webhook endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
struct WebhookBody {
    /// The endpoint.
    id: Uuid,
    /// What it is called.
    #[schema(examples("CRM"))]
    name: String,
    /// Where it is.
    #[schema(examples("https://crm.example.org/hooks/desk"))]
    url: String,
    /// The events that it is sent; `ticket.*` and `*` stand for many. Empty where rules alone call it.
    #[schema(examples(json!(["ticket.created", "ticket.message_added"])))]
    events: Vec<String>,
    /// Which tickets it is sent events of, in the filter language; `{}` for all.
    #[schema(value_type = Object)]
    filter: Value,
    /// Who may stand behind it: `customer` gets what requesters see, `staff` everything.
    #[schema(examples("staff"))]
    audience: &'static str,
    /// Whether anything is sent.
    enabled: bool,
    /// Why the server disabled it: `too_many_failures`, `failing_too_long` or `gone`; `null` where it did not.
    #[schema(required = true)]
    disabled_because: Option<&'static str>,
    /// How many tries failed in a row.
    failures: u32,
    /// Since when.
    #[schema(required = true)]
    failing_since: Option<Timestamp>,
    /// Whether calls are signed with two keys, while the receiver changes over from the older one.
    is_rotating: bool,
    /// Who made it, and is told when the server disables it.
    owner_id: Uuid,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<&Endpoint> for WebhookBody {
    fn from(endpoint: &Endpoint) -> Self {
        let Endpoint {
            id,
            content,
            secrets,
            health,
            disabled,
            owner,
            created_at,
            updated_at,
            version: _,
        } = endpoint;
        let EndpointContent {
            name,
            url,
            events,
            filter,
            audience,
            enabled,
        } = content;
        Self {
            id: id.0,
            name: name.clone(),
            url: url.clone(),
            events: events.clone(),
            filter: filter.as_json().clone(),
            audience: match audience {
                Audience::Staff => "staff",
                Audience::Customer => "customer",
            },
            enabled: *enabled,
            disabled_because: disabled.map(Broken::as_str),
            failures: health.failures,
            failing_since: health.failing_since.map(Timestamp),
            is_rotating: secrets.live().count() > 1,
            owner_id: owner.0,
            created_at: Timestamp(*created_at),
            updated_at: Timestamp(*updated_at),
        }
    }
}

/// A webhook endpoint with a new secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewWebhook)]
struct NewWebhookBody {
    /// The endpoint.
    #[serde(flatten)]
    endpoint: WebhookBody,
    /// What its calls are signed with, by Standard Webhooks. It is shown this once.
    #[schema(
        pattern = "^whsec_[A-Za-z0-9+/=]+$",
        examples("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")
    )]
    secret: String,
}

impl From<&NewSecret> for NewWebhookBody {
    fn from(new: &NewSecret) -> Self {
        Self {
            endpoint: (&new.endpoint).into(),
            secret: new.secret.reveal(),
        }
    }
}

fn rendered(endpoint: &Endpoint) -> Rendered {
    Rendered::resource(KIND, endpoint.version, &WebhookBody::from(endpoint))
}

/// A webhook endpoint to make, or in a merge patch what to change of one.
#[derive(ToSchema)]
#[schema(as = WebhookInput, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its document is used; the domain reads the JSON")]
struct WebhookInput {
    /// What it is called; must be given for a new one.
    #[schema(min_length = 1, max_length = 100, examples("CRM"))]
    name: Option<String>,
    /// Where it is; must be given for a new one. By https, on a port that the operator allows, and not inside.
    #[schema(max_length = 2000, examples("https://crm.example.org/hooks/desk"))]
    url: Option<String>,
    /// The events that it is sent, 50 at the most; `ticket.*` and `*` stand for many. None when absent: then rules alone call it.
    #[schema(max_items = 50, examples(json!(["ticket.created", "ticket.message_added"])))]
    events: Option<Vec<String>>,
    /// Which tickets it is sent events of, in the filter language; all when absent.
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// Who may stand behind it: `customer` (when absent) gets what requesters see, `staff` everything.
    #[schema(examples("staff"))]
    audience: Option<String>,
    /// Whether anything is sent; true when absent.
    enabled: Option<bool>,
    /// Your present password: for a new endpoint, and for a change of `url` or `audience`. Leave it out where the account has
    /// none; then the session must have begun in the last ten minutes.
    #[schema(format = Password, examples("seven purple lanterns"))]
    current_password: Option<String>,
}

/// A document without the password that came in it. Members that nobody knows come before any look at that.
fn without_password(mut document: Map<String, Value>) -> Result<(Value, Option<String>), AutomationError> {
    let password = match document.remove(PASSWORD) {
        None | Some(Value::Null) => None,
        Some(Value::String(password)) => Some(password),
        Some(_) => {
            let violation = Violation::new(format!("/{PASSWORD}"), "wrong_type", "must be a text");
            return Err(violation.into());
        }
    };
    let document = Value::Object(document);
    EndpointContent::check_members(&document)?;
    Ok((document, password))
}

/// Has the caller, who may do it, prove once more who they are.
async fn prove(app: &AppState, request: &Request, password: Option<&str>) -> Result<(), Problem> {
    app.webhooks.permit(&request.actor())?;
    app.reauthentication.prove(&request.caller.0, password).await?;
    Ok(())
}

/// List the webhook endpoints
///
/// All of them, 100 at the most, on one page, by name. For administrators.
#[utoipa::path(
    get,
    path = "/webhooks",
    operation_id = "listWebhooks",
    tag = "webhooks",
    responses((status = 200, description = "The endpoints.", body = ListBody<WebhookBody>))
)]
async fn list(
    app: Data<AppState>,
    caller: Caller,
    query: Query,
) -> Result<Json<ListBody<WebhookBody>>, Problem> {
    query.finish()?;
    let endpoints = app.webhooks.list(&caller.actor()).await?;
    Ok(Json(ListBody {
        data: endpoints.iter().map(WebhookBody::from).collect(),
        page: PageInfo::whole(),
    }))
}

/// Make a webhook endpoint
///
/// It is sent the events that it names, of tickets that its filter selects, within a second or two. The answer has the secret that
/// calls are signed with, and no later one has: for that reason this operation takes no `Idempotency-Key`. For administrators.
#[utoipa::path(
    post,
    path = "/webhooks",
    operation_id = "createWebhook",
    tag = "webhooks",
    request_body = WebhookInput,
    responses((status = 201, description = "The new endpoint.", body = NewWebhookBody,
        headers(("ETag" = String, description = "The endpoint's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, Document(document)): Command<Document>,
) -> Result<HttpResponse, Problem> {
    call.refuse_key("The answer holds the new secret and is not stored.")?;
    let (document, password) = without_password(document)?;
    prove(&app, &call, password.as_deref()).await?;
    let new = app.webhooks.create(&call.actor(), &document).await?;
    let location = format!("/api/v1/webhooks/{}", new.endpoint.id);
    Rendered::created(KIND, new.endpoint.version, location, &NewWebhookBody::from(&new)).into_response()
}

/// Show a webhook endpoint
///
/// For administrators.
#[utoipa::path(
    get,
    path = "/webhooks/{id}",
    operation_id = "getWebhook",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 200, description = "The endpoint.", body = WebhookBody,
        headers(("ETag" = String, description = "The endpoint's version."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<EndpointId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let endpoint = app.webhooks.show(&caller.actor(), id).await?;
    rendered(&endpoint).to_get(&request)
}

/// Change a webhook endpoint
///
/// A JSON merge patch of its members, each of which is taken whole. A change of `url` or `audience` asks for your password. One
/// that is disabled gets nothing, and what waited for it can be replayed once it is enabled again. For administrators.
#[utoipa::path(
    patch,
    path = "/webhooks/{id}",
    operation_id = "updateWebhook",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint."), IfMatchHeader),
    request_body = WebhookInput,
    responses((status = 200, description = "The endpoint after the change.", body = WebhookBody,
        headers(("ETag" = String, description = "The endpoint's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<EndpointId>,
    Command(mut call, Document(patch)): Command<Document>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let (patch, password) = without_password(patch)?;
    if Webhooks::redirects(&patch) {
        prove(&app, &call, password.as_deref()).await?;
    }
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.webhooks.update(&actor, id, &patch, guard).await
        },
        rendered,
    )
    .await
}

/// Delete a webhook endpoint
///
/// With the record of what was sent there. For administrators.
#[utoipa::path(
    delete,
    path = "/webhooks/{id}",
    operation_id = "deleteWebhook",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint."), IfMatchHeader),
    responses((status = 204, description = "The endpoint is gone."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<EndpointId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.webhooks.delete(&actor, id, guard).await
        },
        |()| Rendered::no_content(),
    )
    .await
}

/// A proof of who one is.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = WebhookRotation)]
struct RotateBody {
    /// Your present password. Leave it out where the account has none; then the session must have begun in the last ten minutes.
    #[serde(default)]
    #[schema(format = Password, examples("seven purple lanterns"))]
    current_password: Option<String>,
}

/// Give a webhook endpoint a new secret
///
/// Calls are signed with it and with the one before, until that is retired or the next one comes. The answer has the new one, and no
/// later one has: for that reason this operation takes no `Idempotency-Key`. For administrators.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/rotate-secret",
    operation_id = "rotateWebhookSecret",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint."), IfMatchHeader),
    request_body = RotateBody,
    responses((status = 200, description = "The endpoint with its new secret.", body = NewWebhookBody,
        headers(("ETag" = String, description = "The endpoint's version."))))
)]
async fn rotate(
    app: Data<AppState>,
    Path(id): Path<EndpointId>,
    Command(mut call, body): Command<RotateBody>,
) -> Result<HttpResponse, Problem> {
    call.refuse_key("The answer holds the new secret and is not stored.")?;
    let expected = call.expected(KIND);
    prove(&app, &call, body.current_password.as_deref()).await?;
    let new = app.webhooks.rotate(&call.actor(), id, expected).await?;
    Rendered::resource(KIND, new.endpoint.version, &NewWebhookBody::from(&new)).into_response()
}

/// Retire a webhook endpoint's older secret
///
/// The receiver knows the newer one. Nothing happens where there is but one. For administrators.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/retire-secret",
    operation_id = "retireWebhookSecret",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint."), IfMatchHeader),
    responses((status = 200, description = "The endpoint.", body = WebhookBody,
        headers(("ETag" = String, description = "The endpoint's version."))))
)]
async fn retire(
    app: Data<AppState>,
    Path(id): Path<EndpointId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.webhooks.retire(&actor, id, guard).await
        },
        rendered,
    )
    .await
}

/// A call that was queued.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookPing)]
struct PingBody {
    /// The delivery to look for.
    delivery_id: Uuid,
}

/// Try a webhook endpoint
///
/// Queues a call `webhook.ping`, which tells of nothing. Whether it arrived is in its delivery. For administrators.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/ping",
    operation_id = "pingWebhook",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 202, description = "The call is queued.", body = PingBody))
)]
async fn ping(
    app: Data<AppState>,
    Path(id): Path<EndpointId>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let delivery_id = app.webhooks.ping(&call.actor(), id).await?;
    let location = format!("/api/v1/webhooks/{id}/deliveries/{delivery_id}");
    Rendered::of(StatusCode::ACCEPTED, &PingBody { delivery_id })
        .at(location)
        .into_response()
}

/// One try of a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookTry)]
struct TryBody {
    /// When it began.
    at: Timestamp,
    /// How long it took, in milliseconds.
    took_ms: u32,
    /// The status of the answer; null without one.
    #[schema(required = true, examples(503))]
    status: Option<u16>,
    /// What went wrong: `status`, `timeout`, `connect`, `tls`, `broken_answer`, or why the address may not be called, such as
    /// `inside_address`.
    #[schema(required = true, examples("status"))]
    error: Option<String>,
    /// How the answer begins, 1 000 characters at the most.
    #[schema(required = true)]
    answer: Option<String>,
}

impl From<&Try> for TryBody {
    fn from(tried: &Try) -> Self {
        let Try {
            at,
            took_ms,
            status,
            error,
            answer,
        } = tried;
        Self {
            at: Timestamp(*at),
            took_ms: *took_ms,
            status: *status,
            error: error.clone(),
            answer: answer.clone(),
        }
    }
}

/// What an endpoint was sent, or is to be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDelivery)]
struct DeliveryBody {
    /// The delivery, and the header `webhook-id` of every try: the event's id, or for what a rule sends one of its own.
    id: Uuid,
    /// The event's name.
    #[schema(examples("ticket.created"))]
    event: String,
    /// About which ticket.
    #[schema(required = true)]
    ticket_id: Option<Uuid>,
    /// `waiting`, `delivered` or `dead`.
    #[schema(examples("delivered"))]
    status: &'static str,
    /// Why it is dead: `exhausted`, `gone`, `disabled`, `overflow` or `ticket_deleted`.
    #[schema(required = true)]
    dead_because: Option<&'static str>,
    /// How often it was tried since it was queued, or replayed.
    tries: u32,
    /// When it is tried next, if it waits.
    #[schema(required = true)]
    next_try_at: Option<Timestamp>,
    /// When it was delivered or given up.
    #[schema(required = true)]
    ended_at: Option<Timestamp>,
    /// When it was queued.
    created_at: Timestamp,
    /// Its last 20 tries, the oldest first.
    attempts: Vec<TryBody>,
    /// What is sent; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Value>,
}

impl From<&Call> for DeliveryBody {
    fn from(call: &Call) -> Self {
        let Call {
            delivery,
            event,
            created_at,
            body,
            log,
        } = call;
        let (next_at, ended_at, why) = match delivery.state {
            DeliveryState::Waiting { next_at } => (Some(next_at), None, None),
            DeliveryState::Delivered { at } => (None, Some(at), None),
            DeliveryState::Dead { at, why } => (None, Some(at), Some(why)),
        };
        Self {
            id: delivery.id,
            event: event.clone(),
            ticket_id: delivery.ticket.map(|ticket| ticket.0),
            status: CallState::of(delivery.state).as_str(),
            dead_because: why.map(Dead::as_str),
            tries: delivery.tries,
            next_try_at: next_at.map(Timestamp),
            ended_at: ended_at.map(Timestamp),
            created_at: Timestamp(*created_at),
            attempts: log.iter().map(TryBody::from).collect(),
            payload: body.as_ref().and_then(|body| serde_json::from_str(body).ok()),
        }
    }
}

/// Which deliveries to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct DeliveryParams {
    /// Those that came so far alone: `waiting`, `delivered` or `dead`.
    status: Option<String>,
}

/// List what a webhook endpoint was sent
///
/// The newest first, for 30 days after each ended. For administrators.
#[utoipa::path(
    get,
    path = "/webhooks/{id}/deliveries",
    operation_id = "listWebhookDeliveries",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint."), DeliveryParams, PageParams),
    responses((status = 200, description = "A page of deliveries.", body = ListBody<DeliveryBody>))
)]
async fn deliveries(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<EndpointId>,
    mut query: Query,
) -> Result<impl Responder, Problem> {
    let state = query.choice("status", &CallState::ALL, CallState::as_str);
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let found = app
        .webhooks
        .calls(&caller.actor(), id, state, page.after()?, page.limit)
        .await?;
    page.answer(found, None, |call| DeliveryBody::from(&call))
}

/// Show what a webhook endpoint was sent
///
/// One delivery, with its payload. For administrators.
#[utoipa::path(
    get,
    path = "/webhooks/{id}/deliveries/{deliveryId}",
    operation_id = "getWebhookDelivery",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint."),
        ("deliveryId" = Uuid, Path, description = "The delivery.")),
    responses((status = 200, description = "The delivery.", body = DeliveryBody))
)]
async fn delivery(
    app: Data<AppState>,
    caller: Caller,
    Path2(id, DeliveryId(delivery)): Path2<EndpointId, DeliveryId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let call = app.webhooks.call(&caller.actor(), id, delivery).await?;
    Rendered::of(StatusCode::OK, &DeliveryBody::from(&call)).to_get(&request)
}

/// What to send again: deliveries by their ids, or those queued in a span of time.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = WebhookReplay)]
struct ReplayBody {
    /// These, 1 000 at the most.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Option<Vec<Uuid>>,
    /// Those queued from this moment on.
    #[schema(format = DateTime, examples("2026-01-31T09:00:00Z"))]
    from: Option<String>,
    /// Those queued before this moment; now when absent.
    #[schema(format = DateTime, examples("2026-02-03T09:00:00Z"))]
    to: Option<String>,
    /// Of a span, also those that were delivered; else the dead ones alone.
    #[serde(default)]
    with_delivered: bool,
}

impl ReplayBody {
    fn read(self, now: DateTime<Utc>) -> Result<Replay, AutomationError> {
        let Self {
            ids,
            from,
            to,
            with_delivered,
        } = self;
        match (ids, from) {
            (Some(_), Some(_)) => {
                Err(Violation::new("/from", "conflict", "must not be given with ids").into())
            }
            (Some(_), None) if to.is_some() => {
                Err(Violation::new("/to", "conflict", "must not be given with ids").into())
            }
            (Some(ids), None) => Ok(Replay::Ids(ids)),
            (None, Some(from)) => Ok(Replay::Range {
                from: time("/from", &from)?,
                to: to.map_or(Ok(now), |to| time("/to", &to))?,
                with_delivered,
            }),
            (None, None) => {
                let message = format!("must be 1 to {REPLAYED_IDS_MAX} ids, or from must be given");
                Err(Violation::new("/ids", "required", message).into())
            }
        }
    }
}

/// How much is sent again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookReplayed)]
struct ReplayedBody {
    /// How many deliveries wait again, the oldest first: 10 000 of a span at the most, after which the rest can be asked for.
    replayed: u64,
}

/// Send again what a webhook endpoint was sent
///
/// Under the same ids, so that a receiver knows what it has, and in the order of each ticket. Deliveries that wait already go on
/// waiting. For administrators.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/replay",
    operation_id = "replayWebhook",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint.")),
    request_body = ReplayBody,
    responses((status = 202, description = "They are queued.", body = ReplayedBody))
)]
async fn replay(
    app: Data<AppState>,
    Path(id): Path<EndpointId>,
    Command(call, body): Command<ReplayBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    app.webhooks.permit(&actor)?;
    let which = body.read(app.clock.now())?;
    let replayed = app.webhooks.replay(&actor, id, &which).await?;
    Rendered::of(StatusCode::ACCEPTED, &ReplayedBody { replayed }).into_response()
}
