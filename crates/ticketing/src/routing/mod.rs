//! Giving a team's waiting tickets to its agents: in turn, or to who has the least.
//!
//! [`Turn::next`] is the whole rule, without I/O: from who could answer, how much they have, and whose turn it was last, it
//! says whose it is. What the rule was decided on stands in the [`Turn`] with the counters that a store compares
//! ([`TeamRouting::assign`](port::TeamRouting::assign)), so that two nodes never decide on the same.

pub mod port;

use kernel::{TeamId, UserId, Version, Violation};

/// How a team's tickets find who answers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoutingMode {
    /// People take them or hand them out.
    #[default]
    Manual,
    /// One agent after the other.
    RoundRobin,
    /// Whoever has the fewest; among equals one after the other.
    LeastLoaded,
}

impl RoutingMode {
    /// Every mode.
    pub const ALL: [RoutingMode; 3] = [
        RoutingMode::Manual,
        RoutingMode::RoundRobin,
        RoutingMode::LeastLoaded,
    ];

    /// The name in the database and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RoutingMode::Manual => "manual",
            RoutingMode::RoundRobin => "round_robin",
            RoutingMode::LeastLoaded => "least_loaded",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

/// The most tickets, open or pending, that routing lets someone have: 1 to [`TicketBound::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TicketBound(u32);

impl TicketBound {
    /// The highest bound.
    pub const MAX: u32 = 1_000;

    /// Reads a bound.
    ///
    /// # Errors
    /// `out_of_range` at `pointer` for anything but 1 to [`TicketBound::MAX`].
    pub fn parse(pointer: &str, raw: i64) -> Result<Self, Violation> {
        let bound = u32::try_from(raw).ok().and_then(Self::stored);
        bound.ok_or_else(|| Violation::new(pointer, "out_of_range", "must be a whole number from 1 to 1000"))
    }

    /// Takes a bound as a store read it; `None` for what is none.
    #[must_use]
    pub fn stored(raw: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&raw).then_some(Self(raw))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// How a team wants its tickets to be given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutingSettings {
    /// The team.
    pub team: TeamId,
    /// How.
    pub mode: RoutingMode,
    /// How many tickets of all teams an agent may have to be given one; `None` for no bound.
    pub capacity: Option<TicketBound>,
    /// Counts the changes of these.
    pub version: Version,
}

impl RoutingSettings {
    /// Those of a team that never said anything.
    #[must_use]
    pub fn of(team: TeamId) -> Self {
        Self {
            team,
            mode: RoutingMode::Manual,
            capacity: None,
            version: Version::FIRST,
        }
    }
}

/// Whether someone wants to be given tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// Who.
    pub user: UserId,
    /// Whether they do.
    pub is_available: bool,
    /// How many tickets they may have to be given one; beats the team's bound.
    pub capacity: Option<TicketBound>,
    /// Counts the changes of these.
    pub version: Version,
}

impl Availability {
    /// That of someone who never said anything.
    #[must_use]
    pub fn of(user: UserId) -> Self {
        Self {
            user,
            is_available: true,
            capacity: None,
            version: Version::FIRST,
        }
    }
}

/// Someone who could be given a ticket: an active member of the team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who, and whether they want one.
    pub availability: Availability,
    /// How many open and pending tickets they have, of all teams.
    pub load: u32,
    /// How many they were ever given by routing; `None` where nothing is kept of them yet. No two are given on one count.
    pub routed: Option<i64>,
}

/// Whose turn it is in a team, and all that this was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// How the team wants it.
    pub settings: RoutingSettings,
    /// Counts what was given out. No two are given on one count.
    pub count: i64,
    /// Who was given the last one.
    pub last: Option<UserId>,
    /// Who could be given the next.
    pub candidates: Vec<Candidate>,
}

impl Candidate {
    fn may_get_one(&self, of_team: Option<TicketBound>) -> bool {
        let bound = self.availability.capacity.or(of_team);
        self.availability.is_available && bound.is_none_or(|bound| self.load < bound.get())
    }
}

impl Turn {
    /// Who gets the next ticket; `None` where nobody can.
    #[must_use]
    pub fn next(&self) -> Option<&Candidate> {
        let able = self
            .candidates
            .iter()
            .filter(|candidate| candidate.may_get_one(self.settings.capacity));
        // In the order of ids, beginning behind who was the last.
        let place = |candidate: &&Candidate| {
            let agent = candidate.availability.user;
            (self.last.is_some_and(|last| agent <= last), agent)
        };
        match self.settings.mode {
            RoutingMode::Manual => None,
            RoutingMode::RoundRobin => able.min_by_key(place),
            RoutingMode::LeastLoaded => able.min_by_key(|candidate| (candidate.load, place(candidate))),
        }
    }

    /// The turn after `agent` was given a ticket.
    #[must_use]
    pub fn after(mut self, agent: UserId) -> Self {
        self.count += 1;
        self.last = Some(agent);
        for candidate in &mut self.candidates {
            if candidate.availability.user == agent {
                candidate.load += 1;
                candidate.routed = Some(candidate.routed.map_or(1, |routed| routed + 1));
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn agent(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    fn candidate(number: u128, load: u32) -> Candidate {
        Candidate {
            availability: Availability::of(agent(number)),
            load,
            routed: None,
        }
    }

    fn turn(mode: RoutingMode, candidates: Vec<Candidate>) -> Turn {
        let team = TeamId(Uuid::from_u128(99));
        Turn {
            settings: RoutingSettings {
                mode,
                ..RoutingSettings::of(team)
            },
            count: 0,
            last: None,
            candidates,
        }
    }

    fn given(turn: Turn, tickets: usize) -> (Vec<UserId>, Turn) {
        let mut all = Vec::new();
        let mut turn = turn;
        for _ in 0..tickets {
            let Some(agent) = turn.next().map(|candidate| candidate.availability.user) else {
                break;
            };
            all.push(agent);
            turn = turn.after(agent);
        }
        (all, turn)
    }

    #[test]
    fn a_team_that_hands_out_its_tickets_itself_is_left_alone() {
        assert_eq!(turn(RoutingMode::Manual, vec![candidate(1, 0)]).next(), None);
    }

    #[test]
    fn one_agent_comes_after_the_other_whatever_they_have() {
        let turn = turn(
            RoutingMode::RoundRobin,
            vec![candidate(3, 0), candidate(1, 9), candidate(2, 5)],
        );
        let (order, turn) = given(turn, 5);
        assert_eq!(order, [1, 2, 3, 1, 2].map(agent));
        assert_eq!((turn.count, turn.last), (5, Some(agent(2))));
    }

    #[test]
    fn who_has_the_fewest_comes_first_and_equals_come_in_turn() {
        let turn = turn(
            RoutingMode::LeastLoaded,
            vec![candidate(1, 2), candidate(2, 0), candidate(3, 1)],
        );
        assert_eq!(given(turn, 6).0, [2, 3, 2, 3, 1, 2].map(agent));
    }

    #[test]
    fn a_bound_of_ones_own_beats_the_teams() {
        let mut turn = turn(
            RoutingMode::RoundRobin,
            vec![candidate(1, 0), candidate(2, 0), candidate(3, 2)],
        );
        turn.settings.capacity = TicketBound::stored(2);
        turn.candidates[0].availability.capacity = TicketBound::stored(1);
        turn.candidates[2].availability.capacity = TicketBound::stored(3);
        assert_eq!(given(turn, 9).0, [1, 2, 3, 2].map(agent));
    }

    #[test]
    fn who_left_the_team_keeps_their_place_in_the_order() {
        let mut turn = turn(RoutingMode::RoundRobin, vec![candidate(1, 0), candidate(3, 0)]);
        turn.last = Some(agent(2));
        assert_eq!(given(turn, 2).0, [3, 1].map(agent));
    }

    #[test]
    fn a_bound_is_one_to_a_thousand() {
        for good in [1, 2, 1_000] {
            assert!(TicketBound::parse("/capacity", good).is_ok());
        }
        for bad in [i64::MIN, -1, 0, 1_001, i64::MAX] {
            assert_eq!(
                TicketBound::parse("/capacity", bad).unwrap_err().code,
                "out_of_range"
            );
        }
    }

    /// What happens between two tickets.
    #[derive(Debug, Clone)]
    enum Step {
        Ticket,
        Toggle(usize),
        Done(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Ticket),
            1 => (1_usize..6).prop_map(Step::Toggle),
            1 => (0_usize..6).prop_map(Step::Done),
        ];
        proptest::collection::vec(step, 1..120)
    }

    proptest! {
        #[test]
        fn in_turn_everyone_who_is_always_there_gets_as_many_as_the_others(
            steps in steps(),
            loads in proptest::collection::vec(0_u32..9, 6),
            always in 2_usize..6,
        ) {
            let candidates = loads.iter().zip(1..).map(|(load, number)| candidate(number, *load)).collect();
            let mut turn = turn(RoutingMode::RoundRobin, candidates);
            let mut counts: HashMap<UserId, i32> = HashMap::new();
            for step in steps {
                match step {
                    // Those before `always` are always there.
                    Step::Toggle(who) if who >= always => {
                        let availability = &mut turn.candidates[who].availability;
                        availability.is_available = !availability.is_available;
                    }
                    Step::Toggle(_) | Step::Done(_) => {}
                    Step::Ticket => {
                        let next = turn.next().cloned().unwrap();
                        prop_assert!(next.availability.is_available);
                        let agent = next.availability.user;
                        *counts.entry(agent).or_default() += 1;
                        turn = turn.after(agent);
                    }
                }
            }
            let of = |number: usize| counts.get(&agent(number as u128 + 1)).copied().unwrap_or(0);
            let counts: Vec<i32> = (0..always).map(of).collect();
            let (most, least) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
            prop_assert!(most - least <= 1, "{counts:?}");
        }

        #[test]
        fn nobody_gets_more_than_their_bound_or_one_without_wanting_it(
            steps in steps(),
            least_loaded in any::<bool>(),
            of_team in proptest::option::of(1_u32..5),
            own in proptest::collection::vec(proptest::option::of(1_u32..5), 6),
        ) {
            let mode = if least_loaded { RoutingMode::LeastLoaded } else { RoutingMode::RoundRobin };
            let mut turn = turn(mode, (1..=6).map(|number| candidate(number, 0)).collect());
            turn.settings.capacity = of_team.and_then(TicketBound::stored);
            for (candidate, own) in turn.candidates.iter_mut().zip(&own) {
                candidate.availability.capacity = own.and_then(TicketBound::stored);
            }
            for step in steps {
                match step {
                    Step::Toggle(who) => {
                        let availability = &mut turn.candidates[who].availability;
                        availability.is_available = !availability.is_available;
                    }
                    Step::Done(who) => {
                        let load = &mut turn.candidates[who].load;
                        *load = load.saturating_sub(1);
                    }
                    Step::Ticket => {
                        let room = |candidate: &Candidate| {
                            let bound = candidate.availability.capacity.or(turn.settings.capacity);
                            candidate.availability.is_available
                                && bound.is_none_or(|bound| candidate.load < bound.get())
                        };
                        match turn.next().cloned() {
                            None => prop_assert!(!turn.candidates.iter().any(room)),
                            Some(next) => {
                                prop_assert!(room(&next));
                                if least_loaded {
                                    let able = turn.candidates.iter().filter(|other| room(other));
                                    prop_assert_eq!(able.map(|other| other.load).min(), Some(next.load));
                                }
                                turn = turn.after(next.availability.user);
                            }
                        }
                    }
                }
            }
        }
    }
}
