//! Articles: what they say, where they stand, and what moves them on.

use chrono::{DateTime, Utc};
use kernel::{Position, UserId, Version};

use crate::category::CategoryId;
use crate::slug::Slug;
use crate::value::{ArticleContent, ArticleTitle, Excerpt, Language};

kernel::id_type! {
    /// An article of the knowledge base.
    ArticleId
}

/// Where an article stands (contract enum `ArticleStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArticleStatus {
    /// Being written.
    Draft,
    /// Waits to be looked at.
    Review,
    /// There for readers.
    Published,
    /// No longer there for readers.
    Archived,
}

impl ArticleStatus {
    /// Every status, in the contract's order.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Review, Self::Published, Self::Archived];

    /// The name in the contract and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Review => "review",
            Self::Published => "published",
            Self::Archived => "archived",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == name)
    }
}

/// A step of an article's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is to be looked at.
    Submit,
    /// It is to be there for readers.
    Publish,
    /// It is to be there for readers no longer.
    Archive,
    /// It is to be written on.
    Reopen,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 4] = [Self::Submit, Self::Publish, Self::Archive, Self::Reopen];

    /// Where it leads.
    #[must_use]
    pub fn leads_to(self) -> ArticleStatus {
        match self {
            Self::Submit => ArticleStatus::Review,
            Self::Publish => ArticleStatus::Published,
            Self::Archive => ArticleStatus::Archived,
            Self::Reopen => ArticleStatus::Draft,
        }
    }

    /// Whether it can be taken from there: draft → review → published → archived, and from everywhere back to draft. Who may
    /// publish needs no review.
    #[must_use]
    pub fn is_open_from(self, status: ArticleStatus) -> bool {
        use ArticleStatus::{Archived, Draft, Published, Review};
        match self {
            Self::Submit => status == Draft,
            Self::Publish => matches!(status, Draft | Review),
            Self::Archive => status == Published,
            Self::Reopen => matches!(status, Review | Published | Archived),
        }
    }

    /// What events call what it did.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Submit => "submitted",
            Self::Publish => "published",
            Self::Archive => "archived",
            Self::Reopen => "reopened",
        }
    }
}

/// What an article says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArticleText {
    /// Its title.
    pub title: ArticleTitle,
    /// Its Markdown.
    pub content: ArticleContent,
    /// What it is about in short.
    pub excerpt: Excerpt,
    /// Whether that was made of the beginning of its text.
    pub excerpt_is_made: bool,
}

/// What readers said of it, and how often it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feedback {
    /// How often it was read; some seconds late.
    pub views: i32,
    /// How many readers it helped.
    pub helpful: i32,
    /// How many it did not.
    pub not_helpful: i32,
}

/// An article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// Which.
    pub id: ArticleId,
    /// What it is called in addresses.
    pub slug: Slug,
    /// What it says.
    pub text: ArticleText,
    /// The language that it is written in.
    pub language: Language,
    /// The category that it lies in.
    pub category: CategoryId,
    /// Who wrote it first.
    pub author: UserId,
    /// Where it stands.
    pub status: ArticleStatus,
    /// When it is to be published, if that is settled.
    pub publish_at: Option<DateTime<Utc>>,
    /// When it was first there for readers, since it was last a draft.
    pub published_at: Option<DateTime<Utc>>,
    /// What readers said.
    pub feedback: Feedback,
    /// The number of its present text among its versions, from 1.
    pub text_number: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Moves with every change but of feedback.
    pub version: Version,
}

/// An article in a list: all but its Markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArticleCard {
    /// Which.
    pub id: ArticleId,
    /// What it is called in addresses.
    pub slug: Slug,
    /// Its title.
    pub title: ArticleTitle,
    /// What it is about in short.
    pub excerpt: Excerpt,
    /// The language that it is written in.
    pub language: Language,
    /// The category that it lies in.
    pub category: CategoryId,
    /// Who wrote it first.
    pub author: UserId,
    /// Where it stands.
    pub status: ArticleStatus,
    /// When it is to be published, if that is settled.
    pub publish_at: Option<DateTime<Utc>>,
    /// When it was first there for readers.
    pub published_at: Option<DateTime<Utc>>,
    /// What readers said.
    pub feedback: Feedback,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl ArticleCard {
    /// Its place in lists by the last change.
    #[must_use]
    pub fn by_change(&self) -> Position {
        Position {
            at: self.updated_at,
            id: self.id.0,
        }
    }

    /// Its place in lists by publication.
    #[must_use]
    pub fn by_publication(&self) -> Position {
        Position {
            at: self.published_at.unwrap_or(self.created_at),
            id: self.id.0,
        }
    }
}

impl From<Article> for ArticleCard {
    fn from(article: Article) -> Self {
        let Article {
            id,
            slug,
            text,
            language,
            category,
            author,
            status,
            publish_at,
            published_at,
            feedback,
            text_number: _,
            created_at,
            updated_at,
            version: _,
        } = article;
        Self {
            id,
            slug,
            title: text.title,
            excerpt: text.excerpt,
            language,
            category,
            author,
            status,
            publish_at,
            published_at,
            feedback,
            created_at,
            updated_at,
        }
    }
}

/// A text that an article has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArticleVersion {
    /// Its number, from 1.
    pub number: i32,
    /// What it said.
    pub text: ArticleText,
    /// Who saved it; `None` when that account is gone.
    pub editor: Option<UserId>,
    /// When.
    pub created_at: DateTime<Utc>,
}
