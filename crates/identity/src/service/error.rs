//! What can go wrong, for each use case or group of closely related ones.
//!
//! The texts of `Display` are for operators; [`Classify::detail`] is for clients, and tells nothing that the caller may
//! not know.

use kernel::{Classify, FailureKind, PortError, Version, Violation, Violations};

use crate::access::AccessDenied;
use crate::policy::Denial;
use crate::ports::TokenError;
use crate::service::ReauthenticationError;

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateAccountError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// Another account, deleted or not, has the address.
    #[error("the address is taken")]
    EmailTaken,
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for CreateAccountError {
    fn kind(&self) -> FailureKind {
        match self {
            CreateAccountError::Invalid(_) => FailureKind::Invalid,
            CreateAccountError::Forbidden => FailureKind::Forbidden,
            CreateAccountError::EmailTaken | CreateAccountError::Repeated => FailureKind::Conflict,
            CreateAccountError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            CreateAccountError::Invalid(_) => "request.invalid",
            CreateAccountError::Forbidden => "access.forbidden",
            CreateAccountError::EmailTaken => "user.email_taken",
            CreateAccountError::Repeated => "request.repeated",
            CreateAccountError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            CreateAccountError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            CreateAccountError::Forbidden => "You may not do this.".into(),
            CreateAccountError::EmailTaken => "There is an account with this address already.".into(),
            CreateAccountError::Repeated => "The request was carried out before.".into(),
            CreateAccountError::Port(error) => error.detail(),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            CreateAccountError::Invalid(violations) => violations.as_slice(),
            CreateAccountError::Forbidden
            | CreateAccountError::EmailTaken
            | CreateAccountError::Repeated
            | CreateAccountError::Port(_) => &[],
        }
    }
}

impl From<Violations> for CreateAccountError {
    fn from(violations: Violations) -> Self {
        CreateAccountError::Invalid(violations)
    }
}

impl From<Denial> for CreateAccountError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden | Denial::Forbidden => CreateAccountError::Forbidden,
        }
    }
}

/// Why the first administrator was not made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// The desk has an administrator already.
    #[error("the desk is set up already")]
    Closed,
    /// The token is unknown, expired or used.
    #[error("the set-up token is not known")]
    UnknownToken,
    /// Another account, deleted or not, has the address.
    #[error("the address is taken")]
    EmailTaken,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for SetupError {
    fn kind(&self) -> FailureKind {
        match self {
            SetupError::Invalid(_) => FailureKind::Invalid,
            SetupError::Closed => FailureKind::NotFound,
            SetupError::UnknownToken => FailureKind::Unauthenticated,
            SetupError::EmailTaken => FailureKind::Conflict,
            SetupError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            SetupError::Invalid(_) => "request.invalid",
            SetupError::Closed => "setup.closed",
            SetupError::UnknownToken => "setup.token_invalid",
            SetupError::EmailTaken => "user.email_taken",
            SetupError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            SetupError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            SetupError::Closed => "There is nothing to set up.".into(),
            SetupError::UnknownToken => {
                "The set-up token is not valid; restart the server for a new one.".into()
            }
            SetupError::EmailTaken => "There is an account with this address already.".into(),
            SetupError::Port(error) => error.detail(),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            SetupError::Invalid(violations) => violations.as_slice(),
            SetupError::Closed | SetupError::UnknownToken | SetupError::EmailTaken | SetupError::Port(_) => {
                &[]
            }
        }
    }
}

impl From<Violations> for SetupError {
    fn from(violations: Violations) -> Self {
        SetupError::Invalid(violations)
    }
}

/// Why accounts were not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadAccountError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// There is no such account, or the caller may not know of it.
    #[error("no such account for this caller")]
    NotFound,
    /// The caller's own account was shut out meanwhile.
    #[error("the caller's account can no longer be used")]
    ShutOut,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ReadAccountError {
    fn kind(&self) -> FailureKind {
        match self {
            ReadAccountError::Invalid(_) => FailureKind::Invalid,
            ReadAccountError::Forbidden => FailureKind::Forbidden,
            ReadAccountError::NotFound => FailureKind::NotFound,
            ReadAccountError::ShutOut => FailureKind::Unauthenticated,
            ReadAccountError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ReadAccountError::Invalid(_) => "request.invalid",
            ReadAccountError::Forbidden => "access.forbidden",
            ReadAccountError::NotFound => "user.not_found",
            ReadAccountError::ShutOut => "auth.session_revoked",
            ReadAccountError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ReadAccountError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            ReadAccountError::Forbidden => "You may not do this.".into(),
            ReadAccountError::NotFound => "There is no such user.".into(),
            ReadAccountError::ShutOut => "The session has ended; log in again.".into(),
            ReadAccountError::Port(error) => error.detail(),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            ReadAccountError::Invalid(violations) => violations.as_slice(),
            ReadAccountError::Forbidden
            | ReadAccountError::NotFound
            | ReadAccountError::ShutOut
            | ReadAccountError::Port(_) => &[],
        }
    }
}

impl From<Violations> for ReadAccountError {
    fn from(violations: Violations) -> Self {
        ReadAccountError::Invalid(violations)
    }
}

impl From<Denial> for ReadAccountError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden => ReadAccountError::NotFound,
            Denial::Forbidden => ReadAccountError::Forbidden,
        }
    }
}

/// Why an account was not changed, deleted or restored.
#[derive(Debug, thiserror::Error)]
pub enum ChangeAccountError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// There is no such account, or the caller may not know of it.
    #[error("no such account for this caller")]
    NotFound,
    /// The caller's own account was shut out meanwhile.
    #[error("the caller's account can no longer be used")]
    ShutOut,
    /// The account is deleted, and must be restored first.
    #[error("the account is deleted")]
    Deleted,
    /// The account is not deleted, so that it cannot be restored.
    #[error("the account is not deleted")]
    NotDeleted,
    /// The account's data was removed for good.
    #[error("the account is anonymised")]
    Anonymized,
    /// The account is suspended, and must be activated first.
    #[error("the account is suspended")]
    Suspended,
    /// The account does not wait for its invitation to be accepted.
    #[error("the account does not wait for an invitation")]
    NotInvited,
    /// Administrators do not shut themselves out.
    #[error("administrators may not shut themselves out")]
    OwnAccount,
    /// The desk would be left without an acting administrator.
    #[error("the account is the last acting administrator")]
    LastAdmin,
    /// It changed since the caller looked.
    #[error("it is at version {}", current.0)]
    Stale {
        /// The version that it has now.
        current: Version,
    },
    /// Other changes kept coming between, and nothing was stored.
    #[error("changes kept overtaking each other")]
    Busy,
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ChangeAccountError {
    fn kind(&self) -> FailureKind {
        match self {
            ChangeAccountError::Invalid(_) => FailureKind::Invalid,
            ChangeAccountError::Forbidden => FailureKind::Forbidden,
            ChangeAccountError::NotFound => FailureKind::NotFound,
            ChangeAccountError::ShutOut => FailureKind::Unauthenticated,
            ChangeAccountError::Deleted
            | ChangeAccountError::NotDeleted
            | ChangeAccountError::Anonymized
            | ChangeAccountError::Suspended
            | ChangeAccountError::NotInvited
            | ChangeAccountError::OwnAccount
            | ChangeAccountError::LastAdmin
            | ChangeAccountError::Repeated => FailureKind::Conflict,
            ChangeAccountError::Stale { .. } => FailureKind::Stale,
            ChangeAccountError::Busy => FailureKind::Unavailable,
            ChangeAccountError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ChangeAccountError::Invalid(_) => "request.invalid",
            ChangeAccountError::Forbidden => "access.forbidden",
            ChangeAccountError::NotFound => "user.not_found",
            ChangeAccountError::ShutOut => "auth.session_revoked",
            ChangeAccountError::Deleted => "user.deleted",
            ChangeAccountError::NotDeleted => "user.not_deleted",
            ChangeAccountError::Anonymized => "user.anonymized",
            ChangeAccountError::Suspended => "user.suspended",
            ChangeAccountError::NotInvited => "user.not_invited",
            ChangeAccountError::OwnAccount => "user.own_account",
            ChangeAccountError::LastAdmin => "user.last_admin",
            ChangeAccountError::Stale { .. } => "request.stale",
            ChangeAccountError::Busy => "server.busy",
            ChangeAccountError::Repeated => "request.repeated",
            ChangeAccountError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ChangeAccountError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            ChangeAccountError::ShutOut => "The session has ended; log in again.".into(),
            ChangeAccountError::Forbidden => "You may not do this.".into(),
            ChangeAccountError::NotFound => "There is no such user.".into(),
            ChangeAccountError::Deleted => "The user is deleted; restore it first.".into(),
            ChangeAccountError::NotDeleted => "The user is not deleted.".into(),
            ChangeAccountError::Anonymized => "The user's data was removed for good.".into(),
            ChangeAccountError::Suspended => "The user is suspended; activate it first.".into(),
            ChangeAccountError::NotInvited => "The user does not wait for an invitation.".into(),
            ChangeAccountError::OwnAccount => {
                "You cannot suspend or delete your own account; another administrator can.".into()
            }
            ChangeAccountError::LastAdmin => {
                "This is the last active administrator; make another one first.".into()
            }
            ChangeAccountError::Stale { .. } => {
                "It has changed since the version named in If-Match; read it again.".into()
            }
            ChangeAccountError::Busy => "Too many changes at once; send the request again.".into(),
            ChangeAccountError::Repeated => "The request was carried out before.".into(),
            ChangeAccountError::Port(error) => error.detail(),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            ChangeAccountError::Invalid(violations) => violations.as_slice(),
            ChangeAccountError::Forbidden
            | ChangeAccountError::NotFound
            | ChangeAccountError::ShutOut
            | ChangeAccountError::Deleted
            | ChangeAccountError::NotDeleted
            | ChangeAccountError::Anonymized
            | ChangeAccountError::Suspended
            | ChangeAccountError::NotInvited
            | ChangeAccountError::OwnAccount
            | ChangeAccountError::LastAdmin
            | ChangeAccountError::Stale { .. }
            | ChangeAccountError::Busy
            | ChangeAccountError::Repeated
            | ChangeAccountError::Port(_) => &[],
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            ChangeAccountError::Stale { current } => Some(*current),
            ChangeAccountError::Invalid(_)
            | ChangeAccountError::Forbidden
            | ChangeAccountError::NotFound
            | ChangeAccountError::ShutOut
            | ChangeAccountError::Deleted
            | ChangeAccountError::NotDeleted
            | ChangeAccountError::Anonymized
            | ChangeAccountError::Suspended
            | ChangeAccountError::NotInvited
            | ChangeAccountError::OwnAccount
            | ChangeAccountError::LastAdmin
            | ChangeAccountError::Busy
            | ChangeAccountError::Repeated
            | ChangeAccountError::Port(_) => None,
        }
    }
}

impl From<Violations> for ChangeAccountError {
    fn from(violations: Violations) -> Self {
        ChangeAccountError::Invalid(violations)
    }
}

impl From<Denial> for ChangeAccountError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden => ChangeAccountError::NotFound,
            Denial::Forbidden => ChangeAccountError::Forbidden,
        }
    }
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// The caller did not prove again who they are.
    #[error(transparent)]
    Reauthentication(#[from] ReauthenticationError),
    /// Other changes kept coming between, and nothing was stored.
    #[error("changes kept overtaking each other")]
    Busy,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ChangePasswordError {
    fn kind(&self) -> FailureKind {
        match self {
            ChangePasswordError::Invalid(_) => FailureKind::Invalid,
            ChangePasswordError::Reauthentication(error) => error.kind(),
            ChangePasswordError::Busy => FailureKind::Unavailable,
            ChangePasswordError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ChangePasswordError::Invalid(_) => "request.invalid",
            ChangePasswordError::Reauthentication(error) => error.code(),
            ChangePasswordError::Busy => "server.busy",
            ChangePasswordError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ChangePasswordError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            ChangePasswordError::Reauthentication(error) => error.detail(),
            ChangePasswordError::Busy => "Too many changes at once; send the request again.".into(),
            ChangePasswordError::Port(error) => error.detail(),
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            ChangePasswordError::Reauthentication(error) => error.retry_after(),
            ChangePasswordError::Port(error) => error.retry_after(),
            ChangePasswordError::Invalid(_) | ChangePasswordError::Busy => None,
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            ChangePasswordError::Invalid(violations) => violations.as_slice(),
            ChangePasswordError::Reauthentication(_)
            | ChangePasswordError::Busy
            | ChangePasswordError::Port(_) => &[],
        }
    }
}

impl From<Violations> for ChangePasswordError {
    fn from(violations: Violations) -> Self {
        ChangePasswordError::Invalid(violations)
    }
}

/// Why a refresh token was not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// It is no token of ours.
    #[error("the token is not valid")]
    TokenInvalid,
    /// It was good once.
    #[error("the token has expired")]
    TokenExpired,
    /// The session was ended, or its account shut out.
    #[error("the session has ended")]
    SessionRevoked,
    /// The token had been exchanged before: somebody else may have it, so the session was ended.
    #[error("an exchanged refresh token was shown again")]
    TokenReused,
    /// Other changes kept coming between, and nothing was stored.
    #[error("changes kept overtaking each other")]
    Busy,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for RefreshError {
    fn kind(&self) -> FailureKind {
        match self {
            RefreshError::TokenInvalid
            | RefreshError::TokenExpired
            | RefreshError::SessionRevoked
            | RefreshError::TokenReused => FailureKind::Unauthenticated,
            RefreshError::Busy => FailureKind::Unavailable,
            RefreshError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            RefreshError::TokenInvalid => "auth.token_invalid",
            RefreshError::TokenExpired => "auth.token_expired",
            RefreshError::SessionRevoked | RefreshError::TokenReused => "auth.session_revoked",
            RefreshError::Busy => "server.busy",
            RefreshError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            RefreshError::TokenInvalid => "The token is not valid.".into(),
            RefreshError::TokenExpired => "The token has expired.".into(),
            RefreshError::SessionRevoked | RefreshError::TokenReused => {
                "The session has ended; log in again.".into()
            }
            RefreshError::Busy => "Too many changes at once; send the request again.".into(),
            RefreshError::Port(error) => error.detail(),
        }
    }
}

/// Why a request is nobody's.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// It is no token of ours.
    #[error("the token is not valid")]
    TokenInvalid,
    /// It was good once.
    #[error("the token has expired")]
    TokenExpired,
    /// The session was ended, or its account shut out.
    #[error("the session has ended")]
    SessionRevoked,
    /// It looks like a key and opens nothing: unknown, expired, taken back, or its owner is shut out.
    #[error("the API key is not valid")]
    KeyInvalid,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for AuthError {
    fn kind(&self) -> FailureKind {
        match self {
            AuthError::TokenInvalid
            | AuthError::TokenExpired
            | AuthError::SessionRevoked
            | AuthError::KeyInvalid => FailureKind::Unauthenticated,
            AuthError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            AuthError::TokenInvalid => "auth.token_invalid",
            AuthError::TokenExpired => "auth.token_expired",
            AuthError::SessionRevoked => "auth.session_revoked",
            AuthError::KeyInvalid => "auth.key_invalid",
            AuthError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            AuthError::TokenInvalid => "The token is not valid.".into(),
            AuthError::TokenExpired => "The token has expired.".into(),
            AuthError::SessionRevoked => "The session has ended; log in again.".into(),
            AuthError::KeyInvalid => "The API key is not valid; its owner can make a new one.".into(),
            AuthError::Port(error) => error.detail(),
        }
    }
}

impl From<TokenError> for AuthError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => AuthError::TokenExpired,
            TokenError::Invalid => AuthError::TokenInvalid,
        }
    }
}

impl Classify for AccessDenied {
    fn kind(&self) -> FailureKind {
        FailureKind::Forbidden
    }

    fn code(&self) -> &'static str {
        match self {
            AccessDenied::ScopeMissing(_) => "auth.scope_missing",
            AccessDenied::SessionRequired => "auth.session_required",
            AccessDenied::EmailUnverified => "auth.email_unverified",
            AccessDenied::TwoFactorMissing => "auth.two_factor_missing",
        }
    }

    fn detail(&self) -> String {
        match self {
            AccessDenied::ScopeMissing(scope) => format!("The API key lacks the scope {scope}."),
            AccessDenied::SessionRequired => "An API key is not enough for this; log in.".into(),
            AccessDenied::EmailUnverified => {
                "Verify your address first, with the link that was mailed to it.".into()
            }
            AccessDenied::TwoFactorMissing => {
                "This desk asks people in your role for a second factor; set one up first.".into()
            }
        }
    }
}

/// Why sessions were not shown or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no such live session, or the caller may not know of it.
    #[error("no such session for this caller")]
    NotFound,
    /// There is no such account, or the caller may not know of its sessions.
    #[error("no such account for this caller")]
    NoAccount,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for SessionError {
    fn kind(&self) -> FailureKind {
        match self {
            SessionError::NotFound | SessionError::NoAccount => FailureKind::NotFound,
            SessionError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            SessionError::NotFound => "session.not_found",
            SessionError::NoAccount => "user.not_found",
            SessionError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            SessionError::NotFound => "There is no such session.".into(),
            SessionError::NoAccount => "There is no such user.".into(),
            SessionError::Port(error) => error.detail(),
        }
    }
}

impl From<Denial> for SessionError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden | Denial::Forbidden => SessionError::NotFound,
        }
    }
}

/// Why teams were not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadTeamError {
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// There is no such team.
    #[error("no such team")]
    NotFound,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ReadTeamError {
    fn kind(&self) -> FailureKind {
        match self {
            ReadTeamError::Forbidden => FailureKind::Forbidden,
            ReadTeamError::NotFound => FailureKind::NotFound,
            ReadTeamError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ReadTeamError::Forbidden => "access.forbidden",
            ReadTeamError::NotFound => "team.not_found",
            ReadTeamError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ReadTeamError::Forbidden => "You may not do this.".into(),
            ReadTeamError::NotFound => "There is no such team.".into(),
            ReadTeamError::Port(error) => error.detail(),
        }
    }
}

impl From<Denial> for ReadTeamError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden => ReadTeamError::NotFound,
            Denial::Forbidden => ReadTeamError::Forbidden,
        }
    }
}

/// Why a team was not made, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ChangeTeamError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// There is no such team.
    #[error("no such team")]
    NotFound,
    /// Another team has the name.
    #[error("the name is taken")]
    NameTaken,
    /// Tickets lie with it; they must go elsewhere first.
    #[error("tickets lie with the team")]
    HasTickets,
    /// It changed since the caller looked.
    #[error("it is at version {}", current.0)]
    Stale {
        /// The version that it has now.
        current: Version,
    },
    /// Other changes kept coming between, and nothing was stored.
    #[error("changes kept overtaking each other")]
    Busy,
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for ChangeTeamError {
    fn kind(&self) -> FailureKind {
        match self {
            ChangeTeamError::Invalid(_) => FailureKind::Invalid,
            ChangeTeamError::Forbidden => FailureKind::Forbidden,
            ChangeTeamError::NotFound => FailureKind::NotFound,
            ChangeTeamError::NameTaken | ChangeTeamError::HasTickets | ChangeTeamError::Repeated => {
                FailureKind::Conflict
            }
            ChangeTeamError::Stale { .. } => FailureKind::Stale,
            ChangeTeamError::Busy => FailureKind::Unavailable,
            ChangeTeamError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ChangeTeamError::Invalid(_) => "request.invalid",
            ChangeTeamError::Forbidden => "access.forbidden",
            ChangeTeamError::NotFound => "team.not_found",
            ChangeTeamError::NameTaken => "team.name_taken",
            ChangeTeamError::HasTickets => "team.has_tickets",
            ChangeTeamError::Stale { .. } => "request.stale",
            ChangeTeamError::Busy => "server.busy",
            ChangeTeamError::Repeated => "request.repeated",
            ChangeTeamError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            ChangeTeamError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            ChangeTeamError::Forbidden => "You may not do this.".into(),
            ChangeTeamError::NotFound => "There is no such team.".into(),
            ChangeTeamError::NameTaken => "There is a team of this name already.".into(),
            ChangeTeamError::HasTickets => {
                "Tickets lie with the team; transfer them to another one first.".into()
            }
            ChangeTeamError::Stale { .. } => {
                "It has changed since the version named in If-Match; read it again.".into()
            }
            ChangeTeamError::Busy => "Too many changes at once; send the request again.".into(),
            ChangeTeamError::Repeated => "The request was carried out before.".into(),
            ChangeTeamError::Port(error) => error.detail(),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            ChangeTeamError::Invalid(violations) => violations.as_slice(),
            ChangeTeamError::Forbidden
            | ChangeTeamError::NotFound
            | ChangeTeamError::NameTaken
            | ChangeTeamError::HasTickets
            | ChangeTeamError::Stale { .. }
            | ChangeTeamError::Busy
            | ChangeTeamError::Repeated
            | ChangeTeamError::Port(_) => &[],
        }
    }

    fn current_version(&self) -> Option<Version> {
        match self {
            ChangeTeamError::Stale { current } => Some(*current),
            ChangeTeamError::Invalid(_)
            | ChangeTeamError::Forbidden
            | ChangeTeamError::NotFound
            | ChangeTeamError::NameTaken
            | ChangeTeamError::HasTickets
            | ChangeTeamError::Busy
            | ChangeTeamError::Repeated
            | ChangeTeamError::Port(_) => None,
        }
    }
}

impl From<Violations> for ChangeTeamError {
    fn from(violations: Violations) -> Self {
        ChangeTeamError::Invalid(violations)
    }
}

impl From<Denial> for ChangeTeamError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden => ChangeTeamError::NotFound,
            Denial::Forbidden => ChangeTeamError::Forbidden,
        }
    }
}

/// Why a membership was not changed.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The input breaks rules.
    #[error("the input breaks a rule: {0}")]
    Invalid(Violations),
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// There is no such team.
    #[error("no such team")]
    NotFound,
    /// The person is not a member of the team.
    #[error("no such member of the team")]
    MemberNotFound,
    /// Other changes kept coming between, and nothing was stored.
    #[error("changes kept overtaking each other")]
    Busy,
    /// The request was carried out before; its answer is stored.
    #[error("the request was carried out before")]
    Repeated,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Classify for MemberError {
    fn kind(&self) -> FailureKind {
        match self {
            MemberError::Invalid(_) => FailureKind::Invalid,
            MemberError::Forbidden => FailureKind::Forbidden,
            MemberError::NotFound | MemberError::MemberNotFound => FailureKind::NotFound,
            MemberError::Busy => FailureKind::Unavailable,
            MemberError::Repeated => FailureKind::Conflict,
            MemberError::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            MemberError::Invalid(_) => "request.invalid",
            MemberError::Forbidden => "access.forbidden",
            MemberError::NotFound => "team.not_found",
            MemberError::MemberNotFound => "team.member_not_found",
            MemberError::Busy => "server.busy",
            MemberError::Repeated => "request.repeated",
            MemberError::Port(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            MemberError::Invalid(_) => "The request breaks the rules listed in `errors`.".into(),
            MemberError::Forbidden => "You may not do this.".into(),
            MemberError::NotFound => "There is no such team.".into(),
            MemberError::MemberNotFound => "The team has no such member.".into(),
            MemberError::Busy => "Too many changes at once; send the request again.".into(),
            MemberError::Repeated => "The request was carried out before.".into(),
            MemberError::Port(error) => error.detail(),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            MemberError::Invalid(violations) => violations.as_slice(),
            MemberError::Forbidden
            | MemberError::NotFound
            | MemberError::MemberNotFound
            | MemberError::Busy
            | MemberError::Repeated
            | MemberError::Port(_) => &[],
        }
    }
}

impl From<Violations> for MemberError {
    fn from(violations: Violations) -> Self {
        MemberError::Invalid(violations)
    }
}

impl From<Denial> for MemberError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden => MemberError::NotFound,
            Denial::Forbidden => MemberError::Forbidden,
        }
    }
}
