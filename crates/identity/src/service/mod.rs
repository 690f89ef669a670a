//! The use cases: authorise, load, decide, commit.
//!
//! Each service is a plain struct over `Arc<dyn Port>`s. A change that names the version it was decided on
//! (`If-Match`) fails when that moved on; one that names none is decided again, a few times, when another came
//! between. Whatever may change who a caller is empties the [`PrincipalCache`] of this node.

mod accounts;
mod api_key_error;
mod api_keys;
mod authenticator;
mod error;
mod session_control;
mod sessions;
mod teams;
#[cfg(test)]
mod tests;
mod why_not;

pub use accounts::{
    AccountLimits, AccountPorts, Accounts, ChangePassword, CreateUser, ListUsers, Registration, UpdateUser,
};
pub use api_key_error::{ApiKeyError, CreateApiKeyError};
pub use api_keys::{ApiKeyPorts, ApiKeys, CreateApiKey, NewApiKey};
pub use authenticator::{Authenticator, PrincipalCache};
pub use error::{
    AuthError, ChangeAccountError, ChangePasswordError, ChangeTeamError, CreateAccountError, LoginError,
    MemberError, ReadAccountError, ReadTeamError, RefreshError, SessionError, SetupError,
};
pub use session_control::{SessionControl, SessionControlPorts};
pub use sessions::{Credentials, SessionInfo, SessionLimits, SessionPorts, Sessions, SignedIn};
pub use teams::{CreateTeam, MemberWish, TeamPorts, Teams, UpdateTeam};
pub use why_not::{Explained, Question, WhyNot, WhyNotError, WhyNotPorts};

/// How often a decision is made before its caller hears that others kept coming between.
const DECISIONS_MAX: u32 = 4;
