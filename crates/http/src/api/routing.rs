//! How teams' tickets find who answers them, and who wants to be given some.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use identity::Scope;
use kernel::{Patch, TeamId, UserId, Version, Violations};
use serde::{Deserialize, Serialize};
use ticketing::{
    Availability, AvailabilityChange, Guard, RoutingChange, RoutingError, RoutingMode, RoutingSettings,
    TicketBound,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::tickets::not_null;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Rendered};
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::routes::{Operation, operation};

/// The kinds that entity tags carry.
const KIND: &str = "routing";
const KIND_OF_PERSON: &str = "availability";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_show, show).scope(Scope::TeamsRead),
        operation(__path_change, change).scope(Scope::TeamsWrite),
        operation(__path_show_mine, show_mine).scope(Scope::UsersRead),
        operation(__path_change_mine, change_mine).scope(Scope::UsersWrite),
        operation(__path_show_person, show_person).scope(Scope::UsersRead),
        operation(__path_change_person, change_person).scope(Scope::UsersWrite),
    ]
}

/// How a team's tickets find who answers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RoutingMode)]
enum ModeName {
    /// People take them or hand them out.
    Manual,
    /// One available agent after the other.
    RoundRobin,
    /// The available agent who has the fewest; among equals one after the other.
    LeastLoaded,
}

impl From<RoutingMode> for ModeName {
    fn from(mode: RoutingMode) -> Self {
        match mode {
            RoutingMode::Manual => Self::Manual,
            RoutingMode::RoundRobin => Self::RoundRobin,
            RoutingMode::LeastLoaded => Self::LeastLoaded,
        }
    }
}

impl From<ModeName> for RoutingMode {
    fn from(mode: ModeName) -> Self {
        match mode {
            ModeName::Manual => Self::Manual,
            ModeName::RoundRobin => Self::RoundRobin,
            ModeName::LeastLoaded => Self::LeastLoaded,
        }
    }
}

/// How a team's tickets are given out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TeamRouting)]
struct RoutingBody {
    /// The team.
    team_id: Uuid,
    /// How.
    mode: ModeName,
    /// How many open and pending tickets, of all teams, an agent may have to be given another; null for no bound.
    #[schema(required = true, minimum = 1, maximum = 1000, examples(12))]
    capacity: Option<u32>,
}

impl From<RoutingSettings> for RoutingBody {
    fn from(settings: RoutingSettings) -> Self {
        let RoutingSettings {
            team: TeamId(team_id),
            mode,
            capacity,
            version: Version(_),
        } = settings;
        Self {
            team_id,
            mode: mode.into(),
            capacity: capacity.map(TicketBound::get),
        }
    }
}

/// What to change of how a team's tickets are given out.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TeamRoutingUpdate)]
struct UpdateRoutingBody {
    /// How.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<ModeName>, nullable = false)]
    mode: Patch<ModeName>,
    /// How many open and pending tickets, of all teams, an agent may have to be given another; null for no bound.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000, examples(12))]
    capacity: Patch<i64>,
}

fn bound(violations: &mut Violations, capacity: Patch<i64>) -> Patch<TicketBound> {
    match capacity {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(raw) => violations
            .check(TicketBound::parse("/capacity", raw))
            .map_or(Patch::Keep, Patch::Set),
    }
}

fn accepted(violations: Violations) -> Result<(), Problem> {
    violations
        .into_result()
        .map_err(|violations| RoutingError::from(violations).into())
}

impl UpdateRoutingBody {
    fn into_domain(self) -> Result<RoutingChange, Problem> {
        let Self { mode, capacity } = self;
        let mut violations = Violations::new();
        let change = RoutingChange {
            mode: not_null(&mut violations, "/mode", mode).map(RoutingMode::from),
            capacity: bound(&mut violations, capacity),
        };
        accepted(violations)?;
        Ok(change)
    }
}

/// Show how a team's tickets are given out
///
/// For its members and administrators.
#[utoipa::path(
    get,
    path = "/teams/{id}/routing",
    operation_id = "getTeamRouting",
    tag = "teams",
    params(("id" = Uuid, Path, description = "The team.")),
    responses((status = 200, description = "How they are given out.", body = RoutingBody,
        headers(("ETag" = String, description = "Its version."))))
)]
async fn show(
    app: Data<AppState>,
    caller: Caller,
    Path(team): Path<TeamId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let settings = app.routing.settings(&caller.actor(), team).await?;
    Rendered::resource(KIND, settings.version, &RoutingBody::from(settings)).to_get(&request)
}

/// Change how a team's tickets are given out
///
/// As its lead or an administrator. Open tickets of the team that nobody has go to its active members who want some, the most
/// pressing first; what was given out stays where it is.
#[utoipa::path(
    patch,
    path = "/teams/{id}/routing",
    operation_id = "updateTeamRouting",
    tag = "teams",
    params(("id" = Uuid, Path, description = "The team."), IfMatchHeader),
    request_body = UpdateRoutingBody,
    responses((status = 200, description = "How they are given out from now on.", body = RoutingBody,
        headers(("ETag" = String, description = "Its version."))))
)]
async fn change(
    app: Data<AppState>,
    Path(team): Path<TeamId>,
    Command(mut call, body): Command<UpdateRoutingBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let change = body.into_domain()?;
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.routing.change_settings(&actor, team, &change, guard).await
        },
        |settings| Rendered::resource(KIND, settings.version, &RoutingBody::from(*settings)),
    )
    .await
}

/// Whether someone of the staff is given tickets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Availability)]
struct AvailabilityBody {
    /// Who.
    user_id: Uuid,
    /// Whether they want some.
    available: bool,
    /// How many open and pending tickets they may have to be given another; null for what the team says.
    #[schema(required = true, minimum = 1, maximum = 1000, examples(8))]
    capacity: Option<u32>,
}

impl From<Availability> for AvailabilityBody {
    fn from(availability: Availability) -> Self {
        let Availability {
            user: UserId(user_id),
            is_available,
            capacity,
            version: Version(_),
        } = availability;
        Self {
            user_id,
            available: is_available,
            capacity: capacity.map(TicketBound::get),
        }
    }
}

/// What to change of whether someone is given tickets.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AvailabilityUpdate)]
struct UpdateAvailabilityBody {
    /// Whether they want some.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<bool>, nullable = false)]
    available: Patch<bool>,
    /// How many open and pending tickets they may have to be given another; null for what the team says.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000, examples(8))]
    capacity: Patch<i64>,
}

impl UpdateAvailabilityBody {
    fn into_domain(self) -> Result<AvailabilityChange, Problem> {
        let Self { available, capacity } = self;
        let mut violations = Violations::new();
        let change = AvailabilityChange {
            is_available: not_null(&mut violations, "/available", available),
            capacity: bound(&mut violations, capacity),
        };
        accepted(violations)?;
        Ok(change)
    }
}

fn rendered(availability: &Availability) -> Rendered {
    let body = AvailabilityBody::from(*availability);
    Rendered::resource(KIND_OF_PERSON, availability.version, &body)
}

/// Show whether you are given tickets
#[utoipa::path(
    get,
    path = "/auth/me/availability",
    operation_id = "getMyAvailability",
    tag = "users",
    responses((status = 200, description = "Whether you are.", body = AvailabilityBody,
        headers(("ETag" = String, description = "Its version."))))
)]
async fn show_mine(
    app: Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let availability = app.routing.availability(&caller.actor(), caller.id()).await?;
    rendered(&availability).to_get(&request)
}

/// Say whether you are given tickets
///
/// Staff are, unless they say otherwise. What you have stays with you.
#[utoipa::path(
    patch,
    path = "/auth/me/availability",
    operation_id = "updateMyAvailability",
    tag = "users",
    params(IfMatchHeader),
    request_body = UpdateAvailabilityBody,
    responses((status = 200, description = "Whether you are from now on.", body = AvailabilityBody,
        headers(("ETag" = String, description = "Its version."))))
)]
async fn change_mine(
    app: Data<AppState>,
    Command(mut call, body): Command<UpdateAvailabilityBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND_OF_PERSON));
    let me = call.caller.id();
    let change = body.into_domain()?;
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.routing.change_availability(&actor, me, &change, guard).await
        },
        rendered,
    )
    .await
}

/// Show whether someone of the staff is given tickets
///
/// For themselves, supervisors and leads of a team that they are in, and administrators.
#[utoipa::path(
    get,
    path = "/users/{id}/availability",
    operation_id = "getAvailability",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account.")),
    responses((status = 200, description = "Whether they are.", body = AvailabilityBody,
        headers(("ETag" = String, description = "Its version."))))
)]
async fn show_person(
    app: Data<AppState>,
    caller: Caller,
    Path(user): Path<UserId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let availability = app.routing.availability(&caller.actor(), user).await?;
    rendered(&availability).to_get(&request)
}

/// Say whether someone of the staff is given tickets
///
/// Whoever sees it may.
#[utoipa::path(
    patch,
    path = "/users/{id}/availability",
    operation_id = "updateAvailability",
    tag = "users",
    params(("id" = Uuid, Path, description = "The account."), IfMatchHeader),
    request_body = UpdateAvailabilityBody,
    responses((status = 200, description = "Whether they are from now on.", body = AvailabilityBody,
        headers(("ETag" = String, description = "Its version."))))
)]
async fn change_person(
    app: Data<AppState>,
    Path(user): Path<UserId>,
    Command(mut call, body): Command<UpdateAvailabilityBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND_OF_PERSON));
    let change = body.into_domain()?;
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.routing
                .change_availability(&actor, user, &change, guard)
                .await
        },
        rendered,
    )
    .await
}
