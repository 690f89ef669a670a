//! Categories and the tree that they make.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use kernel::Version;

use crate::slug::Slug;
use crate::value::{CategoryName, Description, Icon, Place};

/// The most categories of a desk.
pub const CATEGORIES_MAX: usize = 1_000;
/// How many categories may lie one in the other.
pub const DEPTH_MAX: usize = 8;

kernel::id_type! {
    /// A category of articles.
    CategoryId
}

/// A category of articles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Which.
    pub id: CategoryId,
    /// What it is called.
    pub name: CategoryName,
    /// What it is called in addresses.
    pub slug: Slug,
    /// What is said of it.
    pub description: Option<Description>,
    /// The category that it lies in; `None` at the top.
    pub parent: Option<CategoryId>,
    /// The name of its icon.
    pub icon: Option<Icon>,
    /// Its place among its siblings.
    pub place: Place,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Moves with every change.
    pub version: Version,
}

/// Why a category cannot lie where it is to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeFault {
    /// There is no such parent.
    NoParent,
    /// It would lie in itself.
    Cycle,
    /// It, or what lies in it, would lie too deep.
    TooDeep,
}

/// All categories of a desk.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    categories: Vec<Category>,
}

impl Tree {
    /// The tree of these categories, in order: each behind the one it lies in, siblings by place and name. What another program
    /// left lying in itself is shown at the top.
    #[must_use]
    pub fn of(categories: Vec<Category>) -> Self {
        let ids: HashSet<CategoryId> = categories.iter().map(|one| one.id).collect();
        let mut below: HashMap<Option<CategoryId>, Vec<Category>> = HashMap::new();
        for one in categories {
            let parent = one.parent.filter(|parent| ids.contains(parent));
            below.entry(parent).or_default().push(one);
        }
        for siblings in below.values_mut() {
            siblings.sort_by(|a, b| {
                let key = |one: &Category| (one.place, one.name.as_str().to_lowercase(), one.id.0);
                key(b).cmp(&key(a))
            });
        }
        let mut ordered = Vec::new();
        let mut waiting = below.remove(&None).unwrap_or_default();
        loop {
            while let Some(one) = waiting.pop() {
                waiting.extend(below.remove(&Some(one.id)).unwrap_or_default());
                ordered.push(one);
            }
            // What is left lies in itself: some one of them begins.
            let Some(next) = below.keys().flatten().min().copied() else {
                break;
            };
            waiting = below.remove(&Some(next)).unwrap_or_default();
        }
        Self { categories: ordered }
    }

    /// All of them, each behind the one it lies in.
    #[must_use]
    pub fn as_slice(&self) -> &[Category] {
        &self.categories
    }

    /// The category of this id.
    #[must_use]
    pub fn get(&self, id: CategoryId) -> Option<&Category> {
        self.categories.iter().find(|one| one.id == id)
    }

    /// The category of this slug.
    #[must_use]
    pub fn by_slug(&self, slug: &Slug) -> Option<&Category> {
        self.categories.iter().find(|one| one.slug == *slug)
    }

    /// The category of this slug and all that lie in it, however deep.
    #[must_use]
    pub fn below(&self, slug: &Slug) -> Option<Vec<CategoryId>> {
        let mut below = HashSet::from([self.by_slug(slug)?.id]);
        // Each stands behind the one it lies in.
        for one in &self.categories {
            if one.parent.is_some_and(|parent| below.contains(&parent)) {
                below.insert(one.id);
            }
        }
        Some(below.into_iter().collect())
    }

    /// The categories that one lies in, from the top, with itself at the end; as many as can lie one in the other.
    #[must_use]
    pub fn path(&self, id: CategoryId) -> Vec<&Category> {
        let mut path = Vec::new();
        let mut next = self.get(id);
        while let Some(one) = next
            && path.len() < DEPTH_MAX
            && !path.iter().any(|before: &&Category| before.id == one.id)
        {
            path.push(one);
            next = one.parent.and_then(|parent| self.get(parent));
        }
        path.reverse();
        path
    }

    /// Whether something lies in it.
    #[must_use]
    pub fn has_children(&self, id: CategoryId) -> bool {
        self.categories.iter().any(|one| one.parent == Some(id))
    }

    /// Whether a category, with what lies in it, may lie in `parent`.
    ///
    /// # Errors
    /// See [`TreeFault`].
    pub fn check(&self, id: CategoryId, parent: Option<CategoryId>) -> Result<(), TreeFault> {
        let mut depth = 1;
        let mut above = parent;
        while let Some(one) = above {
            if one == id {
                return Err(TreeFault::Cycle);
            }
            depth += 1;
            if depth > DEPTH_MAX {
                return Err(TreeFault::TooDeep);
            }
            above = self.get(one).ok_or(TreeFault::NoParent)?.parent;
        }
        if depth - 1 + self.height(id) > DEPTH_MAX {
            return Err(TreeFault::TooDeep);
        }
        Ok(())
    }

    /// How many categories lie one in the other from this one down, itself among them.
    fn height(&self, id: CategoryId) -> usize {
        let mut height = 1;
        let mut level = vec![id];
        // One that lies in itself has no end.
        while height <= DEPTH_MAX {
            level = self
                .categories
                .iter()
                // Where it lies now does not count: it is to lie elsewhere.
                .filter(|one| one.id != id && one.parent.is_some_and(|parent| level.contains(&parent)))
                .map(|one| one.id)
                .collect();
            if level.is_empty() {
                break;
            }
            height += 1;
        }
        height
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::testing::build;

    fn id(number: u128) -> CategoryId {
        CategoryId(Uuid::from_u128(number))
    }

    fn tree(parents: &[(u128, Option<u128>)]) -> Tree {
        let one = |(number, parent): &(u128, Option<u128>)| Category {
            parent: parent.map(id),
            ..build::category(id(*number))
        };
        Tree::of(parents.iter().map(one).collect())
    }

    #[test]
    fn each_comes_behind_the_one_it_lies_in_and_siblings_in_their_order() {
        let mut categories: Vec<Category> = (1..=4).map(|number| build::category(id(number))).collect();
        categories[0].parent = Some(id(3));
        categories[0].place = Place::stored(2);
        categories[1].parent = Some(id(3));
        categories[1].place = Place::stored(1);
        let ids: Vec<u128> = Tree::of(categories)
            .as_slice()
            .iter()
            .map(|one| one.id.0.as_u128())
            .collect();
        assert_eq!(ids, [3, 2, 1, 4]);
    }

    #[test]
    fn nothing_lies_in_itself_or_too_deep() {
        let chain: Vec<_> = (1..=8)
            .map(|number| (number, (number > 1).then(|| number - 1)))
            .collect();
        let chain = tree(&chain);
        assert_eq!(chain.check(id(1), Some(id(1))), Err(TreeFault::Cycle));
        assert_eq!(chain.check(id(1), Some(id(8))), Err(TreeFault::Cycle));
        assert_eq!(chain.check(id(99), Some(id(8))), Err(TreeFault::TooDeep));
        assert_eq!(chain.check(id(99), Some(id(7))), Ok(()));
        assert_eq!(chain.check(id(99), Some(id(98))), Err(TreeFault::NoParent));
        assert_eq!(chain.check(id(8), None), Ok(()));
        // What lies in it goes with it.
        let two = tree(&[
            (1, None),
            (2, Some(1)),
            (3, Some(2)),
            (11, None),
            (12, Some(11)),
            (13, Some(12)),
            (14, Some(13)),
            (15, Some(14)),
            (16, Some(15)),
        ]);
        assert_eq!(two.check(id(1), Some(id(16))), Err(TreeFault::TooDeep));
        assert_eq!(two.check(id(1), Some(id(15))), Ok(()));
        assert_eq!(two.path(id(3)).len(), 3);
    }

    #[test]
    fn what_another_program_left_lying_in_itself_is_shown() {
        let odd = tree(&[(1, Some(2)), (2, Some(1)), (3, Some(3)), (4, None), (5, Some(77))]);
        assert_eq!(odd.as_slice().len(), 5);
        assert_eq!(odd.path(id(1)).len(), 2);
        // It can be put right.
        assert_eq!(odd.check(id(1), None), Ok(()));
        assert_eq!(odd.check(id(4), Some(id(1))), Err(TreeFault::TooDeep));
    }

    proptest! {
        #[test]
        fn every_category_is_there_once_whatever_lies_where(
            parents in proptest::collection::vec(proptest::option::of(0..12_u128), 0..12)
        ) {
            let parents: Vec<_> = parents.into_iter().zip(0..).map(|(parent, number)| (number, parent)).collect();
            let tree = tree(&parents);
            let ids: HashSet<_> = tree.as_slice().iter().map(|one| one.id).collect();
            prop_assert_eq!(ids.len(), parents.len());
            prop_assert_eq!(tree.as_slice().len(), parents.len());
        }
    }
}
