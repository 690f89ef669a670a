//! What every [`SavedViewStore`] must do, and every [`TicketStore`] that counts for views. Run on the fakes and on the
//! database.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::sync::Arc;

use chrono::Duration;
use events::{TicketPriority, TicketStatus};
use kernel::{
    Answer, EventId, EventReceipt, IdSource, PageLimit, Receipt, RequestKey, RequestReceipt, TicketId,
    UserId, Version,
};
use serde_json::json;

use super::build;
use super::contract::World;
use crate::machine::{ClosedBy, Standing};
use crate::port::{TicketCommit, TicketStore, TicketWrite};
use crate::query::{Maybe, Scope, Sort, TicketFilter, TicketQuery};
use crate::saved_view::port::{SavedViewStore, ViewCommit, ViewCommitError, ViewWrite};
use crate::saved_view::rights::{TeamReach, ViewReach};
use crate::saved_view::{
    SavedView, SavedViewId, VIEW_PLACE_MAX, VIEWS_MAX, ViewFilter, ViewHolder, ViewName, ViewPlace,
};

fn view(ids: &dyn IdSource, holder: ViewHolder, place: i16) -> SavedView {
    let at = build::noon() + Duration::microseconds(3);
    SavedView {
        id: SavedViewId::new(ids),
        name: ViewName::stored("Späte".to_owned()),
        filter: Some(ViewFilter::stored(json!({ "all": [
            { "field": "assignedToId", "operator": "equals", "value": "me" },
            { "field": "updatedAt", "operator": "less_than", "value": "-7d" },
            { "field": "customFields.größe", "operator": "in", "value": [1, 2.5, "\"x\"", true] },
        ] }))),
        sort: Sort::default(),
        place: ViewPlace::stored(place),
        holder,
        created_at: at,
        updated_at: at,
        version: Version::FIRST,
    }
}

fn insertion(view: &SavedView) -> ViewCommit {
    ViewCommit {
        write: ViewWrite::Insert(Box::new(view.clone())),
        receipt: None,
    }
}

async fn insert(store: &dyn SavedViewStore, view: &SavedView) {
    store.commit(insertion(view)).await.unwrap();
}

async fn delete(store: &dyn SavedViewStore, view: &SavedView) {
    let write = ViewWrite::Delete {
        id: view.id,
        expected: view.version,
    };
    store.commit(ViewCommit { write, receipt: None }).await.unwrap();
}

fn update(view: &SavedView, expected: Version, is_moved: bool) -> ViewCommit {
    ViewCommit {
        write: ViewWrite::Update {
            view: Box::new(view.clone()),
            expected,
            is_moved,
        },
        receipt: None,
    }
}

/// Everything that a [`SavedViewStore`] promises, one promise after the other. Shared views are there once for the whole
/// store, which must have none when this begins.
///
/// # Panics
/// When one is broken.
pub async fn saved_view_store(store: Arc<dyn SavedViewStore>, ids: Arc<dyn IdSource>, world: World) {
    let (store, ids) = (store.as_ref(), ids.as_ref());
    a_view_reads_back_as_it_was_written(store, ids, &world).await;
    a_stale_commit_stores_nothing(store, ids, &world).await;
    a_receipt_is_stored_once_and_with_its_effect(store, ids, &world).await;
    the_list_has_what_is_in_reach_in_order_page_by_page(store, ids, &world).await;
    no_holder_gets_more_views_than_the_bound(store, ids, &world).await;
}

async fn a_view_reads_back_as_it_was_written(store: &dyn SavedViewStore, ids: &dyn IdSource, world: &World) {
    let holders = [
        ViewHolder::Person(world.agent),
        ViewHolder::Team(world.team),
        ViewHolder::Desk,
    ];
    for (holder, sort) in holders.into_iter().cycle().zip(Sort::ALL) {
        let mut written = view(ids, holder, VIEW_PLACE_MAX);
        written.sort = sort;
        insert(store, &written).await;
        assert_eq!(store.view(written.id).await.unwrap(), Some(written.clone()));
        // Every member is another afterwards, the holder too.
        written.name = ViewName::stored("x".repeat(100));
        written.filter = None;
        written.sort = Sort::named("createdAt").unwrap();
        written.place = ViewPlace::default();
        written.holder = ViewHolder::Team(world.other_team);
        written.updated_at += Duration::seconds(1);
        written.version = written.version.next();
        store
            .commit(update(&written, Version::FIRST, true))
            .await
            .unwrap();
        assert_eq!(store.view(written.id).await.unwrap(), Some(written.clone()));
        let unknown = SavedViewId::new(ids);
        let found = store.views_by_id(&[unknown, written.id]).await.unwrap();
        assert_eq!(found, [written.clone()]);
        delete(store, &written).await;
        assert_eq!(store.view(written.id).await.unwrap(), None);
    }
}

async fn a_stale_commit_stores_nothing(store: &dyn SavedViewStore, ids: &dyn IdSource, world: &World) {
    let stored = view(ids, ViewHolder::Person(world.agent), 1);
    insert(store, &stored).await;
    let mut other = stored.clone();
    other.name = ViewName::stored("Other".to_owned());
    let (id, expected) = (stored.id, Version(2));
    let receipt = Receipt::Event(EventReceipt {
        subscriber: "s",
        event: EventId::new(ids),
        step: "one",
    });
    for write in [
        update(&other, expected, false).write,
        update(&other, expected, true).write,
        ViewWrite::Keep { id, expected },
        ViewWrite::Delete { id, expected },
    ] {
        let receipt = Some(receipt.clone());
        let refused = store.commit(ViewCommit { write, receipt }).await;
        assert!(matches!(refused, Err(ViewCommitError::Stale)), "{refused:?}");
    }
    assert_eq!(store.view(id).await.unwrap(), Some(stored.clone()));
    // The receipt was not stored either.
    let write = ViewWrite::Delete {
        id,
        expected: stored.version,
    };
    let receipt = Some(receipt);
    store.commit(ViewCommit { write, receipt }).await.unwrap();
}

async fn a_receipt_is_stored_once_and_with_its_effect(
    store: &dyn SavedViewStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let receipt = |key: &str| {
        let key = RequestKey {
            principal: world.agent.0,
            key: format!("{key} {}", world.team),
            route: "POST /views".into(),
            request_sha256: [3; 32],
        };
        let answer = Answer {
            status: 201,
            etag: None,
            location: None,
            body: "{}".into(),
        };
        Some(Receipt::Request(RequestReceipt { key, answer }))
    };
    let stored = view(ids, ViewHolder::Person(world.agent), 1);
    let mut commit = insertion(&stored);
    commit.receipt = receipt("create");
    store.commit(commit).await.unwrap();
    let again = view(ids, ViewHolder::Person(world.agent), 1);
    let mut commit = insertion(&again);
    commit.receipt = receipt("create");
    let refused = store.commit(commit).await;
    assert!(matches!(refused, Err(ViewCommitError::Repeated)), "{refused:?}");
    assert_eq!(store.view(again.id).await.unwrap(), None);

    let (id, expected) = (stored.id, stored.version);
    let keep = ViewCommit {
        write: ViewWrite::Keep { id, expected },
        receipt: receipt("keep"),
    };
    store.commit(keep.clone()).await.unwrap();
    let refused = store.commit(keep).await;
    assert!(matches!(refused, Err(ViewCommitError::Repeated)), "{refused:?}");
    let deletion = ViewCommit {
        write: ViewWrite::Delete { id, expected },
        receipt: receipt("keep"),
    };
    let refused = store.commit(deletion).await;
    assert!(matches!(refused, Err(ViewCommitError::Repeated)), "{refused:?}");
    assert_eq!(store.view(id).await.unwrap(), Some(stored.clone()));
    delete(store, &stored).await;
}

async fn the_list_has_what_is_in_reach_in_order_page_by_page(
    store: &dyn SavedViewStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let mut views = Vec::new();
    for place in [2, 0, 1, 1] {
        for holder in [
            ViewHolder::Desk,
            ViewHolder::Team(world.other_team),
            ViewHolder::Team(world.team),
            ViewHolder::Person(world.stranger),
            ViewHolder::Person(world.agent),
        ] {
            let one = view(ids, holder, place);
            insert(store, &one).await;
            views.push(one);
        }
    }
    let person = Some(world.agent);
    let these = |teams: &[kernel::TeamId]| TeamReach::These(teams.to_vec());
    for (person, teams, expected_len) in [
        (person, these(&[]), 8),
        (person, these(&[world.team]), 12),
        (person, these(&[world.team, world.other_team]), 16),
        (person, TeamReach::All, 16),
        (None, TeamReach::All, 12),
        (Some(UserId(ids.next())), these(&[kernel::TeamId(ids.next())]), 4),
    ] {
        let reach = ViewReach { person, teams };
        let mut expected: Vec<_> = views.iter().filter(|view| reach.contains(view.holder)).collect();
        expected.sort_by_key(|view| view.position());
        assert_eq!(expected.len(), expected_len, "{reach:?}");
        for rows in [1, 3, 4, 100] {
            let limit = PageLimit::new(rows).unwrap();
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = store.views(&reach, after, limit).await.unwrap();
                assert!(page.items.len() <= usize::from(rows));
                found.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{reach:?} by {rows}");
        }
    }
    for one in &views {
        delete(store, one).await;
    }
}

async fn no_holder_gets_more_views_than_the_bound(
    store: &dyn SavedViewStore,
    ids: &dyn IdSource,
    world: &World,
) {
    let elsewhere = view(ids, ViewHolder::Person(world.stranger), 0);
    insert(store, &elsewhere).await;
    for holder in [
        ViewHolder::Person(world.agent),
        ViewHolder::Team(world.team),
        ViewHolder::Desk,
    ] {
        let mut views = Vec::new();
        for _ in 0..VIEWS_MAX {
            let one = view(ids, holder, 0);
            insert(store, &one).await;
            views.push(one);
        }
        let refused = store.commit(insertion(&view(ids, holder, 0))).await;
        assert!(matches!(refused, Err(ViewCommitError::TooMany)), "{refused:?}");
        let mut moved = elsewhere.clone();
        moved.holder = holder;
        moved.version = moved.version.next();
        let refused = store.commit(update(&moved, elsewhere.version, true)).await;
        assert!(matches!(refused, Err(ViewCommitError::TooMany)), "{refused:?}");
        assert_eq!(store.view(elsewhere.id).await.unwrap(), Some(elsewhere.clone()));
        // What is there can still be changed, and what goes makes room.
        let mut renamed = views.pop().unwrap();
        renamed.name = ViewName::stored("New".to_owned());
        renamed.version = renamed.version.next();
        store
            .commit(update(&renamed, Version::FIRST, false))
            .await
            .unwrap();
        delete(store, &renamed).await;
        let last = view(ids, holder, 0);
        insert(store, &last).await;
        views.push(last);
        for one in &views {
            delete(store, one).await;
        }
    }
    delete(store, &elsewhere).await;
}

/// [`TicketStore::count_each`]: each count is the length of the list, up to where it stops.
///
/// # Panics
/// When it is not.
pub async fn ticket_counts(store: Arc<dyn TicketStore>, ids: Arc<dyn IdSource>, world: World) {
    let (store, ids) = (store.as_ref(), ids.as_ref());
    let teams = [None, Some(world.team), Some(world.other_team)];
    let assignees = [None, Some(world.agent)];
    for index in 0..36_usize {
        let number = store.next_number().await.unwrap();
        let mut ticket = build::ticket()
            .identified(TicketId::new(ids), number)
            .requested_by(if index % 5 == 0 {
                world.agent
            } else {
                world.customer
            })
            .build();
        ticket.team = teams[index % 3];
        ticket.assignee = assignees[index / 3 % 2];
        let at = ticket.created_at;
        if index % 4 == 0 {
            ticket.standing = Standing::Closed {
                resolved_at: at,
                at,
                by: ClosedBy::Person,
            };
        }
        if index % 7 == 0 {
            ticket.priority = TicketPriority::Urgent;
        }
        ticket.deleted_at = (index % 9 == 8).then_some(at);
        let commit = TicketCommit {
            ticket: TicketWrite::Insert(Box::new(ticket)),
            messages: vec![],
            edited_messages: vec![],
            removed_attachments: vec![],
            notes: vec![],
            activities: vec![],
            events: vec![],
            receipt: None,
            item: None,
            assigns: None,
            clocks: None,
        };
        store.commit(commit).await.unwrap();
    }
    let all = TicketFilter::default;
    let filters = [
        all(),
        TicketFilter {
            status: vec![TicketStatus::Open],
            ..all()
        },
        TicketFilter {
            priority: vec![TicketPriority::Urgent],
            ..all()
        },
        TicketFilter {
            assignee: Some(Maybe::Is(world.agent)),
            ..all()
        },
        TicketFilter {
            assignee: Some(Maybe::Nothing),
            ..all()
        },
        TicketFilter {
            team: Some(Maybe::Nothing),
            ..all()
        },
        TicketFilter {
            team: Some(Maybe::Is(world.team)),
            ..all()
        },
        TicketFilter {
            team: Some(Maybe::Is(world.other_team)),
            ..all()
        },
        TicketFilter {
            tags: vec!["nobody has it".to_owned()],
            ..all()
        },
    ];
    let work = |teams: &[kernel::TeamId]| Scope::WorkOf {
        agent: world.agent,
        teams: teams.to_vec(),
    };
    let scopes = [
        Scope::Desk,
        work(&[]),
        work(&[world.team]),
        work(&[world.team, world.other_team]),
        Scope::Customer(world.customer),
    ];
    let mut most = 0;
    for scope in scopes {
        let mut lengths = Vec::new();
        for filter in &filters {
            let query = TicketQuery {
                filter: filter.clone(),
                limit: PageLimit::new(PageLimit::MAX).unwrap(),
                ..TicketQuery::default()
            };
            let page = store.list(&scope, &query).await.unwrap();
            assert!(page.next.is_none(), "the whole list is one page");
            lengths.push(i64::try_from(page.items.len()).unwrap());
        }
        for rows_max in [1, 5, 1_001] {
            let expected: Vec<_> = lengths.iter().map(|length| *length.min(&rows_max)).collect();
            let counts = store.count_each(&scope, &filters, rows_max).await.unwrap();
            assert_eq!(counts, expected, "{scope:?} up to {rows_max}");
        }
        let one = store.count_each(&scope, &filters[1..2], 1_001).await.unwrap();
        assert_eq!(one, lengths[1..2]);
        assert_eq!(store.count_each(&scope, &[], 1_001).await.unwrap(), [0_i64; 0]);
        most = most.max(lengths[0]);
    }
    assert!(most >= 30, "most tickets are in some scope, and {most} were");
}
