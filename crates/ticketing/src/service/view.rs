//! What a use case gives back: a ticket as its caller may see it.

use chrono::{DateTime, Utc};
use kernel::{Actor, Version};

use crate::Settings;
use crate::policy::Relation;
use crate::port::{PersonCard, TeamCard};
use crate::ruling::{Action, Case};
use crate::ticket::{Audience, Face, Ticket};

/// A ticket with what its caller may see of it and do with it.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketView {
    /// The ticket. What of it may be shown depends on `audience`.
    pub ticket: Ticket,
    /// As whom the caller sees it.
    pub audience: Audience,
    /// What the caller could do with it now: the names of the actions.
    pub allowed_actions: Vec<&'static str>,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Written<T> {
    /// The ticket afterwards.
    pub view: TicketView,
    /// What else the command made: a message, a note, or nothing.
    pub detail: T,
}

/// Which of the people and teams that tickets name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelatedWish {
    /// Who asked.
    pub requesters: bool,
    /// Who answers.
    pub assignees: bool,
    /// The teams.
    pub teams: bool,
}

/// The people and teams that a page of tickets names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Related {
    /// People, each once.
    pub people: Vec<PersonCard>,
    /// Teams, each once.
    pub teams: Vec<TeamCard>,
}

impl TicketView {
    pub(crate) fn new(
        ticket: Ticket,
        relation: Relation,
        actor: &Actor,
        now: DateTime<Utc>,
        settings: &Settings,
    ) -> Self {
        let audience = relation.audience().unwrap_or(Audience::Customer);
        // A change may have taken the ticket out of its actor's sight.
        let allowed_actions = allowed_actions(&ticket, Relation::of(actor, &ticket), actor, now, settings);
        Self {
            ticket,
            audience,
            allowed_actions,
        }
    }

    /// The figures of the ticket's course as this caller sees them.
    #[must_use]
    pub fn face(&self) -> &Face {
        self.ticket.face(self.audience)
    }

    /// The version as this caller counts.
    #[must_use]
    pub fn version(&self) -> Version {
        self.face().version
    }
}

fn allowed_actions(
    ticket: &Ticket,
    relation: Relation,
    actor: &Actor,
    now: DateTime<Utc>,
    settings: &Settings,
) -> Vec<&'static str> {
    let case = Case {
        actor,
        relation,
        ticket,
        now,
        settings,
    };
    Action::ALL
        .into_iter()
        .filter(|action| action.is_offered(ticket) && action.judge(&case).is_ok())
        .map(Action::as_str)
        .collect()
}
