//! The fields of tickets in the [filter language](kernel::filter).

use events::TicketStatus;
use kernel::filter::{Condition, FieldKind, Literal, Operand, Scalar, Term, Test, Vocabulary};
use kernel::{TeamId, UserId};

use crate::query::{Maybe, Scope, TicketFilter};
use crate::ticket::{Audience, Ticket};

/// A condition on tickets.
pub type TicketCondition = Condition<TicketField>;

/// The same before it is settled: "me" and "-7d" still stand in it.
pub type UnsettledCondition = Condition<TicketField, Literal>;

/// What of a ticket a condition can be about. The names are the contract's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketField {
    /// `ticketNumber`
    Number,
    /// `subject`
    Subject,
    /// `description`
    Description,
    /// `status`
    Status,
    /// `priority`
    Priority,
    /// `channel`
    Channel,
    /// `createdById`
    Requester,
    /// `assignedToId`
    Assignee,
    /// `teamId`
    Team,
    /// `tags`
    Tags,
    /// `customFields.` and the field's name
    Custom(String),
    /// `createdAt`
    CreatedAt,
    /// `updatedAt`, as the reader sees it
    UpdatedAt,
    /// `firstResponseAt`
    FirstResponseAt,
    /// `resolvedAt`
    ResolvedAt,
    /// `closedAt`
    ClosedAt,
    /// `autoClosedAt`
    AutoClosedAt,
    /// `messageCount`: the messages that the reader can read
    MessageCount,
    /// `lastMessageAt`: of the messages that the reader can read
    LastMessageAt,
    /// `satisfactionScore`; for staff
    SatisfactionScore,
    /// `ratedAt`; for staff
    RatedAt,
    /// `slaPolicyId`; for staff
    SlaPolicy,
    /// `slaDueAt`; for staff
    SlaDueAt,
    /// `slaBreached`; for staff
    SlaBreached,
}

/// Each field with a name of its own, its name and its kind.
const FIELDS: [(&str, TicketField, FieldKind); 23] = [
    ("ticketNumber", TicketField::Number, FieldKind::Text),
    ("subject", TicketField::Subject, FieldKind::Text),
    ("description", TicketField::Description, FieldKind::Text),
    ("status", TicketField::Status, FieldKind::Choice(&STATUSES)),
    ("priority", TicketField::Priority, FieldKind::Choice(&PRIORITIES)),
    ("channel", TicketField::Channel, FieldKind::Choice(&CHANNELS)),
    ("createdById", TicketField::Requester, FieldKind::Person),
    ("assignedToId", TicketField::Assignee, FieldKind::Person),
    ("teamId", TicketField::Team, FieldKind::Id),
    ("tags", TicketField::Tags, FieldKind::Tags),
    ("createdAt", TicketField::CreatedAt, FieldKind::Time),
    ("updatedAt", TicketField::UpdatedAt, FieldKind::Time),
    ("firstResponseAt", TicketField::FirstResponseAt, FieldKind::Time),
    ("resolvedAt", TicketField::ResolvedAt, FieldKind::Time),
    ("closedAt", TicketField::ClosedAt, FieldKind::Time),
    ("autoClosedAt", TicketField::AutoClosedAt, FieldKind::Time),
    ("messageCount", TicketField::MessageCount, FieldKind::Number),
    ("lastMessageAt", TicketField::LastMessageAt, FieldKind::Time),
    (
        "satisfactionScore",
        TicketField::SatisfactionScore,
        FieldKind::Number,
    ),
    ("ratedAt", TicketField::RatedAt, FieldKind::Time),
    ("slaPolicyId", TicketField::SlaPolicy, FieldKind::Id),
    ("slaDueAt", TicketField::SlaDueAt, FieldKind::Time),
    ("slaBreached", TicketField::SlaBreached, FieldKind::Flag),
];

const STATUSES: [&str; 4] = ["open", "pending", "resolved", "closed"];
const PRIORITIES: [&str; 4] = ["low", "medium", "high", "urgent"];
const CHANNELS: [&str; 4] = ["web", "email", "chat", "api"];

const CUSTOM_PREFIX: &str = "customFields.";
/// As long as a custom field's name may be.
const CUSTOM_NAME_CHARS_MAX: usize = 50;

/// The fields that an audience can filter by: those that it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketFields(pub Audience);

impl Vocabulary for TicketFields {
    type Field = TicketField;

    fn find(&self, name: &str) -> Option<(TicketField, FieldKind)> {
        if let Some(custom) = name.strip_prefix(CUSTOM_PREFIX) {
            let fits = (1..=CUSTOM_NAME_CHARS_MAX).contains(&custom.chars().count())
                && !custom.chars().any(char::is_control);
            return fits.then(|| (TicketField::Custom(custom.to_owned()), FieldKind::Json));
        }
        let (_, field, kind) = FIELDS.iter().find(|(known, ..)| *known == name)?;
        field.is_shown_to(self.0).then(|| (field.clone(), *kind))
    }

    fn names(&self) -> Vec<&'static str> {
        let shown = FIELDS.iter().filter(|(_, field, _)| field.is_shown_to(self.0));
        shown
            .map(|(name, ..)| *name)
            .chain(["customFields.<name>"])
            .collect()
    }
}

impl TicketField {
    /// Whether an audience is shown the field, and may therefore filter by it.
    #[must_use]
    pub fn is_shown_to(&self, audience: Audience) -> bool {
        match self {
            Self::SatisfactionScore
            | Self::RatedAt
            | Self::SlaPolicy
            | Self::SlaDueAt
            | Self::SlaBreached => audience == Audience::Staff,
            Self::Number
            | Self::Subject
            | Self::Description
            | Self::Status
            | Self::Priority
            | Self::Channel
            | Self::Requester
            | Self::Assignee
            | Self::Team
            | Self::Tags
            | Self::Custom(_)
            | Self::CreatedAt
            | Self::UpdatedAt
            | Self::FirstResponseAt
            | Self::ResolvedAt
            | Self::ClosedAt
            | Self::AutoClosedAt
            | Self::MessageCount
            | Self::LastMessageAt => true,
        }
    }

    /// The field's value, as an audience sees it.
    #[must_use]
    pub fn value<'a>(&self, ticket: &'a Ticket, audience: Audience) -> Operand<'a> {
        let face = ticket.face(audience);
        match self {
            Self::Number => Operand::Text(ticket.number.as_str()),
            Self::Subject => Operand::Text(ticket.subject.as_str()),
            Self::Description => Operand::Text(ticket.description.as_str()),
            Self::Status => Operand::Text(ticket.status().as_str()),
            Self::Priority => Operand::Text(ticket.priority.as_str()),
            Self::Channel => Operand::Text(ticket.channel.as_str()),
            Self::Requester => Operand::Id(ticket.requester.0),
            Self::Assignee => ticket.assignee.map(|user| user.0).into(),
            Self::Team => ticket.team.map(|team| team.0).into(),
            Self::Tags => Operand::Tags(ticket.tags.as_slice()),
            Self::Custom(name) => {
                let value = ticket.custom_fields.as_map().get(name);
                value.map_or(Operand::Absent, Operand::Json)
            }
            Self::CreatedAt => Operand::Time(ticket.created_at),
            Self::UpdatedAt => Operand::Time(face.updated_at),
            Self::FirstResponseAt => ticket.first_response_at.into(),
            Self::ResolvedAt => ticket.standing.resolved_at().into(),
            Self::ClosedAt => ticket.standing.closed_at().into(),
            Self::AutoClosedAt => ticket.standing.auto_closed_at().into(),
            Self::MessageCount => Operand::Number(face.message_count.into()),
            Self::LastMessageAt => face.last_message_at.into(),
            Self::SatisfactionScore => {
                let given = ticket.satisfaction.as_ref();
                given.map_or(Operand::Absent, |given| {
                    Operand::Number(given.rating.score.get().into())
                })
            }
            Self::RatedAt => ticket.satisfaction.as_ref().map(|given| given.rated_at).into(),
            Self::SlaPolicy => ticket.sla_policy.into(),
            Self::SlaDueAt => ticket.sla_due_at.into(),
            Self::SlaBreached => Operand::Flag(ticket.sla_breached),
        }
    }
}

impl TicketFilter {
    /// This filter and a condition besides. What the condition demands at its top of status, assignee, team and
    /// requester becomes the filter's own, by which stores find tickets without looking at others.
    #[must_use]
    pub(crate) fn and(mut self, condition: TicketCondition, scope: &Scope) -> Self {
        let demands = match condition {
            Condition::All(demands) => demands,
            other => vec![other],
        };
        let mut rest: Vec<_> = self.condition.take().into_iter().collect();
        for demand in demands {
            if !self.takes(&demand, scope) {
                rest.push(demand);
            }
        }
        self.condition = match rest.len() {
            0 => None,
            1 => rest.pop(),
            _ => Some(Condition::All(rest)),
        };
        self
    }

    /// Takes a demand over, if it can say the same.
    fn takes(&mut self, demand: &TicketCondition, scope: &Scope) -> bool {
        let Condition::Term(Term { field, negated, test }) = demand else {
            return false;
        };
        let one_id = match test {
            Test::OneOf(values) => match values.as_slice() {
                [Scalar::Id(id)] if !negated => Some(*id),
                _ => None,
            },
            _ => None,
        };
        let nothing = *negated && *test == Test::IsSet;
        match (field, test) {
            (TicketField::Status, Test::OneOf(values)) if self.status.is_empty() => {
                let named =
                    |status: &TicketStatus| values.contains(&Scalar::Text(status.as_str().to_owned()));
                let all = TicketStatus::ALL.into_iter();
                self.status = all.filter(|status| named(status) != *negated).collect();
                // An empty list would be no condition.
                !self.status.is_empty()
            }
            (TicketField::Assignee, _) if self.assignee.is_none() => {
                self.assignee = one_id.map(|id| Maybe::Is(UserId(id)));
                self.assignee = self.assignee.or(nothing.then_some(Maybe::Nothing));
                self.assignee.is_some()
            }
            (TicketField::Team, _) if self.team.is_none() => {
                self.team = one_id.map(|id| Maybe::Is(TeamId(id)));
                self.team = self.team.or(nothing.then_some(Maybe::Nothing));
                self.team.is_some()
            }
            // For others the requester of the filter decides as whom they read.
            (TicketField::Requester, _) if self.requester.is_none() && *scope == Scope::Desk => {
                self.requester = one_id.map(UserId);
                self.requester.is_some()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use events::{TicketChannel, TicketPriority};
    use kernel::filter::Circumstances;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::testing::build;

    const ME: Uuid = Uuid::from_u128(7);
    const TEAM: Uuid = Uuid::from_u128(8);

    fn condition(json: &Value) -> TicketCondition {
        let read = Condition::<_, Literal>::read(json, "", &TicketFields(Audience::Staff)).unwrap();
        read.settled(&Circumstances {
            now: build::noon(),
            me: Some(ME),
        })
    }

    #[test]
    fn the_names_of_choices_are_the_vocabularys() {
        assert_eq!(STATUSES, TicketStatus::ALL.map(TicketStatus::as_str));
        assert_eq!(PRIORITIES, TicketPriority::ALL.map(TicketPriority::as_str));
        assert_eq!(CHANNELS, TicketChannel::ALL.map(TicketChannel::as_str));
    }

    #[test]
    fn customers_filter_by_nothing_that_they_are_not_shown() {
        for name in [
            "satisfactionScore",
            "ratedAt",
            "slaPolicyId",
            "slaDueAt",
            "slaBreached",
        ] {
            assert!(TicketFields(Audience::Customer).find(name).is_none(), "{name}");
            assert!(
                !TicketFields(Audience::Customer).names().contains(&name),
                "{name}"
            );
            assert!(TicketFields(Audience::Staff).find(name).is_some(), "{name}");
        }
        for name in [
            "metadata",
            "deletedAt",
            "customFields.",
            "customFields",
            "Subject",
        ] {
            assert!(TicketFields(Audience::Staff).find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn demands_on_what_has_an_index_become_the_filters_own() {
        let demanded = condition(&json!({ "all": [
            { "field": "status", "operator": "not_in", "value": ["resolved", "closed"] },
            { "field": "assignedToId", "operator": "equals", "value": "me" },
            { "field": "teamId", "operator": "equals", "value": TEAM },
            { "field": "subject", "operator": "contains", "value": "x" },
        ] }));
        let filter = TicketFilter::default().and(demanded, &Scope::Desk);
        assert_eq!(filter.status, [TicketStatus::Open, TicketStatus::Pending]);
        assert_eq!(filter.assignee, Some(Maybe::Is(UserId(ME))));
        assert_eq!(filter.team, Some(Maybe::Is(TeamId(TEAM))));
        assert!(matches!(filter.condition, Some(Condition::Term(_))), "{filter:?}");

        let nobodys = condition(&json!({ "field": "assignedToId", "operator": "is_not_set" }));
        let filter = TicketFilter::default().and(nobodys, &Scope::Desk);
        assert_eq!((filter.assignee, filter.condition), (Some(Maybe::Nothing), None));
    }

    #[test]
    fn what_the_filter_cannot_say_stays_a_condition() {
        let kept = [
            json!({ "field": "status", "operator": "not_in", "value": ["open", "pending", "resolved", "closed"] }),
            json!({ "field": "assignedToId", "operator": "not_equals", "value": "me" }),
            json!({ "field": "assignedToId", "operator": "in", "value": ["me", TEAM] }),
            json!({ "field": "assignedToId", "operator": "is_set" }),
            json!({ "any": [{ "field": "status", "operator": "equals", "value": "open" }] }),
            json!({ "none": [{ "field": "status", "operator": "equals", "value": "open" }] }),
        ];
        for json in kept {
            let filter = TicketFilter::default().and(condition(&json), &Scope::Desk);
            let expected = TicketFilter {
                condition: Some(condition(&json)),
                ..TicketFilter::default()
            };
            assert_eq!(filter, expected, "{json}");
        }
        // As customer or agent, `createdBy` would change what is seen; a condition must not.
        let mine = condition(&json!({ "field": "createdById", "operator": "equals", "value": "me" }));
        let scope = Scope::WorkOf {
            agent: UserId(ME),
            teams: vec![],
        };
        assert_eq!(TicketFilter::default().and(mine.clone(), &scope).requester, None);
        assert_eq!(
            TicketFilter::default().and(mine, &Scope::Desk).requester,
            Some(UserId(ME))
        );
    }

    #[test]
    fn a_condition_beside_a_parameter_narrows_it_further() {
        let closed = condition(&json!({ "field": "status", "operator": "equals", "value": "closed" }));
        let open = TicketFilter {
            status: vec![TicketStatus::Open],
            ..TicketFilter::default()
        };
        let both = open.and(closed, &Scope::Desk);
        assert!(!both.matches(&build::ticket().build(), Audience::Staff));
        assert_eq!(both.status, [TicketStatus::Open]);
    }
}
