//! Routing on a real database.

use std::sync::Arc;

use async_trait::async_trait;
use diesel_async::RunQueryDsl as _;
use kernel::{IdSource, SequentialIds, TeamId, UserId, Version};
use serde_json::{Value, json};
use ticketing::testing::contract_routing::{Staff, team_routing};
use ticketing::{
    Availability, RoutingCommit, RoutingCommitError, RoutingMode, RoutingSettings, RoutingWrite,
    TeamRouting as _,
};

use super::routing::turn_query;
use super::tests::{fill, world};
use super::{PgRouting, PgTickets, list};
use crate::sql::Sql;
use crate::testing::TestDatabase;
use crate::testing::own::test_database;

struct StoredStaff<'a> {
    test: &'a TestDatabase,
    ids: &'a SequentialIds,
}

#[async_trait]
impl Staff for StoredStaff<'_> {
    async fn agent(&self, teams: &[TeamId]) -> UserId {
        let id = UserId(self.ids.next());
        self.test
            .batch(&format!(
                "INSERT INTO users (id, email, name, password_hash, role) VALUES ('{id}', '{id}@example.org', 'A', '', 'agent')"
            ))
            .await;
        for team in teams {
            self.test
                .batch(&format!(
                    "INSERT INTO team_members (team_id, user_id) VALUES ('{team}', '{id}')"
                ))
                .await;
        }
        id
    }

    async fn team(&self) -> TeamId {
        let id = TeamId(self.ids.next());
        self.test
            .batch(&format!(
                "INSERT INTO teams (id, name) VALUES ('{id}', 'Team {id}')"
            ))
            .await;
        id
    }

    async fn leave(&self, user: UserId) {
        self.test
            .batch(&format!("DELETE FROM team_members WHERE user_id = '{user}'"))
            .await;
    }

    async fn suspend(&self, user: UserId) {
        self.test
            .batch(&format!(
                "UPDATE users SET status = 'suspended' WHERE id = '{user}'"
            ))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_routing_keeps_its_contract() {
    let test = test_database().await;
    let ids = Arc::new(SequentialIds::default());
    let world = world(&test, &ids).await;
    let routing = Arc::new(PgRouting::new(test.database().clone()));
    let tickets = Arc::new(PgTickets::new(test.database().clone()));
    let staff = StoredStaff {
        test: &test,
        ids: &ids,
    };
    team_routing(routing, tickets, ids.clone(), world, &staff).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_who_is_gone_is_refused() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let routing = PgRouting::new(test.database().clone());
    for write in [
        RoutingWrite::Team(RoutingSettings::of(TeamId(ids.next()))),
        RoutingWrite::Person(Availability::of(UserId(ids.next()))),
    ] {
        let commit = RoutingCommit {
            write,
            expected: Version::FIRST,
            events: vec![],
            receipt: None,
        };
        let gone = routing.commit(commit).await;
        assert!(matches!(gone, Err(RoutingCommitError::Gone)), "{gone:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_found_by_its_index() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let world = world(&test, &ids).await;
    fill(&test, &world, 20_000).await;
    let routing = PgRouting::new(test.database().clone());
    let settings = RoutingSettings {
        mode: RoutingMode::RoundRobin,
        ..RoutingSettings::of(world.other_team)
    };
    let commit = RoutingCommit {
        write: RoutingWrite::Team(settings),
        expected: Version::FIRST,
        events: vec![],
        receipt: None,
    };
    routing.commit(commit).await.unwrap();
    let sql = Sql::new("EXPLAIN (FORMAT JSON) ").append(turn_query(world.other_team, 10));
    let explained = test
        .database()
        .run(async |connection| sql.clone().get_result::<list::PlanRow>(connection).await)
        .await;
    let plan = explained.unwrap().plan;
    let (mut left, mut walked) = (vec![&plan], false);
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(members) => {
                walked |= members.get("Index Name") == Some(&json!("tickets_waiting_idx"));
                let scans = members.get("Node Type") == Some(&json!("Seq Scan"));
                let of_tickets = members.get("Relation Name") == Some(&json!("tickets"));
                assert!(!(scans && of_tickets), "{plan}");
                left.extend(members.values());
            }
            _ => {}
        }
    }
    assert!(walked, "{plan}");
}
