//! Giving tickets out, on the fake: its contract, the bound of a round, and rights.

use std::sync::Arc;

use async_trait::async_trait;
use insightdesk_ticketing as ticketing;
use kernel::{Actor, IdSource as _, ManualClock, Patch, SequentialIds, TeamId, TeamRole, UserId};
use ticketing::testing::contract::World;
use ticketing::testing::contract_routing::{Staff, team_routing};
use ticketing::testing::{MemoryDirectory, MemoryTickets, PlainMarkup, build};
use ticketing::{
    AssigneeFacts, AvailabilityChange, Guard, Routing, RoutingChange, RoutingError, RoutingMode, Settings,
    TicketBound, TicketKey, Tickets,
};
use uuid::Uuid;

const CUSTOMER: UserId = UserId(Uuid::from_u128(0xc1));
const AGENT: UserId = UserId(Uuid::from_u128(0xa1));
const LEAD: UserId = UserId(Uuid::from_u128(0xa2));
const ADMIN: UserId = UserId(Uuid::from_u128(0xa3));
const TEAM: TeamId = TeamId(Uuid::from_u128(0x71));
const OTHER_TEAM: TeamId = TeamId(Uuid::from_u128(0x72));

struct MemoryStaff {
    store: Arc<MemoryTickets>,
    ids: Arc<SequentialIds>,
}

#[async_trait]
impl Staff for MemoryStaff {
    async fn agent(&self, teams: &[TeamId]) -> UserId {
        let id = UserId(self.ids.next());
        for team in teams {
            self.store.join(*team, id);
        }
        id
    }

    async fn team(&self) -> TeamId {
        TeamId(self.ids.next())
    }

    async fn leave(&self, user: UserId) {
        self.store.leave(user);
    }

    async fn suspend(&self, user: UserId) {
        self.store.leave(user);
    }
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    let store = Arc::new(MemoryTickets::default());
    let ids = Arc::new(SequentialIds::default());
    let world = World {
        customer: CUSTOMER,
        stranger: UserId(Uuid::from_u128(0xc2)),
        agent: AGENT,
        team: TEAM,
        other_team: OTHER_TEAM,
    };
    let staff = MemoryStaff {
        store: store.clone(),
        ids: ids.clone(),
    };
    team_routing(store.clone(), store, ids, world, &staff).await;
}

struct Desk {
    store: Arc<MemoryTickets>,
    tickets: Arc<Tickets>,
    routing: Routing,
}

fn desk() -> Desk {
    let store = Arc::new(MemoryTickets::default());
    let mut directory = MemoryDirectory::default();
    directory.requesters.insert(CUSTOMER);
    for (team, name) in [(TEAM, "Front"), (OTHER_TEAM, "Back")] {
        directory.teams.insert(team, name.to_owned());
    }
    for (user, is_admin) in [(AGENT, false), (LEAD, false), (ADMIN, true)] {
        let teams = if is_admin { vec![] } else { vec![TEAM] };
        directory
            .assignees
            .insert(user, AssigneeFacts { is_admin, teams });
    }
    let tickets = Arc::new(Tickets::new(
        store.clone(),
        Arc::new(directory),
        Arc::new(PlainMarkup),
        Arc::new(ManualClock::at(build::noon())),
        Arc::new(SequentialIds::default()),
        Settings::default(),
    ));
    let routing = Routing::new(store.clone(), Arc::clone(&tickets));
    Desk {
        store,
        tickets,
        routing,
    }
}

fn lead() -> Actor {
    Actor::Person(build::agent(LEAD, TEAM, TeamRole::Lead))
}

fn mode(mode: RoutingMode) -> RoutingChange {
    RoutingChange {
        mode: Some(mode),
        capacity: Patch::Keep,
    }
}

#[tokio::test]
async fn a_round_gives_out_fifty_tickets_and_the_next_the_rest() {
    let Desk {
        store,
        tickets,
        routing,
    } = desk();
    for agent in [AGENT, LEAD] {
        store.join(TEAM, agent);
    }
    let change = mode(RoutingMode::LeastLoaded);
    let _ = routing
        .change_settings(&lead(), TEAM, &change, Guard::none())
        .await
        .unwrap();
    let customer = Actor::Person(build::customer(CUSTOMER));
    let mut made = Vec::new();
    for _ in 0..60 {
        let mut new = build::new_ticket("Printer");
        new.team = Some(TEAM);
        let ticket = tickets.create(&customer, new, &kernel::receipt::no_receipt).await;
        made.push(ticket.unwrap().view.ticket.id);
    }
    assert_eq!(routing.run_once().await.unwrap(), 50);
    assert_eq!(routing.run_once().await.unwrap(), 10);
    assert_eq!(routing.run_once().await.unwrap(), 0);
    for agent in [AGENT, LEAD] {
        let has = |id: &&kernel::TicketId| store.stored(**id).unwrap().assignee == Some(agent);
        assert_eq!(made.iter().filter(has).count(), 30);
    }
    let history = store.history(made[0]);
    let entry = history.last().unwrap();
    assert_eq!((entry.action.as_str(), entry.actor), ("assigned", None));
    assert_eq!(entry.metadata["system"], "routing");
    // Someone takes one meanwhile: it is left to them.
    let agent = Actor::Person(build::agent(AGENT, TEAM, TeamRole::Agent));
    let key = TicketKey::Id(made[1]);
    let _ = tickets.unassign(&lead(), &key, Guard::none()).await.unwrap();
    let _ = tickets.claim(&agent, &key, Guard::none()).await.unwrap();
    assert_eq!(routing.run_once().await.unwrap(), 0);
}

#[tokio::test]
async fn members_see_and_leads_say_how_a_teams_tickets_are_given_out() {
    let Desk { routing, .. } = desk();
    let person = |user, team, rank| Actor::Person(build::agent(user, team, rank));
    let member = person(AGENT, TEAM, TeamRole::Agent);
    let supervisor = person(AGENT, TEAM, TeamRole::Supervisor);
    let outsider = person(AGENT, OTHER_TEAM, TeamRole::Lead);
    let customer = Actor::Person(build::customer(CUSTOMER));
    let admin = Actor::Person(build::admin(ADMIN));
    for (actor, sees, says) in [
        (&member, true, false),
        (&supervisor, true, false),
        (&lead(), true, true),
        (&admin, true, true),
        (&outsider, false, false),
        (&customer, false, false),
    ] {
        assert_eq!(routing.settings(actor, TEAM).await.is_ok(), sees, "{actor:?}");
        let change = mode(RoutingMode::RoundRobin);
        let said = routing.change_settings(actor, TEAM, &change, Guard::none()).await;
        assert_eq!(said.is_ok(), says, "{actor:?}");
    }
    let nowhere = routing.settings(&admin, TeamId(Uuid::nil())).await;
    assert!(matches!(nowhere, Err(RoutingError::NoTeam)), "{nowhere:?}");
}

#[tokio::test]
async fn staff_say_for_themselves_and_those_above_them_in_a_team_for_them() {
    let Desk { routing, .. } = desk();
    let person = |user, team, rank| Actor::Person(build::agent(user, team, rank));
    let other = UserId(Uuid::from_u128(0xa9));
    let change = AvailabilityChange {
        is_available: Some(false),
        capacity: Patch::Set(TicketBound::stored(3).unwrap()),
    };
    for (actor, may) in [
        (person(AGENT, TEAM, TeamRole::Agent), true),
        (person(other, TEAM, TeamRole::Agent), false),
        (person(other, TEAM, TeamRole::Supervisor), true),
        (person(other, TEAM, TeamRole::Lead), true),
        (person(other, OTHER_TEAM, TeamRole::Lead), false),
        (Actor::Person(build::admin(ADMIN)), true),
        (Actor::Person(build::customer(CUSTOMER)), false),
    ] {
        let said = routing
            .change_availability(&actor, AGENT, &change, Guard::none())
            .await;
        assert_eq!(said.is_ok(), may, "{actor:?}");
        assert_eq!(
            routing.availability(&actor, AGENT).await.is_ok(),
            may,
            "{actor:?}"
        );
    }
    let admin = Actor::Person(build::admin(ADMIN));
    let nobody = routing.availability(&admin, CUSTOMER).await;
    assert!(matches!(nobody, Err(RoutingError::NoPerson)), "{nobody:?}");
}
