//! Many tickets at once: claims one after the other, and a bulk change of ten thousand with its undo.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::Pids;
use super::desk::{Desk, text_of};
use super::population::{BENCH_TEAM, Population, describe};
use super::report::{ms, short};
use crate::Outcome;

/// How many tickets are claimed.
const CLAIMS: usize = 1_000;
/// How many tickets a bulk change is about at the most: as many as it can.
const BULK_TICKETS: u64 = 10_000;
/// How long a job may take.
const JOB_TIME_MAX: Duration = Duration::from_secs(600);

/// A line for the claims, and one each for a bulk change and its undo.
pub(super) async fn measure(
    desk: &Desk,
    client: &Client,
    population: Population,
    pids: Pids,
) -> Outcome<Vec<String>> {
    let token = desk.login_agent()?;
    let team = population.team(BENCH_TEAM);
    // Somebody else's ten thousand would be no bulk change of the agent's: they are marked in the agent's team.
    execute(
        client,
        &format!(
            "UPDATE tickets SET custom_fields = '{{\"bench\": 1}}', assigned_to = NULL, status = 'open', \
             resolved_at = NULL, closed_at = NULL, auto_closed_at = NULL WHERE id IN (SELECT id FROM tickets \
             WHERE team_id = '{team}' AND deleted_at IS NULL ORDER BY id LIMIT {BULK_TICKETS})"
        ),
    )
    .await?;
    execute(client, "ANALYZE tickets").await?;
    let mut lines = claims(desk, client, &token, pids).await?;
    lines.extend(bulk(desk, &token, pids)?);
    Ok(lines)
}

async fn execute(client: &Client, sql: &str) -> Outcome<()> {
    let done = client.batch_execute(sql).await;
    done.map_err(|error| format!("{sql}: {}", describe(&error)))
}

async fn claims(desk: &Desk, client: &Client, token: &str, pids: Pids) -> Outcome<Vec<String>> {
    let select = format!(
        "SELECT id::text FROM tickets WHERE custom_fields = '{{\"bench\": 1}}' ORDER BY md5(id::text) LIMIT {CLAIMS}"
    );
    let rows = client.query(&select, &[]).await;
    let rows = rows.map_err(|error| format!("{select}: {}", describe(&error)))?;
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let before = pids.cpu()?;
    let mut times = Vec::new();
    for id in &ids {
        let start = Instant::now();
        desk.call("POST", &format!("/api/v1/tickets/{id}/claim"), Some(token), None)?;
        times.push(start.elapsed());
    }
    let cpu = before.to(pids.cpu()?);
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let each = |time: Duration| short(ms(time) / (ids.len().max(1) as f64));
    Ok(vec![format!(
        "claim, {} tickets one after the other: p50 {} ms; {} ms of the server's CPU and {} of PostgreSQL's each.",
        ids.len(),
        short(ms(middle)),
        each(cpu.server),
        each(cpu.postgres)
    )])
}

fn bulk(desk: &Desk, token: &str, pids: Pids) -> Outcome<Vec<String>> {
    let change = |dry_run: bool| {
        json!({
            "filter": { "field": "customFields.bench", "operator": "equals", "value": 1 },
            "change": { "priority": "urgent", "addTags": ["bench-bulk"] },
            "dryRun": dry_run,
        })
    };
    let start = Instant::now();
    let preview = desk.call("POST", "/api/v1/tickets/bulk", Some(token), Some(&change(true)))?;
    let dry_run = start.elapsed();
    let mut lines = vec![format!(
        "bulk, dry run of {} tickets: {} ms.",
        preview["count"],
        short(ms(dry_run))
    )];
    let start = Instant::now();
    let before = pids.cpu()?;
    let job = desk.call("POST", "/api/v1/tickets/bulk", Some(token), Some(&change(false)))?;
    let accepted = start.elapsed();
    let id = text_of(&job, "/id")?;
    let ended = finished(desk, token, &id)?;
    lines.push(told(
        "bulk",
        &ended,
        start.elapsed(),
        &before.to(pids.cpu()?),
        Some(accepted),
    )?);
    let start = Instant::now();
    let before = pids.cpu()?;
    let undo = desk.call("POST", &format!("/api/v1/jobs/{id}/undo"), Some(token), None)?;
    let ended = finished(desk, token, &text_of(&undo, "/id")?)?;
    lines.push(told(
        "bulk, undone",
        &ended,
        start.elapsed(),
        &before.to(pids.cpu()?),
        None,
    )?);
    Ok(lines)
}

fn finished(desk: &Desk, token: &str, job: &str) -> Outcome<Value> {
    let start = Instant::now();
    loop {
        let state = desk.call("GET", &format!("/api/v1/jobs/{job}"), Some(token), None)?;
        if state["finishedAt"].is_string() {
            return Ok(state);
        }
        if start.elapsed() > JOB_TIME_MAX {
            return Err(format!("a job is not finished after {JOB_TIME_MAX:?}: {state}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn told(
    name: &str,
    job: &Value,
    took: Duration,
    cpu: &super::report::Cpu,
    accepted: Option<Duration>,
) -> Outcome<String> {
    let count = |member: &str| job[member].as_i64().unwrap_or(0);
    let (total, changed) = (count("total"), count("changed"));
    if total == 0 || changed != total {
        return Err(format!("{name}: not every ticket was changed: {job}"));
    }
    let each = |time: Duration| short(ms(time) / (total as f64));
    let accepted = accepted.map_or_else(String::new, |time| {
        format!(" (accepted after {} ms)", short(ms(time)))
    });
    Ok(format!(
        "{name}, {total} tickets: {:.1} s{accepted}, {:.0} a second; {} ms of the server's CPU and {} of PostgreSQL's each, \
         the delivery of their events and the search index's upkeep among it.",
        took.as_secs_f64(),
        total as f64 / took.as_secs_f64(),
        each(cpu.server),
        each(cpu.postgres)
    ))
}
