//! Whether the time of an answer tells what the answer itself does not: who has an account, and which tickets there are
//! that the caller may not see. The same call about what is there and about what is not, in turns, and what the two
//! series have in common.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Connection, request};
use super::desk::Desk;
use super::load::Random;
use super::population::{BENCH_TEAM, Population, TEAMS};
use super::report::{ms, short};
use crate::Outcome;

/// How often each of the two is tried.
const TRIES: usize = 400;

/// A call that must not tell.
struct Call<'a> {
    what: &'static str,
    /// What the two series are about.
    there: &'static str,
    absent: &'static str,
    /// The one answer to both.
    status: u16,
    /// The request of a try, by its index, about what is there or about what is not.
    request: Box<dyn Fn(usize, bool) -> Vec<u8> + 'a>,
}

/// A line for each call. `known` is the address of an account.
pub(super) fn measure(desk: &Desk, known: &str, population: Population) -> Outcome<Vec<String>> {
    let agent = desk.login_agent()?;
    let calls = [
        about_address(
            "/api/v1/auth/login",
            401,
            known,
            |email| json!({ "email": email, "password": "not the password" }),
        ),
        about_address(
            "/api/v1/auth/forgot-password",
            202,
            known,
            |email| json!({ "email": email }),
        ),
        about_address(
            "/api/v1/auth/register",
            202,
            known,
            |email| json!({ "email": email, "name": "Someone", "password": "seven purple lanterns" }),
        ),
        about_ticket("GET /api/v1/tickets/{id}", population, |id| {
            request("GET", &format!("/api/v1/tickets/{id}"), Some(&agent), None)
        }),
        about_ticket("GET /api/v1/tickets/{id}/messages", population, |id| {
            request(
                "GET",
                &format!("/api/v1/tickets/{id}/messages"),
                Some(&agent),
                None,
            )
        }),
    ];
    calls.iter().map(|call| one(desk, call)).collect()
}

fn about_address<'a>(
    path: &'static str,
    status: u16,
    known: &'a str,
    body: fn(email: &str) -> Value,
) -> Call<'a> {
    Call {
        what: path,
        there: "a known address",
        absent: "an unknown one",
        status,
        request: Box::new(move |index, there| {
            // Each unknown one is new: registering makes it known.
            let unknown = format!("nobody-{index}@bench.example");
            let body = body(if there { known } else { &unknown });
            request("POST", path, None, Some(&body.to_string()))
        }),
    }
}

/// About any ticket of a team that the agent is no member of, or about an id from the same stretch of the index that no
/// ticket has.
fn about_ticket<'a>(
    what: &'static str,
    population: Population,
    request: impl Fn(&str) -> Vec<u8> + 'a,
) -> Call<'a> {
    Call {
        what,
        there: "a hidden ticket",
        absent: "an unknown one",
        status: 404,
        request: Box::new(move |index, there| {
            let mut random = Random::new(index as u64);
            let hidden = random.below(population.hundreds() * 100) * TEAMS + BENCH_TEAM + 1;
            request(&if there {
                population.ticket(hidden)
            } else {
                population.no_ticket(hidden)
            })
        }),
    }
}

fn one(desk: &Desk, call: &Call<'_>) -> Outcome<String> {
    let failed = |error| format!("no answer from {}: {error}", call.what);
    let mut connection = Connection::open(desk.address).map_err(failed)?;
    let (mut of_there, mut of_absent) = (Vec::with_capacity(TRIES), Vec::with_capacity(TRIES));
    let mut random = Random::new(11);
    let mut there_first = true;
    for index in 0..2 * TRIES {
        // In pairs of an order by chance: what alternates in the server, too, such as its threads, favours neither.
        if index % 2 == 0 {
            there_first = random.below(2) == 0;
        }
        let there = (index % 2 == 0) == there_first;
        let request = (call.request)(index, there);
        let begin = Instant::now();
        let (status, answer) = connection.send(&request).map_err(failed)?;
        let took = begin.elapsed();
        if status != call.status {
            let answer = String::from_utf8_lossy(answer);
            return Err(format!("{} answered {status}: {answer}", call.what));
        }
        if there { &mut of_there } else { &mut of_absent }.push(took);
    }
    let p = mann_whitney(&of_there, &of_absent);
    Ok(format!(
        "{}: median {} ms for {} and {} ms for {} (Mann–Whitney p = {p:.2}; {TRIES} tries each).",
        call.what,
        short(median_ms(&mut of_there)),
        call.there,
        short(median_ms(&mut of_absent)),
        call.absent,
    ))
}

fn median_ms(series: &mut [Duration]) -> f64 {
    series.sort_unstable();
    ms(series.get(series.len() / 2).copied().unwrap_or_default())
}

/// The two-sided p-value that both series come from one distribution (Mann–Whitney U with the normal approximation;
/// times in nanoseconds have next to no ties).
fn mann_whitney(one: &[Duration], other: &[Duration]) -> f64 {
    let mut all: Vec<(Duration, bool)> = one.iter().map(|time| (*time, true)).collect();
    all.extend(other.iter().map(|time| (*time, false)));
    all.sort_unstable();
    let (n, m) = (one.len() as f64, other.len() as f64);
    let ranks = all.iter().enumerate().filter(|(_, (_, first))| *first);
    let rank_sum: f64 = ranks.map(|(index, _)| index as f64 + 1.0).sum();
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let z = (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt();
    2.0 * upper_tail(z.abs())
}

/// The standard normal's upper tail (Abramowitz and Stegun 26.2.17; wrong by less than 1e-7).
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let sum = series.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_normal_distributions() {
        for (z, tail) in [
            (0.0, 0.5),
            (1.0, 0.158_655_3),
            (1.96, 0.024_997_9),
            (3.0, 0.001_349_9),
        ] {
            assert!((upper_tail(z) - tail).abs() < 1e-6, "{z}: {}", upper_tail(z));
        }
    }

    #[test]
    fn equal_series_are_alike_and_shifted_ones_are_not() {
        let series = |from: u64| {
            (0..200)
                .map(|i| Duration::from_nanos(from + i * 7 % 1000))
                .collect::<Vec<_>>()
        };
        assert!(mann_whitney(&series(0), &series(1)) > 0.5);
        assert!(mann_whitney(&series(0), &series(5000)) < 1e-6);
    }
}
