//! The use cases: authorise, load, decide, commit.
//!
//! Each service is a plain struct over `Arc<dyn Port>`s. A change that names the version it was decided on
//! (`If-Match`) fails when that moved on; one that names none is decided again, a few times, when another came
//! between. Whatever may change who a caller is empties the [`PrincipalCache`] of this node.

mod account_mails;
mod accounts;
mod api_key_error;
mod api_keys;
mod audit;
mod audit_error;
mod authenticator;
mod error;
mod intake;
mod lifecycle;
mod lifecycle_error;
mod login_error;
mod mailed_links;
mod mailed_links_error;
mod reauthentication;
mod second_factor;
mod security;
mod session_control;
mod sessions;
mod sign_on;
mod sign_on_error;
mod teams;
#[cfg(test)]
mod tests;
mod throttle;
mod two_factor;
mod two_factor_error;
mod why_not;

pub use account_mails::AccountMails;
pub use accounts::{
    AccountLimits, AccountPorts, Accounts, ChangePassword, CreateUser, ListUsers, Registration, UpdateUser,
    VerifiedEmail,
};
pub use api_key_error::{ApiKeyError, CreateApiKeyError};
pub use api_keys::{ApiKeyPorts, ApiKeys, CreateApiKey, NewApiKey};
pub use audit::{AuditLog, AuditTrail};
pub use audit_error::ReadAuditError;
pub use authenticator::{Authenticator, PrincipalCache};
pub use error::{
    AuthError, ChangeAccountError, ChangePasswordError, ChangeTeamError, CreateAccountError, MemberError,
    ReadAccountError, ReadTeamError, RefreshError, SessionError, SetupError,
};
pub use intake::{HowReceived, Intake, IntakePorts, Joined, Newcomer, Received};
pub use lifecycle_error::AnonymizeError;
pub use login_error::LoginError;
pub use mailed_links::{Acceptance, ChangeEmail, MAILS_PER_HOUR_MAX};
pub use mailed_links_error::{AskError, ChangeEmailError, TokenUseError};
pub use reauthentication::{Reauthentication, ReauthenticationError};
pub use second_factor::{SecondFactor, SecondFactorPorts, TwoFactorLimits};
pub use security::{Security, SecurityPorts, UpdateSecurity};
pub use session_control::{SessionControl, SessionControlPorts};
pub use sessions::{Credentials, SessionInfo, SessionLimits, SessionPorts, Sessions, SignedIn};
pub use sign_on::{
    Callback, Finished, ProviderAnswer, ProviderEntry, SignOn, SignOnLink, SignOnPorts, SignOnSettings,
    Started,
};
pub use sign_on_error::{SignOnError, SignOnLinkError};
pub use teams::{CreateTeam, MemberWish, TeamPorts, Teams, UpdateTeam};
pub use throttle::{Throttle, ThrottleLimits};
pub use two_factor::{NewTwoFactor, Resealed, TwoFactor, TwoFactorPorts, TwoFactorStatus};
pub use two_factor_error::{ResetTwoFactorError, SecurityError, TwoFactorError};
pub use why_not::{Explained, Question, WhyNot, WhyNotError, WhyNotPorts};

/// How often a decision is made before its caller hears that others kept coming between.
const DECISIONS_MAX: u32 = 4;
