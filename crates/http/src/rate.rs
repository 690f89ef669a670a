//! How often what a stranger may call can be called.
//!
//! Each [`Gate`] counts by address; guesses at one account are `identity`'s matter. It promises 429 with `Retry-After` beyond its
//! rate, and tells the rest in the headers `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers). Each node counts for itself. A rate that is `None` lets everything through.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::context::RequestContext;
use crate::problem::Problem;

/// After so many checks, keys that are at rest are forgotten.
const CHECKS_PER_SWEEP: u32 = 4096;

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number of requests, all of which may come at once.
    pub requests: NonZeroU32,
    /// The time in which they are granted anew.
    pub per: Duration,
}

impl Rate {
    /// `requests` a minute; none at all for 0.
    #[must_use]
    pub fn per_minute(requests: u32) -> Option<Self> {
        NonZeroU32::new(requests).map(|requests| Self {
            requests,
            per: Duration::from_secs(60),
        })
    }
}

/// The rates of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSettings {
    /// Logins from one address.
    pub login_per_address: Option<Rate>,
    /// Registrations from one address.
    pub register_per_address: Option<Rate>,
    /// Refreshes from one address.
    pub refresh_per_address: Option<Rate>,
    /// Tries at the first setup from one address.
    pub setup_per_address: Option<Rate>,
}

impl RateSettings {
    /// No limits: for tests and measurements.
    #[must_use]
    pub const fn lifted() -> Self {
        Self {
            login_per_address: None,
            register_per_address: None,
            refresh_per_address: None,
            setup_per_address: None,
        }
    }
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            login_per_address: Rate::per_minute(30),
            register_per_address: Rate::per_minute(10),
            refresh_per_address: Rate::per_minute(120),
            setup_per_address: Rate::per_minute(5),
        }
    }
}

/// Every gate.
#[derive(Debug)]
pub struct Gates {
    /// Logins by address.
    pub login_address: Gate,
    /// Registrations by address.
    pub register: Gate,
    /// Refreshes by address.
    pub refresh: Gate,
    /// The first setup by address.
    pub setup: Gate,
}

impl Gates {
    /// The gates with the rates of `settings`.
    #[must_use]
    pub fn new(settings: &RateSettings) -> Self {
        let RateSettings {
            login_per_address,
            register_per_address,
            refresh_per_address,
            setup_per_address,
        } = *settings;
        Self {
            login_address: Gate::new("login", login_per_address),
            register: Gate::new("register", register_per_address),
            refresh: Gate::new("refresh", refresh_per_address),
            setup: Gate::new("setup", setup_per_address),
        }
    }
}

type Limiter = RateLimiter<u128, DefaultKeyedStateStore<u128>, DefaultClock, StateInformationMiddleware>;

/// Lets requests through as long as they do not come too often.
#[derive(Debug)]
pub struct Gate {
    name: &'static str,
    limit: Option<(Rate, Limiter)>,
    checks: AtomicU32,
}

impl Gate {
    fn new(name: &'static str, rate: Option<Rate>) -> Self {
        let limit = rate.and_then(|rate| {
            let quota = Quota::with_period(rate.per / rate.requests.get())?.allow_burst(rate.requests);
            Some((rate, RateLimiter::keyed(quota).with_middleware()))
        });
        Self {
            name,
            limit,
            checks: AtomicU32::new(0),
        }
    }

    /// Counts a request from an address. IPv6 clients own a /64 and are counted by it.
    ///
    /// # Errors
    /// 429 beyond the rate.
    pub fn pass_address(&self, context: &RequestContext, address: IpAddr) -> Result<(), Problem> {
        let key = match address.to_canonical() {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits() >> 64 << 64,
        };
        self.pass(context, key)
    }

    fn pass(&self, context: &RequestContext, key: u128) -> Result<(), Problem> {
        let Some((rate, limiter)) = &self.limit else {
            return Ok(());
        };
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_PER_SWEEP == CHECKS_PER_SWEEP - 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        match limiter.check_key(&key) {
            Ok(state) => {
                let step_secs = (rate.per / rate.requests.get()).as_secs_f64().ceil();
                self.tell(context, rate, state.remaining_burst_capacity(), step_secs);
                Ok(())
            }
            Err(until) => {
                let wait = until.wait_time_from(limiter.clock().now());
                let wait_secs = wait.as_secs_f64().ceil().max(1.0);
                self.tell(context, rate, 0, wait_secs);
                let detail = format!("Too many requests; wait {wait_secs} seconds.");
                let secs = u32::try_from(wait.as_secs())
                    .unwrap_or(u32::MAX)
                    .saturating_add(1);
                Err(
                    Problem::new(StatusCode::TOO_MANY_REQUESTS, "request.rate_limited", detail)
                        .with_retry_after(secs),
                )
            }
        }
    }

    fn tell(&self, context: &RequestContext, rate: &Rate, left: u32, wait_secs: f64) {
        let name = self.name;
        let policy = format!("\"{name}\";q={};w={}", rate.requests, rate.per.as_secs());
        let rest = format!("\"{name}\";r={left};t={wait_secs}");
        for (header, value) in [("ratelimit-policy", policy), ("ratelimit", rest)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                context.add_header(HeaderName::from_static(header), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> std::rc::Rc<RequestContext> {
        RequestContext::new("r".to_owned(), Duration::from_secs(1))
    }

    #[test]
    fn a_gate_shuts_for_the_one_who_comes_too_often() {
        let gate = Gate::new("login", Rate::per_minute(2));
        let (here, there) = ("203.0.113.1".parse().unwrap(), "203.0.113.2".parse().unwrap());
        assert!(gate.pass_address(&context(), here).is_ok());
        assert!(gate.pass_address(&context(), here).is_ok());
        let told = context();
        let problem = gate.pass_address(&told, here).unwrap_err();
        assert_eq!(
            (problem.status().as_u16(), problem.code()),
            (429, "request.rate_limited")
        );
        assert!(gate.pass_address(&context(), there).is_ok());
        let headers = told.take_headers();
        assert_eq!(headers[0].1, "\"login\";q=2;w=60");
        assert!(
            headers[1].1.to_str().unwrap().starts_with("\"login\";r=0;t="),
            "{headers:?}"
        );
    }

    #[test]
    fn one_network_of_ipv6_counts_as_one() {
        let gate = Gate::new("login", Rate::per_minute(1));
        assert!(
            gate.pass_address(&context(), "2001:db8::1".parse().unwrap())
                .is_ok()
        );
        assert!(
            gate.pass_address(&context(), "2001:db8::2".parse().unwrap())
                .is_err()
        );
        assert!(
            gate.pass_address(&context(), "2001:db8:0:1::1".parse().unwrap())
                .is_ok()
        );
    }

    #[test]
    fn a_lifted_gate_says_nothing() {
        let (gate, told) = (Gate::new("login", None), context());
        for _ in 0..1000 {
            gate.pass_address(&told, std::net::Ipv4Addr::LOCALHOST.into())
                .unwrap();
        }
        assert!(told.take_headers().is_empty());
    }
}
