//! The tree of categories: reading, making, changing, moving and deleting.

use std::sync::Arc;

use events::{Event, Fact, KnowledgeFact};
use kernel::receipt::ReceiptFor;
use kernel::{Actor, Clock, Guard, IdSource, Patch, STALE_TRIES_MAX, Version, Violation};

use super::{KnowledgeError, SLUG_NUMBERS_MAX, Thing, met};
use crate::category::{CATEGORIES_MAX, Category, CategoryId, DEPTH_MAX, Tree, TreeFault};
use crate::policy::Standing;
use crate::port::{CategoryCommit, CategoryCommitError, CategoryStore, CategoryWrite};
use crate::slug::Slug;
use crate::value::{CategoryName, Description, Icon, Place};

/// The most characters of a category's slug.
const SLUG_MAX_CHARS: usize = 100;

/// The use cases of categories.
pub struct Categories {
    store: Arc<dyn CategoryStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// A category to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCategory {
    /// What it is to be called.
    pub name: CategoryName,
    /// What it is to be called in addresses; made of the name when absent.
    pub slug: Option<Slug>,
    /// What is said of it.
    pub description: Option<Description>,
    /// The category that it is to lie in.
    pub parent: Option<CategoryId>,
    /// The name of its icon.
    pub icon: Option<Icon>,
    /// Its place among its siblings.
    pub place: Place,
}

/// What to change of a category; `None` keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CategoryEdit {
    /// Another name.
    pub name: Option<CategoryName>,
    /// Another slug. Addresses with the old one lead nowhere then.
    pub slug: Option<Slug>,
    /// Another description, or none any more.
    pub description: Patch<Description>,
    /// The category that it is to lie in, or the top.
    pub parent: Patch<CategoryId>,
    /// Another icon, or none any more.
    pub icon: Patch<Icon>,
    /// Another place.
    pub place: Option<Place>,
}

impl NewCategory {
    /// A slug for a category, as someone wishes it.
    ///
    /// # Errors
    /// When it is none, or too long.
    pub fn slug(pointer: &str, raw: &str) -> Result<Slug, Violation> {
        Slug::parse(pointer, raw, SLUG_MAX_CHARS)
    }
}

impl Categories {
    /// The categories of this store.
    #[must_use]
    pub fn new(store: Arc<dyn CategoryStore>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self { store, clock, ids }
    }

    /// The whole tree. Everyone may see it who may read the knowledge base at all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tree(&self) -> Result<Tree, KnowledgeError> {
        Ok(self.store.tree().await?.0)
    }

    /// Makes a category.
    ///
    /// # Errors
    /// [`KnowledgeError::Forbidden`] for all but leads and administrators; [`KnowledgeError::Invalid`] at `/parentId`;
    /// [`KnowledgeError::SlugTaken`] for a slug that was wished; [`KnowledgeError::TooMany`].
    pub async fn create(
        &self,
        actor: &Actor,
        new: NewCategory,
        receipt: ReceiptFor<'_, Category>,
    ) -> Result<Category, KnowledgeError> {
        allow(actor)?;
        let id = CategoryId::new(self.ids.as_ref());
        for _ in 0..STALE_TRIES_MAX {
            let (tree, revision) = self.store.tree().await?;
            if tree.as_slice().len() >= CATEGORIES_MAX {
                return Err(KnowledgeError::TooMany);
            }
            let now = self.clock.now();
            let category = Category {
                id,
                name: new.name.clone(),
                slug: free_slug(&tree, id, new.slug.as_ref(), &new.name)?,
                description: new.description.clone(),
                parent: new.parent,
                icon: new.icon.clone(),
                place: new.place,
                created_at: now,
                updated_at: now,
                version: Version::FIRST,
            };
            fits(&tree, &category)?;
            let commit = CategoryCommit {
                revision,
                event: self.told(actor, &category, "created"),
                receipt: receipt(&category),
                write: CategoryWrite::Insert(category.clone()),
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(category),
                Err(CategoryCommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(busy())
    }

    /// Changes a category, moves it with all that lies in it, and puts it in its place, in one.
    ///
    /// # Errors
    /// As for [`Categories::create`]; [`KnowledgeError::Stale`] for a failed precondition.
    pub async fn change(
        &self,
        actor: &Actor,
        id: CategoryId,
        edit: &CategoryEdit,
        guard: Guard<'_, Category>,
    ) -> Result<Category, KnowledgeError> {
        allow(actor)?;
        for _ in 0..STALE_TRIES_MAX {
            let (tree, revision) = self.store.tree().await?;
            let present = tree.get(id).ok_or(KnowledgeError::NotFound(Thing::Category))?;
            met(guard.expected, present.version, Thing::Category)?;
            let CategoryEdit {
                name,
                slug,
                description,
                parent,
                icon,
                place,
            } = edit.clone();
            let mut category = present.clone();
            category.name = name.unwrap_or(category.name);
            if let Some(slug) = slug {
                category.slug = free_slug(&tree, id, Some(&slug), &category.name)?;
            }
            category.description = description.apply(category.description);
            category.parent = parent.apply(category.parent);
            category.icon = icon.apply(category.icon);
            category.place = place.unwrap_or(category.place);
            if category.parent != present.parent {
                fits(&tree, &category)?;
            }
            if category == *present && (guard.receipt)(&category).is_none() {
                return Ok(category);
            }
            category.updated_at = self.clock.now();
            category.version = present.version.next();
            let commit = CategoryCommit {
                revision,
                event: self.told(actor, &category, "changed"),
                receipt: (guard.receipt)(&category),
                write: CategoryWrite::Update(category.clone()),
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(category),
                Err(CategoryCommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(busy())
    }

    /// Deletes an empty category.
    ///
    /// # Errors
    /// As for [`Categories::change`]; [`KnowledgeError::NotEmpty`] while something lies in it.
    pub async fn delete(
        &self,
        actor: &Actor,
        id: CategoryId,
        guard: Guard<'_, ()>,
    ) -> Result<(), KnowledgeError> {
        allow(actor)?;
        for _ in 0..STALE_TRIES_MAX {
            let (tree, revision) = self.store.tree().await?;
            let present = tree.get(id).ok_or(KnowledgeError::NotFound(Thing::Category))?;
            met(guard.expected, present.version, Thing::Category)?;
            if tree.has_children(id) {
                return Err(KnowledgeError::NotEmpty);
            }
            let commit = CategoryCommit {
                revision,
                event: self.told(actor, present, "deleted"),
                receipt: (guard.receipt)(&()),
                write: CategoryWrite::Delete(id),
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(CategoryCommitError::Stale) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(busy())
    }

    fn told(&self, actor: &Actor, category: &Category, change: &str) -> Event {
        let fact = KnowledgeFact::CategoryChanged {
            category: category.id.0,
            name: category.name.as_str().to_owned(),
            change: change.to_owned(),
        };
        Event::new(self.ids.as_ref(), self.clock.now(), actor, Fact::Knowledge(fact))
    }
}

fn allow(actor: &Actor) -> Result<(), KnowledgeError> {
    if Standing::of(Some(actor)).keeps() {
        Ok(())
    } else {
        Err(KnowledgeError::Forbidden(
            "write categories; team leads and administrators may",
        ))
    }
}

fn fits(tree: &Tree, category: &Category) -> Result<(), KnowledgeError> {
    let (code, message) = match tree.check(category.id, category.parent) {
        Ok(()) => return Ok(()),
        Err(TreeFault::NoParent) => ("unknown", "the category does not exist".to_owned()),
        Err(TreeFault::Cycle) => ("cycle", "lies in this category, or is it".to_owned()),
        Err(TreeFault::TooDeep) => (
            "too_deep",
            format!("would make more than {DEPTH_MAX} categories lie one in the other"),
        ),
    };
    Err(Violation::new("/parentId", code, message).into())
}

/// The slug that was wished, or else one made of the name that no other category has.
fn free_slug(
    tree: &Tree,
    id: CategoryId,
    wished: Option<&Slug>,
    name: &CategoryName,
) -> Result<Slug, KnowledgeError> {
    let is_free = |slug: &Slug| tree.by_slug(slug).is_none_or(|other| other.id == id);
    if let Some(slug) = wished {
        return if is_free(slug) {
            Ok(slug.clone())
        } else {
            Err(KnowledgeError::SlugTaken(Thing::Category))
        };
    }
    let made = Slug::of(name.as_str(), SLUG_MAX_CHARS);
    let numbered = (2..=SLUG_NUMBERS_MAX).map(|number| made.numbered(number));
    let free = std::iter::once(made.clone()).chain(numbered).find(is_free);
    Ok(free.unwrap_or_else(|| made.unique(id.0)))
}

fn busy() -> KnowledgeError {
    KnowledgeError::Stale {
        thing: Thing::Category,
        current: None,
    }
}

fn refused(error: CategoryCommitError) -> KnowledgeError {
    match error {
        CategoryCommitError::Stale => busy(),
        CategoryCommitError::Repeated => KnowledgeError::Repeated,
        CategoryCommitError::HasArticles => KnowledgeError::NotEmpty,
        CategoryCommitError::Port(error) => error.into(),
    }
}
