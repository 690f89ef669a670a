//! Finding tickets: by what they are ([`list`]) and by what is said in them ([`search`]).

use actix_web::web::{self, Data};
use identity::Scope;
use kernel::{Actor, Page, UserId};
use serde_json::Value;
use ticketing::{
    Count, Direction, Maybe, Related, RelatedWish, SEARCH_TEXT_MAX_CHARS, SearchOrder, SearchQuery, Sort,
    SortKey, Span, TicketChannel, TicketFilter, TicketPriority, TicketQuery, TicketStatus, TicketView,
};

use super::body::{FIELDS, Include, Shape, TicketBody};
use crate::api::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::cursor::Seek;
use crate::problem::Problem;
use crate::query::{self, ListBody, PageRequest, Query, TimeSpan, TotalCount, Whom};
use crate::routes::{Operation, operation};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::TicketsRead),
        operation(__path_search, search).scope(Scope::TicketsRead),
    ]
}

/// What shapes the answer.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
pub(super) struct ShapeParams {
    /// Related things to show whole, with commas between: `createdBy`, `assignedTo`, `team`.
    #[param(example = "createdBy,team")]
    include: Option<String>,
    /// The only members to show, with commas between; `id` is always there.
    #[param(example = "ticketNumber,subject,status")]
    fields: Option<String>,
    /// Deleted tickets too; for administrators.
    #[param(rename = "includeDeleted")]
    include_deleted: Option<bool>,
}

/// The same for searches, where deleted tickets are not found.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct FoundShapeParams {
    /// Related things to show whole, with commas between: `createdBy`, `assignedTo`, `team`.
    #[param(example = "createdBy,team")]
    include: Option<String>,
    /// The only members to show, with commas between; `id` and `highlights` are always there.
    #[param(example = "ticketNumber,subject,status")]
    fields: Option<String>,
}

pub(in crate::api) fn shape(query: &mut Query) -> Shape {
    let include = query.choices("include", &Include::ALL, Include::name);
    let fields = query.choices("fields", &FIELDS, |name| name);
    Shape { include, fields }
}

/// The most bytes of a condition, as JSON before it is percent-encoded.
const CONDITION_BYTES_MAX: usize = 8_192;

/// Which tickets to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct TicketListParams {
    /// One of these statuses, with commas between: `open`, `pending`, `resolved`, `closed`.
    #[param(example = "open,pending")]
    status: Option<String>,
    /// One of these priorities, with commas between: `low`, `medium`, `high`, `urgent`.
    #[param(example = "high,urgent")]
    priority: Option<String>,
    /// One of these channels, with commas between: `web`, `email`, `chat`, `api`.
    #[param(example = "web")]
    channel: Option<String>,
    /// Whose work: `me`, `none` or an account's id.
    #[param(rename = "assignedTo", example = "me")]
    assigned_to: Option<String>,
    /// Whose team: `none` or a team's id.
    #[param(rename = "teamId", example = "none")]
    team_id: Option<String>,
    /// Who asked: `me` or an account's id.
    #[param(rename = "createdBy", example = "me")]
    created_by: Option<String>,
    /// All of these tags, with commas between.
    #[param(example = "printer")]
    tags: Option<String>,
    /// Made at this time or later; also `[gt]`, `[lte]`, `[lt]`.
    #[param(rename = "createdAt[gte]", format = DateTime)]
    created_at_gte: Option<String>,
    /// Made after this time.
    #[param(rename = "createdAt[gt]", format = DateTime)]
    created_at_gt: Option<String>,
    /// Made at this time or earlier.
    #[param(rename = "createdAt[lte]", format = DateTime)]
    created_at_lte: Option<String>,
    /// Made before this time.
    #[param(rename = "createdAt[lt]", format = DateTime)]
    created_at_lt: Option<String>,
    /// Changed at this time or later; also `[gt]`, `[lte]`, `[lt]`.
    #[param(rename = "updatedAt[gte]", format = DateTime)]
    updated_at_gte: Option<String>,
    /// Changed after this time.
    #[param(rename = "updatedAt[gt]", format = DateTime)]
    updated_at_gt: Option<String>,
    /// Changed at this time or earlier.
    #[param(rename = "updatedAt[lte]", format = DateTime)]
    updated_at_lte: Option<String>,
    /// Changed before this time.
    #[param(rename = "updatedAt[lt]", format = DateTime)]
    updated_at_lt: Option<String>,
    /// Those alone for which this condition holds, as JSON of at most 8192 bytes: `field`, `operator` and `value`, or
    /// `all`, `any` or `none` with a list of conditions; 20 terms and 3 levels of groups at most. Fields:
    /// `ticketNumber`, `subject`, `description`, `status`, `priority`, `channel`, `createdById`, `assignedToId`, `teamId`,
    /// `tags`, `createdAt`, `updatedAt`, `firstResponseAt`, `resolvedAt`, `closedAt`, `autoClosedAt`, `messageCount`,
    /// `lastMessageAt`, `customFields.` and a name; for staff `slaPolicyId`, `slaDueAt`, `slaBreached`. Operators: `equals`,
    /// `not_equals`, `in`, `not_in`, `contains`, `not_contains`, `starts_with`, `ends_with`, `greater_than`, `less_than`,
    /// `between`, `is_set`, `is_not_set`. People may be `me`, times `-7d` or `+2h` from now (`m`, `h`, `d`, `w`).
    #[param(
        example = r#"{"all":[{"field":"status","operator":"in","value":["open","pending"]},{"field":"updatedAt","operator":"less_than","value":"-7d"}]}"#
    )]
    filter: Option<String>,
    /// Whether to count the rows of all pages: exact to 10 000, then an estimate that says so.
    count: Option<bool>,
}

/// In which order to list them.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct SortParams {
    /// The order: `createdAt` or `updatedAt`, with `-` in front for newest first; `-updatedAt` when absent.
    #[param(example = "-updatedAt")]
    sort: Option<String>,
}

/// What to search for.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct SearchParams {
    /// What to look for, at most 200 characters and 16 terms that must all hold: words in any form, `"exact words"`,
    /// `begin*`, `-excluded`, and in one part alone by `subject:`, `description:`, `message:` and for staff `note:`. Fields
    /// by `status:open,pending`, `priority:`, `channel:`, `tag:`, `assignee:me`, `requester:`, `team:none`, `field.<name>:`
    /// for a custom field.
    #[param(example = "printer -scanner status:open")]
    q: String,
    /// The order: `createdAt` or `updatedAt`, with `-` in front for newest first; when absent the best first, among the 200
    /// matches that changed last.
    #[param(example = "-updatedAt")]
    sort: Option<String>,
}

/// List tickets
///
/// Customers get those that they asked for, agents those that they work on (with `createdBy=me` their own),
/// administrators all. Newest change first unless asked otherwise.
#[utoipa::path(
    get,
    path = "/tickets",
    operation_id = "listTickets",
    tag = "tickets",
    params(TicketListParams, SortParams, ShapeParams, PageParams),
    responses((status = 200, description = "A page of tickets.", body = ListBody<TicketBody>))
)]
async fn list(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<Listed, Problem> {
    let shape = shape(&mut query);
    let actor = caller.actor();
    let filter = narrowed(&app, &actor, filter(&mut query, caller.id()), &mut query);
    let sort = query.sort(&SORT_KEYS);
    let include_deleted = query.flag("includeDeleted");
    let page = query.page(caller.id());
    query.finish()?;
    let wanted = TicketQuery {
        filter,
        sort: sort.map(order).unwrap_or_default(),
        after: page.after()?,
        limit: page.limit,
        include_deleted,
    };
    let found = app.tickets.list(&actor, &wanted).await?;
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

/// Search tickets
///
/// In the subject, the description and the messages of the tickets that you see, for staff in internal messages and notes
/// too. What you cannot read is neither found nor counted and changes no order. What was just written can be found a
/// second later.
#[utoipa::path(
    get,
    path = "/tickets/search",
    operation_id = "searchTickets",
    tag = "tickets",
    params(SearchParams, TicketListParams, FoundShapeParams, PageParams),
    responses((status = 200, description = "A page of tickets, each with `highlights`.", body = ListBody<TicketBody>))
)]
async fn search(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<Listed, Problem> {
    let shape = shape(&mut query);
    let actor = caller.actor();
    let filter = narrowed(&app, &actor, filter(&mut query, caller.id()), &mut query);
    let (text, filter) = match query.text("q", SEARCH_TEXT_MAX_CHARS) {
        Some(text) => match app.search.read(&actor, &text, filter) {
            Ok(read) => read,
            Err(violations) => {
                query.refuse_value("q", &violations);
                Default::default()
            }
        },
        None => {
            query.require("q");
            Default::default()
        }
    };
    let sort = query.sort(&SORT_KEYS);
    let page = query.page(caller.id());
    query.finish()?;
    let wanted = SearchQuery {
        text,
        filter,
        order: sort.map_or(SearchOrder::Relevance, |sort| SearchOrder::By(order(sort))),
        after: page.after()?,
        limit: page.limit,
    };
    let found = app.search.search(&actor, &wanted).await?;
    let total = if page.counted {
        Some(app.search.count(&actor, &wanted).await?)
    } else {
        None
    };
    let related = related(&app, &shape, found.items.iter().map(|found| &found.view)).await?;
    answer(&page, found, total, &shape, |found| {
        TicketBody::new(&found.view, &related, &shape).found(&found.excerpts)
    })
}

/// What tickets can be sorted by.
const SORT_KEYS: [(&str, SortKey); 2] = [
    ("createdAt", SortKey::CreatedAt),
    ("updatedAt", SortKey::UpdatedAt),
];

/// The filter, narrowed by the condition in the parameter `filter`, if there is one.
fn narrowed(app: &AppState, actor: &Actor, filter: TicketFilter, query: &mut Query) -> TicketFilter {
    let Some(condition) = query.json("filter", CONDITION_BYTES_MAX) else {
        return filter;
    };
    match app.tickets.narrowed(actor, filter, &condition, "") {
        Ok(narrowed) => narrowed,
        Err(violations) => {
            query.refuse_within("filter", &violations);
            TicketFilter::default()
        }
    }
}

/// A page of tickets, whole or with some of their members.
pub(in crate::api) type Listed = web::Either<web::Json<ListBody<TicketBody>>, web::Json<ListBody<Value>>>;

/// A page of tickets, each with the members that the client asked for.
pub(in crate::api) fn answer<T, P: Seek>(
    page: &PageRequest<P>,
    found: Page<T, P>,
    total: Option<Count>,
    shape: &Shape,
    body: impl Fn(&T) -> TicketBody,
) -> Result<Listed, Problem> {
    let total = total.map(|count| match count {
        Count::Exact(rows) => TotalCount {
            rows,
            is_estimate: false,
        },
        Count::Estimate(rows) => TotalCount {
            rows,
            is_estimate: true,
        },
    });
    if shape.fields.is_empty() {
        return Ok(web::Either::Left(page.answer(found, total, |item| body(&item))?));
    }
    let mut unfit = None;
    let shaped = page.answer(found, total, |item| {
        body(&item).shaped(shape).unwrap_or_else(|error| {
            unfit = Some(error);
            Value::Null
        })
    })?;
    match unfit {
        Some(error) => Err(Problem::internal(error)),
        None => Ok(web::Either::Right(shaped)),
    }
}

fn filter(query: &mut Query, caller: UserId) -> TicketFilter {
    let status = query.choices("status", &TicketStatus::ALL, TicketStatus::as_str);
    let priority = query.choices("priority", &TicketPriority::ALL, TicketPriority::as_str);
    let channel = query.choices("channel", &TicketChannel::ALL, TicketChannel::as_str);
    let assignee = query.whom("assignedTo").map(|whom| match whom {
        Whom::Me => Maybe::Is(caller),
        Whom::Nobody => Maybe::Nothing,
        Whom::Id(id) => Maybe::Is(UserId(id)),
    });
    let team = query
        .id_or_none("teamId")
        .map(|team| team.map_or(Maybe::Nothing, Maybe::Is));
    let requester = query.me_or_id("createdBy", caller);
    let tags = query.texts("tags", ticketing::TAG_MAX_CHARS);
    let tags = tags.into_iter().map(|tag| tag.to_lowercase()).collect();
    let span = |TimeSpan { from, before }| Span { from, before };
    let created = span(query.span("createdAt"));
    let updated = span(query.span("updatedAt"));
    TicketFilter {
        status,
        priority,
        channel,
        assignee,
        team,
        requester,
        tags,
        created,
        updated,
        condition: None,
    }
}

fn order((key, direction): (SortKey, query::Direction)) -> Sort {
    let direction = match direction {
        query::Direction::Ascending => Direction::OldestFirst,
        query::Direction::Descending => Direction::NewestFirst,
    };
    Sort { key, direction }
}

pub(in crate::api) async fn related(
    app: &AppState,
    shape: &Shape,
    views: impl Iterator<Item = &TicketView>,
) -> Result<Related, Problem> {
    let included = |what| shape.include.contains(&what);
    let wanted = RelatedWish {
        requesters: included(Include::CreatedBy),
        assignees: included(Include::AssignedTo),
        teams: included(Include::Team),
    };
    Ok(app.tickets.related(views, wanted).await?)
}
