//! What automation asks of the other domains: the tickets and people that rules look at, what they name, and what they do.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use automation::action::{AssignMode, MailRecipient, NotifyRecipient};
use automation::webhook::{Doer, Sent};
use automation::{
    AutomationError, Carried, Chain, Directory, Effect, Effects, Explanation, Happening, KnownEndpoints,
    MacroId, Macros, MessageFacts, PersonFacts, QueueCalls, RuleId, RuleStore, Run, RunKey, RunState, Scenes,
    SlaMetric, StepResult, Surroundings, Target, TicketFacts, TicketView, TriggerKind, World, step_actions,
};
use chrono::{DateTime, Utc};
use events::{Event, Fact, HandleError, IdentityFact, Subscriber, TicketFact};
use http::app::{MacroEffects, MacroError};
use identity::ports::{TeamStore, UserStore};
use identity::{User, UserStatus};
use kernel::{
    Actor, Classify as _, Clock, EventId, EventReceipt, IdSource, MessageId, PageLimit, Person, PortError,
    Receipt, SystemActor, TicketId, UserId, Version, Violation,
};
use notifications::{CommitError, Kind, Notification, NotificationCommit, NotificationId, NotificationStore};
use postgres::PgOutbox;
use serde_json::{Map, Value, json};
use sla::{KnownPolicies, PolicyId, PolicyRef, PolicyStore as _, SlaPolicy};
use ticketing::{
    Body, Deed, DeedOrigin, DeedResult, Deeds, Guard, JobError, Jobs, RoutingMode, Tags, Ticket, TicketError,
    TicketKey, Tickets, Visibility, Written,
};
use uuid::Uuid;

/// The most people that one step tells in the application.
const TOLD_MAX: usize = 100;

fn desk() -> Actor {
    Actor::System(SystemActor::Automation)
}

fn bug(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError::Bug {
        port: "automation",
        source: error.into(),
    }
}

/// The tickets, people and hours that rules look at.
pub(crate) struct DeskScenes {
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) users: Arc<dyn UserStore>,
    pub(crate) teams: Arc<dyn TeamStore>,
    pub(crate) policies: Arc<KnownPolicies>,
    pub(crate) public_url: Option<String>,
}

impl DeskScenes {
    async fn found(&self, id: UserId) -> Result<Option<PersonFacts>, PortError> {
        let user = self.users.user(id).await?;
        Ok(user.filter(|user| user.deleted_at.is_none()).map(facts_of))
    }
}

fn facts_of(user: User) -> PersonFacts {
    PersonFacts {
        id: user.id,
        name: user.name.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        role: user.role,
    }
}

fn ticket_facts(ticket: &Ticket) -> TicketFacts {
    let face = &ticket.staff_face;
    let rated = ticket.satisfaction.as_ref();
    TicketFacts {
        id: ticket.id,
        number: ticket.number.as_str().to_owned(),
        subject: ticket.subject.as_str().to_owned(),
        description: ticket.description.as_str().to_owned(),
        status: ticket.status(),
        priority: ticket.priority,
        channel: ticket.channel,
        requester: ticket.requester,
        assignee: ticket.assignee,
        team: ticket.team,
        tags: ticket.tags.as_slice().to_vec(),
        custom_fields: ticket.custom_fields.as_map().clone(),
        created_at: ticket.created_at,
        updated_at: face.updated_at,
        first_response_at: ticket.first_response_at,
        resolved_at: ticket.standing.resolved_at(),
        closed_at: ticket.standing.closed_at(),
        auto_closed_at: ticket.standing.auto_closed_at(),
        message_count: u32::try_from(face.message_count).unwrap_or(0),
        last_message_at: face.last_message_at,
        satisfaction_score: rated.map(|given| given.rating.score.get()),
        rated_at: rated.map(|given| given.rated_at),
        sla_policy: ticket.sla_policy,
        sla_due_at: ticket.sla_due_at,
        sla_breached: ticket.sla_breached,
    }
}

/// What a refusal of tickets is to who only looks; a ticket that is not there is none.
fn seen<T>(result: Result<T, TicketError>) -> Result<Option<T>, PortError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(TicketError::NotFound | TicketError::Deleted | TicketError::MessageNotFound) => Ok(None),
        Err(TicketError::Port(error)) => Err(error),
        Err(error) => Err(bug(error)),
    }
}

#[async_trait]
impl Scenes for DeskScenes {
    async fn ticket(&self, id: TicketId) -> Result<Option<TicketView>, PortError> {
        let Some(view) = seen(self.tickets.show(&desk(), &TicketKey::Id(id), false).await)? else {
            return Ok(None);
        };
        let ticket = view.ticket;
        let requester = self.found(ticket.requester).await?;
        let assignee = match ticket.assignee {
            Some(assignee) => self.found(assignee).await?,
            None => None,
        };
        let team = match ticket.team {
            Some(team) => self.teams.team(team).await?,
            None => None,
        };
        let url = self.public_url.as_ref();
        Ok(Some(TicketView {
            url: url.map(|url| format!("{url}/tickets/{}", ticket.number.as_str())),
            ticket: ticket_facts(&ticket),
            requester,
            assignee,
            team_name: team.map(|team| team.name.as_str().to_owned()),
        }))
    }

    async fn message(&self, ticket: TicketId, id: MessageId) -> Result<Option<MessageFacts>, PortError> {
        let found = self.tickets.message(&desk(), &TicketKey::Id(ticket), id).await;
        let Some(message) = seen(found)? else {
            return Ok(None);
        };
        let Some(author) = self.users.user(message.sender).await? else {
            return Ok(None);
        };
        Ok(Some(MessageFacts {
            id,
            body: message.body.as_str().to_owned(),
            is_internal: message.visibility == Visibility::Internal,
            author: author.id,
            author_role: author.role,
        }))
    }

    async fn person(&self, id: UserId) -> Result<Option<PersonFacts>, PortError> {
        self.found(id).await
    }

    async fn surroundings(&self) -> Result<Box<dyn Surroundings + Send + Sync>, PortError> {
        Ok(Box::new(PolicyHours(self.policies.present().await?)))
    }

    async fn select<'a>(
        &self,
        filter: Option<&'a Value>,
        tickets_max: usize,
    ) -> Result<Vec<TicketId>, PortError> {
        match self.jobs.selected(filter, tickets_max).await {
            Ok(tickets) => Ok(tickets),
            Err(JobError::Port(error)) => Err(error),
            Err(error) => Err(bug(error)),
        }
    }
}

/// The hours of policies; of the default where none is named.
struct PolicyHours(Arc<Vec<SlaPolicy>>);

impl Surroundings for PolicyHours {
    fn is_open(&self, policy: Option<Uuid>, at: DateTime<Utc>) -> Option<bool> {
        let named = |id: Uuid| self.0.iter().find(|one| one.id == PolicyId(id));
        let policy = policy
            .and_then(named)
            .or_else(|| self.0.iter().find(|one| one.is_default))?;
        match policy.promise.hours.in_force() {
            None => Some(true),
            Some(calendar) => calendar.is_open(at).ok(),
        }
    }
}

async fn is_policy(policies: &KnownPolicies, id: Uuid) -> Result<bool, PortError> {
    let policies = policies.present().await?;
    Ok(policies.iter().any(|policy| policy.id == PolicyId(id)))
}

/// What rules can name.
pub(crate) struct DeskDirectory {
    pub(crate) users: Arc<dyn UserStore>,
    pub(crate) teams: Arc<dyn TeamStore>,
    pub(crate) policies: Arc<KnownPolicies>,
    pub(crate) endpoints: Arc<KnownEndpoints>,
}

#[async_trait]
impl Directory for DeskDirectory {
    async fn world(&self, targets: &[Target]) -> Result<World, PortError> {
        let mut world = World::default();
        let mut asked = HashSet::new();
        for target in targets.iter().filter(|target| asked.insert(**target)) {
            match *target {
                Target::User(id) | Target::Staff(id) => {
                    let user = self.users.user(id).await?;
                    let acts = |user: &User| user.status == UserStatus::Active && user.deleted_at.is_none();
                    world.users.extend(user.filter(acts).map(|user| (id, user.role)));
                }
                Target::Team(id) => world.teams.extend(self.teams.team(id).await?.map(|team| team.id)),
                Target::SlaPolicy(id) => {
                    let is_there = is_policy(&self.policies, id).await?;
                    world.sla_policies.extend(is_there.then_some(id));
                }
                Target::Endpoint(id) | Target::StaffEndpoint(id) => {
                    let endpoints = self.endpoints.present().await?;
                    let found = endpoints.iter().find(|endpoint| endpoint.id == id);
                    world
                        .endpoints
                        .extend(found.map(|endpoint| (id, endpoint.content.audience)));
                }
                Target::Mail => world.sends_mail = true,
            }
        }
        Ok(world)
    }
}

/// Carries out what rules decided.
pub(crate) struct DeskEffects {
    pub(crate) deeds: Arc<Deeds>,
    pub(crate) scenes: Arc<dyn Scenes>,
    pub(crate) calls: Arc<QueueCalls>,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) rules: Arc<dyn RuleStore>,
    pub(crate) directory: Arc<dyn ticketing::Directory>,
    pub(crate) teams: Arc<dyn TeamStore>,
    pub(crate) policies: Arc<KnownPolicies>,
    pub(crate) notifications: Arc<dyn NotificationStore>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) outbox: Arc<PgOutbox>,
}

/// What a step is to a ticket.
enum Planned {
    Deed(Deed),
    Refused(&'static str),
    Elsewhere,
}

#[async_trait]
impl Effects for DeskEffects {
    /// Changes of the ticket come first, in one commit; then whatever else the rule does, in its order.
    async fn apply(&self, run: &Run) -> Result<Vec<StepResult>, PortError> {
        self.perform(run, Doer::Rule(run.key.rule)).await
    }
}

fn result(index: usize, result: Carried) -> StepResult {
    StepResult { index, result }
}

fn refused(code: &str) -> Carried {
    Carried::Refused(code.to_owned())
}

impl DeskEffects {
    /// Carries out what a rule decided, or a step of an SLA policy that is put as a run of one.
    async fn perform(&self, run: &Run, doer: Doer) -> Result<Vec<StepResult>, PortError> {
        let mut results: Vec<StepResult> = Vec::new();
        let (mut deeds, mut places) = (Vec::new(), Vec::new());
        let steps = run.steps.iter();
        let todo: Vec<_> = steps
            .filter_map(|step| Some((step.index, step.effect()?)))
            .collect();
        let writes = |effect: &Effect| matches!(effect, Effect::Note { .. } | Effect::Reply { .. });
        let author = if todo.iter().any(|(_, effect)| writes(effect)) {
            self.author(doer).await?
        } else {
            None
        };
        for (index, effect) in &todo {
            match self.planned(effect, author).await? {
                Planned::Deed(deed) => {
                    deeds.push(deed);
                    places.push(*index);
                }
                Planned::Refused(code) => results.push(result(*index, refused(code))),
                Planned::Elsewhere => {}
            }
        }
        if let Some(ticket) = run.ticket.filter(|_| !deeds.is_empty()) {
            let carried = self.on_ticket(run, doer, ticket, &deeds).await?;
            results.extend(
                places
                    .into_iter()
                    .zip(carried)
                    .map(|(index, carried)| result(index, carried)),
            );
        }
        for (index, effect) in &todo {
            let step = Sent {
                id: run.key.step_id(*index),
                doer,
                event: run.key.event,
                ticket: run.ticket,
                at: run.at,
            };
            if let Some(carried) = self.outside(&step, &run.name, effect).await? {
                results.push(result(*index, carried));
            }
        }
        results.sort_by_key(|result| result.index);
        Ok(results)
    }

    /// Who is shown as the author of what a rule writes: who made it, where that one is still of the staff.
    async fn author(&self, doer: Doer) -> Result<Option<UserId>, PortError> {
        let Doer::Rule(rule) = doer else {
            return Ok(None);
        };
        let Some(rule) = self.rules.rule(rule).await? else {
            return Ok(None);
        };
        let owner = self.directory.acting(UserId(rule.created_by)).await?;
        Ok(owner.filter(Person::is_staff).map(|person| person.id))
    }

    async fn planned(&self, effect: &Effect, author: Option<UserId>) -> Result<Planned, PortError> {
        Ok(match effect {
            Effect::SlaPolicy { to: Some(to), .. } => {
                if is_policy(&self.policies, *to).await? {
                    Planned::Deed(Deed::SlaPolicy(Some(*to)))
                } else {
                    Planned::Refused("sla_policy.not_found")
                }
            }
            Effect::Note { .. } | Effect::Reply { .. } if author.is_none() => {
                Planned::Refused("rule.author_gone")
            }
            Effect::Notify { .. } | Effect::Webhook { .. } | Effect::Email { .. } => Planned::Elsewhere,
            _ => deed_of(effect, author).map_or(Planned::Refused("request.invalid"), Planned::Deed),
        })
    }

    async fn on_ticket(
        &self,
        run: &Run,
        doer: Doer,
        ticket: TicketId,
        deeds: &[Deed],
    ) -> Result<Vec<Carried>, PortError> {
        let origin = DeedOrigin {
            kind: doer.kind(),
            id: doer.id(),
            name: run.name.clone(),
            chain: Arc::new(serde_json::to_value(&run.chain).map_err(bug)?),
            receipt: run.key.ticket_receipt(),
        };
        let all = |carried: Carried| deeds.iter().map(|_| carried.clone()).collect();
        Ok(match self.deeds.carry_out(ticket, deeds, &origin).await {
            Ok(results) => results.into_iter().map(carried).collect(),
            Err(TicketError::Repeated) => all(Carried::Done),
            // What cannot be read, or is our own mistake, no later try mends; the run log tells of it.
            Err(TicketError::Port(error @ (PortError::Corrupt { .. } | PortError::Bug { .. }))) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "what a rule decided could not be carried out"
                );
                all(refused(error.code()))
            }
            Err(TicketError::Port(error)) => return Err(error),
            Err(error @ TicketError::Stale { .. }) => {
                return Err(PortError::Unavailable {
                    port: "tickets",
                    source: error.into(),
                });
            }
            Err(error) => all(refused(error.code())),
        })
    }

    /// Tells people and sends calls, once for each step; `None` for what is no such effect.
    async fn outside(&self, step: &Sent, name: &str, effect: &Effect) -> Result<Option<Carried>, PortError> {
        Ok(match effect {
            Effect::Notify { to, text } => Some(self.tell(step, name, to, text).await?),
            Effect::Webhook { endpoint, payload } => {
                // As the ticket stands after what was done to it.
                let view = match step.ticket {
                    Some(ticket) => self.scenes.ticket(ticket).await?,
                    None => None,
                };
                let queued = self
                    .calls
                    .of_step(step, *endpoint, payload.as_ref(), view.as_ref());
                Some(queued.await?)
            }
            Effect::Email { to, subject, text } => Some(self.write(step, to, subject, text).await?),
            _ => None,
        })
    }

    /// Has mails sent, one to each: to accounts whose address is proved, and to addresses that the rule names.
    async fn write(
        &self,
        step: &Sent,
        to: &[MailRecipient],
        subject: &str,
        text: &str,
    ) -> Result<Carried, PortError> {
        let ticket = match step.ticket {
            Some(ticket) => self.scenes.ticket(ticket).await?.map(|view| view.ticket),
            None => None,
        };
        let mut readers: Vec<(Option<UserId>, Option<String>)> = Vec::new();
        for recipient in to {
            let reader = match recipient {
                MailRecipient::Requester => (ticket.as_ref().map(|ticket| ticket.requester), None),
                MailRecipient::Assignee => (ticket.as_ref().and_then(|ticket| ticket.assignee), None),
                // Decided to be a person where there is one.
                MailRecipient::User => (None, None),
                MailRecipient::Person(user) => (Some(*user), None),
                MailRecipient::Address(address) => (None, Some(address.clone())),
            };
            if reader != (None, None) && !readers.contains(&reader) {
                readers.push(reader);
            }
        }
        if readers.is_empty() {
            return Ok(Carried::Unchanged);
        }
        let now = self.clock.now();
        let source = step.doer.id();
        let events = readers.into_iter().map(|(user, address)| {
            let fact = IdentityFact::MailWritten {
                user,
                address,
                subject: subject.to_owned(),
                text: text.to_owned(),
                source,
            };
            Event::new(self.ids.as_ref(), now, &desk(), Fact::Identity(fact))
        });
        let receipt = EventReceipt {
            subscriber: automation::SUBSCRIBER,
            event: EventId(step.id),
            step: "mail",
        };
        self.outbox.publish(&events.collect::<Vec<_>>(), receipt).await?;
        Ok(Carried::Done)
    }

    async fn tell(
        &self,
        step: &Sent,
        name: &str,
        to: &[NotifyRecipient],
        text: &str,
    ) -> Result<Carried, PortError> {
        let ticket = match step.ticket {
            Some(ticket) => {
                let Some(view) = seen(self.tickets.show(&desk(), &TicketKey::Id(ticket), false).await)?
                else {
                    return Ok(refused("ticket.not_found"));
                };
                Some(view.ticket)
            }
            None => None,
        };
        let mut told: Vec<UserId> = Vec::new();
        for recipient in to {
            match (recipient, &ticket) {
                (NotifyRecipient::Person(user), _) => told.push(*user),
                (NotifyRecipient::Assignee, Some(ticket)) => told.extend(ticket.assignee),
                (NotifyRecipient::Followers, Some(ticket)) => told.extend(&ticket.followers),
                (NotifyRecipient::Team, Some(ticket)) => {
                    if let Some(team) = ticket.team {
                        let members = self
                            .teams
                            .members(team, None, PageLimit::new(PageLimit::MAX).unwrap_or_default())
                            .await?;
                        told.extend(members.items.iter().map(|one| one.member.user_id));
                    }
                }
                (NotifyRecipient::Assignee | NotifyRecipient::Followers | NotifyRecipient::Team, None) => {}
            }
        }
        told.sort_unstable();
        told.dedup();
        told.truncate(TOLD_MAX);
        if told.is_empty() {
            return Ok(Carried::Unchanged);
        }
        let id = EventId(step.id);
        let member = step.doer.id_member();
        let doer = step.doer.id();
        let (title, data) = match &ticket {
            Some(ticket) => {
                let number = ticket.number.as_str();
                let data = json!({ "ticketId": ticket.id, "ticketNumber": number, member: doer });
                (format!("{number}: {name}"), data)
            }
            None => (name.to_owned(), json!({ member: doer })),
        };
        let title: String = title.chars().take(Notification::TITLE_CHARS_MAX).collect();
        let kind = if ticket.is_some() {
            Kind::Rule
        } else {
            Kind::RuleNews
        };
        let notification = |user: UserId| Notification {
            id: NotificationId::new(self.ids.as_ref()),
            user,
            kind,
            title: title.clone(),
            message: text.to_owned(),
            data: data.clone(),
            read_at: None,
            created_at: step.at,
            dedupe_key: Some(format!("rule:{}", id.0)),
        };
        let commit = NotificationCommit {
            notifications: told.into_iter().map(notification).collect(),
            receipt: Receipt::Event(EventReceipt {
                subscriber: automation::SUBSCRIBER,
                event: id,
                step: "notify",
            }),
        };
        match self.notifications.commit(commit).await {
            Ok(()) | Err(CommitError::Repeated) => Ok(Carried::Done),
            Err(CommitError::Port(error)) => Err(error),
        }
    }
}

/// Carries out the actions of policies' steps as they are told.
pub(crate) struct RunSteps(pub(crate) Arc<DeskEffects>);

impl RunSteps {
    /// The step that an event tells of, as a run; `None` where it has no actions.
    async fn run(&self, event: &Event) -> Result<Option<(Run, Doer)>, PortError> {
        let DeskEffects { policies, scenes, .. } = self.0.as_ref();
        let Fact::Ticket { ticket, what } = &event.fact else {
            return Ok(None);
        };
        let (TicketFact::SlaWarning {
            metric,
            at,
            policy,
            policy_version,
            ..
        }
        | TicketFact::SlaEscalated {
            metric,
            at,
            policy,
            policy_version,
            ..
        }) = what
        else {
            return Ok(None);
        };
        let reference = PolicyRef {
            id: PolicyId(*policy),
            version: Version(*policy_version),
        };
        let Some(terms) = policies.terms(reference).await? else {
            return Ok(None);
        };
        let is_told = |step: &&sla::Step| step.metric.as_str() == metric && step.at.to_string() == *at;
        let step = terms.promise.escalation.steps().iter().find(is_told);
        let Some(step) = step.filter(|step| !step.actions.is_empty()) else {
            return Ok(None);
        };
        let actions = match step_actions(&Value::Array(step.actions.clone()), "") {
            Ok(actions) => actions,
            Err(faults) => {
                // Another client's: it is told all the same, and does nothing.
                tracing::warn!(policy = %policy, %faults, "a step of an SLA policy has actions that are none");
                return Ok(None);
            }
        };
        let Some(view) = scenes.ticket(ticket.id).await? else {
            return Ok(None);
        };
        let kind = match what {
            TicketFact::SlaWarning { .. } => TriggerKind::SlaWarning,
            _ => TriggerKind::SlaBreached,
        };
        let happening = Happening {
            sla: SlaMetric::ALL.into_iter().find(|one| one.as_str() == metric),
            ..Happening::new(event.id, kind, event.at)
        };
        let surroundings = scenes.surroundings().await?;
        let steps = actions.plan(&happening, Some(&view), surroundings.as_ref());
        let present = policies.present().await?;
        let named = present.iter().find(|one| one.id == reference.id);
        let run = Run {
            key: RunKey {
                rule: RuleId(*policy),
                event: event.id,
            },
            version: reference.version,
            name: named.map_or_else(|| "SLA".to_owned(), |one| one.name.as_str().to_owned()),
            ticket: Some(ticket.id),
            at: event.at,
            place: 0,
            explanation: Explanation {
                holds: true,
                conditions: Vec::new(),
            },
            steps,
            chain: Chain::default(),
            state: RunState::Planned,
        };
        Ok(Some((run, Doer::SlaStep(*policy))))
    }
}

#[async_trait]
impl Subscriber for RunSteps {
    fn name(&self) -> &'static str {
        "sla_steps"
    }

    /// The same event again does nothing twice: the ticket's commit has a receipt, and what is told or sent an id, of event and
    /// policy.
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let done = async {
            let Some((run, doer)) = self.run(event).await? else {
                return Ok(());
            };
            for StepResult { index, result } in self.0.perform(&run, doer).await? {
                if let Carried::Refused(code) = result {
                    tracing::warn!(
                        policy = %run.key.rule,
                        action = index,
                        code,
                        "an action of an SLA policy's step was refused"
                    );
                }
            }
            Ok(())
        };
        done.await.map_err(HandleError::of_port)
    }
}

/// How often what a macro tells and sends is tried.
const OUTSIDE_TRIES_MAX: u32 = 3;

/// Applies macros.
pub(crate) struct DeskMacros {
    pub(crate) macros: Arc<Macros>,
    pub(crate) effects: Arc<DeskEffects>,
}

#[async_trait]
impl MacroEffects for DeskMacros {
    async fn apply(
        &self,
        actor: &Actor,
        key: &TicketKey,
        id: MacroId,
        guard: Guard<'_, Written<()>>,
    ) -> Result<Written<()>, MacroError> {
        let effects = &self.effects;
        // Whoever may not apply it learns nothing of the ticket by it.
        self.macros.show(actor, id).await?;
        let ticket = effects.tickets.with_clocks(actor, key).await?.id;
        let view = effects.scenes.ticket(ticket).await?;
        let view = view.ok_or(TicketError::NotFound)?;
        let surroundings = effects.scenes.surroundings().await?;
        let applied = self.macros.plan(actor, id, &view, surroundings.as_ref()).await?;
        let steps = applied.steps.iter();
        let todo: Vec<_> = steps
            .filter_map(|step| Some((step.index, step.effect()?)))
            .collect();
        let mut deeds = Vec::new();
        for (index, effect) in &todo {
            match effects.planned(effect, actor.user_id()).await? {
                Planned::Deed(deed) => deeds.push(deed),
                Planned::Refused(code) => {
                    let message = format!("cannot be done: {code}");
                    let violation = Violation::new(format!("/actions/{index}"), "refused", message);
                    return Err(AutomationError::from(violation).into());
                }
                Planned::Elsewhere => {}
            }
        }
        let name = &applied.one.content.name;
        let written = effects
            .deeds
            .apply(actor, key, &deeds, (id.0, name), guard)
            .await?;
        for (index, effect) in todo {
            let step = Sent {
                id: applied.step_id(index),
                doer: Doer::Macro(id),
                event: applied.event,
                ticket: Some(ticket),
                at: applied.at,
            };
            // The ticket is changed by now: what cannot be told is not taken back, and whoever looks after the server hears of it.
            for tried in 1..=OUTSIDE_TRIES_MAX {
                match effects.outside(&step, name, effect).await {
                    Ok(_) => break,
                    Err(error) if tried == OUTSIDE_TRIES_MAX => {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "what a macro tells or sends could not be stored");
                    }
                    Err(_) => {}
                }
            }
        }
        Ok(written)
    }
}

fn carried(result: DeedResult) -> Carried {
    match result {
        DeedResult::Done => Carried::Done,
        DeedResult::Unchanged => Carried::Unchanged,
        DeedResult::Refused(code) => refused(code),
    }
}

/// What an effect is to a ticket; `None` for what is no change of one, or can be none: a text that is too long once it is filled in.
fn deed_of(effect: &Effect, author: Option<UserId>) -> Option<Deed> {
    let tags = |tags: &[String]| Tags::parse("/tags", tags).ok();
    let body = |text: &str| Body::parse("/message", text).ok();
    Some(match effect {
        Effect::Priority { to, .. } => Deed::Priority(*to),
        Effect::Status { to, .. } => Deed::Status(*to),
        Effect::Assignee { to, .. } => Deed::Assignee(*to),
        Effect::Team { to, .. } => Deed::Team(*to),
        Effect::Tags { added, removed } => Deed::Tags {
            added: tags(added)?,
            removed: Tags::stored(removed.clone()),
        },
        Effect::CustomField { name, to, .. } => {
            let value = to.clone().unwrap_or(Value::Null);
            Deed::CustomFields(Map::from_iter([(name.clone(), value)]))
        }
        Effect::SlaPolicy { to, .. } => Deed::SlaPolicy(*to),
        Effect::AssignFrom { mode, team } => Deed::AssignFrom {
            team: *team,
            mode: match mode {
                AssignMode::RoundRobin => RoutingMode::RoundRobin,
                AssignMode::LeastLoaded => RoutingMode::LeastLoaded,
            },
        },
        Effect::Note { text } => Deed::Note {
            author: author?,
            body: body(text)?,
        },
        Effect::Reply { text } => Deed::Reply {
            author: author?,
            body: body(text)?,
        },
        Effect::Notify { .. } | Effect::Email { .. } | Effect::Webhook { .. } => return None,
    })
}
