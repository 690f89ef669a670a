//! Giving out teams' tickets, and what teams and people say about it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use events::{Event, Fact, HandleError, IdentityFact, Subscriber, TicketFact, TicketStatus, TicketSummary};
use kernel::{Actor, Patch, Person, PortError, Role, SystemActor, TeamId, TeamRole, TicketId, UserId};

use super::routing_error::RoutingError;
use super::{Guard, STALE_TRIES_MAX, Tickets};
use crate::draft::Draft;
use crate::port::CommitError;
use crate::routing::port::{RoutingCommit, RoutingCommitError, RoutingWrite, TeamRouting, TurnTaken};
use crate::routing::{Availability, Candidate, RoutingMode, RoutingSettings, TicketBound, Turn};
use crate::ticket::{Ticket, TicketKey};

/// How many teams one round looks at.
const ROUND_MAX_TEAMS: i64 = 20;
/// How many tickets one round tries to give out. Each takes three statements at the most (the ticket, its commit, and
/// the turn anew when another node was faster), each team one, and the teams are looked up twice where a round begins
/// anew: a round asks the store at most 172 times.
const ROUND_MAX_TICKETS: usize = 50;
/// How many waiting tickets are looked up at a time.
const LOOKED_UP_MAX_TICKETS: i64 = 10;
/// How many an event gives out that made one wait.
const EVENT_MAX_TICKETS: usize = 2;

/// The use cases of routing. Any number of nodes may run its rounds: each assignment is a commit on the turn and the ticket
/// that were read, so that it happens once.
pub struct Routing {
    store: Arc<dyn TeamRouting>,
    tickets: Arc<Tickets>,
    /// The team that the last round ended with: teams whose agents are full must not keep others waiting.
    place: Mutex<Option<TeamId>>,
}

/// What to change of how a team's tickets are given out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutingChange {
    /// Another way.
    pub mode: Option<RoutingMode>,
    /// Another bound, or none any more.
    pub capacity: Patch<TicketBound>,
}

/// What to change of whether someone is given tickets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AvailabilityChange {
    /// Whether they want some.
    pub is_available: Option<bool>,
    /// Another bound of their own, or none any more.
    pub capacity: Patch<TicketBound>,
}

/// What became of an attempt to give a ticket away.
enum Attempt {
    /// It is assigned.
    Assigned,
    /// It waits no longer.
    Passed,
    /// Someone was faster: everything has to be read anew.
    Stale,
}

fn patched(patch: &Patch<TicketBound>, present: Option<TicketBound>) -> Option<TicketBound> {
    match patch {
        Patch::Keep => present,
        Patch::Clear => None,
        Patch::Set(bound) => Some(*bound),
    }
}

/// The person, where they are staff.
fn staff(actor: &Actor) -> Result<&Person, RoutingError> {
    match actor {
        Actor::Person(person) if person.is_staff() => Ok(person),
        Actor::Person(_) | Actor::System(_) => Err(RoutingError::Forbidden("see how tickets are given out")),
    }
}

impl Routing {
    /// Routing of these tickets.
    #[must_use]
    pub fn new(store: Arc<dyn TeamRouting>, tickets: Arc<Tickets>) -> Self {
        Self {
            store,
            tickets,
            place: Mutex::new(None),
        }
    }

    /// How a team's tickets are given out: for its members and administrators.
    ///
    /// # Errors
    /// [`RoutingError::Forbidden`] for all others, [`RoutingError::NoTeam`].
    pub async fn settings(&self, actor: &Actor, team: TeamId) -> Result<RoutingSettings, RoutingError> {
        let person = staff(actor)?;
        if person.role != Role::Admin && person.rank_in(team).is_none() {
            return Err(RoutingError::Forbidden(
                "see how this team's tickets are given out",
            ));
        }
        if !self.tickets.directory.team_exists(team).await? {
            return Err(RoutingError::NoTeam);
        }
        Ok(self.store.settings(team).await?)
    }

    /// Changes it: as the team's lead or an administrator.
    ///
    /// # Errors
    /// As for [`Routing::settings`]; [`RoutingError::Stale`] for a failed precondition.
    pub async fn change_settings(
        &self,
        actor: &Actor,
        team: TeamId,
        change: &RoutingChange,
        guard: Guard<'_, RoutingSettings>,
    ) -> Result<RoutingSettings, RoutingError> {
        for _ in 0..STALE_TRIES_MAX {
            let person = staff(actor)?;
            if person.role != Role::Admin && person.rank_in(team) != Some(TeamRole::Lead) {
                return Err(RoutingError::Forbidden(
                    "say how this team's tickets are given out",
                ));
            }
            let present = self.settings(actor, team).await?;
            let expected = present.version;
            met(guard.expected, expected)?;
            let mut changed = RoutingSettings {
                mode: change.mode.unwrap_or(present.mode),
                capacity: patched(&change.capacity, present.capacity),
                ..present
            };
            let mut facts = Vec::new();
            if changed != present {
                changed.version = expected.next();
                facts.push(IdentityFact::TeamRoutingChanged {
                    team,
                    mode: changed.mode.as_str().to_owned(),
                    capacity: changed.capacity.map(TicketBound::get),
                });
            }
            let commit = self.commit(actor, RoutingWrite::Team(changed), expected, facts);
            let receipt = (guard.receipt)(&changed);
            match self.store.commit(RoutingCommit { receipt, ..commit }).await {
                Ok(()) => return Ok(changed),
                Err(RoutingCommitError::Stale) => {}
                Err(RoutingCommitError::Gone) => return Err(RoutingError::NoTeam),
                Err(RoutingCommitError::Repeated) => return Err(RoutingError::Repeated),
                Err(RoutingCommitError::Port(error)) => return Err(error.into()),
            }
        }
        Err(RoutingError::Stale { current: None })
    }

    /// Whether someone of the staff is given tickets: for themselves, supervisors and leads of a team of theirs, and
    /// administrators.
    ///
    /// # Errors
    /// [`RoutingError::Forbidden`] for all others, [`RoutingError::NoPerson`] for who is no active staff.
    pub async fn availability(&self, actor: &Actor, user: UserId) -> Result<Availability, RoutingError> {
        let person = staff(actor)?;
        let facts = self.tickets.directory.assignee(user).await?;
        let facts = facts.ok_or(RoutingError::NoPerson)?;
        let leads = |team: &TeamId| person.rank_in(*team) >= Some(TeamRole::Supervisor);
        if person.id != user && person.role != Role::Admin && !facts.teams.iter().any(leads) {
            return Err(RoutingError::Forbidden(
                "see or say whether this person is given tickets",
            ));
        }
        Ok(self.store.availability(user).await?)
    }

    /// Changes it: whoever sees it may.
    ///
    /// # Errors
    /// As for [`Routing::availability`]; [`RoutingError::Stale`] for a failed precondition.
    pub async fn change_availability(
        &self,
        actor: &Actor,
        user: UserId,
        change: &AvailabilityChange,
        guard: Guard<'_, Availability>,
    ) -> Result<Availability, RoutingError> {
        for _ in 0..STALE_TRIES_MAX {
            let present = self.availability(actor, user).await?;
            let expected = present.version;
            met(guard.expected, expected)?;
            let mut changed = Availability {
                is_available: change.is_available.unwrap_or(present.is_available),
                capacity: patched(&change.capacity, present.capacity),
                ..present
            };
            let mut facts = Vec::new();
            if changed != present {
                changed.version = expected.next();
                facts.push(IdentityFact::AvailabilityChanged {
                    user,
                    available: changed.is_available,
                    capacity: changed.capacity.map(TicketBound::get),
                });
            }
            let commit = self.commit(actor, RoutingWrite::Person(changed), expected, facts);
            let receipt = (guard.receipt)(&changed);
            match self.store.commit(RoutingCommit { receipt, ..commit }).await {
                Ok(()) => return Ok(changed),
                Err(RoutingCommitError::Stale) => {}
                Err(RoutingCommitError::Gone) => return Err(RoutingError::NoPerson),
                Err(RoutingCommitError::Repeated) => return Err(RoutingError::Repeated),
                Err(RoutingCommitError::Port(error)) => return Err(error.into()),
            }
        }
        Err(RoutingError::Stale { current: None })
    }

    fn commit(
        &self,
        actor: &Actor,
        write: RoutingWrite,
        expected: kernel::Version,
        facts: Vec<IdentityFact>,
    ) -> RoutingCommit {
        let now = self.tickets.clock.now();
        let event = |fact| Event::new(self.tickets.ids.as_ref(), now, actor, Fact::Identity(fact));
        RoutingCommit {
            write,
            expected,
            events: facts.into_iter().map(event).collect(),
            receipt: None,
        }
    }

    /// One round: gives out up to 50 tickets of up to 20 teams; gives the number given out. Call again at once while it
    /// gives out any.
    ///
    /// # Errors
    /// When a port fails; what was given out until then stays so.
    pub async fn run_once(&self) -> Result<u64, PortError> {
        let after = *self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let mut teams = self.store.waiting_teams(after, ROUND_MAX_TEAMS).await?;
        if teams.is_empty() && after.is_some() {
            teams = self.store.waiting_teams(None, ROUND_MAX_TEAMS).await?;
        }
        let is_last = i64::try_from(teams.len()).is_ok_and(|found| found < ROUND_MAX_TEAMS);
        let end = teams.last().copied().filter(|_| !is_last);
        let (mut given, mut left, mut failed) = (0, ROUND_MAX_TICKETS, None);
        for team in teams {
            match self.route(team, &mut left).await {
                Ok(of_team) => given += of_team,
                // One that cannot be given out must not keep the others waiting.
                Err(error @ (PortError::Corrupt { .. } | PortError::Bug { .. })) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = end;
        match failed {
            Some(error) if given == 0 => Err(error),
            Some(_) | None => Ok(given),
        }
    }

    /// Gives out a team's waiting tickets, as many as are `left` to be tried; gives the number given out. Where another
    /// node is at the same team, that one goes on and this one does not.
    async fn route(&self, team: TeamId, left: &mut usize) -> Result<u64, PortError> {
        let (mut given, mut count) = (0, None);
        'anew: while *left > 0 {
            let Some((mut turn, waiting)) = self.store.turn(team, LOOKED_UP_MAX_TICKETS).await? else {
                return Ok(given);
            };
            if count.is_some_and(|count| count != turn.count) {
                return Ok(given);
            }
            let is_more = i64::try_from(waiting.len()).is_ok_and(|found| found >= LOOKED_UP_MAX_TICKETS);
            let mut moved = false;
            for ticket in waiting {
                let Some(agent) = turn.next().cloned().filter(|_| *left > 0) else {
                    return Ok(given);
                };
                *left -= 1;
                let attempt = self.attempt(ticket, &turn, &agent).await?;
                count = Some(turn.count);
                match attempt {
                    Attempt::Assigned => {
                        turn = turn.after(agent.availability.user);
                        count = Some(turn.count);
                        given += 1;
                        moved = true;
                    }
                    Attempt::Passed => {}
                    Attempt::Stale => continue 'anew,
                }
            }
            // Where none of them waits any more, the same would be found again.
            if !is_more || !moved {
                return Ok(given);
            }
        }
        Ok(given)
    }

    async fn attempt(&self, id: TicketId, turn: &Turn, agent: &Candidate) -> Result<Attempt, PortError> {
        let Some(ticket) = self.tickets.store.find(&TicketKey::Id(id)).await? else {
            return Ok(Attempt::Passed);
        };
        if !waits(&ticket, turn.settings.team) {
            return Ok(Attempt::Passed);
        }
        let actor = Actor::System(SystemActor::Routing);
        let circumstances = self.tickets.circumstances(&actor);
        let mut draft = Draft::change(&circumstances, ticket);
        draft.set_assignee(Some(agent.availability.user));
        let (mut commit, mut ticket) = draft.finish();
        self.tickets
            .let_clocks_follow(&mut commit, &mut ticket, &circumstances)
            .await?;
        match self.store.assign(commit, TurnTaken::of(turn, agent)).await {
            Ok(()) => Ok(Attempt::Assigned),
            Err(error) if self.tickets.is_overtaken(&error) => Ok(Attempt::Stale),
            Err(CommitError::Stale | CommitError::Dangling(_)) => Ok(Attempt::Stale),
            // Of a new ticket or a request only.
            Err(CommitError::NumberTaken | CommitError::Repeated) => Ok(Attempt::Passed),
            Err(CommitError::Port(error)) => Err(error),
        }
    }
}

/// Whether a ticket of the team waits for someone to be given it.
fn waits(ticket: &Ticket, team: TeamId) -> bool {
    ticket.team == Some(team)
        && ticket.assignee.is_none()
        && ticket.status() == TicketStatus::Open
        && ticket.deleted_at.is_none()
        && ticket.merged_into.is_none()
}

/// The team of a ticket that waits since this event.
fn made_waiting(ticket: &TicketSummary, what: &TicketFact) -> Option<TeamId> {
    let is_news = matches!(
        what,
        TicketFact::Created {}
            | TicketFact::Transferred { .. }
            | TicketFact::Assigned { to: None, .. }
            | TicketFact::StatusChanged {
                to: TicketStatus::Open,
                ..
            }
            | TicketFact::Unmerged { .. }
            | TicketFact::Restored {}
    );
    let waits = ticket.assignee.is_none() && ticket.status == TicketStatus::Open;
    ticket.team.filter(|_| is_news && waits)
}

fn met(expected: Option<kernel::Version>, current: kernel::Version) -> Result<(), RoutingError> {
    if expected.is_some_and(|expected| expected != current) {
        return Err(RoutingError::Stale {
            current: Some(current),
        });
    }
    Ok(())
}

/// Gives a ticket out as soon as it waits. What this misses a round finds a second later.
#[async_trait]
impl Subscriber for Routing {
    fn name(&self) -> &'static str {
        "routing"
    }

    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let team = match &event.fact {
            Fact::Ticket { ticket, what } => made_waiting(ticket, what),
            Fact::Identity(_) | Fact::Knowledge(_) => None,
        };
        if let Some(team) = team {
            let mut left = EVENT_MAX_TICKETS;
            match self.route(team, &mut left).await {
                // The rounds meet the same, and tell of it; what hangs on this event goes on.
                Ok(_) | Err(PortError::Corrupt { .. } | PortError::Bug { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
