//! The knowledge base in PostgreSQL. Versions of texts, old slugs and the tree's revision are kept by triggers, so that programs that
//! know the contract alone leave theirs as well.

mod articles;
mod categories;
mod search;
#[cfg(test)]
mod tests;

pub use articles::PgArticles;
pub use categories::PgCategories;
pub use search::PgArticleSearch;
