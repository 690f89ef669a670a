//! Teams and their members.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder};
use identity::Scope;
use identity::ports::MemberRecord;
use identity::service::{CreateTeam, MemberWish, UpdateTeam};
use identity::{MemberId, Team, TeamMember};
use kernel::{Patch, TeamId, UserId, Version};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::{Path, Path2};
use crate::problem::Problem;
use crate::query::{ListBody, Query};
use crate::routes::{Operation, operation};
use crate::wire::{PersonBody, TeamRoleName, Timestamp};

/// The kind that entity tags of teams carry.
const KIND: &str = "team";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::TeamsRead),
        operation(__path_create, create).scope(Scope::TeamsWrite),
        operation(__path_get, get).scope(Scope::TeamsRead),
        operation(__path_update, update).scope(Scope::TeamsWrite),
        operation(__path_delete, delete).scope(Scope::TeamsWrite),
        operation(__path_members, members).scope(Scope::TeamsRead),
        operation(__path_join, join).scope(Scope::TeamsWrite),
        operation(__path_rank, rank).scope(Scope::TeamsWrite),
        operation(__path_remove, remove).scope(Scope::TeamsWrite),
    ]
}

/// A team.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Team)]
struct TeamBody {
    /// The team.
    id: Uuid,
    /// What it is called.
    #[schema(examples("First line"))]
    name: String,
    /// What it is for.
    #[schema(required = true, examples("Answers what comes in"))]
    description: Option<String>,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<Team> for TeamBody {
    fn from(team: Team) -> Self {
        let Team {
            id: TeamId(id),
            name,
            description,
            created_at,
            updated_at,
            version: Version(_),
        } = team;
        Self {
            id,
            name: name.as_str().to_owned(),
            description: description.map(|text| text.as_str().to_owned()),
            created_at: Timestamp(created_at),
            updated_at: Timestamp(updated_at),
        }
    }
}

/// List teams
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/teams",
    operation_id = "listTeams",
    tag = "teams",
    params(PageParams),
    responses((status = 200, description = "A page of teams.", body = ListBody<TeamBody>))
)]
async fn list(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let found = app.teams.list(&caller.actor(), page.after()?, page.limit).await?;
    page.answer(found, None, TeamBody::from)
}

/// A team to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewTeam)]
struct CreateTeamBody {
    /// What it is called; no two teams share a name.
    #[schema(min_length = 1, max_length = 100, examples("First line"))]
    name: String,
    /// What it is for.
    #[schema(min_length = 1, max_length = 2000, examples("Answers what comes in"))]
    description: Option<String>,
}

impl From<CreateTeamBody> for CreateTeam {
    fn from(body: CreateTeamBody) -> Self {
        let CreateTeamBody { name, description } = body;
        Self { name, description }
    }
}

/// Make a team
#[utoipa::path(
    post,
    path = "/teams",
    operation_id = "createTeam",
    tag = "teams",
    request_body = CreateTeamBody,
    responses((status = 201, description = "The new team.", body = TeamBody,
        headers(("ETag" = String, description = "The team's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, body): Command<CreateTeamBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    call.run(
        async |receipt| app.teams.create(&actor, body.into(), receipt).await,
        |team| {
            let location = format!("/api/v1/teams/{}", team.id);
            Rendered::created(KIND, team.version, location, &TeamBody::from(team.clone()))
        },
    )
    .await
}

/// Show a team
#[utoipa::path(
    get,
    path = "/teams/{id}",
    operation_id = "getTeam",
    tag = "teams",
    params(("id" = Uuid, Path, description = "The team.")),
    responses((status = 200, description = "The team.", body = TeamBody,
        headers(("ETag" = String, description = "The team's version."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<TeamId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let team = app.teams.get(&caller.actor(), id).await?;
    Rendered::resource(KIND, team.version, &TeamBody::from(team)).to_get(&request)
}

/// What to change of a team.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TeamUpdate)]
struct UpdateTeamBody {
    /// What it is called.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 100, examples("First line"))]
    name: Patch<String>,
    /// What it is for; null takes it away.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000)]
    description: Patch<String>,
}

impl From<UpdateTeamBody> for UpdateTeam {
    fn from(body: UpdateTeamBody) -> Self {
        let UpdateTeamBody { name, description } = body;
        Self { name, description }
    }
}

/// Change a team
#[utoipa::path(
    patch,
    path = "/teams/{id}",
    operation_id = "updateTeam",
    tag = "teams",
    params(("id" = Uuid, Path, description = "The team."), IfMatchHeader),
    request_body = UpdateTeamBody,
    responses((status = 200, description = "The team after the change.", body = TeamBody,
        headers(("ETag" = String, description = "The team's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<TeamId>,
    Command(mut call, body): Command<UpdateTeamBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| app.teams.update(&actor, id, body.into(), expected, receipt).await,
        |team| Rendered::resource(KIND, team.version, &TeamBody::from(team.clone())),
    )
    .await
}

/// Delete a team
///
/// For good, once no ticket lies with it any more. Its members stay on the staff.
#[utoipa::path(
    delete,
    path = "/teams/{id}",
    operation_id = "deleteTeam",
    tag = "teams",
    params(("id" = Uuid, Path, description = "The team."), IfMatchHeader),
    responses((status = 204, description = "The team is gone."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<TeamId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |_| app.teams.delete(&actor, id, expected).await,
        |()| Rendered::no_content(),
    )
    .await
}

/// A person's membership in a team.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TeamMember)]
struct MemberBody {
    /// The membership.
    id: Uuid,
    /// The team.
    team_id: Uuid,
    /// The member.
    user_id: Uuid,
    /// The rank.
    role_in_team: TeamRoleName,
    /// When the person joined.
    created_at: Timestamp,
    /// The member, by name.
    user: PersonBody,
}

impl From<MemberRecord> for MemberBody {
    fn from(record: MemberRecord) -> Self {
        let MemberRecord { member, person } = record;
        let TeamMember {
            id: MemberId(id),
            team_id: TeamId(team_id),
            user_id: UserId(user_id),
            role_in_team,
            created_at,
        } = member;
        Self {
            id,
            team_id,
            user_id,
            role_in_team: role_in_team.into(),
            created_at: Timestamp(created_at),
            user: person.into(),
        }
    }
}

/// List a team's members
///
/// In the order of joining.
#[utoipa::path(
    get,
    path = "/teams/{id}/members",
    operation_id = "listTeamMembers",
    tag = "teams",
    params(("id" = Uuid, Path, description = "The team."), PageParams),
    responses((status = 200, description = "A page of members.", body = ListBody<MemberBody>))
)]
async fn members(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<TeamId>,
    mut query: Query,
) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let found = app
        .teams
        .members(&caller.actor(), id, page.after()?, page.limit)
        .await?;
    page.answer(found, None, MemberBody::from)
}

/// Who is to join a team.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewTeamMember)]
struct JoinBody {
    /// An agent or administrator.
    user_id: Uuid,
    /// The rank; `agent` when absent.
    #[serde(default)]
    role_in_team: TeamRoleName,
}

/// Let someone join a team
///
/// One who is a member already gets the rank.
#[utoipa::path(
    post,
    path = "/teams/{id}/members",
    operation_id = "addTeamMember",
    tag = "teams",
    params(("id" = Uuid, Path, description = "The team.")),
    request_body = JoinBody,
    responses((status = 201, description = "The membership.", body = MemberBody,
        headers(("Location" = String, description = "Where it is."))))
)]
async fn join(
    app: Data<AppState>,
    Path(team): Path<TeamId>,
    Command(call, body): Command<JoinBody>,
) -> Result<HttpResponse, Problem> {
    let JoinBody {
        user_id,
        role_in_team,
    } = body;
    let (actor, wish) = (call.actor(), MemberWish::Join(role_in_team.into()));
    call.run(
        async |receipt| {
            app.teams
                .set_member(&actor, team, UserId(user_id), wish, receipt)
                .await
        },
        |record| {
            let location = format!("/api/v1/teams/{team}/members/{user_id}");
            Rendered::of(StatusCode::CREATED, &MemberBody::from(record.clone())).at(location)
        },
    )
    .await
}

/// A member's new rank.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TeamMemberUpdate)]
struct RankBody {
    /// The rank.
    role_in_team: TeamRoleName,
}

/// Change a member's rank
#[utoipa::path(
    patch,
    path = "/teams/{id}/members/{userId}",
    operation_id = "updateTeamMember",
    tag = "teams",
    params(
        ("id" = Uuid, Path, description = "The team."),
        ("userId" = Uuid, Path, description = "The member."),
    ),
    request_body = RankBody,
    responses((status = 200, description = "The membership after the change.", body = MemberBody))
)]
async fn rank(
    app: Data<AppState>,
    Path2(team, user): Path2<TeamId, UserId>,
    Command(call, body): Command<RankBody>,
) -> Result<HttpResponse, Problem> {
    let RankBody { role_in_team } = body;
    let (actor, wish) = (call.actor(), MemberWish::Rank(role_in_team.into()));
    call.run(
        async |receipt| app.teams.set_member(&actor, team, user, wish, receipt).await,
        |record| Rendered::of(StatusCode::OK, &MemberBody::from(record.clone())),
    )
    .await
}

/// Take a member out of a team
#[utoipa::path(
    delete,
    path = "/teams/{id}/members/{userId}",
    operation_id = "removeTeamMember",
    tag = "teams",
    params(
        ("id" = Uuid, Path, description = "The team."),
        ("userId" = Uuid, Path, description = "The member."),
    ),
    responses((status = 204, description = "The person is no longer a member."))
)]
async fn remove(
    app: Data<AppState>,
    Path2(team, user): Path2<TeamId, UserId>,
    Command(call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    call.run(
        async |_| app.teams.remove_member(&actor, team, user).await,
        |()| Rendered::no_content(),
    )
    .await
}
