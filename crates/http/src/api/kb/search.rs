//! Searching the knowledge base, and what readers search for.

use actix_web::web::{Data, Json};
use chrono::{NaiveDate, TimeDelta};
use identity::Scope;
use knowledge::{
    Correction, Hit, Language, Run, SEARCH_MAX_CHARS, SearchFound, SearchReport, SearchText, SearchedOften,
    Slug, Wanted,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::public::Reader;
use super::{ArticleSlug, CardBody, SLUG_CHARS_MAX};
use crate::app::AppState;
use crate::auth::Caller;
use crate::html::marked;
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo, Query};
use crate::routes::{Operation, operation};

/// How many days a report covers when none are named.
const REPORT_DAYS: i64 = 30;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_search, search).open(),
        operation(__path_suggestions, suggestions).open(),
        operation(__path_related, related).open(),
        operation(__path_analytics, analytics).scope(Scope::KbRead),
    ]
}

/// What to search for.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct SearchParams {
    /// The words, 200 characters at the most.
    #[param(required = true, example = "reset password")]
    q: Option<String>,
    /// The language that they, and the articles, are in; `en` when absent.
    #[param(example = "de")]
    language: Option<String>,
    /// Only what lies in the category of this slug.
    category: Option<String>,
    /// How many articles to show, from 1 to 100; 25 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
}

fn wanted(mut query: Query) -> Result<Wanted, Problem> {
    query.require("q");
    let limit = query.limit();
    let text = query.text("q", SEARCH_MAX_CHARS);
    let text = text.map(|text| SearchText::parse("/q", &text));
    if let Some(Err(violation)) = &text {
        query.refuse("q", violation.code, violation.message.clone());
    }
    let language = query.text("language", SLUG_CHARS_MAX);
    let language = language.map_or_else(
        || Ok(Language::default()),
        |code| Language::parse("/language", &code),
    );
    if let Err(violation) = &language {
        query.refuse("language", violation.code, violation.message.clone());
    }
    let category = query.text("category", SLUG_CHARS_MAX).map(Slug::stored);
    query.finish()?;
    match (text, language) {
        (Some(Ok(text)), Ok(language)) => Ok(Wanted {
            text,
            language,
            category,
            limit,
        }),
        _ => Err(Problem::internal("a search is neither good nor bad")),
    }
}

/// An article that was found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbHit)]
struct HitBody {
    #[serde(flatten)]
    card: CardBody,
    /// Its title as HTML that is safe to show: escaped, the matches in `<mark>` and no other element.
    #[schema(examples("Reset your <mark>password</mark>"))]
    title_html: String,
    /// Pieces of its text as HTML that is safe to show: its Markdown, escaped, the matches in `<mark>` and no other element. Empty in
    /// suggestions.
    pieces_html: String,
}

impl From<Hit> for HitBody {
    fn from(Hit { card, title, pieces }: Hit) -> Self {
        let marked = |runs: &[Run]| marked(runs.iter().map(|run| (run.text.as_str(), run.is_match)));
        Self {
            title_html: marked(&title),
            pieces_html: marked(&pieces),
            card: CardBody::from(card),
        }
    }
}

/// A word that was taken for misspelt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbCorrection)]
struct CorrectionBody {
    /// The word.
    #[schema(examples("pasword"))]
    word: String,
    /// What was searched for in its place: any of these.
    #[schema(examples(json!(["password"])))]
    instead: Vec<String>,
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbSearchResults)]
struct FoundBody {
    /// The articles, the best first.
    data: Vec<HitBody>,
    /// There is one page.
    page: PageInfo,
    /// What was taken for misspelt, since no published article has it.
    corrections: Vec<CorrectionBody>,
}

impl From<SearchFound> for FoundBody {
    fn from(SearchFound { hits, corrections }: SearchFound) -> Self {
        let correction = |Correction { word, instead }| CorrectionBody { word, instead };
        Self {
            data: hits.into_iter().map(HitBody::from).collect(),
            page: PageInfo::whole(),
            corrections: corrections.into_iter().map(correction).collect(),
        }
    }
}

/// Search the knowledge base
///
/// Published articles of a language, the best first, on one page: an article counts for more the more of the words it has, the rarer these
/// are, and if they stand in its title, in headings or together. Words are found in all their forms, by what the desk's synonyms call them,
/// and, where no article has them, by words that are spelt like them.
#[utoipa::path(
    get,
    path = "/kb/search",
    operation_id = "searchKb",
    tag = "knowledge-base",
    params(SearchParams),
    responses((status = 200, description = "The articles.", body = FoundBody))
)]
async fn search(app: Data<AppState>, reader: Reader, query: Query) -> Result<Json<FoundBody>, Problem> {
    let wanted = wanted(query)?;
    let found = app.article_search.find(reader.actor().as_ref(), wanted).await?;
    Ok(Json(FoundBody::from(found)))
}

/// Suggest articles while something is typed
///
/// As a search, whose last word may only be begun: for a help centre's search field, or for the subject of a ticket that is being written.
/// Texts are not shown, and nothing is counted.
#[utoipa::path(
    get,
    path = "/kb/suggestions",
    operation_id = "suggestKbArticles",
    tag = "knowledge-base",
    params(SearchParams),
    responses((status = 200, description = "The articles.", body = FoundBody))
)]
async fn suggestions(app: Data<AppState>, _reader: Reader, query: Query) -> Result<Json<FoundBody>, Problem> {
    let wanted = wanted(query)?;
    Ok(Json(FoundBody::from(app.article_search.suggest(wanted).await?)))
}

/// How many articles to show.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct LimitParams {
    /// How many articles to show, from 1 to 100; 25 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
}

/// List the articles that are related to one
///
/// Published ones of its language that share words with its title, the most alike first, on one page.
#[utoipa::path(
    get,
    path = "/kb/articles/{slug}/related",
    operation_id = "listRelatedKbArticles",
    tag = "knowledge-base",
    params(("slug" = String, Path, description = "What the article is called in addresses."), LimitParams),
    responses((status = 200, description = "The articles.", body = ListBody<CardBody>))
)]
async fn related(
    app: Data<AppState>,
    _reader: Reader,
    Path(ArticleSlug(slug)): Path<ArticleSlug>,
    mut query: Query,
) -> Result<Json<ListBody<CardBody>>, Problem> {
    let limit = query.limit();
    query.finish()?;
    let cards = app.article_search.related(&slug, limit).await?;
    Ok(Json(ListBody {
        data: cards.into_iter().map(CardBody::from).collect(),
        page: PageInfo::whole(),
    }))
}

/// Which days to report on.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct ReportParams {
    /// The first day (UTC); 29 days before the last one when absent.
    #[param(example = "2026-11-01")]
    from: Option<NaiveDate>,
    /// The last day (UTC), by 365 days later at the most; today when absent.
    #[param(example = "2026-11-30")]
    to: Option<NaiveDate>,
}

/// How often something was searched for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbSearchedOften)]
struct OftenBody {
    /// The words, in small letters.
    #[schema(examples("reset password"))]
    q: String,
    /// The language.
    #[schema(examples("en"))]
    language: String,
    /// How often.
    searches: u64,
    /// How often nothing was found.
    without_hits: u64,
}

impl From<SearchedOften> for OftenBody {
    fn from(often: SearchedOften) -> Self {
        let SearchedOften {
            text,
            language,
            searches,
            without_hits,
        } = often;
        Self {
            q: text,
            language: language.as_str().to_owned(),
            searches,
            without_hits,
        }
    }
}

/// What readers searched for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbAnalytics)]
struct ReportBody {
    /// The first day.
    from: NaiveDate,
    /// The last day.
    to: NaiveDate,
    /// How many searches there were.
    searches: u64,
    /// How many found nothing.
    without_hits: u64,
    /// What was searched for most often, 50 texts at the most.
    most_searched: Vec<OftenBody>,
    /// What was searched for and not found most often, 50 texts at the most.
    most_missed: Vec<OftenBody>,
}

/// Show what readers search for
///
/// And what they do not find: what the next articles could be about. Searches of all but staff count, some seconds late; up to 10,000
/// different texts of a day, for a year. For supervisors, team leads and administrators.
#[utoipa::path(
    get,
    path = "/admin/kb/analytics",
    operation_id = "getKbAnalytics",
    tag = "knowledge-base",
    params(ReportParams),
    responses((status = 200, description = "What was searched for.", body = ReportBody))
)]
async fn analytics(
    app: Data<AppState>,
    caller: Caller,
    mut query: Query,
) -> Result<Json<ReportBody>, Problem> {
    let to = query.day("to");
    let from = query.day("from");
    query.finish()?;
    let to = to.unwrap_or_else(|| app.clock.now().date_naive());
    let from = from.unwrap_or_else(|| to - TimeDelta::days(REPORT_DAYS - 1));
    let SearchReport {
        searches,
        without_hits,
        most_searched,
        most_missed,
    } = app.article_search.report(&caller.actor(), from, to).await?;
    Ok(Json(ReportBody {
        from,
        to,
        searches,
        without_hits,
        most_searched: most_searched.into_iter().map(OftenBody::from).collect(),
        most_missed: most_missed.into_iter().map(OftenBody::from).collect(),
    }))
}
