//! The knowledge base on a real database.

use std::sync::Arc;

use futures_util::future::join_all;
use kernel::receipt::no_receipt;
use kernel::{
    Actor, Guard, IdSource as _, ManualClock, PageLimit, Patch, Position, SequentialIds, UserId, Version,
};
use knowledge::testing::{build, contract_articles, contract_categories};
use knowledge::{
    Article, ArticleChange, ArticleCommit, ArticleFilter, ArticleId, ArticleOrder, ArticleStatus,
    ArticleStore, Categories, CategoryEdit, CategoryId, CategoryName, CategoryStore as _, Found, NewCategory,
    Place, Slug,
};
use uuid::Uuid;

use super::articles::page;
use super::{PgArticleSearch, PgArticles, PgCategories};
use crate::sql::Sql;
use crate::testing::TestDatabase;
use crate::testing::own::test_database;
use crate::ticketing::PlanRow;

async fn people(test: &TestDatabase, ids: &SequentialIds, many: usize) -> Vec<UserId> {
    let mut people = Vec::new();
    for _ in 0..many {
        let id = ids.next();
        let row = format!(
            "INSERT INTO users (id, email, name, password_hash, updated_at) VALUES ('{id}', '{id}@example.org', 'P', 'x', now())"
        );
        test.batch(&row).await;
        people.push(UserId(id));
    }
    people
}

async fn category(test: &TestDatabase, ids: &SequentialIds) -> CategoryId {
    let id = ids.next();
    let row = format!("INSERT INTO kb_categories (id, name, slug) VALUES ('{id}', 'C', 'c-{id}')");
    test.batch(&row).await;
    CategoryId(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_keep_their_contracts() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    contract_categories(&PgCategories::new(test.database().clone()), &ids).await;
    let categories = [category(&test, &ids).await, category(&test, &ids).await];
    let people = people(&test, &ids, 2).await;
    let store = PgArticles::new(test.database().clone());
    let search = PgArticleSearch::new(test.database().clone());
    contract_articles((&store, &search), &ids, categories, [people[0], people[1]]).await;
}

async fn published(test: &TestDatabase, ids: &SequentialIds) -> (PgArticles, Article) {
    let store = PgArticles::new(test.database().clone());
    let article = Article {
        category: category(test, ids).await,
        author: people(test, ids, 1).await[0],
        status: ArticleStatus::Published,
        published_at: Some(build::noon()),
        ..build::article(ArticleId(ids.next()))
    };
    let commit = ArticleCommit {
        change: ArticleChange::Insert {
            article: Box::new(article.clone()),
            html: "<p>x</p>".to_owned(),
            editor: None,
        },
        event: None,
        receipt: None,
    };
    store.commit(commit).await.unwrap();
    (store, article)
}

/// Programs that know the contract alone write texts and slugs, too: versions, redirects and versions of rows come of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_leaves_its_versions_and_old_slugs() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let (store, article) = published(&test, &ids).await;
    let id = article.id;
    let write =
        format!("UPDATE kb_articles SET content = 'other', slug = 'other', excerpt = NULL WHERE id = '{id}'");
    test.batch(&write).await;
    let changed = store.article(id).await.unwrap().unwrap();
    assert_eq!((changed.text_number, changed.version), (2, Version(2)));
    assert!(changed.updated_at > article.updated_at);
    assert_eq!(changed.text.excerpt.as_str(), "other");
    let versions = store.versions(id, None, PageLimit::DEFAULT).await.unwrap();
    let texts: Vec<_> = versions
        .items
        .iter()
        .map(|one| one.text.content.as_str())
        .collect();
    assert_eq!(texts, ["other", "Content"]);
    let moved = store.published(&article.slug).await.unwrap();
    assert_eq!(moved, Some(Found::Moved(Slug::stored("other".to_owned()))));
    // And back: the slug is its own again.
    let back = format!(
        "UPDATE kb_articles SET slug = '{}' WHERE id = '{id}'",
        article.slug.as_str()
    );
    test.batch(&back).await;
    assert!(matches!(
        store.published(&article.slug).await.unwrap(),
        Some(Found::Article(_))
    ));
    // What readers do is no change.
    let read = format!("UPDATE kb_articles SET views = views + 1, helpful_count = 3 WHERE id = '{id}'");
    let before = store.article(id).await.unwrap().unwrap();
    test.batch(&read).await;
    let after = store.article(id).await.unwrap().unwrap();
    assert_eq!(
        (after.version, after.updated_at),
        (before.version, before.updated_at)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_voices_of_one_reader_are_one_and_of_many_each_counts() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let (store, article) = published(&test, &ids).await;
    let readers = people(&test, &ids, 20).await;
    for _ in 0..20 {
        let votes = (0..50).map(|number| store.vote(article.id, readers[0], Some(number % 3 != 0)));
        join_all(votes)
            .await
            .into_iter()
            .for_each(|vote| assert!(vote.unwrap().is_some()));
    }
    let said = store
        .vote(article.id, readers[0], Some(true))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((said.helpful, said.not_helpful), (1, 0));
    let votes = readers
        .iter()
        .map(|reader| store.vote(article.id, *reader, Some(true)));
    join_all(votes)
        .await
        .into_iter()
        .for_each(|vote| assert!(vote.unwrap().is_some()));
    let shown = store.article(article.id).await.unwrap().unwrap();
    assert_eq!((shown.feedback.helpful, shown.feedback.not_helpful), (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn views_of_many_nodes_are_all_counted() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let mut articles = Vec::new();
    for _ in 0..5 {
        articles.push(published(&test, &ids).await.1.id);
    }
    let store = PgArticles::new(test.database().clone());
    let rounds = (0..20).map(|round| {
        let mut views: Vec<_> = articles.iter().map(|article| (*article, 1)).collect();
        if round % 2 == 0 {
            views.reverse();
        }
        let store = store.clone();
        async move { store.add_views(&views).await.unwrap() }
    });
    join_all(rounds).await;
    for article in articles {
        assert_eq!(store.article(article).await.unwrap().unwrap().feedback.views, 20);
    }
}

/// Of two categories that are put into each other at once, one is refused: also a thousand times.
#[tokio::test(flavor = "multi_thread")]
async fn no_race_makes_a_circle_of_categories() {
    let test = test_database().await;
    let ids = Arc::new(SequentialIds::default());
    let store = Arc::new(PgCategories::new(test.database().clone()));
    let clock = Arc::new(ManualClock::at(build::noon()));
    let categories = Categories::new(store.clone(), clock, ids);
    let admin: Actor = build::admin(UserId(Uuid::from_u128(1)));
    let make = |name: &str| NewCategory {
        name: CategoryName::stored(name.to_owned()),
        slug: None,
        description: None,
        parent: None,
        icon: None,
        place: Place::default(),
    };
    let one = categories
        .create(&admin, make("One"), &no_receipt)
        .await
        .unwrap()
        .id;
    let two = categories
        .create(&admin, make("Two"), &no_receipt)
        .await
        .unwrap()
        .id;
    let into = |parent: Patch<CategoryId>| CategoryEdit {
        parent,
        ..CategoryEdit::default()
    };
    let mut refused = 0;
    for _ in 0..500 {
        let (first, second) = (into(Patch::Set(two)), into(Patch::Set(one)));
        let (first, second) = tokio::join!(
            categories.change(&admin, one, &first, Guard::none()),
            categories.change(&admin, two, &second, Guard::none()),
        );
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        refused += 1;
        let (tree, _) = store.tree().await.unwrap();
        assert_eq!(
            tree.as_slice()
                .iter()
                .filter(|category| category.parent.is_none())
                .count(),
            1
        );
        for id in [one, two] {
            let _ = categories
                .change(&admin, id, &into(Patch::Clear), Guard::none())
                .await
                .unwrap();
        }
    }
    assert_eq!(refused, 500);
    // One that another program slips in between is seen.
    let (_, before) = store.tree().await.unwrap();
    test.batch("INSERT INTO kb_categories (name, slug) VALUES ('Other', 'other')")
        .await;
    let (tree, after) = store.tree().await.unwrap();
    assert!(after != before && tree.as_slice().len() == 3);
}

/// Every list walks an index in its order.
#[tokio::test(flavor = "multi_thread")]
async fn lists_walk_indexes() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let author = people(&test, &ids, 1).await[0];
    let some = category(&test, &ids).await;
    let fill = format!(
        "INSERT INTO kb_categories (id, name, slug) SELECT md5('c' || n)::uuid, 'C', 'c' || n FROM generate_series(0, 99) n; \
         INSERT INTO kb_articles (title, slug, content, category_id, author_id, status, published_at, created_at, updated_at) \
           SELECT 't', 's' || n, 'c', CASE WHEN n % 50 = 0 THEN '{some}'::uuid ELSE md5('c' || n % 100)::uuid END, '{author}', \
             CASE WHEN n % 10 = 0 THEN 'draft' ELSE 'published' END::\"ArticleStatus\", now() - n * interval '1 minute', \
             now() - n * interval '1 minute', now() - n * interval '1 minute' FROM generate_series(1, 20000) n; \
         ANALYZE",
    );
    test.batch(&fill).await;
    let published = ArticleFilter {
        status: Some(ArticleStatus::Published),
        ..ArticleFilter::default()
    };
    let place = Position {
        at: build::noon(),
        id: ids.next(),
    };
    for (filter, order) in [
        (published.clone(), ArticleOrder::Published),
        (
            ArticleFilter {
                categories: Some(vec![some]),
                ..published.clone()
            },
            ArticleOrder::Published,
        ),
        (published, ArticleOrder::Changed),
        (ArticleFilter::default(), ArticleOrder::Changed),
        (
            ArticleFilter {
                status: Some(ArticleStatus::Draft),
                ..ArticleFilter::default()
            },
            ArticleOrder::Changed,
        ),
        (
            ArticleFilter {
                author: Some(author),
                ..ArticleFilter::default()
            },
            ArticleOrder::Changed,
        ),
        (
            ArticleFilter {
                seen_by: Some(author),
                ..ArticleFilter::default()
            },
            ArticleOrder::Changed,
        ),
    ] {
        for after in [None, Some(place)] {
            let sql =
                Sql::new("EXPLAIN (FORMAT JSON) ").append(page(&filter, order, after, PageLimit::DEFAULT));
            let explained = test
                .database()
                .run(async |connection| {
                    diesel_async::RunQueryDsl::get_result::<PlanRow>(sql.clone(), connection).await
                })
                .await
                .unwrap();
            let plan = explained.plan.to_string();
            assert!(!plan.contains("Seq Scan"), "{filter:?} {order:?}: {plan}");
        }
    }
}
