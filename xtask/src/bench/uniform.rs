//! Whether the time of an answer tells a stranger who has an account: the same call about a known address and an unknown
//! one, in turns, and what the two series have in common.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Connection, request};
use super::desk::Desk;
use super::report::{ms, short};
use crate::Outcome;

/// How often each of the two is tried.
const TRIES: usize = 400;

/// A call that must not tell.
struct Call {
    path: &'static str,
    status: u16,
    body: fn(email: &str) -> Value,
}

const CALLS: [Call; 3] = [
    Call {
        path: "/api/v1/auth/login",
        status: 401,
        body: |email| json!({ "email": email, "password": "not the password" }),
    },
    Call {
        path: "/api/v1/auth/forgot-password",
        status: 202,
        body: |email| json!({ "email": email }),
    },
    Call {
        path: "/api/v1/auth/register",
        status: 202,
        body: |email| json!({ "email": email, "name": "Someone", "password": "seven purple lanterns" }),
    },
];

/// A line for each call.
pub(super) fn measure(desk: &Desk, known: &str) -> Outcome<Vec<String>> {
    CALLS.iter().map(|call| one(desk, known, call)).collect()
}

fn one(desk: &Desk, known: &str, call: &Call) -> Outcome<String> {
    let failed = |error| format!("no answer from {}: {error}", call.path);
    let mut connection = Connection::open(desk.address).map_err(failed)?;
    let (mut of_known, mut of_unknown) = (Vec::with_capacity(TRIES), Vec::with_capacity(TRIES));
    for index in 0..2 * TRIES {
        // Each unknown one is new: registering makes it known.
        let unknown = format!("nobody-{index}@bench.example");
        let (email, series) = if index % 2 == 0 {
            (known, &mut of_known)
        } else {
            (unknown.as_str(), &mut of_unknown)
        };
        let body = (call.body)(email).to_string();
        let request = request("POST", call.path, None, Some(&body));
        let begin = Instant::now();
        let (status, answer) = connection.send(&request).map_err(failed)?;
        series.push(begin.elapsed());
        if status != call.status {
            let answer = String::from_utf8_lossy(answer);
            return Err(format!("{} answered {status}: {answer}", call.path));
        }
    }
    let p = mann_whitney(&of_known, &of_unknown);
    Ok(format!(
        "{}: median {} ms for a known address and {} ms for an unknown one (Mann–Whitney p = {p:.2}; {TRIES} tries each).",
        call.path,
        short(median_ms(&mut of_known)),
        short(median_ms(&mut of_unknown)),
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
