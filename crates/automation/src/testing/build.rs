//! Builders that show only what a test is about.

#![expect(
    clippy::unwrap_used,
    reason = "what a test builds is well made, or the test ends"
)]

use chrono::{DateTime, Utc};
use events::{TicketChannel, TicketPriority, TicketStatus};
use kernel::{EventId, Membership, MessageId, Person, Role, TeamId, TeamRole, TicketId, UserId, Version};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::facts::{Change, Happening, Held, MessageFacts, PersonFacts, TicketFacts, TicketView};
use crate::field::{Audience, Field};
use crate::reference::{EndpointId, World};
use crate::rule::{Ran, Rule, RuleContent, RuleId};
use crate::trigger::TriggerKind;

/// The requester of built tickets.
pub const REQUESTER: UserId = UserId(Uuid::from_u128(0x11));
/// An agent.
pub const AGENT: UserId = UserId(Uuid::from_u128(0x12));
/// Another agent.
pub const OTHER_AGENT: UserId = UserId(Uuid::from_u128(0x13));
/// A team.
pub const TEAM: TeamId = TeamId(Uuid::from_u128(0x21));
/// Another team.
pub const OTHER_TEAM: TeamId = TeamId(Uuid::from_u128(0x22));
/// An SLA policy.
pub const POLICY: Uuid = Uuid::from_u128(0x31);
/// A webhook endpoint of staff.
pub const ENDPOINT: EndpointId = EndpointId(Uuid::from_u128(0x41));
/// A webhook endpoint that customers stand behind.
pub const CUSTOMERS_ENDPOINT: EndpointId = EndpointId(Uuid::from_u128(0x42));

/// The moment at which built events happen.
#[must_use]
pub fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default()
}

/// The world in which built rules are well.
#[must_use]
pub fn world() -> World {
    World {
        users: [
            (REQUESTER, Role::User),
            (AGENT, Role::Agent),
            (OTHER_AGENT, Role::Agent),
        ]
        .into(),
        teams: [TEAM, OTHER_TEAM].into(),
        sla_policies: [POLICY].into(),
        endpoints: [
            (ENDPOINT, Audience::Staff),
            (CUSTOMERS_ENDPOINT, Audience::Customer),
        ]
        .into(),
        sends_mail: true,
    }
}

/// A person of that name.
#[must_use]
pub fn person(id: UserId, name: &str, role: Role) -> PersonFacts {
    PersonFacts {
        id,
        name: name.to_owned(),
        email: format!("{}@example.org", name.to_lowercase()),
        role,
    }
}

/// An open ticket of Ada's about a printer, two hours old, of nobody's and in no team.
#[must_use]
pub fn view() -> TicketView {
    let made = noon() - chrono::TimeDelta::hours(2);
    TicketView {
        ticket: TicketFacts {
            id: TicketId(Uuid::from_u128(1)),
            number: "TKT-00001".to_owned(),
            subject: "Printer on fire".to_owned(),
            description: "It burns.".to_owned(),
            status: TicketStatus::Open,
            priority: TicketPriority::Medium,
            channel: TicketChannel::Web,
            requester: REQUESTER,
            assignee: None,
            team: None,
            tags: Vec::new(),
            custom_fields: Map::new(),
            created_at: made,
            updated_at: made,
            first_response_at: None,
            resolved_at: None,
            closed_at: None,
            auto_closed_at: None,
            message_count: 0,
            last_message_at: None,
            satisfaction_score: None,
            rated_at: None,
            sla_policy: None,
            sla_due_at: None,
            sla_breached: false,
        },
        requester: Some(person(REQUESTER, "Ada", Role::User)),
        assignee: None,
        team_name: None,
        url: Some("https://desk.example.org/tickets/TKT-00001".to_owned()),
    }
}

/// An event of that kind at noon.
#[must_use]
pub fn event(kind: TriggerKind) -> Happening {
    Happening::new(EventId(Uuid::from_u128(0xE)), kind, noon())
}

/// That a choice or text went from one value to another.
#[must_use]
pub fn change(field: Field, from: &str, to: &str) -> Change {
    Change {
        field,
        from: Held::Text(from.to_owned()),
        to: Held::Text(to.to_owned()),
    }
}

/// A message with this text.
#[must_use]
pub fn message(author: UserId, role: Role, body: &str) -> MessageFacts {
    MessageFacts {
        id: MessageId(Uuid::from_u128(0x3E)),
        body: body.to_owned(),
        is_internal: false,
        author,
        author_role: role,
    }
}

/// A rule's document: on that trigger, with these conditions (`{}` for none) and actions.
#[must_use]
pub fn document(trigger: &str, conditions: &Value, actions: &Value) -> Value {
    json!({ "name": "A rule", "trigger": trigger, "conditions": conditions, "actions": actions })
}

/// Starts a rule, the `number`th.
///
/// # Panics
/// When the document is none.
#[must_use]
pub fn rule(number: u128, trigger: &str, conditions: &Value, actions: &Value) -> Rule {
    rule_of(number, &document(trigger, conditions, actions))
}

/// A rule of that document, the `number`th.
///
/// # Panics
/// When the document is none.
#[must_use]
pub fn rule_of(number: u128, document: &Value) -> Rule {
    Rule {
        id: RuleId(Uuid::from_u128(number)),
        content: RuleContent::check(document, &world()).unwrap(),
        owner: AGENT,
        disabled: None,
        created_at: noon(),
        updated_at: noon(),
        version: Version::FIRST,
        ran: Ran::default(),
    }
}

/// A customer.
#[must_use]
pub fn customer() -> Person {
    Person {
        id: REQUESTER,
        role: Role::User,
        teams: Vec::new(),
        origin: None,
    }
}

/// An agent with a rank in [`TEAM`].
#[must_use]
pub fn agent(role: TeamRole) -> Person {
    Person {
        id: AGENT,
        role: Role::Agent,
        teams: vec![Membership { team: TEAM, role }],
        origin: None,
    }
}

/// An administrator.
#[must_use]
pub fn admin() -> Person {
    Person {
        id: UserId(Uuid::from_u128(0x14)),
        role: Role::Admin,
        teams: Vec::new(),
        origin: None,
    }
}
