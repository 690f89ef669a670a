//! Who may do what with a saved view: one function over (who, whose), used by every use case and by the list.
//!
//! | | customer | other staff | member | supervisor, lead | admin |
//! |---|---|---|---|---|---|
//! | one's own | closed | for its owner alone, whoever that is on the staff | | | |
//! | a team's | closed | hidden | reads | writes | writes |
//! | shared | closed | reads | reads | reads | writes |
//!
//! Role and teams are those of the moment, so that whoever loses them loses the views with them.

use kernel::{Actor, Person, Role, TeamId, TeamRole, UserId};

use super::ViewHolder;

/// What someone may do with a view. The order is the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewRight {
    /// Nothing: views are not for them.
    Closed,
    /// Nothing: this view does not exist for them.
    Hidden,
    /// See it, and through it what they see anyway.
    Read,
    /// Also make, change and delete it.
    Write,
}

impl ViewRight {
    /// What `actor` may do with the views of `holder`.
    #[must_use]
    pub fn of(actor: &Actor, holder: ViewHolder) -> Self {
        match actor {
            Actor::Person(person) => Self::of_person(person, holder),
            Actor::System(_) => match holder {
                ViewHolder::Person(_) => ViewRight::Hidden,
                ViewHolder::Team(_) | ViewHolder::Desk => ViewRight::Write,
            },
        }
    }

    fn of_person(person: &Person, holder: ViewHolder) -> Self {
        match (person.role, holder) {
            (Role::User, _) => ViewRight::Closed,
            (Role::Agent | Role::Admin, ViewHolder::Person(owner)) if owner == person.id => ViewRight::Write,
            (Role::Agent | Role::Admin, ViewHolder::Person(_)) => ViewRight::Hidden,
            (Role::Admin, ViewHolder::Team(_) | ViewHolder::Desk) => ViewRight::Write,
            (Role::Agent, ViewHolder::Team(team)) => match person.rank_in(team) {
                Some(TeamRole::Supervisor | TeamRole::Lead) => ViewRight::Write,
                Some(TeamRole::Agent) => ViewRight::Read,
                None => ViewRight::Hidden,
            },
            (Role::Agent, ViewHolder::Desk) => ViewRight::Read,
        }
    }
}

/// The views that someone sees: the same rule as [`ViewRight`], in the form that a store can list by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewReach {
    /// Whose own.
    pub person: Option<UserId>,
    /// Which teams'.
    pub teams: TeamReach,
}

/// The teams whose views someone sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TeamReach {
    /// All teams'.
    All,
    /// These teams'.
    These(Vec<TeamId>),
}

impl ViewReach {
    /// What `actor` sees; `None` where views are closed to them.
    #[must_use]
    pub fn of(actor: &Actor) -> Option<Self> {
        match actor {
            Actor::System(_) => Some(Self {
                person: None,
                teams: TeamReach::All,
            }),
            Actor::Person(person) => {
                let teams = match person.role {
                    Role::User => return None,
                    Role::Admin => TeamReach::All,
                    Role::Agent => {
                        TeamReach::These(person.teams.iter().map(|membership| membership.team).collect())
                    }
                };
                Some(Self {
                    person: Some(person.id),
                    teams,
                })
            }
        }
    }

    /// Whether it has the views of `holder` in it.
    #[must_use]
    pub fn contains(&self, holder: ViewHolder) -> bool {
        match holder {
            ViewHolder::Person(owner) => self.person == Some(owner),
            ViewHolder::Team(team) => match &self.teams {
                TeamReach::All => true,
                TeamReach::These(teams) => teams.contains(&team),
            },
            ViewHolder::Desk => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::SystemActor;
    use uuid::Uuid;

    use super::*;
    use crate::testing::build;

    const ME: UserId = UserId(Uuid::from_u128(1));
    const OTHER: UserId = UserId(Uuid::from_u128(2));
    const TEAM: TeamId = TeamId(Uuid::from_u128(3));
    const OTHER_TEAM: TeamId = TeamId(Uuid::from_u128(4));

    fn callers() -> [(&'static str, Actor); 7] {
        let agent = |team, role| Actor::Person(build::agent(ME, team, role));
        [
            ("customer", Actor::Person(build::customer(ME))),
            ("outsider", agent(OTHER_TEAM, TeamRole::Lead)),
            ("member", agent(TEAM, TeamRole::Agent)),
            ("supervisor", agent(TEAM, TeamRole::Supervisor)),
            ("lead", agent(TEAM, TeamRole::Lead)),
            ("admin", Actor::Person(build::admin(ME))),
            ("system", Actor::System(SystemActor::Import)),
        ]
    }

    /// The table of the module's documentation, cell by cell.
    #[test]
    fn the_matrix_holds() {
        use ViewRight::{Closed, Hidden, Read, Write};
        let rows = [
            (
                ViewHolder::Person(ME),
                [Closed, Write, Write, Write, Write, Write, Hidden],
            ),
            (
                ViewHolder::Person(OTHER),
                [Closed, Hidden, Hidden, Hidden, Hidden, Hidden, Hidden],
            ),
            (
                ViewHolder::Team(TEAM),
                [Closed, Hidden, Read, Write, Write, Write, Write],
            ),
            (ViewHolder::Desk, [Closed, Read, Read, Read, Read, Write, Write]),
        ];
        for (holder, expected) in rows {
            for ((name, actor), expected) in callers().into_iter().zip(expected) {
                assert_eq!(ViewRight::of(&actor, holder), expected, "{name} {holder:?}");
            }
        }
    }

    #[test]
    fn the_list_has_what_each_may_read_and_nothing_else() {
        let holders = [
            ViewHolder::Person(ME),
            ViewHolder::Person(OTHER),
            ViewHolder::Team(TEAM),
            ViewHolder::Team(OTHER_TEAM),
            ViewHolder::Desk,
        ];
        for (name, actor) in callers() {
            let reach = ViewReach::of(&actor);
            for holder in holders {
                let listed = reach.as_ref().is_some_and(|reach| reach.contains(holder));
                let readable = ViewRight::of(&actor, holder) >= ViewRight::Read;
                assert_eq!(listed, readable, "{name} {holder:?}");
            }
        }
    }

    #[test]
    fn a_membership_means_nothing_once_the_role_is_user() {
        let mut person = build::agent(ME, TEAM, TeamRole::Lead);
        person.role = Role::User;
        let actor = Actor::Person(person);
        assert_eq!(ViewRight::of(&actor, ViewHolder::Team(TEAM)), ViewRight::Closed);
        assert_eq!(ViewReach::of(&actor), None);
    }
}
