use std::sync::Arc;

use events::{Cause, IdentityFact};
use kernel::{ManualClock, PortError, Role, SequentialIds, SystemActor, TeamRole};

use crate::ports::{MockTeamStore, MockUserStore, TeamCommitError, TeamStore as _, UserStore as _};
use crate::service::{HowReceived, Intake, IntakePorts, Joined, Newcomer, PrincipalCache};
use crate::testing::Desk;
use crate::testing::builders::{email, member, name, start, team, team_name, user};
use crate::user::{User, UserStatus};
use crate::value::PasswordHash;

fn intake(desk: &Desk) -> Intake {
    Intake::new(IntakePorts {
        users: desk.world.clone(),
        teams: desk.world.clone(),
        clock: desk.clock.clone(),
        ids: Arc::new(SequentialIds::default()),
        cache: Arc::new(PrincipalCache::new()),
    })
}

fn newcomer(address: &str, role: Role) -> Newcomer {
    Newcomer {
        email: email(address),
        name: name("Kim"),
        role,
        shut_out: false,
    }
}

#[tokio::test]
async fn a_newcomer_waits_without_a_password_and_is_received_once() {
    let desk = Desk::new();
    let intake = intake(&desk);
    let first = intake
        .receive(newcomer("kim@example.org", Role::Agent))
        .await
        .unwrap();
    assert_eq!((first.role, first.how), (Role::Agent, HowReceived::Made));
    let stored = desk.world.user(first.user).await.unwrap().unwrap();
    assert!(stored.awaits_invitation() && stored.email_verified_at.is_none());
    let again = intake
        .receive(newcomer("kim@example.org", Role::Admin))
        .await
        .unwrap();
    assert_eq!(
        (again.user, again.role, again.how),
        (first.user, Role::Agent, HowReceived::There)
    );
    let events = desk.world.events();
    let cause = Cause::System(SystemActor::Import.as_str().to_owned());
    assert_eq!(events.len(), 1);
    assert!(events.iter().all(|event| event.cause == cause));
    assert_eq!(
        desk.world.facts(),
        [IdentityFact::UserCreated { user: first.user }],
        "nobody is written to"
    );
}

#[tokio::test]
async fn one_who_was_shut_out_elsewhere_is_shut_out_here() {
    let desk = Desk::new();
    let shut_out = Newcomer {
        shut_out: true,
        ..newcomer("kim@example.org", Role::User)
    };
    let received = intake(&desk).receive(shut_out).await.unwrap();
    let stored = desk.world.user(received.user).await.unwrap().unwrap();
    assert_eq!(stored.status, UserStatus::Suspended);
}

#[tokio::test]
async fn an_account_that_is_there_is_told_for_what_it_is_and_never_changed() {
    let desk = Desk::new();
    let intake = intake(&desk);
    let there = |address: &str, how: fn(&mut User)| {
        let mut user = user(Role::User);
        user.email = email(address);
        how(&mut user);
        desk.world.put_user(user);
    };
    there("proved@example.org", |user| {
        user.email_verified_at = Some(start())
    });
    there("stranger@example.org", |user| user.email_verified_at = None);
    there("invited@example.org", |user| {
        user.email_verified_at = None;
        user.password_hash = PasswordHash::unset();
    });
    there("gone@example.org", |user| user.deleted_at = Some(start()));
    for (address, how) in [
        ("proved@example.org", HowReceived::There),
        ("stranger@example.org", HowReceived::Unproved),
        ("invited@example.org", HowReceived::There),
        ("gone@example.org", HowReceived::Deleted),
    ] {
        let received = intake.receive(newcomer(address, Role::Agent)).await.unwrap();
        assert_eq!((received.role, received.how), (Role::User, how), "{address}");
    }
    assert!(desk.world.events().is_empty());
}

#[tokio::test]
async fn a_team_is_made_once_and_found_by_its_name() {
    let desk = Desk::new();
    let intake = intake(&desk);
    let (id, made) = intake.team(team_name("Support"), None).await.unwrap();
    assert!(made);
    assert_eq!(
        intake.team(team_name("Support"), None).await.unwrap(),
        (id, false)
    );
    assert_eq!(intake.teams().await.unwrap().get("Support"), Some(&id));
}

#[tokio::test]
async fn staff_join_as_agents_keep_the_rank_they_have_and_customers_do_not_join() {
    let desk = Desk::new();
    let intake = intake(&desk);
    let team = team();
    desk.world.put_team(team.clone());
    let agent = desk.person("agent", Role::Agent).id;
    let lead = desk.person("lead", Role::Agent).id;
    desk.world.put_member(member(team.id, lead, TeamRole::Lead));
    let customer = desk.person("customer", Role::User).id;
    assert_eq!(intake.join(team.id, agent).await.unwrap(), Joined::New);
    assert_eq!(intake.join(team.id, agent).await.unwrap(), Joined::There);
    assert_eq!(intake.join(team.id, lead).await.unwrap(), Joined::There);
    assert_eq!(intake.join(team.id, customer).await.unwrap(), Joined::NotStaff);
    let rank = desk
        .world
        .member(team.id, lead)
        .await
        .unwrap()
        .unwrap()
        .member
        .role_in_team;
    assert_eq!(rank, TeamRole::Lead);
}

#[tokio::test]
async fn a_store_that_fails_is_not_taken_for_an_answer() {
    let mut teams = MockTeamStore::new();
    teams
        .expect_commit()
        .returning(|_| Err(TeamCommitError::HasTickets));
    let intake = Intake::new(IntakePorts {
        users: Arc::new(MockUserStore::new()),
        teams: Arc::new(teams),
        clock: Arc::new(ManualClock::at(start())),
        ids: Arc::new(SequentialIds::default()),
        cache: Arc::new(PrincipalCache::new()),
    });
    let failed = intake.team(team_name("Support"), None).await;
    assert!(matches!(failed, Err(PortError::Bug { .. })));
}
