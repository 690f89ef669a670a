//! Single sign-on: someone whom the desk does not ask for a password, because a provider vouches for them.
//!
//! A sign-on is begun ([`SignOn::start`]), goes through the provider in the person's browser, and is finished
//! ([`SignOn::finish`]) once, in that same browser. Which account it opens:
//! - the one that is linked with the person at that provider, whatever their address is by now;
//! - else the one of the address, if the provider says that the address is theirs. If nobody ever proved it here,
//!   someone else may have registered it in advance: whatever they could enter with is closed in the same commit;
//! - else a new one, where the operator wants that.
//!
//! An account that is deleted or shut out is refused like a person whom nobody knows. So is one that is linked with
//! somebody else at the same provider: addresses are given to new people, and the account is not.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use events::{Cause, Event, Fact, IdentityFact};
use kernel::{Clock, IdSource, Origin, PortError, Role, UserId, Version};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::Principal;
use crate::ports::{
    BeginError, CodeReceived, Expected, LinkChange, MembershipsAfter, PendingSignOn, Proof, SealPurpose,
    Secrets, SignOnAsk, SignOnCommit, SignOnCommitError, SignOnProvider, SignOnStore, SignOnToken, UserStore,
    Vault, Vouched, WaysIn,
};
use crate::service::{DECISIONS_MAX, PrincipalCache, Sessions, SignOnError, SignOnLinkError, SignedIn};
use crate::session::{SecretToken, SignInMethod, TokenHash};
use crate::sign_on::{ExternalIdentity, ProviderId, RoleRules};
use crate::user::{User, UserStatus};
use crate::value::{EmailAddress, PasswordHash, PersonName};

/// The part of the server that acts when a provider's word changes an account.
const CAUSE: &str = "sign_on";

/// What [`SignOn`] works with.
#[derive(Clone)]
pub struct SignOnPorts {
    /// Keeps the accounts.
    pub users: Arc<dyn UserStore>,
    /// Keeps sign-ons and links.
    pub store: Arc<dyn SignOnStore>,
    /// Begins sessions.
    pub sessions: Arc<Sessions>,
    /// Makes tokens.
    pub secrets: Arc<dyn Secrets>,
    /// Seals what a sign-on must remember.
    pub vault: Arc<dyn Vault>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
    /// To be emptied with every change.
    pub cache: Arc<PrincipalCache>,
}

/// A provider, and what its word is worth here.
#[derive(Clone)]
pub struct ProviderEntry {
    /// Its name in paths and in storage.
    pub id: ProviderId,
    /// What people call it.
    pub name: String,
    /// How it is spoken to.
    pub provider: Arc<dyn SignOnProvider>,
    /// Whether people whom the desk does not know get an account.
    pub create_accounts: bool,
    /// How its words become roles, at every sign-on; without them roles are left alone.
    pub roles: Option<RoleRules>,
}

/// What an operator sets.
#[derive(Clone, Default)]
pub struct SignOnSettings {
    /// The providers, in the order in which they are shown.
    pub providers: Vec<ProviderEntry>,
    /// Front ends to which a browser may be sent back, each exactly.
    pub return_urls: Vec<String>,
}

impl SignOnSettings {
    /// For how long a sign-on may take.
    pub const STATE_LIFE: Duration = Duration::minutes(10);
    /// For how long a front end may exchange what it got.
    pub const HANDOVER_LIFE: Duration = Duration::seconds(60);
}

/// A sign-on that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Where the browser is to be sent.
    pub address: String,
    /// To be kept by the browser, and shown at the end: nobody else can finish it, and nobody can be made to finish
    /// somebody else's.
    pub binding: SecretToken,
}

/// What a browser came back with.
#[derive(Clone, PartialEq, Eq)]
pub struct Callback {
    /// The `state`, as it came.
    pub state: String,
    /// What the provider says.
    pub answer: ProviderAnswer,
    /// What the browser kept, if it kept anything.
    pub binding: Option<String>,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback(redacted)")
    }
}

/// What a provider sends a browser back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderAnswer {
    /// A code for who came.
    Code(CodeReceived),
    /// The name of an error: `access_denied`.
    Error(String),
}

/// A finished sign-on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// The browser asked itself.
    SignedIn(Box<SignedIn>),
    /// A front end is to exchange the code for tokens.
    Handover {
        /// The front end's address, as it was allowed.
        return_to: String,
        /// Good once, and not for long.
        code: SecretToken,
    },
}

/// A link as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOnLink {
    /// The provider.
    pub provider: ProviderId,
    /// What people call it; `None` of one that is no longer used.
    pub name: Option<String>,
    /// The address that it gave last.
    pub email: Option<String>,
    /// When it was linked.
    pub created_at: DateTime<Utc>,
    /// When the person last signed on with it.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What is remembered of a sign-on, sealed.
#[derive(Serialize, Deserialize)]
struct Begun {
    provider: String,
    nonce: String,
    verifier: String,
    binding_sha256: String,
    return_to: Option<String>,
}

/// What is remembered of a handover, sealed.
#[derive(Serialize, Deserialize)]
struct Handed {
    user: UserId,
}

/// Why a person was turned away, and from which account.
struct TurnedAway {
    user: Option<UserId>,
    error: SignOnError,
}

impl From<SignOnError> for TurnedAway {
    fn from(error: SignOnError) -> Self {
        Self { user: None, error }
    }
}

impl From<PortError> for TurnedAway {
    fn from(error: PortError) -> Self {
        SignOnError::from(error).into()
    }
}

/// What a sign-on does to an account.
struct Decision {
    /// The account before; `None` of a new one.
    before: Option<User>,
    user: User,
    link: LinkChange,
    ways_in: WaysIn,
    facts: Vec<(Cause, IdentityFact)>,
}

/// The use cases of single sign-on.
pub struct SignOn {
    ports: SignOnPorts,
    settings: SignOnSettings,
}

impl SignOn {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(ports: SignOnPorts, settings: SignOnSettings) -> Self {
        Self { ports, settings }
    }

    /// The providers, in the order in which they are to be shown.
    #[must_use]
    pub fn providers(&self) -> &[ProviderEntry] {
        &self.settings.providers
    }

    fn entry(&self, id: &str) -> Option<&ProviderEntry> {
        self.settings
            .providers
            .iter()
            .find(|entry| entry.id.as_str() == id)
    }

    // ----------------------------------------------------------------------------------------------- signing on

    /// Begins a sign-on.
    ///
    /// # Errors
    /// When there is no such provider, it cannot be reached, or `return_to` is not exactly one of the allowed
    /// addresses.
    pub async fn start(&self, provider: &str, return_to: Option<&str>) -> Result<Started, SignOnError> {
        let entry = self.entry(provider).ok_or(SignOnError::UnknownProvider)?;
        if return_to.is_some_and(|to| !self.settings.return_urls.iter().any(|allowed| allowed == to)) {
            return Err(SignOnError::ReturnToNotAllowed);
        }
        let secrets = &self.ports.secrets;
        let binding = secrets.token()?;
        let ask = SignOnAsk {
            state: secrets.token()?,
            nonce: secrets.token()?,
            verifier: secrets.token()?,
        };
        let address = entry.provider.address(&ask).await?;
        let begun = Begun {
            provider: entry.id.as_str().to_owned(),
            nonce: ask.nonce.expose().to_owned(),
            verifier: ask.verifier.expose().to_owned(),
            binding_sha256: secrets.sha256(&binding).as_str().to_owned(),
            return_to: return_to.map(str::to_owned),
        };
        self.remember(SignOnToken::State, &ask.state, &begun, SignOnSettings::STATE_LIFE)
            .await?;
        Ok(Started { address, binding })
    }

    /// Finishes a sign-on. Whatever comes of it, its state is used up first.
    ///
    /// # Errors
    /// See [`SignOnError`].
    pub async fn finish(&self, callback: Callback, origin: Arc<Origin>) -> Result<Finished, SignOnError> {
        let Callback {
            state,
            answer,
            binding,
        } = callback;
        let state = SecretToken::parse(&state).ok_or(SignOnError::UnknownState)?;
        let begun: Option<Begun> = self.spend(SignOnToken::State, &state).await?;
        let begun = begun.ok_or(SignOnError::UnknownState)?;
        let shown = binding.as_deref().and_then(SecretToken::parse);
        let shown_sha256 = shown.map(|token| self.ports.secrets.sha256(&token));
        if shown_sha256.as_ref().map(TokenHash::as_str) != Some(&begun.binding_sha256) {
            return Err(SignOnError::UnknownState);
        }
        let entry = self.entry(&begun.provider).ok_or(SignOnError::UnknownState)?;
        let ask = SignOnAsk {
            state,
            nonce: SecretToken::fresh(begun.nonce),
            verifier: SecretToken::fresh(begun.verifier),
        };
        let admitted = self.admitted(entry, &ask, answer, &origin).await;
        let user = match admitted {
            Ok(user) => user,
            Err(TurnedAway { user, error }) => {
                self.tell_refusal(user, &error, &origin).await?;
                return Err(error);
            }
        };
        match begun.return_to {
            None => self
                .begin(user, &origin)
                .await
                .map(|signed_in| Finished::SignedIn(Box::new(signed_in))),
            Some(return_to) => {
                let code = self.ports.secrets.token()?;
                let handed = Handed { user: user.id };
                self.remember(
                    SignOnToken::Handover,
                    &code,
                    &handed,
                    SignOnSettings::HANDOVER_LIFE,
                )
                .await?;
                Ok(Finished::Handover { return_to, code })
            }
        }
    }

    /// Gives a front end the tokens for the code that it was sent back with.
    ///
    /// # Errors
    /// [`SignOnError::UnknownState`] unless the code is fresh and was not used; [`SignOnError::Refused`] when the
    /// account was shut out meanwhile.
    pub async fn exchange(&self, code: &str, origin: Arc<Origin>) -> Result<SignedIn, SignOnError> {
        let code = SecretToken::parse(code).ok_or(SignOnError::UnknownState)?;
        let handed: Option<Handed> = self.spend(SignOnToken::Handover, &code).await?;
        let Handed { user } = handed.ok_or(SignOnError::UnknownState)?;
        let user = self.ports.users.user(user).await?.filter(User::is_usable);
        let user = user.ok_or(SignOnError::Refused("the account was shut out meanwhile"))?;
        self.begin(user, &origin).await
    }

    /// A provider asks for second factors itself, so that its word is complete: the desk asks for none of its own.
    async fn begin(&self, user: User, origin: &Arc<Origin>) -> Result<SignedIn, SignOnError> {
        let sessions = &self.ports.sessions;
        let begun = sessions.begin(user, Proof::SignOn, SignInMethod::SignOn, None, origin);
        begun.await.map_err(|error| match error {
            BeginError::Refused => SignOnError::Refused("the account was shut out meanwhile"),
            BeginError::Port(error) => error.into(),
        })
    }

    /// The account that the provider's answer opens, as it stands once that is stored.
    async fn admitted(
        &self,
        entry: &ProviderEntry,
        ask: &SignOnAsk,
        answer: ProviderAnswer,
        origin: &Arc<Origin>,
    ) -> Result<User, TurnedAway> {
        let callback = match answer {
            ProviderAnswer::Code(callback) => callback,
            ProviderAnswer::Error(error) => return Err(SignOnError::Declined(error).into()),
        };
        let vouched = entry
            .provider
            .identify(&callback, ask)
            .await
            .map_err(SignOnError::from)?;
        let mut may_demote = true;
        for _ in 0..DECISIONS_MAX {
            let now = self.ports.clock.now();
            let linked = self.ports.store.linked(&entry.id, &vouched.subject).await?;
            let decision = match linked {
                Some(user) => known(entry, &vouched, user, now)?,
                None => self.by_address(entry, &vouched, now).await?,
            };
            let decision = with_role(decision, entry.roles.as_ref(), &vouched, may_demote, now);
            let user = decision.user.clone();
            match self.commit(decision, now, origin).await {
                Ok(()) => return Ok(user),
                Err(SignOnCommitError::Stale) => {}
                // The desk keeps its last administrator, whatever a provider says.
                Err(SignOnCommitError::LastAdmin) => may_demote = false,
                Err(SignOnCommitError::Port(error)) => return Err(error.into()),
            }
        }
        Err(SignOnError::Busy.into())
    }

    /// What is to be done for a person who is linked with no account.
    async fn by_address(
        &self,
        entry: &ProviderEntry,
        vouched: &Vouched,
        now: DateTime<Utc>,
    ) -> Result<Decision, TurnedAway> {
        let email = vouched.email.as_deref().filter(|_| vouched.email_verified);
        // Other letters would be folded into these, and what the provider checked was another address than that.
        let email = email.filter(|email| email.is_ascii());
        let email = email.and_then(|email| EmailAddress::parse("/email", email).ok());
        let email = email.ok_or(SignOnError::EmailUnverified)?;
        let Some(user) = self.ports.users.user_by_email(&email).await? else {
            return if entry.create_accounts {
                let id = UserId::new(self.ports.ids.as_ref());
                Ok(newcomer(entry, vouched, id, email, now)?)
            } else {
                Err(SignOnError::Refused("nobody has the address, and none are made").into())
            };
        };
        let refuse = |why| TurnedAway {
            user: Some(user.id),
            error: SignOnError::Refused(why),
        };
        let was_verified = user.email_verified_at.is_some();
        let admits = match user.status {
            UserStatus::Active => true,
            // It waits for its address to be proved, which it is now; one that waits for something else goes on.
            UserStatus::Pending => !was_verified,
            UserStatus::Suspended => false,
        };
        if !admits || user.deleted_at.is_some() {
            return Err(refuse("the account of the address is shut out"));
        }
        let links = self.ports.store.links(user.id).await?;
        match links.iter().find(|link| link.provider == entry.id) {
            None => {}
            // Linked since it was looked for: by the same person's other sign-on.
            Some(link) if link.subject == vouched.subject => return known(entry, vouched, user, now),
            Some(_) => {
                return Err(refuse(
                    "the account of the address is somebody else at the provider",
                ));
            }
        }
        Ok(if was_verified {
            joined(entry, vouched, user, now)
        } else {
            taken_over(entry, vouched, user, now)
        })
    }

    async fn commit(
        &self,
        decision: Decision,
        now: DateTime<Utc>,
        origin: &Arc<Origin>,
    ) -> Result<(), SignOnCommitError> {
        let Decision {
            before,
            user,
            link,
            ways_in,
            facts,
        } = decision;
        let leaves = before
            .as_ref()
            .is_some_and(|before| before.is_live_staff() && !user.is_live_staff());
        let events = facts
            .into_iter()
            .map(|(cause, fact)| self.event(cause, Some(origin), now, fact))
            .collect();
        let commit = SignOnCommit {
            expected: before.map_or(Expected::Absent, |before| Expected::Version(before.version)),
            user,
            link,
            ways_in,
            memberships: if leaves {
                MembershipsAfter::LeaveAll
            } else {
                MembershipsAfter::Keep
            },
            events,
        };
        self.store(commit).await
    }

    /// Commits, and forgets who callers were: also after a failure, which may hide a success.
    async fn store(&self, commit: SignOnCommit) -> Result<(), SignOnCommitError> {
        let outcome = self.ports.store.commit(commit).await;
        self.ports.cache.invalidate_all();
        outcome
    }

    /// Puts on record that someone was turned away, where that says something: not when the provider or a port did
    /// not answer.
    async fn tell_refusal(
        &self,
        user: Option<UserId>,
        error: &SignOnError,
        origin: &Arc<Origin>,
    ) -> Result<(), PortError> {
        match error {
            SignOnError::Unsound(_)
            | SignOnError::Declined(_)
            | SignOnError::EmailUnverified
            | SignOnError::Refused(_) => {}
            SignOnError::UnknownProvider
            | SignOnError::ReturnToNotAllowed
            | SignOnError::UnknownState
            | SignOnError::Unreachable(_)
            | SignOnError::Busy
            | SignOnError::Port(_) => return Ok(()),
        }
        let fact = IdentityFact::SignInRefused {
            user,
            reason: SignInMethod::SignOn.as_str().to_owned(),
        };
        let cause = Cause::System(CAUSE.to_owned());
        let event = self.event(cause, Some(origin), self.ports.clock.now(), fact);
        self.ports.store.publish(vec![event]).await
    }

    // ---------------------------------------------------------------------------------------------------- links

    /// Who the caller's account is at providers, oldest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn links(&self, principal: &Principal) -> Result<Vec<SignOnLink>, SignOnLinkError> {
        let links = self.ports.store.links(principal.person.id).await?;
        let shown = |link: ExternalIdentity| {
            let ExternalIdentity {
                provider,
                subject: _,
                user: _,
                email,
                created_at,
                last_used_at,
            } = link;
            SignOnLink {
                name: self.entry(provider.as_str()).map(|entry| entry.name.clone()),
                provider,
                email,
                created_at,
                last_used_at,
            }
        };
        Ok(links.into_iter().map(shown).collect())
    }

    /// Ends the link of the caller's account with a provider. Sessions go on.
    ///
    /// # Errors
    /// [`SignOnLinkError::LastWayIn`] when nothing else would open the account: no password, and no link with another
    /// provider that the desk still uses.
    pub async fn unlink(&self, principal: &Principal, provider: &str) -> Result<(), SignOnLinkError> {
        let provider = ProviderId::parse(provider).ok_or(SignOnLinkError::NotLinked)?;
        for _ in 0..DECISIONS_MAX {
            let now = self.ports.clock.now();
            let user = self.ports.users.user(principal.person.id).await?;
            let user = user.filter(User::is_usable).ok_or(SignOnLinkError::NotLinked)?;
            let links = self.ports.store.links(user.id).await?;
            if !links.iter().any(|link| link.provider == provider) {
                return Err(SignOnLinkError::NotLinked);
            }
            let another = links
                .iter()
                .any(|link| link.provider != provider && self.entry(link.provider.as_str()).is_some());
            if user.password_hash == PasswordHash::unset() && !another {
                return Err(SignOnLinkError::LastWayIn);
            }
            let fact = IdentityFact::UserUpdated {
                user: user.id,
                fields: vec!["signOns".to_owned()],
                role: None,
                status: None,
            };
            let cause = Cause::Person(user.id);
            let commit = SignOnCommit {
                expected: Expected::Version(user.version),
                // The version moves, so that of two links that end at once one is decided again.
                user: moved(&user, now),
                link: LinkChange::Remove(provider.clone()),
                ways_in: WaysIn::Keep,
                memberships: MembershipsAfter::Keep,
                events: vec![self.event(cause, principal.person.origin.as_ref(), now, fact)],
            };
            match self.store(commit).await {
                Ok(()) => return Ok(()),
                Err(SignOnCommitError::Stale | SignOnCommitError::LastAdmin) => {}
                Err(SignOnCommitError::Port(error)) => return Err(error.into()),
            }
        }
        Err(SignOnLinkError::Busy)
    }

    // ------------------------------------------------------------------------------------------------- upkeep

    /// Asks every provider for what it says of itself; gives those that do not answer, with the reason.
    pub async fn warm_up(&self) -> Vec<(ProviderId, SignOnError)> {
        let mut failed = Vec::new();
        for entry in &self.settings.providers {
            if let Err(error) = entry.provider.warm_up().await {
                failed.push((entry.id.clone(), error.into()));
            }
        }
        failed
    }

    /// Forgets up to `rows_max` sign-ons that were never finished; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn forget_unfinished(&self, rows_max: i64) -> Result<u64, PortError> {
        self.ports.store.forget(self.ports.clock.now(), rows_max).await
    }

    // ------------------------------------------------------------------------------------------------ helpers

    async fn remember<T: Serialize>(
        &self,
        kind: SignOnToken,
        token: &SecretToken,
        content: &T,
        life: Duration,
    ) -> Result<(), PortError> {
        let token = self.ports.secrets.sha256(token);
        let text = serde_json::to_string(content).map_err(|error| PortError::Bug {
            port: "sign-on",
            source: Box::new(error),
        })?;
        let sealed = self.ports.vault.seal(purpose(kind), owner(&token), &text)?;
        let created_at = self.ports.clock.now();
        let pending = PendingSignOn {
            kind,
            token,
            sealed,
            created_at,
            expires_at: created_at + life,
        };
        self.ports.store.remember(pending).await
    }

    /// What was remembered with a token, once. What does not open or read is as good as unknown.
    async fn spend<T: for<'a> Deserialize<'a>>(
        &self,
        kind: SignOnToken,
        token: &SecretToken,
    ) -> Result<Option<T>, PortError> {
        let token = self.ports.secrets.sha256(token);
        let spent = self.ports.store.spend(kind, &token, self.ports.clock.now());
        let sealed = spent.await?;
        let text =
            sealed.and_then(|sealed| self.ports.vault.open(purpose(kind), owner(&token), &sealed).ok());
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn event(
        &self,
        cause: Cause,
        origin: Option<&Arc<Origin>>,
        at: DateTime<Utc>,
        fact: IdentityFact,
    ) -> Event {
        Event::caused(
            self.ports.ids.as_ref(),
            at,
            cause,
            origin.cloned(),
            Fact::Identity(fact),
        )
    }
}

fn purpose(kind: SignOnToken) -> SealPurpose {
    match kind {
        SignOnToken::State => SealPurpose::SignOn,
        SignOnToken::Handover => SealPurpose::SignOnHandover,
    }
}

/// A seal belongs to its row, by the first half of the token's hash, so that none can be put in another's place.
fn owner(token: &TokenHash) -> Uuid {
    let half = token.as_str().get(..32).unwrap_or_default();
    Uuid::try_parse(half).unwrap_or_default()
}

fn moved(user: &User, now: DateTime<Utc>) -> User {
    User {
        updated_at: now,
        version: user.version.next(),
        ..user.clone()
    }
}

fn identity_of(
    entry: &ProviderEntry,
    vouched: &Vouched,
    user: UserId,
    now: DateTime<Utc>,
) -> ExternalIdentity {
    let email = vouched.email.as_deref().map(|email| {
        let kept = email.chars().filter(|c| !c.is_control());
        kept.take(ExternalIdentity::EMAIL_MAX_CHARS).collect()
    });
    ExternalIdentity {
        provider: entry.id.clone(),
        subject: vouched.subject.clone(),
        user,
        email,
        created_at: now,
        last_used_at: Some(now),
    }
}

fn linked_fact(entry: &ProviderEntry, user: UserId) -> (Cause, IdentityFact) {
    let provider = entry.id.as_str().to_owned();
    (Cause::Person(user), IdentityFact::SignOnLinked { user, provider })
}

/// The person is linked with this account.
fn known(
    entry: &ProviderEntry,
    vouched: &Vouched,
    user: User,
    now: DateTime<Utc>,
) -> Result<Decision, TurnedAway> {
    if !user.is_usable() {
        return Err(TurnedAway {
            user: Some(user.id),
            error: SignOnError::Refused("the linked account is shut out"),
        });
    }
    Ok(Decision {
        link: LinkChange::Used(identity_of(entry, vouched, user.id, now)),
        before: Some(user.clone()),
        user,
        ways_in: WaysIn::Keep,
        facts: Vec::new(),
    })
}

/// The account's owner has proved the same address here: they are one person.
fn joined(entry: &ProviderEntry, vouched: &Vouched, user: User, now: DateTime<Utc>) -> Decision {
    Decision {
        link: LinkChange::Add(identity_of(entry, vouched, user.id, now)),
        ways_in: WaysIn::Keep,
        facts: vec![linked_fact(entry, user.id)],
        // The version moves, so that of two links that begin at once one is decided again.
        user: moved(&user, now),
        before: Some(user),
    }
}

/// Nobody ever proved the address here: the account becomes the person's, and nobody else's.
fn taken_over(entry: &ProviderEntry, vouched: &Vouched, user: User, now: DateTime<Utc>) -> Decision {
    let id = user.id;
    let mut fields = vec!["emailVerifiedAt".to_owned(), "passwordHash".to_owned()];
    let status = (user.status != UserStatus::Active).then(|| {
        fields.push("status".to_owned());
        UserStatus::Active.as_str().to_owned()
    });
    let updated = IdentityFact::UserUpdated {
        user: id,
        fields,
        role: None,
        status,
    };
    let system = || Cause::System(CAUSE.to_owned());
    let mut facts = vec![
        linked_fact(entry, id),
        (Cause::Person(id), IdentityFact::EmailVerified { user: id }),
        (system(), updated),
        (
            system(),
            IdentityFact::SessionsEnded {
                user: id,
                session: None,
            },
        ),
    ];
    if user.two_factor_enabled {
        facts.push((system(), IdentityFact::TwoFactorDisabled { user: id }));
    }
    facts.push((system(), IdentityFact::CredentialsRemoved { user: id }));
    Decision {
        link: LinkChange::Add(identity_of(entry, vouched, id, now)),
        ways_in: WaysIn::Close { at: now },
        facts,
        user: User {
            password_hash: PasswordHash::unset(),
            status: UserStatus::Active,
            email_verified_at: Some(now),
            two_factor_enabled: false,
            ..moved(&user, now)
        },
        before: Some(user),
    }
}

/// Nobody has the address.
fn newcomer(
    entry: &ProviderEntry,
    vouched: &Vouched,
    id: UserId,
    email: EmailAddress,
    now: DateTime<Utc>,
) -> Result<Decision, SignOnError> {
    let name = person_name(vouched.name.as_deref(), &email).ok_or(SignOnError::EmailUnverified)?;
    Ok(Decision {
        link: LinkChange::Add(identity_of(entry, vouched, id, now)),
        ways_in: WaysIn::Keep,
        facts: vec![
            (Cause::Person(id), IdentityFact::UserCreated { user: id }),
            (Cause::Person(id), IdentityFact::EmailVerified { user: id }),
            linked_fact(entry, id),
        ],
        user: User {
            id,
            email,
            name,
            password_hash: PasswordHash::unset(),
            role: Role::User,
            status: UserStatus::Active,
            avatar_url: None,
            email_verified_at: Some(now),
            last_login_at: None,
            two_factor_enabled: false,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            version: Version::FIRST,
        },
        before: None,
    })
}

/// The provider's name of the person as far as it can be one here, else what stands before the `@`.
fn person_name(name: Option<&str>, email: &EmailAddress) -> Option<PersonName> {
    let tidy = |name: &str| -> String {
        let kept = name.trim().chars().filter(|c| !c.is_control());
        kept.take(PersonName::RULE.max_chars).collect()
    };
    let local_part = email.as_str().split('@').next();
    name.map(tidy)
        .into_iter()
        .chain(local_part.map(str::to_owned))
        .find_map(|name| PersonName::parse("/name", &name).ok())
}

/// The decision with the role that the provider's words give.
fn with_role(
    decision: Decision,
    rules: Option<&RoleRules>,
    vouched: &Vouched,
    may_demote: bool,
    now: DateTime<Utc>,
) -> Decision {
    let Some(role) = rules.map(|rules| rules.role(&vouched.claims)) else {
        return decision;
    };
    let Decision {
        before,
        mut user,
        link,
        ways_in,
        mut facts,
    } = decision;
    if user.role != role && (may_demote || user.role < role) {
        if let Some(before) = &before {
            // Nothing else may have moved it yet.
            user.version = before.version.next();
            user.updated_at = now;
            let fact = IdentityFact::UserUpdated {
                user: user.id,
                fields: vec!["role".to_owned()],
                role: Some(role.as_str().to_owned()),
                status: None,
            };
            facts.push((Cause::System(CAUSE.to_owned()), fact));
        }
        user.role = role;
    }
    Decision {
        before,
        user,
        link,
        ways_in,
        facts,
    }
}
