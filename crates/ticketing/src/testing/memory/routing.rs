//! Routing in memory, of the tickets in memory.

use async_trait::async_trait;
use events::TicketStatus;
use kernel::{PortError, TeamId, TicketId, UserId};

use super::{MemoryTickets, State};
use crate::port::{CommitError, TicketCommit};
use crate::routing::port::{RoutingCommit, RoutingCommitError, RoutingWrite, TeamRouting, TurnTaken};
use crate::routing::{Availability, Candidate, RoutingMode, RoutingSettings, Turn};
use crate::ticket::Ticket;

/// What is kept of a team.
#[derive(Clone, Copy)]
pub(super) struct Team {
    settings: RoutingSettings,
    count: i64,
    last: Option<UserId>,
}

impl MemoryTickets {
    /// Lets someone be active staff in a team.
    pub fn join(&self, team: TeamId, user: UserId) {
        self.state().staff.insert((team, user));
    }

    /// Lets someone be that no longer, in any team.
    pub fn leave(&self, user: UserId) {
        self.state().staff.retain(|(_, member)| *member != user);
    }
}

impl State {
    fn said(&self, user: UserId) -> Availability {
        let kept = self.availability.get(&user);
        kept.map_or_else(|| Availability::of(user), |(said, _)| *said)
    }

    fn candidate(&self, user: UserId) -> Candidate {
        let has = |ticket: &&Ticket| {
            ticket.assignee == Some(user)
                && matches!(ticket.status(), TicketStatus::Open | TicketStatus::Pending)
                && ticket.deleted_at.is_none()
        };
        Candidate {
            availability: self.said(user),
            load: u32::try_from(self.tickets.values().filter(has).count()).unwrap_or(u32::MAX),
            routed: self.availability.get(&user).map(|(_, routed)| *routed),
        }
    }

    fn turn(&self, team: TeamId) -> Option<Turn> {
        let kept = self.routing.get(&team)?;
        let mut members: Vec<_> = self.staff.iter().filter(|(of, _)| *of == team).collect();
        members.sort_unstable();
        Some(Turn {
            settings: kept.settings,
            count: kept.count,
            last: kept.last,
            candidates: members
                .into_iter()
                .map(|(_, user)| self.candidate(*user))
                .collect(),
        })
    }

    fn waiting(&self, team: TeamId) -> Vec<&Ticket> {
        let waits = |ticket: &&Ticket| {
            ticket.team == Some(team)
                && ticket.assignee.is_none()
                && ticket.status() == TicketStatus::Open
                && ticket.deleted_at.is_none()
                && ticket.merged_into.is_none()
        };
        let mut waiting: Vec<_> = self.tickets.values().filter(waits).collect();
        waiting.sort_by_key(|ticket| (std::cmp::Reverse(ticket.priority), ticket.created_at, ticket.id));
        waiting
    }
}

#[async_trait]
impl TeamRouting for MemoryTickets {
    async fn settings(&self, team: TeamId) -> Result<RoutingSettings, PortError> {
        let state = self.state();
        let kept = state.routing.get(&team).map(|kept| kept.settings);
        Ok(kept.unwrap_or_else(|| RoutingSettings::of(team)))
    }

    async fn availability(&self, user: UserId) -> Result<Availability, PortError> {
        Ok(self.state().said(user))
    }

    async fn commit(&self, commit: RoutingCommit) -> Result<(), RoutingCommitError> {
        let RoutingCommit {
            write,
            expected,
            events,
            receipt,
        } = commit;
        let mut state = self.state();
        state
            .refuse_repeated(receipt.as_ref())
            .map_err(|_| RoutingCommitError::Repeated)?;
        let current = match write {
            RoutingWrite::Team(settings) => state
                .routing
                .get(&settings.team)
                .map(|kept| kept.settings.version),
            RoutingWrite::Person(said) => state.availability.get(&said.user).map(|(kept, _)| kept.version),
        };
        if current.is_some_and(|current| current != expected) {
            return Err(RoutingCommitError::Stale);
        }
        match write {
            RoutingWrite::Team(settings) => {
                let unsaid = Team {
                    settings,
                    count: 0,
                    last: None,
                };
                state.routing.entry(settings.team).or_insert(unsaid).settings = settings;
            }
            RoutingWrite::Person(said) => {
                state.availability.entry(said.user).or_insert((said, 0)).0 = said;
            }
        }
        state.events.extend(events);
        state.receipts.extend(receipt);
        Ok(())
    }

    async fn waiting_teams(&self, after: Option<TeamId>, teams_max: i64) -> Result<Vec<TeamId>, PortError> {
        let state = self.state();
        let routed = state.routing.values().map(|kept| kept.settings);
        let mut teams: Vec<_> = routed
            .filter(|settings| settings.mode != RoutingMode::Manual)
            .map(|settings| settings.team)
            .filter(|team| after.is_none_or(|after| *team > after) && !state.waiting(*team).is_empty())
            .collect();
        teams.sort_unstable();
        teams.truncate(usize::try_from(teams_max).unwrap_or(usize::MAX));
        Ok(teams)
    }

    async fn turn(&self, team: TeamId, tickets_max: i64) -> Result<Option<(Turn, Vec<TicketId>)>, PortError> {
        let state = self.state();
        let Some(turn) = state.turn(team) else {
            return Ok(None);
        };
        if turn.settings.mode == RoutingMode::Manual {
            return Ok(None);
        }
        let waiting = state.waiting(team).into_iter().map(|ticket| ticket.id);
        let tickets_max = usize::try_from(tickets_max).unwrap_or(usize::MAX);
        Ok(Some((turn, waiting.take(tickets_max).collect())))
    }

    async fn opened(&self, team: TeamId) -> Result<Option<Turn>, PortError> {
        let mut state = self.state();
        if !state.staff.iter().any(|(of, _)| *of == team) {
            return Ok(None);
        }
        let unsaid = Team {
            settings: RoutingSettings::of(team),
            count: 0,
            last: None,
        };
        state.routing.entry(team).or_insert(unsaid);
        Ok(state.turn(team))
    }

    async fn assign(&self, commit: TicketCommit, taken: TurnTaken) -> Result<(), CommitError> {
        let TurnTaken {
            settings,
            count,
            agent,
        } = taken;
        let mut state = self.state();
        let who = agent.availability.user;
        let present = state.candidate(who);
        let is_turn = state
            .routing
            .get(&settings.team)
            .is_some_and(|kept| kept.count == count && kept.settings.version == settings.version);
        let is_able = state.staff.contains(&(settings.team, who))
            && present.availability.is_available
            && present.availability.version == agent.availability.version
            && present.routed == agent.routed;
        if !is_turn || !is_able {
            return Err(CommitError::Stale);
        }
        state.store(commit)?;
        if let Some(kept) = state.routing.get_mut(&settings.team) {
            kept.count += 1;
            kept.last = Some(who);
        }
        state
            .availability
            .entry(who)
            .or_insert((Availability::of(who), 0))
            .1 += 1;
        Ok(())
    }
}
