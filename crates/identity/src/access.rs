//! Through what a person speaks, and what that alone allows or keeps from them.

use std::fmt;

use kernel::{Actor, Person};

use crate::session::SessionId;

kernel::id_type! {
    /// A program's key.
    ApiKeyId
}

/// A part of the API that a program's key can be made good for. A key never lets its program do more than its owner
/// may; a scope only narrows that down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Reads tickets with their conversations.
    TicketsRead,
    /// Makes and changes tickets, and writes in them.
    TicketsWrite,
    /// Reads accounts.
    UsersRead,
    /// Makes and changes accounts.
    UsersWrite,
    /// Reads teams.
    TeamsRead,
    /// Makes and changes teams and their members.
    TeamsWrite,
    /// Reads the owner's notifications.
    NotificationsRead,
    /// Marks the owner's notifications.
    NotificationsWrite,
    /// Reads articles that are not public.
    KbRead,
    /// Writes articles.
    KbWrite,
    /// Reads the audit log.
    AuditRead,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 11] = [
        Scope::TicketsRead,
        Scope::TicketsWrite,
        Scope::UsersRead,
        Scope::UsersWrite,
        Scope::TeamsRead,
        Scope::TeamsWrite,
        Scope::NotificationsRead,
        Scope::NotificationsWrite,
        Scope::KbRead,
        Scope::KbWrite,
        Scope::AuditRead,
    ];

    /// The name in JSON: `tickets:read`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::TicketsRead => "tickets:read",
            Scope::TicketsWrite => "tickets:write",
            Scope::UsersRead => "users:read",
            Scope::UsersWrite => "users:write",
            Scope::TeamsRead => "teams:read",
            Scope::TeamsWrite => "teams:write",
            Scope::NotificationsRead => "notifications:read",
            Scope::NotificationsWrite => "notifications:write",
            Scope::KbRead => "kb:read",
            Scope::KbWrite => "kb:write",
            Scope::AuditRead => "audit:read",
        }
    }

    /// The scope of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Through what a person speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// A session, which the person began.
    Session(SessionId),
    /// A key that the person gave to a program.
    ApiKey {
        /// The key.
        key: ApiKeyId,
        /// What it is good for.
        scopes: Vec<Scope>,
    },
}

/// What someone who is signed in must do before anything but their own account is open to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restriction {
    /// Prove that the account's address is theirs.
    EmailUnverified,
    /// Set up a second factor, which the desk asks of people in their role.
    TwoFactorMissing,
}

/// What an operation asks of the access through which it is called. What the person may do is decided apart from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing: strangers may call it.
    Open,
    /// Anyone who is known, through a restricted session or a key good for anything.
    SignedIn,
    /// A session, restricted or not: the operation is about the person's own account.
    OwnAccount,
    /// A session: the operation is not for programs.
    Session,
    /// A session, or a key with this scope.
    Scope(Scope),
}

/// Why an access does not do for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessDenied {
    /// The key lacks the scope.
    #[error("the key lacks the scope {0}")]
    ScopeMissing(Scope),
    /// Keys do not do.
    #[error("keys of programs are not accepted here")]
    SessionRequired,
    /// The address must be proved first.
    #[error("the address is not verified")]
    EmailUnverified,
    /// A second factor must be set up first.
    #[error("a second factor must be set up")]
    TwoFactorMissing,
}

/// Someone who is signed in, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The person.
    pub person: Person,
    /// Through what they speak.
    pub access: Access,
    /// What they must do first, if anything.
    pub restriction: Option<Restriction>,
}

impl Principal {
    /// The person as the one on whose behalf a use case runs.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Person(self.person.clone())
    }

    /// The session; `None` for a program's key.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match &self.access {
            Access::Session(session) => Some(*session),
            Access::ApiKey { .. } => None,
        }
    }

    /// Whether the access does for an operation.
    ///
    /// # Errors
    /// See [`AccessDenied`].
    pub fn meets(&self, requirement: Requirement) -> Result<(), AccessDenied> {
        match (&self.access, requirement) {
            (_, Requirement::Open | Requirement::SignedIn) => return Ok(()),
            (Access::Session(_), _) => {}
            (Access::ApiKey { scopes, .. }, Requirement::Scope(scope)) if scopes.contains(&scope) => {}
            (Access::ApiKey { .. }, Requirement::Scope(scope)) => {
                return Err(AccessDenied::ScopeMissing(scope));
            }
            (Access::ApiKey { .. }, Requirement::OwnAccount | Requirement::Session) => {
                return Err(AccessDenied::SessionRequired);
            }
        }
        match (self.restriction, requirement) {
            (None, _) | (Some(_), Requirement::Open | Requirement::SignedIn | Requirement::OwnAccount) => {
                Ok(())
            }
            (Some(Restriction::EmailUnverified), Requirement::Session | Requirement::Scope(_)) => {
                Err(AccessDenied::EmailUnverified)
            }
            (Some(Restriction::TwoFactorMissing), Requirement::Session | Requirement::Scope(_)) => {
                Err(AccessDenied::TwoFactorMissing)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::Role;

    use super::*;
    use crate::testing::builders::{actor, unique_id};

    fn principal(access: Access, restriction: Option<Restriction>) -> Principal {
        let Actor::Person(person) = actor(Role::Agent) else {
            unreachable!("builders make people");
        };
        Principal {
            person,
            access,
            restriction,
        }
    }

    #[test]
    fn a_key_opens_what_its_scopes_name_and_nothing_of_the_account() {
        let key = principal(
            Access::ApiKey {
                key: ApiKeyId(unique_id()),
                scopes: vec![Scope::TicketsRead],
            },
            None,
        );
        assert_eq!(key.meets(Requirement::Open), Ok(()));
        assert_eq!(key.meets(Requirement::SignedIn), Ok(()));
        assert_eq!(key.meets(Requirement::Scope(Scope::TicketsRead)), Ok(()));
        for scope in Scope::ALL.into_iter().skip(1) {
            assert_eq!(
                key.meets(Requirement::Scope(scope)),
                Err(AccessDenied::ScopeMissing(scope))
            );
        }
        for requirement in [Requirement::OwnAccount, Requirement::Session] {
            assert_eq!(key.meets(requirement), Err(AccessDenied::SessionRequired));
        }
    }

    #[test]
    fn a_restricted_person_reaches_their_own_account_alone() {
        let session = Access::Session(SessionId(unique_id()));
        for (restriction, denied) in [
            (Restriction::EmailUnverified, AccessDenied::EmailUnverified),
            (Restriction::TwoFactorMissing, AccessDenied::TwoFactorMissing),
        ] {
            let restricted = principal(session.clone(), Some(restriction));
            assert_eq!(restricted.meets(Requirement::OwnAccount), Ok(()));
            assert_eq!(restricted.meets(Requirement::SignedIn), Ok(()));
            assert_eq!(restricted.meets(Requirement::Session), Err(denied));
            assert_eq!(
                restricted.meets(Requirement::Scope(Scope::TicketsRead)),
                Err(denied)
            );
        }
        assert_eq!(principal(session, None).meets(Requirement::Session), Ok(()));
    }

    #[test]
    fn a_scope_is_read_by_its_name() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::parse("tickets:delete"), None);
    }
}
