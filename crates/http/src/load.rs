//! How many requests the process works on at once.
//!
//! Beyond the bound a request is turned away at once, with 503 and `Retry-After`, instead of making all the
//! others wait: an overloaded server that still answers some in time is of more use than one that answers all
//! too late. A request whose body still has to arrive holds no place meanwhile, so slow senders cannot take
//! them all.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::http::StatusCode;

use crate::problem::Problem;

/// How long a client that was turned away should wait, in seconds.
const RETRY_AFTER_SHED_SECS: u32 = 1;

/// The places of a process.
#[derive(Debug)]
pub(crate) struct Load {
    requests_max: usize,
    running: AtomicUsize,
}

impl Load {
    /// So many places, all of them free.
    pub(crate) fn new(requests_max: usize) -> Arc<Self> {
        Arc::new(Self {
            requests_max,
            running: AtomicUsize::new(0),
        })
    }
}

/// A request's claim to a place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    load: Arc<Load>,
    taken: Cell<bool>,
}

impl Place {
    /// Takes a place.
    ///
    /// # Errors
    /// 503 `server.overloaded` when there is none.
    pub(crate) fn take(load: &Arc<Load>) -> Result<Self, Problem> {
        let place = Self {
            load: Arc::clone(load),
            taken: Cell::new(false),
        };
        place.retake()?;
        Ok(place)
    }

    /// Gives the place up for as long as the request waits for its client.
    pub(crate) fn leave(&self) {
        if self.taken.replace(false) {
            self.load.running.fetch_sub(1, Ordering::Relaxed);
            metrics::gauge!("http_requests_in_flight").decrement(1.0);
        }
    }

    /// Takes a place again.
    ///
    /// # Errors
    /// 503 `server.overloaded` when there is none any more.
    pub(crate) fn retake(&self) -> Result<(), Problem> {
        if self.taken.get() {
            return Ok(());
        }
        let Load {
            requests_max,
            running,
        } = &*self.load;
        // Counted first and looked at then, so that two cannot take the last place.
        if running.fetch_add(1, Ordering::Relaxed) >= *requests_max {
            running.fetch_sub(1, Ordering::Relaxed);
            metrics::counter!("http_requests_shed_total").increment(1);
            let detail = "The server has more to do than it can; try again shortly.";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server.overloaded", detail);
            return Err(problem.with_retry_after(RETRY_AFTER_SHED_SECS));
        }
        self.taken.set(true);
        metrics::gauge!("http_requests_in_flight").increment(1.0);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_request_ends_or_waits_for_its_client() {
        let load = Load::new(2);
        let (one, two) = (Place::take(&load).unwrap(), Place::take(&load).unwrap());
        let refused = Place::take(&load).unwrap_err();
        assert_eq!(
            (refused.status().as_u16(), refused.code()),
            (503, "server.overloaded")
        );
        drop(two);
        one.leave();
        let (three, _four) = (Place::take(&load).unwrap(), Place::take(&load).unwrap());
        assert_eq!(one.retake().unwrap_err().code(), "server.overloaded");
        drop(three);
        one.retake().unwrap();
        one.retake().unwrap();
        assert_eq!(load.running.load(Ordering::Relaxed), 2);
    }
}
