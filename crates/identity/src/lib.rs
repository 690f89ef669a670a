//! Accounts, sessions and teams of the InsightDesk help desk: rules and ports.
//!
//! - [`audit`] says what is on record of an act.
//! - [`access`] says through what a person speaks (a session, a program's key) and what that is good for.
//! - [`api_key`] holds what a program's key is and for how long.
//! - [`value`] parses what people type (addresses, names, passwords); [`user`], [`session`], [`team`] and
//!   [`two_factor`] hold what is stored; [`policy`] alone decides who may see and do what.
//! - [`sign_on`] says who an account is at a provider of single sign-on.
//! - [`ports`] are the traits through which this crate reaches a store, a password hash, a token and randomness, and
//!   the values that it commits through them, each whole or not at all.
//! - [`service`] has the use cases: [`Accounts`], [`Sessions`], [`TwoFactor`], [`Security`], [`Teams`], and the [`Authenticator`] that every
//!   request passes.
//! - `testing` (feature of that name) has a world in memory that implements every store, and the suites that any
//!   other implementation must pass too.
//!
//! To add a use case: a rule in [`policy`], a decision on the aggregate, a method on a service with an error enum of
//! its own, and, where something new becomes durable, a field in a commit, which every store must then keep.
//!
//! The crate knows of no database, no HTTP and no runtime; another service can link it alone
//! (see `examples/who_may_manage_a_team.rs`).

pub mod access;
pub mod api_key;
pub mod audit;
pub mod policy;
pub mod ports;
pub mod service;
pub mod session;
pub mod sign_on;
pub mod team;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod two_factor;
pub mod user;
pub mod value;

pub use access::{Access, AccessDenied, ApiKeyId, Principal, Requirement, Restriction, Scope};
pub use api_key::{ApiKey, ApiKeyName, Scopes};
pub use audit::{AuditActor, AuditEntry, AuditNumber, AuditTarget};
pub use kernel::Client;
pub use service::{
    AccountLimits, AccountMails, Accounts, ApiKeys, AuditLog, AuditTrail, Authenticator, Intake,
    PrincipalCache, Reauthentication, Security, SessionControl, SessionLimits, Sessions, SignOn, SignedIn,
    Teams, ThrottleLimits, TwoFactor, TwoFactorLimits, VerifiedEmail, WhyNot,
};
pub use session::{AccessClaims, AccessToken, SecretToken, Session, SessionId, SignInMethod, TokenHash};
pub use team::{MemberId, Team, TeamMember};
pub use two_factor::{FactorAttempt, RecoveryCode, SecuritySettings, TotpSecret, TwoFactorRule};
pub use user::{PersonCard, Profile, User, UserStatus, UserView};
pub use value::{
    AvatarUrl, EmailAddress, Password, PasswordAttempt, PasswordHash, PasswordPolicy, PersonName,
    TeamDescription, TeamName,
};
