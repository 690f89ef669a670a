//! Single sign-on: providers that vouch for people, what is kept of it, and the seal of what must not be read at rest.

use async_trait::async_trait;

use chrono::{DateTime, Utc};
use events::Event;
use kernel::{PortError, UserId};
use serde_json::{Map, Value};

use super::{Expected, MembershipsAfter};
use crate::ports::Sealed;
use crate::session::{SecretToken, TokenHash};
use crate::sign_on::{ExternalIdentity, ProviderId, Subject};
use crate::user::User;

// ------------------------------------------------------------------------------------------------ providers

/// Someone who vouches for people: a provider of OpenID Connect, say.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait SignOnProvider: Send + Sync {
    /// The address at the provider to which a browser is sent. The provider must send it back with a code that
    /// [`SignOnProvider::identify`] takes, and with `ask.state`.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn address(&self, ask: &SignOnAsk) -> Result<String, ProviderError>;

    /// Who came back with this code. Must hold the provider's word against its signature, the provider's own name,
    /// this desk's name there, its time, and `ask.nonce`; must prove `ask.verifier`; must follow no redirection and
    /// end within a bound of its own.
    ///
    /// # Errors
    /// [`ProviderError::Rejected`] for whatever does not hold.
    async fn identify(&self, callback: &CodeReceived, ask: &SignOnAsk) -> Result<Vouched, ProviderError>;

    /// Asks the provider for what it says of itself, so that the first sign-on is quick and a wrong setting is found.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn warm_up(&self) -> Result<(), ProviderError>;
}

/// The secrets of one sign-on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOnAsk {
    /// Goes through the browser and comes back.
    pub state: SecretToken,
    /// Must stand in what the provider signs.
    pub nonce: SecretToken,
    /// Proves that who shows the code is who asked for it (PKCE).
    pub verifier: SecretToken,
}

/// What the provider sent a browser back with.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeReceived {
    /// The code, as it came.
    pub code: String,
    /// The provider's name of itself, where it gives one (RFC 9207).
    pub issuer: Option<String>,
}

impl std::fmt::Debug for CodeReceived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeReceived(redacted)")
    }
}

/// A person for whom a provider vouches, in the provider's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Vouched {
    /// The provider's own id of the person; never another's.
    pub subject: Subject,
    /// The address, as the provider writes it.
    pub email: Option<String>,
    /// Whether the provider says that the address is the person's.
    pub email_verified: bool,
    /// What the person is called.
    pub name: Option<String>,
    /// All that the provider says.
    pub claims: Map<String, Value>,
}

/// Why a provider vouches for nobody.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// What came does not hold; the text is for the log and names no secret.
    #[error("the provider's answer is refused: {0}")]
    Rejected(String),
    /// The provider cannot be reached, or answers nonsense.
    #[error("the provider cannot be used")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

// ---------------------------------------------------------------------------------------------------- store

/// Keeps unfinished sign-ons and who accounts are at providers.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait SignOnStore: Send + Sync {
    /// Remembers a token until it is spent.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is stored then.
    async fn remember(&self, pending: PendingSignOn) -> Result<(), PortError>;

    /// Takes out what was remembered with a token. Of any number of calls at once exactly one must get it; none when
    /// the token is of another kind or its time is over at `at`.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn spend(
        &self,
        kind: SignOnToken,
        token: &TokenHash,
        at: DateTime<Utc>,
    ) -> Result<Option<Sealed>, PortError>;

    /// The account, deleted or not, that is this person at the provider.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn linked(&self, provider: &ProviderId, subject: &Subject) -> Result<Option<User>, PortError>;

    /// Who an account is at providers, oldest first. There are few.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn links(&self, user: UserId) -> Result<Vec<ExternalIdentity>, PortError>;

    /// Stores what a sign-on, or the end of a link, does to an account.
    ///
    /// Must keep what [`UserStore::commit`](super::UserStore::commit) promises of accounts: it refuses to turn the
    /// last acting admin into something else, and leaves `last_login_at` alone.
    ///
    /// # Errors
    /// See [`SignOnCommitError`]; nothing is stored then.
    async fn commit(&self, commit: SignOnCommit) -> Result<(), SignOnCommitError>;

    /// Publishes that someone was turned away.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn publish(&self, events: Vec<Event>) -> Result<(), PortError>;

    /// Forgets up to `rows_max` tokens whose time was over before `before`; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn forget(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;
}

/// What a remembered token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignOnToken {
    /// It is the `state` that goes to the provider and back.
    State,
    /// It is what a front end gets in place of tokens.
    Handover,
}

impl SignOnToken {
    /// Every kind.
    pub const ALL: [SignOnToken; 2] = [SignOnToken::State, SignOnToken::Handover];

    /// The kind's name in storage.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SignOnToken::State => "sign_on",
            SignOnToken::Handover => "sign_on_handover",
        }
    }
}

/// A token to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingSignOn {
    /// What it is for.
    pub kind: SignOnToken,
    /// The token's hash.
    pub token: TokenHash,
    /// What is to be known when it is spent, sealed.
    pub sealed: Sealed,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// All that becomes durable of an account when someone signs on, or unlinks it.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct SignOnCommit {
    /// The account as it is to stand. Its version is the one after `expected`, or the same where the account itself
    /// stays as it is.
    pub user: User,
    /// What the decision was made on.
    pub expected: Expected,
    /// What happens to the account's links.
    pub link: LinkChange,
    /// What happens to the other ways into the account.
    pub ways_in: WaysIn,
    /// What happens to the account's memberships.
    pub memberships: MembershipsAfter,
    /// What to publish.
    pub events: Vec<Event>,
}

/// What happens to an account's links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// It gets this one.
    Add(ExternalIdentity),
    /// This one was used: its `email` and `last_used_at` are stored.
    Used(ExternalIdentity),
    /// Those at this provider go.
    Remove(ProviderId),
}

/// What happens to the ways into an account beside the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaysIn {
    /// They stay.
    Keep,
    /// Whoever made the account never proved that the address was theirs, so nothing of theirs may open it: every
    /// session and API key ends, and the second factor with its recovery codes, every one-time token of the account
    /// and every other link go. The password goes with `user`.
    Close {
        /// When.
        at: DateTime<Utc>,
    },
}

/// Why a sign-on was not stored.
#[derive(Debug, thiserror::Error)]
pub enum SignOnCommitError {
    /// The account, its address or the link was made or changed meanwhile.
    #[error("the account changed meanwhile")]
    Stale,
    /// The desk would be left without an acting admin.
    #[error("the account is the last acting administrator")]
    LastAdmin,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}
