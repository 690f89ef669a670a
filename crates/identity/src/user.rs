//! Accounts, and the views of them that leave the crate.

use chrono::{DateTime, Utc};
use kernel::{Role, UserId, Version};

use crate::value::{AvatarUrl, EmailAddress, PasswordHash, PersonName};

/// Whether an account may be used (contract enum `UserStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UserStatus {
    /// In use.
    Active,
    /// Shut out by an administrator.
    Suspended,
    /// Waits to be confirmed.
    Pending,
}

impl UserStatus {
    /// Every status, in the contract's order.
    pub const ALL: [UserStatus; 3] = [UserStatus::Active, UserStatus::Suspended, UserStatus::Pending];

    /// The name in the contract and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            UserStatus::Active => "active",
            UserStatus::Suspended => "suspended",
            UserStatus::Pending => "pending",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<UserStatus> {
        UserStatus::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// An account as it is stored. It carries the password's hash and so never leaves the crate but for its store;
/// callers get a [`UserView`] or a [`Profile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The account.
    pub id: UserId,
    /// The address that it logs in with; unique, also among deleted accounts.
    pub email: EmailAddress,
    /// What the person is called.
    pub name: PersonName,
    /// The password's hash.
    pub password_hash: PasswordHash,
    /// What it may do in general.
    pub role: Role,
    /// Whether it may be used.
    pub status: UserStatus,
    /// The person's picture.
    pub avatar_url: Option<AvatarUrl>,
    /// When the address was proved to be the person's.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// When the person last logged in with the password.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Whether a second factor is asked for.
    pub two_factor_enabled: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted, if it is.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Counts its changes.
    pub version: Version,
}

impl User {
    /// Whether its owner may sign in and stay signed in: the account is not deleted, and active, or pending with a
    /// password. Whoever is pending reaches their own account alone. One who was invited and has chosen no password yet
    /// cannot sign in.
    #[must_use]
    pub fn may_sign_in(&self) -> bool {
        self.deleted_at.is_none()
            && match self.status {
                UserStatus::Active => true,
                UserStatus::Pending => !self.password_hash.is_unset(),
                UserStatus::Suspended => false,
            }
    }

    /// Whether the account may act: active and not deleted.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.deleted_at.is_none()
            && match self.status {
                UserStatus::Active => true,
                UserStatus::Suspended | UserStatus::Pending => false,
            }
    }

    /// Whether the account was made for someone who has not accepted the invitation yet.
    #[must_use]
    pub fn awaits_invitation(&self) -> bool {
        self.deleted_at.is_none() && self.status == UserStatus::Pending && self.password_hash.is_unset()
    }

    /// Whether its personal data was removed for good.
    #[must_use]
    pub fn is_anonymized(&self) -> bool {
        self.email.as_str() == anonymous_address(self.id)
    }

    /// The account without anything that tells whose it was, and deleted: what an anonymisation makes of it.
    #[must_use]
    pub fn anonymized(self, now: DateTime<Utc>) -> Self {
        Self {
            email: EmailAddress::stored(anonymous_address(self.id)),
            name: PersonName::of_the_deleted(),
            password_hash: PasswordHash::unset(),
            avatar_url: None,
            email_verified_at: None,
            two_factor_enabled: false,
            updated_at: now,
            deleted_at: Some(self.deleted_at.unwrap_or(now)),
            version: self.version.next(),
            ..self
        }
    }

    /// Whether the account is an administrator who can act. A desk that has one always keeps one.
    #[must_use]
    pub fn is_acting_admin(&self) -> bool {
        self.is_usable() && self.role == Role::Admin
    }

    /// Whether the account answers tickets and is not deleted: only then can it be a member of a team.
    #[must_use]
    pub fn is_live_staff(&self) -> bool {
        self.deleted_at.is_none()
            && match self.role {
                Role::Agent | Role::Admin => true,
                Role::User => false,
            }
    }

    /// What the person and administrators see.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile {
            id: self.id,
            email: self.email.clone(),
            name: self.name.clone(),
            role: self.role,
            status: self.status,
            avatar_url: self.avatar_url.clone(),
            email_verified_at: self.email_verified_at,
            last_login_at: self.last_login_at,
            two_factor_enabled: self.two_factor_enabled,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            version: self.version,
        }
    }

    /// What staff see of anyone.
    #[must_use]
    pub fn card(&self) -> PersonCard {
        PersonCard {
            id: self.id,
            name: self.name.clone(),
            avatar_url: self.avatar_url.clone(),
            role: self.role,
        }
    }
}

/// An address that no mail can reach (RFC 2606) and no other account has.
fn anonymous_address(id: UserId) -> String {
    format!("anonymous-{id}@deleted.invalid")
}

/// An account as its owner and administrators may see it: everything but secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The account.
    pub id: UserId,
    /// The address that it logs in with.
    pub email: EmailAddress,
    /// What the person is called.
    pub name: PersonName,
    /// What it may do in general.
    pub role: Role,
    /// Whether it may be used.
    pub status: UserStatus,
    /// The person's picture.
    pub avatar_url: Option<AvatarUrl>,
    /// When the address was proved to be the person's.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// When the person last logged in with the password.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Whether a second factor is asked for.
    pub two_factor_enabled: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted, if it is.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Counts its changes.
    pub version: Version,
}

/// As much of a person as their work with others needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonCard {
    /// The account.
    pub id: UserId,
    /// What the person is called.
    pub name: PersonName,
    /// The person's picture.
    pub avatar_url: Option<AvatarUrl>,
    /// What the account may do in general.
    pub role: Role,
}

/// An account as the caller may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserView {
    /// Everything but secrets.
    Full(Box<Profile>),
    /// Only what working together needs.
    Card(PersonCard),
}

impl UserView {
    /// Whose account it is.
    #[must_use]
    pub fn id(&self) -> UserId {
        match self {
            UserView::Full(profile) => profile.id,
            UserView::Card(card) => card.id,
        }
    }
}
