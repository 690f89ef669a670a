//! The fields that conditions and texts can name: one table for both.
//!
//! A condition names them as in the contract (`slaDueAt`, `customFields.region`, `requester.email`), a text with what they
//! belong to in front (`{{ticket.subject}}`, `{{requester.name}}`). [`Audience`] says which a text may use: what customers
//! read is made of what they see anyway, and never of internal text, counts or times that internal writing moves.

use chrono::{DateTime, Utc};
use kernel::filter::{FieldKind, Operand, Vocabulary};

use crate::facts::{MessageFacts, PersonFacts, Scene, TicketFacts, TicketView};
use crate::trigger::TriggerKind;

/// Who reads a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Agents and administrators alone.
    Staff,
    /// Possibly a customer.
    Customer,
}

/// What a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The ticket.
    Ticket,
    /// Its requester.
    Requester,
    /// Its assignee.
    Assignee,
    /// Its team.
    Team,
    /// The message that set the rule off.
    Message,
    /// The clock that set the rule off.
    Sla,
    /// The account that set the rule off.
    User,
    /// The moment itself.
    Moment,
}

impl Owner {
    /// Whether an event of this kind has it.
    #[must_use]
    pub fn is_at(self, kind: TriggerKind) -> bool {
        match self {
            Owner::Ticket | Owner::Requester | Owner::Assignee | Owner::Team => kind.has_ticket(),
            Owner::Message => kind == TriggerKind::MessageAdded,
            Owner::Sla => matches!(kind, TriggerKind::SlaWarning | TriggerKind::SlaBreached),
            Owner::User => kind == TriggerKind::UserCreated,
            Owner::Moment => true,
        }
    }
}

/// Defines the fields: a variant, its name in conditions, what it belongs to, what it holds, who may read it in
/// texts, and its value in a scene.
macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident: $name:literal, $owner:ident, $kind:expr, $audience:ident, $read:expr;)+) => {
        /// What conditions and texts can be about.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Field {
            $($(#[$doc])* $variant,)+
            /// `customFields.` and the field's name
            Custom(String),
        }

        const TABLE: &[(&str, Field, Owner, FieldKind, Audience)] = &[
            $(($name, Field::$variant, Owner::$owner, $kind, Audience::$audience),)+
        ];

        impl Field {
            /// The name in conditions.
            #[must_use]
            pub fn name(&self) -> String {
                match self {
                    $(Field::$variant => $name.to_owned(),)+
                    Field::Custom(name) => format!("{CUSTOM_PREFIX}{name}"),
                }
            }

            /// What it belongs to.
            #[must_use]
            pub fn owner(&self) -> Owner {
                match self {
                    $(Field::$variant => Owner::$owner,)+
                    Field::Custom(_) => Owner::Ticket,
                }
            }

            /// What it holds.
            #[must_use]
            pub fn kind(&self) -> FieldKind {
                match self {
                    $(Field::$variant => $kind,)+
                    Field::Custom(_) => FieldKind::Json,
                }
            }

            /// Who may read it in texts.
            #[must_use]
            pub fn audience(&self) -> Audience {
                match self {
                    $(Field::$variant => Audience::$audience,)+
                    Field::Custom(_) => Audience::Customer,
                }
            }

            /// The field's value in a scene.
            pub(crate) fn value<'s>(&self, scene: &'s Scene<'_>) -> Operand<'s> {
                match self {
                    $(Field::$variant => {
                        let read: for<'a, 'b> fn(&'a Scene<'b>) -> Operand<'a> = $read;
                        read(scene)
                    })+
                    Field::Custom(name) => {
                        let value = scene.ticket().and_then(|ticket| ticket.custom_fields.get(name));
                        value.map_or(Operand::Absent, Operand::Json)
                    }
                }
            }
        }
    };
}

fields! {
    /// `ticketNumber`
    Number: "ticketNumber", Ticket, FieldKind::Text, Customer,
        |s| ticket(s, |t| Operand::Text(&t.number));
    /// `subject`
    Subject: "subject", Ticket, FieldKind::Text, Customer,
        |s| ticket(s, |t| Operand::Text(&t.subject));
    /// `description`
    Description: "description", Ticket, FieldKind::Text, Customer,
        |s| ticket(s, |t| Operand::Text(&t.description));
    /// `status`
    Status: "status", Ticket, FieldKind::Choice(&STATUSES), Customer,
        |s| ticket(s, |t| Operand::Text(t.status.as_str()));
    /// `priority`
    Priority: "priority", Ticket, FieldKind::Choice(&PRIORITIES), Customer,
        |s| ticket(s, |t| Operand::Text(t.priority.as_str()));
    /// `channel`
    Channel: "channel", Ticket, FieldKind::Choice(&CHANNELS), Customer,
        |s| ticket(s, |t| Operand::Text(t.channel.as_str()));
    /// `createdById`
    CreatedBy: "createdById", Ticket, FieldKind::Id, Staff,
        |s| ticket(s, |t| Operand::Id(t.requester.0));
    /// `assignedToId`
    AssignedTo: "assignedToId", Ticket, FieldKind::Id, Staff,
        |s| ticket(s, |t| t.assignee.map(|user| user.0).into());
    /// `teamId`
    Team: "teamId", Ticket, FieldKind::Id, Staff,
        |s| ticket(s, |t| t.team.map(|team| team.0).into());
    /// `tags`
    Tags: "tags", Ticket, FieldKind::Tags, Staff,
        |s| ticket(s, |t| Operand::Tags(&t.tags));
    /// `createdAt`
    CreatedAt: "createdAt", Ticket, FieldKind::Time, Customer,
        |s| ticket(s, |t| Operand::Time(t.created_at));
    /// `updatedAt`: internal changes move it
    UpdatedAt: "updatedAt", Ticket, FieldKind::Time, Staff,
        |s| ticket(s, |t| Operand::Time(t.updated_at));
    /// `firstResponseAt`
    FirstResponseAt: "firstResponseAt", Ticket, FieldKind::Time, Customer,
        |s| ticket(s, |t| t.first_response_at.into());
    /// `resolvedAt`
    ResolvedAt: "resolvedAt", Ticket, FieldKind::Time, Customer,
        |s| ticket(s, |t| t.resolved_at.into());
    /// `closedAt`
    ClosedAt: "closedAt", Ticket, FieldKind::Time, Customer,
        |s| ticket(s, |t| t.closed_at.into());
    /// `autoClosedAt`
    AutoClosedAt: "autoClosedAt", Ticket, FieldKind::Time, Customer,
        |s| ticket(s, |t| t.auto_closed_at.into());
    /// `messageCount`: internal messages too
    MessageCount: "messageCount", Ticket, FieldKind::Number, Staff,
        |s| ticket(s, |t| Operand::Number(t.message_count.into()));
    /// `tagCount`
    TagCount: "tagCount", Ticket, FieldKind::Number, Staff,
        |s| ticket(s, |t| count(t.tags.len()));
    /// `lastMessageAt`: internal messages move it
    LastMessageAt: "lastMessageAt", Ticket, FieldKind::Time, Staff,
        |s| ticket(s, |t| t.last_message_at.into());
    /// `satisfactionScore`
    SatisfactionScore: "satisfactionScore", Ticket, FieldKind::Number, Staff,
        |s| ticket(s, |t| score(t.satisfaction_score));
    /// `ratedAt`
    RatedAt: "ratedAt", Ticket, FieldKind::Time, Staff,
        |s| ticket(s, |t| t.rated_at.into());
    /// `slaPolicyId`
    SlaPolicy: "slaPolicyId", Ticket, FieldKind::Id, Staff,
        |s| ticket(s, |t| t.sla_policy.into());
    /// `slaDueAt`
    SlaDueAt: "slaDueAt", Ticket, FieldKind::Time, Staff,
        |s| ticket(s, |t| t.sla_due_at.into());
    /// `slaBreached`
    SlaBreached: "slaBreached", Ticket, FieldKind::Flag, Staff,
        |s| ticket(s, |t| Operand::Flag(t.sla_breached));
    /// `hoursSinceCreated`
    HoursSinceCreated: "hoursSinceCreated", Ticket, FieldKind::Number, Staff,
        |s| ticket(s, |t| hours(Some(t.created_at), now(s)));
    /// `hoursSinceUpdated`
    HoursSinceUpdated: "hoursSinceUpdated", Ticket, FieldKind::Number, Staff,
        |s| ticket(s, |t| hours(Some(t.updated_at), now(s)));
    /// `hoursSinceLastMessage`
    HoursSinceLastMessage: "hoursSinceLastMessage", Ticket, FieldKind::Number, Staff,
        |s| ticket(s, |t| hours(t.last_message_at, now(s)));
    /// `hoursSinceResolved`
    HoursSinceResolved: "hoursSinceResolved", Ticket, FieldKind::Number, Staff,
        |s| ticket(s, |t| hours(t.resolved_at, now(s)));
    /// `hoursUntilSlaDue`: negative once it is past
    HoursUntilSlaDue: "hoursUntilSlaDue", Ticket, FieldKind::Number, Staff,
        |s| ticket(s, |t| hours(now(s), t.sla_due_at));
    /// `requester.id`
    RequesterId: "requester.id", Requester, FieldKind::Id, Staff,
        |s| view(s, |v| person(v.requester.as_ref(), |p| Operand::Id(p.id.0)));
    /// `requester.name`
    RequesterName: "requester.name", Requester, FieldKind::Text, Customer,
        |s| view(s, |v| person(v.requester.as_ref(), |p| Operand::Text(&p.name)));
    /// `requester.email`
    RequesterEmail: "requester.email", Requester, FieldKind::Text, Customer,
        |s| view(s, |v| person(v.requester.as_ref(), |p| Operand::Text(&p.email)));
    /// `requester.role`
    RequesterRole: "requester.role", Requester, FieldKind::Choice(&ROLES), Staff,
        |s| view(s, |v| person(v.requester.as_ref(), |p| Operand::Text(p.role.as_str())));
    /// `assignee.id`
    AssigneeId: "assignee.id", Assignee, FieldKind::Id, Staff,
        |s| view(s, |v| person(v.assignee.as_ref(), |p| Operand::Id(p.id.0)));
    /// `assignee.name`
    AssigneeName: "assignee.name", Assignee, FieldKind::Text, Customer,
        |s| view(s, |v| person(v.assignee.as_ref(), |p| Operand::Text(&p.name)));
    /// `assignee.email`
    AssigneeEmail: "assignee.email", Assignee, FieldKind::Text, Staff,
        |s| view(s, |v| person(v.assignee.as_ref(), |p| Operand::Text(&p.email)));
    /// `assignee.role`
    AssigneeRole: "assignee.role", Assignee, FieldKind::Choice(&ROLES), Staff,
        |s| view(s, |v| person(v.assignee.as_ref(), |p| Operand::Text(p.role.as_str())));
    /// `team.name`
    TeamName: "team.name", Team, FieldKind::Text, Customer,
        |s| view(s, |v| v.team_name.as_deref().map_or(Operand::Absent, Operand::Text));
    /// `message.body`: it may be internal
    MessageBody: "message.body", Message, FieldKind::Text, Staff,
        |s| message(s, |m| Operand::Text(&m.body));
    /// `message.visibility`
    MessageVisibility: "message.visibility", Message, FieldKind::Choice(&VISIBILITIES), Staff,
        |s| message(s, |m| Operand::Text(if m.is_internal { "internal" } else { "public" }));
    /// `message.authorId`
    MessageAuthor: "message.authorId", Message, FieldKind::Id, Staff,
        |s| message(s, |m| Operand::Id(m.author.0));
    /// `message.authorRole`
    MessageAuthorRole: "message.authorRole", Message, FieldKind::Choice(&ROLES), Staff,
        |s| message(s, |m| Operand::Text(m.author_role.as_str()));
    /// `message.byRequester`: whether the ticket's requester wrote it
    MessageByRequester: "message.byRequester", Message, FieldKind::Flag, Staff,
        |s| message(s, |m| ticket(s, |t| Operand::Flag(m.author == t.requester)));
    /// `sla.metric`
    SlaMetric: "sla.metric", Sla, FieldKind::Choice(&METRICS), Staff,
        |s| s.happening.sla.map_or(Operand::Absent, |metric| Operand::Text(metric.as_str()));
    /// `user.id`
    UserId: "user.id", User, FieldKind::Id, Staff,
        |s| person(s.happening.user.as_ref(), |p| Operand::Id(p.id.0));
    /// `user.name`
    UserName: "user.name", User, FieldKind::Text, Customer,
        |s| person(s.happening.user.as_ref(), |p| Operand::Text(&p.name));
    /// `user.email`
    UserEmail: "user.email", User, FieldKind::Text, Customer,
        |s| person(s.happening.user.as_ref(), |p| Operand::Text(&p.email));
    /// `user.role`
    UserRole: "user.role", User, FieldKind::Choice(&ROLES), Staff,
        |s| person(s.happening.user.as_ref(), |p| Operand::Text(p.role.as_str()));
    /// `now`: when the event happened
    Now: "now", Moment, FieldKind::Time, Customer,
        |s| Operand::Time(s.happening.at);
}

const STATUSES: [&str; 4] = ["open", "pending", "resolved", "closed"];
const PRIORITIES: [&str; 4] = ["low", "medium", "high", "urgent"];
const CHANNELS: [&str; 4] = ["web", "email", "chat", "api"];
const ROLES: [&str; 3] = ["user", "agent", "admin"];
const VISIBILITIES: [&str; 2] = ["public", "internal"];
const METRICS: [&str; 3] = ["first_response", "next_response", "resolution"];

const CUSTOM_PREFIX: &str = "customFields.";
/// The most characters of a custom field's name.
pub const CUSTOM_NAME_MAX_CHARS: usize = 50;

/// Whether a custom field can be called so.
#[must_use]
pub fn is_custom_name(name: &str) -> bool {
    (1..=CUSTOM_NAME_MAX_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// Names known to ticket lists too, which the filter of a schedule may use. Ages and people are for the conditions.
const LISTED: [Field; 23] = [
    Field::Number,
    Field::Subject,
    Field::Description,
    Field::Status,
    Field::Priority,
    Field::Channel,
    Field::CreatedBy,
    Field::AssignedTo,
    Field::Team,
    Field::Tags,
    Field::CreatedAt,
    Field::UpdatedAt,
    Field::FirstResponseAt,
    Field::ResolvedAt,
    Field::ClosedAt,
    Field::AutoClosedAt,
    Field::MessageCount,
    Field::LastMessageAt,
    Field::SatisfactionScore,
    Field::RatedAt,
    Field::SlaPolicy,
    Field::SlaDueAt,
    Field::SlaBreached,
];

/// The fields that a condition can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// In the conditions of rules that an event of this kind sets off.
    At(TriggerKind),
    /// In the filter of a schedule.
    Listed,
}

impl Fields {
    fn has(self, field: &Field) -> bool {
        match self {
            Fields::At(kind) => field.owner().is_at(kind),
            Fields::Listed => LISTED.contains(field),
        }
    }

    fn has_tickets(self) -> bool {
        match self {
            Fields::At(kind) => kind.has_ticket(),
            Fields::Listed => true,
        }
    }
}

impl Vocabulary for Fields {
    type Field = Field;

    fn find(&self, name: &str) -> Option<(Field, FieldKind)> {
        if let Some(custom) = name.strip_prefix(CUSTOM_PREFIX) {
            let is_there = self.has_tickets() && is_custom_name(custom);
            return is_there.then(|| (Field::Custom(custom.to_owned()), FieldKind::Json));
        }
        let (_, field, _, kind, _) = TABLE.iter().find(|(known, ..)| *known == name)?;
        self.has(field).then(|| (field.clone(), *kind))
    }

    fn names(&self) -> Vec<&'static str> {
        let known = TABLE.iter().filter(|(_, field, ..)| self.has(field));
        let custom = self.has_tickets().then_some("customFields.<name>");
        known.map(|(name, ..)| *name).chain(custom).collect()
    }
}

impl Field {
    /// The field that a text names by this path, if an audience may read it there.
    #[must_use]
    pub fn in_text(path: &str, audience: Audience) -> Option<Field> {
        let field = match path.strip_prefix("ticket.") {
            Some("number") => Field::Number,
            Some(name) => {
                let (field, _) = Fields::At(TriggerKind::Created).find(name)?;
                // `ticket.requester.name` is no path.
                (field.owner() == Owner::Ticket).then_some(field)?
            }
            None => {
                let (_, field, owner, ..) = TABLE.iter().find(|(known, ..)| *known == path)?;
                (*owner != Owner::Ticket).then(|| field.clone())?
            }
        };
        let is_shown = match audience {
            Audience::Staff => true,
            Audience::Customer => field.audience() == Audience::Customer,
        };
        is_shown.then_some(field)
    }

    /// The paths that a text for this audience can have, for telling them to who mistook one.
    #[must_use]
    pub fn paths(audience: Audience) -> Vec<String> {
        let shown = TABLE
            .iter()
            .filter(|(.., least)| audience == Audience::Staff || *least == Audience::Customer);
        let path = |(name, field, owner, ..): &(&str, Field, Owner, FieldKind, Audience)| match (field, owner)
        {
            (Field::Number, _) => "ticket.number".to_owned(),
            (_, Owner::Ticket) => format!("ticket.{name}"),
            (
                _,
                Owner::Requester
                | Owner::Assignee
                | Owner::Team
                | Owner::Message
                | Owner::Sla
                | Owner::User
                | Owner::Moment,
            ) => (*name).to_owned(),
        };
        let more = ["ticket.url".to_owned(), "ticket.customFields.<name>".to_owned()];
        shown.map(path).chain(more).collect()
    }
}

/// What is read of the ticket, where there is one.
fn ticket<'s>(scene: &'s Scene<'_>, read: impl FnOnce(&'s TicketFacts) -> Operand<'s>) -> Operand<'s> {
    scene.ticket().map_or(Operand::Absent, read)
}

/// What is read of the ticket and its people.
fn view<'s>(scene: &'s Scene<'_>, read: impl FnOnce(&'s TicketView) -> Operand<'s>) -> Operand<'s> {
    scene.view.as_deref().map_or(Operand::Absent, read)
}

/// What is read of the message that set the rule off.
fn message<'s>(scene: &'s Scene<'_>, read: impl FnOnce(&'s MessageFacts) -> Operand<'s>) -> Operand<'s> {
    scene.happening.message.as_ref().map_or(Operand::Absent, read)
}

fn person<'s>(
    person: Option<&'s PersonFacts>,
    read: impl FnOnce(&'s PersonFacts) -> Operand<'s>,
) -> Operand<'s> {
    person.map_or(Operand::Absent, read)
}

fn now(scene: &Scene<'_>) -> Option<DateTime<Utc>> {
    Some(scene.happening.at)
}

fn count(count: usize) -> Operand<'static> {
    Operand::Number(u32::try_from(count).unwrap_or(u32::MAX).into())
}

fn score(score: Option<u8>) -> Operand<'static> {
    score.map_or(Operand::Absent, |score| Operand::Number(score.into()))
}

/// The hours from one moment to another, with fractions.
fn hours(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Operand<'static> {
    let Some((from, to)) = from.zip(to) else {
        return Operand::Absent;
    };
    // Exact to the second for 285 million years.
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds between two dates fit a float's 53 bits"
    )]
    let seconds = (to - from).num_seconds() as f64;
    Operand::Number(seconds / 3_600.0)
}

#[cfg(test)]
mod tests {
    use events::{TicketChannel, TicketPriority, TicketStatus};
    use kernel::Role;

    use super::*;
    use crate::facts::SlaMetric;

    #[test]
    fn the_names_of_choices_are_the_vocabularys() {
        assert_eq!(STATUSES, TicketStatus::ALL.map(TicketStatus::as_str));
        assert_eq!(PRIORITIES, TicketPriority::ALL.map(TicketPriority::as_str));
        assert_eq!(CHANNELS, TicketChannel::ALL.map(TicketChannel::as_str));
        assert_eq!(ROLES, Role::ALL.map(Role::as_str));
        assert_eq!(METRICS, SlaMetric::ALL.map(SlaMetric::as_str));
    }

    #[test]
    fn each_field_is_found_by_its_name_and_by_no_other() {
        for (name, field, owner, kind, _) in TABLE {
            for trigger in TriggerKind::ALL {
                let found = Fields::At(trigger).find(name);
                assert_eq!(
                    found,
                    owner.is_at(trigger).then(|| (field.clone(), *kind)),
                    "{name}"
                );
            }
            assert_eq!(field.name(), *name);
        }
        for name in [
            "",
            "Subject",
            "customFields",
            "customFields.",
            "metadata",
            "requester",
        ] {
            assert_eq!(Fields::At(TriggerKind::Created).find(name), None, "{name}");
        }
    }

    #[test]
    fn texts_for_customers_name_nothing_internal() {
        let internal = [
            "message.body",
            "ticket.updatedAt",
            "ticket.messageCount",
            "ticket.lastMessageAt",
            "ticket.tags",
            "ticket.slaDueAt",
            "ticket.slaBreached",
            "ticket.satisfactionScore",
            "ticket.hoursSinceUpdated",
            "assignee.email",
            "ticket.lastNote",
        ];
        for path in internal {
            assert_eq!(Field::in_text(path, Audience::Customer), None, "{path}");
            assert!(
                !Field::paths(Audience::Customer).contains(&path.to_owned()),
                "{path}"
            );
        }
        for path in [
            "ticket.number",
            "ticket.subject",
            "requester.name",
            "ticket.customFields.region",
        ] {
            assert!(Field::in_text(path, Audience::Customer).is_some(), "{path}");
        }
        assert_eq!(
            Field::in_text("message.body", Audience::Staff),
            Some(Field::MessageBody)
        );
        for path in ["subject", "ticket", "ticket.requester.name", "ticket.", "now.at"] {
            assert_eq!(Field::in_text(path, Audience::Staff), None, "{path}");
        }
    }
}
