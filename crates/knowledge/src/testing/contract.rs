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
    CategoryCommit, CategoryCommitError, CategoryStore, CategoryWrite, Found, SearchStore,
};
use crate::search::{Alternative, Search, SearchReport, Searched, SearchedOften};
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
    (store, search): (&dyn ArticleStore, &dyn SearchStore),
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
    searches(search, &published, &heir).await;
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
    due(store, heir.id).await;
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
async fn searches(search: &dyn SearchStore, published: &Article, heir: &Article) {
    let sought = |text: &str| Search {
        text: SearchText::stored(text.to_owned()),
        alternatives: Vec::new(),
        begun: None,
        language: Language::default(),
        categories: None,
        except: None,
        with_pieces: true,
        limit: PageLimit::DEFAULT,
    };
    let find = async |sought: Search| {
        let hits = search.find(&sought).await.expect("a search");
        hits.into_iter().map(|hit| hit.card.id).collect::<Vec<_>>()
    };
    let within = |categories: Vec<CategoryId>| Search {
        categories: Some(categories),
        ..sought("content")
    };
    let instead = |word: &str, other: &str| Search {
        alternatives: vec![Alternative {
            word: word.to_owned(),
            other: other.to_owned(),
        }],
        ..sought(word)
    };
    let begun = |word: &str| Search {
        begun: Some(word.to_owned()),
        ..sought(word)
    };
    for wanted in [
        sought("content"),
        sought("CONTENT nonsense"),
        within(vec![published.category]),
        instead("contnet", "content"),
        begun("conte"),
    ] {
        assert_eq!(find(wanted.clone()).await, [published.id], "{wanted:?}");
    }
    for wanted in [
        Search {
            language: Language::stored("de".to_owned()),
            ..sought("content")
        },
        within(vec![heir.category]),
        within(Vec::new()),
        // What the one in review says.
        sought("title"),
        sought("nonsense"),
        sought("the"),
        sought("' & | ! ( <-> :* \\"),
        instead("contnet", "title"),
        begun("tit"),
        begun("' & | !"),
        Search {
            except: Some(published.id),
            ..sought("content")
        },
    ] {
        assert!(find(wanted.clone()).await.is_empty(), "{wanted:?}");
    }
    let bare = Search {
        with_pieces: false,
        ..sought("content")
    };
    let hits = search.find(&bare).await.expect("a search");
    assert!(hits[0].pieces.is_empty() && !hits[0].title.is_empty());

    let words = ["content", "contnet", "xylophone"].map(str::to_owned);
    let known = search
        .spellings(&Language::default(), &words, Some("cont"))
        .await
        .expect("spellings");
    assert_eq!(known.like.len(), 3);
    assert!(known.like[0].is_empty(), "{known:?}");
    assert!(known.like[1].contains(&"content".to_owned()), "{known:?}");
    assert!(known.completions.contains(&"content".to_owned()), "{known:?}");
    // No word of what is not published, or of another language.
    let words = ["tittle".to_owned()];
    let hidden = search.spellings(&Language::default(), &words, None).await;
    assert!(!hidden.expect("spellings").like[0].contains(&"title".to_owned()));
    let german = Language::stored("de".to_owned());
    let words = ["contnet".to_owned()];
    let german = search.spellings(&german, &words, Some("cont")).await;
    let german = german.expect("spellings");
    assert_eq!((german.like, german.completions), (vec![Vec::new()], Vec::new()));
    counted(search).await;
}

async fn counted(search: &dyn SearchStore) {
    let today = build::noon().date_naive();
    let yesterday = today - TimeDelta::days(1);
    let searched = |day, text: &str, has_hits| Searched {
        day,
        language: Language::default(),
        text: text.to_owned(),
        has_hits,
    };
    let counts = [
        (searched(yesterday, "often", true), 3),
        (searched(today, "often", true), 4),
        (searched(today, "often", false), 1),
        (searched(today, "missed", false), 2),
    ];
    search.add_searches(&counts).await.expect("counted");
    search.add_searches(&counts[3..]).await.expect("counted");
    let often = |text: &str, searches, without_hits| SearchedOften {
        text: text.to_owned(),
        language: Language::default(),
        searches,
        without_hits,
    };
    let report = search.searches(today, today).await.expect("a report");
    let expected = SearchReport {
        searches: 9,
        without_hits: 5,
        most_searched: vec![often("often", 5, 1), often("missed", 4, 4)],
        most_missed: vec![often("missed", 4, 4), often("often", 5, 1)],
    };
    assert_eq!(report, expected);
    let report = search.searches(yesterday, today).await.expect("a report");
    assert_eq!((report.searches, report.without_hits), (12, 5));
    let before = search.searches(yesterday - TimeDelta::days(9), yesterday - TimeDelta::days(1));
    assert_eq!(before.await.expect("a report"), SearchReport::default());
}

/// Of an article in review.
async fn due(store: &dyn ArticleStore, id: ArticleId) {
    let at = |minutes| build::noon() + TimeDelta::minutes(minutes);
    let settle = async |publish_at, status| {
        let present = store.article(id).await.expect("it").expect("there");
        let settled = Article {
            publish_at,
            status,
            version: present.version.next(),
            ..present.clone()
        };
        let change = ArticleChange::Update {
            expected: present.version,
            article: Box::new(settled.clone()),
            html: None,
            editor: None,
        };
        let commit = ArticleCommit {
            change,
            event: None,
            receipt: None,
        };
        store.commit(commit).await.expect("settled");
        assert_eq!(store.article(id).await.expect("it"), Some(settled));
    };
    let due = async |minutes| store.due(at(minutes), 5).await.expect("the due");
    settle(Some(at(5)), ArticleStatus::Review).await;
    assert_eq!(due(4).await, []);
    assert_eq!(due(5).await, [id]);
    settle(None, ArticleStatus::Review).await;
    assert_eq!(due(5).await, []);
    // What is published already is not to be.
    settle(Some(at(5)), ArticleStatus::Published).await;
    assert_eq!(due(5).await, []);
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
