//! The knowledge base: reading it, for everyone, and writing it, for staff.

mod articles;
mod categories;
mod public;
mod search;

use knowledge::{
    Article, ArticleCard, ArticleId, ArticleShown, ArticleText, Category, CategoryId, Description, Feedback,
    Heading, Icon, Rendered as Shown, Slug,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::path::PathKey;
use crate::routes::Operation;
use crate::wire::Timestamp;

/// The kind that entity tags of articles carry.
const ARTICLE: &str = "article";
/// The kind that entity tags of categories carry.
const CATEGORY: &str = "category";
/// The most characters of a slug in an address; longer ones are nobody's.
const SLUG_CHARS_MAX: usize = 200;

pub(crate) fn operations() -> Vec<Operation> {
    [
        public::operations(),
        search::operations(),
        categories::operations(),
        articles::operations(),
    ]
    .concat()
}

/// The slug of an article, in a path.
#[derive(Debug, Clone)]
pub(crate) struct ArticleSlug(pub(crate) Slug);

impl PathKey for ArticleSlug {
    const NOT_FOUND: &'static str = "article.not_found";
    const NOT_FOUND_DETAIL: &'static str = "There is no such article.";

    fn parse(segment: &str) -> Option<Self> {
        slug(segment).map(Self)
    }
}

/// The slug of a category, in a path.
#[derive(Debug, Clone)]
pub(crate) struct CategorySlug(pub(crate) Slug);

impl PathKey for CategorySlug {
    const NOT_FOUND: &'static str = "category.not_found";
    const NOT_FOUND_DETAIL: &'static str = "There is no such category.";

    fn parse(segment: &str) -> Option<Self> {
        slug(segment).map(Self)
    }
}

fn slug(segment: &str) -> Option<Slug> {
    let is_short = segment.chars().count() <= SLUG_CHARS_MAX;
    (is_short && !segment.contains('\0')).then(|| Slug::stored(segment.to_owned()))
}

/// A category of articles.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbCategory)]
struct CategoryBody {
    /// The category.
    id: Uuid,
    /// What it is called.
    #[schema(examples("Accounts"))]
    name: String,
    /// What it is called in addresses.
    #[schema(examples("accounts"))]
    slug: String,
    /// What is said of it.
    #[schema(required = true)]
    description: Option<String>,
    /// The category that it lies in; null at the top.
    #[schema(required = true)]
    parent_id: Option<Uuid>,
    /// The name of its icon.
    #[schema(required = true, examples("key"))]
    icon: Option<String>,
    /// Its place among its siblings, the least first.
    #[schema(minimum = 0, maximum = 9999)]
    order: i32,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<&Category> for CategoryBody {
    fn from(category: &Category) -> Self {
        let Category {
            id,
            name,
            slug,
            description,
            parent,
            icon,
            place,
            created_at,
            updated_at,
            version: _,
        } = category;
        Self {
            id: id.0,
            name: name.as_str().to_owned(),
            slug: slug.as_str().to_owned(),
            description: description
                .as_ref()
                .map(|text| Description::as_str(text).to_owned()),
            parent_id: parent.map(|CategoryId(parent)| parent),
            icon: icon.as_ref().map(|icon| Icon::as_str(icon).to_owned()),
            order: place.number(),
            created_at: Timestamp(*created_at),
            updated_at: Timestamp(*updated_at),
        }
    }
}

/// An article in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbArticleCard)]
struct CardBody {
    /// The article.
    id: Uuid,
    /// Its title.
    #[schema(examples("Reset your password"))]
    title: String,
    /// What it is called in addresses.
    #[schema(examples("reset-your-password"))]
    slug: String,
    /// What it is about in short.
    excerpt: String,
    /// The language that it is written in.
    #[schema(examples("en"))]
    language: String,
    /// The category that it lies in.
    category_id: Uuid,
    /// Who wrote it first.
    author_id: Uuid,
    /// Where it stands: `draft`, `review`, `published` or `archived`.
    #[schema(examples("published"))]
    status: &'static str,
    /// When it is to be published, if that is settled.
    #[schema(required = true)]
    publish_at: Option<Timestamp>,
    /// When it was last published.
    #[schema(required = true)]
    published_at: Option<Timestamp>,
    /// How often it was read by others than staff; some seconds late.
    views: i32,
    /// How many readers it helped.
    helpful_count: i32,
    /// How many it did not.
    not_helpful_count: i32,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<ArticleCard> for CardBody {
    fn from(card: ArticleCard) -> Self {
        let ArticleCard {
            id: ArticleId(id),
            slug,
            title,
            excerpt,
            language,
            category: CategoryId(category),
            author,
            status,
            publish_at,
            published_at,
            feedback:
                Feedback {
                    views,
                    helpful,
                    not_helpful,
                },
            created_at,
            updated_at,
        } = card;
        Self {
            id,
            title: title.as_str().to_owned(),
            slug: slug.as_str().to_owned(),
            excerpt: excerpt.as_str().to_owned(),
            language: language.as_str().to_owned(),
            category_id: category,
            author_id: author.0,
            status: status.as_str(),
            publish_at: publish_at.map(Timestamp),
            published_at: published_at.map(Timestamp),
            views,
            helpful_count: helpful,
            not_helpful_count: not_helpful,
            created_at: Timestamp(created_at),
            updated_at: Timestamp(updated_at),
        }
    }
}

/// A heading of an article.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbHeading)]
struct HeadingBody {
    /// From 1 to 6.
    #[schema(minimum = 1, maximum = 6)]
    level: u8,
    /// What it says.
    text: String,
    /// The `id` of its element.
    #[schema(examples("s-before-you-begin"))]
    anchor: String,
}

/// An article.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbArticle)]
struct ArticleBody {
    #[serde(flatten)]
    card: CardBody,
    /// Its text as it was written: Markdown (CommonMark, with tables and task lists).
    content: String,
    /// Its text as HTML that is safe to put into a page.
    content_html: String,
    /// Its headings, in order.
    table_of_contents: Vec<HeadingBody>,
    /// Whether the excerpt was made of the beginning of the text.
    excerpt_is_made: bool,
    /// The number of this text among the article's versions, from 1.
    text_number: i32,
}

impl From<ArticleShown> for ArticleBody {
    fn from(shown: ArticleShown) -> Self {
        let ArticleShown {
            article,
            rendered:
                Shown {
                    html,
                    headings,
                    plain: _,
                },
        } = shown;
        let Article {
            text:
                ArticleText {
                    content,
                    excerpt_is_made,
                    ..
                },
            text_number,
            ..
        } = &article;
        let heading = |Heading { level, text, anchor }| HeadingBody { level, text, anchor };
        Self {
            content: content.as_str().to_owned(),
            content_html: html,
            table_of_contents: headings.into_iter().map(heading).collect(),
            excerpt_is_made: *excerpt_is_made,
            text_number: *text_number,
            card: CardBody::from(ArticleCard::from(article)),
        }
    }
}

/// What readers said of an article.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KbFeedback)]
struct FeedbackBody {
    /// How many readers it helped.
    helpful_count: i32,
    /// How many it did not.
    not_helpful_count: i32,
}
