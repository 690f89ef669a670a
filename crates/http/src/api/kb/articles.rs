//! Writing articles: for staff.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder};
use chrono::{DateTime, Utc};
use identity::Scope;
use kernel::{Guard, Patch, UserId, Violation, Violations};
use knowledge::{
    ArticleContent, ArticleEdit, ArticleFilter, ArticleId, ArticleShown, ArticleStatus, ArticleTitle,
    ArticleVersion, CategoryId, Difference, Excerpt, KnowledgeError, Language, NewArticle, Step,
    VersionShown,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ARTICLE, ArticleBody, CardBody};
use crate::api::tickets::not_null;
use crate::api::users::PageParams;
use crate::app::AppState;
use crate::auth::Caller;
use crate::command::{Command, Nothing, Rendered};
use crate::cursor::Seek;
use crate::json;
use crate::openapi::IfMatchHeader;
use crate::path::{Path, Path2, PathKey};
use crate::problem::Problem;
use crate::query::{ListBody, Query};
use crate::routes::{Operation, operation};
use crate::wire::Timestamp;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation(__path_list, list).scope(Scope::KbRead),
        operation(__path_create, create).scope(Scope::KbWrite),
        operation(__path_get, get).scope(Scope::KbRead),
        operation(__path_update, update).scope(Scope::KbWrite),
        operation(__path_delete, delete).scope(Scope::KbWrite),
        operation(__path_submit, submit).scope(Scope::KbWrite),
        operation(__path_publish, publish).scope(Scope::KbWrite),
        operation(__path_archive, archive).scope(Scope::KbWrite),
        operation(__path_reopen, reopen).scope(Scope::KbWrite),
        operation(__path_versions, versions).scope(Scope::KbRead),
        operation(__path_version, version).scope(Scope::KbRead),
        operation(__path_revert, revert).scope(Scope::KbWrite),
    ]
}

fn rendered(shown: &ArticleShown) -> Rendered {
    Rendered::resource(ARTICLE, shown.article.version, &ArticleBody::from(shown.clone()))
}

/// Which articles to list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only its document is used; the parameters are read one by one"
)]
struct ArticleListParams {
    /// Those that stand there: `draft`, `review`, `published` or `archived`.
    status: Option<String>,
    /// Those of this category, and of no other.
    category_id: Option<Uuid>,
    /// Those that this person wrote; `me` for your own.
    author_id: Option<String>,
}

/// List articles, wherever they stand
///
/// Those that you may see, the latest changed first: agents their own, what is in review and what is published; supervisors, team
/// leads and administrators all. For staff.
#[utoipa::path(
    get,
    path = "/admin/kb/articles",
    operation_id = "listAllKbArticles",
    tag = "knowledge-base",
    params(ArticleListParams, PageParams),
    responses((status = 200, description = "A page of articles.", body = ListBody<CardBody>))
)]
async fn list(app: Data<AppState>, caller: Caller, mut query: Query) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted(caller.id());
    let status = query.choice("status", &ArticleStatus::ALL, ArticleStatus::as_str);
    let category = query.id::<CategoryId>("categoryId");
    let author = query.me_or_id::<UserId>("authorId", caller.id());
    query.finish()?;
    let filter = ArticleFilter {
        status,
        categories: category.map(|category| vec![category]),
        author,
        seen_by: None,
    };
    let found = app
        .articles
        .list(&caller.actor(), filter, page.after()?, page.limit)
        .await?;
    page.answer(found, None, CardBody::from)
}

/// An article to write.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewKbArticle)]
struct CreateBody {
    /// Its title.
    #[schema(min_length = 1, max_length = 200, examples("Reset your password"))]
    title: String,
    /// Its text, in Markdown (CommonMark, with tables and task lists). HTML in it is shown as text.
    #[schema(
        min_length = 1,
        max_length = 65536,
        examples("# Before you begin\n\nYou need your **customer number**.")
    )]
    content: String,
    /// What it is about in short; made of the beginning of its text when absent.
    #[schema(min_length = 1, max_length = 500)]
    excerpt: Option<String>,
    /// The category that it is to lie in.
    category_id: Uuid,
    /// What it is to be called in addresses: small letters and digits with single hyphens between them. Made of the title when absent.
    #[schema(min_length = 1, max_length = 200, examples("reset-your-password"))]
    slug: Option<String>,
    /// The language that it is written in, which decides which forms of a word searches take for the same; `en` when absent.
    #[schema(examples("de", "pt-br"))]
    language: Option<String>,
}

impl CreateBody {
    fn into_domain(self) -> Result<NewArticle, Problem> {
        let Self {
            title,
            content,
            excerpt,
            category_id,
            slug,
            language,
        } = self;
        let mut faults = Violations::new();
        let language = language.map(|code| faults.check(Language::parse("/language", &code)));
        let title = faults.check(ArticleTitle::parse("/title", &title));
        let content = faults.check(ArticleContent::parse("/content", &content));
        let excerpt = excerpt.map(|text| faults.check(Excerpt::parse("/excerpt", &text)));
        let slug = slug.map(|slug| faults.check(NewArticle::slug("/slug", &slug)));
        faults.into_result().map_err(KnowledgeError::from)?;
        match (title, content) {
            (Some(title), Some(content)) => Ok(NewArticle {
                title,
                content,
                excerpt: excerpt.flatten(),
                category: CategoryId(category_id),
                slug: slug.flatten(),
                language: language.flatten().unwrap_or_default(),
            }),
            _ => Err(Problem::internal("an article is neither good nor bad")),
        }
    }
}

/// Begin an article
///
/// It is a draft. For staff.
#[utoipa::path(
    post,
    path = "/admin/kb/articles",
    operation_id = "createKbArticle",
    tag = "knowledge-base",
    request_body = CreateBody,
    responses((status = 201, description = "The new article.", body = ArticleBody,
        headers(("ETag" = String, description = "The article's version."),
            ("Location" = String, description = "Where it is."))))
)]
async fn create(
    app: Data<AppState>,
    Command(call, body): Command<CreateBody>,
) -> Result<HttpResponse, Problem> {
    let actor = call.actor();
    let new = body.into_domain()?;
    call.run(
        async |receipt| app.articles.create(&actor, new, receipt).await,
        |shown| {
            let location = format!("/api/v1/admin/kb/articles/{}", shown.article.id);
            let body = ArticleBody::from(shown.clone());
            Rendered::created(ARTICLE, shown.article.version, location, &body)
        },
    )
    .await
}

/// Show an article, wherever it stands
///
/// For staff who may see it.
#[utoipa::path(
    get,
    path = "/admin/kb/articles/{id}",
    operation_id = "getKbArticleById",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article.")),
    responses((status = 200, description = "The article.", body = ArticleBody,
        headers(("ETag" = String, description = "The article's version."))))
)]
async fn get(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<ArticleId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    rendered(&app.articles.show(&caller.actor(), id).await?).to_get(&request)
}

/// What to change of an article.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = KbArticleUpdate)]
struct UpdateBody {
    /// Another title. The slug stays as it is.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 200)]
    title: Patch<String>,
    /// Another text.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 65536)]
    content: Patch<String>,
    /// Another excerpt; null for one that is made of the text.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    excerpt: Patch<String>,
    /// The category that it is to lie in.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    category_id: Patch<Uuid>,
    /// Another slug; addresses with the old one lead to it.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 200)]
    slug: Patch<String>,
    /// Another language.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, nullable = false, examples("de"))]
    language: Patch<String>,
    /// When it is to be published: later, by a year at the most; null takes that back. For those who may publish it. Where an agent
    /// writes on the text, it is taken back.
    #[serde(default, deserialize_with = "json::patch")]
    #[schema(value_type = Option<String>, format = DateTime, examples("2026-12-24T18:00:00Z"))]
    publish_at: Patch<DateTime<Utc>>,
}

impl UpdateBody {
    fn into_domain(self) -> Result<ArticleEdit, Problem> {
        let Self {
            title,
            content,
            excerpt,
            category_id,
            slug,
            language,
            publish_at,
        } = self;
        let mut faults = Violations::new();
        let language = not_null(&mut faults, "/language", language)
            .and_then(|code| faults.check(Language::parse("/language", &code)));
        let title = not_null(&mut faults, "/title", title)
            .and_then(|title| faults.check(ArticleTitle::parse("/title", &title)));
        let content = not_null(&mut faults, "/content", content)
            .and_then(|content| faults.check(ArticleContent::parse("/content", &content)));
        let excerpt = excerpt.try_map(|text| faults.check(Excerpt::parse("/excerpt", &text)).ok_or(()));
        let category = not_null(&mut faults, "/categoryId", category_id).map(CategoryId);
        let slug = not_null(&mut faults, "/slug", slug)
            .and_then(|slug| faults.check(NewArticle::slug("/slug", &slug)));
        faults.into_result().map_err(KnowledgeError::from)?;
        let excerpt = excerpt.map_err(|()| Problem::internal("an excerpt is neither good nor bad"))?;
        Ok(ArticleEdit {
            title,
            content,
            excerpt,
            category,
            slug,
            language,
            publish_at,
        })
    }
}

/// Change an article
///
/// A JSON merge patch. Every other text is kept as a version. For agents their own drafts, for supervisors, team leads and
/// administrators any article.
#[utoipa::path(
    patch,
    path = "/admin/kb/articles/{id}",
    operation_id = "updateKbArticle",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article."), IfMatchHeader),
    request_body = UpdateBody,
    responses((status = 200, description = "The article after the change.", body = ArticleBody,
        headers(("ETag" = String, description = "The article's version."))))
)]
async fn update(
    app: Data<AppState>,
    Path(id): Path<ArticleId>,
    Command(mut call, body): Command<UpdateBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(ARTICLE));
    let edit = body.into_domain()?;
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.articles.edit(&actor, id, &edit, guard).await
        },
        rendered,
    )
    .await
}

/// Delete an article
///
/// With its versions and what readers said of it. For team leads and administrators.
#[utoipa::path(
    delete,
    path = "/admin/kb/articles/{id}",
    operation_id = "deleteKbArticle",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article."), IfMatchHeader),
    responses((status = 204, description = "The article is gone."))
)]
async fn delete(
    app: Data<AppState>,
    Path(id): Path<ArticleId>,
    Command(mut call, Nothing {}): Command,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(ARTICLE));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.articles.delete(&actor, id, guard).await
        },
        |()| Rendered::no_content(),
    )
    .await
}

async fn take(
    app: &AppState,
    id: ArticleId,
    Command(mut call, Nothing {}): Command,
    step: Step,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(ARTICLE));
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.articles.step(&actor, id, step, guard).await
        },
        rendered,
    )
    .await
}

/// Submit an article for review
///
/// A draft. For its author, and for supervisors, team leads and administrators.
#[utoipa::path(
    post,
    path = "/admin/kb/articles/{id}/submit",
    operation_id = "submitKbArticle",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article."), IfMatchHeader),
    responses((status = 200, description = "The article afterwards.", body = ArticleBody,
        headers(("ETag" = String, description = "The article's version."))))
)]
async fn submit(
    app: Data<AppState>,
    Path(id): Path<ArticleId>,
    command: Command,
) -> Result<HttpResponse, Problem> {
    take(&app, id, command, Step::Submit).await
}

/// Publish an article
///
/// One in review, or a draft. For supervisors, team leads and administrators.
#[utoipa::path(
    post,
    path = "/admin/kb/articles/{id}/publish",
    operation_id = "publishKbArticle",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article."), IfMatchHeader),
    responses((status = 200, description = "The article afterwards.", body = ArticleBody,
        headers(("ETag" = String, description = "The article's version."))))
)]
async fn publish(
    app: Data<AppState>,
    Path(id): Path<ArticleId>,
    command: Command,
) -> Result<HttpResponse, Problem> {
    take(&app, id, command, Step::Publish).await
}

/// Archive an article
///
/// A published one: it is no longer there for readers. For supervisors, team leads and administrators.
#[utoipa::path(
    post,
    path = "/admin/kb/articles/{id}/archive",
    operation_id = "archiveKbArticle",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article."), IfMatchHeader),
    responses((status = 200, description = "The article afterwards.", body = ArticleBody,
        headers(("ETag" = String, description = "The article's version."))))
)]
async fn archive(
    app: Data<AppState>,
    Path(id): Path<ArticleId>,
    command: Command,
) -> Result<HttpResponse, Problem> {
    take(&app, id, command, Step::Archive).await
}

/// Make an article a draft again
///
/// One that is in review, published or archived. For its author from review, and for supervisors, team leads and administrators.
#[utoipa::path(
    post,
    path = "/admin/kb/articles/{id}/reopen",
    operation_id = "reopenKbArticle",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article."), IfMatchHeader),
    responses((status = 200, description = "The article afterwards.", body = ArticleBody,
        headers(("ETag" = String, description = "The article's version."))))
)]
async fn reopen(
    app: Data<AppState>,
    Path(id): Path<ArticleId>,
    command: Command,
) -> Result<HttpResponse, Problem> {
    take(&app, id, command, Step::Reopen).await
}

/// The number of a text among an article's versions, in a path. What is none is the number of none: who asks comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextNumber(i32);

impl PathKey for TextNumber {
    const NOT_FOUND: &'static str = "article.version_not_found";
    const NOT_FOUND_DETAIL: &'static str = "There is no such version of this article.";

    fn parse(segment: &str) -> Option<Self> {
        let is_plain = segment.bytes().all(|byte| byte.is_ascii_digit()) && !segment.starts_with('0');
        let number = segment.parse().ok().filter(|_| is_plain);
        Some(Self(number.unwrap_or(0)))
    }
}

/// A place in the list of versions.
#[derive(Debug, Clone, Copy)]
struct VersionPlace(i32);

impl Seek for VersionPlace {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(i32::from_be_bytes).map(Self)
    }
}

/// A text that an article has or had.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbArticleVersion)]
struct VersionBody {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    number: i32,
    /// The title.
    title: String,
    /// The excerpt.
    excerpt: String,
    /// Who saved it; null where that is not known.
    #[schema(required = true)]
    editor_id: Option<Uuid>,
    /// When.
    created_at: Timestamp,
}

impl From<&ArticleVersion> for VersionBody {
    fn from(version: &ArticleVersion) -> Self {
        let ArticleVersion {
            number,
            text,
            editor,
            created_at,
        } = version;
        Self {
            number: *number,
            title: text.title.as_str().to_owned(),
            excerpt: text.excerpt.as_str().to_owned(),
            editor_id: editor.map(|editor| editor.0),
            created_at: Timestamp(*created_at),
        }
    }
}

/// What became of some lines from one version to the next.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbDifference)]
struct DifferenceBody {
    /// `same`, `added` or `removed`.
    #[schema(examples("added"))]
    kind: &'static str,
    /// The lines.
    text: String,
}

impl From<Difference> for DifferenceBody {
    fn from(part: Difference) -> Self {
        let (kind, text) = match part {
            Difference::Same(text) => ("same", text),
            Difference::Added(text) => ("added", text),
            Difference::Removed(text) => ("removed", text),
        };
        Self { kind, text }
    }
}

/// A version with its text, and how it came from the one before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbArticleVersionWhole)]
struct WholeVersionBody {
    #[serde(flatten)]
    version: VersionBody,
    /// The Markdown.
    content: String,
    /// What was done to the Markdown of the version before, by lines and in order.
    changes: Vec<DifferenceBody>,
}

/// List the versions of an article
///
/// The texts that it has and had, the newest first. For staff who may see it.
#[utoipa::path(
    get,
    path = "/admin/kb/articles/{id}/versions",
    operation_id = "listKbArticleVersions",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article."), PageParams),
    responses((status = 200, description = "A page of versions.", body = ListBody<VersionBody>))
)]
async fn versions(
    app: Data<AppState>,
    caller: Caller,
    Path(id): Path<ArticleId>,
    mut query: Query,
) -> Result<impl Responder, Problem> {
    let page = query.page_uncounted::<VersionPlace>(caller.id());
    query.finish()?;
    let before = page.after()?.map(|VersionPlace(number)| number);
    let found = app
        .articles
        .versions(&caller.actor(), id, before, page.limit)
        .await?;
    let found = kernel::Page {
        items: found.items,
        next: found.next.map(VersionPlace),
    };
    page.answer(found, None, |version| VersionBody::from(&version))
}

/// Show a version of an article
///
/// With what it changed. For staff who may see the article.
#[utoipa::path(
    get,
    path = "/admin/kb/articles/{id}/versions/{number}",
    operation_id = "getKbArticleVersion",
    tag = "knowledge-base",
    params(
        ("id" = Uuid, Path, description = "The article."),
        ("number" = i32, Path, description = "The version's number, from 1.")
    ),
    responses((status = 200, description = "The version.", body = WholeVersionBody))
)]
async fn version(
    app: Data<AppState>,
    caller: Caller,
    Path2(id, TextNumber(number)): Path2<ArticleId, TextNumber>,
) -> Result<HttpResponse, Problem> {
    let VersionShown { version, changes } = app.articles.version(&caller.actor(), id, number).await?;
    let body = WholeVersionBody {
        content: version.text.content.as_str().to_owned(),
        version: VersionBody::from(&version),
        changes: changes.into_iter().map(DifferenceBody::from).collect(),
    };
    Rendered::of(actix_web::http::StatusCode::OK, &body).into_response()
}

/// Which version to go back to.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = KbRevert)]
struct RevertBody {
    /// Its number.
    #[schema(value_type = i32, minimum = 1)]
    number: i64,
}

/// Go back to a version of an article
///
/// The article says again what it said then, title and excerpt included; that is a new version. For those who may change it.
#[utoipa::path(
    post,
    path = "/admin/kb/articles/{id}/revert",
    operation_id = "revertKbArticle",
    tag = "knowledge-base",
    params(("id" = Uuid, Path, description = "The article."), IfMatchHeader),
    request_body = RevertBody,
    responses((status = 200, description = "The article afterwards.", body = ArticleBody,
        headers(("ETag" = String, description = "The article's version."))))
)]
async fn revert(
    app: Data<AppState>,
    Path(id): Path<ArticleId>,
    Command(mut call, RevertBody { number }): Command<RevertBody>,
) -> Result<HttpResponse, Problem> {
    let (actor, expected) = (call.actor(), call.expected(ARTICLE));
    let number = i32::try_from(number).ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| {
        let message = format!("must be a number from 1 to {}", i32::MAX);
        KnowledgeError::from(Violation::new("/number", "out_of_range", message))
    })?;
    call.run(
        async |receipt| {
            let guard = Guard { expected, receipt };
            app.articles.revert(&actor, id, number, guard).await
        },
        rendered,
    )
    .await
}
