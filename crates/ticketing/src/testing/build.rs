//! Builders that show only what a test is about.

use chrono::{DateTime, Utc};
use events::{TicketChannel, TicketPriority};
use kernel::{Membership, Person, Role, TeamId, TeamRole, TicketId, UserId};
use serde_json::Map;
use uuid::Uuid;

use crate::machine::Standing;
use crate::service::NewTicket;
use crate::ticket::{Face, Ticket, TicketNumber};
use crate::value::{CustomFields, Description, Subject, Tags};

/// The moment at which built tickets were made.
#[must_use]
pub fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default()
}

/// A customer.
#[must_use]
pub fn customer(id: UserId) -> Person {
    Person {
        id,
        role: Role::User,
        teams: Vec::new(),
        origin: None,
    }
}

/// An agent of one team.
#[must_use]
pub fn agent(id: UserId, team: TeamId, role: TeamRole) -> Person {
    Person {
        id,
        role: Role::Agent,
        teams: vec![Membership { team, role }],
        origin: None,
    }
}

/// An administrator.
#[must_use]
pub fn admin(id: UserId) -> Person {
    Person {
        id,
        role: Role::Admin,
        teams: Vec::new(),
        origin: None,
    }
}

/// A valid new ticket about `subject`.
#[must_use]
pub fn new_ticket(subject: &str) -> NewTicket {
    NewTicket {
        subject: Subject::stored(subject.to_owned()),
        description: Description::stored("It does not work.".to_owned()),
        priority: None,
        channel: TicketChannel::Web,
        team: None,
        tags: Tags::default(),
        custom_fields: CustomFields::default(),
        requester: None,
    }
}

/// Starts a stored ticket: open, of nobody's, in no team.
#[must_use]
pub fn ticket() -> TicketBuilder {
    let face = Face::new(noon());
    TicketBuilder(Ticket {
        id: TicketId(Uuid::from_u128(1)),
        number: TicketNumber::of(1),
        subject: Subject::stored("Printer on fire".to_owned()),
        description: Description::stored("It burns.".to_owned()),
        requester: UserId(Uuid::from_u128(2)),
        assignee: None,
        team: None,
        priority: TicketPriority::Medium,
        standing: Standing::Open,
        channel: TicketChannel::Web,
        sla_policy: None,
        first_response_at: None,
        sla_due_at: None,
        sla_breached: false,
        tags: Tags::default(),
        custom_fields: CustomFields::default(),
        metadata: Map::new(),
        created_at: noon(),
        deleted_at: None,
        merged_into: None,
        satisfaction: None,
        cc: Vec::new(),
        followers: Vec::new(),
        staff_face: face,
        public_face: face,
    })
}

/// A ticket in the making.
pub struct TicketBuilder(Ticket);

impl TicketBuilder {
    /// With these ids.
    #[must_use]
    pub fn identified(mut self, id: TicketId, number: TicketNumber) -> Self {
        self.0.id = id;
        self.0.number = number;
        self
    }

    /// Asked for by this person.
    #[must_use]
    pub fn requested_by(mut self, user: UserId) -> Self {
        self.0.requester = user;
        self
    }

    /// Lying with this team.
    #[must_use]
    pub fn in_team(mut self, team: TeamId) -> Self {
        self.0.team = Some(team);
        self
    }

    /// Assigned to this agent.
    #[must_use]
    pub fn assigned_to(mut self, agent: UserId) -> Self {
        self.0.assignee = Some(agent);
        self
    }

    /// Standing so.
    #[must_use]
    pub fn standing(mut self, standing: Standing) -> Self {
        self.0.standing = standing;
        self
    }

    /// With this priority.
    #[must_use]
    pub fn priority(mut self, priority: TicketPriority) -> Self {
        self.0.priority = priority;
        self
    }

    /// With these tags.
    #[must_use]
    pub fn tagged(mut self, tags: &[&str]) -> Self {
        self.0.tags = Tags::stored(tags.iter().map(|tag| (*tag).to_owned()).collect());
        self
    }

    /// Made, and last changed in everyone's eyes, at this time.
    #[must_use]
    pub fn made_at(mut self, at: DateTime<Utc>) -> Self {
        self.0.created_at = at;
        self.0.staff_face = Face::new(at);
        self.0.public_face = Face::new(at);
        self
    }

    /// The ticket.
    #[must_use]
    pub fn build(self) -> Ticket {
        self.0
    }
}
