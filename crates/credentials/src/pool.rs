//! Threads for work that holds a core, of lower priority than those that answer requests.
//!
//! Tokio's blocking pool does not do: its threads have the priority of all others, and a burst of logins would share the
//! cores with every request half and half.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use tokio::sync::oneshot;

/// By how much the threads stand back (Unix niceness).
#[cfg(target_os = "linux")]
const NICER_BY: i32 = 10;
/// The most that a thread can stand back.
#[cfg(target_os = "linux")]
const NICEST: i32 = 19;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads that take jobs in turn. They end when the pool is dropped and its jobs are done. Whoever
/// submits must bound how many jobs wait.
pub(crate) struct Pool {
    jobs: Sender<Job>,
    threads: usize,
}

/// A job did not come to its end.
#[derive(Debug)]
pub(crate) struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the work did not come to its end")
    }
}

impl std::error::Error for Lost {}

impl Pool {
    /// A pool of so many threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn new(threads: usize) -> io::Result<Self> {
        let (jobs, waiting) = channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads {
            let waiting = Arc::clone(&waiting);
            Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&waiting))?;
        }
        Ok(Self { jobs, threads })
    }

    /// How many jobs run at once.
    #[cfg(test)]
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs a job when its turn comes. It runs also when the caller has given up.
    ///
    /// # Errors
    /// When it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let (done, outcome) = oneshot::channel();
        let job: Job = Box::new(move || {
            let _ = done.send(job());
        });
        self.jobs.send(job).map_err(|_| Lost)?;
        outcome.await.map_err(|_| Lost)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    stand_back();
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A job that panics takes its answer with it and not the thread.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Lowers the priority of this thread alone, which Linux can. That it cannot be is no reason not to hash.
#[cfg(target_os = "linux")]
fn stand_back() {
    use rustix::process::{getpriority_process, setpriority_process};
    let present = getpriority_process(None).unwrap_or(0);
    let _ = setpriority_process(None, (present + NICER_BY).min(NICEST));
}

/// Elsewhere a priority is the whole process'.
#[cfg(not(target_os = "linux"))]
fn stand_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_run_in_turn_and_a_panic_ends_only_its_own() {
        let pool = Pool::new(1).unwrap();
        assert_eq!(pool.run(|| 1).await.unwrap(), 1);
        assert!(pool.run(|| panic!("a job's own")).await.is_err());
        assert_eq!(pool.run(|| 2).await.unwrap(), 2);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_the_pools_threads_stand_back() {
        let here = || rustix::process::getpriority_process(None).unwrap();
        let before = here();
        let pool = Pool::new(1).unwrap();
        let inside = pool.run(here).await.unwrap();
        assert_eq!(inside, (before + NICER_BY).min(NICEST));
        assert_eq!(here(), before);
    }
}
