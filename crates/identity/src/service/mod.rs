//! The use cases: authorise, load, decide, commit.
//!
//! Each service is a plain struct over `Arc<dyn Port>`s. A change that names the version it was decided on
//! (`If-Match`) fails when that moved on; one that names none is decided again, a few times, when another came
//! between. Whatever may change who a caller is empties the [`PrincipalCache`] of this node.

mod accounts;
mod authenticator;
mod error;
mod sessions;
mod sign_on;
mod sign_on_error;
mod teams;
#[cfg(test)]
mod tests;

pub use accounts::{
    AccountLimits, AccountPorts, Accounts, ChangePassword, CreateUser, ListUsers, Registration, UpdateUser,
};
pub use authenticator::{Authenticator, PrincipalCache};
pub use error::{
    AuthError, ChangeAccountError, ChangePasswordError, ChangeTeamError, CreateAccountError, LoginError,
    MemberError, ReadAccountError, ReadTeamError, RefreshError, SessionError, SetupError,
};
pub use sessions::{Credentials, SessionInfo, SessionLimits, SessionPorts, Sessions, SignedIn};
pub use sign_on::{
    Callback, Finished, ProviderAnswer, ProviderEntry, SignOn, SignOnLink, SignOnPorts, SignOnSettings,
    Started,
};
pub use sign_on_error::{SignOnError, SignOnLinkError};
pub use teams::{CreateTeam, MemberWish, TeamPorts, Teams, UpdateTeam};

/// How often a decision is made before its caller hears that others kept coming between.
const DECISIONS_MAX: u32 = 4;
