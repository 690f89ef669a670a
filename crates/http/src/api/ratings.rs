//! What requesters say of a resolution: the body of it, and rating by the link of a mail, without signing in.
//!
//! The page behind the link is [`rating_page`](crate::rating_page); these operations are the same for programs.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use kernel::Violations;
use serde::{Deserialize, Serialize};
use ticketing::{Ratable, Rating, Remark, Score, TicketError};
use utoipa::ToSchema;

use super::tickets::SatisfactionBody;
use crate::app::AppState;
use crate::auth;
use crate::command::Rendered;
use crate::context::RequestContext;
use crate::json::Json;
use crate::link::RATING_LINK_CHARS_MAX;
use crate::path::{Path, PathKey};
use crate::problem::{Problem, ProblemBody};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_show, show).open(),
        operation(__path_rate, rate).open(),
    ]
}

/// The signed part of a link, as it came: whether it says anything is for the domain.
#[derive(Debug, Clone)]
pub(crate) struct RatingLink(pub(crate) String);

impl PathKey for RatingLink {
    const NOT_FOUND: &'static str = "rating.not_found";
    const NOT_FOUND_DETAIL: &'static str = "There is nothing to rate by this link, or not any more.";

    fn parse(segment: &str) -> Option<Self> {
        (segment.len() <= RATING_LINK_CHARS_MAX).then(|| Self(segment.to_owned()))
    }
}

/// What the requester says of a resolution.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Rating)]
pub(super) struct RatingBody {
    /// How content they are: from 1, not at all, to 5, entirely.
    #[schema(minimum = 1, maximum = 5, examples(4))]
    score: i64,
    /// Why, in their words.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2000, examples("Quick and friendly."))]
    comment: Option<String>,
}

impl RatingBody {
    pub(super) fn into_domain(self) -> Result<Rating, Problem> {
        let Self { score, comment } = self;
        rating(score, comment.as_deref()).map_err(|violations| TicketError::from(violations).into())
    }
}

/// A rating of what someone sent, or all that is wrong with it.
pub(crate) fn rating(score: i64, comment: Option<&str>) -> Result<Rating, Violations> {
    let mut violations = Violations::default();
    let score = violations.check(Score::parse("/score", score));
    let comment = comment
        .map(|comment| Remark::parse("/comment", comment))
        .transpose();
    let comment = violations.check(comment);
    match (score, comment) {
        (Some(score), Some(comment)) => Ok(Rating { score, comment }),
        _ => Err(violations),
    }
}

/// What a link rates.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RatingByLink)]
struct RatableBody {
    /// The ticket's number.
    #[schema(examples("TKT-00001"))]
    ticket_number: String,
    /// What the ticket is about.
    #[schema(examples("The printer on the second floor is on fire"))]
    subject: String,
    /// What the requester said of this resolution; null while they said nothing.
    #[schema(required = true)]
    satisfaction: Option<SatisfactionBody>,
    /// Until when it can be said or changed by this link.
    until: Timestamp,
}

impl From<Ratable> for RatableBody {
    fn from(ratable: Ratable) -> Self {
        let Ratable {
            number,
            subject,
            satisfaction,
            until,
        } = ratable;
        Self {
            ticket_number: number,
            subject,
            satisfaction: satisfaction.as_ref().map(SatisfactionBody::from),
            until: Timestamp(until),
        }
    }
}

/// Lets a stranger's request with a link through, as often as those with mailed links may come.
pub(crate) async fn admitted(app: &AppState, request: &HttpRequest) -> Result<(), Problem> {
    match auth::origin(app, request).client.ip() {
        Some(address) => {
            let context = RequestContext::of(request);
            app.gates.mailed_links.pass_address(&context, address).await
        }
        None => Ok(()),
    }
}

/// Show what a link rates
///
/// By the last part of the address that the mail about a resolution carried, without signing in. A link is good for 30 days
/// and for one resolution, while its requester's account is.
#[utoipa::path(
    get,
    path = "/ratings/{link}",
    operation_id = "getRating",
    tag = "tickets",
    params(("link" = String, Path, description = "The last part of the mailed address.")),
    responses(
        (status = 200, description = "What it rates.", body = RatableBody),
        (status = 404, description = "There is nothing to rate by this link, or not any more.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn show(
    app: Data<AppState>,
    Path(RatingLink(link)): Path<RatingLink>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    crate::query::refuse_unknown(&request)?;
    admitted(&app, &request).await?;
    let ratable = app.ratings.shown(&link).await?;
    Rendered::of(StatusCode::OK, &RatableBody::from(ratable)).into_response()
}

/// Rate by a link
///
/// As the ticket's requester, without signing in. What was said can be changed for a week.
#[utoipa::path(
    put,
    path = "/ratings/{link}",
    operation_id = "putRating",
    tag = "tickets",
    params(("link" = String, Path, description = "The last part of the mailed address.")),
    request_body = RatingBody,
    responses(
        (status = 200, description = "What it rates, rated.", body = RatableBody),
        (status = 404, description = "There is nothing to rate by this link, or not any more.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "It was rated more than a week ago.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
async fn rate(
    app: Data<AppState>,
    Path(RatingLink(link)): Path<RatingLink>,
    request: HttpRequest,
    Json(body): Json<RatingBody>,
) -> Result<HttpResponse, Problem> {
    admitted(&app, &request).await?;
    let rating = body.into_domain()?;
    let ratable = app.ratings.rate(&link, &rating).await?;
    Rendered::of(StatusCode::OK, &RatableBody::from(ratable)).into_response()
}
