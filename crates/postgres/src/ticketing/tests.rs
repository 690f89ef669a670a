//! The adapter on a real database.

use std::sync::Arc;

use kernel::{IdSource as _, SequentialIds, TeamId, UserId};
use ticketing::testing::contract::{World, import_store, ticket_store};

use super::{PgDirectory, PgTickets};
use crate::testing::TestDatabase;
use crate::testing::own::test_database;

async fn world(test: &TestDatabase, ids: &SequentialIds) -> World {
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
        test.batch(&format!("INSERT INTO teams (id, name) VALUES ('{id}', 'Team {id}')")).await;
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
async fn the_directory_knows_who_can_be_given_work() {
    use ticketing::Directory as _;
    let test = test_database().await;
    let ids = SequentialIds::default();
    let World { customer, stranger, agent, team, .. } = world(&test, &ids).await;
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
    assert!(directory.team_exists(team).await.unwrap());
    assert!(!directory.team_exists(TeamId(ids.next())).await.unwrap());
    let people = directory.people(&[agent, stranger]).await.unwrap();
    assert_eq!(people.len(), 2);
    assert!(people.iter().any(|card| card.id == stranger && card.name == "Deleted user" && card.email.is_empty()));
    assert_eq!(directory.teams(&[team]).await.unwrap().len(), 1);
    test.batch(&format!("UPDATE users SET status = 'suspended' WHERE id = '{agent}'")).await;
    assert_eq!(directory.assignee(agent).await.unwrap(), None);
}
