//! Saved views: a condition on tickets and an order under a name, and looking through it.

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, Responder};
use identity::Scope;
use kernel::{Page, Patch, Position, TeamId, UserId, Version, Violation, Violations};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ticketing::{
    Guard, NewView, SavedView, SavedViewError, SavedViewId, Sort, TicketQuery, VIEWS_COUNTED_MAX, ViewChange,
    ViewCount, ViewFilter, ViewHolder, ViewName, ViewPlace, ViewPosition, ViewVisibility,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::tickets::{Listed, TicketBody, answer, not_null, related, shape};
use super::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::cursor::{self, Seek};
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, PageRequest, Query};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

/// The kind that entity tags of views carry.
const KIND: &str = "view";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::TicketsRead),
        operation(__path_create, create).scope(Scope::TicketsWrite),
        // Before `/views/{id}`, which would take it for an id.
        operation(__path_counts, counts).scope(Scope::TicketsRead),
        operation(__path_get, get).scope(Scope::TicketsRead),
        operation(__path_update, update).scope(Scope::TicketsWrite),
        operation(__path_delete, delete).scope(Scope::TicketsWrite),
        operation(__path_tickets, tickets).scope(Scope::TicketsRead),
    ]
}

/// Who a view is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ViewVisibility)]
enum VisibilityName {
    /// Its owner alone.
    Own,
    /// The members of a team.
    Team,
    /// All staff.
    Shared,
}

impl From<ViewVisibility> for VisibilityName {
    fn from(visibility: ViewVisibility) -> Self {
        match visibility {
            ViewVisibility::Own => Self::Own,
            ViewVisibility::Team => Self::Team,
            ViewVisibility::Shared => Self::Shared,
        }
    }
}

impl From<VisibilityName> for ViewVisibility {
    fn from(name: VisibilityName) -> Self {
        match name {
            VisibilityName::Own => Self::Own,
            VisibilityName::Team => Self::Team,
            VisibilityName::Shared => Self::Shared,
        }
    }
}

/// A saved view of tickets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = View)]
struct ViewBody {
    /// The view.
    id: Uuid,
    /// What it is called.
    #[schema(examples("Mine, and silent for a week"))]
    name: String,
    /// The condition of the filter language that its tickets satisfy, as it was written; null where it has them all.
    #[schema(
        required = true,
        value_type = Option<Object>,
        examples(json!({ "all": [
            { "field": "assignedToId", "operator": "equals", "value": "me" },
            { "field": "updatedAt", "operator": "less_than", "value": "-7d" }
        ] }))
    )]
    filter: Option<Value>,
    /// The order of its tickets.
    #[schema(examples("-updatedAt"))]
    sort: &'static str,
    /// Its place among the views of its visibility.
    #[schema(minimum = 0, maximum = 9999, examples(10))]
    position: i16,
    /// Who it is there for.
    visibility: VisibilityName,
    /// Whose own it is.
    #[schema(required = true)]
    owner_id: Option<Uuid>,
    /// Which team's it is.
    #[schema(required = true)]
    team_id: Option<Uuid>,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<SavedView> for ViewBody {
    fn from(view: SavedView) -> Self {
        let SavedView {
            id: SavedViewId(id),
            name,
            filter,
            sort,
            place,
            holder,
            created_at,
            updated_at,
            version: Version(_),
        } = view;
        let (owner_id, team_id) = match holder {
            ViewHolder::Person(UserId(owner)) => (Some(owner), None),
            ViewHolder::Team(TeamId(team)) => (None, Some(team)),
            ViewHolder::Desk => (None, None),
        };
        Self {
            id,
            name: name.as_str().to_owned(),
            filter: filter.map(|filter| filter.as_json().clone()),
            sort: sort.as_str(),
            position: place.number(),
            visibility: holder.visibility().into(),
            owner_id,
            team_id,
            created_at: Timestamp(created_at),
            updated_at: Timestamp(updated_at),
        }
    }
}

/// The number of the kind in front, for kinds have an order.
impl Seek for ViewPosition {
    fn to_bytes(&self) -> Vec<u8> {
        let kind: u8 = match self.visibility {
            ViewVisibility::Own => 0,
            ViewVisibility::Team => 1,
            ViewVisibility::Shared => 2,
        };
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&self.place.number().to_be_bytes());
        bytes.extend_from_slice(self.id.0.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (place, id) = rest.split_at_checked(2)?;
        Some(Self {
            visibility: *ViewVisibility::ALL.get(usize::from(*kind))?,
            place: ViewPlace::stored(i16::from_be_bytes(place.try_into().ok()?)),
            id: SavedViewId(Uuid::from_slice(id).ok()?),
        })
    }
}

/// A place among a view's tickets. It is good for one version of the view: another may have another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PlaceInView {
    version: Version,
    position: Position,
}

impl Seek for PlaceInView {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.version.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.position.to_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, position) = bytes.split_at_checked(4)?;
        Some(Self {
            version: Version(i32::from_be_bytes(version.try_into().ok()?)),
            position: Position::from_bytes(position)?,
        })
    }
}

/// List saved views
///
/// All that you see: your own, then your teams' (administrators: all teams'), then those that all staff share, each in the
/// order of `position`. For staff.
#[utoipa::path(
    get,
    path = "/views",
    operation_id = "listViews",
    tag = "views",
    params(PageParams),
    responses((status = 200, description = "A page of views.", body = ListBody<ViewBody>))
)]
async fn list(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted(caller.id());
    query.finish()?;
    let found = app
        .saved_views
        .list(&caller.actor(), page.after()?, page.limit)
        .await?;
    page.answer(found, None, ViewBody::from)
}

/// A view to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewView)]
struct CreateViewBody {
    /// What it is to be called.
    #[schema(min_length = 1, max_length = 100, examples("Mine, and silent for a week"))]
    name: String,
    /// A condition of the filter language, as `GET /tickets?filter=` takes it, of at most 8192 bytes; all tickets when it is
    /// absent or null. It is kept as it is written: `me` and `-7d` mean whoever looks, when they look.
    #[schema(
        value_type = Option<Object>,
        examples(json!({ "all": [
            { "field": "assignedToId", "operator": "equals", "value": "me" },
            { "field": "updatedAt", "operator": "less_than", "value": "-7d" }
        ] }))
    )]
    filter: Option<Value>,
    /// The order: `createdAt` or `updatedAt`, with `-` in front for newest first; `-updatedAt` when absent.
    #[schema(examples("-updatedAt"))]
    sort: Option<String>,
    /// Its place among the views of its visibility, the least first; 0 when absent.
    #[schema(value_type = Option<i16>, minimum = 0, maximum = 9999, examples(10))]
    position: Option<i64>,
    /// Who it is to be there for; `own` when absent. Supervisors and leads make their team's views, administrators all teams'
    /// and the shared ones.
    visibility: Option<VisibilityName>,
    /// The team, for the visibility `team`.
    team_id: Option<Uuid>,
}

impl CreateViewBody {
    fn into_domain(self) -> Result<NewView, Problem> {
        let Self {
            name,
            filter,
            sort,
            position,
            visibility,
            team_id,
        } = self;
        let mut faults = Violations::new();
        let name = faults.check(ViewName::parse("/name", &name));
        let filter = filter.map(|filter| condition(&mut faults, filter));
        let sort = sort.map(|sort| faults.check(order(&sort)));
        let place = position.map(|position| faults.check(ViewPlace::parse("/position", position)));
        accepted(faults)?;
        let name = name.ok_or_else(|| Problem::internal("a field is neither good nor bad"))?;
        Ok(NewView {
            name,
            filter: filter.flatten(),
            sort: sort.flatten().unwrap_or_default(),
            place: place.flatten().unwrap_or_default(),
            visibility: visibility.map_or(ViewVisibility::Own, ViewVisibility::from),
            team: team_id.map(TeamId),
        })
    }
}

fn condition(faults: &mut Violations, written: Value) -> Option<ViewFilter> {
    match ViewFilter::parse("/filter", written) {
        Ok(filter) => Some(filter),
        Err(found) => {
            for fault in found.as_slice() {
                faults.push(fault.clone());
            }
            None
        }
    }
}

fn order(name: &str) -> Result<Sort, Violation> {
    Sort::named(name).ok_or_else(|| {
        let names = Sort::ALL.map(Sort::as_str).join(", ");
        Violation::new("/sort", "not_allowed", format!("must be one of {names}"))
    })
}

/// All faults of a body as one answer.
fn accepted(faults: Violations) -> Result<(), Problem> {
    let accepted = faults.into_result();
    accepted.map_err(|faults| SavedViewError::from(faults).into())
}

/// Save a view
///
/// For yourself, your team or all staff; each has 100 at most. A view gives nobody more than their own list has. For staff.
#[utoipa::path(
    post,
    path = "/views",
    operation_id = "createView",
    tag = "views",
    request_body = CreateViewBody,
    responses((status = 201, description = "The new view.", body = ViewBody,
        headers(("ETag" = String, description = "The view's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, body): Command<CreateViewBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let new = body.into_domain()?;
    call.run(
        async |receipt| app.saved_views.create(&actor, new, receipt).await,
        |view| {
            let location = format!("/api/v1/views/{}", view.id);
            Rendered::created(KIND, view.version, location, &ViewBody::from(view.clone()))
        },
    )
    .await
}

/// Show a view
///
/// The view itself; `GET /views/{id}/tickets` has what one sees through it.
#[utoipa::path(
    get,
    path = "/views/{id}",
    operation_id = "getView",
    tag = "views",
    params(("id" = Uuid, Path, description = "The view.")),
    responses((status = 200, description = "The view.", body = ViewBody,
        headers(("ETag" = String, description = "The view's version."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<SavedViewId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let view = app.saved_views.show(&caller.actor(), id).await?;
    Rendered::resource(KIND, view.version, &ViewBody::from(view)).to_get(&request)
}

/// What to change of a view.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ViewUpdate)]
struct UpdateViewBody {
    /// What it is called.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 100,
        examples("Mine, and silent for two weeks"))]
    name: Patch<String>,
    /// Its condition, whole; null for all tickets.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Object>,
        examples(json!({ "field": "updatedAt", "operator": "less_than", "value": "-14d" })))]
    filter: Patch<Value>,
    /// The order of its tickets.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, examples("-createdAt"))]
    sort: Patch<String>,
    /// Its place among the views of its visibility.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<i16>, nullable = false, minimum = 0, maximum = 9999, examples(20))]
    position: Patch<i64>,
    /// Who it is there for; `own` makes it yours.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<VisibilityName>, nullable = false)]
    visibility: Patch<VisibilityName>,
    /// The team, for the visibility `team`.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Uuid>)]
    team_id: Patch<Uuid>,
}

impl UpdateViewBody {
    fn into_domain(self) -> Result<ViewChange, Problem> {
        let Self {
            name,
            filter,
            sort,
            position,
            visibility,
            team_id,
        } = self;
        let mut faults = Violations::new();
        let name = not_null(&mut faults, "/name", name)
            .and_then(|name| faults.check(ViewName::parse("/name", &name)));
        let filter = match filter {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(written) => condition(&mut faults, written).map_or(Patch::Keep, Patch::Set),
        };
        let sort = not_null(&mut faults, "/sort", sort).and_then(|sort| faults.check(order(&sort)));
        let place = not_null(&mut faults, "/position", position)
            .and_then(|position| faults.check(ViewPlace::parse("/position", position)));
        let visibility = not_null(&mut faults, "/visibility", visibility);
        accepted(faults)?;
        Ok(ViewChange {
            name,
            filter,
            sort,
            place,
            visibility: visibility.map(ViewVisibility::from),
            team: match team_id {
                Patch::Keep => Patch::Keep,
                Patch::Clear => Patch::Clear,
                Patch::Set(team) => Patch::Set(TeamId(team)),
            },
        })
    }
}

/// Change a view
///
/// Your own; a team's as its supervisor or lead; any team's and the shared ones as administrator. To give it to others you
/// must be allowed to change theirs, too. Cursors of its tickets end with the change.
#[utoipa::path(
    patch,
    path = "/views/{id}",
    operation_id = "updateView",
    tag = "views",
    params(("id" = Uuid, Path, description = "The view."), IfMatchHeader),
    request_body = UpdateViewBody,
    responses((status = 200, description = "The view after the change.", body = ViewBody,
        headers(("ETag" = String, description = "The view's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<SavedViewId>,
    Command(mut call, body): Command<UpdateViewBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    let change = body.into_domain()?;
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.saved_views.change(&actor, id, &change, guard).await
        },
        |view| Rendered::resource(KIND, view.version, &ViewBody::from(view.clone())),
    )
    .await
}

/// Delete a view
///
/// For good. Its tickets stay as they are.
#[utoipa::path(
    delete,
    path = "/views/{id}",
    operation_id = "deleteView",
    tag = "views",
    params(("id" = Uuid, Path, description = "The view."), IfMatchHeader),
    responses((status = 204, description = "The view is gone."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<SavedViewId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(KIND));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.saved_views.delete(&actor, id, guard).await
        },
        |()| Rendered::no_content(),
    )
    .await
}

/// What shapes the answer.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct TicketsParams {
    /// Related things to show whole, with commas between: `createdBy`, `assignedTo`, `team`.
    #[param(example = "createdBy,team")]
    include: Option<String>,
    /// The only members to show, with commas between; `id` is always there.
    #[param(example = "ticketNumber,subject,status")]
    fields: Option<String>,
    /// Whether to count the rows of all pages: exact to 10 000, then an estimate that says so.
    count: Option<bool>,
}

/// List the tickets of a view
///
/// Those of your own list (`GET /tickets`) that satisfy the view's condition, in its order.
#[utoipa::path(
    get,
    path = "/views/{id}/tickets",
    operation_id = "listViewTickets",
    tag = "views",
    params(("id" = Uuid, Path, description = "The view."), TicketsParams, PageParams),
    responses((status = 200, description = "A page of tickets.", body = ListBody<TicketBody>))
)]
async fn tickets(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<SavedViewId>,
    mut query: Query,
) -> Result<Listed, Problem> {
    let shape = shape(&mut query);
    let page: PageRequest<PlaceInView> = query.page(caller.id());
    query.finish()?;
    let actor = caller.actor();
    let (SavedView { version, .. }, all) = app.saved_views.query(&actor, id).await?;
    let after = match page.after()? {
        Some(place) if place.version != version => return Err(cursor::invalid()),
        place => place.map(|place| place.position),
    };
    let wanted = TicketQuery {
        after,
        limit: page.limit,
        ..all
    };
    let Page { items, next } = app.tickets.list(&actor, &wanted).await?;
    let found = Page {
        items,
        next: next.map(|position| PlaceInView { version, position }),
    };
    let total = if page.counted {
        Some(app.tickets.count(&actor, &wanted).await?)
    } else {
        None
    };
    let related = related(&app, &shape, found.items.iter()).await?;
    answer(&page, found, total, &shape, |view| {
        TicketBody::new(view, &related, &shape)
    })
}

/// Which views to count.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct CountsParams {
    /// The views, at most 50, with commas between; when absent the first 50 of the list.
    #[param(example = "01890a5d-ac96-774b-bcce-b302099a8057")]
    ids: Option<String>,
}

/// How many tickets the views have.
#[derive(Serialize, ToSchema)]
#[schema(as = ViewCounts)]
struct CountsBody {
    /// The counts, in the order of the ids, or else of the list.
    data: Vec<CountBody>,
}

/// How many tickets a view has.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ViewCount)]
struct CountBody {
    /// The view.
    view_id: Uuid,
    /// So many, up to 1000.
    #[schema(minimum = 0, maximum = 1000, examples(17))]
    tickets: i64,
    /// Whether there are more.
    is_more: bool,
}

impl From<ViewCount> for CountBody {
    fn from(count: ViewCount) -> Self {
        let ViewCount {
            view: SavedViewId(view_id),
            tickets,
            is_more,
        } = count;
        Self {
            view_id,
            tickets,
            is_more,
        }
    }
}

/// Count the tickets of views
///
/// How many tickets you see through each: exact up to 1000, beyond it `isMore`. Views that you do not see are left out. One
/// request counts them all, and costs no more on a large desk than on a small one.
#[utoipa::path(
    get,
    path = "/views/counts",
    operation_id = "countViews",
    tag = "views",
    params(CountsParams),
    responses((status = 200, description = "The counts.", body = CountsBody))
)]
async fn counts(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<Json<CountsBody>, Problem> {
    let ids = query.ids("ids", VIEWS_COUNTED_MAX);
    query.finish()?;
    let counts = app.saved_views.counts(&caller.actor(), ids.as_deref()).await?;
    let data = counts.into_iter().map(CountBody::from).collect();
    Ok(Json(CountsBody { data }))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_among_views_survives(kind in 0_usize..3, place in 0_i16..=9_999, id in any::<u128>()) {
            let position = ViewPosition {
                visibility: ViewVisibility::ALL[kind],
                place: ViewPlace::stored(place),
                id: SavedViewId(Uuid::from_u128(id)),
            };
            prop_assert_eq!(ViewPosition::from_bytes(&position.to_bytes()), Some(position));
        }

        #[test]
        fn a_place_in_a_view_survives(version in 1..=i32::MAX, micros in any::<i32>(), id in any::<u128>()) {
            let at = DateTime::from_timestamp_micros(micros.into()).unwrap();
            let id = Uuid::from_u128(id);
            let place = PlaceInView { version: Version(version), position: Position { at, id } };
            prop_assert_eq!(PlaceInView::from_bytes(&place.to_bytes()), Some(place));
        }

        #[test]
        fn other_bytes_are_no_place(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(position) = ViewPosition::from_bytes(&bytes) {
                prop_assert_eq!(position.to_bytes(), bytes.clone());
            }
            if let Some(place) = PlaceInView::from_bytes(&bytes) {
                prop_assert_eq!(place.to_bytes(), bytes);
            }
        }
    }
}
