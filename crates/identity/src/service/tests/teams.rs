use std::sync::Arc;

use events::IdentityFact;
use kernel::receipt::no_receipt;
use kernel::{
    Actor, Classify, Clock, FailureKind, ManualClock, PageLimit, Patch, Role, SequentialIds, TeamId,
    TeamRole, UserId, Version,
};

use super::{Script, receipt};
use crate::ports::{MemberCommitError, MemberRecord, MockTeamStore, MockUserStore, TeamStore};
use crate::service::{
    ChangeTeamError, CreateTeam, MemberError, MemberWish, PrincipalCache, ReadTeamError, TeamPorts, Teams,
    UpdateTeam,
};
use crate::team::Team;
use crate::testing::Desk;
use crate::testing::builders::{actor, agent_in, member, start, team, unique_id, user};

fn named(name: &str) -> CreateTeam {
    CreateTeam {
        name: name.to_owned(),
        description: None,
    }
}

fn renamed(name: &str) -> UpdateTeam {
    UpdateTeam {
        name: Patch::Set(name.to_owned()),
        ..UpdateTeam::default()
    }
}

/// A desk with one team.
fn desk() -> (Desk, Team) {
    let (desk, team) = (Desk::new(), team());
    desk.world.put_team(team.clone());
    (desk, team)
}

fn put_member(desk: &Desk, team: TeamId, name: &str, role: TeamRole) -> UserId {
    let id = desk.person(name, Role::Agent).id;
    desk.world.put_member(member(team, id, role));
    id
}

async fn rank(desk: &Desk, team: TeamId, user: UserId) -> Option<TeamRole> {
    desk.world
        .member(team, user)
        .await
        .unwrap()
        .map(|record| record.member.role_in_team)
}

#[tokio::test]
async fn admins_alone_make_and_delete_teams() {
    let desk = Desk::new();
    for who in [
        actor(Role::User),
        actor(Role::Agent),
        agent_in(TeamId(unique_id()), TeamRole::Lead),
    ] {
        let refused = desk.teams.create(&who, named("Support"), &no_receipt).await;
        assert!(matches!(refused, Err(ChangeTeamError::Forbidden)));
    }
    let admin = actor(Role::Admin);
    let team = desk
        .teams
        .create(&admin, named(" Support "), &no_receipt)
        .await
        .unwrap();
    assert_eq!((team.name.as_str(), team.version), ("Support", Version::FIRST));
    for who in [
        actor(Role::User),
        actor(Role::Agent),
        agent_in(team.id, TeamRole::Lead),
    ] {
        let refused = desk.teams.delete(&who, team.id, None).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (FailureKind::Forbidden, "access.forbidden")
        );
    }
    desk.teams
        .delete(&admin, team.id, Some(team.version))
        .await
        .unwrap();
    let gone = desk.teams.delete(&admin, team.id, None).await.unwrap_err();
    assert_eq!(
        (gone.kind(), gone.code()),
        (FailureKind::NotFound, "team.not_found")
    );
    let expected = [
        IdentityFact::TeamCreated { team: team.id },
        IdentityFact::TeamDeleted { team: team.id },
    ];
    assert_eq!(desk.world.facts(), expected);
}

#[tokio::test]
async fn a_team_learns_all_its_faults_at_once_and_its_name_is_its_own() {
    let desk = Desk::new();
    let admin = actor(Role::Admin);
    let bad = CreateTeam {
        name: "x".repeat(101),
        description: Some("a\0b".into()),
    };
    let error = desk.teams.create(&admin, bad, &no_receipt).await.unwrap_err();
    let faults: Vec<_> = error
        .violations()
        .iter()
        .map(|v| (v.pointer.as_str(), v.code))
        .collect();
    assert_eq!(faults, [("/name", "too_long"), ("/description", "bad_character")]);
    desk.teams
        .create(&admin, named("Support"), &no_receipt)
        .await
        .unwrap();
    let taken = desk
        .teams
        .create(&admin, named("Support"), &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(
        (taken.kind(), taken.code()),
        (FailureKind::Conflict, "team.name_taken")
    );
}

#[tokio::test]
async fn staff_read_teams_and_customers_do_not_even_learn_which_there_are() {
    let (desk, team) = desk();
    for who in [actor(Role::Agent), actor(Role::Admin)] {
        assert_eq!(desk.teams.get(&who, team.id).await.unwrap(), team);
        assert_eq!(
            desk.teams
                .list(&who, None, PageLimit::DEFAULT)
                .await
                .unwrap()
                .items,
            std::slice::from_ref(&team)
        );
        let unknown = desk.teams.get(&who, TeamId(unique_id())).await;
        assert!(matches!(unknown, Err(ReadTeamError::NotFound)));
    }
    let customer = actor(Role::User);
    for id in [team.id, TeamId(unique_id())] {
        assert!(matches!(
            desk.teams.get(&customer, id).await,
            Err(ReadTeamError::Forbidden)
        ));
        let members = desk.teams.members(&customer, id, None, PageLimit::DEFAULT).await;
        assert!(matches!(members, Err(ReadTeamError::Forbidden)));
        let update = desk
            .teams
            .update(&customer, id, renamed("X"), None, &no_receipt)
            .await;
        assert!(matches!(update, Err(ChangeTeamError::Forbidden)));
        assert!(matches!(
            desk.teams.delete(&customer, id, None).await,
            Err(ChangeTeamError::Forbidden)
        ));
    }
    assert!(matches!(
        desk.teams.list(&customer, None, PageLimit::DEFAULT).await,
        Err(ReadTeamError::Forbidden)
    ));
}

#[tokio::test]
async fn a_lead_renames_the_own_team_and_no_other() {
    let (desk, team) = desk();
    let update = async |who: &Actor| {
        desk.teams
            .update(who, team.id, renamed("New"), None, &no_receipt)
            .await
    };
    for who in [
        actor(Role::Agent),
        agent_in(team.id, TeamRole::Agent),
        agent_in(team.id, TeamRole::Supervisor),
        agent_in(TeamId(unique_id()), TeamRole::Lead),
    ] {
        assert!(
            matches!(update(&who).await, Err(ChangeTeamError::Forbidden)),
            "{who:?}"
        );
    }
    let changed = update(&agent_in(team.id, TeamRole::Lead)).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.version), ("New", Version(2)));
    let stale = desk
        .teams
        .update(
            &actor(Role::Admin),
            team.id,
            renamed("X"),
            Some(Version(1)),
            &no_receipt,
        )
        .await;
    assert!(matches!(
        stale,
        Err(ChangeTeamError::Stale { current: Version(2) })
    ));
    let null = UpdateTeam {
        name: Patch::Clear,
        ..UpdateTeam::default()
    };
    let null = desk
        .teams
        .update(&actor(Role::Admin), team.id, null, None, &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(null.violations()[0].code, "required");
}

#[tokio::test]
async fn a_teams_change_of_nothing_stores_nothing_but_a_receipt() {
    let (desk, team) = desk();
    let admin = actor(Role::Admin);
    let same = desk
        .teams
        .update(&admin, team.id, UpdateTeam::default(), None, &no_receipt)
        .await
        .unwrap();
    assert_eq!((same, desk.world.receipts().len()), (team.clone(), 0));
    let answer = |_: &Team| Some(receipt("key"));
    let same = desk
        .teams
        .update(&admin, team.id, UpdateTeam::default(), None, &answer)
        .await
        .unwrap();
    assert_eq!((same, desk.world.receipts().len()), (team.clone(), 1));
    let again = desk
        .teams
        .update(&admin, team.id, renamed("X"), None, &answer)
        .await;
    assert!(matches!(again, Err(ChangeTeamError::Repeated)));
    assert_eq!(desk.world.events(), []);
}

#[tokio::test]
async fn a_teams_members_are_shown_to_members_and_admins() {
    let (desk, team) = desk();
    let kim = put_member(&desk, team.id, "kim", TeamRole::Agent);
    let list = async |who: &Actor| desk.teams.members(who, team.id, None, PageLimit::DEFAULT).await;
    let mut allowed: Vec<Actor> = TeamRole::ALL
        .iter()
        .map(|role| agent_in(team.id, *role))
        .collect();
    allowed.push(actor(Role::Admin));
    for who in allowed {
        let page = list(&who).await.unwrap();
        assert_eq!(
            page.items
                .iter()
                .map(|record| record.person.id)
                .collect::<Vec<_>>(),
            [kim]
        );
    }
    let stranger = agent_in(TeamId(unique_id()), TeamRole::Lead);
    assert!(matches!(list(&stranger).await, Err(ReadTeamError::Forbidden)));
}

#[tokio::test]
async fn leads_and_admins_let_people_join_rise_and_leave() {
    let (desk, team) = desk();
    let kim = desk.person("kim", Role::Agent).id;
    for who in [agent_in(team.id, TeamRole::Lead), actor(Role::Admin)] {
        let join = MemberWish::Join(TeamRole::Agent);
        let joined = desk
            .teams
            .set_member(&who, team.id, kim, join, &no_receipt)
            .await
            .unwrap();
        assert_eq!(
            (joined.person.id, joined.member.role_in_team),
            (kim, TeamRole::Agent)
        );
        let rise = MemberWish::Rank(TeamRole::Lead);
        let risen = desk
            .teams
            .set_member(&who, team.id, kim, rise, &no_receipt)
            .await
            .unwrap();
        assert_eq!(
            (risen.member.id, risen.member.role_in_team),
            (joined.member.id, TeamRole::Lead)
        );
        desk.teams.remove_member(&who, team.id, kim).await.unwrap();
        assert_eq!(rank(&desk, team.id, kim).await, None);
    }
    let set = |role: &str| IdentityFact::TeamMemberSet {
        team: team.id,
        user: kim,
        role_in_team: role.into(),
    };
    let removed = IdentityFact::TeamMemberRemoved {
        team: team.id,
        user: kim,
    };
    assert_eq!(desk.world.facts()[..3], [set("agent"), set("lead"), removed]);
}

#[tokio::test]
async fn nobody_else_changes_a_membership() {
    let (desk, team) = desk();
    let kim = put_member(&desk, team.id, "kim", TeamRole::Agent);
    let new = desk.person("new", Role::Agent).id;
    for who in [
        actor(Role::User),
        actor(Role::Agent),
        agent_in(team.id, TeamRole::Agent),
        agent_in(team.id, TeamRole::Supervisor),
        agent_in(TeamId(unique_id()), TeamRole::Lead),
    ] {
        for user in [kim, new, UserId(unique_id())] {
            let wish = MemberWish::Join(TeamRole::Agent);
            let set = desk
                .teams
                .set_member(&who, team.id, user, wish, &no_receipt)
                .await;
            let remove = desk.teams.remove_member(&who, team.id, user).await;
            assert!(matches!(set, Err(MemberError::Forbidden)), "{who:?}");
            assert!(matches!(remove, Err(MemberError::Forbidden)), "{who:?}");
        }
    }
    assert_eq!(desk.world.events(), []);
}

#[tokio::test]
async fn only_live_staff_joins_a_team() {
    let (desk, team) = desk();
    let customer = desk.person("robin", Role::User).id;
    let mut gone = user(Role::Agent);
    gone.deleted_at = Some(start());
    desk.world.put_user(gone.clone());
    for user in [customer, gone.id, UserId(unique_id())] {
        let wish = MemberWish::Join(TeamRole::Agent);
        let error = desk
            .teams
            .set_member(&actor(Role::Admin), team.id, user, wish, &no_receipt)
            .await
            .unwrap_err();
        let fault = &error.violations()[0];
        assert_eq!((fault.pointer.as_str(), fault.code), ("/userId", "not_staff"));
    }
}

#[tokio::test]
async fn a_rank_needs_a_member_and_a_member_needs_a_team() {
    let (desk, team) = desk();
    let admin = actor(Role::Admin);
    let kim = desk.person("kim", Role::Agent).id;
    let wish = MemberWish::Rank(TeamRole::Lead);
    let error = desk
        .teams
        .set_member(&admin, team.id, kim, wish, &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::NotFound, "team.member_not_found")
    );
    let error = desk.teams.remove_member(&admin, team.id, kim).await.unwrap_err();
    assert_eq!(error.code(), "team.member_not_found");
    let error = desk
        .teams
        .set_member(&admin, TeamId(unique_id()), kim, wish, &no_receipt)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (FailureKind::NotFound, "team.not_found")
    );
}

#[tokio::test]
async fn a_member_who_joins_again_takes_the_rank_and_the_same_rank_changes_nothing() {
    let (desk, team) = desk();
    let kim = put_member(&desk, team.id, "kim", TeamRole::Agent);
    let admin = actor(Role::Admin);
    let same = MemberWish::Join(TeamRole::Agent);
    desk.teams
        .set_member(&admin, team.id, kim, same, &no_receipt)
        .await
        .unwrap();
    assert_eq!(desk.world.events(), []);
    let answer = |_: &MemberRecord| Some(receipt("key"));
    desk.teams
        .set_member(&admin, team.id, kim, same, &answer)
        .await
        .unwrap();
    assert_eq!((desk.world.events().len(), desk.world.receipts().len()), (0, 1));
    let wish = MemberWish::Join(TeamRole::Supervisor);
    desk.teams
        .set_member(&admin, team.id, kim, wish, &no_receipt)
        .await
        .unwrap();
    assert_eq!(rank(&desk, team.id, kim).await, Some(TeamRole::Supervisor));
    let again = desk.teams.set_member(&admin, team.id, kim, wish, &answer).await;
    assert!(matches!(again, Err(MemberError::Repeated)));
}

#[tokio::test]
async fn a_membership_that_others_overtake_is_decided_again_and_given_up_in_the_end() {
    let team = team();
    let kim = user(Role::Agent);
    let overtaken = |times: usize| {
        let mut store = MockTeamStore::new();
        let (found, record) = (
            team.clone(),
            MemberRecord {
                member: member(team.id, kim.id, TeamRole::Agent),
                person: kim.card(),
            },
        );
        store.expect_team().returning(move |_| Ok(Some(found.clone())));
        store
            .expect_member()
            .returning(move |_, _| Ok(Some(record.clone())));
        let mut answers: Vec<Result<(), MemberCommitError>> = Vec::new();
        answers.resize_with(times, || Err(MemberCommitError::Stale));
        answers.push(Ok(()));
        let answers = Script::new(answers);
        store.expect_commit_member().returning(move |_| answers.next());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(start()));
        Teams::new(TeamPorts {
            teams: Arc::new(store),
            users: Arc::new(MockUserStore::new()),
            clock,
            ids: Arc::new(SequentialIds::default()),
            cache: Arc::new(PrincipalCache::new()),
        })
    };
    let admin = actor(Role::Admin);
    overtaken(3).remove_member(&admin, team.id, kim.id).await.unwrap();
    let busy = overtaken(4)
        .remove_member(&admin, team.id, kim.id)
        .await
        .unwrap_err();
    assert_eq!(
        (busy.kind(), busy.code()),
        (FailureKind::Unavailable, "server.busy")
    );
}
