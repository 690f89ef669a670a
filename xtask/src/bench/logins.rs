//! Whether people who log in hold up those who work: the list at a steady pace, alone and while logins arrive.
//!
//! A login costs a password hash, tens of milliseconds of a core. The hashes run on threads of their own with a lower
//! priority, so that on a busy machine the logins wait and the list does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::client::{Connection, request};
use super::desk::Desk;
use super::load::{Load, Work, drive};
use super::report::{ms, short};
use crate::Outcome;

/// Lists that are asked for in a second, and over how many connections.
const LISTS_PER_SEC: u32 = 200;
const LIST_CONNECTIONS: u32 = 4;
/// Logins that arrive in a second, whether or not those before were answered.
const LOGINS_PER_SEC: u32 = 50;
/// So many logins may wait at once; what finds none free is late and counts as such.
const LOGIN_CONNECTIONS: u32 = 32;

/// What came of the logins.
#[derive(Default)]
struct Logins {
    latencies: Vec<Duration>,
    refused: u64,
}

/// A line for the report.
pub(super) fn measure(desk: &Desk, list_target: &str, time: Duration) -> Outcome<String> {
    let token = desk.login_agent()?;
    let target = list_target.to_owned();
    let pause = Duration::from_secs(1) * LIST_CONNECTIONS / LISTS_PER_SEC;
    let work = Work {
        name: "list beside logins".to_owned(),
        status: 200,
        // The pace is kept before the clock of the request starts.
        request: Box::new(move |_| {
            thread::sleep(pause);
            request("GET", &target, Some(&token), None)
        }),
    };
    let lists = || drive(desk.address, &work, LIST_CONNECTIONS as usize, time, || Ok(()));
    let alone = lists()?;
    let ended = AtomicBool::new(false);
    let (beside, logins, took) = thread::scope(|scope| -> Outcome<_> {
        let begin = Instant::now();
        let threads: Vec<_> = (0..LOGIN_CONNECTIONS)
            .map(|index| {
                let ended = &ended;
                scope.spawn(move || log_in_and_again(desk, index, ended))
            })
            .collect();
        let beside = lists();
        ended.store(true, Ordering::SeqCst);
        let took = begin.elapsed();
        let mut all = Logins::default();
        for thread in threads {
            let part = thread.join().map_err(|_| "the logins panicked".to_owned())??;
            all.latencies.extend(part.latencies);
            all.refused += part.refused;
        }
        all.latencies.sort_unstable();
        Ok((beside?, all, took))
    })?;
    Ok(told(&alone, &beside, &logins, took))
}

fn told(alone: &Load, beside: &Load, logins: &Logins, took: Duration) -> String {
    let count = logins.latencies.len();
    let at = |hundredths: usize| {
        let index = (count * hundredths / 100).min(count.saturating_sub(1));
        ms(logins.latencies.get(index).copied().unwrap_or_default())
    };
    format!(
        "List 25 at {LISTS_PER_SEC}/s: p50 {} and p99 {} ms alone; p50 {} and p99 {} ms while {LOGINS_PER_SEC} logins a \
         second arrive, of which {:.0} a second were answered (p50 {:.0}, p99 {:.0} ms) and {} turned away.",
        short(ms(alone.percentile(50))),
        short(ms(alone.percentile(99))),
        short(ms(beside.percentile(50))),
        short(ms(beside.percentile(99))),
        count as f64 / took.as_secs_f64(),
        at(50),
        at(99),
        logins.refused,
    )
}

/// One of the connections that log in, each at its own places in the common schedule.
fn log_in_and_again(desk: &Desk, index: u32, ended: &AtomicBool) -> Outcome<Logins> {
    let failed = |error| format!("no answer to a login: {error}");
    let mut connection = Connection::open(desk.address).map_err(failed)?;
    let login = desk.login_request();
    let step = Duration::from_secs(1) / LOGINS_PER_SEC;
    let mut due = Instant::now() + step * index;
    let mut logins = Logins::default();
    while !ended.load(Ordering::SeqCst) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let (status, body) = connection.send(&login).map_err(failed)?;
        match status {
            // Counted from when it was due: one that had to wait for a connection waited, too.
            200 => logins.latencies.push(due.elapsed()),
            // The hasher's queue is full.
            503 => logins.refused += 1,
            other => {
                return Err(format!(
                    "a login answered {other}: {}",
                    String::from_utf8_lossy(body)
                ));
            }
        }
        due += step * LOGIN_CONNECTIONS;
    }
    Ok(logins)
}
