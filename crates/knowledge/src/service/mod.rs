//! The use cases of the knowledge base.

mod articles;
mod categories;
mod error;
mod search;
mod tally;
#[cfg(test)]
mod tests;

pub use articles::{ArticleEdit, ArticleShown, Articles, NewArticle, VersionShown};
pub use categories::{Categories, CategoryEdit, NewCategory};
pub use error::{KnowledgeError, Thing};
pub use kernel::Guard;
pub use search::{ArticleSearch, Wanted};

use kernel::Version;
use tally::Tally;

use crate::category::CategoryId;
use crate::port::CategoryStore;
use crate::slug::Slug;

/// How many numbers are tried behind a slug that was made of a title, before an id is put there.
const SLUG_NUMBERS_MAX: u32 = 20;

/// A category and all that lie in it.
async fn below(categories: &dyn CategoryStore, slug: &Slug) -> Result<Vec<CategoryId>, KnowledgeError> {
    let (tree, _) = categories.tree().await?;
    tree.below(slug).ok_or(KnowledgeError::NotFound(Thing::Category))
}

/// Whether a precondition holds.
fn met(expected: Option<Version>, current: Version, thing: Thing) -> Result<(), KnowledgeError> {
    match expected {
        Some(expected) if expected != current => Err(KnowledgeError::Stale {
            thing,
            current: Some(current),
        }),
        Some(_) | None => Ok(()),
    }
}
