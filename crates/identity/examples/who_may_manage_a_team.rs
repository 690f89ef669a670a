//! Asks the rules of the help desk who may do what in a team: without a server, a database or a runtime.
//!
//! Run it with `cargo run -p insightdesk-identity --example who_may_manage_a_team`.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use insightdesk_identity::policy::{self, Denial};
use kernel::{Actor, Membership, Person, Role, SequentialIds, TeamId, TeamRole, UserId};

fn main() {
    let ids = SequentialIds::default();
    let team = TeamId::new(&ids);
    let member = |role, rank: Option<TeamRole>| {
        let teams = rank.map(|role| Membership { team, role }).into_iter().collect();
        Actor::Person(Person {
            id: UserId::new(&ids),
            role,
            teams,
            origin: None,
        })
    };
    let people = [
        ("a customer", member(Role::User, None)),
        ("an agent of another team", member(Role::Agent, None)),
        ("an agent of the team", member(Role::Agent, Some(TeamRole::Agent))),
        ("its supervisor", member(Role::Agent, Some(TeamRole::Supervisor))),
        ("its lead", member(Role::Agent, Some(TeamRole::Lead))),
        ("an administrator", member(Role::Admin, None)),
    ];
    for (name, person) in people {
        let see = answer(policy::read_members(&person, team));
        let add = answer(policy::manage_member(&person, team, None, Some(TeamRole::Agent)));
        let delete = answer(policy::manage_teams(&person));
        println!("{name:24}  sees the members: {see:3}  adds an agent: {add:3}  deletes the team: {delete}");
    }
}

fn answer(decision: Result<(), Denial>) -> &'static str {
    match decision {
        Ok(()) => "yes",
        Err(Denial::Hidden | Denial::Forbidden) => "no",
    }
}
