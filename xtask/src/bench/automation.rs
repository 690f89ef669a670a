//! What happens by itself: events through enabled rules, and the sweep of missed deadlines.

use std::time::{Duration, Instant};

use serde_json::json;

use super::desk::{Extent, Program};
use super::population::describe;
use super::report::{Budget, Sense, short};
use super::{Bench, tell};
use crate::Outcome;

/// How many events go through the rules.
const EVENTS: u32 = 5_000;
/// At how many enabled rules.
const RULES: [u32; 4] = [0, 1, 100, 1_000];
/// A node knows rules for a second.
const RULES_KNOWN: Duration = Duration::from_millis(1_500);
/// How many tickets are overdue at once; each misses two deadlines.
const OVERDUE_TICKETS: u32 = 5_000;
const DEADLINES_EACH: u32 = 2;
/// How long the tickets are left alone until they are overdue by their minute.
const OVERDUE_AFTER: Duration = Duration::from_secs(63);
/// How long the sweep may take.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(120);

/// What there is to tell, and the budgets; gives the bench back with another server.
pub(super) async fn measure<'g>(
    bench: Bench<'g>,
    program: &Program,
) -> Outcome<(Bench<'g>, Vec<String>, Vec<Budget>)> {
    let mut told = Vec::new();
    let mut budgets = Vec::new();
    for rules in RULES {
        let rate = events(&bench, rules).await?;
        told.push(format!(
            "events through {rules} enabled rules: {} a second, of {EVENTS}, delivered to every subscriber.",
            short(rate)
        ));
        if rules == 100 {
            let what = "events a second through 100 enabled rules";
            budgets.push(Budget::new(what, Some(rate), Sense::AtLeast, 2_000.0, "/s"));
        }
    }
    execute(&bench, "DELETE FROM automation_rules").await?;
    let (bench, rate) = sweep(bench, program).await?;
    told.push(format!(
        "SLA sweep: {} missed deadlines a second, of {}.",
        short(rate),
        OVERDUE_TICKETS * DEADLINES_EACH
    ));
    let what = "missed deadlines a second, by one node's sweep";
    budgets.push(Budget::new(what, Some(rate), Sense::AtLeast, 5_000.0, "/s"));
    Ok((bench, told, budgets))
}

async fn execute(bench: &Bench<'_>, sql: &str) -> Outcome<()> {
    let done = bench.client.batch_execute(sql).await;
    done.map_err(|error| format!("{sql}: {}", describe(&error)))
}

async fn number(bench: &Bench<'_>, sql: &str) -> Outcome<f64> {
    let row = bench.client.query_one(sql, &[]).await;
    row.map(|row| row.get(0))
        .map_err(|error| format!("{sql}: {}", describe(&error)))
}

/// Events a second through so many rules that look at each and do nothing.
async fn events(bench: &Bench<'_>, rules: u32) -> Outcome<f64> {
    tell(&format!("events through {rules} rules"));
    let make = format!(
        "DELETE FROM automation_rules; INSERT INTO automation_rules (id, name, trigger, conditions, actions, created_by) \
         SELECT gen_random_uuid(), 'Rule ' || n, 'ticket.updated', \
         '{{\"field\": \"subject\", \"operator\": \"contains\", \"value\": \"no ticket says this\"}}', \
         '[{{\"type\": \"add_tags\", \"value\": [\"x\"]}}]', (SELECT id FROM users WHERE role = 'admin' ORDER BY id LIMIT 1) \
         FROM generate_series(1, {rules}) n"
    );
    execute(bench, &make).await?;
    tokio::time::sleep(RULES_KNOWN).await;
    let insert = format!(
        "INSERT INTO outbox (id, aggregate_id, kind, payload_version, payload, occurred_at, available_at) \
         SELECT gen_random_uuid(), t.id, 'ticket.updated', 1, jsonb_build_object('cause', '{{\"system\": \"bench\"}}'::jsonb, \
         'ticket', jsonb_build_object('id', t.id, 'number', t.ticket_number, 'subject', t.subject, 'requester', t.created_by, \
         'assignee', NULL, 'team', NULL, 'status', 'open', 'priority', 'medium', 'version', 1), \
         'data', '{{\"fields\": [\"tags\"]}}'::jsonb), now(), now() \
         FROM (SELECT * FROM tickets WHERE deleted_at IS NULL ORDER BY id LIMIT {EVENTS}) t"
    );
    execute(bench, &insert).await?;
    bench.delivery(bench.pids()?).await?;
    let ours = "payload -> 'cause' ->> 'system' = 'bench'";
    // From the first batch's end to the last one's: when the outbox is first looked at is another matter.
    let rate = format!(
        "SELECT (count(*) FILTER (WHERE done_at > first.at) / greatest(extract(epoch FROM max(done_at) - min(first.at)), 0.001))::float8 \
         FROM outbox, (SELECT min(done_at) AS at FROM outbox WHERE {ours}) first WHERE {ours}"
    );
    let rate = number(bench, &rate).await?;
    execute(bench, &format!("DELETE FROM outbox WHERE {ours}")).await?;
    Ok(rate)
}

/// Missed deadlines a second, found and told by one node after it was down while they were missed.
async fn sweep<'g>(bench: Bench<'g>, program: &Program) -> Outcome<(Bench<'g>, f64)> {
    tell("the sweep of missed deadlines");
    let bench = bench.restarted(program, Extent::HttpOnly).await?;
    let admin = bench.desk.login_admin()?;
    let policy =
        json!({ "name": "Bench", "firstResponseTime": 1, "resolutionTime": 1, "businessHoursOnly": false });
    bench
        .desk
        .call("POST", "/api/v1/sla-policies", Some(&admin), Some(&policy))?;
    let ticket = json!({ "subject": "Overdue", "description": "Soon." });
    for _ in 0..OVERDUE_TICKETS {
        bench
            .desk
            .call("POST", "/api/v1/tickets", Some(&admin), Some(&ticket))?;
    }
    tokio::time::sleep(OVERDUE_AFTER).await;
    // The tickets' own events are not to be delivered meanwhile.
    bench.settle().await?;
    let bench = bench.restarted(program, Extent::Whole).await?;
    let due = "SELECT count(*)::float8 FROM ticket_clocks WHERE wake_at <= now()";
    let all = number(&bench, due).await?;
    let (waiting, mut begun) = (Instant::now(), None);
    loop {
        let left = number(&bench, due).await?;
        if left < all && begun.is_none() {
            begun = Some((Instant::now(), left));
        }
        if let (true, Some((since, first))) = (left == 0.0, begun) {
            let seconds = since.elapsed().as_secs_f64().max(0.001);
            return Ok((bench, first * f64::from(DEADLINES_EACH) / seconds));
        }
        if waiting.elapsed() > SWEEP_TIME_MAX {
            return Err(format!(
                "{left} tickets are overdue and not told of after {SWEEP_TIME_MAX:?}"
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
