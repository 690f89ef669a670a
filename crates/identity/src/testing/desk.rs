//! Every service of the crate over the world in memory.

use kernel::MemoryRateLimits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use events::Subscriber as _;
use kernel::{Clock, IdSource, ManualClock, Role, SequentialIds};

use super::builders::start;
use super::{FakeAccessTokens, FakeHasher, FakeSecrets, FakeTotp, FakeVault, MemoryIdentity, SentMails};
use crate::access::Principal;
use crate::ports::Mail;
use crate::service::{
    AccountLimits, AccountMails, AccountPorts, Accounts, ApiKeyPorts, ApiKeys, Authenticator, CreateUser,
    Credentials, PrincipalCache, Reauthentication, SecondFactor, SecondFactorPorts, Security, SecurityPorts,
    SessionControl, SessionControlPorts, SessionLimits, SessionPorts, Sessions, SignOn, SignOnPorts,
    SignOnSettings, SignedIn, TeamPorts, Teams, Throttle, ThrottleLimits, TwoFactor, TwoFactorLimits,
    TwoFactorPorts, WhyNot, WhyNotPorts,
};
use crate::testing::builders::origin;
use crate::user::{Profile, UserStatus};
use crate::value::PasswordHash;
use kernel::Origin;

/// A help desk's identity part, whole and in memory.
pub struct Desk {
    /// What is stored.
    pub world: Arc<MemoryIdentity>,
    /// The time; stands still until it is moved.
    pub clock: Arc<ManualClock>,
    /// The hasher, which counts.
    pub hasher: Arc<FakeHasher>,
    /// The mails that were sent.
    pub sent: Arc<SentMails>,
    /// Sends mails.
    pub mails: AccountMails,
    told: AtomicUsize,
    /// Accounts.
    pub accounts: Accounts,
    /// Sessions.
    pub sessions: Sessions,
    /// Second factors.
    pub two_factor: TwoFactor,
    /// The vault of their secrets.
    pub vault: Arc<FakeVault>,
    /// The security settings.
    pub security: Security,
    /// Single sign-on.
    pub sign_on: SignOn,
    /// Teams.
    pub teams: Teams,
    /// Proves once more who someone is.
    pub reauthentication: Arc<Reauthentication>,
    /// Programs' keys.
    pub api_keys: ApiKeys,
    /// Ends sessions.
    pub session_control: SessionControl,
    /// Explains.
    pub why_not: WhyNot,
    /// Who is who.
    pub authenticator: Authenticator,
}

impl Desk {
    /// The password of everyone whom [`Desk::person`] makes.
    pub const PASSWORD: &'static str = "seven purple lanterns";

    /// An empty desk.
    #[must_use]
    pub fn new() -> Self {
        Self::with(AccountLimits::default())
    }

    /// An empty desk with these limits.
    #[must_use]
    pub fn with(limits: AccountLimits) -> Self {
        Self::made_of(limits, SignOnSettings::default(), TwoFactorLimits::default())
    }

    /// An empty desk with these providers of single sign-on.
    #[must_use]
    pub fn with_sign_on(settings: SignOnSettings) -> Self {
        Self::made_of(AccountLimits::default(), settings, TwoFactorLimits::default())
    }

    /// An empty desk with these limits of second factors.
    #[must_use]
    pub fn with_two_factor(limits: TwoFactorLimits) -> Self {
        Self::made_of(AccountLimits::default(), SignOnSettings::default(), limits)
    }

    fn made_of(limits: AccountLimits, settings: SignOnSettings, two_factor: TwoFactorLimits) -> Self {
        let sent = Arc::new(SentMails::default());
        let world = Arc::new(MemoryIdentity::new());
        let manual_clock = Arc::new(ManualClock::at(start()));
        let clock: Arc<dyn Clock> = manual_clock.clone();
        let hasher = Arc::new(FakeHasher::default());
        let secrets = Arc::new(FakeSecrets::default());
        let tokens = Arc::new(FakeAccessTokens);
        let ids: Arc<dyn IdSource> = Arc::new(SequentialIds::default());
        let cache = Arc::new(PrincipalCache::new());
        let throttle = Arc::new(Throttle::new(
            Arc::new(MemoryRateLimits::new(clock.clone())),
            world.clone(),
            secrets.clone(),
            clock.clone(),
            ThrottleLimits::default(),
        ));
        let reauthentication = Arc::new(Reauthentication::new(
            world.clone(),
            world.clone(),
            hasher.clone(),
            throttle.clone(),
            clock.clone(),
            ids.clone(),
        ));
        let account_ports = AccountPorts {
            users: world.clone(),
            setup: world.clone(),
            tokens: world.clone(),
            reauthentication: reauthentication.clone(),
            hasher: hasher.clone(),
            secrets: secrets.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let vault = Arc::new(FakeVault::default());
        let second_factor_ports = SecondFactorPorts {
            store: world.clone(),
            vault: vault.clone(),
            totp: Arc::new(FakeTotp),
            secrets: secrets.clone(),
        };
        let second_factor = Arc::new(SecondFactor::new(second_factor_ports, two_factor));
        let two_factor_ports = TwoFactorPorts {
            users: world.clone(),
            security: world.clone(),
            reauthentication: reauthentication.clone(),
            second_factor: second_factor.clone(),
            throttle: throttle.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let security_ports = SecurityPorts {
            store: world.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let session_ports = SessionPorts {
            users: world.clone(),
            sessions: world.clone(),
            hasher: hasher.clone(),
            tokens: tokens.clone(),
            secrets: secrets.clone(),
            second_factor,
            throttle,
            clock: clock.clone(),
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let sign_on_ports = SignOnPorts {
            users: world.clone(),
            store: world.clone(),
            sessions: Arc::new(Sessions::new(session_ports.clone(), SessionLimits::default())),
            secrets: secrets.clone(),
            vault: vault.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let team_ports = TeamPorts {
            teams: world.clone(),
            users: world.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let key_ports = ApiKeyPorts {
            keys: world.clone(),
            reauthentication: reauthentication.clone(),
            secrets: session_ports.secrets.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let control_ports = SessionControlPorts {
            sessions: world.clone(),
            clock: clock.clone(),
            ids,
            cache: cache.clone(),
        };
        let why_not_ports = WhyNotPorts {
            users: world.clone(),
            teams: world.clone(),
            people: world.clone(),
        };
        let authenticator = Authenticator::new(tokens, world.clone(), clock.clone(), cache)
            .accepting_keys(world.clone(), session_ports.secrets.clone());
        Self {
            mails: AccountMails::new(
                world.clone(),
                world.clone(),
                secrets.clone(),
                sent.clone(),
                clock.clone(),
            ),
            sent,
            told: AtomicUsize::new(0),
            accounts: Accounts::new(account_ports, limits),
            sessions: Sessions::new(session_ports, SessionLimits::default()),
            two_factor: TwoFactor::new(two_factor_ports),
            vault,
            security: Security::new(security_ports),
            sign_on: SignOn::new(sign_on_ports, settings),
            teams: Teams::new(team_ports),
            reauthentication: reauthentication.clone(),
            api_keys: ApiKeys::new(key_ports),
            session_control: SessionControl::new(control_ports),
            why_not: WhyNot::new(why_not_ports),
            authenticator,
            world,
            clock: manual_clock,
            hasher,
        }
    }

    /// Hands what was published since the last time to the subscriber that sends mails, and gives these.
    ///
    /// # Panics
    /// When it fails.
    pub async fn mailed(&self) -> Vec<Mail> {
        let events = self.world.events();
        let told = self.told.swap(events.len(), Ordering::Relaxed);
        for event in events.iter().skip(told) {
            if let Err(error) = self.mails.handle(event).await {
                panic!("{event:?} was not told: {error}");
            }
        }
        self.sent.take()
    }

    /// Puts an account of `role` there, without any event, that logs in with `name`@example.com and
    /// [`Desk::PASSWORD`].
    pub fn person(&self, name: &str, role: Role) -> Profile {
        let mut user = super::builders::user(role);
        user.email = super::builders::email(&format!("{name}@example.com"));
        user.name = super::builders::name(name);
        user.password_hash = PasswordHash::from_phc(format!("$fake$0${}", Self::PASSWORD));
        user.status = UserStatus::Active;
        user.email_verified_at = Some(user.created_at);
        let profile = user.profile();
        self.world.put_user(user);
        profile
    }

    /// Logs the person of [`Desk::person`] in.
    ///
    /// # Panics
    /// When that fails.
    pub async fn log_in(&self, name: &str) -> SignedIn {
        let credentials = Credentials {
            email: format!("{name}@example.com"),
            password: Self::PASSWORD.to_owned(),
            totp: None,
        };
        match self.sessions.login(credentials, origin()).await {
            Ok(signed_in) => signed_in,
            Err(error) => panic!("{name} cannot log in: {error}"),
        }
    }

    /// Logs the person of [`Desk::person`] in and authenticates them.
    ///
    /// # Panics
    /// When that fails.
    pub async fn principal(&self, name: &str) -> Principal {
        let signed_in = self.log_in(name).await;
        match self
            .authenticator
            .authenticate(signed_in.access_token.expose(), Origin::default())
            .await
        {
            Ok(principal) => principal,
            Err(error) => panic!("{name} is nobody: {error}"),
        }
    }

    /// An administrator's command to make an account.
    #[must_use]
    pub fn create_user(email: &str, role: Role) -> CreateUser {
        CreateUser {
            email: email.to_owned(),
            name: "New Person".to_owned(),
            role,
            password: Some(Self::PASSWORD.to_owned()),
        }
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}
