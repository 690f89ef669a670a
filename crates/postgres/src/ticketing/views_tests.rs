//! Saved views, and the counts of what is seen through them, on a real database.

use std::sync::Arc;

use diesel_async::RunQueryDsl as _;
use kernel::filter::{Circumstances, Condition, Literal};
use kernel::{IdSource as _, PageLimit, SequentialIds, TeamId, Version};
use serde_json::{Value, json};
use ticketing::testing::build;
use ticketing::testing::contract_views::{saved_view_store, ticket_counts};
use ticketing::{
    Audience, Maybe, SavedView, SavedViewId, SavedViewStore as _, Scope, Sort, TeamReach, TicketFields,
    TicketFilter, TicketStatus, TicketStore as _, VIEWS_MAX, ViewCommit, ViewCommitError, ViewHolder,
    ViewName, ViewPlace, ViewPosition, ViewReach, ViewVisibility, ViewWrite,
};

use super::tests::{fill, nodes, world};
use super::{PgTickets, PgViews, counts, list, views};
use crate::sql::Sql;
use crate::testing::TestDatabase;
use crate::testing::own::test_database;

#[tokio::test(flavor = "multi_thread")]
async fn the_views_keep_their_contract() {
    let test = test_database().await;
    let ids = Arc::new(SequentialIds::default());
    let world = world(&test, &ids).await;
    saved_view_store(Arc::new(PgViews::new(test.database().clone())), ids, world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_keep_their_contract() {
    let test = test_database().await;
    let ids = Arc::new(SequentialIds::default());
    let world = world(&test, &ids).await;
    ticket_counts(Arc::new(PgTickets::new(test.database().clone())), ids, world).await;
}

fn view(ids: &SequentialIds, holder: ViewHolder) -> SavedView {
    SavedView {
        id: SavedViewId::new(ids),
        name: ViewName::stored("View".to_owned()),
        filter: None,
        sort: Sort::default(),
        place: ViewPlace::default(),
        holder,
        created_at: build::noon(),
        updated_at: build::noon(),
        version: Version::FIRST,
    }
}

async fn insert(store: &PgViews, view: &SavedView) -> Result<(), ViewCommitError> {
    let write = ViewWrite::Insert(Box::new(view.clone()));
    store.commit(ViewCommit { write, receipt: None }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn views_go_with_their_team_and_their_owner() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let world = world(&test, &ids).await;
    let store = PgViews::new(test.database().clone());
    let own = view(&ids, ViewHolder::Person(world.agent));
    let of_team = view(&ids, ViewHolder::Team(world.team));
    let shared = view(&ids, ViewHolder::Desk);
    for one in [&own, &of_team, &shared] {
        insert(&store, one).await.unwrap();
    }
    test.batch(&format!(
        "DELETE FROM teams WHERE id = '{}'; DELETE FROM users WHERE id = '{}'",
        world.team, world.agent
    ))
    .await;
    for (one, is_left) in [(&own, false), (&of_team, false), (&shared, true)] {
        assert_eq!(store.view(one.id).await.unwrap().is_some(), is_left, "{one:?}");
    }
    let nowhere = insert(&store, &view(&ids, ViewHolder::Team(TeamId(ids.next())))).await;
    assert!(matches!(nowhere, Err(ViewCommitError::NoTeam)), "{nowhere:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_holds_for_many_who_add_at_once() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let store = PgViews::new(test.database().clone());
    let left = 3;
    for _ in 0..VIEWS_MAX - left {
        insert(&store, &view(&ids, ViewHolder::Desk)).await.unwrap();
    }
    let views: Vec<_> = (0..10).map(|_| view(&ids, ViewHolder::Desk)).collect();
    let added = futures_util::future::join_all(views.iter().map(|one| insert(&store, one))).await;
    let stored = added.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(i64::try_from(stored).unwrap(), left);
    let refused =
        |outcome: &Result<(), ViewCommitError>| matches!(outcome, Ok(()) | Err(ViewCommitError::TooMany));
    assert!(added.iter().all(refused), "{added:?}");
}

async fn plan(test: &TestDatabase, sql: Sql) -> Value {
    let sql = Sql::new("EXPLAIN (FORMAT JSON) ").append(sql);
    let explained = test
        .database()
        .run(async |connection| sql.clone().get_result::<list::PlanRow>(connection).await)
        .await;
    explained.unwrap().plan.pointer("/0/Plan").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_views_walks_indexes() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let world = world(&test, &ids).await;
    test.batch(
        "INSERT INTO users (id, email, name, password_hash, role) SELECT gen_random_uuid(), n || '@example.net', 'P', '', \
           'agent' FROM generate_series(1, 300) n; \
         INSERT INTO ticket_views (id, name, sort, position, owner_id) SELECT gen_random_uuid(), 'V', '-updatedAt', n, u.id \
           FROM users u, generate_series(1, 60) n; ANALYZE ticket_views",
    )
    .await;
    let after = ViewPosition {
        visibility: ViewVisibility::Team,
        place: ViewPlace::stored(7),
        id: SavedViewId::new(&ids),
    };
    for teams in [
        TeamReach::All,
        TeamReach::These(vec![world.team, world.other_team]),
    ] {
        for after in [None, Some(after)] {
            let person = Some(world.agent);
            let reach = ViewReach {
                person,
                teams: teams.clone(),
            };
            let plan = plan(&test, views::page(&reach, after, PageLimit::default())).await;
            for node in nodes(&plan) {
                assert_ne!(node["Node Type"], "Seq Scan", "{reach:?}: {plan:#}");
            }
        }
    }
}

fn condition(json: &Value) -> TicketFilter {
    let read = Condition::<_, Literal>::read(json, "", &TicketFields(Audience::Staff)).unwrap();
    let circumstances = Circumstances {
        now: build::noon(),
        me: None,
    };
    TicketFilter {
        condition: Some(read.settled(&circumstances)),
        ..TicketFilter::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_many_views_walk_indexes_and_stop() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let world = world(&test, &ids).await;
    fill(&test, &world, 30_000).await;
    let all = TicketFilter::default;
    let filters = [
        all(),
        TicketFilter {
            status: vec![TicketStatus::Open, TicketStatus::Pending],
            ..all()
        },
        TicketFilter {
            team: Some(Maybe::Is(world.other_team)),
            ..all()
        },
        TicketFilter {
            team: Some(Maybe::Nothing),
            ..all()
        },
        TicketFilter {
            assignee: Some(Maybe::Is(world.agent)),
            status: vec![TicketStatus::Open],
            ..all()
        },
        TicketFilter {
            assignee: Some(Maybe::Nothing),
            ..all()
        },
        TicketFilter {
            requester: Some(world.customer),
            ..all()
        },
        condition(&json!({ "any": [
            { "field": "priority", "operator": "equals", "value": "urgent" },
            { "field": "subject", "operator": "contains", "value": "7" },
        ] })),
    ];
    let work = Scope::WorkOf {
        agent: world.agent,
        teams: vec![world.team, world.other_team],
    };
    let store = PgTickets::new(test.database().clone());
    for scope in [Scope::Desk, work] {
        let plan = plan(&test, counts::statement(&scope, &filters, 1_001)).await;
        for node in nodes(&plan) {
            let kind = node["Node Type"].as_str().unwrap();
            assert_ne!(kind, "Seq Scan", "{scope:?}: {plan:#}");
            // Nothing is put in order, or told apart, that is only counted.
            let sorts = matches!(kind, "Sort" | "Unique" | "HashAggregate");
            assert!(
                !sorts || node["Plan Rows"].as_f64().unwrap() < 2_000.0,
                "{scope:?}: {plan:#}"
            );
        }
        let counted = store.count_each(&scope, &filters, 1_001).await.unwrap();
        assert_eq!(counted[0], 1_001, "{scope:?}");
        assert!(
            counted.iter().all(|count| (1..=1_001).contains(count)),
            "{counted:?}"
        );
    }
}
