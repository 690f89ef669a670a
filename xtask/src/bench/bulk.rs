//! Many tickets at once: claims one after the other, and a bulk change of ten thousand with its undo.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::Client;

use super::desk::{Desk, text_of};
use super::population::{BENCH_TEAM, Population, describe};
use super::report::{ApiFigures, Cpu, Row, ms, short};
use super::{Bench, Pids, mib, process};
use crate::Outcome;

/// How many tickets are claimed.
const CLAIMS: usize = 1_000;
/// How many tickets a bulk change is about at the most: as many as it can.
const BULK_TICKETS: u64 = 10_000;
/// How long a job may take.
const JOB_TIME_MAX: Duration = Duration::from_secs(600);

/// The line of the claims.
pub(super) const CLAIM: &str = "claim";

/// Lines for the claims, a bulk change and its undo, of each ticket; and what else there is to tell.
pub(super) async fn measure(
    bench: &Bench<'_>,
    population: Population,
    pids: Pids,
) -> Outcome<(Vec<Row>, String)> {
    let token = bench.desk.login_agent()?;
    let team = population.team(BENCH_TEAM);
    // Somebody else's ten thousand would be no bulk change of the agent's: they are marked in the agent's team.
    let mark = format!(
        "UPDATE tickets SET custom_fields = '{{\"bench\": 1}}', assigned_to = NULL, status = 'open', \
         resolved_at = NULL, closed_at = NULL, auto_closed_at = NULL WHERE id IN (SELECT id FROM tickets \
         WHERE team_id = '{team}' AND deleted_at IS NULL ORDER BY id LIMIT {BULK_TICKETS})"
    );
    execute(&bench.client, &mark).await?;
    execute(&bench.client, "VACUUM ANALYZE tickets").await?;
    bench.rest(pids).await?;
    let mut rows = vec![claims(&bench.desk, &bench.client, &token, pids).await?];
    bench.rest(pids).await?;
    let (changed, told) = bulk(bench, &token, pids).await?;
    rows.extend(changed);
    Ok((rows, told))
}

async fn execute(client: &Client, sql: &str) -> Outcome<()> {
    let done = client.batch_execute(sql).await;
    done.map_err(|error| format!("{sql}: {}", describe(&error)))
}

async fn claims(desk: &Desk, client: &Client, token: &str, pids: Pids) -> Outcome<Row> {
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
    let at = |hundredths: usize| times.get(times.len() * hundredths / 100).copied().map(ms);
    let (p50_ms, p99_ms) = (at(50), at(99));
    row(CLAIM, ids.len(), times.iter().sum(), &cpu, (p50_ms, p99_ms), pids)
}

async fn bulk(bench: &Bench<'_>, token: &str, pids: Pids) -> Outcome<(Vec<Row>, String)> {
    let desk = &bench.desk;
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
    let start = Instant::now();
    let before = pids.cpu()?;
    let job = desk.call("POST", "/api/v1/tickets/bulk", Some(token), Some(&change(false)))?;
    let accepted = start.elapsed();
    let id = text_of(&job, "/id")?;
    let total = finished(desk, token, &id)?;
    let took = start.elapsed();
    bench.rest(pids).await?;
    let changed = row("bulk", total, took, &before.to(pids.cpu()?), (None, None), pids)?;
    let start = Instant::now();
    let before = pids.cpu()?;
    let undo = desk.call("POST", &format!("/api/v1/jobs/{id}/undo"), Some(token), None)?;
    let undone = finished(desk, token, &text_of(&undo, "/id")?)?;
    let undo_took = start.elapsed();
    bench.rest(pids).await?;
    let undone = row(
        "bulk, undone",
        undone,
        undo_took,
        &before.to(pids.cpu()?),
        (None, None),
        pids,
    )?;
    let told = format!(
        "bulk of {total} tickets: dry run of {} in {} ms, accepted after {} ms, done after {:.1} s, undone in {:.1} s; their \
         lines are of one ticket, the delivery of its events and the search index's upkeep among it.",
        preview["count"],
        short(ms(dry_run)),
        short(ms(accepted)),
        took.as_secs_f64(),
        undo_took.as_secs_f64()
    );
    Ok((vec![changed, undone], told))
}

fn row(
    work: &str,
    tickets: usize,
    took: Duration,
    cpu: &Cpu,
    (p50_ms, p99_ms): (Option<f64>, Option<f64>),
    pids: Pids,
) -> Outcome<Row> {
    let each = |time: Duration| ms(time) / (tickets.max(1) as f64);
    Ok(Row {
        work: work.to_owned(),
        connections: 1,
        api: ApiFigures {
            requests_per_second: tickets as f64 / took.as_secs_f64(),
            p50_ms,
            p99_ms,
            server_cpu_ms: each(cpu.server),
            postgres_cpu_ms: each(cpu.postgres),
            generator_cpu_ms: each(cpu.generator),
            server_mib: mib(process::memory_bytes(pids.server)?),
        },
        bare: None,
        delivery: None,
    })
}

/// Waits for a job; of how many tickets it was.
fn finished(desk: &Desk, token: &str, job: &str) -> Outcome<usize> {
    let start = Instant::now();
    loop {
        let state = desk.call("GET", &format!("/api/v1/jobs/{job}"), Some(token), None)?;
        if state["finishedAt"].is_string() {
            let count = |member: &str| state[member].as_u64().unwrap_or(0);
            let (total, changed) = (count("total"), count("changed"));
            if total == 0 || changed != total {
                return Err(format!("not every ticket was changed: {state}"));
            }
            return usize::try_from(total).map_err(|error| error.to_string());
        }
        if start.elapsed() > JOB_TIME_MAX {
            return Err(format!("a job is not finished after {JOB_TIME_MAX:?}: {state}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
