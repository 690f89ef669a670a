//! What every store of the knowledge base must do.

#![expect(clippy::expect_used, reason = "a store that does otherwise fails the suite")]

use chrono::TimeDelta;
use events::{Event, Fact, KnowledgeFact};
use kernel::{EventReceipt, IdSource, PageLimit, Patch, Receipt, SystemActor, UserId, Version};

use super::build;
use crate::article::{Article, ArticleId, ArticleStatus, Feedback};
use crate::category::{Category, CategoryId};
use crate::port::{
    ArticleChange, ArticleCommit, ArticleCommitError, ArticleFilter, ArticleOrder, ArticleStore,
    CategoryCommit, CategoryCommitError, CategoryStore, CategoryWrite, Found, Search,
};
use crate::slug::Slug;
use crate::value::{CategoryName, Description, Icon, Language, Place, SearchText};

fn event(ids: &dyn IdSource) -> Event {
    let fact = KnowledgeFact::CategoryChanged {
        category: ids.next(),
        name: "n".to_owned(),
        change: "changed".to_owned(),
    };
    let actor = kernel::Actor::System(SystemActor::Import);
    Event::new(ids, build::noon(), &actor, Fact::Knowledge(fact))
}

fn receipt(ids: &dyn IdSource) -> Receipt {
    Receipt::Event(EventReceipt {
        subscriber: "contract",
        event: kernel::EventId(ids.next()),
        step: "x",
    })
}

/// The contract of [`CategoryStore`], on an empty one.
///
/// # Panics
/// Where the store does otherwise.
pub async fn contract_categories(store: &dyn CategoryStore, ids: &dyn IdSource) {
    let read = async || store.tree().await.expect("the tree");
    let commit = async |revision, write, receipt| {
        let event = event(ids);
        let commit = CategoryCommit {
            revision,
            write,
            event,
            receipt,
        };
        store.commit(commit).await
    };
    let (empty, revision) = read().await;
    assert!(empty.as_slice().is_empty());

    let top = build::category(CategoryId(ids.next()));
    let below = Category {
        parent: Some(top.id),
        description: Some(Description::stored("What it is".to_owned())),
        icon: Some(Icon::stored("book".to_owned())),
        place: Place::stored(7),
        ..build::category(CategoryId(ids.next()))
    };
    let once = receipt(ids);
    commit(revision, CategoryWrite::Insert(top.clone()), Some(once.clone()))
        .await
        .expect("the first");
    // What was decided on a tree that is no more is not stored.
    let stale = commit(revision, CategoryWrite::Insert(below.clone()), None).await;
    assert!(matches!(stale, Err(CategoryCommitError::Stale)), "{stale:?}");
    let (_, revision) = read().await;
    let again = commit(revision, CategoryWrite::Insert(below.clone()), Some(once)).await;
    assert!(matches!(again, Err(CategoryCommitError::Repeated)), "{again:?}");
    let (tree, same) = read().await;
    assert_eq!((tree.as_slice(), same), (&[top.clone()][..], revision));
    commit(revision, CategoryWrite::Insert(below.clone()), None)
        .await
        .expect("the second");
    let (tree, revision) = read().await;
    assert_eq!(tree.as_slice(), [top.clone(), below.clone()]);

    let moved = Category {
        name: CategoryName::stored("Other".to_owned()),
        slug: Slug::stored("other".to_owned()),
        description: Patch::Clear.apply(below.description.clone()),
        parent: None,
        icon: None,
        place: Place::stored(0),
        updated_at: below.updated_at + TimeDelta::seconds(1),
        version: below.version.next(),
        ..below
    };
    commit(revision, CategoryWrite::Update(moved.clone()), None)
        .await
        .expect("a change");
    let (tree, revision) = read().await;
    assert_eq!(tree.get(moved.id), Some(&moved));
    commit(revision, CategoryWrite::Delete(top.id), None)
        .await
        .expect("a deletion");
    let (tree, _) = read().await;
    assert_eq!(tree.as_slice(), [moved]);
}

/// The contract of [`ArticleStore`], on an empty one in which there are these two categories and people.
///
/// # Panics
/// Where the store does otherwise.
pub async fn contract_articles(
    store: &dyn ArticleStore,
    ids: &dyn IdSource,
    categories: [CategoryId; 2],
    people: [UserId; 2],
) {
    let commit = async |change| {
        let commit = ArticleCommit {
            change,
            event: Some(event(ids)),
            receipt: None,
        };
        store.commit(commit).await
    };
    let insert = |article: &Article| ArticleChange::Insert {
        article: Box::new(article.clone()),
        html: "<p>Content</p>".to_owned(),
        editor: Some(article.author),
    };
    let update = |article: &Article, expected: Version, html: Option<&str>| ArticleChange::Update {
        article: Box::new(article.clone()),
        expected,
        html: html.map(str::to_owned),
        editor: Some(people[1]),
    };
    let first = Article {
        category: categories[0],
        author: people[0],
        ..build::article(ArticleId(ids.next()))
    };
    assert_eq!(store.article(first.id).await.expect("none"), None);
    commit(insert(&first)).await.expect("the first");
    assert_eq!(store.article(first.id).await.expect("one"), Some(first.clone()));

    // Slugs are one article's each, and categories must be there.
    let twin = Article {
        id: ArticleId(ids.next()),
        ..first.clone()
    };
    let taken = commit(insert(&twin)).await;
    assert!(matches!(taken, Err(ArticleCommitError::SlugTaken)), "{taken:?}");
    let nowhere = Article {
        slug: Slug::stored("nowhere".to_owned()),
        category: CategoryId(ids.next()),
        ..twin.clone()
    };
    let nowhere = commit(insert(&nowhere)).await;
    assert!(
        matches!(nowhere, Err(ArticleCommitError::NoCategory)),
        "{nowhere:?}"
    );

    // A change of the text leaves a version; a step leaves none. The old slug leads to the new one, once it is published.
    let later = |article: &Article| Article {
        updated_at: article.updated_at + TimeDelta::seconds(1),
        version: article.version.next(),
        ..article.clone()
    };
    let rewritten = Article {
        text: build::text("Other", "Other content"),
        slug: Slug::stored("other".to_owned()),
        text_number: 2,
        ..later(&first)
    };
    commit(update(&rewritten, first.version, Some("<p>Other</p>")))
        .await
        .expect("another text");
    let stale = commit(update(&rewritten, first.version, None)).await;
    assert!(matches!(stale, Err(ArticleCommitError::Stale)), "{stale:?}");
    assert_eq!(store.published(&first.slug).await.expect("hidden"), None);
    let published = Article {
        status: ArticleStatus::Published,
        published_at: Some(build::noon()),
        ..later(&rewritten)
    };
    commit(update(&published, rewritten.version, None))
        .await
        .expect("a step");
    let found = store.published(&published.slug).await.expect("there");
    assert_eq!(found, Some(Found::Article(Box::new(published.clone()))));
    let moved = store.published(&first.slug).await.expect("moved");
    assert_eq!(moved, Some(Found::Moved(published.slug.clone())));
    let page = store
        .versions(first.id, None, PageLimit::DEFAULT)
        .await
        .expect("versions");
    let numbers: Vec<_> = page
        .items
        .iter()
        .map(|version| (version.number, version.editor))
        .collect();
    assert_eq!(numbers, [(2, Some(people[1])), (1, Some(people[0]))]);
    let one = PageLimit::new(1).expect("a limit");
    let page = store.versions(first.id, Some(2), one).await.expect("versions");
    assert_eq!((page.items.len(), page.next), (1, None));
    let text = store.text(first.id, 1).await.expect("a text").expect("the first");
    assert_eq!(text.text, first.text);
    assert_eq!(store.text(first.id, 3).await.expect("none"), None);

    // One who takes a slug that another once had, has it.
    let heir = Article {
        id: ArticleId(ids.next()),
        category: categories[1],
        author: people[1],
        status: ArticleStatus::Review,
        updated_at: first.updated_at + TimeDelta::seconds(9),
        ..first.clone()
    };
    commit(insert(&heir)).await.expect("the heir");
    assert_eq!(store.published(&first.slug).await.expect("not published"), None);

    lists(store, &published, &heir, people).await;
    searches(store, &published, &heir).await;
    votes(store, &published, people).await;

    let deleted = ArticleChange::Delete {
        id: published.id,
        expected: published.version,
    };
    commit(deleted).await.expect("a deletion");
    assert_eq!(store.article(published.id).await.expect("none"), None);
    let none = store
        .versions(published.id, None, PageLimit::DEFAULT)
        .await
        .expect("none");
    assert!(none.items.is_empty());
    let gone = ArticleChange::Keep {
        id: published.id,
        expected: published.version,
    };
    let gone = commit(gone).await;
    assert!(matches!(gone, Err(ArticleCommitError::Stale)), "{gone:?}");
}

async fn lists(store: &dyn ArticleStore, published: &Article, heir: &Article, people: [UserId; 2]) {
    let listed = async |filter: ArticleFilter, order| {
        let page = store.articles(&filter, order, None, PageLimit::DEFAULT).await;
        let page = page.expect("a list");
        page.items.into_iter().map(|card| card.id).collect::<Vec<_>>()
    };
    let all = ArticleFilter::default;
    assert_eq!(
        listed(all(), ArticleOrder::Changed).await,
        [heir.id, published.id]
    );
    for (filter, expected) in [
        (
            ArticleFilter {
                status: Some(ArticleStatus::Published),
                ..all()
            },
            vec![published.id],
        ),
        (
            ArticleFilter {
                categories: Some(vec![heir.category]),
                ..all()
            },
            vec![heir.id],
        ),
        (
            ArticleFilter {
                categories: Some(Vec::new()),
                ..all()
            },
            vec![],
        ),
        (
            ArticleFilter {
                author: Some(people[0]),
                ..all()
            },
            vec![published.id],
        ),
        (
            ArticleFilter {
                seen_by: Some(people[0]),
                ..all()
            },
            vec![heir.id, published.id],
        ),
        (
            ArticleFilter {
                status: Some(ArticleStatus::Draft),
                seen_by: Some(people[0]),
                ..all()
            },
            vec![],
        ),
    ] {
        assert_eq!(
            listed(filter.clone(), ArticleOrder::Changed).await,
            expected,
            "{filter:?}"
        );
    }
    let filter = ArticleFilter {
        status: Some(ArticleStatus::Published),
        ..all()
    };
    assert_eq!(listed(filter, ArticleOrder::Published).await, [published.id]);
    // Page by page.
    let one = PageLimit::new(1).expect("a limit");
    let mut after = None;
    for expected in [heir.id, published.id] {
        let page = store
            .articles(&all(), ArticleOrder::Changed, after, one)
            .await
            .expect("a page");
        assert_eq!(page.items[0].id, expected);
        after = page.next;
    }
    assert_eq!(after, None);
}

/// Of two articles, `published` says "content" in its text, and so does `heir`, in review and titled "Title".
async fn searches(store: &dyn ArticleStore, published: &Article, heir: &Article) {
    let find = async |text: &str, language: &str, categories: Option<Vec<CategoryId>>| {
        let search = Search {
            text: SearchText::stored(text.to_owned()),
            language: Language::stored(language.to_owned()),
            categories,
            limit: PageLimit::DEFAULT,
        };
        let hits = store.find(&search).await.expect("a search");
        hits.into_iter().map(|hit| hit.card.id).collect::<Vec<_>>()
    };
    assert_eq!(find("content", "en", None).await, [published.id]);
    assert_eq!(find("CONTENT nonsense", "en", None).await, [published.id]);
    assert_eq!(
        find("content", "en", Some(vec![published.category])).await,
        [published.id]
    );
    for (text, language, categories) in [
        ("content", "de", None),
        ("content", "en", Some(vec![heir.category])),
        ("content", "en", Some(Vec::new())),
        // What the one in review says.
        ("title", "en", None),
        ("nonsense", "en", None),
        ("the", "en", None),
        ("' & | ! ( <-> :* \\", "en", None),
    ] {
        assert!(
            find(text, language, categories).await.is_empty(),
            "{text} {language}"
        );
    }
}

async fn votes(store: &dyn ArticleStore, article: &Article, [one, other]: [UserId; 2]) {
    let vote = async |voter, is_helpful| store.vote(article.id, voter, is_helpful).await.expect("a vote");
    let feedback = |helpful, not_helpful| {
        Some(Feedback {
            views: 0,
            helpful,
            not_helpful,
        })
    };
    assert_eq!(vote(one, Some(true)).await, feedback(1, 0));
    assert_eq!(vote(one, Some(true)).await, feedback(1, 0));
    assert_eq!(vote(other, Some(false)).await, feedback(1, 1));
    assert_eq!(vote(one, Some(false)).await, feedback(0, 2));
    assert_eq!(vote(one, None).await, feedback(0, 1));
    assert_eq!(vote(one, None).await, feedback(0, 1));
    let nobody = ArticleId(kernel::id::Uuid::from_u128(0xdead));
    assert_eq!(store.vote(nobody, one, Some(true)).await.expect("none"), None);
    store
        .add_views(&[(article.id, 3), (nobody, 5)])
        .await
        .expect("views");
    let shown = store.article(article.id).await.expect("it").expect("there");
    // Neither votes nor views change it otherwise.
    let expected = Feedback {
        views: 3,
        helpful: 0,
        not_helpful: 1,
    };
    assert_eq!(
        shown,
        Article {
            feedback: expected,
            ..article.clone()
        }
    );
}
