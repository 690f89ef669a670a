//! Builders that show only what a test is about.

use chrono::{DateTime, Utc};
use kernel::id::Uuid;
use kernel::{Actor, Membership, Person, Role, TeamId, TeamRole, UserId, Version};

use crate::article::{Article, ArticleId, ArticleStatus, ArticleText, Feedback};
use crate::category::{Category, CategoryId};
use crate::slug::Slug;
use crate::value::{ArticleContent, ArticleTitle, CategoryName, Excerpt, Language, Place};

/// Some moment.
#[must_use]
pub fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default()
}

/// A category at the top, named by its id.
#[must_use]
pub fn category(id: CategoryId) -> Category {
    Category {
        id,
        name: CategoryName::stored(format!("Category {id}")),
        slug: Slug::stored(format!("category-{}", id.0.simple())),
        description: None,
        parent: None,
        icon: None,
        place: Place::default(),
        created_at: noon(),
        updated_at: noon(),
        version: Version::FIRST,
    }
}

/// A text.
#[must_use]
pub fn text(title: &str, content: &str) -> ArticleText {
    ArticleText {
        title: ArticleTitle::stored(title.to_owned()),
        content: ArticleContent::stored(content.to_owned()),
        excerpt: Excerpt::made_of(content),
        excerpt_is_made: true,
    }
}

/// A draft of nobody, in no category, named by its id.
#[must_use]
pub fn article(id: ArticleId) -> Article {
    Article {
        id,
        slug: Slug::stored(format!("article-{}", id.0.simple())),
        text: text("Title", "Content"),
        language: Language::default(),
        category: CategoryId(Uuid::nil()),
        author: UserId(Uuid::nil()),
        status: ArticleStatus::Draft,
        publish_at: None,
        published_at: None,
        feedback: Feedback::default(),
        text_number: 1,
        created_at: noon(),
        updated_at: noon(),
        version: Version::FIRST,
    }
}

fn person(id: UserId, role: Role, teams: Vec<Membership>) -> Actor {
    Actor::Person(Person {
        id,
        role,
        teams,
        origin: None,
    })
}

/// A customer.
#[must_use]
pub fn customer(id: UserId) -> Actor {
    person(id, Role::User, Vec::new())
}

/// An agent, in a team or in none.
#[must_use]
pub fn agent(id: UserId, role: Option<TeamRole>) -> Actor {
    let team = TeamId(Uuid::from_u128(7));
    let teams = role.map(|role| Membership { team, role });
    person(id, Role::Agent, teams.into_iter().collect())
}

/// An administrator.
#[must_use]
pub fn admin(id: UserId) -> Actor {
    person(id, Role::Admin, Vec::new())
}
