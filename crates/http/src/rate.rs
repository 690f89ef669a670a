//! How often the API can be called.
//!
//! All nodes count together, through the port [`RateLimits`]. There are two kinds of gate:
//! - A [`Gate`] stands before what a stranger may try (to log in, to register, to have a mail sent). It asks the shared
//!   store for each request. When the store cannot answer it stays shut: 503.
//! - A [`PrepaidGate`] stands before all that a signed-in caller asks for. It takes tokens from the caller's shared
//!   bucket in batches and spends them here, so that the usual request costs no statement. When the store cannot answer
//!   it lets everything through: the request itself will find out what is wrong.
//!
//! Beyond its rate a gate answers 429 with `Retry-After`, and each tells the rest in the headers `RateLimit` and
//! `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers). A rate that is `None` lets everything through.
//!
//! To add a gate: a field of [`RateSettings`] and one of [`Gates`], and a line at the beginning of the handler.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use kernel::{Bucket, PortError, Rate, RateLimits, Taken};
use uuid::Uuid;

use crate::context::RequestContext;
use crate::problem::Problem;

/// A node buys at most this part of what a caller may do in the rate's time.
const BATCHES_PER_RATE: u32 = 20;
/// Tokens that were bought and not spent by then go back.
const PREPAID_LIFE: Duration = Duration::from_secs(5);
/// After the store failed, callers pass for so long without it being asked again.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The most callers whose tokens one gate keeps; of those who came longest ago they are forgotten.
const PURSES_MAX: usize = 20_000;
/// How long a client should wait before it tries what could not be counted.
const RETRY_AFTER_UNCOUNTED_SECS: u32 = 2;

/// The rates of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSettings {
    /// Logins from one address.
    pub login_per_address: Option<Rate>,
    /// Registrations from one address.
    pub register_per_address: Option<Rate>,

    /// Codes of second factors from one address.
    pub verify_code_per_address: Option<Rate>,
    /// Single sign-ons from one address.
    pub sign_on_per_address: Option<Rate>,
    /// Refreshes from one address.
    pub refresh_per_address: Option<Rate>,
    /// Tries at the first setup from one address.
    pub setup_per_address: Option<Rate>,
    /// All requests of one person, whatever session or key they come through.
    pub caller: Option<Rate>,
    /// Tickets that one person opens.
    pub tickets_per_caller: Option<Rate>,
    /// Mails with links that are asked for, and links that are used, from one address.
    pub mailed_links_per_address: Option<Rate>,
}

impl RateSettings {
    /// No limits: for tests and measurements.
    #[must_use]
    pub const fn lifted() -> Self {
        Self {
            login_per_address: None,
            register_per_address: None,
            verify_code_per_address: None,
            sign_on_per_address: None,
            refresh_per_address: None,
            setup_per_address: None,
            caller: None,
            tickets_per_caller: None,
            mailed_links_per_address: None,
        }
    }
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            login_per_address: Rate::per_minute(30),
            register_per_address: Rate::per_minute(10),
            verify_code_per_address: Rate::per_minute(30),
            sign_on_per_address: Rate::per_minute(60),
            refresh_per_address: Rate::per_minute(120),
            setup_per_address: Rate::per_minute(5),
            caller: Rate::per_minute(1_200),
            tickets_per_caller: Rate::per_minute(60),
            mailed_links_per_address: Rate::per_minute(20),
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

    /// Codes of second factors by address.
    pub verify_code: Gate,
    /// Single sign-ons by address.
    pub sign_on: Gate,
    /// Refreshes by address.
    pub refresh: Gate,
    /// The first setup by address.
    pub setup: Gate,
    /// All requests by person.
    pub caller: PrepaidGate,
    /// Tickets opened by person.
    pub tickets: PrepaidGate,
    /// What goes by mail, by address.
    pub mailed_links: Gate,
}

impl Gates {
    /// The gates with the rates of `settings`, counted in `limits`.
    #[must_use]
    pub fn new(settings: &RateSettings, limits: &Arc<dyn RateLimits>) -> Self {
        let RateSettings {
            login_per_address,
            register_per_address,
            verify_code_per_address,
            sign_on_per_address,
            refresh_per_address,
            setup_per_address,
            caller,
            tickets_per_caller,
            mailed_links_per_address,
        } = *settings;
        let gate = |name, rate| Gate::new(name, rate, Arc::clone(limits));
        let prepaid = |name, rate| PrepaidGate::new(name, rate, Arc::clone(limits));
        Self {
            login_address: gate("login", login_per_address),
            register: gate("register", register_per_address),
            verify_code: gate("verify-code", verify_code_per_address),
            sign_on: gate("sign-on", sign_on_per_address),
            refresh: gate("refresh", refresh_per_address),
            setup: gate("setup", setup_per_address),
            caller: prepaid("caller", caller),
            tickets: prepaid("tickets", tickets_per_caller),
            mailed_links: gate("mailed-links", mailed_links_per_address),
        }
    }
}

/// Lets strangers' requests through as long as they do not come too often; asks the shared store for each.
pub struct Gate {
    name: &'static str,
    rate: Option<Rate>,
    limits: Arc<dyn RateLimits>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("name", &self.name)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

impl Gate {
    fn new(name: &'static str, rate: Option<Rate>, limits: Arc<dyn RateLimits>) -> Self {
        Self { name, rate, limits }
    }

    /// Counts a request from an address. IPv6 clients own a /64 and are counted by it.
    ///
    /// # Errors
    /// 429 beyond the rate, 503 when it cannot be counted.
    pub async fn pass_address(&self, context: &RequestContext, address: IpAddr) -> Result<(), Problem> {
        let key = match address.to_canonical() {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits() >> 64 << 64,
        };
        self.pass(context, key.to_be_bytes()).await
    }

    async fn pass(&self, context: &RequestContext, key: [u8; 16]) -> Result<(), Problem> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let bucket = Bucket { name: self.name, key };
        match self.limits.take(bucket, rate, 1).await {
            Ok(Taken::Granted { left }) => {
                tell(context, self.name, rate, left, rate.step());
                Ok(())
            }
            Ok(Taken::Refused { retry_after }) => Err(refused(context, self.name, rate, retry_after)),
            Err(error) => Err(uncounted(error)),
        }
    }
}

/// Lets callers' requests through as long as they do not come too often; the usual request asks nobody.
///
/// A caller's tokens are bought from the shared bucket, at first one, then twice as many each time, up to a twentieth of
/// the rate: whoever asks seldom takes little, and whoever asks often costs few statements. What is not spent within
/// five seconds goes back at the caller's next request. So a node holds at most one batch that the bucket may have
/// filled up for meanwhile, and all nodes together let through no more than the rate and a batch each.
pub struct PrepaidGate {
    name: &'static str,
    rate: Option<Rate>,
    batch_max: u32,
    limits: Arc<dyn RateLimits>,
    purses: Mutex<Purses>,
}

impl fmt::Debug for PrepaidGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrepaidGate")
            .field("name", &self.name)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

type SharedPurse = Arc<tokio::sync::Mutex<Purse>>;

/// Purses of two generations: once the younger one has half of all, the older one is dropped.
#[derive(Default)]
struct Purses {
    young: HashMap<Uuid, SharedPurse>,
    old: HashMap<Uuid, SharedPurse>,
}

impl Purses {
    fn of(&mut self, caller: Uuid, purses_max: usize) -> SharedPurse {
        if let Some(purse) = self.young.get(&caller) {
            return Arc::clone(purse);
        }
        if self.young.len() >= purses_max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        let purse = self.old.remove(&caller).unwrap_or_default();
        self.young.insert(caller, Arc::clone(&purse));
        purse
    }
}

/// What a node holds of one caller's bucket.
#[derive(Debug, Default)]
struct Purse {
    /// Bought and not spent.
    tokens: u32,
    /// What was left in the bucket when they were bought.
    in_bucket: u32,
    /// How many were bought the last time.
    batch: u32,
    /// When they go back.
    lapses: Option<Instant>,
    /// Until then there is nothing to be had.
    refused_until: Option<Instant>,
    /// Until then the store is not asked.
    uncounted_until: Option<Instant>,
}

impl PrepaidGate {
    fn new(name: &'static str, rate: Option<Rate>, limits: Arc<dyn RateLimits>) -> Self {
        let batch_max = rate.map_or(1, |rate| (rate.requests.get() / BATCHES_PER_RATE).max(1));
        Self {
            name,
            rate,
            batch_max,
            limits,
            purses: Mutex::default(),
        }
    }

    /// Counts a request of a caller.
    ///
    /// # Errors
    /// 429 beyond the rate.
    pub async fn pass(&self, context: &RequestContext, caller: Uuid) -> Result<(), Problem> {
        self.pass_at(context, caller, Instant::now()).await
    }

    async fn pass_at(&self, context: &RequestContext, caller: Uuid, now: Instant) -> Result<(), Problem> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let purse = {
            let mut purses = self.purses.lock().unwrap_or_else(PoisonError::into_inner);
            purses.of(caller, PURSES_MAX)
        };
        // Others of the same caller wait here while one buys, instead of buying, too.
        let mut purse = purse.lock().await;
        if purse.uncounted_until.is_some_and(|until| now < until) {
            return Ok(());
        }
        if let Some(wait) = purse
            .refused_until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|wait| !wait.is_zero())
        {
            return Err(refused(context, self.name, rate, wait));
        }
        let bucket = Bucket {
            name: self.name,
            key: *caller.as_bytes(),
        };
        match self.spend(&mut purse, bucket, rate, now).await {
            Ok(Taken::Granted { left }) => {
                tell(context, self.name, rate, left, rate.step());
                Ok(())
            }
            Ok(Taken::Refused { retry_after }) => {
                purse.refused_until = now.checked_add(retry_after);
                Err(refused(context, self.name, rate, retry_after))
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    gate = self.name,
                    "requests cannot be counted and are let through"
                );
                *purse = Purse {
                    uncounted_until: now.checked_add(STORE_PAUSE),
                    ..Purse::default()
                };
                Ok(())
            }
        }
    }

    /// Spends a token, after it bought some if there is none.
    async fn spend(
        &self,
        purse: &mut Purse,
        bucket: Bucket,
        rate: Rate,
        now: Instant,
    ) -> Result<Taken, PortError> {
        if purse.lapses.is_some_and(|lapses| lapses <= now) {
            let unspent = std::mem::take(purse).tokens;
            if unspent > 0 {
                self.limits.give_back(bucket, rate, unspent).await?;
            }
        }
        if purse.tokens == 0 {
            let wish = purse.batch.saturating_mul(2).clamp(1, self.batch_max);
            let mut batch = match purse.lapses {
                // No more than there was the last time, so that all is not refused for want of a part.
                Some(_) => wish.min(purse.in_bucket.max(1)),
                None => 1,
            };
            let mut taken = self.limits.take(bucket, rate, batch).await?;
            if batch > 1 && matches!(taken, Taken::Refused { .. }) {
                batch = 1;
                taken = self.limits.take(bucket, rate, batch).await?;
            }
            match taken {
                Taken::Granted { left } => {
                    *purse = Purse {
                        tokens: batch,
                        in_bucket: left,
                        batch,
                        lapses: now.checked_add(PREPAID_LIFE),
                        refused_until: None,
                        uncounted_until: None,
                    };
                }
                Taken::Refused { .. } => return Ok(taken),
            }
        }
        purse.tokens -= 1;
        Ok(Taken::Granted {
            left: purse.in_bucket.saturating_add(purse.tokens),
        })
    }
}

fn refused(context: &RequestContext, name: &str, rate: Rate, wait: Duration) -> Problem {
    tell(context, name, rate, 0, wait);
    let secs = whole_secs(wait);
    let unit = if secs == 1 { "second" } else { "seconds" };
    let detail = format!("Too many requests; wait {secs} {unit}.");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "request.rate_limited", detail).with_retry_after(secs)
}

fn uncounted(error: PortError) -> Problem {
    let detail = "The server cannot count requests just now, and lets none through here until it can.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server.unavailable", detail)
        .with_retry_after(RETRY_AFTER_UNCOUNTED_SECS)
        .with_cause(error)
}

/// Rounded up, and at least one.
fn whole_secs(wait: Duration) -> u32 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    u32::try_from(wait.as_secs().saturating_add(begun))
        .unwrap_or(u32::MAX)
        .max(1)
}

fn tell(context: &RequestContext, name: &str, rate: Rate, left: u32, wait: Duration) {
    let policy = format!("\"{name}\";q={};w={}", rate.requests, rate.per.as_secs());
    let rest = format!("\"{name}\";r={left};t={}", whole_secs(wait));
    for (header, value) in [("ratelimit-policy", policy), ("ratelimit", rest)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            context.add_header(HeaderName::from_static(header), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use chrono::{DateTime, TimeDelta};
    use futures_util::future::join_all;
    use kernel::{ManualClock, MemoryRateLimits};

    use super::*;

    fn context() -> std::rc::Rc<RequestContext> {
        RequestContext::new("r".to_owned(), Duration::from_secs(1))
    }

    /// A shared store that counts what it is asked, and may be down.
    struct Store {
        limits: MemoryRateLimits,
        clock: Arc<ManualClock>,
        asked: AtomicU32,
        down: std::sync::atomic::AtomicBool,
    }

    impl Store {
        fn new() -> Arc<Self> {
            let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
            Arc::new(Self {
                limits: MemoryRateLimits::new(clock.clone()),
                clock,
                asked: AtomicU32::new(0),
                down: false.into(),
            })
        }

        fn asked(&self) -> u32 {
            self.asked.swap(0, Ordering::Relaxed)
        }

        fn ask(&self) -> Result<(), PortError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.down.load(Ordering::Relaxed) {
                let source = "down".into();
                return Err(PortError::Unavailable {
                    port: "rates",
                    source,
                });
            }
            Ok(())
        }
    }

    #[async_trait]
    impl RateLimits for Store {
        async fn take(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<Taken, PortError> {
            self.ask()?;
            self.limits.take(bucket, rate, count).await
        }

        async fn give_back(&self, bucket: Bucket, rate: Rate, count: u32) -> Result<(), PortError> {
            self.ask()?;
            self.limits.give_back(bucket, rate, count).await
        }
    }

    fn gate(requests: u32) -> (Gate, Arc<Store>) {
        let store = Store::new();
        (
            Gate::new("login", Rate::per_minute(requests), store.clone()),
            store,
        )
    }

    fn prepaid(store: &Arc<Store>, requests: u32) -> PrepaidGate {
        PrepaidGate::new("caller", Rate::per_minute(requests), store.clone())
    }

    fn caller(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[actix_web::test]
    async fn a_gate_shuts_for_the_one_who_comes_too_often() {
        let (gate, _) = gate(2);
        let (here, there) = ("203.0.113.1".parse().unwrap(), "203.0.113.2".parse().unwrap());
        assert!(gate.pass_address(&context(), here).await.is_ok());
        assert!(gate.pass_address(&context(), here).await.is_ok());
        let told = context();
        let problem = gate.pass_address(&told, here).await.unwrap_err();
        assert_eq!(
            (problem.status().as_u16(), problem.code()),
            (429, "request.rate_limited")
        );
        assert!(gate.pass_address(&context(), there).await.is_ok());
        let headers = told.take_headers();
        assert_eq!(headers[0].1, "\"login\";q=2;w=60");
        assert_eq!(headers[1].1, "\"login\";r=0;t=30");
    }

    #[actix_web::test]
    async fn one_network_of_ipv6_counts_as_one() {
        let (gate, _) = gate(1);
        for (address, passes) in [
            ("2001:db8::1", true),
            ("2001:db8::2", false),
            ("2001:db8:0:1::1", true),
            ("203.0.113.1", true),
            ("::ffff:203.0.113.1", false),
        ] {
            let passed = gate.pass_address(&context(), address.parse().unwrap()).await;
            assert_eq!(passed.is_ok(), passes, "{address}");
        }
    }

    #[actix_web::test]
    async fn a_lifted_gate_says_and_asks_nothing() {
        let store = Store::new();
        let told = context();
        let gate = Gate::new("login", None, store.clone());
        let prepaid = PrepaidGate::new("caller", None, store.clone());
        for _ in 0..1000 {
            gate.pass_address(&told, std::net::Ipv4Addr::LOCALHOST.into())
                .await
                .unwrap();
            prepaid.pass(&told, caller(1)).await.unwrap();
        }
        assert!(told.take_headers().is_empty());
        assert_eq!(store.asked(), 0);
    }

    #[actix_web::test]
    async fn without_the_store_strangers_wait_and_callers_pass() {
        let (gate, store) = gate(5);
        store.down.store(true, Ordering::Relaxed);
        let problem = gate
            .pass_address(&context(), std::net::Ipv4Addr::LOCALHOST.into())
            .await
            .unwrap_err();
        assert_eq!(
            (problem.status().as_u16(), problem.code()),
            (503, "server.unavailable")
        );
        store.asked();
        let prepaid = prepaid(&store, 1);
        let now = Instant::now();
        for _ in 0..10 {
            prepaid.pass_at(&context(), caller(1), now).await.unwrap();
        }
        assert_eq!(
            store.asked(),
            1,
            "it is not asked again and again while it is down"
        );
        store.down.store(false, Ordering::Relaxed);
        let later = now + STORE_PAUSE;
        assert!(prepaid.pass_at(&context(), caller(1), later).await.is_ok());
        assert!(prepaid.pass_at(&context(), caller(1), later).await.is_err());
    }

    #[actix_web::test]
    async fn a_hundred_requests_of_one_caller_ask_the_store_a_few_times() {
        let store = Store::new();
        let gate = prepaid(&store, 1_200);
        let now = Instant::now();
        for _ in 0..100 {
            gate.pass_at(&context(), caller(1), now).await.unwrap();
        }
        assert_eq!(store.asked(), 7, "for 1, 2, 4, 8, 16, 32 and 60 tokens");
        let together = (0..60).map(|_| async { gate.pass_at(&context(), caller(2), now).await });
        assert!(join_all(together).await.iter().all(Result::is_ok));
        assert_eq!(store.asked(), 6, "those who come at once buy once, too");
    }

    #[actix_web::test]
    async fn nodes_together_let_through_what_the_bucket_holds() {
        let store = Store::new();
        let nodes = [prepaid(&store, 100), prepaid(&store, 100), prepaid(&store, 100)];
        let now = Instant::now();
        let mut passed = 0;
        for round in 0..200 {
            if nodes[round % 3].pass_at(&context(), caller(1), now).await.is_ok() {
                passed += 1;
            }
        }
        assert!((100 - 3 * 5..=100).contains(&passed), "{passed}");
        store.asked();
        for _ in 0..100 {
            assert!(nodes[0].pass_at(&context(), caller(1), now).await.is_err());
        }
        assert!(
            store.asked() <= 2,
            "who is refused costs nothing until the time is up"
        );
        assert!(nodes[0].pass_at(&context(), caller(2), now).await.is_ok());
    }

    #[actix_web::test]
    async fn tokens_that_were_not_spent_go_back() {
        let store = Store::new();
        let gate = prepaid(&store, 400);
        let (mut now, rate) = (Instant::now(), Rate::per_minute(400).unwrap());
        let bucket = Bucket {
            name: "caller",
            key: *caller(1).as_bytes(),
        };
        // Bursts of 20 every six seconds: half of the rate.
        for burst in 0..50 {
            for _ in 0..20 {
                let passed = gate.pass_at(&context(), caller(1), now).await;
                assert!(passed.is_ok(), "burst {burst}");
            }
            now += PREPAID_LIFE + Duration::from_secs(1);
            store.clock.advance(TimeDelta::seconds(6));
        }
        assert!(gate.pass_at(&context(), caller(1), now).await.is_ok());
        let left = store.limits.take(bucket, rate, 1).await.unwrap();
        assert!(matches!(left, Taken::Granted { left } if left >= 390), "{left:?}");
    }

    #[test]
    fn the_purses_of_those_who_stay_away_are_forgotten() {
        let mut purses = Purses::default();
        let faithful = purses.of(caller(0), 10);
        for n in 1..1_000 {
            purses.of(caller(n), 10);
            assert!(Arc::ptr_eq(&faithful, &purses.of(caller(0), 10)));
            assert!(purses.young.len() + purses.old.len() <= 10);
        }
    }
}
