//! One-time tokens: what the links of mails carry.
//!
//! The token itself is derived from its row's id ([`Secrets::mailed`](super::Secrets::mailed)), so that a mail can be
//! made again while nothing that could be used lies in the store. To add a kind, name it in [`TokenKind`] and let a use
//! case of `service::mailed_links` accept it.

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use events::Event;
use kernel::{PortError, UserId};

use crate::session::TokenHash;
use crate::value::EmailAddress;

kernel::id_type! {
    /// A one-time token of a mail.
    OneTimeTokenId
}

/// Keeps the one-time tokens of mails. [`UserStore::commit`](super::UserStore::commit) stores and spends them, too,
/// together with the account's change.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait OneTimeTokens: Send + Sync {
    /// The token of that id, open or not.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn token(&self, id: OneTimeTokenId) -> Result<Option<OneTimeToken>, PortError>;

    /// The token of that hash, open or not. Must know tokens of the kinds of [`TokenKind`] alone.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn shown(&self, sha256: &TokenHash) -> Result<Option<OneTimeToken>, PortError>;

    /// Stores a token with the events, all or nothing.
    ///
    /// Must spend the open tokens of its kind and account that were issued before, and those that it names as
    /// superseded. Must keep the bound: where the account was issued as many tokens of the kind as that allows, the
    /// token must be stored without account and address, so that it is of no use, and no other of its kind be spent.
    /// Must take as much work for a token without an account.
    ///
    /// # Errors
    /// When the store cannot be reached; nothing is stored then.
    async fn issue(&self, issue: TokenIssue) -> Result<(), PortError>;

    /// Forgets up to `rows_max` tokens, of other kinds also, that expired before `before`; gives the number forgotten.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn forget_expired(&self, before: DateTime<Utc>, rows_max: i64) -> Result<u64, PortError>;
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenKind {
    /// Proves the address that the account has.
    VerifyEmail,
    /// Sets a new password.
    ResetPassword,
    /// Sets the first password of an account that an administrator made.
    Invitation,
    /// Proves a new address, which becomes the account's.
    ChangeEmail,
    /// Nothing: it stands for a mail that tells an owner that someone else gave their address.
    AddressNotice,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [TokenKind; 5] = [
        TokenKind::VerifyEmail,
        TokenKind::ResetPassword,
        TokenKind::Invitation,
        TokenKind::ChangeEmail,
        TokenKind::AddressNotice,
    ];
    /// For how long a link is good that its reader asked for, in minutes.
    pub const ASKED_LIFE_MINUTES: i64 = 60;
    /// For how long an invitation is good, in hours.
    pub const INVITATION_LIFE_HOURS: i64 = 72;

    /// The name in storage.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TokenKind::VerifyEmail => "verify_email",
            TokenKind::ResetPassword => "reset_password",
            TokenKind::Invitation => "invitation",
            TokenKind::ChangeEmail => "change_email",
            TokenKind::AddressNotice => "address_notice",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<TokenKind> {
        TokenKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// For how long a token is good.
    #[must_use]
    pub fn life(self) -> Duration {
        match self {
            TokenKind::VerifyEmail
            | TokenKind::ResetPassword
            | TokenKind::ChangeEmail
            | TokenKind::AddressNotice => Duration::minutes(Self::ASKED_LIFE_MINUTES),
            TokenKind::Invitation => Duration::hours(Self::INVITATION_LIFE_HOURS),
        }
    }
}

/// A one-time token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeToken {
    /// What the token is derived from.
    pub id: OneTimeTokenId,
    /// What it is good for.
    pub kind: TokenKind,
    /// Whose it is. Without an account it is good for nothing: it is there so that a request about an unknown address
    /// leaves what any other leaves.
    pub user: Option<UserId>,
    /// The address that it proves.
    pub email: Option<EmailAddress>,
    /// The token's hash.
    pub sha256: TokenHash,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was used, or took the place of another, if that is so.
    pub used_at: Option<DateTime<Utc>>,
}

impl OneTimeToken {
    /// For how long after its end a token is remembered as spent, in days.
    pub const EXPIRED_KEPT_DAYS: i64 = 30;

    /// Whether it can be used at `now`.
    #[must_use]
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.used_at.is_none() && now < self.expires_at
    }
}

/// All that becomes durable when a token is made and no account changes.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct TokenIssue {
    /// The token.
    pub token: OneTimeToken,
    /// How many the account may have been issued before.
    pub bound: IssueBound,
    /// Another account's open tokens that it takes the place of.
    pub supersedes: Option<(UserId, TokenKind)>,
    /// What to publish.
    pub events: Vec<Event>,
}

/// How many tokens of one kind an account is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssueBound {
    /// At most so many.
    pub issued_max: i64,
    /// Counted from here on.
    pub since: DateTime<Utc>,
}

/// What an account's change does to its open tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenSpend {
    /// The one that was shown. It must be the account's and open at `at`, or nothing is stored.
    pub shown: Option<OneTimeTokenId>,
    /// Those that are spent with it.
    pub others: OtherTokens,
    /// When.
    pub at: DateTime<Utc>,
}

/// Which other open tokens of an account are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherTokens {
    /// Those of one kind.
    OfKind(TokenKind),
    /// All: none outlives a change of password or address.
    All,
}
