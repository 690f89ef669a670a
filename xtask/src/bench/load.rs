//! The load generator: so many connections, each a thread that sends one request after the other.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::client::Connection;
use crate::Outcome;

/// Makes something anew each time, for any thread.
pub(super) type Make<T> = Box<dyn Fn(&mut Random) -> T + Send + Sync>;

/// What one kind of request looks like.
pub(super) struct Work {
    /// For people.
    pub(super) name: String,
    /// What the server must answer.
    pub(super) status: u16,
    /// The next request.
    pub(super) request: Make<Vec<u8>>,
}

/// What a time of load gave.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) elapsed: Duration,
    /// In order.
    latencies: Vec<Duration>,
}

impl Load {
    pub(super) fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which so many hundredths of the requests were answered.
    pub(super) fn percentile(&self, hundredths: usize) -> Duration {
        let index = self.latencies.len() * hundredths / 100;
        let last = self.latencies.last().copied().unwrap_or_default();
        self.latencies.get(index).copied().unwrap_or(last)
    }
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const STOPPED: u8 = 2;

/// How long each connection is used before it counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// Drives `work` for `time`. `around` is called when the measured time begins and when it ends. The first answer that
/// is not the wanted one ends it all.
pub(super) fn drive(
    address: SocketAddr,
    work: &Work,
    connections: usize,
    time: Duration,
    mut around: impl FnMut() -> Outcome<()>,
) -> Outcome<Load> {
    let phase = AtomicU8::new(WARMING);
    let failure: Mutex<Option<String>> = Mutex::new(None);
    let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner);
    let mut latencies = Vec::new();
    let mut elapsed = Duration::ZERO;
    std::thread::scope(|scope| -> Outcome<()> {
        let threads: Vec<_> = (0..connections)
            .map(|index| {
                let (phase, failed) = (&phase, &failed);
                scope.spawn(move || {
                    one_connection(address, work, index, phase).unwrap_or_else(|message| {
                        failed().get_or_insert(message);
                        phase.store(STOPPED, Ordering::SeqCst);
                        Vec::new()
                    })
                })
            })
            .collect();
        let measured = (|| {
            pause(WARM_UP, &phase);
            around()?;
            let begin = Instant::now();
            // One that failed has stopped all.
            let _ = phase.compare_exchange(WARMING, MEASURING, Ordering::SeqCst, Ordering::SeqCst);
            pause(time, &phase);
            phase.store(STOPPED, Ordering::SeqCst);
            elapsed = begin.elapsed();
            around()
        })();
        phase.store(STOPPED, Ordering::SeqCst);
        for thread in threads {
            latencies.extend(
                thread
                    .join()
                    .map_err(|_| "the load generator panicked".to_owned())?,
            );
        }
        measured
    })?;
    if let Some(message) = failed().take() {
        return Err(format!("{}: {message}", work.name));
    }
    latencies.sort_unstable();
    Ok(Load {
        requests: latencies.len() as u64,
        elapsed,
        latencies,
    })
}

/// Sleeps, but no longer than the phase lasts.
fn pause(time: Duration, phase: &AtomicU8) {
    let end = Instant::now() + time;
    while phase.load(Ordering::SeqCst) != STOPPED {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// The latencies of the requests that were sent and answered while it was measured.
fn one_connection(
    address: SocketAddr,
    work: &Work,
    index: usize,
    phase: &AtomicU8,
) -> Outcome<Vec<Duration>> {
    let mut connection = Connection::open(address).map_err(|error| format!("no connection: {error}"))?;
    let mut random = Random::new(index as u64);
    let mut latencies = Vec::with_capacity(1 << 16);
    loop {
        let before = phase.load(Ordering::SeqCst);
        if before == STOPPED {
            return Ok(latencies);
        }
        let request = (work.request)(&mut random);
        let start = Instant::now();
        let (status, body) = connection
            .send(&request)
            .map_err(|error| format!("no answer to {}: {error}", first_line(&request)))?;
        let latency = start.elapsed();
        if status != work.status {
            let body = String::from_utf8_lossy(body);
            return Err(format!(
                "{} answered {status}: {}",
                first_line(&request),
                body.trim()
            ));
        }
        if before == MEASURING && phase.load(Ordering::SeqCst) == MEASURING {
            latencies.push(latency);
        }
    }
}

fn first_line(request: &[u8]) -> String {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}

/// Numbers without order (xorshift64*), the same in every run.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ (seed + 1).wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_the_order() {
        let load = Load {
            requests: 200,
            elapsed: Duration::from_secs(2),
            latencies: (1..=200).map(Duration::from_millis).collect(),
        };
        assert_eq!(load.percentile(50), Duration::from_millis(101));
        assert_eq!(load.percentile(99), Duration::from_millis(199));
        assert_eq!(load.percentile(100), Duration::from_millis(200));
        assert!((load.per_second() - 100.0).abs() < f64::EPSILON);
    }

    #[test]
    fn random_numbers_stay_below_their_end() {
        let mut random = Random::new(3);
        let seen: Vec<u64> = (0..1000).map(|_| random.below(10)).collect();
        assert!(seen.iter().all(|number| *number < 10));
        assert!((0..10).all(|number| seen.contains(&number)));
    }
}
