//! Every service of the crate over the world in memory.

use std::sync::Arc;

use kernel::{Clock, IdSource, ManualClock, Role, SequentialIds};

use super::builders::start;
use super::{FakeAccessTokens, FakeHasher, FakeSeal, FakeSecrets, MemoryIdentity};
use crate::access::Principal;
use crate::service::{
    AccountLimits, AccountPorts, Accounts, Authenticator, CreateUser, Credentials, PrincipalCache,
    SessionLimits, SessionPorts, Sessions, SignOn, SignOnPorts, SignOnSettings, SignedIn, TeamPorts, Teams,
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
    /// Accounts.
    pub accounts: Accounts,
    /// Sessions.
    pub sessions: Sessions,
    /// Single sign-on.
    pub sign_on: SignOn,
    /// Teams.
    pub teams: Teams,
    /// Who is who.
    pub authenticator: Authenticator,
}

impl Desk {
    /// The password of everyone whom [`Desk::person`] makes.
    pub const PASSWORD: &'static str = "seven purple lanterns";

    /// An empty desk.
    #[must_use]
    pub fn new() -> Self {
        Self::with_sign_on(SignOnSettings::default())
    }

    /// An empty desk with these providers of single sign-on.
    #[must_use]
    pub fn with_sign_on(settings: SignOnSettings) -> Self {
        let world = Arc::new(MemoryIdentity::new());
        let manual_clock = Arc::new(ManualClock::at(start()));
        let clock: Arc<dyn Clock> = manual_clock.clone();
        let hasher = Arc::new(FakeHasher::default());
        let secrets = Arc::new(FakeSecrets::default());
        let tokens = Arc::new(FakeAccessTokens);
        let ids: Arc<dyn IdSource> = Arc::new(SequentialIds::default());
        let cache = Arc::new(PrincipalCache::new());
        let account_ports = AccountPorts {
            users: world.clone(),
            setup: world.clone(),
            hasher: hasher.clone(),
            secrets: secrets.clone(),
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
            clock: clock.clone(),
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let sign_on_ports = SignOnPorts {
            users: world.clone(),
            store: world.clone(),
            sessions: Arc::new(Sessions::new(session_ports.clone(), SessionLimits::default())),
            secrets,
            seal: Arc::new(FakeSeal),
            clock: clock.clone(),
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let team_ports = TeamPorts {
            teams: world.clone(),
            users: world.clone(),
            clock: clock.clone(),
            ids,
            cache: cache.clone(),
        };
        Self {
            accounts: Accounts::new(account_ports, AccountLimits::default()),
            sessions: Sessions::new(session_ports, SessionLimits::default()),
            sign_on: SignOn::new(sign_on_ports, settings),
            teams: Teams::new(team_ports),
            authenticator: Authenticator::new(tokens, world.clone(), clock, cache),
            world,
            clock: manual_clock,
            hasher,
        }
    }

    /// Puts an account of `role` there, without any event, that logs in with `name`@example.com and
    /// [`Desk::PASSWORD`].
    pub fn person(&self, name: &str, role: Role) -> Profile {
        let mut user = super::builders::user(role);
        user.email = super::builders::email(&format!("{name}@example.com"));
        user.name = super::builders::name(name);
        user.password_hash = PasswordHash::from_phc(format!("$fake$0${}", Self::PASSWORD));
        user.status = UserStatus::Active;
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
