//! Articles in PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::QueryResult;
use diesel::sql_types as types;
use kernel::{Page, PageLimit, PortError, Position, UserId, Version};
use knowledge::{
    Article, ArticleCard, ArticleChange, ArticleCommit, ArticleCommitError, ArticleContent, ArticleFilter,
    ArticleId, ArticleOrder, ArticleStatus, ArticleStore, ArticleText, ArticleTitle, ArticleVersion,
    CategoryId, Excerpt, Feedback, Found, Language, Slug,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Database;
use crate::moment::{MaybeMoment, Moment};
use crate::outbox::insert_events;
use crate::receipts::{insert_receipt, is_repeated};
use crate::schema::{kb_article_versions, kb_articles};
use crate::sql::Sql;
use crate::ticketing::{IdRow, NumberRow};

const PORT: &str = "articles";

/// Articles in PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgArticles {
    database: Database,
}

impl PgArticles {
    /// Those of this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// A row of `kb_articles`, but for its text.
#[derive(QueryableByName)]
#[diesel(table_name = kb_articles)]
pub(super) struct CardRow {
    id: Uuid,
    title: String,
    slug: String,
    #[diesel(sql_type = types::Text)]
    excerpt: String,
    language: String,
    category_id: Uuid,
    author_id: Uuid,
    status: ArticleStatus,
    #[diesel(deserialize_as = MaybeMoment)]
    publish_at: Option<DateTime<Utc>>,
    #[diesel(deserialize_as = MaybeMoment)]
    published_at: Option<DateTime<Utc>>,
    views: i32,
    helpful_count: i32,
    not_helpful_count: i32,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
    #[diesel(deserialize_as = Moment)]
    updated_at: DateTime<Utc>,
}

/// A whole row.
#[derive(QueryableByName)]
#[diesel(table_name = kb_articles)]
struct ArticleRow {
    #[diesel(embed)]
    card: CardRow,
    content: String,
    excerpt_is_made: bool,
    text_number: i32,
    version: i32,
}

/// An article, or what an address leads to instead.
#[derive(QueryableByName)]
struct FoundRow {
    #[diesel(sql_type = types::Bool)]
    is_moved: bool,
    #[diesel(embed)]
    article: ArticleRow,
}

/// Columns of `kb_articles a`. One without an excerpt shows its beginning.
pub(super) const CARD: &str = "a.id, a.title, a.slug, coalesce(a.excerpt, left(a.content, 200)) AS excerpt, a.language, a.category_id, a.author_id, \
    a.status, a.publish_at, a.published_at, a.views, a.helpful_count, a.not_helpful_count, a.created_at, a.updated_at";
/// The others.
const REST: &str =
    ", a.content, (a.excerpt_is_made OR a.excerpt IS NULL) AS excerpt_is_made, a.text_number, a.version";

impl CardRow {
    pub(super) fn into_card(self) -> ArticleCard {
        let Self {
            id,
            title,
            slug,
            excerpt,
            language,
            category_id,
            author_id,
            status,
            publish_at,
            published_at,
            views,
            helpful_count,
            not_helpful_count,
            created_at,
            updated_at,
        } = self;
        ArticleCard {
            id: ArticleId(id),
            slug: Slug::stored(slug),
            title: ArticleTitle::stored(title),
            excerpt: Excerpt::stored(excerpt),
            language: Language::stored(language),
            category: CategoryId(category_id),
            author: UserId(author_id),
            status,
            publish_at,
            published_at,
            feedback: Feedback {
                views,
                helpful: helpful_count,
                not_helpful: not_helpful_count,
            },
            created_at,
            updated_at,
        }
    }
}

impl ArticleRow {
    fn into_article(self) -> Article {
        let Self {
            card,
            content,
            excerpt_is_made,
            text_number,
            version,
        } = self;
        let ArticleCard {
            id,
            slug,
            title,
            excerpt,
            language,
            category,
            author,
            status,
            publish_at,
            published_at,
            feedback,
            created_at,
            updated_at,
        } = card.into_card();
        Article {
            id,
            slug,
            text: ArticleText {
                title,
                content: ArticleContent::stored(content),
                excerpt,
                excerpt_is_made,
            },
            language,
            category,
            author,
            status,
            publish_at,
            published_at,
            feedback,
            text_number,
            created_at,
            updated_at,
            version: Version(version),
        }
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = kb_article_versions)]
struct VersionRow {
    number: i32,
    title: String,
    content: String,
    excerpt: Option<String>,
    excerpt_is_made: bool,
    editor_id: Option<Uuid>,
    #[diesel(deserialize_as = Moment)]
    created_at: DateTime<Utc>,
}

impl VersionRow {
    const COLUMNS: &str = "number, title, content, excerpt, excerpt_is_made, editor_id, created_at";

    fn into_version(self) -> ArticleVersion {
        let Self {
            number,
            title,
            content,
            excerpt,
            excerpt_is_made,
            editor_id,
            created_at,
        } = self;
        ArticleVersion {
            number,
            text: ArticleText {
                title: ArticleTitle::stored(title),
                excerpt_is_made: excerpt_is_made || excerpt.is_none(),
                excerpt: excerpt.map_or_else(|| Excerpt::made_of(&content), Excerpt::stored),
                content: ArticleContent::stored(content),
            },
            editor: editor_id.map(UserId),
            created_at,
        }
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = kb_articles)]
struct FeedbackRow {
    views: i32,
    helpful_count: i32,
    not_helpful_count: i32,
}

#[async_trait]
impl ArticleStore for PgArticles {
    async fn article(&self, id: ArticleId) -> Result<Option<Article>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(CARD)
            .push(REST)
            .push(" FROM kb_articles a WHERE a.id = ")
            .bind(id.0);
        let row: Option<ArticleRow> = self.database.row(PORT, sql).await?;
        Ok(row.map(ArticleRow::into_article))
    }

    async fn published(&self, slug: &Slug) -> Result<Option<Found>, PortError> {
        let sql = Sql::new("SELECT f.is_moved, ")
            .push(CARD)
            .push(REST)
            .push(" FROM (SELECT id, false AS is_moved FROM kb_articles WHERE slug = ")
            .bind(slug.as_str())
            .push(" UNION ALL SELECT article_id, true FROM kb_old_slugs WHERE slug = ")
            .bind(slug.as_str())
            .push(") f JOIN kb_articles a ON a.id = f.id AND a.status = 'published' ORDER BY f.is_moved LIMIT 1");
        let row: Option<FoundRow> = self.database.row(PORT, sql).await?;
        Ok(row.map(|FoundRow { is_moved, article }| {
            let article = article.into_article();
            if is_moved {
                Found::Moved(article.slug)
            } else {
                Found::Article(Box::new(article))
            }
        }))
    }

    async fn articles(
        &self,
        filter: &ArticleFilter,
        order: ArticleOrder,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<ArticleCard>, PortError> {
        let rows: Vec<CardRow> = self
            .database
            .rows(PORT, page(filter, order, after, limit))
            .await?;
        let cards = rows.into_iter().map(CardRow::into_card).collect();
        Ok(Page::from_rows(cards, limit, |card: &ArticleCard| match order {
            ArticleOrder::Published => card.by_publication(),
            ArticleOrder::Changed => card.by_change(),
        }))
    }

    async fn due(&self, now: DateTime<Utc>, most: usize) -> Result<Vec<ArticleId>, PortError> {
        let sql =
            Sql::new("SELECT id FROM kb_articles WHERE status IN ('draft', 'review') AND publish_at <= ")
                .bind(now)
                .push(" ORDER BY publish_at, id LIMIT ")
                .bind(i64::try_from(most).unwrap_or(i64::MAX));
        let rows: Vec<IdRow> = self.database.rows(PORT, sql).await?;
        Ok(rows.into_iter().map(|IdRow { id }| ArticleId(id)).collect())
    }

    async fn commit(&self, commit: ArticleCommit) -> Result<(), ArticleCommitError> {
        let run = self
            .database
            .run(async |connection| {
                let sql = statement(&commit)?;
                diesel_async::RunQueryDsl::get_result::<NumberRow>(&sql, connection).await
            })
            .await;
        match run {
            Ok(NumberRow { number: 0 }) => Err(ArticleCommitError::Stale),
            Ok(NumberRow { .. }) => Ok(()),
            Err(failure) if is_repeated(&failure) => Err(ArticleCommitError::Repeated),
            Err(failure) => match failure.constraint() {
                Some("kb_articles_slug_key") => Err(ArticleCommitError::SlugTaken),
                Some("kb_articles_category_id_fkey") => Err(ArticleCommitError::NoCategory),
                Some(_) | None => Err(ArticleCommitError::Port(failure.at(PORT))),
            },
        }
    }

    async fn versions(
        &self,
        article: ArticleId,
        before: Option<i32>,
        limit: PageLimit,
    ) -> Result<Page<ArticleVersion, i32>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(VersionRow::COLUMNS)
            .push(" FROM kb_article_versions WHERE article_id = ")
            .bind(article.0)
            .push(" AND number < ")
            .bind(before.unwrap_or(i32::MAX))
            .push(" ORDER BY number DESC LIMIT ")
            .bind(limit.rows_and_one());
        let rows: Vec<VersionRow> = self.database.rows(PORT, sql).await?;
        let versions = rows.into_iter().map(VersionRow::into_version).collect();
        Ok(Page::from_rows(versions, limit, |version: &ArticleVersion| {
            version.number
        }))
    }

    async fn text(&self, article: ArticleId, number: i32) -> Result<Option<ArticleVersion>, PortError> {
        let sql = Sql::new("SELECT ")
            .push(VersionRow::COLUMNS)
            .push(" FROM kb_article_versions WHERE article_id = ")
            .bind(article.0)
            .push(" AND number = ")
            .bind(number);
        let row: Option<VersionRow> = self.database.row(PORT, sql).await?;
        Ok(row.map(VersionRow::into_version))
    }

    async fn vote(
        &self,
        article: ArticleId,
        voter: UserId,
        is_helpful: Option<bool>,
    ) -> Result<Option<Feedback>, PortError> {
        // The article's row is locked first: votes on it come one after the other, each finding what the others left.
        let lock = Sql::new("SELECT 1 FROM kb_articles WHERE id = ")
            .bind(article.0)
            .push(" FOR NO KEY UPDATE");
        let sql = Sql::new("WITH before AS (SELECT is_helpful FROM kb_article_votes WHERE article_id = ")
            .bind(article.0)
            .push(" AND voter_id = ")
            .bind(voter)
            .push("), voice AS (SELECT ")
            .bind(is_helpful)
            .push(" AS is_helpful), there AS (SELECT id FROM kb_articles WHERE status = 'published' AND id = ")
            .bind(article.0)
            .push(
                "), said AS (INSERT INTO kb_article_votes (article_id, voter_id, is_helpful) SELECT there.id, ",
            )
            .bind(voter)
            .push(
                ", voice.is_helpful FROM there, voice WHERE voice.is_helpful IS NOT NULL \
                 ON CONFLICT (article_id, voter_id) DO UPDATE SET is_helpful = excluded.is_helpful), \
                 taken_back AS (DELETE FROM kb_article_votes v USING there, voice \
                   WHERE voice.is_helpful IS NULL AND v.article_id = there.id AND v.voter_id = ",
            )
            .bind(voter)
            .push(
                ") UPDATE kb_articles a SET \
                   helpful_count = a.helpful_count + coalesce(voice.is_helpful, false)::int \
                     - coalesce((SELECT is_helpful FROM before), false)::int, \
                   not_helpful_count = a.not_helpful_count + coalesce(NOT voice.is_helpful, false)::int \
                     - coalesce((SELECT NOT is_helpful FROM before), false)::int \
                 FROM there, voice WHERE a.id = there.id RETURNING a.views, a.helpful_count, a.not_helpful_count",
            );
        let run = self
            .database
            .run(async |connection| {
                use diesel_async::{AsyncConnection as _, RunQueryDsl as _};

                connection
                    .transaction(async |connection| {
                        (&lock).execute(connection).await?;
                        (&sql).get_result::<FeedbackRow>(connection).await.optional()
                    })
                    .await
            })
            .await;
        let row: Option<FeedbackRow> = run.map_err(|failure| failure.at(PORT))?;
        Ok(row.map(
            |FeedbackRow {
                 views,
                 helpful_count,
                 not_helpful_count,
             }| Feedback {
                views,
                helpful: helpful_count,
                not_helpful: not_helpful_count,
            },
        ))
    }

    async fn add_views(&self, views: &[(ArticleId, u32)]) -> Result<(), PortError> {
        let rows = views
            .iter()
            .map(|(article, count)| json!({ "id": article.0, "count": count }));
        let sql = Sql::new(
            // Two nodes that add to the same articles lock them in one order.
            "WITH added AS MATERIALIZED (SELECT a.id, r.count FROM kb_articles a JOIN jsonb_to_recordset(",
        )
        .bind(Value::Array(rows.collect()))
        .push(
            ") AS r (id uuid, count bigint) ON r.id = a.id ORDER BY a.id FOR NO KEY UPDATE OF a) \
             UPDATE kb_articles a SET views = least(a.views::bigint + added.count, 2147483647) FROM added WHERE a.id = added.id",
        );
        self.database.affected(PORT, sql).await.map(drop)
    }
}

pub(super) fn page(
    filter: &ArticleFilter,
    order: ArticleOrder,
    after: Option<Position>,
    limit: PageLimit,
) -> Sql {
    let ArticleFilter {
        status,
        categories,
        author,
        seen_by,
    } = filter;
    let mut sql = Sql::new("SELECT ").push(CARD).push(" FROM kb_articles a WHERE ");
    sql = match status {
        // As the partial indexes say it.
        Some(ArticleStatus::Published) => sql.push("a.status = 'published'"),
        Some(status) => sql
            .push("a.status = ")
            .bind(status.as_str())
            .push("::\"ArticleStatus\""),
        None => sql.push("true"),
    };
    if let Some(categories) = categories {
        let ids: Vec<Uuid> = categories.iter().map(|category| category.0).collect();
        sql = sql.push(" AND a.category_id = ANY(").bind(ids).push(")");
    }
    if let Some(author) = author {
        sql = sql.push(" AND a.author_id = ").bind(*author);
    }
    if let Some(person) = seen_by {
        sql = sql
            .push(" AND (a.status IN ('published', 'review') OR a.author_id = ")
            .bind(*person)
            .push(")");
    }
    let (place, descending) = match order {
        ArticleOrder::Published => (
            " AND (coalesce(a.published_at, a.created_at), a.id) < (",
            " ORDER BY coalesce(a.published_at, a.created_at) DESC, a.id DESC LIMIT ",
        ),
        ArticleOrder::Changed => (
            " AND (a.updated_at, a.id) < (",
            " ORDER BY a.updated_at DESC, a.id DESC LIMIT ",
        ),
    };
    if let Some(Position { at, id }) = after {
        sql = sql.push(place).bind(at).push(", ").bind(id).push(")");
    }
    sql.push(descending).bind(limit.rows_and_one())
}

const COLUMNS: &str = "id, title, slug, content, content_html, excerpt, excerpt_is_made, language, category_id, author_id, status, \
    publish_at, published_at, text_number, editor_id, created_at, updated_at, version";

/// [`COLUMNS`] as `jsonb_to_recordset` unpacks them.
const RECORD: &str = "(id uuid, title text, slug text, content text, content_html text, excerpt text, excerpt_is_made boolean, language text, \
    category_id uuid, author_id uuid, status \"ArticleStatus\", publish_at timestamptz, published_at timestamptz, text_number integer, editor_id uuid, \
    created_at timestamptz, updated_at timestamptz, version integer)";

fn record(article: &Article, html: Option<&str>, editor: Option<UserId>) -> Value {
    let Article {
        id,
        slug,
        text:
            ArticleText {
                title,
                content,
                excerpt,
                excerpt_is_made,
            },
        language,
        category,
        author,
        status,
        publish_at,
        published_at,
        feedback: _,
        text_number,
        created_at,
        updated_at,
        version,
    } = article;
    json!([{
        "id": id.0,
        "title": title.as_str(),
        "slug": slug.as_str(),
        "content": content.as_str(),
        "content_html": html,
        "excerpt": excerpt.as_str(),
        "excerpt_is_made": excerpt_is_made,
        "language": language.as_str(),
        "category_id": category.0,
        "author_id": author.0,
        "status": status.as_str(),
        "publish_at": publish_at,
        "published_at": published_at,
        "text_number": text_number,
        "editor_id": editor.map(|editor| editor.0),
        "created_at": created_at,
        "updated_at": updated_at,
        "version": version.0,
    }])
}

fn statement(commit: &ArticleCommit) -> QueryResult<Sql> {
    let ArticleCommit {
        change,
        event,
        receipt,
    } = commit;
    let sql = Sql::new("WITH done AS (");
    let at = |sql: Sql, id: &ArticleId, expected: &Version| {
        sql.push("id = ")
            .bind(id.0)
            .push(" AND version = ")
            .bind(expected.0)
    };
    let mut sql = match change {
        ArticleChange::Insert {
            article,
            html,
            editor,
        } => sql
            .push("INSERT INTO kb_articles (")
            .push(COLUMNS)
            .push(") SELECT r.* FROM jsonb_to_recordset(")
            .bind(record(article, Some(html), *editor))
            .push(") AS r ")
            .push(RECORD)
            .push(" RETURNING id"),
        ArticleChange::Update {
            article,
            expected,
            html,
            editor,
        } => sql
            .push(
                "UPDATE kb_articles t SET title = r.title, slug = r.slug, content = r.content, \
                 content_html = coalesce(r.content_html, t.content_html), excerpt = r.excerpt, \
                 excerpt_is_made = r.excerpt_is_made, language = r.language, category_id = r.category_id, status = r.status, \
                 publish_at = r.publish_at, published_at = r.published_at, text_number = r.text_number, \
                 editor_id = CASE WHEN r.content_html IS NULL THEN t.editor_id ELSE r.editor_id END, \
                 updated_at = r.updated_at, version = r.version FROM jsonb_to_recordset(",
            )
            .bind(record(article, html.as_deref(), *editor))
            .push(") AS r ")
            .push(RECORD)
            .push(" WHERE t.id = r.id AND t.version = ")
            .bind(expected.0)
            .push(" RETURNING t.id"),
        ArticleChange::Keep { id, expected } => {
            at(sql.push("SELECT id FROM kb_articles WHERE "), id, expected).push(" FOR NO KEY UPDATE")
        }
        ArticleChange::Delete { id, expected } => {
            at(sql.push("DELETE FROM kb_articles WHERE "), id, expected).push(" RETURNING id")
        }
    };
    sql = sql.push(")");
    if let Some(event) = event {
        let insert = insert_events(std::slice::from_ref(event), Some("done"))?;
        sql = sql.push(", new_event AS (").append(insert).push(")");
    }
    if let Some(receipt) = receipt {
        let insert = insert_receipt(receipt, Some("done"));
        sql = sql.push(", new_receipt AS (").append(insert).push(")");
    }
    Ok(sql.push(" SELECT count(*) AS number FROM done"))
}
