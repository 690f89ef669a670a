//! Several changes of a ticket in one step, decided before by something that is no single request: a rule of automation, or
//! a macro that someone applies.

use std::collections::HashMap;
use std::sync::Arc;

use events::{TicketPriority, TicketStatus};
use kernel::{Actor, Classify as _, EventReceipt, Receipt, SystemActor, TeamId, TicketId, UserId, Violation};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::workflow::{give_to, hand_to};
use super::{Guard, STALE_TRIES_MAX, Tickets, Written, dangling, is_empty, refused};
use crate::draft::Draft;
use crate::error::TicketError;
use crate::field_definition::FieldSet;
use crate::machine::ClosedBy;
use crate::policy::{Operation, Relation};
use crate::port::{AssigneeFacts, CommitError, Reference, TicketCommit, TicketWrite};
use crate::routing::port::{TeamRouting, TurnTaken};
use crate::routing::{Candidate, RoutingMode, RoutingSettings, Turn};
use crate::ruling::Action;
use crate::ticket::{Audience, Ticket, TicketKey, Visibility};
use crate::value::{Body, Tags};

/// One thing to do to a ticket.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// Have this priority.
    Priority(TicketPriority),
    /// Be in this status, where the state machine moves so.
    Status(TicketStatus),
    /// Be this person's to answer, or nobody's.
    Assignee(Option<UserId>),
    /// Be someone's of the team, chosen as routing would choose.
    AssignFrom {
        /// The team.
        team: TeamId,
        /// How, whatever the team itself wants.
        mode: RoutingMode,
    },
    /// Lie with this team, or with none. An assignee who does not work there loses it.
    Team(Option<TeamId>),
    /// Have these tags too, and those no longer.
    Tags {
        /// To come.
        added: Tags,
        /// To go.
        removed: Tags,
    },
    /// Custom fields to set, or to take away by null.
    CustomFields(Map<String, Value>),
    /// Be under this SLA policy, or under the one that fits.
    SlaPolicy(Option<Uuid>),
    /// Have this note for staff.
    Note {
        /// Who is shown as its author.
        author: UserId,
        /// The text.
        body: Body,
    },
    /// Have this answer to the customer.
    Reply {
        /// Who is shown as its author.
        author: UserId,
        /// The text.
        body: Body,
    },
}

/// What became of a deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeedResult {
    /// It changed the ticket.
    Done,
    /// The ticket is so already.
    Unchanged,
    /// It was refused, by the code that a request for it would be answered with.
    Refused(&'static str),
}

/// What brought deeds about.
#[derive(Debug, Clone)]
pub struct DeedOrigin {
    /// What kind of thing: `rule`, `slaPolicy`. The history names it to staff by this member, and by this and `Id`.
    pub kind: &'static str,
    /// Which.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// The rules that led to what the deeds publish, see [`events::Event::chain`].
    pub chain: Arc<Value>,
    /// Makes the step happen once.
    pub receipt: EventReceipt,
}

/// Carries deeds out.
pub struct Deeds {
    tickets: Arc<Tickets>,
    routing: Arc<dyn TeamRouting>,
}

/// What deeds are judged by, besides the ticket.
#[derive(Default)]
struct Known {
    assignees: HashMap<UserId, AssigneeFacts>,
    teams: HashMap<TeamId, bool>,
    turns: HashMap<TeamId, Turn>,
    fields: Arc<FieldSet>,
    /// The tickets that it waits for before it can be resolved or closed, as far as they are seen; `None` where it need not.
    blocked_by: Option<Vec<String>>,
}

impl Deeds {
    /// Deeds on these tickets.
    #[must_use]
    pub fn new(tickets: Arc<Tickets>, routing: Arc<dyn TeamRouting>) -> Self {
        Self { tickets, routing }
    }

    /// Does, as the desk itself, what of these can be done, in their order and in one commit with the receipt; says what
    /// became of each. One that is refused leaves the others alone.
    ///
    /// # Errors
    /// [`TicketError::Repeated`] where it was done before, [`TicketError::NotFound`] for a ticket that is not there or
    /// deleted, [`TicketError::Stale`] when others keep being faster, and whatever a port fails with.
    pub async fn carry_out(
        &self,
        ticket: TicketId,
        deeds: &[Deed],
        origin: &DeedOrigin,
    ) -> Result<Vec<DeedResult>, TicketError> {
        let actor = Actor::System(SystemActor::Automation);
        let key = TicketKey::Id(ticket);
        for _ in 0..STALE_TRIES_MAX {
            let (ticket, relation) = self.tickets.shown(&actor, &key).await?;
            let known = self.known(&actor, &ticket, relation, deeds).await?;
            let circumstances = self.tickets.circumstances(&actor);
            let mut draft = Draft::change(&circumstances, ticket);
            let mut taken = None;
            let mut results = Vec::with_capacity(deeds.len());
            for deed in deeds {
                results.push(match one(&mut draft, &actor, deed, &known, &mut taken) {
                    Ok(true) => DeedResult::Done,
                    Ok(false) => DeedResult::Unchanged,
                    Err(TicketError::Port(error)) => return Err(error.into()),
                    Err(error) => DeedResult::Refused(error.code()),
                });
            }
            let (mut commit, mut ticket) = draft.finish();
            for event in &mut commit.events {
                event.chain = Some(Arc::clone(&origin.chain));
            }
            name_source(&mut commit, origin.kind, origin.id, &origin.name);
            self.tickets
                .let_clocks_follow(&mut commit, &mut ticket, &circumstances)
                .await?;
            if commit.ticket == TicketWrite::Unchanged {
                // Nothing to store is nothing to store twice.
                return Ok(results);
            }
            commit.receipt = Some(Receipt::Event(origin.receipt.clone()));
            let stored = match taken {
                Some(taken) => self.routing.assign(commit, taken).await,
                None => self.tickets.store.commit(commit).await,
            };
            match stored {
                Ok(()) => return Ok(results),
                Err(error) if self.tickets.is_overtaken(&error) => {}
                // Whom it names went meanwhile, and is refused the next time.
                Err(CommitError::Dangling(_)) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(TicketError::Stale { current: None })
    }

    /// Does all of these in the caller's name, in their order and in one commit, or none of them. The history names the macro
    /// that had them done.
    ///
    /// # Errors
    /// What a request for the first that cannot be done would be answered with; [`TicketError::Stale`].
    pub async fn apply(
        &self,
        actor: &Actor,
        key: &TicketKey,
        deeds: &[Deed],
        (id, name): (Uuid, &str),
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, TicketError> {
        for _ in 0..STALE_TRIES_MAX {
            let (ticket, relation) = self.tickets.live(actor, key).await?;
            let known = self.known(actor, &ticket, relation, deeds).await?;
            let mut taken = None;
            let decide = |draft: &mut Draft<'_>| {
                for deed in deeds {
                    one(draft, actor, deed, &known, &mut taken)?;
                }
                Ok(())
            };
            let decided = self
                .tickets
                .decided(actor, ticket, relation, guard, decide)
                .await?;
            let (mut commit, written) = decided;
            if is_empty(&commit) {
                return Ok(written);
            }
            name_source(&mut commit, "macro", id, name);
            let stored = match taken {
                Some(taken) => self.routing.assign(commit, taken).await,
                None => self.tickets.store.commit(commit).await,
            };
            match stored {
                Ok(()) => return Ok(written),
                Err(error) if self.tickets.is_overtaken(&error) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        Err(TicketError::Stale { current: None })
    }

    async fn known(
        &self,
        actor: &Actor,
        ticket: &Ticket,
        relation: Relation,
        deeds: &[Deed],
    ) -> Result<Known, TicketError> {
        let mut known = Known::default();
        let mut people: Vec<UserId> = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Assignee(assignee) => people.extend(*assignee),
                Deed::Team(team) => {
                    people.extend(ticket.assignee);
                    if let Some(team) = team {
                        let exists = self.tickets.directory.team_exists(*team).await?;
                        known.teams.insert(*team, exists);
                    }
                }
                Deed::AssignFrom { team, mode } => {
                    if let Some(turn) = self.routing.opened(*team).await? {
                        people.extend(next_of(&turn, *mode).map(|next| next.availability.user));
                        known.turns.insert(*team, turn);
                    }
                }
                Deed::CustomFields(_) => known.fields = self.tickets.field_set().await?,
                Deed::Status(to) if *to != ticket.status() && known.blocked_by.is_none() => {
                    match self.tickets.waits(actor, ticket, relation, *to).await {
                        Ok(()) => {}
                        Err(TicketError::Blocked { by }) => known.blocked_by = Some(by),
                        Err(error) => return Err(error),
                    }
                }
                Deed::Priority(_)
                | Deed::Status(_)
                | Deed::Tags { .. }
                | Deed::SlaPolicy(_)
                | Deed::Note { .. }
                | Deed::Reply { .. } => {}
            }
        }
        people.sort_unstable();
        people.dedup();
        if !people.is_empty() {
            known.assignees = self
                .tickets
                .directory
                .assignees(&people)
                .await?
                .into_iter()
                .collect();
        }
        Ok(known)
    }
}

/// Has the history name what brought a change about: its kind with its name, and with `Id` behind it its id.
fn name_source(commit: &mut TicketCommit, kind: &str, id: Uuid, name: &str) {
    for activity in &mut commit.activities {
        if let Value::Object(members) = &mut activity.metadata {
            members.insert(format!("{kind}Id"), Value::from(id.to_string()));
            members.insert(kind.to_owned(), Value::from(name));
        }
    }
}

/// Does one deed on a draft; gives whether it changed anything. What is refused leaves the draft as it was.
fn one(
    draft: &mut Draft<'_>,
    actor: &Actor,
    deed: &Deed,
    known: &Known,
    taken: &mut Option<TurnTaken>,
) -> Result<bool, TicketError> {
    if let Some(target) = draft.ticket().merged_into {
        return Err(TicketError::Merged(target));
    }
    let traces = draft.traces();
    match deed {
        Deed::Priority(priority) => {
            draft.allow(Action::SetPriority)?;
            draft.set_priority(*priority);
        }
        Deed::Status(to) => {
            if *to != draft.ticket().status() {
                draft.require(Action::SetStatus(*to))?;
                if let Some(by) = &known.blocked_by
                    && matches!(to, TicketStatus::Resolved | TicketStatus::Closed)
                {
                    return Err(TicketError::Blocked { by: by.clone() });
                }
                draft.set_status(*to, ClosedBy::Person, None)?;
            }
        }
        Deed::Assignee(None) => {
            draft.allow(Action::Unassign)?;
            draft.set_assignee(None);
        }
        Deed::Assignee(Some(assignee)) => {
            if draft.ticket().assignee != Some(*assignee) {
                give_to(draft, actor, *assignee, known.assignees.get(assignee), "/actions")?;
            }
        }
        Deed::AssignFrom { team, mode } => {
            if taken.is_some() {
                return Ok(false);
            }
            let turn = known.turns.get(team).ok_or_else(|| dangling(Reference::Team))?;
            let next = next_of(turn, *mode).ok_or_else(nobody)?;
            let agent = next.availability.user;
            give_to(draft, actor, agent, known.assignees.get(&agent), "/actions")?;
            if draft.traces() > traces {
                *taken = Some(TurnTaken::of(turn, next));
            }
        }
        Deed::Team(team) => {
            draft.allow(Action::Transfer)?;
            if team.is_some_and(|team| known.teams.get(&team) != Some(&true)) {
                return Err(dangling(Reference::Team).into());
            }
            let facts = draft.ticket().assignee.and_then(|one| known.assignees.get(&one));
            hand_to(draft, *team, facts);
        }
        Deed::Tags { added, removed } => {
            draft.allow(Action::EditTags)?;
            let tags = draft.ticket().tags.without(removed).with("/tags", added)?;
            draft.set_tags(tags);
        }
        Deed::CustomFields(changes) => {
            draft.allow(Action::EditCustomFields)?;
            let audience = draft.relation().audience().unwrap_or(Audience::Customer);
            known.fields.check_changes(changes, audience)?;
            let fields = draft
                .ticket()
                .custom_fields
                .merged("/customFields", changes.clone())?;
            draft.set_custom_fields(fields);
        }
        Deed::SlaPolicy(policy) => {
            draft.permit(Operation::SetSlaPolicy, "choose the SLA policy of this ticket")?;
            draft.set_sla_policy(*policy);
        }
        Deed::Note { author, body } => {
            draft.allow(Action::AddNote)?;
            draft.add_note(*author, body.clone(), &[]);
        }
        Deed::Reply { author, body } => {
            draft.allow(Action::Reply)?;
            draft.add_message(*author, body.clone(), Visibility::Public, &[])?;
        }
    }
    Ok(draft.traces() > traces)
}

/// Who of a team is next in this mode.
fn next_of(turn: &Turn, mode: RoutingMode) -> Option<&Candidate> {
    let settings = RoutingSettings {
        mode,
        ..turn.settings
    };
    let wanted = Turn {
        settings,
        ..turn.clone()
    };
    let agent = wanted.next()?.availability.user;
    turn.candidates.iter().find(|one| one.availability.user == agent)
}

fn nobody() -> TicketError {
    Violation::new(
        "/actions",
        "nobody_available",
        "must find someone of the team who can be given a ticket",
    )
    .into()
}
