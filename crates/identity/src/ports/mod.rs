//! What this crate needs of the world: stores, a password hash, access tokens and secrets.
//!
//! A store's `commit` methods take one value that holds all that must become durable: the rows, the events for the
//! outbox and the receipt. They store it whole or not at all. Wherever the text says "must", the suites in
//! `testing::contract` check it.
//!
//! Every list is in the order that its method names, begins after `after`, and holds at most `limit` rows.

mod api_keys;
mod audit;
mod mail;
mod people;
mod security;
mod sign_on;
mod tokens;
mod totp;
mod two_factor;
mod vault;

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::Event;
use kernel::{
    Client, Page, PageLimit, Person, PortError, Position, Receipt, Role, TeamId, TeamRole, UserId, Version,
};

use crate::session::{AccessClaims, AccessToken, SecretToken, Session, SessionId, SignInMethod, TokenHash};
use crate::team::{Team, TeamMember};
use crate::two_factor::TwoFactorRule;
use crate::user::{PersonCard, User, UserStatus};
use crate::value::{EmailAddress, Password, PasswordAttempt, PasswordHash};

#[cfg(any(test, feature = "testing"))]
pub use api_keys::MockApiKeyStore;
pub use api_keys::{
    ApiKeyCommit, ApiKeyCommitError, ApiKeyRecord, ApiKeyRevocation, ApiKeyStore, SignOfUse, WhichKey,
};
#[cfg(any(test, feature = "testing"))]
pub use audit::MockAuditStore;
pub use audit::{ActionFilter, AuditFilter, AuditPage, AuditStore, Recorded};
#[cfg(any(test, feature = "testing"))]
pub use mail::MockMailer;
pub use mail::{Mail, MailContent, MailError, Mailer};
#[cfg(any(test, feature = "testing"))]
pub use people::MockPeople;
pub use people::People;
#[cfg(any(test, feature = "testing"))]
pub use security::MockSecurityStore;
pub use security::{SecurityCommit, SecurityCommitError, SecurityStore};
pub use sign_on::{
    CodeReceived, LinkChange, PendingSignOn, ProviderError, SignOnAsk, SignOnCommit, SignOnCommitError,
    SignOnProvider, SignOnStore, SignOnToken, Vouched, WaysIn,
};
#[cfg(any(test, feature = "testing"))]
pub use sign_on::{MockSignOnProvider, MockSignOnStore};
#[cfg(any(test, feature = "testing"))]
pub use tokens::MockOneTimeTokens;
pub use tokens::{
    IssueBound, OneTimeToken, OneTimeTokenId, OneTimeTokens, OtherTokens, TokenIssue, TokenKind, TokenSpend,
};
#[cfg(any(test, feature = "testing"))]
pub use totp::MockTotp;
pub use totp::Totp;
#[cfg(any(test, feature = "testing"))]
pub use two_factor::MockTwoFactorStore;
pub use two_factor::{
    CodesReplacement, Confirmation, Enrolment, FactorUse, LoginChallenge, RemovalProof, TwoFactorCommitError,
    TwoFactorRecord, TwoFactorRemoval, TwoFactorStore,
};
#[cfg(any(test, feature = "testing"))]
pub use vault::MockVault;
pub use vault::{SealPurpose, Sealed, Vault};

// ------------------------------------------------------------------------------------------------- accounts

/// Keeps accounts.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait UserStore: Send + Sync {
    /// The account of that id, deleted or not.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn user(&self, id: UserId) -> Result<Option<User>, PortError>;

    /// The account of that address, deleted or not.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn user_by_email(&self, email: &EmailAddress) -> Result<Option<User>, PortError>;

    /// A page of accounts, newest first: by `created_at` and then `id`, both descending. The page's position holds
    /// these two.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn users(
        &self,
        filter: UserFilter,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<User>, PortError>;

    /// Stores an account's change.
    ///
    /// Must refuse a commit that would turn the last acting admin ([`User::is_acting_admin`]) into something else,
    /// also when several such commits run at once: one of them must then lose. A commit on an account that is no
    /// acting admin in the store is never refused for this.
    ///
    /// Of any number of commits at once that show the same one-time token, one at most must be stored.
    ///
    /// Must write `user` as it stands, its `version` and `updated_at` included, but for `last_login_at` and
    /// `created_at` of an account that exists, which it must leave alone.
    ///
    /// # Errors
    /// See [`AccountCommitError`]; nothing is stored then.
    async fn commit(&self, commit: AccountCommit) -> Result<(), AccountCommitError>;
}

/// Which accounts a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserFilter {
    /// Only those of this role.
    pub role: Option<Role>,
    /// Only those of this status.
    pub status: Option<UserStatus>,
    /// Only those that hold this text.
    pub search: Option<UserSearch>,
    /// Deleted ones, too?
    pub deleted: Deleted,
}

/// A text that accounts are searched for: without regard to case, anywhere in the field, every character standing
/// for itself (`%` and `_` too).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSearch {
    /// The text; not empty.
    pub text: String,
    /// Where to look for it.
    pub fields: SearchFields,
}

/// The fields that a search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchFields {
    /// The name alone; so that one who does not see addresses cannot guess them.
    Name,
    /// The name and the address.
    NameAndEmail,
}

/// What a list does with deleted rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deleted {
    /// Leaves them out.
    #[default]
    Hidden,
    /// Shows them among the others.
    Included,
}

/// What a commit found before its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: the row is new.
    Absent,
    /// The row at this version.
    Version(Version),
}

/// All that becomes durable when an account is made or changed.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct AccountCommit {
    /// The account as it is to stand. Its version is the one after `expected`, or the same where nothing but the
    /// receipt is to be stored.
    pub user: User,
    /// What the decision was made on.
    pub expected: Expected,
    /// What happens to the account's sessions.
    pub sessions: SessionsAfter,
    /// What happens to the account's memberships.
    pub memberships: MembershipsAfter,
    /// What happens to what else opens the account.
    pub credentials: CredentialsAfter,
    /// The one-time tokens that it uses up.
    pub spends: Option<TokenSpend>,
    /// A one-time token of the account. The open ones of its kind before it are spent.
    pub issues: Option<OneTimeToken>,
    /// What to publish.
    pub events: Vec<Event>,
    /// Proof that a request was carried out.
    pub receipt: Option<Receipt>,
}

impl AccountCommit {
    /// A commit that stores the account and nothing else.
    pub fn of(user: User, expected: Expected) -> Self {
        Self {
            user,
            expected,
            sessions: SessionsAfter::Keep,
            memberships: MembershipsAfter::Keep,
            credentials: CredentialsAfter::Keep,
            spends: None,
            issues: None,
            events: Vec::new(),
            receipt: None,
        }
    }
}

/// What an account's change does to its sessions. Times of sessions that ended before stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionsAfter {
    /// They go on.
    Keep,
    /// All end.
    RevokeAll {
        /// The time of their end.
        at: DateTime<Utc>,
    },
    /// All but one end.
    RevokeOthers {
        /// The one that goes on.
        keep: SessionId,
        /// The time of the others' end.
        at: DateTime<Utc>,
    },
    /// All end, and of all, also those that ended before, it is forgotten which clients used them.
    EraseAll {
        /// The time of their end.
        at: DateTime<Utc>,
    },
}

/// What an account's change does to its memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipsAfter {
    /// It stays in its teams.
    Keep,
    /// It leaves every team: it is deleted, or no longer staff.
    LeaveAll,
}

/// What an account's change does to what opens the account besides its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsAfter {
    /// It stays.
    Keep,
    /// It is removed for good: the second factor with its recovery codes, keys of programs, links to single sign-on
    /// providers, and one-time tokens, used ones too.
    RemoveAll,
}

/// Why an account's change was not stored.
#[derive(Debug, thiserror::Error)]
pub enum AccountCommitError {
    /// The stored version is not the expected one, or there is no such row.
    #[error("the account changed meanwhile")]
    Stale,
    /// The receipt is there already: the request was carried out before.
    #[error("the request was carried out before")]
    Repeated,
    /// Another account, deleted or not, has the address.
    #[error("the address is taken")]
    EmailTaken,
    /// The desk would be left without an acting admin.
    #[error("the account is the last acting administrator")]
    LastAdmin,
    /// The one-time token that was shown is used, expired or another account's.
    #[error("the one-time token is spent")]
    TokenSpent,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

// ------------------------------------------------------------------------------------------------- sessions

/// Keeps sessions.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a new session and sets its account's `last_login_at` to the session's `created_at`.
    ///
    /// Must refuse, in the same transaction, when the account no longer admits its owner ([`User::may_sign_in`]) or its
    /// stored hash is no longer that of the proof, or a password alone was shown though a second factor is enabled: a
    /// login that ran beside a suspension, a change of password or the enabling of a second factor leaves no session
    /// behind. A second factor's use must hold once more ([`FactorUse`]) and be moved, and a challenge be known, not over
    /// and not spent, and be spent with it: of any number of logins with the same code, or the same challenge, exactly one
    /// begins a session. Setting `last_login_at` may move the account's version.
    ///
    /// # Errors
    /// See [`BeginError`]; nothing is stored then.
    async fn begin(&self, begin: SessionBegin) -> Result<(), BeginError>;

    /// Stores the events of a sign-in, or of another proof of who one is, that was refused.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is stored then.
    async fn refuse(&self, events: Vec<Event>) -> Result<(), PortError>;

    /// Whether a session of the account, ended or not, that was used at `since` or later was last used from `ip`. An
    /// address of IPv6 stands for its /64.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn has_signed_in_from(
        &self,
        user: UserId,
        ip: IpAddr,
        since: DateTime<Utc>,
    ) -> Result<bool, PortError>;

    /// What the store knows of a refresh token: whether it is a session's live one, or one that was exchanged. Must
    /// find ended sessions, too, and those of unusable accounts.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn shown(&self, token: &TokenHash) -> Result<Option<ShownToken>, PortError>;

    /// Exchanges the live refresh token for its successor: compare and swap.
    ///
    /// Must be refused as stale unless `presented` is still the session's live token and the session is not revoked.
    /// Must remember `presented` with `successor_salt` and `at`, and set the session's `client`, `expires_at` and
    /// `last_used_at`, all at once.
    ///
    /// # Errors
    /// See [`RotateError`]; nothing is stored then.
    async fn rotate(&self, rotation: Rotation) -> Result<(), RotateError>;

    /// Ends sessions and gives the number of those that were not revoked before. Must store the events only if there
    /// was at least one.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is stored then.
    async fn revoke(&self, revocation: Revocation) -> Result<u64, PortError>;

    /// The session of that id, live or not.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, PortError>;

    /// A page of a person's sessions that are live at `now`, newest first by `created_at` and then `id`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn live_sessions(
        &self,
        user: UserId,
        now: DateTime<Utc>,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<Session>, PortError>;

    /// Who stands behind a session: all that authentication asks, in one read. `None` when there is no such session.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn principal(&self, session: SessionId) -> Result<Option<PrincipalRecord>, PortError>;

    /// Forgets up to `rows_max` sessions that expired or were revoked before `before`, with their exchanged tokens;
    /// gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn forget_ended(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;
}

/// All that becomes durable when a person logs in.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct SessionBegin {
    /// The new session.
    pub session: Session,
    /// What the store is to hold against the account once more.
    pub proof: Proof,
    /// What to publish.
    pub events: Vec<Event>,
}

/// What a sign-in was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The password: the hash that it was compared with, which must still be the account's.
    Password(PasswordHash),
    /// The password and a second factor.
    PasswordAndFactor {
        /// The hash that the password was compared with.
        password: PasswordHash,
        /// What is used up for it.
        factor: FactorUse,
        /// The challenge that was answered, unless the code came with the password.
        challenge: Option<TokenHash>,
    },
    /// A provider's word; the account's password does not matter.
    SignOn,
}

/// Why a session was not stored.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The account was shut out, or its password changed, while the person logged in.
    #[error("the account no longer admits this login")]
    Refused,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A refresh token that the store knows, with its session and the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownToken {
    /// The session that the token is of.
    pub session: Session,
    /// Whose session it is.
    pub user: User,
    /// The token's place in the session.
    pub place: TokenPlace,
}

/// A refresh token's place in its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// It is the live one.
    Live,
    /// It was exchanged for a successor.
    Exchanged {
        /// When.
        at: DateTime<Utc>,
        /// The salt from which the successor was derived.
        successor_salt: Vec<u8>,
    },
}

/// All that becomes durable when a refresh token is exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Rotation {
    /// The session.
    pub session: SessionId,
    /// The token that is exchanged.
    pub presented: TokenHash,
    /// The token that takes its place.
    pub successor: TokenHash,
    /// The salt from which the successor was derived.
    pub successor_salt: Vec<u8>,
    /// When.
    pub at: DateTime<Utc>,
    /// When the session ends from now on.
    pub expires_at: DateTime<Utc>,
    /// The client that showed the token.
    pub client: Client,
}

/// Why a refresh token was not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The token is not the live one, or the session is revoked.
    #[error("the session changed meanwhile")]
    Stale,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// All that becomes durable when sessions are ended.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Revocation {
    /// Which sessions.
    pub which: WhichSessions,
    /// When.
    pub at: DateTime<Utc>,
    /// What to publish if any of them was not revoked before.
    pub events: Vec<Event>,
}

/// Sessions to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichSessions {
    /// One.
    One(SessionId),
    /// All of a person.
    AllOf(UserId),
}

/// Who stands behind a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalRecord {
    /// The person, with every membership.
    pub person: Person,
    /// The account's status.
    pub status: UserStatus,
    /// When the account was deleted, if it is.
    pub deleted_at: Option<DateTime<Utc>>,
    /// When the session ends.
    pub session_expires_at: DateTime<Utc>,
    /// When the session was revoked, if it was.
    pub session_revoked_at: Option<DateTime<Utc>>,
    /// How the person proved who they are when it began.
    pub method: SignInMethod,
    /// Whether the account has a second factor.
    pub two_factor_enabled: bool,
    /// Of whom the desk asks one.
    pub two_factor_rule: TwoFactorRule,
}

// ---------------------------------------------------------------------------------------------------- teams

/// Keeps teams and their members.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait TeamStore: Send + Sync {
    /// The team of that id.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn team(&self, id: TeamId) -> Result<Option<Team>, PortError>;

    /// A page of teams, newest first by `created_at` and then `id`, both descending.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn teams(&self, after: Option<Position>, limit: PageLimit) -> Result<Page<Team>, PortError>;

    /// Stores a new or changed team.
    ///
    /// # Errors
    /// See [`TeamCommitError`]; nothing is stored then.
    async fn commit(&self, commit: TeamCommit) -> Result<(), TeamCommitError>;

    /// Removes a team for good, with its memberships.
    ///
    /// # Errors
    /// [`TeamCommitError::Stale`] when the version moved on or the team is gone, [`TeamCommitError::HasTickets`] while
    /// tickets lie with it: without a team they would be every agent's. Nothing is removed then.
    async fn delete(&self, deletion: TeamDeletion) -> Result<(), TeamCommitError>;

    /// A page of a team's members with their cards, in one read, in the order of joining: by `created_at` and then the
    /// membership's `id`, both ascending. Empty for a team that does not exist.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn members(
        &self,
        team: TeamId,
        after: Option<Position>,
        limit: PageLimit,
    ) -> Result<Page<MemberRecord>, PortError>;

    /// One member with their card.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn member(&self, team: TeamId, user: UserId) -> Result<Option<MemberRecord>, PortError>;

    /// Stores a joining, a change of rank or a leaving.
    ///
    /// Must compare `before` with what is stored (there, or with that rank) and refuse as stale when they differ.
    /// Must refuse to let someone join, in the same transaction, whose account is not live staff
    /// ([`User::is_live_staff`]), so that a commit that deletes or demotes the account at the same time leaves no
    /// membership behind.
    ///
    /// # Errors
    /// See [`MemberCommitError`]; nothing is stored then.
    async fn commit_member(&self, commit: MemberCommit) -> Result<(), MemberCommitError>;
}

/// A member with what others may see of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// The membership.
    pub member: TeamMember,
    /// The person.
    pub person: PersonCard,
}

/// All that becomes durable when a team is made or changed.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct TeamCommit {
    /// The team as it is to stand. Its version is the one after `expected`, or the same where nothing but the receipt
    /// is to be stored.
    pub team: Team,
    /// What the decision was made on.
    pub expected: Expected,
    /// What to publish.
    pub events: Vec<Event>,
    /// Proof that a request was carried out.
    pub receipt: Option<Receipt>,
}

/// All that becomes durable when a team is removed.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct TeamDeletion {
    /// The team.
    pub team: TeamId,
    /// The version that the decision was made on.
    pub expected: Version,
    /// What to publish.
    pub events: Vec<Event>,
}

/// Why a team's change was not stored.
#[derive(Debug, thiserror::Error)]
pub enum TeamCommitError {
    /// The stored version is not the expected one, or there is no such team.
    #[error("the team changed meanwhile")]
    Stale,
    /// The receipt is there already: the request was carried out before.
    #[error("the request was carried out before")]
    Repeated,
    /// Another team has the name.
    #[error("the name is taken")]
    NameTaken,
    /// Tickets lie with the team, so that it cannot be removed.
    #[error("tickets lie with the team")]
    HasTickets,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// All that becomes durable when someone joins or leaves a team, or changes rank in it.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct MemberCommit {
    /// The team.
    pub team: TeamId,
    /// The person.
    pub user: UserId,
    /// The rank that the decision was made on; `None`: no member.
    pub before: Option<TeamRole>,
    /// What the membership becomes.
    pub change: MemberChange,
    /// What to publish.
    pub events: Vec<Event>,
    /// Proof that a request was carried out.
    pub receipt: Option<Receipt>,
}

/// What becomes of a membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// It begins. Goes with `before: None`.
    Join(TeamMember),
    /// Its rank changes, or stays where nothing but the receipt is to be stored.
    Rank(TeamRole),
    /// It ends.
    Leave,
}

/// Why a membership's change was not stored.
#[derive(Debug, thiserror::Error)]
pub enum MemberCommitError {
    /// The stored membership is not the one that the decision was made on.
    #[error("the membership changed meanwhile")]
    Stale,
    /// The receipt is there already: the request was carried out before.
    #[error("the request was carried out before")]
    Repeated,
    /// There is no such team.
    #[error("the team is gone")]
    NoTeam,
    /// The person's account is missing, deleted or not staff.
    #[error("the person is not staff")]
    NotStaff,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

// --------------------------------------------------------------------------------------------------- set-up

/// Keeps the one-time tokens with which the first administrator is made. They are of use only while the desk has no
/// acting admin ([`User::is_acting_admin`]).
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait SetupStore: Send + Sync {
    /// Whether the desk still has no acting admin.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn is_open(&self) -> Result<bool, PortError>;

    /// Remembers a token. Tokens that other nodes remembered stay good.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is stored then.
    async fn offer(&self, offer: SetupOffer) -> Result<(), PortError>;

    /// Makes the first administrator.
    ///
    /// Must do all of it in one transaction that no other such one, and no commit of another acting admin, can run
    /// beside: check that there is no acting admin, check that the token is known, not expired at `at` and not used,
    /// use up every set-up token, store the account and the events. Of any number of attempts at once exactly one
    /// succeeds.
    ///
    /// # Errors
    /// See [`SetupCommitError`]; nothing is stored then, and the token stays good.
    async fn complete(&self, commit: SetupCommit) -> Result<(), SetupCommitError>;
}

/// A set-up token to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupOffer {
    /// The token's hash.
    pub token: TokenHash,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// All that becomes durable when the first administrator is made.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct SetupCommit {
    /// The token that was shown.
    pub token: TokenHash,
    /// When.
    pub at: DateTime<Utc>,
    /// The administrator.
    pub user: User,
    /// What to publish.
    pub events: Vec<Event>,
}

/// Why the first administrator was not made.
#[derive(Debug, thiserror::Error)]
pub enum SetupCommitError {
    /// The desk has an acting admin already.
    #[error("the desk is set up already")]
    Closed,
    /// The token is unknown, expired or used.
    #[error("the set-up token is not known")]
    UnknownToken,
    /// Another account, deleted or not, has the address.
    #[error("the address is taken")]
    EmailTaken,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

// -------------------------------------------------------------------------------------------------- secrets

/// Hashes passwords. Must do its work where it holds up nobody else, and bound how much of it runs at once.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// A fresh, salted hash: equal passwords have different ones.
    ///
    /// # Errors
    /// When it cannot be computed.
    async fn hash(&self, password: &Password) -> Result<PasswordHash, PortError>;

    /// Whether the attempt is the password behind `hash`. Must hold for hashes that earlier settings made. For
    /// [`PasswordHash::unset`] it must cost the same and be false.
    ///
    /// # Errors
    /// When it cannot be computed, or `hash` is none.
    async fn verify(&self, hash: &PasswordHash, attempt: &PasswordAttempt) -> Result<bool, PortError>;

    /// Costs what [`PasswordHasher::verify`] does and proves nothing: for a login that has no account, so that its
    /// answer comes no sooner.
    ///
    /// # Errors
    /// As of `verify`.
    async fn verify_nothing(&self, attempt: &PasswordAttempt) -> Result<(), PortError>;
}

/// Signs access tokens and reads them.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
pub trait AccessTokens: Send + Sync {
    /// A token that says `claims`.
    ///
    /// # Errors
    /// When it cannot be signed.
    fn issue(&self, claims: &AccessClaims) -> Result<AccessToken, PortError>;

    /// What a token says, if it is one of ours and not expired at `now`. Must refuse every other algorithm, type,
    /// issuer and audience, and a claim of another shape.
    ///
    /// # Errors
    /// See [`TokenError`].
    fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<AccessClaims, TokenError>;
}

/// Why an access token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was good once.
    #[error("the access token has expired")]
    Expired,
    /// It is not ours.
    #[error("the access token is not valid")]
    Invalid,
}

/// Makes secrets and their hashes.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
pub trait Secrets: Send + Sync {
    /// A new token of 256 random bits.
    ///
    /// # Errors
    /// When the system gives no randomness.
    fn token(&self) -> Result<SecretToken, PortError>;

    /// A new salt of 256 random bits.
    ///
    /// # Errors
    /// When the system gives no randomness.
    fn salt(&self) -> Result<Vec<u8>, PortError>;

    /// The token's SHA-256.
    fn sha256(&self, token: &SecretToken) -> TokenHash;

    /// The one token that takes the place of `presented`, given `salt`. Must depend on both and on a key that only
    /// the server has, and give the same again.
    fn successor(&self, presented: &SecretToken, salt: &[u8]) -> SecretToken;

    /// The token that the mail about the one-time token `id` carries. Must depend on the id and on a key that only the
    /// server has, and give the same again.
    fn mailed(&self, id: OneTimeTokenId) -> SecretToken;
}
