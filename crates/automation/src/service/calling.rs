//! What webhooks are sent: events as they are delivered, and what rules send; and the sending itself.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use events::{Event, Fact, HandleError, IdentityFact, Subscriber, TicketFact};
use kernel::{Clock, IdSource, MessageId, PortError, UserId};
use serde_json::Value;

use super::known::KnownEndpoints;
use super::webhooks::disable;
use crate::error::AutomationError;
use crate::facts::{Happening, TicketView};
use crate::port::{Carried, Scenes};
use crate::reference::EndpointId;
use crate::trigger::TriggerKind;
use crate::webhook::{
    AddressRules, Answer, BREAK_AFTER, Broken, Called, Caller, Claimed, Dead, DeliveryStore, EVENT_NAMES,
    Endpoint, EndpointStore, NewCall, Outgoing, SEND_MAX, Seen, Sent, Settled, Try, of_event, of_step,
    reaches,
};

/// For how long after its first failure the calls of an endpoint that the server disabled are still recorded, dead, so that
/// they can be replayed.
pub const RECORDED_FOR: TimeDelta = TimeDelta::days(14);
/// How many calls one endpoint is sent at the same time, by all nodes together.
pub const CALLS_EACH_MAX: usize = 16;
/// For how long a node has a call: longer than sending it can take.
const LEASE: TimeDelta = TimeDelta::seconds(60);

const _: () = assert!(RECORDED_FOR.num_days() > BREAK_AFTER.num_days());
const _: () = assert!(LEASE.num_seconds() > 2 * SEND_MAX.num_seconds());

/// Queues calls: for every event those to the endpoints that want it, and what rules send.
pub struct QueueCalls {
    endpoints: Arc<KnownEndpoints>,
    calls: Arc<dyn DeliveryStore>,
    scenes: Arc<dyn Scenes>,
    clock: Arc<dyn Clock>,
}

impl QueueCalls {
    /// Calls of these endpoints.
    #[must_use]
    pub fn new(
        endpoints: Arc<KnownEndpoints>,
        calls: Arc<dyn DeliveryStore>,
        scenes: Arc<dyn Scenes>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            endpoints,
            calls,
            scenes,
            clock,
        }
    }

    async fn on_event(&self, event: &Event) -> Result<(), PortError> {
        let endpoints = self.endpoints.present().await?;
        if endpoints
            .iter()
            .all(|endpoint| endpoint.content.events.is_empty())
        {
            return Ok(());
        }
        let (name, payload) = event.encode().map_err(|error| PortError::Bug {
            port: "webhooks",
            source: error.into(),
        })?;
        if !EVENT_NAMES.contains(&name.as_str()) {
            return Ok(());
        }
        let now = self.clock.now();
        let wanted = |endpoint: &&Endpoint| {
            let is_recorded = endpoint.content.enabled
                || endpoint.disabled.is_some()
                    && endpoint
                        .health
                        .failing_since
                        .is_some_and(|since| now - since < RECORDED_FOR);
            is_recorded && endpoint.content.names(&name) && reaches(&event.fact, endpoint.content.audience)
        };
        let wanting: Vec<&Endpoint> = endpoints.iter().filter(wanted).collect();
        if wanting.is_empty() {
            return Ok(());
        }
        let Some(seen) = self.seen(&event.fact).await? else {
            return Ok(());
        };
        let surroundings = self.scenes.surroundings().await?;
        let happening = Happening::new(event.id, TriggerKind::Schedule, event.at);
        let change = payload.get("data").cloned().unwrap_or_default();
        let ticket = match &event.fact {
            Fact::Ticket { ticket, .. } => Some(ticket.id),
            Fact::Identity(_) | Fact::Knowledge(_) => None,
        };
        let wants = |endpoint: &&Endpoint| {
            let content = &endpoint.content;
            content.wants(&name, &happening, seen.view.as_ref(), surroundings.as_ref())
        };
        let calls = wanting.into_iter().filter(wants).map(|endpoint| NewCall {
            id: event.id.0,
            endpoint: endpoint.id,
            ticket,
            event: name.clone(),
            body: of_event(event, &name, &change, &seen, endpoint.content.audience).to_string(),
            at: now,
        });
        self.calls.queue(&calls.collect::<Vec<_>>()).await
    }

    /// What is told besides the event itself; `None` where its ticket is deleted, and that is not what it tells of.
    async fn seen(&self, fact: &Fact) -> Result<Option<Seen>, PortError> {
        let mut seen = Seen::default();
        match fact {
            Fact::Ticket { ticket, what } => {
                seen.view = self.scenes.ticket(ticket.id).await?;
                if seen.view.is_none() && *what != (TicketFact::Deleted {}) {
                    return Ok(None);
                }
                if let Some(message) = message_of(what) {
                    seen.message = self.scenes.message(ticket.id, message).await?;
                }
            }
            Fact::Identity(fact) => {
                if let Some(user) = account_of(fact) {
                    seen.person = self.scenes.person(user).await?;
                }
            }
            // The event says all that is told of it.
            Fact::Knowledge(_) => {}
        }
        Ok(Some(seen))
    }

    /// Queues what a rule or a macro sends, under the id of its step.
    ///
    /// # Errors
    /// When it is not known whether it was queued.
    pub async fn of_step(
        &self,
        step: &Sent,
        to: EndpointId,
        payload: Option<&Value>,
        view: Option<&TicketView>,
    ) -> Result<Carried, PortError> {
        let endpoints = self.endpoints.present().await?;
        let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.id == to) else {
            return Ok(Carried::Refused("webhook.not_found".to_owned()));
        };
        if !endpoint.content.enabled && endpoint.disabled.is_none() {
            return Ok(Carried::Refused("webhook.disabled".to_owned()));
        }
        let call = NewCall {
            id: step.id,
            endpoint: to,
            ticket: step.ticket,
            event: step.doer.call().to_owned(),
            body: of_step(step, payload, view, endpoint.content.audience).to_string(),
            at: self.clock.now(),
        };
        self.calls.queue(&[call]).await?;
        Ok(Carried::Done)
    }
}

fn message_of(what: &TicketFact) -> Option<MessageId> {
    match what {
        TicketFact::MessageAdded { message, .. }
        | TicketFact::InternalMessageAdded { message, .. }
        | TicketFact::MessageEdited { message, .. } => Some(*message),
        _ => None,
    }
}

fn account_of(fact: &IdentityFact) -> Option<UserId> {
    match fact {
        IdentityFact::UserCreated { user }
        | IdentityFact::UserUpdated { user, .. }
        | IdentityFact::UserRestored { user } => Some(*user),
        _ => None,
    }
}

#[async_trait]
impl Subscriber for QueueCalls {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        self.on_event(event).await.map_err(HandleError::of_port)
    }
}

/// Sends calls. Any number of nodes may.
pub struct SendCalls {
    endpoints: Arc<dyn EndpointStore>,
    calls: Arc<dyn DeliveryStore>,
    caller: Arc<dyn Caller>,
    addresses: AddressRules,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl SendCalls {
    /// Sends through this caller, to addresses that these rules allow.
    #[must_use]
    pub fn new(
        endpoints: Arc<dyn EndpointStore>,
        calls: Arc<dyn DeliveryStore>,
        caller: Arc<dyn Caller>,
        addresses: AddressRules,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            endpoints,
            calls,
            caller,
            addresses,
            clock,
            ids,
        }
    }

    /// Takes up to `calls_max` calls whose time has come, each to be [sent](SendCalls::send) at once.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn claim(&self, calls_max: usize) -> Result<Vec<Claimed>, PortError> {
        let now = self.clock.now();
        self.calls.claim(now, LEASE, calls_max, CALLS_EACH_MAX).await
    }

    /// Makes a call and stores what came of it.
    ///
    /// # Errors
    /// When that cannot be stored: the call is made again once its lease has run out, under the same id.
    pub async fn send(&self, claimed: Claimed) -> Result<(), AutomationError> {
        let Claimed {
            delivery,
            endpoint,
            body,
            leased_until,
            is_ticket_deleted,
        } = claimed;
        if is_ticket_deleted {
            let at = self.clock.now();
            let settled = Settled {
                delivery: delivery.given_up(Dead::TicketDeleted, at),
                leased_until,
                tried: None,
                at,
            };
            self.calls.settle(&settled).await?;
            return Ok(());
        }
        let (answer, tried) = self.tried(&endpoint, delivery.id, body).await;
        let at = self.clock.now();
        let (_, low) = delivery.id.as_u64_pair();
        let seed = low.wrapping_add(delivery.tries.into());
        let settled = Settled {
            delivery: delivery.after(answer, at, seed),
            leased_until,
            tried: Some((answer, tried)),
            at,
        };
        if let Some(why) = self.calls.settle(&settled).await? {
            self.disable(endpoint.id, why).await?;
        }
        Ok(())
    }

    async fn tried(&self, endpoint: &Endpoint, id: uuid::Uuid, body: String) -> (Answer, Try) {
        let began_at = self.clock.now();
        // What was allowed when it was saved need not be any more.
        let called = match self.addresses.check_url(&endpoint.content.url) {
            Ok(url) => {
                let signed = endpoint.secrets.sign(id, began_at, body.as_bytes());
                self.caller.call(&Outgoing { url, signed, body }).await
            }
            Err(forbidden) => Called {
                answer: Answer::Failed { retry_after: None },
                status: None,
                error: Some(forbidden.code().to_owned()),
                excerpt: None,
            },
        };
        let took = (self.clock.now() - began_at).num_milliseconds();
        let tried = Try {
            at: began_at,
            took_ms: u32::try_from(took).unwrap_or(0),
            status: called.status,
            error: called.error,
            answer: called.excerpt,
        };
        (called.answer, tried)
    }

    async fn disable(&self, id: EndpointId, why: Broken) -> Result<(), AutomationError> {
        disable(
            self.endpoints.as_ref(),
            self.clock.as_ref(),
            self.ids.as_ref(),
            id,
            why,
        )
        .await
    }

    /// Sends everything that is due, one after the other; gives the number of tries. For commands and tests.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn drain(&self) -> Result<u64, AutomationError> {
        let mut tries = 0;
        loop {
            let claimed = self.claim(CALLS_EACH_MAX).await?;
            if claimed.is_empty() {
                return Ok(tries);
            }
            for one in claimed {
                self.send(one).await?;
                tries += 1;
            }
        }
    }

    /// Forgets up to `rows_max` calls that ended [`CALLS_KEPT_DAYS`](super::CALLS_KEPT_DAYS) ago; gives their number.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn forget(&self, rows_max: i64) -> Result<u64, PortError> {
        let before = self.clock.now() - TimeDelta::days(super::CALLS_KEPT_DAYS);
        self.calls.forget(before, rows_max).await
    }
}
