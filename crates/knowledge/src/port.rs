//! What the knowledge base asks of a store. The PostgreSQL adapter and the fakes in memory pass the same suite,
//! [`testing::contract`](crate::testing::contract).

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use events::Event;
use kernel::{Page, PageLimit, PortError, Position, Receipt, UserId, Version};

use crate::article::{Article, ArticleCard, ArticleId, ArticleStatus, ArticleVersion, Feedback};
use crate::category::{Category, CategoryId, Tree};
use crate::search::{Hit, Search, SearchReport, Searched, Spellings};
use crate::slug::Slug;
use crate::value::Language;

/// The state of the tree as a whole: it moves with every change of any category, whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(pub i64);

/// Keeps the categories.
#[async_trait]
pub trait CategoryStore: Send + Sync {
    /// All of them, and the revision that they are.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn tree(&self) -> Result<(Tree, Revision), PortError>;

    /// Stores a decision with its event and receipt whole, or nothing of it. Must refuse one that was made on another revision
    /// than the present, so that what was decided of the whole tree holds.
    ///
    /// # Errors
    /// See [`CategoryCommitError`].
    async fn commit(&self, commit: CategoryCommit) -> Result<(), CategoryCommitError>;
}

/// Everything that one decision about a category makes durable.
#[derive(Debug, Clone)]
#[must_use = "a decision that is not committed never happened"]
pub struct CategoryCommit {
    /// The tree that it was made on.
    pub revision: Revision,
    /// What becomes of the category.
    pub write: CategoryWrite,
    /// What is told of it.
    pub event: Event,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// What a commit does to a category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CategoryWrite {
    /// It is new.
    Insert(Category),
    /// It becomes this.
    Update(Category),
    /// It goes.
    Delete(CategoryId),
}

/// Why a category was not stored. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CategoryCommitError {
    /// The tree moved on since it was read.
    #[error("the tree is at another revision")]
    Stale,
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// Articles lie in it.
    #[error("articles lie in the category")]
    HasArticles,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Which articles a list has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArticleFilter {
    /// Those that stand there; `None` for all.
    pub status: Option<ArticleStatus>,
    /// Those of these categories; `None` for all.
    pub categories: Option<Vec<CategoryId>>,
    /// Those of that author.
    pub author: Option<UserId>,
    /// Those that a [writer](crate::policy::Rank::Writer) of this id sees; `None` for all.
    pub seen_by: Option<UserId>,
}

/// In which order a list has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArticleOrder {
    /// The latest published first. Only for lists of published articles.
    Published,
    /// The latest changed first.
    Changed,
}

/// An article that an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The article of that slug.
    Article(Box<Article>),
    /// One had that slug, and has another now.
    Moved(Slug),
}

/// Keeps the articles.
#[async_trait]
pub trait ArticleStore: Send + Sync {
    /// An article, whoever may see it.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn article(&self, id: ArticleId) -> Result<Option<Article>, PortError>;

    /// The published article that a slug leads to; one that it once led to is only told of while that is published.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn published(&self, slug: &Slug) -> Result<Option<Found>, PortError>;

    /// One page of articles.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn articles(
        &self,
        filter: &ArticleFilter,
        order: ArticleOrder,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<ArticleCard>, PortError>;

    /// The articles, drafts and those in review, that were to be published by `now`, the longest waiting first, `most` at the most.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn due(&self, now: DateTime<Utc>, most: usize) -> Result<Vec<ArticleId>, PortError>;

    /// Stores a decision with its event and receipt whole, or nothing of it.
    ///
    /// # Errors
    /// See [`ArticleCommitError`].
    async fn commit(&self, commit: ArticleCommit) -> Result<(), ArticleCommitError>;

    /// The texts that an article has and had, the newest first, before `before`.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn versions(
        &self,
        article: ArticleId,
        before: Option<i32>,
        limit: PageLimit,
    ) -> Result<Page<ArticleVersion, i32>, PortError>;

    /// One of them.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn text(&self, article: ArticleId, number: i32) -> Result<Option<ArticleVersion>, PortError>;

    /// Notes whether an article helped a reader; each has one voice, the last counts, and `None` takes it back. Gives what all
    /// say then; `None` where there is no such article that is published.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn vote(
        &self,
        article: ArticleId,
        voter: UserId,
        is_helpful: Option<bool>,
    ) -> Result<Option<Feedback>, PortError>;

    /// Adds to how often articles were read.
    ///
    /// # Errors
    /// When the store cannot be reached; then nothing was added.
    async fn add_views(&self, views: &[(ArticleId, u32)]) -> Result<(), PortError>;
}

/// Everything that one decision about an article makes durable.
#[derive(Debug, Clone)]
#[must_use = "a decision that is not committed never happened"]
pub struct ArticleCommit {
    /// What becomes of it.
    pub change: ArticleChange,
    /// What is told of it; nothing where only the receipt is kept.
    pub event: Option<Event>,
    /// What makes the command safe to repeat.
    pub receipt: Option<Receipt>,
}

/// What a commit does to an article. The store must refuse when the stored version is not `expected`. An article that gets
/// another slug is still found by the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArticleChange {
    /// It is new, with its first text.
    Insert {
        /// The article.
        article: Box<Article>,
        /// What is shown of it, for clients that know the contract alone.
        html: String,
        /// Who made it.
        editor: Option<UserId>,
    },
    /// It becomes this.
    Update {
        /// The article as it is to be.
        article: Box<Article>,
        /// The version that the decision was made on.
        expected: Version,
        /// Where it has another text from now on: what is shown of it.
        html: Option<String>,
        /// Who changed it.
        editor: Option<UserId>,
    },
    /// It stays as it is; only the receipt is kept.
    Keep {
        /// Which.
        id: ArticleId,
        /// The version that the decision was made on.
        expected: Version,
    },
    /// It goes, with its texts and votes.
    Delete {
        /// Which.
        id: ArticleId,
        /// The version that the decision was made on.
        expected: Version,
    },
}

/// Why an article was not stored. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ArticleCommitError {
    /// It moved on since it was read, or is gone.
    #[error("the article is at another version")]
    Stale,
    /// The receipt is there already: this was done before.
    #[error("the receipt is there already")]
    Repeated,
    /// Another article has the slug.
    #[error("another article has the slug")]
    SlugTaken,
    /// The category is gone.
    #[error("the category does not exist")]
    NoCategory,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What a reader is shown of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendered {
    /// HTML that is safe to put into a page.
    pub html: String,
    /// Its headings, in order.
    pub headings: Vec<Heading>,
    /// The text without markup.
    pub plain: String,
}

/// A heading of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// From 1 to 6.
    pub level: u8,
    /// What it says.
    pub text: String,
    /// The `id` of its element.
    pub anchor: String,
}

/// Turns Markdown into what readers are shown.
pub trait Markup: Send + Sync {
    /// What is shown of a text, whatever it is.
    fn render(&self, markdown: &str) -> Rendered;
}

/// Searches the published articles, and keeps what was searched for.
#[async_trait]
pub trait SearchStore: Send + Sync {
    /// The published articles of a language that fit a search best, the best first. One that has more of the words, rarer ones, has them
    /// in its title or headings, or together, fits better. Must find nothing that is not published, whatever the words.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn find(&self, search: &Search) -> Result<Vec<Hit>, PortError>;

    /// What published articles know of these words, and of one that was begun. Must tell no word of another article.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn spellings(
        &self,
        language: &Language,
        words: &[String],
        begun: Option<&str>,
    ) -> Result<Spellings, PortError>;

    /// Adds to how often something was searched for, up to the store's bound of different texts on a day; what is older than a year
    /// is forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached; then nothing was added.
    async fn add_searches(&self, searches: &[(Searched, u32)]) -> Result<(), PortError>;

    /// What was searched for from one day to another, both of them counted in.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn searches(&self, from: NaiveDate, to: NaiveDate) -> Result<SearchReport, PortError>;
}
