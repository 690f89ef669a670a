//! The knowledge base: a tree of categories, and articles that are written, reviewed, published and archived.
//!
//! [`Categories`] and [`Articles`] are the use cases; who may do what is [`policy`]; what is asked of a store, [`port`]. What a
//! reader is shown of an article's Markdown is made by a [`Markup`] each time it is shown, so that nothing another program left
//! in the table is ever trusted to be HTML.
//!
//! Linked alone, the crate tells slugs, trees and differences without a store:
//!
//! ```
//! use insightdesk_knowledge::{Difference, Slug, difference};
//!
//! assert_eq!(Slug::of("Wie ändere ich mein Paßwort?", 200).as_str(), "wie-andere-ich-mein-paßwort");
//! let parts = difference("one\ntwo\n", "one\n2\n");
//! assert_eq!(parts[0], Difference::Same("one\n".to_owned()));
//! ```

mod article;
mod category;
mod compare;
pub mod policy;
pub mod port;
mod search;
mod service;
mod slug;
mod synonyms;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod value;

pub use article::{
    Article, ArticleCard, ArticleId, ArticleStatus, ArticleText, ArticleVersion, Feedback, Step,
};
pub use category::{CATEGORIES_MAX, Category, CategoryId, DEPTH_MAX, Tree, TreeFault};
pub use compare::{Difference, difference};
pub use port::{
    ArticleChange, ArticleCommit, ArticleCommitError, ArticleFilter, ArticleOrder, ArticleStore,
    CategoryCommit, CategoryCommitError, CategoryStore, CategoryWrite, Found, Heading, Markup, Rendered,
    Revision, SearchStore,
};
pub use search::{
    Alternative, Correction, Hit, Run, Search, SearchFound, SearchReport, Searched, SearchedOften, Spellings,
};
pub use service::{
    ArticleEdit, ArticleSearch, ArticleShown, Articles, Categories, CategoryEdit, Guard, KnowledgeError,
    NewArticle, NewCategory, Thing, VersionShown, Wanted,
};
pub use slug::Slug;
pub use synonyms::{SynonymFault, Synonyms};
pub use value::{
    ArticleContent, ArticleTitle, CONTENT_MAX_CHARS, CategoryName, Description, Excerpt, Icon, Language,
    PLACE_MAX, Place, SEARCH_MAX_CHARS, SearchText,
};
