//! What the actions of a rule or macro come to for one ticket: each with its texts filled in, and what it changes.
//!
//! Actions are carried out in their order, each on the ticket as the one before leaves it. What would change nothing is
//! [`Outcome::Unchanged`], what cannot be done [`Outcome::Impossible`]; neither ends the rule. A plan is plain data with a
//! stable JSON form, so that it can be stored before it is carried out, and carried out after a crash as it was decided.

use std::borrow::Cow;

use events::{TicketPriority, TicketStatus};
use kernel::{TeamId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::action::{Action, Actions, AssignMode, MailRecipient, NotifyRecipient, Payload, TAGS_MAX};
use crate::facts::{Happening, Scene, Surroundings, TicketView};
use crate::reference::EndpointId;
use crate::template::{Channel, RenderError, Template};

/// The version of the JSON form of [`Step`]. Members may be added; anything else needs a new one and a reader for the old.
pub const PLAN_VERSION: u16 = 1;

/// One action of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Which action of the rule, from 0.
    pub index: usize,
    /// The action's type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it comes to.
    pub outcome: Outcome,
}

/// What an action comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "data")]
pub enum Outcome {
    /// To be carried out.
    Do(Effect),
    /// It is so already.
    Unchanged,
    /// It cannot be done.
    Impossible(Impossible),
}

/// Why an action cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impossible {
    /// There is no ticket.
    NoTicket,
    /// The ticket has no team to choose from.
    NoTeam,
    /// The ticket would have more than [`TAGS_MAX`] tags.
    TooManyTags,
    /// A text could not be filled in: a bug of ours.
    Text,
    /// The text is empty once it is filled in.
    EmptyText,
}

impl Impossible {
    /// A stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Impossible::NoTicket => "no_ticket",
            Impossible::NoTeam => "no_team",
            Impossible::TooManyTags => "too_many_tags",
            Impossible::Text => "text",
            Impossible::EmptyText => "empty_text",
        }
    }
}

/// What is to be done. Ids and addresses in it are of the moment of the decision; whoever carries it out asks again whether
/// they are still there, and who may read what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "camelCase", tag = "effect")]
pub enum Effect {
    /// Another priority.
    Priority {
        /// Before.
        from: TicketPriority,
        /// To be.
        to: TicketPriority,
    },
    /// Another status, if the state machine allows it.
    Status {
        /// Before.
        from: TicketStatus,
        /// To be.
        to: TicketStatus,
    },
    /// Another assignee, or none.
    Assignee {
        /// Before.
        from: Option<UserId>,
        /// To be.
        to: Option<UserId>,
    },
    /// Another team, or none.
    Team {
        /// Before.
        from: Option<TeamId>,
        /// To be.
        to: Option<TeamId>,
    },
    /// Other tags: those added and those taken away, so that what others change meanwhile stays.
    Tags {
        /// New ones.
        added: Vec<String>,
        /// Old ones.
        removed: Vec<String>,
    },
    /// Another value of a custom field, or none.
    CustomField {
        /// Which.
        name: String,
        /// Before.
        from: Option<Value>,
        /// To be.
        to: Option<Value>,
    },
    /// Another SLA policy, or the one that fits.
    SlaPolicy {
        /// Before.
        from: Option<Uuid>,
        /// To be.
        to: Option<Uuid>,
    },
    /// One of a team is chosen when it is carried out.
    AssignFrom {
        /// How.
        mode: AssignMode,
        /// Of which team.
        team: TeamId,
    },
    /// A note for staff, in Markdown.
    Note {
        /// Its text.
        text: String,
    },
    /// An answer to the customer, in Markdown.
    Reply {
        /// Its text.
        text: String,
    },
    /// Tells staff in the application.
    Notify {
        /// Whom.
        to: Vec<NotifyRecipient>,
        /// What, as plain text.
        text: String,
    },
    /// A mail.
    Email {
        /// To whom.
        to: Vec<MailRecipient>,
        /// One line.
        subject: String,
        /// Plain text.
        text: String,
    },
    /// A call of an endpoint.
    Webhook {
        /// Which.
        endpoint: EndpointId,
        /// What it is sent; `None` for the event as the feed shows it.
        payload: Option<Value>,
    },
}

impl Effect {
    /// Whether it changes the ticket's fields, so that rules can hear of it.
    #[must_use]
    pub fn changes_ticket(&self) -> bool {
        match self {
            Effect::Priority { .. }
            | Effect::Status { .. }
            | Effect::Assignee { .. }
            | Effect::Team { .. }
            | Effect::Tags { .. }
            | Effect::CustomField { .. }
            | Effect::SlaPolicy { .. }
            | Effect::AssignFrom { .. }
            | Effect::Reply { .. } => true,
            Effect::Note { .. } | Effect::Notify { .. } | Effect::Email { .. } | Effect::Webhook { .. } => {
                false
            }
        }
    }
}

impl Step {
    /// What is to be done, where something is.
    #[must_use]
    pub fn effect(&self) -> Option<&Effect> {
        match &self.outcome {
            Outcome::Do(effect) => Some(effect),
            Outcome::Unchanged | Outcome::Impossible(_) => None,
        }
    }
}

impl Actions {
    /// What they come to for an event and its ticket, without any rule: for macros, and for the steps of an escalation.
    #[must_use]
    pub fn plan(
        &self,
        happening: &Happening,
        view: Option<&TicketView>,
        surroundings: &dyn Surroundings,
    ) -> Vec<Step> {
        plan(self.as_slice(), &mut Scene::new(happening, view, surroundings))
    }
}

/// Plans actions in their order, and leaves the scene's ticket as they would.
pub(crate) fn plan(actions: &[Action], scene: &mut Scene<'_>) -> Vec<Step> {
    let steps = actions.iter().enumerate();
    steps
        .map(|(index, action)| Step {
            index,
            type_name: action.type_name().to_owned(),
            outcome: one(action, scene),
        })
        .collect()
}

fn one(action: &Action, scene: &mut Scene<'_>) -> Outcome {
    if action.needs_ticket() && scene.view.is_none() {
        return Outcome::Impossible(Impossible::NoTicket);
    }
    match effect(action, scene) {
        Ok(Some(effect)) => {
            apply(&effect, scene);
            Outcome::Do(effect)
        }
        Ok(None) => Outcome::Unchanged,
        Err(why) => Outcome::Impossible(why),
    }
}

/// What an action comes to; `None` where it changes nothing.
fn effect(action: &Action, scene: &Scene<'_>) -> Result<Option<Effect>, Impossible> {
    let ticket = || scene.ticket().ok_or(Impossible::NoTicket);
    let changed = |is_new: bool, effect: Effect| Ok(is_new.then_some(effect));
    match action {
        Action::SetPriority(to) => {
            let (from, to) = (ticket()?.priority, *to);
            changed(from != to, Effect::Priority { from, to })
        }
        Action::SetStatus(to) => {
            let (from, to) = (ticket()?.status, *to);
            changed(from != to, Effect::Status { from, to })
        }
        Action::SetAssignee(to) => {
            let (from, to) = (ticket()?.assignee, *to);
            changed(from != to, Effect::Assignee { from, to })
        }
        Action::SetTeam(to) => {
            let (from, to) = (ticket()?.team, *to);
            changed(from != to, Effect::Team { from, to })
        }
        Action::AddTags(tags) => tags_effect(&ticket()?.tags, tags, &[]),
        Action::RemoveTags(tags) => tags_effect(&ticket()?.tags, &[], tags),
        Action::SetTags(tags) => {
            let present = &ticket()?.tags;
            let gone: Vec<String> = present
                .iter()
                .filter(|tag| !tags.contains(tag))
                .cloned()
                .collect();
            tags_effect(present, tags, &gone)
        }
        Action::SetCustomField { name, value } => {
            let from = ticket()?.custom_fields.get(name).filter(|value| !value.is_null());
            changed(
                from != value.as_ref(),
                Effect::CustomField {
                    name: name.clone(),
                    from: from.cloned(),
                    to: value.clone(),
                },
            )
        }
        Action::SetSlaPolicy(to) => {
            let (from, to) = (ticket()?.sla_policy, *to);
            changed(from != to, Effect::SlaPolicy { from, to })
        }
        Action::AssignFrom { mode, team } => {
            let team = team.or(ticket()?.team).ok_or(Impossible::NoTeam)?;
            Ok(Some(Effect::AssignFrom { mode: *mode, team }))
        }
        Action::AddNote(text) => Ok(Some(Effect::Note {
            text: filled(text, scene, Channel::Markdown)?,
        })),
        Action::SendReply(text) => Ok(Some(Effect::Reply {
            text: filled(text, scene, Channel::Markdown)?,
        })),
        Action::Notify { to, text } => Ok(Some(Effect::Notify {
            to: to.clone(),
            text: filled(text, scene, Channel::Plain)?,
        })),
        Action::SendEmail { to, subject, text } => Ok(Some(Effect::Email {
            to: to.iter().map(|one| reader(one, scene)).collect(),
            subject: filled(subject, scene, Channel::Header)?,
            text: filled(text, scene, Channel::Plain)?,
        })),
        Action::Webhook { endpoint, payload } => {
            let payload = payload.as_ref().map(|payload| payload.filled(scene)).transpose();
            Ok(Some(Effect::Webhook {
                endpoint: *endpoint,
                payload: payload.map_err(|RenderError { .. }| Impossible::Text)?,
            }))
        }
        Action::Stop => Ok(None),
    }
}

/// Who gets a mail: the event's account by its id, since nothing else of the event is kept with what is decided.
fn reader(recipient: &MailRecipient, scene: &Scene<'_>) -> MailRecipient {
    match (recipient, &scene.happening.user) {
        (MailRecipient::User, Some(user)) => MailRecipient::Person(user.id),
        (other, _) => other.clone(),
    }
}

fn filled(text: &Template, scene: &Scene<'_>, channel: Channel) -> Result<String, Impossible> {
    let text = text
        .render(scene, channel)
        .map_err(|RenderError { .. }| Impossible::Text)?;
    // A text of nothing but places to fill in can come out empty, and no message can be.
    if text.trim().is_empty() {
        return Err(Impossible::EmptyText);
    }
    Ok(text)
}

fn tags_effect(present: &[String], add: &[String], remove: &[String]) -> Result<Option<Effect>, Impossible> {
    let added: Vec<String> = add.iter().filter(|tag| !present.contains(tag)).cloned().collect();
    let removed: Vec<String> = present
        .iter()
        .filter(|tag| remove.contains(tag))
        .cloned()
        .collect();
    if added.is_empty() && removed.is_empty() {
        return Ok(None);
    }
    let count = present.len() + added.len() - removed.len();
    if count > TAGS_MAX && !added.is_empty() {
        return Err(Impossible::TooManyTags);
    }
    Ok(Some(Effect::Tags { added, removed }))
}

/// Leaves the scene's ticket as an effect will.
fn apply(effect: &Effect, scene: &mut Scene<'_>) {
    if !effect.changes_ticket() {
        return;
    }
    let surroundings = scene.surroundings;
    let Some(view) = scene.view.as_mut().map(Cow::to_mut) else {
        return;
    };
    let TicketView {
        ticket,
        assignee,
        team_name,
        requester: _,
        url: _,
    } = view;
    match effect {
        Effect::Priority { to, .. } => ticket.priority = *to,
        Effect::Status { to, .. } => ticket.status = *to,
        Effect::Assignee { to, .. } => {
            ticket.assignee = *to;
            *assignee = to.and_then(|id| surroundings.person(id));
        }
        Effect::Team { to, .. } => {
            ticket.team = *to;
            *team_name = to.and_then(|id| surroundings.team_name(id));
        }
        Effect::Tags { added, removed } => {
            ticket.tags.retain(|tag| !removed.contains(tag));
            ticket.tags.extend(added.iter().cloned());
        }
        Effect::CustomField { name, to, .. } => match to {
            Some(value) => {
                ticket.custom_fields.insert(name.clone(), value.clone());
            }
            None => {
                ticket.custom_fields.remove(name);
            }
        },
        Effect::SlaPolicy { to, .. } => ticket.sla_policy = *to,
        // Who it will be, and when the answer is there, shows when it is carried out.
        Effect::AssignFrom { .. }
        | Effect::Reply { .. }
        | Effect::Note { .. }
        | Effect::Notify { .. }
        | Effect::Email { .. }
        | Effect::Webhook { .. } => {}
    }
}

impl Payload {
    fn filled(&self, scene: &Scene<'_>) -> Result<Value, RenderError> {
        Ok(match self {
            Payload::Plain(value) => value.clone(),
            Payload::Literal(text) => Value::String(text.clone()),
            // JSON escapes by itself.
            Payload::Text(template) => Value::String(template.render(scene, Channel::Plain)?),
            Payload::List(parts) => {
                let filled = parts.iter().map(|part| part.filled(scene));
                Value::Array(filled.collect::<Result<_, _>>()?)
            }
            Payload::Object(parts) => {
                let mut members = Map::new();
                for (name, part) in parts {
                    members.insert(name.clone(), part.filled(scene)?);
                }
                Value::Object(members)
            }
        })
    }
}
