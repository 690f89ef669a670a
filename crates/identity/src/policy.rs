//! Who may see and do what with accounts, sessions, teams and memberships. Nothing else in the crate compares roles.
//!
//! | | `user` | agent | supervisor of the team | lead of the team | admin |
//! |---|---|---|---|---|---|
//! | own profile: read; name and picture: change | yes | yes | yes | yes | yes |
//! | another's profile | hidden | card | card | card | full, deleted too |
//! | list of people | no | cards | cards | cards | full, deleted too |
//! | make, change, delete, restore accounts; role and status | no | no | no | no | yes |
//! | another's second factor: take away; security settings | no | no | no | no | yes |
//! | own sessions: list, end | yes | yes | yes | yes | any person's |
//! | teams: list, read | no | yes | yes | yes | yes |
//! | a team's members: list | no | own teams | yes | yes | yes |
//! | a team's name and description: change | no | no | no | yes | yes |
//! | the record of acts: read | no | no | no | no | yes |
//! | teams: make, delete | no | no | no | no | yes |
//! | members: add, rank, remove | no | no | no | up to their rank | yes |
//!
//! A rule that denies says whether the caller may know that the thing exists. What is not listed is denied; the
//! server's own parts do nothing here.

use kernel::{Actor, Person, Role, TeamId, TeamRole, UserId};

use crate::user::User;

/// How a caller is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The caller may not know that it exists: answered like an unknown id.
    Hidden,
    /// The caller may see it and not do it.
    Forbidden,
}

/// How much of a person a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Everything but secrets.
    Full,
    /// The card alone.
    Card,
}

/// In what capacity someone changes an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// As its owner: name and picture.
    Owner,
    /// As an administrator of another's account: role and status, too.
    Admin,
    /// As an administrator of their own account: anything but shutting themselves out.
    AdminOwner,
}

/// What a caller is, as far as people and teams are concerned.
enum Standing<'a> {
    Admin(&'a Person),
    Agent(&'a Person),
    Customer(&'a Person),
    Server,
}

fn standing(actor: &Actor) -> Standing<'_> {
    match actor {
        Actor::System(_) => Standing::Server,
        Actor::Person(person) => match person.role {
            Role::Admin => Standing::Admin(person),
            Role::Agent => Standing::Agent(person),
            Role::User => Standing::Customer(person),
        },
    }
}

/// How much `actor` sees of the account.
///
/// # Errors
/// [`Denial::Hidden`] of others' accounts for customers, and of deleted ones for all but admins.
pub fn read_person(actor: &Actor, target: &User) -> Result<Sight, Denial> {
    match standing(actor) {
        Standing::Admin(_) => Ok(Sight::Full),
        Standing::Agent(person) | Standing::Customer(person) if person.id == target.id => {
            if target.deleted_at.is_some() {
                Err(Denial::Hidden)
            } else {
                Ok(Sight::Full)
            }
        }
        Standing::Agent(_) if target.deleted_at.is_none() => Ok(Sight::Card),
        Standing::Agent(_) | Standing::Customer(_) | Standing::Server => Err(Denial::Hidden),
    }
}

/// How much `actor` sees of the people in a list.
///
/// # Errors
/// [`Denial::Forbidden`] for all but staff.
pub fn list_people(actor: &Actor) -> Result<Sight, Denial> {
    match standing(actor) {
        Standing::Admin(_) => Ok(Sight::Full),
        Standing::Agent(_) => Ok(Sight::Card),
        Standing::Customer(_) | Standing::Server => Err(Denial::Forbidden),
    }
}

/// Whether `actor` may make accounts.
///
/// # Errors
/// [`Denial::Forbidden`] for all but admins.
pub fn create_person(actor: &Actor) -> Result<(), Denial> {
    administrate(actor)
}

/// In what capacity `actor` changes the account.
///
/// # Errors
/// [`Denial::Forbidden`] for staff, [`Denial::Hidden`] for whoever does not see the account.
pub fn change_person(actor: &Actor, target: &User) -> Result<Capacity, Denial> {
    read_person(actor, target)?;
    match standing(actor) {
        Standing::Admin(person) if person.id == target.id => Ok(Capacity::AdminOwner),
        Standing::Admin(_) => Ok(Capacity::Admin),
        Standing::Agent(person) | Standing::Customer(person) if person.id == target.id => Ok(Capacity::Owner),
        Standing::Agent(_) | Standing::Customer(_) | Standing::Server => Err(Denial::Forbidden),
    }
}

/// Whether `actor` may delete and restore the account. Shutting oneself out is not this rule's matter.
///
/// # Errors
/// [`Denial::Forbidden`] for whoever sees the account, [`Denial::Hidden`] for the others.
pub fn delete_person(actor: &Actor, target: &User) -> Result<(), Denial> {
    read_person(actor, target)?;
    administrate(actor)
}

/// Whether `actor` may see deleted accounts among the others.
///
/// # Errors
/// [`Denial::Forbidden`] for all but admins.
pub fn see_deleted(actor: &Actor) -> Result<(), Denial> {
    administrate(actor)
}

/// Whether `actor` may read the record of acts.
///
/// # Errors
/// [`Denial::Forbidden`] for all but admins.
pub fn read_audit_log(actor: &Actor) -> Result<(), Denial> {
    administrate(actor)
}

/// Whether `actor` may take the account's second factor away. That nobody does so to themselves is not this rule's
/// matter.
///
/// # Errors
/// [`Denial::Forbidden`] for whoever sees the account, [`Denial::Hidden`] for the others.
pub fn reset_two_factor(actor: &Actor, target: &User) -> Result<(), Denial> {
    read_person(actor, target)?;
    administrate(actor)
}

/// Whether `actor` may see and change the desk's security settings.
///
/// # Errors
/// [`Denial::Forbidden`] for all but admins.
pub fn manage_security(actor: &Actor) -> Result<(), Denial> {
    administrate(actor)
}

/// Whether `actor` may list and end the sessions of `owner`.
///
/// # Errors
/// [`Denial::Hidden`] for all but the owner and admins.
pub fn manage_sessions(actor: &Actor, owner: UserId) -> Result<(), Denial> {
    match standing(actor) {
        Standing::Admin(_) => Ok(()),
        Standing::Agent(person) | Standing::Customer(person) if person.id == owner => Ok(()),
        Standing::Agent(_) | Standing::Customer(_) | Standing::Server => Err(Denial::Hidden),
    }
}

/// Whether `actor` may list teams and read one.
///
/// # Errors
/// [`Denial::Forbidden`] for all but staff.
pub fn read_teams(actor: &Actor) -> Result<(), Denial> {
    match standing(actor) {
        Standing::Admin(_) | Standing::Agent(_) => Ok(()),
        Standing::Customer(_) | Standing::Server => Err(Denial::Forbidden),
    }
}

/// Whether `actor` may make and delete teams.
///
/// # Errors
/// [`Denial::Forbidden`] for all but admins.
pub fn manage_teams(actor: &Actor) -> Result<(), Denial> {
    administrate(actor)
}

/// Whether `actor` may change the team's name and description.
///
/// # Errors
/// [`Denial::Forbidden`] for all but admins and the team's leads.
pub fn change_team(actor: &Actor, team: TeamId) -> Result<(), Denial> {
    manage_members(actor, team)
}

/// Whether `actor` may list the team's members.
///
/// # Errors
/// [`Denial::Forbidden`] for all but admins and the team's own.
pub fn read_members(actor: &Actor, team: TeamId) -> Result<(), Denial> {
    match standing(actor) {
        Standing::Admin(_) => Ok(()),
        Standing::Agent(person) if person.rank_in(team).is_some() => Ok(()),
        Standing::Agent(_) | Standing::Customer(_) | Standing::Server => Err(Denial::Forbidden),
    }
}

/// Whether `actor` may take a person from the rank `before` to the rank `after` in the team; `None` is no member.
///
/// # Errors
/// [`Denial::Forbidden`] for all but admins and the team's leads, and for a rank above the lead's own.
pub fn manage_member(
    actor: &Actor,
    team: TeamId,
    before: Option<TeamRole>,
    after: Option<TeamRole>,
) -> Result<(), Denial> {
    manage_members(actor, team)?;
    match standing(actor) {
        Standing::Admin(_) => Ok(()),
        // `None` ranks below every rank.
        Standing::Agent(person) if before.max(after) <= person.rank_in(team) => Ok(()),
        Standing::Agent(_) | Standing::Customer(_) | Standing::Server => Err(Denial::Forbidden),
    }
}

fn administrate(actor: &Actor) -> Result<(), Denial> {
    match standing(actor) {
        Standing::Admin(_) => Ok(()),
        Standing::Agent(_) | Standing::Customer(_) | Standing::Server => Err(Denial::Forbidden),
    }
}

/// Whether `actor` manages the team at all; tells nothing of a single member.
///
/// # Errors
/// [`Denial::Forbidden`] for all but admins and the team's leads.
pub fn manage_members(actor: &Actor, team: TeamId) -> Result<(), Denial> {
    match standing(actor) {
        Standing::Admin(_) => Ok(()),
        Standing::Agent(person) => match person.rank_in(team) {
            Some(TeamRole::Lead) => Ok(()),
            Some(TeamRole::Supervisor | TeamRole::Agent) | None => Err(Denial::Forbidden),
        },
        Standing::Customer(_) | Standing::Server => Err(Denial::Forbidden),
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Membership, SystemActor};

    use super::*;
    use crate::testing::builders::{actor, agent_in, start, unique_id, user};

    const FORBIDDEN: Result<(), Denial> = Err(Denial::Forbidden);
    const HIDDEN: Result<(), Denial> = Err(Denial::Hidden);

    /// Everyone there is, from the least to the most, as seen from one team.
    struct Cast {
        team: TeamId,
        everyone: [(&'static str, Actor); 7],
    }

    fn cast() -> Cast {
        let team = TeamId(unique_id());
        let mut former = agent_in(team, TeamRole::Lead);
        if let Actor::Person(person) = &mut former {
            person.role = Role::User;
        }
        let everyone = [
            ("server", Actor::System(SystemActor::AutoClose)),
            // A lead who is no longer staff is a customer, whatever rows are left.
            ("customer", former),
            ("agent elsewhere", agent_in(TeamId(unique_id()), TeamRole::Lead)),
            ("agent", agent_in(team, TeamRole::Agent)),
            ("supervisor", agent_in(team, TeamRole::Supervisor)),
            ("lead", agent_in(team, TeamRole::Lead)),
            ("admin", actor(Role::Admin)),
        ];
        Cast { team, everyone }
    }

    /// Holds the rule against what each of the cast is to get, in the cast's order.
    #[track_caller]
    fn assert_rule(
        cast: &Cast,
        rule: impl Fn(&Actor) -> Result<(), Denial>,
        expected: [Result<(), Denial>; 7],
    ) {
        for ((name, actor), expected) in cast.everyone.iter().zip(expected) {
            assert_eq!(rule(actor), expected, "{name}");
        }
    }

    #[test]
    fn admins_alone_administrate() {
        let cast = cast();
        let mut expected = [FORBIDDEN; 7];
        expected[6] = Ok(());
        assert_rule(&cast, create_person, expected);
        assert_rule(&cast, see_deleted, expected);
        assert_rule(&cast, read_audit_log, expected);
        assert_rule(&cast, manage_teams, expected);
        assert_rule(&cast, manage_security, expected);
    }

    #[test]
    fn others_accounts_are_hidden_from_customers_and_closed_to_staff() {
        let cast = cast();
        let other = user(Role::User);
        let (no, hidden) = (FORBIDDEN, HIDDEN);
        let expected = [hidden, hidden, no, no, no, no, Ok(())];
        assert_rule(&cast, |actor| change_person(actor, &other).map(drop), expected);
        assert_rule(&cast, |actor| delete_person(actor, &other), expected);
        assert_rule(&cast, |actor| reset_two_factor(actor, &other), expected);
        let deleted = User {
            deleted_at: Some(start()),
            ..other.clone()
        };
        let only_admins = [hidden, hidden, hidden, hidden, hidden, hidden, Ok(())];
        assert_rule(&cast, |actor| read_person(actor, &deleted).map(drop), only_admins);
        assert_rule(&cast, |actor| manage_sessions(actor, other.id), only_admins);
    }

    #[test]
    fn how_much_is_seen_depends_on_who_looks() {
        let cast = cast();
        let other = user(Role::User);
        let (card, hidden) = (Ok(Sight::Card), Err(Denial::Hidden));
        let seen = [hidden, hidden, card, card, card, card, Ok(Sight::Full)];
        let listed = seen.map(|sight| sight.map_err(|_| Denial::Forbidden));
        for (((name, actor), seen), listed) in cast.everyone.iter().zip(seen).zip(listed) {
            assert_eq!(read_person(actor, &other), seen, "{name}");
            assert_eq!(list_people(actor), listed, "{name}");
        }
    }

    #[test]
    fn everyone_has_their_own_account() {
        for (role, capacity) in [
            (Role::User, Capacity::Owner),
            (Role::Agent, Capacity::Owner),
            (Role::Admin, Capacity::AdminOwner),
        ] {
            let own = user(role);
            let actor = Actor::Person(Person {
                id: own.id,
                role,
                teams: Vec::new(),
                origin: None,
            });
            assert_eq!(read_person(&actor, &own), Ok(Sight::Full));
            assert_eq!(change_person(&actor, &own), Ok(capacity));
            assert_eq!(manage_sessions(&actor, own.id), Ok(()));
        }
    }

    #[test]
    fn teams_are_read_by_staff_and_their_members_by_the_team() {
        let cast = cast();
        let (no, yes) = (FORBIDDEN, Ok(()));
        assert_rule(&cast, read_teams, [no, no, yes, yes, yes, yes, yes]);
        assert_rule(
            &cast,
            |actor| read_members(actor, cast.team),
            [no, no, no, yes, yes, yes, yes],
        );
    }

    #[test]
    fn a_team_is_managed_by_its_leads() {
        let cast = cast();
        let (no, yes) = (FORBIDDEN, Ok(()));
        let expected = [no, no, no, no, no, yes, yes];
        assert_rule(&cast, |actor| change_team(actor, cast.team), expected);
        assert_rule(&cast, |actor| manage_members(actor, cast.team), expected);
        let ranks = || TeamRole::ALL.into_iter().map(Some).chain([None]);
        for (before, after) in ranks().flat_map(|before| ranks().map(move |after| (before, after))) {
            assert_rule(
                &cast,
                |actor| manage_member(actor, cast.team, before, after),
                expected,
            );
        }
    }

    #[test]
    fn a_lead_of_two_teams_manages_both() {
        let (one, other) = (TeamId(unique_id()), TeamId(unique_id()));
        let teams = [one, other]
            .map(|team| Membership {
                team,
                role: TeamRole::Lead,
            })
            .to_vec();
        let lead = Actor::Person(Person {
            id: UserId(unique_id()),
            role: Role::Agent,
            teams,
            origin: None,
        });
        assert_eq!(
            (change_team(&lead, one), change_team(&lead, other)),
            (Ok(()), Ok(()))
        );
    }
}
