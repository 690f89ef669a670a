//! Programs' keys: made, shown, taken back.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use events::{Event, Fact, IdentityFact};
use kernel::{Actor, Clock, IdSource, Page, PageLimit, Position, UserId, Violations};

use crate::access::{Access, AccessDenied, ApiKeyId, Principal};
use crate::api_key::{API_KEY_MARK, ApiKey, ApiKeyName, Scopes};
use crate::policy;
use crate::ports::{ApiKeyCommit, ApiKeyCommitError, ApiKeyRevocation, ApiKeyStore, Secrets};
use crate::service::{ApiKeyError, CreateApiKeyError, PrincipalCache, Reauthentication};
use crate::session::SecretToken;

/// What [`ApiKeys`] works with.
#[derive(Clone)]
pub struct ApiKeyPorts {
    /// Keeps the keys.
    pub keys: Arc<dyn ApiKeyStore>,
    /// Has people prove again who they are.
    pub reauthentication: Arc<Reauthentication>,
    /// Makes keys.
    pub secrets: Arc<dyn Secrets>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
    /// To be emptied with every change.
    pub cache: Arc<PrincipalCache>,
}

/// A key to make.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateApiKey {
    /// What its owner calls it, as typed.
    pub name: String,
    /// What it is good for: names of [`crate::Scope`]s.
    pub scopes: Vec<String>,
    /// When it ends; after [`ApiKey::LIFE_DEFAULT_DAYS`] when not said.
    pub expires_at: Option<DateTime<Utc>>,
    /// The owner's present password, as typed: whoever found an unlocked screen makes no key. Of one who has none, the
    /// session must be fresh.
    pub current_password: Option<String>,
}

impl fmt::Debug for CreateApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateApiKey")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// A new key, with the key itself: for its owner, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// What is kept of it.
    pub key: ApiKey,
    /// The key.
    pub secret: SecretToken,
}

/// The use cases of programs' keys.
pub struct ApiKeys {
    ports: ApiKeyPorts,
}

impl ApiKeys {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(ports: ApiKeyPorts) -> Self {
        Self { ports }
    }

    /// Makes a key for the caller's programs. It lets them do what the caller may, narrowed by its scopes.
    ///
    /// # Errors
    /// When the caller speaks through a key, the input breaks a rule, the password is wrong, or the caller has
    /// [`ApiKey::LIVE_MAX`] live keys.
    pub async fn create(
        &self,
        principal: &Principal,
        command: CreateApiKey,
    ) -> Result<NewApiKey, CreateApiKeyError> {
        match &principal.access {
            Access::Session(_) => {}
            // A key that makes keys would outlive itself.
            Access::ApiKey { .. } => return Err(AccessDenied::SessionRequired.into()),
        }
        let CreateApiKey {
            name,
            scopes,
            expires_at,
            current_password,
        } = command;
        let now = self.ports.clock.now();
        let mut violations = Violations::new();
        let name = violations.check(ApiKeyName::parse("/name", &name));
        let scopes = violations.check(Scopes::parse("/scopes", &scopes));
        let expires_at = violations.check(ApiKey::expiry("/expiresAt", expires_at, now));
        let (Some(name), Some(scopes), Some(expires_at)) = (name, scopes, expires_at) else {
            return Err(violations.into());
        };
        let owner = principal.person.id;
        let reauthentication = &self.ports.reauthentication;
        let proved = reauthentication
            .prove(principal, current_password.as_deref())
            .await?;
        let proof = proved.password_hash;
        let secret = SecretToken::fresh(format!("{API_KEY_MARK}{}", self.ports.secrets.token()?.expose()));
        let key = ApiKey {
            id: ApiKeyId::new(self.ports.ids.as_ref()),
            user_id: owner,
            name,
            prefix: ApiKey::prefix_of(&secret),
            key_sha256: self.ports.secrets.sha256(&secret),
            scopes,
            expires_at,
            created_at: now,
            last_used_at: None,
            last_used_ip: None,
            revoked_at: None,
        };
        let fact = IdentityFact::ApiKeyCreated {
            user: owner,
            key: key.id.0,
            name: key.name.as_str().to_owned(),
        };
        let commit = ApiKeyCommit {
            key: key.clone(),
            proof,
            live_max: ApiKey::LIVE_MAX,
            events: vec![self.event(&principal.actor(), now, fact)],
        };
        match self.ports.keys.create(commit).await {
            Ok(()) => Ok(NewApiKey { key, secret }),
            // The password that was compared is no longer the account's, or the account no longer usable.
            Err(ApiKeyCommitError::Refused) => Err(CreateApiKeyError::NoAccount),
            Err(ApiKeyCommitError::TooMany) => Err(CreateApiKeyError::TooMany),
            Err(ApiKeyCommitError::Port(error)) => Err(error.into()),
        }
    }

    /// A page of a person's keys, newest first: of the caller's own, or for administrators of anyone's.
    ///
    /// # Errors
    /// [`ApiKeyError::Forbidden`] for another's keys, whoever that is or is not.
    pub async fn list(
        &self,
        actor: &Actor,
        owner: UserId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<ApiKey>, ApiKeyError> {
        policy::manage_api_keys(actor, owner).map_err(|_| ApiKeyError::Forbidden)?;
        Ok(self.ports.keys.keys(owner, after, limit).await?)
    }

    /// One key, live or not.
    ///
    /// # Errors
    /// [`ApiKeyError::NotFound`] also when the caller may not know of it.
    pub async fn get(&self, actor: &Actor, id: ApiKeyId) -> Result<ApiKey, ApiKeyError> {
        let key = self.ports.keys.key(id).await?.ok_or(ApiKeyError::NotFound)?;
        policy::manage_api_keys(actor, key.user_id)?;
        Ok(key)
    }

    /// Takes a key back for good: the caller's own, or anyone's for an administrator. Nothing changes when it was
    /// taken back before.
    ///
    /// # Errors
    /// [`ApiKeyError::NotFound`] when there is no such key that the caller may know of.
    pub async fn revoke(&self, actor: &Actor, id: ApiKeyId) -> Result<(), ApiKeyError> {
        let key = self.get(actor, id).await?;
        let now = self.ports.clock.now();
        let fact = IdentityFact::ApiKeyRevoked {
            user: key.user_id,
            key: id.0,
        };
        let revocation = ApiKeyRevocation {
            key: id,
            at: now,
            events: vec![self.event(actor, now, fact)],
        };
        let outcome = self.ports.keys.revoke(revocation).await;
        // Also after a failure, which may hide a success.
        self.ports.cache.invalidate_all();
        outcome?;
        Ok(())
    }

    fn event(&self, actor: &Actor, at: DateTime<Utc>, fact: IdentityFact) -> Event {
        Event::new(self.ports.ids.as_ref(), at, actor, Fact::Identity(fact))
    }
}
