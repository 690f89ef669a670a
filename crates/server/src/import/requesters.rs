//! The people whom imported tickets are of: found by their address, or made customers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use events::{Cause, Event, Fact, IdentityFact};
use identity::ports::{AccountCommit, AccountCommitError, Expected, PasswordHasher, UserStore};
use identity::{EmailAddress, Password, PasswordHash, PasswordPolicy, User, UserStatus};
use kernel::{Clock, EventId, IdSource, PortError, Role, SystemActor, UserId, Version};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

use super::Mode;
use super::mapping::Requester;

/// The most addresses that are remembered; then all are looked up anew.
const REMEMBERED_MAX: usize = 100_000;
/// So many addresses are looked up at once, over all batches.
const LOOK_UPS_AT_ONCE_MAX: usize = 8;

/// Whom an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// An account.
    Account(UserId),
    /// An account that was deleted: nothing can be asked in its name any more.
    Deleted,
    /// Nobody yet; the import would make a customer of it.
    Nobody,
}

/// What finding people needs.
#[derive(Clone)]
pub(super) struct Ports {
    pub(super) users: Arc<dyn UserStore>,
    pub(super) hasher: Arc<dyn PasswordHasher>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
}

/// Finds requesters and makes those that are missing.
#[derive(Clone)]
pub(super) struct Requesters {
    ports: Ports,
    mode: Mode,
    remembered: Arc<Mutex<HashMap<EmailAddress, Found>>>,
    look_ups: Arc<Semaphore>,
    /// The hash of a password that nobody knows, for all the customers of one import: they set one of their own when
    /// they first want to log in.
    unusable: Arc<OnceCell<PasswordHash>>,
}

impl Requesters {
    pub(super) fn new(ports: Ports, mode: Mode) -> Self {
        Self {
            ports,
            mode,
            remembered: Arc::default(),
            look_ups: Arc::new(Semaphore::new(LOOK_UPS_AT_ONCE_MAX)),
            unusable: Arc::default(),
        }
    }

    /// Whom each of these addresses belongs to. Who is unknown becomes a customer, unless this is a dry run.
    pub(super) async fn find(
        &self,
        wanted: impl Iterator<Item = &Requester>,
    ) -> Result<HashMap<EmailAddress, Found>, PortError> {
        let (mut found, mut missing) = (HashMap::new(), HashMap::new());
        {
            let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            for Requester { email, name } in wanted {
                match remembered.get(email) {
                    Some(known) => drop(found.insert(email.clone(), *known)),
                    None => drop(missing.entry(email.clone()).or_insert_with(|| name.clone())),
                }
            }
        }
        let mut look_ups = JoinSet::new();
        for (email, name) in missing {
            let this = self.clone();
            look_ups.spawn(async move {
                let outcome = this
                    .find_or_make(Requester {
                        email: email.clone(),
                        name,
                    })
                    .await;
                outcome.map(|account| (email, account))
            });
        }
        while let Some(outcome) = look_ups.join_next().await {
            let (email, account) = outcome.map_err(|error| bug(error.into()))??;
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
            remembered.insert(email.clone(), account);
            found.insert(email, account);
        }
        Ok(found)
    }

    async fn find_or_make(&self, requester: Requester) -> Result<Found, PortError> {
        let _turn = self.look_ups.acquire().await.map_err(|error| bug(error.into()))?;
        if let Some(user) = self.ports.users.user_by_email(&requester.email).await? {
            return Ok(standing(&user));
        }
        if self.mode == Mode::DryRun {
            return Ok(Found::Nobody);
        }
        let email = requester.email.clone();
        let user = self.customer(requester).await?;
        let id = user.id;
        let cause = Cause::System(SystemActor::Import.as_str().to_owned());
        let event = Event {
            id: EventId::new(self.ports.ids.as_ref()),
            at: user.created_at,
            cause,
            fact: Fact::Identity(IdentityFact::UserCreated { user: id }),
            origin: None,
            chain: None,
        };
        let commit = AccountCommit {
            events: vec![event],
            ..AccountCommit::of(user, Expected::Absent)
        };
        match self.ports.users.commit(commit).await {
            Ok(()) => Ok(Found::Account(id)),
            // Another import, or the person, was faster.
            Err(AccountCommitError::EmailTaken) => {
                let user = self.ports.users.user_by_email(&email).await?;
                user.map(|user| standing(&user))
                    .ok_or_else(|| bug("an address is taken by nobody".into()))
            }
            Err(AccountCommitError::Port(error)) => Err(error),
            Err(
                error @ (AccountCommitError::Stale
                | AccountCommitError::Repeated
                | AccountCommitError::LastAdmin
                | AccountCommitError::TokenSpent),
            ) => Err(bug(error.into())),
        }
    }

    async fn customer(&self, Requester { email, name }: Requester) -> Result<User, PortError> {
        let password_hash = self
            .unusable
            .get_or_try_init(|| self.unusable_hash())
            .await?
            .clone();
        let now = self.ports.clock.now();
        Ok(User {
            id: UserId::new(self.ports.ids.as_ref()),
            email,
            name,
            password_hash,
            role: Role::User,
            status: UserStatus::Active,
            avatar_url: None,
            email_verified_at: None,
            last_login_at: None,
            two_factor_enabled: false,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            version: Version::FIRST,
        })
    }

    /// A hash like any other, so that a login fails as any other does, and as slowly.
    async fn unusable_hash(&self) -> Result<PasswordHash, PortError> {
        let mut random = [0_u8; 32];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| bug("the system gives no randomness".into()))?;
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let password = Password::parse("", &text, PasswordPolicy::default());
        let password = password.map_err(|violation| bug(violation.message.into()))?;
        self.ports.hasher.hash(&password).await
    }
}

fn standing(user: &User) -> Found {
    match user.deleted_at {
        None => Found::Account(user.id),
        Some(_) => Found::Deleted,
    }
}

pub(super) fn bug(source: kernel::failure::BoxError) -> PortError {
    PortError::Bug {
        port: "requesters of imported tickets",
        source,
    }
}
