//! Why a ticket is due when it is due.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::TimeDelta;
use identity::Scope;
use serde::Serialize;
use sla::clocks::{Cancel, Outcome, Pause, Phase, Reading};
use sla::ledger::{Part, PartCause};
use sla::{Explained, Metric, Stretch};
use ticketing::{Ticket, TicketKey};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AppState;
use crate::auth::Caller;
use crate::command::Rendered;
use crate::path::Path;
use crate::problem::Problem;
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

pub(super) fn operations() -> Vec<Operation> {
    vec![operation(__path_show, show).scope(Scope::TicketsRead)]
}

/// What a clock does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClockState)]
enum StateName {
    /// It counts while the desk is open.
    Running,
    /// It stands while the ticket is pending, or is resolved without the answer.
    Paused,
    /// It was stopped in time.
    Met,
    /// It was stopped, and had missed its deadline.
    Missed,
    /// There is nothing to measure: the ticket is merged or deleted, or nothing is promised any more.
    Cancelled,
}

fn state_of(phase: Phase) -> (StateName, Option<&'static str>) {
    match phase {
        Phase::Running => (StateName::Running, None),
        Phase::Paused(Pause::Pending) => (StateName::Paused, Some("pending")),
        Phase::Paused(Pause::Resolved) => (StateName::Paused, Some("resolved")),
        Phase::Stopped(Outcome::Met) => (StateName::Met, None),
        Phase::Stopped(Outcome::Missed) => (StateName::Missed, None),
        Phase::Cancelled(Cancel::Merged) => (StateName::Cancelled, Some("merged")),
        Phase::Cancelled(Cancel::Deleted) => (StateName::Cancelled, Some("deleted")),
        Phase::Cancelled(Cancel::NoPolicy) => (StateName::Cancelled, Some("no_policy")),
    }
}

/// Seconds, exact to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "exact below 285 years of microseconds")]
fn seconds(time: TimeDelta) -> f64 {
    time.num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6
}

/// A clock of a ticket.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TicketClock)]
struct ClockBody {
    /// `first_response`, `next_response` or `resolution`.
    #[schema(examples("first_response"))]
    metric: &'static str,
    /// Which run it is, from 1: each unanswered message begins another one of the next response.
    run: u32,
    /// What it does.
    state: StateName,
    /// Why it stands or measures nothing: `pending`, `resolved`, `merged`, `deleted`, `no_policy`.
    #[schema(required = true)]
    cause: Option<&'static str>,
    /// When the run began.
    started_at: Timestamp,
    /// When it was stopped.
    #[schema(required = true)]
    stopped_at: Option<Timestamp>,
    /// What it may use, in seconds.
    #[schema(required = true)]
    target_seconds: Option<f64>,
    /// What it used: the time that the desk was open while it ran. With paused and closed it is the time elapsed.
    counted_seconds: f64,
    /// How long it stood.
    paused_seconds: f64,
    /// How long the desk was closed while it ran.
    closed_seconds: f64,
    /// What it may still use; negative beyond the deadline.
    #[schema(required = true)]
    remaining_seconds: Option<f64>,
    /// When it is due if it goes on running; `null` while it stands.
    #[schema(required = true)]
    due_at: Option<Timestamp>,
    /// The deadline that it missed first.
    #[schema(required = true)]
    breached_at: Option<Timestamp>,
}

impl From<Reading> for ClockBody {
    fn from(reading: Reading) -> Self {
        let Reading {
            metric,
            run,
            phase,
            started_at,
            stopped_at,
            target,
            counted,
            paused,
            closed,
            remaining,
            due_at,
            breached_at,
        } = reading;
        let (state, cause) = state_of(phase);
        Self {
            metric: metric.as_str(),
            run,
            state,
            cause,
            started_at: started_at.into(),
            stopped_at: stopped_at.map(Timestamp),
            target_seconds: target.map(seconds),
            counted_seconds: seconds(counted),
            paused_seconds: seconds(paused),
            closed_seconds: seconds(closed),
            remaining_seconds: remaining.map(seconds),
            due_at: due_at.map(Timestamp),
            breached_at: breached_at.map(Timestamp),
        }
    }
}

/// A stretch of a clock's time in which one thing was so for one reason.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClockStretch)]
pub(crate) struct StretchPart {
    /// Of which clock.
    #[schema(examples("resolution"))]
    metric: &'static str,
    /// Its first moment.
    from: Timestamp,
    /// The moment behind its last.
    to: Timestamp,
    /// `counted`, `paused` or `closed`.
    #[schema(examples("counted"))]
    kind: &'static str,
    /// Why it was paused (`pending`, `resolved`, `merged`, `deleted`, `no_policy`) or closed (`out_of_hours`, `holiday`).
    #[schema(required = true)]
    cause: Option<&'static str>,
    /// The holiday's name.
    #[schema(required = true)]
    holiday: Option<String>,
    /// How long it was.
    seconds: f64,
}

impl StretchPart {
    pub(crate) fn new(metric: Metric, part: Part) -> Self {
        let length = part.length();
        let kind = part.cause.kind().as_str();
        let (cause, holiday) = match part.cause {
            PartCause::Counted => (None, None),
            PartCause::Paused(standstill) => (Some(standstill.as_str()), None),
            PartCause::OutOfHours => (Some("out_of_hours"), None),
            PartCause::Holiday(name) => (Some("holiday"), name),
        };
        Self {
            metric: metric.as_str(),
            from: part.from.into(),
            to: part.to.into(),
            kind,
            cause,
            holiday,
            seconds: seconds(length),
        }
    }
}

/// A stretch of a ticket's clock.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LedgerStretch)]
struct StretchBody {
    #[serde(flatten)]
    part: StretchPart,
    /// Of which of the clock's runs.
    run: u32,
    /// By which policy.
    #[schema(required = true)]
    policy_id: Option<Uuid>,
    /// By which version of what it promises.
    #[schema(required = true)]
    policy_version: Option<i32>,
    /// By which version of its hours; `null` around the clock.
    #[schema(required = true)]
    calendar_version: Option<i32>,
    /// At which priority.
    #[schema(examples("medium"))]
    priority: &'static str,
}

impl From<Stretch> for StretchBody {
    fn from(stretch: Stretch) -> Self {
        let Stretch {
            metric,
            run,
            part,
            policy,
            calendar_version,
            priority,
        } = stretch;
        Self {
            part: StretchPart::new(metric, part),
            run,
            policy_id: policy.map(|policy| policy.id.0),
            policy_version: policy.map(|policy| policy.version.0),
            calendar_version: calendar_version.map(|version| version.0),
            priority: priority.as_str(),
        }
    }
}

/// What a ticket was promised, and every minute behind it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TicketSla)]
struct ClocksBody {
    /// The ticket.
    ticket_id: Uuid,
    /// The moment that this is about.
    at: Timestamp,
    /// The policy in force.
    #[schema(required = true)]
    policy_id: Option<Uuid>,
    /// The version of what it promises.
    #[schema(required = true)]
    policy_version: Option<i32>,
    /// Whether somebody chose the policy for the ticket.
    policy_is_explicit: bool,
    /// The earliest deadline of the running clocks.
    #[schema(required = true)]
    sla_due_at: Option<Timestamp>,
    /// Whether any deadline was missed.
    sla_breached: bool,
    /// The clocks that ever started, each with its present or last run.
    clocks: Vec<ClockBody>,
    /// What every moment of the clocks was, clock by clock and run by run, in order; the latest 5 000 stretches.
    ledger: Vec<StretchBody>,
    /// Whether older stretches were left out.
    ledger_is_cut: bool,
}

impl ClocksBody {
    fn new(ticket: &Ticket, explained: Option<Explained>, now: Timestamp) -> Self {
        let Some(explained) = explained else {
            return Self {
                ticket_id: ticket.id.0,
                at: now,
                policy_id: ticket.sla_policy,
                policy_version: None,
                policy_is_explicit: false,
                sla_due_at: ticket.sla_due_at.map(Timestamp),
                sla_breached: ticket.sla_breached,
                clocks: Vec::new(),
                ledger: Vec::new(),
                ledger_is_cut: false,
            };
        };
        let Explained {
            at,
            policy,
            is_explicit,
            due_at,
            is_breached,
            clocks,
            ledger,
            is_cut,
        } = explained;
        Self {
            ticket_id: ticket.id.0,
            at: at.into(),
            policy_id: policy.map(|policy| policy.id.0),
            policy_version: policy.map(|policy| policy.version.0),
            policy_is_explicit: is_explicit,
            sla_due_at: due_at.map(Timestamp),
            sla_breached: is_breached,
            clocks: clocks.into_iter().map(ClockBody::from).collect(),
            ledger: ledger.into_iter().map(StretchBody::from).collect(),
            ledger_is_cut: is_cut,
        }
    }
}

/// Explain a ticket's deadlines
///
/// For staff. The clocks of first response, next response and resolution as they stand now, and the ledger: each stretch that was
/// counted, paused, or closed, with its cause and the versions of policy and hours. Of each run, counted, paused and closed add up to
/// the time elapsed. A ticket that nothing was ever promised has no clocks.
#[utoipa::path(
    get,
    path = "/tickets/{id}/sla",
    operation_id = "getTicketSla",
    tag = "tickets",
    params(("id" = String, Path, description = "The ticket's id or number.")),
    responses((status = 200, description = "The deadlines and the ledger.", body = ClocksBody))
)]
async fn show(
    app: Data<AppState>,
    caller: Caller,
    Path(key): Path<TicketKey>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let ticket = app.tickets.with_clocks(&caller.actor(), &key).await?;
    let explained = app.ticket_sla.explain(ticket.id).await?;
    let body = ClocksBody::new(&ticket, explained, app.clock.now().into());
    Rendered::of(StatusCode::OK, &body).to_get(&request)
}
