//! Who may do what with rules: one function, asked by every use case.
//!
//! | | customer | agent | supervisor of a team | lead of a team | admin |
//! |---|---|---|---|---|---|
//! | see rules and their runs | no | no | yes | yes | yes |
//! | try a rule on tickets that one sees | no | no | no | yes | yes |
//! | make, change, order and delete rules | no | no | no | no | yes |
//!
//! A rule works on the whole desk and belongs to no team, so whoever leads some team sees all of them. What the server
//! itself does (disabling a rule that loops) it does as administrator.

use kernel::{Actor, Role, TeamRole};

use crate::error::AutomationError;

/// What someone may do with rules. The order is the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleRight {
    /// Nothing.
    Closed,
    /// See them.
    Read,
    /// Also see what one would do.
    Try,
    /// Also change them.
    Write,
}

impl RuleRight {
    /// Refuses who may do less.
    ///
    /// # Errors
    /// [`AutomationError::Forbidden`].
    pub fn require(self, actor: &Actor) -> Result<(), AutomationError> {
        if RuleRight::of(actor) >= self {
            return Ok(());
        }
        Err(AutomationError::Forbidden(match self {
            RuleRight::Closed | RuleRight::Read => "see automation rules",
            RuleRight::Try => "try automation rules",
            RuleRight::Write => "write automation rules",
        }))
    }

    /// What `actor` may do.
    #[must_use]
    pub fn of(actor: &Actor) -> Self {
        let person = match actor {
            Actor::System(_) => return RuleRight::Write,
            Actor::Person(person) => person,
        };
        match person.role {
            Role::User => RuleRight::Closed,
            Role::Admin => RuleRight::Write,
            Role::Agent => match person.teams.iter().map(|membership| membership.role).max() {
                Some(TeamRole::Lead) => RuleRight::Try,
                Some(TeamRole::Supervisor) => RuleRight::Read,
                Some(TeamRole::Agent) | None => RuleRight::Closed,
            },
        }
    }
}
