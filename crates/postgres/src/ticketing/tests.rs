//! The adapter on a real database.

use std::sync::Arc;

use chrono::TimeZone as _;
use diesel_async::RunQueryDsl;
use kernel::Position;
use serde_json::Value;
use ticketing::{Direction, Maybe, Scope, Sort, SortKey, TicketFilter, TicketQuery, TicketStatus};

use kernel::{IdSource as _, SequentialIds, TeamId, UserId};
use ticketing::testing::contract::{World, import_store, ticket_store};
use ticketing::testing::contract_search::search_index;

use super::{PgDirectory, PgSearch, PgTickets, list};
use crate::sql::Sql;
use crate::testing::TestDatabase;
use crate::testing::own::test_database;

pub(super) async fn world(test: &TestDatabase, ids: &SequentialIds) -> World {
    let people = [ids.next(), ids.next(), ids.next()];
    let teams = [ids.next(), ids.next()];
    for id in people {
        let role = if id == people[2] { "agent" } else { "user" };
        test.batch(&format!(
            "INSERT INTO users (id, email, name, password_hash, role) VALUES ('{id}', '{id}@example.org', 'P', '', '{role}')"
        ))
        .await;
    }
    for id in teams {
        test.batch(&format!(
            "INSERT INTO teams (id, name) VALUES ('{id}', 'Team {id}')"
        ))
        .await;
    }
    World {
        customer: UserId(people[0]),
        stranger: UserId(people[1]),
        agent: UserId(people[2]),
        team: TeamId(teams[0]),
        other_team: TeamId(teams[1]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_keeps_its_contract() {
    let test = test_database().await;
    let ids = Arc::new(SequentialIds::default());
    let world = world(&test, &ids).await;
    let store = Arc::new(PgTickets::new(test.database().clone()));
    ticket_store(store.clone(), ids.clone(), world.clone()).await;
    import_store(store.clone(), store, ids, world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_keeps_its_contract() {
    let test = test_database().await;
    let ids = Arc::new(SequentialIds::default());
    let world = world(&test, &ids).await;
    let store = Arc::new(PgTickets::new(test.database().clone()));
    let index = PgSearch::new(test.database().clone(), vec!["english".to_owned()]);
    search_index(store, Arc::new(index), ids, world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_knows_who_can_be_given_work() {
    use ticketing::Directory as _;
    let test = test_database().await;
    let ids = SequentialIds::default();
    let World {
        customer,
        stranger,
        agent,
        team,
        ..
    } = world(&test, &ids).await;
    test.batch(&format!(
        "INSERT INTO team_members (team_id, user_id) VALUES ('{team}', '{agent}'); \
         UPDATE users SET deleted_at = now() WHERE id = '{stranger}'"
    ))
    .await;
    let directory = PgDirectory::new(test.database().clone());
    assert_eq!(directory.assignee(agent).await.unwrap().unwrap().teams, [team]);
    assert_eq!(directory.assignee(customer).await.unwrap(), None);
    assert!(directory.is_requester(customer).await.unwrap());
    assert!(!directory.is_requester(stranger).await.unwrap());
    test.batch(&format!(
        "UPDATE users SET status = 'suspended' WHERE id = '{customer}'"
    ))
    .await;
    assert!(!directory.is_requester(customer).await.unwrap());
    test.batch(&format!(
        "UPDATE users SET status = 'pending' WHERE id = '{customer}'"
    ))
    .await;
    assert!(directory.is_requester(customer).await.unwrap());
    assert!(directory.team_exists(team).await.unwrap());
    assert!(!directory.team_exists(TeamId(ids.next())).await.unwrap());
    let people = directory.people(&[agent, stranger]).await.unwrap();
    assert_eq!(people.len(), 2);
    assert!(
        people
            .iter()
            .any(|card| card.id == stranger && card.name == "Deleted user" && card.email.is_empty())
    );
    assert_eq!(directory.teams(&[team]).await.unwrap().len(), 1);
    test.batch(&format!(
        "UPDATE users SET status = 'suspended' WHERE id = '{agent}'"
    ))
    .await;
    assert_eq!(directory.assignee(agent).await.unwrap(), None);
}

/// A desk with enough tickets that the planner would rather walk than scan.
pub(super) async fn fill(test: &TestDatabase, world: &World, tickets: u32) {
    let World {
        customer,
        stranger,
        agent,
        team,
        other_team,
    } = world;
    test.batch(&format!(
        "INSERT INTO tickets (ticket_number, subject, description, created_by, assigned_to, team_id, priority, status, \
           created_at, updated_at, public_updated_at, deleted_at, cc_ids) \
         SELECT 'F-' || n, 'Subject ' || n, 'Text', \
           CASE n % 500 WHEN 0 THEN '{customer}'::uuid ELSE '{stranger}'::uuid END, \
           CASE n % 50 WHEN 0 THEN '{agent}'::uuid END, \
           CASE n % 40 WHEN 0 THEN NULL WHEN 1 THEN '{team}'::uuid ELSE '{other_team}'::uuid END, \
           (ARRAY['low', 'medium', 'high', 'urgent'])[1 + n % 4]::\"TicketPriority\", \
           (ARRAY['closed', 'closed', 'closed', 'closed', 'closed', 'resolved', 'pending', 'open', 'open'])[1 + n % 9]::\"TicketStatus\", \
           now() - n * interval '1 minute', now() - n * interval '50 seconds', now() - n * interval '55 seconds', \
           CASE n % 1000 WHEN 7 THEN now() END, \
           CASE n % 700 WHEN 3 THEN ARRAY['{customer}'::uuid] ELSE '{{}}' END \
         FROM generate_series(1, {tickets}) AS n; ANALYZE tickets"
    ))
    .await;
}

/// Every node of a plan, top down.
pub(super) fn nodes(plan: &Value) -> Vec<&Value> {
    let mut all = vec![plan];
    for child in plan["Plans"].as_array().into_iter().flatten() {
        all.extend(nodes(child));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_offered_list_walks_an_index_in_order() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let world = world(&test, &ids).await;
    fill(&test, &world, 30_000).await;
    let work = Scope::WorkOf {
        agent: world.agent,
        teams: vec![world.team],
    };
    let is = |team| TicketFilter {
        team: Some(Maybe::Is(team)),
        ..TicketFilter::default()
    };
    let pending = TicketFilter {
        status: vec![TicketStatus::Pending],
        ..TicketFilter::default()
    };
    let lists = [
        (Scope::Desk, TicketFilter::default()),
        (Scope::Desk, pending.clone()),
        (Scope::Desk, is(world.team)),
        (
            Scope::Desk,
            TicketFilter {
                team: Some(Maybe::Nothing),
                ..TicketFilter::default()
            },
        ),
        (
            Scope::Desk,
            TicketFilter {
                assignee: Some(Maybe::Is(world.agent)),
                ..TicketFilter::default()
            },
        ),
        (
            Scope::Desk,
            TicketFilter {
                assignee: Some(Maybe::Nothing),
                ..is(world.team)
            },
        ),
        (work.clone(), TicketFilter::default()),
        (work.clone(), pending),
        (work.clone(), is(world.team)),
        (work.clone(), is(world.other_team)),
        (
            work,
            TicketFilter {
                assignee: Some(Maybe::Is(world.agent)),
                ..TicketFilter::default()
            },
        ),
        (Scope::Customer(world.customer), TicketFilter::default()),
        (
            Scope::Customer(world.customer),
            TicketFilter {
                requester: Some(world.stranger),
                ..TicketFilter::default()
            },
        ),
        (
            Scope::Desk,
            TicketFilter {
                requester: Some(world.customer),
                ..TicketFilter::default()
            },
        ),
    ];
    let after = Position {
        at: chrono::Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap(),
        id: ids.next(),
    };
    for (scope, filter) in lists {
        for key in [SortKey::CreatedAt, SortKey::UpdatedAt] {
            for direction in [Direction::NewestFirst, Direction::OldestFirst] {
                for after in [None, Some(after)] {
                    let sort = Sort { key, direction };
                    let filter = filter.clone();
                    let query = TicketQuery {
                        filter,
                        sort,
                        after,
                        ..TicketQuery::default()
                    };
                    let sql = Sql::new("EXPLAIN (FORMAT JSON) ").append(list::page(&scope, &query));
                    let explained = test
                        .database()
                        .run(async |connection| sql.clone().get_result::<list::PlanRow>(connection).await)
                        .await
                        .unwrap();
                    let plan = explained.plan.pointer("/0/Plan").unwrap();
                    for node in nodes(plan) {
                        let kind = node["Node Type"].as_str().unwrap();
                        let rows = node["Plan Rows"].as_f64().unwrap();
                        assert_ne!(kind, "Seq Scan", "{scope:?} {query:?}: {plan:#}");
                        // The merge of the walks sorts a few pages' worth; a walk itself must not sort, but for the
                        // ids of equal times.
                        assert!(kind != "Sort" || rows < 2_000.0, "{scope:?} {query:?}: {plan:#}");
                    }
                    // Before the first ticket there is none to gather.
                    if after.is_none() {
                        assert_eq!(
                            plan.to_string().contains("tickets_cc_ids_idx"),
                            matches!(scope, Scope::Customer(_)),
                            "{scope:?} {query:?}: {plan:#}"
                        );
                    }
                }
            }
        }
    }
}
