use std::sync::Arc;

use kernel::receipt::no_receipt;
use kernel::{Actor, Classify as _, ManualClock, PageLimit, Patch, SequentialIds, TeamRole, UserId, Version};
use uuid::Uuid;

use super::*;
use crate::article::{ArticleId, ArticleStatus, Step};
use crate::category::{Category, CategoryId, DEPTH_MAX};
use crate::compare::Difference;
use crate::port::{ArticleFilter, CategoryStore as _};
use crate::search::SearchFound;
use crate::slug::Slug;
use crate::synonyms::Synonyms;
use crate::testing::{
    MemoryArticles, MemoryCategories, PlainMarkup, build, contract_articles, contract_categories,
};
use crate::value::{ArticleContent, ArticleTitle, CategoryName, Excerpt, Language, Place, SearchText};

const AUTHOR: UserId = UserId(Uuid::from_u128(1));
const OTHER: UserId = UserId(Uuid::from_u128(2));

struct World {
    articles: Articles,
    categories: Categories,
    article_store: Arc<MemoryArticles>,
    category_store: Arc<MemoryCategories>,
    clock: Arc<ManualClock>,
    top: CategoryId,
}

fn writer() -> Actor {
    build::agent(AUTHOR, Some(TeamRole::Agent))
}

fn editor() -> Actor {
    build::agent(OTHER, Some(TeamRole::Supervisor))
}

fn keeper() -> Actor {
    build::admin(OTHER)
}

fn new_category(name: &str, parent: Option<CategoryId>) -> NewCategory {
    NewCategory {
        name: CategoryName::stored(name.to_owned()),
        slug: None,
        description: None,
        parent,
        icon: None,
        place: Place::default(),
    }
}

impl World {
    async fn new() -> Self {
        let ids = Arc::new(SequentialIds::default());
        let clock = Arc::new(ManualClock::at(build::noon()));
        let (article_store, category_store) = (
            Arc::new(MemoryArticles::default()),
            Arc::new(MemoryCategories::default()),
        );
        let categories = Categories::new(category_store.clone(), clock.clone(), ids.clone());
        let articles = Articles::new(
            article_store.clone(),
            category_store.clone(),
            Arc::new(PlainMarkup),
            clock.clone(),
            ids,
        );
        let top = categories
            .create(&keeper(), new_category("Top", None), &no_receipt)
            .await;
        let top = top.unwrap().id;
        article_store.know(top);
        Self {
            articles,
            categories,
            article_store,
            category_store,
            clock,
            top,
        }
    }

    fn draft(&self, title: &str) -> NewArticle {
        NewArticle {
            title: ArticleTitle::stored(title.to_owned()),
            content: ArticleContent::stored("one\ntwo\n".to_owned()),
            excerpt: None,
            category: self.top,
            slug: None,
            language: Language::default(),
        }
    }

    async fn published(&self, title: &str, content: &str) -> ArticleId {
        let new = NewArticle {
            content: ArticleContent::stored(content.to_owned()),
            ..self.draft(title)
        };
        let shown = self.articles.create(&writer(), new, &no_receipt).await.unwrap();
        self.take(&editor(), shown.article.id, Step::Publish)
            .await
            .unwrap();
        shown.article.id
    }

    fn search(&self, synonyms: &str) -> ArticleSearch {
        ArticleSearch::new(
            self.article_store.clone(),
            self.article_store.clone(),
            self.category_store.clone(),
            Synonyms::parse(synonyms).unwrap(),
            self.clock.clone(),
        )
    }

    async fn written(&self, title: &str) -> ArticleId {
        let shown = self
            .articles
            .create(&writer(), self.draft(title), &no_receipt)
            .await;
        shown.unwrap().article.id
    }

    async fn take(&self, actor: &Actor, id: ArticleId, step: Step) -> Result<ArticleStatus, &'static str> {
        let taken = self.articles.step(actor, id, step, Guard::none()).await;
        taken
            .map(|shown| shown.article.status)
            .map_err(|error| error.code())
    }

    async fn category(&self, name: &str, parent: Option<CategoryId>) -> Result<Category, KnowledgeError> {
        self.categories
            .create(&keeper(), new_category(name, parent), &no_receipt)
            .await
    }
}

#[tokio::test]
async fn the_stores_in_memory_keep_their_contracts() {
    let ids = SequentialIds::default();
    contract_categories(&MemoryCategories::default(), &ids).await;
    let store = MemoryArticles::default();
    let categories = [CategoryId(Uuid::from_u128(11)), CategoryId(Uuid::from_u128(12))];
    categories.iter().for_each(|category| store.know(*category));
    contract_articles((&store, &store), &ids, categories, [AUTHOR, OTHER]).await;
}

#[tokio::test]
async fn an_article_goes_its_way_from_draft_to_archive_and_back() {
    let world = World::new().await;
    let id = world.written("Reset").await;
    assert_eq!(
        world.take(&writer(), id, Step::Publish).await,
        Err("access.forbidden")
    );
    assert_eq!(
        world.take(&editor(), id, Step::Archive).await,
        Err("article.transition_not_allowed")
    );
    assert_eq!(
        world.take(&writer(), id, Step::Submit).await,
        Ok(ArticleStatus::Review)
    );
    assert_eq!(
        world.take(&writer(), id, Step::Reopen).await,
        Ok(ArticleStatus::Draft)
    );
    assert_eq!(
        world.take(&writer(), id, Step::Submit).await,
        Ok(ArticleStatus::Review)
    );
    // What is in review is no longer the author's alone.
    let edit = ArticleEdit {
        title: Some(ArticleTitle::stored("Other".to_owned())),
        ..ArticleEdit::default()
    };
    let refused = world.articles.edit(&writer(), id, &edit, Guard::none()).await;
    assert_eq!(refused.unwrap_err().code(), "access.forbidden");
    assert_eq!(
        world.take(&editor(), id, Step::Publish).await,
        Ok(ArticleStatus::Published)
    );
    let slug = Slug::stored("reset".to_owned());
    let read = world.articles.read(None, &slug).await.unwrap().unwrap();
    assert_eq!(read.article.published_at, Some(build::noon()));
    assert_eq!(
        world.take(&writer(), id, Step::Archive).await,
        Err("access.forbidden")
    );
    assert_eq!(
        world.take(&editor(), id, Step::Archive).await,
        Ok(ArticleStatus::Archived)
    );
    assert_eq!(
        world.articles.read(None, &slug).await.unwrap_err().code(),
        "article.not_found"
    );
    assert_eq!(
        world.take(&editor(), id, Step::Reopen).await,
        Ok(ArticleStatus::Draft)
    );
    let told: Vec<_> = world
        .article_store
        .events()
        .iter()
        .map(|event| event.encode().unwrap().1)
        .collect();
    let changes: Vec<_> = told
        .iter()
        .map(|payload| payload["data"]["change"].as_str().unwrap())
        .collect();
    assert_eq!(
        changes,
        [
            "created",
            "submitted",
            "reopened",
            "submitted",
            "published",
            "archived",
            "reopened"
        ]
    );
}

#[tokio::test]
async fn every_text_is_kept_and_can_be_gone_back_to() {
    let world = World::new().await;
    let id = world.written("Reset").await;
    world.clock.advance(chrono::TimeDelta::seconds(5));
    let edit = ArticleEdit {
        content: Some(ArticleContent::stored("one\n2\n".to_owned())),
        slug: Some(Slug::stored("else".to_owned())),
        ..ArticleEdit::default()
    };
    let edited = world
        .articles
        .edit(&writer(), id, &edit, Guard::none())
        .await
        .unwrap();
    assert_eq!(edited.article.text_number, 2);
    assert_eq!(edited.article.text.excerpt.as_str(), "one 2");
    // The same again is no change.
    let same = world
        .articles
        .edit(&writer(), id, &edit, Guard::none())
        .await
        .unwrap();
    assert_eq!(same.article.version, edited.article.version);
    let shown = world.articles.version(&writer(), id, 2).await.unwrap();
    assert_eq!(
        shown.changes,
        [
            Difference::Same("one\n".to_owned()),
            Difference::Removed("two\n".to_owned()),
            Difference::Added("2\n".to_owned()),
        ]
    );
    let back = world
        .articles
        .revert(&writer(), id, 1, Guard::none())
        .await
        .unwrap();
    assert_eq!(
        (back.article.text_number, back.article.text.content.as_str()),
        (3, "one\ntwo\n")
    );
    let none = world.articles.revert(&writer(), id, 9, Guard::none()).await;
    assert_eq!(none.unwrap_err().code(), "article.version_not_found");
    let versions = world
        .articles
        .versions(&writer(), id, None, PageLimit::DEFAULT)
        .await
        .unwrap();
    assert_eq!(versions.items.len(), 3);
    // An excerpt of one's own stays, until it is taken away.
    let own = |excerpt| ArticleEdit {
        excerpt,
        ..ArticleEdit::default()
    };
    let given = own(Patch::Set(Excerpt::stored("Mine".to_owned())));
    let given = world
        .articles
        .edit(&writer(), id, &given, Guard::none())
        .await
        .unwrap();
    assert_eq!(given.article.text.excerpt.as_str(), "Mine");
    let made = world
        .articles
        .edit(&writer(), id, &own(Patch::Clear), Guard::none())
        .await
        .unwrap();
    assert_eq!(made.article.text.excerpt.as_str(), "one two");
    // One who saw another version is told so.
    let stale = Guard {
        expected: Some(Version::FIRST),
        receipt: &no_receipt,
    };
    let stale = world
        .articles
        .edit(&writer(), id, &edit, stale)
        .await
        .unwrap_err();
    assert_eq!(
        (stale.code(), stale.current_version()),
        ("request.stale", Some(made.article.version))
    );
}

#[tokio::test]
async fn titles_that_are_alike_get_slugs_of_their_own_and_wishes_are_refused() {
    let world = World::new().await;
    let mut slugs = Vec::new();
    for _ in 0..23 {
        let id = world.written("Same").await;
        slugs.push(world.articles.show(&writer(), id).await.unwrap().article.slug);
    }
    assert_eq!(
        (slugs[0].as_str(), slugs[1].as_str(), slugs[19].as_str()),
        ("same", "same-2", "same-20")
    );
    assert!(slugs[22].as_str().len() > 30, "{slugs:?}");
    let wish = NewArticle {
        slug: Some(Slug::stored("same".to_owned())),
        ..world.draft("Another")
    };
    let refused = world.articles.create(&writer(), wish, &no_receipt).await;
    assert_eq!(refused.unwrap_err().code(), "slug.taken");
    let nowhere = NewArticle {
        category: CategoryId(Uuid::from_u128(99)),
        ..world.draft("Another")
    };
    let refused = world
        .articles
        .create(&writer(), nowhere, &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(refused.violations()[0].pointer, "/categoryId");
}

#[tokio::test]
async fn drafts_are_hidden_and_lists_show_what_each_may_see() {
    let world = World::new().await;
    let id = world.written("Mine").await;
    let other = build::agent(OTHER, None);
    assert_eq!(
        world.articles.show(&other, id).await.unwrap_err().code(),
        "article.not_found"
    );
    assert_eq!(
        world
            .articles
            .show(&build::customer(AUTHOR), id)
            .await
            .unwrap_err()
            .code(),
        "access.forbidden"
    );
    let listed = async |actor: &Actor| {
        let page = world
            .articles
            .list(actor, ArticleFilter::default(), None, PageLimit::DEFAULT)
            .await;
        page.map(|page| page.items.len()).map_err(|error| error.code())
    };
    assert_eq!(listed(&writer()).await, Ok(1));
    assert_eq!(listed(&other).await, Ok(0));
    assert_eq!(listed(&editor()).await, Ok(1));
    assert_eq!(listed(&build::customer(AUTHOR)).await, Err("access.forbidden"));
    let delete = async |actor: &Actor| world.articles.delete(actor, id, Guard::none()).await;
    assert_eq!(delete(&writer()).await.unwrap_err().code(), "access.forbidden");
    assert_eq!(delete(&other).await.unwrap_err().code(), "article.not_found");
    delete(&keeper()).await.unwrap();
    assert_eq!(delete(&keeper()).await.unwrap_err().code(), "article.not_found");
}

#[tokio::test]
async fn readers_are_counted_and_staff_are_not() {
    let world = World::new().await;
    let id = world.written("Read").await;
    world.take(&editor(), id, Step::Publish).await.unwrap();
    let slug = Slug::stored("read".to_owned());
    for reader in [
        None,
        None,
        Some(build::customer(OTHER)),
        Some(writer()),
        Some(keeper()),
    ] {
        let _ = world.articles.read(reader.as_ref(), &slug).await.unwrap();
    }
    assert_eq!(world.articles.store_views().await.unwrap(), 1);
    assert_eq!(world.articles.store_views().await.unwrap(), 0);
    let shown = world.articles.show(&writer(), id).await.unwrap();
    assert_eq!(shown.article.feedback.views, 3);
    // While articles are read, nothing waits for long.
    for expected in [3, 3, 6] {
        let _ = world.articles.read(None, &slug).await.unwrap();
        let stored = world
            .articles
            .show(&writer(), id)
            .await
            .unwrap()
            .article
            .feedback
            .views;
        assert_eq!(stored, expected);
        world.clock.advance(chrono::TimeDelta::seconds(5));
    }
    let said = world
        .articles
        .vote(&build::customer(OTHER), id, Some(true))
        .await
        .unwrap();
    assert_eq!((said.helpful, said.not_helpful), (1, 0));
}

#[tokio::test]
async fn categories_make_a_tree_that_nothing_breaks() {
    let world = World::new().await;
    let mut chain = vec![world.top];
    for depth in 1..DEPTH_MAX {
        let made = world
            .category(&format!("Level {depth}"), chain.last().copied())
            .await;
        chain.push(made.unwrap().id);
    }
    let deep = world
        .category("Too deep", chain.last().copied())
        .await
        .unwrap_err();
    assert_eq!(deep.violations()[0].code, "too_deep");
    let into = |parent| CategoryEdit {
        parent: Patch::Set(parent),
        ..CategoryEdit::default()
    };
    let cycle = world
        .categories
        .change(&keeper(), world.top, &into(chain[3]), Guard::none())
        .await;
    assert_eq!(cycle.unwrap_err().violations()[0].code, "cycle");
    assert_eq!(
        world
            .categories
            .delete(&keeper(), world.top, Guard::none())
            .await
            .unwrap_err()
            .code(),
        "category.not_empty"
    );
    let twin = world.category("Top", None).await.unwrap();
    assert_eq!(twin.slug.as_str(), "top-2");
    let taken = CategoryEdit {
        slug: Some(Slug::stored("top".to_owned())),
        ..CategoryEdit::default()
    };
    let taken = world
        .categories
        .change(&keeper(), twin.id, &taken, Guard::none())
        .await;
    assert_eq!(taken.unwrap_err().code(), "slug.taken");
    // Moved and put in its place in one, which is told once.
    let told = world.category_store.events().len();
    let moved = CategoryEdit {
        parent: Patch::Set(world.top),
        place: Some(Place::stored(3)),
        ..CategoryEdit::default()
    };
    let moved = world
        .categories
        .change(&keeper(), twin.id, &moved, Guard::none())
        .await
        .unwrap();
    assert_eq!((moved.parent, moved.place.number()), (Some(world.top), 3));
    assert_eq!(world.category_store.events().len(), told + 1);
    for actor in [writer(), editor(), build::customer(OTHER)] {
        let refused = world.categories.delete(&actor, twin.id, Guard::none()).await;
        assert_eq!(refused.unwrap_err().code(), "access.forbidden");
    }
    world
        .categories
        .delete(&keeper(), twin.id, Guard::none())
        .await
        .unwrap();
    let (tree, _) = world.category_store.tree().await.unwrap();
    assert_eq!(tree.as_slice().len(), DEPTH_MAX);
}

fn wanted(text: &str) -> Wanted {
    Wanted {
        text: SearchText::stored(text.to_owned()),
        language: Language::default(),
        category: None,
        limit: PageLimit::DEFAULT,
    }
}

#[tokio::test]
async fn a_search_understands_what_is_misspelt_begun_or_called_otherwise() {
    let world = World::new().await;
    let password = world.published("Password forgotten", "Ask for another").await;
    let computer = world.published("Computer", "It hums").await;
    let _ = world.written("Passport").await;
    let search = world.search("pc, computer\nlog in, password");
    let ids = |found: &SearchFound| -> Vec<ArticleId> { found.hits.iter().map(|hit| hit.card.id).collect() };
    for (text, expected, corrected) in [
        ("password", vec![password], vec![]),
        ("pasword", vec![password], vec![("pasword", vec!["password"])]),
        ("my PC", vec![computer], vec![]),
        ("cannot log in", vec![password], vec![]),
        ("comptuer", vec![computer], vec![("comptuer", vec!["computer"])]),
        // What is not published corrects nothing.
        ("pasport", vec![], vec![]),
        ("comp", vec![], vec![]),
    ] {
        let found = search.find(None, wanted(text)).await.unwrap();
        assert_eq!(ids(&found), expected, "{text}");
        let told: Vec<_> = found
            .corrections
            .iter()
            .map(|one| {
                (
                    one.word.as_str(),
                    one.instead.iter().map(String::as_str).collect(),
                )
            })
            .collect();
        assert_eq!(told, corrected, "{text}");
    }
    for (text, expected) in [
        ("comp", vec![computer]),
        ("c", vec![]),
        // A word that is finished is not completed.
        ("comp ", vec![]),
        ("pasword com", vec![password, computer]),
    ] {
        let mut found = ids(&search.suggest(wanted(text)).await.unwrap());
        found.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
    let nowhere = Wanted {
        category: Some(Slug::stored("nowhere".to_owned())),
        ..wanted("computer")
    };
    let refused = search.find(None, nowhere).await.unwrap_err();
    assert_eq!(refused.code(), "category.not_found");
    // Related to one are others that have words of its title.
    let reset = world.published("Reset", "Another password").await;
    let slug = Slug::stored("password-forgotten".to_owned());
    let related = search.related(&slug, PageLimit::DEFAULT).await.unwrap();
    assert_eq!(related.iter().map(|card| card.id).collect::<Vec<_>>(), [reset]);
    let draft = search
        .related(&Slug::stored("passport".to_owned()), PageLimit::DEFAULT)
        .await;
    assert_eq!(draft.unwrap_err().code(), "article.not_found");
}

#[tokio::test]
async fn what_readers_search_for_and_do_not_find_is_counted() {
    let world = World::new().await;
    let _ = world.published("Password", "x").await;
    let search = world.search("");
    for (reader, text) in [
        (None, "password"),
        (None, " PASSWORD "),
        (Some(build::customer(OTHER)), "invoice  copy"),
        (Some(writer()), "invoice copy"),
    ] {
        let _ = search.find(reader.as_ref(), wanted(text)).await.unwrap();
    }
    let _ = search.suggest(wanted("invo")).await.unwrap();
    let today = build::noon().date_naive();
    assert_eq!(search.store_searches().await.unwrap(), 2);
    assert_eq!(search.store_searches().await.unwrap(), 0);
    let report = search.report(&editor(), today, today).await.unwrap();
    assert_eq!((report.searches, report.without_hits), (3, 1));
    assert_eq!(report.most_searched[0].text, "password");
    assert_eq!(report.most_missed[0].text, "invoice copy");
    for actor in [writer(), build::customer(OTHER)] {
        let refused = search.report(&actor, today, today).await.unwrap_err();
        assert_eq!(refused.code(), "access.forbidden");
    }
    let days = chrono::TimeDelta::days;
    for from in [today + days(1), today - days(366)] {
        let refused = search.report(&editor(), from, today).await.unwrap_err();
        assert_eq!(refused.violations()[0].pointer, "/from");
    }
    // While there are searches, nothing waits for long.
    let _ = search.find(None, wanted("late")).await.unwrap();
    world.clock.advance(chrono::TimeDelta::seconds(10));
    let _ = search.find(None, wanted("late")).await.unwrap();
    assert_eq!(search.report(&editor(), today, today).await.unwrap().searches, 5);
    // What grows in small letters is kept no longer than a search may be.
    let _ = search.find(None, wanted(&"İ".repeat(200))).await.unwrap();
    let _ = search.store_searches().await.unwrap();
    let report = search.report(&editor(), today, today).await.unwrap();
    let longest = report
        .most_searched
        .iter()
        .map(|one| one.text.chars().count())
        .max();
    assert_eq!((report.searches, longest), (6, Some(200)));
}

#[tokio::test]
async fn an_article_is_published_once_at_its_time() {
    let world = World::new().await;
    let minutes = |minutes| build::noon() + chrono::TimeDelta::minutes(minutes);
    let at = |at: Patch<_>| ArticleEdit {
        publish_at: at,
        ..ArticleEdit::default()
    };
    let id = world.written("Later").await;
    let settle = async |actor: &Actor, when| world.articles.edit(actor, id, &at(when), Guard::none()).await;
    let refused = settle(&writer(), Patch::Set(minutes(5))).await.unwrap_err();
    assert_eq!(refused.code(), "access.forbidden");
    for bad in [minutes(0), minutes(60 * 24 * 366 + 1)] {
        let refused = settle(&editor(), Patch::Set(bad)).await.unwrap_err();
        assert_eq!(refused.violations()[0].pointer, "/publishAt");
    }
    let settled = settle(&editor(), Patch::Set(minutes(5))).await.unwrap();
    assert_eq!(settled.article.publish_at, Some(minutes(5)));
    // Reviewed meanwhile, it stays settled; written on by one who may not publish, it does not.
    world.take(&writer(), id, Step::Submit).await.unwrap();
    assert_eq!(world.articles.publish_due().await.unwrap(), 0);
    world.clock.advance(chrono::TimeDelta::minutes(5));
    let events = world.article_store.events().len();
    let (one, other) = tokio::join!(world.articles.publish_due(), world.articles.publish_due());
    assert_eq!(one.unwrap() + other.unwrap(), 1);
    assert_eq!(world.article_store.events().len(), events + 1);
    let shown = world.articles.show(&writer(), id).await.unwrap().article;
    assert_eq!(
        (shown.status, shown.published_at, shown.publish_at),
        (ArticleStatus::Published, Some(minutes(5)), None)
    );
    let refused = settle(&editor(), Patch::Set(minutes(50))).await.unwrap_err();
    assert_eq!(refused.code(), "article.transition_not_allowed");

    let own = world.written("Own").await;
    let edit = async |actor: &Actor, edit: ArticleEdit| {
        let shown = world.articles.edit(actor, own, &edit, Guard::none()).await;
        shown.unwrap().article.publish_at
    };
    let text = |content: &str| ArticleEdit {
        content: Some(ArticleContent::stored(content.to_owned())),
        ..ArticleEdit::default()
    };
    assert_eq!(
        edit(&editor(), at(Patch::Set(minutes(9)))).await,
        Some(minutes(9))
    );
    assert_eq!(edit(&editor(), text("checked")).await, Some(minutes(9)));
    assert_eq!(edit(&writer(), text("not checked")).await, None);
    assert_eq!(
        edit(&editor(), at(Patch::Set(minutes(9)))).await,
        Some(minutes(9))
    );
    assert_eq!(edit(&editor(), at(Patch::Clear)).await, None);
    world.clock.advance(chrono::TimeDelta::minutes(10));
    assert_eq!(world.articles.publish_due().await.unwrap(), 0);
}

#[tokio::test]
async fn where_four_eyes_are_asked_for_nobody_publishes_what_they_began() {
    let mut world = World::new().await;
    world.articles = world.articles.with_four_eyes(true);
    let new = world.draft("Own");
    let own = world.articles.create(&editor(), new, &no_receipt).await.unwrap();
    let id = own.article.id;
    assert_eq!(
        world.take(&editor(), id, Step::Publish).await,
        Err("access.forbidden")
    );
    let edit = ArticleEdit {
        publish_at: Patch::Set(build::noon() + chrono::TimeDelta::minutes(1)),
        ..ArticleEdit::default()
    };
    let refused = world.articles.edit(&editor(), id, &edit, Guard::none()).await;
    assert_eq!(refused.unwrap_err().code(), "access.forbidden");
    assert_eq!(
        world
            .take(&build::admin(UserId(Uuid::from_u128(9))), id, Step::Publish)
            .await,
        Ok(ArticleStatus::Published)
    );
}
