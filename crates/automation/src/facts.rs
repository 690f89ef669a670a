//! What rules read: a ticket with its people, and the event that set the rules off.
//!
//! The crate knows no ticket of any other crate. Whoever runs rules fills [`TicketView`] and [`Happening`] once for an
//! event; all is owned and plain, so that a stored event can be judged again. To let rules read something more, add it
//! here and a row to the table in [`field`](crate::field).

use std::borrow::Cow;
use std::cell::OnceCell;

use chrono::{DateTime, Utc};
use events::{TicketChannel, TicketPriority, TicketStatus};
use kernel::filter::{Operand, folded};
use kernel::{EventId, MessageId, Role, TeamId, TicketId, UserId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::chain::Chain;
use crate::field::Field;
use crate::trigger::TriggerKind;

/// A ticket as rules read it: what staff see of it. The names in conditions are the contract's, see
/// [`field`](crate::field).
#[derive(Debug, Clone, PartialEq)]
pub struct TicketFacts {
    /// Which.
    pub id: TicketId,
    /// `TKT-00001`.
    pub number: String,
    /// What it is about.
    pub subject: String,
    /// What the requester wrote, in Markdown.
    pub description: String,
    /// Where it stands.
    pub status: TicketStatus,
    /// How much it presses.
    pub priority: TicketPriority,
    /// How it came.
    pub channel: TicketChannel,
    /// Who asked.
    pub requester: UserId,
    /// Who answers.
    pub assignee: Option<UserId>,
    /// The team it lies with.
    pub team: Option<TeamId>,
    /// Its tags, in lower case.
    pub tags: Vec<String>,
    /// Its custom fields by their names.
    pub custom_fields: Map<String, Value>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed, internal changes too.
    pub updated_at: DateTime<Utc>,
    /// When staff first answered in public.
    pub first_response_at: Option<DateTime<Utc>>,
    /// When it was resolved.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// When it closed itself.
    pub auto_closed_at: Option<DateTime<Utc>>,
    /// How many messages it has, internal ones too.
    pub message_count: u32,
    /// When the last was written.
    pub last_message_at: Option<DateTime<Utc>>,
    /// The requester's rating, 1 to 5.
    pub satisfaction_score: Option<u8>,
    /// When it was rated.
    pub rated_at: Option<DateTime<Utc>>,
    /// The policy whose clocks run.
    pub sla_policy: Option<Uuid>,
    /// The earliest due time of the running clocks.
    pub sla_due_at: Option<DateTime<Utc>>,
    /// Whether any clock was missed.
    pub sla_breached: bool,
}

/// A person as rules read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonFacts {
    /// Who.
    pub id: UserId,
    /// The name shown.
    pub name: String,
    /// The address.
    pub email: String,
    /// What the account may do.
    pub role: Role,
}

/// A ticket with those who have part in it.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketView {
    /// The ticket.
    pub ticket: TicketFacts,
    /// Its requester; `None` where the account is anonymised.
    pub requester: Option<PersonFacts>,
    /// Its assignee.
    pub assignee: Option<PersonFacts>,
    /// The name of its team.
    pub team_name: Option<String>,
    /// Where people read it; given to texts as `ticket.url`.
    pub url: Option<String>,
}

/// The message that set rules off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFacts {
    /// Which.
    pub id: MessageId,
    /// What was written, in Markdown.
    pub body: String,
    /// Whether staff alone may read it.
    pub is_internal: bool,
    /// Who wrote it.
    pub author: UserId,
    /// The writer's role at that time.
    pub author_role: Role,
}

/// Which of a ticket's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlaMetric {
    /// Until the first public answer of staff.
    FirstResponse,
    /// From the oldest unanswered message of the customer.
    NextResponse,
    /// Until it is resolved.
    Resolution,
}

impl SlaMetric {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::FirstResponse, Self::NextResponse, Self::Resolution];

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstResponse => "first_response",
            Self::NextResponse => "next_response",
            Self::Resolution => "resolution",
        }
    }
}

/// One field that the event changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which.
    pub field: Field,
    /// Its value before.
    pub from: Held,
    /// Its value afterwards.
    pub to: Held,
}

/// What sets rules off: one published event, or one ticket that a schedule found.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// The event's id. A schedule's run has one id for each ticket that it found.
    pub id: EventId,
    /// The triggers that it pulls. One status change can be `ticket.status_changed` and `ticket.reopened`.
    pub kinds: Vec<TriggerKind>,
    /// When it happened; ages are counted until then, so that judging it again gives the same.
    pub at: DateTime<Utc>,
    /// What it changed, for `changed`, `changed_from` and `changed_to`.
    pub changes: Vec<Change>,
    /// The message, for `ticket.message_added`.
    pub message: Option<MessageFacts>,
    /// The clock, for `ticket.sla_warning` and `ticket.sla_breached`.
    pub sla: Option<SlaMetric>,
    /// The account, for `user.created`.
    pub user: Option<PersonFacts>,
    /// The rules that led to it.
    pub chain: Chain,
}

impl Happening {
    /// An event of one kind that nothing but its ticket is known of.
    #[must_use]
    pub fn new(id: EventId, kind: TriggerKind, at: DateTime<Utc>) -> Self {
        Self {
            id,
            kinds: vec![kind],
            at,
            changes: Vec::new(),
            message: None,
            sla: None,
            user: None,
            chain: Chain::default(),
        }
    }

    /// What it did to a field.
    #[must_use]
    pub fn change_of(&self, field: &Field) -> Option<&Change> {
        self.changes.iter().find(|change| change.field == *field)
    }
}

/// A field's value that outlives what it was read from.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Held {
    /// There was none.
    #[default]
    Absent,
    /// A text, or the name of a choice.
    Text(String),
    /// A set of texts.
    Tags(Vec<String>),
    /// An id.
    Id(Uuid),
    /// A moment.
    Time(DateTime<Utc>),
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// Any JSON.
    Json(Value),
}

impl Held {
    /// A copy of a value.
    #[must_use]
    pub fn of(operand: Operand<'_>) -> Self {
        match operand {
            Operand::Absent => Held::Absent,
            Operand::Text(text) => Held::Text(text.to_owned()),
            Operand::Tags(tags) => Held::Tags(tags.to_vec()),
            Operand::Id(id) => Held::Id(id),
            Operand::Time(time) => Held::Time(time),
            Operand::Number(number) => Held::Number(number),
            Operand::Flag(flag) => Held::Flag(flag),
            Operand::Json(json) => Held::Json(json.clone()),
        }
    }

    /// As a condition reads it.
    #[must_use]
    pub fn operand(&self) -> Operand<'_> {
        match self {
            Held::Absent => Operand::Absent,
            Held::Text(text) => Operand::Text(text),
            Held::Tags(tags) => Operand::Tags(tags),
            Held::Id(id) => Operand::Id(*id),
            Held::Time(time) => Operand::Time(*time),
            Held::Number(number) => Operand::Number(*number),
            Held::Flag(flag) => Operand::Flag(*flag),
            Held::Json(json) => Operand::Json(json),
        }
    }

    /// As JSON, for explanations; nothing is null.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Held::Absent => Value::Null,
            Held::Text(text) => json!(text),
            Held::Tags(tags) => json!(tags),
            Held::Id(id) => json!(id),
            Held::Time(time) => json!(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            // 3, not 3.0, where it is a count.
            Held::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and within bounds")]
                let whole = *number as i64;
                json!(whole)
            }
            Held::Number(number) => json!(number),
            Held::Flag(flag) => json!(flag),
            Held::Json(json) => json.clone(),
        }
    }
}

/// What is around an event and no part of it. Each question is answered from memory: whoever runs rules has read it before.
pub trait Surroundings {
    /// Whether a moment lies in business hours: those of a policy, or the desk's own; `None` where there are none.
    fn is_open(&self, policy: Option<Uuid>, at: DateTime<Utc>) -> Option<bool>;

    /// A person that a rule assigns, for the texts of the rules after it.
    fn person(&self, _id: UserId) -> Option<PersonFacts> {
        None
    }

    /// The name of a team that a rule gives a ticket to.
    fn team_name(&self, _id: TeamId) -> Option<String> {
        None
    }

    /// How often a rule ran in the hour before the event. Asked only of rules with a rate limit.
    fn runs(&self, _rule: crate::rule::RuleId, _ticket: Option<TicketId>) -> crate::rule::RunCounts {
        crate::rule::RunCounts::default()
    }
}

/// A desk that never closes and knows nobody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlwaysOpen;

impl Surroundings for AlwaysOpen {
    fn is_open(&self, _policy: Option<Uuid>, _at: DateTime<Utc>) -> Option<bool> {
        Some(true)
    }
}

/// An event with its ticket, while rules look at it: the ticket as the rules before leave it.
pub(crate) struct Scene<'a> {
    pub(crate) happening: &'a Happening,
    pub(crate) view: Option<Cow<'a, TicketView>>,
    pub(crate) surroundings: &'a dyn Surroundings,
    /// Long texts in the form they are searched in. Rules do not change them, so once is enough.
    subject: OnceCell<String>,
    description: OnceCell<String>,
    body: OnceCell<String>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(
        happening: &'a Happening,
        view: Option<&'a TicketView>,
        surroundings: &'a dyn Surroundings,
    ) -> Self {
        Self {
            happening,
            view: view.map(Cow::Borrowed),
            surroundings,
            subject: OnceCell::new(),
            description: OnceCell::new(),
            body: OnceCell::new(),
        }
    }

    pub(crate) fn ticket(&self) -> Option<&TicketFacts> {
        self.view.as_deref().map(|view| &view.ticket)
    }

    /// A field's text as it is searched in.
    pub(crate) fn folded(&self, field: &Field) -> Option<Cow<'_, str>> {
        let text = match field.value(self) {
            Operand::Text(text) => text,
            Operand::Json(json) => json.as_str()?,
            Operand::Absent
            | Operand::Tags(_)
            | Operand::Id(_)
            | Operand::Time(_)
            | Operand::Number(_)
            | Operand::Flag(_) => return None,
        };
        let kept = [
            (Field::Subject, &self.subject),
            (Field::Description, &self.description),
            (Field::MessageBody, &self.body),
        ];
        let kept = kept.into_iter().find(|(long, _)| long == field);
        let kept = kept.map(|(_, kept)| kept);
        Some(match kept {
            Some(kept) => Cow::Borrowed(kept.get_or_init(|| folded(text)).as_str()),
            None => Cow::Owned(folded(text)),
        })
    }
}
