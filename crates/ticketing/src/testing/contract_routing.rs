//! What every [`TeamRouting`] must do, beside the [`TicketStore`] of the same tickets. Run on the fake here and on the
//! database in its own tests.

#![expect(clippy::unwrap_used, reason = "a suite ends where a promise is broken")]

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Duration;
use events::{Event, Fact, IdentityFact, TicketPriority};
use kernel::{
    Actor, EventId, EventReceipt, IdSource, Receipt, SystemActor, TeamId, TicketId, UserId, Version,
};

use super::build;
use super::contract::{World, fresh, insert, only};
use crate::machine::Standing;
use crate::port::{CommitError, TicketCommit, TicketStore, TicketWrite};
use crate::routing::port::{RoutingCommit, RoutingCommitError, RoutingWrite, TeamRouting, TurnTaken};
use crate::routing::{Availability, RoutingMode, RoutingSettings, TicketBound, Turn};
use crate::ticket::{Ticket, TicketKey};

/// The staff of the store under test.
#[async_trait]
pub trait Staff: Send + Sync {
    /// Someone new who is active staff in these teams.
    async fn agent(&self, teams: &[TeamId]) -> UserId;
    /// A team that is new.
    async fn team(&self) -> TeamId;
    /// Takes someone out of all teams.
    async fn leave(&self, user: UserId);
    /// Suspends someone.
    async fn suspend(&self, user: UserId);
}

struct Suite<'a> {
    routing: &'a dyn TeamRouting,
    tickets: &'a dyn TicketStore,
    ids: &'a dyn IdSource,
    world: &'a World,
    staff: &'a dyn Staff,
}

/// Everything that a [`TeamRouting`] promises, one promise after the other.
///
/// # Panics
/// When one is broken.
pub async fn team_routing(
    routing: Arc<dyn TeamRouting>,
    tickets: Arc<dyn TicketStore>,
    ids: Arc<dyn IdSource>,
    world: World,
    staff: &dyn Staff,
) {
    let suite = Suite {
        routing: routing.as_ref(),
        tickets: tickets.as_ref(),
        ids: ids.as_ref(),
        world: &world,
        staff,
    };
    suite
        .what_is_said_reads_back_and_a_stale_saying_is_refused()
        .await;
    suite.a_turn_shows_who_could_get_what_waits().await;
    suite.teams_with_nothing_to_give_out_are_left_out().await;
    suite.an_assignment_moves_the_turn_on_once().await;
    suite.nobody_gets_more_through_two_teams_at_once().await;
    suite.who_left_or_is_suspended_gets_none().await;
    suite.what_was_said_meanwhile_holds().await;
    suite.a_ticket_that_moved_on_moves_no_turn().await;
}

impl Suite<'_> {
    async fn say(&self, write: RoutingWrite, expected: Version) -> Result<(), RoutingCommitError> {
        let commit = RoutingCommit {
            write,
            expected,
            events: vec![],
            receipt: None,
        };
        self.routing.commit(commit).await
    }

    /// A team of which so many agents are, with tickets given out in turn.
    async fn team_of<const N: usize>(&self, mode: RoutingMode) -> (TeamId, [UserId; N]) {
        let team = self.staff.team().await;
        let mut agents = [self.world.agent; N];
        for agent in &mut agents {
            *agent = self.staff.agent(&[team]).await;
        }
        agents.sort_unstable();
        let settings = RoutingSettings {
            mode,
            version: Version(2),
            ..RoutingSettings::of(team)
        };
        self.say(RoutingWrite::Team(settings), Version::FIRST)
            .await
            .unwrap();
        (team, agents)
    }

    async fn ticket(&self, team: TeamId, change: impl FnOnce(&mut Ticket) + Send) -> TicketId {
        let mut ticket = fresh(self.tickets, self.ids, self.world).await;
        ticket.team = Some(team);
        change(&mut ticket);
        insert(self.tickets, &ticket).await;
        ticket.id
    }

    async fn turn(&self, team: TeamId) -> (Turn, Vec<TicketId>) {
        self.routing.turn(team, 10).await.unwrap().unwrap()
    }

    async fn stored(&self, id: TicketId) -> Ticket {
        self.tickets.find(&TicketKey::Id(id)).await.unwrap().unwrap()
    }

    /// The decision to give a ticket, as it stands, to someone.
    async fn giving(&self, id: TicketId, agent: UserId) -> TicketCommit {
        let ticket = self.stored(id).await;
        let expected = ticket.version();
        let mut given = ticket;
        given.assignee = Some(agent);
        given.staff_face.version = expected.next();
        only(TicketWrite::Update {
            ticket: Box::new(given),
            expected,
        })
    }

    async fn give(&self, id: TicketId, turn: &Turn) -> Result<UserId, CommitError> {
        let agent = turn.next().unwrap();
        let who = agent.availability.user;
        let commit = self.giving(id, who).await;
        self.routing
            .assign(commit, TurnTaken::of(turn, agent))
            .await
            .map(|()| who)
    }

    async fn what_is_said_reads_back_and_a_stale_saying_is_refused(&self) {
        let team = self.staff.team().await;
        let unsaid = RoutingSettings::of(team);
        assert_eq!(self.routing.settings(team).await.unwrap(), unsaid);
        let said = RoutingSettings {
            mode: RoutingMode::LeastLoaded,
            capacity: TicketBound::stored(7),
            version: Version(2),
            ..unsaid
        };
        let receipt = Receipt::Event(EventReceipt {
            subscriber: "contract",
            event: EventId::new(self.ids),
            step: "routing",
        });
        let fact = IdentityFact::TeamRoutingChanged {
            team,
            mode: "least_loaded".to_owned(),
            capacity: Some(7),
        };
        let actor = Actor::System(SystemActor::Routing);
        let commit = RoutingCommit {
            write: RoutingWrite::Team(said),
            expected: Version::FIRST,
            events: vec![Event::new(self.ids, build::noon(), &actor, Fact::Identity(fact))],
            receipt: Some(receipt),
        };
        self.routing.commit(commit.clone()).await.unwrap();
        assert_eq!(self.routing.settings(team).await.unwrap(), said);
        let again = RoutingCommit {
            expected: Version(2),
            ..commit
        };
        let again = self.routing.commit(again).await;
        assert!(matches!(again, Err(RoutingCommitError::Repeated)), "{again:?}");
        let stale = self.say(RoutingWrite::Team(unsaid), Version::FIRST).await;
        assert!(matches!(stale, Err(RoutingCommitError::Stale)), "{stale:?}");
        assert_eq!(self.routing.settings(team).await.unwrap(), said);

        let agent = self.staff.agent(&[team]).await;
        let unsaid = Availability::of(agent);
        assert_eq!(self.routing.availability(agent).await.unwrap(), unsaid);
        let said = Availability {
            is_available: false,
            capacity: TicketBound::stored(1),
            version: Version(2),
            ..unsaid
        };
        self.say(RoutingWrite::Person(said), Version::FIRST)
            .await
            .unwrap();
        assert_eq!(self.routing.availability(agent).await.unwrap(), said);
        let stale = self.say(RoutingWrite::Person(unsaid), Version::FIRST).await;
        assert!(matches!(stale, Err(RoutingCommitError::Stale)), "{stale:?}");
        let back = Availability {
            version: Version(3),
            ..unsaid
        };
        self.say(RoutingWrite::Person(back), Version(2)).await.unwrap();
        assert_eq!(self.routing.availability(agent).await.unwrap(), back);
    }

    async fn a_turn_shows_who_could_get_what_waits(&self) {
        let (team, [one, two]) = self.team_of(RoutingMode::RoundRobin).await;
        let later = build::noon() + Duration::hours(1);
        let late = self.ticket(team, |ticket| ticket.created_at = later).await;
        let early = self.ticket(team, |_| ()).await;
        let urgent = self
            .ticket(team, |ticket| {
                ticket.created_at = later;
                ticket.priority = TicketPriority::Urgent;
            })
            .await;
        let low = self
            .ticket(team, |ticket| ticket.priority = TicketPriority::Low)
            .await;
        let at = build::noon();
        self.ticket(team, |ticket| ticket.standing = Standing::Pending)
            .await;
        self.ticket(team, |ticket| ticket.deleted_at = Some(at)).await;
        self.ticket(team, |ticket| ticket.standing = Standing::Resolved { at })
            .await;
        self.ticket(team, |ticket| ticket.assignee = Some(one)).await;
        // What someone has counts whatever the team, as long as it is not done.
        let elsewhere = self.world.other_team;
        self.ticket(elsewhere, |ticket| {
            ticket.assignee = Some(one);
            ticket.standing = Standing::Pending;
        })
        .await;
        self.ticket(elsewhere, |ticket| {
            ticket.assignee = Some(one);
            ticket.standing = Standing::Resolved { at };
        })
        .await;
        self.ticket(elsewhere, |ticket| {
            ticket.assignee = Some(two);
            ticket.deleted_at = Some(at);
        })
        .await;
        let (turn, waiting) = self.turn(team).await;
        assert_eq!(waiting, [urgent, early, late, low]);
        let candidates = turn.candidates.iter();
        let loads: Vec<_> = candidates
            .map(|one| (one.availability.user, one.load, one.routed))
            .collect();
        assert_eq!(loads, [(one, 2, None), (two, 0, None)]);
        assert_eq!(
            (turn.count, turn.last, turn.settings.mode),
            (0, None, RoutingMode::RoundRobin)
        );
        let (_, first) = self.routing.turn(team, 2).await.unwrap().unwrap();
        assert_eq!(first, [urgent, early]);
    }

    async fn teams_with_nothing_to_give_out_are_left_out(&self) {
        let (with, _) = self.team_of::<1>(RoutingMode::RoundRobin).await;
        let (manual, _) = self.team_of::<1>(RoutingMode::Manual).await;
        let (idle, _) = self.team_of::<1>(RoutingMode::LeastLoaded).await;
        self.ticket(with, |_| ()).await;
        self.ticket(manual, |_| ()).await;
        assert!(self.routing.turn(manual, 10).await.unwrap().is_none());
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.routing.waiting_teams(after, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(*last);
            found.extend(page);
        }
        assert!(found.is_sorted() && found.contains(&with), "{found:?}");
        assert!(!found.contains(&manual) && !found.contains(&idle), "{found:?}");
    }

    async fn an_assignment_moves_the_turn_on_once(&self) {
        let (team, [one, two]) = self.team_of(RoutingMode::RoundRobin).await;
        let (a, b) = (self.ticket(team, |_| ()).await, self.ticket(team, |_| ()).await);
        let (turn, _) = self.turn(team).await;
        assert_eq!(self.give(a, &turn).await.unwrap(), one);
        // On the same turn nothing more is given.
        let again = self.give(b, &turn).await;
        assert!(matches!(again, Err(CommitError::Stale)), "{again:?}");
        assert_eq!(self.stored(b).await.assignee, None);
        let (anew, waiting) = self.turn(team).await;
        assert_eq!((anew.count, anew.last, waiting), (1, Some(one), vec![b]));
        assert_eq!(anew, turn.after(one), "what follows from a turn is what is read");
        assert_eq!(self.give(b, &anew).await.unwrap(), two);
        assert_eq!(self.turn(team).await.0.last, Some(two));
    }

    async fn nobody_gets_more_through_two_teams_at_once(&self) {
        let (team, [agent]) = self.team_of(RoutingMode::RoundRobin).await;
        let other = self.staff.team().await;
        let both = self.staff.agent(&[team, other]).await;
        self.staff.leave(agent).await;
        let settings = RoutingSettings {
            mode: RoutingMode::RoundRobin,
            version: Version(2),
            ..RoutingSettings::of(other)
        };
        self.say(RoutingWrite::Team(settings), Version::FIRST)
            .await
            .unwrap();
        for _ in 0..2 {
            let (here, there) = (self.ticket(team, |_| ()).await, self.ticket(other, |_| ()).await);
            let (of_team, of_other) = (self.turn(team).await.0, self.turn(other).await.0);
            assert_eq!(self.give(here, &of_team).await.unwrap(), both);
            let stale = self.give(there, &of_other).await;
            assert!(matches!(stale, Err(CommitError::Stale)), "{stale:?}");
            let anew = self.turn(other).await.0;
            assert_eq!((anew.count, anew.last), (of_other.count, of_other.last));
            assert_eq!(self.give(there, &anew).await.unwrap(), both);
        }
        assert_eq!(self.turn(team).await.0.candidates[0].load, 4);
    }

    async fn who_left_or_is_suspended_gets_none(&self) {
        let (team, [one, two]) = self.team_of(RoutingMode::RoundRobin).await;
        let ticket = self.ticket(team, |_| ()).await;
        let (turn, _) = self.turn(team).await;
        self.staff.leave(one).await;
        let stale = self.give(ticket, &turn).await;
        assert!(matches!(stale, Err(CommitError::Stale)), "{stale:?}");
        let (turn, _) = self.turn(team).await;
        self.staff.suspend(two).await;
        let stale = self.give(ticket, &turn).await;
        assert!(matches!(stale, Err(CommitError::Stale)), "{stale:?}");
        let (turn, waiting) = self.turn(team).await;
        assert_eq!((turn.candidates, turn.count, waiting), (vec![], 0, vec![ticket]));
    }

    async fn what_was_said_meanwhile_holds(&self) {
        let (team, [agent]) = self.team_of(RoutingMode::RoundRobin).await;
        let (first, ticket) = (self.ticket(team, |_| ()).await, self.ticket(team, |_| ()).await);
        let (turn, _) = self.turn(team).await;
        self.give(first, &turn).await.unwrap();
        let (turn, _) = self.turn(team).await;
        let away = Availability {
            is_available: false,
            version: Version(2),
            ..Availability::of(agent)
        };
        self.say(RoutingWrite::Person(away), Version::FIRST)
            .await
            .unwrap();
        let stale = self.give(ticket, &turn).await;
        assert!(matches!(stale, Err(CommitError::Stale)), "{stale:?}");
        let back = Availability {
            is_available: true,
            version: Version(3),
            ..away
        };
        self.say(RoutingWrite::Person(back), Version(2)).await.unwrap();
        let (turn, _) = self.turn(team).await;
        let manual = RoutingSettings {
            version: Version(3),
            ..RoutingSettings::of(team)
        };
        self.say(RoutingWrite::Team(manual), Version(2)).await.unwrap();
        let stale = self.give(ticket, &turn).await;
        assert!(matches!(stale, Err(CommitError::Stale)), "{stale:?}");
        assert_eq!(self.stored(ticket).await.assignee, None);
    }

    async fn a_ticket_that_moved_on_moves_no_turn(&self) {
        let (team, [one, _]) = self.team_of(RoutingMode::LeastLoaded).await;
        let ticket = self.ticket(team, |_| ()).await;
        let (turn, _) = self.turn(team).await;
        let late = self.giving(ticket, one).await;
        let claimed = self.giving(ticket, self.world.agent).await;
        self.tickets.commit(claimed).await.unwrap();
        let agent = turn.next().unwrap();
        let stale = self.routing.assign(late, TurnTaken::of(&turn, agent)).await;
        assert!(matches!(stale, Err(CommitError::Stale)), "{stale:?}");
        assert_eq!(self.stored(ticket).await.assignee, Some(self.world.agent));
        assert_eq!(self.turn(team).await.0, turn, "and nobody was given anything");
    }
}
