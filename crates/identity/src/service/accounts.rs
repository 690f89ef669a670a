//! Accounts: made, shown, changed, deleted and restored. What goes by mail is in `mailed_links`, what administrators do
//! to an account as a whole in `lifecycle`.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use events::{Cause, Event, Fact, IdentityFact};
use kernel::receipt::ReceiptFor;
use kernel::text::TextRule;
use kernel::{
    Actor, Clock, IdSource, Origin, Page, PageLimit, Patch, PortError, Position, Role, UserId, Version,
    Violation, Violations,
};

use crate::access::Principal;
use crate::policy::{self, Capacity, Sight};
use crate::ports::{
    AccountCommit, AccountCommitError, Deleted, Expected, MembershipsAfter, OneTimeToken, OneTimeTokenId,
    OneTimeTokens, OtherTokens, PasswordHasher, SearchFields, Secrets, SessionsAfter, SetupCommit,
    SetupCommitError, SetupOffer, SetupStore, TokenKind, TokenSpend, UserFilter, UserSearch, UserStore,
};
use crate::service::{
    ChangeAccountError, ChangePasswordError, CreateAccountError, DECISIONS_MAX, PrincipalCache,
    ReadAccountError, Reauthentication, SetupError,
};
use crate::session::SecretToken;
use crate::user::{Profile, User, UserStatus, UserView};
use crate::value::{AvatarUrl, EmailAddress, Password, PasswordHash, PasswordPolicy, PersonName};

/// What [`Accounts`] works with.
#[derive(Clone)]
pub struct AccountPorts {
    /// Keeps the accounts.
    pub users: Arc<dyn UserStore>,
    /// Keeps the set-up tokens.
    pub setup: Arc<dyn SetupStore>,
    /// Keeps the one-time tokens of mails.
    pub tokens: Arc<dyn OneTimeTokens>,
    /// Has callers prove again who they are.
    pub reauthentication: Arc<Reauthentication>,
    /// Hashes passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Makes tokens.
    pub secrets: Arc<dyn Secrets>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub ids: Arc<dyn IdSource>,
    /// To be emptied with every change.
    pub cache: Arc<PrincipalCache>,
}

/// The bounds that an operator sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// What new passwords must satisfy.
    pub password: PasswordPolicy,
    /// For how long a set-up token is good.
    pub setup_token_life: Duration,
    /// Whether people must prove their address before they act.
    pub verified_email: VerifiedEmail,
}

/// Whether people who register must prove their address before they act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifiedEmail {
    /// They must: until then they reach their own account alone.
    Required,
    /// They may act at once.
    Optional,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self {
            password: PasswordPolicy::default(),
            setup_token_life: Duration::hours(24),
            verified_email: VerifiedEmail::Optional,
        }
    }
}

/// The use cases of accounts.
pub struct Accounts {
    pub(super) ports: AccountPorts,
    pub(super) limits: AccountLimits,
}

/// What a person gives to have an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// The address, as typed.
    pub email: String,
    /// The name, as typed.
    pub name: String,
    /// The password, as typed.
    pub password: String,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registration(redacted)")
    }
}

/// What an administrator gives to make an account.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateUser {
    /// The address, as typed.
    pub email: String,
    /// The name, as typed.
    pub name: String,
    /// What the account may do.
    pub role: Role,
    /// The first password, as typed. Without one the person is invited by mail to choose it.
    pub password: Option<String>,
}

impl fmt::Debug for CreateUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateUser")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What to change of an account. Its owner sets name and picture, an administrator all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateUser {
    /// The name, as typed. Cannot be cleared.
    pub name: Patch<String>,
    /// The picture's address, as typed.
    pub avatar_url: Patch<String>,
    /// The role. Cannot be cleared.
    pub role: Patch<Role>,
    /// The status. Cannot be cleared.
    pub status: Patch<UserStatus>,
}

/// What to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListUsers {
    /// Only those of this role.
    pub role: Option<Role>,
    /// Only those of this status; for administrators.
    pub status: Option<UserStatus>,
    /// Only those that hold this text, as typed: in the name, for administrators also in the address.
    pub search: Option<String>,
    /// Deleted ones, too? For administrators.
    pub deleted: Deleted,
    /// Where the page begins.
    pub after: Option<Position>,
    /// How many at most.
    pub limit: PageLimit,
}

/// A person's change of their own password.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangePassword {
    /// The present password, as typed; absent where the account has none.
    pub current: Option<String>,
    /// The new password, as typed.
    pub new: String,
}

impl fmt::Debug for ChangePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangePassword(redacted)")
    }
}

/// A registration whose every field is valid.
pub(super) struct Applicant {
    pub(super) email: EmailAddress,
    pub(super) name: PersonName,
    /// `None`: to be invited.
    pub(super) password: Option<Password>,
}

/// An [`UpdateUser`] whose every field is valid.
struct UserPatch {
    name: Option<PersonName>,
    avatar_url: Patch<AvatarUrl>,
    role: Option<Role>,
    status: Option<UserStatus>,
}

impl Accounts {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(ports: AccountPorts, limits: AccountLimits) -> Self {
        Self { ports, limits }
    }

    // ------------------------------------------------------------------------------------------------ making

    /// Makes an account of any role, for an administrator. Without a password it is pending, and its owner is invited
    /// by mail to choose one.
    ///
    /// # Errors
    /// When the caller is none, the input breaks a rule or the address is taken.
    pub async fn create_user(
        &self,
        actor: &Actor,
        command: CreateUser,
        receipt: ReceiptFor<'_, Profile>,
    ) -> Result<Profile, CreateAccountError> {
        policy::create_person(actor)?;
        let applicant = self.parse(&command.email, &command.name, command.password.as_deref())?;
        let (cause, origin) = (Cause::from(actor), actor.origin().cloned());
        self.create(applicant, command.role, cause, origin, receipt).await
    }

    /// Makes an administrator on behalf of whoever runs the server, who needs no permission.
    ///
    /// # Errors
    /// When the input breaks a rule or the address is taken.
    pub async fn create_admin(&self, registration: Registration) -> Result<Profile, CreateAccountError> {
        let applicant = self.applicant(&registration)?;
        let cause = Cause::System("command_line".to_owned());
        self.create(applicant, Role::Admin, cause, None, &kernel::receipt::no_receipt)
            .await
    }

    async fn create(
        &self,
        applicant: Applicant,
        role: Role,
        cause: Cause,
        origin: Option<Arc<Origin>>,
        receipt: ReceiptFor<'_, Profile>,
    ) -> Result<Profile, CreateAccountError> {
        // Hashing is dear, so the common refusal comes first; the commit decides.
        if self.ports.users.user_by_email(&applicant.email).await?.is_some() {
            return Err(CreateAccountError::EmailTaken);
        }
        let now = self.ports.clock.now();
        let mut user = self.new_user(applicant, role, now).await?;
        if !user.awaits_invitation() {
            // Who gives an account its password vouches for the address, too.
            user.email_verified_at = Some(now);
        }
        let event = |fact| self.event(cause.clone(), origin.clone(), now, fact);
        let mut events = vec![event(IdentityFact::UserCreated { user: user.id })];
        let issues = user.awaits_invitation().then(|| {
            let token = self.token(TokenKind::Invitation, &user, now);
            events.push(event(IdentityFact::MailAsked { token: token.id.0 }));
            token
        });
        let profile = user.profile();
        let receipt = receipt(&profile);
        let commit = AccountCommit {
            issues,
            events,
            receipt,
            ..AccountCommit::of(user, Expected::Absent)
        };
        self.commit(commit).await.map_err(|error| match error {
            AccountCommitError::EmailTaken => CreateAccountError::EmailTaken,
            AccountCommitError::Repeated => CreateAccountError::Repeated,
            error @ (AccountCommitError::Stale
            | AccountCommitError::LastAdmin
            | AccountCommitError::TokenSpent) => unexpected(error).into(),
            AccountCommitError::Port(error) => error.into(),
        })?;
        Ok(profile)
    }

    // ------------------------------------------------------------------------------------------------ set-up

    /// A token that makes the first administrator, while the desk has none: to be shown once to whoever starts the
    /// server. Tokens of other nodes, or of earlier starts, stay good until their time is over.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn open_setup(&self) -> Result<Option<SecretToken>, PortError> {
        if !self.ports.setup.is_open().await? {
            return Ok(None);
        }
        let token = self.ports.secrets.token()?;
        let created_at = self.ports.clock.now();
        let expires_at = created_at + self.limits.setup_token_life;
        let offer = SetupOffer {
            token: self.ports.secrets.sha256(&token),
            created_at,
            expires_at,
        };
        self.ports.setup.offer(offer).await?;
        Ok(Some(token))
    }

    /// Makes the first administrator. As long as it fails, the token stays good.
    ///
    /// # Errors
    /// When the desk has an administrator, the token is not known, or the input breaks a rule.
    pub async fn complete_setup(
        &self,
        token: &str,
        registration: Registration,
        origin: Arc<Origin>,
    ) -> Result<Profile, SetupError> {
        if !self.ports.setup.is_open().await? {
            return Err(SetupError::Closed);
        }
        let token = SecretToken::parse(token).ok_or(SetupError::UnknownToken)?;
        let applicant = self.applicant(&registration)?;
        let now = self.ports.clock.now();
        let user = User {
            // Who has the server's token has the server.
            email_verified_at: Some(now),
            ..self.new_user(applicant, Role::Admin, now).await?
        };
        let profile = user.profile();
        let events = vec![self.event(
            Cause::Person(user.id),
            Some(origin),
            now,
            IdentityFact::UserCreated { user: user.id },
        )];
        let commit = SetupCommit {
            token: self.ports.secrets.sha256(&token),
            at: now,
            user,
            events,
        };
        let outcome = self.ports.setup.complete(commit).await;
        self.ports.cache.invalidate_all();
        outcome.map_err(|error| match error {
            SetupCommitError::Closed => SetupError::Closed,
            SetupCommitError::UnknownToken => SetupError::UnknownToken,
            SetupCommitError::EmailTaken => SetupError::EmailTaken,
            SetupCommitError::Port(error) => error.into(),
        })?;
        Ok(profile)
    }

    // ----------------------------------------------------------------------------------------------- showing

    /// The caller's own profile.
    ///
    /// # Errors
    /// [`ReadAccountError::ShutOut`] when the account was shut out meanwhile.
    pub async fn me(&self, principal: &Principal) -> Result<Profile, ReadAccountError> {
        let user = self.ports.users.user(principal.person.id).await?;
        let user = user.filter(User::may_sign_in).ok_or(ReadAccountError::ShutOut)?;
        Ok(user.profile())
    }

    /// An account, as far as the caller may see it. A deleted one only where `deleted` asks for it.
    ///
    /// # Errors
    /// [`ReadAccountError::NotFound`] also when the caller may not know of it.
    pub async fn get(
        &self,
        actor: &Actor,
        id: UserId,
        deleted: Deleted,
    ) -> Result<UserView, ReadAccountError> {
        let user = self
            .ports
            .users
            .user(id)
            .await?
            .ok_or(ReadAccountError::NotFound)?;
        let sight = policy::read_person(actor, &user)?;
        match deleted {
            Deleted::Hidden if user.deleted_at.is_some() => Err(ReadAccountError::NotFound),
            Deleted::Hidden | Deleted::Included => Ok(view(&user, sight)),
        }
    }

    /// A page of accounts, newest first, as far as the caller may see them.
    ///
    /// # Errors
    /// When the caller is not staff, or asks for what administrators alone may ask for.
    pub async fn list(&self, actor: &Actor, query: ListUsers) -> Result<Page<UserView>, ReadAccountError> {
        let sight = policy::list_people(actor)?;
        let ListUsers {
            role,
            status,
            search,
            deleted,
            after,
            limit,
        } = query;
        let fields = match sight {
            Sight::Full => SearchFields::NameAndEmail,
            Sight::Card => SearchFields::Name,
        };
        // A card does not tell the status, so a list must not tell it either.
        match (sight, status, deleted) {
            (Sight::Card, Some(_), _) => return Err(ReadAccountError::Forbidden),
            (_, _, Deleted::Included) => policy::see_deleted(actor)?,
            (Sight::Full, _, Deleted::Hidden) | (Sight::Card, None, Deleted::Hidden) => {}
        }
        let search = search
            .map(|text| TextRule::line(1, EmailAddress::MAX_CHARS).parse("/search", &text))
            .transpose()
            .map_err(Violations::from)?
            .map(|text| UserSearch { text, fields });
        let filter = UserFilter {
            role,
            status,
            search,
            deleted,
        };
        let page = self.ports.users.users(filter, after, limit).await?;
        Ok(page.map(|user| view(&user, sight)))
    }

    // ---------------------------------------------------------------------------------------------- changing

    /// Changes an account. Suspending it ends its sessions; taking it off the staff takes it out of its teams.
    ///
    /// # Errors
    /// See [`ChangeAccountError`].
    pub async fn update(
        &self,
        actor: &Actor,
        id: UserId,
        update: UpdateUser,
        expected: Option<Version>,
        receipt: ReceiptFor<'_, Profile>,
    ) -> Result<Profile, ChangeAccountError> {
        for _ in 0..DECISIONS_MAX {
            let user = self
                .ports
                .users
                .user(id)
                .await?
                .ok_or(ChangeAccountError::NotFound)?;
            // It may have been shut out on another node just now.
            if matches!(actor, Actor::Person(person) if person.id == id) && !user.may_sign_in() {
                return Err(ChangeAccountError::ShutOut);
            }
            let capacity = policy::change_person(actor, &user)?;
            check_version(&user, expected)?;
            policy::changeable(&user)?;
            let patch = parse_update(&update, capacity)?;
            let now = self.ports.clock.now();
            let (changed, fields) = decide_update(user.clone(), patch, capacity, now)?;
            let profile = changed.profile();
            let receipt = receipt(&profile);
            if fields.is_empty() && receipt.is_none() {
                return Ok(profile);
            }
            let events = if fields.is_empty() {
                Vec::new()
            } else {
                vec![self.event_of(actor, now, updated(&user, &changed, fields))]
            };
            let shuts_out = user.may_sign_in() && !changed.may_sign_in();
            let commit = AccountCommit {
                sessions: if shuts_out || (user.is_usable() && !changed.is_usable()) {
                    SessionsAfter::RevokeAll { at: now }
                } else {
                    SessionsAfter::Keep
                },
                // What was mailed before must not open it again once it is let in.
                spends: (changed.status == UserStatus::Suspended).then_some(TokenSpend {
                    shown: None,
                    others: OtherTokens::All,
                    at: now,
                }),
                memberships: if user.is_live_staff() && !changed.is_live_staff() {
                    MembershipsAfter::LeaveAll
                } else {
                    MembershipsAfter::Keep
                },
                events,
                receipt,
                ..AccountCommit::of(changed, Expected::Version(user.version))
            };
            match self.commit(commit).await {
                Ok(()) => return Ok(profile),
                Err(AccountCommitError::Stale) => {}
                Err(error) => return Err(change_refused(error)),
            }
        }
        Err(ChangeAccountError::Busy)
    }

    /// Deletes an account, so that it can be restored: ends its sessions and takes it out of its teams.
    ///
    /// # Errors
    /// See [`ChangeAccountError`].
    pub async fn delete(
        &self,
        actor: &Actor,
        id: UserId,
        expected: Option<Version>,
    ) -> Result<(), ChangeAccountError> {
        for _ in 0..DECISIONS_MAX {
            let user = self
                .ports
                .users
                .user(id)
                .await?
                .ok_or(ChangeAccountError::NotFound)?;
            policy::delete_person(actor, &user)?;
            check_version(&user, expected)?;
            policy::deletable(actor, &user)?;
            let now = self.ports.clock.now();
            let expected = Expected::Version(user.version);
            let deleted = User {
                deleted_at: Some(now),
                updated_at: now,
                version: user.version.next(),
                ..user
            };
            let commit = AccountCommit {
                sessions: SessionsAfter::RevokeAll { at: now },
                memberships: MembershipsAfter::LeaveAll,
                spends: Some(TokenSpend {
                    shown: None,
                    others: OtherTokens::All,
                    at: now,
                }),
                events: vec![self.event_of(actor, now, IdentityFact::UserDeleted { user: id })],
                ..AccountCommit::of(deleted, expected)
            };
            match self.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(AccountCommitError::Stale) => {}
                Err(error) => return Err(change_refused(error)),
            }
        }
        Err(ChangeAccountError::Busy)
    }

    /// Restores a deleted account with the status that it had. Its sessions and memberships do not come back.
    ///
    /// # Errors
    /// See [`ChangeAccountError`].
    pub async fn restore(
        &self,
        actor: &Actor,
        id: UserId,
        expected: Option<Version>,
        receipt: ReceiptFor<'_, Profile>,
    ) -> Result<Profile, ChangeAccountError> {
        for _ in 0..DECISIONS_MAX {
            let user = self
                .ports
                .users
                .user(id)
                .await?
                .ok_or(ChangeAccountError::NotFound)?;
            policy::delete_person(actor, &user)?;
            check_version(&user, expected)?;
            policy::restorable(&user)?;
            if user.is_anonymized() {
                return Err(ChangeAccountError::Anonymized);
            }
            let now = self.ports.clock.now();
            let restored = User {
                deleted_at: None,
                updated_at: now,
                version: user.version.next(),
                ..user.clone()
            };
            let profile = restored.profile();
            let receipt = receipt(&profile);
            let commit = AccountCommit {
                // Also those that began while other writers than this program deleted the account.
                sessions: SessionsAfter::RevokeAll { at: now },
                events: vec![self.event_of(actor, now, IdentityFact::UserRestored { user: id })],
                receipt,
                ..AccountCommit::of(restored, Expected::Version(user.version))
            };
            match self.commit(commit).await {
                Ok(()) => return Ok(profile),
                Err(AccountCommitError::Stale) => {}
                Err(error) => return Err(change_refused(error)),
            }
        }
        Err(ChangeAccountError::Busy)
    }

    /// Changes the caller's own password, or sets the first one, and ends all their other sessions. What was mailed
    /// before, such as the link that confirms a new address, is of no use any more.
    ///
    /// # Errors
    /// When the caller does not prove again who they are, or the new password breaks a rule.
    pub async fn change_password(
        &self,
        principal: &Principal,
        command: ChangePassword,
    ) -> Result<(), ChangePasswordError> {
        let new =
            Password::parse("/newPassword", &command.new, self.limits.password).map_err(Violations::from)?;
        let mut hashed: Option<PasswordHash> = None;
        for _ in 0..DECISIONS_MAX {
            let guard = &self.ports.reauthentication;
            let user = guard.prove(principal, command.current.as_deref()).await?;
            let password_hash = match hashed.take() {
                Some(hash) => hash,
                None => self.ports.hasher.hash(&new).await?,
            };
            hashed = Some(password_hash.clone());
            let now = self.ports.clock.now();
            let fact = IdentityFact::PasswordChanged { user: user.id };
            let expected = Expected::Version(user.version);
            let changed = User {
                password_hash,
                updated_at: now,
                version: user.version.next(),
                ..user
            };
            let commit = AccountCommit {
                sessions: others_end(Some(principal), now),
                spends: Some(TokenSpend {
                    shown: None,
                    others: OtherTokens::All,
                    at: now,
                }),
                events: vec![self.event_of(&principal.actor(), now, fact)],
                ..AccountCommit::of(changed, expected)
            };
            match self.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(AccountCommitError::Stale) => {}
                Err(AccountCommitError::Port(error)) => return Err(error.into()),
                Err(
                    error @ (AccountCommitError::Repeated
                    | AccountCommitError::EmailTaken
                    | AccountCommitError::LastAdmin
                    | AccountCommitError::TokenSpent),
                ) => return Err(unexpected(error).into()),
            }
        }
        Err(ChangePasswordError::Busy)
    }

    // ----------------------------------------------------------------------------------------------- helpers

    /// Commits, and forgets who callers were: also after a failure, which may hide a success.
    pub(super) async fn commit(&self, commit: AccountCommit) -> Result<(), AccountCommitError> {
        let outcome = self.ports.users.commit(commit).await;
        self.ports.cache.invalidate_all();
        outcome
    }

    pub(super) fn applicant(&self, registration: &Registration) -> Result<Applicant, Violations> {
        self.parse(
            &registration.email,
            &registration.name,
            Some(&registration.password),
        )
    }

    fn parse(&self, email: &str, name: &str, password: Option<&str>) -> Result<Applicant, Violations> {
        let mut violations = Violations::new();
        let email = violations.check(EmailAddress::parse("/email", email));
        let name = violations.check(PersonName::parse("/name", name));
        let password = violations.check(
            password
                .map(|raw| Password::parse("/password", raw, self.limits.password))
                .transpose(),
        );
        match (email, name, password) {
            (Some(email), Some(name), Some(password)) => Ok(Applicant {
                email,
                name,
                password,
            }),
            _ => Err(violations),
        }
    }

    /// A new account. Whose owner has not chosen a password is pending.
    pub(super) async fn new_user(
        &self,
        applicant: Applicant,
        role: Role,
        now: DateTime<Utc>,
    ) -> Result<User, PortError> {
        let Applicant {
            email,
            name,
            password,
        } = applicant;
        let (password_hash, status) = match password {
            Some(password) => (self.ports.hasher.hash(&password).await?, UserStatus::Active),
            None => (PasswordHash::unset(), UserStatus::Pending),
        };
        Ok(User {
            id: UserId::new(self.ports.ids.as_ref()),
            email,
            name,
            password_hash,
            role,
            status,
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

    /// A new token of the account for the address that it has.
    pub(super) fn token(&self, kind: TokenKind, user: &User, now: DateTime<Utc>) -> OneTimeToken {
        self.token_for(kind, Some((user.id, user.email.clone())), now)
    }

    /// A new token; without an owner it is of no use.
    pub(super) fn token_for(
        &self,
        kind: TokenKind,
        owner: Option<(UserId, EmailAddress)>,
        now: DateTime<Utc>,
    ) -> OneTimeToken {
        let id = OneTimeTokenId::new(self.ports.ids.as_ref());
        let (user, email) = owner.unzip();
        OneTimeToken {
            id,
            kind,
            user,
            email,
            sha256: self.ports.secrets.sha256(&self.ports.secrets.mailed(id)),
            created_at: now,
            expires_at: now + kind.life(),
            used_at: None,
        }
    }

    pub(super) fn event(
        &self,
        cause: Cause,
        origin: Option<Arc<Origin>>,
        at: DateTime<Utc>,
        fact: IdentityFact,
    ) -> Event {
        Event::caused(self.ports.ids.as_ref(), at, cause, origin, Fact::Identity(fact))
    }

    pub(super) fn event_of(&self, actor: &Actor, at: DateTime<Utc>, fact: IdentityFact) -> Event {
        Event::new(self.ports.ids.as_ref(), at, actor, Fact::Identity(fact))
    }
}

fn view(user: &User, sight: Sight) -> UserView {
    match sight {
        Sight::Full => UserView::Full(Box::new(user.profile())),
        Sight::Card => UserView::Card(user.card()),
    }
}

pub(super) fn check_version(user: &User, expected: Option<Version>) -> Result<(), ChangeAccountError> {
    match expected {
        Some(expected) if expected != user.version => Err(ChangeAccountError::Stale {
            current: user.version,
        }),
        Some(_) | None => Ok(()),
    }
}

fn parse_update(update: &UpdateUser, capacity: Capacity) -> Result<UserPatch, Violations> {
    let UpdateUser {
        name,
        avatar_url,
        role,
        status,
    } = update.clone();
    let mut violations = Violations::new();
    if capacity == Capacity::Owner {
        for (pointer, keeps) in [("/role", role.is_keep()), ("/status", status.is_keep())] {
            if !keeps {
                let message = "can be set by administrators only";
                violations.push(Violation::new(pointer, "not_allowed", message));
            }
        }
    }
    let name = violations.check(
        required("/name", name).and_then(|name| name.map(|raw| PersonName::parse("/name", &raw)).transpose()),
    );
    let avatar_url = violations.check(avatar_url.try_map(|raw| AvatarUrl::parse("/avatarUrl", &raw)));
    let role = violations.check(required("/role", role));
    let status = violations.check(required("/status", status));
    violations.clone().into_result()?;
    match (name, avatar_url, role, status) {
        (Some(name), Some(avatar_url), Some(role), Some(status)) => Ok(UserPatch {
            name,
            avatar_url,
            role,
            status,
        }),
        _ => Err(violations),
    }
}

/// A patch of a field that cannot be empty.
pub(super) fn required<T>(pointer: &str, patch: Patch<T>) -> Result<Option<T>, Violation> {
    match patch {
        Patch::Keep => Ok(None),
        Patch::Set(value) => Ok(Some(value)),
        Patch::Clear => Err(Violation::new(pointer, "required", "must not be null")),
    }
}

/// The account after the patch, and the contract's names of the fields that differ. Where none does, it is as before.
fn decide_update(
    user: User,
    patch: UserPatch,
    capacity: Capacity,
    now: DateTime<Utc>,
) -> Result<(User, Vec<String>), ChangeAccountError> {
    let UserPatch {
        name,
        avatar_url,
        role,
        status,
    } = patch;
    let mut changed = user.clone();
    changed.name = name.unwrap_or(changed.name);
    changed.avatar_url = avatar_url.apply(changed.avatar_url);
    changed.role = role.unwrap_or(changed.role);
    changed.status = status.unwrap_or(changed.status);
    let shuts_out = user.is_usable() && !changed.is_usable();
    match capacity {
        Capacity::AdminOwner if shuts_out => return Err(ChangeAccountError::OwnAccount),
        Capacity::AdminOwner | Capacity::Admin | Capacity::Owner => {}
    }
    let fields: Vec<String> = [
        ("name", changed.name != user.name),
        ("avatarUrl", changed.avatar_url != user.avatar_url),
        ("role", changed.role != user.role),
        ("status", changed.status != user.status),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(field, _)| field.to_owned())
    .collect();
    if !fields.is_empty() {
        changed.updated_at = now;
        changed.version = user.version.next();
    }
    Ok((changed, fields))
}

pub(super) fn change_refused(error: AccountCommitError) -> ChangeAccountError {
    match error {
        AccountCommitError::LastAdmin => ChangeAccountError::LastAdmin,
        AccountCommitError::Repeated => ChangeAccountError::Repeated,
        AccountCommitError::Stale => ChangeAccountError::Busy,
        error @ (AccountCommitError::EmailTaken | AccountCommitError::TokenSpent) => unexpected(error).into(),
        AccountCommitError::Port(error) => error.into(),
    }
}

/// What tells of an update: the changed fields, and what role and status are now where they differ.
pub(super) fn updated(before: &User, after: &User, fields: Vec<String>) -> IdentityFact {
    IdentityFact::UserUpdated {
        user: after.id,
        fields,
        role: (before.role != after.role).then(|| after.role.as_str().to_owned()),
        status: (before.status != after.status).then(|| after.status.as_str().to_owned()),
    }
}

/// Every session of the account ends but that through which its owner speaks.
pub(super) fn others_end(owner: Option<&Principal>, at: DateTime<Utc>) -> SessionsAfter {
    match owner.and_then(Principal::session) {
        Some(keep) => SessionsAfter::RevokeOthers { keep, at },
        None => SessionsAfter::RevokeAll { at },
    }
}

/// A refusal that the commit gave no cause for.
pub(super) fn unexpected(error: AccountCommitError) -> PortError {
    PortError::Bug {
        port: "user store",
        source: Box::new(error),
    }
}
