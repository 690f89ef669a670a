//! `cargo xtask bench --import`: how fast tickets come in from a file.

use std::fmt::Write as _;
use std::time::Instant;

use super::desk::Program;
use super::load::Random;
use super::report::{Budget, Report, Sense, ms, short};
use super::{Ground, one_number, process, tell};
use crate::Outcome;

const ROWS: u32 = 50_000;
const REQUESTERS: u64 = 2_000;

pub(super) async fn measure(program: &Program, ground: &Ground) -> Outcome<Report> {
    let file = ground.folder.join("tickets.csv");
    let csv = csv();
    let size_mib = csv.len() / (1024 * 1024);
    std::fs::write(&file, csv).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    tell(&format!("importing {ROWS} tickets"));
    let client = ground.connect().await?;
    let postmaster = ground.postmaster()?;
    let before = process::cpu_of_tree(postmaster)?;
    let path = file.display().to_string();
    let start = Instant::now();
    let said = program.run(&["import", "tickets", &path, "--strict"], "").await?;
    let elapsed = start.elapsed();
    let postgres = process::cpu_of_tree(postmaster)?.saturating_sub(before);
    let imported = one_number(&client, "SELECT count(*) FROM tickets").await?;
    if imported != i64::from(ROWS) {
        return Err(format!(
            "of {ROWS} tickets {imported} were imported: {}",
            said.trim()
        ));
    }
    let rate = f64::from(ROWS) / elapsed.as_secs_f64();
    let mut circumstances = ground.circumstances();
    circumstances.push(format!(
        "{ROWS} tickets of {REQUESTERS} new requesters, {size_mib} MiB of CSV"
    ));
    let remarks = vec![format!(
        "{:.1} s from the command's start to its end; for each ticket {} ms of PostgreSQL's CPU.",
        elapsed.as_secs_f64(),
        short(ms(postgres) / f64::from(ROWS))
    )];
    let budgets = vec![Budget::new(
        "import",
        Some(rate),
        Sense::AtLeast,
        5_000.0,
        "rows/s",
    )];
    Ok(Report {
        tickets: 0,
        growth: None,
        circumstances,
        rows: Vec::new(),
        remarks,
        budgets,
    })
}

fn csv() -> String {
    let mut random = Random::new(11);
    let mut text = String::from(
        "externalId,subject,description,priority,status,channel,tags,requesterEmail,requesterName,createdAt,endedAt\n",
    );
    for number in 0..ROWS {
        let person = random.below(REQUESTERS);
        let (status, ended) = match random.below(10) {
            0 => ("open", false),
            1 => ("pending", false),
            2 => ("resolved", true),
            _ => ("closed", true),
        };
        let priority = ["low", "medium", "high", "urgent"][number as usize % 4];
        let day = format!("2025-{:02}-{:02}", 1 + number / 28 % 12, 1 + number % 28);
        let ended = if ended {
            format!("{day}T17:30:00Z")
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "{number},Ticket {number} of the old desk,\"{}, number {number}.\nIt is \"\"urgent\"\", they say.\",{priority},\
             {status},email,printer;floor-{},person{person}@import.example,Person {person},{day}T09:00:00Z,{ended}",
            "The printer on the second floor does not answer since this morning, and the invoice was sent twice. "
                .repeat(1 + number as usize % 4)
                .trim_end(),
            number % 9
        );
    }
    text
}
