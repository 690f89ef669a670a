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

/// How many numbers are tried behind a slug that was made of a title, before an id is put there.
const SLUG_NUMBERS_MAX: u32 = 20;

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
