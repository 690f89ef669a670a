//! How often passwords and codes may be guessed.
//!
//! Each try takes a token before anything is compared, from a bucket of the account as tried from one client's address,
//! and from one of the account as tried from anywhere; who turns out to be right gets both back. So no more guesses
//! than a bucket holds can run at once. An address that has tried too often is turned away for this account alone. When
//! too many tries came from everywhere, those addresses are turned away from which the account has never been signed
//! in to: nobody can lock a person out of where they work. An address that has no account is treated alike.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use chrono::Duration as Days;
use kernel::{Bucket, Client, Clock, PortError, Rate, RateLimits, Taken, UserId};

use crate::ports::{Secrets, SessionStore};
use crate::session::SecretToken;
use crate::value::EmailAddress;

/// How often guesses are allowed; `None` lifts a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleLimits {
    /// Wrong passwords for one account from one address.
    pub login_per_client: Option<Rate>,
    /// Wrong passwords for one account from everywhere.
    pub login_per_account: Option<Rate>,
    /// Wrong codes for one account from one address.
    pub code_per_client: Option<Rate>,
    /// Wrong codes for one account from everywhere.
    pub code_per_account: Option<Rate>,
}

impl ThrottleLimits {
    /// Wrong passwords for one account from one address in a minute, unless an operator says otherwise.
    pub const LOGINS_PER_MINUTE: u32 = 10;
    /// So many times as many from everywhere together.
    pub const EVERYWHERE_FACTOR: u32 = 10;
    /// Wrong codes for one account from one address.
    pub const CODES: u32 = 10;
    /// Wrong codes for one account from everywhere.
    pub const CODES_EVERYWHERE: u32 = 30;
    /// The time in which codes are granted anew, in seconds.
    pub const CODES_SECS: u64 = 15 * 60;
    /// For how many days an address is known from which the account was signed in to.
    pub const ADDRESS_KNOWN_DAYS: i64 = 30;

    /// No limits: for tests and measurements.
    #[must_use]
    pub const fn lifted() -> Self {
        Self {
            login_per_client: None,
            login_per_account: None,
            code_per_client: None,
            code_per_account: None,
        }
    }

    /// The same with so many wrong passwords a minute from one address, and ten times as many from everywhere.
    #[must_use]
    pub fn with_logins_per_minute(self, logins: u32) -> Self {
        Self {
            login_per_client: Rate::per_minute(logins),
            login_per_account: Rate::per_minute(logins.saturating_mul(Self::EVERYWHERE_FACTOR)),
            ..self
        }
    }
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        let period = Duration::from_secs(Self::CODES_SECS);
        Self {
            code_per_client: Rate::new(Self::CODES, period),
            code_per_account: Rate::new(Self::CODES_EVERYWHERE, period),
            ..Self::lifted()
        }
        .with_logins_per_minute(Self::LOGINS_PER_MINUTE)
    }
}

/// What is guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    Password,
    Code,
}

/// The account that is tried, by the address that was typed: there may be none.
#[derive(Debug, Clone)]
pub(super) struct Target {
    address: String,
    user: Option<UserId>,
}

impl Target {
    /// The account of a well-formed address.
    pub(super) fn of(email: &EmailAddress, user: Option<UserId>) -> Self {
        Self {
            address: email.as_str().to_owned(),
            user,
        }
    }

    /// The account that there is.
    pub(super) fn user(&self) -> Option<UserId> {
        self.user
    }

    /// What was typed and is no address.
    pub(super) fn nobody(typed: &str) -> Self {
        let typed = typed.trim().chars().take(EmailAddress::MAX_CHARS);
        Self {
            address: typed.flat_map(char::to_lowercase).collect(),
            user: None,
        }
    }
}

/// The tokens that a try took.
#[derive(Debug, Default)]
#[must_use = "who is right gets the tokens back"]
pub(super) struct Tokens(Vec<(Bucket, Rate)>);

/// Why a try is not made.
#[derive(Debug)]
pub(super) enum Throttled {
    TooMany { retry_after: Duration },
    Port(PortError),
}

impl From<PortError> for Throttled {
    fn from(error: PortError) -> Self {
        Throttled::Port(error)
    }
}

/// Counts guesses.
pub struct Throttle {
    rates: Arc<dyn RateLimits>,
    sessions: Arc<dyn SessionStore>,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    limits: ThrottleLimits,
}

impl Throttle {
    /// Counts with `rates`; `sessions` knows the addresses from which accounts were signed in to.
    #[must_use]
    pub fn new(
        rates: Arc<dyn RateLimits>,
        sessions: Arc<dyn SessionStore>,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
        limits: ThrottleLimits,
    ) -> Self {
        Self {
            rates,
            sessions,
            secrets,
            clock,
            limits,
        }
    }

    /// Takes what a try costs.
    ///
    /// # Errors
    /// When too many were made; nothing is taken then.
    pub(super) async fn admit(
        &self,
        guess: Guess,
        target: &Target,
        client: &Client,
    ) -> Result<Tokens, Throttled> {
        let ((client_name, per_client), (account_name, per_account)) = match guess {
            Guess::Password => (
                ("login-account-client", self.limits.login_per_client),
                ("login-account", self.limits.login_per_account),
            ),
            Guess::Code => (
                ("code-account-client", self.limits.code_per_client),
                ("code-account", self.limits.code_per_account),
            ),
        };
        let mut tokens = Tokens::default();
        if let Some(rate) = per_client {
            let from = client
                .ip()
                .map_or_else(|| "-".to_owned(), |ip| network(ip).to_string());
            let bucket = self.bucket(client_name, &[&target.address, &from]);
            match self.rates.take(bucket, rate, 1).await? {
                Taken::Granted { .. } => tokens.0.push((bucket, rate)),
                Taken::Refused { retry_after } => return Err(Throttled::TooMany { retry_after }),
            }
        }
        if let Some(rate) = per_account {
            let bucket = self.bucket(account_name, &[&target.address]);
            match self.rates.take(bucket, rate, 1).await? {
                Taken::Granted { .. } => tokens.0.push((bucket, rate)),
                Taken::Refused { retry_after } if !self.knows(target, client).await? => {
                    self.give_back(tokens).await;
                    return Err(Throttled::TooMany { retry_after });
                }
                Taken::Refused { .. } => {}
            }
        }
        Ok(tokens)
    }

    /// Gives back what a try took that was right.
    pub(super) async fn give_back(&self, tokens: Tokens) {
        for (bucket, rate) in tokens.0 {
            // A token that cannot be given back grows again; that is no reason to fail who was right.
            let _ = self.rates.give_back(bucket, rate, 1).await;
        }
    }

    /// Whether the account was signed in to from there. Asked of the store also where there is no account.
    async fn knows(&self, target: &Target, client: &Client) -> Result<bool, PortError> {
        let Some(ip) = client.ip() else {
            return Ok(false);
        };
        let since = self.clock.now() - Days::days(ThrottleLimits::ADDRESS_KNOWN_DAYS);
        let user = target.user.unwrap_or(UserId(uuid::Uuid::nil()));
        self.sessions.has_signed_in_from(user, network(ip), since).await
    }

    fn bucket(&self, name: &'static str, parts: &[&str]) -> Bucket {
        let mut text = String::new();
        for part in parts {
            text.push_str(&format!("{}:{part}", part.len()));
        }
        let hash = self.secrets.sha256(&SecretToken::fresh(text));
        let mut key = [0; 16];
        for (byte, digits) in key.iter_mut().zip(hash.as_str().as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).unwrap_or("0");
            *byte = u8::from_str_radix(digits, 16).unwrap_or(0);
        }
        Bucket { name, key }
    }
}

/// What counts as one client: an address of IPv4, and of IPv6 the /64 that its owner has, as its first address.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}
