//! Reading the knowledge base: for everyone, where the desk lets strangers read, else for those who are signed in.

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Json};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use identity::Scope;
use kernel::Actor;
use knowledge::{ArticleId, Feedback, KnowledgeError, Thing};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    ARTICLE, ArticleBody, ArticleSlug, CATEGORY, CardBody, CategoryBody, CategorySlug, FeedbackBody,
};
use crate::api::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Rendered};
use crate::path::Path;
use crate::problem::Problem;
use crate::query::{ListBody, PageInfo, Query};
use crate::routes::{Operation, operation};
use crate::wire::percent_encoded;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_categories, categories).open(),
        operation(__path_category, category).open(),
        operation(__path_of_category, of_category).open(),
        operation(__path_articles, articles).open(),
        operation(__path_article, article).open(),
        operation(__path_vote, vote).scope(Scope::KbRead),
    ]
}

/// Who reads: one who shows a token, which must be good, or a stranger where the desk lets strangers read.
pub(super) struct Reader(Option<Caller>);

impl Reader {
    pub(super) fn actor(&self) -> Option<Actor> {
        self.0.as_ref().map(Caller::actor)
    }

    fn id(&self) -> Uuid {
        self.0.as_ref().map_or_else(Uuid::nil, |caller| caller.id().0)
    }
}

impl FromRequest for Reader {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let app = request.app_data::<Data<AppState>>();
        let is_public = app.is_some_and(|app| app.settings.public_knowledge_base);
        if request.headers().contains_key(header::AUTHORIZATION) || !is_public {
            let caller = Caller::from_request(request, payload);
            return async move { Ok(Self(Some(caller.await?))) }.boxed_local();
        }
        let refused = crate::query::refuse_unknown(request);
        async move { refused.map(|()| Self(None)) }.boxed_local()
    }
}

/// List the categories
///
/// All of them, 1,000 at the most, on one page: each behind the one that it lies in, siblings by their places. Without a token where
/// the desk's knowledge base is public.
#[utoipa::path(
    get,
    path = "/kb/categories",
    operation_id = "listKbCategories",
    tag = "knowledge-base",
    responses((status = 200, description = "The categories.", body = ListBody<CategoryBody>))
)]
async fn categories(
    app: Data<AppState>,
    _reader: Reader,
    query: Query,
) -> Result<Json<ListBody<CategoryBody>>, Problem> {
    query.finish()?;
    let tree = app.categories.tree().await?;
    Ok(Json(ListBody {
        data: tree.as_slice().iter().map(CategoryBody::from).collect(),
        page: PageInfo::whole(),
    }))
}

/// Show a category
#[utoipa::path(
    get,
    path = "/kb/categories/{slug}",
    operation_id = "getKbCategory",
    tag = "knowledge-base",
    params(("slug" = String, Path, description = "What the category is called in addresses.")),
    responses((status = 200, description = "The category.", body = CategoryBody,
        headers(("ETag" = String, description = "The category's version."))))
)]
async fn category(
    app: Data<AppState>,
    _reader: Reader,
    Path(CategorySlug(slug)): Path<CategorySlug>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let tree = app.categories.tree().await?;
    let category = tree
        .by_slug(&slug)
        .ok_or(KnowledgeError::NotFound(Thing::Category))?;
    Rendered::resource(CATEGORY, category.version, &CategoryBody::from(category)).to_get(&request)
}

/// List the articles of a category
///
/// Published ones, also of the categories that lie in it, the latest published first.
#[utoipa::path(
    get,
    path = "/kb/categories/{slug}/articles",
    operation_id = "listKbCategoryArticles",
    tag = "knowledge-base",
    params(("slug" = String, Path, description = "What the category is called in addresses."), PageParams),
    responses((status = 200, description = "A page of articles.", body = ListBody<CardBody>))
)]
async fn of_category(
    app: Data<AppState>,
    reader: Reader,
    Path(CategorySlug(slug)): Path<CategorySlug>,
    mut query: Query,
) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted(reader.id());
    query.finish()?;
    let found = app
        .articles
        .published(Some(&slug), page.after()?, page.limit)
        .await?;
    page.answer(found, None, CardBody::from)
}

/// List published articles
///
/// The latest published first.
#[utoipa::path(
    get,
    path = "/kb/articles",
    operation_id = "listKbArticles",
    tag = "knowledge-base",
    params(PageParams),
    responses((status = 200, description = "A page of articles.", body = ListBody<CardBody>))
)]
async fn articles(app: Data<AppState>, reader: Reader, mut query: Query) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted(reader.id());
    query.finish()?;
    let found = app.articles.published(None, page.after()?, page.limit).await?;
    page.answer(found, None, CardBody::from)
}

/// Read an article
///
/// A published one. Whoever is not of the staff is counted as a view. What it was called before leads to what it is called now.
#[utoipa::path(
    get,
    path = "/kb/articles/{slug}",
    operation_id = "getKbArticle",
    tag = "knowledge-base",
    params(("slug" = String, Path, description = "What the article is called in addresses.")),
    responses(
        (status = 200, description = "The article.", body = ArticleBody,
            headers(("ETag" = String, description = "The article's version."))),
        (status = 301, description = "It is called otherwise now.",
            headers(("Location" = String, description = "Where it is.")))
    )
)]
async fn article(
    app: Data<AppState>,
    reader: Reader,
    Path(ArticleSlug(slug)): Path<ArticleSlug>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    match app.articles.read(reader.actor().as_ref(), &slug).await? {
        Ok(shown) => {
            let version = shown.article.version;
            Rendered::resource(ARTICLE, version, &ArticleBody::from(shown)).to_get(&request)
        }
        Err(now) => {
            let slug = percent_encoded(now.as_str());
            let location = format!("/api/v1/kb/articles/{slug}");
            Ok(HttpResponse::build(StatusCode::MOVED_PERMANENTLY)
                .insert_header((header::LOCATION, location))
                .finish())
        }
    }
}

/// Whether an article helped.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = KbVote)]
struct VoteBody {
    /// Whether it did; null takes back what you said.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    helpful: Option<bool>,
}

/// Say whether an article helped
///
/// You have one voice for each published article; the last one counts.
#[utoipa::path(
    post,
    path = "/kb/articles/{id}/vote",
    operation_id = "voteKbArticle",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article.")),
    request_body = VoteBody,
    responses((status = 200, description = "What all readers said.", body = FeedbackBody))
)]
async fn vote(
    app: Data<AppState>,
    Path(id): Path<ArticleId>,
    Command(call, VoteBody { helpful }): Command<VoteBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    // The same voice again changes nothing, so that there is nothing to keep for a repetition.
    call.run(
        async |_| app.articles.vote(&actor, id, helpful).await,
        |Feedback {
             views: _,
             helpful,
             not_helpful,
         }| {
            let body = FeedbackBody {
                helpful_count: *helpful,
                not_helpful_count: *not_helpful,
            };
            Rendered::of(StatusCode::OK, &body)
        },
    )
    .await
}
