use std::sync::Arc;

use automation::EndpointId;
use automation::testing::contract::{Cast, macro_store, rule_store, run_store};
use automation::testing::webhooks::webhook_stores;
use automation::webhook::Secret;
use automation::{RuleStore as _, RunStore as _};
use kernel::{IdSource as _, PortError, SequentialIds, TeamId, TicketId, UserId};

use super::*;
use crate::testing::TestDatabase;
use crate::testing::own::test_database;

/// Leaves secrets as they are.
struct Unsealed;

impl SealSecrets for Unsealed {
    fn seal(&self, _endpoint: EndpointId, secret: &Secret) -> Result<String, PortError> {
        Ok(secret.reveal())
    }

    fn open(&self, _endpoint: EndpointId, sealed: String) -> Result<Secret, PortError> {
        Ok(Secret::parse(&sealed).unwrap())
    }
}

async fn cast(test: &TestDatabase, ids: &SequentialIds) -> Cast {
    let next = || ids.next();
    let (people, teams, tickets) = ([next(), next()], [next(), next()], [next(), next()]);
    for id in people {
        test.batch(&format!(
            "INSERT INTO users (id, email, name, password_hash, role) VALUES ('{id}', '{id}@example.org', 'P', '', 'agent')"
        ))
        .await;
    }
    for id in teams {
        test.batch(&format!(
            "INSERT INTO teams (id, name) VALUES ('{id}', 'Team {id}')"
        ))
        .await;
    }
    for (id, number) in tickets.iter().zip(1..) {
        let requester = people[0];
        test.batch(&format!(
            "INSERT INTO tickets (id, ticket_number, subject, description, created_by) \
             VALUES ('{id}', 'TKT-9000{number}', 'S', 'D', '{requester}')"
        ))
        .await;
    }
    Cast {
        agent: UserId(people[0]),
        stranger: UserId(people[1]),
        team: TeamId(teams[0]),
        other_team: TeamId(teams[1]),
        ticket: TicketId(tickets[0]),
        other_ticket: TicketId(tickets[1]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_keep_their_contracts() {
    let test = test_database().await;
    let ids = Arc::new(SequentialIds::default());
    let cast = cast(&test, &ids).await;
    let rules = Arc::new(PgRules::new(test.database().clone()));
    rule_store(rules.clone(), ids.clone(), cast).await;
    let runs = Arc::new(PgRuns::new(test.database().clone()));
    run_store(runs, rules, ids.clone(), cast).await;
    macro_store(
        Arc::new(PgMacros::new(test.database().clone())),
        ids.clone(),
        cast,
    )
    .await;
    let webhooks = Arc::new(PgWebhooks::new(test.database().clone(), Arc::new(Unsealed)));
    webhook_stores(webhooks.clone(), webhooks, ids, cast).await;
}

/// What another client of the contract's table does is seen by version and revision; what is counted is no change.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_other_writers_are_seen_and_counts_are_no_changes() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let cast = cast(&test, &ids).await;
    let rules = PgRules::new(test.database().clone());
    let (first, _) = rules.changed_since(None).await.unwrap().unwrap();
    test.batch(&format!(
        "INSERT INTO automation_rules (name, trigger, conditions, actions, created_by) \
         VALUES ('Other', 'ticket.created', '[1]', '\"x\"', '{}')",
        cast.agent
    ))
    .await;
    let (second, rows) = rules.changed_since(Some(first)).await.unwrap().unwrap();
    assert_eq!((rows.len(), rows[0].version), (1, 1));
    test.batch("UPDATE automation_rules SET trigger_count = 7, last_triggered_at = now()")
        .await;
    assert_eq!(rules.changed_since(Some(second)).await.unwrap(), None);
    let row = rules.rules().await.unwrap().remove(0);
    assert_eq!(
        (row.version, row.updated_at, row.trigger_count),
        (1, rows[0].updated_at, 7)
    );
    test.batch("UPDATE automation_rules SET enabled = false").await;
    let (_, rows) = rules.changed_since(Some(second)).await.unwrap().unwrap();
    assert_eq!((rows[0].version, rows[0].enabled), (2, false));
    assert!(rows[0].updated_at > row.updated_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_counted_into_the_contracts_columns() {
    let test = test_database().await;
    let ids = SequentialIds::default();
    let cast = cast(&test, &ids).await;
    let (rules, runs) = (
        PgRules::new(test.database().clone()),
        PgRuns::new(test.database().clone()),
    );
    test.batch(&format!(
        "INSERT INTO automation_rules (id, name, trigger, conditions, actions, created_by) SELECT \
         ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'R', 'ticket.created', '{{}}', '[]', '{}' \
         FROM generate_series(1, 2) n; \
         INSERT INTO automation_runs (rule_id, event_id, log_id, rule_version, name, happened_at, place, explanation, \
         plan_version, steps, chain) SELECT r.id, gen_random_uuid(), gen_random_uuid(), 1, 'R', \
         timestamptz '2026-01-01' + n * interval '1 s', 0, '{{}}', 1, '[]', '{{}}' \
         FROM automation_rules r, generate_series(1, 50) n WHERE r.id::text LIKE '%1' OR n <= 3",
        cast.agent
    ))
    .await;
    let at_once = tokio::join!(runs.count(20), runs.count(20), runs.count(20), runs.count(20));
    let counted = [at_once.0, at_once.1, at_once.2, at_once.3];
    assert_eq!(counted.into_iter().map(Result::unwrap).sum::<u64>(), 53);
    let rows = rules.rules().await.unwrap();
    let counts: Vec<_> = rows.iter().map(|row| row.trigger_count).collect();
    assert_eq!(counts, [50, 3]);
    let last = rows[1].last_triggered_at.unwrap();
    assert_eq!(last.to_rfc3339(), "2026-01-01T00:00:03+00:00");
}
